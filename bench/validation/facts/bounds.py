"""Closed forms and published slopes: the evidence bound and the importance-weighted bound."""

import math

import torch
from torch import Tensor

import estimators
from bench.numerics.tensors import Tensors
from bench.validation.facts.ad_hoc_problem import double, normal, posed
from bench.validation.facts.agreement import agrees
from bench.validation.facts.fact import Curve, FactResults, Picture, above, below, fact, near
from bench.validation.facts.noise_rules import of_polynomial, population
from bench.validation.facts.sampler import SIGMAS, Sampler, slope


def to_standard(m: float, s: float) -> tuple[Tensors, estimators.Evidence]:
    """q = N(m, s²) against p = N(0, 1), which is the posterior."""
    return {"loc": double(m), "scale": double(s)}, estimators.Evidence(lambda z: -z.square().sum(-1) / 2)


@fact("closed_form", "bounds", "Roeder, Wu, Duvenaud 2017; moments of ε")
def sticking_the_landing_against_the_total_derivative(sampler: Sampler) -> FactResults:
    """With q = N(m, s²) and the posterior N(0, 1), sticking the landing has the variance (1/s − s)² in m and
    m² + 2(1/s − s)² in s, the total derivative s² and m² + 2s²: it has none at the posterior, and more iff s < 1/√2."""
    for m, s in ((0.0, 1.0), (0.8, 1.0), (0.5, 1.4), (-1.0, 0.6)):
        problem = posed(normal, *to_standard(m, s))
        apart = (1 / s - s) ** 2
        for name, variances in (
            ("sticking_the_landing", (apart, m**2 + 2 * apart)),
            ("reparameterisation", (s**2, m**2 + 2 * s**2)),
        ):
            for at, variance in enumerate(variances):
                yield from agrees(
                    sampler, f"{name}, {'ms'[at]}, m = {m:g}, s = {s:g}", problem, estimators.get(name),
                    [of_polynomial()], mean=(-m, 1 / s - s)[at], variance=variance, at=at,
                )  # fmt: skip
    scales = [0.5, 0.6, 0.69, 0.73, 0.8, 1.0, 1.3, 1.6]
    found: dict[str, list[float]] = {"sticking_the_landing": [], "reparameterisation": []}
    for s in scales:
        for name, line in found.items():
            problem = posed(normal, *to_standard(0.0, s))
            line.append(float(population(problem, estimators.get(name), 1, of_polynomial()).variance[0]))
    ratio = [one / other for one, other in zip(*found.values(), strict=True)]
    yield above("sticking ÷ total at s = .69", 1.0, ratio[2])
    yield below("sticking ÷ total at s = .73", 1.0, ratio[3])
    yield Picture(
        "q = N(0, s²), posterior N(0, 1)", "s", "variance in m", [Curve(k, scales, v) for k, v in found.items()]
    )


X, OFF = 1.0, 0.3
"""The datum, and how far q's mean is from the posterior's."""


def model(values: Tensors, K: int) -> tuple[torch.distributions.Distribution, estimators.ImportanceBound]:
    """p(z) = N(μ, 1), p(x|z) = N(z, 1), q = N(x/2 + b, ⅔), with b and μ `[*batch, 1]`."""
    scale = torch.full_like(values["b"], (2 / 3) ** 0.5)
    q = normal({"loc": X / 2 + values["b"], "scale": scale})
    bound = estimators.ImportanceBound(lambda z: -((z - values["mu"]).square() + (X - z).square()).sum(-1) / 2, K)
    return q, bound


