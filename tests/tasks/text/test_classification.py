"""Classes of texts: from tables and folders, by each network, with what can go wrong."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

import chainrule as cr
from chainrule.errors import ConfigError, DataError, ModelFileError
from chainrule.tasks import load_predictor, recognise
from chainrule.tasks.partition import Partition
from chainrule.tasks.text import TextOptions
from chainrule.tasks.text.classifier_network import ClassifierShape, encode_texts, naive_bayes
from chainrule.tasks.text.linear_choice import choose, inverse_frequencies, logistic
from chainrule.tasks.text.ngrams import Grams
from chainrule.tasks.text.tokenizers import WordTokenizer
from chainrule.tasks.update import update

SUBJECTS = {"food": "soup bread cheese apple rice", "sport": "ball goal race team coach"}


def texts(rows=120, seed=0):
    """Sentences of words that both classes have, and of a few that tell them apart."""
    generator = np.random.default_rng(seed)
    usual = ["the", "a", "one", "of", "and", "we", "they", "saw", "had", "very"]
    found = {"text": [], "subject": []}
    for number in range(rows):
        subject = list(SUBJECTS)[number % 2]
        words = [*generator.choice(usual, 8), *generator.choice(SUBJECTS[subject].split(), 2)]
        found["text"].append(" ".join(generator.permutation(words)))
        found["subject"].append(subject)
    return found


def write_folders(folder, found):
    for number, (text, subject) in enumerate(zip(found["text"], found["subject"], strict=True)):
        (folder / subject).mkdir(parents=True, exist_ok=True)
        (folder / subject / f"{number:03}.txt").write_text(text)
    return folder


def trained(source, **options):
    options = {"epochs": 12, "backend": "numpy", **options}
    return cr.text.train(source, TextOptions(**options), progress=False)


def test_naive_bayes_is_that_of_another_system():
    generator = np.random.default_rng(0)
    counts = generator.poisson(0.4, (40, 12))
    target = generator.integers(0, 3, 40)
    rows = [np.repeat(np.arange(12), row) for row in counts]
    found = naive_bayes(rows[:30], target[:30], rows[30:], 12)
    expected = MultinomialNB().fit(counts[:30], target[:30]).predict_proba(counts[30:])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("model", ["linear", "bag", "lstm", "transformer", "tcn"])
def test_what_is_behind_the_end_of_a_text_does_not_count(model):
    shape = ClassifierShape(model, 30, 6, 3, 8, 1, 0.0)
    network = shape.build().initialize(2)
    numbers = np.array([[5, 9, 3, 0, 0, 0]], np.int32)
    short = {"numbers": numbers[:, :4], "lengths": np.array([3])}
    long = {"numbers": numbers, "lengths": np.array([3])}
    if model == "linear":
        network.head.weight.assign(np.random.default_rng(0).normal(size=(30, 3)))
        short["counts"] = long["counts"] = np.array([[1, 2, 4, 0, 0, 0]], np.float32)
        short["counts"] = short["counts"][:, :4]
    if model in ("linear", "bag"):
        for part in (short, long):
            del part["lengths"]
    np.testing.assert_allclose(network(short).numpy(), network(long).numpy(), atol=1e-5)


def test_a_bag_is_the_sum_over_the_root_of_the_count():
    network = ClassifierShape("bag", 10, 4, 2, 3, 0, 0.0).build().initialize(0)
    vectors, weight = network.parts.weight.numpy(), network.head.weight.numpy()
    found = network({"numbers": np.array([[4, 7, 9, 0], [0, 0, 0, 0]], np.int32)}).numpy()
    hidden = vectors[[4, 7, 9]].sum(0) / np.sqrt(3)
    np.testing.assert_allclose(found[0], hidden @ weight + network.head.bias.numpy(), rtol=1e-4)
    np.testing.assert_allclose(found[1], network.head.bias.numpy(), atol=1e-7)


def test_a_linear_model_sees_what_scikit_learn_calls_tf_idf():
    # Of words of one letter there are no pieces.
    found = [" ".join(word for word in text.split() if word != "a") for text in texts(40)["text"]]
    grams = Grams.fit(found, "word", 2, letters=3)
    shape = ClassifierShape("linear", len(grams), 400, 2, 0, 0, 0.0, grams.first_letters)
    network, weight = shape.build(), np.random.default_rng(1).normal(size=(len(grams), 2))
    rows = [grams.encode(text) for text in found]
    network.idf.assign(inverse_frequencies(rows, len(grams)))
    network.head.weight.assign(weight)
    z = network(encode_texts(found, grams, shape).inputs).numpy()
    words = [gram for gram in grams.grams if not gram.startswith("\t")]
    pieces = [gram[1:] for gram in grams.grams if gram.startswith("\t")]
    one = {
        "vocabulary": words,
        "ngram_range": (1, 2),
        "token_pattern": r"\w+",
        "sublinear_tf": True,
    }
    other = {"vocabulary": pieces, "ngram_range": (2, 3), "analyzer": "char_wb"}
    parts = [TfidfVectorizer(**one), TfidfVectorizer(**other, sublinear_tf=True)]
    x = np.concatenate([part.fit_transform(found).toarray() for part in parts], 1)
    np.testing.assert_allclose(z, x @ weight[2:], rtol=1e-4, atol=1e-5)


def test_the_choice_solves_the_problem_of_scikit_learn():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(60, 5)), generator.integers(0, 3, 60)
    s = generator.uniform(0.5, 2, 60)
    x[:, 0] += y
    ours = logistic(np.column_stack([x, np.ones(60)]), y, s, 3, 0.1)
    theirs = LogisticRegression(C=1 / (0.1 * s.sum()), tol=1e-8, max_iter=1000).fit(x, y, s)
    np.testing.assert_allclose(ours[:-1].T, theirs.coef_, atol=1e-3)
    difference = ours[-1] - ours[-1].mean() - theirs.intercept_ + theirs.intercept_.mean()
    np.testing.assert_allclose(difference, 0, atol=1e-3)


def test_the_penalty_is_chosen_on_groups_that_were_not_seen():
    generator = np.random.default_rng(0)
    usual = ["the", "a", "one", "of", "and", "we", "they"]
    author = np.arange(120) % 12
    target = author % 2  # whom it is by tells all, but of authors that were seen
    found = [
        " ".join([*generator.choice(usual, 6), f"name{'abcdefghijkl'[one]}"]) for one in author
    ]
    grams = Grams.fit(found, "word", 1, 1000, 1)
    by_chance = choose(grams, found, target, None, 0)
    by_author = choose(grams, found, target, None, 0, Partition(groups=author))
    assert by_chance.log_loss < 0.1
    assert by_author.log_loss > 0.5
    assert by_author.penalty > 100 * by_chance.penalty
    one = Partition(groups=np.zeros(120, int))  # nothing to hold out by
    assert choose(grams, found, target, None, 0, one).penalty == by_chance.penalty


def test_folds_in_order_of_time_choose_the_penalty():
    found = texts(80)
    target = np.arange(80) % 2
    late = Partition(times=np.arange(80.0))
    grams = Grams.fit(found["text"], "word", 1, 1000, 1)
    choice = choose(grams, found["text"], target, None, 0, late)
    assert choice.log_loss != choose(grams, found["text"], target, None, 0).log_loss


def noisy(rows=120, seed=0):
    """Texts of many words that say nothing, in markup, with one that tells the class."""
    generator = np.random.default_rng(seed)
    usual = [f"word{number}" for number in range(60)]
    telling = {"pos": ["superb", "lovely", "great"], "neg": ["awful", "poor", "dull"]}
    found = {"text": [], "label": []}
    for number in range(rows):
        label = ["pos", "neg"][number % 2]
        words = [*generator.choice(usual, 12), generator.choice(telling[label])]
        body = " ".join(generator.permutation(words))
        page = generator.integers(1e6)
        found["text"].append(f"<p class='r{number % 7}'>{body}</p><a href='x.example/{page}'>")
        found["label"].append(label)
    return found


def test_few_texts_are_told_apart_by_a_linear_model_as_well_as_by_scikit_learn(tmp_path):
    later = noisy(200, seed=1)
    pl.DataFrame(later).write_csv(tmp_path / "later.csv")
    options = {"target": "label", "epochs": None, "backend": "auto"}
    report = trained(noisy(), **options, test=str(tmp_path / "later.csv")).report
    assert report["network"] == "linear"
    theirs = make_pipeline(TfidfVectorizer(), LogisticRegression())
    theirs.fit(noisy()["text"], noisy()["label"])
    assert report["metrics"]["accuracy"] >= theirs.score(later["text"], later["label"])
    assert report["metrics"]["accuracy"] >= 0.98
    assert report["rows"] == {"train": 120, "test": 200}
    assert report["optimizer"]["l2"] > 0
    assert report["best_epoch"] == report["epochs"]


def test_texts_of_length_0_are_known_by_it():
    shape = ClassifierShape("lstm", 9, 2, 2, 4, 1, 0.0)
    seen = encode_texts(["", "a b c"], WordTokenizer.fit(["a b"]), shape)
    assert seen.inputs["numbers"].tolist() == [[1, 0], [2, 0], [3, 1]]
    assert seen.inputs["lengths"].tolist() == [1, 1, 2]
    assert seen.text.tolist() == [0, 1, 1]
    assert seen.several == 1
    np.testing.assert_allclose(seen.share, [1, 1 / 3, 2 / 3])
    shape = ClassifierShape("bag", 9, 2, 2, 4, 0, 0.0)
    seen = encode_texts(["", "b"], Grams.fit(["a b"], least=1), shape)
    assert seen.inputs["numbers"].tolist() == [[0, 0], [4, 0]]


@pytest.mark.parametrize("model", ["linear", "bag"])
def test_a_bag_in_parts_says_what_the_whole_bag_says(model):
    grams = Grams.fit(["a b c d e f"], longest=1, least=1)
    shape = ClassifierShape(model, len(grams), 6, 2, 4, 0, 0.0)
    whole, halves = (dataclasses.replace(shape, context=context) for context in (6, 3))
    network = shape.build().initialize(3)
    if model == "linear":
        network.head.weight.assign(np.random.default_rng(0).normal(size=(len(grams), 2)))
    z = {}
    for name, one in (("whole", whole), ("halves", halves)):
        seen = encode_texts(["a b c d e f"], grams, one)
        z[name] = seen.averaged(network(seen.inputs).numpy())
    # The same direction; the sum over √n is smaller by √2 in halves.
    np.testing.assert_allclose(z["whole"], z["halves"] * np.sqrt(2), rtol=1e-4)


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("model", ["linear", "bag", "tcn"])
def test_long_texts_are_seen_to_their_end(model, tmp_path):
    """What tells the class is behind all that a network sees at once."""
    found, notes = texts(80), []
    found["text"] = ["so " * 5 * (number % 9) + t for number, t in enumerate(found["text"])]
    options = {"context": 12, "lr": 0.02} | ({"hidden": (16,)} if model != "linear" else {})
    options |= {"target": "subject", "model": model, "epochs": 15, "backend": "numpy"}
    result = cr.text.train(found, TextOptions(**options), progress=False, say=notes.append)
    assert result.report["metrics"]["accuracy"] >= 0.8
    if model != "linear":  # each word counts once
        assert any("are long: they are seen in parts" in note for note in notes)
    result.save(tmp_path / "model.safetensors")
    model = load_predictor(tmp_path / "model.safetensors")
    asked = [" ".join(["they had"] * 10 + [word] * 9) for word in ("cheese rice", "coach ball")]
    assert model.predict(asked)["prediction"].to_list() == ["food", "sport"]
    new = {"text": found["text"][:20], "subject": found["subject"][:20]}
    report = update(tmp_path / "model.safetensors", new, progress=False, epochs=1).report
    assert report["baselines"]["before the update"]["accuracy"] >= 0.75


@pytest.mark.parametrize("model", ["linear", "bag", "lstm", "transformer", "tcn"])
def test_each_network_learns(model):
    hidden = None if model == "linear" else (16,)
    report = trained(texts(), target="subject", model=model, lr=0.02, hidden=hidden).report
    assert report["metrics"]["accuracy"] >= 0.9
    assert report["baselines"]["majority"]["accuracy"] == 0.5
    assert report["rows"] == {"train": 96, "test": 24}


def test_a_model_is_used_from_its_file(tmp_path):
    found = texts()
    result = trained(found, target="subject", balance=True)
    result.save(tmp_path / "model.safetensors")
    model = load_predictor(tmp_path / "model.safetensors")
    table = model.predict({"text": ["we saw a goal", "rice and bread", ""]}, proba=True)
    assert table["prediction"].to_list()[:2] == ["sport", "food"]
    total = table["probability food"] + table["probability sport"]
    np.testing.assert_allclose(total, 1.0, rtol=1e-5)
    assert model.evaluate(found)["accuracy"] >= 0.95
    assert model.predict(["the coach"])["prediction"].to_list() == ["sport"]
    with pytest.raises(DataError, match="no column 'text'"):
        model.predict({"words": ["a"]})


def test_the_same_seed_gives_the_same_model():
    first, second = (trained(texts(), target="subject", epochs=2) for _ in range(2))
    assert first.history["loss"] == second.history["loss"]


def test_folders_of_classes(tmp_path):
    folder = write_folders(tmp_path / "texts", texts())
    (folder / "food" / "notes.doc").write_text("left out")
    notes = []
    result = cr.text.train(folder, TextOptions(epochs=8, backend="numpy"), progress=False,
                           say=notes.append)  # fmt: skip
    assert result.report["metrics"]["accuracy"] >= 0.9
    assert "1 file is no text and left out: .doc" in notes
    result.save(tmp_path / "model.safetensors")
    model = cr.text.load(tmp_path / "model.safetensors")
    found = model.predict(folder / "sport")
    assert found.columns == ["file", "prediction"]
    assert found["prediction"].to_list().count("sport") >= 50
    assert model.predict(folder / "food" / "000.txt").height == 1
    assert model.evaluate(folder)["accuracy"] >= 0.9
    (folder / "music").mkdir()
    (folder / "music" / "1.txt").write_text("a song")
    with pytest.raises(DataError, match="classes that are not known"):
        model.evaluate(folder)


def test_a_test_file_of_its_own(tmp_path):
    pl.DataFrame(texts(40, seed=5)).write_csv(tmp_path / "later.csv")
    report = trained(texts(), target="subject", test=str(tmp_path / "later.csv")).report
    assert report["rows"] == {"train": 120, "test": 40}


def test_writing_without_spaces_is_a_bag_of_characters():
    words = {"猫が好きです": "cat", "犬が好きです": "dog"}
    rows = [(text + "。" * (i % 3), kind) for i in range(20) for text, kind in words.items()]
    seen = []
    cr.text.train(
        {"text": [text for text, _ in rows], "animal": [kind for _, kind in rows]},
        TextOptions(target="animal", epochs=5, backend="numpy"),
        progress=False,
        on_schema=seen.append,
    )
    assert seen[0].words.unit == "character"


def test_each_character_of_a_script_without_spaces_is_a_word_and_neighbours_are_parts():
    grams = Grams((), "word", 2)
    assert list(grams.parts("very 好吃"))[:3] == ["very", "very 好", "好"]
    assert "强 烈 推 荐" in list(grams.parts("我 强烈推荐"))
    assert max(len(part.split()) for part in grams.parts("so very good food")) == 2


def test_a_vocabulary_of_an_earlier_version_keeps_its_words():
    words = {"kind": "word", "words": ["好吃"], "lower": True, "spaces": False}
    assert cr.text.tokenizer_from_json(words).encode("好吃").tolist() == [2]
    grams = {"kind": "grams", "grams": ["好吃"], "unit": "word", "longest": 2}
    assert Grams.from_json(grams).encode("好吃").tolist() == [2]
    again = Grams.from_json(Grams(("好",), "word", 2).to_json())
    assert again.encode("好吃").tolist() == [2]


def two_scripts(rows=240, seed=0):
    """Half of the texts in English, half in Chinese without spaces, with words of two classes."""
    generator = np.random.default_rng(seed)
    usual = {
        "": "的一是不了在人有我他这中大来上国",
        " ": ["the", "a", "one", "of", "and", "we", "they", "saw", "had"],
    }
    telling = {"": ("很好", "讨厌"), " ": ("great", "awful")}
    found = {"text": [], "mood": []}
    for number in range(rows):
        between, mood = ["", " "][number // 2 % 2], number % 2
        words = [*generator.choice(list(usual[between]), 10), telling[between][mood]]
        found["text"].append(between.join(generator.permutation(words)))
        found["mood"].append(["glad", "sad"][mood])
    return found


def test_two_scripts_in_one_table_are_learned_alike():
    result = trained(two_scripts(), target="mood", epochs=20)
    assert result.report["metrics"]["accuracy"] >= 0.95


def test_rare_classes_those_that_look_alike_and_empty_texts_are_said(tmp_path):
    notes, table = [], texts()
    table["subject"][:9] = [table["subject"][0].upper()] * 8 + ["other"]
    options = TextOptions(target="subject", epochs=1, backend="numpy")
    result = cr.text.train(table, options, progress=False, say=notes.append)
    assert any("differ in case or spaces only" in note for note in notes)
    assert any(note.startswith("class 'other' has one text only") for note in notes)
    result.save(tmp_path / "model")
    notes.clear()
    model = load_predictor(tmp_path / "model")
    model.predict({"text": ["", "a word"]}, say=notes.append)
    assert any(note.startswith("1 text is empty") for note in notes)


def test_what_is_left_out_beside_the_text_is_said():
    notes = []
    table = {"id": list(range(7, 127)), **texts()}
    options = TextOptions(target="subject", epochs=1, backend="numpy")
    cr.text.train(table, options, progress=False, say=notes.append)
    assert "the text is column text; left out: id" in notes


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, "text"),
        ({"id": list(range(7, 127))}, "text"),
        ({"no": list(range(120)), "source": ["web"] * 120, "seen": [None] * 120}, "text"),
        ({"price": np.linspace(0.5, 9, 120).round(2).tolist()}, "table"),
        ({"city": ["Rome", "Oslo", "Bern"] * 40}, "table"),
    ],
)
def test_a_text_beside_identifiers_is_all_that_a_table_says(tmp_path, more, kind):
    pl.DataFrame({**more, **texts()}).write_csv(tmp_path / "texts.csv")
    assert recognise(tmp_path / "texts.csv", "subject") == kind


def test_texts_without_spaces_are_recognised_and_numbers_to_predict_are_a_table(tmp_path):
    found = two_scripts()
    chinese = pl.DataFrame(found).filter(~pl.col("text").str.contains(" "))
    chinese.write_csv(tmp_path / "texts.csv")
    assert recognise(tmp_path / "texts.csv", "mood") == "text"
    found["mood"] = np.random.default_rng(0).normal(size=240).tolist()
    pl.DataFrame(found).write_csv(tmp_path / "numbers.csv")
    assert recognise(tmp_path / "numbers.csv", "mood") == "table"


def test_a_table_of_text_is_recognised(tmp_path):
    pl.DataFrame(texts()).write_csv(tmp_path / "texts.csv")
    pl.DataFrame(texts()).write_parquet(tmp_path / "texts.parquet")
    pl.DataFrame({"m2": ["1", "2"], "rent": ["3", "4"]}).write_csv(tmp_path / "flats.csv")
    (tmp_path / "play.txt").write_text("To be")
    assert recognise(tmp_path / "texts.csv", "subject") == "text"
    assert recognise(tmp_path / "texts.parquet", "subject") == "text"
    assert recognise(tmp_path / "flats.csv", "rent") == "table"
    assert recognise(tmp_path / "play.txt") == "text"
    assert recognise(write_folders(tmp_path / "folders", texts(8))) == "text"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"model": "gpt"}, "predicts no classes"),
        ({"tokenizer": "bpe"}, "bag is made of words"),
        ({"features": ("nothing",)}, "no column 'nothing'"),
        ({"target": "mood"}, "no column 'mood'"),
        ({"hidden": (8, 16)}, "hidden"),
        ({"vocabulary": 1}, "vocabulary"),
        ({"context": 0}, "context"),
        ({"model": "forest"}, "model"),
    ],
)
def test_invalid_options(options, what):
    with pytest.raises((ConfigError, DataError), match=what):
        trained(texts(), **{"target": "subject", **options})


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ({"text": ["a b c"] * 8, "kind": ["one"] * 8}, "one class"),
        ({"text": ["a b c", "b c d"], "kind": ["one", "two"]}, "too few"),
        ({"number": [1, 2, 3], "kind": ["one", "two", "one"]}, "no column of text"),
    ],
)
def test_tables_that_cannot_be_learned(table, what):
    with pytest.raises(DataError, match=what):
        trained(table, target="kind")


def test_folders_that_are_a_split_are_no_classes(tmp_path):
    found = texts(24)
    for part in ("seg_train", "seg_test"):
        write_folders(tmp_path / "all" / part, found)
    with pytest.raises(DataError, match="parts of the data") as caught:
        cr.text.train(tmp_path / "all", TextOptions(epochs=1, backend="numpy"), progress=False)
    train, test = (tmp_path / "all" / part for part in ("seg_train", "seg_test"))
    assert caught.value.hint == f"chainrule train {train} --test {test}"
    for part in ("train", "test"):
        (tmp_path / "flat" / part).mkdir(parents=True)
        (tmp_path / "flat" / part / "1.txt").write_text("alone")
    with pytest.raises(DataError, match="no class folders in them"):
        cr.text.train(tmp_path / "flat", TextOptions(epochs=1, backend="numpy"), progress=False)


def test_texts_without_a_class_are_left_out_and_said(tmp_path):
    folder = write_folders(tmp_path / "train", texts(24))
    (folder / "unsup").mkdir()
    (folder / "unsup" / "1.txt").write_text("who knows")
    said = []
    options = TextOptions(epochs=1, backend="numpy")
    result = cr.text.train(folder, options, progress=False, say=said.append)
    assert "unsup" not in result.schema.classes
    assert any("unsup: texts without a class" in sentence for sentence in said)


def test_folders_that_cannot_be_learned(tmp_path):
    found = texts(8)
    write_folders(tmp_path / "one", {name: values[::2] for name, values in found.items()})
    with pytest.raises(DataError, match="only one class") as caught:
        trained(tmp_path / "one")
    assert caught.value.found == "food"
    folder = write_folders(tmp_path / "two", found)
    (folder / "sport" / "bad.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match="UTF-8") as caught:
        trained(folder)
    assert "bad.txt, line 1, byte 4" in caught.value.where


def test_a_damaged_description_is_refused():
    with pytest.raises(ModelFileError):
        cr.text.classification.ClassSchema.from_json({"kind": "text", "task": "x"}, "file")
