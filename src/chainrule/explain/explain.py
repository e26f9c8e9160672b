"""`explain`: from a user's model and data to an `Explanation`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine.ops.random import fold_in, key
from ..engine.tensor import Parameter, Tensor
from ..errors import ConfigError, DataError, unknown
from ..losses import LOSSES
from ..nn import Module
from ..optim import OPTIMIZERS, SGD, Optimizer
from ..serialization import SavedModel
from .build import build
from .explanation import Explanation
from .node_names import Names
from .record import Step, as_arrays, flat, record, variable_names, variables_read
from .stored import StoredNetwork
from .weights import parse_weight, write

NOTATIONS = ("leibniz", "delta")
_RATE = 0.1


def explain(
    model_or_loss: Module | SavedModel | Callable[..., Tensor],
    x: Any = None,
    y: Any = None,
    *,
    loss: str | Callable[..., Tensor] | None = None,
    optimizer: str | Optimizer | None = None,
    lr: Any = None,
    weight: str | Sequence[str] | None = None,
    notation: str = "leibniz",
    train: bool = True,
    seed: int = 0,
    title: str = "",
    story: Iterable[str] = (),
    labels: Mapping[str, Sequence[str]] | None = None,
    show_c: bool = False,
) -> Explanation:
    """One training step with every number: forward pass, error, backward pass, update.

    The step is traced and run as `chainrule.training.Step` does it, but neither the model nor the
    optimizer is changed.

    Args:
        model_or_loss: a model, one that `chainrule.load` has read from a file, or a function of
            ``x`` and ``y`` that returns the loss. A function learns the parameters that it reads.
        x: the inputs of some examples, with the examples on the first axis: an array, a tensor,
            a list, a dict of such, or a tuple for models that take several arguments.
        y: the targets.
        loss: for a model the loss that it is trained with: a name from
            `chainrule.losses.LOSSES`, or a function of prediction and target.
        optimizer: an optimizer of the model's parameters, with the state that it has; or a name.
            Without one it is plain gradient descent with the learning rate 0.1.
        lr: the learning rate, if the optimizer is given by name.
        weight: the weight whose chain is shown, such as ``"layers.0.weight[3,7]"``, or several.
        notation: "leibniz" for ∂L/∂z, "delta" for δ(z), of weighted sums.
        train: explain the model as it is in training, with dropout and batch statistics.
        seed: of dropout and other randomness.
        title: the title.
        story: sentences that introduce it.
        labels: for inputs by name (``"x"``): names of the features on the last axis.
        show_c: show the C code of each node, too, as the native backend writes it.

    Raises:
        ConfigError: the model has no loss, or a weight, optimizer or notation is not known.
        DerivativeError: the function returns no single number.
        DataError: the data do not fit the model, such as a class index out of range.

    Example:
        >>> import chainrule as cr
        >>> line = cr.nn.Linear(2, 1, bias=False).to("float64")
        >>> line.load_state({"weight": [[0.5], [-0.2]]})
        >>> explanation = cr.explain(line, [[1.0, 0.8]], [[0.6]], loss="mse", lr=0.05)
        >>> explanation.nodes[2].value.data.round(10).tolist()
        [0.34]
    """
    if notation not in NOTATIONS:
        raise unknown("notation", notation, NOTATIONS)
    if isinstance(model_or_loss, SavedModel):
        model_or_loss, title = StoredNetwork(model_or_loss), title or "a saved model"
    if not callable(model_or_loss):
        raise ConfigError(
            "This cannot be explained.",
            expected="a model, or a function that returns a loss",
            found=type(model_or_loss).__name__,
        )
    if isinstance(model_or_loss, StoredNetwork):
        names, train = model_or_loss.names(), False  # a file holds the network for inference
    else:
        names = variable_names(model_or_loss)
    dtype = _dtype(model_or_loss)
    model = model_or_loss if isinstance(model_or_loss, Module) else None
    if model is None:
        function, inputs = _of_function(model_or_loss, x, y, dtype)
        target = list(inputs)[1:2]  # the second argument, if there are two
    else:
        function, inputs = _of_model(model, loss, x, y, dtype, train, seed, optimizer)
        target = ["y"]
    if any(isinstance(leaf, np.ndarray) and leaf.shape[:1] == (0,) for leaf in flat(inputs)):
        raise DataError("There are no examples to explain.", expected="at least one row")
    learner = _optimizer(optimizer, lr, model_or_loss, function, inputs, names)
    step = record(function, inputs, target, names, learner)
    shapes = {path: node.type.shape for path, node in step.parameters.items()}
    wanted = [weight] if isinstance(weight, str) else list(weight or [])
    loss_name, loss_formula = ("L", "") if model is None else _name_and_formula(loss)
    return build(
        step,
        Names(step, model is not None),
        learner,
        model,
        weights=[parse_weight(one, shapes) for one in wanted] or _first_weight(step),
        loss_name=loss_name,
        loss_formula=loss_formula,
        title=title or _title(model_or_loss),
        notation=notation,
        story=story,
        notes=_notes(optimizer, lr, learner),
        show_c=show_c,
        labels={name: tuple(found) for name, found in (labels or {}).items()},
    )


def _title(model: Any) -> str:
    if isinstance(model, Module):
        return type(model).__name__
    name = getattr(model, "__name__", "loss")
    return "the loss" if name == "<lambda>" else str(name)


def _notes(optimizer: Any, lr: Any, learner: Optimizer) -> list[str]:
    if optimizer is not None or lr is not None:
        return []
    rate = learner.schedule.sequence(1)[0]
    return [
        f"No optimizer was given: plain gradient descent with a learning rate of {rate:g} is shown."
    ]


def _dtype(model: Any) -> Any:
    """The element type that numbers in lists take: that of the model."""
    found = model.parameters().values() if isinstance(model, Module) else []
    if not isinstance(model, Module):
        try:
            around = inspect.getclosurevars(inspect.unwrap(model))
            values = [*around.nonlocals.values(), *around.globals.values()]
        except TypeError:
            values = []
        found = [one for one in values if isinstance(one, Parameter)]
    return next((w.dtype for w in found), None)


# ---- models and functions ------------------------------------------------------------------------


def _of_model(
    model: Module, loss: Any, x: Any, y: Any, dtype: Any, train: bool, seed: int, optimizer: Any
) -> tuple[Callable[..., Any], dict[str, Any]]:
    error = _loss_function(loss, model)
    if x is None:
        raise ConfigError("A model is explained on examples.", hint="Give x and y.")
    inputs = {"x": as_arrays(x, dtype)}
    if y is not None:
        inputs["y"] = as_arrays(y, dtype)
    elif _takes_target(error):
        raise ConfigError("The loss needs a target.", hint="Give y: the targets for x.")
    number = optimizer.steps.item() if isinstance(optimizer, Optimizer) else 0
    draw = fold_in(key(seed), number) if train else None

    def step(x: Any, y: Any = None) -> Any:
        given = x if isinstance(x, tuple) else (x,)
        result = model(*given, train=train, key=draw)
        return error(result) if y is None else error(result, y), _tensors(result)

    return step, inputs


def _of_function(
    function: Callable[..., Any], x: Any, y: Any, dtype: Any
) -> tuple[Callable[..., Any], dict[str, Any]]:
    given = [one for one in (x, y) if one is not None]
    try:
        names = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        names = []
    names = [*names, *("xy"[len(names) :])][: len(given)]
    inputs = {name: as_arrays(one, dtype) for name, one in zip(names, given, strict=True)}

    def step(**named: Any) -> Any:
        return function(*named.values()), []

    return step, inputs


def _tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in flat(result) if isinstance(leaf, Tensor)]


def _loss_function(loss: Any, model: Module) -> Callable[..., Any]:
    if loss is None:
        raise ConfigError(
            "A model has no loss of its own: which loss is it trained with?",
            where=type(model).__name__,
            expected=f"loss=…, one of {', '.join(LOSSES)}, or a function",
            hint="mse suits regression, cross_entropy classification.",
        )
    if callable(loss):
        found: Callable[..., Any] = loss
        return found
    name = str(loss).replace("-", "_")
    if name not in LOSSES:
        raise unknown("loss", str(loss), LOSSES)
    return LOSSES[name]


def _takes_target(loss: Callable[..., Any]) -> bool:
    """Whether a loss needs a second argument."""
    try:
        found = inspect.signature(loss).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [
        p for p in found
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]  # fmt: skip
    return len(needed) > 1


def _name_and_formula(loss: Any) -> tuple[str, str]:
    """Name and formula of a loss: the formula is the first line of its docstring."""
    function = loss if callable(loss) else LOSSES[str(loss).replace("-", "_")]
    document = inspect.getdoc(function) or ""
    name = getattr(function, "__name__", type(function).__name__)
    return name, document.splitlines()[0].split(";")[0] if document else ""


def _optimizer(
    optimizer: Any, lr: Any, model: Any, function: Any, inputs: Any, names: Mapping[int, str]
) -> Optimizer:
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(model, Module):
        learned: Any = model
    else:
        read = [v for v in variables_read(function, inputs) if isinstance(v, Parameter)]
        learned = {names.get(id(v)) or v.name or f"w{i}": v for i, v in enumerate(read)}
    if not (learned.parameters() if isinstance(learned, Module) else learned):
        raise ConfigError(
            "There is nothing to learn.",
            expected="a model or function with parameters",
            hint="Create weights with cr.parameter(...).",
        )
    if optimizer is None:
        return SGD(learned, lr=_RATE if lr is None else lr)
    if optimizer not in OPTIMIZERS:
        raise unknown("optimizer", str(optimizer), OPTIMIZERS)
    return OPTIMIZERS[optimizer](learned) if lr is None else OPTIMIZERS[optimizer](learned, lr=lr)


def _first_weight(step: Step) -> list[str]:
    """The weight whose chain is shown: the first, or if its gradient is 0, the largest."""
    for node in step.order:
        for path, parameter in step.parameters.items():
            if parameter is not node or node not in step.gradients:
                continue
            gradient = step.values[step.gradients[node]]
            if not gradient.size or not np.any(gradient):
                continue
            sizes = np.nan_to_num(np.abs(gradient.reshape(-1)))
            best = 0 if sizes[0] > 0 else int(sizes.argmax())
            place = tuple(int(k) for k in np.unravel_index(best, node.type.shape))
            return [write(path, place)]
    return []
