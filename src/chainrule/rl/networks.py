"""The networks of agents: policies, values, and statistics of what they see."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..engine.ops import clip, concatenate, mean, random, sqrt, squeeze
from ..engine.ops import max as largest
from ..engine.tensor import Buffer, Parameter, Tensor, as_tensor
from ..errors import unknown
from ..nn import init
from .distributions import Categorical, Gaussian, SquashedGaussian
from .spaces import Box, Discrete, Space

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU,
                                           "silu": nn.SiLU}  # fmt: skip
#: Normalised observations are cut off here.
_FAR = 10.0
_LOG_STD = (-20.0, 2.0)
#: What an image goes through before the hidden layers: channels and size of a convolution.
_CHANNELS, _WINDOW = 16, 3


def activation_named(name: str) -> type[nn.Module]:
    """The layer of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def orthogonal(gain: float) -> Any:
    """The initialisation of policies: orthogonal, with a factor."""
    return functools.partial(init.orthogonal, gain=gain)


def body(
    shape: tuple[int, ...], outputs: int, hidden: Sequence[int], activation: str,
    gains: tuple[float, float] | None,
) -> nn.Sequential:  # fmt: skip
    """From observations to some numbers: linear layers, after a convolution if it is an image.

    Args:
        shape: of one observation; (height, width, channels) of an image.
        outputs: how many numbers.
        hidden: hidden units of each layer.
        activation: its name.
        gains: of the orthogonal initialisation of the hidden layers and of the last one; None for
            uniform numbers of variance 1/(3·inputs), as PyTorch draws them.
    """
    act = activation_named(activation)
    layers: list[nn.Module] = []
    width = math.prod(shape)
    if len(shape) == 3 and min(shape[:2]) > _WINDOW:
        layers += [nn.Conv2d(shape[2], _CHANNELS, _WINDOW), nn.ReLU(), nn.Flatten()]
        width = (shape[0] - _WINDOW + 1) * (shape[1] - _WINDOW + 1) * _CHANNELS
    elif len(shape) != 1:
        layers += [nn.Flatten()]
    for units in hidden:
        layers += [_linear(width, units, gains and gains[0]), act()]
        width = units
    return nn.Sequential(*layers, _linear(width, outputs, gains and gains[1]))


def _linear(inputs: int, outputs: int, gain: float | None) -> nn.Linear:
    if gain is not None:
        return nn.Linear(inputs, outputs, init=orthogonal(gain))
    layer = nn.Linear(inputs, outputs, init=_uniform(inputs))
    layer.bias = init.parameter((outputs,), _uniform(inputs))
    return layer


def _uniform(inputs: int) -> Any:
    limit = 1 / math.sqrt(inputs)

    def draw(key: Tensor, shape: tuple[int, ...], dtype: Any = float) -> Tensor:
        return random.uniform(key, shape, -limit, limit, dtype)

    return draw


