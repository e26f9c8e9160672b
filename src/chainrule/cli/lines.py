"""Lines of sources to texts that a model writes, for `chainrule translate` and `answer`."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, DataError
from .console import note
from .harmless import harmless

if TYPE_CHECKING:
    from ..tasks.sequence_to_text import Translator

#: Lines that are worked on at once, where nobody waits for each.
_AT_ONCE = 512
_STANDARD_INPUT = Path("-")
#: Some programs of Windows begin what they write with it.
_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"

Beam = Annotated[
    int | None,
    typer.Option(
        help="Continuations that are followed at once; 1 takes the likeliest token each time. As "
        "in the training by default.",
        metavar="N",
        show_default=False,
    ),
]
Best = Annotated[
    int | None,
    typer.Option(
        "--n-best",
        help="So many texts for each line, with its number and their scores between tabs.",
        metavar="N",
        show_default=False,
    ),
]
LengthPenalty = Annotated[
    float | None,
    typer.Option(
        help="Texts are compared by ln p / length^X: 0 favours short ones, above 1 long ones.",
        metavar="X",
        show_default=False,
    ),
]


Mbr = Annotated[
    int | None,
    typer.Option(
        help="Draw so many texts, such as 32, and write the one of them and of the beam that is "
        "most like these, by chrF, not the likeliest (minimum Bayes risk). As in the training by "
        "default.",
        metavar="N",
        show_default=False,
    ),
]
Others = Annotated[
    list[Path] | None,
    typer.Option(
        "--with",
        help="Another model with the same tokens that writes together with it (an ensemble); may "
        "be said several times.",
        metavar="MODEL",
        show_default=False,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        help="Numbers that products multiply: float32 or bf16, with sums in float32. float32 by "
        "default; bf16 is faster where the processor has tile registers (AMX).",
        metavar="NAME",
        show_default=False,
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        help="Encoding of the lines, such as cp1252; UTF-8 by default.",
        metavar="NAME",
        show_default=False,
    ),
]


def writer_of(model: Path, columns: int, hint: str, others: list[Path] | None) -> Translator:
    """The model, if it writes texts from so many columns of texts, together with others.

    Raises:
        ConfigError: it does not; ``hint`` says what to do.
    """
    from ..tasks import load_predictor
    from ..tasks.sequence_to_text import Translator
    from ..tasks.sequence_to_text.sources import TextSource
    from ..utils.runs import model_file

    found = load_predictor(model_file(model))
    if not isinstance(found, Translator) or not isinstance(found.schema.source, TextSource):
        raise ConfigError(
            "This model does not write texts from texts.", where=str(model), hint=hint
        )
    if len(found.schema.source.columns) != columns:
        raise ConfigError(
            "The model takes another number of texts.",
            where=str(model),
            expected=f"{'one column' if columns == 1 else 'question and context'} as the source",
            found=f"the columns {', '.join(found.schema.source.columns)}",
            hint=hint,
        )
    if others:
        found.join([writer_of(other, columns, hint, None) for other in others])
    return found


def decoding(
    translator: Translator,
    beam: int | None,
    best: int | None,
    penalty: float | None,
    mbr: int | None = None,
) -> Any:
    """How texts are found: as the model says, but for what is asked for."""
    usual = translator.schema.decoding
    drawn = usual.mbr if mbr is None else mbr
    width = max(usual.beam, 1 if drawn else best or 1) if beam is None else beam
    said: dict[str, Any] = {"beam": width, "best": best or 1, "mbr": drawn}
    if penalty is not None:
        said["length_penalty"] = penalty
    return dataclasses.replace(usual, **said)


def check_precision(name: str | None) -> None:
    """Say what is wrong with the precision before a line is read.

    Raises:
        ConfigError: there is none of this name.
    """
    from ..engine.backends.base import precision_of

    if name is not None:
        precision_of(name)


def is_typed(files: list[Path] | None) -> bool:
    """Whether somebody types the lines, and waits for each."""
    return sys.stdin.isatty() and (not files or _STANDARD_INPUT in files)


def lines_of(files: list[Path] | None, encoding: str | None = None) -> Iterator[str]:
    """The lines of files, or of standard input, also as the file -, without their ends."""
    from ..tasks.text import read_text

    for path in files or [_STANDARD_INPUT]:
        if path == _STANDARD_INPUT:
            yield from _read_lines(encoding)
        elif text := read_text(path, encoding):
            yield from text.removesuffix("\n").split("\n")


def _read_lines(encoding: str | None) -> Iterator[str]:
    """The lines of standard input, as they come."""
    name = encoding or "utf-8"
    try:
        sys.stdin.reconfigure(encoding=name, errors="replace")  # type: ignore[union-attr]
    except LookupError:
        raise ConfigError("This encoding is not known.", where="--encoding", found=name,
                          hint="Try utf-8, cp1252 or latin-1.") from None  # fmt: skip
    if sys.stdin.isatty():
        note("type a line and Enter; Ctrl-D ends")
    told = False
    for number, line in enumerate(sys.stdin, 1):
        if "\ufffd" in line and not told:
            told = True
            note(f"line {number} is not {name.upper()}: what cannot be read becomes \ufffd")
        yield line.removeprefix(_MARK if number == 1 else "").rstrip("\r\n")


def write_lines(
    translator: Translator, lines: Iterable[str], item: Callable[[str], Any], how: Any,
    one_by_one: bool, precision: str | None = None,
) -> None:  # fmt: skip
    """Write a text for each line, and an empty line for each that is empty.

    Args:
        translator: the model.
        lines: of the sources.
        item: what the model takes, of a line that is not empty.
        how: as of `decoding`.
        one_by_one: somebody waits for each line.
        precision: of products.
    """
    said: set[str] = set()

    def once(sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            note(sentence)

    numbered = enumerate(lines, 1)
    while block := list(itertools.islice(numbered, 1 if one_by_one else _AT_ONCE)):
        asked = [(number, item(line)) for number, line in block if line.strip()]
        items = [each for _, each in asked]
        texts = translator.write(items, how, say=once, precision=precision) if asked else []
        found = dict(zip((number for number, _ in asked), texts, strict=True))
        for number, _ in block:
            _show(number, found.get(number, []), how.best)
        sys.stdout.flush()


def _show(number: int, texts: list[Any], best: int) -> None:
    if best == 1:
        print(_on_one_line(texts[0].text) if texts else "")
        return
    for each in texts:
        print(f"{number}\t{each.score:.4f}\t{_on_one_line(each.text)}")


def _on_one_line(text: str) -> str:
    line = " ".join(text.splitlines())
    return harmless(line) if sys.stdout.isatty() else line


def need_context(line: str, context: str | None, number: int) -> tuple[str, str]:
    """Question and context of a line.

    Raises:
        DataError: it has no context.
    """
    question, tab, own = line.partition("\t")
    if tab and own.strip():
        return question.strip(), own.strip()
    if context is None:
        raise DataError(
            "A question needs its context.",
            where=f"line {number:,}",
            expected="question, a tab, context; or one for all of them with --context",
            found=line[:80],
            hint="chainrule answer MODEL --context story.txt",
        )
    return question.strip(), context
