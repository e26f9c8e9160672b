/* The numbers that the page shows: at first those of Python, and after a slider has moved those that
   the page computes itself, from the same graph. */
const Live = (() => {
  let explanation, graph, roles, nodeAt, paths, definitions; // what stays as it is
  let inputs, forced, values, store, changed, past; // what sliders change
  let known = new Map(); // numbers of equations whose arrays are not in the page
  let followers = [];
  const RATE = "rate.0"; // of the first group of parameters, as the optimizer calls it

  /** The numbers of an array of the explanation; null if it was too large to be stored. */
  const numbersOf = (array) => (array && array.data ? Float64Array.from(array.data, Numbers.parse) : null);

  function setup(data) {
    explanation = data;
    paths = new Map(data.update.parameters.map((one) => [one.path, one.node]));
    roles = data.graph && !Graphs.missing(data.graph.ir).length ? data.graph : null;
    graph = roles && Graphs.read(roles.ir);
    nodeAt = new Map(roles ? roles.values.map((place, id) => [place, id]) : []);
    const equations = [
      ...data.error.examples,
      ...data.error.probabilities,
      ...data.update.equations,
      ...data.update.parameters.flatMap((one) => one.equations),
    ];
    definitions = new Map(equations.map((one) => [nameOf(one.left), one]));
    known = new Map();
    for (const [node, index, ...numbers] of data.known || [])
      ["value", "gradient", "new"].forEach((of, i) => known.set(`${of} ${node} ${index}`, numbers[i]));
    restore();
  }

  const nameOf = (q) => [q.of, q.symbol, q.node, q.index].join(" ");

  /** Back to the numbers of Python. */
  function restore() {
    changed = false;
    values = null;
    forced = new Map();
    store = { value: new Map(), gradient: new Map(), new: new Map() };
    for (const node of explanation.nodes) {
      store.value.set(node.id, numbersOf(node.value));
      store.gradient.set(node.id, numbersOf(node.gradient));
    }
    for (const one of explanation.update.parameters) store.new.set(one.node, numbersOf(one.new));
    const { loss, predicted } = explanation.update;
    store.losses = {
      loss: Numbers.parse(explanation.loss),
      after: Numbers.parse(loss),
      predicted: Numbers.parse(predicted),
    };
    past = [store.losses.loss];
    if (graph) inputs = roles.inputs.map(({ value }) => Float64Array.from(value, Numbers.parse));
  }

  // ---- computing -----------------------------------------------------------------------------

  function run() {
    changed = true;
    values = Graphs.run(graph, given(inputs), forced);
    // A record, the value of an operation with several results, has no numbers of its own.
    roles.values.forEach((place, id) => store.value.set(id, values[place].data ?? null));
    for (const [id, place] of Object.entries(roles.gradients))
      store.gradient.set(Number(id), values[place].data);
    for (const [path, place] of Object.entries(roles.new)) store.new.set(paths.get(path), values[place].data);
    const loss = values[roles.loss].data[0];
    store.losses = { loss, after: values[roles.loss_after].data[0], predicted: loss + predictedChange() };
    Chains.forget();
  }

  /** Σ ∂L/∂w · (new − old). */
  function predictedChange() {
    let sum = 0;
    for (const node of paths.values()) {
      const gradient = store.gradient.get(node),
        old = store.value.get(node),
        next = store.new.get(node);
      if (gradient && old && next)
        next.forEach((value, i) => {
          sum += gradient[i] * (value - old[i]);
        });
    }
    return sum;
  }

  /** How many elements the step has. */
  const work = () => graph.nodes.reduce((sum, node) => sum + Numbers.sizeOf(node.type[1] || []), 0);
  const MAX_WORK = 4_000_000; // elements that are computed for the curve of a step

  /** [t, loss with the weights old + t · (new − old)] for t from 0 to 1.5; null if that is too much. */
  function alongTheStep(count) {
    if (!graph) return null;
    if (work() * count > MAX_WORK) return null;
    if (!values) values = Graphs.run(graph, given(inputs), forced);
    const weights = roles.inputs.flatMap(({ role, name }, place) =>
      role === "parameter" && roles.new[name] !== undefined ? [[place, values[roles.new[name]].data]] : [],
    );
    const needed = Graphs.until(graph, [roles.loss]);
    return Array.from({ length: count }, (_, i) => {
      const t = (1.5 * i) / (count - 1);
      const moved = inputs.slice();
      for (const [place, next] of weights)
        moved[place] = inputs[place].map((old, k) => old + t * (next[k] - old));
      return [t, Graphs.run(graph, given(moved), forced, needed)[roles.loss].data[0]];
    }).filter(([, loss]) => Number.isFinite(loss));
  }

  /** The outputs of the network for rows of an input, as many at a time as the step has examples. */
  function outputsAt(inputId, outputId, points) {
    const place = roles.inputs.findIndex(({ node }) => nodeAt.get(node) === inputId);
    const size = inputs[place].length,
      each = explanation.nodes[inputId].value.shape[0],
      found = [];
    const needed = Graphs.until(graph, [roles.values[outputId]]);
    for (let start = 0; start < points.length; start += size) {
      const rows = Float64Array.from({ length: size }, (_, i) => points[Math.min(start + i, points.length - 1)]);
      const moved = inputs.map((old, i) => (i === place ? rows : old));
      found.push(...Graphs.run(graph, given(moved), forced, needed)[roles.values[outputId]].data.slice(0, each));
    }
    return found.slice(0, (points.length * each) / size);
  }

  const given = (numbers) =>
    roles.inputs.map(({ node }, i) => {
      const [type, shape] = graph.nodes[node].type;
      return Graphs.make(type, shape, numbers[i]);
    });

  function tell() {
    followers = followers.filter(({ owner }) => !owner || owner.isConnected);
    followers.forEach(({ hear }) => hear());
  }

  /** Sets one element of an input of the graph. */
  function set(place, index, value) {
    inputs[place][index] = value;
    run();
    past = [store.losses.loss];
    tell();
  }

  function setRate(value) {
    forced.set(roles.after[RATE], Graphs.make("float64", [], Float64Array.of(value)));
    run();
    past = [store.losses.loss];
    tell();
  }

  /** The update's results become the inputs of the next step. */
  function takeSteps(times) {
    if (!changed) run();
    for (let i = 0; i < times; i++) {
      roles.inputs.forEach(({ role, name }, place) => {
        const next =
          role === "parameter" ? roles.new[name] : role === "state" ? roles.after[name] : undefined;
        if (next !== undefined && name !== RATE) inputs[place] = values[next].data.slice();
      });
      run();
      past.push(store.losses.loss);
    }
    tell();
  }

  // ---- reading -------------------------------------------------------------------------------

  /** The number that a quantity stands for now; null if the page does not know it. */
  function number(q) {
    const found = store[q.of] && store[q.of].get(q.node);
    if (found) return found[q.index];
    if (store[q.of] && q.node !== null && known.size)
      return changed ? null : Numbers.parse(known.get(`${q.of} ${q.node} ${q.index}`) ?? null);
    if (!changed || q.of === "number") return Numbers.parse(q.value ?? null);
    if (q.symbol === "lr") return rate();
    if (q.of === "state" || q.of === "shared") {
      const path = explanation.update.parameters.find((one) => one.node === q.node)?.path;
      const place = roles.before[path === undefined ? q.symbol : `${q.symbol}.${path}`];
      if (place !== undefined) return values[place].data[q.index];
    }
    const equation = definitions.get(nameOf(q));
    return equation
      ? Numbers.value(equation.right, within(equation.left, equation.right))
      : Numbers.parse(q.value ?? null);
  }

  /** The same for the quantities of one equation: terms that are not shown are what is missing. */
  function within(left, right) {
    return (q) => {
      if (q.of !== "rest" || !changed) return number(q);
      return number(left) - Numbers.value(right, (one) => (one.of === "rest" ? 0 : number(one)));
    };
  }

  const rate = () => {
    const place = changed ? forced.get(roles.after[RATE]) || values[roles.after[RATE]] : null;
    return place ? place.data[0] : Numbers.parse(explanation.update.rate);
  };

  /** An array for its picture: in steps of 1/127 of its largest number where only that is in the page. */
  function picture(kind, node) {
    const whole = store[kind].get(node) ?? null;
    const colours = explanation.nodes[node][kind]?.colours;
    if (whole || !colours) return { data: whole, isRough: false };
    const [largest, text] = colours;
    const step = (one) => (one.charCodeAt(0) << 24) >> 24; // a byte with its sign
    return { data: Float64Array.from(atob(text), (one) => (step(one) === -128 ? NaN : (step(one) / 127) * largest)), isRough: true };
  }

  function size(data) {
    if (!data) return null;
    let sum = 0;
    for (const v of data) sum += v * v;
    return Math.sqrt(sum / Math.max(1, data.length));
  }

  /** The root mean square of a layer's output, gradient and update now. */
  function sizes(layer) {
    const own = { activation: layer.activation, gradient: layer.gradient, update: layer.update };
    for (const key of Object.keys(own)) own[key] = Numbers.parse(own[key]);
    if (!changed) return own;
    const moves = [...paths.values()]
      .filter((node) => layer.nodes.includes(node))
      .flatMap((node) => [...store.new.get(node)].map((value, i) => value - store.value.get(node)[i]));
    return {
      activation: size(store.value.get(layer.result)) ?? own.activation,
      gradient: size(store.gradient.get(layer.result)) ?? own.gradient,
      update: moves.length ? size(moves) : own.update,
    };
  }

  /** An element of a node as a quantity. */
  function quantity(node, index) {
    const { symbol, value } = explanation.nodes[node],
      place = [];
    let rest = index;
    for (const extent of [...value.shape].reverse()) {
      place.unshift(rest % extent);
      rest = Math.floor(rest / extent);
    }
    return { kind: "quantity", symbol, place, of: "value", node, index };
  }

  /** The inputs of the graph that sliders may move. */
  function knobs() {
    return roles.inputs
      .map(({ role, node }, place) => ({
        role,
        place,
        node: nodeAt.get(node),
        size: inputs[place].length,
        type: graph.nodes[node].type[0],
      }))
      .filter(
        (knob) =>
          knob.node !== undefined &&
          ["input", "target", "parameter"].includes(knob.role) &&
          knob.type.startsWith("float"),
      );
  }

  return {
    setup,
    set,
    setRate,
    takeSteps,
    alongTheStep,
    outputsAt,
    work,
    number,
    within,
    sizes,
    quantity,
    knobs,
    rate,
    reset: () => {
      restore();
      Chains.forget();
      tell();
    },
    /** Calls hear() after every change, as long as the owner is in the page. */
    follow: (hear, owner = null) => followers.push({ hear, owner }),
    canRun: () => graph !== null,
    lossNode: () => explanation.error.node,
    /** Why nothing can be computed again, in a sentence. */
    whyNot: () =>
      !explanation.graph
        ? `There are no sliders: ${explanation.graph_missing}`
        : `There are no sliders: this page cannot compute ${Graphs.missing(explanation.graph.ir).join(", ")}.`,
    hasRate: () => graph !== null && roles.after[RATE] !== undefined,
    isChanged: () => changed,
    knobFor: (node) => (graph ? knobs().find((knob) => knob.node === node) : undefined),
    input: (place, index) => inputs[place][index],
    initial: (place, index) => Numbers.parse(roles.inputs[place].value[index]),
    sizeOf: (kind, node) => size(store[kind].get(node)),
    picture,
    array: (kind, node) => store[kind].get(node) ?? null,
    losses: () => store.losses,
    history: () => past,
  };
})();
