"""What `make test` leaves to `make nightly`."""

import os
from collections.abc import Iterable
from typing import Any

import pytest

#: Whether everything is tested.
NIGHTLY = "CHAINRULE_NIGHTLY" in os.environ


def by_night(*values: Any, unless: bool = False) -> Any:
    """The parameters of one case of a test, for the night only."""
    return pytest.param(*values, marks=() if unless else pytest.mark.nightly)


def by_day_on_numpy(names: Iterable[str], *in_c: str) -> list[Any]:
    """Each name with each backend; by day only the named ones in C."""
    return [
        by_night(name, backend, unless=backend == "numpy" or name in in_c)
        for name in names
        for backend in ("numpy", "c")
    ]
