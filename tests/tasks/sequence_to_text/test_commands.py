"""`chainrule translate` and `chainrule answer`: lines in, lines out."""

import numpy as np
import pytest
from typer.testing import CliRunner

import chainrule as cr
from chainrule.cli.app import app
from chainrule.engine.backends import registry

from .conftest import DIGITS, pairs_of_digits


def run(*arguments, **more):
    return CliRunner().invoke(app, list(map(str, arguments)), **more)


@pytest.fixture(scope="module")
def file(model):
    return model._path


@pytest.fixture(scope="module")
def story_model(tmp_path_factory):
    """A network that has hardly learned anything of questions about rooms."""
    rooms = ("garden", "kitchen", "hall")
    rows = [(f"Where is {name}?", f"{name} is in the {room}.", room)
            for name in ("Ann", "Bob", "Eve", "Tom") for room in rooms]  # fmt: skip
    table = dict(zip(("question", "context", "answer"), map(list, zip(*rows, strict=True)),
                     strict=True))  # fmt: skip
    options = cr.sequence_to_text.SequenceToTextOptions(
        target="answer", hidden=(8,), epochs=1, backend="numpy", test=0.25
    )
    path = tmp_path_factory.mktemp("stories") / "model.safetensors"
    result = cr.sequence_to_text.train(table, options, progress=False)
    result.save(path)
    assert list(result.report["metrics"]) == ["exact_match", "token_f1", "character_error_rate"]
    return path


def test_a_line_for_each_line(file, tmp_path):
    done = run("translate", file, input="two one\n\n four \r\nzero zero three")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "2-1\n\n4\n0-0-3\n"
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.txt").write_text("three")
    assert run("translate", file, tmp_path / "a.txt", tmp_path / "b.txt").stdout == "1\n2\n3\n"


def test_several_texts_with_their_scores(file):
    done = run("translate", file, "--n-best", 2, "--length-penalty", 0, input="one\n\ntwo\n")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["1", "1", "3", "3"]
    assert (lines[0][2], lines[2][2]) == ("1", "2")
    assert float(lines[0][1]) > float(lines[1][1])


def test_a_word_that_the_model_does_not_know_is_told(file):
    done = run("translate", file, input="one hundred\n")
    assert "1 of 3 tokens are not in the vocabulary of the model" in done.stderr


def test_bytes_that_are_no_text_are_told(file):
    done = run("translate", file, input=b"one\n\xff two\n\xfe one\n")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr.count("line 2 is not UTF-8") == done.stderr.count("UTF-8") == 1


def test_models_write_together_if_they_have_the_same_tokens(file, tmp_path):
    alone = run("translate", file, "--n-best", 2, "--beam", 2, input="one two\n").stdout
    assert run("translate", file, "--with", file, "--n-best", 2, "--beam", 2,
               input="one two\n").stdout == alone  # fmt: skip
    options = cr.sequence_to_text.SequenceToTextOptions(
        target="number", hidden=(8,), epochs=1, backend="numpy", tokenizer="character"
    )
    other = cr.sequence_to_text.train(pairs_of_digits(2), options, progress=False)
    other.save(tmp_path / "other.safetensors")
    done = run("translate", file, "--with", tmp_path / "other.safetensors", input="one\n")
    assert done.exit_code == 2
    assert "the same tokens" in done.stderr


def test_a_dash_and_a_pipe_of_the_shell_are_standard_input(file, tmp_path):
    (tmp_path / "a.txt").write_text("three\n")
    done = run("translate", file, tmp_path / "a.txt", "-", input="one\r\ntwo\r\n")
    assert (done.exit_code, done.stdout) == (0, "3\n1\n2\n"), done.stderr


def test_lines_may_be_written_as_anything(file, tmp_path):
    assert run("translate", file, input=b"\xef\xbb\xbfone\n").stderr == ""  # as of PowerShell
    (tmp_path / "a.txt").write_bytes("one\ntwo\n".encode("cp500"))
    done = run("translate", file, tmp_path / "a.txt", "--encoding", "cp500")
    assert done.stdout == "1\n2\n"
    done = run("translate", file, "--encoding", "cp500", input="two\n".encode("cp500"))
    assert done.stdout == "2\n"
    assert "not known" in run("translate", file, "--encoding", "ascii9", input="one\n").stderr
    (tmp_path / "b.txt").write_bytes(b"caf\xe9\n")
    assert "--encoding cp1252" in run("translate", file, tmp_path / "b.txt").stderr


