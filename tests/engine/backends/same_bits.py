"""Programs that are run again, built for other processors, to compare bits.

A `Recorder` is a backend that keeps what each program got and gave. `Call.again` builds the same
graph for other vectors of this machine's processor, `Call.elsewhere` with a cross compiler for
another one, whose programs QEMU runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from chainrule.engine.backends.c import toolchain
from chainrule.engine.backends.c.kernels import cpu
from chainrule.engine.backends.c.kernels.cpu import TARGETS, Target, writing_for
from chainrule.engine.backends.c.lower import lower
from chainrule.engine.backends.c.program import CProgram
from chainrule.engine.ir.graph import Graph

from ...nightly import NIGHTLY

Array = np.ndarray[Any, Any]
#: By day programs are built in little time.
FLAGS = () if NIGHTLY else ("-O1",)
#: The instructions that are taken away, and the target, if it is not the one that is left.
BUILDS = {
    "native": ("", None),
    "avx2": ("avx512f", None),
    "sse": ("avx", None),
    "plain": ("avx", "plain"),
}


@contextmanager
def building(name: str, compiler: str = "cc") -> Iterator[None]:
    """Within the block programs are built like this."""
    gone, target = BUILDS[name]
    flags = f"-mno-{gone}" if gone else ""
    if gone and "zig" in compiler:  # it does not obey that beside -march=native
        flags = f"-Xclang -target-feature -Xclang -{gone}"
    kind = TARGETS[target] if target else None
    patched = mock.patch.object(cpu, "native_kind", return_value=kind) if kind else mock.MagicMock()
    with mock.patch.dict(os.environ, {"CHAINRULE_CC": f"{compiler} {flags}"}), patched:
        cpu.native_target.cache_clear()
        assert ("__FMA__" in toolchain.find().extensions) == (gone != "avx")
        try:
            yield
        finally:
            cpu.native_target.cache_clear()


def need_x86() -> None:
    """Skip where the flags mean nothing, or leave nothing away."""
    if cpu.native_kind().name not in ("avx2", "avx512") or shutil.which("cc") is None:
        pytest.skip("there are no wider vectors to compare with")


@dataclass
class Call:
    """A call of a program: what it got, and what it gave, overwritten inputs at the end."""

    graph: Graph
    donated: Mapping[int, int]
    guards: Sequence[int]
    given: list[Array]
    found: list[Array]

    def again(self, exact: bool = True) -> list[Array]:
        """What it gives, built as `building` says."""
        program = CProgram(
            self.graph, self.donated, self.guards, flags=FLAGS, threads=1, exact=exact
        )
        given = [np.array(x) for x in self.given]
        return [*program(given), *(given[i] for i in sorted(self.donated))]

    def elsewhere(
        self, folder: Path, compiler: Sequence[str], runner: Sequence[str], target: Target,
        order: str,
    ) -> list[Array]:  # fmt: skip
        """What it gives on another processor.

        Args:
            folder: for files.
            compiler: a command, with what it needs to link a whole program.
            runner: the command that runs its programs.
            target: what kernels are written for.
            order: of the bytes of a number: ``<`` or ``>``.
        """
        with writing_for(target):
            made = lower(self.graph, dict(self.donated), self.guards, True)
        constants = [np.asarray(array) for array in made.constants]
        (folder / "program.c").write_text(made.source)
        (folder / "main.c").write_text(self._main(constants, made.arena))
        (folder / "given").write_bytes(
            b"".join(_bytes(x, order) for x in (*self.given, *constants))
        )
        flags = [f for f in toolchain.BASE_FLAGS if f != "-shared"]
        flags += ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", *FLAGS]
        line = [*compiler, *flags, "main.c", "-o", "program", "-lm"]
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        subprocess.run([*runner, "./program"], cwd=folder, check=True, timeout=300)
        raw, at, arrays = (folder / "found").read_bytes(), 0, []
        for like in self.found:
            part = np.frombuffer(raw, like.dtype.newbyteorder(order), like.size, at)
            arrays.append(part.astype(like.dtype).reshape(like.shape))
            at += like.nbytes
        assert at == len(raw)
        return arrays

    def _main(self, constants: list[Array], arena: int) -> str:
        """A program that reads what it gets from a file, and writes what it gives to another."""
        outputs = self.found[: len(self.found) - len(self.donated)]
        tables = "\n".join(
            f"  void *{name}[{len(arrays) + 1}] = {{0}};\n"
            + "\n".join(
                f"  {name}[{n}] = room({x.nbytes}, {source});" for n, x in enumerate(arrays)
            )
            for name, arrays, source in (
                ("inputs", self.given, "in"), ("constants", constants, "in"),
                ("outputs", outputs, "NULL"),
            )
        )  # fmt: skip
        written = [f"outputs[{n}], 1, {x.nbytes}" for n, x in enumerate(outputs)]
        written += [f"inputs[{i}], 1, {self.given[i].nbytes}" for i in sorted(self.donated)]
        return _MAIN.format(
            tables=tables, arena=arena,
            results="\n".join(f"  fwrite({one}, out);" for one in written),
        )  # fmt: skip


_MAIN = """
#include "program.c"
#include <stdio.h>
#include <stdlib.h>

