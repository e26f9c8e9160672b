"""Words of the data reach the terminal, but give it no commands."""

import json

from chainrule.cli.console import note
from chainrule.cli.harmless import harmless
from tests.cli.conftest import QUICK

CLEAR, TITLE, CSI, TURN = "\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\u202e"


def test_what_commands_a_terminal_is_replaced_and_all_else_stays():
    assert harmless(f"a{CLEAR}b") == "a\ufffd[2Jb"
    assert harmless("größe\t日本\n½ “x” 🙂") == "größe\t日本\n½ “x” 🙂"
    for text in (CLEAR, TITLE, CSI, TURN, "\x7f", "\r", "\b"):
        assert len(harmless(text)) == len(text)
        assert not set(harmless(text)) & set("\x1b\x07\x9b\u202e\x7f\r\b")


def test_names_in_data_give_no_commands_in_any_command(invoke, place):
    rows = [f"{i},{i % 7},{('no', 'yes' + CLEAR)[i % 2]}" for i in range(80)]
    header = f"size{CLEAR},part{CSI}{TURN},kept{TITLE}"
    (place / "evil.csv").write_text("\n".join([header, *rows]) + "\n")
    target = f"kept{TITLE}"
    made = invoke("train", "evil.csv", "--target", target, *QUICK, "--out", "mine")
    assert made.exit_code == 0, made.stderr
    said = [made, invoke("train", "evil.csv", "--target", "other")]
    for command in (["summary", "mine"], ["runs", "."], ["runs", "mine"], ["runs", ".", "--json"],
                    ["explain", "mine", "evil.csv"], ["evaluate", "mine", "evil.csv"],
                    ["predict", "mine", "flats.csv"]):  # fmt: skip
        said.append(invoke(*command))
    for result in said:
        for text in (result.stdout, result.stderr):
            assert not set(text) & set("\x1b\x07\x9b\u202e"), (result.args, text)
    assert any("kept\ufffd" in result.stdout for result in said)
    assert json.loads(said[5].stdout)[0]["target"] == target


def test_a_path_longer_than_a_line_is_broken_and_not_cut(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    path = "/" + "/".join(f"folder{i}" for i in range(20))
    note(f"nothing is in {path}")
    assert path in "".join(capsys.readouterr().err.split())
