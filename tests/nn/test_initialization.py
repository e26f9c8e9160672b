import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigError
from chainrule.nn import init

FACTS = json.loads(
    (Path(__file__).parents[1] / "references" / "initialisation.json").read_text(encoding="utf-8")
)
KEY = cr.random.key(3)
DISTRIBUTIONS = sorted(set(init.INITIALIZERS) - {"zeros", "ones"})


@pytest.mark.parametrize("fact", FACTS["gains"], ids=str)
def test_gains_are_those_of_pytorch(fact):
    slope = {} if fact["param"] is None else {"slope": fact["param"]}
    assert init.gain(fact["nonlinearity"], **slope) == pytest.approx(fact["gain"], rel=1e-12)


def test_unknown_gain():
    with pytest.raises(ConfigError, match="swoosh"):
        init.gain("swoosh")


@pytest.mark.parametrize("fact", FACTS["draws"], ids=str)
def test_spread_is_that_of_pytorch(fact):
    """PyTorch's weights are (out, in), ours (in, out)."""
    attrs = dict(fact["attrs"])
    if "nonlinearity" in attrs:
        attrs = {
            "mode": attrs["mode"],
            "gain": init.gain(attrs["nonlinearity"], attrs["a"]),
        }
    shape = tuple(reversed(fact["shape"]))
    assert init.fans(shape) == (fact["fan_in"], fact["fan_out"])
    draw = partial(init.INITIALIZERS[fact["name"]], **attrs)
    x = draw(KEY, shape, "float64").numpy()
    if "high" in fact:
        unit = cr.random.uniform(KEY, shape, dtype="float64").numpy()
        expected = fact["low"] + unit * (fact["high"] - fact["low"])
    else:
        expected = fact["std"] * cr.random.normal(KEY, shape, dtype="float64").numpy()
    np.testing.assert_allclose(x, expected, rtol=1e-10)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_key_gives_the_same_bits(name, dtype):
    draw = init.INITIALIZERS[name]
    a, b, other = (
        draw(key, (5, 4), dtype).numpy() for key in (KEY, cr.random.key(3), cr.random.key(4))
    )
    assert a.dtype == dtype
    np.testing.assert_array_equal(a, b)
    assert not np.any(a == other)


@pytest.mark.parametrize(
    ("name", "std"),
    [
        ("lecun_uniform", 1 / math.sqrt(300)),
        ("lecun_normal", 1 / math.sqrt(300)),
        ("he_uniform", math.sqrt(2 / 300)),
        ("he_normal", math.sqrt(2 / 300)),
        ("glorot_uniform", math.sqrt(2 / 500)),
        ("glorot_normal", math.sqrt(2 / 500)),
        ("normal", 1.0),
        ("uniform", 0.1 / math.sqrt(12)),
        # The deviation of a normal distribution cut at ±2: √(1 - 4φ(2)/(2Φ(2) - 1)).
        ("truncated_normal", 0.8796256610342398),
        ("orthogonal", 1 / math.sqrt(300)),
    ],
)
def test_mean_and_deviation(name, std):
    x = init.INITIALIZERS[name](KEY, (300, 200), "float64").numpy()
    assert abs(x.mean()) < 4 * std / math.sqrt(x.size)
    # The error of an estimated deviation is at most about 1/√(2n) of a normal one.
    assert x.std() == pytest.approx(std, rel=4 / math.sqrt(2 * x.size))


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (4, 4), (2, 3, 4)])
def test_orthogonal(shape):
    x = init.orthogonal(KEY, shape, "float64", gain=2.0).numpy().reshape(-1, shape[-1]) / 2.0
    product = x.T @ x if x.shape[0] >= x.shape[1] else x @ x.T
    np.testing.assert_allclose(product, np.eye(min(x.shape)), atol=1e-12)


def test_truncated_normal_stays_inside():
    x = init.truncated_normal(KEY, (100, 100), mean=5.0, std=0.5, limit=1.0).numpy()
    assert 4.5 <= x.min() < 4.51
    assert 5.49 < x.max() <= 5.5
    assert x.dtype == np.float32
    with pytest.raises(ConfigError):
        init.truncated_normal(KEY, (3,), limit=0.0)


def test_constants():
    assert init.zeros(KEY, (2,)).tolist() == [0.0, 0.0]
    assert init.ones(KEY, (2,)).tolist() == [1.0, 1.0]
    assert init.constant(KEY, (2,), value=0.5).tolist() == [0.5, 0.5]


def test_fans_of_a_window():
    assert init.fans((3, 3, 8, 16)) == (72, 144)
    with pytest.raises(ConfigError, match="two axes"):
        init.xavier_normal(KEY, (3,))
    with pytest.raises(ConfigError, match="fan mode"):
        init.kaiming_normal(KEY, (3, 3), mode="fan")


def test_layers_take_names_and_functions():
    assert not nn.Linear(3, 2, init="zeros").weight.numpy().any()
    layer = nn.Linear(3, 2, init=partial(init.constant, value=2.0))
    assert layer.weight.tolist() == [[2.0, 2.0]] * 3
    with pytest.raises(ConfigError, match="initialisation"):
        nn.Linear(3, 2, init="xaver")


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.BatchNorm(3), nn.Embedding(3, 3))


def test_layers_that_are_made_alike_differ():
    state = net().state()
    assert not np.any(state["layers.0.weight"] == state["layers.1.weight"])


def test_a_seed_gives_the_same_network():
    a = net().initialize(7).state()
    nn.Linear(5, 5)  # moves the count of what was made
    b = net().initialize(7).state()
    for path in a:
        np.testing.assert_array_equal(a[path], b[path])


def test_other_seeds_and_other_paths_give_other_numbers():
    a, b = net().initialize(7).state(), net().initialize(8).state()
    weights = [a[f"layers.{i}.weight"] for i in (0, 1, 3)] + [b["layers.0.weight"]]
    assert len(np.unique(np.concatenate(weights))) == 4 * 9


def test_initialize_starts_running_statistics_again():
    network = net()[2:3].initialize(0)
    before = network.state()
    network(cr.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]]), train=True)
    assert np.any(network.state()["layers.0.running_mean"])
    for path, value in network.initialize(0).state().items():
        np.testing.assert_array_equal(value, before[path])


def test_initialize_keeps_given_numbers_type_and_frozenness():
    class Net(nn.Module):
        def __init__(self) -> None:
            self.scale = cr.parameter([2.0])
            self.linear = nn.Linear(2, 2)

    network = Net().to("float64")
    network.freeze("linear")
    network.initialize(1)
    assert network.scale.tolist() == [2.0]
    assert network.linear.weight.dtype == np.float64
    assert list(network.trainable_parameters()) == ["scale"]


def test_tied_weights_are_drawn_once_and_stay_tied():
    class Net(nn.Module):
        def __init__(self) -> None:
            self.embed = nn.Linear(3, 3)
            self.out = nn.Linear(3, 3)
            self.out.weight = self.embed.weight

    tied = Net().initialize(0)
    assert tied.out.weight is tied.embed.weight
    alone = nn.Sequential({"embed": nn.Linear(3, 3)}).initialize(0)
    assert "layers.embed.weight" in alone.state()  # another path: other numbers
    assert np.any(alone.state()["layers.embed.weight"] != tied.embed.weight.numpy())


def test_numbers_do_not_change_between_versions():
    """A seed in a published experiment must go on meaning the same weights."""
    weight = nn.Linear(2, 2).initialize(0).weight.numpy()
    expected = [[1.5237592, 0.07131946], [-0.979757, 0.07841337]]
    np.testing.assert_allclose(weight, expected, rtol=1e-6)
