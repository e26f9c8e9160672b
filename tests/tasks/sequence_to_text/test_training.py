"""From pairs of texts to a model that writes: what is read, learned, saved and measured."""

import numpy as np
import pytest
from chainrule.sequence_to_text import Decoding, SequenceToTextOptions

import chainrule as cr
from chainrule.errors import ConfigError, DataError
from chainrule.tasks import recognise
from chainrule.tasks.sequence_to_text.batching import Encoded, encoded, sizes_of, stream_of
from chainrule.tasks.sequence_to_text.inspection import confusions
from chainrule.tasks.sequence_to_text.outputs import Autoregressive
from chainrule.tasks.sequence_to_text.pairs import Pairs
from chainrule.tasks.sequence_to_text.sources import TextSource
from chainrule.tasks.sequence_to_text.vocabulary import tokenizer_kind
from chainrule.tasks.text import CharacterTokenizer, WordTokenizer

from ...nightly import by_night
from .conftest import pairs_of_digits


def test_what_is_regular_is_learned_and_saved(trained, model):
    result, data = trained
    report = result.report
    assert report["metrics"]["exact_match"] > 0.8
    baselines = report["baselines"]
    assert report["metrics"]["exact_match"] > baselines["nearest neighbour"]["exact_match"]
    assert set(baselines) == {"copying", "dictionary", "nearest neighbour"}
    found = model.predict({"words": ["two one", "four", " "], "number": ["", "", ""]})
    assert found["prediction"].to_list() == ["2-1", "4", ""]
    metrics = model.evaluate(data)
    assert metrics["exact_match"] > 0.9
    assert list(metrics) == list(report["metrics"])


def test_a_text_does_not_depend_on_those_beside_it(model):
    alone = model.write(["three"])[0][0]
    among = model.write(["one two three", "three", "zero zero zero"])[1][0]
    assert alone.text == among.text == "3"
    assert alone.score == pytest.approx(among.score, abs=1e-5)


def test_examples_are_what_the_network_learned_from(trained, model):
    _, data = trained
    found = model.examples(data, [7, 1])
    z = model.network({name: cr.tensor(a) for name, a in found.inputs.items()})
    end = len(model.schema.tokenizer)
    assert found.target[1].tolist()[:2] == [*model.schema.tokenizer.encode("1").tolist(), end]
    assert found.inputs["previous"][:, 0].tolist() == [end, end]
    assert (z.numpy().argmax(-1) == found.target)[found.target > 0].mean() > 0.9
    assert found.raw[1].prediction == "1"


def test_an_update_goes_on_from_the_model(trained, tmp_path, without_compiler):
    from chainrule.tasks.update import update

    result, _ = trained
    result.save(tmp_path / "model.safetensors")
    new = pairs_of_digits(2)
    report = update(tmp_path / "model.safetensors", new, progress=False).report
    assert report["rows"] == {"train": 24, "test": 6}
    assert report["metrics"]["exact_match"] > 0.5


def test_a_training_starts_from_another_model(trained, tmp_path, without_compiler):
    result, data = trained
    result.save(tmp_path / "model.safetensors")
    options = SequenceToTextOptions(
        target="number", epochs=1, lr=1e-5, from_model=str(tmp_path / "model.safetensors"),
        hidden=(8,), dropout=0.25, beam=3,
    )  # fmt: skip
    said = []
    found = cr.sequence_to_text.train(data, options, progress=False, say=said.append)
    assert found.report["metrics"]["exact_match"] > 0.8
    assert "the model to start from has its own, which stays: hidden" in said
    found.save(tmp_path / "next.safetensors")
    schema = cr.sequence_to_text.load(tmp_path / "next.safetensors").schema
    assert (schema.shape.width, schema.shape.dropout, schema.decoding.beam) == (32, 0.25, 3)
    with pytest.raises(ConfigError, match="Only classes"):
        SequenceToTextOptions(target="number", balance=True)


# ---- reading -------------------------------------------------------------------------------------


