"""Exact gradients of events and kinks far in the tails, of P = 1e-3 to 1e-30, against 40 digits of mpmath."""

import math
from dataclasses import dataclass
from functools import cache

import mpmath as mp
import pytest

from bench.distributions import distributions
from bench.objectives import objectives
from bench.problem import Problem
from bench.reference import reference
from tests.problems import small

LEVELS = [1e-3, 1e-10, 1e-20, 1e-30]
MORE = [10.0**-k for k in range(1, 31)] + [1e-60, 1e-100]

RELATIVE = 1e-9
"""The largest error, relative to the gradient, that a reference may state where float64 holds the numbers."""


def normal_survival(x, loc, scale):
    return mp.ncdf((loc - x) / scale)


def student_survival(x, df, loc, scale):
    u = (x - loc) / scale
    half = mp.betainc(df / 2, mp.mpf(1) / 2, 0, df / (df + u**2), regularized=True) / 2
    return half if u > 0 else 1 - half


def laplace_survival(x, loc, scale):
    u = (x - loc) / scale
    return mp.exp(-u) / 2 if u > 0 else 1 - mp.exp(u) / 2


def truncated_survival(x, loc, scale):
    above, below = normal_survival(2, loc, scale), normal_survival(-1, loc, scale)
    return (normal_survival(x, loc, scale) - above) / (below - above)


@cache
def bessel_ratios(concentration, digits):
    """I_j / I_0 for j = 1, 2, … until they vanish."""
    first, found = mp.besseli(0, concentration), []
    while not found or found[-1] > mp.mpf(10) ** -digits:
        found.append(mp.besseli(len(found) + 1, concentration) / first)
    return found


def von_mises_survival(x, loc, concentration):
    """By its Fourier series."""
    ratios = bessel_ratios(concentration, mp.mp.dps)
    waves = (r * (mp.sin(j * (mp.pi - loc)) - mp.sin(j * (x - loc))) / j for j, r in enumerate(ratios, 1))
    return (mp.pi - x) / (2 * mp.pi) + mp.fsum(waves) / mp.pi


def gumbel_survival(x, loc, scale):
    u = (x - loc) / scale
    return 1 - mp.exp(-mp.exp(-u)) if u > -1000 else mp.mpf(1)


def spike_survival(x, probs, loc, scale):
    return probs * normal_survival(x, loc, scale) + (1 - probs) * (1 if x < 0 else 0)


SURVIVAL = {
    "normal": normal_survival,
    "normal_location": lambda x, loc: normal_survival(x, loc, mp.mpf(1) / 2),
    "multivariate_normal": lambda x, loc, scale_tril: normal_survival(x, loc, scale_tril),
    "laplace": laplace_survival,
    "logistic": lambda x, loc, scale: 1 / (1 + mp.exp((x - loc) / scale)),
    "gumbel": gumbel_survival,
    "cauchy": lambda x, loc, scale: mp.atan2(scale, x - loc) / mp.pi,
    "student_t": student_survival,
    "exponential": lambda x, rate: mp.exp(-rate * x),
    "weibull": lambda x, scale, concentration: mp.exp(-((x / scale) ** concentration)),
    "log_normal": lambda x, loc, scale: normal_survival(mp.log(x), loc, scale),
    "gamma": lambda x, concentration, rate: mp.gammainc(concentration, rate * x, regularized=True),
    "gamma_rate": lambda x, rate: mp.gammainc(mp.mpf(3) / 2, rate * x, regularized=True),
    "beta": lambda x, concentration1, concentration0: mp.betainc(
        concentration0, concentration1, 0, 1 - x, regularized=True
    ),
    "kumaraswamy": lambda x, concentration1, concentration0: (1 - x**concentration1) ** concentration0,
    "truncated_normal": truncated_survival,
    "von_mises": von_mises_survival,
    "spike_and_slab": spike_survival,
    "poisson": lambda x, rate: mp.gammainc(mp.floor(x) + 1, 0, rate, regularized=True),
    "geometric": lambda x, probs: (1 - probs) ** (mp.floor(x) + 1),
    "negative_binomial": lambda x, total_count, probs: mp.betainc(
        mp.floor(x) + 1, total_count, 0, probs, regularized=True
    ),
}
"""P(z > x) of one coordinate, of θ in natural coordinates."""

