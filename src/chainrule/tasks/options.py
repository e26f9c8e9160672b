"""What a user can say about the training on data of any kind; None means the program decides.

An option is a field of a frozen dataclass, declared by `option`: the command line, files of options
and the documentation have it from there. This module, and those of the kinds, load nothing that
takes time, so that help is there at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from ..errors import ConfigError, unknown
from .option_values import (
    column,
    flag,
    fraction_or_file,
    integer,
    missing_words,
    names,
    number,
    separator,
    switch,
    text,
)

#: What another training with the same options need not repeat.
_NOT_AGAIN = {
    *("from_model", "freeze", "test", "cv", "minutes"),
    *("device", "devices", "sharding"),  # those of another machine
}
#: The groups of options in help and documentation.
DATA, NETWORK, TRAINING = "The data", "The network", "The training"

T = TypeVar("T")


@dataclass(frozen=True)
class Declaration:
    """What is known of an option besides its type and default.

    Attributes:
        help: what it means, in a line.
        metavar: stands for its value.
        panel: the group that it belongs to.
        read: makes its value of what was typed or is in a file; see `option_values`.
        name: on the command line, if it is not that of the field.
        short: one letter for the command line.
    """

    help: str
    metavar: str
    panel: str
    read: Callable[[Any], Any]
    name: str = ""
    short: str = ""

    def typed(self, name: str) -> tuple[str, ...]:
        """What is typed for the option of this name, without its value: -- and the name.

        Example:
            >>> Declaration("", "", "", switch).typed("copy")
            ('--copy', '--no-copy')
        """
        names = (f"--{name}", f"--no-{name}") if self.read is switch else (f"--{name}",)
        return (*names, f"-{self.short}") if self.short else names


def option(
    default: Any,
    help: str,
    metavar: str,
    panel: str,
    read: Callable[[Any], Any],
    *,
    name: str = "",
    short: str = "",
) -> Any:
    """A field that is an option; see `Declaration`. Without a default (``...``) it is needed."""
    said = {"option": Declaration(help, metavar, panel, read, name, short)}
    if default is ...:
        return dataclasses.field(metadata=said)
    if default == {}:
        return dataclasses.field(default_factory=dict, metadata=said)
    return dataclasses.field(default=default, metadata=said)


def declared(options: type[Any]) -> dict[str, Declaration]:
    """The options of a kind, by field."""
    return {field.name: field.metadata["option"] for field in dataclasses.fields(options)}


def documented(options: type[T]) -> type[T]:
    """The class, with its options in its docstring."""
    fields = dataclasses.fields(options)  # type: ignore[arg-type]
    lines = [f"    {field.name}: {field.metadata['option'].help}" for field in fields]
    options.__doc__ = "\n".join([(options.__doc__ or "").rstrip(), "", "Attributes:", *lines])
    return options


@dataclass(frozen=True)
class ReadingOptions:
    """How files of rows are read; what is not said is found out."""

    encoding: str | None = option(
        None, "Encoding of text: utf-8, cp1251, shift_jis, …", "NAME", DATA, text
    )
    separator: str | None = option(
        None, "Between the fields of text: a character, tab, space or pipe.", "CHARACTER", DATA,
        separator,
    )  # fmt: skip
    table: str | None = option(
        None, "The sheet of a workbook, or the table of a database.", "NAME", DATA, text
    )
    missing: tuple[str, ...] | None = option(
        None,
        "Words that mean a missing value; '' says that NA, none, ? and the like are values.",
        "WORD,…",
        DATA,
        missing_words,
    )

    def __post_init__(self) -> None:
        if self.missing == ():  # none means so, which is something that was said
            object.__setattr__(self, "missing", ("",))

    @property
    def reading(self) -> Any:
        """As `chainrule.data.source.FileReading`."""
        from ..data.source import FileReading

        return FileReading(self.encoding, self.separator, self.table)


@dataclass(frozen=True)
class _TargetOption:
    """It comes first, as kinds that need it give it no default."""

    target: str | None = option(None, "The column to predict.", "COLUMN", DATA, text, short="t")


@documented
@dataclass(frozen=True)
class TrainingOptions(ReadingOptions, _TargetOption):
    """Options that all kinds of data share; those of a kind derive from it and add their own.

    Raises:
        ConfigError: an option has an invalid value.

    Example:
        >>> TrainingOptions(epochs=3, test=0.2).to_json()
        {'target': None, 'epochs': 3, 'test': 0.2}
    """

    target: str | None = option(None, "The column to predict.", "COLUMN", DATA, column, short="t")
    epochs: int | None = option(None, "Number of epochs, at most.", "N", TRAINING, integer)
    batch_size: int | None = option(None, "Examples in a batch.", "N", TRAINING, integer)
    optimizer: str = option("adamw", "Optimizer: adamw, adam, sgd, lion, …", "NAME", TRAINING, text)
    lr: float | None = option(None, "Learning rate; chosen by default.", "RATE", TRAINING, number)
    schedule: str | None = option(
        None, "Learning rate schedule: constant, cosine, one-cycle, …", "NAME", TRAINING, text
    )
    l1: float = option(0.0, "L1 penalty: weight of Σ|w| in the loss.", "X", TRAINING, number)
    l2: float = option(0.0, "L2 penalty: weight of Σw² in the loss.", "X", TRAINING, number)
    weight_decay: float | None = option(
        None, "Decoupled weight decay, of matrices only.", "X", TRAINING, number
    )
    clip: float | None = option(None, "Clip the gradient to this norm.", "X", TRAINING, number)
    dropout: float | None = option(
        None, "Fraction of hidden units set to 0 in a training step.", "FRACTION", NETWORK, number
    )
    validation: float | None = option(
        None, "Fraction of the rows in the validation set.", "FRACTION", DATA, number
    )
    test: float | str | None = option(
        None,
        "The test set: a fraction of the rows, or a file or folder.",
        "FRACTION|FILE",
        DATA,
        fraction_or_file,
    )
    minutes: float | None = option(
        None, "Be done in so many minutes, from reading to report; the best model is kept.", "M",
        TRAINING,
        number,
    )  # fmt: skip
    patience: int | None = option(
        None, "Validations without improvement before early stopping.", "N", TRAINING, integer
    )
    balance: bool = option(
        False, "Weight classes so that all count the same, however rare.", "", DATA, flag
    )
    seed: int = option(0, "The same seed gives the same model.", "N", TRAINING, integer)
    backend: str = option("auto", "Backend: auto, c, numpy or xla.", "NAME", TRAINING, text)
    device: str | None = option(
        None, "Device of the backend xla: cpu, gpu or tpu.", "NAME", TRAINING, text
    )
    devices: int | None = option(
        None, "Number of devices over which each batch is split.", "N", TRAINING, integer
    )
    precision: str | None = option(
        None,
        "Numbers that products multiply: float32 or bf16, with sums in float32.",
        "NAME",
        TRAINING,
        text,
    )
    sharding: str | None = option(
        None,
        "Weights on several devices: replicated, fsdp (spread over them) or tensor.",
        "NAME",
        TRAINING,
        text,
    )
    threads: int | None = option(
        None, "Number of threads of the native code; all by default.", "N", TRAINING, integer
    )
    exact: bool = option(
        False, "Train to the same bits on every processor; slower on those without FMA.", "",
        TRAINING,
        flag,
    )  # fmt: skip
    from_model: str | None = option(
        None,
        "Initialise from the weights of this model where they fit (transfer learning).",
        "MODEL",
        TRAINING,
        text,
        name="from",
    )
    freeze: tuple[str, ...] = option(
        (), "Layers of --from whose weights stay fixed.", "LAYER,…", TRAINING, names
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.test, str) and any((self.encoding, self.separator, self.table)):
            from ..data.source import with_reading

            object.__setattr__(self, "test", with_reading(self.test, self.reading))
        self._check_positive("epochs", "batch_size", "minutes", "patience", "clip", "threads",
                             "devices")  # fmt: skip
        for name in ("lr", "l1", "l2", "weight_decay", "seed"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise wrong(name, "0 or more", value)
        for name in ("validation", "test"):
            value = getattr(self, name)
            if isinstance(value, float) and not 0 < value < 1:
                raise wrong(name, "a fraction between 0 and 1, such as 0.1", value)
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise wrong("dropout", "from 0 up to but without 1", self.dropout)
        from ..engine.compile import BACKENDS
        from ..optim import OPTIMIZERS

        self._check_known(backend=BACKENDS, optimizer=tuple(OPTIMIZERS))
        if self.freeze and self.from_model is None:
            raise ConfigError(
                "Layers that begin at random must be learned.",
                found=f"freeze={','.join(self.freeze)}",
                hint="Say with --from which model's weights they are to keep.",
            )

    def _check_positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise wrong(name, "above 0", value)

    def _check_known(self, **known: tuple[str, ...]) -> None:
        for name, values in known.items():
            value = getattr(self, name)
            if value is not None and value not in values:
                raise unknown(name, value, values)

    def searched(self) -> Self:
        """As a trial of a search of options takes them: some examples are held out to compare."""
        return self

    def to_json(self) -> dict[str, Any]:
        """The options that were given, as JSON data."""
        fields = dataclasses.fields(self)
        given = {f.name: getattr(self, f.name) for f in fields}
        defaults = {f.name: f.default for f in fields}
        return {
            name: _plain(value)
            for name, value in given.items()
            if name == "target" or (value != defaults[name] and value not in ({}, ()))
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, whole: bool = False) -> Self:
        """The options that `to_json` told, without those that name other files or cost time.

        Args:
            content: JSON data.
            whole: those, too.

        Example:
            >>> TrainingOptions.from_json({"target": "price", "epochs": 3, "test": 0.2}).epochs
            3
        """
        known = {field.name for field in dataclasses.fields(cls)} - (set() if whole else _NOT_AGAIN)
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in content.items()
            if name in known
        }
        return cls(**given)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def wrong(name: str, expected: str, found: Any) -> ConfigError:
    """The error of an option with an invalid value."""
    return ConfigError(f"Invalid value for {name}.", expected=expected, found=str(found))
