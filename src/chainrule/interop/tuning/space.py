"""What a search may choose: options with a range or with a list of values."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ConfigError, DataError, unknown
from ...tasks.kinds import kind_named
from ...tasks.option_values import MisfitError, integer
from ...tasks.options import Declaration, declared

#: Options that say where the arithmetic is done.
MACHINE = ("backend", "threads", "device", "devices", "precision", "sharding", "exact")
#: Options that say what is learned, measured or paid, not how: trials would not be comparable.
_FIXED = {
    *("target", "test", "validation", "seed", "from_model", "freeze", "cv"),
    *MACHINE,
    *("minutes", "loss", "quantiles", "task", "weight", "balance", "kinds", "threshold_for"),
    *("missing", "encoding", "separator", "table", "horizon", "time", "series", "group", "known"),
    *(
        "split_by_group",
        "split_by_time",
        "features",
        "drop",
        "skip_bad",
        "class_folders",
        "patience",
    ),
}
#: Values of a range in a grid.
_GRID = 4


@dataclass(frozen=True)
class Parameter:
    """An option and what it may be.

    Attributes:
        name: the field of the options.
        choices: values, as they are typed; empty for a range.
        low: the least value of a range.
        high: the greatest one.
        log: whether its logarithm is even.
        step: between values of a range.
    """

    name: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None

    def to_json(self) -> Any:
        """As JSON data, to compare spaces."""
        return list(self.choices) or [self.low, self.high, self.log, self.step]

    def values(self) -> list[Any]:
        """Those of a grid."""
        if self.choices:
            return list(self.choices)
        if self.step is not None:
            count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
            return [self.low + i * self.step for i in range(count)]
        ends = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        even = [ends[0] + (ends[1] - ends[0]) * i / (_GRID - 1) for i in range(_GRID)]
        return [float(f"{math.exp(x) if self.log else x:.6g}") for x in even]


_RATE = Parameter("lr", low=5e-4, high=2e-2, log=True)
_DECAY = Parameter("weight_decay", low=1e-3, high=0.3, log=True)
_SIZES = ("64", "128", "128,128", "256,256", "512", "256,128,64")

_SPACES: dict[str, tuple[Parameter, ...]] = {
    "table": (
        _RATE, _DECAY, Parameter("hidden", _SIZES), Parameter("dropout", low=0.0, high=0.5),
        Parameter("activation", ("silu", "relu", "gelu", "tanh")),
        Parameter("norm", ("none", "layer", "batch")),
        Parameter("batch_size", ("32", "64", "128", "256", "512")),
    ),
    "text": (
        _RATE, _DECAY, Parameter("dropout", low=0.0, high=0.6),
        Parameter("vocabulary", ("2000", "5000", "10000", "20000")),
    ),
    "series": (
        _RATE, _DECAY, Parameter("dropout", low=0.0, high=0.5),
        Parameter("hidden", ("32", "64", "128", "128,128")),
    ),
    "images": (
        Parameter("lr", low=2e-4, high=1e-2, log=True), _DECAY,
        Parameter("dropout", low=0.0, high=0.5), Parameter("augment", ("none", "light", "full")),
        Parameter("batch_size", ("16", "32", "64")),
    ),
    "sequence-to-text": (
        Parameter("lr", low=3e-4, high=5e-3, log=True), _DECAY,
        Parameter("dropout", low=0.0, high=0.4),
        Parameter("hidden", ("128,128", "192,192,192", "256,256", "256,256,256")),
        Parameter("batch_size", ("32", "64", "128")),
    ),
    "audio": (
        Parameter("lr", low=2e-4, high=1e-2, log=True), _DECAY,
        Parameter("dropout", low=0.0, high=0.5), Parameter("augment", ("none", "light", "full")),
        Parameter("batch_size", ("16", "32", "64")),
    ),
}  # fmt: skip


def default_space(kind: str, given: Sequence[str] = ()) -> tuple[Parameter, ...]:
    """What is searched where nobody says it.

    Args:
        kind: of the data.
        given: fields that the user has set, which stay as they are.

    Example:
        >>> [parameter.name for parameter in default_space("series", ["lr"])]
        ['weight_decay', 'dropout', 'hidden']
    """
    known = declared(kind_named(kind).options)
    return tuple(p for p in _SPACES[kind] if p.name not in given and p.name in known)


def read_space(path: Path, kind: str) -> tuple[Parameter, ...]:
    """A space from a TOML file: a table for each option.

    Raises:
        DataError: the file cannot be read.
        ConfigError: it is not TOML, or names no option, or an empty range.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("The space is not valid TOML.", where=str(path), found=str(error),
                          hint="[lr]\nlow = 0.001\nhigh = 0.1\nlog = true") from None  # fmt: skip
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or str(error)
        raise DataError("The space cannot be read.", where=str(path), found=found) from None
    return space_of(content, kind, str(path))


