/* What stands beside and below the drawing: equations, the chosen thing, losses, sliders, the flow
   of the gradient, layers. */
const Panels = (() => {
  const { format, nameNode, nameText } = Numbers;

  // ---- equations -----------------------------------------------------------------------------

  /** left = names = numbers = result. */
  function equation({ left, right, note }, digits = 6) {
    const numberOf = Live.within(left, right);
    const isLone = right.kind !== "call";
    const written = (q, alone) => {
      const text = format(q.of === "number" ? Numbers.parse(q.value) : numberOf(q), digits);
      return alone || !(text.startsWith(Numbers.MINUS) || text.includes("·")) ? text : `(${text})`;
    };
    const named = (q, alone) => (q.of === "number" ? written(q, alone) : q.of === "rest" ? element("i", { text: q.symbol }) : link(q));
    const lines = [line("=", Numbers.write(right, named), "names")];
    if (!isLone) lines.push(line("=", Numbers.write(right, written), "numbers"));
    lines.push(line("=", [element("b", { text: format(Live.number(left), digits) })], "result"));
    const isLong = nameText(left).length > 14;
    return element("div", { class: isLong ? "equation stacked" : "equation", "data-left": nameText(left) },
      element("div", { class: "left" }, link(left)), element("div", { class: "lines" }, lines),
      note && !note.startsWith("time step") ? element("p", { class: "note", text: note }) : null);
  }

  const line = (sign, content, kind) =>
    element("div", { class: kind }, element("span", { class: "sign", text: sign }), " ",
      element("span", { class: "right" }, content));

  /** The name of an element; a click shows it. */
  function link(q) {
    const made = nameNode(q);
    if (q.node !== null && q.node !== undefined) {
      made.classList.add("link");
      made.addEventListener("click", () => Chosen.quantity(q));
    }
    return made;
  }

  /** Equations, the first few at once and the rest on demand; first those of the drawn example. */
  function equations(all, few = 6) {
    const isFirst = ({ left }) => Network.isSmall() && Network.isDrawn(left);
    const list = [...all.filter(isFirst), ...all.filter((one) => !isFirst(one))];
    const made = list.slice(0, few).map((one) => equation(one));
    if (list.length > few)
      made.push(later(`${list.length - few} more`, () => list.slice(few).map((one) => equation(one))));
    return made;
  }

  /** Something that is made when it is opened. */
  function later(title, make) {
    const box = element("details", { toggle: () => {
      if (box.open && box.childElementCount === 1) box.append(...[make()].flat(Infinity).filter(Boolean));
    } }, element("summary", { text: title }));
    return box;
  }

  const facts = (rows) => element("dl", {}, rows.filter(Boolean).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value))));

  // ---- losses --------------------------------------------------------------------------------

  function losses() {
    const { loss, predicted, after } = Live.losses();
    const finite = [loss, after, predicted].filter(Number.isFinite), top = Math.max(...finite, 0) || 1;
    const row = (name, value, kind, hint) => {
      const bar = element("span", { class: `fill ${kind}` });
      bar.style.width = `${Number.isFinite(value) ? Math.max(0, Math.min(100, (100 * value) / top)) : 0}%`;
      return element("div", { class: "loss" }, element("span", { class: "what", text: name, title: hint }),
        element("span", { class: "track" }, bar), element("b", { id: `loss-${kind}`, text: format(value) }));
    };
    const fall = (loss - after) / Math.abs(loss);
    const words = finite.length < 3 ? "A number is not finite: step through to find where it begins." : !Number.isFinite(fall) ? "" : fall > 0
      ? `One step lowers the loss by ${format(100 * fall, 3)} %.`
      : fall < 0 ? "This step makes the loss larger: the learning rate is too high for it." : "This step changes nothing.";
    show(byId("losses"), element("h2", { text: "Does the step help?" }),
      row("Loss before the step", loss, "before", "the loss with the present weights"),
      row("What the slopes promise", predicted, "promised", "L + Σ slope · change: right for tiny steps"),
      row("Loss after the step", after, "after", "the loss of the same examples with the new weights"),
      element("p", { class: "note", role: "status", text: words }),
      predicted < 0 && loss >= 0 && after >= 0 ? element("p", { class: "note", text: "The slopes promise less than 0, which cannot be: the step is so long that the slopes change on the way." }) : null);
  }

  // ---- sliders -------------------------------------------------------------------------------

  const MAX_SLIDERS = 40;

  function sliders() {
    const place = byId("try");
    if (!Live.canRun()) {
      show(place, element("h2", { id: "try-title", text: "Try it yourself" }), element("p", { class: "note",
        text: "This network is too large to be computed again in the page, so it has no sliders." }));
      return;
    }
    const groups = { input: [], target: [], parameter: [] };
    for (const knob of Live.knobs())
      for (let index = 0; index < knob.size; index++) groups[knob.role].push([knob, index]);
    const rows = (kind) => groups[kind].slice(0, MAX_SLIDERS).map(([knob, index]) => slider(knob, index));
    const inputs = groups.input.length + groups.target.length;
    const box = (name, open, kind) => {
      if (!groups[kind].length) return null;
      if (groups[kind].length > MAX_SLIDERS)
        return element("p", { class: "note", text: `${name}: ${groups[kind].length} numbers; click one in the drawing or in an equation to get its slider.` });
      return element("details", { open }, element("summary", { text: name }), element("div", { class: "sliders" }, rows(kind)));
    };
    show(place, element("h2", { id: "try-title", text: "Try it yourself" }),
      element("p", { class: "note", text: "Move a slider: every number on this page is computed again, here, with all digits." }),
      Live.hasRate() ? element("div", { class: "sliders" }, rateSlider()) : null,
      box("Inputs", inputs <= 12, "input"), box("Targets: what should come out", inputs <= 12, "target"),
      box("Weights", groups.parameter.length <= 12, "parameter"),
      element("div", { class: "actions" },
        [1, 10, 100].map((times) => element("button", { type: "button", class: "step-button",
          text: times === 1 ? "Take the step" : `${times} steps`, click: () => Live.takeSteps(times) })),
        element("button", { type: "button", id: "reset", text: "Back to the start", click: () => Live.reset() })),
      element("div", { id: "curve" }));
  }

  /** The slider of one element of an input of the graph. */
  function slider({ place, node, role }, index, prefix = "") {
    const start = Live.initial(place, index), reach = Number.isFinite(start) ? Math.max(2 * Math.abs(start), 1) : 1;
    return track(`${prefix}knob-${place}-${index}`, knobName(node, role, index), -reach, reach,
      () => Live.input(place, index), (value) => Live.set(place, index, value));
  }

  const rateSlider = () => track("knob-rate", "learning rate", 0, Math.max(4 * Live.rate(), 1e-9), Live.rate, Live.setRate);

  const asInput = (value) => (Number.isFinite(value) ? value : "");

  /** A slider with its number. */
  function track(id, name, low, high, now, set) {
    const range = element("input", { type: "range", id, min: low, max: high, step: "any",
      "aria-valuetext": format(now()), input: (event) => change(Number(event.target.value), number) });
    const number = element("input", { type: "number", step: "any", "aria-label": `${name}, as a number`,
      value: asInput(now()), change: (event) => { if (event.target.value !== "") change(Number(event.target.value), range); } });
    range.value = asInput(now());
    const change = (value, other) => {
      if (!Number.isFinite(value)) return;
      other.value = value;
      range.setAttribute("aria-valuetext", format(value));
      set(value);
    };
    // Arrow keys of a range whose step is "any" move by a hundredth of it.
    range.addEventListener("keydown", (event) => {
      const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!way) return;
      event.preventDefault();
      range.value = Number(range.value) + (way * (high - low)) / 100;
      change(Number(range.value), number);
    });
    Live.follow(() => {
      if (document.activeElement !== range) range.value = asInput(now());
      if (document.activeElement !== number) number.value = asInput(Number(now().toPrecision(8)));
    }, range);
    return element("div", { class: "slider" }, element("label", { for: id, text: name }), range, number);
  }

  function knobName(node, role, index) {
    const q = Live.quantity(node, index);
    return role === "parameter" || Network.examples() > 1 ? nameText(q) : Network.labelOf(q);
  }

  /** The falling loss of the steps that were taken. */
  function curve() {
    const place = byId("curve"), history = Live.history();
    if (!place) return;
    if (history.length < 2) { show(place); return; }
    const width = 600, height = 120, top = Math.max(...history.filter(Number.isFinite), 1e-300);
    const points = history.map((loss, i) =>
      `${8 + ((width - 16) * i) / (history.length - 1)},${height - 8 - ((height - 16) * loss) / top}`);
    show(place, element("p", { class: "note", text: `Loss over ${history.length - 1} steps: from ${format(history[0])} to ${format(history.at(-1))}` }),
      element("svg", { viewBox: `0 0 ${width} ${height}`, class: "curve", role: "img",
        "aria-label": `The loss over ${history.length - 1} steps, from ${format(history[0])} to ${format(history.at(-1))}` },
        element("path", { d: `M ${points.join(" L ")}` })));
  }

  // ---- flow of the gradient ------------------------------------------------------------------

  function flow(explanation) {
    const rows = explanation.layers.filter((layer) => layer.path && layer.path !== "loss").map((layer) => [layer, Live.sizes(layer)]);
    if (!rows.length) { show(byId("flow")); return; }
    const all = rows.flatMap(([, sizes]) => Object.values(sizes)).filter((v) => v > 0 && Number.isFinite(v));
    const low = Math.floor(Math.log10(Math.min(...all, 1)) - 0.2), high = Math.ceil(Math.log10(Math.max(...all, 1e-300)));
    const bar = (kind, name, value) => {
      if (value === null || value === undefined) return element("div");
      const fill = element("span", { class: `fill ${kind}` });
      const share = value > 0 ? (Math.log10(value) - low) / Math.max(high - low, 1) : 0;
      fill.style.width = `${Math.max(0, Math.min(1, Number.isNaN(share) ? 1 : share)) * 100}%`;
      return element("div", { class: "flow-bar" }, element("span", { class: "what", text: name }),
        element("span", { class: "track" }, fill), element("span", { class: "digits", text: format(value, 3) }));
    };
    const said = new Set(explanation.flow.map(([path]) => path));
    show(byId("flow"), element("h2", { text: "How strongly the gradient flows" }),
      element("p", { class: "note", text: "For each layer, from the input to the loss, the size of a typical number. The bars are logarithmic: equal lengths are equal ratios. "
        + "If the gradient shrinks a lot towards the input (it vanishes), the first layers hardly learn; if it grows (it explodes), they are thrown about." }),
      element("div", { class: "flow-table" }, ["Layer", "Output", "Gradient", "Change of the weights"].map((text) => element("div", { class: "head", text })),
        rows.map(([layer, sizes]) => [element("div", { class: "flow-name" }, said.has(layer.path) ? "⚠ " : "", layer.path, element("small", { text: layer.title })),
          bar("activation", "output", sizes.activation), bar("slope", "gradient", sizes.gradient),
          bar("update", "change", sizes.update),
        ])), explanation.flow.length ? element("ul", { class: "warnings" }, explanation.flow.slice(0, 12).map(([path, text]) =>
        element("li", { class: "warning", text: `${path}: ${text}` }))) : null);
  }

  // ---- layers --------------------------------------------------------------------------------

  function layers(explanation) {
    const boxes = explanation.layers.map((layer, i) => later(
      `${layer.path || "outside of layers"}  ${layer.title}  ${layer.parameters ? `${Numbers.count(layer.parameters)} weights` : ""}`,
      () => layerTable(explanation, i)));
    show(byId("layers"), element("h2", { text: "All numbers, layer by layer" }), boxes);
  }

  function layerTable(explanation, i) {
    const updates = new Map(explanation.update.parameters.map((one) => [one.node, one]));
    return explanation.layers[i].nodes.map((id) => explanation.nodes[id]).filter((node) => node.shown)
      .map((node) => element("div", { class: "node-row" },
        element("h4", {}, element("button", { type: "button", class: "plain", text: node.symbol, click: () => Chosen.node(node.id) }),
          element("small", { text: ` ${node.title}` })),
        statistics("value", node.value), node.gradient ? statistics("gradient", node.gradient) : null,
        updates.has(node.id) ? statistics("change", updates.get(node.id).change) : null));
  }

  function statistics(name, values) {
    const shape = values.shape.length ? values.shape.join(" × ") : "one number";
    const text = values.shape.length
      ? `${shape}: size ${format(Numbers.parse(values.rms), 3)}, mean ${format(Numbers.parse(values.mean), 3)}, from ${format(Numbers.parse(values.low), 3)} to ${format(Numbers.parse(values.high), 3)}`
        + (values.zeros ? `, ${format(100 * values.zeros, 3)} % zeros` : "") + (values.bad ? `, ${values.bad} not a number or infinite` : "")
      : format(values.data ? Numbers.parse(values.data[0]) : Numbers.parse(values.mean));
    return element("div", { class: "statistics" }, element("span", { class: "what", text: name }),
      histogram(values), element("span", { text }));
  }

  function histogram(values) {
    const bins = values.histogram;
    if (!bins.length) return null;
    const top = Math.max(...bins, 1), width = 6;
    const low = format(Numbers.parse(values.low), 3), high = format(Numbers.parse(values.high), 3);
    return element("svg", { class: "histogram", viewBox: `0 0 ${bins.length * width} 34`, role: "img",
      "aria-label": `Histogram of ${bins.length} bins from ${low} to ${high}` },
      bins.map((count, i) => element("rect", { x: i * width, width: width - 1, y: 34 - (33 * count) / top - (count ? 1 : 0),
        height: (33 * count) / top + (count ? 1 : 0) })));
  }

  function notes(explanation) {
    show(byId("notes"), explanation.notes.length ? [element("h2", { text: "Notes" }),
      element("ul", {}, explanation.notes.map((text) => element("li", { text })))] : null);
  }

  return { equation, equations, link, later, facts, losses, sliders, slider, curve, flow, layers, statistics, notes };
})();

