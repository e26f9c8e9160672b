"""Models and functions as C: the same predictions, the same training, no warning, no surprise."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import Schema
from chainrule.engine.backends.base import UnsupportedError
from chainrule.engine.backends.c import toolchain
from chainrule.engine.backends.c.program import CProgram
from chainrule.errors import ConfigError
from chainrule.interop.c import wasm
from chainrule.interop.c.comparison import Comparison
from chainrule.interop.c.learning import Learning, Step
from chainrule.interop.c.models import model_program
from chainrule.interop.c.raw_inputs import interface
from chainrule.interop.c.saving import write_model
from chainrule.serialization import load
from chainrule.tasks import load_predictor
from tests.nightly import NIGHTLY, by_night

from ..stored_runs.make_runs import RUNS
from ..test_stored_runs import unpack
from .running_c import STRICT, Exported, compiler
from .test_onnx_out import READY

f32 = np.float32
#: Kinds of data whose programs have the order of sums of the C backend on this machine.
SAME_BITS = {"table_numbers", "table_classes", "text_classes", "sequences"}
ROWS = 1000 if NIGHTLY else 40


def random_inputs(saved, entry, rows):
    """Rows of the exported function's arguments, missing values among them."""
    random = np.random.default_rng(7)
    given = []
    for argument in entry.arguments:
        shape, dtype = (rows, *argument.type.shape[1:]), argument.type.dtype
        if dtype == np.uint8:
            given.append(random.integers(0, 256, shape).astype(np.uint8))
        elif dtype.kind in "iu":
            given.append(random.integers(1, 7, shape).astype(dtype))
        else:
            given.append(random.normal(0, 2, shape).astype(dtype))
    return given


def table_rows(saved, made, rows):
    """Raw rows of a table: values around those of the training, a fifth of them missing."""
    random = np.random.default_rng(8)
    columns = []
    for column in made.columns.values():
        s = column.statistics
        if column.kind == "category":
            values = random.integers(0, column.codes, rows).astype(float)
        elif column.kind == "date":
            values = np.floor(random.normal(s.mean, s.std + 1e6, rows))
        else:
            values = random.normal(s.mean, s.std + 1.0, rows).astype(f32).astype(float)
        columns.append(np.where(random.random(rows) < 0.2, np.nan, values))
    return np.stack(columns, 1)


def as_the_model_takes(saved, table):
    """Raw rows as the arrays of the saved model: codes of missing categories are 0."""
    schema = Schema.from_json(saved.schema)
    arrays, place = [], 0
    for name, kind in saved.inputs.items():
        count = len(getattr(schema, name.rpartition(".")[2]))
        part = table[:, place : place + count]
        place += count
        arrays.append(part if kind.dtype.kind == "f" else np.nan_to_num(part).astype(np.int64))
    return arrays


@pytest.mark.parametrize(
    "name",
    [name if name in ("table_numbers", "images") else by_night(name) for name in RUNS],
)  # fmt: skip
def test_every_kind_of_data(name, tmp_path):
    saved = load(next(unpack(name, tmp_path).glob("run/model.safetensors")))
    program, made = model_program(saved, "model")
    cr.export_c(saved, out=tmp_path / "c")
    (entry,) = program.entries
    if made.columns:
        table = table_rows(saved, made, ROWS)
        given = [table.astype(entry.arguments[0].type.dtype)]
        wanted = saved.compute(as_the_model_takes(saved, given[0].astype(float)))
    else:
        given = random_inputs(saved, entry, ROWS)
        kinds = [kind.dtype for kind in saved.inputs.values()]
        wanted = saved.compute([x.astype(k) for x, k in zip(given, kinds, strict=True)])
    out = entry.results[0].type.dtype
    exported = Exported(tmp_path / "c")
    found = exported.predict(*given, like=wanted.astype(out))
    size = np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6 * size)
    if name in SAME_BITS:
        native = CProgram(entry.task.graph)
        rows = [native([x[i : i + 1] for x in given])[0] for i in range(ROWS)]
        assert np.concatenate(rows).tobytes() == found.tobytes()


@pytest.mark.parametrize(
    "name",
    [n if n == "mlp" else by_night(n) for n in READY],
)
def test_every_ready_model(name, tmp_path):
    model, x = READY[name]()
    output = (lambda encoded: encoded.reconstruction) if name == "vae" else None
    cr.save(tmp_path / "m.safetensors", model, x, output=output)
    cr.export_c(tmp_path / "m.safetensors", out=tmp_path)
    wanted = cr.load(tmp_path / "m.safetensors").predict(x)
    found = Exported(tmp_path).predict(x, like=wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-6 * np.abs(wanted).max())


# ---- processors ----------------------------------------------------------------------------------


def has_avx2():
    return {"__AVX2__", "__FMA__"} <= set(toolchain.find().extensions)


