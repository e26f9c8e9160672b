"""Training two networks against each other, in one compiled step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..engine.autodiff import grad, value_and_grad
from ..engine.compile import compile
from ..engine.ops import mean, random, softplus, sqrt, stop_gradient, sum
from ..engine.ops.declare import floating
from ..engine.tensor import Tensor, TensorLike
from ..errors import ConfigError, unknown
from ..models.gan import GAN
from ..nn import Module
from ..optim import Optimizer


def _logistic(scores_real: Tensor, scores_fake: Tensor) -> Tensor:
    """-ln σ(D(x)) - ln(1 - σ(D(G(z)))): two cross-entropies."""
    total: Tensor = mean(softplus(-scores_real)) + mean(softplus(scores_fake))
    return total


#: What the discriminator and the generator minimise, from the scores.
_LOSSES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    # The generator's is the one that does not saturate: -ln σ(D(G(z))).
    "logistic": (_logistic, lambda fake: mean(softplus(-fake))),
    "wasserstein": (lambda real, fake: mean(fake) - mean(real), lambda fake: -mean(fake)),
}


class AdversarialStep:
    """One step of both networks on one batch, compiled.

    First the discriminator learns, ``discriminator_updates`` times with new codes, then the
    generator against the discriminator as it is now. Each gradient is with respect to the
    parameters of one network only.

    Args:
        model: the two networks.
        generator_optimizer: of the generator's parameters.
        discriminator_optimizer: of the discriminator's.
        loss: "logistic" (Goodfellow et al., 2014), or "wasserstein" (Arjovsky et al., 2017).
        penalty: λ of λ·mean((‖∂D/∂x̂‖ - 1)²), at points x̂ between real and generated examples, added
            to the discriminator's loss (Gulrajani et al., "Improved training of Wasserstein GANs",
            2017, with λ = 10). Its derivative is of second order.
        discriminator_updates: how many times the discriminator learns in a step.
        seed: the latent codes follow from it and the step.
        backend: what runs the step; see `chainrule.compile`.

    Raises:
        ConfigError: the optimizers have parameters of the other network, or in common, or lack
            some of their own.

    Example:
        >>> import chainrule as cr
        >>> model = cr.models.gan(2, code=2, hidden=[8])
        >>> optimizers = [
        ...     cr.optim.Adam(part, 1e-3) for part in (model.generator, model.discriminator)
        ... ]
        >>> step = cr.AdversarialStep(model, *optimizers)
        >>> losses = step(cr.ones((4, 2)))
        >>> sorted(losses)
        ['discriminator', 'generator']
    """

    def __init__(
        self,
        model: GAN,
        generator_optimizer: Optimizer,
        discriminator_optimizer: Optimizer,
        loss: str = "logistic",
        penalty: float = 0.0,
        discriminator_updates: int = 1,
        seed: int = 0,
        backend: str = "auto",
    ) -> None:
        if loss not in _LOSSES:
            raise unknown("loss of a GAN", loss, _LOSSES)
        if discriminator_updates < 1:
            raise ConfigError(
                "A generator learns from its discriminator's error alone.",
                expected="discriminator_updates from 1",
                found=str(discriminator_updates),
            )
        _check_owner("generator", model.generator, generator_optimizer)
        _check_owner("discriminator", model.discriminator, discriminator_optimizer)
        self.model = model
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.loss = loss
        self.penalty = penalty
        self.discriminator_updates = discriminator_updates
        self.number = 0
        self._key = random.key(seed)
        self._run = compile(self._step, backend=backend)

    def __call__(self, real: TensorLike) -> dict[str, float]:
        """Learn from one batch of real examples; the losses before the updates."""
        losses = self._run(real, np.int64(self.number))
        self.number += 1
        return {name: loss.item() for name, loss in losses.items()}

    def _step(self, real: Tensor, number: Tensor) -> dict[str, Tensor]:
        key = random.fold_in(self._key, number)
        real = floating(real)
        for update in range(self.discriminator_updates):
            discriminator = self._train_discriminator(real, random.fold_in(key, update + 1))
        generator, gradients = value_and_grad(self._generator_loss)(
            self.model.generator, real.shape[0], random.fold_in(key, 0)
        )
        self.generator_optimizer.update(gradients, loss=generator)
        return {"discriminator": discriminator, "generator": generator}

    def _train_discriminator(self, real: Tensor, key: Tensor) -> Tensor:
        fake = stop_gradient(self._generated(self.model.generator, real.shape[0], key))
        loss, gradients = value_and_grad(self._discriminator_loss)(
            self.model.discriminator, real, fake, key
        )
        self.discriminator_optimizer.update(gradients, loss=loss)
        return loss

    def _generated(self, generator: Module, count: int, key: Tensor) -> Tensor:
        codes = random.normal(random.fold_in(key, 0), (count, self.model.code))
        fake: Tensor = generator(codes, train=True, key=random.fold_in(key, 1))
        return fake

    def _generator_loss(self, generator: Module, count: int, key: Tensor) -> Tensor:
        fake = self._generated(generator, count, key)
        draw = random.fold_in(key, 2)
        return _LOSSES[self.loss][1](self.model.discriminator(fake, train=True, key=draw))

    def _discriminator_loss(
        self, discriminator: Module, real: Tensor, fake: Tensor, key: Tensor
    ) -> Tensor:
        draws = [random.fold_in(key, number) for number in range(2, 6)]
        scores = [
            discriminator(x, train=True, key=draw)
            for x, draw in zip((real, fake), draws, strict=False)
        ]
        loss = _LOSSES[self.loss][0](*scores)
        if not self.penalty:
            return loss
        t = random.uniform(draws[2], (len(real), *(1 for _ in real.shape[1:])), dtype=real.dtype)
        between = real + t * (fake - real)
        gradient = grad(lambda x: sum(discriminator(x, train=True, key=draws[3])))(between)
        norm = sqrt(sum(gradient * gradient, range(1, gradient.ndim)) + 1e-12)
        total: Tensor = loss + self.penalty * mean((norm - 1.0) ** 2)
        return total


def _check_owner(name: str, network: Module, optimizer: Optimizer) -> None:
    """An error unless an optimizer has the parameters of this network, all and no others."""
    own = network.trainable_parameters()
    given = {path: w for path, w in optimizer.parameters().items() if w.requires_grad}
    missing = [path for path, w in own.items() if not any(w is other for other in given.values())]
    foreign = [path for path, w in given.items() if not any(w is other for other in own.values())]
    if missing or foreign:
        raise ConfigError(
            f"The {name}'s optimizer changes the {name}'s parameters, all of them and no others.",
            where=f"optimizer of the {name}",
            expected=", ".join(own),
            found=f"without {', '.join(missing)}" if missing else f"also {', '.join(foreign)}",
            hint=f"Make it of model.{name}.",
        )
