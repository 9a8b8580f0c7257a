// Runs shipped files, away from the page's thread: {id, file, feed} → {id, outputs, ms} or {id, error}.
import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // more need headers that a plain file server does not send
ort.env.logLevel = "fatal";

const sessions = new Map();

function session(file) {
  if (!sessions.has(file)) {
    const started = ort.InferenceSession.create(file, { executionProviders: ["wasm"], logSeverityLevel: 4 });
    started.catch(() => sessions.delete(file)); // a failed download may be tried again
    sessions.set(file, started);
  }
  return sessions.get(file);
}

async function run({ file, feed }) {
  const ready = await session(file);
  const tensors = Object.fromEntries(
    Object.entries(feed).map(([name, { type, data, dims }]) => [name, new ort.Tensor(type, data, dims)]),
  );
  const start = performance.now();
  const found = await ready.run(tensors);
  const ms = performance.now() - start;
  const outputs = Object.fromEntries(
    Object.entries(found).map(([name, { data, dims }]) => [name, { data, dims: [...dims] }]),
  );
  return { outputs, ms };
}

let last = Promise.resolve(); // one at a time: a session is not for two calls at once

onmessage = ({ data }) => {
  last = last.then(async () => {
    try {
      postMessage({ id: data.id, ...(await run(data)) });
    } catch (error) {
      postMessage({ id: data.id, error: String(error?.message ?? error) });
    }
  });
};