def test_the_kind_is_found_by_the_target(tmp_path):
    def kind(name, header, rows, target, **options):
        path = tmp_path / name
        path.write_text("\n".join([header, *rows]))
        return recognise(path, target, options)

    names = [f"{a}{b}{c}" for a in "bdgk" for b in "aeiou" for c in "nrt"]
    phones = [f"{name}\t{' '.join(name.upper())}" for name in names]
    assert kind("p.tsv", "word\tphones", phones, "phones") == "sequence-to-text"
    assert kind("i.tsv", "id\tw\tp", [f"{i}\t{p}" for i, p in enumerate(phones)], "p") == (
        "sequence-to-text"
    )
    lines = [f"the {name} of may,2024-05-{1 + day % 28:02}" for day, name in enumerate(names)]
    assert kind("d.csv", "words,date", lines, "date") == "sequence-to-text"
    # Classes, numbers and tables with other features stay what they are.
    mails = [f"see you at {name} then,{'spam' if i % 2 else 'ham'}" for i, name in enumerate(names)]
    assert kind("m.csv", "text,class", mails, "class") == "text"
    assert (
        kind("n.csv", "text,price", [f"{n},{i}.5" for i, n in enumerate(names)], "price") == "table"
    )
    houses = [f"{i},{n} street,{n.upper()} road" for i, n in enumerate(names)]
    assert kind("h.csv", "size,street,road", houses, "road") == "table"
    asked = [f"Where is {n}?,{n} is in the garden.,garden" for n in names]
    assert kind("q.csv", "question,context,answer", asked, "answer") == "sequence-to-text"


def test_rows_without_both_are_left_out_and_copies_count_once(without_compiler):
    data = pairs_of_digits(2)
    data["words"] += ["", "one", None, "four"]
    data["number"] += ["7", "1", "8", "  "]
    said = []
    options = SequenceToTextOptions(target="number", hidden=(8,), epochs=1)
    report = cr.sequence_to_text.train(data, options, progress=False, say=said.append).report
    assert "3 rows (30, 32, 33) have no source or no target and are left out" in said
    assert "1 pairs are there more than once and count once" in said
    assert report["data"]["rows"] == 30


def test_what_cannot_be_read_is_told():
    options = SequenceToTextOptions(target="b")
    train = cr.sequence_to_text.train
    with pytest.raises(DataError, match="No row has a source and a target"):
        train({"a": ["x", ""], "b": ["", "y"]}, options, progress=False)
    with pytest.raises(DataError, match="not clear which column") as caught:
        train({"a": ["x"], "c": ["z"], "b": ["y"]}, options, progress=False)
    assert caught.value.hint == "--features a"
    with pytest.raises(ConfigError, match="Which column"):
        train({"a": ["x"]}, SequenceToTextOptions(), progress=False)
    with pytest.raises(ConfigError, match="beam"):
        SequenceToTextOptions(target="b", beam=0)


def test_sources_with_several_targets_stay_together_and_any_is_right(trained):
    pairs = Pairs.of(["a", "b", "a"], ["x", "y", "z"], ["a", "b", "a"])
    assert pairs.first.tolist() == [0, 1]
    assert pairs.references == [("x", "z"), ("y",)]
    assert cr.metrics.exact_match(pairs.references, ["z", "x"]) == 0.5
    assert cr.metrics.character_error_rate([("ab", "abcd")], ["abcd"]) == 0.0


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["HH AH0 L OW1", "K AE1 T S"] * 50, "symbol"),
        (["hello", "cats", "don't"] * 50, "character"),
        (["the third of may", "on the 4th, of june 2024"] * 50, "word"),
        ([f"a long sentence {k} that nobody has written before it, like {k * k}" for k in
          range(99)], "bpe"),
    ],
)  # fmt: skip
def test_tokens_suit_the_texts(texts, kind):
    pytest.importorskip("sentencepiece")
    assert tokenizer_kind(texts) == kind


# ---- batches -------------------------------------------------------------------------------------


