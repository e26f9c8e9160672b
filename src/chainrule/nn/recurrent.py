"""Recurrent networks: cells, which make one step, and layers, which make all of them by `scan`.

Equations, order of the gates and names of the weights are PyTorch's, but for the layout of the
weights: (in, gates·hidden), as in `Linear`. Sequences are (rows, time, features).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, ClassVar

from ..engine import pytree
from ..engine.ops import (
    arange,
    concatenate,
    expand_dims,
    matmul,
    scan,
    sigmoid,
    stack,
    tanh,
    transpose,
    where,
    zeros,
)
from ..engine.ops.declare import cast
from ..engine.ops.elementwise import relu, result_dtype
from ..engine.ops.shape import narrow
from ..engine.tensor import Tensor, TensorLike, as_tensor
from ..errors import ConfigError, ShapeError, TypeRuleError
from .checks import features_last, fraction, positive_integer
from .dropout import Dropout
from .initialization import parameter, uniform
from .module import Module
from .normalization import LayerNorm

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell", "detach_state", "segments"]


# ---- cells -----------------------------------------------------------------------------------


class _Cell(Module):
    """One step. With i = W_ih·x + b_ih and h' = W_hh·h + b_hh, a kind of cell says what follows."""

    gates: ClassVar[int]
    #: How many tensors the state has.
    states: ClassVar[int] = 1

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, layer_norm: bool = False
    ) -> None:
        self.input_size = positive_integer("input_size", input_size)
        self.hidden_size = positive_integer("hidden_size", hidden_size)
        width = self.gates * self.hidden_size
        bound = 1 / math.sqrt(self.hidden_size)
        initial = functools.partial(uniform, low=-bound, high=bound)
        self.weight_ih = parameter((self.input_size, width), initial)
        self.weight_hh = parameter((self.hidden_size, width), initial)
        self.bias_ih = parameter((width,), initial) if bias else None
        self.bias_hh = parameter((width,), initial) if bias else None
        self.norm_ih = LayerNorm(width, bias=False) if layer_norm else None
        self.norm_hh = LayerNorm(width, bias=False) if layer_norm else None

    def forward(self, x: TensorLike, state: Any = None) -> Any:
        x = features_last(x, self.input_size)
        shape = (*x.shape[:-1], self.hidden_size)
        projected = self.project(x)
        if state is None:
            state = self.start(shape, projected.dtype)
        state = pytree.map_leaves(lambda part: _as_state(part, shape, projected.dtype), state)
        return self.step(projected, state)

    def start(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A state of zeros."""
        empty = tuple(zeros(shape, dtype) for _ in range(self.states))
        return empty if self.states > 1 else empty[0]

    def project(self, x: Tensor) -> Tensor:
        """W_ih·x + b_ih: no state is in it, so that all steps can be computed at once."""
        return _affine(x, self.weight_ih, self.bias_ih, self.norm_ih)

    def recur(self, h: Tensor) -> Tensor:
        """W_hh·h + b_hh."""
        return _affine(h, self.weight_hh, self.bias_hh, self.norm_hh)

    def step(self, projected: Tensor, state: Any) -> Any:
        """The new state from what `project` gave and the old state."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}{_options(self)}"


def _affine(x: Tensor, weight: Tensor, bias: Tensor | None, norm: LayerNorm | None) -> Tensor:
    y = matmul(x, weight)
    y = y if norm is None else norm(y)
    return y if bias is None else y + bias


def _options(cell: _Cell) -> str:
    without = "" if cell.bias_ih is not None else ", bias=False"
    return without + ("" if cell.norm_ih is None else ", layer_norm=True")


def _as_state(state: TensorLike, shape: tuple[int, ...], dtype: Any) -> Tensor:
    state = as_tensor(state)
    if state.shape != shape:
        raise ShapeError("The state does not fit the input.", expected=str(shape),
                         found=str(state.type))  # fmt: skip
    return cast(state, dtype)


_NONLINEARITIES = {"tanh": tanh, "relu": relu}


class RNNCell(_Cell):
    """One step of an Elman network: h' = tanh(W_ih·x + b_ih + W_hh·h + b_hh) (Elman, 1990).

    ``weight_ih`` is (in, hidden), ``weight_hh`` (hidden, hidden), both biases (hidden).

    Args:
        input_size: extent of the last axis of x.
        hidden_size: that of h.
        bias: whether there are b_ih and b_hh.
        nonlinearity: "tanh" or "relu".
        layer_norm: normalise W_ih·x and W_hh·h separately (Ba et al., 2016).

    Example:
        >>> import chainrule as cr
        >>> cr.nn.RNNCell(3, 4)(cr.ones((2, 3))).shape
        (2, 4)
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        nonlinearity: str = "tanh",
        layer_norm: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, layer_norm=layer_norm)
        if nonlinearity not in _NONLINEARITIES:
            raise ConfigError("Unknown nonlinearity of a recurrent network.",
                              expected=", ".join(_NONLINEARITIES),
                              found=repr(nonlinearity))  # fmt: skip
        self.nonlinearity = nonlinearity

    def step(self, projected: Tensor, state: Tensor) -> Tensor:
        return _NONLINEARITIES[self.nonlinearity](projected + self.recur(state))

    def extra_repr(self) -> str:
        kind = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity!r}"
        return super().extra_repr() + kind


class LSTMCell(_Cell):
    """One step of long short-term memory (Hochreiter and Schmidhuber, 1997; Gers et al., 2000).

    The columns of the weights are the gates i, f, g, o, each ``hidden_size`` wide:

        i, f, o = σ(…)   g = tanh(…)   of W_ih·x + b_ih + W_hh·h + b_hh
        c' = f·c + i·g
        h' = o·tanh(c')

    The state is the pair (h, c). Options as of `RNNCell`; with ``layer_norm`` c' is normalised
    inside of the tanh, too.

    Example:
        >>> import chainrule as cr
        >>> h, c = cr.nn.LSTMCell(3, 4)(cr.ones((2, 3)))
        >>> h.shape, c.shape
        ((2, 4), (2, 4))
    """

    gates = 4
    states = 2

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, layer_norm: bool = False
    ) -> None:
        super().__init__(input_size, hidden_size, bias, layer_norm=layer_norm)
        self.norm_c = LayerNorm(self.hidden_size) if layer_norm else None

    def step(self, projected: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        h, c = state
        i, f, g, o = _gates(projected + self.recur(h), 4)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c if self.norm_c is None else self.norm_c(c)), c


class GRUCell(_Cell):
    """One step of a gated recurrent unit (Cho et al., 2014), in PyTorch's variant.

    The columns of the weights are r, z, n, each ``hidden_size`` wide; _r means the part for r:

        r  = σ(W_ih·x + b_ih + W_hh·h + b_hh)_r
        z  = σ(W_ih·x + b_ih + W_hh·h + b_hh)_z
        n  = tanh((W_ih·x + b_ih)_n + r·(W_hh·h + b_hh)_n)
        h' = (1 - z)·n + z·h

    Options as of `RNNCell`.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.GRUCell(3, 4)(cr.ones((2, 3))).shape
        (2, 4)
    """

    gates = 3

    def step(self, projected: Tensor, state: Tensor) -> Tensor:
        (r, z, n), (r_h, z_h, n_h) = _gates(projected, 3), _gates(self.recur(state), 3)
        new = tanh(n + sigmoid(r + r_h) * n_h)
        update = sigmoid(z + z_h)
        h: Tensor = new + update * (state - new)
        return h


def _gates(x: Tensor, count: int) -> list[Tensor]:
    width = x.shape[-1] // count
    return [narrow(x, x.ndim - 1, k * width, (k + 1) * width) for k in range(count)]


# ---- layers ----------------------------------------------------------------------------------


class _Recurrent(Module):
    """Layers of cells, one or two (forward and backward) in each."""

    cell: ClassVar[type[_Cell]]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        **options: Any,
    ) -> None:
        self.num_layers = positive_integer("num_layers", num_layers)
        self.bidirectional = bidirectional
        directions = 2 if bidirectional else 1
        widths = [input_size] + [directions * hidden_size] * (num_layers - 1)
        self.cells = [
            [self.cell(width, hidden_size, bias, **options) for _ in range(directions)]
            for width in widths
        ]
        rate = fraction("The probability dropout of dropping", dropout, include_one=False)
        self.dropouts = [Dropout(rate) for _ in widths[1:]] if rate else []

    def forward(
        self,
        x: TensorLike,
        state: Any = None,
        *,
        lengths: TensorLike | None = None,
        mask: TensorLike | None = None,
    ) -> tuple[Tensor, Any]:
        x = self._checked(x)
        rows, steps, _ = x.shape
        present = _present(rows, steps, lengths, mask)
        starts = self._starts(state, rows, result_dtype(x, self.cells[0][0].weight_ih))
        x = transpose(x, (1, 0, 2))  # time first, as scan takes it
        ends = []
        for depth, cells in enumerate(self.cells):
            if depth and self.dropouts:
                x = self.dropouts[depth - 1](x)
            outputs = []
            for backwards, cell in enumerate(cells):
                y, end = _run(cell, x, next(starts), present, bool(backwards))
                outputs.append(y)
                ends.append(end)
            x = concatenate(outputs, 2) if len(outputs) > 1 else outputs[0]
        return transpose(x, (1, 0, 2)), self._joined(ends)

    def _checked(self, x: TensorLike) -> Tensor:
        given = features_last(x, self.cells[0][0].input_size)
        if given.ndim != 3:
            raise ShapeError(
                "A recurrent layer takes sequences.",
                expected=f"(rows, time, {self.cells[0][0].input_size})",
                found=str(given.type),
                hint="One sequence is a batch of one row: x[None].",
            )
        return given

    def _starts(self, state: Any, rows: int, dtype: Any) -> Iterator[Any]:
        """The first state of every cell."""
        flat = [cell for cells in self.cells for cell in cells]
        shape = (rows, flat[0].hidden_size)
        if state is None:
            return iter([cell.start(shape, dtype) for cell in flat])
        given = state if self.cell.states > 1 else (state,)
        parts = [_as_state(part, (len(flat), *shape), dtype) for part in given]
        each = [tuple(part[number] for part in parts) for number in range(len(flat))]
        return iter(each if self.cell.states > 1 else [one for (one,) in each])

    def _joined(self, ends: list[Any]) -> Any:
        if self.cell.states == 1:
            return stack(ends)
        return tuple(stack(parts) for parts in zip(*ends, strict=True))

    def extra_repr(self) -> str:
        first = self.cells[0][0]
        options = f"{first.input_size}, {first.hidden_size}, num_layers={self.num_layers}"
        dropout = f", dropout={self.dropouts[0].p}" if self.dropouts else ""
        both = ", bidirectional=True" if self.bidirectional else ""
        return options + dropout + both


def _run(
    cell: _Cell, x: Tensor, start: Any, present: Tensor | None, reverse: bool
) -> tuple[Tensor, Any]:
    """All steps of one cell. Where nothing is present the state stays, and the output is 0."""

    def step(state: Any, given: tuple[Tensor, Tensor | None]) -> tuple[Any, Tensor]:
        projected, here = given
        new = cell.step(projected, state)
        if here is not None:
            pairs = zip(pytree.flatten(new)[0], pytree.flatten(state)[0], strict=True)
            new = pytree.flatten(state)[1]([where(here, a, b) for a, b in pairs])
        h = new[0] if cell.states > 1 else new
        return new, h if here is None else where(here, h, 0.0)

    end, y = scan(step, start, (cell.project(x), present), reverse=reverse)
    return y, end


def _present(
    rows: int, steps: int, lengths: TensorLike | None, mask: TensorLike | None
) -> Tensor | None:
    """Whether there is an element: (time, rows, 1); None if all are there."""
    if lengths is None and mask is None:
        return None
    if lengths is not None and mask is not None:
        raise ConfigError("Give lengths or a mask, not both.")
    if mask is None:
        known = as_tensor(lengths)
        if known.shape != (rows,) or known.dtype.kind not in "iu":
            raise ShapeError("lengths must be one integer for every row.",
                             expected=f"int64[{rows}]", found=str(known.type))  # fmt: skip
        mask = arange(steps) < expand_dims(known, 1)
    mask = as_tensor(mask)
    if mask.shape != (rows, steps):
        raise ShapeError("The mask does not fit the sequences.",
                         expected=f"bool[{rows}, {steps}], for (rows, time)",
                         found=str(mask.type))  # fmt: skip
    if mask.dtype.kind != "b":
        raise TypeRuleError("The mask must be boolean.", expected="bool", found=str(mask.type),
                            hint="Write mask > 0.")  # fmt: skip
    return expand_dims(transpose(mask), 2)


class RNN(_Recurrent):
    """A recurrent network of Elman's kind over sequences; the equations are those of `RNNCell`.

    Called with x (rows, time, in), it gives the states h of the last layer at all times,
    (rows, time, hidden), and the last state of every layer, (layers, rows, hidden). With
    ``bidirectional`` every layer has a second cell that starts at the end; the last axis of the
    output is then 2·hidden, and the states are ordered: layer 0 forward, layer 0 backward, layer 1…

    A call takes, besides x, an initial ``state`` of the form that it gives, and ``lengths``
    (rows,) or a ``mask`` (rows, time), which is true where there is an element: elsewhere the
    state stays as it is, and the output is 0. So the last state is that after a sequence's own
    last element, and the backward direction starts there.

    Args:
        input_size: extent of the last axis of x.
        hidden_size: that of the state.
        num_layers: each takes the output of the one below.
        bias: whether there are b_ih and b_hh.
        dropout: probability of dropping between layers, while training.
        bidirectional: whether to go through the sequence in both directions.
        nonlinearity: "tanh" or "relu".
        layer_norm: as in the cell.

    Raises:
        ShapeError: input, state, lengths or mask do not fit; it names both shapes.

    Example:
        >>> import chainrule as cr
        >>> y, h = cr.nn.RNN(3, 4, num_layers=2)(cr.ones((5, 7, 3)))
        >>> y.shape, h.shape
        ((5, 7, 4), (2, 5, 4))
    """

    cell = RNNCell


class LSTM(_Recurrent):
    """Long short-term memory over sequences; the equations are those of `LSTMCell`.

    Like `RNN` (without ``nonlinearity``); its state is the pair (h, c) of such tensors.

    Example:
        >>> import chainrule as cr
        >>> lstm = cr.nn.LSTM(3, 4, bidirectional=True)
        >>> y, (h, c) = lstm(cr.ones((2, 7, 3)), lengths=[7, 5])
        >>> y.shape, h.shape, c.shape
        ((2, 7, 8), (2, 2, 4), (2, 2, 4))
    """

    cell = LSTMCell


class GRU(_Recurrent):
    """Gated recurrent units over sequences; the equations are those of `GRUCell`.

    Like `RNN` (without ``nonlinearity``).

    Example:
        >>> import chainrule as cr
        >>> y, h = cr.nn.GRU(3, 4)(cr.ones((2, 7, 3)))
        >>> y.shape, h.shape
        ((2, 7, 4), (1, 2, 4))
    """

    cell = GRUCell


# ---- truncated backpropagation through time --------------------------------------------------


def detach_state(state: Any) -> Any:
    """The state without its history: where truncated backpropagation through time stops.

    Long sequences are cut into segments; the state goes on from one to the next, the gradient
    does not (Williams and Peng, 1990).

    Example:
        >>> import chainrule as cr
        >>> lstm, state = cr.nn.LSTM(1, 4), None
        >>> for part in cr.nn.segments(cr.ones((2, 10, 1)), 4):
        ...     y, state = lstm(part, state)
        ...     (y * y).mean().backward()
        ...     state = cr.nn.detach_state(state)
    """
    return pytree.map_leaves(lambda leaf: as_tensor(leaf).detach(), state)


def segments(x: TensorLike, length: int, axis: int = 1) -> Iterator[Tensor]:
    """Consecutive parts of this length along the axis of time; the last one may be shorter.

    Example:
        >>> import chainrule as cr
        >>> [part.shape for part in cr.nn.segments(cr.ones((2, 10, 1)), 4)]
        [(2, 4, 1), (2, 4, 1), (2, 2, 1)]
    """
    x, length = as_tensor(x), positive_integer("length", length)
    for start in range(0, x.shape[axis], length):
        yield narrow(x, axis % x.ndim, start, min(start + length, x.shape[axis]))
