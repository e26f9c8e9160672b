"""Sounds with what is said in them: a source of texts, as log-mel features of 10 ms each."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ... import models
from ...data.schema import check_present
from ...errors import DataError
from ...nn import Module
from ...utils.random import generator
from ...utils.typing import Array
from ..audio.decode import Header, read_header, read_whole_sound
from ..audio.features import PARTS, STEP, log_mel
from ..kinds.audio import KIND as AUDIO
from ..kinds.sequence_to_text import SequenceToTextOptions
from ..media import FileType
from ..media.files import located
from ..text.tokenizers import Tokenizer, fit_tokenizer
from .sources import Source
from .vocabulary import tokenizer_kind

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

FILE_TYPE = FileType(AUDIO.noun, AUDIO.endings)
#: Sounds are resampled to at most this rate; their features have so many bands.
_RATE, _BANDS = 16_000, 40
#: Seconds of a sound that the network hears at most.
_LONGEST = 30.0
#: So many sounds give the statistics of the bands, and the sample rate.
_SAMPLE = 300
#: Bytes of features that are kept in memory; those of other sounds are computed when they are used.
_KEPT = 2**29
#: A sound whose loud and soft parts, of so many frames, differ by less (in nats of the energy) says
#: nothing.
_LIVELY, _AROUND = 0.5, 5
#: Named of what is left out.
_NAMED = 5
_FULL_SCALE = 32768.0
#: Frames in a second.
_FRAMES = 100
_FORMS = ("spoken", "written")
#: What is heard but not said, such as [laughter] and <unk>.
_REMARKS = re.compile(r"\[[^\]]*\]|<[^>]*>|\{[^}]*\}")


class Sound(NamedTuple):
    """A sound file.

    Attributes:
        path: where it is.
        seconds: how long it says that it is.
        cut_off: the file ends before that.
    """

    path: str
    seconds: float
    cut_off: bool = False


class SoundSource(Source):
    """Sounds in files, which are named in a column of a table or found in a folder.

    Features are the logarithms of the energy in 40 bands, every 10 ms, less the mean of the sound
    and divided by the deviation in the training set.

    Args:
        columns: the column of the files; empty for a folder.
        rate: sample rate that sounds are resampled to.
        longest: frames that the network hears.
        stride: frames of a step of the network.
        deviation: of each band.
        form: of the texts: spoken, in lower case without punctuation, or written, as they are.
        skip_bad: whether files that cannot be read are left out.
    """

    kind, command, unit = "sound", "transcribe", "frames of 10 ms"
    model, has_steps, batch_size, most_epochs = "ctc-lstm", True, 16, 100
    learned = 40_000_000  # frames of 10 ms, four of which are a step
    metrics = ("word_error_rate", "character_error_rate", "exact_match")

    def __init__(
        self,
        columns: Sequence[str] = (),
        *,
        rate: int = _RATE,
        longest: int = round(_LONGEST * _FRAMES),
        stride: int = 4,
        deviation: Sequence[float] = (1.0,) * _BANDS,
        form: str = "spoken",
        skip_bad: bool = False,
    ) -> None:
        self.columns = tuple(columns)
        self.rate, self.longest, self.stride, self.form = rate, longest, stride, form
        self.deviation = np.asarray(deviation, np.float32)
        self.skip_bad = skip_bad
        self._features: dict[str, Array] = {}
        self._bytes = 0

    # ---- reading ---------------------------------------------------------------------------------

    def read(
        self, frame: pl.DataFrame, where: str, say: Say = lambda note: None
    ) -> list[Sound | None]:
        return self.sounds(self._paths(frame, where), say)

    def _paths(self, frame: pl.DataFrame, where: str) -> list[str | None]:
        """The files that a table names; None where it names none."""
        check_present(self.columns, frame.columns, where)
        cells = frame[self.columns[0]].to_list()
        names = [str(cell).strip() for cell in cells if cell is not None and str(cell).strip()]
        paths = iter(located(names, where, FILE_TYPE))
        there = [cell is not None and bool(str(cell).strip()) for cell in cells]
        return [next(paths) if named else None for named in there]

    def sounds(
        self, paths: Sequence[str | None], say: Say = lambda note: None
    ) -> list[Sound | None]:
        """The sounds in these files; None for those that cannot be read, where these are skipped.

        Raises:
            DataError: files cannot be read; it names the first of them.
        """
        found: list[Sound | None] = []
        bad: list[DataError] = []
        for path in paths:
            try:
                header = None if path is None else read_header(path)
            except DataError as error:
                bad.append(error)
                header = None
            if path is None or header is None:
                found.append(None)
            else:
                found.append(_sound(path, header))
        if cut := [each for each in found if each is not None and each.cut_off]:
            say(said_cut_off(cut))
        if bad:
            if len(bad) == len(paths) == 1:
                raise bad[0]
            if not self.skip_bad or len(bad) == len(paths):
                hint = "--skip-bad leaves them out" if len(bad) < len(paths) else None
                raise DataError(f"{len(bad):,} of {len(paths):,} sounds cannot be read.",
                                where=str(bad[0].where), found=_named(bad),
                                hint=hint)  # fmt: skip
            say(f"{len(bad):,} of {len(paths):,} sounds cannot be read and are left out: "
                f"{_named(bad)}")  # fmt: skip
        return found

    def text(self, text: str) -> str:
        return spoken(text) if self.form == "spoken" else text

    def given(self, item: Any) -> Sound:
        """A sound, or the file of one, as an item."""
        if isinstance(item, Sound):
            return item
        return _sound(str(item), read_header(str(item)))

    def readable(
        self, frame: pl.DataFrame, where: str, say: Say = lambda note: None
    ) -> list[Sound | None]:
        """As `read`, but with None for sounds that cannot be read, which are told.

        Raises:
            DataError: none of them can be read.
        """
        found: list[Sound | None] = []
        bad: list[DataError] = []
        paths = self._paths(frame, where)
        for path in paths:
            sound = None
            try:
                if path is not None:
                    self.features(self.given(path))
                    sound = self.given(path)
            except DataError as error:
                bad.append(error)
            found.append(sound)
        if bad and not any(found):
            raise bad[0]
        if bad:
            say(f"{len(bad):,} of {len(paths):,} sounds cannot be read: {_named(bad)}")
        return found

    def key(self, item: Sound) -> Hashable:
        return _digest(item.path)

    def shown(self, item: Sound) -> str:
        return f"{Path(item.path).name} ({item.seconds:.1f} s)"

    # ---- what the network hears ------------------------------------------------------------------

    def fitted(
        self, items: Sequence[Any], targets: Sequence[str], options: SequenceToTextOptions, say: Say
    ) -> tuple[SoundSource, Tokenizer]:
        sample = items[:: max(len(items) // _SAMPLE, 1)]
        rates = Counter(read_header(sound.path).rate for sound in sample)
        rate = options.sample_rate or min(rates.most_common(1)[0][0], _RATE)
        if set(rates) != {rate}:
            others = ", ".join(f"{other:,}" for other in sorted(set(rates) - {rate}))
            say(f"sounds at {others} Hz are resampled to {rate:,} Hz")
        kind = options.target_tokenizer or options.tokenizer
        if kind is None:
            kind = "symbol" if tokenizer_kind(targets) == "symbol" else "character"
        tokenizer = fit_tokenizer(kind, targets, options.vocabulary or 8192, exact=True)
        longest = frames_of(options.seconds or _LONGEST)
        found = SoundSource(
            self.columns, rate=rate, longest=longest, form=self.form, skip_bad=self.skip_bad
        )
        needed = np.array([steps_needed(tokenizer.encode(text)) for text in targets])
        if (needed > -(-found.lengths(items) // found.stride)).mean() > 0.005:
            found.stride = 2  # speech is fast, or labels are many
        features = np.concatenate([found.features(sound) for sound in sample])
        deviation = features.std(axis=0, dtype=np.float64)
        found.deviation = np.maximum(deviation, 1e-2).astype(np.float32)
        return found, tokenizer

    def features(self, sound: Sound) -> Array:
        """(frames, bands) logarithms of energies less their mean, as float16.

        Raises:
            DataError: the file cannot be read; names it.
        """
        known = self._features.get(sound.path)
        if known is None:
            x = read_whole_sound(sound.path, self.rate, round(self.longest * self.rate / _FRAMES))
            bands = log_mel(x.astype(np.float32) / _FULL_SCALE, self.rate, len(self.deviation))
            known = (bands - bands.mean(axis=0)).astype(np.float16)
            if self._bytes < _KEPT:
                self._features[sound.path] = known
                self._bytes += known.nbytes
        return known

    def prepared(self, items: Sequence[Sound]) -> list[Sound]:
        return list(items)

    def lengths(self, prepared: Sequence[Sound]) -> Array:
        part = round(self.rate / _FRAMES / STEP)
        return np.array(
            [max((int(s.seconds * self.rate) // part - PARTS) // STEP + 1, 1) for s in prepared],
            np.int64,
        )

    def batch(self, prepared: Sequence[Sound], length: int) -> dict[str, Array]:
        found = np.zeros((len(prepared), length, len(self.deviation)), np.float32)
        lengths = np.minimum(np.minimum(self.lengths(prepared), self.longest), length)
        for row, (sound, frames) in enumerate(zip(prepared, lengths, strict=True)):
            heard = self.features(sound)[:frames]
            found[row, : len(heard)] = heard / self.deviation
        return {"source": found, "lengths": lengths, "steps": -(-lengths // self.stride)}

    def changed(self, batch: dict[str, Array], rows: Array, epoch: int) -> dict[str, Array]:
        """Other voices: faster or slower, with bands that are moved up or down, parts left out.

        Sources: Ko et al., "Audio augmentation for speech recognition", 2015; Jaitly and Hinton,
        "Vocal tract length perturbation", 2013; Park et al., "SpecAugment", 2019.
        """
        source, lengths = batch["source"].copy(), batch["lengths"].copy()
        for place, row in enumerate(rows):
            rng = generator(0, "speech", epoch, int(row))
            source[place], lengths[place] = _changed(source[place], int(lengths[place]), rng)
        return {"source": source, "lengths": lengths, "steps": -(-lengths // self.stride)}

    def unfit(self, item: Sound, text: Array, output: Any) -> str:
        frames = int(min(self.lengths([item])[0], self.longest))
        needed, steps = steps_needed(text), -(-frames // self.stride)
        if needed > steps and output.name == "ctc":
            return (
                f"{item.path}: its text has {len(text):,} tokens, for which CTC needs {needed:,} "
                f"steps, and the sound has {steps:,} of {self.stride * 10} ms"
            )
        try:
            silent = is_silent(self.features(item))
        except DataError as error:
            if not self.skip_bad:
                raise
            return f"{item.path}: {error.found}"
        return f"{item.path}: nothing is heard in it" if silent else ""

    def entrance(self, width: int, dropout: float) -> Module:
        return models.SpeechEntrance(len(self.deviation), width, stride=self.stride)

    # ---- for people and files --------------------------------------------------------------------

    def described(self) -> list[tuple[str, str]]:
        where = f"files of the column {self.columns[0]}" if self.columns else "files of a folder"
        texts = "in lower case, without punctuation" if self.form == "spoken" else "as they are"
        return [
            ("source", f"sounds, {where}; at {self.rate:,} Hz, up to "
             f"{self.longest / _FRAMES:.1f} s, in steps of {self.stride * 10} ms"),
            ("texts", texts),
        ]  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "columns": list(self.columns), "rate": self.rate,
                "longest": self.longest, "stride": self.stride, "form": self.form,
                "deviation": [round(float(x), 6) for x in self.deviation]}  # fmt: skip

    @staticmethod
    def from_json(content: Any) -> SoundSource:
        columns = tuple(str(name) for name in content["columns"])
        numbers = [content[name] for name in ("rate", "longest", "stride")]
        deviation = [float(x) for x in content["deviation"]]
        if any(type(n) is not int or n < 1 for n in numbers) or content["stride"] not in (2, 4):
            raise TypeError("rate, longest or stride")
        if not deviation or min(deviation) <= 0 or content["form"] not in _FORMS:
            raise ValueError("deviation or form")
        if content["rate"] > 10**6 or content["longest"] > 10**6 or len(deviation) > 1000:
            raise ValueError("rate, longest or deviation")
        rate, longest, stride = numbers
        return SoundSource(columns, rate=rate, longest=longest, stride=stride,
                           deviation=deviation, form=content["form"])  # fmt: skip


def _named(errors: Sequence[DataError]) -> str:
    """The first of some files, and what is wrong with them."""
    named = [f"{error.where}: {error.found}" for error in errors[:_NAMED]]
    return "; ".join(named) + "; …" * (len(errors) > _NAMED)


def _sound(path: str, header: Header) -> Sound:
    return Sound(path, header.length / header.rate, header.cut_off)


def said_cut_off(sounds: Sequence[Sound]) -> str:
    """A sentence about sounds whose end is missing."""
    count = len(sounds)
    named = ", ".join(sound.path for sound in sounds[:_NAMED]) + ", …" * (count > _NAMED)
    words = "sound ends before the length that it promises" if count == 1 else (
        "sounds end before the length that they promise")  # fmt: skip
    return f"{count:,} {words}: {named}"


def frames_of(seconds: float) -> int:
    """How many frames a sound of this length has.

    Example:
        >>> frames_of(1.5)
        150
    """
    return max(round(seconds * _FRAMES), 1)


def spoken(text: str) -> str:
    """A text as it is heard: in lower case, without punctuation, but for apostrophes in words.

    Example:
        >>> spoken("Well — it's Waldo's (twenty-one)!")
        "well it's waldo's twenty one"
    """
    characters = []
    text = _REMARKS.sub(" ", text)
    text = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()
    for place, character in enumerate(text):
        around = text[max(place - 1, 0) : place + 2]
        inside = len(around) == 3 and around[0].isalnum() and around[2].isalnum()
        kept = character.isalnum() or unicodedata.category(character)[0] == "M"
        characters.append(character if kept or (character == "'" and inside) else " ")
    return " ".join("".join(characters).split())


def steps_needed(labels: Array) -> int:
    """How many steps a target needs: one for each label, and one between two that are the same.

    Example:
        >>> steps_needed(np.array([3, 3, 4]))
        4
    """
    return len(labels) + int((labels[1:] == labels[:-1]).sum())


def is_silent(features: Array) -> bool:
    """Whether the loudness of a sound stays the same, as that of silence, of noise or of a tone.

    Example:
        >>> is_silent(np.zeros((50, 40))), is_silent(np.sin(np.arange(50) / 9)[:, None])
        (True, False)
    """
    loudness = features.mean(axis=1, dtype=np.float64)
    around = np.convolve(loudness, np.full(_AROUND, 1 / _AROUND), "valid")
    loud, soft = np.quantile(around if len(around) else loudness, [0.95, 0.05])
    return bool(loud - soft < _LIVELY)


def _changed(x: Array, frames: int, rng: np.random.Generator) -> tuple[Array, int]:
    room, bands = x.shape
    speed = np.exp(rng.uniform(-0.15, 0.1))
    count = int(np.clip(round(frames / speed), 1, room))
    time = np.linspace(0, max(frames - 1, 0), count)
    band = np.clip(np.arange(bands) * np.exp(rng.uniform(-0.12, 0.12)), 0, bands - 1)
    t, b = time.astype(np.int64), band.astype(np.int64)
    later, higher = np.minimum(t + 1, max(frames - 1, 0)), np.minimum(b + 1, bands - 1)
    within = (time - t).astype(np.float32)[:, None]
    moved = x[t] * (1 - within) + x[later] * within
    within = (band - b).astype(np.float32)
    moved = moved[:, b] * (1 - within) + moved[:, higher] * within
    for _ in range(2):
        low, wide = rng.integers(0, bands), rng.integers(0, bands // 6 + 1)
        moved[:, low : low + wide] = 0
        start, long = rng.integers(0, count), rng.integers(0, min(count // 12, 20) + 1)
        moved[start : start + long] = 0
    found = np.zeros_like(x)
    found[:count] = moved
    return found, count


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
