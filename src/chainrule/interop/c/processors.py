"""The processors that exported C is written for: any, or those with vectors of one kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import unknown


@dataclass(frozen=True)
class Processor:
    """What a program is written for.

    Attributes:
        about: which processors have it, in a few words.
        flags: with which gcc and clang make programs for it.
        needs: a condition of the preprocessor that holds then; empty of any.
        compiler: a command that makes an object file for it, but for the file.
        kernels: one of `engine.backends.c.kernels.cpu.PORTABLE`.
    """

    about: str
    flags: tuple[str, ...]
    needs: str
    compiler: str
    kernels: str


#: By the words of ``--plain``, ``--neon`` and ``--avx2``.
PROCESSORS: Mapping[str, Processor] = {
    "plain": Processor("any processor, any C99 compiler", (), "",
        "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard -Os", "plain",
    ),
    "neon": Processor(
        "64-bit Arm processors, by gcc or clang", (), "defined __ARM_NEON",
        "aarch64-linux-gnu-gcc -O3", "neon",
    ),
    "avx2": Processor(
        "x86 processors with AVX2 and FMA (since about 2013), by gcc or clang",
        ("-mavx2", "-mfma"), "defined __AVX2__ && defined __FMA__",
        "gcc -O3 -mavx2 -mfma", "avx2",
    ),
}  # fmt: skip


def check_processor(name: str) -> str:
    """The name, if there is a processor of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in PROCESSORS:
        raise unknown("processor", name, PROCESSORS)
    return name


def guard(name: str) -> str:
    """Lines with which a compiler refuses a program that is not for its processor."""
    found = PROCESSORS[name]
    if not found.needs:
        return ""
    how = f"compile with {' '.join(found.flags)}" if found.flags else "use a compiler for these"
    return (
        f'#if !({found.needs})\n#error "this is for {found.about}: {how}"\n#endif\n'
        '#pragma GCC diagnostic ignored "-Wpedantic" /* vectors are extensions of C */'
    )
