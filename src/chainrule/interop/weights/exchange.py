"""Weights of other systems into a module, and those of a module in PyTorch's names."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from ... import nn
from ...engine.tensor import Tensor
from ...errors import ConfigError, ModelFileError, ShapeError
from ...models import GPT, gpt
from ...nn import Module
from ...utils.files import write_atomically
from ...utils.typing import Array
from ...utils.warned import warned
from .files import inner, read
from .flattening import found_in, need_said, with_order
from .layouts import Piece, gpt2_pieces, keras_pieces, pytorch_pieces

Say = Callable[[str], None]
#: What PyTorch's files have beside weights, and nobody needs here, by the end of the name.
_COUNTERS = ("num_batches_tracked", "attn.bias", "attn.masked_bias", "lm_head.weight")


def load(
    module: Module,
    source: Any,
    *,
    rename: Mapping[str, str] | None = None,
    flattened: Mapping[str, int] | None = None,
    partial: bool = False,
    say: Say = warned,
) -> Module:
    """Give a module the weights of the same network in PyTorch or Keras.

    Names are those of PyTorch: the layers of a `chainrule.nn.Sequential` are numbered, the others
    are called like the attributes; files of Keras number the layers of each class. Layouts are
    changed: images are channels last here, linear maps (in, out), queries, keys and values apart.

    Args:
        module: of the same layers.
        source: a file that `read` knows, or a dict of arrays by name, such as ``state_dict()``;
            tensors of PyTorch and JAX are arrays, too.
        rename: beginnings of names there, and what they are here: ``{"backbone.": "features."}``.
        flattened: layers of a module of one's own that take flattened images, with the channels
            of these; in a `Sequential` it is known.
        partial: leave variables as they are that the file does not have, or has in another shape,
            such as a head for other classes; they are said.
        say: takes notes; they are Python warnings without it.

    Returns:
        The module.

    Raises:
        ShapeError: an array is missing, unknown, or of another shape; nothing is changed then.
        ModelFileError: the file is none of those that are read, or holds more than data.
        ConfigError: it is not clear whether a layer takes flattened images.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> net = cr.nn.Sequential(cr.nn.Linear(2, 1))
        >>> theirs = {"0.weight": np.array([[1.0, 2.0]]), "0.bias": np.array([0.5])}
        >>> cr.weights.load(net, theirs)([[1.0, 1.0]]).tolist()
        [[3.5]]
    """
    arrays = _arrays(source)
    if any(name.startswith("layers/") for name in arrays):
        arrays = {n: a for n, a in arrays.items() if n.startswith("layers/")}
        pieces = keras_pieces(module)
    else:
        pieces = _pytorch(module, flattened)
    _assign(module, pieces, _renamed(arrays, rename or {}), partial, say)
    return module


def to_pytorch(module: Module, *, flattened: Mapping[str, int] | None = None) -> dict[str, Array]:
    """The weights in PyTorch's names and layouts: what ``load_state_dict`` of the same network
    takes, as NumPy arrays.

    Args:
        module: any; variables of modules of one's own keep name and layout.
        flattened: as for `load`.

    Example:
        >>> import chainrule as cr
        >>> {name: a.shape for name, a in cr.weights.to_pytorch(cr.nn.LSTM(2, 3)).items()}
        {'weight_ih_l0': (12, 2), 'weight_hh_l0': (12, 3), 'bias_ih_l0': (12,), 'bias_hh_l0': (12,)}
    """  # noqa: D205
    found = _joined(module, _pytorch(module, flattened))
    for name in list(found):
        if name.endswith("running_var"):  # PyTorch counts batches
            counter = name.removesuffix("running_var") + "num_batches_tracked"
            found[counter] = np.array(0, np.int64)
    return found


def save(
    path: str | os.PathLike[str],
    module: Module,
    *,
    names: str = "pytorch",
    flattened: Mapping[str, int] | None = None,
) -> None:
    """Write the weights as safetensors in the names and layouts of another system.

    In PyTorch: ``model.load_state_dict(safetensors.torch.load_file(path))``.

    Args:
        path: the file.
        module: any; for ``names="gpt2"`` a `chainrule.models.GPT`.
        names: "pytorch", or "gpt2" for those of Hugging Face's GPT-2.
        flattened: as for `load`.
    """
    if names == "pytorch":
        arrays = to_pytorch(module, flattened=flattened)
    elif names == "gpt2" and isinstance(module, GPT) and module.positions is not None:
        arrays = _joined(module, gpt2_pieces(module))
    else:
        raise ConfigError("Weights are not written in these names.",
                          expected="pytorch; gpt2 for a GPT with learned positions",
                          found=f"{names} for {type(module).__name__}")  # fmt: skip
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    contiguous = {n: c.reshape(arrays[n].shape) for n, c in contiguous.items()}
    write_atomically(path, safetensors.numpy.save(contiguous, {"format": "pt"}))


def gpt2(source: Any, *, heads: int | None = None, say: Say = warned) -> GPT:
    """GPT-2 with the weights of a file of Hugging Face.

    Args:
        source: ``model.safetensors`` (or its folder), a ``.bin`` or ``.pt`` file, or a dict of
            arrays.
        heads: of the attention. Without it what ``config.json`` beside the file says, otherwise
            one for 64 features, as in all sizes of GPT-2.
        say: takes notes.

    Raises:
        ShapeError: these are not the weights of a GPT-2.
    """
    where = Path(source) if isinstance(source, str | os.PathLike) else None
    if where is not None and where.is_dir():
        source = where = where / "model.safetensors"
    found = _arrays(source)
    arrays = {name.removeprefix("transformer."): array for name, array in found.items()}
    missing = [name for name in ("wte.weight", "wpe.weight", "h.0.mlp.c_fc.weight", "ln_f.weight")
               if name not in arrays]  # fmt: skip
    if missing or arrays["wte.weight"].ndim != 2:
        raise ShapeError("These are not the weights of a GPT-2.", expected=", ".join(missing),
                         found=", ".join(list(arrays)[:8]))  # fmt: skip
    vocabulary, width = arrays["wte.weight"].shape
    if heads is None:
        heads = _heads(where, width, say)
    layers = 1 + max(int(name.split(".")[1]) for name in arrays if name.startswith("h."))
    model = gpt(vocabulary, len(arrays["wpe.weight"]), width, heads, layers)
    for block in model.blocks.layers:
        block.activation = nn.GELU(approximate="tanh")
    head = arrays.get("lm_head.weight")
    if head is not None and not np.array_equal(head, arrays["wte.weight"]):
        raise ShapeError("The head of the model is not its embedding, as it is in GPT-2.",
                         where="lm_head.weight")  # fmt: skip
    _assign(model, gpt2_pieces(model), arrays, False, say)
    return model


def _heads(where: Path | None, width: int, say: Say) -> int:
    config = where.parent / "config.json" if where is not None else None
    if config is not None and config.is_file():
        try:
            heads = json.loads(config.read_text(encoding="utf-8")).get("n_head")
        except (ValueError, AttributeError, RecursionError):
            heads = None
        if type(heads) is int and heads > 0 and width % heads == 0:
            return heads
        raise ModelFileError("The configuration says nothing of heads.", where=str(config),
                             expected="n_head, which divides the width",
                             found=repr(heads))  # fmt: skip
    if width % 64:
        raise ConfigError("How many heads the attention has is not in the weights.",
                          expected="config.json beside the file", hint="Say heads=N.")  # fmt: skip
    say(f"a head for 64 features is assumed, {width // 64} in all, as in every size of GPT-2")
    return width // 64


# ---- parts of the above --------------------------------------------------------------------------


def _arrays(source: Any) -> dict[str, Array]:
    if isinstance(source, str | os.PathLike):
        return read(source)
    if not isinstance(source, Mapping):
        raise ConfigError("Weights come from a file or a dict of arrays.",
                          expected="a path, or model.state_dict()",
                          found=type(source).__name__)  # fmt: skip
    return inner({str(name): as_array(value, str(name)) for name, value in source.items()})


def as_array(value: Any, where: str) -> Array:
    """An array of any library, through NumPy's protocol or DLPack."""
    detach = getattr(value, "detach", None)  # parameters of PyTorch
    if isinstance(value, Tensor) or detach is None:
        return np.asarray(value)
    value = detach()
    try:
        return np.asarray(value.cpu())
    except TypeError:  # bfloat16, which NumPy lacks
        return np.asarray(value.float().cpu())


