/* Sliders for inputs, weights and the learning rate, and the steps that can be taken with them. */
const Sliders = (() => {
  const { format, nameText } = Numbers;
  const MAX_SLIDERS = 40;

  /** Beside the drawing: the learning rate, steps, the loss now. */
  function quick() {
    show(
      byId("quick"),
      Live.hasRate() ? rateSlider() : null,
      element(
        "div",
        { class: "actions" },
        [1, 10, 100].map((times) =>
          element("button", {
            type: "button",
            class: "step-button",
            text: times === 1 ? "Take this step" : `${times} steps`,
            click: () => Live.takeSteps(times),
          }),
        ),
        element("button", { type: "button", id: "reset", text: "Reset", click: () => Live.reset() }),
        element("span", { id: "loss-now", role: "status" }),
      ),
    );
  }

  /** The loss, once it is known. */
  function lossNow() {
    const place = byId("loss-now"),
      node = Live.lossNode();
    if (place)
      place.textContent = Player.isKnown("value", node) ? `L = ${format(Live.losses().loss, 4)}` : "L = ?";
  }

  /** The section with all of them. */
  function showAll() {
    if (Live.canRun()) quick();
    const place = byId("try");
    if (!Live.canRun()) {
      show(
        place,
        element("h2", { id: "try-title", text: "Try it yourself" }),
        element("p", {
          class: "note",
          text: Live.whyNot(),
        }),
      );
      return;
    }
    const groups = { input: [], target: [], parameter: [] };
    for (const knob of Live.knobs())
      for (let index = 0; index < knob.size; index++) groups[knob.role].push([knob, index]);
    const rows = (kind) => groups[kind].slice(0, MAX_SLIDERS).map(([knob, index]) => of(knob, index));
    const inputs = groups.input.length + groups.target.length;
    const box = (name, open, kind) => {
      if (!groups[kind].length) return null;
      if (groups[kind].length > MAX_SLIDERS)
        return element("p", {
          class: "note",
          text: `${name}: ${groups[kind].length} numbers; click one in the drawing or in an equation for its slider.`,
        });
      return element(
        "details",
        { open },
        element("summary", { text: name }),
        element("div", { class: "sliders" }, rows(kind)),
      );
    };
    show(
      place,
      element("h2", { id: "try-title", text: "Try it yourself" }),
      element("p", {
        class: "note",
        text: "Move a slider: every number on this page is computed again, here in the page, in full precision.",
      }),
      box("Inputs", inputs <= 12, "input"),
      box("Targets", inputs <= 12, "target"),
      box("Weights", groups.parameter.length <= 12, "parameter"),
      element("div", { id: "curve" }),
    );
  }

  /** The slider of one element of an input of the graph. */
  function of({ place, node, role }, index, prefix = "") {
    const start = Live.initial(place, index),
      reach = Number.isFinite(start) ? Math.max(2 * Math.abs(start), 1) : 1;
    return track(
      `${prefix}knob-${place}-${index}`,
      knobName(node, role, index),
      -reach,
      reach,
      () => Live.input(place, index),
      (value) => Live.set(place, index, value),
    );
  }

  const rateSlider = () =>
    track("knob-rate", "learning rate", 0, Math.max(4 * Live.rate(), 1e-9), Live.rate, Live.setRate);

  const asInput = (value) => (Number.isFinite(value) ? value : "");

  /** A slider with its number. */
  function track(id, name, low, high, now, set) {
    const range = element("input", {
      type: "range",
      id,
      min: low,
      max: high,
      step: "any",
      "aria-valuetext": format(now()),
      input: (event) => change(Number(event.target.value), number),
    });
    const number = element("input", {
      type: "number",
      step: "any",
      "aria-label": `${name}, as a number`,
      value: asInput(now()),
      change: (event) => {
        if (event.target.value !== "") change(Number(event.target.value), range);
      },
    });
    range.value = asInput(now());
    const change = (value, other) => {
      if (!Number.isFinite(value)) return;
      other.value = value;
      range.setAttribute("aria-valuetext", format(value));
      set(value);
    };
    // Arrow keys of a range whose step is "any" move by a hundredth of it.
    range.addEventListener("keydown", (event) => {
      const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!way) return;
      event.preventDefault();
      range.value = Number(range.value) + (way * (high - low)) / 100;
      change(Number(range.value), number);
    });
    Live.follow(() => {
      if (document.activeElement !== range) range.value = asInput(now());
      if (document.activeElement !== number) number.value = asInput(Number(now().toPrecision(8)));
    }, range);
    return element("div", { class: "slider" }, element("label", { for: id, text: name }), range, number);
  }

  function knobName(node, role, index) {
    const q = Live.quantity(node, index);
    return role === "parameter" || Network.examples() > 1 ? nameText(q) : Network.labelOf(q);
  }

  /** The loss over the steps that were taken. */
  function curve() {
    const place = byId("curve"),
      history = Live.history();
    lossNow();
    if (!place) return;
    if (history.length < 2) {
      show(place);
      return;
    }
    show(
      place,
      element("p", {
        class: "note",
        text: `Loss over ${history.length - 1} steps: from ${format(history[0])} to ${format(history.at(-1))}`,
      }),
      Charts.lines([{ name: "loss L", points: history.map((loss, i) => [i, loss]), kind: "after" }], {
        title: `The loss over ${history.length - 1} steps`,
        x: "steps",
        y: "L",
      }),
    );
  }

  return { showAll, of, curve, lossNow };
})();
