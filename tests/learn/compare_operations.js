// Every operation on elements, compiled and interpreted: returns those that differ, and all that compile.
const numbers = [-2.5, -1, -0.5, -0, 0, 0.25, 0.5, 1, 1.5, 2, 3, 1e300, NaN, Infinity, -Infinity];
const shape = [3, numbers.length / 3];
const operands = [0, 4, 8].map((k) => Float64Array.from(numbers, (_, i) => numbers[(i + k) % numbers.length]));
const truths = Float64Array.from(numbers, (_, i) => i % 2);
const node = (op, inputs) => ({ op, type: ["float64", shape], inputs, attributes: {} });
const same = (v, w) => v === w || (Number.isNaN(v) && Number.isNaN(w));

/** The operation and then −y: fused with it, or with an array of its own. */
function differs(op, given, isFused) {
  const places = given.map((_, i) => i),
    last = given.length + 1;
  const nodes = [...places.map(() => node("placeholder", [])), node(op, places), node("negative", [last - 1])];
  const graph = Graphs.read({ nodes, inputs: places, outputs: [] });
  const program = Compiled.compile(graph, isFused ? [last] : [last - 1, last]);
  if (!program) return true;
  given.forEach((one, i) => program.at(i).set(one));
  program.run();
  const values = Graphs.run(
    graph,
    given.map((one) => Graphs.make("float64", shape, one)),
  );
  return !program.at(last).every((v, i) => same(v, values[last].data[i]));
}

const hasAttributes = (of) => of.toString().split("=>")[0].includes("{");
const all = Object.entries(ELEMENTWISE).filter(([, { of }]) => !hasAttributes(of));
const wrong = all.filter(([op, { of }]) => {
  const given = operands.slice(0, of.length).map((one, i) => (op === "where" && !i ? truths : one));
  return differs(op, given, true) || differs(op, given, false);
});
return [wrong.map(([op]) => op), all.map(([op]) => op)];
