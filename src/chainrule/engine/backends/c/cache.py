"""The private folder that built programs are kept in.

Whoever can write a shared library that we load can run code as us. So the folder must be a real
folder of this user that nobody else may write to, and so must every folder above it. Files come
into it under their final name at once (written elsewhere, brought to the disk, then renamed); there
are no locks, so none can be left behind. What is read has the digest that it was written with: a
bit that flipped, or a file cut in half, is made anew and never run.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import logging
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

_log = logging.getLogger("chainrule")

_ABANDONED_SECONDS = 3600.0


@functools.cache
def _temporary_folder() -> Path:
    """A folder for this process only, removed when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="chainrule-"))
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # not at the end of a forked child
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def wanted_folder() -> Path:
    """Where the cache should be: CHAINRULE_CACHE, or the user's cache folder."""
    named = os.environ.get("CHAINRULE_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(base).absolute() / "chainrule"


def folder() -> Path:
    """The cache folder, made if need be; a temporary one if it cannot be used."""
    return _usable(wanted_folder(), os.getpid())


@functools.cache
def _usable(wanted: Path, process: int) -> Path:
    try:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = _distrust(wanted)
        if reason is None and not os.access(wanted, os.W_OK | os.X_OK):
            reason = "it cannot be written to"
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
    if reason is None:
        return wanted
    _log.warning(
        "The cache folder %s is not used because %s; programs are rebuilt in each process. "
        "Set CHAINRULE_CACHE to a folder of your own.",
        wanted,
        reason,
    )
    return _temporary_folder()


def _distrust(wanted: Path) -> str | None:
    """Why others could put a program into this folder; None if they cannot."""
    found = wanted.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return "it is not a plain folder"
    if found.st_uid != os.geteuid():
        return "it belongs to another user"
    if found.st_mode & 0o077:
        wanted.chmod(0o700)
    for parent in wanted.resolve().parents:
        above = parent.stat()
        if above.st_uid not in (0, os.geteuid()):
            return f"{parent} belongs to another user"
        if above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX:
            return f"other users may write to {parent}"
    return None


def find(name: str) -> Path | None:
    """The file of this name, if it is there and is ours."""
    path = folder() / name
    try:
        found = path.lstat()
    except OSError:
        return None
    ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
    return path if ours else None


def store(source: Path, name: str) -> Path:
    """Move a finished file into the cache, all at once; an equal one may be there already.

    Its digest lies beside it. Where two processes store programs of one name that are not the same,
    the digest of one may be left with the program of the other: then it is built again.
    """
    path = folder() / name
    digest = source.with_name(f"{source.name}.sha256")
    digest.write_text(_digest(source.read_bytes()), encoding="ascii")
    for made, final in ((digest, _beside(path)), (source, path)):
        _to_disk(made)
        os.replace(made, final)
    return path


def find_whole(name: str) -> Path | None:
    """The file of this name that `store` put there, if no bit of it has changed."""
    path = find(name)
    if path is None:
        return None
    try:
        if _beside(path).read_text(encoding="ascii") == _digest(path.read_bytes()):
            return path
    except FileNotFoundError:  # an earlier version wrote none: nothing to be told of
        path.unlink(missing_ok=True)
        return None
    except (OSError, ValueError):
        pass
    _log.warning("A program in the cache is damaged and is built again: %s", path)
    path.unlink(missing_ok=True)
    return None


def keep(name: str, text: str) -> Path:
    """Write a text into the cache, all at once, its digest before it.

    Raises:
        OSError: it cannot be written.
    """
    made = workshop()
    try:
        content = text.encode()
        (made / name).write_bytes(f"{_digest(content)}\n".encode() + content)
        _to_disk(made / name)
        os.replace(made / name, folder() / name)
        return folder() / name
    finally:
        shutil.rmtree(made, ignore_errors=True)


def recall(name: str) -> str | None:
    """The text that `keep` wrote; None if there is none, or it is damaged."""
    path = find(name)
    if path is None:
        return None
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
        return content.decode() if digest.decode() == _digest(content) else None
    except (OSError, ValueError):
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _to_disk(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def temporary_workshop() -> Path:
    """A fresh folder that goes with this process, where the cache has no room."""
    return Path(tempfile.mkdtemp(prefix="build-", dir=_temporary_folder()))


def workshop() -> Path:
    """A fresh folder on the cache's file system to build in; those of dead processes are swept."""
    base = folder()
    now = time.time()
    for old in base.glob("build-*"):
        try:
            if now - old.lstat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        except OSError:
            continue  # another process has swept it
    return Path(tempfile.mkdtemp(prefix="build-", dir=base))


def entries() -> list[Path]:
    """The files of the cache."""
    return sorted(path for path in folder().iterdir() if path.is_file())


def clear() -> int:
    """Remove everything from the cache; the number of files removed."""
    files = entries()
    for path in files:
        path.unlink(missing_ok=True)
    for abandoned in folder().glob("build-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    return len(files)
