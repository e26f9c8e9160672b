"""Names for types that are written all over the package."""

from __future__ import annotations

from typing import Any

import numpy as np

#: A NumPy array of any element type and shape.
Array = np.ndarray[Any, np.dtype[Any]]
