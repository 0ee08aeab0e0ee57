// Masks of everything mode as runs of pixels: filter them, find the one under the mouse, paint them.

/**
 * @typedef {Object} Masks N masks as Python packs them, see sam2nb/widgets/explorer.py
 * @property {number} width of the label map
 * @property {number} height
 * @property {Uint32Array} first (N + 1), where the runs of each mask begin
 * @property {Uint32Array} starts of the runs, in the pixels row by row
 * @property {Uint32Array} lengths
 * @property {Float64Array} numbers (N, 7): area, predicted IoU, stability, x, y, width and height of the box
 */

export const FIELDS = 7;

/** A field of the numbers of a mask. */
function field(masks, index, name) {
  return masks.numbers[index * FIELDS + ["area", "iou", "stability", "x", "y", "width", "height"].indexOf(name)];
}

/** The numbers of one mask. */
export function numbersOf(masks, index) {
  const [area, iou, stability] = ["area", "iou", "stability"].map((name) => field(masks, index, name));
  return { area, iou, stability };
}

/**
 * The masks that pass all thresholds, best first: what `filter_records` does in Python.
 * @param {Masks} masks
 * @param {{pred_iou_thresh: number, stability_score_thresh: number, box_nms_thresh: number, min_area: number}} limits
 * @returns {number[]}
 */
export function keptMasks(masks, limits) {
  const passing = [];
  for (let index = 0; index < masks.first.length - 1; index += 1) {
    const { area, iou, stability } = numbersOf(masks, index);
    const sure = iou > limits.pred_iou_thresh || limits.pred_iou_thresh <= 0;
    if (sure && stability >= limits.stability_score_thresh && area >= limits.min_area) passing.push(index);
  }
  const score = (index) => Math.fround(field(masks, index, "iou"));
  passing.sort((one, other) => score(other) - score(one)); // stable: equal scores keep their order
  return distinctBoxes(masks, passing, limits.box_nms_thresh);
}

/** Non-maximum suppression: drop a mask whose box overlaps a better one by more than `limit`. */
function distinctBoxes(masks, order, limit) {
  if (limit >= 1) return order;
  const edges = new Float64Array(order.length * 5);
  order.forEach((index, row) => {
    const [x, y] = [field(masks, index, "x"), field(masks, index, "y")];
    const [width, height] = [field(masks, index, "width"), field(masks, index, "height")];
    edges.set([x, y, x + width, y + height, width * height], row * 5);
  });
  const dropped = new Uint8Array(order.length);
  for (let one = 0; one < order.length; one += 1) {
    if (dropped[one]) continue;
    const [x1, y1, x2, y2, area] = edges.subarray(one * 5, one * 5 + 5);
    for (let other = one + 1; other < order.length; other += 1) {
      const at = other * 5;
      const width = Math.min(x2, edges[at + 2]) - Math.max(x1, edges[at]);
      const height = Math.min(y2, edges[at + 3]) - Math.max(y1, edges[at + 1]);
      if (dropped[other] || width <= 0 || height <= 0) continue;
      const shared = width * height;
      if (Math.fround(shared / (area + edges[at + 4] - shared)) > limit) dropped[other] = 1;
    }
  }
  return order.filter((_, row) => !dropped[row]);
}

/**
 * One number per pixel: 0 for background, else 1 + the index of the mask; small masks are on top.
 * @param {Masks} masks
 * @param {number[]} kept
 * @param {Uint32Array} labels filled
 */
export function fillLabels(masks, kept, labels) {
  labels.fill(0);
  const largestFirst = [...kept].sort((one, other) => field(masks, other, "area") - field(masks, one, "area"));
  for (const index of largestFirst) forRuns(masks, index, (start, end) => labels.fill(index + 1, start, end));
}

/** Call `act` with the start and the end of every run of a mask. */
export function forRuns(masks, index, act) {
  for (let run = masks.first[index]; run < masks.first[index + 1]; run += 1) {
    act(masks.starts[run], masks.starts[run] + masks.lengths[run]);
  }
}

/**
 * Paint a label map: each mask in its colour, its outline opaque, selected masks stronger and outlined in white.
 * @param {Masks} masks
 * @param {Uint32Array} labels
 * @param {Uint8ClampedArray} pixels (height, width, 4) filled
 * @param {{palette: number[][], opacity: number, selected: Set<number>}} look
 */
export function paintLabels({ width }, labels, pixels, { palette, opacity, selected }) {
  pixels.fill(0);
  const plain = Math.round(opacity * 255);
  const strong = Math.round(Math.min(1, opacity + 0.3) * 255);
  for (let at = 0; at < labels.length; at += 1) {
    const label = labels[at];
    const isEdge = (at % width && labels[at - 1] !== label) || (at >= width && labels[at - width] !== label);
    const [left, above] = [at % width ? labels[at - 1] : label, at >= width ? labels[at - width] : label];
    const edgeOf = isEdge ? [label, left, above] : null;
    if (!label && !edgeOf) continue;
    const isSelected = selected.has(label - 1);
    const isWhite = edgeOf !== null && selected.size > 0 && edgeOf.some((one) => selected.has(one - 1));
    if (!label && !isWhite) continue;
    const [red, green, blue] = isWhite ? [255, 255, 255] : palette[(label - 1) % palette.length];
    const offset = at * 4;
    pixels[offset] = red;
    pixels[offset + 1] = green;
    pixels[offset + 2] = blue;
    pixels[offset + 3] = edgeOf ? 255 : isSelected ? strong : plain;
  }
}
