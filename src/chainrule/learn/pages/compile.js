/* Compiles a graph to WebAssembly within the page: a module of the same graph that `evaluate.js` runs,
   written byte by byte (https://webassembly.github.io/spec/core/binary/). Loops over single elements
   are fused. Sums and products add in the order of `evaluate.js`, and what WebAssembly has no instruction
   for (tanh, exp) is computed by the same JavaScript, so that every number is the same to the last bit. */
const Compiled = (() => {
  const PAGE = 65536,
    MOST_BYTES = 2 ** 26,
    BYTES = 8; // of a float64

  // ---- bytes ---------------------------------------------------------------------------------

  function unsigned(n) {
    const found = [];
    do {
      found.push((n & 127) | (n > 127 ? 128 : 0));
      n >>>= 7;
    } while (n);
    return found;
  }
  function signed(n) {
    const found = [];
    for (;;) {
      const low = n & 127;
      n >>= 7;
      if ((n === 0 && low < 64) || (n === -1 && low > 63)) return [...found, low];
      found.push(low | 128);
    }
  }
  function double(value) {
    const bytes = new DataView(new ArrayBuffer(BYTES));
    bytes.setFloat64(0, value, true);
    return Array.from({ length: BYTES }, (_, i) => bytes.getUint8(i));
  }
  const list = (items) => [...unsigned(items.length), ...items.flat()];
  const named = (name) => list([...name].map((letter) => [letter.charCodeAt(0)]));
  function section(number, items) {
    const body = list(items);
    return [number, ...unsigned(body.length), ...body];
  }

  // ---- instructions --------------------------------------------------------------------------

  const INT = 0x7f,
    FLOAT = 0x7c;
  /** Local variables: the place of an element and of its column, in bytes; of both factors of a
      product, where their row and column begin; a countdown; a sum. */
  const [I, C, A, B, ROW, COLUMN, LEFT, SUM] = [0, 1, 2, 3, 4, 5, 6, 7];
  const get = (local) => [0x20, local];
  const set = (local, code) => [...code, 0x21, local];
  const int = (n) => [0x41, ...signed(n)];
  const float = (value) => [0x44, ...double(value)];
  const load = (at, address) => [...at, 0x2b, 3, ...unsigned(address)];
  const store = (at, value, address) => [...at, ...value, 0x39, 3, ...unsigned(address)];
  const plus = (local, step) => set(local, [...get(local), ...int(step), 0x6a]);
  const addUp = (value) => set(SUM, [...get(SUM), ...value, 0xa0]);
  const repeat = (body, condition) => [0x03, 0x40, ...body, ...condition, 0x0d, 0, 0x0b];
  const below = (local, limit) => [...get(local), ...int(limit), 0x49];
  /** body again and again while local, in steps, is below a limit; once at least. */
  const loop = (local, step, limit, body) => repeat([...body, ...plus(local, step)], below(local, limit));

  /** What operations on single elements are in WebAssembly, after their operands. */
  const NATIVE = {
    add: [0xa0], subtract: [0xa1], multiply: [0xa2], divide: [0xa3], minimum: [0xa4], maximum: [0xa5],
    negative: [0x9a], abs: [0x99], sqrt: [0x9f], floor: [0x9c], ceil: [0x9b], round: [0x9e],
    relu: [...float(0), 0xa5],
  };
  const TESTS = { equal: 0x61, not_equal: 0x62, less: 0x63, greater: 0x64, less_equal: 0x65, greater_equal: 0x66 };
  const isNative = ({ op }) => Object.hasOwn(NATIVE, op) || Object.hasOwn(TESTS, op) || op === "where";

  // ---- from graph to instructions --------------------------------------------------------------

  const sizeOf = (shape) => shape.reduce((total, extent) => total * extent, 1);
  /** Thrown by what has no compiled form: the graph is then left to `evaluate.js`. */
  class Unknown extends Error {}

  class Writer {
    constructor(graph, wanted) {
      this.graph = graph;
      this.wanted = new Set(wanted);
      this.needed = [...Graphs.until(graph, wanted)].sort((a, b) => a - b);
      this.users = graph.nodes.map(() => []);
      for (const place of this.needed)
        for (const source of graph.nodes[place].inputs) this.users[source].push(graph.nodes[place]);
      this.calls = []; // what JavaScript computes: result, operands, node
      this.addresses = new Map();
      this.bytes = BYTES; // no array lies at 0
      for (const place of new Set([...graph.inputs, ...this.needed])) this.reserve(place);
    }
    node(place) {
      return this.graph.nodes[place];
    }
    shape(place) {
      return this.node(place).type[1];
    }
    size(place) {
      return sizeOf(this.shape(place));
    }
    isNumber(place) {
      return this.node(place).op === "constant" && this.size(place) === 1;
    }
    /** Whether an element is computed where it is used, and nowhere else. */
    isFused(place) {
      const node = this.node(place),
        [user, another] = this.users[place];
      if (!isNative(node) || this.wanted.has(place) || another || !user) return false;
      return isNative(user) || user.op === "sum";
    }
    reserve(place) {
      const { op, type } = this.node(place);
      if (!["float64", "bool"].includes(type[0]) || !this.size(place)) throw new Unknown(op);
      if (op === "broadcast_to" || this.isNumber(place) || this.isFused(place)) return;
      this.addresses.set(place, this.bytes);
      this.bytes += BYTES * this.size(place);
      if (this.bytes > MOST_BYTES) throw new Unknown("memory");
    }

    /** The node that a place is read from, and by which index: of all elements, of a row, or none. */
    source(place) {
      const node = this.node(place);
      if (node.op !== "broadcast_to") return { from: place, by: I };
      const inner = this.source(node.inputs[0]),
        shape = this.shape(node.inputs[0]);
      if (sizeOf(shape) === this.size(place)) return inner;
      if (sizeOf(shape) === 1) return { from: inner.from, by: null };
      if (shape.length === 1 && shape[0] === node.type[1].at(-1) && inner.by === I) return { from: inner.from, by: C };
      throw new Unknown("broadcast_to");
    }
    /** An array in memory, all of it. */
    array(place) {
      const { from, by } = this.source(place);
      if (by !== I || !this.addresses.has(from)) throw new Unknown("operand");
      return this.addresses.get(from);
    }
    value(place) {
      const { from, by } = this.source(place);
      if (this.isNumber(from)) return float(this.node(from).value.data[0]);
      if (!this.addresses.has(from)) return this.expression(from);
      if (by === C) this.hasRows = true;
      return load(by === null ? int(0) : get(by), this.addresses.get(from));
    }
    truth(place) {
      const { op, inputs } = this.node(place);
      if (Object.hasOwn(TESTS, op) && !this.addresses.has(place)) return this.test(op, inputs);
      return [...this.value(place), ...float(0), 0x62];
    }
    test(op, inputs) {
      return [...inputs.flatMap((one) => this.value(one)), TESTS[op]];
    }
    expression(place) {
      const { op, inputs } = this.node(place);
      if (op === "where") return [...this.value(inputs[1]), ...this.value(inputs[2]), ...this.truth(inputs[0]), 0x1b];
      if (Object.hasOwn(TESTS, op)) return [...this.test(op, inputs), 0xb8];
      return [...inputs.flatMap((one) => this.value(one)), ...NATIVE[op]];
    }

    /** What make() gives, for every element of a shape. */
    each(shape, make) {
      this.hasRows = false;
      const body = make(),
        end = BYTES * sizeOf(shape);
      const start = set(I, int(0));
      if (!this.hasRows) return [...start, ...loop(I, BYTES, end, body)];
      const row = [...set(C, int(0)), ...loop(C, BYTES, BYTES * shape.at(-1), [...body, ...plus(I, BYTES)])];
      return [...start, ...repeat(row, below(I, end))];
    }
    elements(place) {
      const address = this.addresses.get(place);
      return this.each(this.shape(place), () => store(get(I), this.expression(place), address));
    }
    sum(place) {
      const { inputs, attributes } = this.node(place),
        shape = this.shape(inputs[0]),
        address = this.addresses.get(place);
      const axes = new Set(attributes.axes),
        zero = set(SUM, float(0)),
        end = BYTES * sizeOf(shape);
      if (axes.size === shape.length)
        return [...zero, ...this.each(shape, () => addUp(this.value(inputs[0]))), ...store(int(0), get(SUM), address)];
      if (shape.length !== 2 || !axes.has(0)) throw new Unknown("sum");
      const column = loop(I, BYTES * shape[1], end, addUp(this.value(inputs[0])));
      const body = [...zero, ...set(I, get(C)), ...column, ...store(get(C), get(SUM), address)];
      return [...set(C, int(0)), ...loop(C, BYTES, BYTES * shape[1], body)];
    }
    matmul(place) {
      const { inputs, attributes } = this.node(place),
        [n, m] = this.shape(place);
      const [left, right] = inputs.map((one) => this.array(one));
      const { transpose_a: turnedA, transpose_b: turnedB } = attributes,
        k = this.shape(inputs[0])[turnedA ? 0 : 1];
      if (inputs.some((one) => this.shape(one).length !== 2)) throw new Unknown("matmul");
      const product = [...load(get(A), left), ...load(get(B), right), 0xa2];
      const inner = [...addUp(product), ...plus(A, BYTES * (turnedA ? n : 1)), ...plus(B, BYTES * (turnedB ? 1 : m))];
      const countdown = [...get(LEFT), ...int(1), 0x6b, 0x22, LEFT];
      const element = [
        ...set(SUM, float(0)), ...set(A, get(ROW)), ...set(B, get(COLUMN)), ...set(LEFT, int(k)),
        ...repeat(inner, countdown),
        ...store(get(I), get(SUM), this.addresses.get(place)), ...plus(I, BYTES),
      ];
      const columnStep = BYTES * (turnedB ? k : 1);
      const row = [...set(COLUMN, int(0)), ...loop(COLUMN, columnStep, columnStep * m, element), ...plus(ROW, BYTES * (turnedA ? 1 : k))];
      return [...set(I, int(0)), ...set(ROW, int(0)), ...repeat(row, below(I, BYTES * n * m))];
    }
    /** Elements that JavaScript computes: one call for all of them. */
    call(place) {
      const { op, inputs } = this.node(place);
      if (!Object.hasOwn(ELEMENTWISE, op)) throw new Unknown(op);
      this.calls.push({ place, operands: inputs.map((one) => [this.array(one), this.size(one)]) });
      return [0x10, ...unsigned(this.calls.length - 1)];
    }
    copy(to, from) {
      const element = load(get(I), this.addresses.get(from));
      return this.each(this.shape(to), () => store(get(I), element, this.addresses.get(to)));
    }
    statement(place) {
      const node = this.node(place);
      if (!this.addresses.has(place) || ["placeholder", "constant"].includes(node.op)) return [];
      if (isNative(node)) return this.elements(place);
      if (node.op === "sum") return this.sum(place);
      if (node.op === "matmul") return this.matmul(place);
      return this.call(place);
    }
    /** The module. It exports "run", and imports its memory and what JavaScript computes. */
    module(carried) {
      const body = [
        ...this.needed.flatMap((place) => this.statement(place)),
        ...carried.flatMap(([to, from]) => this.copy(to, from)),
        0x0b,
      ];
      const code = [...list([[7, INT], [1, FLOAT]]), ...body];
      const functions = this.calls.map((_, i) => [...named("js"), ...named(`f${i}`), 0, 0]);
      const memory = [...named("js"), ...named("memory"), 2, 0, ...unsigned(this.pages())];
      return Uint8Array.from([
        0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
        ...section(1, [[0x60, 0, 0]]),
        ...section(2, [...functions, memory]),
        ...section(3, [[0]]),
        ...section(7, [[...named("run"), 0, ...unsigned(this.calls.length)]]),
        ...section(10, [[...unsigned(code.length), ...code]]),
      ]);
    }
    pages() {
      return Math.ceil(this.bytes / PAGE);
    }
  }

  // ---- the program ---------------------------------------------------------------------------

  function functionOf({ of }, y, operands, how) {
    const [a, b, c] = operands;
    return () => {
      if (c) for (let i = 0; i < y.length; i++) y[i] = of(a[i], b[i], c[i], how);
      else if (b) for (let i = 0; i < y.length; i++) y[i] = of(a[i], b[i], how);
      else for (let i = 0; i < y.length; i++) y[i] = of(a[i], how);
    };
  }

  let isRefused = typeof WebAssembly === "undefined"; // by this browser, whatever the graph is

  /** A program that computes these places of a graph, as `Graphs.read` made it, from its inputs.
      carried: [to, from] of inputs that get the value of a place at the end of each run. at(place) is the
      array of an input or of a computed place. null where graph or browser cannot be compiled. */
  function compile(graph, wanted, carried = []) {
    if (isRefused) return null;
    let writer, bytes;
    try {
      writer = new Writer(graph, [...wanted, ...carried.map(([, from]) => from)]);
      bytes = writer.module(carried);
    } catch (error) {
      if (error instanceof Unknown) return null;
      throw error;
    }
    try {
      const memory = new WebAssembly.Memory({ initial: writer.pages(), maximum: writer.pages() });
      const arrays = new Map();
      const view = (address, size) => new Float64Array(memory.buffer, address, size);
      for (const [place, address] of writer.addresses) {
        arrays.set(place, view(address, writer.size(place)));
        if (graph.nodes[place].op === "constant") arrays.get(place).set(graph.nodes[place].value.data);
      }
      const js = { memory };
      writer.calls.forEach(({ place, operands }, i) => {
        const { op, attributes } = graph.nodes[place];
        js[`f${i}`] = functionOf(ELEMENTWISE[op], arrays.get(place), operands.map((one) => view(...one)), attributes);
      });
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { js });
      return { run: exports.run, at: (place) => arrays.get(place), bytes: bytes.length };
    } catch (error) {
      isRefused = !(error instanceof RangeError); // by its age or its settings; memory may be there again
      return null;
    }
  }

  return { compile };
})();
