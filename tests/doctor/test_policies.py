"""What is told of a policy: known troubles by their cause, and nothing of one that has learned."""

from __future__ import annotations

import dataclasses
import math

import pytest

from chainrule.doctor import PolicyEvidence, examine_policy
from chainrule.doctor.diagnosis import Diagnosis, one_line

GOOD = [{"steps": 1000.0 * i, "episodes": 10.0 * i, "return": min(20.0 + 8 * i, 90.0),
         "entropy": 0.69 / i, "kl": 0.01, "clipped": 0.1, "explained": 0.8}
        for i in range(1, 31)]  # fmt: skip
LEARNED = PolicyEvidence(GOOD, [95.0, 105.0] * 10, [18.0, 22.0] * 10, "ppo", 1e-3, 2,
                         usual_steps=30_000)  # fmt: skip
AS_CHANCE = [18.0, 22.5] * 10


def changed(**values):
    """The history with other numbers: constants, or functions of the iteration."""
    return [record | {name: value(i) if callable(value) else value
                      for name, value in values.items()}
            for i, record in enumerate(GOOD)]  # fmt: skip


def causes(evidence):
    return [finding.cause for finding in examine_policy(evidence)]


def test_nothing_is_told_of_a_policy_that_has_learned():
    assert causes(LEARNED) == []
    # Odd numbers mean nothing where the result is good.
    for odd in ({"entropy": 1e-4}, {"kl": 0.5, "clipped": 0.6}, {"explained": -0.5},
                {"value": 1e6}, {"kl": 0.0, "clipped": 0.0}):  # fmt: skip
        assert causes(dataclasses.replace(LEARNED, history=changed(**odd))) == []


FLAT = {"return": lambda i: 20.0 + 0.1 * (i % 3)}


@pytest.mark.parametrize(
    ("history", "more", "cause", "fix"),
    [
        (changed(**FLAT, entropy=0.65), {}, "policy_not_learned", {}),
        (changed(**FLAT, entropy=0.65), {"usual_steps": 100_000}, "policy_not_learned",
         {"steps": 100_000}),
        (changed(**FLAT, entropy=0.65, kl=2.0, clipped=0.3), {}, "policy_updates_too_large",
         {"lr": 0.00033}),
        (changed(**FLAT, entropy=0.65, kl=0.02, clipped=0.6), {}, "policy_updates_too_large",
         {"lr": 0.00033}),
        (changed(**FLAT, entropy=0.01), {}, "entropy_collapsed", {"set": "ent_coef=0.01"}),
        (changed(**FLAT, entropy=lambda i: 1.4 - 0.3 * i), {"continuous": True, "actions": 1},
         "entropy_collapsed", {"set": "ent_coef=0.01"}),
        (changed(**FLAT, entropy=0.69, kl=1e-8, clipped=0.0), {"lr": 1e-7},
         "learning_rate_too_low", {"lr": 3e-6}),
        (changed(**FLAT, entropy=0.65, explained=-0.4), {}, "value_unexplained",
         {"set": "normalize=yes"}),
        ([{"steps": 1000.0 * i, "episodes": 9.0, "return": 20.0, "value": 10.0**i}
          for i in range(1, 9)], {"algorithm": "dqn"}, "value_diverged", {"lr": 1e-4}),
    ],
)  # fmt: skip
def test_a_policy_that_has_not_learned(history, more, cause, fix):
    evidence = dataclasses.replace(LEARNED, history=history, returns=AS_CHANCE, **more)
    first = examine_policy(evidence)[0]
    assert first.cause == cause
    assert first.fix.options == fix
    assert one_line(first)


def test_rewards_that_are_never_found():
    history = changed(**{"return": 0.0}, entropy=0.69)
    evidence = dataclasses.replace(LEARNED, history=history, returns=[0.0] * 20,
                                   by_chance=[0.0] * 20)  # fmt: skip
    (found,) = examine_policy(evidence)
    assert found.cause == "policy_not_learned"
    assert "too rare" in found.why
    assert found.fix.options == {"set": "ent_coef=0.01"}


def test_a_policy_that_became_worse():
    history = changed(**{"return": lambda i: 20.0 + 5 * i if i < 15 else 25.0}, entropy=0.3)
    evidence = dataclasses.replace(LEARNED, history=history, returns=[28.0, 33.0] * 10)
    (found,) = examine_policy(evidence)
    assert found.cause == "policy_collapsed"
    assert found.measured == pytest.approx(65 / 70)
    # As it is played it is good: the training explored.
    assert causes(dataclasses.replace(evidence, returns=[80.0, 90.0] * 10)) == []


def test_no_episode_and_a_failure():
    history = [{"steps": 512.0, "episodes": 0.0, "entropy": 0.6, "kl": 0.01}]
    evidence = dataclasses.replace(LEARNED, history=history, returns=AS_CHANCE)
    assert causes(evidence)[0] == "no_episode_ended"
    failed = dataclasses.replace(evidence, failure="The loss is not finite.")
    (found,) = examine_policy(failed)
    assert (found.cause, found.severity, found.fix.options) == (
        "exploding_gradient", "error", {"lr": 0.00033})  # fmt: skip
    outside = "The environment gave a reward or an observation that is not finite."
    nothing = [math.nan]
    failed = dataclasses.replace(failed, failure=outside, returns=nothing, by_chance=nothing)
    assert causes(failed) == ["environment_fails"]


def test_more_steps_are_a_note():
    history = changed(**{"return": lambda i: 20.0 + 3 * i})
    (found,) = examine_policy(dataclasses.replace(LEARNED, history=history))
    assert (found.cause, found.severity, found.fix.options) == (
        "too_few_steps", "note", {"steps": 60_000})  # fmt: skip
    assert "60,000 steps" in str(Diagnosis([found]))
