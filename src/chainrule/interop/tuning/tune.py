"""The whole search: processes, the best model, what mattered."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data import read_table, source_name
from ...errors import ChainruleError, ConfigError, unknown
from ...tasks import module_of, recognise
from ...tasks.kinds import kind_named
from ...utils.numbers import counted
from ...utils.unfinished import digest_of
from .space import MACHINE, Parameter, default_space, options_with, read_space, space_of
from .study import DEFAULT, SEARCHES, importances, optuna
from .trials import Job, again, with_threads, work

if TYPE_CHECKING:
    import polars as pl

    from ...tasks.result import TrainingResult

Say = Callable[[str], None]

#: Trials, where neither their number nor a time is given.
TRIALS = 30


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a search has found.

    Attributes:
        result: of the training with the best options, on all data but the test set; its report
            has the search, and the default options as a baseline.
        options: the best ones, by field, as they are typed; empty if the default ones are.
        study: of Optuna.
        importances: how much each option mattered, from 0 to 1.
        table: the trials, the best first.
        page: all of it as HTML, with charts.
    """

    result: TrainingResult
    options: dict[str, Any]
    study: Any
    importances: dict[str, float]
    table: pl.DataFrame
    page: str


def tune(
    source: Any,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    search: str = "bayes",
    space: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    jobs: int = 1,
    storage: str | os.PathLike[str] | None = None,
    kind: str | None = None,
    progress: bool = True,
    say: Say = lambda sentence: None,
    **options: Any,
) -> Tuned:
    """Search the options of a training, and train with the best ones.

    Each trial is a training whose score is its best validation loss; the first one has no options
    but those given. Trials that are clearly worse than others at the same time are given up. The
    test set is the same for all: no trial is chosen by it, and the last training reports on it.

    Args:
        source: the data, as for a training.
        trials: in the study, in the end; 30 without ``minutes``.
        minutes: for the search, without the last training.
        search: "bayes" (TPE), "random" or "grid".
        space: what is chosen: a mapping of options to lists of values or to ``{"low": …, "high":
            …}`` with ``"log"`` or ``"step"``, or a TOML file; by default what suits the kind.
        jobs: processes.
        storage: a file, or a URL as of Optuna, in which the study is kept: others may work on it
            at the same time, and it goes on where it was.
        kind: of the data, if it is not to be found out.
        progress: show the last training.
        say: takes a sentence for each trial.
        options: of the training, for all trials.

    Raises:
        ConfigError: an option or the space is invalid, or the storage is of another study.
        DataError: the data cannot be learned from.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> x = np.linspace(0, 4, 60)
        >>> found = cr.tune({"x": x, "y": 3 * x}, target="y", trials=3, epochs=5, members=1,
        ...                 space={"dropout": [0.0, 0.5]}, progress=False)
        >>> found.table.height, found.result.report["tuning"]["trials"]
        (3, 3)
    """
    job = prepared(source, trials, minutes, search, space, jobs, storage, kind, options)
    study = run(job, jobs, say)
    return finished(job, study, progress, say)


def prepared(
    source: Any,
    trials: int | None,
    minutes: float | None,
    search: str,
    space: Any,
    jobs: int,
    storage: Any,
    kind: str | None,
    options: Mapping[str, Any],
) -> Job:
    """The search that is asked for; see `tune`.

    Raises:
        ConfigError: something of it is invalid.
    """
    optuna()
    if search not in SEARCHES:
        raise ConfigError(f"Unknown search {search!r}.", expected=", ".join(SEARCHES))
    for name, value in {"trials": trials, "minutes": minutes, "jobs": jobs}.items():
        if value is not None and not value > 0:
            raise ConfigError(f"Invalid value for {name}.", expected="above 0", found=str(value))
    kind = kind or recognise(source, options.get("target"), options)
    own = with_threads(_own(kind, options), jobs)
    if isinstance(space, str | os.PathLike):
        parameters = read_space(Path(space), kind)
    elif space is not None:
        parameters = space_of(space, kind)
    else:
        parameters = default_space(kind, [n for n, v in options.items() if v is not None])
    _check(parameters, options, own)
    if trials is None and minutes is None and search != "grid":
        trials = TRIALS
    place = None if storage is None else os.fspath(storage)
    if jobs > 1 and place is None:
        place = os.path.join(tempfile.mkdtemp(prefix="chainrule-tune-"), "study.log")
    if not isinstance(source, str | Path) and kind == "table":
        source = read_table(source)
    return Job(
        kind, source, own, parameters, search, place, _facts(kind, source, own, parameters),
        trials, None if minutes is None else time.time() + 60 * minutes,
    )  # fmt: skip


