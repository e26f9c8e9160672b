"""Layers where the gradient vanishes or explodes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .explanation import Layer

#: The gradient of a layer's weights vanishes when it is smaller than this fraction of the largest
#: in the network, and explodes when it is larger than the median by this factor.
VANISHING = 1e-4
EXPLODING = 1e4


def flow_notes(layers: Sequence[Layer]) -> tuple[tuple[str, str], ...]:
    """Layers whose gradient vanishes, explodes or is not finite, each with a sentence."""
    sizes = {
        layer.path: layer.weight_gradient for layer in layers if layer.weight_gradient is not None
    }
    finite = sorted(g for g in sizes.values() if math.isfinite(g) and g > 0)
    found = []
    for path, size in sizes.items():
        if not math.isfinite(size):
            found.append((path, "The gradient is not a finite number."))
        elif size == 0:
            found.append((path, "No gradient flows back to this layer: it is 0."))
        elif size < VANISHING * finite[-1]:
            times = finite[-1] / size
            found.append((path, f"The gradient vanishes: it is {times:.0e} times smaller than "
                          "in the layer with the largest."))  # fmt: skip
        elif size > EXPLODING * finite[len(finite) // 2]:
            times = size / finite[len(finite) // 2]
            found.append((path, f"The gradient explodes: it is {times:.0e} times larger than "
                          "the median of the layers."))  # fmt: skip
    return tuple(found)
