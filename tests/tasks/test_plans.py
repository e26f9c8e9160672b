"""The plans of the runner: which there are, what each declares; a new kind by addition alone."""

import dataclasses
import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest

import chainrule as cr
from chainrule.cli import options as command_line
from chainrule.data import read_table
from chainrule.tasks import KINDS, module_of
from chainrule.tasks.kinds import Kind
from chainrule.tasks.option_values import integer
from chainrule.tasks.options import DATA, TrainingOptions, option
from chainrule.tasks.plan import Learner, Plan, Recipe, split_rows
from chainrule.tasks.runner import train
from chainrule.training import Arrays

#: By kind: its plans, and the steps that each takes in its own way.
READ = {"read", "split", "understand", "read_test", "size"}
LEARN = {"build", "encode", "recipe"}
REPORT = {"about", "baselines"}
PICTURES = {"profile", "shown", "inside"}
FILES = READ | LEARN | REPORT | PICTURES | {
    "check", "encode_training", "average", "details", "folds", "fold_count", "tried", "more_tests",
    "warm_start", "settle", "averaged", "places",
}  # fmt: skip
STEPS = {
    "table": {
        "rows": READ | LEARN | REPORT | {"folds", "warm_start", "examples", "average", "classes",
                                         "details", "settle", "measure", "precision", "tried",
                                         "for_baselines", "summarized", "predict", "score",
                                         "row_errors", "more_tests", "listeners"}
        | PICTURES | {"answers"},
    },
    "text": {
        "classification": READ | LEARN | REPORT | PICTURES | {"check", "predict", "details"},
        "language": (READ - {"read_test"}) | LEARN | REPORT | {"check", "predict", "score"}
        | PICTURES - {"shown"},
    },
    "series": {
        "forecast": (READ - {"read_test"}) | LEARN | REPORT
        | {"settle", "details", "folds", "more_tests", "predict", "row_errors"}
        | {"warm_start", "average", "score"} | PICTURES | {"answers"},
        "sequences": READ | LEARN | REPORT | PICTURES | {"average"},
    },
    "images": {"files": FILES},
    "audio": {"files": FILES},
    "sequence-to-text": {
        "texts": READ | LEARN | REPORT
        | {"check", "examples", "average", "settle", "predict", "score", "row_errors", "answers"}
        | {"verdict"}
        | PICTURES - {"shown"},
    },
}  # fmt: skip


def steps_of(plan):
    """The steps that a plan does not leave to the runner's usual way."""
    steps = {name for name in vars(Plan) if not name.startswith("_")}
    return {name for name in steps if getattr(plan, name) is not getattr(Plan, name)}


def test_these_are_the_plans_and_what_each_declares():
    found = {
        kind: {plan.task: steps_of(plan) for plan in module_of(kind).PLANS[::-1]} for kind in KINDS
    }
    assert found == STEPS


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_belongs_to_its_kind(kind):
    for plan in module_of(kind).PLANS:
        assert plan.kind == kind
        assert plan.unit
        assert not plan.__abstractmethods__
        needed = {"target": "y"} if kind in ("table", "series") else {}
        made = plan(KINDS[kind].options(**needed, threads=1, backend="c"))
        assert made.backend.threads == 1
        assert plan(KINDS[kind].options(**needed, exact=True)).backend.exact


# ---- a kind of data of one's own: its options, its plan, and nothing else ------------------------


@dataclass(frozen=True)
class PointOptions(TrainingOptions):
    """Numbers that follow from one other number."""

    degree: int = option(1, "Powers of the number that are looked at.", "N", DATA, integer)


@dataclass(frozen=True, eq=False)
class Points:
    x: np.ndarray
    target: np.ndarray

    def __len__(self):
        return len(self.x)

    def take(self, rows):
        return Points(self.x[rows], self.target[rows])


@dataclass(frozen=True)
class PointSchema:
    degree: int
    notes: tuple = ()

    def described(self):
        return [("points", f"powers up to {self.degree}")]

    def to_json(self):
        return {"kind": "points", **dataclasses.asdict(self)}


class PointPlan(Plan):
    kind, task, unit = "points", "regression", "points"

    def read(self, source):
        frame = read_table(source)
        x, target = (frame[name].cast(float).to_numpy() for name in ("x", self.options.target))
        return Points(x, target)

    def split(self, data):
        return split_rows(data, self.options, None, self.unit, test=0.25)

    def understand(self, split):
        return PointSchema(self.options.degree)

    def size(self, data):
        return {"rows": len(data)}

    def build(self, schema, split):
        network = cr.nn.Linear(schema.degree, 1).initialize(self.options.seed)
        return Learner(network, "mse", "a polynomial")

    def encode(self, schema, learner, part):
        powers = part.x[:, None] ** np.arange(1, schema.degree + 1)
        return Arrays(powers.astype(np.float32), part.target[:, None].astype(np.float32))

    def recipe(self, schema, learner, examples):
        return Recipe.of(self.options, len(examples), batch_size=8, epochs=100, lr=0.05)

    def about(self, schema):
        return {"task": "regression", "target": self.options.target}

    def score(self, schema, part, predicted):
        return {"mae": float(np.abs(part.target - predicted.ravel()).mean())}

    def baselines(self, schema, split, test):
        return {"mean": np.full(len(test), split.train.target.mean())}


@pytest.fixture
def points(monkeypatch):
    """The kind is entered; as a module it would be a file of its own."""
    module = types.ModuleType("points_kind")
    module.PLANS = (PointPlan,)
    module.train = lambda source, options, say=print, **more: train(
        PointPlan(options, say), source, **more
    )
    kind = Kind("points", "points_kind", PointOptions, "points", "NEW_POINTS.csv",
                told_by=frozenset({"degree"}))  # fmt: skip
    monkeypatch.setitem(sys.modules, "points_kind", module)
    monkeypatch.setitem(KINDS, "points", kind)
    kinds = {kind.name: kind.options for kind in KINDS.values()}
    monkeypatch.setattr(command_line, "OPTIONS", command_line.gathered(kinds))


def test_a_kind_of_ones_own_is_trained_by_the_command_line(points, tmp_path, monkeypatch):
    import typer
    from typer.testing import CliRunner

    from chainrule.cli import train as command

    monkeypatch.setattr(command, "OPTIONS", command_line.OPTIONS)
    x = np.linspace(-1, 1, 60)
    lines = [f"{a},{3 * a * a - a}" for a in x]
    (tmp_path / "points.csv").write_text("\n".join(["x,y", *lines]))
    app = typer.Typer()
    # The signature anew, as a start of the program makes it.
    monkeypatch.delattr(command.train, "__signature__")
    app.command()(command_line.with_options(command_line.OPTIONS)(command.train))
    arguments = [tmp_path / "points.csv", "-t", "y", "--degree", 2, "--out", tmp_path / "run"]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    assert "a polynomial, 3 parameters; 41 points in batches of 8" in result.stderr
    report = cr.load(tmp_path / "run" / "model.safetensors").record["report"]
    assert report["data"]["kind"] == "points"
    assert report["options"] == {"target": "y", "degree": 2}
    assert report["metrics"]["mae"] < 0.2 * report["baselines"]["mean"]["mae"]
    helped = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout
    assert "Powers of the number that are looked at." in helped
