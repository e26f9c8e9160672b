"""Architectures evolve, while their weights are trained by backpropagation."""

from __future__ import annotations

import dataclasses
import functools
import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data import split_indices
from ...errors import ConfigError, TrainingError, unknown
from ...losses import LOSSES, check_target
from ...nn import Module
from ...utils.typing import Array
from .genome import Genome, Space
from .nursery import Arrays, Nursery, first_weights, inherited, network_of, shapes_of

INHERITANCE = ("lamarckian", "baldwinian")
_TOURNAMENT = 3
#: Trainings, where no budget is given.
_USUAL_TRAININGS = 320


@dataclass(frozen=True, eq=False)
class Setting:
    """What does not change: the same for all islands; can be sent to another process."""

    space: Space
    size: int
    elites: int
    inheritance: str
    loss: str | Callable[..., Any]
    train: tuple[Array, Array]
    validation: tuple[Array, Array]
    inputs: int
    outputs: int
    epochs: int
    batch_size: int
    seed: int
    backend: str

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The weights of the largest network."""
        return shapes_of(self.space, self.inputs, self.outputs)


@dataclass(frozen=True, eq=False)
class Island:
    """A population that evolves by itself.

    Attributes:
        number: which one it is.
        generation: how many it has behind it.
        genomes: of its networks.
        weights: after their training, with one more axis.
        losses: on the validation rows.
        history: of each generation the best and the mean loss, and the best genome.
    """

    number: int
    generation: int
    genomes: tuple[Genome, ...]
    weights: Arrays
    losses: Array
    history: tuple[tuple[float, float, Genome], ...] = ()

    @property
    def best(self) -> int:
        """The index of the network with the smallest loss."""
        return int(np.argmin(self.losses))


@dataclass(frozen=True, eq=False)
class EvolvedNetwork:
    """What has come out.

    Attributes:
        model: the best network, with its trained weights: an ordinary module.
        genome: how it is built and was trained.
        loss: its loss on the validation rows.
        trainings: networks that were trained.
        seconds: that it took.
        history: of each generation the best loss so far, the mean loss of the population, and the
            best genome so far; over all islands.
        reason: why it ended.
    """

    model: Module
    genome: Genome
    loss: float
    trainings: int
    seconds: float
    history: tuple[tuple[float, float, Genome], ...]
    reason: str


def evolve_network(
    data: tuple[Any, Any],
    loss: str | Callable[..., Any] = "mse",
    *,
    validation: float | tuple[Any, Any] = 0.25,
    space: Space | None = None,
    population: int = 16,
    elites: int = 2,
    inheritance: str = "lamarckian",
    epochs: int = 10,
    batch_size: int = 32,
    trainings: int | None = None,
    seconds: float | None = None,
    islands: int = 1,
    jobs: int | None = None,
    migrate_every: int = 4,
    seed: int = 0,
    backend: str = "auto",
    on_generation: Callable[[Sequence[Island]], Any] = lambda islands: None,
) -> EvolvedNetwork:
    """Search for a network's depth, units, activations, learning rate and weight decay.

    Networks are trained by AdamW for some epochs, all of a generation in one program, and their
    loss on validation rows is their fitness. Parents are the best of three at random; a child has
    each gene from either parent, and some are changed. The best networks stay as they are.

    Args:
        data: inputs (rows, numbers) and target.
        loss: a name from `chainrule.losses.LOSSES`, or a function of prediction and target; with
            several processes one that a module defines.
        validation: a fraction of the rows, or inputs and target.
        space: what may be chosen; see `Space`.
        population: networks of an island.
        elites: the best ones, which stay.
        inheritance: "lamarckian": a child begins with the trained weights of its first parent,
            where both have the same; "baldwinian": what was learned is not inherited, only the
            ability to learn: a child begins with the first weights of its genome.
        epochs: of each training.
        batch_size: rows in a step.
        trainings: budget of networks to train; 320 if there is no other.
        seconds: budget of time; a generation is not broken off.
        islands: populations that evolve by themselves, in processes of their own.
        jobs: processes; one for each island by default. The result does not depend on it.
        migrate_every: generations after which the best network of each island replaces the worst
            of the next one.
        seed: all that is drawn follows from it; with a budget of trainings, the same bits.
        backend: what runs the program; see `chainrule.compile`.
        on_generation: called with the islands, each time that they meet.

    Raises:
        ConfigError: an option has an invalid value.
        TrainingError: no network of the first generation has a finite loss.

    Example:
        >>> import chainrule as cr
        >>> import numpy as np
        >>> x = np.random.default_rng(0).uniform(-1, 1, (120, 2)).astype("float32")
        >>> found = cr.evolve.evolve_network(
        ...     (x, x[:, :1] * x[:, 1:]), space=cr.evolve.Space(layers=2, units=8), population=6,
        ...     trainings=18, backend="numpy")
        >>> found.model(x[:3]).shape, found.trainings
        ((3, 1), 18)
    """
    setting = _setting(
        data, loss, validation, space or Space(), population, elites, inheritance, epochs,
        batch_size, seed, backend,
    )  # fmt: skip
    _need("islands", islands, 1)
    _need("jobs", 1 if jobs is None else jobs, 1)
    _need("migrate_every", migrate_every, 1)
    most = _most_generations(trainings, seconds, islands, setting)
    begun = time.perf_counter()
    with _workers(setting, min(jobs or islands, islands)) as run:
        reason, found = _evolve(setting, run, islands, most, seconds, migrate_every, on_generation)
    best = min(found, key=lambda island: float(island.losses[island.best]))
    weights = {name: array[best.best] for name, array in best.weights.items()}
    trained = sum(size_of(setting, island.generation) for island in found)
    return EvolvedNetwork(
        network_of(best.genomes[best.best], weights), best.genomes[best.best],
        float(best.losses[best.best]), trained, time.perf_counter() - begun, _together(found),
        reason,
    )  # fmt: skip


def size_of(setting: Setting, generations: int) -> int:
    """Trainings of an island: all of its first generation, then all but the elites."""
    return setting.size + (generations - 1) * (setting.size - setting.elites)


def _evolve(
    setting: Setting, run: Any, islands: int, most: int | None, seconds: float | None,
    migrate_every: int, on_generation: Callable[[Sequence[Island]], Any],
) -> tuple[str, list[Island]]:  # fmt: skip
    begun = time.perf_counter()
    found: list[Island] = run([(number, None, 1) for number in range(islands)])
    if not any(np.isfinite(island.losses).any() for island in found):
        raise TrainingError("No network of the first generation has a finite loss.",
                            expected="at least one training that does not diverge",
                            hint="Give the space smaller learning rates.")  # fmt: skip
    try:
        while True:
            on_generation(found)
            done = found[0].generation
            if most is not None and done >= most:
                return "the trainings are spent", found
            if seconds is not None and time.perf_counter() - begun >= seconds:
                return "the time is over", found
            count = migrate_every - done % migrate_every
            count = count if most is None else min(count, most - done)
            count = count if seconds is None else 1
            found = run([(island.number, island, count) for island in found])
            if found[0].generation % migrate_every == 0:
                found = migrated(found)
    except KeyboardInterrupt:
        return "interrupted", found


def generations(setting: Setting, nursery: Nursery, island: Island, count: int) -> Island:
    """So many more generations of an island, as a function of what it is."""
    for _ in range(count):
        island = _next(setting, nursery, island)
    return island


def first(setting: Setting, nursery: Nursery, number: int) -> Island:
    """An island with its first generation."""
    rng = np.random.default_rng([setting.seed, number, 0])
    genomes = [setting.space.draw(rng) for _ in range(setting.size)]
    starts = [first_weights(genome, setting.shapes) for genome in genomes]
    weights, losses = _trained(setting, nursery, genomes, _stacked(starts), number, 0)
    return _grown(Island(number, 0, (), {}, losses), genomes, weights, losses)


def _next(setting: Setting, nursery: Nursery, island: Island) -> Island:
    """Children take the places of all but the elites."""
    rng = np.random.default_rng([setting.seed, island.number, island.generation])
    kept = [int(i) for i in np.argsort(island.losses, kind="stable")[: setting.elites]]
    genomes, starts = [], []
    for _ in range(setting.size - len(kept)):
        mother, father = (_chosen(island, rng) for _ in range(2))
        parent = island.genomes[mother]
        child = setting.space.child(parent, island.genomes[father], rng)
        if setting.inheritance == "lamarckian":
            learned = {name: array[mother] for name, array in island.weights.items()}
            starts.append(inherited(child, parent, learned, setting.shapes))
        else:
            starts.append(first_weights(child, setting.shapes))
        genomes.append(child)
    # The elites go through the program, too, for it is of one size; what they learn is dropped.
    padded = [*genomes, *(island.genomes[i] for i in kept)]
    elites = {name: array[kept] for name, array in island.weights.items()}
    beginning = {
        name: np.concatenate([array, elites[name]]) for name, array in _stacked(starts).items()
    }
    weights, losses = _trained(
        setting, nursery, padded, beginning, island.number, island.generation
    )
    count = len(genomes)
    for name, array in elites.items():
        weights[name][count:] = array
    losses[count:] = island.losses[kept]
    return _grown(island, padded, weights, losses)


def _grown(island: Island, genomes: list[Genome], weights: Arrays, losses: Array) -> Island:
    best = int(np.argmin(losses))
    finite = losses[np.isfinite(losses)]
    line = float(losses[best]), float(finite.mean()) if len(finite) else math.inf, genomes[best]
    return Island(
        island.number, island.generation + 1, tuple(genomes), weights, losses,
        (*island.history, line),
    )  # fmt: skip


def _trained(
    setting: Setting, nursery: Nursery, genomes: list[Genome], weights: Arrays, island: int,
    generation: int,
) -> tuple[Arrays, Array]:  # fmt: skip
    """The batches are the same for all networks of a generation."""
    rows, batch = len(setting.train[1]), setting.batch_size
    orders = []
    for epoch in range(setting.epochs):
        rng = np.random.default_rng([setting.seed, island, generation, epoch])
        orders.append(rng.permutation(rows)[: rows // batch * batch].reshape(-1, batch))
    after = nursery.train(genomes, weights, setting.train, np.concatenate(orders))
    return after, nursery.losses(setting.validation)


def _chosen(island: Island, rng: np.random.Generator) -> int:
    """The best of three at random."""
    drawn = rng.integers(len(island.genomes), size=_TOURNAMENT)
    return int(drawn[np.argmin(island.losses[drawn])])


def _stacked(parts: list[Arrays]) -> Arrays:
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}


def migrated(islands: Sequence[Island]) -> list[Island]:
    """The best network of each island in place of the worst of the next one, in a ring."""
    found = []
    for number, island in enumerate(islands):
        source = islands[number - 1]
        if source is island:
            return [island]
        worst, best = int(np.argmax(island.losses)), source.best
        genomes = list(island.genomes)
        genomes[worst] = source.genomes[best]
        weights = {name: array.copy() for name, array in island.weights.items()}
        for name, array in weights.items():
            array[worst] = source.weights[name][best]
        losses = island.losses.copy()
        losses[worst] = source.losses[best]
        found.append(
            dataclasses.replace(island, genomes=tuple(genomes), weights=weights, losses=losses)
        )
    return found


def _together(islands: Sequence[Island]) -> tuple[tuple[float, float, Genome], ...]:
    """The history of all islands: the best so far, the mean of all."""
    found: list[tuple[float, float, Genome]] = []
    for lines in zip(*(island.history for island in islands), strict=True):
        loss, _, genome = min(lines, key=lambda line: line[0])
        if found and found[-1][0] <= loss:
            loss, _, genome = found[-1]
        found.append((loss, float(np.mean([line[1] for line in lines])), genome))
    return tuple(found)


# ---- processes ---------------------------------------------------------------------------------

#: Number of an island, what it is (None before its first generation), generations to do.
Task = tuple[int, Island | None, int]


class _Worker:
    """What a process keeps between tasks: the setting and the program."""

    setting: Setting | None = None
    nursery: Nursery | None = None


def _begin(setting: Setting) -> None:
    loss = LOSSES[setting.loss] if isinstance(setting.loss, str) else setting.loss
    _Worker.setting = setting
    _Worker.nursery = Nursery(
        setting.space, setting.size, setting.inputs, setting.outputs, loss, setting.backend
    )


def _work(task: Task) -> Island:
    number, island, count = task
    assert _Worker.setting is not None
    assert _Worker.nursery is not None
    if island is None:
        island, count = first(_Worker.setting, _Worker.nursery, number), count - 1
    return generations(_Worker.setting, _Worker.nursery, island, count)


class _workers:  # noqa: N801 - a context
    """What runs tasks: this process, or several."""

    def __init__(self, setting: Setting, jobs: int) -> None:
        self._setting, self._jobs = setting, jobs
        self._pool: Executor | None = None

    def __enter__(self) -> Callable[[list[Task]], list[Island]]:
        if self._jobs == 1:
            _begin(self._setting)
            return lambda tasks: [_work(task) for task in tasks]
        self._pool = ProcessPoolExecutor(
            self._jobs, multiprocessing.get_context("spawn"), _begin, (self._setting,)
        )
        return functools.partial(_in_pool, self._pool)

    def __exit__(self, *error: Any) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        _Worker.setting = _Worker.nursery = None


def _in_pool(pool: Executor, tasks: list[Task]) -> list[Island]:
    return list(pool.map(_work, tasks))


# ---- options -----------------------------------------------------------------------------------


def _setting(
    data: tuple[Any, Any], loss: Any, validation: Any, space: Space, population: int, elites: int,
    inheritance: str, epochs: int, batch_size: int, seed: int, backend: str,
) -> Setting:  # fmt: skip
    _need("population", population, 2)
    _need("elites", elites, 0)
    _need("epochs", epochs, 1)
    _need("batch_size", batch_size, 1)
    if elites >= population:
        raise ConfigError("Invalid value for elites.", expected=f"fewer than {population}",
                          found=str(elites))  # fmt: skip
    if inheritance not in INHERITANCE:
        raise unknown("inheritance", str(inheritance), INHERITANCE)
    if not callable(loss) and loss not in LOSSES:
        raise unknown("loss", str(loss), LOSSES)
    x, y = (np.asarray(part) for part in data)
    if x.ndim != 2 or len(x) != len(y) or len(x) < 4:
        raise ConfigError("Networks are evolved on vectors.", found=f"{x.shape} and {y.shape}",
                          expected="inputs (rows, numbers) and a target with as many rows, at "
                          "least 4")  # fmt: skip
    if isinstance(validation, tuple):
        held_out = np.asarray(validation[0], np.float32), np.asarray(validation[1])
        train = x.astype(np.float32), y
    else:
        if not 0 < validation < 1:
            raise ConfigError("Invalid value for validation.", expected="a fraction, or a pair",
                              found=str(validation))  # fmt: skip
        classes = y if y.ndim == 1 and y.dtype.kind in "iub" else None
        kept, others = split_indices(len(x), (1 - validation, validation), seed, classes)
        train = x[kept].astype(np.float32), y[kept]
        held_out = x[others].astype(np.float32), y[others]
    function = loss if callable(loss) else LOSSES[loss]
    train, held_out = ((a, _typed(b, loss)) for a, b in (train, held_out))
    check_target(function, train[1])
    return Setting(
        space, population, elites, inheritance, loss, train, held_out, x.shape[1],
        _outputs(loss, y), epochs, min(batch_size, len(train[1])), seed, backend,
    )  # fmt: skip


def _typed(y: Array, loss: Any) -> Array:
    """Numbers in float32, class indices in int64; one number for each row as a column."""
    if y.dtype.kind in "iub" and loss != "binary_cross_entropy":
        return y.astype(np.int64)
    return y.astype(np.float32).reshape(len(y), -1)


def _outputs(loss: Any, y: Array) -> int:
    """Numbers that a network gives: for class indices one for each class."""
    if y.dtype.kind in "iub" and loss != "binary_cross_entropy":
        return int(y.max()) + 1
    return int(y.reshape(len(y), -1).shape[1])


def _need(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ConfigError(f"Invalid value for {name}.", expected=f"an integer from {least}",
                          found=repr(value))  # fmt: skip


def _most_generations(
    trainings: int | None, seconds: float | None, islands: int, setting: Setting
) -> int | None:
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise ConfigError("Invalid value for seconds.", expected="a budget above 0",
                          found=repr(seconds))  # fmt: skip
    if trainings is None:
        if seconds is not None:
            return None
        trainings = max(_USUAL_TRAININGS, islands * setting.size)
    if trainings < islands * setting.size:
        raise ConfigError("The budget is too small for one generation.",
                          expected=f"at least {islands * setting.size} trainings",
                          found=repr(trainings))  # fmt: skip
    each = setting.size - setting.elites
    return 1 + (trainings // islands - setting.size) // each
