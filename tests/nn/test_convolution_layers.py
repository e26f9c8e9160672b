"""Layers for images beyond the stored references: initial values, and messages."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigError, ShapeError


def test_a_separable_convolution_is_a_full_one_with_products_of_weights():
    layer = nn.SeparableConv2d(3, 4, (3, 2), stride=2, padding=1).initialize(0).to("float64")
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 3))
    depth, point = layer.depthwise.weight.numpy(), layer.pointwise.weight.numpy()
    full = np.swapaxes(depth, 2, 3) * point  # (3, 2, in, 1)·(1, 1, in, out)
    expected = cr.conv2d(x, full, layer.pointwise.bias, stride=2, padding=1)
    np.testing.assert_allclose(layer(cr.tensor(x)).numpy(), expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "terms"),
    [
        (nn.Conv2d(16, 64, 5), 16 * 25),
        (nn.Conv2d(32, 64, 5, groups=4), 8 * 25),
        (nn.DepthwiseConv2d(64, 5), 25),
        (nn.ConvTranspose2d(16, 64, 5), 16 * 25),
        (nn.ConvTranspose1d(16, 64, 9, groups=4), 4 * 9),
    ],
    ids=str,
)
def test_initial_weights_keep_the_variance_through_relu(layer, terms):
    """Var = 2 / (terms of a sum), as He et al. (2015) have it."""
    variance = layer.initialize(1).weight.numpy().var()
    assert variance == pytest.approx(2 / terms, rel=0.1)


def test_batch_norm_is_that_of_images_too():
    x = np.random.default_rng(0).normal(size=(4, 3, 3, 2)).astype(np.float32)
    y = nn.BatchNorm(2)(x, train=True).numpy()
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.std((0, 1, 2)), 1, atol=1e-4)


def test_normalisations_of_an_image_do_not_see_the_others():
    x = cr.tensor(np.random.default_rng(0).normal(size=(3, 4, 4, 4)))
    for layer in (nn.GroupNorm(2, 4), nn.InstanceNorm(4)):
        np.testing.assert_allclose(layer(x)[1:2].numpy(), layer(x[1:2]).numpy(), rtol=1e-12)


def test_spatial_dropout_drops_whole_channels():
    x = cr.ones((50, 3, 3, 20))
    y = nn.SpatialDropout(0.25)(x, train=True, key=cr.random.key(0)).numpy()
    assert (y == y[:, :1, :1]).all()
    kept = (y[:, 0, 0] > 0).mean()
    assert kept == pytest.approx(0.75, abs=0.05)
    np.testing.assert_allclose(y.max(), 1 / 0.75)
    assert (nn.SpatialDropout(0.25)(x).numpy() == 1).all()


# ---- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "shape", "words"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 8, 5)),
            (2, 8, 8, 1),
            ["layers.2 Conv2d(4, 8, 5)", "larger than the padded input", "(3, 3)", "(5, 5)"],
        ),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)),
            (2, 8, 8, 3),
            ["layers.2 Conv2d(8, 8, 3)", "8 channels", "float32[2, 6, 6, 4]", "layers.1 ReLU()"],
        ),
        (
            nn.Conv2d(3, 4, 3),
            (2, 3, 8, 8),
            ["3 channels", "8 (float32[2, 3, 8, 8])", "channels-last"],
        ),
        (nn.Conv1d(3, 4, 3), (2, 8, 8, 3), ["Conv1d", "(batch, length, channels)"]),
        (nn.MaxPool2d(4), (2, 3, 8, 1), ["MaxPool2d(4)", "(3, 8)", "(4, 4)"]),
        (nn.AvgPool2d(2), (8, 8, 1), ["AvgPool2d(2)", "(batch, height, width, channels)"]),
        (nn.GlobalAvgPool(), (8, 3), ["GlobalAvgPool", "(batch, height, width, channels)"]),
        (nn.GroupNorm(2, 4), (2, 3, 6), ["GroupNorm(2, 4", "4 features", "[2, 3, 6]"]),
        (nn.InstanceNorm(3), (2, 1, 1, 3), ["single numbers", "[2, 1, 1, 3]"]),
        (nn.BatchNorm(3), (1, 1, 1, 3), ["BatchNorm(3", "one row", "[1, 1, 1, 3]"]),
        (nn.ConvTranspose2d(3, 2, 3), (2, 4, 4, 2), ["ConvTranspose2d(3, 2, 3)", "3 channels"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_errors_name_the_layer_and_the_shapes(network, shape, words):
    with pytest.raises(ShapeError) as caught:
        network(cr.zeros(shape), train=True)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Conv2d(6, 8, 3, groups=4), ["layer Conv2d", "4 divides", "6 and 8"]),
        (lambda: nn.ConvTranspose2d(8, 6, 3, groups=4), ["layer ConvTranspose2d", "8 and 6"]),
        (lambda: nn.GroupNorm(3, 8), ["layer GroupNorm", "3 divides", "8"]),
        (lambda: nn.Conv2d(0, 8, 3), ["in_channels", "0"]),
        (lambda: nn.Conv2d(1, 8, (3, 3, 3)), ["kernel_size", "2 of them"]),
        (lambda: nn.Conv2d(1, 8, 3, stride=0), ["stride", "0"]),
        (lambda: nn.Conv2d(1, 8, 3, padding="full"), ["'same'", "'full'"]),
        (lambda: nn.ConvTranspose2d(1, 8, 3, output_padding=-1), ["output_padding"]),
        (lambda: nn.MaxPool2d(0), ["kernel_size"]),
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), ["output_size"]),
        (lambda: nn.Upsample(), ["neither"]),
        (lambda: nn.SpatialDropout(1.0), ["out of range"]),
    ],
)
def test_invalid_options_are_refused_at_once(make, words):
    with pytest.raises(ConfigError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
