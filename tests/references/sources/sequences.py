"""What recurrent layers and transformers compute, with weights laid out as chainrule's are.

PyTorch's weights are (out, in); chainrule's are (in, out), and those of an attention are in four
linear layers.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from .cases import SEED, encode

Tensors = dict[str, torch.Tensor]
ROWS, STEPS, WIDTH, HIDDEN = 3, 4, 2, 3
LENGTHS = [4, 1, 3]


def real(*shape: int) -> torch.Tensor:
    return torch.from_numpy(RNG.uniform(-1.5, 1.5, shape).round(3)).requires_grad_()


def run(
    layer: str,
    case: str,
    options: dict[str, Any],
    module: nn.Module,
    ours: Callable[[Tensors], Tensors],
    call: Callable[..., list[torch.Tensor]],
    inputs: list[torch.Tensor],
    **constants: Any,
) -> dict[str, Any]:
    """One case: the gradients are those of Σ output · weights over all outputs.

    Args:
        layer: chainrule's name of the layer.
        case: what sets it apart.
        options: the arguments that make chainrule's layer.
        module: PyTorch's.
        ours: renames and transposes parameters, or their gradients.
        call: runs the module.
        inputs: the differentiable arguments.
        constants: the other arguments of the call of chainrule's layer.
    """
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.from_numpy(RNG.uniform(-0.8, 0.8, parameter.shape).round(3)))
    outputs = call(module, *inputs)
    weights = [torch.from_numpy(RNG.uniform(-1, 1, y.shape).round(2)) for y in outputs]
    total = sum((y * w).sum() for y, w in zip(outputs, weights, strict=True))
    named = dict(module.named_parameters())
    grads = torch.autograd.grad(total, [*inputs, *named.values()])
    by_name = dict(zip(named, grads[len(inputs) :], strict=True))
    return {
        "layer": layer,
        "case": case,
        "options": options,
        "state": {path: encode(value) for path, value in ours(named).items()},
        "inputs": [encode(x) for x in inputs],
        "constants": {name: encode(value) for name, value in constants.items()},
        "outputs": [encode(y) for y in outputs],
        "weights": [encode(w) for w in weights],
        "input_grads": [encode(g) for g in grads[: len(inputs)]],
        "state_grads": {path: encode(value) for path, value in ours(by_name).items()},
    }


# Recurrent layers.


def recurrent_names(found: Tensors) -> Tensors:
    """weight_ih_l1_reverse is cells.1.1.weight_ih."""
    renamed = {}
    for name, value in found.items():
        kind, _, place = name.rpartition("_l")
        depth, _, reverse = place.partition("_")
        renamed[f"cells.{depth}.{int(bool(reverse))}.{kind}"] = (
            value.T if value.ndim == 2 else value
        )
    return renamed


def cell_names(found: Tensors) -> Tensors:
    return {name: value.T if value.ndim == 2 else value for name, value in found.items()}


def in_order(module: nn.Module, x: torch.Tensor, *state: torch.Tensor) -> list[torch.Tensor]:
    given = (state if len(state) > 1 else state[0]) if state else None
    y, end = module(x, given)
    return [y, *end] if isinstance(end, tuple) else [y, end]


def packed(module: nn.Module, x: torch.Tensor, *state: torch.Tensor) -> list[torch.Tensor]:
    """Rows of different lengths, as PyTorch packs them; what is behind the end comes out as 0."""
    sequence = nn.utils.rnn.pack_padded_sequence(x, LENGTHS, True, enforce_sorted=False)
    given = (state if len(state) > 1 else state[0]) if state else None
    y, end = module(sequence, given)
    y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=STEPS)
    return [y, *end] if isinstance(end, tuple) else [y, end]


def recurrent() -> Iterator[dict[str, Any]]:
    deep = {"num_layers": 2, "bidirectional": True}
    sizes = [WIDTH, HIDDEN]
    for kind, states in (("RNN", 1), ("LSTM", 2), ("GRU", 1)):
        torch_kind = getattr(nn, kind)
        for case, options, with_state, call in (
            ("one layer", {}, False, in_order),
            ("without bias", {"bias": False}, True, in_order),
            ("two layers, both ways", deep, True, in_order),
            ("lengths, both ways", deep, True, packed),
        ):
            module = torch_kind(*sizes, batch_first=True, **options)
            cells = 4 if options is deep else 1
            state = [real(cells, ROWS, HIDDEN) for _ in range(states)] if with_state else []
            constants = {"lengths": np.array(LENGTHS)} if call is packed else {}
            yield run(
                kind, case, {"sizes": sizes, **options}, module, recurrent_names, call,
                [real(ROWS, STEPS, WIDTH), *state], **constants,
            )  # fmt: skip
        cell = getattr(nn, f"{kind}Cell")(*sizes)

        def one_step(module: nn.Module, x: torch.Tensor, *state: torch.Tensor) -> Any:
            new = module(x, state if len(state) > 1 else state[0])
            return list(new) if isinstance(new, tuple) else [new]

        yield run(
            f"{kind}Cell", "one step", {"sizes": sizes}, cell, cell_names, one_step,
            [real(ROWS, WIDTH), *(real(ROWS, HIDDEN) for _ in range(states))],
        )  # fmt: skip
    yield run(
        "RNN", "relu", {"sizes": sizes, "nonlinearity": "relu"},
        nn.RNN(*sizes, nonlinearity="relu", batch_first=True), recurrent_names, in_order,
        [real(ROWS, STEPS, WIDTH)],
    )  # fmt: skip


# Attention and transformers.


def attention_names(found: Tensors, prefix: str = "") -> Tensors:
    renamed = {}
    for name, value in found.items():
        if name in ("in_proj_weight", "in_proj_bias"):
            for part, third in zip("qkv", value.chunk(3), strict=True):
                end = name.removeprefix("in_proj_")
                renamed[f"{prefix}{part}_proj.{end}"] = third.T if third.ndim == 2 else third
        else:
            path = name.replace("proj_weight", "proj.weight")
            renamed[prefix + path] = value.T if value.ndim == 2 else value
    return renamed


def block_names(found: Tensors) -> Tensors:
    renamed = {}
    for name, value in found.items():
        part, _, rest = name.partition(".")
        if part in ("self_attn", "multihead_attn"):
            renamed |= attention_names({rest: value}, f"{part}.")
        else:
            renamed[name] = value.T if value.ndim == 2 else value
    return renamed


def later(steps: int) -> torch.Tensor:
    """Where PyTorch must not look: after the query."""
    return torch.ones(steps, steps, dtype=torch.bool).triu(1)


def transformers() -> Iterator[dict[str, Any]]:
    width, heads = 4, 2
    yield run(
        "MultiHeadAttention", "causal", {"sizes": [width, heads]},
        nn.MultiheadAttention(width, heads, batch_first=True), attention_names,
        lambda m, x: [m(x, x, x, attn_mask=later(STEPS), need_weights=False)[0]],
        [real(ROWS, STEPS, width)], causal=True,
    )  # fmt: skip
    padding = np.array([[True] * 5, [True, False, True, True, False], [True] + [False] * 4])
    yield run(
        "MultiHeadAttention", "of another sequence, padded, other widths",
        {"sizes": [width, heads], "kdim": 3, "vdim": 2},
        nn.MultiheadAttention(width, heads, kdim=3, vdim=2, batch_first=True), attention_names,
        lambda m, q, k, v: [m(q, k, v, key_padding_mask=~torch.from_numpy(padding))[0]],
        [real(ROWS, 3, width), real(ROWS, 5, 3), real(ROWS, 5, 2)],
        mask=padding[:, None, None, :],
    )  # fmt: skip
    scores = RNG.uniform(-2, 2, (STEPS, STEPS)).round(2)
    yield run(
        "MultiHeadAttention", "numbers added to the scores, without bias",
        {"sizes": [width, heads], "bias": False},
        nn.MultiheadAttention(width, heads, bias=False, batch_first=True), attention_names,
        lambda m, x: [m(x, x, x, attn_mask=torch.from_numpy(scores), need_weights=False)[0]],
        [real(ROWS, STEPS, width)], mask=scores,
    )  # fmt: skip
    for norm_first, activation in ((False, "relu"), (True, "gelu")):
        options = {"dim_feedforward": 5, "dropout": 0.0, "activation": activation,
                   "norm_first": norm_first}  # fmt: skip
        case = f"norm {'first' if norm_first else 'last'}, {activation}"
        yield run(
            "TransformerEncoderLayer", case, {"sizes": [width, heads], **options},
            nn.TransformerEncoderLayer(width, heads, batch_first=True, **options), block_names,
            lambda m, x: [m(x, src_mask=later(STEPS))], [real(ROWS, STEPS, width)], causal=True,
        )  # fmt: skip
        yield run(
            "TransformerDecoderLayer", case, {"sizes": [width, heads], **options},
            nn.TransformerDecoderLayer(width, heads, batch_first=True, **options), block_names,
            lambda m, x, memory: [m(x, memory, tgt_mask=later(STEPS))],
            [real(ROWS, STEPS, width), real(ROWS, 2, width)],
        )  # fmt: skip


class Rotary(nn.Module):
    """Pairs of features as complex numbers, multiplied by exp(i·φ)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half = x.shape[-1] // 2
        rates = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.arange(x.shape[-2], dtype=torch.float64)[:, None] * rates
        turned = torch.complex(x[..., :half], x[..., half:]) * torch.exp(1j * angles)
        return torch.cat([turned.real, turned.imag], -1)


def cases() -> Iterator[dict[str, Any]]:
    yield from recurrent()
    yield from transformers()
    yield run(
        "RotaryPositions", "six features", {"sizes": [6]}, Rotary(), dict,
        lambda m, x: [m(x)], [real(2, 3, 6)],
    )  # fmt: skip


RNG = np.random.default_rng([SEED, zlib.crc32(b"sequences")])
