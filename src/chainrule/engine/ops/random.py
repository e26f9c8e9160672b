"""Randomness as a function: of a key and the number of an element, with no hidden state.

The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC'11): a block cipher in counter mode. The same key gives the same bits on every backend, in any
order and for any number of threads. Keys are uint32[2]; `fold_in` derives new ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...errors import ShapeError
from ...utils.typing import Array
from ..ir.batch_axis import Axes, Axis, BatchRule, BatchWalk, RowsDependError
from ..ir.node import Node
from ..ir.operation import ZERO, Operation, Sample, register
from ..ir.types import Type, float32, float64, int64, uint32
from ..tensor import Tensor, TensorLike, apply, as_tensor
from .declare import broadcast_to, cast
from .elementwise import cos, log, sqrt
from .shape import narrow, reshape
from .sorting import argsort

_ROUNDS = 10
_MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], dtype=np.uint64)
_WEYL = np.array([[0x9E3779B9], [0xBB67AE85]], dtype=np.uint64)  # golden ratio and √3 - 1
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
#: Blocks that are enciphered at once, so that what is worked on stays in the cache.
_AT_ONCE = 1 << 13


def philox(counter: Array, key: Array) -> Array:
    """Philox4x32-10: blocks of four 32-bit words, enciphered.

    Args:
        counter: (blocks, 4), any integers below 2³².
        key: (2,), uint32.

    Returns:
        (blocks, 4) uint32.
    """
    words = np.empty(counter.shape, np.uint32)
    for start in range(0, len(counter), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        _encipher(counter[part].astype(np.uint64), key, words[part])
    return words


def _bits_of(key: Array, count: int) -> Array:
    """The first words of the stream of bits: counters 0, 1, …, enciphered."""
    words = np.empty((-(-count // 4), 4), np.uint32)
    for start in range(0, len(words), _AT_ONCE):
        part = words[start : start + _AT_ONCE]
        _encipher(_counters(start, len(part), _BITS), key, part)
    return words.reshape(-1)[:count]


def _encipher(counter: Array, key: Array, words: Array) -> None:
    """One part of `philox`: counters as uint64, words as the place for the result.

    A round is c₀, c₁, c₂, c₃ → hi(m₁c₂) ⊕ c₁ ⊕ k₀, lo(m₁c₂), hi(m₀c₀) ⊕ c₃ ⊕ k₁, lo(m₀c₀).
    """
    even, odd = counter[:, 0::2].T.copy(), counter[:, 1::2].T.copy()  # c₀ and c₂, c₁ and c₃
    product, high = np.empty_like(even), np.empty_like(even)
    k = key.astype(np.uint64).reshape(2, 1)
    for _ in range(_ROUNDS):
        np.multiply(even, _MULTIPLIERS, out=product)
        np.right_shift(product, _SHIFT, out=high)
        np.bitwise_xor(high[::-1], odd, out=even)
        np.bitwise_xor(even, k, out=even)
        np.bitwise_and(product[::-1], _LOW, out=odd)
        k = (k + _WEYL) & _LOW  # they change the key every round
    words[:, 0::2], words[:, 1::2] = even.T, odd.T


def _counters(first: int, blocks: int, purpose: int) -> Array:
    numbers = np.arange(first, first + blocks, dtype=np.uint64)
    counter = np.zeros((blocks, 4), dtype=np.uint64)
    counter[:, 0], counter[:, 1], counter[:, 3] = numbers & _LOW, numbers >> _SHIFT, purpose
    return counter


# The last word of the counter keeps the streams of bits and of keys apart.
_BITS, _KEYS = 0, 1


def _need_key(key: Type) -> None:
    if key != Type(uint32, (2,)):
        raise ShapeError("This is not a random key.", expected="uint32[2]", found=str(key),
                         hint="Make one with cr.random.key(seed).")  # fmt: skip


def _bits_type(key: Type, *, shape: tuple[int, ...]) -> Type:
    _need_key(key)
    return Type(uint32, shape)


def _bits(xp: Any, key: Any, shape: tuple[int, ...]) -> Any:
    return _bits_of(key, math.prod(shape)).reshape(shape)


def _fold_type(key: Type, number: Type) -> Type:
    _need_key(key)
    if number != Type(int64, ()):
        raise ShapeError("fold_in takes one integer.", found=str(number))
    return key


def _fold(xp: Any, key: Any, number: Any) -> Any:
    counter = _counters(0, 1, _KEYS)
    counter[0, 0], counter[0, 1] = int(number) & 0xFFFFFFFF, (int(number) >> 32) & 0xFFFFFFFF
    return philox(counter, key)[0, :2]


_KEY = np.array([1, 2], dtype=np.uint32)


def _bits_rows(walk: BatchWalk, node: Node, axes: Axes) -> Axis:
    raise RowsDependError


def _bits_same(walk: BatchWalk, node: Node, axis: Axis) -> bool:
    """The index of an element decides, whatever the number of rows is."""
    if walk.redraws:
        return True
    shape = node.type.shape
    return math.prod(shape[: axis.place]) * shape[axis.place] == axis.inner * walk.rows


RANDOM_BITS = register(
    Operation(
        "random_bits",
        _bits_type,
        _bits,
        (ZERO,),
        "bits({0})",
        lambda: [Sample((_KEY,), {"shape": (2, 3)}), Sample((_KEY,), {"shape": (0,)})],
        batch=BatchRule(_bits_rows, _bits_same),
    )
)
FOLD_IN = register(
    Operation(
        "fold_in",
        _fold_type,
        _fold,
        (ZERO, ZERO),
        "key({0}, {1})",
        lambda: [Sample((_KEY, np.array(7)))],
    )
)


def key(seed: int) -> Tensor:
    """A random key from a seed, any integer."""
    words = [int(seed) & 0xFFFFFFFF, (int(seed) >> 32) & 0xFFFFFFFF]
    return as_tensor(np.array(words, dtype=np.uint32))


def fold_in(key: Tensor, number: TensorLike) -> Tensor:
    """A new key from a key and an integer, such as that of a step or a layer."""
    return apply(FOLD_IN, key, as_tensor(number, "int64"))


def bits(key: Tensor, shape: Iterable[int]) -> Tensor:
    """Random uint32 numbers."""
    return apply(RANDOM_BITS, as_tensor(key), shape=tuple(shape))


def uniform(
    key: Tensor, shape: Iterable[int] = (), low: Any = 0.0, high: Any = 1.0, dtype: Any = float
) -> Tensor:
    """Uniform random numbers in [low, high); rounding may give ``high`` itself if low is not 0.

    The upper 24 bits of a word for float32, the upper 53 of two words for float64: every number
    is a multiple of 2⁻²⁴ or 2⁻⁵³, exactly the same on every backend.
    """
    shape = tuple(shape)
    if as_tensor(0.0, dtype).dtype == float64:
        words = bits(key, (*shape, 2))
        upper = cast(narrow(words, len(shape), 0, 1) // 2**5, float64)
        lower = cast(narrow(words, len(shape), 1, 2) // 2**6, float64)
        unit = reshape((upper * 2.0**26 + lower) * 2.0**-53, shape)
    else:
        unit = cast(bits(key, shape) // 2**8, float32) * 2.0**-24
    return unit * (high - low) + low


def normal(key: Tensor, shape: Iterable[int] = (), dtype: Any = float) -> Tensor:
    """Normal random numbers of mean 0 and standard deviation 1.

    √(-2 ln u)·cos(2πv) of two uniform numbers (Box and Muller, 1958), u in (0, 1].
    """
    shape = tuple(shape)
    pair = uniform(key, (2, *shape), dtype=dtype)
    u, v = 1.0 - pair[0], pair[1]
    return sqrt(-2.0 * log(u)) * cos(2 * math.pi * v)


def bernoulli(key: Tensor, probability: TensorLike, shape: Iterable[int] | None = None) -> Tensor:
    """True with the given probability."""
    probability = as_tensor(probability)
    shape = probability.shape if shape is None else tuple(shape)
    return uniform(key, shape, dtype=probability.dtype) < broadcast_to(probability, shape)


def permutation(key: Tensor, count: int) -> Tensor:
    """The numbers from 0 to count - 1 in random order."""
    return argsort(uniform(key, (count,), dtype=float64))


def randint(key: Tensor, shape: Iterable[int], low: int, high: int) -> Tensor:
    """Integers from low to high - 1, equally likely but for 1 in 2⁵³."""
    drawn = cast(uniform(key, shape, dtype=float64) * float(high - low), int64)
    return drawn + low


__all__ = [
    "bernoulli", "bits", "fold_in", "key", "normal", "permutation", "philox", "randint", "uniform",
]  # fmt: skip
