"""Losses: prediction first, target second, `reduction` "mean", "sum" or "none".

The mean is over all elements, for class scores over all rows. With sample weights s it is
sum(s * loss) / sum(s), which is what PyTorch does with class weights; where there are both, s times
the weight of the class takes the place of s.
"""

import math

import torch
import torch.nn.functional as F

from .cases import Family, exactly, integers, positive, probabilities, real, uniform, unit

losses = Family("losses")
ops = Family("ops")
REDUCTIONS = ("mean", "sum", "none")


def reduce(loss, reduction, weights=None):
    if weights is None:
        weights = torch.ones_like(loss)
    total = (loss * weights).sum()
    return {"none": loss * weights, "sum": total, "mean": total / weights.sum()}[reduction]


def regression(name, function, prediction, target, **attrs):
    for reduction in REDUCTIONS:
        losses.add(name, function, prediction, target, **attrs, reduction=reduction)


# Regression.

regression("mse", F.mse_loss, real(2, 3), real(2, 3))
regression("mae", F.l1_loss, real(2, 3), real(2, 3))
for delta in (1.0, 0.6):
    regression("huber", F.huber_loss, real(2, 3), real(2, 3), delta=delta)
for beta in (1.0, 0.6):
    regression("smooth_l1", F.smooth_l1_loss, real(2, 3), real(2, 3), beta=beta)


def cosine(prediction, target, reduction):
    """One loss for every row."""
    return reduce(1 - F.cosine_similarity(prediction, target, dim=-1), reduction)


regression("cosine", cosine, real(3, 4), real(3, 4))


def weighted_mse(prediction, target, sample_weights, reduction):
    return reduce((prediction - target) ** 2, reduction, sample_weights)


def log_cosh(prediction, target, reduction):
    return reduce(torch.log(torch.cosh(prediction - target)), reduction)


def quantile(prediction, target, q, reduction):
    """Pinball loss: q e above the prediction, (q - 1) e below, e = target - prediction."""
    error = target - prediction
    return reduce(torch.maximum(q * error, (q - 1) * error), reduction)


def squared_log_error(prediction, target, reduction):
    return reduce((torch.log1p(prediction) - torch.log1p(target)) ** 2, reduction)


def absolute_percentage_error(prediction, target, reduction):
    return reduce(torch.abs((target - prediction) / target), reduction)


losses.add(
    "mse",
    weighted_mse,
    real(4),
    real(4),
    case="sample weights",
    sample_weights=positive(4),
    reduction="mean",
)
regression("log_cosh", log_cosh, real(2, 3), real(2, 3))
for q in (0.5, 0.9):
    regression("quantile", quantile, real(2, 3), real(2, 3), q=q)
regression("msle", squared_log_error, positive(2, 3), positive(2, 3))
regression("mape", absolute_percentage_error, real(2, 3), real(2, 3))
for log_input in (True, False):
    for full in (False, True):
        losses.add(
            "poisson_nll",
            lambda prediction, target, log_input, full, eps, reduction: F.poisson_nll_loss(
                prediction, target.double(), log_input, full, eps=eps, reduction=reduction
            ),
            positive(2, 3),
            # Stirling's term counts for targets above 1 only.
            exactly([[0, 1, 3], [2, 5, 0]], "int64"),
            log_input=log_input,
            full=full,
            eps=1e-8,
            reduction="mean",
        )
for full in (False, True):
    losses.add(
        "gaussian_nll",
        lambda prediction, target, var, full, reduction: F.gaussian_nll_loss(
            prediction, target, var, full=full, reduction=reduction
        ),
        real(2, 3),
        real(2, 3),
        positive(2, 3),
        full=full,
        reduction="mean",
    )

# Binary classification: logits and targets in [0, 1].


def binary_cross_entropy(logits, target, reduction, pos_weight=None, sample_weights=None):
    loss = F.binary_cross_entropy_with_logits(
        logits, target, pos_weight=pos_weight, reduction="none"
    )
    return reduce(loss, reduction, sample_weights)


def focal(logits, target, gamma, alpha, reduction):
    """Lin et al. 2017: -alpha_t (1 - p_t)^gamma log p_t."""
    p = torch.sigmoid(logits)
    p_t = p * target + (1 - p) * (1 - target)
    alpha_t = alpha * target + (1 - alpha) * (1 - target)
    return reduce(-alpha_t * (1 - p_t) ** gamma * torch.log(p_t), reduction)


