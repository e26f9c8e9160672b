"""Work beside the main thread: in order, so much at a time, and taken back before it begins."""

from __future__ import annotations

import os
import threading

import pytest

from chainrule.utils.background import Queue


def test_work_begins_in_the_order_it_came_and_one_at_a_time():
    queue, begun, running = Queue(1), [], []
    gate = threading.Event()

    def work(number):
        running.append(number)
        gate.wait(60)
        begun.append((number, len(running)))
        running.remove(number)
        return number

    futures = [queue.add(lambda n=n: work(n)) for n in range(4)]
    assert futures[2].cancel()
    assert not futures[0].cancel()  # it has begun
    gate.set()
    assert [futures[n].result(60) for n in (0, 1, 3)] == [0, 1, 3]
    assert begun == [(0, 1), (1, 1), (3, 1)]


def test_as_much_goes_on_at_once_as_was_said():
    queue, both = Queue(2), threading.Barrier(2, timeout=60)
    first, second = (queue.add(both.wait) for _ in range(2))
    assert {first.result(60), second.result(60)} == {0, 1}


def test_an_error_is_kept_for_whoever_asks_and_the_next_goes_on():
    queue = Queue(1)
    bad, good = queue.add(lambda: 1 / 0), queue.add(lambda: 5)
    with pytest.raises(ZeroDivisionError):
        bad.result(60)
    assert good.result(60) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_the_child_of_a_fork_begins_anew():
    queue, gate = Queue(1), threading.Event()
    stuck = queue.add(lambda: gate.wait(60))
    child = os.fork()
    if not child:
        os._exit(queue.add(lambda: 7).result(30))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    gate.set()
    assert stuck.result(60)
