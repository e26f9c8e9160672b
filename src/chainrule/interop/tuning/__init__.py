"""A search of options: `tune` on Optuna, as ``chainrule tune`` does it.

space.py      what may be chosen: defaults for each kind of data, TOML files
study.py      storage, sampler and pruner; whether a stored study is the same one
trials.py     one trial after another, in one process
tune.py       processes, the best model, what mattered
picture.py    the search as SVG
callbacks.py  an Optuna trial for any `Trainer`
"""

from .callbacks import PruningCallback
from .space import Parameter, default_space, read_space
from .tune import Tuned, tune

__all__ = ["Parameter", "PruningCallback", "Tuned", "default_space", "read_space", "tune"]
