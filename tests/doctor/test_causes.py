"""Each cause, put into a small training, is named first; sane trainings are silent."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.doctor.data_facts import data_facts
from chainrule.training import Arrays

from .conftest import Data, examined, net

# What a training warns of by itself is what the doctor is to find.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def first(watch):
    findings = watch.findings
    return findings[0].cause if findings else None


@pytest.mark.parametrize("activation", [cr.nn.ReLU, cr.nn.Tanh])
def test_a_sane_classification_is_silent(data, activation):
    assert examined(net(activation=activation), "cross_entropy", data.classes).findings == []


def test_a_sane_regression_is_silent(data):
    assert examined(net(outputs=1), "mse", data.numbers).findings == []


def test_softmax_before_a_loss_that_applies_it(data):
    watch = examined(net(end=[cr.nn.Softmax()]), "cross_entropy", data.classes, epochs=2)
    assert first(watch) == "softmax_twice"


def test_sigmoid_before_a_loss_that_applies_it(data):
    (x, y), (x_val, y_val) = data.classes
    examples = (x, y[:, None].astype(np.float32)), (x_val, y_val[:, None].astype(np.float32))
    model = net(outputs=1, end=[cr.nn.Sigmoid()])
    assert first(examined(model, "binary_cross_entropy", examples, epochs=2)) == "softmax_twice"


def test_softmax_of_one_unit(data):
    (x, y), (x_val, y_val) = data.classes
    examples = (x, y[:, None].astype(np.float32)), (x_val, y_val[:, None].astype(np.float32))
    model = net(outputs=1, end=[cr.nn.Softmax()])
    watch = examined(model, "binary_cross_entropy", examples, epochs=2)
    assert first(watch) == "softmax_of_one_unit"


def test_classes_learned_as_numbers(data):
    (x, y), _ = data.classes
    watch = examined(net(outputs=1), "mse", ((x, y[:, None].astype(np.float32)), None), epochs=2)
    assert first(watch) == "mse_on_classes"
    assert watch.findings[0].fix.options == {"loss": "binary_cross_entropy"}


@pytest.mark.parametrize("end", [cr.nn.ReLU, cr.nn.Sigmoid, cr.nn.Tanh])
def test_an_output_that_cannot_reach_the_target(data, end):
    watch = examined(net(outputs=1, end=[end()]), "mse", data.numbers, epochs=2)
    assert first(watch) == "output_range"


def test_an_output_that_reaches_a_positive_target(data):
    (x, wave), _ = data.numbers
    watch = examined(net(outputs=1, end=[cr.nn.Softplus()]), "mse", ((x, wave**2), None), epochs=2)
    assert "output_range" not in [finding.cause for finding in watch.findings]


def test_layers_without_a_non_linearity(data):
    watch = examined(net(activation=cr.nn.Identity, hidden=2), "cross_entropy", data.classes,
                     epochs=2)  # fmt: skip
    assert first(watch) == "missing_nonlinearity"


def test_inputs_may_have_names(data):
    class Named(cr.nn.Module):
        def __init__(self):
            self.inner = net(activation=cr.nn.Identity, hidden=2)

        def forward(self, given):
            return self.inner(given["x"])

    (x, y), held_out = data.classes
    named = (({"x": x}, y), None if held_out is None else ({"x": held_out[0]}, held_out[1]))
    assert first(examined(Named(), "cross_entropy", named, epochs=2)) == "missing_nonlinearity"


def test_units_that_start_alike(data):
    model = net(hidden=2)
    for path, w in model.parameters().items():
        w.assign(cr.full(w.shape, 0.1 if path.endswith("weight") else 0.0))
    assert first(examined(model, "cross_entropy", data.classes)) == "symmetric_initialisation"


def test_a_head_of_zeros_is_no_symmetry(data):
    class Net(cr.nn.Module):
        def __init__(self):
            self.network = net()
            self.linear = cr.nn.Linear(2, 2, init="zeros")
            self.network.layers[2].weight.assign(cr.zeros((24, 2)))

        def forward(self, x):
            return self.network(x) + self.linear(x)

    assert examined(Net(), "cross_entropy", data.classes).findings == []


def test_parameters_that_the_loss_does_not_reach(data):
    class Net(cr.nn.Module):
        def __init__(self):
            self.used, self.spare = net(), cr.nn.Linear(3, 3)

        def forward(self, x):
            return self.used(x)

    finding = examined(Net().initialize(0), "cross_entropy", data.classes, epochs=1).findings[0]
    assert (finding.cause, finding.layer) == ("disconnected_parameters", "spare.weight")


def test_parameters_that_the_optimizer_does_not_have(data):
    model = net()
    some = {p: w for p, w in model.parameters().items() if p.startswith("layers.2")}
    watch = examined(model, "cross_entropy", data.classes, optimizer=cr.optim.Adam(some), epochs=1)
    assert first(watch) == "missing_from_optimizer"
    assert watch.findings[0].layer == "layers.0.weight"


@pytest.mark.parametrize(("rate", "cause"), [(3.0, "learning_rate_too_high"),
                                             (1e-6, "learning_rate_too_low")])  # fmt: skip
def test_a_wrong_learning_rate(data, rate, cause):
    finding = examined(net(hidden=2), "cross_entropy", data.classes, lr=rate).findings[0]
    assert finding.cause == cause
    better = finding.fix.options["lr"]
    assert better < rate if cause.endswith("high") else better > rate


def test_units_that_never_fire(data):
    model = net(hidden=2)
    model.parameters()["layers.0.bias"].assign(cr.full((24,), -20.0))
    finding = examined(model, "cross_entropy", data.classes).findings[0]
    assert (finding.cause, finding.layer) == ("dead_relu", "layers.1")
    assert finding.measured == 1.0


def test_saturated_units(data):
    model = net(hidden=2, activation=cr.nn.Tanh)
    model.parameters()["layers.0.bias"].assign(cr.full((24,), 15.0))
    finding = examined(model, "cross_entropy", data.classes).findings[0]
    assert (finding.cause, finding.layer) == ("saturated_units", "layers.1")


def test_missing_values(data):
    (x, y), _ = data.classes
    x = x.copy()
    x[3, 1] = np.nan
    finding = examined(net(), "cross_entropy", ((x, y), None), epochs=1).findings[0]
    assert (finding.cause, finding.measured) == ("missing_values", 1.0)


def test_targets_that_are_not_known_of_a_prepared_series_are_no_fault():
    x, y = np.zeros((6, 2)), np.array([0.0, 1.0, np.nan, 3.0, 4.0, 5.0])
    assert data_facts(Arrays(x, y), None, "regression").not_finite == 1
    assert data_facts(Arrays(x, y), None, "regression", prepared=True).not_finite == 0
    x[1, 1] = np.inf
    assert data_facts(Arrays(x, y), None, "regression", prepared=True).not_finite == 1


@pytest.mark.parametrize("change", [lambda x: x * 5000, lambda x: x + 500,
                                    lambda x: x * [[1, 3000]]])  # fmt: skip
def test_inputs_that_are_not_scaled(data, change):
    (x, y), (x_val, y_val) = data.classes
    examples = tuple((change(z).astype(np.float32), t) for z, t in ((x, y), (x_val, y_val)))
    watch = examined(net(activation=cr.nn.Tanh), "cross_entropy", examples, epochs=10)
    assert first(watch) == "unscaled_inputs"


def test_a_column_that_is_the_target(data):
    (x, wave), (x_val, wave_val) = data.numbers
    examples = (np.hstack([x, 2 * wave]), wave), (np.hstack([x_val, 2 * wave_val]), wave_val)
    finding = examined(net(3, 1), "mse", examples, epochs=2).findings[0]
    assert (finding.cause, finding.layer) == ("leakage_column", "feature 2")


def test_rows_on_both_sides_of_the_split(data):
    (x, y), (x_val, y_val) = data.classes
    examples = (np.concatenate([x, x_val[:64]]), np.concatenate([y, y_val[:64]])), (x_val, y_val)
    finding = examined(net(), "cross_entropy", examples, epochs=2).findings[0]
    assert (finding.cause, finding.measured) == ("leakage_duplicates", 0.5)


def test_groups_torn_apart():
    base = Data(100, 6)
    rng = np.random.default_rng(1)
    x = np.repeat(base.x, 5, axis=0) + rng.normal(0, 0.003, (500, 6)).astype(np.float32)
    order = rng.permutation(500)
    x, y = x[order], np.repeat(base.y, 5)[order]
    examples = (x[:400], y[:400]), (x[400:], y[400:])
    assert first(examined(net(6), "cross_entropy", examples, epochs=10)) == "leakage_groups"


def test_validation_rows_of_another_distribution(data):
    (x, y), (x_val, y_val) = data.classes
    examples = (x, y), (x_val + np.float32([1.5, 0]), y_val)
    finding = examined(net(), "cross_entropy", examples, epochs=10).findings[0]
    assert (finding.cause, finding.layer) == ("distribution_shift", "feature 0")


def test_labels_that_have_nothing_to_do_with_the_inputs(data):
    (x, y), (x_val, y_val) = data.classes
    rng = np.random.default_rng(0)
    examples = (x, rng.permutation(y)), (x_val, rng.permutation(y_val))
    assert first(examined(net(), "cross_entropy", examples, epochs=10)) == "shuffled_labels"


def test_wrong_labels(data):
    (x, y), validation = data.classes
    y = y.copy()
    wrong = np.random.default_rng(0).permutation(len(y))[: len(y) // 5]
    y[wrong] = 1 - y[wrong]
    causes = [f.cause for f in examined(net(), "cross_entropy", ((x, y), validation)).findings]
    assert "mislabelled" in causes[:2]


def test_constant_and_duplicate_columns(data):
    (x, y), (x_val, y_val) = data.classes
    wider = [np.hstack([z, np.ones((len(z), 1), np.float32), -2 * z[:, :1]]) for z in (x, x_val)]
    watch = examined(net(4), "cross_entropy", ((wider[0], y), (wider[1], y_val)))
    assert {f.cause: f.layer for f in watch.findings} == {
        "constant_columns": "feature 2", "duplicate_columns": "feature 3",
    }  # fmt: skip
    assert {f.severity for f in watch.findings} == {"note"}


def test_batch_normalisation_of_two_rows(data):
    model = cr.nn.Sequential(cr.nn.Linear(2, 8), cr.nn.BatchNorm(8), cr.nn.ReLU(),
                             cr.nn.Linear(8, 2)).initialize(0)  # fmt: skip
    watch = examined(model, "cross_entropy", data.classes, epochs=1, batch_size=2)
    assert first(watch) == "batch_norm_tiny_batch"


def test_sorted_rows_that_are_not_shuffled(data):
    (x, y), validation = data.classes
    order = np.argsort(y, kind="stable")
    watch = examined(net(), "cross_entropy", ((x[order], y[order]), validation), epochs=3,
                     shuffle=False)  # fmt: skip
    assert first(watch) == "not_shuffled"


def test_parameters_whose_rate_is_zero(data):
    model = net()
    groups = cr.optim.groups_by_path(model, {"layers.0": {"lr": 0.0}})
    optimizer = cr.optim.Adam(groups, lr=0.02)
    findings = examined(model, "cross_entropy", data.classes, optimizer=optimizer).findings
    assert (findings[0].cause, findings[0].layer) == ("frozen_parameters", "layers.0.weight")
