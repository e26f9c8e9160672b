"""Models of data of every kind, explained on examples from files."""

from __future__ import annotations

import wave

import numpy as np
import pytest
from typer.testing import CliRunner

import chainrule as cr
from chainrule.cli.app import app
from chainrule.errors import DataError
from chainrule.explain.checker import check
from chainrule.explain.files import explain_rows
from chainrule.explain.text import to_text
from chainrule.tasks import module_of

QUICK = {"epochs": 1, "backend": "numpy"}


def trained(kind, path, source, **options):
    module = module_of(kind)
    module.train(source, module.Options(**QUICK, **options), progress=False).save(path)
    return path


def output_of(told):
    return next(np.asarray(n.value.data) for n in told.nodes if n.role == "output")


def holds(told):
    wrong = [one for one in check(to_text(told), slack=3e-5) if not one.holds]
    assert not wrong


def write_images(folder):
    Image = pytest.importorskip("PIL.Image")
    generator = np.random.default_rng(0)
    for label, low in (("dark", 0), ("light", 150)):
        (folder / label).mkdir(parents=True)
        for number in range(6):
            pixels = generator.integers(low, low + 100, (8, 8)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def test_an_image_by_its_number_and_by_its_name(tmp_path):
    folder = write_images(tmp_path / "pictures")
    path = trained("images", tmp_path / "model.safetensors", folder)
    told = explain_rows(path, folder, [7])
    assert told.rows[0].cells[0]["text"] == str(folder / "light" / "1.png")
    assert told.rows[0].target["text"] == "light"
    assert not any("bfloat16" in note for note in told.notes)
    alone = explain_rows(path, folder / "light" / "1.png")
    assert alone.loss == told.loss
    # The loss of the training: -Σ t·ln p, with 0.05 of the target shared by both classes.
    p = cr.tasks.load_predictor(path).predict(folder / "light" / "1.png", proba=True)
    p = [p["probability dark"][0], p["probability light"][0]]
    assert told.loss == pytest.approx(-0.025 * np.log(p[0]) - 0.975 * np.log(p[1]), rel=1e-4)
    assert f"({p[1]:.1%})" in told.rows[0].prediction or f"({p[0]:.1%})" in told.rows[0].prediction
    learned = {one.path for one in told.update.parameters}
    assert learned
    assert not [name for name in learned if name.endswith(("mean", "std"))]
    holds(told)


def test_an_image_without_a_known_class(tmp_path):
    folder = write_images(tmp_path / "pictures")
    path = trained("images", tmp_path / "model.safetensors", folder)
    (tmp_path / "new").mkdir()
    (folder / "light" / "1.png").rename(tmp_path / "new" / "1.png")
    with pytest.raises(DataError, match="needs the target") as caught:
        explain_rows(path, tmp_path / "new" / "1.png")
    assert "dark, light" in caught.value.expected
    with pytest.raises(DataError, match="There is no row 11"):
        explain_rows(path, folder, [11])


def test_a_number_of_each_image(tmp_path):
    folder = write_images(tmp_path / "pictures")
    names = [f"{label}/{n}.png" for label in ("dark", "light") for n in range(6)]
    lines = [f"{name},{5.5 * number + 3}" for number, name in enumerate(names)]
    (folder / "sizes.csv").write_text("\n".join(["file,size", *lines]) + "\n")
    sizes = folder / "sizes.csv"
    path = trained("images", tmp_path / "model.safetensors", sizes, target="size", precision="bf16")
    told = explain_rows(path, sizes, [4])
    assert any("rounded to bfloat16" in note for note in told.notes)
    state = cr.load(path).state()
    goal = (5.5 * 4 + 3 - state["scale.mean"]) / state["scale.std"]
    assert told.loss == pytest.approx(float((output_of(told)[0] - goal) ** 2), rel=1e-4)


def test_a_sound(tmp_path):
    generator = np.random.default_rng(0)
    for label, rise in (("low", 0.2), ("high", 0.9)):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for number in range(4):
            x = np.sin(rise * np.arange(800)) + 0.05 * generator.standard_normal(800)
            with wave.open(str(tmp_path / "sounds" / label / f"{number}.wav"), "wb") as file:
                file.setparams((1, 2, 4000, 0, "NONE", ""))
                file.writeframes((9000 * x).astype("<i2").tobytes())
    path = trained("audio", tmp_path / "model.safetensors", tmp_path / "sounds")
    told = explain_rows(path, tmp_path / "sounds", [5])
    assert told.rows[0].target["text"] == "low"
    assert not [one.path for one in told.update.parameters if "mel" in one.path]
    assert np.isfinite(told.loss)


@pytest.fixture
def moods(tmp_path):
    texts = [f"{('good', 'bad')[n % 2]} film of {n}" for n in range(24)]
    lines = [f"{text},{'glad' if 'good' in text else 'sad'}" for text in texts]
    (tmp_path / "moods.csv").write_text("\n".join(["text,mood", *lines]) + "\n")
    return tmp_path / "moods.csv"


@pytest.mark.parametrize("model", ["bag", "lstm"])
def test_a_text(moods, tmp_path, model):
    path = trained(
        "text", tmp_path / "model.safetensors", moods, target="mood", model=model, hidden=(4,)
    )
    told = explain_rows(path, moods, [1])
    assert told.rows[0].cells[0]["text"] == "bad film of 1"
    assert told.rows[0].target["text"] == "sad"
    p = cr.tasks.load_predictor(path).predict(moods, proba=True)["probability sad"][1]
    assert told.loss == pytest.approx(-np.log(p), rel=1e-4)
    assert told.update.optimizer == "AdamW"
    holds(told)
    moods.write_text("text\ngood\n")
    with pytest.raises(DataError, match="needs the target") as caught:
        explain_rows(path, moods)
    assert "mood" in caught.value.expected


def test_a_window_of_a_text(tmp_path):
    text = tmp_path / "rhyme.txt"
    text.write_text("one two three four five\n" * 30)
    path = trained("text", tmp_path / "model.safetensors", text, hidden=(8,), context=8)
    told = explain_rows(path, text, [2])
    assert told.rows[0].cells[0]["text"] == text.read_text()[16:24].strip()
    assert "".join(told.labels["x"]) == text.read_text()[16:24]
    # The five likeliest tokens after the window, by the model's own probabilities.
    network = cr.tasks.load_predictor(path).network
    logits = network(cr.tensor(told.nodes[0].value.data[None].astype("int64"))).numpy()[0, -1]
    best = np.sort(np.exp(logits) / np.exp(logits).sum())[::-1][:5]
    for odds, said in zip(best, told.rows[0].prediction.split("%), "), strict=True):
        assert f"{odds:.1%}"[:-1] in said
    line = tmp_path / "line.txt"
    line.write_text("two")
    short = explain_rows(path, line)
    nats = cr.tasks.load_predictor(path).evaluate(line)["nats_per_character"]
    assert short.loss == pytest.approx(nats, rel=1e-4)
    holds(short)


def test_a_window_of_a_series(tmp_path):
    sold = 10 + np.sin(np.arange(120) * 2 * np.pi / 6)
    path = trained("series", tmp_path / "model.safetensors", {"sold": sold}, target="sold",
                   model="linear", window=6, horizon=2)  # fmt: skip
    told = explain_rows(path, {"sold": sold}, [30])
    state = cr.load(path).state()
    mean, std = state["network.scale.mean"][0], state["network.scale.std"][0]
    goal = (sold[36:38] - mean) / std
    assert told.loss == pytest.approx(float(((output_of(told) - goal) ** 2).mean()), rel=1e-4)
    assert list(told.labels.values()) == [("sold",)]
    holds(told)
    with pytest.raises(DataError, match="no row 200"):
        explain_rows(path, {"sold": sold}, [200])


def test_a_sequence(tmp_path):
    steps = np.tile(np.arange(5.0), 12)
    who = np.repeat(np.arange(12), 5)
    level = np.where(who % 2, 4.0, 0.0) + 0.1 * steps
    data = {"who": who, "level": level, "kind": np.where(who % 2, "up", "down")}
    path = trained("series", tmp_path / "model.safetensors", data, target="kind", group="who",
                   model="linear")  # fmt: skip
    told = explain_rows(path, data, [3])
    assert told.rows[0].target["text"] == "up"
    p = cr.tasks.load_predictor(path).predict(data, proba=True)["probability up"][3]
    assert told.loss == pytest.approx(-np.log(p), rel=1e-4)
    holds(told)


def test_the_optimizer_is_that_of_the_training(tmp_path):
    sold = 10 + np.sin(np.arange(120) * 2 * np.pi / 6)
    module = module_of("series")
    options = module.Options(target="sold", model="linear", clip=0.5, l2=0.01, **QUICK)
    result = module.train({"sold": sold}, options, progress=False)
    assert result.report["optimizer"] == {
        "weight_decay": 0.05,
        "clip": 0.5,
        "l2": 0.01,
        "rate": 0.002,
    }
    result.save(tmp_path / "model.safetensors")
    predictor = cr.tasks.load_predictor(tmp_path / "model.safetensors")
    again = cr.tasks.optimizer.optimizer_again(module.Options, predictor.record, [])
    assert (again.weight_decay, again.clip_norm, again.l2) == (0.05, 0.5, 0.01)
    assert again.betas == (0.9, 0.99)


def test_the_command(moods, tmp_path):
    path = trained("text", tmp_path / "model.safetensors", moods, target="mood", hidden=(4,))
    arguments = ["explain", str(path), str(moods), "--row", "3"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "Text 3" in result.stdout
    assert "Row 3 of the table" not in result.stdout
