"""The user's handle: values, conversions, operators, variables."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DerivativeError, OutOfRangeError, ShapeError, TypeRuleError


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1.5, "float32", ()),
        (1, "int64", ()),
        (True, "bool", ()),
        ([1, 2.5], "float32", (2,)),
        ([[1, 2], [3, 4]], "int64", (2, 2)),
        ([], "float32", (0,)),
        (np.zeros(2), "float64", (2,)),
        (np.zeros(2, "float32"), "float32", (2,)),
        (np.zeros(2, "float16"), "float32", (2,)),
        (np.zeros(2, "uint8"), "int64", (2,)),
        (np.zeros(2, "int32"), "int32", (2,)),
        (np.float64(1.0), "float64", ()),
        (range(3), "int64", (3,)),
    ],
)
def test_element_types_of_data(data: Any, dtype: str, shape: tuple[int, ...]) -> None:
    x = cr.tensor(data)
    assert (x.dtype.name, x.shape) == (dtype, shape)


@pytest.mark.parametrize("data", ["text", [object()], np.zeros(2, "complex64"), 1j, None])
def test_what_is_not_a_number(data: Any) -> None:
    with pytest.raises(TypeRuleError, match="Unknown element type"):
        cr.tensor(data)


def test_tensors_copy_and_views_are_read_only() -> None:
    data = np.ones(2)
    x = cr.tensor(data)
    data[0] = 7.0
    assert x.tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 2.0
    np.asarray(x)[0] = 2.0  # a copy
    assert x.tolist() == [1.0, 1.0]
    assert cr.tensor([x, x]).shape == (2, 2)


def test_python_numbers() -> None:
    x = cr.tensor([2.0])
    assert (float(x), int(x), bool(x), x.item()) == (2.0, 2, True, 2.0)
    assert [10, 20, 30][cr.tensor(1)] == 20
    with pytest.raises(TypeError, match="only integer tensors"):
        [10, 20][cr.tensor(1.0)]
    with pytest.raises(ShapeError, match="one element"):
        cr.tensor([1.0, 2.0]).item()
    with pytest.raises(ShapeError, match="one element"):
        bool(cr.tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="no length"):
        len(cr.tensor(1.0))


def test_python_numbers_that_are_equal_are_not_mixed_up() -> None:
    x = cr.tensor([1.0, -1.0])
    for _ in range(2):
        assert np.signbit((x * 0.0).numpy()).tolist() == [False, True]
        assert np.signbit((x * -0.0).numpy()).tolist() == [True, False]
        assert (cr.tensor([1, 2]) + True).tolist() == [2, 3]
        assert (cr.tensor([1, 2]) * 1.0).dtype == np.float32
        assert (cr.tensor([True, False]) == True).tolist() == [True, False]  # noqa: E712
        assert (cr.tensor([True, False]) + 1).dtype == np.int64
    assert not (x + 1.0).numpy().flags.writeable


def test_iteration_and_unpacking() -> None:
    a, b = cr.tensor([[1.0], [2.0]])
    assert (a.tolist(), b.tolist()) == ([1.0], [2.0])
    assert len(list(cr.tensor(np.zeros((0, 3))))) == 0


BINARY = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
]


@pytest.mark.parametrize("name", BINARY)
def test_operators_with_tensors_arrays_and_numbers(name: str) -> None:
    apply = getattr(operator, name)
    a, b = np.array([2.5, 3.0]), np.array([2.0, 3.0])
    for left, right in [(a, b), (a, 2.0), (2.0, b), (a, 2), (3, b)]:
        expected = apply(left, right)
        as_tensors = [cr.tensor(x) if isinstance(x, np.ndarray) else x for x in (left, right)]
        found = [apply(*as_tensors)]
        if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
            found += [apply(as_tensors[0], right), apply(left, as_tensors[1])]
        for one in found:
            assert isinstance(one, cr.Tensor)
            np.testing.assert_array_equal(one.numpy(), expected)
            assert one.dtype == expected.dtype


def test_other_operators() -> None:
    x, t, f = cr.tensor([[1.0, -2.0]]), cr.tensor([True]), cr.tensor([False])
    assert (-x).tolist() == [[-1.0, 2.0]]
    assert abs(x).tolist() == [[1.0, 2.0]]
    assert (x @ x.T).tolist() == [[5.0]]
    assert (np.array([[1.0], [1.0]], "float32") @ x).shape == (2, 2)
    assert [(t & f).item(), (t | f).item(), (t ^ t).item(), (~t).item()] == [
        False,
        True,
        False,
        False,
    ]
    assert (True & t).item() is True


def test_methods_are_the_functions() -> None:
    x = cr.tensor([[1.0, 4.0], [9.0, 16.0]])
    assert x.sqrt().sum(0).tolist() == cr.sum(cr.sqrt(x), axis=0).tolist()
    assert x.reshape(4).tolist() == x.reshape((4,)).tolist() == x.reshape(-1).tolist()
    assert x.transpose(1, 0).tolist() == x.T.tolist() == x.transpose().tolist()
    assert x.max(1, keepdims=True).tolist() == [[4.0], [16.0]]
    assert x.astype(int).dtype == np.int64
    assert x.clip(2.0, 9.5).tolist() == [[2.0, 4.0], [9.0, 9.5]]


def test_representation() -> None:
    assert repr(cr.tensor([1.0, 2.0])) == "Tensor([1., 2.])"
    assert repr(cr.tensor(np.array(1.5))) == "Tensor(1.5, dtype=float64)"


def test_tensors_are_keys_by_identity() -> None:
    a, b = cr.tensor(1.0), cr.tensor(1.0)
    assert len({a, b, a}) == 2


def test_variables() -> None:
    b = cr.Buffer([1, 2])
    b.assign([3.7, 4.2])  # like astype: cut off
    assert b.tolist() == [3, 4]
    with pytest.raises(ShapeError, match="keeps its shape"):
        b.assign([1, 2, 3])
    assert not isinstance(b * 1, cr.Variable)


def test_parameters_are_floating_point_numbers() -> None:
    assert cr.parameter([1.0], dtype="float64").dtype == np.float64
    with pytest.raises(DerivativeError, match="floating-point"):
        cr.parameter([1, 2])
    w = cr.parameter(1.0, name="gain")
    assert (w.name, w.requires_grad) == ("gain", True)
    w.requires_grad = False
    assert (w * 2).node.inputs == ()


def test_indices_out_of_range() -> None:
    x = cr.tensor([[1.0, 2.0, 3.0]])
    for index in [1, -2, (0, 3), (0, [0, 3]), (slice(None), [-4])]:
        with pytest.raises(IndexError) as caught:
            x[index]
        assert isinstance(caught.value, OutOfRangeError)
    with pytest.raises(OutOfRangeError) as caught:
        cr.take(x, [5], axis=1)
    assert (caught.value.expected, caught.value.found) == ("from -3 to 2", "5 at [0]")
    with pytest.raises(OutOfRangeError):
        cr.take_along_axis(x, [[7]], 1)


@pytest.mark.parametrize(
    ("index", "error"),
    [
        ((0, 0, 0), ShapeError),
        ((..., ...), ShapeError),
        (1.0, TypeRuleError),
        ("a", TypeRuleError),
        ([0.5], TypeRuleError),
        (True, TypeRuleError),
        (np.array([True, False]), ShapeError),
    ],
)
def test_what_is_not_an_index(index: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        cr.tensor([[1.0, 2.0, 3.0]])[index]


@pytest.mark.parametrize(
    "call",
    [
        lambda: cr.tensor([1.0, 2.0]) + cr.tensor([1.0, 2.0, 3.0]),
        lambda: cr.tensor([1.0]).sum(1),
        lambda: cr.tensor([[1.0]]).sum((0, 0)),
        lambda: cr.tensor([1.0, 2.0]).reshape(3),
        lambda: cr.tensor([1.0, 2.0]).reshape(-1, -1),
        lambda: cr.concatenate([]),
        lambda: cr.stack([[1.0], [1.0, 2.0]]),
        lambda: cr.tensor(1.0) @ cr.tensor(1.0),
        lambda: cr.tensor([1.0, 2.0]).squeeze(0),
        lambda: cr.max(cr.tensor([])),
        lambda: cr.argmax(cr.tensor([])),
        lambda: cr.einsum("ij,j", [[1.0]], [[1.0]]),
        lambda: cr.einsum("i->ij", [1.0]),
        lambda: cr.split([1.0, 2.0, 3.0], 2),
        lambda: cr.top_k([1.0], 2),
        lambda: cr.broadcast_to([1.0, 2.0], (3,)),
        lambda: cr.pad([1.0], ((1, 1), (1, 1))),
        lambda: cr.random.uniform(cr.tensor([1, 2]), (3,)),
        lambda: cr.cross([1.0, 2.0], [1.0, 2.0]),
        lambda: cr.tensordot([[1.0, 2.0]], [[1.0, 2.0]], 1),
    ],
)
def test_shapes_that_do_not_fit(call: Any) -> None:
    with pytest.raises(ShapeError) as caught:
        call()
    assert caught.value.what.endswith(".")