def space_of(content: Mapping[str, Any], kind: str, where: str = "space") -> tuple[Parameter, ...]:
    """A space from a mapping: of option names to a list of values, or to low and high.

    Raises:
        ConfigError: an option is not known or cannot be searched, or there is nothing to choose.

    Example:
        >>> space_of({"lr": {"low": 0.001, "high": 0.1, "log": True}, "norm": ["none"]}, "table")[1]
        Parameter(name='norm', choices=('none',), low=0.0, high=0.0, log=False, step=None)
    """
    if not content:
        raise ConfigError("The space is empty.", where=where, expected="at least one option",
                          hint='dropout = { low = 0.0, high = 0.5 }')  # fmt: skip
    known = declared(kind_named(kind).options)
    by_name = {said.name or field.replace("_", "-"): field for field, said in known.items()}
    found = []
    for name, said in content.items():
        field = by_name.get(name.replace("_", "-"))
        place = f"{where}, {name}"
        if field is None:
            searched = [option for option, f in by_name.items() if f not in _FIXED]
            raise unknown(f"option of the kind {kind}", name, searched, where)
        if field in _FIXED:
            raise ConfigError(
                f"The option {name!r} cannot be searched.", where=place,
                expected="how is learned; this one says what is learned or measured",
                hint=f"set it for all trials: --{name}",
            )  # fmt: skip
        found.append(_parameter(field, said, known[field], place))
    return tuple(found)


def _parameter(field: str, said: Any, declaration: Declaration, where: str) -> Parameter:
    if isinstance(said, Mapping) and "choices" in said and len(said) == 1:
        said = said["choices"]
    if isinstance(said, list | tuple):
        if not said:
            raise ConfigError("There is nothing to choose.", where=where,
                              expected="at least one value", found="[]")  # fmt: skip
        choices = tuple(dict.fromkeys(_typed(value) for value in said))
        for choice in choices:
            read_value(field, choice, declaration, where)
        return Parameter(field, choices)
    if not isinstance(said, Mapping) or not {"low", "high"} <= said.keys() <= _KEYS:
        raise ConfigError("This is no range and no list of values.", where=where,
                          expected="[a, b, c], or { low = …, high = … } with log or step",
                          found=f"{said!r:.80}")  # fmt: skip
    return _range(field, said, declaration, where)


_KEYS = {"low", "high", "log", "step"}


def _range(field: str, said: Mapping[str, Any], declaration: Declaration, where: str) -> Parameter:
    low, high, step = said["low"], said["high"], said.get("step")
    numbers = [low, high] if step is None else [low, high, step]
    if any(isinstance(x, bool) or not isinstance(x, int | float) for x in numbers):
        raise ConfigError("The ends of a range are numbers.", where=where,
                          found=", ".join(map(repr, numbers)))  # fmt: skip
    log = bool(said.get("log", False))
    if not low < high or (step is not None and step <= 0):
        raise ConfigError("The range is empty.", where=where, expected="low below high",
                          found=f"low {low}, high {high}")  # fmt: skip
    if log and (low <= 0 or step is not None):
        raise ConfigError("A logarithmic range begins above 0, and has no step.", where=where,
                          found=f"low {low}, step {step}")  # fmt: skip
    if declaration.read is integer and step is None and not log:
        step = 1
    for end in (low, high):
        read_value(field, end, declaration, where)
    return Parameter(field, (), float(low), float(high), log, None if step is None else float(step))


def _typed(value: Any) -> str:
    """A value as it is typed: a list of layer sizes with commas."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_value(field: str, value: Any, declaration: Declaration, where: str) -> Any:
    """The value of an option, as its kind takes it.

    Raises:
        ConfigError: it does not fit.
    """
    try:
        return declaration.read(_untyped(value, declaration))
    except MisfitError as misfit:
        raise ConfigError(f"The option {field} cannot have this value.", where=where,
                          expected=str(misfit), found=str(value)) from None  # fmt: skip


def _untyped(value: Any, declaration: Declaration) -> Any:
    """Numbers and booleans, from text."""
    if declaration.read is integer:
        number = float(value) if isinstance(value, int | float) or _is_number(value) else value
        return int(number) if isinstance(number, float) and number == int(number) else number
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    if isinstance(value, str) and _is_number(value) and declaration.metavar not in ("128,64",):
        return (
            float(value) if declaration.read.__name__ in ("number", "fraction_or_file") else value
        )
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def options_with(options: Any, chosen: Mapping[str, Any]) -> Any:
    """Options with chosen values, which are typed.

    Raises:
        ConfigError: a value is invalid.
    """
    known = declared(type(options))
    read = {f: read_value(f, value, known[f], "the space") for f, value in chosen.items()}
    return dataclasses.replace(options, **read)
