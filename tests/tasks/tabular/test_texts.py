"""Columns of free text beside numbers and categories, in one network."""

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.data import Schema, infer_schema
from chainrule.data.text_columns import parts_of
from chainrule.tasks import load_predictor
from chainrule.tasks.tabular import TableOptions
from chainrule.tasks.tabular.features import TableFeatures, columns_by_kind
from chainrule.tasks.update import update

pytestmark = pytest.mark.usefixtures("without_compiler")


def reviews(rows=160, seed=0):
    """What is paid follows from a number, a place, and one word of a text."""
    generator = np.random.default_rng(seed)
    usual = [f"word{number}" for number in range(20)]
    good, size = generator.integers(0, 2, rows), generator.normal(size=rows).round(3)
    city = generator.choice(["Rome", "Oslo"], rows)
    texts = [
        " ".join(generator.permutation([*generator.choice(usual, 5), ["awful", "superb"][one]]))
        for one in good
    ]
    pay = 50 + 10 * (2 * good - 1) + 5 * size + 5 * (city == "Rome")
    return pl.DataFrame({"size": size, "city": city, "review": texts, "pay": pay.round(2)})


def trained(frame, **options):
    options = {
        "target": "pay",
        "epochs": 80,
        "lr": 0.01,
        "members": 2,
        "backend": "numpy",
        **options,
    }
    return cr.tables.train_table(frame, TableOptions(**options), progress=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    result = trained(reviews())
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    result.save(path)
    return result, path


def test_a_text_says_what_numbers_and_categories_do_not(model):
    result, _ = model
    assert result.report["metrics"]["r2"] >= 0.75
    without = trained(reviews(), drop=("review",)).report["metrics"]["r2"]
    assert without <= 0.5


def test_the_model_reads_new_texts_missing_ones_and_words_that_it_does_not_know(model):
    predictor = load_predictor(model[1])
    rows = {"size": [0.0] * 5, "city": ["Rome"] * 5}
    rows["review"] = ["superb word3", "awful word3", None, "", "never seen"]
    found = predictor.predict(rows)["prediction"].to_numpy()
    assert found[0] > found[1] + 10
    assert found[2] == found[3]
    assert np.isfinite(found).all()
    assert predictor.evaluate(reviews(seed=3))["r2"] >= 0.75
    assert predictor.hidden(rows).shape[-2] == 5


def test_columns_may_change_places_in_prediction(model):
    predictor, frame = load_predictor(model[1]), reviews(20, seed=5)
    turned = frame.select(reversed(frame.columns))
    assert predictor.predict(turned).equals(predictor.predict(frame))


def test_an_update_keeps_the_words_and_learns(model):
    report = update(model[1], reviews(60, seed=4), progress=False, epochs=2).report
    assert report["metrics"]["r2"] >= 0.75


def test_another_training_starts_from_the_weights_of_the_words(model):
    more = reviews(80, seed=6).with_columns(floor=pl.Series(np.arange(80) % 3 + 0.5))
    started = trained(more, from_model=str(model[1]), lr=1e-9, epochs=1, seed=1)
    assert started.report["metrics"]["r2"] >= 0.7


def test_rows_are_explained_with_their_texts(model):
    examples = load_predictor(model[1]).examples(reviews(5, seed=7), [0, 2])
    cells = {cell["column"]: cell for cell in examples.raw[0].cells}
    assert cells["review"]["encoded"] == "5 words and pairs"
    assert cells["review"]["input"] == "x.text[0,0]"


def test_a_large_file_is_read_in_parts_with_its_texts(tmp_path):
    reviews(400).write_csv(tmp_path / "reviews.csv")
    options = TableOptions(
        target="pay", epochs=25, lr=0.02, members=2, hidden=(16,), backend="numpy"
    )
    found = [
        cr.tables.train_table(
            str(tmp_path / "reviews.csv"), options, progress=False, in_memory=size
        )
        for size in (1, 10**9)
    ]
    assert min(one.report["metrics"]["r2"] for one in found) >= 0.6


def test_classes_by_two_texts_and_nothing_else():
    frame = reviews(120)
    frame = frame.with_columns(
        title=pl.col("review").str.replace_all("word", "note"),
        pay=pl.when(pl.col("review").str.contains("superb"))
        .then(pl.lit("a"))
        .otherwise(pl.lit("b")),
    ).drop("size", "city")
    assert trained(frame, epochs=30).report["metrics"]["accuracy"] >= 0.9


def test_tf_idf_of_a_cell_has_the_norm_1_and_unknown_words_count_for_nothing():
    frame = pl.DataFrame({"note": ["a b c", "a b d e", "a a f", None], "y": [1.0, 2.0, 3.0, 4.0]})
    schema = infer_schema(frame, "y", kinds={"note": "text"}).fit(frame)
    column = schema.columns[0]
    assert column.vocabulary[:3] == ("a", "b", "c")
    assert column.frequencies[:3] == (3, 2, 1)
    assert Schema.from_json(schema.to_json()) == schema
    rows = schema.encode(frame.with_columns(note=pl.Series(["a b x", "x", None, "f a"])))
    given = TableFeatures(schema, 0)(columns_by_kind(rows))
    weights = given["word_weights"].numpy()
    idf = np.log(4 / (1 + np.array([3, 2]))) + 1  # three rows have a text
    np.testing.assert_allclose(sorted(weights[0][weights[0] > 0]), idf / np.hypot(*idf), rtol=1e-6)
    np.testing.assert_allclose((weights**2).sum(1), [1, 0, 0, 1], atol=1e-6)
    assert given["numbers"].numpy()[:, 1].tolist() == [0, 0, 1, 0]


def test_pairs_are_known_of_many_rows_and_where_there_are_no_spaces():
    frame = pl.DataFrame({"note": ["not good", "很 好 ok"] * 30, "y": np.arange(60.0)})
    words = infer_schema(frame, "y", kinds={"note": "text"}).fit(frame).columns[0].vocabulary
    assert "很 好" in words
    assert "not good" not in words
    frame = pl.concat([frame] * 40)
    words = infer_schema(frame, "y", kinds={"note": "text"}).fit(frame).columns[0].vocabulary
    assert "not good" in words
    assert parts_of("Not Good") == ["not", "good", "not good"]


def test_a_column_of_text_is_said_and_a_kind_can_be_asked_for():
    frame = reviews(40)
    kinds = {column.name: column.kind for column in infer_schema(frame, "pay").columns}
    assert kinds == {"size": "numeric", "city": "category", "review": "text"}
    asked = infer_schema(frame, "pay", kinds={"review": "category", "city": "text"}).columns
    assert [column.kind for column in asked] == ["numeric", "text", "category"]
