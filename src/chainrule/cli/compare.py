"""``chainrule compare``: backpropagation beside searches without a derivative."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from . import display
from .console import note, say, show, show_json
from .error_handling import INTERRUPTED, Debug
from .options import OPTIONS, read_options, with_options

if TYPE_CHECKING:
    from ..evolve.comparison import Comparison, PolicyComparison, Shown

_PANEL = "The comparison"
#: Options of a training that mean something for one network of a table, trained by any method.
_KEPT = (
    "target", "kind", "features", "drop", "missing", "weight", "task", "test", "split-by-group",
    "split-by-time", "encoding", "separator", "sheet", "table", "hidden", "activation", "norm",
    "loss", "batch-size", "lr", "seed", "threads", "backend",
)  # fmt: skip
#: Those that mean something for a policy.
_OF_POLICIES = ("hidden", "activation", "lr", "seed", "backend")
_OPTIONS = {
    name: option for name, option in OPTIONS.items() if name in _KEPT and "table" in option.kinds
}


def _option(help: str, metavar: str) -> Any:
    return typer.Option(help=help, metavar=metavar, rich_help_panel=_PANEL, show_default=False)


@with_options(_OPTIONS)
def compare(
    ctx: typer.Context,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A table, as for chainrule train; or a built-in environment, such as CartPole-v1.",
            show_default=False,
        ),
    ],
    *,
    methods: Annotated[
        str | None,
        _option(
            "backprop, es, cma, ga, de, annealing, hill, random, with commas between; "
            "backprop,es,cma,ga,random by default. In an environment backprop is backprop/ppo; "
            "backprop/a2c, backprop/reinforce.",
            "NAMES",
        ),
    ] = None,
    budget: Annotated[
        str,
        _option(
            "Of each method: seconds (30, 2m), or forward passes over the training rows "
            "(5000evaluations), or episodes (5000episodes); 10 seconds by default.",
            "BUDGET",
        ),
    ] = "10s",
    seeds: Annotated[
        int, _option("How often, each time from other first weights; 1 by default.", "N")
    ] = 1,
    objective: Annotated[
        str,
        _option(
            "What searches minimise: loss (the default), or error, the fraction of rows in the "
            "wrong class, which has no derivative.",
            "NAME",
        ),
    ] = "loss",
    out: Annotated[
        Path | None,
        _option(
            "The page to write, with a picture (.svg) and the numbers (.json) beside it; "
            "comparison-DATA.html by default.",
            "FILE.html",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document.", rich_help_panel=_PANEL)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No notes.", rich_help_panel=_PANEL)
    ] = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Train one network by backpropagation and by searches without a derivative, side by side.

    Example: chainrule compare houses.csv --target price --methods backprop,es,ga --budget 20
    """
    from ..evolve.comparison import compare as compared
    from ..evolve.comparison import policies_shown
    from ..evolve.comparison import shown as comparison_shown

    typed = {name.rstrip("_").replace("_", "-"): value for name, value in ctx.params.items()}
    chosen = read_options(
        {n: v for n, v in typed.items() if n in _OPTIONS and v not in (None, [], ())}
    )
    tell = (lambda sentence: None) if quiet else note
    how: dict[str, Any] = {"budget": budget, "seeds": seeds, "say": tell}
    if methods is not None:
        how["methods"] = methods.split(",")
    in_environment = not Path(data).exists() and _is_environment(data)
    found: Comparison | PolicyComparison
    if in_environment:
        found = _in_environment(data, objective, chosen, how)
        shown = policies_shown(found)
    else:
        found = compared(data, objective=objective, **how, **chosen)
        shown = comparison_shown(found)
    page = out or Path(f"comparison-{Path(found.data).stem}.html")
    _written(found, shown, page)
    if as_json:
        show_json({**found.to_json(), "table": found.table(), "page": str(page)})
    else:
        _show(shown, page)
    if found.interrupted:
        raise typer.Exit(INTERRUPTED)


def _is_environment(name: str) -> bool:
    """Whether this names one, or nearly; others than the built-in ones are then refused by name."""
    from ..errors import unknown
    from ..rl.environments import ENVIRONMENTS
    from ..rl.making import GYMNASIUM

    nearly = unknown("environment", name, ENVIRONMENTS).hint is not None
    return name in ENVIRONMENTS or name.startswith(GYMNASIUM) or nearly


def _in_environment(
    name: str, objective: str, chosen: dict[str, Any], how: dict[str, Any]
) -> PolicyComparison:
    """Policies side by side."""
    from ..evolve.comparison import compare_policies

    others = [option for option in chosen if option not in _OF_POLICIES]
    others += ["objective"] if objective != "loss" else []
    if others:
        raise ConfigError(
            "In an environment these options mean nothing.",
            found=", ".join(f"--{option.replace('_', '-')}" for option in others),
            expected=", ".join(f"--{option}" for option in _OF_POLICIES),
        )
    return compare_policies(name, **how, **chosen)


def _written(found: Comparison | PolicyComparison, shown: Shown, page: Path) -> None:
    """The page, the picture and the numbers."""
    import json

    from ..drawing.picture import chart_picture
    from ..utils.files import write_atomically

    write_atomically(page, shown.page.encode(errors="replace"))
    write_atomically(page.with_suffix(".svg"), chart_picture(shown.picture).encode())
    numbers = json.dumps(found.to_json(), indent=1) + "\n"
    write_atomically(page.with_suffix(".json"), numbers.encode())


def _show(shown: Shown, page: Path) -> None:
    grid = display.table(*shown.titles)
    for row in shown.rows:
        grid.add_row(*row)
    show("", shown.said, "", grid, "")
    say(shown.told)
    show(f"The page is {page}, its picture {page.with_suffix('.svg')}.")
