"""Convolutions and their transposes: which kernel computes them, phase by phase."""

from __future__ import annotations

from ....ir.node import Node
from ..function import Function, Where
from ..views import View
from .convolution_panels import Weights, chain, is_depthwise, pack, zeros
from .cpu import target_in_use
from .direct_convolution import Direct
from .frugal_convolution import sums
from .sliding_window import Axis, Geometry, backward, forward, join
from .winograd import Winograd, fits


def convolution(node: Node, sources: list[View], where: Where) -> Function | None:
    """y[o] = Σₖ Σ_c x[o·stride + k·dilation - before, c] · w[k, c]."""
    x, w = sources
    geometry = Geometry.of(node.attributes, x.shape[1:-1], node.type.shape[1:-1], w.shape[:-2])
    return _sums(node, sources, where, geometry, [forward(*geometry.numbers)], False)


def transposed(node: Node, sources: list[View], where: Where) -> Function | None:
    """x[i] = Σₖ Σ_m g[(i + before - k·dilation) / stride, m] · w[k, m], where that is whole."""
    g, w = sources
    geometry = Geometry.of(node.attributes, node.type.shape[1:-1], g.shape[1:-1], w.shape[:-2])
    phases = list(backward(*geometry.numbers))
    return _sums(node, sources, where, geometry, phases, True)


def _sums(
    node: Node,
    sources: list[View],
    where: Where,
    geometry: Geometry,
    phases: list[list[Axis]],
    back: bool,
) -> Function | None:
    """The weights into panels, then a function for each phase."""
    w, groups = sources[1], node.attributes["groups"]
    if node.type.size == 0:
        return None
    dtype = node.type.dtype.name
    taken, given = w.shape[-2], w.shape[-1] // groups  # channels of a group
    depth, columns = (given, taken) if back else (taken, given)
    work = [axes for axes in phases if depth and all(axis.taps for axis in axes)]
    functions: list[Function] = []
    if len(work) < len(phases):
        functions.append(zeros(node, where))
    if target_in_use().frugal:
        functions += [sums(node, sources, where, axes, geometry.window, back) for axes in work]
        return chain(functions)
    packed = 0
    for axes in work:
        taps = join(axes, geometry.window, depth, groups == 1)
        if is_depthwise(w, groups):
            weights = Weights(dtype, 1, 1, groups, taps, True)
        else:
            weights = Weights(dtype, groups, depth, columns, taps)
            functions.append(pack(weights, sources[1], where, packed, back))
            if len(phases) == 1 and fits(dtype, groups, depth, columns, axes):
                quick = Winograd(node, sources[0], where, axes, weights, packed)
                functions += [quick.transformed(), quick.function()]
                packed += weights.size + quick.size
                continue
        functions.append(Direct(node, sources, where, axes, weights, packed).function())
        packed += weights.size
    for function in functions:
        function.scratch = -(-packed * node.type.dtype.itemsize // 64) * 64 * function.scratch
    return chain(functions)
