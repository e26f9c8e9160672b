"""Algorithms that learn from what they remember, whoever has acted: DQN and SAC."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ...engine.autodiff import value_and_grad
from ...engine.ops import (
    argmax,
    exp,
    expand_dims,
    mean,
    minimum,
    random,
    scan,
    squeeze,
    take_along_axis,
    where,
)
from ...engine.tensor import Parameter, Tensor
from ...errors import ConfigError
from ...nn import Module
from ...optim import Adam
from ..distributions import scaled_to
from ..losses import dqn_loss, sac_actor_loss, sac_critic_loss, sac_temperature_loss, td_targets
from ..networks import QNetwork, SquashedActor, TwinCritic
from ..replay import PrioritizedReplay, Replay
from ..spaces import Box, Discrete
from ..worlds import GraphWorlds, Rollout, not_finite
from .algorithm import Algorithm, invalid, numbers_of

Data = dict[str, Tensor]
#: Steps of all worlds in one record of the history, about.
_RECORD = 1000


@dataclass(eq=False)
class OffPolicy(Algorithm):
    """Base of algorithms with a replay buffer.

    Args:
        lr: the learning rate.
        buffer_size: how many transitions are kept.
        learning_starts: steps before the first update.
        batch_size: rows of an update.
        gamma: γ, the discount of later rewards.
        train_freq: steps of each world between two rounds of updates.
        gradient_steps: updates in a round; −1 for one for each step of a world.
    """

    lr: float = field(default=1e-4, kw_only=True)
    n_envs: int = field(default=1, kw_only=True)
    buffer_size: int = field(default=100_000, kw_only=True)
    learning_starts: int = field(default=100, kw_only=True)
    batch_size: int = field(default=32, kw_only=True)
    gamma: float = field(default=0.99, kw_only=True)
    train_freq: int = field(default=4, kw_only=True)
    gradient_steps: int = field(default=1, kw_only=True)

    replay: Replay = field(init=False, repr=False)

    def check(self) -> None:
        """See the base."""
        for name in ("buffer_size", "batch_size", "train_freq"):
            self._need_whole(name, 1)
        self._need_whole("learning_starts", 0)
        self._need_whole("gradient_steps", -1)
        self._need_between("gamma", 0.0, 1.0)
        self._need_between("lr", 0.0)
        if self.gradient_steps == 0:
            raise invalid("gradient_steps", 0, "a positive integer, or -1")
        if self.buffer_size < self.batch_size:
            raise ConfigError(
                "The replay buffer is smaller than a batch.",
                expected=f"buffer_size of at least {self.batch_size}",
                found=str(self.buffer_size),
            )

    def build(self) -> None:
        """See the base."""
        self.replay = Replay(self.buffer_size, self.seed)
        self._begun = 0
        self._updates = 0

    def parts(self) -> dict[str, Any]:
        """See the base."""
        return super().parts() | {"replay": self.replay}

    def counts(self) -> dict[str, Any]:
        """See the base."""
        return super().counts() | {"updates": self._updates}

    def load_counts(self, counts: dict[str, Any]) -> None:
        """See the base."""
        super().load_counts(counts)
        self._updates = counts["updates"]

    def begin(self, steps: int) -> None:
        """See the base."""
        self._begun = self.steps
        self._latest: dict[str, float] = {}

    def explore(
        self, observation: Tensor, key: Tensor, epsilon: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """An action to learn from; ``epsilon`` is how much is left to chance."""
        raise NotImplementedError

    def epsilon(self, progress: float) -> float:
        """How much is left to chance at this fraction of the training."""
        return 1.0 if self.steps < self.learning_starts else 0.0

    def update(self, data: Data, noise: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """One update by a batch; part of a graph. Numbers by name, and the error of each row."""
        raise NotImplementedError

    def after_updates(self) -> None:
        """Between two rounds: for target networks."""

    def iterate(self, remaining: float) -> dict[str, float]:
        """About a thousand steps, in rounds of ``train_freq`` steps and their updates."""
        collected: list[dict[str, float]] = []
        first = self.steps
        while self.steps < min(self.goal, first + _RECORD):
            progress = (self.steps - self._begun) / max(self.goal - self._begun, 1)
            self.replay.add(self._collect(progress))
            self._iteration += 1
            if self.steps >= self.learning_starts and len(self.replay):
                collected.append(self._learn(progress))
        self._iteration -= 1  # the base counts one itself
        if not collected:
            return {}
        names = collected[0]
        return {name: float(np.mean([one[name] for one in collected])) for name in names}

    def _collect(self, progress: float) -> Rollout:
        epsilon = np.array(self.epsilon(progress), np.float32)
        if isinstance(self.worlds, GraphWorlds):
            program = self.program("collect", self._collected, guard=True)
            rollout, experience = program(np.array(self._iteration, np.int64), epsilon)
            rollout = Rollout(*(x if isinstance(x, dict) else x.numpy() for x in rollout))
            self.need_finite({}, experience.item())
        else:
            acting = self._acting("explore", self.explore)
            rollout = self.worlds.rollout(lambda x, t: acting(x, t, epsilon), self.train_freq)
            known = (rollout.reward, rollout.next_observation)
            self.need_finite({}, 0.0 if all(np.isfinite(x).all() for x in known) else math.nan)
        self.took(rollout.reward.size, rollout.done, rollout.total, rollout.length)
        return rollout

    def _collected(self, number: Tensor, epsilon: Tensor) -> tuple[Rollout, Tensor]:
        worlds = self.worlds
        assert isinstance(worlds, GraphWorlds)
        key = random.fold_in(random.fold_in(self.key, number), 0)
        rollout = worlds.rollout(lambda x, key: self.explore(x, key, epsilon), key, self.train_freq)
        return rollout, not_finite(rollout)

    def _learn(self, progress: float) -> dict[str, float]:
        count = self.train_freq if self.gradient_steps < 0 else self.gradient_steps
        data = self.replay.sample(count, self.batch_size, progress)
        places = data.pop("place")
        program = self.program("update", self._updated, guard=True)
        found, errors = program(data, np.array(self._updates, np.int64))
        numbers = numbers_of(found)
        self.need_finite(numbers, 0.0)
        self.replay.learned(places, errors.numpy())
        self._updates += count
        self.after_updates()
        return numbers

    def _updated(self, data: Data, number: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        key = random.fold_in(random.fold_in(self.key, number), 1)

        def one(carry: Tensor, batch: Data) -> tuple[Tensor, Any]:
            return carry + 1, self.update(batch, random.fold_in(key, carry))

        zero = (0 * number).astype("int64")
        found, errors = scan(one, zero, data, differentiable=False)[1]
        return {name: mean(x) for name, x in found.items()}, errors


@dataclass(eq=False)
class DQN(OffPolicy):
    """Deep Q-learning: the value of every action, learned from a replay buffer.

    Sources: Mnih et al., "Human-level control through deep reinforcement learning", 2015; van
    Hasselt et al., "Deep reinforcement learning with double Q-learning", AAAI 2016; Wang et al.,
    "Dueling network architectures for deep reinforcement learning", ICML 2016; Schaul et al.,
    "Prioritized experience replay", ICLR 2016. Loss and defaults are those of Stable-Baselines3,
    which takes the largest value of the target network: ``double=False``.

    Args:
        double: the network that learns chooses the next action, the target network values it.
        dueling: value and advantages are separate networks.
        prioritized: draw transitions by their error.
        target_update: steps between two copies of the network to the target network.
        exploration_fraction: of the training in which chance falls from ``epsilon_start`` to
            ``epsilon_end``.
        max_grad_norm: the largest norm of the gradients.

    Example:
        >>> import chainrule as cr
        >>> agent = cr.rl.DQN("GridWorld", learning_starts=50, batch_size=16)
        >>> agent.learn(100)["steps"][-1]
        100
    """

    name: ClassVar[str] = "dqn"
    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    gives_values: ClassVar[bool] = True
    activation: str = field(default="relu", kw_only=True)
    double: bool = field(default=True, kw_only=True)
    dueling: bool = field(default=False, kw_only=True)
    prioritized: bool = field(default=False, kw_only=True)
    target_update: int = field(default=10_000, kw_only=True)
    exploration_fraction: float = field(default=0.1, kw_only=True)
    epsilon_start: float = field(default=1.0, kw_only=True)
    epsilon_end: float = field(default=0.05, kw_only=True)
    max_grad_norm: float = field(default=10.0, kw_only=True)

    network: QNetwork = field(init=False, repr=False)

    def check(self) -> None:
        """See the base."""
        super().check()
        self._need_whole("target_update", 1)
        for name in ("exploration_fraction", "epsilon_start", "epsilon_end"):
            self._need_between(name, 0.0, 1.0)
        self._need_between("max_grad_norm", 1e-12)

    def build(self) -> None:
        """See the base."""
        super().build()
        assert isinstance(self.action_space, Discrete)
        self.network = QNetwork(
            self.observation_space, self.action_space, self.hidden, self.activation, self.dueling
        ).initialize(self.seed)
        self.target = copy.deepcopy(self.network)
        self._copied = 0
        self.optimizer = Adam(self.network, lr=self.lr, clip_norm=self.max_grad_norm)
        if self.prioritized:
            self.replay = PrioritizedReplay(self.buffer_size, self.seed)

    def parts(self) -> dict[str, Any]:
        """See the base."""
        return super().parts() | {"target": self.target, "optimizer": self.optimizer}

    def counts(self) -> dict[str, Any]:
        """See the base."""
        return super().counts() | {"copied": self._copied}

    def load_counts(self, counts: dict[str, Any]) -> None:
        """See the base."""
        super().load_counts(counts)
        self._copied = counts["copied"]

    def epsilon(self, progress: float) -> float:
        """See the base."""
        fallen = min(progress / self.exploration_fraction, 1.0) if self.exploration_fraction else 1
        return self.epsilon_start + fallen * (self.epsilon_end - self.epsilon_start)

    def explore(
        self, observation: Tensor, key: Tensor, epsilon: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See the base."""
        assert isinstance(self.action_space, Discrete)
        best = argmax(self.network(observation), 1)
        drawn = random.randint(random.fold_in(key, 0), best.shape, 0, self.action_space.n)
        by_chance = random.uniform(random.fold_in(key, 1), best.shape) < epsilon
        return where(by_chance, drawn, best), {}

    def act(self, observation: Tensor, key: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See the base."""
        return argmax(self.network(observation), 1), {}

    def update(self, data: Data, noise: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """See the base."""
        after = self.target(data["next_observation"])
        if self.double:
            chosen = argmax(self.network(data["next_observation"]), 1)
            next_values = squeeze(take_along_axis(after, expand_dims(chosen, 1), 1), 1)
        else:
            next_values = self.target.best(data["next_observation"])
        targets = td_targets(data["reward"], data["terminated"], next_values, self.gamma)
        action = expand_dims(data["action"], 1)

        def loss(network: QNetwork) -> tuple[Tensor, Tensor]:
            values = squeeze(take_along_axis(network(data["observation"]), action, 1), 1)
            return dqn_loss(values, targets, data["weight"]), values

        (found, values), gradients = value_and_grad(loss, has_aux=True)(self.network)
        self.optimizer.update(gradients)
        numbers = {"loss": found, "value": mean(values),
                   "rate": self.optimizer.rate.astype("float32")}  # fmt: skip
        return numbers, values - targets

    def after_updates(self) -> None:
        """See the base."""
        if self.steps // self.target_update > self._copied:
            self._copied = self.steps // self.target_update
            self.target.load_state(self.network.state())


@dataclass(eq=False)
class SAC(OffPolicy):
    """Soft actor-critic: continuous actions, with as much randomness as a target entropy asks for.

    Source: Haarnoja et al., "Soft actor-critic algorithms and applications", 2018. Losses and
    defaults are those of Stable-Baselines3.

    Args:
        tau: how far the target critics go towards the critics at each update.
        ent_coef: the weight α of the entropy; "auto" learns it.
        target_entropy: that α is learned for; minus the number of actions by default.

    Example:
        >>> import chainrule as cr
        >>> agent = cr.rl.SAC("Pendulum-v1", hidden=(16,), learning_starts=20, batch_size=8)
        >>> agent.learn(40)["steps"][-1]
        40
    """

    name: ClassVar[str] = "sac"
    spaces: ClassVar[tuple[type, ...]] = (Box,)
    lr: float = field(default=3e-4, kw_only=True)
    hidden: tuple[int, ...] = field(default=(256, 256), kw_only=True)
    activation: str = field(default="relu", kw_only=True)
    buffer_size: int = field(default=1_000_000, kw_only=True)
    batch_size: int = field(default=256, kw_only=True)
    train_freq: int = field(default=1, kw_only=True)
    tau: float = field(default=0.005, kw_only=True)
    ent_coef: float | str = field(default="auto", kw_only=True)
    target_entropy: float | None = field(default=None, kw_only=True)

    network: SquashedActor = field(init=False, repr=False)

    def check(self) -> None:
        """See the base."""
        super().check()
        self._need_between("tau", 0.0, 1.0)
        if self.ent_coef != "auto":
            self._need_between("ent_coef", 0.0)

    def build(self) -> None:
        """See the base."""
        super().build()
        space = self.action_space
        assert isinstance(space, Box)
        if not space.bounded:
            raise ConfigError(
                "sac needs actions with finite bounds.", where=self.worlds.name, found=str(space),
                hint="ppo and a2c take any.",
            )  # fmt: skip
        options = (self.observation_space, space, self.hidden, self.activation)
        self.network = SquashedActor(*options).initialize(self.seed)
        self.critic = TwinCritic(*options).initialize(self.seed + 1)
        self.target = copy.deepcopy(self.critic)
        self._low, self._high = (x.reshape(-1) for x in (space.low, space.high))
        if self.target_entropy is None:
            self.target_entropy = -float(space.size)
        first = 1.0 if self.ent_coef == "auto" else float(self.ent_coef)
        self.log_alpha = Parameter(np.array(math.log(max(first, 1e-30)), np.float32))
        self.optimizers = [
            Adam(part, lr=self.lr)
            for part in (self.network, self.critic, {"log_alpha": self.log_alpha})
        ]

    def parts(self) -> dict[str, Any]:
        """See the base."""
        optimizers = {f"optimizer {i}": one for i, one in enumerate(self.optimizers)}
        return super().parts() | optimizers | {
            "critic": self.critic, "target": self.target, "log_alpha": self.log_alpha,
        }  # fmt: skip

    def explore(
        self, observation: Tensor, key: Tensor, epsilon: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See the base; actions are in the units of the environment."""
        action, _ = self.network.distribution(observation).sample(random.fold_in(key, 0))
        by_chance = random.uniform(random.fold_in(key, 1), action.shape, -1.0, 1.0)
        return scaled_to(where(epsilon > 0.5, by_chance, action), *self._bounds()), {}

    def _bounds(self) -> tuple[Tensor, Tensor]:
        from ...engine.tensor import as_tensor

        return as_tensor(self._low), as_tensor(self._high)

    def act(self, observation: Tensor, key: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See the base."""
        return scaled_to(self.network(observation), *self._bounds()), {}

    def policy(self) -> tuple[Module, Any]:
        """See the base."""
        return self.network, lambda found: scaled_to(found, *self._bounds())

    def update(self, data: Data, noise: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """See the base."""
        low, high = self._bounds()
        taken = 2.0 * (data["action"].reshape(data["action"].shape[0], -1) - low) / (high - low)
        shape = (taken.shape[0], len(self._low))
        drawn = random.normal(random.fold_in(noise, 0), shape)
        later = random.normal(random.fold_in(noise, 1), shape)
        return self.learned(data | {"action": taken - 1.0}, drawn, later)

    def learned(self, data: Data, drawn: Tensor, later: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """`update` by given noise, with actions from −1 to 1: temperature, critics, then actor."""
        seen, after = data["observation"], data["next_observation"]
        _, now = self.network.distribution(seen).at(drawn)
        alpha, tuned = self._temperature(now.detach())
        action, log_prob = self.network.distribution(after).at(later)
        values = minimum(*self.target(after, action)) - alpha * log_prob
        targets = td_targets(data["reward"], data["terminated"], values, self.gamma)

        def critic_loss(critic: TwinCritic) -> tuple[Tensor, Tensor]:
            first, second = critic(seen, data["action"])
            return sac_critic_loss(first, second, targets), first

        (of_critic, first), gradients = value_and_grad(critic_loss, has_aux=True)(self.critic)
        self.optimizers[1].update(gradients)

        def actor_loss(actor: SquashedActor) -> Tensor:
            chosen, log_prob = actor.distribution(seen).at(drawn)
            first, second = self.critic(seen, chosen)
            return sac_actor_loss(log_prob, first, second, alpha)

        of_actor, gradients = value_and_grad(actor_loss)(self.network)
        self.optimizers[0].update(gradients)
        for old, new in zip(
            self.target.variables().values(), self.critic.variables().values(), strict=True
        ):
            old.assign(old + self.tau * (new - old))
        numbers = {
            "loss": of_critic, "actor_loss": of_actor, "temperature": alpha, **tuned,
            "value": mean(first), "rate": self.optimizers[0].rate.astype("float32"),
        }  # fmt: skip
        return numbers, first - targets

    def _temperature(self, log_prob: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """α as it was, and the loss by which it is then changed."""
        alpha = exp(self.log_alpha.detach())
        if self.ent_coef != "auto":
            return alpha, {}
        target = self.target_entropy
        assert target is not None
        loss, gradient = value_and_grad(
            lambda part: sac_temperature_loss(part["log_alpha"], log_prob, target)
        )({"log_alpha": self.log_alpha})
        self.optimizers[2].update(gradient)
        return alpha, {"temperature_loss": loss}


__all__ = ["DQN", "SAC", "OffPolicy"]
