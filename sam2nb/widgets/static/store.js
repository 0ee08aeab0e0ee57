// The prompts of all objects: one place that changes them, remembers for undo, and tells Python.

/**
 * @typedef {{adds: boolean, radius: number, path: [number, number][]}} Stroke
 * @typedef {{id: number, name: string, color: number, visible: boolean, accepted: boolean,
 *   points: [number, number, number][], box: number[], choice: number | null, look: string | number[] | null,
 *   strokes: Stroke[]}} Entry an object; coordinates are pixels of the image
 */

const UNDO_STEPS = 200;

/** A coordinate as it is kept: hundredths of a pixel, so that a script shows the same number. */
export function rounded(value) {
  return Math.round(value * 100) / 100;
}

/** The prompts of a model, with undo and redo. */
export class Store {
  /** @param {any} model of anywidget @param {string} [field] the name under which it keeps the objects */
  constructor(model, field = "prompts") {
    this.model = model;
    this.field = field;
    this.past = [];
    this.future = [];
    this.listeners = new Set();
  }

  /** @returns {Entry[]} */
  get entries() {
    return this.model.get(this.field);
  }

  /** The objects as the model keeps them. @param {Entry[]} entries */
  stored(entries) {
    return entries;
  }

  /** Whether a new object can take the place of this one. @param {Entry} entry */
  isUnused(entry) {
    return isBlank(entry);
  }

  /** The selected object. @returns {Entry} */
  get entry() {
    const found = this.entries.find((entry) => entry.id === this.model.get("selected"));
    return found ?? this.entries[0] ?? blankEntry(1);
  }

  /** Whether the selected object has neither a prompt nor a stroke. */
  get isEmpty() {
    return isBlank(this.entry);
  }

  /** Call `listener` after every change that was made here. */
  onChange(listener) {
    this.listeners.add(listener);
  }

  /**
   * Replace all objects, and the selection.
   * @param {Entry[]} entries
   * @param {number} selected
   * @param {boolean} [remembers] false for changes that undo leaves alone
   */
  set(entries, selected, remembers = true) {
    if (remembers) {
      this.past.push([this.model.get(this.field), this.model.get("selected")]);
      if (this.past.length > UNDO_STEPS) this.past.shift();
      this.future = [];
    }
    this.put(this.stored(entries), selected);
  }

  put(stored, selected) {
    this.model.set(this.field, stored);
    this.model.set("selected", selected);
    for (const listener of this.listeners) listener();
    this.model.save_changes();
  }

  /**
   * Change one object, by default the selected one.
   * @param {Partial<Entry>} change
   * @param {number} [id]
   * @param {boolean} [remembers]
   */
  change(change, id = this.entry.id, remembers = true) {
    const entries = this.entries.length ? this.entries : [this.entry];
    const changed = entries.map((entry) => (entry.id === id ? { ...entry, ...change } : entry));
    this.set(changed, this.entry.id, remembers);
  }

  /** Add a click; an object that was accepted is open again. */
  addPoint(x, y, label) {
    this.change({ points: [...this.entry.points, [rounded(x), rounded(y), label]], accepted: false });
  }

  /** Draw the box of the selected object. */
  setBox([ax, ay], [bx, by]) {
    const box = [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)].map(rounded);
    if (box[2] - box[0] >= 1 && box[3] - box[1] >= 1) this.change({ box, accepted: false });
  }

  /** @param {Stroke} stroke */
  addStroke(stroke) {
    const path = stroke.path.map(([x, y]) => [rounded(x), rounded(y)]);
    this.change({ strokes: [...this.entry.strokes, { ...stroke, radius: rounded(stroke.radius), path }] });
  }

  /** Accept the selected object and go on with an empty one. */
  accept() {
    if (this.isEmpty) return;
    const entries = this.entries.map((entry) => (entry.id === this.entry.id ? { ...entry, accepted: true } : entry));
    this.addObject(entries);
  }

  /** Select an empty object, a new one if there is none. */
  addObject(entries = this.entries) {
    const empty = entries.find((entry) => this.isUnused(entry));
    if (empty) return this.set(entries, empty.id, entries !== this.entries);
    const id = Math.max(0, ...entries.map((entry) => entry.id)) + 1;
    const colors = entries.map((entry) => entry.color);
    const color = [...Array(entries.length + 1).keys()].find((index) => !colors.includes(index));
    return this.set([...entries, { ...blankEntry(id), color }], id);
  }

  removeObject(id) {
    const left = this.entries.filter((entry) => entry.id !== id);
    const entries = left.length ? left : [blankEntry(id)];
    const kept = entries.some((entry) => entry.id === this.entry.id);
    this.set(entries, kept ? this.entry.id : entries[entries.length - 1].id);
  }

  /** Remove all prompts of the selected object. */
  clear() {
    if (!this.isEmpty) this.change({ points: [], box: [], strokes: [], choice: null, look: null, accepted: false });
  }

  select(id) {
    this.set(this.entries, id, false);
  }

  /** Select the next object in the list, or the one before. */
  selectNext(step) {
    const index = this.entries.findIndex((entry) => entry.id === this.entry.id);
    const next = this.entries[(index + step + this.entries.length) % this.entries.length];
    if (next) this.select(next.id);
  }

  undo() {
    this.restore(this.past, this.future);
  }

  redo() {
    this.restore(this.future, this.past);
  }

  /** Go back to the last state of one list, and keep the present one in the other. */
  restore(from, to) {
    if (!from.length) return;
    to.push([this.model.get(this.field), this.model.get("selected")]);
    this.put(...from.pop());
  }
}

/** @returns {Entry} */
export function blankEntry(id) {
  return {
    id,
    name: `object ${id}`,
    color: id - 1,
    visible: true,
    accepted: false,
    points: [],
    box: [],
    choice: null,
    look: null,
    strokes: [],
  };
}

/** @param {Entry} entry */
export function isBlank(entry) {
  return !entry.points.length && !entry.box.length && !entry.strokes.length;
}
