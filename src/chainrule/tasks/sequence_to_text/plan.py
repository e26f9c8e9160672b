"""The training on pairs of source and text, as a plan for `chainrule.tasks.runner`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...drawing.blocks import Section
from ...errors import ConfigError, DataError, ModelFileError
from ...serialization import SavedModel
from ...training import Trainer
from ...utils.typing import Array
from ..kinds.sequence_to_text import SequenceToTextOptions
from ..partition import Partition
from ..plan import Examples, Learner, Plan, Recipe, Split, split_rows
from ..tested import Answers, Tested
from ..warm_start import named_model
from . import inspection
from .baselines import texts_for_nothing
from .batching import Encoded, encoded, sizes_of, stream_of
from .checks import check_targets, doubts
from .ctc_output import CtcOutput
from .decoding import Decoding
from .network import SequenceShape
from .outputs import Output
from .pairs import Pairs
from .reading import (
    find_source,
    need_target,
    pairs_in_parts,
    read_as,
    read_frame,
    read_pairs,
    scan_of,
)
from .schema import OUTPUT_OF, OUTPUTS, SequenceSchema
from .scoring import metric_names, scores, text_errors
from .sounds import SoundSource, frames_of
from .sources import Source, TextSource
from .speech_words import helped_by_words
from .translator import written
from .vocabulary import encode_text

Say = Callable[[str], None]

#: So many pairs that cannot be learned from are named.
_NAMED = 5
#: Up to so many pairs the network is small.
_FEW = 3000
_HIDDEN = {
    "transformer": ((128, 128), (192, 192, 192)), "lstm": ((128,), (256,)),
    "ctc-lstm": ((256, 256), (256, 256)), "ctc-transformer": ((144,) * 4, (192,) * 6),
}  # fmt: skip
_RATES = {"transformer": 1e-3, "lstm": 2e-3, "ctc-lstm": 2e-3, "ctc-transformer": 1e-3}
_FEWEST_UPDATES = 1500
_SMOOTHING = 0.1
#: Continuations that are followed at once when a text is written.
_BEAM = 1
#: What weights belong to.
_OF_A_MODEL = (
    "model", "hidden", "tokenizer", "target_tokenizer", "vocabulary", "context", "copy",
)  # fmt: skip
#: Of fewer pairs a fifth is the test set, otherwise a tenth, but no more than `_TESTED`.
_SMALL = 5000
_TESTED = 3000


class SequenceToText(Plan[Pairs, Pairs, SequenceSchema]):
    """Sources that become texts, such as translations, pronunciations and answers."""

    kind, task, unit = "sequence-to-text", "texts", "pairs"
    options: SequenceToTextOptions

    def __init__(self, options: SequenceToTextOptions, say: Say = lambda sentence: None) -> None:
        super().__init__(options, say)
        self.saved = named_model(options)
        #: Before it is fitted: it knows where it stands.
        self._source: Source = TextSource(())
        self._target = options.target

    # ---- data ------------------------------------------------------------------------------------

    def read(self, source: Any) -> Pairs:
        """The pairs of a table."""
        encoding, scan = self.options.encoding, scan_of(source, self.options.encoding, self.say)
        if scan is not None:
            frame, where = next(scan.parts()), scan.name
            if not isinstance(find_source(frame, self.options, where), TextSource):
                scan = None  # a list of files fits into memory
        if scan is None:
            frame, where = read_frame(source, encoding, self.say)
        target = self._target = need_target(self.options, where, frame.columns)
        self._source = find_source(frame, self.options, where)
        columns = self._source.columns
        left_out = [name for name in frame.columns if name not in (*columns, target)]
        if left_out:
            more = ", ".join(left_out[:8]) + ", …" * (len(left_out) > 8)
            self.say(f"the source is {' and '.join(columns)}; left out: {more}")
        if scan is None:
            pairs = read_pairs([frame], self._source, target, where, self.say)
        else:
            pairs = pairs_in_parts(scan, self._source, target, self.say)
        check_targets(pairs, f"{where}, column {target!r}")
        self.note(*doubts(self._source, pairs))
        return pairs

    def split(self, data: Pairs) -> Split[Pairs]:
        """By chance; pairs of one source stay together."""
        test = 0.2 if len(data) < _SMALL else min(0.1, _TESTED / len(data))
        return split_rows(
            data, self.options, None, self.unit, test=test, partition=Partition(data.keys)
        )

    def understand(self, split: Split[Pairs]) -> SequenceSchema:
        """Tokens and sizes by the training pairs, or those of the model to start from."""
        train, options = split.train.some(), self.options
        if self.saved is not None:
            return self._adopted(self.saved, self._source)
        source, tokenizer = self._source.fitted(train.sources, train.target, options, self.say)
        model = _model_for(source, options)
        hidden = options.hidden or _HIDDEN[model][len(split.train) > _FEW]
        output = OUTPUTS[OUTPUT_OF[model]](len(tokenizer), 1)
        shape = SequenceShape(
            model=model,
            classes=output.classes,
            width=hidden[0],
            layers=len(hidden),
            dropout=0.1 if options.dropout is None else options.dropout,
            shared=isinstance(source, TextSource) and source.tokenizer is tokenizer,
            longest=options.context or output.room(source, tokenizer, train.target),
            copies=getattr(source, "copies", None),
            ordered=getattr(source, "lexicon", None) is not None,
        )
        names = source.metrics or metric_names(
            train.references, len(source.columns) > 1, tokenizer.kind == "symbol"
        )
        return SequenceSchema(
            source, tokenizer, self._target, shape, _decoding(output, options),
            tuple(names), options.encoding,
        )  # fmt: skip

    def _adopted(self, saved: SavedModel, source: Source) -> SequenceSchema:
        """The schema of the model to start from, for these columns.

        Raises:
            ModelFileError: it writes no texts, or from other sources.
        """
        options, where = self.options, str(self.options.from_model)
        if not isinstance(saved.schema, dict) or saved.schema.get("kind") != SequenceToText.kind:
            raise ModelFileError("The model to start from writes no texts.", where=where,
                                 hint="Omit --from.")  # fmt: skip
        other = SequenceSchema.from_json(saved.schema, where)
        if other.source.kind != source.kind or len(other.source.columns) != len(source.columns):
            raise ModelFileError("The model to start from has other sources.", where=where,
                                 expected=f"{source.kind}, columns {', '.join(source.columns)}",
                                 found=f"{other.source.kind}, columns "
                                 f"{', '.join(other.source.columns)}")  # fmt: skip
        if kept := [name for name in _OF_A_MODEL if getattr(options, name) is not None]:
            self.say("the model to start from has its own, which stays: "
                     + ", ".join(name.replace("_", " ") for name in kept))  # fmt: skip
        other.source.columns = source.columns
        if isinstance(other.source, SoundSource) and isinstance(source, SoundSource):
            other.source.skip_bad = source.skip_bad
            if options.seconds is not None:
                other.source.longest = frames_of(options.seconds)
        shape = other.shape
        if options.dropout is not None:
            shape = replace(shape, dropout=options.dropout)
        decoding = _decoding(other.output, options, other.decoding)
        return replace(
            other, target=self._target, encoding=options.encoding, shape=shape, decoding=decoding
        )

    def check(self, schema: SequenceSchema, split: Split[Pairs]) -> Split[Pairs]:
        """Without pairs that cannot be learned from, which are named."""
        if not schema.source.has_steps:
            return split  # any text can be written of them
        parts = [split.train, split.validation, *([split.test] if split.test else [])]
        kept, why = zip(*(self._fitting(schema, part) for part in parts), strict=True)
        lost = [reason for each in why for reason in each]
        if not lost:
            return split
        more = "; …" * (len(lost) > _NAMED)
        count = sum(map(len, parts))
        said = f"{len(lost):,} of {count:,} {self.unit} cannot be learned from and are left out: "
        if 2 * len(lost) > count or not all(map(len, kept)):
            raise DataError(f"Most of the {self.unit} cannot be learned from.",
                            expected="sources that hold their texts",
                            found="; ".join(lost[:_NAMED]) + more)  # fmt: skip
        self.note(said + "; ".join(lost[:_NAMED]) + more)
        return Split(kept[0], kept[1], kept[2] if split.test else None)

    def _fitting(self, schema: SequenceSchema, part: Pairs) -> tuple[Pairs, list[str]]:
        """The pairs whose text can be made of the source, and why the others cannot."""
        output = schema.output
        reasons = [
            schema.source.unfit(item, encode_text(schema.tokenizer, text), output)
            for item, text in zip(part.sources, part.target, strict=True)
        ]
        rows = np.array([row for row, reason in enumerate(reasons) if not reason], np.int64)
        lost = [reason for reason in reasons if reason]
        return (part.take(rows) if lost else part), lost

    def read_test(self, schema: SequenceSchema) -> Pairs:
        """The pairs of the test file."""
        return pairs_by(schema, self.options.test, self.say)

    def size(self, data: Pairs) -> dict[str, Any]:
        """How many pairs there are, and of how many sources."""
        return {"rows": len(data), "sources": len(data.first)}

    # ---- network and learning --------------------------------------------------------------------

    def build(self, schema: SequenceSchema, split: Split[Pairs]) -> Learner:
        """The network of the schema's sizes."""
        network = schema.shape.build(schema.source).initialize(self.options.seed)
        return learner_of(schema, network, split.train, self.options)

    def encode(self, schema: SequenceSchema, learner: Learner, part: Pairs) -> Examples:
        """Batches of pairs of similar length."""
        found = self._encoded(schema, part)
        return self._stream(schema, found, sizes_of([found], 1))

    def examples(
        self, schema: SequenceSchema, learner: Learner, split: Split[Pairs]
    ) -> tuple[Examples, Examples]:
        """Training and validation set in batches of the same shapes."""
        parts = [self._encoded(schema, part) for part in (split.train, split.validation)]
        sizes = sizes_of(parts, 1)
        train, validation = (self._stream(schema, part, sizes) for part in parts)
        return train, validation

    def _encoded(self, schema: SequenceSchema, part: Pairs) -> Encoded:
        found = encoded(schema.source, schema.tokenizer, schema.output, part)
        for count, what, most in zip(
            found.cut, ("sources", "targets"), (schema.source.longest, schema.output.longest),
            strict=True,
        ):  # fmt: skip
            if count:
                unit = schema.source.unit if what == "sources" else "tokens"
                option = "--seconds" if schema.source.has_steps else "--context"
                self.say(f"{count:,} of {len(part):,} {what} are longer than {most:,} {unit} and "
                         f"are cut; {option} says how long they may be")  # fmt: skip
        return found

    def _stream(
        self, schema: SequenceSchema, part: Encoded, sizes: list[tuple[int, int]]
    ) -> Examples:
        return stream_of(part, schema.source, schema.output, sizes)

    def recipe(self, schema: SequenceSchema, learner: Learner, examples: Examples) -> Recipe:
        """So many tokens are learned from."""
        model, source = schema.shape.model, schema.source
        return Recipe.of(
            self.options, len(examples), batch_size=source.batch_size,
            epochs=max(round(source.learned / learner.choice), 1), updates=_FEWEST_UPDATES,
            most_epochs=source.most_epochs, lr=_RATES[model], weight_decay=0.01, clip=1.0,
        )  # fmt: skip

    def average(self, steps: int) -> float:
        """Averaged weights remember a fiftieth of the training."""
        return min(1 - 50 / max(steps, 100), 0.999)

    def settle(
        self,
        schema: SequenceSchema,
        learner: Learner,
        validation: Examples,
        trainer: Trainer,
        split: Split[Pairs],
    ) -> SequenceSchema:
        """Words of the training help to read what is heard, if they do on the validation set."""
        if not isinstance(schema.output, CtcOutput):
            return schema
        return helped_by_words(schema, learner.network, split, self.options, self.note)

    # ---- report ----------------------------------------------------------------------------------

    def about(self, schema: SequenceSchema) -> dict[str, Any]:
        """The text that is written."""
        command = schema.source.command
        return {"task": "texts", "target": schema.target or "text", "command": command}

    def predict(
        self, schema: SequenceSchema, learner: Learner, trainer: Trainer | None, part: Pairs
    ) -> list[str]:
        """The text for each different source."""
        items = [part.sources[row] for row in part.first]
        found = written(schema, learner.network, items, schema.how, self.backend)
        return [texts[0].text for texts in found]

    def score(self, schema: SequenceSchema, part: Pairs, predicted: list[str]) -> dict[str, float]:
        """The metrics that the schema names."""
        return scores(schema.metrics, part.references, predicted)

    def row_errors(self, schema: SequenceSchema, part: Pairs, predicted: list[str]) -> Array:
        """Whether each text is wrong, or its character error rate."""
        return text_errors(schema.metrics[0], part.references, predicted)

    def baselines(
        self, schema: SequenceSchema, split: Split[Pairs], test: Pairs
    ) -> dict[str, list[str]]:
        """The source itself, words by a dictionary, the text of the most similar source."""
        return texts_for_nothing(schema.source, split.train, test)

    def profile(self, schema: SequenceSchema, split: Split[Pairs]) -> list[Section]:
        """How long sources and targets are."""
        return inspection.profile(schema, split.counts(self.unit), split.train)

    def inside(self, tested: Tested) -> list[Section]:
        """Texts beside what is right, what is confused, and where the network looked."""
        return inspection.inside(tested)

    def verdict(self, report: dict[str, Any]) -> dict[str, Any]:
        """By the first metric that tells network and baselines apart."""
        metrics, baselines = report["metrics"], report.get("baselines") or {}
        told = [name for name, value in metrics.items()
                if any(each.get(name) != value for each in baselines.values())]  # fmt: skip
        if not told or next(iter(metrics)) == told[0]:
            return super().verdict(report)
        # Where no text is right to the last letter, how far off they are still differs.
        rest = {name: value for name, value in metrics.items() if name in told}
        return super().verdict({**report, "metrics": rest, "comparisons": None})

    def answers(self, schema: SequenceSchema, part: Pairs, predicted: Any) -> list[Answers]:
        """Texts have no classes and are no numbers: the report shows them itself."""
        return []


