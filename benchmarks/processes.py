"""Two processes with a processor each beside one: rows a second of a training on XLA.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/processes.py [--rows 8192]

An MLP with four hidden layers of 448 (0.8 million parameters), AdamW, one thread for each process;
steps are timed after the program is built. The last lines are how many times the rows a second of
one process two of them reach, and what two reach that train half of the rows each and know nothing
of each other: more than that the machine doesn't give, whatever the exchange costs. Needs two
processors that do nothing else; processor seconds for each step are shown, too, because they depend
little on that.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time

#: Threads of XLA's own; each process has one processor besides.
FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def train(rows: int, steps: int) -> dict[str, float]:
    """Seconds, and those of the processor, of some steps in this process."""
    import numpy as np

    import chainrule as cr

    layers: list[cr.nn.Module] = []
    for inputs, outputs in ((448, 448),) * 4:
        layers += [cr.nn.Linear(inputs, outputs), cr.nn.ReLU()]
    model = cr.nn.Sequential(*layers, cr.nn.Linear(448, 1)).initialize(seed=0)
    x = np.random.default_rng(0).normal(size=(rows, 448)).astype(np.float32)
    step = cr.training.Step(model, cr.losses.mse, cr.optim.AdamW(model), backend="xla")
    data, order = cr.training.Arrays(x, x[:, :1]), np.tile(np.arange(rows), (steps, 1))
    step.run(data, order)  # builds the program
    begun, used = time.perf_counter(), time.process_time()
    step.run(data, order)
    return {"seconds": time.perf_counter() - begun, "used": time.process_time() - used}


def worker(told: dict[str, int | str]) -> None:
    """One of the processes, on its own processor."""
    import chainrule as cr

    number, count = int(told["number"]), int(told["count"])
    if hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[number % len(processors)]})
    if count > 1 and told["joined"]:
        cr.training.join(str(told["place"]), count, number)
    print("\n" + json.dumps(train(int(told["rows"]), int(told["steps"]))), flush=True)


def measured(count: int, rows: int, steps: int, *, joined: bool = True) -> dict[str, float]:
    """The slowest of so many processes; processor seconds are the mean."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {FLAGS}"}
    started = []
    for number in range(count):
        told = {"number": number, "count": count, "place": place, "rows": rows, "steps": steps,
                "joined": joined}  # fmt: skip
        words = [sys.executable, __file__, "--worker", json.dumps(told)]
        started.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment))
    answers = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        sys.exit("A process has failed.")
    found = [json.loads(answer.strip().splitlines()[-1]) for answer in answers]
    return {"seconds": max(each["seconds"] for each in found),
            "used": sum(each["used"] for each in found) / count}  # fmt: skip


def main() -> None:
    """Print the rounds, and the ratio of the best ones."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.worker:
        worker(json.loads(told.worker))
        return
    best: dict[str, float] = {}
    for _ in range(told.rounds):
        for name, count, rows, joined in (
            ("one", 1, told.rows, False),
            ("two", 2, told.rows, True),
            ("two apart", 2, told.rows // 2, False),
        ):
            found = measured(count, rows, told.steps, joined=joined)
            speed = (rows if joined else rows * count) * told.steps / found["seconds"]
            best[name] = max(best.get(name, 0.0), speed)
            print(f"{name}, of one thread: {speed:,.0f} rows/s, "
                  f"{found['used'] / told.steps:.3f} s of each processor for a step",
                  flush=True)  # fmt: skip
    print(f"2 processes: {best['two'] / best['one']:.2f}× the rows of one")
    print(f"2 processes apart, half of the rows each: {best['two apart'] / best['one']:.2f}×")


if __name__ == "__main__":
    main()
