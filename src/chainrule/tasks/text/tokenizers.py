"""Text to integers and back: by characters, by words, or by subword tokens (BPE).

A tokenizer is data: its vocabulary is fixed by the training text, goes into the model file as JSON,
and the same text gives the same vocabulary on every machine. Number 0 is padding, number 1 whatever
the vocabulary lacks. Texts are brought into Unicode's normal form C first (UAX #15), so that "é" is
one character whether it was typed as one or as "e" with an accent.
"""

from __future__ import annotations

import base64
import io
import re
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ...data.words import words_of
from ...errors import ConfigError, DataError, ModelFileError
from ...utils.typing import Array

PADDING, UNKNOWN = 0, 1
#: How many numbers stand for no piece of text.
SPECIAL = 2
#: What is shown for what the vocabulary lacks.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

#: What models of earlier versions take for words: whole runs of scripts without spaces, too.
_WORDS = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_WORDS_AND_SPACES = re.compile(r" ?\w+(?:['’]\w+)*| ?[^\w\s]|\s")


def normalize(text: str) -> str:
    r"""Unicode's normal form C, and ``\n`` at the end of each line.

    Example:
        >>> normalize("cafe\u0301\r\n") == "caf\u00e9\n"
        True
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


class Tokenizer(ABC):
    """Texts ↔ integers from 0 to ``len(tokenizer) - 1``."""

    kind: ClassVar[str]

    @abstractmethod
    def __len__(self) -> int:
        """How many numbers there are, padding and unknown included."""

    @abstractmethod
    def encode(self, text: str) -> Array:
        """The numbers of a text, (n,) int32."""

    @abstractmethod
    def piece(self, number: int) -> str:
        """The text of one number; nothing for padding."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """What `tokenizer_from_json` takes."""

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of these numbers."""
        return "".join(self.piece(int(number)) for number in numbers)


class CharacterTokenizer(Tokenizer):
    """Every character is a number, in the order of Unicode.

    Args:
        characters: the vocabulary, ascending and each once.

    Example:
        >>> letters = CharacterTokenizer.fit("abba!")
        >>> letters.encode("bad").tolist(), letters.decode([4, 3])
        ([4, 3, 1], 'ba')
    """

    kind = "character"

    def __init__(self, characters: str) -> None:
        codes = [ord(character) for character in characters]
        if codes != sorted(set(codes)):
            raise DataError("The characters of a vocabulary are ascending, each once.")
        self.characters = characters
        self._codes = np.array(codes, np.uint32)

    @classmethod
    def fit(cls, text: str, most: int = 8192) -> CharacterTokenizer:
        """The vocabulary of a text: all of its characters, or the ``most`` frequent ones."""
        counts = _characters(normalize(text))
        frequent = sorted(counts, key=lambda code: (-counts[code], code))[:most]
        return cls("".join(map(chr, sorted(frequent))))

    def __len__(self) -> int:
        return SPECIAL + len(self.characters)

    def encode(self, text: str) -> Array:
        codes = _code_points(normalize(text))
        if not self.characters:
            return np.full(len(codes), UNKNOWN, np.int32)
        place = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        known = self._codes[place] == codes
        return np.where(known, place + SPECIAL, UNKNOWN).astype(np.int32)

    def piece(self, number: int) -> str:
        return _special(number) if number < SPECIAL else self.characters[number - SPECIAL]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "characters": self.characters}


def _code_points(text: str) -> Array:
    # Lone halves of characters come from names that the system could not decode.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _characters(text: str) -> dict[int, int]:
    codes, counts = np.unique(_code_points(text), return_counts=True)
    return dict(zip(codes.tolist(), counts.tolist(), strict=True))


def _special(number: int) -> str:
    return REPLACEMENT if number == UNKNOWN else ""


