"""PyTorch's operations on shapes, indices and matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

import chainrule as cr

from .table import add, along, by, plain, unless, vector_of, written

# ---- shapes ----------------------------------------------------------------------------------


def shape_of(args: Any) -> Any:
    return tuple(args[0]) if args and isinstance(args[0], (list, tuple)) else tuple(args)


add("reshape view view_copy", "reshape", lambda x, *shape: cr.reshape(x, shape_of(shape)))
add(
    "reshape_as view_as",
    "reshape",
    lambda x, other: cr.reshape(x, other.shape),
    "reshape(x, other.shape)",
)
add("ravel", "ravel", plain(cr.ravel))


def _flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    unless(end_dim not in (-1, x.ndim - 1), "flatten goes to the last axis")
    return cr.flatten(x, start_dim)


add("flatten", "flatten", _flatten, "to the last axis; otherwise reshape")
add(
    "unflatten",
    "reshape",
    lambda x, dim, sizes: cr.reshape(
        x, (*x.shape[: dim % x.ndim], *sizes, *x.shape[dim % x.ndim + 1 :])
    ),
    "or nn.Unflatten",
)
add(
    "squeeze squeeze_copy squeeze:multiple",
    "squeeze",
    lambda x, dim=None: cr.squeeze(
        x,
        tuple(d for d in ([dim] if isinstance(dim, int) else dim) if x.ndim and x.shape[d] == 1)
        if dim is not None
        else None,
    ),
    "refuses axes that are not single",
)
add("unsqueeze unsqueeze_copy", "expand_dims", plain(cr.expand_dims))
add(
    "expand broadcast_to expand_copy",
    "broadcast_to",
    lambda x, *shape: cr.broadcast_to(x, shape_of(shape)),
)
add(
    "expand_as",
    "broadcast_to",
    lambda x, y: cr.broadcast_to(x, y.shape),
    "broadcast_to(x, y.shape)",
)
add("broadcast_tensors", "broadcast_arrays", plain(cr.broadcast_arrays))
add("permute permute_copy", "transpose", lambda x, *axes: cr.transpose(x, shape_of(axes)))
add("transpose transpose_copy", "swapaxes", lambda x, a, b: cr.swapaxes(x, a, b) if x.ndim else x)
add("T t t_copy", "Tensor.T", lambda x: x.T)
add("H", "Tensor.T", lambda x: x.T)
add("mT mH", "Tensor.mT", lambda x: x.mT)
add("movedim", "moveaxis", plain(cr.moveaxis))
add("flip", "flip", lambda x, dims: cr.flip(x, tuple(dims)))
add("fliplr", "fliplr", plain(cr.fliplr))
add("flipud", "flipud", plain(cr.flipud))


def _roll(x: Any, shifts: Any, dims: Any = None) -> Any:
    unless(isinstance(shifts, list), "one axis at a time")
    return cr.roll(vector_of(x), shifts, dims) if x.ndim else x


add("roll", "roll", _roll, "one axis at a time")


def _rot90(x: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    unless(tuple(dims) != (0, 1), "of the first two axes")
    return cr.rot90(x, k)


add("rot90", "rot90", _rot90, "of the first two axes")
add("tril", "tril", plain(cr.tril))
add("triu", "triu", plain(cr.triu))
for _name in ("atleast_1d", "atleast_2d", "atleast_3d"):
    add(_name, _name, plain(getattr(cr, _name)))
for _name in ("column_stack", "hstack", "vstack", "dstack"):
    add(_name, _name, plain(getattr(cr, _name)))
add(
    "cat",
    "concatenate",
    lambda xs, dim=0: (
        unless(len({x.ndim for x in xs}) > 1, "all have the same rank") or cr.concatenate(xs, dim)
    ),
)
add("stack", "stack", plain(cr.stack))
add("block_diag", "block_diag", lambda *xs: cr.block_diag(xs), "takes a list")
add("cartesian_prod", "cartesian_product", plain(cr.cartesian_product))
add("combinations", "combinations", plain(cr.combinations))


def _meshgrid(*vectors: Any, indexing: str = "ij") -> Any:
    unless(indexing != "ij", "indexing 'ij' only")
    if len(vectors) == 1 and isinstance(vectors[0], list):
        vectors = tuple(vectors[0])
    return cr.meshgrid(*map(vector_of, vectors))


add(
    "meshgrid:variadic_tensors meshgrid:list_of_tensors",
    "meshgrid",
    _meshgrid,
    "indexing is 'ij', as in PyTorch by default",
)
add("chunk unsafe_chunk", "chunk", plain(cr.chunk))
add("tensor_split", "array_split", plain(cr.array_split))


def _split(x: Any, size: Any, dim: int = 0) -> Any:
    if isinstance(size, int):
        n = x.shape[dim]
        size = [min(size, n - at) for at in range(0, n, size)]
    return cr.split(x, size, dim)


add(
    "split split:list_args unsafe_split split_with_sizes split_with_sizes_copy",
    "split",
    _split,
    "an integer is the number of parts, as in NumPy; a list their extents",
)
for _name in ("hsplit", "vsplit", "dsplit"):
    add(_name, _name, plain(getattr(cr, _name)))
add("unbind unbind_copy", "unstack", plain(cr.unstack))


def _tile(x: Any, repeats: Any) -> Any:
    return cr.tile(x, tuple(repeats)) if repeats else x


add("tile", "tile", _tile)
add("repeat", "tile", _tile)


def _repeat(x: Any, repeats: Any, dim: int | None = None, output_size: Any = None) -> Any:
    unless(not isinstance(repeats, int), "one number of repeats; otherwise take")
    return cr.repeat(x, repeats, dim) if x.ndim else cr.tile(x, (repeats,))


add("repeat_interleave", "repeat", _repeat, "one number of repeats; otherwise take")
add("fill", "full_like", lambda x, value: cr.full_like(x, value))
add("zero_", "zeros_like", plain(cr.zeros_like))
add("diag", "diag", plain(cr.diag))
add("diagflat", "diagflat", plain(cr.diagflat))


def _axes(names: dict[str, Any]) -> dict[str, Any]:
    return {{"dim1": "axis1", "dim2": "axis2"}.get(key, key): v for key, v in names.items()}


add("diag_embed", "diag_embed", lambda x, *a, **k: cr.diag_embed(x, *a, **_axes(k)))
add(
    "diagonal diagonal_copy",
    "linalg.diagonal",
    lambda x, offset=0, dim1=0, dim2=1: cr.linalg.diagonal(x, offset, dim1, dim2),
    "the last two axes by default",
)
add(
    "linalg.diagonal",
    "linalg.diagonal",
    lambda x, offset=0, dim1=-2, dim2=-1: cr.linalg.diagonal(x, offset, dim1, dim2),
)
add(
    "unfold unfold_copy",
    "sliding_window_view",
    lambda x, dim, size, step: (
        cr.sliding_window_view(x, size, dim, step) if x.ndim else vector_of(x)
    ),
)


def _pad(x: Any, pairs: Any, mode: str = "constant", value: Any = 0.0) -> Any:
    unless(any(p < 0 for p in pairs), "no negative margins: use an index")
    widths = [(pairs[i], pairs[i + 1]) for i in range(0, len(pairs), 2)]
    widths = [(0, 0)] * (x.ndim - len(widths)) + widths[::-1]
    names = {"replicate": "edge", "circular": "wrap"}
    return cr.pad(x, widths, value or 0.0, names.get(mode, mode))


add(
    "nn.functional.pad:constant nn.functional.pad:reflect nn.functional.pad:replicate "
    "nn.functional.pad:circular",
    "pad",
    _pad,
    "(before, after) for every axis, as in NumPy; channels are the last axis",
)
add("constant_pad_nd", "pad", lambda x, pairs, value=0.0: _pad(x, pairs, "constant", value))

# ---- indices ---------------------------------------------------------------------------------


def _index(index: Any) -> Any:
    if isinstance(index, list) and not all(
        isinstance(p, (cr.Tensor, slice, int)) or p in (None, ...) for p in index
    ):
        unless(True, "lists are written as arrays")
    if isinstance(index, list) and all(isinstance(p, int) for p in index):
        return np.array(index)
    parts = index if isinstance(index, list) else [index]
    return tuple(np.asarray(p.numpy()) if isinstance(p, cr.Tensor) else p for p in parts)


add("__getitem__", "getitem", lambda x, index: x[_index(index)], "the index operator of tensors")
add("select", "getitem", lambda x, dim, i: cr.take(x, i, dim), "x[..., i], or take")
add(
    "narrow narrow_copy",
    "getitem",
    lambda x, dim, start, length: x[
        (*[slice(None)] * (dim % x.ndim), slice(int(start), int(start) + length))
    ],
    "x[start : start + length]",
)
add(
    "slice",
    "getitem",
    lambda x, dim=0, start=None, end=None, step=1: x[
        (*[slice(None)] * dim, slice(start, end, step))
    ],
    "the index operator",
)
add(
    "index_select",
    "take",
    lambda x, dim, i: (
        cr.take(vector_of(x), i, dim) if x.ndim else cr.reshape(cr.take(vector_of(x), i, 0), ())
    ),
)
add("take", "take", lambda x, i: cr.take(cr.ravel(x), i), "take(ravel(x), indices)")


def _gather(x: Any, dim: int, index: Any, sparse_grad: bool = False) -> Any:
    if x.ndim == 0:
        return cr.reshape(cr.take(vector_of(x), cr.ravel(index)), index.shape)
    unless(x.ndim != index.ndim, "an index for every element")
    unless(
        any(
            a != b
            for i, (a, b) in enumerate(zip(x.shape, index.shape, strict=True))
            if i != dim % x.ndim
        ),
        "other axes have the extents of the tensor",
    )
    return cr.take_along_axis(x, index, dim)


add("gather", "take_along_axis", _gather, "other axes have the extents of the tensor")
add(
    "take_along_dim",
    "take_along_axis",
    lambda x, i, dim=None: (
        cr.take_along_axis(x, i, dim) if dim is not None else cr.take(cr.ravel(x), cr.ravel(i))
    ),
)
add(
    "index_put",
    "setitem",
    lambda x, index, values, accumulate=False: cr.setitem(
        x, _index(index), values, "add" if accumulate else "set"
    ),
)
add(
    "put",
    "setitem",
    lambda x, index, values, accumulate=False: cr.reshape(
        cr.setitem(
            cr.ravel(x), index, cr.reshape(values, index.shape), "add" if accumulate else "set"
        ),
        x.shape,
    ),
    "of the flat tensor",
)
add(
    "select_scatter",
    "setitem",
    lambda x, src, dim, i: cr.setitem(x, (*[slice(None)] * (dim % x.ndim), i), src),
)
add(
    "slice_scatter",
    "setitem",
    lambda x, src, dim=0, start=None, end=None, step=1: cr.setitem(
        x, (*[slice(None)] * dim, slice(start, end, step)), src
    ),
)


def _diagonal_scatter(x: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    unless(x.ndim != 2, "of a matrix")
    rows = np.arange(src.shape[-1])
    return cr.setitem(x, (rows - min(offset, 0), rows + max(offset, 0)), src)


add("diagonal_scatter", "setitem", _diagonal_scatter, "at the indices of the diagonal")


def _slices(mode: str) -> Any:
    def call(
        x: Any,
        dim: int,
        index: Any,
        src: Any,
        *more: Any,
        alpha: Any = 1,
        include_self: bool = True,
    ) -> Any:
        if isinstance(src, cr.Tensor) and alpha != 1:
            src = alpha * src
        wide = vector_of(x)
        src = vector_of(src) if isinstance(src, cr.Tensor) and not x.ndim else src
        y = cr.scatter(wide, index, src, dim, mode, include_self)
        return cr.reshape(y, x.shape)

    return call


add("index_copy index_fill", "scatter", _slices("set"))
add("index_add", "scatter", _slices("add"), "mode='add', or scatter_add")
for _theirs, _ours in {"mean": "mean", "prod": "multiply", "amin": "min", "amax": "max"}.items():
    add(f"index_reduce:{_theirs}", "scatter", _slices(_ours), f"mode='{_ours}'")


def _elements(mode: str) -> Any:
    def call(
        x: Any,
        dim: int,
        index: Any,
        src: Any,
        *more: Any,
        include_self: bool = True,
        reduce: Any = None,
    ) -> Any:
        reduce = {"add": "add", "multiply": "multiply", None: mode}[reduce]
        if isinstance(src, cr.Tensor) and src.ndim:
            src = src[tuple(slice(0, n) for n in index.shape)]
        return cr.put_along_axis(x, index, src, dim, reduce, include_self)

    return call


add("scatter", "put_along_axis", _elements("set"), "mode in place of reduce")
add("scatter_add", "put_along_axis", _elements("add"), "mode='add', or add_along_axis")
for _theirs, _ours in {
    "sum": "add",
    "prod": "multiply",
    "mean": "mean",
    "amin": "min",
    "amax": "max",
}.items():
    add(f"scatter_reduce:{_theirs}", "put_along_axis", _elements(_ours), f"mode='{_ours}'")
add("masked_select", "masked_select", lambda x, m: cr.masked_select(x, m, int(m.numpy().sum())))
add("masked_scatter", "masked_scatter", plain(cr.masked_scatter))


def _segments(
    x: Any,
    reduce: str,
    axis: int = 0,
    lengths: Any = None,
    offsets: Any = None,
    unsafe: bool = False,
    initial: Any = None,
) -> Any:
    counts = (lengths if lengths is not None else cr.diff(offsets)).numpy()
    unless(
        counts.ndim > 1 or axis or (initial is not None and reduce != "sum"),
        "segments of rows, without an initial value",
    )
    segments = np.repeat(np.arange(counts.size), counts)
    y = getattr(cr, f"segment_{reduce}")(x, segments, counts.size)
    return y + initial if initial is not None else y


add(
    "_segment_reduce:lengths _segment_reduce:offsets",
    "segment_sum",
    _segments,
    "segment_sum, _mean, _max, _min, _prod of segments by index",
)

# ---- products and matrices -------------------------------------------------------------------

for _name in ["dot", "vdot", "outer", "kron", "inner"]:
    add(_name, _name, plain(getattr(cr, _name)))
add("mm mv bmm matmul", "matmul", plain(cr.matmul))
add("einsum", "einsum", lambda xs, equation: cr.einsum(equation, *xs), "the equation comes first")
add("tensordot", "tensordot", lambda a, b, dims=2: cr.tensordot(a, b, dims))
add("cross linalg.cross", "cross", lambda a, b, dim=-1: cr.cross(*cr.broadcast_arrays(a, b), dim))
written(
    "addmm addmm:decomposed addmv baddbmm",
    "beta * c + alpha * (a @ b)",
    lambda c, a, b, beta=1, alpha=1: beta * c + alpha * (a @ b),
)
written(
    "addbmm",
    "beta * c + alpha * (a @ b).sum(0)",
    lambda c, a, b, beta=1, alpha=1: beta * c + alpha * (a @ b).sum(0),
)
written(
    "addr",
    "beta * c + alpha * outer(a, b)",
    lambda c, a, b, beta=1, alpha=1: beta * c + alpha * cr.outer(a, b),
)
add("cdist", "cdist", lambda a, b, p=2.0, compute_mode=None: cr.cdist(a, b, p))
add("nn.functional.pdist", "pdist", lambda x, p=2.0: cr.pdist(x, p))
add(
    "nn.functional.pairwise_distance",
    "pairwise_distance",
    lambda a, b, p=2.0, eps=1e-6, keepdim=False: cr.pairwise_distance(a, b, p, eps, keepdim),
)
add(
    "nn.functional.cosine_similarity",
    "cosine_similarity",
    lambda a, b, dim=1, eps=1e-8: (
        cr.cosine_similarity(a, b, dim, eps)
        if a.ndim
        else cr.cosine_similarity(vector_of(a), vector_of(b), 0, eps)
    ),
)


def symmetric(x: Any) -> Any:
    return x + cr.swapaxes(x, -1, -2)


def _cholesky(x: Any, upper: bool = False) -> Any:
    return cr.linalg.cholesky(symmetric(x), upper)


add("cholesky linalg.cholesky", "linalg.cholesky", _cholesky)
add(
    "linalg.cholesky_ex",
    "linalg.cholesky",
    lambda x, upper=False: (_cholesky(x, upper), cr.zeros(x.shape[:-2], "int32")),
    "raises in place of info",
)


def _lower_positive(x: Any, upper: bool) -> Any:
    """As PyTorch's wrapper makes it: with ones on the diagonal."""
    return (cr.triu(x, 1) if upper else cr.tril(x, -1)) + np.eye(x.shape[-1])


