/* A network of two inputs and one output: the output at every point of the plane. */
const Plane = (() => {
  const SIDE = 60; // pixels that are computed, on each side
  const MAX_WORK = 3_000_000;
  let explanation,
    input = null,
    output = null,
    box = null;

  function setup(data) {
    explanation = data;
    const inputs = data.nodes.filter((node) => node.role === "input"),
      outputs = data.nodes.filter((node) => node.role === "output");
    const isPair = ({ value: { shape } }) => shape.length === 2 && shape[1] === 2;
    const isOne = ({ value: { shape } }, rows) => Numbers.sizeOf(shape) === rows && shape[0] === rows;
    if (!Live.canRun() || inputs.length !== 1 || outputs.length !== 1 || !isPair(inputs[0])) return;
    if (!inputs[0].value.dtype.startsWith("float") || !isOne(outputs[0], inputs[0].value.shape[0])) return;
    if (Live.work() * (SIDE * SIDE / inputs[0].value.shape[0]) > MAX_WORK) return;
    [input] = inputs;
    [output] = outputs;
    box = Equations.later("The decision map: the output for all inputs", () => element("div", { id: "map" }));
    box.addEventListener("toggle", draw);
    show(byId("plane"), element("h2", { text: "The plane of the two inputs" }), box);
  }

  /** From where to where the plane goes: the inputs, and some room around. */
  function ranges(data) {
    return [0, 1].map((axis) => {
      const values = [...data].filter((_, i) => i % 2 === axis);
      const low = Math.min(...values),
        high = Math.max(...values),
        room = 0.25 * (high - low || Math.abs(high) || 1);
      return [low - room, high + room];
    });
  }

  function draw() {
    if (!box || !box.open || !byId("map")) return;
    const data = Live.array("value", input.id),
      [across, up] = ranges(data);
    const points = [];
    for (let row = 0; row < SIDE; row++)
      for (let column = 0; column < SIDE; column++)
        points.push(
          across[0] + ((column + 0.5) / SIDE) * (across[1] - across[0]),
          up[1] - ((row + 0.5) / SIDE) * (up[1] - up[0]),
        );
    const isLogit = explanation.error.probabilities.length > 0;
    const found = Live.outputsAt(input.id, output.id, points);
    const values = isLogit ? found.map((z) => 1 / (1 + Math.exp(-z))) : found;
    show(byId("map"), picture(values, isLogit, data, across, up));
  }

  function picture(values, isLogit, data, across, up) {
    const low = isLogit ? 0 : Math.min(...values),
      high = isLogit ? 1 : Math.max(...values);
    const canvas = element("canvas", {
      width: SIDE,
      height: SIDE,
      role: "img",
      class: "heat",
      "aria-label": `The output over the plane of the inputs, from ${Numbers.format(low, 3)} (orange) to ${Numbers.format(high, 3)} (blue).`,
    });
    const context = canvas.getContext("2d"),
      image = context.createImageData(SIDE, SIDE);
    values.forEach((value, i) => {
      const share = high > low ? (2 * (value - low)) / (high - low) - 1 : 0;
      image.data.set([...Pictures.colour(share), 255], i * 4);
    });
    context.putImageData(image, 0, 0);
    Object.assign(canvas.style, { width: "300px", height: "300px" });
    const frame = element("div", { class: "heat-box plane" }, canvas);
    for (let i = 0; i < data.length; i += 2) {
      const dot = element("span", { class: "point", title: `${data[i]}, ${data[i + 1]}` });
      dot.style.left = `${(300 * (data[i] - across[0])) / (across[1] - across[0])}px`;
      dot.style.top = `${(300 * (up[1] - data[i + 1])) / (up[1] - up[0])}px`;
      frame.append(dot);
    }
    const names = explanation.labels[input.symbol] || [`${input.symbol}[0]`, `${input.symbol}[1]`];
    const range = ([a, b]) => `${Numbers.format(a, 3)} to ${Numbers.format(b, 3)}`;
    return element(
      "figure",
      {},
      frame,
      element("figcaption", {
        text: `Right: ${names[0]}, ${range(across)}. Up: ${names[1]}, ${range(up)}. Orange is ${Numbers.format(low, 3)}, blue ${Numbers.format(high, 3)}${isLogit ? " (the probability p); white is p = 0.5, the decision boundary" : ""}. The dots are the examples.`,
      }),
    );
  }

  return { setup, draw };
})();
