"""`chainrule compare`: a table, a page, a picture, the numbers."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

pytestmark = pytest.mark.usefixtures("without_compiler")


@pytest.fixture
def flowers(place):
    x, y = np.random.default_rng(0).normal(size=(2, 90))
    side = np.where(x - y > 0, "right", "left")
    pl.DataFrame({"x": x, "y": y, "side": side}).write_csv(place / "flowers.csv")


SMALL = ("--target", "side", "--budget", "300evaluations", "--hidden", "3")


@pytest.mark.usefixtures("flowers")
def test_a_comparison_leaves_a_table_a_page_a_picture_and_numbers(invoke, place):
    result = invoke(
        "compare", "flowers.csv", *SMALL, "--methods", "backprop,random", "--seeds", "2"
    )
    assert result.exit_code == 0, result.output
    assert "backprop" in result.stdout
    assert "a network of 17 parameters" in result.stdout
    assert "random search, seed 1: loss" in " ".join(result.stderr.split())
    page = (place / "comparison-flowers.html").read_text()
    assert "Beside backpropagation" in page
    picture = ElementTree.parse(place / "comparison-flowers.svg").getroot()  # a file by itself
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    texts = {"".join(each.itertext()) for each in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Loss on rows held out", "random search", "backpropagation (AdamW)"} <= texts
    assert picture.findall(".//{http://www.w3.org/2000/svg}style")
    numbers = json.loads((place / "comparison-flowers.json").read_text())
    assert [len(curves) for curves in numbers["curves"].values()] == [2, 2]


@pytest.mark.usefixtures("flowers")
def test_json_says_all_and_nothing_else(invoke, place):
    result = invoke("compare", "flowers.csv", *SMALL, "--methods", "hill", "--objective", "error",
                    "--out", "here.html", "--json", "--quiet")  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["measured"] == "error rate"
    assert found["table"][0]["method"] == "hill"
    assert found["page"] == "here.html"
    assert (place / "here.html").exists()
    assert not result.stderr


@pytest.mark.usefixtures("flowers")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--methods", "gradient"), "Unknown method"),
        (("--budget", "soon"), "budget"),
        (("--budget", "0"), "budget"),
        (("--seeds", "0"), "seeds"),
        (("--objective", "f1"), "objective"),
        (("--target", "sidee"), "sidee"),
        (("--budget", "600episodes"), "The budget is of something else"),
    ],
)
def test_mistakes_are_told(invoke, options, words):
    result = invoke("compare", "flowers.csv", *SMALL, *options)
    assert result.exit_code not in (0, 1)
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_target_is_asked_for(invoke, place):
    (place / "rows.csv").write_text("x,y\n" + "1,2\n" * 9)
    result = invoke("compare", "rows.csv")
    assert result.exit_code not in (0, 1)
    assert "Which column is to be predicted?" in result.stderr


def test_other_data_are_refused(invoke, place):
    (place / "pictures" / "a").mkdir(parents=True)
    result = invoke("compare", "pictures", "--target", "x")
    assert result.exit_code != 0
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("flowers")
def test_an_interrupt_keeps_the_methods_that_had_come_to_their_end(invoke, place, monkeypatch):
    from chainrule.evolve.comparison import side_by_side
    from chainrule.evolve.comparison.methods import run

    def interrupted(name, *arguments):
        if name == "ga":
            raise KeyboardInterrupt
        return run(name, *arguments)

    monkeypatch.setattr(side_by_side, "run", interrupted)
    result = invoke("compare", "flowers.csv", *SMALL, "--methods", "random,ga,hill")
    assert result.exit_code == 130, result.output
    assert "random" in result.stdout
    assert "hill" not in result.stdout
    assert "Interrupted" in result.stderr
    numbers = json.loads((place / "comparison-flowers.json").read_text())
    assert list(numbers["curves"]) == ["random"]
    result = invoke("compare", "flowers.csv", *SMALL, "--methods", "ga,hill")
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr


POLICIES = ("--budget", "300episodes", "--hidden", "4", "--backend", "numpy")


def test_policies_are_compared_in_an_environment(invoke, place):
    result = invoke("compare", "GridWorld", *POLICIES, "--methods", "backprop,random,hill",
                    "--seeds", "2", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [row["method"] for row in found["table"]] == ["backprop/ppo", "random", "hill"]
    assert found["parameters"] == 16 * 4 + 4 + 4 * 4 + 4
    assert found["budget"] == "300 episodes"
    for name, curves in found["curves"].items():
        assert len(curves) == 2
        for curve in curves:
            assert len(curve["seconds"]) == len(curve["episodes"]) == len(curve["returns"])
            assert curve["episodes"] == sorted(curve["episodes"])
            assert all(0 <= value <= 1 for value in curve["returns"]), name
    first = [curves[0]["returns"][0] for curves in found["curves"].values()]
    assert len(set(first)) == 1  # the same weights
    page = (place / "comparison-GridWorld.html").read_text()
    assert "The mean return of 64 further episodes" in page.replace("the mean", "The mean")
    picture = (place / "comparison-GridWorld.svg").read_text()
    assert "Return in GridWorld" in picture
    assert "backpropagation (PPO)" in picture


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("GridWorld", "--target", "x"), "In an environment these options mean nothing"),
        (("GridWorld", "--objective", "error"), "--objective"),
        (("GridWorld", "--methods", "backprop/sac"), "Unknown method"),
        (("gymnasium:CartPole-v1",), "one that is built in"),
        (("cartpole-v1",), "Did you mean 'CartPole-v1'?"),
        (("GridWorld", "--budget", "300evaluations"), "The budget is of something else"),
        (("GridWorld", "--seeds", "0"), "Invalid value for seeds"),
    ],
)
def test_what_means_nothing_in_an_environment(invoke, words, said):
    result = invoke("compare", "--budget", "300episodes", *words)
    assert result.exit_code != 0
    assert said in " ".join(result.output.split())
