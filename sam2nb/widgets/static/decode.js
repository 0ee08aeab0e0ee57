// Encode images and decode prompts with onnxruntime-web, in a page or in a worker. The files of the model are those of
// `python -m sam2nb export NAME out --format onnx`.

const LABELS_OF_CORNERS = [2, 3];

/**
 * @typedef {{image_size: number, mask_size: number, grid: number, image_mean: number[], image_std: number[],
 *   mask_logit_clamp: number, mask_threshold?: number}} Facts of model.json; the threshold is 0 where it is left out
 * @typedef {{conditioned: Float32Array, stride4: Float32Array, stride8: Float32Array, width: number, height: number}}
 *   Features of an image, whose size in pixels they hold; (256, h, w), (32, 4h, 4w) and (64, 2h, 2w) values
 * @typedef {{points: number[][], box?: number[] | null, choice?: number | null}} Prompt points as [x, y, label]; label
 *   1 to include, 0 to exclude, the box as [x1, y1, x2, y2]; in pixels of the image; `choice`: which of the three masks
 *   of the first point was meant, where there are more prompts
 * @typedef {{logits: Float32Array, size: number, scores: number[], order: number[], best: number}} Decoded masks of
 *   size x size logits, one after the other, with their predicted IoU; `order` holds the numbers of those that answer
 *   the prompt, `best` is the first choice among them
 * @typedef {{data: Uint8ClampedArray, width: number, height: number}} Pixels RGBA, opaque, as in ImageData
 * @typedef {{facts: Facts, decoder: BufferSource, encoder?: BufferSource, optimised?: boolean, gpu?: boolean}}
 *   ModelFiles
 * @typedef {{code: string, wasm: BufferSource}} RuntimeFiles the text of onnxruntime-web's module, and its WebAssembly
 */

/**
 * Load onnxruntime-web from bytes, without a server: one thread, since more need headers that only a server can send.
 * Throws an Error with one clear line where the browser has no WebAssembly.
 * @param {RuntimeFiles} files
 * @returns {Promise<any>} the module
 */
