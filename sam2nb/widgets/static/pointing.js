// A photograph to point at: the mask under the pointer, prompts, a choice of masks, the cut-out. The playground and the
// pages of the notebooks build their elements around it.

import { button, download } from "./dom.js";
import { blankCanvas, layerOf, thumbnail } from "./layers.js";
import { cutOutOf, logitsOf, maskOf } from "./masks.js";
import { LONGEST_KEPT, answerOf, fitted, pixelsOf } from "./pictures.js";
import { Stage } from "./stage.js";

const LONGEST_SHOWN = 480; // pixels: the longer side of a mask on the screen
const HOVER_OPACITY = 0.35;
const MASK_OPACITY = 0.5;
const COLOR = "#009eff";
const READY = "Move over an object, and click on it.";

/**
 * @typedef {{canvas: HTMLCanvasElement, status: HTMLElement, candidates: HTMLElement, undo: HTMLButtonElement,
 *   clear: HTMLButtonElement, save: HTMLButtonElement, labels: HTMLButtonElement[]}} Parts the elements; `labels` are
 *   two buttons whose data-label is 1 and 0
 */

export class Pointing {
  /** @param {Parts} parts @param {() => number} tallest CSS pixels that the photograph may take */
  constructor(parts, tallest) {
    this.parts = parts;
    this.model = null; // from `openModel`
    this.photo = null; // ImageBitmap
    this.seen = null; // {number, width, height} of the photograph in the model, null while it is encoded
    this.name = "photo";
    this.history = []; // prompts in their order: {point: [x, y, label]} or {box}
    this.found = null; // what the model answered to them
    this.answer = null; // the same as it is drawn
    this.choice = 0; // the index of the mask that is shown
    this.pointer = null; // where the pointer is
    this.times = { hovers: [] }; // milliseconds, for the tests: since the page was opened, and of each preview
    const listener = {
      hover: (at) => this.hover(at),
      point: (at, label) => this.prompt({ point: [...at, label] }),
      box: (box) => this.prompt({ box }),
      wheel: (step) => this.cycle(step),
      key: (key) => this.press(key),
    };
    this.stage = new Stage(parts.canvas, listener, tallest);
    for (const [name, act] of Object.entries({ undo: this.undo, clear: this.clear, save: this.save })) {
      parts[name].addEventListener("click", () => act.call(this));
    }
    for (const node of parts.labels) node.addEventListener("click", () => this.setLabel(Number(node.dataset.label)));
    this.refresh();
  }

  tell(text, isProblem = false) {
    this.parts.status.textContent = text;
    this.parts.status.classList.toggle("sam2nb-problem", isProblem);
  }

  /** Show a photograph without prompts. @param {ImageBitmap} photo @param {string} name */
  open(photo, name) {
    Object.assign(this, { photo, name, history: [], found: null, answer: null, pointer: null });
    this.parts.canvas.setAttribute("aria-label", `${name}, ${photo.width} by ${photo.height} pixels`);
    this.stage.show(photo);
    this.refresh();
  }

  /**
   * Let the model see the photograph; prompts that were given meanwhile are answered then.
   * @param {import("./decode.js").Pixels | import("./decode.js").Features} image the photograph, or its features
   */
  async look(image) {
    const { photo } = this;
    if (this.seen) this.model.forget(this.seen.number);
    this.seen = null;
    this.tell("Looking at the photograph…");
    try {
      const number = await this.model.see(image);
      if (this.photo !== photo) return this.model.forget(number); // another one was opened meanwhile
      this.seen = { number, width: image.width, height: image.height };
      this.times.encoded = performance.now();
      this.tell(READY);
      if (this.history.length) await this.ask();
      else if (this.pointer) await this.hover(this.pointer);
    } catch (error) {
      this.tell(error.message, true);
    }
    return undefined;
  }

  // --- prompts and masks ---------------------------------------------------------------------------------------------

  /** The answer to prompts in pixels of the photograph; null if a newer one is on its way, or after a failure. */
  async decode(points, box, only = null) {
    const { photo, seen } = this;
    const [across, down] = [seen.width / photo.width, seen.height / photo.height];
    const scaled = points.map(([x, y, label]) => [x * across, y * down, label]);
    const corners = box && box.map((value, index) => value * (index % 2 ? down : across));
    const shown = { ...fitted(photo, LONGEST_SHOWN), only };
    try {
      return await this.model.decode(seen.number, { points: scaled, box: corners }, shown);
    } catch (error) {
      this.tell(error.message, true);
      return null;
    }
  }

