"""The page's own arithmetic, under Node.js: every operation beside NumPy."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.engine.ops
from chainrule.engine.ir import OPERATIONS, Graph, Node
from chainrule.engine.ir.node import placeholder
from chainrule.engine.ir.program import Program
from chainrule.engine.ir.serialize import encode, to_json
from chainrule.engine.ir.types import type_of
from chainrule.explain.html.page import arithmetic_script

Array = np.ndarray[Any, Any]

#: What LAPACK computes, a page does not: it says so by name.
LAPACK = {
    "cholesky", "cofactors", "complement", "det", "matrix_exp", "pinv", "solve", "solve_triangular",
}  # fmt: skip
SAMPLED = {name: list(op.samples()) for name, op in dict(OPERATIONS).items() if name not in LAPACK}
#: Prints for each case the largest error, relative where numbers are large, or what went wrong.
COMPARE = """
const errors = CASES.map(({graph, inputs, expected}) => {
  try {
    const array = ([type, shape, items]) =>
      Graphs.make(type, shape, Float64Array.from(Graphs.decode(items)));
    const found = Graphs.outputs(Graphs.read(graph), inputs.map(array));
    let worst = 0;
    expected.map(array).forEach((y, i) => {
      const got = found[i];
      if (got.type !== y.type || String(got.shape) !== String(y.shape))
        throw new Error(`${got.type}[${got.shape}], expected ${y.type}[${y.shape}]`);
      if (got.data.length !== y.data.length) throw new Error(`${got.data.length} elements`);
      y.data.forEach((v, e) => {
        const w = got.data[e];
        if (Object.is(v, w) || v === w) return;
        const error = Math.abs(w - v) / Math.max(1, Math.abs(v));
        if (!Number.isFinite(error)) throw new Error(`element ${e} is ${w}, expected ${v}`);
        worst = Math.max(worst, error);
      });
    });
    return worst;
  } catch (error) { return String(error); }
});
console.log(JSON.stringify(errors));
"""


def array_data(array: Array) -> list[Any]:
    return [array.dtype.name, list(array.shape), [encode(item) for item in array.ravel().tolist()]]


def case(graph: Graph, inputs: list[Array]) -> dict[str, Any]:
    expected = Program(graph)(inputs)
    return {
        "graph": to_json(graph),
        "inputs": [array_data(x) for x in inputs],
        "expected": [array_data(y) for y in expected],
    }


def doubled(x: Any) -> Array:
    array = np.asarray(x)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def compare(nodejs: str, cases: list[dict[str, Any]]) -> list[Any]:
    """The largest error of each case, or what went wrong."""
    script = f"{arithmetic_script()}\nconst CASES = {json.dumps(cases)};\n{COMPARE}"
    done = subprocess.run(
        [nodejs, "-"], input=script, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_every_operation_on_its_samples(nodejs: str) -> None:
    cases, names = [], []
    for name, samples in SAMPLED.items():
        for sample in samples:
            arrays = [doubled(x) for x in sample.inputs]
            leaves = [placeholder(type_of(x), "x", 0) for x in arrays]
            op = OPERATIONS[name]
            result = op.type_rule(*map(type_of, arrays), **sample.attributes)
            node = Node(op, tuple(leaves), sample.attributes, result)
            cases.append(case(Graph(leaves, [node]), arrays))
            names.append(name)
    errors = compare(nodejs, cases)
    wrong = {
        f"{name} {number}": error
        for number, (name, error) in enumerate(zip(names, errors, strict=True))
        if isinstance(error, str) or error > 1e-12
    }
    assert not wrong


def recurrent(w: cr.Tensor, u: cr.Tensor, x: cr.Tensor) -> cr.Tensor:
    def step(h: cr.Tensor, now: cr.Tensor) -> tuple[cr.Tensor, cr.Tensor]:
        h = cr.tanh(h @ w + now @ u)
        return h, h

    _, states = cr.scan(step, cr.zeros((2, 3), "float64"), x)
    return (states**2).mean()


def image(w: cr.Tensor, v: cr.Tensor, x: cr.Tensor) -> cr.Tensor:
    y = cr.max_pool(cr.relu(cr.conv2d(x, w, padding="same")), 2)
    return -cr.log_softmax(y.reshape(x.shape[0], -1) @ v)[:, 1].mean()


def attention(q: cr.Tensor, k: cr.Tensor, x: cr.Tensor) -> cr.Tensor:
    scores = cr.softmax((x @ q) @ cr.transpose(x @ k, (0, 2, 1)) / 2.0)
    return cr.gelu(scores @ x).sum()


def one_operation(q: cr.Tensor, k: cr.Tensor, x: cr.Tensor) -> cr.Tensor:
    """Attention with nothing that would have to be broadcast: one node, and its gradients one."""
    y = cr.scaled_dot_product_attention(x @ q, x @ k, x, causal=True)
    return (y**2).sum()


def masked(q: cr.Tensor, k: cr.Tensor, x: cr.Tensor) -> cr.Tensor:
    """Hidden keys, one sequence without any, numbers that are added, and dropout."""
    hidden = np.array([[[True, False, True, True, False]], [[False] * 5]])
    y = cr.scaled_dot_product_attention(x @ q, x @ k, x, hidden, causal=True)
    added = np.array([[0.0], [1.0], [-np.inf], [2.0], [3.0]])
    z = cr.scaled_dot_product_attention(x @ q, x @ k, x, added, dropout=0.4, key=cr.random.key(2))
    return (y**2 + z).sum()


@pytest.mark.parametrize(
    ("loss", "shapes"),
    [
        (recurrent, [(3, 3), (2, 3), (5, 2, 2)]),
        (image, [(3, 3, 2, 4), (36, 3), (2, 6, 6, 2)]),
        (attention, [(4, 4), (4, 4), (2, 5, 4)]),
        (one_operation, [(4, 4), (4, 4), (2, 5, 4)]),
        (masked, [(4, 4), (4, 4), (2, 5, 4)]),
    ],
)
def test_networks_and_their_gradients(
    nodejs: str, loss: Any, shapes: list[tuple[int, ...]]
) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in shapes]
    graph = cr.trace(cr.value_and_grad(loss, (0, 1)), *arrays).graph
    (error,) = compare(nodejs, [case(graph, arrays)])
    assert error <= 1e-12
