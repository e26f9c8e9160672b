"""JAX: PPO on CartPole in the design of purejaxrl: environment, rollout and updates under one jit.

A process of its own, in an environment that has jax; prints JSON:

    python benchmarks/peers/jax_ppo.py '[100000, 0]'

The options are those of rl-baselines3-zoo, as in `stable_baselines.py`. The value of a state that
the time limit cut off is counted, as Stable-Baselines3 and chainrule do.
"""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp

WORLDS, STEPS, EPOCHS, BATCH = 8, 32, 20, 256
GAMMA, LAMBDA, RATE, CLIP, NORM, VALUE = 0.98, 0.8, 1e-3, 0.2, 0.5, 0.5
LIMIT = 500


def reset(key: Any) -> Any:
    """Place and speed, angle and angular speed; and the steps so far."""
    return jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05), jnp.int32(0)


def step(state: Any, action: Any) -> Any:
    """CartPole-v1, by Euler's explicit method."""
    (x, speed, angle, spin), age = state
    force = jnp.where(action == 1, 10.0, -10.0)
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    push = (force + 0.05 * spin**2 * sine) / 1.1
    angular = (9.8 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
    linear = push - 0.05 * angular * cosine / 1.1
    tau = 0.02
    new = jnp.stack([x + tau * speed, speed + tau * linear, angle + tau * spin,
                     spin + tau * angular])  # fmt: skip
    ended = (jnp.abs(new[0]) > 2.4) | (jnp.abs(new[2]) > 12 * 2 * math.pi / 360)
    return (new, age + 1), ended, ended | (age + 1 >= LIMIT)


def network(key: Any, outputs: int, last: float) -> Any:
    """Two hidden layers of 64 units, orthogonal."""
    shapes = ((4, 64, math.sqrt(2)), (64, 64, math.sqrt(2)), (64, outputs, last))
    keys = jax.random.split(key, len(shapes))
    return [
        (jax.nn.initializers.orthogonal(gain)(k, (n, m)), jnp.zeros(m))
        for k, (n, m, gain) in zip(keys, shapes, strict=True)
    ]


def forward(layers: Any, x: Any) -> Any:
    """tanh between the layers."""
    for weight, bias in layers[:-1]:
        x = jnp.tanh(x @ weight + bias)
    weight, bias = layers[-1]
    return x @ weight + bias


def loss_of(networks: Any, data: Any, clip: Any) -> Any:
    """PPO's, with normalised advantages."""
    actor, critic = networks
    logs = jax.nn.log_softmax(forward(actor, data["seen"]))
    log_prob = jnp.take_along_axis(logs, data["action"][:, None], 1)[:, 0]
    a = data["advantage"]
    a = (a - a.mean()) / (a.std(ddof=1) + 1e-8)
    ratio = jnp.exp(log_prob - data["log_prob"])
    policy = -jnp.minimum(a * ratio, a * jnp.clip(ratio, 1 - clip, 1 + clip)).mean()
    value = ((data["return"] - forward(critic, data["seen"])[:, 0]) ** 2).mean()
    return policy + VALUE * value


def trained(count: int) -> Any:
    """A function of a training state that makes so many rollouts and their updates."""
    add = jax.tree.map
    per_epoch = WORLDS * STEPS // BATCH

    def update(carry: Any, rows: Any, data: Any, left: Any) -> Any:
        networks, m, v, t = carry
        part = {name: x[rows] for name, x in data.items()}
        loss, g = jax.value_and_grad(loss_of)(networks, part, CLIP * left)
        norm = jnp.sqrt(sum((x**2).sum() for x in jax.tree.leaves(g)))
        g = add(lambda x: x * jnp.minimum(NORM / (norm + 1e-6), 1.0), g)
        t = t + 1
        m = add(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = add(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        c, d = 1 - 0.9**t, 1 - 0.999**t
        rate = RATE * left
        networks = add(lambda w, m, v: w - rate * (m / c) / (jnp.sqrt(v / d) + 1e-5),
                       networks, m, v)  # fmt: skip
        return (networks, m, v, t), loss

    def act(carry: Any, key: Any, networks: Any) -> Any:
        state, total = carry
        seen = state[0]
        one, two = jax.random.split(key)
        logits = forward(networks[0], seen)
        action = jax.random.categorical(one, logits)
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], 1)[:, 0]
        new, ended, done = jax.vmap(step)(state, action)
        total = total + 1
        fresh = jax.vmap(reset)(jax.random.split(two, WORLDS))
        later = add(lambda f, n: jnp.where(done.reshape(-1, *[1] * (n.ndim - 1)), f, n), fresh, new)
        happened = (seen, action, log_prob, new[0], ended, done, total)
        return (later, jnp.where(done, 0, total)), happened

    def advantages(later: Any, now: Any) -> Any:
        error, factor = now
        found = error + factor * later
        return found, found

    def iteration(carry: Any, given: Any) -> Any:
        learner, worlds = carry
        key, left = given
        one, two = jax.random.split(key)
        networks = learner[0]
        worlds, happened = jax.lax.scan(
            lambda c, k: act(c, k, networks), worlds, jax.random.split(one, STEPS)
        )
        seen, action, log_prob, after, ended, done, total = happened
        value = forward(networks[1], seen)[..., 0]
        next_value = jnp.where(ended, 0.0, forward(networks[1], after)[..., 0])
        errors = 1.0 + GAMMA * next_value - value
        factors = jnp.where(done, 0.0, GAMMA * LAMBDA)
        _, found = jax.lax.scan(advantages, jnp.zeros(WORLDS), (errors, factors), reverse=True)
        data = {"seen": seen, "action": action, "log_prob": log_prob, "advantage": found,
                "return": found + value}  # fmt: skip
        data = {name: x.reshape(-1, *x.shape[2:]) for name, x in data.items()}
        orders = jax.vmap(lambda k: jax.random.permutation(k, WORLDS * STEPS))(
            jax.random.split(two, EPOCHS)
        ).reshape(EPOCHS * per_epoch, BATCH)
        learner, _ = jax.lax.scan(lambda c, r: update(c, r, data, left), learner, orders)
        return (learner, worlds), (jnp.where(done, total, 0).sum(), done.sum())

    return jax.jit(lambda carry, keys, left: jax.lax.scan(iteration, carry, (keys, left)))


def main() -> None:
    """Train, and print steps per second without compilation, and the last returns."""
    steps, seed = json.loads(sys.argv[1])
    count = -(-steps // (WORLDS * STEPS))
    key = jax.random.key(seed)
    keys = jax.random.split(key, count + 3)
    networks = [network(keys[0], 2, 0.01), network(keys[1], 1, 1.0)]
    zeros = jax.tree.map(jnp.zeros_like, networks)
    worlds = jax.vmap(reset)(jax.random.split(keys[2], WORLDS)), jnp.zeros(WORLDS)
    carry = ((networks, zeros, zeros, jnp.float32(0)), worlds)
    given = (keys[3:], jnp.linspace(1.0, 0.0, count, endpoint=False))
    run = trained(count)
    begun = time.perf_counter()
    jax.block_until_ready(run(carry, *given))
    first = time.perf_counter() - begun
    begun, clock = time.perf_counter(), time.process_time()
    _, (totals, episodes) = jax.block_until_ready(run(carry, *given))
    seconds, processor = time.perf_counter() - begun, time.process_time() - clock
    last = slice(-max(count // 20, 1), None)
    taken = count * WORLDS * STEPS
    print(json.dumps({
        "seconds": seconds, "building": first - seconds, "rate": taken / seconds,
        "processor_rate": taken / processor,
        "return": float(totals[last].sum() / max(int(episodes[last].sum()), 1)),
    }))  # fmt: skip


main()
