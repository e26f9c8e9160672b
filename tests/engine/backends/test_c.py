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

STRICT = ("-Wall", "-Wextra", "-Werror")
#: Largest error, relative to the largest element or 1.
TOLERANCE = {np.dtype(np.float32): 4e-6, np.dtype(np.float64): 2e-13}
LEAVES = {"constant", "placeholder", "part"}
#: These have no kernel.
WITHOUT_KERNEL = {
    name
    for name, op in OPERATIONS.items()
    if not (op.view or op.c or op.reduction or is_special(op) or name in LEAVES)
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


def compare(graph, arrays, what, **options):
    expected = Program(graph)(arrays)
    found = CProgram(graph, flags=STRICT, **options)(arrays)
    for number, pair in enumerate(zip(found, expected, strict=True)):
        agree(*pair, f"{what}, output {number}")


def weighted(results):
    """One number from all floating-point results, with weights that no symmetry cancels."""
    total = cr.as_tensor(0.0, "float64")
    for number, y in enumerate(results):
        if y.type.is_float:
            weights = np.cos(1.7 * np.arange(y.size) + number).reshape(y.shape).astype(y.dtype)
            total = total + cr.sum(y * weights).astype("float64")
    return total


def sample_graph(function, sample, dtype, gradient):
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
        if not gradient or not places or not any(y.type.is_float for y in results):
            return results
        slopes = cr.grad(lambda *x: weighted(call(*x)), argnums=tuple(range(len(places))))
        return results, slopes(*floats)

    return cr.trace(both, *arrays).graph, arrays


def check_samples(function, samples, name, gradient=True):
    """All samples in both element types as one program."""
    graphs = [
        sample_graph(function, sample, dtype, gradient)
        for sample in samples
        for dtype in (np.float64, np.float32)
    ]
    merged = Graph(
        [node for graph, _ in graphs for node in graph.inputs],
        [node for graph, _ in graphs for node in graph.outputs],
    )
    compare(merged, [array for _, arrays in graphs for array in arrays], name)


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - LEAVES - WITHOUT_KERNEL))
def test_operation(name):
    op = OPERATIONS[name]
    samples = list(op.samples())
    if not samples:
        pytest.skip("no samples")

    def function(*inputs, **attributes):
        return apply(op, *map(cr.as_tensor, inputs), **attributes)

    check_samples(function, samples, name)


@pytest.mark.parametrize("name", sorted(FUNCTION_SAMPLES))
def test_function(name):
    check_samples(FUNCTIONS[name], list(FUNCTION_SAMPLES[name]()), name)


def test_every_operation_has_a_kernel():
    assert not WITHOUT_KERNEL
