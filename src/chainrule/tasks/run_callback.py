"""What listens to a training from data to result, as the report of a run does."""

from __future__ import annotations

from collections.abc import Sequence

from ..drawing.blocks import Section
from ..training import Callback


class RunCallback(Callback):
    """A callback of the trainer that also takes what `chainrule.tasks.runner` learns on the way."""

    def on_profile(self, sections: Sequence[Section]) -> None:
        """The data are read and understood; ``sections`` show them. With folds, of each."""
