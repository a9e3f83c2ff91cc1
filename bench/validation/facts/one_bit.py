"""Closed forms: one bit b ~ Bernoulli(p), f = (b − t)², gradients in the logit φ.

With q = p(1−p), m = min(p, 1−p) and Δ = f(1) − f(0), the gradient is qΔ. Every variance is of one estimate.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

import estimators
from bench.problems.problem import Problem
from bench.validation.facts.ad_hoc_problem import bits, double, posed
from bench.validation.facts.agreement import agrees
from bench.validation.facts.fact import Check, Curve, FactResults, Picture, above, exact, fact, printed
from bench.validation.facts.noise_rules import Line, of_bit, of_uniform, population
from bench.validation.facts.sampler import Sampler


@dataclass(frozen=True)
class Bit:
    """The problem at one φ and t, less a constant baseline; f = |b − t|^power."""

    phi: float
    t: float = 0.45
    baseline: float = 0.0
    power: float = 2.0

    @property
    def p(self) -> float:
        """P(b = 1)."""
        return 1 / (1 + math.exp(-self.phi))

    @property
    def q(self) -> float:
        """p(1 − p)."""
        return self.p * (1 - self.p)

    @property
    def m(self) -> float:
        """min(p, 1 − p)."""
        return min(self.p, 1 - self.p)

    @property
    def one(self) -> float:
        """f(1), less the baseline."""
        return (1 - self.t) ** self.power - self.baseline

    @property
    def zero(self) -> float:
        """f(0), less the baseline."""
        return self.t**self.power - self.baseline

    @property
    def delta(self) -> float:
        """f(1) − f(0)."""
        return self.one - self.zero

    @property
    def gradient(self) -> float:
        """qΔ, the exact gradient in φ."""
        return self.q * self.delta

    @property
    def problem(self) -> Problem:
        """The problem in gradest's form."""
        return posed(bits, {"logits": double(self.phi)}, self.f)

    def f(self, b: Tensor) -> Tensor:
        """f(b), less the baseline."""
        return ((b - self.t).abs() ** self.power - self.baseline).sum(-1)

    def __str__(self) -> str:
        return f"t = {self.t:g}, φ = {self.phi:.4g}"


HARD_BITS = [Bit(phi, t) for t in (0.45, 0.49, 0.499) for phi in (0.0, -1.0, 2.0)]
FEW_BITS = [Bit(0.0), Bit(-1.0), Bit(2.0)]


def coupled(bit: Bit) -> list[Line]:
    """Returns the rule for the single uniform of ARM, DisARM and AR."""
    return [of_uniform(bit.p, 1 - bit.p)]


def reinforce(bit: Bit) -> float:
    """Returns REINFORCE's variance q[(1−p)f₁ + p f₀]²."""
    return bit.q * ((1 - bit.p) * bit.one + bit.p * bit.zero) ** 2


def augmented(bit: Bit) -> float:
    """Returns AR's variance [f₁²(1−(1−2p)³) + f₀²(1+(1−2p)³)]/6 − g²."""
    cube = (1 - 2 * bit.p) ** 3
    return (bit.one**2 * (1 - cube) + bit.zero**2 * (1 + cube)) / 6 - bit.gradient**2


def arm(bit: Bit) -> float:
    """Returns ARM's variance Δ²{⅔[⅛ − (½−m)³] − m²(1−m)²}."""
    m = bit.m
    return bit.delta**2 * (2 / 3 * (1 / 8 - (0.5 - m) ** 3) - m**2 * (1 - m) ** 2)


def disarm(bit: Bit) -> float:
    """Returns DisARM's variance Δ² m(1−m)²(½−m)."""
    return bit.delta**2 * bit.m * (1 - bit.m) ** 2 * (0.5 - bit.m)


def rloo(bit: Bit, K: int = 2) -> float:
    """Returns leave-one-out's variance with K draws, Δ²[μ₄ − (K−3)/(K−1) q²]/K."""
    fourth = bit.q * (1 - 3 * bit.q)
    return bit.delta**2 * (fourth - (K - 3) / (K - 1) * bit.q**2) / K


def unbiased(
    sampler: Sampler,
    name: str,
    variance: Callable[[Bit], float],
    lines: Callable[[Bit], list[Line]],
    samples: int,
    *,
    cases: list[Bit] = HARD_BITS,
) -> FactResults:
    """Checks that an estimator has the mean qΔ and this variance in every case."""
    for bit in cases:
        yield from agrees(
            sampler, str(bit), bit.problem, estimators.get(name), lines(bit),
            samples=samples, mean=bit.gradient, variance=variance(bit),
        )  # fmt: skip


@fact("closed_form", "one bit", "Williams 1992; by the two outcomes of b")
def reinforce_on_a_bit(sampler: Sampler) -> FactResults:
    """REINFORCE is unbiased and has the variance q[(1−p)f₁ + p f₀]²."""
    yield from unbiased(sampler, "reinforce", reinforce, lambda bit: [of_bit(bit.p)], 1)
    for bit, number in zip(FEW_BITS, ("1.59391e-2", "1.49344e-2", "4.8272e-3"), strict=True):
        yield printed(str(bit), number, reinforce(bit))


