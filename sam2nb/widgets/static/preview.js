// The mask under the mouse, before any click: one is asked for at a time, where the mouse is then.

import { chosenMask, layerOf } from "./layers.js";
import { fallBack } from "./local.js";
import { colorOf } from "./paint.js";
import { rounded } from "./store.js";

const MOVE = 2; // screen pixels that the mouse moves before another preview

export class Preview {
  /** @param {any} ui see prompt_view.js */
  constructor(ui) {
    this.ui = ui;
    /** @type {import("./layers.js").Answer | null} */
    this.answer = null;
    this.choice = null; // which of its masks a person chose
    this.asked = null; // the place of the newest question
    this.drawn = {};
  }

  /** Ask for the mask under the mouse, unless the object has prompts already. */
  async ask() {
    const { ui } = this;
    if (ui.tool !== "include" || !ui.mouse || !ui.store.isEmpty) return;
    const [x, y] = ui.mouse.map(rounded); // as a click there is kept, so that Python can tell that it is the same
    const near = this.asked && Math.hypot(x - this.asked[0], y - this.asked[1]) * ui.view.scale < MOVE;
    if (near) return;
    this.asked = [x, y];
    const began = performance.now();
    const answer = await ui.decoder.preview(x, y, this.choice).catch((error) => fallBack(ui, error));
    if (!answer || !ui.mouse || !ui.store.isEmpty) return;
    this.answer = answer;
    ui.root.dataset.previewMs = (performance.now() - began).toFixed(1);
    ui.draw();
  }

  /** Ask again wherever the mouse is next. */
  askAgain() {
    this.asked = null;
  }

  /** Nothing is shown any more. */
  drop() {
    this.answer = this.choice = this.asked = null;
  }

  /** Choose one of the masks; it is asked for again where only a small one is here. */
  choose(index) {
    const { masks } = this.answer;
    this.choice = index;
    if (masks.every((mask) => mask.width <= masks[index].width)) return;
    this.asked = null;
    this.ask();
  }

  /** What is drawn of it: before a click, and after it until its answer has come. */
  get layer() {
    const { ui, answer } = this;
    if (!answer || !(ui.store.isEmpty || !ui.layers.answers.has(ui.store.entry.id))) return null;
    const mask = answer.masks[chosenMask(answer, this.choice)];
    const color = colorOf(ui, ui.store.entry);
    if (this.drawn.mask !== mask || this.drawn.color !== color) this.drawn = { mask, color, ...layerOf(mask, color) };
    return this.drawn;
  }
}
