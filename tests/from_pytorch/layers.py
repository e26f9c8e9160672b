"""PyTorch's layers for images, normalisation and losses, as functions."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

import chainrule as cr

from .table import NotApplicableError, absent, add, unless, written

# ---- images: channels are the last axis ------------------------------------------------------

LAST = "channels are the last axis: (batch, *extents, channels)"


def last(x: Any) -> Any:
    return cr.moveaxis(x, 1, -1)


def first(x: Any) -> Any:
    return cr.moveaxis(x, -1, 1)


def _each(change: Any, result: Any) -> Any:
    return tuple(map(change, result)) if isinstance(result, tuple) else change(result)


def as_batch(x: Any, rank: int, function: Any) -> Any:
    """The function of a batch of images with channels last, for one of PyTorch's images."""
    if x.ndim == rank + 2:
        return _each(first, function(last(x)))
    return _each(lambda y: first(y)[0], function(last(cr.expand_dims(x, 0))))


def per_axis(value: Any, rank: int) -> Any:
    return value if isinstance(value, int) else list(value) * (rank // len(value) or 1)


def sliding(name: str, rank: int, names: str = "", **usual: Any) -> Any:
    """A pooling: arguments under the names of PyTorch become those under ours, one for each axis.

    Args:
        name: ours.
        rank: how many axes.
        names: further arguments in the order of PyTorch's, as "theirs=ours" or a common name.
        usual: their values where they are not given.
    """
    function = getattr(cr, name)
    pairs = [part.split("=") for part in f"kernel_size=window stride padding {names}".split()]

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        given = usual | dict(zip((pair[0] for pair in pairs), args, strict=False)) | kwargs
        unless(given.pop("divisor_override", None) is not None, "no divisor_override")
        if given.get("stride") in (None, []):
            given["stride"] = given["kernel_size"]
        ours = {pair[0]: pair[-1] for pair in pairs}
        options = {
            ours[key]: value if isinstance(value, bool) else per_axis(value, rank)
            for key, value in given.items()
            if value is not None
        }
        return as_batch(x, rank, lambda z: function(z, **options))

    return call


def _adaptive(name: str, rank: int) -> Any:
    function = getattr(cr, name)

    def call(x: Any, size: Any, return_indices: bool = False) -> Any:
        extents = x.shape[-rank:]
        sizes = [size] * rank if isinstance(size, int) else list(size) * (rank // len(size) or 1)
        sizes = [n if n is not None else e for n, e in zip(sizes, extents, strict=True)]
        more = {"return_indices": True} if return_indices else {}
        return as_batch(x, rank, lambda z: function(z, sizes, **more))

    return call


def _max_unpool(rank: int) -> Any:
    def call(
        x: Any,
        indices: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        output_size: Any = None,
    ) -> Any:
        places = np.sort(indices.numpy().reshape(-1, math.prod(indices.shape[-rank:])), -1)
        unless((places[:, 1:] == places[:, :-1]).any(), "of several for one place the last counts")

        def unpool(z: Any) -> Any:
            numbers = last(indices) if indices.ndim == rank + 2 else last(indices[None])
            size = None if output_size is None else list(output_size)[-rank:]
            windows = (per_axis(kernel_size, rank), per_axis(stride or kernel_size, rank))
            return cr.max_unpool(z, numbers, *windows, per_axis(padding, rank), size)

        return as_batch(x, rank, unpool)

    return call


for _rank in (1, 2, 3):
    for _kind in ("avg", "max"):
        add(
            f"nn.functional.adaptive_{_kind}_pool{_rank}d",
            f"adaptive_{_kind}_pool",
            _adaptive(f"adaptive_{_kind}_pool", _rank),
            LAST,
        )
    add(
        f"nn.functional.avg_pool{_rank}d",
        "avg_pool",
        sliding("avg_pool", _rank, "ceil_mode count_include_pad divisor_override"),
        LAST,
    )
    add(
        f"nn.functional.max_pool{_rank}d",
        "max_pool",
        sliding("max_pool", _rank, "dilation ceil_mode return_indices"),
        LAST + "; equal ones share the gradient",
    )
    add(
        f"nn.functional.max_unpool{_rank}d nn.functional.max_unpool{_rank}d:grad",
        "max_unpool",
        _max_unpool(_rank),
        LAST + "; size in place of output_size",
    )


def _kernel(w: Any, rank: int) -> Any:
    """(out, in, *window) as (*window, in, out)."""
    return cr.transpose(w, [*range(2, 2 + rank), 1, 0])


def _conv(rank: int) -> Any:
    function = getattr(cr, f"conv{rank}d")

    def call(
        x: Any,
        w: Any,
        b: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        options = {
            "stride": per_axis(stride, rank),
            "dilation": per_axis(dilation, rank),
            "padding": padding if isinstance(padding, str) else per_axis(padding, rank),
            "groups": groups,
        }
        return as_batch(x, rank, lambda z: _biased(function(z, _kernel(w, rank), **options), b))

    return call


def _biased(y: Any, b: Any) -> Any:
    return y if b is None else y + b


def _conv_transpose(rank: int) -> Any:
    function = getattr(cr, f"conv_transpose{rank}d")

    def call(
        x: Any,
        w: Any,
        b: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        unless(groups > 1, "layout of grouped kernels")
        options = {
            "stride": per_axis(stride, rank),
            "padding": per_axis(padding, rank),
            "output_padding": per_axis(output_padding, rank),
            "dilation": per_axis(dilation, rank),
        }
        kernel = cr.transpose(w, [*range(2, 2 + rank), 1, 0])
        return as_batch(x, rank, lambda z: _biased(function(z, kernel, **options), b))

    return call


for _rank in (1, 2, 3):
    add(
        f"nn.functional.conv{_rank}d",
        f"conv{_rank}d",
        _conv(_rank),
        LAST + "; kernels (*window, in, out)",
    )
    add(
        f"nn.functional.conv_transpose{_rank}d",
        f"conv_transpose{_rank}d",
        _conv_transpose(_rank),
        LAST + "; kernels (*window, out, in)",
    )


def _interpolate(
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
    recompute_scale_factor: Any = None,
) -> Any:
    rank = x.ndim - 2
    if recompute_scale_factor:
        size = [int(n * scale_factor) for n in x.shape[2:]]
        scale_factor = None
    size = per_axis(size, rank) if size is not None else None
    return as_batch(
        x, rank, lambda z: cr.interpolate(z, size, scale_factor, mode, bool(align_corners))
    )


for _name in ["nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area"]:
    add(f"nn.functional.interpolate:{_name}", "interpolate", _interpolate, LAST)
add(
    "nn.functional.upsample_bilinear",
    "interpolate",
    lambda x, size=None, scale_factor=None: _interpolate(x, size, scale_factor, "bilinear", True),
    LAST,
)
add(
    "nn.functional.upsample_nearest",
    "interpolate",
    lambda x, size=None, scale_factor=None: _interpolate(x, size, scale_factor),
    LAST,
)


def _antialiased(x: Any, size: Any, align_corners: bool, *scales: Any) -> Any:
    unless(scales and any(s is not None for s in scales), "the scale follows from the size")
    return as_batch(
        x,
        2,
        lambda z: cr.interpolate(
            z, size, mode="bilinear", align_corners=align_corners, antialias=True
        ),
    )


add("_upsample_bilinear2d_aa", "interpolate", _antialiased, "antialias=True; " + LAST)


def _unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    y = cr.unfold(
        last(x),
        per_axis(kernel_size, 2),
        per_axis(stride, 2),
        per_axis(padding, 2),
        per_axis(dilation, 2),
    )
    return cr.reshape(
        cr.transpose(y, [0, 5, 3, 4, 1, 2]),
        (y.shape[0], y.shape[5] * y.shape[3] * y.shape[4], y.shape[1] * y.shape[2]),
    )


add("nn.functional.unfold", "unfold", _unfold, "gives (batch, *places, *window, channels)")
add(
    "nn.functional.pixel_shuffle",
    "pixel_shuffle",
    lambda x, upscale_factor: as_batch(x, 2, lambda z: cr.pixel_shuffle(z, upscale_factor)),
    LAST,
)
add(
    "nn.functional.pixel_unshuffle",
    "pixel_unshuffle",
    lambda x, downscale_factor: as_batch(x, 2, lambda z: cr.pixel_unshuffle(z, downscale_factor)),
    LAST,
)
add(
    "nn.functional.channel_shuffle",
    "channel_shuffle",
    lambda x, groups: as_batch(x, 2, lambda z: cr.channel_shuffle(z, groups)),
    LAST,
)
add(
    "nn.functional.local_response_norm",
    "local_response_norm",
    lambda x, size, alpha=1e-4, beta=0.75, k=1.0: first(
        cr.local_response_norm(last(x), size, alpha, beta, k)
    ),
    LAST,
)
MODES, PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")


def _grid_sample(
    x: Any,
    grid: Any,
    mode: Any = "bilinear",
    padding_mode: Any = "zeros",
    align_corners: Any = None,
) -> Any:
    mode = MODES[mode] if isinstance(mode, int) else mode
    padding = PADDINGS[padding_mode] if isinstance(padding_mode, int) else padding_mode
    return first(cr.grid_sample(last(x), grid, mode, padding, bool(align_corners)))


add("nn.functional.grid_sample grid_sampler_2d grid_sampler_3d", "grid_sample", _grid_sample, LAST)

# ---- linear layers, normalisation, attention ---------------------------------------------------


def scaled(y: Any, weight: Any, bias: Any) -> Any:
    """What a layer gives without parameters, with these."""
    return _biased(y if weight is None else y * weight, bias)


written(
    "nn.functional.linear", "x @ w.T + b, or nn.Linear", lambda x, w, b=None: _biased(x @ w.T, b)
)


def _layer_norm(x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return scaled(cr.nn.LayerNorm(shape, eps, affine=False)(x), weight, bias)


add("nn.functional.layer_norm", "nn.LayerNorm", _layer_norm, "a layer")


def _rms_norm(x: Any, shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    eps = float(np.finfo(np.float64).eps) if eps is None else eps
    return scaled(cr.nn.RMSNorm(shape, eps, affine=False)(x), weight, None)


add("nn.functional.rms_norm", "nn.RMSNorm", _rms_norm, "a layer; eps is 1e-6 by default")


def _group_norm(
    x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    norm = cr.nn.GroupNorm(groups, x.shape[1], eps, affine=False)
    return first(scaled(norm(last(x)), weight, bias))


add("nn.functional.group_norm", "nn.GroupNorm", _group_norm, "a layer; " + LAST)


def _instance_norm(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    unless(not use_input_stats, "no running statistics")
    norm = cr.nn.InstanceNorm(x.shape[1], eps)
    return first(scaled(norm(last(x)), weight, bias))


add(
    "nn.functional.instance_norm",
    "nn.InstanceNorm",
    _instance_norm,
    "a layer without running statistics; " + LAST,
)


@functools.cache
def _batch_norm_layer(channels: int, eps: float) -> Any:
    """Layers have buffers, so none is made while a function is traced."""
    return cr.nn.BatchNorm(channels, eps, affine=False)


def _batch_norm(
    x: Any,
    mean: Any,
    var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    unless(training, "a layer that follows the statistics while it trains")
    norm = _batch_norm_layer(x.shape[1], eps)
    object.__setattr__(norm, "running_mean", mean)
    object.__setattr__(norm, "running_var", var)
    return first(scaled(norm(last(x)), weight, bias))


add("nn.functional.batch_norm", "nn.BatchNorm", _batch_norm, "a layer; " + LAST)


def _attention(
    q: Any,
    k: Any,
    v: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> Any:
    unless(enable_gqa or dropout_p, "repeat heads by hand; dropout takes a key")
    unless(is_causal and q.shape[-2] != k.shape[-2], "causal counts from the last key")
    return cr.scaled_dot_product_attention(q, k, v, attn_mask, is_causal, scale)


add(
    "nn.functional.scaled_dot_product_attention",
    "scaled_dot_product_attention",
    _attention,
    "causal counts from the last key; dropout takes a random key",
)


def _embedding(
    weight: Any,
    index: Any,
    padding_idx: Any = None,
    max_norm: Any = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> Any:
    unless(padding_idx is not None or max_norm is not None or scale_grad_by_freq, "rows only")
    return cr.take(weight, index)


add(
    "nn.functional.embedding",
    "take",
    lambda *a, **k: _embedding(*a, **k),
    "or nn.Embedding; rows by index, no options",
)


def _dropout(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    unless(p and training, "random")
    return cr.nn.Dropout(p)(x)


add("nn.functional.dropout", "nn.Dropout", _dropout, "a layer; p is the probability of 0")
add(
    "nn.functional.dropout2d nn.functional.dropout3d",
    "nn.SpatialDropout",
    _dropout,
    "a layer; whole channels, which are the last axis",
)
add("nn.functional.alpha_dropout", "nn.AlphaDropout", _dropout, "a layer")


def _random(*args: Any, **kwargs: Any) -> Any:
    unless(True, "random")


add("bernoulli", "random.bernoulli", _random, "takes a random key; other numbers")
add(
    "normal normal:number_mean",
    "random.normal",
    _random,
    "mean + std * random.normal(key, shape); other numbers",
)

# ---- losses ----------------------------------------------------------------------------------


def _loss(name: str, **fixed: Any) -> Any:
    function = getattr(cr.losses, name)

    def call(x: Any, target: Any, *more: Any, reduction: str = "mean", **options: Any) -> Any:
        unless(options.pop("p", 1) != 1, "no powers of margins")
        for unwanted in ("weight", "ignore_index", "size_average", "reduce"):
            unless(
                options.pop(unwanted, None) is not None, "no weights of elements, no ignore_index"
            )
        try:
            return function(x, target, *more, reduction=reduction, **options, **fixed)
        except (cr.errors.DataError, cr.errors.ShapeError) as error:
            raise NotApplicableError(f"refused: {error.what}") from None

    return call


add("nn.functional.mse_loss", "losses.mse", _loss("mse"))
add("nn.functional.l1_loss", "losses.mae", _loss("mae"))
add("nn.functional.smooth_l1_loss", "losses.smooth_l1", _loss("smooth_l1"))
add("nn.functional.huber_loss", "losses.huber", _loss("huber"))
add("nn.functional.soft_margin_loss", "losses.soft_margin", _loss("soft_margin"))
add(
    "nn.functional.margin_ranking_loss",
    "losses.margin_ranking",
    lambda a, b, y, **k: _loss("margin_ranking")(a, b, y, **k),
)
add("nn.functional.hinge_embedding_loss", "losses.hinge_embedding", _loss("hinge_embedding"))
add(
    "nn.functional.gaussian_nll_loss",
    "losses.gaussian_nll",
    lambda x, y, v, **k: _loss("gaussian_nll")(x, y, v, **k),
)
add("nn.functional.poisson_nll_loss", "losses.poisson_nll", _loss("poisson_nll"))
add(
    "nn.functional.binary_cross_entropy_with_logits",
    "losses.binary_cross_entropy",
    _loss("binary_cross_entropy"),
    "of logits",
)
add(
    "nn.functional.cosine_embedding_loss",
    "losses.cosine_embedding",
    lambda a, b, y, **k: _loss("cosine_embedding")(a, b, y, **k),
)


def _triplet(a: Any, positive: Any, negative: Any, p: float = 2, **options: Any) -> Any:
    def distance(x: Any, y: Any) -> Any:
        return cr.norm(x - y + 1e-6, -1, order=p)

    return _loss("triplet_margin")(a, positive, negative, distance=distance, **options)


add(
    "nn.functional.triplet_margin_loss",
    "losses.triplet_margin",
    _triplet,
    "order in place of p; PyTorch adds 1e-6 to each difference",
)
add(
    "nn.functional.triplet_margin_with_distance_loss",
    "losses.triplet_margin",
    _triplet,
    "distance in place of distance_function",
)


def _ctc(
    x: Any,
    target: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """PyTorch's targets may be one behind the other."""
    steps, labels = (
        np.asarray(n.numpy() if isinstance(n, cr.Tensor) else n).reshape(-1)
        for n in (input_lengths, target_lengths)
    )
    given = target.numpy()
    if given.ndim == 1:
        padded = np.zeros((len(labels), max(labels.max(initial=0), 1)), int)
        for row, begin, count in zip(padded, np.cumsum(labels) - labels, labels, strict=True):
            row[:count] = given[begin : begin + count]
        given = padded
    single = x.ndim == 2
    z = cr.expand_dims(x, 0) if single else cr.swapaxes(x, 0, 1)
    loss = cr.losses.ctc(
        z, given, input_lengths=steps, target_lengths=labels, blank=blank,
        zero_infinity=zero_infinity, reduction=reduction,
    )  # fmt: skip
    return loss[0] if single and reduction == "none" else loss


add(
    "nn.functional.ctc_loss",
    "losses.ctc",
    _ctc,
    "(batch, steps, classes), of logits or logarithms of probabilities",
)


def _multilabel_margin(x: Any, target: Any, reduction: str = "mean") -> Any:
    """PyTorch's target is a list of labels that ends with -1."""
    if x.ndim == 0:
        x, target = x[None], target[None]
    listed = np.minimum.accumulate(target.numpy() >= 0, axis=-1)
    chosen = np.where(listed, target.numpy(), x.shape[-1])
    labels = np.eye(x.shape[-1] + 1, dtype=int)[chosen].sum(-2)[..., :-1]
    unless(labels.max(initial=0) > 1, "a label counts once")
    return cr.losses.multilabel_margin(x, labels, reduction=reduction)


add(
    "nn.functional.multilabel_margin_loss",
    "losses.multilabel_margin",
    _multilabel_margin,
    "labels are 0 or 1 for each score, not a list that ends with -1",
)
add("nn.functional.multi_margin_loss", "losses.multi_margin", _loss("multi_margin"))
add(
    "nn.functional.multilabel_soft_margin_loss",
    "losses.multilabel_soft_margin",
    _loss("multilabel_soft_margin"),
)


def _classes(name: str) -> Any:
    def call(x: Any, target: Any, weight: Any = None, **options: Any) -> Any:
        unless(target.type.is_float and x.ndim > 2, "classes are the last axis")
        x = last(x) if x.ndim > 2 else x
        unless(options.pop("ignore_index", -100) != -100, "no ignore_index: weights of rows")
        if name == "cross_entropy":
            return cr.losses.cross_entropy(x, target, class_weights=weight, **options)
        unless(weight is not None, "weights of rows")
        return cr.losses.nll(x, target, **options)

    return call


add(
    "nn.functional.cross_entropy",
    "losses.cross_entropy",
    _classes("cross_entropy"),
    "classes are the last axis; sample_weights in place of ignore_index",
)
add(
    "nn.functional.nll_loss",
    "losses.nll",
    _classes("nll"),
    "classes are the last axis; sample_weights in place of weight and ignore_index",
)


def _kl(x: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    target = cr.exp(target) if log_target else target
    unless(reduction != "batchmean", "one number a row; the mean is over rows")
    return cr.losses.kl_div(x, target, reduction="mean")


add("nn.functional.kl_div", "losses.kl_div", _kl, "of rows: the mean is 'batchmean'")

written(
    "nn.functional.binary_cross_entropy",
    "losses.binary_cross_entropy(logit(p), target)",
    lambda p, y, weight=None, reduction="mean": (
        unless(weight is not None, "weights of rows")
        or cr.losses.binary_cross_entropy(cr.logit(p), y, reduction=reduction)
    ),
    "of logits",
)
written(
    "nn.functional.linear_cross_entropy",
    "losses.cross_entropy(x @ w.T, target)",
    lambda x, w, target, **k: (
        unless(k or x.ndim != 2 or target.ndim != 1, "rows and classes")
        or cr.losses.cross_entropy(x @ w.T, target)
    ),
)


def _bilinear(a: Any, b: Any, w: Any, bias: Any = None) -> Any:
    y = cr.einsum("...i,oij,...j->...o", a, w, b)
    return y if bias is None else y + bias


add(
    "nn.functional.bilinear",
    "einsum",
    _bilinear,
    "einsum('...i,oij,...j->...o', a, w, b) + bias, or nn.Bilinear",
)


def _bag(
    weight: Any,
    index: Any,
    mode: str = "mean",
    offsets: Any = None,
    padding_idx: Any = None,
    per_sample_weights: Any = None,
    **more: Any,
) -> Any:
    unless(offsets is not None or index.ndim != 2 or padding_idx is not None, "bags of one size")
    unless(mode == "max", "sums with weights")
    each = per_sample_weights if per_sample_weights is not None else cr.ones(index.shape, "float64")
    y = cr.embedding_bag(weight, index, each)
    return y / index.shape[1] if mode == "mean" else y


add("nn.functional.embedding_bag", "embedding_bag", _bag, "sums of bags of one size, with weights")
written("native_dropout_backward", "g * mask * scale", lambda g, mask, scale: g * mask * scale)
add("nn.functional.multi_head_attention_forward", "nn.MultiHeadAttention", _random, "a layer")
add(
    "nn.functional.feature_alpha_dropout:with_train "
    "nn.functional.feature_alpha_dropout:without_train",
    "nn.AlphaDropout",
    _dropout,
    "a layer; elements, not channels",
)

# ---- what is missing -------------------------------------------------------------------------

absent("linalg.eig linalg.eigvals", "complex eigenvalues: linalg.eigh of symmetric matrices")
absent("chalf", "float32 and float64 only")
absent("to_sparse sparse.sampled_addmm sparse.mm:reduce", "there are no sparse tensors")
absent(
    "as_strided as_strided:partial_views as_strided_copy as_strided_scatter",
    "the layout in memory is not visible",
)
absent("bfloat16 half", "float32 and float64 only")
absent(
    "_softmax_backward_data native_group_norm native_layer_norm native_batch_norm "
    "_native_batch_norm_legit _batch_norm_with_update max_pool2d_with_indices_backward "
    "_unsafe_masked_index _unsafe_masked_index_put_accumulate "
    "nn.functional.linear_cross_entropy:chunked nn.functional.linear_cross_entropy:chunked_none",
    "internal to PyTorch",
)
absent(
    "nn.functional.fractional_max_pool2d nn.functional.fractional_max_pool3d svd_lowrank "
    "pca_lowrank nn.functional.rrelu",
    "random in itself",
)
absent("nn.functional.pad:replicate_negative", "no negative margins: use an index")
absent(
    "frexp lu_unpack lu nextafter",
    "not there yet",
)
