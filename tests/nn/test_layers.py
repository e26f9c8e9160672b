"""What single layers promise beyond their values: options, statistics, errors."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigError, DataError, ShapeError, TypeRuleError

KEY = cr.random.key(5)


# ---- Linear, Bilinear ----------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(0, 2), (2, -1), (2.5, 2), ("3", 2), (True, 2), (None, 2)])
def test_sizes_are_positive_integers(sizes):
    with pytest.raises(ConfigError, match="positive integer"):
        nn.Linear(*sizes)


def test_linear_takes_sizes_from_numpy():
    sizes: list[Any] = [np.int64(3), np.int32(2)]
    assert nn.Linear(*sizes).weight.shape == (3, 2)


@pytest.mark.parametrize("shape", [(), (2,), (5, 2), (3, 1)])
def test_linear_refuses_other_features(shape):
    with pytest.raises(ShapeError, match="does not fit") as caught:
        nn.Linear(3, 4)(cr.ones(shape))
    assert "Linear(3, 4)" in str(caught.value)
    assert caught.value.expected == "3 features on the last axis"


def test_linear_keeps_an_empty_batch():
    assert nn.Linear(3, 4)(cr.ones((0, 3))).shape == (0, 4)


def test_bilinear_refuses_batches_that_differ():
    with pytest.raises(ShapeError, match="axes before the last"):
        nn.Bilinear(3, 2, 4)(cr.ones((5, 3)), cr.ones((1, 2)))


# ---- Embedding -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("numbers", "found"), [([[1, 4]], "4 at [0, 1]"), ([-1], "-1 at [0]")])
def test_embedding_names_layer_and_place_of_a_wrong_number(numbers, found):
    net = nn.Sequential({"words": nn.Embedding(4, 2)})
    with pytest.raises(DataError) as caught:
        net(cr.tensor(numbers))
    assert "layers.words Embedding(4, 2)" in str(caught.value.where)
    assert (caught.value.expected, caught.value.found) == ("0 to 3", found)


def test_embedding_takes_integers():
    with pytest.raises(TypeRuleError, match="integer indices"):
        nn.Embedding(4, 2)(cr.tensor([1.0]))


def test_padding_is_zero_and_not_learned():
    layer = nn.Embedding(4, 2, padding_idx=1)
    y = layer(cr.tensor([0, 1, 1]))
    assert y[1:].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert np.all(y[0].numpy())
    gradient = cr.grad(lambda module: module(cr.tensor([0, 1, 1])).sum())(layer)["weight"]
    assert gradient.tolist() == [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    with pytest.raises(ConfigError, match="padding_idx"):
        nn.Embedding(4, 2, padding_idx=4)


# ---- activations ---------------------------------------------------------------------------------


def test_options_are_those_of_the_function():
    assert nn.LeakyReLU(0.5)(cr.tensor([-2.0])).tolist() == [-1.0]
    assert repr(nn.Softmax(axis=0)) == "Softmax(axis=0)"
    assert nn.ACTIVATIONS["relu"] is nn.ReLU
    for wrong in (lambda: nn.ReLU(3), lambda: nn.LeakyReLU(slope=1), lambda: nn.Threshold()):
        with pytest.raises(ConfigError, match="Wrong options"):
            wrong()


def test_own_activation():
    def cube(x, scale=1.0):
        return scale * x**3

    try:

        class Cube(nn.Activation, function=cube):
            """Scale · x³."""

        assert Cube(scale=2.0)(cr.tensor([2.0])).tolist() == [16.0]
        assert nn.ACTIVATIONS["cube"] is Cube
    finally:
        del nn.ACTIVATIONS["cube"]


# ---- Dropout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [nn.Dropout, nn.AlphaDropout])
def test_dropout_needs_a_key_only_to_train(kind):
    x = cr.tensor([1.0, 2.0])
    assert kind(0.5)(x).tolist() == [1.0, 2.0]
    assert kind(0.0)(x, train=True).tolist() == [1.0, 2.0]
    net = nn.Sequential(nn.Identity(), kind(0.5))
    with pytest.raises(ConfigError, match="random key") as caught:
        net(x, train=True)
    assert "layers.1" in str(caught.value.where)


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_dropout_probability(p):
    with pytest.raises(ConfigError, match="probability"):
        nn.Dropout(p)


def test_dropout_drops_the_right_part_and_keeps_the_mean():
    y = nn.Dropout(0.3)(cr.ones(40_000), train=True, key=KEY).numpy()
    assert set(y.tolist()) == {0.0, np.float32(1 / 0.7)}
    assert (y == 0).mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / 40_000))
    assert y.mean() == pytest.approx(1.0, abs=0.02)


def test_alpha_dropout_keeps_mean_and_variance():
    x = cr.random.normal(cr.random.key(1), (100_000,), "float64")
    y = nn.AlphaDropout(0.2)(x, train=True, key=KEY).numpy()
    assert y.mean() == pytest.approx(0.0, abs=0.02)
    assert y.var() == pytest.approx(1.0, abs=0.02)


def test_dropout_is_a_function_of_the_key():
    net = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    x = cr.ones(64)
    first, again = (net(x, train=True, key=KEY).tolist() for _ in range(2))
    other = net(x, train=True, key=cr.random.key(6)).tolist()
    assert first == again != other
    # Two layers draw different numbers: a quarter is kept, not a half.
    kept = np.count_nonzero(net(cr.ones(10_000), train=True, key=KEY).numpy())
    assert kept == pytest.approx(2500, abs=4 * np.sqrt(10_000 * 3 / 16))


# ---- normalisation -------------------------------------------------------------------------------


def test_batch_norm_does_not_train_on_one_row():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm(3))
    for x in (cr.ones((1, 2)), cr.ones(2)):
        with pytest.raises(ShapeError, match="one row") as caught:
            net(x, train=True)
        assert "layers.1 BatchNorm(3" in str(caught.value.where)
        net(x)


def test_running_statistics_reach_those_of_the_data():
    x = cr.tensor(np.random.default_rng(0).normal([1.0, -2.0], [3.0, 0.5], (64, 2)))
    norm = nn.BatchNorm(2).to("float64")
    for _ in range(200):
        norm(x, train=True)
    np.testing.assert_allclose(norm.running_mean.numpy(), x.numpy().mean(axis=0), rtol=1e-8)
    np.testing.assert_allclose(norm.running_var.numpy(), x.numpy().var(axis=0, ddof=1), rtol=1e-8)
    y = norm(x).numpy()
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-8)


def test_evaluation_leaves_the_statistics_alone():
    norm = nn.BatchNorm(2)
    before = norm.state()
    norm(cr.tensor([[1.0, 2.0], [3.0, 5.0]]))
    for path, value in norm.state().items():
        np.testing.assert_array_equal(value, before[path])


def test_no_gradient_flows_through_the_statistics():
    """A second call in the same step uses what the first left, as a constant."""
    x = cr.tensor([[1.0], [4.0]])
    norm = nn.BatchNorm(1, affine=False)

    def step(scale):
        norm(scale * x, train=True)
        return norm(x).sum()

    assert cr.compile(cr.grad(step), backend="numpy")(cr.tensor(2.0)).item() == 0.0
    assert cr.grad(step)(cr.tensor(2.0)).item() == 0.0


def test_norms_take_other_element_types():
    assert nn.LayerNorm(2)(cr.tensor([[1, 3]])).dtype == np.float32


@pytest.mark.parametrize("layer", [nn.BatchNorm(3), nn.LayerNorm(3), nn.RMSNorm(3), nn.PReLU(3)])
def test_features_must_fit(layer):
    with pytest.raises(ShapeError, match="does not fit"):
        layer(cr.ones((4, 2)))


def test_layer_norm_of_two_axes_names_both():
    with pytest.raises(ShapeError) as caught:
        nn.LayerNorm((2, 3))(cr.ones((4, 3, 2)))
    assert caught.value.expected == "(2, 3) features on the last axes"
