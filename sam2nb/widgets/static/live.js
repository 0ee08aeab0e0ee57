// Live pictures in the pages of the notebooks: the still picture gives way to one that can be pointed at. The model's
// decoder, onnxruntime-web and the style are in window.sam2nbLive, see sam2nb/widgets/live_page.py.

import { unpacked } from "./decode.js";
import { button, element } from "./dom.js";
import { bytesOfBase64 } from "./embedded.js";
import { openPhoto } from "./pictures.js";
import { Pointing } from "./pointing.js";
import { openModel } from "./remote.js";

const TALLEST = 0.7; // of the window
const OPENING = "Opening the model…";

const { style, facts, worker, code, wasm, decoder } = window.sam2nbLive;
/** @type {Promise<import("./remote.js").Model> | null} */
let opened = null;

/** One model for all pictures of the page. */
function theModel() {
  const open = async () => {
    const runtime = { code, wasm: await unpacked(bytesOfBase64(wasm)) };
    return openModel({ runtime, model: { facts, decoder: bytesOfBase64(decoder) }, worker });
  };
  opened ??= open();
  return opened;
}

/** Features of 8 bits as numbers. */
function restored({ low, step, levels }) {
  const numbers = (text) => new Float32Array(bytesOfBase64(text).buffer);
  const [lows, steps, raw] = [numbers(low), numbers(step), bytesOfBase64(levels)];
  const area = raw.length / lows.length;
  return Float32Array.from(raw, (level, index) => {
    const channel = Math.floor(index / area);
    return lows[channel] + level * steps[channel];
  });
}

/** Build the elements around a picture. @returns {{root: HTMLElement, parts: import("./pointing.js").Parts}} */
function build() {
  const root = element("div", { class: "sam2nb sam2nb-live-view" });
  const stage = element("div");
  const bar = element("div", { class: "sam2nb-bar" });
  const labels = [["1", "+ include"], ["0", "− exclude"]].map(([label, text]) =>
    button(text, () => {}, { "data-label": label, "aria-pressed": String(label === "1") }),
  );
  const [undo, clear, save] = ["undo", "clear", "PNG"].map((text) => button(text, () => {}));
  const candidates = element("div", { class: "sam2nb-masks", role: "group", "aria-label": "masks to choose from" });
  const status = element("div", { class: "sam2nb-status", role: "status", "aria-live": "polite" });
  const canvas = /** @type {HTMLCanvasElement} */ (element("canvas", { tabindex: "0", role: "application" }));
  bar.append(...labels, undo, clear, save);
  stage.append(canvas);
  root.append(stage, bar, candidates, status);
  return { root, parts: { canvas, status, candidates, undo, clear, save, labels } };
}

async function start(place) {
  const note = place.querySelector("p");
  const live = JSON.parse(place.querySelector("script").textContent);
  const { picture, size, prompts, alt, width, height, features } = live;
  note.textContent = OPENING;
  const { root, parts } = build();
  try {
    const photo = await openPhoto(new Blob([bytesOfBase64(picture)], { type: "image/jpeg" }));
    const model = await theModel();
    place.querySelector("img").replaceWith(root);
    note.textContent = "Live: sam2nb_nano, a small model, answers in this page, without Python.";
    const pointing = new Pointing(parts, () => TALLEST * innerHeight);
    Object.assign(pointing, { model });
    pointing.open(photo, alt);
    const first = prompts.find(({ points, box }) => points.length || box.length);
    if (first) pointing.history = promptsOf(first, width / size[0]);
    const maps = Object.fromEntries(Object.entries(features).map(([name, map]) => [name, restored(map)]));
    await pointing.look(/** @type {any} */ ({ ...maps, width, height }));
    place.pointing = pointing; // for the tests
    place.dataset.live = "yes";
  } catch (error) {
    note.textContent = `A still picture: ${error.message}`;
  }
}

/** The prompts of an object of the widget, in pixels of the picture. */
function promptsOf({ points, box }, scale) {
  const scaled = points.map(([x, y, label]) => ({ point: [x * scale, y * scale, label] }));
  return [...(box.length ? [{ box: box.map((value) => value * scale) }] : []), ...scaled];
}

window.sam2nbStart = () => {
  for (const place of document.querySelectorAll(".sam2nb-live[data-wanted]:not([data-started])")) {
    place.dataset.started = "yes";
    start(place);
  }
};
document.head.append(element("style", {}, style));
window.sam2nbStart();
