"""Classes of whole sequences."""

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.errors import DataError
from chainrule.tasks import load_predictor, recognise
from chainrule.tasks.timeseries import SeriesOptions
from chainrule.tasks.timeseries.archive import read_rows


def walks(count=60, seed=0):
    """Sequences of several lengths that go up or down."""
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        steps = int(generator.integers(3, 9))
        slope = 1 if number % 2 else -1
        for step in range(steps):
            y = slope * step + generator.normal(0, 0.3)
            rows.append((f"walk {number}", step, y, "up" if slope > 0 else "down"))
    return pl.DataFrame(rows, ["id", "step", "height", "way"], orient="row")


def trained(frame, **options):
    options = {"target": "way", "group": "id", "time": "step", "epochs": 15, "lr": 0.02,
               "hidden": (8,), "backend": "numpy", **options}  # fmt: skip
    return cr.series.train(frame, SeriesOptions(**options), progress=False)


@pytest.mark.parametrize("model", ["linear", "lstm", "tcn"])
def test_each_network_learns(model, tmp_path):
    frame = walks()
    shuffled = frame[np.random.default_rng(0).permutation(frame.height)]
    result = trained(shuffled, model=model, hidden=None if model == "linear" else (8,))
    assert result.report["metrics"]["accuracy"] >= 0.9
    assert result.report["rows"] == {"train": 48, "test": 12}
    result.save(tmp_path / "model.safetensors")
    found = load_predictor(tmp_path / "model.safetensors")
    predicted = found.predict(frame, proba=True)
    assert predicted.columns == ["id", "prediction", "probability down", "probability up"]
    assert predicted["id"].to_list() == [f"walk {number}" for number in range(60)]
    assert found.evaluate(walks(seed=3))["accuracy"] >= 0.9


def test_what_is_behind_the_end_does_not_count(tmp_path):
    result = trained(walks(), model="lstm", epochs=2)
    result.save(tmp_path / "model.safetensors")
    found = load_predictor(tmp_path / "model.safetensors")
    frame = walks()
    alone = frame.filter(pl.col("id") == "walk 3")
    together = found.predict(frame, proba=True).filter(pl.col("id") == "walk 3")
    np.testing.assert_allclose(
        found.predict(alone, proba=True)["probability up"], together["probability up"], rtol=1e-4
    )


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (walks().with_columns(way=pl.when(pl.col("step") == 1).then(pl.lit("up")).otherwise("way")),
         "different classes"),
        (walks().with_columns(id=pl.when(pl.col("step") == 1).then(None).otherwise("id")),
         "belongs to no sequence"),
        (walks(4), "too few sequences"),
        (walks().drop("height"), "no column of numbers"),
        (walks().drop("id"), "no column 'id'"),
    ],
)  # fmt: skip
def test_tables_that_hold_no_sequences(frame, what):
    with pytest.raises(DataError, match=what):
        trained(frame)


# ---- files of the archive ------------------------------------------------------------------------


def archive(path, sequences, header="@univariate true\n@classLabel true up down\n"):
    lines = [f"{':'.join(','.join(map(str, d)) for d in x)}:{way}" for x, way in sequences]
    path.write_text(
        "# made for a test\n@problemName Ways\n" + header + "@data\n" + "\n".join(lines)
    )
    return path


def test_files_of_the_archive_are_sequences(tmp_path):
    generator = np.random.default_rng(0)
    ways = []
    for number in range(40):
        slope = (-1) ** number
        length = int(generator.integers(5, 9))
        steps = np.round(slope * np.arange(length) + generator.normal(size=length) * 0.1, 3)
        ways.append(([steps.tolist()], ["up", "down"][number % 2]))
    path = archive(tmp_path / "Ways_TRAIN.ts", ways)
    frame = read_rows(path)
    assert frame.columns == ["sequence", "step", "x1", "class"]
    assert frame["x1"].head(len(ways[0][0][0])).to_list() == ways[0][0][0]
    assert recognise(path, "class") == "series"
    options = SeriesOptions(target="class", model="linear", epochs=60, lr=0.05, backend="numpy")
    result = cr.series.train(path, options, progress=False)
    assert result.report["metrics"]["accuracy"] == 1
    result.save(tmp_path / "model.safetensors")
    found = load_predictor(tmp_path / "model.safetensors").predict(path)
    assert found["prediction"].to_list() == [way for _, way in ways]


def test_what_such_a_file_may_hold(tmp_path):
    found = read_rows(
        archive(tmp_path / "a.ts", [([[1, "?"], [3, 4]], "up"), ([[5], [6]], "down")])
    )
    assert found["x2"].to_list() == [3, 4, 6]
    assert np.isnan(found["x1"][1])
    for header, what in (("@timeStamps true\n", "cannot be read"),
                         ("@targetLabel true\n", "cannot be read")):  # fmt: skip
        with pytest.raises(DataError, match=what):
            read_rows(archive(tmp_path / "b.ts", [([[1]], "up")], header))
    with pytest.raises(DataError, match="different lengths"):
        read_rows(archive(tmp_path / "c.ts", [([[1, 2], [3]], "up")]))
    with pytest.raises(DataError, match="no number"):
        read_rows(archive(tmp_path / "d.ts", [([["a"]], "up")]))
