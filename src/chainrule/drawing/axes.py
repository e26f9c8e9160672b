"""Charts as matplotlib axes, for notebooks and papers (the extra ``plot``)."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .chart import Axis, Bars, Cells, Chart, Histogram, Line, Mark, Points, Rule
from .svg import series_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The colours of the pages in the light (Okabe and Ito), and the dashes of lines.
_COLOURS = ("#0072b2", "#c25200", "#007a5a", "#9c2f78", "#8c6a00", "#3f8fc4")
_DASHES = ("-", "--", ":", "-.", (0, (4, 2)), (0, (1, 2)))
_QUIET = "#5b606b"
#: A column of a figure is so wide, a chart so high, in inches.
_WIDTH, _HEIGHT, _COLUMNS = 4.6, 3.4, 3


def plotted(
    charts: Sequence[Chart], names: Sequence[str] = (), ax: Any = None
) -> Axes | dict[str, Axes]:
    """Some of the charts, drawn.

    Args:
        charts: that there are.
        names: of those to draw; all without.
        ax: axes to draw into, for a single chart; a new figure is made without.

    Returns:
        Axes of a single name, otherwise axes by name.

    Raises:
        ConfigError: there is no such chart, or no matplotlib, or several charts for one ``ax``.
    """
    by_name = {chart.name: chart for chart in charts}
    if unknown := [name for name in names if name not in by_name]:
        raise ConfigError(f"There is no picture {unknown[0]!r}.", expected=", ".join(by_name))
    chosen = [by_name[name] for name in names] if names else list(by_name.values())
    if not chosen:
        raise ConfigError("There is nothing to draw yet.", hint="Train first.")
    if ax is not None:
        if len(chosen) > 1:
            raise ConfigError("One chart fits into one pair of axes.", expected="one name",
                              found=", ".join(chart.name for chart in chosen),
                              hint="Name one, or omit ax.")  # fmt: skip
        draw(chosen[0], ax)
        return ax
    pyplot = _pyplot()
    columns = min(len(chosen), _COLUMNS)
    rows = math.ceil(len(chosen) / columns)
    size = (_WIDTH * columns, _HEIGHT * rows)
    _, grid = pyplot.subplots(rows, columns, figsize=size, squeeze=False,
                                   layout="constrained")  # fmt: skip
    places = grid.ravel()
    for chart, place in zip(chosen, places, strict=False):
        draw(chart, place)
    for place in places[len(chosen) :]:
        place.remove()
    found = {chart.name: place for chart, place in zip(chosen, places, strict=False)}
    return found[names[0]] if len(names) == 1 else found


def _pyplot() -> Any:
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ConfigError(
            "Plots need matplotlib, which is not installed.",
            hint="pip install 'chainrule[plot]'",
        ) from None
    return pyplot


def draw(chart: Chart, ax: Any) -> None:
    """Draw a chart into axes."""
    _pyplot()
    drawers: dict[str, Callable[[Chart, Any, Any], None]] = {
        Line.kind: _line,
        Points.kind: _points,
        Histogram.kind: _histogram,
        Bars.kind: _bars,
        Cells.kind: _cells,
        Rule.kind: _rule,
    }
    for mark in chart.marks:
        drawers[mark.kind](chart, mark, ax)
    _set_axis(ax, chart.x, "x")
    _set_axis(ax, chart.y, "y")
    ax.set_title(_plain(chart.title))
    if chart.square:
        ax.set_aspect("equal", adjustable="datalim")
    heat = any(isinstance(mark, Cells) for mark in chart.marks)
    labels = {mark.label for mark in chart.marks if mark.label}
    if len(labels) > 1 and not heat:
        handles, texts = ax.get_legend_handles_labels()
        once = dict(zip(texts, handles, strict=True))
        ax.legend(once.values(), once.keys(), fontsize="small", frameon=False)
    if not heat:
        ax.grid(alpha=0.3, linewidth=0.6)
        ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _plain(text: str) -> str:
    """A text of the user's is no formula: matplotlib reads what is between dollar signs as one."""
    return text.replace("$", r"\$")


