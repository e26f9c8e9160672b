"""Products of numbers rounded to bfloat16, on every backend and with tile registers where they are.

The truth is NumPy's product in float64 of operands that are rounded here, by another rule.
"""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule import nn
from chainrule.engine.backends.c import toolchain
from chainrule.engine.backends.c.backend import CBackend
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.backends.registry import find_backend
from chainrule.engine.compile import Compiled
from chainrule.engine.passes.narrow import narrow_products
from chainrule.errors import ConfigError

from ...nightly import NIGHTLY

needs_tiles = pytest.mark.skipif(not toolchain.has_tiles(), reason="there are no tile registers")
needs_compiler = pytest.mark.skipif(not toolchain.candidates(), reason="there is no C compiler")
FORMS = list(itertools.product((False, True), repeat=2))


@pytest.fixture(autouse=True)
def _built_in_little_time(monkeypatch):
    """By day as programs that run rarely."""
    build = CBackend.build
    if not NIGHTLY:
        monkeypatch.setattr(
            CBackend, "build", lambda self, graph, donated, guards, runs=None:
            build(self, graph, donated, guards, 1),
        )  # fmt: skip


def rounded(x):
    """8 significant bits, of two neighbours the even one, by the number rather than by its bits."""
    mantissa, exponent = np.frexp(np.asarray(x, np.float64))
    return np.ldexp(np.round(mantissa * 256), exponent - 8)


def operands(m, n, k, form, batch=(), seed=0):
    random = np.random.default_rng((seed, m, n, k))
    a, b = ((k, m) if form[0] else (m, k)), ((n, k) if form[1] else (k, n))
    return [random.normal(size=(*batch, *shape)).astype(np.float32) for shape in (a, b)]


def product(a, b, form):
    axes = (*range(a.ndim - 2), a.ndim - 1, a.ndim - 2)
    a, b = (cr.ops.transpose(x, axes) if flag else x for x, flag in zip((a, b), form, strict=True))
    return a @ b


def truth(a, b, form):
    """The product, and what the errors of its sums are measured by."""
    a, b = (
        rounded(x).swapaxes(-1, -2) if flag else rounded(x)
        for x, flag in zip((a, b), form, strict=True)
    )
    return a @ b, np.abs(a) @ np.abs(b)


def assert_close(found, a, b, form, k):
    """Each of k sums is rounded once; the products themselves are exact in float32."""
    expected, scale = truth(a, b, form)
    assert found.dtype == np.float32
    assert (np.abs(found - expected) <= 2.0**-24 * (k + 2) * scale + 1e-37).all()
    assert (np.abs(found - expected) <= 4e-7 * math.sqrt(k) * scale + 1e-37).all()


def all_products(cases):
    """A function of the operands of all cases."""

    def function(*given):
        pairs = zip(given[::2], given[1::2], strict=True)
        return [product(a, b, case[3]) for (a, b), case in zip(pairs, cases, strict=True)]

    return function


#: Whole blocks of 32 × 32, single tiles, sides that end within one, and long sums.
SHAPES = [(64, 32, 64), (33, 47, 65), (100, 10, 300), (17, 16, 40), (9, 40, 500), (40, 33, 2100),
          (1, 1, 1), (1, 50, 70), (5, 3, 9)]  # fmt: skip
CASES = [
    (*shape, form, batch)
    for shape in SHAPES
    for form in FORMS
    for batch in [(), (2,)][: 1 + (shape[2] < 100 and min(shape[:2]) > 1)]
]


@needs_compiler
@pytest.mark.parametrize("options", [{}, {"exact": True}], ids=["native", "exact"])
def test_products_of_all_shapes_and_transposes(options):
    cases = CASES[::3] if options else CASES
    given = [x for case in cases for x in operands(*case)]
    backend = find_backend("c", precision="bf16", **options)
    found = Compiled(all_products(cases), backend)(*given)
    for case, y, a, b in zip(cases, found, given[::2], given[1::2], strict=True):
        assert_close(y.numpy(), a, b, case[3], case[2])


def test_matrices_that_are_multiplied_with_a_row_each_are_not_rounded():
    """That takes longer than the product."""
    for m, n in ((1, 40), (40, 1)):
        a, b = operands(m, n, 50, (False, False), (3,))
        found = Compiled(product, find_backend("numpy", precision="bf16"))(a, b, (False, False))
        np.testing.assert_allclose(found.numpy(), a.astype(float) @ b, atol=1e-5)
        assert np.abs(found.numpy() - rounded(a) @ rounded(b)).max() > 1e-3


