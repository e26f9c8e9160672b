"""The generator of matrix products: right for every shape, the same bits however it is cut."""

import ctypes
import itertools
import platform
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from chainrule.engine.backends.c import toolchain
from chainrule.engine.backends.c.autotune_cache import TileChoice
from chainrule.engine.backends.c.kernels.cpu import native_target
from chainrule.engine.backends.c.kernels.gemm import TARGETS, Pointers, Product, emit, plan
from chainrule.engine.backends.c.kernels.gemm_tiles import matmul_c
from chainrule.engine.backends.c.kernels.math import FMA_C
from chainrule.engine.backends.c.threads import TASK_C

from ...nightly import NIGHTLY, by_night
from .flags import STRICT

FLAGS = (*STRICT, "-Wno-unused-function")
HEAD = f"""
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
typedef int64_t idx;
{FMA_C}
{matmul_c(exact=False)}
"""
TRANSPOSES = list(itertools.product((False, True), repeat=2))
#: What holds for one holds for the other: vectors of half as many lanes.
DTYPES = pytest.mark.parametrize("dtype", ["float32", by_night("float64")])


def function(name, product, target=None, chosen=None, epilogue=()):
    """A product as a C function, and how many units it has."""
    t = product.c_type
    text = emit(product, Pointers("pa", "pb", "pc"), target, chosen, epilogue)
    head = (
        f"void {name}(const {t} *restrict pa, const {t} *restrict pb, {t} *restrict pc, "
        f"const {t} *restrict extra, idx begin, idx end)"
    )
    body = "\n".join("  " * depth + line for depth, line in text.body)
    functions = "\n".join(text.functions)
    code = f"{functions}\n{head};\n{head}\n{{\n(void)extra;\n{body}\n}}\n".replace("@", name)
    return code, text.units


def build(cases):
    """Callables (a, b, extra=None, cuts=()) → c for (product, target, plan, epilogue) each."""
    made = [function(f"f{i}", *case) for i, case in enumerate(cases)]
    library = toolchain.load(HEAD + "\n".join(code for code, _ in made), FLAGS)

    def callable_of(number, product, units):
        def call(a, b, extra=None, cuts=()):
            c = np.full((product.batch, product.m, product.n), np.nan, product.dtype)
            pointers = [x.ctypes.data_as(ctypes.c_void_p) for x in (a, b, c)]
            pointers.append(None if extra is None else extra.ctypes.data_as(ctypes.c_void_p))
            bounds = [0, *sorted({int(cut * units) for cut in cuts}), units]
            for begin, end in itertools.pairwise(bounds):
                getattr(library, f"f{number}")(
                    *pointers, ctypes.c_int64(begin), ctypes.c_int64(end)
                )
            return c

        return call

    return [callable_of(i, case[0], made[i][1]) for i, case in enumerate(cases)]


def operands(product, seed=0):
    rng = np.random.default_rng(seed)
    p = product
    a = rng.standard_normal((p.batch, p.k, p.m) if p.transpose_a else (p.batch, p.m, p.k))
    b = rng.standard_normal((p.batch, p.n, p.k) if p.transpose_b else (p.batch, p.k, p.n))
    return a.astype(p.dtype), b.astype(p.dtype)


def as_product(product, a, b):
    """The matrices, as they are to be multiplied."""
    a = a.swapaxes(1, 2) if product.transpose_a else a
    return a, (b.swapaxes(1, 2) if product.transpose_b else b)


def check(product, found, a, b):
    """Against a wider type, within the error that a chain of k roundings can have."""
    wide = np.float64 if product.dtype == "float32" else np.longdouble
    left, right = as_product(product, a.astype(wide), b.astype(wide))
    unit = np.finfo(product.dtype).eps / 2
    bound = (product.k + 1) * unit * (np.abs(left) @ np.abs(right)) * 1.01
    error = np.abs(found - left @ right)
    assert (error <= bound).all(), (product, float(np.max(error / np.maximum(bound, 1e-300))))


SHAPES = [
    (1, 1, 1), (1, 7, 5), (7, 1, 5), (5, 7, 1), (2, 3, 4), (12, 32, 8), (13, 37, 11), (32, 64, 64),
    (24, 10, 33), (5, 31, 3), (3, 100, 40), (61, 67, 71), (4, 4, 0), (50, 130, 259),
    (40, 26, 33), (33, 3, 301), (33, 128, 130),
]  # fmt: skip


@pytest.mark.parametrize(
    ("dtype", "target"), [("float32", "native"), ("float64", "native"), ("float32", "plain")]
)
def test_every_shape(dtype, target):
    chosen = native_target() if target == "native" else TARGETS[target]
    products = [
        Product(m, n, k, ta, tb, batch, dtype)
        for m, n, k in SHAPES
        for ta, tb in TRANSPOSES
        for batch in ((1, 3) if m * n * k < 500 else (1,))
    ]
    for product, call in zip(products, build([(p, chosen) for p in products]), strict=True):
        a, b = operands(product)
        check(product, call(a, b), a, b)


