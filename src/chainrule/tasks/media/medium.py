"""What is special to a medium, such as images, and the network of files that all media share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...data import Target
from ...engine.ops import mean, softmax
from ...engine.tensor import Tensor
from ...losses import cross_entropy, mse
from ...nn import Module
from ...utils.typing import Array
from ..members import each_alone
from ..plan import Recipe
from ..scaling import TargetScaler
from .files import Files, FileType
from .reading import FileReader

Say = Callable[[str], None]

#: ε: the target is (1 - ε) for the class, and ε shared by all (Szegedy et al., 2016).
_SMOOTHING = 0.05
#: So many bad files are named.
NAMED = 10
#: Files in memory at once.
CHUNK = 256


class Augment(Protocol):
    """What changes a batch at random; a frozen dataclass."""

    @property
    def changes(self) -> tuple[str, ...]:
        """Names of what it does."""

    def __call__(
        self, batch: Array, rows: Array, epoch: int
    ) -> tuple[Array, Array | None, Array | None]:
        """The changed batch; λ and partners of a mixture, see `plan.streamed`."""


class Schema(Protocol):
    """What is known of the files of a medium; travels as JSON in the model file."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty for numbers."""

    @property
    def target(self) -> Target:
        """What is predicted."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one decoded file."""

    @property
    def dtype(self) -> Any:
        """Of decoded files while they wait in memory."""

    def described(self) -> list[tuple[str, str]]:
        """What was understood, for the user."""

    def to_json(self) -> str:
        """As JSON text, with the kind."""


@dataclass(frozen=True)
class Design:
    """The network for files; made by a medium's rules.

    Attributes:
        network: untrained; takes decoded files as float32 as they are, gives (rows, outputs).
        name: of the network.
        augment: what changes the training examples at random, or None.
        changes: names of the changes.
    """

    network: Module
    name: str
    augment: Augment | None
    changes: tuple[str, ...]


class Medium(Protocol):
    """What is special to a medium, such as images.

    Attributes:
        kind: its name.
        blank: what a file is in which there is nothing.
        file_type: which files.
    """

    kind: str
    blank: str
    file_type: FileType

    def understand(self, files: Files, target: Target, options: Any, say: Say) -> Any:
        """The schema, from a sample of the files."""

    def schema(self, text: str) -> Any:
        """The schema in a model file."""

    def read(self, schema: Any, path: str) -> Array:
        """One file as an array; a `DataError` names it if it cannot be read."""

    def differing(self, schema: Any, paths: Sequence[str]) -> list[str]:
        """What is to be said of files to predict that are of another sort than those of before."""

    def design(self, schema: Any, options: Any, reader: FileReader, rows: Array) -> Design:
        """The network; statistics are taken from these rows only."""

    def at_own_contrast(self, network: Any, schema: Any, own: bool) -> Any:
        """Let a network take each file at its own mean and contrast, or not; the schema then.

        None where there is no such choice.
        """

    def recipe(self, options: Any, files: int) -> Recipe:
        """Batches and epochs that suit so many files."""

    def features(self, schema: Any, batch: Array) -> Array:
        """A few numbers of each file, for the linear model."""

    def pictures(self, schema: Any, batch: Array) -> Array:
        """(n, 16, 17, channels) a small picture of each, from about 0 to 255, to find copies by."""

    def shown(self, schema: Any, decoded: Array) -> Array:
        """A decoded file as pixels from 0 to 255: (height, width), or with channels."""

    def shown_importance(self, schema: Any, strength: Array) -> Array:
        """(height, width) how much each place of that picture matters, from that of each number."""


class MediaModel(Module):
    """Decoded files → predictions: numbers in the target's unit, or class probabilities.

    Of several networks (`Members`) the mean of their predictions.
    """

    def __init__(self, network: Module, scale: TargetScaler | None) -> None:
        self.network = network
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Decoded files (rows, …) → (rows,) float64 numbers, or (rows, classes) probabilities."""
        return self.output(self.network(x))

    def output(self, z: Tensor) -> Tensor:
        """(rows, outputs) of the network, or (members, rows, outputs) → predictions."""
        found = softmax(z) if self.scale is None else self.scale(z[..., 0])
        return found if z.ndim == 2 else mean(found, axis=0)


def smoothed_cross_entropy(z: Tensor, target: Tensor, **options: Any) -> Tensor:
    """-Σ t · ln softmax(z), where t is 0.95 for the class, and 0.05 is shared by all."""
    # Without smoothing a few confident errors decide which weights are the best.
    options["label_smoothing"] = _SMOOTHING
    if z.ndim == 3:
        return each_alone(cross_entropy, z, target, **options)
    return cross_entropy(z, target, **options)


def squared(z: Tensor, target: Tensor, **options: Any) -> Tensor:
    """The mean of (z - target)² for a network of one output."""
    if z.ndim == 3:
        return each_alone(mse, z, target, numbers=True, **options)
    return mse(z[:, 0], target, **options)
