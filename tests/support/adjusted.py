"""Estimators with a known defect, and families whose draws are wrong, for the tests of adjusted means."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.distributions.bernoulli import BernoulliFamily
from estimators.core import Estimator, Objective
from estimators.score_function import Reinforce, scored
from estimators.tools.parameters import sample
from estimators.traits import Need, Traits

SCORE = Traits(unbiased=False, needs=frozenset({Need.DENSITY}), paper="a mutant")


def score_of(q: Distribution, f: Objective, z: Tensor) -> Tensor:
    """REINFORCE at draws z."""
    value = f.held(z, q)
    return scored(value, value.detach(), q.log_prob(z))


@dataclass(frozen=True)
class WrongSampler(Estimator):
    """Draws its own bits, each 10 % too often 1."""

    traits = SCORE

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        u = torch.rand((n, *q.batch_shape, *q.event_shape), dtype=q.mean.dtype)
        return score_of(q, f, (u < 1.1 * q.mean.detach()).to(u.dtype))


@dataclass(frozen=True)
class ScaledBit(Estimator):
    """REINFORCE whose first coordinate is 5 % too long."""

    traits = SCORE

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        z = sample(q, n)
        value, first = f.held(z, q).detach(), q.base_dist.log_prob(z)[..., 0]  # type: ignore[attr-defined]
        return score_of(q, f, z) + 0.05 * (value * (first - first.detach())).mean(0)


@dataclass(frozen=True)
class Shrunk(Estimator):
    """REINFORCE, 10 % too short."""

    traits = SCORE

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        return 0.9 * score_of(q, f, sample(q, n))


@dataclass(frozen=True)
class Selected(Estimator):
    """Uses the better half of its draws."""

    traits = SCORE

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        z = sample(q, 2 * n)
        best = f(z, q).detach().argsort(0)[:n]
        index = best.reshape(*best.shape, *(1 for _ in q.event_shape)).expand(n, *q.batch_shape, *q.event_shape)
        return score_of(q, f, z.gather(0, index))


@dataclass(frozen=True)
class Stopping(Estimator):
    """Draws again where few first bits of a chunk are 1, and averages over what it drew."""

    traits = SCORE

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        z = sample(q, n)
        while bool((z[..., 0] - q.mean.detach()[..., 0]).mean() < 0) and len(z) < 4 * n:
            z = torch.cat([z, sample(q, n)])
        return score_of(q, f, z)


@dataclass(frozen=True)
class DependentBits(BernoulliFamily):
    """Bits whose draws within a call come in equal pairs; `said`: whether the family says so."""

    name = "dependent_bits"
    size: int = 3
    said: bool = True

    @property
    def offers_not(self) -> frozenset[Need]:
        """Independent draws, if the family says so."""
        return frozenset({Need.INDEPENDENT_DRAWS}) if self.said else frozenset()

    def build(self, parameters: dict[str, Tensor]) -> Distribution:
        q = super().build(parameters)
        plain = q.sample

        def draw(shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
            z = plain(shape)
            half = len(z) // 2 if shape else 0
            return torch.cat([z[:half], z[: len(z) - half]]) if half else z

        setattr(q, "sample", draw)  # noqa: B010
        return q


@dataclass(frozen=True)
class WrongBits(BernoulliFamily):
    """Bits that are drawn 10 % too often as 1."""

    name = "wrong_bits"
    size: int = 3

    def build(self, parameters: dict[str, Tensor]) -> Distribution:
        q = super().build(parameters)
        p = q.mean.detach()

        def draw(shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
            return (torch.rand((*shape, *p.shape), dtype=p.dtype) < 1.1 * p).to(p.dtype)

        setattr(q, "sample", draw)  # noqa: B010
        return q


DEFECTS = (ScaledBit(), Selected(), Stopping())
"""Estimators whose draws are those of q, and whose mean is wrong."""

RIGHT = Reinforce()