def test_panels_of_transposed_matrices_of_any_shape():
    """Blocks of 8 and of 4 columns and single ones, of 4 rows and single ones, 16 rows at once."""
    calls = "".join(
        f"void turn_{short}(const {t} *from, idx step, {t} *to, idx row, idx depth, idx width);\n"
        f"void turn_{short}(const {t} *from, idx step, {t} *to, idx row, idx depth, idx width)\n"
        f"{{ cr_transpose_{short}(from, step, to, row, depth, width); }}\n"
        for t, short in (("float", "f32"), ("double", "f64"))
    )
    library = toolchain.load(HEAD + calls, FLAGS)
    for depth, width in itertools.product((1, 3, 4, 15, 16, 17, 22, 36), (1, 3, 4, 7, 8, 13, 30)):
        for dtype, short in ((np.float32, "f32"), (np.float64, "f64")):
            whole = np.arange(width * (depth + 5), dtype=dtype).reshape(width, depth + 5)
            panel = np.full((depth, width + 3), -1, dtype)
            getattr(library, f"turn_{short}")(
                ctypes.c_void_p(whole.ctypes.data), ctypes.c_int64(depth + 5),
                ctypes.c_void_p(panel.ctypes.data), ctypes.c_int64(width + 3),
                ctypes.c_int64(depth), ctypes.c_int64(width),
            )  # fmt: skip
            np.testing.assert_array_equal(panel[:, :width], whole[:, :depth].T)
            assert (panel[:, width:] == -1).all()  # nothing beside it is touched


@pytest.mark.parametrize("transposes", TRANSPOSES)
def test_large(transposes):
    """Blocks of everything: columns, depth, rows of A that are packed."""
    product = Product(521, 1100, 530, *transposes)
    usual = plan(product, native_target())
    assert usual.panels
    assert usual.depth < product.k
    assert bool(usual.pack_a) == product.transpose_a
    (call,) = build([(product,)])
    a, b = operands(product)
    check(product, call(a, b), a, b)


