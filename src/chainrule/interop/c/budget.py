"""Whether a program fits into some RAM, and if not, what would."""

from __future__ import annotations

from dataclasses import replace

from ...errors import ConfigError
from ...serialization import SavedModel
from .learning import Learning
from .models import model_program
from .program import Program
from .text import lower


def ram_of(program: Program) -> int:
    """Bytes of arena and state."""
    return max(lower(program).arenas.values()) + program.state_bytes


def check_ram(
    program: Program, most: int, saved: SavedModel | None = None, name: str = "",
    learning: Learning | None = None,
) -> None:  # fmt: skip
    """Refuse a program that takes more RAM than there is, and say what would fit.

    Raises:
        ConfigError: it does not fit.
    """
    need = ram_of(program)
    if need <= most:
        return
    fits = [] if saved is None else _fitting(saved, name, learning, most, program.processor)
    arena = max(lower(program).arenas.values())
    raise ConfigError(
        "The program needs more RAM than there is.",
        expected=f"at most {most:,} bytes",
        found=f"{need:,} bytes: {arena:,} of arena, {program.state_bytes:,} of state",
        hint=f"This fits: {'; or '.join(fits)}." if fits else
        f"Train a smaller network, or allow more: --ram {need}.",
    )  # fmt: skip


def _fitting(
    saved: SavedModel, name: str, learning: Learning | None, most: int, processor: str
) -> list[str]:
    """Options with which it would fit, with the bytes that it then takes."""
    tried: dict[str, Learning | None] = {}
    if processor != "plain":
        tried["--plain"] = learning
    if learning is not None:
        if learning.optimizer != "sgd":
            tried["--optimizer sgd"] = replace(learning, optimizer="sgd")
        if learning.batch > 1:
            tried["--batch 1"] = replace(learning, batch=1)
            tried["--batch 1 --optimizer sgd"] = replace(learning, batch=1, optimizer="sgd")
        last = replace(learning, layers=("last",))
        tried["--learn last"] = last
        tried["--learn last --batch 1 --optimizer sgd"] = replace(last, batch=1, optimizer="sgd")
        tried["without --train"] = None
    found = []
    for words, choice in tried.items():
        program = model_program(saved, name, choice)[0]
        program.processor = "plain" if words == "--plain" else processor
        need = ram_of(program)
        if need <= most:
            found.append(f"{words} ({need:,} bytes)")
        if len(found) == 2:
            break
    return found
