"""``import chainrule`` is quick, and yet all public names are there."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
import chainrule.public


def run(code: str) -> str:
    """Run code in a fresh Python; what it prints."""
    program = f"import sys; sys.path.insert(0, {str(Path(cr.__file__).parents[1])!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_each(codes: list[str]) -> list[str]:
    """Run each code in a fresh Python that has loaded the libraries, but nothing of ours."""
    program = f"""
import os, numpy, polars, safetensors.numpy
for code in {codes!r}:
    if os.fork() == 0:
        exec(code)
        sys.stdout.flush()
        os._exit(0)
    assert os.wait()[1] == 0, code
"""
    return run(program).splitlines()


def test_nothing_heavy_is_imported_before_it_is_used():
    code = (
        "import chainrule.cli, chainrule.utils.runs\n"
        "print(sorted({'numpy', 'polars', 'safetensors'} & set(sys.modules)))"
    )
    assert run(code) == "[]\n"
    assert run("import chainrule as cr; print(cr.exp(0.0).item())") == "1.0\n"


@pytest.mark.nightly
def test_any_module_may_be_imported_first():
    """A function outranks the module of its name, whichever comes first."""
    names = ["engine.tensor", "engine.compile", "ops", "serialization", "tables", "nn", "explain"]
    codes = [
        f"import chainrule.{first}\nimport chainrule as cr\n"
        "print(cr.tensor(1.0).item(), callable(cr.compile), cr.nn.__name__, cr.trace.__module__)"
        for first in names
    ]
    assert run_each(codes) == ["1.0 True chainrule.nn chainrule.engine.compile"] * len(names)


def test_every_public_name_is_what_it_should_be():
    for name in chainrule.public.__all__:
        assert getattr(cr, name) is getattr(chainrule.public, name), name
    names: dict[str, object] = {}
    exec("from chainrule import *", names)
    assert set(chainrule.public.__all__) <= set(names)


def test_modules_are_attributes():
    assert cr.tables is importlib.import_module("chainrule.tasks.tabular")


def test_public_modules_are_imported_by_their_short_names():
    places = {
        "active": "tasks.active_learning",
        "audio": "tasks.audio",
        "images": "tasks.images",
        "ir": "engine.ir",
        "linalg": "engine.ops.linalg",
        "masked": "engine.ops.masked",
        "ops": "engine.ops",
        "ops.random": "engine.ops.random",
        "sequence_to_text": "tasks.sequence_to_text",
        "tables": "tasks.tabular",
        "text": "tasks.text",
        "train": "training",
    }
    codes = [
        f"import chainrule.{alias}\n"
        f"import sys, chainrule.{place} as real\n"
        f"print(sys.modules['chainrule.{alias}'] is real, chainrule.{alias} is real, end=' ')\n"
        "print(real.__name__)"
        for alias, place in places.items()
    ]
    assert run_each(codes) == [f"True True chainrule.{place}" for place in places.values()]


def test_dir_shows_the_public_names_and_no_others():
    assert dir(cr) == sorted(chainrule.public.__all__)
    assert {"Any", "TYPE_CHECKING", "ModuleType", "public"}.isdisjoint(dir(cr))


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'gard'"):
        cr.gard  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(cr, "__wrapped__")


def test_objects_say_what_they_are(tmp_path):
    model = cr.nn.Linear(2, 2).initialize(seed=0)
    trainer = cr.Trainer(model, "cross_entropy", "adam", progress=False, backend="numpy")
    x, y = np.ones((8, 2), np.float32), np.arange(8) % 2
    assert repr(trainer) == "Trainer(Linear of 6 parameters, cross_entropy, Adam, 0 epochs done)"
    history = trainer.fit((x, y), validation=0.25, epochs=2)
    assert repr(history).startswith("History(2 epochs, loss 0.")
    assert f"best: epoch {history.best['epoch']}, val_loss" in repr(history)
    cr.save(tmp_path / "model.safetensors", model, x)
    saved = repr(cr.load(tmp_path / "model.safetensors"))
    assert saved == "SavedModel(x: float32[1, 2] → float32[1, 2]; 6 parameters)"


def test_mistakes_that_beginners_make_get_a_hint():
    model = cr.nn.Linear(2, 2).initialize(seed=0)
    trainer = cr.Trainer(model, "cross_entropy", "adam", progress=False, backend="numpy")
    x, y = np.ones((8, 2), np.float32), np.arange(8) % 2
    with pytest.raises(cr.errors.ConfigError, match=r"fit\(\(x, y\)\)"):
        trainer.fit(x, y)
    with pytest.raises(cr.errors.DataError, match="subtract 1"):
        trainer.fit((x, y + 1), epochs=1)
    with pytest.raises(cr.errors.TrainingError, match="isfinite"):
        trainer.fit((x * np.nan, y), epochs=1)
    with pytest.raises(cr.errors.ConfigError, match="Did you mean 'cross_entropy'"):
        cr.Trainer(model, "crossentropy", "adam")
    with pytest.raises(cr.errors.ConfigError, match="Did you mean 'adam'"):
        cr.Trainer(model, "mse", "adamm")
