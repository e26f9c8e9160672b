"""Minimum Bayes risk: chrF as sacrebleu has it, texts drawn as often as they are probable."""

from collections import Counter

import numpy as np
import pytest
from chainrule.sequence_to_text import Decoding, SequenceToTextOptions
from typer.testing import CliRunner

from chainrule.cli.app import app
from chainrule.errors import ConfigError
from chainrule.tasks.sequence_to_text import consensus
from chainrule.tasks.sequence_to_text.consensus import Sampler, by_expected_chrf, chrf
from chainrule.tasks.sequence_to_text.plan import _decoding

TEXTS = ("Y dijo Dios: Sea la luz.", "Y Dios dijo: sea luz", "dijo", "", "la luz de los cielos")
END, ROOM = 5, 2
#: p of the tokens 2 to 5 in the first step and in the second, whatever was first.
FIRST, SECOND = np.array([0.5, 0.29, 0.01, 0.2]), np.array([0.15, 0.0, 0.25, 0.6])


class Known:
    """A network whose probabilities are known."""

    def start(self, inputs, room, beam=1):
        import chainrule as cr

        return {"step": cr.zeros((len(inputs["lengths"]) * beam,), int)}

    def step(self, previous, state, rows=None):
        import chainrule as cr

        log = [np.log(np.maximum([0, 0, *p], 1e-30), dtype=np.float32) for p in (FIRST, SECOND)]
        first = (state["step"] == 0).reshape((-1, 1))
        return cr.ops.where(first, log[0], log[1]), {"step": state["step"] + 1}


def test_chrf_is_that_of_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    expected = [[sacrebleu.sentence_chrf(said, [right]).score / 100 for right in TEXTS[:4]]
                for said in TEXTS]  # fmt: skip
    np.testing.assert_allclose(chrf(TEXTS, TEXTS[:4]), expected, atol=1e-9)


def test_what_most_texts_are_like_comes_first():
    texts = ["a dog ran away", "the cat sat down", "the cats sat"]
    assert by_expected_chrf(texts, ["the cat sits down", "the cats sat down", "a dog"])[0] == 1
    assert by_expected_chrf(["x", "y"], ["z"]) == [0, 1]


def test_texts_are_drawn_as_often_as_they_are_probable(monkeypatch):
    monkeypatch.setattr(consensus, "LEAST", 0.02)
    source = {"source": np.array([[2, 3], [4, 0]]), "lengths": np.array([2, 1])}
    sampler = Sampler(Known(), END, ROOM, 4000, Decoding(), "numpy")
    both = sampler.draw(source)
    for found in both:
        counts = Counter((*each.tokens.tolist(), each.ended) for each in found)
        p = np.where(FIRST < 0.02, 0, FIRST) / 0.99  # too improbable to be drawn
        q = SECOND
        expected = {(True,): p[3]}
        for first, token in ((p[0], 2), (p[1], 3)):
            expected |= {(token, True): first * q[3], (token, 2, False): first * q[0],
                         (token, 4, False): first * q[2]}  # fmt: skip
        assert set(counts) == set(expected)
        for text, part in expected.items():
            assert counts[text] / 4000 == pytest.approx(part, abs=0.03)
        one = next(each for each in found if each.tokens.tolist() == [2] and each.ended)
        assert one.log_probability == pytest.approx(np.log(FIRST[0] * SECOND[3]), abs=1e-5)
    # Which texts they are follows from the source alone.
    alone = sampler.draw({name: part[1:] for name, part in source.items()})[0]
    assert [each.tokens.tolist() for each in alone] == [each.tokens.tolist() for each in both[1]]
    assert [each.tokens.tolist() for each in both[0]] != [each.tokens.tolist() for each in alone]


def test_texts_that_ramble_are_given_up():
    source = {"source": np.array([[2, 3]]), "lengths": np.array([2])}
    (found,) = Sampler(Known(), END, 60, 400, Decoding(), "numpy").draw(source)
    open_ = [len(each.tokens) for each in found if not each.ended]
    assert 0 < len(open_) <= 20  # of 400, which end with p = 0.6 in each step but the first
    assert max(open_) < 10


def test_a_model_writes_the_text_most_like_those_that_it_draws(model):
    lines = ["one two four", "three", "four four zero"]
    found = model.write(lines, Decoding(beam=2, best=3, mbr=8))
    assert [texts[0].text for texts in found] == ["1-2-4", "3", "4-4-0"]
    assert all(len({text.text for text in texts}) == len(texts) for texts in found)
    (alone,) = model.write(lines[1:2], Decoding(beam=2, best=3, mbr=8))
    assert [text.text for text in alone] == [text.text for text in found[1]]


def test_the_option_is_that_of_the_model_unless_it_is_said(model):
    def run(*arguments):
        return CliRunner().invoke(app, ["translate", model._path, *arguments], input="one two\n")

    assert run("--mbr", "4").stdout == "1-2\n"
    done = run("--mbr", "-1")
    assert done.exit_code == 2
    assert "mbr=-1" in done.stderr
    with pytest.raises(ConfigError, match="mbr"):
        SequenceToTextOptions(target="x", mbr=-1)


def test_what_is_not_asked_for_stays_that_of_the_model_to_start_from():
    usual = Decoding(beam=4, mbr=8, length_penalty=1.0)
    options = SequenceToTextOptions(target="x", mbr=2)
    assert _decoding(None, options, usual) == Decoding(beam=4, mbr=2, length_penalty=1.0)
    assert _decoding(None, options) == Decoding(mbr=2)
