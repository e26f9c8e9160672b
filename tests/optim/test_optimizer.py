"""What all optimizers have in common: groups, penalties, limits, state, refusals."""

import dataclasses
import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.engine.ir.node import CONSTANT, PLACEHOLDER
from chainrule.errors import ConfigError, ShapeError
from chainrule.optim import OPTIMIZERS, Optimizer

NAMES = sorted(OPTIMIZERS)
Parameters = dict[str, cr.Parameter]


class Net(cr.nn.Module):
    def __init__(self, dtype: str = "float32") -> None:
        rng = np.random.default_rng(0)
        self.body = [
            cr.parameter(rng.normal(size=(3, 4)), dtype),
            cr.parameter(rng.normal(size=4), dtype),
        ]
        self.head = cr.parameter(rng.normal(size=(4, 1)), dtype)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        hidden = cr.tanh(x @ self.body[0] + self.body[1])
        result: cr.Tensor = hidden @ self.head
        return result


X = np.random.default_rng(1).normal(size=(16, 3)).astype(np.float32)
Y = np.sin(X.sum(axis=1, keepdims=True))


def error(net: Net) -> cr.Tensor:
    result: cr.Tensor = ((net(cr.tensor(X)) - Y) ** 2).mean()
    return result


def train(net: Net, optimizer: Optimizer, steps: int, compiled: bool = True) -> list[float]:
    def step() -> cr.Tensor:
        loss, gradients = cr.value_and_grad(error)(net)
        optimizer.update(gradients, loss=loss)
        result: cr.Tensor = loss
        return result

    run = cr.compile(step, backend="numpy") if compiled else step
    return [run().item() for _ in range(steps)]


def bits(module: cr.nn.Module) -> dict[str, bytes]:
    return {path: value.tobytes() for path, value in module.state().items()}


# ---- learning ----------------------------------------------------------------------------------

RATES = {"sgd": 0.05, "adadelta": 20.0, "adagrad": 0.3, "lion": 0.02}


#: The learning rates and the options that PyTorch has by default.
DEFAULTS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False},
    "RMSprop": {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "momentum": 0, "centered": False},
    "Adagrad": {"lr": 1e-2, "lr_decay": 0, "initial_accumulator_value": 0, "eps": 1e-10},
    "Adadelta": {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0},
    "Adam": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False},
    "AdamW": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2},
    "NAdam": {"lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "momentum_decay": 4e-3},
    "RAdam": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0},
    "Adamax": {"lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_pytorch(name: str) -> None:
    optimizer = getattr(cr.optim, name)([cr.parameter(1.0)])
    for option, value in DEFAULTS[name].items():
        assert getattr(optimizer, option) == value, option
    assert optimizer.maximize is False


@pytest.mark.parametrize("name", NAMES)
def test_finds_the_minimum_of_a_convex_function(name: str) -> None:
    """f(w) = ½ Σ aᵢ (wᵢ − cᵢ)², curved from 0.5 to 4, minimum at c."""
    a, c = cr.tensor([0.5, 1.0, 4.0], "float64"), cr.tensor([1.0, -2.0, 0.5], "float64")
    w = {"w": cr.parameter(np.zeros(3))}
    rate = cr.optim.CosineAnnealingLR(RATES.get(name, 0.1), 500)
    optimizer = OPTIMIZERS[name](w, lr=rate, weight_decay=0.0)

    @cr.compile(backend="numpy")
    def step() -> None:
        gradients = cr.grad(lambda p: (a * (p["w"] - c) ** 2).sum() / 2)(w)
        optimizer.update(gradients)

    for _ in range(500):
        step()
    np.testing.assert_allclose(w["w"].numpy(), c.numpy(), atol=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_maximize_is_minimize_of_the_negative(name: str) -> None:
    up, down = ({"w": cr.parameter([1.0, -2.0])} for _ in range(2))
    climber = OPTIMIZERS[name](up, maximize=True)
    walker = OPTIMIZERS[name](down)
    for _ in range(3):
        climber.update({"w": -2 * up["w"]})
        walker.update({"w": 2 * down["w"]})
    assert up["w"].numpy().tobytes() == down["w"].numpy().tobytes()


def test_backward_and_step_do_what_update_does() -> None:
    one, other = Net(), Net()
    a, b = cr.optim.AdamW(one), cr.optim.AdamW(other)
    train(one, a, 5, compiled=False)
    for _ in range(5):
        b.zero_grad()
        loss = error(other)
        loss.backward()
        b.step(loss)
    assert bits(one) == bits(other)


def test_backward_and_step_inside_compile() -> None:
    one, other = Net(), Net()
    a, b = cr.optim.Adam(one), cr.optim.Adam(other)
    train(one, a, 5)

    @cr.compile(backend="numpy")
    def step() -> None:
        b.zero_grad()
        error(other).backward()
        b.step()

    for _ in range(5):
        step()
    assert bits(one) == bits(other)
    assert other.head.grad is None


# ---- compiled, interrupted ---------------------------------------------------------------------

OPTIONS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9, "dampening": 0.1},
    "rmsprop": {"momentum": 0.5, "centered": True},
    "adam": {"amsgrad": True},
}
COMMON: dict[str, Any] = {
    "weight_decay": 0.01,
    "l1": 1e-3,
    "l2": 1e-3,
    "decay": "matrices",
    "clip_norm": 0.5,
}