def _pytorch(module: Module, flattened: Mapping[str, int] | None) -> list[Piece]:
    inputs, outputs = found_in(module)
    if flattened is None:
        need_said(module, inputs)
    else:
        linear = {path for path, part in module.named_modules() if isinstance(part, nn.Linear)}
        if unknown := flattened.keys() - linear:
            raise ConfigError("There is no such linear layer.", expected=", ".join(sorted(linear)),
                              found=", ".join(sorted(unknown)))  # fmt: skip
        inputs |= {f"{path}.weight": channels for path, channels in flattened.items()}
    return [with_order(piece, inputs, outputs) for piece in pytorch_pieces(module)]


def _renamed(arrays: dict[str, Array], rename: Mapping[str, str]) -> dict[str, Array]:
    found = {}
    for name, array in arrays.items():
        front = max((f for f in rename if name.startswith(f)), key=len, default=None)
        found[name if front is None else rename[front] + name.removeprefix(front)] = array
    return found


def _assign(
    module: Module, pieces: list[Piece], arrays: dict[str, Array], partial: bool, say: Say
) -> None:
    """Check all, then change all."""
    variables = module.variables()
    theirs = {piece.theirs for piece in pieces}
    missing = [piece for piece in pieces if piece.theirs not in arrays]
    unknown = [n for n in arrays if n not in theirs and not n.endswith(_COUNTERS)]
    if (missing or unknown) and not partial:
        raise _other_names(missing, unknown)
    values: dict[str, Array] = {}
    kept = [piece.theirs for piece in missing]
    for piece in pieces:
        if piece.theirs in arrays:
            wrong = _fill(piece, arrays[piece.theirs], variables, values)
            if wrong is not None and not partial:
                raise wrong
            if wrong is not None:
                kept.append(piece.theirs)
    if partial and not values:
        raise _other_names(missing, unknown)
    if kept:
        say(f"left as they were: {', '.join(kept)}")
    if partial and unknown:
        say(f"not used: {', '.join(unknown)}")
    for path, value in values.items():
        variables[path].assign(value)


