"""Columns of pictures beside numbers, categories and texts, in one network."""

import json

import numpy as np
import polars as pl
import pytest
from PIL import Image

import chainrule as cr
from chainrule.data import infer_schema, read_table
from chainrule.data.row_encoder import RowEncoder
from chainrule.errors import ConfigError, DataError
from chainrule.interop import onnx
from chainrule.tasks import load_predictor
from chainrule.tasks.tabular import TableOptions, train_table

pytestmark = pytest.mark.usefixtures("without_compiler")
ROWS = 160


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with pictures of a disc, left or right, and a table: both say the class together."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "photos").mkdir()
    generator = np.random.default_rng(0)
    right = generator.integers(0, 2, ROWS)
    heavy = generator.integers(0, 2, ROWS)
    rows, columns = np.mgrid[:32, :32]
    for number in range(ROWS):
        x, y = 8 + 16 * right[number], generator.integers(8, 24)
        disc = (rows - y) ** 2 + (columns - x) ** 2 < 36
        pixels = np.where(disc[..., None], [230, 60, 40], [20, 40, 90])
        # What lies on the right is blue, so that a mean over the picture tells it.
        pixels = np.where(disc[..., None] & (right[number] == 1), [40, 60, 230], pixels)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / f"{number}.png")
    pl.DataFrame({
        "photo": [f"photos/{number}.png" for number in range(ROWS)],
        "weight": np.where(heavy, 5.0, 1.0) + generator.normal(0, 0.2, ROWS),
        "colour": generator.choice(["red", "blue"], ROWS),
        "state": np.where(right == heavy, "same", "other"),
    }).write_csv(folder / "table.csv")  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def model(place):
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CC", "/nowhere")
        options = TableOptions(target="state", epochs=30, members=2, hidden=(32,), lr=0.01,
                               backend="numpy")  # fmt: skip
        result = train_table(place / "table.csv", options, progress=False, say=said.append)
    result.save(place / "model.safetensors")
    return result, place / "model.safetensors", said


def test_pictures_and_numbers_decide_together(model):
    result, _, _ = model
    assert {c.name: c.kind for c in result.schema.columns}["photo"] == "image"
    assert result.report["metrics"]["accuracy"] >= 0.95  # each alone says nothing: 0.5


def test_new_pictures_are_read_from_the_folder_of_their_table(model, place, tmp_path, monkeypatch):
    _, path, _ = model
    predictor = load_predictor(path)
    table = pl.read_csv(place / "table.csv")
    found = predictor.predict(place / "table.csv")["prediction"]
    assert (found == table["state"]).mean() >= 0.95
    # The other half of the pictures under the same names in another folder: other answers.
    (tmp_path / "photos").mkdir()
    for number in range(ROWS):
        pixels = np.asarray(Image.open(place / "photos" / f"{number}.png"))
        Image.fromarray(pixels[..., ::-1].copy()).save(tmp_path / "photos" / f"{number}.png")
    table.write_csv(tmp_path / "table.csv")
    swapped = predictor.predict(tmp_path / "table.csv")["prediction"]
    assert (swapped != found).mean() > 0.3
    monkeypatch.chdir(place)
    assert predictor.predict(table)["prediction"].to_list() == found.to_list()
    rows = table.drop("state").to_dicts()[:5]
    assert predictor.predict(rows)["prediction"].to_list() == found.head(5).to_list()


def test_pictures_that_cannot_be_read_are_said_by_row(model, place):
    _, path, _ = model
    (place / "photos" / "empty.png").write_bytes(b"")
    (place / "photos" / "text.png").write_text("no picture")
    table = pl.read_csv(place / "table.csv").head(5)
    cells = ["photos/0.png", "photos/empty.png", None, "photos/text.png", "gone.png"]
    table.with_columns(photo=pl.Series(cells)).write_csv(place / "new.csv")
    said = []
    found = load_predictor(path).predict(place / "new.csv", say=said.append)
    assert found.height == 5
    (told,) = said
    assert told.startswith("column photo: 3 rows whose picture cannot be read")
    for part in ("row 2 (photos/empty.png: an empty file", "row 4 (photos/text.png: no image",
                 "row 5 (gone.png: No such file"):  # fmt: skip
        assert part in told


def test_what_is_no_picture_stays_what_it_is(place, monkeypatch):
    monkeypatch.chdir(place)
    frame = read_table({"logo": ["a.png", "b.png"] * 20, "y": list(range(40))})
    assert infer_schema(frame, "y").columns[0].kind == "category"  # there are no such files
    forced = infer_schema(frame, "y", kinds={"logo": "image"})
    assert forced.columns[0].kind == "image"
    with pytest.raises(DataError, match="pictures of column 'logo' cannot be read"):
        forced.fit(frame)
    table = read_table(place / "table.csv")
    schema = infer_schema(table, "state", kinds={"photo": "category"}, source="x")
    assert schema.columns[0].kind == "category"


def test_a_schema_keeps_the_size_and_rows_are_encoded_alike(place, monkeypatch):
    monkeypatch.chdir(place)
    table = read_table(place / "table.csv")
    schema = infer_schema(table, "state").fit(table)
    again = type(schema).from_json(schema.to_json())
    assert again == schema
    rows = schema.encode(table.head(3))
    assert rows.image.shape == (3, 1, 32, 32, 4)
    assert rows.image[..., 3].min() == 255
    arrays, _ = RowEncoder(schema).encode(table.head(3).to_dicts())
    assert np.array_equal(arrays["image"], rows.image)
    assert np.array_equal(rows.take([2, 0]).image, rows.image[[2, 0]])


def test_neither_services_nor_exports_take_files(model, tmp_path):
    _, path, _ = model
    saved = cr.load(path)
    with pytest.raises(ConfigError, match="cannot be exported"):
        onnx.save(tmp_path / "model.onnx", saved)
    from chainrule.tasks.tabular.rows import RowModel

    with pytest.raises(ConfigError, match="opens no files"):
        RowModel(saved, load_predictor(path).schema)
    assert json.loads(saved.schema)["columns"][0]["kind"] == "image"
