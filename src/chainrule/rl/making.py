"""Worlds from a name, an environment or a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ConfigError, unknown
from .environments import ENVIRONMENTS, Environment
from .worlds import GraphWorlds, GymnasiumWorlds

#: Before a name: the environment of Gymnasium, although there is one here.
GYMNASIUM = "gymnasium:"


def make(name: str, **options: Any) -> Environment:
    """A built-in environment by its name.

    Args:
        name: such as ``"CartPole-v1"``.
        options: of the environment, such as ``slippery`` of `GridWorld`.

    Raises:
        ConfigError: there is none of this name.

    Example:
        >>> make("Pendulum-v1").action_space.labels
        ('torque',)
    """
    if name not in ENVIRONMENTS:
        raise unknown("environment", name, ENVIRONMENTS)
    return ENVIRONMENTS[name](**options)


def make_worlds(environment: Any, count: int, seed: int) -> GraphWorlds | GymnasiumWorlds:
    """Worlds of what `chainrule.rl.algorithms.Algorithm` takes as an environment."""
    if isinstance(environment, str) and environment in ENVIRONMENTS:
        return GraphWorlds(ENVIRONMENTS[environment](), count, seed)
    if isinstance(environment, Environment):
        return GraphWorlds(environment, count, seed)
    if isinstance(environment, str):
        name = environment.removeprefix(GYMNASIUM)
        gymnasium = _gymnasium(name)
        return GymnasiumWorlds(
            lambda: _made(gymnasium, name), count, seed,
            lambda: _made(gymnasium, name, _render_mode(gymnasium, name)),
        )  # fmt: skip
    return GymnasiumWorlds(_maker(environment, count), count, seed)


def _maker(environment: Any, count: int) -> Callable[[], Any]:
    from ..interop.extras import need

    if hasattr(environment, "step") and hasattr(environment, "reset"):
        spec = getattr(environment, "spec", None)
        if count > 1 and spec is None:
            raise ConfigError(
                "One environment cannot be stepped many times side by side.",
                found=f"n_envs={count}",
                hint="Give a function that makes one, or n_envs=1.",
            )
        if count == 1:
            return lambda: environment
        gymnasium = need("gymnasium", "rl", "Gymnasium's environments")
        return lambda: gymnasium.make(spec)
    if callable(environment):
        return environment
    raise ConfigError(
        "This is no environment.",
        expected="a name, a cr.rl.Environment, an environment of Gymnasium, or a function that "
        "makes one",
        found=type(environment).__name__,
    )


def _gymnasium(name: str) -> Any:
    from ..interop.extras import need

    try:
        return need("gymnasium", "rl", f"The environment {name!r}, which is not built in,")
    except ConfigError as error:
        found = unknown("environment", name, ENVIRONMENTS)
        error.expected = f"a built-in environment ({', '.join(ENVIRONMENTS)}), or Gymnasium"
        if found.hint:
            error.hint = f"{found.hint} Otherwise: {error.hint}"
        raise


def _made(gymnasium: Any, name: str, render_mode: str | None = None) -> Any:
    try:
        return gymnasium.make(name, render_mode=render_mode)
    except Exception as error:  # names, versions and packages that an environment needs
        kind = type(error).__name__
        known = [*ENVIRONMENTS, *getattr(gymnasium, "registry", {})]
        hint = unknown("environment", name, known).hint
        if kind == "DependencyNotInstalled":
            hint = "Install what it needs, as the message says."
        raise ConfigError(
            "Gymnasium cannot make the environment.",
            where=name,
            expected=f"{', '.join(ENVIRONMENTS)}, or one of Gymnasium's",
            found=f"{kind}: {error}"[:300],
            hint=hint,
        ) from None


def _render_mode(gymnasium: Any, name: str) -> str | None:
    """Pictures as arrays, if the environment can draw them."""
    spec = gymnasium.registry.get(name)
    entry = getattr(spec, "entry_point", None)
    if isinstance(entry, str):
        entry = gymnasium.envs.registration.load_env_creator(entry)
    modes = (getattr(entry, "metadata", None) or {}).get("render_modes", ())
    return "rgb_array" if "rgb_array" in modes else None