def _own(kind: str, options: Mapping[str, Any]) -> Any:
    known = kind_named(kind).options
    fields = {field.name for field in dataclasses.fields(known)}
    if strange := [name for name in options if name not in fields]:
        raise unknown(f"option of the kind {kind}", strange[0], sorted(fields))
    needed = {f.name for f in dataclasses.fields(known) if f.default is dataclasses.MISSING}
    if "target" in needed and "target" not in options:
        raise ConfigError("Which column is to be predicted?", expected="target='COLUMN'")
    return known(**options)


def _check(space: tuple[Parameter, ...], options: Mapping[str, Any], own: Any) -> None:
    if getattr(own, "cv", None):
        raise ConfigError("A search validates each trial by itself.", found=f"cv={own.cv}",
                          hint="Omit cv.")  # fmt: skip
    if both := [p.name for p in space if options.get(p.name) is not None]:
        name = both[0]
        raise ConfigError(f"The option {name} is set, and in the space, too.",
                          expected="one of the two", found=f"{name}={options[name]}")  # fmt: skip
    for parameter in space:  # the ends, so that no trial finds out
        for value in (parameter.values()[0], parameter.values()[-1]):
            options_with(own, {parameter.name: value})


def _facts(kind: str, source: Any, options: Any, space: tuple[Parameter, ...]) -> dict[str, Any]:
    """What scores depend on."""
    told = {name: v for name, v in options.to_json().items() if name not in MACHINE}
    return json.loads(json.dumps({
        "kind": kind,
        "data": _digest(source),
        "options": told,
        "space": {parameter.name: parameter.to_json() for parameter in space},
    }))  # fmt: skip


def _digest(source: Any) -> str:
    if isinstance(source, str | Path):
        path = Path(source)
        return digest_of(path) if path.exists() else str(source)
    content = source.write_json() if hasattr(source, "write_json") else repr(source)
    return hashlib.sha256(content.encode()).hexdigest()


# ---- processes -----------------------------------------------------------------------------------


def run(job: Job, jobs: int, say: Say) -> Any:
    """All trials, in so many processes; the study.

    Raises:
        KeyboardInterrupt: it was interrupted; what was found is in the storage.
    """
    if jobs == 1:
        return work(job, 0, say)
    study = job.study()
    if not _tried(study) and _one(job):  # its errors are those of the data
        work(dataclasses.replace(job, trials=1), 0, say)
    with _processes(job, jobs, say) as processes:
        for process in processes:
            process.join()
    if all(process.exitcode for process in processes):
        raise ConfigError("The processes of the search have failed.",
                          found=f"exit codes {[p.exitcode for p in processes]}")  # fmt: skip
    if dead := [process.exitcode for process in processes if process.exitcode]:
        say(f"{counted(len(dead), 'process', 'processes')} of the search died ({_why(dead[0])}); "
            "its trials are tried again here")  # fmt: skip
        return work(job, 0, say)
    return job.study()


def _why(code: int) -> str:
    """What the exit code of a process says."""
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}, as where the memory is full" if -code == signal.SIGKILL else name


def _one(job: Job) -> bool:
    return job.trials is None or job.trials > 0


