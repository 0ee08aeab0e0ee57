// Frames and masks that the browser has. What is looked at is asked for first, then a few frames ahead; pictures stay
// until there are too many, masks until Python says that they are old.

import { decodeImage } from "./dom.js";
import { blankCanvas } from "./layers.js";
import { forRuns } from "./runs.js";

const AT_ONCE = 3; // requests on their way
const AHEAD = 8; // frames that are fetched before they are asked for
const MOST_PIXELS = 80e6; // of decoded pictures: 320 MB

/**
 * @typedef {{version: number, ids: number[], first: Uint32Array, starts: Uint32Array, lengths: Uint32Array}} FrameMasks
 *   the masks of one frame as runs, one for each object
 */

/** Bytes from Python, which may lie at any offset. */
function uint32From(view) {
  return new Uint32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

export class FrameCache {
  /**
   * @param {import("./kernel.js").Kernel} kernel
   * @param {{count: () => number, arrived: (frame: number) => void, failed: (frame: number, problem: string) => void}}
   *   listener
   */
  constructor(kernel, listener) {
    this.kernel = kernel;
    this.listener = listener;
    /** @type {Map<number, ImageBitmap>} the ones used last at the end */
    this.pictures = new Map();
    /** @type {Map<number, FrameMasks>} */
    this.masks = new Map();
    this.versions = new Map(); // the newest that was heard of, by frame
    this.oldest = 0; // masks before this version are old on all frames
    this.asked = new Set();
    this.failed = new Set();
    this.wanted = 0;
    this.step = 1;
    this.other = null; // a frame that is fetched right after the wanted one
  }

  /** Whether masks of a frame are here, and not old. */
  isFresh(frame) {
    const found = this.masks.get(frame);
    return Boolean(found) && found.version >= Math.max(this.versions.get(frame) ?? 0, this.oldest);
  }

  isComplete(frame) {
    return this.pictures.has(frame) && this.isFresh(frame);
  }

  /** Ask for a frame, then for those that follow it. @param {number} step 1 or -1, the direction */
  want(frame, step = 1) {
    this.failed.delete(frame);
    this.wanted = frame;
    this.step = step;
    this.fetch();
  }

  /** Ask for a frame that nobody looks at yet; the wanted one goes first. */
  wantToo(frame) {
    this.failed.delete(frame);
    this.other = frame;
    this.fetch();
  }

  fetch() {
    const last = this.listener.count() - 1;
    const ahead = [...Array(AHEAD + 1).keys()].map((nth) => this.wanted + nth * this.step);
    if (this.other !== null) ahead.splice(1, 0, this.other);
    const missing = ahead.filter((frame) => frame >= 0 && frame <= last && !this.isComplete(frame));
    for (const frame of missing) {
      if (this.asked.size >= AT_ONCE) return;
      if (!this.asked.has(frame) && !this.failed.has(frame)) this.ask(frame);
    }
  }

  async ask(frame) {
    this.asked.add(frame);
    const picture = !this.pictures.has(frame);
    try {
      const { content, buffers } = await this.kernel.ask({ kind: "frame", frame, picture });
      if (content.problem) throw new Error(content.problem);
      if (picture) await this.keepPicture(frame, buffers.shift());
      this.asked.delete(frame);
      this.take(content, buffers);
    } catch (error) {
      this.asked.delete(frame);
      this.failed.add(frame);
      this.listener.failed(frame, error.message);
    }
    this.fetch();
  }

  async keepPicture(frame, bytes) {
    const picture = await decodeImage(bytes, "image/jpeg");
    this.pictures.set(frame, picture);
    const most = Math.max(2 * AHEAD, Math.floor(MOST_PIXELS / (picture.width * picture.height)));
    for (const old of this.pictures.keys()) {
      if (this.pictures.size <= most) break;
      if (Math.abs(old - this.wanted) <= AHEAD) continue;
      this.pictures.get(old).close();
      this.pictures.delete(old);
    }
  }

  /** Take masks that Python sent, asked or not. */
  take({ frame, version, ids }, [first, starts, lengths]) {
    const known = this.masks.get(frame);
    if (!known || known.version <= version) {
      this.masks.set(frame, {
        version,
        ids,
        first: uint32From(first),
        starts: uint32From(starts),
        lengths: uint32From(lengths),
      });
    }
    this.listener.arrived(frame);
  }

  /** Python changed the masks of a frame, or of all. */
  outdate(version, frame = null) {
    if (frame !== null) {
      this.versions.set(frame, version);
      return;
    }
    this.oldest = version;
    for (const other of this.masks.keys()) if (other !== this.wanted) this.masks.delete(other);
  }

  /** A picture, now the last to be dropped. */
  picture(frame) {
    const found = this.pictures.get(frame);
    if (found) {
      this.pictures.delete(frame);
      this.pictures.set(frame, found);
    }
    return found;
  }
}

/** The masks of the shown frame as layers, each made when it is drawn. */
export class VideoLayers {
  /** @param {{width: number, height: number}} size of the layers */
  constructor(size) {
    this.size = size;
    this.masks = null;
    this.made = new Map();
  }

  /** @param {FrameMasks | undefined} masks */
  show(masks) {
    if (masks === this.masks) return;
    this.masks = masks;
    this.made.clear();
  }

  /** The coloured mask of an object and its outline, or null if it has none. */
  of({ id }, color) {
    const index = this.masks ? this.masks.ids.indexOf(id) : -1;
    if (index < 0 || this.masks.first[index] === this.masks.first[index + 1]) return null;
    const before = this.made.get(id);
    if (before && before.color === color) return before;
    const layer = { color, ...coloured(this.masks, index, this.size, color) };
    this.made.set(id, layer);
    return layer;
  }
}

/** A mask in a colour, and the line along its edge. @returns {import("./layers.js").Layer} */
function coloured(masks, index, { width, height }, color) {
  const value = pixelOf(color);
  const [x1, y1, x2, y2] = boxOf(masks, index, width);
  const [wide, high] = [x2 - x1, y2 - y1];
  const make = () => {
    const [canvas, context] = blankCanvas(wide, high);
    const data = context.createImageData(wide, high);
    return { canvas, context, data, pixels: new Uint32Array(data.data.buffer) };
  };
  const [fill, line] = [make(), make()];
  const { pixels } = fill;
  const inBox = (start) => (Math.floor(start / width) - y1) * wide + (start % width) - x1;
  forRuns(masks, index, (start, end) => pixels.fill(value, inBox(start), inBox(start) + end - start));
  forRuns(masks, index, (start, end) => {
    const [first, last] = [inBox(start), inBox(start) + end - start];
    line.pixels[first] = line.pixels[last - 1] = value;
    for (let at = first; at < last; at += 1) {
      if (!pixels[at - wide] || !pixels[at + wide]) line.pixels[at] = value;
    }
  });
  for (const { context, data } of [fill, line]) context.putImageData(data, 0, 0);
  return { fill: fill.canvas, outline: line.canvas, place: [x1 / width, y1 / height, x2 / width, y2 / height] };
}

/** The box of a mask that is not empty: x1, y1, x2, y2. */
function boxOf(masks, index, width) {
  const box = [width, Infinity, 0, 0];
  forRuns(masks, index, (start, end) => {
    const y = Math.floor(start / width);
    const x = start - y * width;
    box[0] = Math.min(box[0], x);
    box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x + end - start);
    box[3] = y + 1; // runs are in order
  });
  return box;
}

/** "#0072B2" -> the pixel as one number, opaque */
function pixelOf(color) {
  const [red, green, blue] = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
  return new Uint32Array(new Uint8Array([red, green, blue, 255]).buffer)[0];
}
