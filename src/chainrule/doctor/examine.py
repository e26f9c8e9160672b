"""From evidence to findings: every rule is asked; consequences go under their cause."""

from __future__ import annotations

import dataclasses

from .causes import BRINGS, CAUSES
from .evidence import Evidence
from .finding import Finding
from .rules import RULES
from .rules.context import Context


def examine(evidence: Evidence) -> list[Finding]:
    """The findings, the most probable cause first; a function of the evidence only."""
    context = Context(evidence)
    found: dict[str, Finding] = {}
    for rule in RULES:
        for finding in rule(context):
            known = found.get(finding.cause)
            if known is None or finding.score > known.score:
                found[finding.cause] = finding
    return ranked(list(found.values()))


def ranked(findings: list[Finding]) -> list[Finding]:
    """By score, each cause with its consequences under it.

    A finding is a consequence of another one that brings it about and is no less sure, unless it
    is a fact of the configuration.
    """
    order = sorted(findings, key=lambda one: -one.score)
    kept: list[Finding] = []
    under: dict[str, list[str]] = {}
    for finding in order:
        roots = [one for one in kept if finding.cause in BRINGS.get(one.cause, ())]
        if roots and not finding.is_fact:
            under.setdefault(roots[0].cause, []).append(
                f"{CAUSES[finding.cause]}: {finding.message}"
            )
        else:
            kept.append(finding)
    return [dataclasses.replace(one, consequences=tuple(under.get(one.cause, ()))) for one in kept]
