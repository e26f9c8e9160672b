"""Autoencoders: networks that reproduce their input, through a bottleneck."""

from __future__ import annotations

from collections.abc import Sequence

from .. import nn
from ..engine.ops import random, where
from ..engine.ops.declare import floating
from ..engine.tensor import Tensor, TensorLike
from ..errors import ConfigError
from .mlp import mlp


class Autoencoder(nn.Module):
    """decoder(encoder(x)); while training the encoder may get a corrupted x.

    Args:
        encoder: from examples to codes.
        decoder: from codes to examples.
        noise: while training, the standard deviation of normal noise added to x.
        drop: while training, the probability that a number of x becomes 0. With noise or drop this
            is a denoising autoencoder (Vincent et al., ICML 2008): the target stays the clean x.

    Raises:
        ConfigError: when training with noise or drop without a random key.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, noise: float = 0.0, drop: float = 0.0
    ) -> None:
        self.encoder = encoder
        self.decoder = decoder
        self.noise = noise
        self.drop = drop

    def forward(self, x: TensorLike, *, train: bool = False, key: Tensor | None = None) -> Tensor:
        given = floating(x)
        if train and (self.noise or self.drop):
            given = self._corrupted(given, key)
        y: Tensor = self.decoder(self.encoder(given))
        return y

    def _corrupted(self, x: Tensor, key: Tensor | None) -> Tensor:
        if key is None:
            raise ConfigError(
                "A denoising autoencoder needs a random key to train.",
                expected="model(x, train=True, key=key)",
                found="no key",
            )
        if self.drop:
            keep = random.uniform(random.fold_in(key, 0), x.shape, dtype=x.dtype) >= self.drop
            x = where(keep, x, 0.0)
        if self.noise:
            x = x + self.noise * random.normal(random.fold_in(key, 1), x.shape, dtype=x.dtype)
        return x

    def extra_repr(self) -> str:
        return f"noise={self.noise}, drop={self.drop}"


def autoencoder(
    inputs: int,
    code: int = 8,
    hidden: Sequence[int] = (64, 32),
    noise: float = 0.0,
    drop: float = 0.0,
) -> Autoencoder:
    """A dense autoencoder of vectors, (batch, inputs).

    Args:
        inputs: extent of the last axis.
        code: size of the bottleneck.
        hidden: hidden units of each layer of the encoder; the decoder has them in reverse order.
        noise: see `Autoencoder`.
        drop: see `Autoencoder`.

    Example:
        >>> import chainrule as cr
        >>> model = cr.models.autoencoder(20, code=2)
        >>> model(cr.ones((5, 20))).shape, model.encoder(cr.ones((5, 20))).shape
        ((5, 20), (5, 2))
    """
    encoder, decoder = mlp(inputs, code, hidden), mlp(code, inputs, [*reversed(hidden)])
    return Autoencoder(encoder, decoder, noise, drop)


def conv_autoencoder(
    channels: int = 1, widths: Sequence[int] = (16, 32), noise: float = 0.0, drop: float = 0.0
) -> Autoencoder:
    """A convolutional autoencoder of images, (batch, height, width, channels).

    Each convolution of the encoder halves the extents, each transposed convolution of the decoder
    doubles them: 2^len(widths) divides them.

    Args:
        channels: of the images.
        widths: channels of each convolution; the last are those of the code.
        noise: see `Autoencoder`.
        drop: see `Autoencoder`.

    Example:
        >>> import chainrule as cr
        >>> model = cr.models.conv_autoencoder()
        >>> model(cr.ones((5, 28, 28, 1))).shape, model.encoder(cr.ones((5, 28, 28, 1))).shape
        ((5, 28, 28, 1), (5, 7, 7, 32))
    """
    down: list[nn.Module] = []
    up: list[nn.Module] = []
    for inputs, outputs in zip([channels, *widths], widths, strict=False):
        down += [nn.Conv2d(inputs, outputs, 4, stride=2, padding="same"), nn.ReLU()]
        up = [nn.ConvTranspose2d(outputs, inputs, 4, stride=2, padding="same"), nn.ReLU(), *up]
    return Autoencoder(nn.Sequential(*down[:-1]), nn.Sequential(*up[:-1]), noise, drop)