def _set_axis(ax: Any, axis: Axis, which: str) -> None:
    getattr(ax, f"set_{which}label")(_plain(axis.label))
    if axis.categories:
        names = [_plain(name) for name in axis.categories]
        turned = {"rotation": 45, "ha": "right"} if which == "x" and len(names) > 4 else {}
        getattr(ax, f"set_{which}ticks")(range(len(names)), names, fontsize="small", **turned)
        return
    if axis.scale == "log":
        getattr(ax, f"set_{which}scale")("log")
    limits = {"low": ("left", "bottom"), "high": ("right", "top")}
    for name, ends in limits.items():
        value = getattr(axis, name)
        if value is not None:
            getattr(ax, f"set_{which}lim")(**{ends[which == "y"]: value})
    if axis.scale == "integer":
        from matplotlib.ticker import MaxNLocator

        getattr(ax, f"{which}axis").set_major_locator(MaxNLocator(integer=True))
    if axis.scale == "time":
        for label in getattr(ax, f"get_{which}ticklabels")():
            label.set_rotation(30)


def _values(axis: Axis, values: Sequence[float | None]) -> list[Any]:
    """Numbers as matplotlib takes them: NaN for none, dates for times."""
    if axis.scale != "time":
        return [math.nan if value is None else value for value in values]
    start = datetime.datetime(1970, 1, 1)
    return [start + datetime.timedelta(seconds=value or 0.0) for value in values]


def _colour(chart: Chart, mark: Mark) -> str:
    return _QUIET if getattr(mark, "quiet", False) else _COLOURS[series_of(chart, mark)]


def _line(chart: Chart, line: Line, ax: Any) -> None:
    colour = _colour(chart, line)
    x = _values(chart.x, line.x)
    dash = "-" if line.quiet else _DASHES[series_of(chart, line)]
    ax.plot(x, _values(chart.y, line.y), color=colour, linestyle=dash,
            linewidth=0.9 if line.quiet else 1.8, label=_plain(line.label))  # fmt: skip
    if line.low:
        ax.fill_between(x, _values(chart.y, line.low), _values(chart.y, line.high), color=colour,
                        alpha=0.18, linewidth=0)  # fmt: skip


def _points(chart: Chart, points: Points, ax: Any) -> None:
    ax.scatter(_values(chart.x, points.x), _values(chart.y, points.y), s=10, alpha=0.5,
               color=_colour(chart, points), label=_plain(points.label))  # fmt: skip


def _histogram(chart: Chart, mark: Histogram, ax: Any) -> None:
    edges = _values(chart.x, mark.edges)
    ax.stairs(_values(Axis(), mark.counts), edges, fill=True, alpha=0.82,
              color=_colour(chart, mark), label=_plain(mark.label))  # fmt: skip


def _bars(chart: Chart, mark: Bars, ax: Any) -> None:
    beside = [each for each in chart.marks if isinstance(each, Bars)]
    thick = 0.72 / len(beside)
    shift = (beside.index(mark) - (len(beside) - 1) / 2) * thick
    places = [i + shift for i in range(len(mark.values))]
    errors = [0.0 if each is None else each for each in mark.errors] or None
    ax.barh(places, [value or 0.0 for value in mark.values], thick, xerr=errors, alpha=0.82,
            color=_colour(chart, mark), label=_plain(mark.label))  # fmt: skip
    ax.set_ylim(len(mark.values) - 0.5, -0.5)  # the first category is at the top


def _cells(chart: Chart, mark: Cells, ax: Any) -> None:
    from matplotlib.colors import LogNorm

    rows = [[math.nan if value is None else value for value in row] for row in mark.values]
    known = [value for row in mark.values for value in row if value is not None and value > 0]
    norm = LogNorm(mark.low or min(known), mark.high or max(known)) if mark.log and known else None
    ends = {} if norm else {"vmin": mark.low, "vmax": mark.high}
    image = ax.imshow(rows, cmap="Blues", norm=norm, aspect="auto", **ends)
    if not mark.texts:
        ax.figure.colorbar(image, ax=ax, label=_plain(mark.label))
        return
    for i, texts in enumerate(mark.texts):
        for j, text in enumerate(texts):
            value = mark.values[i][j]
            shade = image.norm(value) if value is not None else 0.0
            ax.text(j, i, _plain(text), ha="center", va="center", fontsize="small",
                    color="white" if shade > 0.55 else "black")  # fmt: skip


def _rule(chart: Chart, rule: Rule, ax: Any) -> None:
    look: dict[str, Any] = {"color": _QUIET, "linestyle": ":", "linewidth": 1.0,
                            "label": _plain(rule.label)}  # fmt: skip
    if rule.x is not None:
        (x,) = _values(chart.x, [rule.x])
        ax.axvline(x, **look)
    elif rule.y is not None:
        ax.axhline(rule.y, **look)
    else:
        ax.axline((1, 1) if "log" in (chart.x.scale, chart.y.scale) else (0, 0), (2, 2)
                  if "log" in (chart.x.scale, chart.y.scale) else (1, 1), **look)  # fmt: skip
