"""The sections of a policy's page that differ from those of a model that predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..drawing.blocks import Section, Text, section, table
from ..drawing.chart import Axis, Chart, Line, Rule, numbers, thinned
from ..utils.numbers import counted, duration, number
from .content import RunContent, mapping

#: What the algorithms tell by iteration, the most telling first: title, what is on the axis, note.
_COURSES = {
    "return": ("Return", "mean of the last 100 episodes", ""),
    "length": ("Length of the episodes", "steps, mean of the last 100", ""),
    "loss": ("Loss", "loss", "Of a policy the loss says little: the return tells."),
    "entropy": ("Entropy of the policy", "nats", "Near 0 it always does the same."),
    "kl": ("How far an iteration moves the policy", "Kullback-Leibler divergence", ""),
    "clipped": ("Ratios that are clipped", "fraction", ""),
    "explained": ("What the value function explains", "fraction of the variance of returns",
                  "1 is all, 0 as little as a constant."),
    "value": ("Value of the actions taken", "mean", ""),
    "temperature": ("Temperature", "weight of the entropy", ""),
    "rate": ("Learning rate", "", ""),
}  # fmt: skip


def summary(content: RunContent) -> list[str]:
    """What was learned, how well, and how long it took."""
    report, metrics = content.report, mapping(content.report.get("metrics"))
    rows = mapping(report.get("rows"))
    count = report.get("parameters")
    network = f"A network of {count:,} parameters" if isinstance(count, int) else "A network"
    steps, episodes = report.get("steps"), rows.get("train")
    after = [
        f"{steps:,} steps" if isinstance(steps, int) else "",
        counted(episodes, "episode") if isinstance(episodes, int) else "",
    ]
    algorithm = content.options.get("algorithm")
    by = f" by {algorithm}" if algorithm else ""
    said = [f"{network} has learned to act in {content.about.get('data')}{by}, from "
            f"{' in '.join(part for part in after if part) or 'experience'}."]  # fmt: skip
    if metrics:
        said.append(f"The best actions bring a return of {number(metrics.get('return'))} ± "
                    f"{number(metrics.get('return_std'))}, random ones "
                    f"{number(metrics.get('return_by_chance'))}.")  # fmt: skip
    if report.get("seconds") is not None:
        said.append(f"It took {duration(report['seconds'])}.")
    return said


def scores(content: RunContent) -> list[Section | None]:
    """Returns of episodes, beside those of random actions."""
    metrics = mapping(content.report.get("metrics"))
    played = mapping(content.report.get("rows")).get("test")
    if not metrics:
        return []
    rows = [
        ("return", number(metrics.get("return")), number(metrics.get("return_by_chance"))),
        ("standard deviation", number(metrics.get("return_std")), ""),
        ("length", number(metrics.get("length")), ""),
    ]
    told = counted(played, "episode") if isinstance(played, int) else "Episodes"
    return [section("scores", "How good it is",
                    table(("", "#best actions", "#random actions"), rows,
                          caption=f"{told} that begin anew, mean"))]  # fmt: skip


def training(content: RunContent) -> list[Section | None]:
    """How returns and what makes them went, by steps."""
    records = content.epochs
    by_chance = mapping(content.report.get("metrics")).get("return_by_chance")
    charts = [_course(records, name, by_chance) for name in _COURSES]
    few = Text(("There is one iteration only, so nothing is drawn.",), quiet=True)
    some = any(chart is not None for chart in charts)
    return [section("training", "The training", *charts, None if some else few)]


def _course(records: Sequence[Mapping[str, Any]], name: str, by_chance: Any) -> Chart | None:
    known = [
        (record["steps"], record[name])
        for record in records
        if all(isinstance(record.get(one), int | float) for one in ("steps", name))
    ]
    if len(known) < 2 or (name in ("kl", "clipped") and not any(value for _, value in known)):
        return None
    title, axis, note = _COURSES[name]
    x, y = thinned(*(numbers(part) for part in zip(*known, strict=True)))
    rules: tuple[Rule, ...] = ()
    if name == "return":
        first, last = known[0][1], known[-1][1]
        note = f"The mean return goes from {first:.4g} to {last:.4g}."
        if isinstance(by_chance, int | float):
            rules = (Rule("random actions", y=float(by_chance)),)
    return Chart(name, title, Axis("steps", "integer"), Axis(axis),
                 (Line(axis or title, tuple(x), tuple(y)), *rules), note)  # fmt: skip
