"""From folders of sounds to predictions, on the command line and in Python."""

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from chainrule.cli.app import app
from chainrule.errors import ConfigError, DataError
from chainrule.tasks import load_predictor
from chainrule.tasks.audio import AudioOptions, train_audio
from chainrule.tasks.audio.augment import CHANGES, Augment, parse

from .conftest import make_tones, tone, write_wav


def train(source, said=None, **options):
    options = {"epochs": 1, "backend": "numpy", "augment": "none", "test": 0.2} | options
    say = (lambda sentence: None) if said is None else said.append
    return train_audio(source, AudioOptions(**options), progress=False, say=say)


def test_the_whole_way(tones, tmp_path):
    def invoke(*arguments):
        result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output
        return result

    given = (
        "--epochs",
        6,
        "--backend",
        "numpy",
        "--batch-size",
        8,
        "--seconds",
        0.1,
        "--test",
        0.2,
    )
    result = invoke(
        "train", tones, *given, "--augment", "shift", "--test", 0.2, "--out", tmp_path / "run"
    )
    assert "24, of 0.30 to 0.30 s, at 8,000 Hz" in result.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["kind"] == "audio"
    assert record["report"]["metrics"]["accuracy"] >= 0.8
    assert set(record["report"]["baselines"]) == {"majority", "linear"}
    frame = pl.read_csv(invoke("predict", tmp_path / "run", tones).stdout.encode())
    truth = ["low" if "/low/" in path else "high" for path in frame["file"]]
    assert (frame["prediction"] == pl.Series(truth)).mean() >= 0.8
    metrics = json.loads(invoke("evaluate", tmp_path / "run", tones, "--json").stdout)["metrics"]
    assert metrics["accuracy"] >= 0.8
    assert "8,000 Hz" in invoke("summary", tmp_path / "run").stdout


def test_how_loud_a_sound_is_does_not_matter(tones, tmp_path):
    train(tones, seconds=0.1).save(tmp_path / "m")
    predictor = load_predictor(tmp_path / "m")
    x = tone(450, 8000) + 0.02 * np.random.default_rng(5).standard_normal(2400)
    for name, level in (("loud", 1.0), ("soft", 0.1)):
        write_wav(tmp_path / f"{name}.wav", x * level)
    found = [
        predictor.predict(tmp_path / f"{name}.wav", proba=True)["probability low"][0]
        for name in ("loud", "soft")
    ]
    assert abs(found[0] - found[1]) < 0.02


def test_other_rates_channels_and_lengths_are_told_once(tones):
    write_wav(tones / "low" / "a.wav", tone(400, 16_000), 16_000)
    write_wav(tones / "low" / "b.wav", np.stack([tone(400, 16_000)] * 2, axis=1), 16_000)
    write_wav(tones / "high" / "c.wav", tone(1600, 8000, seconds=3.0))
    said = []
    result = train(tones, said)
    assert result.schema.rate == 8000
    assert [sum(word in s for s in said) for word in ("resampled", "mean", "middle")] == [1, 1, 1]


def test_channels_that_cancel(tmp_path):
    generator = np.random.default_rng(0)
    for label, frequency in (("low", 400), ("high", 1600)):
        for number in range(12):
            x = tone(frequency * generator.uniform(0.85, 1.15), 8000)
            x = x + 0.02 * generator.standard_normal(len(x))
            write_wav(tmp_path / "t" / label / f"{number}.wav", np.stack([x, -x], axis=1))
    said = []
    result = train(tmp_path / "t", said, epochs=6, batch_size=8, seconds=0.1)
    assert any("24 of 24 sounds cancel each other" in sentence for sentence in said)
    assert not any("mean is taken" in sentence for sentence in said)
    assert result.report["baselines"]["linear"]["accuracy"] == 1.0


def test_copies_are_on_one_side(tmp_path):
    generator = np.random.default_rng(0)
    for n in range(12):
        x = np.convolve(generator.standard_normal(4000), np.ones(1 + n % 4)) * 0.1
        for k, changed in enumerate((x, x * 0.5, x + 1e-4 * generator.standard_normal(len(x)))):
            write_wav(tmp_path / "t" / ("a", "b")[n % 2] / f"{n}_{k}.wav", changed)
    said = []
    train(tmp_path / "t", said)
    assert any("36 of 36 sounds are copies of others, or nearly: 12 groups" in s for s in said)
    said.clear()
    train(make_tones(tmp_path / "u"), said)
    assert not any("copies" in sentence for sentence in said)