export async function openRuntime(files) {
  if (typeof WebAssembly === "undefined") {
    throw new Error("This browser has no WebAssembly (or it is switched off), so the model cannot run here.");
  }
  const url = URL.createObjectURL(new Blob([files.code], { type: "text/javascript" }));
  try {
    const runtime = await import(url);
    runtime.env.wasm.wasmBinary = files.wasm;
    runtime.env.wasm.numThreads = 1;
    runtime.env.logLevel = "error";
    return runtime;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** A model of still images. The encoder may be missing where features come from elsewhere. */
export class ImageModel {
  /**
   * @param {any} runtime from `openRuntime`
   * @param {Facts} facts
   * @param {any} decoder session @param {any} [encoder] session
   */
  constructor(runtime, facts, decoder, encoder = null) {
    this.runtime = runtime;
    this.facts = facts;
    this.decoder = decoder;
    this.encoder = encoder;
  }

  /**
   * Open a model from the bytes of its files. `optimised`: they need no more optimisation, see `optimised` in
   * sam2nb/engines/onnx_export.py, and open in a third of the time. `gpu`: compute with WebGPU what it can.
   * @param {any} runtime
   * @param {ModelFiles} files
   */
  static async open(runtime, { facts, decoder, encoder, optimised = false, gpu = false }) {
    const executionProviders = gpu ? ["webgpu", "wasm"] : ["wasm"];
    const options = { executionProviders, graphOptimizationLevel: optimised ? "disabled" : "all" };
    const open = (bytes) => runtime.InferenceSession.create(bytesOf(bytes), options);
    const decoding = await open(decoder);
    return new ImageModel(runtime, facts, decoding, encoder ? await open(encoder) : null);
  }

  /**
   * Encode an image of any size.
   * @param {Pixels} pixels
   * @returns {Promise<Features>}
   */
  async encode(pixels) {
    const side = this.facts.image_size;
    const input = modelInput(pixels, side, this.facts.image_mean, this.facts.image_std);
    const { Tensor } = this.runtime;
    const wanted = ["conditioned", "stride4", "stride8"];
    const found = await this.encoder.run({ pixels: new Tensor("float32", input, [1, 3, side, side]) }, wanted);
    const features = Object.fromEntries(wanted.map((name) => [name, found[name].data]));
    return /** @type {Features} */ ({ ...features, width: pixels.width, height: pixels.height });
  }

  /**
   * Predict the masks for a prompt. The prompt must hold a point or a box.
   * @param {Features} features
   * @param {Prompt} prompt
   * @returns {Promise<Decoded>}
   */
  async decode(features, prompt) {
    const marks = marksOf(prompt);
    const hasPrior = (prompt.choice ?? null) !== null && prompt.points.length > 0 && marks.length > 1;
    const first = hasPrior ? await this.run(features, prompt.points.slice(0, 1), null) : null;
    const size = this.facts.mask_size;
    const prior = first && first.logits.data.slice(size ** 2 * (1 + prompt.choice), size ** 2 * (2 + prompt.choice));
    const clamp = this.facts.mask_logit_clamp;
    const found = await this.run(features, marks, prior && prior.map((v) => Math.min(Math.max(v, -clamp), clamp)));
    const threshold = this.facts.mask_threshold ?? 0;
    const logits = threshold ? found.logits.data.map((value) => value - threshold) : found.logits.data;
    const scores = [...found.iou.data];
    const order = marks.length === 1 ? [1, 2, 3] : [0, 1, 2, 3]; // mask 0 is for prompts that leave no doubt
    const best = marks.length === 1 ? order.reduce((a, b) => (scores[b] > scores[a] ? b : a)) : 0;
    return { logits, size, scores, order, best };
  }

  /**
   * Run the decoder. `marks` as [x, y, label], corners of a box too; `prior` logits of an earlier mask, or null.
   * @param {Features} features
   * @param {number[][]} marks
   * @param {Float32Array | null} prior
   */
  run(features, marks, prior) {
    const { Tensor } = this.runtime;
    const { image_size: side, mask_size: size, grid } = this.facts;
    const places = marks.flatMap(([x, y]) => [(x * side) / features.width, (y * side) / features.height]);
    const map = (name, scale) => {
      const channels = features[name].length / (scale * grid) ** 2;
      return new Tensor("float32", features[name], [1, channels, scale * grid, scale * grid]);
    };
    const inputs = {
      conditioned: map("conditioned", 1),
      stride4: map("stride4", 4),
      stride8: map("stride8", 2),
      points: new Tensor("float32", Float32Array.from(places), [1, marks.length, 2]),
      labels: new Tensor("int64", BigInt64Array.from(marks, (mark) => BigInt(mark[2])), [1, marks.length]),
      mask_input: new Tensor("float32", prior ?? new Float32Array(size * size), [1, 1, size, size]),
      has_mask: new Tensor("bool", Uint8Array.of(prior ? 1 : 0), [1, 1]),
    };
    return this.decoder.run(inputs, ["logits", "iou"]);
  }

  async close() {
    await Promise.all([this.decoder.release(), this.encoder?.release()]);
  }
}

/** @param {BufferSource} source @returns {Uint8Array} */
function bytesOf(source) {
  return ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source);
}

/** Points and box corners of a prompt as [x, y, label], the box first. @param {Prompt} prompt @returns {number[][]} */
function marksOf({ points, box }) {
  const corners = box?.length ? [box.slice(0, 2), box.slice(2)].map((at, i) => [...at, LABELS_OF_CORNERS[i]]) : [];
  return [...corners, ...points];
}

/**
 * Resize an image to a square as the package does (bilinear, antialiased, each side on its own), and normalise it.
 * @param {Pixels} pixels
 * @param {number} side
 * @param {number[]} mean @param {number[]} std of the channels, in 0..1
 * @returns {Float32Array} 3 * side * side values, channel by channel
 */
export function modelInput({ data, width, height }, side, mean, std) {
  const columns = taps(width, side);
  const rows = taps(height, side);
  const narrow = new Float32Array(height * side * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const { first, weights } = columns[x];
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let i = 0, at = 4 * (y * width + first); i < weights.length; i += 1, at += 4) {
        red += weights[i] * data[at];
        green += weights[i] * data[at + 1];
        blue += weights[i] * data[at + 2];
      }
      const to = 3 * (y * side + x);
      narrow[to] = red;
      narrow[to + 1] = green;
      narrow[to + 2] = blue;
    }
  }
  const input = new Float32Array(3 * side * side);
  for (let y = 0; y < side; y += 1) {
    const { first, weights } = rows[y];
    for (let x = 0; x < side; x += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        let sum = 0;
        for (let i = 0; i < weights.length; i += 1) sum += weights[i] * narrow[3 * ((first + i) * side + x) + channel];
        input[(channel * side + y) * side + x] = (sum / 255 - mean[channel]) / std[channel];
      }
    }
  }
  return input;
}

/**
 * The pixels of a row that one resized pixel is made of, a triangle around its centre.
 * @param {number} length before @param {number} side after
 * @returns {{first: number, weights: number[]}[]}
 */
function taps(length, side) {
  const scale = length / side;
  const reach = Math.max(scale, 1);
  return Array.from({ length: side }, (_, index) => {
    const center = (index + 0.5) * scale;
    const first = Math.max(0, Math.floor(center - reach + 0.5));
    const end = Math.min(length, Math.floor(center + reach + 0.5));
    const triangle = Array.from({ length: end - first }, (_, i) =>
      Math.max(0, 1 - Math.abs(first + i + 0.5 - center) / reach),
    );
    const total = triangle.reduce((a, b) => a + b, 0);
    return { first, weights: triangle.map((weight) => weight / total) };
  });
}

/**
 * Unpack bytes that gzip compressed.
 * @param {BufferSource} bytes
 * @returns {Promise<ArrayBuffer>}
 */
export function unpacked(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/**
 * Widen half-precision numbers, as a kernel sends them.
 * @param {Uint16Array} half
 * @returns {Float32Array}
 */
export function widened(half) {
  const table = new Float32Array(1 << 16);
  for (let bits = 0; bits < table.length; bits += 1) table[bits] = valueOfHalf(bits);
  const wide = new Float32Array(half.length);
  for (let i = 0; i < half.length; i += 1) wide[i] = table[half[i]];
  return wide;
}

/** The number that 16 bits stand for. @param {number} bits */
function valueOfHalf(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}
