"""ONNX, the format in which models change between systems: ``cr.onnx``.

`save` writes a model of chainrule for other runtimes, `load` reads those of other systems.
"""

from __future__ import annotations

from .reading import OnnxModel, load
from .saving import save

__all__ = ["OnnxModel", "load", "save"]
