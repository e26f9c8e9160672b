"""Our elementary functions: error over the whole range, special values, and that they vectorise."""

import ctypes
import platform
import re
import shutil
import subprocess

import numpy as np
import pytest

from chainrule.engine.backends.c import toolchain
from chainrule.engine.backends.c.kernels.math import FMA_C, MATH_C, ULPS

HEAD = """
#include <math.h>
#include <stdint.h>
#include <string.h>
"""
TYPES = {"float32": ("float", "f"), "float64": ("double", "")}
CASES = [
    (name, dtype)
    for name, bounds in ULPS.items()
    for dtype, bound in zip(TYPES, bounds, strict=True)
    if bound is not None
]
ONE_ARGUMENT = [case for case in CASES if case[0] != "power"]


def loops():
    """A C function for each of ours that applies it to arrays."""
    parts = [HEAD, FMA_C, MATH_C]
    for name, dtype in CASES:
        kind, ending = TYPES[dtype]
        second = f"const {kind} *restrict b, " if name == "power" else ""
        head = (
            f"void loop_{name}{ending}"
            f"(const {kind} *restrict x, {second}{kind} *restrict y, int64_t n)"
        )
        call = f"cr_{name}{ending}(x[i]{', b[i]' * bool(second)})"
        parts.append(f"{head};\n{head}\n{{\n  for (int64_t i = 0; i < n; i++) y[i] = {call};\n}}\n")
    return "\n".join(parts)


@pytest.fixture(scope="module")
def library():
    return toolchain.load(loops(), ("-Wall", "-Wextra", "-Werror", "-Wno-unused-function"))


def compute(library, name, *arrays):
    arrays = [np.ascontiguousarray(x) for x in arrays]
    y = np.empty_like(arrays[0])
    pointers = [x.ctypes.data_as(ctypes.c_void_p) for x in (*arrays, y)]
    ending = TYPES[y.dtype.name][1]
    getattr(library, f"loop_{name}{ending}")(*pointers, ctypes.c_int64(y.size))
    return y


# ---- the truth, in a wider type --------------------------------------------------------------


def erf(x):
    """2/√π exp(-x²) Σ 2ⁿ x²ⁿ⁺¹ / (2n + 1)!!, all terms of one sign; 1 where it is 1."""
    inside = np.clip(x, -8, 8)
    term = total = inside * np.exp(-inside * inside)
    for n in range(1, 260):
        term = term * (2 * inside * inside / (2 * n + 1))
        total = total + term
    pi = x.dtype.type(3) + x.dtype.type("0.14159265358979323846264338327950288")
    return 2 / np.sqrt(pi) * total


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def truth(name, *arrays):
    functions = {"erf": erf, "sigmoid": sigmoid, "softplus": softplus}
    wide = np.float64 if arrays[0].dtype == np.float32 else np.longdouble
    if wide is np.longdouble and np.finfo(wide).nmant < 60:
        pytest.skip("long double is no wider than double here")
    with np.errstate(all="ignore"):
        return functions.get(name, getattr(np, name, None))(*(x.astype(wide) for x in arrays))


def check(name, found, exact):
    """Within the stated units in the last place, and equal where nothing can be rounded."""
    limits = np.finfo(found.dtype)
    bound = ULPS[name][0 if found.dtype == np.float32 else 1]
    with np.errstate(all="ignore"):
        rounded = exact.astype(found.dtype)
        size = np.maximum(np.abs(exact), exact.dtype.type(limits.tiny))
        unit = np.exp2(np.floor(np.log2(size)) - limits.nmant)
        error = np.abs(found.astype(exact.dtype) - exact) / unit
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(found[~finite], rounded[~finite])
    assert np.max(error[finite], initial=0) <= bound
    zero = rounded == 0
    signs = np.signbit(found) == np.signbit(rounded)
    assert signs[zero & (found == 0)].all()


def arguments(dtype):
    """Every exponent, both signs, denormal numbers; then densely where functions bend."""
    rng = np.random.default_rng(5)
    limits = np.finfo(dtype)
    if dtype == "float32":
        pattern = np.arange(0, 2**32, 16411, dtype=np.uint64).astype(np.uint32).view(np.float32)
        count = 80_000
    else:
        pattern = rng.integers(0, 2**64, 50_000, dtype=np.uint64).view(np.float64)
        count = 20_000
    edge = {"float32": (-104.5, 89.5), "float64": (-746, 710.5)}[dtype]
    special = [0, np.inf, np.nan, limits.max, limits.tiny, limits.smallest_subnormal, 1, 2, 0.5,
               np.nextafter(1, 0, dtype=dtype), np.nextafter(1, 2, dtype=dtype),
               88.72283, 88.72284, 103.97, 103.98, 709.782712893384, 745.1332, 1024, 150,
               1075]  # fmt: skip
    dense = [
        rng.uniform(-6, 6, count),
        rng.uniform(*edge, count),
        1 + rng.uniform(-0.6, 0.6, count),
        rng.uniform(-0.5, 0.5, count),
        np.exp(rng.uniform(-30, 0, count)) * rng.choice([-1, 1], count),
        np.pi / 2 * rng.integers(-1000, 1000, count),
    ]  # fmt: skip
    with np.errstate(all="ignore"):
        parts = [np.concatenate([special, np.negative(special)]), *dense]
        return np.concatenate([pattern, *(part.astype(dtype) for part in parts)])


