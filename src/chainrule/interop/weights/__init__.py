"""Weights of other systems, in and out: ``cr.weights``.

`read` gives the arrays of a file of PyTorch, Keras or safetensors as they are there; `load` puts
them into a module, with names and layouts changed; `save` writes those of a module in PyTorch's
names; `gpt2` builds GPT-2 of a file of Hugging Face.
"""

from __future__ import annotations

from .exchange import gpt2, load, save, to_pytorch
from .files import read

__all__ = ["gpt2", "load", "read", "save", "to_pytorch"]
