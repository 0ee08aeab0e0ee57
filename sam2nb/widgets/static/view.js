// Zoom and pan: where pixels of the image are on the canvas.

import { clamp } from "./dom.js";

const MOST_ZOOM = 40; // screen pixels for a pixel of the image, or this many times the whole image
const ZOOM_STEP = 1.4;

/** The part of an image that a canvas shows. All lengths are CSS pixels, or pixels of the image. */
export class View {
  /** @param {number} width of the image @param {number} height of the image */
  constructor(width, height) {
    this.image = { width, height };
    this.zoom = 1; // 1 shows the whole image
    this.center = [width / 2, height / 2];
    this.resize(width, height);
  }

  /** Set the size of the canvas. */
  resize(width, height) {
    this.width = width;
    this.height = height;
    this.fit = Math.min(width / this.image.width, height / this.image.height);
    this.move(0, 0);
  }

  /** Screen pixels for a pixel of the image. */
  get scale() {
    return this.fit * this.zoom;
  }

  /** The shown part of the image: x1, y1, x2, y2. */
  get region() {
    const [x, y] = this.center;
    const halfWidth = this.width / this.scale / 2;
    const halfHeight = this.height / this.scale / 2;
    const { width, height } = this.image;
    return [
      Math.max(0, x - halfWidth),
      Math.max(0, y - halfHeight),
      Math.min(width, x + halfWidth),
      Math.min(height, y + halfHeight),
    ];
  }

  /** A pixel of the image on the canvas. */
  toScreen(x, y) {
    return [(x - this.center[0]) * this.scale + this.width / 2, (y - this.center[1]) * this.scale + this.height / 2];
  }

  /** A place on the canvas as a pixel of the image, kept inside it. */
  toImage(x, y) {
    const { width, height } = this.image;
    return [
      clamp((x - this.width / 2) / this.scale + this.center[0], 0, Math.max(0, width - 0.01)),
      clamp((y - this.height / 2) / this.scale + this.center[1], 0, Math.max(0, height - 0.01)),
    ];
  }

  /** Zoom by a factor; the pixel at `anchor`, a place on the canvas, stays there. */
  zoomBy(factor, anchor = [this.width / 2, this.height / 2]) {
    const before = this.toImage(...anchor);
    const most = Math.max(MOST_ZOOM / this.fit / 4, MOST_ZOOM);
    this.zoom = clamp(this.zoom * factor, 1, most);
    const [x, y] = this.toScreen(...before);
    this.move(anchor[0] - x, anchor[1] - y);
  }

  zoomIn(anchor) {
    this.zoomBy(ZOOM_STEP, anchor);
  }

  zoomOut(anchor) {
    this.zoomBy(1 / ZOOM_STEP, anchor);
  }

  /** Show the whole image. */
  reset() {
    this.zoom = 1;
    this.move(0, 0);
  }

  /** Pan by screen pixels; the image keeps filling the canvas. */
  move(dx, dy) {
    const { width, height } = this.image;
    const limit = (center, shown, length) =>
      shown >= length ? length / 2 : clamp(center, shown / 2, length - shown / 2);
    this.center = [
      limit(this.center[0] - dx / this.scale, this.width / this.scale, width),
      limit(this.center[1] - dy / this.scale, this.height / this.scale, height),
    ];
  }
}
