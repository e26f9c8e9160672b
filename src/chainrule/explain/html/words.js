/* What is said of a node and of a step in plain words. */
const Words = (() => {
  let explanation;

  /** What a node is, in a word. */
  function wordOf(node) {
    const words = { input: "an input", target: "what should come out", parameter: "weights" };
    return words[node.role] || (isWeightedSum(node) ? "weighted sum" : node.title);
  }
  const isBad = (node) => node.value.bad > 0;

  /** The shown nodes that are not finite, of those that a node is computed from. */
  function badSources(node) {
    return node.inputs
      .map((id) => explanation.nodes[id])
      .filter(isBad)
      .flatMap((one) => (one.shown ? [one.symbol] : badSources(one)));
  }

  /** Where a number that is not finite appears first. */
  function firstBad(node) {
    if (!isBad(node)) return null;
    const from = [...new Set(badSources(node))];
    return element("p", {
      class: "warning",
      text: from.length
        ? `⚠ ${node.symbol} is not finite, because ${from.join(" and ")} is not.`
        : `⚠ Here a NaN or infinity begins: what goes into ${node.symbol} is finite${node.line ? ` (${node.line})` : ""}.`,
    });
  }

  const WORDS = {
    sigmoid: "The sigmoid σ(z) = 1 / (1 + e⁻ᶻ) bends any number into the range from 0 to 1.",
    tanh: "The function tanh bends any number into the range from −1 to 1.",
    relu: "ReLU keeps positive numbers and replaces negative ones by 0.",
    softmax: "Softmax turns numbers into shares that are positive and add up to 1.",
    log_softmax: "The logarithm of the shares that softmax gives.",
    convolution: "A small window of weights slides over the image; at each place the products are added.",
    max_pool: "From each window only the largest number goes on.",
    sum_pool: "The numbers of each window are added.",
    take: "Rows are looked up in a table of numbers.",
  };

  function isWeightedSum(node) {
    const right = node.forward[0]?.right;
    return (
      right?.kind === "call" &&
      right.op === "add" &&
      right.arguments.some(
        (one) =>
          one.op === "multiply" &&
          Numbers.quantities(one).some(
            (q) => q.node !== null && explanation.nodes[q.node].role === "parameter",
          ),
      )
    );
  }

  /** Operations that are written inside of a node. */
  const insideOf = (node) =>
    node.inputs
      .map((id) => explanation.nodes[id])
      .filter((one) => !one.shown)
      .flatMap((one) => [one.op, ...insideOf(one)]);

  function forward(node) {
    if (insideOf(node).includes("convolution"))
      return element("p", {
        class: "note",
        text: "A convolution: a small window of weights slides over the image. At each place the numbers under it are multiplied with the weights and added, plus the bias.",
      });
    const hasBias = node.forward[0]?.right.arguments?.some(
      (one) => one.kind !== "call" && one.of === "value",
    );
    const text = isWeightedSum(node)
      ? `A weighted sum: each input times its weight, all added up${hasBias ? ", plus the bias" : ""}.`
      : WORDS[node.op];
    return text ? element("p", { class: "note", text }) : null;
  }

  /** The shown nodes that use a node, with those that are not shown looked through. */
  function usersOf(id, found = new Set()) {
    for (const node of explanation.nodes)
      if (node.inputs.includes(id)) node.shown ? found.add(node) : usersOf(node.id, found);
    return found;
  }

  const hasSquare = (e) =>
    e.kind === "call" &&
    ((e.op === "power" && e.arguments[0].kind !== "call" && e.arguments[1].value === 2) ||
      e.arguments.some(hasSquare));

  const SLOPES = {
    sigmoid: (x, y) => `${x} goes through the sigmoid, whose slope is ${y} · (1 − ${y}).`,
    tanh: (x, y) => `${x} goes through tanh, whose slope is 1 − ${y}².`,
    relu: (x) => `ReLU lets the gradient through where ${x} is positive and stops it elsewhere.`,
    max_pool: (x, y) =>
      `Only the largest number of each window reached ${y}, so only it gets the gradient (equals share it).`,
    softplus: (x) => `${x} goes through softplus, whose slope is σ.`,
  };

  function backward(node) {
    const note = (text) => element("p", { class: "note", text });
    if (node.role === "parameter")
      return note(
        "A weight moves the sum as strongly as the number that it multiplies. So its slope is: what arrives at the sum, times that number. " +
          (node.value.shape.length < 2 ? "A bias counts as it is: times 1. " : "") +
          (Network.examples() > 1 ? "Every example has its share; the shares are added." : ""),
      );
    const users = [...usersOf(node.id)],
      x = node.symbol;
    if (users.length !== 1)
      return note(
        `${x} goes into ${users.map((one) => one.symbol).join(" and ")}. The loss feels ${x} along each of these ways, so their shares are added.`,
      );
    const [user] = users,
      y = user.symbol;
    if (isWeightedSum(user))
      return note(
        `${x} goes into ${y}, multiplied by a weight. So what arrives at ${y} comes back multiplied by the same weight` +
          (Numbers.sizeOf(user.value.shape) > Numbers.sizeOf(user.value.shape.slice(0, -1))
            ? "; where it goes into several neurons, their shares are added."
            : "."),
      );
    if (SLOPES[user.op])
      return note(`${SLOPES[user.op](x, y)} What arrives at ${y} is multiplied by that: the chain rule.`);
    const right = user.forward[0]?.right,
      first = right?.arguments?.[0];
    if (user.op === "add" || (user.op === "subtract" && first?.node === node.id))
      return note(`${y} grows exactly as fast as ${x}: its slope is 1, and what arrives goes on as it is.`);
    if (user.op === "subtract")
      return note(
        `${x} is subtracted in ${y}: the slope is −1, and what arrives goes on with the opposite sign.`,
      );
    return note(
      `${x} goes into ${y}. ${right && hasSquare(right) ? `The slope of a square ${x}² is 2 · ${x}. ` : ""}What arrives at ${y}, times the slope of ${y} by ${x}: the chain rule.`,
    );
  }

  return {
    setup: (data) => {
      explanation = data;
    },
    of: wordOf,
    forward,
    backward,
    firstBad,
  };
})();
