"""Two networks that learn against each other."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import models
from chainrule.errors import ConfigError


def adam(part: Any, rate: float = 2e-3) -> cr.optim.Optimizer:
    return cr.optim.Adam(part, rate, betas=(0.5, 0.9))


def step_of(model: Any, **options: Any) -> cr.AdversarialStep:
    optimizers = adam(model.generator), adam(model.discriminator)
    return cr.AdversarialStep(model, *optimizers, backend="numpy", **options)


@pytest.mark.parametrize("loss", ["logistic", "wasserstein"])
def test_the_generator_learns_where_the_examples_are(loss):
    """Two clusters around (-2, 1) and (2, 1): samples come to lie in both."""
    rng = np.random.default_rng(0)
    real = np.stack([rng.choice([-2.0, 2.0], 64), np.ones(64)], 1) + 0.1 * rng.normal(size=(64, 2))
    model = models.gan(2, code=2, hidden=[32]).initialize(2)
    penalty = 1.0 if loss == "wasserstein" else 0.1

    def near() -> list[float]:
        drawn = model.sample(cr.random.key(5), 500).numpy()
        return [(np.hypot(drawn[:, 0] - c, drawn[:, 1] - 1) < 1).mean() for c in (-2, 2)]

    assert sum(near()) < 0.3
    step = step_of(model, loss=loss, penalty=penalty, discriminator_updates=2)
    for _ in range(500):
        step(real.astype(np.float32))
    assert sum(near()) > 0.5
    assert min(near()) > 0.08


def test_the_penalty_is_of_second_order_and_right():
    """The discriminator's gradient with penalty, against finite differences in float64."""
    smooth = models.mlp(3, 1, [5], cr.nn.Tanh)
    model = models.GAN(models.mlp(2, 3, [5]), smooth, 2).initialize(0).to("float64")
    step = step_of(model, loss="wasserstein", penalty=10.0)
    real, fake = (cr.tensor(np.random.default_rng(i).normal(size=(4, 3))) for i in (1, 2))
    draw = cr.random.key(3)
    error = cr.check_grad(
        lambda part: step._discriminator_loss(part, real, fake, draw), model.discriminator
    )
    assert error < 1e-5
    # For D(x) = w·x the slope is w everywhere, so the penalty is 10·(‖w‖ - 1)².
    line = models.GAN(cr.nn.Linear(2, 3), cr.nn.Linear(3, 1, bias=False), 2).to("float64")
    line.discriminator.weight.assign(np.array([[3.0], [0.0], [4.0]]))
    loss = step_of(line, loss="wasserstein", penalty=10.0)._discriminator_loss(
        line.discriminator, real, real, draw
    )
    assert loss.item() == pytest.approx(10 * (5 - 1) ** 2)


def test_one_step_changes_each_network_by_its_own_loss():
    """By hand: first the discriminator, then the generator against the new discriminator."""
    model, again = (models.gan(2, code=2, hidden=[4]).initialize(0) for _ in range(2))
    real = cr.tensor(np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32))
    step = step_of(model, seed=7)
    found = step(real)
    key = cr.random.fold_in(cr.random.key(7), 0)
    softplus, mean = cr.softplus, cr.mean
    optimizers = adam(again.generator), adam(again.discriminator)

    def codes(draw):
        return cr.random.normal(cr.random.fold_in(draw, 0), (8, 2))

    fake = again.generator(codes(cr.random.fold_in(key, 1)))
    told, slopes = cr.value_and_grad(lambda d: mean(softplus(-d(real))) + mean(softplus(d(fake))))(
        again.discriminator
    )
    optimizers[1].update(slopes)
    fooled, slopes = cr.value_and_grad(
        lambda g: mean(softplus(-again.discriminator(g(codes(cr.random.fold_in(key, 0))))))
    )(again.generator)
    optimizers[0].update(slopes)
    assert found == pytest.approx({"discriminator": told.item(), "generator": fooled.item()})
    for path, value in again.state().items():
        np.testing.assert_allclose(model.state()[path], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("normalize", [True, False])
def test_images(normalize):
    """A convolutional pair learns eight steps: all finite, repeatable, in the range of tanh."""
    rng = np.random.default_rng(0)
    real = np.tanh(rng.normal(size=(16, 8, 8, 1))).astype(np.float32)
    options: dict[str, Any] = {} if normalize else {"loss": "wasserstein", "penalty": 10.0}
    runs = []
    for _ in range(2):
        model = models.dcgan(8, code=4, width=4, normalize=normalize).initialize(0)
        before = model.state()
        step = step_of(model, discriminator_updates=2, **options)
        losses = [step(real) for _ in range(8)]
        runs.append((losses, model.state()))
        changed = [path for path, value in model.state().items() if (value != before[path]).any()]
        assert set(changed) >= set(model.trainable_parameters()) - {"discriminator.layers.5.bias"}
        assert np.isfinite([list(one.values()) for one in losses]).all()
        drawn = model.sample(cr.random.key(0), 3).numpy()
        assert drawn.shape == (3, 8, 8, 1)
        assert np.abs(drawn).max() <= 1
    (losses, state), (losses_again, state_again) = runs
    assert losses == losses_again
    for path, value in state.items():
        np.testing.assert_array_equal(value, state_again[path])


# ---- bad input -------------------------------------------------------------------------------


def test_a_generator_needs_a_discriminator():
    nothing: Any = None
    with pytest.raises(ConfigError, match="needs a discriminator"):
        models.GAN(cr.nn.Linear(2, 2), nothing, 2)
    with pytest.raises(ConfigError, match="discriminator's error alone"):
        step_of(models.gan(2), discriminator_updates=0)


def test_two_optimizers_may_not_share_weights():
    model = models.gan(2, code=2, hidden=[4])
    with pytest.raises(ConfigError) as caught:
        cr.AdversarialStep(model, adam(model), adam(model.discriminator))
    assert "optimizer of the generator" in str(caught.value)
    assert "also discriminator.layers.0.weight" in str(caught.value)
    with pytest.raises(ConfigError, match=r"without layers\.0\.weight"):
        cr.AdversarialStep(model, adam(model.discriminator), adam(model.generator))


def test_unknown_loss_and_wrong_size():
    with pytest.raises(ConfigError, match="Unknown loss of a GAN"):
        step_of(models.gan(2), loss="hinge")
    with pytest.raises(ConfigError, match="4 divides"):
        models.dcgan(10)