@pytest.mark.parametrize(
    "name", [n if n == "images" else by_night(n) for n in RUNS if n not in ("spelling", "speech")]
)  # fmt: skip
def test_vectors_give_the_bits_of_a_program_here(name, tmp_path):
    """With AVX2 convolutions and attention are added up in the order of the C backend, too."""
    if not has_avx2():
        pytest.skip("this processor has no AVX2")
    saved = load(next(unpack(name, tmp_path).glob("run/model.safetensors")))
    (entry,) = model_program(saved, "model")[0].entries
    cr.export_c(saved, out=tmp_path / "c", processor="avx2")
    given = random_inputs(saved, entry, 6)
    if entry.arguments[0].name == "row":  # codes of categories are small
        given = [np.abs(np.rint(given[0])) % 2]
    native = CProgram(entry.task.graph)
    rows = [native([x[i : i + 1] for x in given])[0].copy() for i in range(6)]
    exported = Exported(tmp_path / "c", flags=("-O2",))
    found = exported.predict(*given, like=np.concatenate(rows))
    assert found.tobytes() == np.concatenate(rows).tobytes()
    assert "#error" in (tmp_path / "c" / "model.c").read_text()
    assert "-mavx2 -mfma -o model" in (tmp_path / "c" / "README.md").read_text()


def test_exact_programs_have_the_same_bits_without_fused_multiply_adds(tmp_path):
    if not has_avx2():
        pytest.skip("this processor has no fused multiply-add")
    saved = load(next(unpack("images", tmp_path).glob("run/model.safetensors")))
    (entry,) = model_program(saved, "model")[0].entries
    given = random_inputs(saved, entry, 3)
    like = np.zeros((3, *entry.results[0].type.shape[1:]), f32)
    found = {}
    for exact in (True, False):
        for flag in ("-mfma", "-mno-avx"):
            folder = tmp_path / f"{exact}{flag}"
            cr.export_c(saved, out=folder, exact=exact)
            exported = Exported(folder, flags=("-O1", flag))
            found[exact, flag] = exported.predict(*given, like=like).tobytes()
    assert found[True, "-mno-avx"] == found[True, "-mfma"] == found[False, "-mfma"]
    assert found[False, "-mno-avx"] != found[False, "-mfma"]


def test_processors_that_do_not_fit(tmp_path):
    with pytest.raises(ConfigError, match="processor 'avx3'"):
        cr.export_c(lambda x: x, np.ones(2, f32), out=tmp_path, processor="avx3")
    run = unpack("images", tmp_path) / "run"
    with pytest.raises(ConfigError, match="any processor"):
        cr.export_c(run, out=tmp_path / "c", to="wasm", processor="neon")
    found = cr.export_c(run, out=tmp_path / "c", processor="neon")
    assert found.stack is None or "__ARM_NEON" in toolchain.find().extensions
    needed = cr.export_c(run, out=tmp_path / "c").arena
    with pytest.raises(ConfigError, match="more RAM") as error:
        cr.export_c(run, out=tmp_path / "c", ram=needed, processor="avx2")
    assert error.value.hint == f"This fits: --plain ({needed:,} bytes)."


# ---- functions ---------------------------------------------------------------------------------


def test_a_function_and_its_gradients(tmp_path):
    def valley(x, weight):
        return cr.sum(weight * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    x = np.array([-1.2, 1.0, 0.5], f32)
    cr.export_c(valley, x, 100.0, out=tmp_path, gradients=True)
    exported = Exported(tmp_path, "valley")
    value, dx, dw = np.zeros((), f32), np.zeros(3, f32), np.zeros((), f32)
    assert "double weight" in exported.header
    call = exported.library.valley_gradients
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (value, dx, dw)]
    arena = ctypes.c_void_p(exported.memory(exported.arena).ctypes.data)
    assert call(ctypes.c_void_p(x.ctypes.data), ctypes.c_double(100.0), *pointers, arena) == 0
    d = x[1:].astype(float) - x[:-1].astype(float) ** 2
    by_hand = np.zeros(3)
    by_hand[:-1] += -400 * x[:-1] * d - 2 * (1 - x[:-1])
    by_hand[1:] += 200 * d
    assert value == pytest.approx(np.sum(100 * d**2 + (1 - x[:-1]) ** 2), rel=1e-5)
    np.testing.assert_allclose(dx, by_hand, rtol=1e-5)
    assert dw == pytest.approx(np.sum(d**2), rel=1e-5)


