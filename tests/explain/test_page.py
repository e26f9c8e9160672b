"""The page of an explanation, in a browser: opened from a file, stepped through, computed again."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.explain import explain
from chainrule.explain.demos import demo
from chainrule.explain.explanation import Explanation, Node, RawRow, Values
from chainrule.explain.html import fitting, to_html
from chainrule.explain.html.page import packed, page_data, slips

TOLERANCE = 1e-12


def shown(browser: Any, folder: Path, told: Explanation, width: int = 1280) -> Any:
    """The browser with the page of an explanation, opened from a file."""
    file = folder / "page.html"
    file.write_text(to_html(told), encoding="utf-8")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get_log("browser")  # what others left behind
    browser.get(file.as_uri())
    return browser


def errors(browser: Any) -> list[str]:
    """What the browser complained of since the page was opened."""
    return [entry["message"] for entry in browser.get_log("browser")]


def text(browser: Any, place: str) -> str:
    return str(browser.execute_script(f"return document.querySelector({place!r}).innerText"))


def press(browser: Any, key: str) -> None:
    script = (
        "document.body.dispatchEvent("
        "new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))"
    )
    browser.execute_script(script, key)


# ---- stepping ------------------------------------------------------------------------------------


#: Goes through all steps with the arrow key; what stands there at each.
WALK = """
const press = (key) =>
  document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
const read = (place) => document.querySelector(place).innerText;
const seen = [];
for (let i = 0; i < Player.count(); i++) {
  seen.push([read('#count'), read('[aria-current]'), read('#text')]);
  press('ArrowRight');
}
press('Home');
const first = read('#count');
press('End');
return [seen, first, read('#count')];
"""


@pytest.mark.parametrize("name", ["neuron", "houses", "2-2-2", "xor", "cnn", "lstm"])
def test_every_demo_steps_through_without_complaints(
    browser: Any, tmp_path: Path, name: str
) -> None:
    page = shown(browser, tmp_path, demo(name))
    seen, first, last = page.execute_script(WALK)
    count = len(seen)
    for number, (place, _, content) in enumerate(seen, start=1):
        assert place == f"step {number} of {count}"
        assert not re.search(r"NaN|undefined|\[object", content)
    assert len({phase for _, phase, _ in seen}) == 4
    assert first == f"step 1 of {count}"
    assert last == f"step {count} of {count}"
    assert errors(page) == []


def test_several_outputs_of_several_rows_step_through(browser: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    model = cr.nn.Sequential(cr.nn.Linear(2, 3), cr.nn.Tanh(), cr.nn.Linear(3, 2))
    x, y = rng.normal(size=(2, 3, 2))
    told = cr.explain(model.initialize(seed=1), x, y, loss="mse")
    page = shown(browser, tmp_path, told)
    page.execute_script(
        "const choice = document.getElementById('example-choice'); choice.value = '2';"
        "choice.dispatchEvent(new Event('change'))"
    )
    seen, _, _ = page.execute_script(WALK)
    assert page.execute_script("return Network.isSmall()")
    (losses,) = (text for _, phase, text in seen if "Error" in phase)
    # The example that is drawn comes first.
    assert losses.index("e[2,0]") < losses.index("e[0,0]")
    assert "ℓ[2]\n= ℓ[2,0] + ℓ[2,1]" in losses
    assert errors(page) == []


def test_the_page_says_the_numbers_of_the_textbook(browser: Any, tmp_path: Path) -> None:
    page = shown(browser, tmp_path, demo("neuron"))
    everything = page.execute_script(
        "let all = ''; for (let i = 0; i < Player.count(); i++) {"
        " Player.go(i); all += document.getElementById('text').innerText; } return all"
    )
    for number in ("0.34", "−0.26", "−0.208", "0.526", "−0.1792"):
        assert number in everything


def test_as_many_digits_as_wanted(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(to_html(demo("houses"), digits=9), encoding="utf-8")
    browser.get(file.as_uri())
    browser.execute_script("Player.go(3)")
    assert "0.584190523" in text(browser, "#text")  # σ(0.34)


#: What a renderer prints: left = names = numbers = result.
PRINTED = """
const found = [];
for (let i = 0; i < Player.count(); i++) {
  Player.go(i);
  for (const box of document.querySelectorAll('#text .equation')) {
    const numbers = box.querySelector('.numbers');
    if (!numbers) continue;
    for (const power of numbers.querySelectorAll('sup'))
      power.replaceWith('**(' + power.textContent + ')');
    found.push([box.dataset.left, numbers.innerText, box.querySelector('.result').innerText]);
  }
}
return found;
"""


@pytest.mark.parametrize("name", ["neuron", "houses", "xor"])
def test_every_printed_equation_is_true_to_the_printed_digits(
    browser: Any, tmp_path: Path, name: str
) -> None:
    page = shown(browser, tmp_path, demo(name))
    printed = page.execute_script(PRINTED)
    assert len(printed) > 5
    for left, numbers, result in printed:
        assert evaluated(numbers) == pytest.approx(evaluated(result), rel=3e-5, abs=1e-9), left


def evaluated(written: str) -> float:
    """What an expression of the page is worth."""
    raised = {ord(up): str(digit) for digit, up in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")} | {ord("⁻"): "-"}
    code = re.sub(r"10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: f"10**({m[1].translate(raised)})", written)
    signs = {", else": " else", "=": "", "·": "*", "−": "-", "\u202f": "", "\xa0": " "}
    for sign, python in signs.items():
        code = code.replace(sign, python)
    names = {
        "σ": lambda z: 1 / (1 + np.exp(-z)),
        "softplus": lambda z: np.log1p(np.exp(z)),
        "relu": lambda z: max(z, 0),
        "tanh": np.tanh,
        "ln": np.log,
        "exp": np.exp,
        "max": max,
    }
    return float(eval(code.strip(), {"__builtins__": {}}, names))


# ---- sliders -------------------------------------------------------------------------------------

MOVE = """
const slider = document.getElementById(arguments[0]);
slider.value = arguments[1];
slider.dispatchEvent(new Event('input', {bubbles: true}));
return Number(slider.value);
"""
READ = """
const all = (kind) => Object.fromEntries(arguments[0].map((id) => [id, [...Live.array(kind, id)]]));
return {value: all('value'), gradient: all('gradient'), losses: Live.losses(),
        new: Object.fromEntries(arguments[1].map((id) => [id, [...Live.array('new', id)]]))};