def test_numpy_says_the_same():
    for case in CASES:
        a, b = operands(*case)
        backend = find_backend("numpy", precision="bf16")
        found = Compiled(all_products([case]), backend)(a, b)[0].numpy()
        assert_close(found, a, b, case[3], case[2])


extents = st.integers(1, 70)


@needs_compiler
@settings(max_examples=2, deadline=None)
@given(st.lists(st.tuples(extents, extents, extents, st.sampled_from(FORMS)), min_size=1,
                max_size=6))  # fmt: skip
def test_any_shape(cases):
    given = [x for m, n, k, form in cases for x in operands(m, n, k, form)]
    found = cr.compile(all_products(cases), backend="c", precision="bf16")(*given)
    for case, y, a, b in zip(cases, found, given[::2], given[1::2], strict=True):
        assert_close(y.numpy(), a, b, case[3], case[2])


@pytest.mark.parametrize("value", [0.0, -0.0, math.inf, -math.inf, math.nan, 3e38, 3.4e38, 1e-40])
def test_rounding_of_what_is_special(value):
    x = np.array([value], np.float32)
    found = cr.ops.round_to_bfloat16(cr.tensor(x)).numpy()
    with np.errstate(over="ignore"):
        expected = rounded(x).astype(np.float32)
    if value == 1e-40:  # fewer bits are left of it
        expected = np.round(x.astype(float) / 2.0**-133) * 2.0**-133
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    assert np.signbit(found) == np.signbit(x)


def test_rounding_goes_to_the_nearest_and_to_the_even_one():
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    halves = np.float32(1) + np.arange(-9, 9, dtype=np.float32) / 256
    for numbers in (x, halves, x.astype(np.float64)):
        found = cr.ops.round_to_bfloat16(cr.tensor(numbers)).numpy()
        assert found.dtype == numbers.dtype
        np.testing.assert_array_equal(found, rounded(numbers))


def test_a_rounding_has_the_derivative_1():
    x, c = np.array([0.3, -1.7], np.float32), np.array([2.0, 5.0], np.float32)
    gradient = cr.grad(lambda x: cr.sum(cr.ops.round_to_bfloat16(x) * c))(x)
    assert gradient.numpy().tolist() == [2.0, 5.0]


# ---- the graph -----------------------------------------------------------------------------------


def test_products_of_the_backward_pass_get_rounded_operands_too():
    """∂L/∂W = bf16(x)ᵀ·bf16(G) and ∂L/∂x = bf16(G)·bf16(W)ᵀ, all in the graph for who reads it."""
    random = np.random.default_rng(3)
    x, w, g = (random.normal(size=s).astype("f") for s in [(40, 48), (48, 36), (40, 36)])

    def gradients(x, w):
        return cr.grad(lambda x, w: cr.sum((x @ w) * g), argnums=(0, 1))(x, w)

    graph = narrow_products(cr.trace(gradients, x, w).graph)
    products = [node for node in graph.nodes if node.op.name == "matmul"]
    assert len(products) == 2
    for node in (source for p in products for source in p.inputs):
        while node.op.view:
            node = node.inputs[0]
        assert node.op.name == "round_to_bfloat16"
    for backend in ("numpy", "auto"):
        of_x, of_w = cr.compile(gradients, backend=backend, precision="bf16")(x, w)
        assert_close(of_x.numpy(), g, w, (False, True), 36)
        assert_close(of_w.numpy(), x, g, (True, False), 40)


def test_the_graph_as_data_keeps_the_roundings():
    a, b = operands(3, 4, 5, (False, False))
    graph = narrow_products(cr.trace(lambda a, b: a @ b, a, b).graph)
    again = cr.ir.from_json(json.loads(json.dumps(cr.ir.to_json(graph))))
    program = find_backend("numpy").build(again, {}, ())
    assert_close(program([a, b])[0], a, b, (False, False), 5)


def test_rounding_twice_is_rounding_once():
    a, b = operands(3, 4, 5, (False, False))
    graph = cr.trace(lambda a, b: a @ b, a, b).graph
    once = narrow_products(graph)
    assert len(narrow_products(once).nodes) == len(once.nodes) == 5


