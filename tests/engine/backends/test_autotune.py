"""Tiles by measurement: legal, remembered for this machine only, and without effect on a bit."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.engine.backends.c import autotune, autotune_cache, cache, lowering_cache, toolchain
from chainrule.engine.backends.c.autotune_cache import TileChoice, TunedTiles
from chainrule.engine.backends.c.kernels.cpu import TARGETS, native_kind, native_target
from chainrule.engine.backends.c.kernels.gemm import Product, plan, plan_with_reads
from chainrule.errors import ChainruleError

from ...nightly import by_night


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cache of its own; what is known of the machine is forgotten before and after."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    native_target.cache_clear()
    yield tmp_path
    native_target.cache_clear()


@pytest.fixture
def quick(monkeypatch):
    """A measurement of two tiles of one size, with rounds of no length."""
    monkeypatch.setattr(autotune, "_TYPICAL", ((64, 64, 32),))
    monkeypatch.setattr(autotune, "_FORMS", ((False, False),))
    monkeypatch.setattr(autotune, "_ROUNDS", 1)
    monkeypatch.setattr(autotune, "_ROUND_SECONDS", 0.0)
    monkeypatch.setattr("chainrule.engine.backends.c.kernels.cpu._CANDIDATES", 2)


def remember(found):
    """As a measurement that chose this."""
    autotune_cache.write(TunedTiles("2026-01-31", found))
    native_target.cache_clear()


# ---- the candidates ------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_tiles_fit_into_the_registers(target):
    tiles = target.tiles()
    assert tiles[0] == (target.accumulators // target.panel, target.panel)
    assert len(set(tiles)) == len(tiles) >= 3
    for rows, vectors in tiles:
        assert rows * vectors + min(rows, vectors) + 1 <= target.registers
    for rows, vectors in tiles[1:]:  # nothing is left over for a larger one
        for more in ((rows + 1, vectors), (rows, vectors + 1)):
            assert more[0] * more[1] + min(more) + 1 > target.registers


@given(st.integers(1, 2000), st.sampled_from(list(TARGETS)), st.integers(1, 300))
def test_rules_choose_what_fits(m, name, n):
    """Also where there are few rows or columns."""
    target = TARGETS[name]
    product = Product(m, n, 50)
    chosen = plan(product, target)
    vectors = chosen.columns // max(target.vector // product.item, 1)
    assert target.holds(min(chosen.rows, m), vectors)


def test_candidates_of_a_product():
    target = TARGETS["avx2"]
    tall = autotune.candidates(Product(784, 128, 256, transpose_a=True), target)
    assert tall[0] == TileChoice(6, 2, True, True)  # the default
    assert TileChoice(3, 4, False, False) in tall
    assert TileChoice(3, 4, True, True) in tall
    assert len(set(tall)) == len(tall)
    assert all(c.pack_b for c in autotune.candidates(Product(99, 64, 64, transpose_b=True), target))
    assert {c.vectors for c in autotune.candidates(Product(99, 10, 64), target)} == {2}
    assert autotune.candidates(Product(1, 100, 100), target) == ()
    assert autotune.candidates(Product(100, 1, 100), target) == ()


# ---- the same bits -------------------------------------------------------------------------------

ODD = [(29, 83, 47, False, False), (37, 70, 19, True, False), (15, 67, 300, False, True),
       (31, 130, 261, True, True), (16, 33, 5, True, False)]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", by_night("float64")])
def test_every_candidate_gives_the_same_bits(dtype):
    """The order of a sum is that of k whatever the tile: fused chains of single numbers."""
    target = native_kind()
    rng = np.random.default_rng(0)
    for m, n, k, ta, tb in ODD:
        product = Product(m, n, k, ta, tb, dtype=dtype)
        options = autotune.candidates(product, target)
        tiles = {(c.rows, c.vectors) for c in options}
        assert len(tiles) >= 3
        plans = [autotune.planned(product, choice, target) for choice in options]
        lanes = max(target.vector // product.item, 1)
        for choice, chosen in zip(options, plans, strict=True):  # what is asked for is done
            assert (chosen.rows, chosen.columns) == (choice.rows, choice.vectors * lanes)
            assert (chosen.panels > 0, chosen.pack_a > 0) == (choice.pack_b, choice.pack_a)
        a = rng.standard_normal((k, m) if ta else (m, k)).astype(dtype)
        b = rng.standard_normal((n, k) if tb else (k, n)).astype(dtype)
        truth = chain(a.T if ta else a, b.T if tb else b)
        library = toolchain.trial(autotune.source(product, plans, target))
        for number, choice in enumerate(options):
            c = np.full((m, n), np.nan, dtype)
            autotune._call(library, number, [a, b, c])(1)
            assert c.tobytes() == truth.tobytes(), (product.name, str(choice))


def chain(a, b):
    """In C, one number after the other: c = fma(a[i, l], b[l, j], c), and the sum of blocks."""
    kind, fma = ("float", "fmaf") if a.dtype == np.float32 else ("double", "fma")
    library = toolchain.trial(
        f"#include <math.h>\nvoid f(const {kind} *a, const {kind} *b, {kind} *c, "
        "long m, long n, long k) {\n"
        "for (long i = 0; i < m; i++) for (long j = 0; j < n; j++) {\n"
        f"{kind} total = 0; const long size = k ? (k - 1) / ((k + 255) / 256) + 1 : 1;\n"
        f"for (long from = 0; from < k; from += size) {{ {kind} s = 0;\n"
        "for (long l = from; l < k && l < from + size; l++)\n"
        f"s = {fma}(a[i * k + l], b[l * n + j], s);\n"
        "total = from ? s + total : s; }\n"
        "c[i * n + j] = total; } }\n"
    )
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    c = np.empty((len(a), b.shape[1]), a.dtype)
    pointers = [x.ctypes.data_as(toolchain.ctypes.c_void_p) for x in (a, b, c)]
    library.f(*pointers, *map(toolchain.ctypes.c_long, (*c.shape, len(b))))
    return c


def work(a, b):
    """Products of all forms, with bias and activation, and a gradient."""
    y = cr.relu(a @ b + 1.0)
    return y.sum(), a.T @ y, y @ b.T


def test_programs_give_the_same_bits_and_do_not_mix(folder):
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in ((45, 61), (61, 130))]
    untuned = cr.compile(work, backend="c")
    expected = [x.numpy() for x in untuned(*arrays)]
    usual = plan(Product(45, 130, 61), native_target())
    other = TileChoice(3, 1, True, False)
    names = [p.name for p in lowering_cache.cached_products()]
    assert Product(45, 130, 61).name in names
    before = set(folder.iterdir())

    remember(dict.fromkeys(names, other))
    tuned = plan(Product(45, 130, 61), native_target())
    assert (tuned.rows, tuned.columns) != (usual.rows, usual.columns)
    again = cr.compile(work, backend="c")
    for found, right in zip(again(*arrays), expected, strict=True):
        assert found.numpy().tobytes() == right.tobytes()
    added = sorted(path.suffix for path in set(folder.iterdir()) - before)
    assert added == [".c", ".json", ".json", ".sha256", ".so"]  # program, plan and choices

    next(folder.glob("tiles-*")).unlink()
    native_target.cache_clear()
    cr.compile(work, backend="c")(*arrays)
    assert len(list(folder.glob("plan-*"))) == 2  # the first one again


# ---- which choice holds --------------------------------------------------------------------------


def test_a_name_goes_before_a_kind_and_both_must_fit():
    usual = TARGETS["avx2"]
    product = Product(100, 96, 64)
    kind, own = TileChoice(4, 3), TileChoice(6, 2, False, False)
    of_kind = replace(usual, choices={product.kind: kind})
    assert plan(product, of_kind).rows == 4
    both = replace(usual, choices={product.kind: kind, product.name: own})
    assert plan(product, both).rows == 6
    assert plan(product, both).panels == 0
    assert plan(replace(product, batch=7), both) == plan(product, both)
    # Nothing is known of these: fewer rows than the tile has, fewer columns, half a panel left.
    for others in (Product(2, 96, 64), Product(100, 16, 64), Product(100, 40, 64)):
        assert plan(others, both) == plan(others, usual)
    assert plan(Product(100, 96, 64, transpose_a=True), both).rows == 3
    assert plan(Product(100, 96, 64, dtype="float64"), both).rows == 3
    assert plan(Product(100, 96, 999), both).rows == 6


def test_packing_goes_by_rules_where_more_is_read():
    usual = TARGETS["avx2"]
    product = Product(1000, 64, 64)
    tuned = replace(usual, choices={product.name: TileChoice(4, 2, True, False)})
    assert plan(product, tuned).panels
    assert not plan_with_reads(product, tuned).panels
    assert plan_with_reads(product, tuned).rows == 4


# ---- the measurement -----------------------------------------------------------------------------


def test_a_tie_keeps_the_default():
    default, other = TileChoice(6, 2), TileChoice(3, 4)
    for rate, chosen in ((99.0, default), (101.9, default), (102.1, other)):
        rating = autotune.Rating("a product", {default: 100.0, other: rate}, default)
        assert rating.chosen == chosen
    assert rating.gain == pytest.approx(0.021)


def test_it_is_measured_and_remembered(quick, folder):
    cr.compile(work, backend="c")(np.ones((45, 61), "f"), np.ones((61, 130), "f"))
    ratings = []
    done = autotune.tune(60, ratings.append)
    kinds = [Product(64, 64, 32, dtype=dtype).kind for dtype in ("float32", "float64")]
    assert [r.name for r in ratings[-len(kinds) :]] == kinds
    assert Product(45, 130, 61).name in [r.name for r in ratings[: -len(kinds)]]  # the program's
    for rating in ratings:
        assert all(rate > 0 for rate in rating.rates.values())
        assert rating.default in rating.rates
        assert rating.chosen in rating.rates
        assert done.choices[rating.name] == rating.chosen
    (file,) = folder.glob("tiles-*")
    assert file.stat().st_mode & 0o022 == 0
    assert autotune_cache.read() == done
    assert native_target().choices == done.choices
    assert not list(folder.glob("build-*"))  # nothing is left of the trials
    assert {path.suffix for path in folder.iterdir()} == {".c", ".so", ".sha256", ".json"}


def test_what_was_disturbed_once_is_measured_again(monkeypatch):
    """A default that another program slowed down at first keeps its place."""
    target = native_kind()
    group = next(autotune._groups(target))
    default, other = group.candidates[:2]
    seen = []

    def rates(product, options, library, built, target):
        seen.append(tuple(options))
        disturbed = len(seen) <= len(group.products)
        return {c: 100.0 if c != default else 80.0 if disturbed else 99.9 for c in options}

    monkeypatch.setattr(autotune, "_rates", rates)
    rating = autotune._rate(group, [None] * len(group.products), target)
    assert rating.chosen == default
    assert seen[-1] == (default, other)


def test_the_time_is_kept(quick):
    ratings = []
    autotune.tune(0, ratings.append)
    assert len(ratings) == 1


def test_two_at_once(quick, folder):
    """Both finish; what is remembered is whole."""
    code = (
        "from chainrule.engine.backends.c import autotune as t\n"
        "t._TYPICAL, t._FORMS, t._ROUNDS = ((64, 64, 32),), ((False, False),), 1\n"
        "print(len(t.tune(60).choices))"
    )
    environment = {**os.environ, "CHAINRULE_CACHE": str(folder)}
    both = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in both] == [b"2\n", b"2\n"]
    assert len(autotune_cache.read().choices) == 2
    assert len(list(folder.glob("tiles-*"))) == 1


# ---- what can go wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"day": "x"}', '{"day": "x", "choices": []}',
     '{"day": "x", "choices": {"a": {"rows": 0, "vectors": 2}}}',
     '{"day": "x", "choices": {"a": {"rows": "6", "vectors": 2}}}',
     '{"day": "x", "choices": {"a": {"rows": 6, "vectors": 2, "speed": 1}}}',
     '{"day": "x", "choices": {"a": {"rows": 6, "vectors": 2, "pack_b": 3}}}',
     b"\xff\xfe\x00"],
)  # fmt: skip
def test_a_damaged_file_is_as_good_as_none(text, folder, caplog):
    path = folder / autotune_cache.file_name()
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:  # with its own digest: it is what it says that is wrong
        cache.keep(path.name, text)
    for _ in range(3):
        assert native_target() == native_kind()
    assert [record.getMessage() for record in caplog.records] == [
        f"The measured tiles in {path} are damaged; measure again: chainrule cache --tune"
    ]


def test_tiles_too_large_for_the_registers_are_not_used(folder):
    kind = Product(64, 64, 32).kind
    remember({kind: TileChoice(40, 40), "more": TileChoice(2, 2)})
    assert native_target().choices == {"more": TileChoice(2, 2)}


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (toolchain, "processor", lambda: "another one"),
        (toolchain, "find", lambda: toolchain.Compiler(("cc",), "another version", ())),
        (autotune_cache, "_GENERATOR", ("gemm_tiles.py",)),
    ],
    ids=["processor", "compiler", "generator"],
)
def test_what_holds_elsewhere_is_not_read(module, name, value, monkeypatch, caplog):
    remember({Product(64, 64, 32).kind: TileChoice(3, 3)})
    assert native_target().choices
    native_target.cache_clear()
    monkeypatch.setattr(module, name, value)
    assert native_target() == native_kind()
    assert not caplog.records


def test_a_link_is_not_read(folder):
    remember({Product(64, 64, 32).kind: TileChoice(3, 3)})
    (file,) = folder.glob("tiles-*")
    elsewhere = folder / "elsewhere.json"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    assert autotune_cache.read() is None


def test_without_a_compiler(monkeypatch):
    remember({Product(64, 64, 32).kind: TileChoice(3, 3)})
    monkeypatch.setenv("CHAINRULE_CC", "")
    assert native_target() == native_kind()
    with pytest.raises(toolchain.CompilerError, match="No C compiler was found"):
        autotune.tune(1)


def test_without_a_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ChainruleError, match="cannot be remembered") as caught:
        autotune.tune(1)
    assert caught.value.where == str(tmp_path / "file")


def test_the_file_says_what_it_means(folder):
    remember({"float32 A·B 3×4×5": TileChoice(6, 2, True, False)})
    (file,) = folder.glob("tiles-*")
    assert json.loads(cache.recall(file.name)) == {
        "day": "2026-01-31",
        "choices": {
            "float32 A·B 3×4×5": {
                "rows": 6, "vectors": 2, "pack_b": True, "pack_a": False,
            }
        },
    }  # fmt: skip
    assert str(autotune_cache.read().choices["float32 A·B 3×4×5"]) == "6×2, B packed"
    assert cache.entries() == sorted([file, *folder.glob("compiler-*")])
