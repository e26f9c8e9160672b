"""What is special to sounds on the way of files to a model: see `chainrule.tasks.media`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import models, nn
from ...data import Target
from ...drawing.colours import coloured
from ...engine.compile import Compiled
from ...engine.ops import expand_dims, mean
from ...engine.tensor import Buffer, Tensor
from ...errors import DataError, ModelFileError
from ...serialization import SavedModel
from ...utils.numbers import counted
from ...utils.typing import Array
from .. import runner
from ..kinds.audio import KIND, AudioOptions
from ..media import Design, FilePlan, FileReader, Files, FileType, MediaPredictor, continued
from ..media.copies import PICTURE, small
from ..media.plan import FEW_FILES
from ..plan import Recipe
from ..result import TrainingResult
from ..update import Continuation, Old
from ..update_options import UpdateOptions
from . import augment
from .decode import Header, cancels, read_header, read_sound
from .features import STEP, LogMel
from .schema import AudioSchema

#: So many headers tell what all are like, and at least so many of each class.
_HEADERS, _EACH = 500, 10
#: Sounds are resampled and cropped to at most this rate and length unless the user says another.
_RATE, _SECONDS = 16_000, 10.0
#: So many sounds give the statistics of the bands.
_SAMPLE = 200
#: Training takes at least so many updates, and so many epochs.
_UPDATES, _EPOCHS, _MOST_EPOCHS = 1100, 10, 40
_BATCH = 32
#: The same for few sounds.
_FEW_UPDATES, _FEW_EPOCHS, _FEW_BATCH = 500, 120, 16
_FULL_SCALE = 32768.0
#: In the small pictures that copies are found by, a change by e is so many levels.
_NATS = 40.0
#: So many sounds with several channels tell whether these cancel.
_CHANNELS = 100


def train_audio(
    source: Any,
    options: AudioOptions | None = None,
    *,
    say: Callable[[str], None] = lambda sentence: None,
    **more: Any,
) -> TrainingResult:
    """Train on sounds: see `chainrule.tasks.runner.train` for the other arguments.

    Args:
        source: a folder with a folder for each class, or a table with a column of paths.
        options: what the user says; the rest is chosen by rules.
        say: takes plain sentences about what is done and why.
        more: progress, on_schema, callbacks, checkpoints.
    """
    return runner.train(AudioPlan(options or AudioOptions(), say), source, **more)


def predictor(saved: SavedModel, path: str) -> MediaPredictor:
    """A saved model of sounds, ready for files."""
    try:
        return MediaPredictor(AudioMedium(), saved)
    except DataError as error:
        raise ModelFileError(error.what, where=path, found=error.found) from None


def continuation(
    old: Old, source: Any, requested: UpdateOptions, say: Callable[[str], None]
) -> Continuation[Any, Any]:
    """New sounds as examples for a saved model of sounds; see `chainrule.tasks.update`."""
    return continued(AudioPlan(old.options(requested), say), old, source, requested)


class AudioMedium:
    """Sounds; see `chainrule.tasks.media.Medium`."""

    kind = "audio"
    blank = "silent"
    file_type = FileType(KIND.noun, KIND.endings)

    def understand(
        self, files: Files, target: Target, options: AudioOptions, say: Callable[[str], None]
    ) -> AudioSchema:
        """Rate and length for all, from a sample; what is done with others is said once."""
        headers, paths = _sample(files)
        rates = Counter(header.rate for header in headers)
        rate = options.sample_rate or min(rates.most_common(1)[0][0], _RATE)
        lengths = np.array([header.length / header.rate for header in headers])
        seconds = options.seconds or min(float(np.quantile(lengths, 0.95)), _SECONDS)
        mel = LogMel(rate)
        samples = mel.samples(mel.frames(round(seconds * rate) + 2 * mel.part))
        if set(rates) != {rate}:
            others = ", ".join(f"{other:,}" for other in sorted(set(rates) - {rate}))
            say(f"sounds at {others} Hz are resampled to {rate:,} Hz")
        _say_channels([p for p, h in zip(paths, headers, strict=True) if h.channels > 1], say)
        if cut := [p for p, h in zip(paths, headers, strict=True) if h.cut_off]:
            say(f"{counted(len(cut), 'sound ends', 'sounds end')} before the length that the file "
                f"promises, such as {cut[0]}: cut off?")  # fmt: skip
        if (lengths * rate > samples).any():
            say(f"of sounds above {samples / rate:.2f} s the middle is taken")
        found = (
            f"{len(files):,}, of {lengths.min():.2f} to {lengths.max():.2f} s, at "
            f"{', '.join(f'{r:,}' for r in sorted(rates))} Hz"
        )
        return AudioSchema(target, rate, samples, found)

    def schema(self, text: str) -> AudioSchema:
        """The schema in a model file."""
        return AudioSchema.from_json(text)

    def read(self, schema: AudioSchema, path: str) -> Array:
        """One file as (samples,) int16."""
        return read_sound(path, schema.rate, schema.samples)

    def differing(self, schema: AudioSchema, paths: Sequence[str]) -> list[str]:
        """Nothing: rate, channels and loudness are brought to those of the training."""
        return []

    def design(
        self, schema: AudioSchema, options: AudioOptions, reader: FileReader, rows: Array
    ) -> Design:
        """A convolutional network on log-mel features."""
        sample = reader(rows[:: max(len(rows) // _SAMPLE, 1)])
        name = options.model or "cnn"
        network = AudioNetwork(name, schema, sample, options.dropout)
        changes = augment.parse(options.augment or "light")
        assert changes is not None, "checked by the options"
        if not schema.target.classes:
            changes = tuple(change for change in changes if change != "mixup")
        return Design(
            network, name, augment.Augment(changes, options.seed) if changes else None, changes
        )

    def at_own_contrast(self, network: Any, schema: AudioSchema, own: bool) -> AudioSchema | None:
        """The mean of each sound is taken off in any case."""
        return None

    def recipe(self, options: AudioOptions, files: int) -> Recipe:
        """The same for all but few sounds, which take more epochs of smaller batches."""
        few = files < FEW_FILES
        return Recipe.of(
            options, files, batch_size=_FEW_BATCH if few else _BATCH, epochs=_EPOCHS,
            updates=_FEW_UPDATES if few else _UPDATES,
            most_epochs=_FEW_EPOCHS if few else _MOST_EPOCHS,
            lr=3e-3, weight_decay=0.02, schedule="one-cycle",
        )  # fmt: skip

    def features(self, schema: AudioSchema, batch: Array) -> Array:
        """Mean and deviation over time of each band."""
        bands = _bands(schema.rate, batch)
        return np.concatenate([bands.mean(axis=1), bands.std(axis=1)], axis=1)

    def pictures(self, schema: AudioSchema, batch: Array) -> Array:
        """How the energy in a few bands changes from a stretch of time to the next.

        Without the silence around a sound, which is alike in all that are short.
        """
        rows, columns = PICTURE
        energies = [
            small(own[None, :, :, None], (rows + 1, columns))[0]
            for own in _sounding(schema.rate, batch)
        ]
        return np.asarray(np.diff(np.stack(energies), axis=1) * _NATS)

    def shown(self, schema: AudioSchema, decoded: Array) -> Array:
        """The log-mel spectrogram, high frequencies at the top."""
        (bands,) = _bands(schema.rate, decoded[None])
        return np.asarray(coloured(bands.T[::-1], low=float(np.quantile(bands, 0.05))))

    def shown_importance(self, schema: AudioSchema, strength: Array) -> Array:
        """(1, time) how much each stretch of the sound matters, over a narrow strip."""
        parts = max(min(len(strength) // 64, 256), 1)
        means = np.array([part.mean() for part in np.array_split(strength, parts)])
        return np.tile(means, (max(parts // 6, 1), 1))


class AudioPlan(FilePlan):
    """Sounds as a plan of the runner."""

    kind, unit, medium = KIND.name, KIND.noun, AudioMedium()


class AudioNetwork(nn.Module):
    """Sound in 16 bits → log-mel features, standardised → a convolutional network.

    The mean over the whole sound is taken off: how loud it is does not matter.

    Args:
        name: cnn or resnet.
        schema: of the sounds.
        sample: (n, samples) sounds that the statistics are taken from.
        dropout: before the last layer.
    """

    def __init__(
        self, name: str, schema: AudioSchema, sample: Array, dropout: float | None
    ) -> None:
        self.mel = LogMel(schema.rate)
        bands = _bands(schema.rate, sample)
        bands = bands - bands.mean(axis=(1, 2), keepdims=True)
        self.mean = Buffer(bands.mean(axis=(0, 1)).astype(np.float32))
        self.std = Buffer(np.maximum(bands.std(axis=(0, 1)), 1e-3).astype(np.float32))
        outputs = len(schema.target.classes) or 1
        stem = [nn.Conv2d(1, 16, 5, 2, padding="same"), nn.ReLU()]
        if name == "cnn":
            # Every stage halves the time, of which the first convolution leaves a half.
            halves = (-(-self.mel.frames(schema.samples) // 2)).bit_length() - 1
            network = models.vgg(outputs, 16, widths=(32, 64, 128)[:halves], depth=1)
        else:
            network = models.resnet(outputs, 16, widths=(16, 32, 64), blocks=1)
        layers = [*stem, *network]
        dropped = nn.Dropout(0.1 if dropout is None else dropout)
        self.body = nn.Sequential(*layers[:-1], dropped)
        self.head = layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        """(rows, samples) from -32768 to 32767 → (rows, outputs)."""
        result: Tensor = self.head(self.features(x))
        return result

    def features(self, x: Tensor) -> Tensor:
        """(rows, samples) from -32768 to 32767 → what goes into the last layer."""
        bands = self.mel(x / _FULL_SCALE)
        bands = bands - mean(bands, axis=(1, 2), keepdims=True)
        result: Tensor = self.body(expand_dims((bands - self.mean) / self.std, 3))
        return result


def _bands(rate: int, batch: Array) -> Array:
    mel = Compiled(LogMel(rate).forward)
    parts = [batch[i : i + 64].astype(np.float32) / _FULL_SCALE for i in range(0, len(batch), 64)]
    return np.concatenate([mel(part.astype(np.float32)).numpy() for part in parts])


def _sounding(rate: int, batch: Array) -> list[Array]:
    """(frames, bands) of each sound, from where it begins to where it ends."""
    mel, found = LogMel(rate), []
    for sound, bands in zip(batch, _bands(rate, batch), strict=True):
        there = np.flatnonzero(sound)
        first, last = (int(there[0]), int(there[-1])) if len(there) else (0, len(sound))
        begin = min(first // (STEP * mel.part), len(bands) - 1)
        found.append(bands[begin : max(mel.frames(last + 1), begin + 1)])
    return found


def _sample(files: Files) -> tuple[list[Header], list[str]]:
    """Headers of some of the files, evenly chosen from each class; bad files are for later."""
    headers, paths = [], []
    first: DataError | None = None
    for row in files.sample(_HEADERS, _EACH):
        try:
            headers.append(read_header(files.paths[row]))
            paths.append(files.paths[row])
        except DataError as error:
            first = first or error
    if first is not None and not headers:
        raise first
    return headers, paths


def _say_channels(paths: list[str], say: Callable[[str], None]) -> None:
    """How several channels become one."""
    if not paths:
        return
    tried = cancelled = 0
    for path in paths[:_CHANNELS]:
        try:
            cancelled += cancels(path)
            tried += 1
        except DataError:  # it is named when all are read
            continue
    if cancelled < tried or not tried:
        say("of sounds with several channels the mean is taken")
    if cancelled:
        say(
            f"the channels of {cancelled:,} of {tried:,} sounds cancel each other in the mean: "
            "of such sounds the loudest channel is taken"
        )
