"""Which of ONNX's own node tests pass, for the table of docs/onnx.md.

    python -m tests.interop.count_node_tests

prints the counts, and what is left out and why.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from chainrule.errors import ChainruleError
from chainrule.interop.onnx.reading.content import read_model
from chainrule.interop.onnx.reading.model import module_of

#: What half precision is compared with: it is kept as float32 here.
_HALF = 1e-3


def counted() -> dict[str, list[str]]:
    """The names of the tests by "passed" or the reason why not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        found: dict[str, list[str]] = defaultdict(list)
        for case in load_model_tests(kind="node"):
            found[_result(case)].append(case.name)
    return dict(found)


def _result(case: Any) -> str:
    try:
        model = module_of(read_model(case.model))
        for inputs, outputs in case.data_sets:
            found = model.run(*map(_array, inputs)).values()
            for y, expected in zip(found, map(_array, outputs), strict=True):
                _compare(y, np.asarray(expected), case)
    except ChainruleError as error:
        reason = str(error).splitlines()[0]
        about = error.found or ""
        return f"{reason} {about}" if "not read" in reason or "Only tensors" in reason else reason
    except AssertionError:
        return "differs"
    return "passed"


def _array(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _compare(y: Any, expected: Any, case: Any) -> None:
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    half = expected.dtype.name in ("float16", "bfloat16") or "16" in case.name
    if expected.dtype.kind in "fV" or expected.dtype.name == "bfloat16":
        y, expected = y.astype(np.float64), expected.astype(np.float64)
    np.testing.assert_allclose(
        y, expected, rtol=max(case.rtol, _HALF if half else 0), atol=max(case.atol, 1e-7)
    )


def main() -> None:
    """Print the table."""
    found = counted()
    total = sum(map(len, found.values()))
    print(f"{len(found['passed']):,} of {total:,} pass")
    for reason, names in sorted(found.items(), key=lambda pair: -len(pair[1])):
        if reason != "passed":
            print(f"{len(names):4} {reason[:90]}: {', '.join(names[:3])}")


if __name__ == "__main__":
    main()
