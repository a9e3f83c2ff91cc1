"""Small problems with exact gradients: bits, one-hot categoricals and Gaussians, each with a non-separable f."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from bench.distributions.bernoulli import Bernoulli
from estimators import Estimator, Evidence, Function, ImportanceBound, Objective, OrderStatistics, Terms
from estimators.checks.cases import build_full_normal, build_gamma, build_normal, build_one_hot, log_joint_of_line
from estimators.checks.cases import build_single as single_hot
from estimators.needs import Offer, unmet_samples
from tests.support.exactness import Build, Tensors, enumerated

Case = tuple[Build, Tensors, Objective]


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def bits(logits: Tensor) -> Distribution:
    return Independent(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)


class LocationNormal(Normal):
    """Its location alone is learned: the scale is a constant of the problem."""

    learns = ("loc",)


def location_normal(loc: Tensor) -> Distribution:
    scale = torch.linspace(0.7, 1.1, loc.shape[-1], dtype=loc.dtype, device=loc.device)
    return Independent(LocationNormal(loc, scale, validate_args=False), 1, validate_args=False)


def of_bits(z: Tensor) -> Tensor:
    return (z.sum(-1) - 1.3).square() + z[..., 0] * z[..., 1] + (z[..., 2] - 0.3 * z[..., 0]).exp()


def of_one_hot(z: Tensor) -> Tensor:
    weight = torch.arange(z.shape[-1], dtype=z.dtype, device=z.device)
    rank = (z * weight).sum(-1)
    return (rank[..., 0] - 1.4 * rank[..., 1] + 0.3).square() + rank.sum(-1)


def of_single_hot(z: Tensor) -> Tensor:
    rank = (z * torch.arange(z.shape[-1], dtype=z.dtype, device=z.device)).sum(-1)
    return (rank - 1.2).square() + (0.5 * rank).sin()


def of_line(z: Tensor) -> Tensor:
    return (z.sum(-1) - 0.4).square() + (0.5 * z[..., 0] * z[..., 1]).sin() + z[..., 1]


def of_gamma(z: Tensor) -> Tensor:
    return (z.sum(-1) - 0.8).square() + z[..., 0] * z[..., 1]


def log_joint_of_bits(z: Tensor) -> Tensor:
    return 0.7 * of_bits(z)


LOGITS = {"logits": double(-1.0, 0.3, 1.2)}
EXTREME = {"logits": double(-6.0, 0.4, 6.0)}
TWO_HOT = {"logits": double(0.5, -0.7, 0.2, -0.4, 0.9, 0.1).reshape(2, 3)}
SIX = {"logits": double(0.5, -0.7, 0.2, -0.4, 0.9, -1.3)}
GAUSSIAN = {"loc": double(0.6, -0.8), "scale": double(0.7, 1.1)}
FULL = {"loc": double(0.6, -0.8), "scale_tril": torch.stack([double(0.7, 0.0), double(-0.4, 0.9)])}

CHAIN = Terms(lambda z: (z[..., 1:] - 0.6 * z[..., :-1]).square(), torch.tensor([[1, 1, 0], [0, 1, 1]]))

DISCRETE: dict[str, Case] = {
    "bits": (bits, LOGITS, Function(of_bits)),
    "extreme_bits": (bits, EXTREME, Function(of_bits)),
    "evidence_of_bits": (bits, LOGITS, Evidence(log_joint_of_bits)),
    "one_hot": (build_one_hot, TWO_HOT, Function(of_one_hot)),
    "single_hot": (single_hot, SIX, Function(of_single_hot)),
    "chain_of_bits": (bits, LOGITS, CHAIN),
}
CONTINUOUS: dict[str, Case] = {
    "normal": (build_normal, GAUSSIAN, Function(of_line)),
    "evidence_of_normal": (build_normal, GAUSSIAN, Evidence(log_joint_of_line)),
    "full_normal": (build_full_normal, FULL, Function(of_line)),
    "location_normal": (location_normal, {"loc": GAUSSIAN["loc"]}, Function(of_line)),
}
CASES = DISCRETE | CONTINUOUS
BOUNDS: dict[str, Case] = {
    "bound_of_bits": (bits, LOGITS, ImportanceBound(log_joint_of_bits, draws=3)),
    "bound_of_normal": (build_normal, GAUSSIAN, ImportanceBound(log_joint_of_line, draws=3)),
}
"""Only for what is made for them; tests/estimators/test_importance_*.py have their exact gradients."""
SETS: dict[str, Case] = {
    "maximum_of_bits": (bits, LOGITS, OrderStatistics.maximum(log_joint_of_bits, draws=3)),
}
"""Only for estimators of objectives of sets; tests/estimators/test_sets.py has their exact gradients."""
GAMMAS: dict[str, Case] = {
    "gamma": (build_gamma, {"concentration": double(2.5, 0.7), "rate": double(1.3, 2.0)}, Function(of_gamma))
}
"""tests/estimators/test_generalised.py has its exact gradient."""
EVERY = CASES | BOUNDS | SETS | GAMMAS


def integrated(build: Build, parameters: Tensors, f: Objective, nodes: int = 60) -> Tensor:
    """The exact gradient of E f for a smooth f of a two-dimensional Gaussian, by a Gauss–Hermite grid at θ."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    grid = torch.cartesian_prod(torch.tensor(x), torch.tensor(x))
    weight = torch.cartesian_prod(torch.tensor(w), torch.tensor(w)).prod(-1) / (2 * np.pi)
    here_q = build(**parameters)
    tril = parameters["scale_tril"] if "scale_tril" in parameters else here_q.stddev.diag()
    z = parameters["loc"] + grid @ tril.mT
    here = here_q.log_prob(z)

    def expectation(values: Tensors) -> Tensor:
        q = build(**values)
        return (weight * (q.log_prob(z) - here).exp() * f.held(z, q)).sum()

    return torch.cat([value.flatten() for value in torch.func.grad(expectation)(parameters).values()])


def exact(name: str) -> Tensor:
    """The exact gradient of a case, `[P]`."""
    solve: Callable[..., Tensor] = enumerated if name in DISCRETE else integrated
    return solve(*CASES[name])


def single(case: Case, dtype: torch.dtype) -> Case:
    """The same case in another dtype."""
    build, parameters, f = case
    return build, {name: value.to(dtype) for name, value in parameters.items()}, f


def fitting(estimator: Estimator) -> tuple[list[str], int]:
    """The cases that offer all that an estimator needs, and a number of draws that suits it."""
    n = next(n for n in (4, 6, 1) if unmet_samples(estimator.traits, n) is None)
    return [name for name, offer in offered().items() if offer.unmet(estimator, n) is None], n


@cache
def offered() -> dict[str, Offer]:
    """What each of the cases offers."""
    return {name: Offer(build(**values), f) for name, (build, values, f) in EVERY.items()}
