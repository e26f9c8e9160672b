"""Every layer gives the values and gradients of another system, eagerly and on every backend."""

from itertools import groupby

import pytest

from chainrule import nn

from ..nightly import by_day_on_numpy
from ..stored import check, check_in_one_program
from .layers_as_stored import REFERENCES, layer_of

#: Layers that nothing can be compared with.
WITHOUT_REFERENCE = {
    "Dropout": "which elements are dropped is drawn from bits of our own; test_layers.py",
    "AlphaDropout": "as Dropout",
    "SpatialDropout": "as Dropout; test_convolution_layers.py",
    # Layers around one function each, which is compared in tests/from_pytorch:
    **dict.fromkeys(
        [
            *("AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d", "Fold", "Unfold"),
            *("LocalResponseNorm", "PixelShuffle", "PixelUnshuffle"),
            *("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"),
        ],
        "its function is compared with PyTorch's samples",
    ),
}


def module_of(reference):
    return type(layer_of(reference)).__module__.rpartition(".")[2]


MODULES = {
    name: list(group) for name, group in groupby(sorted(REFERENCES, key=module_of), key=module_of)
}


@pytest.mark.parametrize("reference", REFERENCES, ids=str)
def test_eager(reference):
    check(reference)


#: Their operations are tested in C with windows of any shape and as parts of other layers.
RARELY_IN_C = {"convolution", "pooling", "transformer"}


@pytest.mark.parametrize(
    ("module", "backend"), by_day_on_numpy(MODULES, *(set(MODULES) - RARELY_IN_C))
)
def test_compiled(module, backend):
    """Values and gradients by inputs and parameters, all layers of one module in one program."""
    check_in_one_program(MODULES[module], backend)


def test_every_public_layer_has_a_reference():
    public = {
        name
        for name in nn.__all__
        if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
    } - {"Module", "Activation"}  # what the others are made from
    compared = {type(layer_of(reference)).__name__ for reference in REFERENCES}
    assert public - compared == set(WITHOUT_REFERENCE)
