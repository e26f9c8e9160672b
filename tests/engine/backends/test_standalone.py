"""C for elsewhere: the frugal kernels of every operation, in texts that any compiler takes."""

from __future__ import annotations

import ctypes
import subprocess
from functools import partial

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.c import toolchain
from chainrule.engine.backends.c.kernels.cpu import TARGETS, target_in_use, writing_for
from chainrule.engine.backends.c.lowerings import is_supported
from chainrule.engine.backends.c.standalone import Task, array_text, library_of, standalone
from chainrule.engine.backends.numpy import Program
from chainrule.engine.ir import Graph

from ...nightly import NIGHTLY, by_night
from ..test_every_op import CASES, is_smooth, weighted

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-O1")
HEAD = "int32_t run(int32_t which, void *const *in, void *const *out, char *arena)"
#: By day what has kernels of its own for this target; by night every operation and function.
OWN = ("convolution", "matmul", "sum", "max", "take", "softmax")
GROUPS = 12


def built(graphs, folder, *, flags=()):
    """A function (which graph, inputs) → outputs, by a library of one text of all graphs."""
    made = standalone({f"f{i}": Task(graph) for i, graph in enumerate(graphs)})
    calls = [f"  if (which == {i}) return f{i}_step(in, out, arena);" for i in range(len(graphs))]
    foot = "\n".join(["", f"{HEAD};", HEAD, "{", *calls, "  return -9;", "}", ""])
    (folder / "f.c").write_text(made.source + foot)
    compiler = toolchain.find()
    fma = [f for f in compiler.flags if f.startswith(("-march", "-mcpu", "-ffp"))]
    command = (*compiler.command, *STRICT, *fma, *flags, "-shared", "-fPIC", "-o",
               str(folder / "f.so"), str(folder / "f.c"), "-lm")  # fmt: skip
    subprocess.run(command, check=True)
    library = ctypes.CDLL(str(folder / "f.so"))

    def run(which, inputs):
        given = [np.ascontiguousarray(x).copy() for x in inputs]
        results = [np.empty(n.type.shape, n.type.dtype) for n in graphs[which].outputs]
        size = made.arenas[f"f{which}"]
        arena = np.full(size + 64, 0xA5, np.uint8)
        tables = [(ctypes.c_void_p * (len(a) + 1))(*[x.ctypes.data for x in a])
                  for a in (given, results)]  # fmt: skip
        start = -arena.ctypes.data % 8
        assert library.run(which, *tables, ctypes.c_void_p(arena.ctypes.data + start)) == 0
        assert (arena[start + size :] == 0xA5).all()
        return results

    return run


def graph_of(case):
    """Value and gradient of a sample, and its arrays."""
    arrays = [np.asarray(x, np.float32 if x.dtype.kind == "f" else x.dtype) for x in case.tensors]

    def everything(*tensors):
        results = case.on(*tensors)
        if not is_smooth(case):
            return results
        at = [i for i, x in enumerate(arrays) if x.dtype.kind == "f"]
        return [*results, *cr.grad(lambda *x: weighted(case.on(*x)), argnums=at)(*tensors)]

    return cr.trace(everything, *arrays).graph, arrays


def of_group(number):
    """Cases of one text."""
    chosen = [c for c in CASES if NIGHTLY or (c.is_operation and c.name.startswith(OWN))]
    return chosen[number::GROUPS]


@pytest.mark.parametrize("group", [0, *(by_night(i) for i in range(1, GROUPS))])
def test_every_operation(group, tmp_path):
    cases = [(case, *graph_of(case)) for case in of_group(group)]
    cases = [(case, graph, x) for case, graph, x in cases if all(map(is_supported, graph.nodes))]
    run = built([graph for _, graph, _ in cases], tmp_path)
    for which, (case, graph, inputs) in enumerate(cases):
        for found, wanted in zip(run(which, inputs), Program(graph)(inputs), strict=True):
            size = np.abs(wanted[np.isfinite(wanted)], dtype=float).max(initial=1.0)
            close = 3e-5 if wanted.dtype.kind == "f" else 0
            np.testing.assert_allclose(found, wanted, close, close * size, err_msg=str(case))


def convolutions():
    """Windows, strides, dilations, groups and edges: forward, back, and with respect to weights."""
    random = np.random.default_rng(0)
    for shape, window, options in [
        ((2, 7, 6, 3), (3, 3, 3, 10), {"padding": "same"}),
        ((1, 9, 8, 16), (3, 3, 16, 8), {"stride": 2, "padding": 1}),
        ((2, 8, 8, 4), (3, 2, 2, 6), {"groups": 2, "dilation": (1, 2)}),
        ((1, 6, 9, 5), (5, 3, 1, 5), {"groups": 5, "padding": 2}),
        ((2, 11, 3), (4, 3, 9), {"stride": 3}),
        ((1, 4, 5, 6, 2), (2, 3, 2, 2, 3), {"padding": 1}),
        ((1, 1, 20, 1), (1, 5, 1, 17), {"padding": (0, 2)}),
    ]:
        x, w = random.normal(size=shape), random.normal(size=window)
        yield x.astype(np.float32), w.astype(np.float32), options


