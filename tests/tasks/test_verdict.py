"""What a report says in words of network and baselines."""

import numpy as np
import pytest

from chainrule.tasks.verdict import compare, verdict


def report_of(target, ours, rivals, metrics):
    """Errors are squared ones of these predictions."""
    errors = (target - ours) ** 2
    return {
        "metrics": metrics[0],
        "baselines": dict(zip(rivals, metrics[1:], strict=True)),
        "comparisons": {name: compare(errors, (target - z) ** 2) for name, z in rivals.items()},
        "rows": {"test": len(target)},
        "tested": len(target),
    }


@pytest.fixture
def numbers():
    rng = np.random.default_rng(0)
    target = rng.normal(size=200)
    return target, rng.normal(size=200)


def r2(target, z):
    return {"r2": float(1 - ((target - z) ** 2).sum() / ((target - target.mean()) ** 2).sum())}


def said(target, ours, rivals):
    metrics = [r2(target, z) for z in (ours, *rivals.values())]
    return verdict(report_of(target, ours, rivals, metrics), "rows", "More do.")


def test_a_clear_lead_needs_no_words(numbers):
    target, noise = numbers
    rivals = {"mean": np.zeros(200), "linear": target + 0.5 * noise}
    assert said(target, target + 0.1 * noise, rivals) == ""


def test_a_baseline_that_is_better_is_named(numbers):
    target, noise = numbers
    rivals = {"mean": np.zeros(200), "linear": target + 0.1 * noise}
    words = said(target, target + 0.5 * noise, rivals)
    assert words.startswith("The linear baseline is better than the network: R² 0.9")
    assert "against 0.7" in words


def test_a_small_test_set_cannot_tell(numbers):
    target, noise = numbers
    few, other = slice(0, 12), np.roll(noise, 5)
    rivals = {"linear": (target + 0.31 * other)[few]}
    words = said(target[few], (target + 0.3 * noise)[few], rivals)
    assert "12 test rows are too few to tell which is better. More do." in words


def test_the_same_predictions_are_as_good(numbers):
    target, noise = numbers
    z = target + 0.3 * noise
    assert said(target, z, {"linear": z}).startswith("The linear baseline is as good as")


def test_nothing_learned_is_said(numbers):
    target, noise = numbers
    words = said(target, noise, {"mean": np.zeros(200), "linear": noise})
    assert words.startswith("The network is no better than always predicting the mean: R² -")


def test_probabilities_may_say_more_than_classes():
    report = {
        "metrics": {"accuracy": 0.95, "log_loss": 0.12},
        "baselines": {"majority": {"accuracy": 0.95, "log_loss": 0.20}},
        "comparisons": {"majority": {"difference": 0.0, "clear": False}},
        "rows": {"test": 400},
    }
    words = verdict(report, "rows")
    assert "always predicting the most frequent class" in words
    assert words.endswith("log loss 0.120 against 0.200.")


def test_without_errors_of_rows_the_metric_decides():
    report = {
        "metrics": {"perplexity": 9.0},
        "baselines": {"pairs": {"perplexity": 8.0}},
        "rows": {"test": 1},
    }
    assert verdict(report, "tokens").startswith("The pairs baseline is better")
    report["baselines"]["pairs"]["perplexity"] = 10.0
    assert verdict(report, "tokens") == ""


def test_a_difference_is_that_of_the_same_rows():
    # Rows differ far more than the two methods do: a comparison of means would see nothing.
    hard = np.array([0.0, 100.0, 1.0, 400.0, 9.0])
    found = compare(hard, hard + np.array([1.0, 1.1, 0.9, 1.0, 1.0]))
    assert found["difference"] == pytest.approx(1.0)
    assert found["standard_error"] == pytest.approx(0.0316, abs=1e-3)
    assert found["clear"]
    assert compare(np.array([1.0]), np.array([2.0])) == {
        "difference": 1.0, "standard_error": None, "clear": False
    }  # fmt: skip


def test_a_lead_over_the_mean_on_five_rows_is_no_failure():
    target = np.array([0.0, 1.0, 2.0, 3.0, 10.0])
    words = said(target, target + 0.1, {"mean": np.full(5, target.mean())})
    assert words.startswith("The network is ahead of always predicting the mean (R² 0.999")
    assert "5 test rows are too few to tell" in words


def test_balanced_classes_are_not_judged_by_the_accuracy():
    """Whoever wants rare classes found gives up accuracy, in which the majority is unbeatable."""
    report = {
        "metrics": {"accuracy": 0.86, "roc_auc": 0.95},
        "baselines": {"majority": {"accuracy": 0.97, "roc_auc": 0.5},
                      "linear": {"accuracy": 0.96, "roc_auc": 0.97}},
        "rows": {"test": 1000},
    }  # fmt: skip
    assert "no better than always predicting the most frequent class" in verdict(report, "rows")
    said = verdict(report | {"options": {"balance": True}}, "rows")
    assert said == (
        "The linear baseline is better than the network: ROC AUC 0.970 against 0.950. Prefer it."
    )


def test_figures_that_are_written_alike_say_as_good(numbers):
    target, noise = numbers
    rivals = {"persistence": target + 0.5 * noise}
    words = said(target, target + (0.5 + 1e-9) * noise, rivals)
    assert words.startswith("The persistence baseline is as good as the network")


def test_small_errors_have_figures_and_other_data_no_columns():
    report = {"metrics": {"mae": 0.00042}, "baselines": {"linear": {"mae": 0.00021}},
              "comparisons": {"linear": {"difference": -1.0, "clear": True}},
              "rows": {"test": 50}}  # fmt: skip
    assert "MAE 0.00021 against 0.00042" in verdict(report, "windows")
    report = {"metrics": {"accuracy": 0.5}, "baselines": {"majority": {"accuracy": 0.5}},
              "rows": {"test": 50}}  # fmt: skip
    assert "The images may say nothing of the target" in verdict(report, "images")
    assert "The other columns may say nothing" in verdict(report, "rows")