def full(name: str, net: Net) -> Optimizer:
    """With everything that has a state."""
    lr = cr.optim.Warmup(cr.optim.EMADriven(0.01, decay=0.8, max_lr=0.02), steps=3)
    return OPTIMIZERS[name](net, lr=lr, clip_value=0.3, **COMMON, **OPTIONS.get(name, {}))


@pytest.mark.parametrize("name", NAMES)
def test_eager_and_compiled_are_the_same_to_the_bit(name: str) -> None:
    one, other = Net(), Net()
    a, b = full(name, one), full(name, other)
    assert train(one, a, 12, compiled=False) == train(other, b, 12)
    assert bits(one) == bits(other)
    states = a.state(), b.state()
    assert states[0].keys() == states[1].keys()
    assert all(states[0][key].tobytes() == states[1][key].tobytes() for key in states[0])


@pytest.mark.parametrize("name", NAMES)
def test_resumed_is_uninterrupted_to_the_bit(name: str) -> None:
    whole, first, second = Net(), Net(), Net()
    expected = train(whole, full(name, whole), 20)
    optimizer = full(name, first)
    found = train(first, optimizer, 9)
    resumed = full(name, second)
    second.load_state(first.state())
    resumed.load_state(optimizer.state())
    found += train(second, resumed, 11)
    assert found == expected
    assert bits(second) == bits(whole)
    assert resumed.steps.item() == 20


def test_state_says_what_it_is_of() -> None:
    net = Net()
    state = cr.optim.Adam(net, lr=cr.optim.EMADriven(0.1)).state()
    assert {"steps", "rate.0", "m.body.0", "v.head", "schedule.0.slow"} <= state.keys()
    assert state["v.body.0"].shape == (3, 4)
    state["v.body.0"][:] = 7  # a copy
    assert train(net, cr.optim.Adam(net), 1)


def test_foreign_states_are_refused_and_change_nothing() -> None:
    net = Net()
    optimizer = cr.optim.Adam(net)
    train(net, optimizer, 2)
    before = optimizer.state()
    foreign: dict[str, Any] = dict(before)
    foreign["steps"] = np.int64(9)
    foreign["m.head"] = np.zeros(3)
    for state, says in (
        (cr.optim.SGD(net).state(), "belongs to another optimizer"),
        (foreign, "m.head"),
        ({**before, "m.tail": np.zeros(1)}, "m.tail"),
    ):
        with pytest.raises(ConfigError, match=says):
            optimizer.load_state(state)
    after = optimizer.state()
    assert all(before[key].tobytes() == after[key].tobytes() for key in before)


