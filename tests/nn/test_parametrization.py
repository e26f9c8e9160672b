"""Weights that are computed from other parameters; tests/nn/test_references.py has the values."""

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigError, TypeRuleError

X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
NORMS = pytest.mark.parametrize("norm", [nn.weight_norm, nn.spectral_norm])


def net(norm):
    layers = [norm(nn.Linear(3, 4)), nn.Tanh(), norm(nn.Linear(4, 1))]
    return nn.Sequential(*layers).initialize(0)


def test_weight_norm_changes_nothing_at_first():
    plain = nn.Linear(3, 2)
    normed = nn.weight_norm(copy.deepcopy(plain))
    np.testing.assert_allclose(normed(X).numpy(), plain(X).numpy(), rtol=1e-6)
    assert isinstance(normed, nn.Linear)
    assert normed.title() == plain.title()
    assert "(parametrizations.weight): WeightNorm(axis=-1)" in repr(normed)


def test_norm_and_direction_are_apart():
    layer = nn.weight_norm(nn.Linear(3, 2))
    g, v = (layer.parameters()[f"parametrizations.weight.original{i}"] for i in (0, 1))
    before = layer.weight.numpy()
    v.assign(7 * v)
    np.testing.assert_allclose(layer.weight.numpy(), before, rtol=1e-6)
    g.assign([[2.0, 3.0]])
    np.testing.assert_allclose(np.linalg.norm(layer.weight.numpy(), axis=0), [2, 3], rtol=1e-6)


def test_initialize_keeps_the_norm_that_of_the_direction():
    first, second = (net(nn.weight_norm) for _ in range(2))
    for path, value in first.state().items():
        np.testing.assert_array_equal(value, second.state()[path])
    v = first.state()["layers.0.parametrizations.weight.original1"]
    np.testing.assert_allclose(first[0].weight.numpy(), v, rtol=1e-6)
    nn.init.redraw(first)
    again = first.state()["layers.0.parametrizations.weight.original1"]
    assert not np.array_equal(v, again)
    np.testing.assert_allclose(first[0].weight.numpy(), again, rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 2), (4, 4)])
def test_the_largest_singular_value_is_one_and_training_follows_it(shape):
    layer = nn.spectral_norm(nn.Linear(*shape)).initialize(1)
    assert np.linalg.norm(layer.weight.numpy(), 2) == pytest.approx(1, abs=0.02)
    original = layer.parameters()["parametrizations.weight.original"]
    original.assign(original[::-1] * cr.tensor([2.0] + [0.5] * (shape[1] - 1)))
    x = np.ones((2, shape[0]), "float32")
    layer(x)  # not in training: the vectors stay
    assert abs(np.linalg.norm(layer.weight.numpy(), 2) - 1) > 0.02
    step = cr.compile(lambda x: layer(x, train=True), backend="numpy")
    for _ in range(40):
        step(x)
    assert np.linalg.norm(layer.weight.numpy(), 2) == pytest.approx(1, abs=1e-3)


def test_a_vector_is_divided_by_its_norm():
    layer = nn.spectral_norm(nn.Linear(3, 2), "bias")
    layer.parameters()["parametrizations.bias.original"].assign([3.0, 4.0])
    np.testing.assert_allclose(layer.bias.numpy(), [0.6, 0.8], rtol=1e-6)


@NORMS
def test_removed_it_is_a_parameter_with_the_same_value(norm):
    layer = norm(nn.Linear(3, 2)).initialize(2)
    before = layer(X).numpy()
    assert nn.remove_parametrization(layer) is layer
    np.testing.assert_array_equal(layer(X).numpy(), before)
    assert sorted(layer.parameters()) == ["bias", "weight"]
    assert not list(layer.children())
    layer.initialize(3)
    assert not np.array_equal(layer(X).numpy(), before)