/* What was clicked: its arithmetic, its factors, its chain. */
const Chosen = (() => {
  const { format, nameText } = Numbers;
  let explanation, again = null, cameFrom = null;

  const nodeOf = (id) => explanation.nodes[id];
  const closer = () => element("button", { type: "button", class: "close", "aria-label": "Close", text: "✕", click: close });

  /** Shows something, and brings keyboard and screen reader there. */
  function present(make, slider = null) {
    const place = byId("chosen"), content = element("div");
    if (!place.contains(document.activeElement)) cameFrom = document.activeElement;
    again = () => show(content, make()); // without the slider, which is being dragged perhaps
    again();
    show(place, closer(), content, slider);
    place.focus({ preventScroll: true });
    place.scrollIntoView({ block: "nearest", behavior: Player.motion() });
  }

  function close() {
    again = null;
    show(byId("chosen"));
    if (cameFrom && cameFrom.isConnected) cameFrom.focus({ preventScroll: true });
  }

  /** After the numbers have changed. */
  const refresh = () => { if (again) again(); };
  const title = (...text) => element("h2", {}, text);
  const said = (text) => (text ? element("p", { class: "note", text }) : null);

  function quantity(q) {
    if (nodeOf(q.node).role === "parameter") weight(q);
    else if (q.of === "value" || q.of === "gradient") element_({ ...q, of: "value" });
  }

  /** One number of the network: how it came about, what flows back to it. */
  function element_(q, neuron) {
    const parts = neuron && neuron.pre ? [neuron.pre.q, q] : [q];
    present(() => [title(Network.labelOf(q), ": ", Player.wordOf(nodeOf(q.node))),
      parts.map((part) => about(part)), neuron ? incoming(neuron) : null], knob(q));
  }

  function about(q) {
    const node = nodeOf(q.node), at = ({ left }) => left.index === q.index;
    const forward = node.forward.filter(at), backward = node.backward.filter(at);
    const key = Chains.keyOf(q), users = Chains.users(key);
    return [
      forward.length ? [element("h3", { text: "Forward: how it is computed" }), Panels.equations(forward)]
        : Panels.facts([[nameText(q), format(Live.number(q))]]),
      backward.length ? [element("h3", { text: "Backward: how the loss changes with it" }), Panels.equations(backward)] : null,
      users.length ? [element("h3", { text: "Where it goes, and with which factor" }), factors(key, users)] : null,
      node.c ? Panels.later("The same in C", () => element("pre", { text: node.c })) : null,
    ];
  }

  /** For each use of an element its local derivative. */
  function factors(key, users) {
    return element("table", {}, element("thead", {}, element("tr", {}, ["into", "factor (local slope)", "× what arrives there", "= its share"].map((text) => element("th", { scope: "col", text })))),
      element("tbody", {}, users.slice(0, 12).map((equation) => {
        const slope = Chains.factor(equation, key), upstream = Live.number({ ...equation.left, of: "gradient" });
        return element("tr", {}, element("td", {}, Panels.link(equation.left)), element("td", { text: format(slope) }),
          element("td", { text: format(upstream) }), element("td", { text: format(upstream === null ? null : slope * upstream) }));
      })));
  }

  function incoming(neuron) {
    const weights = [...neuron.edges.map((edge) => edge.weight), ...neuron.biases].filter(Boolean);
    if (!weights.length) return null;
    return [element("h3", { text: "Its weights" }), element("p", { class: "buttons" }, weights.map((q) =>
      element("button", { type: "button", click: () => weight(q), text: `${nameText(q)} = ${format(Live.number(q), 4)}` })))];
  }

  function knob(q) {
    const found = Live.knobFor(q.node);
    return found ? element("div", { class: "sliders" }, Panels.slider(found, q.index, "chosen-")) : null;
  }

  function edge(one) {
    present(() => {
      const neuron = Network.neurons().get(one.into), equation = (neuron.pre || neuron).equation;
      return [title("Edge: from ", Network.labelOf(one.q), " to ", nameText(equation.left)),
        said("The factor of an edge is the slope of what comes out by what goes in: by how much the result changes when the input changes by 1."),
        Panels.equation(equation), factors(one.from, [equation]),
        one.weight ? element("p", {}, element("button", { type: "button", click: () => weight(one.weight), text: `The weight of this edge: ${nameText(one.weight)}` })) : null];
    });
  }

  // ---- a weight: the whole chain -------------------------------------------------------------

  function weight(quantity_) {
    const q = { ...quantity_, of: "value" };
    present(() => {
      const node = nodeOf(q.node), gradient = Live.number({ ...q, of: "gradient" });
      const at = ({ left }) => left.index === q.index;
      const update = explanation.update.parameters.find((one) => one.node === q.node);
      return [title("Weight ", nameText(q)),
        Panels.facts([["value", format(Live.number(q))], ["slope ∂L/∂w", format(gradient)],
          update ? ["after the step", format(Live.number({ ...q, of: "new" }))] : null]),
        chain(q, gradient),
        Panels.later("As training computes it", () => Panels.equations(node.backward.filter(at))),
        update ? [element("h3", { text: "Update" }), Panels.equations(update.equations.filter(at))] : null];
    }, knob(q));
  }

  function chain(q, gradient) {
    const told = explanation.chains.find((one) => one.weight.node === q.node && one.weight.index === q.index);
    const key = Chains.keyOf(q), own = Chains.toLoss(key);
    if (own.count && (gradient === null || Math.abs(own.slope - gradient) <= 1e-9 * Math.max(1e-9, Math.abs(gradient))))
      return pathList(q, own.count, gradient, Chains.paths(key).map((path) => ({ product: path.product,
        factors: path.links.map((link) => ({ upper: link.equation.left, lower: lowerOf(link), value: link.value })) })));
    if (told && !Live.isChanged()) return pathList(q, told.count, gradient, told.paths, told.rest);
    return said("The whole chain of this weight is not in the page; chainrule explain --weight writes it.");
  }

  const lowerOf = (link) => Numbers.quantities(link.equation.right).find((one) => Chains.keyOf(one) === link.from);

  /** Every way from the weight to the loss: the product of its factors; then the sum. */
  function pathList(q, count, gradient, paths, rest) {
    const shown = paths.slice(0, 8), others = paths.slice(8).reduce((sum, path) => sum + path.product, rest || 0);
    const all = shown.length < count;
    const from = (path) => [...path.factors].reverse(); // as it is written: from the loss back
    const fraction = (factor) => element("span", { class: "fraction" },
      element("span", {}, "∂", Numbers.nameNode({ ...factor.upper, of: "value" })),
      element("span", {}, "∂", Numbers.nameNode({ ...factor.lower, of: "value" })));
    const times = (items) => items.flatMap((item, i) => (i ? [" · ", item] : [item]));
    const signed = (v) => (v < 0 ? `(${format(v)})` : format(v));
    return [element("h3", { text: count > 1 ? `The chain: ${Numbers.count(count)} ways from this weight to the loss` : "The chain from this weight to the loss" }),
      said(count > 1 ? "Along each way the slopes multiply; the ways add up." : "Along the way the slopes multiply."),
      element("ol", { class: "paths" }, shown.map((path) => element("li", {},
        element("div", { class: "names" }, times(from(path).map(fraction))),
        element("div", { class: "numbers" }, "= ", times(from(path).map((factor) => signed(Numbers.parse(factor.value))))),
        element("div", { class: "result" }, "= ", element("b", { text: format(Numbers.parse(path.product)) }))))),
      all && others ? said(`All other ways together: ${format(others)}`) : null,
      element("p", { class: "sum" }, count > 1 ? "Sum of all ways: " : "So ", Numbers.nameNode({ ...q, of: "gradient" }), " = ",
        element("b", { id: "chain-sum", text: format(gradient) }))];
  }

  // ---- boxes ---------------------------------------------------------------------------------

  function node(id) {
    const one = nodeOf(id);
    present(() => [title(one.symbol || one.op, ": ", Player.wordOf(one)), said(one.formula),
      one.line ? Panels.facts([["line", one.line]]) : null,
      Panels.statistics("value", one.value), one.gradient ? Panels.statistics("gradient", one.gradient) : null,
      Pictures.of(one),
      one.forward.length ? [element("h3", { text: "Forward" }), Panels.equations(one.forward, 3)] : null,
      one.backward.length ? [element("h3", { text: "Backward" }), Panels.equations(one.backward, 3)] : null,
      contributions(one), one.c ? Panels.later("The same in C", () => element("pre", { text: one.c })) : null]);
  }

  /** What each consumer sends back to a node. */
  function contributions(one, only = null) {
    const list = one.contributions.filter((part) => only === null || part.consumer === only);
    if (!list.length) return null;
    return [element("h3", { text: list.length > 1 ? "Paths meet here: their gradients add" : "What flows back to it" }),
      list.map((part) => element("div", { class: "contribution" },
        element("p", {}, "from ", element("b", { text: nodeOf(part.consumer).symbol }), ": gradient arriving there × local derivative ",
          element("code", { text: part.rule })),
        part.local ? Panels.statistics("local", part.local) : null, Panels.statistics("flows on", part.value)))];
  }

  function link({ source, consumer }) {
    // Nodes that are not drawn lie between: the contribution is that of the first on the way.
    const one = nodeOf(source), direct = one.contributions.filter((part) => reaches(part.consumer, consumer));
    present(() => [title("Edge: from ", one.symbol, " to ", nodeOf(consumer).symbol),
      said("Forward the value goes along this edge; backward the gradient that arrives, times the local derivative."),
      Panels.statistics("value", one.value),
      direct.length ? direct.flatMap((part) => contributions(one, part.consumer)) : said("Nothing flows back here.")]);
  }

  const reaches = (from, to) => from === to || (from < to && !nodeOf(from).shown
    && explanation.nodes.some((one) => one.id <= to && one.inputs.includes(from) && reaches(one.id, to)));

  function layer(i) {
    const one = explanation.layers[i];
    present(() => [title("Layer ", one.path), said(one.title),
      Panels.facts([["learned numbers", Numbers.count(one.parameters)], ["typical output", format(one.activation, 3)],
        ["typical gradient", format(one.gradient, 3)], ["typical weight", format(one.weight, 3)],
        ["typical change", format(one.update, 3)]]),
      element("p", { class: "buttons" }, element("button", { type: "button", text: "Open in the drawing", click: () => Network.open(i) }),
        one.nodes.filter((id) => nodeOf(id).shown).map((id) =>
          element("button", { type: "button", text: nodeOf(id).symbol, click: () => node(id) }))),
      Pictures.of(nodeOf(one.result))]);
  }

  return { setup: (data) => { explanation = data; }, refresh, close, isOpen: () => again !== null, quantity, element: element_, edge, weight, node, link, layer };
})();
