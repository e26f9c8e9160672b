"""``chainrule train``: from data of any kind to a model in a run folder."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from . import display
from .console import indented, note, say, show, show_json, warn
from .error_handling import Debug
from .outcome import finish, keep, need_an_epoch, show_use

if TYPE_CHECKING:
    from ..tasks import Result, TrainingOptions
    from ..utils.runs import Run

_DATA, _NETWORK, _TRAINING = "The data", "The network", "The training"
_OUTPUT = "The output"


def _option(panel: str, description: str, *names: str, metavar: str | None = None) -> Any:
    return typer.Option(
        *names, help=description, metavar=metavar, rich_help_panel=panel, show_default=False
    )


def train(
    ctx: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A table: CSV, TSV, Parquet, JSON lines, compressed too; - for standard input. "
            "Or a folder of images or sounds, with a folder for each class.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None, _option(_DATA, "The column to predict.", "--target", "-t", metavar="COLUMN")
    ] = None,
    features: Annotated[
        list[str] | None, _option(_DATA, "Columns to use; all others by default.", metavar="A,B,…")
    ] = None,
    drop: Annotated[
        list[str] | None, _option(_DATA, "Columns to leave out.", metavar="A,B,…")
    ] = None,
    kind: Annotated[
        list[str] | None,
        _option(
            _DATA,
            "What the data are (table, images, …) or what a column is (numeric, boolean, category "
            "or date), where the program would guess wrong.",
            metavar="KIND|COLUMN=KIND",
        ),
    ] = None,
    test: Annotated[
        str | None,
        _option(
            _DATA,
            "The test set: a fraction of the rows, or a file or folder.",
            metavar="FRACTION|FILE",
        ),
    ] = None,
    validation: Annotated[
        float | None,
        _option(
            _DATA,
            "Fraction of the rows in the validation set.",
            metavar="FRACTION",
        ),
    ] = None,
    cv: Annotated[int | None, _option(_DATA, "Cross-validation with K folds.", metavar="K")] = None,
    balance: Annotated[
        bool | None,
        _option(_DATA, "Weight classes so that all count the same, however rare.", "--balance"),
    ] = None,
    time: Annotated[
        str | None, _option(_DATA, "The column of the times of a series.", metavar="COLUMN")
    ] = None,
    group: Annotated[
        str | None,
        _option(
            _DATA,
            "The column that says which sequence a row belongs to, to classify sequences.",
            metavar="COLUMN",
        ),
    ] = None,
    horizon: Annotated[
        int | None, _option(_DATA, "Number of steps to forecast.", metavar="H")
    ] = None,
    window: Annotated[
        int | None, _option(_DATA, "Number of past steps that a forecast sees.", metavar="W")
    ] = None,
    season: Annotated[
        int | None, _option(_DATA, "Number of steps in a season; detected by default.", metavar="N")
    ] = None,
    encoding: Annotated[
        str | None,
        _option(_DATA, "Encoding of text files; UTF-8 by default.", metavar="NAME"),
    ] = None,
    model: Annotated[
        str | None,
        _option(
            _NETWORK,
            "For texts: bag, lstm, transformer, tcn or gpt; for series: linear, lstm or tcn; for "
            "images: lenet, resnet, mobilenet or vgg; for sounds: cnn or resnet.",
            metavar="NAME",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        _option(
            _DATA,
            "Augmentation of training images or sounds: none, light, full, or names.",
            metavar="NAME,…",
        ),
    ] = None,
    size: Annotated[
        str | None, _option(_DATA, "Pixels that images are resized to.", metavar="N|HxW")
    ] = None,
    sample_rate: Annotated[
        int | None, _option(_DATA, "Sample rate that sounds are resampled to.", metavar="N")
    ] = None,
    seconds: Annotated[
        float | None, _option(_DATA, "Length that sounds are padded or cropped to.", metavar="X")
    ] = None,
    skip_bad: Annotated[
        bool | None,
        _option(_DATA, "Leave out files that cannot be read, and list them.", "--skip-bad"),
    ] = None,
    tokenizer: Annotated[
        str | None, _option(_NETWORK, "For texts: character, word or bpe.", metavar="NAME")
    ] = None,
    vocabulary: Annotated[
        int | None, _option(_NETWORK, "Size of the vocabulary.", metavar="N")
    ] = None,
    context: Annotated[
        int | None,
        _option(_NETWORK, "Number of tokens that the network sees at once.", metavar="N"),
    ] = None,
    hidden: Annotated[
        str | None,
        _option(_NETWORK, "Sizes of the hidden layers, or none.", metavar="128,64"),
    ] = None,
    activation: Annotated[
        str | None, _option(_NETWORK, "relu, gelu, silu, tanh, …", metavar="NAME")
    ] = None,
    dropout: Annotated[
        float | None,
        _option(
            _NETWORK, "Fraction of hidden units set to 0 in a training step.", metavar="FRACTION"
        ),
    ] = None,
    norm: Annotated[
        str | None,
        _option(_NETWORK, "Normalisation: none, batch or layer.", metavar="NAME"),
    ] = None,
    members: Annotated[
        int | None,
        _option(
            _NETWORK,
            "Size of the ensemble: networks that are trained together and averaged.",
            metavar="N",
        ),
    ] = None,
    epochs: Annotated[
        int | None, _option(_TRAINING, "Number of epochs, at most.", metavar="N")
    ] = None,
    batch_size: Annotated[int | None, _option(_TRAINING, "Rows in a batch.", metavar="N")] = None,
    optimizer: Annotated[
        str | None, _option(_TRAINING, "adamw, adam, sgd, lion, …", metavar="NAME")
    ] = None,
    lr: Annotated[
        float | None, _option(_TRAINING, "Learning rate; chosen by default.", metavar="RATE")
    ] = None,
    schedule: Annotated[
        str | None,
        _option(
            _TRAINING, "Learning rate schedule: constant, cosine, one-cycle, …", metavar="NAME"
        ),
    ] = None,
    loss: Annotated[
        str | None,
        _option(_TRAINING, "mse, mae, huber, cross_entropy, …", metavar="NAME"),
    ] = None,
    l1: Annotated[
        float | None, _option(_TRAINING, "L1 penalty: weight of Σ|w| in the loss.", metavar="X")
    ] = None,
    l2: Annotated[
        float | None, _option(_TRAINING, "L2 penalty: weight of Σw² in the loss.", metavar="X")
    ] = None,
    weight_decay: Annotated[
        float | None,
        _option(_TRAINING, "Decoupled weight decay.", metavar="X"),
    ] = None,
    clip: Annotated[
        float | None, _option(_TRAINING, "Clip the gradient to this norm.", metavar="X")
    ] = None,
    patience: Annotated[
        int | None,
        _option(_TRAINING, "Epochs without improvement before early stopping.", metavar="N"),
    ] = None,
    seed: Annotated[
        int | None, _option(_TRAINING, "The same seed gives the same model.", metavar="N")
    ] = None,
    backend: Annotated[
        str | None,
        _option(_TRAINING, "Backend: auto, c or numpy.", metavar="NAME"),
    ] = None,
    threads: Annotated[
        int | None,
        _option(_TRAINING, "Number of threads of the native code; all by default.", metavar="N"),
    ] = None,
    from_: Annotated[
        str | None,
        _option(
            _TRAINING,
            "Initialise from the weights of this model where they fit (transfer learning).",
            "--from",
            metavar="MODEL",
        ),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        _option(_TRAINING, "Layers of --from whose weights stay fixed.", metavar="LAYER,…"),
    ] = None,
    config: Annotated[
        Path | None,
        _option(_OUTPUT, "A file of options; the command line wins.", metavar="FILE.toml"),
    ] = None,
    out: Annotated[
        str | None,
        _option(_OUTPUT, "Run folder; runs/DATA-DATE-N by default.", metavar="FOLDER"),
    ] = None,
    force: Annotated[
        bool, _option(_OUTPUT, "Replace the run that is in the folder.", "--force")
    ] = False,
    quiet: Annotated[
        bool, _option(_OUTPUT, "Only the report, no progress and notes.", "--quiet", "-q")
    ] = False,
    show_c: Annotated[
        bool, _option(_OUTPUT, "The C program of a training step, too.", "--show-c")
    ] = False,
    as_json: Annotated[
        bool, _option(_OUTPUT, "The report as one JSON document.", "--json")
    ] = False,
    debug: Debug = False,
) -> None:
    """Train a network on data, and report how well it does on a part that it has not seen.

    Example: chainrule train houses.csv --target price
    """
    given = _given(ctx, config)
    source, folder = given.pop("data", None), given.pop("out", None)
    if source is None:
        raise ConfigError(
            "Which data are to be learned from?",
            expected="a file or a folder",
            hint="chainrule train houses.csv --target price",
        )

    from ..utils.files import MODEL
    from ..utils.runs import default_folder, reserved

    what, options = _understood(source, given)
    if options.lr == 0:
        warn("With a learning rate of 0 nothing is learned; omit --lr to have one chosen.")
    with reserved(Path(folder) if folder else default_folder(source), replace=force) as place:
        result = _trained(what, source, options, quiet)
        run, problem = keep(what, result, options.to_json(), place)
    if as_json:
        show_json({"run": str(run.folder), "model": str(run.folder / MODEL), **run.report})
    else:
        if show_c:
            show(result.source)
        _show_report(run)
    finish(result, problem)


def _given(ctx: typer.Context, config: Path | None) -> dict[str, Any]:
    """The options by field: those of the file, and over them those of the command line."""
    from .options import OPTIONS, read_config, read_options

    known = {*OPTIONS, "data", "out"}
    # An underscore at the end is none of the option's: `from` is a word of Python.
    typed = {name.rstrip("_").replace("_", "-"): value for name, value in ctx.params.items()}
    typed = {
        name: value
        for name, value in typed.items()
        if name in known and value not in (None, [], ())
    }
    return (read_config(config) if config else {}) | read_options(typed)


def _understood(source: str, given: dict[str, Any]) -> tuple[str, TrainingOptions]:
    """The kind of the data, and the options as that kind takes them."""
    from ..tasks import module_of, recognise
    from .options import DATA, foreign

    columns = dict(given.get("kinds", {}))
    named = columns.pop(DATA, None)
    kind = named or recognise(source, given.get("target"), given)
    given = {name: value for name, value in given.items() if name != "kinds"}
    if columns:
        given["kinds"] = columns
    fields = dataclasses.fields(module_of(kind).Options)
    if strange := [name for name in given if name not in {field.name for field in fields}]:
        raise foreign(strange, kind, [field.name for field in fields])
    needed = {field.name for field in fields if field.default is dataclasses.MISSING}
    if "target" in needed and "target" not in given:
        raise _without_target(source)
    return kind, module_of(kind).Options(**given)


def _without_target(source: str) -> ConfigError:
    """The target is still to be said, with the columns to choose from."""
    from ..data import read_table

    columns = read_table(source).columns
    return ConfigError(
        "Which column is to be predicted?",
        where=source,
        expected=f"--target and one of {', '.join(columns[:20])}{', …' * (len(columns) > 20)}",
        hint=f"chainrule train {shlex.quote(source)} --target COLUMN",
    )


def _trained(kind: str, source: str, options: TrainingOptions, quiet: bool) -> Result:
    """Train, and tell what is going on unless the user wants quiet."""
    from ..tasks import module_of

    def tell(schema: Any) -> None:
        say("", display.understood(schema), "")
        for sentence in schema.notes:
            warn(sentence)

    if quiet:
        result: Result = module_of(kind).train(source, options, progress=False)
    else:
        result = module_of(kind).train(source, options, say=note, on_schema=tell)
    need_an_epoch(result)
    return result


def _show_report(run: Run) -> None:
    content = run.report
    show("", display.report_title(content), "", indented(display.report(content)), "")
    if content.get("verdict"):
        show(content["verdict"])
    show(display.training_line(content))
    show(f"The model is in {run.folder}. To use it:")
    show_use(run)
