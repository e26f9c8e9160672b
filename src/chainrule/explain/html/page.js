/* The steps, one after the other, and what joins the parts of the page. */
const Player = (() => {
  const PHASES = [
    ["forward", "Forward", "Put the inputs in and compute, operation by operation, up to the output."],
    ["error", "Error", "Measure how far the output is from the target: one number, the loss L."],
    ["backward", "Backward", "Go back with the chain rule: how does the loss change when this number changes?"],
    ["update", "Update", "Change every weight a little, in the direction in which the loss falls."],
  ];
  const MAX_STEPS = 24;
  let explanation, steps, current = 0, known;

  // ---- the list of steps ---------------------------------------------------------------------

  const LEAVES = ["parameter", "input", "target", "constant", "buffer"];
  const isLeaf = (node) => LEAVES.includes(node.role);

  function setup(data) {
    explanation = data;
    steps = [...start(), ...forward(), ...error(), ...backward(), ...update()];
    known = { value: new Map(), gradient: new Map(), new: new Map() };
    steps.forEach((step, i) => {
      for (const id of step.nodes || []) if (!known[step.makes].has(id)) known[step.makes].set(id, i);
    });
  }

  function start() {
    const leaves = explanation.nodes.filter((node) => node.role === "input" || node.role === "target");
    return [{ phase: "forward", title: "What is given", nodes: [], makes: "value", focus: leaves.map((node) => node.id),
      body: () => [element("p", { class: "note", text: "These numbers are given: the inputs, and for the error later what should come out. "
        + (Network.isSmall() ? "The weights stand on the lines of the drawing; they are what is learned." : "The weights inside of the layers are what is learned.") }),
        given(leaves), explanation.rows.map(row)] }];
  }

  function given(leaves) {
    return Panels.facts(leaves.flatMap((node) => {
      const size = Numbers.sizeOf(node.value.shape), data = Live.array("value", node.id);
      if (!data || size > 12) return [[node.symbol, `${node.value.shape.join(" × ")} numbers`]];
      return [...data].map((value, index) => {
        const q = Live.quantity(node.id, index), label = Network.labelOf(q), name = Numbers.nameText(q);
        const shown = label === name ? name : `${label} (${name})`;
        return [node.role === "target" ? `${shown}, what should come out` : shown, Numbers.format(value)];
      });
    }));
  }

  /** A row of a table as it stands in the file, and what it is encoded as. */
  function row(one) {
    return element("table", {}, element("caption", { text: `Row ${one.number} of the file` }),
      element("tbody", {}, [...one.cells, one.target, one.prediction ? { column: "the model says", text: one.prediction } : null].filter(Boolean).map((cell) => element("tr", {},
        element("th", { scope: "row", text: cell.column }), element("td", { text: cell.text })))));
  }

  /** Nodes that a target takes part in belong to the error. */
  function ofTheError() {
    const found = new Set(explanation.nodes.filter((node) => node.role === "target").map((node) => node.id));
    for (const node of explanation.nodes)
      if (node.role === "loss" || node.role === "example_loss" || node.inputs.some((id) => found.has(id))) found.add(node.id);
    return found;
  }

  /** What a node is, in a word. */
  function wordOf(node) {
    const words = { input: "an input", target: "what should come out", parameter: "weights" };
    return words[node.role] || (isWeightedSum(node) ? "weighted sum" : node.title);
  }

  /** Steps of single nodes, or of layers where there would be too many. */
  function grouped(nodes, make) {
    if (nodes.length <= MAX_STEPS) return nodes.map((node) => make([node], node.symbol));
    const groups = [], isSame = (a, b) => a.layer === b.layer && (a.step ?? null) === (b.step ?? null);
    for (const node of nodes) {
      const last = groups.at(-1);
      if (last && isSame(last[0], node)) last.push(node); else groups.push([node]);
    }
    return groups.map((members) => {
      const { layer, step: time, symbol } = members[0];
      return make(members, (layer || symbol) + (time === null || time === undefined ? "" : `, time step ${time}`));
    });
  }

  const ids = (nodes) => nodes.map((node) => node.id);

  function forward() {
    const late = ofTheError();
    const nodes = explanation.nodes.filter((node) => node.shown && !isLeaf(node) && !late.has(node.id));
    return grouped(nodes, (members, name) => ({ phase: "forward", title: titleOf(members, name), nodes: ids(members),
      makes: "value", body: () => [members.map(firstBad), members.length === 1 ? [sentence(members[0]), Pictures.inStep(members[0])] : null,
        members.flatMap((node) => body(node, node.forward, members.length))] }));
  }

  const isBad = (node) => node.value.bad > 0;

  /** The shown nodes that are not finite, of those that a node is computed from. */
  function badSources(node) {
    return node.inputs.map((id) => explanation.nodes[id]).filter(isBad)
      .flatMap((one) => (one.shown ? [one.symbol] : badSources(one)));
  }

  /** Where a number that is not finite appears first. */
  function firstBad(node) {
    if (!isBad(node)) return null;
    const from = [...new Set(badSources(node))];
    return element("p", { class: "warning", text: from.length ? `⚠ ${node.symbol} is not finite, because ${from.join(" and ")} is not.`
      : `⚠ Here a NaN or infinity begins: what goes into ${node.symbol} is finite${node.line ? ` (${node.line})` : ""}.` });
  }

  function titleOf(members, name) {
    if (members.length > 1) return name;
    const { layer } = members[0];
    return `${name}: ${wordOf(members[0])}${layer && layer !== "loss" && !Network.isSmall() ? ` in ${layer}` : ""}`;
  }

  function body(node, equations, crowd = 1) {
    if (crowd > 1) return [element("h3", { text: `${node.symbol}: ${wordOf(node)}` }), body(node, equations)];
    if (equations.length) return Panels.equations(equations, 4);
    return [element("p", { text: node.formula }), Panels.statistics(node.symbol, node.value)];
  }

  function error() {
    const late = ofTheError(), nodes = explanation.nodes.filter((node) => late.has(node.id) && !isLeaf(node));
    const { error: told } = explanation, before = nodes.filter((node) => node.shown
      && !["loss", "example_loss"].includes(node.role) && node.forward.length);
    return [{ phase: "error", title: told.name.replaceAll("_", " "), nodes: ids(nodes), makes: "value", body: () => [
      element("p", { class: "note", text: "The loss is small when the output is close to what should come out. Learning makes it smaller." }),
      element("p", { class: "formula", text: told.formula }), before.flatMap((node) => body(node, node.forward)),
      Panels.equations(told.examples, 4), told.batch.length && told.examples.length ? element("p", { class: "note", text: "All examples together:" }) : null,
      Panels.equations(told.batch, 4)] }];
  }

  function backward() {
    const users = firstUsers(), learns = new Set();
    for (const node of explanation.nodes)
      if (node.role === "parameter" || node.inputs.some((id) => learns.has(id))) learns.add(node.id);
    const place = (node) => (node.role === "parameter" ? (users.get(node.id) ?? node.id) - 0.5 : node.id);
    const nodes = explanation.nodes.filter((node) => node.shown && node.gradient && node.backward.length
      && !["input", "target"].includes(node.role) && learns.has(node.id));
    nodes.sort((a, b) => place(b) - place(a) || a.id - b.id);
    const groups = [];
    for (const node of nodes) {
      const last = groups.at(-1);
      if (last && node.role === "parameter" && last[0].role === "parameter" && place(last[0]) === place(node)) last.push(node);
      else groups.push([node]);
    }
    const title = (members) => members[0].role === "parameter"
      ? `Slopes of the weights into ${explanation.nodes[users.get(members[0].id)]?.symbol ?? "the network"}`
      : members.length === 1 ? `How the loss changes with ${members[0].symbol}` : titleOf(members, members[0].symbol);
    const step = (members) => ({ phase: "backward", title: title(members), nodes: ids(members), makes: "gradient",
      body: () => members[0].role === "parameter" || members.length === 1
        ? [backwardSentence(members.at(-1)), members.map((node) => body(node, node.backward))]
        : members.map((node) => [element("h3", { text: node.symbol }), backwardSentence(node), body(node, node.backward)]) });
    if (groups.length <= MAX_STEPS) return groups.map(step);
    return grouped(groups.flat(), (members, name) => ({ ...step(members),
      title: members.length > 1 ? `Back through ${name}` : title(members) }));
  }

  /** For each parameter the first shown node that depends on it. */
  function firstUsers() {
    const found = new Map(), carried = new Map();
    for (const node of explanation.nodes) {
      const sources = node.inputs.flatMap((id) =>
        explanation.nodes[id].role === "parameter" ? [id] : carried.get(id) || []);
      if (!node.shown) carried.set(node.id, sources);
      else for (const id of sources) if (!found.has(id)) found.set(id, node.id);
    }
    return found;
  }

  function update() {
    const { update: told } = explanation;
    const general = { phase: "update", title: told.optimizer === "SGD" ? "Gradient descent (SGD)" : told.optimizer, nodes: [], makes: "new", body: () => [
      element("p", { text: "The slope says in which direction the loss rises. So every weight is moved the other way; how far, the learning rate says." }),
      told.formula.map((text) => element("p", { class: "formula", text: text.replaceAll("`", "") })),
      element("p", { class: "note", text: "Here w is a weight, g its slope ∂L/∂w, and lr the learning rate." }),
      Panels.facts([["learning rate", Numbers.format(Live.rate())], told.schedule ? ["schedule", told.schedule] : null,
        told.step > 1 ? ["step", String(told.step)] : null]), Panels.equations(told.equations)] };
    const members = told.parameters.map((one) => ({ ...explanation.nodes[one.node], one }));
    const one = (parameters, name) => ({ phase: "update", nodes: ids(parameters), makes: "new",
      title: `New ${name}`, body: () => parameters.flatMap(({ one: { equations, change } }) =>
        equations.length ? Panels.equations(equations, 4) : Panels.statistics("change", change)) });
    const steps = members.length <= 12 ? [one(members, "weights")] : grouped(members, (group, name) => one(group, name));
    const last = { phase: "update", title: "The loss after the step", nodes: [], makes: "new", body: () => {
      const { loss, after, predicted } = Live.losses();
      return [Panels.facts([["loss before", Numbers.format(loss)], ["the slopes promised", Numbers.format(predicted)],
        ["loss after", element("b", { text: Numbers.format(after) })]]),
        element("p", { class: "note", text: "The promise holds for tiny steps, because slopes change on the way. Repeating the four steps is all there is to learning." })];
    } };
    return [general, ...steps, last];
  }

  // ---- plain words ---------------------------------------------------------------------------

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
    return right?.kind === "call" && right.op === "add" && right.arguments.some((one) => one.op === "multiply"
      && Numbers.quantities(one).some((q) => q.node !== null && explanation.nodes[q.node].role === "parameter"));
  }

  /** Operations that are written inside of a node. */
  const insideOf = (node) => node.inputs.map((id) => explanation.nodes[id]).filter((one) => !one.shown)
    .flatMap((one) => [one.op, ...insideOf(one)]);

  function sentence(node) {
    if (insideOf(node).includes("convolution"))
      return element("p", { class: "note", text: "A convolution: a small window of weights slides over the image. At each place the numbers under it are multiplied with the weights and added, plus the bias." });
    const hasBias = node.forward[0]?.right.arguments?.some((one) => one.kind !== "call" && one.of === "value");
    const text = isWeightedSum(node) ? `A weighted sum: each input times its weight, all added up${hasBias ? ", plus the bias" : ""}.` : WORDS[node.op];
    return text ? element("p", { class: "note", text }) : null;
  }

  /** The shown nodes that use a node, with those that are not shown looked through. */
  function usersOf(id, found = new Set()) {
    for (const node of explanation.nodes)
      if (node.inputs.includes(id)) node.shown ? found.add(node) : usersOf(node.id, found);
    return found;
  }

  const hasSquare = (e) => e.kind === "call"
    && ((e.op === "power" && e.arguments[0].kind !== "call" && e.arguments[1].value === 2) || e.arguments.some(hasSquare));

  const SLOPES = {
    sigmoid: (x, y) => `${x} goes through the sigmoid, whose slope is ${y} · (1 − ${y}).`,
    tanh: (x, y) => `${x} goes through tanh, whose slope is 1 − ${y}².`,
    relu: (x) => `ReLU lets the gradient through where ${x} is positive and stops it elsewhere.`,
    max_pool: (x, y) => `Only the largest number of each window reached ${y}, so only it gets the gradient (equals share it).`,
    softplus: (x) => `${x} goes through softplus, whose slope is σ.`,
  };

  function backwardSentence(node) {
    const note = (text) => element("p", { class: "note", text });
    if (node.role === "parameter")
      return note("A weight moves the sum as strongly as the number that it multiplies. So its slope is: what arrives at the sum, times that number. "
        + (node.value.shape.length < 2 ? "A bias counts as it is: times 1. " : "")
        + (Network.examples() > 1 ? "Every example has its share; the shares are added." : ""));
    const users = [...usersOf(node.id)], x = node.symbol;
    if (users.length !== 1)
      return note(`${x} goes into ${users.map((one) => one.symbol).join(" and ")}. The loss feels ${x} along each of these ways, so their shares are added.`);
    const [user] = users, y = user.symbol;
    if (isWeightedSum(user)) return note(`${x} goes into ${y}, multiplied by a weight. So what arrives at ${y} comes back multiplied by the same weight`
      + (Numbers.sizeOf(user.value.shape) > Numbers.sizeOf(user.value.shape.slice(0, -1)) ? "; where it goes into several neurons, their shares are added." : "."));
    if (SLOPES[user.op]) return note(`${SLOPES[user.op](x, y)} What arrives at ${y} is multiplied by that: the chain rule.`);
    const right = user.forward[0]?.right, first = right?.arguments?.[0];
    if (user.op === "add" || (user.op === "subtract" && first?.node === node.id)) return note(`${y} grows exactly as fast as ${x}: its slope is 1, and what arrives goes on as it is.`);
    if (user.op === "subtract") return note(`${x} is subtracted in ${y}: the slope is −1, and what arrives goes on with the opposite sign.`);
    return note(`${x} goes into ${y}. ${right && hasSquare(right) ? `The slope of a square ${x}² is 2 · ${x}. ` : ""}What arrives at ${y}, times the slope of ${y} by ${x}: the chain rule.`);
  }

  // ---- where we are --------------------------------------------------------------------------

  const step = () => steps[current];
  const isKnown = (kind, node) => !known[kind].has(node) ? kind === "value" : known[kind].get(node) <= current;
  const isFocus = (id) => (step().focus || step().nodes).includes(id);

  /** Which number of a weight the drawing shows: its value, its slope or its new value. */
  function shownOfWeight(q) {
    if (step().phase === "backward" && isFocus(q.node)) return { ...q, of: "gradient" };
    if (step().phase === "update" && known.new.get(q.node) <= current) return { ...q, of: "new" };
    return { ...q, of: "value" };
  }

  const nodeClass = (neuron) => [neuron.q.node, neuron.pre?.q.node].some((id) => id !== undefined && isFocus(id)) ? "current" : "";

  function edgeClass(a, b, edge) {
    const { phase } = step();
    const weight = edge.weight !== null && isFocus(edge.weight.node);
    return weight || ((phase === "forward" || phase === "error") && nodeClass(b))
      || (phase === "backward" && nodeClass(a)) ? `current ${phase}` : "";
  }

  /** A closed layer is current with what it computes or learns, not with what is given to it. */
  const isWork = (id) => isFocus(id) && !["input", "target"].includes(explanation.nodes[id].role);
  const boxClass = (unit) => ((unit.node === undefined ? unit.nodes.some(isWork) : isFocus(unit.node)) ? "current" : "");
  const linkClass = (link) => (isFocus(step().phase === "backward" ? link.source : link.consumer) ? "current" : "");

  // ---- the player ----------------------------------------------------------------------------

  function go(number) {
    current = Math.max(0, Math.min(steps.length - 1, number));
    draw();
  }

  function draw() {
    phases();
    text();
    Network.draw();
  }

  function phases() {
    show(byId("phases"), element("ol", {}, PHASES.map(([phase, name], i) => {
      const target = steps.findIndex((one) => one.phase === phase);
      return target < 0 ? null : element("li", {}, element("button", { type: "button", "data-phase": phase,
        "aria-current": step().phase === phase ? "step" : null, click: () => go(target) },
        element("span", { class: "digit", text: String(i + 1) }), ` ${name}`));
    })));
  }

  function text() {
    const { phase, title, body: make } = step(), [, name, meaning] = PHASES.find(([one]) => one === phase);
    byId("count").textContent = `step ${current + 1} of ${steps.length}`;
    for (const [id, at] of [["first", 0], ["back", 0], ["next", steps.length - 1], ["last", steps.length - 1]])
      byId(id).disabled = current === at;
    show(byId("text"), element("p", { class: "phase" }, element("b", { text: `${name}. ` }), meaning),
      element("h2", { text: title }), make());
  }

  function keys(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === "Escape" && Chosen.isOpen()) Chosen.close();
    const target = { ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: steps.length - 1 }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    go(target);
  }

  const motion = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth");

  function listen() {
    byId("first").addEventListener("click", () => go(0));
    byId("back").addEventListener("click", () => go(current - 1));
    byId("next").addEventListener("click", () => go(current + 1));
    byId("last").addEventListener("click", () => go(steps.length - 1));
    document.addEventListener("keydown", keys);
  }

  return { setup, go, draw, wordOf, listen, isKnown, shownOfWeight, nodeClass, edgeClass, boxClass, linkClass, motion,
    count: () => steps.length, current: () => current };
})();