def test_pairs_of_similar_length_are_together_and_all_are_there():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abc"), rng.integers(1, 40))) for _ in range(700)]
    tokenizer = CharacterTokenizer.fit("abc")
    source, output = TextSource(["a"], tokenizer, 50), Autoregressive(len(tokenizer), 50)
    pairs = Pairs.of([(text,) for text in texts], texts, range(700))
    part = encoded(source, tokenizer, output, pairs)
    sizes = sizes_of([part], 1)
    assert 2 <= len(sizes) <= 4
    stream = stream_of(part, source, output, sizes)
    seen = []
    for batch in stream.each(stream.in_order(32, cr.random.key(1))):
        lengths = batch.inputs["lengths"]
        assert (batch.inputs["source"].shape[1], batch.target.shape[1]) in sizes
        # Each is in the smallest shape that it fits into.
        smaller = [s for s, _ in sizes if s < batch.inputs["source"].shape[1]]
        assert not smaller or lengths.max() > max(smaller)
        for row, length in enumerate(lengths):
            tokens = batch.inputs["source"][row, : length - 1]
            assert (batch.target[row, : length - 1] == tokens).all()
            assert (batch.inputs["previous"][row, 1:length] == tokens).all()
            seen.append(tokenizer.decode(tokens))
    assert sorted(seen) == sorted(texts)
    assert stream.steps(32) == sum(-(-n // 32) for n in np.bincount(stream.groups))


def test_pairs_that_are_long_on_one_side_do_not_make_others_long():
    rng = np.random.default_rng(0)
    source, target = rng.integers(4, 40, 900), rng.integers(4, 40, 900)
    source[:9], target[:9] = 5, 200
    lengths = source.astype(np.int32), target.astype(np.int32)
    part = Encoded([], [], *lengths, (0, 0))
    sizes = sizes_of([part], 1)
    assert sizes[-1] == (39, 200)
    assert all(t <= 44 for _, t in sizes[:-1])
    assert sizes == sorted(sizes)
    few = Encoded([], [], lengths[0][:99], lengths[1][:99], (0, 0))
    assert sizes_of([few], 1) == [(39, 200)]  # one program is enough


def test_padding_does_not_count_in_the_loss():
    loss = Autoregressive(4, 9).loss(0.1, copies=False)
    z = np.random.default_rng(0).normal(size=(2, 3, 5))
    t = np.array([[2, 3, 4], [4, 0, 0]])
    p = np.log(np.exp(z) / np.exp(z).sum(-1, keepdims=True))
    each = -0.9 * np.take_along_axis(p, t[..., None], -1)[..., 0] - 0.1 * p.mean(-1)
    assert float(loss(cr.tensor(z), cr.tensor(t)).item()) == pytest.approx(each[t > 0].mean())
    half = loss(cr.tensor(z), cr.tensor(t), sample_weights=np.array([1.0, 0.0]))
    assert half.item() == pytest.approx(each[0].mean())


# ---- report --------------------------------------------------------------------------------------


def test_the_report_shows_texts_errors_and_where_the_network_looked(trained):
    result, _ = trained
    found = {section.name: section for section in result.sections}
    assert {"written", "alignment"} <= set(found)
    source, right, written = found["written"].blocks[0].rows[0]
    assert right == "-".join(str(("zero", "one", "two", "three", "four").index(w)) for w in
                             source.split())  # fmt: skip
    assert written
    chart = found["alignment"].charts[0]
    (cells,) = chart.marks
    for row in cells.values:
        assert sum(row) == pytest.approx(1.0, abs=1e-4)
    assert chart.y.categories[-1] == "end"


def test_confusions_are_those_of_the_fewest_edits():
    part = Pairs.of(["a", "b", "c"], ["K AE T", "K AA R", "D AO G"], ["a", "b", "c"])
    found = confusions(part, ["G AE T", "G AA R", "D AO G"])
    assert found.rows == (("K", "G", "2"),)
    assert confusions(part, ["K AE T", "K AA R", "D AO G"]) is None


# ---- copying -------------------------------------------------------------------------------------


def test_a_pointer_mixes_vocabulary_and_source():
    pointer = cr.models.Pointer(4, 3, copies=1).initialize(1)
    rng = np.random.default_rng(0)
    y, z, memory = (cr.tensor(rng.normal(size=s)) for s in ((1, 2, 4), (1, 2, 5), (1, 4, 3)))
    seen = cr.tensor([[[True, True, True, False]]])
    p = np.exp(pointer(y, z, memory, seen, [[2, 5, 2, 3]]).numpy()[0])
    gate, attention = (part.numpy()[0] for part in pointer.parts(y, memory, seen))
    expected = np.exp(z.numpy()[0])
    expected = np.append(expected / expected.sum(1, keepdims=True), np.zeros((2, 1)), 1)
    expected *= 1 - gate
    expected[:, 2] += (attention[:, 0] + attention[:, 2]) * gate[:, 0]
    expected[:, 5] += attention[:, 1] * gate[:, 0]
    np.testing.assert_allclose(p, expected, atol=1e-6)
    assert (attention[:, 3] == 0).all()


@pytest.mark.parametrize("model", ["transformer", "lstm"])
def test_what_is_trained_is_what_the_whole_distribution_says_of_the_target(model):
    """With words that are copied only, padding, and a word that the source has twice."""
    entrance = cr.models.TokenEntrance(9, 8)
    if model == "lstm":
        network = cr.models.Seq2SeqLSTM(entrance, 9, 8, 1, 0.0, True, copies=2)
    else:
        network = cr.models.Seq2SeqTransformer(entrance, 9, 8, 2, 1, 0.0, True, copies=2)
    network.initialize(0)
    output = Autoregressive(8, 9)
    source = {
        "source": np.array([[2, 1, 4, 2], [1, 5, 1, 0]]), "lengths": np.array([4, 3]),
        "copied": np.array([[2, 9, 4, 2], [9, 5, 10, 0]]),
    }  # fmt: skip
    inputs, target = output.batch(source, [np.array([2, 9]), np.array([10])], 4)
    assert target.tolist() == [[2, 9, 8, 0], [10, 8, 0, 0]]
    weights = np.array([1.0, 3.0], np.float32)

    def trained(network):
        return output.loss(0.0, copies=True)(network(inputs), target, sample_weights=weights)

    def whole(network):
        others = {name: value for name, value in inputs.items() if name != "wanted"}
        loss = output.loss(0.0, copies=False)
        return loss(network(others), target, sample_weights=weights)

    found, right = cr.value_and_grad(trained)(network), cr.value_and_grad(whole)(network)
    assert found[0].item() == pytest.approx(right[0].item(), rel=1e-5)
    for path, gradient in right[1].items():
        np.testing.assert_allclose(found[1][path].numpy(), gradient.numpy(), atol=2e-6)


def test_words_that_the_vocabulary_lacks_are_numbered_in_each_source():
    words = WordTokenizer(("What", " is", " the", " code", "?", ".", " What"), False, True)
    source = TextSource(["question", "context"], words, copies=2)
    (item,) = source.prepared([("What is the code?", "the code is Kik. Not Bob or Kik.")])
    assert item.unknown == (" Kik", " Not")
    assert item.copied[item.numbers == 1].tolist() == [10, 11, 0, 0, 10]
    tokens = source.target_tokens(words, "Kik?", item)
    assert tokens.tolist() == [10, 6]
    assert source.text_of(words, tokens, item) == "Kik?"
    batch, target = Autoregressive(source.end, 9).batch(source.batch([item], 30), [tokens], 4)
    assert target.tolist() == [[10, 6, 9, 0]]
    assert batch["previous"].tolist() == [[9, 1, 6, 9]]


@pytest.mark.parametrize("model", ["transformer", by_night("lstm")])
def test_unknown_words_are_copied(model, tmp_path):
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list("bdgklmnrst"), 6)) for _ in range(400)]
    shapes = ("the code is {} today", "{} is the code now", "now the code is {}")
    table = {
        "question": ["What is the code?"] * 400,
        "context": [shapes[n % 3].format(name) for n, name in enumerate(names)],
        "answer": names,
    }
    options = SequenceToTextOptions(
        target="answer", hidden=(16,), epochs=12, lr=1e-2, model=model, backend="numpy",
        tokenizer="word", dropout=0.0,
    )  # fmt: skip
    result = cr.sequence_to_text.train(table, options, progress=False)
    assert result.report["metrics"]["exact_match"] > 0.9  # no name is there twice
    result.save(tmp_path / "model.safetensors")
    loaded = cr.sequence_to_text.load(tmp_path / "model.safetensors")
    for how in (Decoding(), Decoding(beam=3)):
        (found,) = loaded.write([("What is the code?", "now the code is spaceship")], how)
        assert found[0].text == "spaceship"


