"""What TensorBoard's own reader finds in an event file that chainrule wrote.

    python -m venv /tmp/board && /tmp/board/bin/pip install . tensorboard
    PYTHONPATH=src:. /tmp/board/bin/python -m tests.report.tensorboard.make_reference

It writes ``read.json`` beside itself: the file, as base64, and what was read of it. The test writes
the file again and compares its bytes, so that TensorBoard is needed only when the format changes.
"""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

from chainrule.report.event_files import (
    EventFile,
    histogram,
    scalar,
    session_end,
    session_start,
    text,
)

HERE = Path(__file__).parent


def written(folder: Path) -> bytes:
    """The bytes of a file with one of each kind of value."""
    times = iter(range(1_700_000_000, 1_700_000_100))
    file = EventFile(folder, clock=lambda: next(times))
    options = {"lr": 0.001, "optimizer": "adamw", "balance": True, "epochs": 3}
    file.write(0, *session_start(options, ["val_loss", "test/R²"], 1_700_000_000.5))
    for epoch in (1, 2, 300):
        values = [epoch / 10, -1.0, float("nan"), float("inf")]
        file.write(epoch, scalar("loss", 1 / epoch), scalar("<script>", -2.5),
                   histogram("layers.0.weight", values))  # fmt: skip
    file.write(300, scalar("test/R²", 0.5), text("summary", "**R²** 0.5 für µ"),
               session_end(1_700_000_050.25))  # fmt: skip
    file.close()
    return file.path.read_bytes()


def read(folder: Path) -> list[dict[str, Any]]:
    """What TensorBoard reads, as plain data."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    from tensorboard.plugins.hparams import plugin_data_pb2

    (path,) = folder.iterdir()
    found = []
    for event in LegacyEventFileLoader(str(path)).Load():
        told: dict[str, Any] = {"step": event.step, "time": event.wall_time}
        if event.file_version:
            told["version"] = event.file_version
        for value in event.summary.value:
            told[value.tag] = _plain(value, plugin_data_pb2)
        found.append(told)
    return found


def _plain(value: Any, plugin: Any) -> Any:
    kind = value.WhichOneof("value")
    if value.metadata.plugin_data.plugin_name == "hparams":
        data = plugin.HParamsPluginData.FromString(value.metadata.plugin_data.content)
        return str(data)
    if kind == "simple_value":
        return value.simple_value
    if kind == "histo":
        h = value.histo
        return {"min": h.min, "max": h.max, "num": h.num, "sum": h.sum,
                "sum_squares": h.sum_squares, "limits": list(h.bucket_limit),
                "counts": list(h.bucket)}  # fmt: skip
    return [part.decode() for part in value.tensor.string_val]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        data = written(Path(temporary))
        content = {"file": base64.b64encode(data).decode(), "read": read(Path(temporary))}
    (HERE / "read.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
