"""What all tests share."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import chainrule.engine.ops  # noqa: F401  registers its operations before the first test looks at them
from chainrule.engine.ir import operation

from .nightly import NIGHTLY

# The same examples in every run; no test is timed.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("repeatable")

_WEEK = 7 * 24 * 3600.0


def pytest_configure(config: pytest.Config) -> None:
    """Programs are built once for all tests, workers and runs, and not in the user's folder."""
    programs = Path(tempfile.gettempdir()) / f"chainrule-tests-{os.getuid()}"
    os.environ.setdefault("CHAINRULE_CACHE", str(programs))
    if not hasattr(config, "workerinput"):
        for old in programs.glob("*"):
            if old.stat().st_mtime < time.time() - _WEEK:
                old.unlink(missing_ok=True)


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of much training that are not about native code: by day NumPy runs it all."""
    if not NIGHTLY:
        monkeypatch.setenv("CHAINRULE_CC", "")


@pytest.fixture(autouse=True)
def _forget_operations_of_tests() -> Iterator[None]:
    """Operations that a test declares are gone when it ends."""
    before = set(operation.OPERATIONS)
    yield
    for name in set(operation.OPERATIONS) - before:
        del operation._operations[name]
        operation._custom.discard(name)
