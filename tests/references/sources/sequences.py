"""What recurrent layers and transformers compute, with weights laid out as chainrule's are.

PyTorch's weights are (out, in); chainrule's are (in, out), and those of an attention are in four
linear layers.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from .module_cases import ModuleCases, Tensors

CASES = ModuleCases("sequences")
run, real = CASES.run, CASES.real
ROWS, STEPS, WIDTH, HIDDEN = 3, 4, 2, 3
LENGTHS = [4, 1, 3]


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
    scores = CASES.rng.uniform(-2, 2, (STEPS, STEPS)).round(2)
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
    yield from stacks()
    yield from added_positions()


def stack_names(found: Tensors) -> Tensors:
    """layers.1.self_attn.in_proj_bias is that of the three layers of layers.1.self_attn."""
    renamed = {}
    for name, value in found.items():
        start, layer, rest = name.split(".", 2) if name.startswith("layers") else ("", "", name)
        prefix = f"{start}.{layer}." if start else ""
        renamed |= {prefix + path: kept for path, kept in block_names({rest: value}).items()}
    return renamed


def stacks() -> Iterator[dict[str, Any]]:
    """Two layers, which PyTorch begins alike; each gets weights of its own before it is run."""
    sizes, norm = [4, 2], {"layer": "LayerNorm", "sizes": [4]}
    options = {"dim_feedforward": 3, "dropout": 0.0, "norm_first": True}
    yield run(
        "TransformerEncoder", "two layers and a norm, causal",
        {"sizes": [{"layer": "TransformerEncoderLayer", "sizes": sizes, **options}, 2, norm]},
        nn.TransformerEncoder(
            nn.TransformerEncoderLayer(*sizes, batch_first=True, **options), 2, nn.LayerNorm(4),
            enable_nested_tensor=False,
        ),
        stack_names, lambda m, x: [m(x, mask=later(3))], [real(2, 3, 4)], causal=True,
    )  # fmt: skip
    yield run(
        "TransformerDecoder", "two layers and a norm",
        {"sizes": [{"layer": "TransformerDecoderLayer", "sizes": sizes, **options}, 2, norm]},
        nn.TransformerDecoder(
            nn.TransformerDecoderLayer(*sizes, batch_first=True, **options), 2, nn.LayerNorm(4)
        ),
        stack_names, lambda m, x, memory: [m(x, memory, tgt_mask=later(3))],
        [real(2, 3, 4), real(2, 2, 4)],
    )  # fmt: skip


class Waves(nn.Module):
    """Sines and cosines in turn, as the parts of exp(i·φ)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, features = x.shape[-2:]
        rates = 10000.0 ** (-torch.arange(0, features, 2, dtype=torch.float64) / features)
        angles = torch.arange(steps, dtype=torch.float64)[:, None] * rates
        waves = torch.view_as_real(torch.exp(1j * angles))  # cosine first
        return x + waves.flip(-1).reshape(steps, features)


def added_positions() -> Iterator[dict[str, Any]]:
    yield run(
        "SinusoidalPositions", "six features", {"sizes": [6]}, Waves(), dict,
        lambda m, x: [m(x)], [real(2, 3, 6)],
    )  # fmt: skip
    yield run(
        "LearnedPositions", "fewer than there are, from the second on", {"sizes": [5, 4]},
        nn.Embedding(5, 4), dict, lambda m, x: [x + m(torch.arange(1, 4))], [real(2, 3, 4)],
        first=1,
    )  # fmt: skip
