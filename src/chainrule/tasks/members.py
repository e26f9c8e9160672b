"""Networks side by side: each is trained as if it were alone; their predictions are averaged."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine.ops import broadcast_to, expand_dims, matmul, reshape, stack, transpose
from ..engine.tensor import Tensor
from ..nn import Module
from ..utils.random import generator
from ..utils.typing import Array

#: What stands in the paths of the variables of a member, before its number.
_MEMBERS = "members."
_LARGEST_SEED = 2**31


class Members(Module):
    """Networks of one shape that take the same inputs.

    Args:
        networks: each has ``features``, from inputs to (rows, features), and ``head``, a layer
            `chainrule.nn.Linear`.

    Example:
        >>> import chainrule as cr
        >>> class Network(cr.nn.Module):
        ...     def __init__(self):
        ...         self.features, self.head = cr.nn.ReLU(), cr.nn.Linear(4, 3)
        >>> Members([Network(), Network()]).initialize(0)(cr.ones((5, 4))).shape
        (2, 5, 3)
    """

    def __init__(self, networks: Sequence[Any]) -> None:
        self.members = list(networks)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, …) → (members, rows, outputs)."""
        hidden = stack([member.features(x) for member in self.members])
        weight = stack([member.head.weight for member in self.members])
        bias = stack([member.head.bias for member in self.members])
        z: Tensor = matmul(hidden, weight) + expand_dims(bias, 1)
        return z


def member_seed(seed: int, number: int) -> int:
    """The seed of a member; that of the first is the seed itself.

    Example:
        >>> member_seed(7, 0), member_seed(7, 1) != member_seed(8, 0)
        (7, True)
    """
    return int(generator(seed, "member", number).integers(_LARGEST_SEED)) if number else seed


# ---- the loss ------------------------------------------------------------------------------------


def each_alone(
    loss: Callable[..., Tensor],
    z: Tensor,
    target: Tensor,
    sample_weights: Tensor | None = None,
    *,
    numbers: bool = False,
    **options: Any,
) -> Tensor:
    """The mean loss of all members on the same rows.

    Args:
        loss: of rows.
        z: (members, rows, outputs) what the members give.
        target: (rows,).
        sample_weights: (rows,), or (rows, members), as a row may count in some members only.
        numbers: whether the only output is a number, of which the loss takes (rows,).
        options: of the loss.
    """
    members, rows, outputs = z.shape
    flat = reshape(z, (members * rows,) if numbers else (members * rows, outputs))
    known, weights = for_each_member(members, target, sample_weights)
    return loss(flat, known, sample_weights=weights, **options)


def for_each_member(
    members: int, target: Tensor, sample_weights: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Target and weights, (rows,) each or of the weights (rows, members) → (members · rows,)."""
    known = _for_each_member(target, members)
    if sample_weights is None:
        return known, None
    by_member = transpose(sample_weights) if sample_weights.ndim == 2 else sample_weights
    return known, _for_each_member(by_member, members)


def _for_each_member(x: Tensor, members: int) -> Tensor:
    """(rows,) or (members, rows) → (members · rows,)."""
    return reshape(broadcast_to(x, (members, x.shape[-1])), (members * x.shape[-1],))


def networks_said(count: int) -> tuple[str, ...]:
    """What an explanation says of so many networks; nothing of a single one."""
    if count < 2:
        return ()
    return (
        f"{count} networks work side by side, and each is trained as if it were alone: where they "
        "meet, the first place of a number says which network it belongs to, the second one which "
        "row. The prediction is the mean of theirs.",
    )


# ---- their variables -----------------------------------------------------------------------------


def count_members(paths: Collection[str]) -> int:
    """How many members there are in variables by path; 0 where there is a single network.

    Example:
        >>> count_members(["network.members.0.w", "network.members.1.w"])
        2
    """
    return len({_number(path) for path in paths} - {None})


def joined_state(states: Sequence[Mapping[str, Array]], paths: Collection[str]) -> dict[str, Array]:
    """What is known of single networks as that of all of them; what is of none, from the first.

    Args:
        states: arrays of each network; their names end with the path of a variable.
        paths: of the variables of a single network.

    Example:
        >>> joined_state([{"m.w": 1, "step": 9}, {"m.w": 2, "step": 9}], ["w"])
        {'m.members.0.w': 1, 'step': 9, 'm.members.1.w': 2}
    """
    found: dict[str, Array] = {}
    for number, state in enumerate(states):
        for name, array in state.items():
            path = max((p for p in paths if f".{name}".endswith(f".{p}")), key=len, default="")
            if path:
                found[f"{name.removesuffix(path)}{_MEMBERS}{number}.{path}"] = array
            else:
                found.setdefault(name, array)
    return found


def adapted_state(
    state: Mapping[str, Array], paths: Collection[str], number: int = 0
) -> dict[str, Array]:
    """The variables of saved networks at the paths of others, which may be more, fewer, or one.

    Args:
        state: arrays by path.
        paths: of the variables of the others.
        number: of the member whose variables a single network gets.

    Example:
        >>> state = {"members.0.w": 1, "members.1.w": 2}
        >>> adapted_state(state, ["w"], number=3)
        {'w': 2}
        >>> adapted_state({"w": 5}, ["members.0.w", "members.1.w"])
        {'members.0.w': 5, 'members.1.w': 5}
    """
    known: dict[str, dict[int, Array]] = {}
    for path, array in state.items():
        known.setdefault(_alone(path), {})[_number(path) or 0] = array
    found = {}
    for path in paths:
        if of := known.get(_alone(path)):
            own = _number(path)
            found[path] = of[(number if own is None else own) % len(of)]
    wanted = {_alone(path) for path in paths}
    return found | {path: a for path, a in state.items() if _alone(path) not in wanted}


def _number(path: str) -> int | None:
    """The number of the member that a variable is of."""
    rest = f".{path}".partition(f".{_MEMBERS}")[2].partition(".")[0]
    return int(rest) if rest.isdigit() else None


def _alone(path: str) -> str:
    """The path of the same variable in a single network."""
    number = _number(path)
    return path if number is None else path.replace(f"{_MEMBERS}{number}.", "", 1)


def mean_by_row(parts: Sequence[tuple[Array, Array]]) -> dict[int, Array]:
    """Of (rows, predictions) of several networks the mean prediction of each row.

    Example:
        >>> found = mean_by_row([(np.array([4, 7]), np.array([1.0, 2.0])), ([7], np.array([4.0]))])
        >>> {row: float(value) for row, value in found.items()}
        {4: 1.0, 7: 3.0}
    """
    found: dict[int, list[Array]] = {}
    for rows, predicted in parts:
        for row, one in zip(rows, predicted, strict=True):
            found.setdefault(int(row), []).append(one)
    return {row: np.mean(each, axis=0) for row, each in found.items()}