def test_a_step_of_ones_own_keeps_its_variables(tmp_path):
    w = cr.parameter([0.5, -1.0], name="w")

    def step(x):
        loss, gradients = cr.value_and_grad(lambda p: cr.sum((p[0] * x - 1.0) ** 2))([w])
        w.assign(w - 0.1 * gradients[0])
        return loss

    x = np.array([1.0, 2.0], f32)
    cr.export_c(step, x, out=tmp_path)
    exported = Exported(tmp_path, "step")
    state = exported.memory(exported.state)
    exported.call("init", state)
    losses = np.zeros((), f32)
    expected = np.array([0.5, -1.0])
    for _ in range(5):
        assert exported.call("run", state, x, losses, exported.memory(exported.arena)) == 0
        assert losses == pytest.approx(np.sum((expected * x - 1) ** 2), rel=1e-5)
        expected -= 0.1 * 2 * x * (expected * x - 1)
    np.testing.assert_allclose(state[:8].view(f32), expected, rtol=1e-5)


# ---- learning ----------------------------------------------------------------------------------


def start(exported):
    state = exported.memory(exported.state)
    exported.call("init", state)
    return state


@pytest.mark.parametrize("optimizer", ["adam", by_night("sgd"), by_night("momentum")])
def test_a_hundred_steps_are_those_of_a_training(optimizer, tmp_path):
    """Beside a loop of our own over the module, with the loss that trainings have."""
    random = np.random.default_rng(3)
    model = cr.models.mlp(4, 3, (8,)).initialize(seed=1)
    x = random.normal(size=(60, 4)).astype(f32)
    y = np.argmax(x[:, :3] + 0.1 * x[:, 1:], 1).astype(np.int32)
    cr.save(tmp_path / "m.safetensors", model, x[:2], output=cr.softmax, classes=["a", "b", "c"])
    cr.export_c(tmp_path / "m.safetensors", out=tmp_path, train=True, batch=5, optimizer=optimizer)
    exported = Exported(tmp_path)
    state, loss, arena = start(exported), np.zeros(1, f32), exported.memory(exported.arena)
    made = {"sgd": lambda: cr.optim.SGD(model, 0.05), "adam": lambda: cr.optim.Adam(model, 0.05),
            "momentum": lambda: cr.optim.SGD(model, 0.05, momentum=0.9)}[optimizer]()  # fmt: skip
    for number in range(100):
        rows = random.integers(0, 60, 5)
        wanted, gradients = cr.value_and_grad(
            lambda m, rows=rows: cr.losses.cross_entropy(m(x[rows]), y[rows].astype(np.int64))
        )(model)
        made.update(gradients)
        assert exported.call("learn", state, x[rows], y[rows], 0.05, loss, arena) == 0
        assert loss[0] == pytest.approx(wanted.item(), rel=2e-3, abs=2e-4), number
    exported.check_borders()
    assert loss[0] < 0.6
    wanted = cr.softmax(model(x)).numpy()
    np.testing.assert_allclose(exported.predict(x, like=wanted), wanted, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "layers"),
    [("table_classes", "last"), by_night("table_numbers", "all"), by_night("images", "last"),
     by_night("forecast", "all"), by_night("language_lstm", "all")],
)  # fmt: skip
def test_kinds_of_data_learn(name, layers, tmp_path):
    saved = load(next(unpack(name, tmp_path).glob("run/model.safetensors")))
    learning = Learning((layers,), "momentum", 3)
    program, made = model_program(saved, "model", learning)
    random = np.random.default_rng(0)
    many = program.entries[1].arguments
    if made.columns:
        given = [np.nan_to_num(table_rows(saved, made, 3)).astype(many[0].type.dtype)]
    else:
        given = random_inputs(saved, program.entries[1], 3)[:-2]
    kind = many[-2].type
    targets = (random.integers(0, 2, kind.shape) if kind.dtype.kind == "i"
               else random.uniform(1, 9, kind.shape)).astype(kind.dtype)  # fmt: skip
    if name == "forecast":  # beyond what the series was, forecasts are clipped: nothing is learned
        mean, std = (float(saved.arrays[f"network.scale.{n}"][0]) for n in ("mean", "std"))
        given = [(mean + 0.3 * std * x).astype(f32) for x in given]
        targets = (mean + 0.1 * std * targets).astype(f32)
    step = Step(saved, learning)
    inputs = interface(saved, "model", 3).inputs
    run = cr.compile(lambda y, rate, *x: step(inputs(x), y, rate), backend="numpy")
    monitored = [run(targets, np.array(0.01, f32), *given).item() for _ in range(20)]
    cr.export_c(
        saved, out=tmp_path / "c", train=True, learn=[layers], optimizer="momentum", batch=3
    )
    exported = Exported(tmp_path / "c")
    state, loss, arena = start(exported), np.zeros(1, f32), exported.memory(exported.arena)
    for wanted in monitored:
        assert exported.call("learn", state, *given, targets, 0.01, loss, arena) == 0
        assert loss[0] == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    assert monitored[-1] < monitored[0]
    exported.check_borders()