def test_loops_calls_and_other_types():
    """Bodies of loops have products, too; integers and float64 beside float32 stay as they are."""
    a, b = operands(3, 3, 3, (False, False))

    def function(a, b):
        body = cr.ops.remat(lambda x: x @ b)
        return body(a), a.astype("int32") @ b.astype("int32"), a.astype("float64") @ b.astype("d")

    narrow = cr.compile(function, backend="numpy", precision="bf16")
    own, integers, wide = narrow(a, b)
    assert_close(own.numpy(), a, b, (False, False), 3)
    np.testing.assert_array_equal(integers.numpy(), a.astype("i") @ b.astype("i"))
    np.testing.assert_allclose(wide.numpy(), a.astype("d") @ b.astype("d"), rtol=1e-14)


# ---- native programs -----------------------------------------------------------------------------


def step_of(precision, threads=None, exact=False, width=64):
    """A step of a small network whose products are large enough for tiles, and its model."""
    layers = nn.Linear(48, width), nn.ReLU(), nn.Linear(width, width), nn.GELU()
    model = nn.Sequential(*layers, nn.Linear(width, 10)).initialize(seed=0)
    optimizer = cr.optim.Adam(model, lr=0.01)

    def step(x, y):
        def loss(model):
            return cr.losses.cross_entropy(model(x), y)

        value, gradients = cr.value_and_grad(loss)(model)
        optimizer.update(gradients)
        return value

    backend = find_backend("c", threads, precision=precision, exact=exact)
    return Compiled(step, backend), model


def batch():
    random = np.random.default_rng(5)
    return random.normal(size=(100, 48)).astype("f"), random.integers(0, 10, 100)


@needs_compiler
def test_the_number_of_threads_changes_no_bit():
    states = []
    for threads in (1, 2, 3):
        step, model = step_of("bf16", threads, width=200)
        for _ in range(3):
            step(*batch())
        states.append([x.tobytes() for x in model.state().values()])
    assert states[0] == states[1] == states[2]


@needs_tiles
def test_tiles_are_used_where_they_are_and_nowhere_else(monkeypatch):
    with_tiles, _ = step_of("bf16")
    first = [with_tiles(*batch()).item() for _ in range(5)]
    exact, same = step_of("bf16", exact=True)
    assert [exact(*batch()).item() for _ in range(5)] == pytest.approx(first, rel=1e-3)
    monkeypatch.setattr(toolchain, "has_tiles", lambda: False)
    without, other = step_of("bf16")
    assert [without(*batch()).item() for _ in range(5)] == pytest.approx(first, rel=1e-3)
    assert "cr_tiles_begin" in with_tiles.source
    assert "cr_tiles_begin" not in without.source + exact.source
    assert [x.tobytes() for x in same.state().values()] == [
        x.tobytes() for x in other.state().values()
    ]


@needs_tiles
def test_a_product_and_what_follows_it_in_one_go():
    """With and without its own value being needed, and with more that is read in its place."""
    a, b = operands(50, 70, 40, (False, False))
    more = np.random.default_rng(1).normal(size=(50, 70)).astype("f")

    def function(a, b, more):
        y = a @ b
        return cr.relu(y) * more, cr.tanh(a @ (b * 2.0)), y

    found = cr.compile(function, backend="c", precision="bf16")
    first, second, third = (y.numpy() for y in found(a, b, more))
    assert found.source.count("] tile_product, ") == 2
    expected, scale = truth(a, b, (False, False))
    bound = 1e-6 * scale
    assert (np.abs(first - np.maximum(expected, 0) * more) <= bound * np.abs(more) + 1e-6).all()
    assert (np.abs(second - np.tanh(2 * expected)) <= 2 * bound + 1e-6).all()
    assert_close(third, a, b, (False, False), 40)


@needs_compiler
def test_a_program_is_built_for_the_registers_that_it_may_use(monkeypatch):
    """A graph that was lowered with tiles is lowered again where they are not granted."""
    a, b = operands(64, 64, 64, (False, False))
    graph = narrow_products(cr.trace(lambda a, b: a @ b, a, b).graph)
    sources = []
    for granted in (toolchain.has_tiles(), False):
        monkeypatch.setattr(toolchain, "has_tiles", lambda granted=granted: granted)
        program = CProgram(graph)
        assert_close(program([a, b])[0], a, b, (False, False), 64)
        sources.append(program.source)
    assert ("cr_tiles_begin" in sources[0], "cr_tiles_begin" in sources[1]) == (
        sources[0] != sources[1],
        False,
    )


