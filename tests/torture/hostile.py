"""Files that mean harm, each of a kind of its own: refused with a reason, within 100 ms.

Those of model files are in ``tests/serialization/test_reading.py``; here are the others.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chainrule.errors import ChainruleError
from tests.serialization.test_reading import CONTAINERS, DOCUMENTS, OTHERS

from . import fuzz
from .crashes import Count

#: Processor time in which a file is refused.
SECONDS = 0.1
#: Files in memory, whose test needs seconds to build or is allowed time in proportion to its size.
_LARGE = {"more nodes than anybody needs", "too many values", "deep nesting"}


def png(width: int, height: int, data: bytes = b"", depth: int = 8, more: bytes = b"") -> bytes:
    """A PNG that claims a size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more
            + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))  # fmt: skip


def wav(
    channels: int = 1, rate: int = 8000, width: int = 16, size: int | None = None, kind: int = 1
) -> bytes:
    """A WAV whose header says anything."""
    data = bytes(64)
    align = channels * width // 8
    head = struct.pack(
        "<HHIIHH", kind, channels, rate, (rate * align) % 2**32, align % 2**16, width
    )
    said = len(data) if size is None else size
    body = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", said) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def packed_zip(**members: bytes) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tables() -> dict[str, bytes]:
    """Tables that are none, or that would fill the memory."""
    return {
        "an empty table": b"",
        "only blanks": b" \n \n\n",
        "zeros": bytes(4096),
        "a quote that does not end": b'a,b\n1,"2\n3,4\n',
        "rows that grow": b"a,b\n" + b"".join(b"1," * i + b"2\n" for i in range(2, 60)),
        "a table of one line": b"a,b,c",
        "the same name twice": b"a,a\n1,2\n",
        "gzip of gzip": gzip.compress(gzip.compress(b"a,b\n1,2\n")),
        "half a gzip": gzip.compress(b"a,b\n1,2\n" * 1000)[:-15],
        "a wrong checksum": gzip.compress(b"a,b\n1,2\n")[:-5] + b"\0\0\0\0\0",
        "half a bz2": bz2.compress(b"a,b\n1,2\n" * 1000)[:40],
        "half an xz": lzma.compress(b"a,b\n1,2\n" * 1000)[:40],
        "half a zstd": b"\x28\xb5\x2f\xfd\x04\x00",
        "zeros, packed": gzip.compress(bytes(20_000_000)),
        "a zip of two": packed_zip(a=b"a,b\n1,2\n", b=b"a,b\n1,2\n"),
        "an empty zip": packed_zip(),
        "a zip without its end": packed_zip(a=b"a,b\n1,2\n")[:-30],
        "parquet without an end": b"PAR1" + bytes(100) + b"PAR1",
        "parquet of a huge footer": b"PAR1" + struct.pack("<I", 2**31 - 1) + b"PAR1",
        "parquet cut": b"PAR1\x15\x04\x15",
        "arrow without an end": b"ARROW1\0\0" + b"\xff" * 64,
        "SQLite without pages": b"SQLite format 3\0" + bytes(84),
        "SQLite of wrong pages": b"SQLite format 3\0\xff\xff" + b"\xff" * 200,
        "JSON without an end": b'[{"a": 1}, {"a"',
        "JSON lines of numbers": b"1\n2\n3\n",
        "JSON, deep": b'[{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}]",
        "JSON of other keys": b'{"a": 1}\n{"b": [1, 2]}\n{"a": {"c": 1}}\n{',
        "UTF-16 of odd length": "a,b\n1,2\n".encode("utf-16")[:-1] + b"\xd8",
        "a pickle": b"\x80\x04\x95\x10" + bytes(20),
        "an ELF program": b"\x7fELF\x02\x01\x01" + bytes(100),
        "a PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
        "a picture": png(1, 1, bytes(4)),
    }


