"""docs/series.md is true: its commands run."""

import importlib
import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
from typer.testing import CliRunner

from chainrule.cli.app import app

PAGE = Path(__file__).parents[3] / "docs" / "series.md"


def test_the_commands_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    years = np.arange(1700, 1900)
    spots = 50 + 50 * np.sin(2 * np.pi * years / 11)
    pl.DataFrame({"year": years, "sunspots": spots}).write_csv("sunspots.csv")
    pl.DataFrame({"year": years + 100, "sunspots": spots}).write_csv("later_sunspots.csv")
    walks = [(n, step, step * (-1) ** n, ["up", "down"][n % 2]) for n in range(24)
             for step in range(4)]  # fmt: skip
    columns = ["id", "step", "height", "way"]
    for name in ("walks.csv", "new_walks.csv"):
        pl.DataFrame(walks, columns, orient="row").write_csv(name)
    shops = [(shop, f"2024-{m:02}-{d:02}", d % 3 == 0, float(d % 7 + m)) for shop in "ab"
             for m in range(1, 5) for d in range(1, 29 if m == 2 else 30)]  # fmt: skip
    table = pl.DataFrame(shops, ["shop", "day", "promo", "sold"], orient="row")
    table = table.with_columns(day=pl.col("day").str.to_date())
    table.write_csv("shops.csv")
    ahead = pl.int_range(pl.len()).over("shop", order_by="day", descending=True) < 5
    table.with_columns(sold=pl.when(~ahead).then("sold")).write_csv("shops_ahead.csv")
    # The commands are as a reader types them; only networks and trainings are smaller, and
    # nothing is compiled.
    for module in ("forecasting", "sequences"):
        monkeypatch.setattr(f"chainrule.tasks.timeseries.{module}._UPDATES", 1)
        monkeypatch.setattr(f"chainrule.tasks.timeseries.{module}._EPOCHS", 1)
        monkeypatch.setitem(vars(importlib.import_module(f"chainrule.tasks.timeseries.{module}"))
                            ["_HIDDEN"], "tcn", (4,))  # fmt: skip
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 9
    for line in lines:
        words = shlex.split(line.removeprefix("$ chainrule "))
        quicker = ["--backend", "numpy"] if words[0] == "train" else []
        result = CliRunner().invoke(app, [*words, *quicker])
        assert result.exit_code == 0, f"{line}\n{result.output}"
        if line.endswith("predict runs/sunspots sunspots.csv"):
            assert result.stdout.splitlines()[1].startswith("1900,")
            assert len(result.stdout.splitlines()) == 12
        if "shops_ahead" in line:
            assert len(result.stdout.splitlines()) == 1 + 2 * 5
