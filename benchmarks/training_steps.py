"""One training step of small and middling networks, beside the peers.

    make bench                                      # everything; writes benchmarks/README.md
    .bench/bin/python -m benchmarks.training_steps --quick    # a look; writes nothing

Everybody is a process of its own and trains the same network by Adam in float32, those with bf16 by
products of bfloat16 numbers, on the same data, from the same initial weights, in the same order.
They take turns: A B C …, A B C …; a time is the median of the rounds, a ratio the median of the
ratios within a round. That the work is the same is shown by the losses of the first steps, which
are compared with a reference in float64.
"""

from __future__ import annotations

from .command import arguments, run, wanted
from .dense import DENSE, make_dense_task, reference_losses
from .peer import Peer

_CHAINRULE = "from chainrule import compile, losses, nn, optim, value_and_grad"
_SKLEARN = "import sklearn.neural_network"
PEERS = (
    Peer("chainrule", "chainrule_step", "loop", "chainrule", _CHAINRULE, keeps=True),
    Peer(
        "chainrule, bf16",
        "chainrule_step",
        "loop bf16",
        "chainrule",
        _CHAINRULE,
        keeps=True,
        narrow=True,
    ),
    Peer("chainrule, a call a step", "chainrule_step", "call", "chainrule", _CHAINRULE, keeps=True),
    Peer("chainrule, eager", "chainrule_step", "eager", "chainrule", _CHAINRULE),
    Peer("PyTorch", "pytorch", "eager", "torch", "import torch"),
    Peer("PyTorch, fused Adam", "pytorch", "fused", "torch", "import torch"),
    Peer("PyTorch, bf16 autocast", "pytorch", "fused bf16", "torch", "import torch", narrow=True),
    Peer(
        "torch.compile", "pytorch", "compile", "torch", "import torch", keeps=True, slow_start=True
    ),
    Peer("JAX, jit", "jax_step", "step", "jax", "import jax", keeps=True),
    Peer("JAX, lax.scan", "jax_step", "scan", "jax", "import jax", keeps=True),
    Peer("Keras, fit", "keras_fit", "fit", "keras tensorflow-cpu", "import keras", slow_start=True),
    Peer("scikit-learn, partial_fit", "sklearn_mlp", "partial_fit", "scikit-learn", _SKLEARN),
)


def main() -> None:
    """Measure, print, and write unless it was only a look."""
    options = arguments(__doc__, DENSE, (0.1, 0.4))
    peers = wanted(PEERS, options)
    run(
        "Training steps", DENSE, lambda name: peers,
        lambda name: reference_losses(make_dense_task(name)), options,
    )  # fmt: skip


if __name__ == "__main__":
    main()
