"""Images as a kind of data."""

from __future__ import annotations

from dataclasses import dataclass

from ..option_values import height_and_width, text
from ..options import DATA, NETWORK, documented, option, wrong
from .kind import Kind
from .media import MediaOptions

MODELS = ("lenet", "resnet", "mobilenet", "vgg")
CHANGES = ("flip", "shift", "rotate", "zoom", "colour", "cutout", "mixup")
_SMALLEST, _LARGEST = 8, 1024


@documented
@dataclass(frozen=True)
class ImageOptions(MediaOptions):
    """Options of `train_images`; see `TrainingOptions`, too.

    Changes of the training images are flip, shift, rotate, zoom, colour, cutout and mixup.

    Raises:
        ConfigError: an option has an invalid value.
    """

    model: str | None = option(
        None, "For images: lenet, resnet, mobilenet or vgg.", "NAME", NETWORK, text
    )
    size: tuple[int, int] | None = option(
        None, "Pixels that images are resized to.", "N|HxW", DATA, height_and_width
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_known(model=MODELS)
        if self.size is not None and not all(_SMALLEST <= x <= _LARGEST for x in self.size):
            raise wrong("size", f"from {_SMALLEST} to {_LARGEST}, such as 32 or 48x64", self.size)
        self._check_changes(CHANGES)


KIND = Kind(
    "images",
    "chainrule.tasks.images",
    ImageOptions,
    noun="images",
    new="NEW_IMAGES",
    endings=(
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".pjpeg", ".pjp"),
        *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
        *(".webp", ".avif", ".avifs", ".heic", ".heif", ".hif", ".ppm", ".pgm", ".pbm", ".pnm"),
        *(".pfm", ".tga", ".icb", ".vda", ".vst", ".ico", ".cur", ".icns", ".pcx", ".dcx", ".psd"),
        *(".sgi", ".rgb", ".rgba", ".bw", ".ras", ".dds", ".blp", ".fli", ".flc", ".ftc", ".ftu"),
        *(".gbr", ".im", ".mpo", ".msp", ".pcd", ".pxr", ".qoi", ".xbm", ".xpm", ".fit", ".fits"),
    ),
)
