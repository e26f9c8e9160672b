"""What the weights of a layer are called elsewhere, and how their axes lie: one table.

A `Piece` is one array of the other system and the variables here that it holds: one of another
layout, or several as one, such as the packed queries, keys and values of PyTorch's attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import nn
from ...errors import ConfigError
from ...nn import Module
from ...utils.typing import Array

Split = Callable[[Array], list[Array]]
Join = Callable[[list[Array]], Array]


@dataclass(frozen=True)
class Piece:
    """One array of another system.

    Attributes:
        theirs: its name there.
        ours: paths of the variables that it holds.
        split: the array → the values of the variables.
        join: the values → the array.
    """

    theirs: str
    ours: tuple[str, ...]
    split: Split = lambda array: [array]
    join: Join = lambda arrays: arrays[0]

    def under(self, theirs: str, ours: str) -> Piece:
        """The same inside of another module."""
        return Piece(
            theirs + self.theirs, tuple(ours + name for name in self.ours), self.split, self.join
        )


def arranged(theirs: str, ours: str, axes: Sequence[int]) -> Piece:
    """An array whose axes lie otherwise: ``axes`` of theirs are ours, in order."""
    back = np.argsort(axes)

    def split(array: Array) -> list[Array]:
        return [array.transpose(axes) if array.ndim == len(axes) else array]

    return Piece(theirs, (ours,), split, lambda arrays: arrays[0].transpose(back))


def side_by_side(theirs: str, ours: Sequence[str], axis: int, transposed: bool) -> Piece:
    """Several variables of one size as one array along an axis."""

    def split(array: Array) -> list[Array]:
        if array.shape[axis] % len(ours):
            return [array]
        parts = np.split(array, len(ours), axis)
        return [part.T for part in parts] if transposed else parts

    def join(arrays: list[Array]) -> Array:
        return np.concatenate([a.T if transposed else a for a in arrays], axis)

    return Piece(theirs, tuple(ours), split, join)


# ---- PyTorch -------------------------------------------------------------------------------------


def _same(module: Module, *names: str) -> Iterator[Piece]:
    for name in names:
        if getattr(module, name, None) is not None:
            yield Piece(name, (name,))


def _linear(module: Any) -> Iterator[Piece]:
    yield arranged("weight", "weight", (1, 0))
    yield from _same(module, "bias")


def _convolution(module: Any) -> Iterator[Piece]:
    """(out, in, *window) → (*window, in, out)."""
    yield arranged("weight", "weight", (*range(2, 2 + module.rank), 1, 0))
    yield from _same(module, "bias")


def _transposed(module: Any) -> Iterator[Piece]:
    """(in, out / groups, *window) → (*window, out / groups, in)."""
    yield from _convolution(module)


def _bilinear(module: Any) -> Iterator[Piece]:
    yield arranged("weight", "weight", (1, 2, 0))
    yield from _same(module, "bias")


def _batch_norm(module: Any) -> Iterator[Piece]:
    yield from _same(module, "weight", "bias", "running_mean", "running_var")


def _affine(module: Any) -> Iterator[Piece]:
    yield from _same(module, "weight", "bias")


def _cell(module: Any) -> Iterator[Piece]:
    for name in ("weight_ih", "weight_hh"):
        yield arranged(name, name, (1, 0))
    yield from _same(module, "bias_ih", "bias_hh")


def _recurrent(module: Any) -> Iterator[Piece]:
    """``weight_ih_l0``, and ``weight_ih_l0_reverse`` of the other direction."""
    for depth, cells in enumerate(module.cells):
        for direction, cell in enumerate(cells):
            if cell.norm_ih is not None:
                raise _unknown(module, "normalised cells")
            end = f"_l{depth}" + "_reverse" * direction
            for piece in _cell(cell):
                made = Piece(piece.theirs + end, piece.ours, piece.split, piece.join)
                yield made.under("", f"cells.{depth}.{direction}.")


def _attention(module: Any) -> Iterator[Piece]:
    """Queries, keys and values as one array, if all are of one width."""
    names = ("q_proj", "k_proj", "v_proj")
    widths = {getattr(module, name).in_features for name in names}
    if len(widths) == 1:
        yield side_by_side("in_proj_weight", [f"{n}.weight" for n in names], 0, transposed=True)
    else:
        for name in names:
            yield arranged(f"{name}_weight", f"{name}.weight", (1, 0))
    if module.q_proj.bias is not None:
        yield side_by_side("in_proj_bias", [f"{n}.bias" for n in names], 0, transposed=False)
    for piece in _linear(module.out_proj):
        yield piece.under("out_proj.", "out_proj.")


def _unknown(module: Module, what: str) -> ConfigError:
    return ConfigError(f"PyTorch's {type(module).__name__} has no {what}.",
                       hint="Such weights are saved by cr.save.")  # fmt: skip


#: The layers of PyTorch whose names or layouts differ, or whose variables are few; by class.
PYTORCH: dict[type[Module], Callable[[Any], Iterator[Piece]]] = {
    nn.Linear: _linear,
    nn.Bilinear: _bilinear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Conv3d: _convolution,
    nn.ConvTranspose1d: _transposed,
    nn.ConvTranspose2d: _transposed,
    nn.ConvTranspose3d: _transposed,
    nn.BatchNorm: _batch_norm,
    nn.LayerNorm: _affine,
    nn.RMSNorm: _affine,
    nn.GroupNorm: _affine,
    nn.Embedding: _affine,
    nn.PReLU: _affine,
    nn.LearnedPositions: _affine,
    nn.RNNCell: _cell,
    nn.LSTMCell: _cell,
    nn.GRUCell: _cell,
    nn.RNN: _recurrent,
    nn.LSTM: _recurrent,
    nn.GRU: _recurrent,
    nn.MultiHeadAttention: _attention,
}


def pytorch_pieces(module: Module) -> list[Piece]:
    """The arrays of a ``state_dict`` of the same network in PyTorch.

    The layers of a `chainrule.nn.Sequential` are numbered, as there; the other paths are those of
    the attributes. Variables of a module of one's own keep name and layout.
    """
    return list(_pieces(module, "", ""))


def _pieces(module: Module, theirs: str, ours: str) -> Iterator[Piece]:
    entry = next((PYTORCH[kind] for kind in type(module).__mro__ if kind in PYTORCH), None)
    if entry is not None:
        yield from (piece.under(theirs, ours) for piece in entry(module))
        return
    for path, child in module.children():
        name = path.removeprefix("layers.") if isinstance(module, nn.Sequential) else path
        yield from _pieces(child, f"{theirs}{name}.", f"{ours}{path}.")
    below = {f"{path}." for path, _ in module.children()}
    for path in module.variables():
        if not any(path.startswith(front) for front in below):
            yield Piece(theirs + path, (ours + path,))


# ---- GPT-2 ---------------------------------------------------------------------------------------


def gpt2_pieces(model: Any) -> list[Piece]:
    """Hugging Face's names of GPT-2: its linear maps lie as here, (in, out), and qkv are one."""
    found = [Piece("wte.weight", ("tokens.weight",)), Piece("wpe.weight", ("positions.weight",))]
    for number, _ in enumerate(model.blocks.layers):
        theirs, ours = f"h.{number}.", f"blocks.layers.{number}."
        qkv = [f"self_attn.{name}_proj" for name in "qkv"]
        block = [side_by_side(f"attn.c_attn.{kind}", [f"{name}.{kind}" for name in qkv], axis,
                              transposed=False)
                 for kind, axis in (("weight", 1), ("bias", 0))]  # fmt: skip
        names = {"ln_1": "norm1", "ln_2": "norm2", "attn.c_proj": "self_attn.out_proj",
                 "mlp.c_fc": "linear1", "mlp.c_proj": "linear2"}  # fmt: skip
        for there, here in names.items():
            block += [Piece(f"{there}.{kind}", (f"{here}.{kind}",)) for kind in ("weight", "bias")]
        found += [piece.under(theirs, ours) for piece in block]
    return [*found, *(Piece(f"ln_f.{k}", (f"blocks.norm.{k}",)) for k in ("weight", "bias"))]


