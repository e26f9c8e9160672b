"""The commands of the program: each is imported, and its options gathered, when it is asked for.

All of them take as long as reading a small table does.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from .error_handling import reported

#: In the order of the help; each is a function in the module of the same name.
NAMES = (
    *("train", "predict", "evaluate", "doctor", "explain", "update", "label-next"),
    *("generate", "translate", "answer", "transcribe", "export", "runs", "report", "summary"),
    *("cache", "example", "serve", "tune", "compare", "play", "learn", "exercise", "grade"),
)


class _Lean:
    """Part of a command: values are converted only where there is something to convert.

    Typer may make a converter for each option, given or not, with a library that takes longer to
    import than most commands to run. What is not given, and text, stays as it is.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments."""
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
            if "process_value" not in vars(parameter):
                usual = parameter.process_value
                parameter.process_value = functools.partial(_processed, parameter, usual)
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        return rest


class _Command(_Lean, TyperCommand):
    """A command of the program."""


class Commands(_Lean, TyperGroup):
    """The program, whose commands are made when they are needed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _WhenAsked()


class _WhenAsked(MutableMapping[str, Any]):
    """Commands by name."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            if name not in NAMES:
                raise KeyError(name)
            self._made[name] = _command(name)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("The commands of the program stay.")

    def __iter__(self) -> Iterator[str]:
        return iter((*NAMES, *(name for name in self._made if name not in NAMES)))

    def __len__(self) -> int:
        return len(list(iter(self)))


def _command(name: str) -> Any:
    function = name.replace("-", "_")
    module = importlib.import_module(f".{function}", __package__)
    alone = typer.Typer(
        rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False
    )
    alone.command(cls=_Command)(reported(getattr(module, function)))
    return typer.main.get_command(alone)


def _processed(parameter: Any, usual: Callable[[Any, Any], Any], context: Any, value: Any) -> Any:
    several = parameter.nargs == -1 or parameter.multiple
    if value is None and not parameter.required:
        value = () if several else None
    elif several or not isinstance(value, str) or not _is_text(parameter):
        return usual(context, value)
    return value if parameter.callback is None else parameter.callback(context, parameter, value)


def _is_text(parameter: Any) -> bool:
    """Whether its value is a text, and not what some function makes of it."""
    described = getattr(parameter, "type_descriptor", None)  # of newer versions of Typer
    if described is None:
        return False
    return described.annotation is str and described.parameter_info.parser is None
