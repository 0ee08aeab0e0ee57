// Masks as layers: the opacity that Python sends, or a decoder in the browser makes, in the colour of its object.

import { decodeImage } from "./dom.js";

const EDGE = 2; // pixels of an outline around the mask
// as whole numbers: between pixels, a copy is ten times as slow
const OUTLINE = [[2, 0], [1, 1], [0, 2], [-1, 1], [-2, 0], [-1, -1], [0, -2], [1, -1]];
const THUMB = 96; // pixels: the longer side of a thumbnail

/**
 * @typedef {{key: number, masks: DataView[], boxes: number[][], scores: (number | null)[], best: number}} Sent what
 *   Python sends for one object: PNG files, and the box that each covers
 * @typedef {{picture: CanvasImageSource, box: number[], width: number, height: number}} Mask an image whose opacity is
 *   the mask, of the box x1, y1, x2, y2 in width x height pixels; there is nothing outside of it
 * @typedef {{masks: Mask[], scores: (number | null)[], best: number}} Answer the candidates for a prompt
 * @typedef {{fill: HTMLCanvasElement, outline?: HTMLCanvasElement, place: number[], used?: number[]}} Layer a mask in
 *   a colour, and the line around it; `place` is the part of the image that they cover, x1, y1, x2, y2 between 0 and 1;
 *   `used`: width and height of the part of `fill` that is drawn, where it holds the line, too, at its opacity
 */

/** @returns {[HTMLCanvasElement, CanvasRenderingContext2D]} */
export function blankCanvas(width, height, options = {}) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  return [canvas, canvas.getContext("2d", options)];
}

/**
 * Decode what Python sent for one object.
 * @param {Omit<Sent, "key">} sent
 * @param {{width: number, height: number}} size of the masks
 * @returns {Promise<Answer>}
 */
export async function decodeAnswer({ masks, boxes, scores, best }, { width, height }) {
  const decode = async (bytes, index) => {
    const picture = await decodeImage(bytes, "image/png");
    return { picture, box: boxes[index], width, height };
  };
  return { masks: await Promise.all(masks.map(decode)), scores, best };
}

/** Draw a mask on all of a canvas. @param {CanvasRenderingContext2D} context @param {Mask} mask */
export function drawWhole(context, { picture, box: [x1, y1, x2, y2], width, height }) {
  const [across, down] = [context.canvas.width / width, context.canvas.height / height];
  context.drawImage(picture, x1 * across, y1 * down, (x2 - x1) * across, (y2 - y1) * down);
}

/** The index of the mask that is meant: the chosen one, else the best. */
export function chosenMask(answer, choice) {
  return choice === null || choice >= answer.masks.length ? answer.best : choice;
}

/**
 * A mask with the strokes of a brush and an eraser.
 * @param {Mask | null} mask
 * @param {import("./store.js").Stroke[]} strokes
 * @param {{width: number, height: number}} size of the layer
 * @param {number} scale pixels of the layer for a pixel of the image
 * @returns {Mask}
 */
export function paintedMask(mask, strokes, size, scale) {
  const [canvas, context] = blankCanvas(size.width, size.height);
  if (mask) drawWhole(context, mask);
  context.lineCap = context.lineJoin = "round";
  for (const { adds, radius, path } of strokes) {
    context.globalCompositeOperation = adds ? "source-over" : "destination-out";
    context.lineWidth = Math.max(1, 2 * radius * scale);
    context.strokeStyle = "white";
    context.beginPath();
    context.moveTo(path[0][0] * scale, path[0][1] * scale);
    for (const [x, y] of path.length > 1 ? path.slice(1) : path) context.lineTo(x * scale, y * scale);
    context.stroke();
  }
  const { width, height } = canvas;
  return { picture: canvas, box: [0, 0, width, height], width, height };
}

/** A mask in a colour, with a line in the same or another one. @param {Mask} mask @returns {Layer} */
export function layerOf(mask, color, line = color) {
  const { picture, box, width, height } = mask;
  const [x1, y1, x2, y2] = [box[0] - EDGE, box[1] - EDGE, box[2] + EDGE, box[3] + EDGE];
  const place = [x1 / width, y1 / height, x2 / width, y2 / height];
  const size = [x2 - x1, y2 - y1];
  return { fill: tinted(picture, size, color), outline: outlined(picture, size, line), place };
}

function tinted(picture, size, color) {
  const [canvas, context] = blankCanvas(...size);
  context.drawImage(picture, EDGE, EDGE);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = color;
  context.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}

/** The line just outside of a mask. */
function outlined(picture, size, color) {
  const [canvas, context] = blankCanvas(...size);
  for (const [x, y] of OUTLINE) context.drawImage(picture, EDGE + x, EDGE + y);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = color;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "destination-out";
  context.drawImage(picture, EDGE, EDGE);
  return canvas;
}

/** Layers of all objects, made again only where something changed. */
export class Layers {
  /** @param {{width: number, height: number}} size of the layers @param {number} scale layer pixels per image pixel */
  constructor(size, scale) {
    this.size = size;
    this.scale = scale;
    /** @type {Map<number, Answer>} */
    this.answers = new Map();
    this.drawn = new Map();
    this.latest = {};
  }

  /**
   * Take what Python sent, and decode what is new of it. Resolves when all of it can be drawn.
   * @param {Record<string, Sent>} sent by id
   */
  async take(sent) {
    this.latest = sent;
    const decode = async ([id, layer]) => {
      const known = this.answers.get(Number(id));
      const isKnown = known && known.key === layer.key;
      return [Number(id), isKnown ? known : { ...(await decodeAnswer(layer, this.size)), key: layer.key }];
    };
    const answers = new Map(await Promise.all(Object.entries(sent).map(decode)));
    if (this.latest === sent) this.answers = answers; // else something newer came meanwhile
  }

  /**
   * The mask of an object in its colour, or null if it has none.
   * @param {import("./store.js").Entry} entry
   * @param {string} color
   * @returns {Layer | null}
   */
  of(entry, color) {
    const answer = entry.points.length || entry.box.length ? this.answers.get(entry.id) : undefined;
    const mask = answer ? answer.masks[chosenMask(answer, entry.choice)] : null;
    if (!mask && !entry.strokes.length) return null;
    const before = this.drawn.get(entry.id);
    if (before && before.mask === mask && before.strokes === entry.strokes && before.color === color) return before;
    const painted = entry.strokes.length ? paintedMask(mask, entry.strokes, this.size, this.scale) : mask;
    const layer = { mask, strokes: entry.strokes, color, ...layerOf(painted, color) };
    this.drawn.set(entry.id, layer);
    return layer;
  }
}

/** A small picture of a candidate: the image, grey outside of the mask. @param {Mask} mask */
export function thumbnail(picture, mask, color) {
  const scale = THUMB / Math.max(picture.width, picture.height);
  const [canvas, context] = blankCanvas(picture.width * scale, picture.height * scale);
  const [inside, cut] = blankCanvas(canvas.width, canvas.height);
  const all = [0, 0, canvas.width, canvas.height];
  cut.drawImage(picture, ...all);
  cut.globalAlpha = 0.45;
  cut.fillStyle = color;
  cut.fillRect(...all);
  cut.globalAlpha = 1;
  cut.globalCompositeOperation = "destination-in";
  drawWhole(cut, mask);
  context.filter = "grayscale(1) brightness(0.6)";
  context.drawImage(picture, ...all);
  context.filter = "none";
  context.drawImage(inside, 0, 0);
  return canvas;
}
