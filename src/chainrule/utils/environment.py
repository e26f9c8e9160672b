"""What environment variables say."""

from __future__ import annotations

import math
import os

from ..errors import ConfigError


def seconds(name: str, otherwise: float) -> float:
    """A number of seconds that an environment variable may set; infinity for never.

    Args:
        name: of the variable.
        otherwise: where it is not set, or empty.

    Raises:
        ConfigError: it says no such number.

    Example:
        >>> seconds("CHAINRULE_NOBODY_SETS_THIS", 10)
        10.0
    """
    said = os.environ.get(name) or str(otherwise)
    try:
        found = float(said)
    except ValueError:
        found = math.nan
    if not found >= 0:
        raise ConfigError(f"Invalid value for {name}.", expected="a number of seconds", found=said)
    return found
