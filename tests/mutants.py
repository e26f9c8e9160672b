"""Would a test notice? Small faults are put into the package, one at a time, and tests run.

    python tests/mutants.py --count 500 --seed 1        what `make mutants` runs
    python tests/mutants.py --count 20 src/chainrule/optim

A mutant is a module with one change: another comparison, another sign, a number that is one more, a
branch always taken, a statement left out. It lives in memory only. The tests nearest to its module
run against it, those of the same name first; where none fails, the mutant survives and is printed:
a change of the program that no test near to it notices.

Not changed is what no result depends on: messages and texts, the indentation of C, samples of
tests, what was tuned for speed (how much work is worth a thread, what is worth to be computed
again), whether an array is copied that is only read, and ``strict`` of a zip.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.abc
import importlib.machinery
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "chainrule"
#: What is mutated.
SUBJECTS = ("engine", "training", "optim")
#: Files and folders below tests/ for those below src/chainrule/ beside what mirrors them; the first
#: that is above a module counts.
NEAR = {
    "engine/backends/c": ("engine/backends",),
    "engine/backends": ("engine/backends/test_compiled.py", "engine/test_every_op.py"),
    "engine/ops": ("engine/ops", "engine/test_every_op.py", "test_references.py"),
    "engine/passes": (
        "engine/passes",
        "engine/ops/test_scan.py",
        "engine/backends/test_loops_in_c.py",
        "engine/backends/test_random_graphs.py",
    ),
    "engine/ir": ("engine/ir", "engine/test_*.py", "serialization/test_dynamic_batch.py"),
    "engine": ("engine/test_*.py", "engine/ops/test_scan.py", "serialization"),
    "optim": ("optim",),
    "training": ("training", "tasks/tabular/test_pipeline.py"),
}
#: These say little about others than their namesakes: they start programs of their own.
NOT_NEAR = ("test_toolchain.py", "test_sanitizers.py", "test_documentation", "test_autotune.py")
#: Nobody is to depend on what these do; samples are data of tests.
QUIET_FUNCTIONS = {"__repr__", "__str__", "__dir__", "reals", "integers"}
QUIET_CALLS = {"warning", "info", "debug", "warn", "print", "say", "Sample"}
#: Arguments and attributes that are only about speed, or check what is so by construction.
QUIET_NAMES = {"strict", "copy", "grain", "cost", "unit"}
#: Calls whose arguments after the first are depths of indentation, as is this variable plus 1.
INDENTED_CALLS = {"line", "_line"}
INDENTATION = "depth"
SYMMETRIC_CALLS = {
    *("max", "min", "maximum", "minimum", "logical_xor", "gcd", "zip"),
    *("isinstance", "hasattr", "getattr", "cast"),
}

_SHORTEST_LIMIT = 20.0

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.MatMult: ast.Mult,
}  # fmt: skip


@dataclass
class Mutant:
    """One change of one module: ``old`` at a place becomes ``new``."""

    path: Path
    start: int
    end: int
    line: int
    old: str
    new: str
    stage: int = 0
    killer: str = ""

    @property
    def module(self) -> str:
        names = self.path.relative_to(SOURCE).with_suffix("").parts
        return ".".join(names[:-1] if names[-1] == "__init__" else names)

    def source(self) -> bytes:
        text = self.path.read_bytes()
        return text[: self.start] + self.new.encode() + text[self.end :]

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.path.relative_to(ROOT)}:{self.line}: {old[:90]}  →  {new[:90]}"


class Mutator(ast.NodeVisitor):
    """Collects the mutants of a module."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_bytes()
        self.lines = [0, *itertools.accumulate(map(len, self.text.splitlines(keepends=True)))]
        self.found: list[Mutant] = []

    def _add(self, node: ast.expr | ast.stmt, new: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self.lines[node.lineno - 1] + node.col_offset
        end = self.lines[node.end_lineno - 1] + node.end_col_offset
        old = self.text[start:end].decode()
        if isinstance(node, ast.expr) and not isinstance(node, ast.Constant):
            new = f"({new})"
        self.found.append(Mutant(self.path, start, end, node.lineno, old, new))

    # ---- what is not mutated -----------------------------------------------------------------

    def visit_Raise(self, node: ast.Raise) -> None:
        self._add(node, "pass")  # messages are not mutated, but an error may be missing

    def visit_Assert(self, node: ast.Assert) -> None:
        pass

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        pass

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name not in QUIET_FUNCTIONS and "samples" not in node.name:
            for part in (*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body):
                self.visit(part)

    def visit_Assign(self, node: ast.Assign) -> None:
        name = ast.unparse(node.targets[0])
        parts, values = [name], [node.value]
        if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
            parts, values = list(map(ast.unparse, node.targets[0].elts)), node.value.elts
        for part, value in zip(parts, values, strict=True):
            self._visit_value(part, value, node.col_offset == 0)

    def _visit_value(self, name: str, value: ast.expr, top: bool) -> None:
        """What a name gets, unless it is a case of a sample, or is about speed or indentation."""
        tuned = top and name.isupper()
        if not tuned and name.rpartition(".")[2] not in QUIET_NAMES:
            self.visit(value)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in QUIET_NAMES:
            self.visit(node.value)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        call = node.elt
        if not (isinstance(call, ast.Call) and ast.unparse(call.func) == "Sample"):
            self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in node.body:
            self.visit(part)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._visit_value(ast.unparse(node.target), node.value, node.col_offset == 0)

    # ---- expressions -------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> None:
        for number, op in enumerate(node.ops):
            ops = [*node.ops[:number], COMPARISONS[type(op)](), *node.ops[number + 1 :]]
            self._add(node, ast.unparse(ast.Compare(node.left, ops, node.comparators)))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        sides = (node.left, node.right)
        texts = any(isinstance(s, ast.JoinedStr | ast.List | ast.Tuple) for s in sides)
        texts |= any(isinstance(s, ast.Constant) and not is_number(s) for s in sides)
        indented = isinstance(node.left, ast.Name) and node.left.id == INDENTATION
        texts |= indented and isinstance(node.right, ast.Constant)
        if not texts:
            other = ARITHMETIC[type(node.op)]()
            self._add(node, ast.unparse(ast.BinOp(node.left, other, node.right)))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self._add(node, ast.unparse(ast.BoolOp(other, node.values)))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub):
            self._add(node, ast.unparse(node.operand))
        if not isinstance(node.operand, ast.Constant):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._add(node, str(not node.value))
        elif is_number(node):
            self._add(node, repr(node.value + 1))

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in QUIET_CALLS or name.endswith(("Error", "Warning")):
            return
        if name in INDENTED_CALLS:
            for part in node.args[:1]:
                self.visit(part)
            return
        first = node.args[:2]
        plain = len(first) == 2 and not any(isinstance(a, ast.Starred) for a in first)
        if plain and name not in SYMMETRIC_CALLS and ast.dump(first[0]) != ast.dump(first[1]):
            swapped = ast.Call(node.func, [first[1], first[0], *node.args[2:]], node.keywords)
            self._add(node, ast.unparse(swapped))
        self.generic_visit(node)

    # ---- statements --------------------------------------------------------------------------

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not (isinstance(node.value, ast.Constant)):
            self._add(node, "return None")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        for forced in ("True", "False"):
            self._add(node.test, forced)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self.visit(node.value)
            if ast.unparse(node.value.func).rpartition(".")[2] not in QUIET_CALLS:
                self._add(node, "pass")
        elif not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if ast.unparse(node.target).rpartition(".")[2] == INDENTATION:
            return
        self._add(node, "pass")
        self.visit(node.value)


