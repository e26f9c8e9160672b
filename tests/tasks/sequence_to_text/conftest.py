"""Pairs of words and digits, and a network that has learned them by heart."""

import itertools

import pytest

import chainrule as cr

DIGITS = ("zero", "one", "two", "three", "four")


def pairs_of_digits(longest=3):
    """All numbers of so many of five digits: ``one two`` and ``1-2``."""
    found = [
        numbers
        for length in range(1, longest + 1)
        for numbers in itertools.product(range(len(DIGITS)), repeat=length)
    ]
    return {
        "words": [" ".join(DIGITS[n] for n in numbers) for numbers in found],
        "number": ["-".join(map(str, numbers)) for numbers in found],
    }


@pytest.fixture(scope="session")
def trained():
    """The result of a training on digits, its data and the file of the model."""
    data = pairs_of_digits()
    options = cr.sequence_to_text.SequenceToTextOptions(
        target="number", hidden=(32,), epochs=40, batch_size=16, lr=5e-3, dropout=0.0,
        tokenizer="word", target_tokenizer="character", backend="numpy",
    )  # fmt: skip
    return cr.sequence_to_text.train(data, options, progress=False), data


@pytest.fixture(scope="session")
def model(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "model.safetensors"
    trained[0].save(path)
    return cr.sequence_to_text.load(path)
