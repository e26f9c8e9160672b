"""Several devices: the losses of eight virtual ones are those of one, whatever is spread over them.

A process of its own each time, because JAX counts its devices once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax", reason="JAX is not installed: pip install 'chainrule[xla]'")

ROOT = Path(__file__).parents[3]


def losses(*which: str) -> dict[str, np.ndarray]:
    """The losses of trainings of `on_eight_devices`."""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
                   "PYTHONPATH": os.pathsep.join(sys.path)}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.backends.on_eight_devices", *which],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {name: np.array(found) for name, found in json.loads(done.stdout).items()}


@pytest.mark.parametrize(
    ("which", "tolerance"),
    [
        pytest.param(["numpy", "data"], 1e-5, id="one way by day"),
        pytest.param(["numpy", "one", "data", "fsdp"], 1e-5, marks=pytest.mark.nightly),
        pytest.param(["one64", "data64", "fsdp64"], 1e-12, marks=pytest.mark.nightly),
        pytest.param(
            ["gpt", "gpt tensor", "gpt fsdp", "gpt data"], 1e-5, marks=pytest.mark.nightly
        ),
        pytest.param(["pictures", "pictures data"], 1e-5, marks=pytest.mark.nightly),
    ],
)
def test_many_devices_train_as_one(which, tolerance):
    """50 steps with batch normalisation; rows divide neither into batches nor over devices."""
    first, *others = losses(*which).values()
    assert len(first) >= 50
    for found in others:
        np.testing.assert_allclose(found, first, rtol=tolerance)


@pytest.mark.nightly
def test_gradients_and_loss_are_exchanged_as_one_array():
    """Between processes each exchange takes milliseconds, however small it is."""
    (exchanged,) = losses("exchanges")["exchanges"]
    assert exchanged == 8 * 64 + 64 + 64 + 1 + 1 + 1  # the last says whether all values fitted


@pytest.mark.nightly
def test_variables_and_work_are_really_spread():
    code = """
import numpy as np, jax, chainrule as cr
backend = cr.XlaBackend(devices=8, sharding="fsdp")
weight = cr.parameter(np.ones((64, 128), np.float32))
def step(x):
    weight.assign(weight * 0.5)
    return (x @ weight).sum()
cr.compile(step, backend=backend)(np.ones((16, 64), np.float32))
parts = weight.away[1].addressable_shards
print(len(parts), parts[0].data.shape, weight.numpy().max())
"""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
                   "PYTHONPATH": os.pathsep.join(sys.path)}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout == "8 (64, 16) 0.5\n"
