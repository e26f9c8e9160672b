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
#: The first tokens are no text, and never written.
SPECIAL = 2
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
    from chainrule.tasks.sequence_to_text.decoding import Decoding, Writer
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
    writer = Writer(model, VOCABULARY, TARGET, Decoding(), "c")

    def write() -> float:
        state, last = writer.start(inputs), 2 + np.arange(ROWS)
        written: list[Array] = []
        while sum(map(len, written)) < TARGET:
            tokens, _, state = writer.several(last, state)
            written.append(tokens)
            last = tokens[-1]
        return float(np.concatenate(written)[:TARGET].sum())

    return write


# ---- PyTorch -------------------------------------------------------------------------------------


class InPyTorch:
    """The same network of PyTorch's own layers, with the same weights."""

    def __init__(self) -> None:
        import torch
        from torch import nn

        torch.set_num_threads(int(os.environ["CHAINRULE_THREADS"]))
        self.torch = torch
        layer = {"activation": "gelu", "norm_first": True, "batch_first": True, "dropout": 0.0}
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, **layer), LAYERS,
            nn.LayerNorm(WIDTH), enable_nested_tensor=False,
        )  # fmt: skip
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(WIDTH, HEADS, 4 * WIDTH, **layer), LAYERS,
            nn.LayerNorm(WIDTH),
        )  # fmt: skip
        for name, stack in (("encoder", self.encoder), ("decoder", self.decoder)):
            for number, block in enumerate(stack.layers):
                self._fill(f"{name}.layers.{number}", block)
        self.first, self.second = (
            nn.Parameter(self._mapped(f"{path}.weight", VOCABULARY, WIDTH))
            for path in ("entrance.tokens", "tokens")
        )
        rates = 10000.0 ** (-np.arange(0, WIDTH, 2) / WIDTH)
        angles = np.arange(max(SOURCE, TARGET))[:, None] * rates
        waves = np.stack([np.sin(angles), np.cos(angles)], 2).reshape(-1, WIDTH)
        self.positions = torch.tensor(waves.astype(np.float32))
        self.source, self.previous, self.target = map(torch.tensor, tokens())

    def _mapped(self, path: str, *shape: int) -> Any:
        found = self.torch.tensor(weight(path, shape))
        return found.T.contiguous() if len(shape) == 2 and "tokens" not in path else found

    def _fill(self, at: str, block: Any) -> None:
        for name in ("self_attn", "multihead_attn"):
            if hasattr(block, name):
                own, path = getattr(block, name), f"{at}.{name}"
                parts = [f"{path}.{letter}_proj.weight" for letter in "qkv"]
                joined = self.torch.cat([self._mapped(part, WIDTH, WIDTH) for part in parts])
                own.in_proj_weight.data = joined
                own.in_proj_bias.data.zero_()
                own.out_proj.weight.data = self._mapped(f"{path}.out_proj.weight", WIDTH, WIDTH)
                own.out_proj.bias.data.zero_()
        for name, shape in (("linear1", (WIDTH, 4 * WIDTH)), ("linear2", (4 * WIDTH, WIDTH))):
            getattr(block, name).weight.data = self._mapped(f"{at}.{name}.weight", *shape)
            getattr(block, name).bias.data.zero_()

    def embedded(self, numbers: Any, table: Any, first: int = 0) -> Any:
        """Tokens as vectors with their positions."""
        found = self.torch.nn.functional.embedding(numbers, table) * math.sqrt(WIDTH)
        return found + self.positions[first : first + numbers.shape[1]]

    def encode(self) -> Any:
        """The encoded sources."""
        return self.encoder(self.embedded(self.source, self.first))

    # ---- a step ----------------------------------------------------------------------------------

    def step(self) -> Callable[[], float]:
        """One call is a training step."""
        torch = self.torch
        weights = [self.first, self.second, *self.encoder.parameters(), *self.decoder.parameters()]
        optimizer = torch.optim.Adam(weights, lr=1e-4, fused=True)
        hidden = torch.nn.Transformer.generate_square_subsequent_mask(TARGET)

        def step() -> float:
            x = self.embedded(self.previous, self.second)
            y = self.decoder(x, self.encode(), tgt_mask=hidden, tgt_is_causal=True)
            logits = (y @ self.second.T).flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits, self.target.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return float(loss.item())

        return step

    # ---- written greedily ------------------------------------------------------------------------

    def _heads(self, x: Any) -> Any:
        return x.view(ROWS, -1, HEADS, WIDTH // HEADS).transpose(1, 2)

    def _parts(self, own: Any, x: Any, first: int, last: int) -> Any:
        rows = slice(first * WIDTH, last * WIDTH)
        linear = self.torch.nn.functional.linear
        return linear(x, own.in_proj_weight[rows], own.in_proj_bias[rows])

    def _attended(self, own: Any, q: Any, k: Any, v: Any) -> Any:
        attend = self.torch.nn.functional.scaled_dot_product_attention
        found = attend(self._heads(q), k, v)
        return own.out_proj(found.transpose(1, 2).reshape(ROWS, -1, WIDTH))

    def _block(self, block: Any, x: Any, seen: Any, known: Any) -> tuple[Any, Any]:
        """One decoder layer for one more token, with what was seen before."""
        q, k, v = self._parts(block.self_attn, block.norm1(x), 0, 3).chunk(3, -1)
        new = self._heads(k), self._heads(v)
        if seen is not None:
            new = tuple(self.torch.cat([a, b], 2) for a, b in zip(seen, new, strict=True))
        x = x + self._attended(block.self_attn, q, *new)
        q = self._parts(block.multihead_attn, block.norm2(x), 0, 1)
        x = x + self._attended(block.multihead_attn, q, *known)
        inner = self.torch.nn.functional.gelu(block.linear1(block.norm3(x)))
        return x + block.linear2(inner), new

    def write(self) -> float:
        """Write all texts; the sum of their tokens."""
        with self.torch.inference_mode():
            memory = self.encode()
            blocks = list(self.decoder.layers)
            known = [
                tuple(map(self._heads, self._parts(b.multihead_attn, memory, 1, 3).chunk(2, -1)))
                for b in blocks
            ]
            seen: list[Any] = [None] * LAYERS
            last, total = 2 + self.torch.arange(ROWS), 0.0
            for place in range(TARGET):
                x = self.embedded(last[:, None], self.second, place)
                for number, block in enumerate(blocks):
                    x, seen[number] = self._block(block, x, seen[number], known[number])
                logits = self.decoder.norm(x[:, 0]) @ self.second.T
                last = logits[:, SPECIAL:].argmax(-1) + SPECIAL
                total += float(last.sum())
            return total


def with_pytorch(task: str) -> Callable[[], float]:
    """The same with PyTorch."""
    found = InPyTorch()
    return found.step() if task == TASKS[0] else found.write


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
