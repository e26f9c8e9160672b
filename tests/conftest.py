"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

import chainrule.engine.ops  # noqa: F401  registers its operations before the first test looks at them
from chainrule.engine.ir import operation

# The same examples in every run; no test is timed.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _forget_operations_of_tests() -> Iterator[None]:
    """Operations that a test declares are gone when it ends."""
    before = set(operation.OPERATIONS)
    yield
    for name in set(operation.OPERATIONS) - before:
        del operation._operations[name]
        operation._custom.discard(name)
