"""Several processes as one: JAX's, which meet at the address of the first one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import ConfigError
from ....utils.environment import seconds
from ....utils.together import come_together, need_same
from ....utils.typing import Array
from . import library

#: The file that a process touches while it goes on, for the one that watches over it.
PULSE = "CHAINRULE_PULSE"
#: After so many seconds without a sign a process counts as dead.
HEARTBEAT = 10
#: How long processes wait for one another at the beginning; CHAINRULE_START_SECONDS.
START = 60
#: So many bytes of each process are sent at once.
_PIECE = 2**22
#: A pulse is told no more often than this.
_PULSE_SECONDS = 0.5


def join(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> int:
    """Become one of several processes that train one network, before anything else is done.

    Without arguments JAX finds them in the environment of Slurm, Open MPI, Kubernetes or Cloud TPU.

    Args:
        coordinator: ``HOST:PORT`` of process 0, where all of them meet.
        processes: how many there are.
        process: the number of this one, from 0.

    Returns:
        The number of this process.

    Raises:
        ConfigError: the address is none, is taken, or nobody answers there; code or version of the
            processes differ; some arguments are missing.
    """
    jax = library.load()
    options: dict[str, Any] = {"heartbeat_timeout_seconds": HEARTBEAT}
    if coordinator is not None or processes is not None or process is not None:
        coordinator, processes, process = _checked(coordinator, processes, process)
        host, port = address_of(coordinator)
        _meet(host, port, process)
        options |= {
            "coordinator_address": coordinator, "num_processes": processes, "process_id": process,
            "initialization_timeout": start_seconds(),
        }  # fmt: skip
        if process == 0:  # by default it listens to the whole network
            options["coordinator_bind_address"] = coordinator
    if library.may_use_only_processors():
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # Otherwise SIGTERM would be ignored.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(**options)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            "The processes did not come together.",
            found=str(error).partition("\n")[0][:300],
            hint="Give --coordinator HOST:PORT --processes N --process I.",
        ) from None
    group = _Group(jax)
    come_together(group)
    need_same("code", _code())
    return group.number


def _checked(
    coordinator: str | None, processes: int | None, process: int | None
) -> tuple[str, int, int]:
    """The arguments of `join`, all of them."""
    if coordinator is None or processes is None or process is None:
        raise ConfigError(
            "coordinator, processes and process belong together.",
            found=f"{coordinator!r}, {processes!r}, {process!r}",
            hint='join("node0:4321", 4, 0), or join() to ask the launcher.',
        )
    if processes < 1 or not 0 <= process < processes:
        raise ConfigError("Invalid value for process.", expected=f"from 0 to {processes - 1}",
                          found=str(process))  # fmt: skip
    return coordinator, processes, process


class _Group:
    """See `chainrule.utils.together.Group`."""

    def __init__(self, jax: Any) -> None:
        self.number, self.count = int(jax.process_index()), int(jax.process_count())
        place = os.environ.get(PULSE)
        self._file = None if place is None else Path(place)
        self._told = 0.0
        self._functions: dict[Any, Any] = {}

    def gather(self, values: list[int]) -> list[list[int]]:
        """The values of every process."""
        return [found.tolist() for found in self._everyones(np.array(values, np.int32))]

    def exchange(self, data: bytes) -> list[bytes]:
        """The bytes of every process, piece by piece."""
        sizes = [low + (high << 24) for low, high in
                 self.gather([len(data) & 0xFFFFFF, len(data) >> 24])]  # fmt: skip
        parts: list[list[bytes]] = [[] for _ in sizes]
        for start in range(0, max(sizes), _PIECE):
            rest = max(sizes) - start  # few lengths: each needs a program
            own = np.zeros(min(_PIECE, max(1 << (rest - 1).bit_length(), 1024)), np.uint8)
            piece = np.frombuffer(data[start : start + _PIECE], np.uint8)
            own[: len(piece)] = piece
            for number, found in enumerate(self._everyones(own)):
                parts[number].append(found[: max(sizes[number] - start, 0)].tobytes())
        return [b"".join(each) for each in parts]

    def _everyones(self, own: Array) -> list[Array]:
        """An array of each process, of one shape: one row of an array for each of its devices."""
        jax = library.load()
        from jax.sharding import Mesh, NamedSharding, PartitionSpec

        mesh = Mesh(np.array(jax.devices()), ("all",))
        rows, everywhere = (NamedSharding(mesh, p) for p in (PartitionSpec("all"), PartitionSpec()))
        key = own.dtype, len(own)
        if key not in self._functions:
            self._functions[key] = jax.jit(lambda x: x, out_shardings=everywhere)
        repeated = np.tile(own, (jax.local_device_count(), 1))
        whole = jax.make_array_from_process_local_data(rows, repeated)
        found = np.asarray(self._functions[key](whole).addressable_data(0))
        firsts = {d.process_index: i for i, d in reversed(list(enumerate(jax.devices())))}
        return [found[firsts[number]] for number in range(self.count)]

    def pulse(self, alive: bool) -> None:
        """Touch the file, or remove it."""
        if self._file is None:
            return
        now = time.monotonic()
        if alive and now - self._told > _PULSE_SECONDS:
            self._told = now
            with contextlib.suppress(OSError):
                self._file.touch()
        elif not alive:
            self._told = 0.0
            self._file.unlink(missing_ok=True)


def address_of(text: str) -> tuple[str, int]:
    """The host and the port in ``HOST:PORT``.

    Example:
        >>> address_of("node1:4321")
        ('node1', 4321)
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ConfigError("This is no address.", expected="HOST:PORT, such as node1:4321",
                          found=repr(text))  # fmt: skip
    return host.strip("[]"), int(port)


def start_seconds() -> int:
    """How long processes wait for one another at the beginning."""
    return round(min(max(seconds("CHAINRULE_START_SECONDS", START), 1), 10**6))


def _meet(host: str, port: int, process: int) -> None:
    """See that the address is free, or that somebody answers there.

    JAX itself would end the process without a word to the user.
    """
    if process == 0:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((host, port))
            except OSError as error:
                raise ConfigError(
                    "The address of the coordinator cannot be used.", where=f"{host}:{port}",
                    found=error.strerror or str(error),
                    hint="Is another training there? Take another port, and the address of this "
                    "machine, where process 0 runs.",
                ) from None  # fmt: skip
        return
    end = time.monotonic() + start_seconds()
    while True:
        try:
            socket.create_connection((host, port), timeout=2).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise ConfigError(
                    f"Nobody answers at the coordinator's address for {start_seconds()} s.",
                    where=f"{host}:{port}", found=error.strerror or str(error),
                    hint="Start process 0 there; is the port open between the machines?",
                ) from None  # fmt: skip
        time.sleep(0.2)


def _code() -> str:
    """The text of the program: two versions would not compute the same."""
    root = Path(__file__).parents[3]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return f"{digest.hexdigest()} numpy {np.__version__} jax {library.load().__version__}"
