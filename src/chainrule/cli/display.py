"""What the commands show: the columns of a table, reports, runs, side by side and in line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from ..tasks.metric_names import best_is_one, score, title
from ..utils.numbers import duration, number

if TYPE_CHECKING:
    import polars as pl

    from ..data import Schema
    from ..utils.runs import Run

#: More columns than this are counted, not listed.
_MOST_COLUMNS = 40


def table(*titles: str) -> Table:
    """An empty table in the style of the program; titles that begin with ``#`` are of numbers."""
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for heading in titles:
        right = heading.startswith("#")
        grid.add_column(heading.lstrip("#"), justify="right" if right else "left", overflow="fold")
    return grid


# ---------------------------------------------------------------- columns


def understood(schema: Any) -> Table:
    """What was understood of the data: of a table its columns, of others what there is to tell."""
    if hasattr(schema, "columns"):
        return columns(schema)
    grid = Table.grid(padding=(0, 2))
    for name, told in schema.described():
        grid.add_row(Text(name, "bold"), Text(told))
    return grid


def columns(schema: Schema) -> Table:
    """The columns of a table, what each was taken for and why; those that are left out, too."""
    grid = table("column", "kind", "why")
    if schema.target is not None:
        reason = schema.target.reason
        grid.add_row(Text(schema.target.name, "bold"), Text("target", "bold"), Text(reason))
    for column in schema.columns[:_MOST_COLUMNS]:
        grid.add_row(Text(column.name), column.kind, Text(column.reason))
    _add_rest(grid, [column.kind for column in schema.columns[_MOST_COLUMNS:]])
    for left_out in schema.dropped[:_MOST_COLUMNS]:
        reason = f"{left_out.kind}: {left_out.reason}"
        grid.add_row(Text(left_out.name), "left out", Text(reason), style="dim")
    _add_rest(grid, ["left out"] * len(schema.dropped[_MOST_COLUMNS:]))
    return grid


def _add_rest(grid: Table, kinds: Sequence[str]) -> None:
    for kind, count in Counter(kinds).items():
        grid.add_row(f"… and {count:,} more", kind, "")


def rows(frame: pl.DataFrame) -> Table:
    """The rows of a table."""
    numeric = [f"#{name}" if frame[name].dtype.is_numeric() else name for name in frame.columns]
    grid = table(*numeric)
    for row in frame.rows():
        grid.add_row(*(Text(number(value)) for value in row))
    return grid


# ---------------------------------------------------------------- networks


def layers(variables: Mapping[str, str]) -> Table:
    """The layers of a network with the types of their variables, which come by path."""
    grid = table("layer", "variables")
    by_layer: dict[str, list[str]] = {}
    for path, kind in sorted(variables.items(), key=lambda item: _natural(item[0])):
        layer, _, name = path.rpartition(".")
        by_layer.setdefault(layer, []).append(f"{name} {kind}")
    for layer, found in by_layer.items():
        grid.add_row(Text(layer or "(itself)"), Text("\n".join(found)))
    return grid


