"""Every operation and function, on every one of its samples, with every backend.

What is declared in one place is tested here: type rule, value, gradient, second derivative, the
graph as JSON. A new operation or function needs no test of its own for that, only samples; a new
backend is one line in `BACKENDS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.engine import pytree
from chainrule.engine.backends.numpy import Program
from chainrule.engine.ir import NON_DIFFERENTIABLE, ZERO, Graph, Operation, Sample, Type
from chainrule.engine.ops.declare import FUNCTION_SAMPLES
from chainrule.engine.tensor import FUNCTIONS, apply

Array = np.ndarray[Any, Any]
#: Those of the library, without those that other tests declare.
OPERATIONS = dict(cr.ir.OPERATIONS)

#: name, how it runs a graph, and the relative error allowed by element type (0: the same bits).
BACKENDS: list[tuple[str, Callable[[Graph, list[Array]], list[Array]], dict[str, float]]] = [
    ("numpy", lambda graph, inputs: Program(graph)(inputs), {"float32": 0.0, "float64": 0.0}),
]

#: Leaves have no samples; stop_gradient is meant to disagree with finite differences.
#: Those with a graph inside are tested through their functions.
#: Those with several results are tested through their functions.
NO_SAMPLES = {
    *("constant", "placeholder", "stop_gradient", "part", "scan", "call"),
    *("attention", "attention_gradients", "ctc"),
    *("eigh", "lu", "qr", "slogdet", "svd", "own_derivative"),
}
#: Roundings, which have the derivative 1 although they go in steps.
STRAIGHT = {"round_to_bfloat16"}
#: Functions whose rules are tested through other functions or that make tensors from nothing.
NO_FUNCTION_SAMPLES = {
    *("arange", "eye", "full", "linspace", "ones", "ones_like", "zeros", "zeros_like"),
    *("astype", "broadcast_to", "identity", "stop_gradient"),  # one operation each, with samples
    *("fft", "linalg", "masked", "operation", "random", "remat"),  # not functions of tensors
    *("custom_vjp", "fft.fftfreq", "fft.rfftfreq"),
}


@dataclass(frozen=True)
class Case:
    """One sample of one operation or function."""

    name: str
    number: int
    call: Callable[..., Any]
    sample: Sample
    is_operation: bool

    def __str__(self) -> str:
        return f"{'operation' if self.is_operation else 'function'} {self.name} {self.number}"

    @property
    def tensors(self) -> list[Array]:
        """The arrays among the inputs, in order."""
        return [x for x in pytree.flatten(list(self.sample.inputs))[0] if self._is_tensor(x)]

    def _is_tensor(self, leaf: Any) -> bool:
        """Masks as indices have to be known, for the shape of the result depends on them."""
        is_array = isinstance(leaf, np.ndarray)
        return is_array and not (self.name == "getitem" and leaf.dtype == bool)

    def on(self, *tensors: Any) -> list[cr.Tensor]:
        """The results for these tensors in place of the sample's arrays."""
        leaves, rebuild, _ = pytree.flatten(list(self.sample.inputs))
        given = iter(tensors)
        inputs = rebuild([next(given) if self._is_tensor(x) else x for x in leaves])
        result = self.call(*inputs, **self.sample.attributes)
        return list(result) if isinstance(result, (list, tuple)) else [result]


def _apply(op: Operation) -> Callable[..., cr.Tensor]:
    return lambda *inputs, **attributes: apply(op, *map(cr.as_tensor, inputs), **attributes)


def _cases() -> Iterator[Case]:
    for name, op in OPERATIONS.items():
        for number, sample in enumerate(op.samples()):
            yield Case(name, number, _apply(op), sample, True)
    for name, samples in FUNCTION_SAMPLES.items():
        for number, sample in enumerate(samples()):
            yield Case(name, number, FUNCTIONS[name], sample, False)


CASES = list(_cases())
DTYPES = ("float32", "float64")
every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def converted(arrays: list[Array], dtype: str) -> list[Array]:
    return [np.asarray(x, dtype if x.dtype.kind == "f" else x.dtype) for x in arrays]


def is_smooth(case: Case) -> bool:
    """Whether there is a derivative to be checked: a float that goes in and one that comes out."""
    if not case.sample.smooth or not any(x.dtype.kind == "f" for x in case.tensors):
        return False
    return any(y.type.is_float for y in case.on(*map(cr.tensor, case.tensors)))


def assert_same(found: Array, expected: Array, tolerance: float = 0.0) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if tolerance:
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    else:
        assert found.tobytes() == expected.tobytes()


