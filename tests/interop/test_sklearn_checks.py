"""All checks of scikit-learn for estimators pass; by day those that are quick and tell most."""

from __future__ import annotations

import pytest
from chainrule.sklearn import ChainruleClassifier, ChainruleRegressor
from sklearn.utils._testing import SkipTest
from sklearn.utils.estimator_checks import estimator_checks_generator

#: Small, so that a check takes a tenth of a second.
SMALL = {"hidden_layer_sizes": (8,), "members": 1, "max_iter": 8, "backend": "numpy"}
ESTIMATORS = [ChainruleClassifier(**SMALL), ChainruleRegressor(**SMALL)]
#: Run by day.
TELLING = {
    "check_classifiers_one_label_sample_weights",
    "check_classifiers_regression_target",
    "check_dict_unchanged",
    "check_dtype_object",
    "check_estimator_sparse_array",
    "check_estimators_empty_data_messages",
    "check_estimators_partial_fit_n_features",
    "check_estimators_pickle",
    "check_fit2d_1sample",
    "check_fit_idempotent",
    "check_methods_subset_invariance",
    "check_n_features_in_after_fitting",
    "check_regressor_multioutput",
    "check_regressors_int",
    "check_sample_weight_equivalence_on_dense_data",
    "check_supervised_y_2d",
}


def _cases():
    for estimator in ESTIMATORS:
        for number, (one, check) in enumerate(estimator_checks_generator(estimator)):
            name = getattr(check, "func", check).__name__
            marks = () if name in TELLING else (pytest.mark.nightly,)
            case = f"{type(one).__name__}-{name}-{number}"
            yield pytest.param(one, check, id=case, marks=marks)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), list(_cases()))
def test_a_check_of_scikit_learn_passes(estimator, check):
    try:
        check(estimator)
    except SkipTest as skipped:  # such as for array libraries that are not installed
        pytest.skip(str(skipped))


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore::Warning")
@pytest.mark.parametrize("kind", [ChainruleClassifier, ChainruleRegressor])
def test_with_the_usual_parameters_they_pass_too(kind):
    from sklearn.utils.estimator_checks import check_estimator

    results = check_estimator(kind(), on_fail=None, on_skip=None)
    assert not [each["check_name"] for each in results if each["status"] == "failed"]
