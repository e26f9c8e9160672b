"""Names of columns: each its own, and lists of them in messages."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import DataError


def check_names(names: Sequence[str], where: str, hint: str | None = None) -> None:
    """Refuse a name that two columns have, with a hint.

    Raises:
        DataError: there is such a name.
    """
    seen: dict[str, int] = {}
    for position, label in enumerate(names, 1):
        if label in seen:
            raise DataError(
                f"Two columns are called {label!r}.",
                where=where,
                expected="a name of its own for each column",
                found=f"{label!r} as column {seen[label]} and as column {position}",
                hint=hint or "rename or remove one of them",
            )
        seen[label] = position


def listed(names: Sequence[str], most: int = 8) -> str:
    """The first names, as a list in a sentence."""
    shown = ", ".join(f"{label:.40}" for label in names[:most])
    return f"{shown}, … ({len(names):,} in all)" if len(names) > most else shown
