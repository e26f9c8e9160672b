"""What a user can say about the training on images; None means that the program decides."""

from __future__ import annotations

from dataclasses import dataclass

from ..media.options import MediaOptions
from ..options import wrong
from .augment import CHANGES, parse

MODELS = ("lenet", "resnet", "mobilenet", "vgg")
_SMALLEST, _LARGEST = 8, 1024


@dataclass(frozen=True)
class ImageOptions(MediaOptions):
    """Options of `train_images`; see `MediaOptions` and `TrainingOptions`, too.

    Attributes:
        model: the network: lenet, resnet, mobilenet or vgg.
        size: height and width that all images are resized to.
        augment: random changes of the training images: none, light, full, or some of flip, shift,
            rotate, zoom, colour, cutout and mixup, with commas between.

    Raises:
        ConfigError: an option has an invalid value.
    """

    model: str | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_known(model=MODELS)
        if self.size is not None and not all(_SMALLEST <= x <= _LARGEST for x in self.size):
            raise wrong("size", f"from {_SMALLEST} to {_LARGEST}, such as 32 or 48x64", self.size)
        if self.augment is not None and parse(self.augment) is None:
            raise wrong(
                "augment", f"none, light, full, or some of {','.join(CHANGES)}", self.augment
            )
