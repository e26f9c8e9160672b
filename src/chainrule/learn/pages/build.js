/* Builds the graph of a training step of a fully connected network: forward pass, backward pass and
   update, in the JSON of chainrule.ir. `compile.js` compiles it, and `evaluate.js` runs it where that
   cannot be; both do the arithmetic of every other page. All numbers are float64. */
const Build = (() => {
  class Graph {
    constructor() {
      this.nodes = [];
      this.inputs = [];
    }
    add(op, shape, inputs = [], attributes = {}, value = undefined, type = "float64") {
      this.nodes.push({ op, type: [type, shape], inputs, attributes, ...(value ? { value } : {}) });
      return this.nodes.length - 1;
    }
    input(name, shape) {
      const place = this.add("placeholder", shape, [], { name });
      this.inputs.push(place);
      return place;
    }
    shape(place) {
      return this.nodes[place].type[1];
    }
    constant(value) {
      return this.add("constant", [], [], {}, [value]);
    }
    spread(place, shape) {
      return String(this.shape(place)) === String(shape)
        ? place
        : this.add("broadcast_to", shape, [place], { shape });
    }
    /** An operation of two operands, the second of which may be a scalar or a row. */
    binary(op, a, b) {
      return this.add(op, this.shape(a), [a, this.spread(b, this.shape(a))]);
    }
    unary(op, a) {
      return this.add(op, this.shape(a), [a]);
    }
    product(a, b, transpose_a = false, transpose_b = false) {
      const shape = [
        this.shape(a)[transpose_a ? 1 : 0],
        this.shape(b)[transpose_b ? 0 : 1],
      ];
      return this.add("matmul", shape, [a, b], { transpose_a, transpose_b });
    }
    sum(a, axes) {
      const shape = this.shape(a).filter((_, axis) => !axes.includes(axis));
      return this.add("sum", shape, [a], { axes });
    }
  }

  /** f′(z) times the gradient of a = f(z). */
  const BACK = {
    tanh: (g, da, z, a) => {
      const one = g.spread(g.constant(1), g.shape(a));
      return g.binary("multiply", da, g.binary("subtract", one, g.binary("multiply", a, a)));
    },
    sigmoid: (g, da, z, a) => {
      const one = g.spread(g.constant(1), g.shape(a));
      return g.binary("multiply", da, g.binary("multiply", a, g.binary("subtract", one, a)));
    },
    relu: (g, da, z) => {
      const zero = g.spread(g.constant(0), g.shape(z));
      const on = g.add("greater", g.shape(z), [z, zero], {}, undefined, "bool");
      return g.add("where", g.shape(z), [on, da, zero]);
    },
    linear: (g, da) => da,
  };

  /** The activation, initialisation or optimizer of a layer: its own, or that of all. */
  const chosenFor = (settings, name, layer) => settings[`${name}s`]?.[layer] || settings[name];

  /** settings.sizes: neurons of each layer, inputs first; the places of all parts. */
  function network(settings, rows) {
    const { sizes } = settings,
      g = new Graph(),
      x = g.input("x", [rows, sizes[0]]);
    const layers = [];
    let a = x;
    for (let i = 1; i < sizes.length; i++) {
      const w = g.input(`W${i}`, [sizes[i - 1], sizes[i]]),
        b = g.input(`b${i}`, [sizes[i]]);
      const z = g.binary("add", g.product(a, w), b);
      const activation = i < sizes.length - 1 ? chosenFor(settings, "activation", i - 1) : "linear";
      const bent = activation === "linear" ? z : g.unary(activation, z);
      layers.push({ before: a, w, b, z, a: bent, activation });
      a = bent;
    }
    return { g, x, layers, output: a };
  }

  /** The loss of a batch, and the gradient of the output. */
  function loss(g, z, y, task, rows) {
    const n = g.constant(rows);
    if (task === "regression") {
      const e = g.binary("subtract", z, y);
      const mean = g.add("divide", [], [g.sum(g.binary("multiply", e, e), [0, 1]), n]);
      return { mean, dz: g.binary("divide", g.binary("multiply", e, g.constant(2)), n) };
    }
    // −ln of the right answer's probability, from the logit: softplus(z) − y · z.
    const each = g.binary("subtract", g.unary("softplus", z), g.binary("multiply", y, z));
    const mean = g.add("divide", [], [g.sum(each, [0, 1]), n]);
    return { mean, dz: g.binary("divide", g.binary("subtract", g.unary("sigmoid", z), y), n) };
  }

  /** w′ and the new state of a weight. */
  function update(g, w, grad, optimizer, shared, state) {
    const scaled = (place, by) => g.binary("multiply", place, by);
    if (optimizer === "sgd") return { w: g.binary("subtract", w, scaled(grad, shared.lr)), state: [] };
    if (optimizer === "momentum") {
      const v = g.binary("add", scaled(state[0], g.constant(0.9)), grad);
      return { w: g.binary("subtract", w, scaled(v, shared.lr)), state: [v] };
    }
    const square = g.binary("multiply", grad, grad);
    const m = g.binary("add", scaled(state[0], g.constant(0.9)), scaled(grad, g.constant(1 - 0.9)));
    const v = g.binary("add", scaled(state[1], g.constant(0.999)), scaled(square, g.constant(1 - 0.999)));
    const root = g.unary("sqrt", g.binary("divide", v, shared.c2));
    const step = g.binary("divide", g.binary("divide", m, shared.c1), g.binary("add", root, g.constant(1e-8)));
    return { w: g.binary("subtract", w, scaled(step, shared.lr)), state: [m, v] };
  }

  const STATES = { sgd: 0, momentum: 1, adam: 2 };

  /** The whole step: places of everything, and the graph made ready. */
  function step(settings, rows) {
    const made = network(settings, rows),
      { g, layers } = made;
    const y = g.input("y", [rows, 1]);
    const shared = { lr: g.input("lr", []), c1: g.input("c1", []), c2: g.input("c2", []) };
    const { mean, dz } = loss(g, made.output, y, settings.task, rows);
    let back = dz;
    for (let i = layers.length - 1; i >= 0; i--) {
      const layer = layers[i];
      if (i < layers.length - 1) {
        layer.da = back;
        back = BACK[layer.activation](g, back, layer.z, layer.a);
      }
      layer.dz = back;
      layer.dw = g.product(layer.before, back, true);
      layer.db = g.sum(back, [0]);
      if (i) back = g.product(back, layer.w, false, true);
    }
    const carried = []; // [input, what it is after the step]
    layers.forEach((layer, i) => {
      const optimizer = chosenFor(settings, "optimizer", i);
      for (const [name, grad] of [
        ["w", "dw"],
        ["b", "db"],
      ]) {
        const state = Array.from({ length: STATES[optimizer] }, (_, k) =>
          g.input(`${name} state ${k}`, g.shape(layer[name])),
        );
        const next = update(g, layer[name], layer[grad], optimizer, shared, state);
        carried.push([layer[name], next.w], ...state.map((place, k) => [place, next.state[k]]));
        layer[`${name}Update`] = { optimizer, gradient: layer[grad], state, next: next.w, stateNext: next.state };
      }
    });
    return { ...made, y, shared, carried, loss: mean, graph: Graphs.read({ nodes: g.nodes, inputs: g.inputs, outputs: [] }) };
  }

  /** The forward pass alone. */
  function forward(settings, rows) {
    const made = network(settings, rows);
    return { ...made, graph: Graphs.read({ nodes: made.g.nodes, inputs: made.g.inputs, outputs: [] }) };
  }

  return { step, forward, chosenFor };
})();

