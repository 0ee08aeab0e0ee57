// Files that travel inside a page, as base64 in its <script> elements, some of them compressed.

import { unpacked } from "./decode.js";

/**
 * The bytes of one file of the page.
 * @param {string} id of its element
 * @returns {Promise<ArrayBuffer>}
 */
export async function embeddedBytes(id) {
  const { textContent, dataset } = /** @type {HTMLElement} */ (document.getElementById(id));
  const raw = bytesOfBase64(textContent.trim());
  return dataset.packed === "gzip" ? unpacked(raw) : raw.buffer;
}

/** The text of one file of the page. @param {string} id */
export async function embeddedText(id) {
  return new TextDecoder().decode(await embeddedBytes(id));
}

/** @param {string} text in base64 @returns {Uint8Array} */
export function bytesOfBase64(text) {
  if ("fromBase64" in Uint8Array) return Uint8Array.fromBase64(text);
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return bytes;
}