static void alone(cr_task task, void *const *pointers, int64_t extent, int64_t unit,
                  int32_t threads)
{{
  (void)unit, (void)threads;
  task(pointers, 0, extent, NULL);
}}

static void *room(size_t bytes, FILE *in)
{{
  char *place = aligned_alloc(64, (bytes / 64 + 1) * 64);
  if (!place || (in && fread(place, 1, bytes, in) != bytes)) exit(2);
  return place;
}}

int main(void)
{{
  FILE *in = fopen("given", "rb"), *out = fopen("found", "wb");
  if (!in || !out) return 3;
{tables}
  if (cr_step(inputs, constants, outputs, room({arena}, NULL), alone, 1)) return 4;
{results}
  return fclose(out) != 0;
}}
"""


def _bytes(array: Array, order: str) -> bytes:
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder(order)).tobytes()


@dataclass
class Recorder:
    """A backend of native programs that keeps their calls."""

    exact: bool = False
    calls: list[Call] = field(default_factory=list)
    name = "recorder"
    is_instant = False
    parts = 1

    def build(
        self,
        graph: Graph,
        donated: Mapping[int, int],
        guards: Sequence[int],
        runs: int | None = None,
    ) -> Any:
        """A program that is watched, and built as if it ran often."""
        return _Watched(self, graph, donated, guards)


class _Watched:
    memory = run_steps = again = None

    def __init__(
        self, owner: Recorder, graph: Graph, donated: Mapping[int, int], guards: Sequence[int]
    ) -> None:
        self.graph, self.in_place = graph, donated.keys()
        self._owner, self._how = owner, (graph, donated, guards)
        self._program = CProgram(*self._how, flags=FLAGS, threads=1, exact=owner.exact)
        self.source = self._program.source

    def __call__(self, inputs: list[Array], mark: object = None) -> list[Array]:
        given = [np.array(x) for x in inputs]
        found = self._program(inputs)
        after = [np.array(inputs[i]) for i in sorted(self.in_place)]
        self._owner.calls.append(Call(*self._how, given, [*map(np.array, found), *after]))
        return found


def assert_same_bits(found: Sequence[Array], expected: Sequence[Array]) -> None:
    """No bit differs, but for those of numbers that are none."""
    assert len(found) == len(expected)
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        if one.dtype.kind == "f":
            np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
            one, other = np.nan_to_num(one, nan=1.0), np.nan_to_num(other, nan=1.0)
        assert one.tobytes() == other.tobytes(), (
            f"result {number}: {np.sum(one != other)} of {one.size} differ, by at most "
            f"{np.max(np.abs(one.astype(float) - other.astype(float)))}"
        )
