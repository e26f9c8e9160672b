"""A saved model that writes texts: for files, for lines as they come, and to be explained."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine.backends.base import Backend, precision_of
from ...engine.backends.registry import bfloat16_is_faster, find_backend
from ...errors import ConfigError, DataError
from ...serialization import SavedModel
from ...utils.typing import Array
from ..examples import Examples, RawRow, check_rows, no_target, shortened
from ..text.reading import is_text_file, read_text
from ..text.tokenizers import UNKNOWN
from .batching import encoded, sizes_of
from .consensus import by_expected_chrf
from .decoding import Decoding, Written
from .ensemble import Ensemble
from .outputs import Autoregressive
from .pairs import Pairs
from .reading import lines_of, read_as, read_pairs
from .schema import SequenceSchema
from .scoring import scores
from .sounds import SoundSource, is_silent, said_cut_off
from .sources import TextSource, texts_of

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]
#: A function of a batch of sources: the best texts for each row.
Write = Callable[[dict[str, Array]], list[list[Written]]]

#: Sources that are worked on at once; of fewer than so many, building a program takes longer.
_AT_ONCE, _WORTH_A_PROGRAM = 64, 200
#: So many sounds without words are named.
_NAMED = 5
#: Lengths are rounded up to so many steps.
_ROUND = 16


@dataclass(frozen=True)
class Text:
    """A text that a model wrote.

    Attributes:
        text: itself.
        score: Σ ln p / lengthᵅ, by which texts of one source are compared.
        ended: whether the model ended it.
    """

    text: str
    score: float
    ended: bool


def written(
    schema: SequenceSchema,
    network: Any,
    items: Sequence[Any],
    how: Decoding,
    backend: str | Backend = "auto",
    write: Write | None = None,
) -> list[list[Text]]:
    """The best texts for each item of a source, the best first.

    Items of similar length are worked on together; which ones they are changes no text.

    Args:
        schema: of the network.
        network: writes.
        items: of the source.
        how: greedily or by a beam.
        backend: what runs the network.
        write: what `writer_of` gave for the same, with the programs that it has built.
    """
    source = schema.source
    prepared = source.prepared(items)
    lengths = np.minimum(source.lengths(prepared), source.longest)
    found: list[list[Text]] = [[] for _ in items]
    write = write or writer_of(schema, network, how, backend)
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), _AT_ONCE):
        rows = order[start : start + _AT_ONCE]
        length = int(-(-lengths[rows].max() // _ROUND) * _ROUND)
        full = rows if len(order) <= _AT_ONCE else np.resize(rows, _AT_ONCE)
        batch = source.batch([prepared[row] for row in full], length)
        for row, best in zip(rows, write(batch), strict=False):
            texts = [_text(schema, each, prepared[row]) for each in best]
            found[row] = _most_expected(texts, how) if how.mbr else texts
    return found


def writer_of(schema: SequenceSchema, network: Any, how: Decoding, backend: str | Backend) -> Write:
    """What writes the texts of a batch; where some are drawn, they stand behind those of a beam."""
    if not how.mbr:
        return schema.output.writer(network, how, backend)
    beam = schema.output.writer(network, replace(how, best=how.beam, mbr=0), backend)
    sampler = schema.output.sampler(network, how, backend)
    return lambda source: [
        [*likely, *drawn] for likely, drawn in zip(beam(source), sampler(source), strict=True)
    ]


def _most_expected(texts: list[Text], how: Decoding) -> list[Text]:
    """The best texts by minimum Bayes risk, each once; those that were not ended come last."""
    first = list({text.text: text for text in reversed(texts)}.values())[::-1]
    drawn = texts[-how.mbr :]
    drawn = [text for text in drawn if text.ended] or drawn
    order = by_expected_chrf([text.text for text in first], [text.text for text in drawn])
    return sorted((first[place] for place in order), key=lambda text: not text.ended)[: how.best]


def _text(schema: SequenceSchema, found: Written, prepared: Any) -> Text:
    text = schema.source.text_of(schema.tokenizer, found.tokens, prepared)
    return Text(text, found.score, found.ended)


#: What is said in silence.
_NOTHING = Text("", 0.0, True)


class Translator:
    """A saved model that writes texts: a `chainrule.tasks.Predictor`."""

    def __init__(self, saved: SavedModel, path: str) -> None:
        self.saved = saved
        self.schema = SequenceSchema.from_json(saved.schema, path)
        self.record = saved.record
        self.network = self.schema.shape.rebuild(self.schema.source, saved.state())
        self._path = path
        self._last: tuple[tuple[Decoding, str, str], Write] | None = None

    def join(self, others: Sequence[Translator]) -> None:
        """Write together with other models from now on: by the mean of their probabilities.

        Raises:
            ConfigError: one of them has other tokens, or writes in another way.
        """

        def kind(model: Translator) -> Any:
            schema = model.schema
            source = schema.source.to_json() | {"columns": None}
            return schema.output.name, source, schema.tokenizer.to_json(), schema.shape.classes

        for other in others:
            if not isinstance(self.schema.output, Autoregressive) or kind(other) != kind(self):
                raise ConfigError(
                    "Models write together if they have the same tokens, and write token by token.",
                    where=f"{self._path} and {other._path}",
                    hint="Train one from the other: chainrule train DATA --target t --from MODEL.",
                )
        self.network = Ensemble([self.network, *(other.network for other in others)])
        self._last = None

    @property
    def classes(self) -> tuple[str, ...]:
        """There are none."""
        return ()

    def write(
        self,
        items: Sequence[Any],
        how: Decoding | None = None,
        *,
        say: Say = lambda sentence: None,
        backend: str | None = None,
        precision: str | None = None,
    ) -> list[list[Text]]:
        """The best texts for each item of the source, the best first.

        Args:
            items: texts, or a tuple of texts for each of several columns; of other sources what
                these take.
            how: greedily or by a beam; as in the training without it.
            say: takes notes.
            backend: what runs the network; without it a native program where it is worth building.
            precision: "bf16" for products of numbers rounded to bfloat16; see `chainrule.compile`.

        Raises:
            ConfigError: an unknown precision.
        """
        source = self.schema.source
        given = list(items)
        if isinstance(source, SoundSource):
            given = [source.given(item) for item in given]
        if isinstance(source, TextSource):
            given = lines_of(given) if all(isinstance(i, str) for i in given) else given
        self.doubts(given, say)
        backend = backend or ("auto" if len(given) >= _WORTH_A_PROGRAM else "numpy")
        how = how or self.schema.how
        write = self._writer(how, backend, precision_of(precision or "float32"), say)
        silent = [self._is_silent(item) for item in given]
        heard = [item for item, still in zip(given, silent, strict=True) if not still]
        texts = iter(written(self.schema, self.network, heard, how, backend, write))
        found = [[_NOTHING] if still else next(texts) for still in silent]
        if open_ := sum(not texts[0].ended for texts in found):
            most = self.schema.output.longest
            say(f"{open_:,} of {len(given):,} texts were not ended within {most:,} tokens")
        if isinstance(source, SoundSource):
            if cut := [item for item in given if item.cut_off]:
                say(said_cut_off(cut))
            empty = [item for item, (best, *_) in zip(given, found, strict=True) if not best.text]
            for sound in empty[:_NAMED]:
                say(f"no words are heard in {sound.path}")
            if more := len(empty[_NAMED:]):
                say(f"nor in {more:,} others")
        return found

    def _is_silent(self, item: Any) -> bool:
        """Whether it is a sound in which nothing is heard: a network hears something in any."""
        source = self.schema.source
        return isinstance(source, SoundSource) and is_silent(source.features(item))

    def _writer(self, how: Decoding, backend: str, precision: str, say: Say) -> Write:
        """What writes, with its programs: that of the last call where it is the same."""
        key = how, backend, precision
        before = None if self._last is None else self._last[0]
        if self._last is None or before != key:
            said = before is not None and before[2] == precision
            if precision == "bfloat16" and not said and not bfloat16_is_faster(backend):
                why = (
                    f"fewer than {_WORTH_A_PROGRAM} sources are written by NumPy"
                    if backend == "numpy"
                    else "there are no tile registers (AMX) for its products"
                )
                say(f"bf16 is not faster here than float32: {why}")
            found = find_backend(backend, precision=precision)
            self._last = key, writer_of(self.schema, self.network, how, found)
        return self._last[1]

    def doubts(self, items: Sequence[Any], say: Say) -> None:
        """Say what the model does not know of items, or does not see."""
        source = self.schema.source
        if isinstance(source, TextSource):
            self._say_unknown(source, items, say)
        lengths = source.lengths(source.prepared(items))
        if cut := int((lengths > source.longest).sum()):
            say(f"{cut:,} of {len(items):,} sources are longer than the {source.longest:,} "
                f"{source.unit} that the model sees: they are cut")  # fmt: skip

    def _say_unknown(self, source: TextSource, items: Sequence[Any], say: Say) -> None:
        tokens = source.prepared(items)
        unknown = sum(int((each.numbers == UNKNOWN).sum()) for each in tokens)
        if unknown:
            total = sum(map(len, tokens))
            say(f"{unknown:,} of {total:,} tokens are not in the vocabulary of the model")

    def predict(
        self,
        source: Any,
        *,
        proba: bool = False,
        say: Say = lambda sentence: None,
        how: Decoding | None = None,
        precision: str | None = None,
    ) -> pl.DataFrame:
        """The text of each source.

        Args:
            source: a table with the columns of the source, a file with a source in each line, or a
                list of texts.
            proba: the logarithm of the probability per token, too.
            say: takes notes.
            how: greedily or by a beam; as in the training without it.
            precision: of products; see `write`.
        """
        import polars as pl

        items = self._heard(source, say)
        known = [item for item in items if item is not None]
        if empty := len(items) - len(known):
            say(f"{empty:,} of {len(items):,} sources are empty: so are their texts")
        found = iter(self.write(known, how, say=say, precision=precision) if known else [])
        texts = [None if item is None else next(found)[0] for item in items]
        columns: dict[str, Any] = {
            "prediction": pl.Series(["" if t is None else t.text for t in texts], dtype=pl.String)
        }
        if proba:
            columns["log_score"] = pl.Series([None if t is None else t.score for t in texts],
                                         dtype=pl.Float64)  # fmt: skip
        return pl.DataFrame(columns)

    def _items(self, source: Any, say: Say) -> list[Any]:
        if isinstance(source, list) and isinstance(self.schema.source, SoundSource):
            return [self.schema.source.given(item) for item in source]
        if isinstance(source, list):
            items = [item if isinstance(item, tuple) else (str(item),) for item in source]
            return [item if all(text.strip() for text in item) else None for item in items]
        if (lines := self._lines(source)) is not None:
            return [(line.strip(),) if line.strip() else None for line in lines]
        frame, name = self._frame(source, say)
        return self.schema.source.read(frame, name, say)

    def _heard(self, source: Any, say: Say) -> list[Any]:
        """Items of sounds, of which some may be damaged: the others are written nevertheless."""
        known = self.schema.source
        if isinstance(source, list) or not isinstance(known, SoundSource):
            return self._items(source, say)
        frame, name = self._frame(source, say)
        return known.readable(frame, name, say)

    def _lines(self, source: Any) -> list[str] | None:
        """The lines of a text file that is no table with the column of the source."""
        known = self.schema.source
        if not isinstance(known, TextSource) or len(known.columns) > 1:
            return None
        if not isinstance(source, str | Path) or not is_text_file(Path(source)):
            return None
        text = read_text(source, self.schema.encoding)
        if not text:
            return []
        lines = text.removesuffix("\n").split("\n")
        return None if known.columns[0] in re.split(r"[\t,;|]", lines[0]) else lines

    def _pairs(self, source: Any, say: Say) -> Pairs:
        frame, name = self._frame(source, say)
        return read_pairs([frame], self.schema.source, str(self.schema.target), name, say)

    def _frame(self, source: Any, say: Say = lambda note: None) -> tuple[pl.DataFrame, str]:
        schema = self.schema
        return read_as(schema.source, str(schema.target), source, schema.encoding, say)

    def evaluate(
        self,
        source: Any,
        *,
        say: Say = lambda sentence: None,
        precision: str | None = None,
    ) -> dict[str, float]:
        """The metrics on pairs whose target is known, of texts written as by `write`."""
        pairs = self._pairs(source, say)
        items = [pairs.sources[row] for row in pairs.first]
        found = [texts[0].text for texts in self.write(items, say=say, precision=precision)]
        return scores(self.schema.metrics, pairs.references, found)

    def hidden(self, source: Any) -> Array | None:
        """The mean of each encoded source, (sources, features), to compare them by.

        None for networks that encode nothing apart from writing, and where a source is empty.
        """
        items = self._items(source, lambda sentence: None)
        if not hasattr(self.network, "encode") or any(item is None for item in items):
            return None
        kind = self.schema.source
        prepared = kind.prepared(items)
        lengths = np.minimum(kind.lengths(prepared), kind.longest)
        found: list[Any] = [None] * len(items)
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), _AT_ONCE):
            rows = order[start : start + _AT_ONCE]
            batch = kind.batch([prepared[row] for row in rows], int(lengths[rows].max()))
            memory = self.network.encode(batch["source"], batch["lengths"])[0].numpy()
            steps = batch.get("steps", batch["lengths"])
            for row, states, length in zip(rows, memory, steps, strict=True):
                found[row] = states[:length].mean(axis=0)
        return np.stack(found)

    def examples(
        self, source: Any, rows: Sequence[int], *, say: Say = lambda sentence: None
    ) -> Examples:
        """Pairs of a table: the source, and the target up to each token that is predicted.

        Raises:
            DataError: there is no such row, or it has no target.
        """
        schema = self.schema
        frame, name = self._frame(source)
        check_rows(rows, frame.height, name, "Rows of a table are counted from 0.")
        if schema.target is None or schema.target not in frame.columns:
            raise no_target(name, f"a column {schema.target!r}", ", ".join(frame.columns[:20]))
        frame = frame[list(rows)]
        items = schema.source.read(frame, name)
        texts = texts_of(frame, [schema.target])
        targets = [None if t is None else schema.source.text(t[0]) or None for t in texts]
        if any(item is None or text is None for item, text in zip(items, targets, strict=True)):
            raise DataError("A row has no source or no target.", where=name,
                            expected="both in each of the rows")  # fmt: skip
        pairs = Pairs.of(items, [str(text) for text in targets], range(len(items)))
        part = encoded(schema.source, schema.tokenizer, schema.output, pairs)
        s, t = sizes_of([part], 1)[-1]
        inputs, target = schema.output.batch(schema.source.batch(part.sources, s), part.targets, t)
        said = self.write(items)
        raw = tuple(
            RawRow(
                row,
                ({"column": ", ".join(schema.source.columns),
                  "text": shortened(schema.source.shown(items[place])),
                  "encoded": f"{part.source_lengths[place]:,} tokens", "input": "x.source"},),
                {"column": schema.target, "text": shortened(pairs.target[place])},
                shortened(said[place][0].text),
                f"Row {row}",
            )
            for place, row in enumerate(rows)
        )  # fmt: skip
        loss = schema.output.loss(0.0, schema.shape.copies is not None)
        return Examples(inputs, target, loss, raw, self.network)
