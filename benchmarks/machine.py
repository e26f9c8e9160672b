"""What was measured on and with: processor, versions, sizes of installations."""

from __future__ import annotations

import importlib.metadata as metadata
import json
import os
import platform
import subprocess
from pathlib import Path

from packaging.requirements import Requirement


def description(threads: int) -> str:
    """One sentence, without the machine's name."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        named = {key.strip(): value.strip() for key, value in lines.items()}
        model = named.get("model name", model)
        widest = [f for f in ("avx512f", "avx2") if f in named.get("flags", "").split()]
        model += f" ({widest[0].upper()})" if widest else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True)
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}; "
        f"{threads} thread{'s' * (threads > 1)}; Python {platform.python_version()}; "
        f"{compiler.stdout.splitlines()[0]}"
    )


def versions(packages: list[str]) -> str:
    """Such as ``torch 2.13.0, jax 0.10.2``."""
    return ", ".join(f"{name} {metadata.version(name)}" for name in packages)


def installed_bytes(packages: str) -> int:
    """What some distributions, separated by spaces, and all that they need take on the disk.

    As recorded when they were installed, without the bytecode that Python makes of it.
    """
    needed: dict[str, metadata.Distribution] = {}
    waiting = packages.split()
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in needed:
            continue
        needed[name] = metadata.distribution(name)
        for line in needed[name].requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return sum(_bytes(distribution) for distribution in needed.values())


def _bytes(distribution: metadata.Distribution) -> int:
    record = json.loads(distribution.read_text("direct_url.json") or "{}")
    if record.get("dir_info", {}).get("editable"):  # recorded is only where its files are
        folder = Path(__file__).parents[1] / "src"
        files = (path for path in folder.rglob("*") if "__pycache__" not in path.parts)
        return sum(path.stat().st_size for path in files if path.is_file())
    return sum(file.size or 0 for file in distribution.files or [])
