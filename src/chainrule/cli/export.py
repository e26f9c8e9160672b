"""``chainrule export``: a model for other systems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from .console import note, show
from .error_handling import Debug
from .predict import Model

if TYPE_CHECKING:
    from collections.abc import Callable


class Format(NamedTuple):
    """A format that models are written in.

    Attributes:
        about: what it is for, in a few words.
        ending: of its files.
        write: ``(model, file, opset) → notes``; imports what it needs.
    """

    about: str
    ending: str
    write: Callable[[Path, Path, int | None], list[str]]


def _onnx(model: Path, out: Path, opset: int | None) -> list[str]:
    from ..interop import onnx

    return onnx.save(out, model) if opset is None else onnx.save(out, model, opset=opset)


#: By the word of ``--to``.
FORMATS = {"onnx": Format("ONNX, which most runtimes read", ".onnx", _onnx)}

_TO = "; ".join(f"{name}: {form.about}" for name, form in FORMATS.items())


def export(
    model: Model,
    to: Annotated[
        str, typer.Option("--to", help=f"The format. {_TO}.", metavar="FORMAT", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write; by default it is called like the run, in the current folder.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    opset: Annotated[
        int | None,
        typer.Option(
            help="The version of the operators of ONNX; 17, which most runtimes read, by default.",
            metavar="N",
            show_default=False,
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a model for other systems, with its preprocessing: raw rows in, predictions out.

    Example: chainrule export runs/houses-2026-01-31-1 --to onnx --out houses.onnx
    """
    from ..errors import ConfigError, unknown
    from ..utils.runs import model_file

    if to not in FORMATS:
        raise unknown("format", to, FORMATS, "--to")
    form = FORMATS[to]
    file = model_file(model)
    if out is None:
        name = file.parent.resolve().name if model.is_dir() else file.stem
        out = Path(name + form.ending)
    if not out.parent.is_dir():
        raise ConfigError("There is no such folder.", where=str(out.parent),
                          hint=f"make it: mkdir -p {out.parent}")  # fmt: skip
    for sentence in form.write(file, out, opset):
        note(sentence)
    show(f"The model is in {out}")
