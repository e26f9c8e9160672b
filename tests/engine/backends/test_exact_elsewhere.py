"""Steps of trainings have the same bits on other processors: cross compilers and QEMU."""

import shutil
from dataclasses import replace

import pytest

from chainrule.engine.backends.c.kernels.cpu import TARGETS

from .same_bits import assert_same_bits, need_x86
from .test_exact import recorded, samples

PLAIN = TARGETS["plain"]
#: Compiler, what runs its programs, the target of kernels, the order of bytes.
ELSEWHERE = {
    "NEON": ("aarch64-linux-gnu-gcc", "qemu-aarch64", TARGETS["neon"], "<"),
    "plain C on AArch64": ("aarch64-linux-gnu-gcc", "qemu-aarch64", PLAIN, "<"),
    "plain C on RISC-V": ("riscv64-linux-gnu-gcc", "qemu-riscv64", PLAIN, "<"),
    "big-endian PowerPC": ("powerpc64-linux-gnu-gcc", "qemu-ppc64", PLAIN, ">"),
    # It has no fused multiply-add.
    "big-endian MIPS": ("mips-linux-gnu-gcc", "qemu-mips", replace(PLAIN, exact=True), ">"),
}

pytestmark = pytest.mark.nightly


@pytest.mark.parametrize("name", samples())
@pytest.mark.parametrize("place", ELSEWHERE)
def test_steps_of_trainings_have_the_same_bits(place, name, tmp_path):
    need_x86()
    compiler, runner, target, order = ELSEWHERE[place]
    for tool in (compiler, runner):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")
    call = recorded(name)
    found = call.elsewhere(tmp_path, [compiler, "-static"], [runner], target, order)
    assert_same_bits(found, call.found)
