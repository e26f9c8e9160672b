"""The pages to play with: what they compute is what Python computes, step by step."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

import chainrule as cr
from chainrule.learn.play import compare_page, play_page

BENDS: dict[str, Callable[[], cr.nn.Module]] = {
    "tanh": cr.nn.Tanh,
    "relu": cr.nn.ReLU,
    "sigmoid": cr.nn.Sigmoid,
}
OPTIMIZERS: dict[str, Callable[[cr.nn.Module, float], cr.optim.Optimizer]] = {
    "sgd": lambda m, lr: cr.optim.SGD(m, lr=lr),
    "momentum": lambda m, lr: cr.optim.SGD(m, lr=lr, momentum=0.9),
    "adam": lambda m, lr: cr.optim.Adam(m, lr=lr),
}


def opened(browser: Any, folder: Path, page: str, state: Any = None, width: int = 1280) -> Any:
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get_log("browser")
    browser.get("about:blank")
    browser.get(file.as_uri() + ("" if state is None else "#" + quote(json.dumps(state))))
    return browser


def script(name: str) -> str:
    """What a page is asked, and what returns the answer."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def errors(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser")]


READ = """
const training = Play.training();
return {layers: training.layers().map(({w, b}) => ({w: [...w], b: [...b]})),
        settings: training.settings, x: training.data.x, y: training.data.y};
"""


