"""Experience that is kept and drawn again: uniformly, or what surprised more often."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..utils.typing import Array
from .worlds import Rollout

_FIELDS = ("observation", "action", "reward", "terminated", "next_observation")


class Replay:
    """The latest transitions, drawn uniformly with replacement.

    An observation has the element type that it came in. Memory is only taken as it fills.

    Args:
        capacity: how many are kept.
        seed: of the draws.

    Example:
        >>> x = np.zeros((3, 2, 1), np.float32)
        >>> flags = np.zeros((3, 2), bool)
        >>> kept = Replay(4, seed=0)
        >>> kept.add(Rollout(x, flags * 1, x[..., 0], flags, flags, x, None, None, {}))
        >>> len(kept), kept.sample(5, 2)["observation"].shape
        (4, (5, 2, 1))
    """

    def __init__(self, capacity: int, seed: int) -> None:
        self.capacity = capacity
        self._rng = np.random.default_rng(np.random.SeedSequence([seed, 7]))
        self._arrays: dict[str, Array] = {}
        self._next = self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, rollout: Rollout) -> None:
        """Keep what happened; the oldest goes where there is no room."""
        flat = {name: _rows(getattr(rollout, name)) for name in _FIELDS}
        rows = len(flat["reward"])
        if rows > self.capacity:
            flat = {name: array[-self.capacity :] for name, array in flat.items()}
            rows = self.capacity
        if not self._arrays:
            self._arrays = {
                name: np.empty((self.capacity, *array.shape[1:]), array.dtype)
                for name, array in flat.items()
            }
        places = (self._next + np.arange(rows)) % self.capacity
        for name, array in flat.items():
            self._arrays[name][places] = array
        self._next = (self._next + rows) % self.capacity
        self._count = min(self._count + rows, self.capacity)
        self._added(places)

    def state(self) -> dict[str, Array]:
        """Copies of what is kept, and where draws are."""
        draws = json.dumps(self._rng.bit_generator.state).encode()
        found = {name: array[: self._count].copy() for name, array in self._arrays.items()}
        return found | {"draws": np.frombuffer(draws, np.uint8), "next": np.array(self._next)}

    def load_state(self, state: dict[str, Array]) -> None:
        """Go on from what `state` gave."""
        self._rng.bit_generator.state = json.loads(state["draws"].tobytes())
        self._next = int(state["next"])
        for name in _FIELDS:
            if name in state:
                kept = state[name]
                self._count = len(kept)
                array = np.empty((self.capacity, *kept.shape[1:]), kept.dtype)
                array[: self._count] = kept
                self._arrays[name] = array

    def _added(self, places: Array) -> None:
        """For priorities."""

    def sample(self, batches: int, size: int, progress: float = 0.0) -> dict[str, Array]:
        """Some batches of transitions, (batches, size, …) by name, with ``weight``, ``place``.

        Args:
            batches: how many.
            size: rows of each.
            progress: how much of the training is over, 0 to 1.
        """
        places = self._rng.integers(self._count, size=(batches, size))
        return self._taken(places, np.ones((batches, size), np.float32))

    def _taken(self, places: Array, weights: Array) -> dict[str, Array]:
        found = {name: array[places] for name, array in self._arrays.items()}
        return found | {"weight": weights, "place": places}

    def learned(self, places: Array, errors: Array) -> None:
        """The errors of transitions when they were learned from, for priorities."""


class PrioritizedReplay(Replay):
    """Transitions are drawn in proportion to |error|^α, and weigh less for it.

    Weights are (N·p)^−β, divided by the largest of the batch; β grows to 1. New transitions have
    the largest priority so far. Source: Schaul et al., "Prioritized experience replay", ICLR 2016.

    Args:
        capacity: how many are kept.
        seed: of the draws.
        alpha: α; 0 draws uniformly.
        beta: β at the beginning.
    """

    def __init__(self, capacity: int, seed: int, alpha: float = 0.6, beta: float = 0.4) -> None:
        super().__init__(capacity, seed)
        self.alpha, self.beta = alpha, beta
        self._leaves = 1 << max(capacity - 1, 1).bit_length()
        #: Sums of pairs: node i is that of 2i and 2i + 1, the leaves are the priorities.
        self._sums = np.zeros(2 * self._leaves)
        self._largest = 1.0

    def state(self) -> dict[str, Array]:
        """See the base."""
        return super().state() | {"sums": self._sums.copy(), "largest": np.array(self._largest)}

    def load_state(self, state: dict[str, Array]) -> None:
        """See the base."""
        super().load_state(state)
        self._sums[:], self._largest = state["sums"], float(state["largest"])

    def _added(self, places: Array) -> None:
        self._set(places, np.full(len(places), self._largest**self.alpha))

    def _set(self, places: Array, priorities: Array) -> None:
        nodes = places + self._leaves
        self._sums[nodes] = priorities
        while nodes[0] > 1:
            nodes = np.unique(nodes // 2)
            self._sums[nodes] = self._sums[2 * nodes] + self._sums[2 * nodes + 1]

    def sample(self, batches: int, size: int, progress: float = 0.0) -> dict[str, Array]:
        """As `Replay.sample`, by priority: one from each of ``size`` equal parts of the sum."""
        parts = np.arange(size) + self._rng.random((batches, size))
        wanted = (parts / size * self._sums[1]).ravel()
        nodes = np.ones(len(wanted), np.int64)
        while nodes[0] < self._leaves:
            left = self._sums[2 * nodes]
            right = (wanted >= left) & (self._sums[2 * nodes + 1] > 0)
            wanted = np.where(right, wanted - left, wanted)
            nodes = 2 * nodes + right
        places = (nodes - self._leaves).reshape(batches, size)
        p = self._sums[nodes].reshape(batches, size) / self._sums[1]
        beta = self.beta + (1 - self.beta) * progress
        weights = (self._count * p) ** -beta
        return self._taken(places, (weights / weights.max(1, keepdims=True)).astype(np.float32))

    def learned(self, places: Array, errors: Array) -> None:
        """Set the priorities by the errors."""
        sizes = np.abs(np.asarray(errors, float)).ravel() + 1e-6
        if not np.isfinite(sizes).all():
            raise ConfigError("A priority is not finite.", found=str(sizes.max()))
        self._largest = max(self._largest, float(sizes.max()))
        self._set(places.ravel(), sizes**self.alpha)


def _rows(array: Any) -> Array:
    found = array if isinstance(array, np.ndarray) else array.numpy()
    return found.reshape(-1, *found.shape[2:])
