"""Times or durations, letters for digits, and sides of coordinates: decided over the column."""

import numpy as np
import polars as pl
import pytest

from chainrule.data import infer_schema
from chainrule.errors import DataError

N = 60
K = np.random.default_rng(1).permutation(N) + 1
PACE = [f"{3 + k % 8}:{k * 7 % 60:02}" for k in K]
SECONDS = (3 + K % 8) * 60 + K * 7 % 60


def schema_of(cells, name="x", **options):
    frame = pl.DataFrame({name: cells, "z": np.arange(len(cells)) % 7 + 0.5, "y": K})
    kinds = {"y": "numeric"} | options.pop("kinds", {})
    return infer_schema(frame, "y", kinds=kinds, **options).fit(frame), frame


def column(schema, name="x"):
    return next(column for column in schema.columns if column.name == name)


def numbers(cells, name="x", **options):
    schema, frame = schema_of(cells, name, **options)
    assert column(schema, name).kind == "numeric", column(schema, name).reason
    return schema.encode(frame).numeric[:, [c.name for c in schema.numeric].index(name)]


def later(schema, cell, name="x"):
    return schema.encode(pl.DataFrame({name: [cell], "z": [1.0]})).numeric[0, 0]


@pytest.mark.parametrize("name", [
    "duration", "Pace", "Lap time", "Dauer", "track_length", "Länge", "durée", "mm:ss", "run_time",
    "时长", "Длительность",
])  # fmt: skip
def test_names_of_durations(name):
    padded = [f"{cell:0>5}" for cell in PACE]
    assert np.array_equal(numbers(padded, name), SECONDS)


@pytest.mark.parametrize("name", ["start", "Uhrzeit", "departure time", "opens", "hora"])
def test_names_of_times_of_the_day(name):
    schema, _ = schema_of(PACE, name)
    assert column(schema, name).kind == "date"
    assert not any("times of the day" in note for note in schema.notes)


def test_without_a_name_the_whole_column_decides():
    assert np.array_equal(numbers(PACE), SECONDS)  # 3:45 and 10:07, minutes of any size
    round_ones = [f"{7 + k % 5}:{k % 4 * 15:02}" for k in K]
    schema, _ = schema_of(round_ones)  # 7:45, 9:15: as shops open
    assert column(schema).kind == "date"
    assert any("--kind x=numeric" in note for note in schema.notes)
    assert np.array_equal(numbers(round_ones, kinds={"x": "numeric"}),
                          (7 + K % 5) * 60 + K % 4 * 15)  # fmt: skip
    afternoon, _ = schema_of([f"{k % 24:02}:{k * 7 % 60:02}" for k in K])
    assert column(afternoon).kind == "date"
    assert not any("times of the day" in note for note in afternoon.notes)
    assert np.array_equal(numbers([f"00:{3 + k % 8:02}:{k * 7 % 60:02}" for k in K]), SECONDS)


def test_a_later_cell_is_read_as_in_training():
    schema, _ = schema_of(PACE)
    assert later(schema, "12:30") == 750
    assert later(schema, "1:02:03") == 3723
    start, _ = schema_of(PACE, "start")
    with pytest.raises(DataError, match="cannot be read"):
        start.encode(pl.DataFrame({"start": ["75:10"], "z": [1.0]}))


def test_hours_and_minutes_by_name():
    assert np.array_equal(numbers([f"{k % 60}:{k % 4 * 15:02}" for k in K], "hours worked"),
                          K % 60 * 3600 + K % 4 * 900)  # fmt: skip


def test_a_target_of_times_is_a_duration():
    frame = pl.DataFrame({"x": K, "time": [f"{cell:0>5}" for cell in PACE]})
    assert np.array_equal(infer_schema(frame, "time").read_target(frame), SECONDS)


@pytest.mark.parametrize(("cell", "value"), [("1O5", 105), ("l2.5", 12.5), ("3o", 30), ("$1O", 10),
                                             ("-2O.O1", -20.01), ("I7", 17)])  # fmt: skip