def mixture(m, s, x, a):
    """Mean and standard deviation of what was known, with weight 1 - a, and of rows."""
    mean = (1 - a) * m + a * np.nanmean(x, 0)
    square = (1 - a) * (s**2 + m**2) + a * np.nanmean(x**2, 0)
    return mean, np.sqrt(square - mean**2)


def test_inputs_are_standardised_in_front_of_a_module(tmp_path):
    random = np.random.default_rng(3)
    model = cr.models.mlp(4, 2, (5,)).initialize(seed=1)
    x = random.normal(7, 3, (60, 4)).astype(f32)
    y = (0.1 * x[:, :2] - 0.5).astype(f32)
    cr.save(tmp_path / "m.safetensors", model, x[:2])
    cr.export_c(tmp_path / "m.safetensors", out=tmp_path, train=True, batch=5, standardise=0.1)
    exported = Exported(tmp_path)
    state, loss, arena = start(exported), np.zeros(1, f32), exported.memory(exported.arena)
    np.testing.assert_allclose(exported.predict(x, like=y), model(x).numpy(), atol=1e-5)
    made, mean, std = cr.optim.SGD(model, 0.05), np.zeros(4), np.ones(4)
    for number in range(60):
        rows = random.integers(0, 60, 5)
        mean, std = mixture(mean, std, x[rows].astype(float), 0.1)
        z = ((x[rows] - mean) / std).astype(f32)
        wanted, gradients = cr.value_and_grad(lambda m, z=z, t=y[rows]: cr.mean((m(z) - t) ** 2))(
            model
        )
        made.update(gradients)
        assert exported.call("learn", state, x[rows], y[rows], 0.05, loss, arena) == 0
        assert loss[0] == pytest.approx(wanted.item(), rel=2e-3, abs=1e-4), number
    exported.check_borders()
    wanted = model(((x - mean) / std).astype(f32)).numpy()
    np.testing.assert_allclose(exported.predict(x, like=y), wanted, atol=2e-3)
    with pytest.raises(ConfigError, match="--standardise"):
        cr.export_c(tmp_path / "m.safetensors", out=tmp_path, train=True, standardise=1.0)
    with pytest.raises(ConfigError, match="Only what learns"):
        cr.export_c(tmp_path / "m.safetensors", out=tmp_path, standardise=0.1)


@pytest.mark.parametrize("name", ["table_classes", by_night("images"), by_night("audio")])
def test_statistics_of_a_model_follow_the_rows(name, tmp_path):
    saved = load(next(unpack(name, tmp_path).glob("run/model.safetensors")))
    learning = Learning(("last",), "sgd", 3, standardise=0.25)
    program, made = model_program(saved, "model", learning)
    step, inputs = Step(saved, learning), interface(saved, "model", 3).inputs
    many = program.entries[1].arguments
    if made.columns:
        given = [table_rows(saved, made, 3).astype(many[0].type.dtype)]
        given[0][:, 0] = np.nan  # what is missing everywhere keeps its statistics
    else:
        given = random_inputs(saved, program.entries[1], 3)[:-2]
    run = cr.compile(lambda y, rate, *x: step(inputs(x), y, rate), backend="numpy")
    y = np.array([0, 1, 0], np.int32)
    first = {n: v.numpy().copy() for n, v in step.running.variables.items()}
    wanted = run(y, np.array(0.01, f32), *given).item()
    after = {n: v.numpy() for n, v in step.running.variables.items()}
    if made.columns:
        columns = given[0][:, :2]
        with np.errstate(all="ignore"):
            rows = np.where(np.isnan(columns).all(0), first["network.features.numeric.mean"],
                            columns)  # fmt: skip
        key = "network.features.numeric"
        m, s = mixture(first[f"{key}.mean"], first[f"{key}.scale"], rows, 0.25)
        known = ~np.isnan(columns).all(0)
        np.testing.assert_allclose(after[f"{key}.mean"], m, rtol=1e-9)
        np.testing.assert_allclose(after[f"{key}.scale"][known], s[known], rtol=1e-9)
        assert after[f"{key}.scale"][0] == first[f"{key}.scale"][0]
    elif name == "images":
        m, s = mixture(first["network.mean"], first["network.std"],
                       given[0].astype(float).reshape(-1, 1), 0.25)  # fmt: skip
        np.testing.assert_allclose(after["network.mean"], m, rtol=1e-5)
        np.testing.assert_allclose(after["network.std"], s, rtol=1e-5)
    assert any((after[n] != first[n]).any() for n in first)
    cr.export_c(saved, out=tmp_path / "c", train=True, learn=["last"], batch=3, standardise=0.25)
    exported = Exported(tmp_path / "c")
    state, loss, arena = start(exported), np.zeros(1, f32), exported.memory(exported.arena)
    assert exported.call("learn", state, *given, y, 0.01, loss, arena) == 0
    assert loss[0] == pytest.approx(wanted, rel=1e-4)
    exported.check_borders()
    for stored in program.state:
        if stored.name in after:
            own = state[stored.offset :][: stored.value.nbytes].view(stored.value.dtype)
            np.testing.assert_allclose(own, after[stored.name].reshape(-1), rtol=1e-5)
    assert "moves these statistics by 0.25" in (tmp_path / "c" / "README.md").read_text()


