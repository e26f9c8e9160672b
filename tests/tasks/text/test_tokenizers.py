"""Tokenizers against what Unicode, counting by hand and sentencepiece itself say."""

import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ConfigError, DataError, ModelFileError
from chainrule.tasks.text import CharacterTokenizer, Grams, PieceTokenizer, WordTokenizer
from chainrule.tasks.text.ngrams import padded

POEM = "Die Rosen blühen rot,\nthe roses are red;\n\nles roses sont rouges — voilà!\n"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_characters_come_back_in_normal_form(text):
    letters = CharacterTokenizer.fit(text)
    expected = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    assert letters.decode(letters.encode(text)) == expected
    assert letters.characters == "".join(sorted(set(expected)))


def test_composed_and_decomposed_letters_are_the_same():
    letters = CharacterTokenizer.fit("caf\u00e9")
    assert letters.encode("cafe\u0301").tolist() == letters.encode("caf\u00e9").tolist()


def test_what_the_vocabulary_lacks_is_unknown_and_shown():
    letters = CharacterTokenizer.fit("ab")
    assert letters.encode("a→\U0001f600b").tolist() == [2, 1, 1, 3]
    assert letters.decode([2, 1, 0, 3]) == "a\N{REPLACEMENT CHARACTER}b"
    assert CharacterTokenizer("").encode("ab").tolist() == [1, 1]


def test_only_the_most_frequent_characters_are_kept():
    assert CharacterTokenizer.fit("aaabbbccd", most=2).characters == "ab"


@given(st.text("ab ',.é\n", max_size=80))
def test_words_with_their_spaces_restore_the_text(text):
    words = WordTokenizer.fit([text], lower=False, spaces=True)
    assert words.decode(words.encode(text)) == text


def test_words_are_in_the_order_of_their_counts():
    texts = ["b a a", "C a, b"]
    words = WordTokenizer.fit(texts)
    counts = Counter(["b", "a", "a", "c", "a", ",", "b"])
    assert list(words.words) == sorted(counts, key=lambda w: (-counts[w], w))
    assert WordTokenizer.fit(texts, most=1).words == ("a",)
    assert WordTokenizer.fit(texts, least=2).words == ("a", "b")


@given(st.lists(st.text("abc ", max_size=20), max_size=6), st.integers(1, 3))
def test_grams_are_all_runs_of_words(texts, longest):
    grams = Grams.fit(texts, longest=longest, least=1)
    expected = set()
    for text in texts:
        words = text.split()
        runs = [words[i : i + n] for n in range(1, longest + 1) for i in range(len(words) - n + 1)]
        expected |= {" ".join(run) for run in runs}
    assert set(grams.grams) == expected
    for text in texts:
        numbers = grams.encode(text)
        assert len(set(numbers.tolist())) == len(numbers)


def test_grams_of_characters_are_for_writing_without_spaces():
    grams = Grams.fit(["東京都", "京都"], unit="character", longest=2, least=2)
    assert set(grams.grams) == {"京", "都", "京都"}


def test_rows_are_cut_and_filled_up():
    assert padded([np.array([5, 6, 7]), np.array([], int)], 2).tolist() == [[5, 6], [0, 0]]


def test_pieces_restore_the_text_and_are_as_sentencepiece_says():
    sentencepiece = pytest.importorskip("sentencepiece", reason="needs chainrule[text]")
    pieces = PieceTokenizer.fit(POEM * 5, vocabulary=60)
    numbers = pieces.encode(POEM)
    assert len(pieces) == 60
    assert pieces.decode(numbers) == POEM
    assert len(numbers) < len(POEM)
    processor = sentencepiece.SentencePieceProcessor(model_proto=pieces._model)
    assert processor.encode("the roses") == pieces.encode("the roses").tolist()
    assert PieceTokenizer.fit(POEM * 5, vocabulary=60).to_json() == pieces.to_json()


def test_too_many_pieces_for_a_short_text_are_refused():
    pytest.importorskip("sentencepiece", reason="needs chainrule[text]")
    with pytest.raises(DataError, match="cannot be learned") as caught:
        PieceTokenizer.fit("short", vocabulary=5000)
    assert "--vocabulary" in caught.value.hint


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sentencepiece", None)
    with pytest.raises(ConfigError) as caught:
        PieceTokenizer.fit(POEM)
    assert "chainrule[text]" in caught.value.hint


@pytest.mark.parametrize(
    "tokenizer",
    [
        CharacterTokenizer.fit(POEM),
        WordTokenizer.fit([POEM]),
        WordTokenizer.fit([POEM], lower=False, spaces=True),
    ],
    ids=["characters", "words", "words and spaces"],
)
def test_a_tokenizer_is_data(tokenizer):
    again = cr.text.tokenizer_from_json(tokenizer.to_json())
    assert again.encode(POEM).tolist() == tokenizer.encode(POEM).tolist()
    assert len(again) == len(tokenizer)


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"kind": "pickle"},
        {"kind": "character"},
        {"kind": "character", "characters": "ba"},
        {"kind": "character", "characters": 7},
        {"kind": "word", "words": ["a", "a"], "lower": True, "spaces": False},
        {"kind": "word", "words": [1], "lower": True, "spaces": False},
        {"kind": "bpe", "model": "no base64!"},
    ],
)
def test_a_damaged_tokenizer_is_refused(content):
    with pytest.raises(ModelFileError):
        cr.text.tokenizer_from_json(content)


@pytest.mark.parametrize(
    "content",
    [None, {"grams": ["a", "a"], "unit": "word", "longest": 2}, {"grams": [], "unit": "x",
     "longest": 1}, {"grams": [], "unit": "word", "longest": 0}],
)  # fmt: skip
def test_a_damaged_vocabulary_is_refused(content):
    with pytest.raises(ModelFileError):
        Grams.from_json(content)
