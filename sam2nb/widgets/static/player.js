// Play a video: the next frame when it is time for it, and it has come.

import { clamp } from "./dom.js";

const MOST_WAIT = 100; // milliseconds until the next look
const LEAST_WAIT = 4;
const MOST_LATE = 100; // milliseconds that are made up for

export class Player {
  /** @param {any} ui see video_view.js */
  constructor(ui) {
    this.ui = ui;
    this.isPlaying = false;
  }

  toggle() {
    if (this.isPlaying) return this.pause();
    this.isPlaying = true;
    if (this.ui.target === this.ui.count - 1) this.ui.goTo(0, true);
    this.due = performance.now();
    return this.play();
  }

  pause() {
    this.isPlaying = false;
    clearTimeout(this.timer);
    this.ui.draw();
  }

  play() {
    const { ui } = this;
    if (ui.target >= ui.count - 1) return this.pause();
    const next = ui.target + 1;
    const now = performance.now();
    if (!ui.frames.isComplete(next)) ui.frames.want(next);
    else if (now >= this.due) {
      ui.goTo(next, true);
      this.due = Math.max(this.due + 1000 / ui.model.get("fps"), now - MOST_LATE);
    }
    this.timer = setTimeout(() => this.play(), clamp(this.due - performance.now(), LEAST_WAIT, MOST_WAIT));
    return ui.draw();
  }
}
