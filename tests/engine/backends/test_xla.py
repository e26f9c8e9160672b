"""The XLA backend against the NumPy backend: operations, functions, and what a program promises."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st

import chainrule as cr
from chainrule.engine import pytree
from chainrule.engine.backends import registry
from chainrule.engine.backends.numpy import Program
from chainrule.engine.backends.registry import find_backend
from chainrule.engine.ir.graph import Graph
from chainrule.engine.ir.operation import OPERATIONS

from ...nightly import NIGHTLY, by_night
from ...test_losses import EXAMPLES as LOSS_EXAMPLES
from .random_graphs import instructions
from .test_c import ARBITRARY, FUNCTION_CALLS, OPERATION_CALLS, agree, in_parts, sample_graph
from .test_random_graphs import agree_loosely, graph_of

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'chainrule[xla]'")

from chainrule.engine.backends.xla import library, program  # noqa: E402
from chainrule.engine.backends.xla.backend import XlaBackend  # noqa: E402
from chainrule.engine.backends.xla.lowerings import LOWERINGS  # noqa: E402
from chainrule.engine.backends.xla.trace import Trace  # noqa: E402

LEAVES = {"constant", "placeholder"}


def run(graph, arrays):
    return find_backend("xla").build(graph, {}, ()).__call__(list(arrays))


def merged(cases):
    """Several graphs as one program, for most of building a small one is to begin."""
    graphs, arrays, labels = zip(*cases, strict=True)
    graph = Graph(
        [node for one in graphs for node in one.inputs],
        [node for one in graphs for node in one.outputs],
    )
    names = [label for one, label in zip(graphs, labels, strict=True) for _ in one.outputs]
    return graph, [array for one in arrays for array in one], names


def compare(cases, agree=agree):
    graph, arrays, labels = merged(cases)
    for one, other, label in zip(run(graph, arrays), Program(graph)(arrays), labels, strict=True):
        agree(one, other, label)


def cases_of(calls, names, dtypes, first_only=False, gradients=True):
    for name in names:
        function, samples = calls[name]
        for number, sample in enumerate(samples[:1] if first_only else samples):
            for dtype in dtypes:
                graph, arrays = sample_graph(
                    function, sample, dtype, gradients and name not in ARBITRARY
                )
                yield graph, arrays, f"{name}, sample {number}, {dtype}"


# ---- every operation -------------------------------------------------------------------------


def shapes_of(graph, arrays):
    """What JAX finds by tracing alone, without compiling anything."""

    def traced(*inputs):
        return Trace(LOWERINGS).run(graph, inputs)

    with library.settings():
        return [(y.dtype, y.shape) for y in jax.eval_shape(traced, *arrays)]


@pytest.mark.parametrize(
    ("calls", "gradients"),
    [pytest.param(OPERATION_CALLS, False, id="operations"), by_night(FUNCTION_CALLS, True)],
)
def test_everything_can_be_traced(calls, gradients):
    """An operation whose compute is for NumPy only needs a lowering; this test says so."""
    for graph, arrays, label in cases_of(calls, calls, ("float32",), True, gradients):
        expected = [(y.type.dtype, y.type.shape) for y in graph.outputs]
        assert shapes_of(graph, arrays) == expected, label


def test_lowerings_are_of_operations_that_exist():
    assert set(LOWERINGS) <= set(OPERATIONS) - LEAVES


#: By day, one sample of each of these: those whose lowering could be wrong by more than a name.
BY_DAY = [
    *("erfinv", "cast", "random_bits", "fold_in", "pad", "take", "scatter_add", "scatter"),
    *("scatter_bag", "convolution", "max_pool", "matmul", "lgamma", "ndtri", "erfcx"),
    *("take_along_axis", "add_along_axis", "embedding_bag", "transposed_convolution"),
    *("convolution_weights", "sum_pool", "sum_unpool", "max_pool_scatter", "max_pool_gather"),
    *("solve", "solve_triangular", "cholesky", "cofactors", "pinv", "matrix_exp"),
]
#: The same of functions, for operations that give several results.
FUNCTIONS_BY_DAY = [f"linalg.{name}" for name in ("eigh", "svd", "qr", "lu", "slogdet")]


def test_a_sample_of_operations():
    compare(
        [
            *cases_of(OPERATION_CALLS, BY_DAY, ("float32",), first_only=True, gradients=False),
            *cases_of(FUNCTION_CALLS, FUNCTIONS_BY_DAY, ("float32",), True, gradients=False),
        ]
    )


@pytest.mark.parametrize("causal", [True, False])
def test_attention(causal):
    """With a mask and dropped weights: the same bits are drawn, and none where all is masked."""
    rng = np.random.default_rng(4)
    q, k, v = (rng.normal(size=(2, n, 4)).astype("float32") for n in (3, 5, 5))
    mask = rng.uniform(size=(2, 3, 5)) > 0.3
    mask[0, 1] = False
    key = cr.random.key(3)

    def attended(*x):
        return cr.scaled_dot_product_attention(*x, mask=mask, causal=causal, dropout=0.4, key=key)

    def both(*x):
        slopes = cr.grad(lambda *x: weighted([attended(*x)]), argnums=(0, 1, 2))
        return attended(*x), slopes(*x)

    graph = cr.trace(both, q, k, v).graph
    bias = rng.normal(size=(3, 5)).astype("float32")
    added = cr.trace(
        lambda q, k, v, bias: cr.scaled_dot_product_attention(q, k, v, mask=bias, scale=0.3),
        q, k, v, bias,
    ).graph  # fmt: skip
    compare([(graph, [q, k, v], "drawn"), (added, [q, k, v, bias], "added")])


@pytest.mark.nightly
@pytest.mark.parametrize(
    "names", in_parts([name for name, (_, samples) in OPERATION_CALLS.items() if samples], 12)
)
def test_operations(names):
    compare(list(cases_of(OPERATION_CALLS, names, ("float64", "float32"))))


@pytest.mark.nightly
@pytest.mark.parametrize("names", in_parts(list(FUNCTION_CALLS), 16))
def test_functions(names):
    compare(list(cases_of(FUNCTION_CALLS, names, ("float64", "float32"))))


def weighted(results):
    """One number that depends on every result in another way."""
    total = cr.tensor(0.0, "float64")
    for y in results:
        if y.type.is_float:
            weights = np.cos(1.7 * np.arange(y.size)).reshape(y.shape)
            total = total + cr.sum(y * cr.tensor(weights, y.dtype)).astype("float64")
    return total


def second_graph(function, sample):
    """The gradient of a weighted sum of the gradients."""
    leaves, rebuild, _ = pytree.flatten(list(sample.inputs))
    places = [i for i, x in enumerate(leaves) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
    arrays = [leaves[i].astype("float64") for i in places]
    every = tuple(range(len(places)))

    def value(*floats):
        filled = list(leaves)
        for i, x in zip(places, floats, strict=True):
            filled[i] = x
        found = function(*rebuild(filled), **sample.attributes)
        return weighted([cr.as_tensor(y) for y in pytree.flatten(found)[0]])

    def first(*floats):
        return weighted(cr.grad(value, argnums=every)(*floats))

    return cr.trace(cr.grad(first, argnums=every), *arrays).graph, arrays


def has_second(name, sample):
    floats = [x for x in pytree.flatten(list(sample.inputs))[0]
              if isinstance(x, np.ndarray) and x.dtype.kind == "f"]  # fmt: skip
    return sample.smooth and floats and name not in ARBITRARY


def test_ctc_where_a_target_does_not_fit_or_steps_are_not_finite():
    """Long and empty targets, one too long for its steps, NaN, and steps that are impossible."""
    rng = np.random.default_rng(0)
    z, labels = 3 * rng.normal(size=(7, 60, 9)), rng.integers(1, 9, (7, 20))
    z[5, 3, 2], z[6, 1] = np.nan, -np.inf
    steps, counts = np.array([60, 41, 60, 5, 0, 60, 60]), np.array([20, 7, 0, 9, 0, 4, 3])

    def loss_and_gradient(z):
        loss = cr.ctc_from_logits(z, labels, steps, counts)
        return loss, cr.grad(lambda z: cr.ctc_from_logits(z, labels, steps, counts).sum())(z)

    graph = cr.trace(loss_and_gradient, z).graph
    for one, other in zip(run(graph, [z]), Program(graph)([z]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    loss, _ = Program(graph)([z])
    assert np.isinf(loss[3])
    assert np.isnan(loss[5])


@pytest.mark.nightly
@pytest.mark.parametrize("names", in_parts(list(FUNCTION_CALLS), 16))
def test_second_derivatives(names):
    cases = []
    for name in names:
        function, samples = FUNCTION_CALLS[name]
        for number, sample in enumerate(samples):
            if has_second(name, sample):
                label = f"{name}, sample {number}, second derivative"
                cases.append((*second_graph(function, sample), label))
    if cases:
        compare(cases)


@pytest.mark.nightly
@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_random_graphs(smooth, seed):
    """Ten random functions with their gradients, as one program."""

    @settings(max_examples=1, deadline=None, phases=[Phase.generate], database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @hypothesis_seed(seed)
    @given(st.lists(instructions, min_size=10, max_size=10))
    def check(programs):
        cases = [(*graph_of(one, smooth, np.float64, seed), str(one)) for one in programs]
        compare(cases, agree_loosely)

    check()


@pytest.mark.nightly
def test_losses():
    """Each with its gradient, all in one program."""
    cases = []
    for name, (loss, prediction, target) in LOSS_EXAMPLES.items():
        prediction, target = np.asarray(prediction, np.float64), np.asarray(target)

        def both(prediction, target, loss=loss):
            return cr.value_and_grad(lambda z: loss(z, target))(prediction)

        cases.append((cr.trace(both, prediction, target).graph, [prediction, target], name))
    compare(cases)


@pytest.mark.nightly
@pytest.mark.parametrize("name", cr.optim.OPTIMIZERS)
def test_optimizers(name):
    found = {}
    for backend in ("numpy", "xla"):
        model = cr.nn.Linear(6, 1).initialize(seed=0)
        optimizer = cr.optim.OPTIMIZERS[name](model, lr=0.01, clip_norm=1.0)
        trainer = cr.Trainer(model, "mse", optimizer, progress=False, backend=backend)
        trainer.fit(some_rows(), epochs=2, batch_size=60, shuffle=False)
        found[backend] = model.state()
    for path, array in found["numpy"].items():
        np.testing.assert_allclose(found["xla"][path], array, rtol=2e-4, atol=1e-5)


def test_a_gradient_for_which_xla_itself_would_end_the_process():
    """Of a window and a stride of 2 on one axis only, and dilation on the other."""
    x, w = (np.random.default_rng(0).normal(size=shape) for shape in [(3, 4, 3, 2), (2, 2, 2, 3)])

    def both(x, w):
        how = {"stride": (2, 1), "dilation": (1, 2)}
        return cr.grad(lambda x, w: (cr.conv2d(x, w, **how) ** 2).sum(), argnums=(0, 1))(x, w)

    compare([(cr.trace(both, x, w).graph, [x, w], "convolution")])


# ---- programs --------------------------------------------------------------------------------


def small_network(seed=0):
    """By day without dropout, whose random bits take most of the time to compile."""
    layers = [cr.nn.Linear(6, 16), cr.nn.BatchNorm(16), cr.nn.ReLU()]
    layers += [cr.nn.Dropout(0.2)] if NIGHTLY else []
    return cr.nn.Sequential(*layers, cr.nn.Linear(16, 1)).initialize(seed=seed)


def some_rows(rows=300, columns=6):
    x = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)
    return x, (x[:, :1] ** 2 + x[:, 1:2]).astype(np.float32)


def trained(backend, epochs=3, batch_size=32, **options):
    trainer = cr.Trainer(small_network(), "mse", "adam", lr=0.01, progress=False, backend=backend)
    history = trainer.fit(some_rows(), epochs=epochs, batch_size=batch_size, **options)
    return trainer, np.array(history["loss"])


def test_a_training_is_that_of_numpy():
    _, expected = trained("numpy", batch_size=60)
    _, found = trained("xla", batch_size=60)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.nightly
def test_a_training_repeats_to_the_bit():
    """300 rows are no multiple of 32: the last batch has a program of its own."""
    _, expected = trained("numpy")
    trainer, found = trained("xla")
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    again, losses = trained("xla")
    np.testing.assert_array_equal(losses, found)
    for path, array in trainer.model.state().items():
        np.testing.assert_array_equal(again.model.state()[path], array)


def test_variables_stay_on_the_device_until_somebody_looks():
    total = cr.Buffer(1.0)

    def step(x):
        total.assign(total + x)
        return total * 2.0

    add = cr.compile(step, backend="xla")
    assert add(cr.tensor(2.0)).item() == 6.0
    assert total.away is not None
    assert add(cr.tensor(1.0)).item() == 8.0
    assert total.item() == 4.0
    assert total.away is None
    total.assign(10.0)
    assert add(cr.tensor(1.0)).item() == 22.0
    held = total.numpy()
    add(cr.tensor(5.0))
    assert (held.item(), total.item()) == (11.0, 16.0)


def test_other_backends_go_on_with_what_is_away():
    weight = cr.parameter([1.0, 2.0])

    def step(x):
        weight.assign(weight - 0.5 * x)
        return (weight * weight).sum()

    on_device, in_numpy = (cr.compile(step, backend=name) for name in ("xla", "numpy"))
    one = cr.tensor([1.0, 1.0])
    found = [on_device(one).item(), in_numpy(one).item(), on_device(one).item()]
    assert found == [2.5, 1.0, 0.5]
    assert weight.tolist() == [-0.5, 0.5]


def test_a_step_that_is_not_finite_changes_nothing():
    weight = cr.parameter(1.0)

    def step(x):
        weight.assign(weight + x)
        return cr.log(x)

    run_step = cr.compile(step, backend="xla", guard=True)
    assert run_step(cr.tensor(1.0)).item() == 0.0
    assert np.isnan(run_step(cr.tensor(-1.0)).item())
    assert weight.item() == 2.0


def test_steps_end_where_one_is_not_finite():
    weight = cr.parameter(1.0)

    def step(x, number):
        weight.assign(weight + x[0])
        return cr.log(x[0]) + cr.astype(number, "float32")

    data = np.array([1.0, 2.0, -1.0, 4.0], np.float32)
    run_step = cr.compile(step, backend="xla", guard=True)
    order = np.arange(4)[:, None]
    done, results = run_step.run_steps(order, data, np.int64(5), rows=[0], counter=1)
    np.testing.assert_allclose(results.numpy(), [5.0, 6 + np.log(2.0), np.nan], rtol=1e-6)
    assert (done, weight.item()) == (2, 4.0)
    data[2] = 8.0  # what was put on the device is not what is there now
    done, results = run_step.run_steps(order, data, np.int64(0), rows=[0], counter=1)
    assert (done, weight.item()) == (4, 19.0)


def test_an_index_out_of_range_is_refused_as_by_numpy():
    table = cr.parameter(np.zeros((3, 2), np.float32))

    def step(rows):
        table.assign(table + 1.0)
        return cr.take(table, rows)

    look_up = cr.compile(step, backend="xla")
    assert look_up(cr.tensor([0, -3])).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    with pytest.raises(cr.errors.OutOfRangeError, match="An index is out of range") as caught:
        look_up(cr.tensor([0, 3]))
    assert caught.value.found == "3 at [1]"
    assert table.numpy().max() == 1.0  # nothing was overwritten
    with pytest.raises(cr.errors.DataError, match="singular"):
        cr.compile(cr.linalg.inv, backend="xla")(cr.tensor([[1.0, 1.0], [1.0, 1.0]]))


def test_results_have_a_derivative():
    weight = cr.parameter([1.0, 2.0])
    loss = cr.compile(lambda x: (weight * x).sum() ** 2, backend="xla")(cr.tensor([3.0, 4.0]))
    loss.backward()
    assert weight.grad.tolist() == [66.0, 88.0]


def test_float64_is_computed_in_float64_and_jax_itself_stays_as_it_was():
    x = np.array([1.0, 1e-17, -1.0])
    assert cr.compile(lambda x: x.sum(), backend="xla")(x).item() == pytest.approx(x.sum(), abs=0)
    assert jax.numpy.asarray(x).dtype == np.float32


def test_threads_wait_for_a_step_and_see_whole_ones():
    left, right = cr.Buffer(0.0), cr.Buffer(0.0)

    def step(x):
        left.assign(left + x)
        right.assign(right + x)
        return x

    run_step = cr.compile(step, backend="xla")
    run_step(cr.tensor(1.0))
    seen, over = [], threading.Event()

    def look():
        while not over.is_set():
            seen.append(left.item())

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(200):
        run_step(cr.tensor(1.0))
    over.set()
    thread.join()
    assert seen == sorted(seen)
    assert left.item() == right.item() == 201.0


def test_numpy_in_an_own_operation_is_refused_by_name():
    @cr.operation(derivatives=[lambda g, y, x: g])
    def only_numpy(xp, x):
        return np.asarray(x) + 1.0

    with pytest.raises(cr.errors.ChainruleError, match="only_numpy cannot be traced by JAX"):
        cr.compile(only_numpy, backend="xla")(cr.tensor([1.0]))


# ---- precision -------------------------------------------------------------------------------


def test_bfloat16_computes_products_with_fewer_digits_and_keeps_masters():
    x = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
    weight = cr.parameter(np.random.default_rng(1).normal(size=(64, 8)).astype(np.float32) / 8)

    def step(x):
        y = x @ weight
        weight.assign(weight * 1.0001)
        return y

    exact = x @ weight.numpy()
    before = weight.numpy().copy()
    found = cr.compile(step, backend=XlaBackend(precision="bf16"))(x).numpy()
    error = np.abs(found - exact).max()
    assert 1e-4 < error < 0.05
    assert found.dtype == np.float32
    np.testing.assert_allclose(weight.numpy(), before * np.float32(1.0001), rtol=1e-7)


@pytest.mark.parametrize("option", [{"precision": "fp8"}, {"device": "abacus"}, {"devices": 0}])
def test_wrong_options_are_refused_by_name(option):
    with pytest.raises(cr.errors.ConfigError):
        XlaBackend(**option)


# ---- where there is no JAX, or no such device --------------------------------------------------


@pytest.fixture
def fresh_jax():
    """What was found out about JAX is forgotten before and after."""
    library.load.cache_clear()
    registry._warn_once.cache_clear()
    yield
    library.load.cache_clear()
    registry._warn_once.cache_clear()


def built(backend):
    graph = cr.trace(lambda x: x * 2.0, np.ones(3, np.float32)).graph
    program = backend.build(graph, {}, ())
    assert program([np.ones(3, np.float32)])[0].tolist() == [2.0, 2.0, 2.0]
    return type(program).__name__


def test_without_jax_the_native_backend_goes_on(monkeypatch, caplog, fresh_jax):
    monkeypatch.setattr(library, "is_installed", lambda: False)
    assert built(find_backend("xla")) in ("CProgram", "Program")
    assert caplog.messages == [
        "The xla backend needs JAX, which is not installed. The C backend is used."
    ]
    assert [device.platform for device in cr.devices()] == ["cpu"]
    with pytest.raises(cr.errors.ChainruleError, match="not installed") as caught:
        built(XlaBackend())
    assert caught.value.hint == "Install it: pip install 'chainrule[xla]'"


def test_an_old_jax_is_not_tried(monkeypatch, caplog, fresh_jax):
    monkeypatch.setattr(jax, "__version__", "0.4.38")
    assert built(find_backend("xla")) in ("CProgram", "Program")
    assert caplog.messages == [
        "This version of JAX is too old for the xla backend. The C backend is used."
    ]


def test_a_newer_jax_is_tried_with_a_word(monkeypatch, caplog, fresh_jax):
    monkeypatch.setattr(jax, "__version__", "1.2.0")
    assert built(find_backend("xla")) == "XlaProgram"
    assert caplog.messages == [
        "jax 1.2.0 is newer than the versions that chainrule was tested with (0.10 to 0.12)."
    ]


def test_a_device_that_is_not_there(caplog, fresh_jax):
    if any(device.platform == "tpu" for device in cr.devices()):
        pytest.skip("there is a TPU")
    assert built(find_backend("auto", device="tpu")) in ("CProgram", "Program")
    assert caplog.messages == ["JAX finds no TPU on this machine. The C backend is used."]
    with pytest.raises(cr.errors.ConfigError, match="not as many devices"):
        built(find_backend("xla", devices=4096))


def test_auto_takes_an_accelerator_for_what_is_worth_it(monkeypatch):
    monkeypatch.setattr(registry, "has_accelerator", lambda: True)
    few, many = (np.ones(n, np.float32) for n in (3, 600_000))
    double = cr.trace(lambda x: x * 2.0, few).graph, cr.trace(lambda x: x * 2.0, many).graph
    found = [type(find_backend("auto").build(graph, {}, ())).__name__ for graph in double]
    assert found[0] in ("CProgram", "Program")
    assert found[1] == "XlaProgram"


def test_a_batch_is_not_smaller_than_the_devices_over_which_it_is_split(monkeypatch):
    monkeypatch.setattr(XlaBackend, "parts", 8)
    with pytest.raises(cr.errors.ConfigError, match="fewer rows than there are devices") as caught:
        trained(XlaBackend(), batch_size=4)
    assert (caught.value.expected, caught.value.found) == ("at least 8 rows", "4")


def test_the_processor_is_a_device():
    device = cr.devices()[-1]
    assert (device.platform, device.number) == ("cpu", 0)


@pytest.mark.nightly
def test_jax_is_imported_only_where_it_is_asked_for():
    code = (
        "import sys, chainrule as cr; cr.compile(lambda x: x + 1)(cr.tensor(1.0)); "
        "print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_device_without_room_is_described():
    """No such device here: what is said of one, and what XLA plans for a program."""
    step = jax.jit(lambda x: jax.numpy.tanh(x @ x.T).sum())
    needed = program._needed(step, (np.ones((256, 64), np.float32),))
    assert needed.fixed == 4 * (256 * 64 + 1)

    class Small:
        bytes_limit = 2**30

    error = program.no_room("RESOURCE_EXHAUSTED: …", Small(), program.Needed(2**28, 3 * 2**29))
    assert error.expected == "at most 1.00 GiB on each device"
    assert error.found == (
        "a program of 1.75 GiB: 0.25 GiB for weights and data, 1.50 GiB for the values of a batch"
    )
    assert error.hint.endswith("About 50 % of the rows of this batch would fit.")


def test_variables_survive_a_device_that_fails(monkeypatch):
    weight = cr.parameter([1.0, 2.0])

    def step(x):
        weight.assign(weight + x)
        return x

    run_step = cr.compile(step, backend="xla")

    def fails(self, function, state, *rest):
        for array in state.values():
            array.delete()
        raise program.no_room("out of memory", self._placement, None)

    with monkeypatch.context() as patched:
        patched.setattr(program.XlaProgram, "_run", fails)
        with pytest.raises(cr.errors.ChainruleError, match="not enough memory"):
            run_step(cr.tensor([1.0, 1.0]))
    assert weight.tolist() == [1.0, 2.0]
    run_step(cr.tensor([1.0, 1.0]))
    with monkeypatch.context() as patched:
        patched.setattr(program.XlaProgram, "_run", fails)
        with pytest.raises(cr.errors.ChainruleError, match="not enough memory"):
            run_step(cr.tensor([1.0, 1.0]))
    with pytest.raises(cr.errors.TrainingError, match="values of a variable are lost"):
        weight.tolist()
