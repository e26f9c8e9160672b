"""Layers of matrix products."""

from __future__ import annotations

from ..engine.ops import expand_dims, matmul, normalize, reshape
from ..engine.tensor import Parameter, Tensor, TensorLike
from ..errors import ShapeError
from .checks import features_last, positive_integer
from .initialization import Initializer, parameter
from .module import Module

__all__ = ["Bilinear", "CosineLinear", "Linear"]


class Linear(Module):
    """y = x·W + b for every vector on the last axis.

    ``weight`` is (in, out), ``bias`` (out).

    The default initialisation is He's, which keeps the variance through relu and similar ones; for
    tanh, sigmoid and the last layer "xavier_uniform" is the classic choice. Biases start at 0.

    Args:
        in_features: extent of the last axis of the input.
        out_features: that of the output.
        bias: whether there is a b.
        init: a name from `chainrule.nn.init.INITIALIZERS` or a function (key, shape, dtype).

    Raises:
        ShapeError: when called with another number of features; names the layer that gave them.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.Linear(3, 2)(cr.ones((5, 3))).shape
        (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: str | Initializer = "kaiming_uniform",
    ) -> None:
        self.in_features = positive_integer("in_features", in_features)
        self.out_features = positive_integer("out_features", out_features)
        self.weight = parameter((self.in_features, self.out_features), init)
        self.bias = parameter((self.out_features,), "zeros") if bias else None

    def forward(self, x: TensorLike) -> Tensor:
        y = matmul(features_last(x, self.in_features), self.weight)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}{_without(self.bias)}"


class CosineLinear(Module):
    """The cosines of the angles between x and the columns of W, from -1 to 1.

    For `chainrule.losses.arcface`, whose classes are the columns. ``weight`` is (in, out).

    Args:
        in_features: extent of the last axis of the input.
        out_features: that of the output: the number of classes.
        init: as in `Linear`.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.CosineLinear(3, 2)(cr.ones((5, 3))).shape
        (5, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, *, init: str | Initializer = "xavier_normal"
    ) -> None:
        self.in_features = positive_integer("in_features", in_features)
        self.out_features = positive_integer("out_features", out_features)
        self.weight = parameter((self.in_features, self.out_features), init)

    def forward(self, x: TensorLike) -> Tensor:
        x = normalize(features_last(x, self.in_features))
        return matmul(x, normalize(self.weight, 0))

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}"


class Bilinear(Module):
    """yₖ = Σᵢⱼ aᵢ·Wᵢⱼₖ·bⱼ + biasₖ for every pair of vectors on the last axes.

    ``weight`` is (in1, in2, out): PyTorch's with its first axis moved to the end.

    Args:
        in1_features: extent of the last axis of the first input.
        in2_features: that of the second input.
        out_features: that of the output.
        bias: whether a bias is added.
        init: as in `Linear`.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.Bilinear(3, 2, 4)(cr.ones((5, 3)), cr.ones((5, 2))).shape
        (5, 4)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: str | Initializer = "lecun_uniform",
    ) -> None:
        self.in1_features = positive_integer("in1_features", in1_features)
        self.in2_features = positive_integer("in2_features", in2_features)
        self.out_features = positive_integer("out_features", out_features)
        self.weight = parameter((self.in1_features, self.in2_features, self.out_features), init)
        self.bias = parameter((self.out_features,), "zeros") if bias else None

    def forward(self, a: TensorLike, b: TensorLike) -> Tensor:
        a, b = features_last(a, self.in1_features), features_last(b, self.in2_features)
        if a.shape[:-1] != b.shape[:-1]:
            raise ShapeError(
                "The inputs differ in the axes before the last.",
                expected=f"(…, {self.in2_features}) like {a.type}",
                found=str(b.type),
            )
        # First Σᵢ aᵢ·Wᵢⱼₖ, one large product, then for every row Σⱼ bⱼ of that.
        flat = reshape(self.weight, (self.in1_features, self.in2_features * self.out_features))
        matrices = reshape(matmul(a, flat), (*b.shape, self.out_features))
        y = reshape(matmul(expand_dims(b, -2), matrices), (*a.shape[:-1], self.out_features))
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        sizes = f"{self.in1_features}, {self.in2_features}, {self.out_features}"
        return f"{sizes}{_without(self.bias)}"


def _without(bias: Parameter | None) -> str:
    return ", bias=False" if bias is None else ""
