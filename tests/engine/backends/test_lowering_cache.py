"""Programs that were planned before are found again, and only for the same work."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine.backends.c import cache
from chainrule.engine.backends.c import lower as module
from chainrule.engine.backends.c.lowering_cache import lowered

TABLE = np.linspace(0.0, 1.0, 12, dtype=np.float32).reshape(4, 3)


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))


def looked_up(rows=2, factor=2.0):
    def function(numbers):
        return cr.take(TABLE * factor, numbers).sum()

    return cr.trace(function, np.zeros(rows, np.int64)).graph


def plans():
    return [path for path in cache.entries() if path.name.startswith("plan-")]


def test_found_again_without_planning(monkeypatch):
    first = lowered(looked_up(), {}, (), True)
    monkeypatch.setattr(module, "lower", lambda *given: pytest.fail("planned again"))
    again = lowered(looked_up(), {}, (), True)
    assert len(plans()) == 1
    assert again.source == first.source
    assert (again.arena, again.planned, again.unplanned, again.stops) == (
        first.arena, first.planned, first.unplanned, first.stops,
    )  # fmt: skip
    for one, other in zip(again.constants, first.constants, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_other_work_is_planned():
    lowered(looked_up(), {}, (), True)
    lowered(looked_up(rows=3), {}, (), True)  # other shapes
    lowered(looked_up(factor=3.0), {}, (), True)  # other constants
    lowered(looked_up(), {}, (0,), True)  # another guard
    lowered(looked_up(), {}, (), False)  # without fusion
    assert len(plans()) == 5


def test_a_damaged_file_is_replaced():
    source = lowered(looked_up(), {}, (), True).source
    (path,) = plans()
    path.write_text(path.read_text()[:100])
    assert lowered(looked_up(), {}, (), True).source == source
    assert len(path.read_text()) > 100


def test_large_constants_are_not_kept():
    data = np.zeros(1 << 19, np.float32)
    graph = cr.trace(lambda x: (x * data).sum(), data).graph
    lowered(graph, {}, (), True)
    assert not plans()


def test_an_index_out_of_range_names_its_line(monkeypatch):
    for planned in (False, True):
        step = cr.compile(lambda numbers: cr.take(TABLE, numbers), backend="c")
        if planned:
            monkeypatch.setattr(module, "lower", lambda *given: pytest.fail("planned again"))
        with pytest.raises(cr.errors.OutOfRangeError, match="index is out of range") as caught:
            step(np.array([0, 4]))
        assert "test_lowering_cache" in str(caught.value.where)
