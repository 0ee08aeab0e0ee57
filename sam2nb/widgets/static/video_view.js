// The view of a video: that of an image, with a timeline. `target` is the frame that a person wants to see; the canvas
// and the prompts stay with the frame before it until its picture has come.

import { clamp, download, element, holder } from "./dom.js";
import { onResize, viewHeight } from "./layout.js";
import { VideoStore } from "./video_store.js";
import { listenToPointer } from "./pointer.js";
import { listenToKeys } from "./keys.js";
import { makeHelp } from "./panel.js";
import { NOT_FOR_VIDEO, VIDEO_HELP, listenToVideoKeys } from "./video_keys.js";
import { PromptView } from "./prompt_view.js";
import { Player } from "./player.js";
import { FrameCache, VideoLayers } from "./video_frames.js";
import { Lanes, makeTimeline } from "./timeline.js";
import { makeTransport, makeVideoSide, makeVideoToolbar } from "./video_panel.js";

const VIDEO_HINT = "Point and click on any frame; keys are listed below.";
const LOCKED = "This frame is locked: unlock it to change its masks (key k).";
const FILE_PATIENCE = 600000; // milliseconds: a long video takes minutes to write
const LOW_VIEW = 640; // CSS pixels: in a lower view, lists are shorter and scroll
const FRAME_KEPT_AFTER = 400; // milliseconds without another frame, before Python is told which one is shown

/** A view of a model; several views may show the same one. */
export class VideoView extends PromptView {
  constructor(model, el) {
    super(model, el, new VideoStore(model));
  }

  build(el) {
    const [width, height] = this.model.get("shown");
    this.layers = new VideoLayers({ width, height });
    this.smooth = "low"; // frames come in about the size in which they are seen
    this.lanes = new Lanes();
    this.player = new Player(this);
    Object.assign(this, { follow: true, isGone: false, target: this.model.get("frame") });
    this.newest = this.following = null; // the frame that was tracked last, and the one that is fetched to follow it
    this.store.goTo = (frame) => this.goTo(frame);
    this.store.refuse = () => this.say(LOCKED);
    this.frames = new FrameCache(this.kernel, {
      count: () => this.count,
      arrived: (frame) => this.arrived(frame),
      failed: (frame, problem) => this.failed(frame, problem),
    });
    this.receive = (content, buffers) => content.request || this.told(content, buffers);
    this.model.on("msg:custom", this.receive);
    this.buildNodes(el);
    listenToPointer(this.canvas, this);
    listenToKeys(this.canvas, this, NOT_FOR_VIDEO);
    listenToVideoKeys(this.root, this);
    this.stopResizing = onResize(el, () => this.layout());
  }

  buildNodes(el) {
    this.root = element("div", { class: "sam2nb sam2nb-video", "data-lm-suppress-shortcuts": "true" });
    const label = `${this.model.get("alt")}. ${VIDEO_HINT}`;
    const role = { tabindex: "0", role: "application", "aria-label": label };
    this.canvas = /** @type {HTMLCanvasElement} */ (element("canvas", role));
    this.status = element("div", { class: "sam2nb-status", role: "status", "aria-live": "polite" });
    const script = { class: "sam2nb-code", readonly: "", rows: "10", "aria-label": "script" };
    this.code = /** @type {HTMLTextAreaElement} */ (element("textarea", script));
    this.code.hidden = true;
    const note = element("div", { class: "sam2nb-note" }, this.model.get("note"));
    note.hidden = !this.model.get("note");
    this.toolbar = makeVideoToolbar(this);
    this.side = makeVideoSide(this);
    this.transport = makeTransport(this);
    this.timeline = makeTimeline(this);
    const stage = holder({ class: "sam2nb-stage" }, this.canvas, this.side.node);
    const below = [this.timeline.node, this.transport.node, this.status, this.code, makeHelp(VIDEO_HELP)];
    this.root.append(this.toolbar.node, note, stage, ...below);
    el.append(this.root);
  }

  get count() {
    return this.model.get("count");
  }

  /** The locked frames. @returns {number[]} */
  get locked() {
    return this.model.get("locked");
  }

  get isLocked() {
    return this.store.isLocked;
  }

  // --- frames -------------------------------------------------------------------------------------------------------

  /** Look at a frame. @param {boolean} [isPerson] a person moved there, so that the view no longer follows */
  goTo(frame, isPerson = false) {
    const before = this.target;
    this.target = clamp(Math.round(frame), 0, this.count - 1);
    if (isPerson) this.following = null; // what was tracked before that no longer takes the view along
    if (isPerson && this.model.get("running")) this.follow = false;
    this.frames.want(this.target, this.target < before ? -1 : 1);
    if (this.frames.pictures.has(this.target)) this.show();
    this.draw();
  }

  step(frames) {
    this.player.pause();
    this.goTo(this.target + frames, true);
  }

  /** Go to the prompted frame before this one, or after it. */
  stepToMark(direction) {
    const { marks } = this.store;
    const found = direction < 0 ? marks.reverse().find((f) => f < this.target) : marks.find((f) => f > this.target);
    if (found !== undefined) this.step(found - this.target);
  }

