"""Own environments take the steps of Gymnasium and MinAtar, whose traces are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine import pytree
from chainrule.rl.environments import ENVIRONMENTS

from ..nightly import by_night

TRACES = np.load(Path(__file__).with_name("traces.npz"))
NAMES = {name: name for name in ENVIRONMENTS} | {"GridWorld": "FrozenLake-v1"}


def as_state(env: Any, rows: np.ndarray) -> Any:
    """States as the environment has them, from rows of numbers."""
    if env.name == "GridWorld":
        return rows[:, 0].astype(np.int64)
    if env.name == "Breakout":
        numbers = rows[:, :6].astype(np.int64)
        bricks = rows[:, 7:].reshape(-1, 10, 10) > 0
        x, y, last_x, last_y, direction, paddle = numbers.T.copy()
        return cr.rl.environments.breakout.BreakoutState(
            x, y, last_x, last_y, direction, paddle, bricks, rows[:, 6] > 0
        )
    one = env.reset(cr.random.key(0), 1)
    kinds = [leaf.dtype for leaf in one]
    return type(one)(*(np.ascontiguousarray(rows[:, i], kind) for i, kind in enumerate(kinds)))


def as_rows(env: Any, state: Any) -> np.ndarray:
    if env.name == "Breakout":
        numbers = [state.ball_x, state.ball_y, state.last_x, state.last_y, state.direction,
                   state.paddle, state.strike]  # fmt: skip
        flat = [np.asarray(part.numpy(), float)[:, None] for part in numbers]
        return np.concatenate([*flat, state.bricks.numpy().reshape(len(flat[0]), -1)], 1)
    parts = pytree.flatten(state)[0]
    return np.stack([np.asarray(part.numpy(), float) for part in parts], 1)


def replayed(env: Any, trace: dict[str, np.ndarray], backend: str) -> Any:
    """The steps of a trace as one loop; where an episode begins it is put into its first state."""
    steps = len(trace["action"])
    begins = np.zeros(steps, bool)
    begins[trace["begins"]] = True
    first = as_state(env, trace["first"])
    at = np.maximum(np.cumsum(begins) - 1, 0)
    firsts = pytree.map_leaves(lambda leaf: leaf[at], first)
    action = trace["action"]
    action = action[:, 0].astype(np.int64) if action.dtype.kind == "i" else action

    def run(begins: Any, firsts: Any, action: Any) -> Any:
        def body(state: Any, x: Any) -> Any:
            begin, fresh, act = x
            leaves, rebuild, _ = pytree.flatten(state)
            new = pytree.flatten(fresh)[0]
            state = rebuild([cr.where(begin, n[None], s) for n, s in zip(new, leaves, strict=True)])
            state, reward, ended = env.step(state, act[None], cr.random.key(0))
            return state, (state, env.observe(state), reward[0], ended[0])

        start = pytree.map_leaves(lambda leaf: leaf[0][None], firsts)
        return cr.scan(body, start, (begins, firsts, action), differentiable=False)[1]

    return cr.compile(run, backend=backend)(begins, firsts, action)


def restarted(trace: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The trace with a beginning at each state that is stored, too."""
    steps = len(trace["action"])
    over = np.append(True, (trace["ended"])[:-1])
    begins = dict(zip(trace["begins"].tolist(), trace["first"], strict=True))
    for number, state in enumerate(trace["state"][:-1]):
        at = 10 * number + 10
        if at < steps and not over[at]:
            begins.setdefault(at, state)
    order = sorted(begins)
    return trace | {"begins": np.array(order), "first": np.stack([begins[at] for at in order])}


@pytest.mark.parametrize(
    ("name", "backend"),
    [(name, "c") for name in NAMES] + [by_night(name, "numpy") for name in NAMES],
)
def test_steps_are_those_of_the_reference(name, backend):
    env = ENVIRONMENTS[name]()
    count = 10_000 if backend == "c" else 300
    trace = {
        key: TRACES[f"{NAMES[name]}.{key}"]
        for key in ("action", "reward", "ended", "first", "begins", "state", "observation")
    }
    for key in ("action", "reward", "ended"):
        trace[key] = trace[key][:count]
    for key in ("state", "observation"):
        trace[key] = trace[key][: count // 10]
    kept = trace["begins"] < count
    trace["begins"], trace["first"] = trace["begins"][kept], trace["first"][kept]
    if name == "MountainCarContinuous-v0":
        trace = restarted(trace)  # its state is float32: over an episode roundings add up to 1e-6
    states, seen, rewards, ended = replayed(env, trace, backend)
    assert rewards.numpy() == pytest.approx(trace["reward"], abs=1e-6)
    assert (ended.numpy() == trace["ended"]).all()
    states = pytree.map_leaves(lambda leaf: leaf[:, 0], states)
    found = as_rows(env, states)[9::10]
    assert np.abs(found - trace["state"]).max() <= 1e-6
    if name != "GridWorld":
        observed = seen.numpy().reshape(count, -1)[9::10]
        assert np.abs(observed - trace["observation"]).max() <= 1e-6
    assert len(trace["begins"]) > 1 or backend == "numpy"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_first_states_are_drawn_where_the_reference_draws_them(name):
    """The mean and range of many first states."""
    env = ENVIRONMENTS[name]()
    many = as_rows(env, env.reset(cr.random.key(1), 4000))
    known = TRACES[f"{NAMES[name]}.first"].astype(float)
    assert many.shape[1] == known.shape[1]
    low, high = many.min(0), many.max(0)
    slack = 0.02 * (high - low) + 1e-9
    assert (known >= low - slack).all()
    assert (known <= high + slack).all()
    off = np.abs(many.mean(0) - known.mean(0))
    assert (off <= 4 * many.std(0) / np.sqrt(len(known)) + 1e-9).all()
    assert (env.observe(env.reset(cr.random.key(1), 3)).shape) == (3, *env.observation_space.shape)


def test_a_slippery_grid_goes_to_all_three_sides():
    world = cr.rl.GridWorld(["FFF", "FSF", "FFG"], slippery=True)
    start = world.reset(cr.random.key(0), 3000)
    cells, _, _ = world.step(start, start * 0, cr.random.key(1))  # to the left
    share = np.bincount(cells.numpy(), minlength=9) / 3000
    assert share[[1, 3, 7]] == pytest.approx(1 / 3, abs=0.03)


def test_walls_of_a_grid():
    world = cr.rl.GridWorld(["S#G"], step_reward=-0.1)
    cell, reward, ended = world.step(cr.tensor([0]), cr.tensor([2]), None)
    assert (cell.tolist(), ended.tolist()) == ([0], [False])
    assert reward.tolist() == [pytest.approx(-0.1)]


@pytest.mark.parametrize("rows", [[], ["SF", "G"], ["FG"], ["SF"], ["SXG"], ["SSG"]])
def test_no_map(rows):
    with pytest.raises(cr.errors.ConfigError, match="map of a grid world"):
        cr.rl.GridWorld(rows)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_has_a_picture(name):
    env = ENVIRONMENTS[name]()
    one = pytree.map_leaves(lambda leaf: leaf.numpy()[0], env.reset(cr.random.key(0), 1))
    frame = env.scene(one).pixels(60)
    assert frame.dtype == np.uint8
    assert max(frame.shape[:2]) == 60
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) > 2
