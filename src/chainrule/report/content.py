"""What is in a run folder, finished or not, as a report needs it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..drawing.blocks import Section
from ..errors import DataError
from ..utils.files import write_atomically
from ..utils.runs import RECORD, is_locked, json_data, read_run
from ..utils.unfinished import UNFINISHED, Unfinished

#: What a report draws besides what is in ``run.json``, and the page itself.
STORED, PAGE = "report.json", "report.html"
#: A line of JSON for each epoch, written as the training goes on.
HISTORY = "history.jsonl"
#: What the doctor has found.
FINDINGS = "findings.json"
_FORMAT, _VERSION = "chainrule.report", 1


@dataclass(frozen=True)
class Stored:
    """What ``report.json`` holds.

    Attributes:
        about: data, target, options, kind of data, epochs, steps, environment, begin.
        profile: sections on the data.
        sections: those that need network and test set.
        measured: what the doctor measured: ``measurements`` of gradients, weights and updates, and
            ``sizes`` of the parameters.
    """

    about: Mapping[str, Any] = field(default_factory=dict)
    profile: tuple[Section, ...] = ()
    sections: tuple[Section, ...] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it into a run folder.

        Raises:
            ChainruleError: that is not possible.
        """
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "about": json_data(self.about),
            "profile": [section.to_json() for section in self.profile],
            "sections": [section.to_json() for section in self.sections],
            "measured": json_data(self.measured),
        }
        text = json.dumps(json_data(content), ensure_ascii=False, separators=(",", ":"))
        write_atomically(folder / STORED, text.encode(errors="replace"))

    @staticmethod
    def read(folder: Path) -> Stored:
        """What is there; nothing where it is damaged, of a later version, or not there."""
        try:
            content = json.loads((folder / STORED).read_bytes())
            if (content["format"], content["version"]) != (_FORMAT, _VERSION):
                return Stored()
            return Stored(
                dict(content["about"]),
                tuple(map(Section.from_json, content["profile"])),
                tuple(map(Section.from_json, content["sections"])),
                dict(content.get("measured") or {}),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return Stored()


@dataclass(frozen=True)
class RunContent:
    """A run, finished or not.

    Attributes:
        folder: where it is.
        record: the content of ``run.json``; empty while the training is not over.
        stored: what else is there to draw.
        fits: the records of each fit by epoch; the last one is that of the model.
        findings: of the doctor.
        unfinished: what is known of a training that is not over.
        running: whether a process is training into the folder.
        when: it was read, in words; "" for a run that is over.
    """

    folder: Path
    record: Mapping[str, Any] = field(default_factory=dict)
    stored: Stored = field(default_factory=Stored)
    fits: tuple[Sequence[Mapping[str, Any]], ...] = ()
    findings: tuple[Mapping[str, Any], ...] = ()
    unfinished: Unfinished | None = None
    running: bool = False
    when: str = ""

    @staticmethod
    def read(folder: Path, running: bool | None = None) -> RunContent:
        """What is in a run folder.

        Args:
            folder: of the run.
            running: whether a process is training into it; found out by default.

        Raises:
            DataError: there is neither a run nor a training that has begun, or its record is
                damaged.
        """
        finished = (folder / RECORD).exists()
        running = is_locked(folder) if running is None else running
        unfinished = None
        if (folder / UNFINISHED).exists():
            unfinished = Unfinished.read(folder)
        if not finished and unfinished is None and not (folder / HISTORY).exists():
            read_run(folder)  # its error says what is expected
        # After an interruption there are both: a model, and a training that can go on.
        stale = unfinished is not None and (running or _is_newer(folder / HISTORY, folder / RECORD))
        record = read_run(folder).record if finished and not stale else {}
        content = RunContent(
            folder, record, Stored.read(folder), read_history(folder / HISTORY),
            read_findings(folder / FINDINGS), unfinished, running,
        )  # fmt: skip
        return content._with_recorded_history()

    def _with_recorded_history(self) -> RunContent:
        """A finished run says itself what its last fit was; older ones have nothing else."""
        history = self.record.get("history")
        epochs = history.get("epochs") if isinstance(history, dict) else None
        if not isinstance(epochs, list) or not epochs:
            return self
        return dataclasses.replace(self, fits=(*self.fits[:-1], epochs))

    # ---- what there is to tell -------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def finished(self) -> bool:
        """Whether there is a model."""
        return bool(self.record)

    @property
    def report(self) -> Mapping[str, Any]:
        """What was measured."""
        return mapping(self.record.get("report"))

    @property
    def about(self) -> Mapping[str, Any]:
        """Kind, data, target and options, finished or not."""
        known: dict[str, Any] = dict(self.stored.about)
        if self.unfinished is not None:
            known |= {"kind": self.unfinished.kind, "data": self.unfinished.source,
                      "options": self.unfinished.options}  # fmt: skip
        names = ("kind", "data", "target", "options", "source", "created")
        known |= {name: self.record[name] for name in names if self.record.get(name) is not None}
        return known

    @property
    def options(self) -> Mapping[str, Any]:
        """That were given."""
        return mapping(self.about.get("options"))

    @property
    def target(self) -> str:
        """What is predicted; "" where it is not known yet."""
        return str(self.about.get("target") or self.options.get("target") or "")

    @property
    def unit(self) -> str:
        """What examples are called."""
        return str(self.report.get("unit") or "rows")

    @property
    def epochs(self) -> Sequence[Mapping[str, Any]]:
        """The records of the fit of the model, or of the one that runs."""
        return self.fits[-1] if self.fits else ()

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The record whose weights were kept."""
        history = self.record.get("history")
        best = history.get("best") if isinstance(history, dict) else None
        return best if isinstance(best, dict) else None


def _is_newer(path: Path, other: Path) -> bool:
    """Whether a file was written after another one."""
    try:
        return path.stat().st_mtime_ns > other.stat().st_mtime_ns
    except OSError:
        return False


def mapping(value: Any) -> Mapping[str, Any]:
    """A record may have been edited by hand: what is no mapping counts as empty."""
    return value if isinstance(value, dict) else {}


def read_history(path: Path) -> tuple[list[dict[str, Any]], ...]:
    r"""The epochs of each fit; a last line that a killed process has not finished is left out.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "history.jsonl")
        >>> _ = path.write_text('{"fit": 1, "epoch": 1, "loss": 0.5}\n{"fit": 1, "ep')
        >>> read_history(path)
        ([{'fit': 1, 'epoch': 1, 'loss': 0.5}],)
    """
    fits: dict[Any, list[dict[str, Any]]] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    for line in lines:
        try:
            record = json.loads(line)
            float(record["epoch"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        fits.setdefault(record.get("fit", 1), []).append(record)
    return tuple(fits.values())


def read_findings(path: Path) -> tuple[Mapping[str, Any], ...]:
    """The findings of the doctor; none where there are none."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ()
    if isinstance(content, dict):
        content = content.get("findings")
    return tuple(each for each in content if isinstance(each, dict)) if isinstance(
        content, list) else ()  # fmt: skip


def found_run(folder: Path) -> Path:
    """The folder, or the run of that name in the folder ``runs``.

    Raises:
        DataError: there is neither.
    """
    inside = Path("runs") / folder
    if folder.is_dir() or not inside.is_dir():
        if folder.is_dir():
            return folder
        raise DataError(
            "There is no such run folder.",
            where=str(folder),
            hint="`chainrule runs` lists the runs that there are",
        )
    return inside
