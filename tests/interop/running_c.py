"""Exported C built as a library and called: what tests of ``cr.export_c`` share."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.engine.backends.c import toolchain

#: What exported files have to compile under.
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
Array = np.ndarray[Any, Any]


def compiler() -> tuple[str, ...]:
    """The compiler, with the instructions of this machine: as programs of the C backend."""
    found = toolchain.find()
    own = [f for f in found.flags if f.startswith(("-march", "-mcpu", "-ffp-contract"))]
    return (*found.command, *own)


class Exported:
    """A folder with exported files, as a library.

    Args:
        folder: where they are.
        name: the prefix.
        flags: more of the compiler.
    """

    def __init__(self, folder: Path, name: str = "model", flags: tuple[str, ...] = ("-O1",)):
        self.name = name
        self.header = (folder / f"{name}.h").read_text()
        library = folder / f"{name}.so"
        command = (*compiler(), *STRICT, *flags, "-shared", "-fPIC", "-o", str(library),
                   str(folder / f"{name}.c"), "-lm")  # fmt: skip
        subprocess.run(command, check=True)
        self.library = ctypes.CDLL(str(library))
        self.arena = self._memory("ARENA_BYTES")
        self.state = self._memory("STATE_BYTES") if "STATE_BYTES" in self.header else None

    def constant(self, name: str) -> int:
        """A number of the header."""
        found = re.search(rf"{self.name.upper()}_{name}\b\s*=?\s*(\d+)", self.header)
        assert found is not None, name
        return int(found[1])

    def position(self, name: str) -> int:
        """An enumerator of the header."""
        found = re.search(rf"\b{self.name}_{name} = (\d+)", self.header)
        assert found is not None, name
        return int(found[1])

    def _memory(self, name: str) -> Array:
        size = self.constant(name)
        # What lies around is watched: nothing may be written beyond the announced size.
        return np.full(size + 128, 0xA5, np.uint8)

    def call(self, function: str, *given: Any) -> int:
        """Call a function of the header; arrays are passed as pointers, floats as float."""
        arguments = [
            ctypes.c_void_p(x.ctypes.data) if isinstance(x, np.ndarray) else ctypes.c_float(x)
            for x in given
        ]
        return int(getattr(self.library, f"{self.name}_{function}")(*arguments))

    def memory(self, block: Array) -> Array:
        """The part of a block that belongs to the program."""
        start = -block.ctypes.data % 8
        return block[start:]

    def check_borders(self) -> None:
        """Nothing beyond the arena and the state was written."""
        for block, name in ((self.arena, "ARENA_BYTES"), (self.state, "STATE_BYTES")):
            if block is not None:
                start = -block.ctypes.data % 8
                assert (block[start + self.constant(name) :] == 0xA5).all()
                assert (block[:start] == 0xA5).all()

    def predict(self, *given: Array, like: Array) -> Array:
        """Predictions of all rows of these arrays."""
        results = np.zeros(like.shape, like.dtype)
        state = [] if self.state is None else [self.memory(self.state)]
        for row in range(len(like)):
            inputs = [np.ascontiguousarray(x[row : row + 1]) for x in given]
            out = results[row : row + 1]
            assert self.call("predict", *state, *inputs, out, self.memory(self.arena)) == 0
        self.check_borders()
        return results
