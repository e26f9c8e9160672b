"""Predictions in 8 bits beside those in floating point, by the metrics of the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...errors import ConfigError
from ...serialization import SavedModel
from ...tasks.metric_names import score, title
from ...utils.typing import Array

#: By "float32" and "int8": metrics by name.
Metrics = Mapping[str, Mapping[str, float]]


class Comparison:
    """A test set for predictions in 8 bits.

    Args:
        predictor: of the model in floating point.
        data: examples whose target is known.

    Attributes:
        said: what the data are called.
    """

    def __init__(self, predictor: Any, data: Any) -> None:
        self.said = data if isinstance(data, str) else "the test set"
        self._predictor, self._data = predictor, data

    def metrics(self, compute: Callable[[Sequence[Array]], Array]) -> Metrics:
        """The metrics of both.

        Args:
            compute: predictions in 8 bits, of arrays as the saved model takes them.

        Raises:
            ConfigError: models of this kind are evaluated in another way.
        """
        saved = getattr(self._predictor, "saved", None)
        if not isinstance(saved, SavedModel):
            raise ConfigError("A model of this kind cannot be tested here.", hint="Omit --test.")
        calls = 0

        def in_8_bits(arrays: list[Array]) -> Array:
            nonlocal calls
            calls += 1
            return compute(arrays).astype(saved.output.dtype).reshape(-1, *saved.output.shape[1:])

        plain = self._predictor.evaluate(self._data)
        with saved.computed_by(in_8_bits):
            whole = self._predictor.evaluate(self._data)
        if not calls:
            raise ConfigError("A model of this kind cannot be tested here.", hint="Omit --test.")
        return {"float32": dict(plain), "int8": dict(whole)}


def told(metrics: Metrics, data: str) -> str:
    """The metrics side by side, as a sentence.

    Example:
        >>> told({"float32": {"accuracy": 0.9811}, "int8": {"accuracy": 0.98}}, "test.csv")
        'In 8 bits, on test.csv: accuracy 0.9800 (in floating point 0.9811).'
    """
    plain, whole = metrics["float32"], metrics["int8"]
    parts = [
        f"{title(name)} {score(name, value)} (in floating point {score(name, plain[name])})"
        for name, value in whole.items()
    ]
    return f"In 8 bits, on {data}: {', '.join(parts)}."
