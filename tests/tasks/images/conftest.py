"""Small folders of images that are easy to tell apart."""

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")


def stripes(upright: bool, side: int, generator: np.random.Generator) -> np.ndarray:
    """A grey image with a bright bar somewhere: upright or lying."""
    x = generator.integers(0, 60, (side, side))
    place = int(generator.integers(1, side - 3))
    x[:, place : place + 2] = 220
    return (x if upright else x.T).astype(np.uint8)


def make_bars(folder, count=24, side=12, mode="L", ending="png", seed=0):
    """A folder with the class folders lying and upright, ``count`` images in each."""
    generator = np.random.default_rng(seed)
    for label in ("lying", "upright"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = Image.fromarray(stripes(label == "upright", side, generator)).convert(mode)
            image.save(folder / label / f"{number:03}.{ending}")
    return folder


@pytest.fixture
def bars(tmp_path):
    return make_bars(tmp_path / "bars")


@pytest.fixture(scope="session")
def bars_model(tmp_path_factory):
    """A folder of bars and a run that was trained on it, which nobody changes."""
    from typer.testing import CliRunner

    from chainrule.cli.app import app

    place = tmp_path_factory.mktemp("bars")
    make_bars(place / "bars", count=40)
    arguments = [
        str(place / "bars"),
        "--epochs",
        "8",
        "--test",
        "0.2",
        "--backend",
        "numpy",
        "--out",
    ]
    result = CliRunner().invoke(app, ["train", *arguments, str(place / "run")])
    assert result.exit_code == 0, result.output
    return place, result


@pytest.fixture(scope="session")
def several_bars(tmp_path_factory):
    """A folder of few bars and a run whose model is the mean of three networks."""
    from typer.testing import CliRunner

    from chainrule.cli.app import app

    place = tmp_path_factory.mktemp("several")
    make_bars(place / "bars")
    options = "--members 3 --epochs 3 --backend numpy --augment none --out"
    arguments = [str(place / "bars"), *options.split(), str(place / "run")]
    result = CliRunner().invoke(app, ["train", *arguments])
    assert result.exit_code == 0, result.output
    return place
