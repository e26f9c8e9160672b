"""``chainrule play``: an agent learns in an environment, or a saved policy shows what it does."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ChainruleError, ConfigError, DataError
from .console import note, say, show, show_json, warn
from .error_handling import FAILED, INTERRUPTED, Debug
from .error_handling import explain as in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..doctor import Diagnosis
    from ..rl.algorithms import Algorithm
    from ..rl.players import Player
    from ..utils.runs import Run
    from ..utils.unfinished import Unfinished

_TERMINAL, _GIF = "terminal", "gif"
#: Seconds between two plain lines of progress, and from one picture of the live line to the next.
_PLAIN, _REFRESH = 2.0, 0.1


def _option(description: str, *names: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=description, metavar=metavar, show_default=False)


def play(
    ctx: typer.Context,
    environment: Annotated[
        str | None,
        typer.Argument(
            metavar="ENV",
            help="CartPole-v1, Pendulum-v1, Acrobot-v1, MountainCar-v0, MountainCarContinuous-v0, "
            "GridWorld or Breakout; or any environment of Gymnasium (the extra rl).",
            show_default=False,
        ),
    ] = None,
    algorithm: Annotated[
        str, _option("ppo, a2c, reinforce, dqn or sac; ppo by default.", metavar="NAME")
    ] = "ppo",
    steps: Annotated[
        int | None,
        _option("Steps in all worlds together; what suits the environment by default.",
                metavar="N"),
    ] = None,
    out: Annotated[
        Path | None, _option("Run folder; runs/ENV-DATE-N by default.", metavar="FOLDER")
    ] = None,
    force: Annotated[bool, _option("Replace the run that is in the folder.", "--force")] = False,
    render: Annotated[
        str | None,
        _option("Show an episode: gif (in the run folder), terminal, or a file that ends in .gif.",
                metavar="WHERE"),
    ] = None,
    policy: Annotated[
        Path | None,
        _option("Play with this saved policy, a run folder or model file; nothing is learned.",
                metavar="MODEL"),
    ] = None,
    resume: Annotated[
        Path | None,
        _option("Go on with the training in this run folder that was interrupted or killed.",
                metavar="FOLDER"),
    ] = None,
    episodes: Annotated[
        int, _option("Episodes played afterwards, by the best actions; 20 by default.",
                     metavar="N")
    ] = 20,
    seed: Annotated[
        int, _option("Of weights, first states and every draw.", metavar="N")
    ] = 0,
    n_envs: Annotated[
        int | None, _option("Worlds side by side.", "--n-envs", metavar="N")
    ] = None,
    lr: Annotated[float | None, _option("Learning rate.", metavar="RATE")] = None,
    hidden: Annotated[
        str | None, _option("Hidden units of each layer, such as 64,64.", metavar="N,N,…")
    ] = None,
    settings: Annotated[
        list[str] | None,
        _option("Any option of the algorithm, such as gamma=0.98; repeat for several.", "--set",
                metavar="NAME=VALUE"),
    ] = None,
    backend: Annotated[
        str, _option("What runs the graph: auto, c or numpy.", metavar="NAME")
    ] = "auto",
    quiet: Annotated[bool, _option("Only the outcome.", "--quiet", "-q")] = False,
    as_json: Annotated[bool, _option("The outcome as one JSON document.", "--json")] = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Train an agent in an environment, or play with a saved policy.

    Example: chainrule play CartPole-v1 --algorithm ppo --steps 100000 --render gif
    """
    _check_render(render, policy is not None)
    if resume is not None:
        _need_nothing_else(ctx)
        _resume(resume, quiet, as_json)
        return
    if environment is None:
        raise ConfigError("Which environment is to be learned?",
                          expected="its name, such as CartPole-v1",
                          hint="chainrule play CartPole-v1")  # fmt: skip
    if episodes < 1:
        raise ConfigError("Invalid value for --episodes.", expected="a positive integer",
                          found=str(episodes))  # fmt: skip
    if policy is not None:
        if steps is not None or settings or n_envs or lr or hidden or out:
            raise ConfigError(
                "A saved policy is played as it is.",
                hint="Omit --steps, --set, --n-envs, --lr, --hidden and --out.",
            )
        _play_saved(environment, policy, episodes, seed, render, backend, as_json)
        return
    given = {"seed": seed, "backend": backend, "n_envs": n_envs, "lr": lr, "hidden": hidden}
    options = {name: value for name, value in given.items() if value is not None}
    asked = _Asked(environment, algorithm, _steps(environment, algorithm, steps),
                   options | _pairs(settings or []), episodes, render)  # fmt: skip
    from ..utils.runs import new_folder, reserved

    asked.agent()  # says what is wrong with the options before a folder is made
    with reserved(out, replace=force) if out is not None else new_folder(environment) as folder:
        record = asked.record(folder)
        record.remove()  # what --force replaces
        record.write()
        _train(asked, record, False, quiet, as_json)