const Theme = (() => {
  const root = document.documentElement;
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : preferred.matches);

  function listen(redraw) {
    const name = () => { byId("theme").textContent = isDark() ? "Light" : "Dark"; };
    byId("theme").addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      name();
      redraw();
    });
    preferred.addEventListener("change", () => { name(); redraw(); });
    name();
  }
  return { listen, isDark };
})();

(() => {
  const explanation = JSON.parse(byId("data").textContent);
  Live.setup(explanation);
  Chains.setup(explanation);
  Chosen.setup(explanation);
  Network.setup(explanation);
  Numbers.setNames(explanation.notation, Network.drawnPlace);
  Player.setup(explanation);
  Pictures.setup(explanation);

  const redraw = () => {
    byId("text").setAttribute("aria-live", "off"); // sliders speak for themselves
    Player.draw();
    Chosen.refresh();
    Panels.losses();
    Panels.curve();
    Panels.flow(explanation);
    Pictures.draw();
    byId("text").setAttribute("aria-live", "polite");
  };
  show(byId("story"), explanation.story.map((text) => element("p", { text })));
  Panels.layers(explanation);
  Panels.notes(explanation);
  Panels.sliders();
  Theme.listen(redraw);
  Player.listen();
  Live.follow(redraw);
  let wide = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== wide) { wide = innerWidth; Network.draw(); } });
  redraw();
})();
