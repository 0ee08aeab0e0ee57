// From logits to what is seen: smooth edges, no specks, a colour; and the cut-out.

const SPECK_SHARE = 0.0005; // of the image: smaller islands of a mask are not shown

/**
 * @typedef {{alpha: Uint8ClampedArray, width: number, height: number, box: number[], area: number}} Opacity of every
 *   pixel, row by row, the box that holds all of the mask (x1, y1, x2, y2) and the number of pixels inside
 */

/**
 * The logits of one mask of an answer.
 * @param {import("./decode.js").Decoded} found
 * @param {number} number
 */
export function logitsOf({ logits, size }, number) {
  return logits.subarray(number * size * size, (number + 1) * size * size);
}

/**
 * @typedef {{width: number, height: number, only?: "best" | null, choice?: number | null,
 *   small?: {width: number, height: number} | null}} Shown size of the masks. `only`: leave all others out; `small`:
 *   the size of those that are not chosen, where they are but thumbnails; `choice`: the chosen one, else the best
 */

/**
 * An answer with its masks as they are shown, in the order of `order`; the same answer where no size is given.
 * @param {import("./decode.js").Decoded} found
 * @param {Shown | null} [shown]
 * @returns {import("./decode.js").Decoded & {masks?: Opacity[]}}
 */
export function withMasks(found, shown = null) {
  if (!shown) return found;
  const order = shown.only ? [found.best] : found.order;
  const chosen = order[shown.choice ?? -1] ?? found.best;
  const masks = order.map((number) => {
    const { width, height } = shown.small && number !== chosen ? shown.small : shown;
    return maskOf(logitsOf(found, number), found.size, width, height);
  });
  return { ...found, order, masks };
}

/**
 * A mask at the size at which it is shown: logits upsampled, specks dropped and filled, edges one pixel wide.
 * @param {Float32Array} logits of one mask, size * size
 * @param {number} size
 * @param {number} width @param {number} height
 * @returns {Opacity}
 */
export function maskOf(logits, size, width, height) {
  const full = upsampled(logits, size, width, height);
  const inside = withoutSpecks(full, width, height);
  const alpha = new Uint8ClampedArray(width * height);
  let area = 0;
  const box = [width, height, 0, 0];
  for (let y = 0, at = 0; y < height; y += 1) {
    const up = y > 0 ? width : 0;
    const down = y < height - 1 ? width : 0;
    for (let x = 0; x < width; x += 1, at += 1) {
      const left = x > 0 ? at - 1 : at;
      const right = x < width - 1 ? at + 1 : at;
      const kind = inside[at];
      area += kind;
      if (inside[left] + inside[right] + inside[at - up] + inside[at + down] === 4 * kind) {
        alpha[at] = 255 * kind; // specks and holes have logits of the other sign
        if (!kind || (x && x < width - 1)) continue; // not at an edge of the box
      } else {
        // how far the edge is, in pixels: the logit over its slope
        const across = full[right] - full[left];
        const along = full[at + down] - full[at - up];
        alpha[at] = 255 * (0.5 + full[at] / (Math.sqrt(across * across + along * along) / 2 || 1));
      }
      if (x < box[0]) box[0] = x;
      if (x >= box[2]) box[2] = x + 1;
      if (y < box[1]) box[1] = y;
      box[3] = y + 1;
    }
  }
  return { alpha, width, height, box: area ? box : [0, 0, 0, 0], area };
}

/**
 * Upsample logits bilinearly, as the package does: every row along x first, then between rows.
 * @param {Float32Array} logits @param {number} size
 * @param {number} width @param {number} height
 * @returns {Float32Array}
 */
export function upsampled(logits, size, width, height) {
  const wide = new Float32Array(width * size);
  const columns = neighbours(size, width);
  for (let row = 0, at = 0; row < size; row += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      const left = logits[row * size + columns.low[x]];
      wide[at] = left + (logits[row * size + columns.high[x]] - left) * columns.part[x];
    }
  }
  const full = new Float32Array(width * height);
  const rows = neighbours(size, height);
  for (let y = 0, at = 0; y < height; y += 1) {
    const [top, bottom, part] = [rows.low[y] * width, rows.high[y] * width, rows.part[y]];
    for (let x = 0; x < width; x += 1, at += 1) {
      full[at] = wide[top + x] + (wide[bottom + x] - wide[top + x]) * part;
    }
  }
  return full;
}

