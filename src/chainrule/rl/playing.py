"""A training of a policy from its name to its run folder: what `chainrule play` does."""

from __future__ import annotations

import dataclasses
import io
import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..doctor import Diagnosis, PolicyEvidence, examine_policy
from ..errors import ConfigError, TrainingError, unknown
from ..tasks import load_predictor
from ..training import Checkpoints
from ..utils.files import write_atomically
from ..utils.runs import Run, write_run
from ..utils.typing import Array
from ..utils.unfinished import POLICY
from .algorithms import ALGORITHMS, Algorithm
from .making import make_worlds
from .players import Player, by_chance, of_model
from .rendering import Scene, animation
from .saving import ACTION, Policy, PolicySchema, schema_of
from .settings import tuned
from .spaces import Box, Discrete
from .worlds import GraphWorlds, Rollout

#: Files of a run folder.
EPISODE, PICTURE = "episode.csv", "episode.gif"
#: Pictures of an animation; a longer episode is cut off there.
_MOST_FRAMES = 1500


@dataclass
class Outcome:
    """A training that is over, and how good its policy is.

    Attributes:
        agent: what was trained.
        returns: of the episodes that were played afterwards, by the best actions.
        lengths: their steps.
        by_chance: the returns of random actions.
        seconds: of the training.
        failure: what ended it.
    """

    agent: Algorithm
    returns: Array
    lengths: Array
    by_chance: Array
    seconds: float
    failure: TrainingError | None = None

    def report(self) -> dict[str, Any]:
        """What was measured, as the run folder keeps it."""
        agent = self.agent
        parameters = agent.network.parameters().values()
        interrupted = agent.history.interrupted
        return {
            "task": "policy",
            "target": "return",
            "unit": "episodes",
            "rows": {"train": int(agent.history.records[-1]["episodes"]),
                     "test": len(self.returns)},
            "metrics": {
                "return": float(self.returns.mean()),
                "return_std": float(self.returns.std()),
                "length": float(self.lengths.mean()),
                "return_by_chance": float(self.by_chance.mean()),
            },
            "baselines": {},
            "cv": None,
            "steps": agent.steps,
            "steps_per_second": agent.steps / max(self.seconds, 1e-9),
            "parameters": sum(p.size for p in parameters),
            "epochs": len(agent.history),
            "best_epoch": None,
            "stop_reason": "interrupted" if interrupted else None,
            "options": agent.options(),
            "data": {"kind": POLICY, "source": agent.worlds.name},
            "seconds": self.seconds,
        }  # fmt: skip

    def diagnosis(self) -> Diagnosis:
        """What was wrong with the training, and what to change."""
        agent, space = self.agent, self.agent.action_space
        continuous = not isinstance(space, Discrete)
        evidence = PolicyEvidence(
            agent.history.records, self.returns.tolist(), self.by_chance.tolist(), agent.name,
            float(getattr(agent, "lr", 0.0)),
            actions=space.size if isinstance(space, Box) else space.n,
            continuous=continuous,
            updates=int(getattr(agent, "updates", 1)),
            usual_steps=int(tuned(agent.name, agent.worlds.name).get("steps", 0)),
            failure=self.failure.what if self.failure is not None else "",
        )  # fmt: skip
        return Diagnosis(examine_policy(evidence))


def agent_for(environment: Any, algorithm: str, options: Mapping[str, Any]) -> Algorithm:
    """An agent with the tuned options of a known environment, and over them the given ones.

    Args:
        environment: as `Algorithm` takes it.
        algorithm: its name.
        options: of the algorithm; texts are read as the option wants them.

    Raises:
        ConfigError: there is no such algorithm or option, or its value is invalid.

    Example:
        >>> agent_for("GridWorld", "ppo", {"gamma": "0.9"}).gamma
        0.9
    """
    if algorithm not in ALGORITHMS:
        raise unknown("algorithm", algorithm, ALGORITHMS)
    kind = ALGORITHMS[algorithm]
    chosen = tuned(algorithm, environment) if isinstance(environment, str) else {}
    chosen.pop("steps", None)
    return kind(environment, **chosen | read_options(kind, options))


