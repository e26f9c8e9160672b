"""Compute the stored references with PyTorch, a system independent of chainrule.

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch keras numpy
    /tmp/torch/bin/python tests/references/make_references.py

All is computed in float64 on one thread from inputs that NumPy draws with a fixed seed. Other
processors round other last digits: an item that differs from the stored one by rounding only stays
as it is stored, so that a second run writes the same files anywhere, and a diff shows what changed.
No result in them is typed by hand. Where PyTorch lacks a function, `sources/` writes it out in
PyTorch.

A **tensor** is `{"dtype": "float64" | "int64" | "bool", "shape": [...], "data": [...]}`, its data
row by row, floats in the shortest text that gives the same float64, infinities and NaN as the
strings "inf", "-inf" and "nan". `numpy.array(t["data"], t["dtype"]).reshape(t["shape"])` reads it.

`operations.json`: `{"made_with": {...}, "cases": [case, ...]}`, each case

    module   "ops" or "losses": the function is chainrule.<module>.<name>
    name     chainrule's name: NumPy's where NumPy has the function, otherwise PyTorch's
    case     what sets it apart from the others of its name; it starts with "kink:" where the
             function has no derivative and a convention (PyTorch's) is recorded
    inputs   the positional arguments: tensors, lists of tensors (concatenate) or strings (einsum)
    attrs    the keyword arguments: numbers, strings, null for None, lists for tuples, tensors;
             an index's slice is {"slice": [start, stop, step]}, its ellipsis "..."
    output   a tensor, or a list of tensors where the function gives several
    weights  like output: the fixed weights of each differentiable output, null for the others
    grads    like inputs: the gradient of sum(output * weights) for each float input; null where
             there is none, or PyTorch gives none

Outputs have PyTorch's dtype; indices are int64. Every gradient outside the kinks was compared with
central differences before it was stored.

`convolution.json`: the same for convolution, pooling and resizing.

`optimizers.json`: `problem` holds the data `x`, `y` of sources/optimizers.py and its parameters
`w`, `b` before the first step; `trajectories`, for each optimizer and choice of `attrs` (PyTorch's
names), the parameters after steps 1, 2, 3, 10 and 100; `clippings`, gradients before and after
clipping, and their norm before. Lion, which PyTorch lacks, is that of Keras.

`schedules.json`: `rates[t]` is the learning rate of update t, t = 0 ... 49, with the base rate
`lr`; the schedule moves on after each update, ReduceLROnPlateau with `metrics[t]`.

`sequences.json`: cases of recurrent layers and transformers, `layers.json` of containers and of
layers for images that are no single function, each

    layer        chainrule's name of the layer; `options` make it, `sizes` first, by position; one
                 that is inside of another is {"layer": its name, **its options}
    case         what sets it apart from the others of the layer
    state        the parameters by chainrule's path, in chainrule's layout
    inputs       the differentiable arguments: sequences, then the initial state
    constants    the other arguments: lengths, mask, causal
    outputs      what it gives, the final state included
    weights      like outputs: the gradients are those of sum(output * weights) over all outputs
    input_grads  like inputs
    state_grads  like state

`pytorch_samples.json`: PyTorch's own samples of its operations, those in the first table of
docs/from_pytorch.md; sources/pytorch_samples.py says how they are chosen and rounded.
`input`, `args` and `kwargs` are the call, where `f` are numbers in thousandths, `i` integers and
`b` booleans of a tensor, `grad` says that it is differentiated; `output` and `grads` are all
numbers of small tensors, or three weighted sums; `smooth` says which outputs are in the sum that
is differentiated. It needs expecttest, too.

`explanations.json`: whole training steps; sources/explanations.py says what is in them.

`initialisation.json`: `gains` by nonlinearity, and in `draws`, for weights of shape (out, in), what
each initialiser draws with: `low` and `high` of the uniform, `mean` and `std` of the normal
distribution.
"""

import json
import math
import os
import re
import sys
from pathlib import Path
from typing import Any

