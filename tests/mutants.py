"""Would a test notice? Small faults are put into the package, one at a time, and tests run.

    python tests/mutants.py --count 500 --seed 1        what `make mutants` runs
    python tests/mutants.py --count 20 src/chainrule/optim
    python tests/mutants.py --part 2/5 --map FOLDER     one of five parts; what tests call is kept

A mutant is a module with one change: another comparison, another sign, a number that is one more, a
branch always taken, a statement left out. It lives in memory only. First all tests run once without
any mutant, to know which lines each of them runs. Against a mutant run those that run the changed
line: of the nearest files first, the quick ones first, for a limited time. Where none was seen to,
for it runs once, at import, those that run anything of the module. Where none fails, the mutant
survives and is printed: a change of the program that no test near to it notices.

Not changed is what no result depends on: messages and texts, the indentation of C, samples of
tests, what was tuned for speed (how much work is worth a thread, what is worth to be computed
again, what is decided by a limit that was measured: sizes of tiles, of what is packed), whether an
array is copied that is only read, pauses, and ``strict`` of a zip.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import itertools
import os
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "chainrule"
#: What is mutated.
SUBJECTS = ("engine", "training", "optim")
#: Where the tests are that may notice.
TESTS = (
    *("tests/engine", "tests/optim", "tests/training", "tests/serialization", "tests/nn"),
    *("tests/test_references.py", "tests/test_losses.py", "tests/test_public.py"),
    *("tests/from_pytorch", "tests/models", "tests/test_ctc.py"),
    *(f"src/chainrule/{subject}" for subject in SUBJECTS),
)
#: These start programs of their own, or are run by others.
NOT_NEAR = ("test_sanitizers.py", "test_every_width.py")
#: Tests that others leave to the night, but nothing else runs what they do.
ALSO = ("tests/engine/backends/test_xla.py::test_operations",)
#: How many of the nearest files come first; they get a third of the time.
FEW = 3
#: What is followed line by line, and for how many lines of one function in a test.
FOLLOWED = tuple(str(PACKAGE / subject) for subject in SUBJECTS)
MOST_LINES = 2000
#: The headings of kernels, comments in C for readers; and what measures which tiles are fastest.
QUIET_FILES = {"formulas.py", "autotune.py"}
#: Nobody is to depend on what these do; samples are data of tests.
QUIET_FUNCTIONS = {"__repr__", "__str__", "__dir__", "reals", "integers"}
QUIET_CALLS = {"warning", "info", "debug", "warn", "print", "say", "Sample", "sleep"}
#: Arguments and attributes that are only about speed, or check what is so by construction.
QUIET_NAMES = {"strict", "copy", "grain", "cost", "work", "unit", "band", "segment"}
#: Where constants that are plain numbers are limits that were measured; but for those that are
#: about the layout of memory and the algorithms themselves.
TUNED = PACKAGE / "engine" / "backends" / "c"
NOT_TUNED = {
    *("OUTPUTS", "STEP", "LARGEST", "_LANES", "_ALIGNMENT", "_STACK", "_MOST_ON_STACK"),
    *("_TIMEOUT_SECONDS", "_TYPICAL"),
}
#: What ends a mutant other than a test that fails.
WAITED, CRASHED = "too long a wait", "time limit or crash"
#: Calls whose arguments after the first are depths of indentation, as is this variable plus 1.
INDENTED_CALLS = {"line", "_line"}
#: Calls whose last argument is such a depth.
INDENTED_LAST = {"scores", "weighted", "keys"}
INDENTATION = "depth"
SYMMETRIC_CALLS = {
    *("max", "min", "maximum", "minimum", "logical_xor", "gcd", "zip"),
    *("isinstance", "hasattr", "getattr", "cast", "broadcast_shapes", "logical_and", "logical_or"),
    *("hypot", "multiply", "add", "bitwise_and", "bitwise_xor"),
}

#: Seconds of the processor: a test that takes longer counts as failed. Those that wait get more.
_SHORTEST_LIMIT = 20.0
_PATIENCE = 15.0

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
    """One change of one module: ``old`` at a place becomes ``new``.

    Attributes:
        lines: those of the change.
        statement: the first lines of the statement that the change is in, up to the change.
        scope: the lines of the definition that the change is in.
        imported: whether it is run when the module is imported.
    """

    path: Path
    start: int
    end: int
    lines: range
    old: str
    new: str
    statement: range
    scope: range
    imported: bool
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
        return f"{self.path.relative_to(ROOT)}:{self.lines[0]}: {old[:90]}  →  {new[:90]}"


class Mutator(ast.NodeVisitor):
    """Collects the mutants of a module."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_bytes()
        self.lines = [0, *itertools.accumulate(map(len, self.text.splitlines(keepends=True)))]
        self.found: list[Mutant] = []
        self.scopes: list[tuple[range, bool]] = []
        self.statement = range(0)
        self.limits = tuned_limits() if path.is_relative_to(TUNED) else frozenset()

    def visit(self, node: ast.AST) -> None:
        """All but the expressions that compare or count with a limit that was measured."""
        if isinstance(node, ast.stmt):
            self.statement = lines_of(node)
            if not self.scopes:
                with self._within(node, imported=True):
                    super().visit(node)
                return
        if not isinstance(node, ast.expr) or self.limits.isdisjoint(names_in(node)):
            super().visit(node)

    @contextlib.contextmanager
    def _within(self, node: ast.stmt | ast.expr, imported: bool) -> Iterator[None]:
        self.scopes.append((lines_of(node), imported))
        yield
        self.scopes.pop()

    def _add(self, node: ast.expr | ast.stmt, new: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self.lines[node.lineno - 1] + node.col_offset
        end = self.lines[node.end_lineno - 1] + node.end_col_offset
        old = self.text[start:end].decode()
        if isinstance(node, ast.expr) and not isinstance(node, ast.Constant):
            new = f"({new})"
        lines, (scope, imported) = lines_of(node), self.scopes[-1]
        statement = range(self.statement.start, lines.stop)
        mutant = Mutant(self.path, start, end, lines, old, new, statement, scope, imported)
        self.found.append(mutant)

    # ---- what is not mutated -----------------------------------------------------------------

    def visit_Raise(self, node: ast.Raise) -> None:
        self._add(node, "pass")  # messages are not mutated, but an error may be missing

    def visit_Assert(self, node: ast.Assert) -> None:
        pass

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        pass

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name not in QUIET_FUNCTIONS and "samples" not in node.name:
            with self._within(node, imported=True):
                for part in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
                    self.visit(part)
            with self._within(node, imported=False):
                for part in node.body:
                    self.visit(part)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        with self._within(node, imported=False):
            self.visit(node.body)

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
        with self._within(node, imported=True):
            for part in node.body:
                self.visit(part)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._visit_value(ast.unparse(node.target), node.value, node.col_offset == 0)

    # ---- expressions -------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> None:
        if any(isinstance(part, ast.Attribute) and part.attr == "cost" for part in ast.walk(node)):
            return  # what is worth to be computed again
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
        if name in INDENTED_LAST:
            for part in node.args[:-1]:
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
        if self.limits.isdisjoint(names_in(node.test)):
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


def lines_of(node: ast.stmt | ast.expr) -> range:
    assert node.end_lineno is not None
    return range(node.lineno, node.end_lineno + 1)


def names_in(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


@functools.cache
def tuned_limits() -> frozenset[str]:
    """The names of the measured limits."""
    found = set()
    for path in TUNED.rglob("*.py"):
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                parts = [part for part in ast.walk(node.value) if isinstance(part, ast.expr)]
                plain = (ast.Constant, ast.BinOp, ast.UnaryOp)
                name = node.targets[0].id
                if name.isupper() and all(isinstance(part, plain) for part in parts):
                    numbers = [part for part in parts if isinstance(part, ast.Constant)]
                    if all(map(is_number, numbers)):
                        found.add(name)
    return frozenset(found - NOT_TUNED)


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


@dataclass
class Calls:
    """What the tests run.

    Attributes:
        seconds: how long each test takes.
        lines: the numbers of the tests that run a line of a file, in the order of ``seconds``.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[int, array[int]]] = field(default_factory=dict)

    def add(self, other: Calls) -> None:
        """What more tests run."""
        first = len(self.seconds)
        self.seconds.update(other.seconds)
        for path, lines in other.lines.items():
            own = self.lines.setdefault(path, {})
            for line, tests in lines.items():
                own.setdefault(line, array("I")).extend(test + first for test in tests)

    def able(self, mutant: Mutant) -> set[str]:
        """The tests that run what was changed."""
        known = self.lines.get(str(mutant.path.relative_to(PACKAGE)), {})
        if mutant.imported:  # whatever uses the definition may notice, or else the module
            places: list[Iterable[int]] = [mutant.scope]
        else:  # not every line of a long expression has code of its own
            code = lines_with_code(mutant.path)
            places = [[line for line in mutant.lines if line in code] or mutant.statement]
        for place in (*places, known):  # what runs once, when a module is imported, was not seen
            found = {test for line in place for test in known.get(line, ())}
            if found:
                names = list(self.seconds)
                return {names[test] for test in found}
        return set()

    def chosen(self, mutant: Mutant, budget: float) -> list[list[str]]:
        """The tests of a mutant, in two stages, that take so many seconds together."""
        able = self.able(mutant)
        files = sorted({_file(test) for test in able}, key=lambda file: distance(mutant.path, file))
        first = self._in_time([test for test in able if _file(test) in files[:FEW]], budget / 3)
        second = self._in_time(able - set(first), budget * 2 / 3)
        return [stage for stage in (first, second) if stage]

    def _in_time(self, tests: Iterable[str], budget: float) -> list[str]:
        """Tests that take so long together, quick ones and those of other functions first."""
        count: Counter[str] = Counter()
        ordered = []
        for test in sorted(tests, key=lambda test: (self.seconds[test], test)):
            name = test.partition("[")[0]
            count[name] += 1
            ordered.append((count[name] * self.seconds[test], self.seconds[test], test))
        found: list[str] = []
        total = 0.0
        for _, seconds, test in sorted(ordered):
            total += seconds
            if found and total > budget:
                break
            found.append(test)
        return found


@functools.cache
def lines_with_code(path: Path) -> frozenset[int]:
    """The lines of functions whose running can be seen."""
    waiting, found = [compile(path.read_bytes(), str(path), "exec", dont_inherit=True)], set()
    while waiting:
        code = waiting.pop()
        found.update(line for _, _, line in code.co_lines() if line is not None)
        waiting += [part for part in code.co_consts if isinstance(part, CodeType)]
    return frozenset(found)


def _file(test: str) -> str:
    return test.partition("::")[0]


def distance(path: Path, file: str) -> tuple[int, int, str]:
    """How far a file of tests is from a module: its own examples, its namesakes, its folder."""
    place = path.relative_to(PACKAGE).with_suffix("")
    own = file == str(path.relative_to(ROOT)), Path(file).stem == f"test_{place.name}"
    common = 0
    for own_part, part in zip(place.parts[:-1], Path(file).parts[1:-1], strict=False):
        if own_part != part:
            break
        common += 1
    return 2 - any(own) - (place.name in Path(file).stem), -common, file


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


class Chosen:
    """A part of pytest: it runs some of the tests that were collected, in a given order."""

    def __init__(self, tests: list[str]) -> None:
        self.place = {test: number for number, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self.place),
            key=lambda item: self.place[item.nodeid],
        )


def is_run(item: pytest.Item) -> bool:
    """Whether a test is run by day, or all the same."""
    return item.get_closest_marker("nightly") is None or item.nodeid.startswith(ALSO)


#: What Python calls for each line of a call.
TraceFunction = Callable[[FrameType, str, object], Any]


def followed(lines: set[int]) -> TraceFunction:
    """What adds the lines of a function to a set, for a while."""
    left = MOST_LINES

    def each(frame: FrameType, event: str, argument: object) -> TraceFunction:
        nonlocal left
        lines.add(frame.f_lineno)
        left -= 1
        if left <= 0:
            frame.f_trace_lines = False
        return each

    return each


class Listener:
    """A part of pytest: it notes which lines each test runs, and how long it takes."""

    def __init__(self) -> None:
        self.calls = Calls()
        self._codes: dict[int, CodeType] = {}  # so that no other takes the place of one
        self._others: set[int] = set()
        self._followed: dict[int, tuple[CodeType, set[int], TraceFunction]] = {}
        self._failed = False

    def _trace(self, frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        """What follows the lines of a call of a function that may be mutated."""
        key = id(frame.f_code)  # the hash of a code itself takes long
        if key in self._others:
            return None
        if key not in self._followed:
            code = frame.f_code
            self._codes[key] = code
            if not code.co_filename.startswith(FOLLOWED):
                self._others.add(key)
                return None
            lines: set[int] = set()
            self._followed[key] = code, lines, followed(lines)
        return self._followed[key][2]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = filter(is_run, items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed |= not report.passed

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._failed = False
        self._followed.clear()
        began = time.process_time()  # whatever else the machine does meanwhile
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            if self._failed:
                print(f"not used, for it fails without a mutant: {item.nodeid}", flush=True)
            else:
                self._note(item.nodeid, time.process_time() - began)

    def _note(self, test: str, seconds: float) -> None:
        number = len(self.calls.seconds)
        self.calls.seconds[test] = seconds
        for code, lines, _ in self._followed.values():
            if code.co_name != "<module>":
                path = str(Path(code.co_filename).relative_to(PACKAGE))
                known = self.calls.lines.setdefault(path, {})
                for line in lines:
                    tests = known.setdefault(line, array("I"))
                    if not tests or tests[-1] != number:
                        tests.append(number)


@dataclass
class Run:
    """A process that runs tests: of a file, to listen to them, or those chosen for a mutant."""

    tests: list[str]
    limit: float
    folder: Path
    mutant: Mutant | None = None
    process: int = 0
    started: float = field(default_factory=time.monotonic)

    def start(self, programs: Path) -> None:
        self.folder.mkdir()
        own = self.folder / "programs"
        own.mkdir(mode=0o700)
        for file in programs.iterdir():  # built programs are named by their source
            os.link(file, own / file.name)
        self.process = os.fork()
        if self.process == 0:
            code = 3
            try:
                code = self._test(own)
            finally:
                sys.stdout.flush()
                os._exit(code)

    def _test(self, programs: Path) -> int:
        os.setsid()
        if self.mutant is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (int(self.limit) + 1, int(self.limit) + 5))
        output = os.open(self.folder / "output", os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ["CHAINRULE_CACHE"] = str(programs)
        if self.mutant is not None:
            sys.meta_path.insert(0, Finder(self.mutant))
        importlib.import_module("chainrule.public")  # in the usual order
        options = ["-q", "--tb=line", "--assert=plain", "-p", "no:cacheprovider"]
        options += ["-p", "no:xdist", f"--basetemp={self.folder}/tests", "-m", ""]
        if self.mutant is not None:
            files = dict.fromkeys(test.partition("[")[0] for test in self.tests)
            return int(pytest.main(["-x", *options, *files], plugins=[Chosen(self.tests)]))
        listener = Listener()
        code = int(pytest.main([*options, *self.tests], plugins=[listener]))
        (self.folder / "calls").write_bytes(pickle.dumps(listener.calls))
        return code

    def finished(self) -> bool | None:
        """Whether the tests passed; None while they run."""
        process, status = os.waitpid(self.process, os.WNOHANG)
        if process:
            passed = status == 0 or os.waitstatus_to_exitcode(status) == 5  # 5: there were none
        elif time.monotonic() - self.started < _PATIENCE * self.limit:
            return None
        else:
            os.killpg(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            passed = False
        if self.mutant is not None:
            if not passed:
                self.mutant.killer = self._killer() if process else WAITED
            shutil.rmtree(self.folder, ignore_errors=True)
        return passed

    def _killer(self) -> str:
        lines = (self.folder / "output").read_text(errors="replace").splitlines()
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        return failed[-1][:150] if failed else CRASHED


class Machine:
    """A few processes at a time."""

    def __init__(self, folder: Path, workers: int, kept: Path | None = None) -> None:
        self.folder, self.workers, self.kept = folder, workers, kept
        self.programs = (kept or folder).resolve() / "programs"
        self.programs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.count = itertools.count()

    def known_calls(self) -> Calls | None:
        """What the tests run, if it was kept."""
        if self.kept is None or not (self.kept / "calls").exists():
            return None
        found = pickle.loads((self.kept / "calls").read_bytes())
        assert isinstance(found, Calls)
        return found

    def remember(self, calls: Calls) -> Calls:
        if self.kept is not None:
            (self.kept / "calls").write_bytes(pickle.dumps(calls))
        return calls

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

    def keep_programs(self, run: Run) -> None:
        """What was built without a mutant need not be built again."""
        for file in [*run.folder.glob("programs/*.so"), *run.folder.glob("programs/compiler-*")]:
            if not (self.programs / file.name).exists():
                os.link(file, self.programs / file.name)

    def new(self, tests: list[str], limit: float, mutant: Mutant | None = None) -> Run:
        return Run(tests, limit, self.folder / f"run{next(self.count)}", mutant)


def import_what_all_need() -> None:
    """Each process is a copy of this one, in which all but the package itself is loaded."""
    import hypothesis.strategies  # noqa: F401
    import numpy.testing  # noqa: F401
    import polars  # noqa: F401
    import safetensors.numpy  # noqa: F401
    import typer.testing  # noqa: F401

    assert "chainrule" not in sys.modules


def listen(machine: Machine) -> Calls:
    """What the tests run, but for those that fail without any mutant."""
    groups: dict[str, list[str]] = {}
    for name in TESTS:
        place = ROOT / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            is_example = name.startswith("src")
            if is_example or (file.name.startswith("test_") and file.name not in NOT_NEAR):
                group = "src" if is_example else str(file.parent)
                groups.setdefault(group, []).append(str(file.relative_to(ROOT)))
    waiting = [machine.new(files, 3600.0) for files in groups.values()]
    all_calls = Calls()
    for run, _ in machine.run(sorted(waiting, key=lambda run: -len(run.tests))):
        if (run.folder / "calls").exists():
            all_calls.add(pickle.loads((run.folder / "calls").read_bytes()))
        else:
            print(f"not used, for something ended the process: {run.tests}", flush=True)
        machine.keep_programs(run)
        shutil.rmtree(run.folder, ignore_errors=True)
    return all_calls


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, help="only modules below these")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--least", type=float, default=0.85, help="the fraction to be killed")
    parser.add_argument("--killers", action="store_true", help="print what killed the others, too")
    parser.add_argument("--seconds", type=float, default=20.0, help="of tests against a mutant")
    parser.add_argument("--part", default="1/1", help="2/5: the second of five parts of them")
    parser.add_argument("--map", type=Path, help="a folder to keep what the tests call")
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(SOURCE))
    os.environ.update(PYTHONPATH=str(SOURCE), OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    began = time.monotonic()

    below = [p.resolve() for p in options.paths] or [PACKAGE / name for name in SUBJECTS]
    found = {f for p in below for f in ([p] if p.is_file() else p.rglob("*.py"))}
    modules = sorted(file for file in found if file.name not in QUIET_FILES)
    everything = [mutant for path in modules for mutant in mutants_of(path)]
    part, parts = map(int, options.part.split("/"))
    chosen = chosen_from(everything, options.count, options.seed)[part - 1 :: parts]
    import_what_all_need()
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder), options.workers, options.map)
        calls = machine.known_calls() or machine.remember(listen(machine))
        print(f"{len(calls.seconds)} tests of {sum(calls.seconds.values()):.0f} s, listened to in "
              f"{(time.monotonic() - began) / 60:.1f} min", flush=True)  # fmt: skip
        survivors, killed = judge(machine, chosen, calls, options.seconds, options.killers)
    fraction = killed / max(len(chosen), 1)
    print(f"{killed} of {len(chosen)} mutants killed ({fraction:.1%}), of {len(everything)} that "
          f"there are, in {(time.monotonic() - began) / 60:.0f} min")  # fmt: skip
    for reason in (WAITED, CRASHED):
        print(f"  {sum(m.killer == reason for m in chosen)} killed by {reason}")
    for name, count in Counter(m.path.relative_to(PACKAGE).parts[0] for m in survivors).items():
        print(f"  {count} survivors in {name}")
    return int(fraction < options.least)


def judge(
    machine: Machine, chosen: list[Mutant], calls: Calls, budget: float, tell_killers: bool
) -> tuple[list[Mutant], int]:
    """Run the tests of each mutant until one fails."""

    def run_of(mutant: Mutant) -> Run | None:
        stages = calls.chosen(mutant, budget)[mutant.stage :]
        if not stages:
            return None
        limit = max(_SHORTEST_LIMIT, 4 * sum(calls.seconds[test] for test in stages[0]))
        return machine.new(stages[0], limit, mutant)

    survivors, killed = [], 0
    waiting: list[Run] = []
    for mutant in chosen:
        first = run_of(mutant)
        if first is not None:
            waiting.append(first)
        else:
            survivors.append(mutant)
            print(f"survived: {mutant}\n          no test near to it runs it", flush=True)
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
            waiting.insert(0, following)
        else:
            survivors.append(mutant)
            print(f"survived: {mutant}", flush=True)
    return survivors, killed


if __name__ == "__main__":
    sys.exit(main())
