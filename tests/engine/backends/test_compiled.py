"""Compiled functions as native programs: variables in place, guards, many steps, threads."""

import gc
import os
import sys
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.c import toolchain
from chainrule.engine.backends.c.backend import CBackend
from chainrule.engine.backends.c.memory import plan_memory
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.backends.c.schedule import schedule
from chainrule.engine.backends.numpy import Program
from chainrule.engine.ops.random import fold_in, key
from chainrule.engine.passes import optimize
from chainrule.errors import ConfigError, DataError, OutOfRangeError

from .flags import STRICT


def compiled(function, **options):
    return cr.compile(function, backend="c", **options)


class Counter:
    def __init__(self):
        self.total = cr.Buffer([0.0, 0.0])

    def add(self, x):
        self.total.assign(self.total + x)
        return cr.sum(self.total)


# ---- variables in place ----------------------------------------------------------------------


def test_variables_are_overwritten_in_place():
    counter = Counter()
    add = compiled(counter.add)
    add(cr.tensor([1.0, 2.0]))
    place = counter.total.numpy().ctypes.data
    assert add(cr.tensor([1.0, 2.0])).item() == 6.0
    assert counter.total.tolist() == [2.0, 4.0]
    assert counter.total.numpy().ctypes.data == place


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_an_old_value_that_is_read_after_the_new_one_stays(steps):
    """What reads it waits for something that was computed from the new value, by some steps."""
    start, a = np.diag([1.0, 2.0, 3.0]), np.arange(9.0).reshape(3, 3)
    w = cr.Buffer(start)

    def step(a):
        old, new = cr.transpose(w), w * 2.0 + a
        w.assign(new)
        for _ in range(steps):
            new = cr.tanh(new @ a)
        return old @ new

    expected_new = start * 2.0 + a
    value = expected_new
    for _ in range(steps):
        value = np.tanh(value @ a)
    found = compiled(step)(a)
    np.testing.assert_allclose(found.numpy(), start.T @ value, rtol=1e-12)
    np.testing.assert_allclose(w.numpy(), expected_new, rtol=1e-12)


def test_what_others_hold_is_not_overwritten():
    counter = Counter()
    add = compiled(counter.add)
    add(cr.tensor([1.0, 2.0]))
    view = counter.total.numpy()
    tensor = cr.tensor(counter.total)
    rows = view[1:]
    twin = cr.Buffer(counter.total)
    add(cr.tensor([1.0, 2.0]))
    assert view.tolist() == tensor.tolist() == twin.tolist() == [1.0, 2.0]
    assert rows.tolist() == [2.0]
    assert counter.total.tolist() == [2.0, 4.0]


def test_initial_array_is_not_overwritten():
    data = np.zeros(2, np.float32)
    counter = Counter()
    counter.total.assign(data)
    compiled(counter.add)(cr.tensor([1.0, 2.0]))
    assert data.tolist() == [0.0, 0.0]


def test_argument_that_is_the_variable_itself():
    counter = Counter()
    counter.total.assign([1.0, 2.0])
    add = compiled(counter.add)
    assert add(counter.total.numpy()).item() == 6.0
    assert add(counter.total.numpy()).item() == 12.0


def test_swap():
    """Both new values are those from before: neither may be overwritten too early."""
    a, b = cr.Buffer([1.0, 2.0]), cr.Buffer([3.0, 4.0])

    def swap():
        first, second = a * 1.0, b * 1.0
        a.assign(second)
        b.assign(first)
        return a + b

    for _ in range(3):
        compiled(swap)()
    assert (a.tolist(), b.tolist()) == ([3.0, 4.0], [1.0, 2.0])


