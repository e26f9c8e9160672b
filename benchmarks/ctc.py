"""CTC, loss and gradient with respect to the scores, beside PyTorch's.

    .bench/bin/python -m benchmarks.ctc
    python benchmarks/ctc.py --quick --pytorch /other/environment/bin/python

Each system is a process of its own; they take turns, and the other one waits meanwhile. The work is
log-softmax, loss and gradient of float32 scores, with the lengths of each sequence given.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: sequences, steps, classes, labels
SHAPES = [(16, 200, 30, 20), (16, 500, 30, 60), (32, 800, 30, 100), (32, 150, 1000, 40)]
Data = tuple[Any, Any, Any, Any]


def data(shape: tuple[int, int, int, int]) -> Data:
    """Scores, targets and their lengths."""
    sequences, steps, classes, labels = shape
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(sequences, steps, classes)).astype(np.float32)
    target = rng.integers(1, classes, (sequences, labels))
    lengths = steps - rng.integers(0, steps // 8, sequences)
    return scores, target, lengths, labels - rng.integers(0, labels // 4, sequences)


def with_chainrule(given: Data) -> Callable[[], tuple[float, Any]]:
    """One call computes the loss and its gradient."""
    import chainrule as cr

    def loss(z: Any, target: Any, steps: Any, labels: Any) -> Any:
        return cr.losses.ctc(z, target, input_lengths=steps, target_lengths=labels)

    program = cr.compile(cr.value_and_grad(loss))

    def run() -> tuple[float, Any]:
        value, gradient = program(*given)
        return value.item(), gradient.numpy()

    return run


def with_pytorch(given: Data) -> Callable[[], tuple[float, Any]]:
    """The same; PyTorch has the steps first."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(int(os.environ["CHAINRULE_THREADS"]))
    z = torch.tensor(given[0].transpose(1, 0, 2).copy(), requires_grad=True)
    target, steps, labels = map(torch.tensor, given[1:])

    def run() -> tuple[float, Any]:
        z.grad = None
        loss = functional.ctc_loss(functional.log_softmax(z, -1), target, steps, labels)
        loss.backward()
        return loss.item(), z.grad

    return run


SYSTEMS = {"chainrule": with_chainrule, "PyTorch": with_pytorch}


def work(name: str) -> None:
    """A worker: for every line, a number of a shape, the seconds of the quickest of some calls."""
    runs: dict[int, Any] = {}
    for line in sys.stdin:
        number = int(line)
        if number not in runs:
            run = runs[number] = SYSTEMS[name](data(SHAPES[number]))
            run()
        run, found = runs[number], list[float]()
        begun = time.perf_counter()
        while len(found) < 3 or time.perf_counter() - begun < 0.5:
            start = time.perf_counter()
            value, gradient = run()
            found.append(time.perf_counter() - start)
        print(json.dumps([min(found), value, float(abs(gradient).sum())]), flush=True)


def main() -> None:
    """Measure, print, and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", choices=SYSTEMS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pytorch", default=sys.executable, help="the Python that has PyTorch")
    parser.add_argument("--quick", action="store_true", help="two rounds; writes nothing")
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from benchmarks.machine import description
    from benchmarks.report import table, today, write_section

    here = str(Path(__file__))
    threads = str(options.threads)
    environment = os.environ | {"CHAINRULE_THREADS": threads, "OMP_NUM_THREADS": threads}
    pythons = {"chainrule": sys.executable, "PyTorch": options.pytorch}
    workers = {
        name: subprocess.Popen(
            [python, here, "--worker", name], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for name, python in pythons.items()
    }  # fmt: skip
    rows = []
    for number, shape in enumerate(SHAPES):
        found: dict[str, list[list[float]]] = {name: [] for name in workers}
        for _ in range(2 if options.quick else 7):
            for name, worker in workers.items():
                assert worker.stdin is not None
                assert worker.stdout is not None
                print(number, file=worker.stdin, flush=True)
                found[name].append(json.loads(worker.stdout.readline()))
        ours, theirs = (np.array(found[name]) for name in SYSTEMS)
        assert np.allclose(ours[:, 1:], theirs[:, 1:], rtol=1e-4), "they compute something else"
        ratio = statistics.median(theirs[:, 0] / ours[:, 0])
        times = [f"{1e3 * np.median(x[:, 0]):.2f}" for x in (ours, theirs)]
        rows.append([" × ".join(map(str, shape)), *times, f"{ratio:.1f}"])
    for worker in workers.values():
        worker.terminate()
    columns = ["sequences × steps × classes × labels", "chainrule ms", "PyTorch ms", "ratio"]
    lines = table(columns, rows)
    print("\n".join(lines))
    if not options.quick:
        about = f"{today()}, {description(options.threads)}. `benchmarks/ctc.py`."
        write_section("CTC", "\n".join([about, "", *lines]))


if __name__ == "__main__":
    main()
