"""From a table to its schema: what each column means, decided over all rows, said in one line each.

Every rule works on a column's distinct values and how often they occur. Where one column alone
leaves two readings (is ``1,234`` a thousand, is ``01/02/2014`` in January?), the other columns
decide.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import DataError
from .column_profile import Conventions, Profile, conventions_of
from .infer_column import counts_rows, decide
from .infer_target import learnable_rows, target_of, target_profile, task_of_kind
from .relation import measured
from .schema import Column, Dropped, Schema, Target, check_present, read_weights
from .target_leakage import leaks

if TYPE_CHECKING:
    import polars as pl


def infer_schema(
    frame: pl.DataFrame,
    target: str | Sequence[str] | None = None,
    *,
    features: Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    kinds: Mapping[str, str] | None = None,
    task: str | None = None,
    missing: Sequence[str] | None = None,
    weight: str | None = None,
    max_categories: int = 1000,
    source: str = "the table",
) -> Schema:
    r"""Find out what each column of a table means.

    Args:
        frame: the whole table, as `chainrule.data.read_table` gives it.
        target: the column to predict, if any, or the columns, to learn several at once; rows are
            then used that have one of them at least.
        features: use these columns only; all but the target if not given.
        drop: leave these columns out.
        kinds: overrules what would be found: ``{"zip": "category"}``; ``numeric``, ``boolean``,
            ``category``, ``date``, or a date's format, such as ``date:%d/%m/%Y``; that of the
            target, ``numeric`` or ``category``, says the task.
        task: ``regression`` or ``classification``; overrules what the target's values say.
        missing: the words that mean a missing value, in any case, beside empty cells and errors of
            spreadsheets. Without it ``NA``, ``none``, ``?``, ``-`` and the like do, but where they
            are frequent among words.
        weight: the column that says what each row counts for; it is no feature.
        max_categories: so many categories of a column, the most frequent, have a code each.
        source: the table's name in messages.

    Returns:
        The schema, not yet fitted: see `Schema.fit`.

    Raises:
        DataError: an unknown column or kind, a target that cannot be learned, or no usable column.

    Example:
        >>> from chainrule.data import read_table
        >>> schema = infer_schema(read_table(b"sold,price\n31/12/2014,9\n1/2/2015,8\n"), "price")
        >>> schema.columns[0].kind, schema.columns[0].date_format, schema.target.task
        ('date', '%d/%m/%Y', 'regression')
    """
    kinds = dict(kinds or {})
    targets = (target,) if isinstance(target, str) else tuple(target or ())
    tasks = [task_of_kind(kinds.pop(name, None), task, name, source) for name in targets]
    _check_arguments(frame, targets, features, drop, kinds, max_categories, source)
    _check_weight(frame, weight, targets, features, source)
    if weight is not None:
        drop = (*(drop or ()), weight)
    requested, dropped = _requested(frame.columns, targets, features, drop)
    profiles = _profiles(frame, requested, missing, kinds)
    aims = [
        target_profile(frame[name], missing, f"{source}, column {name!r}", own)
        for name, own in zip(targets, tasks, strict=True)
    ]
    conventions = conventions_of([*profiles, *aims])
    specs = [
        target_of(aim, conventions, own, f"{source}, column {aim.name!r}")
        for aim, own in zip(aims, tasks, strict=True)
    ]
    known, notes = learnable_rows(specs, frame, source)
    if not known.all():
        frame = frame.filter(known)
        profiles = _profiles(frame, requested, missing, kinds)
    decided = [
        decide(column, conventions, kinds.get(column.name), max_categories, source)
        for column in profiles
    ]
    decided, told = measured(decided, profiles, specs, frame, kinds)
    columns = [column for column in decided if isinstance(column, Column)]
    dropped += [column for column in decided if isinstance(column, Dropped)]
    if not columns:
        raise _no_columns(dropped, source)
    schema = Schema(tuple(columns), tuple(dropped), None, tuple(notes), max_categories)
    schema = schema.with_targets(specs)
    if weight is not None:
        schema = dataclasses.replace(schema, weight=_weight(frame, weight, conventions, source))
    numbers = {c.name for c in columns if c.kind == "numeric"}
    numbers |= {spec.name for spec in specs if not spec.classes}
    mixed = [p.mixed_signs() for p in (*aims, *profiles) if p.name in numbers]
    words = {c.name for c in decided if c.kind in ("category", "text", "identifier")}
    inside = [p.numbers_in_text() for p in profiles if p.name in words - kinds.keys()]
    dates = {c.name for c in columns if c.kind == "date"} - kinds.keys()
    odd = [p.letters_in_numbers() for p in (*aims, *profiles) if p.name in numbers]
    columns_of = {c.name: c.kind for c in columns}
    odd += [p.stand_in(columns_of.get(p.name, "numeric")) for p in (*aims, *profiles)
            if p.name in numbers | dates]  # fmt: skip
    odd += [p.alike() for p in profiles if columns_of.get(p.name) == "category"]
    odd += [p.doubtful_times() for p in profiles if p.name in dates]
    told = [*told, *filter(None, [*mixed, *inside, *odd])]
    return dataclasses.replace(schema, notes=(*notes, *told, *leaks(schema, frame)))


def _profiles(
    frame: pl.DataFrame,
    names: Sequence[str],
    missing: Sequence[str] | None,
    kinds: Mapping[str, str],
) -> list[Profile]:
    found = [Profile.of(frame[name], missing) for name in names]
    return [
        dataclasses.replace(one, as_numbers=True) if kinds.get(one.name) == "numeric" else one
        for one in found
    ]


def telling_columns(frame: pl.DataFrame) -> list[str]:
    """The columns that may say something: no identifiers, counters, constants or empty ones.

    Example:
        >>> import polars as pl
        >>> telling_columns(pl.DataFrame({"id": [7, 8], "unit": ["m", "m"], "size": [1.5, 2.0]}))
        ['size']
    """
    profiles = [Profile.of(frame[name]) for name in frame.columns]
    conventions = conventions_of(profiles)
    nothing = ("identifier", "constant", "missing")
    decided = [(p, decide(p, conventions, None, 1000, "")) for p in profiles]
    return [
        p.name
        for p, found in decided
        if not (isinstance(found, Dropped) and found.kind in nothing) and not counts_rows(p)
    ]


def infer_target(
    frame: pl.DataFrame,
    name: str,
    *,
    missing: Sequence[str] | None = None,
    source: str = "the table",
) -> Target:
    """Find out what a column means as a target, where the other columns do not matter.

    Raises:
        DataError: there is no such column, or it cannot be learned.

    Example:
        >>> import polars as pl
        >>> infer_target(pl.DataFrame({"pet": ["cat", "dog", "cat"]}), "pet").classes
        ('cat', 'dog')
    """
    check_present([name], frame.columns, source)
    column = target_profile(frame[name], missing, f"{source}, column {name!r}")
    target = target_of(column, conventions_of([column]), None, f"{source}, column {name!r}")
    learnable_rows([target], frame, source)  # for its errors
    return target


def _check_arguments(
    frame: pl.DataFrame,
    targets: Sequence[str],
    features: Sequence[str] | None,
    drop: Sequence[str] | None,
    kinds: Mapping[str, str],
    max_categories: int,
    source: str,
) -> None:
    named = [*(features or []), *(drop or []), *kinds]
    check_present([*targets, *named], frame.columns, source)
    for argument, names in (("features", features), ("drop", drop)):
        for target in (target for target in targets if target in (names or ())):
            raise DataError(
                f"The target {target!r} is also among the {argument}.",
                where=source,
                expected="the target in one place only",
                found=f"{target!r} as target and in {argument}",
            )
    for name, kind in kinds.items():
        if kind not in ("numeric", "boolean", "category", "date", "text", "image") and not (
            kind.startswith("date:") and "%" in kind
        ):
            raise DataError(
                f"Column {name!r} cannot be of kind {kind!r}.",
                where=source,
                expected="numeric, boolean, category, date, text, image, or date:%d/%m/%Y",
                found=kind,
            )
    if max_categories < 1:
        raise DataError(
            "max_categories must be at least 1.", expected="1 or more", found=str(max_categories)
        )


def _check_weight(
    frame: pl.DataFrame,
    weight: str | None,
    targets: Sequence[str],
    features: Sequence[str] | None,
    source: str,
) -> None:
    if weight is None:
        return
    check_present([weight], frame.columns, source)
    for what, names in (("the target", targets), ("a feature", features or ())):
        if weight in names:
            raise DataError(
                f"The weight of the rows cannot be {what}.",
                where=source,
                expected="a column of its own",
                found=f"{weight!r} as weight and as {what}",
            )


def _weight(frame: pl.DataFrame, name: str, conventions: Conventions, source: str) -> Column:
    """The column of the weights, whose values are all in order."""
    profile = Profile.of(frame[name])
    column = decide(profile, conventions, "numeric", 1, source)
    if isinstance(column, Dropped) and column.kind == "constant":  # no feature, yet a weight
        column = Column(name, "numeric", column.reason)
    if isinstance(column, Dropped):
        raise DataError(
            "The weights of the rows cannot be used.",
            where=f"{source}, column {name!r}",
            expected="numbers from 0 on, one for each row",
            found=column.reason,
        )
    read_weights(column, frame, source, some=True)
    return column


def _requested(
    names: Collection[str],
    targets: Sequence[str],
    features: Sequence[str] | None,
    drop: Sequence[str] | None,
) -> tuple[list[str], list[Dropped]]:
    dropped = [
        Dropped(name, "requested", "left out as asked") for name in names if name in (drop or ())
    ]
    unwanted = {*targets, *(drop or ())}
    wanted = names if features is None else features
    kept = [name for name in names if name in wanted and name not in unwanted]
    if features is not None:
        dropped += [
            Dropped(name, "requested", "not among the features asked for")
            for name in names
            if name not in features and name not in unwanted
        ]
    return kept, dropped


def _no_columns(dropped: Sequence[Dropped], source: str) -> DataError:
    reasons = "; ".join(f"{column.name}: {column.reason}" for column in dropped[:5])
    kept = ("requested", "constant", "missing", "nested")  # no kind of column would change these
    example = next((column.name for column in dropped if column.kind not in kept), None)
    return DataError(
        "No column is left to learn from.",
        where=source,
        expected="at least one column of numbers, categories, booleans or dates",
        found=reasons or "no column beside the target",
        hint=f"say what a column is: --kind {example}=category" if example else None,
    )
