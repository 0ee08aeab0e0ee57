// From logits to what is seen: smooth edges, no specks, a colour; and the cut-out.

const SPECK_SHARE = 0.0005; // of the image: smaller islands of a mask are not shown

/**
 * @typedef {{alpha: Uint8ClampedArray, width: number, height: number, area: number}} Opacity of every pixel, row by
 *   row, and the number of pixels inside
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
 * An answer with its masks as they are shown, in the order of `order`; the same answer where no size is given.
 * @param {import("./decode.js").Decoded} found
 * @param {{width: number, height: number, only?: "best" | null} | null} [shown] `only`: leave the other masks out
 * @returns {import("./decode.js").Decoded & {masks?: Opacity[]}}
 */
export function withMasks(found, shown = null) {
  if (!shown) return found;
  const order = shown.only ? [found.best] : found.order;
  const masks = order.map((number) => maskOf(logitsOf(found, number), found.size, shown.width, shown.height));
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
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      const left = x > 0 ? at - 1 : at;
      const right = x < width - 1 ? at + 1 : at;
      const above = y > 0 ? at - width : at;
      const below = y < height - 1 ? at + width : at;
      const around = inside[left] + inside[right] + inside[above] + inside[below];
      area += inside[at];
      if (around === 4 * inside[at]) {
        alpha[at] = 255 * inside[at]; // specks and holes have logits of the other sign
        continue;
      }
      // how far the edge is, in pixels: the logit over its slope
      const across = full[right] - full[left];
      const down = full[below] - full[above];
      alpha[at] = 255 * (0.5 + full[at] / (Math.sqrt(across * across + down * down) / 2 || 1));
    }
  }
  return { alpha, width, height, area };
}

/**
 * Upsample logits bilinearly, as the package does.
 * @param {Float32Array} logits @param {number} size
 * @param {number} width @param {number} height
 * @returns {Float32Array}
 */
export function upsampled(logits, size, width, height) {
  const full = new Float32Array(width * height);
  const columns = neighbours(size, width);
  const rows = neighbours(size, height);
  for (let y = 0, at = 0; y < height; y += 1) {
    const top = rows.low[y] * size;
    const bottom = rows.high[y] * size;
    const down = rows.part[y];
    for (let x = 0; x < width; x += 1, at += 1) {
      const left = columns.low[x];
      const right = columns.high[x];
      const along = columns.part[x];
      const upper = logits[top + left] * (1 - along) + logits[top + right] * along;
      const lower = logits[bottom + left] * (1 - along) + logits[bottom + right] * along;
      full[at] = upper * (1 - down) + lower * down;
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
  const regions = regionsOf(inside, width, height);
  const islands = regions.filter((region) => inside[region[0]]);
  const largest = Math.max(0, ...islands.map((island) => island.length));
  for (const region of regions) {
    if (region.length >= least || (inside[region[0]] && region.length === largest)) continue;
    const other = 1 - inside[region[0]];
    for (const at of region) inside[at] = other;
  }
  return inside;
}

/** The regions of equal pixels, islands and what lies between them. @returns {Int32Array[]} */
function regionsOf(inside, width, height) {
  const seen = new Uint8Array(inside.length);
  const stack = new Int32Array(inside.length);
  const regions = [];
  for (let start = 0; start < inside.length; start += 1) {
    if (!seen[start]) regions.push(floodFrom(start, inside, seen, stack, width, height));
  }
  return regions;
}

/** The pixels of one kind that hang together with `start`, corners included. @returns {Int32Array} */
function floodFrom(start, inside, seen, stack, width, height) {
  let found = 1; // pixels before `next` are done, those before `found` wait
  const kind = inside[start];
  stack[0] = start;
  seen[start] = 1;
  for (let next = 0; next < found; next += 1) {
    const x = stack[next] % width;
    const y = (stack[next] - x) / width;
    for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row += 1) {
      for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column += 1) {
        const at = row * width + column;
        if (seen[at] || inside[at] !== kind) continue;
        seen[at] = 1;
        stack[found] = at;
        found += 1;
      }
    }
  }
  return stack.slice(0, found);
}

/**
 * A mask as a white picture whose opacity is the mask.
 * @param {Opacity} mask
 * @returns {ImageData}
 */
export function whiteOf({ alpha, width, height }) {
  const picture = new ImageData(width, height);
  picture.data.fill(255);
  for (let at = 0; at < alpha.length; at += 1) picture.data[4 * at + 3] = alpha[at];
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
