"""Charts as matplotlib axes, and what notebooks show."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
import pytest

import chainrule as cr
from chainrule.drawing.axes import draw
from chainrule.errors import ConfigError

from .test_drawing import CHARTS

matplotlib.use("Agg")
from matplotlib import pyplot


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    pyplot.close("all")


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_every_chart_is_drawn(chart: Any) -> None:
    figure, ax = pyplot.subplots()
    draw(chart, ax)
    figure.canvas.draw()
    assert ax.get_title() == chart.title
    drawn = len(ax.lines) + len(ax.collections) + len(ax.patches) + len(ax.images)
    assert drawn >= len(chart.marks)


def trained() -> Any:
    x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
    model = cr.nn.Sequential(cr.nn.Linear(1, 4), cr.nn.Tanh(), cr.nn.Linear(4, 1)).initialize(
        seed=0
    )
    trainer = cr.Trainer(model, "mse", progress=False, backend="numpy")
    return trainer.fit((x, 3 * x), validation=0.25, epochs=5), model


def test_the_history_is_plotted() -> None:
    history, _ = trained()
    ax = history.plot("loss")
    train, validation = ax.lines[:2]
    assert train.get_ydata().tolist() == pytest.approx(history["loss"])
    assert validation.get_ydata().tolist() == pytest.approx(history["val_loss"])
    assert set(history.plot()) == {"loss", "rate", "gradient_norm"}
    _, own = pyplot.subplots()
    assert history.plot("rate", ax=own) is own
    with pytest.raises(ConfigError, match="no picture 'accuracy'"):
        history.plot("accuracy")
    with pytest.raises(ConfigError, match="One chart"):
        history.plot(ax=own)
    with pytest.raises(ConfigError, match="Train first"):
        cr.History().plot()


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    history, _ = trained()
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError) as raised:
        history.plot()
    assert "chainrule[plot]" in str(raised.value)


@pytest.mark.usefixtures("without_compiler")
def test_a_result_is_plotted_and_shown() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=80)
    table = {"<script>": x, "y": np.where(x > 0, "$up$", "down")}
    options = cr.tables.TableOptions(target="y", epochs=2, members=1, hidden=(4,))
    result = cr.tables.train_table(table, options, progress=False)
    ax = result.plot("confusion")
    assert sum(int(text.get_text()) for text in ax.texts) == result.report["rows"]["test"]
    assert {"loss", "roc", "importance"} <= set(result.plot())
    page = result._repr_html_()
    assert f"{result.report['metrics']['accuracy']:.4f}" in page
    assert "<script" not in page


def test_notebooks_show_history_and_model() -> None:
    history, model = trained()
    assert history._repr_html_().count("<svg") == 3
    page = model._repr_html_()
    assert "Sequential: 13 parameters" in page
    assert "Linear(4, 1)" in page
    # Its style sheet touches nothing outside of it.
    style = page[page.index("<style>") : page.index("</style>")]
    assert ":root" not in style
