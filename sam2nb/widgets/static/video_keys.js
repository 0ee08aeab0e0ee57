// The keyboard of a video, besides the keys of its canvas.

const FAR = 10; // frames

/** Keys of the image widget that mean nothing here. @type {Record<string, null>} */
export const NOT_FOR_VIDEO = Object.fromEntries([..."123mler[]"].map((key) => [key, null]));

export const VIDEO_HELP = [
  ["click", "include"],
  ["Shift or right click", "exclude"],
  ["drag", "draw a box"],
  ["\u201c,\u201d and \u201c.\u201d", "one frame back, ahead"],
  ["\u201c<\u201d and \u201c>\u201d", "ten frames back, ahead"],
  ["[ ]", "the prompted frame before, after"],
  ["Home, End", "first, last frame"],
  ["p", "play, pause"],
  ["f, d, t", "propagate forward, back, both ways"],
  ["s", "stop"],
  ["k", "lock the frame"],
  ["Ctrl + wheel, + \u2212 0", "zoom"],
  ["Alt or middle drag", "pan"],
  ["arrows (Shift: faster)", "move the cursor"],
  ["Space, x", "include, exclude at the cursor"],
  ["b twice", "corners of a box"],
  ["n, Page Up, Page Down", "new, previous, next object"],
  ["u, y", "undo, redo"],
  ["c, Delete", "clear on this frame, remove the object"],
  ["v, o", "hide the object, outlines"],
];

/**
 * Listen to keys wherever the focus is in the widget, but not where one writes.
 * @param {HTMLElement} root
 * @param {any} ui see video_view.js
 */
export function listenToVideoKeys(root, ui) {
  const actions = {
    ",": () => ui.step(-1),
    ".": () => ui.step(1),
    "<": () => ui.step(-FAR),
    ">": () => ui.step(FAR),
    "[": () => ui.stepToMark(-1),
    "]": () => ui.stepToMark(1),
    Home: () => ui.step(-ui.target),
    End: () => ui.step(ui.count),
    p: () => ui.player.toggle(),
    f: () => ui.propagate("forward"),
    d: () => ui.propagate("backward"),
    t: () => ui.propagate("both"),
    s: () => ui.stop(),
    k: () => ui.toggleLock(),
  };
  root.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the notebook has shortcuts
    const { target, key } = event;
    const isField = target instanceof HTMLInputElement && target.type === "text";
    if (isField || target instanceof HTMLTextAreaElement || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!actions[key]) return;
    actions[key]();
    event.preventDefault();
  });
}
