"""From folders and tables of images to predictions, on the command line and in Python."""

import json

import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from chainrule.cli.app import app
from chainrule.errors import ConfigError, DataError
from chainrule.tasks import load_predictor
from chainrule.tasks.images import ImageOptions, train_images

from .conftest import make_bars


def invoke(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})


def train(source, **options):
    options = {"epochs": 1, "backend": "numpy", "augment": "none"} | options
    return train_images(source, ImageOptions(**options), progress=False)


class TestCommands:
    def test_train_reports(self, bars_model):
        place, result = bars_model
        assert "80 of 12×12 pixels, grey" in result.stderr
        assert "lenet" in result.stderr
        assert "16 images that the network has not seen" in result.stdout
        record = json.loads((place / "run" / "run.json").read_text())
        assert record["kind"] == "images"
        report = record["report"]
        assert report["rows"] == {"train": 64, "test": 16}
        assert report["metrics"]["accuracy"] == 1.0
        assert report["baselines"]["majority"]["accuracy"] == 0.5
        assert 0 <= report["waited"] < 0.5

    def test_predict_a_folder_a_file_and_a_table(self, bars_model, tmp_path):
        place, _ = bars_model
        folder = invoke("predict", place / "run", place / "bars", "--proba")
        frame = pl.read_csv(folder.stdout.encode())
        assert frame.columns == ["file", "prediction", "probability lying", "probability upright"]
        truth = ["lying" if "/lying/" in path else "upright" for path in frame["file"]]
        assert (frame["prediction"] == pl.Series(truth)).mean() > 0.95
        one = place / "bars" / "lying" / "003.png"
        alone = pl.read_csv(invoke("predict", place / "run", one).stdout.encode())
        assert alone.rows() == [(str(one), "lying")]
        (place / "list.csv").write_text("picture,note\nbars/upright/001.png,x\n")
        listed = invoke("predict", place / "run", place / "list.csv")
        assert listed.stdout.splitlines()[1].endswith(",upright")

    def test_evaluate(self, bars_model):
        place, _ = bars_model
        result = invoke("evaluate", place / "run", place / "bars", "--json")
        assert json.loads(result.stdout)["metrics"]["accuracy"] > 0.95

    def test_summary(self, bars_model):
        place, _ = bars_model
        shown = invoke("summary", place / "run").stdout
        assert "12×12 pixels, grey" in shown
        document = json.loads(invoke("summary", place / "run", "--json").stdout)
        assert document["schema"]["kind"] == "images"

    def test_a_file_that_cannot_be_read_has_no_prediction(self, bars_model, tmp_path):
        place, _ = bars_model
        make_bars(tmp_path / "new", count=2)
        (tmp_path / "new" / "lying" / "000.png").write_bytes(b"")
        result = invoke("predict", place / "run", tmp_path / "new")
        frame = pl.read_csv(result.stdout.encode())
        assert frame["prediction"].null_count() == 1
        assert frame["prediction"][0] is None
        assert "000.png cannot be used: an empty file" in result.stderr

    def test_options_of_other_kinds(self, bars):
        result = invoke("train", bars, "--hidden", "8")
        assert result.exit_code == 2
        assert "images have no --hidden" in result.stderr
        assert "skip-bad" in result.stderr
        result = invoke("train", bars, "--target", "class")
        assert "the name of the folder" in result.stderr


