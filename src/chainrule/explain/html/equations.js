/* Equations and lists of numbers, as the panels show them. */
const Equations = (() => {
  const { format, nameNode, nameText } = Numbers;

  /** left = names = numbers = result. */
  function one({ left, right, note }) {
    const numberOf = Live.within(left, right);
    const isLone = right.kind !== "call";
    const written = (q, alone) => {
      const text = format(q.of === "number" ? Numbers.parse(q.value) : numberOf(q));
      return alone || !(text.startsWith(Numbers.MINUS) || text.includes("·")) ? text : `(${text})`;
    };
    const named = (q, alone) =>
      q.of === "number" ? written(q, alone) : q.of === "rest" ? element("i", { text: q.symbol }) : link(q);
    const lines = [line("=", Numbers.write(right, named), "names")];
    if (!isLone) lines.push(line("=", Numbers.write(right, written), "numbers"));
    const result = Predict.hides(left)
      ? Predict.blank(left)
      : element("b", { text: format(Live.number(left)) });
    lines.push(line("=", [result], "result"));
    const isLong = nameText(left).length > 14;
    return element(
      "div",
      { class: isLong ? "equation stacked" : "equation", "data-left": nameText(left) },
      element("div", { class: "left" }, link(left)),
      element("div", { class: "lines" }, lines),
      note && !note.startsWith("time step") ? element("p", { class: "note", text: note }) : null,
    );
  }

  const line = (sign, content, kind) =>
    element(
      "div",
      { class: kind },
      element("span", { class: "sign", text: sign }),
      " ",
      element("span", { class: "right" }, content),
    );

  /** The name of an element; a click shows it. */
  function link(q) {
    const made = nameNode(q);
    if (q.node !== null && q.node !== undefined) {
      made.classList.add("link");
      made.addEventListener("click", () => Chosen.quantity(q));
    }
    return made;
  }

  /** Equations, the first few at once and the rest on demand; first those of the drawn example. */
  function all(list, few = 6) {
    const isFirst = ({ left }) => Network.isSmall() && Network.isDrawn(left);
    const sorted = [...list.filter(isFirst), ...list.filter((equation) => !isFirst(equation))];
    const rest = sorted.slice(few);
    return [
      ...sorted.slice(0, few).map((equation) => one(equation)),
      rest.length ? later(`${rest.length} more`, () => rest.map((equation) => one(equation))) : null,
    ];
  }

  /** Something that is made when it is opened. */
  function later(title, make) {
    const box = element(
      "details",
      {
        toggle: () => {
          if (box.open && box.childElementCount === 1) box.append(...[make()].flat(Infinity).filter(Boolean));
        },
      },
      element("summary", { text: title }),
    );
    return box;
  }

  const facts = (rows) =>
    element(
      "dl",
      {},
      rows
        .filter(Boolean)
        .map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
    );
  function statistics(name, values) {
    const shape = values.shape.length ? values.shape.join(" × ") : "one number";
    const text = values.shape.length
      ? `${shape}: RMS ${format(Numbers.parse(values.rms), 3)}, mean ${format(Numbers.parse(values.mean), 3)}, from ${format(Numbers.parse(values.low), 3)} to ${format(Numbers.parse(values.high), 3)}` +
        (values.zeros ? `, ${format(100 * values.zeros, 3)} % zeros` : "") +
        (values.bad ? `, ${values.bad} NaN or infinite` : "")
      : format(values.data ? Numbers.parse(values.data[0]) : Numbers.parse(values.mean));
    return element(
      "div",
      { class: "statistics" },
      element("span", { class: "what", text: name }),
      histogram(values),
      element("span", { text }),
    );
  }

  function histogram(values) {
    const bins = values.histogram;
    if (!bins.length) return null;
    const top = Math.max(...bins, 1),
      width = 6;
    const low = format(Numbers.parse(values.low), 3),
      high = format(Numbers.parse(values.high), 3);
    return element(
      "svg",
      {
        class: "histogram",
        viewBox: `0 0 ${bins.length * width} 34`,
        role: "img",
        "aria-label": `Histogram of ${bins.length} bins from ${low} to ${high}`,
      },
      bins.map((count, i) =>
        element("rect", {
          x: i * width,
          width: width - 1,
          y: 34 - (33 * count) / top - (count ? 1 : 0),
          height: (33 * count) / top + (count ? 1 : 0),
        }),
      ),
    );
  }

  return { one, all, link, later, facts, statistics };
})();
