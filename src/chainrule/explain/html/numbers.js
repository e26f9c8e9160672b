/* Numbers and equations as text of the page. Everything is made with createElement and textContent:
   no text of a model or table is ever read as markup. */
const SVG = "http://www.w3.org/2000/svg";

/** An element: attributes (functions are listeners, `text` is content), then children. */
function element(name, attributes = {}, ...children) {
  const svg = SVG_NAMES.has(name);
  const made = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(key, value);
    else if (key === "text") made.textContent = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}
const SVG_NAMES = new Set(["svg", "g", "path", "line", "circle", "rect", "text", "title", "tspan"]);
const byId = (id) => document.getElementById(id);
const show = (place, ...children) => place.replaceChildren(...children.flat(Infinity).filter(Boolean));

/** The data of the page, with quantities and calls as they were before `page.packed`. */
function unpacked(text) {
  return JSON.parse(text, (_, value) => {
    const quantity = value?.["=q"],
      call = value?.["=c"];
    if (value?.["=v"]) return withSummary(...value["=v"]);
    if (quantity) {
      const [symbol, place, number, of, node, index] = quantity;
      return { kind: "quantity", symbol, place, value: number, of, node, index };
    }
    return call ? { kind: "call", op: call[0], arguments: call.slice(1) } : value;
  });
}

/** The text of the data: that of large pages is compressed. Calls use(text) with it. */
function inflated(text, use) {
  const packed = /^\s*\{"=z":"([^"]*)"\}\s*$/.exec(text);
  if (!packed) return use(text);
  if (typeof DecompressionStream === "undefined") {
    byId("text").textContent = "This page is compressed, and needs a browser of 2023 or later.";
    return undefined;
  }
  const bytes = Uint8Array.from(atob(packed[1]), (one) => one.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text().then(use);
}

/** An array with the summary of its numbers, as `Values` in Python. */
function withSummary(shape, dtype, data) {
  const BINS = 24,
    all = data.map((one) => Number(Numbers.parse(one))),
    finite = all.filter(Number.isFinite);
  const low = finite.length ? finite.reduce((a, b) => Math.min(a, b)) : 0,
    high = finite.length ? finite.reduce((a, b) => Math.max(a, b)) : 0;
  const square = all.reduce((sum, one) => sum + one * one, 0);
  const histogram = finite.length > 1 && high > low && Number.isFinite(high - low) ? Array(BINS).fill(0) : [];
  if (histogram.length)
    for (const one of finite) histogram[Math.min(BINS - 1, Math.floor(((one - low) / (high - low)) * BINS))] += 1;
  return {
    shape,
    dtype,
    data,
    norm: Math.sqrt(square),
    rms: all.length ? Math.sqrt(square / all.length) : 0,
    mean: finite.length ? finite.reduce((a, b) => a + b, 0) / finite.length : 0,
    low,
    high,
    zeros: all.length ? all.filter((one) => one === 0).length / all.length : 0,
    bad: all.length - finite.length,
    histogram,
  };
}

