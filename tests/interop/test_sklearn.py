"""The estimators in scikit-learn's tools, and what its own networks lack."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from chainrule.sklearn import (
    ChainruleAutoencoder,
    ChainruleClassifier,
    ChainruleOutlierDetector,
    ChainruleRegressor,
    ChainruleSequenceClassifier,
    ChainruleTextClassifier,
)
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import chainrule as cr
from chainrule.data import read_table

from ..nightly import by_night

SMALL = {"hidden_layer_sizes": (8,), "members": 1, "max_iter": 25, "backend": "numpy"}
QUICK = SMALL | {"max_iter": 3}


def of_classes(rows=80, seed=0):
    """Two features, of which the first one tells the class."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 2))
    return X, np.where(X[:, 0] > 0, "yes", "no")


def of_numbers(rows=80, seed=0):
    X = np.random.default_rng(seed).normal(size=(rows, 2))
    return X, 3 * X[:, 0] + 1


def customers(rows=120):
    """Text, dates, numbers as text, missing values; the city says all."""
    rng = np.random.default_rng(1)
    city = rng.choice(["Rome", "Oslo", "Bonn"], rows)
    frame = pd.DataFrame({
        "city": city,
        "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), "D"),
        "spent": [f"{x:,.2f} €" for x in rng.uniform(1000, 9000, rows)],
        "visits": pd.array(rng.integers(0, 9, rows), dtype="Int64"),
    })  # fmt: skip
    frame.loc[::7, "visits"] = pd.NA
    return frame, np.where(city == "Rome", 1, 0)


# ---- data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda f: f, by_night(read_table)], ids=["pandas", "polars"])
def test_frames_are_understood_as_by_the_command_line(make):
    frame, y = customers()
    model = ChainruleClassifier(**SMALL).fit(make(frame), y)
    kinds = {column.name: column.kind for column in model.schema_.columns}
    assert kinds == {"city": "category", "since": "date", "spent": "numeric", "visits": "numeric"}
    assert model.score(make(frame), y) > 0.95
    assert list(model.feature_names_in_) == list(frame.columns)


@pytest.mark.nightly
def test_a_frame_of_pandas_and_one_of_polars_give_the_same_model():
    frame, y = customers()
    one, other = (
        ChainruleClassifier(**QUICK).fit(each, y).predict_proba(frame)
        for each in (frame, read_table(frame))
    )
    assert np.array_equal(one, other)


@pytest.mark.nightly
def test_arrays_of_objects_and_categories_by_place():
    frame, y = customers()
    cells = frame[["city", "visits"]].to_numpy(object)
    model = ChainruleClassifier(**SMALL).fit(cells, y)
    assert model.schema_.columns[0].kind == "category"
    assert model.score(cells, y) > 0.95
    codes = np.unique(frame["city"], return_inverse=True)[1][:, None]
    model = ChainruleClassifier(**SMALL, column_kinds={0: "category"}).fit(codes, y)
    assert [column.kind for column in model.schema_.columns] == ["category"]
    assert model.score(codes, y) > 0.95


def test_sparse_matrices_are_the_same_as_dense_ones():
    X, y = of_classes()
    X[X < 0.2] = 0
    dense = ChainruleClassifier(**QUICK).fit(X, y)
    thin = ChainruleClassifier(**QUICK).fit(sparse.csr_array(X), y)
    assert np.array_equal(dense.predict_proba(X), thin.predict_proba(sparse.csc_array(X)))
    with pytest.raises(ValueError, match=r"would be 80 GB.*TruncatedSVD"):
        ChainruleClassifier().fit(sparse.csr_array((100_000, 100_000)), np.zeros(100_000))


