"""Runs one training step and keeps everything: every value, every gradient, every contribution.

The graph is the one that a training step traces: the forward pass, the chain rule's own walk back
through it, and the optimizer's update, before any pass has simplified it. Only loops over time are
unrolled, and common subexpressions are merged.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine import pytree
from ..engine.autodiff import pull_back
from ..engine.compile import Traced, trace
from ..engine.ir.graph import Graph, topological_order
from ..engine.ir.node import CONSTANT, PLACEHOLDER, Node, constant, placeholder
from ..engine.ir.types import Type, as_value
from ..engine.ops import ones_like
from ..engine.ops.check import CHECK
from ..engine.passes import eliminate_common_subexpressions
from ..engine.passes.rewrite import rewrite, with_inputs
from ..engine.tensor import TRACE_BIT, Parameter, Tensor, Variable, as_tensor
from ..errors import ChainruleError, ConfigError, DataError, DerivativeError
from ..nn import Module
from ..optim import Optimizer
from .unroll import Unrolled

#: Up to this many parameters every number of the update is kept.
_ALL_OF_UPDATE = 200_000


@dataclass
class Step:
    """What one training step computed.

    Attributes:
        loss: the node of the loss.
        outputs: the outputs of the network, in order.
        order: all nodes of the forward pass, inputs first.
        inputs: the nodes of the arguments by name.
        target: the names of the targets among them.
        variables: paths of the variables by node.
        parameters: nodes of the parameters, by path.
        gradients: for each node that the loss depends on through something learned, or for an
            input, the node of its gradient.
        flows: (consumer, position, contribution) for each input of a node in the backward pass.
        update: the nodes of the fourth step.
        values: the value of every node.
        time: for nodes of a loop over time their time step.
        twin: for such nodes the one of the loop's body, which all time steps share.
        kept_loops: loops that were too long to be unrolled.
        attention: the nodes that are the weights of an attention.
    """

    loss: Node
    outputs: list[Node]
    order: list[Node]
    inputs: dict[str, Node]
    target: set[str]
    variables: dict[Node, str]
    parameters: dict[str, Node]
    gradients: dict[Node, Node]
    flows: list[tuple[Node, int, Node]]
    update: Updated
    values: dict[Node, Any]
    time: dict[Node, int]
    twin: dict[Node, Node]
    kept_loops: list[Node]
    attention: set[Node]


@dataclass
class Updated:
    """The nodes of the fourth step.

    Attributes:
        given: by path the gradient that the optimizer got.
        new: by path the new value of the parameter.
        own: by path the name of the parameter in the optimizer.
        before: the optimizer state by its own names: the node of the old value.
        after: the same for the new value.
        loss: the loss with the new parameters.
    """

    given: dict[str, Node] = field(default_factory=dict)
    new: dict[str, Node] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    before: dict[str, Node] = field(default_factory=dict)
    after: dict[str, Node] = field(default_factory=dict)
    loss: float = float("nan")


def record(
    function: Callable[..., Any],
    inputs: Mapping[str, Any],
    target: Iterable[str],
    names: Mapping[int, str],
    optimizer: Optimizer,
) -> Step:
    """Trace a step, run it, keep all values.

    Args:
        function: takes the inputs by name; returns the loss and the outputs of the network.
        inputs: arrays by name, or pytrees of arrays.
        target: which of the inputs are targets.
        names: paths of variables by their identity.
        optimizer: computes the update; it is not changed.

    Raises:
        DerivativeError: the loss is not a single number.
        ConfigError: nothing is learned.
        DataError: an index among the inputs is out of range.
    """
    target = list(target)
    traced = trace(lambda **given: function(**given), **inputs)
    count = len(traced.graph.outputs) - len(traced.assigned)
    graph = _checked(Graph(traced.graph.inputs, traced.graph.outputs[:count]), traced, inputs)
    merged = eliminate_common_subexpressions(graph)
    unrolled = Unrolled(merged)
    graph = unrolled.graph
    loss, *outputs = graph.outputs
    _need_single_number(loss)
    leaves = _named_leaves(inputs)
    arguments = dict(zip([name for name, _ in leaves], graph.inputs, strict=False))
    learned = _learned(optimizer, names)
    read = dict(zip(graph.inputs[len(leaves) :], traced.variables, strict=True))
    nodes, variables, values = _variables(read, learned, names)
    values |= {
        node: as_tensor(leaf).numpy() for node, (_, leaf) in zip(graph.inputs, leaves, strict=False)
    }
    targets = {n for n in arguments if any(_inside(n, one) for one in target)}
    given = [node for name, node in arguments.items() if name not in targets]
    floats = [node for node in given if node.type.is_float]
    gradients, flows = _backward(loss, [*nodes.values(), *floats])
    step = Step(
        loss=loss,
        outputs=outputs,
        order=topological_order([*given, *outputs, loss, *nodes.values()]),
        inputs=arguments,
        target=targets,
        variables=variables,
        parameters=nodes,
        gradients=gradients,
        flows=flows,
        update=Updated(),
        values=values,
        time=unrolled.step,
        twin=unrolled.twin,
        kept_loops=unrolled.kept,
        attention=unrolled.weights,
    )
    _update(step, optimizer, learned)
    _run(step)
    return step


def _variables(
    read: Mapping[Node, Variable], learned: Mapping[str, Parameter], names: Mapping[int, str]
) -> tuple[dict[str, Node], dict[Node, str], dict[Node, Any]]:
    """The nodes of the parameters, by path; of all variables the paths, and the values.

    What the loss does not read gets a node, too: the optimizer may change it all the same.
    """
    of = {id(variable): node for node, variable in read.items()}
    if not any(id(w) in of for w in learned.values()):
        raise ConfigError(
            "The loss depends on nothing that the optimizer changes.",
            expected="an optimizer of the parameters of this model",
            found=", ".join(list(learned)[:6]),
        )
    paths = {
        node: names.get(id(variable)) or variable.name or f"w{number}"
        for number, (node, variable) in enumerate(read.items())
    }
    values: dict[Node, Any] = {node: variable.numpy() for node, variable in read.items()}
    nodes = {path: of.get(id(w)) or placeholder(w.type, path, TRACE_BIT)
             for path, w in learned.items()}  # fmt: skip
    for path, w in learned.items():
        paths.setdefault(nodes[path], path)
        values.setdefault(nodes[path], w.numpy())
    return nodes, paths, values


def _run(step: Step) -> None:
    """Compute all that a step has, and the loss after it."""
    update = step.update
    sent = [contribution for _, _, contribution in step.flows]
    evaluate([*step.order, *step.gradients.values(), *sent, *update.given.values()], step.values)
    # Of the update only results and shared numbers are kept: a large network has no room for more.
    results = [*update.new.values(), *update.after.values()]
    shared = [node for node in topological_order(results) if not node.type.shape]
    few = sum(node.type.size for node in step.parameters.values()) <= _ALL_OF_UPDATE
    evaluate([*results, *shared], step.values, None if few else {*results, *shared})
    update.loss = _loss_after(step)


def _inside(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def _need_single_number(loss: Node) -> None:
    if loss.type.size != 1 or not loss.type.is_float:
        raise DerivativeError(
            "This function is not a loss: a loss is a single number.",
            expected="one floating-point number",
            found=str(loss.type),
            hint="Average it: loss.mean(). For a model, say which loss it is trained with: "
            "loss='mse' or loss='cross_entropy'.",
        )


def _named_leaves(inputs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The arrays in the inputs, with names such as ``x`` or ``x.price``."""
    found: list[tuple[str, Any]] = []

    def walk(name: str, item: Any) -> None:
        if isinstance(item, dict):
            for key, inner in item.items():
                walk(f"{name}.{key}", inner)
        elif isinstance(item, list | tuple):
            for number, inner in enumerate(item):
                walk(f"{name}.{number}", inner)
        elif isinstance(item, Tensor | np.ndarray | np.generic | float) and not isinstance(
            item, Variable
        ):
            found.append((name, item))

    for name, item in inputs.items():
        walk(name, item)
    return found