@pytest.mark.parametrize(
    "change",
    [
        lambda v: cr.transpose(v) + v,
        lambda v: cr.flip(v) * 2.0,
        lambda v: v @ v,
        lambda v: v - v.mean(),
        lambda v: v[::-1],
        lambda v: cr.softmax(v),
        lambda v: v * v[0, 0],
        lambda v: cr.cumsum(v, 0),
        lambda v: cr.take(v, np.array([1, 0]), 0),
        lambda v: cr.zeros((2, 2)),
    ],
)
def test_new_value_that_reads_other_places_of_the_old(change):
    data = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)
    results = []
    for backend in ("numpy", "c"):
        variable = cr.Buffer(data)

        def step(variable=variable):
            before = variable * 1.0
            variable.assign(change(variable))
            return variable + before

        run = cr.compile(step, backend=backend)
        results.append([run().numpy(), run().numpy(), variable.numpy()])
    for found, expected in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_variable_assigned_but_never_read():
    last = cr.Buffer([0.0, 0.0])

    def keep(x):
        last.assign(x * 2.0)
        return x

    assert compiled(keep)(cr.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert last.tolist() == [2.0, 4.0]


def test_arguments_in_any_memory_order():
    double = compiled(lambda x: x * 2.0 + cr.transpose(x))
    data = np.arange(9, dtype=np.float32).reshape(3, 3)
    for x in (data, data.T, data[::-1], np.asfortranarray(data)):
        np.testing.assert_array_equal(double(x).numpy(), x * 2 + x.T)


def test_same_node_as_several_results():
    y, again, x, ones = compiled(lambda x: (x + 1.0, x + 1.0, x, cr.ones(2)))(cr.tensor([1.0, 2.0]))
    assert y.tolist() == again.tolist() == [2.0, 3.0]
    assert x.tolist() == [1.0, 2.0]
    assert ones.tolist() == [1.0, 1.0]


# ---- what goes wrong -------------------------------------------------------------------------


def test_index_out_of_range_changes_nothing():
    table = cr.Buffer(np.ones((3, 2), np.float32))

    def step(numbers):
        rows = cr.take(table, numbers)
        table.assign(table + cr.sum(rows))
        return rows

    run = compiled(step)
    assert run(np.array([0, -1])).shape == (2, 2)
    before = table.numpy().copy()
    for bad in ([0, 3], [-4, 0], [2**40, 0]):
        with pytest.raises(OutOfRangeError, match="An index is out of range"):
            run(np.array(bad))
    np.testing.assert_array_equal(table.numpy(), before)


def test_no_row_can_be_taken_of_none():
    run = compiled(lambda numbers: cr.take(np.ones((0, 2), np.float32), numbers))
    assert run(np.zeros(0, np.int64)).shape == (0, 2)
    with pytest.raises(OutOfRangeError, match="An index is out of range"):
        run(np.zeros(1, np.int64))


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_guard(backend):
    w = cr.parameter([1.0, 2.0])

    def step(x):
        loss, slope = cr.value_and_grad(lambda w: cr.sum(cr.log(w * x)))(w)
        w.assign(w - 0.1 * slope)
        return loss, slope

    run = cr.compile(step, backend=backend, guard=True)
    run(cr.tensor([1.0, 1.0]))
    before = w.numpy().copy()
    loss, slope = run(cr.tensor([1.0, -1.0]))
    assert np.isnan(loss.item())
    assert np.isfinite(slope.numpy()).all()
    np.testing.assert_array_equal(w.numpy(), before)
    assert run.last_run[1][0].tolist() == [1.0, -1.0]


def test_unknown_backend():
    with pytest.raises(ConfigError, match="fortran"):
        cr.compile(lambda x: x, backend="fortran")


def test_auto_without_compiler(monkeypatch, caplog):
    monkeypatch.setenv("CHAINRULE_CC", "/nowhere/cc")
    run = cr.compile(lambda x: x * 1234.5, backend="auto")
    assert run(cr.ones(10_000)).tolist() == [1234.5] * 10_000
    assert "The NumPy backend is used." in caplog.text
    with pytest.raises(toolchain.CompilerError):
        cr.compile(lambda x: x * 1234.5, backend="c")(cr.tensor([1.0]))


def test_source():
    run = compiled(lambda x: cr.tanh(x) * 2.0)
    run(cr.tensor([1.0]))
    assert "cr_tanhf" in run.source
    assert "tanh, multiply" in run.source


def test_names_never_reach_the_program():
    """Neither the names of variables nor those of layers can be more than a comment."""
    evil = "*/ int system(const char *); /* \\\n??/ \"'`"

    class Net(cr.nn.Module):
        def __init__(self):
            self.__dict__[evil] = Inner()

        def forward(self, x):
            return self.__dict__[evil](x)

    class Inner(cr.nn.Module):
        def __init__(self):
            self.weight = cr.parameter([2.0], name=evil)

        def forward(self, x):
            return cr.tanh(x * self.weight)

    run = compiled(Net())
    run(cr.tensor([1.0]))
    assert "system(" not in run.source
    assert '"' not in run.source.partition("cr_part")[0].replace('"-', "")
    for line in run.source.splitlines():
        if "/*" in line and "k0(" in line:
            assert line.rstrip().endswith("*/")
            assert line.count("*/") == 1


# ---- many steps ------------------------------------------------------------------------------


def training(backend):
    w, seen = cr.parameter(np.zeros((3, 1), np.float32)), cr.Buffer(0.0)

    def step(batch, number):
        x, y = batch["x"], batch["y"]
        loss, slope = cr.value_and_grad(lambda w: cr.mean((x @ w - y) ** 2))(w)
        w.assign(w - 0.1 * slope)
        seen.assign(seen + cr.astype(number, "float32"))
        return {"loss": loss, "number": number}

    return w, seen, cr.compile(step, backend=backend, guard=True)


def rows_of_data():
    generator = np.random.default_rng(0)
    x = generator.standard_normal((20, 3)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [0.5]], np.float32)
    order = np.stack([generator.permutation(20)[:5] for _ in range(30)])
    return {"x": x, "y": y}, order


