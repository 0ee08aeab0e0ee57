// Mouse, pen and finger on the canvas. The wheel alone scrolls the page, as everywhere; with shift it goes through the
// masks, with ctrl (or two fingers on a trackpad) it zooms.

const DRAG_PIXELS = 5; // on the screen: a shorter movement is a click
const LEFT = 0;
const MIDDLE = 1;
const RIGHT = 2;
const WHEEL_ZOOM = 0.0025; // of a factor e, for a pixel of the wheel

/**
 * Listen to the pointer.
 * @param {HTMLCanvasElement} canvas
 * @param {any} ui see prompt_widget.js
 */
export function listenToPointer(canvas, ui) {
  let start = null; // where the pointer went down, and what for

  const place = (event) => {
    const frame = canvas.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };
  const at = (event) => ui.view.toImage(...place(event));

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > RIGHT) return;
    canvas.focus({ preventScroll: true });
    ui.cursor = null;
    const pans = event.button === MIDDLE || event.altKey || ui.tool === "move";
    const paints = event.button === LEFT && (ui.tool === "brush" || ui.tool === "eraser");
    const excludes = event.button === RIGHT || event.shiftKey || ui.tool === "exclude";
    start = { action: pans ? "pan" : paints ? "paint" : "prompt", at: at(event), last: place(event), excludes };
    start.first = start.last;
    if (paints) {
      const adds = (ui.tool === "brush") !== event.shiftKey;
      ui.painting = { stroke: { adds, radius: ui.brushRadius(), path: [start.at] } };
    }
    canvas.setPointerCapture(event.pointerId);
    event.preventDefault();
    ui.draw();
  });

  canvas.addEventListener("pointermove", (event) => {
    ui.mouse = at(event);
    if (!start) {
      ui.askPreview();
      ui.draw();
      return;
    }
    const [x, y] = place(event);
    if (start.action === "pan") {
      ui.view.move(x - start.last[0], y - start.last[1]);
      ui.viewChanged();
    } else if (start.action === "paint") {
      ui.painting.stroke.path.push(ui.mouse);
    } else if (!start.excludes) {
      const far = Math.hypot(x - start.first[0], y - start.first[1]) > DRAG_PIXELS;
      ui.drag = far || ui.drag ? [...start.at, ...ui.mouse] : null;
    }
    start.last = [x, y];
    ui.draw();
  });

  canvas.addEventListener("pointerup", (event) => {
    if (!start) return;
    const { action, at: from, excludes } = start;
    const boxed = ui.drag !== null;
    const painted = ui.painting;
    start = ui.drag = ui.painting = null;
    if (action === "paint") ui.store.addStroke(painted.stroke);
    else if (action === "prompt" && boxed) ui.setBox(from, at(event));
    else if (action === "prompt") ui.addPoint(from, excludes ? 0 : 1);
    ui.draw();
  });

  const cancel = () => {
    start = ui.drag = ui.painting = null;
    ui.draw();
  };
  canvas.addEventListener("pointercancel", cancel);
  canvas.addEventListener("pointerleave", () => {
    ui.mouse = null;
    if (!start) ui.dropPreview();
    ui.draw();
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  canvas.addEventListener(
    "wheel",
    (event) => {
      const amount = event.deltaY || event.deltaX; // browsers turn the wheel sideways while shift is down
      if (event.ctrlKey || event.metaKey) {
        ui.view.zoomBy(Math.exp(-amount * WHEEL_ZOOM), place(event));
        ui.viewChanged();
      } else if (event.shiftKey) {
        ui.cycle(Math.sign(amount));
      } else return;
      event.preventDefault();
    },
    { passive: false },
  );
}
