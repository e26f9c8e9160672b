"""What a split by chance hides: rows of one time, or of one group, on both sides of it.

Measured with quick models on some thousand rows: ridge regression, and the mean of the nearest
rows, which finds what is alike. Each is tested on rows drawn by chance and on rows of other groups,
or of later times; the one that is better by chance tells how much the figure would change.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...data import Schema, k_folds, parsing
from ...data.schema import read_values, tidy_column
from ...data.split import Indices, folds_in_time
from ...errors import DataError
from ...utils.random import generator
from ...utils.typing import Array
from .baselines import plain_features

if TYPE_CHECKING:
    import polars as pl

_MOST_ROWS = 2_000
#: Fewer rows, times or groups tell nothing.
_FEWEST_ROWS, _FEWEST_TIMES, _FEWEST_GROUPS = 50, 20, 5
_NEAREST = 5
_FOLDS = 5
#: Differences of more standard errors than this are hardly chance.
_CLEAR = 2.0
#: And those of less R² or accuracy than this are of no concern.
_MATTERS = 0.02
_RIDGE = 1e-2
#: Whose rows these are: names of columns whose values repeat.
_GROUP = re.compile(
    r"^(?:patient|subject|participant|person|individual|user|customer|client|member|account|player"
    r"|student|pupil|employee|worker|driver|doctor|physician|hospital|clinic|school|classroom"
    r"|teacher|household|family|store|shop|outlet|site|station|sensor|device|machine|engine"
    r"|vehicle|animal|mouse|rat|plot|farm|batch|lot|session|company|firm|ticker|symbol|team"
    r"|speaker|author|writer|rater|respondent|donor|specimen|slide)"
    r"(?:_?(?:id|no|nr|num|number|code|key|name))?$|_id$|^id$"
)
#: Numbers that are times, if the rows are in their order.
_TIME = re.compile(r"^(?:year|month|week|day|hour|date|datetime|timestamp|time|period|t|step)$")


@dataclass(frozen=True)
class Change:
    """How the figure of a quick model changes with the split.

    Attributes:
        metric: its name.
        by_chance: on rows drawn by chance.
        held_out: on rows of other groups, or of later times.
        clear: whether the first is better by more than chance.
    """

    metric: str
    by_chance: float
    held_out: float
    clear: bool


def warnings_of(
    frame: pl.DataFrame, schema: Schema, copies: Array | None, where: str, seed: int
) -> list[str]:
    """A sentence on the column of times, and one on that of groups, that matter most.

    Args:
        frame: the rows.
        schema: what their columns mean, not yet fitted.
        copies: (rows,) the same number for identical rows, which a split by chance keeps together.
        where: the rows come from.
        seed: for what is drawn.
    """
    columns = tuple(column for column in schema.columns if column.kind != "image")
    if not columns:
        return []
    schema = dataclasses.replace(schema, columns=columns)  # pictures are too much for quick models
    target = schema.read_target(frame, where)
    if schema.more_targets:  # the first one
        known = ~np.isnan(target[:, 0])
        frame, target = frame.filter(known), target[known, 0]
        copies = None if copies is None else copies[known]
        target = target.astype(np.int64) if schema.targets[0].classes else target
    if frame.height < _FEWEST_ROWS:
        return []
    found = []
    for option, candidates in (("time", _times), ("group", _groups)):
        changes = []
        for name, values in candidates(frame, schema, where):
            change = _measured(frame, schema, target, values, copies, option, where, seed)
            if change is not None:
                changes.append((change.by_chance - change.held_out, name, change))
        if changes:
            _, name, change = max(changes, key=lambda one: (one[2].clear, one[0]))
            found.append(_sentence(option, name, change))
    return found


def _sentence(option: str, name: str, change: Change) -> str:
    first, second = (f"{value:.2f}" for value in (change.by_chance, change.held_out))
    figure = f"a quick model has {change.metric} {first} so"
    use = f"--split-by-{option} {shlex.quote(name)}"
    if option == "time":
        cut, other = f"rows are split at random in time ({name!r})", "on later rows"
        purpose = "predict later rows"
    else:
        cut = f"rows with the same {name!r} are on both sides of the random split"
        other, purpose = f"on rows of another {name!r}", f"predict for another {name!r}"
    if change.clear:
        return (
            f"{cut}, and {figure}, but {second} {other}: if the model is to {purpose}, the "
            f"figures here are too good, and {use} gives the right ones"
        )
    return f"{cut}; {figure} and {second} {other}; {use} splits by it"


# ---- columns that a split by chance cuts ---------------------------------------------------------


def _times(frame: pl.DataFrame, schema: Schema, where: str) -> Iterator[tuple[str, Array]]:
    for column in schema.columns:
        named = column.kind == "numeric" and _TIME.search(_words(column.name))
        if column.kind != "date" and not named:
            continue
        values = read_values(column, tidy_column(frame, column.name, where), where)[0]
        known = values[~np.isnan(values)]
        steps = np.diff(known)
        if named and not ((steps >= 0).all() or (steps <= 0).all()):
            continue
        if len(np.unique(known)) >= _FEWEST_TIMES:
            yield column.name, values


def _groups(frame: pl.DataFrame, schema: Schema, where: str) -> Iterator[tuple[str, Array]]:
    names = [c.name for c in schema.columns if c.kind in ("category", "numeric")]
    names += [c.name for c in schema.dropped if c.kind == "identifier"]
    for name in names:
        if not _GROUP.search(_words(name)):
            continue
        text = parsing.read_categories(tidy_column(frame, name, where))
        groups = np.unique(text.hash().to_numpy(), return_inverse=True)[1]
        if _FEWEST_GROUPS <= groups.max() + 1 <= len(groups) / 2:
            yield name, groups


def _words(name: str) -> str:
    """In lower case, joined by _: ``StoreID`` is ``store_id``."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return "_".join(part.lower() for part in parts)


