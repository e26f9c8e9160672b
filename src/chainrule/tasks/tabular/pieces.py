"""Whether numbers of a small table are to be encoded in pieces: a linear model of them says.

Pieces let a network follow what jumps and bends, such as the traffic of the hours of a day; where
a smooth curve says all there is, they learn noise. A ridge regression of the pieces is compared
with one of the numbers, their squares and smooth steps, by what each says of the rows without them
(leave-one-out, in closed form), of at most a thousand rows.
"""

from __future__ import annotations

import numpy as np

from ...data import Encoded, Schema
from ...utils.typing import Array
from .features import TableFeatures, columns_by_kind

#: More rows than this say nothing more, and fewer say nothing.
_MOST_ROWS, _FEWEST_ROWS = 1_000, 300
#: Penalties, as parts of the mean squared length of a row.
_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
#: Pieces are taken if they are better by more than so many standard errors, and by this fraction:
#: a network finds part of what they say by itself.
_CLEAR, _WORTH = 2.0, 0.05
#: Squares of standardised numbers further out than this say nothing of a curve.
_FAR = 3.0


def pieces_help(schema: Schema, rows: Encoded, bins: int) -> bool:
    """Whether pieces tell more of some target than smooth curves do.

    Args:
        schema: fitted.
        rows: of the training, with their target.
        bins: pieces of each column, at most.
    """
    if not rows.numeric.shape[1] or len(rows) < _FEWEST_ROWS or bins < 2:
        return False
    rows = rows.take(np.arange(0, len(rows), -(-len(rows) // _MOST_ROWS)))
    assert rows.target is not None
    given = columns_by_kind(rows)
    smooth = _matrix(TableFeatures(schema, 0, short=False, ranks=True), given)
    pieces = _matrix(TableFeatures(schema, bins, short=False), given)
    plain = smooth[:, : rows.numeric.shape[1]]
    # What a hidden unit makes of one number: a bow, and a step that is not steep.
    curves = np.c_[smooth, np.clip(plain, -_FAR, _FAR) ** 2, np.tanh(2 * plain)]
    for target, values in zip(schema.targets, rows.target.reshape(len(rows), -1).T, strict=True):
        known = ~np.isnan(values.astype(float))
        if known.sum() < _FEWEST_ROWS:
            continue
        own = values[known]
        wanted = np.eye(len(target.classes))[own.astype(int)] if target.classes else own[:, None]
        before = _errors(curves[known], wanted)
        gain = before - _errors(pieces[known], wanted)
        clear = _CLEAR * gain.std() / np.sqrt(len(gain))
        if gain.mean() > max(clear, _WORTH * before.mean()):
            return True
    return False


def _matrix(features: TableFeatures, given: dict[str, Array]) -> Array:
    return np.asarray(features(given)["numbers"].numpy(), float)


def _errors(x: Array, wanted: Array) -> Array:
    """(rows,) squared leave-one-out errors of the best ridge regression."""
    x, y = x - x.mean(axis=0), wanted - wanted.mean(axis=0)
    u, squares = _directions(x)
    size = float(squares.sum()) / len(x) or 1.0
    found = [_left_out(u, squares, y, part * size) for part in _PENALTIES]
    return min(found, key=lambda errors: float(errors.mean()))


def _directions(x: Array) -> tuple[Array, Array]:
    """U and s² of X = U·diag(s)·Vᵀ, from the smaller one of XᵀX and XXᵀ."""
    rows, features = x.shape
    if features >= rows:
        squares, u = np.linalg.eigh(x @ x.T)
        return u, np.maximum(squares, 0.0)
    squares, v = np.linalg.eigh(x.T @ x)
    kept = squares > 1e-12 * max(squares[-1], 1e-300)
    return x @ (v[:, kept] / np.sqrt(squares[kept])), squares[kept]


def _left_out(u: Array, squares: Array, y: Array, penalty: float) -> Array:
    """The residual of row i without row i is (y - ŷ)ᵢ / (1 - Hᵢᵢ), with H = U·s²/(s² + λ)·Uᵀ."""
    kept = squares / (squares + penalty)
    residuals = (y - u @ (kept[:, None] * (u.T @ y))) / (1 - u**2 @ kept)[:, None]
    return np.asarray((residuals**2).sum(axis=1))
