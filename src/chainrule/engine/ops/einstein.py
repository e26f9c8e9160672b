"""Einstein's summation: pairs of operands as batched matrix products, in a good order.

What is summed in one operand alone is summed first. Of up to eight operands the order of least
multiplications is found by dynamic programming over their subsets; of more, the pair is taken that
costs least, again and again.
"""

from __future__ import annotations

import functools
import itertools
import math
import string
from collections.abc import Iterable, Sequence

from ...errors import ConfigError, ShapeError
from ..ir.operation import Sample
from ..tensor import Tensor, TensorLike, as_tensor
from .declare import function, reals
from .products import diagonal, matmul
from .reduction import sum
from .shape import reshape, transpose

__all__ = ["einsum"]

#: Pairs of positions: each is replaced by its product, which comes last.
Path = Sequence[Sequence[int] | str]
#: Of more operands the best order is not looked for.
_MANY = 8


@function(
    lambda: [
        Sample(("ij,jk->ik", reals(2, 3), reals(3, 4))),
        Sample(("bij,bkj->bik", reals(2, 2, 3), reals(2, 4, 3))),
        Sample(("ii->i", reals(3, 3))),
        Sample(("...ij,jk", reals(2, 2, 3), reals(3, 2))),
        Sample(("ij->", reals(2, 3))),
        Sample(("i,j,k->kji", reals(2), reals(3), reals(2, seed=1))),
        Sample(("ij,jk,kl->il", reals(2, 1), reals(1, 3), reals(3, 2)), {"optimize": "greedy"}),
        Sample(("bqhd,bkhd->bhqk", reals(2, 3, 2, 2), reals(2, 4, 2, 2))),
    ]
)
def einsum(equation: str, *operands: TensorLike, optimize: bool | str | Path = True) -> Tensor:
    """Einstein's summation: letters name axes, letters that the result lacks are summed over.

    Args:
        equation: such as "ij,jk->ik"; without an arrow the result has the letters that occur once,
            in alphabetical order. ``...`` stands for any axes. A letter twice in one operand is its
            diagonal.
        operands: one for each group of letters.
        optimize: the order of the products of three and more operands: True or "optimal" for the
            least multiplications (of more than 8 operands "greedy": the cheapest pair again and
            again), False for left to right, or a list of pairs of positions as in NumPy: the
            product of a pair takes the last place.

    Raises:
        ShapeError: the equation does not fit the operands.
        ConfigError: the path is none.

    Example:
        >>> import chainrule as cr
        >>> cr.einsum("ij,j->i", [[1.0, 2.0]], [3.0, 4.0]).tolist()
        [11.0]
    """
    tensors = [as_tensor(x) for x in operands]
    terms, output = _parse_einsum(_name_dots(equation, tensors), len(operands))
    for term, x in zip(terms, tensors, strict=True):
        if len(term) != x.ndim:
            raise ShapeError(f"einsum {equation!r}: {term!r} names {len(term)} axes.",
                             found=str(x.type))  # fmt: skip
    sizes = _extents(terms, tensors)
    kept = [set(output).union(*terms[:i], *terms[i + 1 :]) for i in range(len(terms))]
    left = [_reduced(term, x, keep) for term, x, keep in zip(terms, tensors, kept, strict=True)]
    names = tuple(name for name, _ in left)
    for i, j in _path(optimize, names, output, tuple(sorted(sizes.items()))):
        (a, x), (b, y) = left[i], left[j]
        left = [one for k, one in enumerate(left) if k not in (i, j)]
        later = set(output).union(*(name for name, _ in left))
        left.append(_reduced(*_contract(a, x, b, y, later), later))
    ((named, x),) = left
    return transpose(x, [named.index(letter) for letter in output])


