"""Special functions, conversions, checks and random numbers."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import jax.scipy.special as jsp
import numpy as np

from ....ops import special


def _wide(function: Any) -> Any:
    """The function computed in float64, as NumPy's are."""
    return lambda trace, x: function(x.astype(jnp.float64)).astype(x.dtype)


def _lgamma(x: Any) -> Any:
    """ln|Γ(x)|: by Stirling's series far from 0, where XLA's own loses digits below 0."""
    pole = (x <= 0) & (x == jnp.floor(x))
    return jnp.where(pole | jnp.isinf(x), jnp.inf, jsp.gammaln(jnp.where(pole, 1.0, x)))


def _ndtri(p: Any) -> Any:
    """One Newton step after XLA's own, which keeps 1e-9 only."""
    inner = (p > 0) & (p < 1)
    x = jsp.ndtri(jnp.where(inner, p, 0.5))
    ends = jnp.where(p == 0, -jnp.inf, jnp.where(p == 1, jnp.inf, jnp.nan))
    return jnp.where(inner, x, ends)


def _cast(trace: Any, x: Any, dtype: Any) -> Any:
    """What does not fit an integer, NaN among it, becomes the least one, as on processors."""
    if x.dtype.kind != "f" or dtype.kind not in "iu":
        return x != 0 if dtype.kind == "b" else x.astype(dtype)
    wide = np.dtype(np.int64) if dtype.kind == "u" else dtype
    least, end = float(np.iinfo(wide).min), 2.0 ** (8 * wide.itemsize - 1)
    cut = jnp.trunc(x.astype(jnp.float64))
    fits = (cut >= least) & (cut < end)
    found = jnp.where(fits, cut, 0.0).astype(wide)
    return jnp.where(fits, found, np.iinfo(wide).min).astype(dtype)


def _check(trace: Any, x: Any, fits: Any, refusal: str, about: Any) -> Any:
    trace.require(fits)
    return x


# ---- random numbers --------------------------------------------------------------------------

_ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(counter: Any, key: Any) -> Any:
    """Philox4x32-10 of four columns of uint32 words: see `chainrule.engine.ops.random`."""
    c = list(counter)
    k = [key[0], key[1]]
    for _ in range(_ROUNDS):
        first, second = (
            c[place].astype(jnp.uint64) * jnp.uint64(m)
            for place, m in zip((0, 2), _MULTIPLIERS, strict=True)
        )
        high = [(p >> jnp.uint64(32)).astype(jnp.uint32) for p in (first, second)]
        low = [p.astype(jnp.uint32) for p in (first, second)]
        c = [high[1] ^ c[1] ^ k[0], low[1], high[0] ^ c[3] ^ k[1], low[0]]
        k = [word + jnp.uint32(step) for word, step in zip(k, _WEYL, strict=True)]
    return c


def random_bits(trace: Any, key: Any, shape: tuple[int, ...]) -> Any:
    """The words of counters 0, 1, …: the same bits as on every backend."""
    count = math.prod(shape)
    blocks = jnp.arange(-(-count // 4), dtype=jnp.uint64)
    zero = jnp.zeros(blocks.shape, jnp.uint32)
    upper = (blocks >> jnp.uint64(32)).astype(jnp.uint32)
    words = philox([blocks.astype(jnp.uint32), upper, zero, zero], key)
    return jnp.stack(words, axis=-1).reshape(-1)[:count].reshape(shape)


def _fold_in(trace: Any, key: Any, number: Any) -> Any:
    low, high = number.astype(jnp.uint32), (number >> 32).astype(jnp.uint32)
    words = philox([low, high, jnp.uint32(0), jnp.uint32(1)], key)
    return jnp.stack(words[:2])


ELEMENTWISE = {
    "erf": lambda trace, x: jsp.erf(x),
    "erfc": lambda trace, x: jsp.erfc(x),
    "erfinv": lambda trace, x: special.erfinv(x, jnp, jsp.erf, jsp.erfc),
    "erfcx": lambda trace, x: special.erfcx(x, jnp, jsp.erfc),
    "lgamma": _wide(_lgamma),
    "ndtri": _wide(_ndtri),
    "cast": _cast,
    "check": _check,
    "random_bits": random_bits,
    "fold_in": _fold_in,
}
