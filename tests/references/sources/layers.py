"""What layers compute, as functions of their input and parameters."""

import torch
import torch.nn.functional as F

from .cases import Family, exactly, positive, real

ops = Family("ops")

# Weights are laid out as PyTorch lays them out: linear (out, in), bilinear (out, in1, in2).
ops.add("linear", F.linear, real(2, 3), real(4, 3), case="no bias")
ops.add("linear", F.linear, real(2, 3), real(4, 3), real(4), case="bias")
ops.add("linear", F.linear, real(2, 2, 3), real(2, 3), real(2), case="batch of two axes")
ops.add("linear", F.linear, real(3), real(2, 3), real(2), case="one row")
ops.add("bilinear", F.bilinear, real(2, 3), real(2, 2), real(2, 3, 2), case="no bias")
ops.add("bilinear", F.bilinear, real(2, 3), real(2, 2), real(2, 3, 2), real(2), case="bias")
ops.add(
    "embedding",
    F.embedding,
    exactly([[0, 2], [2, 3]], "int64"),
    real(4, 3),
    case="an index twice",
)

# Normalisation. Channels come last; `batch_norm` is over all other axes.


def layer_norm(x, weight=None, bias=None, *, eps):
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)


def rms_norm(x, weight, *, eps):
    return F.rms_norm(x, x.shape[-1:], weight, eps)


def channels_first(function):
    """Wrap a PyTorch function of (batch, channel, ...) for (batch, ..., channel)."""
    return lambda x, *rest, **attrs: torch.movedim(
        function(torch.movedim(x, -1, 1), *rest, **attrs), 1, -1
    )


for eps in (1e-5, 0.1):
    ops.add("layer_norm", layer_norm, real(2, 4), positive(4), real(4), eps=eps)
    ops.add("rms_norm", rms_norm, real(2, 4), positive(4), eps=eps)
ops.add("layer_norm", layer_norm, real(2, 2, 3), case="no weight, no bias", eps=1e-5)


def batch_norm(x, weight, bias, running_mean, running_var, *, training, momentum, eps):
    """Give the output and the statistics after this batch.

    The batch is normalised with its biased variance (divided by n); the running variance moves
    towards the unbiased one (divided by n - 1): new = (1 - momentum) old + momentum batch.
    """
    mean, var = running_mean.detach().clone(), running_var.detach().clone()
    y = channels_first(F.batch_norm)(x, mean, var, weight, bias, training, momentum, eps)
    return [y, mean, var]


for training in (True, False):
    for case, shape in (("2-D", (4, 3)), ("4-D, channels last", (2, 2, 2, 3))):
        ops.add(
            "batch_norm",
            batch_norm,
            real(*shape),
            positive(3),
            real(3),
            real(3),
            positive(3),
            case=f"{case}, {'training' if training else 'evaluation'}",
            training=training,
            momentum=0.1,
            eps=1e-5,
        )
ops.add(
    "group_norm",
    channels_first(
        lambda x, weight, bias, num_groups, eps: F.group_norm(x, num_groups, weight, bias, eps)
    ),
    real(2, 3, 4),
    positive(4),
    real(4),
    case="channels last",
    num_groups=2,
    eps=1e-5,
)
ops.add(
    "instance_norm",
    channels_first(
        lambda x, weight, bias, eps: F.instance_norm(x, weight=weight, bias=bias, eps=eps)
    ),
    real(2, 3, 2),
    positive(2),
    real(2),
    case="channels last",
    eps=1e-5,
)
for order, axis in ((2, -1), (1, 0)):
    ops.add(
        "normalize",
        lambda x, order, axis: F.normalize(x, order, axis),
        real(3, 3),
        order=order,
        axis=axis,
    )
for axis in (-1, 0):
    ops.add(
        "cosine_similarity",
        lambda a, b, axis: F.cosine_similarity(a, b, axis),
        real(3, 3),
        real(3, 3),
        axis=axis,
    )
ops.add(
    "pairwise_distance",
    lambda a, b, order: F.pairwise_distance(a, b, order),
    real(3, 4),
    real(3, 4),
    order=2,
)
ops.add(
    "cdist",
    lambda a, b: torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist"),
    real(3, 2),
    real(2, 2),
)

# softmax(q kᵀ / √d) v over (batch, head, time, feature).

queries, keys, values = real(1, 2, 3, 2), real(1, 2, 3, 2), real(1, 2, 3, 2)
ops.add("scaled_dot_product_attention", F.scaled_dot_product_attention, queries, keys, values)
ops.add(
    "scaled_dot_product_attention",
    lambda q, k, v, causal: F.scaled_dot_product_attention(q, k, v, is_causal=causal),
    queries,
    keys,
    values,
    causal=True,
)
