"""A training of an agent that goes on: what its checkpoints hold."""

from __future__ import annotations

import json
from typing import Any, Protocol

import numpy as np

from ..engine.tensor import Variable
from ..errors import ConfigError
from ..training import History
from ..training.checkpoints import Checkpoints, Snapshot
from ..utils.typing import Array


class Resumable(Protocol):
    """What is needed of an agent."""

    history: History
    steps: int
    goal: int

    def parts(self) -> dict[str, Any]:
        """All that changes: variables, or what has ``state`` and ``load_state``."""

    def counts(self) -> dict[str, Any]:
        """The numbers that change."""

    def load_counts(self, counts: dict[str, Any]) -> None:
        """Go on from what `counts` gave."""

    def options(self) -> dict[str, Any]:
        """What was asked for."""


def snapshot_of(agent: Resumable) -> Snapshot:
    """All that a training needs to go on to the bit: arrays by part, and facts."""
    arrays: dict[str, Array] = {}
    for name, part in agent.parts().items():
        state = {"": part.numpy().copy()} if isinstance(part, Variable) else part.state()
        arrays |= {f"{name}.{key}": np.asarray(array) for key, array in state.items()}
    facts = {
        "identity": _identity(agent),
        "counts": agent.counts(),
        "history": list(agent.history.records),
        "position": {"seconds": 0.0},
    }
    return Snapshot(agent.steps, arrays, facts)


def _identity(agent: Resumable) -> dict[str, Any]:
    """What must be the same for a training to go on."""
    found: dict[str, Any] = json.loads(json.dumps(agent.options(), default=str))
    found.pop("backend")  # the same numbers but for rounding
    return found | {"steps": agent.goal}


def go_on(agent: Resumable, checkpoints: Checkpoints) -> None:
    """Bring a new agent to where the newest checkpoint was written, if there is one.

    Raises:
        ConfigError: nobody asked for that, or it is one of another training.
    """
    if agent.steps:
        raise ConfigError(
            "Checkpoints are those of a training from its beginning.",
            found=f"an agent that has taken {agent.steps:,} steps", hint="Make a new agent.",
        )  # fmt: skip
    found = checkpoints.newest()
    if found is None:
        return
    if not checkpoints.resume:
        raise ConfigError(
            "The folder has the checkpoints of a training.", where=str(checkpoints.folder),
            hint="Go on with it with resume=True, or name another folder.",
        )  # fmt: skip
    before, now = found.facts["identity"], _identity(agent)
    others = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if others:
        raise ConfigError(
            "The training is no longer the one that was interrupted.",
            where=str(checkpoints.folder),
            expected=", ".join(f"{name} {before.get(name)}" for name in others),
            found=", ".join(f"{name} {now.get(name)}" for name in others),
            hint="Resume with the same options.",
        )
    for name, part in agent.parts().items():
        start = f"{name}."
        state = {k.removeprefix(start): x for k, x in found.arrays.items() if k.startswith(start)}
        if isinstance(part, Variable):
            part.assign(state[""])
        else:
            part.load_state(state)
    agent.load_counts(found.facts["counts"])
    agent.history.records[:] = found.facts["history"]


__all__ = ["go_on", "snapshot_of"]
