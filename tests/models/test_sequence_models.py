"""The ready networks for sequences learn, continue texts, and say what they need."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import errors, models
from chainrule.training import Step

from ..nightly import by_day_on_numpy, by_night

RNG = np.random.default_rng(0)
SERIES = RNG.normal(size=(64, 6, 3)).astype(np.float32)
WORDS = RNG.integers(0, 12, (64, 6))
CLASSES = RNG.integers(0, 4, 64)


def fit(
    model: Any,
    inputs: Any,
    target: Any,
    steps: int,
    rate: float = 1e-2,
    backend: str = "numpy",
) -> float:
    """The loss after so many steps on all examples at once."""
    model.initialize(0)
    step = Step(model, cr.losses.cross_entropy, cr.optim.Adam(model, rate), backend=backend)
    return min([step(inputs, target)[0] for _ in range(steps)][-5:])


CLASSIFIERS = {
    "lstm": (models.lstm(4, 3, hidden=32), SERIES, 60),
    "lstm of words": (
        models.lstm(4, vocabulary=12, embedding=8, hidden=16, bidirectional=True), WORDS, 40,
    ),
    "gru": (models.gru(4, 3, hidden=24, layers=2), SERIES, 50),
    "tcn": (models.tcn(4, 3, [16, 16]), SERIES, 60),
    "transformer": (
        models.transformer_classifier(4, 3, width=16, layers=1, dropout=0.0), SERIES, 90,
    ),
    "transformer of words": (
        models.transformer_classifier(4, vocabulary=12, width=16, layers=1), WORDS, 80,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "backend"), by_day_on_numpy(CLASSIFIERS, "transformer of words"))
def test_classifiers_learn_64_examples_by_heart(name, backend):
    """Random labels: chance is ln 4 = 1.39."""
    model, inputs, steps = CLASSIFIERS[name]
    assert fit(model, inputs, CLASSES, steps, 2e-2, backend) < 0.05


TEXT = np.array([[ord(c) - ord("a") for c in "thequickbrownfoxjumpsoverthelazydog"]])


@pytest.fixture(scope="module", params=["numpy", by_night("c")])
def language_model(request: pytest.FixtureRequest) -> Any:
    """A small GPT that knows one sentence by heart."""
    model = models.gpt(26, context=40, width=32, heads=2, layers=2)
    assert fit(model, TEXT[:, :-1], TEXT[:, 1:], 60, backend=request.param) < 0.02
    return model


def test_gpt_continues_what_it_knows(language_model):
    text = language_model.generate(TEXT[:, :4], TEXT.shape[1] - 4)
    np.testing.assert_array_equal(text.numpy(), TEXT)
    compiled = cr.compile(lambda prompt: language_model.generate(prompt, 31), backend="numpy")
    np.testing.assert_array_equal(compiled(TEXT[:, :4]).numpy(), TEXT)
    likely = language_model.generate(TEXT[:, :4], 31, cr.random.key(0), temperature=0.05)
    np.testing.assert_array_equal(likely.numpy(), TEXT)


@pytest.mark.parametrize("rotary", [False, True])
def test_gpt_generates_as_if_there_were_no_cache(rotary):
    model = models.gpt(9, context=12, width=16, heads=2, layers=2, rotary=rotary).initialize(3)
    for parameter in model.parameters().values():
        parameter.assign(parameter * 3.0)  # so that the words differ
    numbers = np.array([[1, 2, 3], [4, 0, 8]])
    found = model.generate(numbers, 6).numpy()
    for _ in range(6):
        following = model(numbers).numpy()[:, -1].argmax(-1)
        numbers = np.concatenate([numbers, following[:, None]], 1)
    np.testing.assert_array_equal(found, numbers)


def test_gpt_draws_by_its_probabilities():
    model = models.gpt(5, context=3, width=8, heads=1, layers=1).initialize(0)
    for parameter in model.parameters().values():
        parameter.assign(parameter * 8.0)
    prompt = np.full((4000, 1), 2)
    expected = cr.softmax(model(prompt[:1])[0, -1]).numpy()
    drawn = model.generate(prompt, 1, cr.random.key(1)).numpy()[:, 1]
    found = np.bincount(drawn, minlength=5) / 4000
    assert 0.02 < expected.max() < 0.98
    np.testing.assert_allclose(found, expected, atol=4 * 0.5 / np.sqrt(4000))
    best = model.generate(prompt, 1, cr.random.key(1), top=1).numpy()[:, 1]
    assert (best == expected.argmax()).all()
    two = model.generate(prompt, 1, cr.random.key(1), top=2).numpy()[:, 1]
    assert set(two) == set(np.argsort(expected)[-2:])


def test_words_are_drawn_anew_for_every_step_and_key():
    model = models.gpt(26, context=20, width=8, heads=1, layers=1).initialize(0)
    one, again, two = (model.generate([[0]], 19, cr.random.key(k)).numpy() for k in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != two).any()
    assert len(set(one[0])) > 5


def test_the_weight_of_a_language_model_is_one():
    model = models.gpt(50, context=8, width=16, layers=1)
    shapes = [p.shape for p in model.parameters().values()]
    assert shapes.count((50, 16)) == 1
    assert (16, 50) not in shapes


@pytest.mark.parametrize("kind", [models.lstm, models.gru])
def test_a_result_for_every_step(kind):
    model = kind(5, vocabulary=12, hidden=8, every_step=True).initialize(0)
    y = model(WORDS, lengths=np.full(64, 4)).numpy()
    assert y.shape == (64, 6, 5)
    changed = WORDS.copy()
    changed[:, 3] = (changed[:, 3] + 1) % 12
    after = model(changed, lengths=np.full(64, 4)).numpy()
    np.testing.assert_array_equal(y[:, :3], after[:, :3])
    assert (y[:, 3] != after[:, 3]).any()


def test_a_tcn_sees_the_past_and_as_much_of_it_as_it_says():
    """1 + 2·(3 - 1)·(2² - 1) = 13 elements with two blocks."""
    model = models.tcn(2, 1, [8, 8], every_step=True).initialize(0).to("float64")
    x = cr.tensor(RNG.normal(size=(1, 30, 1)))
    slope = cr.grad(lambda x: (model(x)[0, 20] ** 2).sum())(x).numpy()[0, :, 0]
    assert np.flatnonzero(slope).tolist()[-1] == 20
    assert np.flatnonzero(slope).min() >= 20 - 12
    assert slope[8:21].any()


@pytest.mark.parametrize(
    "model",
    [
        models.lstm(4, vocabulary=12, hidden=8, bidirectional=True),
        models.gru(4, vocabulary=12, hidden=8, layers=2),
        models.transformer_classifier(4, vocabulary=12, width=8),
    ],
    ids=["lstm", "gru", "transformer"],
)
def test_what_is_behind_the_end_of_a_row_changes_nothing(model):
    model.initialize(0)
    lengths = RNG.integers(1, 7, 64)
    changed = np.where(np.arange(6) < lengths[:, None], WORDS, 0)
    before, after = (model(words, lengths).numpy() for words in (WORDS, changed))
    np.testing.assert_array_equal(before, after)
    alone = model(WORDS[:1, : lengths[0]]).numpy()
    np.testing.assert_allclose(before[:1], alone, rtol=1e-4, atol=1e-6)


def test_they_are_saved_and_loaded(tmp_path):
    for model, x in (
        (models.gru(4, 3, hidden=8), SERIES),
        (models.transformer_classifier(4, vocabulary=12, width=8), WORDS),
        (models.gpt(12, context=8, width=8, heads=2, layers=1), WORDS),
    ):
        cr.save(tmp_path / "model.safetensors", model, x[:2])
        found = cr.load(tmp_path / "model.safetensors").predict(x)
        np.testing.assert_allclose(found, model(x).numpy(), rtol=1e-4, atol=1e-5)


# ---- what goes wrong -------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"features": 3, "vocabulary": 5}])
def test_it_must_be_said_what_a_sequence_is_made_of(options):
    for kind in (models.lstm, models.gru, models.transformer_classifier):
        with pytest.raises(errors.ConfigError, match="of features or of tokens"):
            kind(4, **options)


def test_what_gpt_needs():
    model = models.gpt(9, context=5, width=8, heads=2, layers=1)
    with pytest.raises(errors.ConfigError, match="num_heads = 3"):
        models.gpt(9, width=8, heads=3)
    with pytest.raises(errors.ShapeError, match="at most 5"):
        model(np.zeros((1, 6), np.int64))
    for prompt, count in (([[1, 2]], 4), ([[]], 1), ([1, 2], 1)):
        with pytest.raises(errors.ShapeError, match="prompt"):
            model.generate(np.array(prompt, np.int64), count)
    with pytest.raises(errors.ConfigError, match="temperature"):
        model.generate([[1]], 1, cr.random.key(0), temperature=0.0)
    assert model.generate([[1, 2]], 0).tolist() == [[1, 2]]


def test_sequences_without_elements():
    nothing = np.zeros((2, 0, 3), np.float32)
    assert models.lstm(4, 3, hidden=8)(nothing).shape == (2, 4)
    with pytest.raises(errors.ShapeError, match="at least one element"):
        models.transformer_classifier(4, 3)(nothing)
    with pytest.raises(errors.ChainruleError):
        models.tcn(4, 3)(nothing)
