"""Words in many scripts."""

import unicodedata

import polars as pl
import pytest

from chainrule.data.words import count_words, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't like 1,5 a_b", ["I", "don't", "like", "1", ",", "5", "a_b"]),
        ("天气 is 很好。", ["天", "气", "is", "很", "好", "。"]),
        ("カメラ", ["カ", "メ", "ラ"]),
        ("ดีครับ", ["ดี", "ค", "รั", "บ"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("می\u200cخواهم بروم", ["می\u200cخواهم", "بروم"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("l’été, naïve", ["l’été", ",", "naïve"]),
        ("👍ok", ["👍", "ok"]),
        ("", []),
    ],
)
def test_words_of_scripts(text, words):
    assert words_of(unicodedata.normalize("NFC", text)) == words
    assert "".join(words_of(text, spaces=True)) == text


def test_the_quick_pattern_finds_the_same_words_as_the_one_for_all_scripts():
    text = "It's 3.5 o'clock;\tx_1 -- 'quoted' (a)\n\n end"
    for spaces in (False, True):
        # An emoji at the end makes the text one of all scripts.
        assert [*words_of(text, spaces), "☂"] == words_of(text + "☂", spaces)


def test_two_characters_without_spaces_are_about_a_word():
    assert count_words(pl.Series(["a b c", "天气很好", "x天气", ""])).to_list() == [3, 2, 2, 0]
