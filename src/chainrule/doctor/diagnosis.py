"""Findings as text for people, and as records for the run folder."""

from __future__ import annotations

import html
import json
import os
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..utils.files import write_atomically
from .causes import CAUSES
from .finding import Finding

#: The file in a run folder.
FINDINGS = "findings.json"
_WIDTH = 96


class Diagnosis(Sequence[Finding]):
    """The findings of a training, the most probable cause first.

    Args:
        findings: in their order, those that are sure first.
        over: whether the training has ended.

    Attributes:
        findings: these.
    """

    def __init__(self, findings: Sequence[Finding], over: bool = True) -> None:
        self.findings = tuple(findings)
        self._over = over

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, index: Any) -> Any:
        return self.findings[index]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        if not self.findings:
            return "Nothing is wrong." if self._over else "Nothing is wrong so far."
        parts = [described(number, one) for number, one in enumerate(self.findings, 1)]
        count = sum(one.sure for one in self.findings)
        if count < len(parts):
            parts.insert(count, "Less sure, worth a look if that does not help:")
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def to_json(self) -> list[dict[str, Any]]:
        """A record for each finding."""
        return [finding.to_json() for finding in self.findings]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``findings.json`` into a run folder."""
        from ..utils.runs import json_data

        text = json.dumps(json_data(self.to_json()), ensure_ascii=False, indent=1) + "\n"
        write_atomically(Path(folder) / FINDINGS, text.encode())

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Diagnosis:
        """What `save` wrote.

        Raises:
            DataError: there is none, or it is damaged.
        """
        path = Path(folder) / FINDINGS
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls([Finding.from_json(record) for record in content])
        except FileNotFoundError:
            raise DataError(
                "The run has no findings.",
                where=str(folder),
                expected=FINDINGS,
                hint="It was trained by an earlier version, or from standard input; train again.",
            ) from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                "The findings cannot be read.", where=str(path), found=str(error)
            ) from None


def one_line(finding: Finding) -> str:
    """A finding in a line, for a training that goes on."""
    where = f" ({finding.layer})" if finding.layer else ""
    return f"{CAUSES[finding.cause]}{where}: {finding.message} {finding.fix.sentence}"


def described(number: int, finding: Finding) -> str:
    """A finding in full."""
    where = f" in {finding.layer}" if finding.layer else ""
    kind = finding.severity if finding.sure else "could also be"
    head = f"{number}. {kind}: {CAUSES[finding.cause]}{where}"
    figures = finding.formula
    if finding.measured is not None:
        figures += f" = {finding.measured:.4g}"
    if finding.threshold is not None:
        of = "" if finding.sure else " of a finding"
        figures += f"; the threshold{of} is {finding.threshold:.4g}"
    if finding.step is not None:
        figures += f" (step {finding.step:,})"
    lines = [head, finding.message, finding.why, f"Measured: {figures}.",
             f"Fix: {finding.fix.sentence}"]  # fmt: skip
    if finding.fix.options:
        lines.append(f"On the command line: {finding.fix.arguments}")
    lines += [f"It brings about {consequence}" for consequence in finding.consequences]
    first, *rest = lines
    body = [textwrap.fill(line, _WIDTH, initial_indent="   ", subsequent_indent="   ")
            for line in rest]  # fmt: skip
    return "\n".join([first, *body])
