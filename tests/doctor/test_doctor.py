"""What the doctor measures is true, changes nothing, and has no scale."""

from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.doctor import Diagnosis, Doctor, Finding, examine
from chainrule.doctor.evidence import Data, Evidence, Measurement, Outcome, Structure
from chainrule.doctor.examine import ranked
from chainrule.doctor.finding import Fix
from chainrule.doctor.measure import Probe
from chainrule.errors import ConfigError, DataError
from chainrule.training import Arrays, Stream

from .conftest import examined, net

# What a training warns of by itself is what the doctor is to find.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_measurements_are_those_of_a_step(data):
    """Beside the gradient, the update and the losses that plain code computes."""
    model = net(hidden=2, activation=cr.nn.Tanh)
    optimizer = cr.optim.Adam(model, lr=0.01)
    loss = cr.losses.cross_entropy
    x, y = data.x[:64], data.y[:64]
    before = model.state()
    m = Probe(model, loss, optimizer)(Arrays(x, y), step=0, epoch=0)
    assert all((model.state()[path] == w).all() for path, w in before.items())
    assert int(optimizer.steps.item()) == 0

    half = x[:32], y[:32]
    value, gradients = cr.value_and_grad(lambda net: loss(net(half[0]), half[1]))(model)
    _, others = cr.value_and_grad(lambda net: loss(net(x[32:]), y[32:]))(model)
    assert m.loss == pytest.approx(value.item(), rel=1e-5)
    dot = size = other = 0.0
    for path, g in gradients.items():
        a, b = g.numpy().ravel().astype(float), others[path].numpy().ravel().astype(float)
        assert m.gradient[path] == pytest.approx(np.linalg.norm(a), rel=1e-4)
        assert m.weight[path] == pytest.approx(np.linalg.norm(before[path]), rel=1e-5)
        dot, size, other = dot + a @ b, size + a @ a, other + b @ b
    assert m.agreement == pytest.approx(dot / np.sqrt(size * other), rel=1e-3)

    state = model.layers[1](model.layers[0](half[0])).numpy()
    assert m.activations["layers.1"].size == pytest.approx(np.sqrt((state**2).mean()), rel=1e-4)
    assert m.activations["layers.1"].saturated == pytest.approx((1 - state**2 < 0.04).mean())

    optimizer.update(gradients)
    change = {path: w - before[path] for path, w in model.state().items()}
    for path, d in change.items():
        assert m.update[path] == pytest.approx(np.linalg.norm(d), rel=1e-3)
    for multiple, ratio in m.line.items():
        model.load_state({p: before[p] + np.float32(multiple) * d for p, d in change.items()})
        after = loss(model(half[0]), half[1]).item()
        assert ratio == pytest.approx(after / value.item(), rel=1e-3)


def test_the_training_has_the_same_bits(data):
    watched, alone = net(hidden=2), net(hidden=2)
    examined(watched, "cross_entropy", data.classes, epochs=3)
    train, validation = data.classes
    cr.Trainer(alone, "cross_entropy", cr.optim.Adam(alone, lr=0.02), progress=False).fit(
        train, validation=validation, epochs=3
    )
    assert all((w == alone.state()[path]).all() for path, w in watched.state().items())


@pytest.mark.parametrize(("factor", "fault"), [(1e6, "none"), (1e6, "low"), (1e-6, "high"),
                                               (1e-6, "dead")])  # fmt: skip
def test_the_verdict_has_no_scale(data, factor, fault):
    """The loss times a factor, and the rate divided by it."""

    def causes(times):
        def loss(prediction, target):
            return cr.losses.cross_entropy(prediction, target) * times

        model = net(hidden=2)
        if fault == "dead":
            model.parameters()["layers.0.bias"].assign(cr.full((24,), -20.0))
        rate = {"low": 1e-6, "high": 30.0}.get(fault, 0.1)
        optimizer = cr.optim.SGD(model, lr=rate / times, momentum=0.9)
        watch = examined(model, loss, data.classes, optimizer=optimizer, epochs=12)
        return [finding.cause for finding in watch.findings]

    assert causes(factor) == causes(1.0)


