"""What calls of compiled functions hold at a time."""

import importlib
import weakref

import numpy as np

import chainrule as cr


def test_weights_are_copied_to_lines_of_the_cache_one_by_one(monkeypatch):
    """Otherwise a first step would have a network, and the optimizer's state, in memory twice."""
    module = importlib.import_module("chainrule.engine.compile")
    originals, held = [], []
    copy = module.aligned_copy

    def counted(array):
        held.append(sum(original() is not None for original in originals))
        originals.append(weakref.ref(array))
        return copy(array)

    monkeypatch.setattr(module, "aligned_copy", counted)
    monkeypatch.setattr(module, "_MUCH", 1)  # and memory is given back each time
    net = cr.nn.Sequential(*[cr.nn.Linear(256, 256) for _ in range(3)])
    optimizer = cr.optim.Adam(net)

    @cr.compile(backend="c")
    def step(x):
        loss, gradients = cr.value_and_grad(lambda net: (net(x) ** 2).mean())(net)
        optimizer.update(gradients)
        return loss

    first, second = (float(step(np.ones((4, 256), "f"))) for _ in range(2))
    assert second < first
    assert len(originals) >= 9  # three weights, and two means of each
    assert held == [0] * len(held)
