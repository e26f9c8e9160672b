"""The pool of threads: every part is handed out once, whoever takes it."""

import ctypes

import numpy as np
import pytest

from chainrule.engine.backends.c import threads, toolchain
from chainrule.engine.backends.c.threads import TASK_C

from .flags import STRICT

TASKS = (
    """
#include <stdint.h>
"""
    + TASK_C
    + """
static void count(void *const *p, int64_t begin, int64_t end)
{
  int32_t *counts = p[0], *parts = p[1];
  for (int64_t i = begin; i < end; i++) counts[i]++;
  parts[begin]++;
}

void each(void *const *p, int64_t begin, int64_t end, cr_parts *parts);
void each(void *const *p, int64_t begin, int64_t end, cr_parts *parts)
{
  (void)parts;
  count(p, begin, end);
}

void asking(void *const *p, int64_t begin, int64_t end, cr_parts *parts);
void asking(void *const *p, int64_t begin, int64_t end, cr_parts *parts)
{
  do count(p, begin, end);
  while (parts->next(parts, &begin, &end));
}
"""
)


@pytest.mark.parametrize("task", ["each", "asking"])
def test_every_part_is_computed_once(task):
    parallel = ctypes.CFUNCTYPE(
        None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int32
    )(threads.parallel().value)
    work = ctypes.cast(toolchain.load(TASKS, STRICT)[task], ctypes.c_void_p)
    for count in (1, 2, 3, 7):
        for extent, unit in ((1, 1), (5, 1), (33, 1), (33, 4), (1000, 1), (1000, 300), (4097, 16)):
            for _ in range(20):
                counts, begins = np.zeros((2, extent), np.int32)
                table = (ctypes.c_void_p * 2)(counts.ctypes.data, begins.ctypes.data)
                parallel(work, ctypes.addressof(table), extent, unit, count)
                assert (counts == 1).all()
                assert (np.flatnonzero(begins) % unit == 0).all()
                assert (begins.sum() > 1) == (count > 1 and extent > unit)