def test_sequences_of_several_lengths_have_no_running_statistics(tmp_path):
    with pytest.raises(ConfigError, match="one length"):
        cr.export_c(unpack("sequences", tmp_path) / "run", out=tmp_path / "c", train=True,
                    standardise=0.1)  # fmt: skip


def test_what_cannot_be_learned_changes_nothing(tmp_path):
    model, x = READY["mlp"]()
    cr.save(tmp_path / "m.safetensors", model, x)
    cr.export_c(tmp_path / "m.safetensors", out=tmp_path, train=True)
    exported = Exported(tmp_path)
    state, loss = start(exported), np.zeros(1, f32)
    before = state.copy()
    targets = np.array([[np.inf, 0, 0]], f32)
    arena = exported.memory(exported.arena)
    assert exported.call("learn", state, x[:1], targets, 0.1, loss, arena) == -1
    assert (state == before).all()


def test_the_state_is_saved_and_loaded(tmp_path):
    model, x = READY["mlp"]()
    cr.save(tmp_path / "m.safetensors", model, x)
    cr.export_c(tmp_path / "m.safetensors", out=tmp_path, train=True)
    exported = Exported(tmp_path)
    state, loss, y = start(exported), np.zeros(1, f32), np.ones((1, 3), f32)
    arena = exported.memory(exported.arena)
    exported.call("learn", state, x[:1], y, 0.1, loss, arena)
    saved = np.zeros(exported.constant("SAVED_BYTES"), np.uint8)
    exported.call("save", state, saved)
    learned = state[: exported.constant("STATE_BYTES")].copy()
    exported.call("init", state)
    assert (state[: len(learned)] != learned).any()
    load_state = exported.library.model_load

    def loaded(data, size):
        return load_state(ctypes.c_void_p(state.ctypes.data), ctypes.c_void_p(data.ctypes.data),
                          ctypes.c_size_t(size))  # fmt: skip

    for damaged in (0, 5, 20, len(saved) - 1):
        other = saved.copy()
        other[damaged] ^= 1
        assert loaded(other, len(other)) == -1
    assert loaded(saved, len(saved) - 1) == -1
    assert (state[: len(learned)] != learned).any()
    assert loaded(saved, len(saved)) == 0
    assert (state[: len(learned)] == learned).all()


# ---- 8 bits ------------------------------------------------------------------------------------


def test_predictions_in_8_bits(tmp_path):
    """As a simulation written out here has them: scales by channel, sums of integers."""
    random = np.random.default_rng(5)
    w, b = random.normal(size=(20, 6)).astype(f32), random.normal(size=6).astype(f32)
    w[:, 2] *= 100  # a channel with a scale of its own
    line = cr.nn.Linear(20, 6)
    line.load_state({"weight": w, "bias": b})
    cr.save(tmp_path / "m.safetensors", line, np.zeros((2, 20), f32))
    rows, x = random.normal(size=(2, 30, 20)).astype(f32)
    cr.export_c(tmp_path / "m.safetensors", out=tmp_path / "c", int8=rows)
    step = np.abs(rows).max() / 127
    scale = np.abs(w).max(0) / 127
    q = np.clip(np.rint(x / step), -127, 127) @ np.rint(w / scale)
    exported = Exported(tmp_path / "c")
    found = exported.predict(x, like=np.zeros((30, 6), f32))
    close = np.isclose(found, q * step * scale + b, rtol=1e-4, atol=1e-3)
    assert close.mean() > 0.98  # a number halfway between two may be rounded either way
    np.testing.assert_allclose(found, x @ w + b, atol=0.04 * np.abs(x @ w).max())
    source = (tmp_path / "c" / "model.c").read_text()
    assert "static const int8_t" in source
    assert "on average" in (tmp_path / "c" / "README.md").read_text()


