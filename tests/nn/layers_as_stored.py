"""The layers with stored weights, inputs, values and gradients of another system.

Some references are of functions (`operations.json`, `convolution.json`) and become those of the
layer that is made of the function; the others are of layers (`sequences.json`, `layers.json`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule import nn

from ..stored import Array, Reference, decode, leaves, read

Maker = Callable[..., nn.Module]

# Both are right: at a tie, minimum shares the gradient between its arguments.
OTHER_CONVENTION = {"relu6": "kink"}


# ---- of functions --------------------------------------------------------------------------------


def linear(x: Array, weight: Array, *bias: Array) -> nn.Module:
    outputs, inputs = weight.shape
    return nn.Linear(inputs, outputs, bias=bool(bias))


def bilinear(x1: Array, x2: Array, weight: Array, *bias: Array) -> nn.Module:
    outputs, first, second = weight.shape
    return nn.Bilinear(first, second, outputs, bias=bool(bias))


def batch_norm(x: Array, weight: Array, *rest: Array, training: bool, **options: Any) -> nn.Module:
    return nn.BatchNorm(len(weight), **options)


def convolution(rank: int, transposed: bool) -> Maker:
    kind = getattr(nn, f"Conv{'Transpose' * transposed}{rank}d")

    def make(x: Array, weight: Array, *bias: Array, groups: int = 1, **options: Any) -> nn.Module:
        channels = [weight.shape[-2] * groups, weight.shape[-1]]
        if transposed:
            channels = [channels[1], channels[0]]
        return kind(*channels, weight.shape[:-2], bias=bool(bias), groups=groups, **options)

    return make


def windowed(name: str) -> Maker:
    return lambda x, window, **options: getattr(nn, f"{name}{x.ndim - 2}d")(window, **options)


#: What makes the layer from the arguments of the function.
MAKERS: dict[str, Maker] = {
    "linear": linear,
    "bilinear": bilinear,
    "embedding": lambda numbers, weight: nn.Embedding(*weight.shape),
    "layer_norm": lambda x, *w, eps: nn.LayerNorm(x.shape[-1], eps, affine=bool(w)),
    "rms_norm": lambda x, *w, eps: nn.RMSNorm(x.shape[-1], eps, affine=bool(w)),
    "batch_norm": batch_norm,
    "group_norm": lambda x, *w, num_groups, eps: nn.GroupNorm(num_groups, x.shape[-1], eps),
    "instance_norm": lambda x, *w, eps: nn.InstanceNorm(x.shape[-1], eps, affine=True),
    **{f"conv{rank}d": convolution(rank, False) for rank in (1, 2, 3)},
    **{f"conv_transpose{rank}d": convolution(rank, True) for rank in (1, 2, 3)},
    "max_pool": windowed("MaxPool"),
    "avg_pool": windowed("AvgPool"),
    "adaptive_avg_pool": lambda x, size: getattr(nn, f"AdaptiveAvgPool{x.ndim - 2}d")(size),
    "interpolate": lambda x, **options: nn.Upsample(**options),
    "prelu": lambda x, weight: nn.PReLU(len(weight)),
    **{name: lambda x, kind=kind, **attrs: kind(**attrs) for name, kind in nn.ACTIVATIONS.items()},
}
#: From PyTorch's layout, where the stored one is not ours.
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "linear": np.transpose,
    "bilinear": lambda weight: np.moveaxis(weight, 0, -1),
}
VARIABLES = ("weight", "bias", "running_mean", "running_var")


def of_function(case: dict[str, Any]) -> Reference:
    """The layer that computes a stored function of its input and variables."""
    name, attrs = case["name"], case["attrs"]
    arrays, slopes = decode(case["inputs"]), decode(case["grads"])
    layer = MAKERS[name](*arrays, **attrs).to("float64")
    count = 2 if name == "bilinear" else 1
    turn = {"weight": LAYOUTS[name]} if name in LAYOUTS else {}

    def by_path(values: list[Any]) -> dict[str, Any]:
        named = zip(VARIABLES, values[count:], strict=False)
        return {path: turn.get(path, np.asarray)(value) for path, value in named}

    for path, value in by_path(arrays).items():
        layer.variables()[path].assign(value)
    parameters = layer.parameters()
    of_parameters = {path: g for path, g in by_path(slopes).items() if path in parameters}
    # A batch norm's outputs after the first are its statistics after the call.
    output, *statistics = leaves(decode(case["output"]))
    return Reference(
        label=f"{type(layer).__name__}: {name}, {case['case']}",
        call=lambda module, *x: module(*x, train=attrs.get("training", False)),
        arguments=[layer, *arrays[:count]],
        outputs=[output],
        weights=leaves(decode(case["weights"]))[:1],
        gradients=[of_parameters or None, *slopes[:count]],
        buffers=dict(zip(VARIABLES[2:], statistics, strict=False)),
    )


# ---- of layers -----------------------------------------------------------------------------------


def made(layer: str, sizes: list[Any], **options: Any) -> nn.Module:
    """A layer by its name; among the sizes there may be others."""
    given = [made(**size) if isinstance(size, dict) else size for size in sizes]
    return getattr(nn, layer)(*given, **options)


def of_layer(case: dict[str, Any]) -> Reference:
    """A stored layer; of the inputs of a recurrent one, an initial state is one argument."""
    layer = made(case["layer"], **case["options"]).to("float64")
    layer.load_state(decode(case["state"]))
    constants = decode(case["constants"])
    recurrent = case["layer"].removesuffix("Cell") in ("RNN", "LSTM", "GRU")

    def call(module: nn.Module, x: Any, *rest: Any) -> Any:
        if recurrent and rest:
            rest = (rest if len(rest) > 1 else rest[0],)
        return module(x, *rest, **constants)

    return Reference(
        label=f"{case['layer']}: {case['case']}",
        call=call,
        arguments=[layer, *decode(case["inputs"])],
        outputs=decode(case["outputs"]),
        weights=decode(case["weights"]),
        gradients=[decode(case["state_grads"]) or None, *decode(case["input_grads"])],
        buffers={},
    )


def _references() -> Iterator[Reference]:
    for case in [*read("operations.json")["cases"], *read("convolution.json")["cases"]]:
        other = case["case"].startswith(OTHER_CONVENTION.get(case["name"], "none"))
        if case["module"] == "ops" and case["name"] in MAKERS and not other:
            yield of_function(case)
    for case in [*read("sequences.json")["cases"], *read("layers.json")["cases"]]:
        yield of_layer(case)


REFERENCES = list(_references())


def layer_of(reference: Reference) -> nn.Module:
    return reference.arguments[0]