add(
    "cholesky_inverse",
    "linalg.cholesky_inverse",
    lambda x, upper=False: cr.linalg.cholesky_inverse(_lower_positive(x, upper), upper),
)
add("cholesky_solve", "linalg.cholesky_solve", plain(cr.linalg.cholesky_solve))
add("linalg.det", "linalg.det", plain(cr.linalg.det))
add("logdet", "linalg.logdet", plain(cr.linalg.logdet))
add("linalg.slogdet", "linalg.slogdet", plain(cr.linalg.slogdet))
add("linalg.inv", "linalg.inv", plain(cr.linalg.inv))
add(
    "linalg.inv_ex",
    "linalg.inv",
    lambda x: (cr.linalg.inv(x), cr.zeros(x.shape[:-2], "int32")),
    "raises in place of info",
)


def _solve(a: Any, b: Any, left: bool = True) -> Any:
    unless(not left, "left=False: solve the transposed system")
    unless(b.ndim == a.ndim - 1 and b.ndim > 1, "a batch of vectors: add an axis")
    return cr.linalg.solve(a, b)


add("linalg.solve", "linalg.solve", _solve, "a vector, or matrices on the right-hand side")
add(
    "linalg.solve_ex",
    "linalg.solve",
    lambda a, b, **k: (_solve(a, b, **k), cr.zeros(a.shape[:-2], "int32")),
    "raises in place of info",
)
add(
    "linalg.solve_triangular",
    "linalg.solve_triangular",
    lambda a, b, upper, left=True, unitriangular=False: cr.linalg.solve_triangular(
        a, b, lower=not upper, left=left, unit=unitriangular
    ),
    "lower in place of upper",
)
add(
    "triangular_solve",
    "linalg.solve_triangular",
    lambda b, a, upper=False, transpose=False, unitriangular=False: (
        cr.linalg.solve_triangular(a, b, lower=not upper, transpose=transpose, unit=unitriangular),
        cr.triu(a) if upper else cr.tril(a),
    ),
    "as PyTorch's wrapper calls it",
)


