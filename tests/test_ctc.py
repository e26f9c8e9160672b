"""CTC against the sum over all paths; its values and gradients are also PyTorch's (references)."""

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, ConfigError, DataError, ShapeError, TypeRuleError
from chainrule.losses import ctc

RNG = np.random.default_rng(6)


def by_hand(logits, target, blank):
    """Every path whose repeated labels count once and whose blanks are left out."""
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    total = 0.0
    for path in itertools.product(range(p.shape[1]), repeat=len(p)):
        read = [label for label, _ in itertools.groupby(path) if label != blank]
        if read == list(target):
            total += np.prod([p[t, label] for t, label in enumerate(path)])
    return -np.log(total) if total else np.inf


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_the_sum_over_all_paths(blank, length):
    """Repeated labels, which need a blank between, among the targets; some do not fit."""
    labels = [c for c in range(3) if c != blank]
    for steps in (1, 2, 4):
        logits = RNG.normal(size=(steps, 3))
        for target in itertools.product(labels, repeat=length):
            found = ctc(logits, np.array(target, int), blank=blank, reduction="none").item()
            assert found == pytest.approx(by_hand(logits, target, blank), rel=1e-12)


def batch():
    logits = RNG.normal(size=(4, 5, 3))
    target = np.array([[1, 2, 1], [1, 1, 99], [2, -7, 5], [0, 0, 0]])
    return logits, target, np.array([5, 3, 0, 4]), np.array([3, 2, 1, 0])


def test_lengths_and_what_lies_behind_them():
    logits, target, steps, labels = batch()
    how = {"input_lengths": steps, "target_lengths": labels}
    found = ctc(logits, target, **how, reduction="none").numpy()
    for n in range(4):
        one = by_hand(logits[n, : steps[n]], target[n, : labels[n]], 0)
        assert found[n] == pytest.approx(one, rel=1e-12)
    assert np.isinf(found[2])
    finite = ctc(logits, target, **how, zero_infinity=True, reduction="none").numpy()
    np.testing.assert_allclose(finite, np.where(np.isinf(found), 0, found))
    weights = [1.0, 2.0, 3.0, 0.5]
    expected = (finite / np.maximum(labels, 1) * weights).sum() / 6.5
    mean = ctc(logits, target, **how, zero_infinity=True, sample_weights=weights)
    assert mean.item() == pytest.approx(expected)


def test_gradients_and_every_backend():
    logits, target, steps, labels = batch()
    how = {"input_lengths": steps, "target_lengths": labels, "zero_infinity": True}

    def loss(z):
        return ctc(z, target, **how)

    cr.check_grad(loss, logits, order=2)
    value, slope = cr.value_and_grad(loss)(cr.tensor(logits))
    assert not slope.numpy()[2].any()  # what does not fit
    assert not slope.numpy()[1, 3:].any()  # steps that do not count
    np.testing.assert_allclose(slope.numpy().sum(-1), 0, atol=1e-15)
    for backend in ("numpy", "c"):
        found = cr.compile(cr.value_and_grad(loss), backend=backend)(logits)
        np.testing.assert_allclose(found[0].numpy(), value.numpy(), rtol=1e-12)
        np.testing.assert_allclose(found[1].numpy(), slope.numpy(), rtol=1e-10, atol=1e-14)
    each = cr.vmap(
        lambda z, t, s, n: ctc(
            z, t, input_lengths=s, target_lengths=n, zero_infinity=True, reduction="none"
        )
    )(logits, target, steps, labels)
    expected = ctc(logits, target, **how, reduction="none")
    np.testing.assert_allclose(each.numpy(), expected.numpy(), rtol=1e-12)


def test_large_logits_and_float32():
    for scale in (1e3, 1e30):
        logits = (scale * RNG.normal(size=(2, 6, 4))).astype(np.float32)
        value, slope = cr.value_and_grad(lambda z: ctc(z, [[1, 2], [3, 3]]))(cr.tensor(logits))
        assert value.dtype == np.float32
        assert np.isfinite(slope.numpy()).all()
    certain = np.full((1, 3, 3), -np.inf)
    certain[0, [0, 1, 2], [1, 0, 2]] = 0
    assert ctc(certain, [[1, 2]]).item() == 0


def test_it_learns_to_read():
    x = RNG.normal(size=(8, 6, 4)).astype(np.float32)
    target = RNG.integers(1, 4, (8, 2))
    model = cr.nn.Sequential(cr.nn.Linear(4, 32), cr.nn.Tanh(), cr.nn.Linear(32, 4)).initialize(0)
    optimizer = cr.optim.Adam(model, lr=0.03)

    @cr.compile(backend="numpy")
    def step(x):
        loss, gradients = cr.value_and_grad(lambda m: ctc(m(x), target))(model)
        optimizer.update(gradients)
        return loss

    losses = [step(x).item() for _ in range(40)]
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"target": [[1, 0]]}, DataError, "has the blank"),
        ({"target": [[1, 3]]}, ChainruleError, "0 to 2"),
        ({"target": [[1.0, 2.0]]}, TypeRuleError, "integers"),
        ({"target": [[1, 2], [1, 2]]}, ShapeError, "does not fit the logits"),
        ({"blank": 3}, ConfigError, "blank"),
        ({"input_lengths": [5]}, DataError, "input_lengths is out of range"),
        ({"target_lengths": [3]}, DataError, "target_lengths is out of range"),
        ({"target_lengths": [1, 1]}, ShapeError, "an integer for each sequence"),
        ({"reduction": "median"}, ConfigError, "reduction"),
    ],
)
def test_what_is_refused(options, error, words):
    target = options.pop("target", [[1, 2]])
    with pytest.raises(error, match=words):
        ctc(np.zeros((1, 4, 3)), np.array(target), **options)
