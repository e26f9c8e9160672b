"""Exported C on other processors: cross compilers and QEMU, where they are installed; by night."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import chainrule as cr

from ..stored_runs.make_runs import RUNS
from ..test_stored_runs import unpack
from .running_c import STRICT

HERE = Path(__file__).parent
#: Board of QEMU, processor, floating-point unit.
CORTEX = {
    "Cortex-M0+": ("mps2-an385", "cortex-m0plus", ("-mfloat-abi=soft",)),
    "Cortex-M4F": ("mps2-an386", "cortex-m4", ("-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")),
    "Cortex-M7": ("mps2-an500", "cortex-m7", ("-mfpu=fpv5-d16", "-mfloat-abi=hard")),
}
#: Compiler, and what runs its programs.
USER = {
    "32-bit x86": (("gcc", "-m32", "-msse2", "-mfpmath=sse"), ()),
    "RISC-V": (("riscv64-linux-gnu-gcc", "-static"), ("qemu-riscv64",)),
    "big-endian MIPS": (("mips-linux-gnu-gcc", "-static"), ("qemu-mips",)),
    # Of 64 bits: the sine of Debian's library for 32 has an instruction that QEMU does not know.
    "big-endian PowerPC": (("powerpc64-linux-gnu-gcc", "-static"), ("qemu-ppc64",)),
    "AArch64": (("aarch64-linux-gnu-gcc", "-static"), ("qemu-aarch64",)),
    "AArch64 with --neon": (("aarch64-linux-gnu-gcc", "-static"), ("qemu-aarch64",)),
}

pytestmark = pytest.mark.nightly


def need(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")


def exported(name, folder, processor="plain", exact=False):
    cr.export_c(unpack(name, folder) / "run", out=folder / "c", train=True, learn=["last"],
                processor=processor, exact=exact)  # fmt: skip
    text = (folder / "c" / "README.md").read_text()
    return [
        line.strip() for line in re.search(r"It prints\n\n((?:    .*\n)+)", text)[1].splitlines()
    ]


def compare(said, promised):
    """The first lines are the reference's; then the loss falls."""
    lines = said.splitlines()
    for mine, theirs in zip(lines, promised, strict=False):
        name, _, number = theirs.rpartition(":")
        assert mine.startswith(name)
        if name != "class":
            size = abs(float(number))
            assert float(mine.rpartition(":")[2]) == pytest.approx(
                float(number), abs=1e-5 * size + 2e-6
            )
    losses = [float(line.rpartition(":")[2]) for line in lines if line.startswith("loss")]
    assert losses[1] <= losses[0]


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("processor", CORTEX)
def test_microcontrollers(processor, name, tmp_path):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    board, cpu, unit = CORTEX[processor]
    promised = exported(name, tmp_path)
    folder = tmp_path / "c"
    command = ("arm-none-eabi-gcc", f"-mcpu={cpu}", "-mthumb", *unit, *STRICT, "-Os",
               "-specs=rdimon.specs", "-nostartfiles", "-T", str(HERE / "cortex" / "board.ld"),
               "main.c", "model.c", str(HERE / "cortex" / "startup.c"), "-lm",
               "-o", "program.elf")  # fmt: skip
    subprocess.run(command, cwd=folder, check=True)
    done = subprocess.run(
        ("qemu-system-arm", "-M", board, "-nographic", "-monitor", "none", "-serial", "none",
         "-semihosting", "-kernel", "program.elf"),
        cwd=folder, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    compare(done.stdout, promised)


def test_a_new_class_is_learned_within_256_kb(tmp_path):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    pytest.importorskip("mlxtend")
    said = subprocess.run((sys.executable, "-m", "benchmarks.new_class", "--quick"),
                          cwd=HERE.parents[1], capture_output=True, text=True, timeout=900,
                          check=True).stdout  # fmt: skip
    found = re.search(r"RAM: ([\d,]+) bytes of arena, ([\d,]+) of state", said)
    arena, state = (int(n.replace(",", "")) for n in found.groups())
    assert arena + state < 256 * 1024
    before, after = ([int(n) for n in re.findall(r"\d+", line)] for line in said.splitlines()[-2:])
    assert before[2] == 0
    assert after[2] >= 0.7 * after[3]
    assert after[0] >= 0.7 * after[1]


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("processor", USER)
def test_other_processors(processor, name, tmp_path):
    command, runner = USER[processor]
    need(command[0], *runner)
    promised = exported(name, tmp_path, "neon" if "--neon" in processor else "plain")
    compare(said_by(command, runner, tmp_path / "c"), promised)


def said_by(command, runner, folder):
    """What an exported example prints."""
    line = (*command, *STRICT, "-O1", "main.c", "model.c", "-lm", "-o", "program")
    made = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if made.returncode and "-m32" in command:
        pytest.skip("gcc has no libraries for 32 bits")
    assert made.returncode == 0, made.stderr
    return subprocess.run((*runner, "./program"), cwd=folder, capture_output=True, text=True,
                          timeout=120, check=True).stdout  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("processor", USER)
def test_exact_programs_find_the_same_bits(processor, name, tmp_path):
    """Predictions and losses in every digit, beside x86 with fused multiply-adds."""
    command, runner = USER[processor]
    need(command[0], *runner)
    if "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("there is no AVX2 to compare with")
    vectors = "--neon" in processor
    said = []
    for kernels, how in (
        ("neon" if vectors else "plain", (command, runner)),
        ("avx2" if vectors else "plain", (("gcc", "-mavx2", "-mfma"), ())),
    ):
        folder = tmp_path / str(len(said))
        exported(name, folder, kernels, exact=True)
        main = folder / "c" / "main.c"
        main.write_text(re.sub(r"%\.\d[fg]", "%a", main.read_text()))
        said.append(said_by(*how, folder / "c"))
    assert said[0] == said[1]
    assert "0x" in said[0]
