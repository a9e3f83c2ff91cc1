"""Closed forms: f = (x − k)², x ~ N(μ, s²), gradients in μ and in s; a = μ − k (Mohamed et al. 2020, section 3)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

import estimators
from bench.problems.problem import Problem
from bench.validation.facts.ad_hoc_problem import double, normal, posed
from bench.validation.facts.agreement import agrees, variance_near
from bench.validation.facts.fact import Curve, FactResults, Picture, above, below, fact, near, printed
from bench.validation.facts.full_normal import full_normal
from bench.validation.facts.noise_rules import (
    Line,
    of_bit,
    of_normal,
    of_point,
    of_polynomial,
    of_rayleigh,
    of_uniform,
    population,
)
from bench.validation.facts.sampler import Sampler, slope
from estimators.core import Estimator

K = 0.4
LOC, SCALE = 0, 1
"""Indices of μ and s in a gradient."""


@dataclass(frozen=True)
class GaussianCase:
    """The problem at one a and s; `baseline` is subtracted from f."""

    a: float
    s: float
    baseline: float = 0.0

    @property
    def problem(self) -> Problem:
        """The problem in gradest's form."""
        theta = {"loc": double(self.a + K), "scale": double(self.s)}
        return posed(normal, theta, lambda x: ((x - K).square() - self.baseline).sum(-1))

    @property
    def gradient(self) -> tuple[float, float]:
        """The exact gradient in μ and in s."""
        return 2 * self.a, 2 * self.s

    def __str__(self) -> str:
        return f"a = {self.a:g}, s = {self.s:g}"


GAUSSIAN_CASES = [GaussianCase(1.0, 1.0), GaussianCase(0.5, 1.5), GaussianCase(-2.0, 0.7)]
Formula = Callable[[float, float], float]


def both(
    sampler: Sampler,
    estimator: Estimator,
    formulas: tuple[Formula, Formula],
    cells: list[GaussianCase] = GAUSSIAN_CASES,
) -> FactResults:
    """Checks the variances in μ and in s of an estimator that draws one ε."""
    for cell in cells:
        for at, name in enumerate("μs"):
            variance = formulas[at](cell.a, cell.s)
            yield from agrees(
                sampler, f"{name}, {cell}", cell.problem, estimator, [of_polynomial()],
                mean=cell.gradient[at], variance=variance, at=at, full=2**23,
            )  # fmt: skip


@fact("closed_form", "Gaussian", "Mohamed, Rosca, Figurnov, Mnih 2020, section 3; moments of ε")
def score_on_a_quadratic(sampler: Sampler) -> FactResults:
    """The score function's variance is a⁴/s² + 14a² + 15s² in μ and 2a⁴/s² + 60a² + 74s² in s."""
    in_loc, in_scale = (
        lambda a, s: a**4 / s**2 + 14 * a**2 + 15 * s**2,
        lambda a, s: 2 * a**4 / s**2 + 60 * a**2 + 74 * s**2,
    )
    yield from both(sampler, estimators.get("reinforce"), (in_loc, in_scale))


@fact("closed_form", "Gaussian", "Greensmith, Bartlett, Baxter 2004; moments of ε")
def baselines_on_a_quadratic(sampler: Sampler) -> FactResults:
    """With the mean of f as its baseline the score function has 8a² + 10s² and 40a² + 56s²; with the best constant of
    each, 8a² + 6s² and 40a² + 24s²."""
    formulas = {
        "mean": ((8, 10), (40, 56), lambda a, s, at: a**2 + s**2),
        "best": ((8, 6), (40, 24), lambda a, s, at: a**2 + (3, 5)[at] * s**2),
    }
    for name, (in_loc, in_scale, baseline) in formulas.items():
        for cell in GAUSSIAN_CASES:
            for at, (of_a, of_s) in enumerate((in_loc, in_scale)):
                less = GaussianCase(cell.a, cell.s, baseline(cell.a, cell.s, at))
                yield from agrees(
                    sampler, f"{'μs'[at]}, {cell}, {name}", less.problem, estimators.get("reinforce"),
                    [of_polynomial()], mean=cell.gradient[at], variance=of_a * cell.a**2 + of_s * cell.s**2,
                    at=at, full=2**23,
                )  # fmt: skip