def _decoding(
    output: Output, options: SequenceToTextOptions, usual: Decoding | None = None
) -> Decoding:
    """How texts are found: as usual, but for what is asked for.

    Raises:
        ConfigError: there is nothing to choose from.
    """
    asked = {"beam": options.beam, "mbr": options.mbr}
    said = {name: value for name, value in asked.items() if value is not None}
    how = replace(usual or Decoding(beam=_BEAM), **said)
    if how.mbr and isinstance(output, CtcOutput):
        output.sampler(None, how, "numpy")  # an error before the training, not after it
    return how


def learner_of(
    schema: SequenceSchema, network: Any, train: Pairs, options: SequenceToTextOptions
) -> Learner:
    """What is trained of a network that writes texts."""
    source, output = schema.source, schema.output
    some = train.take(np.arange(2) % len(train))
    part = encoded(source, schema.tokenizer, output, some)
    sizes = sizes_of([part], 1)
    example, _ = output.batch(source.batch(part.sources, sizes[-1][0]), part.targets, sizes[-1][1])
    usual = _SMOOTHING if schema.shape.copies is None else 0.0
    smoothing = usual if options.label_smoothing is None else options.label_smoothing
    # Encoding a sample says how many tokens an epoch has.
    sample = encoded(source, schema.tokenizer, output, train.take(_even(len(train), 1000)))
    tokens = float((sample.source_lengths + sample.target_lengths).mean()) * len(train)
    shape = schema.shape
    article = "an" if shape.model[0] in "aeiou" or shape.model == "lstm" else "a"
    name = f"{article} {shape.model} of {shape.layers} and {shape.layers} layers of {shape.width}"
    return Learner(
        network,
        output.loss(smoothing, shape.copies is not None),
        name,
        example=example,
        choice=tokens,
    )


def _even(rows: int, most: int) -> Array:
    """So many rows at most, in equal distances."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.int64))


def pairs_by(schema: SequenceSchema, source: Any, say: Say) -> Pairs:
    """Pairs as in the training.

    Raises:
        DataError: a column is missing, or no row has both.
    """
    target = str(schema.target)
    if isinstance(schema.source, TextSource):
        scan = scan_of(source, schema.encoding, say)
        if scan is not None:
            return pairs_in_parts(scan, schema.source, target, say)
    frame, name = read_as(schema.source, target, source, schema.encoding, say)
    return read_pairs([frame], schema.source, target, name, say)


def _model_for(source: Source, options: SequenceToTextOptions) -> str:
    """The model of the options, or that of the source.

    Raises:
        ConfigError: it does not go with such sources.
    """
    model = options.model or source.model
    if OUTPUT_OF[model] == CtcOutput.name and not source.has_steps:
        raise ConfigError(f"The model {model!r} writes what is said in sounds.",
                          expected="transformer or lstm", found=f"sources that are {source.kind}",
                          hint="Omit --model.")  # fmt: skip
    return model