# ---- penalties ---------------------------------------------------------------------------------


@given(st.floats(0, 1), st.floats(0.001, 0.5), st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_weight_decay_of_sgd_is_an_l2_penalty_in_the_loss(λ: float, lr: float, seed: int) -> None:
    start = np.random.default_rng(seed).normal(size=(2, 3))
    decayed, penalised = {"w": cr.parameter(start)}, {"w": cr.parameter(start)}
    a, b = cr.optim.SGD(decayed, lr, weight_decay=λ), cr.optim.SGD(penalised, lr)
    for _ in range(3):
        a.update(cr.grad(lambda p: cr.sin(p["w"]).sum())(decayed))
        b.update(cr.grad(lambda p: cr.sin(p["w"]).sum() + λ / 2 * (p["w"] ** 2).sum())(penalised))
    np.testing.assert_allclose(decayed["w"].numpy(), penalised["w"].numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_penalties_are_those_of_the_loss(name: str) -> None:
    """l1 and l2 give what the penalties ½ l2 Σw² + l1 Σ|w| in the loss give."""
    start = np.array([[0.7, -0.3], [1.1, 0.2]])
    option, inside = {"w": cr.parameter(start)}, {"w": cr.parameter(start)}
    a = OPTIMIZERS[name](option, lr=0.01, l1=0.1, l2=0.3)
    b = OPTIMIZERS[name](inside, lr=0.01)
    for _ in range(5):
        a.update(cr.grad(lambda p: cr.sin(p["w"]).sum())(option))
        b.update(
            cr.grad(
                lambda p: (
                    cr.sin(p["w"]).sum() + 0.15 * (p["w"] ** 2).sum() + 0.1 * cr.abs(p["w"]).sum()
                )
            )(inside)
        )
    np.testing.assert_allclose(option["w"].numpy(), inside["w"].numpy(), rtol=1e-9)


def test_sgd_has_one_decay_decoupled_or_not() -> None:
    coupled, decoupled = {"w": cr.parameter(np.ones(3))}, {"w": cr.parameter(np.ones(3))}
    cr.optim.SGD(coupled, 0.1, weight_decay=0.5).update({"w": np.full(3, 2.0)})
    cr.optim.SGD(decoupled, 0.1, weight_decay=0.5, decoupled_weight_decay=True).update(
        {"w": np.full(3, 2.0)}
    )
    np.testing.assert_allclose(coupled["w"].numpy(), 1 - 0.1 * (2.0 + 0.5))
    np.testing.assert_allclose(decoupled["w"].numpy(), coupled["w"].numpy())


def test_adamw_decays_apart_from_the_gradient() -> None:
    """Without a gradient Adam's L2 penalty makes full steps, decoupled decay w ← w (1 − lr λ)."""
    w, v = {"w": cr.parameter(np.full(2, 3.0))}, {"w": cr.parameter(np.full(2, 3.0))}
    cr.optim.AdamW(w, 0.1, weight_decay=0.5).update({"w": np.zeros(2)})
    cr.optim.Adam(v, 0.1, weight_decay=0.5).update({"w": np.zeros(2)})
    np.testing.assert_allclose(w["w"].numpy(), 3.0 * (1 - 0.1 * 0.5))
    np.testing.assert_allclose(v["w"].numpy(), 3.0 - 0.1, rtol=1e-7)


@pytest.mark.parametrize(
    ("decay", "decayed"),
    [
        ("all", {"body.0", "body.1", "head"}),
        ("matrices", {"body.0", "head"}),
        (lambda path, w: path.startswith("body"), {"body.0", "body.1"}),
    ],
)
def test_decay_is_for_chosen_parameters(decay: Any, decayed: set[str]) -> None:
    net = Net()
    before = net.state()
    optimizer = cr.optim.SGD(net, 0.1, weight_decay=0.5, l1=0.01, decay=decay)
    optimizer.update({path: cr.zeros_like(w) for path, w in net.parameters().items()})
    changed = {path for path, value in net.state().items() if np.any(value != before[path])}
    assert changed == decayed


# ---- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [False, True])
def test_clipping_happens_before_the_penalties(known: bool) -> None:
    w = {"a": cr.parameter(np.ones(2)), "b": cr.parameter(np.ones(1))}
    optimizer = cr.optim.SGD(w, 1.0, clip_norm=1.0, weight_decay=0.5)
    gradients = {"a": cr.tensor(np.array([3.0, 0.0])), "b": cr.tensor(np.array([4.0]))}
    optimizer.update(gradients, norm=cr.optim.global_norm(gradients) if known else None)
    np.testing.assert_allclose(w["a"].numpy(), [1 - 0.5 - 0.6, 1 - 0.5], rtol=1e-5)
    np.testing.assert_allclose(w["b"].numpy(), [1 - 0.5 - 0.8], rtol=1e-5)


@pytest.mark.parametrize("known", [False, True])
def test_values_are_clipped_before_the_norm(known: bool) -> None:
    """The norm that counts is that of the clipped values, not one that was known before."""
    w, g = {"a": cr.parameter(np.zeros(2))}, {"a": np.array([100.0, -4.0])}
    norm = cr.optim.global_norm(g) if known else None
    cr.optim.SGD(w, 1.0, clip_value=3.0, clip_norm=1.0).update(g, norm=norm)
    np.testing.assert_allclose(w["a"].numpy(), np.array([-1.0, 1.0]) / math.sqrt(2), rtol=1e-6)


# ---- groups, frozen and shared parameters ------------------------------------------------------


def test_groups_have_their_own_options() -> None:
    net = Net()
    before = net.state()
    groups = cr.optim.groups_by_path(net, {"body": {"lr": 0.5}, "body.1": {"weight_decay": 1.0}})
    optimizer = cr.optim.SGD(groups, lr=0.1)
    ones = {path: cr.ones_like(w) for path, w in net.parameters().items()}
    cr.compile(lambda: optimizer.update(ones), backend="numpy")()
    for path, change in (
        ("body.0", 0.5),
        ("body.1", 0.1 * (1 + before["body.1"])),
        ("head", 0.1),
    ):
        np.testing.assert_allclose(net.state()[path], before[path] - change, rtol=1e-6)
    assert optimizer.rate.item() == 0.1
    assert [group.rate.item() for group in optimizer.groups] == [0.1, 0.5, 0.1]


def test_a_schedule_of_several_groups_moves_once() -> None:
    schedule = cr.optim.Average(cr.optim.StepLR(0.1, 2), decay=0.5)
    a, b = cr.parameter(1.0), cr.parameter(1.0)
    optimizer = cr.optim.SGD([{"params": [a]}, {"params": [b], "momentum": 0.5}], lr=schedule)
    rates = []
    for _ in range(6):
        optimizer.update([0.0, 0.0])
        rates.append([group.rate.item() for group in optimizer.groups])
    assert [first for first, _ in rates] == [second for _, second in rates] == schedule.sequence(6)
    assert optimizer.schedules() == [schedule]


def test_groups_without_a_rate_share_one_that_can_be_set() -> None:
    a, b, c = cr.parameter(1.0), cr.parameter(1.0), cr.parameter(1.0)
    optimizer = cr.optim.SGD(
        [{"params": [a]}, {"params": [b], "lr": 0.25}, {"params": [c]}], lr=0.1
    )
    schedule = optimizer.schedule
    assert isinstance(schedule, cr.optim.Constant)
    schedule.set(0.5)
    optimizer.update([1.0, 1.0, 1.0])
    assert [w.item() for w in (a, b, c)] == [0.5, 0.75, 0.5]


def test_frozen_parameters_are_left_untouched() -> None:
    net = Net()
    net.freeze("body")
    before = bits(net)
    optimizer = cr.optim.AdamW(net, weight_decay=0.1)
    assert not any("body" in key for key in optimizer.state())
    train(net, optimizer, 3)
    after = bits(net)
    assert {path for path in after if after[path] != before[path]} == {"head"}
    net.unfreeze()
    train(net, optimizer, 3)
    assert bits(net)["body.0"] != before["body.0"]
    again = Net()
    again.freeze("body")
    other = cr.optim.AdamW(again)
    other.load_state(optimizer.state())  # with what is kept since the body learns
    assert other.state().keys() == optimizer.state().keys()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_parameter_that_begins_late_takes_the_steps_of_one_that_begins(
    name: str, compiled: bool
) -> None:
    """As in PyTorch, where each parameter counts its own updates; through a saved state, too."""

    def steps(optimizer: Any, count: int) -> None:
        def step() -> None:
            own = optimizer.parameters()
            optimizer.update({path: (k + 1) * np.ones(2) for k, path in enumerate(own)})

        run = cr.compile(step, backend="numpy") if compiled else step
        for _ in range(count):
            run()

    make = partial(OPTIMIZERS[name], lr=0.1, **OPTIONS.get(name, {}))
    first = {path: cr.parameter(np.ones(2)) for path in "abc"}
    first["b"].requires_grad = first["c"].requires_grad = False
    optimizer = make(first)
    steps(optimizer, 5)
    assert first["b"].tolist() == [1.0, 1.0]
    first["b"].requires_grad = True
    steps(optimizer, 2)
    second = {path: cr.parameter(w.numpy()) for path, w in first.items()}
    second["c"].requires_grad = False
    resumed = make(second)
    resumed.load_state(optimizer.state())
    for parameters, one in ((first, optimizer), (second, resumed)):
        parameters["c"].requires_grad = True
        steps(one, 3)
        for count, path in ((10, "a"), (5, "b"), (3, "c")):
            expected = {other: cr.parameter(np.ones(2)) for other in "abc"}
            for other, w in expected.items():
                w.requires_grad = other == path
            steps(make(expected), count)
            np.testing.assert_allclose(
                parameters[path].numpy(), expected[path].numpy(), rtol=1e-6, err_msg=path
            )


def test_frozen_weights_may_be_loaded_into_a_compiled_step() -> None:
    """Their values are inputs of the graph of the gradient too, not constants."""
    compiled, eager = Net(), Net()
    changed = {path: value + 0.1 for path, value in Net().state().items()}
    losses = []
    for net, flag in ((compiled, True), (eager, False)):
        net.freeze("head")
        optimizer = cr.optim.SGD(net, 0.1)

        def step(net: Net = net, optimizer: Optimizer = optimizer) -> cr.Tensor:
            loss, gradients = cr.value_and_grad(error)(net)
            optimizer.update(gradients)
            result: cr.Tensor = loss
            return result

        run = cr.compile(step, backend="numpy") if flag else step
        run()
        net.load_state(changed)
        losses.append([run().item() for _ in range(3)])
    assert losses[0] == losses[1]
    assert bits(compiled) == bits(eager)


def test_parameters_of_two_optimizers_are_changed_by_both() -> None:
    w = cr.parameter(1.0)
    for optimizer in (cr.optim.SGD([w], 0.1), cr.optim.SGD([w], 0.2)):
        optimizer.update([1.0])
    assert w.item() == pytest.approx(0.7)


def test_further_gradients_are_ignored() -> None:
    net = Net()
    before = bits(net)
    head = {"head": net.head}
    gradients = cr.grad(error)(net)
    cr.optim.SGD(head, 0.1).update(gradients)
    assert {path for path in before if bits(net)[path] != before[path]} == {"head"}


# ---- what makes no sense -----------------------------------------------------------------------


def shared() -> cr.Parameter:
    return cr.parameter(1.0)


W = cr.parameter([1.0, 2.0])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: cr.optim.SGD([W], lr=-0.1), "lr of SGD"),
        (lambda: cr.optim.SGD([W], lr=math.nan), "lr of SGD"),
        (lambda: cr.optim.SGD([W], lr="fast"), "'fast'"),  # type: ignore[arg-type]
        (lambda: cr.optim.SGD([W], 0.1, nesterov=True), "momentum > 0"),
        (lambda: cr.optim.SGD([W], 0.1, 0.9, 0.1, nesterov=True), "dampening = 0.1"),
        (lambda: cr.optim.SGD([W], weight_decay=-1), "weight_decay of SGD"),
        (lambda: cr.optim.Adam([W], betas=(0.9, 1.0)), "below 1"),
        (lambda: cr.optim.Adam([W], betas=(-0.1, 0.9)), "The default is (0.9, 0.999)."),
        (lambda: cr.optim.Adam([W], betas=0.9), "two numbers"),  # type: ignore[arg-type]
        (lambda: cr.optim.Adam([W], eps=-1e-8), "eps of Adam"),
        (lambda: cr.optim.AdamW([W], l1=-1), "l1 of AdamW"),
        (lambda: cr.optim.AdamW([W], clip_norm=0), "clip_norm of AdamW"),
        (lambda: cr.optim.AdamW([W], clip_value=-1), "clip_value of AdamW"),
        (lambda: cr.optim.AdamW([W], decay="biases"), "all, matrices"),
        (lambda: cr.optim.NAdam([W], momentum_decay=-1), "momentum_decay"),
        (lambda: cr.optim.RMSprop([W], alpha=1.0), "alpha of RMSprop"),
        (lambda: cr.optim.Adadelta([W], rho=1.5), "rho of Adadelta"),
        (lambda: cr.optim.Adagrad([W], initial_accumulator_value=-1), "initial_accumulator"),
        (lambda: cr.optim.SGD([W, W]), "twice"),
        (lambda: cr.optim.SGD([{"params": [W]}, {"params": [W]}]), "group 1, parameter '1'"),
        (
            lambda: cr.optim.SGD([{"params": {"w": shared()}}, {"params": {"w": shared()}}]),
            "Two groups use the same path",
        ),
        (lambda: cr.optim.SGD([{"params": [W], "lrate": 1.0}]), "'lrate'"),
        (lambda: cr.optim.SGD([{"params": [W], "clip_norm": 1.0}]), "option of group 0"),
        (lambda: cr.optim.SGD([{"params": [W], "lr": -1.0}]), "lr of SGD"),
        (lambda: cr.optim.SGD(["w"]), "found: str"),
        (lambda: cr.optim.SGD(3.0), "found: float"),
        (lambda: cr.optim.SGD([cr.Buffer(1.0)]), "Only parameters can be learned"),
        (lambda: cr.optim.groups_by_path(Net(), {"haed": {}}), "Did you mean 'head'?"),
        (
            lambda: cr.optim.SGD([W], decay=lambda path, w: True).to_config(),
            "all or matrices",
        ),
    ],
)
def test_nonsense_is_refused(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert says in str(caught.value)


def test_missing_gradients_are_named() -> None:
    net = Net()
    optimizer = cr.optim.SGD(net)
    before = bits(net)
    gradients = cr.grad(error)(net)
    del gradients["body.1"]
    with pytest.raises(ConfigError, match=r"body\.1"):
        optimizer.update(gradients)
    with pytest.raises(ConfigError, match="was backward"):
        optimizer.step()
    assert bits(net) == before
    assert optimizer.steps.item() == 0


def test_gradients_of_another_shape_are_named() -> None:
    net = Net()
    gradients = cr.grad(error)(net) | {"head": cr.zeros((1, 4))}
    with pytest.raises(ShapeError, match="head"):
        cr.optim.SGD(net).update(gradients)


def test_a_rate_of_zero_is_allowed_and_changes_nothing() -> None:
    net = Net()
    before = bits(net)
    train(net, cr.optim.Adam(net, lr=0.0), 2)
    assert bits(net) == before


@pytest.mark.parametrize("name", NAMES)
def test_configuration_is_json_and_makes_the_same(name: str) -> None:
    one, other = Net(), Net()
    lr = cr.optim.OneCycleLR(0.01, 20)
    optimizer = OPTIMIZERS[name](one, lr=lr, weight_decay=0.1, **OPTIONS.get(name, {}))
    config = json.loads(json.dumps(optimizer.to_config()))
    assert config.pop("name") == name
    config["lr"] = cr.optim.Schedule.from_config(config["lr"])
    again = OPTIMIZERS[name](other, **config)
    assert train(one, optimizer, 4) == train(other, again, 4)


# ---- cost --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "limit"), [("sgd", 4), ("adam", 18), ("adamw", 20), ("lion", 13)])
def test_few_nodes_for_each_parameter(name: str, limit: int) -> None:
    """Numbers that all parameters share are computed once: a parameter adds few nodes."""

    def nodes(count: int) -> int:
        w = [cr.parameter(np.ones(n + 1)) for n in range(count)]
        optimizer = OPTIMIZERS[name](w, lr=0.1)
        graph = cr.trace(lambda g: optimizer.update(g), [x.detach() for x in w]).graph
        return sum(node.op not in (CONSTANT, PLACEHOLDER) for node in graph.nodes)

    assert (nodes(8) - nodes(3)) / 5 <= limit


def _formula(name: str, gradients: list[float], lr: float, eps: float) -> float:
    """Where a weight of 1 goes, by the formulas of the papers, with β = (0.8, 0.9), ρ = 0.9."""
    w, m, v, u, largest = 1.0, 0.0, 0.0, 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        before = v
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        m_hat, v_hat = m / (1 - 0.8**t), v / (1 - 0.9**t)
        largest = max(largest, v)
        if name == "adam":
            w -= lr * m_hat / (v_hat**0.5 + eps)
        elif name == "amsgrad":
            w -= lr * m_hat / ((largest / (1 - 0.9**t)) ** 0.5 + eps)
        elif name == "adamax":
            u = max(0.9 * u, abs(g) + eps)
            w -= lr * m_hat / u
        elif name == "rmsprop":
            w -= lr * g / (v**0.5 + eps)
        elif name == "adagrad":
            w -= lr * g / (sum(h * h for h in gradients[:t]) ** 0.5 + eps)
        elif name == "adadelta":
            d = ((u + eps) / (0.9 * before + 0.1 * g * g + eps)) ** 0.5 * g
            w, u = w - lr * d, 0.9 * u + 0.1 * d * d
        elif name == "radam":
            limit = 2 / (1 - 0.9) - 1
            rho = limit - 2 * t * 0.9**t / (1 - 0.9**t)
            if rho > 5:
                r = ((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)) ** 0.5
                w -= lr * m_hat * r * (1 - 0.9**t) ** 0.5 / (v**0.5 + eps)
            else:
                w -= lr * m_hat
    return w


@pytest.mark.parametrize(
    "name", ["adam", "amsgrad", "adamax", "rmsprop", "adagrad", "adadelta", "radam"]
)
def test_a_large_eps_is_where_the_formula_has_it(name: str) -> None:
    """By default it is so small that it is hardly seen."""
    betas = {"betas": (0.8, 0.9), "eps": 0.7}
    options = {"rmsprop": {"alpha": 0.9, "eps": 0.7}, "adagrad": {"eps": 0.7},
               "adadelta": {"rho": 0.9, "eps": 0.7},
               "amsgrad": betas | {"amsgrad": True}}.get(name, betas)  # fmt: skip
    gradients = [2.0, -0.5, 1.5, 0.25, 0.75, 0.5, -1.0, 0.1]
    w = cr.parameter(np.float64(1.0))
    optimizer = OPTIMIZERS["adam" if name == "amsgrad" else name]([w], lr=0.1, **options)
    for count, gradient in enumerate(gradients, 1):
        optimizer.update([gradient])
        expected = _formula(name, gradients[:count], 0.1, 0.7)
        assert w.item() == pytest.approx(expected, rel=1e-9), count


#: What an option may not be, and the largest and smallest that it may be.
RANGES: dict[str, tuple[list[Any], list[Any]]] = {
    "lr": ([-1e-9, math.inf], [0.0, 100.0]),
    "weight_decay": ([-1e-9, math.nan], [0.0, 3.0]),
    "l1": ([-1e-9], [0.0, 3.0]),
    "l2": ([-1e-9], [0.0, 3.0]),
    "eps": ([-1e-9], [0.0, 3.0]),
    "momentum": ([-1e-9], [0.0, 3.0]),
    "dampening": ([-1e-9, 1.001], [0.0, 1.0]),
    "alpha": ([-1e-9, 1.0], [0.0, 0.999]),
    "rho": ([-1e-9, 1.001], [0.0, 1.0]),
    "lr_decay": ([-1e-9], [0.0, 3.0]),
    "initial_accumulator_value": ([-1e-9], [0.0, 3.0]),
    "momentum_decay": ([-1e-9], [0.0, 3.0]),
    "betas": ([(1.0, 0.5), (0.5, 1.0), (0.5, -1e-9), (0.5,), (0.5, 0.5, 0.5)], [(0.0, 0.999)]),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_option_has_its_range(name: str) -> None:
    known = {option.name for option in dataclasses.fields(OPTIMIZERS[name])}
    for option, (wrong, right) in RANGES.items():
        if option in known:
            for value in right:
                OPTIMIZERS[name]([W], **{option: value})
            for value in wrong:
                with pytest.raises(ConfigError, match=f"{option} of "):
                    OPTIMIZERS[name]([W], **{option: value})


def decayed(name: str, backend: str | None, dtype: str) -> tuple[bytes, dict[str, Any]]:
    """The bits of the parameter, and the state, after gradients that end."""
    w = cr.parameter(np.ones(5), dtype)
    few = {"RMSprop": {"momentum": 0.5, "centered": True}, "SGD": {"momentum": 0.5}}
    fast = {"betas": (0.5, 0.6), "rho": 0.5, "alpha": 0.6}
    known = {option.name for option in dataclasses.fields(OPTIMIZERS[name])}
    options = {key: value for key, value in fast.items() if key in known}
    rule = OPTIMIZERS[name]([w], lr=0.1, **options, **few.get(OPTIMIZERS[name].__name__, {}))
    step: Any = lambda g: rule.update([g])  # noqa: E731
    step = step if backend is None else cr.compile(step, backend=backend)
    for number in range(320 if dtype == "float32" else 2200):
        g = np.array([1, -1, 1e-20, np.nan, 0]) * (number == 0) if number != 7 else np.zeros(5)
        step(g.astype(dtype))
    (state,) = rule.groups[0].state.values()
    return w.numpy().tobytes(), {key: buffer.numpy() for key, buffer in state.items()}


@pytest.mark.parametrize("name", NAMES)
def test_state_that_decays_ends_at_zero(name: str):
    """Numbers too small for a normal one of their type would stay, and take long."""
    weights, state = decayed(name, "numpy", "float32")
    for key, values in state.items():
        sizes = abs(values)
        assert not ((sizes > 0) & (sizes < np.finfo(np.float32).tiny)).any(), key
        assert np.isnan(values[3]), key
    for backend in (None, "c"):
        again, other = decayed(name, backend, "float32")
        assert again == weights
        assert {k: v.tobytes() for k, v in other.items()} == {
            k: v.tobytes() for k, v in state.items()
        }


def test_state_in_double_keeps_smaller_numbers():
    _, state = decayed("adam", "numpy", "float64")
    assert (state["m"][:3] == 0).all()
    rule = cr.optim.SGD([cr.parameter([1.0], "float64")], momentum=0.5)
    rule.update([[1e-100]])
    (kept,) = rule.groups[0].state.values()
    assert kept["v"].item() == 1e-100
