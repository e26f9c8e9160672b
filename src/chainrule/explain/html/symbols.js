/* What the symbols mean, in reach from everywhere. */
const Symbols = (() => {
  const ROLES = {
    input: "an input",
    target: "the target: what the output should be",
    output: "the output of the network",
    example_loss: "the loss of one example",
    loss: "the loss: what training makes smaller",
  };
  const LETTERS = {
    e: "the error: output − target",
    z: "a weighted sum",
    a: "an activation: a function of a weighted sum",
    scaled: "an input, scaled",
    weights: "weights of an attention",
    i: "the input gate",
    f: "the forget gate",
    g: "the candidate",
    o: "the output gate",
    c: "the cell state",
    h: "the hidden state",
    tanh_c: "tanh of the cell state",
    r: "the reset gate",
    u: "the update gate",
    n: "the candidate",
  };

  function meaning(node) {
    const letter = node.symbol.replace(/_t\d+$/, "").replace(/\d+[a-z]?$/, "");
    const said = ROLES[node.role] || LETTERS[letter] || node.title;
    return node.role === "hidden" && node.title && !ROLES[node.role] && letter === "a"
      ? `${said} (${node.title})`
      : said;
  }

  function rows(explanation) {
    const found = new Map();
    for (const node of explanation.nodes) {
      if (!node.shown || !node.symbol || node.role === "parameter" || node.role === "constant") continue;
      const name = node.symbol.replace(/_t\d+$/, "");
      if (!found.has(name) && found.size < 24) found.set(name, meaning(node));
    }
    const gradient = Numbers.isDelta("z") ? "δ(z)" : "∂L/∂z";
    const list = [...found];
    if (explanation.error.probabilities.length) list.push(["p", "the probability that the output stands for"]);
    list.push(
      ["w, b", "a weight and a bias: learned numbers"],
      [gradient, "the gradient: how the loss L changes when z changes"],
      ["w′", "a weight after the update"],
      ["lr", "the learning rate: how long a step is"],
    );
    return list;
  }

  function setup(explanation) {
    const place = byId("symbols"),
      button = byId("symbols-button");
    show(place, Equations.facts(rows(explanation)));
    button.addEventListener("click", () => {
      place.hidden = !place.hidden;
      button.setAttribute("aria-expanded", String(!place.hidden));
    });
  }

  return { setup };
})();
