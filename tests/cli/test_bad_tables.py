"""Tables as people have them: each is trained on, or refused in words, never with a traceback."""

from __future__ import annotations

import gzip

import numpy as np
import polars as pl
import pytest

QUICK = ("--epochs", "1", "--hidden", "4", "--members", "1", "--backend", "numpy")


def table(rows=120):
    x = np.random.default_rng(0).normal(size=rows)
    return pl.DataFrame({"x": x, "size": np.where(x > 0, "größer", "kleiner")})


def train(invoke, source, target="size", **options):
    result = invoke(
        "train", source, "--target", target, *QUICK, "--out", "run", "--force", **options
    )
    assert "Traceback" not in result.output
    assert "mistake in chainrule" not in result.output
    return result


def test_a_target_of_words_is_classes(invoke, place):
    table().write_csv(place / "t.csv")
    result = train(invoke, "t.csv")
    assert result.exit_code == 0
    assert "2 classes (größer, kleiner)" in result.stderr


def test_a_target_of_sentences_is_refused(invoke, place):
    lines = [f"a long sentence with number {i},{i}" for i in range(60)]
    (place / "t.csv").write_text("\n".join(["text,n", *lines]))
    result = train(invoke, "t.csv", "text")
    assert result.exit_code == 2
    assert "nearly as many classes as rows" in result.stderr
    assert "sequence-to-text" in result.stderr


def test_a_column_of_lists_is_left_out_and_refused_as_a_target(invoke, place):
    nested = table().with_columns(parts=pl.Series([[1, 2]] * 120))
    nested.write_parquet(place / "t.parquet")
    result = train(invoke, "t.parquet")
    assert result.exit_code == 0
    assert "nested: holds lists or objects" in result.stderr
    refused = train(invoke, "t.parquet", "parts")
    assert refused.exit_code == 2
    assert "The target holds lists" in refused.stderr


def test_dates_in_several_formats_are_dates(invoke, place):
    days = [f"{i % 28 + 1}.3.2021" if i % 2 else f"2020-01-{i % 28 + 1:02d}" for i in range(120)]
    table().with_columns(day=pl.Series(days)).write_csv(place / "t.csv")
    result = train(invoke, "t.csv")
    assert result.exit_code == 0
    assert "%Y-%m-%d | %d.%m.%Y" in result.stderr


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8-sig", ""),
        ("cp1252", "read as Windows-1252"),
        ("utf-16", ""),
        ("utf-16-le", "UTF-16"),
        ("utf-32", ""),
    ],
)
def test_other_encodings_are_read_and_said(invoke, place, encoding, said):
    (place / "t.csv").write_bytes(table().write_csv().encode(encoding))
    result = train(invoke, "t.csv")
    assert result.exit_code == 0
    assert "größer" in result.stderr
    assert said in result.stderr


def test_what_is_cut_off_is_refused_with_its_place(invoke, place):
    whole = table().write_csv().encode()
    (place / "t.csv").write_bytes(whole[: len(whole) // 2].rpartition(b",")[0])
    (place / "t.csv.gz").write_bytes(gzip.compress(whole)[:300])
    table().write_parquet(place / "t.parquet")
    (place / "t.parquet").write_bytes((place / "t.parquet").read_bytes()[:500])
    for name, says in (("t.csv", "line "), ("t.csv.gz", "cut off"), ("t.parquet", "cut off")):
        result = train(invoke, name)
        assert result.exit_code == 2
        assert says in result.stderr


def test_an_interrupted_pipe_is_refused(invoke, place):
    whole = table().write_csv()
    cut = whole[: len(whole) // 2].rpartition(",")[0]
    result = train(invoke, "-", input=cut)
    assert result.exit_code == 2
    assert "standard input, line" in result.stderr
    assert "may be cut off" in result.stderr
    assert train(invoke, "-", input="").exit_code == 2