def test_a_root_has_its_consequences_under_it():
    def finding(cause, score):
        return Finding("r", cause, "warning", f"{cause}!", "", "", None, None, Fix(""), score=score)

    scale, flat, copy = (
        finding("unscaled_inputs", 0.9),
        finding("saturated_units", 0.8),
        finding("leakage_column", 0.7),
    )
    found = ranked([flat, copy, scale])
    assert [one.cause for one in found] == ["unscaled_inputs", "leakage_column"]
    assert found[0].consequences == ("saturated units: saturated_units!",)
    assert found[1].consequences == ()


def test_what_is_possible_is_named_only_beside_a_finding(tmp_path):
    """A shift of half a deviation, which is short of a finding."""
    nearly = Data(rows=100, features=3, shift=0.5, shifted=0.5)
    assert examine(Evidence(data=nearly)) == []
    noted = dataclasses.replace(nearly, constant=[1])
    assert [one.cause for one in examine(Evidence(data=noted))] == ["constant_columns"]
    found = examine(Evidence(Structure(unlisted=["w"]), nearly))
    assert [(one.cause, one.severity, one.sure) for one in found] == [
        ("missing_from_optimizer", "error", True), ("distribution_shift", "note", False),
    ]  # fmt: skip
    assert (found[1].measured, found[1].threshold) == (0.5, 0.6)
    Diagnosis(found).save(tmp_path)
    text = str(Diagnosis.load(tmp_path))
    assert "2. could also be: validation data of another distribution" in text
    assert "= 0.5; the threshold of a finding is 0.6" in text
    assert examine(Evidence(Structure(unlisted=["w"]), Data(shift=0.3, shifted=0.5)))[1:] == []


def test_what_a_finding_explains_is_not_named_as_possible():
    """A gradient that shrinks 200-fold, short of a finding, in a network that is no good."""
    weights = {f"layers.{n}.weight": 1.0 for n in range(3)}
    shrunk = {**weights, "layers.0.weight": 0.005}
    measured = [Measurement(step, step, 1.0, shrunk, weights, {}, 1.0, 1.0, {}, {})
                for step in range(3)]  # fmt: skip
    structure = Structure(hidden_layers=2, gains=dict.fromkeys(weights, 1.0))

    def causes(**facts):
        evidence = Evidence(
            dataclasses.replace(structure, unlisted=facts.pop("unlisted", [])),
            Data(rows=100, reference=0.9, reference_train=0.9, signal=True, **facts),
            measured, outcome=Outcome(train=0.9, held_out=0.1), over=True,
        )  # fmt: skip
        return [one.cause for one in examine(evidence)]

    assert causes() == []
    assert causes(shared=0.5) == ["leakage_duplicates", "vanishing_gradient"]
    assert causes(unlisted=["w"]) == ["missing_from_optimizer"]


def causes_of(structure, data, outcome, measurements=(), **more):
    evidence = Evidence(structure, Data(rows=200, signal=True, **data), list(measurements),
                        outcome=Outcome(**outcome), over=True, **more)  # fmt: skip
    return [one.cause for one in examine(evidence)]


@pytest.mark.parametrize(("rate", "skill", "expected"), [
    (0.9, 0.6, ["over_regularised"]), (0.9, 0.95, []), (0.5, 0.6, []),
])  # fmt: skip
def test_dropout_that_was_meant_as_the_fraction_to_keep(rate, skill, expected):
    """The network does as well as quick models, and would do better with its units."""
    quick = {"reference": 0.6, "reference_train": 0.6}
    outcome = {"train": skill, "held_out": skill}
    assert causes_of(Structure(dropout=rate), quick, outcome) == expected


@pytest.mark.parametrize(("recalls", "rows", "expected"), [
    ([0.95, 0.4], [100, 4], ["class_imbalance"]),
    ([0.95, 0.7], [100, 60], ["class_imbalance"]),
    ([0.95, 0.7], [100, 4], []),  # three of four
    ([0.8, 0.7], [100, 60], []),
])  # fmt: skip
def test_a_rare_class_is_told_if_it_is_clearly_found_less_often(recalls, rows, expected):
    data = {"classes": [294, 6], "held_out_classes": rows}
    assert causes_of(Structure(task="binary"), data, {"recalls": recalls}) == expected


