"""Motion in the choice among the decoder's three masks (SAMURAI, arXiv 2411.11922, section 4.1).

The mask with the highest predicted IoU may lie on something else that looks alike. The box where the object should be
by now, at the speed of its last frames, tells them apart. SAMURAI predicts it by a Kalman filter with the motion model
of a constant velocity; here the velocity is a mean over a few frames, which has no state to keep or to tune.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from sam2nb.predict.video.facts import Facts, box_iou, facts_of
from sam2nb.predict.video.session import ObjectPrediction
from sam2nb.structures import Region

WEIGHT = 0.15  # of the motion, beside the predicted IoU; SAMURAI's
SPEED_FRAMES = 4  # over which the velocity is taken
LONGEST_GAP = 3  # frames without the object, after which it may be anywhere


def expected_box(frame: int, facts: Mapping[int, Facts], reverse: bool = False) -> Region | None:
    """Where an object should be, by its visible frames before; None where they say nothing.

    -> x1, y1, x2, y2 in 0..1 of the frame, of the size of the last box
    """
    step = -1 if reverse else 1
    ages = [age for age in range(1, SPEED_FRAMES + LONGEST_GAP + 1) if _visible(facts.get(frame - age * step))]
    if len(ages) < 2 or ages[0] > LONGEST_GAP:
        return None
    latest, earliest = facts[frame - ages[0] * step].box, facts[frame - ages[-1] * step].box
    ahead = ages[0] / (ages[-1] - ages[0])
    moved = [(latest[side] + latest[side + 2] - earliest[side] - earliest[side + 2]) / 2 * ahead for side in (0, 1)]
    return latest[0] + moved[0], latest[1] + moved[1], latest[2] + moved[0], latest[3] + moved[1]


def choose_by_motion(prediction: ObjectPrediction, expected: Sequence[Region | None]) -> Tensor:
    """The mask of each object by predicted IoU and motion: M candidates of B objects -> (B,) int64

    expected: the box of each object, in 0..1 of the frame; None decides by predicted IoU alone.
    """
    candidates = prediction.candidates
    scores = candidates.iou.float().cpu().clone()
    for number in range(scores.shape[1]):
        logits, iou = candidates.logits[:, number, None], candidates.iou[:, number, None]
        for row, seen in enumerate(facts_of(logits, candidates.object_score, iou, prediction.region)):
            if expected[row] is not None:
                scores[row, number] += WEIGHT / (1 - WEIGHT) * box_iou(seen.box, expected[row])
    return scores.argmax(dim=1).to(candidates.iou.device)


def _visible(facts: Facts | None) -> bool:
    return facts is not None and facts.visible
