"""Texts and files whose table says how they may be split: by groups, or in time."""

import numpy as np
import polars as pl
import pytest
from PIL import Image

from chainrule.errors import ConfigError, DataError
from chainrule.tasks.audio.plan import AudioPlan
from chainrule.tasks.images.plan import ImagePlan
from chainrule.tasks.kinds import KINDS
from chainrule.tasks.partition import Partition
from chainrule.tasks.text.classification import TextClassification
from chainrule.tasks.text.language_modelling import LanguageModelling

ROWS = 60


def texts(**columns) -> pl.DataFrame:
    generator = np.random.default_rng(0)
    words = np.array(["sun", "rain", "wind", "snow", "fog"])
    content = [f"{' '.join(generator.choice(words, 6))} {row}" for row in range(ROWS)]
    return pl.DataFrame({"said": content, "mood": ["good", "bad"] * (ROWS // 2), **columns})


def split_of(plan_type, kind, source, say=lambda sentence: None, **options):
    plan = plan_type(KINDS[kind].options(**options), say)
    return plan.split(plan.read(source))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A table of 30 files of ten patients; two files of different patients are the same."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for number in range(30):
        pixels = generator.integers(0, 255, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "29.png").write_bytes((folder / "0.png").read_bytes())
    table = pl.DataFrame({
        "file": [f"{number}.png" for number in range(30)],
        "patient": [f"P{number // 3}" for number in range(30)],
        "taken": [f"2024-01-{number + 1:02}" for number in range(30)],
        "state": ["ill", "well", "well"] * 10,
    })  # fmt: skip
    table.write_csv(folder / "table.csv")
    return folder


def test_texts_of_a_group_stay_together():
    groups = np.random.default_rng(1).integers(0, 12, ROWS)
    frame = texts(author=[f"author number {group}, who wrote much" * 4 for group in groups])
    found = split_of(TextClassification, "text", frame, target="mood", split_by_group="author")
    number = dict(zip(frame["said"], groups, strict=True))
    sides = [{number[text] for text in part.texts}
             for part in (found.train, found.validation, found.test)]  # fmt: skip
    assert all(sides)
    assert not sides[0] & sides[1]
    assert not (sides[0] | sides[1]) & sides[2]
    assert sum(map(len, (found.train, found.validation, found.test))) == ROWS


def test_the_latest_texts_are_the_test_set():
    days = np.random.default_rng(2).permutation(ROWS)
    frame = texts(day=[f"2024-{1 + d // 28:02}-{1 + d % 28:02}" for d in days])
    found = split_of(TextClassification, "text", frame, target="mood", split_by_time="day")
    day = dict(zip(frame["said"], days, strict=True))
    first, second, last = (
        [day[text] for text in part.texts] for part in (found.train, found.validation, found.test)
    )
    assert max(first) < min(second)
    assert max(second) < min(last)
    assert len(last) == 12


def test_texts_that_are_the_same_stay_together_and_that_is_said():
    frame = texts()
    frame = pl.concat([frame, frame.head(20)])
    said = []
    found = split_of(TextClassification, "text", frame, said.append, target="mood")
    train, test = set(found.train.texts + found.validation.texts), set(found.test.texts)
    assert not train & test
    assert any("20 of 80 texts repeat another one" in sentence for sentence in said)


def test_files_of_a_group_stay_together_with_their_copies(pictures):
    said = []
    found = split_of(ImagePlan, "images", pictures / "table.csv", said.append, target="state",
                     split_by_group="patient", test=0.3)  # fmt: skip
    train, test = ({row // 3 for row in part.rows} for part in (found.train, found.test))
    assert not train & test
    assert train | test == set(range(10))
    assert ({0, 9} <= train) or ({0, 9} <= test)  # joined by the copy


def test_the_latest_files_are_the_test_set_without_copies_of_them_before(pictures):
    said = []
    found = split_of(ImagePlan, "images", pictures / "table.csv", said.append, target="state",
                     split_by_time="taken")  # fmt: skip
    assert found.test.rows.tolist() == [24, 25, 26, 27, 28, 29]
    assert found.train.rows.tolist() == list(range(1, 24))
    assert any("1 images with later copies" in sentence for sentence in said)


def test_folds_of_files_follow_groups_and_time(pictures):
    for how in ({"split_by_group": "patient"}, {"split_by_time": "taken"}):
        plan = ImagePlan(KINDS["images"].options(target="state", cv=3, **how))
        splits = plan.folds(plan.read(pictures / "table.csv"), 3)[:-1]
        assert len(splits) == 3
        for each in splits:
            train, test = each.train.rows, each.test.rows
            if "split_by_time" in how:
                assert train.max() < test.min()
            else:
                assert not {*train // 3} & {*test // 3}


def test_what_has_no_such_column_is_refused_by_name(pictures, tmp_path):
    for plan, kind in ((ImagePlan, "images"), (AudioPlan, "audio"), (TextClassification, "text")):
        with pytest.raises(ConfigError, match="no column to split by"):
            split_of(plan, kind, pictures, split_by_group="patient")
    (tmp_path / "a.txt").write_text("to be or not to be " * 90)
    with pytest.raises(ConfigError, match="no column to split by"):
        split_of(LanguageModelling, "text", tmp_path / "a.txt", split_by_time="day")
    with pytest.raises(DataError, match="There is no column 'patents'"):
        split_of(ImagePlan, "images", pictures / "table.csv", target="state",
                 split_by_group="patents")  # fmt: skip
    with pytest.raises(DataError, match="There is no column 'writer'"):
        split_of(TextClassification, "text", texts(), target="mood", split_by_group="writer")
    for name in ("mood", "said"):
        with pytest.raises(ConfigError, match="cannot say how rows are split"):
            split_of(TextClassification, "text", texts(), target="mood", features=("said",),
                     split_by_group=name)  # fmt: skip
    with pytest.raises(DataError, match="does not say when a row was"):
        split_of(ImagePlan, "images", pictures / "table.csv", target="state",
                 split_by_time="patient")  # fmt: skip


def test_a_split_that_the_table_says_is_not_split_otherwise(pictures):
    frame = pl.read_csv(pictures / "table.csv")
    path = pictures / "with_split.csv"
    frame.with_columns(split=pl.Series(["train", "test", "train"] * 10)).write_csv(path)
    with pytest.raises(ConfigError, match="split already"):
        split_of(ImagePlan, "images", path, target="state", split_by_group="patient")


def test_groups_and_copies_are_joined():
    groups, copies = np.array([0, 0, 1, 2, 3]), np.array([7, 8, 8, 9, 9])
    joined = Partition(groups).with_copies(copies).groups
    assert joined.tolist() == [0, 0, 0, 3, 3]
    assert Partition(times=np.arange(5.0)).with_copies(copies).groups is None