POSITIVE = ("exponential", "weibull", "log_normal", "gamma", "gamma_rate")
COUNTS = ("poisson", "geometric", "negative_binomial")
BOUNDED = {
    "beta": (0.0, 1.0),
    "kumaraswamy": (0.0, 1.0),
    "truncated_normal": (-1.0, 2.0),
    "von_mises": (-math.pi, math.pi),
}


@dataclass(frozen=True)
class Far:
    """A family of one coordinate at a point, and P(z > x) as a function of θ's entries."""

    name: str
    point: str

    @property
    def family(self):
        return distributions.get(self.name, size=1)

    def values(self):
        return {key: mp.mpf(float(value)) for key, value in self.family.theta(self.point, "natural").items()}

    def survival(self, x, **theta):
        return SURVIVAL[self.name](mp.mpf(x), **theta)

    def place(self, v):
        """A monotone map from the real line to the support."""
        if self.name in BOUNDED:
            low, high = BOUNDED[self.name]
            return low + (high - low) / (1 + math.exp(-v)) if v < 0 else high - (high - low) / (1 + math.exp(v))
        if self.name in COUNTS:
            return math.floor(math.exp(v)) + 0.5
        return math.exp(v) if self.name in POSITIVE else math.sinh(v)

    def quantile(self, level, upper):
        """A number with P(z > x) or P(z ≤ x) near `level`; None where float64 has none inside the support."""
        low, high = -690.0, 690.0
        with mp.workdps(40):
            values = self.values()
            for _ in range(22):
                middle = (low + high) / 2
                above = self.survival(self.place(middle), **values)
                right = above > level if upper else 1 - above < level
                low, high = (middle, high) if right else (low, middle)
            at = self.place(low if upper else high)
            reached = self.survival(at, **values) if upper else 1 - self.survival(at, **values)
            return at if level / 1000 < reached < 1000 * level else None

    def gradient(self, function):
        """∂/∂θ of function(θ…), by central differences of 1e-30 at 120 digits."""
        with mp.workdps(120):
            values, step = self.values(), mp.mpf(10) ** -30
            found = {}
            for key, value in values.items():
                up, down = (function(**(values | {key: value + side * step})) for side in (1, -1))
                found[key] = float((up - down) / (2 * step))
            return found


CASES = [Far(name, point) for name in SURVIVAL for point in small(name).points]


def agrees(problem, exact, relative):
    """The reference's error covers its distance from `exact`, and is small beside it."""
    found = reference(problem)
    assert found is not None
    for key, value in exact.items():
        apart, stated = abs(float(found.gradient[key]) - value), float(found.error[key].max())
        assert apart <= stated + 1e-15 * abs(value), (key, float(found.gradient[key]), value, stated)
        if abs(value) > 1e-280:
            assert stated <= relative * abs(value), (key, float(found.gradient[key]), value, stated)


def walk_steps(case, levels):
    seen = 0
    for upper in (True, False):
        for level in levels:
            at = case.quantile(level, upper)
            if at is None or (case.name == "spike_and_slab" and at == 0):
                continue
            problem = Problem(case.family, objectives.get("step", at=at), "natural", case.point)
            agrees(problem, case.gradient(lambda at=at, **theta: case.survival(at, **theta)), RELATIVE)
            seen += 1
    return seen


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.point}")
def test_gradients_of_rare_events_are_exact_in_their_own_scale(case):
    """∂P(z > at)/∂θ, both rungs cutting a tail at one place would call it 0 with no error."""
    assert walk_steps(case, LEVELS[::3]) > 0
