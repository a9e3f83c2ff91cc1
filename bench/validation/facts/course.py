"""What a course on gradient estimation teaches: means, densities, and what each of the two tricks asks for."""

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor
from torch.distributions import Normal

import estimators
from bench.distributions import distributions
from bench.distributions.bernoulli_chain import BernoulliChainFamily
from bench.numerics.quadrature import legendre
from bench.problems.problem import Problem
from bench.statistics.moments import Moments
from bench.validation.facts.ad_hoc_problem import bits, double, normal, posed
from bench.validation.facts.agreement import agrees, mean_near
from bench.validation.facts.fact import Check, Curve, FactResults, Picture, above, exact, fact, near
from bench.validation.facts.families import build_uniform
from bench.validation.facts.full_normal import full_normal
from bench.validation.facts.noise_rules import of_bit, of_normal, of_uniform
from bench.validation.facts.one_bit import Bit
from bench.validation.facts.sampler import SIGMAS, Sampler, slope
from estimators.tools.parameters import support
from estimators.traits import Need


@fact("course", "means", "any text on statistics; E e^{−mean} = (1 + 1/N)^{−N} for exponential draws")
def the_mean_of_a_function(sampler: Sampler) -> FactResults:
    """A sample mean is right on average. A straight line of it is too; a bent function of it is not, because it bends
    the noise: the bias of f(mean of N) is f″σ²/(2N), and halves when N doubles."""
    sizes, biases, lows, highs = [1, 2, 4, 8, 16, 32, 64], [], [], []
    for N in sizes:
        mean = sampler.draws(lambda rows, N=N: torch.empty(rows, N, dtype=torch.float64).exponential_().mean(1), 2**19)
        error = SIGMAS * float(mean.std()) / len(mean) ** 0.5
        if N in {1, 16}:
            yield near(f"mean of {N}", 1.0, float(mean.mean()), error)
            yield near(f"3·mean − 1, N = {N}", 2.0, float((3 * mean - 1).mean()), 3 * error)
        bent = (-mean).exp()
        bias, half = float(bent.mean()) - math.exp(-1), SIGMAS * float(bent.std()) / len(bent) ** 0.5
        yield near(f"bias of e^(−mean), N = {N}", (1 + 1 / N) ** -N - math.exp(-1), bias, half, within=0.5)
        biases, lows, highs = [*biases, bias], [*lows, bias - half], [*highs, bias + half]
    xs = [float(N) for N in sizes]
    known = [(1 + 1 / N) ** -N - math.exp(-1) for N in (256, 1024)]
    yield near("slope of the bias in N", -1.0, slope([256, 1024], known), 0.01)
    yield near("bias × 2N ÷ (f″σ²) at N = 1024", 1.0, known[1] * 2048 * math.e, 0.01)
    theory = Curve("f″σ²/2N", xs, [math.exp(-1) / 2 / N for N in sizes], style="dashed")
    points = Curve("measured", xs, biases, lows, highs, "points")
    yield Picture("Bias of e^(−mean), exponential draws", "N", "bias", [points, theory], "xy")


def invertible_map(noise: Tensor) -> Tensor:
    """A smooth map that can be inverted."""
    return noise + 0.4 * (2 * noise).tanh()


@fact("course", "densities", "the change-of-variables formula; Papamakarios et al. 2021, section 2")
def which_models_have_a_density(sampler: Sampler) -> FactResults:
    """A smooth invertible map of Normal noise has a density by the change-of-variables formula; a smooth map that folds
    does not (one branch of ε² accounts for half of the mass). A product of conditionals has one: it sums to 1. A latent
    variable's marginal in general has only estimates: a bound from K draws lies below log p(x), by less as K grows."""
    yield from invertible(sampler)
    noise, weight = legendre(0.0, 9.0, 40)
    half = float((weight * (-noise.square() / 2).exp()).sum()) / math.sqrt(2 * math.pi)
    yield exact("mass of the formula for z = ε², one branch", 0.5, half)
    folded = distributions.get("quadratic_map", size=2)
    parameters = folded.encode(folded.theta("default", "unconstrained"), "unconstrained")
    offered = estimators.offers(folded.build(parameters), estimators.Function(lambda z: z.sum(-1)))
    yield exact("gradest offers a density of the folding map", 0.0, float(Need.DENSITY in offered), scale=1.0)
    flow = distributions.get("affine_flow", size=2)
    at = flow.encode(flow.theta("default", "unconstrained"), "unconstrained")
    z, weight = flow.joint(at, (), 1)
    yield exact(
        "mass of an invertible flow of two coordinates", 1.0, float(weight @ flow.build(at).log_prob(z).exp()), 1e-8
    )
    chain = BernoulliChainFamily(size=8)
    q = chain.build(chain.encode(chain.theta("default", "unconstrained"), "unconstrained"))
    yield exact("sum of a product of conditionals over 2⁸ values", 1.0, float(q.log_prob(support(q)).exp().sum()))
    yield from marginal(sampler)


