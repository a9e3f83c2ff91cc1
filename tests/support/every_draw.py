"""The exact mean and variance of an estimate: all samples that an estimator may draw, weighted by their probability."""

import itertools
import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from estimators import Estimator, Objective
from estimators.tools.parameters import support
from tests.support.exactness import Build, Tensors


def outcomes(build: Build, parameters: Tensors) -> tuple[Tensor, Tensor]:
    """Every value of z and its probability; a trajectory's has the environment's part too."""
    q: Any = build(**parameters)
    if not hasattr(q, "log_environment"):
        return support(q), q.log_prob(support(q)).exp()
    H, S, A = q.event_shape
    steps = torch.eye(S * A, dtype=torch.float64).reshape(S * A, S, A)
    z = torch.stack([torch.stack(steps_of) for steps_of in itertools.product(steps, repeat=H)])
    return z, (q.log_prob(z) + q.log_environment(z)).exp()


def every_sample(
    estimator: Estimator, build: Build, parameters: Tensors, f: Objective, n: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Estimates `[B, P]` and values `[B]` of the surrogate at each of the B possible samples, and their probabilities.

    Each sample is an element of the batch whose `sample` returns it; the estimator does all else as ever.
    """
    z, p = outcomes(build, parameters)
    draws = n * getattr(f, "draws", 1)
    index = torch.tensor(list(itertools.product(range(len(z)), repeat=draws)))
    chance = p[index].prod(1)
    index, chance = index[chance > 0], chance[chance > 0]
    fixed = z[index].movedim(1, 0)  # [draws, B, *event]

    def drawn(shape: tuple[int, ...] = ()) -> Tensor:
        assert math.prod(shape) == draws, "the estimator draws once, all its draws together"
        return fixed.reshape(*shape, *fixed.shape[1:])

    def surrogate(values: Tensors) -> tuple[Tensor, Tensor]:
        q: Distribution = build(**values)
        q.sample = drawn  # type: ignore[method-assign]
        value = estimator.surrogate(q, f, n)
        return value.sum(), value.detach()

    expanded = {name: value.expand(len(index), *value.shape) for name, value in parameters.items()}
    gradient, value = torch.func.grad(surrogate, has_aux=True)(expanded)
    return torch.cat([each.flatten(1) for each in gradient.values()], 1), value, chance


def exact_mean(estimator: Estimator, build: Build, parameters: Tensors, f: Objective, n: int) -> Tensor:
    """E of the estimate, `[P]`, to rounding."""
    estimate, _, p = every_sample(estimator, build, parameters, f, n)
    return p @ estimate


def exact_variance(estimator: Estimator, build: Build, parameters: Tensors, f: Objective, n: int) -> Tensor:
    """The trace of the estimate's covariance, to rounding."""
    estimate, _, p = every_sample(estimator, build, parameters, f, n)
    return p @ (estimate - p @ estimate).square().sum(1)


def gradient_of_mean(build: Build, parameters: Tensors, f: Objective) -> Tensor:
    """∇ E f, `[P]`, by a sum over every value of z, or over every set of draws that f takes at once.

    −log q inside f is held, unless f takes sets: there its direct term has not mean zero.
    """
    z, _ = outcomes(build, parameters)
    here: Any = build(**parameters)
    environment = here.log_environment(z) if hasattr(here, "log_environment") else 0.0
    sets = torch.cartesian_prod(*[torch.arange(len(z))] * f.draws) if hasattr(f, "draws") else None  # type: ignore[attr-defined]

    def expectation(values: Tensors) -> Tensor:
        q = build(**values)
        log_q = q.log_prob(z) + environment
        if sets is None:
            return (log_q.exp() * f.held(z, q)).sum()
        return (log_q[sets].sum(1).exp() * f(z[sets], q)).sum()

    return torch.cat([value.flatten() for value in torch.func.grad(expectation)(parameters).values()])
