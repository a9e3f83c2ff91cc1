"""Published numbers: an option's sensitivities (Broadie, Glasserman 1996), and a step under a Normal."""

import math

import torch
from scipy.stats import norm

import estimators
from bench.distributions import distributions
from bench.objectives import objectives
from bench.objectives.base import Target
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.validation.facts.ad_hoc_problem import double, normal, posed
from bench.validation.facts.agreement import agrees, variance_near
from bench.validation.facts.fact import FactResults, exact, fact, near, printed
from bench.validation.facts.noise_rules import of_normal, population
from bench.validation.facts.sampler import Sampler

SPOT, INTEREST, VOLATILITY, STRIKE = 100.0, 0.05, 0.2, 100.0
KINK = (math.log(STRIKE / SPOT) - INTEREST + VOLATILITY**2 / 2) / VOLATILITY
"""The ε at which the price equals the strike."""

FAMILY = distributions.get("black_scholes", size=1)
CALL, DIGITAL = (Problem(FAMILY, objectives.get(name), "natural") for name in ("european_call", "digital_call"))


def exact_gradient(problem: Problem) -> tuple[float, float]:
    """Returns the exact delta and vega."""
    found = reference(problem)
    assert found is not None
    return float(found.gradient["spot"]), float(found.gradient["volatility"])


def delta_at(spot: float, target: Target) -> float:
    """Returns the mean pathwise delta at this spot price, by quadrature."""
    theta = {"spot": double(spot), "volatility": double(VOLATILITY)}
    at = posed(FAMILY.build, theta, target.build(FAMILY, "default", double(0.0)), lambda t: FAMILY.encode(t, "natural"))
    estimator = estimators.get("reparameterisation")
    kink = (math.log(STRIKE / spot) - INTEREST + VOLATILITY**2 / 2) / VOLATILITY
    return float(population(at, estimator, 1, of_normal(kink)).mean[0])


@fact("published", "options", "Black, Scholes 1973; Broadie, Glasserman 1996; Glasserman 2004, chapter 7")
def black_scholes_greeks(sampler: Sampler) -> FactResults:
    """A call at S₀ = K = 100, r = 0.05, σ = 0.2, T = 1 costs 10.450584, with delta 0.636831, vega 37.524035 and gamma
    0.0187620. The pathwise variance of delta is 0.332215 and of vega 5729.331, the likelihood ratio's 2.148666 and
    75770.46."""
    above, below = (float(norm.cdf(-KINK + side * VOLATILITY)) for side in (1.0, 0.0))
    yield printed("price", "10.450584", SPOT * above - STRIKE * math.exp(-INTEREST) * below)
    delta, vega = exact_gradient(CALL)
    yield printed("delta", "0.636831", delta)
    yield printed("vega", "37.524035", vega)
    rise = (delta_at(SPOT + 0.01, CALL.objective) - delta_at(SPOT - 0.01, CALL.objective)) / 0.02
    yield printed("gamma", "0.0187620", rise)
    known = {"reparameterisation": ("0.332215", "5729.331"), "reinforce": ("2.148666", "75770.46")}
    for name, numbers in known.items():
        whole = population(CALL, estimators.get(name), 1, of_normal(KINK))
        drawn = sampler.moments(CALL, estimators.get(name), 1, 2**23)
        for at, (greek, number) in enumerate(zip(("delta", "vega"), numbers, strict=True)):
            yield exact(f"{name}: {greek}", (delta, vega)[at], float(whole.mean[at]), 1e-8)
            yield printed(f"{name}: variance of {greek}", number, float(whole.variance[at]))
            what, kurtosis = f"{name}: variance of {greek}, by draws", float(whole.kurtosis[at])
            yield variance_near(what, float(number), drawn, at, kurtosis=kurtosis, within=0.2)


@fact("published", "options", "Broadie, Glasserman 1996; Glasserman 2004, section 7.2.2; derivation")
def pathwise_fails_on_a_jump(sampler: Sampler) -> FactResults:
    """The pathwise delta of a digital option is 0, a bias of −0.0187620; so is d/dμ of P(x > 0) under N(0.5, 1),
    −0.352065, where the score estimator is right with variance 0.391480."""
    delta, _ = exact_gradient(DIGITAL)
    yield printed("digital delta", "0.0187620", delta)
    path = population(DIGITAL, estimators.get("reparameterisation"), 1, of_normal(KINK))
    yield exact("its pathwise mean", 0.0, float(path.mean[0]), scale=delta)
    drawn = sampler.moments(DIGITAL, estimators.get("reparameterisation"))
    yield near(
        "its pathwise mean and variance, by draws", 0.0, float(abs(drawn.mean[0]) + drawn.variance[0]), 0.0, scale=1.0
    )
    step = estimators.Function(lambda x: (x > 0).to(x.dtype).sum(-1), differentiable=False)
    problem = posed(normal, {"loc": double(0.5), "scale": double(1.0)}, step)
    truth = float(norm.pdf(0.5))
    yield printed("d/dμ P(x > 0)", "0.352065", truth)
    line = of_normal(-0.5, panels=60)
    score = estimators.get("reinforce")
    variance = float(population(problem, score, 1, line).variance[0])
    yield printed("score: variance, by a rule", "0.391480", variance)
    yield from agrees(sampler, "score", problem, score, [line], mean=truth, variance=variance)
    flat = sampler.moments(
        posed(normal, {"loc": double(0.5), "scale": double(1.0)}, lambda x: torch.sign(x).sum(-1)),
        estimators.get("reparameterisation"),
    )
    yield near("pathwise of a step, by draws", 0.0, float(abs(flat.mean[0]) + flat.variance[0]), 0.0, scale=1.0)