const Numbers = (() => {
  const MINUS = "−";
  let significant = 6; // digits of numbers
  const UP = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const raised = (whole) =>
    (whole < 0 ? "⁻" : "") + [...String(Math.abs(whole))].map((digit) => UP[digit]).join("");

  /** What the JSON has for a number. */
  function parse(value) {
    return { NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity }[value] ?? value;
  }

  /** A number with so many significant digits, as people write it. */
  function format(value, digits = significant) {
    if (value === null || value === undefined) return "–";
    if (typeof value === "boolean") return value ? "true" : "false";
    if (Number.isNaN(value)) return "NaN";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : MINUS + "∞";
    const size = Math.abs(value),
      sign = value < 0 ? MINUS : "";
    if (size !== 0 && (size < 1e-4 || size >= 1e9)) {
      const [mantissa, power] = size.toExponential(Math.max(0, digits - 1)).split("e");
      return `${sign}${Number(mantissa)} · 10${raised(Number(power))}`;
    }
    return (
      sign +
      (size >= 10 ** (digits - 1)
        ? Math.round(size).toLocaleString("en-US").replaceAll(",", "\u202f")
        : String(Number(size.toPrecision(digits))))
    );
  }

  const sizeOf = (shape) => shape.reduce((total, extent) => total * extent, 1);
  /** An integer, in groups of three digits. */
  const count = (value) =>
    Number.isFinite(Number(value)) ? Number(value).toLocaleString("en-US").replaceAll(",", "\u202f") : "∞";
  const signClass = (value) => (value > 0 ? "positive" : value < 0 ? "negative" : "");

  // ---- expressions ---------------------------------------------------------------------------

  /** The value of an expression; numberOf(quantity) gives the numbers in it. */
  function value(e, numberOf) {
    if (e.kind !== "call") return numberOf(e);
    const v = e.arguments.map((argument) => value(argument, numberOf));
    switch (e.op) {
      case "add":
        return v.reduce((a, b) => a + b, 0);
      case "multiply":
        return v.reduce((a, b) => a * b, 1);
      case "subtract":
        return v[0] - v[1];
      case "divide":
        return v[0] / v[1];
      case "power":
        return v[0] ** v[1];
      case "max":
      case "maximum":
        return Math.max(...v);
      case "min":
      case "minimum":
        return Math.min(...v);
      case "where":
        return v[0] ? v[1] : v[2];
    }
    return ELEMENTWISE[e.op] ? Number(ELEMENTWISE[e.op].of(...v)) : NaN;
  }

  /** The derivative of an expression with respect to the quantities that `is` picks. */
  function derivative(e, is, numberOf) {
    if (e.kind !== "call") return is(e) ? 1 : 0;
    const parts = e.arguments;
    const d = parts.map((argument) => derivative(argument, is, numberOf));
    if (d.every((one) => one === 0) || isTest(e.op)) return 0;
    const v = parts.map((argument) => value(argument, numberOf));
    const best = (pick) => d[v.indexOf(pick(...v))];
    switch (e.op) {
      case "add":
        return d.reduce((a, b) => a + b, 0);
      case "multiply":
        return d.reduce(
          (sum, one, i) =>
            one === 0 ? sum : sum + v.reduce((p, factor, j) => p * (i === j ? one : factor), 1),
          0,
        );
      case "subtract":
        return d[0] - d[1];
      case "divide":
        return d[0] / v[1] - (d[1] * v[0]) / (v[1] * v[1]);
      case "power":
        return (
          (d[0] ? d[0] * v[1] * v[0] ** (v[1] - 1) : 0) + (d[1] ? d[1] * v[0] ** v[1] * Math.log(v[0]) : 0)
        );
      case "max":
      case "maximum":
        return best(Math.max);
      case "min":
      case "minimum":
        return best(Math.min);
      case "where":
        return v[0] ? d[1] : d[2];
    }
    const known = ELEMENTWISE[e.op],
      y = value(e, numberOf);
    return d.reduce((sum, one, i) => (one ? sum + one * (known ? known.derivatives[i](y, ...v) : NaN) : sum), 0);
  }

  /** All quantities of an expression. */
  function quantities(e) {
    return e.kind === "call" ? e.arguments.flatMap(quantities) : [e];
  }

  // ---- writing -------------------------------------------------------------------------------

  let notation = "leibniz",
    placeOf = (q) => q.place || [];

  /** How numbers and names are written: significant digits, "leibniz" or "delta", and which place of
      an element is said. */
  function configure({ digits, notation: chosen }, place) {
    significant = digits;
    notation = chosen;
    placeOf = place;
  }

  /** What stands before the gradient of a number. */
  const gradientSign = () => "∂";
  /** Whether a gradient is written δ: that of a weighted sum z, as in the textbooks. */
  const isDelta = (symbol) => notation === "delta" && /^z(?![A-Za-z.])/.test(symbol);

  /** The name of an element as text: z1[0,2], ∂L/∂z1[0,2], w′. */
  function nameText(q) {
    const at = placeOf(q),
      place = at.length ? `[${at.join(",")}]` : "";
    if (q.of === "gradient")
      return isDelta(q.symbol) ? `δ(${q.symbol})${place}` : `∂L/∂${q.symbol}${place}`;
    return q.of === "new" || q.of === "new state" ? `new ${q.symbol}${place}` : q.symbol + place;
  }

  /** The same for the eye: a number at the end of a name is an index, and so is a time step. */
  function nameNode(q) {
    const text = nameText(q),
      made = element("span", { class: text.length > 14 ? "name long" : "name" });
    const match = /^(.*?[A-Za-zα-ω)])(\d+[a-z]?)?(?:_t(\d+))?(\[[\d,]+\])?$/.exec(text);
    if (!match) made.textContent = text;
    else {
      const [, base, index, time, place] = match;
      made.append(base);
      if (index) made.append(element("sub", { text: index }));
      if (time || place)
        made.append(element("span", { class: "place", text: (time ? ` t=${time} ` : "") + (place || "") }));
    }
    return made;
  }

  const isTest = (op) => Boolean(ELEMENTWISE[op] && ELEMENTWISE[op].test);
  const functionName = (op) => (ELEMENTWISE[op] ? ELEMENTWISE[op].written : null);

  const LEVEL = { add: 1, subtract: 1, multiply: 2, divide: 2, negative: 0.5, power: 4, where: 0 };
  const levelOf = (e) => (e.kind === "call" ? (LEVEL[e.op] ?? (isTest(e.op) ? 0 : 9)) : 9);

  /** An expression, with leaf(quantity, alone) for what stands for a quantity; alone is whether
      nothing stands beside it. */
  function write(e, leaf) {
    if (e.kind !== "call") return leaf(e, true);
    const side = (argument, level) => {
      if (argument.kind !== "call") return leaf(argument, false);
      const inner = write(argument, leaf);
      return levelOf(argument) < level ? ["(", inner, ")"] : inner;
    };
    const joined = (separator, level) =>
      e.arguments.flatMap((argument, i) =>
        i ? [separator, side(argument, level)] : [side(argument, level)],
      );
    switch (e.op) {
      case "add":
        return joined(" + ", 1);
      case "subtract":
        return [side(e.arguments[0], 1), ` ${MINUS} `, side(e.arguments[1], 2)];
      case "multiply":
        return joined(" · ", 2);
      case "divide":
        return [side(e.arguments[0], 2), " / ", side(e.arguments[1], 3)];
      case "negative":
        return [MINUS, side(e.arguments[0], 3)];
      case "power":
        return [side(e.arguments[0], 5), element("sup", {}, write(e.arguments[1], leaf))];
      case "where":
        return [side(e.arguments[1], 1), " if ", side(e.arguments[0], 0), ", else ", side(e.arguments[2], 1)];
    }
    if (isTest(e.op) && e.arguments.length === 2) return joined(` ${ELEMENTWISE[e.op].test} `, 1);
    const name = functionName(e.op) || e.op;
    return [
      name,
      "(",
      e.arguments.flatMap((argument, i) => (i ? [", ", write(argument, leaf)] : [write(argument, leaf)])),
      ")",
    ].flat();
  }

  return {
    parse,
    format,
    count,
    sizeOf,
    signClass,
    functionName,
    value,
    derivative,
    quantities,
    nameText,
    nameNode,
    write,
    configure,
    gradientSign,
    isDelta,
    MINUS,
  };
})();
