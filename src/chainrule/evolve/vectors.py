"""Parameters in lists, dicts and modules as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..engine import pytree
from ..engine.ops import reshape
from ..engine.tensor import Parameter, Tensor, as_tensor, standing_in
from ..errors import ConfigError, TypeRuleError
from ..nn import Module
from ..utils.typing import Array


class Layout:
    """Where the numbers of a tree are in one vector.

    Args:
        tree: numbers, arrays and tensors, alone or in lists, tuples and dicts. Python's numbers are
            float64.

    Raises:
        ConfigError: there is nothing to be searched for, or a number is not finite.
        TypeRuleError: something in it is not made of floating-point numbers.
    """

    def __init__(self, tree: Any) -> None:
        tree = np.asarray(tree, np.float64) if _is_plain(tree) else tree
        leaves, self._rebuild, _ = pytree.flatten(tree)
        arrays = [_array(leaf) for leaf in leaves]
        self._shapes = [array.shape for array in arrays]
        self._dtypes = [array.dtype for array in arrays]
        self._sizes = [array.size for array in arrays]
        if not sum(self._sizes):
            raise ConfigError("There is nothing to search for.",
                              expected="a start with at least one number",
                              found=repr(tree)[:80])  # fmt: skip
        self.dtype = np.result_type(*self._dtypes)
        #: The numbers of the tree.
        self.start: Array = np.concatenate([a.astype(self.dtype).reshape(-1) for a in arrays])
        if not np.isfinite(self.start).all():
            raise ConfigError("The start is not finite.", expected="finite numbers",
                              found=f"{(~np.isfinite(self.start)).sum()} that are not")  # fmt: skip

    def tree(self, vector: Tensor) -> Any:
        """A vector as a tree of tensors."""
        parts, begin = [], 0
        for shape, dtype, size in zip(self._shapes, self._dtypes, self._sizes, strict=True):
            part = reshape(vector[begin : begin + size], shape)
            parts.append(part.astype(dtype))
            begin += size
        return self._rebuild(parts)

    def arrays(self, vector: Array) -> Any:
        """The same of a known vector: a tree of arrays."""
        return pytree.map_leaves(lambda x: x.numpy(), self.tree(as_tensor(np.asarray(vector))))


def _is_plain(tree: Any) -> bool:
    """Python's numbers, or lists of nothing else."""
    if isinstance(tree, list | tuple):
        return bool(tree) and all(map(_is_plain, tree))
    return isinstance(tree, int | float) and not isinstance(tree, bool | np.generic)


def _array(leaf: Any) -> Array:
    if isinstance(leaf, int | float) and not isinstance(leaf, bool | np.generic):
        return np.asarray(leaf, np.float64)
    array = as_tensor(leaf).numpy()
    if array.dtype.kind != "f":
        raise TypeRuleError("Only floating-point numbers can be searched for.",
                            expected="float32 or float64", found=array.dtype.name)  # fmt: skip
    return array


class Weights(Layout):
    """The trainable parameters of a module as one vector."""

    def __init__(self, model: Module) -> None:
        self.parameters: dict[str, Parameter] = model.trainable_parameters()
        if not self.parameters:
            raise ConfigError("The model has no parameters to train.", found=model.title())
        super().__init__({path: p.numpy() for path, p in self.parameters.items()})

    @contextmanager
    def standing(self, vector: Tensor) -> Iterator[None]:
        """Meanwhile, in this thread, the module has these weights."""
        values = self.tree(vector)
        with standing_in({p: values[path].node for path, p in self.parameters.items()}):
            yield

    def assign(self, vector: Array) -> None:
        """Give the module these weights."""
        for path, array in self.arrays(vector).items():
            self.parameters[path].assign(array)
