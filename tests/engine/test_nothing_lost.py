"""No gradient is lost in silence, and numbers handed in mean what they meant then."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import threading
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine import overwriting
from chainrule.engine.compile import Compiled
from chainrule.engine.tensor import own_node
from chainrule.errors import ChainruleError, ConfigError, DerivativeError, TraceError

from .backends.flags import NIGHTLY

BACKENDS = ("numpy", "c")
every_backend = pytest.mark.parametrize("backend", BACKENDS)


# ---- .grad in a trace ----------------------------------------------------------------------------


def test_a_gradient_from_before_is_not_built_in():
    w = cr.parameter(4.0)
    optimizer = cr.optim.SGD([w], lr=0.1)
    step = cr.compile(optimizer.step, backend="numpy")
    with pytest.raises(ConfigError, match="was backward"):
        step()
    (w * w).backward()
    with pytest.raises(TraceError, match="add up from call to call"):
        step()

    @cr.compile(backend="numpy")
    def whole():
        optimizer.zero_grad()
        loss = w * w
        loss.backward()
        optimizer.step()
        return loss

    w.grad = None
    for _ in range(5):
        whole()
    assert w.item() == pytest.approx(4 * 0.8**5)
    assert w.grad is None


# ---- a compiled function has a derivative --------------------------------------------------------


@every_backend
def test_backward_goes_through_compiled_functions(backend):
    net = cr.nn.Linear(2, 1).initialize(0)
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
    found = []
    for f in (cr.compile(net, backend=backend), net):
        net.weight.grad = net.bias.grad = None
        first = cr.tanh(net.weight).sum()
        ((f(f(x) * x) ** 2).mean() + first).backward()
        found.append([net.weight.grad.numpy(), net.bias.grad.numpy()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@every_backend
def test_a_compiled_function_with_a_state_of_its_own(backend):
    net = cr.nn.Sequential(cr.nn.Linear(2, 3), cr.nn.BatchNorm(3)).initialize(0)
    twin = copy.deepcopy(net)
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2) ** 3
    f = cr.compile(lambda x: net(x, train=True), backend=backend)
    for _ in range(2):
        (f(x) ** 3).sum().backward()
        (twin(x, train=True) ** 3).sum().backward()
    for path, p in net.parameters().items():
        expected = twin.parameters()[path].grad.numpy()
        np.testing.assert_allclose(p.grad.numpy(), expected, rtol=1e-4, atol=1e-5)
    for path, v in net.variables().items():
        np.testing.assert_allclose(v.numpy(), twin.variables()[path].numpy(), rtol=1e-5)


@every_backend
def test_a_step_of_a_training_gives_plain_numbers(backend):
    w = cr.parameter([1.0])

    def step(x):
        loss, slope = cr.value_and_grad(lambda w: (w * x).sum())(w)
        w.assign(w - slope)
        return loss

    loss = cr.compile(step, backend=backend)(np.ones(1, np.float32))
    assert not loss.node.inputs
    assert loss.node.watched == 0


# ---- options and NumPy's functions ---------------------------------------------------------------


def test_options_given_as_tensors():
    s = cr.tensor(0.5)
    x = cr.tensor([1.0, -2.0, 3.0])
    assert cr.grad(lambda s: cr.pad(x, ((1, 1),), s).sum())(s).item() == 2
    slope = cr.grad(lambda p: cr.norm(x, order=p))(cr.tensor(3.0)).item()
    wide = x.numpy().astype(np.float64)
    higher, lower = (np.linalg.norm(wide, p) for p in (3.0001, 2.9999))
    assert slope == pytest.approx((higher - lower) / 2e-4, rel=1e-3)
    q = cr.tensor(np.linspace(-1, 1, 12).reshape(3, 4))
    attend = lambda s: (cr.ops.scaled_dot_product_attention(q, q, q, scale=s) ** 2).sum()  # noqa: E731
    assert cr.check_grad(attend, 0.7) < 1e-5
    for refused in (
        lambda s: cr.ops.scaled_dot_product_attention(
            q, q, q, dropout=s, key=cr.random.key(0)
        ).sum(),
        lambda s: cr.nn.Dropout(s)(x, train=True, key=cr.random.key(0)).sum(),
    ):
        with pytest.raises(DerivativeError, match="would get no gradient"):
            cr.grad(refused)(s)


def test_functions_of_numpy():
    w = cr.parameter([3.0, 4.0])
    (w / np.linalg.norm(w)).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), [0.032, -0.024], rtol=1e-5)
    w.grad = None
    (np.stack([w, 2 * w]).sum() + np.where([True, False], w, 0.0).sum()).backward()
    assert w.grad.tolist() == [4.0, 3.0]
    assert np.shape(w) == (2,)
    assert np.allclose(w, [3, 4])
    for lost in (np.copy, np.fft.fft, np.unwrap):
        with pytest.raises(DerivativeError, match="would lose its gradient"):
            lost(w)
    with pytest.raises(TypeError):
        np.exp(w)
    with pytest.raises(DerivativeError, match="would lose its gradient"):
        cr.grad(lambda x: cr.sum(np.array([x[0] * 2, x[1]])))(cr.tensor([1.0, 2.0]))
    assert isinstance(np.linalg.norm(w.detach()), np.floating)


# ---- arrays that change later --------------------------------------------------------------------


def test_the_derivative_is_that_of_the_numbers_from_then():
    w, d = cr.parameter([1.0, 1.0]), np.ones(2, np.float32)
    for operand in (d, d[::-1], memoryview(d)):
        w.grad = None
        loss = (w * operand).sum()
        d[:] = 5
        loss.backward()
        assert w.grad.tolist() == [1.0, 1.0]
        d[:] = 1


@every_backend
def test_captured_arrays_mean_one_thing(backend):
    d, x = np.ones(3, np.float32), np.ones(3, np.float32)
    f = cr.compile(
        lambda x: (x * d).sum() + cr.as_tensor(d).sum() + cr.tensor(d)[0], backend=backend
    )
    assert f(x).item() == 7
    d[:] = 5
    assert f(x).item() == 7


@every_backend
@pytest.mark.parametrize("view", [lambda x: x, lambda x: x[::-1], lambda x: x.reshape(1, 3)[0]])
def test_variables_and_results_share_no_memory_with_the_caller(backend, view):
    buffer, data = cr.Buffer(np.zeros(3, np.float32)), np.ones(3, np.float32)

    def step(x):
        buffer.assign(view(x))
        return view(x)

    result = cr.compile(step, backend=backend)(data)
    data[:] = 9
    assert buffer.tolist() == result.tolist() == [1, 1, 1]
    kept = cr.tensor(data)
    buffer.assign(data)
    data[:] = 7
    assert buffer.tolist() == kept.tolist() == [9, 9, 9]


# ---- parameters and modules that change ----------------------------------------------------------


class Clipped(cr.nn.Module):
    def __init__(self) -> None:
        self.w = cr.parameter([5.0])

    def forward(self, x):
        self.w.assign(cr.clip(self.w, -1.0, 1.0))
        return (x * self.w).sum()


def test_a_parameter_cannot_be_assigned_inside_of_its_derivative():
    net = Clipped()
    run = lambda q: q(np.float32(1.0))  # noqa: E731
    for function in (cr.grad(run), cr.compile(cr.grad(run), backend="numpy")):
        with pytest.raises(DerivativeError, match="cannot be assigned"):
            function(net)
        assert net.w.tolist() == [5.0]
    run(net)
    assert net.w.tolist() == [1.0]


@every_backend
def test_programs_follow_their_modules(backend):
    net = cr.nn.Sequential(cr.nn.Linear(2, 2), cr.nn.LeakyReLU(0.1)).initialize(0)
    f = cr.compile(lambda x: net(x), backend=backend)
    x = np.array([[1.0, -2.0]], np.float32)

    def check():
        np.testing.assert_allclose(f(x).numpy(), net(x).numpy(), rtol=1e-5)

    check()
    net.layers[0].weight = cr.parameter(np.full((2, 2), -1.0, np.float32))
    check()
    net.layers[1] = cr.nn.Tanh()
    check()
    net.layers.append(cr.nn.Linear(2, 1).initialize(1))
    check()
    net.layers[0].bias = None
    check()


@every_backend
def test_methods(backend):
    class Scaled:
        def __init__(self, factor):
            self.factor = factor
            self.w = cr.parameter(1.0)

        @cr.compile(backend=backend)
        def run(self, x):
            return x * self.factor * self.w

    one, other = Scaled(2.0), Scaled(3.0)
    assert [one.run(np.float32(1)).item(), other.run(np.float32(1)).item()] == [2, 3]
    one.factor = 5.0
    other.w.assign(7.0)
    assert [one.run(np.float32(1)).item(), other.run(np.float32(1)).item()] == [5, 21]

    class Net(cr.nn.Module):
        def __init__(self):
            self.layer = cr.nn.Linear(1, 1).initialize(0)

        @cr.compile(backend=backend)
        def forward(self, x):
            return self.layer(x)

    net, x = Net(), np.ones((1, 1), np.float32)
    assert net(x).item() == pytest.approx(net.layer(x).item())


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_of_modules_are_modules_of_their_own(twin):
    net = cr.nn.Sequential(cr.nn.Linear(2, 2), cr.nn.BatchNorm(2)).initialize(0)
    net.freeze("layers.0.bias")
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
    expected = net(x).numpy().copy()
    other = twin(net)
    assert list(other.trainable_parameters()) == list(net.trainable_parameters())
    other.layers[0].weight.assign(np.zeros((2, 2)))
    np.testing.assert_array_equal(net(x).numpy(), expected)
    slopes = cr.grad(lambda m: m(x, train=True).sum())(other)
    assert list(slopes) == list(net.trainable_parameters())


# ---- threads -------------------------------------------------------------------------------------


def in_threads(*works: Any) -> None:
    """Run all at once; what one raises is raised here."""
    errors: list[BaseException] = []

    def guarded(work: Any) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_derivatives_traces_and_eager_code_in_threads():
    net = cr.nn.Linear(4, 1).initialize(0)
    x = np.ones((2, 4), np.float32)
    expected, weight = net(x).numpy().copy(), net.weight.numpy().copy()
    other = cr.Buffer(np.zeros(3))
    times = 3000 if NIGHTLY else 150

    def slopes() -> None:
        for _ in range(times):
            found = cr.grad(lambda q: q(x).sum())(net)
            assert found["weight"].tolist() == [[2.0]] * 4
            assert found["bias"].tolist() == [2.0]

    def eager() -> None:
        for _ in range(times):
            np.testing.assert_array_equal(net(x).numpy(), expected)

    def traces() -> None:
        def step(x: Any) -> Any:
            other.assign(other + 1)
            return net(x).sum() + other.sum()

        for _ in range(times // 3):
            assert len(cr.trace(step, x).variables) == 3

    def compiled() -> None:
        run = cr.compile(lambda x: cr.grad(lambda q: q(x).sum())(net), backend="numpy")
        for _ in range(times):
            assert run(x)["weight"].tolist() == [[2.0]] * 4

    in_threads(slopes, slopes, eager, traces, compiled)
    np.testing.assert_array_equal(net.weight.numpy(), weight)
    assert net.weight.requires_grad
    assert other.tolist() == [0, 0, 0]


def test_a_variable_that_another_thread_assigns_is_read_once():
    w = cr.Buffer(np.zeros(1000))
    times = 2000 if NIGHTLY else 100
    done = threading.Event()

    def write() -> None:
        for n in range(times):
            w.assign(np.full(1000, float(n)))
        done.set()

    def read() -> None:
        run = cr.compile(lambda: w * 1.0, backend="c")
        while not done.is_set():
            for found in (run().numpy(), (w * 1.0).numpy()):
                assert (found == found[0]).all()

    def retrace() -> None:
        while not done.is_set():
            assert len(cr.trace(lambda: w * 2.0 + w).variables) == 1

    in_threads(write, read, retrace)


def test_numbers_that_a_program_overwrites_are_read_before_or_after():
    """A step in C writes into the arrays of its variables: all of one step, or all of the next."""
    size = 200_000
    w, v = cr.parameter(np.zeros(size)), cr.Buffer(np.zeros(size))
    times = 3000 if NIGHTLY else 60
    done = threading.Event()

    def step() -> None:
        v.assign(v + 1.0)
        w.assign(w + 1.0)

    def train() -> None:
        run = cr.compile(step, backend="c")
        try:
            for _ in range(times):
                run()
        finally:
            done.set()

    def many() -> None:
        """The same variables, in another order, by another program that takes many steps."""
        other = Compiled(lambda x: (w.assign(w + x.sum()), v.assign(v + x.sum()))[0], "c")
        for _ in range(times // 2):
            other.run_steps([[0], [0]], np.ones(1), rows=[0])

    def one() -> None:
        """Reads both and overwrites neither, like a prediction; and one that overwrites another."""
        own = cr.Buffer(np.zeros(size))
        predict = cr.compile(lambda: (w * 1.0, v * 1.0), backend="c")
        copy = cr.compile(lambda: own.assign(w + 0.0), backend="c")
        while not done.is_set():
            copy()
            for found in (*predict(), own):
                assert (found.numpy() == found.numpy()[0]).all()

    def read() -> None:
        while not done.is_set():
            for found in (w.numpy().copy(), (v * 1.0).numpy(), np.array(v), w.detach().numpy()):
                assert (found == found[0]).all()

    in_threads(train, many, one, read)
    assert w[0].item() == v[-1].item() == 2 * times


def test_numbers_that_were_fetched_before_a_step_stay():
    w = cr.Buffer(np.zeros(3))
    run = cr.compile(lambda: w.assign(w + 1.0), backend="c")
    run()
    node, view, tensor, detached = w.node, w.numpy(), cr.tensor(w), w.detach()
    run()
    for old in (node.value, view, tensor.numpy(), detached.numpy()):
        np.testing.assert_array_equal(old, 1.0)
    del node, view, tensor, detached, old
    np.testing.assert_array_equal(w.numpy(), 2.0)
    place = w.numpy().ctypes.data
    run()
    assert w.numpy().ctypes.data == place  # nobody else has it: no copy
    assert w.tolist() == [3.0] * 3


@pytest.mark.parametrize("size", [3, 10_000])
def test_calls_after_the_first_see_what_changed_between_them(size: int):
    """A program that finds everything where it was looks at its arguments only."""
    w, b = cr.Buffer(np.zeros(size)), cr.Buffer(1.0)

    def step(x: Any, scale: float, sign: int) -> Any:
        w.assign(w + x * scale * sign + b)
        return w * 2.0, w.sum()

    run = cr.compile(step, backend="c")
    read = cr.compile(lambda x: w + x, backend="c")
    x = np.ones(size)

    def call(x: Any = x, scale: float = 1.0, sign: int = 1) -> float:
        doubled, total = run(x, scale, sign)
        assert doubled.numpy()[-1] == w.numpy()[0] * 2.0
        assert total.item() == w.numpy()[0] * size
        return float(total.item()) / size

    kept = [run(x, 1.0, 1)[0] for _ in range(4)]
    assert [found[-1].item() for found in kept] == [4.0, 8.0, 12.0, 16.0]
    view = w.numpy()
    assert call() == 10.0
    assert view[0] == 8.0  # fetched before
    x[:] = 5.0  # the caller's own array
    assert call() == 16.0
    assert call(x[::-1].copy()[::-1]) == 22.0  # another layout
    assert call(cr.tensor(x), 2.0) == 33.0
    assert call(sign=-1) == 29.0
    for _ in range(3):
        run(x, 1.0, 1)
    w.assign(np.zeros(size))
    assert call() == 6.0
    b.assign(0.0)
    for number in range(3):
        assert read(x)[0].item() == 11.0 + 5 * number  # another program
        run(x, 1.0, 1)
    run(x, 1.0, 1)
    before = run.last_run[1]
    run(x, 1.0, 1)
    assert before[-2][0] + 5.0 == w[0].item() or before[-1][0] + 5.0 == w[0].item()
    with pytest.raises(ChainruleError):
        run(np.ones(size + 1), 1.0, 1)
    twice = np.array([1.0, 1.0])
    with pytest.raises(ChainruleError):
        run(twice, 1.0, 1)
    assert call() == 36.0


def test_an_assignment_during_a_call_is_not_lost():
    """Neither the memory that the program writes into, nor the value that was assigned."""
    w = cr.Buffer(np.zeros(50_000))
    run = cr.compile(lambda: w.assign(w + 1.0), backend="c")
    done = threading.Event()

    def train() -> None:
        try:
            for _ in range(300):
                run()
        finally:
            done.set()

    def assign() -> None:
        while not done.is_set():
            w.assign(np.full(50_000, -1000.0))
            found = w.numpy()
            assert (found == found[0]).all()
            assert found[0] <= -700.0

    in_threads(train, assign)


def test_a_thread_does_not_wait_for_its_own_program():
    """As in the handler of a signal that comes at the end of a step."""
    w = cr.Buffer(np.zeros(3))
    overwriting.begin([w], {w}, own_node)
    try:
        assert w.tolist() == [0.0] * 3
        overwritten = {w}
        overwriting.begin([w], overwritten, own_node)
        overwriting.end(overwritten)
        waited = threading.Thread(target=w.tolist, daemon=True)
        waited.start()
        waited.join(0.1)
        assert waited.is_alive()
    finally:
        overwriting.end(overwriting.calls.claims[0][1])
    waited.join(60)
    assert not waited.is_alive()
    assert not overwriting.calls.claims


def test_variables_are_free_after_an_error():
    w = cr.Buffer(np.zeros(4))

    def step(i: Any) -> Any:
        w.assign(w + cr.take(w, i).sum() + 1.0)

    run = cr.compile(step, backend="c")
    run(np.array([1]))
    with pytest.raises(ChainruleError, match="range"):
        run(np.array([9]))
    in_threads(lambda: np.testing.assert_array_equal(w.numpy(), 1.0))
    run(np.array([1]))
    assert w.tolist() == [3.0] * 4


def test_a_variable_made_in_a_compiled_function_is_one():
    """Not a constant, even if nothing assigned it meanwhile and the function is traced again."""
    made: list[cr.Buffer] = []

    def scaled(x: Any) -> Any:
        if not made:
            made.append(cr.Buffer(2.0))
        return x * made[0]

    run = cr.compile(scaled, backend="numpy")
    assert run(np.ones(1)).tolist() == [2.0]
    assert run(np.ones(2)).tolist() == [2.0, 2.0]
    made[0].assign(3.0)
    assert run(np.ones(1)).tolist() == [3.0]
    assert run(np.ones(2)).tolist() == [3.0, 3.0]
    assert copy.deepcopy(made[0]).tolist() == 3.0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows")
def test_a_fork_waits_for_the_steps_of_other_threads():
    """The child has the numbers of one step, goes on with it, and waits for nobody."""
    w, v = cr.Buffer(np.zeros(50_000)), cr.Buffer(np.zeros(50_000))
    done = threading.Event()

    @cr.compile(backend="c")
    def step() -> None:
        v.assign(v + 1.0)
        w.assign(w + 1.0)

    predict = cr.compile(lambda: w * 1.0, backend="c")
    prepared = Compiled(lambda x: x * 2.0 + 1.125, "c")

    def train() -> None:
        while not done.is_set():
            step(), predict()

    def child(attempt: int) -> bool:
        before = int(w.numpy()[0])
        right = bool((w.numpy() == before).all() and (v.numpy() == before).all())
        step()
        right &= bool((predict().numpy() == before + 1).all())
        # The thread that builds it goes on in the parent only.
        return right and (attempt > 0 or prepared(np.ones(3)).tolist() == [3.125] * 3)

    step(), predict()
    thread = threading.Thread(target=train)
    thread.start()
    codes = []
    try:
        prepared.prepare(np.ones(3))
        for attempt in range(100 if NIGHTLY else 10):
            process = os.fork()
            if process == 0:
                code = 2
                try:
                    signal.alarm(60)
                    code = 0 if child(attempt) else 1
                finally:
                    os._exit(code)
            codes.append(os.waitpid(process, 0)[1])
    finally:
        done.set()
        thread.join()
    assert not any(codes), codes
    assert (w.numpy() == v.numpy()).all()


def test_an_error_in_one_thread_leaves_the_others_alone():
    net = cr.nn.Linear(1, 1).initialize(0)

    def fails() -> None:
        for _ in range(50):
            with pytest.raises(ChainruleError):
                cr.trace(lambda x: net(x) if float(net.weight) else x, np.ones((1, 1), np.float32))

    def works() -> None:
        for _ in range(50):
            float(net.weight)

    in_threads(fails, works)


# ---- which backend -------------------------------------------------------------------------------


def test_the_backend_is_decided_by_the_graph():
    small = cr.compile(lambda x: x * 2.0 + 1.0)
    small(np.ones(3))
    assert "include" not in small.source
    large = cr.compile(lambda x: cr.tanh(x) * 2.0 + 1.0)
    large(np.ones(10_000))
    assert "#include" in large.source
    w = cr.parameter([0.5, -0.2])

    @cr.compile
    def step(x, y):
        loss, gradient = cr.value_and_grad(lambda w: ((x @ w - y) ** 2).mean())(w)
        w.assign(w - 0.1 * gradient)
        return loss

    step(np.ones((2, 2), np.float32), np.ones(2, np.float32))
    assert "#include" in step.source
    known = cr.compile(lambda x: x * 2.25 + 1.125, backend="c")
    known(np.ones(3))
    again = cr.compile(lambda x: x * 2.25 + 1.125)
    again(np.ones(3))
    assert "#include" in again.source


@pytest.mark.parametrize("transposed", [False, True])
def test_a_variable_that_is_not_in_order_is_read_by_later_calls(transposed):
    """A native program points to a copy in order, which must be there as long as it may be read."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 40)).astype(np.float32)
    weight = cr.parameter(values.T if transposed else values.T.copy())
    program = cr.compile(lambda x: x @ weight, backend="c")
    for _ in range(4):
        x = rng.normal(size=(64, 40)).astype(np.float32)
        np.testing.assert_allclose(program(x).numpy(), x @ values.T, rtol=1e-4, atol=1e-4)
        rng.normal(size=(40, 300)).astype(np.float32)  # takes the memory that is free
