"""The benchmark's end of a worker: starts it, asks it, reads its answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: A worker that answers nothing for so long has failed.
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Peer:
    """Somebody who trains.

    Attributes:
        title: as in the tables.
        module: the worker, in benchmarks/peers.
        mode: how it trains.
        package: the distribution to install.
        imported: how a program imports all that it takes to train.
        keeps: whether a later process uses the compiled programs of an earlier one.
        slow_start: whether it is left out of a quick run.
        narrow: whether it multiplies numbers in bfloat16, with the losses of that.
    """

    title: str
    module: str
    mode: str
    package: str
    imported: str
    keeps: bool = False
    slow_start: bool = False
    narrow: bool = False


class PeerError(Exception):
    """A worker failed; the message is the last thing that it said."""


def environment(threads: int, caches: str) -> dict[str, str]:
    """Of a worker: so many threads, and compiled programs kept in the given folder."""
    # They choose kernels for other machines; and an installed package has its bytecode.
    ignored = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if name not in ignored}
    return inherited | {
        "CHAINRULE_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "CHAINRULE_CACHE": f"{caches}/chainrule",
        "TORCHINDUCTOR_CACHE_DIR": f"{caches}/torch",
        "JAX_COMPILATION_CACHE_DIR": f"{caches}/jax",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",  # this checkout, not what is installed
    }


class Worker:
    """A running process of a peer, which has done its first steps.

    Args:
        peer: who.
        network: the name of what is trained.
        threads: how many.
        caches: a folder for what it compiles.
        first_step: do no more than one step.

    Attributes:
        first: seconds from the call that builds the network to the end of its first step.
        losses: of the first steps.

    Raises:
        PeerError: it failed.
    """

    def __init__(
        self, peer: Peer, network: str, threads: int, caches: str, first_step: bool = False
    ) -> None:
        command = [sys.executable, "-m", f"benchmarks.peers.{peer.module}", network, peer.mode]
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(
            command + ["--first-step"] * first_step,
            env=environment(threads, caches),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        hello = self._answer()
        self.first: float = hello["first"]
        self.losses: list[float] = hello["losses"]
        self._pause()

    def seconds(self, steps: int) -> float:
        """Train so many steps; what one took."""
        assert self._process.stdin is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        found: float = self._answer()["seconds"]
        self._pause()
        return found / steps

    def _pause(self) -> None:
        """Stop the process while others are measured: some let their idle threads spin."""
        self._process.send_signal(signal.SIGSTOP)

    def finish(self) -> float:
        """End the process; its peak memory in bytes."""
        assert self._process.stdin is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.stdin.close()
        peak: float = self._answer()["peak"]
        self._process.wait()
        return peak

    def kill(self) -> None:
        """End the process whatever it does."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        watchdog = threading.Timer(PATIENCE_SECONDS, self._process.kill)
        watchdog.start()
        line = self._process.stdout.readline()
        watchdog.cancel()
        if not line:
            self.kill()
            self._said.seek(0)
            said = [one.strip() for one in self._said.read().splitlines() if one.strip()]
            raise PeerError(said[-1] if said else f"exit code {self._process.returncode}")
        answer: dict[str, Any] = json.loads(line)
        return answer