@pytest.mark.parametrize(
    "name",
    [
        by_night("images"),
        by_night("audio"),
        by_night("table_classes"),
        by_night("text_transformer"),
    ],
)
def test_kinds_in_8_bits(name, tmp_path):
    saved = load(next(unpack(name, tmp_path).glob("run/model.safetensors")))
    program, made = model_program(saved, "model")
    if made.columns:
        given = [table_rows(saved, made, 40).astype(program.entries[0].arguments[0].type.dtype)]
        arrays = as_the_model_takes(saved, given[0].astype(float))
    else:
        given = random_inputs(saved, program.entries[0], 40)
        kinds = [kind.dtype for kind in saved.inputs.values()]
        arrays = [x.astype(k) for x, k in zip(given, kinds, strict=True)]
    wanted = saved.compute(arrays)
    plain = cr.export_c(saved, out=tmp_path / "f")
    calibration, _ = model_program(saved, "model", calibration=arrays)
    assert calibration.entries[0].reference is not None
    found = write_model(saved, "model", tmp_path / "c", "c", calibration=arrays)
    assert found.constants < 0.6 * plain.constants
    got = Exported(tmp_path / "c").predict(*given, like=wanted)
    assert np.abs(got - wanted).max() < 0.1
    assert (got.argmax(1) == wanted.argmax(1)).mean() > 0.9


def test_metrics_in_8_bits_beside_floating_point(tmp_path):
    folder = unpack("table_classes", tmp_path)
    data = folder / "new" / "houses.csv"
    predictor = load_predictor(folder / "run")
    with predictor.saved.inputs_seen() as seen:
        plain = predictor.evaluate(str(data))
    rows = [np.concatenate(parts) for parts in zip(*seen, strict=True)]
    program, _ = model_program(predictor.saved, "model", calibration=rows)
    found = write_model(predictor.saved, "model", tmp_path / "c", "c", calibration=rows,
                        comparison=Comparison(predictor, str(data)))  # fmt: skip
    assert found.metrics["float32"] == plain
    # The metrics of what the exported program itself says of these rows.
    called = np.concatenate([a.astype(float) for a in rows], 1)
    shape = np.zeros((len(called), 2), program.entries[0].results[0].type.dtype)
    p = Exported(tmp_path / "c").predict(called, like=shape)
    with predictor.saved.computed_by(lambda arrays: p.astype(f32)):
        own = predictor.evaluate(str(data))
    assert found.metrics["int8"] == pytest.approx(own, rel=1e-4)
    assert found.metrics["int8"]["log_loss"] != plain["log_loss"]
    said = f"on {data}: accuracy {own['accuracy']:.4f}"
    assert said in (tmp_path / "c" / "README.md").read_text()
    report = json.loads((tmp_path / "c" / "model_report.json").read_text())
    assert report["metrics"]["float32"] == pytest.approx(plain)


def test_8_bits_that_cannot_be(tmp_path):
    run = unpack("images", tmp_path) / "run"
    x = np.zeros((3, 8, 8, 1), f32)
    with pytest.raises(ConfigError, match="floating point"):
        cr.export_c(run, out=tmp_path / "c", train=True, int8=x)
    with pytest.raises(ConfigError, match="nothing to quantise"):
        cr.export_c(run, out=tmp_path / "c", int8=x[:0])


# ---- the written files ---------------------------------------------------------------------------


def test_the_commands_of_the_readme(tmp_path):
    run = unpack("table_classes", tmp_path) / "run"
    cr.export_c(run, out=tmp_path / "c", name="pump", train=True)
    text = (tmp_path / "c" / "README.md").read_text()
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc")
    commands = re.search(r"Try it\n\n((?:    .*\n)+)", text)[1]
    assert len(commands.splitlines()) == 2
    said = subprocess.run(["sh", "-ec", commands], cwd=tmp_path / "c", check=True,
                          capture_output=True, text=True).stdout  # fmt: skip
    promised = [line.strip() for line in
                re.search(r"It prints\n\n((?:    .*\n)+)", text)[1].splitlines()]  # fmt: skip
    assert said.splitlines()[0] == promised[0]
    for mine, theirs in zip(said.splitlines()[1:], promised[1:], strict=False):
        assert mine.split(":")[0] == theirs.split(":")[0]
        assert float(mine.split(":")[1]) == pytest.approx(float(theirs.split(":")[1]), abs=2e-6)
    losses = [float(line.split(":")[1]) for line in said.splitlines() if "loss" in line]
    assert losses[1] < losses[0]
    report = json.loads((tmp_path / "c" / "pump_report.json").read_text())
    assert report["state"] > 0
    assert report["operations"]["predict"] > 0
    assert sum(p["operations"] for p in report["kernels"]["learn"]) == report["operations"]["learn"]


@pytest.mark.parametrize(
    "name", [n if n == "table_classes" else by_night(n) for n in (*RUNS, *READY)]
)
def test_sanitizers_find_nothing(name, tmp_path):
    if name in RUNS:
        model, given = unpack(name, tmp_path) / "run", ()
    else:
        module, x = READY[name]()
        if name == "vae":
            pytest.skip("its result is not one tensor")
        model, given = module, (x,)
    options = {} if name == "table_classes" else {"learn": ["last"]}
    cr.export_c(model, *given, out=tmp_path, train=name != "vae", **options)
    flags = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    program = str(tmp_path / "program")
    files = [str(tmp_path / "main.c"), str(tmp_path / "model.c")]
    subprocess.run((*compiler(), *STRICT, *flags, "-o", program, *files, "-lm"), check=True)
    subprocess.run((program,), check=True, capture_output=True)


