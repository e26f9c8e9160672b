"""Copies are found, and what only looks alike at a glance is not taken for one."""

import numpy as np
import pytest

from chainrule.tasks.media.copies import Signatures, copies, digests_of_files, grouped, small


def textures(count, side=24, seed=0):
    """Smooth random pictures, as photographs are."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = generator.uniform(0, 3, (count, 6, 2))
    phases, heights = generator.uniform(0, 6.3, (count, 6)), generator.uniform(5, 30, (count, 6))
    angle = 2 * np.pi * (waves[..., :1, None] * y + waves[..., 1:, None] * x)
    sums = (heights[..., None, None] * np.sin(angle + phases[..., None, None])).sum(axis=1)
    return np.clip(128 + sums, 0, 255).astype(np.uint8)[..., None]


def noise(shape):
    return np.random.default_rng(1).normal(0, 2, shape)


def groups(batch):
    return copies(Signatures.of(batch, small(batch)))


def test_other_pictures_are_no_copies():
    assert groups(textures(300)).tolist() == list(range(300))


@pytest.mark.parametrize(
    "changed",
    [
        lambda x: x.copy(),
        lambda x: np.clip(x * 0.9 + 12, 0, 255).astype(np.uint8),  # contrast
        lambda x: np.clip(x + np.random.default_rng(1).normal(0, 2, x.shape), 0, 255).astype(
            x.dtype
        ),
    ],
    ids=["exact", "contrast", "noise"],
)
def test_copies_that_were_changed_a_little(changed):
    originals = textures(60)
    found = groups(np.concatenate([originals, changed(originals)]))
    assert np.mean(found[60:] == np.arange(60)) > 0.9
    assert found[:60].tolist() == list(range(60))


def test_what_is_empty_is_no_copy():
    blank = np.full((5, 12, 12, 1), 255, np.uint8)
    assert groups(blank).tolist() == [0, 1, 2, 3, 4]


def test_what_changes_step_by_step_does_not_make_one_group():
    y, x = np.mgrid[:32, :32]
    discs = np.stack([np.hypot(y - 15.5, x - 15.5) < r for r in np.linspace(4, 14, 120)])
    found = groups((discs[..., None] * 200).astype(np.uint8))
    assert np.bincount(found).max() < 40


def test_many_files_are_compared_by_their_bytes(tmp_path):
    contents = [b"one", b"two", b"three", b"one", b"", b""]
    paths = [tmp_path / str(n) for n in range(6)]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    found = copies(digests_of_files([*map(str, paths), str(tmp_path / "gone")]))
    assert found[:4].tolist() == [0, 1, 2, 0]


def test_where_most_look_alike_it_is_no_sign_of_a_copy():
    one = np.repeat(textures(1), 30, axis=0)
    frames = np.clip(one + np.random.default_rng(2).normal(0, 2, one.shape), 0, 255)
    batch = frames.astype(np.uint8)
    found, alike = grouped(Signatures.of(batch, small(batch)))
    assert alike
    assert found.tolist() == list(range(30))
    same = Signatures.of(one, small(one))
    assert grouped(same)[0].tolist() == [0] * 30
    assert not grouped(same)[1]
    few = np.concatenate([batch[:3], textures(3, seed=5)])
    assert copies(Signatures.of(few, small(few))).tolist() == [0, 0, 0, 3, 4, 5]
