"""Learning rates: those of PyTorch, and those that it does not have."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ConfigError
from chainrule.optim import (
    SCHEDULES,
    Average,
    ChainedScheduler,
    Constant,
    CosineAnnealingLR,
    EMADriven,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    Schedule,
    SequentialLR,
    StepLR,
    Warmup,
    make_schedule,
)

SEQUENCES = json.loads(
    (Path(__file__).parents[1] / "references" / "schedules.json").read_text(encoding="utf-8")
)["sequences"]


def label(case: dict[str, Any]) -> str:
    return f"{case['name']}: {case['case']}"


def of_reference(case: dict[str, Any]) -> Schedule:
    """PyTorch's schedule, which scales a rate, as one that knows its rate."""
    name, attrs, lr = case["name"], case["attrs"], case["lr"]
    if name == "ConstantLR":
        parts = [Constant(lr * attrs["factor"]), Constant(lr)]
        return SequentialLR(parts, [attrs["total_iters"]])
    if "schedules" in attrs:
        rest = {key: value for key, value in attrs.items() if key != "schedules"}
        # PyTorch's product has one rate and factors, ours a rate and schedules around 1.
        first, others = lr, 1.0 if name == "ChainedScheduler" else lr
        rates = [first] + [others] * (len(attrs["schedules"]) - 1)
        inside = [
            of_reference({**part, "lr": rate})
            for part, rate in zip(attrs["schedules"], rates, strict=True)
        ]
        made = getattr(cr.optim, name)(inside, **rest)
        assert isinstance(made, Schedule)
        return made
    options = attrs if name in ("OneCycleLR", "CyclicLR") else {"lr": lr, **attrs}
    schedule = getattr(cr.optim, name)(**options)
    assert isinstance(schedule, Schedule)
    return schedule


@pytest.mark.parametrize("case", SEQUENCES, ids=label)
def test_rates_are_those_of_the_reference(case: dict[str, Any]) -> None:
    schedule = of_reference(case)
    rates = []
    for step in range(len(case["rates"])):
        rates.append(schedule(step).item())
        if "metrics" in case:
            schedule.observe(case["metrics"][step])
    np.testing.assert_allclose(rates, case["rates"], rtol=1e-9, atol=1e-15)


def test_every_schedule_of_pytorch_has_references() -> None:
    ours = {kind.__name__ for kind in SCHEDULES.values()}
    ours -= {"Constant", "Warmup", "Average", "EMADriven"}  # which PyTorch lacks
    assert ours <= {case["name"] for case in SEQUENCES}


# ---- every schedule: in the graph, with a state, from and to JSON ------------------------------

MAKERS: dict[str, Callable[[], Schedule]] = {
    name: (lambda name=name: make_schedule(name, 0.1, 60))
    for name, kind in SCHEDULES.items()
    if kind.options_for(0.1, 60) is not None
} | {
    "warm-up": lambda: Warmup(OneCycleLR(0.1, 30), steps=5),
    "warm-up of ema-driven": lambda: Warmup(EMADriven(0.1, decay=0.9), steps=5),
    "sequence": lambda: SequentialLR([Constant(0.1), EMADriven(0.1), StepLR(0.1, 5)], [10, 20]),
    "chain": lambda: ChainedScheduler([MultiStepLR(0.1, [3, 30]), ExponentialLR(1.0, 0.9)]),
    "average": lambda: Average(StepLR(0.1, 10), decay=0.8),
}
LOSSES = (np.exp(-np.arange(40) / 8) + np.random.default_rng(0).normal(0, 0.05, 40)).tolist()


@pytest.mark.parametrize("name", MAKERS)
def test_compiled_as_eager_to_the_bit(name: str) -> None:
    eager, inside = MAKERS[name](), MAKERS[name]()
    compiled = cr.compile(lambda step, loss: inside(step, loss), backend="numpy")
    for step, loss in enumerate(LOSSES):
        a, b = eager(step, cr.tensor(loss)), compiled(np.int64(step), cr.tensor(loss))
        assert a.dtype == np.float64
        assert a.shape == ()
        assert a.numpy().tobytes() == b.numpy().tobytes()