"""


def numbers_of(page: Any, told: Explanation) -> Any:
    nodes = [node.id for node in told.nodes if node.gradient is not None]
    return page.execute_script(READ, nodes, [one.node for one in told.update.parameters])


def agree(page: Any, told: Explanation) -> None:
    """Everything that the page says is what Python says."""
    found = numbers_of(page, told)
    for node in told.nodes:
        if node.gradient is None:
            continue
        close(found["value"][str(node.id)], node.value.data)
        gradient = node.gradient.data
        if gradient is not None:
            close(found["gradient"][str(node.id)], gradient)
    for one in told.update.parameters:
        close(found["new"][str(one.node)], one.new.data)
    losses = [found["losses"][key] for key in ("loss", "predicted", "after")]
    close(losses, [told.loss, told.update.predicted, told.update.loss])


def close(found: Any, expected: Any) -> None:
    wanted = np.ravel(expected).astype(float)
    wanted[np.isinf(wanted)] = np.nan  # the driver has no infinities
    np.testing.assert_allclose(np.array(found, float), wanted, rtol=TOLERANCE, atol=TOLERANCE)


def two_layers(seed: int = 0) -> cr.nn.Module:
    model = cr.nn.Sequential(cr.nn.Linear(2, 3), cr.nn.Tanh(), cr.nn.Linear(3, 1)).to("float64")
    rng = np.random.default_rng(seed)
    model.load_state({path: rng.normal(size=w.shape) for path, w in model.parameters().items()})
    return model


X, Y = [[0.3, -0.2], [1.0, 0.5]], [[0.5], [-0.25]]


def knob(page: Any, name: str, index: int) -> str:
    """The id of the slider of an element of an input of the graph."""
    script = "return JSON.parse(document.getElementById('data').textContent).graph.inputs"
    names = [one["name"] for one in page.execute_script(script)]
    return f"knob-{names.index(name)}-{index}"


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_sliders_compute_what_python_computes(browser: Any, tmp_path: Path, optimizer: str) -> None:
    def told(x: Any, model: cr.nn.Module, rate: float) -> Explanation:
        return explain(model, x, Y, loss="mse", optimizer=optimizer, lr=rate)

    model = two_layers()
    page = shown(browser, tmp_path, told(X, model, 0.1))
    agree(page, told(X, model, 0.1))

    value = page.execute_script(MOVE, knob(page, "x", 0), 0.7125)
    x = [[value, -0.2], [1.0, 0.5]]
    agree(page, told(x, model, 0.1))

    value = page.execute_script(MOVE, knob(page, "layers.0.weight", 1), -1.0625)
    state = {path: w.numpy().copy() for path, w in model.parameters().items()}
    state["layers.0.weight"].flat[1] = value
    model.load_state(state)
    agree(page, told(x, model, 0.1))

    rate = page.execute_script(MOVE, "knob-rate", 0.2375)
    agree(page, told(x, model, rate))
    assert errors(page) == []


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_steps_taken_in_the_page_are_those_of_training(
    browser: Any, tmp_path: Path, optimizer: str
) -> None:
    model = two_layers()
    page = shown(browser, tmp_path, explain(model, X, Y, loss="mse", optimizer=optimizer, lr=0.05))
    page.execute_script("document.querySelectorAll('.step-button')[1].click()")
    kind = {"sgd": cr.optim.SGD, "adam": cr.optim.Adam}[optimizer]
    learner = kind(model, lr=0.05)
    x, y = cr.tensor(np.array(X)), cr.tensor(np.array(Y))
    for _ in range(10):
        _, gradients = cr.value_and_grad(lambda m: cr.losses.mse(m(x), y))(model)
        learner.update(gradients)
    expected = cr.losses.mse(model(x), y).item()
    found = page.execute_script("return [Live.losses().loss, Live.history().length]")
    assert found[0] == pytest.approx(expected, rel=1e-11)
    assert found[1] == 11
    assert "10 steps" in text(page, "#curve")
    page.execute_script("document.getElementById('reset').click()")
    agree(page, explain(two_layers(), X, Y, loss="mse", optimizer=optimizer, lr=0.05))


@pytest.mark.parametrize("name", ["cnn", "lstm"])
def test_larger_demos_are_computed_again_as_python_has_them(
    browser: Any, tmp_path: Path, name: str
) -> None:
    """A slider that is set to where it stands changes nothing, but all is computed in the page."""
    told = demo(name)
    page = shown(browser, tmp_path, told)
    page.execute_script("Live.set(0, 0, Live.input(0, 0))")
    assert page.execute_script("return Live.isChanged()")
    agree(page, told)


# ---- clicking ------------------------------------------------------------------------------------


def test_a_weight_shows_its_chain_and_the_sum_of_its_paths(browser: Any, tmp_path: Path) -> None:
    told = explain(two_layers(), X, Y, loss="mse", lr=0.1)
    node = next(n for n in told.nodes if n.symbol == "layers.0.weight")
    page = shown(browser, tmp_path, told)
    page.execute_script("Chosen.weight(Live.quantity(arguments[0], 0))", node.id)
    products = page.execute_script(
        f"return Chains.paths('{node.id}:0').map((path) => path.product)"
    )
    assert len(products) == 2  # one for each example
    assert node.gradient is not None
    assert node.gradient.data is not None
    assert sum(products) == pytest.approx(node.gradient.data.flat[0], rel=TOLERANCE)
    assert "2 paths" in text(page, "#chosen")
    factors = text(page, "#chosen .paths li .numbers").lstrip("= ")
    assert evaluated(factors) == pytest.approx(products[0], rel=1e-4)


@pytest.mark.parametrize("name", ["neuron", "houses", "xor"])
def test_the_drawing_knows_every_neuron_and_every_path_to_the_loss(
    browser: Any, tmp_path: Path, name: str
) -> None:
    """Python tells equations of some elements only; the others are read off the graph."""
    told = demo(name)
    page = shown(browser, tmp_path, told)
    assert page.execute_script("return Network.isSmall()")
    wanted = [[n.id, n.value.size] for n in told.nodes if n.shown and n.gradient is not None]
    found_all = page.execute_script(
        "return arguments[0].map(([id, size]) => Array.from({length: size},"
        " (_, index) => Chains.toLoss(`${id}:${index}`).derivative))",
        wanted,
    )
    for (node, _), found in zip(wanted, found_all, strict=True):
        gradient = told.nodes[node].gradient
        assert gradient is not None
        close(found, gradient.data)


#: Presses a number of the drawing, moves the pointer up by so many pixels, and lets go.
DRAG = """
const knob = [...document.querySelectorAll('#drawing [data-knob]')].find(
  (one) => one.getAttribute('aria-label') === arguments[0]);
