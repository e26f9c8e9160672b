"""The machine's C compiler: which there is, what it understands, and how it is called.

It is called directly, never through a shell. What cannot be built raises `CompilerError` with one
plain sentence; the caller goes on with the NumPy backend.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import json
import logging
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ....errors import ConfigError
from ....utils.locks import new_lock
from ..base import BuildError
from . import cache

_log = logging.getLogger("chainrule")

#: Every program is built with these; -ffast-math never is: it breaks NaN and infinities.
#: Integers wrap around as NumPy's do.
BASE_FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-shared", "-fwrapv")
#: Used when the compiler accepts them, in this order.
OPTIONAL_FLAGS = (
    "-fno-math-errno",  # a library function need not set errno, so that loops can be vectorised
    "-fno-trapping-math",
    "-fno-ipa-pure-const",  # GCC 12 takes some loops that copy for functions without effect,
    "-fno-ipa-modref",  # and drops the calls
    "-fno-tree-slp-vectorize",  # in it GCC 12 takes a double that was a float in between as it was
    "-ffp-contract=off",  # a·b + c in one rounding only where a kernel names it
    "-march=native",
    "-mcpu=native",  # how Arm's compilers say it
    "-mprefer-vector-width=512",
)
#: Macros by which compilers say for which instructions they make programs. What the processor can
#: do is not enough: flags, or the compiler's age, may rule some out.
EXTENSIONS = (
    *("__AVX512F__", "__AVX2__", "__FMA__", "__SSE2__"),
    *("__ARM_NEON", "__ARM_FEATURE_FMA", "__FP_FAST_FMA"),
    *("__AVX512BW__", "__AVX512BF16__", "__AMX_TILE__", "__AMX_BF16__"),
    *("__AMXTILE__", "__AMXBF16__"),
)
#: Those that products in tile registers need, and what older Clangs call some of them.
_TILING = {"__AVX512F__", "__AVX512BW__", "__AVX512BF16__", "__AMX_TILE__", "__AMX_BF16__"}
_OLDER = {"__AMXTILE__": "__AMX_TILE__", "__AMXBF16__": "__AMX_BF16__"}
#: How Linux is asked for the state of tile registers, on x86 with 64 bits: ``arch_prctl``, its
#: request for a permission, and that of the data of tiles.
_ARCH_PRCTL, _REQUEST, _TILE_DATA = 158, 0x1023, 18
#: Those that say that a·b + c is one instruction; the same as in `kernels.math.FMA_C`.
_FUSING = {"__FMA__", "__ARM_FEATURE_FMA", "__FP_FAST_FMA"}
#: Added for programs that run for seconds at most: built in less than two thirds of the time, up to
#: a fifth slower, the same bits. GCC does not vectorise many loops without the ranges of values:
#: -ftree-vrp halves the time of some programs, and costs a tenth of their building.
QUICK_FLAGS = ("-O1", "-ftree-loop-vectorize", "-fvect-cost-model=dynamic", "-ftree-vrp")
_TIMEOUT_SECONDS = 300.0
_examining = new_lock()


class CompilerError(BuildError):
    """There is no C compiler, or it cannot build a program."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler.

    Attributes:
        command: how it is called.
        version: what it says of itself.
        flags: those that it is called with.
        extensions: what it says that programs may use, of `EXTENSIONS`.
        quick: `QUICK_FLAGS`, if it accepts them.
    """

    command: tuple[str, ...]
    version: str
    flags: tuple[str, ...]
    extensions: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()

    def key(self, source: str, extra: tuple[str, ...] = ()) -> str:
        """A name for what this compiler makes of a source on this machine."""
        parts = (source, self.version, *self.command[1:], *self.flags, *extra, processor())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


@functools.cache
def processor() -> str:
    """The kind of processor, with all that it can do: programs for one may fail on another."""
    parts = [platform.system(), platform.machine(), platform.processor()]
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    wanted = ("model name", "flags", "Features", "CPU part", "CPU implementer")
    parts += sorted({line for line in text.splitlines() if line.startswith(wanted)})
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def candidates() -> list[tuple[str, ...]]:
    """The compilers to try: CHAINRULE_CC alone if it is set, otherwise the usual names."""
    chosen = os.environ.get("CHAINRULE_CC")
    if chosen is not None:
        return [tuple(shlex.split(chosen))] if chosen.strip() else []
    found = [(name,) for name in ("cc", "clang", "gcc") if shutil.which(name)]
    if importlib.util.find_spec("ziglang") is not None:
        found.append((sys.executable, "-m", "ziglang", "cc"))  # type: ignore[arg-type]
    return list(found)


def find() -> Compiler:
    """The compiler to use.

    Raises:
        CompilerError: none was found, or none works.
    """
    commands = candidates()
    if not commands:
        raise CompilerError(
            "No C compiler was found.",
            hint="Install gcc or clang, or: pip install 'chainrule[cc]'.",
        )
    problems = []
    for command in commands:
        try:
            with _examining:  # threads that build programs at once wait for the first
                return _examine(command)
        except CompilerError as error:
            problems.append(error)
    raise problems[0]


@functools.cache
def _examine(command: tuple[str, ...]) -> Compiler:
    """What the compiler understands; remembered in the cache, for each trial takes a while."""
    path = shutil.which(command[0])
    if path is None:
        raise CompilerError(f"The C compiler {command[0]!r} was not found.")
    status = Path(path).stat()
    examined = f"{BASE_FLAGS}{OPTIONAL_FLAGS}{EXTENSIONS}{QUICK_FLAGS}"
    identity = f"{command}{path}{status.st_mtime_ns}{status.st_size}{processor()}{examined}"
    name = f"compiler-{hashlib.sha256(identity.encode()).hexdigest()[:40]}.json"
    remembered = cache.recall(name)
    if remembered is not None:
        try:
            data = json.loads(remembered)
            flags, extensions, quick = (
                tuple(map(str, data[k])) for k in ("flags", "extensions", "quick")
            )
            return Compiler(command, str(data["version"]), flags, extensions, quick)
        except (ValueError, KeyError, TypeError):
            pass  # damaged: examine it again
    version = _run((*command, "--version"), Path.cwd()).splitlines()
    chosen, quick = _accepted_flags(command)
    extensions = _extensions(command, chosen)
    compiler = Compiler(command, version[0] if version else "", chosen, extensions, quick)
    with suppress(OSError):  # without room it is examined again
        cache.keep(name, json.dumps({"version": compiler.version, "flags": chosen,
                                    "extensions": extensions, "quick": quick}))  # fmt: skip
    return compiler


def _accepted_flags(command: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The base flags, and those of the optional and the quick ones that the compiler accepts.

    Mostly all do, which one trial shows.
    """
    usual = (*BASE_FLAGS, *(flag for flag in OPTIONAL_FLAGS if flag != "-mcpu=native"))
    if _accepts(command, (*usual, "-Werror", *QUICK_FLAGS)):
        return usual, QUICK_FLAGS
    chosen = usual if _accepts(command, (*usual, "-Werror")) else _accepted_one_by_one(command)
    return chosen, QUICK_FLAGS if _accepts(command, (*chosen, "-Werror", *QUICK_FLAGS)) else ()


