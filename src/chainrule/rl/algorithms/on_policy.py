"""Algorithms that learn from what the policy of now has done: PPO, A2C, REINFORCE."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ...engine.autodiff import value_and_grad
from ...engine.ops import (
    arange,
    argsort,
    broadcast_to,
    clip,
    mean,
    random,
    reshape,
    scan,
    sqrt,
    take,
    where,
)
from ...engine.ops import sum as total
from ...engine.tensor import Buffer, Tensor
from ...errors import unknown
from ...nn import Module
from ...optim import Adam, Optimizer, RMSprop
from ...optim.schedules import LinearLR
from ..losses import (
    PolicyLoss,
    actor_critic_loss,
    explained_variance,
    generalized_advantages,
    ppo_loss,
)
from ..networks import ActorCritic
from ..spaces import Discrete
from ..worlds import GraphWorlds, Rollout, not_finite
from .algorithm import Algorithm, numbers_of

SCHEDULES = ("constant", "linear")
#: Steps of all worlds in one call of a program, at most, unless one iteration takes more.
_AT_ONCE = 2048
_FAR = 10.0


@dataclass(eq=False)
class OnPolicy(Algorithm):
    """Base of algorithms that act for some steps, learn from these, and forget them.

    With a built-in environment rollout, advantages and updates are one native program.

    Args:
        lr: the learning rate.
        lr_schedule: "constant", or "linear" down to 0 over the steps of `learn`.
        n_steps: steps of each world between two updates.
        gamma: γ, the discount of later rewards.
        gae_lambda: λ of the advantages.
        ent_coef: the weight of the entropy, which keeps the policy from being certain too early.
        vf_coef: the weight of the loss of the value function.
        max_grad_norm: the largest norm of the gradients.
        normalize_advantage: bring advantages to mean 0 and standard deviation 1 in each batch.
        normalize: observations and rewards are divided by their standard deviation so far; the
            statistics of observations are part of the policy.
        log_std: the logarithm of the standard deviation of continuous actions, at first.
    """

    lr: float = field(default=3e-4, kw_only=True)
    lr_schedule: str = field(default="constant", kw_only=True)
    n_steps: int = field(default=128, kw_only=True)
    gamma: float = field(default=0.99, kw_only=True)
    gae_lambda: float = field(default=0.95, kw_only=True)
    ent_coef: float = field(default=0.0, kw_only=True)
    vf_coef: float = field(default=0.5, kw_only=True)
    max_grad_norm: float = field(default=0.5, kw_only=True)
    normalize_advantage: bool = field(default=True, kw_only=True)
    normalize: bool = field(default=False, kw_only=True)
    log_std: float = field(default=0.0, kw_only=True)

    network: ActorCritic = field(init=False, repr=False)

    def check(self) -> None:
        """See the base."""
        self._need_whole("n_steps", 1)
        for name in ("gamma", "gae_lambda"):
            self._need_between(name, 0.0, 1.0)
        for name in ("lr", "ent_coef", "vf_coef"):
            self._need_between(name, 0.0)
        self._need_between("max_grad_norm", 1e-12)
        self._need_between("log_std", -20.0, 2.0)
        if self.lr_schedule not in SCHEDULES:
            raise unknown("schedule", self.lr_schedule, SCHEDULES)

    def build(self) -> None:
        """See the base."""
        self.network = ActorCritic(
            self.observation_space, self.action_space, self.hidden, self.activation,
            self.normalize, self.log_std,
        ).initialize(self.seed)  # fmt: skip
        self.optimizer = self.make_optimizer()
        if self.normalize:
            self._discounted = Buffer(np.zeros(self.n_envs), "float32")
            self._reward_variance = Buffer(1.0, "float64")
            self._rewards_seen = Buffer(0.0, "float64")
            self._reward_mean = Buffer(0.0, "float64")

    def parts(self) -> dict[str, Any]:
        """See the base."""
        found = super().parts() | {"optimizer": self.optimizer}
        if self.normalize:
            found |= {
                "discounted": self._discounted, "reward_mean": self._reward_mean,
                "reward_variance": self._reward_variance, "rewards_seen": self._rewards_seen,
            }  # fmt: skip
        return found

    def make_optimizer(self) -> Optimizer:
        """The optimizer of policy and value function."""
        return Adam(self.network, lr=self.lr, eps=1e-5, clip_norm=self.max_grad_norm)

    @property
    def updates(self) -> int:
        """Updates of an iteration."""
        return 1

    def begin(self, steps: int) -> None:
        """See the base."""
        # Calls of equal size, so that there is one program.
        iterations = math.ceil(steps / (self.n_steps * self.n_envs))
        most = max(_AT_ONCE // (self.n_steps * self.n_envs), 1)
        self._in_a_call = math.ceil(iterations / math.ceil(iterations / most))
        if self.lr_schedule == "linear":
            self._programs.clear()  # the schedule knows the number of steps
            before = int(self.optimizer.steps.item())
            self.optimizer.set_rate(
                LinearLR(self.lr, total_iters=before + iterations * self.updates)
            )

    def learned(self, data: dict[str, Tensor], key: Tensor, remaining: Tensor) -> dict[str, Tensor]:
        """Update the network by experience, rows by name; part of a graph. Numbers by name."""
        raise NotImplementedError

    # ---- acting ------------------------------------------------------------------------------

    def explore(self, observation: Tensor, key: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """An action drawn from the policy, and how likely it was."""
        found = self.network.distribution(observation)
        action = found.sample(key)
        return action, {"log_prob": found.log_prob(action)}

    def act(self, observation: Tensor, key: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See the base."""
        return self.network.distribution(observation).mode(), {}

    def policy(self) -> tuple[Module, Any]:
        """See the base."""
        from ...engine.ops import softmax

        if isinstance(self.action_space, Discrete):
            return self.network, lambda logits: softmax(logits, 1)
        low, high = (x.reshape(-1) for x in (self.action_space.low, self.action_space.high))
        return self.network, lambda found: clip(found, low, high)

    # ---- an iteration ------------------------------------------------------------------------

    def iterate(self, remaining: float) -> dict[str, float]:
        """See the base."""
        if isinstance(self.worlds, GraphWorlds):
            return self._iterate_in_graph(remaining)
        rollout = self.worlds.rollout(self._acting("explore", self.explore), self.n_steps)
        program = self.program("update", self._update, guard=True)
        found = numbers_of(
            program(rollout, np.array(self._iteration, np.int64), np.array(remaining, np.float32))
        )
        self.need_finite(found, found.pop("experience"))
        self.took(rollout.reward.size, rollout.done, rollout.total, rollout.length)
        return found

    def _iterate_in_graph(self, remaining: float) -> dict[str, float]:
        """Some iterations in one call, as many as it takes to make the call itself cheap."""
        size, count = self.n_steps * self.n_envs, self._in_a_call
        left = max(self.goal - self.steps, 1)
        numbers = np.arange(self._iteration, self._iteration + count)
        fall = remaining * size / left
        rest = np.maximum(remaining - fall * np.arange(count), 0.0).astype(np.float32)
        program = self.program(("iterations", count), self._iterations, guard=True)
        found, done, totals, lengths = program(numbers, rest)
        values = numbers_of(found)
        self.need_finite(values, values.pop("experience"))
        self._iteration += count - 1
        self.took(size * count, *(x.numpy() for x in (done, totals, lengths)))
        return values

    def _iterations(self, numbers: Tensor, remaining: Tensor) -> Any:
        worlds = self.worlds
        assert isinstance(worlds, GraphWorlds)

        def one(carry: None, now: tuple[Tensor, Tensor]) -> tuple[None, Any]:
            number, left = now
            key = random.fold_in(self.key, number)
            rollout = worlds.rollout(self.explore, random.fold_in(key, 0), self.n_steps)
            found = self._update(rollout, number, left)
            return carry, (found, rollout.done, rollout.total, rollout.length)

        found, *episodes = scan(one, None, (numbers, remaining), differentiable=False)[1]
        return ({name: mean(x) for name, x in found.items()}, *episodes)

    def _update(self, rollout: Rollout, number: Tensor, remaining: Tensor) -> dict[str, Tensor]:
        """Advantages and updates, part of a graph."""
        network, shape = self.network, rollout.reward.shape
        flat = rollout.flat()
        rewards = self._scaled(rollout) if self.normalize else rollout.reward
        values = network.value(flat.observation)
        after = network.value(flat.next_observation)
        advantages = generalized_advantages(
            rewards, reshape(values, shape), reshape(after, shape), rollout.terminated,
            rollout.done, self.gamma, self.gae_lambda,
        ).reshape(-1)  # fmt: skip
        data = {
            "observation": flat.observation,
            "action": flat.action,
            "log_prob": flat.more["log_prob"],
            "advantages": advantages,
            "returns": advantages + values,
            "values": values,
        }
        key = random.fold_in(random.fold_in(self.key, number), 1)
        found = self.learned(data, key, remaining)
        if network.normalizer is not None:  # for the actions from now on
            network.normalizer.observe(flat.observation)
        explained = explained_variance(values, data["returns"])
        return {**found, "explained": explained, "experience": not_finite(rollout)}

    def _scaled(self, rollout: Rollout) -> Tensor:
        """Rewards divided by the standard deviation of discounted sums of them, cut off at ±10."""

        def step(before: Tensor, now: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            reward, done = now
            new = self.gamma * before + reward
            return where(done, 0.0 * new, new), new

        last, sums = scan(step, self._discounted, (rollout.reward, rollout.done),
                          differentiable=False)  # fmt: skip
        self._discounted.assign(last)
        x = sums.astype("float64")
        rows, before = float(sums.size), self._rewards_seen
        count = before + rows
        away = mean(x) - self._reward_mean
        squares = self._reward_variance * before + total((x - mean(x)) ** 2)
        variance = (squares + away * away * before * rows / count) / count
        self._reward_variance.assign(variance)
        self._reward_mean.assign(self._reward_mean + away * rows / count)
        self._rewards_seen.assign(count)
        scale = (1.0 / sqrt(variance + 1e-8)).astype("float32")
        return clip(rollout.reward * scale, -_FAR, _FAR)

    def _step(self, loss: Any) -> dict[str, Tensor]:
        """One update by a loss, a function of the network that gives a `PolicyLoss`."""

        def of(network: ActorCritic) -> tuple[Tensor, PolicyLoss]:
            found = loss(network)
            return found.loss, found

        (_, found), gradients = value_and_grad(of, has_aux=True)(self.network)
        self.optimizer.update(gradients)
        return {
            "loss": found.loss, "policy_loss": found.policy, "value_loss": found.value,
            "entropy": found.entropy, "clipped": found.clipped, "kl": found.kl,
            "rate": self.optimizer.rate.astype("float32"),
        }  # fmt: skip


@dataclass(eq=False)
class PPO(OnPolicy):
    """Proximal policy optimization: several epochs on each rollout, near to the policy of then.

    Source: Schulman et al., "Proximal policy optimization algorithms", 2017. Losses, defaults and
    details are those of Stable-Baselines3.

    Args:
        batch_size: rows of a minibatch. What is left of an epoch after whole minibatches is left
            out of that epoch; which rows, is random.
        n_epochs: how often each rollout is gone through.
        clip_range: ε, how far the ratio of probabilities counts.
        clip_schedule: "constant", or "linear" down to 0.
        clip_range_vf: how far values may go from the old ones in an update; None for any.

    Example:
        >>> import chainrule as cr
        >>> agent = cr.rl.PPO("CartPole-v1", n_envs=4, n_steps=16, batch_size=32, n_epochs=2)
        >>> agent.learn(128)["steps"][-1], agent.predict([0.0, 0.0, 0.1, 0.0]).shape
        (128, ())
    """

    name: ClassVar[str] = "ppo"
    batch_size: int = field(default=64, kw_only=True)
    n_epochs: int = field(default=10, kw_only=True)
    clip_range: float = field(default=0.2, kw_only=True)
    clip_schedule: str = field(default="constant", kw_only=True)
    clip_range_vf: float | None = field(default=None, kw_only=True)

    def check(self) -> None:
        """See the base."""
        super().check()
        self._need_whole("batch_size", 1)
        self._need_whole("n_epochs", 1)
        self._need_between("clip_range", 0.0)
        if self.clip_range_vf is not None:
            self._need_between("clip_range_vf", 0.0)
        if self.clip_schedule not in SCHEDULES:
            raise unknown("schedule", self.clip_schedule, SCHEDULES)

    @property
    def _minibatches(self) -> int:
        return max(self.n_steps * self.n_envs // self.batch_size, 1)

    @property
    def updates(self) -> int:
        """See the base."""
        return self.n_epochs * self._minibatches

    def learned(self, data: dict[str, Tensor], key: Tensor, remaining: Tensor) -> dict[str, Tensor]:
        """See the base."""
        order = self._order(key)
        fraction: Any = remaining if self.clip_schedule == "linear" else 1.0
        clip_range = self.clip_range * fraction

        def minibatch(carry: None, rows: Tensor) -> tuple[None, dict[str, Tensor]]:
            part = {name: take(x, rows, 0) for name, x in data.items()}

            def loss(network: ActorCritic) -> PolicyLoss:
                found = network.distribution(part["observation"])
                return ppo_loss(
                    found.log_prob(part["action"]), found.entropy(),
                    network.value(part["observation"]), old_log_prob=part["log_prob"],
                    advantages=part["advantages"], returns=part["returns"],
                    clip_range=clip_range, ent_coef=self.ent_coef, vf_coef=self.vf_coef,
                    old_values=part["values"], clip_range_vf=self.clip_range_vf,
                    normalize_advantage=self.normalize_advantage,
                )  # fmt: skip

            return carry, self._step(loss)

        found = scan(minibatch, None, order, differentiable=False)[1]
        return {name: mean(x) for name, x in found.items()}

    def _order(self, key: Tensor) -> Tensor:
        """The rows of every minibatch: (updates, batch), another permutation each epoch."""
        count = self.n_steps * self.n_envs
        size = min(self.batch_size, count)
        if size == count:  # the order of all rows changes no mean
            return broadcast_to(arange(count), (self.n_epochs, count))
        drawn = random.uniform(key, (self.n_epochs, count), dtype="float64")
        used = argsort(drawn, 1)[:, : self._minibatches * size]
        return reshape(used, (self.n_epochs * self._minibatches, size))


@dataclass(eq=False)
class A2C(OnPolicy):
    """Advantage actor-critic: one update by each short rollout.

    Source: Mnih et al., "Asynchronous methods for deep reinforcement learning", ICML 2016. Losses
    and defaults are those of Stable-Baselines3.

    Example:
        >>> import chainrule as cr
        >>> agent = cr.rl.A2C("CartPole-v1", n_envs=4)
        >>> agent.learn(200)["steps"][-1]
        200
    """

    name: ClassVar[str] = "a2c"
    lr: float = field(default=7e-4, kw_only=True)
    n_steps: int = field(default=5, kw_only=True)
    gae_lambda: float = field(default=1.0, kw_only=True)
    normalize_advantage: bool = field(default=False, kw_only=True)

    def make_optimizer(self) -> Optimizer:
        """See the base."""
        return RMSprop(self.network, lr=self.lr, alpha=0.99, eps=1e-5, clip_norm=self.max_grad_norm)

    def learned(self, data: dict[str, Tensor], key: Tensor, remaining: Tensor) -> dict[str, Tensor]:
        """See the base."""

        def loss(network: ActorCritic) -> PolicyLoss:
            found = network.distribution(data["observation"])
            return actor_critic_loss(
                found.log_prob(data["action"]), found.entropy(),
                network.value(data["observation"]), advantages=data["advantages"],
                returns=data["returns"], ent_coef=self.ent_coef, vf_coef=self.vf_coef,
                normalize_advantage=self.normalize_advantage,
            )  # fmt: skip

        return self._step(loss)


@dataclass(eq=False)
class REINFORCE(A2C):
    """The policy gradient with whole returns, and the value function as the baseline.

    A rollout goes over ``n_steps`` steps of each world; a return that it cuts short goes on with
    the value of the last state. Source: Williams, "Simple statistical gradient-following algorithms
    for connectionist reinforcement learning", 1992.

    Example:
        >>> import chainrule as cr
        >>> agent = cr.rl.REINFORCE("CartPole-v1", n_envs=2, n_steps=50)
        >>> agent.learn(100)["steps"][-1]
        100
    """

    name: ClassVar[str] = "reinforce"
    lr: float = field(default=3e-3, kw_only=True)
    n_steps: int = field(default=200, kw_only=True)
    normalize_advantage: bool = field(default=True, kw_only=True)

    def make_optimizer(self) -> Optimizer:
        """See the base."""
        return Adam(self.network, lr=self.lr, eps=1e-5, clip_norm=self.max_grad_norm)


__all__ = ["A2C", "PPO", "REINFORCE", "OnPolicy"]
