"""chainrule: a backpropagation compiler and trainer for neural networks.

The public names are those of `chainrule.public`. They are imported when the first of them is used:
the command line must answer at once, and NumPy alone takes longer than that.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .engine.ops import *  # noqa: F403  isort: skip - mypy does not see them through public
    from .public import *  # noqa: F403

#: Public modules with a shorter name than the place where they live: ``import chainrule.tables``.
_ALIASES = {
    "active": "tasks.active_learning",
    "audio": "tasks.audio",
    "images": "tasks.images",
    "ir": "engine.ir",
    "linalg": "engine.ops.linalg",
    "masked": "engine.ops.masked",
    "onnx": "interop.onnx",
    "ops": "engine.ops",
    "sequence_to_text": "tasks.sequence_to_text",
    "series": "tasks.timeseries",
    "sklearn": "interop.sklearn",
    "tables": "tasks.tabular",
    "text": "tasks.text",
    "train": "training",
    "weights": "interop.weights",
}

#: Public functions whose package has the same name.
_FUNCTIONS = ("doctor", "explain")


class _Aliases:
    """The importer of modules by their aliases; there is one module under both names."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if _real(name) else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(_real(module.__name__))


def _real(name: str) -> str:
    """The name of a module that is imported by an alias, or as part of one; otherwise empty."""
    package, _, path = name.partition(".")
    alias, _, inside = path.partition(".")
    if package != __name__ or alias not in _ALIASES:
        return ""
    return f"{package}.{_ALIASES[alias]}" + (f".{inside}" if inside else "")


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
            raise AttributeError(
                f"module {__name__!r} has no attribute {name!r}", name=name, obj=self
            )
        return self.__dict__[name]

    def __setattr__(self, name: str, value: Any) -> None:
        # An import sets a package such as chainrule.explain here, where users expect the function.
        if name in _FUNCTIONS and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted(self.__all__)


sys.meta_path.insert(0, _Aliases())  # before modules are looked for in the folders
sys.modules[__name__].__class__ = _Package