def images() -> dict[str, bytes]:
    """Images that are none, or that would fill the memory."""
    return {
        "an empty image": b"",
        "a text": b"no image at all",
        "half a PNG": png(8, 8, bytes(200))[:50],
        "a PNG of 2^31 pixels a side": png(2**31 - 1, 2**31 - 1, bytes(100)),
        "a PNG of 60,000 pixels a side": png(60_000, 60_000, bytes(100)),
        "a PNG without pixels": png(0, 0),
        "a PNG of 3 bits": png(4, 4, bytes(100), depth=3),
        "a PNG with too few rows": png(64, 64, bytes(10)),
        "a PNG of a wrong checksum": png(8, 8, bytes(200))[:-20] + bytes(20),
        "a PNG with a bomb of text": png(1, 1, bytes(4), more=_text_bomb()) [:-30],
        "a JPEG without a picture": b"\xff\xd8\xff\xe0\x00\x10JFIF\0" + bytes(30),
        "a JPEG of 65,535 pixels": b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + bytes(20),
        "a GIF of 65,535 pixels": b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(40),
        "a BMP of negative width": b"BM" + struct.pack("<IHHIIiiHHIIIIII", 70, 0, 0, 54, 40,
                                                      -5, 8, 1, 24, 0, 0, 0, 0, 0, 0),
        "a BMP of 2^31 pixels": b"BM" + struct.pack("<IHHIIiiHHIIIIII", 70, 0, 0, 54, 40,
                                                   2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0),
        "a TIFF whose directories are a circle": b"II*\0\x08\0\0\0\0\0\x08\0\0\0" + bytes(16),
        "a TIFF of offsets beyond its end": b"II*\0\xff\xff\xff\x7f" + bytes(20),
        "a WEBP of no length": b"RIFF\0\0\0\0WEBPVP8 " + bytes(20),
        "a PPM of 10^9 pixels": b"P6 1000000000 1000000000 255\n" + bytes(20),
        "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n",
    }  # fmt: skip


def _text_bomb() -> bytes:
    content = b"comment\0\0" + zlib.compress(bytes(20_000_000))
    check = zlib.crc32(b"zTXt" + content).to_bytes(4, "big")
    return len(content).to_bytes(4, "big") + b"zTXt" + content + check


def sounds() -> dict[str, bytes]:
    """Sounds that are none, or whose header lies."""
    return {
        "an empty sound": b"",
        "a text": b"no sound at all",
        "half a header": wav()[:20],
        "no data": wav()[:36],
        "no channel": wav(channels=0),
        "no rate": wav(rate=0),
        "a rate of 2^32": wav(rate=2**32 - 1),
        "samples of 0 bits": wav(width=0),
        "samples of 7 bits": wav(width=7),
        "an unknown compression": wav(kind=0x6771),
        "a FLAC without a stream": b"fLaC" + bytes(60),
        "an OGG without a page": b"OggS" + bytes(60),
        "an AIFF without a chunk": b"FORM\0\0\0\x04AIFF",
        "an MP3 of zeros": b"ID3\x03\0\0\x7f\x7f\x7f\x7f" + bytes(60),
    }


def checkpoints() -> dict[str, bytes]:
    """Manifests and states of checkpoints; see `fuzz._checkpoint`."""
    manifest, state = fuzz._checkpoint_files()
    content = json.loads(manifest)

    def changed(**more: Any) -> bytes:
        return json.dumps({**content, **more}).encode()

    size = int.from_bytes(state[:8], "little")
    head = json.loads(state[8 : 8 + size])

    def header(**more: Any) -> bytes:
        encoded = json.dumps({**head, **more}).encode()
        return len(encoded).to_bytes(8, "little") + encoded + state[8 + size :]

    entry = head["w"]
    return {
        "a manifest that is a list": b"[]",
        "a manifest, cut": manifest[:-20],
        "a manifest, deep": b'{"a": ' * 50_000,
        "another format": changed(format="other"),
        "a later version": changed(version=99),
        "a step that is text": changed(step="7"),
        "a step that is missing": json.dumps(
            {k: v for k, v in content.items() if k != "step"}).encode(),
        "facts that are a list": changed(facts=[]),
        "no files": changed(files={}),
        "files that are a list": changed(files=[1]),
        "another size": changed(files={"state.safetensors": {"bytes": 3, "sha256": "0" * 64}}),
        "another SHA-256": changed(
            files={"state.safetensors": {"bytes": len(state), "sha256": "0" * 64}}),
        "a size of 2^70": changed(files={"state.safetensors": {"bytes": 2**70, "sha256": ""}}),
        "a state, cut": state[:-3],
        "a state with more behind": state + b"\0",
        "a header of 2^63": b"\xff" * 7 + b"\x7f" + state[8:],
        "an array of other offsets": header(w={**entry, "data_offsets": [0, 2**40]}),
        "an array of another type": header(w={**entry, "dtype": "F64"}),
        "an array of no type": header(w={**entry, "dtype": "EVIL"}),
        "an array of rank 100": header(w={**entry, "shape": [1] * 99 + [6]}),
        "an array that is empty in a large way": header(
            z={"dtype": "F32", "shape": [0, 2**40, 2**40], "data_offsets": [24, 24]}),
        "an overlap": header(z=entry),
    }  # fmt: skip