def _learned(optimizer: Optimizer, names: Mapping[int, str]) -> dict[str, Parameter]:
    """What the optimizer changes, by path.

    Raises:
        ConfigError: there is no such thing.
    """
    learned = {p: w for p, w in optimizer.parameters().items() if w.requires_grad}
    if not learned:
        raise ConfigError(
            "There is nothing to learn.",
            expected="a model with parameters that are not frozen",
            hint="Create weights with cr.parameter(...), or unfreeze them.",
        )
    return {names.get(id(w), p): w for p, w in learned.items()}


def _backward(
    loss: Node, targets: list[Node]
) -> tuple[dict[Node, Node], list[tuple[Node, int, Node]]]:
    """The third step, as every gradient of chainrule is computed."""
    gradients: dict[Node, Node] = {}
    flows: list[tuple[Node, int, Node]] = []

    def on_flow(node: Node, position: int, upstream: Tensor | None, sent: Tensor) -> None:
        if upstream is not None:
            gradients[node] = upstream.node
        flows.append((node, position, sent.node))

    start = Tensor(loss)
    found = pull_back([start], [ones_like(start)], targets, TRACE_BIT, on_flow)
    for target, gradient in zip(targets, found, strict=True):
        if gradient is not None:
            gradients[target] = gradient.node
    return gradients, flows


