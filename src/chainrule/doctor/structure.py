"""What the graph of the network, its loss and its optimizer say before the first step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engine import pytree
from ..engine.compile import Traced, trace
from ..engine.ir.node import Node
from ..engine.ir.types import Type
from ..engine.ir.work import work
from ..engine.ops.random import key
from ..engine.tensor import Parameter, Variable
from ..errors import ChainruleError
from ..losses.registry import find_loss
from ..nn import (
    BatchNorm,
    Dropout,
    GroupNorm,
    LayerNorm,
    Linear,
    Module,
    RMSNorm,
)
from ..optim import Optimizer, Schedule
from ..training import Arrays
from ..utils.typing import Array
from .evidence import Structure

_NORMALISATIONS = (BatchNorm, LayerNorm, GroupNorm, RMSNorm)
_ROWS = 8
_SAME = 1e-6
#: Networks whose prediction of a row takes more multiplications than this are not run, only read.
_MOST_WORK = 2e7


def structure_of(
    model: Module, loss: Any, optimizer: Optimizer | None, examples: Arrays, name: str = ""
) -> Structure:
    """The facts of a network, and of what it is trained with.

    Args:
        model: the network.
        loss: a function of prediction and target; None if it is not known.
        optimizer: None if it is not known.
        examples: some rows with their target.
        name: of the loss, if it cannot be found by its function.
    """
    known = find_loss(loss) if loss is not None else None
    found = Structure(loss=known.name if known else name)
    if known is not None:
        found.loss_output = known.output
        found.task = "regression" if "regression" in known.tasks else known.tasks[0]
        if known.name == "cross_entropy":
            found.task = "multiclass"
    elif examples.target is not None:  # a loss of the user's own: the target tells
        found.task = "multiclass" if examples.target.dtype.kind in "iu" else "regression"
    _add_weights(found, model)
    if optimizer is not None:
        _add_optimizer(found, model, optimizer)
    try:
        _add_graph(found, model, loss, examples)
    except (ChainruleError, ValueError, TypeError):  # the fit itself will say what is wrong
        return found
    return found


# ---- weights and optimizer -----------------------------------------------------------------------


def _add_weights(found: Structure, model: Module) -> None:
    parameters = model.parameters()
    found.parameters = sum(p.size for p in parameters.values())
    found.sizes = {path: p.size for path, p in parameters.items()}
    found.frozen = [path for path, p in parameters.items() if not p.requires_grad]
    modules = dict(model.named_modules())
    found.normalised = any(isinstance(m, _NORMALISATIONS) for m in modules.values())
    found.batch_norm = [path for path, m in modules.items() if isinstance(m, BatchNorm)]
    rates = [float(m.p) for m in modules.values() if isinstance(m, Dropout)]
    found.dropout = max(rates, default=0.0)
    matrices = layers_with_weights(model)
    found.hidden_layers = max(len(matrices) - 1, 0)
    widths = [weight.shape[-1] for weight in list(matrices.values())[:-1]]
    found.narrowest = min(widths, default=0)
    for path, weight in matrices.items():
        values = np.asarray(weight.numpy(), np.float64)
        fan_in = math.prod(values.shape[:-1])
        found.gains[path] = float(values.std() * math.sqrt(fan_in))
        columns = values.reshape(fan_in, -1)
        if fan_in > 1 and _alike(columns):
            found.symmetric.append(path)


def _alike(columns: Array) -> bool:
    """Whether all columns, of which there are several, are the same."""
    size = float(np.abs(columns).max(initial=0.0))
    return columns.shape[1] > 1 and bool(np.ptp(columns, axis=1).max() <= _SAME * size)


def still_symmetric(structure: Structure, model: Module) -> list[str]:
    """Of the weights whose units started alike, those whose units are so after some training."""
    matrices = layers_with_weights(model)
    return [
        path
        for path in structure.symmetric
        if path in matrices
        and _alike(np.asarray(matrices[path].numpy()).reshape(-1, matrices[path].shape[-1]))
    ]


def layers_with_weights(model: Module) -> dict[str, Parameter]:
    """The weights of linear layers and convolutions, by path, in the order of the attributes."""
    found = {}
    for path, module in model.named_modules():
        weight = getattr(module, "weight", None)
        plain = isinstance(module, Linear) or type(module).__name__.startswith("Conv")
        if plain and isinstance(weight, Parameter) and weight.ndim >= 2:
            found[f"{path}.weight".lstrip(".")] = weight
    return found


def _add_optimizer(found: Structure, model: Module, optimizer: Optimizer) -> None:
    theirs = {id(w) for w in optimizer.parameters().values()}
    found.unlisted = [
        path for path, w in model.trainable_parameters().items() if id(w) not in theirs
    ]
    found.optimizer = type(optimizer).__name__.lower()
    found.lr = _first_rate(optimizer)
    found.weight_decay = float(optimizer.weight_decay + optimizer.l2)
    found.l1 = float(optimizer.l1)


def _first_rate(optimizer: Optimizer) -> float:
    rate = optimizer.lr
    if not isinstance(rate, Schedule):
        return float(rate)
    config = rate.to_config()
    while "schedule" in config:
        config = config["schedule"]
    return float(config.get("max_lr") or config.get("lr") or 0.0)


# ---- graph ---------------------------------------------------------------------------------------


def _add_graph(found: Structure, model: Module, loss: Any, examples: Arrays) -> None:
    rows = min(len(examples), _ROWS)
    inputs = pytree.map_leaves(lambda a: Type(a.dtype, (rows, *a.shape[1:])), examples.inputs)

    def predict(x: Any) -> Any:
        return model(x, train=True, key=key(0))

    traced = trace(predict, inputs)
    found.nodes = len(traced.graph.nodes)
    found.work = work(traced.graph) / rows
    _add_output(found, model, traced, examples.take(np.arange(rows)).inputs)
    found.linear_pairs = _linear_pairs(traced, model)
    if loss is None or examples.target is None:
        return
    target = Type(examples.target.dtype, (rows, *examples.target.shape[1:]))
    whole = trace(lambda x, y: loss(predict(x), y), inputs, target)
    reached = {id(variable) for variable in whole.variables}
    found.unreached = [p for p, w in model.parameters().items() if id(w) not in reached]


def _add_output(found: Structure, model: Module, traced: Traced, inputs: Any) -> None:
    count = len(traced.graph.outputs) - len(traced.assigned)
    if count != 1:
        return
    output = traced.graph.outputs[0]
    found.outputs = int(math.prod(output.type.shape[1:]))
    last = output
    while last.op.moves and last.inputs:
        last = last.inputs[0]
    if last.op.range is not None:
        found.output_operation = last.op.name
        found.output_range = last.op.range
    if found.work > _MOST_WORK:
        return
    leaves = pytree.flatten(inputs)[0]
    single = len(leaves) == 1 and leaves[0].dtype.kind == "f"
    with np.errstate(all="ignore"):
        values = np.asarray(model(inputs).numpy(), np.float64)
        if values.ndim >= 2 and values.shape[-1] > 1 and (values >= 0).all():
            found.rows_sum_to_one = bool(np.allclose(values.sum(axis=-1), 1, atol=1e-3))
        if single and found.hidden_layers and not found.batch_norm:
            found.is_linear = _is_linear(model, inputs, values)


def _is_linear(model: Module, x: Any, y: Any) -> bool:
    """Whether the network gives, half-way between inputs, what is half-way between outputs."""
    y_other = y[::-1]
    scale = np.abs(y - y.mean(axis=0)).max()
    if not np.isfinite(scale) or scale <= 1e-6 * np.abs(y).max() or len(y) < 4:
        return False
    for share in (0.5, 2.0):  # and beyond, where a piecewise linear function would bend
        between = model(_mixed(x, share)).numpy()
        expected = share * y + (1 - share) * y_other
        if not np.abs(between - expected).max() <= 1e-3 * scale:
            return False
    return True


def _mixed(x: Any, share: float) -> Any:
    """Each input with another one."""
    return pytree.map_leaves(lambda a: (share * a + (1 - share) * a[::-1]).astype(a.dtype), x)


def _linear_pairs(traced: Traced, model: Module) -> list[str]:
    """Layers whose input is the output of another layer, with nothing but a bias between.

    A pair through a bottleneck, narrower than both its sides, is meant so and is left out.
    """
    graph = traced.graph
    first = len(graph.inputs) - len(traced.variables)
    weights: dict[Node, Variable] = {
        graph.inputs[first + number]: variable
        for number, variable in enumerate(traced.variables)
        if isinstance(variable, Parameter)
    }
    paths = {id(w): path for path, w in layers_with_weights(model).items()}
    found = []
    for node in graph.nodes:
        weight = _weight_of(node, weights)
        if weight is None or id(weight) not in paths:
            continue
        before = _product_before(node.inputs[0], weights)
        earlier = None if before is None else _weight_of(before, weights)
        if earlier is None or id(earlier) not in paths:
            continue
        if earlier.shape[-1] < min(earlier.shape[-2], weight.shape[-1]):
            continue
        found.append(paths[id(weight)].removesuffix(".weight"))
    return found


def _weight_of(node: Node, weights: dict[Node, Variable]) -> Variable | None:
    if not node.op.linear or len(node.inputs) < 2:
        return None
    return weights.get(node.inputs[1])


def _product_before(node: Node, weights: dict[Node, Variable]) -> Node | None:
    """The product with weights that a node is a linear function of, if it is one."""
    while _keeps_linear(node):
        operands = [x for x in node.inputs if _depends(x, weights)]
        if len(operands) != 1:
            return None
        node = operands[0]
    return node if _weight_of(node, weights) is not None else None


def _keeps_linear(node: Node) -> bool:
    """Whether it is a linear function of an operand, if the others are constant."""
    return node.op.moves or node.op.scales or node.op.additive or node.op.name == "where"


def _depends(node: Node, weights: dict[Node, Variable]) -> bool:
    """Whether a node is more than a bias, a constant or a mask."""
    while node.op.moves and node.inputs:
        node = node.inputs[0]
    return bool(node.inputs) and node not in weights and node.type.is_float
