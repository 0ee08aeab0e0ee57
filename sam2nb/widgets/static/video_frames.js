// Frames and masks that the browser has. What is looked at is asked for first, then a few frames ahead; pictures stay
// until there are too many, masks until Python says that they are old.

import { decodeImage } from "./dom.js";
import { blankCanvas } from "./layers.js";
import { forRuns } from "./runs.js";

const AT_ONCE = 2; // requests on their way
const TOGETHER = 3; // frames of a request, unless somebody waits for the first of them
const AHEAD = 8; // frames that are fetched before they are asked for
const SPARE = 64; // pixels by which a canvas is made larger than its first mask
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
    this.requests = 0; // on their way
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
    const isMissing = (frame) => !this.isComplete(frame) && !this.asked.has(frame) && !this.failed.has(frame);
    const missing = ahead.filter((frame) => frame >= 0 && frame <= last && isMissing(frame));
    while (missing.length && this.requests < AT_ONCE) {
      this.ask(missing.splice(0, missing[0] === this.wanted ? 1 : TOGETHER));
    }
  }

  /** Ask for frames in one message; every message takes as long as a picture. @param {number[]} frames */
  async ask(frames) {
    this.requests += 1;
    for (const frame of frames) this.asked.add(frame);
    const wanted = frames.map((frame) => ({ frame, picture: !this.pictures.has(frame) }));
    const { content, buffers } = await this.kernel.ask({ kind: "frames", frames: wanted });
    this.requests -= 1;
    const found = content.problem ? wanted.map(() => content) : content.frames;
    const keep = wanted.map(({ frame, picture }, index) => {
      const parts = found[index].problem ? [] : buffers.splice(0, picture ? 4 : 3);
      return this.keep(frame, found[index], picture ? parts.shift() : null, parts);
    });
    this.fetch();
    await Promise.all(keep);
    this.fetch();
  }

  /** Keep what came for one frame. */
  async keep(frame, content, picture, runs) {
    try {
      if (content.problem) throw new Error(content.problem);
      if (picture) await this.keepPicture(frame, picture);
      this.asked.delete(frame);
      this.take(content, runs);
    } catch (error) {
      this.asked.delete(frame);
      this.failed.add(frame);
      this.listener.failed(frame, error.message);
    }
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

/** The masks of the shown frame as layers, each made when it is drawn, on a canvas that its object keeps. */
export class VideoLayers {
  /** @param {{width: number, height: number}} size of the frame */
  constructor(size) {
    this.size = size;
    this.masks = null;
    this.made = new Map();
    /** @type {Map<number, Sheet>} by object */
    this.sheets = new Map();
  }

  /** @param {FrameMasks | undefined} masks */
  show(masks) {
    if (masks === this.masks) return;
    this.masks = masks;
    this.made.clear();
  }

  /**
   * The mask of an object, or null if it has none.
   * @param {{id: number}} entry
   * @param {string} color
   * @param {{opacity: number, outline: boolean}} look
   * @returns {import("./layers.js").Layer | null}
   */
  of({ id }, color, { opacity, outline }) {
    const index = this.masks ? this.masks.ids.indexOf(id) : -1;
    if (index < 0 || this.masks.first[index] === this.masks.first[index + 1]) return null;
    const look = [color, opacity, outline].join();
    const before = this.made.get(id);
    if (before && before.look === look) return before;
    if (!this.sheets.has(id)) this.sheets.set(id, new Sheet());
    const fill = pixelOf(color, opacity);
    const line = outline ? pixelOf(color, 1) : fill;
    const layer = { look, ...this.sheets.get(id).paint(this.masks, index, this.size, fill, line) };
    this.made.set(id, layer);
    return layer;
  }
}

/** A canvas for one mask after the other: new ones for every frame would cost more than what is painted on them. */
class Sheet {
  constructor() {
    [this.canvas, this.context] = blankCanvas(1, 1);
    this.memory = new ArrayBuffer(0);
  }

  /** Paint a mask, and the line along its edge. @returns {import("./layers.js").Layer} */
  paint(masks, index, { width, height }, fill, line) {
    const [x1, y1, x2, y2] = boxOf(masks, index, width);
    const [wide, high] = [x2 - x1, y2 - y1];
    const area = wide * high;
    if (this.memory.byteLength < 4 * area) this.memory = new ArrayBuffer(8 * area);
    if (this.canvas.width < wide) this.canvas.width = Math.min(width, wide + SPARE);
    if (this.canvas.height < high) this.canvas.height = Math.min(height, high + SPARE);
    const pixels = new Uint32Array(this.memory, 0, area).fill(0);
    const inBox = (start) => (Math.floor(start / width) - y1) * wide + (start % width) - x1;
    forRuns(masks, index, (start, end) => pixels.fill(fill, inBox(start), inBox(start) + end - start));
    if (line !== fill) {
      forRuns(masks, index, (start, end) => {
        const [first, last] = [inBox(start), inBox(start) + end - start];
        for (let at = first; at < last; at += 1) if (!pixels[at - wide] || !pixels[at + wide]) pixels[at] = line;
        pixels[first] = pixels[last - 1] = line;
      });
    }
    this.context.putImageData(new ImageData(new Uint8ClampedArray(this.memory, 0, 4 * area), wide, high), 0, 0);
    const place = [x1 / width, y1 / height, x2 / width, y2 / height];
    return { fill: this.canvas, place, used: [wide, high] };
  }
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

/** "#0072B2" -> the pixel as one number; it is not 0, however transparent */
function pixelOf(color, opacity) {
  const [red, green, blue] = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
  return new Uint32Array(new Uint8Array([red, green, blue, Math.max(1, Math.round(255 * opacity))]).buffer)[0];
}
