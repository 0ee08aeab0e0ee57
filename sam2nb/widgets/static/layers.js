// Masks as layers: the opacity that Python sends, or a decoder in the browser makes, in the colour of its object.

import { decodeImage } from "./dom.js";

const OUTLINE = 1.5; // pixels of the layer
const THUMB = 96; // pixels: the longer side of a thumbnail

/**
 * @typedef {{masks: CanvasImageSource[], scores: (number | null)[], best: number}} Answer the candidates for a prompt,
 *   as images whose opacity is the mask
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
 * @param {{masks: DataView[], scores: (number | null)[], best: number}} sent
 * @returns {Promise<Answer>}
 */
export async function decodeAnswer({ masks, scores, best }) {
  return { masks: await Promise.all(masks.map((bytes) => decodeImage(bytes, "image/png"))), scores, best };
}

/** The index of the mask that is meant: the chosen one, else the best. */
export function chosenMask(answer, choice) {
  return choice === null || choice >= answer.masks.length ? answer.best : choice;
}

/**
 * A mask with the strokes of a brush and an eraser, as opacity.
 * @param {CanvasImageSource | null} mask
 * @param {import("./store.js").Stroke[]} strokes
 * @param {{width: number, height: number}} size of the layer
 * @param {number} scale pixels of the layer for a pixel of the image
 */
export function paintedMask(mask, strokes, size, scale) {
  const [canvas, context] = blankCanvas(size.width, size.height);
  if (mask) context.drawImage(mask, 0, 0, canvas.width, canvas.height);
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
  return canvas;
}

/** A mask in a colour. @param {CanvasImageSource & {width: number, height: number}} mask */
export function tinted(mask, color) {
  const [canvas, context] = blankCanvas(mask.width, mask.height);
  context.drawImage(mask, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = color;
  context.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}

/** The outline of a mask in a colour, just outside of it. */
export function outlined(mask, color) {
  const [canvas, context] = blankCanvas(mask.width, mask.height);
  for (let step = 0; step < 8; step += 1) {
    const angle = (step * Math.PI) / 4;
    context.drawImage(mask, OUTLINE * Math.cos(angle), OUTLINE * Math.sin(angle));
  }
  context.globalCompositeOperation = "source-in";
  context.fillStyle = color;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "destination-out";
  context.drawImage(mask, 0, 0);
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
   * @param {Record<string, {key: number, masks: DataView[], scores: (number | null)[], best: number}>} sent by id
   */
  async take(sent) {
    this.latest = sent;
    const decode = async ([id, layer]) => {
      const known = this.answers.get(Number(id));
      const isKnown = known && known.key === layer.key;
      return [Number(id), isKnown ? known : { ...(await decodeAnswer(layer)), key: layer.key }];
    };
    const answers = new Map(await Promise.all(Object.entries(sent).map(decode)));
    if (this.latest === sent) this.answers = answers; // else something newer came meanwhile
  }

  /**
   * The coloured mask of an object and its outline, or null if it has none.
   * @param {import("./store.js").Entry} entry
   * @param {string} color
   */
  of(entry, color) {
    const answer = entry.points.length || entry.box.length ? this.answers.get(entry.id) : undefined;
    const mask = answer ? answer.masks[chosenMask(answer, entry.choice)] : null;
    if (!mask && !entry.strokes.length) return null;
    const before = this.drawn.get(entry.id);
    if (before && before.mask === mask && before.strokes === entry.strokes && before.color === color) return before;
    const painted = paintedMask(mask, entry.strokes, this.size, this.scale);
    const layer = {
      mask,
      strokes: entry.strokes,
      color,
      fill: tinted(painted, color),
      outline: outlined(painted, color),
    };
    this.drawn.set(entry.id, layer);
    return layer;
  }
}

/** A small picture of a candidate: the image, grey outside of the mask. */
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
  cut.drawImage(mask, ...all);
  context.filter = "grayscale(1) brightness(0.6)";
  context.drawImage(picture, ...all);
  context.filter = "none";
  context.drawImage(inside, 0, 0);
  return canvas;
}
