// Canvases of the playground: the pixels of a photograph, a mask in its colour, a candidate as a thumbnail.

import { logitsOf, maskOf, overlayOf } from "./masks.js";

const LONGEST_SHOWN = 480; // pixels: the longer side of a mask on the screen
const THUMB = 56; // pixels: the longer side of a candidate
const COLOR = /** @type {[number, number, number]} */ ([0, 158, 255]);
const OUTLINE = 1.25; // pixels of the mask

/** Options that scale a photograph while it is opened. */
export function sized({ width, height }, scale) {
  const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  return { resizeWidth, resizeHeight, resizeQuality: /** @type {const} */ ("high") };
}

/** The pixels of an image on white, not larger than `longest`. @returns {ImageData} */
export function pixelsOf(image, longest) {
  const scale = Math.min(1, longest / Math.max(image.width, image.height));
  const [, context] = blank(image.width * scale, image.height * scale);
  const { width, height } = context.canvas;
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** @returns {[HTMLCanvasElement, CanvasRenderingContext2D]} */
export function blank(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  return [canvas, /** @type {any} */ (canvas.getContext("2d", { willReadFrequently: true }))];
}

/** A mask as it is drawn: its fill and its outline, a little larger. */
export function layerOf(photo, found, number, opacity) {
  const scale = Math.min(1, LONGEST_SHOWN / Math.max(photo.width, photo.height));
  const [fill, context] = blank(photo.width * scale, photo.height * scale);
  const mask = maskOf(logitsOf(found, number), found.size, fill.width, fill.height);
  context.putImageData(overlayOf(mask, COLOR), 0, 0);
  const [outline, edge] = blank(fill.width, fill.height);
  for (const [x, y] of [[-1, 0], [1, 0], [0, -1], [0, 1]]) edge.drawImage(fill, x * OUTLINE, y * OUTLINE);
  edge.globalCompositeOperation = "source-in";
  edge.fillStyle = "white";
  edge.fillRect(0, 0, outline.width, outline.height);
  edge.globalCompositeOperation = "destination-out";
  edge.drawImage(fill, 0, 0);
  return { fill, outline, opacity, area: mask.area };
}

/** A small picture of a photograph inside one of the masks. @returns {HTMLCanvasElement} */
export function thumbnailOf(photo, found, number) {
  const scale = THUMB / Math.max(photo.width, photo.height);
  const [canvas, context] = blank(photo.width * scale, photo.height * scale);
  const mask = maskOf(logitsOf(found, number), found.size, canvas.width, canvas.height);
  context.putImageData(overlayOf(mask, [255, 255, 255]), 0, 0);
  context.globalCompositeOperation = "source-in";
  context.drawImage(photo, 0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}
