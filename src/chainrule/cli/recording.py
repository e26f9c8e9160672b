"""The report of a training that the command line runs: written as it goes on, and at its end."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import say, warn

if TYPE_CHECKING:
    from ..doctor import Doctor
    from ..report import Recorder
    from ..report.tensorboard import TensorBoard
    from ..tasks.result import TrainingResult
    from ..utils.runs import Run
    from .resume import Job

#: What the page is called in the run folder.
PAGE = "report.html"


@contextmanager
def recorded(job: Job) -> Iterator[Recorder]:
    """Keep the report of a training up to date; it goes if nothing is left of the training."""
    record = job.record
    about = {
        "kind": job.kind,
        "data": job.source,
        "target": job.options.target,
        "options": job.options.to_json(),
        "source": {"path": record.path, "digest": record.digest},
    }
    with recording(job.folder, about, lambda: job.record.can_go_on) as recorder:
        yield recorder


@contextmanager
def recording(
    folder: Path, about: dict[str, Any], can_go_on: Any = lambda: False
) -> Iterator[Recorder]:
    """The same of any training into a folder.

    Args:
        folder: of the run.
        about: what is known of it before.
        can_go_on: tells whether something is left of a training that ended early.
    """
    from ..report import Recorder
    from ..utils.runs import RECORD

    recorder = Recorder(folder, about)
    try:
        yield recorder
    except BaseException:
        written = (folder / RECORD).exists() and not recorder.replaces
        recorder.close() if written or can_go_on() else recorder.discard()
        raise


def write_report(recorder: Recorder, run: Run, result: TrainingResult) -> None:
    """The last pictures and the page; whatever happens here, the model is written."""
    try:
        recorder.finish(lambda: result.sections, run.folder)
    except KeyboardInterrupt:
        say("The report is not whole; what there is to draw without network and data:")
        say(f"  chainrule report {shlex.quote(str(run.folder))}")
    if recorder.problem:
        warn(f"The report could not be written as a whole: {recorder.problem}")


def measured(watch: Doctor) -> dict[str, Any]:
    """What the doctor has measured, for the pictures of how gradients flow."""
    evidence = watch.evidence
    measurements = [dataclasses.asdict(each) for each in evidence.measurements]
    return {"sizes": dict(evidence.structure.sizes), "measurements": measurements}


def board_of(job: Job) -> TensorBoard:
    """What writes the events of a training into its run folder; those of a replaced run go."""
    from ..report.tensorboard import TensorBoard, event_files

    if not job.record.can_go_on:
        for path in event_files(job.folder):
            path.unlink()
    return TensorBoard(job.folder, {"kind": job.kind, **job.options.to_json()})


def finish_board(board: TensorBoard | None, run: Run) -> None:
    """The last events: metrics of the test set, the summary, findings."""
    if board is None:
        return
    from ..report import RunContent
    from ..report.sections import in_words

    try:
        said, found = in_words(RunContent.read(run.folder, running=False))
        board.finish(run.report, said, found)
    except Exception as error:  # the model is written: nothing here may say otherwise
        board.problem = board.problem or f"{type(error).__name__}: {error}"
    if board.problem:
        warn(f"The event files for TensorBoard are not whole: {board.problem}")
