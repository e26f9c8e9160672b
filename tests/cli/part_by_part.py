"""A training by one process or several, in which each reads its part of the data.

    python -m tests.cli.part_by_part DATA OUT [HOST:PORT COUNT NUMBER]

Writes the losses of the epochs, and how many rows or files were read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import chainrule as cr
from chainrule.data import table_scan
from chainrule.tasks.media import reading


def main(data: str, out: str, *place: str) -> None:
    if place:
        cr.training.join(place[0], int(place[1]), int(place[2]))
    reading.MAX_CACHED = 0
    table_scan._BLOCK = 9_000
    seen = []
    init, parts = reading.FileReader.__init__, table_scan.TableScan.parts

    def watched(self, paths, read, shape, dtype):
        init(self, paths, lambda path: (seen.append(path), read(path))[1], shape, dtype)

    def counted(self):
        for part in parts(self):
            seen.extend(range(part.height))
            yield part

    reading.FileReader.__init__, table_scan.TableScan.parts = watched, counted
    if Path(data).is_dir():
        options = cr.images.ImageOptions(epochs=3, size=(16, 16), batch_size=16, augment="shift",
                                         backend="xla")  # fmt: skip
        result = cr.images.train_images(data, options, progress=False)
    else:
        options = cr.tables.TableOptions("y", epochs=3, hidden=(16,), members=1, batch_size=64,
                                         backend="xla")  # fmt: skip
        result = cr.tables.train_table(data, options, progress=False, in_memory=1_000)
    losses = [[epoch["loss"], epoch["val_loss"]] for epoch in result.history]
    Path(out).write_text(json.dumps({"losses": losses, "seen": len(seen)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