class WordTokenizer(Tokenizer):
    """Every word and every mark is a number, the frequent ones first.

    Args:
        words: the vocabulary.
        lower: whether case is ignored.
        spaces: whether words keep the space before them, so that `decode` restores a text; what
            the vocabulary lacks is lost.
        unspaced: whether each character of a script without spaces, such as Chinese, is a word.

    Example:
        >>> words = WordTokenizer.fit(["To be, or not to be"])
        >>> words.words, words.encode("Be or see").tolist()
        (('be', 'to', ',', 'not', 'or'), [2, 6, 1])
    """

    kind = "word"

    def __init__(
        self,
        words: Sequence[str],
        lower: bool = True,
        spaces: bool = False,
        unspaced: bool = True,
    ) -> None:
        self.words = tuple(words)
        self.lower = lower
        self.spaces = spaces
        self.unspaced = unspaced
        self._numbers = {word: number for number, word in enumerate(self.words, SPECIAL)}
        if len(self._numbers) < len(self.words):
            raise DataError("A word is in the vocabulary twice.")

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        most: int = 20_000,
        least: int = 1,
        lower: bool = True,
        spaces: bool = False,
    ) -> WordTokenizer:
        """The vocabulary of texts.

        Args:
            texts: to be learned from.
            most: how many words at most: the most frequent ones, ties in the order of Unicode.
            least: how often a word must occur.
            lower: see `WordTokenizer`.
            spaces: see `WordTokenizer`.
        """
        empty = cls((), lower, spaces)
        counts = Counter(word for text in texts for word in empty.split(text))
        return cls(frequent(counts, most, least), lower, spaces)

    def split(self, text: str) -> list[str]:
        """The words of a text, known or not."""
        text = normalize(text)
        text = text.lower() if self.lower else text
        if self.unspaced:
            return words_of(text, self.spaces)
        return (_WORDS_AND_SPACES if self.spaces else _WORDS).findall(text)

    def __len__(self) -> int:
        return SPECIAL + len(self.words)

    def encode(self, text: str) -> Array:
        known = self._numbers
        return np.array([known.get(word, UNKNOWN) for word in self.split(text)], np.int32)

    def piece(self, number: int) -> str:
        return _special(number) if number < SPECIAL else self.words[number - SPECIAL]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of these numbers: exact with ``spaces``, otherwise words with spaces between."""
        pieces = [self.piece(int(number)) for number in numbers]
        return "".join(pieces) if self.spaces else " ".join(filter(None, pieces))

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "words": list(self.words), "lower": self.lower,
                "spaces": self.spaces, "unspaced": self.unspaced}  # fmt: skip


class SymbolTokenizer(Tokenizer):
    """What stands between spaces is a number each, such as the phones ``HH AH0 L OW1``.

    Args:
        symbols: the vocabulary, the frequent ones first.

    Example:
        >>> phones = SymbolTokenizer.fit(["K AE1 T", "K AA1 R"])
        >>> phones.symbols, phones.decode(phones.encode("T AE1  K"))
        (('K', 'AA1', 'AE1', 'R', 'T'), 'T AE1 K')
    """

    kind = "symbol"

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        self._numbers = {symbol: number for number, symbol in enumerate(self.symbols, SPECIAL)}
        if len(self._numbers) < len(self.symbols):
            raise DataError("A symbol is in the vocabulary twice.")

    @classmethod
    def fit(cls, texts: Iterable[str], most: int = 20_000) -> SymbolTokenizer:
        """The vocabulary of texts: the ``most`` frequent symbols."""
        counts = Counter(symbol for text in texts for symbol in normalize(text).split())
        return cls(frequent(counts, most, 1))

    def __len__(self) -> int:
        return SPECIAL + len(self.symbols)

    def encode(self, text: str) -> Array:
        known = self._numbers
        return np.array([known.get(s, UNKNOWN) for s in normalize(text).split()], np.int32)

    def piece(self, number: int) -> str:
        return _special(number) if number < SPECIAL else self.symbols[number - SPECIAL]

    def decode(self, numbers: Iterable[int]) -> str:
        return " ".join(piece for piece in map(self.piece, map(int, numbers)) if piece)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "symbols": list(self.symbols)}


def frequent(counts: Mapping[str, int], most: int, least: int) -> list[str]:
    """The most frequent, each at least so often; ties in the order of Unicode."""
    kept = [word for word, count in counts.items() if count >= least]
    return sorted(kept, key=lambda word: (-counts[word], word))[:most]


class PieceTokenizer(Tokenizer):
    """Pieces of words, found by byte-pair encoding (Sennrich et al., 2016) with sentencepiece.

    Args:
        model: a model of sentencepiece, serialized.

    Raises:
        ConfigError: sentencepiece is not installed.
        DataError: this is no such model.
    """

    kind = "bpe"

    def __init__(self, model: bytes) -> None:
        self._model = model
        self._processor = _sentencepiece().SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise DataError("This is not a model of sentencepiece.", found=str(error)) from None

    @classmethod
    def fit(cls, text: str, vocabulary: int = 1000) -> PieceTokenizer:
        """Find the pieces of a text: ``vocabulary`` numbers in all.

        Raises:
            DataError: the text is too short for so many pieces.
        """
        written = io.BytesIO()
        lines = [line for line in normalize(text).split("\n") if line]
        try:
            _sentencepiece().SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=written,
                model_type="bpe",
                vocab_size=vocabulary,
                pad_id=PADDING,
                unk_id=UNKNOWN,
                bos_id=-1,
                eos_id=-1,
                character_coverage=1.0,
                normalization_rule_name="identity",  # the text keeps its spaces
                remove_extra_whitespaces=False,
                add_dummy_prefix=False,
                user_defined_symbols=["\n"],
                max_sentence_length=1 << 20,
                num_threads=1,  # the same pieces on every machine
                minloglevel=2,
            )
        except RuntimeError as error:
            raise DataError(
                "The subword tokens cannot be learned from this text.",
                expected=f"enough text for {vocabulary:,} pieces",
                found=str(error).splitlines()[0][:300],
                hint="Choose a smaller --vocabulary.",
            ) from None
        return cls(written.getvalue())

    def __len__(self) -> int:
        return int(self._processor.GetPieceSize())

    def encode(self, text: str) -> Array:
        return np.array(self._processor.EncodeAsIds(normalize(text)), np.int32)

    def piece(self, number: int) -> str:
        if number < SPECIAL:
            return _special(number)
        return str(self._processor.IdToPiece(number)).replace("\N{LOWER ONE EIGHTH BLOCK}", " ")

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "model": base64.b64encode(self._model).decode("ascii")}


def _sentencepiece() -> Any:
    try:
        import sentencepiece
    except ImportError:
        raise ConfigError(
            "Pieces of words need the package sentencepiece.",
            hint="pip install 'chainrule[text]', or choose --tokenizer character.",
        ) from None
    return sentencepiece


def fit_tokenizer(kind: str, texts: Sequence[str], most: int, *, exact: bool) -> Tokenizer:
    """A tokenizer with the vocabulary of texts.

    Args:
        kind: character, word, bpe or symbol.
        texts: to be learned from.
        most: how many numbers at most.
        exact: words keep case and spaces, so that texts can be written with them.
    """
    if kind == "character":
        return CharacterTokenizer.fit("".join(texts), most)
    if kind == "bpe":
        return PieceTokenizer.fit("\n".join(texts), most)
    if kind == "symbol":
        return SymbolTokenizer.fit(texts, most)
    return WordTokenizer.fit(texts, most, lower=not exact, spaces=exact)


def tokenizer_from_json(content: Any) -> Tokenizer:
    """The tokenizer that `Tokenizer.to_json` describes; nothing in it is run.

    Raises:
        ModelFileError: the description is damaged.

    Example:
        >>> tokenizer_from_json(CharacterTokenizer("ab").to_json()).encode("b").tolist()
        [3]
    """
    try:
        kind = content["kind"]
        if kind == "character" and isinstance(content["characters"], str):
            return CharacterTokenizer(content["characters"])
        if kind == "word" and all(isinstance(word, str) for word in content["words"]):
            lower, spaces = bool(content["lower"]), bool(content["spaces"])
            return WordTokenizer(content["words"], lower, spaces, bool(content.get("unspaced")))
        if kind == "symbol" and all(isinstance(symbol, str) for symbol in content["symbols"]):
            return SymbolTokenizer(content["symbols"])
        if kind == "bpe":
            return PieceTokenizer(base64.b64decode(content["model"], validate=True))
    except (KeyError, TypeError, ValueError, DataError) as error:
        if isinstance(error, ConfigError):  # a package is missing: the file is all right
            raise
        raise ModelFileError("The tokenizer of the model is damaged.", found=str(error)) from None
    raise ModelFileError("The tokenizer of the model is of no known kind.", found=f"{kind!r:.60}",
                         expected="character, word, bpe or symbol")  # fmt: skip
