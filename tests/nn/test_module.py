import copy
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigError, ShapeError, TypeRuleError


class Net(nn.Module):
    def __init__(self) -> None:
        self.first = nn.Linear(2, 3)
        self.blocks: list[nn.Module] = [nn.Linear(3, 3), nn.BatchNorm(3)]
        self.heads: dict[str, Any] = {"mean": nn.Linear(3, 1), "rest": [nn.Linear(3, 2)]}
        self.scale = cr.parameter([1.0])

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.scale * self.heads["mean"](x)


def test_variables_have_paths():
    assert list(Net().variables()) == [
        "first.weight",
        "first.bias",
        "blocks.0.weight",
        "blocks.0.bias",
        "blocks.1.weight",
        "blocks.1.bias",
        "blocks.1.running_mean",
        "blocks.1.running_var",
        "heads.mean.weight",
        "heads.mean.bias",
        "heads.rest.0.weight",
        "heads.rest.0.bias",
        "scale",
    ]


def test_representation_shows_what_is_inside():
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Linear(2, 3)\n"
        "  (blocks.0): Linear(3, 3)\n"
        "  (blocks.1): BatchNorm(3, eps=1e-05, momentum=0.1)\n"
        "  (heads.mean): Linear(3, 1)\n"
        "  (heads.rest.0): Linear(3, 2)\n"
        ")"
    )
    assert repr(nn.Residual(nn.Residual(nn.ReLU()))) == (
        "Residual(\n  (module): Residual(\n    (module): ReLU()\n  )\n)"
    )


def test_freeze_by_path():
    net = Net()
    net.freeze("blocks", "heads.mean.bias")
    assert list(net.trainable_parameters()) == [
        "first.weight",
        "first.bias",
        "heads.mean.weight",
        "heads.rest.0.weight",
        "heads.rest.0.bias",
        "scale",
    ]
    gradient = cr.grad(lambda module: module(cr.ones((4, 2)), train=True).sum())(net)
    assert gradient.keys() == net.trainable_parameters().keys()
    net.unfreeze()
    assert net.trainable_parameters() == net.parameters()
    with pytest.raises(ConfigError, match="'block'"):
        net.freeze("block")


def test_state_goes_from_one_network_to_another():
    a, b = Net().initialize(0), Net().initialize(1)
    x = cr.tensor([[1.0, 2.0]])
    assert a(x).item() != b(x).item()
    b.load_state(a.state())
    assert a(x).item() == b(x).item()
    wrong = a.state() | {"scale": np.ones(2)}
    with pytest.raises(ShapeError, match="another network"):
        b.load_state(wrong)
    del wrong["scale"]
    with pytest.raises(ShapeError, match="another network"):
        b.load_state(wrong)


def test_a_deep_copy_is_a_network_of_its_own():
    a = Net().initialize(0)
    a.freeze("first")
    b = copy.deepcopy(a)
    assert list(b.trainable_parameters()) == list(a.trainable_parameters())
    x = cr.tensor([[1.0, 2.0], [3.0, 5.0], [4.0, 1.0]])

    def error(module, x):
        return (module(x, train=True) ** 2).sum()

    @cr.compile(backend="numpy")
    def step(x):
        value, gradient = cr.value_and_grad(error)(b, x)
        for path, parameter in b.trainable_parameters().items():
            parameter.assign(parameter - 0.1 * gradient[path])
        return value

    before = a.state()
    step(x)
    for path, value in a.state().items():
        np.testing.assert_array_equal(value, before[path])
    assert b.scale.item() != a.scale.item()
    again = copy.deepcopy(a).initialize(5)
    assert np.any(again.state()["first.weight"] != before["first.weight"])


def test_a_deep_copy_keeps_tied_weights_tied():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    one, two = copy.deepcopy([first, second])
    assert two.weight is one.weight is not first.weight


def test_train_and_key_are_inherited():
    seen = []

    class Spy(nn.Module):
        def forward(self, x, *, train, key):
            seen.append((train, None if key is None else tuple(key.tolist())))
            return x

    net = nn.Sequential(Spy(), nn.Sequential(Spy()))
    net(cr.ones(1))
    net(cr.ones(1), train=True, key=cr.random.key(0))
    (first, second), (third, fourth) = seen[:2], seen[2:]
    assert first == second == (False, None)
    assert third[0] is fourth[0] is True
    assert third[1] != fourth[1]


def test_observe_reports_every_call():
    calls = []
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    with nn.observe(lambda path, module, inputs, result: calls.append((path, result.shape))):
        net(cr.ones((4, 2)))
    net(cr.ones((4, 2)))
    assert calls == [("layers.0", (4, 3)), ("layers.1", (4, 3)), ("", (4, 3))]


@pytest.mark.parametrize("name", ["weight", "running_mean"])
@pytest.mark.parametrize("value", [cr.ones(2), np.ones(2), 1.0, [1.0, 1.0]])
def test_a_variable_is_not_replaced_by_numbers(name: str, value: Any) -> None:
    norm = nn.BatchNorm(2)
    with pytest.raises(TypeRuleError, match=f"{name} of BatchNorm is a ") as caught:
        setattr(norm, name, value)
    assert f"{name}.assign" in caught.value.hint
    assert name in norm.variables()


def test_variables_may_be_replaced_by_variables_modules_and_nothing() -> None:
    layer, shared = nn.Linear(2, 2), cr.parameter(np.ones((2, 2)))
    layer.weight = shared
    layer.bias = None
    assert layer.parameters() == {"weight": shared}
    layer.weight = nn.Embedding(2, 2)
    assert list(layer.parameters()) == ["weight.weight"]
