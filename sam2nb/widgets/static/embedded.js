// Files that travel inside a page, as base64 in its <script> elements, some of them compressed.

/**
 * The bytes of one file of the page.
 * @param {string} id of its element
 * @returns {Promise<ArrayBuffer>}
 */
export async function embeddedBytes(id) {
  const { textContent, dataset } = /** @type {HTMLElement} */ (document.getElementById(id));
  const raw = fromBase64(textContent.trim());
  if (dataset.packed !== "gzip") return raw.buffer;
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** The text of one file of the page. @param {string} id */
export async function embeddedText(id) {
  return new TextDecoder().decode(await embeddedBytes(id));
}

/** @param {string} text @returns {Uint8Array} */
function fromBase64(text) {
  if ("fromBase64" in Uint8Array) return Uint8Array.fromBase64(text);
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return bytes;
}
