// Networks of all settings of Play, compiled and interpreted: returns those that differ in any bit.
const wrong = [];
const same = (a, b) => a.length === b.length && a.every((v, i) => Object.is(v, b[i]));
const weights = (training) => training.layers().flatMap(({ w, b }) => [...w, ...b]);

function compare(settings, data) {
  const [a, b] = [false, true].map((interpreted) => Training.start({ ...settings, interpreted }, data));
  if (!a.isCompiled() || b.isCompiled()) return false;
  for (let i = 0; i < 6; i++) if (!Object.is(a.advance().loss, b.advance().loss)) return false;
  const [found, expected] = [false, true].map((interpreted) =>
    Training.outputs({ ...settings, interpreted }, b.layers(), Float64Array.from(data.x)),
  );
  return same(weights(a), weights(b)) && found.every((one, i) => same(one, expected[i]));
}

for (const hidden of [[], [5], [8, 8], [3, 1, 4, 1, 2]])
  for (const activation of ["tanh", "relu", "sigmoid", "linear"])
    for (const optimizer of ["sgd", "momentum", "adam"])
      for (const task of ["classification", "regression"])
        for (const batch of [0, 7]) {
          const points = Examples.points(task === "regression" ? "function" : "circles", 2, 20);
          const data = { x: points.flatMap(([a, b]) => [a, b]), y: points.map(([, , y]) => y) };
          const own = {
            activations: [null, "relu", "sigmoid"],
            optimizers: [null, "adam", null, "sgd"],
            initialisations: ["large", null],
          };
          const all = { activation, optimizer, initialisation: "xavier" };
          const settings = { sizes: [2, ...hidden, 1], ...all, ...own, task, batch, seed: 6, rate: 0.1 };
          if (!compare(settings, data)) wrong.push(settings);
        }
return wrong;