# ---- Keras ---------------------------------------------------------------------------------------


def _keras_plain(*names: str) -> Callable[[Any], Iterator[Piece]]:
    """Variables in the order of Keras, in the layout that is here, too."""

    def pieces(module: Any) -> Iterator[Piece]:
        known = [name for name in names if getattr(module, name, None) is not None]
        for number, name in enumerate(known):
            yield Piece(f"vars/{number}", (name,))

    return pieces


def _keras_depthwise(module: Any) -> Iterator[Piece]:
    """(*window, channels, multiplier) → (*window, 1, channels · multiplier)."""
    shape = module.weight.shape
    theirs = (*shape[:-2], module.in_channels, shape[-1] // module.in_channels)
    yield Piece("vars/0", ("weight",), lambda a: [a.reshape(*a.shape[:-2], 1, -1)],
                lambda arrays: arrays[0].reshape(theirs))  # fmt: skip
    if module.bias is not None:
        yield Piece("vars/1", ("bias",))


def _keras_recurrent(module: Any) -> Iterator[Piece]:
    """One layer in one direction; its gates lie as Keras has them."""
    if module.bidirectional or module.num_layers > 1:
        raise ConfigError("Keras' recurrent layers have one direction and one layer each.",
                          found=type(module).__name__)  # fmt: skip
    front, cell = "cells.0.0.", module.cells[0][0]
    gru = isinstance(module, nn.GRU)

    def ours(a: Array) -> Array:  # z, r, h → r, z, n
        if not gru:
            return a
        z, r, h = np.split(a, 3, -1)
        return np.concatenate([r, z, h], -1)

    for number, name in enumerate(("weight_ih", "weight_hh")):
        yield Piece(f"cell/vars/{number}", (front + name,), lambda a: [ours(a)],
                    lambda arrays: ours(arrays[0]))  # fmt: skip
    if cell.bias_ih is None:
        return

    def split(a: Array) -> list[Array]:
        first, second = a if a.ndim == 2 else (a, np.zeros_like(a))
        return [ours(first), ours(second)]

    def join(arrays: list[Array]) -> Array:
        return np.stack([*map(ours, arrays)]) if gru else arrays[0] + arrays[1]

    yield Piece("cell/vars/2", (f"{front}bias_ih", f"{front}bias_hh"), split, join)


#: Keras' classes, in its own spelling of groups, and the layers that they are here.
KERAS: dict[str, tuple[type[Module], Callable[[Any], Iterator[Piece]]]] = {
    "dense": (nn.Linear, _keras_plain("weight", "bias")),
    "conv1d": (nn.Conv1d, _keras_plain("weight", "bias")),
    "depthwise_conv2d": (nn.DepthwiseConv2d, _keras_depthwise),
    "conv2d": (nn.Conv2d, _keras_plain("weight", "bias")),
    "conv3d": (nn.Conv3d, _keras_plain("weight", "bias")),
    "conv1d_transpose": (nn.ConvTranspose1d, _keras_plain("weight", "bias")),
    "conv2d_transpose": (nn.ConvTranspose2d, _keras_plain("weight", "bias")),
    "conv3d_transpose": (nn.ConvTranspose3d, _keras_plain("weight", "bias")),
    "batch_normalization": (
        nn.BatchNorm, _keras_plain("weight", "bias", "running_mean", "running_var")),
    "layer_normalization": (nn.LayerNorm, _keras_plain("weight", "bias")),
    "group_normalization": (nn.GroupNorm, _keras_plain("weight", "bias")),
    "embedding": (nn.Embedding, _keras_plain("weight")),
    "simple_rnn": (nn.RNN, _keras_recurrent),
    "lstm": (nn.LSTM, _keras_recurrent),
    "gru": (nn.GRU, _keras_recurrent),
}  # fmt: skip


def keras_pieces(module: Module) -> list[Piece]:
    """The arrays of Keras' file: the layers of each class are numbered in their order."""
    counts: dict[str, int] = {}
    found: list[Piece] = []
    covered: set[str] = set()
    for path, part in module.named_modules():
        kind = next((k for k, (known, _) in KERAS.items() if isinstance(part, known)), None)
        front = f"{path}." if path else ""
        if kind is None or any(front.startswith(other) for other in covered):
            continue
        number = counts[kind] = counts.get(kind, -1) + 1
        group = f"layers/{kind}_{number}/" if number else f"layers/{kind}/"
        found += [piece.under(group, front) for piece in KERAS[kind][1](part)]
        covered.add(front)
    known = {name for piece in found for name in piece.ours}
    if rest := module.variables().keys() - known:
        raise ConfigError(
            "A part of the module is not a layer that Keras' files are read for.",
            expected=", ".join(KERAS),
            found=", ".join(sorted(rest))[:200],
        )
    return found