@pytest.mark.parametrize("name", MAKERS)
def test_goes_on_from_its_state(name: str) -> None:
    whole, first, second = MAKERS[name](), MAKERS[name](), MAKERS[name]()
    expected: list[float] = []
    found: list[float] = []
    for step, loss in enumerate(LOSSES):
        if step == 17:
            second.load_state(first.state())
        half = first if step < 17 else second
        for schedule, rates in ((whole, expected), (half, found)):
            rates.append(schedule(step, cr.tensor(loss)).item())
            if step % 2:
                schedule.observe(loss)
    assert found == expected


@pytest.mark.parametrize("name", MAKERS)
def test_survives_json(name: str) -> None:
    schedule = MAKERS[name]()
    again = Schedule.from_config(json.loads(json.dumps(schedule.to_config())))
    assert again.to_config() == schedule.to_config()
    assert again.sequence(40, LOSSES) == schedule.sequence(40, LOSSES)


@pytest.mark.parametrize("name", MAKERS)
def test_looking_ahead_moves_nothing(name: str) -> None:
    schedule = MAKERS[name]()
    before = schedule.state()
    rates = schedule.sequence(40, LOSSES)
    assert len(rates) == 40
    after = schedule.state()
    assert all(before[key].tobytes() == after[key].tobytes() for key in before)


# ---- one by one --------------------------------------------------------------------------------


def test_constant_can_be_set_while_compiled() -> None:
    schedule = Constant(0.1)
    compiled = cr.compile(lambda step: schedule(step), backend="numpy")
    assert compiled(np.int64(0)).item() == 0.1
    schedule.set(0.025)
    assert compiled(np.int64(1)).item() == 0.025


@given(st.integers(1, 50), st.floats(0, 1), st.integers(0, 120))
@settings(deadline=None)
def test_warm_up_by_its_formula(steps: int, start: float, t: int) -> None:
    rate = Warmup(CosineAnnealingLR(0.3, 100), steps, start)(t).item()
    inner = 0.15 * (1 + math.cos(math.pi * max(t - steps, 0) / 100))
    expected = inner * (start + (1 - start) * min(t / steps, 1))
    assert rate == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_the_height_of_cycles_shrinks_by_its_formula() -> None:
    schedule = cr.optim.CyclicLR(0.1, 1.1, 4, step_size_down=2, gamma=0.5)
    heights = [0, 0.25, 0.5, 0.75, 1, 0.5, 0, 0.25]
    expected = [0.1 + height * 0.5**t for t, height in enumerate(heights)]
    found = [schedule(t).item() for t in range(len(heights))]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_sequence_starts_each_schedule_anew() -> None:
    parts = [Constant(1.0), ExponentialLR(8.0, 0.5), LinearLR(2.0, 1.0, 0.0, 2)]
    rates = SequentialLR(parts, [2, 5]).sequence(8)
    assert rates == [1.0, 1.0, 8.0, 4.0, 2.0, 2.0, 1.0, 0.0]


def test_chain_is_the_product() -> None:
    rates = ChainedScheduler([StepLR(0.5, 2, 0.1), ExponentialLR(1.0, 0.5)]).sequence(4)
    np.testing.assert_allclose(rates, [0.5, 0.25, 0.0125, 0.00625])


@given(st.floats(0, 0.999), st.integers(1, 30))
@settings(deadline=None, max_examples=25)
def test_average_weighs_with_powers_that_add_up_to_one(decay: float, count: int) -> None:
    inner = LinearLR(1.0, 1.0, 0.0, 20)
    found = Average(inner, decay).sequence(count)[-1]
    weights = decay ** np.arange(count)[::-1]
    assert found == pytest.approx(np.average(inner.sequence(count), weights=weights), rel=1e-9)


def test_average_of_a_constant_is_that_constant() -> None:
    assert set(Average(Constant(0.1), 0.97).sequence(50)) == {0.1}


