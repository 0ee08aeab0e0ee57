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

const WHITE = [255, 255, 255];
const FIELDS = 7;
const AREA = 0;
const IOU = 1;
const STABILITY = 2;
const BOX = 3;

/** The numbers of one mask. */
export function numbersOf({ numbers }, index) {
  const at = index * FIELDS;
  return { area: numbers[at + AREA], iou: numbers[at + IOU], stability: numbers[at + STABILITY] };
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
  const score = (index) => Math.fround(masks.numbers[index * FIELDS + IOU]);
  passing.sort((one, other) => score(other) - score(one)); // stable: equal scores keep their order
  return distinctBoxes(masks, passing, limits.box_nms_thresh);
}

/** Non-maximum suppression: drop a mask whose box overlaps a better one by more than `limit`. */
function distinctBoxes(masks, order, limit) {
  if (limit >= 1) return order;
  const edges = new Float64Array(order.length * 5);
  order.forEach((index, row) => {
    const [x, y, width, height] = masks.numbers.subarray(index * FIELDS + BOX, (index + 1) * FIELDS);
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
  const area = (index) => masks.numbers[index * FIELDS + AREA];
  const largestFirst = [...kept].sort((one, other) => area(other) - area(one));
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
  const isSelected = (label) => label > 0 && selected.has(label - 1);
  for (let at = 0; at < labels.length; at += 1) {
    const label = labels[at];
    const left = at % width ? labels[at - 1] : label;
    const above = at >= width ? labels[at - width] : label;
    if (!label && !left && !above) continue;
    const isEdge = left !== label || above !== label;
    const isWhite = isEdge && selected.size > 0 && (isSelected(label) || isSelected(left) || isSelected(above));
    if (!label && !isWhite) continue;
    const color = isWhite ? WHITE : palette[(label - 1) % palette.length];
    const offset = at * 4;
    pixels[offset] = color[0];
    pixels[offset + 1] = color[1];
    pixels[offset + 2] = color[2];
    pixels[offset + 3] = isEdge ? 255 : selected.size > 0 && isSelected(label) ? strong : plain;
  }
}