const event = (type, y) => new PointerEvent(type, {clientX: 9, clientY: y, bubbles: true});
knob.dispatchEvent(event('pointerdown', 500));
if (arguments[1]) window.dispatchEvent(event('pointermove', 500 - arguments[1]));
window.dispatchEvent(event('pointerup', 500 - arguments[1]));
"""


def test_weights_and_inputs_are_dragged_and_moved_by_keys(browser: Any, tmp_path: Path) -> None:
    page = shown(browser, tmp_path, demo("houses"))
    node = next(n.id for n in demo("houses").nodes if n.symbol == "hidden.weight")
    now = "return Live.array('value', arguments[0])[0]"
    assert page.execute_script(now, node) == 0.4
    page.execute_script(DRAG, "hidden.weight[0,0]", 60)
    assert page.execute_script(now, node) == pytest.approx(0.7)
    page.execute_script(DRAG, "hidden.weight[0,0]", -20)
    assert page.execute_script(now, node) == pytest.approx(0.6)
    page.execute_script(
        "const knob = [...document.querySelectorAll('[data-knob]')].find("
        "(one) => one.getAttribute('aria-label') === 'hidden.weight[0,0]'); knob.focus();"
        "knob.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowUp', bubbles: true}))"
    )
    assert page.execute_script(now, node) == pytest.approx(0.625)
    assert page.execute_script("return document.activeElement.dataset.knob") is not None
    page.execute_script(DRAG, "bedrooms", 100)
    assert page.execute_script("return Live.input(0, 0)") == pytest.approx(6)
    assert errors(page) == []


#: The texts of the drawing that lie on one another, by more than two pixels.
COLLISIONS = """
const boxes = [...document.querySelectorAll('#drawing .weight rect, #drawing .neuron text')]
  .filter((one) => one.textContent || one.tagName === 'rect').map((one) =>
  [one.textContent || one.parentNode.textContent, one.getBoundingClientRect()]);