@fact("closed_form", "Gaussian", "Mohamed et al. 2020, section 5; moments of ε")
def pathwise_on_a_quadratic(sampler: Sampler) -> FactResults:
    """The pathwise variance is 4s² in μ and 4a² + 8s² in s."""
    yield from both(
        sampler, estimators.get("reparameterisation"), (lambda a, s: 4 * s**2, lambda a, s: 4 * a**2 + 8 * s**2)
    )


IN_LOC: list[Line] = [of_point(), of_rayleigh(), *[of_point()] * 4]
IN_SCALE: list[Line] = [of_point(), of_point(), of_polynomial(), of_bit(0.5), of_rayleigh(), of_uniform(panels=1)]
"""Rules for the noise of a coupled measure-valued estimate in s."""
DIFFERENT_LINES: list[Line] = [of_point(), of_rayleigh(), *[of_point()] * 3, of_rayleigh(), of_point()]


@fact("closed_form", "Gaussian", "Mohamed et al. 2020, section 6; moments of the Weibull and the Maxwell")
def measure_valued_on_a_quadratic(sampler: Sampler) -> FactResults:
    """The coupled measure-valued variance is a²(16/π − 4) in μ, none at k = μ, and 4a² + 4s² in s; with the two sides
    of μ drawn apart, [4a²(2 − π/2) + 4s²]/π."""
    coupled, apart = (estimators.get("measure_valued", coupled=value) for value in (True, False))
    for cell in [*GAUSSIAN_CASES, GaussianCase(0.0, 1.0)]:
        a, s = cell.a, cell.s
        yield from agrees(
            sampler, f"μ, {cell}", cell.problem, coupled, IN_LOC, mean=2 * a,
            variance=a**2 * (16 / math.pi - 4), at=LOC, full=2**18,
        )  # fmt: skip
        yield from agrees(
            sampler, f"s, {cell}", cell.problem, coupled, IN_SCALE, mean=2 * s, variance=4 * a**2 + 4 * s**2, at=SCALE,
            full=2**18,
        )  # fmt: skip
        loose = (4 * a**2 * (2 - math.pi / 2) + 4 * s**2) / math.pi
        yield from agrees(
            sampler,
            f"μ, {cell}, drawn apart",
            cell.problem,
            apart,
            DIFFERENT_LINES,
            mean=2 * a,
            variance=loose,
            at=LOC,
            full=2**18,
        )


@fact("closed_form", "Gaussian", "Mohamed et al. 2020, section 3; where the formulas cross")
def where_measure_valued_wins(sampler: Sampler) -> FactResults:
    """In μ the measure-valued gradient beats the pathwise one iff |a| < 1.913 s; and coupling its two sides makes it
    worse iff |a| > 1.526 s."""
    yield printed("pathwise = coupled at a =", "1.913", 2 / math.sqrt(16 / math.pi - 4))
    equal = 4 / math.pi / (16 / math.pi - 4 - 4 * (2 - math.pi / 2) / math.pi)
    yield printed("apart = coupled at a =", "1.526", math.sqrt(equal))
    coupled, apart = (estimators.get("measure_valued", coupled=value) for value in (True, False))
    steps = np.linspace(0.0, 2.5, 11)
    found = {"coupled": [], "drawn apart": [], "pathwise": [], "score": []}
    ways = [(coupled, IN_LOC), (apart, DIFFERENT_LINES), (estimators.get("reparameterisation"), [of_polynomial()])]
    for a in steps:
        problem = GaussianCase(float(a), 1.0).problem
        for label, (estimator, lines) in zip(
            found, [*ways, (estimators.get("reinforce"), [of_polynomial()])], strict=True
        ):
            found[label].append(float(population(problem, estimator, 1, *lines).variance[LOC]))
    at = {a: [found[label][i] for label in ("coupled", "drawn apart", "pathwise")] for i, a in enumerate(steps)}
    yield below("coupled ÷ pathwise at a = 1.75 s", 1.0, at[1.75][0] / at[1.75][2])
    yield above("coupled ÷ pathwise at a = 2 s", 1.0, at[2.0][0] / at[2.0][2])
    yield below("coupled ÷ apart at a = 1.5 s", 1.0, at[1.5][0] / at[1.5][1])
    yield above("coupled ÷ apart at a = 1.75 s", 1.0, at[1.75][0] / at[1.75][1])
    yield Picture(
        "f = (x − k)², in μ, s = 1",
        "a = μ − k",
        "variance",
        [Curve(k, steps.tolist(), v) for k, v in found.items()],
        "y",
    )


def waves(x: Tensor, k: float) -> Tensor:
    """Σ cos(k x_i)."""
    return (k * x).cos().sum(-1)


