"""The house: who may import whom, and how light the entrance is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import chainrule

PACKAGE = Path(chainrule.__file__).parent

#: From the ground up: a part imports only from its own floor or from those before it.
FLOORS = [
    {"errors"},
    {"files"},
    {"ir"},
    {"provenance", "background"},
    {"tensor", "tree", "capture"},
    {"ops"},
    {"differentiate", "gradient_check"},
    {"passes"},
    {"backends", "numerics"},
    {"compile"},
    {"nn"},
    {"losses", "metrics", "models", "active"},
    {"optim"},
    {"any_rows", "apart", "data"},
    {"model_file"},
    {"train"},
    {"kinds"},
    {"series", "tables", "text"},
    {"media"},
    {"images", "audio"},
    {"explain"},
    {"runs"},
    {"public"},
    {"cli"},
    {"__main__", "__init__"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    """The parts of the package that a file imports, those for type checkers included."""
    package = ["chainrule", *path.relative_to(PACKAGE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module or "").split(".")] if node.module else base
            if module[:1] == ["chainrule"]:
                names = [module[1]] if len(module) > 1 else [alias.name for alias in node.names]
                found |= {name for name in names if name in FLOOR}
        elif isinstance(node, ast.Import):
            parts = [alias.name.split(".") for alias in node.names]
            found |= {part[1] for part in parts if part[0] == "chainrule" and len(part) > 1}
    return found


def test_every_part_has_its_floor():
    parts = {part_of(path) for path in PACKAGE.rglob("*.py")}
    assert parts <= set(FLOOR)


def test_imports_point_only_downwards():
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in imported_parts(path)
        if FLOOR[name] > FLOOR[part_of(path)]
    ]
    assert not wrong, "\n".join(wrong)


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_library_does_not_load_what_only_tables_and_terminals_need():
    loaded = modules_after("import chainrule as cr; cr.tensor([1.0]); cr.nn.Linear(1, 1)")
    assert not loaded & {"polars", "typer", "rich", "pandas", "torch", "jax"}


def test_the_command_line_answers_without_numpy():
    loaded = modules_after("import chainrule.cli")
    assert not loaded & {"numpy", "polars", "safetensors"}
