"""On which devices a program runs, and how its arrays are laid out over them.

The devices form a mesh of two axes: ``data``, along which the rows of a batch are split, and
``model``, along which matrices are. XLA derives from these layouts what every device computes and
what they exchange: the numbers are those of one device but for rounding.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ....errors import ConfigError
from ....utils.typing import Array
from . import library

#: How variables are laid out: on every device, or spread over the devices of an axis.
SHARDINGS = ("replicated", "fsdp", "tensor")
#: Variables with fewer numbers stay on every device: what is saved is less than what is sent.
_SMALL = 2**10


class Placement(NamedTuple):
    """Where programs run; equal ones share their memory.

    Attributes:
        platform: "cpu", "gpu" or "tpu"; None for the one that JAX would take.
        devices: how many; None for one, or with several processes for all.
        precision: "float32", or "bfloat16" for products of float32 operands.
        sharding: of variables; "tensor" splits matrices along the axis ``model``.
    """

    platform: str | None = None
    devices: int | None = None
    precision: str = "float32"
    sharding: str = "replicated"

    @property
    def narrow(self) -> bool:
        """Whether products take bfloat16 operands."""
        return self.precision == "bfloat16"

    @property
    def mesh(self) -> Any:
        """The devices."""
        return _mesh(self.platform, self.devices, self.sharding)

    @property
    def size(self) -> int:
        """How many devices there are."""
        return int(self.mesh.devices.size)

    @property
    def parts(self) -> int:
        """Into how many parts a batch is split."""
        if self.devices in (None, 1) and not library.has_processes():
            return 1
        return int(self.mesh.shape["data"])

    @property
    def processes(self) -> int:
        """How many processes take part."""
        return int(library.load().process_count())

    @property
    def bytes_limit(self) -> int | None:
        """The memory of a device of this process, if it is known."""
        stats = self.mesh.local_devices[0].memory_stats() or {}
        found: int | None = stats.get("bytes_limit")
        return found

    @property
    def everywhere(self) -> Any:
        """The layout of what every device has as a whole."""
        from jax.sharding import PartitionSpec

        return PartitionSpec()

    def spec_of_variable(self, shape: Sequence[int]) -> Any:
        """How a variable of this shape is laid out: a function of its shape only."""
        from jax.sharding import PartitionSpec

        if self.sharding == "replicated" or math.prod(shape) < _SMALL:
            return PartitionSpec()
        axis = "model" if self.sharding == "tensor" else "data"
        size = self.mesh.shape[axis]
        fitting = [i for i, extent in enumerate(shape) if extent % size == 0]
        if not fitting:
            return PartitionSpec()
        # Of equal extents the last one: the outputs of a layer.
        widest = max(fitting, key=lambda i: (shape[i], i))
        return PartitionSpec(*(axis if i == widest else None for i in range(len(shape))))

    def spec_of_rows(self, rows: int, lead: int = 0) -> Any:
        """How a batch of so many rows is laid out, with ``lead`` axes before that of the rows."""
        from jax.sharding import PartitionSpec

        if not self.splits(rows):
            return PartitionSpec()
        return PartitionSpec(*(None,) * lead, "data")

    def splits(self, rows: int) -> bool:
        """Whether a batch of so many rows is split over the devices."""
        return rows > 0 and self.parts > 1 and rows % self.parts == 0

    @property
    def exchanges_each_sum(self) -> bool:
        """Whether XLA lets devices exchange sums over rows one by one, which takes long.

        On accelerators it does not. Where variables are spread, so are the sums, and it must.
        """
        on_processors = self.mesh.devices.flat[0].platform == "cpu"
        return on_processors and self.sharding == "replicated"

    def own_rows(self, rows: int) -> Array:
        """(rows,) which rows of a batch the devices of this process compute."""
        own = np.zeros(rows, bool)
        layout = self.layout(self.spec_of_rows(rows))
        for (part,) in layout.addressable_devices_indices_map((rows,)).values():
            own[part] = True
        return own

    def layout(self, spec: Any) -> Any:
        """A sharding over these devices."""
        from jax.sharding import NamedSharding

        return NamedSharding(self.mesh, spec)

    def put(self, array: Array, spec: Any) -> Any:
        """A copy of an array on the devices, which nobody else sees."""
        jax = library.load()
        with library.settings():
            if self.processes > 1:
                return jax.make_array_from_callback(
                    array.shape, self.layout(spec), lambda index: np.array(array[index])
                )
            # The device of a processor may show this very array.
            return jax.device_put(np.array(array, order="C"), self.layout(spec))

    def fetch(self, array: Any) -> Array:
        """A copy of what is on the devices; with several processes, all must ask for it."""
        if not array.is_fully_addressable:
            if not array.is_fully_replicated:
                with library.settings():
                    array = _replicated(self.layout(self.everywhere))(array)
            array = array.addressable_data(0)
        return np.array(array, order="C")


@functools.cache
def _replicated(layout: Any) -> Any:
    return library.load().jit(lambda x: x, out_shardings=layout)


@functools.cache
def _mesh(platform: str | None, devices: int | None, sharding: str) -> Any:
    jax = library.load()
    found = library.available(platform)
    count = len(found) if jax.process_count() > 1 else devices or 1
    if not 1 <= count <= len(found) or (devices or count) != count:
        raise ConfigError(
            "There are not as many devices.",
            expected=f"1 to {len(found)} {found[0].platform} devices",
            found=f"{devices} asked for",
            hint="To try several devices on a processor, set "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={devices}."
            if found[0].platform == "cpu"
            else "cr.devices() lists them.",
        )
    if sharding not in SHARDINGS:
        raise ConfigError("Unknown sharding.", expected=", ".join(SHARDINGS), found=repr(sharding))
    grid = (1, count) if sharding == "tensor" else (count, 1)
    kind = (jax.sharding.AxisType.Auto,) * 2
    return jax.sharding.Mesh(np.array(found[:count]).reshape(grid), ("data", "model"), kind)