def _fill(
    piece: Piece, array: Array, variables: Mapping[str, Any], values: dict[str, Array]
) -> ShapeError | None:
    """Put the values of a piece into ``values``, or say what does not fit."""
    parts = piece.split(array) if array.ndim else [array]
    shapes = [variables[path].shape for path in piece.ours]
    if [part.shape for part in parts] != shapes:
        # Their layout of what is here, to be compared.
        blank = [np.zeros(shape, np.bool_) for shape in shapes]
        return ShapeError(
            "An array has another shape than in this module.",
            where=f"{piece.theirs} ({', '.join(piece.ours)} here)",
            expected=str(piece.join(blank).shape),
            found=str(array.shape),
            hint="The layers have other sizes there. partial=True leaves such out.",
        )
    for path, part in zip(piece.ours, parts, strict=True):
        dtype = variables[path].dtype
        if part.dtype.kind not in "fiub" or (part.dtype.kind != "f" and dtype.kind == "f"):
            return ShapeError("An array has no floating-point numbers.", where=piece.theirs,
                              expected=dtype.name, found=part.dtype.name)  # fmt: skip
        values[path] = np.ascontiguousarray(part, dtype).reshape(part.shape)
    return None


def _other_names(missing: list[Piece], unknown: list[str]) -> ShapeError:
    hint = "rename= changes beginnings of names, partial=True leaves out what is not there."
    if missing and unknown:
        near = difflib.get_close_matches(missing[0].theirs, unknown, n=1, cutoff=0.5)
        if near:
            hint = f"{missing[0].theirs} may be {near[0]} there: {hint}"
    return ShapeError(
        "The weights belong to another network.",
        expected=", ".join(piece.theirs for piece in missing)[:300] or "nothing else",
        found=", ".join(unknown)[:300] or "nothing else",
        hint=hint,
    )


def _joined(module: Module, pieces: list[Piece]) -> dict[str, Array]:
    values = {path: variable.numpy() for path, variable in module.variables().items()}
    return {piece.theirs: piece.join([values[name] for name in piece.ours]) for piece in pieces}