  arrived(frame) {
    if (frame === this.following && this.frames.isComplete(frame)) this.followed();
    if (frame !== this.target || !this.frames.pictures.has(frame)) return;
    this.show();
    this.draw();
  }

  failed(frame, problem) {
    if (frame === this.following) this.following = null;
    if (frame === this.target) this.say(problem);
  }

  /** Put the frame that was asked for on the canvas. */
  show() {
    const frame = this.target;
    if (this.store.frame !== frame) {
      this.store.frame = frame;
      this.detail.drop();
      this.drag = null;
      this.message = "";
      this.viewChanged();
      clearTimeout(this.keepTimer);
      this.keepTimer = setTimeout(() => this.keepFrame(), FRAME_KEPT_AFTER);
    }
    this.picture = this.frames.picture(frame);
    this.layers.show(this.frames.masks.get(frame));
  }

  /** Tell Python which frame is shown. */
  keepFrame() {
    if (this.isGone || this.model.get("frame") === this.store.frame) return;
    this.model.set("frame", this.store.frame);
    this.model.save_changes();
  }

  // --- Python -------------------------------------------------------------------------------------------------------

  /** A message of Python that nobody asked for. */
  told(content, buffers) {
    const { kind, frame, version, scores } = content;
    if (kind === "lanes") {
      this.lanes.replace(content.lanes);
      this.frames.outdate(version);
      this.frames.want(this.target);
    } else {
      this.lanes.put(frame, scores);
      this.frames.outdate(version, frame);
      if (kind === "masks") this.frames.take(content, buffers);
      else this.passed(frame);
    }
    this.draw();
  }

  /** Propagation has passed a frame. */
  passed(frame) {
    this.newest = frame;
    if (this.follow && this.following === null) this.fetchNewest();
    else if (frame === this.target) this.frames.want(frame);
  }

  /** Fetch the frame that was tracked last, with its masks; the view goes there when it has come. */
  fetchNewest() {
    this.following = this.newest;
    this.frames.wantToo(this.following);
  }

  followed() {
    const frame = this.following;
    this.following = null;
    if (!this.follow) return;
    this.goTo(frame);
    if (frame !== this.newest) this.fetchNewest();
  }

  async answered() {
    this.watch.stop();
    this.message = "";
    this.code.value = this.model.get("script");
    this.frames.want(this.target);
    this.drawNow();
    if (this.clickedAt !== null) this.root.dataset.answeredMs = (performance.now() - this.clickedAt).toFixed(1);
    this.clickedAt = null;
    this.root.dataset.revision = String(this.model.get("revision"));
  }

  async propagate(direction) {
    if (this.model.get("running") || !this.store.marks.length) return;
    this.player.pause();
    this.follow = true;
    this.say("\u2026");
    const { content } = await this.kernel.ask({ kind: "begin", direction });
    if (content.problem) this.say(content.problem);
  }

  stop() {
    if (this.model.get("running")) this.kernel.ask({ kind: "stop" });
  }

  toggleLock() {
    if (this.isGone) return;
    const { frame } = this.store;
    const locked = this.isLocked ? this.locked.filter((other) => other !== frame) : [...this.locked, frame];
    this.model.set("locked", locked.sort((one, other) => one - other));
    this.model.save_changes();
    this.draw();
  }

  setFollow(value) {
    this.follow = value;
    this.draw();
  }

  async export(format) {
    this.say("writing \u2026");
    const { content, buffers } = await this.kernel.ask({ kind: "export", format }, { patience: FILE_PATIENCE });
    this.say(content.problem ?? `${content.name} is ready.`);
    if (!content.problem) download(buffers[0], content.name, content.type);
  }

  gone(text) {
    this.isGone = true;
    this.player.pause();
    this.report(text);
  }

  // --- a person -----------------------------------------------------------------------------------------------------

  addPoint(at, label) {
    this.player.pause();
    super.addPoint(at, label);
  }

  accept() {
    this.store.addObject();
  }

  askPreview() {} // only the frame that somebody clicks on is encoded

  currentAnswer() {
    return null; // a prompt has one mask
  }

  layout() {
    this.root.classList.toggle("sam2nb-low", viewHeight(this.root) < LOW_VIEW);
    super.layout();
  }

  drawNow() {
    super.drawNow();
    this.transport.update();
    this.timeline.update();
    const running = this.model.get("running");
    if (running && !this.problem && !this.message) this.status.textContent = `tracking: frame ${this.newest ?? ""}`;
    Object.assign(this.root.dataset, { frame: this.store.frame, target: this.target, running });
  }

  async start() {
    this.layout();
    this.frames.want(this.target);
    const { content } = await this.kernel.ask({ kind: "lanes" });
    if (!content.problem) this.lanes.replace(content.lanes);
    await this.answered();
    this.layout();
  }

  close() {
    super.close();
    this.player.pause();
    clearTimeout(this.keepTimer);
    cancelAnimationFrame(this.frame);
    this.model.off("msg:custom", this.receive);
  }
}