def test_run_steps_agrees_with_single_calls():
    data, order = rows_of_data()
    w1, seen1, one = training("c")
    losses = []
    for number, batch in enumerate(order):
        rows = {name: array[batch] for name, array in data.items()}
        losses.append(one(rows, np.int64(7 + number))["loss"].item())
    for backend in ("c", "numpy"):
        w2, seen2, many = training(backend)
        done, results = many.run_steps(order, data, np.int64(7), rows=[0], counter=1)
        assert done == 30
        assert results["number"].tolist() == list(range(7, 37))
        assert seen2.item() == seen1.item() == sum(range(7, 37))
        if backend == "c":
            assert results["loss"].tolist() == losses
            np.testing.assert_array_equal(w1.numpy(), w2.numpy())
        np.testing.assert_allclose(results["loss"].numpy(), losses, rtol=1e-4, atol=1e-6)


def test_run_steps_gathers_rows_of_any_length():
    """Short rows, of which each length has loops of its own, and long ones, of every type."""
    rng = np.random.default_rng(1)
    order = np.stack([rng.permutation(11)[:4] for _ in range(3)])
    shapes = [(), (1,), (2,), (3,), (4,), (5, 4), (32,), (33,), (100,), (0,)]
    for dtype in (np.float32, np.float64, np.int64, np.bool_):
        data = [(rng.standard_normal((11, *shape)) * 100).astype(dtype) for shape in shapes]
        copied = cr.compile(lambda rows: [cr.where(row == row, row, row) for row in rows],
                            backend="c")  # fmt: skip
        _, found = copied.run_steps(order, data, rows=[0])
        for whole, gathered in zip(data, found, strict=True):
            np.testing.assert_array_equal(gathered.numpy(), whole[order])


@pytest.mark.parametrize("threads", [1, 3])
def test_run_steps_gathers_many_rows(threads):
    """Each thread takes some of them."""
    rng = np.random.default_rng(2)
    data = rng.standard_normal((500, 80)).astype(np.float32)
    order = np.stack([rng.permutation(500)[:333] for _ in range(3)])
    program = CProgram(cr.trace(lambda x: cr.maximum(x, 0.0), data[:333]).graph)
    program.threads = threads
    done, (found,) = program.run_steps([None], {0: data}, order)
    assert done == 3
    np.testing.assert_array_equal(found, np.maximum(data[order], 0))


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_run_steps_stops_at_the_first_bad_number(backend):
    data, order = rows_of_data()
    data["x"][order[4][2]] = np.nan
    first = min(i for i, batch in enumerate(order) if order[4][2] in batch)
    w, _, many = training(backend)
    done, results = many.run_steps(order, data, np.int64(0), rows=[0], counter=1)
    assert done == first
    assert len(results["loss"].numpy()) == first + 1
    assert np.isnan(results["loss"].numpy()[-1])
    assert np.isfinite(w.numpy()).all()
    graph, inputs = many.last_run[0].graph, many.last_run[1]
    np.testing.assert_array_equal(inputs[0], data["x"][order[first]])
    assert inputs[2] == first
    assert np.isnan(Program(graph)(inputs)[0])


def test_run_steps_refuses_rows_outside_of_the_data():
    data, order = rows_of_data()
    _, _, many = training("c")
    order[3, 1] = 20
    with pytest.raises(DataError, match="outside"):
        many.run_steps(order, data, np.int64(0), rows=[0], counter=1)


# ---- threads and bits ------------------------------------------------------------------------


def large(x, w):
    h = cr.tanh(x * 2.0 + w) * cr.exp(-x * x)
    product = h @ cr.transpose(h[:64])
    noise = cr.ops.random.uniform(cr.ops.random.key(3), (1003, 257))
    return (
        h, cr.mean(h), cr.sum(h, 0), cr.sum(h, 1), cr.max(h), cr.softmax(h), cr.softmax(h, 0),
        cr.cumsum(h, 1), cr.argmax(h, 1), product, noise, cr.logsumexp(h, 1),
    )  # fmt: skip


