"""A training as a record: data, network, optimizer, length; and how to run it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.doctor import Doctor, Evidence
from chainrule.engine.backends.c.backend import CBackend
from chainrule.engine.backends.numpy import NUMPY
from chainrule.engine.backends.registry import FirstThatBuilds
from chainrule.errors import ChainruleError

from .datasets import DATASETS, Data, load

Array = np.ndarray[Any, Any]
#: Steps are native programs; what runs once an epoch is not worth a compiler's time.
BACKEND = FirstThatBuilds("auto", [CBackend(1), NUMPY], smallest=10**9)
#: A program takes a second to build, which is worth it from so many updates on.
WORTH_IT = 600
#: In a quick look all trainings run on NumPy, and are no longer than this.
QUICK = int(os.environ.get("DOCTOR_QUICK", "0"))


@dataclass
class Case:
    """A training.

    Attributes:
        dataset: a name from `datasets`.
        seed: of data, weights and order.
        widths: of the hidden layers.
        activation: after each of them: "relu", "tanh", "gelu" or "sigmoid"; "" for none.
        optimizer: its name.
        lr: its rate.
        batch: rows in a step.
        updates: how many, about.
        more: options of the optimizer.
        gain: the initial weights are multiplied by it.
        bias: what the biases of the hidden layers start at.
        constant: all weights start at this value.
        output: an activation at the end.
        outputs: how many; as the task needs by default.
        loss: its name; as the task needs by default.
        dropout: after each hidden layer.
        norm: whether batch normalisation comes before each activation.
        epochs: if not as many as `updates` need.
        shuffle: whether rows are shuffled.
        hold: "frozen", "missing" or "unused" first layer.
        change: what is done to the data.
        faults: the causes that were put in.
    """

    dataset: str
    seed: int
    widths: tuple[int, ...]
    activation: str
    optimizer: str
    lr: float
    batch: int = 32
    updates: int = 800
    more: dict[str, Any] = field(default_factory=dict)
    gain: float = 1.0
    bias: float = 0.0
    constant: float | None = None
    output: str = ""
    outputs: int | None = None
    loss: str = ""
    dropout: float = 0.0
    norm: bool = False
    epochs: int | None = None
    shuffle: bool = True
    hold: str = ""
    gaps: tuple[int, ...] = ()
    data: Data | None = None
    faults: tuple[str, ...] = ()

    def copy(self, **changes: Any) -> Case:
        """The same with other fields."""
        return dataclasses.replace(self, **changes)

    @property
    def loaded(self) -> Data:
        """Its data."""
        return self.data or load(self.dataset, self.seed)


@dataclass
class Result:
    """What came out of a training.

    Attributes:
        faults: the causes that were put in; none of a healthy one.
        evidence: what the doctor gathered.
        skill: on clean validation rows; see `chainrule.doctor.quick_models.skill`.
        about: the case, in words.
    """

    faults: tuple[str, ...]
    evidence: Evidence
    skill: float
    about: str


_ACTIVATIONS = {"relu": cr.nn.ReLU, "tanh": cr.nn.Tanh, "gelu": cr.nn.GELU,
                "sigmoid": cr.nn.Sigmoid, "softmax": cr.nn.Softmax}  # fmt: skip


class _WithSpare(cr.nn.Module):
    """A network with a layer that it does not use."""

    def __init__(self, layers: list[cr.nn.Module], width: int) -> None:
        self.layers = cr.nn.Sequential(*layers)
        self.spare = cr.nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        return self.layers(x)


def network(case: Case, features: int, outputs: int) -> cr.nn.Module:
    """The network of a case, with its initial weights."""
    layers: list[cr.nn.Module] = []
    width = features
    init = "kaiming_uniform" if case.activation in ("relu", "gelu", "") else "xavier_uniform"
    for number, units in enumerate(case.widths):
        layers.append(cr.nn.Linear(width, units, init=init))
        if case.norm:
            layers.append(cr.nn.BatchNorm(units))
        if case.activation and number not in case.gaps:
            layers.append(_ACTIVATIONS[case.activation]())
        if case.dropout:
            layers.append(cr.nn.Dropout(case.dropout))
        width = units
    layers.append(cr.nn.Linear(width, outputs, init="xavier_uniform"))
    if case.output:
        layers.append(_ACTIVATIONS[case.output]())
    model: cr.nn.Module = (
        _WithSpare(layers, 8) if case.hold == "unused" else cr.nn.Sequential(*layers)
    )
    model.initialize(case.seed)
    parameters = model.parameters()
    linear = [p for p, w in parameters.items() if p.endswith("weight") and w.ndim == 2]
    for path in linear[: len(case.widths)]:
        w, b = parameters[path], parameters[path.replace("weight", "bias")]
        if case.constant is not None:
            w.assign(cr.full(w.shape, case.constant))
        elif case.gain != 1.0:
            w.assign(w.numpy() * np.float32(case.gain))
        if case.bias:
            b.assign(cr.full(b.shape, case.bias))
    if case.hold == "frozen":
        model.freeze(*linear[:-1])
    return model


def run(case: Case) -> Result:
    """Train, with the doctor beside."""
    data = case.loaded
    classes = data.classes
    loss = case.loss or ("cross_entropy" if classes else "mse")
    outputs = case.outputs or (classes or 1)
    model = network(case, data.x.shape[1], outputs)
    y, y_val = data.y, data.y_val
    if loss in ("mse", "binary_cross_entropy"):
        y, y_val = y.astype(np.float32)[:, None], y_val.astype(np.float32)[:, None]
    trained: Any = model
    if case.hold == "missing":
        paths = list(model.parameters())
        trained = {p: w for p, w in model.parameters().items() if not p.startswith(paths[0][:9])}
    options = dict(case.more)
    optimizer = cr.optim.OPTIMIZERS[case.optimizer](trained, lr=case.lr, **options)
    doctor = Doctor()
    batch = min(case.batch, len(data.x))
    steps = -(-len(data.x) // batch)
    epochs = case.epochs or max(case.updates // steps, 1)
    backend: Any = "numpy" if QUICK or epochs * steps < WORTH_IT else BACKEND
    trainer = cr.Trainer(model, loss, optimizer, seed=case.seed, progress=False,
                         callbacks=[doctor], backend=backend)  # fmt: skip
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        with contextlib.suppress(ChainruleError):
            trainer.fit((data.x, y), validation=(data.x_val, y_val), epochs=epochs,
                        batch_size=batch, shuffle=case.shuffle)  # fmt: skip
        reached = doctor.evidence.outcome.held_out
    doctor.evidence.failure = doctor.evidence.failure[:200]
    return Result(case.faults, doctor.evidence, -1.0 if reached is None else reached, about(case))


def about(case: Case) -> str:
    """The case in a line."""
    plain = Case("", 0, (), "", "", 0.0)
    parts = [case.dataset, f"seed {case.seed}", "×".join(map(str, case.widths)) or "linear",
             case.activation, case.optimizer, f"lr {case.lr:.3g}"]  # fmt: skip
    for one in dataclasses.fields(Case):
        value = getattr(case, one.name)
        if one.name not in ("data", "faults", "dataset", "seed", "widths", "activation",
                            "optimizer", "lr") and value != getattr(plain, one.name):  # fmt: skip
            parts.append(f"{one.name} {value}")
    return ", ".join(parts)


#: So many networks in a half, each with many seeds: a native program serves all of these.
NETWORKS = 28
FROZEN = 50_000


def healthy(seed: int) -> Case:
    """A sane training: the network by the seed's rest, data, weights and rate by the seed."""
    pool = seed % NETWORKS + (NETWORKS if seed >= FROZEN else 0)
    rng = np.random.default_rng([pool, 1])
    names = list(DATASETS)
    dataset = names[pool % len(names)]
    depth = int(rng.choice([1, 2, 2, 3]))
    optimizer = str(rng.choice(["adam", "adamw", "sgd"]))
    case = Case(
        dataset, seed, (int(rng.choice([24, 48])),) * depth,
        str(rng.choice(["relu", "relu", "tanh", "gelu"])), optimizer, 0.0,
        batch=int(rng.choice([16, 32, 32])),
    )  # fmt: skip
    if rng.random() < 0.15:
        case.norm = True
    elif rng.random() < 0.15 and dataset != "circles":
        case.dropout = 0.1
    rng = np.random.default_rng([seed, 1])
    if optimizer == "sgd":
        case.lr = float(10 ** rng.uniform(-2.3, -1.8))
        case.more = {"momentum": 0.9}
    else:
        case.lr = float(10 ** rng.uniform(-2.6, -2.0))
    hard = dataset in ("circles", "product", "waves", "friedman")
    case.updates = int(rng.uniform(700, 1000)) * (2 if hard else 1)
    if hard and optimizer == "sgd":
        case.updates *= 2
    case.updates = min(case.updates, QUICK or case.updates)
    return case


def variant(case: Case, number: int) -> Case:
    """Another sane training of the same network."""
    rng = np.random.default_rng([case.seed, 2, number])
    return case.copy(
        seed=case.seed + 1000 * NETWORKS * number,
        lr=case.lr * float(10 ** rng.uniform(-0.15, 0.15)),
        updates=int(case.updates * rng.uniform(0.9, 1.3)),
    )
