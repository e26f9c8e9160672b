/* The panel of what was clicked: its arithmetic, its local derivatives, its chain. */
const Chosen = (() => {
  const { format, nameText } = Numbers;
  const MAX_USERS = 12;
  let explanation,
    again = null,
    cameFrom = null;

  const nodeOf = (id) => explanation.nodes[id];
  const closer = () =>
    element("button", { type: "button", class: "close", "aria-label": "Close", text: "✕", click: close });

  /** Shows something, and brings keyboard and screen reader there. */
  function present(make, slider = null) {
    const place = byId("chosen"),
      content = element("div");
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
  const refresh = () => {
    if (again) again();
  };
  const title = (...text) => element("h2", {}, text);
  const said = (text) => (text ? element("p", { class: "note", text }) : null);

  function quantity(q) {
    if (nodeOf(q.node).role === "parameter") weight(q);
    else if (q.of === "value" || q.of === "gradient") element_({ ...q, of: "value" });
  }

  /** One number of the network: how it is computed, and its gradient. */
  function element_(q, neuron) {
    const parts = neuron && neuron.pre ? [neuron.pre.q, q] : [q];
    present(
      () => [
        title(Network.labelOf(q), ": ", Words.of(nodeOf(q.node))),
        parts.map((part) => about(part)),
        neuron ? incoming(neuron) : null,
      ],
      knob(q),
    );
  }

  function about(q) {
    const node = nodeOf(q.node),
      at = ({ left }) => left.index === q.index;
    const key = Chains.keyOf(q),
      users = Chains.users(key);
    const own = Chains.equation(key) ?? node.forward.find(at),
      forward = own ? [own] : [],
      backward = node.backward.filter(at);
    return [
      forward.length
        ? [element("h3", { text: "Forward: how it is computed" }), Equations.all(forward)]
        : Equations.facts([[nameText(q), format(Live.number(q))]]),
      backward.length
        ? [element("h3", { text: "Backward: how the loss changes with it" }), Equations.all(backward)]
        : null,
      users.length
        ? [element("h3", { text: "What uses it, and the local derivatives" }), factors(key, users)]
        : null,
      node.c ? Equations.later("The same in C", () => element("pre", { text: node.c })) : null,
    ];
  }

  /** The last row of the table: where paths meet, gradients add. */
  function sumOfContributions(key, count) {
    const [node, index] = key.split(":").map(Number);
    const sum = Live.number({ ...Live.quantity(node, index), of: "gradient" });
    const text = count > MAX_USERS ? `sum of all ${count}` : "sum";
    return element(
      "tfoot",
      {},
      element(
        "tr",
        {},
        element("th", { scope: "row", colspan: 3, text }),
        element("td", {}, element("b", { text: format(sum) })),
      ),
    );
  }

  /** For each use of an element its local derivative. */
  function factors(key, users) {
    return element(
      "table",
      {},
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          ["into", "local derivative", "× gradient there", "= contribution"].map((text) =>
            element("th", { scope: "col", text }),
          ),
        ),
      ),
      element(
        "tbody",
        {},
        users.slice(0, MAX_USERS).map((equation) => {
          const derivative = Chains.factor(equation, key),
            upstream = Live.number({ ...equation.left, of: "gradient" });
          return element(
            "tr",
            {},
            element("td", {}, Equations.link(equation.left)),
            element("td", { text: format(derivative) }),
            element("td", { text: format(upstream) }),
            element("td", { text: format(upstream === null ? null : derivative * upstream) }),
          );
        }),
      ),
      users.length > 1 ? sumOfContributions(key, users.length) : null,
    );
  }

  function incoming(neuron) {
    const weights = [...neuron.edges.map((edge) => edge.weight), ...neuron.biases].filter(Boolean);
    if (!weights.length) return null;
    return [
      element("h3", { text: "Its weights" }),
      element(
        "p",
        { class: "buttons" },
        weights.map((q) =>
          element("button", {
            type: "button",
            click: () => weight(q),
            text: `${nameText(q)} = ${format(Live.number(q), 4)}`,
          }),
        ),
      ),
    ];
  }

  function knob(q) {
    const found = Live.knobFor(q.node);
    return found ? element("div", { class: "sliders" }, Sliders.of(found, q.index, "chosen-")) : null;
  }

  function edge(one) {
    present(() => {
      const neuron = Network.neurons().get(one.into),
        equation = (neuron.pre || neuron).equation;
      return [
        title("Edge: from ", Network.labelOf(one.q), " to ", nameText(equation.left)),
        said(
          "The factor of an edge is the local derivative: of the sum at its end, with respect to what enters at its beginning.",
        ),
        Equations.one(equation),
        factors(one.from, [equation]),
        one.weight
          ? element(
              "p",
              {},
              element("button", {
                type: "button",
                click: () => weight(one.weight),
                text: `The weight of this edge: ${nameText(one.weight)}`,
              }),
            )
          : null,
      ];
    });
  }

  // ---- a weight: its chain -------------------------------------------------------------------

  function weight(quantity_) {
    const q = { ...quantity_, of: "value" };
    present(() => {
      const node = nodeOf(q.node),
        gradient = Live.number({ ...q, of: "gradient" });
      const at = ({ left }) => left.index === q.index;
      const update = explanation.update.parameters.find((one) => one.node === q.node);
      return [
        title("Weight ", nameText(q)),
        Equations.facts([
          ["value", format(Live.number(q))],
          ["gradient", format(gradient)],
          update ? ["after the step", format(Live.number({ ...q, of: "new" }))] : null,
        ]),
        chain(q, gradient),
        Equations.later("As backpropagation computes it", () => Equations.all(node.backward.filter(at))),
        update ? [element("h3", { text: "Update" }), Equations.all(update.equations.filter(at))] : null,
      ];
    }, knob(q));
  }

  function chain(q, gradient) {
    const given = explanation.chains.find((one) => one.weight.node === q.node && one.weight.index === q.index);
    const key = Chains.keyOf(q),
      own = Chains.toLoss(key);
    if (
      own.count &&
      (gradient === null || Math.abs(own.derivative - gradient) <= 1e-9 * Math.max(1e-9, Math.abs(gradient)))
    )
      return pathList(
        q,
        own.count,
        gradient,
        Chains.paths(key).map((path) => ({
          product: path.product,
          factors: path.links.map((link) => ({
            upper: link.equation.left,
            lower: lowerOf(link),
            value: link.value,
          })),
        })),
      );
    if (given && !Live.isChanged()) return pathList(q, given.count, gradient, given.paths, given.rest);
    return said("The chain of this weight is not in the page; chainrule explain --weight writes it.");
  }

  const lowerOf = (link) =>
    Numbers.quantities(link.equation.right).find((one) => Chains.keyOf(one) === link.from);

  /** Every path from the weight to the loss: the product of its factors; then the sum. */
  function pathList(q, count, gradient, paths, rest) {
    const shown = paths.slice(0, 8),
      others = paths.slice(8).reduce((sum, path) => sum + path.product, rest || 0);
    const all = shown.length < count;
    const from = (path) => [...path.factors].reverse(); // as it is written: from the loss back
    const fraction = (factor) =>
      element(
        "span",
        { class: "fraction" },
        element("span", {}, "∂", Numbers.nameNode({ ...factor.upper, of: "value" })),
        element("span", {}, "∂", Numbers.nameNode({ ...factor.lower, of: "value" })),
      );
    const times = (items) => items.flatMap((item, i) => (i ? [" · ", item] : [item]));
    const signed = (v) => (v < 0 ? `(${format(v)})` : format(v));
    return [
      element("h3", {
        text:
          count > 1
            ? `The chain: ${Numbers.count(count)} paths from this weight to the loss`
            : "The chain from this weight to the loss",
      }),
      said(
        count > 1
          ? "Along each path the derivatives multiply; the products are added."
          : "Along the path the derivatives multiply.",
      ),
      element(
        "ol",
        { class: "paths" },
        shown.map((path) =>
          element(
            "li",
            {},
            element("div", { class: "names" }, times(from(path).map(fraction))),
            element(
              "div",
              { class: "numbers" },
              "= ",
              times(from(path).map((factor) => signed(Numbers.parse(factor.value)))),
            ),
            element(
              "div",
              { class: "result" },
              "= ",
              element("b", { text: format(Numbers.parse(path.product)) }),
            ),
          ),
        ),
      ),
      all && others ? said(`All other paths together: ${format(others)}`) : null,
      element(
        "p",
        { class: "sum" },
        count > 1 ? "Sum over all paths: " : "So ",
        Numbers.nameNode({ ...q, of: "gradient" }),
        " = ",
        element("b", { id: "chain-sum", text: format(gradient) }),
      ),
    ];
  }

  // ---- boxes ---------------------------------------------------------------------------------

  function node(id) {
    const one = nodeOf(id);
    present(() => [
      title(one.symbol || one.op, ": ", Words.of(one)),
      said(one.formula),
      one.line ? Equations.facts([["line", one.line]]) : null,
      Equations.statistics("value", one.value),
      one.gradient ? Equations.statistics("gradient", one.gradient) : null,
      Pictures.of(one),
      one.forward.length ? [element("h3", { text: "Forward" }), Equations.all(one.forward, 3)] : null,
      one.backward.length ? [element("h3", { text: "Backward" }), Equations.all(one.backward, 3)] : null,
      contributions(one),
      one.c ? Equations.later("The same in C", () => element("pre", { text: one.c })) : null,
    ]);
  }

  /** What each consumer contributes to the gradient of a node. */
  function contributions(one, only = null) {
    const list = one.contributions.filter((part) => only === null || part.consumer === only);
    if (!list.length) return null;
    return [
      element("h3", {
        text: list.length > 1 ? "Paths meet here: their gradients add" : "Its gradient",
      }),
      list.map((part) =>
        element(
          "div",
          { class: "contribution" },
          element(
            "p",
            {},
            "from ",
            element("b", { text: nodeOf(part.consumer).symbol }),
            ": gradient there × local derivative ",
            element("code", { text: part.rule }),
          ),
          part.local ? Equations.statistics("local", part.local) : null,
          Equations.statistics("contribution", part.value ?? one.gradient),
        ),
      ),
    ];
  }

  function link({ source, consumer }) {
    // Nodes that are not drawn lie between: the contribution is that of the first on the path.
    const one = nodeOf(source),
      direct = one.contributions.filter((part) => reaches(part.consumer, consumer));
    present(() => [
      title("Edge: from ", one.symbol, " to ", nodeOf(consumer).symbol),
      said(
        "Forward, the value goes along this edge; backward, the gradient times the local derivative.",
      ),
      Equations.statistics("value", one.value),
      direct.length
        ? direct.flatMap((part) => contributions(one, part.consumer))
        : said("No gradient flows back here."),
    ]);
  }

  const reaches = (from, to) =>
    from === to ||
    (from < to &&
      !nodeOf(from).shown &&
      explanation.nodes.some((one) => one.id <= to && one.inputs.includes(from) && reaches(one.id, to)));

  function layer(i) {
    const one = explanation.layers[i];
    present(() => [
      title("Layer ", one.path),
      said(one.title),
      Equations.facts([
        ["parameters", Numbers.count(one.parameters)],
        ["RMS of the output", format(one.activation, 3)],
        ["RMS of the gradient", format(one.gradient, 3)],
        ["RMS of the weights", format(one.weight, 3)],
        ["RMS of the update", format(one.update, 3)],
      ]),
      element(
        "p",
        { class: "buttons" },
        element("button", { type: "button", text: "Open in the drawing", click: () => Network.open(i) }),
        one.nodes
          .filter((id) => nodeOf(id).shown)
          .map((id) => element("button", { type: "button", text: nodeOf(id).symbol, click: () => node(id) })),
      ),
      Pictures.of(nodeOf(one.result)),
    ]);
  }

  return {
    setup: (data) => {
      explanation = data;
    },
    refresh,
    close,
    isOpen: () => again !== null,
    quantity,
    element: element_,
    edge,
    weight,
    node,
    link,
    layer,
  };
})();
