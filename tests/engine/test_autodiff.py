"""The chain rule: gradients of functions, trees and modules, of every order."""

from __future__ import annotations

import gc
import math
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.ir import NON_DIFFERENTIABLE, OPERATIONS, ZERO, Node, Type
from chainrule.errors import ConfigError, DerivativeError, ShapeError


def close(found: Any, expected: Any, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(np.asarray(found), expected, rtol=tolerance, atol=tolerance)


class Line(cr.nn.Module):
    """y = x·weight + bias, with a frozen scale."""

    def __init__(self) -> None:
        self.weight = cr.parameter([2.0, -1.0])
        self.bias = cr.parameter(0.5)
        self.scale = cr.parameter(3.0)
        self.scale.requires_grad = False

    def forward(self, x: Any) -> Any:
        return self.scale * ((x * self.weight).sum(-1) + self.bias)


# ---- functions -------------------------------------------------------------------------------


def test_the_users_of_a_value_add_their_gradients() -> None:
    def f(x: Any) -> Any:
        shared = x * x
        return shared * cr.sin(x) + shared + x

    x = 0.7
    expected = 2 * x * math.sin(x) + x * x * math.cos(x) + 2 * x + 1
    close(cr.grad(f)(x).item(), expected)


def test_a_value_used_twice_by_one_operation() -> None:
    assert cr.grad(lambda x: x * x)(3.0).item() == 6.0
    assert cr.grad(lambda x: x - x)(3.0).item() == 0.0


def test_every_order_of_a_polynomial() -> None:
    f: Any = lambda x: x**4  # noqa: E731
    for expected in (32.0, 48.0, 48.0, 24.0, 0.0):
        f = cr.grad(f)
        assert f(2.0).item() == expected


def test_nested_derivatives_are_not_confused() -> None:
    """d/dx (x · d/dy (x + y)) = 1, where a single tag for both would give 2 (Siskind, 2005)."""
    inner = lambda x: cr.grad(lambda y: x + y)(1.0)  # noqa: E731
    assert cr.grad(lambda x: x * inner(x))(1.0).item() == 1.0
    # ∂/∂x (x · ∂/∂y (x·y²)) = ∂/∂x (2x²y) = 4xy
    mixed = cr.grad(lambda x: x * cr.grad(lambda y: x * y * y)(3.0))
    assert mixed(2.0).item() == 24.0


def test_the_inner_function_may_differentiate_by_the_same_tensor() -> None:
    x = cr.tensor(2.0)
    # The closed-over x is a constant of the outer derivative, the argument z is not.
    assert cr.grad(lambda z: z * cr.grad(lambda u: u * u * z)(x))(x).item() == 16.0


def test_closures_over_outer_tensors_and_parameters() -> None:
    w = cr.parameter([1.0, 2.0])
    slope = cr.grad(lambda x: (w * x * x).sum())(cr.tensor([3.0, 4.0]))
    assert slope.tolist() == [6.0, 16.0]
    (slope * slope).sum().backward()  # Σ (2wx)²: by w it is 8wx²
    assert w.grad is not None
    assert w.grad.tolist() == [72.0, 256.0]


def test_several_arguments() -> None:
    f = lambda a, b, c: (a * b * b * c).sum()  # noqa: E731
    a, b, c = cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0]), 2.0
    by_b, by_a = cr.grad(f, argnums=(1, 0))(a, b, c)
    assert by_a.tolist() == [18.0, 32.0]
    assert by_b.tolist() == [12.0, 32.0]
    assert cr.grad(f, argnums=2)(a, b, c).item() == 41.0
    assert cr.grad(lambda x, *, scale: x * scale)(1.0, scale=5.0).item() == 5.0


def test_the_same_tensor_for_two_arguments() -> None:
    x = cr.tensor(3.0)
    by_a, by_b = cr.grad(lambda a, b: a * a * b, argnums=(0, 1))(x, x)
    assert (by_a.item(), by_b.item()) == (18.0, 9.0)


def test_auxiliary_results_pass_through() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        return (y * y).sum(), {"y": y, "name": "double", "none": None}

    (value, aux), slope = cr.value_and_grad(f, has_aux=True)(cr.tensor([1.0]))
    assert value.item() == 4.0
    assert (aux["y"].tolist(), aux["name"], aux["none"]) == ([2.0], "double", None)
    assert slope.tolist() == [8.0]
    slope, aux = cr.grad(f, has_aux=True)(cr.tensor([1.0]))
    assert slope.tolist() == [8.0]