binary = exactly([1.0, 0.0, 0.0, 1.0])
for reduction in REDUCTIONS:
    losses.add("binary_cross_entropy", binary_cross_entropy, real(4), binary, reduction=reduction)
losses.add(
    "binary_cross_entropy",
    binary_cross_entropy,
    real(2, 3),
    uniform(0.0, 1.0, 2, 3),
    case="soft targets",
    reduction="mean",
)
losses.add(
    "binary_cross_entropy",
    binary_cross_entropy,
    real(2, 3),
    uniform(0.0, 1.0, 2, 3),
    case="weights of the positives",
    pos_weight=positive(3),
    reduction="mean",
)
losses.add(
    "binary_cross_entropy",
    binary_cross_entropy,
    real(4),
    binary,
    case="sample weights",
    sample_weights=positive(4),
    reduction="mean",
)
losses.add(
    "binary_cross_entropy",
    binary_cross_entropy,
    exactly([-800.0, 800.0, -800.0, 800.0]),
    binary,
    case="extreme",
    reduction="none",
)
losses.add(
    "focal",
    focal,
    real(4),
    exactly([1, 0, 0, 1], "int64"),  # the formula means nothing between 0 and 1
    gamma=2.0,
    alpha=0.25,
    reduction="mean",
)
regression(
    "multilabel_soft_margin",
    F.multilabel_soft_margin_loss,
    real(2, 3),
    exactly([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]),
)

# Labels -1 and 1.

signs = exactly([1, -1, -1, 1], "int64")


def hinge(prediction, target, reduction):
    return reduce(torch.relu(1 - target * prediction), reduction)


def squared_hinge(prediction, target, reduction):
    return reduce(torch.relu(1 - target * prediction) ** 2, reduction)


for name, function in {
    "hinge": hinge,
    "squared_hinge": squared_hinge,
    "soft_margin": F.soft_margin_loss,
}.items():
    regression(name, function, real(4), signs)
for margin in (1.0, 0.4):
    losses.add(
        "hinge_embedding",
        F.hinge_embedding_loss,
        positive(4),
        signs,
        margin=margin,
        reduction="mean",
    )
    losses.add(
        "cosine_embedding",
        F.cosine_embedding_loss,
        real(4, 3),
        real(4, 3),
        signs,
        margin=margin - 0.5,
        reduction="mean",
    )
    losses.add(
        "margin_ranking",
        F.margin_ranking_loss,
        real(4),
        real(4),
        signs,
        margin=margin,
        reduction="mean",
    )
    losses.add(
        "triplet_margin",
        lambda anchor, positive, negative, margin, reduction: F.triplet_margin_loss(
            anchor, positive, negative, margin, eps=0.0, reduction=reduction
        ),
        real(3, 4),
        real(3, 4),
        real(3, 4),
        margin=margin,
        reduction="mean",
    )

for swap, order in ((True, 2.0), (False, 3.0)):
    losses.add(
        "triplet_margin",
        lambda anchor, positive, negative, order, swap, reduction: F.triplet_margin_loss(
            anchor, positive, negative, 1.0, order, eps=0.0, swap=swap, reduction=reduction
        ),
        real(3, 4),
        real(3, 4),
        real(3, 4),
        order=order,
        swap=swap,
        reduction="mean",
    )
losses.add(
    "triplet_margin",
    lambda anchor, positive, negative, reduction: F.triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda a, b: torch.linalg.norm(a - b, dim=-1),
        reduction=reduction,
    ),
    real(3, 4),
    real(3, 4),
    real(3, 4),
    case="distance_function",
    reduction="mean",
)


def nt_xent(first, second, temperature, reduction):
    """Chen et al. 2020, algorithm 1: every view among all others, each in a loop of its own."""
    z = F.normalize(torch.cat([first, second]), dim=1)
    n = len(first)
    each = []
    for i in range(2 * n):
        others = [k for k in range(2 * n) if k != i]
        terms = torch.stack([z[i] @ z[k] for k in others]) / temperature
        each.append(torch.logsumexp(terms, 0) - z[i] @ z[(i + n) % (2 * n)] / temperature)
    return reduce(torch.stack(each).reshape(2, n).mean(0), reduction)


for temperature in (0.5, 0.1):
    losses.add(
        "nt_xent", nt_xent, real(3, 4), real(3, 4), temperature=temperature, reduction="mean"
    )

# Several labels: overlaps, and margins between those that a row has and others.


