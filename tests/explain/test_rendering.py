"""What readers see: textbook numbers, equations that hold, the same numbers in every format."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.ir.program import Program
from chainrule.explain.checker import check, equations, numbers
from chainrule.explain.demos import DEMOS, demo
from chainrule.explain.formatting import Writer
from chainrule.explain.latex import to_latex
from chainrule.explain.markdown import to_markdown
from chainrule.explain.text import to_text

FORMATS = {"text": to_text, "markdown": to_markdown, "latex": to_latex}


def two_outputs(**options) -> cr.Explanation:
    """The network with two outputs of docs/textbook.md, worked in many courses."""
    hidden = cr.parameter([[0.15, 0.20], [0.25, 0.30]], "float64")
    output = cr.parameter([[0.40, 0.45], [0.50, 0.55]], "float64")

    def total_error(i, targets):
        h = cr.sigmoid(hidden @ i + 0.35)
        o = cr.sigmoid(output @ h + 0.60)
        return (0.5 * (targets - o) ** 2).sum()

    return cr.explain(total_error, [0.05, 0.10], [0.01, 0.99], lr=0.5, **options)


def test_the_numbers_of_one_neuron():
    text = to_text(demo("neuron"))
    for line in (
        "= 1 · 0.5 + 0.8 · (-0.2)\n         = 0.34",
        "e[0,0] = ŷ[0,0] - y[0,0] = 0.34 - 0.6 = -0.26",
        "∂L/∂weight[0,0] = ∂L/∂ŷ[0,0] · x[0,0] = -0.26 · 1 = -0.26",
        "∂L/∂weight[1,0] = ∂L/∂ŷ[0,0] · x[0,1] = -0.26 · 0.8 = -0.208",
        "= 0.5 - 0.1 · (-0.26)\n           = 0.526",
        "= -0.2 - 0.1 · (-0.208)\n           = -0.1792",
    ):
        assert line in text


def test_the_numbers_of_the_house():
    text = to_text(demo("houses"))
    for number in (
        "0.34", "-0.19", "0.584191", "0.452642", "0.323141", "-0.176859", "-0.00902186",
        "-0.00601458", "0.00394364", "0.00262909", "-0.0300729", "0.0131455", "-0.080054",
    ):  # fmt: skip
        assert f"= {number}" in text
    assert "= -0.176859 · 1 · 0.7 · 0.242912 · 0.3\n" in text


def test_the_numbers_of_two_outputs():
    text = to_text(two_outputs(weight="hidden[0,0]"), 100, digits=9)
    for number in (
        "0.593269992", "0.596884378", "0.75136507", "0.772928465", "0.298371109", "0.0821670406",
        "0.0363503064", "0.000438567734", "0.35891648", "0.408666186", "0.51130127", "0.561370121",
        "0.149780716", "0.199561432", "0.249751144", "0.299502287",
    ):  # fmt: skip
        assert f" = {number}" in text
    assert "There are 2 paths from this weight" in text
    assert "from 0.298371109 to 0.291027774" in text


def test_names_come_from_the_users_code():
    symbols = {node.symbol for node in two_outputs().nodes}
    assert {"i", "targets", "hidden", "output", "h", "o", "L"} <= symbols


@pytest.mark.parametrize("name", DEMOS)
@pytest.mark.parametrize("notation", ["leibniz", "delta"])
def test_every_equation_holds_and_all_formats_say_the_same(name, notation):
    told = demo(name, notation=notation)
    seen = {}
    for format, render in FORMATS.items():
        text = render(told)
        checked = check(text, format)
        wrong = [one for one in checked if not one.holds]
        assert not wrong, wrong[:3]
        # The check is sharp: it reads nearly all equations, and most to five digits.
        assert sum(one.numeric >= 2 for one in checked) >= 0.8 * len(checked) > 5
        assert sum(one.width < 1e-4 for one in checked) >= 0.8 * len(checked)
        seen[format] = numbers(text, format)
    assert seen["text"] == seen["markdown"] == seen["latex"] == numbers(to_text(told, 120))


def test_the_checker_notices_every_wrong_digit():
    text = to_text(demo("houses"), 120)
    results = list(re.finditer(r"= (-?\d\.\d{3,})$", text, re.MULTILINE))
    assert len(results) > 20
    for match in results:
        digit = match.end(1) - 2  # not the last one, which rounding may change
        other = str((int(text[digit]) + 5) % 10)
        changed = text[:digit] + other + text[digit + 1 :]
        assert any(not one.holds for one in check(changed)), match.group()


def test_equations_are_read_from_every_format():
    told = demo("neuron")
    counts = {format: len(list(equations(f(told), format))) for format, f in FORMATS.items()}
    assert len(set(counts.values())) == 1


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", ["houses", "xor", "cnn", "lstm"])
def test_text_keeps_to_its_columns(name, width):
    lines = to_text(demo(name), width).splitlines()
    assert [line for line in lines if len(line) > width] == []


def test_numbers_are_written_with_the_digits_that_say_something():
    number = Writer(digits=6).number
    written = [number(x) for x in (0.34, 1 / 3, -2.0, 1e-7, 1234567.0, np.inf, np.nan, 0.1 + 0.2)]
    assert written == ["0.34", "0.333333", "-2", "1e-07", "1.23457e+06", "∞", "NaN", "0.3"]


@pytest.mark.parametrize("notation", ["leibniz", "delta"])
def test_latex_compiles(notation, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("there is no pdflatex on this machine")
    (tmp_path / "told.tex").write_text(to_latex(demo("xor", notation=notation)), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "told.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "told.pdf").stat().st_size > 10_000


@pytest.mark.parametrize("name", DEMOS)
def test_latex_and_markdown_are_well_formed(name):
    latex = to_latex(demo(name))
    assert "[U+" not in latex  # a character that LaTeX does not know
    assert latex.isascii() or all(ord(c) < 0x250 for c in latex)
    for opening, closing in (("{", "}"), (r"\left", r"\right"), (r"\[", r"\]")):
        assert latex.count(opening) - latex.count("\\" + opening) == (
            latex.count(closing) - latex.count("\\" + closing)
        ) or opening in (r"\left", r"\[")
    assert latex.count(r"\left(") == latex.count(r"\right)")
    begun = re.findall(r"\\begin\{(\w+)\}", latex)
    assert sorted(begun) == sorted(re.findall(r"\\end\{(\w+)\}", latex))
    markdown = to_markdown(demo(name))
    assert markdown.count("$$") % 2 == 0
    assert markdown.count("```") % 2 == 0


def test_json_is_plain_and_exact():
    told = demo("xor")
    content = json.loads(json.dumps(told.to_json(), allow_nan=False))
    assert content["loss"] == told.loss
    for node, stored in zip(told.nodes, content["nodes"], strict=True):
        assert node.value.data is not None
        assert stored["value"]["data"] == np.asarray(node.value.data).tolist()
    line = cr.nn.Linear(3, 2).initialize(0)
    single = cr.explain(line, np.ones((1, 3), "f"), np.zeros((1, 2), "f"), loss="mse")
    for node, stored in zip(single.nodes, single.to_json()["nodes"], strict=True):
        if node.value.dtype == "float32":
            back = np.array(stored["value"]["data"], np.float32)
            assert np.array_equal(back, np.asarray(node.value.data).ravel())


def test_the_graph_of_the_page_computes_the_same():
    """The whole step as one graph in JSON, run from its stored inputs, gives what is told."""
    told = demo("cnn")
    data = told.to_json()["graph"]
    graph = cr.ir.from_json(data["ir"])
    number = {node: place for place, node in enumerate(graph.nodes)}
    given = {one["node"]: one["value"] for one in data["inputs"]}
    inputs = [
        np.array(given[number[node]], node.type.dtype).reshape(node.type.shape)
        for node in graph.inputs
    ]
    wanted = [data["loss"], data["loss_after"], *data["new"].values(), *data["values"]]
    program = Program(cr.ir.Graph(graph.inputs, [graph.nodes[k] for k in wanted]))
    loss, after, *others = program(inputs)
    assert loss.item() == told.loss
    assert after.item() == told.update.loss
    new = dict(zip(data["new"], others, strict=False))
    for update in told.update.parameters:
        assert np.array_equal(new[update.path].ravel(), np.asarray(update.new.data))
    for node, value in zip(told.nodes, others[len(new) :], strict=True):
        assert np.array_equal(value.ravel(), np.asarray(node.value.data))


def test_the_c_of_a_node_stands_beside_its_formula():
    told = demo("houses", show_c=True)
    c = {node.symbol: node.c for node in told.nodes}
    assert "cr_sigmoid(" in c["a1"]
    assert "σ(p0)" in c["a1"]
    assert c["a1"].splitlines()[-1] in to_text(told, 120)
    assert all("cr_step" not in text and "cr_flush" not in text for text in c.values())


def test_large_networks_are_told_by_layer_and_along_one_way():
    x = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype("f")
    model = cr.models.tcn(3, features=3)
    told = cr.explain(
        model.initialize(0), x[:, 0], np.array([1]), loss="cross_entropy", optimizer="adam"
    )
    text = to_text(told)
    assert len(text.splitlines()) < 700
    assert not [one for one in check(text, slack=2e-6) if not one.holds]


def test_vanishing_gradients_are_seen_at_once():
    layers = [part for _ in range(12) for part in (cr.nn.Linear(4, 4), cr.nn.Sigmoid())]
    model = cr.nn.Sequential(*layers, cr.nn.Linear(4, 1)).initialize(0)
    told = cr.explain(model, np.ones((2, 4), "f"), np.zeros((2, 1), "f"), loss="mse")
    assert told.flow[0][0] == "layers.0"
    assert "vanishes" in told.flow[0][1]
    sizes = [layer.weight_gradient for layer in told.layers if layer.weight_gradient is not None]
    assert sizes == sorted(sizes)
    bars = to_text(told).split("gradient of the weights")[1]
    assert bars.index("layers.0") < bars.index("█")


def test_notebooks_get_a_page():
    assert demo("neuron")._repr_html_().startswith("<iframe")


def test_what_is_computed_between_layers_is_said_at_the_layer_before():
    titles = {layer.path: layer.title for layer in demo("cnn").layers}
    assert titles["filter"] == "Conv2d(1, 2, 3), then relu, max pooling"
    assert titles["output"] == "Linear(8, 2)"


def test_the_update_of_a_chosen_weight_is_shown_and_elements_are_shown_whole():
    text = to_text(demo("cnn", weight="output.weight[7,1]"))
    update = text.split("Step 4: update")[1]
    assert "output.weight′[7,1]" in update
    corrected = len(re.findall(r"^  m̂\[", update, re.MULTILINE))
    assert 0 < corrected == len(re.findall(r"^  (?:filter|output)\.\w+′\[", update, re.MULTILINE))


def test_index_arithmetic_is_omitted_where_there_is_much_of_it():
    table = cr.parameter(np.eye(5), "float64")

    def loss(x, y):
        index = x
        for _ in range(10):
            index = (index + 1) % 5
        return ((table[index] - y) ** 2).sum()

    text = to_text(cr.explain(loss, np.array([1, 3]), np.zeros((2, 5))))
    assert "operations on integers and booleans are omitted" in text
    assert "%" not in text
    assert not [one for one in check(text) if not one.holds]


def test_a_recurrent_network_is_written_on_a_few_pages():
    told = demo("lstm")
    written = told.to_text()
    lines = written.splitlines()
    assert 200 < len(lines) <= 400
    assert "Time step 0, first unit:" in lines
    assert "Time step 2, first unit:" in lines
    assert "Time step 1" not in written
    assert "Of 3 time steps the first and the last are written" in written
    # What the first unit is made of is written, too: each of the four gates with its sum.
    gates = re.findall(r"^  [ifgo]_t2\[0,0\] = \w+\((z2_t2\[0,\d\])\)", written, re.MULTILINE)
    assert len(gates) == 4
    for name in gates:
        assert re.search(rf"^  {re.escape(name)}$", written, re.MULTILINE)
    everything = told.to_text(detail="all")
    assert "h_t1[0,1]\n" in everything
    assert len(everything.splitlines()) > 1_000