def _accepted_one_by_one(command: tuple[str, ...]) -> tuple[str, ...]:
    """The base flags, and those of the optional ones that the compiler accepts."""
    _compile(command, BASE_FLAGS, _TRIAL)
    chosen: tuple[str, ...] = BASE_FLAGS
    for flag in OPTIONAL_FLAGS:
        if flag == "-mcpu=native" and "-march=native" in chosen:
            continue
        if _accepts(command, (*chosen, "-Werror", flag)):
            chosen += (flag,)
    return chosen


_TRIAL = "double f(double x) { return x * x + 1.0; }\n"


def _accepts(command: tuple[str, ...], flags: tuple[str, ...]) -> bool:
    try:
        _compile(command, flags, _TRIAL)
    except CompilerError:
        return False
    return True


def _extensions(command: tuple[str, ...], flags: tuple[str, ...]) -> tuple[str, ...]:
    """The instructions of which the compiler makes programs with these flags."""
    workshop = cache.workshop()
    try:
        (workshop / "empty.c").write_text("\n", encoding="utf-8")
        said = _run((*command, *flags, "-dM", "-E", "empty.c"), workshop)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    defined = {line.split()[1] for line in said.splitlines() if line.startswith("#define ")}
    return tuple(name for name in EXTENSIONS if name in defined)


def fuses(extensions: Sequence[str]) -> bool:
    """Whether programs with these of `EXTENSIONS` compute a·b + c in one instruction.

    Example:
        >>> fuses(["__SSE2__", "__FMA__"]), fuses(["__SSE2__"])
        (True, False)
    """
    return not _FUSING.isdisjoint(extensions)


@functools.cache
def has_tiles() -> bool:
    """Whether programs may use tile registers: the compiler does, and Linux grants them.

    It has to be asked for them once in a process; threads and forks then have them, too.
    """
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return False
    try:
        known = {_OLDER.get(name, name) for name in find().extensions} >= _TILING
    except CompilerError:
        return False
    if not known:
        return False
    ask = ctypes.CDLL(None, use_errno=True).syscall
    ask.restype = ctypes.c_long
    return ask(*map(ctypes.c_long, (_ARCH_PRCTL, _REQUEST, _TILE_DATA))) == 0


