"""PyTorch's operations with derivatives, and what they are called here.

Each entry has PyTorch's name (of its own list of operations, OpInfo), ours, what differs, and how a
call of PyTorch's becomes one of ours, for the test over the stored samples. `docs/from_pytorch.md`
is written from the same table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import chainrule as cr


class NotApplicableError(Exception):
    """A sample that asks for something that is different here, and says what."""


@dataclass(frozen=True)
class Entry:
    """An operation of PyTorch.

    Attributes:
        name: PyTorch's.
        ours: a name below `chainrule`, or an expression of such names.
        call: ours, with PyTorch's arguments.
        differs: what a user has to know.
        by_name: whether ``ours`` is a name, not an expression.
        compared: how many results mean the same; all without it.
    """

    name: str
    ours: str
    call: Callable[..., Any]
    differs: str = ""
    by_name: bool = True
    compared: int | None = None


#: By PyTorch's name.
TABLE: dict[str, Entry] = {}
#: What is missing, and why.
ABSENT: dict[str, str] = {}


def add(names: str, ours: str, call: Callable[..., Any], differs: str = "", **options: Any) -> None:
    """Enter operations that have one meaning."""
    for name in names.split():
        TABLE[name] = Entry(name, ours, call, differs, **options)


def written(names: str, ours: str, call: Callable[..., Any], differs: str = "") -> None:
    """Enter operations that are an expression here."""
    add(names, ours, call, differs, by_name=False)


def absent(names: str, why: str) -> None:
    """Enter operations that are missing."""
    ABSENT.update(dict.fromkeys(names.split(), why))


# ---- how arguments are passed ----------------------------------------------------------------

RENAMED = {
    "dim": "axis",
    "keepdim": "keepdims",
    "dims": "axis",
    "ord": "order",
    "p": "order",
    "interpolation": "method",
    "upper": "upper",
    "rtol": "rtol",
}


def unless(condition: Any, reason: str) -> None:
    """Leave a sample out."""
    if condition:
        raise NotApplicableError(reason)


def by(function: Any, names: str = "", **fixed: Any) -> Callable[..., Any]:
    """A call with the positional arguments after the first under these names of PyTorch's."""

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        given = dict(zip(names.split(), args, strict=False)) | kwargs
        dtype = given.pop("dtype", None)
        if dtype is not None:
            x = x.astype(dtype)
        options = {RENAMED.get(key, key): value for key, value in given.items()}
        axis = options.get("axis", 0)
        if isinstance(axis, list):
            options["axis"] = tuple(axis) or None
        if getattr(x, "shape", None) == () and axis in (0, -1, [0], [-1]) and "axis" in options:
            options["axis"] = None
        return function(x, **options, **fixed)

    return call


def plain(function: Any) -> Callable[..., Any]:
    """The same arguments."""
    return lambda *args, **kwargs: function(*args, **kwargs)


def vector_of(x: Any) -> Any:
    """A number as a vector: PyTorch takes axis 0 of a single number."""
    return cr.reshape(x, (1,)) if x.ndim == 0 else x


def along(function: Any, names: str = "dim", **fixed: Any) -> Callable[..., Any]:
    """A call along one axis, which a single number has in PyTorch, too."""

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        given = dict(zip(names.split(), args, strict=False)) | kwargs
        dtype = given.pop("dtype", None)
        x = x if dtype is None else x.astype(dtype)
        options = {RENAMED.get(key, key): value for key, value in given.items()}
        y = function(vector_of(x), **options, **fixed)
        return cr.reshape(y, ()) if x.ndim == 0 else y

    return call


def variance(function: Any) -> Callable[..., Any]:
    """With PyTorch's ``unbiased``, positional after the axis or alone."""

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        given = dict(kwargs)
        if args:
            given["unbiased" if isinstance(args[0], bool) else "dim"] = args[0]
        correction = given.pop("correction", None)
        unbiased = given.pop("unbiased", True)
        given["correction"] = (1 if unbiased else 0) if correction is None else correction
        return by(function)(x, **given)

    return call


# ---- elements --------------------------------------------------------------------------------

for _name in [
    "abs",
    "ceil",
    "cos",
    "cosh",
    "deg2rad",
    "digamma",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "rad2deg",
    "reciprocal",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
    "frac",
    "i0",
    "positive",
    "angle",
    "nan_to_num",
]:
    add(_name, _name, plain(getattr(cr, _name)))
