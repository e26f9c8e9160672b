"""The optimizer of a training: what the user says, completed by what suits the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..nn import Module
from ..optim import OPTIMIZERS, Optimizer, make_schedule
from ..training.checkpoint import load_training
from ..utils.typing import Array
from .class_extension import enlarged
from .options import TrainingOptions

#: Fraction of the steps that warm up, for schedules that have no such phase of their own.
_WARMUP = 0.1
#: Methods that scale their steps alike, so that a rate that is good for one is good for all.
SCALED = ("adamw", "adam", "nadam", "radam", "adamax", "rmsprop")


def make_optimizer(
    options: TrainingOptions,
    model: Module,
    steps: int,
    *,
    lr: float,
    weight_decay: float = 0.0,
    l2: float = 0.0,
    clip: float | None = None,
    schedule: str = "cosine",
) -> Optimizer:
    """The optimizer for so many steps; what ``options`` leave open is as the arguments say.

    Only matrices decay: neither biases nor gains pull towards 0 (Loshchilov and Hutter, 2019, and
    usual since).

    Example:
        >>> import chainrule as cr
        >>> layer = cr.nn.Linear(2, 1)
        >>> optimizer = make_optimizer(TrainingOptions(lr=0.1), layer, 100, lr=0.01)
        >>> type(optimizer).__name__
        'AdamW'
    """
    name = options.schedule or schedule
    rate = options.lr if options.lr is not None else lr
    warmup = {"warmup": max(int(_WARMUP * steps), 1)} if name in ("cosine", "constant") else {}
    extra: dict[str, Any] = {"betas": (0.9, 0.99)} if options.optimizer.startswith("adamw") else {}
    return OPTIMIZERS[options.optimizer](
        model,
        lr=make_schedule(name, rate, steps, **warmup),
        weight_decay=weight_decay if options.weight_decay is None else options.weight_decay,
        l1=options.l1,
        l2=options.l2 or l2,
        clip_norm=options.clip or clip,
        decay=lambda path, parameter: path.endswith("weight") and parameter.ndim > 1,
        **extra,
    )


def effective(optimizer: Optimizer) -> dict[str, Any]:
    """What the program chose for an optimizer, as JSON data for the report of a training."""
    return {
        "weight_decay": optimizer.weight_decay,
        "clip": optimizer.clip_norm,
        **({"l2": optimizer.l2} if optimizer.l2 else {}),
        "rate": _highest(optimizer.schedule.to_config()),
    }


def _highest(schedule: Any) -> float:
    """The highest rate of a schedule that `make_schedule` made."""
    if "schedule" in schedule:  # a warm-up and what follows it
        return _highest(schedule["schedule"])
    return float(schedule.get("max_lr") or schedule["lr"])


def optimizer_again(kind: type[TrainingOptions], record: Any, model: Any) -> Optimizer:
    """The optimizer of a training that is over, with an empty state.

    Args:
        kind: of the options of the training.
        record: that of the model file, with report and history.
        model: what learns.
    """
    report = record["report"]
    options = kind.from_json(report.get("options") or {})
    known = report.get("optimizer") or {}
    chosen = {name: known[name] for name in ("weight_decay", "l2", "clip") if name in known}
    return make_optimizer(options, model, 1, lr=highest_rate(record), schedule="constant", **chosen)


def last_rate(record: Any) -> float:
    """The learning rate at the end of a training; the highest if the end is not known or 0.

    Example:
        >>> last_rate({"history": {"epochs": [{"rate": 0.1}, {"rate": 0.01}]}})
        0.01
    """
    rates = [float(epoch["rate"]) for epoch in record["history"]["epochs"]]
    return rates[-1] if rates and rates[-1] > 0 else highest_rate(record)


def highest_rate(record: Any) -> float:
    """The highest learning rate of a training; at the end of an epoch, if no more is known.

    Example:
        >>> highest_rate({"history": {"epochs": [{"rate": 0.1}, {"rate": 0.01}]}})
        0.1
    """
    known = ((record.get("report") or {}).get("optimizer") or {}).get("rate")
    if known is not None:
        return float(known)
    return max((float(epoch["rate"]) for epoch in record["history"]["epochs"]), default=1e-3)


def remember(optimizer: Optimizer, path: Path, model: str = "") -> bool:
    """Give an optimizer the state that a training has left in a file, as far as it fits.

    What it keeps beside a parameter is found by the parameter's path, also if that is longer here,
    as the network is a part of something else. Outputs that a head has besides start with an
    empty state; so does the schedule.

    Args:
        optimizer: to go on with.
        path: what `chainrule.training.save_training` wrote.
        model: SHA-256 of the model file that it is to belong to.

    Returns:
        Whether there is such a file.

    Raises:
        ModelFileError: it is damaged, or of another model.
    """
    if not path.is_file():
        return False
    start = "optimizer."
    found = load_training(path, model=model)
    kept = {k.removeprefix(start): a for k, a in found.items() if k.startswith(start)}
    state = optimizer.state()
    for name, array in state.items():
        there = _by_path(name, kept)
        fits = None if there is None else enlarged(there, array.shape)
        if fits is not None and not name.startswith("schedule."):
            state[name] = fits
    optimizer.load_state(state)
    return True


def _by_path(name: str, kept: dict[str, Array]) -> Array | None:
    """What was kept by this name, such as ``exp_avg.network.head.bias``, or by a shorter path."""
    what, _, path = name.partition(".")
    while path and f"{what}.{path}" not in kept:
        path = path.partition(".")[2]
    return kept.get(f"{what}.{path}" if path else name)
