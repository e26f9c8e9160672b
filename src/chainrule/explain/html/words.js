/* Sentences about a node and a step. */
const Words = (() => {
  let explanation;

  /** What a node is, in a word. */
  function wordOf(node) {
    const words = { input: "input", target: "target", parameter: "weights" };
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
        : `⚠ The first NaN or infinity: the inputs of ${node.symbol} are finite, the result is not${node.line ? ` (${node.line})` : ""}.`,
    });
  }

  const WORDS = {
    sigmoid: "The sigmoid σ(z) = 1 / (1 + e⁻ᶻ) squashes any number into the range from 0 to 1.",
    tanh: "The hyperbolic tangent tanh squashes any number into the range from −1 to 1.",
    relu: "ReLU keeps positive numbers and sets negative ones to 0.",
    softmax: "Softmax turns numbers (logits) into probabilities: positive, and with the sum 1.",
    log_softmax: "The logarithms of the probabilities that softmax gives.",
    convolution: "A small kernel of weights slides over the image; at each position the products are added.",
    max_pool: "Max pooling: of each window only the largest number is kept.",
    sum_pool: "Sum pooling: the numbers of each window are added.",
    take: "Rows are gathered from a table by index, as an embedding does.",
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

  /** Operations that are written inside a node. */
  const insideOf = (node) =>
    node.inputs
      .map((id) => explanation.nodes[id])
      .filter((one) => !one.shown)
      .flatMap((one) => [one.op, ...insideOf(one)]);

  function forward(node) {
    if (insideOf(node).includes("convolution"))
      return element("p", {
        class: "note",
        text: "A convolution: a small kernel of weights slides over the image. At each position the numbers under it are multiplied by the weights and added, plus the bias.",
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

  const DERIVATIVES = {
    sigmoid: (x, y) => `${x} goes through the sigmoid, whose derivative is ${y} · (1 − ${y}).`,
    tanh: (x, y) => `${x} goes through tanh, whose derivative is 1 − ${y}².`,
    relu: (x) => `ReLU passes the gradient where ${x} is positive and blocks it elsewhere: its derivative is 1 or 0.`,
    max_pool: (x, y) =>
      `Only the largest number of each window reached ${y}, so only that one gets the gradient (ties split it).`,
    softplus: (x) => `${x} goes through softplus, whose derivative is σ(${x}).`,
  };

  function backward(node) {
    const note = (text) => element("p", { class: "note", text });
    if (node.role === "parameter")
      return note(
        "A weight is multiplied by an input, so the derivative of the sum with respect to the weight is that input. The gradient of a weight is the gradient at the sum, times its input. " +
          (node.value.shape.length < 2 ? "For a bias the factor is 1. " : "") +
          (Network.examples() > 1 ? "Every example contributes; the contributions are added." : ""),
      );
    const users = [...usersOf(node.id)],
      x = node.symbol;
    if (users.length !== 1)
      return note(
        `${x} is used by ${users.map((one) => one.symbol).join(" and ")}. The loss depends on ${x} along each of these paths, so their contributions are added.`,
      );
    const [user] = users,
      y = user.symbol;
    if (isWeightedSum(user))
      return note(
        `${x} goes into ${y}, multiplied by a weight. So the gradient at ${y} comes back multiplied by the same weight` +
          (Numbers.sizeOf(user.value.shape) > Numbers.sizeOf(user.value.shape.slice(0, -1))
            ? "; where it goes into several neurons, their contributions are added."
            : "."),
      );
    if (DERIVATIVES[user.op])
      return note(`${DERIVATIVES[user.op](x, y)} The gradient at ${y} is multiplied by that: the chain rule.`);
    const right = user.forward[0]?.right,
      first = right?.arguments?.[0];
    if (user.op === "add" || (user.op === "subtract" && first?.node === node.id))
      return note(`The derivative of ${y} with respect to ${x} is 1: the gradient passes unchanged.`);
    if (user.op === "subtract")
      return note(
        `${x} is subtracted in ${y}: the derivative is −1, and the gradient passes with the opposite sign.`,
      );
    return note(
      `${x} goes into ${y}. ${right && hasSquare(right) ? `The derivative of the square ${x}² is 2 · ${x}. ` : ""}The gradient at ${y}, times the derivative of ${y} with respect to ${x}: the chain rule.`,
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
