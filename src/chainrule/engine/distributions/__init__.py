"""Probability distributions: samples with derivatives, densities, moments, divergences.

Parameters are tensors and may be learned: derivatives go through densities, and through samples of
the continuous distributions (the reparameterisation of Kingma and Welling, 2014; implicit ones,
Figurnov et al., 2018).
"""

from __future__ import annotations

from . import continuous, discrete, divergence, multivariate
from .base import Distribution as Distribution
from .continuous import *  # noqa: F403
from .discrete import *  # noqa: F403
from .divergence import *  # noqa: F403
from .multivariate import *  # noqa: F403

__all__ = [
    "Distribution", *continuous.__all__, *discrete.__all__, *divergence.__all__,
    *multivariate.__all__,
]  # fmt: skip
