"""What holds for every layer: right gradients, and the same compiled as eager."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn


def reals(*shape: int, seed: int = 0) -> Any:
    """Away from 0 and ±1, where some activations have their kinks."""
    x = np.random.default_rng([seed, *shape]).uniform(-1.9, 1.9, shape)
    return np.where(np.abs(x) < 0.15, 0.3, x) * 1.017


LAYERS: dict[str, Any] = {
    "Linear": (lambda: nn.Linear(3, 2), [reals(4, 3)]),
    "Linear without bias": (lambda: nn.Linear(3, 2, bias=False), [reals(2, 2, 3)]),
    "Linear of a vector": (lambda: nn.Linear(3, 2), [reals(3)]),
    "Bilinear": (lambda: nn.Bilinear(3, 2, 4), [reals(2, 3), reals(2, 2)]),
    "Bilinear of vectors": (lambda: nn.Bilinear(3, 2, 2, bias=False), [reals(3), reals(2)]),
    "Embedding": (lambda: nn.Embedding(4, 3), [np.array([[0, 2], [2, 3]])]),
    "Embedding with padding": (lambda: nn.Embedding(4, 3, padding_idx=2), [np.array([0, 2, 3])]),
    "Dropout": (lambda: nn.Dropout(0.4), [reals(5, 3)]),
    "AlphaDropout": (lambda: nn.AlphaDropout(0.4), [reals(5, 3)]),
    "BatchNorm": (lambda: nn.BatchNorm(3), [reals(5, 3)]),
    "BatchNorm of images": (lambda: nn.BatchNorm(3, eps=0.1, momentum=0.5), [reals(2, 2, 2, 3)]),
    "BatchNorm, not affine": (lambda: nn.BatchNorm(2, affine=False), [reals(5, 2)]),
    "LayerNorm": (lambda: nn.LayerNorm(3), [reals(4, 3)]),
    "LayerNorm of two axes": (lambda: nn.LayerNorm((2, 3), bias=False), [reals(2, 2, 3)]),
    "RMSNorm, not affine": (lambda: nn.RMSNorm((2, 3), affine=False), [reals(2, 2, 3)]),
    "LayerNorm, not affine": (lambda: nn.LayerNorm(3, affine=False), [reals(2, 3)]),
    "RMSNorm": (lambda: nn.RMSNorm(3), [reals(4, 3)]),
    "PReLU": (lambda: nn.PReLU(), [reals(4, 3)]),
    "PReLU by feature": (lambda: nn.PReLU(3, init=0.1), [reals(4, 3)]),
    "Flatten": (lambda: nn.Flatten(), [reals(2, 3, 2)]),
    "Identity": (lambda: nn.Identity(), [reals(2, 3)]),
    "Residual": (lambda: nn.Residual(nn.Linear(3, 3)), [reals(2, 3)]),
    "Residual with shortcut": (
        lambda: nn.Residual(nn.Linear(3, 2), nn.Linear(3, 2, bias=False)),
        [reals(2, 3)],
    ),
    "Sequential": (
        lambda: nn.Sequential(
            nn.Linear(3, 4),
            nn.BatchNorm(4),
            nn.SiLU(),
            nn.Dropout(0.3),
            nn.Residual(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4), nn.Tanh())),
            nn.Linear(4, 1),
        ),
        [reals(5, 3)],
    ),
    "named Sequential": (
        lambda: nn.Sequential({"in": nn.Linear(3, 2), "act": nn.GELU(approximate="tanh")}),
        [reals(5, 3)],
    ),
    **{
        kind.__name__: (
            (lambda: nn.Threshold(0.4, -1.0)) if kind is nn.Threshold else kind,
            [reals(3, 4)],
        )
        for kind in nn.ACTIVATIONS.values()
    },
}
EVERY = pytest.mark.parametrize("name", LAYERS)
TRAIN = pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
KEY = cr.random.key(1)


def made(name: str) -> tuple[nn.Module, list[cr.Tensor]]:
    make, inputs = LAYERS[name]
    layer = make().initialize(3).to("float64")
    for number, parameter in enumerate(layer.parameters().values()):
        moved = parameter.numpy() + 0.1 * np.cos(np.arange(parameter.size) + number).reshape(
            parameter.shape
        )
        parameter.assign(moved)  # zeros and ones hide errors
    return layer, [cr.tensor(x) for x in inputs]


def test_every_public_layer_is_tried():
    public = {
        name
        for name in nn.__all__
        if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
    }
    tried = {type(made(name)[0]).__name__ for name in LAYERS}
    assert public - {"Module", "Activation"} <= tried


@EVERY
@TRAIN
def test_gradients(name, train):
    layer, inputs = made(name)
    cr.check_grad(lambda module, *x: module(*x, train=train, key=KEY), layer, *inputs)


@pytest.mark.parametrize("name", ["BatchNorm", "LayerNorm", "RMSNorm", "Bilinear", "Sequential"])
def test_second_derivatives(name):
    layer, inputs = made(name)
    cr.check_grad(lambda x: layer(x, *inputs[1:], train=True, key=KEY), inputs[0], order=2)


@EVERY
@TRAIN
def test_compiled_is_eager(name, train):
    """Results, gradients of every parameter and running statistics, twice in a row."""

    def step(x: Any, key: Any) -> Any:
        def loss(module: nn.Module) -> Any:
            y = module(*x, train=train, key=key)
            return (y * y).sum(), y

        if layer.trainable_parameters():
            return cr.value_and_grad(loss, has_aux=True)(layer)
        return loss(layer)

    found = []
    for run in (step, cr.compile(step)):
        layer, inputs = made(name)
        results = [run(inputs, cr.random.key(seed)) for seed in (1, 2)]
        found.append((flat(results), layer.state()))
    (eager, eager_state), (compiled, compiled_state) = found
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_array_equal(a, b)
    for path, value in eager_state.items():
        np.testing.assert_array_equal(value, compiled_state[path])


def flat(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        return [leaf for part in tree for leaf in flat(part)]
    return [tree.numpy()]


@EVERY
def test_float32_stays_float32(name):
    make, inputs = LAYERS[name]
    layer = make()
    given = [x.astype(np.float32) if x.dtype == np.float64 else x for x in inputs]
    assert layer(*given, train=True, key=KEY).dtype == np.float32
    assert {v.dtype for v in layer.variables().values()} <= {np.dtype(np.float32)}


@EVERY
def test_representation_can_be_read_back(name):
    """A leaf's representation makes an equal layer; a container's names the ones inside."""
    layer, _ = made(name)
    if list(layer.children()):
        assert all(f"({path}): " in repr(layer) for path, _ in layer.children())
        return
    again = eval(repr(layer), vars(nn))
    shapes, expected = (
        {path: v.shape for path, v in one.variables().items()} for one in (again, layer)
    )
    assert shapes == expected
    assert repr(again) == repr(layer)
