"""The backend as others see it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from ....errors import ConfigError
from ...ir.graph import Graph
from ..base import BuildError, Executable, precision_of
from . import library
from .placement import SHARDINGS, Placement


class XlaBackend:
    """Programs of XLA, through JAX; neither is imported before the first one is built.

    Args:
        device: "cpu", "gpu" or "tpu"; None for the best that JAX has.
        devices: how many, over which batches are split; None for one, or with several processes
            for all of them.
        precision: "float32", or "bfloat16" ("bf16"): products of float32 operands are computed in
            bfloat16, with sums and variables in float32.
        sharding: "replicated", "fsdp" for variables spread over the devices, or "tensor" for
            matrices, and with them the work of each row, spread over the devices.

    Raises:
        ConfigError: an option is none of these.
    """

    name = "xla"
    is_instant = True  # XLA compiles at the first call, for the devices that the inputs are on

    def __init__(
        self,
        device: str | None = None,
        devices: int | None = None,
        precision: str = "float32",
        sharding: str = "replicated",
    ) -> None:
        if device is not None and device not in library.PLATFORMS:
            raise ConfigError("Unknown device.", expected=", ".join(library.PLATFORMS),
                              found=repr(device))  # fmt: skip
        if sharding not in SHARDINGS:
            raise ConfigError("Unknown sharding.", expected=", ".join(SHARDINGS),
                              found=repr(sharding))  # fmt: skip
        if devices is not None and devices < 1:
            raise ConfigError("devices must be positive.", found=str(devices))
        self.placement = Placement(device, devices, precision_of(precision), sharding)

    @property
    def parts(self) -> int:
        """Over how many devices a batch is split; one where JAX does not start."""
        try:
            return self.placement.parts
        except BuildError:
            return 1

    def build(
        self,
        graph: Graph,
        donated: Mapping[int, int],
        guards: Sequence[int],
        runs: int | None = None,
    ) -> Executable:
        """A program.

        Raises:
            BuildError: JAX is missing or does not start, or finds no such device.
            ConfigError: there are not as many devices.
        """
        library.load()
        _ = self.placement.mesh  # an error here and now, if there are no such devices
        from .program import XlaProgram

        return XlaProgram(graph, donated, guards, _memory(self.placement))


@functools.cache
def _memory(placement: Placement):  # type: ignore[no-untyped-def]
    from .memory import DeviceMemory

    return DeviceMemory(placement)
