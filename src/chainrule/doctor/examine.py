"""From evidence to findings: every rule is asked; consequences go under their cause."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from .causes import BRINGS, CAUSES
from .evidence import Evidence
from .finding import Finding
from .rules import RULES
from .rules.context import Context

#: How many causes are named for which the evidence is short of a finding.
_POSSIBLE = 2


def examine(evidence: Evidence) -> list[Finding]:
    """The findings, the most probable cause first; a function of the evidence only.

    Where there is one that is no note, those follow that are possible: their rules nearly hold.
    """
    sure = ranked(_found(Context(evidence)))
    if all(finding.severity == "note" for finding in sure):
        return sure
    return [*sure, *_possible(_found(Context(evidence, possible=True)), sure)]


def _found(context: Context) -> list[Finding]:
    """What the rules give, the surest of each cause."""
    found: dict[str, Finding] = {}
    for rule in RULES:
        for finding in rule(context):
            known = found.get(finding.cause)
            if known is None or finding.score > known.score:
                found[finding.cause] = finding
    return list(found.values())


def _possible(found: Sequence[Finding], sure: Sequence[Finding]) -> list[Finding]:
    """Of what is possible the causes that nothing sure explains, those first that explain it."""
    known = {one.cause for one in sure}
    explained = known.union(*(BRINGS.get(cause, ()) for cause in known))
    others = ranked([one for one in found if one.cause not in explained])
    others.sort(key=lambda one: not known.intersection(BRINGS.get(one.cause, ())))
    return [
        dataclasses.replace(one, severity="note", score=one.score / 2, consequences=(), sure=False)
        for one in others[:_POSSIBLE]
    ]


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
