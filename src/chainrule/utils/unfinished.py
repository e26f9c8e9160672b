"""Trainings that are not over: what they are of, so that they can go on.

From its first moment a training has ``unfinished.json`` in its run folder, and soon a folder
``checkpoints``. Both go when the model is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from .files import sync_folder, write_atomically

UNFINISHED, CHECKPOINTS = "unfinished.json", "checkpoints"
#: The kind of a training in an environment, which ``chainrule play`` goes on with.
POLICY = "policy"
_FORMAT, _VERSION = "chainrule.unfinished", 1


@dataclass(frozen=True)
class Unfinished:
    """A training that has begun.

    Attributes:
        folder: of its run.
        kind: of its data.
        source: the data, as they were named.
        path: where they were; None for standard input.
        digest: of their bytes, None for standard input.
        options: that were given, as JSON data.
        model: the file of the model that an update goes on with; None for a training.
        model_digest: of its bytes.
    """

    folder: Path
    kind: str
    source: str
    path: str | None
    digest: str | None
    options: dict[str, Any]
    model: str | None = None
    model_digest: str | None = None

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.folder / CHECKPOINTS

    @property
    def command(self) -> str:
        """What goes on with it."""
        name = "play" if self.kind == POLICY else "train"
        return f"chainrule {name} --resume {shlex.quote(str(self.folder))}"

    @property
    def can_go_on(self) -> bool:
        """Whether there is a checkpoint."""
        return any(self.checkpoints.glob("*/step-*/manifest.json"))

    def write(self) -> None:
        """Write it into the folder.

        Raises:
            ChainruleError: that is not possible.
        """
        content = {"format": _FORMAT, "version": _VERSION, "kind": self.kind,
                   "source": self.source, "path": self.path, "digest": self.digest,
                   "options": self.options}  # fmt: skip
        if self.model is not None:
            content |= {"model": self.model, "model_digest": self.model_digest}
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        write_atomically(self.folder / UNFINISHED, text.encode())

    def remove(self) -> None:
        """It is over: the run, if there is one, says everything."""
        # In this order: a record whose checkpoints are half removed could not go on.
        if (self.folder / UNFINISHED).exists():
            (self.folder / UNFINISHED).unlink(missing_ok=True)
            sync_folder(self.folder)
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    @staticmethod
    def read(folder: Path) -> Unfinished:
        """The training that is not over in a run folder.

        Raises:
            DataError: there is none, or its record is damaged.
        """
        path = folder / UNFINISHED
        try:
            content = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(
                "There is no unfinished training here.",
                where=str(folder),
                expected=f"a run folder with {UNFINISHED}",
                hint="`chainrule runs` names those that there are",
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise DataError("The record of the training cannot be read.", where=str(path),
                            found=str(error)) from None  # fmt: skip
        types: dict[str, Any] = {"kind": str, "source": str, "path": (str, type(None)),
                 "digest": (str, type(None)), "options": dict}  # fmt: skip
        of_updates: dict[str, Any] = {"model": (str, type(None)), "model_digest": (str, type(None))}
        fields = content if isinstance(content, dict) else {}
        types |= {name: kind for name, kind in of_updates.items() if name in fields}
        known = (fields.get("format"), fields.get("version")) == (_FORMAT, _VERSION)
        if not known or not all(isinstance(fields.get(n), kind) for n, kind in types.items()):
            raise DataError(
                "This is not the record of an unfinished training.",
                where=str(path),
                expected=f"format {_FORMAT}, version {_VERSION}",
            )
        return Unfinished(folder, **{name: fields[name] for name in types})


def find_unfinished(root: Path) -> list[Unfinished]:
    """Those in the folders of this folder that can be read, by name."""
    found = []
    for record in sorted(root.glob(f"*/{UNFINISHED}")):
        try:
            found.append(Unfinished.read(record.parent))
        except DataError:
            continue
    return found


def digest_of(path: Path) -> str:
    """SHA-256 of the bytes of a file; of a folder, of the names and bytes of all its files.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "a")
        >>> _ = file.write_bytes(b"abc")
        >>> digest_of(file)[:8], digest_of(file.parent) != digest_of(file)
        ('ba7816bf', True)
    """
    if not path.is_dir():
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for folder, inner, names in os.walk(path):
        inner.sort()
        for name in sorted(names):
            part = Path(folder, name)
            if part.is_file():
                line = f"{part.relative_to(path)}\0{digest_of(part)}\n"
                digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()
