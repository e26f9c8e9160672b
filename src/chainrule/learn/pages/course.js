/* Questions that answer, a score, and gradients in the notation of your book. */
(() => {
  const quiz = document.getElementById("quiz"),
    score = document.getElementById("score"),
    first = new Map(); // the first answer to a question is the one that counts

  function chosen({ target }) {
    if (target.type !== "radio") return;
    const all = [...document.getElementsByName(target.name)];
    for (const one of all) document.getElementById(`${one.id}-why`).hidden = one !== target;
    if (!first.has(target.name)) first.set(target.name, target.dataset.kind === "right");
    if (!quiz || !score) return;
    const names = [...quiz.querySelectorAll("fieldset input")].map((one) => one.name);
    const asked = [...new Set(names)],
      done = asked.filter((name) => first.has(name));
    const right = done.filter((name) => first.get(name)).length;
    score.textContent = done.length ? `${right} of ${done.length} right at the first go.` : "";
  }

  const GRADIENT = /∂L\/∂([\p{L}\d.₀-₉]+(?:\[[\d,]+\])?)/gu;
  const WRITTEN = {
    leibniz: (name) => `∂L/∂${name}`,
    nielsen: (name) => `δ(${name})`,
    pytorch: (name) => `${name}.grad`,
    keras: (name) => `tape.gradient(L, ${name})`,
  };
  const places = [];

  function setup() {
    const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const { currentNode: node } = walker;
      if (node.data.includes("∂L/∂")) places.push([node, node.data]);
    }
  }

  function rewrite({ target }) {
    const write = WRITTEN[target.value];
    for (const [node, text] of places) node.data = text.replace(GRADIENT, (_, name) => write(name));
  }

  setup();
  document.addEventListener("change", chosen);
  document.getElementById("notation").addEventListener("change", rewrite);
})();
