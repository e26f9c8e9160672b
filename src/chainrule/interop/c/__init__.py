"""Models and functions as C for any device: ``cr.export_c``, ``chainrule export --to c``.

From the ground up: `names` (identifiers, comments, strings), `program` (functions and the state
that they change), `raw_inputs` (what a model takes, for each kind of data), `learning` (a step of
training), `functions` and `models` (programs of these), `text` (header and source around the
kernels of `engine.backends.c.standalone`), `example`, `report`, `readme` and `budget`, `saving`.
"""

from __future__ import annotations

from .saving import export_c, export_model

__all__ = ["export_c", "export_model"]