@contextlib.contextmanager
def _processes(job: Job, jobs: int, say: Say) -> Iterator[list[Any]]:
    """Workers, which end with this process; what they say comes here."""
    context = multiprocessing.get_context("spawn")
    said = context.SimpleQueue()
    processes = [
        context.Process(target=_worker, args=(job, number, said), daemon=True)
        for number in range(1, jobs + 1)
    ]
    for process in processes:
        process.start()
    try:
        while any(process.is_alive() for process in processes):
            while not said.empty():
                say(said.get())
            time.sleep(0.05)
        while not said.empty():
            say(said.get())
        yield processes
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
                process.join()
        _give_up(job, [process.pid for process in processes])


def _worker(job: Job, number: int, said: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process decides
    try:
        work(job, number, said.put)
    except ChainruleError as error:
        said.put(str(error))
        raise SystemExit(1) from None


def _give_up(job: Job, pids: list[Any]) -> None:
    """Trials that ended processes have left behind count no more."""
    study, states = job.study(), optuna().trial.TrialState
    here = {f"{socket.gethostname()} {pid}" for pid in pids}
    for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
        if trial.user_attrs.get("where") in here:
            with contextlib.suppress(Exception):  # it may have ended in this moment
                study.tell(trial.number, state=states.FAIL)
                again(study, trial)


# ---- what was found ------------------------------------------------------------------------------


def finished(job: Job, study: Any, progress: bool, say: Say) -> Tuned:
    """Train with the best options, and with none for comparison.

    Raises:
        ConfigError: no trial was finished.
    """
    from .picture import page_of_search

    states = optuna().trial.TrialState
    done = study.get_trials(deepcopy=False, states=(states.COMPLETE,))
    if not done:
        raise ConfigError("No trial was finished.", hint="give the search more time")
    best = min(done, key=lambda trial: trial.value)
    default = next((t for t in done if t.user_attrs.get(DEFAULT)), None)
    chosen = dict(best.params)
    say(f"trial {best.number} is the best; its options are trained once more")
    options = options_with(job.options, chosen)
    result = module_of(job.kind).train(job.source, options, progress=progress, say=say)
    counts = {s.name.lower(): 0 for s in (states.COMPLETE, states.PRUNED, states.FAIL)}
    for trial in _tried(study):
        name = trial.state.name.lower()
        counts[name] = counts.get(name, 0) + 1
    mattered = importances(study)
    result.report["tuning"] = {
        "search": job.search,
        "trials": sum(counts.values()),
        **counts,
        "best_trial": best.number,
        "best_loss": best.value,
        "default_loss": None if default is None else default.value,
        "options": {name: _plain(value) for name, value in chosen.items()},
        "importances": mattered,
        "data": source_name(job.source),
    }
    if chosen and result.report.get("metrics") and not result.history.interrupted:
        say("the options that the program chooses by itself are trained, to compare")
        usual = module_of(job.kind).train(job.source, job.options, progress=False)
        result.report["baselines"]["default options"] = usual.report["metrics"]
    table = table_of(study, job)
    title = f"Search of options for {result.report.get('target') or source_name(job.source)}"
    return Tuned(result, chosen, study, mattered, table, page_of_search(title, table, mattered))


def _tried(study: Any) -> list[Any]:
    """The trials, without those of a grid that have not begun."""
    waiting = optuna().trial.TrialState.WAITING
    return [t for t in study.get_trials(deepcopy=False) if t.state != waiting]


def _plain(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def table_of(study: Any, job: Job) -> pl.DataFrame:
    """The trials, the best first: number, state, validation loss and options."""
    import polars as pl

    found = sorted(
        _tried(study),
        key=lambda trial: (trial.value is None, trial.value or 0.0, trial.number),
    )
    columns: dict[str, Any] = {
        "trial": [trial.number for trial in found],
        "state": [trial.state.name.lower() for trial in found],
        "loss": [trial.value for trial in found],
    }
    for parameter in job.space:
        name = parameter.name
        columns[name] = pl.Series([trial.params.get(name) for trial in found], strict=False)
    return pl.DataFrame(columns)
