/* Puts what is new on the page, without losing the place or what was opened. */
const page = document.body;
let shown = page.dataset.version;
const opened = () => [...document.querySelectorAll("main details")].map((one) => one.open);

async function look() {
  try {
    const version = await (await fetch("/version", { cache: "no-store" })).text();
    if (version === shown) return;
    const text = await (await fetch("/", { cache: "no-store" })).text();
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const open = opened();
    for (const part of ["header", "main"])
      document.querySelector(part).replaceWith(document.adoptNode(fresh.querySelector(part)));
    [...document.querySelectorAll("main details")].forEach((one, i) => (one.open = open[i] ?? false));
    document.title = fresh.title;
    shown = version;
    document.getElementById("lost").hidden = true;
  } catch {
    document.getElementById("lost").hidden = false;
  }
}
setInterval(look, Number(page.dataset.every));
