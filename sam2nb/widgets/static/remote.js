// The model beside the page: in a worker where the browser can, so that the page never stands still, else in the page.

import { ImageModel, openRuntime } from "./decode.js";
import { withMasks } from "./masks.js";

/**
 * @typedef {import("./decode.js").Decoded} Decoded
 * @typedef {import("./decode.js").ModelFiles} ModelFiles
 */

/**
 * Open a model. Rejects with an Error of one clear line where it cannot run.
 * @param {{runtime: import("./decode.js").RuntimeFiles, model: ModelFiles, worker?: string}} files `worker` is the text
 *   of the joined modules decode.js, masks.js and worker.js; without it, or where a page may not have workers, the
 *   model runs in the page
 * @returns {Promise<Model>}
 */
export async function openModel(files) {
  const model = new Model(files.worker ? startWorker(files.worker) : null);
  try {
    await model.open(files);
    return model;
  } catch (problem) {
    model.close();
    if (!model.isRefused) throw problem;
    return openModel({ ...files, worker: undefined });
  }
}

/** Images and prompts go in, masks come out. Only one prompt is decoded at a time, and only the newest one waits. */
export class Model {
  /** @param {Worker | null} worker */
  constructor(worker) {
    this.worker = worker;
    this.count = 0;
    this.images = 0;
    /** @type {Map<number, {done: (result: any) => void, fail: (problem: Error) => void}>} */
    this.waiting = new Map();
    this.running = false;
    this.next = null;
    this.isRefused = false; // whether the browser would not start the worker
    if (!worker) return;
    worker.onmessage = ({ data }) => this.receive(data);
    worker.onerror = (event) => {
      this.isRefused = true;
      this.failAll(event.message || "the worker could not be started");
    };
  }

  /** @returns {boolean} whether the page stays free while the model works */
  get isBeside() {
    return this.worker !== null;
  }

  /** @param {{runtime: import("./decode.js").RuntimeFiles, model: ModelFiles}} files */
  async open({ runtime, model }) {
    if (this.worker) {
      await this.call("open", { runtime, model });
    } else {
      this.local = await ImageModel.open(await openRuntime(runtime), model);
      this.features = new Map();
    }
  }

  /**
   * Encode an image, or keep features that were encoded elsewhere.
   * @param {import("./decode.js").Pixels | import("./decode.js").Features} image
   * @returns {Promise<number>} the number under which `decode` finds it
   */
  async see(image) {
    const number = (this.images += 1);
    const encoded = "conditioned" in image;
    if (this.worker && encoded) await this.call("keep", { image: number, features: image });
    else if (this.worker) {
      const { data, width, height } = image; // an ImageData has no copy of its own in some browsers
      await this.call("encode", { image: number, pixels: { data, width, height } });
    } else this.features.set(number, encoded ? image : await this.local.encode(image));
    return number;
  }

  /**
   * Forget an image.
   * @param {number} number
   */
  async forget(number) {
    if (this.worker) await this.call("forget", { image: number });
    else this.features.delete(number);
  }

  /**
   * Predict masks. Resolves with null if a newer prompt took the place of this one before its turn.
   * @param {number} image
   * @param {import("./decode.js").Prompt} prompt
   * @param {import("./masks.js").Shown | null} [shown] adds masks, see `withMasks`
   * @returns {Promise<(Decoded & {masks?: import("./masks.js").Opacity[]}) | null>}
   */
  decode(image, prompt, shown = null) {
    this.next?.done(null);
    return new Promise((done, fail) => {
      this.next = { image, prompt, shown, done, fail };
      if (!this.running) this.decodeNext();
    });
  }

  async decodeNext() {
    const { image, prompt, shown, done, fail } = this.next;
    this.next = null;
    this.running = true;
    try {
      if (this.worker) done(await this.call("decode", { image, prompt, shown }));
      else done(withMasks(await this.local.decode(this.features.get(image), prompt), shown));
    } catch (error) {
      fail(error);
    }
    this.running = false;
    if (this.next) this.decodeNext();
  }

  /** @returns {Promise<any>} */
  call(name, content) {
    this.count += 1;
    return new Promise((done, fail) => {
      this.waiting.set(this.count, { done, fail });
      this.worker.postMessage({ call: this.count, name, content });
    });
  }

  receive({ call, result, problem }) {
    const { done, fail } = this.waiting.get(call) ?? { done: () => {}, fail: () => {} };
    this.waiting.delete(call);
    if (problem) fail(new Error(problem));
    else done(result);
  }

  failAll(problem) {
    for (const { fail } of this.waiting.values()) fail(new Error(problem));
    this.waiting.clear();
  }

  close() {
    if (this.worker) this.worker.terminate();
    else this.local?.close();
    this.failAll("the model was closed");
  }
}

/** @param {string} text @returns {Worker | null} null where the browser refuses */
function startWorker(text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  try {
    return new Worker(url);
  } catch {
    return null;
  } finally {
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }
}
