// A model as WebAssembly, for browsers and Node. Written by chainrule.
//
//   import { load } from "./PREFIX.mjs";
//   const model = await load();
//   model.predict(...)
//
// The module imports nothing and sees nothing but its own memory.

const ABOUT = /* ABOUT */ {};

const ARRAYS = {
  float32: Float32Array, float64: Float64Array, int32: Int32Array, uint32: Uint32Array,
  int64: BigInt64Array, uint8: Uint8Array, bool: Uint8Array,
};

/** The bytes of PREFIX.wasm, which lies beside this file. */
async function ownBytes() {
  const url = new URL("./PREFIX.wasm", import.meta.url);
  if (url.protocol === "file:") {
    const { readFile } = await import("node:fs/promises");
    return readFile(url);
  }
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`PREFIX.wasm cannot be loaded: ${answer.status}`);
  return answer.arrayBuffer();
}

/** Load the model; `source` are the bytes of the module, or a compiled one, if they are elsewhere. */
export async function load(source) {
  const found = await WebAssembly.instantiate(source ?? (await ownBytes()), {});
  return new Model((found.instance ?? found).exports);
}

class Model {
  #exports;

  constructor(exports) {
    this.#exports = exports;
    this.classes = ABOUT.classes;
    this.columns = ABOUT.columns.map((column) => column.name);
    if (ABOUT.state) exports.init();
  }

  /**
   * The prediction of one row: an array of numbers, or of a classifier {label, probabilities}.
   * Takes the arrays of the model; of a table an object by column, or an array in their order.
   */
  predict(...given) {
    const row = ABOUT.columns.length ? [encoded(given[0])] : given;
    const { out } = this.#call("predict", row);
    if (!ABOUT.classes.length) return Array.from(out, Number);
    const probabilities = Array.from(out);
    let best = probabilities.indexOf(Math.max(...probabilities));
    if (ABOUT.rule) {
      const [positive, level] = ABOUT.rule;
      best = probabilities[positive] >= level ? positive : 1 - positive;
    }
    return { label: ABOUT.classes[best], probabilities };
  }

  /**
   * One step of training; the loss before it. Takes what `predict` takes, but for a whole batch,
   * then the targets (names of classes, their indices, or numbers) and the learning rate.
   */
  learn(...given) {
    if (!ABOUT.functions.learn) throw new Error("this model does not learn: export it with --train");
    let [targets, rate] = given.slice(-2);
    let rows = given.slice(0, -2);
    if (ABOUT.columns.length) rows = [rows[0].flatMap(encoded)];
    targets = Array.from(targets, (t) => (typeof t === "string" ? ABOUT.classes.indexOf(t) : t));
    return this.#call("learn", [...rows, targets, [rate]]).loss[0];
  }

  /** Any function of the header, with arrays; an object of its results. */
  call(name, ...given) {
    const scalar = (x) => (typeof x === "number" ? [x] : x);
    return this.#call(name, given.map(scalar));
  }

  /** What was learned, as bytes. */
  save() {
    this.#exports.save();
    return new Uint8Array(this.#exports.memory.buffer, this.#exports.saved(), ABOUT.savedBytes).slice();
  }

  /** Go on from what `save` gave. */
  restore(bytes) {
    const place = new Uint8Array(this.#exports.memory.buffer, this.#exports.saved(), ABOUT.savedBytes);
    if (bytes.length !== place.length) throw new Error("these bytes are of another model");
    place.set(bytes);
    if (this.#exports.load() !== 0) throw new Error("these bytes are damaged, or of another model");
  }

  #call(name, given) {
    const { arguments: wanted, results } = ABOUT.functions[name];
    if (given.length !== wanted.length)
      throw new Error(`${name} takes ${wanted.map((a) => a.name).join(", ")}`);
    wanted.forEach((argument, i) => {
      const view = this.#view(name, argument);
      const values = Array.from(given[i]).flat(Infinity);
      if (values.length !== view.length)
        throw new Error(`${argument.name} has ${values.length} numbers, not ${view.length}`);
      view.set(argument.type === "int64" ? values.map(BigInt) : values);
    });
    const status = this.#exports[name]();
    if (status === 1) throw new RangeError("a code or an index is out of range");
    if (status !== 0) throw new Error("the loss is not finite: nothing was learned");
    return Object.fromEntries(results.map((r) => [r.name, this.#view(name, r).slice()]));
  }

  #view(name, { name: own, type, size }) {
    return new ARRAYS[type](this.#exports.memory.buffer, this.#exports[`${name}_${own}`](), size);
  }
}

/** One row of a table as numbers. */
function encoded(row) {
  const cells = Array.isArray(row) ? row : ABOUT.columns.map((column) => row[column.name]);
  if (cells.length !== ABOUT.columns.length)
    throw new Error(`a row has ${ABOUT.columns.length} columns: ${ABOUT.columns.map((c) => c.name)}`);
  return ABOUT.columns.flatMap((column, i) => {
    const cell = cells[i];
    if (column.kind === "text") return cell ?? new Array(column.width).fill(0);
    if (cell === null || cell === undefined || cell === "") return [NaN];
    if (column.kind === "category" && typeof cell === "string")
      return [Object.hasOwn(column.codes, cell) ? column.codes[cell] : column.others];
    if (cell instanceof Date) return [cell.getTime() / 1000];
    const number = Number(cell);
    if (Number.isNaN(number) && typeof cell === "string")
      throw new TypeError(`${column.name}: ${cell} is no number`);
    return [number];
  });
}
