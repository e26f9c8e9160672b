"""Models of other systems, from files of ONNX."""

from __future__ import annotations

import os

from .content import read_file
from .model import OnnxModel, module_of

__all__ = ["OnnxModel", "load"]


def load(path: str | os.PathLike[str]) -> OnnxModel:
    """A model from a file of ONNX, as a module whose initialisers are parameters.

    It predicts, is explained, trained and saved like every module, and `save` writes it as ONNX
    again. Nothing in the file is run; external data are read from the folder of the file only.

    Args:
        path: of the file.

    Raises:
        ModelFileError: it is damaged, or has an operator or a version that is not read, named with
            its node.
        ConfigError: the package onnx is missing.

    Example:
        >>> import tempfile, numpy as np, chainrule as cr
        >>> path = tempfile.mkdtemp() + "/line.onnx"
        >>> _ = cr.onnx.save(path, cr.nn.Linear(2, 1), np.zeros((1, 2), np.float32))
        >>> model = cr.onnx.load(path)
        >>> sorted(model.parameters()), model(np.zeros((3, 2), np.float32)).shape
        (['weights.bias', 'weights.weight'], (3, 1))
    """
    return module_of(read_file(path))
