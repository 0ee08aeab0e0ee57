// Elements of a page, and what the widgets share.

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {string} [text]
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}

/**
 * Make a button that calls `act`.
 * @param {string} text
 * @param {() => void} act
 * @param {Record<string, string>} [attributes]
 * @returns {HTMLButtonElement}
 */
export function button(text, act, attributes = {}) {
  const node = element("button", { type: "button", ...attributes }, text);
  node.addEventListener("click", act);
  return /** @type {HTMLButtonElement} */ (node);
}

/**
 * Make an element that holds others.
 * @param {Record<string, string>} attributes
 * @param {...(Node | string)} nodes
 * @returns {HTMLElement}
 */
export function holder(attributes, ...nodes) {
  const node = element("div", attributes);
  node.append(...nodes);
  return node;
}

/**
 * Make a group of controls.
 * @param {string} label
 * @param {...Node} members
 */
export function group(label, ...members) {
  return holder({ class: "sam2nb-group", role: "group", "aria-label": label }, ...members);
}

/**
 * Make a slider with its label and, if `show` is given, its value in words.
 * @param {string} text
 * @param {{min: number, max: number, step: number, value: number}} range
 * @param {(value: number) => void} act called while the slider moves
 * @param {(value: number) => string} [show]
 * @returns {{row: HTMLElement, set: (value: number) => void}}
 */
export function slider(text, range, act, show) {
  const row = element("label", { class: "sam2nb-slider" });
  const input = /** @type {HTMLInputElement} */ (element("input", { type: "range", "aria-label": text }));
  for (const name of ["min", "max", "step", "value"]) input.setAttribute(name, String(range[name]));
  const output = element("output");
  const set = (value) => {
    input.value = String(value);
    output.textContent = show ? show(Number(input.value)) : "";
  };
  input.addEventListener("input", () => {
    set(Number(input.value));
    act(Number(input.value));
  });
  row.append(element("span", {}, text), input, output);
  set(range.value);
  return { row, set };
}

/**
 * Decode an image file. Bytes from Python arrive as a DataView.
 * @param {DataView | Uint8Array} bytes
 * @param {string} type
 * @returns {Promise<ImageBitmap>}
 */
export function decodeImage(bytes, type) {
  return createImageBitmap(new Blob([bytes], { type }));
}

/**
 * Offer bytes as a file.
 * @param {DataView | Blob} bytes
 * @param {string} name
 * @param {string} type
 */
export function download(bytes, name, type) {
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/**
 * Clamp a number.
 * @param {number} value
 * @param {number} least
 * @param {number} most
 */
export function clamp(value, least, most) {
  return Math.min(Math.max(value, least), most);
}

/**
 * Start a view that follows a model.
 * @param {any} model
 * @param {{start: () => void, close: () => void}} view
 * @param {Record<string, () => void>} handlers by the name of the event
 * @returns {() => void} ends it
 */
export function mount(model, view, handlers) {
  for (const [name, handler] of Object.entries(handlers)) model.on(name, handler);
  view.start();
  return () => {
    for (const [name, handler] of Object.entries(handlers)) model.off(name, handler);
    view.close();
  };
}
