"""The error function for arrays, which NumPy lacks."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_SQRT_PI = 1.7724538509055160273
_SERIES_LIMIT = 2.0
_SERIES_TERMS = 40


def erf(x: Array) -> Array:
    """erf(x) = 2/√π ∫₀ˣ exp(-t²) dt, to a few units in the last place of float64.

    Below 2 the series 2/√π · x · exp(-x²) · Σ (2x²)ⁿ / (1·3·5···(2n+1)), all of whose terms are
    positive, so that nothing cancels (Abramowitz and Stegun 7.1.6); above, the continued fraction
    of the complement (7.1.14), whose error is far below that of 1 - erfc.
    """
    wide = np.asarray(x, dtype=np.float64)
    size = np.abs(wide)
    small = np.minimum(size, _SERIES_LIMIT)
    twice_square = 2.0 * small * small
    total = np.ones_like(small)
    for n in range(_SERIES_TERMS, 0, -1):  # Horner's scheme, the smallest terms first
        total = 1.0 + total * twice_square / (2 * n + 1)
    near = 2.0 / _SQRT_PI * small * np.exp(-small * small) * total
    large = np.clip(size, _SERIES_LIMIT, 6.0)  # erf(6) is 1 in float64
    fraction = large
    for k in range(60, 0, -1):
        fraction = large + 0.5 * k / fraction
    far = 1.0 - np.exp(-large * large) / (_SQRT_PI * fraction)
    result = np.copysign(np.where(size < _SERIES_LIMIT, near, far), wide)
    return np.where(np.isnan(wide), wide, result).astype(x.dtype)
