"""Losses, gradients and updates are those of Stable-Baselines3 on stored batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.rl.losses import actor_critic_loss, generalized_advantages, ppo_loss

from ..nightly import by_night

STORED = np.load(Path(__file__).with_name("updates.npz"))
SEEN, ROWS = 5, 32


class Spaces(cr.rl.Environment):
    """Nothing but the spaces."""

    observation_space = cr.rl.Box.of(np.full(SEEN, -1.0), np.full(SEEN, 1.0))

    def __init__(self, action: Any) -> None:
        self.action_space = action

    def reset(self, key: Any, count: int) -> Any:
        return cr.zeros((count, SEEN))

    def observe(self, state: Any) -> Any:
        return state

    def step(self, state: Any, action: Any, key: Any) -> Any:
        return state, state[:, 0], state[:, 0] > 1.0


THREE = cr.rl.Discrete(3)
BOX = cr.rl.Box.of([-2.0, -2.0], [2.0, 2.0])
SMALL = {"hidden": (8, 6), "seed": 1}


def part(name: str) -> dict[str, np.ndarray]:
    """The stored arrays whose names begin so."""
    start = f"{name}."
    return {k.removeprefix(start): STORED[k] for k in STORED.files if k.startswith(start)}


def listed(stored: dict[str, np.ndarray], network: str) -> list[np.ndarray]:
    count = sum(key.startswith(f"{network}.") for key in stored)
    return [stored[f"{network}.{i}"] for i in range(count)]


def fill(module: Any, arrays: list[np.ndarray]) -> None:
    for variable, array in zip(module.variables().values(), arrays, strict=True):
        variable.assign(array.reshape(variable.shape))


def same(found: list[Any], expected: list[np.ndarray], tolerance: float = 1e-5) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert np.abs(np.asarray(ours).reshape(theirs.shape) - theirs).max() <= tolerance


def values(module: Any) -> list[Any]:
    return [variable.numpy() for variable in module.variables().values()]


def first_gradients(optimizer: Any) -> list[Any]:
    """The gradients of the first update of Adam: what its mean of them has become, times ten."""
    return [10 * b.numpy() for name, b in optimizer.buffers().items() if name.startswith("m.")]


def on_policy_agent(name: str) -> Any:
    action = BOX if name.endswith("box") else THREE
    options: dict[str, Any] = {"ent_coef": 0.01, "n_envs": 1, **SMALL}
    if name.startswith("ppo"):
        limit = 0.3 if name == "ppo_box" else None
        agent: Any = cr.rl.PPO(
            Spaces(action), n_steps=ROWS, batch_size=ROWS, n_epochs=1, clip_range_vf=limit,
            **options,
        )  # fmt: skip
    else:
        agent = cr.rl.A2C(Spaces(action), normalize_advantage=name == "a2c_box", **options)
    before = part(f"{name}.before")
    fill(agent.network.actor, listed(before, "actor"))
    fill(agent.network.critic, listed(before, "critic"))
    if action is BOX:
        agent.network.log_std.assign(before["log_std.0"])
    return agent


@pytest.mark.parametrize(
    ("name", "backend"),
    [(name, "numpy") for name in ("ppo", "ppo_box", "a2c", "a2c_box")] + [by_night("ppo", "c")],
)
def test_an_update_of_a_policy(name, backend):
    agent = on_policy_agent(name)
    batch, losses = part(f"{name}.batch"), part(f"{name}.loss")
    gradients, after = part(f"{name}.gradient"), part(f"{name}.after")
    network = agent.network
    data = {key: cr.tensor(array) for key, array in batch.items()}

    def loss(network: Any) -> Any:
        found = network.distribution(data["observation"])
        options: dict[str, Any] = {
            "advantages": data["advantages"], "returns": data["returns"], "ent_coef": 0.01,
            "normalize_advantage": name != "a2c",
        }  # fmt: skip
        given = (found.log_prob(data["action"]), found.entropy(),
                 network.value(data["observation"]))  # fmt: skip
        if name.startswith("a2c"):
            return actor_critic_loss(*given, **options).loss
        limit = 0.3 if name == "ppo_box" else None
        return ppo_loss(*given, old_log_prob=data["log_prob"], clip_range=0.2,
                        old_values=data["values"], clip_range_vf=limit, **options).loss  # fmt: skip

    _, found = cr.value_and_grad(loss)(network)
    norm = np.sqrt(sum((g.numpy() ** 2).sum() for g in found.values()))
    scale = min(1.0, 0.5 / (norm + 1e-6))  # theirs are stored after clipping
    for part_name in ("actor", "critic"):
        ours = [g.numpy() * scale for path, g in found.items() if path.startswith(part_name)]
        same(ours, listed(gradients, part_name))
    if name.endswith("box"):
        same([found["log_std"].numpy() * scale], listed(gradients, "log_std"))

    learn = cr.compile(lambda data: agent.learned(data, cr.random.key(0), 1.0), backend=backend)
    numbers = {key: x.item() for key, x in learn(batch).items()}
    policy = losses["policy_gradient_loss" if name.startswith("ppo") else "policy_loss"]
    assert numbers["policy_loss"] == pytest.approx(float(policy), abs=1e-5)
    assert numbers["value_loss"] == pytest.approx(float(losses["value_loss"]), abs=1e-5)
    assert -numbers["entropy"] == pytest.approx(float(losses["entropy_loss"]), abs=1e-5)
    if name.startswith("ppo"):
        assert numbers["loss"] == pytest.approx(float(losses["loss"]), abs=1e-5)
        assert numbers["kl"] == pytest.approx(float(losses["approx_kl"]), abs=1e-5)
        assert numbers["clipped"] == pytest.approx(float(losses["clip_fraction"]), abs=1e-6)
    same(values(network.actor), listed(after, "actor"))
    same(values(network.critic), listed(after, "critic"))


def test_advantages_of_episodes_that_end_and_are_cut_off():
    stored = part("gae")
    keys = ("rewards", "values", "after", "ended", "done")
    found = generalized_advantages(*(cr.tensor(stored[key]) for key in keys), 0.97, 0.9)
    assert np.abs(found.numpy() - stored["advantages"]).max() <= 1e-5
    returns = found.numpy() + stored["values"]
    assert np.abs(returns - stored["returns"]).max() <= 1e-5


def test_an_update_of_dqn():
    agent = cr.rl.DQN(Spaces(THREE), double=False, lr=1e-3, max_grad_norm=0.4, batch_size=ROWS,
                      **SMALL)  # fmt: skip
    before, batch = part("dqn.before"), part("dqn.batch")
    fill(agent.network.advantage, listed(before, "network"))
    fill(agent.target.advantage, listed(before, "target"))
    data = {key: cr.tensor(x) for key, x in batch.items()} | {"weight": cr.ones((ROWS,))}
    numbers, errors = agent.update(data, cr.random.key(0))
    assert numbers["loss"].item() == pytest.approx(float(STORED["dqn.loss.loss"]), abs=1e-5)
    assert errors.shape == (ROWS,)
    same(values(agent.network.advantage), listed(part("dqn.after"), "network"))
    same(first_gradients(agent.optimizer), listed(part("dqn.gradient"), "network"))


def test_double_dqn_values_what_the_learning_network_chooses():
    agent = cr.rl.DQN(Spaces(THREE), double=True, batch_size=ROWS, **SMALL)
    before, batch = part("dqn.before"), part("dqn.batch")
    fill(agent.network.advantage, listed(before, "network"))
    fill(agent.target.advantage, listed(before, "target"))

    def forward(name: str, x: np.ndarray) -> np.ndarray:
        w = listed(before, name)
        for i in (0, 2):
            x = np.maximum(x @ w[i] + w[i + 1], 0)
        return x @ w[4] + w[5]

    chosen = forward("network", batch["next_observation"]).argmax(1)
    later = forward("target", batch["next_observation"])[np.arange(ROWS), chosen]
    target = batch["reward"] + 0.99 * np.where(batch["terminated"], 0, later)
    q = forward("network", batch["observation"])[np.arange(ROWS), batch["action"]]
    data = {key: cr.tensor(x) for key, x in batch.items()} | {"weight": cr.ones((ROWS,))}
    assert agent.update(data, cr.random.key(0))[1].numpy() == pytest.approx(q - target, abs=1e-5)


def test_a_dueling_network_is_its_value_and_centred_advantages():
    agent = cr.rl.DQN(Spaces(THREE), dueling=True, **SMALL)
    x = np.random.default_rng(0).normal(size=(4, SEEN)).astype(np.float32)
    q = agent.network(cr.tensor(x)).numpy()
    assert q.mean(1) == pytest.approx(agent.network.value(cr.tensor(x)).numpy()[:, 0], abs=1e-6)
    assert q.std(1).min() > 1e-4


def test_an_update_of_sac():
    agent = cr.rl.SAC(Spaces(BOX), batch_size=ROWS, **SMALL)
    before, after, batch = part("sac.before"), part("sac.after"), part("sac.batch")
    losses = part("sac.loss")

    def actor(stored: dict[str, np.ndarray]) -> list[np.ndarray]:
        heads = [np.concatenate([stored[f"mean.{i}"], stored[f"spread.{i}"]], -1) for i in (0, 1)]
        return [*listed(stored, "actor"), *heads]

    def networks() -> list[tuple[Any, str]]:
        return [
            (agent.critic.first, "first"),
            (agent.critic.second, "second"),
            (agent.target.first, "target_first"),
            (agent.target.second, "target_second"),
        ]

    fill(agent.network.actor, actor(before))
    for module, name in networks():
        fill(module, listed(before, name))
    agent.log_alpha.assign(before["log_alpha.0"].reshape(()))
    data = {key: cr.tensor(x) for key, x in batch.items()}
    found, _ = agent.learned(data, data["drawn"], data["later"])
    numbers = {key: x.item() for key, x in found.items()}
    for ours, theirs in (
        ("loss", "critic_loss"),
        ("actor_loss", "actor_loss"),
        ("temperature", "ent_coef"),
        ("temperature_loss", "ent_coef_loss"),
    ):
        assert numbers[ours] == pytest.approx(float(losses[theirs]), abs=1e-5), ours
    same(values(agent.network.actor), actor(after))
    same(first_gradients(agent.optimizers[0]), actor(part("sac.gradient")))
    for module, name in networks():
        same(values(module), listed(after, name))
    same([agent.log_alpha.numpy()], [after["log_alpha.0"]])
