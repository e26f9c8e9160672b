"""JAX itself: imported when it is needed, of a version that is known to work, set up for us."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import Any

from ....errors import ConfigError
from ..base import BuildError

#: The first version that runs this backend, and the first that nobody has tried.
OLDEST, UNTRIED = (0, 10), (0, 13)
INSTALL = "pip install 'chainrule[xla]'"
PLATFORMS = ("cpu", "gpu", "tpu")


def is_installed() -> bool:
    """Whether JAX is there; this does not import it."""
    return importlib.util.find_spec("jax") is not None


@functools.cache
def load() -> Any:
    """The module ``jax``.

    Raises:
        BuildError: it is missing, too old, or does not start.
    """
    if not is_installed():
        raise BuildError(
            "The xla backend needs JAX, which is not installed.", hint=f"Install it: {INSTALL}"
        )
    try:
        jax = importlib.import_module("jax")
    except (ImportError, RuntimeError, OSError) as error:
        raise BuildError(
            "JAX is installed, but does not start.",
            found=str(error).partition("\n")[0][:300],
            hint=f"Install jax and jaxlib of one version: {INSTALL}",
        ) from None
    _need_version(str(jax.__version__))
    _keep_quiet()
    return jax


@contextlib.contextmanager
def settings() -> Iterator[None]:
    """64-bit numbers, for this thread and meanwhile only, and products with all their digits."""
    jax = load()
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


def _need_version(version: str) -> None:
    """Refuse versions that lack what is used here; warn of those that are newer than the tests."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        raise BuildError(
            "This version of JAX is too old for the xla backend.",
            expected=f"jax {OLDEST[0]}.{OLDEST[1]} or newer",
            found=f"jax {version}",
            hint=f"{INSTALL} --upgrade",
        )
    if numbers >= UNTRIED:
        import logging

        logging.getLogger("chainrule").warning(
            f"jax {version} is newer than the versions that chainrule was tested with "
            f"({OLDEST[0]}.{OLDEST[1]} to {UNTRIED[0]}.{UNTRIED[1] - 1})."
        )


def _keep_quiet() -> None:
    """No log lines of the runtime about CPUs and GPUs that are not there."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")


def has_processes() -> bool:
    """Whether this process is one of several; no import of JAX."""
    jax = sys.modules.get("jax")
    return jax is not None and jax.distributed.is_initialized()


def is_loss_of_a_process(error: BaseException) -> bool:
    """Whether JAX reports that another process has gone."""
    text = str(error)
    return any(
        word in text for word in ("Gloo", "coordination service", "Connection reset by peer")
    )


def available(platform: str | None = None) -> list[Any]:
    """JAX's devices of a platform; without one, those that JAX would take.

    Raises:
        ConfigError: no platform is called so.
        BuildError: there is none of this platform, or JAX does not start.
    """
    jax = load()
    if platform is not None and platform not in PLATFORMS:
        raise ConfigError("Unknown device.", expected=", ".join(PLATFORMS), found=repr(platform))
    try:
        return list(jax.devices(platform))
    except RuntimeError as error:
        if platform is None:
            raise BuildError(
                "JAX finds no device that works.", found=str(error).partition("\n")[0][:300],
                hint="Set JAX_PLATFORMS=cpu to go on without an accelerator.",
            ) from None  # fmt: skip
        raise BuildError(
            f"JAX finds no {platform.upper()} on this machine.",
            found=", ".join(sorted({d.platform for d in jax.devices()})),
            hint=_INSTALL_FOR[platform],
        ) from None


_INSTALL_FOR = {
    "cpu": "Unset JAX_PLATFORMS, which keeps JAX from the processor.",
    "gpu": "For NVIDIA: pip install 'jax[cuda13]'; without a GPU omit --device gpu.",
    "tpu": "On a TPU machine: pip install 'jax[tpu]'; elsewhere omit --device tpu.",
}


@functools.cache
def has_accelerator() -> bool:
    """Whether JAX is installed and has a GPU or TPU; quick where neither can be."""
    if not is_installed() or not _may_have_accelerator():
        return False
    try:
        return available()[0].platform != "cpu"
    except (BuildError, ConfigError):
        return False


def may_use_only_processors() -> bool:
    """Whether JAX, as it is installed and told, has no other devices."""
    return not _may_have_accelerator()


def _may_have_accelerator() -> bool:
    """Whether a package that brings JAX to an accelerator is installed: no import of JAX."""
    asked = os.environ.get("JAX_PLATFORMS", "")
    if asked and set(asked.split(",")) <= {"cpu"}:
        return False
    plugins = ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm7_plugin", "jax_rocm60_plugin",
               "libtpu")  # fmt: skip
    return any(importlib.util.find_spec(name) is not None for name in plugins)
