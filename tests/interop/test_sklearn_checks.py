"""All checks of scikit-learn for estimators pass; by day those that are quick and tell most."""

from __future__ import annotations

import pytest
from chainrule.sklearn import (
    ChainruleAutoencoder,
    ChainruleClassifier,
    ChainruleOutlierDetector,
    ChainruleRegressor,
)
from sklearn.utils._testing import SkipTest
from sklearn.utils.estimator_checks import estimator_checks_generator

#: Small, so that a check takes a tenth of a second.
SMALL = {"hidden_layer_sizes": (8,), "members": 1, "max_iter": 8, "backend": "numpy"}
NARROW = {"hidden_layer_sizes": (8,), "max_iter": 20, "backend": "numpy"}
ESTIMATORS = [
    ChainruleClassifier(**SMALL),
    ChainruleRegressor(**SMALL),
    ChainruleAutoencoder(**NARROW),
    ChainruleOutlierDetector(**NARROW),
]
KINDS = [type(estimator) for estimator in ESTIMATORS]
#: Run by day.
TELLING = {
    "check_classifiers_one_label_sample_weights",
    "check_estimators_partial_fit_n_features",
    "check_estimators_pickle",
    "check_fit2d_1sample",
    "check_methods_subset_invariance",
    "check_n_features_in_after_fitting",
    "check_sample_weight_equivalence_on_dense_data",
}
OF_OTHERS = {"check_estimators_pickle", "check_methods_subset_invariance"}


def _cases(estimators, by_day=True):
    for estimator in estimators:
        telling = OF_OTHERS if isinstance(estimator, KINDS[2] | KINDS[3]) else TELLING
        for number, (one, check) in enumerate(estimator_checks_generator(estimator)):
            name = getattr(check, "func", check).__name__
            marks = () if by_day and name in telling else (pytest.mark.nightly,)
            case = f"{type(one).__name__}-{name}-{number}"
            yield pytest.param(one, check, id=case, marks=marks)


def _passes(estimator, check):
    try:
        check(estimator)
    except SkipTest as skipped:  # such as for array libraries that are not installed
        pytest.skip(str(skipped))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), list(_cases(ESTIMATORS)))
def test_a_check_of_scikit_learn_passes(estimator, check):
    _passes(estimator, check)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "check"), list(_cases([kind() for kind in KINDS], by_day=False))
)
def test_with_the_usual_parameters_it_passes_too(estimator, check):
    _passes(estimator, check)
