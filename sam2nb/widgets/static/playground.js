// The page without Python: choose a photograph, point at an object, take it home.

import { button } from "./dom.js";
import { embeddedBytes, embeddedText } from "./embedded.js";
import { openPhoto, pixelsOf } from "./pictures.js";
import { Pointing } from "./pointing.js";
import { openModel } from "./remote.js";

const LONGEST_ENCODED = 2048; // pixels, before the model's own resize

const $ = (id) => /** @type {any} */ (document.getElementById(id));
const names = ["canvas", "status", "candidates", "undo", "clear", "save"];
const parts = Object.fromEntries(names.map((name) => [name, $(name)]));
const labels = /** @type {HTMLButtonElement[]} */ ([...document.querySelectorAll("[data-label]")]);
const pointing = new Pointing(/** @type {any} */ ({ ...parts, labels }), tallest);
Object.assign(window, { pointing }); // for the tests

/** The height left for the photograph, so that all of the page is in view; what a person unfolded may not be. */
function tallest() {
  const details = /** @type {HTMLDetailsElement} */ (document.querySelector("footer details"));
  const unfolded = details.open ? details.offsetHeight - details.querySelector("summary").offsetHeight : 0;
  return innerHeight - (document.body.offsetHeight - $("stage").offsetHeight - unfolded);
}

async function open(blob, name) {
  let photo;
  try {
    photo = await openPhoto(blob);
  } catch {
    pointing.tell(`${name} cannot be opened: it is no photograph that this browser can read, or too large.`, true);
    return;
  }
  pointing.open(photo, name.replace(/\.\w+$/, ""));
  if (pointing.model) await pointing.look(pixelsOf(photo, LONGEST_ENCODED));
}

function listenToFiles() {
  $("open").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", ({ target }) => {
    if (target.files.length) open(target.files[0], target.files[0].name);
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
    if (file) open(file, file.name);
    else pointing.tell("That is no photograph: drop a JPEG, PNG or WebP file.", true);
  });
}

/** Buttons for the photographs of the page; the first one is shown. */
async function showSamples() {
  const samples = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("script[data-photo]")]);
  const blobs = samples.map(async ({ id, dataset }) => {
    const blob = new Blob([await embeddedBytes(id)], { type: "image/jpeg" });
    const node = button("", () => open(blob, `${dataset.photo}.jpg`), { class: "sample", title: dataset.photo });
    const picture = document.createElement("img");
    Object.assign(picture, { src: URL.createObjectURL(blob), alt: dataset.photo });
    node.append(picture);
    return { node, blob };
  });
  const made = await Promise.all(blobs);
  $("samples").append(...made.map(({ node }) => node));
  await open(made[0].blob, `${samples[0].dataset.photo}.jpg`);
}

async function loadModel() {
  const files = ["runtime-wasm", "image_encoder", "mask_decoder"].map(embeddedBytes);
  const [wasm, encoder, decoder] = await Promise.all(files);
  const runtime = { code: await embeddedText("runtime-code"), wasm };
  const model = { facts: JSON.parse(await embeddedText("facts")), encoder, decoder, optimised: true };
  return openModel({ runtime, model, worker: $("worker").textContent });
}

async function main() {
  listenToFiles();
  const loading = loadModel();
  loading.catch(() => {}); // told below
  await showSamples();
  try {
    pointing.model = await loading;
    pointing.times.opened = performance.now();
  } catch (error) {
    pointing.tell(error.message, true);
    return;
  }
  await pointing.look(pixelsOf(pointing.photo, LONGEST_ENCODED));
}

main();