for _theirs, _ours in {
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atanh": "arctanh",
    "neg": "negative",
    "sgn": "sign",
    "special.i0e": "i0e",
    "special.i1": "i1",
    "special.i1e": "i1e",
    "special.ndtr": "ndtr",
    "special.ndtri": "ndtri",
    "special.log_ndtr": "log_ndtr",
    "special.entr": "entr",
    "special.erfcx": "erfcx",
}.items():
    add(_theirs, _ours, plain(getattr(cr, _ours)))


def _rounded(x: Any, decimals: int = 0) -> Any:
    return cr.round(x * 10.0**decimals) / 10.0**decimals


add("round round:decimals_0", "round", _rounded)
written("round:decimals_3 round:decimals_neg_3", "round(x * 10**k) / 10**k", _rounded)
written(
    "logit",
    "logit(clip(x, eps, 1 - eps))",
    lambda x, eps=None: cr.logit(x if eps is None else cr.clip(x, eps, 1 - eps)),
)
add(
    "polygamma:polygamma_n_0 polygamma:polygamma_n_1 polygamma:polygamma_n_2 "
    "polygamma:polygamma_n_3 polygamma:polygamma_n_4 special.polygamma:special_polygamma_n_0",
    "polygamma",
    lambda x, n: cr.polygamma(x, n),
    "the order is the second argument",
)
add(
    "mvlgamma:mvlgamma_p_1 mvlgamma:mvlgamma_p_3 mvlgamma:mvlgamma_p_5",
    "multigammaln",
    plain(cr.multigammaln),
)
for _name in [
    "copysign",
    "fmax",
    "fmin",
    "fmod",
    "hypot",
    "ldexp",
    "logaddexp",
    "logaddexp2",
    "maximum",
    "minimum",
    "xlogy",
]:
    add(_name, _name, plain(getattr(cr, _name)))
for _theirs, _ours in {
    "atan2": "arctan2",
    "max:binary": "maximum",
    "min:binary": "minimum",
    "mul": "multiply",
    "remainder": "remainder",
    "special.xlog1py": "xlog1py",
    "true_divide": "divide",
    "div:no_rounding_mode": "divide",
    "pow": "power",
    "float_power": "float_power",
    "lerp": "lerp",
}.items():
    add(_theirs, _ours, plain(getattr(cr, _ours)))
add(
    "add",
    "add",
    lambda a, b, alpha=1: cr.add(a, b if alpha == 1 else alpha * b),
    "without alpha: add(a, alpha * b)",
)
add(
    "sub",
    "subtract",
    lambda a, b, alpha=1: cr.subtract(a, b if alpha == 1 else alpha * b),
    "without alpha: subtract(a, alpha * b)",
)
add("rsub __rsub__", "Tensor.__rsub__", lambda a, b, alpha=1: b - alpha * a)
add("__radd__", "Tensor.__radd__", lambda a, b: b + a)
add("__rmul__", "Tensor.__rmul__", lambda a, b: b * a)
add("__rdiv__", "Tensor.__rtruediv__", lambda a, b: b / a)
add("__rmod__", "Tensor.__rmod__", lambda a, b: b % a)
add("__rpow__", "Tensor.__rpow__", lambda a, b: b**a)
add("__rmatmul__", "Tensor.__rmatmul__", lambda a, b: b @ a)
add("div:floor_rounding", "floor_divide", lambda a, b, rounding_mode: cr.floor_divide(a, b))
written("div:trunc_rounding", "trunc(a / b)", lambda a, b, rounding_mode: cr.trunc(a / b))
add("clamp", "clip", lambda x, min=None, max=None: cr.clip(x, min, max))
add("clamp_max", "clip", lambda x, high: cr.clip(x, None, high), "clip(x, None, high)")
add("clamp_min", "clip", lambda x, low: cr.clip(x, low), "clip(x, low)")
add("where", "where", lambda a, c, b: cr.where(c, a, b))
add("masked_fill", "masked_fill", plain(cr.masked_fill))
written("addcmul", "x + value * a * b", lambda x, a, b, value=1: x + value * a * b)
written("addcdiv", "x + value * a / b", lambda x, a, b, value=1: x + value * a / b)
written(
    "clone contiguous alias_copy conj conj_physical resolve_conj resolve_neg real",
    "x",
    lambda x: x,
    "tensors are real, contiguous and never change",
)
add("double float to", "astype", lambda x: x.astype("float64"), "x.astype(dtype)")

# ---- activations -----------------------------------------------------------------------------

