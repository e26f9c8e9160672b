# ruff: noqa: D102 - methods are described at the base
"""The optimizers: for each the formula by which one parameter is changed.

In the formulas w is the parameter, g its gradient, t = 1, 2, … counts the updates; all
arithmetic is elementwise. Options that all optimizers have, such as ``weight_decay`` and
``clip_norm``, are described at `chainrule.optim.Optimizer`. Where PyTorch has the optimizer, both
take the same steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..engine.ops import abs, maximum, sign, sqrt, where
from ..engine.tensor import Buffer, Tensor
from ..errors import ConfigError
from .optimizer import Named, Optimizer
from .schedules import Schedule
from .state import need, need_between


def _ema(mean: Tensor, new: Tensor, decay: float) -> Tensor:
    """decay · mean + (1 − decay) · new, with one constant less in the graph."""
    return mean + (1 - decay) * (new - mean)


@dataclass(eq=False)
class SGD(Optimizer):
    """Stochastic gradient descent, optionally with momentum.

        v ← momentum · v + (1 − dampening) · g         (v ← g at the first update)
        w ← w − lr · v                                 or, with ``nesterov``:
        w ← w − lr · (g + momentum · v)

    Sources: Robbins and Monro, 1951; Polyak, 1964 (momentum); Sutskever et al., "On the importance
    of initialization and momentum in deep learning", ICML 2013 (Nesterov's form).

    Example:
        >>> import chainrule as cr
        >>> w = [cr.parameter(1.0)]
        >>> cr.optim.SGD(w, lr=0.5, momentum=0.9).update([0.25])
        >>> w[0].item()
        0.875
    """

    lr: float | Schedule = 1e-3
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False

    def check(self) -> None:
        super().check()
        need_between(self, "momentum")
        need_between(self, "dampening", 0, 1)
        if self.nesterov and not (self.momentum > 0 and self.dampening == 0):
            raise ConfigError(
                "Nesterov's momentum needs a momentum and no dampening.",
                expected="momentum > 0, dampening = 0",
                found=f"momentum = {self.momentum}, dampening = {self.dampening}",
                hint="A common momentum is 0.9.",
            )

    def initial_state(self) -> dict[str, float]:
        return {"v": 0.0} if self.momentum else {}

    def numbers(self, t: Tensor, rate: Tensor, memory: Mapping[str, Buffer]) -> Named:
        if not (self.momentum and self.dampening):
            return {"rate": rate}
        return {"rate": rate, "part": where(t > 1, 1 - self.dampening, t)}

    def apply_single(self, w: Tensor, g: Tensor, state: Named, n: Named) -> tuple[Tensor, Named]:
        if not self.momentum:
            return w - n["rate"] * g, {}
        v = self.momentum * state["v"] + (n["part"] * g if self.dampening else g)
        direction = g + self.momentum * v if self.nesterov else v
        return w - n["rate"] * direction, {"v": v}


@dataclass(eq=False)
class RMSprop(Optimizer):
    """The gradient divided by a moving average of its size.

        v ← alpha · v + (1 − alpha) · g²
        m ← alpha · m + (1 − alpha) · g                ``centered``; otherwise m = 0
        d = g / (√(v − m²) + eps)
        w ← w − lr · d                                 or, with momentum:
        b ← momentum · b + d,    w ← w − lr · b

    Sources: Tieleman and Hinton, "Lecture 6.5 – RMSProp", Coursera 2012; Graves, "Generating
    sequences with recurrent neural networks", 2013 (centered).
    """

    lr: float | Schedule = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    def check(self) -> None:
        super().check()
        need_between(self, "alpha", 0, 1, below=True)
        need_between(self, "eps")
        need_between(self, "momentum")

    def initial_state(self) -> dict[str, float]:
        used = {"v": True, "m": self.centered, "b": self.momentum > 0}
        return {key: 0.0 for key, wanted in used.items() if wanted}

    def apply_single(self, w: Tensor, g: Tensor, state: Named, n: Named) -> tuple[Tensor, Named]:
        new = {"v": _ema(state["v"], g * g, self.alpha)}
        variance = new["v"]
        if self.centered:
            new["m"] = _ema(state["m"], g, self.alpha)
            # Rounding can make it negative where the gradient does not change.
            variance = maximum(variance - new["m"] * new["m"], 0.0)
        direction = g / (sqrt(variance) + self.eps)
        if self.momentum:
            direction = new["b"] = self.momentum * state["b"] + direction
        return w - n["rate"] * direction, new


@dataclass(eq=False)
class Adagrad(Optimizer):
    """Smaller steps where past gradients were large.

        s ← s + g²                                     s = initial_accumulator_value at first
        w ← w − lr / (1 + (t − 1) · lr_decay) · g / (√s + eps)

    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and
    stochastic optimization", JMLR 2011.
    """

    lr: float | Schedule = 1e-2
    lr_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    def check(self) -> None:
        super().check()
        need_between(self, "lr_decay")
        need_between(self, "initial_accumulator_value")
        need_between(self, "eps")

    def initial_state(self) -> dict[str, float]:
        return {"s": self.initial_accumulator_value}

    def numbers(self, t: Tensor, rate: Tensor, memory: Mapping[str, Buffer]) -> Named:
        return {"rate": rate / (1 + (t - 1) * self.lr_decay) if self.lr_decay else rate}

    def apply_single(self, w: Tensor, g: Tensor, state: Named, n: Named) -> tuple[Tensor, Named]:
        s = state["s"] + g * g
        return w - n["rate"] * g / (sqrt(s) + self.eps), {"s": s}


@dataclass(eq=False)
class Adadelta(Optimizer):
    """Steps in the unit of the weights, which hardly need a learning rate.

        v ← rho · v + (1 − rho) · g²
        d = √(u + eps) / √(v + eps) · g
        u ← rho · u + (1 − rho) · d²
        w ← w − lr · d

    Source: Zeiler, "ADADELTA: An adaptive learning rate method", 2012 (there lr = 1).
    """

    lr: float | Schedule = 1.0
    rho: float = 0.9
    eps: float = 1e-6

    def check(self) -> None:
        super().check()
        need_between(self, "rho", 0, 1)
        need_between(self, "eps")

    def initial_state(self) -> dict[str, float]:
        return {"v": 0.0, "u": 0.0}

    def apply_single(self, w: Tensor, g: Tensor, state: Named, n: Named) -> tuple[Tensor, Named]:
        v = _ema(state["v"], g * g, self.rho)
        d = sqrt((state["u"] + self.eps) / (v + self.eps)) * g
        u = _ema(state["u"], d * d, self.rho)
        return w - n["rate"] * d, {"v": v, "u": u}


@dataclass(eq=False)
class _Moments(Optimizer):
    """Moving averages of the gradient (m) and of its square (v), with the decays β₁ and β₂."""

    lr: float | Schedule = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def check(self) -> None:
        super().check()
        _need_betas(self)
        need_between(self, "eps")

    def initial_state(self) -> dict[str, float]:
        return {"m": 0.0, "v": 0.0}

    def moments(self, g: Tensor, state: Named) -> Named:
        """The new m and v."""
        beta1, beta2 = self.betas
        return {"m": _ema(state["m"], g, beta1), "v": _ema(state["v"], g * g, beta2)}


def _need_betas(owner: Optimizer) -> None:
    betas = getattr(owner, "betas", None)
    pair = isinstance(betas, (tuple, list)) and len(betas) == 2
    need(pair, owner, "betas", "two numbers, at least 0 and below 1")
    need_between(owner, "betas", 0, 1, below=True)


@dataclass(eq=False)
class Adam(_Moments):
    """Moving averages of the gradient and of its square, corrected for their bias towards 0.

        m ← β₁ · m + (1 − β₁) · g
        v ← β₂ · v + (1 − β₂) · g²                     with ``amsgrad`` the largest v so far
        w ← w − lr · m̂ / (√v̂ + eps),    m̂ = m / (1 − β₁ᵗ),    v̂ = v / (1 − β₂ᵗ)

    Computed as w − (lr · r / (1 − β₁ᵗ)) · m / (√v + eps · r) with r = √(1 − β₂ᵗ): the corrections
    are numbers that all parameters share. A ``weight_decay`` is an L2 penalty here; see `AdamW`.

    Sources: Kingma and Ba, "Adam: A method for stochastic optimization", ICLR 2015; Reddi, Kale
    and Kumar, "On the convergence of Adam and beyond", ICLR 2018 (amsgrad).
    """

    amsgrad: bool = False

    def initial_state(self) -> dict[str, float]:
        return super().initial_state() | ({"largest": 0.0} if self.amsgrad else {})

    def numbers(self, t: Tensor, rate: Tensor, memory: Mapping[str, Buffer]) -> Named:
        beta1, beta2 = self.betas
        root = sqrt(1 - beta2**t)
        return {"step": rate * root / (1 - beta1**t), "eps": self.eps * root}

    def apply_single(self, w: Tensor, g: Tensor, state: Named, n: Named) -> tuple[Tensor, Named]:
        new = self.moments(g, state)
        v = new["v"]
        if self.amsgrad:
            v = new["largest"] = maximum(state["largest"], v)
        return w - n["step"] * new["m"] / (sqrt(v) + n["eps"]), new


@dataclass(eq=False)
class AdamW(Adam):
    """Adam with decoupled weight decay: the decay does not go through the moving averages.

        w ← w − lr · weight_decay · w,    then as `Adam`

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Example:
        >>> import chainrule as cr
        >>> w = [cr.parameter(1.0)]
        >>> cr.optim.AdamW(w, lr=0.1, weight_decay=0.5).update([2.0])  # 1 − 0.1 · 0.5 − 0.1
        >>> round(w[0].item(), 4)
        0.85
    """

    weight_decay: float = field(default=1e-2, kw_only=True)
    decoupled_weight_decay: bool = field(default=True, kw_only=True)


@dataclass(eq=False)
class NAdam(_Moments):
    """Adam with Nesterov's momentum, which is warmed up.

        μₜ = β₁ · (1 − ½ · 0.96^(t · momentum_decay)),    Mₜ = μ₁ · … · μₜ
        m ← β₁ · m + (1 − β₁) · g,    v ← β₂ · v + (1 − β₂) · g²
        m̂ = μₜ₊₁ · m / (1 − Mₜ₊₁) + (1 − μₜ) · g / (1 − Mₜ),    v̂ = v / (1 − β₂ᵗ)
        w ← w − lr · m̂ / (√v̂ + eps)

    Source: Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.
    """

    lr: float | Schedule = 2e-3
    momentum_decay: float = 4e-3

    def check(self) -> None:
        super().check()
        need_between(self, "momentum_decay")

    def initial_memory(self) -> dict[str, float]:
        return {"M": 1.0}

    def numbers(self, t: Tensor, rate: Tensor, memory: Mapping[str, Buffer]) -> Named:
        beta1, beta2 = self.betas
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * self.momentum_decay))
        product = memory["M"] * mu
        memory["M"].assign(product)
        root = sqrt(1 - beta2**t)
        return {
            "of_m": rate * root * mu_next / (1 - product * mu_next),
            "of_g": rate * root * (1 - mu) / (1 - product),
            "eps": self.eps * root,
        }

    def apply_single(self, w: Tensor, g: Tensor, state: Named, n: Named) -> tuple[Tensor, Named]:
        new = self.moments(g, state)
        return w - (n["of_m"] * new["m"] + n["of_g"] * g) / (sqrt(new["v"]) + n["eps"]), new


@dataclass(eq=False)
class RAdam(_Moments):
    """Adam that waits with dividing by √v until enough gradients were seen to know it.

        m ← β₁ · m + (1 − β₁) · g,    v ← β₂ · v + (1 − β₂) · g²,    m̂ = m / (1 − β₁ᵗ)
        ρ∞ = 2 / (1 − β₂) − 1,    ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ)
        w ← w − lr · m̂                                 if ρ ≤ 5, otherwise
        w ← w − lr · m̂ · r · √(1 − β₂ᵗ) / (√v + eps),
            r = √( (ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ) )

    Source: Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020.
    """

    def numbers(self, t: Tensor, rate: Tensor, memory: Mapping[str, Buffer]) -> Named:
        beta1, beta2 = self.betas
        power = beta2**t
        limit = 2 / (1 - beta2) - 1
        rho = limit - 2 * t * power / (1 - power)
        known = rho > 5
        rho = maximum(rho, 5.0)  # keeps the root real where it is not used
        r = sqrt((rho - 4) * (rho - 2) / rho * (limit / ((limit - 4) * (limit - 2) or 1.0)))
        step = rate / (1 - beta1**t)
        # One formula for both cases: w − (plain + adaptive / (√v + eps)) · m.
        return {
            "plain": where(known, 0.0, step),
            "adaptive": where(known, step * r * sqrt(1 - power), 0.0),
        }

    def apply_single(self, w: Tensor, g: Tensor, state: Named, n: Named) -> tuple[Tensor, Named]:
        new = self.moments(g, state)
        return w - (n["plain"] + n["adaptive"] / (sqrt(new["v"]) + self.eps)) * new["m"], new


@dataclass(eq=False)
class Adamax(_Moments):
    """Adam with the largest instead of the mean square gradient.

        m ← β₁ · m + (1 − β₁) · g
        u ← max(β₂ · u, |g| + eps)
        w ← w − lr / (1 − β₁ᵗ) · m / u

    Source: Kingma and Ba, ICLR 2015, section 7.1.
    """

    lr: float | Schedule = 2e-3

    def initial_state(self) -> dict[str, float]:
        return {"m": 0.0, "u": 0.0}

    def numbers(self, t: Tensor, rate: Tensor, memory: Mapping[str, Buffer]) -> Named:
        return {"step": rate / (1 - self.betas[0] ** t)}

    def apply_single(self, w: Tensor, g: Tensor, state: Named, n: Named) -> tuple[Tensor, Named]:
        beta1, beta2 = self.betas
        m = _ema(state["m"], g, beta1)
        u = maximum(beta2 * state["u"], abs(g) + self.eps)
        return w - n["step"] * m / u, {"m": m, "u": u}


@dataclass(eq=False)
class Lion(Optimizer):
    """Steps of one size in the direction of the sign of a moving average.

        w ← w − lr · weight_decay · w
        w ← w − lr · sign(β₁ · m + (1 − β₁) · g)
        m ← β₂ · m + (1 − β₂) · g

    It needs a learning rate 3 to 10 times smaller than Adam's, and a weight decay as much larger.
    Source: Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, algorithm 2.
    """

    lr: float | Schedule = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    decoupled_weight_decay: bool = field(default=True, kw_only=True)

    def check(self) -> None:
        super().check()
        _need_betas(self)

    def initial_state(self) -> dict[str, float]:
        return {"m": 0.0}

    def apply_single(self, w: Tensor, g: Tensor, state: Named, n: Named) -> tuple[Tensor, Named]:
        beta1, beta2 = self.betas
        direction = sign(_ema(state["m"], g, beta1))
        return w - n["rate"] * direction, {"m": _ema(state["m"], g, beta2)}