def test_what_stands_near_a_token_is_in_its_vector_and_padding_is_not():
    entrance = cr.models.TokenEntrance(10, 6, near=3).initialize(0)
    kernel, bias = (x.numpy() for x in (entrance.near.weight, entrance.near.bias))
    source = np.array([[3, 4, 5, 6], [7, 8, 0, 9]])
    found = entrance(source, np.array([4, 2]))[0].numpy()
    vectors = entrance.tokens.weight.numpy() * np.sqrt(6)
    for row, tokens in enumerate(([3, 4, 5, 6], [7, 8])):
        x = np.pad(vectors[tokens], [(1, 1), (0, 0)])
        for place in range(len(tokens)):
            near = sum(x[place + k] @ kernel[k] for k in range(3)) + bias
            np.testing.assert_allclose(found[row, place], x[place + 1] + near, atol=1e-5)


def test_words_of_the_question_are_told_from_others():
    entrance = cr.models.TokenEntrance(10, 6, end=9).initialize(0)
    source = np.array([[2, 3, 9, 3, 4, 1, 9], [1, 5, 9, 5, 9, 0, 0], [6, 6, 9, 7, 0, 9, 0]])
    found = entrance(source, np.array([7, 5, 6]))[0].numpy()
    matched = [[0, 1, 0, 1, 0, 0, 0], [0, 1, 0, 1, 0, 0, 0], [0] * 7]
    right = entrance.tokens.weight.numpy()[source] + entrance.matched.weight.numpy()[matched]
    np.testing.assert_allclose(found, right * np.sqrt(6), atol=1e-6)


