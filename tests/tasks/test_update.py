"""``chainrule update`` is one mechanism for all kinds of data."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, ConfigError, DataError, ModelFileError
from chainrule.tasks import load_predictor, module_of
from chainrule.tasks.update import BEFORE, Old, is_no_better, update
from chainrule.tasks.update_options import UpdateOptions
from chainrule.training import Trainer, load_training

DAY = np.datetime64("2020-01-01")


# ---- data ----------------------------------------------------------------------------------------


def pictures(folder: Path, classes: dict[str, int], count: int, seed: int) -> Path:
    """Grey images that are as bright as their class says."""
    from PIL import Image

    g = np.random.default_rng(seed)
    for name, level in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = g.integers(level - 20, level + 20, (12, 12)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    return folder


def tones(folder: Path, classes: dict[str, int], count: int, seed: int) -> Path:
    """Sounds of a pitch that their class says."""
    g, time = np.random.default_rng(seed), np.arange(800) / 8000
    for name, pitch in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            x = 8000 * np.sin(2 * np.pi * pitch * time) + 300 * g.normal(size=len(time))
            with wave.open(str(folder / name / f"{i:02}.wav"), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(x.astype("<i2").tobytes())
    return folder


def mails(path: Path, words: dict[str, list[str]], count: int, seed: int) -> Path:
    g = np.random.default_rng(seed)
    mood = g.choice(list(words), count)
    text = [" ".join(g.choice([*words[m], "the", "of"], 6)) for m in mood]
    pl.DataFrame({"text": text, "mood": mood}).write_csv(path)
    return path


def letters(path: Path, sentence: str, count: int) -> Path:
    path.write_text(sentence * count)
    return path


def sales(path: Path, count: int, first: int, swing: float, seed: int) -> Path:
    """A week's rhythm, day by day; another column says nothing."""
    g, x = np.random.default_rng(seed), np.arange(count) + first
    sold = 50 + swing * np.sin(2 * np.pi * x / 7) + g.normal(0, 0.2, count)
    frame = {"day": DAY + x, "sold": sold, "noise": g.normal(size=count)}
    pl.DataFrame(frame).write_csv(path)
    return path


def walks(path: Path, slopes: dict[str, float], count: int, level: float, seed: int) -> Path:
    """Sequences that go up or down, six steps each."""
    g = np.random.default_rng(seed)
    rows = []
    for who, kind in enumerate(g.choice(list(slopes), count)):
        x = level + slopes[kind] * np.arange(6.0) + g.normal(0, 0.3, 6)
        rows += [{"who": who, "t": t, "x": y, "kind": kind} for t, y in enumerate(x)]
    pl.DataFrame(rows).write_csv(path)
    return path


def of_images(to: Path) -> tuple[Path, Path, dict]:
    old = pictures(to / "old", {"dark": 60, "light": 180}, 12, 0)
    new = pictures(to / "new", {"dark": 150, "light": 230}, 15, 1)
    return old, new, {"epochs": 3, "members": 1}


def of_sounds(to: Path) -> tuple[Path, Path, dict]:
    old = tones(to / "old", {"high": 1500, "low": 300}, 8, 0)
    new = tones(to / "new", {"high": 3000, "low": 1200}, 10, 1)
    return old, new, {"epochs": 2}


def of_texts(to: Path) -> tuple[Path, Path, dict]:
    old = mails(to / "old.csv", {"glad": ["good", "fine"], "sad": ["bad", "poor"]}, 80, 0)
    new = mails(to / "new.csv", {"glad": ["poor", "fine"], "sad": ["bad", "good"]}, 80, 1)
    return old, new, {"target": "mood", "epochs": 10, "hidden": (8,)}


def of_language(to: Path) -> tuple[Path, Path, dict]:
    old = letters(to / "old.txt", "to be or not to be, that is the question. ", 60)
    new = letters(to / "new.txt", "question the not that is. ", 60)
    return old, new, {"epochs": 2, "hidden": (16,), "context": 16, "model": "lstm"}


def of_forecasts(to: Path) -> tuple[Path, Path, dict]:
    old, new = sales(to / "old.csv", 200, 0, 2.0, 0), sales(to / "new.csv", 120, 203, -8.0, 1)
    return old, new, {"target": "sold", "time": "day", "window": 7, "epochs": 20, "horizon": 2}


def of_sequences(to: Path) -> tuple[Path, Path, dict]:
    old = walks(to / "old.csv", {"down": -1.0, "up": 1.0}, 40, 0.0, 0)
    new = walks(to / "new.csv", {"down": -1.0, "up": 1.0}, 40, 20.0, 1)
    chosen = {"target": "kind", "group": "who", "time": "t", "epochs": 10, "hidden": (8,)}
    return old, new, chosen


