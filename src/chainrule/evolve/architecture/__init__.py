"""Neuroevolution: architectures evolve, weights are trained by backpropagation."""

from __future__ import annotations

from .evolution import EvolvedNetwork, evolve_network
from .genome import Genome, Space

__all__ = ["EvolvedNetwork", "Genome", "Space", "evolve_network"]
