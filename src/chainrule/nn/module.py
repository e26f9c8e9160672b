"""The base of layers and networks."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import ChainruleError, ConfigError, ShapeError
from ..ops.random import fold_in
from ..provenance import layer
from ..tensor import Parameter, Tensor, Variable


class _Call:
    """One call of a module: what the modules inside it inherit."""

    def __init__(self, module: Module, train: bool, key: Tensor | None) -> None:
        self.module = module
        self.train = train
        self.key = key
        self.draws = 0  # how many layers have drawn a key of their own


class _Calls(threading.local):
    def __init__(self) -> None:
        self.stack: list[_Call] = []


_calls = _Calls()


class Module:
    """A layer or network: variables and other modules as attributes, and a `forward` method.

    Parameters, buffers and modules are found in attributes, and in lists, tuples and dicts there;
    their path is the name of the attribute, such as ``layers.0.weight``.

    Whether a call trains is an argument, ``model(x, train=True, key=key)``; the modules that
    `forward` calls inherit it. A `forward` that wants it takes ``train`` (a bool) or ``key`` (a
    random key of its own, different for every call) as keyword arguments.

    Example:
        >>> import chainrule as cr
        >>> class Net(cr.nn.Module):
        ...     def __init__(self):
        ...         self.weight = cr.parameter([[1.0], [2.0]])
        ...     def forward(self, x):
        ...         return x @ self.weight
        >>> Net()(cr.tensor([[3.0, 4.0]])).tolist()
        [[11.0]]
    """

    def forward(self, *inputs: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(
        self, *inputs: Any, train: bool | None = None, key: Tensor | None = None, **options: Any
    ) -> Any:
        outer = _calls.stack[-1] if _calls.stack else None
        if outer is not None:
            train = outer.train if train is None else train
            key = outer.key if key is None else key
        call = _Call(self, bool(train), key)
        if _accepts(type(self), "train"):
            options["train"] = call.train
        if _accepts(type(self), "key"):
            options["key"] = _draw(key)
        _calls.stack.append(call)
        try:
            with layer(functools.partial(_name_in, outer.module if outer else None, self)):
                return self._located(inputs, options)
        finally:
            _calls.stack.pop()

    def _located(self, inputs: Any, options: dict[str, Any]) -> Any:
        """Run `forward`; an error about shapes gets the path of the innermost layer."""
        try:
            return self.forward(*inputs, **options)
        except ChainruleError as error:
            if error.where is None:
                error.where = f"layer {path_of_calls()} ({self!r})"
            raise

    # ---- variables by path -------------------------------------------------------------------

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all inside it, with their paths."""
        seen: set[int] = set()
        for path, found in _walk(self, prefix, seen):
            if isinstance(found, Module):
                yield path, found

    def variables(self) -> dict[str, Variable]:
        """All parameters and buffers by path; one that is used twice has its first path."""
        return {path: v for path, v in _walk(self, "", set()) if isinstance(v, Variable)}

    def parameters(self) -> dict[str, Parameter]:
        """The parameters by path, frozen ones included."""
        return {path: v for path, v in self.variables().items() if isinstance(v, Parameter)}

    def trainable_parameters(self) -> dict[str, Parameter]:
        """The parameters that are not frozen, by path."""
        return {path: p for path, p in self.parameters().items() if p.requires_grad}

    def freeze(self, *paths: str) -> None:
        """Stop learning the parameters whose path starts with one of these; all without any."""
        self._set_trainable(paths, False)

    def unfreeze(self, *paths: str) -> None:
        """Learn the parameters whose path starts with one of these; all without any."""
        self._set_trainable(paths, True)

    def _set_trainable(self, paths: tuple[str, ...], wanted: bool) -> None:
        parameters = self.parameters()
        for prefix in paths:
            if not any(_inside(path, prefix) for path in parameters):
                raise ConfigError(f"No parameter has the path {prefix!r}.",
                                  expected=", ".join(parameters))  # fmt: skip
        for path, parameter in parameters.items():
            if not paths or any(_inside(path, prefix) for prefix in paths):
                parameter.requires_grad = wanted

    # ---- state ---------------------------------------------------------------------------------

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """Copies of the values of all variables, by path."""
        return {path: variable.numpy().copy() for path, variable in self.variables().items()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Give all variables the values of `state`; paths and shapes must agree.

        Raises:
            ShapeError: a path is missing or unknown, or a shape differs. Nothing is changed then.
        """
        variables = self.variables()
        missing, unknown = variables.keys() - state.keys(), state.keys() - variables.keys()
        if missing or unknown:
            raise ShapeError(
                "The state belongs to another network.",
                expected=f"{', '.join(sorted(missing)) or 'nothing else'}",
                found=f"{', '.join(sorted(unknown)) or 'nothing else'}",
            )
        for path, variable in variables.items():
            if np.shape(state[path]) != variable.shape:
                raise ShapeError("The state belongs to another network.", where=path,
                                 expected=str(variable.shape), found=str(np.shape(state[path])))  # fmt: skip
        for path, variable in variables.items():
            variable.assign(np.asarray(state[path]).astype(variable.dtype, copy=False))

    def to(self, dtype: Any) -> Module:
        """The same module with its floating-point variables of another element type."""
        for variable in self.variables().values():
            if variable.type.is_float:
                variable._set(variable.numpy().astype(dtype), variable.node.watched)
        return self

    def extra_repr(self) -> str:
        """What a representation tells besides the class: sizes and options."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"


@functools.cache
def _accepts(kind: type[Module], name: str) -> bool:
    parameter = inspect.signature(kind.forward).parameters.get(name)
    return parameter is not None


def _draw(key: Tensor | None) -> Tensor | None:
    """A key of its own for a layer: that of the outermost call and a running number."""
    if key is None:
        return None
    owner = _calls.stack[0] if _calls.stack else None
    if owner is None:
        return fold_in(key, 0)
    owner.draws += 1
    return fold_in(key, owner.draws)


def path_of_calls() -> str:
    """The path, from the outermost module, of the layer that is being called."""
    names = []
    for outer, inner in zip(_calls.stack, _calls.stack[1:], strict=False):
        names.append(_name_in(outer.module, inner.module))
    return ".".join(filter(None, names)) or type(_calls.stack[0].module).__name__


def _name_in(outer: Module | None, module: Module) -> str:
    if outer is None:
        return ""
    for path, found in _walk(outer, "", set()):
        if found is module:
            return path
    return type(module).__name__


def _inside(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix.rstrip(".") + ".")


def _walk(found: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Every module and variable once, depth first, in the order of the attributes."""
    if isinstance(found, (Variable, Module)):
        if id(found) in seen:
            return
        seen.add(id(found))
        yield path, found
    if isinstance(found, Module):
        children = found.__dict__.items()
    elif isinstance(found, dict):
        children = found.items()
    elif isinstance(found, (list, tuple)):
        children = enumerate(found)  # type: ignore[assignment]
    else:
        return
    for name, child in children:
        yield from _walk(child, f"{path}.{name}" if path else str(name), seen)