def invertible(sampler: Sampler) -> FactResults:
    """The density of `invertible_map` against its mass and a histogram."""
    noise = torch.linspace(-6, 6, 24_001, dtype=torch.float64)
    z, rise = invertible_map(noise), 1 + 0.8 / (2 * noise).cosh() ** 2
    density = (-noise.square() / 2).exp() / math.sqrt(2 * math.pi) / rise
    yield exact("mass of an invertible map's density", 1.0, float(torch.trapezoid(density, z)), 1e-6)
    drawn = sampler.draws(lambda rows: invertible_map(torch.randn(rows, dtype=torch.float64)), 2**20).numpy()
    edges = np.linspace(-3, 3, 31)
    found = np.histogram(drawn, edges)[0] / len(drawn)
    grid = np.linspace(-3, 3, 3001)
    fine = np.interp(grid, z.numpy(), density.numpy())
    cumulated = np.concatenate([[0], np.cumsum((fine[1:] + fine[:-1]) / 2 * (grid[1] - grid[0]))])
    expected = np.diff(np.interp(edges, grid, cumulated))
    worst = float((np.abs(found - expected) / np.sqrt(expected / len(drawn))).max())
    yield Check("histogram: the worst of 30 bins, in standard errors", 4.5, worst, worst, worst, "<")
    middle, width = ((edges[1:] + edges[:-1]) / 2), edges[1] - edges[0]
    bars = Curve("histogram", middle.tolist(), (found / width).tolist(), style="steps")
    line = Curve("change of variables", grid[::50].tolist(), fine[::50].tolist(), style="dashed")
    yield Picture("z = ε + .4 tanh 2ε", "z", "density", [bars, line])


def marginal(sampler: Sampler) -> FactResults:
    """log p(x) of z ~ N(0, 1), x ~ N(z, 1), x = 1, by bounds of K draws from q = N(.8, ⅔)."""
    x, loc, scale = 1.0, 0.8, (2 / 3) ** 0.5
    truth = norm.logpdf(x, 0, 2**0.5)
    gap = math.log(0.5**0.5 / scale) + (scale**2 + (loc - x / 2) ** 2) / (2 * 0.5) - 0.5
    q, prior = Normal(double(loc), double(scale)), Normal(double(0.0), double(1.0))
    Ks, gaps, lows, highs = [1, 4, 16, 64], [], [], []
    for K in Ks:

        def draw(rows: int, K: int = K) -> Tensor:
            z = q.sample((rows, K))
            log_w = prior.log_prob(z) + Normal(z, double(1.0)).log_prob(double(x)) - q.log_prob(z)
            return log_w.squeeze(-1).logsumexp(1) - math.log(K)

        bound = sampler.draws(draw, 2**17)
        error = SIGMAS * float(bound.std()) / len(bound) ** 0.5
        below = float(truth) - float(bound.mean())
        gaps, lows, highs = [*gaps, below], [*lows, below - error], [*highs, below + error]
    yield near("gap of one draw: KL(q‖posterior)", gap, gaps[0], highs[0] - gaps[0], within=0.2)
    yield above("gap of one draw", 0.0, gaps[0], highs[0] - gaps[0])
    yield near("gap of 64 draws ÷ gap of one", 0.0, gaps[3] / gap, 0.05, scale=1.0)
    curves = [Curve("log p(x) − bound", [float(K) for K in Ks], gaps, lows, highs, "points")]
    yield Picture("A latent variable's marginal", "draws K", "gap", curves, "x")


