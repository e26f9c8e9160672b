"""Many small images: how soon the training begins, how much memory it needs, how long it waits.

    python benchmarks/many_images.py FOLDER [--counts 10000,100000]

Makes PNG files of 32×32 pixels in ten classes below FOLDER (once; about 350 bytes each), and trains
one epoch on each number of them in a process of its own, by `chainrule.images` with its defaults.
10,000 decoded images stay in memory, 100,000 do not: they are read from the disk in every epoch.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.tasks.images import ImageOptions, train_images
from chainrule.training import Callback, Training


def make(folder: Path, count: int) -> Path:
    """``count`` images in FOLDER/count/class/: coarse noise whose red is that of the class."""
    from PIL import Image

    place = folder / str(count)
    generator = np.random.default_rng(0)
    for number in range(count):
        path = place / str(number % 10) / f"{number:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            pixels = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            pixels[:, :, 0] = number % 10 * 25
            Image.fromarray(pixels).resize((32, 32)).save(path, compress_level=1)
    return place


class FirstStep(Callback):
    """When the first step was done."""

    seconds = 0.0

    def __init__(self) -> None:
        self.begun = time.perf_counter()

    def on_step_end(self, trainer: Training, step: int, loss: float) -> None:
        """Remember the time of the first."""
        self.seconds = self.seconds or time.perf_counter() - self.begun


def measure(place: str) -> dict[str, Any]:
    """Train one epoch in this process."""
    first = FirstStep()
    options = ImageOptions(epochs=1)
    report = train_images(place, options, progress=False, callbacks=(first,)).report
    return {
        "images": sum(report["rows"].values()),
        "seconds to the first step": round(first.seconds, 1),
        "seconds": round(report["seconds"], 1),
        "fraction waiting": round(report["waited"], 4),
        "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "accuracy": report["metrics"]["accuracy"],
    }


def main() -> None:
    """Make the folders and measure each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--counts", default="10000,100000")
    parser.add_argument("--measure", action="store_true", help="FOLDER holds the classes")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(str(arguments.folder))), flush=True)
        return
    for count in map(int, arguments.counts.split(",")):
        place = make(arguments.folder, count)
        subprocess.run([sys.executable, __file__, "--measure", str(place)], check=True)


if __name__ == "__main__":
    main()
