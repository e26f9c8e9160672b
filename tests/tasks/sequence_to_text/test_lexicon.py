"""Which token goes with which, and a network that may write those."""

import numpy as np
import pytest
from chainrule.sequence_to_text import SequenceToTextOptions

import chainrule as cr
from chainrule.errors import ModelFileError
from chainrule.models.pointer import Pointer
from chainrule.tasks.sequence_to_text.lexicon import lexicon_of
from chainrule.tasks.sequence_to_text.schema import SequenceSchema
from chainrule.tasks.sequence_to_text.sources import TextSource

WORDS = {"red": "rojo", "dog": "perro", "sees": "ve", "big": "grande", "cat": "gato",
         "old": "viejo", "house": "casa", "new": "nueva", "tree": "arbol", "and": "y"}  # fmt: skip


def translations(count=400, seed=0):
    """Texts word by word, in which neighbours change places."""
    rng = np.random.default_rng(seed)
    english = [rng.choice(list(WORDS), rng.integers(4, 7)) for _ in range(count)]
    spanish = [[WORDS[w] for w in text] for text in english]
    for text in spanish:
        text[0], text[1] = text[1], text[0]
    return [" ".join(text) for text in english], [" ".join(text) for text in spanish]


def fitted(english, spanish, **more):
    options = SequenceToTextOptions(tokenizer="word", **more)
    return TextSource(("english",)).fitted([(e,) for e in english], spanish, options, print)


def test_words_that_are_together_go_together():
    source, tokenizer = fitted(*translations())
    found = {
        source.tokenizer.piece(n).strip(): tokenizer.piece(other).strip()
        for n, other in enumerate(source.lexicon.tolist()[:-1])
        if other
    }
    assert {word: found[word] for word in WORDS} == WORDS
    (item,) = source.prepared([("old cat",)])
    assert source.batch([item], 4)["copied"].tolist() == [[*source.lexicon[item.numbers], 0]]
    assert item.copied[2] == len(tokenizer)  # both end
    assert tokenizer.decode(item.copied[:2].tolist()).strip() == "viejo gato"


def test_texts_that_have_nothing_to_do_with_each_other_have_none():
    english, spanish = translations()
    rng = np.random.default_rng(1)
    words = [f"w{n}" for n in range(300)]
    others = [" ".join(rng.choice(words, 5)) for _ in spanish]
    assert fitted(english, others)[0].lexicon is None
    assert fitted(english, spanish, copy=False)[0].lexicon is None
    assert fitted(english, spanish, target_tokenizer="character")[0].lexicon is None
    few = lexicon_of([np.array([2])], [np.array([3])], 4, 4)
    assert few is None  # what is together once may be chance


def test_what_is_far_scores_less():
    pointer = Pointer(4, 4, 0, ordered=True).initialize(0)
    pointer.query.weight.assign(np.zeros((4, 4), np.float32))
    y, memory = cr.zeros((1, 3, 4)), cr.zeros((1, 5, 4))
    seen = cr.tensor([[[True, True, True, True, False]]])
    attention = pointer.parts(y, memory, seen, 1)[1].numpy()[0]
    far = np.abs(np.arange(4) - np.arange(1, 4)[:, None])
    weights = np.exp(-pointer.far.numpy() * far)
    right = weights / weights.sum(1, keepdims=True)
    np.testing.assert_allclose(attention[:, :4], right, rtol=1e-5)
    assert not attention[:, 4].any()


def test_what_is_written_step_by_step_is_what_was_trained():
    network = cr.models.Seq2SeqTransformer(
        cr.models.TokenEntrance(9, 8), 7, 8, 2, 1, 0.0, copies=0, ordered=True
    ).initialize(0)
    inputs = {
        "source": np.array([[2, 3, 4, 8], [5, 8, 0, 0]]), "lengths": np.array([4, 2]),
        "copied": np.array([[3, 2, 5, 0], [6, 0, 0, 0]]),
    }  # fmt: skip
    previous = np.array([[6, 3, 2], [6, 5, 4]])
    whole = network({**inputs, "previous": previous}).numpy()
    state = network.start(inputs, 3)
    for step in range(3):
        logits, state = network.step(previous[:, step], state)
        np.testing.assert_allclose(logits.numpy(), whole[:, step], atol=1e-5)


def test_it_learns_to_translate_from_few_pairs(tmp_path):
    english, spanish = translations(300)
    options = SequenceToTextOptions(
        target="spanish", tokenizer="word", hidden=(16,), epochs=10, batch_size=8, lr=1e-2,
        dropout=0.0, backend="numpy",
    )  # fmt: skip
    table = {"english": english, "spanish": spanish}
    result = cr.sequence_to_text.train(table, options, progress=False)
    metrics, baselines = result.report["metrics"], result.report["baselines"]
    assert metrics["word_error_rate"] < 0.05 < 0.3 < baselines["dictionary"]["word_error_rate"]
    result.save(tmp_path / "model.safetensors")
    model = cr.sequence_to_text.load(tmp_path / "model.safetensors")
    assert model.evaluate(table)["word_error_rate"] < 0.05
    content = model.schema.to_json()
    content["source"]["lexicon"][2] = 10**6
    with pytest.raises(ModelFileError, match="damaged"):
        SequenceSchema.from_json(content, "here")
    content["source"]["lexicon"] = [1]
    with pytest.raises(ModelFileError, match="damaged"):
        SequenceSchema.from_json(content, "here")