def test_restarts_come_when_they_should() -> None:
    """Rounding must not move a restart by one update, however late it is."""
    schedule = cr.optim.CosineAnnealingWarmRestarts(1.0, T_0=3, T_mult=2)
    for wave in range(12):
        start = 3 * (2**wave - 1)
        assert schedule(start).item() == 1.0
        if start:
            assert schedule(start - 1).item() < 0.5


def test_observing_reaches_schedules_inside() -> None:
    plateau = ReduceLROnPlateau(0.1, factor=0.5, patience=0)
    schedule = Warmup(SequentialLR([plateau, Constant(0.2)], [100]), steps=1)
    for value in (1.0, 1.0):
        schedule.observe(value)
    assert schedule(5).item() == 0.05


def test_a_metric_that_is_not_a_number_is_no_improvement() -> None:
    schedule = ReduceLROnPlateau(0.1, factor=0.5, patience=1)
    for value in (1.0, math.nan, math.nan):
        schedule.observe(value)
    assert schedule(0).item() == 0.05
    assert schedule.best.item() == 1.0


# ---- driven by the loss ------------------------------------------------------------------------


def driven(losses: Any, **options: Any) -> list[float]:
    schedule = EMADriven(0.1, **options)
    compiled = cr.compile(lambda step, loss: schedule(step, loss), backend="numpy")
    return [compiled(np.int64(t), np.float64(loss)).item() for t, loss in enumerate(losses)]


def noise(count: int, size: float) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).normal(0, size, count)


def test_driven_keeps_the_rate_while_the_loss_falls() -> None:
    t = np.arange(600)
    rates = driven(0.99**t)
    assert min(rates[20:]) == max(rates) == 0.1  # before, there is hardly evidence
    assert min(driven(np.exp(-t / 300) + noise(600, 0.05))[100:]) > 0.09


@pytest.mark.parametrize("size", [0.0, 0.05])
def test_driven_shrinks_at_a_standstill(size: float) -> None:
    t = np.arange(1500)
    rates = np.array(driven(np.maximum(0.99**t, 0.05) + noise(1500, size)))
    assert rates[250] > 0.09
    assert rates[1499] < 0.01
    assert np.all(rates[1:] / rates[:-1] > math.exp(-0.01))  # smoothly: at most 1 − decay a step


def test_driven_shrinks_when_the_loss_rises_and_recovers_when_it_falls_again() -> None:
    rise, fall = np.linspace(1, 2, 300), np.linspace(2, 0.1, 900)
    rates = driven([*rise, *fall])
    assert rates[299] < 0.03
    assert rates[1199] > 1.5 * min(rates)


def test_driven_may_grow_above_its_start() -> None:
    rates = driven(0.99 ** np.arange(500), max_lr=0.3)
    assert 0.1 < rates[-1] <= 0.3


