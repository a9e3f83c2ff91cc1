"""Closed forms: several bits."""

import math

import torch
from torch import Tensor

import estimators
from bench.distributions import distributions
from bench.objectives import objectives
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.validation.facts.ad_hoc_problem import bits, double, posed
from bench.validation.facts.agreement import agrees, trace_near
from bench.validation.facts.fact import FactResults, above, exact, fact, near, printed
from bench.validation.facts.noise_rules import of_bit, population
from bench.validation.facts.sampler import SIGMAS, Sampler

TARGETS = double(0.6, 0.51, 0.48)


def three(b: Tensor) -> Tensor:
    """Σ (b_i − p0_i)²."""
    return (b - TARGETS).square().sum(-1)


@fact("closed_form", "several bits", "Liu, Regier, Tripuraneni, Jordan, McAuliffe 2019, section 5; by enumeration")
def shared_logit(sampler: Sampler) -> FactResults:
    """Three bits that share one logit η, f = Σ(b_i − p0_i)², p0 = (0.6, 0.51, 0.48): the gradient is −0.0450000 at
    η = 0 and −0.00317929 at η = −4; REINFORCE with one independent draw as its baseline has the variances 0.0125250
    and 7.51942e-4. The sum over all eight states has variance 9.8437e-4 (η = 0) if the baseline of each state is a
    separate draw."""
    for eta, gradient, variance in ((0.0, "-4.50000e-2", "1.25250e-2"), (-4.0, "-3.17929e-3", "7.51942e-4")):
        problem = posed(bits, {"eta": double(eta)}, three, moved=lambda theta: {"logits": theta["eta"].expand(3)})
        p = 1 / (1 + math.exp(-eta))
        lines = [of_bit(p)] * 6
        whole = population(problem, estimators.get("independent_baseline"), 2, *lines)
        yield printed(f"η = {eta:g}: gradient", gradient, float(whole.mean[0]))
        yield printed(f"η = {eta:g}: variance", variance, float(whole.variance[0]))
        yield from agrees(
            sampler, f"η = {eta:g}", problem, estimators.get("independent_baseline"), lines,
            samples=2, mean=float(whole.mean[0]), variance=float(whole.variance[0]),
        )  # fmt: skip
    yield from every_state(sampler)


def every_state(sampler: Sampler) -> FactResults:
    """Σ_x q(x) (f(x) − f(x′_x)) s(x) over all states x, each with its own draw x′_x, at η = 0."""
    state = torch.cartesian_prod(*[double(0.0, 1.0)] * 3)
    weight = (state - 0.5).sum(1) / 8
    variance = float(weight.square().sum() * ((1 - 2 * TARGETS).square() / 4).sum())
    yield printed("η = 0: all states, variance", "9.8437e-4", variance)

    def draw(number: int) -> Tensor:
        own = (torch.rand(number, 8, 3, dtype=torch.float64) < 0.5).double()
        return ((three(state) - three(own)) * weight).sum(1)

    drawn = sampler.draws(draw, 2**20)
    kurtosis = float((drawn - drawn.mean()).pow(4).mean() / drawn.var() ** 2)
    error = SIGMAS * variance * ((kurtosis - 1) / len(drawn)) ** 0.5
    yield near("η = 0: all states, variance, by draws", variance, float(drawn.var()), error)


def per_coordinate(D: int, t: float, p: float) -> dict[str, float]:
    """Returns the variances of one coordinate's estimate for f = (1/D) Σ (b_i − t)², every bit at p, two draws."""
    m, q, d = min(p, 1 - p), p * (1 - p), 1 - 2 * t
    g = q * d / D
    cube = 2 / 3 * (1 / 8 - (0.5 - m) ** 3)
    return {
        "rloo": (d / 2 / D) ** 2 * (2 * q + (D - 1) * 4 * q**2) - g**2,
        "disarm": (d / 2 / D) ** 2 * (1 - m) ** 2 * (2 * m + 4 * m**2 * (D - 1)) - g**2,
        "arm": (d / D) ** 2 * (cube + (D - 1) * m / 6) - g**2,
    }