@dataclass(frozen=True)
class _Asked:
    """A training, as the record of an unfinished one keeps it."""

    environment: str
    algorithm: str
    steps: int
    options: dict[str, Any]
    episodes: int
    render: str | None

    def agent(self) -> Algorithm:
        from ..rl import playing

        return playing.agent_for(self.environment, self.algorithm, self.options)

    def record(self, folder: Path) -> Unfinished:
        from ..utils.unfinished import POLICY, Unfinished

        return Unfinished(folder, POLICY, self.environment, None, None, asdict(self))

    @property
    def command(self) -> str:
        """That trains it again."""
        parts = ["chainrule play", shlex.quote(self.environment), f"--algorithm {self.algorithm}",
                 f"--steps {self.steps}"]  # fmt: skip
        own = {"seed", "n_envs", "lr", "hidden", "backend"}
        for name, value in self.options.items():
            if (name, value) in (("seed", 0), ("backend", "auto")):
                continue
            of_algorithm = f"--set {name}={value}"
            parts.append(f"--{name.replace('_', '-')} {value}" if name in own else of_algorithm)
        return " ".join(parts)


def _steps(environment: str, algorithm: str, steps: int | None) -> int:
    from ..rl.settings import tuned

    wanted = tuned(algorithm, environment)["steps"] if steps is None else steps
    if wanted < 1:
        raise ConfigError("Invalid value for --steps.", expected="a positive integer",
                          found=str(wanted))  # fmt: skip
    return int(wanted)


def _need_nothing_else(ctx: typer.Context) -> None:
    """A training that goes on has its options."""
    free = {"resume", "quiet", "as_json", "debug"}
    source = ctx.get_parameter_source
    said = [name for name in ctx.params
            if name not in free and str(source(name)).endswith("COMMANDLINE")]  # fmt: skip
    if said:
        raise ConfigError(
            "A training that goes on has its environment and its options.",
            found=", ".join(said), hint="chainrule play --resume FOLDER",
        )  # fmt: skip


def _resume(folder: Path, quiet: bool, as_json: bool) -> None:
    """Go on with the unfinished training in a run folder.

    Raises:
        DataError: there is none, or its record is damaged.
        ConfigError: it is one on data.
    """
    from ..utils.runs import reserved
    from ..utils.unfinished import POLICY, Unfinished

    record = Unfinished.read(folder)  # before anything is made
    if record.kind != POLICY:
        raise ConfigError("The training is not one of an agent.", where=str(folder),
                          hint=record.command)  # fmt: skip
    names = {one.name for one in fields(_Asked)}
    if record.options.keys() != names:
        raise DataError("The record of the training cannot be read.", where=str(folder),
                        expected=", ".join(sorted(names)),
                        found=", ".join(sorted(record.options)))  # fmt: skip
    with reserved(folder, replace=True):
        _train(_Asked(**record.options), record, True, quiet, as_json)


