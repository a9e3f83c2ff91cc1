"""The classes of `torch.distributions`, each with its ordinary parameters, exact law and extreme parameters.

A class with vector or matrix draws is measured through a projection whose law is known in one dimension.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import stats
from scipy.special import i0e
from torch import Tensor
from torch import distributions as torchs

from bench.validation.torch_offers.laws import Array, Knobs, Law, counts, density, mapped, quantiles

Build = Callable[[dict[str, Tensor]], Any]


def scalar(z: Tensor) -> Tensor:
    """Returns z: the projection of a scalar draw."""
    return z


def first(z: Tensor) -> Tensor:
    """Returns the first coordinate of a vector draw."""
    return z[..., 0]


def pair(x: Tensor) -> Tensor:
    """Returns the point of the simplex with two coordinates whose first coordinate is x."""
    return torch.stack([x, 1 - x], -1)


@dataclass(frozen=True)
class Subject:
    """A class at ordinary parameters, and the extreme values to which each parameter is set in turn.

    `build`: parameters `[N]` → the distribution with batch shape `[N]`. `law`: the law of `project(z)`.
    `lift`: x → z if z has one free coordinate, so that the density can be integrated; None if it has more.
    `linear`: True if the projection of the mean is the mean of the projection. `fixed`: parameters without a gradient.
    """

    kind: type[torchs.Distribution]
    ordinary: Knobs
    build: Build
    law: Callable[[Knobs], Law]
    stretched: dict[str, tuple[float, ...]] = field(default_factory=dict)
    project: Callable[[Tensor], Tensor] = scalar
    lift: Callable[[Tensor], Tensor] | None = scalar
    linear: bool = True
    fixed: frozenset[str] = frozenset()

    def points(self) -> list[tuple[str, float, Knobs]]:
        """Returns (changed knob, its value, all knobs) for the ordinary parameters and for every extreme value."""
        far = [
            (name, value, self.ordinary | {name: value}) for name, values in self.stretched.items() for value in values
        ]
        return [("", 0.0, self.ordinary), *far]


def of(kind: Any, **fixed: Any) -> Build:
    """Returns a function that calls the class with its parameters by name, without validation."""
    return lambda knobs: kind(**knobs, **fixed, validate_args=False)


SMALL_SHAPES = (1e-3, 1e-2, 0.03, 0.1, 0.3, 0.6, 1.0)
SHAPES = (*SMALL_SHAPES, 10.0, 100.0, 1e3, 1e4)
SCALES = (1e-6, 1e6)
LOGIT_RANGE = (-8.0, 8.0)
PLACES = (1e6,)
"""Extreme locations for a scale near 1, where the rounding of draws is large."""


def located(frozen: Any) -> Callable[[Knobs], Law]:
    """Returns the law of a SciPy location-scale family, as a function of the knobs."""
    return lambda k: quantiles(frozen(loc=k["loc"], scale=k["scale"]))


LOC_SCALE: dict[str, Any] = {
    "ordinary": {"loc": 0.4, "scale": 0.8},
    "stretched": {"scale": SCALES, "loc": PLACES},
}


def sigmoid(t: Array) -> Array:
    """Returns 1 / (1 + e^(−t)) without overflow warnings."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-t))


def probability(logit: float) -> float:
    """Returns the probability with this logit."""
    return 1 / (1 + math.exp(-logit))


def categories(knobs: dict[str, Tensor]) -> Tensor:
    """Returns the three logits of a categorical."""
    return torch.stack([knobs["logits"], torch.zeros_like(knobs["logits"]), knobs["logits"] * 0 + 0.5], -1)


def chances(logit: float) -> Array:
    """Returns the probabilities of `categories`."""
    raw = np.array([logit, 0.0, 0.5])
    return np.exp(raw) / np.exp(raw).sum()


