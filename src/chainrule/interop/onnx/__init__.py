"""ONNX, the format in which models change between systems: ``cr.onnx``.

`save` writes a model of chainrule for other runtimes.
"""

from __future__ import annotations

from .saving import save

__all__ = ["save"]
