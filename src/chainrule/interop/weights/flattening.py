"""Images that are flattened: PyTorch's lie channels first, (c, h, w), ours (h, w, c).

So the inputs of the first linear layer after `Flatten`, and the outputs of the one before
`Unflatten`, come in another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ... import nn
from ...errors import ConfigError
from ...nn import Module
from .layouts import Piece

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d,
                 nn.ConvTranspose3d)  # fmt: skip


def found_in(module: Module) -> tuple[dict[str, int], dict[str, int]]:
    """Variables whose inputs, and whose outputs, are flattened images, with the channels of these.

    Example:
        >>> import chainrule as cr
        >>> found_in(cr.models.lenet(3, 1, 12, (4, 6), 8))[0]
        {'layers.7.weight': 6}
    """
    inputs: dict[str, int] = {}
    outputs: dict[str, int] = {}
    for path, sequence in module.named_modules():
        if isinstance(sequence, nn.Sequential):
            _in_sequence(list(_leaves(sequence, f"{path}." if path else "")), inputs, outputs)
    return inputs, outputs


def _leaves(sequence: nn.Sequential, front: str) -> Iterator[tuple[str, Module]]:
    for path, child in sequence.children():
        if isinstance(child, nn.Sequential):
            yield from _leaves(child, f"{front}{path}.")
        else:
            yield f"{front}{path}.", child


def _in_sequence(
    layers: list[tuple[str, Module]], inputs: dict[str, int], outputs: dict[str, int]
) -> None:
    channels = flat = 0
    last = ""
    for path, layer in layers:
        if isinstance(layer, _CONVOLUTIONS):
            channels = layer.out_channels
        elif isinstance(layer, nn.Flatten):
            flat = channels
        elif isinstance(layer, nn.BatchNorm) and flat and layer.num_features > flat:
            outputs |= dict.fromkeys([path + n for n in layer.variables()], flat)
        elif isinstance(layer, nn.Linear):
            if flat and layer.in_features > flat:
                inputs[f"{path}weight"] = flat
            channels = flat = 0
            last = path
        elif isinstance(layer, nn.Unflatten) and last and len(layer.shape) > 1:
            of = layer.shape[-1]
            outputs |= {f"{last}weight": of, f"{last}bias": of}


def need_said(module: Module, known: Mapping[str, int]) -> None:
    """Refuse to guess whether a linear layer in a module of one's own takes a flattened image."""
    channels = 0
    for path, part in module.named_modules():
        if isinstance(part, _CONVOLUTIONS):
            channels = part.out_channels
        if not isinstance(part, nn.Linear) or f"{path}.weight" in known or not channels:
            continue
        if (
            part.in_features > channels
            and part.in_features % channels == 0
            and not _in_order(module, path)
        ):
            raise ConfigError(
                f"It is not clear whether {path} takes flattened images, whose pixels lie in "
                "another order in PyTorch.",
                where=path,
                expected=f"flattened: the channels of the images that layers take, such as "
                f"{{{path!r}: {channels}}}",
                found=f"{part.in_features} inputs, a multiple of {channels} channels",
                hint=f"flattened={{{path!r}: {channels}}} if it does, flattened={{}} if not.",
            )


def _in_order(module: Module, path: str) -> bool:
    """Whether what comes before a layer is known: it is in a sequence with a convolution."""
    for front, part in module.named_modules():
        inside = not front or path.startswith(f"{front}.")
        if isinstance(part, nn.Sequential) and inside and _convolves(part):
            return True
    return False


def _convolves(module: Module) -> bool:
    return any(isinstance(layer, _CONVOLUTIONS) for _, layer in module.named_modules())


def with_order(piece: Piece, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Piece:
    """The piece with the pixels of flattened images in our order."""
    (name, *more) = piece.ours
    if more or (name not in inputs and name not in outputs):
        return piece
    axis, channels = (0, inputs[name]) if name in inputs else (-1, outputs[name])

    def split(array: Any) -> list[Any]:
        return [_turned(found, axis, channels, True) for found in piece.split(array)]

    def join(arrays: list[Any]) -> Any:
        return piece.join([_turned(found, axis, channels, False) for found in arrays])

    return Piece(piece.theirs, piece.ours, split, join)


def _turned(array: Any, axis: int, channels: int, to_ours: bool) -> Any:
    """(c, pixels) ↔ (pixels, c) along an axis."""
    size = array.shape[axis] if array.ndim else 0
    if not size or size % channels:
        return array  # its shape is refused later
    shape = (channels, size // channels) if to_ours else (size // channels, channels)
    order = np.arange(size).reshape(shape).T.ravel()
    return np.take(array, order, axis)
