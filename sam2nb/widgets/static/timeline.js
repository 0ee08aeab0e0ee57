// The timeline: a slider for the frame, and a lane for each object. The height of a lane is the predicted IoU, grey
// where the object is absent; diamonds are prompts, dark bands locked frames. A click jumps there.

import { clamp, element, holder } from "./dom.js";
import { colorOf } from "./paint.js";

const LANE_HEIGHT = 18; // CSS pixels
const LEAST_BAR = 0.12; // of a lane's height
const THUMB_WIDTH = 16; // CSS pixels, of the slider
const MARK_SIZE = 4; // CSS pixels, from the middle of a diamond to its corners
const ABSENT = "rgba(128, 128, 128, 0.8)";
const LOCKED_COLOR = "rgba(0, 0, 0, 0.6)";

/** Scores of all objects on all frames. */
export class Lanes {
  constructor() {
    /** @type {Map<number, Map<number, [number, number]>>} by object and frame: presence, quality */
    this.scores = new Map();
    this.changes = 0;
  }

  /** Replace all. @param {Record<string, Record<string, [number, number]>>} scores by frame and object */
  replace(scores) {
    this.scores.clear();
    for (const [frame, found] of Object.entries(scores)) this.put(Number(frame), found);
    this.changes += 1;
  }

  /** @param {number} frame @param {Record<string, [number, number]>} found by object */
  put(frame, found) {
    for (const lane of this.scores.values()) lane.delete(frame);
    for (const [id, scores] of Object.entries(found)) {
      if (!this.scores.has(Number(id))) this.scores.set(Number(id), new Map());
      this.scores.get(Number(id)).set(frame, scores);
    }
    this.changes += 1;
  }

  /** @returns {Map<number, [number, number]>} */
  of(id) {
    return this.scores.get(id) ?? new Map();
  }
}

/**
 * Build the slider and the lanes.
 * @param {any} ui see video_view.js
 */
export function makeTimeline(ui) {
  const slider = /** @type {HTMLInputElement} */ (
    element("input", { type: "range", min: "0", step: "1", "aria-label": "frame", class: "sam2nb-scrub" })
  );
  slider.addEventListener("input", () => ui.goTo(Number(slider.value), true));
  const playhead = element("div", { class: "sam2nb-playhead" });
  const words = "lanes of the objects; [ and ] jump to prompted frames";
  const lanes = holder({ class: "sam2nb-lanes", tabindex: "0", role: "group", "aria-label": words }); // it may scroll
  const names = holder({ class: "sam2nb-lane-names", "aria-hidden": "true" }); // the lanes have them, too
  const rail = holder({ class: "sam2nb-rail" }, slider, lanes, playhead);
  const node = holder({ class: "sam2nb-timeline" }, names, rail);
  lanes.addEventListener("pointerdown", (event) => {
    const follow = (moved) => ui.goTo(frameAt(moved, lanes, ui.count), true);
    follow(event);
    lanes.setPointerCapture(event.pointerId);
    lanes.onpointermove = follow;
    event.preventDefault();
  });
  lanes.addEventListener("pointerup", () => (lanes.onpointermove = null));
  lanes.addEventListener("pointercancel", () => (lanes.onpointermove = null));

  lanes.addEventListener("scroll", () => (names.scrollTop = lanes.scrollTop));

  let shown = "";
  let counted = 0;
  const setCount = (count) => {
    counted = count;
    slider.max = String(Math.max(0, count - 1));
    slider.style.width = `calc(100% - ${100 / count}% + ${THUMB_WIDTH}px)`; // its thumb stands over the lanes' frame
    slider.style.marginLeft = `calc(${50 / count}% - ${THUMB_WIDTH / 2}px)`;
  };
  const update = () => {
    const width = lanes.clientWidth; // before anything changes: then it need not be laid out for this
    if (counted !== ui.count) setCount(ui.count);
    slider.value = String(ui.target);
    slider.setAttribute("aria-valuetext", `frame ${ui.target} of ${ui.count - 1}`);
    playhead.style.left = `${(100 * (ui.target + 0.5)) / ui.count}%`;
    const { entries } = ui.store;
    const drawn = entries.map((entry) => [entry.id, entry.color, entry.name, Object.keys(entry.frames)]);
    const now = [ui.lanes.changes, ui.count, width, devicePixelRatio, ui.locked, drawn];
    const key = JSON.stringify(now);
    if (key === shown) return;
    shown = key;
    drawLanes(ui, names, lanes, entries);
  };
  return { node, update };
}

/** The frame under the pointer. */
function frameAt(event, lanes, count) {
  const { left, width } = lanes.getBoundingClientRect();
  return clamp(Math.floor(((event.clientX - left) / width) * count), 0, count - 1);
}

function drawLanes(ui, names, lanes, entries) {
  while (lanes.children.length > entries.length) {
    lanes.lastChild.remove();
    names.lastChild.remove();
  }
  while (lanes.children.length < entries.length) {
    lanes.append(element("canvas", { role: "img" }));
    names.append(element("div"));
  }
  entries.forEach((entry, row) => {
    names.children[row].textContent = entry.name;
    const canvas = /** @type {HTMLCanvasElement} */ (lanes.children[row]);
    canvas.setAttribute("aria-label", laneInWords(ui, entry));
    drawLane(canvas, ui, entry, lanes.clientWidth);
  });
}

/** A lane for those who cannot see it. */
function laneInWords(ui, entry) {
  const scores = [...ui.lanes.of(entry.id).values()];
  const present = scores.filter(([presence]) => presence > 0).length;
  const prompted = ui.store.promptedFrames(entry).join(", ") || "none";
  return `${entry.name}: present on ${present} of ${scores.length} tracked frames; prompted frames: ${prompted}`;
}

function drawLane(canvas, ui, entry, width) {
  const density = window.devicePixelRatio || 1;
  Object.assign(canvas, { width: Math.max(1, width * density), height: LANE_HEIGHT * density });
  canvas.style.height = `${LANE_HEIGHT}px`;
  const context = canvas.getContext("2d");
  context.scale(density, density);
  const step = width / ui.count;
  const bar = (frame, from, to, style) => {
    context.fillStyle = style;
    const left = Math.floor(frame * step * density) / density;
    const right = Math.ceil((frame + 1) * step * density) / density;
    context.fillRect(left, from, right - left, to - from);
  };
  const color = colorOf(ui, entry);
  for (const [frame, [presence, quality]] of ui.lanes.of(entry.id)) {
    const height = (LANE_HEIGHT - 2) * (presence > 0 ? clamp(quality, LEAST_BAR, 1) : LEAST_BAR);
    bar(frame, LANE_HEIGHT - height, LANE_HEIGHT, presence > 0 ? color : ABSENT);
  }
  for (const frame of ui.locked) bar(frame, 0, LANE_HEIGHT, LOCKED_COLOR);
  for (const frame of ui.store.promptedFrames(entry)) {
    const x = clamp((frame + 0.5) * step, MARK_SIZE + 1, width - MARK_SIZE - 1);
    drawDiamond(context, x, LANE_HEIGHT / 2);
  }
}

function drawDiamond(context, x, y) {
  context.beginPath();
  for (const [dx, dy] of [[0, -1], [1, 0], [0, 1], [-1, 0]]) context.lineTo(x + dx * MARK_SIZE, y + dy * MARK_SIZE);
  context.closePath();
  context.fillStyle = "white";
  context.fill();
  context.strokeStyle = "black";
  context.lineWidth = 1.2;
  context.stroke();
}
