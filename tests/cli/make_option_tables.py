"""Write the tables of options in docs/command_line.md from where the options are declared.

python tests/cli/make_option_tables.py
"""

from __future__ import annotations

import re
from pathlib import Path

from chainrule.cli.options import OPTIONS
from chainrule.tasks.options import DATA, NETWORK, TRAINING

PAGE = Path(__file__).parents[2] / "docs" / "command_line.md"


def table(panel: str) -> str:
    """The options of a group, a row each."""
    rows = []
    for name, option in OPTIONS.items():
        said = option.first
        if said.panel == panel:
            first, *others = said.metavar.split("|")
            names = [f"--{name} {first}".rstrip(), *others]
            shown = " or ".join(f"`{each}`" for each in names)
            shown += f", `-{said.short}`" if said.short else ""
            meaning = option.help.rstrip(".").replace("|", r"\|")
            rows.append(f"| {shown} | {meaning} |")
    return "\n".join(["| option | meaning |", "|---|---|", *rows])


def filled(text: str) -> str:
    """The page with its tables as they should be."""
    for panel in (DATA, NETWORK, TRAINING):
        head = f"### Options of {panel[0].lower() + panel[1:]}\n\n"
        before, found, after = text.partition(head)
        assert found, panel
        text = before + head + table(panel) + "\n\n" + re.sub(r"^(\|.*\n)+\n?", "", after)
    return text


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