@every_case
@every_dtype
def test_the_type_rule_tells_the_type_of_the_value(case: Case, dtype: str) -> None:
    """The value itself, before anything converts it, is of the type that the rule gives."""
    if case.is_operation:
        op, arrays = OPERATIONS[case.name], converted(case.tensors, dtype)
        rule = op.type_rule(*(Type(x.dtype, x.shape) for x in arrays), **case.sample.attributes)
        assert op.compute is not None
        value = op.compute(np, *arrays, **case.sample.attributes)
        assert rule == Type(value.dtype, value.shape)
    for y in case.on(*map(cr.as_tensor, converted(case.tensors, dtype))):
        assert y.type == Type(y.numpy().dtype, y.numpy().shape)
        assert y.dtype != np.float64 or dtype == "float64" or case.name == "cast"


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend[0])
@every_case
@every_dtype
def test_backends_give_the_eager_value(case: Case, dtype: str, backend: Any) -> None:
    """Value and gradient; and the graph, verified, is the same after a journey through JSON."""
    _, run, tolerances = backend
    arrays = converted(case.tensors, dtype)
    smooth = is_smooth(case)

    def everything(*tensors: Any) -> list[cr.Tensor]:
        results = case.on(*tensors)
        if not smooth:
            return results
        at = [i for i, x in enumerate(arrays) if x.dtype.kind == "f"]
        slopes = cr.grad(lambda *given: weighted(case.on(*given)), argnums=at)(*tensors)
        return [*results, *slopes]

    eager = [y.numpy() for y in everything(*map(cr.tensor, arrays))]
    traced = cr.trace(everything, *arrays)
    traced.graph.verify()
    stored = json.loads(json.dumps(cr.ir.to_json(traced.graph)))
    for graph in (traced.graph, cr.ir.from_json(stored)):
        for found, expected in zip(run(graph, arrays), eager, strict=True):
            assert_same(found, expected, tolerances[dtype])


def weighted(results: list[cr.Tensor]) -> cr.Tensor:
    """One number that depends on every element of every result in another way."""
    total = cr.tensor(0.0)
    for y in results:
        if y.type.is_float:
            weights = np.cos(np.arange(y.size) + 0.5).reshape(y.shape)
            total = total + (y * cr.tensor(weights, y.dtype)).sum()
    return total


@pytest.mark.parametrize("case", [case for case in CASES if is_smooth(case)], ids=str)
def test_gradients_of_both_orders_agree_with_finite_differences(case: Case) -> None:
    assert cr.check_grad(case.on, *case.tensors, order=2) <= 1e-6


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in NO_SAMPLES])
def test_every_operation_is_complete(name: str) -> None:
    op = OPERATIONS[name]
    samples = list(op.samples())
    assert samples, "an operation needs samples"
    assert op.formula, "an operation needs a formula"
    for sample in samples:
        for position in range(len(sample.inputs)):
            rule = op.derivative(position)
            assert rule in (ZERO, NON_DIFFERENTIABLE) or callable(rule)
    rules = [op.derivative(position) for position in range(len(samples[0].inputs))]
    if name not in STRAIGHT and any(r not in (ZERO, NON_DIFFERENTIABLE) for r in rules):
        assert any(case.name == name and is_smooth(case) for case in CASES if case.is_operation)
        extents = {extent for sample in samples for x in sample.inputs for extent in x.shape}
        assert extents & {0, 1}, "an operation needs a sample with an axis that is empty or single"


def test_every_function_has_samples() -> None:
    """Of its own, or as the function of one operation of the same name, which has them."""
    sampled = set(FUNCTION_SAMPLES) | set(OPERATIONS)
    missing = set(ops.__all__) - sampled - NO_FUNCTION_SAMPLES
    assert missing == set()
    for group in ("fft", "linalg", "masked"):
        names = getattr(ops, group).__all__
        known = sampled | NO_FUNCTION_SAMPLES
        assert [n for n in names if not {f"{group}.{n}", n} & known] == []


def test_the_exceptions_are_real() -> None:
    assert {name for name in OPERATIONS if not list(OPERATIONS[name].samples())} == NO_SAMPLES
    in_groups = {name for name in NO_FUNCTION_SAMPLES if "." in name}
    assert set(ops.__all__) >= NO_FUNCTION_SAMPLES - in_groups


def test_a_wrong_rule_would_be_found() -> None:
    """The checks above can fail: the same machinery refuses a rule with a wrong sign."""
    wrong = Operation(
        "wrong",
        OPERATIONS["sin"].type_rule,
        OPERATIONS["sin"].compute,
        (lambda g, y, x: -g * cr.cos(x),),
    )
    with pytest.raises(cr.errors.DerivativeError, match="disagrees with finite differences"):
        cr.check_grad(_apply(wrong), np.array([0.3]))
