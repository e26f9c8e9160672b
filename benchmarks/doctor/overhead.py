"""What the doctor beside a training costs: the same training with and without it, in pairs.

``python -m benchmarks.doctor.overhead [--rounds 5]``. Processor time of one thread counts: the wall
clock of a machine on which others work says less. The doctor is that of ``chainrule train``, whose
first look may take half a second and whose measurements 2 % of the time after it.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.doctor import Doctor

from ..machine import description

ROWS, FEATURES, EPOCHS = 20_000, 20, 300


class Clock(cr.Callback):
    """Processor time at the start of the first epoch and at the end of the last one.

    It comes after the doctor, so the doctor's work within the epochs is in between.
    """

    begun = ended = 0.0

    def on_start(self, trainer: Any, epochs: int, steps: int) -> None:
        """The first look is over."""
        self.begun = time.process_time()

    def on_epoch_end(self, trainer: Any, record: dict[str, float]) -> None:
        """An epoch, and what the doctor measured after it."""
        self.ended = time.process_time()


def trained(watched: bool) -> tuple[float, float, int]:
    """Seconds before the first epoch, seconds in epochs, and the measurements."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (ROWS, FEATURES)).astype(np.float32)
    y = (np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3]).astype(np.float32)
    layers = [cr.nn.Linear(FEATURES, 64), cr.nn.ReLU(), cr.nn.Linear(64, 64), cr.nn.ReLU(),
              cr.nn.Linear(64, 1)]  # fmt: skip
    model = cr.nn.Sequential(*layers).initialize(0)
    clock, doctor = Clock(), Doctor(overhead=0.02, lints=False)
    trainer = cr.Trainer(model, "mse", "adam", lr=1e-3, progress=False,
                         callbacks=[doctor, clock] if watched else [clock])  # fmt: skip
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit((x, y), validation=0.1, epochs=EPOCHS, batch_size=64)
    return clock.begun - start, clock.ended - clock.begun, len(doctor.evidence.measurements)


def main() -> None:
    """Let them run in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(description(1))
    trained(False)  # its program is in the cache afterwards
    looks, overheads, counts = [], [], []
    for number in range(rounds):
        found = {}
        for watched in (False, True) if number % 2 else (True, False):
            found[watched] = trained(watched)
        looks.append(found[True][0] - found[False][0])
        overheads.append(found[True][1] / found[False][1] - 1)
        counts.append(found[True][2])
        print(f"epochs {found[False][1]:.2f} s, with the doctor {found[True][1]:.2f} s "
              f"({overheads[-1]:+.1%}), {counts[-1]} measurements; first look {looks[-1]:.2f} s",
              flush=True)  # fmt: skip
    print(f"overhead in the epochs: {statistics.median(overheads):+.1%}; first look "
          f"{statistics.median(looks):.2f} s")  # fmt: skip


if __name__ == "__main__":
    main()
