// The controls of a video: tools above it, transport and propagation below it, objects and files beside it.

import { button, element, group, holder } from "./dom.js";
import { makeHistory, makeLook, makeObjects, makeTools, row, zoomButtons } from "./panel.js";

const VIDEO_TOOLS = [
  ["include", "+ include", "A click says: this belongs to the object"],
  ["exclude", "\u2212 exclude", "A click says: this does not belong to it"],
  ["move", "move", "Pan the zoomed image"],
];
const FILES = [
  ["coco", "COCO", "All masks as a COCO file with tracks"],
  ["yolo", "YOLO", "A YOLO data set of the frames, as a .zip file"],
  ["cvat", "CVAT", "Annotations for CVAT"],
  ["davis", "DAVIS", "A palette image for every frame, as a .zip file"],
  ["mp4", "mp4", "A video with the masks on it"],
];

/** The tools above the canvas. @param {any} ui see video_view.js */
export function makeVideoToolbar(ui) {
  const tools = makeTools(ui, VIDEO_TOOLS);
  const history = makeHistory(ui);
  const node = holder({ class: "sam2nb-bar" }, tools.node, history.node, group("zoom", ...zoomButtons(ui)));
  const update = () => {
    tools.update();
    history.update();
  };
  return { node, update };
}

/** Play, step and propagate. @param {any} ui see video_view.js */
export function makeTransport(ui) {
  const act = (text, action, function_, title) => button(text, function_, { "data-action": action, title });
  const back = act("\u2039", "back", () => ui.step(-1), "One frame back");
  const play = act("play", "play", () => ui.player.toggle(), "Play or pause");
  const ahead = act("\u203a", "ahead", () => ui.step(1), "One frame ahead");
  back.setAttribute("aria-label", "one frame back");
  ahead.setAttribute("aria-label", "one frame ahead");
  const where = element("span", { class: "sam2nb-where" });
  const runs = [
    act("\u25c0 back", "backward", () => ui.propagate("backward"), "Propagate towards the first frame"),
    act("both ways", "both", () => ui.propagate("both"), "Propagate to the last frame, then to the first"),
    act("forward \u25b6", "forward", () => ui.propagate("forward"), "Propagate towards the last frame"),
  ];
  const stop = act("stop", "stop", () => ui.stop(), "Stop after this frame; propagate to go on");
  const lock = act("lock frame", "lock", () => ui.toggleLock(), "The masks on this frame stay as they are");
  const follow = element("label", { class: "sam2nb-check" });
  const check = /** @type {HTMLInputElement} */ (element("input", { type: "checkbox" }));
  check.addEventListener("change", () => ui.setFollow(check.checked));
  follow.append(check, element("span", {}, "follow"));
  const node = holder(
    { class: "sam2nb-bar sam2nb-transport" },
    group("play", back, play, ahead, where),
    group("propagate", element("span", {}, "propagate"), ...runs, stop, follow),
    lock,
  );
  const update = () => {
    const running = ui.model.get("running");
    play.textContent = ui.player.isPlaying ? "pause" : "play";
    where.textContent = `${ui.target} / ${ui.count - 1}`;
    check.checked = ui.follow;
    for (const run of runs) run.disabled = running || ui.isGone || !ui.store.marks.length;
    stop.disabled = !running;
    lock.disabled = ui.isGone;
    lock.setAttribute("aria-pressed", String(ui.isLocked));
  };
  return { node, update };
}

/** Objects, look and files. @param {any} ui see video_view.js */
export function makeVideoSide(ui) {
  const objects = makeObjects(ui);
  const add = button("+ object", () => ui.store.addObject(), { "data-action": "add" });
  const look = makeLook(ui);
  const files = FILES.map(([name, text, title]) =>
    button(text, () => ui.export(name), { "data-action": name, title }),
  );
  const written = "The script that gives these masks";
  const code = button("code", () => ui.toggleCode(), { "data-action": "code", title: written });
  const node = holder({ class: "sam2nb-side" }, objects.node, row(add), look.node, row(...files, code));
  const update = () => {
    objects.update();
    look.update();
    for (const file of files) file.disabled = ui.isGone || !ui.lanes.scores.size;
    code.setAttribute("aria-expanded", String(ui.showsCode));
  };
  return { node, update };
}
