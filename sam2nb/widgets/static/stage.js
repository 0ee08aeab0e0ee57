// The canvas of the playground: an image, a mask on it, the prompts; and what the pointer and the keys do there.

import { drawBox, drawClick, drawCursor } from "./paint.js";

const COLORS = { include: "#0072B2", exclude: "#D55E00", box: "#F0E442" }; // those of sam2nb.plotting
const LEAST_HEIGHT = 200; // CSS pixels that an image may take in any window
const DRAG_PIXELS = 5; // on the screen: a shorter movement is a click
const STEP = 8; // screen pixels per arrow key, five times as far with shift
const MOST_DENSITY = 2; // canvas pixels for a pixel of the screen
const MOST_ZOOM = 4; // screen pixels for a pixel of a small image

/**
 * @typedef {{hover: (at: number[] | null) => void, point: (at: number[], label: number) => void,
 *   box: (box: number[]) => void, wheel: (step: number) => void, key: (key: string) => boolean}} Listener
 *   coordinates are pixels of the image; `key` returns whether it took the key
 */

export class Stage {
  /** @param {HTMLCanvasElement} canvas @param {Listener} listener @param {() => number} tallest in CSS pixels */
  constructor(canvas, listener, tallest) {
    this.canvas = canvas;
    this.tallest = tallest;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.listener = listener;
    this.label = 1; // of a plain click
    this.image = null;
    /** @type {(import("./layers.js").Layer & {opacity: number}) | null} */
    this.mask = null;
    this.points = [];
    this.box = null;
    this.drag = null;
    this.cursor = null; // of the keyboard, null until a key is used
    this.corner = null; // the first corner of a box that is set by keys
    this.listenToPointer();
    this.listenToKeys();
    addEventListener("resize", () => this.fit());
  }

  /** @param {ImageBitmap} image */
  show(image) {
    Object.assign(this, { image, mask: null, points: [], box: null, drag: null, cursor: null, corner: null });
    this.fit();
  }

  /** Give the canvas the size that fits the page. */
  fit() {
    if (!this.image) return;
    const { width, height } = this.image;
    const room = /** @type {HTMLElement} */ (this.canvas.parentElement).clientWidth;
    const tallest = Math.max(LEAST_HEIGHT, this.tallest());
    this.scale = Math.min(room / width, tallest / height, Math.max(MOST_ZOOM, LEAST_HEIGHT / Math.max(width, height)));
    const density = Math.min(devicePixelRatio || 1, MOST_DENSITY);
    const [wide, high] = [width, height].map((side) => Math.max(1, Math.round(side * this.scale)));
    Object.assign(this.canvas.style, { width: `${wide}px`, height: `${high}px` });
    Object.assign(this.canvas, { width: Math.round(wide * density), height: Math.round(high * density) });
    this.density = density;
    this.draw();
  }

  draw() {
    if (!this.image) return;
    const { context, canvas } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.image, 0, 0, canvas.width, canvas.height);
    if (this.mask) {
      const [x1, y1, x2, y2] = this.mask.place.map((share, at) => share * (at % 2 ? canvas.height : canvas.width));
      context.globalAlpha = this.mask.opacity;
      context.drawImage(this.mask.fill, x1, y1, x2 - x1, y2 - y1);
      context.globalAlpha = 1;
      context.drawImage(this.mask.outline, x1, y1, x2 - x1, y2 - y1);
    }
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    const box = this.drag ?? this.box;
    if (box) drawBox(context, this, box, COLORS.box);
    for (const [x, y, label] of this.points) drawClick(context, this.toScreen(x, y), label, COLORS);
    if (this.cursor) drawCursor(context, this.toScreen(...this.cursor));
  }

  /** A pixel of the image on the canvas. */
  toScreen(x, y) {
    return [x * this.scale, y * this.scale];
  }

  /** Where an event is in the image. @param {MouseEvent} event @returns {number[]} */
  at(event) {
    const frame = this.canvas.getBoundingClientRect();
    return this.inside([(event.clientX - frame.left) / this.scale, (event.clientY - frame.top) / this.scale]);
  }

  inside([x, y]) {
    const { width, height } = this.image;
    return [Math.min(Math.max(x, 0), width - 0.01), Math.min(Math.max(y, 0), height - 0.01)];
  }

  listenToPointer() {
    const { canvas, listener } = this;
    let start = null; // where the pointer went down
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.image || event.button === 1 || event.button > 2) return;
      canvas.focus({ preventScroll: true });
      this.cursor = null;
      const excludes = event.button === 2 || event.shiftKey || this.label === 0;
      start = { at: this.at(event), x: event.clientX, y: event.clientY, label: excludes ? 0 : 1 };
      start.draws = event.button === 0 && !event.shiftKey;
      canvas.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.image) return;
      if (!start) return listener.hover(this.at(event));
      if (!start.draws) return undefined;
      const far = Math.hypot(event.clientX - start.x, event.clientY - start.y) > DRAG_PIXELS;
      this.drag = far || this.drag ? sorted(start.at, this.at(event)) : null;
      return this.draw();
    });
    canvas.addEventListener("pointerup", () => {
      if (!start) return;
      const { at, label } = start;
      const box = this.drag;
      start = this.drag = null;
      if (box) this.finish(box);
      else listener.point(at, label);
    });
    canvas.addEventListener("pointercancel", () => {
      start = this.drag = null;
      this.draw();
    });
    canvas.addEventListener("pointerleave", () => listener.hover(null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (event.ctrlKey || event.metaKey || !this.mask) return;
        event.preventDefault();
        listener.wheel(Math.sign(event.deltaY || event.deltaX));
      },
      { passive: false },
    );
  }

  /** Report a box, unless it has no area. */
  finish(box) {
    if (box[2] - box[0] >= 1 && box[3] - box[1] >= 1) this.listener.box(box);
    else this.draw();
  }

  listenToKeys() {
    const { canvas, listener } = this;
    canvas.addEventListener("keydown", (event) => {
      if (!this.image || event.ctrlKey || event.metaKey || event.altKey) return;
      const jump = ((event.shiftKey ? 5 : 1) * STEP) / this.scale;
      const moves = { ArrowLeft: [-jump, 0], ArrowRight: [jump, 0], ArrowUp: [0, -jump], ArrowDown: [0, jump] };
      if (moves[event.key]) this.move(moves[event.key]);
      else if (event.key === "Enter" || event.key === " ") listener.point(this.here(), event.shiftKey ? 0 : this.label);
      else if (event.key === "x") listener.point(this.here(), 0);
      else if (event.key === "b") this.setCorner();
      else if (!listener.key(event.key)) return;
      event.preventDefault();
    });
    canvas.addEventListener("blur", () => {
      this.cursor = null;
      this.draw();
    });
  }

  here() {
    this.cursor ??= [this.image.width / 2, this.image.height / 2];
    return this.cursor;
  }

  move([dx, dy]) {
    const [x, y] = this.here();
    this.cursor = this.inside([x + dx, y + dy]);
    this.drag = this.corner ? sorted(this.corner, this.cursor) : null;
    this.draw();
    if (!this.corner) this.listener.hover(this.cursor);
  }

  setCorner() {
    const first = this.corner;
    this.corner = first ? null : this.here();
    this.drag = null;
    if (first) this.finish(sorted(first, this.here()));
  }
}

/** Two corners as x1, y1, x2, y2. */
function sorted([ax, ay], [bx, by]) {
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}