  async hover(at) {
    this.pointer = at;
    if (this.history.length || !this.photo) return;
    if (at && !this.seen) return; // asked again as soon as the photograph is encoded
    const started = performance.now();
    const found = at ? await this.decode([[...at, 1]], null, "best") : null;
    if ((at && !found) || this.history.length || this.pointer !== at) return;
    this.stage.mask = found && shownMask(answerOf(found).masks[0], HOVER_OPACITY);
    this.stage.draw();
    if (!found) return;
    this.times.firstMask ??= performance.now();
    this.times.hovers.push(performance.now() - started);
    this.tell(`Here? Click to take it (predicted IoU ${found.scores[found.best].toFixed(2)}).`);
  }

  prompt(one) {
    this.history.push(one);
    this.ask();
  }

  undo() {
    this.history.pop();
    this.ask();
  }

  clear() {
    this.history = [];
    this.ask();
  }

  async ask() {
    const points = this.history.flatMap((entry) => (entry.point ? [entry.point] : []));
    const box = this.history.filter((entry) => entry.box).at(-1)?.box ?? null;
    Object.assign(this.stage, { points, box });
    if (!this.history.length) this.found = this.answer = this.stage.mask = null;
    this.refresh();
    if (!this.history.length || !this.seen) return;
    const started = performance.now();
    const found = await this.decode(points, box);
    if (!found || !this.history.length) return;
    this.found = found;
    this.answer = answerOf(found);
    this.choose(this.answer.best);
    this.times.click = performance.now() - started;
  }

  /** Take one of the masks. @param {number} index */
  choose(index) {
    this.choice = index;
    this.stage.mask = shownMask(this.answer.masks[index], MASK_OPACITY);
    this.refresh();
    const { area, width, height } = this.found.masks[index];
    const share = ((100 * area) / (width * height)).toFixed(1);
    this.tell(`${share} % of the photograph, predicted IoU ${this.answer.scores[index].toFixed(2)}.`);
  }

  cycle(step) {
    if (!this.answer) return;
    const count = this.answer.masks.length;
    this.choose((this.choice + step + count) % count);
  }

  // --- buttons and keys ----------------------------------------------------------------------------------------------

  setLabel(label) {
    this.stage.label = label;
    const isOn = (node) => Number(node.dataset.label) === label;
    for (const node of this.parts.labels) node.setAttribute("aria-pressed", String(isOn(node)));
  }

  refresh() {
    const { undo, clear, save, candidates } = this.parts;
    undo.disabled = clear.disabled = !this.history.length;
    save.disabled = !this.answer;
    candidates.replaceChildren(...(this.answer?.masks ?? []).map((_, index) => this.candidate(index)));
    this.stage.draw();
  }

  /** A button with a small picture of a mask. */
  candidate(index) {
    const score = this.answer.scores[index].toFixed(2);
    const node = button("", () => this.choose(index), {
      "aria-pressed": String(index === this.choice),
      "aria-label": `mask ${index + 1}, predicted IoU ${score}`,
    });
    node.append(thumbnail(this.photo, this.answer.masks[index], COLOR), score);
    return node;
  }

  press(key) {
    const keys = { u: this.undo, Backspace: this.undo, c: this.clear, s: this.save };
    if (keys[key]) keys[key].call(this);
    else if (this.answer?.masks[Number(key) - 1]) this.choose(Number(key) - 1);
    else return false;
    return true;
  }

  save() {
    if (!this.answer) return;
    try {
      const image = pixelsOf(this.photo, LONGEST_KEPT);
      const logits = logitsOf(this.found, this.found.order[this.choice]);
      const { picture } = cutOutOf(image, maskOf(logits, this.found.size, image.width, image.height));
      const [canvas, context] = blankCanvas(picture.width, picture.height);
      context.putImageData(picture, 0, 0);
      canvas.toBlob((blob) => download(blob, `${this.name}_cut_out.png`, "image/png"), "image/png");
    } catch (error) {
      this.tell(error.message, true);
    }
  }
}

/** A mask as it is drawn on the photograph. */
function shownMask(mask, opacity) {
  return { ...layerOf(mask, COLOR, "white"), opacity };
}
