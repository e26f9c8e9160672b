"""Generative adversarial networks (Goodfellow et al., NeurIPS 2014).

A generator makes examples from random codes, a discriminator tells them from real ones. They are
trained against each other: see `chainrule.training.AdversarialStep`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..engine.ops import random
from ..engine.tensor import Tensor, TensorLike
from ..errors import ConfigError
from .common import conv_block
from .mlp import mlp


class GAN(nn.Module):
    """A generator and a discriminator.

    Args:
        generator: from latent codes, (batch, code), to examples.
        discriminator: from examples to one score each, (batch, 1), high for real ones.
        code: how many random numbers an example is made of.

    Raises:
        ConfigError: one of the two is missing.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module, code: int) -> None:
        for name, part in (("generator", generator), ("discriminator", discriminator)):
            if not isinstance(part, nn.Module):
                raise ConfigError(
                    f"A GAN needs a {name}.",
                    expected="two modules: a generator learns from its discriminator's error alone",
                    found=repr(part),
                )
        self.generator = generator
        self.discriminator = discriminator
        self.code = code

    def forward(self, z: TensorLike) -> Tensor:
        y: Tensor = self.generator(z)
        return y

    def sample(self, key: Tensor, count: int) -> Tensor:
        """New examples from random codes."""
        y: Tensor = self.generator(random.normal(key, (count, self.code)))
        return y

    def extra_repr(self) -> str:
        return f"code={self.code}"


def gan(outputs: int, code: int = 8, hidden: Sequence[int] = (64, 64)) -> GAN:
    """Two dense networks, for vectors (batch, outputs).

    Args:
        outputs: extent of the last axis of the examples.
        code: how many random numbers an example is made of.
        hidden: hidden units of each layer of the generator; the discriminator has them in reverse
            order.

    Example:
        >>> import chainrule as cr
        >>> cr.models.gan(3).sample(cr.random.key(0), 5).shape
        (5, 3)
    """
    generator = mlp(code, outputs, hidden)
    return GAN(generator, mlp(outputs, 1, [*reversed(hidden)], nn.LeakyReLU), code)


def dcgan(
    size: int = 28, channels: int = 1, code: int = 32, width: int = 32, normalize: bool = True
) -> GAN:
    """Two convolutional networks for images with numbers from -1 to 1 (Radford et al., 2016).

    The generator enlarges a code twice by transposed convolutions with batch normalisation; the
    discriminator shrinks an image twice by convolutions with a stride.

    Args:
        size: height and width of the images; 4 divides it.
        channels: of the images.
        code: how many random numbers an image is made of.
        width: channels next to the image; there are twice as many further inside.
        normalize: whether the discriminator has a batch normalisation. With a gradient penalty
            it must not: that takes the gradient of each image on its own.

    Raises:
        ConfigError: 4 does not divide the size.

    Example:
        >>> import chainrule as cr
        >>> cr.models.dcgan(8, width=4).sample(cr.random.key(0), 2).shape
        (2, 8, 8, 1)
    """
    if size % 4 or size < 4:
        raise ConfigError("dcgan doubles the extents twice.", expected="a size that 4 divides",
                          found=str(size))  # fmt: skip
    small, wide = size // 4, 2 * width

    def enlarge(inputs: int, outputs: int, **options: Any) -> nn.Module:
        return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding="same", **options)

    generator = nn.Sequential(
        nn.Linear(code, small * small * wide, bias=False),
        nn.BatchNorm(small * small * wide),
        nn.ReLU(),
        nn.Unflatten((small, small, wide)),
        enlarge(wide, width, bias=False),
        nn.BatchNorm(width),
        nn.ReLU(),
        enlarge(width, channels, init="xavier_uniform"),
        nn.Tanh(),
    )
    inner = nn.Conv2d(width, wide, 4, stride=2, padding="same")
    discriminator = nn.Sequential(
        nn.Conv2d(channels, width, 4, stride=2, padding="same"),
        nn.LeakyReLU(0.2),
        conv_block(width, wide, 4, stride=2, activation=None) if normalize else inner,
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(small * small * wide, 1, init="xavier_uniform"),
    )
    return GAN(generator, discriminator, code)