class Normalizer(nn.Module):
    """(x − mean) / standard deviation of all that was seen so far, cut off at ±10.

    Mean and variance are buffers: a saved policy takes raw observations.

    Args:
        shape: of one observation.

    Example:
        >>> import chainrule as cr
        >>> seen = Normalizer((1,))
        >>> seen.observe(cr.tensor([[1.0], [3.0]]))
        >>> seen(cr.tensor([[3.0]])).numpy().round(3).tolist()
        [[1.0]]
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.mean = Buffer(np.zeros(shape), "float64")
        self.variance = Buffer(np.ones(shape), "float64")
        self.count = Buffer(0.0, "float64")

    def forward(self, x: Tensor) -> Tensor:
        z = (as_tensor(x).astype("float64") - self.mean) / sqrt(self.variance + 1e-8)
        return clip(z, -_FAR, _FAR).astype("float32")

    def observe(self, x: Tensor) -> None:
        """Take rows into the statistics (Chan et al., 1979)."""
        x = x.astype("float64")
        rows = float(x.shape[0])
        center = mean(x, 0)
        spread = mean((x - center) ** 2, 0)
        before, total = self.count, self.count + rows
        away = center - self.mean
        squares = self.variance * before + spread * rows + away * away * before * rows / total
        self.mean.assign(self.mean + away * rows / total)
        self.variance.assign(squares / total)
        self.count.assign(total)


class ActorCritic(nn.Module):
    """A policy and a value function, side by side, as Stable-Baselines3 builds them.

    A call gives logits (rows, actions), or for a `Box` of actions their means.

    Args:
        observation: the space of observations.
        action: that of actions.
        hidden: hidden units of each layer, of both.
        activation: its name.
        normalize: normalise observations by what was seen.
        log_std: the first logarithm of the standard deviation of continuous actions.

    Example:
        >>> import chainrule as cr
        >>> pole = cr.rl.CartPole()
        >>> net = ActorCritic(pole.observation_space, pole.action_space).initialize(0)
        >>> net(cr.zeros((3, 4))).shape, net.value(cr.zeros((3, 4))).shape
        ((3, 2), (3,))
    """

    def __init__(
        self, observation: Box, action: Space, hidden: Sequence[int] = (64, 64),
        activation: str = "tanh", normalize: bool = False, log_std: float = 0.0,
    ) -> None:  # fmt: skip
        self.normalizer = Normalizer(observation.shape) if normalize else None
        outputs = action.n if isinstance(action, Discrete) else action.size
        gain = math.sqrt(2)
        self.actor = body(observation.shape, outputs, hidden, activation, (gain, 0.01))
        self.critic = body(observation.shape, 1, hidden, activation, (gain, 1.0))
        if isinstance(action, Box):
            self.log_std = Parameter(np.full(action.size, log_std, np.float32))
        self._discrete = isinstance(action, Discrete)

    def seen(self, observation: Tensor) -> Tensor:
        """The observation as the layers take it."""
        return observation if self.normalizer is None else self.normalizer(observation)

    def forward(self, observation: Tensor) -> Tensor:
        return self.actor(self.seen(observation))

    def distribution(self, observation: Tensor) -> Categorical | Gaussian:
        """Of the actions."""
        found = self(observation)
        return Categorical(found) if self._discrete else Gaussian(found, self.log_std)

    def value(self, observation: Tensor) -> Tensor:
        """What is still to come from here on, (rows,)."""
        return squeeze(self.critic(self.seen(observation)), 1)


class QNetwork(nn.Module):
    """Q(s, a) of every action: (rows, actions).

    Args:
        observation: the space of observations.
        action: that of actions.
        hidden: hidden units of each layer.
        activation: its name.
        dueling: V(s) + A(s, a) − mean A(s, ·), of two networks (Wang et al., 2016).
    """

    def __init__(
        self, observation: Box, action: Discrete, hidden: Sequence[int] = (64, 64),
        activation: str = "relu", dueling: bool = False,
    ) -> None:  # fmt: skip
        self.advantage = body(observation.shape, action.n, hidden, activation, None)
        self.value = body(observation.shape, 1, hidden, activation, None) if dueling else None

    def forward(self, observation: Tensor) -> Tensor:
        found = self.advantage(observation)
        if self.value is None:
            return found
        return self.value(observation) + found - mean(found, 1, keepdims=True)

    def best(self, observation: Tensor) -> Tensor:
        """The largest Q of each row."""
        return largest(self(observation), 1)


class SquashedActor(nn.Module):
    """A policy of continuous actions between −1 and 1; a call gives tanh of the mean.

    Args:
        observation: the space of observations.
        action: that of actions.
        hidden: hidden units of each layer.
        activation: its name.
    """

    def __init__(
        self, observation: Box, action: Box, hidden: Sequence[int] = (256, 256),
        activation: str = "relu",
    ) -> None:  # fmt: skip
        self._size = action.size
        self.actor = body(observation.shape, 2 * action.size, hidden, activation, None)

    def distribution(self, observation: Tensor) -> SquashedGaussian:
        """Of the actions."""
        found = self.actor(observation)
        mean_, log_std = found[:, : self._size], found[:, self._size :]
        return SquashedGaussian(mean_, clip(log_std, *_LOG_STD))

    def forward(self, observation: Tensor) -> Tensor:
        return self.distribution(observation).mode()


class TwinCritic(nn.Module):
    """Two networks that each give Q(s, a), (rows,): the smaller is less often too high.

    Args:
        observation: the space of observations.
        action: that of actions.
        hidden: hidden units of each layer.
        activation: its name.
    """

    def __init__(
        self, observation: Box, action: Box, hidden: Sequence[int] = (256, 256),
        activation: str = "relu",
    ) -> None:  # fmt: skip
        width = (observation.size + action.size,)
        self.first = body(width, 1, hidden, activation, None)
        self.second = body(width, 1, hidden, activation, None)

    def forward(self, observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        rows = observation.shape[0]
        both = concatenate([observation.reshape(rows, -1), action], 1)
        return squeeze(self.first(both), 1), squeeze(self.second(both), 1)
