"""The hints of all exercises, in steps from a nudge to nearly the answer."""

from __future__ import annotations

HINTS: dict[str, tuple[str, ...]] = {
    "01.cup_click": (
        "the best mask belongs to whatever has a clear edge around your click; where does the cup itself begin?",
        "coffee, saucer and the red outside have edges of their own, so stay away from all three",
        "click on the white inner wall at the back of the cup, near x = 270, y = 60",
    ),
    "01.covered": (
        "a mask is an array of True and False; count the True ones and compare with the number of all pixels",
        "`mask.sum()` counts the True pixels, `mask.size` counts all",
        "True counts as 1, so the mean of the mask is the fraction",
    ),
    "02.two_prompts": (
        "try a box around cup and handle first, and look at what the mask leaves out",
        "the box alone leaves out the coffee, because it looks like another object: say that it belongs to the cup",
        "a box near [174, 18, 408, 312], and one positive click into the coffee",
    ),
    "02.iou": (
        "two areas are needed: pixels that are in both masks, and pixels that are in at least one",
        "for boolean arrays `first & second` is the intersection and `first | second` the union",
        "divide the sum of the one by the sum of the other",
    ),
    "02.tight_box": (
        "which rows hold at least one True pixel, and which columns? The first and the last of each are enough",
        "`rows, columns = np.nonzero(mask)` lists the coordinates of all True pixels",
        "x counts columns and y counts rows: [columns.min(), rows.min(), columns.max(), rows.max()]",
    ),
    "03.thresholds": (
        "two conditions: one is about stability, so set that threshold first and count what is left",
        "`len(filter_records(records, **answer))` counts; another threshold can bring the number down further",
        "start from a stability threshold of at least 0.97 and raise it, or `pred_iou_thresh`, until 8 to 12 are left",
    ),
    "03.stability": (
        "draw the mask once at a threshold a little above zero and once a little below; how do their areas compare?",
        "the area above +offset is `(logits > offset).sum()`",
        "divide it by `(logits > -offset).sum()`",
    ),
    "03.keep_distinct": (
        "keep a list of the indices that stay; a new box has to be compared with those only",
        "go through `np.argsort(-scores)`; the IoU of two boxes is the area of their overlap over the area of both",
        "the overlap is min(x2) - max(x1) wide, 0 if that is negative; keep the index if no IoU is above the limit",
    ),
    "03.middle_sized": (
        "each record knows its area in pixels; the size of the image tells what 1 and 10 percent are",
        "the image has `size_hw[0] * size_hw[1]` pixels",
        "a list of all records with 0.01 * whole <= record['area'] <= 0.1 * whole",
    ),
    "04.prompts": (
        "keep the box on frame 0; where is the object lost, and on which frames do the two overlap?",
        "while they overlap, a box holds both; put the second prompt where they are apart again, after frame 13",
        '`{i: {"box": tight_box(truth[scene][i])} for i in (0, 18)}`',
    ),
    "04.memories": (
        "two groups: prompted frames, and tracked frames that are recent; how recent is counted in frames of the clip",
        "all prompted frames belong to it, those in the future as well; of the tracked frames only those before",
        "add every tracked frame that is 1 to 6 frames older; a gap in tracking is not filled by older frames",
    ),
    "04.label_map": (
        "two questions for every pixel: is any object there at all, and which one is the most certain?",
        "`logits.argmax(axis=0)` finds the object, `logits.max(axis=0) > 0` tells whether one is there",
        "np.where(is there, winner + 1, 0)",
    ),
    "05.not_beaten": (
        "take one choice and look for another that costs less and gains more; if there is one, it is beaten",
        "compare each index i with every other index j: cost[j] < cost[i] and gain[j] > gain[i]",
        "two loops: in the inner one note whether some j beats i; after it append i to a list if none did",
    ),
    "05.objects_in_time": (
        "first pay for the frame; how much of the budget is left?",
        "the rest divided by the cost of one object, rounded down",
        "what does that give where the budget does not pay for the frame? `max` keeps a number from falling below 0",
    ),
    "05.better": (
        "the paired question of section 4: how much does each object gain, and does the interval contain 0?",
        "`gain_interval(a, b)` has `low` and `high`; a positive gain speaks for A",
        "three cases: both ends above 0, both ends below 0, or neither",
    ),
    "06.stretch": (
        "two numbers decide everything: the values below which 1 and 99 percent of the pixels lie",
        "`np.percentile(picture, [1, 99])` gives both; low should become 0 and high 1",
        "(picture - low) / (high - low), clipped to 0 and 1; if high equals low, return zeros",
    ),
    "06.crop_around": (
        "grow first, cut afterwards: how much is added on the left, and how much above?",
        "x1 - margin * (x2 - x1) on the left, and the same kind of sum on the other three sides",
        "x lies between 0 and the width, y between 0 and the height (`size_hw` has the height first); round at the end",
    ),
    "07.scores": (
        "one number for each pair of a query and a key",
        "row i, column j is the dot product of query i and key j: a matrix product with the keys transposed",
        "queries @ keys.T, divided by np.sqrt(c), where c is the length of one query",
    ),
    "07.attention": (
        "you have written two of the three steps: scores and shares; which one is missing?",
        "each query reads every value, as much as its share says: a weighted sum",
        "shares_of(queries, keys) @ values",
    ),
    "07.spatial_memories": (
        "there are two rules: one for prompted frames, one for tracked frames",
        "the prompted frame stays for the whole clip; of the tracked frames only those 1 to 6 frames back are read",
        "frame 0, and the six frames that end with frame 24",
    ),
    "07.mask_product": (
        "at one position the image has C numbers, and the filter has C; how do two such lists become one number?",
        "multiply channel by channel, then add over the channels: the first axis of `upscaled`",
        "np.einsum('c,chw->hw', filters, upscaled), or np.tensordot(filters, upscaled, axes=1)",
    ),
    "07.shares": (
        "you have built both parts above: scores (your `scores_of`), then a softmax, now along each row",
        "scores are `queries @ keys.T / np.sqrt(queries.shape[1])`; `np.exp` makes them positive",
        "divide every row by its sum: weights / weights.sum(axis=1, keepdims=True)",
    ),
    "08.dice": (
        "the overlap of a soft mask with the truth: which pixels count, and with what weight?",
        "the overlap is `(probability * truth).sum()`, the two areas are the two sums",
        "1 - 2 * overlap / (probability.sum() + truth.sum())",
    ),
    "08.correction": (
        "first find one pixel where the two masks differ",
        "`np.argwhere(drawn != truth)` lists such pixels, row first; a click has x, the column, first",
        "the label is 1 if the truth is True at that pixel, because the mask is missing there, else 0",
    ),
    "08.gain": (
        "you have the IoU before and after; which fraction of the errors has gone?",
        "before, 1 - before is missing to a perfect mask; after, 1 - after",
        "(after - before) / (1 - before)",
    ),
    "capstone": (
        "run the page once with the shipped images: every point of the rubric names the cell that fills it",
        "a mask for every object of your images, none of them shared between training and held-out ones",
        "more clicks where a mask is worst, or 40 more steps, raise the IoU on the held-out images",
    ),
}
