"""A saved model of a table as the beginning of another one: for transfer and for updates.

A feature keeps its weights by what it means, not by its number: the columns of the first layer
belong to labels such as ``("city", "is", "Oslo")``, those of the last one to names of classes. So
columns may come, go and change places, and categories and classes may be added.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...data import Column, Schema
from ...errors import ModelFileError
from ...serialization import SavedModel
from ...utils.typing import Array
from ..class_extension import extended_target
from ..kinds.table import TableOptions
from ..optimizer import highest_rate
from ..scaling import TargetScaler
from .features import ONE_HOT_LIMIT, Label, TableFeatures, code_names
from .heads import Head, head_for
from .linear_path import LinearPath
from .network import Shape, TableModel, TableNetwork

_VECTORS = "network.vectors.vectors"
_LINEAR = "network.linear."


class Previous:
    """A saved model of a table.

    Attributes:
        saved: as it was loaded.
        schema: what its columns mean, with their statistics.
        shape: sizes of its network.
        report: of its training.

    Args:
        saved: a model of a table.
        where: its name in messages.

    Raises:
        ModelFileError: it is of other data, or of a version that did not keep the sizes.
    """

    def __init__(self, saved: SavedModel, where: str) -> None:
        record = saved.record if isinstance(saved.record, dict) else {}
        self.saved = saved
        self.report: dict[str, Any] = record.get("report") or {}
        network = self.report.get("network")
        if not isinstance(saved.schema, str) or not isinstance(network, dict):
            raise ModelFileError(
                "This model cannot be trained on.",
                where=where,
                expected="a model of a table, with the sizes of its network",
                hint="Train it again with this version of chainrule.",
            )
        self.schema = Schema.from_json(saved.schema)
        logs = network["log_target"]
        self._logs: list[bool | None] = logs if isinstance(logs, list) else [logs]
        self.loss_weights: tuple[float, ...] = tuple(network.get("loss_weights") or ())
        self.shape = Shape(
            **{
                f.name: network.get(f.name, f.default)
                for f in dataclasses.fields(Shape)
                if f.name != "hidden"
            },
            hidden=tuple(network["hidden"]),
        )

    @property
    def options(self) -> TableOptions:
        """The options of its training."""
        return TableOptions.from_json(self.report.get("options") or {})

    @property
    def highest_rate(self) -> float:
        """The highest learning rate of its training, at the end of an epoch."""
        return highest_rate(self.saved.record)

    def shape_for(self, chosen: Shape, options: TableOptions) -> Shape:
        """The sizes of this network, where the user says nothing else."""
        said = {
            name: getattr(chosen, name)
            for name in ("hidden", "activation", "dropout", "norm", "members")
            if getattr(options, name) is not None
        }
        return dataclasses.replace(self.shape, **said)

    def adopt(self, schema: Schema) -> tuple[Schema, list[str]]:
        """Statistics and vocabularies of the columns that both have, and the names of these."""
        known = {(column.name, column.kind): column for column in self.schema.columns}
        columns = []
        shared = []
        for column in schema.columns:
            old = known.get((column.name, column.kind))
            if old is not None:
                shared.append(column.name)
                column = dataclasses.replace(
                    column,
                    vocabulary=old.vocabulary,
                    has_other=old.has_other,
                    statistics=old.statistics,
                    frequencies=old.frequencies,
                    longest=old.longest,
                )
            columns.append(column)
        return dataclasses.replace(schema, columns=tuple(columns)), shared

    @functools.cached_property
    def state(self) -> dict[str, Array]:
        """The arrays of the file, and those that heads have since it was written."""
        found = self.saved.state()
        if self.saved.classes:
            found.setdefault("heads.0.temperature", np.ones((), np.float32))
        for i, log in enumerate(self._logs):
            if log:
                found.setdefault(f"heads.{i}.factor", np.ones(()))
        return found

    def heads(self, schema: Schema | None = None) -> list[Head]:
        """A head for each target, with its saved scale; for other classes with another schema."""
        targets = (schema or self.schema).targets
        return [head_for(target, self.scale(i)) for i, target in enumerate(targets)]

    def model(self) -> TableModel:
        """The model, ready to be trained on."""
        heads = self.heads()
        outputs = sum(head.outputs for head in heads)
        network = TableNetwork(self.schema, outputs, self.shape, seed=0)
        model = TableModel(network, heads, self.loss_weights)
        model.load_state(self.state)
        return model

    def scale(self, number: int = 0) -> TargetScaler | None:
        """The scale of a target; None for classes."""
        log = self._logs[number]
        if log is None:
            return None
        scale = TargetScaler(log)
        start = "scale." if len(self._logs) == 1 else f"heads.{number}.scale."
        own = {p.removeprefix(start): a for p, a in self.state.items() if p.startswith(start)}
        scale.load_state(own)
        return scale

    def same_target(self, schema: Schema) -> bool:
        """Is it the same column that is predicted, with the same task? Are all of several?"""
        old, new = (
            [(target.name, target.task, target.quantiles) for target in one.targets]
            for one in (self.schema, schema)
        )
        return old == new

    def aligned(self, model: TableModel, schema: Schema, *, zero: bool = False) -> dict[str, Array]:
        """The arrays, with features, categories and classes at their places in another model.

        Args:
            model: the other one; what it has besides keeps its first values.
            schema: of the other one.
            zero: what it has besides begins with zeros: then its answers are the old ones.
        """
        old, new = self.state, model.state()
        inside = "network.features."
        result = {path: a for path, a in old.items() if not path.startswith(inside)}
        if {c.name for c in schema.columns} <= {c.name for c in self.schema.columns}:
            # Their statistics are the adopted ones, whatever their places.
            result |= {path: a for path, a in new.items() if path.startswith(inside)}
        known = list(self.saved.classes or ())
        classes = list(schema.target.classes) if schema.target else []
        if known != classes and set(known) & set(classes):
            for path in self._by_class(new):
                result[path] = _placed(result[path], new[path], known, classes, axis=2, zero=zero)
            for path in [p for p in result if p.startswith(_LINEAR)]:
                result[path] = _moved(result[path], known, classes, result[path].ndim - 1)
        before, after = (
            _labels(
                TableFeatures(
                    self.schema, self.shape.bins, not self.shape.input_dropout, self.shape.ranks
                )
            ),
            _labels(model.network.features),
        )
        for path, part in self._first_weights().items():
            if path in new and path in old:
                names = before.get(part, []), after.get(part, [])
                result[path] = _placed(result[path], new[path], *names, axis=1, zero=zero)
        for name, part in (("weight", "linear"), ("category_weight", "categories")):
            if (path := _LINEAR + name) in new and path in old:
                names = before.get(part, []), after.get(part, [])
                result[path] = _moved(result[path], *names, axis=1)
        return result | self._vectors(new, schema)

    def _by_class(self, new: Mapping[str, Array]) -> list[str]:
        """The weights whose last axis are the outputs."""
        words = f"network.words.{min(len(self.shape.hidden), 1)}.weight"
        paths = ["network.head.weight", "network.head.bias", words]
        return [path for path in paths if path in new and path in self.state]

    def _first_weights(self) -> dict[str, str]:
        """The weights that see the features, and which of the features these are."""
        first = "layers.0" if self.shape.hidden else "head"
        return {
            f"network.{first}.weight": "numbers",
            "network.short.pieces_weight": "pieces",
            "network.short.category_weight": "categories",
            "network.words.0.weight": "words",
            "network.words.1.weight": "words",
        }

    def _vectors(self, new: Mapping[str, Array], schema: Schema) -> dict[str, Array]:
        """The learned vectors of the categories that both have."""
        state = self.state
        before = {column.name: (i, column) for i, column in enumerate(_learned(self.schema))}
        found = {}
        for i, column in enumerate(_learned(schema)):
            number, old = before.get(column.name, (-1, None))
            if old is not None:
                there, here = state[f"{_VECTORS}.{number}"], new[f"{_VECTORS}.{i}"]
                wide = np.zeros((len(there), here.shape[1]), here.dtype)
                shared = min(there.shape[1], here.shape[1])
                wide[:, :shared] = there[:, :shared]
                names = code_names(old), code_names(column)
                found[f"{_VECTORS}.{i}"] = _placed(wide, here, *names, axis=0)
        return found


def _labels(features: TableFeatures) -> dict[str, list[Label]]:
    """What the features are, and those of them that a linear model sees."""
    found = features.labels()
    return found | {"linear": LinearPath(1, features, 1).labels()}


def _learned(schema: Schema) -> list[Column]:
    """The columns whose categories have learned vectors."""
    return [column for column in schema.category if column.codes > ONE_HOT_LIMIT]


def _moved(old: Array, before: Sequence[Any], after: Sequence[Any], axis: int) -> Array:
    """The parts of an array along an axis, by their names; others are zero."""
    shape = list(old.shape)
    shape[axis] = len(after)
    return _placed(old, np.zeros(shape, old.dtype), before, after, axis, zero=True)


def _placed(
    old: Array,
    new: Array,
    before: Sequence[Any],
    after: Sequence[Any],
    axis: int,
    zero: bool = False,
) -> Array:
    """The parts of an array along an axis, by their names; others as in ``new``, or zero."""
    expected = list(old.shape)
    expected[axis] = len(after)
    if list(new.shape) != expected:
        return old  # other sizes: nothing is to be put in place
    result = np.zeros_like(new) if zero else new.copy()
    place = {name: number for number, name in enumerate(before)}
    pairs = [(i, place[name]) for i, name in enumerate(after) if name in place]
    if pairs:
        here, there = (np.array(numbers) for numbers in zip(*pairs, strict=True))
        np.moveaxis(result, axis, 0)[here] = np.moveaxis(old, axis, 0)[there]
    return result


def extended(schema: Schema, more: Mapping[str, Sequence[str]], classes: Sequence[str]) -> Schema:
    """A schema with further categories by column, and further classes.

    A column of one-hot categories stays one: it takes no more than `ONE_HOT_LIMIT` codes.
    """
    columns = tuple(
        dataclasses.replace(column, vocabulary=(*column.vocabulary, *_room(column, more)))
        for column in schema.columns
    )
    target = schema.target
    if target is not None and classes:
        target = extended_target(target, (*target.classes, *classes))
    return dataclasses.replace(schema, columns=columns, target=target)


def _room(column: Column, more: Mapping[str, Sequence[str]]) -> Sequence[str]:
    new = more.get(column.name, ())
    if column.codes > ONE_HOT_LIMIT:
        return new
    return new[: max(ONE_HOT_LIMIT - column.codes, 0)]
