"""What a saved model takes and gives in C, for each kind of data: raw rows, pixels, samples.

Whatever makes the inputs of the graph from these is graph, too, so that it is compiled with the
rest: columns are slices, codes are checked, numbers converted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...data import Column, Schema, Target
from ...engine.ir.types import Type, float32, float64
from ...engine.ops import floor, isnan, where
from ...engine.ops.check import require
from ...engine.tensor import Tensor
from ...errors import ConfigError
from ...serialization import SavedModel
from ...tasks import kind_of
from ...utils.typing import Array
from ..category_codes import code_of_others, codes_of, refuse_pictures
from .names import comment, identifier, identifiers, string
from .program import Argument

#: An 8-bit number: no element type of users, but of pixels in memory.
UINT8 = np.dtype(np.uint8)


#: What headers call themselves what is after the prefix.
_TAKEN = frozenset(
    [
        "predict",
        "learn",
        "init",
        "save",
        "load",
        "state",
        "arena",
        "number",
        "class",
        "class_names",
        "H",
        "COLUMNS",
        "OUTPUTS",
        "CLASSES",
        "ARENA_BYTES",
        "STATE_BYTES",
        "SAVED_BYTES",
        "OUT_OF_RANGE",
        "NOT_FINITE",
    ]
)


@dataclass
class Interface:
    """How a model is called.

    Attributes:
        arguments: for so many rows.
        inputs: from the tensors of the arguments to those of the graph.
        number: the C type of rows and predictions, if these have one of their own.
        declarations: for the header.
        definitions: for the source.
        notes: what has to be known.
        columns: of a table, by identifier.
        labels: of the numbers of a prediction.
        taken: names after the prefix that are in use.
    """

    arguments: list[Argument]
    inputs: Callable[[Sequence[Tensor]], list[Tensor]]
    number: str = ""
    declarations: list[str] = field(default_factory=list)
    definitions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=lambda: set(_TAKEN))

    #: Predictions in 8 bits, of arrays as the saved model takes them; None in floating point.
    simulated: Callable[[Sequence[Array]], Array] | None = None
    #: The positive class, and from which probability on; None if the likeliest class counts.
    rule: tuple[int, float] | None = None

    def best(self, probabilities: Array) -> int:
        """The class that a prediction says."""
        if self.rule is None:
            return int(np.argmax(probabilities))
        positive, level = self.rule
        return positive if probabilities[positive] >= level else 1 - positive

    def unique(self, texts: Sequence[str], instead: str) -> list[str]:
        """Names after the prefix, for these texts, that nothing else has."""
        found = identifiers(texts, instead, self.taken)
        self.taken.update(found)
        return found


def kind_of_model(saved: SavedModel) -> str:
    """The kind of data; empty if the file does not say."""
    return kind_of(saved.schema, "the model") if saved.schema is not None else ""


def interface(saved: SavedModel, prefix: str, rows: int) -> Interface:
    """How a saved model is called with so many rows at a time."""
    kind = kind_of_model(saved)
    if kind == "table":
        return _table(saved, prefix, rows)
    found = _as_they_are(saved, rows, narrow=bool(kind))
    if kind == "images":
        _pixels(saved, found)
    if kind == "text":
        found.notes.append(
            "Texts go in as the indices of their tokens, which the tokenizer beside makes of them."
        )
    return found


# ---- arrays --------------------------------------------------------------------------------------


def _as_they_are(saved: SavedModel, rows: int, narrow: bool) -> Interface:
    """The arrays that the graph takes; float64 as float if they are raw data."""
    names = identifiers([name.rpartition(".")[2] for name in saved.inputs], "x")
    arguments, kinds = [], []
    for name, kind in zip(names, saved.inputs.values(), strict=True):
        shape = (rows, *kind.shape[1:])
        dtype = float32 if narrow and kind.dtype == float64 else kind.dtype
        about = f"{' x '.join(map(str, shape))} numbers"
        arguments.append(Argument(name, Type(dtype, shape), about))
        kinds.append(kind.dtype)

    def inputs(given: Sequence[Tensor]) -> list[Tensor]:
        return [x.astype(kind.name) for x, kind in zip(given, kinds, strict=True)]

    return Interface(arguments, inputs)


def _pixels(saved: SavedModel, found: Interface) -> None:
    """Pixels of 8 bits, unless the images had more."""
    if json.loads(saved.schema).get("levels") is not None:
        return
    (pixels,) = found.arguments
    about = (
        f"pixels 0 to 255, {' x '.join(map(str, pixels.type.shape[1:]))} (height, width, channels)"
    )
    found.arguments = [Argument("pixels", Type(UINT8, pixels.type.shape), about)]


# ---- tables --------------------------------------------------------------------------------------


def _table(saved: SavedModel, prefix: str, rows: int) -> Interface:
    """One row of numbers: columns by their positions, categories by their codes."""
    schema = Schema.from_json(saved.schema)
    refuse_pictures(schema)
    groups = [name.rpartition(".")[2] for name in saved.inputs]
    columns = [column for group in groups for column in getattr(schema, group)]
    if not columns:
        raise ConfigError("A model without inputs cannot be exported.")
    widths = [column.longest if column.kind == "text" else 1 for column in columns]
    starts = [sum(widths[:i]) for i in range(len(widths))]
    total, upper = sum(widths), prefix.upper()
    dtype = float64 if schema.date else float32
    argument = Argument(
        "row" if rows == 1 else "rows", Type(dtype, (rows, total)),
        "the columns in the order of the positions above, NAN where a value is missing",
        f"{upper}_COLUMNS" if rows == 1 else f"{rows} * {upper}_COLUMNS",
    )  # fmt: skip
    kinds = [kind.dtype for kind in saved.inputs.values()]
    parts = [len(getattr(schema, group)) for group in groups]

    def inputs(given: Sequence[Tensor]) -> list[Tensor]:
        (row,) = given
        found, number, place = [], 0, 0
        for count, kind in zip(parts, kinds, strict=True):
            own = columns[number : number + count]
            width = sum(widths[number : number + count])
            part = row[:, place : place + width]
            if kind.kind != "f":
                part = _codes(part, own)
            found.append(part.astype(kind.name))
            number, place = number + count, place + width
        return found

    made = Interface([argument], inputs, "double" if schema.date else "float")
    names = made.unique([c.name for c in columns], "column")
    made.columns = dict(zip(names, columns, strict=True))
    made.declarations.append(_positions(prefix, names, columns, starts, total))
    renamed = [f"{column.name!r} is {name}" for name, column in made.columns.items()
               if name != column.name]  # fmt: skip
    if renamed:
        made.notes.append(f"Columns whose names are no identifiers: {', '.join(renamed)}.")
    for name, column in made.columns.items():
        _words(made, prefix, name, column)
    return made


def _codes(x: Tensor, columns: Sequence[Column]) -> Tensor:
    """Codes that are in range; missing ones are 0."""
    counts = np.concatenate([
        [len(c.vocabulary) + 2] * c.longest if c.kind == "text" else [c.codes] for c in columns
    ]).astype(x.dtype)  # fmt: skip
    known = where(isnan(x), 0.0, x)
    about = ("A code of a category is out of range.", "codes that the header names")
    return require(known, lambda v: (v >= 0.0) & (v < counts) & (v == floor(v)), about, "range")


def _positions(
    prefix: str, names: Sequence[str], columns: Sequence[Column], starts: Sequence[int], total: int
) -> str:
    about = {"numeric": "a number", "boolean": "0 or 1", "category": "a code of its categories",
             "date": "seconds since 1970-01-01 UTC"}  # fmt: skip
    lines = ["/* The columns of a row. */", "enum {"]
    for name, column, start in zip(names, columns, starts, strict=True):
        said = about.get(column.kind) or f"{column.longest} numbers of words, padded with 0"
        lines.append(f"  {prefix}_{name} = {start}, /* {comment(column.name)}: {said} */")
    lines += [f"  {prefix.upper()}_COLUMNS = {total}", "};"]
    return "\n".join(lines)


def _words(made: Interface, prefix: str, name: str, column: Column) -> None:
    """The categories of a column: names of their codes, and a function that finds a code."""
    if column.kind != "category":
        return
    others = code_of_others(column)
    code_of, missing, count = made.unique(
        [f"{name}_{x}" for x in ("code", "missing", "COUNT")], name
    )
    words = [f"{name}_{identifier(w, f'value_{i}')}" for i, w in enumerate(column.vocabulary, 1)]
    lines = [f"/* The categories of {comment(column.name)}. */", "enum {",
             f"  {prefix}_{missing} = 0,"]  # fmt: skip
    labels = made.unique(words, name)
    for code, (label, word) in enumerate(zip(labels, column.vocabulary, strict=True), 1):
        lines.append(f"  {prefix}_{label} = {code}, /* {comment(word)} */")
    if column.has_other:
        (other,) = made.unique([f"{name}_OTHER"], name)
        lines.append(f"  {prefix}_{other} = {others}, /* all that are rarer or new */")
    lines += [f"  {prefix}_{count} = {column.codes}", "};",
              f"/* The code of a category; {others} if it is not known. */",
              f"int {prefix}_{code_of}(const char *text);"]  # fmt: skip
    made.declarations.append("\n".join(lines))
    known = codes_of(column)
    table = ",\n".join(f"    {{{string(word)}, {code}}}" for word, code in known.items())
    found = [] if not known else [
        "  static const struct {", "    const char *text;", "    int code;", "  } known[] = {",
        table, "  };", "  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {",
        "    size_t c = 0;", "    while (text[c] && text[c] == known[i].text[c]) c++;",
        "    if (text[c] == known[i].text[c]) return known[i].code;", "  }",
    ]  # fmt: skip
    body = found or ["  (void)text;"]
    made.definitions.append(
        "\n".join([f"int {prefix}_{code_of}(const char *text)", "{", *body,
                   f"  return {others};", "}"])
    )  # fmt: skip


# ---- outputs -------------------------------------------------------------------------------------


def outputs(saved: SavedModel, prefix: str, made: Interface) -> Argument:
    """What a prediction gives for a row, with the classes in the header."""
    kind = kind_of_model(saved)
    size, upper = saved.output.size, prefix.upper()
    made.declarations.append(
        f"/* The numbers of a prediction. */\nenum {{ {upper}_OUTPUTS = {size} }};"
    )
    targets = list(Schema.from_json(saved.schema).targets) if kind == "table" else []
    about = _about_outputs(targets, saved)
    made.labels = [f"{target.name}{f' {level:g}' if level else ''}" for target in targets
                   if not target.classes for level in (0.0, *target.quantiles)]  # fmt: skip
    classes = [str(name) for name in saved.classes or ()]
    threshold = targets[0].threshold if len(targets) == 1 else None
    if len(targets) == 1 and targets[0].classes:
        classes = list(targets[0].classes)
    if classes and size == len(classes):
        if threshold is not None:
            made.rule = classes.index(threshold.positive), threshold.value
        _classes(made, prefix, classes)
    narrow = bool(kind) and saved.output.dtype == float64
    dtype = float32 if narrow and made.number != "double" else saved.output.dtype
    if made.number:
        dtype = float64 if made.number == "double" else float32
    return Argument("out", Type(dtype, saved.output.shape), about, f"{upper}_OUTPUTS")


def _about_outputs(targets: Sequence[Target], saved: SavedModel) -> str:
    if not targets:
        return "probabilities of the classes" if saved.classes else "the prediction"
    parts = []
    for target in targets:
        if target.classes:
            parts.append(f"probabilities of the {len(target.classes)} classes of {target.name}")
        else:
            parts.append(target.name)
            parts += [f"its {level:g} quantile" for level in target.quantiles]
    return ", ".join(parts)


def _classes(made: Interface, prefix: str, classes: Sequence[str]) -> None:
    upper, kind = prefix.upper(), f"{prefix}_number" if made.number else "float"
    labels = made.unique([f"class_{identifier(c, str(i))}" for i, c in enumerate(classes)], "class")
    lines = ["/* The classes, in the order of their probabilities. */", "enum {"]
    lines += [f"  {prefix}_{label} = {i}, /* {comment(name)} */"
              for i, (label, name) in enumerate(zip(labels, classes, strict=True))]  # fmt: skip
    lines += [f"  {upper}_CLASSES = {len(classes)}", "};",
              f"extern const char *const {prefix}_class_names[{upper}_CLASSES];",
              "/* The class that a prediction says. */",
              f"int {prefix}_class(const {kind} out[{upper}_OUTPUTS]);"]  # fmt: skip
    made.declarations.append("\n".join(lines))
    names = ",\n".join(f"  {string(name)}" for name in classes)
    body = [
        "  int best = 0;",
        f"  for (int c = 1; c < {upper}_CLASSES; c++)",
        "    if (out[c] > out[best]) best = c;",
        "  return best;",
    ]
    if made.rule is not None:
        positive, level = made.rule
        limit = f"{level!r}" if made.number == "double" else f"{float(np.float32(level))!r}f"
        body = [f"  return out[{positive}] >= {limit} ? {positive} : {1 - positive};"]
    made.definitions += [
        f"const char *const {prefix}_class_names[{upper}_CLASSES] = {{\n{names},\n}};",
        "\n".join([f"int {prefix}_class(const {kind} out[{upper}_OUTPUTS])", "{", *body, "}"]),
    ]
