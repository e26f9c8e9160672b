"""Random numbers outside of the graph: published bits, independent streams, even draws."""

import numpy as np

from chainrule.utils.random import generator, uniform


def test_the_bits_are_those_of_philox():
    """Known answers of Random123 (Salmon et al., 2011); NumPy counts up before it draws."""
    answer = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert np.random.Philox(key=0, counter=2**256 - 1).random_raw(4).tolist() == answer
    words = np.random.Philox(key=2**64 - 5).random_raw(8)
    assert np.array_equal(generator(-5).bit_generator.random_raw(8), words)


def test_every_argument_gives_a_stream_of_its_own():
    arguments = [(seed, purpose, *numbers) for seed in (0, 1, -1, 2**64 - 2)
                 for purpose in ("", "a", "b")
                 for numbers in ((), (1,), (0, 1), (0, 0, 1), (1, 1), (2,))]  # fmt: skip
    first = {tuple(generator(*given).integers(2**62, size=2)) for given in arguments}
    assert len(first) == len(arguments)
    assert generator(3, "a", 1).random() == generator(3, "a", 1, 0, 0).random()
    assert generator(3, "a", np.int64(7)).random() == generator(3, "a", 7).random()


def test_rows_are_even_and_independent():
    found = uniform(3, "a", 5, np.arange(20_000), 4)
    assert found.min() >= 0
    assert found.max() < 1
    assert np.abs(found.mean(axis=0) - 0.5).max() < 0.01
    assert np.abs(found.var(axis=0) - 1 / 12).max() < 0.003
    correlations = np.corrcoef(found.T) - np.eye(4)
    assert np.abs(correlations).max() < 0.03
    assert np.abs(np.corrcoef(found[:-1, 0], found[1:, 0])[0, 1]) < 0.03
    for seed, purpose, epoch in ((3, "a", 6), (4, "a", 5), (3, "b", 5)):
        assert not (found[:9] == uniform(seed, purpose, epoch, np.arange(9), 4)).any()
    assert np.array_equal(found[[8, 3]], uniform(3, "a", 5, np.array([8, 3]), 4))
    assert uniform(3, "a", 5, np.arange(0), 4).shape == (0, 4)
