"""From folders and tables of images to predictions, on the command line and in Python."""

import json

import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

import chainrule as cr
from chainrule.cli.app import app
from chainrule.errors import ConfigError, DataError
from chainrule.tasks import load_predictor
from chainrule.tasks.images import ImageOptions, train_images

from .conftest import make_bars


def invoke(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})


def train(source, **options):
    options = {"epochs": 1, "backend": "numpy", "augment": "none", "test": 0.2} | options
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

    def test_folders_that_are_a_split_are_used_as_such(self, tmp_path):
        make_bars(tmp_path / "all" / "seg_train", 20)
        make_bars(tmp_path / "all" / "seg_test", 6, seed=1)
        make_bars(tmp_path / "all" / "seg_pred" / "lying", 1, seed=2)
        said = []
        options = ImageOptions(epochs=1, backend="numpy")
        result = train_images(tmp_path / "all", options, progress=False, say=said.append)
        assert result.schema.classes == ("lying", "upright")
        assert result.report["rows"] == {"train": 40, "test": 12}
        assert any("seg_test is the test set (12)" in sentence for sentence in said)
        assert any("seg_pred: 2 images without a class" in sentence for sentence in said)
        with pytest.raises(ConfigError, match="split already"):
            train(tmp_path / "all", test=0.3)
        result.save(tmp_path / "m")
        with pytest.raises(DataError, match="parts of the data") as caught:
            load_predictor(tmp_path / "m").evaluate(tmp_path / "all")
        assert str(tmp_path / "all" / "seg_") in caught.value.hint

    def test_a_table_that_says_the_split(self, bars):
        rows = [
            (f"{n:03}", label, ("train", "val", "test")[min(n // 10, 2)])
            for label, k in (("lying", 0), ("upright", 1))
            for n in range(24)
            if n % 2 == k
        ]
        frame = pl.DataFrame(rows, schema=["id", "way", "split"], orient="row")
        for label, k in (("lying", 1), ("upright", 0)):
            for n in range(k, 24, 2):
                (bars / label / f"{n:03}.png").unlink()
        frame.write_csv(bars / "t.csv")
        said = []
        options = ImageOptions(epochs=1, backend="numpy", target="way")
        result = train_images(bars / "t.csv", options, progress=False, say=said.append)
        assert result.report["rows"] == {"train": 20, "test": 4}
        assert any("'split' says a split already" in sentence for sentence in said)

    def test_a_folder_of_its_own_to_test(self, bars, tmp_path):
        other = make_bars(tmp_path / "other", count=3)
        (other / "askew").mkdir()
        Image.new("L", (12, 12)).save(other / "askew" / "1.png")
        said = []
        options = ImageOptions(epochs=1, backend="numpy", test=str(other))
        result = train_images(bars, options, progress=False, say=said.append)
        assert result.report["rows"] == {"train": 45, "test": 6}
        assert any("'askew' is no class" in sentence for sentence in said)
        # The first three bars are the same in both folders.
        assert any("3 images to train on are copies of those to test" in s for s in said)


def test_it_begins_with_the_weights_of_another_model(bars, bars_model):
    place, _ = bars_model
    said = []
    options = ImageOptions(
        epochs=1, backend="numpy", lr=1e-6, from_model=str(place / "run"), freeze=("network.body",),
        test=0.2,
    )  # fmt: skip
    result = train_images(bars, options, progress=False, say=said.append)
    assert result.report["metrics"]["accuracy"] >= 0.8  # after an epoch that changes nothing
    assert said[0].startswith("taken over: network")


class TestFewImages:
    def test_all_are_tested_and_all_train(self, bars):
        said = []
        options = ImageOptions(epochs=4, backend="numpy")
        result = train_images(bars, options, progress=False, say=said.append)
        assert result.report["cv"]["folds"] == 5
        assert result.report["tested"] == 48
        assert result.report["rows"] == {"train": 48, "test": 0}
        assert any("48 images are few: all are tested, each by 2 networks" in s for s in said)
        assert result.report["network"] == "10 networks (lenet)"
        assert any("the last are kept" in sentence for sentence in said)
        assert train(bars, test=None, cv=3).report["cv"]["folds"] == 3

    def test_what_is_tested_was_not_seen(self, tmp_path):
        """Of noise with classes by chance all is learned by heart, and nothing can be known."""
        generator = np.random.default_rng(3)
        for n in range(30):
            folder = tmp_path / "x" / "ab"[n % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 255, (8, 8)).astype("uint8")).save(
                folder / f"{n}.png"
            )
        result = train(tmp_path / "x", test=None, members=4, epochs=40)
        assert result.report["metrics"]["accuracy"] < 0.8
        result.save(tmp_path / "model")
        known = load_predictor(tmp_path / "model").evaluate(str(tmp_path / "x"))
        assert known["accuracy"] == 1

    def test_a_single_network_where_the_user_wants_it(self, bars):
        result = train(bars, test=None, members=1)
        assert (result.report["network"], result.report["cv"]["folds"]) == ("lenet", 5)

    def test_several_networks_learn_side_by_side_where_the_user_wants_it(self, bars, tmp_path):
        one, three = train(bars), train(bars, members=3)
        assert three.report["network"] == "3 networks (lenet)"
        assert three.report["parameters"] == 3 * one.report["parameters"]

    def test_numbers_of_networks_with_scales_of_their_own(self, bars, tmp_path):
        names = [f"{label}/{n:03}.png" for label in ("lying", "upright") for n in range(24)]
        values = 1000 + np.random.default_rng(0).exponential(1, 48).round(3)
        rows = "".join(f"{name},{value}\n" for name, value in zip(names, values, strict=True))
        (bars / "labels.csv").write_text(f"file,y\n{rows}")
        result = train(bars / "labels.csv", target="y", test=None, members=3)
        result.save(tmp_path / "model")
        model = load_predictor(tmp_path / "model")
        found = model.predict(str(bars / "labels.csv"))["prediction"].to_numpy()
        state, report = model.saved.state(), result.report
        assert report["network"] == "3 networks (lenet)"
        assert state["scale.mean"] == pytest.approx(values.mean())
        assert np.abs(found - values.mean()).max() < 10 * values.std()
        assert report["metrics"]["rmse"] < 10 * values.std()


class TestSeveralNetworks:
    """What is done with a model of several networks, after its training."""

    def test_the_mean_of_their_probabilities(self, several_bars):
        model = load_predictor(several_bars / "run")
        images = np.stack(
            [np.array(Image.open(p)) for p in sorted(several_bars.glob("bars/*/*.png"))[:5]]
        )
        x = images[..., None].astype("float32")
        from chainrule.explain.stored import StoredNetwork

        z = np.asarray(StoredNetwork(model.saved, before_output=True)(x).numpy(), float)
        assert z.shape == (3, 5, 2)
        e = np.exp(z - z.max(axis=2, keepdims=True))
        expected = (e / e.sum(axis=2, keepdims=True)).mean(axis=0)
        np.testing.assert_allclose(model.saved.predict(x), expected, rtol=1e-5)
        assert model.hidden(str(several_bars / "bars")).shape == (48, 3 * 128)

    def test_update_goes_on_with_the_state_of_all_optimizers(self, several_bars, tmp_path):
        result = invoke(
            "update",
            several_bars / "run",
            several_bars / "bars",
            "--epochs",
            1,
            "--out",
            tmp_path / "u",
        )
        assert result.exit_code == 0, result.output
        assert "starts anew" not in result.stderr
        assert load_predictor(tmp_path / "u").record["report"]["parameters"] == 3 * 50_498

    def test_a_start_from_several_gives_one_or_several(self, several_bars):
        said = []
        for members, parameters in ((None, 50_498), (2, 2 * 50_498)):
            options = ImageOptions(
                epochs=1, backend="numpy", augment="none", test=0.5, members=members,
                from_model=str(several_bars / "run"),
            )  # fmt: skip
            result = train_images(several_bars / "bars", options, progress=False, say=said.append)
            assert result.report["parameters"] == parameters
        assert not [sentence for sentence in said if "newly" in sentence or "not used" in sentence]

    def test_explain_measures_the_error_of_each(self, several_bars):
        from chainrule.explain.files import explain_rows

        model = load_predictor(several_bars / "run")
        explanation = explain_rows(several_bars / "run", str(several_bars / "bars"), [0])
        examples = model.examples(str(several_bars / "bars"), [0])
        from chainrule.explain.stored import StoredNetwork

        z = StoredNetwork(model.saved, before_output=True)(examples.inputs).numpy()[:, 0]
        log_p = z - np.log(np.exp(z.astype(float)).sum(axis=1, keepdims=True))
        target = np.array([0.975, 0.025])[[0, 1] if examples.target[0] == 0 else [1, 0]]
        assert float(explanation.loss) == pytest.approx(-(log_p * target).sum(axis=1).mean(), 1e-5)


class TestOwnContrast:
    """Whether light and colour as a whole are taken off, by what a trial says."""

    def folder(self, place, lit):
        generator = np.random.default_rng(0)
        for n in range(60):
            upright = n % 2
            x = np.full((8, 8), 0.0)
            x[generator.integers(1, 7)] = 1.0
            level, height = generator.uniform(20, 200), generator.uniform(30, 55)
            if lit:  # the light is the class, not the bar
                level, x = (60 + 60 * upright, x if generator.random() < 0.5 else x.T)
            elif upright:
                x = x.T
            pixels = level + height * x + generator.normal(0, 3, x.shape)
            path = place / ("a", "b")[upright] / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(pixels, 0, 255).astype("uint8")).save(path)
        return place

    @pytest.mark.parametrize("lit", [False, True])
    def test_only_where_they_mean_nothing(self, tmp_path, lit):
        said = []
        options = ImageOptions(epochs=40, backend="numpy", augment="none", test=0.2)
        folder = self.folder(tmp_path / "x", lit)
        result = train_images(folder, options, progress=False, say=said.append)
        assert result.schema.contrast is not lit
        assert any("at their own mean and contrast" in sentence for sentence in said) is not lit
        assert result.report["metrics"]["accuracy"] > 0.9
        result.save(tmp_path / "model")
        told = load_predictor(tmp_path / "model").evaluate(str(folder))
        assert told["accuracy"] > 0.9

    def test_who_interrupts_a_trial_ends_the_training(self, tmp_path, monkeypatch):
        def interrupted(*arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr(cr.Trainer, "_epoch", interrupted)
        options = ImageOptions(epochs=40, backend="numpy", augment="none", test=0.2)
        with pytest.raises(KeyboardInterrupt):
            train_images(self.folder(tmp_path / "x", False), options, progress=False)

    def test_a_training_with_a_limit_of_time_does_without_the_trial(self, tmp_path):
        said = []
        options = ImageOptions(
            epochs=1, backend="numpy", augment="none", test=0.2, members=1, minutes=5
        )
        folder = self.folder(tmp_path / "x", False)
        result = train_images(folder, options, progress=False, say=said.append)
        assert not result.schema.contrast
        assert any("with --minutes it is not tried" in sentence for sentence in said)


class TestFoldsAndParts:
    def test_a_test_set_and_folds_are_one_too_many(self, bars):
        with pytest.raises(ConfigError, match="Cross-validation tests on all"):
            train(bars, cv=3, test=0.2)
        with pytest.raises(ConfigError, match="cv"):
            train(bars, cv=1)

    def test_validation_by_others_where_the_user_wants_it(self, bars):
        said = []
        options = ImageOptions(epochs=1, backend="numpy", validation=0.25, test=0.25)
        result = train_images(bars, options, progress=False, say=said.append)
        assert result.report["rows"] == {"train": 36, "test": 12}
        assert any("9 others choose the best weights" in sentence for sentence in said)

    def test_too_many_copies_for_five_folds(self, tmp_path):
        make_bars(tmp_path / "x", count=2)
        for path in [*(tmp_path / "x").glob("*/*.png")]:
            for k in range(6):
                (path.parent / f"{path.stem}_{k}.png").write_bytes(path.read_bytes())
        result = train(tmp_path / "x", test=None)
        assert result.report["cv"]["folds"] == 4


class TestChangesAreTried:
    @pytest.mark.parametrize("named", [None, "light"])
    def test_flips_that_make_another_class(self, tmp_path, named):
        generator = np.random.default_rng(0)
        for label in ("east", "west"):
            (tmp_path / "x" / label).mkdir(parents=True)
            for n in range(40):
                pixels = generator.integers(0, 60, (8, 8, 3), dtype=np.uint8)
                pixels[1 + n % 5 : 3 + n % 5, 5:, :2] = 230
                image = pixels if label == "east" else pixels[:, ::-1]
                Image.fromarray(image).save(tmp_path / "x" / label / f"{n}.png")
        said = []
        options = ImageOptions(epochs=40, backend="numpy", augment=named, test=0.25)
        result = train_images(tmp_path / "x", options, progress=False, say=said.append)
        dropped = [sentence for sentence in said if "not changed by flip" in sentence]
        assert len(dropped) == (named is None)
        assert any(("random by flip" in sentence) == (named is not None) for sentence in said)
        if named is None:
            assert result.report["metrics"]["accuracy"] == 1.0


class TestCopies:
    def test_labels_that_mean_nothing_are_not_learned_from_copies(self, tmp_path):
        generator = np.random.default_rng(0)
        for i in range(24):
            pixels = generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            folder = tmp_path / "x" / ("benign", "malignant")[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            for k in range(5):
                Image.fromarray(pixels).save(folder / f"{i}_{k}.png")
        said = []
        options = ImageOptions(epochs=8, backend="numpy", augment="none")
        result = train_images(tmp_path / "x", options, progress=False, say=said.append)
        assert any(
            "120 of 120 images are copies of others, or nearly: 24 groups" in s for s in said
        )
        assert result.report["data"]["groups_of_copies"] == 24
        assert result.report["metrics"]["accuracy"] <= 0.8

    def test_copies_with_other_classes_are_counted(self, bars):
        (bars / "upright" / "x.png").write_bytes((bars / "lying" / "001.png").read_bytes())
        said = []
        options = ImageOptions(epochs=1, backend="numpy", augment="none", test=0.2)
        train_images(bars, options, progress=False, say=said.append)
        assert any("1 groups" in s and "in 1 of them the classes differ" in s for s in said)


class TestColoursAndLevels:
    @pytest.mark.parametrize("grey", ["a", "z"])
    def test_grey_is_decided_by_all_classes(self, tmp_path, grey):
        generator = np.random.default_rng(0)
        colours = {grey: (64, 64, 64), "m": (40, 40, 250), "n": (120, 40, 40)}
        for label, colour in colours.items():
            (tmp_path / "x" / label).mkdir(parents=True)
            for n in range(60):
                noise = generator.integers(-20, 21, (8, 8, 1))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "x" / label / f"{n}.png")
        result = train(tmp_path / "x", epochs=12)
        assert result.schema.channels == 3
        assert result.report["metrics"]["accuracy"] >= 0.95

    def test_images_of_16_bits_have_one_scale_that_is_saved(self, tmp_path):
        generator = np.random.default_rng(0)
        for label, factor in (("bright", 16), ("dim", 1)):
            (tmp_path / "x" / label).mkdir(parents=True)
            for n in range(30):
                pixels = np.clip(120 + generator.normal(0, 20, (8, 8)), 0, 255) * factor
                image = Image.fromarray(pixels.astype(np.uint16))
                image.save(tmp_path / "x" / label / f"{n}.png")
        result = train(tmp_path / "x", epochs=12)
        assert result.schema.levels == (0, 4095)
        assert result.report["metrics"]["accuracy"] == 1.0
        result.save(tmp_path / "m")
        predictor = load_predictor(tmp_path / "m")
        assert predictor.schema == result.schema
        alone = predictor.predict(tmp_path / "x" / "dim" / "3.png")
        assert alone["prediction"].to_list() == ["dim"]

    def test_white_on_transparent_pixels(self, tmp_path):
        for label in ("lying", "upright"):
            (tmp_path / "x" / label).mkdir(parents=True)
            for n in range(6):
                layer = np.zeros((12, 12, 4), np.uint8)
                layer[..., :3] = 255
                layer[n : n + 3, 1 + n % 2 :, 3] = 255
                turned = layer if label == "lying" else layer.transpose(1, 0, 2).copy()
                Image.fromarray(turned).save(tmp_path / "x" / label / f"{n}.png")
        said = []
        options = ImageOptions(epochs=1, backend="numpy", test=0.2)
        result = train_images(tmp_path / "x", options, progress=False, say=said.append)
        assert result.schema.background == 0
        assert any("transparent pixels become black" in sentence for sentence in said)


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
        options = ImageOptions(epochs=1, backend="numpy", skip_bad=True, test=0.2)
        result = train_images(bars, options, progress=False, say=said.append)
        assert sum(result.report["rows"].values()) == 46
        assert any("007.png: an empty file" in sentence for sentence in said)
        assert any("000.png" in sentence for sentence in said)

    def test_a_class_that_is_emptied_is_an_error(self, bars):
        for path in (bars / "lying").iterdir():
            path.write_bytes(b"x")
        with pytest.raises(DataError, match="No file of the class 'lying' can be read") as caught:
            train(bars, skip_bad=True)
        assert "24 images" in caught.value.found

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


class TestCopiesOnly:
    """Of images that are copies of few others too little is left to train on or to hold out."""

    def folder(self, place, pictures, count=30):
        for number in range(count):
            label = place / "ab"[number % 2]
            label.mkdir(parents=True, exist_ok=True)
            pictures[number % len(pictures)].save(label / f"{number:02}.png")
        return place

    def pictures(self, count):
        generator = np.random.default_rng(3)
        small = generator.integers(0, 256, (count, 6, 6)).astype(np.uint8)
        return [Image.fromarray(one).resize((24, 24), Image.Resampling.BICUBIC) for one in small]

    @pytest.mark.parametrize("test", [None, 0.2])
    def test_copies_of_one_are_refused(self, tmp_path, test):
        with pytest.raises(DataError, match=r"All images are copies of one[\s\S]*30 copies of"):
            train(self.folder(tmp_path / "one", self.pictures(1)), test=test)

    @pytest.mark.parametrize("test", [None, 0.2])
    def test_copies_of_one_of_each_class_are_refused(self, tmp_path, test):
        with pytest.raises(DataError, match=r"too few different images[\s\S]*2 different ones"):
            train(self.folder(tmp_path / "two", self.pictures(2)), test=test)

    def test_a_fold_of_one_image_is_refused(self, tmp_path):
        folder = tmp_path / "numbers"
        folder.mkdir()
        first, second = self.pictures(2)
        for number in range(30):
            (first if number % 2 else second).save(folder / f"{number}.png")
        rows = "\n".join(f"{number}.png,{number * 1.5}" for number in range(30))
        (folder / "labels.csv").write_text(f"file,y\n{rows}\n")
        with pytest.raises(DataError, match="too few different images to train on"):
            train(folder / "labels.csv", target="y", test=None)

    def test_a_folder_of_the_same_images_leaves_none_to_train_on(self, tmp_path):
        pictures = self.pictures(4)
        learned = self.folder(tmp_path / "train", pictures, 8)
        tested = self.folder(tmp_path / "test", pictures, 4)
        with pytest.raises(DataError, match="All images to train on are copies of those to test"):
            train(learned, test=str(tested))

    def test_frames_that_look_alike_are_trained_on_and_said(self, tmp_path):
        generator = np.random.default_rng(4)
        first = np.asarray(self.pictures(1)[0]).astype(int)
        frames = [
            np.clip(first + generator.integers(-2, 3, first.shape), 0, 255) for _ in range(30)
        ]
        folder = self.folder(
            tmp_path / "film", [Image.fromarray(f.astype(np.uint8)) for f in frames]
        )
        said = []
        options = ImageOptions(epochs=1, backend="numpy", augment="none", test=0.2)
        train_images(folder, options, progress=False, say=said.append)
        assert any("30 images look nearly the same" in sentence for sentence in said)


class TestUntidyFiles:
    def test_white_space_around_the_paths_of_a_table(self, bars):
        names = [f"{label}/{n:03}.png" for label in ("lying", "upright") for n in range(24)]
        rows = "".join(f" {name} ,{name[:5]}\n" for name in names)
        (bars / "labels.csv").write_text(f"file,label\n{rows}")
        assert train(bars / "labels.csv", target="label").report["rows"]["train"] == 38

    def test_pixels_that_are_not_finite_are_no_image(self, bars):
        Image.fromarray(np.full((12, 12), np.nan, "float32")).save(bars / "lying" / "nan.tiff")
        with pytest.raises(DataError, match="not finite"):
            train(bars)
        said = []
        options = ImageOptions(epochs=1, backend="numpy", augment="none", test=0.2, skip_bad=True)
        train_images(bars, options, progress=False, say=said.append)
        assert any("nan.tiff" in sentence for sentence in said)

    def test_more_bits_than_those_of_the_training_are_said(self, several_bars, tmp_path):
        for n in range(3):
            x = np.full((12, 12), 4000 * n, "uint16")
            Image.fromarray(x if n else x.astype("uint8")).save(tmp_path / f"{n}.png")
        said = []
        load_predictor(several_bars / "run").predict(str(tmp_path), say=said.append)
        assert said == [
            "2 of 3 images have more than 8 bits, those of the training had 8: of integers beyond "
            "255, 65,535 is taken for white, of fractions 1"
        ]
