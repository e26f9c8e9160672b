"""How fast the pages that teach are: size, first paint, script time of a frame, time of a step.

    .venv/bin/python -m benchmarks.pages              # prints a table
    .venv/bin/python -m benchmarks.pages --write      # and puts it into benchmarks/README.md

In a real Chromium, where pages are opened from files, as readers open them. First paint is the
browser's own figure (First Contentful Paint). Script time of a frame is measured around the
function that the page gives to `requestAnimationFrame`, while the network trains: by the clock, to
which other programs on the machine add, and the time of the processor alone. A phone is a window of
390 × 844 pixels with the processor slowed four times. A step of *Play* is timed compiled and
interpreted, in turns. Selenium, Chromium and chromedriver must be there, as for the tests.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

import chainrule as cr
from chainrule.explain import explain
from chainrule.explain.demos import demo
from chainrule.explain.html import to_html
from chainrule.learn.play import compare_page, play_page

from .report import table, today, write_section

#: What is asked of a page: milliseconds to the first paint, and of script a frame.
MOST_PAINT, MOST_FRAME, MOST_BYTES = 1000, 8, 500_000
ROUNDS, FRAMES, STEP_ROUNDS = 3, 240, 11

#: Before any script of the page: how long every function of a frame takes.
TIMED = """
window.__frames = [];
const ask = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (work) => ask((now) => {
  const start = performance.now();
  work(now);
  window.__frames.push(performance.now() - start);
});
"""

#: Milliseconds of steps, compiled and interpreted in turns: the medians, and whether they agree.
STEPS = """
const [settings, most] = arguments;
const points = Examples.points("spiral", 1, 120);
const data = {x: points.flatMap(([a, b]) => [a, b]), y: points.map(([, , y]) => y)};
const both = [false, true].map((interpreted) => Training.start({...settings, interpreted}, data));
const taken = [[], []];
for (let round = 0; round < 2 * most; round++) both.forEach((one, i) => {
  const start = performance.now();
  for (let k = 0; k < 100; k++) one.advance();
  if (round >= most) taken[i].push((performance.now() - start) / 100); // warm by now
});
const weights = both.map((one) => String(one.layers().flatMap(({w, b}) => [...w, ...b])));
const middle = (list) => list.sort((a, b) => a - b)[list.length >> 1];
return [...taken.map(middle), both[0].isCompiled() && weights[0] === weights[1]];
"""

PAINT = """
const found = performance.getEntriesByName('first-contentful-paint')[0];
return found ? found.startTime : null;
"""


@dataclass(frozen=True)
class Device:
    """A window, and how many times slower than this machine it computes."""

    name: str
    width: int
    height: int
    slower: int


DEVICES = (Device("desktop", 1280, 720, 1), Device("phone", 390, 844, 4))


def _language_model() -> str:
    model = cr.models.gpt(60, context=64, width=96, heads=4, layers=4).initialize(seed=0)
    tokens = np.random.default_rng(0).integers(0, 60, (1, 64))
    return to_html(explain(model, tokens, np.roll(tokens, -1, 1), loss="cross_entropy"))


PAGES: dict[str, Callable[[], str]] = {
    "play": play_page,
    "compare": compare_page,
    "explain --demo xor": lambda: to_html(demo("xor")),
    "explain --demo lstm": lambda: to_html(demo("lstm")),
    "explain: a language model of 4 layers": _language_model,
}


def chromium() -> Any:
    """A headless browser that times frames."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    names = ("chromium", "chromium-browser", "google-chrome")
    options.binary_location = next(filter(None, map(shutil.which, names)))
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(180)
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": TIMED})
    return driver


def be(browser: Any, device: Device) -> None:
    """Give the browser the window and the speed of a device."""
    size = {"width": device.width, "height": device.height, "deviceScaleFactor": 1,
            "mobile": device.slower > 1}  # fmt: skip
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": device.slower})


def first_paint(browser: Any, address: str) -> float:
    """Milliseconds from opening a page to its first paint."""
    browser.get("about:blank")
    browser.get(address)
    for _ in range(100):
        found = browser.execute_script(PAINT)
        if found is not None:
            return float(found)
        browser.execute_async_script("setTimeout(arguments[0], 50)")
    raise RuntimeError(f"{address} was never painted")


def processor_time(browser: Any) -> float:
    """Milliseconds that the page's scripts have had the processor."""
    found = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return 1000 * float(next(one["value"] for one in found if one["name"] == "ScriptDuration"))


