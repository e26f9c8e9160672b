"""Threads for the programs: one pool for the whole process, and none after a fork.

Which thread computes which part changes no bit of a result. So each has a share of the parts, at
the same place in every call, for much of what it reads is what it wrote before and still has in its
cache; and whoever is done takes parts from the far end of the shares of others. Parts are small:
on a machine that does other things, too, threads are not equally fast. The pool is a library of its
own, in plain C with POSIX threads; no OpenMP, whose runtime hangs in the child of a process that
forks.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from ....utils.locks import new_lock
from . import toolchain

_starting = new_lock()

#: What every program knows of the pool: how to call a task on parts of 0 … extent.
TASK_C = """
/* Where a thread finds its next part: 0 if there is none. */
typedef struct cr_parts cr_parts;
struct cr_parts {
  int (*next)(cr_parts *parts, int64_t *begin, int64_t *end);
};
/* A piece of work on the numbers from begin to end; it may ask for more, to use what it copied. */
typedef void (*cr_task)(void *const *pointers, int64_t begin, int64_t end, cr_parts *parts);
/* Call a task on parts of 0 … extent that begin at multiples of unit, on this many threads. */
typedef void (*cr_parallel_call)(cr_task task, void *const *pointers, int64_t extent, int64_t unit,
                                 int32_t threads);
/* The unit where each thread gets two parts at most, for each of them copies something first. */
#define CR_LARGE_PART(extent, threads) (((extent) - 1) / (2 * (int64_t)(threads)) + 1)
"""

POOL_C = (
    """
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
"""
    + TASK_C
    + """
enum { MOST_THREADS = 256, SPINS = 2000, PARTS_PER_THREAD = 16 };

/* The job at hand. Workers may enter while it is open; its owner leaves when none is inside. */
static struct {
  cr_task task;
  void *const *pointers;
  int64_t extent, part;
  int32_t threads;
  atomic_int open, inside;
  atomic_uint number;
} job;

/* Of each thread's share the parts that are left: the first one times 2^32, plus the end. */
static struct {
  _Alignas(64) atomic_uint_least64_t left;
} shares[MOST_THREADS];

static pthread_mutex_t owner = PTHREAD_MUTEX_INITIALIZER; /* held by whoever runs a job */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;  /* for sleeping and waking */
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static int32_t workers;

static inline void rest(void)
{
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/* A part of a share, for its own thread the first, for others the last; -1 if none is left. */
static int64_t take(int32_t share, int own)
{
  uint_least64_t left = atomic_load(&shares[share].left);
  for (;;) {
    const uint64_t first = left >> 32, end = left & UINT32_MAX;
    if (first == end) return -1;
    const uint64_t rest = own ? (first + 1) << 32 | end : first << 32 | (end - 1);
    if (atomic_compare_exchange_weak(&shares[share].left, &left, rest))
      return (int64_t)(own ? first : end - 1);
  }
}

/* The parts for a thread: first its own share, then what it can get of those after it. */
typedef struct {
  cr_parts parts; /* the first member, which tasks know */
  int32_t thread, others;
} seeker;

static int next_part(cr_parts *parts, int64_t *begin, int64_t *end)
{
  seeker *own = (seeker *)parts;
  for (; own->others < job.threads; own->others++) {
    const int64_t part = take((own->thread + own->others) % job.threads, own->others == 0);
    if (part < 0) continue;
    *begin = part * job.part;
    *end = job.extent - *begin < job.part ? job.extent : *begin + job.part;
    return 1;
  }
  return 0;
}

static void take_parts(int32_t thread)
{
  seeker own = {{next_part}, thread, 0};
  for (int64_t begin, end; next_part(&own.parts, &begin, &end);)
    job.task(job.pointers, begin, end, &own.parts);
}

static int no_part(cr_parts *parts, int64_t *begin, int64_t *end)
{
  (void)parts, (void)begin, (void)end;
  return 0;
}

static void *work(void *argument)
{
  const int32_t own = (int32_t)(intptr_t)argument;
  unsigned seen = 0;
  for (;;) {
    for (int spin = 0; spin < SPINS && atomic_load(&job.number) == seen; spin++) rest();
    if (atomic_load(&job.number) == seen) {
      pthread_mutex_lock(&lock);
      while (atomic_load(&job.number) == seen) pthread_cond_wait(&wake, &lock);
      pthread_mutex_unlock(&lock);
    }
    seen = atomic_load(&job.number);
    atomic_fetch_add(&job.inside, 1);
    if (atomic_load(&job.open) && own < job.threads) take_parts(own);
    atomic_fetch_sub(&job.inside, 1);
  }
  return NULL;
}

/* The child of a fork has none of the workers, and perhaps half a job. */
static void forget(void)
{
  pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t fresh = PTHREAD_COND_INITIALIZER;
  owner = lock = unlocked;
  wake = fresh;
  workers = 0;
  atomic_store(&job.open, 0);
  atomic_store(&job.inside, 0);
}

static void hire(int32_t threads)
{
  static int prepared;
  if (!prepared) prepared = pthread_atfork(NULL, NULL, forget) == 0;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes)) return;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 8 << 20);
  for (; workers + 1 < threads; workers++) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, work, (void *)(intptr_t)(workers + 1))) break;
  }
  pthread_attr_destroy(&attributes);
}

void cr_parallel(cr_task task, void *const *pointers, int64_t extent, int64_t unit,
                 int32_t threads);
void cr_parallel(cr_task task, void *const *pointers, int64_t extent, int64_t unit,
                 int32_t threads)
{
  if (threads > MOST_THREADS) threads = MOST_THREADS;
  if (threads < 2 || extent <= unit || pthread_mutex_trylock(&owner)) {
    cr_parts none = {no_part};
    task(pointers, 0, extent, &none); /* alone, or another thread of the process has the pool */
    return;
  }
  if (workers + 1 < threads) hire(threads);
  const int64_t most = (int64_t)threads * PARTS_PER_THREAD, units = (extent + unit - 1) / unit;
  const int64_t part = (units + most - 1) / most * unit, parts = (extent + part - 1) / part;
  job.task = task;
  job.pointers = pointers;
  job.extent = extent;
  job.part = part;
  job.threads = threads;
  for (int32_t t = 0; t < threads; t++) {
    const int64_t first = parts * t / threads, end = parts * (t + 1) / threads;
    atomic_store(&shares[t].left, (uint64_t)first << 32 | (uint64_t)end);
  }
  atomic_store(&job.open, 1);
  pthread_mutex_lock(&lock);
  atomic_fetch_add(&job.number, 1);
  pthread_cond_broadcast(&wake);
  pthread_mutex_unlock(&lock);
  take_parts(0);
  atomic_store(&job.open, 0);
  while (atomic_load(&job.inside)) rest();
  pthread_mutex_unlock(&owner);
}
"""
)


def parallel() -> Any:
    """The pool's function, as programs take it. The pool starts with the first call."""
    with _starting:  # threads that build programs at once need the same pool
        return _parallel()


@cache
def _parallel() -> Any:
    library = toolchain.load(POOL_C, ("-pthread",))
    return ctypes.cast(library.cr_parallel, ctypes.c_void_p)
