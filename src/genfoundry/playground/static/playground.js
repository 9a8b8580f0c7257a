// The page: for each graph that a run ships, what a user would do with it. It reads specs, never a family's name.
import { draw, fromPixels, run, shapeOf, sizeOf, slerp, stack, toPixels, uniform } from "./model.js";

const SAMPLES = 12;
const STEPS = 9; // on a way between two
const TILES = 14; // of a side of the latent plane
const PLANE = 392; // its pixels
const MOST = 256; // pixels of a side, where a graph takes any
const APPLIED = {
  reconstruct: { title: "Through the latent and back", keys: ["image"] },
  restore: { title: "Restore", keys: ["image"] },
  translate: { title: "Translate", keys: ["source", "a", "image"] },
  translate_back: { title: "Translate back", keys: ["target", "b", "image"] },
};
const SAID = ["classify", "log_prob", "elbo"];

const took = new Map(); // file and count → milliseconds of the last call, which say how long the next will take

function el(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  for (const [key, value] of Object.entries(properties)) if (key.startsWith("aria-")) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** A panel with a line that tells how long a call took, or why it failed, and a bar while a long one runs. */
function panel(title, wide, ...children) {
  const said = el("output");
  const bar = el("progress", { max: 1, value: 0 });
  const section = el("section", { className: wide ? "wide" : "" }, el("h2", { textContent: title }), ...children, bar, said);

  async function call(graph, inputs) {
    const [{ dims }] = Object.values(inputs);
    const key = `${graph.file} ${dims}`;
    const start = performance.now();
    const expected = took.get(key) ?? graph.bytes / 5000; // at first a guess
    const timer = setInterval(() => {
      bar.className = "on";
      bar.value = 1 - Math.exp((-2 * (performance.now() - start)) / expected);
    }, 100);
    try {
      const { outputs, ms } = await run(graph, inputs);
      took.set(key, ms);
      said.className = "";
      said.textContent = `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
      return outputs;
    } finally {
      clearInterval(timer);
      bar.className = "";
    }
  }

  function fail(error) {
    said.className = "error";
    said.textContent = error.message;
  }

  return { section, call, fail };
}

/** Run `work` now, or once more after the call that runs; what was asked in between is not wanted any more. */
function latest(work, fail) {
  let running = false;
  let again = false;
  return async function ask() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      do {
        again = false;
        await work();
      } while (again);
    } catch (error) {
      fail(error);
    } finally {
      running = false;
    }
  };
}

function paint(canvas, pixels) {
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** Image `index` as a canvas of its own. */
function picture(images, index) {
  const canvas = el("canvas");
  paint(canvas, toPixels(images, index));
  return canvas;
}

function slider(text, min, max, value, onInput) {
  const input = el("input", { type: "range", min, max, step: (max - min) / 200, value });
  input.addEventListener("input", () => onInput(Number(input.value)));
  return el("label", {}, text, input);
}

function numberBox(text, value, onInput) {
  const input = el("input", { type: "number", min: 0, step: 1, value });
  input.addEventListener("input", () => onInput(Math.max(0, Math.floor(Number(input.value)))));
  return [el("label", {}, text, input), input];
}

/** Buttons of which one is pressed; null is none. */
function choice(names, onChoose) {
  const row = el("div", { className: "row", role: "group" });
  names.forEach(([name, value], index) => {
    const button = el("button", { type: "button", textContent: name, "aria-pressed": String(index === 0) });
    button.addEventListener("click", () => {
      for (const other of row.children) other.setAttribute("aria-pressed", String(other === button));
      onChoose(value);
    });
    row.append(button);
  });
  return row;
}

/** One item of each input of a generator from a seed, with what the user has set in its place. */
function item(graph, seed, set) {
  const next = uniform(seed);
  return Object.fromEntries(
    Object.entries(graph.inputs).map(([name, spec]) => {
      const drawn = draw(spec, next);
      return [name, name in set ? drawn.fill(set[name]) : drawn];
    }),
  );
}

const stacked = (graph, items) =>
  Object.fromEntries(Object.entries(graph.inputs).map(([name, spec]) => [name, stack(spec, items.map((i) => i[name]))]));

const first = (outputs) => Object.values(outputs)[0];

/** Controls for whatever is no noise: a class, a truncation, a temperature. */
function settings(run, graph, set, changed) {
  const nodes = [];
  for (const [name, spec] of Object.entries(graph.inputs)) {
    if (spec.kind === "label") {
      const classes = run.classes.map((text, index) => [text, index]);
      nodes.push(
        choice([[`any ${name}`, null], ...classes], (value) => {
          if (value === null) delete set[name];
          else set[name] = value;
          changed();
        }),
      );
    } else if (spec.default !== null && spec.default !== undefined) {
      nodes.push(
        slider(name, spec.low, spec.high, spec.default, (value) => {
          set[name] = value;
          changed();
        }),
      );
    }
  }
  return nodes;
}

function generatePanel(run) {
  const graph = run.graphs.generate;
  const [[moved, ways] = [null, []]] = Object.entries(run.directions);
  const shifts = ways.map(() => 0);
  const set = {};
  let seed = 1;
  const large = el("canvas", { className: "large", role: "img" });
  large.setAttribute("aria-label", "a sample");
  const strip = el("div", { className: "strip" });
  const [seedLabel, seedBox] = numberBox("Seed", seed, (value) => {
    seed = value;
    ask();
  });
  const another = el("button", { type: "button", textContent: "Another" });
  another.addEventListener("click", () => choose(seed + SAMPLES));
  const sliders = ways.map((_, i) =>
    slider(`Direction ${i + 1}`, -3, 3, 0, (value) => {
      shifts[i] = value;
      ask();
    }),
  );
  const made = panel("Generate", true);
  const controls = el("div", {}, el("div", { className: "row" }, seedLabel, another), ...settings(run, graph, set, () => ask()), ...sliders);
  made.section.querySelector("h2").after(el("div", { className: "row" }, el("div", { style: "flex:1 1 240px" }, large), el("div", { style: "flex:2 1 300px;min-width:0" }, controls)), strip);

  function choose(value) {
    seed = value;
    seedBox.value = value;
    ask();
  }

  const ask = latest(async () => {
    const chosen = item(graph, seed, set);
    if (moved) ways.forEach((way, i) => way.forEach((value, d) => (chosen[moved][d] += shifts[i] * value)));
    const others = Array.from({ length: SAMPLES - 1 }, (_, i) => item(graph, seed + 1 + i, set));
    const images = first(await made.call(graph, stacked(graph, [chosen, ...others])));
    paint(large, toPixels(images, 0));
    strip.replaceChildren(
      ...others.map((_, i) => {
        const button = el("button", { type: "button", "aria-label": `seed ${seed + 1 + i}` }, picture(images, i + 1));
        button.addEventListener("click", () => choose(seed + 1 + i));
        return button;
      }),
    );
  }, made.fail);
  ask();
  return made.section;
}

function betweenPanel(run) {
  const graph = run.graphs.generate;
  const seeds = [3, 7];
  const strip = el("div", { className: "strip" });
  const boxes = seeds.map((seed, i) => {
    const [label] = numberBox(i ? "to seed" : "From seed", seed, (value) => {
      seeds[i] = value;
      ask();
    });
    return label;
  });
  const made = panel("Between two", true, el("div", { className: "row" }, ...boxes), strip);

  const ask = latest(async () => {
    const [start, end] = seeds.map((seed) => item(graph, seed, {}));
    const steps = Array.from({ length: STEPS }, (_, i) => {
      const share = i / (STEPS - 1);
      const along = Object.entries(graph.inputs).map(([name, spec]) => [
        name,
        spec.kind === "normal" ? slerp(start[name], end[name], share) : start[name],
      ]);
      return Object.fromEntries(along);
    });
    const images = first(await made.call(graph, stacked(graph, steps)));
    strip.replaceChildren(...steps.map((_, i) => picture(images, i)));
  }, made.fail);
  ask();
  return made.section;
}

/** Where a plane of codes ends on each axis: held-out pictures' codes with a margin, or a standard normal's. */
async function edgesOf(run, call) {
  const names = examplesOf(run, ["image"]);
  const { encode } = run.graphs;
  if (!encode || !names.length) return [[-3, 3], [-3, 3]];
  const codes = [];
  for (const name of names) {
    const image = fromPixels(await load(name, encode.inputs.image), encode.inputs.image.shape[1]);
    codes.push(first(await call(encode, { image })).data);
  }
  return [0, 1].map((axis) => {
    const values = codes.map((code) => code[axis]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return [low - 0.2 * (high - low), high + 0.2 * (high - low)];
  });
}

/** A latent of two numbers under the pointer, or the arrow keys: the plane shows what is decoded all over it. */
function mapPanel(run) {
  const graph = run.graphs.decode;
  const pad = el("canvas", { className: "large pad", width: PLANE, height: PLANE, tabIndex: 0, role: "application" });
  pad.setAttribute("aria-label", "the latent plane; arrow keys move");
  const image = el("canvas", { className: "large", role: "img" });
  image.setAttribute("aria-label", "the image at this place");
  const place = [0.5, 0.5]; // shares of the plane, from its left and its top
  const made = panel("Map", true, el("div", { className: "row" }, pad, image), el("p", { textContent: "Move over the plane, or use the arrow keys." }));
  const tiles = new OffscreenCanvas(PLANE, PLANE);
  let edges = null;

  function decoded(places) {
    const codes = places.flatMap(([x, y]) => [x, 1 - y].map((share, axis) => edges[axis][0] + share * (edges[axis][1] - edges[axis][0])));
    return made.call(graph, { latent: { data: Float32Array.from(codes), dims: [places.length, 2] } }).then(first);
  }

  async function tile() {
    edges = await edgesOf(run, made.call);
    const places = Array.from({ length: TILES ** 2 }, (_, i) => [((i % TILES) + 0.5) / TILES, (Math.floor(i / TILES) + 0.5) / TILES]);
    const images = await decoded(places);
    const side = PLANE / TILES;
    places.forEach(([x, y], i) => tiles.getContext("2d").drawImage(picture(images, i), x * PLANE - side / 2, y * PLANE - side / 2, side, side));
  }

  function mark() {
    const context = pad.getContext("2d");
    context.drawImage(tiles, 0, 0);
    context.strokeStyle = "#fff";
    context.fillStyle = "#2456c4";
    context.lineWidth = 3;
    context.beginPath();
    context.arc(place[0] * PLANE, place[1] * PLANE, 9, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }

  function go(x, y) {
    place[0] = Math.min(Math.max(x, 0), 1);
    place[1] = Math.min(Math.max(y, 0), 1);
    ask();
  }

  pad.addEventListener("pointermove", (event) => {
    const box = pad.getBoundingClientRect();
    go((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });
  pad.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    go(place[0] + 0.025 * way[0], place[1] + 0.025 * way[1]);
  });
  const ask = latest(async () => {
    if (!edges) await tile();
    mark();
    paint(image, toPixels(await decoded([place])));
  }, made.fail);
  ask();
  return made.section;
}

/** An image's file or address → ImageData, cut to the aspect and resized to the sides that are fixed. */
async function load(source, spec, shrink = 1) {
  const bitmap = await createImageBitmap(source instanceof Blob ? source : await (await fetch(source)).blob());
  const [, , rows, columns] = spec.shape;
  const scale = Math.min(1, MOST / Math.max(bitmap.width, bitmap.height)) / shrink;
  const height = typeof rows === "number" ? rows : Math.round(bitmap.height * scale);
  const width = typeof columns === "number" ? columns : Math.round(bitmap.width * scale);
  const cut = Math.min(bitmap.width / width, bitmap.height / height);
  const [w, h] = [width * cut, height * cut];
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, (bitmap.width - w) / 2, (bitmap.height - h) / 2, w, h, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** Thumbnails of held-out images, and a box for the user's own file. */
function gallery(names, onChoose) {
  const strip = el("div", { className: "strip" });
  for (const [i, name] of names.entries()) {
    const button = el("button", { type: "button", "aria-label": `example ${i + 1}` }, el("img", { src: name, alt: "" }));
    button.addEventListener("click", () => onChoose(name));
    strip.append(button);
  }
  const file = el("input", { type: "file", accept: "image/*" });
  file.addEventListener("change", () => file.files[0] && onChoose(file.files[0]));
  return [strip, el("label", { className: "row" }, "Your own", file)];
}

function examplesOf(run, keys) {
  const sides = manifest.examples[run.dataset] ?? {};
  return sides[keys.find((key) => key in sides)] ?? Object.values(sides)[0] ?? [];
}

/** How many times larger an output's sides are: "2*height" → 2. */
const enlargement = (graph) => parseInt(Object.values(graph.outputs)[0].shape[2]) || 1;

function applyPanel(run, name) {
  const graph = run.graphs[name];
  const spec = graph.inputs.image;
  const fixed = typeof spec.shape[2] === "number";
  const shrink = fixed ? 1 : enlargement(graph);
  const masked = "mask" in graph.inputs;
  const noisy = name === "restore" && fixed && !masked;
  const canvases = ["before", "after"].map((text) => [el("canvas"), text]);
  const [before, after] = canvases.map(([canvas]) => canvas);
  const figures = canvases.map(([canvas, text]) => el("figure", {}, canvas, el("figcaption", { textContent: text })));
  const names = examplesOf(run, APPLIED[name].keys);
  let chosen = null; // the picture as it is
  let known = null; // 1 where a pixel is shown
  let sigma = noisy ? 0.5 : 0;

  const made = panel(APPLIED[name].title, false, el("div", { className: "pair" }, ...figures));
  const controls = [...gallery(names, choose)];
  if (noisy) {
    controls.push(
      slider("Noise σ", 0, 1, sigma, (value) => {
        sigma = value;
        ask();
      }),
    );
  }
  if (masked) controls.push(...eraser());
  made.section.querySelector(".pair").after(...controls);

  async function choose(source) {
    try {
      chosen = fromPixels(await load(source, spec, source instanceof Blob ? 1 : shrink), spec.shape[1]);
      known = new Float32Array(chosen.dims[2] * chosen.dims[3]).fill(1);
      if (masked) hideHalf();
      ask();
    } catch {
      made.fail(new Error("This file is no image that the browser knows."));
    }
  }

  function hideHalf() {
    known.fill(0, known.length / 2);
  }

  function eraser() {
    const half = el("button", { type: "button", textContent: "Hide the lower half" });
    const all = el("button", { type: "button", textContent: "Show all" });
    half.addEventListener("click", () => (hideHalf(), ask()));
    all.addEventListener("click", () => (known.fill(1), ask()));
    before.classList.add("pad");
    before.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      const box = before.getBoundingClientRect();
      const [, , height, width] = chosen.dims;
      const [x, y] = [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
      for (let i = 0; i < known.length; i++) {
        if (Math.hypot((i % width) + 0.5 - x, Math.floor(i / width) + 0.5 - y) < 2) known[i] = 0;
      }
      ask();
    });
    return [el("div", { className: "row" }, half, all), el("p", { textContent: "Or rub pixels out of the picture on the left." })];
  }

  /** What the graph sees: noise added, hidden pixels at 0. */
  function degraded() {
    const next = uniform(1);
    const noise = sigma ? draw({ ...spec, shape: chosen.dims, kind: "normal" }, next) : null;
    const data = chosen.data.map((value, i) => {
      const shown = masked ? value * known[i % known.length] : value;
      return noise ? Math.min(Math.max(shown + sigma * noise[i], 0), 1) : shown;
    });
    return { data, dims: chosen.dims };
  }

  const ask = latest(async () => {
    const image = degraded();
    paint(before, toPixels(image));
    const mask = { data: known, dims: [1, 1, chosen.dims[2], chosen.dims[3]] };
    const outputs = await made.call(graph, masked ? { image, mask } : { image });
    paint(after, toPixels(first(outputs)));
  }, made.fail);
  if (names.length) choose(names[0]);
  return made.section;
}

/** decode(encode(a) − encode(b) + encode(c)). */
function arithmeticPanel(run) {
  const { encode, decode } = run.graphs;
  const names = examplesOf(run, ["image"]);
  const chosen = names.slice(0, 3);
  let slot = 0;
  const terms = ["", "− ", "+ "].map((sign) => [el("canvas"), sign]);
  const result = el("canvas", { className: "large" });
  const figures = terms.map(([canvas, sign], i) => el("figure", {}, canvas, el("figcaption", { textContent: `${sign}image ${i + 1}` })));
  const turns = choice(terms.map((_, i) => [`Choose image ${i + 1}`, i]), (value) => (slot = value));
  const made = panel("Arithmetic", false, el("div", { className: "triple" }, ...figures), turns);
  made.section.querySelector(".row").after(...gallery(names, choose), result);

  function choose(source) {
    chosen[slot] = source;
    ask();
  }

  const ask = latest(async () => {
    const codes = [];
    for (const [i, [canvas]] of terms.entries()) {
      const image = fromPixels(await load(chosen[i], encode.inputs.image), encode.inputs.image.shape[1]);
      paint(canvas, toPixels(image));
      codes.push(first(await made.call(encode, { image })));
    }
    const [a, b, c] = codes.map(({ data }) => data);
    const latent = { data: a.map((value, i) => value - b[i] + c[i]), dims: codes[0].dims };
    paint(result, toPixels(first(await made.call(decode, { latent }))));
  }, made.fail);
  if (names.length === 0) return null;
  ask();
  return made.section;
}

/** Classes and nats of a picture. */
function saidPanel(run) {
  const asked = SAID.filter((name) => name in run.graphs && !Object.values(run.graphs[name].inputs).some((s) => s.kind === "label"));
  const names = examplesOf(run, ["image"]);
  if (!asked.length || !names.length) return null;
  const spec = run.graphs[asked[0]].inputs.image;
  const shown = el("canvas", { className: "large", style: "max-width:140px" });
  const words = el("div", { className: "bars" });
  const made = panel("What it says of a picture", false, shown, words);
  let source = names[0];
  shown.after(...gallery(names, (value) => ((source = value), ask())));

  const ask = latest(async () => {
    const image = fromPixels(await load(source, spec), spec.shape[1]);
    paint(shown, toPixels(image));
    const rows = [];
    for (const name of asked) {
      const graph = run.graphs[name];
      const rest = Object.entries(graph.inputs).filter(([key]) => key !== "image");
      const drawn = Object.fromEntries(rest.map(([key, s]) => [key, stack(s, [draw(s, uniform(1))])]));
      const { data } = first(await made.call(graph, { image, ...drawn }));
      rows.push(...(name === "classify" ? probabilities(run, data) : [el("span", { textContent: name }), el("span"), `${data[0].toFixed(1)} nats`]));
    }
    words.replaceChildren(...rows);
  }, made.fail);
  ask();
  return made.section;
}

function probabilities(run, logits) {
  const largest = Math.max(...logits);
  const weights = Array.from(logits, (value) => Math.exp(value - largest));
  const total = weights.reduce((a, b) => a + b);
  return weights.flatMap((weight, i) => {
    const share = weight / total;
    return [el("span", { textContent: run.classes[i] }), el("meter", { value: share }), `${Math.round(share * 100)} %`];
  });
}

function panelsOf(run) {
  const { generate, encode, decode } = run.graphs;
  const made = [];
  if (generate) made.push(generatePanel(run), betweenPanel(run));
  if (decode && sizeOf(shapeOf(decode.inputs.latent, 1)) === 2) made.push(mapPanel(run));
  for (const name of Object.keys(APPLIED)) if (name in run.graphs) made.push(applyPanel(run, name));
  if (encode && decode) made.push(arithmeticPanel(run));
  made.push(saidPanel(run));
  return made.filter(Boolean);
}

function show(name) {
  const run = manifest.runs.find((entry) => entry.run === name) ?? manifest.runs[0];
  select.value = run.run;
  const bytes = Object.values(run.graphs).reduce((sum, graph) => sum + graph.bytes, 0);
  document.getElementById("about").textContent =
    `${run.family.replaceAll("_", " ")} on ${run.dataset.replaceAll("_", " ")} (${run.licence}), ${(bytes / 1e6).toFixed(1)} MB`;
  document.getElementById("panels").replaceChildren(...panelsOf(run));
}

const manifest = await (await fetch("manifest.json")).json();
const select = document.getElementById("run");
for (const dataset of new Set(manifest.runs.map((run) => run.dataset))) {
  const options = manifest.runs.filter((run) => run.dataset === dataset).map((run) => el("option", { value: run.run, textContent: run.run }));
  select.append(el("optgroup", { label: dataset.replaceAll("_", " ") }, ...options));
}
select.addEventListener("change", () => (location.hash = select.value));
addEventListener("hashchange", () => show(location.hash.slice(1)));
show(location.hash.slice(1));
