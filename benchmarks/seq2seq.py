"""The encoder–decoder transformer beside PyTorch, JAX and Keras: steps, and texts written greedily.

    .bench/bin/python -m benchmarks.seq2seq
    python -m benchmarks.seq2seq --quick --peers /other/environment/bin/python --only PyTorch

Each system is a process of its own with the same weights; they take turns. A step is of 32 pairs of
64 and 64 tokens, without dropout, by Adam; PyTorch's is eager with fused Adam, JAX's under jit,
Keras's train_on_batch on TensorFlow. Texts are written with keys and values kept (a cache), 64
tokens for each of 32 sources; PyTorch's loop is eager. In bfloat16 chainrule's products are of
rounded numbers; PyTorch trains by autocast and writes with weights, keys and values in bfloat16.
Seconds are those of the processor.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .rounds import Call, bind_processors, in_turns, ratio_to, work

WIDTH, HEADS, LAYERS, VOCABULARY = 256, 8, 4, 1000
ROWS, SOURCE, TARGET = 32, 64, 64
#: The first tokens are no text, and never written.
SPECIAL = 2
RATE, EPSILON = 1e-4, 1e-5
NARROW = ", bf16"
TASKS = ("training step", "written greedily", f"training step{NARROW}", f"written greedily{NARROW}")
#: How far results may be apart, as a share: losses, and the sum of all tokens.
APART = {False: 1e-4, True: 0.03}
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


def positions() -> Array:
    """The sine waves of positions."""
    rates = 10000.0 ** (-np.arange(0, WIDTH, 2) / WIDTH)
    angles = np.arange(max(SOURCE, TARGET))[:, None] * rates
    waves = np.stack([np.sin(angles), np.cos(angles)], 2).reshape(-1, WIDTH)
    return waves.astype(np.float32)


# ---- chainrule -----------------------------------------------------------------------------------


def with_chainrule(task: str) -> Call:
    """One call does the task, and gives a number to compare."""
    import chainrule as cr
    from chainrule.engine.backends.registry import find_backend
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
    backend = find_backend("c", precision="bf16" if task.endswith(NARROW) else None)
    if task.startswith(TASKS[0]):
        optimizer = cr.optim.Adam(model, lr=RATE)
        step = Step(model, cr.losses.cross_entropy, optimizer, backend=backend)
        data = Arrays({**inputs, "previous": previous}, target)
        return lambda: (float(step.run(data, np.arange(ROWS)[None])[0][0]),)
    writer = Writer(model, VOCABULARY, TARGET, Decoding(), backend)

    def write() -> tuple[float]:
        state, last = writer.start(inputs), 2 + np.arange(ROWS)
        written: list[Array] = []
        while sum(map(len, written)) < TARGET:
            tokens, _, state = writer.several(last, state)
            written.append(tokens)
            last = tokens[-1]
        return (float(np.concatenate(written)[:TARGET].sum()),)

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
        self.positions = torch.tensor(positions())
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

    def step(self, narrow: bool) -> Call:
        """One call is a training step."""
        torch = self.torch
        weights = [self.first, self.second, *self.encoder.parameters(), *self.decoder.parameters()]
        optimizer = torch.optim.Adam(weights, lr=RATE, fused=True)
        hidden = torch.nn.Transformer.generate_square_subsequent_mask(TARGET)

        def step() -> tuple[float]:
            with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                x = self.embedded(self.previous, self.second)
                y = self.decoder(x, self.encode(), tgt_mask=hidden, tgt_is_causal=True)
                logits = (y @ self.second.T).flatten(0, 1)
                loss = torch.nn.functional.cross_entropy(logits, self.target.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return (float(loss.item()),)

        return step

    # ---- written greedily ------------------------------------------------------------------------

    def narrowed(self) -> InPyTorch:
        """The same with all numbers in bfloat16."""
        half = self.torch.bfloat16
        self.encoder, self.decoder = self.encoder.to(half), self.decoder.to(half)
        for name in ("first", "second", "positions"):
            setattr(self, name, getattr(self, name).to(half))
        return self

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

    def write(self) -> tuple[float]:
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
            return (total,)


def with_pytorch(task: str) -> Call:
    """The same with PyTorch."""
    found, narrow = InPyTorch(), task.endswith(NARROW)
    if task.startswith(TASKS[0]):
        return found.step(narrow)
    return (found.narrowed() if narrow else found).write


# ---- JAX -----------------------------------------------------------------------------------------


def paths() -> dict[str, tuple[int, ...]]:
    """The shapes of all weights by their paths."""
    found: dict[str, tuple[int, ...]] = {
        "entrance.tokens.weight": (VOCABULARY, WIDTH), "tokens.weight": (VOCABULARY, WIDTH),
    }  # fmt: skip
    for half, parts, norms in (
        ("encoder", ("self_attn",), (1, 2)),
        ("decoder", ("self_attn", "multihead_attn"), (1, 2, 3)),
    ):
        for number in range(LAYERS):
            at = f"{half}.layers.{number}"
            linear = {f"{at}.linear1": (WIDTH, 4 * WIDTH), f"{at}.linear2": (4 * WIDTH, WIDTH)}
            linear |= {
                f"{at}.{part}.{letter}_proj": (WIDTH, WIDTH)
                for part in parts
                for letter in ("q", "k", "v", "out")
            }
            for path, shape in linear.items():
                found |= {f"{path}.weight": shape, f"{path}.bias": shape[1:]}
            for norm in norms:
                found |= {f"{at}.norm{norm}.{name}": (WIDTH,) for name in ("weight", "bias")}
        found |= {f"{half}.norm.{name}": (WIDTH,) for name in ("weight", "bias")}
    return found


def with_jax(task: str) -> Call | None:
    """The step under jit, by JAX's own operations."""
    if task != TASKS[0]:
        return None
    import jax
    import jax.numpy as jnp

    waves = jnp.asarray(positions())

    def norm(w: Any, at: str, x: Any) -> Any:
        x = x - x.mean(-1, keepdims=True)
        x = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + EPSILON)
        return x * w[f"{at}.weight"] + w[f"{at}.bias"]

    def linear(w: Any, at: str, x: Any) -> Any:
        return x @ w[f"{at}.weight"] + w[f"{at}.bias"]

    def attention(w: Any, at: str, x: Any, memory: Any, causal: bool) -> Any:
        q, k, v = (
            linear(w, f"{at}.{letter}_proj", each).reshape(ROWS, -1, HEADS, WIDTH // HEADS)
            for letter, each in (("q", x), ("k", memory), ("v", memory))
        )
        y = jax.nn.dot_product_attention(q, k, v, is_causal=causal)
        return linear(w, f"{at}.out_proj", y.reshape(x.shape))

    def rest(w: Any, at: str, last: int, x: Any) -> Any:
        inner = linear(w, f"{at}.linear1", norm(w, f"{at}.norm{last}", x))
        return x + linear(w, f"{at}.linear2", jax.nn.gelu(inner, approximate=False))

    def loss_of(w: Any, source: Any, previous: Any, target: Any) -> Any:
        x = w["entrance.tokens.weight"][source] * math.sqrt(WIDTH) + waves[:SOURCE]
        for number in range(LAYERS):
            at = f"encoder.layers.{number}"
            y = norm(w, f"{at}.norm1", x)
            x = rest(w, at, 2, x + attention(w, f"{at}.self_attn", y, y, False))
        memory = norm(w, "encoder.norm", x)
        x = w["tokens.weight"][previous] * math.sqrt(WIDTH) + waves[:TARGET]
        for number in range(LAYERS):
            at = f"decoder.layers.{number}"
            y = norm(w, f"{at}.norm1", x)
            x = x + attention(w, f"{at}.self_attn", y, y, True)
            y = norm(w, f"{at}.norm2", x)
            x = rest(w, at, 3, x + attention(w, f"{at}.multihead_attn", y, memory, False))
        logits = norm(w, "decoder.norm", x) @ w["tokens.weight"].T
        found = jnp.take_along_axis(jax.nn.log_softmax(logits), target[..., None], -1)
        return -found.mean()

    def train(state: Any, *batch: Any) -> Any:
        w, m, v, t = state
        loss, g = jax.value_and_grad(loss_of)(w, *batch)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        first, second = 1 - 0.9**t, 1 - 0.999**t

        def update(w: Any, m: Any, v: Any) -> Any:
            return w - RATE * (m / first) / (jnp.sqrt(v / second) + 1e-8)

        return [jax.tree.map(update, w, m, v), m, v, t], loss

    step = jax.jit(train, donate_argnums=0)
    weights = {path: jnp.asarray(weight(path, shape)) for path, shape in paths().items()}
    zeros = [jax.tree.map(jnp.zeros_like, weights) for _ in range(2)]
    state = [weights, *zeros, jnp.float32(0)]
    batch = [*map(jnp.asarray, tokens())]

    def run() -> tuple[float]:
        nonlocal state
        state, loss = step(state, *batch)
        return (float(jax.block_until_ready((loss, state))[0]),)

    return run


# ---- Keras ---------------------------------------------------------------------------------------


def with_keras(task: str) -> Call | None:
    """train_on_batch of a model of Keras's own layers, on TensorFlow."""
    if task != TASKS[0]:
        return None
    import keras
    from keras import layers, ops

    class Network(keras.Model):  # type: ignore[misc]
        """Blocks that normalise first, and a tied output."""

        def __init__(self) -> None:
            super().__init__()
            self.tables = [layers.Embedding(VOCABULARY, WIDTH) for _ in range(2)]
            self.waves = positions()
            self.blocks = {
                f"{half}.layers.{number}": self._block(half == "decoder")
                for half in ("encoder", "decoder")
                for number in range(LAYERS)
            }
            self.ends = [layers.LayerNormalization(epsilon=EPSILON) for _ in range(2)]

        def _block(self, looks_back: bool) -> list[Any]:
            heads = [
                layers.MultiHeadAttention(HEADS, WIDTH // HEADS) for _ in range(1 + looks_back)
            ]
            norms = [layers.LayerNormalization(epsilon=EPSILON) for _ in range(2 + looks_back)]
            dense = [layers.Dense(4 * WIDTH, keras.activations.gelu), layers.Dense(WIDTH)]
            return [*heads, *norms, *dense]

        def call(self, inputs: Any) -> Any:
            source, previous = inputs
            x, y = (
                table(numbers) * math.sqrt(WIDTH) + self.waves
                for table, numbers in zip(self.tables, (source, previous), strict=True)
            )
            for path, block in self.blocks.items():
                if path.startswith("encoder"):
                    own, first, second, wide, narrow = block
                    z = first(x)
                    x = x + own(z, z)
                    x = x + narrow(wide(second(x)))
            memory = self.ends[0](x)
            for path, block in self.blocks.items():
                if path.startswith("decoder"):
                    own, other, first, second, third, wide, narrow = block
                    z = first(y)
                    y = y + own(z, z, use_causal_mask=True)
                    y = y + other(second(y), memory)
                    y = y + narrow(wide(third(y)))
            return ops.matmul(self.ends[1](y), ops.transpose(self.tables[1].embeddings))

    source, previous, target = tokens()
    model = Network()
    model([source, previous])
    for table, path in zip(model.tables, ("entrance.tokens.weight", "tokens.weight"), strict=True):
        table.set_weights([weight(path, (VOCABULARY, WIDTH))])
    for path, block in model.blocks.items():
        names = ["self_attn", "multihead_attn"] if len(block) == 7 else ["self_attn"]
        for name, heads in zip(names, block, strict=False):
            heads.set_weights(_of_heads(f"{path}.{name}"))
        for name, dense in (("linear1", block[-2]), ("linear2", block[-1])):
            shape = tuple(dense.kernel.shape)
            dense.set_weights([weight(f"{path}.{name}.weight", shape), np.zeros(shape[1])])
    model.compile(
        keras.optimizers.Adam(RATE, epsilon=1e-8),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return lambda: (float(model.train_on_batch([source, previous], target)),)


def _of_heads(path: str) -> list[Array]:
    """The weights of Keras's attention: a kernel with heads and a bias, for q, k, v and out."""
    parts = []
    for letter in ("q", "k", "v", "out"):
        shape = (
            (WIDTH, HEADS, WIDTH // HEADS) if letter != "out" else (HEADS, WIDTH // HEADS, WIDTH)
        )
        kernel = weight(f"{path}.{letter}_proj.weight", (WIDTH, WIDTH)).reshape(shape)
        parts += [kernel, np.zeros(shape[1:] if letter != "out" else WIDTH)]
    return parts


SYSTEMS: dict[str, Callable[[str], Call | None]] = {
    "chainrule": with_chainrule, "PyTorch": with_pytorch, "JAX": with_jax, "Keras": with_keras,
}  # fmt: skip


def main() -> None:
    """Measure, print, and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", choices=SYSTEMS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peers", default=sys.executable, help="the Python that has them")
    parser.add_argument("--only", metavar="PEER", nargs="+", help="these peers")
    parser.add_argument("--quick", action="store_true", help="two rounds; writes nothing")
    options = parser.parse_args()
    if options.worker:
        work(lambda number: SYSTEMS[options.worker](TASKS[number]))
        return
    from .machine import description
    from .report import table, today, write_section

    bind_processors(options.threads)
    peers = [name for name in SYSTEMS if name != "chainrule"]
    pythons = {"chainrule": sys.executable} | dict.fromkeys(options.only or peers, options.peers)
    found = in_turns("seq2seq", pythons, len(TASKS), 2 if options.quick else 5, options.threads)
    rows = []
    for task, each in zip(TASKS, found, strict=True):
        ours = each.pop("chainrule")
        counted = ROWS * (TARGET + (SOURCE if task.startswith(TASKS[0]) else 0))
        rows.append([task, "chainrule", f"{counted / np.median(ours[:, 0]):,.0f}", "1.00"])
        for name, theirs in each.items():
            apart = APART[task.endswith(NARROW)]
            assert np.allclose(ours[0, 1], theirs[0, 1], rtol=apart), f"{name}: something else"
            speed = f"{counted / np.median(theirs[:, 0]):,.0f}"
            rows.append([task, name, speed, f"{ratio_to(ours, theirs):.2f}"])
    lines = table(["", "", "tokens/s", "times as long"], rows)
    print("\n".join(lines))
    if not options.quick:
        about = f"{today()}, {description(options.threads)}. `benchmarks/seq2seq.py`."
        write_section("Encoder–decoder transformer", "\n".join([about, "", *lines]))


if __name__ == "__main__":
    main()
