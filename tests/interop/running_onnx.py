"""Runs what is exported with another program: onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime


def session(model: Any, check: bool = True) -> onnxruntime.InferenceSession:
    """A file, or a model in memory, that is checked and ready to run on one thread."""
    if isinstance(model, str | Path):
        model = onnx.load(model)
    if check:
        onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    data = model.SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(model: Any, *arrays: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs by name; arrays are converted to the element types that the inputs have."""
    ready = session(model)
    types = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(double)": np.float64}
    given = {
        i.name: a.astype(types.get(i.type, a.dtype))
        for i, a in zip(ready.get_inputs(), arrays, strict=True)
    }
    return dict(zip([o.name for o in ready.get_outputs()], ready.run(None, given), strict=True))