def bound_gradients(sampler: Sampler, name: str, K: int, full: int, M: int = 1) -> Tensors:
    """Independent gradients in b and in μ, from M sets of K draws each."""
    wanted = sampler.replicates(full)
    rows = max(1, min(wanted, 2**19 // (K * M)))
    values = {"b": torch.full((rows, 1), OFF, dtype=torch.float64), "mu": torch.zeros(rows, 1, dtype=torch.float64)}
    estimator = estimators.get(name)

    def surrogate(values: Tensors) -> Tensor:
        q, bound = model(values, K)
        return estimator.surrogate(q, bound, M).sum()

    sampler.start()
    parts = [torch.func.grad(surrogate)(values) for _ in range(-(-wanted // rows))]
    return {key: torch.cat([part[key] for part in parts]).squeeze(1) for key in values}


@fact("published", "bounds", "Rainforth et al. 2018, theorem 1 and figure 2; Tucker et al. 2019, figure 1")
def tighter_bounds_are_not_better(sampler: Sampler) -> FactResults:
    """With K draws inside the importance-weighted bound the signal-to-noise of the encoder's gradient falls as K^−½ and
    that of the model's grows as K^½; doubly reparameterised, the encoder's grows as K^½ too. M sets of draws raise all
    as M^½."""
    Ks = [4, 16, 64] if sampler.quick else [8, 32, 128, 512]
    ratios: dict[str, list[float]] = {"encoder": [], "model": [], "encoder, doubly reparameterised": []}
    for K in Ks:
        plain = bound_gradients(sampler, "importance_pathwise", K, 2**17)
        double_ = bound_gradients(sampler, "doubly_reparameterised", K, 2**17)
        signal = abs(float(double_["b"].mean()))
        ratios["encoder"].append(signal / float(plain["b"].std()))
        ratios["model"].append(abs(float(plain["mu"].mean())) / float(plain["mu"].std()))
        ratios["encoder, doubly reparameterised"].append(signal / float(double_["b"].std()))
    for (name, ratio), expected in zip(ratios.items(), (-0.5, 0.5, 0.5), strict=True):
        yield near(f"{name}: slope in K", expected, slope(Ks, ratio), 0.1 if sampler.quick else 0.05, within=0.25)
    few, many = (bound_gradients(sampler, "importance_pathwise", 8, 2**17, M)["b"].std() for M in (1, 16))
    yield near("encoder, M from 1 to 16: noise falls by", 4.0, float(few / many), 0.2)
    xs = [float(K) for K in Ks]
    yield Picture("Signal-to-noise", "K", "‖E ĝ‖ ÷ sd", [Curve(k, xs, v) for k, v in ratios.items()], "xy")


@fact("closed_form", "bounds", "Tucker et al. 2019; Geffner, Domke 2021; derivation")
def the_score_inside_the_bound_is_needed(sampler: Sampler) -> FactResults:
    """Sticking the landing inside an importance-weighted bound, which drops the score of log q in its weights, is
    biased: Σ v_k in the place of Σ v_k², about K times the gradient."""
    Ks, found = [2, 4, 8, 16, 32], []
    for K in Ks:
        truth = bound_gradients(sampler, "doubly_reparameterised", K, 2**20)["b"]
        wanted = len(truth)
        b = torch.full((wanted, 1), OFF, dtype=torch.float64)
        sampler.start()

        def dropped(b: Tensor, K: int = K) -> Tensor:
            values = {"b": b, "mu": torch.zeros_like(b)}
            q, bound = model(values, K)
            held, _ = model({"b": b.detach(), "mu": values["mu"]}, K)
            z = q.rsample((1, K))
            log_w = bound.log_joint(z) - held.log_prob(z)
            return (log_w.logsumexp(1) - math.log(K)).sum()

        short = torch.func.grad(dropped)(b).squeeze(1)
        ratio = float(short.mean() / truth.mean())
        error = float((short.var() / short.mean() ** 2 + truth.var() / truth.mean() ** 2) / wanted) ** 0.5
        found.append(ratio)
        yield above(f"K = {K}: mean ÷ gradient", 1.5, ratio, SIGMAS * error * ratio)
    yield near("mean ÷ gradient grows with K: slope", 1.0, slope(Ks, found), 0.15, within=0.2)
    xs = [float(K) for K in Ks]
    curves = [Curve("measured", xs, found, style="points"), Curve("K", xs, xs, style="dashed")]
    yield Picture("The score dropped inside the bound", "K", "mean ÷ gradient", curves, "xy")
