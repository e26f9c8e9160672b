"""What reading files does, as Python's audit hooks see it: it opens these files, and nothing else.

A hook cannot be taken away again, so that a process of its own listens.
"""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

PROGRAM = """
    import json, os, sys, warnings
    from pathlib import Path
    import numpy as np, chainrule as cr
    from chainrule.errors import ChainruleError
    from chainrule.tasks import load_predictor
    from chainrule.training import Checkpoints, load_training
    from chainrule.training.checkpoints import Snapshot
    from chainrule.utils.runs import read_run
    from chainrule.utils.unfinished import Unfinished
    from tests.torture import hostile
    from tests.test_stored_runs import unpack

    folder = Path(sys.argv[1])
    for name in ("table_numbers", "text_classes", "forecast", "images"):
        unpack(name, folder / name)
    Checkpoints(folder / "checkpoints").write(Snapshot(1, {"w": np.ones(3)}, {"history": []}))
    (folder / "pickle.safetensors").write_bytes(b"cos\\nsystem\\n(S'touch harm'\\ntR.")
    models = sorted(folder.rglob("*.safetensors"))

    def read_all():
        for path in models:
            for read in (load_predictor, cr.load, load_training):
                try:
                    read(path)
                except ChainruleError:
                    pass
        for run in sorted(folder.iterdir()):
            for read in (read_run, Unfinished.read):
                try:
                    read(run)
                except ChainruleError:
                    pass
        Checkpoints(folder / "checkpoints").newest()
        predictor = load_predictor(next((folder / "table_numbers").rglob("model.safetensors")))
        for data in sorted((folder / "table_numbers" / "new").iterdir()):
            predictor.predict(str(data))
        for name, (data, read) in hostile.all_files().items():
            if name.startswith("model:"):
                try:
                    read(data)
                except ChainruleError:
                    pass

    warnings.simplefilter("ignore")
    read_all()  # now everything is imported
    seen = []

    def hook(event, arguments):
        if event == "open":
            seen.append((event, str(arguments[0])))
        elif event in FORBIDDEN or event.split(".")[0] in MODULES:
            seen.append((event, str(arguments)[:200]))

    MODULES = "subprocess", "socket", "pickle", "ctypes", "marshal"
    FORBIDDEN = {*"import compile exec code.__new__".split(), *("os." + name for name in (
        "system exec fork forkpty posix_spawn putenv remove rename rmdir chmod chown link symlink"
    ).split())}
    sys.addaudithook(hook)
    read_all()
    print(json.dumps(seen))
"""


def test_reading_opens_the_files_and_does_nothing_else(tmp_path):
    places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path / "files")],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    opened = [path for event, path in seen if event == "open"]
    assert len(opened) > 50
    strange = [path for path in opened if not path.startswith(str(tmp_path))
               and "/torture-fuzz-" not in path]  # fmt: skip
    assert strange == []
    assert [entry for entry in seen if entry[0] != "open"] == []
    assert not (tmp_path / "harm").exists()