def test_missing_values_are_taken_and_infinite_ones_refused():
    X, y = of_classes()
    X[::5, 1] = np.nan
    assert ChainruleClassifier(**SMALL).fit(X, y).score(X, y) > 0.9
    X[0, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        ChainruleClassifier(**QUICK).fit(X, y)


def test_the_order_of_the_rows_changes_nothing():
    X, y = of_numbers()
    order = np.random.default_rng(1).permutation(len(X))
    one = ChainruleRegressor(**QUICK).fit(X, y)
    other = ChainruleRegressor(**QUICK).fit(X[order], y[order])
    assert np.array_equal(one.predict(X), other.predict(X))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
        (lambda X, y: (X, np.repeat("yes", len(X))), "one class only: 'yes'"),
        (lambda X, y: (X[:, :0], y), r"0 feature\(s\)"),
        (lambda X, y: (X, None), "requires y to be passed"),
        (lambda X, y: (X[:3], y[:3]), "too few rows"),
        (lambda X, y: (np.array([[{}, 1]] * len(X), object), y), "must be a string or a number"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_words_of_scikit_learn(change, message):
    X, y = of_classes()
    y[:3] = ["yes", "no", "yes"]
    with pytest.raises((ValueError, TypeError), match=message):
        ChainruleClassifier(**QUICK).fit(*change(X, y))


def test_a_cell_that_cannot_be_read_is_a_value_error_that_names_its_column():
    frame, y = customers()
    model = ChainruleClassifier(**QUICK).fit(frame, y)
    broken = frame.astype({"spent": object})
    broken.loc[3, "spent"] = "much"
    with pytest.raises(ValueError, match=r"column 'spent', row 4"):
        model.predict(broken)
    with pytest.warns(UserWarning, match="never seen in training: 'Lima'"):
        model.predict(frame.assign(city="Lima"))


# ---- what scikit-learn's networks lack -----------------------------------------------------------


@pytest.mark.nightly
def test_class_weights_move_the_answer():
    X, _ = of_classes()
    y = np.random.default_rng(2).choice([0, 1], len(X), p=[0.8, 0.2])
    plain = ChainruleClassifier(**SMALL).fit(X, y).predict_proba(X)[:, 1].mean()
    balanced = ChainruleClassifier(**SMALL, class_weight="balanced").fit(X, y)
    heavy = ChainruleClassifier(**SMALL, class_weight={1: 100.0}).fit(X, y)
    assert plain < 0.3 < 0.4 < balanced.predict_proba(X)[:, 1].mean() < 0.6
    assert heavy.predict_proba(X)[:, 1].mean() > 0.9


@pytest.mark.nightly
def test_sample_weights_that_are_no_integers_count_too():
    X, y = of_numbers()
    doubled = np.concatenate([X, X]), np.concatenate([y, y + 10])
    weights = np.repeat([0.25, 0.75], len(X))
    model = ChainruleRegressor(**SMALL | {"max_iter": 100})
    model.fit(*doubled, sample_weight=weights)
    assert np.mean(model.predict(X) - y) == pytest.approx(7.5, abs=0.7)


def test_rows_of_ones_own_choose_the_best_weights():
    X, y = of_numbers()
    # Weights that are worse on them, epoch by epoch: the first ones are kept.
    model = ChainruleRegressor(**SMALL).fit(X, y, X_val=X, y_val=-y)
    assert model.best_iter_ == 1
    assert len(model.validation_curve_) == model.n_iter_ == 25
    assert ChainruleRegressor(**SMALL).fit(X, y, X_val=X, y_val=y).best_iter_ > 20
    with pytest.raises(ValueError, match="come together"):
        ChainruleRegressor(**QUICK).fit(X, y, X_val=X)
    X, y = of_classes()
    with pytest.raises(ValueError, match="classes that y does not have: \\['maybe'\\]"):
        ChainruleClassifier(**QUICK).fit(X, y, X_val=X[:2], y_val=["yes", "maybe"])


def test_a_metric_of_ones_own_chooses_the_best_weights():
    X, y = of_classes()
    seen = []

    def metric(y_true, y_pred):
        seen.append((set(y_true.tolist()), f1_score(y_true, y_pred, pos_label="yes")))
        return -len(seen)

    model = ChainruleClassifier(**SMALL, metric=metric).fit(X, y, X_val=X, y_val=y)
    assert model.best_iter_ == 1
    assert seen[0][0] == {"no", "yes"}
    assert len(seen) == 25
    # The unit is that of y, though a scaled logarithm is learned.
    y = np.exp(3 * X[:, 0])
    worst = []
    own = ChainruleRegressor(**QUICK, metric=lambda t, p: worst.append((t, p)) or 0.0)
    own.fit(X, y, X_val=X, y_val=y)
    assert own.report_["network"]["log_target"]
    assert np.allclose(np.sort(worst[0][0]), np.sort(y), rtol=1e-5)
    with pytest.raises(ValueError, match="Unknown metric 'f2'"):
        ChainruleClassifier(metric="f2").fit(*of_classes())


@pytest.mark.nightly
def test_early_stopping_by_a_metric_with_a_name():
    X, y = of_classes()
    parameters = SMALL | {"max_iter": 200}
    model = ChainruleClassifier(**parameters, metric="accuracy", n_iter_no_change=3).fit(X, y)
    assert model.n_iter_ < 100


@pytest.mark.nightly
def test_a_loss_of_ones_own():
    X, y = of_numbers()
    y[::10] += 100  # outliers, which absolute errors do not follow

    def absolute(prediction, target):
        return cr.abs(prediction - target)

    plain = ChainruleRegressor(**SMALL).fit(X, y)
    own = ChainruleRegressor(**SMALL, loss=absolute).fit(X, y)
    named = ChainruleRegressor(**SMALL, loss="mae").fit(X, y)
    assert np.allclose(own.predict(X), named.predict(X), rtol=1e-4, atol=1e-3)
    assert np.median(np.abs(own.predict(X) - y)) < np.median(np.abs(plain.predict(X) - y)) / 2
    with pytest.raises(ValueError, match="one number for each row"):
        ChainruleRegressor(**QUICK, loss=lambda p, t: cr.mean(p - t)).fit(X, y)


def test_quantiles():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 1))
    y = rng.normal(size=300)
    model = ChainruleRegressor(**SMALL, quantiles=(0.1, 0.5, 0.9)).fit(X, y)
    found = model.predict_quantiles(X)
    assert (np.diff(found, axis=1) >= 0).all()
    assert np.mean(y < found[:, 2]) == pytest.approx(0.9, abs=0.06)


