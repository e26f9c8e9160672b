"""What is said of a file holds in every command, and a model reads later files as it learned."""

from __future__ import annotations

import json
import sqlite3

import polars as pl
import pytest

from chainrule.tasks import load_predictor
from chainrule.utils.warned import DataWarning

QUICK = ("--epochs", "1", "--hidden", "4", "--members", "1", "--backend", "numpy")


def write(path, text: str, encoding: str = "cp1251") -> None:
    path.write_bytes(text.encode(encoding))


def towns(rows: int = 60) -> str:
    """A table with few letters beyond ASCII, in two alphabets at once: the encoding is a guess."""
    lines = [f"{'Ж' if n % 3 else 'Щ'};{n / 4:.2f};{'ab'[n % 2]}".replace(".", ",")
             for n in range(rows)]  # fmt: skip
    return "\n".join(["код;доход;да", *lines]) + "\n"


def test_encoding_and_separator_are_kept_with_the_model(invoke, place):
    write(place / "t.csv", towns())
    said = ("--encoding", "cp1251", "--separator", "semicolon")
    result = invoke("train", "t.csv", "--target", "да", *said, *QUICK, "--out", "run")
    assert result.exit_code == 0, result.output
    schema = load_predictor("run").schema
    assert schema.reading is not None
    assert (schema.reading.encoding, schema.reading.separator) == ("cp1251", ";")
    write(place / "new.csv", "код;доход\nЖ;1,5\n")
    result = invoke("predict", "run", "new.csv")
    assert result.exit_code == 0, result.output
    assert "never seen" not in result.stderr
    # The same in UTF-8 is read as that, for its bytes say so; and another mark is said.
    write(place / "utf8.csv", "код|доход\nЖ|1,5\n", "utf-8")
    again = invoke("predict", "run", "utf8.csv", "--separator", "|")
    assert again.stdout == result.stdout
    wrong = invoke("predict", "run", "new.csv", "--encoding", "koi8-r")
    assert wrong.exit_code == 2
    assert "There are no columns 'код', 'доход'" in wrong.stderr


@pytest.mark.parametrize("command", ["predict", "evaluate", "label-next", "update", "explain"])
def test_every_command_takes_a_sheet_or_table(invoke, place, command):
    (place / "flats.csv").exists()
    frame = pl.read_csv(place / "flats.csv").drop("class")
    with sqlite3.connect(place / "flats.db") as base:
        for name in ("old", "new"):
            base.execute(f"CREATE TABLE {name} (m2 REAL, city TEXT, rent REAL)")
            base.executemany(f"INSERT INTO {name} VALUES (?, ?, ?)", frame.rows())
    base.close()
    train = ("train", "flats.db", "--target", "rent", *QUICK, "--out", "run")
    refused = invoke(*train)
    assert refused.exit_code == 2
    assert "--table new" in refused.stderr
    assert invoke(*train, "--table", "old").exit_code == 0
    more = {"update": ("--epochs", "1", "--out", "next"), "label-next": ("--count", "3")}
    for table in ((), ("--table", "new")):
        force = ("--force",) if command == "update" else ()
        result = invoke(command, "run", "flats.db", *more.get(command, ()), *table, *force)
        assert result.exit_code == 0, result.output
    force = ("--force",) if command == "update" else ()
    wrong = invoke(command, "run", "flats.db", *more.get(command, ()), "--table", "odl", *force)
    assert wrong.exit_code == 2
    assert "There is no table 'odl'" in wrong.stderr


def test_missing_words_in_training_and_later(invoke, place):
    lines = [f"{n / 2 if n % 5 else 'n.k.'},{'NA' if n % 3 == 0 else 'ab'[n % 2]}"
             for n in range(90)]  # fmt: skip
    (place / "t.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    train = ("train", "t.csv", "--target", "y", *QUICK, "--out", "run")
    doubt = invoke(*train)
    assert doubt.exit_code == 2
    assert "It is not clear whether 'NA' is a class" in doubt.stderr
    as_class = invoke(*train, "--missing", "", "--json")
    assert as_class.exit_code == 0, as_class.output
    assert json.loads(as_class.stdout)["rows"]["train"] > 60
    gone = invoke(*train, "--missing", "NA,n.k.", "--json", "--force")
    assert json.loads(gone.stdout)["rows"]["train"] <= 60
    (place / "new.csv").write_text("x\n1.5\nlost\n")
    refused = invoke("predict", "run", "new.csv")
    assert refused.exit_code == 2
    assert "row 2" in refused.stderr
    assert "--missing lost" in refused.stderr
    assert invoke("predict", "run", "new.csv", "--missing", "lost").exit_code == 0
    assert load_predictor("run", missing=["lost"]).predict("new.csv").height == 2


def test_notes_are_warnings_in_python(trained):
    with pytest.warns(DataWarning, match="never seen in training: 'Lima'"):
        load_predictor(trained / "rent").predict({"m2": [50.0], "city": ["Lima"]})


def test_wrong_options_are_refused_in_words(invoke, place, trained):
    run = trained / "rent"
    for options, words in (
        (("--separator", "two"), "one character, or tab"),
        (("--encoding", "klingon"), "encoding is not known"),
        (("--table", "t"), "omit --table"),
    ):
        result = invoke("predict", run, "flats.csv", *options)
        assert result.exit_code == 2, result.output
        assert words in result.stderr
        result = invoke("train", "flats.csv", "--target", "rent", *options, "--out", "x")
        assert result.exit_code == 2, result.output
        assert words in result.stderr


def test_spaces_between_fields(invoke, place):
    rows = "\n".join(f'{n}.5   {n % 7}\t"car {n % 3}"' for n in range(60))
    (place / "t.data").write_text(f"  mpg  cyl name\n{rows}\n")
    told = ("--separator", "space")
    result = invoke("train", "t.data", "--target", "mpg", *told, *QUICK, "--out", "run")
    assert result.exit_code == 0, result.output
    assert "text, 3 distinct" in result.stderr


def test_a_series_to_forecast_has_no_words_for_missing(invoke, place):
    (place / "s.csv").write_text("t,y\n" + "".join(f"{n},{n % 7}\n" for n in range(60)))
    result = invoke("train", "s.csv", "--target", "y", "--horizon", "3", "--missing", "x")
    assert result.exit_code == 2
    assert "Omit --missing" in result.stderr
