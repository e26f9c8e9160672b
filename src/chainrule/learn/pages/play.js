/* The page to play with: points, a network, its training, and every number of it. */
const Play = (() => {
  const SIDE = 320, // pixels of the plane
    GRID = 20, // of the maps, on each side
    MAX_LAYERS = 5,
    MAX_NEURONS = 8,
    NEW_NEURONS = 3, // of a layer that is added
    MOST_TERMS = 10, // of a sum that is written out
    MOST_POINTS = 1000,
    MOST_STEPS = 1e6, // of an address
    AT_ONCE = 1000, // steps that are taken before a page is drawn, and milliseconds for more of them
    AT_ONCE_TIME = 150,
    STRIDE = 0.05, // of an arrow key in the plane
    CLICK = 6, // pixels that the pointer may move in a click
    OUTSIDE = 24, // so many pixels outside of the network a layer is dropped to be removed
    FRAME = 8; // milliseconds of arithmetic a frame
  const START = {
    preset: "xor",
    hidden: [4, 3],
    activation: "tanh",
    initialisation: "xavier",
    optimizer: "sgd",
    activations: [], // of single layers, where another one is chosen
    initialisations: [],
    optimizers: [],
    rate: 0.3,
    batch: 10,
    seed: 1,
    steps: 0,
    painted: [],
    interpreted: false, // steps node by node, although they could be compiled
  };
  const OWN = ["activation", "initialisation", "optimizer"]; // what a layer may have of its own
  let frames = 0,
    spent = { steps: 0, time: 0 };
  let state, all, training, held, curve, running, chosen, playing, replaying;
  let cursor = null; // where the keyboard would paint

  // ---- data ----------------------------------------------------------------------------------

  const { PRESETS } = Examples;
  const task = () => (state.preset === "function" || state.real ? "regression" : "classification");

  function points() {
    return [...Examples.points(state.preset, state.seed, 120), ...state.painted];
  }

  /** Whether a point is a test point: a quarter are. The classes of most presets take turns, and both
      even and odd points are among them. */
  const isTest = (i) => i % 8 === 3 || i % 8 === 6;
  const split = (list) => ({ x: list.flatMap(([a, b]) => [a, b]), y: list.map(([, , y]) => y) });

  // ---- the training --------------------------------------------------------------------------

  const settings = () => ({
    sizes: [2, ...state.hidden, 1],
    ...Object.fromEntries(OWN.flatMap((name) => [[name, state[name]], [`${name}s`, state[`${name}s`]]])),
    interpreted: state.interpreted,
    rate: state.rate,
    batch: state.batch,
    seed: state.seed,
    task: task(),
  });

  /** Back to the first weights; they are the same each time. */
  function restart(steps = 0) {
    all = points();
    held = split(all.filter((_, i) => isTest(i)));
    const learned = split(all.filter((_, i) => !isTest(i)));
    training = learned.y.length ? Training.start(settings(), learned) : null;
    curve = [];
    chosen = null;
    spent = { steps: 0, time: 0 };
    if (training) record();
    replay(training ? steps : 0);
  }

  /** Takes steps until there are so many; long trainings go on while the page is seen. */
  function replay(steps) {
    clearTimeout(replaying);
    const end = performance.now() + AT_ONCE_TIME,
      part = Math.ceil(steps / 200);
    const taken = () => training?.taken() ?? 0;
    while (taken() < steps && (taken() < AT_ONCE || performance.now() < end)) {
      for (let i = Math.min(part, steps - taken()); i > 0; i--) training.advance();
      record();
    }
    state.steps = taken();
    if (taken() < steps) replaying = setTimeout(() => replay(steps), 0);
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
    clearTimeout(replaying);
    for (let i = 0; i < count && training; i++) training.advance();
    if (!training) return;
    state.steps = training.taken();
    record();
  }

  /** As many steps as fit into a frame. */
  function frame() {
    if (!running) return;
    const start = performance.now();
    let count = 0;
    if (frames % 2) {
      do {
        training.advance();
        count += 1;
      } while (performance.now() < start + FRAME / 2 && count < 20);
      spent.steps += count;
      spent.time += performance.now() - start;
    }
    state.steps = training.taken();
    frames += 1;
    // Steps and pictures take turns, so that no frame has much to compute.
    if (frames % 8 === 0) record();
    if (frames % 4 === 2) drawNetwork((frames >> 2) % (state.hidden.length + 1));
    if (frames % 16 === 4) drawCurve();
    if (frames % 16 === 12) drawScore();
    if (frames % 64 === 8) drawHow();
    byId("steps").textContent = `step ${state.steps}`;
    playing = requestAnimationFrame(frame);
  }

  function setRunning(on) {
    running = on;
    byId("run").textContent = running ? "Pause" : "Run";
    byId("run").setAttribute("aria-pressed", String(running));
    cancelAnimationFrame(playing);
    clearTimeout(replaying);
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
    drawLink();
  }

  /** The address, and what shows this page within another. */
  function drawLink() {
    byId("link").value = location.href;
    byId("embed").value = `<iframe src="${location.href}" title="${document.title}" width="100%" height="760"></iframe>`;
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
    for (const name of OWN) {
      const isChoice = (value) => [...byId(name).options].some((one) => one.value === value),
        own = given[`${name}s`];
      if (isChoice(given[name])) found[name] = given[name];
      if (Array.isArray(own) && own.length <= MAX_LAYERS + 1 && own.every((value) => !value || isChoice(value)))
        found[`${name}s`] = own.map((value) => value || null);
    }
    if (isNumber(given.rate, 0, 100)) found.rate = given.rate;
    if (isNumber(given.batch, 0, 1000)) found.batch = Math.round(given.batch);
    if (isNumber(given.seed, 0, 1e9)) found.seed = Math.round(given.seed);
    if (isNumber(given.steps, 0, MOST_STEPS)) found.steps = Math.round(given.steps);
    if (Array.isArray(given.painted))
      found.painted = given.painted
        .filter((p) => Array.isArray(p) && p.length === 3 && p.every((v) => isNumber(v, -1e6, 1e6)))
        .slice(0, MOST_POINTS);
    for (const name of ["real", "interpreted"]) found[name] = given[name] === true;
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
    drawHow();
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
  function ofHidden(layer) {
    if (Build.chosenFor(state, "activation", layer) === "sigmoid") return (a) => 2 * a - 1;
    return (a) => a;
  }

  /** Whether steps are compiled, and what one took while the network ran. */
  function drawHow() {
    const isCompiled = training ? training.isCompiled() : !state.interpreted,
      each = spent.time / spent.steps;
    byId("how").textContent = byId("how").className = isCompiled ? "compiled" : "interpreted";
    byId("how").title = isCompiled
      ? "Steps run as WebAssembly, which this page makes of this network. Click to have them interpreted node by node: slower, every number the same."
      : training && !training.canCompile
        ? "Steps are interpreted node by node: this browser runs no WebAssembly here."
        : "Steps are interpreted node by node. Click to have them compiled: faster, every number the same.";
    byId("pace").textContent = spent.steps > 50 ? `${Numbers.format(1000 * each, 2)} µs a step` : "";
  }

  let shape = "";
  /** The neurons as canvases in columns, with a gap before each where a layer can be added; made anew
      only when the network has another shape, or other choices are those of all layers. */
  function drawNetwork(only = null) {
    const sizes = [...state.hidden, 1],
      now = JSON.stringify([sizes, OWN.map((name) => state[name])]);
    if (shape !== now) {
      const focused = document.activeElement?.id;
      shape = now;
      show(byId("neurons"), sizes.flatMap((count, layer) => [gap(layer), column(count, layer)]));
      if (focused) byId(focused)?.focus({ preventScroll: true });
      byId("more").disabled = state.hidden.length >= MAX_LAYERS;
      byId("fewer").disabled = !state.hidden.length;
    }
    if (!training) return;
    const values = Training.outputs(settings(), training.layers(), GRID_POINTS);
    values.forEach((found, layer) => {
      if (only !== null && only !== layer) return; // the others have their turn in the next frames
      const width = sizes[layer],
        share = layer < state.hidden.length ? ofHidden(layer) : shares();
      for (let i = 0; i < width; i++)
        map(byId(`unit-${layer}-${i}`).firstChild, found, width, i, share);
    });
    if (only === null || only === state.hidden.length) map(byId("plane"), values.at(-1), 1, 0, shares());
  }

  const nameOf = (layer) => (layer < state.hidden.length ? `layer ${layer + 1}` : "the output");

  function column(count, layer) {
    const isHidden = layer < state.hidden.length;
    const unit = (i) =>
      element(
        "button",
        {
          type: "button",
          class: "unit",
          id: `unit-${layer}-${i}`,
          "aria-label": isHidden ? `Neuron ${i} of layer ${layer + 1}: its numbers` : "The output: its numbers",
          click: () => open(layer, i),
        },
        element("canvas", { width: GRID, height: GRID }),
      );
    return element(
      "div",
      { class: "column", id: `column-${layer}`, role: "group", "aria-label": isHidden ? `Layer ${layer + 1}, ${count} neurons` : "Output" },
      element("div", { class: "layer-name", text: isHidden ? `layer ${layer + 1}` : "output" }),
      Array.from({ length: count }, (_, i) => unit(i)),
      isHidden ? sizeButtons(layer) : null,
      OWN.filter((name) => isHidden || name !== "activation").map((name) => ownChoice(name, layer)),
    );
  }

  /** Where a layer can be added: by a click, by Enter, or by dragging one there. */
  function gap(layer) {
    return element("button", {
      type: "button",
      class: "gap",
      id: `gap-${layer}`,
      text: "+",
      title: `Add a layer before ${nameOf(layer)}`,
      "aria-label": `Add a layer before ${nameOf(layer)}`,
      disabled: state.hidden.length >= MAX_LAYERS || null,
      click: () => insert(layer),
    });
  }

  function sizeButtons(layer) {
    const change = (by) => {
      const next = Math.max(1, Math.min(MAX_NEURONS, state.hidden[layer] + by));
      if (next === state.hidden[layer]) return;
      state.hidden = state.hidden.map((n, i) => (i === layer ? next : n));
      changed();
      say(`Layer ${layer + 1} has ${next} ${next === 1 ? "neuron" : "neurons"}.`);
    };
    const button = (id, text, word, by) =>
      element("button", { type: "button", id: `${id}-${layer}`, text, "aria-label": `One neuron ${word} in layer ${layer + 1}`, click: () => change(by) });
    return element("div", { class: "size" }, button("less", "−", "less", -1), button("plus", "+", "more", 1), handle(layer));
  }

  // ---- layers are added, moved and removed -----------------------------------------------------

  const say = (text) => {
    byId("said").textContent = text;
  };

  /** Which of these elements is the nearest to the pointer, from left to right; -1 outside of the network. */
  function nearest(event, elements, outside) {
    const area = byId("neurons").getBoundingClientRect();
    if (event.clientY < area.top - outside || event.clientY > area.bottom + outside) return -1;
    const far = elements.map((one) => {
      const { left, width } = one.getBoundingClientRect();
      return Math.abs(left + width / 2 - event.clientX);
    });
    return far.indexOf(Math.min(...far));
  }

  /** What an element needs to be dragged: one of targets() shows where it would be dropped, and the
      layer that is dragged, if there is one, that it would be removed. */
  function draggable({ targets, drop, outside = 0, own = () => null }) {
    let from = null;
    const mark = (event) => {
      const list = targets(),
        at = event ? nearest(event, list, outside) : -1;
      list.forEach((one, i) => one.classList.toggle("target", i === at));
      own()?.classList.toggle("away", event !== null && at < 0);
    };
    return {
      pointerdown: (event) => {
        from = event;
        event.target.setPointerCapture(event.pointerId);
      },
      pointermove: (event) => from && mark(event),
      pointerup: (event) => {
        const isClick = from && Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) < CLICK;
        from = null;
        mark(null);
        if (!isClick) drop(nearest(event, targets(), outside));
      },
      pointercancel: () => {
        from = null;
        mark(null);
      },
    };
  }

  const gaps = () => [...state.hidden, 1].map((_, i) => byId(`gap-${i}`));
  const handles = () => state.hidden.map((_, i) => byId(`handle-${i}`));

  /** What a layer is moved and removed by: with the pointer, or with arrow keys and Delete. */
  function handle(layer) {
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
      ...draggable({
        targets: handles,
        drop: (at) => move(layer, at < 0 ? null : at),
        outside: OUTSIDE,
        own: () => byId(`column-${layer}`),
      }),
      keydown: press,
    });
  }

  /** The hidden layers by their old places, each with what it has of its own; null is a new one. */
  function arrange(order) {
    const output = state.hidden.length;
    for (const name of OWN) {
      const list = state[`${name}s`],
        own = [...order, output].map((old) => (old === null ? null : (list[old] ?? null)));
      state[`${name}s`] = own.some(Boolean) ? own : [];
    }
    state.hidden = order.map((old) => (old === null ? NEW_NEURONS : state.hidden[old]));
    shape = ""; // layers of one size look alike, but not what they have of their own
    changed();
  }

  /** A layer to another place, or away with it. */
  function move(from, to) {
    if (to === from || (to !== null && (to < 0 || to >= state.hidden.length))) return;
    const order = state.hidden.map((_, i) => i);
    order.splice(from, 1);
    if (to !== null) order.splice(to, 0, from);
    arrange(order);
    say(to === null ? `Layer ${from + 1} was removed.` : `Layer ${from + 1} is layer ${to + 1} now.`);
    byId(`handle-${to ?? Math.min(from, state.hidden.length - 1)}`)?.focus();
  }

  function insert(at) {
    if (at < 0 || state.hidden.length >= MAX_LAYERS) return;
    const order = state.hidden.map((_, i) => i);
    arrange([...order.slice(0, at), null, ...order.slice(at)]);
    say(`Layer ${at + 1} was added, with ${NEW_NEURONS} neurons.`);
    byId(`handle-${at}`).focus();
  }

  /** The activation, initialisation or optimizer of one layer: that of all, in brackets, or another. */
  function ownChoice(name, layer) {
    const all = [...byId(name).options],
      usual = all.find((one) => one.value === state[name]).text;
    const said = `${name[0].toUpperCase()}${name.slice(1)} of ${nameOf(layer)}`;
    const choice = element(
      "select",
      {
        class: "own",
        id: `${name}-${layer}`,
        title: `${said}. In brackets: as chosen for all layers.`,
        "aria-label": said,
        change: (event) => {
          const own = [...state.hidden, 1].map((_, i) => state[`${name}s`][i] ?? null);
          own[layer] = event.target.value || null;
          state[`${name}s`] = own.some(Boolean) ? own : [];
          changed();
        },
      },
      element("option", { value: "", text: `(${usual})` }),
      all.map((one) => element("option", { value: one.value, text: one.text })),
    );
    choice.value = state[`${name}s`][layer] ?? "";
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
      context.lineWidth = isTest(i) ? 2.5 : 1;
      context.strokeStyle = isTest(i) ? "#888" : "#000";
      context.stroke();
    });
    if (!cursor) return;
    const [x, y] = toPixel(...cursor);
    context.lineWidth = 2;
    context.strokeStyle = "#000";
    context.strokeRect(x - 7, y - 7, 14, 14);
    context.strokeStyle = "#fff";
    context.strokeRect(x - 5, y - 5, 10, 10);
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

  /** A number as it stands within a product or a power. */
  const bracketed = (v) => {
    const text = Numbers.format(v);
    return v < 0 || text.includes("·") ? `(${text})` : text;
  };

  /** Everything of one neuron, for one point: forward and backward, each with its numbers. */
  function equations({ layer, unit, point }) {
    const at = all.slice(0, point + 1).filter((_, i) => !isTest(i)).length - 1;
    const index = Math.max(0, Math.min(at, training.data.y.length - 1));
    const { made, values } = training.example(index);
    const of = made.layers[layer],
      next = made.layers[layer + 1];
    const number = (place, i) => values[place].data[i];
    const f = bracketed;
    const width = settings().sizes[layer + 1],
      from = settings().sizes[layer];
    const inputs = Array.from({ length: from }, (_, i) => [number(of.before, i), number(of.w, i * width + unit)]);
    const bias = number(of.b, unit),
      z = number(of.z, unit);
    const name = layer ? `a${layer}` : "x";
    const bent = of.activation !== "linear";
    const lines = [
      [`z = Σ ${name} · w + b`, `${inputs.map(([a, w]) => `${f(a)} · ${f(w)}`).join(" + ")} + ${f(bias)}`, z],
    ];
    if (bent) lines.push([`a = ${of.activation}(z)`, `${of.activation}(${Numbers.format(z)})`, number(of.a, unit)]);
    const dz = number(of.dz, unit);
    if (next) {
      const wide = settings().sizes[layer + 2];
      const parts = Array.from({ length: wide }, (_, k) => [number(next.dz, k), number(next.w, unit * wide + k)]);
      const da = number(of.da, unit);
      lines.push(["∂ℓ/∂a = Σ ∂ℓ/∂z of the next layer · w", parts.map(([d, w]) => `${f(d)} · ${f(w)}`).join(" + "), da]);
      const a = number(of.a, unit);
      const slope = { tanh: `(1 − ${f(a)}²)`, sigmoid: `${f(a)} · (1 − ${f(a)})`, relu: z > 0 ? "1" : "0", linear: "1" };
      lines.push(["∂ℓ/∂z = ∂ℓ/∂a · f′(z)", `${f(da)} · ${slope[of.activation]}`, dz]);
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

  /** How the weights and the bias of a neuron change in the next step, by the points of its batch. */
  function updates({ layer, unit }) {
    const { chosen: rows, made, values, corrections } = training.next(),
      of = made.layers[layer],
      width = settings().sizes[layer + 1],
      from = settings().sizes[layer];
    const f = bracketed,
      name = layer ? `a${layer}` : "x";
    const dz = rows.map((_, r) => values[of.dz].data[r * width + unit]);
    const sumOf = (terms) => (terms.length <= MOST_TERMS ? terms.join(" + ") : "");
    const lines = [];
    for (let i = 0; i <= from; i++) {
      const isBias = i === from,
        [w, update, at] = isBias ? ["b", of.bUpdate, unit] : [`w${i}`, of.wUpdate, i * width + unit];
      const inputs = rows.map((_, r) => values[of.before].data[r * from + i]);
      lines.push([
        isBias ? "∂L/∂b = Σ ∂L/∂z" : `∂L/∂${w} = Σ ${name}[${i}] · ∂L/∂z`,
        sumOf(dz.map((d, r) => (isBias ? f(d) : `${f(inputs[r])} · ${f(d)}`))),
        values[update.gradient].data[at],
      ]);
      const now = values[isBias ? of.b : of.w].data[at];
      lines.push(...steps(w, now, at, update, values, corrections));
    }
    return { lines, rows };
  }

  /** What the optimizer makes of the gradient of one weight. */
  function steps(w, now, at, { optimizer, gradient, state: means, next, stateNext }, values, [c1, c2]) {
    const f = bracketed,
      number = (place) => values[place].data[at],
      rate = Numbers.format(state.rate);
    const g = number(gradient),
      after = number(next),
      old = means.map(number),
      fresh = stateNext.map(number);
    if (optimizer === "sgd") return [[`${w}′ = ${w} − rate · ∂L/∂${w}`, `${f(now)} − ${rate} · ${f(g)}`, after]];
    if (optimizer === "momentum")
      return [
        [`v′ = 0.9 · v + ∂L/∂${w}`, `0.9 · ${f(old[0])} + ${f(g)}`, fresh[0]],
        [`${w}′ = ${w} − rate · v′`, `${f(now)} − ${rate} · ${f(fresh[0])}`, after],
      ];
    return [
      [`m′ = 0.9 · m + 0.1 · ∂L/∂${w}`, `0.9 · ${f(old[0])} + 0.1 · ${f(g)}`, fresh[0]],
      [`v′ = 0.999 · v + 0.001 · (∂L/∂${w})²`, `0.999 · ${f(old[1])} + 0.001 · ${f(g)}²`, fresh[1]],
      [
        `${w}′ = ${w} − rate · (m′ / (1 − 0.9ᵗ)) / (√(v′ / (1 − 0.999ᵗ)) + ε), with t = ${training.taken() + 1}`,
        `${f(now)} − ${rate} · (${f(fresh[0])} / ${f(c1)}) / (√(${f(fresh[1])} / ${f(c2)}) + ${f(1e-8)})`,
        after,
      ],
    ];
  }

  const written = (lines) =>
    element(
      "div",
      { class: "equations" },
      lines.map(([names, numbers, value]) =>
        element(
          "div",
          { class: "equation" },
          element("div", { class: "names", text: names }),
          numbers ? element("div", { text: `= ${numbers}` }) : null,
          element("b", { text: `= ${Numbers.format(value)}` }),
        ),
      ),
    );

  function drawNumbers() {
    if (!chosen || !training) {
      show(byId("numbers"), element("p", { class: "note", text: "Pause and click a neuron: every number of it, for one point. Which point: the buttons there, or Shift and a click on it in the plane." }));
      return;
    }
    const { lines, index } = equations(chosen),
      { lines: changes, rows } = updates(chosen);
    const [a, b] = [training.data.x[2 * index], training.data.x[2 * index + 1]];
    const where = chosen.layer < state.hidden.length ? `Neuron ${chosen.unit} of layer ${chosen.layer + 1}` : "The output";
    show(
      byId("numbers"),
      element("h2", { text: `${where}, for the point (${Numbers.format(a, 3)}, ${Numbers.format(b, 3)})` }),
      element(
        "div",
        { class: "bar" },
        element("button", { type: "button", id: "point-before", text: "◀ point", click: () => otherPoint(-1) }),
        element("button", { type: "button", id: "point-after", text: "point ▶", click: () => otherPoint(1) }),
      ),
      written(lines),
      element("h2", { text: `Its next step, by ${rows.length === 1 ? "one point" : `${rows.length} points`}` }),
      element("p", { class: "note", text: "L is the mean of ℓ over the points of the batch, so that every ∂L/∂z is a ∂ℓ/∂z divided by their number; the optimizer makes the step of the gradient." }),
      written(changes),
    );
  }

  // ---- what can be done ----------------------------------------------------------------------

  function paint(event) {
    const area = byId("points").getBoundingClientRect();
    const a = (2 * (event.clientX - area.left)) / area.width - 1,
      b = 1 - (2 * (event.clientY - area.top)) / area.height;
    if (event.shiftKey) {
      const near = all
        .map(([p, q], i) => [(p - a) ** 2 + (q - b) ** 2, i])
        .filter(([, i]) => !isTest(i))
        .sort((m, n) => m[0] - n[0])[0];
      if (near) chosen = { layer: chosen?.layer ?? state.hidden.length, unit: chosen?.unit ?? 0, point: near[1] };
      draw();
      return;
    }
    if (Math.abs(a) > 1 || Math.abs(b) > 1) return;
    addPoint(a, b);
  }

  function addPoint(a, b) {
    const short = (v) => Number(v.toFixed(3));
    state.painted = [...state.painted.slice(1 - MOST_POINTS), [short(a), short(b), Number(byId("brush").value)]];
    run(false);
    restart();
    record_url();
  }

  /** Arrow keys move a square over the plane, Enter paints there. */
  function paintByKeys(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    const at = cursor ?? [0, 0];
    if (event.key === "Enter") addPoint(...at);
    else if (by) cursor = at.map((v, axis) => Math.max(-1, Math.min(1, Number((v + STRIDE * by[axis]).toFixed(2)))));
    else return;
    event.preventDefault();
    drawPoints();
    const [x1, x2] = by ? cursor : at;
    byId("at").textContent = `${by ? "At" : "A point at"} (${Numbers.format(x1)}, ${Numbers.format(x2)})`;
  }

  /** The next or the last training point: its numbers are shown. */
  function otherPoint(by) {
    let next = chosen.point + by;
    while (next >= 0 && next < all.length && isTest(next)) next += by;
    if (next < 0 || next >= all.length) return;
    chosen.point = next;
    draw();
    byId(by < 0 ? "point-before" : "point-after").focus();
  }

  /** Lines of "x1, x2, target"; inputs are brought into the plane, −1 to 1. */
  function paste() {
    const lines = byId("csv").value.trim().split(/\s*\n\s*/);
    const rows = lines
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
    state.painted = rows.slice(0, MOST_POINTS).map(([a, b, y]) => [scaled[0](a), scaled[1](b), y]);
    const isCut = rows.length > MOST_POINTS ? `, the first of ${Numbers.count(rows.length)}` : "",
      left = lines.length - rows.length;
    const without = left ? ` Left out: ${left} ${left === 1 ? "line" : "lines"} without three numbers.` : "";
    byId("csv-said").textContent = `${Numbers.count(state.painted.length)} rows${isCut}; ${state.real ? "the target is a number" : "the target is a class"}. The inputs were brought to −0.9 to 0.9.${without}`;
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
    for (const name of ["link", "embed"]) byId(name).addEventListener("focus", (event) => event.target.select());
    palette(byId("more"));
    byId("fewer").addEventListener("click", () => move(state.hidden.length - 1, null));
    byId("how").addEventListener("click", () => {
      state.interpreted = !state.interpreted;
      training?.compile(!state.interpreted);
      spent = { steps: 0, time: 0 };
      if (!running) record_url();
      drawHow();
    });
    byId("points").addEventListener("pointerdown", paint);
    byId("points").addEventListener("keydown", paintByKeys);
    byId("points").addEventListener("blur", () => {
      cursor = null;
      drawPoints();
    });
    byId("paste").addEventListener("click", paste);
    document.addEventListener("keydown", (event) => {
      if (/^(INPUT|SELECT|TEXTAREA|BUTTON)$/.test(event.target.tagName)) return;
      if (event.key === " ") {
        event.preventDefault();
        run(!running);
      }
    });
  }

  /** A new layer: dragged to a gap, or by a click to the end. */
  function palette(button) {
    let wasDragged = false;
    const drop = (at) => {
      wasDragged = true;
      insert(at);
    };
    for (const [name, listener] of Object.entries(draggable({ targets: gaps, drop }))) button.addEventListener(name, listener);
    button.addEventListener("click", (event) => {
      if (event.detail === 0 || !wasDragged) insert(state.hidden.length); // 0: by the keyboard
      wasDragged = false;
    });
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
    drawLink();
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
    updates,
  };
})();
Play.start();
