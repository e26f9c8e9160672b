"""Layers that are no single function: containers, and convolutions and pooling with one of them.

Images are channels-last here and channels-first in PyTorch, matrices (in, out) and (out, in).
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint_sequential

from .module_cases import ModuleCases, Tensors

CASES = ModuleCases("layers")
run, real = CASES.run, CASES.real


def turned(found: Tensors) -> Tensors:
    """Matrices as (in, out), windows as (*window, in / groups, out)."""
    return {
        name: torch.movedim(value, (0, 1), (-1, -2)) if value.ndim > 1 else value
        for name, value in found.items()
    }


def part(layer: str, *sizes: Any) -> dict[str, Any]:
    """A layer inside of another, as `options` name it."""
    return {"layer": layer, "sizes": list(sizes)}


def on_images(module: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    return [torch.movedim(module(torch.movedim(x, -1, 1)), 1, -1)]


def plain(module: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    return [module(x)]


def convolutions() -> Iterator[dict[str, Any]]:
    for multiplier in (1, 2):
        channels, window, stride = 2, (3, 2), (2, 1)
        yield run(
            "DepthwiseConv2d", f"{multiplier} for each channel",
            {"sizes": [channels, window, multiplier], "stride": stride, "padding": 1},
            nn.Conv2d(channels, channels * multiplier, window, stride, 1, groups=channels),
            turned, on_images, [real(2, 4, 3, channels)],
        )  # fmt: skip

    def two(found: Tensors) -> Tensors:
        paths = {"0": "depthwise", "1": "pointwise"}
        return {paths[name[0]] + name[1:]: value for name, value in turned(found).items()}

    yield run(
        "SeparableConv2d", "stride, padding", {"sizes": [2, 3, 3], "stride": 2, "padding": 1},
        nn.Sequential(nn.Conv2d(2, 2, 3, 2, 1, groups=2, bias=False), nn.Conv2d(2, 3, 1)),
        two, on_images, [real(2, 4, 3, 2)],
    )  # fmt: skip


def pooling() -> Iterator[dict[str, Any]]:
    for name, kinds in (
        ("GlobalAvgPool", (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)),
        ("GlobalMaxPool", (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)),
    ):
        for rank, kind in enumerate(kinds, 1):
            yield run(
                name, f"{rank}-D", {"sizes": []}, nn.Sequential(kind(1), nn.Flatten()), dict,
                lambda m, x: [m(torch.movedim(x, -1, 1))], [real(2, *(3, 2, 2)[:rank], 2)],
            )  # fmt: skip


def containers() -> Iterator[dict[str, Any]]:
    yield run("Identity", "a matrix", {"sizes": []}, nn.Identity(), dict, plain, [real(2, 3)])
    yield run(
        "Flatten", "images", {"sizes": []}, nn.Flatten(), dict, plain, [real(2, 3, 2, 1)]
    )  # fmt: skip
    yield run(
        "Unflatten", "to images", {"sizes": [[3, 2]]}, nn.Unflatten(-1, (3, 2)), dict, plain,
        [real(2, 6)],
    )  # fmt: skip

    def layers() -> nn.Sequential:
        return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.SiLU(), nn.Linear(4, 3))

    def inside(prefix: str) -> Any:
        return lambda found: {prefix + name: value for name, value in turned(found).items()}

    parts = [part("Linear", 3, 4), part("LayerNorm", 4), part("SiLU"), part("Linear", 4, 3)]
    yield run(
        "Sequential", "four layers", {"sizes": parts}, layers(), inside("layers."), plain,
        [real(5, 3)],
    )  # fmt: skip
    yield run(
        "Remat", "in two pieces", {"sizes": [part("Sequential", *parts), 2]}, layers(),
        inside("network.layers."),
        lambda m, x: [checkpoint_sequential(m, 2, x, use_reentrant=False)], [real(5, 3)],
    )  # fmt: skip
    yield run(
        "Residual", "around four layers", {"sizes": [part("Sequential", *parts)]}, layers(),
        inside("module.layers."), lambda m, x: [x + m(x)], [real(5, 3)],
    )  # fmt: skip
    pair = nn.ModuleDict({"module": nn.Linear(3, 2), "shortcut": nn.Linear(3, 2)})
    yield run(
        "Residual", "with a shortcut", {"sizes": [part("Linear", 3, 2), part("Linear", 3, 2)]},
        pair, turned, lambda m, x: [m["shortcut"](x) + m["module"](x)], [real(4, 3)],
    )  # fmt: skip


def parametrisations() -> Iterator[dict[str, Any]]:
    """Weight norm and spectral norm, whose singular vectors are drawn here."""

    class Cosine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(2, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.linear(F.normalize(x), F.normalize(self.weight))

    yield run("CosineLinear", "rows", {"sizes": [3, 2]}, Cosine(), turned, plain, [real(4, 3)])
    for axis, dim in ((-1, 0), (0, 1), (None, None)):
        layer = parametrizations.weight_norm(nn.Linear(3, 2), dim=dim)
        yield run(
            "weight_norm", f"axis={axis}", {"sizes": [part("Linear", 3, 2)], "axis": axis},
            layer, turned, plain, [real(4, 3)],
        )  # fmt: skip
    yield run(
        "weight_norm", "a window", {"sizes": [part("Conv2d", 2, 3, [2, 1])]},
        parametrizations.weight_norm(nn.Conv2d(2, 3, (2, 1))), turned, on_images,
        [real(1, 3, 2, 2)],
    )  # fmt: skip
    for train in (False, True):
        for name, sizes, module, axis, call, shape in (
            ("rows", (3, 2), nn.Linear(3, 2), -1, plain, (4, 3)),
            ("a window", (2, 3, (2, 1)), nn.Conv2d(2, 3, (2, 1)), -1, on_images, (1, 3, 2, 2)),
            ("transposed", (2, 3, 2), nn.ConvTranspose2d(2, 3, 2), -2, on_images, (1, 2, 2, 2)),
        ):
            kind = type(module).__name__
            layer = parametrizations.spectral_norm(module).train(train)
            rule_of = layer.parametrizations.weight
            rule = rule_of[0]
            for vector in (rule._u, rule._v):
                vector.copy_(F.normalize(real(len(vector)).detach(), dim=0))
            yield run(
                "spectral_norm", f"{name}, train={train}",
                {"sizes": [part(kind, *sizes)], "axis": axis}, layer, turned,
                call, [real(*shape)],
                {"u": rule._u.clone(), "v": _as_ours(rule._v, axis, rule_of.original.shape)},
                train=train,
            )  # fmt: skip


def _as_ours(vector: torch.Tensor, axis: int, shape: Any) -> torch.Tensor:
    """The other axes of a weight in chainrule's order: (*window, in) of PyTorch's (in, *window)."""
    others = [n for i, n in enumerate(shape) if i != {-1: 0, -2: 1}[axis]]
    return torch.movedim(vector.reshape(others), 0, -1).reshape(-1).clone()


def attention() -> Iterator[dict[str, Any]]:
    """With scores of their own, for each query and key by itself."""

    class Bilinear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(3, 2))

        def score(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            return k @ (self.weight @ q)

    class Additive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query_weight = nn.Parameter(torch.empty(4, 2))
            self.key_weight = nn.Parameter(torch.empty(4, 3))
            self.score_weight = nn.Parameter(torch.empty(1, 4))

        def score(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            return self.score_weight[0] @ torch.tanh(self.query_weight @ q + self.key_weight @ k)

    def named(found: Tensors) -> Tensors:
        return {name.replace("score_weight", "score"): x for name, x in turned(found).items()}

    def attend(
        module: Any, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: Any
    ) -> list[torch.Tensor]:
        results = []
        for q, seen in zip(query, mask, strict=True):
            scores = torch.stack([module.score(q, k) for k in keys])
            weights = torch.softmax(scores[seen], 0)
            results.append(weights @ values[seen])
        return [torch.stack(results)]

    everything = torch.ones(2, 4, dtype=torch.bool)
    some = torch.tensor([[True, False, True, True], [False, False, True, False]])
    for name, sizes, module in (
        ("BilinearAttention", [2, 3], Bilinear()),
        ("AdditiveAttention", [2, 3, 4], Additive()),
    ):
        for case, mask, constants in (
            ("all keys", everything, {}),
            ("a mask", some, {"mask": some}),
        ):
            yield run(
                name, case, {"sizes": sizes}, module, named,
                lambda m, q, k, v, mask=mask: attend(m, q, k, v, mask),
                [real(2, 2), real(4, 3), real(4, 2)], **constants,
            )  # fmt: skip


def cases() -> Iterator[dict[str, Any]]:
    yield from convolutions()
    yield from pooling()
    yield from containers()
    yield from parametrisations()
    yield from attention()
