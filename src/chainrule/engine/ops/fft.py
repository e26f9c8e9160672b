"""Fourier transforms, as ``cr.fft``: of real numbers, and of complex ones given as pairs.

There are no complex element types: a complex tensor has a last axis of 2, real and imaginary part
(PyTorch's ``view_as_real``). So a derivative is that with respect to real numbers, of any order, on
every backend. Gradients with respect to pairs are those of PyTorch: dL/d(real) and dL/d(imaginary).
``axis`` counts the axes without that of the pairs. Names, lengths and ``norm`` are NumPy's.

A transform of n = a·b numbers is done by products with matrices (Cooley and Tukey, 1965), for
j = b·j₁ + j₂ and k = k₁ + a·k₂

    X[k] = Σ over j₂ of w_b^(j₂k₂) · w_n^(j₂k₁) · Σ over j₁ of w_a^(j₁k₁) · x[j]

with w_n = exp(∓2πi/n), where a is at most 64 and the sum over j₂ is a transform of b numbers
again; where n has a large prime factor, it is a convolution with a chirp (Bluestein, 1970). In all
these are O(n·log n) products.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from ...errors import ConfigError, ShapeError
from ...utils.typing import Array
from ..ir.operation import Sample
from ..ir.types import as_dtype
from ..tensor import Tensor, TensorLike, as_tensor
from .check import require
from .declare import align, broadcast_to, floating, function, normalize_axis, reals
from .elementwise import arctan2, hypot
from .indexing import add_along_axis, take
from .products import matmul
from .shape import (
    concatenate,
    flip,
    moveaxis,
    pad,
    reshape,
    roll,
    stack,
    swapaxes,
    zeros,
    zeros_like,
)  # fmt: skip

__all__ = [
    "absolute", "angle", "conjugate", "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft",
    "hfft2", "hfftn", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft",
    "irfft2", "irfftn", "istft", "multiply", "pairs", "rfft", "rfft2", "rfftfreq", "rfftn",
    "stft",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])
#: Real and imaginary parts; None is zero everywhere.
_Parts = tuple[Tensor, Tensor | None]

#: Up to so many numbers are transformed by one product with a matrix.
_DENSE = 64
#: Prime factors up to this one are transformed by one product, too.
_LARGEST_PRIME = 128


def _declare(*samples: Sample) -> Callable[[F], F]:
    def declare(body: F) -> F:
        return function(lambda: samples, f"fft.{body.__name__}")(body)

    return declare


# ---- the transform along the last axis -------------------------------------------------------


def _roots(exponents: Array, n: int, sign: int) -> tuple[Array, Array]:
    """exp(sign·2πi·exponent/n); whole turns are taken off before anything is rounded."""
    angles = (2 * math.pi / n) * (exponents % n)
    return np.cos(angles), sign * np.sin(angles)


def _times(x: _Parts, cosine: Array, sine: Array) -> _Parts:
    """Each number times a root of one."""
    re, im = x
    c, s = as_tensor(cosine, re.dtype), as_tensor(sine, re.dtype)
    if im is None:
        return re * c, re * s
    return re * c - im * s, re * s + im * c


def _dense(x: _Parts, n: int, sign: int) -> _Parts:
    """By one product with the matrix [[C, S], [-S, C]], of the upper half if x is real."""
    c, s = _roots(np.outer(np.arange(n), np.arange(n)), n, sign)
    re, im = x
    if im is None:
        both = matmul(re, as_tensor(np.hstack([c, s]), re.dtype))
    else:
        matrix = np.block([[c, s], [-s, c]])
        both = matmul(concatenate([re, im], -1), as_tensor(matrix, re.dtype))
    return both[..., :n], both[..., n:]


def _factor(n: int) -> int | None:
    """The largest factor up to `_DENSE`, else the smallest prime; None if that is a large one."""
    for a in range(min(_DENSE, n - 1), 1, -1):
        if n % a == 0:
            return a
    smallest = next((p for p in range(_DENSE + 1, math.isqrt(n) + 1) if n % p == 0), n)
    return smallest if smallest <= _LARGEST_PRIME else None


def _each(x: _Parts, change: Callable[[Tensor], Tensor]) -> _Parts:
    return change(x[0]), None if x[1] is None else change(x[1])


def _transform(x: _Parts, sign: int) -> _Parts:
    """Without a factor; sign -1 is forward, +1 is back."""
    *others, n = x[0].shape
    if n <= _DENSE:
        return _dense(x, n, sign)
    a = _factor(n)
    if a is None:
        return _chirped(x, n, sign)
    if a == n:
        return _dense(x, n, sign)
    b = n // a
    rows = _each(x, lambda part: swapaxes(reshape(part, (*others, a, b)), -1, -2))
    inner = _dense(rows, a, sign)
    turned = _times(inner, *_roots(np.outer(np.arange(b), np.arange(a)), n, sign))
    outer = _transform(_each(turned, lambda part: swapaxes(part, -1, -2)), sign)
    return _each(outer, lambda part: reshape(swapaxes(part, -1, -2), (*others, n)))


def _chirped(x: _Parts, n: int, sign: int) -> _Parts:
    """As j·k = (j² + k² - (k-j)²) / 2, a convolution of x·w^(j²/2) with w^(-j²/2)."""
    squares = np.arange(n, dtype=np.int64) ** 2
    cosine, sine = _roots(squares, 2 * n, sign)
    size = _smooth(2 * n - 1)
    kernel = np.zeros(size, np.complex128)
    kernel[:n] = cosine - 1j * sine
    kernel[size - n + 1 :] = kernel[n - 1 : 0 : -1]
    spectrum = np.fft.fft(kernel) / size
    margin = [(0, 0)] * (x[0].ndim - 1) + [(0, size - n)]
    padded = _each(_times(x, cosine, sine), lambda part: pad(part, margin))
    there = _times(_transform(padded, -1), spectrum.real, spectrum.imag)
    back = _each(_transform(there, 1), lambda part: part[..., :n])
    return _times(back, cosine, sine)


def _smooth(n: int) -> int:
    """The next number of at least n without other prime factors than 2, 3 and 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


