"""An explanation as text, for terminals of any width."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator

from .detail import at_detail
from .explanation import Explanation
from .formatting import DIGITS, Writer
from .sections import Bars, Formula, Grid, Heading, Lines, Part, Prose, parts

_BAR = "▏▎▍▌▋▊▉█"


def to_text(
    explanation: Explanation, width: int = 80, digits: int = DIGITS, detail: str = "normal"
) -> str:
    """The explanation as text without colours.

    Args:
        explanation: what to write.
        width: columns.
        digits: significant digits.
        detail: ``brief``, ``normal`` or ``all``; see `detail.at_detail`.
    """
    writer = Writer(explanation.notation, digits)
    lines: list[str] = []
    before: Part | None = None
    for part in parts(at_detail(explanation, detail), writer):
        if before is not None and _is_separated(before, part):
            lines.append("")
        lines += _set(part, width)
        before = part
    return "\n".join(lines) + "\n"


def _is_separated(before: Part, part: Part) -> bool:
    """Whether a blank line belongs between two parts."""
    if isinstance(before, Formula) and isinstance(part, Formula):
        if part.block and part.block == before.block:
            return False
        return len(before.sides) > 2 or len(part.sides) > 2
    same = isinstance(before, Prose) and isinstance(part, Prose)
    is_list = same and isinstance(part, Prose) and part.text.startswith("•")
    return not is_list


def _set(part: Part, width: int) -> Iterator[str]:
    if isinstance(part, Heading):
        yield from _heading(part, width)
    elif isinstance(part, Prose):
        hang = "  " if part.text.startswith(("• ", "! ")) else ""
        yield from textwrap.wrap(part.text, width, subsequent_indent=hang)
    elif isinstance(part, Formula):
        yield from _formula(part, width)
    elif isinstance(part, Lines):
        for line in part.lines:
            wrapped = [line] if part.is_code else textwrap.wrap(line, width - 4) or [""]
            yield from (f"    {one}" for one in wrapped)
    elif isinstance(part, Grid):
        yield from _grid(part, width)
    else:
        yield from _bars(part, width)


def _heading(part: Heading, width: int) -> Iterator[str]:
    if part.level == 0:
        yield part.text
        yield "═" * min(len(part.text), width)
    elif part.level == 1:
        yield f"── {part.text} ".ljust(width, "─")
    else:
        yield part.text
        yield "─" * min(len(part.text), width)


def _formula(part: Formula, width: int) -> Iterator[str]:
    """On one line if it fits, otherwise one side below the other; long sides are broken."""
    note = f"  ({part.note})" if part.note else ""
    line = "  " + " = ".join(part.sides)
    if len(line + note) <= width:
        yield line + note
        return
    left, *sides = part.sides
    indent = min(len(left) + 2, 10)
    if len(left) + 2 > 10 or len(f"  {left} = {sides[0]}") > width:
        yield f"  {left}{note}"
        note = ""
    else:
        yield from _broken(f"  {left} = {sides.pop(0)}{note}", width, indent + 4)
    for side in sides:
        yield from _broken(f"{' ' * indent} = {side}", width, indent + 4)


#: Where a long line may be broken, best first: between terms, then between factors.
_MARKS = ((" + ", " - "), (" · ", " / "), (", ",))


def _broken(line: str, width: int, indent: int) -> Iterator[str]:
    """A line broken before an operator."""
    while len(line) > width:
        place = next(filter(None, (_last_place(line, marks, width) for marks in _MARKS)), 0)
        if not place:
            break
        place += line.startswith(", ", place)  # a comma stays where it is
        yield line[:place]
        line = " " * indent + line[place:].strip()
    yield line


def _last_place(line: str, marks: tuple[str, ...], width: int) -> int:
    """The last place before an operator, not inside brackets if there is another; or 0."""
    depth, outside, inside = 0, 0, 0
    start = len(line) - len(line.lstrip()) + 3
    for place in range(start, width):
        depth += {"(": 1, ")": -1}.get(line[place], 0)
        if line.startswith(marks, place) and line[:place].strip() not in ("", "="):
            outside, inside = (place, inside) if depth <= 0 else (outside, place)
    return outside or inside


def _grid(part: Grid, width: int) -> Iterator[str]:
    rows = [part.header, *part.rows]
    extents = [max(len(row[i]) for row in rows) for i in range(len(part.header))]
    while sum(extents) + 2 * len(extents) > width and max(extents) > 8:
        extents[extents.index(max(extents))] -= 1
    for row in rows:
        cells = (_cut(cell, n).ljust(n) for cell, n in zip(row, extents, strict=True))
        yield ("  " + "  ".join(cells)).rstrip()


def _cut(text: str, length: int) -> str:
    """A text that is too long, shortened; of a path the end says more than the beginning."""
    if len(text) <= length:
        return text
    is_path = "." in text and "(" not in text
    return "…" + text[1 - length :] if is_path else text[: length - 1] + "…"


def _bars(part: Bars, width: int) -> Iterator[str]:
    """Bars on a logarithmic scale: equal lengths are equal ratios."""
    yield f"  {part.title}"
    sizes = [size for _, size in part.rows if size > 0 and math.isfinite(size)]
    if not sizes:
        sizes = [1.0]
    names = min(max(len(name) for name, _ in part.rows), 24)
    room = max(width - names - 16, 8)
    low, high = math.log10(min(sizes)), math.log10(max(sizes))
    low = min(math.floor(low), high - 3)
    for name, size in part.rows:
        label = _cut(name, names)
        bar = ""
        if size > 0 and math.isfinite(size):
            fraction = (math.log10(size) - low) / (high - low)
            eighths = max(round(fraction * room * 8), 1)
            bar = "█" * (eighths // 8) + (_BAR[eighths % 8 - 1] if eighths % 8 else "")
        yield f"    {label.ljust(names)}  {size:8.2g}  {bar}".rstrip()
