"""``chainrule transcribe``: what is said in sounds."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, DataError
from .console import note
from .error_handling import Debug
from .harmless import harmless
from .lines import Beam, Best, Precision, check_precision, decoding, lines_of
from .predict import Model

if TYPE_CHECKING:
    from ..tasks.sequence_to_text import Translator

#: Sounds that are worked on at once.
_AT_ONCE = 32


def transcribe(
    model: Model,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILES",
            help="Sounds, or folders of sounds; without any, or with -, their names are those on "
            "standard input.",
            show_default=False,
        ),
    ] = None,
    beam: Beam = None,
    n_best: Best = None,
    language_model: Annotated[
        str | None,
        typer.Option(
            help="What helps to read what is heard: a file with a sentence in each line, a "
            "language model of chainrule, or none. As in the training by default.",
            metavar="FILE|MODEL|none",
            show_default=False,
        ),
    ] = None,
    precision: Precision = None,
    debug: Debug = False,
) -> None:
    """Write what is said in sounds: a line each, after the name of the file if there are several.

    Example: chainrule transcribe runs/prompts-2026-01-31-1 hello.wav
    """
    check_precision(precision)
    speech = _recognizer(model)
    how = _how(speech, decoding(speech, beam, n_best, None), language_model, beam)
    if files == [Path("-")]:
        files = None
    paths = _sounds(files)
    named = files is None or len(files) > 1 or files[0].is_dir()
    failed = 0
    while block := list(itertools.islice(paths, _AT_ONCE if files else 1)):
        failed += _write(speech, block, how, named, precision)
    if failed:
        raise typer.Exit(1)


def _recognizer(model: Path) -> Translator:
    """The model, if it writes what is said in sounds.

    Raises:
        ConfigError: it does not.
    """
    from ..tasks import load_predictor
    from ..tasks.sequence_to_text import Translator
    from ..tasks.sequence_to_text.sounds import SoundSource
    from ..utils.runs import model_file

    found = load_predictor(model_file(model))
    if not isinstance(found, Translator) or not isinstance(found.schema.source, SoundSource):
        raise ConfigError(
            "This model does not write what is said in sounds.",
            where=str(model),
            hint="train one on sounds with their texts: chainrule train prompts.csv --target text",
        )
    return found


def _how(speech: Translator, how: Any, language: str | None, beam: int | None) -> Any:
    """How texts are found, with what is known of words."""
    from ..tasks.sequence_to_text import LanguageModelOfLabels
    from ..tasks.sequence_to_text.schema import pieces_of
    from ..tasks.sequence_to_text.speech_words import BEAM, words_of_file

    schema = speech.schema
    if language is None:
        return how if schema.words is None else schema.with_words(schema.words, how)
    if language == "none":
        return dataclasses.replace(how, beam=max(beam or 1, how.best))
    wide = dataclasses.replace(how, beam=beam or max(BEAM, how.best))
    path = Path(language)
    if path.suffix == ".safetensors" or (path / "model.safetensors").exists():
        from ..tasks import load_predictor
        from ..tasks.text import LanguageModel
        from ..utils.runs import model_file

        known = load_predictor(model_file(path))
        if not isinstance(known, LanguageModel):
            raise ConfigError(
                "This model does not continue texts.", where=language,
                hint="train one on a text file: chainrule train plays.txt",
            )  # fmt: skip
        labels = LanguageModelOfLabels(known, pieces_of(schema.tokenizer))
        return dataclasses.replace(wide, language=labels)
    if schema.words is None:
        wide = dataclasses.replace(wide, language_weight=0.3, word_bonus=4.0)
    return schema.with_words(words_of_file(language, schema), wide)


def _sounds(files: list[Path] | None) -> Iterator[str]:
    """The files of sounds, those of folders in order."""
    from ..tasks.detection import files_in
    from ..tasks.transcripts import is_sound

    if files is None:
        yield from (line.strip() for line in lines_of(None) if line.strip())
        return
    for path in files:
        if not path.is_dir():
            yield str(path)
            continue
        found = [name for name in files_in(path) if is_sound(name)]
        if not found:
            raise DataError("There are no sounds here.", where=str(path))
        yield from found


def _write(
    speech: Translator, paths: list[str], how: Any, named: bool, precision: str | None
) -> int:
    """A line for each sound; how many could not be read, which is noted."""
    good: dict[str, list[Any]] = {}
    for path in paths:
        try:
            speech.schema.source.features(speech.schema.source.given(path))  # type: ignore[attr-defined]
            good[path] = []
        except DataError as error:
            # Not a note, which would shorten a long name.
            print(harmless(f"{path}: {error.what} {error.found or ''}".strip()), file=sys.stderr)
    if good:
        texts = speech.write(list(good), how, say=note, precision=precision)
        good = dict(zip(good, texts, strict=True))
    for path in paths:
        _show(path, good.get(path), how.best, named)
    sys.stdout.flush()
    return len(paths) - sum(path in good for path in paths)


def _show(path: str, texts: list[Any] | None, best: int, named: bool) -> None:
    front = f"{path}\t" if named else ""
    for each in texts or [None]:
        score = f"{each.score:.4f}\t" if best > 1 and each is not None else ""
        line = f"{front}{score}{'' if each is None else ' '.join(each.text.split())}"
        print(harmless(line) if sys.stdout.isatty() else line)
