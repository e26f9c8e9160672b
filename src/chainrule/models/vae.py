"""The variational autoencoder (Kingma and Welling, "Auto-encoding variational Bayes", 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .. import nn
from ..engine.ops import exp, mean, random, reshape, sigmoid, split, sum
from ..engine.ops.declare import floating
from ..engine.tensor import Tensor, TensorLike
from ..errors import ConfigError, ShapeError
from ..losses import binary_cross_entropy
from .mlp import mlp


class Encoded(NamedTuple):
    """What a `VAE` gives: the reconstruction, and the distribution of the codes."""

    reconstruction: Tensor  # logits, (batch, inputs)
    center: Tensor  # μ, (batch, code)
    log_variance: Tensor  # ln σ², (batch, code)


class VAE(nn.Module):
    """An autoencoder whose codes are normally distributed, so that new examples can be drawn.

    The encoder gives μ and ln σ² of the code. While training, z = μ + σ·ε with ε from N(0, 1): the
    randomness is an input, and derivatives go through μ and σ ("reparameterisation"). Otherwise
    z = μ.

    Args:
        encoder: from examples to 2·code numbers.
        decoder: from codes to logits of examples, whose numbers are from 0 to 1.
        code: how many numbers a code has.

    Raises:
        ConfigError: when training without a random key.
        ShapeError: the encoder does not give 2·code numbers.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, code: int) -> None:
        self.encoder = encoder
        self.decoder = decoder
        self.code = code

    def forward(self, x: TensorLike, *, train: bool = False, key: Tensor | None = None) -> Encoded:
        given = floating(x)
        both = self.encoder(given)
        if both.shape[-1] != 2 * self.code:
            raise ShapeError("The encoder of a VAE gives μ and ln σ².",
                             expected=f"2·{self.code} numbers", found=str(both.type))  # fmt: skip
        center, log_variance = split(both, 2, -1)
        z = center
        if train:
            if key is None:
                raise ConfigError(
                    "A VAE needs a random key to train.",
                    expected="model(x, train=True, key=key)",
                    found="no key",
                )
            z = center + exp(0.5 * log_variance) * random.normal(key, center.shape, center.dtype)
        return Encoded(reshape(self.decoder(z), given.shape), center, log_variance)

    def sample(self, key: Tensor, count: int) -> Tensor:
        """New examples: codes from N(0, 1), decoded, as numbers from 0 to 1."""
        y: Tensor = sigmoid(self.decoder(random.normal(key, (count, self.code))))
        return y

    def extra_repr(self) -> str:
        return f"code={self.code}"


def vae_loss(encoded: Encoded, x: TensorLike, beta: float = 1.0) -> Tensor:
    """-ELBO: the error of the reconstruction and the KL divergence of the codes from N(0, 1).

    Σ cross-entropy(x̂, x) + beta · ½ Σ (μ² + σ² - ln σ² - 1), the mean over the batch (eq. 10; with
    beta other than 1: Higgins et al., 2017).

    Args:
        encoded: what a `VAE` gave for x.
        x: the examples, numbers from 0 to 1.
        beta: the weight of the divergence.
    """
    logits, center, log_variance = encoded
    errors = binary_cross_entropy(logits, floating(x), reduction="none")
    divergence = 0.5 * sum(center**2 + exp(log_variance) - log_variance - 1.0, -1)
    total: Tensor = sum(errors) / x.shape[0] + beta * mean(divergence)
    return total


def vae(inputs: int, code: int = 2, hidden: Sequence[int] = (256, 64)) -> VAE:
    """A dense variational autoencoder of vectors with numbers from 0 to 1, (batch, inputs).

    Args:
        inputs: extent of the last axis.
        code: how many numbers a code has.
        hidden: hidden units of each layer of the encoder; the decoder has them in reverse order.

    Example:
        >>> import chainrule as cr
        >>> model = cr.models.vae(20, code=2, hidden=[16])
        >>> encoded = model(cr.ones((5, 20)), train=True, key=cr.random.key(0))
        >>> encoded.reconstruction.shape, model.sample(cr.random.key(1), 3).shape
        ((5, 20), (3, 20))
    """
    return VAE(mlp(inputs, 2 * code, hidden), mlp(code, inputs, [*reversed(hidden)]), code)
