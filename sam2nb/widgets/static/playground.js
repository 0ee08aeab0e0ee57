// The page without Python: choose a photograph, point at an object, take it home.

import { embeddedBytes, embeddedText } from "./embedded.js";
import { cutOutOf, logitsOf, maskOf } from "./masks.js";
import { blank, layerOf, pixelsOf, sized, thumbnailOf } from "./pictures.js";
import { openModel } from "./remote.js";
import { Stage } from "./stage.js";

const LONGEST_KEPT = 4096; // pixels: a larger photograph is scaled down
const LONGEST_ENCODED = 2048; // pixels, before the model's own resize
const HOVER_OPACITY = 0.35;
const MASK_OPACITY = 0.5;

const $ = (id) => /** @type {any} */ (document.getElementById(id));
const state = {
  model: null,
  photo: null, // ImageBitmap
  number: null, // of the photograph in the model, null while it is encoded
  name: "photo",
  history: [], // prompts in their order: {point: [x, y, label]} or {box}
  answer: null, // what the model answered to them
  choice: 0, // the number of the mask that is shown
  hover: null, // where the pointer is
};
const stage = new Stage($("canvas"), { hover, point: addPoint, box: addBox, wheel: cycle, key: pressKey });
// For the tests: times in milliseconds since the page was opened, and what was prompted.
const times = (window.times = { hovers: [] });
window.state = state;

function tell(text, isProblem = false) {
  $("status").textContent = text;
  $("status").classList.toggle("problem", isProblem);
}

// --- photographs ---------------------------------------------------------------------------------------------------

async function openPhoto(blob, name) {
  let photo;
  try {
    photo = await createImageBitmap(blob);
    const scale = LONGEST_KEPT / Math.max(photo.width, photo.height);
    if (scale < 1) photo = await createImageBitmap(photo, sized(photo, scale));
  } catch {
    tell(`${name} cannot be opened: it is no photograph that this browser can read, or too large.`, true);
    return;
  }
  Object.assign(state, { photo, name: name.replace(/\.\w+$/, ""), history: [], answer: null, hover: null });
  $("canvas").setAttribute("aria-label", `${state.name}, ${photo.width} by ${photo.height} pixels`);
  stage.show(photo);
  refresh();
  if (state.model) await encode();
}

async function encode() {
  const { photo } = state;
  if (state.number !== null) state.model.forget(state.number);
  state.number = null;
  tell("Looking at the photograph…");
  try {
    const number = await state.model.see(pixelsOf(photo, LONGEST_ENCODED));
    if (state.photo !== photo) return state.model.forget(number); // another one was opened meanwhile
    state.number = number;
    times.encoded = performance.now();
    tell("Move over an object, and click on it.");
    if (state.history.length) await answer();
    else if (state.hover) await hover(state.hover);
  } catch (error) {
    tell(error.message, true);
  }
  return undefined;
}

// --- prompts and masks -----------------------------------------------------------------------------------------------

/** A prompt in the pixels that were encoded: the model keeps the size of what it saw. */
function ask(points, box) {
  const { photo } = state;
  const scale = Math.min(1, LONGEST_ENCODED / Math.max(photo.width, photo.height));
  const scaled = points.map(([x, y, label]) => [x * scale, y * scale, label]);
  return state.model.decode(state.number, { points: scaled, box: box && box.map((value) => value * scale) });
}

async function hover(at) {
  state.hover = at;
  if (state.history.length || !state.photo) return;
  if (at && state.number === null) return; // asked again as soon as the photograph is encoded
  const started = performance.now();
  const found = at ? await attempt(() => ask([[...at, 1]], null)) : null;
  if ((at && !found) || state.history.length || state.hover !== at) return;
  stage.mask = found && layerOf(state.photo, found, found.best, HOVER_OPACITY);
  stage.draw();
  if (!found) return;
  times.firstMask ??= performance.now();
  times.hovers.push(performance.now() - started);
  tell(`Here? Click to take it (predicted IoU ${found.scores[found.best].toFixed(2)}).`);
}

function addPoint(at, label) {
  state.history.push({ point: [...at, label] });
  answer();
}

function addBox(box) {
  state.history.push({ box });
  answer();
}

function undo() {
  state.history.pop();
  answer();
}

function clear() {
  state.history = [];
  answer();
}

async function answer() {
  const points = state.history.flatMap((entry) => (entry.point ? [entry.point] : []));
  const box = state.history.filter((entry) => entry.box).at(-1)?.box ?? null;
  Object.assign(stage, { points, box });
  if (!state.history.length) state.answer = stage.mask = null;
  refresh();
  if (!state.history.length || state.number === null) return;
  const found = await attempt(() => ask(points, box));
  if (!found) return; // a newer prompt is on its way
  if (!state.history.length) return;
  state.answer = found;
  choose(found.best);
}

