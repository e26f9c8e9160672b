"""Trained models in files, as data: nothing in a file is ever run.

A model is one ``.safetensors`` file. Its tensors are the variables of the network, by path, and
large constants of the graph. Its metadata has one entry, ``chainrule``, a JSON document:

    format      "chainrule"
    version     1, the version of this format
    library     the version of chainrule that wrote it
    arguments   names of the inputs of a prediction
    graph       the forward pass, with ``{"rows": [a, b]}`` for a·rows + b
    schema      what the columns of a table mean, or null
    classes     names of the classes, or null
    record      how it was trained, or null
    digest      SHA-256 of the document without the digest and of all arrays

Who reads a file need not trust it. It is read into memory once, and what was checked there is what
is used. The digest finds damage, not forgery: whoever can change the file can change the digest.
"""

from __future__ import annotations

from .reading import load, parse
from .saved import SavedModel
from .writing import save, to_bytes

__all__ = ["SavedModel", "load", "parse", "save", "to_bytes"]
