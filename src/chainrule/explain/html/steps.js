/* The four steps as a list of small ones, each with a title and its content. */
const Steps = (() => {
  const MAX_STEPS = 24,
    MAX_INTEGERS = 8; // as in sections.py
  let explanation;

  const LEAVES = ["parameter", "input", "target", "constant", "buffer"];
  const isLeaf = (node) => LEAVES.includes(node.role);
  function start() {
    const leaves = explanation.nodes.filter((node) => node.role === "input" || node.role === "target");
    return [
      {
        phase: "forward",
        title: "Inputs and targets",
        nodes: [],
        makes: "value",
        focus: leaves.map((node) => node.id),
        body: () => [
          element("p", {
            class: "note",
            text:
              "These numbers are given: the inputs, and the targets that the loss compares the output with. " +
              (Network.isSmall()
                ? "The weights stand on the edges of the drawing; they are what is learned."
                : "The weights inside the layers are what is learned."),
          }),
          explanation.rows.map((one) => [moved(one), row(one)]),
          explanation.rows.length
            ? Equations.later("The cells as the numbers that go into the network", () => given(leaves))
            : given(leaves),
        ],
      },
    ];
  }

  function given(leaves) {
    return Equations.facts(
      leaves.flatMap((node) => {
        const size = Numbers.sizeOf(node.value.shape),
          data = Live.array("value", node.id);
        if (!data || size > 12) return [[node.symbol, `${node.value.shape.join(" × ")} numbers`]];
        return [...data].map((value, index) => {
          const q = Live.quantity(node.id, index),
            label = Network.labelOf(q),
            name = Numbers.nameText(q);
          const shown = label === name ? name : `${label} (${name})`;
          return [node.role === "target" ? `${shown}, target` : shown, Numbers.format(value)];
        });
      }),
    );
  }

  /** An example as it stands in the data, with its target and the prediction. */
  function row(one) {
    return element(
      "table",
      {},
      element("caption", { text: one.name || `Row ${one.number} of the file` }),
      element(
        "tbody",
        {},
        [...one.cells, one.target, one.prediction ? { column: "prediction", text: one.prediction } : null]
          .filter(Boolean)
          .map((cell) =>
            element(
              "tr",
              {},
              element("th", { scope: "row", text: cell.column }),
              element("td", { text: cell.text }),
            ),
          ),
      ),
    );
  }

  /** Which cells a prediction depends on: what the model says without each of them. */
  function moved(one) {
    if (!one.moved || !one.moved.length) return null;
    const row = (cells, of = "td") => element("tr", {}, cells.map((text) => element(of, { text })));
    return [
      element("h3", { text: "What moved the prediction" }),
      element("p", {
        class: "note",
        text:
          "What the model would say if a cell were missing; the cell that changes most first." +
          (Live.canRun() ? " What if it were another number? Drag the input in the drawing, or move its slider below." : ""),
      }),
      element(
        "table",
        {},
        element("thead", {}, row(["column", "in the file", "without it", "so it moved the prediction by"], "th")),
        element(
          "tbody",
          {},
          one.moved.slice(0, 8).map((cell) => row([cell.column, cell.text, cell.without, cell.change])),
        ),
      ),
    ];
  }

  /** Nodes of the loss, and those that a target takes part in, belong to the error. */
  function ofTheError() {
    const isOf = (node) => node.role === "target" || (node.layer === "loss" && node.inputs.length);
    const found = new Set(explanation.nodes.filter(isOf).map((node) => node.id));
    for (const node of explanation.nodes)
      if (node.role === "loss" || node.role === "example_loss" || node.inputs.some((id) => found.has(id)))
        found.add(node.id);
    return found;
  }
  /** Steps of single nodes, or of layers where there would be too many. */
  function grouped(nodes, make) {
    if (nodes.length <= MAX_STEPS) return nodes.map((node) => make([node], node.symbol));
    const groups = [],
      isSame = (a, b) => a.layer === b.layer && (a.step ?? null) === (b.step ?? null);
    for (const node of nodes) {
      const last = groups.at(-1);
      if (last && isSame(last[0], node)) last.push(node);
      else groups.push([node]);
    }
    return groups.map((members) => {
      const { layer, step: time, symbol } = members[0];
      return make(
        members,
        (layer || symbol) + (time === null || time === undefined ? "" : `, time step ${time}`),
      );
    });
  }

  const ids = (nodes) => nodes.map((node) => node.id);

  /** Without the index arithmetic of layers that have much of it. */
  function withoutIndices(nodes) {
    const isInteger = (node) => !node.value.dtype.startsWith("float"),
      counts = new Map();
    for (const { layer } of nodes.filter(isInteger)) counts.set(layer, (counts.get(layer) || 0) + 1);
    return nodes.filter((node) => !isInteger(node) || counts.get(node.layer) <= MAX_INTEGERS);
  }

  function forward() {
    const late = ofTheError();
    const nodes = explanation.nodes.filter((node) => node.shown && !isLeaf(node) && !late.has(node.id));
    return grouped(withoutIndices(nodes), (members, name) => ({
      phase: "forward",
      title: titleOf(members, name),
      nodes: ids(members),
      makes: "value",
      body: () => [
        members.map(Words.firstBad),
        members.length === 1 ? [Words.forward(members[0]), Pictures.inStep(members[0])] : null,
        members.flatMap((node) => computed(node, members.length)),
      ],
    }));
  }
  function titleOf(members, name) {
    if (members.length > 1) return name;
    const { layer, symbol } = members[0];
    return `${symbol}: ${Words.of(members[0])}${layer && layer !== "loss" && !Network.isSmall() ? ` in ${layer}` : ""}`;
  }

  /** What is computed forward: in small networks every element. */
  function computed(node, crowd = 1) {
    const equations = Network.isSmall() ? Chains.equationsOf(node) : node.forward;
    const text = written(node, equations);
    return crowd > 1 ? [element("h3", { text: `${node.symbol}: ${Words.of(node)}` }), text] : text;
  }

  /** The equations of a node, as far as they are in the page. */
  function written(node, equations) {
    const { length } = equations,
      size = Numbers.sizeOf(node.value.shape);
    if (!length)
      return [element("p", { text: node.formula }), Equations.statistics(node.symbol, node.value)];
    const click = Network.isSmall() ? " Click a neuron, a weight or a name for any other." : "";
    const note = `${length} of ${Numbers.count(size)} elements are written out.${click}`;
    return [Equations.all(equations, 4), length < size ? element("p", { class: "note", text: note }) : null];
  }

  function error() {
    const late = ofTheError(),
      nodes = explanation.nodes.filter((node) => late.has(node.id) && !isLeaf(node));
    const { error: loss } = explanation,
      before = nodes.filter(
        (node) => node.shown && !["loss", "example_loss"].includes(node.role) && node.forward.length,
      );
    return [
      {
        phase: "error",
        title: loss.name.replaceAll("_", " "),
        nodes: ids(nodes),
        makes: "value",
        body: () => [
          element("p", {
            class: "note",
            text: "The loss is small when the output is close to the target. Training makes it smaller.",
          }),
          element("p", { class: "formula", text: loss.formula }),
          probabilities(loss),
          loss.probabilities.length
            ? Equations.later("How the loss is computed exactly, without overflow", () =>
                before.flatMap((node) => computed(node)),
              )
            : before.flatMap((node) => computed(node)),
          Equations.all(loss.examples, 4),
          loss.batch.length && loss.examples.length
            ? element("p", { class: "note", text: "All examples together:" })
            : null,
          Equations.all(loss.batch, 4),
        ],
      },
    ];
  }

  function probabilities({ probabilities: found }) {
    if (!found.length) return null;
    return [
      element("p", {
        class: "note",
        text: "The output is no probability yet: the loss makes probabilities p of it.",
      }),
      Equations.all(found, 4),
    ];
  }

  /** The way from the loss back to the output at once, where it comes to (p − y) / n. */
  function shortWay(nodes) {
    const { shortcut } = explanation.error;
    const output = explanation.nodes.find((node) => node.role === "output");
    const inside = nodes.filter((node) => Network.isInside(node.id) || node === output);
    if (!shortcut.length || !inside.includes(output)) return null;
    return {
      phase: "backward",
      title: `Gradient of ${output.symbol}: how the loss changes with it`,
      nodes: ids(inside),
      focus: [output.id],
      makes: "gradient",
      body: () => [
        element("p", {
          class: "note",
          text: "All links from the loss to the output together come to something short: the probability minus the target, divided by the number of examples where the loss is their mean.",
        }),
        Equations.all(shortcut, 4),
        Equations.later("Link by link, as backpropagation computes it", () =>
          inside.map((node) => [
            element("h3", { text: node.symbol }),
            Words.backward(node),
            written(node, node.backward),
          ]),
        ),
      ],
    };
  }

  function backward() {
    const users = firstUsers(),
      learns = new Set();
    for (const node of explanation.nodes)
      if (node.role === "parameter" || node.inputs.some((id) => learns.has(id))) learns.add(node.id);
    const place = (node) => (node.role === "parameter" ? (users.get(node.id) ?? node.id) - 0.5 : node.id);
    const nodes = explanation.nodes.filter(
      (node) =>
        node.shown &&
        node.gradient &&
        node.backward.length &&
        !["input", "target"].includes(node.role) &&
        learns.has(node.id),
    );
    nodes.sort((a, b) => place(b) - place(a) || a.id - b.id);
    const short = shortWay(nodes),
      skipped = new Set(short ? short.nodes : []);
    const groups = [];
    for (const node of nodes.filter((one) => !skipped.has(one.id))) {
      const last = groups.at(-1);
      if (last && node.role === "parameter" && last[0].role === "parameter" && place(last[0]) === place(node))
        last.push(node);
      else groups.push([node]);
    }
    const title = (members) =>
      members[0].role === "parameter"
        ? `Gradients of the weights of ${explanation.nodes[users.get(members[0].id)]?.symbol ?? "the network"}`
        : members.length === 1
          ? `Gradient of ${members[0].symbol}: how the loss changes with it`
          : titleOf(members, members[0].symbol);
    const step = (members) => ({
      phase: "backward",
      title: title(members),
      nodes: ids(members),
      makes: "gradient",
      body: () =>
        members[0].role === "parameter" || members.length === 1
          ? [Words.backward(members.at(-1)), members.map((node) => written(node, node.backward))]
          : members.map((node) => [
              element("h3", { text: node.symbol }),
              Words.backward(node),
              written(node, node.backward),
            ]),
    });
    const made =
      groups.length <= MAX_STEPS
        ? groups.map(step)
        : grouped(groups.flat(), (members, name) => ({
            ...step(members),
            title: members.length > 1 ? `Back through ${name}` : title(members),
          }));
    if (!short) return made;
    // What lies before it, such as the losses of the examples, comes first.
    const before = made.filter((one) => one.nodes.every((id) => id > Math.max(...short.nodes)));
    return [...before, short, ...made.filter((one) => !before.includes(one))];
  }

  /** For each parameter the first shown node that depends on it. */
  function firstUsers() {
    const found = new Map(),
      carried = new Map();
    for (const node of explanation.nodes) {
      const sources = node.inputs.flatMap((id) =>
        explanation.nodes[id].role === "parameter" ? [id] : carried.get(id) || [],
      );
      if (!node.shown) carried.set(node.id, sources);
      else for (const id of sources) if (!found.has(id)) found.set(id, node.id);
    }
    return found;
  }

  function update() {
    const { update: step } = explanation;
    const general = {
      phase: "update",
      title: step.optimizer === "SGD" ? "Gradient descent (SGD)" : step.optimizer,
      nodes: [],
      makes: "new",
      body: () => [
        element("p", {
          text: "The gradient points in the direction in which the loss rises. So every weight is moved against its gradient; how far, the learning rate says.",
        }),
        step.formula.map((text) => element("p", { class: "formula", text: text.replaceAll("`", "") })),
        element("p", {
          class: "note",
          text: "Here w is a weight, g its gradient, and lr the learning rate.",
        }),
        Equations.facts([
          ["learning rate", Numbers.format(Live.rate())],
          step.schedule ? ["schedule", step.schedule] : null,
          step.step > 1 ? ["step", String(step.step)] : null,
        ]),
        Equations.all(step.equations),
      ],
    };
    const members = step.parameters.map((one) => ({ ...explanation.nodes[one.node], one }));
    const one = (parameters, name) => ({
      phase: "update",
      nodes: ids(parameters),
      makes: "new",
      title: `New ${name}`,
      body: () =>
        parameters.flatMap(({ one: { equations, change } }) =>
          equations.length ? Equations.all(equations, 4) : Equations.statistics("update", change),
        ),
    });
    const steps =
      members.length <= 12 ? [one(members, "weights")] : grouped(members, (group, name) => one(group, name));
    const last = {
      phase: "update",
      title: "The loss after the step",
      nodes: [],
      makes: "new",
      ends: true,
      body: () => [
        element("p", {
          class: "note",
          text: "Does the step help? The tangent at the old weights, L + Σ gradient · change, is the linear prediction: right for small steps, since gradients change along the way.",
        }),
        Overview.losses(),
        Overview.tangent(),
        element("p", { class: "note", text: "Repeating the four steps is all there is to training." }),
      ],
    };
    return [general, ...steps, last];
  }

  /** All steps: {phase, title, nodes, makes: what becomes known of the nodes, body: what is said}. */
  function list(data) {
    explanation = data;
    return [...start(), ...forward(), ...error(), ...backward(), ...update()];
  }

  return { list };
})();