def _natural(path: str) -> list[tuple[int, str]]:
    """A sort key by which ``layers.2`` is before ``layers.10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in path.split(".")]


# ---------------------------------------------------------------- reports


def metrics(values: Mapping[str, float | None], in_training: Mapping[str, Any]) -> Table:
    """Metrics, a row each, beside those that the report of the training gives."""
    grid = table("metric", "#these rows", "#test part of the training")
    for name, value in values.items():
        then = score(name, in_training.get(name))
        grid.add_row(title(name), Text(score(name, value), "bold"), then)
    return grid


def report_title(content: Mapping[str, Any]) -> Text:
    """What a report was measured on."""
    folds, rows = (content.get("cv") or {}).get("folds"), content["rows"]["test"]
    what = (
        f"Cross-validation: the mean of {folds} parts, each held out once"
        if folds
        else f"The test part: {rows:,} {content.get('unit', 'rows')} that the network has not seen"
    )
    return Text(f"{what}; the target is {content['target']}", "bold")


def report(content: Mapping[str, Any]) -> Table:
    """The network beside the baselines, and how much smaller its error is."""
    baselines = dict(content.get("baselines") or {})
    rival = "linear" if "linear" in baselines else next(iter(baselines), None)
    against = [f"#error vs. {rival}"] if rival else []
    folds = (content.get("cv") or {}).get("metrics") or []
    grid = table("metric", "#network", *(f"#{name}" for name in baselines), *against)
    for name, value in content["metrics"].items():
        others = [score(name, values.get(name)) for values in baselines.values()]
        change = [smaller_error(name, value, baselines[rival].get(name))] if rival else []
        ours = score(name, value) + _spread([fold.get(name) for fold in folds])
        grid.add_row(title(name), Text(ours, "bold"), *others, *change)
    return grid


def _spread(values: Sequence[float | None]) -> str:
    """The standard deviation over the parts of a cross-validation."""
    known = [value for value in values if value is not None]
    return f" ± {number(stdev(known))}" if len(known) > 1 else ""


def measured(content: Mapping[str, Any]) -> list[str]:
    """What the report says of calibration and thresholds, in sentences."""
    several = len(content.get("targets") or ()) > 1
    lines = []
    for name, told in (content.get("calibration") or {}).items():
        before, after = told["test"]["before"], told["test"]["after"]
        of = f" of {name}" if several else ""
        said = (
            f"Probabilities{of}: Brier score {number(after['brier'])}, calibration error "
            f"{number(after['calibration_error'])}; "
        )
        if told.get("kept"):
            said += (
                f"logits are divided by {told['temperature']:.2f}, as held-out rows say (before: "
                f"{number(before['brier'])} and {number(before['calibration_error'])})"
            )
        else:
            said += "held-out rows ask for no other temperature"
        lines.append(said)
    for name, told in (content.get("threshold") or {}).items():
        metric = told["for"].partition("@")[0]
        scores = told["metrics"][metric]
        lines.append(
            f"Threshold{f' of {name}' * several}: {told['class']} from a probability of "
            f"{number(told['threshold'])} on, chosen for {told['for']}: {title(metric)} of "
            f"{told['class']} {number(scores['test'])} on the test part, "
            f"{number(scores['test_at_half'])} with 0.5"
        )
    return lines


def training_line(content: Mapping[str, Any]) -> str:
    """How the training went, in a sentence."""
    epochs = content["epochs"]
    parts = [f"{epochs} epoch{'s' * (epochs != 1)} in {duration(content.get('seconds'))}"]
    if content.get("best_epoch"):
        parts.append(f"the weights of epoch {content['best_epoch']:.0f} are kept")
    if content.get("stop_reason"):
        parts.append(f"stopped: {content['stop_reason']}")
    return "; ".join(parts)


def smaller_error(metric: str, value: float | None, other: float | None) -> Text:
    """The change of the error from another model to this one.

    The error of a metric whose best value is 1 is what is missing to 1.

    Example:
        >>> smaller_error("rmse", 60.0, 100.0).plain, smaller_error("accuracy", 0.98, 0.96).plain
        ('−40 %', '−50 %')
    """
    if value is None or other is None or metric.startswith("coverage_"):
        return Text("–")
    ours, theirs = (1 - value, 1 - other) if best_is_one(metric) else (value, other)
    if theirs <= 0:
        return Text("–")
    change = round(100 * (ours / theirs - 1))
    sign = "+" if change > 0 else "−" if change < 0 else "±"
    return Text(f"{sign}{abs(change):,} %", "green" if change < 0 else "yellow" if change else "")


# ---------------------------------------------------------------- runs


def run_list(runs: Sequence[Run]) -> Table:
    """Runs in line."""
    grid = table("run", "data", "target", "#test", "#epochs", "#time")
    for run in runs:
        grid.add_row(
            Text(run.name, "bold"),
            Text(_short(run.record.get("data"))),
            Text(_short(run.record.get("target"))),
            Text(primary(run)),
            number(run.report.get("epochs")),
            duration(run.report.get("seconds")),
        )
    return grid


def _short(value: Any) -> str:
    return "–" if value is None else str(value).rpartition("/")[2]


def primary(run: Run) -> str:
    """The most telling metric of a run, with its name."""
    return next((f"{title(name)} {score(name, value)}" for name, value in run.metrics.items()), "–")


def comparison(runs: Sequence[Run]) -> Table:
    """Options and metrics of runs side by side; what differs is bold."""
    grid = table("", *(f"#{run.name}" for run in runs))
    given = [{"data": run.record.get("data"), **run.options} for run in runs]
    for name in dict.fromkeys(name for options in given for name in options):
        cells = [_option(options.get(name)) for options in given]
        style = "bold" if len(set(cells)) > 1 else ""
        grid.add_row(name.replace("_", "-"), *(Text(cell, style) for cell in cells))
    grid.add_section()
    for name in dict.fromkeys(name for run in runs for name in run.metrics):
        values = [run.metrics.get(name) for run in runs]
        grid.add_row(title(name), *_best_marked(name, values))
    grid.add_section()
    for name in ("epochs", "parameters"):
        grid.add_row(name, *(number(run.report.get(name)) for run in runs))
    grid.add_row("time", *(duration(run.report.get("seconds")) for run in runs))
    return grid


def _option(value: Any) -> str:
    """An option as it is typed."""
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ",".join(f"{key}={kind}" for key, kind in value.items())
    return "" if value is None else str(value)


def _best_marked(metric: str, values: Sequence[float | None]) -> list[Text]:
    known = [value for value in values if value is not None]
    best = (max if best_is_one(metric) else min)(known, default=None)
    several = len(set(known)) > 1
    styles = ["bold green" if several and value == best else "" for value in values]
    return [Text(score(metric, v), style) for v, style in zip(values, styles, strict=True)]
