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


def long_batch(labels, dtype):
    rng = np.random.default_rng(labels)
    logits = (8 * rng.normal(size=(3, 50, 21))).astype(dtype)
    how = {
        "input_lengths": rng.integers(labels, 51, 3),
        "target_lengths": rng.integers(0, labels + 1, 3),
    }
    return logits, rng.integers(1, 21, (3, labels)), how


@pytest.mark.parametrize("labels", [0, 15, 16, 25])
def test_float32_has_its_digits_for_any_number_of_labels(labels):
    """Native programs work on vectors of sixteen; each step keeps its logarithms near to 0."""
    logits, target, how = long_batch(labels, np.float64)

    def loss(z):
        return ctc(z, target, **how, reduction="sum", zero_infinity=True)

    value, gradient = cr.value_and_grad(loss)(cr.tensor(logits))
    found = cr.compile(cr.value_and_grad(loss), backend="c")(logits.astype(np.float32))
    assert found[0].item() == pytest.approx(value.item(), rel=1e-6)
    np.testing.assert_allclose(found[1].numpy(), gradient.numpy(), atol=2e-5)
    alone = cr.compile(loss, backend="c")(logits.astype(np.float32))
    assert alone.item() == found[0].item()  # the same bits without a gradient


def test_the_same_bits_for_any_number_of_threads(monkeypatch):
    logits = np.random.default_rng(0).normal(size=(8, 300, 12)).astype(np.float32)
    target = np.random.default_rng(1).integers(1, 12, (8, 40))
    results = []
    for threads in ("1", "2"):
        monkeypatch.setenv("CHAINRULE_THREADS", threads)
        program = cr.compile(cr.value_and_grad(lambda z: ctc(z, target)), backend="c")
        value, gradient = program(logits)
        results.append((value.item(), gradient.numpy().tobytes()))
    assert results[0] == results[1]


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_nan_is_told_and_what_is_not_read_does_no_harm(backend):
    logits, target, steps, labels = batch()
    logits[0, 2, 1] = np.nan
    logits[1, 4] = np.nan  # behind the end
    each = cr.compile(
        cr.value_and_grad(
            lambda z: ctc(z, target, input_lengths=steps, target_lengths=labels, reduction="none")[
                :2
            ].sum()
        ),
        backend=backend,
    )
    gradient = each(logits)[1].numpy()
    assert np.isnan(gradient[0]).all()
    assert np.isfinite(gradient[1:]).all()


def test_a_target_that_does_not_fit_is_infinite_with_no_gradient():
    logits = RNG.normal(size=(2, 2, 3))
    how = {"target": np.array([[1, 1], [1, 2]]), "reduction": "none"}
    for backend in ("numpy", "c"):
        program = cr.compile(
            lambda z: (ctc(z, **how), cr.grad(lambda z: ctc(z, **how).sum())(z)), backend=backend
        )
        value, gradient = program(logits)
        assert np.isinf(value.numpy()[0])
        assert value.numpy()[1] == pytest.approx(by_hand(logits[1], [1, 2], 0))
        assert not gradient.numpy()[0].any()
        assert gradient.numpy()[1].any()