def test_convolutions_read_weights_where_they_are(tmp_path):
    graphs, inputs = [], []
    for x, w, options in convolutions():
        conv = partial((cr.conv1d, cr.conv2d, cr.conv3d)[x.ndim - 3], **options)

        def value(a, b, conv=conv):
            return cr.sum(cr.sin(conv(a, b)))

        def everything(a, b, value=value, conv=conv):
            return [conv(a, b), *cr.grad(value, argnums=[0, 1])(a, b)]

        graphs.append(cr.trace(everything, x, w).graph)
        inputs.append([x, w])
    run = built(graphs, tmp_path)
    for which, (graph, given) in enumerate(zip(graphs, inputs, strict=True)):
        for found, wanted in zip(run(which, given), Program(graph)(given), strict=True):
            np.testing.assert_allclose(found, wanted, 1e-4, 1e-5 * np.abs(wanted).max())
    # Only the plans of kernels for this machine copy weights into panels.
    made = standalone({f"f{i}": Task(graph) for i, graph in enumerate(graphs)})
    assert "panel" not in made.source
    assert "packed" not in made.source


@pytest.mark.parametrize("a", [False, True])
@pytest.mark.parametrize("b", [False, True])
def test_products_have_the_bits_of_the_backend(a, b, tmp_path):
    random = np.random.default_rng(1)
    graphs, inputs = [], []
    for m, k, n in [(1, 300, 13), (5, 17, 1), (7, 64, 9), (3, 1, 5), (1, 8, 1)]:
        x = random.normal(size=(k, m) if a else (m, k)).astype(np.float32)
        y = random.normal(size=(n, k) if b else (k, n)).astype(np.float32)
        inputs.append([x, y])
        graphs.append(cr.trace(lambda x, y: (x.T if a else x) @ (y.T if b else y), x, y).graph)
    run = built(graphs, tmp_path)
    from chainrule.engine.backends.c.program import CProgram

    for which, (graph, given) in enumerate(zip(graphs, inputs, strict=True)):
        assert run(which, given)[0].tobytes() == CProgram(graph)(given)[0].tobytes()


def test_equal_constants_and_kernels_are_written_once():
    big = np.arange(50, dtype=np.float32)

    def doubled(x):
        return (x + cr.tensor(big)) * 2.0

    graph = cr.trace(doubled, big).graph
    one, two = standalone({"a": Task(graph)}), standalone({"a": Task(graph), "b": Task(graph)})
    assert one.constants == two.constants == big.nbytes
    assert two.source.count("static void k") == one.source.count("static void k")
    assert two.source.count("static const float") == 1


def test_results_that_a_kernel_reads_and_overwrites(tmp_path):
    """gcc 12 at -O1 left out a call whose result the next but one had in the place of its own."""

    def crossed(a, b):
        return cr.sum(cr.cos(cr.cross(a, b, axis=0)))

    random = np.random.default_rng(0)
    given = [random.normal(size=(3, 2)).astype(np.float32),
             random.normal(size=(3, 1)).astype(np.float32)]  # fmt: skip
    graph = cr.trace(lambda a, b: [cr.cross(a, b, axis=0), *cr.grad(crossed, [0, 1])(a, b)],
                     *given).graph  # fmt: skip
    for found, wanted in zip(built([graph], tmp_path)(0, given), Program(graph)(given),
                             strict=True):  # fmt: skip
        np.testing.assert_allclose(found, wanted, 1e-5, 1e-6)


def test_numbers_in_initialisers():
    values = np.array([0.1, -0.0, np.inf, -np.inf, np.nan, 1e-45, -2.5], np.float32)
    text = array_text("{} x[{}]", values)
    assert text.replace("\n", "").replace(" ", "") == (
        "floatx[7]={0.1f,-0.0f,INFINITY,-INFINITY,NAN,1e-45f,-2.5f,};"
    )
    long = array_text("{} x[{}]", np.array([-(2**63), 2**40, -7], np.int64))
    assert "INT64_MIN, INT64_C(1099511627776), -7" in long


def test_the_target_is_that_of_the_block():
    before = target_in_use()
    with writing_for(TARGETS["frugal"]):
        assert target_in_use().frugal
    assert target_in_use() == before


def test_what_a_text_calls():
    assert library_of("/* pow(x) */ y = sqrtf(x) + cr_exp(z); memcpy(a, b, 3);") == (
        "memcpy", "sqrtf",
    )  # fmt: skip


def test_operations_are_counted():
    graph: Graph = cr.trace(lambda x: x @ x, np.eye(3, dtype=np.float32)).graph
    made = standalone({"f": Task(graph)})
    assert made.parts["f"][0].operations >= 27
    assert made.stops == ()
