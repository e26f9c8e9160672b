"""Pairs that do not belong together are named, and others are left in peace."""

import random

import pytest

from chainrule.errors import DataError
from chainrule.tasks.sequence_to_text.checks import check_targets, doubts, script_of
from chainrule.tasks.sequence_to_text.pairs import Pairs
from chainrule.tasks.sequence_to_text.sources import TextSource

ENGLISH = ("house", "tree", "river", "stone", "bird", "night", "water", "road", "old", "new")
FRENCH = ("maison", "arbre", "fleuve", "pierre", "oiseau", "nuit", "eau", "route", "vieux", "neuf")


def sentences(count, seed=0):
    rng = random.Random(seed)
    numbers = [[rng.randrange(10) for _ in range(rng.randint(2, 20))] for _ in range(count)]
    return [[" ".join(words[n] for n in row) for row in numbers] for words in (ENGLISH, FRENCH)]


def said(sources, targets, columns=("a",)):
    pairs = Pairs.of([(text,) * len(columns) for text in sources], targets, range(len(sources)))
    return doubts(TextSource(columns), pairs)


def test_good_pairs_are_left_in_peace():
    assert said(*sentences(600)) == []
    assert said(*sentences(20)) == []
    words = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrt"]
    assert said(words, [" ".join(word.upper()) for word in words]) == []
    numbers = [f"{n} euros" for n in range(100)]
    assert said(numbers, [str(n) for n in range(100)]) == []
    # A number in words, which no other row has, beside dates with that number as their year.
    years = [2000 + n % 5 for n in range(500)]
    dates = [f"on {n % 28} May {year}" for n, year in enumerate(years)]
    spelt = ["".join("abcdefghij"[int(d)] for d in str(year)) for year in years[:5]]
    isos = [f"{year}-05-{n % 28}" for n, year in enumerate(years)]
    assert said([*dates, *spelt], [*isos, *map(str, years[:5])]) == []


@pytest.mark.parametrize(("at", "where"), [(0, "from the beginning"), (400, "row 400")])
def test_a_line_too_many(at, where):
    english, french = sentences(900)
    french.insert(at, "une ligne de trop")
    (sentence,) = said(english, french[:900])
    assert where in sentence
    assert "1 row before" in sentence
    (sentence,) = said(french[:900], english)
    assert "1 row later" in sentence


def test_swapped_pairs():
    english, french = sentences(300)
    for row in (3, 50, 299):
        english[row], french[row] = french[row], english[row]
    assert said(english, french) == [
        "3 pairs seem to be swapped: their words are those of the other column (rows 3, 50, 299)"
    ]


def test_targets_that_say_little():
    english, french = sentences(100)
    assert "60 of 100 targets are their source" in said(english, english[:60] + french[60:])[0]
    assert "51 of 100 targets are 'oui'" in said(english, ["oui"] * 51 + french[51:])[0]
    with pytest.raises(DataError, match="same in every pair"):
        check_targets(Pairs.of(["a", "b"], ["x", "x"], "ab"), "pairs.csv")


def test_several_scripts():
    english, french = sentences(100)
    found = said(english, french[:80] + ["дом и дерево"] * 10 + ["家と木"] * 10)
    assert "80% latin, 10% cyrillic, 10% japanese or chinese" in found[0]
    assert script_of("漢字かな") == script_of("漢字") == "japanese or chinese"
