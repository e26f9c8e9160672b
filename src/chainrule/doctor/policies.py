"""What is wrong with a training by reinforcement learning: rules on its history and its returns.

No sign counts by itself: entropy falls where a policy has learned, too. So the episodes that were
played afterwards decide whether something is wrong, beside those of random actions, and the history
tells what. Thresholds are those in use: Huang et al., "The 37 implementation details of proximal
policy optimization", 2022 (divergence, clipped ratios), and Henderson et al., "Deep reinforcement
learning that matters", AAAI 2018 (returns beside chance).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from .examine import ranked
from .finding import Finding, Fix

#: A difference of means counts if it is so many standard errors.
_CLEAR = 3.0
#: A policy has become worse if it lost this fraction of what it was better than chance.
_LOST = 0.5
_CERTAIN, _NARROWED = 0.05, 3.0
_DIVERGENCE, _CLIPPED = 0.1, 0.4
_STANDS_STILL, _UPDATES = 1e-5, 4
_BEYOND = 10.0
#: Returns still rise if the last fifth of the training brought this fraction of the gain.
_RISING = 0.2
#: Fewer records show no course.
_FEWEST = 3


@dataclasses.dataclass(frozen=True)
class PolicyEvidence:
    """A training of a policy, and what the policy reaches.

    Attributes:
        history: a record for each iteration: ``steps``, ``return`` (of the last episodes),
            ``episodes``, and what the algorithm tells: ``entropy``, ``kl``, ``clipped``,
            ``explained``, ``value``.
        returns: of the episodes played with the best actions.
        by_chance: those of random actions.
        algorithm: its name.
        lr: its learning rate.
        actions: how many, or how many numbers an action has.
        continuous: whether actions are numbers.
        updates: in an iteration.
        usual_steps: of a training in this environment; 0 if unknown.
        failure: the message of the error that ended it.
    """

    history: Sequence[Mapping[str, float]]
    returns: Sequence[float]
    by_chance: Sequence[float]
    algorithm: str = "ppo"
    lr: float = 0.0
    actions: int = 2
    continuous: bool = False
    updates: int = 10
    usual_steps: int = 0
    failure: str = ""

    def series(self, name: str) -> list[float]:
        """The numbers of this name in the history."""
        return [record[name] for record in self.history if name in record]

    def late(self, name: str) -> float | None:
        """Their mean in the second half of the training."""
        found = self.series(name)
        return float(np.mean(found[len(found) // 2 :])) if found else None

    @property
    def reached(self) -> float:
        """The mean return of the best actions."""
        return float(np.mean(self.returns))

    @property
    def chance(self) -> float:
        """The mean return of random actions."""
        return float(np.mean(self.by_chance))

    @property
    def error(self) -> float:
        """The standard error of the difference of these two."""
        return math.hypot(*(float(np.std(x)) / math.sqrt(len(x))
                            for x in (self.returns, self.by_chance)))  # fmt: skip

    @property
    def learned(self) -> bool:
        """Whether the policy is clearly better than random actions."""
        gain = self.reached - self.chance
        return gain > max(_CLEAR * self.error, 1e-6 * (1 + abs(self.chance)))

    @property
    def best(self) -> float:
        """The largest mean return in the training."""
        return max(self.series("return"), default=math.nan)

    @property
    def collapsed(self) -> bool:
        """Whether it was much better before, in the training and as it is played."""
        returns = self.series("return")
        gained = self.best - self.chance
        if len(returns) < _FEWEST or not gained > _CLEAR * self.error:
            return False
        least = self.best - _LOST * gained
        return bool(returns[-1] < least and self.reached < least)

    @property
    def poor(self) -> bool:
        """Not learned, or learned and lost."""
        return not self.learned or self.collapsed


def examine_policy(evidence: PolicyEvidence) -> list[Finding]:
    """The findings, the most probable cause first.

    Example:
        >>> history = [{"steps": 1000.0 * i, "return": 20.0, "kl": 2.0} for i in range(1, 9)]
        >>> found = examine_policy(PolicyEvidence(history, [9.0] * 20, [20.0, 24.0] * 10))
        >>> [finding.cause for finding in found]
        ['policy_updates_too_large']
    """
    if evidence.failure:
        return [_failed(evidence)]
    return ranked([finding for rule in _RULES for finding in rule(evidence)])


def _failed(e: PolicyEvidence) -> Finding:
    outside = "environment" in e.failure
    return Finding(
        "failure", "environment_fails" if outside else "exploding_gradient", "error",
        e.failure, "What follows from such a number is no number either."
        if not outside else "The agent cannot learn from an environment that gives no numbers.",
        "iterations that ended with an error", 1.0, 0.0,
        Fix("Check the environment's `step`: its rewards and observations must be finite.")
        if outside else _rate(e, "Lower", e.lr / 3),
        score=0.95, is_fact=True,
    )  # fmt: skip


def _no_episode(e: PolicyEvidence) -> Iterator[Finding]:
    if e.history and e.history[-1].get("episodes") == 0:
        yield Finding(
            "returns", "no_episode_ended", "warning",
            f"No episode ended in {e.history[-1].get('steps', 0):,.0f} steps.",
            "Whether the policy gets better is not known, and returns rest on the value function.",
            "episodes in the training", 0.0, 1.0,
            Fix("Train for more steps, or limit the episodes of the environment."), score=0.9,
            is_fact=True,
        )  # fmt: skip


def _not_learned(e: PolicyEvidence) -> Iterator[Finding]:
    if e.learned:
        return
    known = [*e.returns, *e.by_chance, *e.series("return")]
    steps = int(e.history[-1].get("steps", 0)) if e.history else 0
    few = 0 < steps < e.usual_steps / 2
    alike = np.ptp(known) == 0
    if alike:
        why = ("Every episode brought the same, so no action seems better than another: the reward "
               "is too rare to be found by chance.")  # fmt: skip
    else:
        why = "What it does is no better than actions at random, so nothing useful was learned."
    if few:
        fix = Fix(f"Train longer: {e.usual_steps:,} steps are usual here.",
                  {"steps": e.usual_steps})  # fmt: skip
    elif alike:
        fix = Fix("Explore more, shape the reward, or train for more steps.",
                  {} if e.algorithm in ("dqn", "sac") else {"set": "ent_coef=0.01"})  # fmt: skip
    else:
        fix = Fix("Try another learning rate or algorithm, or train for more steps.")
    yield Finding(
        "returns", "policy_not_learned", "warning",
        f"The return is {e.reached:.4g} by the best actions and {e.chance:.4g} by random ones.",
        why, "(return − return by chance) / standard error of the difference",
        (e.reached - e.chance) / e.error if e.error else 0.0, _CLEAR, fix,
        score=0.7 if few else 0.5, is_fact=few,
    )  # fmt: skip


def _collapsed(e: PolicyEvidence) -> Iterator[Finding]:
    if not e.collapsed:
        return
    when = next(r for r in e.history if r.get("return") == e.best)
    yield Finding(
        "returns", "policy_collapsed", "warning",
        f"The mean return was {e.best:.4g} after {when.get('steps', 0):,.0f} steps, and is "
        f"{e.series('return')[-1]:.4g} at the end.",
        "An update took the policy to where its experience no longer shows the way back.",
        "fraction lost of what it was better than chance",
        (e.best - e.series("return")[-1]) / (e.best - e.chance), _LOST,
        _rate(e, "Lower", e.lr / 3), score=0.6,
    )  # fmt: skip


def _certain(e: PolicyEvidence) -> Iterator[Finding]:
    """A policy that stopped trying other actions before it had learned."""
    entropy = e.series("entropy")
    if len(entropy) < _FEWEST or not e.poor or e.algorithm in ("sac", "dqn"):
        return
    if e.continuous:
        lost, limit = (entropy[0] - entropy[-1]) / max(e.actions, 1), _NARROWED
        certain, formula = lost > limit, "entropy lost for each number of an action"
    else:
        lost, limit = entropy[-1] / math.log(max(e.actions, 2)), _CERTAIN
        certain, formula = lost < limit, "entropy / that of equal probabilities"
    if certain:
        yield Finding(
            "entropy", "entropy_collapsed", "warning",
            "The policy always does nearly the same, although it has not learned.",
            "It no longer finds out what other actions would bring.",
            formula, lost, limit,
            Fix("Give the entropy a weight, and lower the learning rate.",
                {"set": "ent_coef=0.01"}), score=0.8,
        )  # fmt: skip


def _too_far(e: PolicyEvidence) -> Iterator[Finding]:
    """Updates that leave the policy that gathered the experience."""
    divergence, clipped = e.late("kl"), e.late("clipped")
    if not e.poor or e.algorithm != "ppo" or not len(e.history):
        return
    divergence, clipped = divergence or 0.0, clipped or 0.0
    if divergence > _DIVERGENCE or clipped > _CLIPPED:
        far = divergence > _DIVERGENCE
        yield Finding(
            "updates", "policy_updates_too_large", "warning",
            f"An iteration changes the policy by a divergence of {divergence:.3g}, and "
            f"{clipped:.0%} of the ratios are clipped.",
            "The experience is that of another policy by then, and what is clipped gives no "
            "gradient back.",
            "Kullback-Leibler divergence from the policy that acted" if far
            else "fraction of ratios that are clipped",
            divergence if far else clipped, _DIVERGENCE if far else _CLIPPED,
            _rate(e, "Lower", e.lr / 3), score=0.85,
        )  # fmt: skip


def _stands_still(e: PolicyEvidence) -> Iterator[Finding]:
    divergence = e.late("kl")
    if e.learned or e.algorithm != "ppo" or divergence is None or len(e.history) < _FEWEST:
        return
    if e.updates < _UPDATES:
        return  # the first one is made at the policy that acted
    if divergence < _STANDS_STILL and not e.late("clipped"):
        yield Finding(
            "updates", "learning_rate_too_low", "warning",
            f"An iteration changes the policy by a divergence of {divergence:.2g} only.",
            "It hardly moves: the training would need many times as many steps.",
            "Kullback-Leibler divergence from the policy that acted", divergence, _STANDS_STILL,
            _rate(e, "Raise", e.lr * 30), score=0.82,
        )  # fmt: skip


def _unexplained(e: PolicyEvidence) -> Iterator[Finding]:
    """A value function that is no better than a constant."""
    explained = e.late("explained")
    if explained is None or not e.poor or len(e.history) < _FEWEST or explained > 0:
        return
    if np.ptp(e.series("return") or [0.0]) == 0:
        return  # no reward differs, so there is nothing to explain
    yield Finding(
        "values", "value_unexplained", "warning",
        f"The value function explains {explained:.2f} of the variance of the returns.",
        "It is the baseline of the advantages: worse than a constant, it adds noise to the "
        "gradient of the policy.",
        "1 − Var(return − value) / Var(return)", explained, 0.0,
        Fix("Scale rewards and observations, or give the value function more weight.",
            {"set": "normalize=yes"}), score=0.72,
    )  # fmt: skip


def _overestimated(e: PolicyEvidence) -> Iterator[Finding]:
    """Values of actions far beyond any return."""
    values, returns = e.series("value"), [*e.series("return"), *e.returns, *e.by_chance]
    if not values or not e.poor:
        return
    largest = max(map(abs, returns), default=0.0)
    if abs(values[-1]) > _BEYOND * max(largest, 1.0):
        yield Finding(
            "values", "value_diverged", "warning",
            f"Actions are valued at {values[-1]:.4g} on average; no return was beyond "
            f"{largest:.4g}.",
            "Each value is learned from the largest of the next state's, so errors add up.",
            "mean |value| / largest |return|", abs(values[-1]) / max(largest, 1.0), _BEYOND,
            _rate(e, "Lower", e.lr / 10), score=0.84,
        )  # fmt: skip


def _still_rising(e: PolicyEvidence) -> Iterator[Finding]:
    returns = e.series("return")
    if len(returns) < 2 * _FEWEST or not e.learned or e.collapsed:
        return
    fifth = max(len(returns) // 5, 1)
    gained = returns[-1] - returns[0]
    late = returns[-1] - returns[-1 - fifth]
    if gained > _CLEAR * e.error and late > _RISING * gained:
        steps = int(e.history[-1].get("steps", 0))
        yield Finding(
            "returns", "too_few_steps", "note",
            f"The mean return still rises, to {returns[-1]:.4g} at the end.",
            "The training ended before the policy had learned what it can.",
            "fraction of the gain in the last fifth of the training", late / gained, _RISING,
            Fix(f"Train for {2 * steps:,} steps.", {"steps": 2 * steps}), score=0.4,
        )  # fmt: skip


def _rate(e: PolicyEvidence, change: str, rate: float) -> Fix:
    rate = float(f"{rate:.2g}")
    return Fix(f"{change} the learning rate, to {rate:.2g} say.", {"lr": rate})


_RULES = (
    _no_episode, _not_learned, _collapsed, _certain, _too_far, _stands_still, _unexplained,
    _overestimated, _still_rising,
)  # fmt: skip