def frames(
    browser: Any, address: str, hidden: list[int], optimizer: str
) -> tuple[float, list[float]]:
    """Script time of the frames of Play while a network trains, in milliseconds.

    Returns:
        Of the processor, the mean of a frame; and by the clock each frame, sorted.
    """
    state = {"hidden": hidden, "preset": "spiral", "optimizer": optimizer, "rate": 0.03}
    browser.get("about:blank")
    browser.get(f"{address}#{quote(json.dumps(state))}")
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    before = processor_time(browser)
    found = browser.execute_async_script(
        f"const done = arguments[0], most = {FRAMES}; window.__frames.length = 0; Play.run(true);"
        "const wait = () => {"
        "  if (window.__frames.length < most) return setTimeout(wait, 100);"
        "  Play.run(false); done(window.__frames.slice(0, most)); };"
        "wait();"
    )
    mean = (processor_time(browser) - before) / FRAMES
    browser.execute_cdp_cmd("Performance.disable", {})
    sizes = browser.execute_script("return Play.training().settings.sizes")
    assert sizes == [2, *hidden, 1], f"the page trains {sizes}"
    return mean, sorted(float(one) for one in found)


def steps(browser: Any, address: str, optimizer: str, batch: int) -> tuple[float, float]:
    """Microseconds of a step of 2-8-8-1, compiled and interpreted."""
    browser.get(address)
    network = {"sizes": [2, 8, 8, 1], "activation": "tanh", "initialisation": "xavier", "seed": 1}
    training = {"rate": 0.03, "optimizer": optimizer, "batch": batch, "task": "classification"}
    settings = {**network, **training}
    compiled, interpreted, is_same = browser.execute_script(STEPS, settings, STEP_ROUNDS)
    assert is_same, "compiled and interpreted steps differ"
    return 1000 * compiled, 1000 * interpreted


def measure(folder: Path) -> tuple[list[list[list[str]]], bool]:
    """The rows of the three tables, and whether all is as fast as asked."""
    files = {}
    for number, (name, make) in enumerate(PAGES.items()):
        files[name] = folder / f"{number}.html"
        files[name].write_text(make(), encoding="utf-8")
    browser = chromium()
    paints, trainings, times, is_well = [], [], [], True
    try:
        for name, file in files.items():
            row = [name, f"{file.stat().st_size / 1000:.0f}"]
            is_well &= file.stat().st_size <= MOST_BYTES
            for device in DEVICES:
                be(browser, device)
                found = [first_paint(browser, file.as_uri()) for _ in range(ROUNDS)]
                row.append(f"{statistics.median(found):.0f}")
                is_well &= device.slower > 1 or statistics.median(found) <= MOST_PAINT
            paints.append(row)
        for device in DEVICES:
            be(browser, device)
            for optimizer in ("sgd", "adam"):
                mean, taken = frames(browser, files["play"].as_uri(), [8, 8], optimizer)
                middle, high = (taken[len(taken) * part // 100] for part in (50, 95))
                cells = [f"{one:.1f}" for one in (mean, middle, high)]
                trainings.append([f"{device.name}, {optimizer}", *cells])
                is_well &= device.slower > 1 or max(mean, middle) <= MOST_FRAME
        be(browser, DEVICES[0])
        for optimizer in ("sgd", "adam"):
            for batch in (10, 120):
                fast, slow = steps(browser, files["play"].as_uri(), optimizer, batch)
                row = [f"{optimizer}, batch of {batch}", f"{fast:.1f}", f"{slow:.1f}"]
                times.append([*row, f"{slow / fast:.1f}"])
    finally:
        browser.quit()
    return [paints, trainings, times], is_well


def main() -> None:
    """Measure, print, and write the section if asked."""
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    reader.add_argument("--write", action="store_true", help="write benchmarks/README.md")
    asked = reader.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (paints, trainings, times), is_well = measure(Path(folder))
    columns = ["page", "kB", "first paint, ms", "on a phone, ms"]
    lines = table(columns, paints)
    lines += ["", f"Script time of a frame of *Play* while 2-8-8-1 trains, {FRAMES} frames:", ""]
    lines += table(["", "processor, mean, ms", "clock, median, ms", "clock, 95 %, ms"], trainings)
    lines += ["", "A step of 2-8-8-1 in *Play*, tanh, in microseconds of the clock; both give the "
              "same weights to the last bit:", ""]  # fmt: skip
    lines += table(["", "compiled", "interpreted", "times faster"], times)
    print("\n".join(lines))
    limits = f"{MOST_BYTES} bytes, {MOST_PAINT} ms, {MOST_FRAME} ms a frame"
    print(f"{'As fast as' if is_well else 'Slower than'} asked: {limits}.")
    if asked.write:
        intro = (
            f"`.venv/bin/python -m benchmarks.pages --write`, {today()}, {platform.machine()}, "
            f"headless Chromium without a GPU, medians of {ROUNDS}; a phone is the same processor "
            f"slowed four times. Asked for: {MOST_BYTES // 1000} kB, a first paint within "
            f"{MOST_PAINT} ms, {MOST_FRAME} ms of script a frame."
        )
        intro = textwrap.fill(intro, 128, break_on_hyphens=False)
        write_section("Pages that teach", "\n".join([intro, "", *lines]))


if __name__ == "__main__":
    main()
