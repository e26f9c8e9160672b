/* The drawing of the network: neurons and edges where there are few, boxes of layers that open into
   boxes of nodes where there are many. */
const Network = (() => {
  const MAX_NEURONS = 48,
    MAX_EDGES = 260,
    MAX_LABELLED = 30,
    MAX_OVERLAP = 4; // square pixels of a label of an edge that may lie on something else
  let explanation,
    neurons,
    isSmall,
    opened,
    example = 0,
    examples = 1;

  const TITLES = { input: "input", target: "target", loss: "the loss" };

  const nodeOf = (id) => explanation.nodes[id];
  const isLearned = (id) => nodeOf(id).role === "parameter";
  const narrow = () => byId("drawing").clientWidth < 560;
  /** How much larger the letters of the page are than those that the drawing is made for. */
  const scale = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / 17;
  const roomOf = () => byId("drawing").clientWidth / scale();
  /** Parts of a loss of logits: they are drawn inside of it, as the probability is. */
  const isInside = (id) =>
    explanation.error.probabilities.length > 0 && nodeOf(id).layer === "loss" && nodeOf(id).role === "hidden";

  function setup(data) {
    explanation = data;
    opened = new Set();
    examples = countExamples();
    example = firstOfInterest();
    neurons = findNeurons();
    isSmall = neurons !== null;
    setupExample();
  }

  function countExamples() {
    const input = explanation.nodes.find((node) => node.role === "input" && node.value.shape.length > 1);
    return input ? input.value.shape[0] : 1;
  }

  /** The first example that is not all zeros: zeros show nothing. */
  function firstOfInterest() {
    const input = explanation.nodes.find((node) => node.role === "input" && node.value.shape.length > 1);
    if (!input || !input.value.data) return 0;
    const each = input.value.data.length / examples;
    const found = input.value.data.findIndex((value) => value !== 0);
    return found < 0 ? 0 : Math.floor(found / each);
  }

  function setupExample() {
    const place = byId("example");
    place.hidden = !(isSmall && examples > 1);
    if (place.hidden) return;
    const choice = element("select", {
      id: "example-choice",
      change: (event) => {
        example = Number(event.target.value);
        neurons = findNeurons();
        Player.draw();
      },
    });
    for (let i = 0; i < examples; i++) choice.append(element("option", { value: i, text: String(i), selected: i === example }));
    show(
      place,
      element("label", { for: "example-choice", text: "Drawn: example " }),
      choice,
      element("span", {
        class: "aside",
        text: ` (0 to ${examples - 1}). The gradients of the weights are those of all examples together.`,
      }),
    );
  }

  // ---- neurons and edges ---------------------------------------------------------------------

  /** Whether an element belongs to the example that is drawn. */
  function isDrawn(q) {
    if (examples === 1 || q.node === null) return true;
    const shape = nodeOf(q.node).value.shape;
    return (
      isLearned(q.node) ||
      !shape.length ||
      shape[0] !== examples ||
      Math.floor(q.index / (Numbers.sizeOf(shape) / examples)) === example
    );
  }

  const isValue = (q) => q.of === "value" && q.node !== null;
  const LEAVES = ["parameter", "input", "target", "constant", "buffer"];
  const FIXED = ["parameter", "constant", "buffer"];
  const isSignal = (q) => isValue(q) && !FIXED.includes(nodeOf(q.node).role);

  /** The terms of a sum, each with the signal in it and the weights that multiply it. */
  function terms(e) {
    if (e.kind === "call" && e.op === "add") return e.arguments.flatMap(terms);
    const found = Numbers.quantities(e);
    return [
      { signals: found.filter(isSignal), weights: found.filter((q) => isValue(q) && isLearned(q.node)) },
    ];
  }

  /** Neurons of the drawn example by key, or null if there are too many to draw. */
  function findNeurons() {
    const made = new Map(),
      drawn = [];
    for (const node of explanation.nodes) {
      if (!node.shown || LEAVES.includes(node.role) || isInside(node.id)) continue;
      for (let index = 0; index < Numbers.sizeOf(node.value.shape); index++) {
        if (!isDrawn({ node: node.id, index })) continue;
        drawn.push(Chains.equation(`${node.id}:${index}`));
        if (!drawn.at(-1) || drawn.length > 2 * MAX_NEURONS) return null;
      }
    }
    if (!drawn.length) return null;
    const add = (q) => {
      const key = Chains.keyOf(q);
      if (!made.has(key))
        made.set(key, { key, q, pre: null, function: "", edges: [], biases: [], depth: 0, equation: null });
      return made.get(key);
    };
    for (const equation of drawn) {
      const neuron = add(equation.left);
      neuron.equation = withoutInside(equation);
      if (!neuron.equation) return null;
      for (const { signals, weights } of terms(neuron.equation.right)) {
        const near = signals.filter(isDrawn);
        for (const q of new Map(near.map((one) => [Chains.keyOf(one), one])).values())
          neuron.edges.push({ from: Chains.keyOf(q), weight: weights[0] || null, into: neuron.key, q });
        if (!signals.length) neuron.biases.push(...weights);
      }
      for (const edge of neuron.edges) add(edge.q);
    }
    mergeActivations(made);
    mergeScaled(made);
    const size = [...made.values()].reduce((sum, neuron) => sum + neuron.edges.length, 0);
    if (made.size > MAX_NEURONS || size > MAX_EDGES) return null;
    place(made);
    return made;
  }

  /** z → a(z) is one neuron where nobody else uses z. */
  function mergeActivations(made) {
    const users = new Map();
    for (const neuron of made.values())
      for (const edge of neuron.edges) users.set(edge.from, [...(users.get(edge.from) || []), neuron]);
    for (const neuron of [...made.values()]) {
      const right = neuron.equation && neuron.equation.right;
      if (
        !right ||
        right.kind !== "call" ||
        right.arguments.length !== 1 ||
        right.op === "negative" ||
        !Numbers.functionName(right.op)
      )
        continue;
      const [source] = right.arguments;
      if (source.kind === "call" || !isSignal(source)) continue;
      const pre = made.get(Chains.keyOf(source));
      if (!pre || !pre.equation || pre.pre || users.get(pre.key).length !== 1 || pre.edges.length < 1)
        continue;
      neuron.pre = pre;
      neuron.function = right.op;
      neuron.edges = pre.edges.map((edge) => ({ ...edge, into: neuron.key }));
      neuron.biases = pre.biases;
      made.delete(pre.key);
    }
  }

  /** An equation in which the parts of the loss are written out; null if that cannot be said. */
  function withoutInside(equation, depth = 0) {
    const written = (e) => {
      if (e.kind === "call") {
        const parts = e.arguments.map(written);
        return parts.includes(null) ? null : { ...e, arguments: parts };
      }
      if (!isValue(e) || !isInside(e.node)) return e;
      const inner = depth < 12 ? Chains.equation(Chains.keyOf(e)) : null;
      return inner ? (withoutInside(inner, depth + 1)?.right ?? null) : null;
    };
    const right = written(equation.right);
    return right && { ...equation, right };
  }

  /** An input that is only scaled is one box, with both numbers. */
  function mergeScaled(made) {
    const users = new Map();
    for (const neuron of made.values())
      for (const edge of neuron.edges) users.set(edge.from, [...(users.get(edge.from) || []), neuron]);
    for (const neuron of [...made.values()]) {
      if (neuron.edges.length !== 1 || neuron.biases.length || neuron.edges[0].weight) continue;
      const source = made.get(neuron.edges[0].from);
      if (!source || source.equation || nodeOf(source.q.node).role !== "input") continue;
      if (users.get(source.key).length !== 1 || ["loss", "example_loss"].includes(nodeOf(neuron.q.node).role))
        continue;
      neuron.raw = source.q;
      neuron.edges = [];
      made.delete(source.key);
    }
  }

  /** Columns: as far from the inputs as the longest path. Targets stand beside what they are compared with. */
  function place(made) {
    const order = [...made.values()].sort((a, b) => a.q.node - b.q.node || a.q.index - b.q.index);
    for (const neuron of order)
      for (const edge of neuron.edges) neuron.depth = Math.max(neuron.depth, made.get(edge.from).depth + 1);
    for (const neuron of order)
      if (!neuron.edges.length) {
        const depths = order
          .filter((other) => other.edges.some((edge) => edge.from === neuron.key))
          .map((other) => other.depth - 1);
        if (depths.length && nodeOf(neuron.q.node).role !== "input" && !neuron.raw) neuron.depth = Math.min(...depths);
      }
    const columns = [];
    for (const neuron of order) (columns[neuron.depth] ||= []).push(neuron);
    columns.forEach((column) =>
      column.forEach((neuron, row) => {
        neuron.row = row;
        neuron.rows = column.length;
      }),
    );
    made.columns = columns.length;
    made.rows = Math.max(...columns.map((column) => column.length));
  }

  /** How wide columns are: where weights stand on the edges there must be room for their numbers. */
  function columnShares() {
    const shares = Array.from({ length: neurons.columns }, () => 1);
    if (narrow()) return shares;
    for (const neuron of neurons.values()) if (neuron.edges.some((edge) => edge.weight)) shares[neuron.depth] = 1.5;
    return shares;
  }

  function drawNeurons() {
    const room = roomOf() || 600,
      shares = columnShares(),
      all = shares.reduce((sum, one) => sum + one, 0),
      step = Math.max(58, Math.min(170, (room - 16) / all)),
      isCompact = step < 92,
      radius = isCompact ? Math.min(24, step * 0.31) : 30;
    const gap = isCompact ? 78 : neurons.rows > 3 ? 106 : 138;
    neurons.letters = isCompact ? Math.floor((step - 4) / 6.1) : 18; // of a name
    const starts = shares.map((_, i) => shares.slice(0, i).reduce((sum, one) => sum + one, 0));
    const width = all * step + 8,
      height = neurons.rows * gap + 14;
    for (const neuron of neurons.values()) {
      neuron.x = (starts[neuron.depth] + shares[neuron.depth] - 0.5) * step + 4;
      neuron.y = height / 2 - 6 + (neuron.row - (neuron.rows - 1) / 2) * gap;
    }
    const svg = element("svg", {
      viewBox: `0 0 ${width} ${height}`,
      role: "group",
      class: `neurons ${isCompact ? "compact" : neurons.rows > 3 ? "many" : ""}`,
      "aria-label": "The network, from the inputs to the loss. Each neuron can be chosen.",
    });
    const edges = [...neurons.values()].flatMap((neuron) => neuron.edges);
    const weighted = edges.filter((edge) => edge.weight).length;
    const labels = weighted <= (isCompact ? 9 : MAX_LABELLED);
    const largest = Math.max(...edges.map((edge) => Math.abs(factorOf(edge))), 1e-12);
    const below = element("g"),
      above = element("g"),
      taken = [...neurons.values()].flatMap((neuron) => spaceOf(neuron, radius, isCompact));
    const flat = (edge) => Math.abs(neurons.get(edge.from).y - neurons.get(edge.into).y);
    for (const edge of edges.sort((a, b) => flat(a) - flat(b))) drawEdge(edge, below, above, largest, radius, labels, taken, isCompact);
    for (const neuron of neurons.values()) drawNeuron(neuron, above, radius);
    svg.append(below, above);
    svg.style.maxWidth = `${width * 1.1 * scale()}px`;
    svg.style.maxHeight = narrow() ? "33vh" : "calc(100vh - 19rem)";
    const focused = document.activeElement?.dataset?.knob;
    show(byId("drawing"), svg);
    if (focused) svg.querySelector(`[data-knob="${focused}"]`)?.focus();
  }

  /** The local derivative of the sum in a neuron with respect to what comes in along an edge. */
  function factorOf(edge) {
    const neuron = neurons.get(edge.into),
      equation = (neuron.pre || neuron).equation;
    return Chains.factor(equation, edge.from);
  }

  function drawEdge(edge, below, above, largest, radius, labels, taken, isCompact) {
    const a = neurons.get(edge.from),
      b = neurons.get(edge.into),
      value = factorOf(edge);
    const length = Math.hypot(b.x - a.x, b.y - a.y),
      dx = (b.x - a.x) / length,
      dy = (b.y - a.y) / length;
    const out = isRound(a)
      ? radius
      : Math.min(radius / Math.max(Math.abs(dx), 1e-9), 18 / Math.max(Math.abs(dy), 1e-9));
    const x1 = a.x + dx * out,
      y1 = a.y + dy * out,
      x2 = b.x - dx * radius,
      y2 = b.y - dy * radius;
    const group = element("g", {
      class: `edge ${Numbers.signClass(value)} ${Player.edgeClass(a, b, edge)}`,
      click: () => Chosen.edge(edge),
    });
    const title = edge.weight
      ? `${Numbers.nameText(edge.weight)} = ${Numbers.format(Live.number(edge.weight))}`
      : "";
    group.append(element("title", { text: title || `factor ${Numbers.format(value)}` }));
    const points = { x1, y1, x2, y2 };
    group.append(element("line", { class: "grip", ...points }));
    group.append(
      element("line", {
        class: "wire",
        ...points,
        "stroke-width": 1 + 5 * Math.sqrt(Math.abs(value) / largest),
        "stroke-dasharray": value < 0 ? "7 4" : null,
      }),
    );
    below.append(group);
    if (edge.weight && labels) {
      const text = labelText(edge.weight, isCompact);
      const isSmallText = isCompact || neurons.rows > 3;
      const size = {
        w: text.length * (isCompact ? 6.1 : isSmallText ? 6.8 : 7.4) + (isCompact ? 2 : 5),
        h: isSmallText ? 14 : 18,
      };
      if (isCompact && size.w > Math.hypot(x2 - x1, y2 - y1) + 4) return; // no room: a click on the edge says it
      const start = a.rows === 1 || b.rows === 1 ? 0.5 : b.rows > a.rows ? 0.72 : 0.3;
      const at = freePlace(taken, size, start, (t) => [x1 + (x2 - x1) * t, y1 + (y2 - y1) * t]);
      if (at) above.append(weightLabel(edge.weight, text, size, ...at));
    }
  }

  const isRound = (neuron) => Boolean(neuron.equation) && !neuron.raw;

  /** What a neuron with its texts covers, so that no number of an edge stands there. */
  function spaceOf(neuron, radius, isCompact) {
    const { x, y } = neuron,
      top = y - (isRound(neuron) ? radius : 18) - 11;
    const name = clip(labelOf(neuron.raw || neuron.q), neurons.letters).length * (isCompact ? 6 : 7.4);
    const texts = linesBelow(neuron, isCompact).map((parts) => parts.map(([, text]) => text).join("  "));
    const lines = Math.max(texts.length, 1),
      long = Math.max(...texts.map((text) => text.length * (isCompact ? 7 : 7.4)), 0);
    return [
      { x, y, w: 2 * radius, h: 2 * radius },
      { x, y: top, w: name, h: 14 },
      { x, y: y + radius + 3 + (heightOf(isCompact) / 2) * lines, w: long, h: 14 * lines },
    ];
  }

  /** Where along an edge a label meets no other; null if there is no such place. */
  function freePlace(taken, { w, h }, start, at) {
    const overlap = ([x, y]) =>
      taken.reduce(
        (sum, one) =>
          sum +
          Math.max(0, (w + one.w) / 2 - Math.abs(x - one.x)) * Math.max(0, (h + one.h) / 2 - Math.abs(y - one.y)),
        0,
      );
    const tried = Array.from({ length: 25 }, (_, i) => start + (i % 2 ? 1 : -1) * 0.04 * Math.ceil(i / 2));
    const inside = tried.filter((t) => t >= 0.1 && t <= 0.9).map(at);
    const best = inside.reduce((one, other) => (overlap(other) < overlap(one) - 1e-9 ? other : one));
    if (overlap(best) > MAX_OVERLAP) return null; // a click on the edge says the number
    taken.push({ x: best[0], y: best[1], w, h });
    return best;
  }

  function labelText(weight, isCompact) {
    const q = Player.shownOfWeight(weight),
      value = Live.number(q);
    return q.of === "gradient"
      ? `${Numbers.gradientSign()}${Numbers.format(value, 2)}`
      : Numbers.format(value, isCompact ? 2 : 3);
  }

  /** The number of a weight on its edge, on a plate of its own: a line through a number is misread. */
  function weightLabel(weight, text, { w, h }, x, y) {
    return element(
      "g",
      { class: `weight ${Player.shownOfWeight(weight).of}`, ...knobOf(weight, () => Chosen.weight(weight)) },
      element("rect", { x: x - w / 2, y: y - h / 2, width: w, height: h, rx: 4 }),
      element("text", { x, y: y + h / 4, text }),
    );
  }

  /** What makes a number one that can be dragged, and changed with the keys ↑ and ↓. */
  function knobOf(q, act) {
    const knob = Live.knobFor(q.node),
      name = Numbers.nameText(q);
    if (!knob) return { click: act };
    const start = Live.initial(knob.place, q.index),
      reach = Number.isFinite(start) ? Math.max(2 * Math.abs(start), 1) : 1;
    const now = Live.input(knob.place, q.index);
    const move = (by) => Live.set(knob.place, q.index, Number((now + by * reach).toPrecision(6)));
    return {
      tabindex: 0,
      role: "slider",
      "data-knob": `${knob.place}-${q.index}`,
      "aria-label": name,
      "aria-valuenow": now,
      "aria-valuetext": Numbers.format(now),
      pointerdown: (event) => drag(event, (by) => move(by / 200), act),
      keydown: (event) => {
        const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
        if (event.key === "Enter" || event.key === " ") act(event);
        else if (way) move(way / 40);
        else return;
        event.preventDefault();
        event.stopPropagation();
      },
    };
  }

  /** Follows the pointer until it is let go; what did not move was a click. The drawing is made anew
      while it lasts, so the window listens. */
  function drag(event, move, act) {
    event.preventDefault();
    const from = event.clientY - event.clientX;
    let moved = false;
    const go = (next) => {
      const by = from - (next.clientY - next.clientX);
      if (!moved && Math.abs(by) < 4) return;
      moved = true;
      move(by);
    };
    const end = () => {
      removeEventListener("pointermove", go);
      removeEventListener("pointerup", end);
      removeEventListener("pointercancel", end);
      if (!moved) act(event);
    };
    addEventListener("pointermove", go);
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
  }

  const short = (value) => Numbers.format(value, 3);
  const signed = (value) => (value < 0 ? `${Numbers.MINUS} ${short(-value)}` : `+ ${short(value)}`);

  function drawNeuron(neuron, above, radius) {
    const { q, x, y } = neuron,
      node = nodeOf(q.node),
      isCompact = radius < 26;
    const known = Player.isKnown("value", q.node) || !neuron.equation;
    const value = Live.number(q),
      label = labelOf(neuron.raw || q);
    const act = () => Chosen.element(q, neuron);
    const movable = neuron.raw || (neuron.equation ? null : q);
    const handle = movable && Live.knobFor(movable.node) ? knobOf(movable, act) : null;
    const group = element("g", {
      class: `neuron ${node.role} ${Player.nodeClass(neuron)} ${known && !Number.isFinite(value) ? "bad" : ""} ${handle ? "knob" : ""}`,
      tabindex: 0,
      role: "button",
      "aria-label": `${label}${known ? `, value ${Numbers.format(value)}` : ", not computed yet"}`,
      click: act,
      keydown: activate(act),
      ...(handle ? { ...handle, click: null, "aria-label": label } : {}),
    });
    group.append(
      isRound(neuron)
        ? element("circle", { cx: x, cy: y, r: radius })
        : element("rect", { x: x - radius, y: y - 18, width: 2 * radius, height: 36, rx: 6 }),
    );
    const write = (text, kind, top, more = {}) => group.appendChild(element("text", { class: kind, x, y: top, text, ...more }));
    const number = (one) =>
      Player.isKnown("value", one.node) || !Chains.equation(Chains.keyOf(one))
        ? Numbers.format(Live.number(one), isCompact ? 2 : 3)
        : "?";
    const pair = neuron.pre ? [neuron.pre.q, q] : neuron.raw ? [neuron.raw, q] : null;
    if (pair) {
      group.append(element("line", { class: "halves", x1: x - radius, x2: x + radius, y1: y, y2: y }));
      write(number(pair[0]), "half pre", y - 5);
      write(number(pair[1]), "half", y + 15);
    } else {
      const text = number(q);
      write(text, text.length > 5 ? "number long" : "number", y + 5);
    }
    write(clip(label, neurons.letters), "label", y - (isRound(neuron) ? radius : 18) - 6);
    below(neuron, write, y + (isRound(neuron) ? radius : 18) + (isCompact ? 11 : 13), isCompact);
    above.append(group);
  }

  /** What stands under a neuron, line by line, as [kind, text] beside each other: its bias, its
      probability, its gradients. Where there is little room, later numbers take the place of earlier ones. */
  function linesBelow(neuron, isCompact) {
    const [weight] = neuron.biases,
      gradients = gradientsOf(neuron, isCompact).map((text) => ["gradient", text]);
    const now = weight && Player.shownOfWeight(weight);
    const text =
      now && (now.of === "gradient" ? `${Numbers.gradientSign()}b ${short(Live.number(now))}` : signed(Live.number(now)));
    const found = explanation.error.probabilities.find(
      ({ left }) => left.node === neuron.q.node && left.index === neuron.q.index,
    );
    const isKnown = found && Player.isKnown("value", explanation.error.node);
    const bias = weight ? [["bias bias-knob", text]] : [],
      p = isKnown ? [["bias", `p ${short(Live.number(found.left))}`]] : [];
    if (isCompact) return [gradients.slice(-1), p, bias].filter((line) => line.length).slice(0, 1);
    const others = neurons.rows > 3 ? [[...p, ...gradients]] : [p, ...gradients.map((one) => [one])];
    return [bias, ...others].filter((line) => line.length);
  }

  const heightOf = (isCompact) => (isCompact ? 11 : neurons.rows > 3 ? 13 : 14);

  function below(neuron, write, top, isCompact) {
    linesBelow(neuron, isCompact).forEach((line, i) => {
      const y = top + i * heightOf(isCompact);
      if (line.length === 1) return write(line[0][1], line[0][0], y, line[0][0].includes("knob") ? biasKnob(neuron) : {});
      const parts = line.map(([kind, text], k) => element("tspan", { class: kind, text: k ? `\u2002${text}` : text }));
      write("", "row", y).append(...parts);
    });
  }

  function biasKnob({ biases: [bias] }) {
    const handle = knobOf(bias, () => Chosen.weight(bias));
    const pointerdown = (event) => {
      event.stopPropagation();
      handle.pointerdown?.(event);
    };
    return { ...handle, pointerdown, click: (event) => event.stopPropagation() };
  }

  /** The gradients of a neuron that are known by now: of its sum, and of its activation. */
  function gradientsOf(neuron, isCompact) {
    const gradient = (one, name) => {
      const sign = Numbers.isDelta(nodeOf(one.node).symbol) ? "δ" : Numbers.gradientSign();
      const found = Player.isKnown("gradient", one.node) ? Live.number({ ...one, of: "gradient" }) : null;
      const start = isCompact ? sign : `${sign}${sign === "δ" ? "" : name} `;
      return found === null ? [] : [`${start}${Numbers.format(found, 2)}`];
    };
    return neuron.pre ? [...gradient(neuron.pre.q, "z"), ...gradient(neuron.q, "a")] : gradient(neuron.q, "");
  }

  const clip = (text, length) => (text.length > length ? text.slice(0, length - 1) + "…" : text);
  const activate = (act) => (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act(event);
  };

  /** What an element is called: the column of a table, or its symbol. */
  function labelOf(q) {
    const names = explanation.labels[q.symbol],
      width = nodeOf(q.node).value.shape.at(-1) || 1;
    return (names && names[q.index % width]) || Numbers.nameText(q);
  }

  /** The place of an element as it is said: where there is but one example, without its number. */
  function drawnPlace(q) {
    const place = q.place || [],
      isOne = examples === 1 && isSmall && place.length > 1;
    return isOne && q.node !== null && !isLearned(q.node) && nodeOf(q.node).value.shape[0] === 1
      ? place.slice(1)
      : place;
  }

  // ---- boxes ---------------------------------------------------------------------------------

  /** Layers that are closed, and the shown nodes of those that are open, in forward order. */
  function units() {
    const made = [],
      of = new Map(),
      closedUnits = new Map();
    const layers = explanation.layers.map((layer, i) => ({ layer, i }));
    const home = new Map(layers.flatMap(({ layer, i }) => layer.nodes.map((id) => [id, i])));
    const quiet = (node) => !node.shown || ["parameter", "constant", "buffer"].includes(node.role);
    for (const node of explanation.nodes) {
      const i = home.get(node.id),
        layer = i === undefined ? null : explanation.layers[i];
      const closed = layer && layer.path && !opened.has(i);
      if (closed) {
        let unit = closedUnits.get(i);
        if (!unit) closedUnits.set(i, (unit = { layer: i, nodes: [], title: layer.path, sub: layer.title }));
        unit.nodes.push(node.id);
        of.set(node.id, unit);
        if (!quiet(node)) {
          // a layer stands where its last node does
          if (made.includes(unit)) made.splice(made.indexOf(unit), 1);
          made.push(unit);
        }
      } else if (!quiet(node)) {
        const unit = {
          node: node.id,
          nodes: [node.id],
          layer: i,
          title: node.symbol,
          sub: TITLES[node.role] || node.title,
          inLayer: layer && layer.path ? i : null,
        };
        made.push(unit);
        of.set(node.id, unit);
      }
    }
    const links = new Map();
    const sources = (id, seen = new Set()) =>
      nodeOf(id).inputs.flatMap((source) => {
        if (of.has(source)) return [[source, id]];
        if (seen.has(source)) return [];
        seen.add(source);
        return sources(source, seen).map(([from]) => [from, id]);
      });
    for (const unit of made)
      for (const id of unit.nodes)
        for (const [from] of sources(id))
          if (of.get(from) !== unit && made.includes(of.get(from)))
            links.set(`${made.indexOf(of.get(from))}-${made.indexOf(unit)}`, {
              from: of.get(from),
              into: unit,
              source: from,
              consumer: id,
            });
    return { made, links: [...links.values()] };
  }

  function drawBoxes() {
    const { made, links } = units();
    const width = Math.max(300, Math.min(roomOf() || 420, 460)),
      high = 56,
      gap = 26;
    const left = 34,
      right = width - 12;
    made.forEach((unit, i) => {
      unit.y = 10 + i * (high + gap);
    });
    const height = made.length * (high + gap) + 4;
    const svg = element("svg", {
      viewBox: `0 0 ${width} ${height}`,
      role: "group",
      class: "boxes",
      "aria-label": "The network as boxes, from the input at the top to the loss. Layers can be opened.",
    });
    for (const link of links) svg.append(drawLink(link, made, left, right, high));
    for (const unit of made) svg.append(drawBox(unit, left, right, high));
    svg.style.width = "100%";
    svg.style.maxWidth = `${width * scale()}px`;
    show(byId("drawing"), element("div", { class: "scroller", tabindex: -1 }, svg));
    const current = svg.querySelector(".current");
    if (current) {
      const pane = byId("drawing").firstChild,
        top = current.getBBox().y * (svg.clientWidth / width);
      pane.scrollTop = Math.max(0, top - pane.clientHeight / 2);
    }
  }

  function drawLink(link, made, left, right, high) {
    const a = link.from,
      b = link.into,
      distance = made.indexOf(b) - made.indexOf(a);
    const middle = (left + right) / 2,
      bend = left - 6 - 9 * Math.min(4, Math.abs(distance));
    const d =
      distance === 1
        ? `M ${middle} ${a.y + high} L ${middle} ${b.y}`
        : `M ${left} ${a.y + high / 2} C ${bend} ${a.y + high / 2} ${bend} ${b.y + high / 2} ${left} ${b.y + high / 2}`;
    const end = distance === 1 ? [middle, b.y, 0] : [left, b.y + high / 2, -90];
    const group = element("g", { class: `edge ${Player.linkClass(link)}`, click: () => Chosen.link(link) });
    group.append(
      element("title", { text: `from ${a.title} to ${b.title}` }),
      element("path", { class: "grip", d }),
      element("path", { class: "wire", d, "stroke-width": 2 }),
      element("path", {
        class: "head",
        d: "M -5 -8 L 0 0 L 5 -8",
        transform: `translate(${end[0]} ${end[1]}) rotate(${end[2]})`,
      }),
    );
    return group;
  }

  /** What a layer computes last; what only moves numbers about has no step of its own. */
  function lastShown(layer) {
    const shown = layer.nodes.map(nodeOf).filter((node) => node.shown && node.role !== "parameter");
    return shown.at(-1) ?? nodeOf(layer.result);
  }

  /** How large the numbers of a node and of its gradient are, as far as the steps have come. */
  function sizesOf(node) {
    const size = (kind) => {
      const values = kind === "value" ? node.value : node.gradient;
      if (!values || !Player.isKnown(kind, node.id)) return null;
      return Numbers.format(Live.sizeOf(kind, node.id) ?? Numbers.parse(values.rms), 2);
    };
    const value = size("value"),
      gradient = size("gradient");
    return [value, gradient === null ? null : `${Numbers.gradientSign()} ${gradient}`]
      .filter((one) => one !== null)
      .join("\u2003");
  }

  function drawBox(unit, left, right, high) {
    const isLayer = unit.node === undefined,
      layer = isLayer ? explanation.layers[unit.layer] : null;
    const act = () => (isLayer ? Chosen.layer(unit.layer) : Chosen.node(unit.node));
    const indent = unit.inLayer !== null && unit.inLayer !== undefined && !isLayer ? 14 : 0;
    const result = nodeOf(isLayer ? layer.result : unit.node);
    const group = element("g", {
      class: `box ${isLayer ? "layer" : result.role} ${Player.boxClass(unit)}`,
      tabindex: 0,
      role: "button",
      "aria-label": `${unit.title}, ${unit.sub}`,
      click: act,
      keydown: activate(act),
    });
    const shape = result.value.shape.length ? result.value.shape.join(" × ") : "one number";
    group.append(
      element("rect", { x: left + indent, y: unit.y, width: right - left - indent, height: high, rx: 8 }),
      element("text", {
        class: "label",
        x: left + indent + 12,
        y: unit.y + 23,
        text: clip(unit.title || "–", 32),
      }),
      element("text", {
        class: "sub",
        x: left + indent + 12,
        y: unit.y + 43,
        text: `${clip(unit.sub, 47 - shape.length)} → ${shape}`,
      }),
      element("text", {
        class: "sizes",
        x: right - (isLayer || indent ? 46 : 12),
        y: unit.y + 23,
        text: sizesOf(isLayer ? lastShown(layer) : result),
      }),
    );
    if (isLayer || indent) {
      const i = unit.layer,
        flip = (event) => {
          event.stopPropagation();
          opened.has(i) ? opened.delete(i) : opened.add(i);
          draw();
        };
      group.append(
        element(
          "g",
          {
            class: "toggle",
            role: "button",
            tabindex: 0,
            click: flip,
            keydown: activate(flip),
            "aria-label": isLayer ? `Open ${unit.title}` : `Close ${explanation.layers[i].path}`,
          },
          element("rect", { x: right - 36, y: unit.y + 12, width: 28, height: 28, rx: 6 }),
          element("text", { x: right - 22, y: unit.y + 32, text: isLayer ? "+" : "–" }),
        ),
      );
    }
    return group;
  }

  function draw() {
    byId("legend-neurons").hidden = !isSmall;
    byId("legend-boxes").hidden = isSmall;
    if (isSmall) drawNeurons();
    else drawBoxes();
  }

  return {
    setup,
    draw,
    isDrawn,
    isInside,
    examples: () => examples,
    labelOf,
    drawnPlace,
    isSmall: () => isSmall,
    neurons: () => neurons,
    open: (i) => {
      opened.add(i);
      draw();
    },
  };
})();
