"""Options of `chainrule train`: gathered from the kinds of data; read from a shell or a file."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ..errors import ConfigError, DataError
from ..tasks.kinds import KINDS
from ..tasks.option_values import TYPED, MisfitError, switch, text
from ..tasks.options import DATA, NETWORK, TRAINING, Declaration, declared

Command = TypeVar("Command", bound=Callable[..., None])


@dataclass(frozen=True)
class Option:
    """An option of the command line.

    Attributes:
        field: of the options of a kind that it sets.
        first: its declaration, in the first kind that has it.
        helps: what it means, in each kind that says something of its own.
        kinds: that have it.
    """

    field: str
    first: Declaration
    helps: list[str] = dataclasses.field(default_factory=list)
    kinds: list[str] = dataclasses.field(default_factory=list)

    @property
    def help(self) -> str:
        """What it means."""
        if len(self.helps) == 1:
            return self.helps[0]
        first, *others = self.helps
        return (
            "; ".join([first.rstrip("."), *(h[0].lower() + h[1:].rstrip(".") for h in others)])
            + "."
        )


def gathered(declarations: Mapping[str, type]) -> dict[str, Option]:
    """By the name on the command line and in a file, without the dashes in front."""
    found: dict[str, Option] = {}
    for kind, options in declarations.items():
        for name, said in declared(options).items():
            known = found.setdefault(said.name or name.replace("_", "-"), Option(name, said))
            known.kinds.append(kind)
            if said.help not in known.helps:
                known.helps.append(said.help)
    return found


OPTIONS = gathered({kind.name: kind.options for kind in KINDS.values()})
#: Options that are no options of the training itself.
_PLACES = ("data", "out")


def with_options(options: Mapping[str, Option]) -> Callable[[Command], Command]:
    """A command whose ``**given`` stands for these options, which come after two of its own."""
    panels = ["", DATA, NETWORK, TRAINING]
    in_order = sorted(options.items(), key=lambda item: panels.index(item[1].first.panel))
    ours = [_parameter(name, known) for name, known in in_order]

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        parameters = [*own[:2], *ours, *own[2:]]
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def _parameter(name: str, known: Option) -> inspect.Parameter:
    said = known.first
    names = said.typed(name)
    if said.read is switch:
        names = ("/".join(names),)
    declaration = typer.Option(
        *names,
        help=known.help,
        metavar=said.metavar or None,
        rich_help_panel=said.panel or None,
        show_default=False,
    )
    # An underscore at the end is none of the option's: `from` is a word of Python.
    identifier = "from_" if name == "from" else name.replace("-", "_")
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    typed: Any = TYPED[said.read]
    annotation = Annotated[typed | None, declaration]
    return inspect.Parameter(identifier, kind, default=None, annotation=annotation)


def read_options(given: Mapping[str, Any], where: str = "the command line") -> dict[str, Any]:
    """Values by field, from values by option.

    Raises:
        ConfigError: an option that does not exist, or a value that it does not take.
    """
    values = {}
    for name, value in given.items():
        known = name.replace("_", "-")
        if known not in OPTIONS and known not in _PLACES:
            raise _unknown(name, [*OPTIONS, *_PLACES], where)
        try:
            if known in _PLACES:
                values[known] = text(value)
            else:
                values[OPTIONS[known].field] = OPTIONS[known].first.read(value)
        except MisfitError as misfit:
            raise ConfigError(
                f"The option {name} cannot be understood.",
                where=where,
                expected=str(misfit),
                found=", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value),
            ) from None
    return values


def read_config(path: Path) -> dict[str, Any]:
    """Values by field, from a TOML file of options.

    Raises:
        DataError: the file cannot be read.
        ConfigError: it is not TOML, or holds an option that does not exist.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            "The file of options is not valid TOML.",
            where=str(path),
            found=str(error),
            hint='texts need quotes: activation = "relu"',
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or str(error)
        raise DataError(
            "The file of options cannot be read.", where=str(path), found=found
        ) from None
    return read_options(content, str(path))


def foreign(fields: Iterable[str], kind: str) -> ConfigError:
    """The error of options, by field, that a kind of data does not have."""
    names_of = {option.field: name for name, option in OPTIONS.items()}
    wrong = [f"--{names_of[field]}" for field in fields]
    having = sorted(name for name, option in OPTIONS.items() if kind in option.kinds)
    return ConfigError(
        f"Data of the kind {kind} have no {' and no '.join(wrong)}.",
        expected=f"some of {', '.join(having)}",
        found=", ".join(wrong),
        hint=f"Omit it, or say with --kind what the data are if {kind} is wrong.",
    )


def _unknown(name: str, known: list[str], where: str) -> ConfigError:
    near = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=2)
    return ConfigError(
        f"There is no option {name!r}.",
        where=where,
        expected=f"some of {', '.join(known)}",
        hint=f"did you mean {' or '.join(near)}?" if near else None,
    )