def test_driven_at_its_formula() -> None:
    """Written out with weights, without buffers and recursion."""
    losses = 1 + noise(60, 0.3)
    decay = 0.9

    def mean(values: Any, base: float) -> float:
        return float(np.average(values, weights=base ** np.arange(len(values))[::-1]))

    log_rate, squares, expected = math.log(0.1), [], []
    for t, loss in enumerate(losses):
        fast, slow = mean(losses[: t + 1], decay**10), mean(losses[: t + 1], decay)
        squares.append((loss - slow) ** 2)
        progress = (slow - fast) / (math.sqrt(mean(squares, decay)) + 1e-6 * abs(slow))
        u = math.tanh(progress / 0.2 - 1)
        step = 0.3 * max(u, 0) + 0.8 * min(u, 0)
        log_rate += (1 - decay) * (1 - decay**t) * step
        log_rate = min(max(log_rate, math.log(0.02)), math.log(0.5))
        expected.append(math.exp(log_rate))
    found = driven(losses, decay=decay, growth=0.3, shrink=0.8, min_lr=0.02, max_lr=0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@given(st.floats(1e-6, 1e6))
@settings(deadline=None, max_examples=10)
def test_driven_does_not_ask_for_the_unit_of_the_loss(scale: float) -> None:
    losses = np.exp(-np.arange(150) / 40) + noise(150, 0.05) + 0.2
    options = {"decay": 0.95}
    np.testing.assert_allclose(
        driven(losses * scale, **options), driven(losses, **options), rtol=1e-6
    )


@given(st.lists(st.floats(width=32), min_size=1, max_size=60))
@settings(deadline=None, max_examples=30)
def test_driven_stays_in_its_bounds_whatever_the_loss_does(losses: list[float]) -> None:
    rates = driven(losses, decay=0.5, min_lr=0.01, max_lr=0.2)
    assert all(0.01 <= rate <= 0.2 for rate in rates)


def test_driven_leaves_out_a_loss_that_is_not_finite() -> None:
    losses = list(0.99 ** np.arange(200))
    clean = driven(losses)
    for bad in (math.nan, math.inf):
        assert driven([*losses, bad, losses[-1]])[-1] == pytest.approx(clean[-1], rel=0.01)


def test_driven_says_that_it_needs_the_loss() -> None:
    w = [cr.parameter(1.0)]
    with pytest.raises(ConfigError, match="loss=loss"):
        cr.optim.SGD(w, lr=EMADriven(0.1)).update([1.0])


# ---- what makes no sense -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Constant(-0.1), "lr of Constant"),
        (lambda: Constant(math.nan), "at least 0"),
        (lambda: Constant("0.1"), "a number"),  # type: ignore[arg-type]
        (lambda: StepLR(0.1, 0), "step_size of StepLR"),
        (lambda: OneCycleLR(0.1, 10, anneal_strategy="sine"), "cos or linear"),
        (lambda: OneCycleLR(0.1, 10, pct_start=2), "at most 1"),
        (lambda: ReduceLROnPlateau(0.1, mode="least"), "min or max"),
        (lambda: EMADriven(0.1, decay=1.0), "below 1"),
        (lambda: EMADriven(0.1, max_lr=0.01), "at least lr"),
        (lambda: EMADriven(0.1, min_lr=0.2), "at most lr"),
        (lambda: EMADriven(-0.1), "lr of EMADriven"),
        (lambda: EMADriven(0.1, growth=-1.0), "growth of EMADriven"),
        (lambda: EMADriven(0.1, shrink=-1.0), "shrink of EMADriven"),
        (lambda: EMADriven(0.1, min_lr=-0.1), "min_lr of EMADriven"),
        (lambda: EMADriven(0.1, threshold=0), "above 0"),
        (lambda: Warmup(0.1, 10), "a schedule"),  # type: ignore[arg-type]
        (lambda: SequentialLR([Constant(1.0)], [3]), "0 rising numbers"),
        (lambda: SequentialLR([Constant(1.0)] * 3, [3, 2]), "2 rising numbers"),
        (lambda: SequentialLR([], []), "a list of schedules"),
        (lambda: Schedule.from_config({"name": "one-cicle"}), "'one-cycle'"),
        (lambda: Schedule.from_config({"name": "step", "lr": 1.0, "gama": 2}), "'gamma'"),
        (lambda: Schedule.from_config({"name": "step", "lr": 1.0}), "step_size"),
        (lambda: make_schedule("cosin", 0.1, 10), "'cosine'"),
        (lambda: make_schedule("warmup", 0.1, 10), "Unknown schedule 'warmup'"),
        (lambda: Constant(0.1).load_state({}), "belongs to another schedule"),
    ],
)
def test_nonsense_is_refused(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert says in str(caught.value)


def test_zero_is_a_rate() -> None:
    assert Constant(0.0).sequence(2) == [0.0, 0.0]


def test_chosen_options_fit_the_training() -> None:
    for steps in (1, 2, 7, 100):
        for name, kind in SCHEDULES.items():
            if kind.options_for(0.1, steps) is not None:
                rates = make_schedule(name, 0.1, steps, warmup=0).sequence(steps, [1.0] * steps)
                assert all(0 <= rate <= 0.1 * (1 + 1e-12) for rate in rates), name
    rates = make_schedule("cosine", 0.1, 100, warmup=10).sequence(101)
    assert rates[0] == pytest.approx(0.001)
    assert max(rates) == rates[10] == 0.1
    assert rates[100] == pytest.approx(0, abs=1e-15)


#: What has to be given, and the options that need not be, with PyTorch's defaults where it has any.
GIVEN: dict[str, dict[str, Any]] = {
    "constant": {"lr": 0.1},
    "step": {"lr": 0.1, "step_size": 3},
    "multi-step": {"lr": 0.1, "milestones": [2, 4]},
    "exponential": {"lr": 0.1, "gamma": 0.9},
    "polynomial": {"lr": 0.1, "total_iters": 5},
    "linear": {"lr": 0.1},
    "cosine": {"lr": 0.1, "T_max": 5},
    "cosine-restarts": {"lr": 0.1, "T_0": 3},
    "one-cycle": {"max_lr": 0.1, "total_steps": 10},
    "cyclic": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3},
    "plateau": {"lr": 0.1},
    "ema-driven": {"lr": 0.1},
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "constant": {},
    "step": {"gamma": 0.1},
    "multi-step": {"gamma": 0.1},
    "exponential": {},
    "polynomial": {"power": 1.0},
    "linear": {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 100},
    "cosine": {"eta_min": 0.0},
    "cosine-restarts": {"T_mult": 1, "eta_min": 0.0},
    "one-cycle": {
        "pct_start": 0.3, "anneal_strategy": "cos", "div_factor": 25.0, "final_div_factor": 1e4,
        "three_phase": False,
    },
    "cyclic": {"step_size_down": None, "gamma": 1.0},
    "plateau": {
        "mode": "min", "factor": 0.1, "patience": 10, "threshold": 1e-4, "threshold_mode": "rel",
        "cooldown": 0, "min_lr": 0.0, "eps": 1e-8,
    },
    "ema-driven": {
        "decay": 0.99, "growth": 0.2, "shrink": 1.0, "threshold": 0.2, "min_lr": None,
        "max_lr": None,
    },
}  # fmt: skip
#: By option the largest and smallest values, and some that are just beyond.
RANGES: dict[str, tuple[list[Any], list[Any]]] = {
    "lr": ([0.0, 5.0], [-1e-9, math.inf]),
    "base_lr": ([0.0], [-1e-9, math.nan]),
    "eta_min": ([0.0], [-1e-9]),
    "power": ([0.0], [-1e-9]),
    "start_factor": ([0.0], [-1e-9]),
    "end_factor": ([0.0], [-1e-9]),
    "milestones": ([[0, 3]], [[-1, 3]]),
    "step_size": ([1], [0]),
    "total_iters": ([1], [0]),
    "T_max": ([1], [0]),
    "T_0": ([1], [0]),
    "T_mult": ([1], [0]),
    "total_steps": ([1], [0]),
    "step_size_up": ([1], [0]),
    "step_size_down": ([1], [0]),
    "pct_start": ([0.0, 1.0], [-1e-9, 1.001]),
    "div_factor": ([1.0], [0.999]),
    "final_div_factor": ([1.0], [0.999]),
    "factor": ([0.0, 0.999], [-1e-9, 1.0]),
    "patience": ([0], [-1]),
    "cooldown": ([0], [-1]),
    "growth": ([0.0], [-1e-9]),
    "shrink": ([0.0], [-1e-9]),
    "decay": ([0.0, 0.999], [-1e-9, 1.0]),
    "mode": (["min", "max"], ["least"]),
    "threshold_mode": (["rel", "abs"], ["both"]),
    "anneal_strategy": (["cos", "linear"], ["sine"]),
}


