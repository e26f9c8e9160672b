"""Language models: windows, scores and baselines by hand, and a text that is learned by heart."""

import math
from collections import Counter

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ConfigError, DataError, ModelFileError
from chainrule.tasks.text import CharacterTokenizer, Reader, TextOptions, generate
from chainrule.tasks.text.generate import draw
from chainrule.tasks.text.language_network import (
    LanguageShape,
    characters_of,
    counting_baselines,
    scores,
    surprises,
    windows,
)

RHYME = "one two three four five, once I caught a fish alive.\n"
SMALL = {"hidden": (16,), "context": 16, "epochs": 1}


def shape(model, vocabulary=12, context=6):
    return LanguageShape(model, vocabulary, context, 8, 2, 0.0)


@pytest.fixture(params=["gpt", "lstm"])
def network(request):
    found = shape(request.param).build().initialize(1)
    for parameter in found.parameters().values():
        parameter.assign(parameter * 3.0)  # so that the tokens differ
    return found


def test_a_window_is_followed_by_the_next_tokens():
    inputs, following = windows(np.arange(100, 120), 4)
    assert inputs.shape == (4, 4)
    np.testing.assert_array_equal(following, inputs + 1)
    np.testing.assert_array_equal(inputs.ravel(), np.arange(100, 116))


@pytest.mark.parametrize("count", [3, 8, 20])
def test_every_token_is_evaluated_once_from_half_a_context_at_least(network, count):
    numbers = np.random.default_rng(count).integers(2, 12, count).astype(np.int32)
    found = surprises(network, numbers, 6, "numpy")
    assert found.shape == (count - 1,)
    for place in range(1, count):
        # Which start of the window it was told from is one of those that are allowed.
        values = []
        for start in range(max(place - 6, 0), max(place - 2, 1)):
            z = network(numbers[None, start:place].astype(np.int64)).numpy()[0, -1].astype(float)
            values.append(math.log(np.exp(z - z.max()).sum()) + z.max() - z[numbers[place]])
        assert np.isclose(values, found[place - 1], atol=1e-5).any()


def test_the_scores_are_those_of_their_formulas():
    found = scores(nats=30.0, tokens=20, characters=40)
    assert found["nats_per_character"] == pytest.approx(0.75)
    assert found["bits_per_character"] == pytest.approx(0.75 / math.log(2))
    assert found["perplexity"] == pytest.approx(math.exp(1.5))


def test_baselines_count_as_by_hand():
    train, test = np.array([2, 3, 2, 3, 4]), np.array([2, 3, 3, 4])
    found = counting_baselines(train, test, 5)
    share = {k: (Counter(train.tolist())[k] + 1) / (5 + 5) for k in range(5)}
    pairs = Counter(zip(train[:-1].tolist(), train[1:].tolist(), strict=True))
    first = Counter(train[:-1].tolist())
    expected = 0.0
    for a, b in zip(test[:-1].tolist(), test[1:].tolist(), strict=True):
        expected -= math.log((pairs[a, b] + share[b]) / (first[a] + 1))
    assert found["unigram"] == pytest.approx(-sum(math.log(share[k]) for k in (3, 3, 4)))
    assert found["bigram"] == pytest.approx(expected)


def test_a_bigram_is_a_probability():
    train = np.array([2, 3, 2, 4, 4, 3, 2])
    for a in range(2, 5):
        p = [math.exp(-counting_baselines(train, np.array([a, b]), 5)["bigram"]) for b in range(5)]
        assert sum(p) == pytest.approx(1.0)


def test_characters_are_counted_by_the_pieces():
    words = cr.text.WordTokenizer.fit(["to be"], lower=False, spaces=True)
    assert characters_of(words.encode("to be to"), words) == len("to be") + 1


# ---- writing -------------------------------------------------------------------------------------


def test_reading_token_by_token_is_as_reading_all(network):
    numbers = np.array([3, 7, 2, 11, 5])
    reader = Reader(network, 6)
    for place, number in enumerate(numbers, 1):
        found = reader.read(int(number))
        expected = network(numbers[None, :place]).numpy()[0, -1]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_gpt_that_is_full_goes_on_with_the_latter_half():
    network = shape("gpt").build().initialize(1)
    reader = Reader(network, 6)
    numbers = [3, 7, 2, 11, 5, 4, 9]
    found = [reader.read(number) for number in numbers][-1]
    expected = network(np.array([numbers[3:]])).numpy()[0, -1]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_tokens_are_drawn_by_their_probabilities():
    z = np.array([9.0, 9.0, 0.0, math.log(2), math.log(5)])
    places = (np.arange(800) + 0.5) / 800
    counts = Counter(draw(z, u) for u in places)
    assert {k: n / 100 for k, n in counts.items()} == {2: 1.0, 3: 2.0, 4: 5.0}
    assert {draw(z, u, top_k=2) for u in places} == {3, 4}
    assert {draw(z, u, temperature=0) for u in places} == {4}
    cold = Counter(draw(z, u, temperature=0.5) for u in places)
    assert cold[4] / cold[3] == pytest.approx(25 / 4, rel=0.05)


