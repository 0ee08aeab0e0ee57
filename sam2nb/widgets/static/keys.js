// The keyboard: everything that the mouse can do.

import { clamp } from "./dom.js";

const STEP = 8; // screen pixels per arrow key, five times as far with shift

export const HELP = [
  ["click", "include"],
  ["Shift or right click", "exclude"],
  ["drag", "draw a box"],
  ["Shift + wheel, 1 2 3", "other masks of a single click"],
  ["Ctrl + wheel, + − 0", "zoom"],
  ["Alt or middle drag", "pan"],
  ["Enter", "accept, next object"],
  ["arrows (Shift: faster)", "move the cursor"],
  ["Space, x", "include, exclude at the cursor"],
  ["b twice", "corners of a box"],
  ["n, Page Up, Page Down", "new, previous, next object"],
  ["u, y", "undo, redo"],
  ["c, Delete", "clear, remove the object"],
  ["l", "closer look at what is shown"],
  ["e, r, [ ]", "brush, eraser, their size"],
  ["v, o", "hide the object, outlines"],
];

/**
 * Listen to the keys of the canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {any} ui see prompt_widget.js
 * @param {Record<string, (() => void) | null>} [others] actions in place of these by key, null for none
 */
export function listenToKeys(canvas, ui, others = {}) {
  let corner = null; // the first corner of a box

  const here = () => {
    const [x1, y1, x2, y2] = ui.view.region;
    ui.cursor = ui.cursor ?? [(x1 + x2) / 2, (y1 + y2) / 2];
    return ui.cursor;
  };

  const move = ([dx, dy], faster) => {
    const step = ((faster ? 5 : 1) * STEP) / ui.view.scale;
    const { width, height } = ui.view.image;
    const [x, y] = here();
    ui.cursor = [clamp(x + dx * step, 0, Math.max(0, width - 1)), clamp(y + dy * step, 0, Math.max(0, height - 1))];
    const [sx, sy] = ui.view.toScreen(...ui.cursor);
    ui.view.move(clamp(sx, 0, ui.view.width) - sx, clamp(sy, 0, ui.view.height) - sy);
    ui.drag = corner ? [...corner, ...ui.cursor] : null;
    ui.mouse = ui.cursor;
    ui.askPreview();
    ui.viewChanged();
  };

  const boxCorner = () => {
    if (!corner) {
      corner = here();
      ui.say("First corner set: move, and press b again.");
      return;
    }
    const first = corner;
    corner = ui.drag = null;
    ui.setBox(first, here());
  };

  const zoom = (act) => {
    act();
    ui.viewChanged();
  };

  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const actions = {
    " ": () => ui.addPoint(here(), 1),
    x: () => ui.addPoint(here(), 0),
    b: boxCorner,
    Enter: () => ui.accept(),
    n: () => ui.store.addObject(),
    PageUp: () => ui.store.selectNext(-1),
    PageDown: () => ui.store.selectNext(1),
    u: () => ui.store.undo(),
    Backspace: () => ui.store.undo(),
    y: () => ui.store.redo(),
    c: () => ui.store.clear(),
    Delete: () => ui.store.removeObject(ui.store.entry.id),
    1: () => ui.choose(0),
    2: () => ui.choose(1),
    3: () => ui.choose(2),
    m: () => ui.cycle(1),
    "+": () => zoom(() => ui.view.zoomIn()),
    "=": () => zoom(() => ui.view.zoomIn()),
    "-": () => zoom(() => ui.view.zoomOut()),
    0: () => zoom(() => ui.view.reset()),
    l: () => ui.closerLook(),
    e: () => ui.setTool("brush"),
    r: () => ui.setTool("eraser"),
    i: () => ui.setTool("include"),
    "[": () => ui.setBrush(ui.brush / 1.25),
    "]": () => ui.setBrush(ui.brush * 1.25),
    v: () => ui.store.change({ visible: !ui.store.entry.visible }, undefined, false),
    o: () => ui.setOutline(!ui.outline),
    Escape: () => {
      corner = ui.drag = null;
      ui.setTool("include");
    },
    ...others,
  };

  canvas.addEventListener("keydown", (event) => {
    const control = event.ctrlKey || event.metaKey;
    if (moves[event.key] && !control && !event.altKey) move(moves[event.key], event.shiftKey);
    else if (control && event.key.toLowerCase() === "z") event.shiftKey ? ui.store.redo() : ui.store.undo();
    else if (control && event.key === "y") ui.store.redo();
    else if (actions[event.key] && !control && !event.altKey) actions[event.key]();
    else return;
    event.preventDefault();
    ui.draw();
  });
  canvas.addEventListener("blur", () => {
    corner = ui.drag = ui.cursor = null;
    ui.draw();
  });
}
