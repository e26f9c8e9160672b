"""Names, messages, help and pages use the terms of the field; what they replaced stays away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [
    *(
        path
        for place in ("src", "docs", "examples")
        for path in sorted((ROOT / place).rglob("*"))
        if path.suffix in (".py", ".md", ".js", ".html")
    ),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
]

#: What is not said, as a pattern, and what is said instead.
REPLACED = {
    r"(derivative|gradient|slope)s? by (x|w|the|its|each|all|an?)\b": "with respect to",
    r"whole numbers?\b": "integer",
    r"truth values?\b": "boolean",
    r"makes? no sense": "invalid value for …",
    r"leave (it|them|one|\S+|one of the two) away": "omit",
    r"know(s|ing)? of (one another|each other)": "independent",
    r"hidden numbers": "hidden units",
    r"\bjudg\w*": "evaluate, validate",
    r"filled up with": "padded",
    r"rows of no weight": "zero-weight rows",
    r"turned round": "transposed",
    r"numbers a second": "sample rate",
    r"(its|own) picture of each": "embedding",
    r"memory of the optimizer|optimizer's memory": "optimizer state",
    r"number of (the|a) class\b": "class index",
    r"\band kin\b": "and similar",
    r"\bwishe[sd]\b": "requested",
}


@pytest.mark.parametrize("old", REPLACED)
def test_the_terms_of_the_field_are_used(old):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(old, line, re.IGNORECASE)
    ]
    assert not found, f"say {REPLACED[old]!r}:\n" + "\n".join(found)
