/* The standard drawing of an LSTM's cell, with the numbers of one unit at one time step. */
const Cell = (() => {
  const PARTS = ["i", "f", "g", "o", "c", "tanh_c", "h"];

  /** The cells of a network: by their number the nodes of each time step, by letter. */
  function find(explanation) {
    const found = new Map();
    for (const node of explanation.nodes) {
      const match = /^(tanh_c|[ifgoch])(\d*)_t(\d+)$/.exec(node.symbol);
      if (!match || node.step === null || node.step === undefined) continue;
      const [, letter, number, time] = match;
      if (!found.has(number)) found.set(number, new Map());
      const steps = found.get(number);
      if (!steps.has(Number(time))) steps.set(Number(time), {});
      steps.get(Number(time))[letter] = node;
    }
    return [...found].filter(([, steps]) => [...steps.values()].every((one) => PARTS.every((part) => one[part])));
  }

  /** The drawing; look is {step, unit}, redraw is called when another one is chosen. */
  function draw([number, steps], look, redraw) {
    const times = [...steps.keys()].sort((a, b) => a - b);
    if (!steps.has(look.step)) look.step = times.at(-1);
    const parts = steps.get(look.step),
      before = steps.get(look.step - 1),
      units = Numbers.sizeOf(parts.c.value.shape);
    const at = (node, kind = "value") => Live.array(kind, node.id)?.[look.unit] ?? null;
    const choose = (label, count, now, names, pick) =>
      element(
        "label",
        {},
        `${label} `,
        element(
          "select",
          {
            change: (event) => {
              pick(Number(event.target.value));
              redraw();
            },
          },
          names.map((name) => element("option", { value: name, selected: name === now, text: String(name) })),
        ),
      );
    return [
      element(
        "p",
        { class: "buttons" },
        choose("time step", times.length, look.step, times, (v) => (look.step = v)),
        choose("unit", units, look.unit, Array.from({ length: Math.min(units, 64) }, (_, i) => i), (v) => (look.unit = v)),
      ),
      picture(parts, before, at, number),
      element("p", {
        class: "note",
        text: "The cell state c runs along the top: the forget gate f says how much of it stays, the input gate i how much of the candidate g is added, the output gate o how much of it is seen in h. Click a part for its arithmetic; ∂ is the gradient of the loss with respect to it.",
      }),
    ];
  }

  function picture(parts, before, at, number) {
    const svg = element("svg", {
      viewBox: "0 0 620 300",
      class: "cell",
      role: "img",
      "aria-label": `The cell: ${PARTS.map((part) => `${part} = ${Numbers.format(at(parts[part]), 3)}`).join(", ")}`,
    });
    const line = (...points) =>
      svg.append(element("path", { class: "wire", d: `M ${points.map((p) => p.join(" ")).join(" L ")}` }));
    const text = (x, y, words, kind = "") => svg.append(element("text", { x, y, class: kind, text: words }));
    const sign = (x, y, words) => svg.append(element("circle", { cx: x, cy: y, r: 14 }), element("text", { x, y: y + 6, text: words }));
    const box = (letter, x, y, words) => {
      const node = parts[letter],
        gradient = at(node, "gradient");
      svg.append(
        element(
          "g",
          { class: "gate", click: () => Chosen.node(node.id) },
          element("rect", { x: x - 44, y: y - 19, width: 88, height: 38, rx: 7 }),
          element("text", { x, y: y - 3, class: "name", text: `${letter.replace("tanh_c", "tanh c")}${number}${words}` }),
          element("text", { x, y: y + 13, text: Numbers.format(at(node), 3) }),
        ),
      );
      if (gradient !== null) text(x, y + 33, `∂ ${Numbers.format(gradient, 2)}`, "gradient");
    };
    line([20, 50], [600, 50]); // the state
    line([120, 180], [120, 64]);
    line([230, 180], [230, 130], [276, 130]);
    line([350, 180], [350, 130], [304, 130]);
    line([290, 116], [290, 64]);
    line([440, 50], [440, 92]);
    line([440, 128], [440, 206]);
    line([550, 220], [600, 220]);
    line([454, 220], [506, 220]);
    line([380, 250], [440, 250], [440, 234]);
    sign(120, 50, "×");
    sign(290, 50, "+");
    sign(290, 130, "×");
    sign(440, 220, "×");
    text(48, 38, before ? `old c ${Numbers.format(at(before.c), 3)}` : "old c 0");
    box("f", 120, 199, " (forget)");
    box("i", 230, 199, " (input)");
    box("g", 350, 199, " (new)");
    box("o", 336, 262, " (output)");
    box("tanh_c", 440, 110, "");
    box("c", 556, 50, "");
    box("h", 550, 220, "");
    return svg;
  }

  return { find, draw };
})();
