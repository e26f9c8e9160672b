"""What all tests share."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

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
        for file in programs.glob("*.*"):
            with contextlib.suppress(FileNotFoundError):  # another run may remove it, too
                if file.stat().st_mtime < time.time() - _WEEK:
                    file.unlink()


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


def unavailable(reason: str) -> NoReturn:
    """Skip; where CI has installed the browser and Node, fail."""
    if os.environ.get("CHAINRULE_REQUIRE_BROWSER"):
        pytest.fail(f"CHAINRULE_REQUIRE_BROWSER is set, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def nodejs() -> str:
    """The path of Node.js, which runs the page's arithmetic without a browser."""
    program = shutil.which("node") or shutil.which("nodejs")
    if program is None:
        unavailable("there is no Node.js (node) on this machine")
    return program