Made = Callable[[float], Problem]


def on_a_step(loc: float) -> Problem:
    """The gradient of P(x > 0) in the mean and the scale of x ~ N(loc, 1)."""
    at = {"loc": double(loc), "scale": double(1.0)}
    return posed(normal, at, estimators.Function(lambda x: (x > 0).to(x.dtype).sum(-1)))


def on_a_moving_support(theta: float) -> Problem:
    """The gradient of E x² in the end of the interval [0, θ] that x is drawn from."""
    return posed(build_uniform, {"high": double(theta)}, lambda x: x.square().sum(-1))


def means(sampler: Sampler, name: str, made: Made, places: list[float]) -> Curve:
    """The mean estimate of the first coordinate at each place, with its interval."""
    y, low, high = [], [], []
    for place in places:
        drawn = sampler.moments(made(place), estimators.get(name), full=2**16)
        mean, error = float(drawn.mean[0]), SIGMAS * float(drawn.variance[0] / drawn.count) ** 0.5
        y, low, high = [*y, mean], [*low, mean - error], [*high, mean + error]
    return Curve(f"{name}: mean", places, y, low, high, "points")


def two_sweeps(sampler: Sampler, name: str) -> FactResults:
    """Pictures of an estimator's mean against the exact gradient: of a step, and where the support moves."""
    places = [-2.0, -1.0, 0.0, 1.0, 2.0]
    line = np.linspace(-2.5, 2.5, 51)
    truth = Curve("exact", line.tolist(), norm.pdf(line).tolist(), style="dashed")
    curves = [means(sampler, name, on_a_step, places), truth]
    yield Picture("f a step, x ~ N(μ, 1)", "μ", "gradient in μ", curves)
    ends = [0.5, 1.0, 1.5, 2.0]
    truth = Curve("exact, 2θ/3", [0.0, 2.2], [0.0, 4.4 / 3], style="dashed")
    curves = [means(sampler, name, on_a_moving_support, ends), truth]
    yield Picture("f = x², x uniform on [0, θ]", "θ", "gradient in θ", curves)


def jagged(z: Tensor) -> Tensor:
    """A black box: computed outside autograd, and it jumps."""
    return ((3 * z.detach()).floor() % 2).sum(-1)


@fact("course", "log-derivative trick", "Williams 1992; Glynn 1990; L'Ecuyer 1990; derivation")
def what_the_log_derivative_trick_needs(sampler: Sampler) -> FactResults:
    """The log-derivative trick needs q differentiable in its parameters, and nothing of f or of q in z: it is right on
    a step, on a black box, on a discrete q. It fails where the support moves with θ: on [0, θ] it misses f(θ)/θ."""
    score = estimators.get("reinforce")
    at = {"loc": double(0.5), "scale": double(1.0)}
    line = of_normal(-0.5, panels=60)
    problem = on_a_step(0.5)
    yield from agrees(sampler, "a step", problem, score, [line], mean=float(norm.pdf(0.5)))
    yield mean_near("a step, by draws", float(norm.pdf(0.5)), sampler.moments(problem, score), 0)
    edges = np.arange(-30, 31) / 3  # the truth: jumps of ±1 times the density at each
    truth = float(
        sum((1 if k % 2 else -1) * norm.pdf(edge, 0.5, 1) for k, edge in zip(range(-30, 31), edges, strict=True))
    )
    problem = posed(normal, at, estimators.Function(jagged, differentiable=False))
    yield mean_near("a black box, by draws", truth, sampler.moments(problem, score, 1, 2**21), 0, scale=0.2)
    bit = Bit(-1.0)
    yield from agrees(sampler, "a bit", bit.problem, score, [of_bit(bit.p)], mean=bit.gradient)
    theta = 1.5
    moving = on_a_moving_support(theta)
    right, wrong = 2 * theta / 3, -theta / 3
    yield from agrees(sampler, "x² on [0, θ], which moves", moving, score, [of_uniform()], mean=wrong)
    yield exact("x² on [0, θ]: the bias −f(θ)/θ", -(theta**2) / theta, wrong - right)
    yield from two_sweeps(sampler, "reinforce")


