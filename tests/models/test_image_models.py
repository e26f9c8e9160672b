"""The ready networks for vectors and images learn, and say what they need."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import models
from chainrule.errors import ConfigError, ShapeError
from chainrule.training import Step

from ..nightly import by_day_on_numpy

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(64, 6)).astype(np.float32)
IMAGES = RNG.normal(size=(64, 8, 8, 2)).astype(np.float32)
CLASSES = RNG.integers(0, 4, 64)
#: Vectors that two numbers describe, and images that one does.
CURVED = np.tanh(RNG.normal(size=(64, 2)) @ RNG.normal(size=(2, 10))).astype(np.float32)
WAVES = np.add.outer(np.sin(np.arange(8)), np.cos(np.arange(8)))[None, ..., None] * RNG.normal(
    size=(64, 1, 1, 1)
).astype(np.float32)


def fit(
    model: Any,
    inputs: Any,
    target: Any,
    loss: Any,
    steps: int,
    rate: float = 1e-2,
    backend: str = "numpy",
) -> float:
    """The loss after so many steps on all examples at once."""
    model.initialize(0)
    step = Step(model, loss, cr.optim.Adam(model, rate), backend=backend)
    return min([step(inputs, target)[0] for _ in range(steps)][-5:])


CLASSIFIERS = {
    "mlp": (models.mlp(6, 4, [64]), ROWS, 150),
    "lenet": (models.lenet(4, 2, 8, (8, 8), 32), IMAGES, 40),
    "vgg": (models.vgg(4, 2, (12, 24), 1), IMAGES, 60),
    "resnet": (models.resnet(4, 2, (8, 16), 1), IMAGES, 40),
    "mobilenet": (models.mobilenet(4, 2, (16, 32, 32), (1, 2, 1)), IMAGES, 40),
}


@pytest.mark.parametrize(("name", "backend"), by_day_on_numpy(CLASSIFIERS, "resnet"))
def test_classifiers_learn_64_examples_by_heart(name, backend):
    """Random labels: chance is ln 4 = 1.39."""
    model, inputs, steps = CLASSIFIERS[name]
    rate = 3e-2 if inputs is ROWS else 1e-2
    assert fit(model, inputs, CLASSES, cr.losses.cross_entropy, steps, rate, backend) < 0.05


AUTOENCODERS = {
    "dense": (models.autoencoder(10, 2, [32]), CURVED, 200, 0.02),
    "convolutional": (models.conv_autoencoder(1, (8, 8)), WAVES.astype(np.float32), 60, 0.02),
    "denoising": (models.autoencoder(10, 4, [64], noise=0.05), CURVED, 200, 0.03),
}


@pytest.mark.parametrize(("name", "backend"), by_day_on_numpy(AUTOENCODERS, "convolutional"))
def test_autoencoders_give_back_what_they_get(name, backend):
    """The mean square of the data is about 0.5 and 1."""
    model, data, steps, error = AUTOENCODERS[name]
    found = fit(model, data, data, cr.losses.mse, steps, backend=backend)
    assert found < error * np.square(data).mean() / 0.5


def test_a_denoising_autoencoder_is_damaged_only_in_training():
    model = models.autoencoder(10, 4, [16], noise=0.5, drop=0.5).initialize(0)
    x = cr.tensor(CURVED)
    key = cr.random.key(1)
    assert (model(x).numpy() == model.decoder(model.encoder(x)).numpy()).all()
    assert (model(x, train=True, key=key).numpy() != model(x).numpy()).any()
    with pytest.raises(ConfigError, match="random key"):
        model(x, train=True)


def test_a_vae_learns_and_makes_new_examples():
    """Two kinds of examples, as far apart as can be: codes find both, and so do samples."""
    kinds = np.eye(2, dtype=np.float32)[RNG.integers(0, 2, 64)].repeat(5, 1)
    model = models.vae(10, 1, [16])
    # The kind alone is ln 2 = 0.69 nats; nothing can do better.
    loss = fit(model, kinds, kinds, models.vae_loss, 250)
    assert 0.5 < loss < 1.6
    without_distance = fit(
        model, kinds, kinds, lambda found, x: models.vae_loss(found, x, beta=0.0), 150
    )
    assert without_distance < 0.05


def test_the_samples_of_a_vae_are_like_its_examples():
    kinds = np.eye(2, dtype=np.float32)[RNG.integers(0, 2, 64)].repeat(5, 1)
    model = models.vae(10, 1, [16])
    fit(model, kinds, kinds, models.vae_loss, 250)
    drawn = model.sample(cr.random.key(0), 200).numpy()
    clear = np.abs(drawn - 0.5).min(1) > 0.3
    assert clear.mean() > 0.7
    first = drawn[clear][:, 0] > 0.5
    assert 0.2 < first.mean() < 0.8
    np.testing.assert_array_equal(drawn[clear] > 0.5, np.stack([first, ~first], 1).repeat(5, 1))


def test_the_distance_of_a_vae_is_that_of_the_normal_distributions():
    """½ Σ (μ² + σ² - ln σ² - 1) against the integral ∫ q ln(q / p)."""
    mu, s = 0.7, 0.4
    z = np.linspace(-6, 8, 20001)
    q = np.exp(-0.5 * ((z - mu) / s) ** 2) / (s * np.sqrt(2 * np.pi))
    p = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    expected = np.trapezoid(q * np.log(q / p), z)
    nothing = cr.zeros((1, 1), "float64")
    encoded = (
        models.vae(1)
        .forward(np.ones((1, 1)))
        ._replace(
            reconstruction=nothing,
            center=cr.tensor([[mu]], "float64"),
            log_variance=cr.tensor([[2 * np.log(s)]], "float64"),
        )
    )
    found = models.vae_loss(encoded, np.ones((1, 1))).item() - np.log(2)
    assert found == pytest.approx(expected, rel=1e-6)


def test_what_a_vae_needs():
    model = models.vae(4)
    with pytest.raises(ConfigError, match="random key"):
        model(cr.ones((2, 4)), train=True)
    wrong = models.VAE(models.mlp(4, 3), models.mlp(2, 4), 2)
    with pytest.raises(ShapeError, match="μ and ln σ²"):
        wrong(cr.ones((2, 4)))


def test_sizes():
    """ResNet-20 of the paper has 0.27 million weights (its table 6)."""
    model = models.resnet()
    assert sum(p.size for p in model.parameters().values()) == pytest.approx(0.27e6, rel=0.03)
    full = 9 * 64 * 128
    separable = 9 * 64 + 64 * 128
    assert separable < full / 8
    for images in (28, 32):
        assert models.lenet(size=images)(cr.zeros((1, images, images, 1))).shape == (1, 10)
    assert models.vgg()(cr.zeros((1, 32, 32, 3))).shape == (1, 10)
    assert models.mobilenet()(cr.zeros((1, 32, 32, 3))).shape == (1, 10)
