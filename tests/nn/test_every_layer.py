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


def _normed_gru() -> nn.Module:
    layer = nn.GRU(2, 2)
    for _, cell in layer.named_modules():
        if isinstance(cell, nn.GRUCell):
            nn.weight_norm(cell, "weight_ih")
    return layer


LAYERS: dict[str, Any] = {
    "Linear": (lambda: nn.Linear(3, 2), [reals(4, 3)]),
    "Linear without bias": (lambda: nn.Linear(3, 2, bias=False), [reals(2, 2, 3)]),
    "Linear of a vector": (lambda: nn.Linear(3, 2), [reals(3)]),
    "weight norm": (lambda: nn.weight_norm(nn.Linear(3, 2)), [reals(4, 3)]),
    "weight norm of a window": (
        lambda: nn.weight_norm(nn.Conv1d(2, 3, 2), axis=None),
        [reals(1, 4, 2)],
    ),
    "weight norm of a recurrent layer": (lambda: _normed_gru(), [reals(2, 3, 2)]),
    # So many iterations that the singular vectors do not move between two steps.
    "spectral norm": (lambda: nn.spectral_norm(nn.Linear(3, 2), "weight", 60), [reals(4, 3)]),
    "spectral norm of a window": (
        lambda: nn.spectral_norm(nn.ConvTranspose1d(2, 3, 2), "weight", 60, axis=-2),
        [reals(1, 3, 2)],
    ),
    "CosineLinear": (lambda: nn.CosineLinear(3, 2), [reals(4, 3)]),
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
    "Conv1d": (lambda: nn.Conv1d(2, 3, 3, padding=((2, 0),)), [reals(2, 5, 2)]),
    "Conv2d": (lambda: nn.Conv2d(2, 3, (3, 2), (1, 2), "same"), [reals(2, 3, 4, 2)]),
    "Conv2d in groups": (
        lambda: nn.Conv2d(4, 2, 2, 2, 1, 2, groups=2, bias=False, init="xavier_normal"),
        [reals(1, 4, 4, 4)],
    ),
    "Conv3d": (lambda: nn.Conv3d(1, 2, 2), [reals(1, 2, 3, 2, 1)]),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(2, 2, 2, 2), [reals(2, 3, 2)]),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(4, 2, 3, (2, 1), 1, (1, 0), groups=2),
        [reals(1, 2, 3, 4)],
    ),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(1, 2, 2, bias=False), [reals(1, 2, 1, 2, 1)]),
    "DepthwiseConv2d": (
        lambda: nn.DepthwiseConv2d(2, (2, 3), 2, padding=((0, 1), (1, 1))),
        [reals(2, 3, 3, 2)],
    ),
    "SeparableConv2d": (lambda: nn.SeparableConv2d(2, 3, 3, padding=1), [reals(1, 3, 3, 2)]),
    "MaxPool1d": (lambda: nn.MaxPool1d(2, 1), [reals(2, 4, 2)]),
    "MaxPool2d": (lambda: nn.MaxPool2d((2, 3), padding="same"), [reals(2, 3, 4, 2)]),
    "MaxPool3d": (lambda: nn.MaxPool3d(2, ceil_mode=True), [reals(1, 2, 3, 2, 1)]),
    "MaxPool2d with gaps and indices": (
        lambda: nn.MaxPool2d(2, 1, 1, dilation=2, return_indices=True),
        [reals(1, 4, 3, 1)],
    ),
    "MaxUnpool1d": (lambda: nn.MaxUnpool1d(2), [reals(1, 2, 2), np.array([[[0, 1], [2, 3]]])]),
    "MaxUnpool2d": (
        lambda: nn.MaxUnpool2d((2, 1), 1),
        [reals(1, 1, 2, 1), np.array([[[[3], [0]]]])],
    ),
    "MaxUnpool3d": (
        lambda: nn.MaxUnpool3d(2, padding=(0, 0, 1)),
        [reals(1, 1, 1, 2, 1), np.array([[[[[3], [4]]]]])],
    ),
    "AvgPool1d": (lambda: nn.AvgPool1d(2), [reals(2, 4, 2)]),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), [reals(2, 4, 5, 1)]),
    "AvgPool3d": (lambda: nn.AvgPool3d((1, 2, 2)), [reals(1, 2, 3, 2, 2)]),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(2), [reals(2, 5, 2)]),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((2, 3)), [reals(2, 4, 6, 1)]),
    "AdaptiveAvgPool3d": (lambda: nn.AdaptiveAvgPool3d(1), [reals(1, 2, 3, 2, 2)]),
    "GlobalAvgPool": (lambda: nn.GlobalAvgPool(), [reals(2, 3, 2, 2)]),
    "GlobalMaxPool": (lambda: nn.GlobalMaxPool(), [reals(2, 3, 2)]),
    "AdaptiveMaxPool1d": (lambda: nn.AdaptiveMaxPool1d(2), [reals(2, 5, 2)]),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((2, 3)), [reals(2, 4, 7, 1)]),
    "AdaptiveMaxPool3d": (lambda: nn.AdaptiveMaxPool3d(1), [reals(1, 2, 3, 2, 2)]),
    "AdaptiveMaxPool2d with indices": (
        lambda: nn.AdaptiveMaxPool2d(2, return_indices=True),
        [reals(1, 3, 5, 1)],
    ),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), [reals(1, 2, 2, 8)]),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), [reals(1, 4, 2, 2)]),
    "Unfold": (lambda: nn.Unfold(2, stride=(1, 2)), [reals(1, 3, 4, 2)]),
    "Fold": (lambda: nn.Fold((3, 4), stride=(1, 2)), [reals(1, 2, 2, 2, 2, 2)]),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(2, 0.5), [reals(2, 3)]),
    "Upsample": (lambda: nn.Upsample(scale_factor=(2, 3)), [reals(1, 2, 2, 2)]),
    "Upsample, bilinear": (lambda: nn.Upsample(size=5, mode="bilinear"), [reals(1, 2, 3, 2)]),
    "SpatialDropout": (lambda: nn.SpatialDropout(0.4), [reals(4, 2, 2, 3)]),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4, eps=0.1), [reals(2, 2, 2, 4)]),
    "GroupNorm of rows, not affine": (lambda: nn.GroupNorm(2, 6, affine=False), [reals(3, 6)]),
    "InstanceNorm": (lambda: nn.InstanceNorm(3, affine=True), [reals(2, 2, 3, 3)]),
    "RNNCell": (lambda: nn.RNNCell(2, 3, bias=False), [reals(2, 2), reals(2, 3)]),
    "LSTMCell": (lambda: nn.LSTMCell(2, 2), [reals(2, 2)]),
    "LSTMCell with norms": (lambda: nn.LSTMCell(2, 2, layer_norm=True), [reals(2, 2)]),
    "GRUCell": (lambda: nn.GRUCell(2, 2), [reals(2, 2)]),
    "RNN": (lambda: nn.RNN(2, 2, dropout=0.3, num_layers=2), [reals(2, 3, 2)]),
    "LSTM": (lambda: nn.LSTM(2, 2, bidirectional=True), [reals(2, 3, 2)]),
    "GRU": (lambda: nn.GRU(2, 2), [reals(2, 3, 2), reals(1, 2, 2)]),
    "MultiHeadAttention": (lambda: nn.MultiHeadAttention(4, 2, dropout=0.3), [reals(2, 3, 4)]),
    "MultiHeadAttention to another": (
        lambda: nn.MultiHeadAttention(2, 1, bias=False, kdim=3, vdim=1, rotary=True),
        [reals(2, 2, 2), reals(2, 3, 3), reals(2, 3, 1)],
    ),
    "BilinearAttention": (
        lambda: nn.BilinearAttention(2, 3),
        [reals(2, 2, 2), reals(2, 3, 3), reals(2, 3, 1)],
    ),
    "AdditiveAttention": (
        lambda: nn.AdditiveAttention(2, 3, 2),
        [reals(2, 2, 2), reals(2, 3, 3), reals(2, 3, 1)],
    ),
    "SinusoidalPositions": (lambda: nn.SinusoidalPositions(4), [reals(2, 3, 4)]),
    "LearnedPositions": (lambda: nn.LearnedPositions(4, 3), [reals(2, 3, 3)]),
    "RotaryPositions": (lambda: nn.RotaryPositions(4), [reals(2, 3, 4)]),
    "TransformerEncoderLayer": (
        lambda: nn.TransformerEncoderLayer(4, 2, 3, 0.1, "gelu"),
        [reals(1, 2, 4)],
    ),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(3, 1, 1, 0.1, "tanh", norm_first=True, bias=False), 2
        ),
        [reals(1, 2, 3)],
    ),
    "TransformerDecoderLayer": (
        lambda: nn.TransformerDecoderLayer(3, 1, 1, 0.1, "gelu", norm_first=True, bias=False),
        [reals(1, 2, 3), reals(1, 2, 3, seed=1)],
    ),
    "TransformerDecoder": (
        lambda: nn.TransformerDecoder(
            nn.TransformerDecoderLayer(3, 1, 1, 0.0, "gelu", bias=False), 1, nn.LayerNorm(3)
        ),
        [reals(1, 2, 3), reals(1, 2, 3, seed=1)],
    ),
    "PReLU": (lambda: nn.PReLU(), [reals(4, 3)]),
    "PReLU by feature": (lambda: nn.PReLU(3, init=0.1), [reals(4, 3)]),
    "Flatten": (lambda: nn.Flatten(), [reals(2, 3, 2)]),
    "Unflatten": (lambda: nn.Unflatten((1, 3)), [reals(2, 3)]),
    "Identity": (lambda: nn.Identity(), [reals(2, 3)]),
    "Remat": (
        lambda: nn.Remat(
            nn.Sequential(nn.Linear(3, 3), nn.BatchNorm(3), nn.Tanh(), nn.Dropout(0.3)), 2
        ),
        [reals(4, 3)],
    ),
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


@pytest.mark.parametrize(
    "name",
    [
        "BatchNorm",
        "LayerNorm",
        "RMSNorm",
        "Bilinear",
        "Sequential",
        "GroupNorm",
        "Conv2d in groups",
    ],
)
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
            return sum((part * part).sum() for part in cr.engine.pytree.flatten(y)[0]), y

        if layer.trainable_parameters():
            return cr.value_and_grad(loss, has_aux=True)(layer)
        return loss(layer)

    found = []
    for run in (step, cr.compile(step, backend="numpy")):
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
    result = layer(*given, train=True, key=KEY)
    parts = [part for part in cr.engine.pytree.flatten(result)[0] if part.dtype != np.int64]
    assert {part.dtype for part in parts} == {np.dtype(np.float32)}
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
