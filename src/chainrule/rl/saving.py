"""Policies as model files: what is written, and how raw observations go through one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import read_table, source_name
from ..data.schema import check_present
from ..data.source import with_reading
from ..engine.ops import mean, squeeze, take_along_axis
from ..engine.tensor import Tensor
from ..errors import DataError, ModelFileError
from ..optim import Adam
from ..serialization import SavedModel, save
from ..tasks.examples import Examples, RawRow, check_rows, no_target, said
from ..tasks.predictions import PROBABILITY, beside, kept_names
from ..utils.typing import Array
from ..utils.warned import warned
from .spaces import Box, Discrete

if TYPE_CHECKING:
    import polars as pl


#: In the schema of a model file.
KIND = "policy"
#: The column of the action in a table of steps.
ACTION = "action"
Say = Callable[[str], None]


@dataclass(frozen=True)
class PolicySchema:
    """What goes into a policy and comes out of it.

    Attributes:
        environment: its name.
        algorithm: that trained it.
        inputs: what the numbers of an observation are called.
        shape: of one observation.
        actions: the names of the actions, or of the numbers of a continuous one.
        continuous: which of both.
        values: whether the output is the value of each action, rather than its probability.
    """

    environment: str
    algorithm: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    actions: tuple[str, ...]
    continuous: bool
    values: bool

    def described(self) -> list[tuple[str, str]]:
        """Pairs of a name and what there is to tell, for `chainrule summary`."""
        shown = ", ".join(self.inputs[:8]) + ", …" * (len(self.inputs) > 8)
        kind = "numbers" if self.continuous else "one of"
        return [
            ("environment", self.environment),
            ("algorithm", self.algorithm),
            ("observation", f"{len(self.inputs)} numbers: {shown}"),
            ("action", f"{kind}: {', '.join(self.actions)}"),
        ]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"kind": KIND, **self.__dict__}

    @staticmethod
    def from_json(content: Any) -> PolicySchema:
        """What `to_json` gave.

        Raises:
            ModelFileError: it is something else.
        """
        content = json.loads(content) if isinstance(content, str) else content
        try:
            return PolicySchema(
                str(content["environment"]), str(content["algorithm"]),
                tuple(map(str, content["inputs"])), tuple(map(int, content["shape"])),
                tuple(map(str, content["actions"])), bool(content["continuous"]),
                bool(content["values"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                "What the policy says of its observations is damaged.",
                found=f"{type(error).__name__}: {error}"[:200],
            ) from None


def schema_of(agent: Any) -> PolicySchema:
    """What the policy of an agent takes and gives."""
    seen, space = agent.observation_space, agent.action_space
    labels = space.labels
    if isinstance(space, Box) and not space.names:
        labels = (ACTION,) if space.size == 1 else tuple(f"{ACTION}_{i}" for i in range(space.size))
    return PolicySchema(
        agent.worlds.name, agent.name, seen.labels, seen.shape, labels,
        isinstance(space, Box), agent.gives_values,
    )  # fmt: skip


def save_policy(
    path: str | os.PathLike[str], agent: Any, report: dict[str, Any] | None = None
) -> None:
    """Write the policy of an agent; see `Algorithm.save`."""
    network, output = agent.policy()
    example = np.zeros((2, *agent.observation_space.shape), np.float32)
    space = agent.action_space
    told = {"task": KIND, "options": agent.options(), **(report or {})}
    save(
        path, network, (example,), output=output, schema=schema_of(agent).to_json(),
        classes=list(space.labels) if isinstance(space, Discrete) else None,
        record={"report": told, "history": _lasting(agent)},
    )  # fmt: skip


def _lasting(agent: Any) -> dict[str, Any]:
    """The history without what differs when it is repeated."""
    content = agent.history.to_json()
    content["epochs"] = [
        {name: x for name, x in one.items() if name != "seconds"} for one in content["epochs"]
    ]
    return content


def predictor(saved: SavedModel, path: str) -> Policy:
    """A saved policy, ready for observations."""
    return Policy(saved, path)


class Policy:
    """A saved policy: tables of observations in, actions out.

    Attributes:
        schema: what goes in and comes out.
        record: report and history of the training.
    """

    def __init__(self, saved: SavedModel, path: str) -> None:
        self.saved, self._path = saved, path
        self.schema = PolicySchema.from_json(saved.schema)
        self.record = saved.record

    @property
    def classes(self) -> tuple[str, ...]:
        """The actions; empty for continuous ones."""
        return () if self.schema.continuous else self.schema.actions

    def act(self, observation: Any) -> Array:
        """Actions for observations (rows, …): int64 (rows,), or float32 (rows, numbers)."""
        found = self.saved.predict(np.asarray(observation, np.float32))
        return found if self.schema.continuous else found.argmax(1)

    def predict(
        self, source: Any, *, proba: bool = False, keep: Sequence[str] = (), say: Say = warned
    ) -> pl.DataFrame:
        """The action for each row of a table of observations.

        Args:
            source: a table with the columns of an observation, such as ``episode.csv`` of a run
                folder.
            proba: the probability of every action, too; of DQN its value.
            keep: columns of the input to stand before the predictions.
            say: takes notes.
        """
        import polars as pl

        frame = read_table(with_reading(source, None))
        found = self.saved.predict(self._observations(frame, source_name(source)))
        table: dict[str, Any] = {}
        if self.schema.continuous:
            names = self.schema.actions if len(self.schema.actions) > 1 else ("prediction",)
            table = {name: found[:, i] for i, name in enumerate(names)}
        else:
            best = [self.schema.actions[i] for i in found.argmax(1)]
            table["prediction"] = pl.Series(best, dtype=pl.String)
            if proba:
                before = "value " if self.schema.values else PROBABILITY
                for i, name in enumerate(self.schema.actions):
                    table[f"{before}{name}"] = found[:, i]
        told = pl.DataFrame(table)
        if not keep:
            return told
        return beside(frame.select(kept_names(keep, frame.columns, source_name(source))), told, say)

    def evaluate(self, source: Any, *, say: Say = warned) -> dict[str, float]:
        """How far the policy does what a table of steps has done: accuracy, or mean square error.

        Raises:
            DataError: the table has no column of the action.
        """
        frame = read_table(with_reading(source, None))
        name = source_name(source)
        done = self._actions(frame, name)
        found = self.act(self._observations(frame, name))
        if self.schema.continuous:
            return {"mse": float(np.mean((found.reshape(done.shape) - done) ** 2))}
        return {"accuracy": float(np.mean(found == done))}

    def examples(self, source: Any, rows: Sequence[int], *, say: Say = warned) -> Examples:
        """Steps of a table, and a step of training that makes their actions likelier."""
        frame = read_table(with_reading(source, None))
        name = source_name(source)
        check_rows(rows, frame.height, name, "Rows are counted from 0, without the header.")
        frame = frame[list(rows)]
        seen, done = self._observations(frame, name), self._actions(frame, name)
        found = self.saved.predict(seen)
        classes = () if self.schema.continuous or self.schema.values else self.schema.actions
        raw = tuple(
            RawRow(
                number, self._cells(frame, place), self._aim(frame, place),
                said(found[place], classes),
            )
            for place, number in enumerate(rows)
        )  # fmt: skip
        target, loss, story = self._lesson(frame, done, name)
        rate = float(((self.record or {}).get("report") or {}).get("options", {}).get("lr", 1e-3))
        return Examples(
            seen, target, loss, raw, None, lambda network: Adam(network, lr=rate, eps=1e-5),
            {"x": self.schema.inputs} if len(self.schema.shape) == 1 else {}, story,
        )  # fmt: skip

    # ---- inside ------------------------------------------------------------------------------

    def _observations(self, frame: pl.DataFrame, name: str) -> Array:
        check_present(self.schema.inputs, frame.columns, name)
        part = frame.select(self.schema.inputs)
        try:
            found = _numbers(part)
        except Exception as error:  # of polars: a text that is no number
            raise DataError("An observation is no number.", where=name,
                            expected="numbers in all columns of the observation",
                            found=str(error)[:200]) from None  # fmt: skip
        wrong = np.argwhere(~np.isfinite(found))
        if len(wrong):
            row, column = wrong[0]
            raise DataError(
                "An observation is missing or not finite.",
                where=f"{name}, column {self.schema.inputs[column]!r}, row {row}",
                expected="a number",
            )
        return found.reshape(-1, *self.schema.shape)

    def _actions(self, frame: pl.DataFrame, name: str) -> Array:
        wanted = self.schema.actions if self.schema.continuous else (ACTION,)
        for column in wanted:
            if column not in frame.columns:
                found = ", ".join(frame.columns[:20])
                raise no_target(name, f"a column {column!r} with the action taken", found)
        if self.schema.continuous:
            return _numbers(frame.select(wanted))
        known = {label: i for i, label in enumerate(self.schema.actions)}
        known |= {str(i): i for i in range(len(known))}
        words = [str(x) for x in frame[ACTION].to_list()]
        for row, word in enumerate(words):
            if word not in known:
                raise DataError(
                    "This is no action of the policy.",
                    where=f"{name}, column {ACTION!r}, row {row}",
                    expected=", ".join(self.schema.actions[:20]),
                    found=word,
                )
        return np.array([known[word] for word in words], np.int64)

    def _cells(self, frame: pl.DataFrame, place: int) -> tuple[dict[str, Any], ...]:
        plain = len(self.schema.shape) == 1
        return tuple(
            {
                "column": column, "text": str(frame[column][place]),
                "encoded": f"{float(frame[column][place]):.10g}",
                "input": f"x[{place},{i}]" if plain else "x",
            }
            for i, column in enumerate(self.schema.inputs[:40])
        )  # fmt: skip

    def _aim(self, frame: pl.DataFrame, place: int) -> dict[str, Any]:
        names = self.schema.actions if self.schema.continuous else (ACTION,)
        return {"column": ", ".join(names),
                "text": ", ".join(str(frame[name][place]) for name in names)}  # fmt: skip

    def _lesson(
        self, frame: pl.DataFrame, done: Array, name: str
    ) -> tuple[Array, str | Callable[..., Tensor], tuple[str, ...]]:
        """The target, the loss and what is said of them."""
        of = f"A policy of {self.schema.environment}, trained by {self.schema.algorithm}. "
        if self.schema.continuous:
            return done.astype(np.float32), "mse", (
                of + "The step makes the actions of these rows likelier: the loss is the square "
                "of their distance from the policy's, as in the logarithm of a normal density.",
            )  # fmt: skip
        if not self.schema.values:
            return done, "cross_entropy", (
                of + "The step is that of the policy gradient where these actions were one better "
                "than expected: the loss is −ln p(action), with an advantage of 1.",
            )  # fmt: skip
        if "return" not in frame.columns:
            raise no_target(name, "a column 'return' with what followed the action",
                            ", ".join(frame.columns[:20]))  # fmt: skip
        returns = frame["return"].to_numpy().astype(np.float32)

        def squared_error(values: Tensor, target: Tensor) -> Tensor:
            """(Q(s, a) − return)²; the mean over the rows."""
            chosen = target[:, :1].astype("int64")
            found = squeeze(take_along_axis(values, chosen, 1), 1)
            return mean((found - target[:, 1]) ** 2)

        target = np.stack([done.astype(np.float32), returns], 1)
        return target, squared_error, (
            of + "The step moves the value of each action taken towards the return that followed.",
        )  # fmt: skip


def _numbers(frame: pl.DataFrame) -> Array:
    import polars as pl

    return frame.select(pl.all().cast(pl.Float64)).to_numpy().astype(np.float32)


__all__ = ["KIND", "Policy", "PolicySchema", "predictor", "save_policy"]
