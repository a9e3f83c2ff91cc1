"""Closed forms: other families and other estimators of them."""

import numpy as np
import scipy.stats
import torch
from torch.distributions import Exponential, Independent, Poisson, Uniform

import estimators
from bench.distributions import distributions
from bench.numerics.quadrature import legendre
from bench.numerics.tensors import Tensors
from bench.validation.facts.ad_hoc_problem import double, posed
from bench.validation.facts.agreement import agrees, variance_near
from bench.validation.facts.fact import FactResults, below, exact, fact, near, printed
from bench.validation.facts.noise_rules import moments_of, of_bit, of_point, of_polynomial, of_uniform, population
from bench.validation.facts.sampler import Sampler


def build_uniform(parameters: Tensors) -> Independent:
    """Returns independent uniforms on [0, high]."""
    high = parameters["high"]
    return Independent(Uniform(torch.zeros_like(high), high, validate_args=False), 1, validate_args=False)


@fact("closed_form", "families", "L'Ecuyer 1990; Glasserman 2004, section 7.3; derivation")
def support_that_moves(sampler: Sampler) -> FactResults:
    """Uniform on [0, θ] and f = x: the score estimator's mean is −½ where the gradient is +½, as the support moves with
    θ; the pathwise gradient is right, with variance 1/12."""
    for theta in (1.0, 2.5):
        problem = posed(build_uniform, {"high": double(theta)}, lambda x: x.sum(-1))
        line = [of_uniform()]
        score = estimators.get("reinforce")
        yield from agrees(sampler, f"score, θ = {theta:g}", problem, score, line, mean=-0.5, variance=1 / 12)
        path = estimators.get("reparameterisation")
        yield from agrees(sampler, f"pathwise, θ = {theta:g}", problem, path, line, mean=0.5, variance=1 / 12)


def poisson(parameters: Tensors) -> Independent:
    """Returns independent Poisson variables with the parameter `rate`."""
    return Independent(Poisson(parameters["rate"], validate_args=False), 1, validate_args=False)


def build_exponential(parameters: Tensors) -> Independent:
    """Returns independent exponential variables with the parameter `rate`."""
    return Independent(Exponential(parameters["rate"], validate_args=False), 1, validate_args=False)


@fact("closed_form", "families", "Pflug 1989; Mohamed et al. 2020, sections 4 to 6; sums and integrals")
def counts_and_waiting_times(sampler: Sampler) -> FactResults:
    """f = x: under Poisson(λ) the score estimator has the variance λ + 4 + 1/λ and the weak derivative none; under
    an exponential of rate r the score has 13/r⁴ and the pathwise gradient 1/r⁴."""
    for rate in (0.7, 3.0):
        problem = posed(poisson, {"rate": double(rate)}, lambda x: x.sum(-1))
        x = np.arange(200.0)
        whole = moments_of(torch.tensor(x * (x / rate - 1)), torch.tensor(scipy.stats.poisson.pmf(x, rate)))
        variance = rate + 4 + 1 / rate
        yield exact(f"Poisson, λ = {rate:g}: score variance, by the sum", variance, whole.variance[0])
        drawn = sampler.moments(problem, estimators.get("reinforce"), 1, 2**22)
        what = f"Poisson, λ = {rate:g}: score variance, by draws"
        yield variance_near(what, variance, drawn, 0, kurtosis=whole.kurtosis[0])
        drawn = sampler.moments(problem, estimators.get("weak_derivative"), 1, 2**14)
        yield near(f"Poisson, λ = {rate:g}: weak derivative's variance", 0.0, drawn.variance[0], 1e-20, scale=1.0)
        yield near(f"Poisson, λ = {rate:g}: weak derivative's mean", 1.0, drawn.mean[0], 1e-12)
    for rate in (0.5, 2.0):
        problem = posed(build_exponential, {"rate": double(rate)}, lambda x: x.sum(-1))
        e, weight = legendre(0.0, 60.0, 60)
        law = {"reinforce": ((1 - e) * e, 13.0), "reparameterisation": (-e, 1.0)}
        for name, (values, constant) in law.items():
            whole = moments_of(values / rate**2, weight * (-e).exp())
            what = f"exponential, r = {rate:g}: {name}'s variance"
            yield exact(f"{what}, by the integral", constant / rate**4, whole.variance[0])
            drawn = sampler.moments(problem, estimators.get(name), 1, 2**23)
            variance = constant / rate**4
            yield variance_near(f"{what}, by draws", variance, drawn, 0, kurtosis=whole.kurtosis[0], within=0.2)