def _qr(x: Any, mode: Any = "reduced") -> Any:
    mode = {True: "reduced", False: "complete"}.get(mode, mode)
    unless(mode == "complete" and x.shape[-2] > x.shape[-1], "reduced")
    q, r = cr.linalg.qr(x)
    return q, r


def _ormqr(x: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    """The product with the whole Q, of as many columns as rows."""
    m, n = x.shape[-2:]
    whole = cr.pad(x, [*((0, 0),) * (x.ndim - 1), (0, m - n)]) if n < m else x
    q = cr.linalg.householder_product(whole, tau)
    q = q.mT if transpose else q
    return q @ other if left else other @ q


written("ormqr", "linalg.householder_product(a, tau) @ c", _ormqr)


def _sum_to_size(x: Any, *size: Any) -> Any:
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    lead = x.ndim - len(shape)
    y = cr.sum(x, tuple(range(lead))) if lead else x
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and y.shape[i] != 1)
    return cr.sum(y, axes, keepdims=True) if axes else y


written("sum_to_size", "sum(x, axes, keepdims=True)", _sum_to_size)
add("qr linalg.qr", "linalg.qr", _qr, "no derivative of the columns that 'complete' adds to Q")
add(
    "linalg.eigh",
    "linalg.eigh",
    lambda x, UPLO="L": _with_abs(*cr.linalg.eigh(symmetric(x))),
    "of (A + Aᵀ) / 2, no UPLO",
)


