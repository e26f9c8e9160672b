"""Distributions against SciPy's: densities, moments, samples; derivatives against differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import chainrule as cr
from chainrule.engine import distributions as d
from chainrule.errors import ConfigError, DataError, ShapeError

A = np.array([0.4, 1.0, 3.5])
B = np.array([2.0, 0.7, 1.5])
P = np.array([0.15, 0.5, 0.9])
LOC = np.array([-1.0, 0.0, 2.5])

#: Ours, SciPy's.
CONTINUOUS: dict[str, tuple[Any, Any]] = {
    "normal": (d.Normal(LOC, B), stats.norm(LOC, B)),
    "log normal": (d.LogNormal(LOC, B / 3), stats.lognorm(B / 3, scale=np.exp(LOC))),
    "half normal": (d.HalfNormal(B), stats.halfnorm(scale=B)),
    "laplace": (d.Laplace(LOC, B), stats.laplace(LOC, B)),
    "cauchy": (d.Cauchy(LOC, B), stats.cauchy(LOC, B)),
    "gumbel": (d.Gumbel(LOC, B), stats.gumbel_r(LOC, B)),
    "logistic": (d.Logistic(LOC, B), stats.logistic(LOC, B)),
    "uniform": (d.Uniform(LOC, LOC + B), stats.uniform(LOC, B)),
    "exponential": (d.Exponential(B), stats.expon(scale=1 / B)),
    "weibull": (d.Weibull(A, B), stats.weibull_min(A, scale=B)),
    "gamma": (d.Gamma(A, B), stats.gamma(A, scale=1 / B)),
    "chi2": (d.Chi2(A + 1), stats.chi2(A + 1)),
    "inverse gamma": (d.InverseGamma(A + 2.1, B), stats.invgamma(A + 2.1, scale=B)),
    "beta": (d.Beta(A, B), stats.beta(A, B)),
    "student": (d.StudentT(A + 2.1, LOC, B), stats.t(A + 2.1, LOC, B)),
}
DISCRETE: dict[str, tuple[Any, Any]] = {
    "bernoulli": (d.Bernoulli(P), stats.bernoulli(P)),
    "binomial": (d.Binomial(np.array([1.0, 7.0, 30.0]), P), stats.binom([1, 7, 30], P)),
    "poisson": (d.Poisson(A * 4), stats.poisson(A * 4)),
    "geometric": (d.Geometric(P), stats.geom(P, -1)),
    "negative binomial": (d.NegativeBinomial(B, P), stats.nbinom(B, P)),
}
QUANTILES = np.array([0.02, 0.3, 0.5, 0.8, 0.99])[:, None]


@pytest.mark.parametrize("name", CONTINUOUS)
def test_densities_are_scipys(name: str) -> None:
    ours, theirs = CONTINUOUS[name]
    x = theirs.ppf(QUANTILES)
    close(ours.log_prob(x), theirs.logpdf(x))
    close(ours.prob(x), theirs.pdf(x))
    close(ours.cdf(x), np.broadcast_to(QUANTILES, x.shape), 1e-9)
    outside = np.array([-50.0, 60.0])[:, None]
    np.testing.assert_array_equal(
        np.isneginf(ours.log_prob(outside).numpy()), np.isneginf(theirs.logpdf(outside))
    ) if name in ("uniform", "beta") else close(ours.cdf(outside), theirs.cdf(outside), 1e-6)
    if type(ours)._icdf is not d.Distribution._icdf:
        close(ours.icdf(QUANTILES), x)


@pytest.mark.parametrize("name", DISCRETE)
def test_probabilities_are_scipys(name: str) -> None:
    ours, theirs = DISCRETE[name]
    k = np.arange(-1, 9)[:, None]
    with np.errstate(divide="ignore"):
        close(ours.log_prob(k), theirs.logpmf(k), 1e-9)
    close(ours.cdf(k), theirs.cdf(k), 1e-9)
    close(ours.cdf(k + 0.5), theirs.cdf(k), 1e-9)
    assert np.isneginf(ours.log_prob(0.5).numpy()).all()


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_moments_are_scipys(name: str) -> None:
    ours, theirs = (CONTINUOUS | DISCRETE)[name]
    if name != "cauchy":
        close(ours.mean, theirs.mean())
        close(ours.variance, theirs.var())
        close(ours.stddev, theirs.std())
    else:
        assert np.isnan(ours.mean.numpy()).all()
    if type(ours)._entropy is not d.Distribution._entropy:
        close(ours.entropy(), theirs.entropy(), 1e-8)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_samples_follow_the_distribution(name: str) -> None:
    ours, theirs = CONTINUOUS[name]
    x = ours.sample(cr.random.key(3), (4000,)).numpy()
    assert x.shape == (4000, 3)
    assert np.array_equal(x, ours.sample(cr.random.key(3), (4000,)).numpy())
    for column in range(3):
        cdf = theirs.cdf(x)[:, column]
        assert stats.kstest(cdf, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("name", DISCRETE)
def test_samples_follow_the_probabilities(name: str) -> None:
    ours, theirs = DISCRETE[name]
    draw = cr.compile(lambda key: ours.sample(key, (3000,)), backend="c")
    x = draw(cr.random.key(5)).numpy()
    assert x.dtype == np.int64
    for column in range(3):
        values, counts = np.unique(x[:, column], return_counts=True)
        expected = 3000 * theirs.pmf(values[:, None])[:, column]
        known = expected > 5
        expected = [*expected[known], max(3000 - expected[known].sum(), 1e-9)]
        observed = [*counts[known], counts[~known].sum() + 1e-9]
        terms = [(o - e) ** 2 / max(e, 1) for o, e in zip(observed, expected, strict=True)]
        assert sum(terms) < stats.chi2(known.sum() + 1).ppf(0.9995)


@pytest.mark.parametrize("name", ["gamma", "beta", "chi2", "student", "inverse gamma", "weibull"])
def test_samples_have_the_derivative_of_their_quantile(name: str) -> None:
    """At a fixed key: of the mean of many, that of the mean of the distribution."""
    makers: dict[str, Any] = {
        "gamma": lambda a: d.Gamma(a, 2.0),
        "beta": lambda a: d.Beta(a, 2.0),
        "chi2": d.Chi2,
        "student": lambda a: d.StudentT(a + 3.0, a, 0.5),
        "inverse gamma": lambda a: d.InverseGamma(a + 3.0, 2.0),
        "weibull": lambda a: d.Weibull(a, 2.0),
    }
    make = makers[name]
    a = cr.tensor(np.array([0.6, 1.7]))

    def mean_of_many(a: Any) -> Any:
        return cr.mean(make(a).sample(cr.random.key(1), (3000,)), 0).sum()

    found = cr.compile(cr.grad(mean_of_many), backend="c")(a).numpy()
    expected = cr.grad(lambda a: make(a).mean.sum())(a).numpy()
    np.testing.assert_allclose(found, expected, atol=0.12, rtol=0.05)


def test_the_implicit_derivative_of_a_gamma_sample() -> None:
    """dx/da at a fixed quantile, by differences of SciPy's quantile function."""
    a = np.array([1.3, 4.0, 60.0])
    gamma = lambda a: d.Gamma(a).sample(cr.random.key(2))  # noqa: E731
    x = gamma(cr.tensor(a)).numpy()
    found = cr.grad(lambda a: gamma(a).sum())(cr.tensor(a)).numpy()
    quantile = stats.gamma(a).cdf(x)
    step = 1e-5 * a
    expected = (stats.gamma(a + step).ppf(quantile) - stats.gamma(a - step).ppf(quantile)) / (
        2 * step
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_small_concentrations_do_not_underflow() -> None:
    x = d.Dirichlet(cr.full((4,), 1e-3)).sample(cr.random.key(0), (50,))
    np.testing.assert_allclose(x.numpy().sum(-1), 1, rtol=1e-5)
    beta = d.Beta(cr.full((50,), 1e-3), 1e-3).sample(cr.random.key(0)).numpy()
    assert ((beta >= 0) & (beta <= 1)).all()


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_densities_have_derivatives(name: str) -> None:
    ours, theirs = (CONTINUOUS | DISCRETE)[name]
    kind = type(ours)
    if kind in (d.Bernoulli, d.Uniform, d.Binomial, d.NegativeBinomial):
        return  # of integers, or of one of two
    x = theirs.ppf(np.array([[0.3], [0.8]]))
    given = [getattr(ours, key).numpy() for key in kind.constraints]
    assert cr.check_grad(lambda *p: kind(*p).log_prob(x), *given) < 1e-5


# ---- vectors and classes ---------------------------------------------------------------------

COVARIANCE = np.array([[2.0, 0.3, -0.4], [0.3, 1.0, 0.2], [-0.4, 0.2, 0.7]])


def test_normal_vectors_are_scipys() -> None:
    ours, theirs = d.MultivariateNormal(LOC, COVARIANCE), stats.multivariate_normal(LOC, COVARIANCE)
    x = np.random.default_rng(0).normal(size=(5, 3))
    close(ours.log_prob(x), theirs.logpdf(x))
    close(ours.entropy(), theirs.entropy())
    close(ours.covariance, COVARIANCE)
    close(ours.variance, np.diag(COVARIANCE))
    drawn = ours.sample(cr.random.key(0), (20_000,)).numpy()
    np.testing.assert_allclose(np.cov(drawn.T), COVARIANCE, atol=0.06)
    np.testing.assert_allclose(drawn.mean(0), LOC, atol=0.04)
    same = d.MultivariateNormal(LOC, scale_tril=np.linalg.cholesky(COVARIANCE))
    close(same.log_prob(x), theirs.logpdf(x))
    many = d.MultivariateNormal(np.stack([LOC, -LOC]), COVARIANCE)
    assert many.sample(cr.random.key(0), (4,)).shape == (4, 2, 3)
    close(many.log_prob(x[:2])[0], theirs.logpdf(x[0]))
    by_root = lambda root: d.MultivariateNormal(LOC, scale_tril=root).log_prob(x)  # noqa: E731
    assert cr.check_grad(by_root, np.linalg.cholesky(COVARIANCE)) < 1e-5


def test_probabilities_of_classes_are_scipys() -> None:
    ours, theirs = d.Dirichlet(A), stats.dirichlet(A)
    x = np.random.default_rng(0).dirichlet(A, 5)
    close(ours.log_prob(x), [theirs.logpdf(row) for row in x], 1e-8)
    close(ours.mean, theirs.mean())
    close(ours.variance, theirs.var())
    close(ours.entropy(), theirs.entropy(), 1e-8)
    drawn = ours.sample(cr.random.key(0), (20_000,)).numpy()
    np.testing.assert_allclose(drawn.mean(0), theirs.mean(), atol=0.01)
    np.testing.assert_allclose(drawn.var(0), theirs.var(), atol=0.01)
    assert np.isneginf(ours.log_prob([[0.5, 0.6, 0.2], [1.2, -0.1, -0.1]]).numpy()).all()


def test_classes() -> None:
    ours = d.Categorical(probs=np.array([[2.0, 1.0, 1.0], [0.0, 1.0, 3.0]]))
    close(ours.probs, [[0.5, 0.25, 0.25], [0, 0.25, 0.75]])
    close(ours.log_prob([0, 2]), np.log([0.5, 0.75]))
    close(ours.prob(np.array([[1], [0], [3], [-1]])), [[0.25, 0.25], [0.5, 0], [0, 0], [0, 0]])
    close(ours.entropy(), [stats.entropy([0.5, 0.25, 0.25]), stats.entropy([0.25, 0.75])])
    drawn = ours.sample(cr.random.key(0), (8000,)).numpy()
    for row in range(2):
        shares = np.bincount(drawn[:, row], minlength=3) / 8000
        np.testing.assert_allclose(shares, ours.probs.numpy()[row], atol=0.02)
    logits = np.array([0.2, -1.0, 3.0])
    close(d.Categorical(logits=logits).log_prob(2), logits[2] - np.log(np.exp(logits).sum()))
    slope = cr.grad(lambda z: d.Categorical(logits=z).log_prob(1))(cr.tensor(logits)).numpy()
    close(slope, np.eye(3)[1] - np.exp(logits) / np.exp(logits).sum())


def test_independent_numbers_are_one_event() -> None:
    one = d.Normal(np.zeros((4, 3)), B)
    joint = d.Independent(one)
    x = np.random.default_rng(0).normal(size=(4, 3))
    assert (joint.shape, joint.event_shape) == ((4,), (3,))
    close(joint.log_prob(x), stats.norm(0, B).logpdf(x).sum(-1))
    close(joint.entropy(), np.full(4, stats.norm(0, B).entropy().sum()))
    assert joint.sample(cr.random.key(0), (2,)).shape == (2, 4, 3)
    assert d.Independent(one, 0).log_prob(x).shape == (4, 3)
    with pytest.raises(ShapeError, match="so many axes"):
        d.Independent(one, 3)


# ---- divergences -----------------------------------------------------------------------------

PAIRS: list[tuple[Any, Any]] = [
    (d.Normal(LOC, B), d.Normal(0.5, A)),
    (d.LogNormal(LOC, B / 3), d.LogNormal(0.1, A / 3)),
    (d.Laplace(LOC, B), d.Laplace(0.5, A)),
    (d.Uniform(LOC, LOC + B), d.Uniform(LOC - 1, LOC + 4)),
    (d.Exponential(B), d.Exponential(A)),
    (d.Gamma(A, B), d.Gamma(B, A)),
    (d.Beta(A, B), d.Beta(B, A + 1)),
]


@pytest.mark.parametrize(("p", "q"), PAIRS, ids=lambda x: type(x).__name__)
def test_divergences_are_integrals(p: Any, q: Any) -> None:
    """∫ (log p(x(u)) - log q(x(u))) du over the quantiles u of p."""
    theirs = next(theirs for ours, theirs in CONTINUOUS.values() if type(ours) is type(p))
    middle, weights = np.polynomial.legendre.leggauss(300)
    u, w = (middle[:, None] + 1) / 2, weights[:, None] / 2
    x = theirs.ppf(u)
    expected = (w * (p.log_prob(x).numpy() - q.log_prob(x).numpy())).sum(0)
    close(d.kl_divergence(p, q), expected, 3e-4)
    close(d.kl_divergence(p, p), np.zeros(3), 1e-12)


def test_divergences_of_counts_are_sums() -> None:
    k = np.arange(400)[:, None]
    pairs: list[tuple[Any, Any]] = [
        (d.Poisson(A), d.Poisson(B)), (d.Geometric(P), d.Geometric(P[::-1].copy())),
        (d.Bernoulli(P), d.Bernoulli(logits=LOC)),
    ]  # fmt: skip
    for p, q in pairs:
        a, b = p.log_prob(k).numpy(), q.log_prob(k).numpy()
        with np.errstate(invalid="ignore"):
            expected = np.where(np.isneginf(a), 0, np.exp(a) * (a - b)).sum(0)
        close(d.kl_divergence(p, q), expected, 1e-9)
    p, q = d.Categorical(probs=[0.0, 0.4, 0.6]), d.Categorical(probs=[0.2, 0.2, 0.6])
    close(d.kl_divergence(p, q), 0.4 * math.log(2), 1e-6)


def test_divergences_of_vectors_are_means() -> None:
    rng = np.random.default_rng(0)
    other = d.MultivariateNormal(LOC + 0.3, COVARIANCE * 1.4)
    p = d.MultivariateNormal(LOC, COVARIANCE)
    x = rng.multivariate_normal(LOC, COVARIANCE, 200_000)
    found = (p.log_prob(x).numpy() - other.log_prob(x).numpy()).mean()
    close(d.kl_divergence(p, other), found, 0.01)
    a, b = d.Dirichlet(A + 1), d.Dirichlet(B + 1)
    x = rng.dirichlet(A + 1, 100_000)
    close(d.kl_divergence(a, b), (a.log_prob(x).numpy() - b.log_prob(x).numpy()).mean(), 0.02)
    first, second = (d.Independent(one) for one in PAIRS[0])
    close(d.kl_divergence(first, second), d.kl_divergence(*PAIRS[0]).numpy().sum())
    with pytest.raises(ConfigError, match="closed form"):
        d.kl_divergence(p, a)


# ---- in use ----------------------------------------------------------------------------------


def test_the_density_of_a_gamma_is_fitted() -> None:
    """Maximum likelihood by gradients, where SciPy finds it."""
    data = stats.gamma(2.5, scale=0.7).rvs(400, random_state=0)
    log_parameters = cr.parameter(np.zeros(2))
    optimizer = cr.optim.Adam({"w": log_parameters}, lr=0.05)

    def loss(w: Any) -> Any:
        return -cr.mean(d.Gamma(cr.exp(w[0]), cr.exp(w[1])).log_prob(data))

    @cr.compile
    def step() -> Any:
        optimizer.update({"w": cr.grad(loss)(log_parameters)})

    for _ in range(300):
        step()
    a, _, scale = stats.gamma.fit(data, floc=0)
    np.testing.assert_allclose(np.exp(log_parameters.numpy()), [a, 1 / scale], rtol=1e-3)


def test_samples_in_a_native_program_are_those_of_python() -> None:
    def draw(key: Any) -> Any:
        return (d.Gamma(A, B).sample(key, (5,)), d.Poisson(A * 4).sample(key, (5,)),
                d.Categorical(logits=LOC).sample(key, (5,)))  # fmt: skip

    key = cr.random.key(9)
    for found, expected in zip(cr.compile(draw, backend="c")(key), draw(key), strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: d.Normal(0.0, -1.0), DataError, "Normal cannot have this scale"),
        (lambda: d.Normal(math.nan, 1.0), DataError, "this loc"),
        (lambda: d.Gamma(0.0), DataError, "concentration"),
        (lambda: d.Uniform(1.0, 1.0), DataError, "width"),
        (lambda: d.Bernoulli(1.5), DataError, "from 0 to 1"),
        (lambda: d.Binomial(2.5, 0.5), DataError, "an integer"),
        (lambda: d.Bernoulli(), ConfigError, "either"),
        (lambda: d.Categorical([0.5], logits=[0.5]), ConfigError, "both"),
        (lambda: d.Categorical(0.5), ConfigError, "last axis"),
        (lambda: d.Dirichlet(0.5), ShapeError, "a vector"),
        (lambda: d.MultivariateNormal([0.0], [[1.0, 0.0]]), ShapeError, "square"),
        (lambda: d.MultivariateNormal([0.0]), ConfigError, "either"),
        (
            lambda: d.MultivariateNormal(np.zeros((2, 1)), np.ones((3, 1, 1))),
            ShapeError,
            "broadcast",
        ),
        (lambda: d.Categorical(np.ones((2, 3))).log_prob([0, 1, 2]), ShapeError, "broadcast"),
        (lambda: d.Poisson(2.0).entropy(), NotImplementedError, "Poisson has no entropy"),
        (lambda: d.Normal(np.zeros(2), np.ones(3)), ShapeError, "broadcast"),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_a_negative_scale_is_found_in_a_program_too() -> None:
    run = cr.compile(lambda scale: d.Normal(0.0, scale).log_prob(1.0), backend="c")
    run(cr.tensor(1.0))
    with pytest.raises(DataError, match="this scale"):
        run(cr.tensor(-1.0))


def test_they_are_shown_in_short() -> None:
    assert repr(d.Normal(0.0, 2.0)) == "Normal(loc=0.0, scale=2.0)"
    assert repr(d.Bernoulli(0.25)) == "Bernoulli(probs=0.25)"
    assert "float32[100]" in repr(d.Exponential(cr.ones(100)))


def close(found: Any, expected: Any, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(np.asarray(found), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("make", "fits", "fails"),
    [
        (d.Bernoulli, (0.0, 1.0), (-0.01, 1.01)),
        (d.Geometric, (1e-6, 1.0), (0.0, 1.01)),
        (d.Poisson, (1e-6,), (-0.01,)),
        (d.Exponential, (1e-6,), (0.0, -1.0)),
        (lambda x: d.Normal(0.0, x), (1e-6,), (0.0, -1.0)),
        (lambda x: d.Gamma(x, 1.0), (1e-6,), (0.0, -1.0)),
        (lambda x: d.Beta(1.0, x), (1e-6,), (0.0, -1.0)),
        (lambda x: d.Binomial(3.0, x), (0.0, 1.0), (-0.01, 1.01)),
    ],
)
def test_where_parameters_end(make: Any, fits: Any, fails: Any) -> None:
    for x in fits:
        make(x)
    for x in fails:
        with pytest.raises(DataError):
            make(x)


def test_a_uniform_one_goes_from_nought_to_one_unless_told() -> None:
    x = d.Uniform()
    assert (x.low.item(), x.high.item(), x.mean.item()) == (0.0, 1.0, 0.5)
    assert d.Uniform(high=3.0).mean.item() == 1.5


def test_one_of_probs_and_logits() -> None:
    assert d.Bernoulli(0.25).mean.item() == 0.25
    assert d.Bernoulli(logits=0.0).mean.item() == 0.5
    for how in ({}, {"probs": 0.5, "logits": 0.0}):
        with pytest.raises(ConfigError):
            d.Bernoulli(**how)
