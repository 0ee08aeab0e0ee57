// Draw the image, the masks and the prompts on the canvas.

import { blankCanvas } from "./layers.js";

const CURSOR = 12; // half the size of the keyboard's cross, in CSS pixels
const MARK = 7; // radius of a click
const PREVIEW_OPACITY = 0.6; // of that of a mask

/**
 * @typedef {Object} Scene
 * @property {import("./view.js").View} view
 * @property {ImageBitmap | null} picture
 * @property {{region: number[], picture: ImageBitmap} | null} detail the part that is zoomed, with all its pixels
 * @property {Backdrop} backdrop
 * @property {ImageSmoothingQuality} smooth with which the picture is scaled
 * @property {import("./store.js").Store} store
 * @property {import("./layers.js").Layers} layers
 * @property {string[]} palette
 * @property {{include: string, exclude: string, box: string}} colors
 * @property {number} opacity
 * @property {boolean} outline
 * @property {import("./layers.js").Layer | null} preview
 * @property {number[] | null} drag the box that is being drawn
 * @property {{stroke: import("./store.js").Stroke} | null} painting
 * @property {[number, number] | null} cursor of the keyboard
 * @property {{at: [number, number], radius: number} | null} brush in image pixels
 */

/** The colour of an object. */
export function colorOf(scene, entry) {
  return scene.palette[entry.color % scene.palette.length];
}

/** The image as it is seen, without masks: drawn once for each view of it, since smooth scaling is slow. */
export class Backdrop {
  constructor() {
    [this.canvas, this.context] = blankCanvas(1, 1);
    this.shown = "";
    this.pictures = [];
  }

  /** @param {Scene} scene @param {{width: number, height: number}} size in pixels of the screen */
  of({ view, picture, detail, smooth }, { width, height }) {
    const shown = [width, height, view.width, view.scale, ...view.center].join();
    const isSame = shown === this.shown && picture === this.pictures[0] && detail === this.pictures[1];
    if (isSame) return this.canvas;
    Object.assign(this, { shown, pictures: [picture, detail] });
    const { canvas, context } = this;
    Object.assign(canvas, { width, height }); // which clears it
    const density = width / view.width;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.imageSmoothingEnabled = view.scale * (view.image.width / picture.width) < 6; // from there on, show pixels
    context.imageSmoothingQuality = smooth;
    drawPart(context, view, picture, [0, 0, view.image.width, view.image.height]);
    if (detail) drawPart(context, view, detail.picture, detail.region);
    return canvas;
  }
}

/**
 * Draw everything.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
export function drawScene(context, scene) {
  const { view } = scene;
  const density = context.canvas.width / view.width;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  if (!scene.picture) return;
  context.drawImage(scene.backdrop.of(scene, context.canvas), 0, 0);
  context.setTransform(density, 0, 0, density, 0, 0);
  const selected = scene.store.entry;
  const others = scene.store.entries.filter((entry) => entry.visible && entry.id !== selected.id);
  for (const entry of [...others, ...(selected.visible ? [selected] : [])]) {
    const layer = scene.layers.of(entry, colorOf(scene, entry), scene);
    if (layer) drawMask(context, scene, layer, scene.opacity, scene.outline);
  }
  if (scene.preview) drawMask(context, scene, scene.preview, Math.max(0.25, scene.opacity * PREVIEW_OPACITY), true);
  if (scene.painting) drawStroke(context, scene, selected);
  const box = scene.drag ?? (selected.box.length ? selected.box : null);
  if (box) drawBox(context, view, box, scene.colors.box);
  for (const [x, y, label] of selected.points) drawClick(context, view.toScreen(x, y), label, scene.colors);
  if (scene.brush) drawBrush(context, view, scene.brush);
  if (scene.cursor) drawCursor(context, view.toScreen(...scene.cursor));
}

function drawPart(context, view, picture, [x1, y1, x2, y2], used = [picture.width, picture.height]) {
  const [left, top] = view.toScreen(x1, y1);
  const [right, bottom] = view.toScreen(x2, y2);
  context.drawImage(picture, 0, 0, ...used, left, top, right - left, bottom - top);
}

function drawMask(context, scene, layer, opacity, hasOutline) {
  const { width, height } = scene.view.image;
  const part = layer.place.map((share, index) => share * (index % 2 ? height : width));
  if (layer.used) {
    drawPart(context, scene.view, layer.fill, part, layer.used); // its opacity and outline are in it
    return;
  }
  context.globalAlpha = opacity;
  drawPart(context, scene.view, layer.fill, part);
  context.globalAlpha = 1;
  if (hasOutline) drawPart(context, scene.view, layer.outline, part);
}

function drawStroke(context, scene, entry) {
  const { adds, radius, path } = scene.painting.stroke;
  context.globalAlpha = adds ? Math.max(0.4, scene.opacity) : 0.6;
  context.strokeStyle = adds ? colorOf(scene, entry) : "white";
  context.lineWidth = Math.max(1, 2 * radius * scene.view.scale);
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(...scene.view.toScreen(...path[0]));
  for (const at of path) context.lineTo(...scene.view.toScreen(...at));
  context.stroke();
  context.globalAlpha = 1;
}

/** @param {CanvasRenderingContext2D} context @param {{toScreen: (x: number, y: number) => number[]}} view */
export function drawBox(context, view, [x1, y1, x2, y2], color) {
  const [left, top] = view.toScreen(x1, y1);
  const [right, bottom] = view.toScreen(x2, y2);
  for (const [style, line] of [["rgba(0,0,0,0.6)", 4.5], [color, 2]]) {
    context.strokeStyle = style;
    context.lineWidth = line;
    context.strokeRect(left, top, right - left, bottom - top);
  }
}

/** A click at a place of the canvas: label 1 to include, 0 to exclude. */
export function drawClick(context, [x, y], label, colors) {
  context.beginPath();
  context.arc(x, y, MARK, 0, 2 * Math.PI);
  context.fillStyle = label === 1 ? colors.include : colors.exclude;
  context.fill();
  context.strokeStyle = "white";
  context.lineWidth = 2;
  context.stroke();
  const arms = label === 1 ? [[-4, 0, 4, 0], [0, -4, 0, 4]] : [[-3, -3, 3, 3], [-3, 3, 3, -3]];
  for (const [ax, ay, bx, by] of arms) {
    context.beginPath();
    context.moveTo(x + ax, y + ay);
    context.lineTo(x + bx, y + by);
    context.stroke();
  }
}

function drawBrush(context, view, { at, radius }) {
  const [x, y] = view.toScreen(...at);
  for (const [style, line] of [["black", 2.5], ["white", 1]]) {
    context.strokeStyle = style;
    context.lineWidth = line;
    context.beginPath();
    context.arc(x, y, Math.max(1, radius * view.scale), 0, 2 * Math.PI);
    context.stroke();
  }
}

/** The cross of the keyboard at a place of the canvas. */
export function drawCursor(context, [x, y]) {
  for (const [style, line] of [["black", 4], ["white", 1.5]]) {
    context.strokeStyle = style;
    context.lineWidth = line;
    context.beginPath();
    context.moveTo(x - CURSOR, y);
    context.lineTo(x + CURSOR, y);
    context.moveTo(x, y - CURSOR);
    context.lineTo(x, y + CURSOR);
    context.stroke();
  }
}