def test_only_a_transformer_of_questions_looks_near_and_its_file_says_so():
    texts = [("who is it", "it is a cat"), ("what is it", "it is a dog")] * 30
    fitted = {
        model: TextSource(("question", "context")).fitted(
            texts,
            ["cat", "dog"] * 30,
            cr.sequence_to_text.SequenceToTextOptions(model=model),
            print,
        )[0]
        for model in ("transformer", "lstm", None)
    }
    assert [source.near for source in fitted.values()] == [9, 0, 9]
    single = TextSource(("a",)).fitted(
        [text[:1] for text in texts], ["cat", "dog"] * 30,
        cr.sequence_to_text.SequenceToTextOptions(), print,
    )[0]  # fmt: skip
    assert single.near == 0
    assert [source.matched for source in (*fitted.values(), single)] == [True, True, True, False]
    content = fitted[None].to_json()
    assert TextSource.from_json(content).near == 9
    assert TextSource.from_json(content).matched
    del content["near"], content["matched"]  # as an older version wrote it
    assert TextSource.from_json(content).near == 0
    assert not TextSource.from_json(content).matched
    with pytest.raises(TypeError):
        TextSource.from_json(content | {"matched": 1})
    with pytest.raises(TypeError):
        TextSource.from_json(content | {"near": -1})


def test_of_a_long_context_and_a_question_both_are_seen():
    words = WordTokenizer.fit([" a b c d e where is"], 50, 1, lower=False, spaces=True)
    source = TextSource(("context", "question"), words, longest=10, copies=4)
    long, short = ("a b c d e " * 9).strip(), "where is x"
    (item,) = source.prepared([(long, short)])
    assert source.lengths([item]) == [45 + 3 + 2]  # what is told to be cut
    batch = source.batch([item], 10)
    seen = [*words.encode(" a b c d e"), source.end, *words.encode(" where is x"), source.end]
    assert batch["source"][0].tolist() == seen
    assert batch["lengths"] == [10]
    assert item.unknown == (" x",)  # it can still be copied
    assert batch["copied"][0][-2] == source.vocabulary
