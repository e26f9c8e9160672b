"""The base of layers and networks."""

from __future__ import annotations

import functools
import hashlib
import inspect
import itertools
import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..engine import pytree
from ..engine.ops import random
from ..engine.source_info import layer_names
from ..engine.tensor import Parameter, Tensor, Variable, tracing
from ..errors import ChainruleError, ConfigError, ShapeError, TypeRuleError
from ..utils.typing import Array
from .hooks import active_observers
from .summary import Summary, summarize


class _Call:
    """One call of a module: what the modules inside it inherit."""

    __slots__ = ("_name", "draws", "key", "last", "module", "outer", "train")

    def __init__(
        self, module: Module, outer: Module | None, train: bool, key: Tensor | None
    ) -> None:
        self.module, self.outer = module, outer
        self._name: str | None = None
        self.train = train
        self.key = key
        self.draws = 0  # how many layers have drawn a key of their own
        # The last result of a module inside, and the modules, outer to inner, that it came from.
        self.last: tuple[Any, tuple[Module, ...]] = (None, ())

    def name(self) -> str:
        """The path of the module in the one that calls it; found when it is asked for."""
        if self._name is None:
            self._name = _name_in(self.outer, self.module)
        return self._name


class _Calls(threading.local):
    def __init__(self) -> None:
        self.stack: list[_Call] = []


_calls = _Calls()

