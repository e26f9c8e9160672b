"""The map of the package: who may import whom, no circles, and how light the entrance is."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import chainrule

PACKAGE = Path(chainrule.__file__).parent
ROOT = Path(__file__).parents[1]

#: From the ground up: a part imports only from its own layer or from those before it. A part is a
#: file or a folder; the longest path counts.
LAYERS = [
    {"errors"},
    {"utils"},
    {"drawing"},
    {"engine/ir"},
    {"engine/source_info", "engine/overwriting"},
    {"engine", "engine/tensor", "engine/pytree", "engine/closure"},
    {"engine/ops"},
    {"engine/vmap"},
    {"engine/autodiff", "engine/batch_independence"},
    {"engine/implicit", "engine/distributions"},
    {"engine/passes"},
    {"engine/backends", "engine/nan_debug"},
    {"engine/compile"},
    {"engine/gradcheck"},
    {"nn"},
    {"losses", "metrics", "models"},
    {"optim"},
    {"data"},
    {"serialization"},
    {"training"},
    {"doctor"},
    {"tasks"},
    {"tasks/tabular", "tasks/text", "tasks/timeseries"},
    {"tasks/media"},
    {"tasks/images", "tasks/audio"},
    {"tasks/sequence_to_text"},
    {"explain", "interop", "report", "rl"},
    {"learn"},
    {"evolve"},
    {"public"},
    {"cli"},
    {"__main__", "__init__"},
]
LAYER = {part: number for number, parts in enumerate(LAYERS) for part in parts}


def part_of(module: str) -> str:
    """The part of the map that a module such as ``engine/ops/shape`` belongs to."""
    names = module.split("/")
    known = ("/".join(names[:count]) for count in range(len(names), 0, -1))
    return next(part for part in known if part in LAYER)


def modules() -> dict[str, Path]:
    """The files of the package by module; a folder stands for its ``__init__``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).with_suffix("").as_posix()
        found[name.removesuffix("/__init__")] = path
    return found


MODULES = modules()


def imports_of(module: str) -> set[str]:
    """The modules that a module imports, inside functions and for type checkers, too."""
    path = MODULES[module]
    package = ["chainrule", *path.relative_to(PACKAGE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = [*base, *(node.module or "").split(".")] if node.module else base
            if source[:1] == ["chainrule"]:
                inside = [["/".join([*source[1:], alias.name])] for alias in node.names]
                place = "/".join(source[1:]) or "__init__"
                found |= {name if name in MODULES else place for (name,) in inside}
        elif isinstance(node, ast.Import):
            parts = [alias.name.split(".") for alias in node.names]
            found |= {"/".join(part[1:]) for part in parts if part[0] == "chainrule" and part[1:]}
    return found - {module, "__init__"}  # the package itself is imported before all others


@functools.cache
def imports() -> dict[str, set[str]]:
    """All of them."""
    return {module: imports_of(module) for module in MODULES}


def test_every_part_has_its_layer():
    for module in MODULES:
        assert part_of(module) in LAYER
    empty = {part for part in LAYER if not any(part_of(module) == part for module in MODULES)}
    assert not empty


def test_imports_point_only_downwards():
    wrong = [
        f"{module} imports {name}"
        for module, names in imports().items()
        for name in sorted(names)
        if LAYER[part_of(name)] > LAYER[part_of(module)]
    ]
    assert not wrong, "\n".join(wrong)


def test_there_are_no_circles():
    """No file imports another one that needs it, not even inside a function."""
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def arrows(rooms: dict[str, str]) -> dict[str, set[str]]:
    """Which room imports which, with the room of every module."""
    found: dict[str, set[str]] = {}
    for module, names in imports().items():
        if module in rooms:
            others = {rooms[name] for name in names if name in rooms} - {rooms[module]}
            found.setdefault(rooms[module], set()).update(others)
    return found


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = list(graph.get(start, ()))
    while waiting:
        room = waiting.pop()
        if room not in found:
            found.add(room)
            waiting += graph.get(room, ())
    return found


def pictures() -> list[dict[str, set[str]]]:
    """The arrows of the pictures in the documentation."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found = []
    for picture in re.findall(r"```mermaid\n(.*?)```", page, re.DOTALL):
        drawn: dict[str, set[str]] = {}
        for start, end in re.findall(r"^ *(\w+) --> (\w+)$", picture, re.MULTILINE):
            drawn.setdefault(start, set()).add(end)
        found.append(drawn)
    return found


PACKAGE_ROOMS = {name: name.split("/")[0] for name in MODULES if not name.startswith("__")}
ENGINE_ROOMS = {name: name.split("/")[1] for name in MODULES if name.startswith("engine/")}


@pytest.mark.parametrize(
    ("number", "rooms"), [(0, PACKAGE_ROOMS), (1, ENGINE_ROOMS)], ids=["package", "engine"]
)
def test_the_map_in_the_documentation_is_true(number, rooms):
    drawn, real = pictures()[number], arrows(rooms)
    assert set(drawn) | {end for ends in drawn.values() for end in ends} == set(rooms.values())
    invented = [(a, b) for a, ends in drawn.items() for b in ends if b not in real.get(a, ())]
    assert not invented, f"drawn, but not imported: {invented}"
    missing = [(a, b) for a, ends in real.items() for b in ends - reachable(drawn, a)]
    assert not missing, f"imported, but not drawn: {missing}"


def test_the_top_level_is_short():
    entries = {path.name for path in PACKAGE.iterdir() if not path.name.startswith("__pycache__")}
    assert len(entries) <= 24, sorted(entries)


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_library_does_not_load_what_only_tables_and_terminals_need():
    loaded = modules_after("import chainrule as cr; cr.tensor([1.0]); cr.nn.Linear(1, 1)")
    assert not loaded & {"polars", "typer", "rich", "pandas", "torch", "jax"}


def test_the_command_line_answers_without_numpy():
    loaded = modules_after("import chainrule.cli.train")
    assert not loaded & {"numpy", "polars", "safetensors", "rich"}