def dice(logits, target, smooth, reduction):
    p, t = torch.sigmoid(logits).flatten(1), target.double().flatten(1)
    overlap, areas = (p * t).sum(1), (p + t).sum(1)
    return reduce(1 - (2 * overlap + smooth) / (areas + smooth), reduction)


for reduction in REDUCTIONS:
    losses.add(
        "dice", dice, real(2, 3, 2), integers(0, 2, 2, 3, 2), smooth=1.0, reduction=reduction
    )


def multilabel_margin(scores, target, reduction):
    """PyTorch's target: the labels of a row in a list that ends with -1."""
    lists = torch.full_like(target, -1)
    for row, labels in enumerate(target):
        (found,) = labels.nonzero(as_tuple=True)
        lists[row, : len(found)] = found
    return F.multilabel_margin_loss(scores, lists, reduction=reduction)


for reduction in REDUCTIONS:
    losses.add(
        "multilabel_margin",
        multilabel_margin,
        real(3, 4),
        exactly([[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], "int64"),
        reduction=reduction,
    )


def arcface(cosines, target, margin, scale, reduction):
    """Deng et al. 2019: cross-entropy with the angle of the own class made larger."""
    own = F.one_hot(target, cosines.shape[1]).bool()
    angle = torch.arccos(cosines)
    beyond = cosines - margin * math.sin(margin)
    moved = torch.where(angle + margin < math.pi, torch.cos(angle + margin), beyond)
    return F.cross_entropy(scale * torch.where(own, moved, cosines), target, reduction=reduction)


for margin, scale in ((0.5, 4.0), (1.2, 2.0)):
    losses.add(
        "arcface",
        arcface,
        unit(4, 3),
        integers(0, 3, 4),
        margin=margin,
        scale=scale,
        reduction="mean",
    )

# Several classes: logits of shape (row, class), targets as class indices or as probabilities.


def cross_entropy(
    logits, target, reduction, class_weights=None, label_smoothing=0.0, sample_weights=None
):
    if sample_weights is None:
        return F.cross_entropy(
            logits, target, class_weights, reduction=reduction, label_smoothing=label_smoothing
        )
    loss = F.cross_entropy(logits, target, reduction="none", label_smoothing=label_smoothing)
    if class_weights is not None:
        sample_weights = sample_weights * class_weights[target]
    return reduce(loss, reduction, sample_weights)


classes = integers(0, 3, 4)
for reduction in REDUCTIONS:
    losses.add("cross_entropy", cross_entropy, real(4, 3), classes, reduction=reduction)
for reduction in REDUCTIONS:
    losses.add(
        "cross_entropy",
        cross_entropy,
        real(4, 3),
        classes,
        case=f"class weights, reduction={reduction}",
        class_weights=positive(3),
        reduction=reduction,
    )
for reduction in REDUCTIONS:
    losses.add(
        "cross_entropy",
        cross_entropy,
        real(4, 3),
        classes,
        label_smoothing=0.1,
        reduction=reduction,
    )
losses.add(
    "cross_entropy",
    cross_entropy,
    real(4, 3),
    classes,
    case="class weights and label smoothing",
    class_weights=positive(3),
    label_smoothing=0.2,
    reduction="mean",
)
losses.add(
    "cross_entropy",
    cross_entropy,
    real(4, 3),
    classes,
    case="sample weights",
    sample_weights=positive(4),
    reduction="mean",
)
losses.add(
    "cross_entropy",
    cross_entropy,
    real(4, 3),
    classes,
    case="sample weights and class weights",
    class_weights=positive(3),
    sample_weights=positive(4),
    reduction="mean",
)
losses.add(
    "cross_entropy",
    cross_entropy,
    real(4, 3),
    probabilities(4, 3),
    case="targets are probabilities",
    reduction="mean",
)
losses.add(
    "cross_entropy",
    cross_entropy,
    real(4, 3),
    probabilities(4, 3),
    case="targets are probabilities, label smoothing",
    label_smoothing=0.1,
    reduction="mean",
)
losses.add(
    "cross_entropy",
    cross_entropy,
    exactly([[1000.0, 0.0, -1000.0], [-1000.0, 0.0, 1000.0]]),
    exactly([0, 0], "int64"),
    case="extreme",
    reduction="none",
)
# nll and kl_div are given log-probabilities.
for reduction in REDUCTIONS:
    losses.add(
        "nll",
        lambda log_probabilities, target, reduction: F.nll_loss(
            log_probabilities, target, reduction=reduction
        ),
        uniform(-3.0, -0.1, 4, 3),
        classes,
        reduction=reduction,
    )
# The mean is over the rows, PyTorch's "batchmean": what the divergence's definition says.
for reduction in ("mean", "sum"):
    losses.add(
        "kl_div",
        lambda log_probabilities, target, reduction: F.kl_div(
            log_probabilities, target, reduction="batchmean" if reduction == "mean" else "sum"
        ),
        uniform(-3.0, -0.1, 2, 3),
        probabilities(2, 3),
        reduction=reduction,
    )
losses.add(
    "multi_margin",
    lambda prediction, target, margin, reduction: F.multi_margin_loss(
        prediction, target, margin=margin, reduction=reduction
    ),
    real(4, 3),
    classes,
    margin=1.0,
    reduction="mean",
)
losses.add(
    "kl_div",
    # At a target of 0 the loss has a slope of minus infinity along the target: not recorded.
    lambda log_probabilities, target, reduction: F.kl_div(
        log_probabilities, target.detach(), reduction=reduction
    ),
    exactly([[-0.5, -math.log(4)]]),
    exactly([[1.0, 0.0]]),
    case="a target of 0",
    reduction="sum",
)

# Sequences: PyTorch has the steps first.


def ctc(logits, target, input_lengths, target_lengths, reduction, blank=0, zero_infinity=False):
    return F.ctc_loss(
        torch.log_softmax(logits, -1).transpose(0, 1), target, input_lengths, target_lengths,
        blank, reduction, zero_infinity,
    )  # fmt: skip


ctc_lengths = {
    "input_lengths": exactly([6, 4, 5], "int64"),
    "target_lengths": exactly([3, 2, 0], "int64"),
}
for reduction in REDUCTIONS:
    losses.add(
        "ctc",
        ctc,
        real(3, 6, 4),
        exactly([[1, 1, 3], [2, 3, 1], [1, 1, 1]], "int64"),
        case=f"repeated labels, an empty target, reduction={reduction}",
        **ctc_lengths,
        reduction=reduction,
    )
losses.add(
    "ctc",
    ctc,
    real(3, 3, 4),
    exactly([[0, 1], [1, 1], [0, 0]], "int64"),
    case="targets that do not fit",
    input_lengths=exactly([3, 2, 1], "int64"),
    target_lengths=exactly([2, 2, 2], "int64"),
    reduction="none",
    blank=3,
    zero_infinity=True,
)

losses.add(
    "ctc",
    lambda *given, **how: ctc(*given, **how).detach(),  # PyTorch's gradient is NaN here
    real(4, 3, 4),
    exactly([[1, 1, 2], [1, 2, 3], [2, 2, 0], [3, 0, 0]], "int64"),
    case="targets that do not fit are infinite",
    input_lengths=exactly([3, 3, 2, 0], "int64"),
    target_lengths=exactly([3, 3, 2, 1], "int64"),
    reduction="none",
)
for reduction in REDUCTIONS:
    losses.add(
        "ctc",
        ctc,
        real(4, 8, 5),
        exactly([[0, 1, 2], [3, 3, 0], [2, 1, 0], [0, 0, 0]], "int64"),
        case=f"lengths after subsampling by 2, the last class is blank, reduction={reduction}",
        input_lengths=exactly([(n + 1) // 2 for n in (16, 13, 5, 2)], "int64"),
        target_lengths=exactly([3, 2, 2, 0], "int64"),
        reduction=reduction,
        blank=4,
    )
losses.add(
    "ctc",
    ctc,
    real(2, 40, 20),
    exactly([[(7 * i) % 19 + 1 for i in range(18)], [5] * 18], "int64"),
    case="long targets",
    input_lengths=exactly([40, 38], "int64"),
    target_lengths=exactly([18, 18], "int64"),
    reduction="sum",
)

# Their kernels, one number an element or a row.

ops.add(
    "binary_cross_entropy_from_logits",
    lambda logits, targets: F.binary_cross_entropy_with_logits(logits, targets, reduction="none"),
    real(2, 3),
    uniform(0.0, 1.0, 2, 3),
)
ops.add(
    "cross_entropy_from_logits",
    lambda logits, classes: F.cross_entropy(logits, classes, reduction="none"),
    real(4, 3),
    classes,
)
ops.add(
    "ctc_from_logits",
    lambda z, target, steps, labels: ctc(z, target, steps, labels, "none"),
    real(2, 5, 3),
    exactly([[1, 1], [2, 0]], "int64"),
    exactly([5, 4], "int64"),
    exactly([2, 1], "int64"),
)
