// The controls around the canvas: tools above it, objects, masks and files beside it.

import { button, element, group, holder, slider } from "./dom.js";
import { HELP } from "./keys.js";
import { chosenMask, thumbnail } from "./layers.js";
import { isBlank } from "./store.js";
import { colorOf } from "./paint.js";

const TOOLS = [
  ["include", "+ include", "A click says: this belongs to the object"],
  ["exclude", "\u2212 exclude", "A click says: this does not belong to it"],
  ["brush", "brush", "Paint what the mask lacks"],
  ["eraser", "eraser", "Erase what it should not have"],
  ["move", "move", "Pan the zoomed image"],
];

/**
 * Build the tools above the canvas.
 * @param {any} ui see prompt_widget.js
 */
export function makeToolbar(ui) {
  const bar = element("div", { class: "sam2nb-bar" });
  const tools = makeTools(ui, TOOLS);
  const history = makeHistory(ui);
  const closer = button("closer look", () => ui.closerLook(), {
    "data-action": "closer",
    "aria-pressed": "false",
    title: "Let the model see only what is shown here, at its full resolution",
  });
  const brush = slider("size", { min: 2, max: 80, step: 1, value: ui.brush }, (value) => ui.setBrush(value));
  bar.append(tools.node, brush.row, history.node, group("zoom", ...zoomButtons(ui), closer));
  const update = () => {
    tools.update();
    history.update();
    brush.row.hidden = ui.tool !== "brush" && ui.tool !== "eraser";
    brush.set(ui.brush);
    closer.disabled = !ui.canLookCloser;
    closer.setAttribute("aria-pressed", String(ui.store.entry.look !== null));
  };
  return { node: bar, update };
}

/** Buttons for the tools, each [tool, text, title]. */
export function makeTools(ui, tools) {
  const buttons = tools.map(([tool, text, title]) =>
    button(text, () => ui.setTool(tool), { "data-tool": tool, title, "aria-pressed": "false" }),
  );
  const update = () => {
    for (const node of buttons) node.setAttribute("aria-pressed", String(node.dataset.tool === ui.tool));
  };
  return { node: group("tool", ...buttons), update };
}

/** Undo, redo and clear. */
export function makeHistory(ui) {
  const undo = button("undo", () => ui.store.undo(), { "data-action": "undo" });
  const redo = button("redo", () => ui.store.redo(), { "data-action": "redo" });
  const clear = button("clear", () => ui.store.clear(), { "data-action": "clear", title: "Remove its prompts" });
  const update = () => {
    undo.disabled = !ui.store.past.length;
    redo.disabled = !ui.store.future.length;
    clear.disabled = ui.store.isEmpty;
  };
  return { node: group("history", undo, redo, clear), update };
}

/** Buttons that zoom. */
export function zoomButtons(ui) {
  const zoom = (act) => () => {
    act();
    ui.viewChanged();
    ui.draw();
  };
  const smaller = button("\u2212", zoom(() => ui.view.zoomOut()), { "aria-label": "zoom out" });
  const fit = button("fit", zoom(() => ui.view.reset()), { title: "Show the whole image" });
  const larger = button("+", zoom(() => ui.view.zoomIn()), { "aria-label": "zoom in" });
  return [smaller, fit, larger];
}

/** A slider for the opacity of masks, and a box to tick for their outlines. */
export function makeLook(ui) {
  const range = { min: 0, max: 1, step: 0.05, value: ui.opacity };
  const opacity = slider("opacity", range, (value) => ui.setOpacity(value));
  const outline = element("label", { class: "sam2nb-check" });
  const check = /** @type {HTMLInputElement} */ (element("input", { type: "checkbox" }));
  check.addEventListener("change", () => ui.setOutline(check.checked));
  outline.append(check, element("span", {}, "outlines"));
  const update = () => {
    check.checked = ui.outline;
  };
  return { node: row(opacity.row, outline), update };
}

/** @param {...Node} nodes */
export function row(...nodes) {
  return holder({ class: "sam2nb-row" }, ...nodes);
}

/** The list of objects; it is made again only where something changed. */
export function makeObjects(ui) {
  const list = element("ul", { class: "sam2nb-objects", "aria-label": "objects" });
  let shown = "";
  const update = () => {
    const { entries, entry } = ui.store;
    const now = JSON.stringify([entries.map((e) => [e.id, e.name, e.color, e.visible, e.accepted]), entry.id]);
    if (now === shown) return;
    shown = now;
    updateObjects(list, ui);
  };
  return { node: list, update };
}

/**
 * Build the list of objects, the masks to choose from and the files.
 * @param {any} ui see prompt_widget.js
 */
