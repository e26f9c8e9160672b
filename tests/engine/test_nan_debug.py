"""The search for the first number that is not finite, inside of loops and calls, too."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.nan_debug import BadNumber, first_bad_number


def found_in(function: Any, *arrays: Any) -> BadNumber:
    found = first_bad_number(cr.trace(function, *arrays).graph, [np.asarray(x) for x in arrays])
    assert found is not None
    return found


def logarithms(reverse: bool = False) -> Any:
    def run(x: Any) -> Any:
        def body(c: Any, x: Any) -> Any:
            return 0.5 * c + cr.log(x), cr.exp(c)

        return cr.scan(body, cr.tensor(1.0, "float64"), x, reverse=reverse)[0]

    return run


@pytest.mark.parametrize(("reverse", "step"), [(False, 2), (True, 4)])
def test_the_step_of_a_loop_is_named(reverse: bool, step: int) -> None:
    found = found_in(logarithms(reverse), np.array([1.0, 2.0, -1.0, 3.0, -2.0]))
    assert (found.node.op.name, found.kind, found.steps) == ("log", "NaN", (step,))
    assert str(found).startswith(
        f"log({-1 if step == 2 else -2}) made the first NaN in step {step}"
    )


def test_loops_inside_loops() -> None:
    def run(x: Any) -> Any:
        def outer(c: Any, row: Any) -> Any:
            return cr.scan(lambda d, e: (d + 1.0 / e, None), c, row)[0], None

        return cr.scan(outer, cr.tensor(0.0, "float64"), x)[0]

    found = found_in(run, np.array([[1.0, 2.0, 3.0], [1.0, 0.0, 3.0]]))
    assert (found.node.op.name, found.kind, found.steps) == ("divide", "infinity", (1, 1))
    assert "in step 1 of a loop in step 1 of a loop" in str(found)


def test_parts_that_are_computed_again() -> None:
    found = found_in(
        lambda x: cr.remat(lambda x: cr.exp(cr.sqrt(x)))(x).sum(), np.array([1.0, -4.0])
    )
    assert (found.node.op.name, found.kind, found.steps) == ("sqrt", "NaN", ())


def test_the_derivative_of_a_loop() -> None:
    def run(x: Any) -> Any:
        return cr.grad(lambda x: cr.scan(lambda c, x: (c + cr.sqrt(x), None), x[0], x)[0])(x).sum()

    found = found_in(run, np.array([1.0, 4.0, 0.0, 9.0]))
    assert found.kind == "infinity"
    assert found.steps == (2,)


def test_a_bad_input_is_named_as_such() -> None:
    assert "already holds NaN" in str(found_in(logarithms(), np.array([1.0, np.nan])))