def bump(x: Tensor, k: float) -> Tensor:
    """Σ exp(−k x_i²)."""
    return (-k * x.square()).exp().sum(-1)


def centred(x: Tensor, baseline: float) -> Tensor:
    """Σ (x_i − k)², less a baseline."""
    return (x - K).square().sum(-1) - baseline


def bent(z: Tensor) -> Tensor:
    """Σ log(1 + e^{2z_i}) + (Σ z_i)²/(2d)."""
    return (2 * z).exp().log1p().sum(-1) + z.sum(-1).square() / (2 * z.shape[-1])


@fact("closed_form", "Gaussian", "Mohamed et al. 2020, section 3; by the integral over ε")
def cosine_costs(sampler: Sampler) -> FactResults:
    """f = cos(kx): in μ the pathwise variance is k²(1 − e^{−2k²s²} cos 2kμ)/2 − g², growing as k²/2, while the score
    function's goes to 1/(2s²)."""
    mu, s = 0.7, 1.2
    ks, score = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0], []
    for k in ks:
        problem = posed(normal, {"loc": double(mu), "scale": double(s)}, partial(waves, k=k))
        g = -k * math.exp(-(k**2) * s**2 / 2) * math.sin(k * mu)
        variance = k**2 * (1 - math.exp(-2 * k**2 * s**2) * math.cos(2 * k * mu)) / 2 - g**2
        line = of_normal(panels=60)
        yield from agrees(
            sampler, f"pathwise, k = {k:g}", problem, estimators.get("reparameterisation"), [line],
            mean=g, variance=variance, full=2**18,
        )  # fmt: skip
        score.append(float(population(problem, estimators.get("reinforce"), 1, line).variance[LOC]))
    yield near("score, k = 8", 1 / (2 * s**2), score[-1], 1e-6 / (2 * s**2))
    path = [k**2 / 2 for k in ks]
    curves = [
        Curve("score", ks, score),
        Curve("score, limit 1/(2s²)", [ks[0], ks[-1]], [1 / (2 * s**2)] * 2, style="dashed"),
    ]
    yield Picture(
        "f = cos(kx), in μ", "k", "variance", [*curves, Curve("pathwise → k²/2", ks, path, style="dashed")], "xy"
    )


@fact("closed_form", "Gaussian", "Mohamed et al. 2020, section 3; by the integral over ε")
def exponential_costs(sampler: Sampler) -> FactResults:
    """f = exp(−kx²) at μ = s = 1: the order of the score function and the pathwise gradient in μ flips between k = 0.1
    (0.563532 and 0.016290) and k = 10 (0.076940 and 0.941629)."""
    known = {0.1: ("0.563532", "0.016290"), 10.0: ("0.076940", "0.941629")}
    for k, numbers in known.items():
        problem = posed(normal, {"loc": double(1.0), "scale": double(1.0)}, partial(bump, k=k))
        for name, number in zip(("reinforce", "reparameterisation"), numbers, strict=True):
            whole = population(problem, estimators.get(name), 1, of_normal(panels=60))
            yield printed(f"{name}, k = {k:g}", number, float(whole.variance[LOC]))
            drawn = sampler.moments(problem, estimators.get(name))
            yield variance_near(
                f"{name}, k = {k:g}: by draws", float(number), drawn, LOC, kurtosis=float(whole.kurtosis[LOC])
            )


@fact("closed_form", "Gaussian", "Mohamed et al. 2020, section 3; moments of ε")
def sums_over_dimensions(sampler: Sampler) -> FactResults:
    """f = Σ_{i≤D} (x_i − k)², one coordinate of μ: the pathwise variance stays 4s²; the score function's grows as D²
    (30, 552, 41412 at D = 1, 10, 100 for a = s = 1), and with the mean of f as baseline as D (18, 72, 612)."""
    for D, plain, less in ((1, 30.0, 18.0), (10, 552.0, 72.0), (100, 41412.0, 612.0)):
        theta = {"loc": torch.full((D,), 1 + K, dtype=torch.float64), "scale": torch.ones(D, dtype=torch.float64)}
        for name, expected, baseline in (
            ("reinforce", plain, 0.0),
            ("reinforce less E f", less, 2.0 * D),
            ("reparameterisation", 4.0, 0.0),
        ):
            problem = posed(normal, theta, partial(centred, baseline=baseline))
            drawn = sampler.moments(problem, estimators.get(name.split()[0]), 1, 2**19 if D == 1 else 2**17)
            variance = drawn.variance[:D].mean()
            kurtosis = float(drawn.kurtosis[:D].mean())
            error = 4 * expected * ((kurtosis - 1) / drawn.count) ** 0.5
            yield near(f"{name}, D = {D}", expected, float(variance), error, within=0.15)


