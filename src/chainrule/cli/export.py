"""``chainrule export``: a model for other systems."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

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
        ending: of its files; none of a folder.
        options: those that it has, besides the model and where to write.
        write: ``(model, where, options) → notes``; imports what it needs.
    """

    about: str
    ending: str
    options: tuple[str, ...]
    write: Callable[[Path, Path, dict[str, Any]], list[str]]


def _onnx(model: Path, out: Path, options: dict[str, Any]) -> list[str]:
    from ..interop import onnx

    return onnx.save(out, model, **options)


def _in_c(to: str) -> Callable[[Path, Path, dict[str, Any]], list[str]]:
    """Writes C, and what is built of it."""

    def write(model: Path, out: Path, options: dict[str, Any]) -> list[str]:
        from ..interop.c import export_model

        return export_model(model, out, to, **options)

    return write


_C_OPTIONS = ("name", "train", "learn", "optimizer", "batch", "standardise", "ram", "int8", "test",
              "plain", "neon", "avx2", "exact")  # fmt: skip
_LEARNING = ("learn", "optimizer", "batch", "standardise")
_PROCESSORS = ("plain", "neon", "avx2")

#: By the word of ``--to``.
FORMATS = {
    "onnx": Format("ONNX, which most runtimes read", ".onnx", ("opset",), _onnx),
    "c": Format("C99 for any device and any program", "", _C_OPTIONS, _in_c("c")),
    "lib": Format("that as a shared library", "", _C_OPTIONS, _in_c("lib")),
    "wasm": Format("that as WebAssembly, for browsers and Node", "", _C_OPTIONS, _in_c("wasm")),
}

_TO = "; ".join(f"{name}: {form.about}" for name, form in FORMATS.items())


def export(
    model: Model,
    to: Annotated[
        str, typer.Option("--to", help=f"The format. {_TO}.", metavar="FORMAT", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write, or the folder; by default it is called like the run, in the "
            "current folder.",
            metavar="PATH",
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
    name: Annotated[
        str | None,
        typer.Option(
            help="What all names in C begin with; by default what the run is called.",
            metavar="PREFIX",
            show_default=False,
        ),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="The model goes on learning in C.", show_default=False)
    ] = False,
    learn: Annotated[
        str | None,
        typer.Option(
            help="The layers that learn in C: parts of their paths, last, or all (the default).",
            metavar="LAYER,…",
            show_default=False,
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            help="The optimizer in C: sgd (the default), momentum or adam.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Rows of a step of training in C; 1 by default.", metavar="N",
                     show_default=False),
    ] = None,
    standardise: Annotated[
        float | None,
        typer.Option(
            help="Each step of training in C moves the mean and standard deviation of the inputs "
            "by this fraction towards those of its rows, such as 0.01.",
            metavar="FRACTION",
            show_default=False,
        ),
    ] = None,
    ram: Annotated[
        str | None,
        typer.Option(
            help="The RAM that the C program may take, such as 64k; more is refused.",
            metavar="BYTES",
            show_default=False,
        ),
    ] = None,
    int8: Annotated[
        Path | None,
        typer.Option(
            help="Predict in 8 bits in C, calibrated by this data.",
            metavar="DATA",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            help="Data whose target is known: metrics of --int8 beside those in floating point.",
            metavar="DATA",
            show_default=False,
        ),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="C for any processor (the default).", show_default=False)
    ] = False,
    neon: Annotated[
        bool,
        typer.Option("--neon", help="C with the vectors of 64-bit Arm processors: faster, larger.",
                     show_default=False),
    ] = False,
    avx2: Annotated[
        bool,
        typer.Option("--avx2", help="C with the vectors of x86 processors: faster, larger.",
                     show_default=False),
    ] = False,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="C with the same bits on every processor; slower without FMA.",
                     show_default=False),
    ] = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Write a model for other systems, with its preprocessing: raw rows in, predictions out.

    Example: chainrule export runs/houses-2026-01-31-1 --to onnx --out houses.onnx
    """
    from ..errors import ConfigError, unknown
    from ..utils.runs import model_file

    if to not in FORMATS:
        raise unknown("format", to, FORMATS, "--to")
    form = FORMATS[to]
    given = {"opset": opset, "name": name, "train": train or None, "learn": learn,
             "optimizer": optimizer, "batch": batch, "standardise": standardise, "ram": ram,
             "int8": int8, "test": test, "plain": plain or None, "neon": neon or None,
             "avx2": avx2 or None, "exact": exact or None}  # fmt: skip
    options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    for option in options:
        if option not in form.options:
            raise ConfigError(f"--{option} is not for --to {to}.",
                              expected=", ".join(f"--{one}" for one in form.options),
                              hint=f"Omit --{option}.")  # fmt: skip
    if not train and (only := [o for o in _LEARNING if o in options]):
        raise ConfigError(f"--{only[0]} is for models that go on learning.", hint="--train")
    if test is not None and int8 is None:
        raise ConfigError("--test is for predictions in 8 bits.", hint="--int8 DATA")
    chosen = [name for name in _PROCESSORS if options.pop(name, None)]
    if len(chosen) > 1:
        raise ConfigError("C is written for one kind of processor at a time.",
                          found=" ".join(f"--{name}" for name in chosen),
                          hint=f"Omit --{chosen[0]}.")  # fmt: skip
    if chosen:
        options["processor"] = chosen[0]
    if ram is not None:
        options["ram"] = _bytes(ram)
    if learn is not None:
        options["learn"] = [layer.strip() for layer in learn.split(",") if layer.strip()]
    file = model_file(model)
    called = file.parent.resolve().name if model.is_dir() else file.stem
    if out is None:
        out = Path(called + form.ending)
    if "name" in form.options and name is None:
        options["called"] = called
    if not out.parent.is_dir():
        raise ConfigError("There is no such folder.", where=str(out.parent),
                          hint=f"make it: mkdir -p {out.parent}")  # fmt: skip
    for sentence in form.write(file, out, options):
        note(sentence)
    show(f"The model is in {out}")


def _bytes(text: str) -> int:
    """A size such as 64k or 1M, in units of 1,024."""
    from ..errors import ConfigError

    found = re.fullmatch(r"(\d+)\s*([kKmM]?)(?:i?[bB])?", text.strip())
    if found is None or not int(found[1]):
        raise ConfigError("This is no size of memory.", expected="bytes, or such as 64k or 1M",
                          found=f"--ram {text}", hint="--ram 64k")  # fmt: skip
    return int(found[1]) * {"": 1, "k": 2**10, "m": 2**20}[found[2].lower()]