@fact("closed_form", "one bit", "Greensmith, Bartlett, Baxter 2004; by the two outcomes of b")
def constant_baseline_on_a_bit(sampler: Sampler) -> FactResults:
    """With a constant baseline c REINFORCE has the variance q[(1−p)f₁ + p f₀ − c]²; the best c leaves none at all."""
    for bit in FEW_BITS:
        best = (1 - bit.p) * bit.one + bit.p * bit.zero
        for name, baseline in (("mean", bit.p * bit.one + (1 - bit.p) * bit.zero), ("best", best)):
            less = replace(bit, baseline=baseline)
            variance = 0.0 if abs(baseline - best) < 1e-12 else reinforce(less)
            what = f"{bit}, c = {name}"
            yield from agrees(
                sampler, what, less.problem, estimators.get("reinforce"), [of_bit(bit.p)],
                mean=bit.gradient, variance=variance,
            )  # fmt: skip


@fact("closed_form", "one bit", "Yin, Zhou 2019; by the integral over u")
def augment_reinforce_on_a_bit(sampler: Sampler) -> FactResults:
    """AR has the variance [f₁²(1−(1−2p)³) + f₀²(1+(1−2p)³)]/6 − g²."""
    yield from unbiased(sampler, "ar", augmented, coupled, 1)


@fact("closed_form", "one bit", "Yin, Zhou 2019; by the integral over u")
def arm_on_a_bit(sampler: Sampler) -> FactResults:
    """ARM has the variance Δ²{⅔[⅛ − (½−m)³] − m²(1−m)²}."""
    yield from unbiased(sampler, "arm", arm, coupled, 2)


@fact("closed_form", "one bit", "Dong, Mnih, Tucker 2020; by the integral over u")
def disarm_on_a_bit(sampler: Sampler) -> FactResults:
    """DisARM has the variance Δ² m(1−m)²(½−m): none at p = ½."""
    yield from unbiased(sampler, "disarm", disarm, coupled, 2)


@fact("closed_form", "one bit", "Kool, van Hoof, Welling 2019; by enumeration of the K bits")
def leave_one_out_on_a_bit(sampler: Sampler) -> FactResults:
    """Leave-one-out with K draws has the variance Δ²[μ₄ − (K−3)/(K−1) q²]/K, μ₄ = q(1−3q); Δ²q(½−q) with two."""
    for K in (2, 3, 5, 8):
        yield from unbiased(
            sampler, "rloo", lambda bit, K=K: rloo(bit, K), lambda bit, K=K: [of_bit(bit.p)] * K, K, cases=FEW_BITS
        )
    for bit in FEW_BITS:
        yield exact(f"{bit}: Δ²q(½−q)", bit.delta**2 * bit.q * (0.5 - bit.q), rloo(bit))


ORDERED = {
    "ARM": ("arm", arm, coupled),
    "DisARM": ("disarm", disarm, coupled),
    "leave-one-out": ("rloo", rloo, lambda bit: [of_bit(bit.p)] * 2),
}


@fact("closed_form", "one bit", "Dong, Mnih, Tucker 2020, section 3; from the three formulas")
def order_of_pairs_on_a_bit(sampler: Sampler) -> FactResults:
    """With two draws, leave-one-out has Δ²m²(1−m)/2 more variance than DisARM, and DisARM at most that of ARM, for
    every p. Over p the variances are at most 0.0397881 Δ² (ARM, at m = 0.190983), 0.0387303 Δ² (DisARM, 0.179806) and
    Δ²/16 (leave-one-out, ½)."""
    p = np.linspace(0.02, 0.98, 49)
    curves = []
    found: dict[str, list[float]] = {}
    for label, (name, _, lines) in ORDERED.items():
        cases = [Bit(float(np.log(x / (1 - x)))) for x in p]
        size = cases[0].delta ** 2
        found[label] = [
            float(population(bit.problem, estimators.get(name), 2, *lines(bit)).variance[0]) / size for bit in cases
        ]
        curves.append(Curve(label, p.tolist(), found[label]))
        few = cases[::8]
        drawn = [sampler.moments(bit.problem, estimators.get(name), 2, 2**18).variance[0] / size for bit in few]
        curves.append(Curve(f"{label}, by draws", p[::8].tolist(), [float(x) for x in drawn], style="points"))
    m = np.minimum(p, 1 - p)
    gap = np.array(found["leave-one-out"]) - found["DisARM"]
    apart = float(np.abs(gap - m**2 * (1 - m) / 2).max())
    yield exact("leave-one-out − DisARM − m²(1−m)/2, largest over p", 0.0, apart, 1e-9, scale=1 / 16)
    yield above("ARM − DisARM, least over p (÷ Δ²)", -1e-12, float((np.array(found["ARM"]) - found["DisARM"]).min()))
    yield from suprema()
    yield Picture("Variance of pairs on one bit", "p", "variance ÷ Δ²", curves)


def suprema() -> Iterator[Check]:
    """Checks the largest variances over p, ÷ Δ², on a fine grid."""
    m = np.linspace(1e-6, 0.5, 2_000_001)
    laws = {
        "ARM": (2 / 3 * (1 / 8 - (0.5 - m) ** 3) - m**2 * (1 - m) ** 2, "3.97881e-2", "1.90983e-1"),
        "DisARM": (m * (1 - m) ** 2 * (0.5 - m), "3.87303e-2", "1.79806e-1"),
        "leave-one-out": (m * (1 - m) * (0.5 - m * (1 - m)), "6.25e-2", "5.00e-1"),
    }
    for label, (values, largest, place) in laws.items():
        yield printed(f"{label}: largest variance ÷ Δ²", largest, float(values.max()))
        yield printed(f"{label}: the m where it is", place, float(m[values.argmax()]))
