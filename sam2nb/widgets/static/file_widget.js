// The browser side of sam2nb.widgets.file.FileWidget: a file of the reader, or a photo, travels to Python in pieces.

import { button, element } from "./dom.js";
import { Kernel } from "./kernel.js";
import { nameOf, takeWithCamera } from "./camera.js";

const PIECE = 1 << 20; // bytes: a server may close the connection on a message of more than 10 MB

class FileView {
  constructor(model, el) {
    this.model = model;
    this.kernel = new Kernel(model, (problem) => this.tell(problem || this.message, Boolean(problem)));
    this.message = "";
    this.root = element("div", { class: "sam2nb sam2nb-file" });
    this.bar = element("div", { class: "sam2nb-bar" });
    this.area = element("div");
    this.status = element("p", { class: "sam2nb-status", role: "status" });
    this.root.append(this.bar, this.area, this.status);
    this.bar.append(...(model.get("way") === "webcam" ? [this.cameraButton()] : this.chooser()));
    el.append(this.root);
  }

  /** A field in which a file is chosen, with its label. */
  chooser() {
    const label = element("label", {}, `Your own ${this.model.get("kind")}: `);
    const attributes = { type: "file", accept: this.model.get("accept") };
    const input = /** @type {HTMLInputElement} */ (element("input", attributes));
    input.addEventListener("change", () => {
      if (input.files.length) this.run(() => this.send(input.files[0], input.files[0].name));
    });
    label.append(input);
    return [label];
  }

  cameraButton() {
    const start = button(
      "Start the camera",
      () =>
        this.run(async () => {
          start.disabled = true;
          try {
            const blob = await takeWithCamera(this.area, this.model.get("kind"), this.model.get("seconds"));
            if (blob) await this.send(blob, nameOf(blob));
          } finally {
            start.disabled = false;
          }
        }),
      { "data-action": "camera" },
    );
    return start;
  }

  /** Run a task and tell its problem. */
  async run(task) {
    try {
      await task();
    } catch (problem) {
      this.tell(problem.message || String(problem), true);
    }
  }

  /** Send a file in pieces, each after the answer to the one before. */
  async send(blob, name) {
    const limit = this.model.get("limit");
    if (blob.size > limit) {
      throw new Error(`${name} has ${megabytes(blob.size)}, more than the limit of ${megabytes(limit)}.`);
    }
    for (let start = 0; start === 0 || start < blob.size; start += PIECE) {
      this.say(`Sending ${name}: ${Math.round((100 * start) / Math.max(blob.size, 1))} %`);
      const piece = await blob.slice(start, start + PIECE).arrayBuffer();
      const { content } = await this.kernel.ask({ name, start, size: blob.size }, { sent: [piece] });
      if (content.problem) throw new Error(content.problem);
      if (content.taken) this.say(`${content.taken}. Now run this cell again.`);
    }
  }

  say(message) {
    this.message = message;
    this.tell(message, false);
  }

  tell(text, isProblem) {
    this.status.textContent = text;
    this.status.classList.toggle("sam2nb-problem", isProblem);
  }
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function render({ model, el }) {
  const view = new FileView(model, el);
  return () => view.kernel.close();
}

export default { render };