@needs_tiles
def test_loops_find_their_weights_in_tiles():
    random = np.random.default_rng(7)
    x = random.normal(size=(32, 12, 20)).astype("f")
    model = cr.models.lstm(3, features=20, hidden=64).initialize(seed=0)

    def loss_and_gradients(x):
        return cr.value_and_grad(lambda model: cr.mean(model(x) ** 2))(model)

    found = []
    for backend, threads in (("c", 1), ("c", 2), ("numpy", None)):
        function = Compiled(loss_and_gradients, find_backend(backend, threads, precision="bf16"))
        loss, gradients = function(x)
        found.append([loss.numpy(), *(gradients[path].numpy() for path in sorted(gradients))])
        if backend == "c":
            assert "tile_step" in function.source
    assert [y.tobytes() for y in found[0]] == [y.tobytes() for y in found[1]]
    for native, reference in zip(found[0], found[2], strict=True):
        assert np.linalg.norm(native - reference) <= 3e-3 * np.linalg.norm(reference) + 1e-7


# ---- keys and values that a loop keeps -----------------------------------------------------------


def attended(q, k, v):
    """Attention in float64: q (rows, heads, d), k and v (rows, heads, m, d)."""
    scores = np.einsum("rhd,rhmd->rhm", q.astype(float), k) / math.sqrt(q.shape[-1])
    p = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("rhm,rhmd->rhd", p / p.sum(-1, keepdims=True), v)


def texts(features, room=9, steps=5, first=2):
    """A loop with a cache that it fills and keys of a source, its operands, and the truth."""
    random = np.random.default_rng(features)

    def numbers(*shape):
        return random.normal(size=shape).astype(np.float32)

    cache, source = numbers(2, 3, 2, room, features), numbers(2, 3, 2, 40, features)
    queries, added = numbers(steps, 3, 2, 1, features), numbers(2, steps, 3, 2, 1, features)
    cache[:, :, :, first:] = 0
    attend = cr.scaled_dot_product_attention

    def function(cache, source, queries, added):
        def body(carry, slices):
            keys, values, place = carry
            q, k, v = slices
            keys = cr.dynamic_update_slice(keys, k, place, 2)
            values = cr.dynamic_update_slice(values, v, place, 2)
            seen = cr.ops.arange(room) <= place
            y = attend(q, keys, values, seen) + attend(q, source[0], source[1])
            return (keys, values, place + 1), y

        start = cache[0], cache[1], cr.tensor(first)
        (keys, values, _), y = cr.scan(
            body, start, (queries, added[0], added[1]), differentiable=False
        )
        return keys, values, y

    def truth(rounded):
        kept, known, found = rounded(cache), rounded(source), []
        for step in range(steps):
            kept[:, :, :, first + step] = rounded(added[:, step, :, :, 0])
            q, k = queries[step, :, :, 0], kept[:, :, :, : first + step + 1]
            found.append(attended(q, k[0], k[1]) + attended(q, known[0], known[1]))
        return kept[0], kept[1], np.stack(found)[:, :, :, None]

    return function, (cache, source, queries, added), truth


@needs_compiler
@pytest.mark.parametrize("features", [32, 64, 16])
def test_keys_and_values_that_a_loop_keeps_are_rounded(features, monkeypatch):
    function, given, truth = texts(features)
    expected = truth(rounded)
    plain = truth(lambda x: x.astype(float))
    assert np.abs(expected[2] - plain[2]).max() > 1e-3
    bits = []
    for backend, threads in (("numpy", None), ("c", 1), ("c", 2)):
        compiled = Compiled(function, find_backend(backend, threads, precision="bf16"))
        found = [y.numpy() for y in compiled(*given)]
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
        np.testing.assert_allclose(found[2], expected[2], atol=3e-6)
        bits.append(found[2].tobytes())
    halves = toolchain.has_tiles() and features % 32 == 0
    assert ("attention_of_halves" in compiled.source) == halves
    monkeypatch.setattr(toolchain, "has_tiles", lambda: False)
    elsewhere = Compiled(function, find_backend("c", 1, precision="bf16"))
    assert [y.numpy() for y in elsewhere(*given)][2].tobytes() == bits[1] == bits[2]
    assert "attention_of_halves" not in elsewhere.source