const found = [];
boxes.forEach(([a, p], i) => boxes.slice(0, i).forEach(([b, q]) => {
  const w = Math.min(p.right, q.right) - Math.max(p.left, q.left);
  const h = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
  if (w > 2 && h > 4) found.push(`${a} on ${b}`);
}));
return found;
"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["neuron", "houses", "2-2-2", "xor"])
def test_no_number_of_the_drawing_lies_on_another(
    browser: Any, tmp_path: Path, name: str, width: int
) -> None:
    page = shown(browser, tmp_path, demo(name), width)
    for step in range(page.execute_script("return Player.count()")):
        page.execute_script("Player.go(arguments[0])", step)
        assert page.execute_script(COLLISIONS) == [], (step, page.execute_script(COLLISIONS))


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 844)])
def test_drawing_equation_and_slider_are_seen_together(
    browser: Any, tmp_path: Path, width: int, height: int
) -> None:
    page = shown(browser, tmp_path, demo("xor"), width=width)
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.execute_script("Player.go(8); document.getElementById('text').scrollIntoView()")
    places = page.execute_script(
        "scrollBy(0, -window.innerHeight * (window.innerWidth < 600 ? 0.62 : 0.2));"
        "return ['#drawing svg', '#knob-rate', '#text .equation'].map((one) => {"
        "const box = document.querySelector(one).getBoundingClientRect();"
        "return [box.top, Math.min(box.bottom, box.top + 90)]; })"
    )
    for top, bottom in places:
        assert top >= 0
        assert bottom <= height


def test_the_loss_after_the_step_is_not_given_away(browser: Any, tmp_path: Path) -> None:
    told = demo("houses")
    page = shown(browser, tmp_path, told)
    after = f"{told.update.loss:.6g}"
    for step in range(page.execute_script("return Player.count()")):
        page.execute_script("Player.go(arguments[0])", step)
        everything = text(page, "main")
        is_last = step == page.execute_script("return Player.count() - 1")
        assert (after in everything) == is_last
    curve = page.execute_script("return Live.alongTheStep(4)")
    assert curve[0] == [0, pytest.approx(told.loss)]
    assert curve[2] == [1, pytest.approx(told.update.loss)]


def test_the_probability_and_its_gradient_follow_the_sliders(browser: Any, tmp_path: Path) -> None:
    told = demo("xor")
    page = shown(browser, tmp_path, told)
    output = next(n for n in told.nodes if n.role == "output")
    page.execute_script("Live.takeSteps(3)")
    z = page.execute_script("return [...Live.array('value', arguments[0])]", output.id)
    g = page.execute_script("return [...Live.array('gradient', arguments[0])]", output.id)
    p = page.execute_script(
        "return unpacked(document.getElementById('data').textContent).error.probabilities"
        ".map((one) => Live.number(one.left))"
    )
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-np.array(z))), rtol=1e-12)
    np.testing.assert_allclose(g, (np.array(p) - [0, 1, 1, 0]) / 4, rtol=1e-9, atol=1e-12)


def test_the_decision_map_is_the_network_at_every_point(browser: Any, tmp_path: Path) -> None:
    model = two_layers()
    told = explain(model, X, Y, loss="mse", lr=0.1)
    page = shown(browser, tmp_path, told)
    ids = [next(n.id for n in told.nodes if n.role == role) for role in ("input", "output")]
    points = np.random.default_rng(3).normal(size=(5, 2))
    found = page.execute_script(
        "return Live.outputsAt(arguments[0], arguments[1], arguments[2])",
        *ids,
        points.ravel().tolist(),
    )
    np.testing.assert_allclose(found, model(cr.tensor(points)).numpy().ravel(), rtol=1e-12)
    page.execute_script("document.querySelector('#plane summary').click()")
    assert errors(page) == []


#: Writes an answer into the blank of a number and says what is said to it.
ANSWER = """
const blank = [...document.querySelectorAll('#text .blank')].find(
  (one) => one.getAttribute('aria-label') === `Your number for ${arguments[0]}`);
const box = blank.parentNode;
blank.value = arguments[1];
blank.dispatchEvent(new Event('change', {bubbles: true}));
return box.innerText;
"""


