"""The service of the house-price model under load: requests a second, p50 and p99.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/serving.py [--wrk PATH] [RUN]

Starts ``chainrule serve`` as a process of its own and `wrk` (apt install wrk) beside it, each on a
processor of its own: one thread, 64 connections, a row in each request, a thousand different rows
one after the other. Besides what wrk says, the processor time of the service is measured: it
depends little on what else the machine does. Without RUN a model is trained, with the network of
the defaults, for one epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import polars as pl

HOUSES = Path(__file__).parents[1] / "examples" / "data" / "house_prices.parquet"
#: What wrk runs: each request has the next row.
SCRIPT = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
local bodies, number = {}, 0
init = function()
  for line in io.lines("%s") do bodies[#bodies + 1] = wrk.format(nil, "/predict", nil, line) end
end
request = function()
  number = number %% #bodies + 1
  return bodies[number]
end
done = function(summary, latency)
  io.write(string.format("p50 %%.2f ms, p99 %%.2f ms, other answers than 200: %%d, lost: %%d\\n",
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def trained(folder: Path) -> Path:
    """A model of house prices after one epoch; its network is that of the defaults."""
    run = folder / "houses"
    subprocess.run(
        [sys.executable, "-m", "chainrule", "train", HOUSES, "--target", "price", "--epochs", "1",
         "--out", run],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return run


def processor_seconds(process: int) -> float:
    """Processor time of a process so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))


def counted(place: str) -> tuple[int, int]:
    """Rows and batches until now, as the service counts them."""
    text = urllib.request.urlopen(f"{place}/metrics").read().decode()
    found = dict(re.findall(r"chainrule_(rows|batches)_total (\d+)", text))
    return int(found["rows"]), int(found["batches"])


def address_of(service: subprocess.Popen[str]) -> str:
    """Where it answers, which it says when it begins."""
    said = ""
    assert service.stderr is not None
    for line in service.stderr:
        said += line.strip() + " "
        if found := re.search(r"answers at\s+(http://[\d.:]+)/predict", said):
            return found[1]
    sys.exit(f"The service did not begin: {said}")


def measure(run: Path, wrk: str, folder: Path, seconds: int, connections: int) -> None:
    """Print what one round gives."""
    rows = pl.read_parquet(HOUSES).drop("price").sample(1000, seed=0).to_dicts()
    lines = folder / "rows.jsonl"
    lines.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
    script = folder / "post.lua"
    script.write_text(SCRIPT % lines)
    processors = sorted(os.sched_getaffinity(0))
    service = subprocess.Popen(
        ["taskset", "-c", str(processors[-1]), sys.executable, "-m", "chainrule", "serve", str(run),
         "--port", "0"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "COLUMNS": "500"},
    )  # fmt: skip
    try:
        place = address_of(service)
        load: list[str] = [
            "taskset",
            "-c",
            str(processors[0]),
            wrk,
            "-t1",
            f"-c{connections}",
            "-s",
            str(script),
        ]
        subprocess.run([*load, "-d1s", place], check=True, stdout=subprocess.DEVNULL)
        before, (rows_before, batches_before) = processor_seconds(service.pid), counted(place)
        begun = time.perf_counter()
        answer = subprocess.run(
            [*load, f"-d{seconds}s", place], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        took, spent = time.perf_counter() - begun, processor_seconds(service.pid) - before
        after, batches = counted(place)
    finally:
        service.terminate()
        service.wait()
    asked = after - rows_before
    if not asked:
        sys.exit(f"The service refused every request:\n{answer}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", answer)
    assert rate is not None
    print(f"{float(rate[1]):,.0f} requests/s; {re.findall('p50.*', answer)[0]}")
    print(f"{1e3 * spent / asked:.3f} ms of processor time a request, {spent / took:.0%} of one "
          f"processor; {asked / max(batches - batches_before, 1):.1f} rows in a batch",
          flush=True)  # fmt: skip


def main() -> None:
    """Print the figures of a few rounds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN")
    parser.add_argument("--wrk", default=shutil.which("wrk"))
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    if told.wrk is None:
        parser.error("wrk is not installed (apt install wrk); or say where it is: --wrk PATH")
    with tempfile.TemporaryDirectory() as folder:
        run = told.run or trained(Path(folder))
        for _ in range(told.rounds):
            measure(run, told.wrk, Path(folder), told.seconds, told.connections)


if __name__ == "__main__":
    main()