def _update(step: Step, optimizer: Optimizer, learned: dict[str, Parameter]) -> None:
    """The fourth step, traced on its own and appended to the others."""
    own_paths = {id(w): path for path, w in optimizer.parameters().items()}
    step.update.own = {path: own_paths[id(w)] for path, w in learned.items()}

    def update(gradients: dict[str, Tensor], loss: Tensor) -> None:
        optimizer.update(gradients, loss=loss)

    types = {own_paths[id(w)]: w.type for w in learned.values()}
    traced = trace(update, types, step.loss.type)
    names = {id(kept): name for name, kept in optimizer.buffers().items()}
    new = _joined(step, traced, learned, names)
    for node in traced.graph.nodes:
        if node not in new:
            new[node] = with_inputs(node, tuple(new[source] for source in node.inputs))
    paths = {id(w): path for path, w in learned.items()}
    outputs = traced.graph.outputs[len(traced.graph.outputs) - len(traced.assigned) :]
    for variable, output in zip(traced.assigned, outputs, strict=True):
        if id(variable) in paths:
            step.update.new[paths[id(variable)]] = new[output]
        else:
            step.update.after[names.get(id(variable), variable.name or "state")] = new[output]


def _joined(
    step: Step, traced: Traced, learned: dict[str, Parameter], names: Mapping[int, str]
) -> dict[Node, Node]:
    """For each input of the traced update the node of the step that it gets.

    Its inputs are the gradients, the loss if it is used, and the variables: parameters, and the
    optimizer state, which has no node in the step yet.
    """
    inputs = traced.graph.inputs
    first = len(inputs) - len(traced.variables)
    new: dict[Node, Node] = {}
    for node, (path, w) in zip(inputs, learned.items(), strict=False):
        gradient = step.gradients.get(step.parameters[path])
        if gradient is None:  # the loss does not depend on it
            gradient = constant(np.broadcast_to(w.dtype.type(0), w.shape))
        new[node] = step.update.given[path] = gradient
    if first > len(learned):
        new[inputs[len(learned)]] = step.loss
    places = {id(w): step.parameters[path] for path, w in learned.items()}
    for node, variable in zip(inputs[first:], traced.variables, strict=True):
        if id(variable) in places:
            new[node] = places[id(variable)]
        else:
            name = names.get(id(variable), variable.name or "state")
            new[node] = step.update.before[name] = placeholder(node.type, name, TRACE_BIT)
            step.values[new[node]] = variable.numpy()
    return new


def evaluate(
    wanted: Iterable[Node], values: dict[Node, Any], keep: set[Node] | None = None
) -> None:
    """Compute the nodes with NumPy, as each operation is defined.

    Args:
        wanted: the nodes.
        values: what is known; it learns the others.
        keep: of what is new keep only these; everything without.
    """
    order = topological_order(wanted, values)
    uses = Counter(source for node in order for source in set(node.inputs))
    new = set(order)
    with np.errstate(all="ignore"):
        for node in order:
            if node.op is CONSTANT:
                values[node] = node.value
                continue
            assert node.op.compute is not None
            operands = [values[source] for source in node.inputs]
            if node.op.moves and node.op.indices and operands[node.op.indices].min(initial=0) < 0:
                raise _out_of_range(node, operands, "")
            try:
                values[node] = as_value(node.op.compute(np, *operands, **node.attributes))
            except IndexError as error:
                raise _out_of_range(node, operands, str(error)) from None
            for source in set(node.inputs) if keep is not None else ():
                uses[source] -= 1
                done = not uses[source] and source in new and source.op is not CONSTANT
                if done and source not in (keep or ()):
                    del values[source]