@NORMS
def test_trained_saved_and_loaded(norm, tmp_path):
    model = net(norm)
    y = (X[:, :1] - 2 * X[:, 1:2]).astype("float32")
    optimizer = cr.optim.Adam(model, lr=0.05)

    def step(x, y):
        loss, gradients = cr.value_and_grad(lambda m: cr.losses.mse(m(x, train=True), y))(model)
        optimizer.update(gradients)
        return loss

    run = cr.compile(step, backend="numpy")
    losses = [run(X, y).item() for _ in range(60)]
    assert losses[-1] < 0.3 * losses[0]
    cr.save(tmp_path / "model", model, X)
    np.testing.assert_allclose(
        cr.load(tmp_path / "model").predict(X), model(X).numpy(), rtol=1e-5, atol=1e-6
    )
    other = net(norm).initialize(9)
    other.load_state(model.state())
    np.testing.assert_array_equal(other(X).numpy(), model(X).numpy())


@NORMS
def test_an_explanation_names_what_is_learned(norm):
    model = net(norm)
    text = str(cr.explain(model, X[:2], np.ones((2, 1), "float32"), loss=cr.losses.mse))
    assert "parametrizations.weight.original" in text


def test_of_a_recurrent_layer_within_its_loop():
    layer = nn.GRU(2, 3).initialize(0).to("float64")
    plain = copy.deepcopy(layer)
    for _, cell in layer.named_modules():
        if isinstance(cell, nn.GRUCell):
            nn.weight_norm(cell, "weight_hh")
    x = np.random.default_rng(1).normal(size=(2, 4, 2))
    np.testing.assert_allclose(layer(x)[0].numpy(), plain(x)[0].numpy(), rtol=1e-12)
    cr.check_grad(lambda module: module(x)[0], layer)
    run = cr.compile(lambda m: cr.grad(lambda m: (m(x)[0] ** 2).sum())(m), backend="numpy")
    eager = cr.grad(lambda m: (m(x)[0] ** 2).sum())(layer)
    for path, gradient in run(layer).items():
        np.testing.assert_allclose(gradient.numpy(), eager[path].numpy(), rtol=1e-10, atol=1e-14)


def test_a_parametrisation_of_ones_own_takes_part_in_everything():
    class Symmetric(nn.Module):
        def __init__(self, original):
            self.original = original

        def forward(self):
            return (self.original + self.original.T) / 2

    layer = nn.parametrize(nn.Linear(3, 3), "weight", Symmetric).initialize(0)
    np.testing.assert_array_equal(layer.weight.numpy(), layer.weight.numpy().T)
    gradients = cr.grad(lambda m: (m(X) ** 2).sum())(layer)
    slope = gradients["parametrizations.weight.original"].numpy()
    np.testing.assert_allclose(slope, slope.T, rtol=1e-5)
    layer.freeze("parametrizations.weight")
    assert list(layer.trainable_parameters()) == ["bias"]


def test_what_makes_no_sense_is_refused():
    layer = nn.weight_norm(nn.Linear(3, 2))
    with pytest.raises(ConfigError, match="parametrised already"):
        nn.spectral_norm(layer)
    with pytest.raises(ConfigError, match="no parameter 'weights'") as caught:
        nn.weight_norm(nn.Linear(3, 2), "weights")
    assert caught.value.expected == "weight, bias"
    with pytest.raises(ConfigError, match="one by one"):
        nn.weight_norm(nn.Sequential(nn.Linear(3, 2)))
    with pytest.raises(TypeRuleError, match="computed by a parametrisation"):
        layer.weight = cr.parameter([[1.0]])
    with pytest.raises(ConfigError, match="not parametrised"):
        nn.remove_parametrization(layer, "bias")
    with pytest.raises(AttributeError, match="no attribute 'wieght'"):
        _ = layer.wieght
    with pytest.raises(ConfigError, match="n_power_iterations"):
        nn.spectral_norm(nn.Linear(3, 2), n_power_iterations=0)
