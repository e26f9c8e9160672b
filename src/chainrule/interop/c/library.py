"""Exported C as a shared library, for other languages."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...engine.backends.c import toolchain


def library_name(prefix: str) -> str:
    """What the library of a prefix is called on this machine.

    Example:
        >>> library_name("pump").startswith("libpump.")
        True
    """
    return f"lib{prefix}.{'dylib' if sys.platform == 'darwin' else 'so'}"


def build_library(
    files: Mapping[str, str], prefix: str, flags: Sequence[str] = ()
) -> dict[str, bytes]:
    """The library of exported files, by its name.

    It is made for any processor of this kind, or for those that the flags say, not for this very
    one.

    Args:
        files: header and source, by name.
        prefix: of the names.
        flags: of the processor.

    Raises:
        CompilerError: there is no compiler, or it failed.
    """
    name = library_name(prefix)
    with tempfile.TemporaryDirectory(prefix="chainrule-") as workshop:
        folder = Path(workshop)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        toolchain.call(("-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-shared",
                        *flags, f"{prefix}.c", "-o", name, "-lm"), folder)  # fmt: skip
        return {name: (folder / name).read_bytes()}