def tril(knobs: dict[str, Tensor]) -> Tensor:
    """A Cholesky factor [[s, 0], [0.3, 0.7]]."""
    s = knobs["scale"]
    zero = torch.zeros_like(s)
    return torch.stack([torch.stack([s, zero], -1), torch.stack([zero + 0.3, zero + 0.7], -1)], -2)


def pointed(knobs: dict[str, Tensor]) -> Tensor:
    """A location of two coordinates that both move with loc."""
    return torch.stack([knobs["loc"], 0.5 * knobs["loc"]], -1)


def weighted_sum(z: Tensor) -> Tensor:
    """z₀ + 0.7 z₁."""
    return z[..., 0] + 0.7 * z[..., 1]


def gaussian(k: Knobs) -> Law:
    """The law of `weighted_sum` under Normal(pointed, tril trilᵀ)."""
    variance = (k["scale"] + 0.7 * 0.3) ** 2 + (0.7 * 0.7) ** 2
    return quantiles(stats.norm(1.35 * k["loc"], math.sqrt(variance)))


def low_rank(knobs: dict[str, Tensor]) -> Any:
    """Covariance scale² (1, 0.5)(1, 0.5)ᵀ + diag(0.3, 0.4)."""
    s = knobs["scale"]
    factor = torch.stack([s, 0.5 * s], -1)[..., None]
    diagonal = torch.stack([0.3 + 0 * s, 0.4 + 0 * s], -1)
    return torchs.LowRankMultivariateNormal(pointed(knobs), factor, diagonal, validate_args=False)


def low_rank_law(k: Knobs) -> Law:
    """Returns the law of `weighted_sum` under `low_rank`."""
    variance = (1.35 * k["scale"]) ** 2 + 0.3 + 0.49 * 0.4
    return quantiles(stats.norm(1.35 * k["loc"], math.sqrt(variance)))


def mixture(knobs: dict[str, Tensor]) -> Any:
    """Two Normals."""
    logits = torch.stack([knobs["logits"], torch.zeros_like(knobs["logits"])], -1)
    loc = torch.stack([knobs["loc"], 1.0 + 0 * knobs["loc"]], -1)
    scale = torch.stack([knobs["scale"], 0.5 + 0 * knobs["scale"]], -1)
    parts = torchs.Normal(loc, scale, validate_args=False)
    return torchs.MixtureSameFamily(torchs.Categorical(logits=logits, validate_args=False), parts, validate_args=False)


def mixture_law(k: Knobs) -> Law:
    """Returns the law of `mixture`."""
    p = probability(k["logits"])
    one, two = quantiles(stats.norm(k["loc"], k["scale"])), quantiles(stats.norm(1.0, 0.5))
    return Law(
        np.concatenate([one.points, two.points]),
        np.concatenate([p * one.weights, (1 - p) * two.weights]),
        p * k["loc"] + 1 - p,
    )


def von_mises(k: Knobs) -> Law:
    """Returns the law of a von Mises distribution."""
    kappa = k["concentration"]

    def pdf(x: Array) -> Array:
        return np.exp(kappa * (np.cos(x - k["loc"]) - 1)) / (2 * np.pi * i0e(kappa))

    return density(pdf, -math.pi, math.pi)


def continuous_bernoulli(k: Knobs) -> Law:
    """Density proportional to exp(logits · x) on [0, 1]."""
    a = k["logits"]
    norm = a / math.expm1(a) if abs(a) > 1e-9 else 1.0
    return density(lambda x: norm * np.exp(a * x), 0.0, 1.0)


def kumaraswamy(k: Knobs) -> Law:
    """x = (1 − (1 − u)^(1/b))^(1/a), from an Exponential e = −log(1 − u)."""
    a, b = k["concentration1"], k["concentration0"]
    mean = b * math.exp(math.lgamma(1 + 1 / a) + math.lgamma(b) - math.lgamma(1 + 1 / a + b))
    return mapped(stats.expon(), lambda e: (-np.expm1(-e / b)) ** (1 / a), mean)


