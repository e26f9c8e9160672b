"""The program as a process of its own: exit codes, streams, signals."""

import json
import os
import resource
import signal
import subprocess

import pytest

import chainrule
from chainrule.cli.commands import NAMES
from chainrule.cli.error_handling import explain

QUICK = ("--epochs", "2", "--hidden", "8", "--members", "2")


def finish(process: subprocess.Popen[str]) -> tuple[str, str, int]:
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    return out, err, process.returncode


def test_alone_it_shows_its_help(start):
    out, err, code = finish(start())
    assert (code, err) == (0, "")
    for command in ("train", "predict", "evaluate", "runs", "summary"):
        assert f" {command} " in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_version(start):
    assert finish(start("--version")) == (f"chainrule {chainrule.__version__}\n", "", 0)


def test_help_does_not_wait_for_what_is_heavy(start):
    code = (
        "import sys, chainrule.cli.app as a\n"
        "try: a.app(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'polars', 'safetensors'} & set(sys.modules)), file=sys.stderr)"
    )
    out, err, _ = finish(start(command=("-c", code)))
    assert "--hidden" in out
    assert err == "[]\n"


def test_a_command_imports_no_other_and_no_converters_of_options(start, place):
    code = (
        "import sys, chainrule.cli.app as a\n"
        "try: a.app(['train', 'nothing.csv', '--target', 'rent', '--hidden', '8', '--quiet'])\n"
        "except SystemExit: pass\n"
        "rest = {'pydantic', 'chainrule.cli.play', 'chainrule.cli.serve'}\n"
        "print('chainrule.cli.train' in sys.modules, sorted(rest & set(sys.modules)))"
    )
    out, err, _ = finish(start(command=("-c", code)))
    assert "There is no such file." in err
    assert out == "True []\n"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_its_help(invoke, name):
    told = invoke(name, "--help")
    assert told.exit_code == 0
    assert f"Usage: chainrule {name}" in told.output.replace("root", "chainrule")


def test_unknown_commands_and_options(start):
    out, err, code = finish(start("trian"))
    assert (out, code) == ("", 2)
    assert "trian" in err
    assert all(len(line) <= 80 for line in err.splitlines())


def test_streams_and_exit_codes(start, place):
    out, err, code = finish(start("train", "flats.csv", "--target", "rent", *QUICK, "--json"))
    assert code == 0
    assert json.loads(out)["epochs"] == 2
    assert "epoch 2/2" in err
    out, err, code = finish(start("train", "nothing.csv", "--target", "rent"))
    assert (out, code) == ("", 2)
    assert "There is no such file." in err


def test_ctrl_c_ends_with_the_best_model(start, place):
    process = start("train", "flats.csv", "--target", "rent", "--epochs", 100_000, *QUICK[2:])
    for line in process.stderr:
        if line.startswith("epoch 3/"):
            process.send_signal(signal.SIGINT)
            break
    out, err, code = finish(process)
    assert code == 130
    assert "stopped: interrupted" in err
    (folder,) = (place / "runs").iterdir()
    assert f"The model is in runs/{folder.name}." in out
    record = json.loads((folder / "run.json").read_text())
    assert record["history"]["interrupted"]
    assert len(record["history"]["epochs"]) >= 3
    out, _, code = finish(start("predict", folder, "flats.csv"))
    assert code == 0
    assert len(out.splitlines()) == 81


def test_a_reader_that_goes_is_no_error(start, trained, place):
    rows = ["m2,city", *["50,Oslo"] * 50_000]  # more than a pipe holds
    (place / "many.csv").write_text("\n".join(rows))
    process = start("predict", trained / "rent", "many.csv")
    assert process.stdout.readline() == "prediction\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(120) == 141


def test_training_goes_on_when_nobody_reads_its_notes(start, place):
    process = start("train", "flats.csv", "--target", "rent", "--epochs", 40, *QUICK[2:])
    process.stderr.readline()
    process.stderr.close()
    assert "The model is in" in process.stdout.read()
    assert process.wait(120) == 0


@pytest.mark.parametrize("stream", [1, 2])
def test_a_closed_stream(start, place, stream):
    arguments = ("train", "flats.csv", "--target", "rent", *QUICK, "--out", "mine")
    out, err, code = finish(start(*arguments, before=lambda: os.close(stream)))
    assert code == 0, (out, err)
    assert (place / "mine" / "model.safetensors").exists()


def test_a_warning_is_a_sentence_without_a_line_of_the_program(start):
    code = (
        "import warnings; from chainrule.cli.console import prepare_streams; prepare_streams();"
        "warnings.warn('A checkpoint is damaged.', RuntimeWarning)"
    )
    process = start(command=("-c", code))
    assert process.communicate(timeout=60)[1].strip() == "warning: A checkpoint is damaged."


def test_a_limit_of_memory_that_is_too_low_is_said_and_nothing_hangs(start):
    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (600_000 * 1024, resource.RLIM_INFINITY))

    out, err, code = finish(start("train", "flats.csv", "--target", "rent", before=limited))
    assert (out, code) == ("", 2)
    assert "The limit of memory is too low for any work." in err
    assert "600,000 kB" in err


def test_a_limit_that_leaves_no_room_for_a_thread_is_said_plainly():
    what, parts = explain(RuntimeError("can't start new thread"))
    assert str(what) == "error: There is not enough memory."
    assert "ulimit -v" in str(list(parts.renderable.columns[1].cells))