def is_number(node: ast.Constant) -> bool:
    return isinstance(node.value, int | float) and not isinstance(node.value, bool)


def mutants_of(path: Path) -> list[Mutant]:
    """All of a module."""
    mutator = Mutator(path)
    mutator.visit(ast.parse(mutator.text))
    return mutator.found


def chosen_from(everything: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """Some, drawn at random, in the order of the drawing."""
    drawn = random.Random(seed).sample(everything, len(everything))
    return list(itertools.islice((m for m in drawn if compiles(m.source())), count))


def compiles(text: bytes) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


# ---- which tests ---------------------------------------------------------------------------------


def nearest(path: Path) -> list[list[str]]:
    """The tests of a module, in stages: of its name and its examples; then those of its folder."""
    place = path.relative_to(PACKAGE).with_suffix("")
    tests = ROOT / "tests"
    first = [path, tests / place.parent / f"test_{place.name}.py"]
    first += sorted((tests / place.parts[0]).rglob(f"test_*{place.name}*.py"))
    above = next((key for key in NEAR if place.as_posix().startswith(f"{key}/")), place.parts[0])
    second: list[Path] = []
    for pattern in NEAR.get(above, (above,)):
        for found in sorted(tests.glob(pattern)):
            second += sorted(found.rglob("test_*.py")) if found.is_dir() else [found]
    stages, seen = [], set()
    for number, stage in enumerate((first, second)):
        kept = []
        for file in stage:
            near = not (number and file.name.startswith(NOT_NEAR))
            if near and file.exists() and file not in seen:
                seen.add(file)
                kept.append(str(file.relative_to(ROOT)))
        stages.append(kept)
    return [stage for stage in stages if stage]


# ---- running them --------------------------------------------------------------------------------


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a mutant in place of its module."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant.module, str(mutant.path))
        self.text = mutant.source()

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        return compile(self.text, self.path, "exec", dont_inherit=True)


class Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name: str, path: object, target: object = None) -> object:  # type: ignore[override]
        if name != self.mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)  # type: ignore[arg-type]
        assert spec is not None
        spec.loader = Loader(self.mutant)
        return spec


