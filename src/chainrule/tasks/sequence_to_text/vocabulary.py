"""Which tokens suit texts: by what stands between their spaces, and how long they are."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Sequence

from ...data.words import words_of
from ...errors import DataError
from ...utils.typing import Array
from ..kinds.sequence_to_text import SequenceToTextOptions
from ..text.tokenizers import SymbolTokenizer, Tokenizer, WordTokenizer, fit_tokenizer

Say = Callable[[str], None]

#: Tokens at most, by kind.
_MOST = {"character": 8192, "word": 20_000, "bpe": 8000, "symbol": 20_000}
#: Texts that are written with so few symbols, each there so often, are written by symbols.
_FEW_SYMBOLS, _OFTEN = 200, 20
#: And with so few words, by words, if hardly any word is there once only.
_FEW_WORDS, _ONCE = 2000, 0.05
#: Where words can be copied, those that are there less often are left out of the vocabulary: the
#: network learns to copy what it does not know.
_RARE = 5
#: So many characters are read one by one; longer texts in pieces of words.
_SHORT = 48
#: A piece for so many characters of the texts.
_CHARACTERS_A_PIECE = 60


def tokenizer_kind(texts: Sequence[str]) -> str:
    """The kind of tokenizer that suits such texts.

    Example:
        >>> tokenizer_kind(["HH AH0 L OW1", "K AE1 T"] * 50)
        'symbol'
        >>> tokenizer_kind(["hello", "cat"] * 50)
        'character'
    """
    symbols = Counter(symbol for text in texts for symbol in text.split())
    several = symbols.total() > 1.05 * len(texts)
    as_written = all(" ".join(text.split()) == text for text in texts[:1000])
    often = symbols.total() >= _OFTEN * len(symbols)
    punctuated = any(len(symbol) > 1 and symbol[-1] in ",.;?!" for symbol in symbols)
    if several and as_written and not punctuated and len(symbols) <= _FEW_SYMBOLS and often:
        return "symbol"
    if several and symbols.total() < 1.5 * len(texts):
        several = False
    words = Counter(word for text in texts for word in words_of(text))
    once = sum(count == 1 for count in words.values())
    if several and len(words) <= _FEW_WORDS and often and once <= _ONCE * len(words):
        return "word"
    letters = sum(map(len, texts)) / max(len(texts), 1)
    if not several or letters <= _SHORT:
        return "character"
    return "bpe" if importlib.util.find_spec("sentencepiece") else "word"


def encode_text(tokenizer: Tokenizer, text: str) -> Array:
    """The tokens of a text; a word at its beginning is the one that it is elsewhere."""
    return tokenizer.encode(spaced(tokenizer.kind, text))


def spaced(kind: str, text: str) -> str:
    """A text as tokenizers take it whose words keep the space before them."""
    return f" {text}" if kind in ("word", "bpe") else text


def words_as_tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    """What each token of a text stands for, known or not; nothing of tokenizers without words."""
    if isinstance(tokenizer, WordTokenizer):
        return tokenizer.split(spaced(tokenizer.kind, text))
    return text.split() if isinstance(tokenizer, SymbolTokenizer) else []


def fit_tokenizers(
    sources: Sequence[str],
    targets: Sequence[str],
    options: SequenceToTextOptions,
    say: Say,
    copies: bool = False,
) -> tuple[Tokenizer, Tokenizer]:
    """The tokenizers of sources and targets; the same one where both are of the same kind."""
    first = options.tokenizer or tokenizer_kind(sources)
    second = options.target_tokenizer or options.tokenizer or tokenizer_kind(targets)
    if copies:  # what is copied must be a token of both
        second = first
    if first == second:
        both = _fitted(first, [*sources, *targets], options, say, _RARE if copies else 1)
        return both, both
    return _fitted(first, sources, options, say), _fitted(second, targets, options, say)


def _fitted(
    kind: str, texts: Sequence[str], options: SequenceToTextOptions, say: Say, least: int = 1
) -> Tokenizer:
    most = options.vocabulary or _MOST[kind]
    texts = [spaced(kind, text) for text in texts]
    if kind == "word" and least > 1:
        return WordTokenizer.fit(texts, most, least, lower=False, spaces=True)
    if kind != "bpe":
        return fit_tokenizer(kind, texts, most, exact=True)
    if options.vocabulary is None:
        characters = len(set("".join(texts)))
        suits = sum(map(len, texts)) // _CHARACTERS_A_PIECE
        most = max(min(most, suits), characters + 100)
    for _ in range(8):
        try:
            return fit_tokenizer(kind, texts, most, exact=True)
        except DataError:
            if options.vocabulary is not None or most < 32:
                raise
            most //= 2  # the texts have fewer pieces than that
    say("the texts have too few pieces of words: they are taken apart into characters")
    return fit_tokenizer("character", texts, _MOST["character"], exact=True)
