"""Learning curves as charts: which there are, on which scale, and what they say."""

from __future__ import annotations

from chainrule.training.curves import learning_charts

RECORDS = [
    {"epoch": 1, "loss": 9.0, "val_loss": 8.0, "val_accuracy": 0.5, "rate": 0.1, "seconds": 1.0},
    {"epoch": 2, "loss": 3.0, "val_loss": 2.0, "val_accuracy": 0.75, "rate": 0.05, "seconds": 1.0},
    {"epoch": 3, "loss": 1.0, "val_loss": 4.0, "val_accuracy": 0.625, "rate": 0.0, "seconds": 1.0},
]


def test_one_chart_for_the_loss_and_for_what_was_measured() -> None:
    loss, accuracy, rate = learning_charts(RECORDS, best=RECORDS[1])
    assert [chart.name for chart in (loss, accuracy, rate)] == ["loss", "val_accuracy", "rate"]
    training, validation, best = loss.marks
    assert (training.label, training.x, training.y) == ("training loss", (1, 2, 3), (9, 3, 1))
    assert (validation.label, validation.y) == ("validation loss", (8, 2, 4))
    assert (best.label, best.x) == ("best epoch: 2", 2)
    assert not training.quiet
    assert not validation.quiet
    assert accuracy.marks[0].y == (0.5, 0.75, 0.625)
    assert accuracy.marks[1].x == 2
    assert rate.marks[0].y == (0.1, 0.05, 0.0)
    assert len(rate.marks) == 1


def test_what_the_losses_say() -> None:
    said = learning_charts(RECORDS)[0].description
    assert said == (
        "The training loss goes from 9 to 1; the validation loss is lowest in epoch 2, with 2."
    )
    assert learning_charts(RECORDS[:1])[0].description == (
        "The training loss is 9; the validation loss is lowest in epoch 1, with 8."
    )
    without = [{"epoch": 1, "val_loss": 8.0}, {"epoch": 2, "loss": 3.0, "val_loss": 2.0}]
    assert learning_charts(without)[0].description == ""
    assert learning_charts(without[::-1])[0].description == ""
    assert learning_charts([]) == []


def test_the_axis_is_logarithmic_where_numbers_differ_much() -> None:
    def scale(*losses: float) -> str:
        records = [{"epoch": k, "loss": loss} for k, loss in enumerate(losses, 1)]
        return learning_charts(records)[0].y.scale

    assert scale(30.0, 1.0) == "linear"
    assert scale(31.0, 1.0) == "log"
    assert scale(31.0, 0.0) == "linear"
    assert scale(31.0, float("nan"), 1.0) == "log"


def test_earlier_parts_are_drawn_quietly_and_first() -> None:
    (loss, *_) = learning_charts(RECORDS, before=[RECORDS[:2]] * 25)
    assert [mark.quiet for mark in loss.marks] == [True] * 20 + [False] * 2
    assert loss.marks[0].y == (8.0, 2.0)


def test_the_norm_of_the_gradient_has_a_chart_of_its_own() -> None:
    records = [{"epoch": k, "loss": 1.0, "gradient_norm": 10.0**-k} for k in (1, 2, 3)]
    loss, norm = learning_charts(records)
    assert (norm.name, norm.y.scale, loss.y.scale) == ("gradient_norm", "log", "linear")
    assert len(learning_charts(records[:1])) == 1  # one number is no curve


def test_the_returns_of_an_agent_come_first_by_its_steps() -> None:
    records = [
        {"epoch": 1, "loss": 1.0, "steps": 100, "return": -5.0},
        {"epoch": 2, "loss": 0.5, "steps": 300, "return": 7.25},
    ]
    returns, loss = learning_charts(records)
    assert (returns.name, loss.name) == ("return", "loss")
    assert (returns.marks[0].x, returns.marks[0].y) == ((100, 300), (-5.0, 7.25))
    assert returns.description == "The mean return goes from -5 to 7.25."
    assert [chart.name for chart in learning_charts(records[:1])] == ["loss"]
