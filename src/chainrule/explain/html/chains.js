/* The chain rule along the equations of the page: what depends on an element, with which derivative,
   and every path from it to the loss. */
const Chains = (() => {
  const keyOf = (q) => `${q.node}:${q.index}`;
  let equations, uses, goal, memory;

  /** Every element that has an equation, and who uses it. */
  function setup(explanation) {
    equations = Elements.all(explanation);
    uses = new Map();
    memory = new Map();
    goal = `${explanation.error.node}:0`;
    for (const equation of equations.values()) {
      const sources = new Set(Numbers.quantities(equation.right).filter(isElement).map(keyOf));
      for (const source of sources) {
        if (!uses.has(source)) uses.set(source, []);
        uses.get(source).push(equation);
      }
    }
  }

  const isElement = (q) => q.of === "value" && q.node !== null;
  const forget = () => memory.clear();

  /** ∂left/∂element of one equation. */
  function factor(equation, key) {
    return Numbers.derivative(equation.right, (q) => isElement(q) && keyOf(q) === key, Live.number);
  }

  /** ∂L/∂element: the sum over all paths, and how many there are. */
  function toLoss(key) {
    if (key === goal) return { derivative: 1, count: 1 };
    if (!memory.has(key)) {
      let derivative = 0,
        count = 0;
      for (const equation of uses.get(key) || []) {
        const onward = toLoss(keyOf(equation.left));
        derivative += onward.derivative * factor(equation, key);
        count += onward.count;
      }
      memory.set(key, { derivative, count });
    }
    return memory.get(key);
  }

  /** The paths from an element to the loss with the largest contributions. */
  function paths(key, limit = 24) {
    let found = [{ at: key, links: [], product: 1 }],
      done = [];
    while (found.length) {
      const next = [];
      for (const path of found) {
        if (path.at === goal) {
          done.push(path);
          continue;
        }
        for (const equation of uses.get(path.at) || []) {
          const value = factor(equation, path.at),
            to = keyOf(equation.left);
          if (toLoss(to).count)
            next.push({
              at: to,
              links: [...path.links, { equation, value, from: path.at }],
              product: path.product * value,
            });
        }
      }
      const weight = (path) => Math.abs(path.product * toLoss(path.at).derivative);
      found = next.sort((a, b) => weight(b) - weight(a)).slice(0, limit);
    }
    return done.sort((a, b) => Math.abs(b.product) - Math.abs(a.product)).slice(0, limit);
  }

  return {
    setup,
    forget,
    factor,
    toLoss,
    paths,
    keyOf,
    equation: (key) => equations.get(key),
    /** The equations of all elements of a node, as far as there are any. */
    equationsOf: (node) =>
      Array.from({ length: Numbers.sizeOf(node.value.shape) }, (_, index) =>
        equations.get(`${node.id}:${index}`),
      ).filter(Boolean),
    users: (key) => uses.get(key) || [],
  };
})();