@dataclass
class Run:
    """A process that runs tests, perhaps against a mutant."""

    tests: list[str]
    limit: float
    folder: Path
    mutant: Mutant | None = None
    process: int = 0
    started: float = field(default_factory=time.monotonic)

    def start(self, programs: Path) -> None:
        self.folder.mkdir()
        if self.mutant is not None:  # programs are named by their source: those that are the same
            (self.folder / "programs").mkdir(mode=0o700)
            for file in [*programs.glob("*.so"), *programs.glob("compiler-*")]:
                os.link(file, self.folder / "programs" / file.name)
            programs = self.folder / "programs"
        self.process = os.fork()
        if self.process == 0:
            code = 3
            try:
                code = self._test(programs)
            finally:
                sys.stdout.flush()
                os._exit(code)

    def _test(self, programs: Path) -> int:
        import pytest

        os.setsid()
        output = os.open(self.folder / "output", os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ["CHAINRULE_CACHE"] = str(programs)
        if self.mutant is not None:
            sys.meta_path.insert(0, Finder(self.mutant))
        importlib.import_module("chainrule.public")  # in the usual order
        options = [
            "-x",
            "-q",
            "--tb=line",
            "--assert=plain",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
        ]
        return int(pytest.main([*options, f"--basetemp={self.folder}/tests", *self.tests]))

    def finished(self) -> bool | None:
        """Whether the tests passed; None while they run."""
        process, status = os.waitpid(self.process, os.WNOHANG)
        if process:
            passed = status == 0 or os.waitstatus_to_exitcode(status) == 5  # 5: there were none
        elif time.monotonic() - self.started < self.limit:
            return None
        else:
            os.killpg(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            passed = False
        if self.mutant is not None and not passed:
            self.mutant.killer = self._killer()
        shutil.rmtree(self.folder, ignore_errors=True)
        return passed

    def _killer(self) -> str:
        lines = (self.folder / "output").read_text(errors="replace").splitlines()
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        return failed[-1][:150] if failed else "time limit or crash"


class Machine:
    """A few processes at a time."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder, self.workers = folder, workers
        self.programs = folder / "programs"
        self.programs.mkdir(mode=0o700)
        self.count = itertools.count()

    def run(self, waiting: list[Run]) -> Iterator[tuple[Run, bool]]:
        """Runs as they finish; more may be put into the list meanwhile."""
        running: list[Run] = []
        while waiting or running:
            while waiting and len(running) < self.workers:
                running.append(waiting.pop(0))
                running[-1].started = time.monotonic()
                running[-1].start(self.programs)
            time.sleep(0.02)
            for run in list(running):
                passed = run.finished()
                if passed is not None:
                    running.remove(run)
                    yield run, passed

    def new(self, tests: list[str], limit: float, mutant: Mutant | None = None) -> Run:
        return Run(tests, limit, self.folder / f"run{next(self.count)}", mutant)


def import_what_all_need() -> None:
    """Each process is a copy of this one, in which all but the package itself is loaded."""
    import hypothesis.strategies  # noqa: F401
    import numpy.testing  # noqa: F401
    import polars  # noqa: F401
    import pytest  # noqa: F401
    import safetensors.numpy  # noqa: F401
    import typer.testing  # noqa: F401

    assert "chainrule" not in sys.modules


def usable(machine: Machine, files: set[str]) -> dict[str, float]:
    """How long each file of tests takes; those that fail without any mutant are left out."""
    seconds = {}
    for run, passed in machine.run([machine.new([file], 600.0) for file in sorted(files)]):
        (file,) = run.tests
        if passed:
            seconds[file] = time.monotonic() - run.started
        else:
            print(f"not used, for it fails without a mutant: {file}", flush=True)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, help="only modules below these")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--least", type=float, default=0.85, help="the fraction to be killed")
    parser.add_argument("--killers", action="store_true", help="print what killed the others, too")
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(SOURCE))
    os.environ.update(PYTHONPATH=str(SOURCE), OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    began = time.monotonic()

    below = [p.resolve() for p in options.paths] or [PACKAGE / name for name in SUBJECTS]
    modules = sorted({f for p in below for f in ([p] if p.is_file() else p.rglob("*.py"))})
    everything = [mutant for path in modules for mutant in mutants_of(path)]
    chosen = chosen_from(everything, options.count, options.seed)
    stages = {path: nearest(path) for path in {mutant.path for mutant in chosen}}
    import_what_all_need()
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder), options.workers)
        files = {file for parts in stages.values() for part in parts for file in part}
        seconds = usable(machine, files)
        survivors, killed = judge(machine, chosen, stages, seconds, options.killers)
    fraction = killed / max(len(chosen), 1)
    print(f"{killed} of {len(chosen)} mutants killed ({fraction:.1%}), of {len(everything)} that "
          f"there are, in {(time.monotonic() - began) / 60:.0f} min")  # fmt: skip
    for name, count in Counter(m.path.relative_to(PACKAGE).parts[0] for m in survivors).items():
        print(f"  {count} survivors in {name}")
    return int(fraction < options.least)


def judge(
    machine: Machine,
    chosen: list[Mutant],
    stages: dict[Path, list[list[str]]],
    seconds: dict[str, float],
    tell_killers: bool,
) -> tuple[list[Mutant], int]:
    """Run the tests of each mutant until one fails."""

    def run_of(mutant: Mutant) -> Run | None:
        while mutant.stage < len(stages[mutant.path]):
            tests = [file for file in stages[mutant.path][mutant.stage] if file in seconds]
            if tests:
                tests.sort(key=lambda file: (file.startswith("src"), seconds[file]))
                limit = max(_SHORTEST_LIMIT, 4 * sum(seconds[file] for file in tests))
                return machine.new(tests, limit, mutant)
            mutant.stage += 1
        return None

    survivors, killed = [], 0
    waiting = [run for run in map(run_of, chosen) if run is not None]
    for run, passed in machine.run(waiting):
        mutant = run.mutant
        assert mutant is not None
        if not passed:
            killed += 1
            if tell_killers:
                print(f"killed:   {mutant}\n          {mutant.killer}", flush=True)
            continue
        mutant.stage += 1
        following = run_of(mutant)
        if following is not None:
            waiting.append(following)
        else:
            survivors.append(mutant)
            print(f"survived: {mutant}", flush=True)
    return survivors, killed


if __name__ == "__main__":
    sys.exit(main())
