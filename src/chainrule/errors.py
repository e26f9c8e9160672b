"""Every error that chainrule raises on purpose.

An error says what went wrong, where, what was expected and what was found, and gives one hint.
The parts are separate so that the command line can lay them out and tests can look at them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ChainruleError(Exception):
    """Base of all errors of chainrule.

    Args:
        what: one sentence, what went wrong.
        where: the user's place: file and line, column, layer or argument.
        expected: what would have been right.
        found: what was there instead.
        hint: one thing to try.

    Example:
        >>> print(ChainruleError("Unknown column.", where="houses.csv", hint="Try `price`."))
        Unknown column.
          where: houses.csv
          hint: Try `price`.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.expected = expected
        self.found = found
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        parts = {
            "where": self.where,
            "expected": self.expected,
            "found": self.found,
            "hint": self.hint,
        }
        lines = [f"  {name}: {text}" for name, text in parts.items() if text]
        return "\n".join([self.what, *lines])


class DataError(ChainruleError):
    """The user's data cannot be read or do not fit the model."""


class ShapeError(ChainruleError, ValueError):
    """Shapes that do not fit together."""


class OutOfRangeError(ChainruleError, IndexError):
    """An index for which there is no element."""


class TypeRuleError(ChainruleError, TypeError):
    """Element types that an operation does not take."""


class DerivativeError(ChainruleError):
    """A derivative was asked for that does not exist, or a check of one failed."""


class TraceError(ChainruleError):
    """A traced tensor was used where only a value can be used."""


class ModelFileError(ChainruleError):
    """A file that is not a model of chainrule, or is damaged, or is of another version."""


class TrainingError(ChainruleError):
    """Training cannot go on, for example because the loss is not a number."""


class ConfigError(ChainruleError, ValueError):
    """An invalid value for an option or argument."""


def unknown(what: str, name: str, known: Iterable[str], where: str | None = None) -> ConfigError:
    """The error for a name that does not exist, with the known one that looks like it.

    Example:
        >>> print(unknown("optimizer", "adm", ["adam", "sgd"]))
        Unknown optimizer 'adm'.
          expected: adam, sgd
          hint: Did you mean 'adam'?
    """
    known = list(known)
    plain = {one.lower().replace("_", "").replace("-", ""): one for one in known}
    looked_for = name.lower().replace("_", "").replace("-", "")
    close = difflib.get_close_matches(looked_for, plain, n=1)
    return ConfigError(
        f"Unknown {what} {name!r}.",
        where=where,
        expected=", ".join(known),
        hint=f"Did you mean {plain[close[0]]!r}?" if close else None,
    )
