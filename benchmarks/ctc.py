"""CTC, loss and gradient with respect to the scores, beside PyTorch's.

    .bench/bin/python -m benchmarks.ctc
    python -m benchmarks.ctc --quick --pytorch /other/environment/bin/python

Each system is a process of its own; they take turns, and the other one waits meanwhile. The work is
log-softmax, loss and gradient of float32 scores, with the lengths of each sequence given.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

import numpy as np

from .rounds import Call, bind_processors, in_turns, ratio_to, work

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


def with_chainrule(given: Data) -> Call:
    """One call computes the loss and its gradient."""
    import chainrule as cr

    def loss(z: Any, target: Any, steps: Any, labels: Any) -> Any:
        return cr.losses.ctc(z, target, input_lengths=steps, target_lengths=labels)

    program = cr.compile(cr.value_and_grad(loss))

    def run() -> tuple[float, Any]:
        value, gradient = program(*given)
        return value.item(), gradient.numpy()

    return run


def with_pytorch(given: Data) -> Call:
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


def main() -> None:
    """Measure, print, and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", choices=SYSTEMS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pytorch", default=sys.executable, help="the Python that has PyTorch")
    parser.add_argument("--quick", action="store_true", help="two rounds; writes nothing")
    options = parser.parse_args()
    if options.worker:
        work(lambda number: SYSTEMS[options.worker](data(SHAPES[number])))
        return
    from .machine import description
    from .report import table, today, write_section

    bind_processors(options.threads)
    pythons = {"chainrule": sys.executable, "PyTorch": options.pytorch}
    rounds = 2 if options.quick else 7
    rows = []
    found = in_turns("ctc", pythons, len(SHAPES), rounds, options.threads)
    for shape, each in zip(SHAPES, found, strict=True):
        ours, theirs = (each[name] for name in SYSTEMS)
        assert np.allclose(ours[:, 1:], theirs[:, 1:], rtol=1e-4), "they compute something else"
        times = [f"{1e3 * np.median(x[:, 0]):.2f}" for x in (ours, theirs)]
        rows.append([" × ".join(map(str, shape)), *times, f"{ratio_to(ours, theirs):.1f}"])
    columns = ["sequences × steps × classes × labels", "chainrule ms", "PyTorch ms", "ratio"]
    lines = table(columns, rows)
    print("\n".join(lines))
    if not options.quick:
        about = f"{today()}, {description(options.threads)}. `benchmarks/ctc.py`."
        write_section("CTC", "\n".join([about, "", *lines]))


if __name__ == "__main__":
    main()