@pytest.mark.nightly
def test_several_targets():
    X, y = of_numbers()
    both = np.stack([y, -y], axis=1)
    model = ChainruleRegressor(**SMALL | {"max_iter": 60}).fit(X, both)
    assert model.predict(X).shape == (80, 2)
    assert model.score(X, both) > 0.9


def test_callbacks_progress_and_curves(capsys):
    class Count(cr.Callback):
        seen = 0

        def on_epoch_end(self, trainer, record):
            Count.seen += 1

    X, y = of_classes()
    model = ChainruleClassifier(**QUICK, callbacks=[Count()], verbose=True).fit(X, y)
    assert Count.seen == model.n_iter_ == len(model.loss_curve_) == 3
    assert "epoch" in capsys.readouterr().out


def test_warm_start_goes_on():
    X, y = of_numbers()
    model = ChainruleRegressor(**SMALL, warm_start=True).fit(X, y)
    before = model.loss_curve_[-1]
    assert model.fit(X, y).loss_curve_[0] < 2 * before
    assert model.set_params(warm_start=False).fit(X, y).loss_curve_[0] > 1.5 * before


def test_partial_fit_learns_from_batch_to_batch_and_after_a_pickle():
    X, y = of_numbers(400)
    model = ChainruleRegressor(**SMALL, learning_rate=0.02)
    for start in range(0, 400, 40):
        model.partial_fit(X[start : start + 40], y[start : start + 40])
    assert model.score(X, y) > 0.9
    copy = pickle.loads(pickle.dumps(model))
    one, other = (each.partial_fit(X[:20], y[:20]).predict(X) for each in (model, copy))
    assert np.array_equal(one, other)
    after = ChainruleRegressor(**SMALL).fit(X, y)
    shifted = [after.partial_fit(X, y + 1).predict(X).mean() for _ in range(8)]
    assert shifted[-1] == pytest.approx((y + 1).mean(), abs=0.6)
    with pytest.raises(ValueError, match="classes must be passed"):
        ChainruleClassifier(**SMALL).partial_fit(*of_classes())


# ---- without a target ----------------------------------------------------------------------------


def curve(rows=80):
    t = np.random.default_rng(0).uniform(-1, 1, rows)
    return np.stack([t, 10 * t + 5, -t], axis=1)


NARROW = {"hidden_layer_sizes": (8,), "max_iter": 250, "backend": "numpy"}


def test_an_autoencoder_says_rows_with_few_numbers_and_gives_them_back():
    X = curve()
    model = ChainruleAutoencoder(1, **NARROW).fit(X)
    codes = model.transform(X)
    assert codes.shape == (80, 1)
    assert np.abs(model.inverse_transform(codes) - X).mean() < 0.3 * np.abs(X - X.mean(0)).mean()
    assert np.corrcoef(codes[:, 0], X[:, 0])[0, 1] ** 2 > 0.9
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.transform(X), codes)
    assert np.array_equal(again.inverse_transform(codes), model.inverse_transform(codes))
    named = model.set_output(transform="pandas").transform(X)
    assert list(named.columns) == ["chainruleautoencoder0"]