# ---- pairs -----------------------------------------------------------------------------------


def _split(z: TensorLike, name: str) -> tuple[Tensor, Tensor]:
    z = floating(z)
    if not z.ndim or z.shape[-1] != 2:
        raise ShapeError(
            f"fft.{name} takes complex numbers as pairs.",
            expected="a last axis of 2: real and imaginary part",
            found=str(z.type),
            hint="cr.fft.pairs(x) makes pairs of real numbers; cr.fft.rfft takes them as they are."
        )  # fmt: skip
    return z[..., 0], z[..., 1]


def _joined(x: _Parts) -> Tensor:
    return stack([x[0], zeros_like(x[0]) if x[1] is None else x[1]], -1)


_Z, _W = reals(3, 2, gap=0.2), reals(3, 2, low=0.3, high=1.5)


@_declare(Sample((reals(3),)), Sample((reals(2, 3), reals(3))))
def pairs(real: TensorLike, imaginary: TensorLike = 0.0) -> Tensor:
    """Complex numbers from their parts, along a new last axis."""
    return stack(align(real, imaginary, floats=True), -1)


@_declare(Sample((_Z, _W)))
def multiply(a: TensorLike, b: TensorLike) -> Tensor:
    """The product of complex numbers, given as pairs."""
    (re, im), (c, s) = _split(a, "multiply"), _split(b, "multiply")
    return stack([re * c - im * s, re * s + im * c], -1)


@_declare(Sample((_Z,)))
def conjugate(z: TensorLike) -> Tensor:
    """The complex conjugate of pairs."""
    re, im = _split(z, "conjugate")
    return stack([re, -im], -1)


@_declare(Sample((_Z,)))
def absolute(z: TensorLike) -> Tensor:
    """The absolute value of pairs; at 0 its gradient is 0."""
    return hypot(*_split(z, "absolute"))


@_declare(Sample((_Z,)))
def angle(z: TensorLike) -> Tensor:
    """The phase of pairs, in radians from -π to π."""
    re, im = _split(z, "angle")
    return arctan2(im, re)


# ---- along one axis --------------------------------------------------------------------------


def _factor_of(norm: str | None, n: int, back: bool) -> float:
    """1, 1/n or 1/√n: what NumPy's ``norm`` says."""
    if norm == "ortho":
        return 1 / math.sqrt(n)
    if norm not in (None, "backward", "forward"):
        raise ConfigError("Unknown normalisation of a Fourier transform.",
                          expected="backward, ortho or forward", found=repr(norm))  # fmt: skip
    return 1 / n if (norm == "forward") != back else 1.0