@fact("closed_form", "Gaussian", "Hammersley, Morton 1956; Miller, Foti, D'Amour, Adams 2017; derivation")
def quadratics_without_variance(sampler: Sampler) -> FactResults:
    """On a quadratic the pathwise gradient in μ of an antithetic pair is constant, and a linear control variate with
    the full Hessian leaves no variance in μ or s."""
    pair = estimators.get("antithetic", inner=estimators.get("reparameterisation"))
    for cell in GAUSSIAN_CASES:
        yield from agrees(
            sampler, f"antithetic, μ, {cell}", cell.problem, pair, [of_polynomial()], samples=2, mean=2 * cell.a,
            variance=0.0, at=LOC,
        )  # fmt: skip
        for at in (LOC, SCALE):
            taylor = estimators.get("taylor_pathwise")
            yield from agrees(
                sampler, f"control variate, {'μs'[at]}, {cell}", cell.problem, taylor, [of_polynomial()],
                mean=cell.gradient[at], variance=0.0, at=at,
            )  # fmt: skip


@fact("closed_form", "Gaussian", "Domke 2019, theorems 3 and 4; moments of ε")
def gradient_norms(sampler: Sampler) -> FactResults:
    """f = M‖z − z*‖²/2, z = m + Cε: E‖g‖² = M²[(d+1)‖m − z*‖² + (d+3)‖C‖²] in m and all d² entries of C, and
    M²[2‖m − z*‖² + 4‖C‖²] with a diagonal C."""
    d, M = 4, 1.5
    m, star = torch.linspace(-0.6, 1.2, d, dtype=torch.float64), torch.full((d,), 0.3, dtype=torch.float64)
    C = torch.eye(d, dtype=torch.float64) + 0.3 * torch.arange(d * d, dtype=torch.float64).sin().reshape(d, d)
    apart = float((m - star).square().sum())

    def f(z: Tensor) -> Tensor:
        return M * (z - star).square().sum(-1) / 2

    problems = {
        "full C": (posed(full_normal, {"loc": m, "matrix": C}, f), (d + 1) * apart + (d + 3) * float(C.square().sum())),
        "diagonal C": (
            posed(normal, {"loc": m, "scale": C.diagonal()}, f),
            2 * apart + 4 * float(C.diagonal().square().sum()),
        ),
    }
    for name, (problem, square) in problems.items():
        norm = sampler.estimates(problem, estimators.get("reparameterisation"), 1, 2**19).square().sum(1)
        error = 4 * float(norm.std()) / len(norm) ** 0.5
        yield near(f"{name}: E‖g‖²", M**2 * square, float(norm.mean()), error)


@fact("closed_form", "Gaussian", "Buchholz, Wenzel, Mandt 2018; Owen 1997; slopes seen, not derived")
def quasi_monte_carlo_slopes(sampler: Sampler) -> FactResults:
    """With scrambled Sobol draws the pathwise variance for f = Σ log(1 + e^{2z_i}) + (Σz)²/(2d) falls as N^−2.2, from
    N = 128 on and give or take 0.15, where independent draws fall as N^−1."""
    path = estimators.get("reparameterisation")
    spread = estimators.get("quasi_monte_carlo", inner=path)
    sizes = [128, 256, 512, 1024] if sampler.quick else [128, 256, 512, 1024, 2048]
    curves = []
    for d in (1, 4) if sampler.quick else (1, 4, 10):
        theta = {"loc": torch.linspace(-0.5, 0.5, d, dtype=torch.float64), "scale": torch.ones(d, dtype=torch.float64)}
        problem = posed(normal, theta, bent)
        for label, estimator, expected, tolerance in (("Sobol", spread, -2.2, 0.15), ("independent", path, -1.0, 0.09)):
            drawn = [sampler.moments(problem, estimator, N, 2**13) for N in sizes]
            variance = [float(each.variance[:d].sum()) for each in drawn]
            yield near(f"{label}, d = {d}: slope", expected, slope(sizes, variance), tolerance)
            curves.append(Curve(f"{label}, d = {d}", [float(N) for N in sizes], variance))
    yield Picture("Pathwise variance by N draws", "N", "variance", curves, "xy")