for _theirs, _ours in {
    "relu": "relu",
    "relu6": "relu6",
    "elu": "elu",
    "celu": "celu",
    "selu": "selu",
    "silu": "silu",
    "mish": "mish",
    "hardsigmoid": "hardsigmoid",
    "hardswish": "hardswish",
    "logsigmoid": "log_sigmoid",
    "softsign": "softsign",
    "tanhshrink": "tanhshrink",
    "threshold": "threshold",
    "gelu": "gelu",
    "leaky_relu": "leaky_relu",
}.items():
    add(f"nn.functional.{_theirs}", _ours, plain(getattr(cr, _ours)))
add("nn.functional.glu", "glu", lambda x, dim=-1: cr.glu(x, dim))
add("nn.functional.softshrink", "softshrink", lambda x, lambd=0.5: cr.softshrink(x, lambd))
add("nn.functional.hardshrink", "hardshrink", lambda x, lambd=0.5: cr.hardshrink(x, lambd))
add(
    "nn.functional.hardtanh",
    "hardtanh",
    lambda x, min_val=-1.0, max_val=1.0: cr.hardtanh(x, min_val, max_val),
)


def _prelu(x: Any, weight: Any) -> Any:
    weight = cr.reshape(weight, ()) if weight.size == 1 else weight
    unless(weight.size > 1 and x.ndim > 2, "channels are the last axis")
    return cr.prelu(x, weight)


add("nn.functional.prelu", "prelu", _prelu, "channels are the last axis")


def _softplus(x: Any, beta: float = 1, threshold: float = 20) -> Any:
    return cr.where(x * beta > threshold, x, cr.softplus(x * beta) / beta)


add(
    "nn.functional.softplus",
    "softplus",
    _softplus,
    "softplus(x * beta) / beta; no threshold, for it never overflows",
)
for _name in ("softmax", "log_softmax"):
    add(f"{_name} {_name}:with_dtype", _name, along(getattr(cr, _name)))
add("nn.functional.softmin nn.functional.softmin:with_dtype", "softmin", along(cr.softmin))
add(
    "torch.ops.aten._safe_softmax.default",
    "masked.softmax",
    lambda x, dim: cr.masked.softmax(x, x != -math.inf, dim),
)

# ---- reductions ------------------------------------------------------------------------------

for _theirs, _ours in {
    "sum": "sum",
    "mean": "mean",
    "nansum": "nansum",
    "nanmean": "nanmean",
    "amax": "max",
    "amin": "min",
    "logsumexp": "logsumexp",
    "prod": "prod",
    "count_nonzero": "count_nonzero",
}.items():
    if _theirs != "count_nonzero":
        add(_theirs, _ours, by(getattr(cr, _ours), "dim keepdim"))
add(
    "std std:unbiased",
    "std",
    variance(cr.std),
    "correction=1 for unbiased, which is not the default",
)
add(
    "var var:unbiased",
    "var",
    variance(cr.var),
    "correction=1 for unbiased, which is not the default",
)
written(
    "var_mean var_mean:unbiased",
    "var(x, axis), mean(x, axis)",
    lambda x, *a, **k: (variance(cr.var)(x, *a, **k), _mean_beside(x, *a, **k)),
)
written(
    "std_mean std_mean:unbiased",
    "std(x, axis), mean(x, axis)",
    lambda x, *a, **k: (variance(cr.std)(x, *a, **k), _mean_beside(x, *a, **k)),
)


def _mean_beside(x: Any, *args: Any, **kwargs: Any) -> Any:
    kept = {key: value for key, value in kwargs.items() if key in ("dim", "keepdim")}
    if args and not isinstance(args[0], bool):
        kept["dim"] = args[0]
    return by(cr.mean)(x, **kept)


