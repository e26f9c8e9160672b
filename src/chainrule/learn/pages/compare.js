/* Two to four networks in training side by side: the same first weights and the same batches, wherever
   the shapes are the same, and one thing that differs. */
const Compare = (() => {
  const BASE = {
    sizes: [2, 6, 6, 1],
    activation: "tanh",
    initialisation: "xavier",
    optimizer: "sgd",
    rate: 0.1,
    batch: 10,
    task: "classification",
  };
  const deep = (n) => [2, ...Array(n).fill(5), 1];
  const LANES = {
    optimizers: [
      ["SGD", { rate: 0.1 }],
      ["momentum", { optimizer: "momentum", rate: 0.1 }],
      ["Adam", { optimizer: "adam", rate: 0.02 }],
    ],
    rates: [0.01, 0.1, 1, 10].map((rate) => [`rate ${rate}`, { rate }]),
    activations: ["sigmoid", "tanh", "relu"].map((activation) => [activation, { activation, rate: 0.3 }]),
    depth: [1, 3, 6].map((n) => [`${n} hidden`, { sizes: deep(n), activation: "sigmoid", rate: 0.5 }]),
    starts: ["zero", "small", "xavier", "large"].map((initialisation) => [initialisation, { initialisation }]),
  };
  const KINDS = ["after", "lane1", "lane2", "lane3"];
  let lanes, data, running, playing, taken;

  function restart() {
    const preset = byId("preset").value,
      seed = Math.max(0, Math.round(Number(byId("seed").value) || 0));
    const all = Examples.points(preset, seed, 100);
    data = { x: all.flatMap(([a, b]) => [a, b]), y: all.map(([, , y]) => y) };
    const task = preset === "function" ? "regression" : "classification";
    lanes = LANES[byId("what").value].map(([name, own]) => ({
      name,
      training: Training.start({ ...BASE, task, seed, ...own }, data),
      curve: [],
      path: [],
    }));
    taken = 0;
    record();
    draw();
  }

  function lossOf({ training }) {
    const z = Training.outputs(training.settings, training.layers(), Float64Array.from(data.x)).at(-1);
    return Training.lossOf(z, data.y, training.settings.task);
  }

  const flat = (layers) => layers.flatMap(({ w, b }) => [...w, ...b]);

  function record() {
    for (const lane of lanes) {
      lane.curve.push([taken, lossOf(lane)]);
      lane.path.push(flat(lane.training.layers()));
      if (lane.path.length > 400) lane.path = lane.path.filter((_, i) => i % 2 === 0);
    }
  }

  function advance(count) {
    for (let i = 0; i < count; i++) for (const { training } of lanes) training.advance();
    taken += count;
    record();
  }

  function draw() {
    byId("steps").textContent = `step ${taken}`;
    const capped = Math.max(...lanes.map(({ curve }) => curve[0][1])) * 3; // a lane that runs away hides the others
    show(
      byId("curve"),
      Charts.lines(
        lanes.map(({ name, curve }, i) => ({
          name,
          kind: KINDS[i],
          points: curve.map(([t, v]) => [t, v <= capped ? v : NaN]),
        })),
        { title: "The loss of each lane", x: "steps", y: "loss" },
      ),
    );
    show(
      byId("losses"),
      element(
        "table",
        {},
        lanes.map(({ name, curve }) =>
          element("tr", {}, element("th", { scope: "row", text: name }), element("td", { text: Numbers.format(curve.at(-1)[1], 4) })),
        ),
      ),
    );
    drawGradients();
    counted();
    if (!running) drawSurface();
  }

  /** The root mean square of the gradients of the weights of each layer, for all points. */
  function gradients({ training }) {
    const rows = data.y.length;
    return training.gradients(Array.from({ length: rows }, (_, i) => i));
  }

  function drawGradients() {
    const found = lanes.map((lane) => gradients(lane));
    const sizes = found.flat().filter((v) => v > 0);
    const high = Math.log10(Math.max(...sizes, 1e-12)),
      low = Math.min(high - 3, Math.log10(Math.min(...sizes, 1)));
    show(
      byId("gradients"),
      lanes.map(({ name }, i) =>
        element(
          "div",
          { class: "lane" },
          element("h3", { text: name }),
          found[i].map((size, layer) => {
            const bar = element("span", { class: "fill" });
            const share = size > 0 ? (Math.log10(size) - low) / (high - low) : 0;
            bar.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
            return element(
              "div",
              { class: "row" },
              element("span", { text: `layer ${layer + 1}` }),
              element("span", { class: "track" }, bar),
              element("span", { text: Numbers.format(size, 3) }),
            );
          }),
        ),
      ),
    );
  }

  // ---- the loss as a surface -----------------------------------------------------------------

  const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);
  const minus = (a, b) => a.map((v, i) => v - b[i]);
  const along = (a, b, t) => a.map((v, i) => v + t * b[i]);

  /** Two directions at right angles in which the lanes have gone; null if they have not. */
  function plane(first, ends) {
    const ways = ends.map((end) => minus(end, first)).sort((a, b) => dot(b, b) - dot(a, a));
    const long = Math.sqrt(dot(ways[0], ways[0]));
    if (!(long > 1e-6) || !Number.isFinite(long)) return null;
    const u = ways[0].map((v) => v / long);
    let best = null;
    for (const way of ways.slice(1)) {
      const rest = along(way, u, -dot(way, u)),
        size = Math.sqrt(dot(rest, rest));
      if (size > 1e-6 * long && !(best && best.size >= size)) best = { size, v: rest.map((x) => x / size) };
    }
    return best && { u, v: best.v };
  }

  /** Layers of these weights, one after another. */
  function unflat(weights, like) {
    let at = 0;
    const take = (n) => Float64Array.from(weights.slice(at, (at += n)));
    return like.map(({ w, b }) => ({ w: take(w.length), b: take(b.length) }));
  }

  /** The paths in a plane through the first weights, and the loss over it; null where there is none:
      lanes of other shapes, other functions or other starts have no surface in common. */
  function surface(side = 21) {
    const same = ["optimizers", "rates"].includes(byId("what").value);
    if (!same || lanes[0].path.length < 2) return null;
    const first = lanes[0].path[0],
      fine = lanes.filter(({ path }) => path.at(-1).every(Number.isFinite));
    // A lane that ran away would leave nothing of the others to be seen.
    const size = ({ path }) => Math.sqrt(dot(minus(path.at(-1), first), minus(path.at(-1), first)));
    const usual = fine.map(size).sort((a, b) => a - b)[Math.floor((fine.length - 1) / 2)];
    const near = fine.filter((lane) => size(lane) <= 5 * usual + 1e-9);
    const axes = near.length > 1 ? plane(first, near.map(({ path }) => path.at(-1))) : null;
    if (!axes) return null;
    const paths = near.map(({ name, path }) => ({
      name,
      kind: KINDS[lanes.findIndex((lane) => lane.name === name)],
      points: path.map((weights) => [dot(minus(weights, first), axes.u), dot(minus(weights, first), axes.v)]),
    }));
    const range = (k) => {
      const values = paths.flatMap(({ points }) => points.map((p) => p[k])),
        low = Math.min(...values),
        high = Math.max(...values),
        more = 0.25 * (high - low) + 1e-9;
      return [low - more, high + more];
    };
    const x = range(0),
      y = range(1),
      { settings, layers } = lanes[0].training;
    const at = ([low, high], i) => low + ((high - low) * (i + 0.5)) / side;
    const losses = Array.from({ length: side * side }, (_, k) => {
      const weights = along(along(first, axes.u, at(x, k % side)), axes.v, at(y, Math.floor(k / side)));
      const z = Training.outputs(settings, unflat(weights, layers()), Float64Array.from(data.x)).at(-1);
      return Training.lossOf(z, data.y, settings.task);
    });
    return { x, y, side, losses, paths, axes, first };
  }

  function drawSurface() {
    const found = surface();
    byId("surface").hidden = !found;
    if (!found) return;
    const { x, y, side, losses, paths } = found,
      size = 360,
      cell = size / side;
    const low = Math.min(...losses),
      high = Math.max(...losses);
    const place = (v, [a, b]) => ((v - a) / (b - a)) * size;
    const svg = (name, attributes, ...inside) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      made.append(...inside);
      return made;
    };
    const squares = losses.map((loss, k) => {
      const share = Math.round(12 * Math.sqrt((loss - low) / (high - low || 1))) / 12; // steps: contours
      return svg("rect", {
        x: (k % side) * cell, y: size - (Math.floor(k / side) + 1) * cell, width: cell + 0.5, height: cell + 0.5,
        fill: `hsl(210 45% ${Math.round(30 + 62 * share)}%)`,
      });
    });
    const reach = ({ points }) => Math.hypot(...points.at(-1));
    const lines = [...paths].sort((a, b) => reach(b) - reach(a)).map(({ kind, points }) => {
      const drawn = points.map(([a, b]) => `${place(a, x).toFixed(1)},${(size - place(b, y)).toFixed(1)}`);
      const [endX, endY] = drawn.at(-1).split(",");
      return svg("g", { class: `path ${kind}` },
        svg("polyline", { points: drawn.join(" "), class: "under" }),
        svg("polyline", { points: drawn.join(" ") }), svg("circle", { cx: endX, cy: endY, r: 5 }));
    });
    const [startX, startY] = [place(0, x), size - place(0, y)];
    show(
      byId("surface-drawn"),
      svg("svg", { viewBox: `0 0 ${size} ${size}`, role: "img",
        "aria-label": `The loss from ${Numbers.format(low, 3)} (dark) to ${Numbers.format(high, 3)} (light), and the paths of ${paths.map(({ name }) => name).join(", ")} from the same start.` },
      ...squares, ...lines, svg("circle", { cx: startX, cy: startY, r: 4, class: "start" })),
      element("p", { class: "legend" }, paths.map(({ name, kind }) => [element("span", { class: `key ${kind}` }), `${name} `])),
      element("p", { class: "note", text: `Dark is a small loss (${Numbers.format(low, 3)}), light a large one (${Numbers.format(high, 3)}). The plane goes through the first weights and the two directions in which the lanes have moved most; of each path its shadow in this plane is drawn.` }),
    );
  }

  /** What trying every weight would cost, in passes through the network. */
  function counted() {
    show(
      byId("counted"),
      element(
        "table",
        {},
        element("tr", {}, ["lane", "weights and biases", "passes by trying", "passes by backpropagation", "paths to the loss"].map((text) => element("th", { scope: "col", text }))),
        lanes.map(({ name, training }) => {
          const { sizes } = training.settings;
          const weights = sizes.slice(1).reduce((sum, to, i) => sum + to * (sizes[i] + 1), 0);
          const paths = sizes.reduce((product, n) => product * n, 1);
          return element("tr", {}, element("th", { scope: "row", text: name }), [weights, weights + 1, 2, paths].map((n) => element("td", { text: Numbers.count(n) })));
        }),
      ),
      element("p", { class: "note", text: "Trying moves each weight a little and computes the loss again. Backpropagation goes forward once and back once, and shares what the paths have in common." }),
    );
  }

  function frame() {
    if (!running) return;
    advance(1);
    if (taken % 5 === 0) draw();
    playing = requestAnimationFrame(frame);
  }

  function run(on) {
    running = on;
    byId("run").textContent = on ? "Pause" : "Run";
    byId("run").setAttribute("aria-pressed", String(on));
    cancelAnimationFrame(playing);
    if (on) playing = requestAnimationFrame(frame);
    else draw();
  }

  function start() {
    for (const id of ["what", "preset", "seed"])
      byId(id).addEventListener("change", () => {
        run(false);
        restart();
      });
    byId("run").addEventListener("click", () => run(!running));
    byId("ten").addEventListener("click", () => {
      run(false);
      advance(10);
      draw();
    });
    byId("rewind").addEventListener("click", () => {
      run(false);
      restart();
    });
    document.addEventListener("keydown", (event) => {
      if (/^(INPUT|SELECT|BUTTON)$/.test(event.target.tagName) || event.key !== " ") return;
      event.preventDefault();
      run(!running);
    });
    restart();
  }

  return { start, advance, draw, lanes: () => lanes, gradients, surface, data: () => data };
})();
Compare.start();