def _length(n: int | None, found: int) -> int:
    size = found if n is None else n
    if size < 1:
        raise ShapeError("A Fourier transform needs at least one number.", found=str(size))
    return size


def _fitted(x: Tensor, n: int) -> Tensor:
    """The last axis cut, or padded with zeros, to this length."""
    have = x.shape[-1]
    if have >= n:
        return x[..., :n]
    return pad(x, [(0, 0)] * (x.ndim - 1) + [(0, n - have)])


def _along(
    x: _Parts, n: int | None, axis: int, norm: str | None, back: bool, keep: int | None = None
) -> _Parts:
    """The transform along an axis; of the results the first ``keep``."""
    axis = normalize_axis(axis, x[0].ndim)
    size = _length(n, x[0].shape[axis])
    rows = _each(x, lambda part: _fitted(moveaxis(part, axis, -1), size))
    factor = _factor_of(norm, size, back)
    found = _transform(rows, 1 if back else -1)
    return _each(found, lambda part: moveaxis(part[..., :keep] * factor, -1, axis))


def _hermitian(x: tuple[Tensor, Tensor], n: int, axis: int) -> tuple[Tensor, Tensor]:
    """All n numbers of a spectrum whose second half mirrors the first, conjugated."""
    half = n // 2 + 1
    re, im = (_fitted(moveaxis(part, axis, -1), half) for part in x)
    mirrored = slice(1, n - half + 1)
    whole = (
        concatenate([re, flip(re[..., mirrored], -1)], -1),
        concatenate([im, -flip(im[..., mirrored], -1)], -1),
    )
    return moveaxis(whole[0], -1, axis), moveaxis(whole[1], -1, axis)