def _compile(command: tuple[str, ...], flags: tuple[str, ...], source: str) -> None:
    """Compile for the sake of the error only."""
    workshop = cache.workshop()
    try:
        (workshop / "program.c").write_text(source, encoding="utf-8")
        _run((*command, *flags, "-o", "program.so", "program.c", "-lm"), workshop)
        if not (workshop / "program.so").is_file():
            raise CompilerError(f"The C compiler {command[0]!r} made nothing.")
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def build(source: str, extra: tuple[str, ...] = ()) -> Path:
    """The shared library for a source; from the cache if it was built before.

    Args:
        source: one C translation unit.
        extra: more flags.

    Raises:
        CompilerError: with the compiler's first error.
    """
    compiler = find()
    key = compiler.key(source, extra)
    built = cache.find_whole(f"{key}.so")
    if built is not None:
        return built
    try:
        workshop = cache.workshop()
        try:
            _make(compiler, source, extra, workshop)
            os.replace(workshop / "program.c", cache.folder() / f"{key}.c")
            return cache.store(workshop / "program.so", f"{key}.so")
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    except OSError as error:
        return _built_elsewhere(compiler, source, extra, error)


def _built_elsewhere(
    compiler: Compiler, source: str, extra: tuple[str, ...], problem: OSError
) -> Path:
    """The program, for this process only, where the cache is full."""
    _log.warning("Programs cannot be kept in the cache: %s", problem)
    try:
        workshop = cache.temporary_workshop()
        _make(compiler, source, extra, workshop)
    except OSError as error:
        raise CompilerError("The built program cannot be stored.", found=str(error)) from error
    return workshop / "program.so"


def _make(compiler: Compiler, source: str, extra: tuple[str, ...], folder: Path) -> None:
    """Make program.so of program.c in a folder."""
    (folder / "program.c").write_text(source, encoding="utf-8")
    flags = (*compiler.flags, *extra)
    _run((*compiler.command, *flags, "-o", "program.so", "program.c", "-lm"), folder)


def trial(source: str) -> ctypes.CDLL:
    """Build a source that is not to be kept, and load it.

    Raises:
        CompilerError: it cannot be built, or what was built cannot be loaded.
    """
    compiler = find()
    workshop: Path | None = None
    try:
        workshop = cache.workshop()
        _make(compiler, source, (), workshop)
        return ctypes.CDLL(str(workshop / "program.so"))
    except OSError as error:
        raise CompilerError("A program cannot be built for a trial.", found=str(error)) from error
    finally:
        if workshop is not None:
            shutil.rmtree(workshop, ignore_errors=True)


def load(source: str, extra: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Build a source and load it.

    Raises:
        CompilerError: it cannot be built, or what was built cannot be loaded.
    """
    path = build(source, extra)
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        path.unlink(missing_ok=True)  # a damaged file, for example after a full disk
    path = build(source, extra)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise CompilerError(
            "The built program cannot be loaded.",
            where=str(path),
            found=str(error),
            hint="If programs may not be run from this folder set CHAINRULE_CACHE to another.",
        ) from error


def call(flags: tuple[str, ...], folder: Path) -> str:
    """Call the machine's compiler with other flags than those of programs; its output.

    Args:
        flags: all arguments.
        folder: where it works.

    Raises:
        CompilerError: there is none, or it failed.
    """
    return _run((*find().command, *flags), folder)


def _run(arguments: tuple[str, ...], folder: Path) -> str:
    """Call the compiler; its output."""
    environment = {**os.environ, "LC_ALL": "C", "TMPDIR": str(folder)}
    said = b""
    try:
        with subprocess.Popen(
            arguments,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                said, _ = process.communicate(timeout=_TIMEOUT_SECONDS)
            finally:
                if process.poll() is None:  # it hangs, or Ctrl-C was pressed
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)  # its children, too
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompilerError(
            f"The C compiler {arguments[0]!r} cannot be run.", found=str(error)
        ) from error
    output = said.decode("utf-8", "replace")
    if process.returncode == -signal.SIGINT:  # somebody interrupted it, which is not its fault
        raise KeyboardInterrupt
    if process.returncode:
        lines = [line for line in output.splitlines() if "error" in line.lower()]
        first = (lines or output.splitlines() or ["nothing was said"])[0]
        raise CompilerError(
            f"The C compiler {arguments[0]!r} failed (exit code {process.returncode}).", found=first
        )
    return output


def threads_wanted() -> int:
    """How many threads to use: CHAINRULE_THREADS, or the processors that this process may use."""
    chosen = os.environ.get("CHAINRULE_THREADS")
    if chosen:
        try:
            count = int(chosen)
        except ValueError:
            count = 0
        if not 1 <= count <= 256:
            raise ConfigError("Invalid value for CHAINRULE_THREADS.",
                              expected="an integer from 1 to 256", found=chosen)  # fmt: skip
        return count
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
