"""An environment as functions of state and action, for many states at once."""

from __future__ import annotations

from typing import Any, ClassVar

from ...engine.tensor import Tensor
from ..spaces import Box, Space

#: A tree of tensors, each with the worlds on its first axis.
State = Any


class Environment:
    """A world that an agent acts in, written with chainrule's operations.

    All functions take and give many worlds at once, on the first axis of every tensor, so that a
    rollout is one native program. No Python ``if`` on values: `chainrule.where` instead.

    Derive from it, and fill in `reset`, `step` and `observe`; `scene` draws a picture.

    Attributes:
        name: as in ``cr.rl.make``.
        observation_space: what an agent sees.
        action_space: what it may do.
        time_limit: after so many steps an episode is cut off (truncated).
        reward_threshold: the return from which on the task counts as solved, if there is one.

    Example:
        >>> import chainrule as cr
        >>> class Walk(cr.rl.Environment):
        ...     name, time_limit = "Walk", 20
        ...     observation_space = cr.rl.Box.of([-3.0], [3.0], ["place"])
        ...     action_space = cr.rl.Discrete(2, ("left", "right"))
        ...     def reset(self, key, count):
        ...         return cr.zeros((count,))
        ...     def step(self, state, action, key):
        ...         new = state + (2.0 * action.astype("float32") - 1.0)
        ...         return new, (new >= 3.0).astype("float32"), cr.abs(new) >= 3.0
        ...     def observe(self, state):
        ...         return state[:, None]
        >>> walk = Walk()
        >>> new, reward, ended = walk.step(cr.tensor([2.0]), cr.tensor([1]), None)
        >>> new.tolist(), reward.tolist(), ended.tolist()
        ([3.0], [1.0], [True])
    """

    name: ClassVar[str] = "environment"
    observation_space: Box
    action_space: Space
    time_limit: int = 1000
    reward_threshold: float | None = None
    #: Pictures a second in an animation.
    frame_rate: ClassVar[int] = 30

    def reset(self, key: Tensor, count: int) -> State:
        """The first states of ``count`` episodes."""
        raise NotImplementedError(f"{type(self).__name__} has no method `reset`")

    def step(self, state: State, action: Tensor, key: Tensor) -> tuple[State, Tensor, Tensor]:
        """What an action leads to.

        Args:
            state: of many worlds.
            action: int64 (worlds,) for `Discrete`; float32 (worlds, …) for `Box`, which may lie
                outside of the bounds only where an algorithm explores there.
            key: of randomness, another one each time; most worlds need none.

        Returns:
            The new states, the rewards (worlds,), and which episodes have ended (worlds,) bool.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method `step`")

    def observe(self, state: State) -> Tensor:
        """What the agent sees: float32 (worlds, …)."""
        raise NotImplementedError(f"{type(self).__name__} has no method `observe`")

    def scene(self, state: State) -> Any:
        """A `chainrule.rl.rendering.Scene` of one world, whose state comes as NumPy arrays."""
        raise NotImplementedError(f"{type(self).__name__} has no picture")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