export function makeSide(ui) {
  const side = element("div", { class: "sam2nb-side" });
  const objects = makeObjects(ui);
  const masks = element("div", { class: "sam2nb-masks", role: "group", "aria-label": "masks to choose from" });
  masks.addEventListener(
    "wheel",
    (event) => {
      if (masks.children.length < 2 || event.ctrlKey) return;
      ui.cycle(Math.sign(event.deltaY || event.deltaX));
      event.preventDefault();
    },
    { passive: false },
  );
  const add = button("+ object", () => ui.store.addObject(), { "data-action": "add" });
  const accept = button("accept", () => ui.accept(), { "data-action": "accept", title: "Done: on to the next object" });
  const look = makeLook(ui);
  const file = (text, action, act, title) => button(text, act, { "data-action": action, title });
  const png = file("PNG", "png", () => ui.export("png"), "Download what the visible objects cover");
  const coco = file("COCO", "coco", () => ui.export("coco"), "Download all masks as a COCO file");
  const code = file("code", "code", () => ui.toggleCode(), "The script that gives these masks");
  side.append(objects.node, row(accept, add), masks, look.node, row(png, coco, code));

  const update = () => {
    look.update();
    objects.update();
    accept.disabled = ui.store.isEmpty;
    for (const node of [png, coco]) node.disabled = ui.store.entries.every(isBlank);
    code.setAttribute("aria-expanded", String(ui.showsCode));
    updateMasks(masks, ui);
  };
  return { node: side, update };
}

function updateObjects(list, ui) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  list.replaceChildren(...ui.store.entries.map((entry) => objectRow(entry, ui)));
  if (focused) list.querySelector(`[data-key="${focused}"]`)?.focus();
}

function objectRow(entry, ui) {
  const { id, name } = entry;
  const isSelected = id === ui.store.entry.id;
  const row = element("li", isSelected ? { class: "sam2nb-selected" } : {});
  const pick = button(entry.accepted ? "\u2713" : "", () => ui.store.select(id), {
    class: "sam2nb-swatch",
    "aria-label": `select ${name}${entry.accepted ? ", accepted" : ""}`,
    "aria-pressed": String(isSelected),
    "data-key": `pick${id}`,
  });
  pick.style.setProperty("--swatch", colorOf(ui, entry));
  const attributes = { type: "text", "aria-label": `name of object ${id}`, "data-key": `name${id}` };
  const field = /** @type {HTMLInputElement} */ (element("input", attributes));
  field.value = name;
  field.addEventListener("change", () => ui.store.change({ name: field.value.trim() || `object ${id}` }, id));
  field.addEventListener("pointerdown", () => isSelected || ui.store.select(id));
  const eye = button(entry.visible ? "hide" : "show", () => ui.store.change({ visible: !entry.visible }, id, false), {
    "aria-label": `${entry.visible ? "hide" : "show"} ${name}`,
    "data-key": `eye${id}`,
  });
  const remove = button("\u00d7", () => ui.store.removeObject(id), {
    "aria-label": `remove ${name}`,
    "data-key": `remove${id}`,
  });
  row.append(pick, field, eye, remove);
  return row;
}

function updateMasks(group, ui) {
  const found = ui.currentAnswer();
  const picture = ui.picture;
  if (!found || !picture || found.answer.masks.length < 2) {
    group.replaceChildren();
    group.hidden = true;
    return;
  }
  const { answer, choice } = found;
  group.hidden = false;
  const color = colorOf(ui, ui.store.entry);
  if (group.answer !== answer || group.color !== color) {
    group.answer = answer;
    group.color = color;
    const nodes = answer.masks.map((mask, index) => {
      const score = answer.scores[index];
      const text = score === null ? "" : score.toFixed(2);
      const node = button("", () => ui.choose(index), { "aria-label": `mask ${index + 1}, score ${text}` });
      node.append(thumbnail(picture, mask, color), element("span", {}, text));
      return node;
    });
    group.replaceChildren(...nodes);
  }
  const chosen = chosenMask(answer, choice);
  [...group.children].forEach((node, index) => node.setAttribute("aria-pressed", String(index === chosen)));
}

/** The keys and gestures, folded. */
export function makeHelp(lines = HELP) {
  const details = element("details", { class: "sam2nb-help" });
  const list = element("dl");
  for (const [keys, meaning] of lines) {
    const pair = element("div");
    pair.append(element("dt", {}, keys), element("dd", {}, meaning));
    list.append(pair);
  }
  details.append(element("summary", {}, "Mouse and keys"), list);
  return details;
}