def test_columns_are_told_to_be_read_as_one_text(file):
    done = run("translate", file, input="two\none\t1\ntwo\t2\n")
    assert done.stderr.count("has tabs") == done.stderr.count("line 2 has tabs") == 1
    assert "chainrule predict" in done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_a_beam_of_nothing(file):
    done = run("translate", file, "--beam", 0, input="one\n")
    assert done.exit_code == 2
    assert "beam=0" in done.stderr
    done = run("translate", file, "--beam", 2, "--n-best", 3, input="one\n")
    assert "A beam finds no more texts than it is wide." in done.stderr


def test_products_of_rounded_numbers_and_what_they_are_good_for(file, story_model, tmp_path):
    usual = run("translate", file, "--n-best", 1, "--precision", "float32", input="two one\n")
    assert (usual.stdout, usual.stderr) == ("2-1\n", "")
    done = run("translate", file, "--precision", "bf16", input="two one\n\nfour\n")
    assert (done.exit_code, done.stdout) == (0, "2-1\n\n4\n")
    assert "bf16 is not faster here than float32: fewer than 200 sources" in done.stderr
    for command, model in (("translate", file), ("answer", story_model), ("transcribe", file)):
        done = run(command, model, "--precision", "fp8", input="one\n")
        assert done.exit_code == 2
        assert "Unknown precision" in done.stderr
        assert "fp8" in done.stderr
    table = tmp_path / "new.csv"
    table.write_text("words\none two\n")
    assert run("predict", file, table, "--precision", "bf16").stdout == "prediction\n1-2\n"


def test_scores_in_python_are_those_of_rounded_products(model, monkeypatch):
    texts = [" ".join(DIGITS[k % 5] for k in range(start, start + 3)) for start in range(8)]
    plain, narrow = (
        np.array([found[0].score for found in model.write(texts, precision=precision)])
        for precision in (None, "bf16")
    )
    assert 1e-5 < np.abs(plain - narrow).max() < 0.1
    said = []
    monkeypatch.setattr(registry.toolchain, "has_tiles", lambda: False)
    monkeypatch.setattr(registry, "has_accelerator", lambda: False)
    for backend in ("auto", "numpy"):
        model._last = None
        model._writer(model.schema.how, backend, "bfloat16", said.append)
    assert "no tile registers (AMX)" in said[0]
    assert "are written by NumPy" in said[1]
    monkeypatch.setattr(registry.toolchain, "has_tiles", lambda: True)
    said.clear()
    model._last = None
    model._writer(model.schema.how, "auto", "bfloat16", said.append)
    assert said == []


def test_questions_have_a_context(story_model, tmp_path):
    story = tmp_path / "story.txt"
    story.write_text("Ann is in\nthe hall.")
    asked = "Where is Ann?\nWhere is Bob?\tBob is in the garden.\n"
    done = run("answer", story_model, "--context", story, input=asked)
    assert done.exit_code == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    story.write_text(" \n")
    done = run("answer", story_model, "--context", story, input="Where is Ann?\n")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "The context is empty." in done.stderr
    done = run("answer", story_model, input="Where is Ann?\n")
    assert done.exit_code == 2
    assert "A question needs its context." in done.stderr


def test_each_command_says_which_models_it_is_for(file, story_model):
    done = run("answer", file, input="one\n")
    assert done.exit_code == 2
    assert "chainrule translate" in done.stderr
    done = run("translate", story_model, input="one\n")
    assert "chainrule answer" in done.stderr


def test_a_table_is_predicted_and_evaluated(file, tmp_path):
    table = tmp_path / "new.csv"
    table.write_text("words,number\n" + "".join(f"{DIGITS[n]},{n}\n" for n in range(5)))
    assert run("predict", file, table).stdout.splitlines() == ["prediction", *"01234"]
    done = run("predict", file, table, "--proba").stdout.splitlines()
    assert done[0] == "prediction,log_score"
    assert all(float(line.split(",")[1]) < 0 for line in done[1:])
    assert "exact match" in run("evaluate", file, table).stdout
    lines = tmp_path / "new.txt"
    lines.write_text("")
    assert run("predict", file, lines).stdout == "prediction\n"
    lines.write_text("three\n\none two\n")
    assert run("predict", file, lines).stdout.splitlines() == ["prediction", "3", '""', "1-2"]
    done = run("label-next", file, table, "--count", 2, "--strategy", "coreset")
    assert done.exit_code == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4  # a head, a line, two rows
