/* Line charts with axes and numbers on them. */
const Charts = (() => {
  /** About so many round numbers between two. */
  function ticks(low, high, count) {
    const span = high - low || Math.abs(high) || 1,
      raw = span / count,
      power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((k) => k * power).find((one) => one >= raw * 0.999);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step);
    return found.map((one) => Number(one.toPrecision(12)));
  }

  function extent(values) {
    const finite = values.filter(Number.isFinite);
    if (!finite.length) return [0, 1];
    const low = Math.min(...finite),
      high = Math.max(...finite);
    return low === high ? [low - 0.5, high + 0.5] : [low, high];
  }

  /** Series {name, points: [[x, y]], kind} in one pair of axes; marks are points that stand out. */
  function lines(series, { title, x, y, marks = [], width = 520, height = 230, ticksX = 6 }) {
    const points = [...series.flatMap((one) => one.points), ...marks].filter(([, v]) => Number.isFinite(v));
    const [left, right] = extent(points.map(([a]) => a)),
      [low, high] = extent(points.map(([, b]) => b));
    const box = { left: 62, right: width - 12, top: 14, bottom: height - 42 };
    const atX = (v) => box.left + ((v - left) / (right - left)) * (box.right - box.left);
    const atY = (v) => box.bottom - ((v - low) / (high - low)) * (box.bottom - box.top);
    const svg = element("svg", {
      viewBox: `0 0 ${width} ${height}`,
      class: "chart",
      role: "img",
      "aria-label": `${title}. ${series.map(spoken).join(" ")}`,
    });
    for (const v of ticks(low, high, 4))
      svg.append(
        element("line", { class: "rule", x1: box.left, x2: box.right, y1: atY(v), y2: atY(v) }),
        element("text", { class: "tick y", x: box.left - 6, y: atY(v) + 4, text: Numbers.format(v, 3) }),
      );
    for (const v of ticks(left, right, ticksX))
      svg.append(
        element("line", { class: "rule", x1: atX(v), x2: atX(v), y1: box.bottom, y2: box.bottom + 4 }),
        element("text", { class: "tick", x: atX(v), y: box.bottom + 17, text: Numbers.format(v, 4) }),
      );
    svg.append(
      element("line", { class: "axis", x1: box.left, x2: box.left, y1: box.top, y2: box.bottom }),
      element("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
      element("text", { class: "tick", x: (box.left + box.right) / 2, y: height - 6, text: x }),
      element("text", { class: "tick", x: 14, y: (box.top + box.bottom) / 2, text: y }),
    );
    for (const one of series) {
      const drawn = one.points.filter(([, v]) => Number.isFinite(v));
      if (drawn.length)
        svg.append(
          element("path", {
            class: `curve ${one.kind}`,
            d: `M ${drawn.map(([a, b]) => `${atX(a).toFixed(1)},${atY(b).toFixed(1)}`).join(" L ")}`,
          }),
        );
    }
    for (const [a, b] of marks)
      if (Number.isFinite(b)) svg.append(element("circle", { class: "dot", cx: atX(a), cy: atY(b), r: 4 }));
    return element(
      "figure",
      { class: "chart-box" },
      svg,
      element(
        "figcaption",
        {},
        series.map(({ name, kind }) => [element("span", { class: `key ${kind}` }), `${name} `]),
      ),
    );
  }

  function spoken({ name, points }) {
    if (!points.length) return "";
    return `${name}: from ${Numbers.format(points[0][1])} to ${Numbers.format(points.at(-1)[1])}.`;
  }

  return { lines, ticks };
})();
