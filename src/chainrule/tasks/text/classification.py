"""From texts of known classes to a model that predicts the class of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Schema, infer_schema, read_table, source_name
from ...data.infer_target import notes_on_classes, without_target
from ...data.json_dataclass import check_types
from ...data.schema import check_present
from ...drawing.blocks import Block, Section
from ...errors import ConfigError, DataError, ModelFileError
from ...nn import Module
from ...serialization import SavedModel
from ...training import Arrays
from ...utils.numbers import counted
from ...utils.typing import Array
from ..class_extension import task_of
from ..classification import Classifier
from ..evaluation import class_weights, constant_prediction, evaluate
from ..examples import Examples, RawRow, check_rows, class_by_folder, no_target, said, shortened
from ..kinds.text import CLASSIFIERS, TextOptions
from ..partition import Partition, partition_of
from ..plan import Examples as Encoded
from ..plan import Learner, Plan, Recipe, Split, split_rows
from ..predictions import predictions
from ..tested import Tested
from ..warm_start import named_model
from . import inspection
from .classifier_network import ClassifierShape, LinearClassifier, encode_texts, naive_bayes
from .linear_choice import Choice, choose, inverse_frequencies, tf_idf
from .ngrams import Grams
from .reading import LabelledTexts, class_folders, is_text_file, read_class_folders, read_text
from .tokenizers import Tokenizer, WordTokenizer, fit_tokenizer, normalize, tokenizer_from_json
from .windows import Windows

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

#: Tokens that are seen at once; texts with more are seen in parts.
_LONGEST = {"linear": 20_000, "bag": 2000, "lstm": 256, "transformer": 256, "tcn": 512}
#: So many numbers in all that a linear model sees fit into memory.
_NUMBERS = 2**26
_VOCABULARY = {"bag": 50_000, "character": 2000, "word": 20_000, "bpe": 4000}
#: Up to so many texts a linear model is the better one, or as good.
_FEW = 2000
#: Texts are compared by so many numbers, where a linear model has no layer to compare them by.
_HASHED = 512
#: Pieces of words that a linear model may see have so many letters at most.
_LETTERS = 5
#: Training takes at least so many updates: fewer leave the network unfinished.
_UPDATES = 1500
_EPOCHS = 10
#: And these are enough for a convex problem.
_SOLVED = 800
_BATCH = 32
#: Of fewer texts a fifth is the test set, otherwise a tenth.
_SMALL = 5000
_HIDDEN = {"linear": (0,), "bag": (32,), "lstm": (64,), "transformer": (64, 64), "tcn": (64,) * 4}
_DROPOUT = {"linear": 0.0, "bag": 0.3, "lstm": 0.1, "transformer": 0.1, "tcn": 0.1}
#: Good rates by network, found on mails.
_RATES = {"linear": 0.1, "bag": 5e-3, "lstm": 2e-3, "transformer": 1e-3, "tcn": 2e-3}
#: Below this fraction of spaces the words of a text are not written apart.
_FEW_SPACES = 0.02


@dataclass(frozen=True)
class ClassSchema:
    """What was understood of texts with classes; it goes into the model file.

    Attributes:
        classes: their names.
        words: what makes token indices of a text.
        shape: of the network.
        column: of the text; None where each text is a file.
        target: the column of the class, as the JSON of a `Schema`; None for folders.
        encoding: how files are written.
        notes: warnings.
        choice: of the penalty of a linear model, before its training.
    """

    classes: tuple[str, ...]
    words: Grams | Tokenizer
    shape: ClassifierShape
    column: str | None = None
    target: str | None = None
    encoding: str | None = None
    notes: tuple[str, ...] = ()
    choice: Choice | None = None

    def described(self) -> list[tuple[str, str]]:
        """What there is to tell."""
        unit = "parts" if isinstance(self.words, Grams) else "tokens"
        names = ", ".join(self.classes[:10]) + ", …" * (len(self.classes) > 10)
        place = f"column {self.column}" if self.column else "a file each"
        return [
            ("texts", place),
            ("classes", f"{len(self.classes)}: {names}"),
            ("vocabulary", f"{len(self.words):,} {_kind_of(self.words)}"),
            (
                "network",
                f"{self.shape.model}, sees {self.shape.context:,} {unit} of a text at once",
            ),
        ]

    def to_json(self) -> dict[str, Any]:
        """JSON data for the model file."""
        return {"kind": "text", "task": "classification", "classes": list(self.classes),
                "words": self.words.to_json(), "shape": vars(self.shape), "column": self.column,
                "target": self.target, "encoding": self.encoding}  # fmt: skip

    @staticmethod
    def from_json(content: Any, where: str) -> ClassSchema:
        """What `to_json` gave.

        Raises:
            ModelFileError: it is damaged.
        """
        try:
            words = content["words"]
            read = Grams.from_json if words["kind"] == "grams" else tokenizer_from_json
            schema = ClassSchema(
                tuple(str(name) for name in content["classes"]), read(words),
                ClassifierShape(**content["shape"]), content["column"], content["target"],
                content["encoding"],
            )  # fmt: skip
            check_types(schema, "text")
            return schema
        except (KeyError, TypeError) as error:
            raise ModelFileError("The description of the texts is damaged.", where=where,
                                 found=f"{type(error).__name__}: {error}") from None  # fmt: skip


def _kind_of(words: Grams | Tokenizer) -> str:
    if isinstance(words, Grams):
        letters = f", and pieces of 2 to {words.letters} letters" if words.letters else ""
        return f"{words.unit}s, and up to {words.longest} side by side{letters}"
    return {"character": "characters", "word": "words", "bpe": "subword tokens"}[words.kind]


# ---- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Labelled:
    """Texts with their class indices, and where both come from.

    Attributes:
        texts: each.
        target: its class index.
        classes: names.
        column: of the text, in a table.
        schema: of the target, in a table.
        weights: how much each text counts, if not all the same.
        partition: how they may be split.
    """

    texts: list[str]
    target: Array
    classes: tuple[str, ...]
    column: str | None = None
    schema: str | None = None
    weights: Array | None = None
    partition: Partition = field(default_factory=Partition)

    def __len__(self) -> int:
        return len(self.texts)

    def balanced(self) -> Labelled:
        """With weights by which all classes count the same."""
        weights = class_weights(self.target, len(self.classes)).astype(np.float32)
        return replace(self, weights=weights)

    def take(self, rows: Array) -> Labelled:
        """Some of the texts."""
        return replace(
            self,
            texts=[self.texts[row] for row in rows],
            target=self.target[rows],
            weights=None if self.weights is None else self.weights[rows],
            partition=self.partition.take(rows),
        )


def read_labelled(source: Any, options: TextOptions, say: Say) -> Labelled:
    """The texts of a table or a folder of class folders.

    Raises:
        DataError: there is no text, or only one class.
    """
    if isinstance(source, str | Path) and Path(source).is_dir():
        options.check_no_columns(str(source))
        found = read_class_folders(Path(source), options.encoding, say)
        classes = tuple(sorted(set(found.labels)))
        numbers = {name: number for number, name in enumerate(classes)}
        target = np.array([numbers[label] for label in found.labels])
        return Labelled(found.texts, target, classes)
    name = source_name(source)
    if options.target is None:
        raise ConfigError("Which column is to be predicted?", where=name, expected="--target",
                          hint="chainrule train mails.csv --target class")  # fmt: skip
    frame = read_table(source, encoding=options.encoding)
    _check_split(options, frame.columns, name)
    unread = (*options.drop, *options.splits_by)
    column = text_column(frame, options.target, options.features, unread, name)
    others = [other for other in frame.columns if other not in (column, options.target)]
    if others:
        more = ", ".join(others[:8]) + ", …" * (len(others) > 8)
        say(f"the text is column {column}; left out: {more}")
    # The text stands for a category here: only the target is of interest.
    schema = infer_schema(frame, options.target, features=[column], kinds={column: "category"},
                          task="classification", missing=options.missing, source=name)  # fmt: skip
    assert schema.target is not None
    target = schema.read_target(frame, name)
    if (target < 0).any():
        say(without_target(int((target < 0).sum())))
        frame, target = frame.filter(target >= 0), target[target >= 0]
    kept = Schema((), (), schema.target).to_json()
    texts = _texts(frame, column)
    partition, notes = partition_of(frame, options, name)
    if not options.splits_by:
        partition, notes = _copies(texts)
    for note in notes:
        say(note)
    return Labelled(texts, target, schema.target.classes, column, kept, partition=partition)


def _check_split(options: TextOptions, columns: Sequence[str], name: str) -> None:
    """Refuse to split by what is learned."""
    check_present(options.splits_by, columns, name)
    for column in options.splits_by:
        if column == options.target or column in (options.features or ()):
            what = "The target" if column == options.target else "The text"
            raise ConfigError(f"{what} {column!r} cannot say how rows are split.", where=name,
                              hint="Name another column.")  # fmt: skip


def _copies(texts: Sequence[str]) -> tuple[Partition, list[str]]:
    """Texts that are the same stay on one side of every split."""
    _, groups, counts = np.unique(np.array(texts, dtype=object), return_inverse=True,
                                  return_counts=True)  # fmt: skip
    copies = int((counts - 1).sum())
    if not copies:
        return Partition(), []
    return Partition(groups), [
        f"{copies:,} of {len(texts):,} texts {'repeats' if copies == 1 else 'repeat'} another "
        "one: they stay on one side of every split"
    ]


def text_column(
    frame: pl.DataFrame,
    target: str | None,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    source: str = "the table",
) -> str:
    """The column of the text: the one that was named, or the one whose texts are the longest.

    Raises:
        DataError: there is no column of text.
    """
    check_present([*(features or []), *drop], frame.columns, source)
    if features:
        return features[0]
    import polars as pl

    names = [name for name in frame.columns if name != target and name not in drop]
    lengths = {
        name: frame[name].str.len_chars().mean()
        for name in names
        if frame[name].dtype == pl.String and frame[name].null_count() < frame.height
    }
    if not lengths:
        raise DataError("There is no column of text.", where=source,
                        found=f"the columns {', '.join(frame.columns[:12])}",
                        hint="Name it with --features.")  # fmt: skip
    return max(lengths, key=lambda name: (float(lengths[name] or 0), name))  # type: ignore[arg-type]


def _texts(frame: pl.DataFrame, column: str) -> list[str]:
    import polars as pl

    return [normalize(text) for text in frame[column].cast(pl.String).fill_null("").to_list()]


def _tell_empty(texts: Sequence[str], say: Say) -> None:
    if empty := sum(not text.strip() for text in texts):
        are = counted(empty, "text is empty", "texts are empty")
        say(f"{are}; what the others have in common decides on them")


# ---- training ------------------------------------------------------------------------------------


class TextClassification(Plan[Labelled, Labelled, ClassSchema]):
    """Texts with classes: a network predicts the class of a text."""

    kind, task, unit = "text", "classification", "texts"
    options: TextOptions

    def read(self, source: Any) -> Labelled:
        """The texts of a table or of class folders."""
        _check(self.options)
        found = read_labelled(source, self.options, self.say)
        _tell_empty(found.texts, self.say)
        counts = np.bincount(found.target, minlength=len(found.classes))
        for note in notes_on_classes(found.classes, counts, unit="text"):
            self.say(note)
        return found.balanced() if self.options.balance else found

    def split(self, data: Labelled) -> Split[Labelled]:
        """By chance, classes in proportion."""
        test = 0.2 if len(data) < _SMALL else 0.1
        return split_rows(
            data, self.options, data.target, self.unit, test=test, partition=data.partition
        )

    def understand(self, split: Split[Labelled]) -> ClassSchema:
        """The vocabulary of the training texts, or that of the model to start from."""
        model = self.options.model or self._model(split)
        found = _all_of(split) if self._takes_all(model) else split.train
        return _adopted(_schema(found, model, self.options), self.options)

    def _model(self, split: Split[Labelled]) -> str:
        """Few texts are best told apart by a linear model, unless options say more of a network."""
        options = self.options
        network = options.hidden is not None or options.dropout is not None
        few = split.seen <= _FEW and options.tokenizer != "bpe"
        return "linear" if few and not network else "bag"

    def _takes_all(self, model: str) -> bool:
        """Whether no texts choose the best weights: a convex problem needs none."""
        options = self.options
        return model == "linear" and options.validation is None and options.patience is None

    def check(self, schema: ClassSchema, split: Split[Labelled]) -> Split[Labelled]:
        """A linear model learns from the validation set, too: its penalty was chosen by folds."""
        if not self._takes_all(schema.shape.model) or self.options.from_model is not None:
            return split
        everything = _all_of(split)
        return Split(everything, everything, split.test)

    def read_test(self, schema: ClassSchema) -> Labelled:
        """The texts of the test file or folder."""
        return labelled_by(schema, self.options.test, self.say)

    def size(self, data: Labelled) -> dict[str, Any]:
        """How many texts there are."""
        return {"rows": len(data)}

    def build(self, schema: ClassSchema, split: Split[Labelled]) -> Learner:
        """The network of the schema's sizes."""
        network = schema.shape.build().initialize(self.options.seed)
        if isinstance(network, LinearClassifier) and isinstance(schema.words, Grams):
            rows = [schema.words.encode(text) for text in split.train.texts]
            network.idf.assign(inverse_frequencies(rows, len(schema.words)))
        return learner_of(schema, network)

    def encode(self, schema: ClassSchema, learner: Learner, part: Labelled) -> Arrays:
        """Token indices of each text; the parts of a long one count as much as a short one."""
        seen = encode_texts(part.texts, schema.words, schema.shape)
        if not seen.several:
            return Arrays(seen.inputs, part.target, part.weights)
        self.say(_said_of(seen))
        weights = 1.0 if part.weights is None else part.weights[seen.text]
        shares = (seen.share * weights).astype(np.float32)
        return Arrays(seen.inputs, part.target[seen.text], shares)

    def predict(self, schema: ClassSchema, learner: Learner, trainer: Any, part: Labelled) -> Array:
        """The probabilities of the classes, pooled over the parts of long texts."""
        seen = encode_texts(part.texts, schema.words, schema.shape)
        return seen.pooled(trainer.predict(seen.inputs))

    def recipe(self, schema: ClassSchema, learner: Learner, examples: Encoded) -> Recipe:
        """Rates were found on mails; a linear model has its penalty instead of a decay."""
        model = schema.shape.model
        choice = schema.choice
        recipe = Recipe.of(
            self.options, len(examples), batch_size=_BATCH, epochs=_EPOCHS,
            updates=_SOLVED if choice else _UPDATES,
            lr=_RATES[model], clip=None if model in ("linear", "bag") else 1.0,
            weight_decay=0.0 if choice else 0.01, l2=choice.penalty if choice else 0.0,
        )  # fmt: skip
        # What a penalty has led to in the end is the solution, not what fits best on the way.
        return replace(recipe, validate_every=recipe.epochs) if choice else recipe

    def profile(self, schema: ClassSchema, split: Split[Labelled]) -> list[Section]:
        """The classes, and how long the texts are."""
        return inspection.profile(self, schema, split)

    def shown(
        self, picked: Sequence[tuple[Tested, int]], said: Sequence[tuple[str, str]]
    ) -> Sequence[Block]:
        """The texts."""
        return inspection.texts_as_they_are(picked, said)

    def inside(self, tested: Tested) -> list[Section]:
        """Which words matter."""
        return inspection.inside(self, tested)

    def about(self, schema: ClassSchema) -> dict[str, Any]:
        """Two classes, or more."""
        return {"task": task_of(schema.classes), "target": self.options.target or "class"}

    def details(self, learner: Learner) -> dict[str, Any]:
        """The network, which may have been chosen."""
        return {"network": learner.choice}

    def baselines(
        self, schema: ClassSchema, split: Split[Labelled], test: Labelled
    ) -> dict[str, Array]:
        """The naive Bayes rule, and how frequent each class is."""
        train = split.train
        words = WordTokenizer.fit(train.texts, 50_000)
        counted, asked = ([words.encode(text) for text in part.texts] for part in (train, test))
        name, constant = constant_prediction(train.target, len(test), len(schema.classes))
        rule = naive_bayes(counted, train.target, asked, len(words))
        return {"naive Bayes": rule, name: constant}