@fact("closed_form", "several bits", "Titsias, Shi 2022, section 5.1; derivation")
def many_bits(sampler: Sampler) -> FactResults:
    """f = (1/D) Σ (b_i − 0.499)² of D = 200 bits, two draws: a coordinate's variance at p = ½ is 1.25000e-9 with
    leave-one-out, 1.24375e-9 with DisARM, 1.66042e-9 with ARM, 7.81256e-3 with REINFORCE; and by formula at any p."""
    known = {"rloo": "1.25000e-9", "disarm": "1.24375e-9", "arm": "1.66042e-9"}
    for p in (0.5, 0.2, 0.9):
        formulas, logits = per_coordinate(200, 0.499, p), math.log(p / (1 - p))
        problem = posed(bits, {"logits": torch.full((200,), logits, dtype=torch.float64)}, many)
        for name, variance in formulas.items():
            if p == 0.5:
                yield printed(f"{name}, p = ½", known[name], variance)
            sample = sampler.estimates(problem, estimators.get(name), 2, 2**15)
            yield trace_near(f"{name}, p = {p:g}: variance, by draws", variance, sample)
    half = posed(bits, {"logits": torch.zeros(200, dtype=torch.float64)}, many)
    square = (0.001 / 200) ** 2 * 200 / 4 + (0.5 * (0.501**2 + 0.499**2)) ** 2
    one = square / 4 - (0.25 * 0.002 / 200) ** 2
    yield printed("reinforce, p = ½, mean of two draws", "7.81256e-3", one / 2)
    yield printed("reinforce, p = ½, one draw", "1.562513e-2", one)
    sample = sampler.estimates(half, estimators.get("reinforce"), 2, 2**14)
    yield trace_near("reinforce, p = ½: variance, by draws", one / 2, sample)


def many(b: Tensor) -> Tensor:
    """The mean of (b_i − 0.499)²."""
    return (b - 0.499).square().mean(-1)


@fact("closed_form", "several bits", "Titsias, Shi 2022, section 3; derivation")
def double_control_variate_on_a_linear_function(sampler: Sampler) -> FactResults:
    """The double control variate (α = −1) has no variance on the multilinear extension (1−2t)b + t² of the quadratic,
    but has variance on (b − t)² itself, which has the same values at the bits: the values between the bits matter."""
    estimator = estimators.get("double_cv")
    logits = {"logits": double(-1.0, 0.3, 1.2)}
    linear = posed(bits, logits, lambda b: (0.1 * b + 0.45**2).mean(-1))
    curved = posed(bits, logits, lambda b: (b - 0.45).square().mean(-1))
    size = float(sampler.moments(linear, estimators.get("rloo"), 2, 2**14).variance.sum())
    yield near("(1−2t)b + t²: variance ÷ leave-one-out's", 0.0, total(sampler, linear) / size, 1e-20, scale=1.0)
    drawn = sampler.moments(curved, estimator, 2, 2**18)
    yield above("(b − t)²: variance ÷ leave-one-out's", 0.1, float(drawn.variance.sum()) / size, 0.05)


def total(sampler: Sampler, problem: Problem, name: str = "double_cv", samples: int = 2) -> float:
    """Returns the trace of an estimator's covariance, from few draws, for estimators without variance."""
    return float(sampler.moments(problem, estimators.get(name), samples, 2**14).variance.sum())


@fact("closed_form", "several bits", "De Smet, Sansone, Zuidberg Dos Martires 2023; derivation")
def indecater_on_a_sum(sampler: Sampler) -> FactResults:
    """IndeCateR with one sample has no variance on a sum of one-variable terms, and has variance on other functions."""
    sum_, product = (
        Problem(distributions.get("bernoulli", size=4), objectives.get(name)) for name in ("quadratic_bits", "parity")
    )
    size = total(sampler, sum_, "reinforce", 1)
    yield near("a sum: variance ÷ REINFORCE's", 0.0, total(sampler, sum_, "indecater", 1) / size, 1e-20, scale=1.0)
    yield above("parity: variance ÷ REINFORCE's", 1e-3, total(sampler, product, "indecater", 1) / size)


@fact("closed_form", "several bits", "Mnih, Rezende 2016; by enumeration of all sets of K draws")
def vimco_needs_its_direct_term(sampler: Sampler) -> FactResults:
    """VIMCO is unbiased to rounding, by enumeration of every set of draws; without the direct term ∇L it is not."""
    for K, size in ((2, 2), (3, 2)):
        family = distributions.get("bernoulli", size=size)
        problem = Problem(family, objectives.get("importance_bound", draws=K))
        found = reference(problem)
        assert found is not None
        truth = found.gradient["logits"]
        p = family.theta("default", "unconstrained")["logits"].sigmoid().tolist()
        lines = [of_bit(x) for x in p] * K
        right = torch.tensor(population(problem, estimators.get("vimco"), 1, *lines).mean)
        short = torch.tensor(population(problem, estimators.get("ovis_asymptotic", gamma=1.0), 1, *lines).mean)
        scale = float(truth.norm())
        yield exact(f"K = {K}: ‖E ĝ − g‖", 0.0, float((right - truth).norm()), 1e-12, scale=scale)
        yield above(f"K = {K}: ‖E ĝ − g‖ ÷ ‖g‖ without ∇L", 0.05, float((short - truth).norm()) / scale)