def _with_abs(values: Any, vectors: Any) -> Any:
    return values, cr.abs(vectors)


add(
    "linalg.eigvalsh",
    "linalg.eigvalsh",
    lambda x, UPLO="L": cr.linalg.eigvalsh(symmetric(x)),
    "of (A + Aᵀ) / 2, no UPLO",
)
add("linalg.svdvals", "linalg.svdvals", plain(cr.linalg.svdvals))
add("linalg.pinv", "linalg.pinv", lambda x, rtol=None: _pinv(x, rtol))
add("pinverse", "linalg.pinv", lambda x, rcond=1e-15: cr.linalg.pinv(x, rcond))
add("linalg.pinv:hermitian", "linalg.pinv", lambda x, hermitian=True: cr.linalg.pinv(symmetric(x)))
add("linalg.pinv:singular", "linalg.pinv", lambda a, b: cr.linalg.pinv(a @ cr.swapaxes(b, -1, -2)))


def _pinv(x: Any, rtol: Any) -> Any:
    unless(isinstance(rtol, cr.Tensor), "rtol is a number")
    return cr.linalg.pinv(x, rtol)


def _lstsq(a: Any, b: Any, driver: str = "") -> Any:
    return cr.linalg.lstsq(a, b)[0]


add("linalg.lstsq linalg.lstsq:grad_oriented", "linalg.lstsq", _lstsq, "no drivers", compared=1)
add("matrix_exp", "linalg.matrix_exp", plain(cr.linalg.matrix_exp))
add("linalg.matrix_power", "linalg.matrix_power", plain(cr.linalg.matrix_power))
add("linalg.multi_dot", "linalg.multi_dot", plain(cr.linalg.multi_dot))
add("linalg.vecdot", "linalg.vecdot", lambda a, b, dim=-1: cr.linalg.vecdot(a, b, dim))
add("linalg.vander", "linalg.vander", lambda x, N=None: cr.linalg.vander(vector_of(x), N))
add(
    "linalg.householder_product", "linalg.householder_product", plain(cr.linalg.householder_product)
)
add("linalg.cond", "linalg.cond", lambda x, p=2: cr.linalg.cond(x, 2 if p is None else p))


