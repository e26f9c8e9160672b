"""Models and functions written as C: the files beside one another in a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError, unknown
from ...nn import Module
from ...serialization import SavedModel, load, parse, to_bytes
from ...tasks import kind_of, load_predictor
from ...utils.files import folder_to_write_to, model_in, write_atomically
from ...utils.typing import Array
from .budget import check_ram
from .comparison import Comparison, Metrics, told
from .example import main_text, printed
from .functions import function_program
from .learning import Learning
from .models import model_program
from .names import check_prefix, identifier
from .processors import PROCESSORS, check_processor
from .program import Program
from .raw_inputs import Interface
from .readme import readme
from .report import Report, report
from .text import header, lower, source


def _nothing(*given: Any) -> dict[str, bytes]:
    return {}


def _library(files: dict[str, str], program: Program, *rest: Any) -> dict[str, bytes]:
    from .library import build_library

    return build_library(files, program.prefix, PROCESSORS[program.processor].flags)


def _wasm(files: dict[str, str], program: Program, *rest: Any) -> dict[str, bytes]:
    from .wasm import build_wasm

    if program.processor != "plain":
        raise ConfigError(
            "WebAssembly runs on any processor.",
            expected="--plain",
            found=f"--{program.processor}",
            hint=f"Omit --{program.processor}, or write C or a library: --to c, --to lib.",
        )
    return build_wasm(files, program, *rest)


#: What is built besides, by the word of ``--to``: ``(files, program, interface, classes)`` → files.
BUILDS: Mapping[str, Callable[..., dict[str, bytes]]] = {
    "c": _nothing,
    "lib": _library,
    "wasm": _wasm,
}


#: What the files beside are, by their ending.
_ABOUT = {
    ".so": "the functions of the header as a shared library, for any processor of this kind",
    ".dylib": "the functions of the header as a shared library, for any processor of this kind",
    ".wasm": "the functions as WebAssembly",
    ".mjs": "the module around it: `import { load } from` it, in browsers and Node",
    ".json": "what makes tokens of texts",
}


def export_c(
    what: Any,
    *example: Any,
    out: str | os.PathLike[str],
    name: str | None = None,
    gradients: bool = False,
    train: bool = False,
    learn: Sequence[str] = ("all",),
    optimizer: str = "sgd",
    batch: int = 1,
    ram: int | None = None,
    to: str = "c",
    int8: Any = None,
    test: Any = None,
    standardise: float | None = None,
    processor: str = "plain",
    exact: bool = False,
) -> Report:
    """Write a function or a model as plain C99, for any device and any program.

    A folder gets ``NAME.h`` and ``NAME.c``, which allocate nothing and need no more of the C
    library than the README names, an example ``main.c``, a README and a report. A function becomes
    ``NAME_run``, and ``NAME_gradients`` if these are asked for; variables that it assigns, such as
    weights in a step of training of your own, are kept in a state that the caller holds. A model
    becomes ``NAME_predict`` on raw rows, with the preprocessing inside, and with ``train`` also
    ``NAME_learn``.

    Args:
        what: a function of arrays; or a run folder, a model file, a loaded model, or a module.
        example: the arguments of a call of the function (of which the types matter), or of the
            module, with the rows on the first axis.
        out: the folder; it is made if need be.
        name: what all names in C begin with; ``model`` by default, or the function's name.
        gradients: of a function that gives one number: with respect to its float arguments, too.
        train: of a model: whether it goes on learning.
        learn: which layers learn: parts of the paths of arrays, "last", or "all".
        optimizer: "sgd", "momentum" (0.9) or "adam".
        batch: rows of a step of training.
        ram: bytes that arena and state may take together.
        to: "c"; "lib" builds a shared library beside the files, "wasm" a WebAssembly module.
        int8: of a model: rows as its ``predict`` takes them (an array, or a tuple of arguments), by
            which predictions in 8 bits are calibrated; weights then take a quarter of the flash.
        test: of a model of `chainrule train`, with ``int8``: data whose target is known (a file, a
            folder, a data frame, as its ``evaluate`` takes it); the report then has the metrics in
            8 bits beside those in floating point.
        standardise: with ``train``: the fraction, such as 0.01, by which each step moves the mean
            and standard deviation of the inputs towards those of its rows.
        processor: "plain" for any; "avx2" or "neon" for processors with these vectors, by gcc or
            clang: more code and working memory, and several times faster.
        exact: results have the same bits on every processor: products and sums are fused (a·b + c,
            rounded once) where there is no instruction for it, too, which takes longer there.

    Returns:
        What it costs: flash, RAM, stack, operations, by kernel.

    Raises:
        UnsupportedError: an operation has no C; it is named.
        ConfigError: the name is none of C, an option does not fit, or the RAM is too small.

    Example:
        >>> import tempfile, chainrule as cr
        >>> def energy(x, v):
        ...     return 0.5 * cr.sum(v * v) + cr.sum(1.0 - cr.cos(x))
        >>> x = cr.tensor([0.1, 0.2])
        >>> found = cr.export_c(energy, x, x, out=tempfile.mkdtemp(), gradients=True)
        >>> found.state, sorted(found.operations)
        (0, ['gradients', 'run'])
    """
    if to not in BUILDS:
        raise unknown("form", to, BUILDS)
    check_processor(processor)
    if standardise is not None and not train:
        raise ConfigError("Only what learns has running statistics.", found="standardise=",
                          hint="train=True")  # fmt: skip
    if test is not None and int8 is None:
        raise ConfigError("A test set is for predictions in 8 bits.", found="test=",
                          hint="int8=rows")  # fmt: skip
    learning = Learning(tuple(learn), optimizer, batch, standardise) if train else None
    saved = _model(what, example)
    if saved is None:
        if train:
            raise ConfigError(
                "Only a model can be exported with train=True.",
                found=getattr(what, "__name__", type(what).__name__),
                hint="A function may assign variables itself: export the step of a training.",
            )
        called = identifier(getattr(what, "__name__", "model"), "model")
        prefix = called if name is None else name
        program = function_program(what, example, prefix, gradients)
        program.processor, program.exact = processor, exact
        return write(program, None, (), Path(out), to, ram)
    if gradients:
        raise ConfigError("A model has no gradients in C; it may learn there.",
                          hint="train=True")  # fmt: skip
    predictor = _predictor(what) if test is not None else None
    return write_model(
        saved, "model" if name is None else name, Path(out), to, learning, ram, _rows(saved, int8),
        None if predictor is None else Comparison(predictor, test), processor, exact,
    )  # fmt: skip


def export_model(
    model: Path, out: Path, to: str, *, name: str | None = None, called: str = "model",
    train: bool = False, ram: int | None = None, int8: Path | None = None,
    test: Path | None = None, processor: str = "plain", exact: bool = False, **learning: Any,
) -> list[str]:  # fmt: skip
    """Write a model file as C, for the command line: what has to be known, as sentences.

    Args:
        model: the file.
        out: the folder.
        to: one of `BUILDS`.
        name: what all names in C begin with.
        called: from which the name is made if there is none.
        train: whether it goes on learning.
        ram: bytes that arena and state may take together.
        int8: data by which predictions in 8 bits are calibrated.
        test: data whose target is known, on which these are compared with floating point.
        processor: one of `processors.PROCESSORS`.
        exact: as of `export_c`.
        learning: ``learn``, ``optimizer``, ``batch`` and ``standardise``, as of `export_c`.
    """
    name = check_prefix(identifier(called, "model").lower() if name is None else name)
    layers = tuple(learning.pop("learn", ("all",)))
    step = Learning(layers=layers, **learning) if train else None
    saved, rows, comparison = load(model), None, None
    if int8 is not None:
        predictor = load_predictor(model)
        rows = _rows_of_data(predictor, int8)
        if test is not None:
            comparison = Comparison(predictor, str(test))
    found = write_model(saved, name, out, to, step, ram, rows, comparison, processor, exact)
    memory = f"{found.arena:,} bytes of RAM" + f" and {found.state:,} of state" * bool(found.state)
    return [
        f"{name}.h and {name}.c: {found.constants:,} bytes of constants, {memory}; an example and "
        "how to build it are in README.md",
        *([] if rows is None else [found.in_8_bits]),
    ]


def _rows(saved: SavedModel, given: Any) -> list[Array] | None:
    """Rows for calibration, as the graph takes them."""
    if given is None:
        return None
    with saved.inputs_seen() as seen:
        saved.predict(*(given if isinstance(given, tuple) else (given,)))
    return seen[0]


def _predictor(what: Any) -> Any:
    """What evaluates a model of `chainrule train`."""
    if isinstance(what, str | os.PathLike):
        return load_predictor(what)
    if hasattr(what, "evaluate"):
        return what
    raise ConfigError(
        "Only a model that was made by `chainrule train` can be tested here.",
        found=f"test= with {type(what).__name__}",
        hint="Give its run folder, or omit test=.",
    )


def _rows_of_data(predictor: Any, data: Path) -> list[Array]:
    """Rows of raw data, as the predictor of their kind encodes them."""
    saved = getattr(predictor, "saved", None)
    if not isinstance(saved, SavedModel):
        raise ConfigError("A model of this kind cannot be calibrated.", hint="Omit --int8.")
    with saved.inputs_seen() as seen:
        predictor.predict(str(data))
    return [np.concatenate(parts) for parts in zip(*seen, strict=True)]


def write_model(
    saved: SavedModel, name: str, out: Path, to: str, learning: Learning | None = None,
    ram: int | None = None, calibration: Sequence[Array] | None = None,
    comparison: Comparison | None = None, processor: str = "plain", exact: bool = False,
) -> Report:  # fmt: skip
    """Write a saved model; the report of what it costs."""
    program, made = model_program(saved, name, learning, calibration)
    program.processor, program.exact = check_processor(processor), exact
    metrics = None
    if comparison is not None and made.simulated is not None:
        metrics = comparison.metrics(made.simulated)
        made.notes.append(told(metrics, comparison.said))
    if ram is not None:
        check_ram(program, ram, saved, name, learning)
    beside = {}
    if saved.schema is not None and kind_of(saved.schema, "the model") == "text":
        schema = saved.schema
        beside["tokenizer.json"] = json.dumps(
            json.loads(schema) if isinstance(schema, str) else schema, ensure_ascii=False, indent=1
        )
    classes = [str(name) for name in saved.classes or ()]
    shown = classes if saved.output.size == len(classes) else []
    return write(program, made, shown, out, to, None, beside, metrics)


def write(
    program: Program, made: Interface | None, classes: Sequence[str], out: Path, to: str,
    ram: int | None = None, beside: dict[str, str] | None = None, metrics: Metrics | None = None,
) -> Report:  # fmt: skip
    """Write the files of a program."""
    lowered = lower(program)
    if ram is not None:
        check_ram(program, ram)
    prefix = program.prefix
    files = {f"{prefix}.h": header(program, lowered), f"{prefix}.c": source(program, lowered)}
    in_8_bits = " ".join(note for note in program.notes if note.startswith("In 8 bits"))
    found = replace(report(program, lowered, files), in_8_bits=in_8_bits, metrics=metrics)
    built = BUILDS[to](files, program, made, classes)
    files["main.c"] = main_text(program, made, classes)
    extra = [f"`{name}`: {_ABOUT[Path(name).suffix]}." for name in (*built, *(beside or ()))]
    extra.append(f"`{prefix}_report.json`: what it costs, as data.")
    files["README.md"] = readme(program, found, printed(program, made, classes), extra)
    files[f"{prefix}_report.json"] = json.dumps(found.to_json(), indent=1)
    folder_to_write_to(out)
    texts = {name: text.encode() for name, text in (files | (beside or {})).items()}
    for name, content in (texts | built).items():
        write_atomically(out / name, content)
    return found


def _model(what: Any, example: Sequence[Any]) -> SavedModel | None:
    """The saved model that is meant; None of a function."""
    if isinstance(what, Module):
        if not example:
            raise ConfigError(
                "A module needs an example of its inputs, to be written as C.",
                expected="arrays with the rows on the first axis",
                hint="cr.export_c(module, x[:2], out=folder)",
            )
        return parse(to_bytes(what, example))
    if isinstance(what, str | os.PathLike):
        return load(model_in(what))
    found = getattr(what, "saved", what)
    if isinstance(found, SavedModel):
        return found
    if not isinstance(what, Callable):  # type: ignore[arg-type]
        raise ConfigError("This cannot be written as C.",
                          expected="a function, a run folder, a model file, a model or a module",
                          found=type(what).__name__)  # fmt: skip
    return None
