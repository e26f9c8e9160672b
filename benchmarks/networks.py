"""One training step of convolutional and recurrent networks and transformers, beside the peers.

    make bench                                                    # everything
    .bench/bin/python -m benchmarks.networks --quick              # a look; writes nothing
    .bench/bin/python -m benchmarks.networks --network LSTM --peer PyTorch

As `benchmarks.training_steps`, but that the losses are compared with PyTorch's in float64.
"""

from __future__ import annotations

import tempfile

import numpy as np

from .command import arguments, run, wanted
from .deep import DEEP
from .peer import Peer, Worker
from .task import Array

_CHAINRULE = "from chainrule import compile, losses, models, nn, optim, value_and_grad"
_IMAGES = ("LeNet", "6 convolutions")
_REFERENCE = Peer("reference", "pytorch", "float64", "torch", "import torch")
PEERS = (
    Peer("chainrule", "chainrule_step", "loop", "chainrule", _CHAINRULE, keeps=True),
    Peer(
        "chainrule, bf16", "chainrule_step", "loop bf16", "chainrule", _CHAINRULE, keeps=True,
        narrow=True,
    ),
    Peer("PyTorch", "pytorch", "fused", "torch", "import torch"),
    Peer("PyTorch, channels_last", "pytorch", "fused channels_last", "torch", "import torch"),
    Peer(
        "PyTorch, bf16 autocast", "pytorch", "fused bf16", "torch", "import torch", narrow=True
    ),
    Peer(
        "PyTorch, bf16 autocast, channels_last", "pytorch", "fused bf16 channels_last", "torch",
        "import torch", narrow=True,
    ),
    Peer(
        "torch.compile", "pytorch", "fused compile", "torch", "import torch",
        keeps=True, slow_start=True,
    ),
    Peer("JAX, jit", "jax_step", "step", "jax", "import jax", keeps=True),
    Peer("Keras, fit", "keras_fit", "fit", "keras tensorflow-cpu", "import keras", slow_start=True),
)  # fmt: skip


def reference(name: str, threads: int) -> Array:
    """The losses of the first steps by PyTorch in float64."""
    with tempfile.TemporaryDirectory() as caches:
        worker = Worker(_REFERENCE, name, threads, caches)
        worker.kill()
        return np.array(worker.losses)


def peers_of(name: str, peers: list[Peer]) -> list[Peer]:
    """Only images have channels."""
    return [peer for peer in peers if name in _IMAGES or "channels_last" not in peer.mode]


def main() -> None:
    """Measure, print, and write unless it was only a look."""
    options = arguments(__doc__, DEEP, (0.2, 1.0))
    peers = wanted(PEERS, options)
    run(
        "Networks of the field", DEEP, lambda name: peers_of(name, peers),
        lambda name: reference(name, options.threads), options,
    )  # fmt: skip


if __name__ == "__main__":
    main()
