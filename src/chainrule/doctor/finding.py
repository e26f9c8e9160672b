"""A finding: one cause of trouble in a training, with what was measured and what to do."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

#: How bad it is: the result cannot be trusted; it is worse than it need be; worth knowing.
SEVERITIES = ("error", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Fix:
    """What to change.

    Attributes:
        sentence: in words.
        options: as a change of configuration, by the names of the command line's options; what
            cannot be said so is only in the sentence.
    """

    sentence: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def arguments(self) -> str:
        """The options as they are typed.

        Example:
            >>> Fix("Less.", {"lr": 0.001, "balance": True}).arguments
            '--lr 0.001 --balance'
        """
        return " ".join(f"--{name}" if value is True else f"--{name} {shlex.quote(str(value))}"
                        for name, value in self.options.items())  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Finding:
    """One cause, with its consequences under it.

    Attributes:
        rule: what found it.
        cause: a key of `chainrule.doctor.causes.CAUSES`.
        severity: "error", "warning" or "note".
        message: what is wrong, in one line.
        why: how it does harm, in plain words.
        formula: what was measured.
        measured: its value.
        threshold: what it was compared with.
        fix: what to change.
        layer: the layer, parameter or column, if it is in one.
        step: the update at which it was measured.
        epoch: the same, in epochs.
        score: from 0 to 1, how sure it is; findings are ranked by it.
        consequences: what follows from it, in words.
        is_fact: whether it is a fact of the configuration, which no other cause brings about.
        sure: whether it is a finding by itself; if not, its evidence is short of that, and it is
            named only where something else was found, as what could be there, too.

    Example:
        >>> fix = Fix("Standardise the inputs.")
        >>> found = Finding("scale", "unscaled_inputs", "warning", "A feature is huge.", "…",
        ...                 "max |x|", 1e4, 100.0, fix)
        >>> Finding.from_json(found.to_json()) == found
        True
    """

    rule: str
    cause: str
    severity: str
    message: str
    why: str
    formula: str
    measured: float | None
    threshold: float | None
    fix: Fix
    layer: str = ""
    step: int | None = None
    epoch: int | None = None
    score: float = 0.5
    consequences: tuple[str, ...] = ()
    is_fact: bool = False
    sure: bool = True

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        content = dataclasses.asdict(self)
        content["consequences"] = list(self.consequences)
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Finding:
        """What `to_json` gave."""
        known = {field.name for field in dataclasses.fields(cls)}
        values = {name: value for name, value in content.items() if name in known}
        values["fix"] = Fix(**values["fix"])
        values["consequences"] = tuple(values.get("consequences", ()))
        return cls(**values)
