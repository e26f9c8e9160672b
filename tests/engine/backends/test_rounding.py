"""In C every operation on elements rounds by itself: the bits of NumPy, without contraction."""

import re
import shutil
import subprocess

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.c import toolchain
from chainrule.engine.backends.c.kernels.cpu import native_kind
from chainrule.engine.backends.c.lowering_cache import lowered

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def numbers(seed, count, dtype):
    """Of many sizes, so that roundings show."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=count) * 10.0 ** rng.integers(-3, 4, count)).astype(dtype)


@BOTH
@pytest.mark.parametrize("axis", [None, 0])
def test_equal_products_cancel(dtype, axis):
    """What contraction leaves of a·a - b·b is the rounding error of a product, of either sign."""
    a = np.random.default_rng(0).uniform(1, 2, (9, 113)).astype(dtype)

    def function(a, b):
        difference = a * a - b * b
        return cr.sqrt(difference), cr.sum(cr.abs(difference), axis)

    root, total = cr.compile(function, backend="c")(a, a.copy())
    assert not root.numpy().any()
    assert not total.numpy().any()


def expression(rng, terms):
    """A random sum, difference or product of what there is; values that stay finite."""
    a, b, c, d = (terms[i] for i in rng.integers(0, len(terms), 4))
    return [
        lambda: a * b + c,
        lambda: a * b - c * d,
        lambda: c - a * b,
        lambda: -(a * b) - c,
        lambda: (a + b) * c + d,
        lambda: a * 0.1 + b * 0.9,
        lambda: cr.square(a) - b * c,
        lambda: a / (cr.abs(b) + 1.0) - c * 3.0,
        lambda: cr.where(a < b, a * c + d, b * d - c),
        lambda: cr.maximum(a * b, c * d) + d,
        lambda: cr.sqrt(cr.abs(a * b - c)),
    ][rng.integers(11)]()


@BOTH
def test_random_arithmetic_has_the_bits_of_numpy(dtype):
    count, depth = 40, 6

    def function(*inputs):
        rng = np.random.default_rng(5)
        found = []
        for _ in range(count):
            terms = list(inputs)
            for _ in range(depth):
                y = expression(rng, terms)
                terms.append(cr.where(cr.abs(y) < 1e6, y, cr.sign(y)))
            found.append(terms[-1])
        return found

    inputs = [numbers(seed, 101, dtype) for seed in range(4)]
    expected = cr.compile(function, backend="numpy")(*inputs)
    for one, other in zip(cr.compile(function, backend="c")(*inputs), expected, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
        np.testing.assert_array_equal(np.signbit(one.numpy()), np.signbit(other.numpy()))


def test_the_tail_of_a_product_rounds_by_itself():
    """Loops that are fused into a matrix product, and updates of variables, too."""
    a, b = np.random.default_rng(1).normal(size=(2, 48, 48)).astype(np.float32)

    def step(product, old):
        return old * np.float32(0.9) + product * np.float32(0.1), product

    found, product = cr.compile(lambda a, b: step(a @ b, b), backend="c")(a, b)
    expected, _ = step(product.numpy(), b)
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.skipif(not shutil.which("objdump"), reason="reads the program with objdump")
def test_no_instruction_does_two_operations_unless_a_kernel_names_it(tmp_path):
    """The listing of a program of elements has no multiply-add, that of a product has."""
    compiler = toolchain.find()
    fused = re.compile(r"\bv?fn?m(add|sub|la|ls)\w*")

    def has_fused(source):
        (tmp_path / "program.c").write_text(source)
        flags = [flag for flag in compiler.flags if flag != "-shared"]
        subprocess.run(
            [*compiler.command, *flags, "-c", "-o", "program.o", "program.c"],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip
        done = subprocess.run(
            ["objdump", "-d", "--no-show-raw-insn", "program.o"],
            cwd=tmp_path, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return bool(fused.search(done.stdout))

    x = np.ones((40, 50), np.float32)
    graph = cr.trace(lambda a, b: (a * b + a, cr.sum(a * a - b, 0), cr.sum(b * b, 1)), x, x).graph
    assert not has_fused(lowered(graph, {}, (), True).source)
    product = cr.trace(lambda a, b: a @ cr.transpose(b), x, x).graph
    text = lowered(product, {}, (), True).source
    assert "CR_FMA" in text
    if native_kind().name in ("avx2", "avx512", "neon"):
        assert has_fused(text)