def test_nothing_but_the_standard(tmp_path):
    """No extensions of a compiler, no allocation, no variables outside of the caller's memory."""
    cr.export_c(unpack("images", tmp_path) / "run", out=tmp_path, train=True)
    text = re.sub(r"/\*.*?\*/", "", (tmp_path / "model.c").read_text(), flags=re.DOTALL)
    text = re.sub(r"#if defined __GNUC__.*?#else", "", text, flags=re.DOTALL)
    for word in ("__attribute__", "__builtin", "__typeof", "malloc", "alloca", "vector_size"):
        assert word not in text
    for line in text.splitlines():
        if line.startswith("static") and line.rstrip().endswith(("= {", ";")):
            assert "const" in line or "(" in line, line
    report = json.loads((tmp_path / "model_report.json").read_text())
    undefined = subprocess.run(["nm", "-u", _object(tmp_path)], capture_output=True, text=True,
                               check=True).stdout.split()[1::2]  # fmt: skip
    assert set(undefined) - {"_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"} <= set(report["library"])


def _object(folder):
    made = folder / "model.o"
    subprocess.run((*compiler(), "-O1", "-c", str(folder / "model.c"), "-o", str(made)), check=True)
    return str(made)


def hostile(saved, names):
    schema = json.loads(saved.schema)
    for column, name in zip(schema["columns"], names, strict=True):
        column["name"] = name
        if column["vocabulary"]:
            column["vocabulary"] = ['*/ #error "x"', "??/\\", "int"][: len(column["vocabulary"])]
    saved.schema = json.dumps(schema)
    return saved


def test_names_that_are_no_identifiers(tmp_path):
    saved = load(unpack("table_classes", tmp_path) / "run" / "model.safetensors")
    hostile(saved, ["predict", "größe */", "größe-", "价格"])
    cr.export_c(saved, out=tmp_path, name="m")
    exported = Exported(tmp_path, "m")
    names = re.findall(r"m_(\w+) = \d+, /\* .*: (?:a|0|s)", exported.header)
    assert len(set(names)) == 4
    assert "predict" not in names
    assert "no identifiers" in (tmp_path / "README.md").read_text()
    code = next(n for n in re.findall(r"int m_(\w+_code)\(", exported.header))
    lookup = getattr(exported.library, f"m_{code}")
    assert [lookup(w.encode()) for w in ('*/ #error "x"', "??/\\", "int", "other")] == [1, 2, 3, 0]


@pytest.mark.parametrize("name", ["2nd", "int", "a-b", "a" * 50, "", "ü"])
def test_bad_prefixes(name, tmp_path):
    with pytest.raises(ConfigError, match="begin with this") as error:
        cr.export_c(lambda x: x, np.ones(2, f32), out=tmp_path, name=name)
    hint = re.search(r"--name (\w+)", error.value.hint)[1]
    cr.export_c(lambda x: x * 2.0, np.ones(2, f32), out=tmp_path, name=hint)


def test_a_code_out_of_range_is_refused(tmp_path):
    cr.export_c(unpack("table_classes", tmp_path) / "run", out=tmp_path)
    exported = Exported(tmp_path)
    row, out = np.zeros(4), np.zeros(2)
    for code, status in ((3.0, 0), (4.0, 1), (-1.0, 1), (1.5, 1), (np.inf, 1), (np.nan, 0)):
        row[exported.position("city")] = code
        assert exported.call("predict", row, out, exported.memory(exported.arena)) == status


def test_too_little_ram_says_what_would_fit(tmp_path):
    run = unpack("images", tmp_path) / "run"
    with pytest.raises(ConfigError, match="more RAM") as error:
        cr.export_c(run, out=tmp_path / "c", train=True, optimizer="adam", batch=4, ram=64 * 1024)
    assert "--learn last" in error.value.hint
    assert not (tmp_path / "c").exists()
    found = cr.export_c(run, out=tmp_path / "c", train=True, learn=["last"], ram=64 * 1024)
    assert found.arena + found.state <= 64 * 1024
    with pytest.raises(ConfigError, match="more RAM"):
        cr.export_c(lambda x: cr.exp(x) @ cr.exp(x), np.ones((20, 20), f32), out=tmp_path, ram=64)