def _checked(graph: Graph, traced: Traced, inputs: Mapping[str, Any]) -> Graph:
    """The graph without the checks of values, which hold: they are no part of the mathematics."""
    checks = [node for node in graph.nodes if node.op is CHECK]
    if not checks:
        return graph
    given = [leaf for _, leaf in _named_leaves(inputs)] + traced.variables
    values = {n: as_tensor(x).numpy() for n, x in zip(graph.inputs, given, strict=True)}
    evaluate(checks, values)
    return rewrite(graph, lambda node, before: node.inputs[0] if node.op is CHECK else node)


def _out_of_range(node: Node, operands: list[Any], found: str) -> ChainruleError:
    """An index that is out of range: usually a class index in the target."""
    indices = next((x for x in operands[1:] if x.dtype.kind in "iu"), None)
    axis = node.attributes.get("axis", 0)
    extent = node.inputs[0].type.shape[axis]
    if indices is not None and indices.size:
        wrong = indices[(indices < 0) | (indices >= extent)].ravel()
        found = ", ".join(str(i) for i in np.unique(wrong)[:5].tolist())
    return DataError(
        "An integer in the data is out of range: there is no such class or token.",
        where=str(node.origin) if node.origin and str(node.origin) else None,
        expected=f"from 0 to {extent - 1}",
        found=found,
        hint="Class indices start at 0; a network with k outputs knows 0 to k - 1.",
    )


def _loss_after(step: Step) -> float:
    """The forward pass once more, with the new parameters."""
    values = {node: step.values[node] for node in step.order if node.op is PLACEHOLDER}
    for path, node in step.update.new.items():
        values[step.parameters[path]] = step.values[node]
    evaluate([step.loss], values, {step.loss})
    return float(values[step.loss].item())


# ---- the user's arguments ----------------------------------------------------------------------


def variable_names(function: Any) -> dict[int, str]:
    """Paths of the variables of a model, or of those in the closure of a function."""
    if isinstance(function, Module):
        return {id(v): path for path, v in function.variables().items()}
    names: dict[int, str] = {}
    try:
        around = inspect.getclosurevars(inspect.unwrap(function))
    except TypeError:
        return names
    for name, found in {**around.globals, **around.nonlocals}.items():
        collect_names(name, found, names)
    return names


def collect_names(name: str, found: Any, names: dict[int, str]) -> None:
    """The variables in a module, list or dict, by ``name`` and their path in it."""
    if isinstance(found, Variable):
        names.setdefault(id(found), name)
    elif isinstance(found, Module):
        for path, variable in found.variables().items():
            names.setdefault(id(variable), f"{name}.{path}")
    elif isinstance(found, dict):
        for key, item in found.items():
            collect_names(f"{name}.{key}", item, names)
    elif isinstance(found, list | tuple) and not isinstance(found, Type):
        for number, item in enumerate(found):
            collect_names(f"{name}.{number}", item, names)


def variables_read(function: Callable[..., Any], inputs: Mapping[str, Any]) -> list[Variable]:
    """The variables that a function reads, in the order in which it reads them."""
    return trace(lambda **given: function(**given), **inputs).variables


def as_arrays(data: Any, dtype: Any = None) -> Any:
    """Lists of numbers as arrays; tensors, arrays and dicts of them stay what they are."""
    if isinstance(data, dict):
        return {str(key): as_arrays(item, dtype) for key, item in data.items()}
    if isinstance(data, tuple):
        return tuple(as_arrays(item, dtype) for item in data)
    if isinstance(data, Tensor):
        return data.numpy()
    if hasattr(data, "to_numpy"):
        data = data.to_numpy()
    if isinstance(data, np.ndarray):
        return as_tensor(data).numpy()
    array = np.asarray(data)
    if array.dtype.kind == "f" and dtype is not None:
        array = array.astype(dtype)
    elif array.dtype.kind == "f":
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        raise DataError(
            "The data are not numbers.",
            expected="arrays, tensors, or lists of numbers",
            found=type(data).__name__,
        )
    return array


def flat(data: Any) -> list[Any]:
    """The arrays in the data."""
    leaves: list[Any] = pytree.flatten(data)[0]
    return leaves