@fact("course", "reparameterisation", "Kingma, Welling 2014; Glasserman 2004, section 7.2; derivation")
def what_reparameterisation_needs(sampler: Sampler) -> FactResults:
    """Reparameterisation needs z = g(ε, θ) differentiable in θ and f differentiable in z: on a step its mean is 0 and
    the bias all of the gradient; Bernoulli draws it does not take. The density itself need not be smooth: on [0, θ] it
    is right where the log-derivative trick is not."""
    path = estimators.get("reparameterisation")
    at = {"loc": double(0.5), "scale": double(1.0)}
    flat = sampler.moments(posed(normal, at, lambda x: x.sign().sum(-1) / 2), path)
    truth = float(norm.pdf(0.5))
    yield exact("a step: bias ÷ gradient", -1.0, float(flat.mean[0]) / truth - 1)
    q, f = bits({"logits": double(0.3)}), estimators.Function(lambda b: b.sum(-1))
    refused = estimators.unmet(path, q, f, 1) or ""
    yield exact("Bernoulli is refused", 1.0, float("draws z = g(ε, θ)" in refused))
    moving = on_a_moving_support(1.5)
    yield from agrees(sampler, "x² on [0, θ]", moving, path, [of_uniform()], mean=1.0)
    yield mean_near("x² on [0, θ], by draws", 1.0, sampler.moments(moving, path), 0)
    yield from two_sweeps(sampler, "reparameterisation")


@fact(
    "course",
    "reparameterisation",
    "Kingma, Welling 2014; Rezende, Mohamed, Wierstra 2014; Titsias, Lázaro-Gredilla 2014",
)
def families_to_reparameterise(sampler: Sampler) -> FactResults:
    """z = μ + Bε with BBᵀ = Σ gives a Normal of any covariance, with gradients in μ and in every entry of B; a diagonal
    Normal is a case of it. A Bernoulli is not: its draw jumps, and its slope in p is 0 almost everywhere."""
    path = estimators.get("reparameterisation")
    A = torch.tensor([[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.5]], dtype=torch.float64)
    B = torch.tensor([[0.9, 0.3, -0.2], [0.4, 0.8, 0.1], [-0.3, 0.5, 1.1]], dtype=torch.float64)
    mu = double(0.4, -0.7, 1.1)

    def f(z: Tensor) -> Tensor:
        return ((z @ A) * z).sum(-1) / 2

    full = sampler.moments(posed(full_normal, {"loc": mu, "matrix": B}, f), path)
    truths = torch.cat([A @ mu, (A @ B).flatten()]).tolist()
    for at, truth in enumerate(truths):
        name = f"μ{at + 1}" if at < 3 else f"B{(at - 3) // 3 + 1}{(at - 3) % 3 + 1}"
        yield mean_near(f"full covariance, {name}", truth, full, at, scale=1.0)
    scale = double(0.5, 1.0, 1.5)
    diagonal = sampler.moments(posed(normal, {"loc": mu, "scale": scale}, f), path)
    slopes = torch.cat([A @ mu, A.diagonal() * scale]).tolist()
    for at, truth in enumerate(slopes):
        yield mean_near(f"diagonal, {'μs'[at // 3]}{at % 3 + 1}", truth, diagonal, at, scale=1.0)
    u = torch.rand(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slope_of_draw = torch.func.grad(lambda p: (u < p).to(p.dtype).sum())(double(0.3).squeeze())
    yield exact("Bernoulli: the slope of a draw in p (truth 1)", 0.0, float(slope_of_draw), scale=1.0)
    ends = [min(truths + slopes), max(truths + slopes)]
    curves = [
        against("full covariance: 12 entries", truths, full),
        against("diagonal: 6 entries", slopes, diagonal),
        Curve("exact", ends, ends, style="dashed"),
    ]
    yield Picture("Pathwise gradients of a quadratic", "exact gradient", "mean of estimates", curves)


def against(label: str, exact_: list[float], drawn: Moments) -> Curve:
    """Mean estimates against exact gradients, with intervals."""
    error = SIGMAS * (drawn.variance / drawn.count) ** 0.5
    low, high = (drawn.mean - error).tolist(), (drawn.mean + error).tolist()
    return Curve(label, exact_, drawn.mean.tolist(), low, high, "points")