def large_program():
    generator = np.random.default_rng(5)
    arrays = [generator.standard_normal(s).astype(np.float32) for s in [(1003, 517), (517,)]]
    return CProgram(cr.trace(large, *arrays).graph, flags=STRICT), arrays


def bits(results):
    return [array.tobytes() for array in results]


def test_same_bits_for_any_number_of_threads():
    program, arrays = large_program()
    assert program.source.count("parallel(") > 5
    program.threads = 1
    expected = bits(program(arrays))
    for count in (2, 3, 8):
        program.threads = count
        for _ in range(5):
            assert bits(program(arrays)) == expected, count


def test_same_bits_wherever_the_arrays_are():
    """Vectors may begin anywhere: the place of an array in memory changes nothing."""
    program, arrays = large_program()
    expected = bits(program(arrays))
    for shift in (1, 3, 8, 13):
        moved = []
        for array in arrays:
            room = np.empty(array.size + shift, array.dtype)
            room[shift:] = array.ravel()
            moved.append(room[shift:].reshape(array.shape))
        assert bits(program(moved)) == expected


def test_fork_with_threads():
    program, arrays = large_program()
    program.threads = 3
    expected = bits(program(arrays))
    child = os.fork()
    if child == 0:
        os._exit(0 if bits(program(arrays)) == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert bits(program(arrays)) == expected


def test_same_graph_gives_same_program():
    """Nothing depends on where objects are in memory, or neither cache nor bits would hold."""

    def source():
        data, _ = rows_of_data()
        w = cr.parameter(np.ones((3, 8), np.float32))
        v = cr.parameter(np.ones((8, 1), np.float32))

        def step(x, y):
            def loss(w, v):
                h = cr.gelu(cr.relu(x @ w) - 1.0)
                return cr.mean((h @ v - y) ** 2) + cr.sum(cr.abs(w)) + cr.max(v)

            found, slopes = cr.value_and_grad(loss, argnums=(0, 1))(w, v)
            for parameter, slope in zip((w, v), slopes, strict=True):
                parameter.assign(parameter - 0.1 * slope / (1.0 + cr.norm(slope)))
            return found

        traced = cr.trace(step, data["x"], data["y"])
        return CProgram(traced.graph, traced.donated, [0]).source

    first = source()
    keep = [object() for _ in range(1000)]  # so that new objects lie elsewhere
    for _ in range(5):
        keep += [[] for _ in range(777)]
        assert source() == first


@pytest.mark.parametrize("shape", [(8, 4), (2, 4, 4), (5, 3), (3, 7, 2), (4, 15)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_that_go_backwards(shape, dtype):
    """A compiler that is in use adds these up wrongly when they are written as one plain chain."""
    x = np.arange(1, np.prod(shape) + 1).reshape(shape).astype(dtype) ** 2
    for axes in [(len(shape) - 1,), tuple(range(len(shape)))]:

        def sums(x, axes=axes):
            y = cr.flip(x, axes)
            return cr.sum(y), cr.sum(y, -1)

        run = compiled(sums)
        total, rows = run(x)
        assert total.item() == x.sum()
        np.testing.assert_array_equal(rows.numpy(), np.flip(x, axes).sum(-1))


def test_memory_is_shared():
    def deep(x):
        for _ in range(20):
            x = cr.softmax(x @ x)
        return x

    x = np.eye(16, dtype=np.float32)
    program = CProgram(cr.trace(deep, x).graph)
    assert program.arena_bytes < 0.2 * program.unplanned_bytes
    np.testing.assert_allclose(program([x])[0], Program(program.graph)([x])[0], rtol=1e-5)


def test_what_fewer_kernels_read_is_overwritten():
    """Of a ReLU backwards that is the gradient, not the activation, which several products read."""

    def step(x, w, v):
        h = cr.relu(x @ w)
        z = h @ v
        slope = cr.where(h > 0.0, z @ cr.transpose(v), 0.0)
        return cr.transpose(h) @ z, cr.sum(slope, 0), cr.transpose(x) @ slope

    arrays = [np.ones((64, 64), np.float32)] * 3
    kernels = schedule(optimize(cr.trace(step, *arrays).graph), {}, (), True)
    places = plan_memory(kernels, {}).places
    (mask,) = [k for k in kernels.kernels if any(n.op.name == "where" for n in k.nodes)]
    (slope,) = [n for n in mask.stores if n.type.shape == (64, 64)]
    _, overwritten, _ = next(n for n in mask.nodes if n.op.name == "where").inputs
    (activation,) = [n for n in places if n.op.name == "relu"]
    assert places[slope] == places[overwritten]
    assert places[slope] != places[activation]


def test_rare_programs_are_built_quickly_with_the_same_bits(monkeypatch):
    monkeypatch.setattr(
        toolchain, "BASE_FLAGS", ("-std=gnu11", "-O3", "-fPIC", "-shared", "-fwrapv")
    )
    toolchain._examine.cache_clear()
    flags = []
    load = toolchain.load
    monkeypatch.setattr(
        toolchain, "load", lambda source, extra=(): (flags.append(extra), load(source, extra))[1]
    )
    layers = (cr.nn.Linear(5, 24), cr.nn.GELU(), cr.nn.Dropout(0.3), cr.nn.Linear(24, 3))
    net = cr.nn.Sequential(*layers).initialize(0)
    optimizer = cr.optim.AdamW(net, lr=0.1, clip_norm=1.0)
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(19, 5)).astype("f"), draw.integers(0, 3, 19)

    def step(x, y, number):
        draw_key = fold_in(key(1), number)
        error = lambda net: cr.losses.cross_entropy(net(x, train=True, key=draw_key), y)  # noqa: E731
        loss, gradients = cr.value_and_grad(error)(net)
        optimizer.update(gradients)
        return loss

    traced = cr.trace(step, x, y, np.int64(3))
    before = [x, y, np.int64(3), *[v.numpy() for v in traced.variables]]
    found = []
    for runs in (None, 3, 10**12):
        program = CBackend(1).build(traced.graph, traced.donated, (), runs)
        inputs = [np.array(array) for array in before]
        found.append(bits([*program(inputs), *inputs]))
    quick = toolchain.find().quick
    assert [one for one in flags if "-pthread" not in one] == [(), quick, ()]
    assert all(one == found[0] for one in found)
    toolchain._examine.cache_clear()


def test_a_call_for_the_same_kinds_of_arguments_is_repeated(monkeypatch):
    """Nothing is looked at anew: that is most of what a call costs beside the program."""
    w = cr.Parameter(np.ones(4, np.float32))

    def step(x):
        w.assign(w + x)
        return (w * w).sum()

    compiled = cr.compile(step, backend="c")
    x = np.ones(4, np.float32)
    assert [compiled(x).item() for _ in range(2)] == [16.0, 36.0]
    monkeypatch.setattr(compiled, "_described", None)
    assert [compiled(x).item() for _ in range(2)] == [64.0, 100.0]


def test_a_repeated_call_is_few_calls_of_functions_whatever_the_number_of_variables():
    """What a call costs beside its program, counted: times would say how busy a machine is."""

    def calls_of(variables):
        weights = [cr.Parameter(np.ones(4, np.float32)) for _ in range(variables)]

        def step(x, y):
            for w in weights:
                w.assign(w + x * y)
            return x.sum()

        compiled = cr.compile(step, backend="c")
        x = y = np.ones(4, np.float32)
        for _ in range(3):
            compiled(x, y)
        seen = []
        sys.setprofile(lambda frame, event, argument: seen.append(event))
        try:
            compiled(x, y)
        finally:
            sys.setprofile(None)
        return sum(event in ("call", "c_call") for event in seen)

    few, many = calls_of(1), calls_of(20)
    assert few == many
    assert many <= 34


def test_programs_that_share_variables_overwrite_them_in_place():
    """What one of them keeps of its last call is no reason for another to copy."""
    w = cr.Parameter(np.ones(4, np.float32))

    def changed_by(factor):
        def step(x):
            w.assign(w * factor + x)
            return x.sum()

        return cr.compile(step, backend="c")

    double, half, x = changed_by(2.0), changed_by(0.5), np.zeros(4, np.float32)
    double(x)
    place = w.own.value.ctypes.data
    for step in (double, double, half, half, double, half):
        step(x)
        assert w.own.value.ctypes.data == place
    assert w.tolist() == [2.0] * 4


def test_nothing_is_kept_of_variables_that_are_replaced_or_gone():
    counter, x = Counter(), np.ones(2, np.float32)
    add = compiled(counter.add)
    for _ in range(3):
        add(x)
    old = weakref.ref(counter.total.own)
    counter.total.assign(np.zeros(2, np.float32))
    assert old() is None
    assert [add(x).item() for _ in range(3)] == [2.0, 4.0, 6.0]
    old = weakref.ref(counter.total.own)
    del add, counter
    gc.collect()
    assert old() is None
