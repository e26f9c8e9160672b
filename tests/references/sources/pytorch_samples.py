"""PyTorch's own samples of its operations (OpInfo), with values and gradients, in a compact form.

Of every operation a few small samples of different signatures are taken. Numbers of the inputs are
rounded to thousandths, so that they are short; values and gradients are those at the rounded
numbers. Of results with more than four elements only three weighted sums are kept.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

#: So many samples of an operation are stored, of at most so many elements if there are such.
COUNT, SIZE = 4, 50
#: A sample that takes more characters is left out.
LONGEST = 6_000
#: Frequencies of the weights of the sums; the first is that of the scalar that is differentiated.
WAVES = (1.0, 1.7, 2.9)


class UnstorableError(Exception):
    """A sample that has something other than numbers, or that is given complex ones."""


def operations() -> dict[str, Any]:
    """Those that have derivatives for float64, by name, variants after a colon."""
    return {
        op.name + (f":{op.variant_test_name}" if op.variant_test_name else ""): op
        for op in op_db
        if op.supports_autograd and torch.float64 in op.dtypes
    }


def samples() -> Iterator[dict[str, Any]]:
    """The samples of the operations that have a counterpart, as the page for users lists them."""
    page = Path(__file__).parents[3] / "docs" / "from_pytorch.md"
    table = page.read_text(encoding="utf-8").partition("## What is missing")[0]
    names = set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))
    for name, op in sorted(operations().items()):
        if name in names:
            yield from _of_operation(name, op)


def _of_operation(name: str, op: Any) -> Iterator[dict[str, Any]]:
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    found = itertools.islice(op.sample_inputs("cpu", torch.float64, requires_grad=True), 400)
    given = [s for s in found if _size(s) > 0]
    small = [s for s in given if _size(s) <= SIZE] or sorted(given, key=_size)[: 2 * COUNT]
    chosen: dict[str, dict[str, Any]] = {}
    for sample in _in_turn(small):
        signature = _signature([sample.input, sample.args, sample.kwargs])
        if signature not in chosen and len(chosen) < COUNT:
            try:
                chosen[signature] = {"op": name} | _reference(op, sample)
            except (UnstorableError, RuntimeError, ValueError, IndexError):
                continue
    yield from (sample for sample in chosen.values() if len(str(sample)) < LONGEST)


def _in_turn(given: list[Any]) -> Iterator[Any]:
    """A sample with matrices, one with vectors, one with single numbers, and so on."""
    by_rank: dict[int, list[Any]] = {2: [], 1: [], 0: []}
    for sample in given:
        parts = _leaves([sample.input, sample.args])
        ranks = [x.ndim for x in parts if isinstance(x, torch.Tensor)]
        by_rank[min(max(ranks, default=0), 2)].append(sample)
    for several in itertools.zip_longest(by_rank[2], by_rank[1], by_rank[2][1:]):
        yield from (sample for sample in several if sample is not None)
    yield from by_rank[0][:2]


def _leaves(data: Any) -> list[Any]:
    if isinstance(data, dict):
        return _leaves(list(data.values()))
    if isinstance(data, (list, tuple)):
        return [leaf for part in data for leaf in _leaves(part)]
    return [data]


def _size(sample: Any) -> int:
    parts = _leaves([sample.input, sample.args, sample.kwargs])
    return sum(x.numel() for x in parts if isinstance(x, torch.Tensor))


def _signature(data: Any) -> str:
    """What sets samples apart: ranks of tensors, options."""
    if isinstance(data, torch.Tensor):
        return f"{data.ndim}{data.dtype}"
    if isinstance(data, dict):
        return "".join(f"{key}={_signature(value)};" for key, value in data.items())
    if isinstance(data, (list, tuple)):
        return f"[{','.join(map(_signature, data))}]"
    return type(data).__name__ if isinstance(data, (int, float)) and data is not True else str(data)


def _rounded(data: Any) -> Any:
    """The same with new tensors, whose numbers are short."""
    if isinstance(data, torch.Tensor):
        if data.layout is not torch.strided or data.dtype.is_complex or data.is_quantized:
            raise UnstorableError
        if data.dtype.is_floating_point:
            values = (data.detach().to(torch.float64) * 1000).round() / 1000
            return values.clone().requires_grad_(data.requires_grad)
        return data.detach().clone()
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)) and not isinstance(data, torch.Size):
        return type(data)(map(_rounded, data))
    return data


def _reference(op: Any, sample: Any) -> dict[str, Any]:
    given, args, kwargs = (_rounded(x) for x in (sample.input, sample.args, sample.kwargs))
    stored = {"input": _encoded(given), "args": _encoded(args), "kwargs": _encoded(kwargs)}
    # Wrappers make matrices symmetric or triangular, so that the derivative has one meaning.
    wrapper = op.gradcheck_wrapper or (lambda function, *a, **k: function(*a, **k))
    torch.manual_seed(0)
    inputs = [
        x for x in _leaves([given, args, kwargs]) if isinstance(x, torch.Tensor) and x.requires_grad
    ]
    outputs = wrapper(op.get_op(), given, *args, **kwargs)
    if sample.output_process_fn_grad is not None:
        outputs = sample.output_process_fn_grad(outputs)
    tensors = [y for y in _leaves(outputs) if isinstance(y, torch.Tensor)]
    if not tensors or any(y.layout != torch.strided for y in tensors):
        raise UnstorableError
    tensors = [torch.view_as_real(y) if y.dtype.is_complex else y for y in tensors]
    smooth = [y for y in tensors if y.requires_grad and y.dtype.is_floating_point]
    gradients: tuple[Any, ...] = (None,) * len(inputs)
    if smooth and inputs:
        total = sum((y * _weights(y.shape, WAVES[0])).sum() for y in smooth)
        gradients = torch.autograd.grad(total, inputs, allow_unused=True)
    stored["smooth"] = [int(any(y is s for s in smooth)) for y in tensors]
    stored["output"] = [_digest(y) for y in tensors]
    stored["grads"] = [None if g is None else _digest(g) for g in gradients]
    return stored


def _weights(shape: Any, wave: float) -> torch.Tensor:
    count = math.prod(shape)
    return torch.cos((torch.arange(count, dtype=torch.float64) + 0.5) * wave).reshape(shape)


def _digest(y: torch.Tensor) -> dict[str, Any]:
    y = y.detach()
    kind = "f" if y.dtype.is_floating_point else "b" if y.dtype == torch.bool else "i"
    y = y.to(torch.float64)
    finite = bool(torch.isfinite(y).all())
    if y.numel() <= 4 or not finite:
        if y.numel() > 100:
            raise UnstorableError
        return {
            "kind": kind,
            "shape": list(y.shape),
            "all": list(map(_number, y.reshape(-1).tolist())),
        }
    sums = [float((y * _weights(y.shape, wave)).sum()) for wave in WAVES]
    return {"kind": kind, "shape": list(y.shape), "sums": sums}


def _number(x: Any) -> Any:
    return x if not isinstance(x, float) or math.isfinite(x) else str(x)


def _encoded(data: Any) -> Any:
    if isinstance(data, torch.Tensor):
        shape, grad = list(data.shape), {"grad": 1} if data.requires_grad else {}
        if data.dtype.is_floating_point:
            flat = [x * 1000 for x in data.detach().reshape(-1).tolist()]
            return {
                "f": [round(x) if math.isfinite(x) else str(x) for x in flat],
                "shape": shape,
            } | grad
        kind = "b" if data.dtype == torch.bool else "i"
        return {kind: [int(x) for x in data.reshape(-1).tolist()], "shape": shape}
    if isinstance(data, dict):
        return {"dict": {key: _encoded(value) for key, value in data.items()}}
    if isinstance(data, (list, tuple)):
        return [_encoded(part) for part in data]
    if isinstance(data, slice):
        return {"slice": [data.start, data.stop, data.step]}
    if isinstance(data, torch.dtype):
        return {"dtype": str(data).removeprefix("torch.")}
    if data is Ellipsis:
        return {"ellipsis": 1}
    if data is None or isinstance(data, (bool, int, float, str)):
        return _number(data)
    raise UnstorableError
