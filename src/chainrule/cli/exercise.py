"""``chainrule exercise``: numbers to be computed by hand, with their solution."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from .console import note, show
from .error_handling import Debug


def exercise(
    demo: Annotated[
        str, typer.Option(help="The network: neuron, houses, 2-2-2 or xor.", metavar="NAME")
    ] = "houses",
    blanks: Annotated[int, typer.Option(help="How many numbers are left out.", min=1)] = 6,
    seed: Annotated[int, typer.Option(help="Another one leaves out other numbers.")] = 0,
    lr: Annotated[
        float | None,
        typer.Option(help="Another learning rate.", metavar="RATE", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            show_default=False,
            help="The worksheet: .md, .tex or .ipynb; default: exercise_DEMO_SEED.md.",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write an exercise in backpropagation: a worksheet with blanks, and its solution.

    Example: chainrule exercise --demo houses --blanks 6 --seed 17
    """  # fmt: skip
    from ..learn import make_exercise
    from ..learn.worksheet import FORMATS, solution, worksheet
    from ..utils.files import write_atomically

    path = out or Path(f"exercise_{demo}_{seed}.md")
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(
            "Unknown format of a worksheet.",
            where=str(path),
            expected=f"a file name that ends in {', '.join(FORMATS)}",
            found=path.suffix or "no extension",
        )
    options: dict[str, Any] = {} if lr is None else {"lr": lr}
    made = make_exercise(demo, blanks, seed, **options)
    format = FORMATS[path.suffix.lower()]
    solved = path.with_name(f"{path.stem}_solution{path.suffix}")
    write_atomically(path, worksheet(made, format).encode())
    write_atomically(solved, solution(made, format).encode())
    show(str(path))
    show(str(solved))
    note(f"Fill in the answers, then: chainrule grade {path}")