def test_an_operation_without_c(tmp_path):
    @cr.operation([lambda g, y, x: g / 2.0])
    def halved(xp, x):
        return x / 2.0

    with pytest.raises(UnsupportedError, match="halved"):
        cr.export_c(lambda x: halved(x), np.ones(2, f32), out=tmp_path)


def test_unknown_layers_and_optimizers(tmp_path):
    run = unpack("table_numbers", tmp_path) / "run"
    with pytest.raises(ConfigError, match="layer 'hed'"):
        cr.export_c(run, out=tmp_path, train=True, learn=["hed"])
    with pytest.raises(ConfigError, match="optimizer"):
        cr.export_c(run, out=tmp_path, train=True, optimizer="lion9")
    with pytest.raises(ConfigError, match="train=True"):
        cr.export_c(lambda x: x, np.ones(2, f32), out=tmp_path, train=True)


# ---- other languages -----------------------------------------------------------------------------


def test_a_shared_library(tmp_path):
    run = unpack("table_classes", tmp_path) / "run"
    cr.export_c(run, out=tmp_path / "c", name="pump", to="lib")
    (library,) = (tmp_path / "c").glob("libpump.*")
    row, out, arena = np.full(4, np.nan), np.zeros(2), np.zeros(1000)
    pointers = [ctypes.c_void_p(x.ctypes.data) for x in (row, out, arena)]
    assert ctypes.CDLL(str(library)).pump_predict(*pointers) == 0
    saved = load(run / "model.safetensors")
    wanted = saved.compute(as_the_model_takes(saved, row[None]))
    np.testing.assert_allclose(out, wanted[0], atol=1e-6)


SCRIPT = """
import { load } from "./pump.mjs";
const model = await load();
const rows = [{ size: 64.5, garden: 1, city: "Oslo", built: null },
              { size: 12.25, city: "Nowhere" }];
const found = rows.map((row) => model.predict(row));
const before = model.save();
const losses = [1, 2, 3].map(() => model.learn(rows.slice(0, 1), ["cheap"], 0.1));
model.restore(before);
losses.push(model.learn(rows.slice(0, 1), [0], 0.1));
const errors = [];
for (const wrong of [[1, 2], [1, 0, 9, 0], ["big", 0, 1, 0]])
  try { model.predict(wrong); } catch (error) { errors.push(error.message); }
try { model.restore(before.map((b) => b ^ 1)); } catch (error) { errors.push(error.message); }
console.log(JSON.stringify({ found, losses, errors }));
"""


@pytest.mark.parametrize("bare", [by_night(False), True])
def test_webassembly_in_node(bare, tmp_path, monkeypatch):
    """With a C library for WebAssembly, and with none but for what clang has by itself."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node")
    run, name = unpack("table_classes", tmp_path) / "run", "pump"
    if bare:  # no dates, whose sines need a library
        run = _module_of_classes(tmp_path)
        every = wasm._compilers()
        monkeypatch.setattr(wasm, "_compilers", lambda: [c for c in every if not c[1]])
    try:
        cr.export_c(run, out=tmp_path / "c", name=name, to="wasm", train=True)
    except ConfigError as error:
        pytest.skip(str(error))  # there is no compiler for WebAssembly
    if bare:
        script = 'import { load } from "./pump.mjs"; const m = await load();'
        script += "console.log(JSON.stringify(m.predict([1, 2, 3, 4])));"
        found = _in_node(node, script, tmp_path / "c")
        wanted = cr.load(run).predict(np.array([[1, 2, 3, 4]], f32))[0]
        np.testing.assert_allclose(found["probabilities"], wanted, atol=1e-6)
        assert found["label"] == "abc"[np.argmax(wanted)]
        return
    said = _in_node(node, SCRIPT, tmp_path / "c")
    saved = load(run / "model.safetensors")
    table = np.array([[64.5, 1, 2, np.nan], [12.25, np.nan, 0, np.nan]])
    wanted = saved.compute(as_the_model_takes(saved, table))
    for one, p in zip(said["found"], wanted, strict=True):
        np.testing.assert_allclose(one["probabilities"], p, atol=1e-6)
        assert one["label"] == saved.classes[np.argmax(p)]
    losses = said["losses"]
    assert losses[0] > losses[1] > losses[2]
    assert losses[3] == losses[0]
    words = ("4 columns", "out of range", "no number", "damaged")
    assert all(word in error for word, error in zip(words, said["errors"], strict=True))


def _module_of_classes(folder):
    model, x = READY["mlp"]()
    cr.save(folder / "m.safetensors", model, x, output=cr.softmax, classes=list("abc"))
    return folder / "m.safetensors"


def _in_node(node, script, folder):
    (folder / "script.mjs").write_text(script)
    done = subprocess.run((node, "script.mjs"), cwd=folder, capture_output=True, text=True,
                          check=True)  # fmt: skip
    return json.loads(done.stdout)
