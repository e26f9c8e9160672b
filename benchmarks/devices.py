"""Exported C on simulated microcontrollers: flash, RAM and instructions of a call.

    python -m benchmarks.devices                     # a table in Markdown
    python -m benchmarks.devices --emlearn PYTHON    # beside emlearn, of that interpreter

needs arm-none-eabi-gcc with newlib, and qemu-system-arm. Flash is code and constants of the model's
own object file (-Os), with what it needs of libm in brackets. RAM is arena and state, as announced
by the header; peers keep theirs on the stack or in arrays of their own. Instructions are counted by
QEMU (-icount), whose clock goes on by a nanosecond with each; the board's timer counts every 40th.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr

CORTEX = Path(__file__).parents[1] / "tests" / "interop" / "cortex"
#: Board of QEMU, and flags of the compiler.
DEVICES = {
    "Cortex-M0+": ("mps2-an385", ("-mcpu=cortex-m0plus", "-mfloat-abi=soft")),
    "Cortex-M4F": ("mps2-an386", ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")),
    "Cortex-M7": ("mps2-an500", ("-mcpu=cortex-m7", "-mfpu=fpv5-d16", "-mfloat-abi=hard")),
}
#: Instructions of a tick of the board's timer.
_TICK = 40
_TIMER_C = """
#include <stdint.h>
#include <stdio.h>
#define TICKS (*(volatile uint32_t *)0xE000E018u)
static void timer(void)
{
  *(volatile uint32_t *)0xE000E014u = 0xFFFFFFu;
  TICKS = 0;
  *(volatile uint32_t *)0xE000E010u = 5u;
}
"""
_PRINT = '  printf("ticks %lu\\n", (unsigned long)((before - TICKS) & 0xFFFFFFu));'


def models() -> dict[str, Callable[[], tuple[Any, Any, Any]]]:
    """Module, example of inputs, classes; the cost does not depend on the weights."""
    nn = cr.nn
    digits = list("0123456789")
    return {
        "sine, 1-16-16-1": lambda: (
            cr.models.mlp(1, 1, (16, 16)), np.zeros((2, 1), np.float32), None),
        "digits, CNN 28 × 28": lambda: (
            cr.models.lenet(10, 1, 28, (6, 16), 64), np.zeros((2, 28, 28, 1), np.float32), digits),
        "keywords, CNN 49 × 40": lambda: (
            nn.Sequential(
                nn.Conv2d(1, 8, (10, 8), stride=2, padding="same"), nn.ReLU(), nn.Flatten(),
                nn.Linear(25 * 20 * 8, 4)),
            np.zeros((2, 49, 40, 1), np.float32), ["yes", "no", "silence", "unknown"]),
        "anomalies, autoencoder 64-32-8-32-64": lambda: (
            cr.models.autoencoder(64, 8, (32,)), np.zeros((2, 64), np.float32), None),
    }  # fmt: skip


def run(board: str, flags: tuple[str, ...], sources: list[Path], folder: Path) -> list[int]:
    """What a program prints on a board."""
    subprocess.run(
        ("arm-none-eabi-gcc", *flags, "-mthumb", "-Os", "-std=c99", "-specs=rdimon.specs",
         "-nostartfiles", "-ffunction-sections", "-Wl,--gc-sections", "-T",
         str(CORTEX / "board.ld"), *map(str, sources), str(CORTEX / "startup.c"), "-lm", "-o",
         "program.elf"),
        cwd=folder, check=True,
    )  # fmt: skip
    done = subprocess.run(
        ("qemu-system-arm", "-M", board, "-nographic", "-monitor", "none", "-serial", "none",
         "-semihosting", "-icount", "shift=0", "-kernel", "program.elf"),
        cwd=folder, capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    return [int(x) for x in re.findall(r"^ticks (\d+)$", done.stdout, re.MULTILINE)]


def flash(flags: tuple[str, ...], source: Path, folder: Path) -> int:
    """Bytes of code and constants of one file."""
    subprocess.run(("arm-none-eabi-gcc", *flags, "-mthumb", "-Os", "-std=c99", "-c", str(source),
                    "-o", "one.o"), cwd=folder, check=True)  # fmt: skip
    said = subprocess.run(("arm-none-eabi-size", "one.o"), cwd=folder, capture_output=True,
                          text=True, check=True).stdout  # fmt: skip
    text, data, *_ = said.splitlines()[1].split()
    return int(text) + int(data)


def ours(name: str, learns: bool, folder: Path) -> tuple[Any, str]:
    """Export a model; what it costs, and a program that measures its calls."""
    module, x, classes = models()[name]()
    file = folder / "m.safetensors"
    cr.save(file, module.initialize(seed=0), x, output=cr.softmax if classes else None,
            classes=classes)  # fmt: skip
    found = cr.export_c(file, out=folder, train=learns, learn=["last"])
    inputs, outputs = x[0].size, len(classes) if classes else module(x[:1]).size
    state = "&state, " if learns else ""
    lines = [_TIMER_C, '#include "model.h"', "static model_arena arena;",
             f"static float x[{inputs}], out[{outputs}];"]  # fmt: skip
    lines += ["static model_state state;"] * learns
    lines += ["int main(void)", "{", "  timer();"]
    lines += ["  model_init(&state);"] * learns
    lines += [f"  for (int i = 0; i < {inputs}; i++) x[i] = 0.01f * (float)(i % 100);",
              "  uint32_t before = TICKS;",
              f"  model_predict({state}x, out, &arena);",
              _PRINT]  # fmt: skip
    if learns:
        kind, count = ("int32_t", 1) if classes else ("float", outputs)
        lines += [f"  static {kind} y[{count}];", "  float loss[1];", "  before = TICKS;",
                  "  model_learn(&state, x, y, 0.01f, loss, &arena);",
                  _PRINT]  # fmt: skip
    (folder / "measure.c").write_text("\n".join([*lines, "  return 0;", "}", ""]))
    return found, str(folder / "measure.c")


def table() -> list[str]:
    """Rows of models and devices, as Markdown."""
    lines = ["| model | device | flash | RAM | instructions of a prediction "
             "| RAM, last layer learns | instructions of a step |",
             "|---|---|---:|---:|---:|---:|---:|"]  # fmt: skip
    for name in models():
        for device, (board, flags) in DEVICES.items():
            with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
                folder, other = Path(one), Path(two)
                found, source = ours(name, False, folder)
                (ticks,) = run(board, flags, [Path(source), folder / "model.c"], folder)
                size = flash(flags, folder / "model.c", folder)
                learns, source = ours(name, True, other)
                _, step = run(board, flags, [Path(source), other / "model.c"], other)
            lines.append(
                f"| {name} | {device} | {size:,} | {found.arena:,} | {ticks * _TICK:,} "
                f"| {learns.arena + learns.state:,} | {step * _TICK:,} |"
            )
            print(lines[-1], file=sys.stderr)
    return lines


# ---- beside emlearn ----

_EMLEARN = """
import sys, numpy as np, emlearn
from sklearn.neural_network import MLPRegressor, MLPClassifier
random = np.random.default_rng(0)
inputs, outputs, hidden = int(sys.argv[1]), int(sys.argv[2]), eval(sys.argv[3])
x = random.normal(size=(64, inputs))
y = np.arange(64) % outputs
made = MLPClassifier(hidden, max_iter=2).fit(x, y)
emlearn.convert(made, method="inline", dtype="float").save(file=sys.argv[4], name="net")
print(emlearn.includedir)
"""


def beside_emlearn(python: str) -> list[str]:
    """The same dense classifier by both, on a Cortex-M4F."""
    board, flags = DEVICES["Cortex-M4F"]
    lines = ["| network | by | flash | instructions of a prediction |", "|---|---|---:|---:|"]
    for sizes in ((4, (16,), 3), (16, (32, 16), 4), (64, (32, 8, 32), 10)):
        inputs, hidden, outputs = sizes
        name = "-".join(map(str, (inputs, *hidden, outputs)))
        with tempfile.TemporaryDirectory() as one:
            folder = Path(one)
            cr.save(folder / "m.safetensors", cr.models.mlp(inputs, outputs, hidden),
                    np.zeros((2, inputs), np.float32))  # fmt: skip
            cr.export_c(folder / "m.safetensors", out=folder)
            text = (
                f'{_TIMER_C}\n#include "model.h"\nstatic model_arena arena;\n'
                f"static float x[{inputs}], out[{outputs}];\nint main(void)\n{{\n  timer();\n"
                f"  for (int i = 0; i < {inputs}; i++) x[i] = 0.1f * (float)i;\n"
                "  const uint32_t before = TICKS;\n  model_predict(x, out, &arena);\n"
                f"{_PRINT}\n"
                "  return 0;\n}\n"
            )
            (folder / "measure.c").write_text(text)
            (ticks,) = run(board, flags, [folder / "measure.c", folder / "model.c"], folder)
            size = flash(flags, folder / "model.c", folder)
            lines.append(f"| {name} | chainrule | {size:,} | {ticks * _TICK:,} |")
            lines.append(_peer(python, folder, sizes, name))
    return lines


def _peer(python: str, folder: Path, sizes: tuple[int, tuple[int, ...], int], name: str) -> str:
    inputs, hidden, outputs = sizes
    board, flags = DEVICES["Cortex-M4F"]
    said = subprocess.run(
        (python, "-c", _EMLEARN, str(inputs), str(outputs), repr(hidden), str(folder / "net.h")),
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    include = said.strip().splitlines()[-1]
    net = '#include "net.h"\nint answer(const float *x);\n'
    net += f"int answer(const float *x) {{ return net_predict(x, {inputs}); }}\n"
    (folder / "net.c").write_text(net)
    text = (
        f"{_TIMER_C}\nint answer(const float *x);\nstatic float x[{inputs}];\nint main(void)\n{{\n"
        f"  timer();\n  for (int i = 0; i < {inputs}; i++) x[i] = 0.1f * (float)i;\n"
        "  const uint32_t before = TICKS;\n  const int found = answer(x);\n"
        f"{_PRINT}\n"
        "  return found < 0;\n}\n"
    )
    (folder / "peer.c").write_text(text)
    own = (*flags, f"-I{include}")
    (ticks,) = run(board, own, [folder / "peer.c", folder / "net.c"], folder)
    return f"| {name} | emlearn | {flash(own, folder / 'net.c', folder):,} | {ticks * _TICK:,} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--emlearn", metavar="PYTHON", help="an interpreter that has emlearn")
    chosen = parser.parse_args()
    print("\n".join(table()))
    if chosen.emlearn:
        print("\n" + "\n".join(beside_emlearn(chosen.emlearn)))


if __name__ == "__main__":
    main()