@pytest.mark.nightly
def test_frames_are_encoded_and_cannot_be_given_back_as_arrays():
    frame, _ = customers()
    model = ChainruleAutoencoder(2, **NARROW | {"max_iter": 2}).fit(frame)
    assert model.transform(frame).shape == (120, 2)
    with pytest.raises(ValueError, match="arrays of numbers only"):
        model.inverse_transform(np.zeros((1, 2)))


@pytest.mark.nightly
def test_rows_that_cannot_be_restored_are_outliers():
    X = curve()
    model = ChainruleOutlierDetector(0.05, n_components=1, **NARROW).fit(X)
    assert np.mean(model.predict(X) == -1) == pytest.approx(0.05)
    odd = np.array([[0.9, -4.0, -0.9], [-0.9, 14.0, 0.9]])
    assert model.predict(odd).tolist() == [-1, -1]
    assert model.decision_function(X[:1])[0] == model.score_samples(X[:1])[0] - model.offset_
    with pytest.raises(ValueError, match="contamination must be in"):
        ChainruleOutlierDetector(0.7).fit(X)


# ---- texts ---------------------------------------------------------------------------------------


def test_texts_are_classified():
    X = ["good film", "bad film", "a good one", "too bad"] * 10
    y = np.array([3, 7] * 20)
    model = ChainruleTextClassifier(max_iter=20, backend="numpy").fit(X, y)
    assert model.predict(["good", "bad"]).tolist() == [3, 7]
    assert np.allclose(model.predict_proba(pd.Series(X[:3])).sum(axis=1), 1)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    heavy = clone(model).set_params(class_weight={3: 100.0}).fit(X, y)
    assert (heavy.predict_proba(["film"])[:, 0] > model.predict_proba(["film"])[:, 0]).all()


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ("one text", [1], "is one text"),
        (["a", None], [0, 1], "Row 1 of X is no text"),
        ([["a", "b"], ["c", "d"]], [0, 1], "one text for each row"),
        ([], [], "no texts"),
        (["a", "b"], [1, 1], "one class only"),
        (["a", "b"], [1], "inconsistent numbers of samples"),
    ],
)
def test_what_are_no_texts_is_refused(X, y, message):
    with pytest.raises(ValueError, match=message):
        ChainruleTextClassifier().fit(X, y)


# ---- sequences -----------------------------------------------------------------------------------


def walks(count=40):
    """Of different lengths, in two columns; those of odd rows go up."""
    g = np.random.default_rng(0)
    X = [
        np.cumsum(g.normal(1.6 * (i % 2) - 0.8, 0.5, (g.integers(8, 20), 2)), axis=0)
        for i in range(count)
    ]
    return X, np.array(["down", "up"])[np.arange(count) % 2]


def test_sequences_are_classified(tmp_path):
    X, y = walks()
    model = ChainruleSequenceClassifier("linear", max_iter=40, backend="numpy").fit(X, y)
    assert model.classes_.tolist() == ["down", "up"]
    assert model.score(X, y) > 0.9
    p = model.predict_proba(X)
    assert p.shape == (40, 2)
    assert np.allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(model.predict_proba(X[7:8])[0], p[7], atol=1e-6)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(X), p)
    heavy = clone(model).set_params(class_weight={"down": 1.0, "up": 50.0}).fit(X, y)
    assert heavy.predict_proba(X)[:, 1].mean() > p[:, 1].mean() + 0.02
    # The file is one for the command line: a table with a row for each step.
    model.save(tmp_path / "model.safetensors")
    predictor = cr.series.predictor(cr.load(tmp_path / "model.safetensors"), "model")
    rows = [(str(i), *step) for i, steps in enumerate(X[:5]) for step in steps]
    table = pl.DataFrame(rows, ["sequence", "column_0", "column_1"], orient="row")
    assert predictor.predict(table)["prediction"].to_list() == model.predict(X[:5]).tolist()