def same_in_python(found: Any) -> cr.nn.Module:
    """The network of the page, with its weights."""
    settings = found["settings"]
    sizes, own = settings["sizes"], [*settings.get("activations", []), *[None] * 9]
    layers: list[cr.nn.Module] = []
    for number, (one, (before, after)) in enumerate(
        zip(found["layers"], itertools.pairwise(sizes), strict=True)
    ):
        linear = cr.nn.Linear(before, after).to("float64")
        linear.load_state({"weight": np.reshape(one["w"], (before, after)), "bias": one["b"]})
        layers.append(linear)
        activation = own[number] or settings["activation"]
        if number < len(sizes) - 2 and activation != "linear":
            layers.append(BENDS[activation]())
    return cr.nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("activation", "optimizer", "preset", "batch"),
    [
        ("tanh", "sgd", "xor", 10), ("relu", "momentum", "spiral", 0),
        ("sigmoid", "adam", "function", 7), ("linear", "sgd", "function", 1),
    ],
)  # fmt: skip
def test_every_step_is_the_one_of_python(
    browser: Any, tmp_path: Path, activation: str, optimizer: str, preset: str, batch: int
) -> None:
    state = {"preset": preset, "hidden": [4, 3], "activation": activation, "optimizer": optimizer,
             "batch": batch, "rate": 0.05, "seed": 3}  # fmt: skip
    page = opened(browser, tmp_path, play_page(), state)
    found = page.execute_script(READ)
    model = same_in_python(found)
    page.execute_script(
        "const {settings, data} = Play.training();"
        "window.interpreted = Training.start({...settings, interpreted: true}, data)"
    )
    kinds = "return [Play.training(), window.interpreted].map((one) => one.isCompiled())"
    assert page.execute_script(kinds) == [True, False]
    learner = OPTIMIZERS[optimizer](model, 0.05)
    x, y = np.reshape(found["x"], (-1, 2)), np.reshape(found["y"], (-1, 1))
    loss = cr.losses.mse if preset == "function" else cr.losses.binary_cross_entropy
    for _ in range(12):
        took = page.execute_script("return Play.training().advance()")
        rows = took["chosen"]
        assert len(rows) == (batch or len(y))
        error, gradients = cr.value_and_grad(lambda m, r=rows: loss(m(x[r]), y[r]))(model)
        learner.update(gradients, loss=error)
        assert took["loss"] == pytest.approx(error.item(), rel=1e-9)
        state_now = model.state_dict() if hasattr(model, "state_dict") else model.state()
        for one, name in zip(page.execute_script(READ)["layers"], linears(model), strict=True):
            weight, bias = state_now[f"{name}.weight"], state_now[f"{name}.bias"]
            np.testing.assert_allclose(one["w"], np.ravel(weight), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(one["b"], np.ravel(bias), rtol=1e-9, atol=1e-12)
        again = page.execute_script("return window.interpreted.advance()")
        assert again == took
        assert page.execute_script(
            "const all = (one) => one.layers().flatMap(({w, b}) => [...w, ...b]);"
            "const [a, b] = [all(Play.training()), all(window.interpreted)];"
            "return a.every((v, i) => Object.is(v, b[i]))"
        )  # to the last bit
    assert errors(page) == []


def test_compiled_is_interpreted_to_the_last_bit_whatever_the_network(
    browser: Any, tmp_path: Path
) -> None:
    page = opened(browser, tmp_path, play_page())
    assert page.execute_script(script("compare_networks.js")) == []
    assert errors(page) == []


def test_every_operation_on_elements_compiles(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, play_page())
    wrong, compiled = page.execute_script(script("compare_operations.js"))
    assert wrong == []
    assert {"add", "where", "greater", "relu", "round", "tanh", "erf", "abs"} <= set(compiled)


def test_other_graphs_are_left_to_the_interpreter(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, play_page())
    found = page.execute_script(
        "const of = (type, op, attributes) => Compiled.compile(Graphs.read({inputs: [0],"
        " outputs: [], nodes: ["
        " {op: 'placeholder', type: [type, [2, 3]], inputs: [], attributes: {}},"
        " {op, type: [type, [2]], inputs: [0], attributes}]}), [1]);"
        "return [of('float64', 'logsumexp', {axes: [1]}), of('float32', 'sum', {axes: [0]}),"
        " of('float64', 'sum', {axes: [1]}), of('float64', 'sum', {axes: [0, 1]}) !== null]"
    )
    assert found == [None, None, None, True]


def test_steps_may_be_interpreted_from_any_step_on(browser: Any, tmp_path: Path) -> None:
    state = {"hidden": [3, 2], "seed": 5, "optimizer": "adam"}
    page = opened(browser, tmp_path, play_page(), state)
    how = "return document.getElementById('how').textContent"
    opened_at = "return Play.equations({layer: 0, unit: 1, point: 4}).lines"
    page.execute_script("Play.advance(30); Play.run(false)")
    assert page.execute_script(how) == "compiled"
    lines = page.execute_script(opened_at)
    page.execute_script("document.getElementById('how').click()")
    assert page.execute_script(how) == "interpreted"
    assert page.execute_script(opened_at) == lines
    page.execute_script("Play.advance(10)")
    page.execute_script("document.getElementById('how').click(); Play.advance(10); Play.run(false)")
    weights = page.execute_script(READ)["layers"]
    page.execute_script("document.getElementById('rewind').click(); Play.advance(50)")
    assert page.execute_script(how) == "compiled"
    assert page.execute_script(READ)["layers"] == weights
    page.execute_script("document.getElementById('how').click(); Play.run(false)")
    address = page.current_url
    page.get("about:blank")
    page.get(address)
    assert page.execute_script(how) == "interpreted"
    assert page.execute_script("return Play.state().steps") == 50
    assert page.execute_script(READ)["layers"] == weights
    assert errors(page) == []


def test_a_browser_without_webassembly_trains_all_the_same(browser: Any, tmp_path: Path) -> None:
    state = {"hidden": [3], "seed": 8}
    page = opened(browser, tmp_path, play_page(), state)
    page.execute_script("Play.advance(20)")
    weights = page.execute_script(READ)["layers"]
    refused = play_page().replace(" 'wasm-unsafe-eval'", "")
    page = opened(browser, tmp_path, refused, state)
    page.execute_script("Play.advance(20); Play.run(false)")
    assert page.execute_script(READ)["layers"] == weights
    said = page.execute_script(
        "document.getElementById('how').click(); const how = document.getElementById('how');"
        "return [how.textContent, how.title]"
    )
    assert said[0] == "interpreted"
    assert "runs no WebAssembly" in said[1]


def test_points_are_painted_with_the_keyboard(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    page = opened(browser, tmp_path, play_page(), {"preset": "empty"})
    plane = page.find_element(By.ID, "points")
    plane.send_keys(Keys.ARROW_LEFT * 3 + Keys.ARROW_UP + Keys.ENTER + Keys.ARROW_DOWN * 2)
    plane.send_keys(Keys.ENTER)
    assert page.execute_script("return Play.state().painted") == [
        [-0.15, 0.05, 1],
        [-0.15, -0.05, 1],
    ]
    said = page.execute_script("return document.getElementById('at').textContent")
    assert said == "A point at (−0.15, −0.05)"
    assert errors(page) == []


def test_a_long_training_is_reproduced_while_the_page_is_seen(browser: Any, tmp_path: Path) -> None:
    state = {"hidden": [2], "seed": 3, "batch": 1, "steps": 12_000}
    page = opened(browser, tmp_path, play_page(), state)
    browser.execute_async_script(
        "const done = arguments[0];"
        "const wait = () => Play.state().steps < 12000 ? setTimeout(wait, 20) : done();"
        "wait();"
    )
    assert page.execute_script("return Play.training().taken()") == 12_000
    assert page.execute_script("return Play.curve().length") > 100
    weights = page.execute_script(READ)["layers"]
    page.execute_script("Play.restart(); Play.advance(12000)")
    assert page.execute_script(READ)["layers"] == weights
    assert errors(page) == []


@pytest.mark.parametrize("preset", ["xor", "circles", "spiral", "blobs"])
def test_both_classes_are_among_the_test_points(browser: Any, tmp_path: Path, preset: str) -> None:
    page = opened(browser, tmp_path, play_page(), {"preset": preset})
    held, learned = page.execute_script("return [Play.held().y, Play.training().data.y]")
    assert len(held) == 30
    assert len(learned) == 90
    assert 0.3 < np.mean(held) < 0.7


def test_a_layer_may_have_an_optimizer_of_its_own(browser: Any, tmp_path: Path) -> None:
    state = {"preset": "xor", "hidden": [3, 2], "optimizer": "sgd", "batch": 0, "rate": 0.05,
             "optimizers": ["adam", None, "momentum"], "activations": [None, "sigmoid"],
             "seed": 4}  # fmt: skip
    page = opened(browser, tmp_path, play_page(), state)
    found = page.execute_script(READ)
    model = same_in_python(found)
    names = linears(model)
    layers: Any = [model[int(name.rpartition(".")[2])] for name in names]  # type: ignore[index]
    kinds = ("adam", "sgd", "momentum")
    learners = [OPTIMIZERS[k](layer, 0.05) for k, layer in zip(kinds, layers, strict=True)]
    x, y = np.reshape(found["x"], (-1, 2)), np.reshape(found["y"], (-1, 1))
    for _ in range(8):
        page.execute_script("Play.training().advance()")
        _, gradients = cr.value_and_grad(
            lambda m: cr.losses.binary_cross_entropy(m(x), y)
        )(model)  # fmt: skip
        for name, learner in zip(names, learners, strict=True):
            learner.update({part: gradients[f"{name}.{part}"] for part in ("weight", "bias")})
        for one, layer in zip(page.execute_script(READ)["layers"], layers, strict=True):
            np.testing.assert_allclose(one["w"], layer.weight.numpy().ravel(), rtol=1e-9)
            np.testing.assert_allclose(one["b"], layer.bias.numpy().ravel(), rtol=1e-9, atol=1e-12)
    page.execute_script(
        "const s = document.getElementById('optimizer-1'); s.value = 'adam';"
        "s.dispatchEvent(new Event('change'))"
    )
    now = page.execute_script("return Play.state().optimizers")
    assert now == ["adam", "adam", "momentum"]
    page.execute_script(
        "const s = document.getElementById('activation-0'); s.value = 'relu';"
        "s.dispatchEvent(new Event('change'))"
    )
    layers = [type(one).__name__ for one in list(same_in_python(page.execute_script(READ)))]  # type: ignore[call-overload]
    assert layers == ["Linear", "ReLU", "Linear", "Sigmoid", "Linear"]
    before = page.execute_script(READ)["layers"]
    page.execute_script(
        "const s = document.getElementById('initialisation-1'); s.value = 'zero';"
        "s.dispatchEvent(new Event('change'))"
    )
    after = page.execute_script(READ)["layers"]
    assert set(after[1]["w"]) == {0}
    assert [after[0], after[2]] == [before[0], before[2]]
    assert page.execute_script("return document.getElementById('optimizer-0').value") == "adam"
    assert errors(page) == []


def test_paths_lie_on_the_surface_of_the_loss(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, compare_page())
    assert page.execute_script("return document.getElementById('surface').hidden")
    page.execute_script("Compare.advance(20); Compare.advance(20); Compare.draw()")
    found = page.execute_script("return Compare.surface(5)")
    first, u, v = (np.array(a) for a in (found["first"], found["axes"]["u"], found["axes"]["v"]))
    assert [u @ u, v @ v, u @ v] == pytest.approx([1, 1, 0], abs=1e-9)
    ends = page.execute_script("return Compare.lanes().map(({path}) => path.at(-1))")
    for one, end in zip(found["paths"], ends, strict=True):
        assert one["points"][0] == pytest.approx([0, 0], abs=1e-12)
        assert one["points"][-1] == pytest.approx([(end - first) @ u, (end - first) @ v])
    lane = page.execute_script(
        "const {training} = Compare.lanes()[0], d = Compare.data();"
        "return {settings: training.settings, x: d.x, y: d.y,"
        "layers: training.layers().map(({w, b}) => ({w: [...w], b: [...b]}))}"
    )
    (low, high), (bottom, top), k = found["x"], found["y"], 7
    at = first + (low + (high - low) * (k % 5 + 0.5) / 5) * u
    at = at + (bottom + (top - bottom) * (k // 5 + 0.5) / 5) * v
    for layer in lane["layers"]:
        for name in ("w", "b"):
            layer[name], at = at[: len(layer[name])], at[len(layer[name]) :]
    model = same_in_python(lane)
    x, y = np.reshape(lane["x"], (-1, 2)), np.reshape(lane["y"], (-1, 1))
    wanted = cr.losses.binary_cross_entropy(model(cr.tensor(x)), y).item()
    assert found["losses"][k] == pytest.approx(wanted, rel=1e-9)
    assert not page.execute_script("return document.getElementById('surface').hidden")
    page.execute_script(
        "const s = document.getElementById('what'); s.value = 'depth';"
        "s.dispatchEvent(new Event('change')); Compare.advance(3); Compare.draw()"
    )
    assert page.execute_script("return document.getElementById('surface').hidden")
    assert errors(page) == []


def linears(model: cr.nn.Module) -> list[str]:
    return [path.rpartition(".")[0] for path in model.parameters() if path.endswith("weight")]


def test_a_map_is_the_network_at_every_point(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, play_page())
    page.execute_script("Play.advance(30)")
    model = same_in_python(page.execute_script(READ))
    points = np.random.default_rng(0).uniform(-1, 1, size=(6, 2))
    found = page.execute_script(
        "const t = Play.training();"
        "return Training.outputs(t.settings, t.layers(), Float64Array.from(arguments[0]))"
        ".map((one) => [...one])",
        points.ravel().tolist(),
    )
    np.testing.assert_allclose(found[-1], model(cr.tensor(points)).numpy().ravel(), rtol=1e-10)


def evaluated(written: str) -> float:
    code = written.replace("−", "-").replace("·", "*").replace("²", "**2").replace("\u202f", "")
    code = re.sub(r"(\d) \* 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: m[1] + "e" + m[2].translate(
        str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")), code)  # fmt: skip
    code = code.replace("√", "sqrt")
    return float(eval(code, {"__builtins__": {}}, {"tanh": math.tanh, "sqrt": math.sqrt}))


def test_every_number_of_a_neuron_can_be_opened(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, play_page(), {"hidden": [3, 2], "seed": 5})
    page.execute_script("Play.advance(40); document.getElementById('unit-0-1').click()")
    found = page.execute_script(READ)
    said = page.execute_script("return Play.equations({layer: 0, unit: 1, point: 0})")
    model = same_in_python(found)
    at = said["index"]
    x, y = np.array([found["x"][2 * at : 2 * at + 2]]), np.array([[found["y"][at]]], float)
    _, gradients = cr.value_and_grad(lambda m: cr.losses.binary_cross_entropy(m(x), y))(model)
    values = {names.split(" ")[0]: value for names, _, value in said["lines"]}
    wanted = gradients["layers.0.weight"].numpy()
    assert values["∂ℓ/∂w0"] == pytest.approx(wanted[0, 1], rel=1e-9)
    assert values["∂ℓ/∂w1"] == pytest.approx(wanted[1, 1], rel=1e-9)
    assert values["∂ℓ/∂b"] == pytest.approx(gradients["layers.0.bias"].numpy()[1], rel=1e-9)
    for names, numbers, value in said["lines"]:
        if numbers:
            assert evaluated(numbers) == pytest.approx(value, rel=3e-4, abs=1e-7), names
    shown = page.execute_script("return document.getElementById('numbers').innerText")
    assert "Neuron 1 of layer 1" in shown
    points = [found["x"][2 * i : 2 * i + 2] for i in range(4)]  # a test point is passed over
    for wanted, button in zip(points, [None, "after", "after", "after"], strict=True):
        if button:
            page.execute_script(f"document.getElementById('point-{button}').click()")
        heading = page.execute_script("return document.querySelector('#numbers h2').textContent")
        in_it = [float(one.replace("−", "-")) for one in re.findall(r"[−\d.]+(?=[,)])", heading)][
            -2:
        ]
        assert in_it == pytest.approx(wanted, rel=2e-3, abs=1e-3)
    assert errors(page) == []


@pytest.mark.parametrize(
    ("optimizer", "batch", "width"), [("sgd", 10, 390), ("momentum", 1, 1280), ("adam", 10, 1280)]
)
def test_every_number_of_the_next_step_can_be_opened(
    browser: Any, tmp_path: Path, optimizer: str, batch: int, width: int
) -> None:
    state = {"hidden": [3, 2], "seed": 5, "optimizer": optimizer, "batch": batch, "rate": 0.05}
    page = opened(browser, tmp_path, play_page(), state, width)
    page.execute_script("Play.advance(21); document.getElementById('unit-1-1').click()")
    said = page.execute_script("return Play.updates({layer: 1, unit: 1})")
    shown = page.execute_script("return document.getElementById('numbers').innerText")
    assert "Its next step" in shown
    values = {names.split(" ")[0]: value for names, _, value in said["lines"]}
    for names, numbers, value in said["lines"]:
        assert evaluated(numbers) == pytest.approx(value, rel=3e-4, abs=1e-7), names
    found = page.execute_script(READ)
    model = same_in_python(found)
    rows = said["rows"]
    x, y = np.reshape(found["x"], (-1, 2))[rows], np.reshape(found["y"], (-1, 1))[rows]
    _, gradients = cr.value_and_grad(lambda m: cr.losses.binary_cross_entropy(m(x), y))(model)
    for i in range(3):
        wanted = gradients["layers.2.weight"].numpy()[i, 1]
        assert values[f"∂L/∂w{i}"] == pytest.approx(wanted, rel=1e-9)
    assert values["∂L/∂b"] == pytest.approx(gradients["layers.2.bias"].numpy()[1], rel=1e-9)
    # What was shown is what then happens, with the batch that was shown.
    assert page.execute_script("return Play.training().advance().chosen") == rows
    after = page.execute_script(READ)["layers"][1]
    assert [values[f"w{i}′"] for i in range(3)] == after["w"][1::2]
    assert values["b′"] == after["b"][1]
    # To look changes nothing: another that was not looked at has the same weights.
    state_of = page.execute_script(READ)["layers"]
    page.execute_script("document.getElementById('rewind').click(); Play.advance(22)")
    assert page.execute_script(READ)["layers"] == state_of
    assert errors(page) == []


def test_the_address_holds_the_state(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, play_page(), {"preset": "blobs", "hidden": [2], "seed": 9})
    page.execute_script("Play.advance(25); Play.run(false)")
    weights = page.execute_script(READ)["layers"]
    address = page.current_url
    page.get("about:blank")
    page.get(address)
    again = page.execute_script("return Play.state()")
    assert (again["preset"], again["hidden"], again["steps"]) == ("blobs", [2], 25)
    assert page.execute_script(READ)["layers"] == weights
    page.execute_script("document.getElementById('rewind').click()")
    first = page.execute_script(READ)["layers"]
    page.execute_script("Play.advance(5); document.getElementById('rewind').click()")
    assert page.execute_script(READ)["layers"] == first


def test_another_page_shows_the_state(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, play_page(), {"hidden": [2], "seed": 12, "rate": 0.2})
    page.execute_script("Play.advance(4); Play.run(false)")
    weights = page.execute_script(READ)["layers"]
    read = "return ['link', 'embed'].map((id) => document.getElementById(id).value)"
    link, embed = page.execute_script(read)
    assert link == page.current_url
    around = tmp_path / "around.html"
    around.write_text(f"<!doctype html><title>A page</title>{embed}", encoding="utf-8")
    page.get(around.as_uri())
    page.switch_to.frame(0)
    try:
        assert page.execute_script("return Play.state().steps") == 4
        assert page.execute_script(READ)["layers"] == weights
        assert page.execute_script("return Play.training().isCompiled()")
    finally:
        page.switch_to.default_content()
    assert errors(page) == []


@pytest.mark.parametrize(
    "bad", ["%7B", "%22x%22", quote('{"hidden":[99],"rate":"<b>","preset":"__proto__"}')]
)
def test_a_bad_address_is_no_error(browser: Any, tmp_path: Path, bad: str) -> None:
    opened(browser, tmp_path, play_page())
    browser.get("about:blank")
    browser.get((tmp_path / "page.html").as_uri() + "#" + bad)
    assert browser.execute_script("return Play.state().hidden") == [4, 3]
    assert errors(browser) == []


def test_own_points_and_tables(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, play_page(), {"preset": "empty"})
    assert "Paint some points" in page.execute_script(
        "return document.getElementById('score').innerText"
    )
    page.execute_script(
        "const area = document.getElementById('points').getBoundingClientRect();"
        "for (const [u, v] of [[0.25, 0.5], [0.75, 0.5], [0.5, 0.9]])"
        "  document.getElementById('points').dispatchEvent(new PointerEvent('pointerdown', {"
        "  clientX: area.left + u * area.width, clientY: area.top + v * area.height}))"
    )
    painted = page.execute_script("return Play.state().painted")
    assert painted == [[-0.5, 0, 1], [0.5, 0, 1], [0, -0.8, 1]]
    rows = "\n".join(f"{i},{2 * i},{i % 3 / 2}" for i in range(20))
    page.execute_script(
        "document.getElementById('csv').value = arguments[0];"
        "document.getElementById('paste').click(); Play.advance(3)", rows
    )  # fmt: skip
    assert page.execute_script("return Play.training().settings.task") == "regression"
    said = "return document.getElementById('csv-said').textContent"
    assert "Left out" not in page.execute_script(said)
    assert page.execute_script("return Play.training().data.y.length") == 15
    paste = (
        "document.getElementById('csv').value = arguments[0];"
        "document.getElementById('paste').click()"
    )
    page.execute_script(paste, "a, b, c\n" + "1,2,0\n2,1,1\n" * 600 + "3,?,1")
    text = page.execute_script(said).replace("\u202f", "")
    assert text.startswith("1000 rows, the first of 1200; the target is a class.")
    assert text.endswith("Left out: 2 lines without three numbers.")
    page.execute_script(paste, rows)
    page.execute_script("Play.run(false)")
    assert "R²" in page.execute_script("return document.getElementById('score').innerText")
    assert errors(page) == []


def test_it_runs_and_pauses(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, play_page())
    browser.execute_async_script(
        "const done = arguments[0]; Play.run(true);"
        "const stop = () => { Play.run(false); done(); };"
        "const wait = () => Play.state().steps > 5 ? stop() : setTimeout(wait, 20);"
        "wait();"
    )
    taken = page.execute_script("return Play.state().steps")
    assert taken > 5
    assert page.execute_script("return document.getElementById('run').textContent") == "Run"
    assert page.execute_script("return Play.curve().length") > 1


@pytest.mark.parametrize("make", [play_page, compare_page])
def test_small_enough_for_a_phone_and_named_for_a_reader(
    browser: Any, tmp_path: Path, make: Callable[[], str]
) -> None:
    assert len(make().encode()) <= 500_000
    page = opened(browser, tmp_path, make(), width=390)
    wide = "return document.documentElement.scrollWidth - window.innerWidth"
    assert page.execute_script(wide) <= 0
    unnamed = page.execute_script(
        "const named = (one) => one.textContent.trim() || one.getAttribute('aria-label')"
        " || (one.labels && one.labels.length);"
        "return [...document.querySelectorAll('button, input, select, textarea, [role=img]')]"
        ".filter((one) => !named(one)).map((one) => one.outerHTML)"
    )
    assert unnamed == []
    assert errors(page) == []


@pytest.mark.parametrize("what", ["optimizers", "rates", "activations", "depth", "starts"])
def test_lanes_begin_alike_and_see_the_same_batches(
    browser: Any, tmp_path: Path, what: str
) -> None:
    page = opened(browser, tmp_path, compare_page())
    found = page.execute_script(
        "const choice = document.getElementById('what'); choice.value = arguments[0];"
        "choice.dispatchEvent(new Event('change'));"
        "const lanes = Compare.lanes();"
        "const weights = lanes.map(({training}) => training.layers().map(({w}) => [...w]));"
        "const batches = lanes.map(({training}) => [0, 1, 2].map(() => training.advance().chosen));"
        "Compare.draw();"
        "return [weights, batches]",
        what,
    )
    weights, batches = found
    assert 3 <= len(batches) <= 4
    assert all(one == batches[0] for one in batches)
    if what not in ("depth", "starts"):
        assert all(one == weights[0] for one in weights)
    assert errors(page) == []


def test_gradients_of_the_lanes_are_those_of_python(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, compare_page())
    found = page.execute_script(
        "Compare.advance(3); const lane = Compare.lanes()[2], t = lane.training;"
        "return {layers: t.layers().map(({w, b}) => ({w: [...w], b: [...b]})),"
        " settings: t.settings, x: t.data.x, y: t.data.y, gradients: Compare.gradients(lane)}"
    )
    model = same_in_python(found)
    x, y = np.reshape(found["x"], (-1, 2)), np.reshape(found["y"], (-1, 1))
    _, gradients = cr.value_and_grad(lambda m: cr.losses.binary_cross_entropy(m(x), y))(model)
    sizes = [np.sqrt(np.mean(gradients[f"{n}.weight"].numpy() ** 2)) for n in linears(model)]
    np.testing.assert_allclose(found["gradients"], sizes, rtol=1e-9)


def test_layers_are_moved_and_removed_by_pointer_and_keys(browser: Any, tmp_path: Path) -> None:
    state = {"hidden": [4, 3, 2], "optimizers": ["adam", None, None, "sgd"]}
    page = opened(browser, tmp_path, play_page(), state)
    now = "return [Play.state().hidden, Play.state().optimizers, document.activeElement.id]"
    drag = """
    const [layer, to] = arguments;
    const box = (id) => document.getElementById(id).getBoundingClientRect();
    const end = to === null ? null : box(`handle-${to}`);
    const clientX = end ? end.left + end.width / 2 : 0;
    const clientY = end ? end.top : box('neurons').bottom + 50;
    const at = { bubbles: true, pointerId: 1, clientX, clientY };
    document.getElementById(`handle-${layer}`).dispatchEvent(new PointerEvent('pointerup', at));
    """
    key = (
        "document.getElementById(arguments[0]).dispatchEvent("
        "new KeyboardEvent('keydown', {key: arguments[1], bubbles: true}))"
    )
    page.execute_script(drag, 0, 2)
    assert errors(page) == []
    assert page.execute_script(now) == [[3, 2, 4], [None, None, "adam", "sgd"], "handle-2"]
    page.execute_script(key, "handle-2", "ArrowLeft")
    assert page.execute_script(now) == [[3, 4, 2], [None, "adam", None, "sgd"], "handle-1"]
    page.execute_script(key, "handle-0", "ArrowLeft")  # it is the first already
    assert page.execute_script(now)[0] == [3, 4, 2]
    page.execute_script(drag, 1, None)
    assert page.execute_script(now)[:2] == [[3, 2], [None, None, "sgd"]]
    page.execute_script(key, "handle-1", "Delete")
    assert page.execute_script(now)[0] == [3]
    assert page.execute_script("return Play.training().settings.sizes") == [2, 3, 1]
    page.execute_script("document.getElementById('more').click()")
    page.execute_script("const one = document.getElementById('optimizer-0'); one.value = 'adam';"
                        "one.dispatchEvent(new Event('change'))")  # fmt: skip
    page.execute_script(drag, 0, 1)  # both have three neurons: the choice moves with the layer
    shown = "return [0, 1].map((i) => document.getElementById(`optimizer-${i}`).value)"
    assert page.execute_script(shown) == ["", "adam"]
    assert errors(page) == []


def test_layers_are_added_by_pointer_and_keys(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    state = {"hidden": [4, 2], "activations": ["relu", None], "optimizers": [None, "adam", "sgd"]}
    page = opened(browser, tmp_path, play_page(), state)
    now = "return [Play.state().hidden, Play.state().activations, Play.state().optimizers]"
    said = "return document.getElementById('said').textContent"

    def at(name: str) -> Any:
        return page.find_element(By.ID, name)

    ActionChains(page).click_and_hold(at("more")).move_to_element(at("gap-1")).perform()
    marked = "return [...document.querySelectorAll('.target')].map(({id}) => id)"
    assert page.execute_script(marked) == ["gap-1"]
    ActionChains(page).release().perform()
    assert page.execute_script(marked) == []
    assert page.execute_script(now) == [
        [4, 3, 2], ["relu", None, None, None], [None, None, "adam", "sgd"]
    ]  # fmt: skip
    assert page.execute_script(said) == "Layer 2 was added, with 3 neurons."
    assert page.execute_script("return Play.training().settings.sizes") == [2, 4, 3, 2, 1]
    # Dropped outside of the network: nothing.
    ActionChains(page).click_and_hold(at("more")).move_to_element(at("points")).move_by_offset(
        0, -250
    ).release().perform()
    assert page.execute_script(now)[0] == [4, 3, 2]
    at("more").click()
    assert page.execute_script(now)[0] == [4, 3, 2, 3]
    at("gap-0").send_keys(Keys.ENTER)
    assert page.execute_script(now) == [
        [3, 4, 3, 2, 3], [None, "relu", None, None, None, None],
        [None, None, None, "adam", None, "sgd"],
    ]  # fmt: skip
    assert page.execute_script("return document.activeElement.id") == "handle-0"
    assert not at("more").is_enabled()  # five are the most
    assert not at("gap-2").is_enabled()
    # With a real pointer: a layer to another place, and one out of the network.
    ActionChains(page).drag_and_drop(at("handle-1"), at("handle-0")).perform()
    assert page.execute_script(now)[0] == [4, 3, 3, 2, 3]
    assert page.execute_script(now)[1][0] == "relu"
    ActionChains(page).click_and_hold(at("handle-4")).move_to_element(at("run")).perform()
    assert page.execute_script("return document.querySelector('.away').id") == "column-4"
    ActionChains(page).release().perform()
    assert page.execute_script(now)[0] == [4, 3, 3, 2]
    assert page.execute_script(said) == "Layer 5 was removed."
    at("plus-3").send_keys(Keys.ENTER)
    assert page.execute_script(now)[0] == [4, 3, 3, 3]
    assert page.execute_script("return document.activeElement.id") == "plus-3"
    assert "hidden%22%3A%5B4%2C3%2C3%2C3%5D" in page.current_url
    assert errors(page) == []
