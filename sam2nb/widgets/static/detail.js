// The pixels of what is zoomed, where the picture at hand is too coarse.

import { decodeImage } from "./dom.js";

const AFTER = 250; // milliseconds after the last zoom
const LEAST_ZOOM = 1.2;

/** The part of the image that is shown, in its own pixels: fetched from Python, drawn over the picture. */
export class Detail {
  /** @param {any} ui see prompt_view.js */
  constructor(ui) {
    this.ui = ui;
    /** @type {{region: number[], picture: ImageBitmap} | null} */
    this.shown = null;
    this.dropped = 0; // times; what was asked for before is not shown after
  }

  /** Forget the pixels: the picture is another one. */
  drop() {
    this.shown = null;
    this.dropped += 1;
  }

  /** Fetch the pixels of the view, when it has come to rest. */
  follow() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetch(), AFTER);
  }

  async fetch() {
    const { picture, view, kernel } = this.ui;
    if (!picture || picture.width >= view.image.width || view.zoom <= LEAST_ZOOM) return;
    const region = view.region.map((value, index) => (index < 2 ? Math.floor(value) : Math.ceil(value)));
    const { dropped } = this;
    const { content, buffers } = await kernel.ask({ kind: "detail", region });
    const pixels = content.problem ? null : await decodeImage(buffers[0], "image/jpeg");
    if (!pixels || dropped !== this.dropped) return;
    this.shown = { region: content.region, picture: pixels };
    this.ui.draw();
  }

  close() {
    clearTimeout(this.timer);
  }
}
