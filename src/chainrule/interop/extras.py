"""Packages of extras: imported when they are needed, with an error that says how to get them."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import ConfigError


def need(package: str, extra: str, what: str) -> Any:
    """A package of an extra.

    Args:
        package: its name in an import.
        extra: of chainrule that brings it.
        what: needs it, in words.

    Raises:
        ConfigError: it is not installed.

    Example:
        >>> need("json", "none", "this example").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.partition(".")[0]:
            raise
        raise ConfigError(
            f"{what} needs the package {package.partition('.')[0]}, which is not installed.",
            hint=f"pip install 'chainrule[{extra}]'",
        ) from None
