"""Einstein's summation against NumPy, in every order of its products."""

import itertools
import string
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.ops import einstein
from chainrule.errors import ConfigError, ShapeError

RNG = np.random.default_rng(4)
EQUATIONS = [
    "ij,jk,kl->il",
    "ij,jk,kl,lm->im",
    "i,ij,j->",
    "bi,oij,bj->bo",
    "ijk,k,jl->l",
    "ij,ij,ij->ij",
    "ii,jk,kl->l",
    "i,j,k,l->lkji",
    "...i,ij,...j->...",
    "abc,cd,def,fg,ag->be",
    "ab,cd->",
    "ij->j",
]
#: Ways to find the order of the products.
WAYS: list[Any] = [True, False, "optimal", "greedy"]


def operands(equation: str) -> list[Any]:
    sizes = {letter: 2 + number % 3 for number, letter in enumerate(string.ascii_lowercase)}
    terms = equation.partition("->")[0].split(",")
    shapes = [[sizes[c] for c in term.replace("...", "xy")] for term in terms]
    return [RNG.normal(size=shape) for shape in shapes]


@pytest.mark.parametrize("equation", EQUATIONS)
def test_against_numpy(equation):
    given = operands(equation)
    expected = np.einsum(equation, *given)
    for optimize in WAYS:
        found = cr.einsum(equation, *given, optimize=optimize).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    path, _ = np.einsum_path(equation, *given, optimize=["einsum_path", *_left_to_right(given)])
    found = cr.einsum(equation, *given, optimize=path if len(given) > 1 else True).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    cr.check_grad(lambda *x: cr.einsum(equation, *x), *given)


def _left_to_right(given: list[Any]) -> list[tuple[int, ...]]:
    return [(0, 1)] * (len(given) - 1) if len(given) > 1 else [(0,)]


def cost(terms: tuple[str, ...], output: str, sizes: dict[str, int], path: Any) -> int:
    """Multiplications of a path, counted by hand."""
    left, total = [set(term) for term in terms], 0
    for i, j in path:
        a, b = left[i], left[j]
        left = [one for k, one in enumerate(left) if k not in (i, j)]
        total += int(np.prod([sizes[c] for c in a | b]))
        left.append((a | b) & set(output).union(*left))
    return total


def every_path(count: int) -> Any:
    if count == 1:
        yield []
        return
    for pair in itertools.combinations(range(count), 2):
        yield from ([pair, *rest] for rest in every_path(count - 1))


@pytest.mark.parametrize("seed", range(8))
def test_the_path_costs_least(seed):
    rng = np.random.default_rng(seed)
    letters = string.ascii_lowercase[:6]
    terms = tuple("".join(rng.choice(list(letters), rng.integers(1, 4), False)) for _ in range(5))
    output = "".join(sorted(set("".join(terms)))[:1])
    terms = tuple(
        "".join(c for c in t if "".join(terms).count(c) > 1 or c in output) for t in terms
    )
    sizes = {letter: int(rng.integers(2, 9)) for letter in letters}
    found = einstein._searched(terms, output, tuple(sizes.items()), False)
    least = min(cost(terms, output, sizes, path) for path in every_path(5))
    assert cost(terms, output, sizes, found) == least
    greedy = einstein._searched(terms, output, tuple(sizes.items()), True)
    assert cost(terms, output, sizes, greedy) >= least


def test_a_chain_of_many_matrices_takes_the_thin_way():
    """From the vector on: 13 products of a matrix and a vector, not of matrices."""
    matrices = [RNG.normal(size=(30, 30)) / 5 for _ in range(12)]
    letters = string.ascii_lowercase[:13]
    terms = [a + b for a, b in itertools.pairwise(letters)]
    equation = ",".join([*terms, "m"]) + "->a"
    vector = RNG.normal(size=30)
    graph = cr.trace(lambda *x: cr.einsum(equation, *x), *matrices, vector).graph
    shapes = [n.type.shape for n in graph.nodes if n.op.name == "matmul"]
    assert all(min(shape) == 1 for shape in shapes)
    assert len(shapes) == 12
    found = cr.einsum(equation, *matrices, vector).numpy()
    np.testing.assert_allclose(found, np.linalg.multi_dot([*matrices, vector]), rtol=1e-10)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ([(0, 1)], "does not lead to one"),
        ([(0, 1), (0, 2)], "pairs of different positions"),
        ([(0, 0), (0, 1)], "pairs of different positions"),
        ("best", "Unknown order"),
    ],
)
def test_wrong_paths(path, words):
    with pytest.raises(ConfigError, match=words):
        cr.einsum("i,i,i->i", [1.0], [2.0], [3.0], optimize=path)


def test_axes_that_differ_are_named():
    with pytest.raises(ShapeError, match="the axes 'j' differ"):
        cr.einsum("ij,jk->ik", np.ones((2, 3)), np.ones((2, 3)))