@pytest.mark.parametrize(("loss", "expected"), [(0.5, "learning_rate_too_high"), (1e-5, None)])
def test_a_loss_that_doubles_where_nothing_is_left_is_no_high_rate(loss, expected):
    measured = [Measurement(step, step, loss if step else 1.0, {}, {}, {}, 1.0, 1.0,
                            dict.fromkeys((1.0, 3.0, 10.0, 30.0, 100.0), 2.0), {})
                for step in range(8)]  # fmt: skip
    quick = {"reference": 0.9, "reference_train": 0.9}
    found = causes_of(Structure(), quick, {"train": 0.95, "held_out": 0.5}, measured,
                      history=[{"loss": loss}] * 8, steps=50)  # fmt: skip
    assert found == ([expected] if expected else [])


@pytest.mark.parametrize(("gain", "rate"), [(1e-6, 0.01), (1e-2, 1e-3), (0.5, 3e-4)])
def test_a_low_rate_is_raised_by_what_all_updates_would_give(gain, rate):
    """At most a thousand-fold; where one look is all there is, it must be clear."""
    line = {c: 1 - gain * c / 100 for c in (1.0, 3.0, 10.0, 30.0, 100.0)}
    measured = Measurement(0, 0, 1.0, {}, {}, {}, 0.8, 1.0, line, {})
    evidence = Evidence(Structure(lr=1e-5), Data(rows=200), [measured], [{"loss": 1.0}] * 10,
                        epochs=10, steps=200, over=True)  # fmt: skip
    if gain > 5e-4:  # one look is too little
        assert examine(evidence) == []
        evidence.measurements *= 2
    (found,) = examine(evidence)
    assert (found.cause, found.fix.options) == ("learning_rate_too_low", {"lr": rate})


@pytest.mark.parametrize(("rows", "expected"), [(200, ["mislabelled"]), (50, [])])
def test_few_rows_lie_deep_in_no_class(rows, expected):
    data = Data(rows=rows, signal=True, classes=[25, 25], suspicious=0.3, deepest=40.0)
    assert [one.cause for one in examine(Evidence(data=data))] == expected


def epochs(*losses):
    return [{"loss": loss, "val_loss": held_out} for loss, held_out in losses]


@pytest.mark.parametrize(("losses", "expected"), [
    ([(1.0, 1.0), (9.0, 5.0), (0.9, 1.0), (0.9, 1.0)], ["learning_rate_too_high"]),
    ([(1.0, 1.0), (0.6, 0.9), (0.9, 1.0), (0.9, 1.0)], []),
])  # fmt: skip
def test_a_loss_that_rose_above_its_start_is_a_high_rate(losses, expected):
    """Where the network has not learned; that alone is told as underfitting."""
    measured = [Measurement(0, 0, 1.0, {}, {}, {}, 1.0, 1.0, {1.0: 0.99, 100.0: 2.0}, {})]
    quick, none = {"reference": 0.9, "reference_train": 0.9}, {"train": 0.1, "held_out": 0.1}
    structure = Structure(hidden_layers=1, narrowest=24)
    found = causes_of(structure, quick, none, measured, history=epochs(*losses), steps=50)
    assert found[:1] == (expected or ["underfitting"])


def test_rows_that_are_known_by_heart():
    """The validation loss hardly rises, but what is learned does not hold elsewhere."""
    measured = [Measurement(0, 0, 1.0, {}, {}, {}, 1.0, 1.0, {1.0: 0.99}, {})]
    quick = {"reference": 0.75, "reference_train": 0.7}

    def found(last, held_out):
        history = epochs((1.0, 0.5), (0.1, 0.39), (last, 0.38), (last, 0.39))
        outcome = {"train": 0.98, "held_out": held_out}
        return causes_of(Structure(), quick, outcome, measured, history=history, steps=50)

    assert found(0.001, 0.62) == ["overfitting"]
    assert found(0.001, 0.74) == []
    assert found(0.03, 0.62) == []


def test_units_that_start_alike_are_told_of_a_network_that_is_no_good():
    """Although what comes after them has set them apart by the end."""
    structure = Structure(gains={"a.weight": 0.0, "b.weight": 1.0}, hidden_layers=1)
    quick = {"reference": 0.9, "reference_train": 0.9}

    def found(skill):
        outcome = {"train": skill, "held_out": skill}
        return causes_of(structure, quick, outcome, history=epochs((1.0, 1.0)) * 5, steps=50)

    assert found(0.2)[0] == "symmetric_initialisation"
    assert found(0.9) == []


