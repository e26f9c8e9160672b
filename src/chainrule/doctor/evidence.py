"""What the doctor knows of a training: facts and measurements, from which rules draw findings."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass
class Structure:
    """What the graph and the configuration say before the first step.

    Attributes:
        loss: the name of the loss.
        loss_output: what it expects of the network: "logits", "values", …; empty if unknown.
        task: "regression", "binary", "multiclass" or empty.
        output_operation: the last operation of the network that is not linear, if the output comes
            straight from it.
        output_range: the range that it gives; None for all numbers.
        outputs: how many numbers the network gives for a row.
        rows_sum_to_one: whether these are probabilities.
        hidden_layers: how many layers with weights there are before the last one.
        parameters: how many numbers are trained, frozen ones included.
        linear_pairs: layers that follow another layer without a non-linearity between.
        is_linear: whether the whole network is linear although it has several layers.
        unreached: parameters that the loss does not depend on.
        frozen: parameters that are frozen.
        unlisted: parameters that the optimizer does not have.
        normalised: whether there are normalisation layers.
        batch_norm: paths of batch normalisations.
        symmetric: weights whose units are all alike.
        gains: for each weight matrix std(w)·√fan-in, which keeps a signal's size if it is about 1.
        narrowest: the fewest units of a hidden layer.
        dropout: the largest rate of dropout.
        optimizer: its name.
        lr: its learning rate at the start of the training.
        weight_decay: its weight decay and L2 penalty together.
        l1: its L1 penalty.
        work: of predicting a row, in multiplications, about.
        nodes: how many the graph of a prediction has.
        sizes: how many numbers each parameter has.
    """

    loss: str = ""
    loss_output: str = ""
    task: str = ""
    output_operation: str = ""
    output_range: tuple[float, float] | None = None
    outputs: int = 0
    rows_sum_to_one: bool = False
    hidden_layers: int = 0
    parameters: int = 0
    linear_pairs: list[str] = dataclasses.field(default_factory=list)
    is_linear: bool = False
    unreached: list[str] = dataclasses.field(default_factory=list)
    frozen: list[str] = dataclasses.field(default_factory=list)
    unlisted: list[str] = dataclasses.field(default_factory=list)
    normalised: bool = False
    batch_norm: list[str] = dataclasses.field(default_factory=list)
    symmetric: list[str] = dataclasses.field(default_factory=list)
    gains: dict[str, float] = dataclasses.field(default_factory=dict)
    narrowest: int = 0
    dropout: float = 0.0
    optimizer: str = ""
    lr: float = 0.0
    weight_decay: float = 0.0
    l1: float = 0.0
    work: float = 0.0
    nodes: int = 0
    sizes: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Activation:
    """One activation at one measurement, over the measured rows.

    Attributes:
        kind: "relu", "tanh" or "sigmoid".
        dead: the fraction of units that are 0 for every row.
        saturated: the fraction of values at the flat ends.
        size: the root mean square.
    """

    kind: str
    dead: float
    saturated: float
    size: float


@dataclasses.dataclass
class Measurement:
    """What the measuring program gave at one moment.

    Attributes:
        step: updates done so far.
        epoch: epochs done so far.
        loss: on the measured rows.
        gradient: the norm of the gradient, by parameter.
        weight: the norm of the weight, by parameter.
        update: the norm of the update, by parameter.
        agreement: the cosine between the gradients of two halves of the rows.
        turn: the cosine between the gradients before and after the update, on the same rows.
        line: loss after c times the update, over the loss before it, by c.
        activations: by layer, in the order of the network.
        not_finite: how many numbers are NaN or infinite, of gradients and activations.
    """

    step: int
    epoch: int
    loss: float
    gradient: dict[str, float]
    weight: dict[str, float]
    update: dict[str, float]
    agreement: float
    turn: float
    line: dict[float, float]
    activations: dict[str, Activation]
    not_finite: int = 0


@dataclasses.dataclass
class Data:
    """What the examples say.

    Attributes:
        rows: of the training set.
        held_out: of the validation set.
        features: how many; 0 if the inputs are no single float array.
        scale: the largest ratio of a feature's root mean square to 1, over the features.
        offset: the largest |mean| of a feature over its standard deviation.
        spread: the largest standard deviation of a feature over the smallest.
        widest: the feature with the largest scale.
        not_finite: how many inputs or targets are NaN or infinite.
        constant: features with one value.
        duplicates: pairs of features that are equal.
        target_copy: the feature that gives the target away, and how sure.
        target_apart: whether the values of the classes are apart in it.
        target_scale: the root mean square of the target, for regression.
        target_low: its least value.
        target_high: its greatest value.
        classes: rows of each class in the training set.
        held_out_classes: the same in the validation set.
        shared: the fraction of validation rows that are also training rows.
        near: how much nearer validation rows have a training row than the density explains.
        near_inside: the same among rows of the training set.
        shift: the largest standardised difference of a feature's mean between the two sets.
        shift_feature: that feature.
        shifted: the fraction of features that differ clearly.
        sorted: how strongly the order of the rows goes with the target, from 0 to 1.
        reference: the skill of the best quick model on held-out rows; see `reference`.
        reference_train: the same on the rows that it learned from.
        signal: whether the quick models are clearly better than a constant.
        linear: the skill of the linear model.
        suspicious: of the rows that lie deepest in one class, the fraction with another label.
        deepest: how many these are.
    """

    rows: int = 0
    held_out: int = 0
    features: int = 0
    scale: float = 1.0
    offset: float = 0.0
    spread: float = 1.0
    widest: int = 0
    not_finite: int = 0
    constant: list[int] = dataclasses.field(default_factory=list)
    duplicates: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    target_copy: tuple[int, float] | None = None
    target_apart: bool = True
    target_scale: float = 0.0
    target_deviation: float = 0.0
    target_low: float = 0.0
    target_high: float = 0.0
    classes: list[int] = dataclasses.field(default_factory=list)
    held_out_classes: list[int] = dataclasses.field(default_factory=list)
    shared: float = 0.0
    near: float = 1.0
    near_inside: float = 1.0
    shift: float = 0.0
    shift_feature: int = 0
    shifted: float = 0.0
    sorted: float = 0.0
    reference: float | None = None
    reference_train: float | None = None
    signal: bool = True
    linear: float | None = None
    suspicious: float = 0.0
    deepest: float = 0.0


@dataclasses.dataclass
class Outcome:
    """How good the network is: skills from 0 (a constant) to 1 (perfect).

    Attributes:
        train: on the training set.
        held_out: on the validation set.
        recalls: of each class, on the validation set, or else on the training set.
        constant: how much the predictions vary, over how much the targets do.
    """

    train: float | None = None
    held_out: float | None = None
    recalls: list[float] = dataclasses.field(default_factory=list)
    variation: float | None = None


@dataclasses.dataclass
class Evidence:
    """All that is known of one training.

    Attributes:
        structure: before the first step.
        data: of the examples.
        measurements: in their order.
        history: the records of the epochs.
        outcome: at the end.
        epochs: how many were asked for.
        batch_size: rows in a step.
        steps: in an epoch.
        shuffle: whether the rows are shuffled.
        failure: the message of the error that ended it.
        over: whether it has ended.
        kept_best: whether the weights of the best epoch were kept.
        not_reset: the fraction of steps whose gradients contain those of the step before, in a
            loop of the user's own.
    """

    structure: Structure = dataclasses.field(default_factory=Structure)
    data: Data = dataclasses.field(default_factory=Data)
    measurements: list[Measurement] = dataclasses.field(default_factory=list)
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    outcome: Outcome = dataclasses.field(default_factory=Outcome)
    epochs: int = 0
    batch_size: int = 0
    steps: int = 0
    shuffle: bool = True
    failure: str = ""
    over: bool = False
    kept_best: bool = False
    not_reset: float = 0.0

    def series(self, name: str) -> list[float]:
        """The numbers of this name in the history."""
        return [record[name] for record in self.history if name in record]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return dataclasses.asdict(self)
