"""All operations and functions of tensors, by family.

Names are NumPy's where NumPy has one, otherwise PyTorch's.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from . import fft as fft
from . import linalg as linalg
from . import masked as masked
from . import random as random
from .activation import *  # noqa: F403
from .arrangement import *  # noqa: F403
from .attention import *  # noqa: F403
from .convolution import *  # noqa: F403
from .cross_entropy import *  # noqa: F403
from .ctc import *  # noqa: F403
from .custom import *  # noqa: F403
from .declare import *  # noqa: F403
from .einstein import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .embedding_bag import *  # noqa: F403
from .gathered_windows import *  # noqa: F403
from .images import *  # noqa: F403
from .incomplete import *  # noqa: F403
from .indexing import *  # noqa: F403
from .own_derivative import *  # noqa: F403
from .pooling import *  # noqa: F403
from .products import *  # noqa: F403
from .reduction import *  # noqa: F403
from .resizing import *  # noqa: F403
from .rounding import *  # noqa: F403
from .scan import *  # noqa: F403
from .scatter import *  # noqa: F403
from .shape import *  # noqa: F403
from .sorting import *  # noqa: F403
from .special_functions import *  # noqa: F403
from .statistics import *  # noqa: F403

#: What every family names in its ``__all__``.
NAMES = ["fft", "linalg", "masked", "random"]
for _family in (
    "activation", "attention", "convolution", "cross_entropy", "ctc", "custom", "declare",
    "einstein", "elementwise", "arrangement", "embedding_bag", "gathered_windows", "images",
    "incomplete", "indexing", "own_derivative", "pooling", "products", "reduction", "resizing",
    "rounding", "scan", "scatter", "shape", "sorting", "special_functions", "statistics",
):  # fmt: skip
    NAMES += sys.modules[f"{__name__}.{_family}"].__all__

if not TYPE_CHECKING:  # type checkers read the stars
    from .products import trace as trace  # the sum of a diagonal; cr.trace is another one

    __all__ = NAMES
