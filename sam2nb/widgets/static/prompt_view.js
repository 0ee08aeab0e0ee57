// What the parts of the prompt widget share: the state of the view, and everything that a person can do in it. All
// coordinates are pixels of the original image, whatever its size on the screen.

import { clamp, decodeImage, download, element } from "./dom.js";
import { Detail } from "./detail.js";
import { fitCanvas, onResize } from "./layout.js";
import { Store, rounded } from "./store.js";
import { View } from "./view.js";
import { Layers, chosenMask } from "./layers.js";
import { Kernel, Watch } from "./kernel.js";
import { answerHere, decodeHere } from "./local.js";
import { Backdrop, drawScene } from "./paint.js";
import { Preview } from "./preview.js";
import { listenToPointer } from "./pointer.js";
import { listenToKeys } from "./keys.js";
import { makeHelp, makeSide, makeToolbar } from "./panel.js";

const HINT = "Point and click; keys are listed below.";

/** A view of a model; several views may show the same one. */
export class PromptView {
  constructor(model, el, store = new Store(model)) {
    this.model = model;
    this.store = store;
    const [width, height] = model.get("size");
    this.view = new View(width, height);
    this.palette = model.get("palette");
    this.colors = model.get("colors");
    const shown = model.get("shown");
    this.layers = new Layers({ width: shown[0], height: shown[1] }, shown[0] / width);
    Object.assign(this, { tool: "include", brush: 12, opacity: 0.5, outline: true, showsCode: false });
    this.picture = this.drag = this.painting = this.cursor = this.mouse = null;
    this.problem = this.message = "";
    this.clickedAt = null; // for the measured round trip, in data-answered-ms
    this.changedAt = null; // when Python was asked for what it has not answered yet
    this.pythonMs = Infinity; // that its last answer took
    this.kernel = new Kernel(model, (text) => this.report(text));
    this.decoder = this.kernel; // until the browser can do it
    this.detail = new Detail(this);
    this.preview = new Preview(this);
    this.backdrop = new Backdrop();
    this.smooth = "high";
    this.watch = new Watch((text) => this.report(text));
    this.build(el);
    this.store.onChange(() => this.promptsChanged());
  }

  build(el) {
    // JupyterLab listens to keys before we can; the attribute keeps its shortcuts away
    this.root = element("div", { class: "sam2nb sam2nb-prompt", "data-lm-suppress-shortcuts": "true" });
    this.canvas = /** @type {HTMLCanvasElement} */ (
      element("canvas", { tabindex: "0", role: "application", "aria-label": `${this.model.get("alt")}. ${HINT}` })
    );
    this.status = element("div", { class: "sam2nb-status", role: "status", "aria-live": "polite" });
    const script = { class: "sam2nb-code", readonly: "", rows: "10", "aria-label": "script" };
    this.code = /** @type {HTMLTextAreaElement} */ (element("textarea", script));
    this.code.hidden = true;
    this.hint = element("div", { class: "sam2nb-hint" });
    this.hint.hidden = true;
    const note = element("div", { class: "sam2nb-note" }, this.model.get("note"));
    note.hidden = !this.model.get("note");
    this.toolbar = makeToolbar(this);
    this.side = makeSide(this);
    const stage = element("div", { class: "sam2nb-stage" });
    stage.append(this.canvas, this.side.node);
    this.root.append(this.toolbar.node, note, stage, this.status, this.hint, this.code, makeHelp());
    el.append(this.root);
    listenToPointer(this.canvas, this);
    listenToKeys(this.canvas, this);
    this.root.addEventListener("keydown", (event) => event.stopPropagation()); // the notebook has shortcuts
    this.stopResizing = onResize(el, () => this.layout());
  }

  /** Give the canvas the largest size at which all of the widget fits in the view. */
  layout() {
    const unfolded = [this.code, ...this.root.querySelectorAll("details[open] > dl")];
    const size = fitCanvas({ root: this.root, canvas: this.canvas, side: this.side.node, unfolded }, this.view.image);
    if (!size) return;
    this.view.resize(...size);
    this.drawNow();
  }

  /** Draw at the next frame. */
  draw() {
    this.frame ??= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    const paints = this.tool === "brush" || this.tool === "eraser";
    drawScene(this.canvas.getContext("2d"), {
      ...this,
      preview: this.preview.layer,
      detail: this.detail.shown,
      cursor: this.canvas.matches(":focus") ? this.cursor : null,
      brush: paints && this.mouse ? { at: this.mouse, radius: this.brushRadius() } : null,
    });
    this.toolbar.update();
    this.side.update();
    this.status.textContent = this.problem || this.message || this.model.get("status");
    this.status.classList.toggle("sam2nb-problem", Boolean(this.problem));
  }

  askPreview() {
    this.preview.ask();
  }

  /** The mouse has left: the mask under it goes. */
  dropPreview() {
    if (this.store.isEmpty) this.preview.drop();
    else this.preview.askAgain();
  }

