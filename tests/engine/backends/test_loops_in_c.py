"""Loops over time and calls in C: against NumPy, against the loop written out, bit for bit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.engine.backends.c import batch_split, packing
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.backends.numpy import Program
from chainrule.engine.passes import optimize
from chainrule.engine.tensor import Buffer
from chainrule.errors import OutOfRangeError

from ...nightly import by_night
from .flags import STRICT


def reals(*shape, seed=0, dtype="float64"):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def assert_close(found, expected, tolerance=1e-11):
    for one, other in zip(found, expected, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        scale = max(1.0, float(np.max(np.abs(other), initial=0.0)))
        np.testing.assert_allclose(one / scale, other / scale, rtol=0, atol=tolerance)


def compare(function, *arrays, tolerance=1e-11):
    """C against NumPy; returns the program and what it was given."""
    traced = cr.trace(function, *arrays)
    given = [*map(np.asarray, arrays), *(v.numpy() for v in traced.variables)]
    program = CProgram(traced.graph, flags=STRICT)
    assert_close(program(given), Program(traced.graph)(given), tolerance)
    return program, given


@pytest.fixture
def small_chunks(monkeypatch):
    """Even small loops go through time in parts of the batch."""
    monkeypatch.setattr(batch_split, "_WORTH_THREADS", 0)
    monkeypatch.setattr(batch_split, "_FEWEST_ROWS", 1)
    monkeypatch.setattr(batch_split, "_ENOUGH_ROWS", 3)
    monkeypatch.setattr(packing, "_SMALLEST", 0)


LAYERS = {"rnn": cr.nn.RNN, "lstm": cr.nn.LSTM, "gru": cr.nn.GRU}


def network_step(layer, masked=False):
    def step(x, lengths):
        def loss(model):
            y, state = model(x, lengths=lengths if masked else None)
            return (y * y).sum() + sum(cr.sin(s).sum() for s in cr.engine.pytree.flatten(state)[0])

        return cr.value_and_grad(loss)(layer)

    return step


@pytest.mark.parametrize("steps", [0, 1, by_night(2), 7])
@pytest.mark.parametrize("name", LAYERS)
def test_recurrent_layers(name, steps):
    layer = LAYERS[name](3, 4, num_layers=2, bidirectional=True).to("float64")
    x, lengths = reals(4, steps, 3), np.minimum([5, 1, 7, 0], steps)
    compare(network_step(layer, masked=True), x, lengths)


@pytest.mark.parametrize("rows", [32, by_night(12), by_night(61)])
def test_large_weights_are_fetched_before_they_are_needed(rows):
    """Tiles of rows ask for the next panel; sums in two blocks, columns after whole panels."""
    x = reals(rows, 300, dtype="float32")
    w, v = reals(300, 267, dtype="float32") / 20, reals(267, 300, seed=1, dtype="float32") / 20

    def run(x, w, v):
        return [cr.scan(lambda h, _: (cr.tanh(cr.tanh(h @ w) @ v), None), x, length=5)[0]]

    program, _ = compare(run, x, w, v, tolerance=1e-5)
    if "panels of" in program.source:
        assert "__builtin_prefetch(ahead" in program.source


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_the_batch_in_parts(name, masked, small_chunks):
    layer = LAYERS[name](3, 20, layer_norm=masked).to("float64")
    x, lengths = reals(6, 5, 3), np.array([5, 1, 4, 0, 5, 2])
    program, _ = compare(network_step(layer, masked), x, lengths)
    assert "panels of" in program.source
    if not masked:
        assert program.source.count(", 2, 1, threads);") == 2


def test_same_bits_for_any_number_of_threads(small_chunks, monkeypatch):
    """Programs are the same for any number of threads, and so are their results."""
    layer = cr.nn.LSTM(3, 20)
    x, lengths = reals(12, 5, 3, dtype="float32"), np.full(12, 5)
    traced = cr.trace(network_step(layer), x, lengths)
    given = [x, lengths, *(v.numpy() for v in traced.variables)]
    sources, found = set(), []
    for wanted in ("1", "2", "3"):
        monkeypatch.setenv("CHAINRULE_THREADS", wanted)
        program = CProgram(traced.graph)
        sources.add(program.source)
        for threads in (1, 2, 4):
            program.threads = threads
            found.append([y.tobytes() for y in program(given)])
    assert len(sources) == 1
    assert all(bits == found[0] for bits in found)


@pytest.mark.parametrize(("rows", "parts"), [(1, 6), (2, 3), (3, 2), (6, 2)])
def test_parts_of_any_size(rows, parts, small_chunks, monkeypatch):
    monkeypatch.setattr(batch_split, "_ENOUGH_ROWS", rows)
    layer = cr.nn.GRU(3, 5).to("float64")
    steps = 3 + rows  # another program for each, for what is planned is kept
    program, _ = compare(network_step(layer), reals(6, steps, 3), np.full(6, steps))
    assert f", {parts}, 1, threads);" in program.source


def test_whole_models_train():
    letters = np.random.default_rng(0).integers(0, 11, (8, 6))
    for make in (cr.models.lstm, cr.models.gru):
        model = make(11, vocabulary=11, embedding=8, hidden=16, every_step=True)
        optimizer = cr.optim.Adam(model, lr=0.02)

        def step(x, y, model=model, optimizer=optimizer):
            def loss(model):
                return cr.mean(cr.losses.cross_entropy(model(x).reshape(48, 11), y.reshape(48)))

            value, slopes = cr.value_and_grad(loss)(model)
            optimizer.update(slopes)
            return value

        run = cr.compile(step, backend="c")
        losses = [run(letters[:, :], np.roll(letters, -1, 1)).item() for _ in range(150)]
        assert losses[-1] < 0.5 < losses[0]


# ---- any loop --------------------------------------------------------------------------------


def written_out(body, carry, xs, reverse):
    steps = len(xs[0])
    ys = [None] * steps
    for t in reversed(range(steps)) if reverse else range(steps):
        carry, ys[t] = body(carry, tuple(x[t] for x in xs))
    return carry, cr.stack(ys)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.integers(0, 5), rows=st.integers(1, 4), width=st.integers(1, 3),
    carries=st.integers(1, 3), reverse=st.booleans(), seed=st.integers(0, 99),
    unread=st.booleans(),
)  # fmt: skip
def test_it_is_the_loop_written_out(
    small_chunks, steps, rows, width, carries, reverse, seed, unread
):
    w = reals(width, width, seed=seed)
    starts = [reals(rows, width, seed=seed + i) for i in range(carries)]
    xs = [reals(steps, rows, width, seed=i) for i in (7, 8)]

    def run(loop):
        def function(w, *given):
            def body(carry, given):
                new = [cr.tanh(c @ w + given[0]) for c in carry]
                new[0] = new[0] * given[1] + carry[-1]
                return new[1:] + new[:1], cr.sigmoid(new[-1])

            def loss(w, *given):
                c, x = list(given[:carries]), given[carries:]
                last, ys = loop(body, c, x)
                weights = cr.as_tensor(np.cos(np.arange(ys.size)).reshape(ys.shape))
                total = (ys * weights).sum()
                return total if unread else total + sum((c * c).sum() for c in last)

            return cr.value_and_grad(loss, argnums=tuple(range(len(given) + 1)))(w, *given)

        return function

    def scanned(body, carry, xs):
        return cr.scan(body, carry, xs, reverse=reverse)

    program, given_arrays = compare(run(scanned), w, *starts, *xs)
    if steps:

        def out(body, carry, xs):
            return written_out(body, carry, xs, reverse)

        graph = cr.trace(run(out), w, *starts, *xs).graph
        assert_close(program(given_arrays), Program(graph)(given_arrays))


def test_loops_inside_loops_and_second_derivatives():
    def nested(w, c, x):
        def outer(c, row):
            inner, ys = cr.scan(lambda d, e: (cr.tanh(d * e + w[0] + c), d), c, row)
            return inner * 0.5, ys

        last, ys = cr.scan(outer, c, x)
        return (last * last).sum() + ys.sum()

    arguments = reals(3, 3), reals(3), reals(2, 4, 3)
    compare(cr.value_and_grad(nested, argnums=(0, 1, 2)), *arguments)
    compare(lambda w, v: cr.hvp(lambda w: nested(w, *arguments[1:]), w, v), reals(3, 3),
            reals(3, 3, seed=1))  # fmt: skip


def test_loops_of_different_lengths_in_one_graph():
    """A backward loop reads what its own forward loop computed, however alike another one is."""

    def run(w, x, longer):
        def loss(w):
            total = 0.0
            for steps in (longer, x):
                last, ys = cr.scan(lambda c, e: (cr.tanh(c * w + e), cr.sigmoid(c)), w, steps)
                total = total + (last * last).sum() + ys.sum()
            return total

        return cr.value_and_grad(loss)(w)

    given = reals(3), reals(4, 3), reals(6, 3)
    program, arrays = compare(run, *given)
    assert_close(program(arrays), [y.numpy() for y in cr.engine.pytree.flatten(run(*given))[0]])


def test_carries_of_other_types_and_randomness():
    def body(carry, step):
        key = cr.random.fold_in(carry["key"], carry["n"])
        noise = cr.random.uniform(key, (3,), dtype="float64")
        return {"key": carry["key"], "n": carry["n"] + 1, "x": carry["x"] + noise}, step * 2

    def run(x):
        start = {"key": cr.random.key(1), "n": cr.as_tensor(0), "x": x}
        last, ys = cr.scan(body, start, cr.arange(5))
        return last["n"], last["x"], ys

    compare(run, reals(3))


def test_a_loop_of_length_without_slices_and_a_carry_that_stays():
    compare(lambda c, k: cr.scan(lambda c, _: ((c[0] @ c[1], c[1]), c[0]), (c, k), None, 3),
            reals(2, 2), reals(2, 2, seed=1))  # fmt: skip


def test_an_index_out_of_range_inside_of_a_loop_is_named():
    table = np.arange(5.0, dtype="float32")

    def run(numbers):
        return cr.scan(lambda c, n: (c + cr.take(cr.as_tensor(table), n), None), 0.0, numbers)[0]

    run_in_c = cr.compile(run, backend="c")
    assert run_in_c(np.array([1, 2, 4])).item() == 7.0
    with pytest.raises(OutOfRangeError, match="An index is out of range"):
        run_in_c(np.array([1, 9, 4]))


def test_truncated_backpropagation_carries_the_state_on():
    layer = cr.nn.LSTM(2, 5)
    x = reals(3, 6, 2, dtype="float32")

    def step(x, state):
        def loss(model):
            y, new = model(x, state)
            return (y * y).sum(), cr.nn.detach_state(new)

        return cr.value_and_grad(loss, has_aux=True)(layer)

    results = []
    for backend in ("numpy", "c"):
        run = cr.compile(step, backend=backend)
        state = (np.zeros((1, 3, 5), "float32"),) * 2
        for part in (x[:, :3], x[:, 3:]):
            (value, state), slopes = run(part, state)
        results.append([value.numpy(), *(g.numpy() for g in slopes.values())])
    assert_close(*results, tolerance=1e-5)


# ---- what the passes leave -------------------------------------------------------------------


def scans(graph):
    return [node for node in graph.nodes if node.op.name == "scan"]


def test_the_backward_loop_of_an_lstm_computes_nothing_again():
    layer = cr.nn.LSTM(3, 4)
    traced = cr.trace(network_step(layer), reals(2, 5, 3, dtype="float32"), np.full(2, 5))
    forward, backward = scans(optimize(traced.graph))
    names = [node.op.name for node in backward.attributes["body"].nodes]
    assert not {"sigmoid", "tanh", "pad", "sum"} & set(names)
    assert names.count("matmul") == 1
    assert forward.attributes["reverse"] != backward.attributes["reverse"]


def test_results_that_nobody_reads_are_not_computed():
    def run(x, w):
        def body(c, x):
            return (c[0] + x, cr.tanh(c[1] @ w)), (cr.exp(c[1]), x * 2)

        last, ys = cr.scan(body, (x[0], w), x)
        return last[0], ys[1]

    (loop,) = scans(optimize(cr.trace(run, reals(3, 2), reals(2, 2)).graph))
    names = {node.op.name for node in loop.attributes["body"].nodes}
    assert not names & {"tanh", "exp", "matmul"}
    assert loop.attributes["carries"] == 1
    compare(run, reals(3, 2), reals(2, 2))


def test_what_stays_the_same_is_computed_before_the_loop():
    def run(x, w):
        return cr.scan(lambda c, x: (c * cr.exp(w) + x, None), x[0], x)[0]

    (loop,) = scans(optimize(cr.trace(run, reals(3, 2), reals(2)).graph))
    assert all(node.op.name != "exp" for node in loop.attributes["body"].nodes)


def test_remat_is_computed_again_and_takes_less_memory():
    layers = [cr.nn.Linear(32, 32).initialize(seed=n) for n in range(24)]

    def chain(x, part):
        for layer in layers[part : part + 6]:
            x = x + cr.gelu(layer(x))
        return x

    def step(wrap):
        def run(x):
            def loss(x):
                for part in range(0, 24, 6):
                    x = wrap(chain)(x, part)
                return (x * x).sum()

            return cr.grad(loss)(x)

        return run

    x = reals(256, 32, dtype="float32")
    plain, _ = compare(step(lambda f: f), x, tolerance=1e-5)
    again, _ = compare(step(cr.remat), x, tolerance=1e-5)
    assert again.arena_bytes < 0.5 * plain.arena_bytes


def written(start, rows, first=2):
    """A cache that a loop fills, and what each step reads of it."""

    def body(carry, row):
        cache, place = carry
        new = cr.dynamic_update_slice(cache, row[:, None], place, 1)
        return (new, place + 1), (new * new).sum()

    return cr.scan(body, (start, cr.tensor(first)), rows)


@pytest.mark.parametrize("first", [0, 2, 9])
def test_a_carry_that_a_step_writes_into_has_one_place(first):
    start, rows = reals(2, 5, 3), reals(3, 2, 3, seed=1)
    before = start.copy()
    program, _ = compare(lambda s, r: written(s, r, first)[0], start, rows)
    compare(lambda s, r: written(s, r, first)[1], start, rows)  # nobody reads the last one
    np.testing.assert_array_equal(start, before)
    in_turns = CProgram(
        cr.trace(lambda s, r: cr.scan(lambda c, x: (c * x[:, None], None), s, r), start, rows).graph
    )
    assert program.source.count("? results[0] : (void *)") == 0
    assert "? results[0] : (void *)" in in_turns.source


def test_a_cache_that_is_read_as_it_was_is_not_written_over():
    def body(cache, row):
        new = cr.dynamic_update_slice(cache, row[None], 1)
        return new, (cr.cumsum(new, 0) - cr.cumsum(cache, 0)).sum()

    compare(lambda s, r: cr.scan(body, s, r), reals(4, 3), reals(3, 3, seed=1))


def test_a_variable_is_written_into():
    kept = Buffer(np.full((3, 50), 5.0))
    step = cr.compile(
        lambda row, place: kept.assign(cr.dynamic_update_slice(kept, row[None], place)),
        backend="c",
    )
    for place in (2, 0):
        step(np.full(50, place + 1.0), np.array(place))
    np.testing.assert_array_equal(kept.numpy()[:, 0], [1.0, 5.0, 3.0])


@pytest.mark.parametrize("seen", [False, True])
def test_a_cache_in_another_order_is_made_where_it_is_returned(seen):
    """One copy, not two, unless somebody reads what was before the update."""
    random = np.random.default_rng(2)
    cache = random.normal(size=(5, 7, 3)).astype("f")
    row, order = random.normal(size=(5, 3)).astype("f"), np.array([4, 0, 0, 2, 1])

    def step(cache, row, order, place):
        moved = cr.ops.take(cache, order, 0)
        new = cr.dynamic_update_slice(moved, row[:, None], place, 1)
        return (new, cr.ops.sum(moved * new)) if seen else new

    function = cr.compile(step, backend="c")
    found = function(cache, row, order, np.int64(2))
    expected = cache[order].copy()
    total = (expected * expected).sum() - (expected[:, 2] ** 2).sum()
    total += (expected[:, 2] * row).sum()
    expected[:, 2] = row
    np.testing.assert_array_equal((found[0] if seen else found).numpy(), expected)
    if seen:
        np.testing.assert_allclose(found[1].numpy(), total, rtol=1e-5)
    else:
        assert "/* p0 = p0 with" in function.source
