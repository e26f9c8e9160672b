"""What is special to images on the way of files to a model: see `chainrule.tasks.media`."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import models, nn
from ...data import Target
from ...data.image_files import Header, opaque_level, pillow, read_header, read_image, read_range
from ...engine import ops
from ...engine.tensor import Buffer, Tensor
from ...errors import DataError, ModelFileError
from ...serialization import SavedModel
from ...utils.typing import Array
from .. import runner
from ..kinds.images import KIND, ImageOptions
from ..media import Design, FilePlan, FileReader, Files, FileType, MediaPredictor, continued
from ..media.copies import small
from ..media.plan import FEW_FILES
from ..plan import Recipe
from ..result import TrainingResult
from ..update import Continuation, Old
from ..update_options import UpdateOptions
from ..warm_start import named_model
from . import augment
from .schema import ImageSchema

#: So many headers and images tell what all are like, and at least so many of each class.
_HEADERS, _EACH = 500, 10
#: What is drawn on transparent pixels is white if it is brighter than this.
_WHITE = 230
#: Images are resized to at most this size unless the user says another.
_SIDE = 64
#: The small network is for images up to this size; larger ones lose what it would flatten.
_SMALL_SIDE = 32
#: Images above this size are halved by the first convolution.
_HALVED = 40
#: Training takes at least so many updates, and so many epochs.
_UPDATES, _EPOCHS, _MOST_EPOCHS = 1400, 10, 60
#: The same for few images.
_FEW_UPDATES, _FEW_EPOCHS = 500, 120
#: Variance of the pixels of an image below which there is nothing but noise to enlarge.
_FLAT = 25.0
#: The linear model sees images of this size at most.
_COARSE = 16


def train_images(
    source: Any,
    options: ImageOptions | None = None,
    *,
    say: Callable[[str], None] = lambda sentence: None,
    **more: Any,
) -> TrainingResult:
    """Train on images: see `chainrule.tasks.runner.train` for the other arguments.

    Args:
        source: a folder with a folder for each class, or a table with a column of paths.
        options: what the user says; the rest is chosen by rules.
        say: takes plain sentences about what is done and why.
        more: progress, on_schema, callbacks, checkpoints.
    """
    pillow()
    return runner.train(ImagePlan(options or ImageOptions(), say), source, **more)


def predictor(saved: SavedModel, path: str) -> MediaPredictor:
    """A saved model of images, ready for files."""
    pillow()
    try:
        return MediaPredictor(ImageMedium(), saved)
    except DataError as error:
        raise ModelFileError(error.what, where=path, found=error.found) from None


def continuation(
    old: Old, source: Any, requested: UpdateOptions, say: Callable[[str], None]
) -> Continuation[Any, Any]:
    """New images as examples for a saved model of images; see `chainrule.tasks.update`."""
    pillow()
    return continued(ImagePlan(old.options(requested), say), old, source, requested)


class ImageMedium:
    """Images; see `chainrule.tasks.media.Medium`."""

    kind = "images"
    blank = "of one colour only"
    file_type = FileType(KIND.noun, KIND.endings)

    def understand(
        self, files: Files, target: Target, options: ImageOptions, say: Callable[[str], None]
    ) -> ImageSchema:
        """Size and colours for all, from a sample."""
        headers, paths = _sample(files)
        sizes = Counter((header.height, header.width) for header in headers)
        height, width = options.size or _common_size(headers)
        levels = _levels([p for p, header in zip(paths, headers, strict=True) if header.deep])
        background = _background(
            [p for p, header in zip(paths, headers, strict=True) if header.transparent]
        )
        grey = all(header.grey for header in headers)
        if not grey:
            grey = _all_grey(paths, height, width)
        found = _told(len(files), sizes, headers)
        if several := sum(header.several for header in headers):
            say(f"of {several:,} images with several pictures or pages the first is taken")
        if background != 255:
            say("what is not transparent is white, so that transparent pixels become black")
        if any(header.deep for header in headers) and not all(header.grey for header in headers):
            say("images of more than 8 bits are of one channel only; colours have 8 bits")
        saved = named_model(options)
        return ImageSchema(
            target, height, width, 1 if grey else 3, found, levels=levels, background=background,
            contrast=saved is not None and _at_own_contrast(saved),
        )  # fmt: skip

    def schema(self, text: str) -> ImageSchema:
        """The schema in a model file."""
        return ImageSchema.from_json(text)

    def read(self, schema: ImageSchema, path: str) -> Array:
        """One file as (height, width, channels), from 0 to 255."""
        return read_image(path, *schema.shape, schema.levels, schema.background)

    def differing(self, schema: ImageSchema, paths: Sequence[str]) -> list[str]:
        """More than 8 bits where all that was learned from had 8: what is white is a guess."""
        if schema.levels is not None:
            return []
        deep = 0
        for path in paths[:_HEADERS]:
            with contextlib.suppress(DataError):  # it is named when all are read
                deep += read_header(path).deep
        if not deep:
            return []
        return [
            f"{deep:,} of {min(len(paths), _HEADERS):,} images have more than 8 bits, those of the "
            "training had 8: of integers beyond 255, 65,535 is taken for white, of fractions 1"
        ]

    def design(
        self, schema: ImageSchema, options: ImageOptions, reader: FileReader, rows: Array
    ) -> Design:
        """A small network for small images, a residual one for larger ones."""
        sample = reader(rows[:: max(len(rows) // 500, 1)]).astype(np.float64)
        mean, std = sample.mean(axis=(0, 1, 2)), sample.std(axis=(0, 1, 2))
        small = max(schema.height, schema.width) <= _SMALL_SIDE
        name = options.model or ("lenet" if small else "resnet")
        network = ImageNetwork(name, schema, mean, std, options.dropout)
        changes = augment.choose(options.augment, schema.channels == 1, schema.target.classes)
        if not schema.target.classes:
            changes = tuple(change for change in changes if change != "mixup")
        fill = np.rint(np.median(sample[:, [0, -1]], axis=(0, 1, 2)))
        return Design(
            network,
            name,
            augment.Augment(changes, options.seed, fill) if changes else None,
            changes,
        )

    def at_own_contrast(self, network: Any, schema: ImageSchema, own: bool) -> ImageSchema | None:
        """Let networks take each image at its own contrast."""
        for _, module in network.named_modules():
            if isinstance(module, ImageNetwork):
                module.contrast = own
        return dataclasses.replace(schema, contrast=own)

    def recipe(self, options: ImageOptions, files: int) -> Recipe:
        """More images, larger batches; few images, more epochs."""
        few = files < FEW_FILES
        sizes = ((FEW_FILES, 16), (1_000, 32), (20_000, 64))
        return Recipe.of(
            options, files, batch_size=next((size for most, size in sizes if files < most), 128),
            epochs=_EPOCHS, updates=_FEW_UPDATES if few else _UPDATES,
            most_epochs=_FEW_EPOCHS if few else _MOST_EPOCHS,
            lr=3e-3, weight_decay=0.02, schedule="one-cycle",
        )  # fmt: skip

    def features(self, schema: ImageSchema, batch: Array) -> Array:
        """The pixels, of larger images the means of neighbours."""
        count, height, width, channels = batch.shape
        down, right = -(-height // _COARSE), -(-width // _COARSE)
        whole = batch[:, : height // down * down, : width // right * right].astype(np.float64)
        blocks = whole.reshape(count, height // down, down, width // right, right, channels)
        return np.asarray(blocks.mean(axis=(2, 4)).reshape(count, -1))

    def pictures(self, schema: ImageSchema, batch: Array) -> Array:
        """The pixels as means over a small grid."""
        return small(batch)

    def shown(self, schema: ImageSchema, decoded: Array) -> Array:
        """The pixels."""
        return decoded

    def shown_importance(self, schema: ImageSchema, strength: Array) -> Array:
        """That of the channel that matters most."""
        return np.asarray(strength.max(axis=2))


class ImagePlan(FilePlan):
    """Images as a plan of the runner."""

    kind, unit, medium = KIND.name, KIND.noun, ImageMedium()


class ImageNetwork(nn.Module):
    """Pixels from 0 to 255, standardised, and a network of `chainrule.models`.

    They are standardised by the mean and deviation of each channel in the training, or, with
    ``contrast``, by those of the image itself: then light and colour as a whole do not matter.
    """

    def __init__(
        self, name: str, schema: ImageSchema, mean: Array, std: Array, dropout: float | None
    ) -> None:
        self.mean = Buffer(mean.astype(np.float32))
        self.std = Buffer(np.where(std > 0, std, 1.0).astype(np.float32))
        self.contrast = schema.contrast
        layers = _layers(name, schema, dropout)
        self.body = nn.Sequential(*layers[:-1])
        self.head = layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        """(rows, height, width, channels) from 0 to 255 → (rows, outputs)."""
        result: Tensor = self.head(self.features(x))
        return result

    def features(self, x: Tensor) -> Tensor:
        """(rows, height, width, channels) from 0 to 255 → what goes into the last layer."""
        if self.contrast:
            x = x - ops.mean(x, axis=(1, 2), keepdims=True)
            variance = ops.mean(x * x, axis=(1, 2, 3), keepdims=True)
            result: Tensor = self.body(x / ops.sqrt(variance + _FLAT))
        else:
            result = self.body((x - self.mean) / self.std)
        return result


def _layers(name: str, schema: ImageSchema, dropout: float | None) -> list[nn.Module]:
    outputs = len(schema.target.classes) or 1
    height, width, channels = schema.shape
    if name == "lenet":
        widths, hidden = (16, 32), 128
        layers = [*models.lenet(outputs, channels, min(height, width), widths, hidden)]
        features = (height // 4) * (width // 4) * widths[1]
        layers[7] = nn.Linear(features, hidden)  # images need not be square
    else:
        halved = max(height, width) > _HALVED
        stem = [nn.Conv2d(channels, 16, 5, 2, padding="same"), nn.ReLU()] if halved else []
        inputs = 16 if halved else channels
        network = {
            "resnet": lambda: models.resnet(outputs, inputs, blocks=1),
            "mobilenet": lambda: models.mobilenet(outputs, inputs, widths=(32, 64, 128, 128)[:4],
                                                  strides=(1, 2, 1, 2)),
            "vgg": lambda: models.vgg(outputs, inputs),
        }[name]()  # fmt: skip
        layers = [*stem, *network]
    if dropout:
        layers.insert(-1, nn.Dropout(dropout))
    return layers


def _at_own_contrast(saved: SavedModel) -> bool:
    """How a model to start from takes images; one of something else says nothing of them."""
    try:
        return ImageSchema.from_json(saved.schema).contrast
    except (DataError, TypeError):
        return False


# ---- what images are like ------------------------------------------------------------------------


def _sample(files: Files) -> tuple[list[Header], list[str]]:
    """Headers of some of the files, evenly chosen from each class; bad files are for later."""
    headers, paths = [], []
    first: DataError | None = None
    for row in files.sample(_HEADERS, _EACH):
        path = files.paths[row]
        try:
            headers.append(read_header(path))
            paths.append(path)
        except DataError as error:
            first = first or error
    if first is not None and not headers:
        raise first
    return headers, paths


def _levels(paths: list[str]) -> tuple[float, float] | None:
    """Black and white for all images of more than 8 bits; None if there are none.

    Integers begin at 0 and end with the smallest number of bits that holds them; fractions are from
    0 to 1, or from the smallest to the largest.
    """
    ranges = []
    for path in paths:
        try:
            ranges.append(read_range(path))
        except DataError:  # it is named when all are read
            continue
    if not ranges:
        return None
    lowest, highest = min(low for low, _, _ in ranges), max(high for _, high, _ in ranges)
    if lowest >= 0 and all(whole for _, _, whole in ranges) and highest > 1:
        white = next((2.0**bits - 1 for bits in (8, 10, 12, 14, 16) if highest < 2**bits), highest)
        return 0.0, white
    if lowest >= 0 and highest <= 1:
        return 0.0, 1.0
    return lowest, highest if highest > lowest else lowest + 1


def _background(paths: list[str]) -> int:
    """White below transparent pixels, unless what is drawn on them is white itself."""
    found = []
    for path in paths[:_HEADERS]:
        try:
            found.append(opaque_level(path))
        except Exception:
            continue
    levels = [level for level in found if level is not None]
    return 0 if levels and statistics.median(levels) > _WHITE else 255


def _common_size(headers: list[Header]) -> tuple[int, int]:
    """The size of all, or a square about as large as most, up to 64 pixels."""
    sizes = {(header.height, header.width) for header in headers}
    if len(sizes) == 1:
        ((height, width),) = sizes
        if min(height, width) >= 8 and max(height, width) <= _SIDE:
            return height, width
    side = statistics.median(max(header.height, header.width) for header in headers)
    side = min(max(int(side) // 4 * 4, 8), _SIDE)
    return side, side


def _all_grey(paths: list[str], height: int, width: int) -> bool:
    """Whether images of three channels have the same in each; the first that has not ends it."""
    for path in paths:
        try:
            image = read_image(path, height, width, 3)
        except DataError:
            continue
        if (image != image[..., :1]).any():
            return False
    return True


def _told(count: int, sizes: Counter[tuple[int, int]], headers: list[Header]) -> str:
    colours = sum(not header.grey for header in headers)
    kinds = "grey" if not colours else "in colours" if colours == len(headers) else "grey and not"
    if len(sizes) == 1:
        ((height, width),) = sizes
        return f"{count:,} of {height}×{width} pixels, {kinds}"
    smallest, largest = min(sizes, key=lambda s: s[0] * s[1]), max(sizes, key=lambda s: s[0] * s[1])
    return (
        f"{count:,} of different sizes, {smallest[0]}×{smallest[1]} to {largest[0]}×{largest[1]} "
        f"pixels, {kinds}; they are stretched to one size"
    )