def test_short_sounds_beside_a_long_one_are_no_copies_and_silence_is_said(tmp_path):
    make_tones(tmp_path / "t")
    for label in ("low", "high"):
        write_wav(tmp_path / "t" / label / "long.wav", tone(900, 8000, seconds=8.0))
        write_wav(tmp_path / "t" / label / "still.wav", np.zeros(2400))
    said = []
    train(tmp_path / "t", said, seconds=8.0, epochs=1)
    assert "2 of 28 sounds are silent" in said
    assert any("2 of 28 sounds are copies of others, or nearly: 1 groups" in s for s in said)


def test_a_sound_that_is_cut_off_is_said(tones):
    path = tones / "low" / "03.wav"
    path.write_bytes(path.read_bytes()[:900])
    said = []
    train(tones, said, epochs=1)
    assert any(s.startswith("1 sound ends before the length") and "03.wav" in s for s in said)


def test_bad_files(tones):
    (tones / "low" / "zero.wav").write_bytes(b"")
    write_wav(tones / "high" / "nothing.wav", np.zeros(0))
    write_wav(tones / "high" / "silence.wav", np.zeros(2400))
    with pytest.raises(DataError) as caught:
        train(tones)
    assert caught.value.where.endswith(("nothing.wav", "zero.wav"))
    said = []
    result = train(tones, said, skip_bad=True)
    assert sum(result.report["rows"].values()) == 25
    assert any("zero.wav: an empty file" in sentence for sentence in said)
    assert any("nothing.wav: a length of 0" in sentence for sentence in said)


def test_the_resnet_and_balanced_classes(tones, tmp_path):
    result = train(tones, model="resnet", balance=True, dropout=0.2, seconds=0.2, sample_rate=4000)
    assert result.schema.rate == 4000
    result.save(tmp_path / "m")
    assert load_predictor(tmp_path / "m").predict(tones).height == 24


def test_chance_is_a_function_of_the_seed(tmp_path):
    folder = make_tones(tmp_path / "t", count=6)
    losses = [train(folder, augment="full", seed=seed).history["loss"] for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


class TestAugment:
    X = (np.random.default_rng(0).standard_normal((20, 400)) * 5000).astype(np.int16)
    ROWS = np.arange(20)

    def change(self, *names, rows=slice(None), epoch=1):
        return Augment(names, 0)(self.X[rows], self.ROWS[rows], epoch)

    @pytest.mark.parametrize("name", [name for name in CHANGES if name != "mixup"])
    def test_the_same_for_any_batch(self, name):
        whole = self.change(name)[0]
        parts = [self.change(name, rows=rows)[0] for rows in (slice(0, 7), slice(7, 20))]
        assert np.array_equal(whole, np.concatenate(parts))
        assert not np.array_equal(whole, self.change(name, epoch=2)[0])
        assert whole.dtype == np.int16

    def test_shift(self):
        for new, old in zip(self.change("shift")[0], self.X, strict=True):
            padded = np.pad(old, 40)
            assert sum(np.array_equal(padded[i : i + 400], new) for i in range(81)) == 1

    def test_mask(self):
        for new, old in zip(self.change("mask")[0], self.X, strict=True):
            changed = np.flatnonzero(new != old)
            assert len(changed) <= 0.15 * 400 + 1
            assert not new[changed].any()

    def test_noise_is_softer_than_the_sound(self):
        noise = self.change("noise")[0].astype(float) - self.X
        share = 10 * np.log10((noise**2).mean(axis=1) / (self.X.astype(float) ** 2).mean(axis=1))
        assert share.max() < -9
        assert share.min() > -51

    def test_names(self):
        assert parse("none") == ()
        with pytest.raises(ConfigError, match="augment"):
            AudioOptions(augment="hum")
        with pytest.raises(ConfigError, match="sample_rate"):
            AudioOptions(sample_rate=10)
