"""What kinds share in which a network predicts the class of an example, such as a text."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from ..serialization import SavedModel


class _OfClasses(Protocol):
    """A schema of examples with classes."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    def to_json(self) -> dict[str, Any]: ...


S = TypeVar("S", bound=_OfClasses)


class Classifier(Generic[S]):
    """What saved models of classes have in common as a `chainrule.tasks.Predictor`."""

    def __init__(self, saved: SavedModel, schema: S) -> None:
        self.saved = saved
        self.schema = schema
        self.record = saved.record

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.schema.classes
