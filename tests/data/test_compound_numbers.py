"""Numbers that are written in parts: what they are, at training and at prediction."""

import numpy as np
import polars as pl
import pytest

from chainrule.data import infer_schema
from chainrule.errors import DataError

N = 60
K = np.random.default_rng(0).permutation(N) + 1


def schema_of(cells):
    frame = pl.DataFrame({"x": cells, "z": np.arange(len(cells)) % 7 + 0.5, "y": K})
    return infer_schema(frame, "y", kinds={"y": "numeric"}).fit(frame), frame


def read(cells):
    schema, frame = schema_of(cells)
    column = next(column for column in schema.columns if column.name == "x")
    assert column.kind == "numeric", column.reason
    assert any("'x'" in note for note in schema.notes)
    return schema.encode(frame).numeric[:, 0]


def later(schema, cell):
    return schema.encode(pl.DataFrame({"x": [cell], "z": [1.0]})).numeric[0, 0]


@pytest.mark.parametrize(("debit", "credit"), [("S", "H"), ("DR", "CR"), ("Soll", "Haben"),
                                               ("Дт", "Кт"), ("D", "C")])  # fmt: skip
def test_debit_is_negative(debit, credit):
    cells = [f"1.{k:03},50 {debit if k % 3 else credit}" for k in K]
    assert np.array_equal(read(cells), np.where(K % 3 > 0, -1, 1) * (1000.5 + K))


@pytest.mark.parametrize("written", [
    "{h}h {m}m", "{h} h {m} min", "{h}h{m:02}", "{h} hours, {m} minutes", "{h} Std. {m} Min.",
    "{h} heures et {m} minutes", "{h} ч {m} мин", "{h} hr {m} mins", "PT{h}H{m}M", "{h}時間{m}分",
])  # fmt: skip
def test_durations(written):
    cells = [written.format(h=k // 7, m=k % 60) for k in K]
    assert np.array_equal(read(cells), K // 7 * 3600 + K % 60 * 60)


def test_durations_on_a_clock():
    assert np.array_equal(read([f"{k % 9}:{k % 60:02}:35" for k in K]),
                          K % 9 * 3600 + K % 60 * 60 + 35)  # fmt: skip
    assert np.array_equal(read([f"{k}:07" for k in K]), K * 60 + 7)
    clock, _ = schema_of([f"{k % 24:02}:{k % 60:02}" for k in K])
    assert clock.columns[0].kind == "date"


def test_a_target_that_is_a_duration():
    frame = pl.DataFrame({"x": K, "time": [f"{2 + k % 3}:{k % 60:02}:09" for k in K]})
    schema = infer_schema(frame, "time")
    assert np.array_equal(schema.read_target(frame), (2 + K % 3) * 3600 + K % 60 * 60 + 9)


@pytest.mark.parametrize(("written", "value"), [
    ("{k}y {m}m", lambda k: k + k % 12 / 12), ("{k} Jahre {m} Monate", lambda k: k + k % 12 / 12),
    ("{k} лет {m} мес", lambda k: k + k % 12 / 12), ("{k}'{m}\"", lambda k: 12 * k + k % 12),
    ("{k} ft {m} in", lambda k: 12 * k + k % 12), ("{k} {n}/8", lambda k: k + (k % 7 + 1) / 8),
    ("{k}½", lambda k: k + 0.5), ("{k}.5 ± 0.1", lambda k: k + 0.5),
    ("{k}.5[{m}]", lambda k: k + 0.5),
    ("{k}-{o}", lambda k: k + 5), ("{k} bis {o}", lambda k: k + 5),
    ("{k}\u2013{o}", lambda k: k + 5),
    ("{k}°{m}'S", lambda k: -k - k % 12 / 60), ("ca. {k}", lambda k: k), ("около {k}", lambda k: k),
    ("{k},000+", lambda k: 1000 * k),
])  # fmt: skip
def test_parts(written, value):
    cells = [written.format(k=k, m=k % 12, n=k % 7 + 1, o=k + 10) for k in K]
    assert np.allclose(read(cells), [value(int(k)) for k in K])


def test_marks_of_some_cells_only():
    assert np.array_equal(read([f"{k}.5" + "*" * (k % 3) for k in K]), K + 0.5)


def test_both_scales_of_temperature_are_one():
    cells = [f"{k} °C" if k % 2 else f"{k * 1.8 + 32:.1f} °F" for k in K]
    assert np.allclose(read(cells), K, atol=1e-6)
    schema, _ = schema_of(cells)
    assert later(schema, "50 °F") == pytest.approx(10)
    with pytest.raises(DataError, match=r"'50'.*\n|cannot be read"):  # of which scale?
        later(schema, "50")


@pytest.mark.parametrize("written", ["{k}×10^3", "{k} x 10^3", "{k}·10³"])
def test_powers_of_ten(written):
    schema, frame = schema_of([written.format(k=k) for k in K])
    assert np.array_equal(schema.encode(frame).numeric[:, 0], K * 1000.0)


def test_a_number_without_its_unit_is_refused_beside_several_units():
    schema, frame = schema_of([f"{k} kg" if k % 2 else f"{k}000 g" for k in K[:-1]] + ["0"])
    assert np.array_equal(schema.encode(frame).numeric[:-1, 0], K[:-1])
    assert later(schema, "0") == 0
    assert later(schema, "500 g") == 0.5
    with pytest.raises(DataError, match="cannot be read"):
        later(schema, "500")


@pytest.mark.parametrize(("written", "why"), [
    ("{k}/{o}", "two numbers"), ("{k}x{o}", "two numbers"), ("{k} : {o}", "two numbers"),
    ("kg {k}", "in front"),
])  # fmt: skip
def test_numbers_that_are_not_read_are_said(written, why):
    schema, _ = schema_of([written.format(k=k + 80, o=k + 30) for k in K])
    (note,) = [note for note in schema.notes if "that are not read" in note]
    assert why in note


@pytest.mark.parametrize("written", ["A{k:03}", "INV-{k:05}", "555-{k:04}", "{k}A", "v1.2.{k}"])
def test_codes_are_no_numbers(written):
    schema, _ = schema_of([written.format(k=k) for k in K])
    assert not [note for note in schema.notes if "that are not read" in note]
    assert "x" not in [column.name for column in schema.numeric]


def test_few_ranges_are_categories():
    schema, _ = schema_of([f"{k % 6}0-{k % 6}9" for k in K])
    assert schema.columns[0].kind == "category"