/** For every new pixel, the two old ones it lies between, and how far it is from the first to the second. */
function neighbours(size, length) {
  const low = new Int32Array(length);
  const high = new Int32Array(length);
  const part = new Float32Array(length);
  for (let i = 0; i < length; i += 1) {
    const place = Math.max(0, ((i + 0.5) * size) / length - 0.5);
    low[i] = Math.min(Math.floor(place), size - 1);
    high[i] = Math.min(low[i] + 1, size - 1);
    part[i] = place - low[i];
  }
  return { low, high, part };
}

/**
 * Where logits are positive, without islands and holes smaller than 0.05 % of the image; the largest island stays.
 * @param {Float32Array} full
 * @param {number} width @param {number} height
 * @returns {Uint8Array} 0 or 1
 */
export function withoutSpecks(full, width, height) {
  const inside = new Uint8Array(full.length);
  for (let i = 0; i < full.length; i += 1) inside[i] = full[i] > 0 ? 1 : 0;
  const least = SPECK_SHARE * full.length;
  const { starts, regions, areas } = regionsOf(inside, width, height);
  let largest = 0;
  regions.forEach((region, run) => {
    if (inside[starts[run]]) largest = Math.max(largest, areas[region]);
  });
  const flipped = regions.map((region, run) => {
    const kind = inside[starts[run]];
    return areas[region] >= least || (kind && areas[region] === largest) ? kind : 1 - kind;
  });
  flipped.forEach((kind, run) => inside.fill(kind, starts[run], starts[run + 1]));
  return inside;
}

/**
 * The regions of equal pixels, islands and what lies between them; pixels that meet at a corner hang together.
 * @param {Uint8Array} inside @param {number} width @param {number} height
 * @returns {{starts: number[], regions: number[], areas: number[]}} the runs of equal pixels, row by row, as the pixels
 *   where they start and one more for the end; the region of each run, and the area of each region
 */
function regionsOf(inside, width, height) {
  const starts = [];
  const parents = []; // of each run: an earlier run of its region, or itself
  const root = (run) => {
    while (parents[run] !== run) run = parents[run] = parents[parents[run]];
    return run;
  };
  let above = 0; // the first run of the row above that may touch
  for (let y = 0, at = 0; y < height; y += 1) {
    const firstOfRow = starts.length;
    for (const end = at + width; at < end; ) {
      const [run, kind, start] = [starts.length, inside[at], at];
      while (at < end && inside[at] === kind) at += 1;
      starts.push(start);
      parents.push(run);
      while (above < firstOfRow && starts[above + 1] + width < start) above += 1;
      for (let other = above; other < firstOfRow && starts[other] + width <= at; other += 1) {
        if (inside[starts[other]] !== kind) continue;
        const [one, two] = [root(other), root(run)];
        parents[Math.max(one, two)] = Math.min(one, two);
      }
    }
    above = firstOfRow;
  }
  starts.push(inside.length);
  const regions = parents.map((_, run) => root(run));
  const areas = new Array(regions.length).fill(0);
  regions.forEach((region, run) => (areas[region] += starts[run + 1] - starts[run]));
  return { starts, regions, areas };
}

/**
 * A mask as a white picture whose opacity is the mask, cropped to its box.
 * @param {Opacity} mask
 * @returns {ImageData}
 */
export function whiteOf({ alpha, width, box: [x1, y1, x2, y2] }) {
  const picture = new ImageData(Math.max(1, x2 - x1), Math.max(1, y2 - y1));
  const pixels = new Uint32Array(picture.data.buffer);
  for (let y = y1, to = 0; y < y2; y += 1) {
    for (let x = x1; x < x2; x += 1, to += 1) pixels[to] = (alpha[y * width + x] << 24) | 0xffffff; // ABGR
  }
  return picture;
}

/**
 * The pixels inside a mask, transparent outside, cropped to the mask. Throws an Error for an empty mask.
 * @param {ImageData} image of the mask's size
 * @param {Opacity} mask
 * @returns {{picture: ImageData, left: number, top: number}}
 */
export function cutOutOf(image, { alpha, width, height }) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let at = 0; at < alpha.length; at += 1) {
    if (!alpha[at]) continue;
    const x = at % width;
    const y = (at - x) / width;
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
  }
  if (right < 0) throw new Error("There is no mask to cut out.");
  const picture = new ImageData(right - left + 1, bottom - top + 1);
  for (let y = top; y <= bottom; y += 1) {
    for (let x = left; x <= right; x += 1) {
      const from = 4 * (y * width + x);
      const to = 4 * ((y - top) * picture.width + x - left);
      picture.data.set(image.data.subarray(from, from + 3), to);
      picture.data[to + 3] = alpha[from / 4];
    }
  }
  return { picture, left, top };
}
