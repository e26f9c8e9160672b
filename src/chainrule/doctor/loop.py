"""The doctor in a training loop of the user's own, with `backward` and `optimizer.step`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.autodiff import pull_back
from ..engine.backends.registry import find_backend
from ..engine.ir.graph import topological_order
from ..engine.ops import ones_like
from ..engine.tensor import Tensor
from ..errors import ChainruleError, DataError
from ..nn import Module
from ..optim import Optimizer
from ..training import Arrays
from ..training.evaluation import Evaluator
from .data_facts import data_facts, some_rows
from .diagnosis import Diagnosis
from .evidence import Evidence
from .examine import examine
from .finding import Finding
from .measure import Probe, measured_rows
from .outcome import outcome_of
from .structure import still_symmetric, structure_of

#: Steps from one look at the gradients to the next.
_EVERY = 10
#: Measurements from the beginning to the end, the more rarely the longer the loop is.
_MOST = 16


class Loop:
    """Watches a loop: call `see` after `backward` and before the optimizer's step.

    Args:
        model: the network.
        optimizer: changes it.
        loss: of prediction and target.
        data: examples of the training set, or all of them.
        validation: of the validation set.

    Attributes:
        evidence: what was measured.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Callable[..., Tensor],
        data: Any,
        validation: Any = None,
    ) -> None:
        self.evidence = Evidence(epochs=0, batch_size=32)
        self._model, self._optimizer = model, optimizer
        self._train = Arrays.of(data)
        self._held_out = None if validation is None else Arrays.of(validation)
        if self._train.target is None:
            raise DataError("The doctor needs examples with their target.", expected="(x, y)")
        self._evaluator = Evaluator(model, loss, None, find_backend("numpy"))
        structure = structure_of(model, loss, optimizer, self._train)
        self.evidence.structure = structure
        self.evidence.data = data_facts(self._train, self._held_out, structure.task)
        rows = measured_rows(structure, len(self._train))
        self._rows = self._train.take(some_rows(len(self._train), rows))
        self._probe = Probe(model, loss, optimizer) if rows else None
        self._before: dict[str, Any] = {}
        self._checked = self._piled = 0
        self._losses: list[float] = []
        self._step = self._due = 0
        self._every = 1

    def see(self, loss: Tensor) -> None:
        """A step: its loss, after `backward`; the gradients are in ``.grad``."""
        if self._step == 0:
            self._learn_batch(loss)
        if self._step % _EVERY in (0, 1):  # two in a row: the first one's gradients, and the sum
            self._check_gradients(loss)
        if self._step >= self._due:
            self._measure()
        self._losses.append(float(loss.item()))
        self._step += 1
        if not math.isfinite(self._losses[-1]):
            self.evidence.failure = "The loss is not a finite number."
        if len(self._losses) == self.evidence.steps:
            self._end_epoch()

    @property
    def findings(self) -> list[Finding]:
        """What was found so far, as if the loop were over."""
        evidence = self.evidence
        evidence.over = True
        evidence.epochs = len(evidence.history)
        evidence.structure.symmetric = still_symmetric(evidence.structure, self._model)
        if self._losses and not evidence.history:
            self._end_epoch()
        self._measure()
        with np.errstate(all="ignore"):
            evidence.outcome = outcome_of(
                lambda x: self._evaluator.predict(Arrays(x)), evidence.structure, self._train,
                self._held_out,
            )  # fmt: skip
        return examine(evidence)

    @property
    def diagnosis(self) -> Diagnosis:
        """The findings, as text and JSON data."""
        return Diagnosis(self.findings)

    def __repr__(self) -> str:
        return str(self.diagnosis)

    # ---- what it does ----------------------------------------------------------------------------

    def _learn_batch(self, loss: Tensor) -> None:
        """The rows of a batch, from the graph of its loss."""
        target = self._train.target
        assert target is not None
        leaves = [node for node in topological_order([loss.node]) if not node.inputs]
        inputs = [np.shape(self._train.inputs)[1:]] if isinstance(
            self._train.inputs, np.ndarray) else []  # fmt: skip
        rows = [
            node.type.shape[0]
            for node in leaves
            if node.type.shape[1:] in inputs and node.type.shape and "owner" not in node.attributes
        ]
        size = max(rows, default=32)
        self.evidence.batch_size = size
        self.evidence.steps = max(-(-len(self._train) // size), 1)

    def _check_gradients(self, loss: Tensor) -> None:
        """Whether the gradients contain those that were there before this step's backward."""
        weights = self._model.trainable_parameters()
        grads = {path: w.grad.numpy() for path, w in weights.items() if w.grad is not None}
        if self._step % _EVERY == 1 and self._before and grads:
            nodes = {path: weights[path].node for path in grads}
            found = pull_back([loss], [ones_like(loss)], list(nodes.values()), 0)
            extra = small = size = 0.0
            for (path, grad), fresh in zip(grads.items(), found, strict=True):
                own = np.zeros_like(grad) if fresh is None else fresh.numpy()
                size += float((own.astype(np.float64) ** 2).sum())
                extra += float(((grad - own).astype(np.float64) ** 2).sum())
                old = self._before.get(path, 0.0)
                small += float(((grad - own - old).astype(np.float64) ** 2).sum())
            self._checked += 1
            self._piled += bool(extra > 1e-6 * size and small < 1e-3 * extra)
            self.evidence.not_reset = self._piled / self._checked
        self._before = grads

    def _measure(self) -> None:
        evidence = self.evidence
        if self._probe is None or (
            evidence.measurements and evidence.measurements[-1].step == self._step
        ):
            return
        try:
            evidence.measurements.append(self._probe(self._rows, self._step, len(evidence.history)))
        except ChainruleError:
            self._probe = None
        if len(evidence.measurements) >= _MOST:  # every second one is as good
            evidence.measurements = evidence.measurements[::2]
            self._every *= 2
        self._due = self._step + self._every

    def _end_epoch(self) -> None:
        evidence = self.evidence
        record: dict[str, float] = {
            "epoch": len(evidence.history) + 1,
            "loss": float(np.mean(self._losses)),
        }
        if self._held_out is not None:
            with np.errstate(all="ignore"):
                record["val_loss"] = self._evaluator.evaluate(self._held_out, predict=False)[0]
        evidence.history.append(record)
        self._losses = []