def _extreme(reduce: Any, which: Any) -> Callable[..., Any]:
    def call(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
        if dim is None:
            return reduce(x)
        wide = vector_of(x)
        y = reduce(wide, dim, keepdim), which(wide, dim, keepdim)
        return [cr.reshape(z, ()) if x.ndim == 0 else z for z in y]

    return call


add("max:reduction_no_dim", "max", _extreme(cr.max, cr.argmax))
add("min:reduction_no_dim", "min", _extreme(cr.min, cr.argmin))
written("max:reduction_with_dim", "max(x, axis), argmax(x, axis)", _extreme(cr.max, cr.argmax))
written("min:reduction_with_dim", "min(x, axis), argmin(x, axis)", _extreme(cr.min, cr.argmin))
written(
    "aminmax", "min(x, axis), max(x, axis)", lambda x, **k: (by(cr.min)(x, **k), by(cr.max)(x, **k))
)
add("cumsum", "cumsum", along(cr.cumsum))
add("cumprod", "cumprod", along(cr.cumprod))
add("logcumsumexp", "logcumsumexp", along(cr.logcumsumexp))


def _running(function: Any) -> Callable[..., Any]:
    def call(x: Any, dim: int) -> Any:
        unless(x.size > 1, "gives indices, too")
        return along(function)(x, dim), cr.zeros(x.shape, "int64")

    return call


add("cummax", "cummax", _running(cr.cummax), "values only; equal ones share the gradient")
add("cummin", "cummin", _running(cr.cummin), "values only; equal ones share the gradient")


def _median(function: Any) -> Callable[..., Any]:
    def call(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
        if dim is None:
            return function(x, 0.5, method="lower")
        unless(x.size > 1, "gives indices, too")
        y = function(vector_of(x), 0.5, dim, keepdim, "lower")
        y = cr.reshape(y, ()) if x.ndim == 0 else y
        return y, cr.zeros(y.shape, "int64")

    return call


add(
    "median",
    "quantile",
    _median(cr.quantile),
    "quantile(x, 0.5, method='lower'); median is the mean of the middle two, as in NumPy",
)
add(
    "nanmedian",
    "nanquantile",
    _median(cr.nanquantile),
    "nanquantile(x, 0.5, method='lower'); nanmedian is the mean of the middle two",
)
add("quantile", "quantile", by(cr.quantile, "q dim keepdim"))
add("nanquantile", "nanquantile", by(cr.nanquantile, "q dim keepdim"))


def _indexed(function: Any, names: str) -> Callable[..., Any]:
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        given = dict(zip(names.split(), args, strict=False)) | kwargs
        options = {RENAMED.get(key, key): value for key, value in given.items()}
        y = function(vector_of(x), **options)
        return [cr.reshape(z, ()) if x.ndim == 0 else z for z in y]

    return call


add("kthvalue", "kthvalue", _indexed(cr.kthvalue, "k dim keepdim"))
add("mode", "mode", _indexed(cr.mode, "dim keepdim"))
add("topk", "top_k", _indexed(cr.top_k, "k dim"))
add(
    "sort",
    "sort",
    _indexed(
        lambda x, axis=-1, descending=False: (
            cr.sort(x, axis, descending),
            cr.argsort(x, axis, descending),
        ),
        "dim descending",
    ),
    "values only; argsort gives the indices",
)
add("msort", "sort", lambda x: cr.sort(x, 0), "sort(x, 0)")


def _norm(x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    if p in ("fro", "nuc") and dim is None and x.ndim == 2 and p == "nuc":
        return cr.linalg.norm(x, "nuc")
    p = 2 if p == "fro" else float(p)
    axis = None if dim is None or x.ndim == 0 else tuple(dim) if isinstance(dim, list) else dim
    return cr.norm(x, axis, keepdim, p)


add("norm norm:fro norm:inf", "norm", _norm, "order in place of p; axis before it")
add("norm:nuc", "linalg.norm", _norm)
add("dist", "norm", lambda a, b, p=2: cr.norm(a - b, order=p), "norm(a - b, order=p)")
add("corrcoef", "corrcoef", plain(cr.corrcoef))
add("cov", "cov", plain(cr.cov))
add("trace", "ops.trace", plain(cr.ops.trace), "cr.trace is another one: the graph of a function")
add("trapz trapezoid", "trapezoid", by(cr.trapezoid, "x"))
add("cumulative_trapezoid", "cumulative_trapezoid", by(cr.cumulative_trapezoid, "x"))


def _gradient(x: Any, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> Any:
    steps = () if spacing is None else spacing if isinstance(spacing, list) else (spacing,)
    axis = tuple(dim) if isinstance(dim, list) else dim
    return cr.gradient(x, *steps, axis=axis, edge_order=edge_order)


add("gradient", "gradient", _gradient, "spacings are positional, as in NumPy")
add(
    "diff",
    "diff",
    lambda x, n=1, dim=-1, prepend=None, append=None: (
        x
        if n == 0
        else cr.diff(
            x
            if prepend is None and append is None
            else cr.concatenate([p for p in (prepend, x, append) if p is not None], dim),
            dim,
            n,
        )
    ),
    "put what comes before and after in place by concatenate",
)
add("renorm", "renorm", lambda x, p, dim, maxnorm: cr.renorm(x, dim, maxnorm, p))
add(
    "nn.functional.normalize",
    "normalize",
    lambda x, p=2.0, dim=1, eps=1e-12: along(cr.normalize)(x, dim, order=p, eps=eps),
)
