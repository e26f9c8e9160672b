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
    ],
)
def test_mistakes_are_told(invoke, options, words):
    result = invoke("compare", "flowers.csv", *SMALL, *options)
    assert result.exit_code not in (0, 1)
    assert words in result.stderr
    assert "Traceback" not in result.stderr


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
