import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigError, ShapeError


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))


# ---- Sequential ----------------------------------------------------------------------------------


def test_sequential_is_a_sequence():
    layers = net()
    assert len(layers) == 3
    assert [type(layer).__name__ for layer in layers] == ["Linear", "ReLU", "Linear"]
    assert layers[-1] is layers[2]
    part = layers[1:]
    assert isinstance(part, nn.Sequential)
    assert part[1] is layers[2]
    assert bool(nn.Sequential())
    assert nn.Sequential()(cr.tensor([2.0])).tolist() == [2.0]
    with pytest.raises(IndexError):
        layers[3]


def test_named_sequential():
    layers = nn.Sequential({"hidden": nn.Linear(3, 4), "act": nn.Tanh(), "out": nn.Linear(4, 1)})
    assert next(iter(layers.parameters())) == "layers.hidden.weight"
    assert layers["act"] is layers[1]
    assert list(layers[:2].parameters()) == ["layers.hidden.weight", "layers.hidden.bias"]
    with pytest.raises(ConfigError, match="'outt'"):
        layers["outt"]


@pytest.mark.parametrize("wrong", [cr.relu, nn.ReLU, 3, None])
def test_sequential_takes_modules_only(wrong):
    with pytest.raises(ConfigError, match="Layer 1"):
        nn.Sequential(nn.ReLU(), wrong)


@pytest.mark.parametrize("name", ["", "a.b"])
def test_names_are_parts_of_paths(name):
    with pytest.raises(ConfigError, match="path"):
        nn.Sequential({name: nn.ReLU()})


# ---- whose output does not fit -------------------------------------------------------------------


def failure(network: nn.Module, *shape: int) -> ShapeError:
    with pytest.raises(ShapeError) as caught:
        network(cr.ones(shape))
    return caught.value


def test_a_mismatch_names_both_layers():
    error = failure(nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(64, 10)), 8, 5)
    assert error.where == "layer layers.2 Linear(64, 10)"
    assert error.expected == "64 features on the last axis"
    assert error.found == "32 (float32[8, 32]), from layers.1 ReLU()"


def test_the_first_layer_has_none_before_it():
    error = failure(net(), 8, 5)
    assert error.where == "layer layers.0 Linear(3, 4)"
    assert error.found == "5 (float32[8, 5])"


def test_a_mismatch_across_nested_networks():
    inner = nn.Sequential(nn.Linear(5, 32), nn.ReLU())
    error = failure(nn.Sequential(inner, nn.Residual(nn.Sequential(nn.BatchNorm(31)))), 8, 5)
    assert str(error.where).startswith("layer layers.1.module.layers.0 BatchNorm(31")
    assert str(error.found).endswith("from layers.0.layers.1 ReLU()")


def test_a_mismatch_in_a_module_of_ones_own():
    class Net(nn.Module):
        def __init__(self) -> None:
            self.encode = nn.Linear(3, 4)
            self.decode = nn.Linear(5, 3)

        def forward(self, x):
            return self.decode(self.encode(x))

    error = failure(Net(), 2, 3)
    assert error.where == "layer decode Linear(5, 3)"
    assert error.found == "4 (float32[2, 4]), from encode Linear(3, 4)"


def test_a_mismatch_while_compiling():
    network = nn.Sequential(nn.Linear(5, 32), nn.Linear(64, 10))
    with pytest.raises(ShapeError, match=r"does not fit") as caught:
        cr.compile(lambda x: network(x), backend="numpy")(cr.ones((8, 5)))
    assert caught.value.found == "32 (float32[8, 32]), from layers.0 Linear(5, 32)"


def test_an_error_of_an_operation_has_the_layer_too():
    class Wrong(nn.Module):
        def forward(self, x):
            return x + cr.ones(3)

    error = failure(nn.Sequential(Wrong()), 2, 4)
    assert error.where == "layer layers.0 Wrong()"


# ---- Residual, Flatten ---------------------------------------------------------------------------


def test_residual_never_broadcasts():
    with pytest.raises(ShapeError, match="must give one shape") as caught:
        nn.Residual(nn.Linear(3, 1))(cr.ones((2, 3)))
    assert "Linear(3, 1)" in str(caught.value.expected)
    assert nn.Residual(nn.Linear(3, 1), nn.Linear(3, 1))(cr.ones((2, 3))).shape == (2, 1)


def test_flatten_keeps_the_batch():
    x = cr.tensor(np.arange(24).reshape(2, 3, 4))
    assert nn.Flatten()(x).shape == (2, 12)
    assert nn.Flatten(2)(x).shape == (2, 3, 4)
    assert nn.Flatten(0)(x).shape == (24,)