CASES = {
    "images": ("images", of_images),
    "sounds": ("audio", of_sounds),
    "texts": ("text", of_texts),
    "language": ("text", of_language),
    "forecasts": ("series", of_forecasts),
    "sequences": ("series", of_sequences),
}


#: Small models need more than the usual rate, or epochs, to learn in a moment.
WISHES = {case: {"lr": 0.01} for case in CASES} | {"sounds": {"epochs": 40}}


class Run:
    """A run folder as the command line makes it, and new data for it."""

    def __init__(self, case: str, place: Path) -> None:
        kind, make = CASES[case]
        old, self.new, options = make(place)
        self.place, self.folder, self.module = place, place / "run", module_of(kind)
        chosen = self.module.Options(backend="numpy", **options)
        self.result = self.module.train(str(old), chosen, progress=False)
        kept(self.result, self.folder)


def kept(result, folder: Path) -> Path:
    folder.mkdir()
    result.save(folder / "model.safetensors")
    result.save_training(folder / "training.safetensors")
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Runs by the name of the case, each trained once; nobody changes them."""
    made: dict[str, Run] = {}

    def of(case: str) -> Run:
        if case == "images":
            pytest.importorskip("PIL.Image")
        if case not in made:
            made[case] = Run(case, tmp_path_factory.mktemp(case))
        return made[case]

    return of


def steps_of(folder: Path) -> int:
    return int(load_training(folder / "training.safetensors")["optimizer.steps"])


# ---- every kind ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_an_update_learns_the_new_data_and_goes_on_with_all_that_was_known(run, case, tmp_path):
    one, said = run(case), []
    before = (one.folder / "model.safetensors").read_bytes()
    result = update(one.folder, str(one.new), progress=False, say=said.append, **WISHES[case])
    assert not is_no_better(result.report)
    assert result.report["updates"] == 1
    assert (one.folder / "model.safetensors").read_bytes() == before
    assert any("constant rate" in sentence for sentence in said)
    assert not any("newly initialised" in sentence for sentence in said)
    # The old model has the same metrics on the held-out part as the report says of it.
    new = kept(result, tmp_path / "new")
    done = load_training(new / "training.safetensors")["step"]  # of the update alone
    assert steps_of(new) == steps_of(one.folder) + done > steps_of(one.folder)
    old_state, new_state = (cr.load(f / "model.safetensors").state() for f in (one.folder, new))
    assert old_state.keys() == new_state.keys()
    statistics = [p for p in old_state if p.rpartition(".")[2] in ("mean", "std")]
    for path in statistics:
        np.testing.assert_array_equal(new_state[path], old_state[path], err_msg=path)
    assert statistics or case in ("texts", "language")
    again = update(new, str(one.new), epochs=1, progress=False)
    assert again.report["updates"] == 2
    assert again.report["optimizer"] == result.report["optimizer"]
    found = load_predictor(new)
    assert found.evaluate(str(one.new)).keys() == result.report["metrics"].keys()
    assert found.record["report"]["baselines"].keys() == {BEFORE}


@pytest.mark.parametrize("case", ["texts", "language", "forecasts", "sequences"])
def test_an_update_from_a_file_has_the_bits_of_a_training_that_was_never_left(run, case):
    """The optimizer that has just trained goes on in one, what was saved of it in the other."""
    one, requested = run(case), {"epochs": 2, "lr": 0.01}
    source = str(one.new)
    if case == "forecasts":  # as before, so that it does not start anew
        source = str(sales(one.place / "as_before.csv", 120, 203, 2.0, 1))
    updated = update(one.folder, source, progress=False, **requested)
    old = Old.of(one.folder)
    new = one.module.continuation(old, source, UpdateOptions(**requested), lambda s: None)
    trainer = one.result._trainer
    state, memory = trainer.model.state(), trainer.optimizer.state()
    trainer.optimizer.set_rate(0.01)
    learner, data = new.learner, new.plan.encode_training(new.schema, new.learner, new.train)
    on = Trainer(trainer.model, learner.loss, trainer.optimizer, output=learner.output,
                 average=new.plan.average(1), seed=1, progress=False, backend="numpy")  # fmt: skip
    size = new.plan.recipe(new.schema, learner, data).batch_size
    on.partial_fit(data, epochs=2, batch_size=size)
    for path, learned in updated._trainer.model.parameters().items():
        found = on.model.parameters()[path].numpy()
        np.testing.assert_array_equal(found, learned.numpy(), err_msg=path)
    trainer.model.load_state(state)  # for the other tests
    trainer.optimizer.load_state(trainer.optimizer.state() | {
        name: array for name, array in memory.items() if not name.startswith("schedule.")
    })  # fmt: skip


def test_series_and_texts_are_evaluated_on_their_latest_part(run):
    one = run("forecasts")
    report = update(one.folder, str(one.new), epochs=1, progress=False).report
    # 96 of 120 steps are learned from; targets of two steps, which lie in one part.
    assert report["rows"] == {"train": 96 - 7 - 2 + 1, "test": 24 - 2 + 1}
    late = one.place / "late.csv"
    pl.read_csv(one.new).slice(96 - 7).write_csv(late)
    known = load_predictor(one.folder).evaluate(str(late))
    assert report["baselines"][BEFORE] == pytest.approx(known)
    text = run("language")
    report = update(text.folder, str(text.new), epochs=1, progress=False).report
    letters(text.place / "late.txt", text.new.read_text()[int(0.8 * 60 * 26) :], 1)
    known = load_predictor(text.folder).evaluate(str(text.place / "late.txt"))
    assert report["baselines"][BEFORE] == pytest.approx(known)
    assert report["rows"] == {"train": 1248, "test": 312}


def test_running_statistics_go_on(tmp_path):
    """One step without changes at random moves them as an eager pass over the same batch does."""
    pytest.importorskip("PIL.Image")
    old = pictures(tmp_path / "old", {"dark": 60, "light": 180}, 8, 0)
    new = pictures(tmp_path / "new", {"dark": 90, "light": 210}, 5, 1)
    images = module_of("images")
    options = images.Options(epochs=2, model="resnet", augment="none", backend="numpy")
    folder = kept(images.train(str(old), options, progress=False), tmp_path / "run")
    told = images.continuation(Old.of(folder), str(new), UpdateOptions(), lambda s: None)
    network = told.learner.network
    state = network.state()
    statistics = [path for path in state if "running_mean" in path]
    assert statistics
    data = told.plan.encode_training(told.schema, told.learner, told.train)
    network(data.read(np.arange(8)).inputs, train=True)
    expected = network.state()
    result = update(folder, str(new), epochs=1, progress=False)
    found = result._trainer.model.state()
    for path in statistics:
        assert not np.array_equal(expected[path], state[path])
        np.testing.assert_allclose(found[path], expected[path], rtol=1e-4, atol=1e-5)


def test_predictions_go_beyond_the_range_of_the_training(run, tmp_path):
    """A series that has risen far out of the range of the training: nothing is cut off."""
    one = run("forecasts")
    sales(tmp_path / "risen.csv", 120, 203, 2.0, 1)
    risen = pl.read_csv(tmp_path / "risen.csv").with_columns(pl.col("sold") + 500)
    risen.write_csv(tmp_path / "risen.csv")
    with pytest.warns(UserWarning, match="The inputs are large"):
        result = update(one.folder, str(tmp_path / "risen.csv"), epochs=1, progress=False)
    before = result.report["baselines"][BEFORE]["mae"]
    assert before < 200  # its forecasts are 500 above all that it has learned from
    assert result.report["metrics"]["mae"] < 1  # the noise is 0.2
    new = kept(result, tmp_path / "new")
    assert load_predictor(new).predict(str(tmp_path / "risen.csv"))["prediction"].min() > 400


def test_a_model_file_alone_is_enough(run, tmp_path):
    one, said = run("texts"), []
    (tmp_path / "m.safetensors").write_bytes((one.folder / "model.safetensors").read_bytes())
    result = update(tmp_path / "m.safetensors", str(one.new), epochs=1, progress=False,
                    say=said.append)  # fmt: skip
    assert "the state of the optimizer was not kept with the model: it starts anew" in said
    assert int(result._trainer.optimizer.steps.numpy()) == 2


def test_the_memory_is_there_for_an_explanation_too(run):
    """The paths of a stored network are longer than those of the training."""
    from chainrule.explain.files import _optimizer
    from chainrule.explain.stored import StoredNetwork

    paths = {"sequences": ("head.weight", "head.weight"),
             "forecasts": ("network.linear.weight", "linear.weight")}  # fmt: skip
    for case, (here, there) in paths.items():
        one = run(case)
        predictor = load_predictor(one.folder)
        examples = predictor.examples(str(one.new), [0])
        network = StoredNetwork(predictor.saved, before_output=True)
        optimizer, _ = _optimizer(predictor, examples, network, None, None, one.folder)
        kept = load_training(one.folder / "training.safetensors")
        found = optimizer.state()
        assert found["steps"] == kept["optimizer.steps"]
        memory = kept[f"optimizer.m.{there}"]
        assert np.abs(memory).max() > 0
        np.testing.assert_array_equal(found[f"m.arrays.{here}"], memory)


# ---- new classes ---------------------------------------------------------------------------------


def more_classes(case: str, to: Path) -> Path:
    """New data in which a class has come that was not there, before the known ones in the order."""
    if case == "images":
        return pictures(to / "more", {"black": 20, "light": 180}, 8, 2)
    if case == "sounds":
        return tones(to / "more", {"deep": 100, "high": 1500}, 8, 2)
    if case == "texts":
        return mails(to / "more.csv", {"angry": ["bad"], "glad": ["good", "fine"]}, 40, 2)
    return walks(to / "more.csv", {"constant": 0.0, "up": 1.0}, 30, 0.0, 2)


@pytest.mark.parametrize("case", ["images", "sounds", "texts", "sequences"])
def test_new_classes_grow_behind_the_known_ones_if_they_may(run, case, tmp_path):
    one, new, said = run(case), more_classes(case, tmp_path), []
    with pytest.raises(DataError, match="classes that the model does not know") as caught:
        update(one.folder, str(new), progress=False)
    assert "--grow" in caught.value.hint
    known = load_predictor(one.folder)
    result = update(one.folder, str(new), epochs=1, lr=1e-12, grow=True, progress=False,
                    say=said.append)  # fmt: skip
    assert result.report["task"] == "multiclass"
    grown = load_predictor(kept(result, tmp_path / "grown"))
    assert grown.classes[:2] == known.classes
    assert f"new classes: {grown.classes[2]}" in said
    theirs, ours = (
        p.predict(str(one.new), proba=True).select(f"probability {c}" for c in known.classes)
        for p in (known, grown)
    )
    ours = ours.to_numpy()
    # The new class takes some probability; the ratio of the others stays.
    if case != "sounds":  # its running statistics go on, whatever the rate
        np.testing.assert_allclose(ours / ours.sum(1, keepdims=True), theirs.to_numpy(), atol=1e-3)
    memory = load_training(tmp_path / "grown" / "training.safetensors")
    before = load_training(one.folder / "training.safetensors")
    path = "optimizer.m.head.weight"
    assert memory[path].shape[-1] == 3 == before[path].shape[-1] + 1
    learned = update(tmp_path / "grown", str(new), epochs=8, lr=0.01, progress=False)
    assert not is_no_better(learned.report)


# ---- what does not fit ---------------------------------------------------------------------------


def test_data_of_another_kind_are_an_error(run, tmp_path):
    sounds, words = run("sounds"), run("texts")
    for one, source in ((words, sounds.new), (run("forecasts"), sounds.new), (sounds, words.new)):
        with pytest.raises(DataError, match=r"another kind|No column of this table names"):
            update(one.folder, str(source), progress=False)
    with pytest.raises(DataError, match="This is a table"):
        update(run("language").folder, str(words.new), progress=False)
    with pytest.raises(DataError, match="The model was trained on a table"):
        update(words.folder, str(run("language").new), progress=False)
    with pytest.raises(DataError, match="no columns 'who'"):
        update(run("sequences").folder, str(words.new), progress=False)
    cr.save(tmp_path / "bare", cr.nn.Linear(1, 1).initialize(0), np.zeros((1, 1), np.float32))
    with pytest.raises(ModelFileError, match="cannot be trained on"):
        update(tmp_path / "bare", str(words.new))


@pytest.mark.parametrize(
    ("case", "change", "says"),
    [
        ("texts", lambda f: f.head(4), "too few new texts"),
        ("texts", lambda f: f.drop("text"), "no column 'text'"),
        ("texts", lambda f: f.drop("mood"), "no column 'mood'"),
        ("forecasts", lambda f: f.drop("noise"), "no column 'noise'"),
        ("forecasts", lambda f: f.drop("day"), "no column 'day'"),
        ("forecasts", lambda f: f.head(10), "too few new steps"),
        ("forecasts", lambda f: f.gather_every(2), "another step"),
        (
            "forecasts",
            lambda f: f.with_columns(day=pl.Series(DAY.astype("datetime64[ms]")
                                                   + np.arange(120) * 3_600_000)),
            "another step",
        ),
        ("sequences", lambda f: f.head(6 * 4), "too few new sequences"),
        ("sequences", lambda f: f.drop("t"), "no column 't'"),
        ("sequences", lambda f: f.drop("kind"), "no column 'kind'"),
    ],
)  # fmt: skip
def test_tables_that_do_not_fit(run, case, change, says, tmp_path):
    one = run(case)
    change(pl.read_csv(one.new)).write_csv(tmp_path / "wrong.csv")
    with pytest.raises(DataError, match=says):
        update(one.folder, str(tmp_path / "wrong.csv"), progress=False)


def test_texts_that_do_not_fit(run, tmp_path):
    model = run("language").folder
    with pytest.raises(DataError, match="shorter than the context"):
        update(model, str(letters(tmp_path / "short.txt", "to be", 1)))
    with pytest.raises(DataError, match="unknown to the model"):
        update(model, str(letters(tmp_path / "greek.txt", "αβγδεζηθ ", 60)))
    said = []
    new = letters(tmp_path / "new.txt", "to be or not to be? ", 60)
    update(model, str(new), epochs=1, progress=False, say=said.append)
    assert "5.00% of the tokens are not in the vocabulary: they count as unknown" in said


def test_folders_of_files_that_do_not_fit(run, tmp_path):
    one = run("sounds")
    with pytest.raises(DataError, match="too few new sounds"):
        update(one.folder, str(tones(tmp_path / "few", {"high": 1500, "low": 300}, 2, 0)))
    with pytest.raises(DataError, match="One file is not enough"):
        update(one.folder, str(one.new / "high" / "00.wav"))
    parts = tones(tmp_path / "parts", {"train": 1500, "test": 300}, 4, 0)
    with pytest.raises(DataError, match="parts of the data"):
        update(one.folder, str(parts), grow=True)
    bad = tones(tmp_path / "bad", {"high": 1500, "low": 300}, 4, 0)
    (bad / "low" / "01.wav").write_bytes(b"no sound")
    with pytest.raises(DataError, match="--skip-bad"):
        update(one.folder, str(bad))
    report = update(one.folder, str(bad), epochs=1, skip_bad=True, progress=False).report
    assert sum(report["rows"].values()) == 7


@pytest.mark.parametrize(
    ("case", "requested", "says"),
    [
        ("language", {"grow": True}, "Nothing can grow"),
        ("forecasts", {"grow": True}, "Nothing can grow"),
        ("texts", {"skip_bad": True}, "no option --skip-bad"),
        ("texts", {"epochs": 0}, "at least one epoch"),
        ("images", {"lr": -1.0}, "must be above 0"),
        ("sequences", {"test": 1.0}, "between 0 and 1"),
    ],
)
def test_options_that_do_not_fit(run, case, requested, says):
    one = run(case)
    with pytest.raises(ConfigError, match=says):
        update(one.folder, str(one.new), progress=False, **requested)


def test_nothing_is_written_where_something_is_wrong(run, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from chainrule.cli.app import app

    one = run("texts")
    monkeypatch.chdir(tmp_path)
    more_classes("texts", tmp_path)
    result = CliRunner().invoke(app, ["update", str(one.folder), "more.csv"])
    assert result.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["more.csv"]
    result = CliRunner().invoke(app, ["update", str(one.folder), "more.csv", "--grow", "-q"])
    assert result.exit_code == 0, result.output
    assert "new texts that were held out" in result.stdout
    (made,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in made.iterdir()} == {
        "history.jsonl", "model.safetensors", "report.html", "report.json", "run.json",
        "training.safetensors",
    }  # fmt: skip


def test_no_better_is_told_by_the_first_metric_that_differs():
    def report(now, before):
        return {"metrics": now, "baselines": {BEFORE: before}}

    same, nan = {"accuracy": 1.0, "log_loss": 0.2}, float("nan")
    assert is_no_better(report(same, same))
    assert not is_no_better(report({**same, "log_loss": 0.1}, same))
    assert is_no_better(report({**same, "log_loss": 0.3}, same))
    assert is_no_better(report({"accuracy": 0.9, "log_loss": 0.1}, same))
    assert not is_no_better(report({"accuracy": nan, "log_loss": 0.1}, {**same, "accuracy": nan}))
    assert is_no_better(report({"mae": 2.0}, {"mae": 1.0}))


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("texts", lambda s: s["shape"].update(vocabulary=10**12)),
        ("texts", lambda s: s["shape"].update(width=7)),
        ("forecasts", lambda s: s["shape"].update(horizon=10**12)),
        ("forecasts", lambda s: s.pop("floor")),
        ("sequences", lambda s: s.update(hidden=[10**12])),
        ("language", lambda s: s["shape"].update(width=10**9)),
    ],
)
def test_a_damaged_description_of_the_network_is_an_error(run, case, change):
    one = run(case)
    old = Old.of(one.folder)
    change(old.saved.schema)
    with pytest.raises(ChainruleError):
        one.module.continuation(old, str(one.new), UpdateOptions(), lambda sentence: None)