@_declare(
    Sample((reals(2, 3, 2),)), Sample((reals(4, 2, 2),), {"n": 5, "axis": 0, "norm": "ortho"})
)
def fft(x: TensorLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The discrete Fourier transform of complex numbers along an axis.

    Args:
        x: pairs, (..., 2).
        n: how many numbers; the axis is cut, or padded with zeros.
        axis: along which; the axis of the pairs does not count.
        norm: "backward" (no factor), "ortho" (1/√n) or "forward" (1/n).

    Example:
        >>> import chainrule as cr
        >>> cr.fft.fft(cr.fft.pairs([1.0, 0.0, 0.0])).tolist()
        [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    """
    return _joined(_along(_split(x, "fft"), n, axis, norm, False))


@_declare(Sample((reals(2, 3, 2),)), Sample((reals(3, 2),), {"n": 2, "norm": "forward"}))
def ifft(x: TensorLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `fft`."""
    return _joined(_along(_split(x, "ifft"), n, axis, norm, True))


@_declare(Sample((reals(2, 4),)), Sample((reals(3, 2),), {"n": 5, "axis": 0, "norm": "ortho"}))
def rfft(x: TensorLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The Fourier transform of real numbers: its first n // 2 + 1 numbers, as pairs.

    The others are their conjugates in reverse order.

    Example:
        >>> import chainrule as cr
        >>> cr.fft.rfft([1.0, 2.0, 3.0, 4.0]).tolist()
        [[10.0, 0.0], [-2.0, 2.0], [-2.0, ...]]
    """
    x = floating(x)
    size = _length(n, x.shape[normalize_axis(axis, x.ndim)])
    return _joined(_along((x, None), size, axis, norm, False, size // 2 + 1))


@_declare(
    Sample((reals(2, 3, 2),)), Sample((reals(3, 2, 2),), {"n": 5, "axis": 0, "norm": "ortho"})
)
def irfft(x: TensorLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `rfft`: n real numbers, by default 2·(m - 1) of m pairs."""
    return _real(_split(x, "irfft"), n, axis, norm, True)


def _real(
    parts: tuple[Tensor, Tensor], n: int | None, axis: int, norm: str | None, back: bool
) -> Tensor:
    axis = normalize_axis(axis, parts[0].ndim)
    size = _length(n, 2 * (parts[0].shape[axis] - 1))
    return _along(_hermitian(parts, size, axis), size, axis, norm, back)[0]


@_declare(Sample((reals(2, 3, 2),)))
def hfft(x: TensorLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The transform of a signal whose second half mirrors the first: n real numbers."""
    return _real(_split(x, "hfft"), n, axis, norm, False)


@_declare(Sample((reals(2, 4),)))
def ihfft(x: TensorLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `hfft`: n // 2 + 1 pairs."""
    x = floating(x)
    size = _length(n, x.shape[normalize_axis(axis, x.ndim)])
    return _joined(_along((x, None), size, axis, norm, True, size // 2 + 1))


# ---- along several axes ----------------------------------------------------------------------

_Lengths = Sequence[int] | None
_Axes = Sequence[int] | None


def _several(s: _Lengths, axes: _Axes, rank: int) -> list[tuple[int | None, int]]:
    """Length and axis of each transform."""
    if axes is None:
        axes = range(rank) if s is None else range(max(rank - len(s), 0), rank)
    places = [normalize_axis(axis, rank) for axis in axes]
    if s is not None and len(s) != len(places):
        raise ShapeError("Lengths and axes of a Fourier transform are pairs.",
                         expected=f"{len(places)} lengths", found=str(tuple(s)))  # fmt: skip
    return list(zip(s if s is not None else [None] * len(places), places, strict=True))


def _over_all(x: _Parts, s: _Lengths, axes: _Axes, norm: str | None, back: bool) -> _Parts:
    for n, axis in _several(s, axes, x[0].ndim):
        x = _along(x, n, axis, norm, back)
    return x


@_declare(Sample((reals(2, 3, 2),)), Sample((reals(2, 3, 2),), {"s": (3,), "axes": (0,)}))
def fftn(x: TensorLike, s: _Lengths = None, axes: _Axes = None, norm: str | None = None) -> Tensor:
    """`fft` along several axes, by default all, with the lengths ``s``."""
    return _joined(_over_all(_split(x, "fftn"), s, axes, norm, False))


@_declare(Sample((reals(2, 3, 2),)))
def ifftn(x: TensorLike, s: _Lengths = None, axes: _Axes = None, norm: str | None = None) -> Tensor:
    """The inverse of `fftn`."""
    return _joined(_over_all(_split(x, "ifftn"), s, axes, norm, True))


@_declare(Sample((reals(2, 2, 3, 2),)))
def fft2(
    x: TensorLike, s: _Lengths = None, axes: _Axes = (-2, -1), norm: str | None = None
) -> Tensor:
    """`fft` along two axes, by default the last two."""
    return fftn(x, s, axes, norm)


@_declare(Sample((reals(2, 2, 3, 2),)))
def ifft2(
    x: TensorLike, s: _Lengths = None, axes: _Axes = (-2, -1), norm: str | None = None
) -> Tensor:
    """The inverse of `fft2`."""
    return ifftn(x, s, axes, norm)


@_declare(Sample((reals(2, 3),)), Sample((reals(2, 4),), {"norm": "ortho"}))
def rfftn(x: TensorLike, s: _Lengths = None, axes: _Axes = None, norm: str | None = None) -> Tensor:
    """The transform of real numbers along several axes; along the last of them as `rfft`."""
    x = floating(x)
    *first, (n, axis) = _several(s, axes, x.ndim)
    parts = _split(rfft(x, n, axis, norm), "rfftn")
    return _joined(_over_all(parts, *_given(first), norm, False))


def _given(first: list[tuple[int | None, int]]) -> tuple[_Lengths, _Axes]:
    lengths = [n for n, _ in first]
    return (None if None in lengths else lengths), [axis for _, axis in first]  # type: ignore[return-value]


@_declare(Sample((reals(2, 3, 2),)), Sample((reals(2, 3, 2),), {"s": (3, 5)}))
def irfftn(
    x: TensorLike, s: _Lengths = None, axes: _Axes = None, norm: str | None = None
) -> Tensor:
    """The inverse of `rfftn`."""
    parts = _split(x, "irfftn")
    *first, (n, axis) = _several(s, axes, parts[0].ndim)
    re, im = _over_all(parts, *_given(first), norm, True)
    assert im is not None
    return _real((re, im), n, axis, norm, True)


@_declare(Sample((reals(2, 2, 3),)))
def rfft2(
    x: TensorLike, s: _Lengths = None, axes: _Axes = (-2, -1), norm: str | None = None
) -> Tensor:
    """`rfftn` along two axes, by default the last two."""
    return rfftn(x, s, axes, norm)


@_declare(Sample((reals(2, 2, 3, 2),)))
def irfft2(
    x: TensorLike, s: _Lengths = None, axes: _Axes = (-2, -1), norm: str | None = None
) -> Tensor:
    """The inverse of `rfft2`."""
    return irfftn(x, s, axes, norm)


@_declare(Sample((reals(2, 3, 2),)))
def hfftn(x: TensorLike, s: _Lengths = None, axes: _Axes = None, norm: str | None = None) -> Tensor:
    """The transform of what is Hermitian in the last of several axes: real numbers."""
    parts = _split(x, "hfftn")
    *first, (n, axis) = _several(s, axes, parts[0].ndim)
    re, im = _over_all(parts, *_given(first), norm, False)
    assert im is not None
    return _real((re, im), n, axis, norm, False)


@_declare(Sample((reals(2, 3),)))
def ihfftn(
    x: TensorLike, s: _Lengths = None, axes: _Axes = None, norm: str | None = None
) -> Tensor:
    """The inverse of `hfftn`."""
    x = floating(x)
    *first, (n, axis) = _several(s, axes, x.ndim)
    parts = _split(ihfft(x, n, axis, norm), "ihfftn")
    return _joined(_over_all(parts, *_given(first), norm, True))


@_declare(Sample((reals(2, 2, 3, 2),)))
def hfft2(
    x: TensorLike, s: _Lengths = None, axes: _Axes = (-2, -1), norm: str | None = None
) -> Tensor:
    """`hfftn` along two axes, by default the last two."""
    return hfftn(x, s, axes, norm)


@_declare(Sample((reals(2, 2, 3),)))
def ihfft2(
    x: TensorLike, s: _Lengths = None, axes: _Axes = (-2, -1), norm: str | None = None
) -> Tensor:
    """The inverse of `hfft2`."""
    return ihfftn(x, s, axes, norm)


# ---- order and frequencies -------------------------------------------------------------------


def _shifted(x: TensorLike, axes: int | Sequence[int] | None, back: bool) -> Tensor:
    x = as_tensor(x)
    if axes is None:
        axes = range(x.ndim)
    for axis in [axes] if isinstance(axes, int) else axes:
        half = x.shape[normalize_axis(axis, x.ndim)] // 2
        x = roll(x, -half if back else half, axis)
    return x


@_declare(Sample((reals(5),)), Sample((reals(4, 2),), {"axes": 0}))
def fftshift(x: TensorLike, axes: int | Sequence[int] | None = None) -> Tensor:
    """The frequency 0 moved to the middle; of pairs name the axes, which all count here."""
    return _shifted(x, axes, False)


@_declare(Sample((reals(5),)))
def ifftshift(x: TensorLike, axes: int | Sequence[int] | None = None) -> Tensor:
    """The inverse of `fftshift`."""
    return _shifted(x, axes, True)


def fftfreq(n: int, d: float = 1.0, dtype: Any = "float32") -> Tensor:
    """The frequencies of `fft`, in cycles per unit of the sample spacing ``d``."""
    return as_tensor(np.fft.fftfreq(n, d), as_dtype(dtype))


def rfftfreq(n: int, d: float = 1.0, dtype: Any = "float32") -> Tensor:
    """The frequencies of `rfft`, in cycles per unit of the sample spacing ``d``."""
    return as_tensor(np.fft.rfftfreq(n, d), as_dtype(dtype))


# ---- short-time transforms -------------------------------------------------------------------


def _window(window: TensorLike | None, length: int, n_fft: int, dtype: Any) -> Tensor:
    """The window, with zeros on both sides up to ``n_fft``."""
    own = as_tensor(np.ones(length) if window is None else window, dtype)
    if own.shape != (length,) or length > n_fft:
        raise ShapeError(
            "A window is a vector of win_length numbers, at most n_fft.",
            expected=f"({length},), at most {n_fft}",
            found=str(own.shape),
        )
    before = (n_fft - length) // 2
    return pad(own, [(before, n_fft - length - before)])


def _frames(size: int, n_fft: int, hop: int) -> Array:
    """(frames, n_fft) indices of samples."""
    starts = np.arange(0, size - n_fft + 1, hop)
    return starts[:, None] + np.arange(n_fft)


def _hop(n_fft: int, hop_length: int | None) -> int:
    hop = n_fft // 4 if hop_length is None else hop_length
    if hop < 1 or n_fft < 1:
        raise ConfigError("n_fft and hop_length must be positive.",
                          found=f"n_fft={n_fft}, hop_length={hop}")  # fmt: skip
    return hop


@_declare(Sample((reals(2, 9),), {"n_fft": 4, "hop_length": 2, "window": np.hanning(5)[:4] + 0.1}))
def stft(
    x: TensorLike, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: TensorLike | None = None, center: bool = True, pad_mode: str = "reflect",
    normalized: bool = False,
) -> Tensor:  # fmt: skip
    """The Fourier transforms of overlapping frames of real signals, as `torch.stft`.

    Args:
        x: (..., samples).
        n_fft: samples of a frame.
        hop_length: samples from one frame to the next; a quarter of a frame by default.
        win_length: samples of the window, ``n_fft`` by default; zeros are put around it.
        window: (win_length,) factors; ones by default.
        center: whether frame t is around sample t·hop, for which half a frame is added at both
            ends, else it begins there.
        pad_mode: what is added: "reflect", "constant" (zeros), "edge" or "wrap", as in `pad`.
        normalized: whether the result is divided by √n_fft.

    Returns:
        (..., n_fft // 2 + 1, frames, 2).
    """
    x, hop = floating(x), _hop(n_fft, hop_length)
    if center:
        x = pad(x, [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)], mode=pad_mode)
    if x.shape[-1] < n_fft:
        raise ShapeError("The signal is shorter than a frame.",
                         expected=f"at least {n_fft} samples", found=str(x.shape[-1]))  # fmt: skip
    framed = take(x, _frames(x.shape[-1], n_fft, hop), -1)
    factors = _window(window, win_length or n_fft, n_fft, x.dtype)
    spectrum = rfft(
        framed * broadcast_to(factors, framed.shape), norm="ortho" if normalized else None
    )
    return swapaxes(spectrum, -2, -3)


@_declare(Sample((reals(3, 4, 2),), {"n_fft": 4, "hop_length": 2}))
def istft(
    z: TensorLike, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: TensorLike | None = None, center: bool = True, normalized: bool = False,
    length: int | None = None,
) -> Tensor:  # fmt: skip
    """The signal whose `stft` is nearest to these frames (Griffin and Lim, 1984).

    The frames are transformed back, weighted by the window and added, and divided by the sum of the
    squared windows, which must not be 0.

    Args:
        z: (..., n_fft // 2 + 1, frames, 2).
        n_fft: as of `stft`.
        hop_length: as of `stft`.
        win_length: as of `stft`.
        window: as of `stft`.
        center: as of `stft`.
        normalized: as of `stft`.
        length: samples of the result; by default as far as the frames go.
    """
    z, hop = floating(z), _hop(n_fft, hop_length)
    frames = irfft(swapaxes(z, -2, -3), n_fft, norm="ortho" if normalized else None)
    factors = _window(window, win_length or n_fft, n_fft, z.dtype)
    count = frames.shape[-2]
    size = n_fft + hop * (count - 1)
    places = _frames(size, n_fft, hop).reshape(-1)
    others = frames.shape[:-2]
    added = reshape(frames * broadcast_to(factors, frames.shape), (*others, count * n_fft))
    signal = add_along_axis(
        zeros((*others, size), z.dtype), broadcast_to(places, added.shape), added, -1
    )
    squares = reshape(broadcast_to(factors * factors, (count, n_fft)), (count * n_fft,))
    weight = add_along_axis(zeros((size,), z.dtype), places, squares, 0)
    first = n_fft // 2 if center else 0
    last = first + length if length is not None else size - first
    about = ("The windows do not cover every sample of istft.", "a sum of squares above 0",
             "Use a longer window, or a shorter hop_length.")  # fmt: skip
    weight = require(weight[first : min(last, size)], lambda w: w > 1e-11, about)
    signal = signal[..., first : min(last, size)]
    return _fitted(signal / broadcast_to(weight, signal.shape), last - first)
