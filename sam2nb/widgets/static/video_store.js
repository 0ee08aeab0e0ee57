// The prompts of a video: those of every object on every frame. To the canvas it looks like the store of one image,
// that of the frame which is shown.

import { Store, blankEntry } from "./store.js";

/**
 * @typedef {{id: number, name: string, color: number, visible: boolean,
 *   frames: Record<string, {points: [number, number, number][], box: number[]}>}} VideoEntry an object as Python has it
 */

const KEPT = ["id", "name", "color", "visible"]; // what Python has of an entry, besides its prompts

export class VideoStore extends Store {
  /** @param {any} model of anywidget */
  constructor(model) {
    super(model, "objects");
    this.frame = model.get("frame"); // that is shown
    this.goTo = (_frame) => {}; // called with the frame on which undo changed something
    this.refuse = () => {}; // called in place of a change on a locked frame
  }

  /** Whether the masks on the shown frame stay as they are. */
  get isLocked() {
    return this.model.get("locked").includes(this.frame);
  }

  change(change, ...others) {
    if (this.isLocked && ("points" in change || "box" in change)) this.refuse();
    else super.change(change, ...others);
  }

  /** The objects with their prompts on the frame that is shown. */
  get entries() {
    return this.model.get("objects").map((object) => ({
      ...blankEntry(object.id),
      ...object,
      points: object.frames[this.frame]?.points ?? [],
      box: object.frames[this.frame]?.box ?? [],
    }));
  }

  /** @returns {VideoEntry[]} */
  stored(entries) {
    return entries.map((entry) => {
      const frames = { ...entry.frames };
      delete frames[this.frame];
      if (entry.points.length || entry.box.length) frames[this.frame] = { points: entry.points, box: entry.box };
      return { ...Object.fromEntries(KEPT.map((name) => [name, entry[name]])), frames };
    });
  }

  isUnused(entry) {
    return !Object.keys(entry.frames ?? {}).length;
  }

  /** The frames on which an object has prompts, in order. @returns {number[]} */
  promptedFrames(object) {
    return Object.keys(object.frames)
      .map(Number)
      .sort((one, other) => one - other);
  }

  /** All frames with a prompt, in order. */
  get marks() {
    const frames = this.model.get("objects").flatMap((object) => this.promptedFrames(object));
    return [...new Set(frames)].sort((one, other) => one - other);
  }

  restore(from, to) {
    if (!from.length) return;
    const before = this.model.get("objects");
    super.restore(from, to);
    const frame = changedFrame(before, this.model.get("objects"));
    if (frame !== null) this.goTo(frame);
  }
}

/** A frame on which the prompts of two states differ, or null. */
function changedFrame(before, after) {
  const promptsOf = (objects) =>
    new Map(objects.flatMap(({ id, frames }) => Object.entries(frames).map(([f, p]) => [`${id} ${f}`, p])));
  const [one, other] = [promptsOf(before), promptsOf(after)];
  const same = (key) => JSON.stringify(one.get(key)) === JSON.stringify(other.get(key));
  const changed = [...one.keys(), ...other.keys()].find((key) => !same(key));
  return changed === undefined ? null : Number(changed.split(" ")[1]);
}
