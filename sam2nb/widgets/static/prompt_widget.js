// The browser side of sam2nb.widgets.prompt.PromptWidget. Python owns the prompts; this file draws them and reports
// new ones. All coordinates are pixels of the original image, whatever its size on the screen.

const INCLUDE = "#0072B2"; // the colours of sam2nb.plotting, here and in the CSS; a test compares them
const EXCLUDE = "#D55E00";
const BOX = "#F0E442";
const DRAG_PIXELS = 5; // on the screen: a shorter movement is a click
const STEP = 8; // screen pixels per arrow key, five times as far with shift

function element(tag, attributes = {}, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}

// Bytes from Python arrive as a DataView; an <img> needs an object URL.
function loadImage(view, type, then) {
  const image = new Image();
  const url = URL.createObjectURL(new Blob([view], { type }));
  image.onload = () => {
    URL.revokeObjectURL(url);
    then(image);
  };
  image.src = url;
}

function render({ model, el }) {
  const [width, height] = model.get("size");
  const root = element("div", { class: "sam2nb-prompt" });
  const canvas = element("canvas", { tabindex: "0", role: "application", "aria-label": label() });
  const bar = element("div", { class: "sam2nb-bar", role: "toolbar", "aria-label": "prompts" });
  const include = element("button", { type: "button", "data-kind": "1", "aria-pressed": "true" }, "+ include");
  const exclude = element("button", { type: "button", "data-kind": "0", "aria-pressed": "false" }, "\u2212 exclude");
  const undo = element("button", { type: "button", "data-action": "undo" }, "undo");
  const clear = element("button", { type: "button", "data-action": "clear" }, "clear");
  const status = element("span", { class: "sam2nb-status", role: "status", "aria-live": "polite" });
  const help = element(
    "p",
    { class: "sam2nb-help" },
    "Click includes, shift or right click excludes, drag draws a box. " +
      "Keys: arrows, Enter include, x exclude, b box corner, u undo, c clear.",
  );
  bar.append(include, exclude, undo, clear, status);
  root.append(canvas, bar, help);
  el.append(root);

  canvas.width = Math.min(width, 900);
  canvas.height = Math.round((canvas.width * height) / width);
  const context = canvas.getContext("2d");
  const scale = canvas.width / width;

  let kind = 1; // the label of a plain click: that of the pressed button
  let picture = null;
  let overlay = null;
  let start = null; // where the pointer went down
  let drag = null; // the box being drawn
  let cursor = null; // the position of the keyboard cursor, null until a key is used
  let corner = null; // the first corner of a box set by keyboard
  let order = history(model); // "click" and "box" in the order they were added, for undo

  function label() {
    return `${model.get("alt")}. Arrow keys move the cursor, Enter includes, x excludes, b sets box corners, u undoes.`;
  }

  function history(source) {
    return [...(source.get("corners").length ? ["box"] : []), ...source.get("clicks").map(() => "click")];
  }

  function draw() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (picture) context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    if (overlay) context.drawImage(overlay, 0, 0, canvas.width, canvas.height);
    const corners = drag ?? (model.get("corners").length ? model.get("corners") : null);
    if (corners) drawBox(corners);
    for (const [x, y, include] of model.get("clicks")) drawClick(x * scale, y * scale, include === 1);
    if (cursor && document.activeElement === canvas) drawCursor(cursor[0] * scale, cursor[1] * scale);
  }

  function drawBox([x1, y1, x2, y2]) {
    const frame = [x1 * scale, y1 * scale, (x2 - x1) * scale, (y2 - y1) * scale];
    for (const [color, line] of [["rgba(0,0,0,0.6)", 5], [BOX, 2.5]]) {
      context.strokeStyle = color;
      context.lineWidth = line;
      context.strokeRect(...frame);
    }
  }

  function drawClick(x, y, include) {
    context.beginPath();
    context.arc(x, y, 8, 0, 2 * Math.PI);
    context.fillStyle = include ? INCLUDE : EXCLUDE;
    context.fill();
    context.strokeStyle = "white";
    context.lineWidth = 2;
    context.stroke();
    const arms = include ? [[-4, 0, 4, 0], [0, -4, 0, 4]] : [[-3, -3, 3, 3], [-3, 3, 3, -3]];
    for (const [ax, ay, bx, by] of arms) {
      context.beginPath();
      context.moveTo(x + ax, y + ay);
      context.lineTo(x + bx, y + by);
      context.stroke();
    }
  }

  function drawCursor(x, y) {
    for (const [color, line] of [["black", 4], ["white", 1.5]]) {
      context.strokeStyle = color;
      context.lineWidth = line;
      context.beginPath();
      context.moveTo(x - 12, y);
      context.lineTo(x + 12, y);
      context.moveTo(x, y - 12);
      context.lineTo(x, y + 12);
      context.stroke();
    }
  }

  function position(event) {
    const frame = canvas.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * width;
    const y = ((event.clientY - frame.top) / frame.height) * height;
    return [Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1)];
  }

  function addClick([x, y], include) {
    order.push("click");
    model.set("clicks", [...model.get("clicks"), [x, y, include]]);
    commit();
  }

  function setBox([ax, ay], [bx, by]) {
    if (Math.abs(ax - bx) < 1 || Math.abs(ay - by) < 1) return;
    order = order.filter((entry) => entry !== "box");
    order.push("box");
    model.set("corners", [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)]);
    commit();
  }

  function undoLast() {
    const last = order.pop();
    if (last === "box") model.set("corners", []);
    if (last === "click") model.set("clicks", model.get("clicks").slice(0, -1));
    if (last) commit();
  }

  function clearAll() {
    order = [];
    corner = null;
    model.set("clicks", []);
    model.set("corners", []);
    commit();
  }

  function commit() {
    status.textContent = "\u2026";
    model.save_changes();
    draw();
  }

  function press(which) {
    kind = which;
    include.setAttribute("aria-pressed", String(which === 1));
    exclude.setAttribute("aria-pressed", String(which === 0));
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 2 || event.button === 1) return;
    canvas.focus();
    cursor = null;
    start = { at: position(event), x: event.clientX, y: event.clientY, exclude: event.button === 2 || event.shiftKey };
    canvas.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!start || start.exclude) return;
    const far = Math.hypot(event.clientX - start.x, event.clientY - start.y) > DRAG_PIXELS;
    drag = far || drag ? [...start.at, ...position(event)] : null;
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!start) return;
    const from = start;
    const boxed = drag !== null;
    start = null;
    drag = null;
    if (boxed) setBox(from.at, position(event));
    else addClick(from.at, from.exclude ? 0 : kind);
    draw();
  });
  canvas.addEventListener("pointercancel", () => {
    start = null;
    drag = null;
    draw();
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  canvas.addEventListener("keydown", (event) => {
    const jump = ((event.shiftKey ? 5 : 1) * STEP * width) / canvas.getBoundingClientRect().width;
    const moves = { ArrowLeft: [-jump, 0], ArrowRight: [jump, 0], ArrowUp: [0, -jump], ArrowDown: [0, jump] };
    const actions = {
      Enter: () => addClick(here(), event.shiftKey ? 0 : 1),
      " ": () => addClick(here(), event.shiftKey ? 0 : 1),
      x: () => addClick(here(), 0),
      b: () => boxCorner(here()),
      u: undoLast,
      c: clearAll,
      Backspace: undoLast,
    };
    const undoKeys = event.key === "z" && (event.ctrlKey || event.metaKey);
    if (moves[event.key]) move(moves[event.key]);
    else if (undoKeys) undoLast();
    else if (actions[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) actions[event.key]();
    else return;
    // the notebook has its own shortcuts on the same keys
    event.preventDefault();
    event.stopPropagation();
  });
  canvas.addEventListener("focus", draw);
  canvas.addEventListener("blur", draw);

  function here() {
    cursor = cursor ?? [width / 2, height / 2];
    return cursor;
  }

  function move([dx, dy]) {
    const [x, y] = here();
    cursor = [Math.min(Math.max(x + dx, 0), width - 1), Math.min(Math.max(y + dy, 0), height - 1)];
    drag = corner ? [...corner, ...cursor] : null;
    draw();
  }

  function boxCorner(at) {
    if (!corner) {
      corner = at;
      status.textContent = "first corner set, move and press b again";
      return;
    }
    const first = corner;
    corner = null;
    drag = null;
    setBox(first, at);
    draw();
  }

  include.addEventListener("click", () => press(1));
  exclude.addEventListener("click", () => press(0));
  undo.addEventListener("click", undoLast);
  clear.addEventListener("click", clearAll);

  function showPicture() {
    loadImage(model.get("picture"), "image/jpeg", (image) => {
      picture = image;
      draw();
    });
  }

  let latest = 0; // an overlay that decodes late must not replace a newer one
  function showOverlay() {
    const bytes = model.get("overlay");
    const mine = ++latest;
    if (!bytes || bytes.byteLength === 0) {
      overlay = null;
      draw();
      return;
    }
    loadImage(bytes, "image/png", (image) => {
      if (mine !== latest) return;
      overlay = image;
      draw();
    });
  }

  function showStatus() {
    status.textContent = model.get("status");
  }

  function promptsChanged() {
    if (order.length !== history(model).length) order = history(model);
    draw();
  }

  const handlers = {
    "change:picture": showPicture,
    "change:overlay": showOverlay,
    "change:revision": showStatus,
    "change:clicks": promptsChanged,
    "change:corners": promptsChanged,
  };
  for (const [name, handler] of Object.entries(handlers)) model.on(name, handler);
  showPicture();
  showOverlay();
  showStatus();
  return () => {
    for (const [name, handler] of Object.entries(handlers)) model.off(name, handler);
  };
}

export default { render };
