/* One equation a screen: names first, then the numbers, then the result. */
const Lecture = (() => {
  const screens = [...document.querySelectorAll(".screen")];
  let at = 0,
    shown = 0;

  const parts = () => [...screens[at].querySelectorAll(".part")];

  function draw() {
    screens.forEach((screen, i) => screen.classList.toggle("now", i === at));
    parts().forEach((part, i) => part.classList.toggle("shown", i < shown));
    document.getElementById("count").textContent = `${at + 1} of ${screens.length}`;
  }

  function forward() {
    if (shown < parts().length) shown += 1;
    else if (at < screens.length - 1) {
      at += 1;
      shown = Math.min(1, parts().length);
    }
    draw();
  }

  function back() {
    if (shown > 1) shown -= 1;
    else if (at > 0) {
      at -= 1;
      shown = parts().length;
    }
    draw();
  }

  function toggle(name) {
    const on = document.body.classList.toggle(name);
    document.getElementById(name).setAttribute("aria-pressed", String(on));
  }

  const KEYS = {
    ArrowRight: forward,
    PageDown: forward,
    ArrowLeft: back,
    PageUp: back,
    " ": forward,
    n: () => toggle("notes"),
    b: () => toggle("black"),
    ".": () => toggle("black"),
    p: () => toggle("paper"),
    Home: () => {
      [at, shown] = [0, 0];
      draw();
    },
  };

  document.addEventListener("keydown", (event) => {
    const isButton = event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter");
    if (!KEYS[event.key] || isButton || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  document.getElementById("next").addEventListener("click", forward);
  document.getElementById("back").addEventListener("click", back);
  for (const name of ["notes", "black", "paper"])
    document.getElementById(name).addEventListener("click", () => toggle(name));
  draw();
  return { forward, back, place: () => [at, shown], count: () => screens.length };
})();
