"""Beside backpropagation: searches that need no derivative, on the same engine.

Populations are one more axis of a program: drawing, evaluating and learning of a generation, or of
many, is one native call.
"""

from __future__ import annotations

from .architecture import EvolvedNetwork, Genome, Space, evolve_network
from .cmaes import CMAES
from .comparison import Comparison, PolicyComparison, compare, compare_policies
from .differential import DifferentialEvolution
from .evolution_strategy import EvolutionStrategy
from .fitness import f1_error, zero_one
from .genetic import GeneticAlgorithm
from .local import HillClimbing, RandomSearch, SimulatedAnnealing
from .policies import fit_policy
from .search import Progress, Search
from .searches import Evolved, fit, maximize, minimize
from .strategy import STRATEGIES, Strategy

__all__ = [
    "CMAES",
    "STRATEGIES",
    "Comparison",
    "DifferentialEvolution",
    "EvolutionStrategy",
    "Evolved",
    "EvolvedNetwork",
    "GeneticAlgorithm",
    "Genome",
    "HillClimbing",
    "PolicyComparison",
    "Progress",
    "RandomSearch",
    "Search",
    "SimulatedAnnealing",
    "Space",
    "Strategy",
    "compare",
    "compare_policies",
    "evolve_network",
    "f1_error",
    "fit",
    "fit_policy",
    "maximize",
    "minimize",
    "zero_one",
]