def test_the_same_seed_writes_the_same(network):
    letters = CharacterTokenizer.fit("abcdefghij")
    texts = ["".join(generate(network, letters, 6, "abc", 20, seed=seed)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 20


def test_unknown_letters_of_a_prompt_are_told(network):
    notes = []
    letters = CharacterTokenizer.fit("abcdefghij")
    list(generate(network, letters, 6, "aé!", 2, say=notes.append))
    assert notes == ["2 tokens of the prompt are not in the vocabulary of the model"]


@pytest.mark.parametrize("wrong", [{"length": 0}, {"temperature": -1.0}, {"top_k": 0}])
def test_what_cannot_be_drawn_is_refused(network, wrong):
    with pytest.raises(ConfigError):
        generate(network, CharacterTokenizer.fit("abcdefghij"), 6, **wrong)


# ---- the whole way -------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize(("model", "epochs"), [("gpt", 15), ("lstm", 8)])
def test_a_rhyme_is_learned_by_heart(model, epochs, tmp_path):
    path = tmp_path / "rhyme.txt"
    path.write_text(RHYME * 25)
    options = TextOptions(
        model=model, hidden=(32,), context=16, epochs=epochs, lr=0.02, backend="numpy"
    )
    result = cr.text.train(path, options, progress=False)
    found, baselines = result.report["metrics"], result.report["baselines"]
    assert found["nats_per_character"] < 0.3 < baselines["bigram"]["nats_per_character"]
    result.save(tmp_path / "rhyme.safetensors")
    writer = cr.text.load(tmp_path / "rhyme.safetensors")
    written = "".join(writer.generate("one two", 30, temperature=0))
    assert written.startswith(" three four five, once")
    again = writer.evaluate(path)
    assert again["nats_per_character"] == pytest.approx(found["nats_per_character"], abs=0.05)


def test_parts_of_a_text_are_in_its_order(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("a" * 900 + "b" * 50 + "c" * 50)
    report = cr.text.train(path, TextOptions(**SMALL, backend="numpy"), progress=False).report
    assert report["rows"] == {"train": 950, "test": 50}
    assert report["data"]["rows"] == 1000
    # The vocabulary is that of the training part: c is never expected.
    assert report["metrics"]["nats_per_character"] > 1


def test_a_folder_of_texts_is_one_text(tmp_path):
    for name in ("b.txt", "a.md"):
        (tmp_path / name).write_text(RHYME * 10)
    (tmp_path / "c.txt").write_text("")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    notes = []
    options = TextOptions(model="lstm", **SMALL, backend="numpy")
    report = cr.text.train(tmp_path, options, progress=False, say=notes.append).report
    assert report["data"]["rows"] == 20 * len(RHYME) + 1
    assert "c.txt is empty and left out" in notes


@pytest.mark.parametrize("tokenizer", ["word", "bpe"])
def test_other_tokenizers_are_told_by_character_too(tokenizer, tmp_path):
    if tokenizer == "bpe":
        pytest.importorskip("sentencepiece", reason="needs chainrule[text]")
    path = tmp_path / "rhyme.txt"
    path.write_text(RHYME * 40)
    options = TextOptions(tokenizer=tokenizer, model="lstm", vocabulary=60, **SMALL,
                          backend="numpy")  # fmt: skip
    result = cr.text.train(path, options, progress=False)
    found = result.report["metrics"]
    assert found["nats_per_character"] < math.log(found["perplexity"])
    result.save(tmp_path / "model.safetensors")
    writer = cr.text.load(tmp_path / "model.safetensors")
    assert len("".join(writer.generate("one", 12))) >= 12


@pytest.mark.parametrize(
    ("content", "what", "place"),
    [
        (b"", "The text is empty", "bad.txt"),
        (b"fine\nna\xefve\n", "not UTF-8", "bad.txt, line 2, byte 3"),
        (b"\x7fELF\0\0\xff\xff", "not UTF-8", "bad.txt, line 1"),
        (b"short", "shorter than the context", "bad.txt"),
    ],
)
def test_bad_texts_are_refused(content, what, place, tmp_path):
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(DataError, match=what) as caught:
        cr.text.train(tmp_path / "bad.txt", TextOptions(), progress=False)
    assert place in caught.value.where


def test_a_context_that_is_too_long_is_refused(tmp_path):
    (tmp_path / "text.txt").write_text(RHYME * 40)
    with pytest.raises(DataError, match="too short") as caught:
        cr.text.train(tmp_path / "text.txt", TextOptions(context=500), progress=False)
    assert "--context" in caught.value.hint


@pytest.mark.parametrize("text", ["dull film", "dull café, no fun\n", "город\nКазань\n"])
@pytest.mark.parametrize("code", ["utf-16-le", "utf-16-be"])
def test_two_bytes_for_each_character_without_a_mark(tmp_path, text, code):
    path = tmp_path / "x.txt"
    path.write_bytes(text.encode(code))
    assert cr.text.read_text(path) == text


def test_other_encodings_and_marks_are_read(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("café\r\n".encode("latin-1"))
    assert cr.text.read_text(path, "latin-1") == "café\n"
    path.write_bytes("café".encode("utf-8-sig"))
    assert cr.text.read_text(path) == "café"
    path.write_bytes("café".encode("utf-16"))
    assert cr.text.read_text(path) == "café"
    with pytest.raises(DataError, match="not known"):
        cr.text.read_text(path, "klingon")


def test_a_language_model_has_no_classes_to_predict(tmp_path):
    path = tmp_path / "rhyme.txt"
    path.write_text(RHYME * 20)
    result = cr.text.train(path, TextOptions(model="lstm", **SMALL, backend="numpy"),
                           progress=False)  # fmt: skip
    result.save(tmp_path / "model.safetensors")
    with pytest.raises(ConfigError) as caught:
        cr.text.load(tmp_path / "model.safetensors").predict(path)
    assert "chainrule generate" in caught.value.hint
    with pytest.raises(ConfigError, match="does not continue"):
        cr.text.train(path, TextOptions(model="bag"), progress=False)


def test_sizes_that_the_file_does_not_hold_are_refused():
    network = shape("gpt").build().initialize(1)
    huge = LanguageShape("gpt", 12, 6, 1 << 20, 2, 0.0)
    with pytest.raises(ModelFileError):
        huge.rebuild(network.state())
