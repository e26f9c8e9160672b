"""Every kind of data has its pictures, and they show what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import chainrule as cr
from chainrule.drawing.blocks import Block, Gallery, Passage, Section
from chainrule.drawing.chart import Bars, Cells, Chart, Line
from chainrule.drawing.html import sections_html
from chainrule.tasks.media.inspection import smooth_gradients
from chainrule.tasks.run_callback import RunCallback
from chainrule.tasks.text.inspection import attention_weights, contributions

from .conftest import SCRIPT


class Data(RunCallback):
    """Keeps the profile."""

    sections: list[Section]

    def on_profile(self, sections: Any) -> None:
        self.sections = list(sections)


@pytest.fixture(autouse=True)
def _without_native_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CC", "")
    monkeypatch.setattr("chainrule.tasks.text.inspection._WRITTEN", 30)


def named(sections: list[Section]) -> dict[str, Block]:
    """Charts by their names, other blocks by their kinds; each section by its own."""
    found: dict[str, Any] = {section.name: section for section in sections}
    for section in sections:
        for block in section.blocks:
            found[block.name if isinstance(block, Chart) else block.kind] = block
    return found


def checked(result: Any, data: Data) -> dict[str, Any]:
    """What was drawn; as HTML it is escaped, and JSON data give it again."""
    sections = [*data.sections, *result.sections]
    page = sections_html(sections)
    assert "<script" not in page
    assert "could not be drawn" not in page
    again = [Section.from_json(section.to_json()) for section in sections]
    assert len(sections_html(again)) == pytest.approx(len(page), rel=0.02)  # rounded
    return named(sections)


def test_images(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for label in ("dark", "light"):
        (tmp_path / label).mkdir()
        for i in range(12):
            pixels = draw.integers(0, 90, (9, 11, 3)) + 120 * (label == "light")
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / label / f"{i}.png")
    data = Data()
    options = cr.images.ImageOptions(epochs=1, test=0.3, augment="none")
    result = cr.images.train_images(tmp_path, options, progress=False, callbacks=[data])
    found = checked(result, data)
    assert {"confusion", "filters", "saliency", "target"} <= set(found)
    assert len(next(b for b in found["data"].blocks if isinstance(b, Gallery)).pictures) >= 12


def test_saliency_is_the_gradient() -> None:
    w = np.array([[1.0, -2.0], [0.0, 3.0]], np.float32)
    x = np.ones((2, 2), np.float32)
    found = smooth_gradients(lambda x: x @ w, x, [0, 1], seed=0)
    assert np.allclose(found, [[1, 0], [2, 3]])


def test_sounds(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    draw = np.random.default_rng(0)
    for label, pitch in (("low", 200), ("high", 900)):
        (tmp_path / label).mkdir()
        for i in range(10):
            wave = np.sin(np.arange(1600) * 2 * np.pi * pitch / 8000) + draw.normal(0, 0.1, 1600)
            soundfile.write(tmp_path / label / f"{i}.wav", wave / 4, 8000)
    data = Data()
    options = cr.audio.AudioOptions(epochs=1, test=0.3, augment="none")
    result = cr.audio.train_audio(tmp_path, options, progress=False, callbacks=[data])
    found = checked(result, data)
    assert {"confusion", "filters", "saliency", "target"} <= set(found)


def texts(rows: int = 80) -> dict[str, list[str]]:
    draw = np.random.default_rng(0)
    moods = draw.choice(["glad", "sad"], rows)
    words = {"glad": ["lovely", "bright"], "sad": ["awful", "dull"]}
    filler = ["the", "film", "we", "saw", SCRIPT]
    written = [" ".join([*draw.choice(filler, 4), draw.choice(words[mood])]) for mood in moods]
    return {"text": written, "mood": list(moods)}


def test_texts_of_a_linear_model() -> None:
    data = Data()
    options = cr.text.TextOptions(target="mood", epochs=12)
    result = cr.text.train(texts(), options, progress=False, callbacks=[data])
    found = checked(result, data)
    assert {"telling_glad", "telling_sad", "words", "confusion"} <= set(found)
    assert set(found["telling_glad"].y.categories[:6]) & {"lovely", "bright"}
    passage = next(b for b in found["words"].blocks if isinstance(b, Passage))
    weights = dict(zip(passage.pieces, passage.weights, strict=True))
    deciding = [weights[w] for w in ("lovely", "bright", "awful", "dull") if w in weights]
    assert deciding == [1.0]  # the word that decides weighs most
    (tested,) = result.examine.args[1]
    logits = contributions(tested.learner.network, tested.schema.words, tested.part.texts[:1])
    p = np.exp(logits.sum(axis=0) + tested.learner.network.head.bias.numpy())
    assert np.allclose(p / p.sum(), tested.predicted[0], atol=1e-4)


def test_attention_of_texts_and_of_a_language_model(tmp_path: Path) -> None:
    data = Data()
    options = cr.text.TextOptions(target="mood", epochs=1, model="transformer", hidden=(8,))
    result = cr.text.train(texts(40), options, progress=False, callbacks=[data])
    found = checked(result, data)
    cells = found["attention_1"].marks[0]
    assert isinstance(cells, Cells)
    assert np.allclose(np.sum(np.array(cells.values, float), axis=1), 1, atol=1e-4)
    (tmp_path / "plays.txt").write_text("to be or not to be.\n" * 120)
    options = cr.text.TextOptions(epochs=1, hidden=(8, 8), context=16)
    result = cr.text.train(
        tmp_path / "plays.txt", options, progress=False, callbacks=[data := Data()]
    )
    found = checked(result, data)
    assert {"surprise", "sample", "attention_1", "attention_2", "tokens"} <= set(found)
    seen = np.array(found["attention_2"].marks[0].values, float)
    assert np.allclose(np.triu(seen, 1), 0)  # nothing of what follows


def test_attention_weights_give_what_attention_gives() -> None:
    x = cr.tensor(np.random.default_rng(0).normal(size=(1, 6, 8)).astype(np.float32))
    for rotary in (False, True):
        layer = cr.nn.MultiHeadAttention(8, 2, rotary=rotary).initialize(seed=0)
        (weights,) = attention_weights(layer, x, causal=False)
        values = layer.v_proj(x).numpy().reshape(6, 2, 4).transpose(1, 0, 2)
        mixed = (weights @ values).transpose(1, 0, 2).reshape(1, 6, 8)
        assert np.allclose(layer.out_proj(cr.tensor(mixed)).numpy(), layer(x).numpy(), atol=1e-5)


@pytest.mark.parametrize("horizon", [1, 3])
def test_series(horizon: int) -> None:
    steps = np.arange(90)
    table = {
        "day": [str(np.datetime64("2026-01-01") + int(i)) for i in steps],
        SCRIPT: np.sin(steps / 3) + 0.01 * steps,
    }
    data = Data()
    options = cr.series.SeriesOptions(
        target=SCRIPT, horizon=horizon, epochs=1, quantiles=(0.1, 0.9), model="linear"
    )
    result = cr.series.train(table, options, progress=False, callbacks=[data])
    found = checked(result, data)
    assert {"series_0", "forecast_0", "predicted_actual"} <= set(found)
    assert ("error_by_step" in found) == (horizon > 1)
    line = next(m for m in found["forecast_0"].marks if isinstance(m, Line) and m.low)
    low, high = np.array(line.low, float), np.array(line.high, float)
    assert (low < high).all()
    assert found["series_0"].x.scale == "time"


def test_sequences() -> None:
    draw = np.random.default_rng(0)
    rows = [(k, t, (t if k % 2 else -t) + draw.normal(), draw.normal(), "up" if k % 2 else "down")
            for k in range(30) for t in range(6)]  # fmt: skip
    table = dict(zip(["who", "t", "x", "noise", "way"], map(list, zip(*rows, strict=True)),
                     strict=True))  # fmt: skip
    data = Data()
    options = cr.series.SeriesOptions(
        target="way", group="who", time="t", epochs=8, model="linear", test=0.4
    )
    result = cr.series.train(table, options, progress=False, callbacks=[data])
    found = checked(result, data)
    bars = found["importance"].marks[0]
    assert isinstance(bars, Bars)
    assert found["importance"].y.categories[0] == "x"