def relaxed(k: Knobs) -> Law:
    """σ((logits + logistic noise) / temperature)."""
    return mapped(stats.logistic(k["logits"]), lambda x: sigmoid(x / k["temperature"]), panels=800)


def relaxed_categories(knobs: dict[str, Tensor]) -> Any:
    """Returns a relaxed one-hot categorical with two categories."""
    both = torch.stack([knobs["logits"], torch.zeros_like(knobs["logits"])], -1)
    temperature = knobs["temperature"].flatten()[0]  # torch takes one for the whole batch
    return torchs.RelaxedOneHotCategorical(temperature, logits=both, validate_args=False)


def logistic_normal(knobs: dict[str, Tensor]) -> Any:
    """Returns a logistic-normal distribution on the simplex with two coordinates."""
    return torchs.LogisticNormal(knobs["loc"][..., None], knobs["scale"][..., None], validate_args=False)


def simplex(knobs: dict[str, Tensor]) -> Any:
    """Returns a Dirichlet distribution on the simplex with two coordinates."""
    other = torch.full_like(knobs["concentration"], 1.5)
    return torchs.Dirichlet(torch.stack([knobs["concentration"], other], -1), validate_args=False)


def wishart(knobs: dict[str, Tensor]) -> Any:
    """Returns a Wishart distribution of 2 × 2 matrices."""
    return torchs.Wishart(df=knobs["df"], scale_tril=tril(knobs), validate_args=False)


def wishart_law(k: Knobs) -> Law:
    """wᵀ Z w ~ (wᵀ Σ w) χ²(df), w = (1, 0.7)."""
    scale = (k["scale"] + 0.21) ** 2 + 0.49**2
    return quantiles(stats.chi2(k["df"], scale=scale))


def quadratic(z: Tensor) -> Tensor:
    """Returns wᵀ Z w, w = (1, 0.7)."""
    w = torch.tensor([1.0, 0.7], dtype=z.dtype)
    return torch.einsum("i,...ij,j->...", w, z, w)


def correlation(r: Tensor) -> Tensor:
    """The Cholesky factor of a correlation matrix of size 2."""
    row = torch.stack([r, (1 - r.square()).clamp_min(0).sqrt()], -1)
    top = torch.stack([torch.ones_like(r), torch.zeros_like(r)], -1)
    return torch.stack([top, row], -2)


def multinomial(knobs: dict[str, Tensor]) -> Any:
    """Returns a Multinomial of 6 draws."""
    return torchs.Multinomial(6, logits=categories(knobs), validate_args=False)


def build_wrapped(knobs: dict[str, Tensor]) -> Any:
    """Returns two independent Normals wrapped in `Independent`."""
    inner = torchs.Normal(pointed(knobs), torch.stack([knobs["scale"], 0.5 + 0 * knobs["scale"]], -1), False)
    return torchs.Independent(inner, 1, validate_args=False)


def wrapped_law(k: Knobs) -> Law:
    """Returns the law of `weighted_sum` under `build_wrapped`."""
    return quantiles(stats.norm(1.35 * k["loc"], math.sqrt(k["scale"] ** 2 + 0.35**2)))


def transformed(knobs: dict[str, Tensor]) -> Any:
    """Returns the distribution of tanh of a Normal."""
    inner = torchs.Normal(knobs["loc"], knobs["scale"], validate_args=False)
    return torchs.TransformedDistribution(inner, [torchs.TanhTransform()], validate_args=False)


def one_hot_row(x: Tensor) -> Tensor:
    """Returns the one-hot row of a category."""
    return torch.nn.functional.one_hot(x.long(), 3).to(x.dtype)


def second(z: Tensor) -> Tensor:
    """Returns Σ_k k z_k over the three categories k = 0, 1, 2; for a one-hot row, the index of its category."""
    return z @ torch.tensor([0.0, 1.0, 2.0], dtype=z.dtype)


