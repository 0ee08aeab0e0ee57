// The size of a canvas: as large as it can be while all of the widget fits in the view. The controls are beside the
// canvas or below it, wherever they leave more room.

const LEAST_HEIGHT = 160; // CSS pixels of the canvas
const LEAST_SIDE = 260; // CSS pixels: height of the controls beside it
const SMALL_IMAGE = 320; // CSS pixels: a smaller image is shown enlarged to this
const MOST_ENLARGED = 3;
const MARGIN = 36; // CSS pixels around the widget in its cell
const GAP = 10; // between the canvas and the controls

/**
 * The height that a widget may fill: that of the notebook's view, or of the screen where the view grows with the widget
 * (Colab).
 * @param {HTMLElement} place of the widget
 * @returns {number} CSS pixels
 */
export function viewHeight(place) {
  if (window.google && window.google.colab) return Math.max(320, window.screen.availHeight - 320);
  const panel = place.closest(".jp-WindowedPanel-outer");
  return Math.min(window.innerHeight, panel && panel.clientHeight > 0 ? panel.clientHeight : Infinity);
}

/**
 * Give a canvas its size.
 * @param {Object} parts
 * @param {HTMLElement} parts.root holds all of the widget, with a stage for the canvas and the controls
 * @param {HTMLCanvasElement} parts.canvas
 * @param {HTMLElement} parts.side the controls beside or below it
 * @param {HTMLElement[]} parts.unfolded what a person unfolded, which may be out of view
 * @param {{width: number, height: number}} image
 * @returns {[number, number] | null} width and height in CSS pixels, null while the widget is not shown
 */
export function fitCanvas({ root, canvas, side, unfolded }, image) {
  const most = Math.max(MOST_ENLARGED, SMALL_IMAGE / Math.max(image.width, image.height));
  const scaleOf = (isBeside) => {
    root.classList.toggle("sam2nb-wide", isBeside);
    const room = root.clientWidth - (isBeside ? side.offsetWidth + GAP : 0);
    const extra = unfolded.reduce((sum, node) => sum + node.offsetHeight, 0);
    const others = root.offsetHeight - canvas.parentElement.offsetHeight - extra;
    const below = isBeside ? 0 : side.offsetHeight + GAP;
    const tall = Math.max(LEAST_HEIGHT, viewHeight(root) - others - below - MARGIN);
    return Math.min(room / image.width, tall / image.height, most);
  };
  side.style.maxHeight = "";
  const [below, beside] = [scaleOf(false), scaleOf(true)];
  const isBeside = beside >= below;
  root.classList.toggle("sam2nb-wide", isBeside);
  const scale = Math.max(below, beside);
  if (!(scale > 0)) return null;
  const [width, height] = [image.width, image.height].map((length) => Math.max(1, Math.floor(length * scale)));
  const density = window.devicePixelRatio || 1;
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  const tallest = Math.max(height, Math.min(LEAST_SIDE, viewHeight(root) / 2)); // the controls scroll
  side.style.maxHeight = isBeside ? `${tallest}px` : "";
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  return [width, height];
}

/**
 * Call `act` whenever the place of a widget changes its size.
 * @returns {() => void} stops it
 */
export function onResize(place, act) {
  const observer = new ResizeObserver(act);
  observer.observe(place);
  window.addEventListener("resize", act);
  return () => {
    observer.disconnect();
    window.removeEventListener("resize", act);
  };
}
