"""Eager updates that come again run as one program, to the same bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.optim import optimizer as optimizer_module
from chainrule.optim import repeated


def _weights() -> dict[str, cr.Parameter]:
    draw = np.random.default_rng(0)
    return {"w": cr.parameter(draw.normal(size=(3, 2)).astype("f4")), "b": cr.parameter([0.5, 1.0])}


def _train(kind: Any) -> list[np.ndarray]:
    """Updates with options that change on the way."""
    weights = _weights()
    optimizer = kind(weights, lr=0.1, weight_decay=0.01)
    x = cr.tensor(np.random.default_rng(1).normal(size=(5, 3)).astype("f4"))
    seen = []
    for number in range(16):
        if number == 4:
            optimizer.groups[0].options.weight_decay = 0.5
        if number == 7:
            optimizer.clip_norm = 0.01
        if number == 9:
            weights["b"].requires_grad = False
        if number == 11:
            optimizer.set_rate(cr.optim.CosineAnnealingLR(0.2, 20))
        if number == 13:
            weights["b"].requires_grad = True
            weights["w"].assign(np.ones((3, 2)))
        optimizer.zero_grad()
        ((x @ weights["w"] + weights["b"]) ** 2).mean().backward()
        optimizer.step()
        seen.append(np.concatenate([w.numpy().ravel() for w in weights.values()]).copy())
    return seen


@pytest.mark.parametrize("kind", [cr.optim.SGD, cr.optim.Adam, cr.optim.AdamW, cr.optim.RMSprop])
def test_same_bits_as_the_code_itself(kind: Any, monkeypatch: pytest.MonkeyPatch):
    quick = _train(kind)
    monkeypatch.setattr(optimizer_module, "repeated", lambda owner, change, parts: change)
    slow = _train(kind)
    for number, (a, b) in enumerate(zip(quick, slow, strict=True)):
        np.testing.assert_array_equal(a, b, err_msg=f"update {number}")
    assert len({array.tobytes() for array in quick}) == len(quick)


def test_only_what_comes_again_is_a_program(monkeypatch: pytest.MonkeyPatch):
    calls = []
    change = cr.optim.SGD._change
    monkeypatch.setattr(
        cr.optim.SGD, "_change", lambda self, *given: (calls.append(1), change(self, *given))[0]
    )
    weights = _weights()
    optimizer = cr.optim.SGD(weights, lr=0.1)
    gradients = {path: cr.ones_like(w) for path, w in weights.items()}
    for _ in range(6):
        optimizer.update(gradients)
    assert len(calls) == 2  # the first, and the trace of the second
    calls.clear()
    for number in range(1, 5):
        optimizer.groups[0].options.l2 = 0.1 * number
        optimizer.update(gradients)
    assert len(calls) == 4  # other options each time: no program is worth it
    del optimizer
    assert not [kept for kept in repeated._updates if kept.model is weights]


def test_an_optimizer_of_ones_own_is_called_each_time():
    seen = []

    @dataclass(eq=False)
    class _Own(cr.optim.Optimizer):
        def apply_single(self, w: Any, g: Any, state: Any, n: Any) -> Any:
            seen.append(float(g.numpy().sum()))
            return w - n["rate"] * g, {}

    weights = [cr.parameter([1.0, 2.0])]
    optimizer = _Own(weights, lr=0.5)
    for number in range(4):
        optimizer.update([cr.tensor([float(number), 0.0])])
    assert seen == [0.0, 1.0, 2.0, 3.0]
    assert weights[0].tolist() == [-2.0, 2.0]


def test_options_that_change_inside_a_list_count():
    def trained(quick: bool) -> list[float]:
        w, found = cr.parameter([1.0, -2.0]), []
        betas = [0.9, 0.99]
        optimizer = cr.optim.Adam([w], lr=0.1, betas=betas)
        for number in range(8):
            if number == 4:
                betas[0] = 0.1
            optimizer.update([cr.tensor([1.0, 0.5 * number])])
            found += w.tolist()
            if not quick:
                repeated._updates.pop(optimizer, None)
        return found

    assert trained(True) == trained(False)
