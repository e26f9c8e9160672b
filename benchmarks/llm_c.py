"""A step of GPT-2 124M by llm.c, to be put beside `benchmarks.networks --network GPT-2`.

    git clone https://github.com/karpathy/llm.c
    .bench/bin/python -m benchmarks.llm_c llm.c

Its program is built as its Makefile does, and gets weights of the same sizes, drawn at random, and
random words: speed does not depend on them. Nothing in the checkout is changed.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np

_MODEL_MAGIC, _MODEL_VERSION = 20240326, 3
_DATA_MAGIC, _DATA_VERSION = 20240520, 1
#: maxT, vocabulary, layers, heads, width, padded vocabulary of GPT-2 124M.
_SIZES = (1024, 50257, 12, 12, 768, 50304)


def write_model(file: Path) -> None:
    """A checkpoint: 256 integers, then the float32 weights."""
    time, _, layers, _, width, vocabulary = _SIZES
    header = np.zeros(256, np.int32)
    header[:8] = _MODEL_MAGIC, _MODEL_VERSION, *_SIZES
    block = 12 * width**2 + 13 * width
    count = (vocabulary + time + 2) * width + layers * block
    random = np.random.default_rng(0)
    with file.open("wb") as out:
        header.tofile(out)
        (random.standard_normal(count, dtype=np.float32) * np.float32(0.02)).tofile(out)


def write_words(file: Path) -> None:
    """Words for a hundred steps: 256 integers, then 16 bits each."""
    words = np.random.default_rng(1).integers(_SIZES[1], size=4 * 64 * 100 + 1)
    header = np.zeros(256, np.int32)
    header[:3] = _DATA_MAGIC, _DATA_VERSION, len(words)
    with file.open("wb") as out:
        header.tofile(out)
        words.astype(np.uint16).tofile(out)


def main() -> None:
    """Build, run until some steps are timed, print their median."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--steps", type=int, default=9)
    options = parser.parse_args()
    source = (options.checkout / "train_gpt2.c").resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flags = "-Ofast -march=native -fno-finite-math-only -Wno-unused-result -fopenmp -DOMP"
        program = folder / "train_gpt2"
        command = ["cc", *flags.split(), str(source), "-lm", "-lgomp", "-o", str(program)]
        subprocess.run(command, check=True)
        write_model(folder / "gpt2_124M.bin")
        words = folder / "dev/data/tinyshakespeare"
        words.mkdir(parents=True)
        for part in ("train", "val"):
            write_words(words / f"tiny_shakespeare_{part}.bin")
        environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
        running = subprocess.Popen(
            ["stdbuf", "-oL", str(program)], cwd=folder, env=environment,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert running.stdout is not None
        took: list[float] = []
        for line in running.stdout:
            found = re.match(r"step \d+: .* \(took ([\d.]+) ms\)", line)
            took += [float(found[1])] if found else []
            if len(took) > options.steps:
                break
        running.kill()
        running.wait()
    print(f"llm.c: {statistics.median(took[1:]):,.0f} ms a step, median of {len(took) - 1}")


if __name__ == "__main__":
    main()
