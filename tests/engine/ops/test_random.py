"""Random numbers: the published bits, and what their distributions must be."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.ops.random import philox


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        (
            "00000000 00000000 00000000 00000000",
            "00000000 00000000",
            "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        ),
        (
            "ffffffff ffffffff ffffffff ffffffff",
            "ffffffff ffffffff",
            "408f276d 41c83b0e a20bc7c6 6d5451fd",
        ),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_known_answers(counter: str, key: str, expected: str) -> None:
    """The vectors that Salmon et al. publish with Random123 for philox4x32-10."""
    words = [np.array([int(word, 16) for word in text.split()]) for text in (counter, key)]
    found = philox(words[0][None], words[1].astype(np.uint32))[0]
    assert " ".join(f"{word:08x}" for word in found) == expected


def test_the_same_key_gives_the_same_bits() -> None:
    a, b = cr.random.bits(cr.random.key(7), (5, 3)), cr.random.bits(cr.random.key(7), (5, 3))
    assert a.tolist() == b.tolist()
    # The shape only arranges them: element i is word i of the stream.
    assert cr.random.bits(cr.random.key(7), (15,)).tolist() == a.reshape(-1).tolist()
    assert cr.random.bits(cr.random.key(7), (20,)).tolist()[:15] == a.reshape(-1).tolist()
    assert cr.random.bits(cr.random.key(8), (15,)).tolist() != a.reshape(-1).tolist()


def test_keys_of_large_and_negative_seeds() -> None:
    assert cr.random.key(2**32 + 5).tolist() == [5, 1]
    assert cr.random.key(-1).tolist() == [2**32 - 1, 2**32 - 1]


def test_keys_are_independent() -> None:
    """Neighbouring seeds and folded numbers share no more than chance allows."""
    streams = [cr.random.key(seed) for seed in range(4)]
    streams += [cr.random.fold_in(cr.random.key(0), number) for number in range(4)]
    streams += [cr.random.fold_in(streams[4], 0)]
    assert len({tuple(key.tolist()) for key in streams}) == len(streams)
    drawn = np.array([cr.random.normal(key, (4000,), "float64").numpy() for key in streams])
    correlations = np.corrcoef(drawn) - np.eye(len(streams))
    assert np.abs(correlations).max() < 4.5 / np.sqrt(4000)
    # The stream of keys is not the stream of bits.
    assert cr.random.fold_in(streams[0], 0).tolist() != cr.random.bits(streams[0], (2,)).tolist()


def test_uniform() -> None:
    n = 40_000
    for dtype in ("float32", "float64"):
        x = cr.random.uniform(cr.random.key(3), (n,), dtype=dtype).numpy()
        assert x.dtype == dtype
        assert x.min() >= 0.0
        assert x.max() < 1.0
        assert abs(x.mean() - 0.5) < 4.5 * np.sqrt(1 / 12 / n)
        counts = np.histogram(x, bins=100, range=(0, 1))[0]
        chi_square = ((counts - n / 100) ** 2 / (n / 100)).sum()
        assert chi_square < 99 + 4.5 * np.sqrt(2 * 99)
        assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 4.5 / np.sqrt(n)
    scaled = cr.random.uniform(cr.random.key(3), (1000,), -2.0, 6.0).numpy()
    assert scaled.min() >= -2.0
    assert scaled.max() <= 6.0
    assert np.all(x * 2**53 == np.floor(x * 2**53))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal(dtype: str) -> None:
    from scipy import stats

    n = 40_000
    x = cr.random.normal(cr.random.key(4), (n // 8, 8), dtype).numpy().ravel()
    assert np.isfinite(x).all()
    assert abs(x.mean()) < 4.5 / np.sqrt(n)
    assert abs(x.var() - 1) < 4.5 * np.sqrt(2 / n)
    assert stats.kstest(x, "norm").pvalue > 1e-4


def test_bernoulli() -> None:
    n = 40_000
    drawn = cr.random.bernoulli(cr.random.key(5), 0.3, (n,)).numpy()
    assert drawn.dtype == bool
    assert abs(drawn.mean() - 0.3) < 4.5 * np.sqrt(0.21 / n)
    never_and_always = cr.random.bernoulli(cr.random.key(5), cr.tensor([0.0, 1.0]), (1000, 2))
    assert never_and_always.sum(0).tolist() == [0, 1000]


def test_permutation() -> None:
    orders = np.array([cr.random.permutation(cr.random.key(s), 4).numpy() for s in range(2400)])
    assert (np.sort(orders, axis=1) == np.arange(4)).all()
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    assert ((counts - 100) ** 2 / 100).sum() < 23 + 4.5 * np.sqrt(2 * 23)


def test_randint() -> None:
    drawn = cr.random.randint(cr.random.key(6), (6000,), -2, 4).numpy()
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2, 3]
    assert ((counts - 1000) ** 2 / 1000).sum() < 5 + 4.5 * np.sqrt(10)


def test_random_numbers_pass_no_gradient_to_the_key_but_to_their_bounds() -> None:
    key = cr.random.key(1)
    slope = cr.grad(lambda low, high: cr.random.uniform(key, (3,), low, high).sum(), argnums=(0, 1))
    unit = cr.random.uniform(key, (3,)).numpy().sum()
    low, high = slope(0.0, 2.0)
    np.testing.assert_allclose([low.item(), high.item()], [3 - unit, unit], rtol=1e-6)


def test_a_uniform_number_is_made_of_53_bits_of_two_words() -> None:
    key = cr.random.key(11)
    words = cr.random.bits(key, (500, 2)).numpy().astype(np.uint64)
    expected = ((words[:, 0] >> 5) * 2**26 + (words[:, 1] >> 6)) / 2**53
    np.testing.assert_array_equal(cr.random.uniform(key, (500,), dtype="float64"), expected)
    words = cr.random.bits(key, (500,)).numpy()
    np.testing.assert_array_equal(cr.random.uniform(key, (500,)), (words >> 8) / np.float32(2**24))
