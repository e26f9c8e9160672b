"""Many steps in one call: the loop around a program, in C.

Before each step the rows that it is to see are gathered from the whole data, and counters count;
each step's outputs go behind those of the step before. So a small network pays for Python once in
thousands of steps.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

from ....utils.typing import Array

STEPS_C = """
/* An input that each step gets anew: rows of ``data``, or with ``data`` = 0 one more each time. */
typedef struct {
  int64_t input;     /* its number */
  int64_t rows;      /* how many rows a step takes */
  int64_t row_bytes;
  const char *data;
} cr_feed;

/* These rows one after the other. Short ones take no call each. */
static void cr_gather_rows(char *restrict to, const char *restrict data, const int64_t *order,
                           int64_t rows, int64_t bytes)
{
  if (bytes == 4)
    for (int64_t r = 0; r < rows; r++) memcpy(to + r * 4, data + order[r] * 4, 4);
  else if (bytes == 8)
    for (int64_t r = 0; r < rows; r++) memcpy(to + r * 8, data + order[r] * 8, 8);
  else if (bytes % 16 == 0 && bytes <= 128)
    for (int64_t r = 0; r < rows; r++, to += bytes)
      for (int64_t b = 0; b < bytes; b += 16) memcpy(to + b, data + order[r] * bytes + b, 16);
  else
    for (int64_t r = 0; r < rows; r++, to += bytes)
      memcpy(to, data + order[r] * bytes, (size_t)bytes);
}

/* From so many bytes on each thread gathers some of the rows. Others have read the old ones, and
   to write what is in their caches takes long. */
enum { CR_MANY_BYTES = 1 << 16 };

static void cr_gather_part(void *const *p, int64_t begin, int64_t end, cr_parts *parts)
{
  const cr_feed *feed = p[2];
  const int64_t *order = p[1];
  (void)parts;
  cr_gather_rows((char *)p[0] + begin * feed->row_bytes, feed->data, order + begin, end - begin,
                 feed->row_bytes);
}

/* Run the program ``count`` times; how often it ended well. What stopped it is in *status. */
int64_t cr_steps(void *const *inputs, void *const *constants, char *const *outputs, char *arena,
                 int64_t count, const cr_feed *feeds, int64_t feed_count, const int64_t *order,
                 const int64_t *output_bytes, int64_t output_count, int32_t *status,
                 cr_parallel_call parallel, int32_t threads);
int64_t cr_steps(void *const *inputs, void *const *constants, char *const *outputs, char *arena,
                 int64_t count, const cr_feed *feeds, int64_t feed_count, const int64_t *order,
                 const int64_t *output_bytes, int64_t output_count, int32_t *status,
                 cr_parallel_call parallel, int32_t threads)
{
  void *results[OUTPUTS];
  for (int64_t step = 0; step < count; step++) {
    int64_t taken = 0;
    for (int64_t f = 0; f < feed_count; f++) {
      const cr_feed feed = feeds[f];
      if (!feed.data) {
        if (step) ++*(int64_t *)inputs[feed.input];
        continue;
      }
      taken = feed.rows;
      void *rows[] = {inputs[feed.input], (void *)order, (void *)&feed};
      if (feed.rows * feed.row_bytes < CR_MANY_BYTES) cr_gather_part(rows, 0, feed.rows, NULL);
      else parallel(cr_gather_part, rows, feed.rows, 1, threads);
    }
    order += taken;
    for (int64_t o = 0; o < output_count; o++) results[o] = outputs[o] + step * output_bytes[o];
    *status = cr_step(inputs, constants, results, arena, parallel, threads);
    if (*status) return step;
  }
  return count;
}

/* All that a step takes. */
typedef struct {
  void *const *inputs, *const *constants, *const *outputs;
  char *arena;
  cr_parallel_call parallel;
  int32_t threads;
} cr_call;

int32_t cr_run(const cr_call *call);
int32_t cr_run(const cr_call *call)
{
  return cr_step(call->inputs, call->constants, call->outputs, call->arena, call->parallel,
                 call->threads);
}
"""


class Call(ctypes.Structure):
    """The arguments of a step: one pointer is handed over with less work than six."""

    _fields_ = (
        ("inputs", ctypes.c_void_p),
        ("constants", ctypes.c_void_p),
        ("outputs", ctypes.c_void_p),
        ("arena", ctypes.c_void_p),
        ("parallel", ctypes.c_void_p),
        ("threads", ctypes.c_int32),
    )


class Feed(ctypes.Structure):
    """The C structure of the same name."""

    _fields_ = (
        ("input", ctypes.c_int64),
        ("rows", ctypes.c_int64),
        ("row_bytes", ctypes.c_int64),
        ("data", ctypes.c_void_p),
    )


def feeds(gathered: Mapping[int, Array], counters: Sequence[int], batch: int) -> ctypes.Array[Feed]:
    """The table of what each step gets anew."""
    entries = [
        Feed(number, batch, data.nbytes // max(len(data), 1), data.ctypes.data)
        for number, data in gathered.items()
    ]
    entries += [Feed(number, 0, 0, None) for number in counters]
    return (Feed * max(len(entries), 1))(*entries)
