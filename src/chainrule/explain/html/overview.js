/* The whole network: losses before and after, the flow of the gradient, all layers. */
const Overview = (() => {
  const { format } = Numbers;

  function losses() {
    const { loss, predicted, after } = Live.losses();
    const finite = [loss, after, predicted].filter(Number.isFinite),
      top = Math.max(...finite, 0) || 1;
    const row = (name, value, kind, hint) => {
      const bar = element("span", { class: `fill ${kind}` });
      bar.style.width = `${Number.isFinite(value) ? Math.max(0, Math.min(100, (100 * value) / top)) : 0}%`;
      return element(
        "div",
        { class: "loss" },
        element("span", { class: "what", text: name, title: hint }),
        element("span", { class: "track" }, bar),
        element("b", { id: `loss-${kind}`, text: format(value) }),
      );
    };
    const fall = (loss - after) / Math.abs(loss);
    const words =
      finite.length < 3
        ? "A number is not finite: step through to find the first one."
        : !Number.isFinite(fall)
          ? ""
          : fall > 0
            ? `One step lowers the loss by ${format(100 * fall, 3)} %.`
            : fall < 0
              ? "This step raises the loss: the learning rate is too high for it."
              : "This step changes nothing.";
    return element(
      "div",
      { id: "losses" },
      row("Loss before the step", loss, "before", "the loss with the current weights"),
      row("Linear prediction", predicted, "predicted", "L + Σ gradient · change: right for small steps"),
      row("Loss after the step", after, "after", "the loss of the same examples with the new weights"),
      element("p", { class: "note", role: "status", text: words }),
      predicted < 0 && loss >= 0 && after >= 0
        ? element("p", {
            class: "note",
            text: "A loss below 0 is impossible: the step is so long that the gradient changes along the way.",
          })
        : null,
    );
  }

  /** The loss along the step, from the old weights to the new ones and beyond, with its tangent. */
  function tangent() {
    const line = Live.alongTheStep(25);
    if (!line || line.length < 2) return null;
    const { loss, predicted, after } = Live.losses();
    const at = (t) => loss + t * (predicted - loss);
    const end = line.at(-1)[0];
    return Charts.lines(
      [
        { name: "loss L", points: line, kind: "after" },
        { name: "its tangent, the linear prediction", points: [[0, at(0)], [end, at(end)]], kind: "predicted" },
      ],
      {
        title: "The loss along the step",
        x: "how much of the step is taken (0: old weights, 1: new weights)",
        y: "L",
        marks: [[1, after], [1, predicted]],
      },
    );
  }

  function flow(explanation) {
    const rows = explanation.layers
      .filter((layer) => layer.path && layer.path !== "loss")
      .map((layer) => [layer, Live.sizes(layer)]);
    if (!rows.length) {
      show(byId("flow"));
      return;
    }
    const all = rows.flatMap(([, sizes]) => Object.values(sizes)).filter((v) => v > 0 && Number.isFinite(v));
    const low = Math.floor(Math.log10(Math.min(...all, 1)) - 0.2),
      high = Math.ceil(Math.log10(Math.max(...all, 1e-300)));
    const bar = (kind, name, value) => {
      if (value === null || value === undefined) return element("div");
      const fill = element("span", { class: `fill ${kind}` });
      const share = value > 0 ? (Math.log10(value) - low) / Math.max(high - low, 1) : 0;
      fill.style.width = `${Math.max(0, Math.min(1, Number.isNaN(share) ? 1 : share)) * 100}%`;
      return element(
        "div",
        { class: "flow-bar" },
        element("span", { class: "what", text: name }),
        element("span", { class: "track" }, fill),
        element("span", { class: "digits", text: format(value, 3) }),
      );
    };
    const said = new Set(explanation.flow.map(([path]) => path));
    show(
      byId("flow"),
      element("h2", { text: "Gradient flow" }),
      element("p", {
        class: "note",
        text:
          "For each layer, from the input to the loss, the root mean square (RMS) of its numbers. The bars are logarithmic: equal lengths are equal ratios. " +
          "If the gradient shrinks towards the input (it vanishes), the first layers hardly learn; if it grows (it explodes), their updates are far too large.",
      }),
      element(
        "div",
        { class: "flow-table" },
        ["Layer", "Output", "Gradient", "Update of the weights"].map((text) =>
          element("div", { class: "head", text }),
        ),
        rows.map(([layer, sizes]) => [
          element(
            "div",
            { class: "flow-name" },
            said.has(layer.path) ? "⚠ " : "",
            layer.path,
            element("small", { text: layer.title }),
          ),
          bar("activation", "output", sizes.activation),
          bar("gradient", "gradient", sizes.gradient),
          bar("update", "update", sizes.update),
        ]),
      ),
      explanation.flow.length
        ? element(
            "ul",
            { class: "warnings" },
            explanation.flow
              .slice(0, 12)
              .map(([path, text]) => element("li", { class: "warning", text: `${path}: ${text}` })),
          )
        : null,
    );
  }

  function layers(explanation) {
    const boxes = explanation.layers.map((layer, i) =>
      Equations.later(
        `${layer.path || "the network itself:"}  ${layer.title}  ${layer.parameters ? `${Numbers.count(layer.parameters)} weights` : ""}`,
        () => layerTable(explanation, i),
      ),
    );
    show(byId("layers"), element("h2", { text: "All numbers, layer by layer" }), boxes);
  }

  function layerTable(explanation, i) {
    const updates = new Map(explanation.update.parameters.map((one) => [one.node, one]));
    return explanation.layers[i].nodes
      .map((id) => explanation.nodes[id])
      .filter((node) => node.shown)
      .map((node) =>
        element(
          "div",
          { class: "node-row" },
          element(
            "h4",
            {},
            element("button", {
              type: "button",
              class: "plain",
              text: node.symbol,
              click: () => Chosen.node(node.id),
            }),
            element("small", { text: ` ${node.title}` }),
          ),
          Equations.statistics("value", node.value),
          node.gradient ? Equations.statistics("gradient", node.gradient) : null,
          updates.has(node.id) ? Equations.statistics("update", updates.get(node.id).change) : null,
        ),
      );
  }

  function notes(explanation) {
    show(
      byId("notes"),
      explanation.notes.length
        ? [
            element("h2", { text: "Notes" }),
            element(
              "ul",
              {},
              explanation.notes.map((text) => element("li", { text })),
            ),
          ]
        : null,
    );
  }

  /** The weights whose chains were asked for. */
  function chains(explanation) {
    const buttons = explanation.chains.map(({ weight }) =>
      element("button", {
        type: "button",
        text: Numbers.nameText(weight),
        click: () => Chosen.weight(weight),
      }),
    );
    if (!buttons.length) return;
    show(
      byId("chains"),
      element("h2", { text: "From one weight to the loss" }),
      element("p", {
        class: "note",
        text: "How the loss changes with a single weight: every path, factor by factor. Any weight can be clicked, or choose:",
      }),
      element("p", { class: "buttons" }, buttons),
    );
  }

  return { losses, tangent, flow, layers, notes, chains };
})();