def test_keys_that_are_also_read_elsewhere_stay_as_they_are():
    source, queries = texts(32)[1][1:3]

    def function(source, queries, other):
        k, v = source[0], source[1]

        def body(total, q):
            read = cr.sum(k * cr.sum(q)) if other else 0.0
            return total + read, cr.scaled_dot_product_attention(q, k, v)

        return cr.scan(body, cr.tensor(np.float32(0)), queries, differentiable=False)

    for other in (True, False):
        narrow = Compiled(function, find_backend("numpy", precision="bf16"))
        y = narrow(source, queries, other)[1].numpy()[:, :, :, 0]
        k, v = source.astype(float) if other else rounded(source)
        expected = np.stack([attended(q[:, :, 0], k, v) for q in queries])
        np.testing.assert_allclose(y, expected, atol=3e-6)


# ---- networks ------------------------------------------------------------------------------------


def networks():
    random = np.random.default_rng(0)
    tokens = random.integers(0, 11, (4, 6))
    images = random.normal(size=(4, 8, 8, 3)).astype("f")
    series = random.normal(size=(4, 6, 5)).astype("f")
    convolutions = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 1), nn.Flatten(), nn.Linear(576, 3)
    )
    return {
        "attention": (cr.models.gpt(11, context=6, width=32, heads=2, layers=1), tokens),
        "recurrent": (cr.models.lstm(3, features=5, hidden=16), series),
        "convolutions": (convolutions, images),
    }


@needs_compiler
@pytest.mark.parametrize("name", ["attention", "recurrent", "convolutions"])
def test_networks_have_about_the_loss_and_gradients_of_float32(name):
    model, x = networks()[name]
    model = model.initialize(seed=1)

    def loss_and_gradients(x):
        return cr.value_and_grad(lambda model: cr.mean(model(x) ** 2))(model)

    found = {
        case: cr.compile(loss_and_gradients, backend=case[0], precision=case[1])(x)
        for case in [("numpy", None), ("c", "bf16"), ("numpy", "bf16")]
    }
    (loss, gradients), *others = found.values()
    for other, close in others:
        assert other.item() != loss.item()
        assert other.item() == pytest.approx(loss.item(), rel=0.01)
        for path, g in gradients.items():
            error = np.linalg.norm(close[path].numpy() - g.numpy())
            assert error <= 0.03 * np.linalg.norm(g.numpy()) + 1e-6, path
    native, reference = others
    assert native[0].item() == pytest.approx(reference[0].item(), rel=1e-3)


@needs_compiler
def test_training_ends_at_the_loss_of_float32():
    losses = {}
    random = np.random.default_rng(0)
    x = random.normal(size=(512, 20)).astype("f")
    y = (np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3] + 0.3 * random.normal(size=(512, 1))).astype("f")
    for precision in (None, "bf16"):
        layers = nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 1)
        model = nn.Sequential(*layers).initialize(seed=0)
        trainer = cr.Trainer(
            model, "mse", "adam", lr=3e-3, progress=False, backend="c", precision=precision
        )
        losses[precision] = trainer.fit((x, y), epochs=10, batch_size=64)["loss"][-1]
        assert {p.dtype for p in model.parameters().values()} == {np.dtype(np.float32)}
    assert losses["bf16"] != losses[None]
    assert losses["bf16"] == pytest.approx(losses[None], rel=0.01)


# ---- the option ----------------------------------------------------------------------------------


def test_a_network_in_float64_is_refused():
    x = np.ones((2, 2))
    with pytest.raises(ConfigError, match="for networks in float32") as caught:
        cr.compile(lambda x: x @ x, precision="bf16")(x)
    assert "float64" in caught.value.found


def test_other_names_are_refused():
    for backend in ("c", "numpy", "auto", "xla"):
        with pytest.raises(ConfigError, match="Unknown precision"):
            cr.compile(lambda x: x, backend=backend, precision="fp8")
    with pytest.raises(ConfigError, match="precision goes with the name of a backend"):
        cr.Trainer(nn.Linear(1, 1), "mse", backend=find_backend("c"), precision="bf16")


def test_float32_is_what_there_is_without_the_option():
    assert find_backend("c", precision="float32") is find_backend("c")
    assert find_backend("auto", precision="fp32") is find_backend("auto")
