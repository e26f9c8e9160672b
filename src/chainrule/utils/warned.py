"""Notes on data as Python warnings, where nobody takes them otherwise."""

from __future__ import annotations

import sys
import warnings


class DataWarning(UserWarning):
    """Data were read with a loss that their owner should know of."""


def warned(sentence: str, category: type[Warning] = DataWarning) -> None:
    """Warn with a plain sentence; the place is the first outside of the package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(sentence, category, stacklevel=level)


_PACKAGE = __file__.rpartition("utils")[0]