def learner_of(schema: ClassSchema, network: Module) -> Learner:
    """What is trained of a network that predicts classes of texts."""
    model, choice = schema.shape.model, schema.choice
    note = ""
    if choice:
        loss = f"{choice.log_loss:.3f} on texts held out in turn"
        note = f"its penalty was chosen by log loss, {loss}"
    name = "a linear model" if model == "linear" else f"a {model}"
    return Learner(
        network, "cross_entropy", name=name, metrics=("accuracy",), choice=model, note=note
    )


def _all_of(split: Split[Labelled]) -> Labelled:
    """Training and validation set as one."""
    train, more = split.train, split.validation
    weights = None
    if train.weights is not None and more.weights is not None:
        weights = np.concatenate([train.weights, more.weights])
    return replace(
        train, texts=train.texts + more.texts,
        target=np.concatenate([train.target, more.target]), weights=weights,
        partition=train.partition.joined(more.partition),
    )  # fmt: skip


def _said_of(seen: Windows) -> str:
    texts, parts = int(seen.text[-1]) + 1, len(seen.text)
    return f"{seen.several:,} of {texts:,} texts are long: they are seen in parts, {parts:,} in all"


def _adopted(schema: ClassSchema, options: TextOptions) -> ClassSchema:
    """With the vocabulary and the sizes of the model to start from, if there is one."""
    saved = named_model(options)
    if saved is None:
        return schema
    other = ClassSchema.from_json(saved.schema, str(options.from_model))
    shape = replace(other.shape, classes=len(schema.classes))
    return replace(schema, words=other.words, shape=shape, choice=None)