@fact("closed_form", "families", "Salimans et al. 2017; Spall 1992; Nesterov, Spokoiny 2017; moments of ε and of signs")
def evolution_strategies_on_a_quadratic(sampler: Sampler) -> FactResults:
    """On a quadratic an antithetic pair of an evolution strategy has the total variance (d + 1)‖g‖², and SPSA with
    random signs (d − 1)‖g‖²."""
    for d in (2, 10):
        loc = torch.linspace(-0.6, 1.2, d, dtype=torch.float64)
        square = float((2 * (loc - 0.3)).square().sum())
        for name, family, samples, estimator, factor in (
            ("antithetic pair", {"sigma": 0.5}, 2, estimators.get("antithetic_evolution_strategy"), d + 1),
            ("SPSA", {"sigma": 1e-9}, 1, estimators.get("spsa"), d - 1),
        ):
            made = distributions.get("normal_location", size=d, **family)
            problem = posed(made.build, {"loc": loc}, lambda z: (z - 0.3).square().sum(-1))
            if d == 2:
                lines = [of_polynomial()] * 2 if samples == 2 else [*[of_point()] * 2, *[of_bit(0.5)] * 2]
                whole = population(problem, estimator, samples, *lines)
                yield exact(f"{name}, d = 2: by a rule", factor * square, float(whole.variance.sum()), 1e-7)
            sample = sampler.estimates(problem, estimator, samples, 2**19)
            distance = (sample - sample.mean(0)).square().sum(1)
            error = 4 * float(distance.std()) / len(distance) ** 0.5
            yield near(f"{name}, d = {d}: by draws", factor * square, float(distance.mean()), error)


@fact("closed_form", "families", "torch's own kernels, integrated by quantiles; found for this suite")
def torchs_pathwise_kernels_are_approximate(sampler: Sampler) -> FactResults:
    """torch's pathwise gradients of Gamma and Beta are approximations, in float64 too: E dx/dα is off by −9.7e-5 for
    Gamma(7.9) and by 2.7e-4 for Beta(7, 3), relative. gradest's families say so, with a tolerance of 5e-4."""
    u, weight = legendre(0.0, 1.0, 400)
    for alpha, number in ((7.9, "-9.7e-5"), (2.0, None), (0.7, None)):
        x = torch.tensor(scipy.stats.gamma.ppf(u, alpha))
        one = torch.full_like(x, alpha)
        bias = float(weight @ torch._standard_gamma_grad(one, x)) - 1  # pyright: ignore[reportPrivateImportUsage]
        if number:
            yield printed(f"Gamma({alpha:g})", number, bias)
        yield below(f"Gamma({alpha:g}): |bias|", distributions.lookup("gamma").pathwise_tolerance, abs(bias))
    x = torch.tensor(scipy.stats.beta.ppf(u, 7, 3))
    total = torch.full_like(x, 10.0)
    slope = torch._dirichlet_grad(x, torch.full_like(x, 7.0), total)  # pyright: ignore[reportPrivateImportUsage]
    truth = 3 / 100  # d/dα of α/(α + β)
    bias = float(weight @ (slope * (1 - x))) / truth - 1
    yield printed("Beta(7, 3)", "2.7e-4", bias)
    yield below("Beta(7, 3): |bias|", distributions.lookup("beta").pathwise_tolerance, abs(bias))
