"""Bags of words: which words, and which words side by side, a text has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ...data.words import is_unspaced
from ...errors import DataError, ModelFileError
from ...utils.typing import Array
from .tokenizers import PADDING, SPECIAL, WordTokenizer, frequent, normalize

UNITS = ("word", "character")
#: So many neighbours without spaces are one part at most: nearly all words of Chinese.
_UNSPACED = 4
#: What pieces of words begin with, which is in no word.
_PIECE = "\t"


class Grams:
    """The parts of up to n neighbouring words (or characters) that texts have, as numbers.

    Args:
        grams: the vocabulary; the words of a part have spaces between them, and pieces of words
            begin with a tab.
        unit: "word" or "character".
        longest: n.
        unspaced: whether words of scripts without spaces are found by their characters; see
            `WordTokenizer`.
        letters: of words, pieces of 2 to so many letters are parts, too; the ends of a word are
            spaces in them.

    Example:
        >>> grams = Grams.fit(["not good", "not bad", "good"], least=1, longest=2)
        >>> grams.grams
        ('good', 'not', 'bad', 'not bad', 'not good')
        >>> grams.encode("not good at all").tolist()
        [3, 6, 2]
    """

    def __init__(
        self,
        grams: Sequence[str],
        unit: str,
        longest: int,
        unspaced: bool = True,
        letters: int = 0,
    ) -> None:
        self.grams = tuple(grams)
        self.unit = unit
        self.longest = longest
        self.letters = letters
        self._words = WordTokenizer((), unspaced=unspaced)
        self._numbers = {gram: number for number, gram in enumerate(self.grams, SPECIAL)}
        if len(self._numbers) < len(self.grams):
            raise DataError("A part of a text is in the vocabulary twice.")
        #: The number of the first piece of a word; there may be none.
        self.first_letters = SPECIAL + sum(not gram.startswith(_PIECE) for gram in self.grams)

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        unit: str = "word",
        longest: int = 2,
        most: int = 50_000,
        least: int = 2,
        letters: int = 0,
    ) -> Grams:
        """The vocabulary of texts: the parts that most of them have.

        Args:
            texts: to be learned from.
            unit: "word" or "character".
            longest: how many neighbours a part has at most.
            most: parts at most, and as many pieces of words; ties in the order of Unicode.
            least: in how many texts a part must be.
            letters: see `Grams`.
        """
        empty = cls((), unit, longest, letters=letters)
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(set(empty.parts(text)))
        pieces = {part: count for part, count in counts.items() if part.startswith(_PIECE)}
        for piece in pieces:
            del counts[piece]
        found = frequent(counts, most, least) + frequent(pieces, most, least)
        return cls(found, unit, longest, letters=letters)

    def without_letters(self) -> Grams:
        """The same without pieces of words."""
        words = self.grams[: self.first_letters - SPECIAL]
        return Grams(words, self.unit, self.longest, self._words.unspaced)

    def __len__(self) -> int:
        return SPECIAL + len(self.grams)

    def parts(self, text: str) -> Iterator[str]:
        """All parts of a text, known or not: at each place the short ones first."""
        if self.unit == "character":
            letters = " ".join(normalize(text).lower().split())
            for start in range(len(letters)):
                for end in range(start + 1, min(start + self.longest, len(letters)) + 1):
                    yield letters[start:end]
            return
        words = self._words.split(text)
        for start, end in enumerate(self._ends(words, text)):
            for stop in range(start + 1, end + 1):
                yield " ".join(words[start:stop])
        if self.letters:
            for word in words:
                yield from _pieces(word, self.letters)

    def _ends(self, words: Sequence[str], text: str) -> Iterator[int]:
        """Where the longest part that begins at each word ends: later between words like 天."""
        apart = [False] * len(words)
        if self._words.unspaced and not text.isascii():
            apart = [is_unspaced(word) for word in words]
        for start in range(len(words)):
            end = start
            while end < min(start + _UNSPACED, len(words)) and apart[end]:
                end += 1
            yield max(end, min(start + self.longest, len(words)))

    def encode(self, text: str) -> Array:
        """The numbers of the known parts of a text, each once, as they come: (n,) int32."""
        return self.counted(text)[0]

    def counted(self, text: str) -> tuple[Array, Array]:
        """The numbers of the known parts, and how often the text has each: int32 and float32."""
        known = self._numbers
        found = Counter(known[part] for part in self.parts(text) if part in known)
        return np.array(list(found), np.int32), np.array(list(found.values()), np.float32)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return {"kind": "grams", "grams": list(self.grams), "unit": self.unit,
                "longest": self.longest, "unspaced": self._words.unspaced,
                "letters": self.letters}  # fmt: skip

    @staticmethod
    def from_json(content: Any) -> Grams:
        """The vocabulary that `to_json` describes.

        Raises:
            ModelFileError: the description is damaged.
        """
        try:
            grams, unit, longest = content["grams"], content["unit"], content["longest"]
            letters = content.get("letters", 0)
            sizes = type(longest) is int and 0 < longest < 100 and letters in range(100)
            if unit in UNITS and sizes:
                unspaced = bool(content.get("unspaced"))
                return Grams([str(gram) for gram in grams], unit, longest, unspaced, letters)
        except (KeyError, TypeError, DataError) as error:
            found = f"{type(error).__name__}: {error}"
            raise ModelFileError("The vocabulary of the model is damaged.", found=found) from None
        raise ModelFileError("The vocabulary of the model is damaged.", found=f"{unit!r:.40}")


@lru_cache(100_000)
def _pieces(word: str, longest: int) -> tuple[str, ...]:
    """The pieces of a word of letters; none of a sign, or of a single character."""
    if len(word) < 2:
        return ()
    word = f" {word} "
    return tuple(
        _PIECE + word[start : start + count]
        for start in range(len(word))
        for count in range(2, min(longest, len(word) - start) + 1)
    )


def padded(rows: Sequence[Array], length: int, dtype: Any = np.int32) -> Array:
    """Rows of indices truncated or padded to one length, (rows, length) int32.

    Example:
        >>> padded([np.array([7, 8, 9]), np.array([5])], 2)
        array([[7, 8],
               [5, 0]], dtype=int32)
    """
    full = np.full((len(rows), length), PADDING, dtype)
    for place, row in zip(full, rows, strict=True):
        place[: len(row)] = row[:length]
    return full