def test_numbers_are_blanks_that_name_the_slip(browser: Any, tmp_path: Path) -> None:
    told = demo("houses")
    page = shown(browser, tmp_path, told)
    page.execute_script("document.getElementById('predict').click()")
    titles = page.execute_script(
        "return Array.from({length: Player.count()}, (_, i) => { Player.go(i);"
        " return document.querySelector('#text h2').innerText; })"
    )
    page.execute_script("Player.go(arguments[0])", titles.index("z1: weighted sum"))
    drawn = "return document.querySelector('#drawing svg').textContent"
    assert "0.34" not in page.execute_script(drawn)
    assert "bias" in page.execute_script(ANSWER, "z1[0]", "0.24")
    assert "no number" in page.execute_script(ANSWER, "z1[0]", "a third")
    assert "right" in page.execute_script(ANSWER, "z1[0]", "0,34")
    assert "right" in page.execute_script(ANSWER, "z1[1]", "-19/100")
    assert "0.34" in page.execute_script(drawn)
    step = titles.index("Gradient of z1: how the loss changes with it")
    page.execute_script("Player.go(arguments[0])", step)
    node = next(n for n in told.nodes if n.symbol == "a1")
    assert node.gradient is not None
    assert node.gradient.data is not None
    said = page.execute_script(ANSWER, "∂L/∂z1[0]", f"{node.gradient.data[0]:.4g}")
    assert "derivative of the activation" in said
    page.execute_script("document.querySelector('#text .verdict button').click()")
    assert "-0.0300729".replace("-", "−") in text(page, "#text")
    assert errors(page) == []


def test_printing_writes_all_steps(browser: Any, tmp_path: Path) -> None:
    page = shown(browser, tmp_path, demo("houses"))
    page.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert page.execute_script("return document.querySelectorAll('#text > section').length") == (
        page.execute_script("return Player.count()")
    )
    page.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert page.execute_script("return document.querySelectorAll('#text > section').length") == 0


def test_a_small_language_model_is_computed_again(browser: Any, tmp_path: Path) -> None:
    model = cr.models.gpt(11, context=4, width=4, heads=2, layers=1).initialize(seed=0)
    told = explain(model.to("float64"), [[1, 2, 3, 4]], [[2, 3, 4, 5]], loss="cross_entropy")
    page = shown(browser, tmp_path, told)
    page.execute_script(
        "const [knob] = Live.knobs(); Live.set(knob.place, 0, Live.input(knob.place, 0))"
    )
    agree(page, told)