  addPoint([x, y], label) {
    this.clickedAt = performance.now();
    const isFirst = this.store.isEmpty && label === 1;
    if (isFirst && this.preview.choice !== null) {
      this.store.change({ points: [[rounded(x), rounded(y), label]], choice: this.preview.choice });
    } else this.store.addPoint(x, y, label);
  }

  setBox(from, to) {
    this.clickedAt = performance.now();
    this.preview.drop();
    this.store.setBox(from, to);
  }

  accept() {
    this.preview.drop();
    this.store.accept();
    this.askPreview();
  }

  /** The masks to choose from, and the choice so far. */
  currentAnswer() {
    const { entry } = this.store;
    if (this.store.isEmpty) return this.preview.answer && this.preview;
    const answer = this.layers.answers.get(entry.id);
    return answer ? { answer, choice: entry.choice } : null;
  }

  /** Choose one of the masks. */
  choose(index) {
    const found = this.currentAnswer();
    if (!found || index >= found.answer.masks.length || found.answer.masks.length < 2) return;
    if (this.store.isEmpty) this.preview.choose(index);
    else this.store.change({ choice: index });
    this.draw();
  }

  cycle(step) {
    const found = this.currentAnswer();
    if (!found) return;
    const count = found.answer.masks.length;
    this.choose((chosenMask(found.answer, found.choice) + step + count) % count);
  }

  /** Whether a closer look is possible: the object has a prompt. */
  get canLookCloser() {
    const { entry } = this.store;
    return entry.look !== null || entry.points.length > 0 || entry.box.length > 0;
  }

  /** Let the model look at what is shown, by itself; again, at the whole image. */
  closerLook() {
    const { entry } = this.store;
    if (!this.canLookCloser) return;
    if (entry.look !== null) return this.store.change({ look: null });
    const [x1, y1, x2, y2] = this.view.region;
    const part = [Math.floor(x1), Math.floor(y1), Math.ceil(x2), Math.ceil(y2)];
    const inside = entry.points.filter(([x, y]) => x >= part[0] && y >= part[1] && x < part[2] && y < part[3]);
    if (!inside.length && !entry.box.length) return this.say("Zoom so that a click of this object is in view.");
    return this.store.change({ look: this.view.zoom > 1 ? part : "closer" });
  }

  setTool(tool) {
    this.tool = tool;
    this.canvas.dataset.tool = tool;
    this.dropPreview();
    this.draw();
  }

  setBrush(size) {
    this.brush = clamp(size, 2, 80);
    this.draw();
  }

  /** Radius of the brush in image pixels; its size on the screen stays. */
  brushRadius() {
    return this.brush / this.view.scale;
  }

  setOpacity(value) {
    this.opacity = value;
    this.draw();
  }

  setOutline(value) {
    this.outline = value;
    this.draw();
  }

  toggleCode() {
    this.showsCode = !this.showsCode;
    this.code.hidden = !this.showsCode;
    this.code.value = this.model.get("script");
    if (this.showsCode) this.code.select();
    this.draw();
  }

  async export(format) {
    this.say("\u2026");
    const { content, buffers } = await this.kernel.ask({ kind: "export", format });
    this.say(content.problem ?? `${content.name} is ready.`);
    if (!content.problem) download(buffers[0], content.name, content.type);
  }

  /** A line below the image, until something else happens. */
  say(text) {
    this.message = text;
    this.draw();
  }

  report(problem) {
    if (problem === this.problem) return;
    this.problem = problem;
    this.draw();
  }

  promptsChanged() {
    this.message = "\u2026";
    this.watch.start();
    this.draw();
    if (this.changedAt !== null) this.pythonMs = Infinity; // it is busy
    this.changedAt ??= performance.now();
    answerHere(this);
  }

  /** After a zoom: fetch the pixels of what is shown, where the picture at hand is too coarse. */
  viewChanged() {
    this.draw();
    this.detail.follow();
  }

  async answered() {
    this.watch.stop();
    this.message = "";
    await this.layers.take(this.model.get("layers"));
    if (!this.store.isEmpty && this.layers.answers.has(this.store.entry.id)) this.preview.drop();
    this.code.value = this.model.get("script");
    this.drawNow();
    if (this.clickedAt !== null) this.root.dataset.answeredMs = (performance.now() - this.clickedAt).toFixed(1);
    if (this.changedAt !== null) this.pythonMs = performance.now() - this.changedAt;
    this.clickedAt = this.changedAt = null;
    this.root.dataset.revision = String(this.model.get("revision"));
  }

  async start() {
    this.picture = await decodeImage(this.model.get("picture"), "image/jpeg");
    await this.answered();
    this.layout();
    await decodeHere(this);
  }

  close() {
    this.isClosed = true;
    if (this.decoder !== this.kernel) this.decoder.close();
    this.kernel.close();
    this.watch.stop();
    this.stopResizing();
    this.detail.close();
    cancelAnimationFrame(this.frame);
  }
}
