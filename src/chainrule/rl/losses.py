"""The losses of the algorithms, as functions of what a network gives and what was experienced.

Means over the rows of a batch; in the formulas A is an advantage, R a return, V a value.
"""

from __future__ import annotations

from typing import NamedTuple

from ..engine.ops import abs, clip, exp, maximum, mean, minimum, scan, sqrt, stop_gradient, where
from ..engine.ops import sum as total
from ..engine.tensor import Tensor


class PolicyLoss(NamedTuple):
    """A loss and its parts; all single numbers.

    Attributes:
        loss: what is minimised.
        policy: the part of the policy.
        value: the part of the critic, not yet weighted.
        entropy: the mean entropy.
        clipped: the fraction of rows whose ratio was clipped.
        kl: an estimate of the Kullback-Leibler divergence from the old policy.
    """

    loss: Tensor
    policy: Tensor
    value: Tensor
    entropy: Tensor
    clipped: Tensor
    kl: Tensor


def generalized_advantages(
    rewards: Tensor, values: Tensor, next_values: Tensor, terminated: Tensor, done: Tensor,
    gamma: float, gae_lambda: float,
) -> Tensor:  # fmt: skip
    """Aₜ = δₜ + γλ Aₜ₊₁ until the end of the episode, with δₜ = rₜ + γ V(sₜ₊₁) − V(sₜ).

    Nothing follows a state that ended the episode (terminated); one that was cut off by a time
    limit goes on in theory, so its value counts. Source: Schulman et al., "High-dimensional
    continuous control using generalized advantage estimation", ICLR 2016.

    Args:
        rewards: (steps, worlds) float32.
        values: of the states before the steps.
        next_values: of the states after them, before any reset.
        terminated: bool, whether the step ended the episode.
        done: whether it ended or was cut off.
        gamma: γ, the discount.
        gae_lambda: λ; 1 takes the whole return, 0 one step.

    Example:
        >>> import chainrule as cr
        >>> one, no, yes = cr.ones((2, 1)), cr.tensor([[False]] * 2), cr.tensor([[False], [True]])
        >>> generalized_advantages(one, 0 * one, 0 * one, yes, yes, 0.5, 1.0).tolist()
        [[1.5], [1.0]]
    """
    zero = 0.0 * rewards
    after = where(terminated, zero, next_values)
    errors = rewards + gamma * after - values
    goes_on = where(done, zero, zero + gamma * gae_lambda)

    def step(later: Tensor, now: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        error, factor = now
        advantage = error + factor * later
        return advantage, advantage

    _, found = scan(step, zero[0], (errors, goes_on), reverse=True, differentiable=False)
    return found


def normalized(advantages: Tensor) -> Tensor:
    """Of mean 0 and standard deviation 1; a single one stays as it is.

    Example:
        >>> import chainrule as cr
        >>> [round(a, 4) for a in normalized(cr.tensor([1.0, 3.0])).tolist()]
        [-0.7071, 0.7071]
    """
    count = advantages.size
    if count < 2:
        return advantages
    centred = advantages - mean(advantages)
    return centred / (sqrt(total(centred * centred) / (count - 1)) + 1e-8)


def ppo_loss(
    log_prob: Tensor, entropy: Tensor, values: Tensor, *, old_log_prob: Tensor,
    advantages: Tensor, returns: Tensor, clip_range: Tensor | float, ent_coef: float = 0.0,
    vf_coef: float = 0.5, old_values: Tensor | None = None, clip_range_vf: float | None = None,
    normalize_advantage: bool = True,
) -> PolicyLoss:  # fmt: skip
    """−mean min(ρA, clip(ρ, 1 ± ε)A) + vf_coef · mean (R − V)² − ent_coef · entropy.

    ρ = exp(log_prob − old_log_prob). Source: Schulman et al., "Proximal policy optimization
    algorithms", 2017; the details are those of Stable-Baselines3.

    Args:
        log_prob: of the actions, under the policy as it is now; all (rows,).
        entropy: of the policy.
        values: V, of the critic as it is now.
        old_log_prob: of the policy that acted.
        advantages: A.
        returns: R.
        clip_range: ε.
        ent_coef: the weight of the entropy.
        vf_coef: that of the critic's loss.
        old_values: of the critic when the policy acted, for ``clip_range_vf``.
        clip_range_vf: how far values may go from the old ones; None does not limit them.
        normalize_advantage: bring A to mean 0 and standard deviation 1 first.
    """
    if normalize_advantage:
        advantages = normalized(advantages)
    log_ratio = log_prob - old_log_prob
    ratio = exp(log_ratio)
    limited = minimum(maximum(ratio, 1.0 - clip_range), 1.0 + clip_range)
    policy = -mean(minimum(advantages * ratio, advantages * limited))
    if clip_range_vf is not None:
        assert old_values is not None
        values = old_values + clip(values - old_values, -clip_range_vf, clip_range_vf)
    value = mean((returns - values) ** 2)
    spread = mean(entropy)
    clipped = mean((abs(ratio - 1.0) > clip_range).astype("float32"))
    kl = mean(ratio - 1.0 - log_ratio)
    loss = policy + vf_coef * value - ent_coef * spread
    return PolicyLoss(loss, policy, value, spread, clipped, kl)


def actor_critic_loss(
    log_prob: Tensor, entropy: Tensor, values: Tensor, *, advantages: Tensor, returns: Tensor,
    ent_coef: float = 0.0, vf_coef: float = 0.5, normalize_advantage: bool = False,
) -> PolicyLoss:  # fmt: skip
    """−mean(A·log_prob) + vf_coef · mean (R − V)² − ent_coef · entropy: A2C, and REINFORCE.

    Sources: Williams, "Simple statistical gradient-following algorithms for connectionist
    reinforcement learning", 1992; Mnih et al., "Asynchronous methods for deep reinforcement
    learning", 2016. Arguments as for `ppo_loss`.
    """
    if normalize_advantage:
        advantages = normalized(advantages)
    policy = -mean(advantages * log_prob)
    value = mean((returns - values) ** 2)
    spread = mean(entropy)
    loss = policy + vf_coef * value - ent_coef * spread
    none = 0.0 * policy
    return PolicyLoss(loss, policy, value, spread, none, none)


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """1 − Var(R − V) / Var(R), at least −1,000: what the critic tells of the returns.

    Of returns that are all alike it is 0.

    Example:
        >>> import chainrule as cr
        >>> returns = cr.tensor([1.0, 2.0, 3.0])
        >>> [explained_variance(v, returns).item() for v in (returns, 0 * returns, 2 * returns)]
        [1.0, 0.0, 0.0]
    """
    rest, whole = (mean((x - mean(x)) ** 2) for x in (returns - values, returns))
    alike = whole <= 0.0
    share = rest / where(alike, whole + 1.0, whole)
    return where(alike, 0.0 * whole, maximum(1.0 - share, -1000.0))


def td_targets(rewards: Tensor, terminated: Tensor, next_values: Tensor, gamma: float) -> Tensor:
    """r + γ · V(s′), without the second part where the episode has ended; a constant.

    Example:
        >>> import chainrule as cr
        >>> one = cr.ones((2,))
        >>> td_targets(one, cr.tensor([False, True]), 10 * one, 0.5).tolist()
        [6.0, 1.0]
    """
    after = where(terminated, 0.0 * next_values, next_values)
    return stop_gradient(rewards + gamma * after)


def huber(error: Tensor) -> Tensor:
    """½e² up to |e| = 1, |e| − ½ beyond."""
    size = abs(error)
    return where(size < 1.0, 0.5 * error * error, size - 0.5)


def dqn_loss(chosen: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean Huber loss of Q(s, a) against its target, each row with its weight.

    Source: Mnih et al., "Human-level control through deep reinforcement learning", 2015.

    Args:
        chosen: Q of the actions that were taken, (rows,).
        targets: of `td_targets`.
        weights: what corrects for rows that were drawn more often than others.
    """
    errors = huber(chosen - targets)
    return mean(errors if weights is None else weights * errors)


def sac_critic_loss(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """½ (mean (Q₁ − y)² + mean (Q₂ − y)²).

    Source: Haarnoja et al., "Soft actor-critic algorithms and applications", 2018.
    """
    return 0.5 * (mean((first - targets) ** 2) + mean((second - targets) ** 2))


def sac_actor_loss(log_prob: Tensor, first: Tensor, second: Tensor, alpha: Tensor) -> Tensor:
    """mean(α · log_prob − min(Q₁, Q₂)), at actions of the policy as it is now."""
    return mean(alpha * log_prob - minimum(first, second))


def sac_temperature_loss(log_alpha: Tensor, log_prob: Tensor, target_entropy: float) -> Tensor:
    """−log α · mean(log_prob + target entropy): α grows while the policy is too certain."""
    return -mean(log_alpha * stop_gradient(log_prob + target_entropy))
