"""``chainrule tune``: a search of options, and a model with the best ones."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from ..tasks import recognise
from ..tasks.kinds import kind_named
from ..tasks.option_values import WHOLE
from . import display
from .console import indented, note, say, show, show_json
from .error_handling import INTERRUPTED, Debug
from .options import OPTIONS, read_options, with_options
from .outcome import finish, keep, need_an_epoch, show_use

_SEARCH = "The search"
#: Options of a training that a search has no use for.
_WITHOUT = ("cv", "minutes", "from", "freeze")
_OPTIONS = {name: option for name, option in OPTIONS.items() if name not in _WITHOUT}
#: Trials that are shown.
_SHOWN = 10


def _option(help: str, metavar: str) -> Any:
    return typer.Option(help=help, metavar=metavar, rich_help_panel=_SEARCH, show_default=False)


@with_options(_OPTIONS)
def tune(
    ctx: typer.Context,
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="As for chainrule train.", show_default=False)
    ],
    *,
    trials: Annotated[
        int | None, _option("Trials in all; 30 by default, all of a grid.", "N")
    ] = None,
    minutes: Annotated[
        float | None, _option("Time for the search, without the last training.", "M")
    ] = None,
    search: Annotated[str, _option("bayes (the default), random or grid.", "NAME")] = "bayes",
    space: Annotated[Path | None, _option("What is searched: a TOML file.", "FILE.toml")] = None,
    jobs: Annotated[int, _option("Processes that search at the same time.", "N")] = 1,
    storage: Annotated[
        str | None,
        _option("A file or the URL of a database, in which the search is kept.", "FILE|URL"),
    ] = None,
    out: Annotated[
        str | None, _option("Run folder of the best model; runs/DATA-DATE-N by default.", "FOLDER")
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace the run in that folder.", rich_help_panel=_SEARCH),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document.", rich_help_panel=_SEARCH)
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="No trials and notes.", rich_help_panel=_SEARCH),
    ] = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Search the options of a training, train with the best ones, and report on unseen rows.

    Example: chainrule tune houses.csv --target price --trials 40 --jobs 2
    """
    from ..interop.extras import need

    need("optuna", "tune", "A search")
    from ..interop.tuning.tune import finished, prepared, run
    from ..utils.runs import new_folder, reserved

    kind, chosen = _understood(ctx, data)
    with reserved(Path(out), replace=force) if out else new_folder(data) as folder:
        place = storage or f"{folder}.study.log"
        tell = (lambda sentence: None) if quiet else note
        job = prepared(data, trials, minutes, search, space, jobs, place, kind, chosen)
        try:
            study = run(job, jobs, tell)
        except KeyboardInterrupt:
            _say_how_to_go_on(place)
            raise
        found = finished(job, study, not quiet, tell)
        need_an_epoch(found.result)
        kept, problem = keep(kind, found.result, found.result.report["options"], folder)
        (kept.folder / "search.html").write_text(found.page, encoding="utf-8")
        found.table.write_csv(kept.folder / "trials.csv")
    if as_json:
        show_json({"run": str(kept.folder), **kept.report, "study": place})
    else:
        _show(found, kept, place)
    if found.result.history.interrupted:
        raise typer.Exit(INTERRUPTED)
    finish(found.result, problem)


def _understood(ctx: typer.Context, data: str) -> tuple[str, dict[str, Any]]:
    """The kind of the data, and the options of all trials by field."""
    typed = {name.rstrip("_").replace("_", "-"): value for name, value in ctx.params.items()}
    chosen = read_options(
        {n: v for n, v in typed.items() if n in _OPTIONS and v not in (None, [], ())}
    )
    kinds = dict(chosen.pop("kinds", {}))
    named = kinds.pop(WHOLE, None)
    if kinds:
        chosen["kinds"] = kinds
    if data == "-":
        raise ConfigError("A search reads its data more than once.", expected="a file or a folder",
                          found="standard input")  # fmt: skip
    return kind_named(named or recognise(data, chosen.get("target"), chosen)).name, chosen


def _say_how_to_go_on(place: str) -> None:
    say("", "Interrupted. What was found is kept; the same command goes on with "
        f"--storage {shlex.quote(place)}")  # fmt: skip


def _show(found: Any, kept: Any, place: str) -> None:
    content = kept.report
    search = content["tuning"]
    show("", display.rows(found.table.head(_SHOWN)))
    given_up = f", {search['pruned']} given up early" if search["pruned"] else ""
    failed = f", {search['fail']} failed" if search["fail"] else ""
    show("", f"{search['trials']} trials{given_up}{failed}; validation loss {_number(search)}.")
    if found.importances:
        told = ", ".join(f"{name} {value:.0%}" for name, value in found.importances.items())
        show(f"What mattered: {told}.")
    chosen = " ".join(
        f"--{name.replace('_', '-')} {value:.4g}" if isinstance(value, float)
        else f"--{name.replace('_', '-')} {value}"
        for name, value in found.options.items()
    )  # fmt: skip
    show(f"The best options: {chosen or 'none, as the program chooses'}")
    show("", display.report_title(content), "", indented(display.report(content)), "")
    show(f"The search is in {place}, its page is {kept.folder / 'search.html'}.")
    show(f"The model is in {kept.folder}. To use it:")
    show_use(kept)


def _number(search: dict[str, Any]) -> str:
    best, usual = search["best_loss"], search["default_loss"]
    return f"{best:.5g}" + ("" if usual is None else f", without a search {usual:.5g}")
