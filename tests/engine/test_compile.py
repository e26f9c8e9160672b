"""Traces and compiled functions: the same code, eager and compiled, does the same."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.ir import CONSTANT
from chainrule.errors import TraceError


def counting(function: Any) -> tuple[Any, list[int]]:
    """A compiled function, and how often its code ran."""
    calls: list[int] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return function(*arguments, **options)

    return cr.compile(counted, backend="numpy"), calls


class Norm(cr.nn.Module):
    """A gain, and a running mean that training moves."""

    def __init__(self) -> None:
        self.gain = cr.parameter([1.0, 2.0])
        self.mean = cr.Buffer([0.0, 0.0])

    def forward(self, x: Any, *, train: bool) -> Any:
        if train:
            self.mean.assign(0.5 * self.mean + 0.5 * x.mean(0))
        return (x - self.mean) * self.gain


def test_a_function_is_traced_once_for_each_combination_of_types() -> None:
    f, calls = counting(lambda x, n, flag=True: x * n if flag else x)
    for _ in range(3):
        assert f(cr.tensor([1.0, 2.0]), 2).tolist() == [2.0, 4.0]
    assert len(calls) == 1
    assert f(cr.tensor([1.0]), 2).tolist() == [2.0]  # another shape
    assert f(cr.tensor([1.0], "float64"), 2).dtype == np.float64  # another element type
    assert f(cr.tensor([1.0]), 3).tolist() == [3.0]  # another whole number
    assert f(cr.tensor([1.0]), 3, flag=False).tolist() == [1.0]  # another flag
    assert len(calls) == 5
    f(cr.tensor([5.0]), 3, flag=False)
    assert len(calls) == 5


def test_true_is_not_one() -> None:
    f = cr.compile(lambda n: cr.tensor(1.0) if n is True else cr.tensor(2.0), backend="numpy")
    assert (f(1).item(), f(True).item()) == (2.0, 1.0)


def test_floats_and_arrays_are_inputs() -> None:
    f, calls = counting(lambda x, rate: x * rate)
    assert f(np.array([2.0]), 0.5).tolist() == [1.0]
    assert f(np.array([4.0]), 0.25).tolist() == [1.0]
    assert len(calls) == 1
    assert f(np.array([4.0]), np.float32(2.0)).tolist() == [8.0]  # a number of one type
    assert f(np.array([4.0]), np.float32(3.0)).tolist() == [12.0]
    assert len(calls) == 2


def test_trees_go_in_and_out() -> None:
    f = cr.compile(
        lambda t: {"sum": t["a"] + t["b"][0], "name": t["name"], "pair": (t["a"], None)},
        backend="numpy",
    )
    out = f({"a": cr.tensor(1.0), "b": [cr.tensor(2.0)], "name": "n"})
    assert out["sum"].item() == 3.0
    assert out["name"] == "n"
    assert out["pair"][0].item() == 1.0
    assert out["pair"][1] is None


def test_variables_are_read_and_assigned_simultaneously() -> None:
    a, b = cr.Buffer([1.0]), cr.Buffer([2.0])

    def swap() -> Any:
        old = a * 1.0
        a.assign(b)
        b.assign(old)
        return a + 10.0 * b

    assert swap().tolist() == [12.0]
    step = cr.compile(swap, backend="numpy")
    for a_now, b_now in ((1.0, 2.0), (2.0, 1.0), (1.0, 2.0)):
        assert step().tolist() == [a_now + 10 * b_now]
        assert (a.tolist(), b.tolist()) == ([a_now], [b_now])


def test_a_swap_without_copies() -> None:
    a, b = cr.Buffer([1.0]), cr.Buffer([2.0])

    @cr.compile(backend="numpy")
    def swap() -> None:
        first, second = cr.tensor(a), cr.tensor(b)
        a.assign(second)
        b.assign(first)

    swap()
    assert (a.tolist(), b.tolist()) == ([2.0], [1.0])
    swap()
    assert (a.tolist(), b.tolist()) == ([1.0], [2.0])


def test_a_variable_is_read_anew_in_every_call() -> None:
    w = cr.parameter(2.0)
    f, calls = counting(lambda x: w * x)
    assert f(cr.tensor(3.0)).item() == 6.0
    w.assign(5.0)
    assert f(cr.tensor(3.0)).item() == 15.0
    assert len(calls) == 1
    traced = f.traced(cr.tensor(3.0))
    assert traced.variables == [w]
    assert traced.assigned == []


def test_variables_and_modules_as_arguments() -> None:
    """They are passed on as they are, so that they can be called and assigned."""
    model, w = Norm(), cr.parameter(1.0)

    @cr.compile(backend="numpy")
    def f(m: Any, w: Any, x: Any) -> Any:
        w.assign(w + 1.0)
        return m(x, train=False) * w

    assert f(model, w, cr.tensor([1.0, 1.0])).tolist() == [2.0, 4.0]
    assert f(model, w, cr.tensor([1.0, 1.0])).tolist() == [3.0, 6.0]
    assert w.item() == 3.0


def test_buffers_and_flags() -> None:
    eager, compiled = Norm(), Norm()
    f = cr.compile(lambda x, train: compiled(x, train=train), backend="numpy")
    x = cr.tensor([[1.0, 2.0], [3.0, 6.0]])
    for train in (True, True, False):
        assert f(x, train).tolist() == eager(x, train=train).tolist()
        assert compiled.mean.tolist() == eager.mean.tolist()
    assert compiled.mean.tolist() == [1.5, 3.0]


def test_what_was_computed_before_is_a_constant() -> None:
    w = cr.parameter(2.0)
    doubled = w * 2.0
    f = cr.compile(lambda x: x * doubled, backend="numpy")
    assert f(cr.tensor(1.0)).item() == 4.0
    w.assign(7.0)
    assert f(cr.tensor(1.0)).item() == (doubled * 1.0).item() == 4.0
    assert f.traced(cr.tensor(1.0)).variables == []


def test_a_step_with_gradients() -> None:
    def make() -> tuple[Any, Any]:
        model = Norm()

        def step(x: Any, rate: float) -> Any:
            loss, slope = cr.value_and_grad(lambda m: (m(x, train=True) ** 2).mean())(model)
            for path, parameter in model.trainable_parameters().items():
                parameter.assign(parameter - rate * slope[path])
            return loss

        return model, step

    (one, eager), (two, step) = make(), make()
    compiled = cr.compile(step, backend="numpy")
    x = cr.tensor(np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32))
    for _ in range(4):
        assert eager(x, 0.1).item() == compiled(x, 0.1).item()
    assert one.gain.tolist() == two.gain.tolist()
    assert one.mean.tolist() == two.mean.tolist()


def test_backward_in_a_compiled_step() -> None:
    w = cr.parameter([1.0, 2.0])

    @cr.compile(backend="numpy")
    def step(x: Any) -> Any:
        w.grad = None
        loss = (w * x).sum() ** 2
        loss.backward()
        assert w.grad is not None
        w.assign(w - 0.1 * w.grad)
        return loss

    assert step(cr.tensor([1.0, 1.0])).item() == 9.0
    np.testing.assert_allclose(w.numpy(), [0.4, 1.4], rtol=1e-6)
    assert w.grad is None
    np.testing.assert_allclose(step(cr.tensor([1.0, 1.0])).item(), 1.8**2, rtol=1e-6)


def test_gradients_do_not_add_up_over_calls() -> None:
    w = cr.parameter(1.0)
    (w * 1.0).backward()
    f = cr.compile(lambda x: (w * x).backward(), backend="numpy")
    with pytest.raises(TraceError, match="cannot add up"):
        f(cr.tensor(1.0))
    assert w.grad is not None
    assert w.grad.item() == 1.0


def test_freezing_and_converting_retrace() -> None:
    model = Norm()
    f, calls = counting(lambda x: cr.grad(lambda m: (m(x, train=False) ** 2).sum())(model))
    x = cr.tensor([1.0, 1.0])
    assert set(f(x)) == {"gain"}
    model.freeze("gain")
    assert set(f(x)) == set()
    model.unfreeze()
    assert set(f(x)) == {"gain"}
    model.to("float64")
    assert f(x)["gain"].dtype == np.float64
    assert len(calls) == 4
    f(x)
    assert len(calls) == 4


def test_random_keys_are_inputs() -> None:
    f, calls = counting(lambda key: cr.random.normal(key, (3,)))
    first, second = f(cr.random.key(1)), f(cr.random.key(2))
    assert len(calls) == 1
    assert first.tolist() == cr.random.normal(cr.random.key(1), (3,)).tolist()
    assert first.tolist() != second.tolist()


def test_compiled_inside_a_derivative_is_differentiated() -> None:
    f = cr.compile(lambda x: x**3)
    assert cr.grad(f)(2.0).item() == 12.0
    assert cr.grad(cr.grad(f))(2.0).item() == 12.0
    model = Norm()
    g = cr.compile(lambda m, x: m(x, train=False).sum(), backend="numpy")
    assert cr.grad(g)(model, cr.tensor([3.0, 4.0]))["gain"].tolist() == [3.0, 4.0]


def test_compiled_inside_compiled() -> None:
    inner = cr.compile(lambda x: x * 2.0, backend="numpy")
    outer = cr.compile(lambda x: inner(x) + 1.0, backend="numpy")
    assert outer(cr.tensor(3.0)).item() == 7.0
    assert len(outer.traced(cr.tensor(3.0)).graph.nodes) == 5


# ---- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("look", [bool, float, int, np.asarray, cr.Tensor.item, cr.Tensor.tolist])
def test_looking_at_a_value_names_the_line(look: Any) -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        return y if look(y) else x

    with pytest.raises(TraceError) as caught:
        cr.compile(f, backend="numpy")(cr.tensor(1.0))
    assert caught.value.where == f"{__file__}:{inspect.getsourcelines(f)[1] + 2}"
    assert "cr.where" in str(caught.value)


def test_a_traced_tensor_can_be_printed() -> None:
    seen = []
    cr.trace(lambda x: seen.append(repr(x)), cr.tensor([1.0, 2.0]))
    assert seen == ["Tensor(float32[2], traced)"]


def test_a_failing_function_leaves_nothing_behind() -> None:
    w = cr.parameter(1.0)

    def broken(x: Any) -> Any:
        w.assign(w + x)
        (w * x).backward()
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        cr.compile(broken, backend="numpy")(cr.tensor(2.0))
    assert w.item() == 1.0
    assert w.grad is None
    assert (w * 2.0).item() == 2.0  # eager again
    assert cr.compile(lambda x: w * x, backend="numpy")(cr.tensor(3.0)).item() == 3.0


def test_arguments_that_cannot_be_compared() -> None:
    with pytest.raises(TraceError, match="neither traced nor compared"):
        cr.compile(lambda x: 1, backend="numpy")({1, 2})


def test_a_trace_in_a_trace() -> None:
    with pytest.raises(TraceError, match="trace inside a trace"):
        cr.trace(lambda x: cr.trace(lambda y: y, 1.0), 1.0)


# ---- traces ----------------------------------------------------------------------------------


def test_a_trace_is_a_graph_with_the_users_lines() -> None:
    traced = cr.trace(lambda x: cr.exp(x) * 2.0, cr.ir.Type(np.dtype("float32"), (3,)))
    text = str(traced.graph)
    assert "exp(%0)" in text
    assert f"{__file__}:" in text
    traced.graph.verify()
    assert [node.op.name for node in traced.graph.nodes] == [
        "placeholder", "exp", "constant", "broadcast_to", "multiply",
    ]  # fmt: skip


def test_constants_are_computed_once_unless_they_grow() -> None:
    large = cr.trace(lambda x: x + cr.ones((1000, 1000)), 1.0).graph
    assert max(node.type.size for node in large.nodes if node.op is CONSTANT) == 1
    table = np.arange(6.0).reshape(2, 3)
    graph = cr.trace(lambda x: x + cr.tensor(table).sum(0), np.zeros(3)).graph
    assert [node.op.name for node in graph.nodes] == ["placeholder", "constant", "add"]
    (constant,) = [node for node in graph.nodes if node.op is CONSTANT]
    assert constant.value is not None
    assert constant.value.tolist() == [3.0, 5.0, 7.0]


def test_later_changes_of_an_argument_do_not_reach_a_variable() -> None:
    w, data = cr.Buffer(np.zeros(2)), np.ones(2)
    w.assign(data)
    data[:] = 5.0
    assert w.tolist() == [1.0, 1.0]
    w.assign(np.zeros(2))
    saved = cr.tensor(w)
    w.assign(np.ones(2))
    assert saved.tolist() == [0.0, 0.0]


def test_options_given_by_name_count_after_calls_without_them() -> None:
    f = cr.compile(lambda x, factor=2.0, up=True: x * factor + (1.0 if up else -1.0))
    x = np.array([1.0, 2.0], np.float32)
    for _ in range(3):
        assert f(x).tolist() == [3.0, 5.0]
        assert f(x, up=False).tolist() == [1.0, 3.0]
        assert f(x, factor=3.0).tolist() == [4.0, 7.0]
        assert f(x, factor=4.0, up=False).tolist() == [3.0, 7.0]