def _lin_norm(x: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, **more: Any) -> Any:
    axis = tuple(dim) if isinstance(dim, list) else dim
    ord = float(ord) if isinstance(ord, str) and ord not in ("fro", "nuc") else ord
    return cr.linalg.norm(x, ord, axis, keepdim)


add(
    "linalg.norm linalg.norm:subgradients_at_zero",
    "linalg.norm",
    _lin_norm,
    "order in place of ord",
)


def _matrix_norm(x: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    ord = float(ord) if isinstance(ord, str) and ord not in ("fro", "nuc") else ord
    return cr.linalg.matrix_norm(x, ord, tuple(dim), keepdim)


add("linalg.matrix_norm", "linalg.matrix_norm", _matrix_norm)


def _vector_norm(x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, **more: Any) -> Any:
    axis = None if x.ndim == 0 else tuple(dim) if isinstance(dim, list) else dim
    return cr.linalg.vector_norm(x, float(ord), axis, keepdim)


add("linalg.vector_norm", "linalg.vector_norm", _vector_norm)


def _lu(x: Any, pivot: bool = True, *more: Any) -> Any:
    unless(not pivot, "always with pivots")
    return cr.linalg.lu(x)[1:]  # PyTorch compares these


add("linalg.lu", "linalg.lu", _lu, "always with pivots")


def _rows(pivots: Any, count: int) -> Any:
    """The order of rows that exchanges, counted from 1, make."""
    pivots = pivots.numpy()
    rows = np.tile(np.arange(count), (*pivots.shape[:-1], 1))
    for batch in np.ndindex(pivots.shape[:-1]):
        for i, other in enumerate(pivots[batch] - 1):
            rows[(*batch, i)], rows[(*batch, other)] = rows[(*batch, other)], rows[(*batch, i)]
    return rows


def _lu_solve(lu: Any, pivots: Any, b: Any, left: bool = True, adjoint: bool = False) -> Any:
    unless(not left or adjoint, "A·X = B only")
    return cr.linalg.lu_solve(lu, _rows(pivots, lu.shape[-1]), b)


add(
    "linalg.lu_factor linalg.lu_factor_ex",
    "linalg.lu_factor",
    lambda x, pivot=True, **k: cr.linalg.lu_factor(x)[0],
    "gives the order of the rows, not exchanges",
    compared=1,
)
add("linalg.lu_solve", "linalg.lu_solve", _lu_solve, "takes the order of the rows, not exchanges")
add(
    "lu_solve",
    "linalg.lu_solve",
    lambda b, lu, pivots: _lu_solve(lu, pivots, b),
    "takes the order of the rows, not exchanges",
)
add("linalg.tensorinv", "linalg.tensorinv", plain(cr.linalg.tensorinv))
add(
    "linalg.tensorsolve",
    "linalg.tensorsolve",
    lambda a, b, dims=None: cr.linalg.tensorsolve(a, b, dims),
)


def _svd(x: Any, full_matrices: bool = True) -> Any:
    unless(full_matrices and x.shape[-1] != x.shape[-2], "reduced matrices only")
    return cr.abs(cr.linalg.svd(x)[0])  # PyTorch compares these, for signs are any


add("linalg.svd", "linalg.svd", _svd, "the reduced matrices without full_matrices=True")
add(
    "svd",
    "linalg.svd",
    lambda x, some=True, compute_uv=True: _svd(x, not some),
    "gives Vᵀ; full_matrices in place of some",
)

# ---- masks -----------------------------------------------------------------------------------


def _masked(function: Any, names: str = "", fixed_axis: bool = False) -> Any:
    def call(x: Any, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
        given = dict(zip(names.split(), args, strict=False)) | kwargs
        given.pop("dtype", None)
        if "unbiased" in given:
            given["correction"] = int(given.pop("unbiased"))
        if "ord" in given:
            given["ord"] = float(given["ord"])
        call = along if fixed_axis else by
        y = call(function)(x, mask=mask, **given)
        # As PyTorch's wrapper does: what says nothing is 0.
        return cr.where(mask, y, 0.0) if mask is not None and y.shape == x.shape else y

    return call


for _theirs, _ours in {
    "sum": "sum",
    "prod": "prod",
    "amax": "max",
    "amin": "min",
    "mean": "mean",
    "var": "var",
    "std": "std",
    "logsumexp": "logsumexp",
}.items():
    add(f"masked.{_theirs}", f"masked.{_ours}", _masked(getattr(cr.masked, _ours)))
add("masked.norm", "masked.norm", _masked(cr.masked.norm, "ord dim"))
for _name in ("cumsum", "cumprod", "softmax", "log_softmax", "softmin"):
    add(f"masked.{_name}", f"masked.{_name}", _masked(getattr(cr.masked, _name), "dim", True))
add("masked.normalize", "masked.normalize", _masked(cr.masked.normalize, "ord dim", True))


def _masked_median(x: Any, dim: Any = None, mask: Any = None, keepdim: bool = False) -> Any:
    counts = x.shape[dim] if mask is None and x.ndim else 1
    if mask is not None:
        counts = (cr.sum(mask, dim) if mask.ndim else mask.astype("int64")).numpy()
    unless(np.any(np.asarray(counts) % 2 == 0), "the mean of the middle two")
    return along(cr.masked.median)(x, dim, mask=mask, keepdim=keepdim)


add("masked.median", "masked.median", _masked_median, "the mean of the middle two")
add(
    "masked.logaddexp",
    "masked.logaddexp",
    lambda a, b, input_mask=None, other_mask=None: (
        # As PyTorch's wrapper does: what is masked in one of them is 0.
        cr.where(
            True if input_mask is None else input_mask & other_mask,
            cr.masked.logaddexp(a, b, input_mask, other_mask),
            0.0,
        )
    ),
)