/* A network in training: weights, optimizer state, batches. */
const Training = (() => {
  const sizeOf = (shape) => shape.reduce((total, extent) => total * extent, 1);

  /** Random numbers from a seed (mulberry32): the same in every browser. */
  function chance(seed) {
    let a = seed >>> 0;
    return () => {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }
  /** A standard normal number (Box and Muller). */
  const normal = (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

  const SCALES = {
    xavier: (fanIn, fanOut) => Math.sqrt(2 / (fanIn + fanOut)),
    he: (fanIn) => Math.sqrt(2 / fanIn),
    small: () => 0.05,
    large: () => 2,
    zero: () => 0,
  };

  function weights(settings) {
    const { sizes, seed } = settings,
      random = chance(seed * 7919 + 17);
    return sizes.slice(1).map((to, i) => {
      const scale = SCALES[Build.chosenFor(settings, "initialisation", i)](sizes[i], to);
      return {
        w: Float64Array.from({ length: sizes[i] * to }, () => scale * normal(random)),
        b: new Float64Array(to),
      };
    });
  }

  /** A training of a network on data {x: pairs, y}. Same settings, same numbers, compiled or not. */
  function start(settings, data) {
    const rows = data.y.length,
      size = settings.batch && settings.batch < rows ? settings.batch : rows;
    const step = Build.step(settings, size);
    const program = Compiled.compile(step.graph, [step.loss], step.carried);
    let isCompiled = program !== null && !settings.interpreted;
    // Weights and optimizer state by their places; those of the program are arrays in its memory.
    const kept = new Map(
      step.carried.map(([place]) => [place, program?.at(place) ?? new Float64Array(sizeOf(step.g.shape(place)))]),
    );
    const layers = step.layers.map(({ w, b }) => ({ w: kept.get(w), b: kept.get(b) }));
    weights(settings).forEach(({ w, b }, i) => {
      layers[i].w.set(w);
      layers[i].b.set(b);
    });
    const random = chance(settings.seed * 104729 + 5);
    let order = [],
      pending = null, // the batch of the next step, if somebody has asked for it
      taken = 0;

    /** The rows of the next batch: all in turn, shuffled anew for each pass. */
    function batch() {
      if (size === rows) return Array.from({ length: rows }, (_, i) => i);
      const found = [];
      while (found.length < size) {
        if (!order.length) {
          order = Array.from({ length: rows }, (_, i) => i);
          for (let i = rows - 1; i > 0; i--) {
            const j = Math.floor(random() * (i + 1));
            [order[i], order[j]] = [order[j], order[i]];
          }
        }
        found.push(order.pop());
      }
      return found;
    }

    /** What a step has from outside for these rows: [place, values]. */
    function given(chosen, made) {
      return [
        [made.x, chosen.flatMap((i) => [data.x[2 * i], data.x[2 * i + 1]])],
        [made.y, chosen.map((i) => data.y[i])],
        [made.shared.lr, [settings.rate]],
        [made.shared.c1, [1 - 0.9 ** (taken + 1)]],
        [made.shared.c2, [1 - 0.999 ** (taken + 1)]],
      ];
    }

    /** All values of a step, node by node; the step of other rows has the same weights and state. */
    function interpret(chosen, made) {
      const inputs = new Map(given(chosen, made).map(([place, values]) => [place, Float64Array.from(values)]));
      made.carried.forEach(([place], i) => inputs.set(place, kept.get(step.carried[i][0])));
      return Graphs.run(
        made.graph,
        made.graph.inputs.map((place) => Graphs.make("float64", made.g.shape(place), inputs.get(place))),
      );
    }

    function upcoming() {
      pending ??= batch();
      return pending;
    }

    /** One step; its batch and its loss before the update. */
    function advance() {
      const chosen = upcoming();
      let loss;
      pending = null;
      if (isCompiled) {
        for (const [place, values] of given(chosen, step)) program.at(place).set(values);
        program.run();
        [loss] = program.at(step.loss);
      } else {
        const values = interpret(chosen, step);
        for (const [place, next] of step.carried) kept.get(place).set(values[next].data);
        [loss] = values[step.loss].data;
      }
      taken += 1;
      return { chosen, loss };
    }

    return {
      settings,
      data,
      advance,
      /** Weights and biases; the next step changes them in place. */
      layers: () => layers,
      isCompiled: () => isCompiled,
      /** Compiles the steps from now on, where that is possible, or interprets them. */
      compile: (on) => {
        isCompiled = on && program !== null;
      },
      canCompile: program !== null,
      taken: () => taken,
      /** The root mean square of the gradients of the weights of each layer, for these rows. */
      gradients: (rows) => {
        const made = Build.step(settings, rows.length),
          values = interpret(rows, made);
        return made.layers.map(({ dw }) => {
          const { data: found } = values[dw];
          return Math.sqrt(found.reduce((sum, v) => sum + v * v, 0) / found.length);
        });
      },
      /** Everything of one example: values and gradients of the step for it alone. */
      example: (i) => {
        const made = Build.step(settings, 1);
        return { made, values: interpret([i], made) };
      },
      /** Everything of the next step: its rows, its values, and of Adam what corrects its means. */
      next: () => ({
        chosen: upcoming(),
        made: step,
        values: interpret(upcoming(), step),
        corrections: [1 - 0.9 ** (taken + 1), 1 - 0.999 ** (taken + 1)],
      }),
    };
  }

  const known = new Map(); // forward passes, by what they depend on
  function forwardOf(settings, rows) {
    const key = JSON.stringify([settings.sizes, settings.activation, settings.activations, rows]);
    if (!known.has(key)) {
      if (known.size > 12) known.clear();
      const made = Build.forward(settings, rows);
      known.set(key, { made, program: Compiled.compile(made.graph, made.layers.map(({ a }) => a)) });
    }
    return known.get(key);
  }

  /** The outputs of all neurons, layer by layer, for points as pairs. */
  function outputs(settings, layers, points) {
    const { made, program } = forwardOf(settings, points.length / 2);
    const given = new Map([[made.x, points]]);
    layers.forEach(({ w, b }, i) => {
      given.set(made.layers[i].w, w);
      given.set(made.layers[i].b, b);
    });
    if (program && !settings.interpreted) {
      for (const [place, values] of given) program.at(place).set(values);
      program.run();
      return made.layers.map(({ a }) => program.at(a).slice());
    }
    const values = Graphs.run(
      made.graph,
      made.graph.inputs.map((place) => Graphs.make("float64", made.g.shape(place), given.get(place))),
    );
    return made.layers.map(({ a }) => values[a].data);
  }

  /** The loss of outputs z. */
  function lossOf(z, y, task) {
    let sum = 0;
    z.forEach((one, i) => {
      sum +=
        task === "regression"
          ? (one - y[i]) ** 2
          : Math.max(one, 0) + Math.log1p(Math.exp(-Math.abs(one))) - y[i] * one;
    });
    return sum / z.length;
  }

  return { start, outputs, lossOf, weights, chance, normal };
})();
