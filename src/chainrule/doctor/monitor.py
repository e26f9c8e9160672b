"""The doctor beside a `Trainer`: a callback that gathers evidence while the training goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import ChainruleError
from ..training import Arrays, Callback, Stream
from ..training.evaluation import Evaluator
from .data_facts import data_facts, some_rows
from .diagnosis import Diagnosis
from .evidence import Evidence
from .examine import examine
from .finding import Finding
from .measure import Probe, measured_rows
from .outcome import outcome_of
from .reported import add_report
from .structure import still_symmetric, structure_of

_log = logging.getLogger("chainrule")
#: A measurement takes no more than so many multiplications; beside a training whose time counts,
#: no more than the second number, which NumPy does in about half a second.
_WORK, _LITTLE = 5e9, 4.5e8
#: Measurements in a training without a limit of time.
_MEASUREMENTS = 12


#: Rows of a stream that are measured, how many at least, and seconds that loading may take.
_STREAMED, _FEW, _LOADING = 64, 8, 0.3


def _now() -> tuple[float, float]:
    """By the clock, and of the processor."""
    return time.perf_counter(), time.process_time()


def _since(begun: tuple[float, float]) -> tuple[float, float]:
    """What has passed of both: on a busy machine the clock says more, with several threads less."""
    clock, processor = _now()
    return clock - begun[0], processor - begun[1]


def sample_of(stream: Stream) -> Arrays:
    """Some rows of a stream, evenly taken, as many as are loaded soon.

    Example:
        >>> stream = Stream(lambda rows, epoch: (rows[:, None] * 1.0, rows), np.arange(1000))
        >>> len(sample_of(stream))
        64
    """

    def loaded(count: int) -> Arrays:
        rows = some_rows(len(stream), count)
        return next(iter(stream.take(rows).batches(np.arange(len(rows)), max(len(rows), 1))))

    begun = time.perf_counter()
    few = loaded(_FEW)
    affordable = int(_LOADING / max((time.perf_counter() - begun) / max(len(few), 1), 1e-9))
    return few if affordable < 2 * _FEW else loaded(min(affordable, _STREAMED))


class Doctor(Callback):
    """Watches a training: what is wrong with it, why, and what to change.

    It is a callback of a `Trainer`; `chainrule.doctor` makes it one. It changes no bit of the
    training.

    Args:
        overhead: the fraction of the training's time that it may take, beyond the first look; None
            for as long as a dozen measurements take.
        lints: whether inputs and outputs are the user's own, and single features and the skill of
            the predictions mean something; where chainrule prepares them the report tells it.
        say: gets each finding as it arises, those only that are sure.

    Attributes:
        evidence: what was measured.
    """

    def __init__(
        self,
        overhead: float | None = None,
        lints: bool = True,
        say: Callable[[Finding], None] | None = None,
    ) -> None:
        self.evidence = Evidence()
        self._overhead = overhead
        self._lints = lints
        self._say = say
        self._said: set[tuple[str, bool]] = set()
        self._spent = self._longest = 0.0
        self._begun = _now()
        self._probe: Probe | None = None
        self._rows: Arrays | None = None
        self._data: tuple[Arrays, Arrays | None] | None = None
        self._due = 0

    @property
    def findings(self) -> list[Finding]:
        """What was found so far, the most probable cause first."""
        return examine(self.evidence)

    @property
    def diagnosis(self) -> Diagnosis:
        """The findings, as text and JSON data."""
        return Diagnosis(self.findings, self.evidence.over)

    def add_report(self, report: Mapping[str, Any]) -> None:
        """Take the report of a training, with its baselines, as evidence."""
        add_report(self.evidence, report)
        self._tell()

    def __repr__(self) -> str:
        return str(self.diagnosis)

    # ---- callbacks -------------------------------------------------------------------------------

    def on_data(self, trainer: Any, data: Any, validation: Any, options: Any) -> None:
        """Facts of graph, data and configuration; a training that goes on keeps its evidence."""
        self._begun, self._spent, self._longest = _now(), 0.0, 0.0
        self._data = self._probe = None
        evidence = self.evidence
        if trainer.epoch == 0 or not evidence.epochs:
            evidence = self.evidence = Evidence()
            self._due = 0
        evidence.epochs = trainer.epoch + options.epochs
        evidence.batch_size, evidence.shuffle = options.batch_size, options.shuffle
        evidence.over, evidence.failure = False, ""
        with self._unharmed():
            if isinstance(data, Arrays):
                held_out = validation if isinstance(validation, Arrays) else None
                self._data = data, held_out
                self._look(trainer, data, held_out)
            elif isinstance(data, Stream):
                self._look(trainer, sample_of(data), None)
                evidence.data.rows = len(data)
        self._spent = max(_since(self._begun))

    def _look(self, trainer: Any, data: Arrays, held_out: Arrays | None) -> None:
        """The facts before the first step, and what is to be measured."""
        if data.target is None:
            self._data = None
            return
        evidence = self.evidence
        name = "" if isinstance(trainer.loss, str) else getattr(trainer.loss, "__name__", "")
        structure = structure_of(trainer.model, trainer.loss, trainer.optimizer, data, name)
        if trainer.epoch:  # trained weights say nothing of their initialisation
            structure.gains, structure.symmetric = {}, []
        if not self._lints:  # how the network is built is no choice of the user's
            structure.linear_pairs, structure.is_linear = [], False
        evidence.structure = structure
        lints = self._lints and self._data is not None
        evidence.data = data_facts(
            data, held_out, structure.task, lints=lints, prepared=not self._lints
        )
        rows = measured_rows(structure, len(data), _WORK if self._overhead is None else _LITTLE)
        if rows:
            self._rows = data.take(some_rows(len(data), rows))
            self._probe = Probe(trainer.model, trainer.loss, trainer.optimizer, trainer.seed)

    def on_start(self, trainer: Any, epochs: int, steps: int) -> None:
        """The first measurement."""
        self.evidence.steps = steps
        self._measure(trainer)
        self._tell()

    def on_epoch_end(self, trainer: Any, record: dict[str, float]) -> None:
        """Another one, if it is due and there is time for it."""
        self.evidence.history = trainer.history.records
        if self.evidence.structure.symmetric:
            found = still_symmetric(self.evidence.structure, trainer.model)
            self.evidence.structure.symmetric = found
        if trainer.epoch >= self._due or trainer.epoch == self.evidence.epochs:
            allowed = self._overhead is None
            elapsed = min(_since(self._begun))
            if allowed or self._spent + self._longest < (self._overhead or 0) * elapsed:
                every = max(self.evidence.epochs // _MEASUREMENTS, 1)
                self._due = trainer.epoch + every
                self._measure(trainer)
                self._tell()

    def on_error(self, trainer: Any, error: ChainruleError) -> None:
        """The training ends with an error."""
        self.evidence.failure = str(error)

    def on_end(self, trainer: Any) -> None:
        """What came out of it."""
        evidence = self.evidence
        evidence.history = trainer.history.records
        evidence.over = True
        evidence.kept_best = trainer.history.best is not None
        if self._data is not None and self._lints:  # else the report tells more
            with np.errstate(all="ignore"), self._unharmed():
                # Once, and forwards only: not worth a native program.
                quick = Evaluator(trainer.model, trainer.loss, None, "numpy")
                evidence.outcome = outcome_of(
                    lambda x: quick.predict(Arrays(x)), evidence.structure, *self._data
                )
        self._data = self._rows = self._probe = None  # lets go of the arrays
        self._tell()

    # ---- what they do ----------------------------------------------------------------------------

    def _measure(self, trainer: Any) -> None:
        if self._probe is None or self._rows is None:
            return
        begun = _now()
        step = self.evidence.steps * trainer.epoch
        with self._unharmed():
            self.evidence.measurements.append(self._probe(self._rows, step, trainer.epoch))
        self._longest = max(_since(begun))
        self._spent += self._longest

    @contextmanager
    def _unharmed(self) -> Iterator[None]:
        """Whatever goes wrong with a look: the training goes on, without further measurements."""
        try:
            yield
        except Exception as error:
            self._probe = None
            if not isinstance(error, ChainruleError):  # else the step itself tells what is wrong
                _log.warning("The doctor could not look at the training: %r", error)

    def _tell(self) -> None:
        if self._say is None:
            return
        for finding in self.findings:
            # What was a note, and so perhaps passed over, may become more.
            more, told = (finding.cause, False), (finding.cause, finding.severity == "note")
            if finding.sure and not self._said & {more, told}:
                self._said.add(told)
                self._say(finding)
