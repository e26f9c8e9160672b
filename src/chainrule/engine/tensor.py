"""The user's handle on a node.

Outside of a trace a tensor has its value at once (NumPy computes it), so that prints, errors and
debuggers work line by line. Inside a trace the same code leaves a graph of nodes without values.

**Who is watching.** A node keeps its inputs only if somebody may ask for a derivative by
something that it depends on; otherwise a long computation would keep all of its past alive.
``Node.watched`` is a set of bits: bit 0 for parameters (``requires_grad=True``), bit k for the
k-th nested call of `chainrule.grad`, the highest bit for nodes of a trace, which keep everything.
"""

from __future__ import annotations

import contextvars
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import numpy as np

from ..errors import DerivativeError, ShapeError, TraceError, TypeRuleError
from ..utils.typing import Array
from .ir.node import CONSTANT, Node, constant, placeholder
from .ir.operation import Operation
from .ir.types import DType, Type, as_dtype, as_value, bool_, float32, float64, int64
from .overwriting import afterwards, calls, is_overwritten
from .source_info import here, user_line

#: What functions accept where a tensor is expected.
TensorLike = Any

PARAMETER_BIT = 1
TRACE_BIT = 1 << 62

#: Functions by name, filled in by `chainrule.ops` and `chainrule.engine.autodiff`:
#: the methods and operators of a tensor are these functions.
FUNCTIONS: dict[str, Callable[..., Any]] = {}


def _method(name: str) -> Callable[..., Tensor]:
    def method(*arguments: Any, **options: Any) -> Tensor:
        found: Tensor = FUNCTIONS[name](*arguments, **options)
        return found

    method.__name__ = name
    method.__doc__ = f"The function `chainrule.ops.{name}` with this tensor as first argument."
    return method


def _with_other(name: str) -> Callable[..., Tensor]:
    def method(self: Tensor, other: Any) -> Tensor:
        found: Tensor = FUNCTIONS[name](self, other)
        return found

    method.__name__ = name
    method.__doc__ = f"The function `chainrule.ops.{name}` with this tensor as first argument."
    return method


def _reflected(name: str) -> Callable[..., Tensor]:
    def method(self: Tensor, other: Any) -> Tensor:
        return cast("Tensor", FUNCTIONS[name](other, self))

    return method


