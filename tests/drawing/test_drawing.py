"""Charts as data, as SVG, and the files that are written by hand."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from chainrule.drawing.blocks import (
    Code,
    Finding,
    Gallery,
    Passage,
    Picture,
    Section,
    Table,
    Text,
)
from chainrule.drawing.chart import (
    Axis,
    Bars,
    Cells,
    Chart,
    Histogram,
    Line,
    Points,
    Rule,
    numbers,
    thinned,
)
from chainrule.drawing.html import section_html
from chainrule.drawing.png import png, png_address
from chainrule.drawing.scales import Scale, written
from chainrule.drawing.svg import chart_svg

BAD = "</svg><script>alert(1)</script>\"'&"
CHARTS = [
    Chart("line", BAD, Axis(BAD), Axis(BAD, "log"),
          (Line(BAD, (1, 2, 3), (0.001, None, 10.0), (0.0005, None, 5), (0.002, None, 20)),
           Rule(BAD, x=2.0), Rule("diagonal"))),
    Chart("time", "t", Axis("", "time"), Axis(), (Line("", (0.0, 86400.0 * 800), (1.0, 1.0)),)),
    Chart("points", "p", Axis("x"), Axis("y"), (Points("p", (1, None, 3), (1, 2, 3), (BAD,) * 3),),
          square=True),
    Chart("histogram", "h", Axis("v"), Axis("n"), (Histogram("n", (0, 1, 2), (3, 0)),)),
    Chart("bars", "b", Axis("v"), Axis(categories=(BAD, "b")),
          (Bars("v", (1.0, -2.0), (0.1, None)), Bars("w", (None, 3.0))), size="wide"),
    Chart("cells", "c", Axis("x", categories=(BAD, "b")), Axis("y", categories=("a", "b")),
          (Cells("c", ((1.0, None), (0.5, 0.0)), ((BAD, ""), ("b", "c")), log=True),)),
    Chart("none", "nothing"),
    Chart("same", "one value", Axis(), Axis(), (Line("", (1.0,), (5.0,)),), size="small"),
]  # fmt: skip


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_every_chart_is_drawn_stored_and_escaped(chart: Chart) -> None:
    drawn = chart_svg(chart)
    tree = ElementTree.fromstring(drawn)  # well-formed, so nothing broke out of its place
    assert not [one for one in tree.iter() if "script" in one.tag]
    assert "nan" not in drawn
    assert "inf" not in drawn
    section = Section("s", BAD, (chart,))
    assert Section.from_json(section.to_json()) == section
    assert "<script" not in section_html(section)


def test_every_block_is_escaped_and_stored() -> None:
    picture = Picture(png_address([[0, 255]]), BAD, BAD)
    blocks = (
        Text((BAD,)), Table((BAD, f"#{BAD}"), ((BAD, BAD),), BAD, ((0, 1),), True), Code(BAD),
        Gallery(BAD, (picture,)), Passage(BAD, (BAD, "b"), (1.0, -0.2), BAD),
        Finding(BAD, "error", (BAD,), BAD, BAD),
    )  # fmt: skip
    section = Section(BAD, BAD, blocks)
    assert Section.from_json(section.to_json()) == section
    page = section_html(section)
    assert "<script" not in page
    assert re.findall(r' on\w+="', page) == []


def test_a_picture_from_elsewhere_is_not_shown() -> None:
    stranger = Gallery("g", (Picture("https://example.com/a.png", "c", "a"),))
    assert "example.com" not in section_html(Section("s", "t", (stranger,)))


def test_blocks_of_later_versions_are_left_out() -> None:
    content = {"name": "n", "title": "t", "blocks": [{"block": "hologram"},
               {"block": "text", "sentences": ["a"], "colour": 3}]}  # fmt: skip
    assert Section.from_json(content).blocks == (Text(("a",)),)


def test_lines_lie_where_their_numbers_are() -> None:
    chart = Chart("c", "c", Axis("", low=0, high=10), Axis("", low=0, high=1),
                  (Line("", (0.0, 5.0, 10.0), (0.0, 0.5, 1.0)),))  # fmt: skip
    tree = ElementTree.fromstring(chart_svg(chart))
    (path,) = (one for one in tree if one.get("class") == "line s0")
    points = np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", path.get("d") or ""), float)
    assert np.allclose(points[1], points[[0, 2]].mean(axis=0), atol=0.1)
    assert points[0, 1] > points[2, 1]  # y grows upwards


@pytest.mark.parametrize(
    ("low", "high", "kind", "texts"),
    [
        (0, 1, "linear", ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (1, 5, "integer", ["1", "2", "3", "4", "5"]),
        (1, 3, "integer", ["1", "2", "3"]),
        (0.001, 100, "log", ["0.001", "0.01", "0.1", "1", "10", "100"]),
        (0, 3 * 365.25 * 86400, "time", ["Jan 1970", "Jul 1970", "Jan 1971", "Jul 1971",
                                         "Jan 1972", "Jul 1972"]),
        (-3e6, 3e6, "linear", ["−3M", "−2M", "−1M", "0", "1M", "2M", "3M"]),
    ],
)  # fmt: skip
def test_ticks_are_round(low: float, high: float, kind: str, texts: list[str]) -> None:
    assert written(Scale(low, high, 0, 100, kind).ticks(6), kind) == texts


def test_peaks_survive_thinning() -> None:
    y = np.zeros(10_000)
    y[1234] = 9.0
    x, found = thinned(list(range(10_000)), list(numbers(y)))
    assert len(x) <= 600
    assert max(found) == 9.0
    assert x == sorted(x)


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1), (3, 5, 3), (3, 5, 4)])
def test_png_files_are_read_by_pillow(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape)
    read = np.asarray(Image.open(io.BytesIO(png(pixels))))
    assert np.array_equal(read.reshape(shape), pixels)
