"""``--from`` is one mechanism for all kinds of data."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError
from chainrule.tasks import module_of


def texts(classes, seed):
    g = np.random.default_rng(seed)
    words = {"a": ["good", "fine"], "b": ["bad", "poor"], "c": ["red", "blue"]}
    k = g.choice(classes, 60)
    rows = [" ".join(g.choice([*words[c], "the", "of"], 6)) for c in k]
    return pl.DataFrame({"text": rows, "k": k})


def waves(level):
    x = np.arange(120)
    day = np.datetime64("2020-01-01") + x
    return pl.DataFrame({"day": day, "y": level + np.sin(x / 3)})


CASES = {
    "text": (
        texts(["a", "b"], 0),
        texts(["a", "b", "c"], 1),
        {"target": "k", "model": "bag"},
        ("parts.weight",),
        "newly initialised: head",
    ),
    "series": (
        waves(0.0),
        waves(50.0),
        {"target": "y", "time": "day"},
        ("network.linear.weight",),
        "newly initialised: network.scale",
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_the_weights_are_taken_over_and_the_rest_is_said(tmp_path, kind):
    first, second, options, paths, said_anew = CASES[kind]
    module, said = module_of(kind), []
    chosen = {**options, "epochs": 1, "backend": "numpy"}
    for name, frame in (("first", first), ("second", second)):
        frame.write_csv(tmp_path / f"{name}.csv")
    source = str(tmp_path / "first.csv")
    module.train(source, module.Options(**chosen), progress=False).save(tmp_path / "old")
    started = module.Options(**chosen, from_model=str(tmp_path / "old"), lr=1e-12)
    result = module.train(str(tmp_path / "second.csv"), started, progress=False, say=said.append)
    result.save(tmp_path / "new")
    old, new = (cr.load(tmp_path / name).state() for name in ("old", "new"))
    for path in paths:
        np.testing.assert_allclose(new[path], old[path], atol=1e-6)
    assert said_anew in said


def test_a_language_model_goes_on_with_its_own_tokens(tmp_path):
    module, said = module_of("text"), []
    (tmp_path / "a.txt").write_text("to be or not to be, that is the question. " * 60)
    (tmp_path / "b.txt").write_text("not to be the other. " * 120)
    small = {"epochs": 1, "hidden": (8,), "context": 8, "backend": "numpy"}
    module.train(str(tmp_path / "a.txt"), module.Options(**small), progress=False).save(
        tmp_path / "old"
    )
    started = module.Options(
        epochs=1, backend="numpy", lr=0.0, from_model=str(tmp_path / "old"), freeze=("tokens",)
    )
    module.train(str(tmp_path / "b.txt"), started, progress=False, say=said.append).save(
        tmp_path / "new"
    )
    old, new = (cr.load(tmp_path / name).state() for name in ("old", "new"))
    np.testing.assert_array_equal(new["tokens.weight"], old["tokens.weight"])
    assert "frozen: tokens" in said


def test_a_model_of_another_kind_is_an_error(tmp_path):
    module = module_of("series")
    waves(0.0).write_csv(tmp_path / "s.csv")
    cr.save(tmp_path / "m", cr.nn.Tanh(), np.zeros((2, 3), np.float32))
    started = module.Options(target="y", time="day", from_model=str(tmp_path / "m"), epochs=1)
    with pytest.raises(ChainruleError, match="No variable of the other model fits"):
        module.train(str(tmp_path / "s.csv"), started, progress=False)


def test_pictures_and_texts_to_label_next(tmp_path):
    """All strategies, on a folder with a picture that cannot be read."""
    from PIL import Image

    from chainrule.tasks import load_predictor
    from chainrule.tasks.label_next import next_rows

    g = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(8):
            pixels = g.integers(level - 30, level + 30, (12, 12)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "train" / name / f"{i}.png")
    pool = tmp_path / "pool"
    pool.mkdir()
    for i in range(6):
        Image.fromarray(np.full((12, 12), 40 * i, np.uint8)).save(pool / f"{i}.png")
    (pool / "2a.png").write_bytes(b"no picture")
    images = module_of("images")
    chosen = images.Options(epochs=1, backend="numpy")
    images.train(str(tmp_path / "train"), chosen, progress=False).save(tmp_path / "m")
    predictor = load_predictor(tmp_path / "m")
    for strategy in ("margin", "entropy", "coreset", "random"):
        found = next_rows(predictor, str(pool), 3, strategy)
        assert found.height == 3
        assert not found["file"].str.contains("2a").any()
        for row, file in found.select("row", "file").rows():
            assert sorted(p.name for p in pool.iterdir())[row] in file
    text = module_of("text")
    texts(["a", "b"], 0).write_csv(tmp_path / "t.csv")
    chosen = text.Options(target="k", epochs=1, backend="numpy")
    text.train(str(tmp_path / "t.csv"), chosen, progress=False).save(tmp_path / "t")
    found = next_rows(load_predictor(tmp_path / "t"), ["good", "poor", "the of"], 2, "coreset")
    assert found.height == 2