def _train(asked: _Asked, record: Unfinished, resume: bool, quiet: bool, as_json: bool) -> None:
    from ..rl import playing
    from ..training import Checkpoints
    from .resume import going_on

    agent, folder = asked.agent(), record.folder
    if not quiet:
        count = sum(p.size for p in agent.network.parameters().values())
        note(f"{asked.algorithm} in {agent.n_envs} × {agent.worlds.name}: {count:,} parameters, "
             f"observation {agent.observation_space}, action {agent.action_space}")  # fmt: skip
    checkpoints = Checkpoints(record.checkpoints, resume=resume).next_part()
    with going_on(record, None):
        with _progress(asked.steps, quiet) as shown:
            outcome = playing.trained(agent, asked.steps, asked.episodes, shown, checkpoints)
        run = playing.keep(outcome, folder, asked.command)
        if not agent.history.interrupted:
            record.remove()
    _write_report(folder)
    problem = _episode(agent.player, playing.schema_of(agent), folder, asked.render, agent.seed)
    if as_json:
        show_json({"run": str(run.folder), **run.report})
    else:
        _show_outcome(run)
    if not quiet:
        _warn_of(outcome.diagnosis())
    for error in filter(None, (outcome.failure, problem)):
        say("", *in_words(error))
    if outcome.failure is not None:
        say("The policy of the iteration before that is kept.")
    if outcome.failure is not None or problem is not None:
        raise typer.Exit(FAILED)
    if agent.history.interrupted:
        say("Interrupted: what was learned until then is kept.")
        if record.can_go_on:
            say(f"The training can go on: {record.command}")
        raise typer.Exit(INTERRUPTED)


def _warn_of(diagnosis: Diagnosis) -> None:
    """A line for each finding that is more than a note."""
    from ..doctor.diagnosis import one_line

    for finding in diagnosis:
        if finding.severity != "note":
            warn(one_line(finding))


def _write_report(folder: Path) -> None:
    """The page of the run; whatever happens here, the policy is kept."""
    from ..report.content import PAGE, RunContent
    from ..report.page import report_page
    from ..utils.files import write_atomically

    try:
        page = report_page(RunContent.read(folder, running=False))
        write_atomically(folder / PAGE, page.encode(errors="replace"))
    except ChainruleError as error:
        warn(f"The report could not be written: {error}")


def _episode(
    player: Player, schema: Any, folder: Path, render: str | None, seed: int
) -> ChainruleError | None:
    """One episode as a table and, if asked for, in pictures; why that was not possible."""
    from ..rl import playing

    try:
        pictures, happened = player.one_episode(seed + 1)
        playing.write_episode(folder, schema, happened)
        _show_pictures(player, pictures, render, folder / playing.PICTURE)
    except ChainruleError as error:
        return error
    return None


def _show_pictures(player: Player, pictures: list[Any], render: str | None, usual: Path) -> None:
    from ..rl import playing
    from ..rl.rendering import animation, in_characters
    from ..utils.files import write_atomically

    if render is None:
        return
    frames, rate = playing.pixels_of(pictures), playing.rate_of(player)
    if render == _TERMINAL:
        height = 0
        for frame in frames:
            text = in_characters(frame)
            sys.stdout.write(f"\x1b[{height}A" * bool(height) + text + "\n")
            sys.stdout.flush()
            height = text.count("\n") + 1
            time.sleep(1 / rate)
        return
    path = usual if render == _GIF else Path(render)
    write_atomically(path, animation(frames, rate))
    note(f"An episode of {len(frames)} pictures is in {path}")


def _play_saved(
    environment: str, path: Path, episodes: int, seed: int, render: str | None, backend: str,
    as_json: bool,
) -> None:  # fmt: skip
    from ..rl import playing

    player, policy = playing.saved_player(environment, path, backend)
    returns, lengths = player.episodes(episodes, seed + 1)
    if render is not None:
        pictures, _ = player.one_episode(seed + 1)
        _show_pictures(player, pictures, render, Path(playing.PICTURE))
    found = {"return": float(returns.mean()), "return_std": float(returns.std()),
             "length": float(lengths.mean())}  # fmt: skip
    if as_json:
        show_json({"environment": player.worlds.name, "episodes": episodes, **found,
                   "returns": returns.tolist()})  # fmt: skip
        return
    show(f"{episodes} episodes of {player.worlds.name} with the policy of {policy.schema.algorithm}"
         f": return {found['return']:.4g} ± {found['return_std']:.3g}, "
         f"{found['length']:.4g} steps")  # fmt: skip