class Pair(NamedTuple):
    first: Any
    second: Any


def test_trees_keep_their_form() -> None:
    def f(tree: Any) -> Any:
        return tree["a"][0] * tree["a"][1].sum() + tree["b"].second * tree["b"].first + tree["c"][0]

    tree = {"a": [2.0, cr.tensor([3.0, 4.0])], "b": Pair(5.0, 6.0), "c": (1.0, None)}
    slope = cr.grad(f)(tree)
    assert slope["a"][0].item() == 7.0
    assert slope["a"][1].tolist() == [2.0, 2.0]
    assert isinstance(slope["b"], Pair)
    assert (slope["b"].first.item(), slope["b"].second.item()) == (6.0, 5.0)
    assert slope["c"][0].item() == 1.0
    assert slope["c"][1] is None


def test_what_the_result_does_not_depend_on_has_gradient_zero() -> None:
    slope = cr.grad(lambda t: t[0] * 1.0)([cr.tensor(1.0), cr.tensor([[2.0]])])
    assert slope[1].tolist() == [[0.0]]
    assert cr.grad(lambda x: cr.tensor(3.0))(1.0).item() == 0.0


def test_modules() -> None:
    model, x = Line(), cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    value, slope = cr.value_and_grad(lambda m: m(x).sum())(model)
    assert value.item() == 3.0 * (0.0 + 2.0 + 1.0)
    assert {path: g.tolist() for path, g in slope.items()} == {"weight": [12.0, 18.0], "bias": 6.0}
    assert model.weight.tolist() == [2.0, -1.0]
    assert model.weight.grad is None


def test_modules_inside_trees_stay_modules() -> None:
    model, x = Line(), cr.tensor([1.0, 2.0])

    def f(tree: Any) -> Any:
        assert isinstance(tree["model"], Line)
        return tree["model"](x) * tree["gain"]

    slope = cr.grad(f)({"model": model, "gain": 2.0})
    assert slope["model"]["weight"].tolist() == [6.0, 12.0]
    assert slope["gain"].item() == 1.5
    _, aux = cr.grad(lambda m: (m(x), {"model": m}), has_aux=True)(model)
    assert aux["model"] is model


def test_a_module_is_as_before_when_the_function_fails() -> None:
    model = Line()
    before = model.weight.node

    def broken(m: Any) -> Any:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        cr.grad(broken)(model)
    assert model.weight.node is before
    assert cr.grad(lambda x: x * x)(1.0).item() == 2.0


def test_gradients_of_gradients_of_modules() -> None:
    """The gradient penalty: ∂/∂w |∂f/∂x|² with f = s·(w·x + b), so ∂f/∂x = s·w."""
    model = Line()

    def penalty(m: Any) -> Any:
        slope = cr.grad(lambda x: m(x))(cr.tensor([1.0, 1.0]))
        return (slope * slope).sum()

    close(cr.grad(penalty)(model)["weight"].numpy(), [2 * 9 * 2.0, 2 * 9 * -1.0])


@pytest.mark.parametrize("result", [cr.tensor([1.0, 2.0]), cr.tensor(1), 3.0, None])
def test_the_result_must_be_a_single_floating_point_number(result: Any) -> None:
    with pytest.raises(DerivativeError, match="single floating-point number"):
        cr.grad(lambda x: result)(1.0)


def test_integers_have_no_derivatives() -> None:
    with pytest.raises(DerivativeError, match="floating-point numbers only"):
        cr.grad(lambda x: x.sum())(cr.tensor([1, 2]))


def test_no_derivative_with_respect_to_an_index() -> None:
    assert OPERATIONS["take"].derivative(1) is NON_DIFFERENTIABLE
    gamma = cr.operation(
        derivatives=[lambda g, y, x, n: g * x ** (n - 1), NON_DIFFERENTIABLE], name="gamma"
    )(lambda xp, x, n: x**n / n)
    with pytest.raises(ConfigError, match="takes 2 inputs"):
        gamma(1.0)
    assert cr.grad(lambda x: gamma(x, 3.0))(2.0).item() == 4.0
    with pytest.raises(DerivativeError, match="gamma has no derivative with respect to"):
        cr.grad(lambda n: gamma(2.0, n))(3.0)


