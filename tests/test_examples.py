"""Every script in examples/ runs to its end, at a reduced size."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .nightly import by_night

SLOW = (
    "active_digits", "generative_digits", "speech", "pronunciation", "dates_and_numbers",
    "translation", "extraction",
)  # fmt: skip
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def _imported(script: Path) -> set[str]:
    """The packages that a script imports, in functions too; other scripts are none."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names - {other.stem for other in EXAMPLES}


def _programs(script: Path) -> list[str]:
    """The programs that a script runs: what it calls PROGRAMS."""
    for node in ast.parse(script.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PROGRAMS":
            return list(ast.literal_eval(node.value))
    return []


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize(
    "script",
    [by_night(script, unless=script.stem not in SLOW) for script in EXAMPLES],
    ids=lambda script: script.stem,
)
def test_it_runs(script: Path, tmp_path: Path) -> None:
    missing = [name for name in _imported(script) if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"without {', '.join(missing)}: pip install -e '.[examples]'")
    missing = [name for name in _programs(script) if shutil.which(name) is None]
    if missing:
        pytest.skip(f"without the program {', '.join(missing)}")
    done = subprocess.run(
        [sys.executable, str(script), "--quick"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if done.returncode == 77:  # its data are not there
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_each_is_in_the_documentation() -> None:
    root = Path(__file__).parents[1]
    pages = [root / "README.md", *(root / "docs").glob("*.md")]
    said = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert [each.name for each in EXAMPLES if f"examples/{each.name}" not in said] == []
