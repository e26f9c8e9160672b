"""Folders of classes as they come: which are classes, which are parts of a split."""

import pytest

from chainrule.errors import DataError
from chainrule.tasks.class_folders import find_class_folders, role_of


def make(folder, *files):
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def found(folder, **options):
    result = find_class_folders(folder, lambda path: path.endswith(".png"), "images", **options)
    places = {(p.part, p.label): len(p.paths) for p in result.places}
    assert sum(places.values()) == sum(len(p.paths) for p in result.places)
    return places, " | ".join(result.notes), result.command


SPLIT = {("training", "cat"): 1, ("training", "dog"): 1, ("test", "cat"): 1, ("test", "dog"): 1}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("seg_train", "seg_test"),
        ("Training", "Testing"),
        ("TRAIN", "TEST"),
        ("train_images", "eval_images"),
        ("train2017", "holdout2017"),
        ("TrainingSet", "TestSet"),
        ("train/train", "test/test"),
        ("archive/train", "archive/test"),
        ("a/data/training_set/training_set", "a/data/test_set/test_set"),
    ],
)
def test_parts_with_classes_in_them(tmp_path, train, test):
    make(tmp_path, *(f"{part}/{c}/1.png" for part in (train, test) for c in ("cat", "dog")))
    places, notes, command = found(tmp_path)
    assert places == SPLIT
    assert "a split already" in notes
    assert command == f"chainrule train {tmp_path / train} --test {tmp_path / test}"


@pytest.mark.parametrize(
    "pattern", ["{label}/{part}/1.png", "{part}_{label}/1.png", "{label}-{part}/1.png"]
)
def test_the_other_way_round_and_in_one_name(tmp_path, pattern):
    names = [pattern.format(part=p, label=c) for p in ("train", "test") for c in ("cat", "dog")]
    assert found(make(tmp_path, *names))[0] == SPLIT


def test_a_validation_set_alone_is_tested_on(tmp_path):
    make(tmp_path, "Train/cat/1.png", "Train/dog/1.png", "Valid/cat/1.png", "Valid/dog/1.png")
    places, notes, _ = found(tmp_path)
    assert {part for part, _ in places} == {"training", "validation"}
    assert "Valid is the test set, as there is no other" in notes


def test_what_has_no_class_is_left_out_and_said(tmp_path):
    make(tmp_path, "train/cat/1.png", "train/dog/1.png", "train/stray.png", "test/1.png",
         "test/2.png", "train/cat/notes.txt", "train/dog/._1.png", "Thumbs.db", "train/.DS_Store",
         )  # fmt: skip
    (tmp_path / "train" / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "train" / "dog" / "back").symlink_to(tmp_path)
    places, notes, _ = found(tmp_path)
    assert places == {("training", "cat"): 1, ("training", "dog"): 1}
    assert "test: 2 images without a class" in notes
    assert "train: 1 images without a class" in notes
    for kind in ("1 .txt", "1 hidden", "1 broken link", "1 link to a folder above"):
        assert kind in notes


@pytest.mark.parametrize(
    "names",
    [
        ("bus", "car", "train"),
        ("train", "plane"),
        ("valid", "invalid"),
        ("covid_test", "normal_test"),
        ("1", "2", "10"),
        ("été", "hiver"),
    ],
)
def test_classes_stay_classes(tmp_path, names):
    make(tmp_path, *(f"{name}/deep/{name}.png" for name in names))
    places, notes, _ = found(tmp_path)
    assert set(places) == {("", name) for name in names}
    assert not notes


def test_folders_without_a_class(tmp_path):
    make(tmp_path, "a/1.png", "b/2.png", "unlabeled/3.png")
    places, notes, _ = found(tmp_path)
    assert set(places) == {("", "a"), ("", "b")}
    assert "unlabeled: 1 images without a class" in notes
    make(
        tmp_path / "n", "train/pos/1.png", "train/neg/1.png", "train/unsup/1.png", "test/pos/1.png"
    )
    places, notes, _ = found(tmp_path / "n")
    assert {label for _, label in places} == {"pos", "neg"}
    assert "train: 1 images without a class" in notes


def test_two_spellings_of_a_letter_are_one_class(tmp_path):
    make(tmp_path, "caf\u00e9/1.png", "cafe\u0301/2.png", "tea/1.png")
    result = find_class_folders(tmp_path, lambda path: path.endswith(".png"), "images")
    assert result.labels == ["caf\u00e9", "tea"]


def test_the_same_folders_everywhere_are_a_question(tmp_path):
    make(tmp_path, *(f"{a}/{b}/1.png" for a in ("north", "south") for b in ("cat", "dog")))
    with pytest.raises(DataError, match="which are the classes") as caught:
        found(tmp_path, overrule="say it; ")
    assert "north, south, and in each of them cat, dog" in caught.value.found
    assert f"{tmp_path}/north --test {tmp_path}/south" in caught.value.hint
    assert found(tmp_path, inner=False)[0] == {("", "north"): 2, ("", "south"): 2}
    result = find_class_folders(tmp_path, lambda p: p.endswith(".png"), "images", inner=True)
    assert result.labels == ["cat", "dog"]
    assert sum(len(place.paths) for place in result.places) == 4


def test_parts_without_classes_are_an_error_that_names_the_table(tmp_path):
    make(tmp_path, "train/1.png", "test/2.png", "sample.csv", "train.csv")
    with pytest.raises(DataError, match="no class folders in them") as caught:
        found(tmp_path)
    assert f"chainrule train {tmp_path / 'train.csv'} --target" in caught.value.hint
    assert "--kind images" in caught.value.hint


def test_a_class_that_is_only_tested(tmp_path):
    make(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/cat/1.png", "test/cow/1.png")
    with pytest.raises(DataError, match="not in the training set") as caught:
        found(tmp_path)
    assert caught.value.found == "cow"


def test_names_of_parts():
    names = ["valSet", "dev_set", "Prediction", "x-test", "trainer", "contest"]
    assert [role_of(name) for name in names] == [
        "validation", "validation", "unlabelled", "test", "", "",
    ]  # fmt: skip
