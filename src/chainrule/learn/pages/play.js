/* The page to play with: points, a network, its training, and every number of it. */
const Play = (() => {
  const SIDE = 320, // pixels of the plane
    GRID = 20, // of the maps, on each side
    MAX_LAYERS = 5,
    MAX_NEURONS = 8,
    OUTSIDE = 24, // so many pixels outside of the network a layer is dropped to be removed
    FRAME = 8; // milliseconds of arithmetic a frame
  const START = {
    preset: "xor",
    hidden: [4, 3],
    activation: "tanh",
    initialisation: "xavier",
    optimizer: "sgd",
    optimizers: [], // of single layers, where another one is chosen
    rate: 0.3,
    batch: 10,
    seed: 1,
    steps: 0,
    painted: [],
  };
  let frames = 0;
  let state, all, training, held, curve, running, chosen, playing;

  // ---- data ----------------------------------------------------------------------------------

  const { PRESETS } = Examples;
  const task = () => (state.preset === "function" || state.real ? "regression" : "classification");

  function points() {
    return [...Examples.points(state.preset, state.seed, 120), ...state.painted];
  }

  const split = (list) => ({ x: list.flatMap(([a, b]) => [a, b]), y: list.map(([, , y]) => y) });

  // ---- the training --------------------------------------------------------------------------

  const settings = () => ({
    sizes: [2, ...state.hidden, 1],
    activation: state.activation,
    initialisation: state.initialisation,
    optimizer: state.optimizer,
    optimizers: state.optimizers,
    rate: state.rate,
    batch: state.batch,
    seed: state.seed,
    task: task(),
  });

  /** Back to the first weights; they are the same each time. */
  function restart(steps = 0) {
    all = points();
    held = split(all.filter((_, i) => i % 4 === 3));
    const learned = split(all.filter((_, i) => i % 4 !== 3));
    training = learned.y.length ? Training.start(settings(), learned) : null;
    curve = [];
    chosen = null;
    if (training) record();
    for (let i = 0; i < steps && training; i++) training.advance();
    if (training && steps) record();
    state.steps = steps;
    draw();
  }

  const outputsOf = (data) =>
    data.y.length ? Training.outputs(settings(), training.layers(), Float64Array.from(data.x)).at(-1) : [];
  const lossOf = (data) => Training.lossOf(outputsOf(data), data.y, task());

  function record() {
    curve.push([training.taken(), lossOf(training.data), held.y.length ? lossOf(held) : NaN]);
    if (curve.length > 400) curve = curve.filter((_, i) => i % 2 === 0 || i === curve.length - 1);
  }

  function advance(count) {
    for (let i = 0; i < count && training; i++) training.advance();
    if (!training) return;
    state.steps = training.taken();
    record();
  }

  /** As many steps as fit into a frame. */
  function frame() {
    if (!running) return;
    const end = performance.now() + FRAME / 2;
    let count = 0;
    if (frames % 2)
      do {
        training.advance();
        count += 1;
      } while (performance.now() < end && count < 20);
    state.steps = training.taken();
    frames += 1;
    // Steps and pictures take turns, so that no frame has much to compute.
    if (frames % 8 === 0) record();
    if (frames % 4 === 2) drawNetwork((frames >> 2) % (state.hidden.length + 1));
    if (frames % 16 === 4) drawCurve();
    if (frames % 16 === 12) drawScore();
    byId("steps").textContent = `step ${state.steps}`;
    playing = requestAnimationFrame(frame);
  }

  function setRunning(on) {
    running = on;
    byId("run").textContent = running ? "Pause" : "Run";
    byId("run").setAttribute("aria-pressed", String(running));
    cancelAnimationFrame(playing);
  }

  function run(on) {
    setRunning(on && training !== null);
    if (running) playing = requestAnimationFrame(frame);
    else {
      if (training && curve.at(-1)[0] < training.taken()) record();
      record_url();
      draw();
    }
  }

  // ---- the address holds the state -----------------------------------------------------------

  function record_url() {
    const text = JSON.stringify(state);
    history.replaceState(null, "", `#${encodeURIComponent(text)}`);
  }

  /** The state in an address, as far as it is one; what is out of range is left as it was. */
  function from_url(hash) {
    let given = {};
    try {
      given = JSON.parse(decodeURIComponent(hash.slice(1)) || "{}") || {};
    } catch {
      return { ...START };
    }
    const found = { ...START },
      isNumber = (v, low, high) => typeof v === "number" && v >= low && v <= high;
    if (Object.hasOwn(PRESETS, given.preset)) found.preset = given.preset;
    if (Array.isArray(given.hidden) && given.hidden.length <= MAX_LAYERS)
      if (given.hidden.every((n) => Number.isInteger(n) && n >= 1 && n <= MAX_NEURONS)) found.hidden = given.hidden;
    for (const name of ["activation", "initialisation", "optimizer"])
      if ([...byId(name).options].some((one) => one.value === given[name])) found[name] = given[name];
    if (Array.isArray(given.optimizers) && given.optimizers.length <= MAX_LAYERS + 1)
      if (given.optimizers.every((name) => !name || [...byId("optimizer").options].some((one) => one.value === name)))
        found.optimizers = given.optimizers.map((name) => name || null);
    if (isNumber(given.rate, 0, 100)) found.rate = given.rate;
    if (isNumber(given.batch, 0, 1000)) found.batch = Math.round(given.batch);
    if (isNumber(given.seed, 0, 1e9)) found.seed = Math.round(given.seed);
    if (isNumber(given.steps, 0, 5000)) found.steps = Math.round(given.steps);
    if (Array.isArray(given.painted))
      found.painted = given.painted
        .filter((p) => Array.isArray(p) && p.length === 3 && p.every((v) => isNumber(v, -1e6, 1e6)))
        .slice(0, 1000);
    found.real = given.real === true;
    return found;
  }

  // ---- drawing -------------------------------------------------------------------------------

  const colour = (share) => {
    const end = share < 0 ? [213, 94, 0] : [0, 114, 178],
      t = Math.min(1, Math.abs(share)) ** 0.7;
    return end.map((one) => Math.round(255 + (one - 255) * t));
  };
  const GRID_POINTS = Float64Array.from({ length: 2 * GRID * GRID }, (_, k) => {
    const i = Math.floor(k / 2);
    return k % 2 ? 1 - (2 * (Math.floor(i / GRID) + 0.5)) / GRID : (2 * ((i % GRID) + 0.5)) / GRID - 1;
  });

  /** The colours of −1 to 1 in 511 steps, as the pixels of a canvas. */
  const PIXELS = Uint32Array.from({ length: 511 }, (_, k) => {
    const [r, g, b] = colour((k - 255) / 255);
    return (255 << 24) | (b << 16) | (g << 8) | r;
  });
  const IMAGE = new ImageData(GRID, GRID),
    CELLS = new Uint32Array(IMAGE.data.buffer);

  /** What a neuron says at every point of the plane. */
  function map(canvas, values, width, index, share) {
    for (let i = 0; i < GRID * GRID; i++) {
      const value = share(values[i * width + index]);
      CELLS[i] = PIXELS[Math.round(255 + 255 * Math.max(-1, Math.min(1, value || 0)))];
    }
    canvas.getContext("2d").putImageData(IMAGE, 0, 0);
  }

  function draw() {
    byId("steps").textContent = `step ${state.steps}`;
    drawNetwork();
    drawPoints();
    drawCurve();
    drawScore();
    if (!running) drawNumbers();
  }

  function shares() {
    if (task() === "regression") return (z) => z;
    return (z) => 2 / (1 + Math.exp(-z)) - 1;
  }
  function ofHidden() {
    if (state.activation === "sigmoid") return (a) => 2 * a - 1;
    return (a) => a;
  }

  let shape = "";
  /** The neurons as canvases in columns; made anew only when the network has another shape. */
  function drawNetwork(only = null) {
    const sizes = [...state.hidden, 1];
    if (shape !== String(sizes)) {
      shape = String(sizes);
      show(
        byId("neurons"),
        sizes.map((count, layer) =>
          element(
            "div",
            { class: "column" },
            element("div", { class: "layer-name", text: layer < state.hidden.length ? `layer ${layer + 1}` : "output" }),
            Array.from({ length: count }, (_, i) =>
              element(
                "button",
                {
                  type: "button",
                  class: "unit",
                  id: `unit-${layer}-${i}`,
                  "aria-label": layer < state.hidden.length ? `Neuron ${i} of layer ${layer + 1}: its numbers` : "The output: its numbers",
                  click: () => open(layer, i),
                },
                element("canvas", { width: GRID, height: GRID }),
              ),
            ),
            layer < state.hidden.length ? sizeButtons(layer) : null,
            optimizerChoice(layer),
          ),
        ),
      );
    }
    if (!training) return;
    const values = Training.outputs(settings(), training.layers(), GRID_POINTS);
    values.forEach((found, layer) => {
      if (only !== null && only !== layer) return; // the others have their turn in the next frames
      const width = sizes[layer],
        share = layer < state.hidden.length ? ofHidden() : shares();
      for (let i = 0; i < width; i++)
        map(byId(`unit-${layer}-${i}`).firstChild, found, width, i, share);
    });
    if (only === null || only === state.hidden.length) map(byId("plane"), values.at(-1), 1, 0, shares());
  }

  function sizeButtons(layer) {
    const change = (by) => {
      const next = Math.max(1, Math.min(MAX_NEURONS, state.hidden[layer] + by));
      state.hidden = state.hidden.map((n, i) => (i === layer ? next : n));
      restart();
    };
    return element(
      "div",
      { class: "size" },
      element("button", { type: "button", text: "−", "aria-label": `One neuron less in layer ${layer + 1}`, click: () => change(-1) }),
      element("button", { type: "button", text: "+", "aria-label": `One neuron more in layer ${layer + 1}`, click: () => change(1) }),
      handle(layer),
    );
  }

  /** What a layer is moved and removed by: with the pointer, or with arrow keys and Delete. */
  function handle(layer) {
    const drop = (event) => {
      const area = byId("neurons").getBoundingClientRect();
      if (event.clientY < area.top - OUTSIDE || event.clientY > area.bottom + OUTSIDE) return move(layer, null);
      const far = state.hidden.map((_, i) => {
        const { left, width } = byId(`handle-${i}`).getBoundingClientRect();
        return Math.abs(left + width / 2 - event.clientX);
      });
      return move(layer, far.indexOf(Math.min(...far)));
    };
    const press = (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by === undefined && event.key !== "Delete") return;
      event.preventDefault();
      move(layer, by === undefined ? null : layer + by);
    };
    return element("button", {
      type: "button",
      id: `handle-${layer}`,
      class: "handle",
      text: "⇄",
      title: "Drag to another place, or out of the network to remove it (with the keyboard: ← → Delete)",
      "aria-label": `Move layer ${layer + 1}: left and right arrow; Delete removes it`,
      pointerdown: (event) => event.target.setPointerCapture(event.pointerId),
      pointerup: drop,
      keydown: press,
    });
  }

  /** A layer with its optimizer to another place, or away with it. */
  function move(from, to) {
    if (to === from || (to !== null && (to < 0 || to >= state.hidden.length))) return;
    const list = state.hidden.map((n, i) => [n, state.optimizers[i] ?? null]),
      output = state.optimizers[state.hidden.length] ?? null;
    const [one] = list.splice(from, 1);
    if (to !== null) list.splice(to, 0, one);
    state.hidden = list.map(([n]) => n);
    const own = [...list.map(([, name]) => name), output];
    state.optimizers = own.some(Boolean) ? own : [];
    shape = ""; // layers of one size look alike, but not their optimizers
    changed();
    byId(`handle-${to ?? Math.min(from, state.hidden.length - 1)}`)?.focus();
  }

  /** The optimizer of one layer: that of all, or another. */
  function optimizerChoice(layer) {
    const name = layer < state.hidden.length ? `layer ${layer + 1}` : "the output";
    const choice = element(
      "select",
      {
        class: "own",
        id: `optimizer-${layer}`,
        "aria-label": `Optimizer of ${name}`,
        change: (event) => {
          state.optimizers = [...state.hidden, 1].map((_, i) => state.optimizers[i] ?? null);
          state.optimizers[layer] = event.target.value || null;
          changed();
        },
      },
      element("option", { value: "", text: "as all" }),
      [...byId("optimizer").options].map((one) => element("option", { value: one.value, text: one.text })),
    );
    choice.value = state.optimizers[layer] ?? "";
    return choice;
  }

  const toPixel = (a, b) => [((a + 1) / 2) * SIDE, ((1 - b) / 2) * SIDE];

  function drawPoints() {
    const canvas = byId("points"),
      context = canvas.getContext("2d");
    context.clearRect(0, 0, SIDE, SIDE);
    all.forEach(([a, b, y], i) => {
      const [px, py] = toPixel(a, b),
        share = task() === "regression" ? y : 2 * y - 1;
      context.beginPath();
      context.arc(px, py, i === chosen?.point ? 7 : 4, 0, 2 * Math.PI);
      context.fillStyle = `rgb(${colour(share)})`;
      context.fill();
      context.lineWidth = i % 4 === 3 ? 2.5 : 1;
      context.strokeStyle = i % 4 === 3 ? "#888" : "#000";
      context.stroke();
    });
  }

  function drawCurve() {
    if (!curve.length) return;
    const series = [{ name: "training loss", kind: "after", points: curve.map(([t, a]) => [t, a]) }];
    if (held.y.length) series.push({ name: "test loss", kind: "test", points: curve.map(([t, , b]) => [t, b]) });
    show(byId("curve"), Charts.lines(series, { title: "The loss", x: "steps", y: "loss", height: 210 }));
  }

  /** The confusion matrix, or R², of the test points. */
  function drawScore() {
    const data = held.y.length ? held : training?.data;
    if (!data || !training) {
      show(byId("score"), element("p", { text: "Paint some points first." }));
      return;
    }
    const z = outputsOf(data),
      of = held.y.length ? "test points" : "points";
    if (task() === "regression") {
      const mean = data.y.reduce((a, b) => a + b, 0) / data.y.length;
      const left = data.y.reduce((sum, y, i) => sum + (y - z[i]) ** 2, 0),
        whole = data.y.reduce((sum, y) => sum + (y - mean) ** 2, 0);
      show(byId("score"), element("p", { id: "r2", text: `R² of the ${of}: ${Numbers.format(1 - left / whole, 4)}` }));
      return;
    }
    const counts = [
      [0, 0],
      [0, 0],
    ];
    data.y.forEach((y, i) => {
      counts[y][z[i] > 0 ? 1 : 0] += 1;
    });
    const right = counts[0][0] + counts[1][1];
    show(
      byId("score"),
      element("p", { id: "accuracy", text: `${right} of ${data.y.length} ${of} right` }),
      element(
        "table",
        {},
        element("caption", { text: "Confusion matrix" }),
        element("tr", {}, element("td"), element("th", { scope: "col", text: "says orange" }), element("th", { scope: "col", text: "says blue" })),
        counts.map((row, y) =>
          element("tr", {}, element("th", { scope: "row", text: y ? "is blue" : "is orange" }), row.map((n) => element("td", { text: String(n) }))),
        ),
      ),
    );
  }

  // ---- every number --------------------------------------------------------------------------

  function open(layer, unit) {
    run(false);
    chosen = { layer, unit, point: chosen?.point ?? 0 };
    draw();
    byId("numbers").focus({ preventScroll: true });
    byId("numbers").scrollIntoView({ block: "nearest" });
  }

  /** Everything of one neuron, for one point: forward, backward, update, each with its numbers. */
  function equations({ layer, unit, point }) {
    const at = all.slice(0, point + 1).filter((_, i) => i % 4 !== 3).length - 1;
    const index = Math.max(0, Math.min(at, training.data.y.length - 1));
    const { made, values } = training.example(index);
    const of = made.layers[layer],
      next = made.layers[layer + 1];
    const number = (place, i) => values[place].data[i];
    const f = (v) => (v < 0 ? `(${Numbers.format(v)})` : Numbers.format(v));
    const width = settings().sizes[layer + 1],
      from = settings().sizes[layer];
    const inputs = Array.from({ length: from }, (_, i) => [number(of.before, i), number(of.w, i * width + unit)]);
    const bias = number(of.b, unit),
      z = number(of.z, unit);
    const name = layer ? `a${layer}` : "x";
    const bent = layer < state.hidden.length && state.activation !== "linear";
    const lines = [
      [`z = Σ ${name} · w + b`, `${inputs.map(([a, w]) => `${f(a)} · ${f(w)}`).join(" + ")} + ${f(bias)}`, z],
    ];
    if (bent) lines.push([`a = ${state.activation}(z)`, `${state.activation}(${Numbers.format(z)})`, number(of.a, unit)]);
    const dz = number(of.dz, unit);
    if (next) {
      const wide = settings().sizes[layer + 2];
      const parts = Array.from({ length: wide }, (_, k) => [number(next.dz, k), number(next.w, unit * wide + k)]);
      const da = number(of.da, unit);
      lines.push(["∂ℓ/∂a = Σ ∂ℓ/∂z of the next layer · w", parts.map(([d, w]) => `${f(d)} · ${f(w)}`).join(" + "), da]);
      const a = number(of.a, unit);
      const slope = { tanh: `(1 − ${f(a)}²)`, sigmoid: `${f(a)} · (1 − ${f(a)})`, relu: z > 0 ? "1" : "0", linear: "1" };
      lines.push(["∂ℓ/∂z = ∂ℓ/∂a · f′(z)", `${f(da)} · ${slope[state.activation]}`, dz]);
    } else {
      const y = training.data.y[index],
        p = 1 / (1 + Math.exp(-z));
      lines.push(
        task() === "regression"
          ? ["∂ℓ/∂z = 2 · (z − y)", `2 · (${Numbers.format(z)} − ${f(y)})`, dz]
          : ["∂ℓ/∂z = p − y, with p = σ(z)", `${Numbers.format(p)} − ${y}`, dz],
      );
    }
    inputs.forEach(([a], i) =>
      lines.push([`∂ℓ/∂w${i} = ∂ℓ/∂z · ${name}[${i}]`, `${f(dz)} · ${f(a)}`, number(of.dw, i * width + unit)]),
    );
    lines.push(["∂ℓ/∂b = ∂ℓ/∂z", "", number(of.db, unit)]);
    return { lines, index };
  }

  function drawNumbers() {
    if (!chosen || !training) {
      show(byId("numbers"), element("p", { class: "note", text: "Pause and click a neuron: every number of it, for one point. Shift-click a point in the plane to choose which." }));
      return;
    }
    const { lines, index } = equations(chosen);
    const [a, b] = [training.data.x[2 * index], training.data.x[2 * index + 1]];
    const where = chosen.layer < state.hidden.length ? `Neuron ${chosen.unit} of layer ${chosen.layer + 1}` : "The output";
    show(
      byId("numbers"),
      element("h2", { text: `${where}, for the point (${Numbers.format(a, 3)}, ${Numbers.format(b, 3)})` }),
      lines.map(([names, numbers, value]) =>
        element(
          "div",
          { class: "equation" },
          element("div", { class: "names", text: names }),
          numbers ? element("div", { text: `= ${numbers}` }) : null,
          element("b", { text: `= ${Numbers.format(value)}` }),
        ),
      ),
      element("p", { class: "note", text: "A batch takes the mean of such gradients over its points; the optimizer makes the step of it." }),
    );
  }

  // ---- what can be done ----------------------------------------------------------------------

  function paint(event) {
    const area = byId("points").getBoundingClientRect();
    const a = (2 * (event.clientX - area.left)) / area.width - 1,
      b = 1 - (2 * (event.clientY - area.top)) / area.height;
    if (event.shiftKey) {
      const near = all.map(([p, q], i) => [(p - a) ** 2 + (q - b) ** 2, i]).sort((m, n) => m[0] - n[0])[0];
      if (near) chosen = { layer: chosen?.layer ?? state.hidden.length, unit: chosen?.unit ?? 0, point: near[1] };
      draw();
      return;
    }
    if (Math.abs(a) > 1 || Math.abs(b) > 1) return;
    const short = (v) => Number(v.toFixed(3));
    state.painted.push([short(a), short(b), Number(byId("brush").value)]);
    run(false);
    restart();
    record_url();
  }

  /** Lines of "x1, x2, target"; inputs are brought into the plane, −1 to 1. */
  function paste() {
    const rows = byId("csv")
      .value.trim()
      .split(/\n/)
      .map((line) => line.split(/[,;\t ]+/).map(Number))
      .filter((row) => row.length >= 3 && row.slice(0, 3).every(Number.isFinite));
    if (!rows.length) {
      byId("csv-said").textContent = "No row of three numbers: x1, x2, target.";
      return;
    }
    const scaled = [0, 1].map((axis) => {
      const values = rows.map((row) => row[axis]),
        low = Math.min(...values),
        high = Math.max(...values);
      return (v) => (high > low ? Number((1.8 * (v - low) / (high - low) - 0.9).toPrecision(6)) : 0);
    });
    state.real = rows.some(([, , y]) => y !== 0 && y !== 1);
    state.preset = "empty";
    state.painted = rows.slice(0, 1000).map(([a, b, y]) => [scaled[0](a), scaled[1](b), y]);
    byId("csv-said").textContent = `${state.painted.length} rows; ${state.real ? "the target is a number" : "the target is a class"}. The inputs were brought to −0.9 to 0.9.`;
    sync();
    restart();
    record_url();
  }

  /** The controls show the state. */
  function sync() {
    for (const name of ["preset", "activation", "initialisation", "optimizer"]) byId(name).value = state[name];
    byId("rate").value = state.rate;
    byId("batch").value = String(state.batch);
    byId("seed").value = state.seed;
  }

  function listen() {
    for (const name of ["preset", "activation", "initialisation", "optimizer"])
      byId(name).addEventListener("change", (event) => {
        state[name] = event.target.value;
        if (name === "preset") Object.assign(state, { painted: [], real: false });
        changed();
      });
    for (const name of ["rate", "batch", "seed"])
      byId(name).addEventListener("change", (event) => {
        const value = Number(event.target.value);
        if (Number.isFinite(value) && value >= 0) state[name] = value;
        changed();
      });
    byId("run").addEventListener("click", () => run(!running));
    byId("step").addEventListener("click", () => {
      run(false);
      advance(1);
      draw();
      record_url();
    });
    byId("rewind").addEventListener("click", () => {
      run(false);
      restart();
      record_url();
    });
    byId("more").addEventListener("click", () => layers(1));
    byId("fewer").addEventListener("click", () => layers(-1));
    byId("points").addEventListener("pointerdown", paint);
    byId("paste").addEventListener("click", paste);
    document.addEventListener("keydown", (event) => {
      if (/^(INPUT|SELECT|TEXTAREA|BUTTON)$/.test(event.target.tagName)) return;
      if (event.key === " ") {
        event.preventDefault();
        run(!running);
      }
    });
  }

  function layers(by) {
    if (by > 0 && state.hidden.length < MAX_LAYERS) state.hidden = [...state.hidden, 3];
    if (by < 0) state.hidden = state.hidden.slice(0, -1);
    state.optimizers = [];
    changed();
  }

  function changed() {
    setRunning(false); // nothing is drawn before the new network is there
    restart();
    record_url();
  }

  function start() {
    state = from_url(location.hash);
    sync();
    listen();
    restart(state.steps);
  }

  return {
    start,
    run,
    advance,
    restart,
    state: () => state,
    training: () => training,
    curve: () => curve,
    held: () => held,
    equations,
  };
})();
Play.start();