@pytest.mark.parametrize(("name", "dtype"), ONE_ARGUMENT)
def test_error(library, name, dtype):
    x = arguments(dtype)
    check(name, compute(library, name, x), truth(name, x))


def test_power(library):
    rng = np.random.default_rng(6)
    count = 100_000
    limits = np.finfo("float32")
    special = [0, 1, 2, 3, 0.5, 2.5, np.inf, np.nan, limits.max, limits.tiny,
               limits.smallest_subnormal, 1e10, 16777215, 16777217, 0.999, 1.001]  # fmt: skip
    special = np.concatenate([special, np.negative(special)])
    a, b = (grid.ravel() for grid in np.meshgrid(special, special))
    whole = rng.integers(-12, 13, count)
    a = np.concatenate([a, np.exp(rng.uniform(-9, 9, count)), rng.uniform(-9, 9, count)])
    b = np.concatenate([b, rng.uniform(-12, 12, count), whole]).astype(np.float32)
    a = a.astype(np.float32)
    check("power", compute(library, "power", a, b), truth("power", a, b))


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_large_angles(library, name):
    """Numbers that come closest to multiples of π/2 among all of float32, and the largest."""
    x = np.array([16367173 * 2.0**72, 6381956970095103 * 2.0**-26, 1e38, 3.4028235e38, 2.0**127,
                  2.0**60, 1e22], np.float32)  # fmt: skip
    check(name, compute(library, name, x), truth(name, x))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", [-np.inf, -0.0, np.inf, -1e30, 1e30], [0, 1, np.inf, 0, np.inf]),
        ("expm1", [-np.inf, -0.0, 0.0, np.inf, -1e30], [-1, -0.0, 0.0, np.inf, -1]),
        ("log", [0.0, -0.0, 1.0, np.inf], [-np.inf, -np.inf, 0.0, np.inf]),
        ("log", [-1.0, -np.inf, -1e-45], [np.nan, np.nan, np.nan]),
        ("log2", [8.0, 0.5, 1.0, 2.0**-126, 2.0**-140], [3, -1, 0, -126, -140]),
        ("log1p", [-1.0, -2.0, -0.0, 0.0, np.inf], [-np.inf, np.nan, -0.0, 0.0, np.inf]),
        ("tanh", [-np.inf, -0.0, 0.0, np.inf, 30.0], [-1, -0.0, 0.0, 1, 1]),
        ("sigmoid", [-np.inf, 0.0, np.inf, 800.0, -800.0], [0, 0.5, 1, 1, 0]),
        ("softplus", [-np.inf, np.inf, 1000.0, -1000.0], [0, np.inf, 1000, 0]),
        ("erf", [-np.inf, -0.0, 0.0, np.inf, 7.0], [-1, -0.0, 0.0, 1, 1]),
    ],
)  # fmt: skip
def test_exact_values(library, name, dtype, x, expected):
    found = compute(library, name, np.array([*x, np.nan], dtype))
    expected = np.array([*expected, np.nan], dtype)
    np.testing.assert_array_equal(found, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(expected[numbers]))


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64") or not shutil.which("objdump"),
    reason="reads x86 assembly with objdump",
)
def test_loops_are_vectorised(tmp_path):
    """No calls, and multiplications of whole vectors, in the loop over each function."""
    (tmp_path / "program.c").write_text(loops())
    compiler = toolchain.find()
    flags = [flag for flag in compiler.flags if not flag.startswith("-m")]
    subprocess.run(
        [*compiler.command, *flags, "-mavx2", "-mfma", "-o", "program.so", "program.c", "-lm"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", "program.so"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    found = dict(re.findall(r"<loop_(\w+)>:\n(.*?)(?:\n\n|\Z)", listing, re.DOTALL))
    assert set(found) == {name + TYPES[dtype][1] for name, dtype in CASES}
    for name, body in found.items():
        assert "call" not in body, name
        assert re.search(r"vfn?m\w+p[sd] .*ymm", body), name
