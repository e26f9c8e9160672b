"""One trial after another, in one process."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigError, DataError, TrainingError
from ...tasks import module_of
from ...training import Callback
from .callbacks import PruningCallback
from .space import Parameter, options_with
from .study import DEFAULT, optuna, study_of, suggest

Say = Callable[[str], None]

#: So many trials that fail one after another end the search.
_MOST_FAILURES = 5


@dataclass(frozen=True)
class Job:
    """A search, as each of its processes needs it.

    Attributes:
        kind: of the data.
        source: the data.
        options: of all trials.
        space: what is chosen.
        search: how.
        storage: of the study; None for the memory of this process.
        facts: see `study_of`.
        trials: in the study, in the end.
        until: when the search ends, by `time.time`; None without a limit.
    """

    kind: str
    source: Any
    options: Any
    space: tuple[Parameter, ...]
    search: str
    storage: str | None
    facts: Mapping[str, Any]
    trials: int | None
    until: float | None

    def study(self, worker: int = 0) -> Any:
        """The study of the search."""
        return study_of(
            self.storage, self.search, self.space, self.options.seed, self.facts, worker
        )


class _Deadline(Callback):
    """Ends the training of a trial when the time of the search is over."""

    def __init__(self, until: float) -> None:
        self._until = until

    def on_step_end(self, trainer: Any, step: int, loss: float) -> None:
        if time.time() > self._until:
            raise optuna().TrialPruned("the time of the search is over")


def work(job: Job, worker: int = 0, say: Say = lambda sentence: None) -> Any:
    """Try until there are enough trials, or the time is over; the study.

    Raises:
        DataError: the data cannot be learned from.
        ConfigError: an option is invalid, or trials fail one after another.
    """
    study = job.study(worker)
    failed: list[str] = []
    while _goes_on(study, job):
        trial = study.ask()
        trial.set_user_attr("where", f"{socket.gethostname()} {os.getpid()}")
        is_default = trial.user_attrs.get(DEFAULT)
        chosen = {} if is_default else suggest(trial, job.space, job.search)
        failure = _try(job, study, trial, chosen, say)
        if failure is None:
            failed.clear()
            continue
        failed.append(failure)
        if len(failed) == _MOST_FAILURES:
            raise ConfigError(f"{_MOST_FAILURES} trials failed one after another.",
                              found=failed[-1][:300], hint="is the space too wide?")  # fmt: skip
    return study


def _goes_on(study: Any, job: Job) -> bool:
    if job.until is not None and time.time() >= job.until:
        return False
    states = optuna().trial.TrialState
    if job.search == "grid" and not study.get_trials(deepcopy=False, states=(states.WAITING,)):
        return False
    counted = study.get_trials(
        deepcopy=False, states=(states.COMPLETE, states.PRUNED, states.RUNNING)
    )
    return job.trials is None or len(counted) < job.trials


def _try(job: Job, study: Any, trial: Any, chosen: Mapping[str, Any], say: Say) -> str | None:
    """Train and tell the study; what went wrong, if anything did."""
    library = optuna()
    states, begun = library.trial.TrialState, time.perf_counter()
    try:
        value = score(job, chosen, trial)
    except library.TrialPruned as pruned:
        study.tell(trial, state=states.PRUNED)
        say(f"trial {trial.number}: given up, {pruned}")
        return None
    except (TrainingError, DataError, ConfigError) as error:
        study.tell(trial, state=states.FAIL)
        if not chosen and not isinstance(error, TrainingError):
            raise  # the data, or the user's own options
        say(f"trial {trial.number}: failed, {error.what}")
        return str(error)
    except BaseException:  # interrupted: to be tried another time
        study.tell(trial, state=states.FAIL)
        again(study, trial)
        raise
    study.tell(trial, value)
    what = ", ".join(f"{n} {_short(v)}" for n, v in chosen.items()) or "no option but yours"
    seconds = time.perf_counter() - begun
    say(f"trial {trial.number}: {value:.5g} on validation rows in {seconds:.0f} s ({what})")
    return None


def again(study: Any, trial: Any) -> None:
    """Put what a trial was to try at the end of the queue."""
    told = {DEFAULT: True} if trial.user_attrs.get(DEFAULT) else None
    study.enqueue_trial(dict(trial.params), user_attrs=told)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def score(job: Job, chosen: Mapping[str, Any], trial: Any) -> float:
    """The best validation loss of a training with chosen options.

    Of few files, which are all tested, it is the error on those that each network has not seen.

    Raises:
        ChainruleError: it failed.
        KeyboardInterrupt: it was interrupted.
    """
    options = options_with(job.options, chosen).searched()
    watch: list[Callback] = [PruningCallback(trial)]
    if job.until is not None:
        watch.append(_Deadline(job.until))
    result = module_of(job.kind).train(job.source, options, progress=False, callbacks=tuple(watch))
    if result.history.interrupted:
        raise KeyboardInterrupt
    best = result.history.best
    if best is None:
        raise TrainingError("The validation loss was never a number.")
    trial.set_user_attr("epochs", len(result.history))
    tested = result.report["metrics"] if result.report.get("cv") else {}
    error = next((tested[name] for name in ("log_loss", "rmse") if name in tested), None)
    return float(best["val_loss"] if error is None else error)


def with_threads(options: Any, jobs: int) -> Any:
    """Options whose native code leaves cores to the other processes."""
    if options.threads is not None or jobs == 1:
        return options
    return dataclasses.replace(options, threads=max((os.cpu_count() or 1) // jobs, 1))
