"""What operations refuse: each by name, and what is just inside of the limit goes through."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.ir.types import Type
from chainrule.errors import (
    ConfigError,
    DerivativeError,
    OutOfRangeError,
    ShapeError,
    TypeRuleError,
)


def z(*shape: int) -> cr.Tensor:
    return cr.zeros(shape, "float64")


KEY = cr.random.key(1)
ints = np.zeros
Refusal = tuple[Callable[[], Any], type[Exception], str]

#: By the operation: what is refused, with which error, and a few words of the message.
REFUSED: dict[str, list[Refusal]] = {
    "arrangement": [
        (lambda: cr.combinations(z(2, 2)), ShapeError, "takes a vector"),
        (lambda: cr.combinations(z()), ShapeError, "takes a vector"),
        (lambda: cr.sliding_window_view(z(4), 5), ShapeError, "does not fit"),
        (lambda: cr.sliding_window_view(z(4), 0), ShapeError, "does not fit"),
        (lambda: cr.sliding_window_view(z(4), 2, step=0), ShapeError, "does not fit"),
        (lambda: cr.block_diag([z(2, 2), z(1, 2, 2)]), ShapeError, "takes matrices"),
    ],
    "attention": [
        (lambda: attention(z(2, 4), z(3, 4), z(2, 4)), ShapeError, "one value for every key"),
        (lambda: attention(z(2, 4), z(3, 5), z(3, 4)), ShapeError, "equally many features"),
        (lambda: attention(z(4), z(3, 4), z(3, 4)), ShapeError, "equally many features"),
        (lambda: attention(z(2, 4), z(4), z(4)), ShapeError, "equally many features"),
        (
            lambda: attention(z(2, 2, 4), z(3, 3, 4), z(3, 3, 4)),
            ShapeError,
            "different sequences",
        ),
        (
            lambda: attention(z(2, 4), z(3, 4), z(3, 4), mask=ints((2, 3), int)),
            TypeRuleError,
            "A mask is boolean",
        ),
        (
            lambda: attention(z(2, 4), z(3, 4), z(3, 4), mask=z(2, 4)),
            ShapeError,
            "does not fit the scores",
        ),
        (
            lambda: attention(z(2, 4), z(3, 4), z(3, 4), dropout=0.5),
            TypeRuleError,
            "needs a random key",
        ),
        (
            lambda: attention(z(2, 4), z(3, 4), z(3, 4), dropout=1.0, key=KEY),
            TypeRuleError,
            "attributes of an attention",
        ),
        (
            lambda: attention(z(2, 4), z(3, 4), z(3, 4), scale=math.inf),
            TypeRuleError,
            "attributes of an attention",
        ),
    ],
    "ctc": [
        (lambda: ctc(z(2, 4, 3), (2, 2), (2,), (3,)), ShapeError, "does not fit the logits"),
        (lambda: ctc(z(2, 4, 3), (3, 2), (2,), (2,)), ShapeError, "does not fit the logits"),
        (lambda: ctc(z(2, 4, 3), (2, 2), (3,), (2,)), ShapeError, "does not fit the logits"),
        (lambda: ctc(z(2, 4, 3), (2, 2), (2,), (2,), blank=3), TypeRuleError, "The blank"),
        (lambda: ctc(z(2, 4, 3), (2, 2), (2,), (2,), blank=-1), TypeRuleError, "The blank"),
    ],
    "einsum": [
        (lambda: cr.einsum("ij->ij", z(2)), ShapeError, "names 2 axes"),
        (lambda: cr.einsum("ij,jk->ik", z(2, 2)), ShapeError, "cannot read"),
        (lambda: cr.einsum("ij->ik", z(2, 2)), ShapeError, "cannot read"),
        (lambda: cr.einsum("ij->ii", z(2, 2)), ShapeError, "cannot read"),
        (lambda: cr.einsum("i1->i", z(2, 2)), ShapeError, "cannot read"),
    ],
    "elementwise": [
        (lambda: cr.polygamma(z(2), -1), TypeRuleError, "polygamma takes"),
        (lambda: z(2) & z(2), TypeRuleError, "takes integers or booleans"),
        (lambda: cr.negative(cr.tensor([True])), TypeRuleError, "not booleans"),
        (lambda: cr.broadcast_to(z(2, 3), (3, 2)), ShapeError, "cannot be broadcast"),
        (lambda: cr.broadcast_to(z(2, 3), (3,)), ShapeError, "cannot be broadcast"),
    ],
    "images": [
        (lambda: cr.unfold(z(1, 3, 1), 4), ShapeError, "larger than the padded image"),
        (lambda: cr.unfold(z(1, 3, 1), 2, dilation=3), ShapeError, "larger than the padded"),
        (lambda: cr.fold(z(1, 3, 2), 4), ShapeError, "takes patches"),
        (lambda: cr.fold(z(1, 3, 2, 2, 1), 4), ShapeError, "takes patches"),
        (lambda: cr.fold(z(1, 2, 2, 1), 4), ShapeError, "do not fill"),
        (lambda: cr.pixel_shuffle(z(1, 2, 2, 6), 2), ShapeError, "multiple of 4"),
        (lambda: cr.pixel_unshuffle(z(1, 4, 3, 1), 2), ShapeError, "multiples of 2"),
        (lambda: cr.channel_shuffle(z(1, 2, 5), 2), ShapeError, "must divide"),
        (lambda: cr.affine_grid(z(1, 2, 2), (2, 2)), ShapeError, "a matrix for each image"),
        (lambda: cr.affine_grid(z(2, 3), (2, 2)), ShapeError, "a matrix for each image"),
        (lambda: cr.grid_sample(z(1, 2, 2, 1), z(1, 2, 2)), ShapeError, "takes a place"),
        (lambda: cr.grid_sample(z(1, 2, 2, 1), z(1, 2, 2, 3)), ShapeError, "takes a place"),
        (lambda: cr.grid_sample(z(1, 2, 2, 1), z(2, 2, 2, 2)), ShapeError, "takes a place"),
        (
            lambda: cr.grid_sample(z(1, 2, 2, 1), z(1, 2, 2, 2), mode="area"),
            ConfigError,
            "Unknown mode",
        ),
        (
            lambda: cr.grid_sample(z(1, 2, 2, 1), z(1, 2, 2, 2), padding="wrap"),
            ConfigError,
            "Unknown mode",
        ),
        (
            lambda: cr.grid_sample(z(1, 2, 2, 2, 1), z(1, 2, 2, 2, 3), mode="bicubic"),
            ConfigError,
            "Unknown mode",
        ),
        (lambda: cr.max_unpool(z(1, 2, 1), ints((1, 3, 1), int), 2), ShapeError, "an index"),
        (lambda: cr.adaptive_max_pool(z(1, 0, 1), 1), ShapeError, "no elements"),
        (lambda: cr.adaptive_avg_pool(z(1, 0, 1), 1), ShapeError, "no elements"),
        (lambda: cr.interpolate(z(1, 3, 1)), ConfigError, "neither"),
        (lambda: cr.interpolate(z(1, 3, 1), 2, 2.0), ConfigError, "both"),
        (lambda: cr.interpolate(z(1, 0, 1), 2), ShapeError, "empty image"),
        (lambda: cr.interpolate(z(1, 3, 1), scale_factor=(1, 2)), ConfigError, "positive number"),
        (lambda: cr.interpolate(z(1, 3, 1), scale_factor=0.0), ConfigError, "positive number"),
        (lambda: cr.interpolate(z(1, 3, 1), scale_factor=0.3), ConfigError, "no element"),
        (lambda: cr.interpolate(z(1, 3, 1), 2, mode="bicubic"), ConfigError, "1 axis"),
        (lambda: cr.interpolate(z(1, 3, 1), 2, antialias=True), ConfigError, "antialias with"),
    ],
    "indexing": [
        (lambda: cr.take(z(3), [3]), OutOfRangeError, "out of range"),
        (lambda: cr.take(z(3), [[0, -4]]), OutOfRangeError, r"-4 at \[0, 1\]"),
        (lambda: cr.take(z(3), [0.0]), TypeRuleError, "integer indices"),
        (lambda: cr.take_along_axis(z(2, 3), ints((3, 1), int), 1), ShapeError, "equal shapes"),
        (
            lambda: cr.add_along_axis(z(2, 3), ints((2, 1), int), z(2, 2), 1),
            ShapeError,
            "cannot be broadcast",
        ),
        (lambda: z(2)[0, 0], ShapeError, "Too many indices"),
        (lambda: z(2, 2)[..., ...], ShapeError, "Too many indices"),
        (lambda: z(2)[True], TypeRuleError, "A single boolean"),
        (lambda: z(2, 2)[np.array([True, False, True])], ShapeError, "A mask has the shape"),
        (lambda: z(2)[2], OutOfRangeError, "no element 2 on axis 0"),
        (lambda: z(2)[-3], OutOfRangeError, "no element -3 on axis 0"),
        (lambda: z(2)["a"], TypeRuleError, "not an index"),
        (lambda: cr.scatter_add(z(3), [0, 1], z(3)), ShapeError, "cannot be broadcast"),
        (lambda: cr.scatter(z(3), [0], z(1), mode="sometimes"), ConfigError, "put updates in"),
        (
            lambda: cr.put_along_axis(z(2, 3), ints((3, 1), int), z(3, 1), 1),
            ShapeError,
            "except on axis 1",
        ),
        (lambda: cr.segment_sum(z(3, 2), [0, 1], 2), ShapeError, "one segment for every row"),
        (lambda: cr.bincount([0.5]), TypeRuleError, "integer indices"),
    ],
    "linalg": [
        (lambda: cr.linalg.lstsq(z(3, 2), z(2)), ShapeError, "as many rows"),
        (lambda: cr.linalg.lstsq(z(3, 2), z(2, 3)), ShapeError, "as many rows"),
        (lambda: cr.linalg.lstsq(z(3, 2), z()), ShapeError, "as many rows"),
        (lambda: cr.linalg.matrix_norm(z(2, 2), axis=(0, -2)), ShapeError, "different axes"),
        (lambda: cr.linalg.matrix_norm(z(2, 2), 3), ConfigError, "Unknown order"),
        (lambda: cr.linalg.norm(z(2, 2, 2), 2), ShapeError, "vectors or matrices"),
        (lambda: cr.linalg.tensorsolve(z(2, 3), z(2)), ShapeError, "as many equations"),
        (lambda: cr.linalg.tensorinv(z(2, 3), 1), ShapeError, "equal extents"),
        (lambda: cr.linalg.tensorinv(z(1, 1), 0), ShapeError, "equal extents"),
        (lambda: cr.linalg.solve(z(2, 2, 2), z(3, 2, 1)), ShapeError, "batches of a system"),
        (lambda: cr.linalg.solve(z(2, 2), z(3, 1)), ShapeError, "right-hand side"),
        (lambda: cr.linalg.inv(z(2, 3)), ShapeError, "square"),
    ],
    "products": [
        (lambda: z(2, 3) @ z(2, 3), ShapeError, "inner extents"),
        (lambda: z() @ z(2), ShapeError, "vectors and matrices"),
        (lambda: z(2) @ z(), ShapeError, "vectors and matrices"),
        (lambda: z(2, 1, 1) @ z(3, 1, 1), ShapeError, "batches of a matrix product"),
        (lambda: cr.tensordot(z(2, 3), z(2, 3), 1), ShapeError, "equal extents"),
        (lambda: cr.cross(z(2), z(3)), ShapeError, "three numbers"),
        (lambda: cr.cross(z(3), z(2)), ShapeError, "three numbers"),
    ],
    "random": [
        (lambda: cr.random.uniform(cr.tensor([1, 2]), (2,)), ShapeError, "not a random key"),
        (lambda: cr.random.fold_in(KEY, [1, 2]), ShapeError, "one integer"),
    ],
    "reduction": [
        (lambda: cr.argmax(z(2, 0), 1), ShapeError, "no elements"),
        (lambda: cr.max(z(2, 0), 1), ShapeError, "of no elements"),
        (lambda: cr.sum(z(2, 2), (0, -2)), ShapeError, "named twice"),
        (lambda: cr.sum(z(2, 2), 2), ShapeError, "axis|axes"),
    ],
    "scan": [
        (lambda: cr.scan(lambda c, x: (c, ()), (), (), length=2), ShapeError, "carry or slices"),
    ],
    "shape": [
        (lambda: cr.reshape(z(2, 3), (4,)), ShapeError, "keeps the number"),
        (lambda: cr.reshape(z(2, 3), (-1, -1)), ShapeError, "cannot be completed"),
        (lambda: cr.reshape(z(2, 3), (4, -1)), ShapeError, "cannot be completed"),
        (lambda: cr.reshape(z(0, 3), (0, -1)), ShapeError, "cannot be completed"),
        (lambda: cr.squeeze(z(2, 1), 0), ShapeError, "Axis 0 cannot be squeezed"),
        (lambda: cr.transpose(z(2, 1), (0, 0)), ShapeError, "every axis once"),
        (lambda: cr.concatenate([]), ShapeError, "at least one"),
        (lambda: cr.concatenate([z(2), z(1, 2)]), ShapeError, "equally many axes"),
        (lambda: cr.concatenate([z(2, 2), z(2, 3)]), ShapeError, "on the other axes"),
        (lambda: cr.concatenate([z(2, 2), z(3, 2)], 1), ShapeError, "on the other axes"),
        (lambda: cr.stack([z(2), z(3)]), ShapeError, "of one shape"),
        (lambda: cr.split(z(4), 3), ShapeError, "3 equal parts"),
        (lambda: cr.split(z(4), 0), ShapeError, "0 equal parts"),
        (lambda: cr.split(z(4), [1, 2]), ShapeError, "make up the axis"),
        (lambda: cr.pad(z(2, 2), [(0, 1)]), ShapeError, "for every axis"),
        (lambda: cr.pad(z(2), [(0, 1)], mode="mirror"), ShapeError, "Unknown padding"),
    ],
    "sorting": [
        (lambda: cr.top_k(z(3), 4), ShapeError, "cannot find that many"),
        (lambda: cr.top_k(z(3), -1), ShapeError, "cannot find that many"),
        (lambda: cr.searchsorted(z(2, 2), z(1)), ShapeError, "vector of bounds"),
        (lambda: cr.searchsorted(z(2), z(1), side="middle"), ShapeError, "vector of bounds"),
    ],
    "statistics": [
        (lambda: cr.quantile(z(3), 0.5, method="best"), ConfigError, "Unknown method"),
        (lambda: cr.quantile(z(3), [[0.5]]), ShapeError, "one fraction or a vector"),
        (lambda: cr.quantile(z(0), 0.5), ShapeError, "no elements"),
        (lambda: cr.kthvalue(z(3), 0), ShapeError, "cannot find that one"),
        (lambda: cr.kthvalue(z(3), 4), ShapeError, "cannot find that one"),
        (lambda: cr.cov(z(1, 2, 2)), ShapeError, "takes a matrix"),
        (lambda: cr.cdist(z(2), z(2, 2)), ShapeError, "equally many numbers"),
        (lambda: cr.cdist(z(2, 2), z(2)), ShapeError, "equally many numbers"),
        (lambda: cr.cdist(z(2, 3), z(2, 2)), ShapeError, "equally many numbers"),
        (lambda: cr.pdist(z(2)), ShapeError, "takes a matrix"),
        (lambda: cr.gradient(z(3, 3), 1.0, 1.0, 1.0), ShapeError, "a spacing"),
        (lambda: cr.gradient(z(3), edge_order=3), ShapeError, "edge_order 1 or 2"),
        (lambda: cr.gradient(z(1)), ShapeError, "at least 2"),
        (lambda: cr.gradient(z(2), edge_order=2), ShapeError, "at least 3"),
        (lambda: cr.interp(z(2), z(3), z(2)), ShapeError, "two vectors of one extent"),
        (lambda: cr.interp(z(2), z(2, 2), z(2, 2)), ShapeError, "two vectors of one extent"),
        (lambda: cr.interp(z(2), z(0), z(0)), ShapeError, "two vectors of one extent"),
    ],
}


def attention(*operands: Any, **options: Any) -> cr.Tensor:
    return cr.scaled_dot_product_attention(*operands, **options)


def ctc(logits: cr.Tensor, *shapes: tuple[int, ...], blank: int = 0) -> Any:
    """With the first class as target and lengths of 1, in arrays of these shapes."""
    arrays = [np.ones(shape, np.int64) for shape in shapes]
    op = cr.ir.OPERATIONS["ctc"]
    types = [logits.type, *(Type(np.dtype(np.int64), shape) for shape in shapes)]
    assert len(arrays) == 3
    return op.type_rule(*types, blank=blank)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    for number, (call, error, words) in enumerate(REFUSED[name]):
        with pytest.raises(error, match=words):
            pytest.fail(f"{name} {number} gave {call()}")


def rule(name: str, *types: Type, **attributes: Any) -> Any:
    return cr.ir.OPERATIONS[name].type_rule(*types, **attributes)


F, N, B = (np.dtype(kind) for kind in ("float64", "int64", "bool"))
SLIDE = {"stride": (1,), "before": (0,), "after": (0,)}
POOL = {"window": (2,), **SLIDE}
CONV = {**SLIDE, "dilation": (1,), "groups": 1}
INT = Type(N, (2,))

#: Rules that a damaged model file would break: no function of the library asks for these.
RULES: list[tuple[str, list[Type], dict[str, Any]]] = [
    ("reshape", [Type(F, (2, 3))], {"shape": (4,)}),
    ("transpose", [Type(F, (2, 3))], {"axes": (0, 2)}),
    ("concatenate", [Type(F, (2,)), Type(np.dtype("float32"), (2,))], {"axis": 0}),
    ("slice", [Type(F, (3,))], {"start": (1,), "stop": (4,), "step": (1,)}),
    ("slice", [Type(F, (3,))], {"start": (-1,), "stop": (2,), "step": (1,)}),
    ("slice", [Type(F, (3,))], {"start": (2,), "stop": (1,), "step": (1,)}),
    ("slice", [Type(F, (3,))], {"start": (0,), "stop": (3,), "step": (0,)}),
    ("pad", [Type(F, (3,))], {"before": (-1,), "after": (2,), "between": (0,), "value": 0.0}),
    ("pad", [Type(F, (3,))], {"before": (1,), "after": (2,), "between": (-1,), "value": 0.0}),
    ("matmul", [Type(F, (2,)), Type(F, (2,))], {"transpose_a": False, "transpose_b": False}),
    (
        "matmul",
        [Type(F, (2, 2)), Type(np.dtype("float32"), (2, 2))],
        {"transpose_a": False, "transpose_b": False},
    ),
    (
        "matmul",
        [Type(F, (1, 2, 2)), Type(F, (2, 2, 2))],
        {"transpose_a": False, "transpose_b": False},
    ),
    ("take_along_axis", [Type(F, (2, 3)), Type(N, (2,))], {"axis": 1}),
    ("scatter_add", [Type(F, (3,)), INT, Type(F, (3,))], {"axis": 0}),
    ("scatter", [Type(F, (3,)), INT, Type(F, (3,))], {"mode": "set"}),
    ("check", [Type(F, (2,)), Type(B, (3,))], {"refusal": "range", "about": ()}),
    ("argmax", [Type(F, (0,))], {"axis": 0}),
    ("embedding_bag", [Type(N, (3, 2)), Type(N, (2, 1)), Type(F, (2, 1))], {}),
    ("embedding_bag", [Type(F, (3, 2)), Type(F, (2, 1)), Type(F, (2, 1))], {}),
    ("embedding_bag", [Type(F, (3,)), Type(N, (2, 1)), Type(F, (2, 1))], {}),
    ("embedding_bag", [Type(F, (3, 2)), Type(N, (2,)), Type(F, (2,))], {}),
    ("embedding_bag", [Type(F, (3, 2)), Type(N, (2, 1)), Type(F, (2, 2))], {}),
    ("scatter_bag", [Type(F, (3, 2)), Type(N, (2, 1)), Type(F, (2, 1))], {"rows": 4}),
    ("sum_unpool", [Type(F, (1, 4, 1))], {"extents": (4,), **POOL}),
    ("max_pool_scatter", [Type(F, (1, 4, 1)), Type(F, (1, 4, 1))], POOL),
    ("max_pool_gather", [Type(F, (1, 4, 1)), Type(F, (1, 3, 1))], POOL),
    ("max_pool", [Type(F, (1, 1, 1))], POOL),
    (
        "convolution_weights",
        [Type(F, (1, 4, 3)), Type(F, (1, 3, 2))],
        {**CONV, "window": (2,), "groups": 2},
    ),
    ("random_bits", [Type(N, (2,))], {"shape": (2,)}),
    ("fold_in", [KEY.type, Type(N, (1,))], {}),
    ("solve", [Type(F, (2, 2)), Type(F, (3, 1))], {}),
    ("solve", [Type(F, (2, 3)), Type(F, (2, 1))], {}),
    ("solve", [Type(F, (2, 2)), Type(np.dtype("float32"), (2, 1))], {}),
]


@pytest.mark.parametrize("case", RULES, ids=lambda case: case[0])
def test_rules_of_types_refuse(case: Any) -> None:
    name, types, attributes = case
    with pytest.raises((ShapeError, TypeRuleError)):
        rule(name, *types, **attributes)


def test_just_inside_of_the_limits() -> None:
    assert cr.sliding_window_view(z(4), 4).shape == (1, 4)
    assert cr.unfold(z(1, 3, 1), 3).shape == (1, 1, 3, 1)
    assert cr.top_k(z(3), 3)[0].shape == cr.top_k(z(3, 2), 3, 0)[1].shape[:1] == (3,)
    assert cr.top_k(z(3), 0)[0].shape == (0,)
    assert cr.take(cr.arange(3), [-3, 2]).tolist() == [0, 2]
    assert cr.arange(3)[-3].item() == 0
    assert cr.kthvalue(cr.arange(3), 1)[0].item() == 0
    assert cr.kthvalue(cr.arange(3), 3)[0].item() == 2
    assert len(cr.split(z(4), 4)) == 4
    assert cr.gradient(cr.tensor([1.0, 3.0])).tolist() == [2.0, 2.0]
    assert cr.gradient(cr.tensor([1.0, 2.0, 4.0]), edge_order=2).shape == (3,)
    assert cr.max(z(0, 2), 1).shape == (0,)
    assert cr.argmax(z(2, 0), 0).shape == (0,)
    assert cr.interpolate(z(1, 3, 1), scale_factor=0.34).shape == (1, 1, 1)
    assert cr.interpolate(z(1, 3, 3, 1), 2, mode="bicubic", antialias=True).shape == (1, 2, 2, 1)
    assert cr.pixel_shuffle(z(1, 2, 2, 4), 2).shape == (1, 4, 4, 1)
    mask = np.zeros((1, 3), bool)
    assert attention(z(2, 4), z(3, 4), z(3, 5), mask=mask).tolist() == np.zeros((2, 5)).tolist()
    assert attention(z(5, 1, 2, 4), z(2, 3, 4), z(1, 3, 1)).shape == (5, 2, 2, 1)
    assert rule("slice", Type(F, (3,)), start=(3,), stop=(3,), step=(1,)).shape == (0,)
    assert rule("pad", Type(F, (2,)), before=(0,), after=(0,), between=(1,), value=0.0).size == 3
    assert rule("check", Type(F, (2,)), Type(B, (2,)), refusal="range", about=()).shape == (2,)


def test_an_operation_of_ones_own_is_checked_where_it_is_declared() -> None:
    def nothing() -> None: ...

    with pytest.raises(ConfigError, match="array namespace"):
        cr.operation(derivatives=[])(nothing)

    def twice(xp: Any, x: Any) -> Any:
        return x + x

    with pytest.raises(ConfigError, match="one derivative rule for each input"):
        cr.operation(derivatives=[lambda g, y, x: g, lambda g, y, x: g], name="twice2")(twice)


def test_a_gradient_rule_of_ones_own_is_checked() -> None:
    @cr.custom_vjp(lambda g, y, x: [g, g])
    def one(x: Any) -> Any:
        return cr.sin(x)

    with pytest.raises(DerivativeError, match="a gradient for each argument"):
        cr.grad(lambda x: one(x).sum())(z(2))

    @cr.custom_vjp(lambda g, y, x: [g[:1]])
    def other(x: Any) -> Any:
        return cr.sin(x)

    with pytest.raises(ShapeError, match="has the wrong shape"):
        cr.grad(lambda x: other(x).sum())(z(2))

    @cr.custom_vjp(lambda g, y, x: [g])
    def both(x: Any) -> Any:
        return x, x

    with pytest.raises(DerivativeError, match="gives one tensor"):
        both(z(2))

    def outside(a: Any) -> Any:
        return cr.custom_vjp(lambda g, y, x: [g])(lambda x: x * a)(z(2)).sum()

    with pytest.raises(DerivativeError, match="from outside"):
        cr.grad(outside)(z(2))
