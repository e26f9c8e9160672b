"""PyTorch's own samples of its operations give the same values and gradients here."""

from __future__ import annotations

from typing import Any

import pytest

import chainrule as cr

from ..nightly import NIGHTLY, by_night
from .make_page import COUNT, PAGE, page
from .samples import Call, stored
from .table import ABSENT, TABLE, NotApplicableError

SAMPLES = stored()
#: Operations whose every sample asks for what is different here, or is random.
NONE_APPLIES = {
    *("_segment_reduce:lengths", "_segment_reduce:offsets", "bernoulli", "normal"),
    *("normal:number_mean", "nn.functional.avg_pool2d"),
    *("nn.functional.embedding_bag", "nn.functional.kl_div"),
    *("nn.functional.margin_ranking_loss", "nn.functional.multi_head_attention_forward"),
    *("nn.functional.multilabel_soft_margin_loss", "nn.functional.soft_margin_loss"),
}


def applicable(name: str) -> list[tuple[Call, Any]]:
    """The calls that apply, and what they give eagerly."""
    found = []
    for sample in SAMPLES.get(name, []):
        call = Call(sample)
        try:
            found.append((call, call.results(*(cr.tensor(x, "float64") for x in call.arrays))))
        except NotApplicableError:
            continue
    return found


@pytest.mark.parametrize("name", TABLE)
def test_values_and_gradients(name: str) -> None:
    """Eagerly and, by day the first two samples, as a graph that NumPy runs."""
    calls = applicable(name)
    assert bool(calls) != (name in NONE_APPLIES or name not in SAMPLES)
    for number, (call, results) in enumerate(calls):
        call.check(results)
        if NIGHTLY or number < 2:
            call.check(cr.compile(call.results, backend="numpy")(*call.arrays))


#: Those with kernels or expressions of their own among the newer ones.
IN_C = ["scatter_reduce:amax", "index_copy", "special.i1e", "special.erfcx", "special.ndtri"]


@pytest.mark.parametrize("name", [by_night(name, unless=name in IN_C) for name in TABLE])
def test_in_c(name: str) -> None:
    """What has no kernel in C runs on NumPy: the backend "auto" says so and goes on."""
    calls = [call for call, _ in applicable(name)]

    def everything(arrays: list[list[Any]]) -> list[Any]:
        return [call.results(*given) for call, given in zip(calls, arrays, strict=True)]

    if calls:
        found = cr.compile(everything, backend="auto")([call.arrays for call in calls])
        for call, results in zip(calls, found, strict=True):
            call.check(results)


def test_every_name_is_there() -> None:
    for entry in TABLE.values():
        if entry.by_name:
            found: Any = cr
            for part in entry.ours.split("."):
                found = getattr(found, part)
            assert found is not None, entry.name


def test_how_many_there_are() -> None:
    named = {entry.name for entry in TABLE.values() if entry.by_name}
    assert len(named) >= 440
    assert not TABLE.keys() & ABSENT.keys()
    assert len(TABLE) + len(ABSENT) == COUNT


def test_the_page_is_that_of_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.from_pytorch.make_page"


def test_a_wrong_value_would_be_found() -> None:
    call, (outputs, slopes) = applicable("tanh")[0]
    with pytest.raises(AssertionError):
        call.check(([outputs[0] * (1 + 1e-5)], slopes))
    with pytest.raises(AssertionError):
        call.check((outputs, [slopes[0] * (1 + 1e-4)]))
