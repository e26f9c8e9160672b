"""What graphs can run on."""

from __future__ import annotations

import platform as machine
from typing import Any, NamedTuple

from . import library


class Device(NamedTuple):
    """A processor or accelerator.

    Attributes:
        platform: "cpu", "gpu" or "tpu": what ``--device`` takes.
        number: among those of the platform.
        kind: what its maker calls it.
        memory: in bytes; None if it is not known.
    """

    platform: str
    number: int
    kind: str
    memory: int | None


def devices() -> list[Device]:
    """The devices of the backend "xla": accelerators first, the processor last.

    Without JAX it is the processor alone. With several processes, the devices of all of them.

    Example:
        >>> import chainrule as cr
        >>> cr.devices()[-1].platform
        'cpu'
    """
    if not library.is_installed():
        return [Device("cpu", 0, machine.machine(), None)]
    found = list(library.available())
    if found[0].platform != "cpu":
        found += library.available("cpu")
    return [_described(device) for device in found]


def _described(device: Any) -> Device:
    own = device.process_index == library.load().process_index()
    stats = (device.memory_stats() if own else None) or {}
    return Device(device.platform, int(device.id), device.device_kind, stats.get("bytes_limit"))