def _check(options: TextOptions) -> None:
    if options.model is not None and options.model not in CLASSIFIERS:
        raise ConfigError(f"The model {options.model!r} predicts no classes.",
                          expected=", ".join(CLASSIFIERS))  # fmt: skip
    if options.tokenizer == "bpe" and (options.model or "bag") in ("linear", "bag"):
        raise ConfigError("A bag is made of words or of characters.",
                          expected="--tokenizer word or character",
                          found="bpe", hint="Choose another --model, such as lstm.")  # fmt: skip


def _schema(found: Labelled, model: str, options: TextOptions) -> ClassSchema:
    """What suits these texts: the vocabulary and the sizes of the network."""
    texts, choice = found.texts, None
    words = _vocabulary(texts, model, options)
    if model == "linear":
        assert isinstance(words, Grams)
        choice = choose(words, texts, found.target, found.weights, options.seed, found.partition)
        words = choice.grams
    lengths = [len(words.encode(text)) for text in texts[: len(texts) if choice else 1000]]
    longest = max(lengths) if choice else int(np.quantile(lengths, 0.98))
    if choice:
        longest = min(longest, _NUMBERS // len(texts))
    hidden = options.hidden or _HIDDEN[model]
    shape = ClassifierShape(
        model=model,
        vocabulary=len(words),
        context=options.context or min(max(longest, 4), _LONGEST[model]),
        classes=len(found.classes),
        width=hidden[0],
        layers=len(hidden),
        dropout=_DROPOUT[model] if options.dropout is None else options.dropout,
        letters=words.first_letters if isinstance(words, Grams) and words.letters else 0,
    )
    return ClassSchema(
        found.classes, words, shape, found.column, found.schema, options.encoding, choice=choice
    )


def _vocabulary(texts: Sequence[str], model: str, options: TextOptions) -> Grams | Tokenizer:
    """The parts of these texts that a network sees."""
    sample = "".join(texts[:200])
    few_spaces = sum(c.isspace() for c in sample) < _FEW_SPACES * len(sample)
    unit = options.tokenizer or ("character" if few_spaces else "word")
    if model not in ("linear", "bag"):
        return fit_tokenizer(unit, texts, options.vocabulary or _VOCABULARY[unit], exact=False)
    most = options.vocabulary or _VOCABULARY["bag"]
    least = 2 if len(texts) >= 100 else 1
    letters = _LETTERS if model == "linear" and unit == "word" else 0
    return Grams.fit(texts, unit, 2 if unit == "word" else 4, most, least, letters)


def labelled_by(schema: ClassSchema, source: Any, say: Say) -> Labelled:
    """Texts with classes as in the training.

    Raises:
        DataError: they are others.
    """
    if schema.column is None:
        found = _from_folder(schema, source, say)
        numbers = {name: number for number, name in enumerate(schema.classes)}
        if strange := sorted(set(found.labels) - set(numbers)):
            raise DataError(
                "The folder has classes that are not known.",
                where=str(source),
                expected=", ".join(schema.classes),
                found=", ".join(strange),
            )
        return Labelled(found.texts, np.array([numbers[n] for n in found.labels]), schema.classes)
    name = source_name(source)
    frame = read_table(source, encoding=schema.encoding)
    check_present([schema.column], frame.columns, name)
    target = Schema.from_json(str(schema.target)).read_target(frame, name)
    if (target < 0).any():
        say(without_target(int((target < 0).sum())))
        frame, target = frame.filter(target >= 0), target[target >= 0]
    return Labelled(_texts(frame, schema.column), target, schema.classes)


def _from_folder(schema: ClassSchema, source: Any, say: Say) -> LabelledTexts:
    if not isinstance(source, str | Path) or not Path(source).is_dir():
        raise DataError(
            "This is no folder of class folders.",
            where=source_name(source),
            expected="a folder as in the training, with a folder for each class",
        )
    return read_class_folders(Path(source), schema.encoding, say, fewest=1)


# ---- use -----------------------------------------------------------------------------------------


class TextClassifier(Classifier[ClassSchema]):
    """A saved model that predicts the class of a text: a `chainrule.tasks.Predictor`."""

    def __init__(self, saved: SavedModel, path: str) -> None:
        super().__init__(saved, ClassSchema.from_json(saved.schema, path))

    def predict(
        self, source: Any, *, proba: bool = False, say: Say = lambda sentence: None
    ) -> pl.DataFrame:
        """The class of each text.

        Args:
            source: a table with the column of the text, a text file, a folder of text files or of
                class folders, or a list of texts.
            proba: the probability of each class, too.
            say: takes notes.
        """
        import polars as pl

        texts, names = self._read(source)
        _tell_empty(texts, say)
        told = predictions(self._probabilities(texts, say), self.classes, proba)
        return told.insert_column(0, pl.Series("file", names)) if names else told

    def _read(self, source: Any) -> tuple[list[str], list[str]]:
        encoding = self.schema.encoding
        if isinstance(source, list):
            return [normalize(str(text)) for text in source], []
        path = Path(source) if isinstance(source, str | Path) else None
        if path is not None and path.is_dir():
            places = [path, *class_folders(path)]
            files = [file for place in places for file in sorted(place.iterdir())]
            files = [file for file in files if is_text_file(file)]
            if not files:
                raise DataError("The folder holds no text.", where=str(path))
            return [read_text(file, encoding) for file in files], [str(f) for f in files]
        if path is not None and self.schema.column is None:
            return [read_text(path, encoding)], [str(path)]
        frame = read_table(source, encoding=encoding)
        column = text_column(frame, None, [self.schema.column or ""], source=source_name(source))
        return _texts(frame, column), []

    def examples(
        self, source: Any, rows: Sequence[int], *, say: Say = lambda sentence: None
    ) -> Examples:
        """Texts in the order of `predict`, with the class by their folder, or a table's target.

        Raises:
            DataError: there is no such text, or its class is not known.
        """
        name, schema = source_name(source), self.schema
        is_path = isinstance(source, str | Path)
        if schema.column is not None and is_path and is_text_file(Path(source)):
            column = Schema.from_json(str(schema.target)).target
            assert column is not None
            expected = f"a table with the columns {schema.column!r} and {column.name!r}"
            raise no_target(name, expected, "a text alone")
        if isinstance(source, str) and source == "-":  # it cannot be read twice
            source = read_table(source, encoding=schema.encoding)
        texts, names = self._read(source)
        check_rows(rows, len(texts), name, "Rows of a table and files are counted from 0.")
        texts = [texts[row] for row in rows]
        if names:
            target = [class_by_folder(names[row], source, schema.classes) for row in rows]
        else:
            target = self._known(source, rows)
        seen = encode_texts(texts, schema.words, schema.shape)
        if seen.several:
            say(f"{seen.several:,} of {len(texts):,} texts are long: their first part is explained")
        inputs = seen.first()
        found = self.saved.predict(inputs)
        count = np.count_nonzero(inputs["numbers"], axis=1)
        raw = tuple(
            RawRow(
                row,
                ({"column": schema.column or "text", "text": shortened(texts[place]),
                  "encoded": f"{count[place]:,} tokens", "input": "x.numbers"},),
                {"column": "class", "text": schema.classes[target[place]]},
                said(found[place], schema.classes),
                f"Text {row}",
            )
            for place, row in enumerate(rows)
        )  # fmt: skip
        return Examples(inputs, np.array(target), "cross_entropy", raw)

    def _known(self, source: Any, rows: Sequence[int]) -> list[int]:
        """The classes of rows of a table."""
        name = source_name(source)
        if self.schema.target is None or isinstance(source, list):
            raise no_target(name, "a folder of class folders, or a text file in one")
        schema = Schema.from_json(self.schema.target)
        assert schema.target is not None
        frame = read_table(source, encoding=self.schema.encoding)
        if schema.target.name not in frame.columns:
            raise no_target(name, f"a column {schema.target.name!r}", ", ".join(frame.columns[:20]))
        found: list[int] = schema.read_target(frame, name)[list(rows)].tolist()
        if min(found, default=0) < 0:
            raise no_target(name, f"a known {schema.target.name!r} in each of the rows")
        return found

    def hidden(self, source: Any) -> Array | None:
        """What goes into the last layer: (texts, features); of a linear model TF-IDF, hashed."""
        texts, _ = self._read(source)
        seen = encode_texts(texts, self.schema.words, self.schema.shape)
        if self.schema.shape.model == "linear":
            return seen.averaged(self._hashed(seen))
        found = self.saved.hidden(seen.inputs)
        return found if found is None else seen.averaged(found)

    def _hashed(self, seen: Windows) -> Array:
        """The weights of the parts, summed by their numbers modulo `_HASHED`."""
        idf, letters = self.saved.state()["idf"], self.schema.shape.letters
        found = np.zeros((len(seen.text), _HASHED), np.float32)
        rows = zip(found, seen.inputs["numbers"], seen.inputs["counts"], strict=True)
        for row, numbers, counts in rows:
            k = numbers[numbers > 0]
            pieces = k >= (letters or len(idf))
            np.add.at(row, k % _HASHED, tf_idf(counts[: len(k)], idf[k], pieces))
        return found

    def _probabilities(self, texts: list[str], say: Say) -> Array:
        seen = encode_texts(texts, self.schema.words, self.schema.shape)
        if seen.several:
            say(_said_of(seen))
        return seen.pooled(self.saved.predict(seen.inputs))

    def evaluate(self, source: Any, *, say: Say = lambda sentence: None) -> dict[str, float]:
        """The metrics on texts whose class is known."""
        found = labelled_by(self.schema, source, say)
        task = task_of(self.classes)
        return evaluate(task, found.target, self._probabilities(found.texts, say))
