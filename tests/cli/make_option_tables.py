"""Write the tables of options in docs/command_line.md from where the options are declared.

python tests/cli/make_option_tables.py
"""

from __future__ import annotations

import re
from pathlib import Path

from chainrule.cli.options import OPTIONS, Option, gathered
from chainrule.tasks.option_values import switch
from chainrule.tasks.options import DATA, NETWORK, TRAINING
from chainrule.tasks.update_options import UpdateOptions

PAGE = Path(__file__).parents[2] / "docs" / "command_line.md"


def table(options: dict[str, Option], panel: str | None) -> str:
    """The options of a group, or all, a row each."""
    rows = []
    for name, option in options.items():
        said = option.first
        if panel in (None, said.panel):
            first, *others = said.metavar.split("|")
            names = [f"--{name} {first}".rstrip(), *others]
            if said.read is switch:
                names = said.typed(name)
            shown = " or ".join(f"`{each}`" for each in names)
            shown += f", `-{said.short}`" if said.short else ""
            meaning = option.help.rstrip(".").replace("|", r"\|")
            rows.append(f"| {shown} | {meaning} |")
    return "\n".join(["| option | meaning |", "|---|---|", *rows])


def filled(text: str) -> str:
    """The page with its tables as they should be."""
    for panel in (DATA, NETWORK, TRAINING):
        text = with_table(text, f"### Options of {panel[0].lower() + panel[1:]}", OPTIONS, panel)
    return with_table(text, "### Options of an update", gathered({"": UpdateOptions}), None)


def with_table(text: str, title: str, options: dict[str, Option], panel: str | None) -> str:
    """The page with the table that follows a title."""
    before, found, after = text.partition(f"{title}\n\n")
    assert found, title
    return before + found + table(options, panel) + "\n\n" + re.sub(r"^(\|.*\n)+\n?", "", after)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
