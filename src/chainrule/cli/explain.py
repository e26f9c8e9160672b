"""``chainrule explain``: the four steps of backpropagation with every number."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, unknown
from ..tasks.option_values import missing_words
from .console import note, write_bytes
from .error_handling import Debug
from .harmless import harmless
from .reading import Encoding, Missing, Separator, Table, as_said

if TYPE_CHECKING:
    from rich.text import Text

    from ..explain import Explanation

_ENDINGS = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".tex": "latex",
    ".html": "html",
    ".htm": "html",
    ".json": "json",
}
#: As in `chainrule.explain.detail`, which takes time to import.
_DETAILS = ("brief", "normal", "all")
_FORMATS = tuple(dict.fromkeys(_ENDINGS.values()))


def explain(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL", help="A run folder, or a model file.", show_default=False),
    ] = None,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="Data like those of the training, with the target: a table, a file or a folder.",
            show_default=False,
        ),
    ] = None,
    row: Annotated[
        list[int] | None,
        typer.Option(
            help="The row, file or window to explain, from 0; repeat for several.",
            metavar="N",
            show_default=False,
        ),
    ] = None,
    demo: Annotated[
        str | None,
        typer.Option(
            help="A built-in example: neuron, houses, 2-2-2, xor, cnn or lstm.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            help="The weight whose chain is shown, such as hidden.weight[0,1].",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="text, markdown, latex, html or json; default: by the file name, otherwise text.",
            metavar="FORMAT",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write; standard output by default.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    notation: Annotated[
        str, typer.Option(help="leibniz for ∂L/∂z, delta for δ.", metavar="NAME")
    ] = "leibniz",
    optimizer: Annotated[
        str | None,
        typer.Option(
            help="Another optimizer, such as sgd or adam.", metavar="NAME", show_default=False
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="Another learning rate.", metavar="RATE", show_default=False),
    ] = None,
    detail: Annotated[
        str,
        typer.Option(
            help="brief (by layer), normal (without what repeats) or all; of texts.",
            metavar="NAME",
        ),
    ] = "normal",
    digits: Annotated[int, typer.Option(help="Significant digits.", min=3, max=17)] = 6,
    show_c: Annotated[bool, typer.Option("--show-c", help="Show the C code of each node.")] = False,
    encoding: Encoding = None,
    separator: Separator = None,
    table: Table = None,
    missing: Missing = None,
    debug: Debug = False,
) -> None:
    """Show one training step with every number: forward, error, backward, update.

    Example: chainrule explain --demo houses
    """  # fmt: skip
    kind = _kind(format, out)
    if detail not in _DETAILS:
        raise unknown("detail", detail, _DETAILS)
    options: dict[str, Any] = {"notation": notation, "show_c": show_c}
    options |= {"weight": weight} if weight else {}
    source = None if data is None else as_said(data, encoding, separator, table)
    options |= {} if demo or not missing else {"missing": missing_words(missing)}
    explanation = _explanation(model, source, row, demo, optimizer, lr, options)
    if out is None and kind == "text":
        _show_text(explanation, digits, detail)
        return
    content = _rendered(explanation, kind, digits, detail).encode()
    if out is None:
        write_bytes(content)
    else:
        from ..utils.files import write_atomically

        write_atomically(out, content)
        note(f"The explanation is in {out}")


def _kind(format: str | None, out: Path | None) -> str:
    """The format, by its name or by the extension of the file."""
    if format is not None:
        if format not in _FORMATS:
            raise unknown("format", format, _FORMATS)
        return format
    if out is None:
        return "text"
    ending = out.suffix.lower()
    if ending not in _ENDINGS:
        raise ConfigError(
            "Unknown output format.",
            where=str(out),
            expected=f"a file name that ends in {', '.join(_ENDINGS)}, or --format",
            found=ending or "no extension",
        )
    return _ENDINGS[ending]


def _explanation(
    model: Path | None, data: str | None, row: list[int] | None, demo: str | None,
    optimizer: str | None, lr: float | None, options: dict[str, Any],
) -> Explanation:  # fmt: skip
    if demo is not None:
        if model is not None or row:
            raise ConfigError("A demo takes no model, data or row.", hint="Omit them.")
        from ..explain.demos import demo as make

        given = {"optimizer": optimizer, "lr": lr}
        return make(demo, **options, **{k: v for k, v in given.items() if v is not None})
    if model is None or data is None:
        raise ConfigError(
            "There is nothing to explain.",
            expected="a model and data for it, or --demo",
            hint="Try: chainrule explain --demo houses",
        )
    from ..explain.files import explain_rows
    from ..utils.runs import model_file

    return explain_rows(
        model_file(model), data, row or [0], optimizer=optimizer, lr=lr, say=note, **options
    )


def _rendered(explanation: Explanation, kind: str, digits: int, detail: str) -> str:
    if kind == "json":
        import json

        return json.dumps(explanation.to_json(), ensure_ascii=False, allow_nan=False) + "\n"
    if kind == "text":
        return explanation.to_text(100, digits, detail)
    if kind == "html":
        return explanation.to_html(digits)
    write = {"latex": explanation.to_latex, "markdown": explanation.to_markdown}[kind]
    return write(digits, detail)


# ---- on a terminal -------------------------------------------------------------------------------

_NARROW, _WIDE = 60, 120
_NUMBER = re.compile(r"(?<![\w.\[,])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w\]])")


def _show_text(explanation: Explanation, digits: int, detail: str) -> None:
    """Text in the width of the terminal, coloured by sign and magnitude; plain in pipes."""
    from .safe_console import SafeConsole

    console = SafeConsole(highlight=False)
    width = min(max(console.width, _NARROW), _WIDE) if console.is_terminal else 80
    text = explanation.to_text(width, digits, detail)
    if not console.is_terminal:
        sys.stdout.write(harmless(text))
        return
    for line in text.splitlines():
        console.print(coloured(line), soft_wrap=True)


def coloured(line: str) -> Text:
    """A line with its numbers coloured: red below 0, green above; small ones dim."""
    from rich.text import Text

    if line.startswith("──"):
        return Text(line, "bold cyan")
    text = Text(line)
    if not line.startswith("  "):
        return text
    for match in _NUMBER.finditer(line):
        value = float(match.group())
        if value == 0:
            style = "dim"
        else:
            size = " dim" if abs(value) < 1e-3 else " bold" if abs(value) >= 1 else ""
            style = ("red" if value < 0 else "green") + size
        text.stylize(style, *match.span())
    return text
