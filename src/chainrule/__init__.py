"""chainrule: a backpropagation compiler and trainer for neural networks.

The public names are those of `chainrule.public`. They are imported when the first of them is used:
the command line must answer at once, and NumPy alone takes longer than that.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .ops import *  # noqa: F403  isort: skip - mypy does not see them through public
    from .public import *  # noqa: F403

#: Public functions that are called as the modules they live in.
_FUNCTIONS = ("compile", "explain", "tensor")


class _Package(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)
        path = f"{__name__}.{name}"
        if name not in _FUNCTIONS:
            try:
                return importlib.import_module(path)
            except ModuleNotFoundError as error:
                if error.name != path:
                    raise
        public = importlib.import_module(f"{__name__}.public")
        self.__dict__.update(
            {known: getattr(public, known) for known in ["__all__", *public.__all__]}
        )
        if name not in self.__dict__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return self.__dict__[name]

    def __setattr__(self, name: str, value: Any) -> None:
        # An import sets the module here, where users expect the function.
        if name in _FUNCTIONS and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *self.__all__})


sys.modules[__name__].__class__ = _Package