@pytest.mark.parametrize("name", GIVEN)
def test_every_option_has_its_range_and_default(name: str) -> None:
    kind = SCHEDULES[name]
    made: Any = kind(**GIVEN[name])
    assert {key: getattr(made, key) for key in DEFAULTS[name]} == DEFAULTS[name]
    for option in [*GIVEN[name], *DEFAULTS[name]]:
        fine, wrong = RANGES.get(option, ([], []))
        for value in fine:
            kind(**{**GIVEN[name], option: value})
        for value in wrong:
            with pytest.raises(ConfigError, match=f"{option} of "):
                kind(**{**GIVEN[name], option: value})


def test_ranges_of_schedules_around_others() -> None:
    inner = Constant(0.1)
    assert (Warmup(inner, 3).start, Average(inner).decay) == (0.01, 0.99)
    for start in (0.0, 1.0):
        assert Warmup(inner, 1, start).sequence(1) == [0.1 * start]
    for wrong in (
        lambda: Warmup(inner, 0), lambda: Warmup(inner, 3, -1e-9), lambda: Warmup(inner, 3, 1.001),
        lambda: Average(inner, 1.0), lambda: Average(inner, -1e-9),
        lambda: Average(0.1),  # type: ignore[arg-type]
        lambda: SequentialLR([inner, inner], [-1]), lambda: ChainedScheduler([]),
        lambda: ChainedScheduler([inner, 0.1]),  # type: ignore[list-item]
        lambda: SequentialLR([inner] * 3, [2, 2]),
        lambda: OneCycleLR(-1e-9, 10), lambda: cr.optim.CyclicLR(0.0, -1e-9, 3),
        lambda: cr.optim.CyclicLR(0.0, 1.0, 3, gamma=1.001),
        lambda: cr.optim.CyclicLR(0.0, 1.0, 3, gamma=-1e-9), lambda: EMADriven(0.1, threshold=-1.0),
        lambda: ReduceLROnPlateau(0.1, min_lr=-1e-9), lambda: ReduceLROnPlateau(0.1, eps=-1e-9),
        lambda: ReduceLROnPlateau(0.1, threshold=-1e-9), lambda: StepLR(0.1, 2, gamma=-1e-9),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=" of "):
            wrong()