#: The modules that traces called: a change of their attributes makes programs out of date.
_traced: weakref.WeakSet[Module] = weakref.WeakSet()


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
        stack, names = _calls.stack, layer_names()
        outer = stack[-1] if stack else None
        if outer is None:
            call = _Call(self, None, bool(train), key)
        else:
            train = outer.train if train is None else bool(train)
            key = outer.key if key is None else key
            call = _Call(self, outer.module, train, key)
        if tracing.record is not None:
            tracing.record.modules[self] = None
            _traced.add(self)
        kind: Any = type(self)
        takes_train, takes_key = _accepts(kind)
        if takes_train:
            options["train"] = call.train
        if takes_key:
            options["key"] = _draw(key)
        stack.append(call)
        try:
            names.append(call.name)
            try:
                result = self._located(inputs, options)
            finally:
                names.pop()
            for observer in active_observers():
                observer(_path([one.module for one in stack]), self, inputs, result)
        finally:
            stack.pop()
        if outer is not None:
            made, chain = call.last
            outer.last = result, (self, *chain) if made is result else (self,)
        return result

    def _located(self, inputs: Any, options: dict[str, Any]) -> Any:
        """Run `forward`; an error gets the path of the innermost layer, and whose output it got."""
        try:
            return self.forward(*inputs, **options)
        except ChainruleError as error:
            if error.where is None:
                error.where = f"layer {_describe([call.module for call in _calls.stack])}"
                source = _source_of(inputs)
                if source and isinstance(error, ShapeError) and error.found:
                    error.found += f", from {source}"
            raise

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """A parametrised parameter: what is computed in its place now."""
            found = self.__dict__.get("parametrizations", {}).get(name)
            if found is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return found()

    def __setattr__(self, name: str, value: Any) -> None:
        old = self.__dict__.get(name)
        if name in self.__dict__.get("parametrizations", {}):
            raise TypeRuleError(
                f"{name} of {type(self).__name__} is computed by a parametrisation.",
                found=self.__dict__["parametrizations"][name].title(),
                hint="Call chainrule.nn.remove_parametrization first.",
            )
        if isinstance(old, Variable) and not (
            value is None or isinstance(value, (Variable, Module))
        ):
            kind = "parameter" if isinstance(old, Parameter) else "buffer"
            raise TypeRuleError(
                f"{name} of {type(self).__name__} is a {kind}, which this would remove.",
                expected="another parameter or buffer, a module, or None",
                found=str(value.type) if isinstance(value, Tensor) else type(value).__name__,
                hint=f"Change its value with {name}.assign(…).",
            )
        if (
            old is not value
            and self in _traced
            and (isinstance(value, Variable) or not isinstance(value, Tensor))
        ):
            pytree.changes.count += 1  # what was compiled with the old one is made anew
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        pytree.changes.count += self in _traced
        super().__delattr__(name)

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

    # ---- initial values --------------------------------------------------------------------------

    def initialize(self, seed: int) -> Self:
        """Redraw all variables of the layers, as a function of the seed and their paths only.

        The order in which the layers were made does not matter. Parameters made with `cr.parameter`
        from given numbers keep their values; running statistics start again.

        Returns:
            The module itself, so that ``model = Net().initialize(0)`` can be written.

        Example:
            >>> import chainrule as cr
            >>> a, b = (cr.nn.Linear(2, 3).initialize(7) for _ in range(2))
            >>> bool((a.weight == b.weight).all())
            True
        """
        root = random.key(seed)
        for path, variable in self.variables().items():
            if variable.initial is not None:
                digest = hashlib.blake2b(path.encode(), digest_size=8).digest()
                key = random.fold_in(root, int.from_bytes(digest, "little", signed=True))
                variable.assign(variable.initial(key, variable.shape, variable.dtype))
        for _, module in self.named_modules():
            module.redrawn()
        return self

    def redrawn(self) -> None:
        """What a layer does after its variables were drawn, if they depend on one another."""

    def summary(self, *examples: Any) -> Summary:
        """A table of the layers: paths, output shapes and parameter counts.

        Args:
            examples: the inputs of a call, or their shapes as tuples (of float32), the batch axis
                included; nothing is computed. Without any the table has no output shapes.

        Example:
            >>> import chainrule as cr
            >>> net = cr.nn.Sequential(cr.nn.Linear(3, 4), cr.nn.ReLU(), cr.nn.Linear(4, 1))
            >>> net.summary((8, 3))
            Sequential: 21 parameters, 84 B
            path      layer         output  parameters
            layers.0  Linear(3, 4)  (8, 4)          16
            layers.1  ReLU()        (8, 4)           0
            layers.2  Linear(4, 1)  (8, 1)           5
        """
        return summarize(self, *examples)

    # ---- state ---------------------------------------------------------------------------------

    def state(self) -> dict[str, Array]:
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
                raise ShapeError(
                    "The state belongs to another network.",
                    where=path,
                    expected=str(variable.shape),
                    found=str(np.shape(state[path])),
                )
        for path, variable in variables.items():
            variable.assign(np.asarray(state[path]).astype(variable.dtype, copy=False))

    def to(self, dtype: Any) -> Self:
        """The same module with its floating-point variables of another element type."""
        for variable in self.variables().values():
            if variable.type.is_float:
                variable._set(variable.numpy().astype(dtype), variable.node.watched)
        return self

    def extra_repr(self) -> str:
        """What `repr` shows besides the class: sizes and options."""
        return ""

    def children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly inside this one, with their paths; one that is used twice, twice."""
        yield from _children(self.__dict__)

    def title(self) -> str:
        """The class with sizes and options, in one line."""
        return f"{type(self).__name__}({self.extra_repr()})"

    def _repr_html_(self) -> str:
        """The layers with their parameters, for notebooks."""
        from ..drawing.blocks import Table
        from ..drawing.notebook import fragment

        rows = []
        for path, module in self.named_modules():
            own = [v for name, v in module.parameters().items() if "." not in name]
            if own or not list(module.children()):
                shapes = ", ".join("×".join(map(str, v.shape)) or "1" for v in own)
                rows.append((path or "–", module.title(), shapes, f"{sum(v.size for v in own):,}"))
        total = sum(v.size for v in self.parameters().values())
        table = Table(("path", "layer", "shapes", "#parameters"), tuple(rows))
        return fragment(f"{type(self).__name__}: {total:,} parameters", [table])

    def __repr__(self) -> str:
        lines = [f"({path}): {child!r}" for path, child in self.children()]
        if not lines:
            return self.title()
        inside = "\n".join(filter(None, [self.extra_repr(), *lines])).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {inside}\n)"


@functools.cache
def _accepts(kind: Any) -> tuple[bool, bool]:
    """Whether the `forward` of a class takes ``train``, and ``key``."""
    parameters = inspect.signature(kind.forward).parameters
    return "train" in parameters, "key" in parameters


def _draw(key: Tensor | None) -> Tensor | None:
    """A key of its own for a layer: that of the outermost call and a running number."""
    if key is None:
        return None
    owner = _calls.stack[0] if _calls.stack else None
    if owner is None:
        return random.fold_in(key, 0)
    owner.draws += 1
    return random.fold_in(key, owner.draws)


def _path(modules: list[Module]) -> str:
    """The path of the last of the modules, each of which is inside the one before it."""
    return ".".join(_name_in(outer, inner) for outer, inner in itertools.pairwise(modules))


def _describe(modules: list[Module]) -> str:
    return f"{_path(modules)} {modules[-1].title()}".lstrip()


def _source_of(inputs: tuple[Any, ...]) -> str:
    """The layer whose result is among the inputs of the innermost call, if there is one."""
    for depth in range(len(_calls.stack) - 1, 0, -1):
        result, chain = _calls.stack[depth - 1].last
        if chain and any(result is one for one in inputs):
            return _describe([*(call.module for call in _calls.stack[:depth]), *chain])
    return ""


def _name_in(outer: Module | None, module: Module) -> str:
    if outer is None:
        return ""
    for path, found in _walk(outer, "", set()):
        if found is module:
            return path
    return type(module).__name__


def _children(found: Any) -> Iterator[tuple[str, Module]]:
    for name, child in found.items() if isinstance(found, dict) else enumerate(found):
        if isinstance(child, Module):
            yield str(name), child
        elif isinstance(child, (dict, list, tuple)):
            yield from ((f"{name}.{path}", inner) for path, inner in _children(child))


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
