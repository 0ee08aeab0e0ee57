// Canvases between photographs, masks and the model: pixels to encode, masks to draw.

import { blankCanvas } from "./layers.js";
import { whiteOf } from "./masks.js";

export const LONGEST_KEPT = 4096; // pixels: a larger photograph is scaled down

/** The size of an image whose longer side is at most `longest`. @returns {{width: number, height: number}} */
export function fitted({ width, height }, longest) {
  const scale = Math.min(1, longest / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** Open a photograph; a very large one is scaled down. @param {Blob} blob @returns {Promise<ImageBitmap>} */
export async function openPhoto(blob) {
  const photo = await createImageBitmap(blob);
  const { width, height } = fitted(photo, LONGEST_KEPT);
  if (width === photo.width && height === photo.height) return photo;
  return createImageBitmap(photo, { resizeWidth: width, resizeHeight: height, resizeQuality: "high" });
}

/** The pixels of an image on white, not larger than `longest`. @returns {ImageData} */
export function pixelsOf(image, longest) {
  const { width, height } = fitted(image, longest);
  const [, context] = blankCanvas(width, height, { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/**
 * What the decoder of the browser found, as it is drawn.
 * @param {import("./decode.js").Decoded & {masks: import("./masks.js").Opacity[]}} found
 * @returns {import("./layers.js").Answer}
 */
export function answerOf({ masks, scores, order, best }) {
  return { masks: masks.map(cropped), scores: order.map((number) => scores[number]), best: order.indexOf(best) };
}

/** A mask as a white canvas. @param {import("./masks.js").Opacity} mask @returns {import("./layers.js").Mask} */
function cropped(mask) {
  const { box, width, height } = mask;
  const [canvas, context] = blankCanvas(box[2] - box[0], box[3] - box[1]);
  context.putImageData(whiteOf(mask), 0, 0);
  return { picture: canvas, box, width, height };
}