def test_penalties_shrink_the_weights_that_are_trained():
    first, last = {"a.weight": 3.0, "b.weight": 1.0}, {"a.weight": 3.0, "b.weight": 0.1}
    measured = [Measurement(step, step, 1.0, {}, weight, {}, 1.0, 1.0, {}, {})
                for step, weight in enumerate((first, last))]  # fmt: skip
    quick, none = {"reference": 0.9, "reference_train": 0.9}, {"train": 0.1, "held_out": 0.1}

    def found(**held):
        return causes_of(Structure(l1=0.3, **held), quick, none, measured)

    assert found(unlisted=["a.weight"])[:2] == ["missing_from_optimizer", "over_regularised"]
    assert "over_regularised" not in found()


def test_only_what_is_sure_is_said_and_a_note_that_becomes_more_is_said_again():
    said = []
    watch = Doctor(say=said.append)

    def tell(**facts):
        watch.evidence.data = Data(rows=100, features=3, **facts)
        watch.add_report({})
        return [(one.cause, one.severity) for one in said]

    assert tell(scale=50.0) == [("unscaled_inputs", "note")]
    assert tell(scale=50.0) == [("unscaled_inputs", "note")]
    more = [("unscaled_inputs", "note"), ("unscaled_inputs", "warning")]
    assert tell(scale=500.0, shift=0.5, shifted=0.5) == more
    assert tell(scale=50.0) == more


def test_findings_are_stored_and_shown(data, tmp_path):
    watch = examined(net(end=[cr.nn.Softmax()]), "cross_entropy", data.classes, epochs=1)
    watch.diagnosis.save(tmp_path)
    again = Diagnosis.load(tmp_path)
    assert list(again) == watch.findings
    (record,) = json.loads((tmp_path / "findings.json").read_text())
    assert {"rule", "cause", "severity", "layer", "step", "epoch", "measured", "threshold",
            "formula", "why", "fix"} <= set(record)  # fmt: skip
    assert "Fix: Remove the softmax" in str(again)
    assert str(again) == repr(watch)
    assert str(Diagnosis([])) == "Nothing is wrong."


