"""What was measured on this machine about matrix products, remembered in the cache.

The file's name says what it holds for: this processor, this compiler with its flags, this
generator of products. Whatever else is in the folder is for others, and is not read.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ....utils.locks import new_lock
from . import cache, toolchain

_log = logging.getLogger("chainrule")
_reading = new_lock()

#: What a measurement holds for: if the text of these files changes, it is void.
_GENERATOR = ("cpu.py", "gemm.py", "gemm_tiles.py")


@dataclass(frozen=True)
class TileChoice:
    """How a product is best computed.

    Attributes:
        rows: of a tile in registers.
        vectors: of a row of the tile.
        pack_b: whether B is copied into panels; by the rules of the generator if None.
        pack_a: the same of A.
    """

    rows: int
    vectors: int
    pack_b: bool | None = None
    pack_a: bool | None = None

    def __str__(self) -> str:
        """Such as ``6×2, B packed``."""
        packed = [name for name, flag in (("A", self.pack_a), ("B", self.pack_b)) if flag]
        how = f", {''.join(packed)} packed" if packed else ", in place"
        return f"{self.rows}×{self.vectors}{'' if self.pack_b is None else how}"


@dataclass(frozen=True)
class TunedTiles:
    """A measurement: the day of it, and the choices by the names of products and their kinds."""

    day: str
    choices: Mapping[str, TileChoice]


def file_name() -> str:
    """The name of the file for this processor, compiler and generator.

    Raises:
        CompilerError: there is no compiler.
    """
    folder = Path(__file__).with_name("kernels")
    generator = "".join((folder / name).read_text(encoding="utf-8") for name in _GENERATOR)
    return f"tiles-{toolchain.find().key(generator)}.json"


def read() -> TunedTiles | None:
    """What was measured; None if nothing was, or the file is damaged, which is said."""
    if not any(cache.folder().glob("tiles-*.json")):  # the usual case, and soon known
        return None
    try:
        name = file_name()
        path = cache.find(name)
    except (toolchain.CompilerError, OSError):
        return None
    if path is None:
        return None
    try:
        data = json.loads(cache.recall(name) or "")
        return TunedTiles(
            str(data["day"]), {str(k): _choice(v) for k, v in data["choices"].items()}
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        with _reading:  # programs are built by several threads: say it once
            _tell_damaged(path)
        return None


@functools.cache
def _tell_damaged(path: Path) -> None:
    _log.warning(
        "The measured tiles in %s are damaged; measure again: chainrule cache --tune", path
    )


def _choice(data: Mapping[str, object]) -> TileChoice:
    choice = TileChoice(**data)  # type: ignore[arg-type]
    sizes, flags = (choice.rows, choice.vectors), (choice.pack_b, choice.pack_a)
    if not all(type(size) is int and size > 0 for size in sizes):
        raise ValueError(choice)
    if not all(flag is None or isinstance(flag, bool) for flag in flags):
        raise ValueError(choice)
    return choice


def write(remembered: TunedTiles) -> Path:
    """Remember a measurement in place of the last one, all at once.

    Raises:
        CompilerError: there is no compiler.
        OSError: the file cannot be written.
    """
    name = file_name()
    content = {
        "day": remembered.day,
        "choices": {key: asdict(choice) for key, choice in remembered.choices.items()},
    }
    return cache.keep(name, json.dumps(content, indent=1))
