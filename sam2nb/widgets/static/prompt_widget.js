// A picture to click on: the browser side of sam2nb.widgets.prompt.PromptWidget.
// The model (Python) owns the prompts; this file draws them and reports new ones. All coordinates are pixels of the
// whole image, whatever the size on the screen.

const INCLUDE = "#0072B2"; // same colours as plotting.py
const EXCLUDE = "#D55E00";
const BOX = "#F0E442";
const DRAG_PIXELS = 5; // less movement than this on the screen is a click
const STEP = 8; // screen pixels per arrow key, five times as many with shift

function element(tag, attributes = {}, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}

// bytes from Python arrive as a DataView -> an object URL for an <img>
function asUrl(view, type) {
  return URL.createObjectURL(new Blob([view], { type }));
}

function loadImage(view, type, then) {
  const image = new Image();
  const url = asUrl(view, type);
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
  const pen = canvas.getContext("2d");
  const scale = canvas.width / width;

  let kind = 1; // what a plain click means: the pressed button
  let picture = null;
  let overlay = null;
  let start = null; // where the pointer went down
  let drag = null; // the box being drawn
  let cursor = null; // the keyboard's place, null until a key is used
  let corner = null; // first corner of a keyboard box
  let order = history(model); // "click" and "box" in the order they came, for undo

  function label() {
    return `${model.get("alt")}. Arrow keys move the cursor, Enter includes, x excludes, b sets box corners, u undoes.`;
  }

  function history(source) {
    return [...(source.get("corners").length ? ["box"] : []), ...source.get("clicks").map(() => "click")];
  }

  function draw() {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    if (picture) pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    if (overlay) pen.drawImage(overlay, 0, 0, canvas.width, canvas.height);
    const corners = drag ?? (model.get("corners").length ? model.get("corners") : null);
    if (corners) drawBox(corners);
    for (const [x, y, include] of model.get("clicks")) drawClick(x * scale, y * scale, include === 1);
    if (cursor && document.activeElement === canvas) drawCursor(cursor[0] * scale, cursor[1] * scale);
  }

  function drawBox([x1, y1, x2, y2]) {
    const frame = [x1 * scale, y1 * scale, (x2 - x1) * scale, (y2 - y1) * scale];
    for (const [color, line] of [["rgba(0,0,0,0.6)", 5], [BOX, 2.5]]) {
      pen.strokeStyle = color;
      pen.lineWidth = line;
      pen.strokeRect(...frame);
    }
  }

  function drawClick(x, y, include) {
    pen.beginPath();
    pen.arc(x, y, 8, 0, 2 * Math.PI);
    pen.fillStyle = include ? INCLUDE : EXCLUDE;
    pen.fill();
    pen.strokeStyle = "white";
    pen.lineWidth = 2;
    pen.stroke();
    const arms = include ? [[-4, 0, 4, 0], [0, -4, 0, 4]] : [[-3, -3, 3, 3], [-3, 3, 3, -3]];
    for (const [ax, ay, bx, by] of arms) {
      pen.beginPath();
      pen.moveTo(x + ax, y + ay);
      pen.lineTo(x + bx, y + by);
      pen.stroke();
    }
  }

  function drawCursor(x, y) {
    for (const [color, line] of [["black", 4], ["white", 1.5]]) {
      pen.strokeStyle = color;
      pen.lineWidth = line;
      pen.beginPath();
      pen.moveTo(x - 12, y);
      pen.lineTo(x + 12, y);
      pen.moveTo(x, y - 12);
      pen.lineTo(x, y + 12);
      pen.stroke();
    }
  }

  function place(event) {
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

  function takeBack() {
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
    start = { at: place(event), x: event.clientX, y: event.clientY, exclude: event.button === 2 || event.shiftKey };
    canvas.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!start || start.exclude) return;
    const far = Math.hypot(event.clientX - start.x, event.clientY - start.y) > DRAG_PIXELS;
    drag = far || drag ? [...start.at, ...place(event)] : null;
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!start) return;
    const from = start;
    const boxed = drag !== null;
    start = null;
    drag = null;
    if (boxed) setBox(from.at, place(event));
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
      u: takeBack,
      c: clearAll,
      Backspace: takeBack,
    };
    const undoKeys = event.key === "z" && (event.ctrlKey || event.metaKey);
    if (moves[event.key]) move(moves[event.key]);
    else if (undoKeys) takeBack();
    else if (actions[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) actions[event.key]();
    else return;
    // the notebook has shortcuts of its own on the same keys
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
  undo.addEventListener("click", takeBack);
  clear.addEventListener("click", clearAll);

  function showPicture() {
    loadImage(model.get("picture"), "image/jpeg", (image) => {
      picture = image;
      draw();
    });
  }

  let wanted = 0; // a late answer must not paint over a newer one
  function showOverlay() {
    const bytes = model.get("overlay");
    const mine = ++wanted;
    if (!bytes || bytes.byteLength === 0) {
      overlay = null;
      draw();
      return;
    }
    loadImage(bytes, "image/png", (image) => {
      if (mine !== wanted) return;
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

  const watched = {
    "change:picture": showPicture,
    "change:overlay": showOverlay,
    "change:turn": showStatus,
    "change:clicks": promptsChanged,
    "change:corners": promptsChanged,
  };
  for (const [name, handler] of Object.entries(watched)) model.on(name, handler);
  showPicture();
  showOverlay();
  showStatus();
  return () => {
    for (const [name, handler] of Object.entries(watched)) model.off(name, handler);
  };
}

export default { render };
