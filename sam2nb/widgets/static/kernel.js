// Requests to Python. One preview is under way at a time, and only the newest waits, so that a slow model is never
// asked for what nobody looks at any more. A request that is not answered in time is reported, not waited for.

import { decodeAnswer } from "./layers.js";

const PATIENCE = 4000; // milliseconds without an answer, before the status says so
const SILENT = "Python is busy, or its kernel was restarted. Your prompts stay; after a restart, run the cell again.";

/**
 * Whoever answers previews: Python, or a decoder in the browser, which also answers prompts until Python does.
 * @typedef {Object} Decoder
 * @property {(x: number, y: number, choice?: number | null) => Promise<import("./layers.js").Answer | null>} preview
 *   `choice`: which of the masks is looked at
 * @property {(entry: import("./store.js").Entry) => Promise<import("./layers.js").Answer | null>} [answer]
 * @property {() => void} close
 */

/** @implements {Decoder} */
export class Kernel {
  /**
   * @param {any} model of anywidget
   * @param {(text: string) => void} report called with a problem, or "" when it is over
   */
  constructor(model, report) {
    this.model = model;
    this.report = report;
    this.waiting = new Map();
    this.count = 0;
    this.name = Math.random().toString(36).slice(2); // several views may share a model
    this.running = null; // the preview that Python works on
    this.next = null; // the newest one that waits for it
    this.receive = (content, buffers) => {
      const request = this.waiting.get(content.request);
      if (!request) return;
      this.waiting.delete(content.request);
      clearTimeout(request.timer);
      this.report("");
      request.done({ content, buffers });
    };
    model.on("msg:custom", this.receive);
  }

  /**
   * Ask Python. Resolves with its answer, however late that is.
   * @param {Record<string, any>} content
   * @param {{patience?: number | null, sent?: ArrayBuffer[]}} [options] patience: milliseconds until the status
   *     says that there is no answer, null for never; sent: bytes that go with the question
   * @returns {Promise<{content: any, buffers: DataView[]}>}
   */
  ask(content, { patience = PATIENCE, sent = [] } = {}) {
    this.count += 1;
    const request = `${this.name}-${this.count}`;
    return new Promise((done) => {
      const timer = patience === null ? undefined : setTimeout(() => this.report(SILENT), patience);
      this.waiting.set(request, { done, timer });
      try {
        this.model.send({ ...content, request }, undefined, sent);
      } catch {
        this.report(SILENT);
      }
    });
  }

  /**
   * The masks for a click that was not made. Resolves with null if a newer one took its place, or the model failed.
   * @param {number} x
   * @param {number} y
   */
  preview(x, y) {
    if (this.next) this.next.done(null);
    return new Promise((done) => {
      this.next = { x, y, done };
      if (!this.running) this.runNext();
    });
  }

  async runNext() {
    this.running = this.next;
    this.next = null;
    const { x, y, done } = this.running;
    const { content, buffers } = await this.ask({ kind: "preview", x, y });
    this.running = null;
    if (this.next) this.runNext();
    if (content.problem) {
      this.report(content.problem);
      done(null);
      return;
    }
    const { boxes, scores, best, width, height } = content;
    done(await decodeAnswer({ masks: buffers, boxes, scores, best }, { width, height }));
  }

  close() {
    this.model.off("msg:custom", this.receive);
    for (const { timer } of this.waiting.values()) clearTimeout(timer);
  }
}

/** Notice that Python does not answer a change of the prompts. */
export class Watch {
  /** @param {(text: string) => void} report */
  constructor(report) {
    this.report = report;
    this.timer = null;
  }

  start() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.report(SILENT), PATIENCE);
  }

  stop() {
    clearTimeout(this.timer);
    this.report("");
  }
}