/** What a call resolves with; a failure is told, and null. */
async function attempt(call) {
  try {
    return await call();
  } catch (error) {
    tell(error.message, true);
    return null;
  }
}

function choose(number) {
  state.choice = number;
  stage.mask = layerOf(state.photo, state.answer, number, MASK_OPACITY);
  refresh();
  const share = ((100 * stage.mask.area) / (stage.mask.fill.width * stage.mask.fill.height)).toFixed(1);
  tell(`${share} % of the photograph, predicted IoU ${state.answer.scores[number].toFixed(2)}.`);
}

function cycle(step) {
  if (!state.answer) return;
  const { order } = state.answer;
  choose(order[(order.indexOf(state.choice) + step + order.length) % order.length]);
}

// --- buttons and keys ------------------------------------------------------------------------------------------------

function refresh() {
  $("undo").disabled = $("clear").disabled = !state.history.length;
  $("save").disabled = !state.answer;
  $("candidates").replaceChildren(...(state.answer ? state.answer.order.map(candidate) : []));
  stage.draw();
}

/** A button with a small picture of a mask. */
function candidate(number, index) {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-pressed", String(number === state.choice));
  button.setAttribute("aria-label", `mask ${index + 1}, predicted IoU ${state.answer.scores[number].toFixed(2)}`);
  button.append(thumbnailOf(state.photo, state.answer, number), state.answer.scores[number].toFixed(2));
  button.addEventListener("click", () => choose(number));
  return button;
}

function pressKey(key) {
  const keys = { u: undo, Backspace: undo, c: clear, s: save };
  if (keys[key]) keys[key]();
  else if (state.answer?.order[Number(key) - 1] !== undefined) choose(state.answer.order[Number(key) - 1]);
  else return false;
  return true;
}

async function save() {
  if (!state.answer) return;
  try {
    const image = pixelsOf(state.photo, LONGEST_KEPT);
    const mask = maskOf(logitsOf(state.answer, state.choice), state.answer.size, image.width, image.height);
    const { picture } = cutOutOf(image, mask);
    const [canvas, context] = blank(picture.width, picture.height);
    context.putImageData(picture, 0, 0);
    canvas.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(/** @type {Blob} */ (blob));
      link.download = `${state.name}_cut_out.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    }, "image/png");
  } catch (error) {
    tell(error.message, true);
  }
}

function setUpPage() {
  for (const button of document.querySelectorAll("[data-label]")) {
    button.addEventListener("click", () => {
      stage.label = Number(button.dataset.label);
      for (const other of document.querySelectorAll("[data-label]")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
    });
  }
  for (const [id, act] of Object.entries({ undo, clear, save, open: () => $("file").click() })) {
    $(id).addEventListener("click", act);
  }
  $("file").addEventListener("change", ({ target }) => {
    if (target.files.length) openPhoto(target.files[0], target.files[0].name);
    target.value = "";
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    $("drop").hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) $("drop").hidden = true;
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").hidden = true;
    const file = [...event.dataTransfer.files].find((one) => one.type.startsWith("image/"));
    if (file) openPhoto(file, file.name);
    else tell("That is no photograph: drop a JPEG, PNG or WebP file.", true);
  });
}

/** Buttons for the photographs of the page; the first one is shown. */
async function showSamples() {
  const samples = [...document.querySelectorAll("script[data-photo]")];
  for (const { id, dataset } of samples) {
    const blob = new Blob([await embeddedBytes(id)], { type: "image/jpeg" });
    const button = document.createElement("button");
    const picture = document.createElement("img");
    Object.assign(button, { type: "button", className: "sample", title: dataset.photo });
    Object.assign(picture, { src: URL.createObjectURL(blob), alt: dataset.photo });
    button.append(picture);
    button.addEventListener("click", () => openPhoto(blob, `${dataset.photo}.jpg`));
    $("samples").append(button);
    if (id === samples[0].id) await openPhoto(blob, `${dataset.photo}.jpg`);
  }
}

async function main() {
  setUpPage();
  refresh();
  await showSamples();
  try {
    const files = ["runtime-wasm", "image_encoder", "mask_decoder"].map(embeddedBytes);
    const [wasm, encoder, decoder] = await Promise.all(files);
    const runtime = { code: await embeddedText("runtime-code"), wasm };
    const model = { facts: JSON.parse(await embeddedText("facts")), encoder, decoder, optimised: true };
    state.model = await openModel({ runtime, model, worker: $("worker").textContent });
    times.opened = performance.now();
  } catch (error) {
    tell(error.message, true);
    return;
  }
  await encode();
}

main();