def test_sequences_of_one_length_are_an_array():
    g = np.random.default_rng(1)
    X, y = g.normal(size=(30, 6, 1)), np.arange(30) % 2
    X[:, :, 0] += 3 * y[:, None]
    X[3, 2:, 0] = np.nan  # is as in the step before
    quick = ChainruleSequenceClassifier("linear", max_iter=30, backend="numpy")
    assert cross_val_score(quick, X, y, cv=3).mean() > 0.9
    model = clone(quick).fit(X, y)
    filled = X[3:4].copy()
    filled[0, 2:] = filled[0, 1]
    np.testing.assert_array_equal(model.predict_proba(X[3:4]), model.predict_proba(filled))
    of_lists = clone(quick).fit([x[:, 0].tolist() for x in X], y)  # one column
    np.testing.assert_array_equal(of_lists.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((4, 3)), "rows of numbers are no sequences"),
        ([[1, 2], [[1, 2]], [1], [3]], "has 2 columns, those before it 1"),
        ([["a"], ["b"], ["a"], ["b"]], "Sequence 0 of X is not of numbers"),
        ([[1], [], [1], [2]], r"Sequence 1 of X has the shape \(0,\)"),
        ([[1], [np.inf], [1], [2]], "contains infinity"),
        ([1, 2, 3, 4], "is needed"),
        ("text", "no list of sequences"),
        ([], "no sequences"),
        ([[1], [2]], "inconsistent numbers of samples"),
    ],
)
def test_what_are_no_sequences_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        ChainruleSequenceClassifier().fit(X, [0, 1, 0, 1])


def test_sequences_of_other_columns_are_refused():
    X, y = walks(12)
    model = ChainruleSequenceClassifier("linear", max_iter=1, backend="numpy").fit(X, y)
    with pytest.raises(ValueError, match=r"have 1 columns, but .* was trained on 2"):
        model.predict([x[:, 0] for x in X])


# ---- in scikit-learn's tools ---------------------------------------------------------------------


def test_a_pickle_is_the_model_file(tmp_path):
    frame, y = customers()
    model = ChainruleClassifier(**QUICK).fit(frame, y)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(frame), model.predict_proba(frame))
    model.save(tmp_path / "model.safetensors")
    loaded = cr.tables.predictor(cr.load(tmp_path / "model.safetensors"), "model")
    table = loaded.predict(frame, proba=True)
    assert np.allclose(table["probability 1"], model.predict_proba(frame)[:, 1], atol=1e-6)
    assert table["prediction"].cast(int).to_list() == model.predict(frame).tolist()


def test_a_pipeline_and_a_grid_search():
    X, y = of_classes()
    pipeline = make_pipeline(StandardScaler(), ChainruleClassifier(**QUICK))
    grid = {"chainruleclassifier__dropout": [0.0, 0.2]}
    found = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert found.best_params_.keys() == grid.keys()
    assert found.predict(X).shape == (80,)


@pytest.mark.parametrize("backend", ["threading", by_night("loky")])
def test_two_jobs_give_the_same_scores(backend):
    from joblib import parallel_backend

    X, y = of_classes()
    model = ChainruleClassifier(**QUICK)
    alone = cross_val_score(model, X, y, cv=2)
    with parallel_backend(backend, n_jobs=2):
        assert np.array_equal(cross_val_score(model, X, y, cv=2, n_jobs=2), alone)


@pytest.mark.nightly
def test_calibration_importance_and_votes():
    X, y = of_classes()
    calibrated = CalibratedClassifierCV(ChainruleClassifier(**QUICK), cv=2).fit(X, y)
    assert np.allclose(calibrated.predict_proba(X).sum(axis=1), 1)
    model = ChainruleClassifier(**SMALL).fit(X, y)
    importance = permutation_importance(model, X, y, n_repeats=2, random_state=0)
    assert importance.importances_mean[0] > 0.3 > importance.importances_mean[1]
    votes = VotingClassifier([("a", model), ("b", clone(model))], voting="soft").fit(X, y)
    assert votes.score(X, y) > 0.9


@pytest.mark.nightly
def test_a_target_that_is_transformed():
    X, y = of_numbers()
    model = TransformedTargetRegressor(ChainruleRegressor(**SMALL), transformer=StandardScaler())
    assert model.fit(X, y).score(X, y) > 0.8


@pytest.mark.nightly
def test_metadata_are_routed_to_the_fit():
    X, y = of_classes()
    weights = np.where(y == "yes", 0.5, 1e-6)
    with config_context(enable_metadata_routing=True):
        model = ChainruleClassifier(**SMALL | {"max_iter": 60}).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=False)
        found = cross_validate(model, X, y, cv=2, params={"sample_weight": weights},
                               return_estimator=True)  # fmt: skip
    assert all((each.predict(X) == "yes").mean() > 0.8 for each in found["estimator"])


def test_a_clone_is_unfitted_and_has_the_parameters():
    model = ChainruleClassifier(**QUICK, callbacks=[cr.Callback()]).fit(*of_classes())
    copy = clone(model)
    assert not hasattr(copy, "model_")
    assert copy.get_params()["max_iter"] == 3
