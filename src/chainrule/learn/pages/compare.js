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
    }));
    taken = 0;
    record();
    draw();
  }

  function lossOf({ training }) {
    const z = Training.outputs(training.settings, training.layers(), Float64Array.from(data.x)).at(-1);
    return Training.lossOf(z, data.y, training.settings.task);
  }

  function record() {
    for (const lane of lanes) lane.curve.push([taken, lossOf(lane)]);
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

  return { start, advance, draw, lanes: () => lanes, gradients, data: () => data };
})();
Compare.start();
