"""The encoder–decoder transformer, beside PyTorch: a training step, and texts written greedily.

    .bench/bin/python -m benchmarks.seq2seq
    python benchmarks/seq2seq.py --quick --pytorch /other/environment/bin/python

Each system is a process of its own with the same weights; they take turns. A step is of 32 pairs of
64 and 64 tokens, without dropout, by Adam; PyTorch's is eager with fused Adam. Texts are written
with keys and values kept (a cache), 64 tokens for each of 32 sources; PyTorch's loop is eager.
Seconds are those of the processor, which depend less on who else works on the machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEADS, LAYERS, VOCABULARY = 256, 8, 4, 1000
ROWS, SOURCE, TARGET = 32, 64, 64
TASKS = ("training step", "written greedily")
Array = Any


def weight(path: str, shape: tuple[int, ...]) -> Array:
    """The weights of a path, the same in every process."""
    rng = np.random.default_rng(zlib.crc32(path.encode()))
    if "norm" in path:
        return (
            np.ones(shape, np.float32) if path.endswith("weight") else np.zeros(shape, np.float32)
        )
    scale = 1 / math.sqrt(WIDTH) if len(shape) > 1 else 0.0
    return (scale * rng.normal(size=shape)).astype(np.float32)


def tokens() -> tuple[Array, Array, Array]:
    """Sources, the tokens before, and those to predict."""
    rng = np.random.default_rng(0)
    target = rng.integers(2, VOCABULARY, (ROWS, TARGET + 1))
    return rng.integers(2, VOCABULARY, (ROWS, SOURCE)), target[:, :-1], target[:, 1:]


# ---- chainrule -----------------------------------------------------------------------------------


def with_chainrule(task: str) -> Callable[[], float]:
    """One call does the task, and gives a number to compare."""
    import chainrule as cr
    from chainrule.engine.compile import Compiled
    from chainrule.training import Arrays
    from chainrule.training.step import Step

    model = cr.models.seq2seq_transformer(
        VOCABULARY, VOCABULARY, width=WIDTH, heads=HEADS, layers=LAYERS, dropout=0.0
    ).initialize(0)
    for path, parameter in model.parameters().items():
        parameter.assign(weight(path, parameter.shape))
    source, previous, target = tokens()
    inputs = {"source": source, "lengths": np.full(ROWS, SOURCE)}
    if task == TASKS[0]:
        optimizer = cr.optim.Adam(model, lr=1e-4)
        step = Step(model, cr.losses.cross_entropy, optimizer, backend="c")
        data = Arrays({**inputs, "previous": previous}, target)
        return lambda: float(step.run(data, np.arange(ROWS)[None])[0][0])
    start = Compiled(lambda given: model.start(given, TARGET), "c")
    following = Compiled(lambda last, state: model.step(last, state), "c")

    def write() -> float:
        state, last, total = start(inputs), np.zeros(ROWS, np.int64), 0.0
        for _ in range(TARGET):
            logits, state = following(last, state)
            last = logits.numpy().argmax(axis=1)
            total += float(last.sum())
        return total

    return write


# ---- PyTorch -------------------------------------------------------------------------------------


def with_pytorch(task: str) -> Callable[[], float]:
    """The same with PyTorch's own layers."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(int(os.environ["CHAINRULE_THREADS"]))

    def mapped(path: str, *shape: int) -> Any:
        found = torch.tensor(weight(path, shape))
        return found.T.contiguous() if len(shape) == 2 and "tokens" not in path else found

    def attention(own: Any, path: str) -> None:
        names = [f"{path}.{letter}_proj" for letter in "qkv"]
        own.in_proj_weight.data = torch.cat([mapped(f"{n}.weight", WIDTH, WIDTH) for n in names])
        own.in_proj_bias.data.zero_()
        own.out_proj.weight.data = mapped(f"{path}.out_proj.weight", WIDTH, WIDTH)
        own.out_proj.bias.data.zero_()

    layer = {"activation": "gelu", "norm_first": True, "batch_first": True, "dropout": 0.0}
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, **layer), LAYERS,
        nn.LayerNorm(WIDTH), enable_nested_tensor=False,
    )  # fmt: skip
    decoder = nn.TransformerDecoder(
        nn.TransformerDecoderLayer(WIDTH, HEADS, 4 * WIDTH, **layer), LAYERS, nn.LayerNorm(WIDTH)
    )
    for name, stack in (("encoder", encoder), ("decoder", decoder)):
        for number, block in enumerate(stack.layers):
            at = f"{name}.layers.{number}"
            attention(block.self_attn, f"{at}.self_attn")
            if name == "decoder":
                attention(block.multihead_attn, f"{at}.multihead_attn")
            for linear, shape in (("linear1", (WIDTH, 4 * WIDTH)), ("linear2", (4 * WIDTH, WIDTH))):
                getattr(block, linear).weight.data = mapped(f"{at}.{linear}.weight", *shape)
                getattr(block, linear).bias.data.zero_()
    first, second = (
        nn.Parameter(mapped(f"{path}.weight", VOCABULARY, WIDTH))
        for path in ("entrance.tokens", "tokens")
    )
    rates = 10000.0 ** (-np.arange(0, WIDTH, 2) / WIDTH)
    angles = np.arange(max(SOURCE, TARGET))[:, None] * rates
    waves = np.stack([np.sin(angles), np.cos(angles)], 2).reshape(-1, WIDTH)
    positions = torch.tensor(waves.astype(np.float32))
    source, previous, target = map(torch.tensor, tokens())
    root = math.sqrt(WIDTH)

    def encode() -> Any:
        return encoder(functional.embedding(source, first) * root + positions[:SOURCE])

    if task == TASKS[0]:
        weights = [first, second, *encoder.parameters(), *decoder.parameters()]
        optimizer = torch.optim.Adam(weights, lr=1e-4, fused=True)
        hidden = nn.Transformer.generate_square_subsequent_mask(TARGET)

        def step() -> float:
            x = functional.embedding(previous, second) * root + positions[:TARGET]
            y = decoder(x, encode(), tgt_mask=hidden, tgt_is_causal=True)
            loss = functional.cross_entropy((y @ second.T).flatten(0, 1), target.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return float(loss.item())

        return step
    size = WIDTH // HEADS

    def heads(x: Any) -> Any:
        return x.view(ROWS, -1, HEADS, size).transpose(1, 2)

    def parts(own: Any, x: Any, which: slice) -> Any:
        rows = slice(which.start * WIDTH, which.stop * WIDTH)
        return functional.linear(x, own.in_proj_weight[rows], own.in_proj_bias[rows])

    def attended(own: Any, q: Any, k: Any, v: Any) -> Any:
        found = functional.scaled_dot_product_attention(heads(q), k, v)
        return own.out_proj(found.transpose(1, 2).reshape(ROWS, -1, WIDTH))

    def write() -> float:
        with torch.inference_mode():
            return written()

    def written() -> float:
        memory = encode()
        known = [tuple(map(heads, parts(b.multihead_attn, memory, slice(1, 3)).chunk(2, -1)))
                 for b in decoder.layers]  # fmt: skip
        seen: list[Any] = [None] * LAYERS
        last, total = torch.zeros(ROWS, dtype=torch.int64), 0.0
        for place in range(TARGET):
            x = (functional.embedding(last, second) * root + positions[place])[:, None]
            for number, block in enumerate(decoder.layers):
                q, k, v = parts(block.self_attn, block.norm1(x), slice(0, 3)).chunk(3, -1)
                new = heads(k), heads(v)
                old = seen[number]
                seen[number] = new if old is None else tuple(
                    torch.cat([a, b], 2) for a, b in zip(old, new, strict=True))  # fmt: skip
                x = x + attended(block.self_attn, q, *seen[number])
                q = parts(block.multihead_attn, block.norm2(x), slice(0, 1))
                x = x + attended(block.multihead_attn, q, *known[number])
                inner = functional.gelu(block.linear1(block.norm3(x)))
                x = x + block.linear2(inner)
            last = (decoder.norm(x[:, 0]) @ second.T).argmax(-1)
            total += float(last.sum())
        return total

    return write


SYSTEMS = {"chainrule": with_chainrule, "PyTorch": with_pytorch}


def work(name: str) -> None:
    """A worker: for every line, the number of a task, the seconds of the quickest of some calls."""
    runs: dict[int, Callable[[], float]] = {}
    for line in sys.stdin:
        number = int(line)
        first = number not in runs
        if first:
            runs[number] = SYSTEMS[name](TASKS[number])
        value = runs[number]()  # of the first call: steps change the weights
        found = []
        for _ in range(2):
            start = time.process_time()
            runs[number]()
            found.append(time.process_time() - start)
        print(json.dumps([min(found), value if first else 0.0]), flush=True)


def main() -> None:
    """Measure, print, and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", choices=SYSTEMS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pytorch", default=sys.executable, help="the Python that has PyTorch")
    parser.add_argument("--quick", action="store_true", help="two rounds; writes nothing")
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from benchmarks.machine import description
    from benchmarks.report import table, today, write_section

    threads = str(options.threads)
    environment = os.environ | {"CHAINRULE_THREADS": threads, "OMP_NUM_THREADS": threads}
    workers = {
        name: subprocess.Popen(
            [python, str(Path(__file__)), "--worker", name], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for name, python in {"chainrule": sys.executable, "PyTorch": options.pytorch}.items()
    }  # fmt: skip
    rows = []
    for number, task in enumerate(TASKS):
        found: dict[str, list[list[float]]] = {name: [] for name in workers}
        for _ in range(2 if options.quick else 5):
            for name, worker in workers.items():
                assert worker.stdin is not None
                assert worker.stdout is not None
                print(number, file=worker.stdin, flush=True)
                found[name].append(json.loads(worker.stdout.readline()))
        ours, theirs = (np.array(found[name]) for name in SYSTEMS)
        assert np.allclose(ours[0, 1], theirs[0, 1], rtol=1e-4), "they compute something else"
        ratio = statistics.median(theirs[:, 0] / ours[:, 0])
        tokens_of = ROWS * (TARGET if number else SOURCE + TARGET)
        speeds = [f"{tokens_of / np.median(x[:, 0]):,.0f}" for x in (ours, theirs)]
        rows.append([task, *speeds, f"{ratio:.2f}"])
    for worker in workers.values():
        worker.terminate()
    lines = table(["", "chainrule tokens/s", "PyTorch tokens/s", "ratio"], rows)
    print("\n".join(lines))
    if not options.quick:
        about = f"{today()}, {description(options.threads)}. `benchmarks/seq2seq.py`."
        write_section("Encoder–decoder transformer", "\n".join([about, "", *lines]))


if __name__ == "__main__":
    main()
