"""The state of a training in a file, so that another process goes on from it."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import safetensors.numpy

from ..errors import ModelFileError
from ..utils.files import write_atomically
from ..utils.typing import Array

_FORMAT, _VERSION = "chainrule.training", "1"


def save_training(
    path: str | os.PathLike[str], state: Mapping[str, Array], *, model: str = ""
) -> None:
    """Write what `Trainer.state` gave: the optimizer state and the counts of steps and epochs.

    Args:
        path: the file.
        state: of the trainer.
        model: SHA-256 of the model file that it belongs to, if there is one.

    Example:
        >>> import tempfile, chainrule as cr
        >>> path = tempfile.mkdtemp() + "/training.safetensors"
        >>> trainer = cr.Trainer(cr.nn.Linear(1, 1), "mse", "adam", progress=False)
        >>> save_training(path, trainer.state())
        >>> trainer.load_state(load_training(path))
    """
    arrays = {name: np.ascontiguousarray(a).reshape(np.shape(a)) for name, a in state.items()}
    metadata = {"format": _FORMAT, "version": _VERSION, "model": model}
    write_atomically(path, safetensors.numpy.save(arrays, metadata))


def load_training(path: str | os.PathLike[str], *, model: str = "") -> dict[str, Array]:
    """Read what `save_training` wrote.

    Args:
        path: the file.
        model: SHA-256 of the model file that it is to belong to; any, if it is not said.

    Raises:
        ModelFileError: no such file, it is damaged, or it belongs to another model.
    """
    try:
        with safetensors.safe_open(path, "np") as file:
            found = file.metadata() or {}
            if found.get("format") != _FORMAT or found.get("version") != _VERSION:
                raise ModelFileError(
                    "This is not the state of a training.",
                    where=os.fspath(path),
                    expected=f"format {_FORMAT}, version {_VERSION}",
                )
            if model and found.get("model") not in (None, "", model):
                raise ModelFileError(
                    "The state of the training belongs to another model.",
                    where=os.fspath(path),
                    hint="Without this file the optimizer state starts from zero: move it away.",
                )
            return {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelFileError(
            "The state of the training cannot be read.",
            where=os.fspath(path),
            found=str(error),
            hint="Without this file the optimizer state starts from zero: move it away.",
        ) from None
