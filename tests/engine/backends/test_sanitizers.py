"""Generated programs under the compiler's own checks of memory and of undefined behaviour."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import chainrule

from ...nightly import by_night

PROGRAM = """
import sys
import numpy as np
import chainrule as cr
from chainrule.engine.backends.c import batch_split, packing
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.backends.numpy import Program

FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O0")
ALL = sys.argv[1] == "all"
r = np.random.default_rng(0)

def check(function, *arrays):
    graph = cr.trace(function, *arrays).graph
    for fuse in (True, False)[: 1 + ALL]:
        program = CProgram(graph, fuse=fuse, flags=FLAGS)
        program.threads = 1
        for found, expected in zip(program(arrays), Program(graph)(arrays), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

x, w = r.standard_normal((37, 19)).astype("f4"), r.standard_normal((19, 23)).astype("f4")
labels = r.integers(0, 23, 37)

def network(x, w, labels):
    def loss(w):
        h = cr.relu(x @ w)
        return cr.mean(cr.cross_entropy_from_logits(h * cr.sigmoid(h), labels))
    return cr.value_and_grad(loss)(w)

check(network, x, w, labels)

def views(x):
    y = cr.flip(cr.transpose(x), 0)[2:9:3]
    return (cr.pad(y, ((1, 2), (0, 1))), cr.roll(x, 3, 1), cr.concatenate([x, x[:2]], 0),
            cr.reshape(cr.transpose(x), (37, 19)), cr.sum(y, 0), cr.max(x), cr.cumsum(x, 0),
            cr.sort(x, 0), cr.argmax(x, 1), cr.var(x, 0), cr.logsumexp(x), cr.softmax(x, 0))

check(views, x)

def extremes(a, b, x):
    return a // b, a % b, -a, cr.abs(a), a * a, cr.astype(x, "int32"), cr.astype(x, "int64")

big = np.array([np.iinfo(np.int64).min, 7, -7, 5], np.int64)
check(extremes, big, np.array([-1, -2, 2, 0], np.int64), np.array([3e30, -3e30, 2.5, -2.5]))
check(lambda x: cr.sum(x * x) * cr.mean(x), r.standard_normal(100003).astype("f4"))

def images(x, w, narrow, v):
    def loss(w, narrow, v):
        y = cr.relu(cr.conv2d(x, w, stride=(1, 2), padding=(2, 1), dilation=(2, 1)))
        y = cr.conv2d(y, narrow, padding="same", groups=12)
        y = cr.max_pool(cr.conv2d(y, v, padding="same", groups=3), 3, 2, 1)
        return cr.mean(cr.avg_pool(y, (2, 1)) ** 2) + cr.mean(cr.avg_pool(y, 6, 1, 3))
    return cr.value_and_grad(loss, argnums=(0, 1, 2))(w, narrow, v)

shapes = (3, 11, 14, 5), (3, 4, 5, 12), (3, 3, 1, 12), (2, 2, 4, 9)
check(images, *(r.standard_normal(shape).astype("f4") for shape in shapes))

def quick(x, w):
    return cr.value_and_grad(lambda x: cr.mean(cr.conv2d(x, w, padding="same") ** 2))(x)

check(quick, *(r.standard_normal(shape).astype("f4") for shape in ((2, 7, 9, 16), (3, 3, 16, 32))))

def loops(x, w):
    def body(carry, x):
        h, n = carry
        h = cr.tanh(h @ w + x) * cr.sigmoid(x)
        return (h, n + 1), h

    def total(w, x):
        (h, n), ys = cr.scan(body, (x[0], cr.as_tensor(0)), x, reverse=True)
        return cr.sum(ys * ys) + cr.sum(cr.remat(cr.tanh)(h))

    return cr.grad(total, argnums=(0, 1))(w, x)

batch_split._WORTH_THREADS, packing._SMALLEST = 0, 0
check(loops, r.standard_normal((5, 8, 11)).astype("f4"), r.standard_normal((11, 11)).astype("f4"))

def attention(q, k, v):
    def total(q, k, v):
        return cr.sum(cr.sin(cr.scaled_dot_product_attention(q, k, v, causal=True)))

    return cr.value_and_grad(total, argnums=(0, 1, 2))(q, k, v)

def masked_attention(q, k, v):
    mask, key = np.arange(k.shape[1]) < np.array([[[9]], [[k.shape[1]]]]), cr.random.key(1)
    def total(q, k, v):
        y = cr.scaled_dot_product_attention(q, k, v, mask, dropout=0.2, key=key)
        return cr.sum(cr.sin(y))

    return cr.value_and_grad(total, argnums=(0, 1, 2))(q, k, v)

for n, m in ((21, 37), (70, 70))[: 1 + ALL]:
    check(masked_attention, *(r.standard_normal((2, e, 5)).astype("f4") for e in (n, m, m)))
    check(attention, *(r.standard_normal((2, e, d)) for e, d in ((n, 7), (m, 7), (m, 5))))

def matrices(a, b, tall, large):
    linalg = cr.linalg
    return [
        linalg.cholesky(a @ a.mT), linalg.solve(a, b), linalg.det(a), *linalg.slogdet(a),
        *linalg.eigh(a @ a.mT), *linalg.lu(tall), linalg.pinv(tall), linalg.matrix_exp(a),
        *linalg.qr(tall, "complete"), linalg.svdvals(tall), linalg.svdvals(large),
        linalg.solve_triangular(a, b), cr.grad(linalg.det)(a[0]),
    ]

if ALL:
    shapes = (3, 4, 4), (3, 4, 2), (5, 3), (64, 64)
    a, *others = (r.standard_normal(shape) for shape in shapes)
    check(matrices, a + 3 * np.eye(4), *others)
print("clean")
"""


def library(name):
    asked = subprocess.run(
        ["cc", f"-print-file-name={name}"], capture_output=True, text=True, check=False
    )
    path = Path(asked.stdout.strip())
    return str(path) if path.is_absolute() and path.exists() else None


@pytest.mark.parametrize("what", ["some", by_night("all")])
def test_programs_are_clean(what):
    runtime = library("libasan.so")
    if runtime is None:
        pytest.skip("the compiler has no address sanitizer")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), what],
        env={
            **os.environ,
            "LD_PRELOAD": runtime,
            "ASAN_OPTIONS": "detect_leaks=0",
            "PYTHONPATH": str(Path(chainrule.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.strip() == "clean", done.stderr[-3000:]