def read_options(kind: type[Algorithm], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of an algorithm from texts.

    Example:
        >>> read_options(ALGORITHMS["ppo"], {"hidden": "32,32", "normalize": "yes", "n-steps": "8"})
        {'hidden': (32, 32), 'normalize': True, 'n_steps': 8}
    """
    hints = typing.get_type_hints(kind)
    names = [one.name for one in dataclasses.fields(kind) if one.init and one.name != "environment"]
    found = {}
    for name, value in options.items():
        field = name.replace("-", "_")
        if field not in names:
            raise unknown(f"option of {kind.name}", name, names)
        found[field] = _read(field, value, hints[field]) if isinstance(value, str) else value
    return found


def _read(name: str, text: str, hint: Any) -> Any:
    """A text as an option of this type."""
    kinds = typing.get_args(hint) or (hint,)
    word = text.strip().lower()
    try:
        if typing.get_origin(hint) is tuple:
            return tuple(int(part) for part in text.split(",") if part.strip())
        if bool in kinds:
            return {"yes": True, "true": True, "1": True, "no": False, "false": False,
                    "0": False}[word]  # fmt: skip
        if type(None) in kinds and word == "none":
            return None
        if float in kinds and not (str in kinds and not _is_number(word)):
            return float(text)
        return int(text) if int in kinds else text
    except (ValueError, KeyError):
        wanted = {int: "an integer", float: "a number", bool: "yes or no"}
        expected = (
            "integers with commas between"
            if typing.get_origin(hint) is tuple
            else (" or ".join(wanted[kind] for kind in kinds if kind in wanted))
        )
        raise ConfigError(f"Invalid value for {name}.", expected=expected, found=text) from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def trained(
    agent: Algorithm, steps: int, episodes: int = 20,
    on_iteration: Callable[[dict[str, float]], object] | None = None,
    checkpoints: Checkpoints | None = None,
) -> Outcome:  # fmt: skip
    """Train an agent, then play some episodes with its best actions.

    Raises:
        TrainingError: it failed in its first iteration.
        KeyboardInterrupt: Ctrl-C in the first iteration.
    """
    failure = None
    try:
        agent.learn(steps, on_iteration, checkpoints=checkpoints)
    except TrainingError as error:
        if not len(agent.history):
            raise
        failure = error
    seconds = math.fsum(agent.history["seconds"])  # those of processes before, too
    if agent.history.interrupted and not len(agent.history):
        raise KeyboardInterrupt
    try:
        returns, lengths = agent.evaluate(episodes, seed=agent.seed + 1)
        chance = Player(agent.worlds, by_chance(agent.action_space), agent.backend)
        random_returns, _ = chance.episodes(episodes, agent.seed + 1)
    except TrainingError as error:  # an environment that fails goes on failing
        if failure is None:
            failure = error
        returns = lengths = random_returns = np.array([np.nan])
    return Outcome(agent, returns, lengths, random_returns, seconds, failure)


def keep(outcome: Outcome, folder: Path, command: str) -> Run:
    """Write the run folder: model, record, and one episode as a table.

    Args:
        outcome: of the training.
        folder: of the run.
        command: that trains it again.
    """
    agent, report = outcome.agent, outcome.report()
    record = {
        "kind": POLICY,
        "data": agent.worlds.name,
        "source": None,
        "target": "return",
        "command": command,
        "options": agent.options(),
        "report": report,
        "history": agent.history.to_json(),
    }
    lasting = {name: x for name, x in report.items() if name not in ("seconds", "steps_per_second")}
    run = write_run(folder, lambda path: agent.save(path, lasting), record)
    outcome.diagnosis().save(run.folder)
    return run


def write_episode(folder: Path, schema: PolicySchema, happened: Rollout) -> None:
    """An episode as a table: what was seen and done, the reward, and what followed it in all."""
    import polars as pl

    steps = len(happened.reward)
    seen = np.asarray(happened.observation).reshape(steps, -1)
    columns: dict[str, Any] = {name: seen[:, i] for i, name in enumerate(schema.inputs)}
    action = np.asarray(happened.action).reshape(steps, -1)
    if schema.continuous:
        columns |= {name: action[:, i] for i, name in enumerate(schema.actions)}
    else:
        columns[ACTION] = [schema.actions[int(i)] for i in action[:, 0]]
    reward = np.asarray(happened.reward, float)[:, 0]
    columns["reward"] = reward
    columns["return"] = np.cumsum(reward[::-1])[::-1].copy()
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_csv(buffer)
    write_atomically(folder / EPISODE, buffer.getvalue())


def pixels_of(pictures: list[Any]) -> list[Array]:
    """The pictures of an episode as pixels, at most 1,500.

    Raises:
        ConfigError: the environment draws none.
    """
    known = [one for one in pictures[:_MOST_FRAMES] if one is not None]
    if not known:
        raise ConfigError(
            "The environment draws no pictures.",
            expected="a method `scene`, or Gymnasium's render_mode rgb_array and what it needs",
            hint="Omit --render; for Gymnasium's: pip install 'gymnasium[classic-control]'.",
        )
    return [one.pixels() if isinstance(one, Scene) else one for one in known]


def rate_of(player: Player) -> int:
    """Pictures a second."""
    if isinstance(player.worlds, GraphWorlds):
        return player.worlds.environment.frame_rate
    return int((player.worlds.envs[0].metadata or {}).get("render_fps", 30))


def saved_player(environment: Any, path: Path, backend: str = "auto") -> tuple[Player, Policy]:
    """A saved policy in an environment.

    Raises:
        ConfigError: the model is no policy, or one of other observations or actions.
    """
    from ..explain.stored import StoredNetwork

    policy = load_predictor(path)
    if not isinstance(policy, Policy):
        raise ConfigError("The model is no policy.", where=str(path),
                          hint="chainrule play ENV trains one.")  # fmt: skip
    worlds = make_worlds(environment, 1, 0)
    schema, seen, space = policy.schema, worlds.observation_space, worlds.action_space
    actions = space.n if isinstance(space, Discrete) else space.size
    found = (seen.shape, actions, not isinstance(space, Discrete))
    if (schema.shape, len(schema.actions), schema.continuous) != found:
        raise ConfigError(
            "The policy is one of another environment.",
            where=str(path),
            expected=f"observations {seen.shape}, {space}",
            found=f"a policy of {schema.environment}: observations {schema.shape}, "
            f"{len(schema.actions)} {'numbers' if schema.continuous else 'actions'}",
        )
    act = of_model(StoredNetwork(policy.saved), schema.continuous)
    return Player(worlds, act, backend), policy


__all__ = [
    "EPISODE", "PICTURE", "Outcome", "agent_for", "animation", "keep", "pixels_of", "rate_of",
    "read_options", "saved_player", "schema_of", "trained", "write_episode",
]  # fmt: skip
