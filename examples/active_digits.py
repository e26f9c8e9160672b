"""Active learning on digits: how many labels it takes with each strategy.

    python examples/active_digits.py --seeds 5

1,797 handwritten digits of 8×8 pixels (scikit-learn); 597 are the test set, the others the pool.
A network begins with 20 labels at random. In each round it is trained anew, and 20 further rows are
labelled: at random, where it is unsure (margin, entropy), or so that the pool is covered (coreset).
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import chainrule as cr
from chainrule import active

Array = np.ndarray[Any, Any]
ROUND = 20


def network() -> cr.nn.Module:
    """A small network; its last hidden layer has 128 numbers."""
    layers = cr.nn.Linear(64, 128), cr.nn.ReLU(), cr.nn.Dropout(0.3), cr.nn.Linear(128, 10)
    return cr.nn.Sequential(*layers)


def train(x: Array, y: Array, seed: int, steps: int) -> cr.Trainer:
    """Train on the labelled rows, each as often as the others: four epochs of so many batches."""
    model = network().initialize(seed)
    trainer = cr.Trainer(model, "cross_entropy", "adamw", lr=3e-3, seed=seed, progress=False)
    rows = np.resize(np.random.default_rng(seed).permutation(len(x)), 64 * steps)
    trainer.fit((x[rows], y[rows]), epochs=4, batch_size=64)
    return trainer


def hidden(trainer: cr.Trainer, x: Array) -> Array:
    """The activations of the last hidden layer."""
    first = trainer.model.layers[0]
    return np.maximum(x @ first.weight.numpy() + first.bias.numpy(), 0)


def accuracies(strategy: str, seed: int, most: int, steps: int) -> list[float]:
    """The accuracy after each round."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    order = np.random.default_rng(seed).permutation(len(x))
    test, pool = order[:597], order[597:]
    labelled, found = pool[:ROUND], []
    while len(labelled) <= most:
        trainer = train(x[labelled], y[labelled], seed, steps)
        found.append(float((trainer.predict(x[test]).argmax(1) == y[test]).mean()))
        rest = np.setdiff1d(pool, labelled)
        chosen = active.label_next(
            ROUND,
            strategy,
            probabilities=trainer.predict(x[rest]),
            features=hidden(trainer, x[rest]),
            labelled=hidden(trainer, x[labelled]),
            seed=seed + len(labelled),
        )
        labelled = np.concatenate([labelled, rest[chosen.rows]])
    return found


def labels_for(accuracy: float, curve: Array) -> str:
    """How many labels it takes until the accuracy is reached."""
    reached = np.flatnonzero(curve >= accuracy)
    return f"{ROUND * (reached[0] + 1)}" if len(reached) else f"over {ROUND * len(curve)}"


def main(arguments: list[str] | None = None) -> dict[str, Array]:
    """Print a table: labels by strategy and accuracy; the mean curve of each strategy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--most", type=int, default=600, help="labels at most")
    parser.add_argument("--quick", action="store_true", help="a trial, in a few seconds")
    options = parser.parse_args(arguments)
    steps = 10 if options.quick else 60
    if options.quick:
        options.seeds, options.most = 1, 60
    goals = (0.90, 0.93, 0.95, 0.96, 0.97)
    print("| labels for an accuracy of | " + " | ".join(f"{goal:.0%}" for goal in goals) + " |")
    print("|---|" + "---:|" * len(goals))
    curves = {}
    for strategy in ("random", "margin", "entropy", "coreset"):
        runs = [accuracies(strategy, seed, options.most, steps) for seed in range(options.seeds)]
        curves[strategy] = np.mean(runs, axis=0)
        cells = " | ".join(labels_for(goal, curves[strategy]) for goal in goals)
        print(f"| {strategy} | {cells} |", flush=True)
    return curves


if __name__ == "__main__":
    main()