def test_what_is_chosen_for_a_training_of_so_many_steps() -> None:
    expected: dict[str, dict[str, Any]] = {
        "constant": {"lr": 0.1},
        "one-cycle": {"max_lr": 0.1, "total_steps": 90},
        "cyclic": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 9},
        "cosine-restarts": {"lr": 0.1, "T_0": 13, "T_mult": 2},
        "plateau": {"lr": 0.1},
        "ema-driven": {"lr": 0.1, "decay": 0.95},
    }
    for name, options in expected.items():
        assert SCHEDULES[name].options_for(0.1, 90) == pytest.approx(options), name
    decays = [EMADriven.options_for(0.1, steps)["decay"] for steps in (3, 900, 10**6)]
    assert decays == pytest.approx([1 - 1 / 20, 1 - 1 / 30, 1 - 1 / 1000])
    assert Schedule.options_for(0.1, 90) is None


def test_driven_beside_its_formulas() -> None:
    """The averages and the rate, step by step, in plain Python."""
    losses = [1.0, 0.8, 0.9, 0.5, 0.5, 0.7, 0.9, 1.2]
    decay, growth, shrink, threshold, lr, low, high = 0.6, 0.7, 1.3, 0.3, 0.1, 0.02, 0.3
    fast = slow = variance = 0.0
    rate, expected = lr, []

    def averaged(mean: float, value: float, decay: float, t: int) -> float:
        return mean + (1 - decay) / (1 - decay ** (t + 1)) * (value - mean)

    for t, loss in enumerate(losses):
        fast = averaged(fast, loss, decay**10, t)
        slow = averaged(slow, loss, decay, t)
        variance = averaged(variance, (loss - slow) ** 2, decay, t)
        progress = (slow - fast) / (math.sqrt(variance) + 1e-6 * abs(slow) + 1e-300)
        u = math.tanh(progress / threshold - 1)
        change = growth * max(u, 0.0) + shrink * min(u, 0.0)
        rate *= math.exp((1 - decay) * (1 - decay**t) * change)
        rate = min(max(rate, low), high)
        expected.append(rate)
    found = EMADriven(lr, decay, growth, shrink, threshold, low, high).sequence(8, losses)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert EMADriven(lr, decay).sequence(400, [1.0] * 400)[-1] == pytest.approx(lr / 1000)
    falling = [0.9**t for t in range(60)]
    assert max(EMADriven(lr, decay, growth=5.0).sequence(60, falling)) == lr
