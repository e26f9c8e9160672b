"""From texts of known classes to a model that tells the class of others."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import Schema, infer_schema, read_table, source_name
from ...data.schema import check_present
from ...errors import ConfigError, DataError, ModelFileError
from ...nn import Module
from ...serialization import SavedModel
from ...training import Arrays, Callback, Trainer
from ...utils.typing import Array
from .. import fit
from ..class_extension import task_of
from ..classification import Classifier, three_parts
from ..evaluation import class_weights, constant_prediction, evaluate
from ..examples import Examples, RawRow, check_rows, class_by_folder, no_target, said, shortened
from ..optimizer import make_optimizer
from ..predictions import predictions
from ..result import TrainingResult
from ..warm_start import begin, named_model
from .classifier import ClassifierShape, encode_texts, naive_bayes
from .ngrams import Grams
from .options import CLASSIFIERS, TextOptions
from .reading import LabelledTexts, class_folders, is_text_file, read_class_folders, read_text
from .tokenizers import Tokenizer, WordTokenizer, fit_tokenizer, normalize, tokenizer_from_json

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

#: Numbers of a text that are seen at most.
_LONGEST = {"bag": 2000, "lstm": 256, "transformer": 256, "tcn": 512}
_VOCABULARY = {"bag": 50_000, "character": 2000, "word": 20_000, "bpe": 4000}
#: Training takes at least so many updates: fewer leave the network unfinished.
_UPDATES = 1500
_EPOCHS = 10
BATCH = 32
_HIDDEN = {"bag": (32,), "lstm": (64,), "transformer": (64, 64), "tcn": (64,) * 4}
_DROPOUT = {"bag": 0.3, "lstm": 0.1, "transformer": 0.1, "tcn": 0.1}
#: Good rates by network, found on mails.
_RATES = {"bag": 5e-3, "lstm": 2e-3, "transformer": 1e-3, "tcn": 2e-3}
#: Below this fraction of spaces the words of a text are not written apart.
_FEW_SPACES = 0.02


@dataclass(frozen=True)
class ClassSchema:
    """What was understood of texts with classes; it goes into the model file.

    Attributes:
        classes: their names.
        words: what makes numbers of a text.
        shape: of the network.
        column: of the text; None where each text is a file.
        target: the column of the class, as the JSON of a `Schema`; None for folders.
        encoding: how files are written.
        notes: warnings.
    """

    classes: tuple[str, ...]
    words: Grams | Tokenizer
    shape: ClassifierShape
    column: str | None = None
    target: str | None = None
    encoding: str | None = None
    notes: tuple[str, ...] = ()

    def described(self) -> list[tuple[str, str]]:
        """What there is to tell."""
        unit = "parts" if isinstance(self.words, Grams) else "numbers"
        names = ", ".join(self.classes[:10]) + ", …" * (len(self.classes) > 10)
        place = f"column {self.column}" if self.column else "a file each"
        return [
            ("texts", place),
            ("classes", f"{len(self.classes)}: {names}"),
            ("vocabulary", f"{len(self.words):,} {_kind_of(self.words)}"),
            ("network", f"{self.shape.model}, sees up to {self.shape.context:,} {unit} of a text"),
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
            return ClassSchema(
                tuple(str(name) for name in content["classes"]), read(words),
                ClassifierShape(**content["shape"]), content["column"], content["target"],
                content["encoding"],
            )  # fmt: skip
        except (KeyError, TypeError) as error:
            raise ModelFileError("The description of the texts is damaged.", where=where,
                                 found=f"{type(error).__name__}: {error}") from None  # fmt: skip


def _kind_of(words: Grams | Tokenizer) -> str:
    if isinstance(words, Grams):
        return f"{words.unit}s, and up to {words.longest} side by side"
    return {"character": "characters", "word": "words", "bpe": "subword tokens"}[words.kind]


# ---- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Labelled:
    """Texts with the numbers of their classes, and where both come from."""

    texts: list[str]
    target: Array
    classes: tuple[str, ...]
    column: str | None = None
    schema: str | None = None


def read_labelled(source: Any, options: TextOptions, say: Say) -> Labelled:
    """The texts of a table or a folder of class folders.

    Raises:
        DataError: there is no text, or only one class.
    """
    if isinstance(source, str | Path) and Path(source).is_dir():
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
    column = text_column(frame, options.target, options.features, options.drop, name)
    # The text stands for a category here: only the target is of interest.
    schema = infer_schema(frame, options.target, features=[column], kinds={column: "category"},
                          task="classification", source=name)  # fmt: skip
    assert schema.target is not None
    target = schema.read_target(frame, name)
    if (target < 0).any():
        say(f"{int((target < 0).sum()):,} rows have no target and are left out")
        frame, target = frame.filter(target >= 0), target[target >= 0]
    kept = Schema((), (), schema.target).to_json()
    return Labelled(_texts(frame, column), target, schema.target.classes, column, kept)


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


# ---- training ------------------------------------------------------------------------------------


def train_classifier(
    source: Any,
    options: TextOptions,
    *,
    progress: bool = True,
    say: Say = lambda sentence: None,
    on_schema: Callable[[ClassSchema], None] = lambda schema: None,
    callbacks: tuple[Callback, ...] = (),
) -> TrainingResult:
    """Train a network that tells the class of a text; arguments as of `chainrule.text.train`."""
    started = time.perf_counter()
    _check(options)
    found = read_labelled(source, options, say)
    few = 0.2 if len(found.texts) < 5000 else 0.1
    train, validation, test = three_parts(found.target, options, "texts", test=few)
    texts = [found.texts[row] for row in train]
    schema = _adopted(_schema(texts, found, options), options)
    on_schema(schema)
    if empty := sum(not text.strip() for text in found.texts):
        say(f"{empty:,} texts are empty; what the others have in common decides on them")
    network = schema.shape.build().initialize(options.seed)
    begin(network, options, classes=schema.classes, say=say)
    data, judges = (
        examples_of(found, rows, schema, options.balance, say) for rows in (train, validation)
    )
    pace = fit.Pace.of(options, len(train), batch_size=BATCH, epochs=_EPOCHS, steps=_UPDATES)
    trainer = _trainer(network, schema.shape, pace, options, progress, callbacks)
    count = sum(p.size for p in network.parameters().values())
    say(
        f"a {schema.shape.model} with {count:,} parameters; {len(train):,} texts in batches of "
        f"{pace.batch_size}, {pace.epochs} epochs; {len(validation):,} others choose the best "
        "weights"
    )
    with fit.threads(options.threads):
        failure = fit.fit(trainer, data, validation=judges, epochs=pace.epochs,
                              batch_size=pace.batch_size,
                              patience=options.patience)  # fmt: skip
        judged = _test_texts(found, test, schema, options, say)
        inputs, _ = encode_texts(judged.texts, schema.words, schema.shape.context)
        predicted = trainer.predict(inputs)
    task = task_of(found.classes)
    report = {
        "task": task,
        "target": options.target or "class",
        "unit": "texts",
        "rows": {"train": len(train) + len(validation), "test": len(judged.texts)},
        "metrics": evaluate(task, judged.target, predicted),
        "baselines": _baselines(texts, found.target[train], judged, task, len(found.classes)),
        "seconds": time.perf_counter() - started,
        "data": {"kind": "text", "source": source_name(source), "rows": len(found.texts)},
    }
    example = {name: array[:2] for name, array in data.inputs.items()}
    return TrainingResult(trainer, network, example, schema.to_json(), options, report, failure,
                   found.classes, trainer.output)  # fmt: skip


def _trainer(
    network: Module,
    shape: ClassifierShape,
    pace: fit.Pace,
    options: TextOptions,
    progress: bool,
    callbacks: tuple[Callback, ...],
) -> Trainer:
    optimizer = make_optimizer(
        options, network, pace.steps, lr=_RATES[shape.model], weight_decay=0.01,
        clip=None if shape.model == "bag" else 1.0,
    )  # fmt: skip
    return Trainer(
        network, "cross_entropy", optimizer, metrics=["accuracy"], seed=options.seed,
        callbacks=callbacks, progress=progress, backend=options.backend,
    )  # fmt: skip


def examples_of(
    found: Labelled, rows: Array, schema: ClassSchema, balance: bool, say: Say
) -> Arrays:
    """These texts as a network learns from them."""
    texts = [found.texts[row] for row in rows]
    inputs, longer = encode_texts(texts, schema.words, schema.shape.context)
    if longer:
        say(f"{longer:,} of {len(rows):,} texts are longer than what is seen of them")
    importance = None
    if balance:
        weights = class_weights(found.target, len(found.classes))
        importance = weights[rows].astype(np.float32)
    return Arrays(inputs, found.target[rows], importance)


def _adopted(schema: ClassSchema, options: TextOptions) -> ClassSchema:
    """With the vocabulary and the sizes of the model to begin with, if there is one."""
    saved = named_model(options)
    if saved is None:
        return schema
    other = ClassSchema.from_json(saved.schema, str(options.from_model))
    shape = dataclasses.replace(other.shape, classes=len(schema.classes))
    return dataclasses.replace(schema, words=other.words, shape=shape)


def _check(options: TextOptions) -> None:
    if options.model is not None and options.model not in CLASSIFIERS:
        raise ConfigError(f"The model {options.model!r} tells no classes.",
                          expected=", ".join(CLASSIFIERS))  # fmt: skip
    if options.tokenizer == "bpe" and (options.model or "bag") == "bag":
        raise ConfigError("A bag is made of words or of characters.",
                          expected="--tokenizer word or character",
                          found="bpe", hint="Choose another --model, such as lstm.")  # fmt: skip


def _schema(texts: list[str], found: Labelled, options: TextOptions) -> ClassSchema:
    """What suits these texts: the vocabulary and the sizes of the network."""
    model = options.model or "bag"
    sample = "".join(texts[:200])
    few_spaces = sum(c.isspace() for c in sample) < _FEW_SPACES * len(sample)
    unit = options.tokenizer or ("character" if few_spaces else "word")
    words: Grams | Tokenizer
    if model == "bag":
        most = options.vocabulary or _VOCABULARY["bag"]
        least = 2 if len(texts) >= 100 else 1
        words = Grams.fit(texts, unit, 2 if unit == "word" else 4, most, least)
    else:
        most = options.vocabulary or _VOCABULARY[unit]
        words = fit_tokenizer(unit, texts, most, exact=False)
    lengths = [len(words.encode(text)) for text in texts[:1000]]
    longest = max(int(np.quantile(lengths, 0.98)), 4)
    hidden = options.hidden or _HIDDEN[model]
    shape = ClassifierShape(
        model=model,
        vocabulary=len(words),
        context=options.context or min(longest, _LONGEST[model]),
        classes=len(found.classes),
        width=hidden[0],
        layers=len(hidden),
        dropout=_DROPOUT[model] if options.dropout is None else options.dropout,
    )
    return ClassSchema(found.classes, words, shape, found.column, found.schema, options.encoding)


def _test_texts(
    found: Labelled, rows: Array, schema: ClassSchema, options: TextOptions, say: Say
) -> Labelled:
    """The texts that judge: rows that were held out, or those of another file or folder."""
    if isinstance(options.test, str):
        return labelled_by(schema, options.test, say)
    return Labelled([found.texts[row] for row in rows], found.target[rows], found.classes)


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
        say(f"{int((target < 0).sum()):,} rows have no target and are left out")
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


def _baselines(
    texts: list[str], target: Array, judged: Labelled, task: str, classes: int
) -> dict[str, dict[str, float]]:
    words = WordTokenizer.fit(texts, 50_000)
    rows = [[words.encode(text) for text in part] for part in (texts, judged.texts)]
    rule = naive_bayes(rows[0], target, rows[1], len(words))
    name, constant = constant_prediction(target, len(judged.texts), classes)
    return {
        "naive Bayes": evaluate(task, judged.target, rule),
        name: evaluate(task, judged.target, constant),
    }


# ---- use -----------------------------------------------------------------------------------------


class TextClassifier(Classifier[ClassSchema]):
    """A saved model that tells the class of a text: a `chainrule.tasks.Predictor`."""

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
        inputs, longer = encode_texts(texts, schema.words, schema.shape.context)
        if longer:
            say(f"{longer:,} of {len(texts):,} texts are longer than what is seen of them")
        found = self.saved.predict(inputs)
        count = np.count_nonzero(inputs["numbers"], axis=1)
        raw = tuple(
            RawRow(
                row,
                ({"column": schema.column or "text", "text": shortened(texts[place]),
                  "encoded": f"{count[place]:,} numbers", "input": "x.numbers"},),
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
        """What goes into the last layer: (texts, features)."""
        texts, _ = self._read(source)
        inputs, _ = encode_texts(texts, self.schema.words, self.schema.shape.context)
        return self.saved.hidden(inputs)

    def _probabilities(self, texts: list[str], say: Say) -> Array:
        inputs, longer = encode_texts(texts, self.schema.words, self.schema.shape.context)
        if longer:
            say(f"{longer:,} of {len(texts):,} texts are longer than what is seen of them")
        return self.saved.predict(inputs)

    def evaluate(self, source: Any, *, say: Say = lambda sentence: None) -> dict[str, float]:
        """The metrics on texts whose class is known."""
        found = labelled_by(self.schema, source, say)
        task = task_of(self.classes)
        return evaluate(task, found.target, self._probabilities(found.texts, say))
