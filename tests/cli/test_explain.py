"""``chainrule explain``."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from chainrule.cli.explain import coloured
from chainrule.explain.checker import check


@pytest.mark.parametrize("name", ["neuron", "houses", "xor", "cnn", "lstm"])
def test_demos_need_no_file(invoke, name):
    result = invoke("explain", "--demo", name)
    assert result.exit_code == 0, result.output
    assert "Step 4: update" in result.stdout
    assert "\x1b[" not in result.stdout  # no colours in pipes
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert all(one.holds for one in check(result.stdout))


@pytest.mark.parametrize(
    ("ending", "begins"),
    [("md", "# One neuron"), ("tex", r"\documentclass"), ("txt", "One neuron"), ("json", "{")],
)
def test_the_format_follows_from_the_name_of_the_file(invoke, place, ending, begins):
    result = invoke("explain", "--demo", "neuron", "--out", f"told.{ending}")
    assert result.exit_code == 0, result.output
    text = (place / f"told.{ending}").read_text(encoding="utf-8")
    assert text.startswith(begins)


def test_formats_by_name(invoke):
    for format, begins in (("markdown", "#"), ("latex", "\\"), ("json", "{"), ("html", "<!")):
        result = invoke("explain", "--demo", "neuron", "--format", format)
        assert result.exit_code == 0, result.output
        assert result.stdout.lstrip().startswith(begins)
    stored = json.loads(invoke("explain", "--demo", "neuron", "--format", "json").stdout)
    assert stored["update"]["parameters"][0]["new"]["data"] == pytest.approx([0.526, -0.1792])


def test_options_of_a_demo(invoke):
    result = invoke(
        "explain", "--demo", "houses", "--weight", "output.weight[1,0]", "--notation", "delta",
        "--optimizer", "adam", "--lr", "0.01", "--digits", "9",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "The chain of one weight: output.weight[1,0]" in result.stdout
    assert "δ(z1[0,0])" in result.stdout
    assert "∂L/∂z" not in result.stdout
    assert "∂L/∂a1[0,0]" in result.stdout  # δ is that of weighted sums only
    assert "v̂" in result.stdout
    assert "0.584190523" in result.stdout


def test_the_c_of_each_node(invoke):
    result = invoke("explain", "--demo", "neuron", "--show-c")
    assert result.exit_code == 0, result.output
    assert "static void k0(" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to explain"),
        (("--demo", "nerve"), "neuron, houses, 2-2-2, xor, cnn, lstm"),
        (("--demo", "xor", "--format", "word"), "text, markdown, latex, html, json"),
        (("--demo", "xor", "--out", "told.docx"), ".tex"),
        (("--demo", "xor", "--out", "no/folder/told.md"), "There is no such folder"),
        (("--demo", "xor", "--weight", "hiden.weight[0,0]"), "Did you mean hidden.weight"),
        (("--demo", "xor", "--row", "3"), "takes no model"),
        (("nothing.safetensors", "flats.csv"), "nothing.safetensors"),
        (("--demo", "xor", "--notation", "newton"), "leibniz, delta"),
    ],
)
def test_what_cannot_be_done_is_said(invoke, arguments, words):
    result = invoke("explain", *arguments)
    assert result.exit_code == 2
    assert words in result.output.replace("\n", " ")
    assert "Traceback" not in result.output


def test_a_row_of_a_table_with_a_trained_model(invoke, trained):
    result = invoke("explain", trained / "rent", "flats.csv", "--row", "2")
    assert result.exit_code == 0, result.output
    assert "Row 2 of the table" in result.stdout
    beyond = invoke("explain", trained / "rent", "flats.csv", "--row", "100000")
    assert beyond.exit_code == 2
    assert "There is no row 100000" in beyond.output


def test_colours_follow_sign_and_size():
    text = coloured("  z1[0,0] = 0.3 · (-0.4) + 12 + 0.0001 = 11.88 = 0")
    styles = {text.plain[span.start : span.end]: span.style for span in text.spans}
    assert styles == {
        "0.3": "green", "-0.4": "red", "12": "green bold", "0.0001": "green dim",
        "11.88": "green bold", "0": "dim",
    }  # fmt: skip
    assert coloured("── Step 1").style == "bold cyan"
    assert not coloured("prose with 3 numbers").spans


def test_the_commands_of_the_page_run(invoke, place, trained):
    page = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ chainrule ") for block in blocks for line in block.splitlines()]
    assert len(lines) >= 5
    for line in lines:
        words = shlex.split(line.replace("runs/small", str(trained / "rent")))
        result = invoke(*(word.replace("houses.csv", "flats.csv") for word in words))
        assert result.exit_code == 0, f"{line}\n{result.output}"
    assert (place / "two_houses.tex").exists()
    assert (place / "lstm.html").exists()


def test_the_page_tells_every_option(invoke):
    page = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page))
    real = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", invoke("explain", "--help").stdout))
    assert told == real - {"--help", "--debug"}
