"""Write docs/from_pytorch.md from the table.

python -m tests.from_pytorch.make_page
"""

from __future__ import annotations

from pathlib import Path

from . import arrays, fourier, layers  # noqa: F401  they fill in the table
from .table import ABSENT, TABLE, Entry

PAGE = Path(__file__).parents[2] / "docs" / "from_pytorch.md"
#: PyTorch's operations with derivatives for float64, in its own list (OpInfo, PyTorch 2.13).
COUNT = 540

INTRODUCTION = """# From PyTorch

Of the {count} operations with derivatives in PyTorch's own list (OpInfo, PyTorch 2.13) {named} have
a name here, {written} more are one expression. Names are NumPy's where NumPy has one, otherwise
PyTorch's; `cr` is `import chainrule as cr`.

What differs everywhere:

- `dim` is `axis`, `keepdim` is `keepdims`, as in NumPy.
- Channels are the last axis: images are (batch, height, width, channels).
- Tensors never change: what PyTorch does in place gives a new tensor (`cr.setitem`, `cr.scatter`).
- Functions that draw numbers take a random key; layers that differ in training take `train=True`.
- Equal largest elements share the gradient in equal parts.
- A singular matrix, an index out of range or a class that does not exist is an error, eagerly and
  compiled.

PyTorch's own samples of these operations, with values and gradients, are part of the tests.

"""


def page() -> str:
    """The whole page."""
    named = [entry for entry in TABLE.values() if entry.by_name]
    text = INTRODUCTION.format(count=COUNT, named=len(named), written=len(TABLE) - len(named))
    text += "| PyTorch | chainrule | what differs |\n|---|---|---|\n"
    text += "".join(map(_row, sorted(TABLE.values(), key=lambda e: e.name.lower())))
    text += "\n## What is missing\n\n| PyTorch | why |\n|---|---|\n"
    reasons: dict[str, list[str]] = {}
    for name, why in ABSENT.items():
        reasons.setdefault(why, []).append(f"`{name}`")
    text += "".join(f"| {', '.join(names)} | {why} |\n" for why, names in reasons.items())
    return text


def _row(entry: Entry) -> str:
    ours = f"cr.{entry.ours}" if entry.by_name else entry.ours
    return f"| `{entry.name}` | `{ours}` | {entry.differs.replace('|', chr(92) + '|')} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
