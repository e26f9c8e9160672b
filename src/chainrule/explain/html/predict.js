/* Predict, then reveal: the results of a step are blanks. A wrong answer is compared with what the
   usual slips give; those numbers were computed by Python (`explain.mistakes`). */
const Predict = (() => {
  const TOLERANCE = 5e-3; // as in mistakes.py
  let slips,
    isOn = false,
    open = new Set(), // blanks of the text that are not solved
    solved = new Set();

  const keyOf = ({ of, symbol, index }) => `${of} ${symbol} ${index}`;
  const agrees = (answer, value, room) =>
    Math.abs(answer - value) <= (room ?? TOLERANCE * Math.abs(value) + 1e-9);

  /** What an answer is: [kind, sentence]. */
  function graded(q, answer) {
    const key = keyOf(q),
      changed = Live.isChanged(); // the slips belong to the numbers of Python
    const room = changed ? undefined : slips.room[key];
    if (agrees(answer, Live.number(q), room)) return ["right", "Right."];
    const slip = changed ? null : (slips.of[key] || []).find(([value]) => agrees(answer, value, room));
    return slip
      ? ["slip", slips.sentences[slip[1]]]
      : ["wrong", "Not right, and none of the usual slips. Go through the factors one by one."];
  }

  /** A number as people write it: 0.25, −3e-2, 1/4, 0,25; NaN if it is none. */
  function read(text) {
    const clean = text.trim().replaceAll("−", "-").replace(/,/g, ".");
    const [above, below] = clean.split("/").map((part) => (part.trim() === "" ? NaN : Number(part)));
    return clean.includes("/") ? above / below : above;
  }

  const hides = (q) => isOn && !solved.has(keyOf(q));

  /** A field in the place of a number. */
  function blank(q) {
    const key = keyOf(q),
      said = element("p", { class: "verdict", role: "status" });
    open.add(key);
    const field = element("input", {
      type: "text",
      inputmode: "decimal",
      autocomplete: "off",
      class: "blank",
      placeholder: "?",
      "aria-label": `Your number for ${Numbers.nameText(q)}`,
      change: () => answer(field.value),
    });
    const place = element("span", { class: "blank-box" }, field, said);
    const reveal = (words) => {
      solved.add(key);
      open.delete(key);
      show(place, element("b", { text: Numbers.format(Live.number(q)) }), element("span", { class: "verdict right", text: words }));
      if (!open.size) Network.draw();
    };
    function answer(text) {
      if (text.trim() === "") return;
      const value = read(text);
      if (Number.isNaN(value)) {
        said.textContent = "That is no number: write it as 0.25, −3e-2 or 1/4.";
        return;
      }
      const [kind, sentence] = graded(q, value);
      if (kind === "right") {
        reveal(" ✓ right");
        return;
      }
      said.className = `verdict ${kind}`;
      show(
        said,
        `✗ ${sentence} `,
        element("button", { type: "button", text: "Show it", click: () => reveal(" (shown)") }),
      );
    }
    return place;
  }

  function toggle() {
    isOn = !isOn;
    solved = new Set();
    byId("predict").setAttribute("aria-pressed", String(isOn));
    Player.draw();
  }

  return {
    setup: (data) => {
      slips = data.slips || { sentences: [], of: {}, room: {} };
      byId("predict").addEventListener("click", toggle);
    },
    /** A new step is written: its blanks are made anew. */
    begin: () => {
      open = new Set();
    },
    isOn: () => isOn,
    /** Whether the drawing may show what the current step computes. */
    isDone: () => !isOn || open.size === 0,
    hides,
    blank,
    graded,
    read,
    keyOf,
  };
})();
