"""Losses that have no derivative, as a search takes them: smaller is better."""

from __future__ import annotations

from ..engine.ops import argmax, astype, expand_dims, reshape
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ShapeError


def _classes(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Predicted and true class indices; of one output for each row its sign decides."""
    if prediction.ndim == 2 and prediction.shape[1] > 1:
        found = argmax(prediction, axis=1)
    elif prediction.size == target.size:
        found = astype(reshape(prediction, (-1,)) > 0, "int64")
    else:
        raise ShapeError("Predictions and classes do not fit.",
                         expected="logits (rows, classes), or one for each row",
                         found=f"{prediction.type} and {target.type}")  # fmt: skip
    if target.size != found.size:
        raise ShapeError("Predictions and classes do not fit.", found=str(target.type),
                         expected=f"{found.size} class indices")  # fmt: skip
    return found, astype(reshape(target, (-1,)), "int64")


def zero_one(prediction: TensorLike, target: TensorLike) -> Tensor:
    """The fraction of rows in the wrong class: 1 - accuracy.

    Args:
        prediction: logits (rows, classes), or for two classes one for each row.
        target: class indices (rows,).

    Example:
        >>> import chainrule as cr
        >>> zero_one([[2.0, 1.0], [0.0, 3.0]], [0, 0]).item()
        0.5
    """
    found, true = _classes(as_tensor(prediction), as_tensor(target))
    return astype(found != true, "float32").mean()


def f1_error(prediction: TensorLike, target: TensorLike) -> Tensor:
    """1 - the mean F1 score of the classes (macro average); a class that never occurs counts 0.

    Args:
        prediction: logits (rows, classes), or for two classes one for each row.
        target: class indices (rows,).

    Example:
        >>> import chainrule as cr
        >>> round(f1_error([[2.0, 1.0], [0.0, 3.0], [0.0, 1.0]], [0, 0, 1]).item(), 4)
        0.3333
    """
    prediction = as_tensor(prediction)
    found, true = _classes(prediction, as_tensor(target))
    count = prediction.shape[1] if prediction.ndim == 2 and prediction.shape[1] > 1 else 2
    names = [expand_dims(as_tensor(i), 0) for i in range(count)]
    scores: Tensor | float = 0.0
    for name in names:
        is_found, is_true = (astype(x == name, "float32") for x in (found, true))
        both = (is_found * is_true).sum()
        all_of_it = is_found.sum() + is_true.sum()
        scores = scores + 2 * both / all_of_it.clip(1.0, None)
    return 1 - as_tensor(scores) / count