def records() -> dict[str, bytes]:
    """Records of runs."""
    return {
        "an empty record": b"",
        "a list": b"[]",
        "half a record": b'{"format": "chainrule.run", "ver',
        "no version": b'{"format": "chainrule.run"}',
        "a version that is text": b'{"format": "chainrule.run", "version": "1"}',
        "a later version": b'{"format": "chainrule.run", "version": 99}',
        "no UTF-8": b'{"format": "\xff"}',
        "deep": b"[" * 100_000,
        "a number of 10,000 digits": b'{"format": ' + b"9" * 10_000 + b"}",
    }


def all_files() -> dict[str, tuple[bytes, Callable[[bytes], Any]]]:
    """By name: the bytes, and who reads them."""
    found: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {}
    models = {**CONTAINERS, **DOCUMENTS, **OTHERS}
    kinds: list[tuple[str, dict[str, bytes], Callable[[bytes], Any]]] = [
        ("model", {n: d for n, (d, _) in models.items() if n not in _LARGE},
         fuzz._file(".safetensors", fuzz._model)),
        ("table", tables(), fuzz._file(".csv", fuzz._read_table)),
        ("image", images(), fuzz._file(".png", fuzz._image)),
        ("sound", sounds(), fuzz._file(".wav", fuzz._sound)),
        ("checkpoint", checkpoints(), fuzz._checkpoint),
        ("run record", records(), fuzz._record),
    ]  # fmt: skip
    for kind, files, read in kinds:
        found |= {f"{kind}: {name}": (data, read) for name, data in files.items()}
    return found


#: What need not be refused, if it is read as what it is.
READABLE = {"table: rows that grow", "table: the same name twice", "table: gzip of gzip",
            "table: JSON of other keys", "table: a wrong checksum", "sound: no data",
            "table: a table of one line", "table: only blanks",
            "table: JSON lines of numbers", "sound: samples of 7 bits"}  # fmt: skip


def refuse_all(count: Count) -> None:
    """Read each of them.

    Raises:
        AssertionError: one was read, took too long, or ended in something else than a refusal.
    """
    faults = []
    for name, (data, read) in all_files().items():
        fault = refused(name, data, read)
        faults += [fault] if fault else []
    assert not faults, "\n".join(faults)
    count("hostile files", len(all_files()))


def refused(name: str, data: bytes, read: Callable[[bytes], Any]) -> str | None:
    """What is wrong with how a file is refused."""
    for last in (False, False, True):  # what is imported meanwhile does not count
        begun = time.process_time()
        try:
            read(data)
        except ChainruleError:
            pass
        except Exception as error:
            return f"{name}: {type(error).__name__}: {error}"
        else:
            return None if name in READABLE else f"{name}: it was read"
        seconds = time.process_time() - begun
        if seconds <= SECONDS:
            return None
        if last:
            return f"{name}: refused after {seconds:.2f} s"
    return None


def places_that_are_no_files(folder: Path) -> list[Path]:
    """A pipe, a device, a link in a circle, a link to a device."""
    os.mkfifo(folder / "pipe")
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "device").symlink_to("/dev/zero")
    (folder / "folder").mkdir()
    return [folder / "pipe", folder / "circle", folder / "device", folder / "folder",
            Path("/dev/zero"), Path("/proc/self/mem"), folder / "missing",
            folder / ("x" * 300)]  # fmt: skip
