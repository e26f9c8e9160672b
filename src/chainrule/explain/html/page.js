/* The current step, and what connects the parts of the page. */
const Player = (() => {
  const PHASES = [
    ["forward", "Forward", "Compute the output from the inputs, operation by operation."],
    ["error", "Error", "Measure how far the output is from the target: one number, the loss L."],
    [
      "backward",
      "Backward",
      "Go back by the chain rule: how does the loss change when this number changes?",
    ],
    ["update", "Update", "Change every weight a little, in the direction in which the loss falls."],
  ];
  let explanation, steps, known;
  let current = 0;

  function setup(data) {
    explanation = data;
    steps = Steps.list(data);
    known = { value: new Map(), gradient: new Map(), new: new Map() };
    steps.forEach((step, i) => {
      for (const id of step.nodes || []) if (!known[step.makes].has(id)) known[step.makes].set(id, i);
    });
  }

  // ---- the current step -----------------------------------------------------------------------

  const step = () => steps[current];
  const isKnown = (kind, node) => {
    if (!known[kind].has(node)) return kind === "value";
    const at = known[kind].get(node);
    return at < current || (at === current && Predict.isDone());
  };
  const isFocus = (id) => (step().focus || step().nodes).includes(id);

  /** Which number of a weight the drawing shows: its value, its gradient or its new value. */
  function shownOfWeight(q) {
    if (step().phase === "backward" && isFocus(q.node)) return { ...q, of: "gradient" };
    if (step().phase === "update" && known.new.get(q.node) <= current) return { ...q, of: "new" };
    return { ...q, of: "value" };
  }

  const nodeClass = (neuron) =>
    [neuron.q.node, neuron.pre?.q.node].some((id) => id !== undefined && isFocus(id)) ? "current" : "";

  function edgeClass(a, b, edge) {
    const { phase } = step();
    const weight = edge.weight !== null && isFocus(edge.weight.node);
    return weight ||
      ((phase === "forward" || phase === "error") && nodeClass(b)) ||
      (phase === "backward" && nodeClass(a))
      ? `current ${phase}`
      : "";
  }

  /** A closed layer is current with what it computes or learns, not with what is given to it. */
  const isWork = (id) => isFocus(id) && !["input", "target"].includes(explanation.nodes[id].role);
  const boxClass = (unit) =>
    (unit.node === undefined ? unit.nodes.some(isWork) : isFocus(unit.node)) ? "current" : "";
  const linkClass = (link) =>
    isFocus(step().phase === "backward" ? link.source : link.consumer) ? "current" : "";

  // ---- the player ----------------------------------------------------------------------------

  function go(number) {
    current = Math.max(0, Math.min(steps.length - 1, number));
    draw();
  }

  function draw() {
    byId("story").hidden = current > 0; // it has been read, and the drawing needs the room
    phases();
    text();
    Network.draw();
    Sliders.lossNow();
  }

  function phases() {
    show(
      byId("phases"),
      element(
        "ol",
        {},
        PHASES.map(([phase, name], i) => {
          const target = steps.findIndex((one) => one.phase === phase);
          return target < 0
            ? null
            : element(
                "li",
                {},
                element(
                  "button",
                  {
                    type: "button",
                    "data-phase": phase,
                    "aria-current": step().phase === phase ? "step" : null,
                    click: () => go(target),
                  },
                  element("span", { class: "digit", text: String(i + 1) }),
                  ` ${name}`,
                ),
              );
        }),
      ),
    );
  }

  function text() {
    byId("count").textContent = `step ${current + 1} of ${steps.length}`;
    for (const [id, at] of [
      ["first", 0],
      ["back", 0],
      ["next", steps.length - 1],
      ["last", steps.length - 1],
    ])
      byId(id).disabled = current === at;
    Predict.begin();
    show(byId("text"), bodyOf(step()));
  }

  function keys(event) {
    if (
      event.altKey ||
      event.ctrlKey ||
      event.metaKey ||
      /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)
    )
      return;
    if (event.key === "Escape" && Chosen.isOpen()) Chosen.close();
    const target = { ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: steps.length - 1 }[
      event.key
    ];
    if (target === undefined) return;
    event.preventDefault();
    go(target);
  }

  const motion = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth");

  const bodyOf = ({ phase, title, body: make }) => {
    const [, name, meaning] = PHASES.find(([one]) => one === phase);
    return [
      element("p", { class: "phase" }, element("b", { text: `${name}. ` }), meaning),
      element("h2", { text: title }),
      make(),
    ];
  };

  /** Paper has no buttons: all steps, one below the other, every box open. */
  function printAll() {
    const was = current;
    current = steps.length - 1; // every number is known
    Network.draw();
    document.body.classList.add("all");
    show(
      byId("text"),
      steps.map((one) => element("section", {}, bodyOf(one))),
    );
    for (let round = 0; round < 3; round++)
      for (const box of byId("text").querySelectorAll("details:not([open])")) openNow(box);
    current = was;
  }
  const openNow = (box) => {
    box.open = true;
    box.dispatchEvent(new Event("toggle"));
  };

  function listen() {
    addEventListener("beforeprint", printAll);
    addEventListener("afterprint", () => {
      document.body.classList.remove("all");
      draw();
    });
    byId("first").addEventListener("click", () => go(0));
    byId("back").addEventListener("click", () => go(current - 1));
    byId("next").addEventListener("click", () => go(current + 1));
    byId("last").addEventListener("click", () => go(steps.length - 1));
    document.addEventListener("keydown", keys);
  }

  return {
    setup,
    go,
    draw,

    listen,
    isKnown,
    shownOfWeight,
    nodeClass,
    edgeClass,
    boxClass,
    linkClass,
    motion,
    printAll,
    count: () => steps.length,
    /** Whether the loss after the step has been reached: it is not given away before. */
    isAtEnd: () => Boolean(step().ends),
    current: () => current,
  };
})();

const Theme = (() => {
  const root = document.documentElement;
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : preferred.matches);

  function listen(redraw) {
    const name = () => {
      byId("theme").textContent = isDark() ? "Light" : "Dark";
    };
    byId("theme").addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      name();
      redraw();
    });
    preferred.addEventListener("change", () => {
      name();
      redraw();
    });
    name();
  }
  return { listen, isDark };
})();

inflated(byId("data").textContent, (text) => {
  const explanation = unpacked(text);
  Live.setup(explanation);
  Chains.setup(explanation);
  Chosen.setup(explanation);
  Network.setup(explanation);
  Numbers.configure(explanation, Network.drawnPlace);
  for (const sign of document.querySelectorAll(".gradient-sign")) sign.textContent = Numbers.gradientSign();
  Words.setup(explanation);
  Player.setup(explanation);
  Pictures.setup(explanation);

  const redraw = () => {
    byId("text").setAttribute("aria-live", "off"); // sliders speak for themselves
    Player.draw();
    Chosen.refresh();
    Sliders.curve();
    Overview.flow(explanation);
    Pictures.draw();
    Plane.draw();
    byId("text").setAttribute("aria-live", "polite");
  };
  show(
    byId("story"),
    explanation.story.map((text) => element("p", { text })),
  );
  Overview.layers(explanation);
  Overview.chains(explanation);
  Overview.notes(explanation);
  Sliders.showAll();
  Plane.setup(explanation);
  Predict.setup(explanation);
  Symbols.setup(explanation);
  Theme.listen(redraw);
  Player.listen();
  Live.follow(redraw);
  let wide = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== wide) {
      wide = innerWidth;
      Network.draw();
    }
  });
  redraw();
  document.documentElement.dataset.ready = "";
});
