"""Loops: equal to the loop written out, in value and in derivatives of both orders."""

import gc
import json
import weakref
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import errors
from chainrule.engine.ir.graph import topological_order
from chainrule.serialization.dynamic_batch import Sample, generalize


def reals(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def written_out(body: Any, carry: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any]:
    """The loop in Python, step by step."""
    ys: list[Any] = [None] * len(xs)
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        carry, ys[t] = body(carry, xs[t])
    return carry, cr.stack(ys)


W, C, X = reals(3, 3), reals(2, 3), reals(4, 2, 3)


def recurrent(loop: Any, reverse: bool = False) -> Any:
    """Matrices that do not commute, used twice; the carry, the slice and W all matter."""

    def run(w: Any, c: Any, x: Any) -> Any:
        def body(c: Any, x: Any) -> Any:
            h = cr.tanh(c @ w + x)
            return 0.5 * c + h @ w, h * x

        return loop(body, c, x, reverse=reverse)

    return run


def slopes(function: Any) -> Any:
    def total(*arguments: Any) -> Any:
        results = function(*arguments)
        weights = [np.cos(np.arange(y.size).reshape(y.shape)) for y in results]
        return sum((y * w).sum() for y, w in zip(results, weights, strict=True))

    return cr.value_and_grad(total, argnums=(0, 1, 2))


def flat(tree: Any) -> list[Any]:
    return [leaf.numpy() for leaf in cr.engine.pytree.flatten(tree)[0]]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_it_is_the_loop_written_out(steps, reverse):
    x = X[:steps]
    found = flat(slopes(recurrent(cr.scan, reverse))(W, C, x))
    expected = flat(slopes(recurrent(written_out, reverse))(W, C, x))
    compiled = flat(cr.compile(slopes(recurrent(cr.scan, reverse)), backend="numpy")(W, C, x))
    for one, other, same in zip(found, expected, compiled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_agree_with_finite_differences(order):
    cr.check_grad(recurrent(cr.scan), W, C, X[:3], order=order)


def test_third_derivatives():
    cr.check_grad(
        lambda w, x: cr.scan(lambda c, x: (cr.sin(w * c + x), None), x[0], x)[0].sum(),
        *[np.array(0.7), reals(3)],
        order=3,
    )


def test_second_derivatives_are_those_of_the_loop_written_out():
    def curvature(loop: Any) -> Any:
        def loss(w: Any) -> Any:
            return sum((y * y).sum() for y in recurrent(loop)(w, C, X))

        return cr.compile(
            lambda: cr.hvp(loss, cr.tensor(W), cr.tensor(W.T)), backend="numpy"
        )().numpy()

    np.testing.assert_allclose(curvature(cr.scan), curvature(written_out), rtol=1e-10)


def test_no_steps_leave_the_carry_and_its_gradient():
    value, (gw, gc_, gx) = slopes(recurrent(cr.scan))(W, C, X[:0])
    assert gx.shape == (0, 2, 3)
    assert not gw.numpy().any()
    np.testing.assert_array_equal(gc_.numpy(), np.cos(np.arange(6).reshape(2, 3)))
    last, ys = recurrent(cr.scan)(W, C, X[:0])
    np.testing.assert_array_equal(last.numpy(), C)
    assert (ys.shape, ys.dtype) == ((0, 2, 3), np.float64)
    assert value.shape == ()


def test_loops_inside_loops():
    """The inner loop reads the carry of the outer one, the weights of all, and constants."""

    def nested(loop: Any) -> Any:
        def run(w: Any, c: Any, x: Any) -> Any:
            def outer(c: Any, row: Any) -> Any:
                inner, ys = loop(lambda d, e: (cr.tanh(d * e + w[0] + c), d), c, row)
                return inner * 0.5, ys

            return loop(outer, c, x)

        return run

    arguments = W, reals(3), reals(2, 4, 3)
    found, expected = (flat(slopes(nested(loop))(*arguments)) for loop in (cr.scan, written_out))
    compiled = flat(cr.compile(slopes(nested(cr.scan)), backend="numpy")(*arguments))
    for one, other, same in zip(found, expected, compiled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(one, same)
    cr.check_grad(nested(cr.scan), *arguments, order=1)


def test_parameters_and_layers_from_outside_get_their_gradients():
    cell = cr.nn.Linear(3, 3).to("float64")
    scale = cr.parameter(np.array(0.5))

    def loss(loop: Any) -> Any:
        _, ys = loop(lambda c, x: (cr.tanh(cell(c)) * scale + x, c), cr.tensor(C), cr.tensor(X))
        return (ys * ys).sum()

    found = []
    for loop in (cr.scan, written_out):
        cell.weight.grad = cell.bias.grad = scale.grad = None
        loss(loop).backward()
        found.append([p.grad.numpy() for p in (cell.weight, cell.bias, scale)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
        assert other.any()
    step = cr.compile(lambda: cr.value_and_grad(lambda m: loss(cr.scan))(cell)[1], backend="numpy")
    np.testing.assert_array_equal(step()["weight"].numpy(), found[0][0])
    cell.weight.assign(cell.weight * 2)  # the program reads the weights of today
    assert not np.allclose(step()["weight"].numpy(), found[0][0])


def test_trees_whole_numbers_and_keys_in_the_carry():
    def body(carry: Any, x: Any) -> Any:
        key = cr.random.fold_in(carry["key"], carry["n"])
        h = carry["h"] * cr.random.uniform(key, (3,), dtype="float64") + x
        return {"h": h, "n": carry["n"] + 1, "key": key}, (h, carry["n"], None)

    def run(loop: Any, h: Any, xs: Any) -> Any:
        start = {"h": h, "n": cr.tensor(0), "key": cr.random.key(3)}
        return loop(body, start, xs)

    h, xs = reals(3), reals(5, 3)
    last, (hs, numbers, nothing) = run(cr.scan, cr.tensor(h), xs)
    assert nothing is None
    assert last["n"].item() == 5
    assert last["key"].dtype == np.uint32
    assert numbers.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(last["h"].numpy(), hs[4].numpy())
    assert len(np.unique(hs.numpy())) == 15
    cr.check_grad(lambda h, xs: run(cr.scan, h, xs)[1][0], h, xs, order=2)


def test_a_length_instead_of_slices():
    last, ys = cr.scan(lambda c, _: (c * 2.0, c), cr.tensor(1.0), length=4)
    assert (last.item(), ys.tolist()) == (16.0, [1.0, 2.0, 4.0, 8.0])


def test_no_carry():
    def squares(x: Any) -> Any:
        nothing, ys = cr.scan(lambda c, x: (c, {"y": x * x}), None, x)
        assert nothing is None
        return ys["y"]

    cr.check_grad(squares, reals(3, 2), order=2)


def test_gradients_inside_of_a_body():
    """Gradient descent as a loop, differentiated by its learning rate."""

    def descend(rate: Any) -> Any:
        def body(w: Any, _: Any) -> Any:
            return w - rate * cr.grad(lambda w: (w**4).sum())(w), None

        return cr.scan(body, cr.tensor([1.0, 0.5], "float64"), length=3)[0].sum()

    cr.check_grad(descend, np.array(0.1), order=2)


def test_the_weight_gradient_is_one_product_after_the_loop():
    graph = cr.trace(slopes(recurrent(cr.scan)), W, C, X).graph
    backward = [node for node in graph.nodes if node.op.name == "scan"][-1]
    assert backward.attributes["sums"] == 0
    products = [node for node in graph.nodes if node.op.name == "matmul"]
    assert [node.inputs[0].type.shape for node in products] == [(8, 3)] * 2


def test_what_does_not_change_is_computed_once():
    def run(w: Any, c: Any) -> Any:
        return cr.scan(lambda c, _: (c @ (w @ w), None), c, length=3)[0]

    graph = cr.trace(run, W, C).graph
    body = next(n.attributes["body"] for n in graph.nodes if n.op.name == "scan")
    assert [node.op.name for node in graph.nodes].count("matmul") == 1
    assert [node.op.name for node in body.nodes].count("matmul") == 1


def test_a_graph_with_a_loop_survives_json_and_printing():
    graph = cr.trace(slopes(recurrent(cr.scan)), W, C, X).graph
    graph.verify()
    text = json.dumps(cr.ir.to_json(graph))
    again = cr.ir.from_json(json.loads(text))
    assert json.dumps(cr.ir.to_json(again)) == text
    assert "scan(" in str(graph)
    assert "    return " in str(graph)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("length", 5), ("length", -1), ("length", True), ("carries", 0), ("sums", 9), ("consts", 2)],
)
def test_a_damaged_loop_is_refused(attribute, value):
    data = cr.ir.to_json(cr.trace(recurrent(cr.scan), W, C, X).graph)
    node = next(node for node in data["nodes"] if node["op"] == "scan")
    node["attributes"][attribute] = value
    with pytest.raises(errors.ModelFileError):
        cr.ir.from_json(data)


def test_a_body_is_checked_like_every_graph():
    data = cr.ir.to_json(cr.trace(recurrent(cr.scan), W, C, X).graph)
    node = next(node for node in data["nodes"] if node["op"] == "scan")
    node["attributes"]["body"]["graph"]["nodes"][-1]["op"] = "os.system"
    with pytest.raises(errors.ModelFileError, match=r"os\.system"):
        cr.ir.from_json(data)
    with pytest.raises(errors.ModelFileError, match="too large"):
        cr.ir.from_json(cr.ir.to_json(cr.trace(recurrent(cr.scan), W, C, X).graph), None, 8)


def test_a_loop_for_any_number_of_rows():
    def sample(rows: int) -> Sample:
        run = recurrent(cr.scan)
        traced = cr.trace(lambda x: run(W, cr.zeros((rows, 3), "float64"), x)[0], reals(4, rows, 3))
        return Sample(traced.graph)

    template = generalize(sample)
    x = reals(4, 6, 3)
    (found,) = cr.ir.program.Program(template.instantiate(6))([x])
    expected = recurrent(cr.scan)(W, np.zeros((6, 3)), x)[0].numpy()
    np.testing.assert_array_equal(found, expected)
    assert template.largest(100) >= 1200


@pytest.mark.parametrize("compiled", [False, True])
def test_a_loop_that_nobody_differentiates(compiled):
    w = cr.parameter(W)

    def run(x: Any) -> Any:
        return cr.scan(lambda c, x: (cr.tanh(c @ w + x), c), C, x, differentiable=False)

    def slope(x: Any) -> Any:
        return cr.grad(lambda x: (run(x)[1] ** 2).sum())(x)

    assert (
        not (cr.compile(slope, backend="numpy") if compiled else slope)(cr.tensor(X)).numpy().any()
    )
    graph = cr.trace(run, X).graph
    assert [len(n.type.parts) for n in graph.nodes if n.op.name == "scan"] == [2]
    expected = cr.scan(lambda c, x: (cr.tanh(c @ w + x), c), C, X)[0].numpy()
    np.testing.assert_array_equal(run(X)[0].numpy(), expected)


def test_values_are_let_go():
    """Without derivatives nothing keeps the stacks alive."""
    last, ys = recurrent(cr.scan)(W, C, X)
    kept = weakref.ref(ys.node)
    del ys
    gc.collect()
    assert kept() is None
    assert topological_order([last.node]) == [last.node]


# ---- what goes wrong -------------------------------------------------------------------------


def test_a_carry_that_changes_its_shape():
    with pytest.raises(errors.TypeRuleError) as caught:
        cr.scan(lambda c, x: (cr.concatenate([c, x]), None), cr.zeros(2), cr.ones((3, 1)))
    assert "float32[2]" in str(caught.value)
    assert "float32[3]" in str(caught.value)


def test_a_carry_that_changes_its_element_type():
    with pytest.raises(errors.TypeRuleError) as caught:
        cr.scan(lambda c, x: (c + x, None), cr.tensor(0), cr.ones(3))
    assert "int64[]" in str(caught.value)
    assert "float32[]" in str(caught.value)


def test_a_carry_that_changes_its_structure():
    with pytest.raises(errors.TypeRuleError, match=r"\{h: float32\[\]\}"):
        cr.scan(lambda c, x: (c["h"], None), {"h": cr.tensor(0.0)}, cr.ones(3))


def test_a_body_that_returns_one_thing():
    with pytest.raises(errors.TypeRuleError, match="the new carry and a result"):
        cr.scan(lambda c, x: c + x, cr.tensor(0.0), cr.ones(3))


@pytest.mark.parametrize(
    ("xs", "length"),
    [([np.ones(3), np.ones(2)], None), (np.ones(3), 2), (None, None), (None, -1), (1.0, None)],
)
def test_no_single_number_of_steps(xs, length):
    with pytest.raises(errors.ShapeError, match="steps") as caught:
        cr.scan(lambda c, x: (c, None), cr.tensor(0.0), xs, length)
    assert (f"length={length}" in str(caught.value)) == (length is not None)


@pytest.mark.parametrize("backend", ["eager", "numpy", "c"])
def test_a_variable_that_a_body_assigns_goes_from_step_to_step(backend):
    count, doubled = cr.Buffer(1.0, name="count"), cr.Buffer(0.0, name="doubled")

    def body(c: Any, x: Any) -> Any:
        twice = 2.0 * count  # from the value of this step, not of the first
        doubled.assign(twice)
        count.assign(count + x)
        return c + twice, count

    def run(x: Any) -> Any:
        return cr.scan(body, cr.tensor(0.0), x)

    total, counts = (run if backend == "eager" else cr.compile(run, backend=backend))(
        cr.tensor([1.0, 10.0, 100.0])
    )
    assert counts.tolist() == [2.0, 12.0, 112.0]
    assert total.item() == 2.0 * (1 + 2 + 12)
    assert (count.item(), doubled.item()) == (112.0, 24.0)


@pytest.mark.parametrize("backend", [None, "numpy", "c"])
@pytest.mark.parametrize("kind", [cr.Buffer, cr.Parameter])
@pytest.mark.parametrize("inside", [False, True])
def test_what_was_computed_of_a_variable_before_the_loop_keeps_its_value(backend, kind, inside):
    w, fresh = kind(np.ones(2), "float64"), kind(np.ones(2), "float64")

    def loop(x: Any) -> Any:
        before = cr.exp(w) * x
        wide = cr.broadcast_to(w, (3, 2))

        def body(carry: Any, x: Any) -> Any:
            old = 1.0 * fresh  # in the loop: of the value of the step
            w.assign(w + x)
            fresh.assign(fresh + x)
            return carry + (before + wide).sum(), (before + old, 1.0 * w)

        return cr.scan(body, cr.zeros((), "float64"), np.arange(3.0))

    def nested(x: Any) -> Any:
        return cr.scan(lambda carry, x: (carry, loop(x)), None, np.array([1.0, 2.0]))[1]

    def written_out(x: float, w: Any) -> Any:
        before, values = np.exp(w) * x, w + np.array([0.0, 1.0, 3.0])[:, None]
        old = w + np.array([0.0, 0.0, 1.0])[:, None]
        return 9 * (before.sum() + w.sum()), before + old, values

    function = nested if inside else loop
    run = function if backend is None else cr.compile(function, backend=backend)
    total, (sums, values) = run(1.0)
    starts = [np.ones(2), np.ones(2) + 3.0]
    for i, (x, start) in enumerate(zip((1.0, 2.0), starts, strict=True) if inside else ()):
        expected = written_out(x, start)
        for found, right in zip((total, sums, values), expected, strict=True):
            np.testing.assert_allclose(found.numpy()[i], right, rtol=1e-12)
    if not inside:
        for found, right in zip((total, sums, values), written_out(1.0, starts[0]), strict=True):
            np.testing.assert_allclose(found.numpy(), right, rtol=1e-12)


def test_a_body_of_nothing_but_a_variable():
    state = cr.Buffer(3.0)
    cr.scan(lambda c, x: (state.assign(state * state), (None, None))[1], None, length=2)
    assert state.item() == 81.0


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_a_training_as_one_scan(backend):
    """An optimizer updates its parameters inside a loop as it does in single calls."""
    x = np.random.default_rng(0).normal(size=(5, 8, 3)).astype(np.float32)

    def network() -> tuple[Any, Any]:
        net = cr.nn.Linear(3, 1)
        net.load_state({"weight": np.full((3, 1), 0.5), "bias": np.zeros(1)})
        optimizer = cr.optim.Adam(net, lr=0.1, clip_norm=0.5)

        def update(batch: Any) -> Any:
            loss, gradients = cr.value_and_grad(
                lambda n: ((n(batch) - batch[:, :1] * 3.0) ** 2).mean()
            )(net)
            optimizer.update(gradients)
            return loss

        return net, update

    single, update = network()
    expected = [update(cr.tensor(batch)).item() for batch in x]
    together, update = network()

    def fit(batches: Any) -> Any:
        return cr.scan(lambda c, b: (c, update(b)), None, batches, differentiable=False)[1]

    assert cr.compile(fit, backend=backend)(x).numpy() == pytest.approx(expected, rel=1e-5)
    for path, value in single.state().items():
        assert together.state()[path] == pytest.approx(value, rel=1e-5)


def test_the_derivative_reaches_what_a_variable_was_given():
    state = cr.Buffer(1.0)

    def run(x: Any) -> Any:
        def body(c: Any, s: Any) -> Any:
            state.assign(state * s)
            return c, state

        return cr.scan(body, None, x)[1].sum()

    gradient = cr.compile(lambda x: (state.assign(1.0), cr.grad(run)(x))[1], backend="numpy")
    # s1 + s1 s2 + s1 s2 s3 at (2, 3, 5)
    assert gradient(cr.tensor([2.0, 3.0, 5.0])).tolist() == [1 + 3 + 15, 2 + 10, 6]


def test_backward_in_a_body():
    w = cr.parameter(1.0)

    def body(c: Any, x: Any) -> Any:
        (w * x).backward()
        return c, None

    with pytest.raises(errors.TraceError, match="backward"):
        cr.scan(body, cr.tensor(0.0), cr.ones(3))
    assert w.grad is None


def test_a_value_in_a_body():
    with pytest.raises(errors.TraceError, match="no value"):
        cr.scan(lambda c, x: (c if c > 0 else x, None), cr.tensor(0.0), cr.ones(3))


# ---- remat -----------------------------------------------------------------------------------


def test_remat_gives_the_same_values_and_derivatives():
    def plain(x: Any, w: Any) -> Any:
        return {"y": cr.tanh(x @ w) @ w, "n": 1.5}

    again = cr.remat(plain)
    x, w = C, W

    def loss(f: Any) -> Any:
        return cr.value_and_grad(lambda x, w: (f(x, w)["y"] ** 2).sum(), argnums=(0, 1))

    for f in (again, cr.compile(again, backend="numpy")):
        assert f(x, w)["n"].item() == 1.5
    for one, other, same in zip(
        flat(loss(plain)(x, w)),
        flat(loss(again)(x, w)),
        flat(cr.compile(loss(again), backend="numpy")(x, w)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-14)
        np.testing.assert_array_equal(other, same)
    cr.check_grad(lambda x, w: again(x, w)["y"], x, w, order=2)


def test_remat_keeps_only_what_goes_in_and_out():
    """Nodes between forward and backward pass: those of the chain are gone."""

    def chain(x: Any) -> Any:
        for _ in range(20):
            x = cr.tanh(x)
        return x

    w = cr.parameter(reals(3))
    assert len(topological_order([chain(w).node])) == 21
    assert len(topological_order([cr.remat(chain)(w).node])) == 3


@pytest.mark.parametrize("compiled", [False, True])
def test_remat_of_a_layer_with_running_statistics_and_dropout(compiled):
    def made() -> Any:
        return cr.nn.Sequential(cr.nn.BatchNorm(3), cr.nn.Dropout(0.5)).initialize(0)

    def step(net: Any, run: Any) -> Any:
        def gradients(x: Any, key: Any) -> Any:
            return cr.value_and_grad(lambda net: (run(x, train=True, key=key) ** 2).sum())(net)

        return cr.compile(gradients, backend="numpy") if compiled else gradients

    x = reals(4, 3).astype(np.float32)
    results = []
    for wrap in (lambda net: net, cr.remat):
        net = made()
        found = flat(step(net, wrap(net))(x, cr.random.key(1)))
        results.append([*found, *net.state().values()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_deep_network_in_pieces_is_the_same_with_fewer_results_kept():
    """36 blocks: what is alive between forward and backward pass falls to a small part."""
    blocks = [
        cr.nn.Residual(cr.nn.Sequential(cr.nn.Linear(2, 16), cr.nn.Tanh(), cr.nn.Linear(16, 2)))
        for _ in range(36)
    ]
    plain = cr.nn.Sequential(*blocks).initialize(0).to("float64")
    cut = cr.nn.Remat(plain)
    assert cut.pieces == 6
    x = reals(64, 2)

    def run(net: Any) -> tuple[int, list[Any]]:
        loss = (net(x) ** 2).sum()
        nodes = [node for node in topological_order([loss.node]) if node.inputs]
        loss.backward()
        slopes = [p.grad.numpy() for p in net.parameters().values()]
        for p in net.parameters().values():
            p.grad = None
        return sum(node.type.size for node in nodes), slopes

    (all_kept, expected), (kept, found) = run(plain), run(cut)
    assert kept < all_kept / 10
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_more_pieces_than_layers():
    with pytest.raises(errors.ConfigError, match="segments"):
        cr.nn.Remat(cr.nn.Sequential(cr.nn.Tanh()), 2)
