"""An explanation as a LaTeX document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .detail import at_detail
from .explanation import Explanation
from .formatting import DIGITS, LatexWriter
from .markdown import aligned
from .sections import Formula, Grid, Heading, Lines, Part, Prose, parts

_HEAD = r"""\documentclass[a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{lmodern}
\usepackage{amsmath,amssymb}
\usepackage[margin=2cm]{geometry}
\usepackage{longtable}
\allowdisplaybreaks
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.6em}
\begin{document}
"""
_FOOT = "\\end{document}\n"

#: Characters of our texts that fonts of LaTeX know by another name.
_CHARACTERS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "_": r"\_", "%": r"\%", "&": r"\&",
    "#": r"\#", "$": r"\$", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "←": r"$\leftarrow$",
    "→": r"$\to$", "−": "$-$", "·": r"$\cdot$", "∂": r"$\partial$", "σ": r"$\sigma$",
    "ℓ": r"$\ell$",
    "δ": r"$\delta$", "β": r"$\beta$", "√": r"$\surd$", "½": r"$\tfrac12$", "²": r"${}^2$",
    "³": r"${}^3$", "Σ": r"$\Sigma$", "∞": r"$\infty$", "×": r"$\times$", "′": r"$'$",
    "≥": r"$\ge$", "≤": r"$\le$", "≠": r"$\neq$", "ᵗ": r"${}^t$", "₁": r"${}_1$",
    "₂": r"${}_2$", "…": r"\dots{}", "ρ": r"$\rho$", "μ": r"$\mu$", "α": r"$\alpha$",
    "γ": r"$\gamma$", "ε": r"$\varepsilon$", "∗": r"$*$", "ŷ": r"$\hat y$", "λ": r"$\lambda$",
    "\u0302": "", "₀": r"${}_0$", "ᵢ": r"${}_i$", "ₜ": r"${}_t$", "ˣ": r"${}^x$", "ᵀ": r"${}^T$",
    "–": "--", "—": "---", "“": "``", "”": "''", "’": "'", "‖": r"$\|$", "¬": r"$\neg$",
    "∧": r"$\land$", "∨": r"$\lor$", "⌊": r"$\lfloor$", "⌋": r"$\rfloor$", "∏": r"$\prod$",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "η": r"$\eta$",
    "∈": r"$\in$", "Φ": r"$\Phi$", "Γ": r"$\Gamma$", "π": r"$\pi$", "θ": r"$\theta$",
}  # fmt: skip


def to_latex(explanation: Explanation, digits: int = DIGITS, detail: str = "normal") -> str:
    """The explanation as a document for pdfLaTeX with the usual packages.

    Args:
        explanation: what to write.
        digits: significant digits.
        detail: ``brief``, ``normal`` or ``all``; see `detail.at_detail`.
    """
    writer = LatexWriter(explanation.notation, digits)
    return latex_of(parts(at_detail(explanation, detail), writer))


def latex_of(written: Iterable[Part]) -> str:
    """Parts as a document; their mathematics are LaTeX."""
    lines = [_HEAD]
    for part in written:
        lines += _set(part)
    return "\n".join(lines) + "\n" + _FOOT


def _set(part: Part) -> Iterator[str]:
    if isinstance(part, Heading):
        command = ("section*", "subsection*", "subsubsection*")[part.level]
        yield f"\\{command}{{{escape(part.text)}}}"
    elif isinstance(part, Prose):
        text = part.text
        bullet = "\\textbullet\\ " if text.startswith("• ") else ""
        yield bullet + escape(text.removeprefix("• ")) + "\n"
    elif isinstance(part, Formula):
        yield "\\[\n" + _fitted(part) + "\n\\]"
    elif isinstance(part, Lines):
        yield "\\begin{quote}\n" + " \\\\\n".join(map(escape, part.lines)) + "\n\\end{quote}"
    elif isinstance(part, Grid):
        yield _table(part.header, part.rows)
    else:
        rows = tuple((name, f"{size:.3g}") for name, size in part.rows)
        yield _table((part.title, "RMS"), rows)


#: A side of more characters than this is broken before a plus or a dot.
_LONG = 120


def _fitted(part: Formula) -> str:
    """An equation whose long sides are broken."""
    note = f" \\qquad \\text{{({escape(part.note)})}}" if part.note else ""
    if all(len(side) <= _LONG for side in part.sides):
        return aligned(part.sides, note)
    first, *others = part.sides
    lines = []
    for number, side in enumerate(others):
        pieces = _pieces(side)
        lines.append(f"{first if not number else ''} &= {pieces[0]}")
        lines += [f"&\\quad {piece}" for piece in pieces[1:]]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + note + "\n\\end{aligned}"


def _pieces(side: str) -> list[str]:
    """A long side cut before operators that are not inside brackets."""
    pieces, depth, start = [], 0, 0
    for match in re.finditer(r"\\left|\\right|[{}]| \+ | \\cdot ", side):
        token = match.group()
        if token in ("\\left", "{"):
            depth += 1
        elif token in ("\\right", "}"):
            depth -= 1
        elif depth == 0 and match.start() - start > _LONG // 2:
            pieces.append(side[start : match.start()])
            start = match.start()
    return [*pieces, side[start:]]


def escape(text: str) -> str:
    """Running text in characters that LaTeX knows."""
    return "".join(map(_character, text))


def _character(c: str) -> str:
    known = _CHARACTERS.get(c)
    if known is not None:
        return known
    return c if ord(c) < 0x250 else f"[U+{ord(c):04X}]"


def _table(header: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    columns = "l" * len(header)
    body = " \\\\\n".join(" & ".join(map(escape, row)) for row in (header, *rows))
    return f"\\begin{{longtable}}{{{columns}}}\n{body}\n\\end{{longtable}}"
