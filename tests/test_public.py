"""``import chainrule`` is quick, and yet all public names are there."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import chainrule as cr
import chainrule.public


def run(code: str) -> str:
    """Run code in a fresh Python; what it prints."""
    program = f"import sys; sys.path.insert(0, {str(Path(cr.__file__).parents[1])!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_heavy_is_imported_before_it_is_used():
    code = (
        "import chainrule.cli, chainrule.utils.runs\n"
        "print(sorted({'numpy', 'polars', 'safetensors'} & set(sys.modules)))"
    )
    assert run(code) == "[]\n"
    assert run("import chainrule as cr; print(cr.exp(0.0).item())") == "1.0\n"


@pytest.mark.parametrize(
    "first", ["engine.tensor", "engine.compile", "ops", "serialization", "tables", "nn", "explain"]
)
def test_any_module_may_be_imported_first(first):
    """A function outranks the module of its name, whichever comes first."""
    code = (
        f"import chainrule.{first}\nimport chainrule as cr\n"
        "print(cr.tensor(1.0).item(), callable(cr.compile), cr.nn.__name__, cr.trace.__module__)"
    )
    assert run(code) == "1.0 True chainrule.nn chainrule.engine.compile\n"


def test_every_public_name_is_what_it_should_be():
    for name in chainrule.public.__all__:
        assert getattr(cr, name) is getattr(chainrule.public, name), name
    names: dict[str, object] = {}
    exec("from chainrule import *", names)
    assert set(chainrule.public.__all__) <= set(names)


def test_modules_are_attributes():
    assert cr.tables is importlib.import_module("chainrule.tasks.tabular")


@pytest.mark.parametrize(
    ("alias", "place"),
    [
        ("active", "tasks.active_learning"),
        ("audio", "tasks.audio"),
        ("images", "tasks.images"),
        ("ir", "engine.ir"),
        ("ops", "engine.ops"),
        ("series", "tasks.timeseries"),
        ("tables", "tasks.tabular"),
        ("text", "tasks.text"),
        ("train", "training"),
        ("ops.random", "engine.ops.random"),
    ],
)
def test_public_modules_are_imported_by_their_short_names(alias, place):
    code = (
        f"import chainrule.{alias}\n"
        f"import sys, chainrule.{place} as real\n"
        f"print(sys.modules['chainrule.{alias}'] is real, chainrule.{alias} is real)\n"
        "print(real.__name__)"
    )
    assert run(code) == f"True True\nchainrule.{place}\n"


def test_dir_shows_the_public_names_and_no_others():
    assert dir(cr) == sorted(chainrule.public.__all__)
    assert {"Any", "TYPE_CHECKING", "ModuleType", "public"}.isdisjoint(dir(cr))


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'gard'"):
        cr.gard  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(cr, "__wrapped__")
