"""The study of a search: where it is kept, how the next trial is chosen, when one is given up."""

from __future__ import annotations

import itertools
import math
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ConfigError
from ..extras import need
from .callbacks import STEPS
from .space import Parameter

SEARCHES = ("bayes", "random", "grid")
#: Trials that are never pruned, and the part of a training before which none is.
_STARTUP, _WARMUP = 5, STEPS // 5
NAME = "chainrule"
#: Set as an attribute of the trial that has no options besides those of the user.
DEFAULT = "default"
_MOST_OF_GRID = 10_000


def optuna() -> Any:
    """Optuna, which says nothing by itself.

    Raises:
        ConfigError: it is not installed.
    """
    found = need("optuna", "tune", "A search")
    found.logging.set_verbosity(found.logging.ERROR)
    return found


def storage_of(place: str | None) -> Any:
    """What a study is kept in: a file, or a database by its URL; memory without a place.

    Raises:
        ConfigError: it cannot be read or written.
    """
    library = optuna()
    if place is None:
        return library.storages.InMemoryStorage()
    try:
        if "://" in place:
            return library.storages.RDBStorage(place, engine_kwargs=_patient(place))
        from optuna.storages.journal import JournalFileBackend

        return library.storages.JournalStorage(JournalFileBackend(place))
    except Exception as error:  # of the file system, of JSON, of SQLAlchemy and its drivers
        raise _unusable(place, error) from None


def _patient(url: str) -> dict[str, Any]:
    """Other processes may write for a moment."""
    return {"connect_args": {"timeout": 20}} if url.startswith("sqlite") else {}


def _unusable(place: str, error: Exception) -> ConfigError:
    found = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    hint = "a file, such as search.log, or a URL, such as sqlite:///search.db"
    if "locked" in found:
        hint = "another program has locked it: wait until it is done"
    elif isinstance(error, KeyError | ValueError) or "JSON" in found:
        hint = "it is no study of chainrule: name another file"
    return ConfigError("The storage cannot be used.", where=place, found=found, hint=hint)


def study_of(
    place: str | None,
    search: str,
    space: Sequence[Parameter],
    seed: int,
    facts: Mapping[str, Any],
    worker: int = 0,
) -> Any:
    """The study in a storage, or a new one.

    Args:
        place: of the storage; see `storage_of`.
        search: a name in `SEARCHES`.
        space: what is chosen.
        seed: of the sampler.
        facts: what trials depend on, besides: JSON data that must be equal.
        worker: its number, so that processes do not choose the same.

    Raises:
        ConfigError: the storage cannot be used, or holds a study of something else.
    """
    library = optuna()
    try:
        study = library.create_study(
            storage=storage_of(place), study_name=NAME, load_if_exists=True,
            sampler=_sampler(search, seed + worker), pruner=_pruner(), direction="minimize",
        )  # fmt: skip
        known = study.user_attrs.get("facts")
        if known is None:
            _plan(study, search, space, seed)
            study.set_user_attr("facts", dict(facts))
        elif known != dict(facts):
            _refuse(place, known, facts)
    except ConfigError:
        raise
    except Exception as error:
        raise _unusable(str(place), error) from None
    return study


def _plan(study: Any, search: str, space: Sequence[Parameter], seed: int) -> None:
    """What a new study begins with: a trial without options, and all trials of a grid."""
    study.enqueue_trial({}, user_attrs={DEFAULT: True})
    if search != "grid":
        return
    if (size := grid_size(space)) > _MOST_OF_GRID:
        raise ConfigError("The grid is too large.", expected=f"at most {_MOST_OF_GRID:,} trials",
                          found=f"{size:,}", hint="search with bayes or random")  # fmt: skip
    names = [parameter.name for parameter in space]
    points = list(itertools.product(*(parameter.values() for parameter in space)))
    random.Random(seed).shuffle(points)  # so that a part of it is an even one
    for point in points:
        study.enqueue_trial(dict(zip(names, point, strict=True)), skip_if_exists=True)


def _refuse(place: str | None, known: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    differ = [name for name in facts if known.get(name) != facts[name]]
    first = differ[0] if differ else next(iter(known.keys() - facts.keys()), "facts")
    raise ConfigError(
        f"The storage holds a study with another {first}.",
        where=str(place),
        expected=f"{facts.get(first)!r:.200}",
        found=f"{known.get(first)!r:.200}",
        hint="name another --storage, or go on with the data and options of that study",
    )


def _sampler(search: str, seed: int) -> Any:
    samplers = optuna().samplers
    if search in ("random", "grid"):  # the points of a grid are in the study already
        return samplers.RandomSampler(seed=seed)
    if search == "bayes":
        with warnings.catch_warnings():  # parts of it are called experimental
            warnings.simplefilter("ignore")
            return samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
    raise ConfigError(f"Unknown search {search!r}.", expected=", ".join(SEARCHES))


def _pruner() -> Any:
    return optuna().pruners.MedianPruner(_STARTUP, _WARMUP)


def grid_size(space: Sequence[Parameter]) -> int:
    """How many trials a grid has.

    Example:
        >>> grid_size([Parameter("norm", ("none", "layer")), Parameter("dropout", low=0, high=0.5)])
        8
    """
    return math.prod(len(parameter.values()) for parameter in space)


def suggest(trial: Any, space: Sequence[Parameter], search: str) -> dict[str, Any]:
    """What a trial is to try, by field."""
    chosen: dict[str, Any] = {}
    for parameter in space:
        if parameter.choices or search == "grid":
            values = parameter.values()
            chosen[parameter.name] = trial.suggest_categorical(parameter.name, values)
        else:
            chosen[parameter.name] = trial.suggest_float(
                parameter.name, parameter.low, parameter.high, log=parameter.log,
                step=parameter.step,
            )  # fmt: skip
    return chosen


def importances(study: Any) -> dict[str, float]:
    """How much each option mattered, from 0 to 1; nothing after too few trials."""
    library = optuna()
    done = [t for t in study.get_trials(deepcopy=False) if t.value is not None and t.params]
    if len(done) < 4 or len({t.value for t in done}) < 2:
        return {}
    evaluator = library.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    try:
        with warnings.catch_warnings():  # of few trials: so is said where it is shown
            warnings.simplefilter("ignore")
            found = library.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):
        return {}
    return {name: float(value) for name, value in found.items()}
