"""Writing files atomically; what the files of a run are called."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ..errors import ChainruleError, ConfigError, DataError

#: What a model is called in the folder of its run.
MODEL = "model.safetensors"
#: The state of the optimizer beside it, for `chainrule update`; a run is whole without it.
TRAINING = "training.safetensors"

_REASONS = {
    errno.ENOSPC: ("There is no space left on the disk.", "Free some space, or save elsewhere."),
    errno.EDQUOT: ("Your disk quota is used up.", "Free some space, or save elsewhere."),
    errno.EACCES: ("Permission denied.", "Save to a folder of your own."),
    errno.EPERM: ("Permission denied.", "Save to a folder of your own."),
    errno.EROFS: ("The file system is read-only.", "Save to a folder of your own."),
    errno.ENOENT: ("There is no such folder.", "Make the folder first."),
    errno.ENOTDIR: ("There is no such folder.", "A part of the path is a file."),
    errno.ENAMETOOLONG: ("The name of the file is too long.", "Choose a shorter name."),
}


def content_size(path: str | os.PathLike[str], what: str) -> int:
    """The bytes of a file that is to be read.

    Args:
        path: of the file.
        what: it holds, such as "An image".

    Raises:
        DataError: it is not there, or empty.
    """
    try:
        size = os.stat(path).st_size
    except OSError as error:
        raise DataError(f"{what} cannot be read.", where=str(path),
                        found=error.strerror or str(error)) from None  # fmt: skip
    if not size:
        raise DataError(f"{what} cannot be read.", where=str(path), found="an empty file (0 bytes)")
    return size


def write_at(descriptor: int, data: bytes | memoryview, at: int, what: str, folder: str) -> None:
    """Write all of the bytes at a place of an open file.

    Args:
        descriptor: of the file.
        data: the bytes.
        at: where they begin in the file.
        what: they are, such as "The rows".
        folder: where the file is.

    Raises:
        DataError: the disk is full.
    """
    rest = memoryview(data)
    try:
        while rest:
            written = os.pwrite(descriptor, rest, at)
            rest, at = rest[written:], at + written
    except OSError as error:
        raise DataError(
            f"{what} cannot be kept on the disk during training.",
            where=folder,
            expected=f"room for {len(rest):,} more bytes",
            found=error.strerror or str(error),
            hint="Free some space, or name another folder with TMPDIR=….",
        ) from None


def model_in(path: str | os.PathLike[str]) -> Path:
    """The model of a run folder, or the file itself if it is no folder.

    Example:
        >>> model_in("prices.safetensors").name
        'prices.safetensors'
    """
    found = Path(path)
    return found / MODEL if found.is_dir() else found


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that at any moment there is the old content or the new one, whole.

    The data go to a file beside it, to the disk, and only then get the name. After an error or an
    interrupt the old file is as it was, and nothing else is left.

    Raises:
        ChainruleError: it cannot be written: no space, no folder, no permission.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "model"
        >>> write_atomically(path, b"abc")
        >>> path.read_bytes()
        b'abc'
    """
    target = os.path.realpath(path)  # a link stays a link
    temporary = os.path.join(os.path.dirname(target), f".chainrule-{secrets.token_hex(8)}.tmp")
    try:
        if os.path.lexists(target) and not stat.S_ISREG(os.stat(target).st_mode):
            kind = "a folder" if os.path.isdir(target) else "a device, pipe or the like"
            raise ChainruleError(f"This is {kind}, not a file.", where=os.fspath(path),
                                 hint="Name a file.")  # fmt: skip
        try:
            _write(temporary, data)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_folder(os.path.dirname(target))
    except OSError as error:
        what, hint = _REASONS.get(error.errno or 0, ("The file cannot be written.", None))
        raise ChainruleError(
            what, where=os.fspath(path), found=error.strerror or str(error), hint=hint
        ) from error


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data)
        while rest:  # a system call may take a part only
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Bring new names to the disk, where the file system can do that.

    Raises:
        OSError: the disk is full or broken: the names may be lost.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
            raise
    finally:
        os.close(descriptor)


def is_endless(file: IO[Any]) -> bool:
    """Whether this is a device such as ``/dev/zero``, whose content has no end.

    Example:
        >>> with open("/dev/zero", "rb") as zeros:
        ...     is_endless(zeros)
        True
    """
    return stat.S_ISCHR(os.fstat(file.fileno()).st_mode) and not file.isatty()


def make_folder(path: str | os.PathLike[str]) -> list[Path]:
    """Make a folder, and those above it that are missing, and bring their names to the disk.

    Returns:
        Those that were made, the uppermost first.

    Raises:
        OSError: it cannot be made.

    Example:
        >>> import tempfile
        >>> [part.name for part in make_folder(Path(tempfile.mkdtemp(), "a", "b"))]
        ['a', 'b']
    """
    folder = Path(path)
    made: list[Path] = []
    try:
        for part in reversed([folder, *folder.parents]):
            if not part.is_dir():
                if part.exists():
                    raise NotADirectoryError(f"{part} is a file, not a folder")
                part.mkdir(exist_ok=True)  # another process may be quicker
                made.append(part)
                sync_folder(part.parent)
    except OSError:
        for part in reversed(made):
            with suppress(OSError):
                part.rmdir()
        raise
    return made


def folder_to_write_to(path: str | os.PathLike[str]) -> Path:
    """A folder that a user named for results; it is made, with those above it.

    Raises:
        ConfigError: there is a file of this name, or it cannot be made.

    Example:
        >>> import tempfile
        >>> folder_to_write_to(Path(tempfile.mkdtemp(), "course")).is_dir()
        True
    """
    folder = Path(path)
    try:
        make_folder(folder)
    except OSError as error:
        blocking = next((part for part in (folder, *folder.parents) if part.is_file()), None)
        raise ConfigError(
            "The folder cannot be made.",
            where=str(path),
            expected="the name of a folder, or a new name",
            found=f"{blocking} is a file" if blocking else error.strerror or str(error),
            hint=f"Choose another name: --out {folder.name or 'folder'}_folder",
        ) from error
    return folder