# ---- deep and long ---------------------------------------------------------------------------


def test_deep_graphs_need_no_recursion() -> None:
    depth = 12_000

    def f(x: Any) -> Any:
        for _ in range(depth):
            x = x + 0.001
        return x * x

    close(cr.grad(f)(1.0).item(), 2 * (1 + depth * 0.001), 1e-3)
    graph = cr.trace(f, 1.0).graph
    graph.verify()
    assert len(graph.nodes) > depth
    assert len(str(graph).splitlines()) == len(graph.nodes) + 1


def count_nodes() -> int:
    gc.collect()
    return sum(isinstance(thing, Node) for thing in gc.get_objects())


def test_no_history_piles_up() -> None:
    x = cr.tensor([1.0, 2.0, 3.0])
    loss = lambda w: ((w * x - 1.0) ** 2).mean()  # noqa: E731
    w = cr.tensor([0.5, 0.5, 0.5])
    v = cr.parameter([0.5, 0.5, 0.5])
    model = Line()
    counts = []
    for step in range(30):
        _, slope = cr.value_and_grad(loss)(w)
        w = w - 0.1 * slope
        loss(v).backward()
        assert v.grad is not None
        v.assign(v - 0.1 * v.grad)
        v.grad = None
        _, slope = cr.value_and_grad(lambda m: m(x[:2]) ** 2)(model)
        for path, parameter in model.trainable_parameters().items():
            parameter.assign(parameter - 0.001 * slope[path])
        if step in (5, 29):
            counts.append(count_nodes())
    assert len(set(counts)) == 1, counts
    assert not w.node.inputs


# ---- backward --------------------------------------------------------------------------------


def test_backward_adds_up() -> None:
    w = cr.parameter([1.0, 2.0])
    loss = (w * w).sum()
    loss.backward()
    loss.backward()
    assert w.grad is not None
    assert w.grad.tolist() == [4.0, 8.0]
    w = cr.parameter([1.0, 2.0])
    (w * 3.0).sum().backward()
    (w * 3.0).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [6.0, 6.0]


def test_backward_from_several_elements_needs_their_gradient() -> None:
    w = cr.parameter([1.0, 2.0])
    with pytest.raises(DerivativeError, match="single floating-point number") as caught:
        (w * w).backward()
    assert "cr.jacobian" in str(caught.value)
    (w * w).backward(cr.tensor([1.0, 10.0]))
    assert w.grad is not None
    assert w.grad.tolist() == [2.0, 40.0]
    with pytest.raises(DerivativeError, match="shape of the tensor"):
        (w * w).backward(cr.tensor([[1.0]]))


def test_backward_passes_frozen_parameters() -> None:
    model = Line()
    model(cr.tensor([1.0, 2.0])).backward()
    assert model.scale.grad is None
    assert model.weight.grad is not None
    assert model.weight.grad.tolist() == [3.0, 6.0]
    model.freeze()
    with pytest.raises(DerivativeError, match="no parameter"):
        model(cr.tensor([1.0, 2.0])).backward()
    model.unfreeze("weight")
    model.weight.grad = None
    model(cr.tensor([1.0, 1.0])).backward()
    assert model.weight.grad is not None
    assert model.bias.grad is not None  # from the first time
    assert model.bias.grad.item() == 3.0


def test_backward_through_a_derivative() -> None:
    w = cr.parameter(2.0)
    cr.grad(lambda x: w * x**3)(3.0).backward()  # ∂/∂w 3wx² = 3x²
    assert w.grad is not None
    assert w.grad.item() == 27.0


def test_a_constant_has_nothing_to_go_back_to() -> None:
    with pytest.raises(DerivativeError, match="no parameter"):
        cr.tensor(1.0).backward()
    with pytest.raises(DerivativeError, match="no parameter"):
        (cr.parameter(1.0).detach() * 2.0).backward()


def test_stop_gradient() -> None:
    assert cr.grad(lambda x: x * cr.stop_gradient(x))(3.0).item() == 3.0
    assert cr.grad(lambda x: x * x.detach())(3.0).item() == 3.0
    # The straight-through estimator: the value is rounded, the slope is that of x.
    f = lambda x: x + cr.stop_gradient(cr.round(x) - x)  # noqa: E731
    value, slope = cr.value_and_grad(lambda x: f(x) * 2.0)(1.3)
    assert (value.item(), slope.item()) == (2.0, 2.0)


