"""Minimum Bayes risk: chrF as sacrebleu has it, and the text that is nearest to all of a beam."""

import numpy as np
import pytest
from chainrule.sequence_to_text import Decoding
from typer.testing import CliRunner

from chainrule.cli.app import app
from chainrule.errors import ConfigError
from chainrule.tasks.sequence_to_text.consensus import by_expected_chrf, chrf_of_all

TEXTS = ("Y dijo Dios: Sea la luz.", "Y Dios dijo: sea luz", "dijo", "", "la luz de los cielos")


def test_chrf_is_that_of_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    expected = [[sacrebleu.sentence_chrf(said, [right]).score / 100 for right in TEXTS]
                for said in TEXTS]  # fmt: skip
    np.testing.assert_allclose(chrf_of_all(TEXTS), expected, atol=1e-9)


def test_what_most_of_the_probability_is_like_comes_first():
    texts = ["a dog ran away", "the cat sat down", "the cat sits down", "the cats sat down"]
    assert by_expected_chrf(texts, [-1.0, -1.5, -1.6, -1.7])[0] != 0
    assert by_expected_chrf(texts, [-1.0, -9.0, -9.0, -9.0])[0] == 0  # hardly anything else is
    assert by_expected_chrf(["x", "y"], [-2.0, -1.0]) == [1, 0]
    assert by_expected_chrf([], []) == []


def test_a_model_writes_the_text_nearest_to_all_of_its_beam(model):
    lines = ["one two four", "three", "four four zero"]
    found = model.write(lines, Decoding(beam=6, best=6))
    chosen = model.write(lines, Decoding(beam=6, best=2, mbr=True))
    for likely, best in zip(found, chosen, strict=True):
        ended = [each for each in likely if each.ended]
        p = np.exp([each.score for each in ended])
        sums = chrf_of_all([each.text for each in ended]) @ p
        assert [each.text for each in best] == [ended[n].text for n in np.argsort(-sums)[:2]]


def test_the_command_takes_a_wider_beam_and_needs_one(model):
    def run(*arguments):
        return CliRunner().invoke(app, ["translate", model._path, *arguments], input="one two\n")

    assert run("--mbr").stdout == "1-2\n"
    assert len(run("--mbr", "--n-best", "12").stdout.splitlines()) == 12
    done = run("--mbr", "--beam", "1")
    assert done.exit_code == 2
    assert "--no-mbr" in done.stderr
    with pytest.raises(ConfigError, match="mbr"):
        Decoding(beam=1, mbr=True)