def test_letters_among_digits(cell, value):
    cells = [f"{k}.5" for k in K[:-1]] + [cell]
    schema, frame = schema_of(cells)
    assert schema.encode(frame).numeric[-1, 0] == value
    assert any("letters in the place of digits" in note and cell in note for note in schema.notes)
    clean, _ = schema_of([f"{k}.5" for k in K])  # no slip was seen in training
    rows = clean.encode(pl.DataFrame({"x": [cell.strip("$")], "z": [1.0]}))
    assert rows.numeric[0, 0] == value
    assert any("letters read as digits" in note for note in rows.notes)


def test_many_letters_are_still_slips_among_more_numbers():
    cells = [f"{k}O" if k % 8 == 0 else f"{k}0" for k in K]
    assert np.array_equal(numbers(cells), K * 10)


@pytest.mark.parametrize("cells", [
    [f"{k}O" for k in K], [f"{k % 30}{'OI'[k % 2]}" for k in K], [f"{k}{'ABO'[k % 3]}" for k in K],
    [f"{k}" if k % 2 else f"O{k}" for k in K],
])  # fmt: skip
def test_codes_with_letters_stay_codes(cells):
    schema, _ = schema_of(cells)
    assert "x" not in [c.name for c in schema.numeric] or not any(
        "letters" in n for n in schema.notes
    )
    assert not any("in the place of digits" in note for note in schema.notes)


def angle(k, sign):
    return sign * (k + k % 12 / 60 + k % 7 / 3600)


@pytest.mark.parametrize(("written", "negative"), [
    ("{k}°{m}'{s}\"{side}", "S"), ("{side} {k}° {m}′ {s}″", "S"), ("{k}º{m}´{s}''{side}", "W"),
    ("{k} {m} {s} {side}", "S"), ("{k}:{m}:{s}{side}", "W"), ("{k}d{m}m{s}s {side}", "S"),
    ("{k}-{m}-{s}{side}", "W"), ("{side}{k} {m} {s}", "S"),
])  # fmt: skip
def test_coordinates(written, negative):
    positive = "N" if negative == "S" else "E"
    signs = np.where(K % 3 == 0, -1, 1)
    cells = [written.format(k=k, m=k % 12, s=k % 7, side=negative if k % 3 == 0 else positive)
             for k in K]  # fmt: skip
    assert np.allclose(numbers(cells), [angle(k, sign) for k, sign in zip(K, signs, strict=True)])


def test_coordinates_of_degrees_only():
    cells = [f"{k}.25 {'S' if k % 3 == 0 else 'N'}" for k in K]
    assert np.allclose(numbers(cells), np.where(K % 3 == 0, -1, 1) * (K + 0.25))
    assert np.allclose(numbers([f"{k}.25N" for k in K], "lat"), K + 0.25)


@pytest.mark.parametrize(("other", "sign"), [("W", 1), ("E", -1), ("O", -1)])
def test_an_o_is_west_or_east_by_what_is_beside_it(other, sign):
    cells = [f"{k}°{k % 12}'{'O' if k % 2 else other}" for k in K]
    factor = np.where((K % 2 > 0) | (other == "O"), sign, -1 if other == "W" else 1)
    schema, frame = schema_of(cells)
    assert np.allclose(schema.encode(frame).numeric[:, 0], factor * (K + K % 12 / 60))
    assert any("O is" in note for note in schema.notes)
    assert later(schema, "10°30'O") == sign * 10.5


def test_a_zero_of_an_angle_may_be_an_o():
    cells = [f"{k}°{k % 12}'N" for k in K[:-2]] + ["12°O'N", "1O°30'N"]
    schema, frame = schema_of(cells)
    assert np.allclose(schema.encode(frame).numeric[-2:, 0], [12, 10.5])
    assert any("letters in the place of digits" in note for note in schema.notes)


def test_minutes_of_an_angle_are_fewer_than_sixty():
    schema, _ = schema_of([f"{k}°{k % 60}'N" for k in K])
    with pytest.raises(DataError, match="cannot be read"):
        later(schema, "12°75'N")


@pytest.mark.parametrize("written", ["{k} N", "{k}W", "{k}E", "{k} S"])
def test_letters_alone_are_no_coordinates(written):
    schema, _ = schema_of([written.format(k=k + 100) for k in K])
    assert not any("degrees" in note for note in schema.notes)
