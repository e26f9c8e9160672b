"""What `make test` leaves to `make nightly`."""

import os
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import pytest

#: Whether everything is tested.
NIGHTLY = "CHAINRULE_NIGHTLY" in os.environ


def by_night(*values: Any, unless: bool = False) -> Any:
    """The parameters of one case of a test, for the night only."""
    return pytest.param(*values, marks=() if unless else pytest.mark.nightly)


def by_day_on_numpy(names: Iterable[str], *in_c: str) -> list[Any]:
    """Each name with each backend; by day only the named ones in C, and none on XLA."""
    in_xla = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
    return [
        *(
            by_night(name, backend, unless=backend == "numpy" or name in in_c)
            for name in names
            for backend in ("numpy", "c")
        ),
        *(pytest.param(name, "xla", marks=[pytest.mark.nightly, in_xla]) for name in names),
    ]
