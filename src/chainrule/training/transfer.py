"""Transfer learning: a network is initialised from one that is trained.

Yosinski et al., "How transferable are features in deep neural networks?", NeurIPS 2014: the first
layers serve other tasks of the same kind, the last layer is replaced.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..nn import Module
from ..serialization import SavedModel, load

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Transferred:
    """What `transfer` did, by the paths of variables.

    Attributes:
        taken: have the values of the source now.
        different: are in both, but with shapes (here, there) that do not fit; they stay as they
            were.
        new: are in the model only, or were to be left out; they stay as they were.
        unused: are in the source only.
        frozen: are not trained from now on.
        numbers: how many elements were taken.
    """

    taken: tuple[str, ...]
    different: Mapping[str, tuple[Shape, Shape]] = field(default_factory=dict)
    new: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    numbers: int = 0

    def sentences(self) -> list[str]:
        """The same in words, layer by layer."""
        said = [f"taken over: {_layers(self.taken)} ({self.numbers:,} numbers)"]
        if self.new:
            said.append(f"newly initialised: {_layers(self.new)}")
        for path, (here, there) in self.different.items():
            said.append(f"newly initialised: {path}, as its shape is {here} here and {there} there")
        if self.unused:
            said.append(f"not used of the other model: {_layers(self.unused)}")
        if self.frozen:
            said.append(f"frozen: {_layers(self.frozen)}")
        return said

    def __str__(self) -> str:
        return "\n".join(self.sentences())


def transfer(
    model: Module,
    source: str | os.PathLike[str] | SavedModel | Module | Mapping[str, Any],
    *,
    skip: Sequence[str] = (),
    freeze: Sequence[str] = (),
) -> Transferred:
    """Copy the variables of another model wherever path and shape match.

    All others, such as the head for new classes, keep their initial values.

    Args:
        model: the network to give values to, in place.
        source: a model file, what `chainrule.load` gave, a module, or arrays by path.
        skip: parts that are newly initialised even where they fit, such as ``("head",)``.
        freeze: parts that are not to be trained; see `freeze_parts`.

    Returns:
        What was taken over and what was not.

    Raises:
        ConfigError: nothing fits, or there is no such part. The model is as it was, then.

    Example:
        >>> import chainrule as cr
        >>> class Net(cr.nn.Module):
        ...     def __init__(self, classes):
        ...         self.body = cr.nn.Linear(4, 8)
        ...         self.head = cr.nn.Linear(8, classes)
        >>> old, new = Net(10).initialize(0), Net(3).initialize(1)
        >>> print(cr.transfer(new, old, freeze=["body"]))
        taken over: body (40 numbers)
        newly initialised: head.weight, as its shape is (8, 3) here and (8, 10) there
        newly initialised: head.bias, as its shape is (3,) here and (10,) there
        frozen: body
    """
    values = _values(source)
    variables = model.variables()
    skipped = {path for part in skip for path in _inside(variables, part)}
    frozen = {path for part in freeze for path in _inside(model.parameters(), part)}
    shared = [path for path in variables if path in values and path not in skipped]
    different = {
        path: (variables[path].shape, np.shape(values[path]))
        for path in shared
        if variables[path].shape != np.shape(values[path])
    }
    taken = [path for path in shared if path not in different]
    if not any(variables[path].size for path in taken):
        raise _nothing_fits(variables, values)
    freeze_parts(model, freeze)  # first, as it may refuse
    for path in taken:
        variables[path].assign(np.asarray(values[path]).astype(variables[path].dtype, copy=False))
    return Transferred(
        taken=tuple(taken),
        different=different,
        new=tuple(path for path in variables if path not in shared),
        unused=tuple(path for path in values if path not in variables),
        frozen=tuple(path for path in variables if path in frozen),
        numbers=sum(variables[path].size for path in taken),
    )


def _nothing_fits(variables: Mapping[str, Any], values: Mapping[str, Any]) -> ConfigError:
    return ConfigError(
        "No variable of the other model fits this one.",
        expected=f"variables such as {_some(variables)}",
        found=f"{_some(values)}",
        hint="Both need the same layers with the same names and sizes.",
    )


def freeze_parts(model: Module, parts: Iterable[str]) -> None:
    """Freeze parts of a model, which prunes the backward pass.

    Args:
        model: whose parameters are frozen.
        parts: names that occur in their paths, such as ``layers.0``, which stands for
            ``network.layers.0.weight`` as well as for ``layers.0.bias``.

    Raises:
        ConfigError: there is no such part, or nothing is left to learn.
    """
    parameters = model.parameters()
    found = {path for part in parts for path in _inside(parameters, part)}
    if found and all(path in found for path in model.trainable_parameters()):
        raise ConfigError(
            "With all layers frozen there is nothing to learn.",
            expected="at least one layer that is not frozen",
            found=f"frozen: {_layers(sorted(found))}",
        )
    for path in found:
        parameters[path].requires_grad = False


def _values(source: Any) -> Mapping[str, Any]:
    if isinstance(source, Mapping):
        return source
    model = source if isinstance(source, (SavedModel, Module)) else load(source)
    return model.state()


def _inside(variables: Mapping[str, Any], part: str) -> list[str]:
    """The paths in which the part occurs as a run of complete names."""
    found = [path for path in variables if f".{part.strip('.')}." in f".{path}."]
    if not found:
        raise ConfigError(
            f"There is no layer {part!r}.",
            expected=_layers(tuple(variables)),
            hint="`chainrule summary MODEL` shows the layers of a model.",
        )
    return found


def _layers(paths: Sequence[str]) -> str:
    """The layers of these variables, each once."""
    return ", ".join(dict.fromkeys(path.rpartition(".")[0] or path for path in paths))


def _some(paths: Iterable[str], most: int = 6) -> str:
    listed = list(paths)
    return ", ".join(listed[:most]) + (", …" if len(listed) > most else "") or "nothing"