# ---- Jacobians and products ------------------------------------------------------------------


def polar(x: Any) -> Any:
    return cr.ops.stack([x[0] * cr.cos(x[1]), x[0] * cr.sin(x[1])])


def jacobian_of_polar(r: float, t: float) -> Any:
    return [[math.cos(t), -r * math.sin(t)], [math.sin(t), r * math.cos(t)]]


def test_jacobian_and_both_products() -> None:
    r, t = 2.0, 0.6
    x, expected = cr.tensor([r, t], "float64"), np.array(jacobian_of_polar(r, t))
    close(cr.jacobian(polar)(x).numpy(), expected, 1e-14)
    v = np.array([0.3, -1.1])
    close(cr.jvp(polar, x, v).numpy(), expected @ v, 1e-14)
    value, back = cr.vjp(polar, x)
    close(value.numpy(), [r * math.cos(t), r * math.sin(t)], 1e-14)
    close(back(v)[0].numpy(), v @ expected, 1e-14)


def test_jacobian_has_the_axes_of_both() -> None:
    w, x = np.arange(6.0).reshape(2, 3), cr.tensor(np.ones((3, 2)))
    found = cr.jacobian(lambda x: w @ x)(x).numpy()
    assert found.shape == (2, 2, 3, 2)
    close(found, np.einsum("ik,jl->ijkl", w, np.eye(2)))
    assert cr.jacobian(lambda a, b: b * b, argnums=1)(1.0, cr.tensor([3.0])).tolist() == [[6.0]]
    assert cr.jacobian(lambda x: x[:0])(cr.tensor([1.0, 2.0])).shape == (0, 2)


def test_hessians() -> None:
    x, v = cr.tensor([1.0, 2.0], "float64"), np.array([0.5, -2.0])
    f = lambda x: x[0] ** 2 * x[1] ** 3  # noqa: E731
    a, b = 1.0, 2.0
    hessian = np.array([[2 * b**3, 6 * a * b**2], [6 * a * b**2, 6 * a**2 * b]])
    close(cr.jacobian(cr.grad(f))(x).numpy(), hessian, 1e-13)
    close(cr.hvp(f, x, v).numpy(), hessian @ v, 1e-13)


def test_hessian_products_of_trees_and_modules() -> None:
    f = lambda t: t["a"] ** 2 * t["b"][0]  # noqa: E731
    found = cr.hvp(f, {"a": 3.0, "b": [2.0]}, {"a": 1.0, "b": [10.0]})
    assert (found["a"].item(), found["b"][0].item()) == (4.0 + 60.0, 6.0)
    square, direction = lambda m: m(cr.tensor([1.0, 2.0])) ** 2, cr.tensor([1.0, 0.0])
    found = cr.hvp(square, Line(), {"weight": direction, "bias": 0.0})
    assert found["weight"].tolist() == [18.0, 36.0]
    with pytest.raises(DerivativeError, match="one direction for each"):
        cr.hvp(square, Line(), [direction])


# ---- check_grad ------------------------------------------------------------------------------


def test_check_grad_names_what_is_wrong() -> None:
    square = cr.operation(derivatives=[lambda g, y, x: g * x], name="wrong_square")(
        lambda xp, x: x * x
    )
    with pytest.raises(DerivativeError) as caught:
        cr.check_grad(lambda a, b: a.sum() + square(b).sum(), [1.0], [[0.5, -0.25], [3.0, 0.0]])
    error = caught.value
    assert error.where == "argument 2, element [1, 0] = 3.0"
    # The weight of a single result is cos(0.3).
    assert error.expected is not None
    assert error.found is not None
    assert error.expected.startswith(f"{6.0 * math.cos(0.3):.8f}"[:9])
    assert error.found.startswith(f"{3.0 * math.cos(0.3):.8f}"[:9])


def test_check_grad_finds_a_rule_that_cannot_be_differentiated_again() -> None:
    """The rule's value is right, but it hides from the second order what it depends on."""
    cube = cr.operation(
        derivatives=[lambda g, y, x: g * 3.0 * cr.stop_gradient(x * x)], name="flat_cube"
    )(lambda xp, x: x * x * x)
    assert cr.check_grad(cube, [1.0, 2.0]) < 1e-6
    with pytest.raises(DerivativeError, match="gradient of the gradient disagrees"):
        cr.check_grad(cube, [1.0, 2.0], order=2)


