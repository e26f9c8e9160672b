"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chainrule.ir import operation


@pytest.fixture(autouse=True)
def _forget_operations_of_tests() -> Iterator[None]:
    """Operations that a test declares are gone when it ends."""
    before = set(operation.OPERATIONS)
    yield
    for name in set(operation.OPERATIONS) - before:
        del operation._operations[name]
        operation._custom.discard(name)
