"""Programs for vectors of other widths have the same bits: the shape decides the order of sums."""

from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.c import toolchain
from chainrule.engine.backends.c.kernels.cpu import TARGETS, native_kind, native_target
from chainrule.engine.backends.registry import find_backend
from tests.nightly import by_night

#: Without AVX-512 a program has 8 numbers of single precision in a vector, not 16.
NARROW = "cc -mno-avx512f"


@pytest.mark.parametrize(
    ("machine", "flags", "name"),
    [
        ("x86_64", "fpu sse2 fma avx2 avx512f avx512vl", "avx512"),
        ("AMD64", "fpu sse2 avx2 fma", "avx2"),
        ("x86_64", "fpu sse2 avx2", "sse"),
        ("x86_64", None, "sse"),
        ("aarch64", "", "neon"),
        ("arm64", "", "neon"),
        ("riscv64", "", "plain"),
    ],
)
def test_the_processor_tells_its_kind_without_a_compiler(monkeypatch, machine, flags, name):
    def text_of(self, **options):
        if flags is None:
            raise OSError
        return f"processor\t: 0\nflags\t\t: {flags}\n"

    def missing():
        raise toolchain.CompilerError("none")

    monkeypatch.setattr(toolchain, "find", missing)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(Path, "read_text", text_of)
    assert native_kind() == TARGETS[name]


@pytest.fixture
def narrow(monkeypatch):
    """From when it is called, programs are made without AVX-512."""
    if native_kind() != TARGETS["avx512"]:
        pytest.skip("there is no wider vector to compare with")

    def change():
        monkeypatch.setenv("CHAINRULE_CC", NARROW)
        native_target.cache_clear()
        assert native_target().name == "avx2"

    native_target.cache_clear()
    yield change
    native_target.cache_clear()


def values(x):
    wide = cr.exp(x) @ cr.transpose(x)
    heads = cr.reshape(x[:, :192], (37, 4, 48))
    one_query = cr.scaled_dot_product_attention(heads[:, :1], heads[:, 1:], heads[:, 1:, :23])
    return [cr.sum(x), cr.mean(x, axis=0), cr.var(x, axis=1), cr.logsumexp(x, axis=1),
            cr.softmax(x, axis=0), cr.cumsum(x, axis=1), cr.max(x, axis=1), wide,
            cr.tanh(x) * cr.erf(x), one_query,
            cr.grad(lambda v: cr.sum(cr.sin(v @ v.T)))(x)]  # fmt: skip


def networks():
    nn = cr.nn
    random = np.random.default_rng(0)
    rows = random.normal(size=(40, 21)).astype(np.float32)
    series = random.normal(size=(20, 17, 5)).astype(np.float32)
    images = random.normal(size=(12, 10, 10, 16)).astype(np.float32)
    dense = nn.Linear(21, 29), nn.GELU(), nn.Dropout(0.2), nn.LayerNorm(29), nn.Linear(29, 1)
    causal = nn.Conv1d(5, 13, 3, dilation=2), nn.GELU(), nn.Flatten(), nn.Linear(13 * 13, 1)
    wide = (nn.Conv2d(16, 24, 3, padding="same"), nn.BatchNorm(24), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(600, 1))  # fmt: skip
    return {"dense": (dense, rows), "series": (causal, series), "images": (wide, images)}


def trained(name):
    layers, x = networks()[name]
    model = cr.nn.Sequential(*layers).initialize(seed=0)
    trainer = cr.Trainer(
        model, "mse", "adam", lr=0.01, progress=False, backend=find_backend("c", 1)
    )
    y = x.reshape(len(x), -1)[:, :1] ** 2
    trainer.fit((x, y), epochs=2, batch_size=9)
    return model.state()


@pytest.mark.parametrize("dtype", [by_night(np.float32), by_night(np.float64)])
def test_values_and_gradients(narrow, dtype):
    x = np.random.default_rng(1).normal(size=(37, 213)).astype(dtype)
    first = [found.numpy() for found in cr.compile(values, backend="c")(x)]
    narrow()
    second = [found.numpy() for found in cr.compile(values, backend="c")(x)]
    for a, b in zip(first, second, strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("name", ["dense", by_night("series"), by_night("images")])
def test_trainings(narrow, name):
    first = trained(name)
    narrow()
    second = trained(name)
    assert all(array.tobytes() == second[path].tobytes() for path, array in first.items())


def test_the_target_is_what_the_compiler_makes_programs_for(narrow):
    assert "__AVX512F__" in toolchain.find().extensions
    narrow()
    assert "__AVX512F__" not in toolchain.find().extensions
    assert {"__AVX2__", "__FMA__"} <= set(toolchain.find().extensions)
