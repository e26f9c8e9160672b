"""A disk that remembers what is done to it, so that it can crash afterwards at every point.

`Disk` records the few calls by which chainrule changes files below a folder: open, write, fsync,
rename, mkdir, unlink, rmdir. `Disk.crashes` gives what may be on the disk if the process is killed
(all that was called is there, the last write may be torn) or the power fails (what no fsync brought
to the disk may be there, torn, empty or not at all) after any of these calls.

It can also let one call fail with an error, as a full or broken disk does.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

#: A tree: the content of files by path below the folder; None for folders.
Tree = dict[str, bytes | None]


@dataclass(frozen=True)
class Call:
    """One change: ``kind`` is create, write, fsync, rename, mkdir, unlink or rmdir."""

    kind: str
    path: str
    data: bytes = b""
    target: str = ""


@dataclass
class Disk:
    """The calls that change what is below a folder, in their order.

    Attributes:
        folder: below which calls are recorded.
        calls: those that were made.
        promises: what is true from a number of calls on: (calls, what).
        fails: the number of the call that fails, from 0, or None.
        error: with which it fails.
    """

    folder: Path
    calls: list[Call] = field(default_factory=list)
    promises: list[tuple[int, Any]] = field(default_factory=list)
    fails: int | None = None
    error: int = errno.ENOSPC
    _lock: Any = field(default_factory=threading.RLock)

    def promise(self, what: Any) -> None:
        """From now on this is true, whatever happens."""
        with self._lock:
            self.promises.append((len(self.calls), what))

    # ---- recording -----------------------------------------------------------------------------

    @contextmanager
    def recording(self) -> Iterator[Disk]:
        """Meanwhile calls are recorded, and one may fail."""
        names = ("open", "write", "fsync", "replace", "rename", "mkdir", "unlink", "remove",
                 "rmdir")  # fmt: skip
        self.folder = self.folder.resolve()
        real = {name: getattr(os, name) for name in names}
        with mock.patch.multiple(os, **{n: self._recorded(n, real[n]) for n in names}):
            yield self

    def _recorded(self, name: str, real: Any) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            with self._lock:
                made = self._call(name, arguments, more)
                if made is None:
                    return real(*arguments, **more)
                if self.fails == len(self.calls):
                    self.fails = None
                    if made.kind == "write":  # a part is there already
                        real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                    raise OSError(self.error, os.strerror(self.error))
                result = real(*arguments, **more)
                if name == "write":
                    made = Call("write", made.path, bytes(arguments[1])[:result])
                self.calls.append(made)
                return result

        return call

    def _call(self, name: str, arguments: Any, more: Any) -> Call | None:
        """What is recorded of a call; None for those elsewhere, and those that change nothing."""
        if name in ("write", "fsync"):
            path = self._below(os.readlink(f"/proc/self/fd/{arguments[0]}"))
            return None if path is None else Call(name, path)
        if name == "open" and not (len(arguments) > 1 and arguments[1] & os.O_CREAT):
            return None
        if name == "open" and arguments[1] & getattr(os, "O_TMPFILE", 0) == os.O_TMPFILE:
            return None
        path = self._below(self._absolute(arguments[0], more.get("dir_fd")))
        if path is None:
            return None
        if name == "open":
            return None if os.path.exists(self.folder / path) else Call("create", path)
        if name in ("replace", "rename"):
            target = self._below(self._absolute(arguments[1], more.get("dst_dir_fd")))
            return None if target is None else Call("rename", path, target=target)
        return Call({"remove": "unlink"}.get(name, name), path)

    @staticmethod
    def _absolute(path: Any, descriptor: int | None) -> str:
        start = os.getcwd() if descriptor is None else os.readlink(f"/proc/self/fd/{descriptor}")
        return os.path.normpath(os.path.join(start, os.fsdecode(path)))

    def _below(self, path: str) -> str | None:
        start = str(self.folder)
        if path == start:
            return "."
        return path[len(start) + 1 :] if path.startswith(start + "/") else None

    # ---- crashes -------------------------------------------------------------------------------

    def crashes(self, random: Random, *, variants: int = 2) -> Iterator[tuple[int, str, Tree]]:
        """What may be on the disk: after how many calls, what has happened, and the tree."""
        for count in range(len(self.calls) + 1):
            calls = self.calls[:count]
            yield count, "killed", _Inodes(calls).tree()
            if calls and calls[-1].kind == "write" and calls[-1].data:
                cut = random.randrange(len(calls[-1].data))
                torn = Call("write", calls[-1].path, calls[-1].data[:cut])
                yield count - 1, "killed while writing", _Inodes([*calls[:-1], torn]).tree()
            yield count, "no power, all is lost that can be", _after_power_cut(calls, None)
            for _ in range(variants):
                yield count, "no power", _after_power_cut(calls, random)


class _Inodes:
    """Files and folders as a file system has them: names lead to inodes, inodes have content."""

    def __init__(self, calls: list[Call] | None = None) -> None:
        self.names: dict[str, int] = {}
        self.content: dict[int, bytearray | None] = {}
        self.synced: dict[int, bytes] = {}
        for number, call in enumerate(calls or ()):
            self.apply(number, call)

    def apply(self, number: int, call: Call) -> None:
        """Do it; what has lost its ground, because something before it was lost, does nothing."""
        folder = os.path.dirname(call.target or call.path)
        if folder and folder not in self.names:
            return
        if call.kind in ("create", "mkdir"):
            self.names[call.path] = number
            self.content[number] = bytearray() if call.kind == "create" else None
        elif call.path not in self.names:
            return
        elif call.kind == "write":
            content = self.content[self.names[call.path]]
            assert content is not None
            content += call.data
        elif call.kind == "fsync":
            content = self.content[self.names[call.path]]
            if content is not None:
                self.synced[self.names[call.path]] = bytes(content)
        elif call.kind == "rename":
            start = call.path + "/"
            for name in [n for n in self.names if n == call.path or n.startswith(start)]:
                self.names[call.target + name[len(call.path) :]] = self.names.pop(name)
        else:
            del self.names[call.path]

    def tree(self, random: Random | None = None, *, all_written: bool = True) -> Tree:
        """The content by path; of what was not synced a part, if not all is written."""
        found: Tree = {}
        for name, inode in self.names.items():
            content = self.content[inode]
            if content is None:
                found[name] = None
            elif all_written:
                found[name] = bytes(content)
            else:
                found[name] = _partly(bytes(content), self.synced.get(inode, b""), random)
        return found


def _partly(content: bytes, synced: bytes, random: Random | None) -> bytes:
    """What of a file is on the disk, of which only a part was brought there."""
    if random is None or content == synced:
        return synced
    cut = random.randint(len(synced), len(content))
    rest = len(content) - cut
    return content[:cut] + random.choice([b"", bytes(rest), random.randbytes(rest)])


def _after_power_cut(calls: list[Call], random: Random | None) -> Tree:
    """After a power cut: names that their folder's fsync has not brought to the disk may be lost.

    They are lost from some call on, in each folder by itself; with no random numbers, all of them.
    """
    synced: dict[str, int] = {}
    for number, call in enumerate(calls):
        if call.kind == "fsync":
            synced[call.path] = number
    lasts = {}

    def last(folder: str) -> int:
        if folder not in lasts:
            first = synced.get(folder, -1)
            lasts[folder] = first if random is None else random.randint(first, len(calls))
        return lasts[folder]

    inodes = _Inodes()
    inodes_now = _Inodes(calls)
    for number, call in enumerate(calls):
        names = call.kind in ("create", "mkdir", "rename", "unlink", "rmdir")
        if not names or number <= last(os.path.dirname(call.target or call.path) or "."):
            inodes.apply(number, call)
    # Data reach the disk by inode, whatever becomes of the names.
    inodes.content.update({i: c for i, c in inodes_now.content.items() if i in inodes.content})
    inodes.synced = inodes_now.synced
    return inodes.tree(random, all_written=False)


def write_tree(tree: Tree, folder: Path) -> None:
    """Put a tree into an empty folder."""
    for name, content in sorted(tree.items()):
        if content is None:
            (folder / name).mkdir(parents=True, exist_ok=True)
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