def test_a_damaged_record_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no findings"):
        Diagnosis.load(tmp_path)
    (tmp_path / "findings.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        Diagnosis.load(tmp_path)


def test_names_are_escaped_in_notebooks():
    finding = Finding("r", "mislabelled", "note", "<script>", "", "", None, None, Fix(""))
    assert "<script>" not in Diagnosis([finding])._repr_html_()


def loop(data, reset=True, epochs=12, model=None):
    model = model or net()
    optimizer = cr.optim.SGD(model, lr=0.1, momentum=0.9)
    (x, y), validation = data.classes
    watch = cr.doctor(model, optimizer, "cross_entropy", (x, y), validation)
    for _ in range(epochs):
        for start in range(0, len(x), 32):
            if reset:
                optimizer.zero_grad()
            prediction = model(cr.tensor(x[start : start + 32]))
            loss = cr.losses.cross_entropy(prediction, cr.tensor(y[start : start + 32]))
            loss.backward()
            watch.see(loss)
            optimizer.step()
    return watch


def test_a_plain_loop_is_watched(data):
    watch = loop(data)
    assert watch.findings == []
    assert watch.evidence.batch_size == 32
    assert watch.evidence.steps == 10
    assert len(watch.evidence.history) == 12


def test_gradients_that_are_not_reset(data):
    assert loop(data, reset=False, epochs=3).findings[0].cause == "gradients_not_reset"


def test_structure_is_seen_in_a_plain_loop(data):
    watch = loop(data, epochs=1, model=net(end=[cr.nn.Softmax()]))
    assert watch.findings[0].cause == "softmax_twice"


def test_what_the_doctor_needs_is_said(data):
    with pytest.raises(ConfigError, match="needs the network's optimizer"):
        cr.doctor(net())
    with pytest.raises(ConfigError, match="Unknown loss"):
        cr.doctor(net(), cr.optim.SGD(net()), "mes", data.classes[0])


def test_a_trainer_is_watched(data):
    model = net(end=[cr.nn.Softmax()])
    trainer = cr.Trainer(model, "cross_entropy", progress=False)
    watch = cr.doctor(trainer)
    trainer.fit(data.classes[0], epochs=1)
    assert watch.findings == examine(watch.evidence)
    assert watch.findings[0].cause == "softmax_twice"


def test_what_is_stuck_is_said_while_the_training_goes_on(data):
    said = []
    model = net(hidden=2)
    watch = Doctor(say=lambda finding: said.append((finding.cause, len(watch.evidence.history))))
    trainer = cr.Trainer(model, "cross_entropy", cr.optim.Adam(model, lr=100.0), callbacks=[watch],
                         progress=False)  # fmt: skip
    trainer.fit(data.classes[0], epochs=24)
    assert [cause for cause, _ in said] == ["learning_rate_too_high"]
    assert 8 <= said[0][1] < 24


def test_a_doctor_that_fails_does_not_harm_the_training(data, monkeypatch, caplog):
    def broken(*_, **__):
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(sys.modules["chainrule.doctor.monitor"], "data_facts", broken)
    watch = examined(net(), "cross_entropy", data.classes, epochs=2)
    assert len(watch.evidence.history) == 2
    assert "The doctor could not look at the training" in caplog.text


def test_a_network_that_was_trained_before_has_no_bad_initialisation(data):
    model = net(hidden=2)
    w = model.parameters()["layers.0.weight"]
    w.assign(w.numpy() * 20)

    def causes():
        return [f.cause for f in examined(model, "cross_entropy", data.classes, epochs=25).findings]

    assert causes() == ["bad_initialisation"]
    assert causes() == []


def test_a_stream_is_measured_by_some_of_its_rows(data, monkeypatch):
    """Its first rows are loaded in the order of epoch 0, and the training's bits stay the same."""
    monitor = sys.modules["chainrule.doctor.monitor"]
    monkeypatch.setattr(monitor, "_LOADING", 60.0)  # however slow the machine is
    loaded = []

    def load(rows, epoch):
        loaded.append(len(rows))
        return data.x[rows], data.y[rows]

    def trained(callbacks):
        model = net(hidden=1, activation=cr.nn.Tanh)
        trainer = cr.Trainer(model, "cross_entropy", "sgd", lr=1e4, progress=False,
                             callbacks=callbacks, backend="numpy")  # fmt: skip
        stream = Stream(load, data.y, workers=1)
        trainer.fit(stream, epochs=6)
        return model.state()

    watch = Doctor()
    seen = trained([watch])
    assert 64 in loaded
    evidence = watch.evidence
    assert (evidence.data.rows, len(evidence.measurements)) == (len(data.x), 7)
    assert evidence.data.duplicates == []  # single features are not looked at
    assert watch.findings[0].cause == "learning_rate_too_high"
    alone = trained([])
    assert all((seen[path] == w).all() for path, w in alone.items())


def test_how_a_network_is_built_is_told_where_the_user_built_it(data):
    def causes(lints):
        watch = Doctor(lints=lints)
        layers = cr.nn.Linear(data.x.shape[1], 8), cr.nn.Linear(8, 8), cr.nn.Linear(8, 3)
        model = cr.nn.Sequential(*layers).initialize(0)
        trainer = cr.Trainer(model, "cross_entropy", "adam", progress=False, callbacks=[watch],
                             backend="numpy")  # fmt: skip
        trainer.fit((data.x, data.y), epochs=1)
        return [finding.cause for finding in watch.findings]

    assert "missing_nonlinearity" in causes(True)
    assert "missing_nonlinearity" not in causes(False)


@pytest.mark.parametrize(
    ("metrics", "baselines", "expected"),
    [
        # A forecast beside the last value, which counts as 0.
        ({"mae": 0.5, "rmse": 0.6}, {"persistence": {"mae": 1.0}, "linear": {"mae": 0.8}},
         (0.5, 0.2)),
        ({"mae": 3.0}, {"persistence": {"mae": 1.0}, "linear": {"mae": 4.0}}, (-2.0, 0.0)),
        # Texts beside nothing, whose error rate is 1; exact matches are too rare to tell.
        ({"exact_match": 0.0, "character_error_rate": 1.5},
         {"copying": {"exact_match": 0.0, "character_error_rate": 0.4}}, (-0.5, 0.6)),
        ({"word_error_rate": 0.25}, {"nearest neighbour": {"word_error_rate": 0.75}},
         (0.75, 0.25)),
    ],
)  # fmt: skip
def test_what_reports_tell_of_forecasts_and_texts(metrics, baselines, expected):
    watch = Doctor()
    compared = {name: {"clear": name != "copying"} for name in baselines}
    watch.add_report({"metrics": metrics, "baselines": baselines, "comparisons": compared})
    found = watch.evidence.outcome.held_out, watch.evidence.data.reference
    assert found == pytest.approx(expected)
