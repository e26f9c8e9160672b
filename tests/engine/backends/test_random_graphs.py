"""Random graphs, values and gradients: the C backend against the NumPy backend.

CHAINRULE_RANDOM_GRAPHS sets how many: 150 by default, 10,000 and more for a long night.
"""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.backends.numpy import Program
from chainrule.engine.ir.graph import Graph
from chainrule.engine.passes import optimize

from . import random_graphs
from .flags import STRICT
from .random_graphs import RandomFunction, instructions
from .test_c import weighted

_BATCH = 10
_COUNT = int(os.environ.get("CHAINRULE_RANDOM_GRAPHS", "150"))


def graph_of(program, smooth, dtype, seed):
    function = RandomFunction(program, smooth=smooth)
    arrays = random_graphs.inputs(dtype, seed)
    function(*map(cr.as_tensor, arrays))

    def both(*floats):
        results = function(*floats)
        if not smooth:
            return results
        return results, cr.grad(lambda *x: weighted(function(*x)), argnums=(0, 1, 2))(*floats)

    return cr.trace(both, *arrays).graph, arrays


@pytest.mark.parametrize("smooth", [True, False])
def test_random_graphs(smooth):
    @settings(
        max_examples=max(_COUNT // _BATCH // 2, 1),
        deadline=None,
        phases=[Phase.generate],  # to shrink would mean hundreds of programs to build
        suppress_health_check=list(HealthCheck),
        derandomize="CHAINRULE_RANDOM_GRAPHS" not in os.environ,
        database=None,
    )
    @given(
        st.lists(instructions, min_size=_BATCH, max_size=_BATCH),
        st.integers(0, 1000),
        st.booleans(),
    )
    def check(programs, seed, fuse):
        pairs = [graph_of(program, smooth, np.float64, seed) for program in programs]
        graph = Graph(
            [node for one, _ in pairs for node in one.inputs],
            [node for one, _ in pairs for node in one.outputs],
        )
        arrays = [array for _, given in pairs for array in given]
        optimized = optimize(graph)
        optimized.verify()
        expected = Program(graph)(arrays)
        owner = [number for number, (one, _) in enumerate(pairs) for _ in range(len(one.outputs))]
        for run, name in (
            (Program(optimized), "the passes"),
            (CProgram(graph, fuse=fuse, flags=STRICT), "the C program"),
        ):
            for number, pair in zip(owner, zip(run(arrays), expected, strict=True), strict=True):
                agree_loosely(*pair, f"{name} of {programs[number]}, seed {seed}")

    check()


def agree_loosely(found, expected, what):
    """Long chains magnify the last bit."""
    assert found.dtype == expected.dtype, what
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-9, err_msg=what)


def updating(program, seed, **options):
    """A step that gives three variables new values that depend on all of them in random ways."""
    arrays = random_graphs.inputs(np.float64, seed)
    function = RandomFunction(program, smooth=True)
    function(*map(cr.as_tensor, arrays))
    variables = [cr.Buffer(array) for array in arrays]

    def step():
        results = function(*variables)
        for number, variable in enumerate(variables):
            y = results[number % len(results)]
            choice = program[number % len(program)][3]
            if y.shape != variable.shape:
                y = variable * 0.5 + cr.mean(y)
            if choice & 1:
                y = y + cr.flip(variable)
            if choice & 2:
                y = y * variables[number - 1].mean()
            variable.assign(cr.tanh(y))
        return cr.mean(results[-1])

    return variables, cr.compile(step, **options)


def test_random_updates():
    """Variables are overwritten in place only where nobody needs the old value any more."""

    @settings(
        max_examples=max(_COUNT // 10, 1),
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize="CHAINRULE_RANDOM_GRAPHS" not in os.environ,
        database=None,
    )
    @given(instructions, st.integers(0, 1000), st.booleans())
    def check(program, seed, guard):
        expected, reference = updating(program, seed, backend="numpy", guard=guard)
        found, native = updating(program, seed, backend="c", guard=guard)
        for _ in range(3):
            agree_loosely(native().numpy(), reference().numpy(), f"result of {program}")
            for one, other in zip(found, expected, strict=True):
                agree_loosely(one.numpy(), other.numpy(), f"variable of {program}, seed {seed}")

    check()
