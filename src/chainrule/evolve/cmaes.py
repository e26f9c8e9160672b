"""CMA-ES: a normal distribution that adapts its mean, its step and its covariance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from ..engine.ops import argsort, astype, exp, reshape, sqrt, sum, take, where
from ..engine.ops.random import normal
from ..engine.tensor import Tensor
from ..utils.typing import Array
from .strategy import Bounds, Named, State, Strategy

#: More parameters than this get a diagonal covariance, unless the user says otherwise.
_LARGEST_FULL = 1000
_LARGEST_STEP = 1e32


class Constants(NamedTuple):
    """The numbers of Hansen's tutorial (arXiv 1604.00772, 2016), in its notation.

    Attributes:
        weights: of the candidates from the best to the worst; those of the worse half are negative.
        mu: how many have positive weights.
        mu_eff: the variance effective selection mass.
        c_sigma: rate of the path of the step.
        d_sigma: damping of the step.
        c_c: rate of the path of the covariance.
        c_1: rate of the rank-one update.
        c_mu: rate of the rank-μ update.
        chi: expected norm of a standard normal vector.
    """

    weights: Array
    mu: int
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float
    chi: float

    @staticmethod
    def of(n: int, size: int, separable: bool) -> Constants:
        """For n numbers and a population of this size.

        A diagonal covariance has n instead of n²/2 numbers and is learned faster, by (n + 2) / 3,
        with positive weights only (Ros and Hansen, "A simple modification in CMA-ES achieving
        linear time and space complexity", 2008).
        """
        raw = math.log((size + 1) / 2) - np.log(np.arange(1, size + 1))
        mu = size // 2
        mu_eff = float(raw[:mu].sum() ** 2 / (raw[:mu] ** 2).sum())
        mu_minus = float(raw[mu:].sum() ** 2 / (raw[mu:] ** 2).sum())
        c_1 = 2 / ((n + 1.3) ** 2 + mu_eff)
        c_mu = min(1 - c_1 - 1e-8, 2 * (mu_eff - 2 + 1 / mu_eff) / ((n + 2) ** 2 + mu_eff))
        c_sigma = (mu_eff + 2) / (n + mu_eff + 5)
        d_sigma = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma
        c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)
        chi = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))
        positive = raw[raw > 0].sum()
        if separable:
            faster = min((n + 2) / 3, (1 - 1e-8) / (c_1 + c_mu))
            c_1, c_mu = c_1 * faster, c_mu * faster
            weights = np.where(raw > 0, raw / positive, 0.0)
        else:
            alpha = min(
                1 + c_1 / max(c_mu, 1e-300),
                1 + 2 * mu_minus / (mu_eff + 2),
                (1 - c_1 - c_mu) / (n * max(c_mu, 1e-300)),
            )
            weights = np.where(raw >= 0, raw / positive, alpha * raw / -raw[raw < 0].sum())
        return Constants(weights, mu, mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, chi)


@dataclass(frozen=True)
class CMAES(Strategy):
    """Covariance matrix adaptation: learns the scale and the direction of steps, in float64.

    Candidates are m + σ·B·D·z, where B and D are eigenvectors and roots of the eigenvalues of the
    covariance. They are computed as often as the covariance changes noticeably, on NumPy; the rest
    of a generation is one program. Positive and negative weights, cumulative step-size adaptation.
    Source: Hansen, "The CMA evolution strategy: a tutorial", arXiv 1604.00772, 2016.

    Candidates out of bounds are clipped to them.

    Args:
        sigma: the first step: about a third of the range in which the optimum lies.
        separable: learn only the diagonal of the covariance, in linear time and memory; by default
            from 1,001 parameters on.
        tolerance: stop when all steps are this small, relative to the first one.
        population: candidates in a generation; 4 + 3 ln n by default.

    Example:
        >>> import chainrule as cr
        >>> def rosenbrock(x):
        ...     return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
        >>> found = cr.evolve.minimize(rosenbrock, [0.0, 0.0, 0.0], "cma", target=1e-10,
        ...                            backend="numpy")
        >>> found.best.round(3).tolist()
        [1.0, 1.0, 1.0]
    """

    name: ClassVar[str] = "cma"
    title: ClassVar[str] = "CMA-ES"
    least: ClassVar[int] = 3

    sigma: float = 0.5
    separable: bool | None = None
    tolerance: float = 1e-12

    def check(self) -> None:
        """Raise ConfigError for invalid options."""
        self._need_number("sigma", above=True)
        self._need_number("tolerance")
        self._need_one_of("separable", (None, True, False))

    def usual_size(self, n: int) -> int:
        """Hansen's rule."""
        return 4 + int(3 * math.log(n))

    def _is_separable(self, n: int) -> bool:
        return n > _LARGEST_FULL if self.separable is None else self.separable

    def _constants(self, n: int) -> Constants:
        return Constants.of(n, self.size(n), self._is_separable(n))

    def interval(self, n: int) -> int:
        """Decompositions are as rare as the covariance changes slowly (the tutorial's rule)."""
        if self._is_separable(n):
            return 0
        k = self._constants(n)
        return max(1, int(1 / (10 * n * (k.c_1 + k.c_mu))))

    def begin(self, start: Array, bounds: Bounds | None, key: Tensor) -> State:
        """A round distribution around the start."""
        n = len(start)
        first = {
            "mean": start.astype(np.float64),
            "sigma": np.array(float(self.sigma)),
            "step_path": np.zeros(n),
            "path": np.zeros(n),
            "generation": np.array(0.0),
            "scales": np.ones(n),
        }
        if self._is_separable(n):
            first["covariance"] = np.ones(n)
        else:
            first |= {"covariance": np.eye(n), "vectors": np.eye(n)}
        return State(first, bounds)

    def ask(self, state: State, key: Tensor) -> tuple[Tensor, Named]:
        """Candidates of the distribution."""
        mean, scales = state["mean"], state["scales"]
        n = mean.shape[0]
        z = astype(normal(key, (self.size(n), n)), "float64")
        y = z * scales
        if "vectors" in state:
            y = y @ state["vectors"].mT
        candidates = mean + state["sigma"] * y
        if state.bounds is not None:
            candidates = candidates.clip(*state.bounds)
            y = (candidates - mean) / state["sigma"]
            z = (y @ state["vectors"] if "vectors" in state else y) / scales
        return candidates, {"y": y, "z": z}

    def tell(
        self, state: State, candidates: Tensor, memo: Named, losses: Tensor, key: Tensor
    ) -> None:
        """Move the mean, then adapt the step and the covariance."""
        n = state["mean"].shape[0]
        k = self._constants(n)
        order = argsort(losses)
        y, z = take(memo["y"], order), take(memo["z"], order)
        best = k.weights[: k.mu]
        y_w, z_w = (reshape(best[None] @ x[: k.mu], (-1,)) for x in (y, z))
        full = "vectors" in state
        whitened = reshape(state["vectors"] @ z_w.expand_dims(1), (-1,)) if full else z_w
        step_path = (1 - k.c_sigma) * state["step_path"] + math.sqrt(
            k.c_sigma * (2 - k.c_sigma) * k.mu_eff
        ) * whitened
        norm = sqrt(sum(step_path**2))
        growth = exp((k.c_sigma / k.d_sigma) * (norm / k.chi - 1))
        generation = state["generation"] + 1.0
        expected = sqrt(1 - exp(2 * math.log(1 - k.c_sigma) * generation))
        goes = (norm / expected < (1.4 + 2 / (n + 1)) * k.chi).astype("float64")
        rate = math.sqrt(k.c_c * (2 - k.c_c) * k.mu_eff)
        path = (1 - k.c_c) * state["path"] + goes * rate * y_w
        kept = 1 + k.c_1 * (1 - goes) * k.c_c * (2 - k.c_c) - k.c_1 - k.c_mu * k.weights.sum()
        if full:
            scale = where(k.weights >= 0, 1.0, n / (sum(z**2, axis=1) + 1e-8))
            weighted = (scale * k.weights).expand_dims(1) * y
            change = k.c_1 * path.expand_dims(1) * path + k.c_mu * (weighted.mT @ y)
            covariance = kept * state["covariance"] + change
        else:
            spread = reshape(k.weights[None] @ y**2, (-1,))
            covariance = kept * state["covariance"] + k.c_1 * path**2 + k.c_mu * spread
            state.assign(scales=sqrt(covariance))
        state.assign(
            mean=state["mean"] + state["sigma"] * y_w,
            sigma=(state["sigma"] * growth).clip(0.0, _LARGEST_STEP),
            step_path=step_path, path=path, generation=generation, covariance=covariance,
        )  # fmt: skip

    def refresh(self, state: State) -> None:
        """The eigenvectors of the covariance, and the roots of its eigenvalues."""
        covariance = state["covariance"].numpy()
        if not np.isfinite(covariance).all():
            return
        values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        # The sign of an eigenvector is a convention of LAPACK: fix it, for the same bits anywhere.
        largest = np.abs(vectors).argmax(0)
        vectors = vectors * np.sign(vectors[largest, np.arange(len(values))])
        state.assign(scales=np.sqrt(np.maximum(values, 1e-300)), vectors=vectors)

    def centre(self, state: State) -> Tensor | None:
        """The mean."""
        return state["mean"]

    def stopped(self, state: State) -> str:
        """As in Hansen's tutorial: tiny or huge steps, a covariance that is ill conditioned."""
        sigma, covariance = state["sigma"].item(), state["covariance"].numpy()
        diagonal = covariance if covariance.ndim == 1 else np.diag(covariance)
        steps = sigma * np.maximum(np.abs(state["path"].numpy()), np.sqrt(np.abs(diagonal)))
        if not np.isfinite(steps).all():
            return "the steps are not finite"
        if (steps < self.tolerance * self.sigma).all():
            return "the steps are too small to matter"
        scales = state["scales"].numpy()
        if scales.max() ** 2 > 1e14 * scales.min() ** 2:
            return "the covariance is ill conditioned"
        if sigma * scales.max() > 1e4 * self.sigma * max(1.0, float(np.sqrt(len(steps)))):
            return "the steps grow without end: the first ones were far too small"
        return ""