def pareto_law(k: Knobs) -> Law:
    """Returns the law of a Pareto distribution."""
    return quantiles(stats.pareto(k["alpha"], scale=k["scale"]))


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        torchs.Bernoulli,
        {"logits": -0.6},
        of(torchs.Bernoulli),
        lambda k: counts(np.array([1 - probability(k["logits"]), probability(k["logits"])])),
        {"logits": LOGIT_RANGE},
    ),
    Subject(
        torchs.Beta,
        {"concentration1": 1.3, "concentration0": 2.2},
        of(torchs.Beta),
        lambda k: quantiles(stats.beta(k["concentration1"], k["concentration0"])),
        {"concentration1": SHAPES, "concentration0": SHAPES},
    ),
    Subject(
        torchs.Binomial,
        {"logits": -0.6},
        of(torchs.Binomial, total_count=6),
        lambda k: counts(stats.binom.pmf(np.arange(7), 6, probability(k["logits"]))),
        {"logits": LOGIT_RANGE},
    ),
    Subject(
        torchs.Categorical,
        {"logits": 0.7},
        lambda k: torchs.Categorical(logits=categories(k), validate_args=False),
        lambda k: counts(chances(k["logits"])),
        {"logits": LOGIT_RANGE},
    ),
    Subject(torchs.Cauchy, build=of(torchs.Cauchy), law=located(stats.cauchy), **LOC_SCALE),
    Subject(torchs.Chi2, {"df": 3.0}, of(torchs.Chi2), lambda k: quantiles(stats.chi2(k["df"])), {"df": SHAPES}),
    Subject(
        torchs.ContinuousBernoulli,
        {"logits": 0.9},
        of(torchs.ContinuousBernoulli),
        continuous_bernoulli,
        {"logits": (-8.0, -0.1, -0.01, -0.003, 0.003, 0.01, 0.1, 8.0)},
    ),
    Subject(
        torchs.Dirichlet,
        {"concentration": 1.3},
        simplex,
        lambda k: quantiles(stats.beta(k["concentration"], 1.5)),
        {"concentration": SHAPES},
        first,
        pair,
    ),
    Subject(
        torchs.Exponential,
        {"rate": 1.4},
        of(torchs.Exponential),
        lambda k: quantiles(stats.expon(scale=1 / k["rate"])),
        {"rate": SCALES},
    ),
    Subject(
        torchs.FisherSnedecor,
        {"df1": 5.0, "df2": 7.0},
        of(torchs.FisherSnedecor),
        lambda k: quantiles(stats.f(k["df1"], k["df2"])),
        {"df1": SHAPES, "df2": (*SHAPES, 2.0)},
    ),
    Subject(
        torchs.Gamma,
        {"concentration": 1.3, "rate": 0.8},
        of(torchs.Gamma),
        lambda k: quantiles(stats.gamma(k["concentration"], scale=1 / k["rate"])),
        {"concentration": SHAPES, "rate": SCALES},
    ),
    Subject(
        torchs.GeneralizedPareto,
        {"loc": 0.4, "scale": 0.8, "concentration": 0.3},
        of(torchs.GeneralizedPareto),
        lambda k: quantiles(stats.genpareto(k["concentration"], loc=k["loc"], scale=k["scale"])),
        {"concentration": (-0.3, 0.01, 1.0, 3.0), "scale": (1e-3, 1e3)},
    ),
    Subject(
        torchs.Geometric,
        {"logits": -0.6},
        of(torchs.Geometric),
        lambda k: counts(stats.geom.pmf(np.arange(1, 40_000), probability(k["logits"]))),
        {"logits": LOGIT_RANGE},
    ),
    Subject(torchs.Gumbel, build=of(torchs.Gumbel), law=located(stats.gumbel_r), **LOC_SCALE),
    Subject(
        torchs.HalfCauchy,
        {"scale": 0.8},
        of(torchs.HalfCauchy),
        lambda k: quantiles(stats.halfcauchy(scale=k["scale"])),
        {"scale": SCALES},
    ),
    Subject(
        torchs.HalfNormal,
        {"scale": 0.8},
        of(torchs.HalfNormal),
        lambda k: quantiles(stats.halfnorm(scale=k["scale"])),
        {"scale": SCALES},
    ),
    Subject(
        torchs.Independent, {"loc": 0.4, "scale": 0.8}, build_wrapped, wrapped_law, project=weighted_sum, lift=None
    ),
    Subject(
        torchs.InverseGamma,
        {"concentration": 3.3, "rate": 0.8},
        of(torchs.InverseGamma),
        lambda k: quantiles(stats.invgamma(k["concentration"], scale=k["rate"])),
        {"concentration": SHAPES, "rate": SCALES},
    ),
    Subject(
        torchs.Kumaraswamy,
        {"concentration1": 1.3, "concentration0": 2.2},
        of(torchs.Kumaraswamy),
        kumaraswamy,
        {"concentration1": SHAPES, "concentration0": SHAPES},
    ),
    Subject(
        torchs.LKJCholesky,
        {"concentration": 1.6},
        lambda k: torchs.LKJCholesky(2, k["concentration"], validate_args=False),
        lambda k: mapped(stats.beta(k["concentration"], k["concentration"]), lambda b: 2 * b - 1, 0.0),
        {"concentration": SHAPES},
        lambda z: z[..., 1, 0],
        correlation,
        linear=False,
    ),
    Subject(torchs.Laplace, build=of(torchs.Laplace), law=located(stats.laplace), **LOC_SCALE),
    Subject(
        torchs.LogNormal,
        {"loc": 0.4, "scale": 0.8},
        of(torchs.LogNormal),
        lambda k: quantiles(stats.lognorm(k["scale"], scale=math.exp(k["loc"]))),
        {"scale": (1e-3, 1e-2, 3.0), "loc": (-30.0, 30.0)},
    ),
    Subject(
        torchs.LogisticNormal,
        {"loc": 0.4, "scale": 0.8},
        logistic_normal,
        lambda k: mapped(stats.norm(k["loc"], k["scale"]), sigmoid),
        {"scale": (1e-2, 3.0, 10.0), "loc": (-8.0, 8.0)},
        first,
        pair,
    ),
    Subject(
        torchs.LowRankMultivariateNormal,
        {"loc": 0.4, "scale": 0.8},
        low_rank,
        low_rank_law,
        {"loc": PLACES},
        weighted_sum,
        None,
    ),
    Subject(
        torchs.MixtureSameFamily,
        {"logits": -0.6, "loc": -0.4, "scale": 0.8},
        mixture,
        mixture_law,
        {"logits": LOGIT_RANGE},
    ),
    Subject(
        torchs.Multinomial,
        {"logits": 0.7},
        multinomial,
        lambda k: counts(np.array(_second_of_six(chances(k["logits"])))),
        {"logits": (-4.0, 4.0)},
        second,
        None,
    ),
    Subject(
        torchs.MultivariateNormal,
        {"loc": 0.4, "scale": 0.8},
        lambda k: torchs.MultivariateNormal(pointed(k), scale_tril=tril(k), validate_args=False),
        gaussian,
        {"loc": PLACES},
        weighted_sum,
        None,
    ),
    Subject(
        torchs.NegativeBinomial,
        {"total_count": 2.4, "logits": -0.6},
        of(torchs.NegativeBinomial),
        lambda k: counts(stats.nbinom.pmf(np.arange(60_000), k["total_count"], probability(-k["logits"]))),
        {"total_count": SMALL_SHAPES, "logits": (-8.0, -4.0, 4.0)},
    ),
    Subject(torchs.Normal, build=of(torchs.Normal), law=located(stats.norm), **LOC_SCALE),
    Subject(
        torchs.OneHotCategorical,
        {"logits": 0.7},
        lambda k: torchs.OneHotCategorical(logits=categories(k), validate_args=False),
        lambda k: counts(chances(k["logits"])),
        {"logits": LOGIT_RANGE},
        second,
        one_hot_row,
    ),
    Subject(
        torchs.OneHotCategoricalStraightThrough,
        {"logits": 0.7},
        lambda k: torchs.OneHotCategoricalStraightThrough(logits=categories(k), validate_args=False),
        lambda k: counts(chances(k["logits"])),
        {"logits": LOGIT_RANGE},
        second,
        one_hot_row,
    ),
    Subject(
        torchs.Pareto,
        {"scale": 0.8, "alpha": 2.4},
        of(torchs.Pareto),
        pareto_law,
        {"alpha": (0.1, 0.5, 1.0, 100.0), "scale": SCALES},
    ),
    Subject(
        torchs.Poisson,
        {"rate": 1.4},
        of(torchs.Poisson),
        lambda k: counts(stats.poisson.pmf(np.arange(20_000), k["rate"])),
        {"rate": (1e-3, 1e2, 1e4)},
    ),
    Subject(
        torchs.RelaxedBernoulli,
        {"temperature": 0.7, "logits": -0.6},
        of(torchs.RelaxedBernoulli),
        relaxed,
        {"temperature": (0.03, 0.1, 0.3, 3.0), "logits": LOGIT_RANGE},
    ),
    Subject(
        torchs.RelaxedOneHotCategorical,
        {"temperature": 0.7, "logits": -0.6},
        relaxed_categories,
        relaxed,
        {"temperature": (0.03, 0.1, 0.3, 3.0), "logits": LOGIT_RANGE},
        first,
        pair,
        fixed=frozenset({"temperature"}),
    ),
    Subject(
        torchs.StudentT,
        {"df": 4.5, "loc": 0.4, "scale": 0.8},
        of(torchs.StudentT),
        lambda k: quantiles(stats.t(k["df"], loc=k["loc"], scale=k["scale"])),
        {"df": (*SHAPES, 2.0), "scale": SCALES, "loc": PLACES},
    ),
    Subject(
        torchs.TransformedDistribution,
        {"loc": 0.4, "scale": 0.8},
        transformed,
        lambda k: mapped(stats.norm(k["loc"], k["scale"]), np.tanh),
    ),
    Subject(
        torchs.Uniform,
        {"low": -0.3, "high": 1.4},
        of(torchs.Uniform),
        lambda k: quantiles(stats.uniform(k["low"], k["high"] - k["low"])),
    ),
    Subject(
        torchs.VonMises,
        {"loc": 1.5, "concentration": 1.3},
        of(torchs.VonMises),
        von_mises,
        {"concentration": (1e-3, 0.1, 10.0, 100.0, 1e3, 1e4), "loc": (-3.0, 3.0)},
    ),
    Subject(
        torchs.Weibull,
        {"scale": 0.8, "concentration": 1.6},
        of(torchs.Weibull),
        lambda k: quantiles(stats.weibull_min(k["concentration"], scale=k["scale"])),
        {"concentration": (0.03, 0.1, 0.2, 0.3, 0.5, 10.0, 100.0), "scale": SCALES},
    ),
    Subject(
        torchs.Wishart,
        {"df": 4.5, "scale": 0.8},
        wishart,
        wishart_law,
        {"df": (2.0, 3.0, 1e3)},
        quadratic,
        None,
    ),
)


def _second_of_six(p: Array) -> list[float]:
    """The law of n₁ + 2 n₂ under a Multinomial of 6 draws, on 0 … 12."""
    found = [0.0] * 13
    for one in range(7):
        for two in range(7 - one):
            found[one + 2 * two] += float(stats.multinomial.pmf([6 - one - two, one, two], 6, p))
    return found
