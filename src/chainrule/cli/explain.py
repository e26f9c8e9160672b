"""``chainrule explain``: the four steps of backpropagation with every number."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .console import note, write_bytes
from .error_handling import Debug

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
            help="Data as those of the training, with the target: a table, a file or a folder.",
            show_default=False,
        ),
    ] = None,
    row: Annotated[
        list[int] | None,
        typer.Option(
            help="The row, file or window to explain, from 0; several times for several.",
            metavar="N",
            show_default=False,
        ),
    ] = None,
    demo: Annotated[
        str | None,
        typer.Option(
            help="An example without any file: neuron, houses, xor, cnn or lstm.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            help="The weight whose whole chain is told, such as hidden.weight[0,1].",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="text, markdown, latex, html or json; by the name of the file, otherwise text.",
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
    digits: Annotated[int, typer.Option(help="Significant digits.", min=3, max=17)] = 6,
    show_c: Annotated[bool, typer.Option("--show-c", help="The C of each node, too.")] = False,
    debug: Debug = False,
) -> None:
    """Show one training step with every number: forward, error, backward, update.

    Example: chainrule explain --demo houses
    """  # fmt: skip
    kind = _kind(format, out)
    options: dict[str, Any] = {"notation": notation, "show_c": show_c}
    options |= {"weight": weight} if weight else {}
    told = _explanation(model, data, row, demo, optimizer, lr, options)
    if out is None and kind == "text":
        _show_text(told, digits)
        return
    content = _rendered(told, kind, digits).encode()
    if out is None:
        write_bytes(content)
    else:
        from ..utils.files import write_atomically

        write_atomically(out, content)
        note(f"The explanation is in {out}")


def _kind(format: str | None, out: Path | None) -> str:
    """The format, by its name or by the end of the file's name."""
    if format is not None:
        if format not in _FORMATS:
            raise ConfigError(f"Unknown format {format!r}.", expected=", ".join(_FORMATS))
        return format
    if out is None:
        return "text"
    ending = out.suffix.lower()
    if ending not in _ENDINGS:
        raise ConfigError(
            "The format of the output is not known.",
            where=str(out),
            expected=f"a file name that ends in {', '.join(_ENDINGS)}, or --format",
            found=ending or "no ending",
        )
    return _ENDINGS[ending]


def _explanation(
    model: Path | None, data: str | None, row: list[int] | None, demo: str | None,
    optimizer: str | None, lr: float | None, options: dict[str, Any],
) -> Explanation:  # fmt: skip
    if demo is not None:
        if model is not None or row:
            raise ConfigError("A demo needs no model, data or row.", hint="Leave them away.")
        from ..explain.demos import demo as make

        given = {"optimizer": optimizer, "lr": lr}
        return make(demo, **options, **{k: v for k, v in given.items() if v is not None})
    if model is None or data is None:
        raise ConfigError(
            "What is to be explained?",
            expected="a model and data for it, or --demo",
            hint="Try: chainrule explain --demo houses",
        )
    from ..explain.files import explain_rows
    from ..utils.runs import model_file

    return explain_rows(
        model_file(model), data, row or [0], optimizer=optimizer, lr=lr, say=note, **options
    )


def _rendered(told: Explanation, kind: str, digits: int) -> str:
    if kind == "json":
        import json

        return json.dumps(told.to_json(), ensure_ascii=False, allow_nan=False) + "\n"
    if kind == "text":
        return told.to_text(100, digits)
    write = {"html": told.to_html, "latex": told.to_latex, "markdown": told.to_markdown}[kind]
    return write(digits)


# ---- on a terminal -------------------------------------------------------------------------------

_NARROW, _WIDE = 60, 120
_NUMBER = re.compile(r"(?<![\w.\[,])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w\]])")


def _show_text(told: Explanation, digits: int) -> None:
    """Text in the width of the terminal, coloured by sign and size; plain in pipes."""
    from rich.console import Console

    console = Console(highlight=False)
    width = min(max(console.width, _NARROW), _WIDE) if console.is_terminal else 80
    text = told.to_text(width, digits)
    if not console.is_terminal:
        sys.stdout.write(text)
        return
    for line in text.splitlines():
        console.print(coloured(line), soft_wrap=True)


def coloured(line: str) -> Text:
    """A line with its numbers coloured: red below 0, green above; small ones faint."""
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