def test_check_grad_of_trees_modules_and_other_arguments() -> None:
    assert cr.check_grad(lambda t, n: t["a"] ** n + t["b"][0] * 2, {"a": 1.5, "b": [2.5]}, 3) < 1e-6
    model = Line()
    assert cr.check_grad(lambda m, x: cr.tanh(m(x)), model, [[0.1, 0.2]], order=2) < 1e-6
    assert model.weight.dtype == np.float32
    with pytest.raises(DerivativeError, match="nothing to check"):
        cr.check_grad(lambda n: cr.tensor(1.0), 3)


def test_check_grad_finds_nan() -> None:
    with pytest.raises(DerivativeError, match="disagrees"):
        cr.check_grad(lambda x: cr.where(x > 0, x, cr.sqrt(x)).sum(), np.array([1.0, -1.0]))


# ---- operations of one's own -----------------------------------------------------------------


def test_an_operation_of_ones_own() -> None:
    @cr.operation(
        derivatives=[
            lambda g, y, a, b, power: g * power * a ** (power - 1) * b,
            lambda g, y, a, b, power: g * a**power,
        ]
    )
    def monomial(xp: Any, a: Any, b: Any, *, power: int = 2) -> Any:
        """aⁿ·b."""
        return a**power * b

    assert monomial.__doc__ == "aⁿ·b."
    a, b = cr.tensor([[1.0], [2.0]]), [3.0, 4.0]
    assert monomial(a, b).tolist() == [[3.0, 4.0], [12.0, 16.0]]  # broadcast, like any other
    assert monomial(2, 1).dtype == np.float32
    assert cr.check_grad(monomial, [[1.0], [2.0]], b, order=2) < 1e-6
    assert cr.check_grad(lambda a, b: monomial(a, b, power=3), 1.5, 2.5, order=2) < 1e-6
    run = cr.compile(
        lambda a, b: cr.grad(lambda a: monomial(a, b, power=3).sum())(a), backend="numpy"
    )
    assert run(a, cr.tensor(b)).tolist() == [[21.0], [84.0]]
    graph = cr.trace(lambda a, b: monomial(a, b, power=3), a, a).graph
    assert str(cr.ir.to_json(graph)).count("'op': 'monomial'") == 1


def test_an_operation_with_a_type_rule_of_its_own() -> None:
    @cr.operation(
        derivatives=[lambda g, y, x: cr.ops.stack([g, 2 * g], -1) * cr.ones_like(x)],
        type_rule=lambda x: Type(x.dtype, x.shape[:-1]),
    )
    def one_and_two(xp: Any, x: Any) -> Any:
        return x[..., 0] + 2 * x[..., 1]

    assert one_and_two([[1.0, 2.0], [3.0, 4.0]]).tolist() == [5.0, 11.0]
    assert cr.check_grad(one_and_two, [[1.0, 2.0], [3.0, 4.0]]) < 1e-6


def test_a_second_declaration_replaces_the_first() -> None:
    for factor in (2.0, 3.0):
        op = cr.operation(derivatives=[ZERO], name="scale_again")(lambda xp, x, f=factor: x * f)
    assert op(1.0).item() == 3.0


def test_mistakes_in_a_declaration_are_named() -> None:
    with pytest.raises(ConfigError, match="one derivative rule for each input"):
        cr.operation(derivatives=[])(lambda xp, x: x)
    with pytest.raises(cr.errors.ChainruleError, match="'sin' exists already"):
        cr.operation(derivatives=[ZERO], name="sin")(lambda xp, x: x)

    total = cr.operation(derivatives=[ZERO], name="total")(lambda xp, x: xp.sum(x))
    with pytest.raises(ShapeError, match="'total' gave a result of the wrong type"):
        total([1.0, 2.0])


def test_a_rule_of_the_wrong_shape_is_named() -> None:
    bad = cr.operation(derivatives=[lambda g, y, x: g.sum()], name="bad_shape")(lambda xp, x: x * 1)
    with pytest.raises(DerivativeError, match="rule of bad_shape by its input 1") as caught:
        cr.grad(lambda x: bad(x).sum())(cr.tensor([1.0, 2.0]))
    assert (caught.value.expected, caught.value.found) == ("float32[2]", "float32[]")
