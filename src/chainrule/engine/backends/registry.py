"""The backends by name."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress

from ...errors import ConfigError, unknown
from ...utils.background import in_background
from ..ir.graph import Graph
from .base import Backend, BuildError, Executable, precision_of
from .c import toolchain
from .c.backend import CBackend
from .c.lowering_cache import is_known
from .c.threads import parallel
from .narrow import NarrowBackend
from .numpy import NUMPY
from .xla.backend import XlaBackend
from .xla.library import has_accelerator

_log = logging.getLogger("chainrule")
#: How a sentence names them.
_TITLES = {"numpy": "NumPy", "c": "C", "xla": "XLA"}


class FirstThatBuilds:
    """Backends, of which each takes what those before it cannot build: said in one sentence.

    Args:
        name: how users ask for it.
        backends: the best one first.
        smallest: graphs of fewer numbers, without donated inputs, which are those of a step that
            will run many times, and without a loop go to the last backend at once.
    """

    is_instant = False

    def __init__(self, name: str, backends: Sequence[Backend], smallest: int = 0) -> None:
        self.name, self._backends, self._smallest = name, list(backends), smallest

    @property
    def parts(self) -> int:
        """Over how many devices the first backend splits a batch."""
        return self._backends[0].parts

    def build(
        self,
        graph: Graph,
        donated: Mapping[int, int],
        guards: Sequence[int],
        runs: int | None = None,
    ) -> Executable:
        """A program of the first backend that can build one."""
        *others, last = self._backends
        if (
            not donated
            and _numbers(graph) < self._smallest
            and not is_known(graph, donated, guards)
        ):
            return last.build(graph, donated, guards, runs)
        for backend, other in zip(others, self._backends[1:], strict=True):
            try:
                return backend.build(graph, donated, guards, runs)
            except BuildError as error:
                _warn_once(f"{error.what} The {_TITLES[other.name]} backend is used.")
        return last.build(graph, donated, guards, runs)


class Automatic(FirstThatBuilds):
    """An accelerator where JAX has one, otherwise native code, or else NumPy.

    An accelerator gets steps of trainings and what computes many numbers: a few are computed sooner
    than they are sent there and back.
    """

    def __init__(
        self,
        native: Backend,
        smallest: int = 0,
        reference: Backend = NUMPY,
        accelerated: Backend | None = None,
    ) -> None:
        super().__init__("auto", [native, reference], smallest)
        self._accelerated = FirstThatBuilds("auto", [accelerated or _XLA, native, reference])

    def build(
        self,
        graph: Graph,
        donated: Mapping[int, int],
        guards: Sequence[int],
        runs: int | None = None,
    ) -> Executable:
        """A program of the first backend that can build one."""
        if (donated or _numbers(graph) >= _MANY) and has_accelerator():
            return self._accelerated.build(graph, donated, guards, runs)
        return super().build(graph, donated, guards, runs)


#: So many numbers are worth a way to an accelerator.
_MANY = 10**6


def _numbers(graph: Graph) -> float:
    """How many numbers a run computes; more than any, if there is a loop."""
    if any(node.op.has_body for node in graph.nodes):
        return math.inf
    return sum(node.type.size for node in graph.nodes)


@functools.cache
def _warn_once(sentence: str) -> None:
    _log.warning(sentence)


_C, _XLA = CBackend(), XlaBackend()


def _xla(found: XlaBackend, native: Backend = _C, reference: Backend = NUMPY) -> Backend:
    return FirstThatBuilds("xla", [found, native, reference])


#: What runs a function of `chainrule.compile` unless it is said.
BY_SIZE = Automatic(_C, smallest=10_000)
BACKENDS: dict[str, Backend] = {
    backend.name: backend for backend in (NUMPY, _C, _xla(_XLA), Automatic(_C))
}


def find_backend(
    backend: str | Backend,
    threads: int | None = None,
    *,
    device: str | None = None,
    devices: int | None = None,
    precision: str | None = None,
    sharding: str | None = None,
    exact: bool = False,
) -> Backend:
    """The backend of this name.

    Args:
        backend: a name; a backend is returned as it is.
        threads: of native programs; all by default.
        device: "cpu", "gpu" or "tpu", for the backend "xla", which "auto" then is.
        devices: how many of them; this and the others are as in `XlaBackend`.
        precision: of products, on every backend: see `passes.narrow`, and for XLA `XlaBackend`.
        sharding: of variables.
        exact: whether the bits are to be the same on every processor: then it is native code, or an
            error where that cannot be.

    Raises:
        ConfigError: there is none, or an option is not for it.
    """
    narrow = precision is not None and precision_of(precision) == "bfloat16"
    if not isinstance(backend, str):
        for option, given in (("exact", exact), ("precision", precision is not None)):
            if given:
                raise ConfigError(f"{option} goes with the name of a backend.",
                                  expected="such as 'c' or 'auto'",
                                  found=type(backend).__name__)  # fmt: skip
        return backend
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    places = {"device": device, "devices": devices, "sharding": sharding}
    options = {name: value for name, value in places.items() if value is not None}
    if options and backend not in ("xla", "auto"):
        name, value = next(iter(options.items()))
        raise ConfigError(
            f"{name} is an option of the backend xla.", found=f"{name} {value}, backend {backend}",
            hint="Take --backend xla, or omit it: then it is that.",
        )  # fmt: skip
    if exact:
        return _exact(backend, threads, options, narrow)
    native: Backend = _C if threads is None else CBackend(threads)
    if options or narrow:
        return _with_options(backend, native, options, narrow)
    if threads is None:
        return BACKENDS[backend]
    found: dict[str, Backend] = {"c": native, "auto": Automatic(native), "xla": _xla(_XLA, native)}
    return found.get(backend, BACKENDS[backend])


def get_ready(backend: Backend) -> None:
    """Have what every program of a backend needs found or built meanwhile.

    Example:
        >>> get_ready(find_backend("auto"))  # the C compiler is examined while data are read, say
    """
    if backend.name in (_C.name, "auto"):
        in_background(_native_is_ready)


def _native_is_ready() -> None:
    with suppress(BuildError, OSError):  # what is wrong the first program says
        parallel()


def bfloat16_is_faster(backend: str) -> bool:
    """Whether products of numbers rounded to bfloat16 take less time there than those of float32.

    Example:
        >>> bfloat16_is_faster("numpy")
        False
    """
    if backend != "c" and backend != "numpy" and has_accelerator():
        return True
    return backend in ("c", "auto") and toolchain.has_tiles()


def _with_options(
    backend: str, native: Backend, options: Mapping[str, object], narrow: bool
) -> Backend:
    """XLA where an option names a device; and all that may run with products in bfloat16."""
    reference: Backend = NUMPY
    if narrow:
        native, reference = NarrowBackend(native), NarrowBackend(reference)
    made = XlaBackend(precision="bf16" if narrow else "float32", **options)  # type: ignore[arg-type]
    if options or backend == "xla":
        return _xla(made, native, reference)
    if backend == "auto":
        return Automatic(native, reference=reference, accelerated=made)
    return native if backend == "c" else reference


def _exact(
    backend: str, threads: int | None, options: Mapping[str, object], narrow: bool
) -> Backend:
    """Native code alone: what other backends find differs from one machine to another."""
    if options or backend not in ("c", "auto"):
        given = ", ".join(f"{name} {value}" for name, value in options.items())
        raise ConfigError(
            "Only native code has the same bits on every processor.",
            expected="exact with the backend c, or auto, which then is c",
            found=given or f"backend {backend}",
            hint="Omit one of them.",
        )
    native = CBackend(threads, exact=True)
    return NarrowBackend(native) if narrow else native
