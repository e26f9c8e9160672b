import dataclasses
import inspect
import json

import pytest

from chainrule.cli.options import OPTIONS, read_options
from chainrule.cli.train import train
from chainrule.errors import ConfigError
from chainrule.tasks.kinds import KINDS
from chainrule.tasks.options import declared


def test_command_line_file_and_training_have_the_same_options():
    fields = {field.name for kind in KINDS.values() for field in dataclasses.fields(kind.options)}
    assert {option.field for option in OPTIONS.values()} == fields
    typed = {name.rstrip("_").replace("_", "-") for name in inspect.signature(train).parameters}
    others = {"ctx", "data", "config", "out", "force", "quiet", "show-c", "as-json", "debug",
              "resume", "allow-changes", "reproduce", "tensorboard",
              "processes", "process", "coordinator"}  # fmt: skip
    assert typed - others == set(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_of_several_kinds_is_declared_alike_in_all(name):
    """But for its meaning, which may differ: the help tells all of them."""
    option = OPTIONS[name]
    told = [declared(KINDS[kind].options)[option.field] for kind in option.kinds]
    alike = {dataclasses.replace(each, help="") for each in told}
    assert alike == {dataclasses.replace(option.first, help="")}
    assert all(each.help[1:].rstrip(".") in option.help for each in told)


def test_values_become_those_of_the_training():
    given = {"batch_size": 8, "features": 'a,"b, c"', "hidden": "8, 4", "kind": ["a=date"], "lr": 1}
    assert read_options(given) == {
        "batch_size": 8,
        "features": ("a", "b, c"),
        "hidden": (8, 4),
        "kinds": {"a": "date"},
        "lr": 1.0,
    }


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("hidden", ["8,", "8.5", "x", [True], {}, 2.5]),
        ("epochs", ["3", 2.0, True, None]),
        ("lr", ["0.1", float("nan"), float("inf"), True]),
        ("kind", ["=date", {"a": 1}, [1]]),
        ("features", [3, [3], "a,,b", ""]),
        ("target", ["", "  ", 3]),
    ],
)
def test_invalid_values(name, values):
    for value in values:
        with pytest.raises(ConfigError, match=f"The option {name} cannot be understood") as caught:
            read_options({name: value}, "here")
        assert caught.value.where == "here"
        assert caught.value.expected


def test_what_is_neither_by_default_has_two_names():
    copying = OPTIONS["copy"].first
    assert copying.typed("copy") == ("--copy", "--no-copy")
    assert OPTIONS["skip-bad"].first.typed("skip-bad") == ("--skip-bad",)
    assert read_options({"copy": False}) == {"copy": False}


class TestCache:
    def test_it_shows_and_clears(self, invoke, tmp_path, monkeypatch):
        folder = tmp_path / "programs"
        folder.mkdir(mode=0o700)
        (folder / "one.so").write_bytes(b"x" * 2_000_000)
        monkeypatch.setenv("CHAINRULE_CACHE", str(folder))
        assert invoke("cache").stdout.startswith(f"1 file, 2.0 MB, in {folder}")
        assert '"files": 1' in invoke("cache", "--json").stdout
        assert (folder / "one.so").exists()
        assert invoke("cache", "--clear").stdout.startswith("removed: 1 file,")
        assert list(folder.iterdir()) == []

    def test_it_measures(self, invoke, tmp_path, monkeypatch):
        from chainrule.engine.backends.c import autotune

        monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "programs"))
        for name, value in (("_TYPICAL", ((64, 64, 32),)), ("_ROUNDS", 1)):
            monkeypatch.setattr(autotune, name, value)
        monkeypatch.setattr(autotune, "_FORMS", ((False, False),))
        assert '"tuned": null' in invoke("cache", "--json").stdout
        result = invoke("cache", "--tune")
        assert result.exit_code == 0
        assert "float32 A·B, k ≤ 128" in result.stdout
        assert "float64 A·B, k ≤ 128" in result.stdout
        assert "of 2 are" in result.stderr or "good for all 2" in result.stderr
        assert "tiles of 2 kinds and sizes of matrix products" in invoke("cache").stdout
        document = json.loads(invoke("cache", "--tune", "--json").stdout)
        assert [each["product"][:7] for each in document] == ["float32", "float64"]
        assert all(each["chosen"] in each["gflops"] for each in document)
        assert "removed: tiles of 2 kinds" in invoke("cache", "--clear").stdout
        assert "tiles" not in invoke("cache").stdout

    def test_what_it_cannot_measure(self, invoke, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "file"))
        result = invoke("cache", "--tune")
        assert result.exit_code == 2
        assert "cannot be remembered" in result.stderr
        monkeypatch.setenv("CHAINRULE_CC", "")
        result = invoke("cache", "--tune")
        assert result.exit_code == 2
        assert "No C compiler was found" in result.stderr
        assert invoke("cache", "--tune", "--clear").exit_code == 2
