"""Random changes: what each does, and that chance is a function of seed, epoch and row."""

import numpy as np
import pytest

from chainrule.errors import ConfigError
from chainrule.tasks.images import ImageOptions
from chainrule.tasks.images.augment import CHANGES, Augment, choose, parse
from chainrule.utils.random import uniform

NOISE = np.random.default_rng(0).integers(0, 256, (40, 12, 16, 3), dtype=np.uint8)
ROWS = np.arange(40)


def change(*names, batch=NOISE, rows=ROWS, seed=0, epoch=1, fill=(7, 7, 7)):
    return Augment(names, seed, np.array(fill))(batch, rows, epoch)


@pytest.mark.parametrize("name", [name for name in CHANGES if name != "mixup"])
def test_the_same_for_any_batch(name):
    whole = change(name)[0]
    parts = [change(name, batch=NOISE[p], rows=ROWS[p])[0] for p in (slice(0, 7), slice(7, 40))]
    assert np.array_equal(whole, np.concatenate(parts))
    assert not np.array_equal(whole, change(name, epoch=2)[0])
    assert not np.array_equal(whole, change(name, seed=1)[0])
    assert whole.shape == NOISE.shape
    assert whole.dtype == np.uint8


def test_nothing_chosen_changes_nothing():
    assert np.array_equal(change()[0], NOISE)


def test_flips_are_of_left_and_right():
    flipped = change("flip")[0]
    as_it_was = [np.array_equal(a, b) for a, b in zip(flipped, NOISE, strict=True)]
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(flipped, NOISE, strict=True)]
    assert [a != b for a, b in zip(as_it_was, mirrored, strict=True)] == [True] * 40
    assert 10 < sum(mirrored) < 30


def test_shifts_are_by_whole_pixels():
    shifted = change("shift")[0]
    seen = set()
    for new, old in zip(shifted, NOISE, strict=True):
        padded = np.pad(old, ((3, 3), (3, 3), (0, 0)), constant_values=7)
        fits = [
            (dy, dx)
            for dy in range(-3, 4)
            for dx in range(-3, 4)
            if np.array_equal(padded[3 + dy : 15 + dy, 3 + dx : 19 + dx], new)
        ]
        assert len(fits) == 1
        seen |= set(fits)
    assert max(abs(dy) for dy, _ in seen) == 1  # 8 % of 12
    assert max(abs(dx) for _, dx in seen) == 1  # 8 % of 16
    assert len(seen) >= 6


def test_turns_against_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    smooth = ndimage.gaussian_filter(NOISE[..., :1].astype(float), (0, 2, 2, 0)) * 3 % 256
    batch = smooth.astype(np.uint8)
    turned = change("rotate", batch=batch, fill=(0,))[0]
    angles = 10.0 * (2 * uniform(0, "augment", 1, ROWS, 1)[:, 0] - 1)
    for new, old, angle in zip(turned, batch, angles, strict=True):
        expected = ndimage.rotate(old[..., 0].astype(float), -angle, reshape=False, order=1)
        error = np.abs(new[2:-2, 2:-2, 0] - expected[2:-2, 2:-2])
        assert error.max() < 2


def test_colours_stay_in_range_and_grey_stays_grey():
    grey = np.repeat(NOISE[..., :1], 3, axis=3)
    changed = change("colour", batch=grey)[0]
    assert (changed == changed[..., :1]).all()
    assert 2 < np.abs(changed.astype(int) - grey).mean() < 40


def test_a_cut_is_a_filled_rectangle():
    cut = change("cutout")[0]
    for new, old in zip(cut, NOISE, strict=True):
        changed = (new != old).any(axis=2)
        assert 0 < changed.sum() <= 16
        assert (new[changed] == 7).all()


def test_mixtures():
    mixed, share, partner = change("mixup")
    x = NOISE.astype(float)
    own = share[:, None, None, None]
    assert np.abs(mixed - (own * x + (1 - own) * x[partner])).max() <= 0.51
    assert sorted(partner) == list(range(40))
    again = change("mixup")
    assert np.array_equal(mixed, again[0])


class TestRules:
    def test_what_must_not_be_flipped(self):
        flips = {
            classes: "flip" in choose(None, False, classes)
            for classes in [("cat", "dog"), ("0", "1"), ("a", "b"), ("turn left", "turn right")]
        }
        assert list(flips.values()) == [True, False, False, False]
        assert "flip" not in choose("full", True, ("cat", "dog"))
        assert choose("flip", True, ("0", "1")) == ("flip",)  # the user knows

    def test_names(self):
        assert choose("none", False, ("cat", "dog")) == ()
        assert "cutout" in choose("full", False, ("cat", "dog"))
        assert parse("flip,flop") is None
        with pytest.raises(ConfigError, match="augment"):
            ImageOptions(augment="flip,flop")
        with pytest.raises(ConfigError, match="size"):
            ImageOptions(size=(4, 4))
        with pytest.raises(ConfigError, match="'resnet'"):
            ImageOptions(model="resnett")