def test_training_does_not_depend_on_chance(bars, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(bars, augment="full", seed=seed).save(tmp_path / name)
    found = [
        load_predictor(tmp_path / name).predict(bars, proba=True)["probability lying"].to_numpy()
        for name in "abc"
    ]
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


@pytest.mark.parametrize("model", ["lenet", "resnet", "mobilenet", "vgg"])
def test_every_network_trains_and_is_saved(bars, tmp_path, model):
    result = train(bars, model=model, size=(16, 12), dropout=0.1, balance=True)
    assert result.report["network"] == model
    result.save(tmp_path / "m")
    predictor = load_predictor(tmp_path / "m")
    assert predictor.schema.shape == (16, 12, 1)
    assert predictor.predict(bars).height == 48


class TestData:
    def test_a_table_of_paths_and_classes(self, bars):
        rows = [(f"{label}/{n:03}.png", label) for label in ("lying", "upright") for n in range(24)]
        pl.DataFrame(rows, schema=["file", "way"], orient="row").write_csv(bars / "t.csv")
        result = train(bars / "t.csv", target="way")
        assert result.report["task"] == "binary"
        assert result.report["target"] == "way"
        with pytest.raises(ConfigError, match="Which column"):
            train(bars / "t.csv")

    def test_a_table_of_paths_and_numbers(self, tmp_path):
        generator = np.random.default_rng(0)
        brightness = generator.integers(20, 230, 80)
        for number, level in enumerate(brightness):
            Image.new("L", (8, 8), int(level)).save(tmp_path / f"{number}.png")
        frame = pl.DataFrame({"file": [f"{n}.png" for n in range(80)], "level": brightness / 10})
        frame.write_csv(tmp_path / "t.csv")
        result = train(tmp_path / "t.csv", target="level", epochs=25)
        assert result.report["task"] == "regression"
        assert result.report["metrics"]["r2"] > 0.9
        result.save(tmp_path / "m")
        assert load_predictor(tmp_path / "m").evaluate(tmp_path / "t.csv")["r2"] > 0.9

    def test_colours_and_sizes_are_mixed(self, tmp_path):
        make_bars(tmp_path / "mixed", count=8, side=20)
        for path in sorted((tmp_path / "mixed" / "lying").iterdir())[:3]:
            Image.new("RGB", (40, 30), "red").save(path)
        result = train(tmp_path / "mixed")
        assert result.schema.shape == (20, 20, 3)
        assert "20×20 to 30×40" in result.schema.found

    def test_grey_in_three_channels_is_grey(self, tmp_path):
        assert train(make_bars(tmp_path / "x", 6, mode="RGB")).schema.channels == 1

    def test_one_class(self, bars):
        for path in (bars / "lying").iterdir():
            path.unlink()
        with pytest.raises(DataError, match="nothing to tell apart") as caught:
            train(bars)
        assert "only 'upright' with 24" in caught.value.found

    def test_parts_are_no_classes(self, tmp_path):
        make_bars(tmp_path / "all" / "train", 2)
        make_bars(tmp_path / "all" / "test", 2)
        with pytest.raises(DataError, match="parts of the data") as caught:
            train(tmp_path / "all")
        assert "--test" in caught.value.hint

    def test_a_folder_of_its_own_to_test(self, bars, tmp_path):
        other = make_bars(tmp_path / "other", count=3)
        (other / "askew").mkdir()
        Image.new("L", (12, 12)).save(other / "askew" / "1.png")
        said = []
        options = ImageOptions(epochs=1, backend="numpy", test=str(other))
        result = train_images(bars, options, progress=False, say=said.append)
        assert result.report["rows"] == {"train": 48, "test": 6}
        assert any("'askew' is no class" in sentence for sentence in said)


def test_it_begins_with_the_weights_of_another_model(bars, bars_model):
    place, _ = bars_model
    said = []
    options = ImageOptions(
        epochs=1, backend="numpy", lr=1e-6, from_model=str(place / "run"), freeze=("network.body",)
    )
    result = train_images(bars, options, progress=False, say=said.append)
    assert result.report["metrics"]["accuracy"] >= 0.8  # after an epoch that changes nothing
    assert said[0].startswith("taken over: network")


class TestBadFiles:
    def test_they_are_named(self, bars):
        (bars / "lying" / "007.png").write_bytes(b"")
        with pytest.raises(DataError) as caught:
            train(bars)
        assert caught.value.where.endswith("007.png")
        assert "--skip-bad" in caught.value.hint

    def test_they_are_skipped_and_listed(self, bars):
        (bars / "lying" / "007.png").write_bytes(b"")
        (bars / "upright" / "000.png").write_bytes(b"\x89PNG\r\n")
        said = []
        options = ImageOptions(epochs=1, backend="numpy", skip_bad=True)
        result = train_images(bars, options, progress=False, say=said.append)
        assert sum(result.report["rows"].values()) == 46
        assert any("007.png: an empty file" in sentence for sentence in said)
        assert any("000.png" in sentence for sentence in said)

    def test_only_bad_files(self, bars):
        for path in bars.glob("*/*.png"):
            path.write_bytes(b"x")
        with pytest.raises(DataError, match="cannot be read"):
            train(bars, skip_bad=True)


def test_without_pillow(bars, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigError, match="Pillow") as caught:
        train(bars)
    assert "chainrule[images]" in caught.value.hint


def test_files_that_do_not_fit_into_memory_are_read_again(bars, monkeypatch):
    kept = train(bars, epochs=2)
    monkeypatch.setattr("chainrule.tasks.media.reading.MAX_CACHED", 100)
    streamed = train(bars, epochs=2)
    assert kept.history["loss"] == streamed.history["loss"]
    assert kept.report["metrics"] == streamed.report["metrics"]
