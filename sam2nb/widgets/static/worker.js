// The model in a worker: what arrives is a call of a method of `ImageModel`, what leaves is its result.

import { ImageModel, openRuntime } from "./decode.js";
import { withMasks } from "./masks.js";

/** @type {Promise<ImageModel> | null} */
let opened = null;
/** @type {Map<number, import("./decode.js").Features>} images stay here, the page has their numbers */
const kept = new Map();

const calls = {
  open: async ({ runtime, model }) => {
    opened = openRuntime(runtime).then((module) => ImageModel.open(module, model));
    await opened;
  },
  encode: async ({ image, pixels }) => {
    kept.set(image, await (await opened).encode(pixels));
  },
  keep: async ({ image, features }) => {
    kept.set(image, features);
  },
  forget: async ({ image }) => {
    kept.delete(image);
  },
  decode: async ({ image, prompt, shown }) => withMasks(await (await opened).decode(kept.get(image), prompt), shown),
};

self.onmessage = async ({ data: { call, name, content } }) => {
  try {
    const result = await calls[name](content);
    self.postMessage({ call, result }, (result?.masks ?? []).map(({ alpha }) => alpha.buffer)); // moved, not copied
  } catch (error) {
    self.postMessage({ call, problem: String(error.message ?? error) });
  }
};
