/* How one element of a node follows from elements of shown nodes, as an equation. Python gives such
   equations for some elements of each node; the drawing and the chains of small networks need all. */
const Elements = (() => {
  const MAX_TERMS = 64,
    MAX_QUANTITIES = 40_000;
  let explanation;

  const nodeOf = (id) => explanation.nodes[id];
  const call = (op, ...parts) => (parts.includes(null) ? null : { kind: "call", op, arguments: parts });
  const number = (value) => ({
    kind: "quantity",
    symbol: "",
    place: [],
    value,
    of: "number",
    node: null,
    index: 0,
  });
  const add = (terms) =>
    terms.length > MAX_TERMS ? null : terms.length === 1 ? terms[0] : call("add", ...terms);

  /** Index on each axis of an element, and back. */
  function placeOf(shape, index) {
    const place = [];
    for (const extent of [...shape].reverse()) {
      place.unshift(index % extent);
      index = Math.floor(index / extent);
    }
    return place;
  }
  const indexOf = (shape, place) => place.reduce((index, at, axis) => index * shape[axis] + at, 0);

  /** An element as it stands in the equations of others: by name where it has one. */
  function operand(id, index) {
    const node = nodeOf(id);
    if (node.role === "constant" && !node.shown)
      return node.value.data ? number(Numbers.parse(node.value.data[index])) : null;
    return node.shown ? Live.quantity(id, index) : expression(node, index);
  }

  /** The elements of a node's first input that differ from a place only on these axes. */
  function group(node, place, axes) {
    const shape = nodeOf(node.inputs[0]).value.shape;
    let places = [place];
    for (const axis of axes)
      places = places.flatMap((one) =>
        Array.from({ length: shape[axis] }, (_, at) => one.map((old, a) => (a === axis ? at : old))),
      );
    return places.length > MAX_TERMS ? [] : places.map((one) => operand(node.inputs[0], indexOf(shape, one)));
  }

  /** The place in the input of an element of a reduction: the reduced axes are 0. */
  function unreduced(node, place) {
    const kept = [...place];
    return nodeOf(node.inputs[0]).value.shape.map((_, axis) =>
      node.attributes.axes.includes(axis) ? 0 : kept.shift(),
    );
  }

  const exps = (terms) => terms.map((term) => call("exp", term));

  const RULES = {
    broadcast_to(node, place) {
      const { shape } = nodeOf(node.inputs[0]).value,
        lead = place.length - shape.length;
      const from = shape.map((extent, axis) => (extent === 1 ? 0 : place[axis + lead]));
      return operand(node.inputs[0], indexOf(shape, from));
    },
    transpose(node, place) {
      const from = [];
      node.attributes.axes.forEach((axis, i) => {
        from[axis] = place[i];
      });
      return operand(node.inputs[0], indexOf(nodeOf(node.inputs[0]).value.shape, from));
    },
    matmul(node, [row, column]) {
      const [a, b] = node.inputs,
        left = nodeOf(a).value.shape,
        right = nodeOf(b).value.shape;
      if (left.length !== 2 || right.length !== 2) return null;
      const { transpose_a: ta, transpose_b: tb } = node.attributes,
        terms = [];
      for (let k = 0; k < left[ta ? 0 : 1]; k++)
        terms.push(
          call(
            "multiply",
            operand(a, indexOf(left, ta ? [k, row] : [row, k])),
            operand(b, indexOf(right, tb ? [column, k] : [k, column])),
          ),
        );
      return terms.includes(null) ? null : add(terms);
    },
    sum(node, place) {
      const terms = group(node, unreduced(node, place), node.attributes.axes);
      return terms.length && !terms.includes(null) ? add(terms) : null;
    },
    take_along_axis(node, place) {
      const [x, at] = node.inputs,
        index = nodeOf(at).value.data;
      if (!index) return null;
      const { shape } = nodeOf(x).value,
        { axis } = node.attributes;
      const found = index[indexOf(nodeOf(at).value.shape, place)];
      return operand(
        x,
        indexOf(
          shape,
          place.map((old, a) => (a === axis ? (found + shape[axis]) % shape[axis] : old)),
        ),
      );
    },
    softmax(node, place) {
      const terms = group(node, place, [node.attributes.axis]);
      if (!terms.length || terms.includes(null)) return null;
      return call("divide", call("exp", terms[place[node.attributes.axis]]), add(exps(terms)));
    },
    log_softmax(node, place) {
      const terms = group(node, place, [node.attributes.axis]);
      if (!terms.length || terms.includes(null)) return null;
      return call("subtract", terms[place[node.attributes.axis]], call("log", add(exps(terms))));
    },
  };
  const SAME_PLACE = ["reshape", "cast", "identity"];
  /** What a node's element is computed from; null if that cannot be said here. */
  function expression(node, index) {
    if (SAME_PLACE.includes(node.op)) return operand(node.inputs[0], index);
    if (RULES[node.op]) return RULES[node.op](node, placeOf(node.value.shape, index));
    const isKnown = ELEMENTWISE[node.op] && ELEMENTWISE[node.op].derivatives.length;
    const name = { maximum: "max", minimum: "min" }[node.op] || node.op;
    return isKnown ? call(name, ...node.inputs.map((id) => operand(id, index))) : null;
  }

  /** The equation of an element; null if there is none that gives the number that Python has. */
  function equation(id, index) {
    const node = nodeOf(id),
      right = node.inputs.length ? expression(node, index) : null;
    if (!right || !node.value.data) return null;
    const value = Numbers.parse(node.value.data[index]),
      own = Numbers.value(right, Live.number);
    const isTrue = Object.is(value, own) || Math.abs(value - own) <= 1e-5 * Math.max(1, Math.abs(value));
    return isTrue ? { left: Live.quantity(id, index), right, note: "" } : null;
  }

  /** The equations of all elements of the shown nodes, those of Python first, if they are not many. */
  function all(data) {
    explanation = data;
    const found = new Map(),
      key = (one) => `${one.left.node}:${one.left.index}`;
    const isWhole = (one) =>
      one.left.of === "value" &&
      one.left.node !== null &&
      !Numbers.quantities(one.right).some((q) => q.of === "rest");
    const given = [...data.nodes.flatMap((node) => node.forward), ...data.error.examples, ...data.error.batch];
    for (const one of given) if (one.left.of === "value" && !found.has(key(one))) found.set(key(one), one);
    let room = MAX_QUANTITIES;
    for (const node of data.nodes.filter((one) => one.shown && one.inputs.length)) {
      const size = Numbers.sizeOf(node.value.shape),
        first = equation(node.id, 0);
      if (!first) continue;
      room -= size * Numbers.quantities(first.right).length;
      if (room < 0) break;
      for (let index = 0; index < size; index++) {
        const old = found.get(`${node.id}:${index}`);
        const made = old && isWhole(old) ? null : equation(node.id, index);
        if (made) found.set(key(made), made);
      }
    }
    return found;
  }

  return { all };
})();