# ---- quick models --------------------------------------------------------------------------------


def _measured(
    frame: pl.DataFrame,
    schema: Schema,
    target: Array,
    values: Array,
    copies: Array | None,
    option: str,
    where: str,
    seed: int,
) -> Change | None:
    """None if the rows cannot be split so."""
    rows = _latest(values) if option == "time" else _some_groups(values, seed)
    y, values = target[rows], values[rows]
    classes = len(schema.targets[0].classes)
    features = _features(frame[rows], schema, where)
    together = None if copies is None else copies[rows]
    try:
        by_chance = k_folds(len(rows), _FOLDS, seed, groups=together)
        apart = (
            folds_in_time(values, _FOLDS)
            if option == "time"
            else k_folds(len(rows), _FOLDS, seed, groups=values)
        )
    except DataError:
        return None
    methods = (_ridge, _nearest)
    chance = [_errors(method, features, y, classes, by_chance) for method in methods]
    best = int(np.argmin([errors.mean() for errors, _ in chance]))
    errors, base = chance[best]
    other, other_base = _errors(methods[best], features, y, classes, apart)
    noise = np.sqrt(errors.var() / len(errors) + other.var() / len(other))
    clear = bool(other.mean() - errors.mean() > _CLEAR * noise)
    figures = (
        (1 - errors.mean(), 1 - other.mean())
        if classes
        else (1 - errors.mean() / base.mean(), 1 - other.mean() / other_base.mean())
    )
    clear = clear and figures[0] - figures[1] > _MATTERS
    return Change("accuracy" if classes else "R²", *figures, clear)


def _latest(times: Array) -> Array:
    """Rows of the latest times: every row of a while, as neighbours matter."""
    order = np.argsort(np.where(np.isnan(times), -np.inf, times), kind="stable")
    return np.asarray(order[-_MOST_ROWS:])


def _some_groups(groups: Array, seed: int) -> Array:
    """All rows of some groups: as many as are wanted in all."""
    order = generator(seed, "groups to measure").permutation(groups.max() + 1)
    sizes = np.bincount(groups)[order]
    count = max(int(np.searchsorted(np.cumsum(sizes), _MOST_ROWS, "right")), _FEWEST_GROUPS)
    return np.flatnonzero(np.isin(groups, order[:count]))[: 4 * _MOST_ROWS]


def _features(frame: pl.DataFrame, schema: Schema, where: str) -> Array:
    """(rows, features) of about the same scale."""
    fitted = schema.fit(frame, source=where)
    x = plain_features(fitted)(fitted.encode(frame, source=where))
    deviation = x.std(axis=0)
    return (x - x.mean(axis=0))[:, deviation > 0] / deviation[deviation > 0]


def _errors(
    method: object, x: Array, y: Array, classes: int, folds: list[tuple[Indices, Indices]]
) -> tuple[Array, Array]:
    """Of each tested row: the error, and that of the mean of the tested rows."""
    wanted = np.eye(classes)[y] if classes else y[:, None].astype(float)
    found, base = [], []
    for train, test in folds:
        z = method(x[train], wanted[train], x[test])  # type: ignore[operator]
        if classes:
            found.append((z.argmax(axis=1) != y[test]).astype(float))
        else:
            found.append((z[:, 0] - y[test]) ** 2)
            base.append((y[test] - y[test].mean()) ** 2)
    return np.concatenate(found), np.concatenate(base) if base else np.ones(1)


def _ridge(x: Array, y: Array, z: Array) -> Array:
    x, z = (np.concatenate([part, np.ones((len(part), 1))], axis=1) for part in (x, z))
    return np.asarray(z @ np.linalg.solve(x.T @ x + _RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y))


def _nearest(x: Array, y: Array, z: Array) -> Array:
    """The mean of the nearest rows."""
    count = min(_NEAREST, len(x))
    distance = (x**2).sum(axis=1) - 2 * z @ x.T
    near = np.argpartition(distance, count - 1, axis=1)[:, :count]
    return np.asarray(y[near].mean(axis=1))
