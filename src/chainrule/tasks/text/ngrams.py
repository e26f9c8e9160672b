"""Bags of words: which words, and which words side by side, a text has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ...data.words import is_unspaced
from ...errors import DataError, ModelFileError
from ...utils.typing import Array
from .tokenizers import PADDING, SPECIAL, WordTokenizer, frequent, normalize

UNITS = ("word", "character")
#: So many neighbours without spaces are one part at most: nearly all words of Chinese.
_UNSPACED = 4


class Grams:
    """The parts of up to n neighbouring words (or characters) that texts have, as numbers.

    Args:
        grams: the vocabulary; the words of a part have spaces between them.
        unit: "word" or "character".
        longest: n.
        unspaced: whether words of scripts without spaces are found by their characters; see
            `WordTokenizer`.

    Example:
        >>> grams = Grams.fit(["not good", "not bad", "good"], least=1, longest=2)
        >>> grams.grams
        ('good', 'not', 'bad', 'not bad', 'not good')
        >>> grams.encode("not good at all").tolist()
        [3, 6, 2]
    """

    def __init__(
        self, grams: Sequence[str], unit: str, longest: int, unspaced: bool = True
    ) -> None:
        self.grams = tuple(grams)
        self.unit = unit
        self.longest = longest
        self._words = WordTokenizer((), unspaced=unspaced)
        self._numbers = {gram: number for number, gram in enumerate(self.grams, SPECIAL)}
        if len(self._numbers) < len(self.grams):
            raise DataError("A part of a text is in the vocabulary twice.")

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        unit: str = "word",
        longest: int = 2,
        most: int = 50_000,
        least: int = 2,
    ) -> Grams:
        """The vocabulary of texts: the parts that most of them have.

        Args:
            texts: to be learned from.
            unit: "word" or "character".
            longest: how many neighbours a part has at most.
            most: parts at most; ties in the order of Unicode.
            least: in how many texts a part must be.
        """
        empty = cls((), unit, longest)
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(set(empty.parts(text)))
        return cls(frequent(counts, most, least), unit, longest)

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
        known = self._numbers
        found = dict.fromkeys(known[part] for part in self.parts(text) if part in known)
        return np.array(list(found), np.int32)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return {"kind": "grams", "grams": list(self.grams), "unit": self.unit,
                "longest": self.longest, "unspaced": self._words.unspaced}  # fmt: skip

    @staticmethod
    def from_json(content: Any) -> Grams:
        """The vocabulary that `to_json` describes.

        Raises:
            ModelFileError: the description is damaged.
        """
        try:
            grams, unit, longest = content["grams"], content["unit"], content["longest"]
            if unit in UNITS and type(longest) is int and 0 < longest < 100:
                unspaced = bool(content.get("unspaced"))
                return Grams([str(gram) for gram in grams], unit, longest, unspaced)
        except (KeyError, TypeError, DataError) as error:
            found = f"{type(error).__name__}: {error}"
            raise ModelFileError("The vocabulary of the model is damaged.", found=found) from None
        raise ModelFileError("The vocabulary of the model is damaged.", found=f"{unit!r:.40}")


def padded(rows: Sequence[Array], length: int) -> Array:
    """Rows of indices truncated or padded to one length, (rows, length) int32.

    Example:
        >>> padded([np.array([7, 8, 9]), np.array([5])], 2)
        array([[7, 8],
               [5, 0]], dtype=int32)
    """
    full = np.full((len(rows), length), PADDING, np.int32)
    for place, row in zip(full, rows, strict=True):
        place[: len(row)] = row[:length]
    return full
