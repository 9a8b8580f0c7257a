// Shipped files as functions, and the little arithmetic that their inputs want. Knows nothing of the page.

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let calls = 0;

worker.onmessage = ({ data: { id, error, ...answer } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  error ? reject(new Error(error)) : resolve(answer);
};
worker.onerror = ({ message }) => {
  for (const { reject } of waiting.values()) reject(new Error(message || "ONNX Runtime did not start"));
  waiting.clear();
};

/** A graph of the manifest on {input: array}, shapes worked out from its specs → {outputs, ms}. */
export function run(graph, inputs) {
  const feed = {};
  for (const [name, spec] of Object.entries(graph.inputs)) {
    const { data, dims } = inputs[name];
    const array = spec.dtype === "int64" ? BigInt64Array.from(data, BigInt) : Float32Array.from(data);
    feed[name] = { type: spec.dtype, data: array, dims };
  }
  const id = ++calls;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, file: graph.file, feed });
  });
}

/** The shape of `count` of a spec's tensors; other dynamic axes are in `axes`. */
export function shapeOf(spec, count, axes = {}) {
  return spec.shape.map((size) => (typeof size === "number" ? size : size === "batch" ? count : axes[size]));
}

export const sizeOf = (shape) => shape.reduce((product, size) => product * size, 1);

/** Uniform numbers in (0, 1) from a seed (mulberry32). */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
}

/** `count` standard normal numbers (Box and Muller). */
export function normal(count, next) {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(next()));
    const angle = 2 * Math.PI * next();
    values[i] = radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

/** Valid numbers for one item of an input. */
export function draw(spec, next) {
  const count = sizeOf(shapeOf(spec, 1));
  if (spec.default !== null && spec.default !== undefined) return new Float32Array(count).fill(spec.default);
  if (spec.kind === "normal") return normal(count, next);
  if (spec.kind === "label") return Float32Array.from({ length: count }, () => Math.floor(next() * spec.high));
  return Float32Array.from({ length: count }, () => spec.low + next() * (spec.high - spec.low));
}

/** On the great circle between two vectors, where a normal prior has its mass. */
export function slerp(start, end, share) {
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const cosine = dot(start, end) / Math.max(Math.sqrt(dot(start, start) * dot(end, end)), 1e-12);
  const angle = Math.min(Math.max(Math.acos(Math.min(Math.max(cosine, -1), 1)), 1e-4), Math.PI - 1e-4);
  const [a, b] = [Math.sin((1 - share) * angle), Math.sin(share * angle)].map((s) => s / Math.sin(angle));
  return start.map((value, i) => a * value + b * end[i]);
}

/** Items of one input, stacked: [Float32Array] → {data, dims}. */
export function stack(spec, items) {
  const data = new Float32Array(items.length * items[0].length);
  items.forEach((item, i) => data.set(item, i * item.length));
  return { data, dims: shapeOf(spec, items.length) };
}

/** Image `index` of {data, dims} (N, C, H, W) in [0, 1] → ImageData. */
export function toPixels({ data, dims: [, channels, height, width] }, index = 0) {
  const pixels = new ImageData(width, height);
  const plane = height * width;
  const start = index * channels * plane;
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) {
      const value = data[start + (channels === 1 ? 0 : c) * plane + i];
      pixels.data[4 * i + c] = Math.round(Math.min(Math.max(value, 0), 1) * 255);
    }
    pixels.data[4 * i + 3] = 255;
  }
  return pixels;
}

/** ImageData → {data, dims} (1, C, H, W) in [0, 1]; grey by the weights of Rec. 601, as Pillow has it. */
export function fromPixels({ data: bytes, width, height }, channels) {
  const plane = width * height;
  const data = new Float32Array(channels * plane);
  for (let i = 0; i < plane; i++) {
    const [red, green, blue] = [bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2]];
    if (channels === 1) data[i] = Math.round(0.299 * red + 0.587 * green + 0.114 * blue) / 255;
    else [red, green, blue].forEach((value, c) => (data[c * plane + i] = value / 255));
  }
  return { data, dims: [1, channels, height, width] };
}
