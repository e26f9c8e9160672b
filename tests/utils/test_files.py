"""Writing files: the old content or the new one, whole, and nothing else."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from chainrule.errors import ChainruleError
from chainrule.utils.files import write_atomically


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for content in (b"first", b"", b"third" * 1000):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["model"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "what"),
    [
        (errno.ENOSPC, "no space left on the disk"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "Permission denied"),
        (errno.EIO, "The file cannot be written"),
    ],
)
def test_an_error_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, what: str
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")

    def fail(*arguments: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    if call == "write":
        # A disk that is full in the middle: a part of the data is there already.
        def write(target: str, data: bytes) -> None:
            Path(target).write_bytes(data[:2])
            fail()

        monkeypatch.setattr("chainrule.utils.files._write", write)
    else:
        monkeypatch.setattr(f"chainrule.utils.files.os.{call}", fail)
    with pytest.raises(ChainruleError, match=what) as caught:
        write_atomically(path, b"new content")
    monkeypatch.undo()
    assert caught.value.where == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_truly_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def full(path: Any, flags: int, *mode: int) -> int:
        if flags & os.O_CREAT:
            real(path, flags, *mode)
            return real("/dev/full", os.O_WRONLY)
        return real(path, flags, *mode)

    path = tmp_path / "model"
    path.write_bytes(b"old")
    monkeypatch.setattr("chainrule.utils.files.os.open", full)
    with pytest.raises(ChainruleError, match="no space left"):
        write_atomically(path, b"x" * 100_000)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


def test_an_interrupt_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")

    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("chainrule.utils.files.os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


def test_places_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ChainruleError, match="This is a folder"):
        write_atomically(tmp_path, b"")
    with pytest.raises(ChainruleError, match="no such folder"):
        write_atomically(tmp_path / "missing" / "model", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ChainruleError, match="no such folder"):
        write_atomically(tmp_path / "file" / "model", b"")
    with pytest.raises(ChainruleError, match="too long"):
        write_atomically(tmp_path / ("x" * 300), b"")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ChainruleError, match="pipe"):
        write_atomically(tmp_path / "pipe", b"")
    with pytest.raises(ChainruleError, match="a device"):
        write_atomically("/dev/null", b"")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ChainruleError, match="Permission denied"):
            write_atomically(tmp_path / "model", b"")
    finally:
        tmp_path.chmod(0o700)