@DTYPES
@pytest.mark.parametrize("transposes", TRANSPOSES)
def test_same_bits_however_it_is_cut(dtype, transposes):
    """Tiles, panels, packing, units and vectors of any length; plain C is the truth."""
    product = Product(29, 83, 301, *transposes, batch=2, dtype=dtype)
    target = native_target()
    usual = plan(product, target)
    lanes = max(target.vector // product.item, 1)
    must_pack = product.transpose_b
    plans = [
        replace(usual, rows=rows, columns=vectors * lanes, panels=panels, pack_a=pack_a,
                by_rows=by_rows)
        for rows, vectors, panels, pack_a, by_rows in [
            (6, 2, 1, 0, False), (5, 1, 3, 2, True), (1, 3, 2, 1, False), (12, 1, 1, 3, True),
            (4, 2, 100, 100, False), (29, 1, 1, 0, True), (7, 2, 0, 0, False), (3, 1, 0, 0, True),
        ]
        if panels or not must_pack
    ]  # fmt: skip
    cases = [(product, TARGETS["plain"]), (product, target), *((product, target, p) for p in plans)]
    if platform.machine().lower() in ("x86_64", "amd64"):  # 128 bits: every x86-64 has them
        cases.append((product, TARGETS["sse"]))
    truth, *others = build(cases)
    a, b = operands(product)
    expected = truth(a, b)
    check(product, expected, a, b)
    for call in others:
        np.testing.assert_array_equal(call(a, b), expected)


@pytest.mark.parametrize("n", [3, 10, 26, 43])
def test_narrow_products_are_padded_where_that_saves_vectors(n):
    """The bits are those without padding, and C is not written beside its columns."""
    product = Product(50, n, 300)
    for target in (TARGETS["avx512"], TARGETS["avx2"]):
        assert plan(product, target).panels or n > 32
    assert not plan(Product(20, n, 300), TARGETS["avx512"]).panels  # few rows
    usual = plan(product, native_target())
    padded, cut = (
        replace(usual, columns=64 // product.item * 2, panels=panels) for panels in (1, 0)
    )
    a, b = operands(product)
    first, second = build([(product, native_target(), padded), (product, native_target(), cut)])
    np.testing.assert_array_equal(first(a, b), second(a, b))
    check(product, first(a, b), a, b)


@pytest.mark.parametrize("changes", [
    {"by_rows": False}, {"by_rows": True}, {"by_rows": True, "panels": 2, "pack_a": 1},
])  # fmt: skip
@pytest.mark.parametrize("batch", [1, 5])
def test_same_bits_for_any_threads(changes, batch):
    product = Product(67, 150, 40, batch=batch)
    chosen = replace(plan(product, native_target()), **changes)
    (call,) = build([(product, native_target(), chosen)])
    a, b = operands(product)
    expected = call(a, b)
    assert not np.isnan(expected).any()
    for cuts in ([0.5], [0.33, 0.66], np.linspace(0, 1, 9), np.linspace(0, 1, 1000)):
        np.testing.assert_array_equal(call(a, b, cuts=cuts), expected)


def test_a_part_of_the_rows_copies_a_block_of_columns_only():
    """What a thread copies of B for its part is little: the first half takes the first columns."""
    product = Product(60, 256, 40)
    usual = plan(product, native_target())
    chosen = replace(usual, columns=32, panels=4, pack_a=1, by_rows=True)
    code, units = function("half", product, native_target(), chosen)
    library = toolchain.load(HEAD + code, FLAGS)
    a, b = operands(product)
    c = np.full((60, 256), np.nan, np.float32)
    pointers = [x.ctypes.data_as(ctypes.c_void_p) for x in (a, b, c)]
    library.half(*pointers, None, ctypes.c_int64(0), ctypes.c_int64(units // 2))
    assert not np.isnan(c[:, :128]).any()
    assert np.isnan(c[:, 128:]).all()


def test_same_bits_when_a_part_asks_for_more():
    """What is copied for one part serves the next ones, of the same columns and of others."""
    product = Product(60, 256, 40)
    chosen = replace(plan(product, native_target()), columns=32, panels=4, pack_a=1, by_rows=True)
    text = emit(product, Pointers("pa", "pb", "pc"), native_target(), chosen, asks=True)
    assert text.asks
    body = "\n".join("  " * depth + line for depth, line in text.body)
    units = "(const float *pa, const float *pb, float *pc, idx begin, idx end, cr_parts *parts)"
    harness = f"""
{TASK_C}
{"".join(text.functions)}
static void multiply{units}
{{
{body}
}}
struct list {{ cr_parts parts; const idx *bounds; }};
static int next(cr_parts *parts, int64_t *begin, int64_t *end)
{{
  struct list *list = (struct list *)parts;
  *begin = list->bounds[0], *end = list->bounds[1];
  list->bounds += 2;
  return *begin < *end;
}}
void all(const float *a, const float *b, float *c, const idx *bounds);
void all(const float *a, const float *b, float *c, const idx *bounds)
{{
  struct list list = {{{{next}}, bounds + 2}};
  multiply(a, b, c, bounds[0], bounds[1], &list.parts);
}}
void alone(const float *a, const float *b, float *c);
void alone(const float *a, const float *b, float *c)
{{
  multiply(a, b, c, 0, {text.units}, NULL);
}}
""".replace("@", "multiply")
    library = toolchain.load(HEAD + harness, FLAGS)
    a, b = operands(product)
    expected, found = np.full((2, 60, 256), np.nan, np.float32)
    library.alone(*[x.ctypes.data_as(ctypes.c_void_p) for x in (a, b, expected)])
    check(product, expected, a, b)
    bounds = np.linspace(0, text.units, 6).astype(np.int64)
    parts = np.stack([bounds[:-1], bounds[1:]], 1)[[0, 3, 4, 1, 2]]
    parts = np.append(parts, [[0, 0]], 0)
    library.all(*[x.ctypes.data_as(ctypes.c_void_p) for x in (a, b, found, parts)])
    np.testing.assert_array_equal(found, expected)


def test_nan_and_infinity_reach_only_their_row_and_column():
    product = Product(14, 35, 9)
    (call,) = build([(product,)])
    a, b = operands(product)
    a[0, 3, 4], b[0, 2, 20] = np.nan, np.inf
    c = call(a, b)[0]
    bad = ~np.isfinite(c)
    assert bad[3].all()
    assert bad[:, 20].all()
    assert np.isfinite(np.delete(np.delete(c, 3, 0), 20, 1)).all()


@pytest.mark.parametrize(
    ("m", "n", "k"), [(32, 64, 8), (33, 21, 19), (9, 1, 30), (1, 9, 30), (40, 600, 300), (6, 7, 0)]
)
@pytest.mark.parametrize("transposes", TRANSPOSES)
def test_epilogue(m, n, k, transposes):
    """A bias and the rectifier, applied once to every finished element."""
    product = Product(m, n, k, *transposes, batch=2)
    lines = [
        f"const float y = c[i * {n} + j] + extra[j] + 100 * (float)g;",
        f"c[i * {n} + j] = y < 0 ? 0 : y;",
    ]
    plain, fused = build([(product,), (product, None, None, lines)])
    a, b = operands(product)
    bias = np.linspace(-3, 3, n, dtype=np.float32)
    shift = np.array([0, 100], np.float32).reshape(2, 1, 1)
    expected = np.maximum(plain(a, b) + bias + shift, 0)
    np.testing.assert_allclose(fused(a, b, bias), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(fused(a, b, bias, cuts=(0.4, 0.7)), fused(a, b, bias))


def test_touches_only_its_memory(tmp_path):
    """Operands that end where their memory ends, under the compiler's sanitizers."""
    products = [
        Product(m, n, k, ta, tb, 2, dtype)
        for (m, n, k), dtype in zip(
            [
                (7, 19, 13),
                (5, 1, 9),
                (1, 5, 9),
                (13, 37, 300),
                (26, 600, 7),
                (3, 3, 0),
                (40, 10, 270),
                (33, 26, 9),
            ],
            ["float32", "float64"] * 4,
            strict=True,
        )
        for ta, tb in (TRANSPOSES if NIGHTLY else [TRANSPOSES[(m + k) % 4]])
    ]
    parts, calls = [], []
    for i, p in enumerate(products):
        code, units = function(f"f{i}", p)
        parts.append(code)
        sizes = (p.batch * p.m * p.k, p.batch * p.k * p.n, p.batch * p.m * p.n)
        buffers = ", ".join(f"calloc({size}, {p.item})" for size in sizes)
        calls.append(
            f"{{ void *x[] = {{{buffers}}}; f{i}(x[0], x[1], x[2], 0, 0, {units});"
            " free(x[0]); free(x[1]); free(x[2]); }"
        )
    source = HEAD + "\n".join(parts) + "int main(void) {\n" + "\n".join(calls) + "}\n"
    (tmp_path / "program.c").write_text(source)
    compiler = toolchain.find()
    flags = [flag for flag in compiler.flags if flag not in ("-shared", "-fPIC", "-O3")]
    sanitize = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    built = subprocess.run(
        [*compiler.command, *flags, *sanitize, "-o", "program", "program.c"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if built.returncode:
        assert "error: " not in built.stderr.replace("ld: error: ", ""), built.stderr
        pytest.skip("no sanitizers")
    done = subprocess.run(
        [tmp_path / "program"],
        capture_output=True, text=True, check=False,
        env={"ASAN_OPTIONS": "detect_leaks=0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


INSTRUCTIONS: dict[str, list[str]] = {
    "sse": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mfma"],
}


def innermost_loops(listing):
    """The instructions of loops without jumps inside, of an objdump listing."""
    for part in listing.split("\n\n"):
        rows = re.findall(r"^\s*([0-9a-f]+):\t(.*)$", part, re.MULTILINE)
        place = {int(address, 16): number for number, (address, _) in enumerate(rows)}
        for number, (_, text) in enumerate(rows):
            jump = re.match(r"j\w+\s+([0-9a-f]+)", text)
            if jump and place.get(int(jump[1], 16), number) < number:
                body = [text for _, text in rows[place[int(jump[1], 16)] : number]]
                if not any(text.startswith("j") for text in body):
                    yield body


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64") or not shutil.which("objdump"),
    reason="reads x86 assembly with objdump",
)
@DTYPES
@pytest.mark.parametrize("transposes", TRANSPOSES)
@pytest.mark.parametrize("name", ["sse", "avx2", "avx512"])
def test_tiles_stay_in_registers(name, transposes, dtype, tmp_path):
    """The loop over l of every tile that may be chosen: multiplications, nothing on the stack."""
    target, product = TARGETS[name], Product(240, 1024, 256, *transposes, dtype=dtype)
    tiles = target.tiles()
    plans = [
        plan(product, replace(target, choices={product.name: TileChoice(*tile)})) for tile in tiles
    ]
    parts = [function(f"f{i}", product, target, chosen)[0] for i, chosen in enumerate(plans)]
    (tmp_path / "program.c").write_text(HEAD + "\n".join(parts))
    compiler = toolchain.find()
    flags = [f for f in compiler.flags if not f.startswith(("-march", "-mcpu", "-mprefer", "-sh"))]
    subprocess.run(
        [*compiler.command, *flags, *INSTRUCTIONS[name], "-c", "-o", "program.o", "program.c"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", "program.o"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    arithmetic = re.compile("mulp|fmadd" if name == "sse" else "fmadd")
    found = list(innermost_loops(listing))
    for rows, vectors in tiles:
        loops = [
            body
            for body in found
            if sum(bool(arithmetic.search(text)) for text in body) == rows * vectors
        ]
        assert len(loops) >= sum(r * v == rows * vectors for r, v in tiles)
        for body in loops:
            spilled = [text for text in body if re.search(r"\(%r[sb]p", text) and "mm" in text]
            assert not spilled, (rows, vectors)