class Tensor:
    """An array of numbers that remembers how it was computed.

    Made by `tensor`, `parameter` and by every operation. Supports NumPy's operators,
    broadcasting and indexing. Immutable: what changes is a `Variable`.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([1.0, 2.0])
        >>> (x * 2 + 1).tolist()
        [3.0, 5.0]
    """

    __slots__ = ("__weakref__", "grad", "name", "node")
    __array_priority__ = 100.0  # so that array * tensor is a tensor
    __array_ufunc__ = None

    def __init__(self, node: Node, name: str | None = None) -> None:
        self.node = node
        self.name = name
        self.grad: Tensor | None = None

    # ---- type and value --------------------------------------------------------------------

    @property
    def type(self) -> Type:
        """Element type and shape."""
        return self.node.type

    @property
    def dtype(self) -> DType:
        """Element type."""
        return self.node.type.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent of every axis."""
        return self.node.type.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.node.type.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.node.type.size

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The tensor with its axes in reverse order."""
        return cast("Tensor", FUNCTIONS["transpose"](self))

    @property
    def mT(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The matrices on the last two axes transposed."""
        return cast("Tensor", FUNCTIONS["swapaxes"](self, -1, -2))

    def _known(self) -> Array:
        if not has_value(self.node):
            file, line = user_line()
            raise TraceError(
                "This tensor has no value yet: it belongs to a function that is being traced.",
                where=f"{file}:{line}",
                hint="Inside cr.compile use cr.where instead of `if`, and return the tensors "
                "that you want to see; or omit cr.compile to run line by line.",
            )
        assert self.node.value is not None
        return self.node.value

    def numpy(self) -> Array:
        """The value as a read-only NumPy array; no copy."""
        view = self._known().view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.node.watched & ~(PARAMETER_BIT | TRACE_BIT):
            raise _lost("A NumPy array made of a tensor inside of a derivative")
        return np.array(self._known(), dtype=dtype)

    def __dlpack__(self, **options: Any) -> Any:
        """The value for other libraries, such as ``torch.from_dlpack``; a copy, as for NumPy."""
        return self.__array__().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # the memory of the processor

    def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
        """NumPy's functions: that of the same name here, if a derivative would be lost.

        Others see plain arrays, and give no floating-point numbers, whose gradient would be gone.
        """
        if not _is_watched((given, options)):
            return function(*_plain(given), **_plain(options))
        ours = _ours(function)
        if ours is not None:
            with suppress(TypeError):  # options that only NumPy has
                return ours(*given, **options)
        result = function(*_plain(given), **_plain(options))
        parts = result if isinstance(result, (list, tuple)) else (result,)
        if any(getattr(part, "dtype", np.dtype(bool)).kind in "fc" for part in parts):
            raise _lost(f"numpy.{function.__name__} of a tensor")
        return result

    def item(self) -> Any:
        """The value of a tensor with one element, as a Python number."""
        if self.size != 1:
            raise ShapeError("item() needs one element.", found=str(self.type))
        return self._known().item()

    def tolist(self) -> Any:
        """The value as nested lists of Python numbers."""
        return self._known().tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError("only integer tensors can be used as an index")
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor without axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[position] for position in range(len(self)))

    def __repr__(self) -> str:
        if self.node.value is None:
            return f"Tensor({self.type}, traced)"
        text = np.array2string(self.node.value, separator=", ", prefix="Tensor(")
        extra = "" if self.dtype in (float32, int64, bool_) else f", dtype={self.dtype.name}"
        return f"Tensor({text}{extra})"

    __hash__ = object.__hash__

    def detach(self) -> Tensor:
        """The same value without its history; inside a trace: `stop_gradient`."""
        node = self.node
        if node.op is CONSTANT and not node.watched and not node.attributes:
            return Tensor(node)
        if not has_value(node):
            return cast("Tensor", FUNCTIONS["stop_gradient"](self))
        return Tensor(constant(self._known()))

    # ---- methods and operators: the functions of chainrule.ops and chainrule.engine.autodiff --

    backward = _method("backward")

    __add__ = _with_other("add")
    __radd__ = _reflected("add")
    __sub__ = _with_other("subtract")
    __rsub__ = _reflected("subtract")
    __mul__ = _with_other("multiply")
    __rmul__ = _reflected("multiply")
    __truediv__ = _with_other("divide")
    __rtruediv__ = _reflected("divide")
    __floordiv__ = _with_other("floor_divide")
    __rfloordiv__ = _reflected("floor_divide")
    __mod__ = _with_other("remainder")
    __rmod__ = _reflected("remainder")
    __pow__ = _with_other("power")
    __rpow__ = _reflected("power")
    __matmul__ = _with_other("matmul")
    __rmatmul__ = _reflected("matmul")
    __neg__ = _method("negative")
    __abs__ = _method("abs")
    __invert__ = _method("bitwise_not")
    __and__ = _method("bitwise_and")
    __rand__ = _reflected("bitwise_and")
    __or__ = _method("bitwise_or")
    __ror__ = _reflected("bitwise_or")
    __xor__ = _method("bitwise_xor")
    __rxor__ = _reflected("bitwise_xor")
    __eq__ = _method("equal")  # type: ignore[assignment]
    __ne__ = _method("not_equal")  # type: ignore[assignment]
    __lt__ = _method("less")
    __le__ = _method("less_equal")
    __gt__ = _method("greater")
    __ge__ = _method("greater_equal")
    __getitem__ = _method("getitem")

    astype = _method("astype")
    sum = _method("sum")
    mean = _method("mean")
    var = _method("var")
    std = _method("std")
    max = _method("max")
    min = _method("min")
    argmax = _method("argmax")
    argmin = _method("argmin")
    prod = _method("prod")
    all = _method("all")
    any = _method("any")
    cumsum = _method("cumsum")
    clip = _method("clip")
    exp = _method("exp")
    log = _method("log")
    sqrt = _method("sqrt")
    tanh = _method("tanh")
    sigmoid = _method("sigmoid")
    relu = _method("relu")
    softmax = _method("softmax")
    flatten = _method("flatten")
    squeeze = _method("squeeze")
    expand_dims = _method("expand_dims")

    def reshape(self, *shape: Any) -> Tensor:
        """`chainrule.ops.reshape`; the shape as one tuple or as several numbers."""
        return cast("Tensor", FUNCTIONS["reshape"](self, _axes(shape)))

    def transpose(self, *axes: Any) -> Tensor:
        """`chainrule.ops.transpose`; the axes as one tuple, as several numbers, or none."""
        return cast("Tensor", FUNCTIONS["transpose"](self, _axes(axes) if axes else None))


def _ours(function: Any) -> Callable[..., Any] | None:
    """What has the name of a function of NumPy here."""
    name = function.__name__
    if function.__module__ == "numpy.linalg":
        return FUNCTIONS.get(f"linalg.{name}") or FUNCTIONS.get(name)
    return FUNCTIONS.get(name) if function.__module__ == "numpy" else None


def _lost(what: str) -> DerivativeError:
    return DerivativeError(
        f"{what} would lose its gradient.",
        expected="functions of chainrule",
        hint="Use cr.stack, cr.norm and so on, or .numpy() for a constant.",
    )


def _is_watched(data: Any) -> bool:
    """Whether a derivative with respect to a tensor in this data may be asked for."""
    if isinstance(data, dict):
        data = tuple(data.values())
    if isinstance(data, (list, tuple)):
        return any(map(_is_watched, data))
    return isinstance(data, Tensor) and (bool(data.node.watched) or not has_value(data.node))


def _plain(data: Any) -> Any:
    """The same data with arrays in place of tensors."""
    if isinstance(data, dict):
        return {key: _plain(item) for key, item in data.items()}
    if isinstance(data, (list, tuple)):
        return type(data)(map(_plain, data)) if type(data) in (list, tuple) else data
    return data.numpy() if isinstance(data, Tensor) else data


def _axes(numbers: tuple[Any, ...]) -> Any:
    if len(numbers) == 1 and not isinstance(numbers[0], int):
        return numbers[0]
    return numbers


def _among_numbers(name: str, reflected: bool = False) -> Callable[..., Any]:
    def method(self: Number, *others: Any) -> Any:
        operands = (*others, self) if reflected else (self, *others)
        if not all(isinstance(x, (Number, bool, int, float)) for x in operands):
            return FUNCTIONS[name](*operands)
        exact = [Tensor(x.node) if isinstance(x, Number) else as_tensor(x, float64)
                 for x in operands]  # fmt: skip
        result = FUNCTIONS[name](*exact)
        return Number(result.node) if result.type.is_float else result

    return method


class Number(Tensor):
    """A Python float that a traced function was given, and what such numbers alone make.

    Like a Python float it has the precision of float64, and takes the element type of the tensors
    that it meets.
    """

    __slots__ = ()

    __add__ = _among_numbers("add")
    __radd__ = _among_numbers("add", reflected=True)
    __sub__ = _among_numbers("subtract")
    __rsub__ = _among_numbers("subtract", reflected=True)
    __mul__ = _among_numbers("multiply")
    __rmul__ = _among_numbers("multiply", reflected=True)
    __truediv__ = _among_numbers("divide")
    __rtruediv__ = _among_numbers("divide", reflected=True)
    __floordiv__ = _among_numbers("floor_divide")
    __rfloordiv__ = _among_numbers("floor_divide", reflected=True)
    __mod__ = _among_numbers("remainder")
    __rmod__ = _among_numbers("remainder", reflected=True)
    __pow__ = _among_numbers("power")
    __rpow__ = _among_numbers("power", reflected=True)
    __neg__ = _among_numbers("negative")
    __abs__ = _among_numbers("abs")
    __eq__ = _among_numbers("equal")
    __ne__ = _among_numbers("not_equal")
    __lt__ = _among_numbers("less")
    __le__ = _among_numbers("less_equal")
    __gt__ = _among_numbers("greater")
    __ge__ = _among_numbers("greater_equal")
    __hash__ = object.__hash__


class Variable(Tensor):
    """A tensor that can be given new values: a parameter or the state of a layer or optimizer.

    A trace takes variables as inputs, and those that it assigns as outputs, so that a compiled
    function reads and changes them like the same code without `chainrule.compile`.

    ``initial(key, shape, dtype)`` draws its first value, if it was drawn: see `chainrule.nn.init`.
    ``away`` is a memory other than NumPy's, and its numbers there, if they are newer than those of
    its node: see `chainrule.engine.backends.base.Memory`.
    ``own`` is its node whatever stands in for it, and whoever overwrites its numbers.
    """

    __slots__ = ("away", "initial")

    away: tuple[Any, Any] | None
    own: Any = Tensor.__dict__["node"]

    @property
    def node(self) -> Node:
        """What it is now: in a derivative or a trace of this thread, what stands in for it."""
        standing = tracing.standing
        own: Node = self.own
        calls.mark = None
        if self.away is not None or (calls.claims and is_overwritten(self)):
            own = afterwards(self, brought_home)
        if standing is None:
            return own
        found = standing.get(self)
        if found is not None:
            return found
        record = tracing.record
        return own if record is None else record.nodes.setdefault(self, own)

    @node.setter
    def node(self, node: Node) -> None:
        with calls.lock:  # so that no call begins with a node that is replaced meanwhile
            self.away = None
            _NODE.__set__(self, node)
            calls.mark = None

    @property
    def grad(self) -> Tensor | None:
        """What `backward` left; inside a trace only what it leaves there."""
        record = tracing.record
        own: Tensor | None = _GRAD.__get__(self)
        if record is None:
            return own
        if self not in record.gradients:
            if own is not None:
                raise TraceError(
                    "A gradient from before cannot be read inside a compiled function: it would "
                    "be built in for ever, and cannot add up from call to call.",
                    where=f"parameter {self.name}" if self.name else None,
                    hint="Call zero_grad() and backward() inside the function, too, or pass the "
                    "gradient as an argument: optimizer.update(gradients).",
                )
            record.empty[self] = None
        return record.gradients.get(self)

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if tracing.record is not None:
            tracing.record.gradients[self] = gradient
        else:
            _GRAD.__set__(self, gradient)
            calls.mark = None

    def __init__(self, value: TensorLike, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(self._node_of(tensor(value, dtype)._known()), name)
        self.initial: Callable[[Tensor, tuple[int, ...], Any], Tensor] | None = None

    def _node_of(self, value: Array, watched: int = 0) -> Node:
        node = constant(value, watched)
        node.attributes["owner"] = weakref.ref(self)
        return node

    def _set(self, value: Array, watched: int) -> None:
        self.node = self._node_of(value, watched)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: the numbers, not the gradient or what is kept of the past."""
        return {
            "value": self._known().copy(), "watched": self.node.watched, "name": self.name,
            "initial": self.initial,
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.initial, self.name = state["initial"], state["name"]
        self.grad = None
        self._set(state["value"], state["watched"])

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        """A variable of its own: a copied network must not share its weights with the original."""
        twin = type(self).__new__(type(self))
        Tensor.__init__(twin, twin._node_of(self._known().copy(), self.node.watched), self.name)
        twin.initial = self.initial
        memo[id(self)] = twin
        return twin

    def assign(self, value: TensorLike) -> None:
        """Give it a new value of the same type; how the value was computed is forgotten.

        An array is copied, so that changes of it later on do not reach the variable.
        """
        new = tensor(value, self.dtype)
        if new.shape != self.shape:
            raise ShapeError(
                "A variable keeps its shape.", expected=str(self.type), found=str(new.type)
            )
        if self in tracing.held:
            raise DerivativeError(
                "A parameter cannot be assigned while a derivative with respect to it is taken.",
                where=f"parameter {self.name}" if self.name else None,
                hint="Assign it after the derivative, or compute with the new value: "
                "w = cr.clip(self.w, -1.0, 1.0).",
            )
        if tracing.record is not None:
            assert tracing.standing is not None
            tracing.record.assigned[self] = tracing.standing[self] = new.node
        else:
            self._set(new._known(), self.node.watched)


class Buffer(Variable):
    """A variable that is not learned, such as the running mean of a normalisation."""

    __slots__ = ()


class Parameter(Variable):
    """A variable that is learned: `backward` leaves its gradient in ``.grad``."""

    __slots__ = ()

    def __init__(self, value: TensorLike, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(value, dtype, name)
        if not self.type.is_float:
            raise DerivativeError(
                "A parameter must be of a floating-point type.",
                expected="float32 or float64",
                found=self.dtype.name,
                hint="Write 1.0 instead of 1, or pass dtype='float32'.",
            )
        self.requires_grad = True

    @property
    def requires_grad(self) -> bool:
        """Whether it is learned; False freezes it."""
        if tracing.record is not None:
            tracing.record.asked[self] = None
        return bool(self.node.watched & PARAMETER_BIT)

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self._set(self._known(), PARAMETER_BIT if wanted else 0)


#: Where a tensor keeps these; of a variable they are properties.
_NODE: Any = Tensor.__dict__["node"]
_GRAD: Any = Tensor.__dict__["grad"]
#: The node of a variable, whatever stands in for it, and whoever overwrites its numbers.
own_node = _NODE.__get__


def give(variables: Collection[Variable], values: Iterable[Array]) -> None:
    """New values of the same types for variables, which are watched as before."""
    if not variables:
        return  # nobody's value has changed: a call may be repeated
    with calls.lock:
        for variable, value in zip(variables, values, strict=True):
            old = own_node(variable)
            variable.away = None
            _NODE.__set__(
                variable, Node(CONSTANT, (), old.attributes, old.type, value, old.watched)
            )
        calls.mark = None


def brought_home(variable: Variable) -> Node:
    """The node of a variable, with its numbers fetched from where they are."""
    if variable.away is not None:
        memory, value = variable.away
        variable._set(memory.fetch(value), own_node(variable).watched)
    node: Node = own_node(variable)
    return node


class TraceRecord:
    """What a trace learns of variables, and what it changes of them: for its own thread only.

    Attributes:
        nodes: the variables that were read, with their nodes from before the trace: the same ones
            until it ends, whatever other threads assign meanwhile.
        assigned: the nodes of those that were given new values.
        gradients: what is in ``.grad``.
        empty: those whose ``.grad`` was read and is empty.
        asked: those of which it was asked whether they are learned.
        modules: those that were called.
    """

    def __init__(self) -> None:
        self.nodes: dict[Variable, Node] = {}
        self.assigned: dict[Variable, Node] = {}
        self.gradients: dict[Variable, Tensor | None] = {}
        self.empty: dict[Variable, None] = {}
        self.asked: dict[Variable, None] = {}
        self.modules: dict[Any, None] = {}


class _Tracing(threading.local):
    """What holds for one thread.

    Attributes:
        record: of the trace that is going on. Inside of one variables have no value, so that none
            is built in as a constant.
        standing: nodes that stand in for those of variables, in a derivative or a trace; None
            outside of both.
        held: the variables with respect to which a derivative is taken.
    """

    def __init__(self) -> None:
        self.record: TraceRecord | None = None
        self.standing: dict[Variable, Node] | None = None
        self.held: dict[Variable, None] = {}


tracing = _Tracing()


@contextmanager
def recording() -> Iterator[TraceRecord]:
    """A trace, inside of another one or not; afterwards all variables are as before."""
    outer, standing = tracing.record, tracing.standing
    record = tracing.record = TraceRecord()
    if outer is not None:
        record.nodes = outer.nodes
    tracing.standing = dict(standing or {})
    try:
        yield record
    finally:
        tracing.record, tracing.standing = outer, standing
        if outer is not None:
            outer.asked.update(record.asked)
            outer.empty.update(record.empty)
            outer.modules.update(record.modules)


@contextmanager
def computed_at_once() -> Iterator[None]:
    """For a while operations on constants have values, also where a trace would leave them to the
    graph because they grow; no variable may be read or assigned.
    """  # noqa: D205
    record = tracing.record
    tracing.record = None
    try:
        yield
    finally:
        tracing.record = record


@contextmanager
def standing_in(nodes: dict[Variable, Node]) -> Iterator[None]:
    """For a while, and for this thread only, other nodes stand in for those of variables."""
    standing, held = tracing.standing, tracing.held
    tracing.standing, tracing.held = (standing or {}) | nodes, held | dict.fromkeys(nodes)
    try:
        yield
    finally:
        assigned = {v: n for v, n in tracing.standing.items() if v not in nodes}
        tracing.standing = None if standing is None else standing | assigned
        tracing.held = held


def has_value(node: Node) -> bool:
    """Whether the value is known; inside a trace that of a variable is not, for it may change."""
    return node.value is not None and (tracing.record is None or "owner" not in node.attributes)


def _to_array(data: Any, dtype: DType | None) -> Array:
    """Data as an array of a known element type; numbers in Python lists become float32/int64."""
    if type(data) is np.ndarray and data.dtype == float32 and (dtype is None or dtype == float32):
        return np.array(data)
    if isinstance(data, (np.ndarray, np.generic)) or hasattr(data, "__dlpack__"):
        array = _of_any_library(data)
        if dtype is None and array.dtype == np.float16:
            dtype = float32
        if dtype is None and array.dtype.kind in "iu" and array.dtype.itemsize < 4:
            dtype = int64
    else:
        array = np.asarray(data)
        if dtype is None and array.dtype.kind == "f":
            dtype = float32
    # A copy, for its owner may change it, and the derivative is that of the numbers from now.
    dtype = dtype or as_dtype(array.dtype)
    if dtype != float32 or (isinstance(data, float) and -1e38 < data < 1e38):
        return np.array(array, dtype=dtype)
    with np.errstate(over="ignore"):  # what is too large for the type is infinite
        return np.array(array, dtype=dtype)


def _of_any_library(data: Any) -> Array:
    """An array of NumPy, PyTorch, JAX and others."""
    try:
        if isinstance(data, np.generic) or hasattr(data, "__array__"):
            return np.asarray(data)
        return np.from_dlpack(data)
    except (RuntimeError, TypeError, ValueError, BufferError) as error:
        kind = f"{type(data).__module__}.{type(data).__name__}"
        raise TypeRuleError(
            "An array of another library cannot be read.",
            expected="an array in the memory of the processor, without a gradient of its own",
            found=f"{kind}: {error}"[:300],
            hint="Of PyTorch: x.detach().cpu().float()",
        ) from None


def tensor(data: TensorLike, dtype: Any = None) -> Tensor:
    """A tensor from numbers, nested lists, a NumPy array or another tensor (copied).

    Args:
        data: the values. Python floats become float32; NumPy arrays keep their element type.
        dtype: element type to convert to: a name, a NumPy type, ``float``, ``int`` or ``bool``.

    Example:
        >>> import chainrule as cr
        >>> cr.tensor([[1, 2], [3, 4]]).type
        Type(dtype=dtype('int64'), shape=(2, 2))
    """
    if type(data) is np.ndarray and data.dtype == float32 and dtype is None:  # as usual
        return Tensor(constant(np.array(data)))
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(data, Variable):
        data = Tensor(data.node)  # keeps its value when the variable gets another
    if isinstance(data, Tensor):
        return as_tensor(data, dtype)
    if holds_tensors(data):
        return as_tensor(data, dtype)
    return Tensor(constant(_to_array(data, wanted)))


def parameter(data: TensorLike, dtype: Any = None, name: str | None = None) -> Parameter:
    """A tensor to be learned: `backward` leaves its gradient in ``.grad``.

    Example:
        >>> import chainrule as cr
        >>> w = cr.parameter([1.0, 2.0])
        >>> (w * w).sum().backward()
        >>> w.grad.tolist()
        [2.0, 4.0]
    """
    return Parameter(data, dtype, name)


def as_tensor(data: TensorLike, dtype: Any = None) -> Tensor:
    """The data as a tensor; tensors pass through, arrays are copied."""
    if dtype is None and isinstance(data, Tensor) and type(data) is not Number:
        return data
    if type(data) is Number:
        data, dtype = Tensor(data.node), float32 if dtype is None else dtype
    elif holds_tensors(data):
        data = FUNCTIONS["stack"](data)
    if isinstance(data, Tensor):
        if dtype is None or data.dtype == as_dtype(dtype):
            return data
        return cast("Tensor", FUNCTIONS["astype"](data, dtype))
    return Tensor(constant(_to_array(data, None if dtype is None else as_dtype(dtype))))


def holds_tensors(data: Any) -> bool:
    """Whether this is a list or tuple with a tensor somewhere in it."""
    return isinstance(data, (list, tuple)) and any(
        isinstance(item, Tensor) or holds_tensors(item) for item in data
    )


def need_plain(name: str, option: Any, who: str) -> Any:
    """An option that is no operand: a tensor would lose its gradient there, so it is refused."""
    if isinstance(option, Tensor):
        raise DerivativeError(
            f"The option {name!r} of {who} cannot be a tensor: it would get no gradient.",
            expected="a Python number",
            found=f"a tensor of type {option.type}",
            hint="Convert it with .item() if it is meant as a constant.",
        )
    return option


def symbol(type: Type, name: str) -> Tensor:
    """A tensor without a value: the input of a trace."""
    return Tensor(placeholder(type, name, TRACE_BIT))


def apply(op: Operation, *inputs: Tensor, **attributes: Any) -> Tensor:
    """Apply an operation: check the types, compute the value if the inputs have one, record.

    In a trace constants that grow, by broadcasting for example, are left to the graph, so that no
    large arrays are built into it.
    """
    nodes = tuple([source.node for source in inputs])
    for name, option in attributes.items():
        if isinstance(option, Tensor):
            need_plain(name, option, op.name)
    result_type = op.type_rule(*[node.type for node in nodes], **attributes)
    watched = 0
    arrays: list[Any] = []
    is_known = tracing.record is None or _may_compute(nodes, result_type)
    for node in nodes:
        watched |= node.watched
        if node.value is None:
            is_known = False
        arrays.append(node.value)
    if not is_known:
        return Tensor(Node(op, nodes, attributes, result_type, None, watched | TRACE_BIT, here()))
    compute: Any = op.compute
    if op.view:
        value = compute(np, *arrays, **attributes)
    elif op.is_plain:
        value = _quiet.run(compute, np, *arrays, **attributes)
    else:
        with np.errstate(all="ignore"):
            value = compute(np, *arrays, **attributes)
    if type(value) is not np.ndarray:
        value = as_value(value)
    if not watched:
        return Tensor(Node(CONSTANT, (), {}, result_type, value))
    return Tensor(Node(op, nodes, attributes, result_type, value, watched))


class _Quiet(threading.local):
    """Where NumPy does not warn: infinities and NaN follow IEEE 754.

    Attributes:
        run: calls a function there, in a tenth of the time that `numpy.errstate` takes. A function
            that comes here again needs that.
    """

    def __init__(self) -> None:
        context, before = contextvars.copy_context(), np.geterr()
        context.run(np.seterr, all="ignore")
        self.run = context.run
        if np.geterr() != before:  # before NumPy 2 it is a matter of threads, not of contexts
            np.seterr(**before)
            self.run = self._slowly  # type: ignore[assignment]

    def _slowly(self, function: Callable[..., Any], *given: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*given, **options)


_quiet = _Quiet()


def _may_compute(nodes: tuple[Node, ...], result: Type) -> bool:
    """Whether a trace may compute with the values of these nodes: constants that do not grow."""
    if any("owner" in node.attributes for node in nodes):
        return False
    return result.size <= max(node.type.size for node in nodes)