def _show_outcome(run: Run) -> None:
    from ..utils.numbers import duration, number

    report = run.report
    metrics = report["metrics"]
    show(
        "",
        f"{report['rows']['test']} episodes by the best actions: return "
        f"{number(metrics['return'])} ± {number(metrics['return_std'])}, "
        f"{number(metrics['length'])} steps; by chance {number(metrics['return_by_chance'])}",
        f"{report['steps']:,} steps, {report['rows']['train']:,} episodes in "
        f"{duration(report['seconds'])}, {number(report['steps_per_second'])} steps a second",
    )
    folder = shlex.quote(str(run.folder))
    show(f"The report, with pictures, is {run.folder / 'report.html'}.")
    show(f"The policy is in {run.folder}. To use it:")
    name = shlex.quote(str(run.record["data"]))
    show(f"  chainrule play {name} --policy {folder} --render terminal")
    show(f"  chainrule predict {folder} {folder}/episode.csv --proba")
    show(f"  chainrule explain {folder} {folder}/episode.csv --row 0")


def _check_render(render: str | None, saved: bool) -> None:
    if render is None or render in (_TERMINAL, _GIF) or render.lower().endswith(".gif"):
        return
    raise ConfigError(
        "The pictures cannot go there.",
        expected="gif, terminal, or a file name that ends in .gif",
        found=render,
        hint="--render gif" if not saved else "--render terminal",
    )


def _pairs(said: list[str]) -> dict[str, str]:
    found = {}
    for one in said:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise ConfigError("An option of the algorithm cannot be understood.",
                              expected="NAME=VALUE, such as gamma=0.98", found=one)  # fmt: skip
        found[name.strip().replace("-", "_")] = value
    return found


# ---- progress --------------------------------------------------------------------------------


@contextmanager
def _progress(steps: int, quiet: bool) -> Iterator[Any]:
    """A live line on a terminal, a plain line now and then elsewhere."""
    if quiet:
        yield None
        return
    shown = _Live(steps) if sys.stderr.isatty() else _Plain(steps)
    try:
        yield shown
    finally:
        shown.close()


class _Plain:
    """A line every two seconds."""

    every = _PLAIN

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.last = time.perf_counter()
        self.first: tuple[float, float] | None = None

    def __call__(self, record: dict[str, float]) -> None:
        now = time.perf_counter()
        done = record["steps"] >= self.steps
        if now - self.last < self.every and not done:
            return
        self.last = now
        self.show(int(record["steps"]), self.told(record, now))

    def told(self, record: dict[str, float], now: float) -> str:
        """The numbers of an iteration."""
        parts = []
        if "return" in record:
            parts.append(f"return {record['return']:.4g}  length {record['length']:.4g}")
        if "loss" in record:
            parts.append(f"loss {record['loss']:.4g}")
        if self.first is None:  # until here the program was built
            self.first = (record["steps"], now)
        else:
            steps, then = self.first
            parts.append(f"{(record['steps'] - steps) / max(now - then, 1e-9):,.0f} steps/s")
        return "  ".join(parts)

    def show(self, steps: int, text: str) -> None:
        """Write it."""
        say(f"step {steps:,}/{self.steps:,}  {text}")

    def close(self) -> None:
        """The end."""


class _Live(_Plain):
    """One line that changes in place."""

    every = _REFRESH

    def __init__(self, steps: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        super().__init__(steps)
        self.display: Any = Progress(
            TextColumn("step {task.fields[step]}"), BarColumn(bar_width=20),
            TextColumn("{task.fields[numbers]}"), TimeRemainingColumn(),
            console=Console(stderr=True),
        )  # fmt: skip
        self.task = self.display.add_task("", total=steps, step="0", numbers="compiling")
        self.display.start()

    def show(self, steps: int, text: str) -> None:
        """Write it."""
        self.display.update(self.task, completed=min(steps, self.steps),
                            step=f"{steps:,}/{self.steps:,}", numbers=text)  # fmt: skip

    def close(self) -> None:
        """The end."""
        self.display.stop()
