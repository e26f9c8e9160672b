"""Reading by CTC, against the sum over all paths, and with what is known of words."""

import itertools
import math

import numpy as np
import pytest

from chainrule.errors import ChainruleError, ConfigError, ShapeError
from chainrule.tasks.sequence_to_text.ctc_decoding import WordModel, ctc_beam, ctc_greedy
from chainrule.tasks.sequence_to_text.word_ngrams import WordNGrams


def logarithms(z):
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def all_readings(scores, blank):
    """p of every sequence of labels, by all paths."""
    found = {}
    steps, classes = scores.shape
    for path in itertools.product(range(classes), repeat=steps):
        labels = tuple(label for label, _ in itertools.groupby(path) if label != blank)
        p = math.exp(sum(scores[t, label] for t, label in enumerate(path)))
        found[labels] = found.get(labels, 0.0) + p
    return sorted(found.items(), key=lambda pair: -pair[1])


@pytest.mark.parametrize("seed", range(30))
def test_a_wide_beam_finds_the_most_probable_readings(seed):
    rng = np.random.default_rng(seed)
    steps, classes = rng.integers(1, 6), rng.integers(2, 4)
    blank = int(rng.integers(classes))
    scores = logarithms(1.5 * rng.normal(size=(steps, classes)))
    expected = all_readings(scores, blank)[:3]
    [found] = ctc_beam(scores[None], blank=blank, beam=200, best=3)
    for (labels, p), reading in zip(expected, found, strict=False):
        assert tuple(reading.labels) == labels
        assert math.exp(reading.log_probability) == pytest.approx(p, rel=1e-3)


def test_repeated_labels_need_a_blank_between():
    p = np.array([[[0.05, 0.95], [0.9, 0.1], [0.05, 0.95]]])
    [reading] = ctc_greedy(np.log(p))
    assert reading.labels.tolist() == [1, 1]
    assert reading.steps.tolist() == [0, 2]
    [[best]] = ctc_beam(np.log(p))
    assert best.labels.tolist() == [1, 1]
    without = np.array([[[0.05, 0.95], [0.05, 0.95]]])
    assert ctc_greedy(np.log(without))[0].labels.tolist() == [1]
    assert ctc_beam(np.log(without))[0][0].labels.tolist() == [1]


def test_only_the_steps_of_a_row_count():
    scores = logarithms(np.random.default_rng(0).normal(size=(2, 6, 4)))
    lengths = [3, 0]
    for read in (ctc_greedy, lambda *given: [row[0] for row in ctc_beam(*given)]):
        first, second = read(scores, lengths)
        alone = read(scores[:1, :3])[0]
        assert first.labels.tolist() == alone.labels.tolist()
        assert first.score == pytest.approx(alone.score)
        assert second.labels.size == 0
        assert second.score == 0.0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda s: ctc_beam(s, beam=0), ConfigError, "beam from 1"),
        (lambda s: ctc_beam(s, beam=2, best=3), ConfigError, "no more readings"),
        (lambda s: ctc_greedy(s[0]), ShapeError, "rows, steps, classes"),
        (lambda s: ctc_greedy(s, blank=4), ShapeError, "blank 4"),
        (lambda s: ctc_greedy(s, [7]), ShapeError, "from 0 to 6"),
    ],
)
def test_what_is_refused(call, error, words):
    with pytest.raises(error, match=words) as raised:
        call(np.zeros((1, 6, 4)))
    assert isinstance(raised.value, ChainruleError)


# ---- words ---------------------------------------------------------------------------------------


def test_n_grams_are_a_distribution():
    """Over all words of one letter, and two, …; what was not seen has a part of it."""
    grams = WordNGrams.fit(["a b a", "b b", "a"], 2)
    for before in ((), ("a",), ("b",), ("never",)):
        seen = [math.exp(grams.log_probability(before, word)) for word in ("a", "b", None)]
        assert 0.5 < sum(seen) < 1.0
    counts = {("a",): {"b": 1, " ": 2}}  # after "a": "b" once, the end twice
    total, types, discount = 3, 2, 0.75
    rest = math.exp(grams.log_probability((), "b"))
    expected = (counts[("a",)]["b"] - discount + discount * types * rest) / total
    assert math.exp(grams.log_probability(("a",), "b")) == pytest.approx(expected)


def test_n_grams_in_a_model_file():
    grams = WordNGrams.fit(["one two three", "one two"], 3)
    again = WordNGrams.from_json(grams.to_json())
    for words in (("one", "two"), ("two",), ()):
        assert again.log_probability(words, "three") == grams.log_probability(words, "three")
    for damage in ({"order": 2}, {"counts": []}, {"characters": 0}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            WordNGrams.from_json(grams.to_json() | damage)
    with pytest.raises(ChainruleError, match="no words"):
        WordNGrams.fit(["", " "])


def test_words_that_are_known_win_over_a_slightly_better_spelling():
    letters = "_ actou"
    numbers = {letter: number for number, letter in enumerate(letters)}
    scores = np.full((6, len(letters)), -6.0)
    for step, letter in enumerate("a cat"):
        scores[step, numbers[letter]] = 5.0
    scores[3] = -6.0
    scores[3, numbers["o"]], scores[3, numbers["a"]] = 2.2, 2.0  # "cot" is a little more probable
    scores[5, 0] = 5.0
    scores = logarithms(scores)[None]
    model = WordModel(WordNGrams.fit(["a cat", "the cat", "a bat"], 2), dict(enumerate(letters)))

    def read(**how):
        return "".join(letters[label] for label in ctc_beam(scores, **how)[0][0].labels)

    assert read() == "a cot"
    assert read(model=model) == "a cat"
    assert read(model=model, weight=0.0) == "a cot"


@pytest.mark.parametrize("words", [False, True])
def test_rows_are_read_as_each_alone(words):
    """Also with few prefixes, which are left and found again, and a model that is always asked."""
    rng = np.random.default_rng(3)
    scores, lengths = logarithms(2 * rng.normal(size=(5, 25, 7))), [25, 0, 9, 24, 1]
    grams = WordNGrams.fit(["ab cd e", "abc de", "a bad dad"], 3)
    quick = WordModel(grams, dict(enumerate("_ abcde")), 2.0)

    class Asked:
        """The same, without saying which labels count."""

        start, read, end = quick.start, quick.read, quick.end

    how = {"beam": 4, "best": 4, "weight": 0.4}
    together = ctc_beam(scores, lengths, model=quick if words else None, **how)
    for row, length, found in zip(scores, lengths, together, strict=True):
        [alone] = ctc_beam(row[None, :length], model=Asked() if words else None, **how)
        assert [r.labels.tolist() for r in found] == [r.labels.tolist() for r in alone]
        np.testing.assert_allclose([r.score for r in found], [r.score for r in alone])
        assert len({tuple(r.labels) for r in found}) == len(found)
        total = sum(math.exp(r.log_probability) for r in found)
        assert total <= 1 + 1e-9
