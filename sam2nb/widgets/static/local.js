// The decoder in the browser: the model's own mask decoder on features that Python sent once, beside the page. Masks
// under the mouse then need no Python, and clicks are shown at once; Python's masks take their place as they come.

import { fitted, answerOf } from "./pictures.js";
import { openModel } from "./remote.js";
import { unpacked, widened } from "./decode.js";

const LONGEST_PREVIEW = 512; // pixels of a mask
const LONGEST_OTHER = 128; // of those that are not chosen, until Python's come or one of them is chosen
const SOON = 250; // milliseconds: a Python that answers within these is given the processor first
const LATE = 1.5; // times its last answer: then the browser no longer waits for it
const NO_WASM = "This browser has no WebAssembly, so that Python makes the masks.";

/** Models that are open in this page, for all its widgets. @type {Map<string, {model: Promise<any>, users: number}>} */
const openModels = (globalThis.sam2nbModels ??= new Map());

/** @implements {import("./kernel.js").Decoder} */
export class LocalDecoder {
  /**
   * @param {import("./remote.js").Model} model
   * @param {number} image its number in the model
   * @param {{width: number, height: number}} shown size of the masks
   * @param {() => void} release lets go of the model
   */
  constructor(model, image, shown, release) {
    Object.assign(this, { model, image, shown, release });
  }

  /**
   * Open the decoder that Python offers, with WebGPU where there is one.
   * @param {import("./kernel.js").Kernel} kernel
   * @param {{width: number, height: number}} size of the masks that Python sends
   * @returns {Promise<{decoder?: LocalDecoder, line: string}>} the line says why there is none
   */
  static async open(kernel, size) {
    if (typeof WebAssembly === "undefined") return { line: NO_WASM };
    const shown = fitted(size, LONGEST_PREVIEW);
    if (await hasGpu()) {
      const decoder = await LocalDecoder.openWith(kernel, shown, true).catch(() => null);
      if (decoder) return { decoder, line: "" };
    }
    try {
      return { decoder: await LocalDecoder.openWith(kernel, shown, false), line: "" };
    } catch (error) {
      return { line: error.message };
    }
  }

  static async openWith(kernel, shown, gpu) {
    const ask = async (part) => {
      const { content, buffers } = await kernel.ask({ kind: "decoder", part, gpu }, { patience: null });
      if (content.problem || "missing" in content) throw new Error(content.problem ?? content.missing);
      return { content, buffers };
    };
    const { content: offer } = await ask("offer");
    const opened = openModels.get(offer.key) ?? { model: fetchModel(ask, offer.facts, gpu), users: 0 };
    openModels.set(offer.key, opened);
    opened.users += 1;
    const release = () => releaseModel(offer.key);
    try {
      const model = await opened.model;
      const decoder = new LocalDecoder(model, await model.see(await fetchFeatures(ask)), shown, release);
      if (gpu) await decoder.preview(0, 0); // an operation that the GPU cannot do shows here
      return decoder;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** The masks for a click that was not made; null if a newer one took its place. */
  preview(x, y, choice = null) {
    return this.decode({ points: [[x, y, 1]] }, { choice });
  }

  /**
   * The masks for an object until Python's come; null for a closer look, which only Python can take.
   * @param {import("./store.js").Entry} entry
   */
  answer({ points, box, choice, look }) {
    if (look !== null || (!points.length && !box.length)) return Promise.resolve(null);
    const isAmbiguous = points.length === 1 && !box.length;
    return this.decode({ points, box, choice }, isAmbiguous ? { choice } : { only: "best" }); // one, as Python gives
  }

  async decode(prompt, wanted) {
    const small = fitted(this.shown, LONGEST_OTHER);
    const found = await this.model.decode(this.image, prompt, { ...this.shown, small, ...wanted });
    return found && answerOf(found);
  }

  close() {
    this.model.forget(this.image).catch(() => {});
    this.release();
  }
}

/** Whether there is a GPU that computes; one that is imitated on the processor would be slower than WebAssembly. */
async function hasGpu() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

async function fetchModel(ask, facts, gpu) {
  const { content, buffers } = await ask("files");
  const [wasm, decoder] = buffers;
  const runtime = { code: content.code, wasm: await unpacked(wasm) };
  return openModel({ runtime, model: { facts, decoder, optimised: true, gpu }, worker: content.worker });
}

/** @returns {Promise<import("./decode.js").Features>} */
async function fetchFeatures(ask) {
  const { content, buffers } = await ask("features");
  const own = ({ buffer, byteOffset, byteLength }) => buffer.slice(byteOffset, byteOffset + byteLength);
  const maps = buffers.map((half) => widened(new Uint16Array(own(half)))); // a copy, since places in messages are odd
  const named = Object.fromEntries(content.maps.map((name, index) => [name, maps[index]]));
  return /** @type {any} */ ({ ...named, width: content.width, height: content.height });
}

/** Close a model that nobody uses any more. */
function releaseModel(key) {
  const opened = openModels.get(key);
  opened.users -= 1;
  if (opened.users > 0) return;
  openModels.delete(key);
  opened.model.then((model) => model.close()).catch(() => {});
}

/**
 * Let the browser decode as soon as it has what it needs; a quiet line says why it has not.
 * @param {any} ui see prompt_view.js
 */
export async function decodeHere(ui) {
  const { decoder, line } = await LocalDecoder.open(ui.kernel, ui.layers.size);
  if (ui.isClosed) return decoder?.close();
  if (decoder) ui.decoder = decoder;
  ui.root.dataset.decoder = decoder ? "browser" : "python";
  ui.hint.textContent = line;
  ui.hint.hidden = !line;
  return ui.layout();
}

/**
 * Show the masks for what a person just changed, unless Python is faster.
 * @param {any} ui see prompt_view.js
 */
export async function answerHere(ui) {
  const { decoder } = ui;
  const { entry } = ui.store;
  const promptsNow = () => {
    const { id, points, box, choice, look } = ui.store.entry;
    return JSON.stringify([id, points, box, choice, look]);
  };
  const prompts = promptsNow();
  if (!decoder.answer || prompts === ui.promptsHere) return;
  ui.promptsHere = prompts;
  const revision = ui.model.get("revision");
  const isLate = () => ui.model.get("revision") !== revision || promptsNow() !== prompts;
  try {
    if (ui.pythonMs < SOON) await new Promise((done) => setTimeout(done, LATE * ui.pythonMs));
    if (isLate() || ui.isClosed || ui.decoder !== decoder) return;
    const answer = await decoder.answer(entry);
    if (!answer || isLate()) return;
    ui.layers.answers.set(entry.id, { ...answer, key: null });
    ui.drawNow();
    if (ui.clickedAt !== null) ui.root.dataset.shownMs = (performance.now() - ui.clickedAt).toFixed(1);
  } catch (error) {
    fallBack(ui, error);
  }
}

/** Let Python answer again, after the browser's decoder failed. */
export function fallBack(ui, error) {
  if (ui.decoder !== ui.kernel) ui.decoder.close();
  ui.decoder = ui.kernel;
  ui.root.dataset.decoder = "python";
  ui.hint.textContent = `Python makes the masks now, the browser could not: ${error.message}`;
  ui.hint.hidden = false;
}