def _extents(terms: list[str], tensors: list[Tensor]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for term, x in zip(terms, tensors, strict=True):
        for letter, extent in zip(term, x.shape, strict=True):
            if sizes.setdefault(letter, extent) != extent:
                raise ShapeError(f"einsum: the axes {letter!r} differ.",
                                 expected=str(sizes[letter]), found=str(extent))  # fmt: skip
    return sizes


def _reduced(term: str, x: Tensor, keep: set[str]) -> tuple[str, Tensor]:
    """An operand without the axes that nothing else names."""
    term, x = _diagonals(term, x)
    surplus = [i for i, letter in enumerate(term) if letter not in keep]
    x = sum(x, surplus) if surplus else x
    return "".join(letter for letter in term if letter in keep), x


def _name_dots(equation: str, tensors: list[Tensor]) -> str:
    """Letters in place of ``...``, counted from the last axis that the dots stand for."""
    if "..." not in equation:
        return equation
    free = [c for c in string.ascii_letters if c not in equation]
    left, arrow, output = equation.replace(" ", "").partition("->")
    terms, longest = left.split(","), ""
    for i, (term, x) in enumerate(zip(terms, tensors, strict=False)):
        if "..." in term:
            letters = "".join(free[: max(x.ndim - len(term) + 3, 0)][::-1])
            longest = max(longest, letters, key=len)
            terms[i] = term.replace("...", letters)
    if not arrow:
        letters = left.replace(".", "").replace(",", "")
        output = "..." + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    return ",".join(terms) + "->" + output.replace("...", longest)


def _parse_einsum(equation: str, count: int) -> tuple[list[str], str]:
    left, arrow, output = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    letters = "".join(terms)
    if not arrow:
        output = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    fine = all(c.isalpha() for c in letters + output) and set(output) <= set(letters)
    if len(terms) != count or not fine or len(set(output)) < len(output):
        raise ShapeError("einsum cannot read this equation.", found=equation,
                         expected=f"{count} groups of letters, such as 'ij,jk->ik'")  # fmt: skip
    return terms, output


def _diagonals(term: str, x: Tensor) -> tuple[str, Tensor]:
    """A letter that is named twice in one operand means its diagonal."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first = term.index(letter)
            second = term.index(letter, first + 1)
            rest = [i for i in range(x.ndim) if i not in (first, second)]
            x = diagonal(transpose(x, [*rest, first, second]))
            term = "".join(term[i] for i in rest) + letter
    return term, x


def _contract(a: str, x: Tensor, b: str, y: Tensor, later: set[str]) -> tuple[str, Tensor]:
    """Two operands as one batched matrix product: batch axes, own axes, summed axes."""
    shared = [c for c in a if c in b]
    batch = [c for c in shared if c in later]
    summed = [c for c in shared if c not in later]
    own_a = [c for c in a if c not in b]
    own_b = [c for c in b if c not in a]
    sizes = dict(zip(a + b, x.shape + y.shape, strict=True))

    def matrices(names: str, z: Tensor, order: list[list[str]]) -> Tensor:
        flat = [c for group in order for c in group]
        moved = transpose(z, [names.index(c) for c in flat])
        return reshape(moved, [math.prod(sizes[c] for c in group) for group in order])

    product = matmul(matrices(a, x, [batch, own_a, summed]), matrices(b, y, [batch, summed, own_b]))
    names = [*batch, *own_a, *own_b]
    return "".join(names), reshape(product, [sizes[c] for c in names])


# ---- the order of the products ---------------------------------------------------------------


def _path(
    optimize: bool | str | Path,
    terms: tuple[str, ...],
    output: str,
    sizes: tuple[tuple[str, int], ...],
) -> Sequence[tuple[int, int]]:
    """Pairs of positions, each followed by a list without the two and with their product last."""
    count = len(terms)
    if isinstance(optimize, bool):
        if optimize:
            return _searched(terms, output, sizes, count > _MANY)
        return [(0, 1) if k == 0 else (0, count - 1 - k) for k in range(count - 1)]
    if isinstance(optimize, str):
        if optimize not in ("optimal", "greedy"):
            raise ConfigError("Unknown order of products.", found=repr(optimize),
                              expected="True, False, 'optimal', 'greedy' or a path")  # fmt: skip
        return _searched(terms, output, sizes, optimize == "greedy" or count > _MANY)
    return _checked(optimize, count)


def _checked(path: Path, count: int) -> list[tuple[int, int]]:
    # NumPy's einsum_path begins with its own name.
    pairs = [sorted(map(int, pair)) for pair in path if pair != "einsum_path"]
    left = count
    for pair in pairs:
        if len(pair) != 2 or not 0 <= pair[0] < pair[1] < left:
            raise ConfigError("A path is made of pairs of different positions.",
                              expected=f"two of 0 to {left - 1}",
                              found=str(tuple(pair)))  # fmt: skip
        left -= 1
    if left != 1:
        raise ConfigError("The path does not lead to one product.",
                          expected=f"{count - 1} pairs", found=f"{len(pairs)}")  # fmt: skip
    return [(pair[0], pair[1]) for pair in pairs]


@functools.lru_cache(maxsize=256)
def _searched(
    terms: tuple[str, ...], output: str, sizes: tuple[tuple[str, int], ...], greedy: bool
) -> tuple[tuple[int, int], ...]:
    extents = dict(sizes)
    found = _greedy(terms, output, extents) if greedy else _optimal(terms, output, extents)
    return tuple(found)


def _cost(a: Iterable[str], b: Iterable[str], sizes: dict[str, int]) -> int:
    """Multiplications of a product of two operands."""
    return math.prod(sizes[letter] for letter in {*a, *b})


def _greedy(terms: tuple[str, ...], output: str, sizes: dict[str, int]) -> list[tuple[int, int]]:
    left = [frozenset(term) for term in terms]
    path = []
    while len(left) > 1:
        pairs = itertools.combinations(range(len(left)), 2)
        i, j = min(pairs, key=lambda pair: _cost(left[pair[0]], left[pair[1]], sizes))
        others = [one for k, one in enumerate(left) if k not in (i, j)]
        later = frozenset(output).union(*others)
        left = [*others, (left[i] | left[j]) & later]
        path.append((i, j))
    return path


def _optimal(terms: tuple[str, ...], output: str, sizes: dict[str, int]) -> list[tuple[int, int]]:
    """By dynamic programming: the least cost of the product of every subset."""
    count = len(terms)
    everything = (1 << count) - 1
    members = [[i for i in range(count) if subset >> i & 1] for subset in range(everything + 1)]
    inside = [frozenset().union(*(terms[i] for i in of)) for of in members]
    kept = [
        inside[subset] & (inside[everything ^ subset] | frozenset(output))
        for subset in range(everything + 1)
    ]
    best: dict[int, tuple[int, int]] = {1 << i: (0, 0) for i in range(count)}
    for subset in range(1, everything + 1):
        if subset in best:
            continue
        options = []
        part = (subset - 1) & subset
        while part > subset ^ part:  # each split once
            other = subset ^ part
            cost = best[part][0] + best[other][0] + _cost(kept[part], kept[other], sizes)
            options.append((cost, part))
            part = (part - 1) & subset
        best[subset] = min(options)
    return _as_pairs(everything, best, [1 << i for i in range(count)])


def _as_pairs(
    subset: int, best: dict[int, tuple[int, int]], left: list[int]
) -> list[tuple[int, int]]:
    """The splits of a subset from the inside out, as positions among what is left."""
    part = best[subset][1]
    if not part:
        return []
    path = []
    for half in (part, subset ^ part):
        path += _as_pairs(half, best, left)
    i, j = sorted((left.index(part), left.index(subset ^ part)))
    left[:] = [one for k, one in enumerate(left) if k not in (i, j)] + [subset]
    return [*path, (i, j)]
