"""Requests that are there at the same time are computed at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...utils.typing import Array
from .engine import Engine, Row

Records = list[dict[str, Any]]


class Batcher:
    """Gathers the rows of small requests until the event loop has read all that came.

    Nobody waits for a time: what is there is computed, as soon as all sockets that were ready
    have been read.

    Args:
        engine: computes.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: list[tuple[dict[str, Array], int, asyncio.Future[Records]]] = []
        self._rows = 0
        #: How many batches there were, and their rows.
        self.batches = self.rows = 0

    async def predict(self, rows: Sequence[Row]) -> tuple[Records, list[str]]:
        """Records of a few rows, and notes on their cells.

        Raises:
            DataError: of these rows; those of others are not affected.
        """
        arrays, notes = self._engine.encode(rows)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Records] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((arrays, len(rows), done))
        self._rows += len(rows)
        if self._rows >= self._engine.most:
            self._flush()
        return await done, notes

    def _flush(self) -> None:
        waiting, self._waiting, self._rows = self._waiting, [], 0
        if not waiting:
            return
        first = waiting[0][0]
        arrays = (
            first
            if len(waiting) == 1
            else {name: np.concatenate([each[0][name] for each in waiting]) for name in first}
        )
        try:
            found = self._engine.compute(arrays)
        except Exception as error:
            for _, _, done in waiting:
                if not done.done():
                    done.set_exception(error)
            return
        self.batches += 1
        self.rows += len(found)
        start = 0
        for _, count, done in waiting:
            if not done.done():  # its client may have gone
                done.set_result(found[start : start + count])
            start += count
