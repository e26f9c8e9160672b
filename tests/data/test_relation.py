"""Identifiers are known by name and uniqueness, never by row order; what they say is measured."""

import numpy as np
import polars as pl
import pytest

from chainrule.data import infer_schema

N = 300


def table(**columns) -> pl.DataFrame:
    generator = np.random.default_rng(0)
    y = 3 * np.linspace(0, 1, N) + generator.normal(0, 0.1, N)
    return pl.DataFrame({**columns, "x": generator.normal(size=N), "y": y})


def order(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(N)


@pytest.mark.parametrize("name", ["week", "t", "day", "step", "index", "NO", "nr", "n"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_quantity_that_rises_by_one_a_row_is_kept_in_any_order(name: str, shuffled: bool) -> None:
    frame = table(**{name: np.arange(N) + 1})
    if shuffled:
        frame = frame[order(1)]
    kinds = {column.name: column.kind for column in infer_schema(frame, "y").columns}
    assert kinds[name] == "numeric"


@pytest.mark.parametrize(
    "name", ["index", "NO", "nr", "id", "customer_id", "row_number", "rownames"]
)
def test_a_counter_that_says_nothing_is_left_out_and_that_is_said(name: str) -> None:
    frame = table(**{name: order(2)})
    schema = infer_schema(frame, "y")
    (dropped,) = schema.dropped
    assert (dropped.name, dropped.kind) == (name, "identifier")
    assert "by itself it says nothing of the target" in dropped.reason
    assert not any(name in note for note in schema.notes)


NUMBERS_OF_THINGS = [
    *("Kunde Nr", "Nr.", "No.", "lfd. Nr.", "numéro", "matricule", "número", "N°", "№ п/п", "#"),
    *("Kundennummer", "RechnungsNr", "Order #", "customer_no", "InvoiceNumber", "n° client"),
    *("Número de cliente", "numéro de dossier", "Номер", "номер клиента", "客户编号", "番号"),
    *("numer klienta", "volgnummer", "LöpNr", "id_cliente", "ID Kunde"),
]


@pytest.mark.parametrize("name", NUMBERS_OF_THINGS)
def test_numbers_of_things_with_gaps_are_identifiers_in_any_language(name: str) -> None:
    numbers = np.random.default_rng(5).choice(90_000, N, replace=False) + 10_000
    schema = infer_schema(table(**{name: numbers}), "y")
    (dropped,) = schema.dropped
    assert (dropped.name, dropped.kind) == (name, "identifier")
    assert "by itself it says nothing of the target" in dropped.reason


@pytest.mark.parametrize("name", [name for name in NUMBERS_OF_THINGS if "id" not in name.lower()])
def test_numbers_of_things_that_say_something_are_not_lost_in_silence(name: str) -> None:
    frame = table(**{name: np.arange(N) * 3 + 10_000})
    schema = infer_schema(frame, "y")
    kept = [column for column in schema.columns if column.name == name]
    told = [note for note in schema.notes if name in note and "explains 9" in note]
    assert kept or told
    assert name == "matricule" or kept


@pytest.mark.parametrize(
    "name",
    ["number of people", "No. of rooms", "num_rooms", "Anzahl", "Número de habitaciones",
     "nombre", "numéro de pisos", "n", "index", "notes", "Nrg", "honor", "casino"],
)  # fmt: skip
def test_amounts_are_no_numbers_of_things(name: str) -> None:
    amounts = np.random.default_rng(5).choice(90_000, N, replace=False) + 10_000
    schema = infer_schema(table(**{name: amounts}), "y")
    assert not schema.dropped


def test_an_identifier_that_says_something_is_left_out_with_a_hint_that_works() -> None:
    frame = table(order_id=np.arange(N) + 7000)
    schema = infer_schema(frame, "y")
    assert [column.name for column in schema.dropped] == ["order_id"]
    (note,) = [note for note in schema.notes if "order_id" in note]
    assert "--kind order_id=numeric" in note
    assert "by itself it explains 9" in note
    kept = infer_schema(frame, "y", kinds={"order_id": "numeric"})
    assert kept.columns[0].kind == "numeric"


@pytest.mark.parametrize("name", ["NO", "index", "Nr", "sensor_id", "id"])
def test_repeated_numbers_whose_size_counts_are_a_quantity(name: str) -> None:
    generator = np.random.default_rng(3)
    values = generator.integers(1, 150, N)
    frame = pl.DataFrame({name: values, "y": values * 0.5 + generator.normal(0, 2, N)})
    assert infer_schema(frame, "y").columns[0].kind == "numeric"


def test_repeated_codes_whose_size_says_nothing_are_categories() -> None:
    generator = np.random.default_rng(4)
    store = generator.integers(1, 9, N)
    effect = np.array([0, 5, 1, 7, 2, 9, 0, 8, 3])
    frame = pl.DataFrame({"store_id": store, "y": effect[store] + generator.normal(0, 0.3, N)})
    assert infer_schema(frame, "y").columns[0].kind == "category"


def test_a_text_of_many_values_that_says_something_is_said() -> None:
    generator = np.random.default_rng(5)
    who = generator.integers(0, 170, N)
    labels = [f"plant {chr(97 + w % 26)}{w}" for w in who]
    frame = pl.DataFrame({"plant": labels, "x": generator.normal(size=N), "y": (who % 7) * 1.0})
    schema = infer_schema(frame, "y")
    if schema.dropped:
        assert any("--kind plant=category" in note for note in schema.notes)
    else:
        assert schema.columns[0].kind == "category"


def test_classes_are_measured_too() -> None:
    frame = table(id=np.arange(N)).with_columns(pl.when(pl.col("y") > 1.5).then(pl.lit("a"))
                                                .otherwise(pl.lit("b")).alias("y"))  # fmt: skip
    (note,) = [note for note in infer_schema(frame, "y").notes if "column id " in note]
    assert "--kind id=numeric" in note