if os.environ.get("PYTHONHASHSEED") != "0":  # some of PyTorch's samples come in the order of a set
    settings = {"PYTHONHASHSEED": "0", "KERAS_BACKEND": "torch"}
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | settings)

import numpy as np
import torch
from sources import (
    convolution,
    elementwise,
    explanations,
    initialisation,
    layers,
    linear_algebra,
    losses,
    modules,
    optimizers,
    pytorch_samples,
    reductions,
    schedules,
    sequences,
    shapes,
)
from sources.cases import SEED, encode

HERE = Path(__file__).parent
MADE_WITH = {"torch": torch.__version__, "numpy": np.__version__, "seed": SEED}
FLOAT = re.compile(r"-?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+)")
#: Rounding, after up to 100 steps of an optimizer.
ROUNDING = 1e-11


def write(name: str, **parts: Any) -> None:
    """Write one item of a list a line, so that a diff shows which cases changed."""
    text = ",\n".join(f"{dump(key)}: {part(value)}" for key, value in parts.items())
    path = HERE / name
    stored = path.read_text(encoding="utf-8") if path.exists() else ""
    lines, changed = as_stored(f"{{\n{text}\n}}".split("\n"), stored.split("\n"))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB, {changed} lines are new")


def as_stored(lines: list[str], stored: list[str]) -> tuple[list[str], int]:
    """The lines, as they are stored where only rounding sets them apart; how many are new."""
    alike: dict[str, list[str]] = {}
    for line in stored:
        alike.setdefault(without_numbers(line), []).append(line)
    found = []
    changed = 0
    for line in lines:
        same = [old for old in alike.get(without_numbers(line), []) if is_rounding(line, old)]
        end = "," if line.endswith(",") else ""
        found.append(same[0].removesuffix(",") + end if same else line)
        changed += not same
    return found, changed


def without_numbers(line: str) -> str:
    return FLOAT.sub("#", line.removesuffix(","))


def is_rounding(line: str, old: str) -> bool:
    pairs = zip(FLOAT.findall(line), FLOAT.findall(old), strict=True)
    return all(
        a == b or math.isclose(float(a), float(b), rel_tol=ROUNDING, abs_tol=ROUNDING)
        for a, b in pairs
    )


def part(value: Any) -> str:
    if not isinstance(value, list):
        return dump(value)
    return "[\n" + ",\n".join(dump(item) for item in value) + "\n]"


def dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)


def main() -> None:
    torch.set_num_threads(1)
    subjects = (elementwise, reductions, linear_algebra, shapes, layers, losses)
    families = [*(subject.ops for subject in subjects), losses.losses]
    cases = [case for family in families for case in family.cases]
    labels = [(case["module"], case["name"], case["case"]) for case in cases]
    if twice := {label for label in labels if labels.count(label) > 1}:
        sys.exit(f"two cases have the same name: {sorted(twice)}")
    write("operations.json", made_with=MADE_WITH, cases=cases)
    write("convolution.json", made_with=MADE_WITH, cases=convolution.ops.cases)
    write(
        "optimizers.json",
        made_with=MADE_WITH | {"keras": optimizers.keras.__version__},
        problem={key: encode(value) for key, value in optimizers.problem().items()},
        trajectories=list(optimizers.trajectories()),
        clippings=list(optimizers.clippings()),
    )
    write("schedules.json", made_with=MADE_WITH, sequences=list(schedules.sequences()))
    write("sequences.json", made_with=MADE_WITH, cases=list(sequences.cases()))
    write("layers.json", made_with=MADE_WITH, cases=list(modules.cases()))
    write("explanations.json", made_with=MADE_WITH, steps=list(explanations.steps()))
    write(
        "initialisation.json",
        made_with=MADE_WITH,
        gains=list(initialisation.gains()),
        draws=list(initialisation.facts()),
    )
    write("pytorch_samples.json", made_with=MADE_WITH, samples=list(pytorch_samples.samples()))
    functions = {label[:2] for label in labels}
    print(f"{len(cases)} cases of {len(functions)} functions")


if __name__ == "__main__":
    main()
