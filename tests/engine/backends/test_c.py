"""The C backend against the NumPy backend: every operation and function, value and gradient."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine import pytree
from chainrule.engine.backends.c.lowerings import is_special
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.backends.numpy import Program
from chainrule.engine.ir.graph import Graph
from chainrule.engine.ir.operation import OPERATIONS
from chainrule.engine.ops.declare import FUNCTION_SAMPLES
from chainrule.engine.tensor import FUNCTIONS, apply

from ...nightly import by_night
from .flags import STRICT

#: Largest error, relative to the largest element or 1.
TOLERANCE = {np.dtype(np.float32): 4e-6, np.dtype(np.float64): 2e-13}
LEAVES = {"constant", "placeholder", "part"}
#: These have no kernel.
WITHOUT_KERNEL = {
    name
    for name, op in OPERATIONS.items()
    if not (op.view or op.c or op.reduction or is_special(op) or name in LEAVES)
}


#: What is arbitrary has no derivative.
ARBITRARY = {"complement"}
#: Families that are made of operations which other tests run in C: these are for the night.
BY_NIGHT = {
    *("arrangement", "images", "masked", "resizing", "special_functions", "statistics"),
    *("functions", "systems"),  # of matrices
}


def agree(found, expected, what):
    assert found.dtype == expected.dtype, what
    assert found.shape == expected.shape, what
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, err_msg=what)
        return
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))))
    np.testing.assert_allclose(
        found / scale,
        expected / scale,
        rtol=0,
        atol=TOLERANCE[expected.dtype],
        err_msg=what,
        equal_nan=True,
    )


def compare(graph, arrays, labels):
    """The program in C against NumPy's; each output has a label."""
    expected = Program(graph)(arrays)
    found = CProgram(graph, flags=STRICT)(arrays)
    for one, other, label in zip(found, expected, labels, strict=True):
        agree(one, other, label)


def weighted(results):
    """One number from all floating-point results, with weights that no symmetry cancels."""
    total = cr.as_tensor(0.0, "float64")
    for number, y in enumerate(results):
        if y.type.is_float:
            weights = np.cos(1.7 * np.arange(y.size) + number).reshape(y.shape).astype(y.dtype)
            total = total + cr.sum(y * weights).astype("float64")
    return total


def sample_graph(function, sample, dtype, gradients=True):
    """The graph of a function of the sample's floats: its results, and their gradients."""
    leaves, rebuild, _ = pytree.flatten(list(sample.inputs))
    places = [
        i for i, leaf in enumerate(leaves)
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f"
    ]  # fmt: skip
    arrays = [leaves[i].astype(dtype) for i in places]

    def call(*floats):
        filled = list(leaves)
        for i, x in zip(places, floats, strict=True):
            filled[i] = x
        found = function(*rebuild(filled), **sample.attributes)
        return [cr.as_tensor(y) for y in pytree.flatten(found)[0]]

    def both(*floats):
        results = call(*floats)
        if not gradients or not places or not any(y.type.is_float for y in results):
            return results
        slopes = cr.grad(lambda *x: weighted(call(*x)), argnums=tuple(range(len(places))))
        return results, slopes(*floats)

    return cr.trace(both, *arrays).graph, arrays


def of_operation(name):
    op = OPERATIONS[name]
    return lambda *inputs, **attributes: apply(op, *map(cr.as_tensor, inputs), **attributes)


#: Everything there are samples of: what is to be compared in C, by name.
OPERATION_CALLS = {
    name: (of_operation(name), list(OPERATIONS[name].samples()))
    for name in sorted(set(OPERATIONS) - LEAVES - WITHOUT_KERNEL)
}
FUNCTION_CALLS = {
    name: (FUNCTIONS[name], list(FUNCTION_SAMPLES[name]())) for name in sorted(FUNCTION_SAMPLES)
}


def in_parts(names, size=6):
    """The names in groups; each makes one program, for most of building a small one is to begin."""
    groups = [names[i : i + size] for i in range(0, len(names), size)]
    return [pytest.param(group, id=f"{group[0]}-{group[-1]}") for group in groups]


def family(name):
    """The module that declares a function."""
    return FUNCTIONS[name].__module__.rpartition(".")[2]


def functions_in_parts():
    """Those of the day, and those of the night."""
    by_day = [name for name in FUNCTION_CALLS if family(name) not in BY_NIGHT]
    rest = in_parts([name for name in FUNCTION_CALLS if family(name) in BY_NIGHT], 20)
    return [*in_parts(by_day), *(by_night(*part.values) for part in rest)]


def check_samples(cases, names, dtypes):
    """All samples of these names, with their gradients, as one program."""
    graphs, labels = [], []
    for name in names:
        function, samples = cases[name]
        for number, sample in enumerate(samples):
            for dtype in dtypes:
                graphs.append(sample_graph(function, sample, dtype, name not in ARBITRARY))
                labels += [f"{name}, sample {number}, {dtype}"] * len(graphs[-1][0].outputs)
    merged = Graph(
        [node for graph, _ in graphs for node in graph.inputs],
        [node for graph, _ in graphs for node in graph.outputs],
    )
    compare(merged, [array for _, arrays in graphs for array in arrays], labels)


BOTH = ("float64", "float32")


@pytest.mark.parametrize(
    "names", in_parts([name for name, (_, samples) in OPERATION_CALLS.items() if samples])
)
def test_operations(names):
    check_samples(OPERATION_CALLS, names, BOTH)


@pytest.mark.parametrize("dtype", ["float64", by_night("float32")])
@pytest.mark.parametrize("names", functions_in_parts())
def test_functions(names, dtype):
    """They are made of operations, which are tested in both element types."""
    check_samples(FUNCTION_CALLS, names, (dtype,))


def test_every_operation_has_a_kernel():
    """But for what is gone from a graph before kernels are chosen."""
    assert {"own_derivative"} == WITHOUT_KERNEL
