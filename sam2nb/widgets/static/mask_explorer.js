// The browser side of sam2nb.widgets.explorer.MaskExplorer: all masks travel once, as runs; filters and hits are here.

import { button, clamp, decodeImage, download, element, mount, slider } from "./dom.js";
import { fitCanvas, onResize } from "./layout.js";
import { blankCanvas } from "./layers.js";
import { Kernel } from "./kernel.js";
import { fillLabels, forRuns, keptMasks, numbersOf, paintLabels } from "./runs.js";

const HINT = "Arrow keys move over the masks, Enter selects one, a all, Escape none.";
const KEY_STEP = 6; // screen pixels per arrow key, five times as far with shift
const SLIDERS = [
  ["pred_iou_thresh", "predicted IoU above"],
  ["stability_score_thresh", "stability at least"],
  ["box_nms_thresh", "box overlap at most"],
];

/** Bytes from Python, which may lie at any offset, as numbers. */
function numbersFrom(view, Kind) {
  return new Kind(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

/** "#0072B2" -> [0, 114, 178] */
function channels(color) {
  return [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
}

class ExplorerView {
  constructor(model, el) {
    this.model = model;
    const [width, height] = model.get("shown");
    this.size = model.get("size");
    this.masks = {
      width,
      height,
      first: numbersFrom(model.get("first"), Uint32Array),
      starts: numbersFrom(model.get("starts"), Uint32Array),
      lengths: numbersFrom(model.get("lengths"), Uint32Array),
      numbers: numbersFrom(model.get("numbers"), Float64Array),
    };
    this.palette = model.get("palette").map(channels);
    this.labels = new Uint32Array(width * height);
    [this.overlay, this.overlayContext] = blankCanvas(width, height);
    this.pixels = this.overlayContext.createImageData(width, height);
    [this.light, this.lightContext] = blankCanvas(width, height);
    this.picture = this.cursor = this.hovered = null;
    this.opacity = 0.5;
    this.problem = this.message = "";
    this.kernel = new Kernel(model, (text) => {
      this.problem = text;
      this.draw();
    });
    this.build(el);
  }

  build(el) {
    this.root = element("div", { class: "sam2nb sam2nb-explorer", "data-lm-suppress-shortcuts": "true" });
    this.canvas = /** @type {HTMLCanvasElement} */ (
      element("canvas", {
        tabindex: "0",
        role: "application",
        "aria-label": `${this.model.get("alt")}. ${HINT}`,
      })
    );
    this.side = element("div", { class: "sam2nb-side" });
    this.count = element("div", { class: "sam2nb-count", role: "status" });
    this.sliders = {};
    const rows = SLIDERS.map(([name, text]) => {
      const range = { min: 0, max: 1, step: 0.01, value: this.limits[name] };
      this.sliders[name] = slider(text, range, (value) => this.limit(name, value), (value) => value.toFixed(2));
      return this.sliders[name].row;
    });
    rows.push(this.makeAreaSlider(), slider("opacity", { min: 0, max: 1, step: 0.05, value: 0.5 }, (value) => {
      this.opacity = value;
      this.paint();
    }).row);
    const files = element("div", { class: "sam2nb-row" });
    this.all = button("select all", () => this.select(this.kept), { "data-action": "all" });
    this.none = button("none", () => this.select([]), { "data-action": "none" });
    const cut = "Cut the selected masks, or all, out of the image";
    const png = button("PNG", () => this.export("png"), { "data-action": "png", title: cut });
    const written = "The selected masks, or all, as a COCO file";
    const coco = button("COCO", () => this.export("coco"), { "data-action": "coco", title: written });
    files.append(this.all, this.none, png, coco);
    this.side.append(this.count, ...rows, files);
    this.status = element("div", { class: "sam2nb-status", role: "status", "aria-live": "polite" });
    const stage = element("div", { class: "sam2nb-stage" });
    stage.append(this.canvas, this.side);
    this.root.append(stage, this.status);
    el.append(this.root);
    this.listen();
    this.stopResizing = onResize(el, () => this.layout());
  }

  /** A slider whose steps are those of a side: areas differ by orders of magnitude. */
  makeAreaSlider() {
    const areas = [...this.masks.first.slice(1).keys()].map((index) => numbersOf(this.masks, index).area);
    const largest = areas.reduce((one, other) => Math.max(one, other), 1);
    const range = { min: 0, max: Math.ceil(Math.sqrt(largest)), step: 1, value: Math.sqrt(this.limits.min_area) };
    const show = (side) => `${(side * side).toLocaleString("en")} px`;
    this.sliders.min_area = slider("area at least", range, (side) => this.limit("min_area", side * side), show);
    return this.sliders.min_area.row;
  }

  get limits() {
    return this.model.get("thresholds");
  }

  get selected() {
    return this.model.get("chosen");
  }

  limit(name, value) {
    this.model.set("thresholds", { ...this.limits, [name]: value });
    this.model.save_changes();
  }

  select(indices) {
    this.model.set("chosen", [...indices].sort((one, other) => one - other));
    this.model.save_changes();
  }

  toggle(index) {
    const chosen = this.selected;
    this.select(chosen.includes(index) ? chosen.filter((one) => one !== index) : [...chosen, index]);
  }

  /** Filter again, at the next frame: a slider moves faster than the screen. */
  filter() {
    for (const [name, { set }] of Object.entries(this.sliders)) {
      set(name === "min_area" ? Math.sqrt(this.limits.min_area) : this.limits[name]);
    }
    this.filterFrame ??= requestAnimationFrame(() => {
      this.filterFrame = null;
      const began = performance.now();
      this.kept = keptMasks(this.masks, this.limits);
      fillLabels(this.masks, this.kept, this.labels);
      this.paint();
      this.root.dataset.filteredMs = (performance.now() - began).toFixed(1);
      this.root.dataset.kept = String(this.kept.length);
    });
  }

  paint() {
    const look = { palette: this.palette, opacity: this.opacity, selected: new Set(this.selected) };
    paintLabels(this.masks, this.labels, this.pixels.data, look);
    this.overlayContext.putImageData(this.pixels, 0, 0);
    this.drawNow();
  }

  /** The mask on top at a place of the canvas in CSS pixels, or null. */
  maskAt([x, y]) {
    const column = clamp(Math.floor((x / this.canvas.clientWidth) * this.masks.width), 0, this.masks.width - 1);
    const row = clamp(Math.floor((y / this.canvas.clientHeight) * this.masks.height), 0, this.masks.height - 1);
    const label = this.labels[row * this.masks.width + column];
    return label ? label - 1 : null;
  }

  hover(place) {
    const found = place ? this.maskAt(place) : null;
    if (found === this.hovered) return this.draw();
    this.hovered = found;
    this.message = "";
    this.lightContext.clearRect(0, 0, this.light.width, this.light.height);
    if (found !== null) {
      this.lightContext.fillStyle = "rgba(255, 255, 255, 0.55)";
      const { width } = this.masks;
      forRuns(this.masks, found, (start, end) => {
        this.lightContext.fillRect(start % width, Math.floor(start / width), end - start, 1);
      });
    }
    return this.draw();
  }

  draw() {
    this.frame ??= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    if (!this.picture) return;
    const context = this.canvas.getContext("2d");
    const all = [0, 0, this.canvas.width, this.canvas.height];
    context.drawImage(this.picture, ...all);
    context.drawImage(this.overlay, ...all);
    if (this.hovered !== null) context.drawImage(this.light, ...all);
    if (this.cursor && this.canvas.matches(":focus")) this.drawCursor(context);
    const count = this.selected.length;
    const chosen = count ? `, ${count} selected` : "";
    this.count.textContent = `${this.kept.length} of ${this.masks.first.length - 1} masks${chosen}`;
    this.none.disabled = !count;
    this.status.textContent = this.problem || this.message || this.describe();
  }

  drawCursor(context) {
    const density = this.canvas.width / this.canvas.clientWidth;
    const [x, y] = this.cursor.map((value) => value * density);
    for (const [style, radius] of [["black", 7], ["white", 5]]) {
      context.strokeStyle = style;
      context.lineWidth = 2 * density;
      context.beginPath();
      context.arc(x, y, radius * density, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  /** The name and the numbers of the mask under the mouse. */
  describe() {
    if (this.hovered === null) return "Point at a mask to read its numbers; click to select it.";
    const { area, iou, stability } = numbersOf(this.masks, this.hovered);
    const share = ((100 * area) / (this.size[0] * this.size[1])).toFixed(1);
    const chosen = this.selected.includes(this.hovered) ? ", selected" : "";
    const scores = `predicted IoU ${iou.toFixed(2)}, stability ${stability.toFixed(2)}`;
    return `mask ${this.hovered}${chosen}: ${area.toLocaleString("en")} px (${share}%), ${scores}`;
  }

  listen() {
    const place = (event) => {
      const frame = this.canvas.getBoundingClientRect();
      return [event.clientX - frame.left, event.clientY - frame.top];
    };
    this.canvas.addEventListener("pointermove", (event) => this.hover(place(event)));
    this.canvas.addEventListener("pointerleave", () => this.hover(null));
    this.canvas.addEventListener("click", (event) => {
      this.cursor = null;
      const found = this.maskAt(place(event));
      if (found !== null) this.toggle(found);
    });
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    this.canvas.addEventListener("keydown", (event) => {
      const { clientWidth, clientHeight } = this.canvas;
      if (moves[event.key]) {
        const step = KEY_STEP * (event.shiftKey ? 5 : 1);
        const [x, y] = this.cursor ?? [clientWidth / 2, clientHeight / 2];
        this.cursor = [
          clamp(x + moves[event.key][0] * step, 0, clientWidth - 1),
          clamp(y + moves[event.key][1] * step, 0, clientHeight - 1),
        ];
        this.hover(this.cursor);
      } else if ((event.key === "Enter" || event.key === " ") && this.hovered !== null) this.toggle(this.hovered);
      else if (event.key === "a" && !event.ctrlKey && !event.metaKey) this.select(this.kept);
      else if (event.key === "Escape") this.select([]);
      else return;
      event.preventDefault();
    });
    this.canvas.addEventListener("blur", () => this.draw());
    this.root.addEventListener("keydown", (event) => event.stopPropagation()); // the notebook has shortcuts
  }

  async export(format) {
    this.message = "\u2026";
    this.draw();
    const { content, buffers } = await this.kernel.ask({ kind: "export", format });
    this.message = content.problem ?? `${content.name} is ready.`;
    this.draw();
    if (!content.problem) download(buffers[0], content.name, content.type);
  }

  layout() {
    const [width, height] = this.size;
    const parts = { root: this.root, canvas: this.canvas, side: this.side, unfolded: [] };
    if (fitCanvas(parts, { width, height })) this.draw();
  }

  async start() {
    this.kept = [];
    this.picture = await decodeImage(this.model.get("picture"), "image/jpeg");
    this.layout();
    this.filter();
  }

  close() {
    this.kernel.close();
    this.stopResizing();
    cancelAnimationFrame(this.frame);
    cancelAnimationFrame(this.filterFrame);
  }
}

function render({ model, el }) {
  const view = new ExplorerView(model, el);
  const handlers = { "change:thresholds": () => view.filter(), "change:chosen": () => view.paint() };
  return mount(model, view, handlers);
}

export default { render };