def test_neurons_edges_and_weights_can_be_clicked_and_reached_by_keys(
    browser: Any, tmp_path: Path
) -> None:
    page = shown(browser, tmp_path, demo("houses"))
    click = (
        "const all = document.querySelectorAll(arguments[0]); all[all.length - 1]"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    page.execute_script(click, ".edge")
    assert "Edge: from" in text(page, "#chosen")
    page.execute_script(DRAG, "output.weight[0,0]", 0)
    assert "Weight output.weight" in text(page, "#chosen")
    enter = (
        "const neuron = document.querySelector('.neuron.output'); neuron.focus();"
        "neuron.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}));"
        "return [neuron.getAttribute('role'), neuron.getAttribute('aria-label')]"
    )
    role, label = page.execute_script(enter)
    assert role == "button"
    assert "ŷ" in label
    assert "how it is computed" in text(page, "#chosen")
    press(page, "Escape")
    assert text(page, "#chosen") == ""
    assert page.execute_script("return document.activeElement.classList.contains('neuron')")
    assert errors(page) == []


def test_the_slider_of_a_chosen_weight_stays_while_it_is_dragged(
    browser: Any, tmp_path: Path
) -> None:
    model = two_layers()
    page = shown(browser, tmp_path, explain(model, X, Y, loss="mse", lr=0.1))
    node = page.execute_script("return Live.knobs().find(({role}) => role === 'parameter').node")
    page.execute_script("Chosen.weight(Live.quantity(arguments[0], 0))", node)
    before = text(page, "#chain-sum")
    kept = page.execute_script(
        "const slider = document.querySelector('#chosen input[type=range]');"
        "slider.value = Number(slider.value) + 0.5;"
        "slider.dispatchEvent(new Event('input', {bubbles: true}));"
        "return slider.isConnected && !!document.querySelector('#chosen .paths')"
    )
    assert kept
    assert text(page, "#chain-sum") != before
    gradient = page.execute_script("return Live.array('gradient', arguments[0])[0]", node)
    assert evaluated(text(page, "#chain-sum")) == pytest.approx(gradient, rel=1e-5)
    ids = page.execute_script("return [...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


def test_the_window_of_a_convolution_says_the_number_of_the_map(
    browser: Any, tmp_path: Path
) -> None:
    page = shown(browser, tmp_path, demo("cnn"))
    found = page.execute_script(
        "const products = [...document.querySelectorAll('#pictures .product')].map("
        "(one) => [...one.querySelectorAll('.grid')].at(-1).innerText);"
        "return [products, document.querySelector('#pictures .window-result').innerText]"
    )
    terms = [
        float(t.replace("−", "-")) for block in found[0] for t in re.findall(r"−?[\d.]+", block)
    ]
    result = float(found[1].replace("−", "-"))
    assert sum(terms) == pytest.approx(result, abs=2e-3 * max(map(abs, terms)) * len(terms))


class Attends(cr.nn.Module):
    def __init__(self) -> None:
        self.attention = cr.nn.MultiHeadAttention(4, 2)
        self.head = cr.nn.Linear(4, 1)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        y: cr.Tensor = self.head(self.attention(x).mean(1))
        return y


def test_a_row_of_an_attention_map_can_be_read(browser: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(1, 5, 4))
    page = shown(browser, tmp_path, explain(Attends().to("float64"), x, [[0.5]], loss="mse"))
    page.execute_script(
        "const canvas = document.querySelector('#pictures canvas');"
        "const area = canvas.getBoundingClientRect();"
        "canvas.dispatchEvent(new MouseEvent('click', {clientX: area.left + 2,"
        " clientY: area.top + area.height / 2, bubbles: true}))"
    )
    assert "Attention weights of query 2" in text(page, "#pictures")
    row = [float(part) for part in text(page, "#pictures .line").split(":")[1].split()]
    assert len(row) == 5
    assert sum(row) == pytest.approx(1, abs=3e-3)


def test_time_steps_stand_side_by_side(browser: Any, tmp_path: Path) -> None:
    told = demo("lstm")
    steps = {node.step for node in told.nodes if node.step is not None}
    page = shown(browser, tmp_path, told)
    widths = page.execute_script(
        "return [...document.querySelectorAll('#pictures canvas')].map((one) => one.width)"
    )
    assert len(widths) > 4
    assert set(widths) == {len(steps)}


def test_the_cell_of_an_lstm_is_drawn_with_its_numbers(browser: Any, tmp_path: Path) -> None:
    told = demo("lstm")
    page = shown(browser, tmp_path, told)
    said = page.execute_script(
        "const [step] = document.querySelectorAll('#pictures select');"
        "step.value = '1'; step.dispatchEvent(new Event('change', {bubbles: true}));"
        "return document.querySelector('#pictures .cell').getAttribute('aria-label')"
    )
    value = {n.symbol: n.value.data[0] for n in told.nodes if n.step == 1 and n.value.data.size}
    found = dict(re.findall(r"(\w+) = (−?[\d.]+)", said))
    assert set(found) == {"i", "f", "g", "o", "c", "tanh_c", "h"}
    for letter, number in found.items():
        wanted = value[f"{letter}_t1"]
        assert float(number.replace("−", "-")) == pytest.approx(wanted, rel=6e-3)
    drawn = page.execute_script("return document.querySelector('#pictures .cell').textContent")
    assert "old c" in drawn
    assert errors(page) == []


# ---- how it looks --------------------------------------------------------------------------------


#: By how many pixels the page is too wide, in any step and with everything opened.
TOO_WIDE = """
const excess = () => document.documentElement.scrollWidth - window.innerWidth;
let worst = excess();
for (let i = 0; i < Player.count(); i += 2) { Player.go(i); worst = Math.max(worst, excess()); }
for (const box of document.querySelectorAll('details')) box.open = true;
Chosen.node(5);
return Math.max(worst, excess());
"""


@pytest.mark.parametrize("name", ["houses", "cnn", "lstm"])
def test_a_phone_needs_no_scrolling_to_the_side(browser: Any, tmp_path: Path, name: str) -> None:
    page = shown(browser, tmp_path, demo(name), width=360)
    assert page.execute_script(TOO_WIDE) <= 0


def test_light_and_dark(browser: Any, tmp_path: Path) -> None:
    def media(scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def contrast(page: Any) -> float:
        script = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
        light = [luminance(colour) for colour in page.execute_script(script)]
        return (max(light) + 0.05) / (min(light) + 0.05)

    background = "return getComputedStyle(document.body).backgroundColor"
    page = shown(browser, tmp_path, demo("neuron"))
    try:
        media("light")
        light = page.execute_script(background)
        assert contrast(page) > 7
        media("dark")
        dark = page.execute_script(background)
        assert contrast(page) > 7
        assert luminance(dark) < 0.1 < 0.8 < luminance(light)
        page.execute_script("document.getElementById('theme').click()")
        assert page.execute_script(background) == light
    finally:
        media("")


def luminance(colour: str) -> float:
    """Relative luminance as the guidelines for accessible pages define it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_nothing_moves_for_those_who_want_it_so(browser: Any, tmp_path: Path) -> None:
    moving = (
        "Player.go(2); return document.getAnimations().filter((one) =>"
        " one.effect.target.classList.contains('wire')).length"
    )
    page = shown(browser, tmp_path, demo("houses"))
    assert page.execute_script(moving) > 0
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    try:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        assert page.execute_script(moving) == 0
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_what_a_screen_reader_needs(browser: Any, tmp_path: Path) -> None:
    page = shown(browser, tmp_path, demo("houses"))
    unnamed = page.execute_script(
        "const named = (one) => one.textContent.trim() || one.getAttribute('aria-label')"
        " || (one.id && document.querySelector(`label[for='${one.id}']`)) || one.closest('label');"
        "return [...document.querySelectorAll('button, input, select, [role=button], [role=img]')]"
        ".filter((one) => !named(one)).map((one) => one.outerHTML)"
    )
    assert unnamed == []
    assert (
        page.execute_script("return document.getElementById('text').getAttribute('aria-live')")
        == "polite"
    )
    assert page.execute_script("return document.documentElement.lang") == "en"


def test_numbers_that_are_not_finite_are_shown_where_they_begin(
    browser: Any, tmp_path: Path
) -> None:
    model = two_layers()
    state = {path: w.numpy().copy() for path, w in model.parameters().items()}
    state["layers.2.weight"][0] = np.nan
    model.load_state(state)
    told = explain(model, X, Y, loss="mse", lr=0.1, weight="layers.2.bias[0]")
    page = shown(browser, tmp_path, told)
    everything = page.execute_script(
        "let all = ''; for (let i = 0; i < Player.count(); i++) {"
        " Player.go(i); all += document.getElementById('text').innerText; } return all"
    )
    assert "because layers.2.weight is not" in everything
    assert "NaN" in text(page, "#loss-before")  # in the last step
    page.execute_script("Live.set(0, 0, 0.25)")
    assert errors(page) == []


# ---- hostile names -------------------------------------------------------------------------------

EVIL = '</script><img src=x onerror="window.broken=1"><b>{{data}}\'&'


def test_no_name_becomes_markup(browser: Any, tmp_path: Path) -> None:
    told = dataclasses.replace(
        explain(two_layers(), X, Y, loss="mse", lr=0.1, labels={"x": (EVIL, EVIL)}),
        title=EVIL,
        story=(EVIL,),
        notes=(EVIL,),
        flow=(("layers.0", EVIL),),
        rows=(RawRow(0, ({"column": EVIL, "text": EVIL},), {"column": EVIL, "text": EVIL}, EVIL),),
    )
    layers = tuple(dataclasses.replace(one, title=EVIL) for one in told.layers)
    nodes = tuple(dataclasses.replace(one, title=EVIL, formula=EVIL, c=EVIL) for one in told.nodes)
    told = dataclasses.replace(told, layers=layers, nodes=nodes)
    page = shown(browser, tmp_path, told)
    page.execute_script("for (const box of document.querySelectorAll('details')) box.open = true")
    page.execute_script("for (const box of document.querySelectorAll('details')) box.open = true")
    for step in range(page.execute_script("return Player.count()")):
        page.execute_script("Player.go(arguments[0])", step)
    page.execute_script("Chosen.node(5)")
    assert page.execute_script("return document.querySelectorAll('img, main b > b').length") == 0
    assert page.execute_script("return window.broken") is None
    assert page.title == EVIL
    assert text(page, "h1") == EVIL
    assert EVIL in text(page, "#story")
    assert errors(page) == []


def test_the_policy_lets_no_other_script_run(browser: Any, tmp_path: Path) -> None:
    page = shown(browser, tmp_path, demo("neuron"))
    page.execute_script(
        "const script = document.createElement('script'); script.textContent = 'window.broken = 1';"
        "document.body.append(script)"
    )
    assert page.execute_script("return window.broken") is None
    assert any("Content Security Policy" in message for message in errors(page))


# ---- without a browser ---------------------------------------------------------------------------


def test_a_page_is_complete_and_loads_nothing() -> None:
    page = to_html(demo("houses"))
    assert page.startswith("<!doctype html>")
    assert "{{" not in re.sub(
        r'<script type="application/json".*?</script>', "", page, flags=re.DOTALL
    )
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page)
    assert "url(" not in page
    assert "fetch(" not in page


def test_the_data_in_the_page_are_the_explanation() -> None:
    told = demo("xor")
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', to_html(told), re.DOTALL
    )
    assert found is not None
    assert json.loads(found[1]) == packed(
        {**page_data(told.to_json()), "slips": slips(told), "digits": 6}
    )


def test_arrays_have_their_summaries_in_the_page(browser: Any, tmp_path: Path) -> None:
    told = demo("xor")
    page = shown(browser, tmp_path, told)
    found = page.execute_script(
        "return unpacked(document.getElementById('data').textContent).nodes.map((n) => n.value)"
    )
    for node, values in zip(told.to_json()["nodes"], found, strict=True):
        expected = node["value"]
        for key in ("norm", "rms", "mean", "low", "high", "zeros"):
            assert values[key] == pytest.approx(expected[key], rel=1e-12, abs=1e-15)
        for key in ("shape", "dtype", "data", "bad", "histogram"):
            assert values[key] == expected[key]


def language_model() -> Explanation:
    """A transformer whose arrays together are far too large for a page."""
    model = cr.models.gpt(60, context=48, width=48, heads=4, layers=3).initialize(seed=0)
    tokens = np.random.default_rng(0).integers(0, 60, (1, 48))
    return explain(model, tokens, np.roll(tokens, -1, 1), loss="cross_entropy")


def table_model() -> Explanation:
    """A network whose step could be computed again, if the page had room for its numbers."""
    rng = np.random.default_rng(0)
    model = cr.nn.Sequential(cr.nn.Linear(120, 160), cr.nn.ReLU(), cr.nn.Linear(160, 1))
    model.initialize(seed=0)
    x = rng.normal(size=(4, 120)).astype("float32")
    return explain(model, x, rng.normal(size=(4, 1)).astype("float32"), loss="mse")


#: Every number that an equation names, as the page has it, beside the one that Python wrote.
NAMED = """
const data = JSON.parse(arguments[0]), found = [];
const look = (one) => {
  if (one === null || typeof one !== 'object') return;
  if (one.kind === 'quantity' && one.node !== null && ['value', 'gradient', 'new'].includes(one.of))
    found.push([one.value, String(Live.number({ ...one, value: 'not this one' }))]);
  else Object.values(one).forEach(look);
};
[data.nodes.map((n) => [n.forward, n.backward]), data.error, data.chains,
 data.update.parameters.map((p) => p.equations)].forEach(look);
return found;
"""

#: What the panel of a weight says of it, and the same numbers of Python.
FACTS = """
const [node, index, symbol, place] = arguments;
Chosen.weight({ kind: 'quantity', symbol, place, value: 0, of: 'value', node, index });
return [...document.querySelectorAll('#chosen dd')].map((one) => one.innerText);
"""


def is_kept(new: Values, node: Node) -> bool:
    gradient = node.gradient
    return new.size > 500 and new.data is not None and getattr(gradient, "data", None) is not None


@pytest.mark.parametrize("make", [language_model, table_model])
def test_large_pages_are_small_and_keep_their_numbers(
    browser: Any, tmp_path: Path, make: Any
) -> None:
    told = make()
    whole = told.to_json()
    page = shown(browser, tmp_path, told)
    assert (tmp_path / "page.html").stat().st_size <= 500_000
    until_ready(page)
    named = page.execute_script(NAMED, json.dumps(whole))
    assert len(named) > 300
    for expected, number in named:
        assert float(number) == pytest.approx(float(expected), rel=1e-6, abs=1e-12)
    update, node = next(
        (one, told.nodes[one.node]) for one in told.update.parameters
        if one.equations and is_kept(one.new, told.nodes[one.node])
    )  # fmt: skip
    assert node.gradient is not None
    equation = update.equations[0].left
    place = list(equation.place)
    facts = page.execute_script(FACTS, update.node, equation.index, node.symbol, place)
    expected = [node.value.data, node.gradient.data, update.new.data]
    for shown_, array in zip(facts, expected, strict=False):
        assert array is not None
        assert evaluated(shown_) == pytest.approx(float(array[equation.index]), rel=1e-5, abs=1e-12)
    assert "So that the page stays small" in text(page, "#notes")
    for content in [one for _, _, one in page.execute_script(WALK)[0]]:
        assert not re.search(r"NaN|undefined|\[object", content)
    assert errors(page) == []


def test_the_largest_pages_have_summaries_alone(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = cr.models.gpt(11, context=16, width=16, heads=2, layers=2).initialize(seed=0)
    tokens = np.random.default_rng(0).integers(0, 11, (1, 16))
    told = explain(model, tokens, np.roll(tokens, -1, 1), loss="cross_entropy")
    least = fitting._cut(page_data({**told.to_json(), "graph": None}), fitting._BUDGETS[-1])
    most = len(fitting._compressed(packed(least))) + 2_000
    monkeypatch.setattr(fitting, "MOST", most)
    page = shown(browser, tmp_path, told)
    until_ready(page)
    size = page.execute_script("return document.getElementById('data').textContent.length")
    assert size < most + 20
    for content in [one for _, _, one in page.execute_script(WALK)[0]]:
        assert not re.search(r"undefined|\[object", content)
    for node in told.nodes[:40]:
        if node.shown:
            page.execute_script("Chosen.node(arguments[0])", node.id)
    assert errors(page) == []


def test_colours_of_a_large_page_are_those_of_the_numbers(browser: Any, tmp_path: Path) -> None:
    told = table_model()
    page = shown(browser, tmp_path, told)
    until_ready(page)
    node = told.nodes[told.update.parameters[0].node]
    script = (
        "const {data, isRough} = Live.picture('value', arguments[0]); return [[...data], isRough]"
    )
    data, is_rough = page.execute_script(script, node.id)
    assert node.value.data is not None
    expected = node.value.data[: len(data)]
    assert is_rough
    assert len(data) == 120 * 160
    assert np.abs(np.array(data) - expected).max() <= np.abs(expected).max() / 250
    page.execute_script("Chosen.node(arguments[0])", node.id)
    assert "rounded to 1/127" in text(page, "#chosen")


def until_ready(page: Any) -> None:
    """Waits for a page that is compressed."""
    page.execute_async_script(
        "const done = arguments[0], is = () => 'ready' in document.documentElement.dataset;"
        "const wait = () => (is() ? done() : setTimeout(wait, 20)); wait();"
    )


def test_sizes() -> None:
    rng = np.random.default_rng(0)
    small = cr.nn.Sequential(cr.nn.Linear(64, 32), cr.nn.ReLU(), cr.nn.Linear(32, 10))
    x = rng.normal(size=(16, 64)).astype("float32")
    page = to_html(explain(small, x, rng.integers(0, 10, 16), loss="cross_entropy"))
    assert len(page.encode()) <= 500_000
