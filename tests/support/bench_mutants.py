"""Deliberately wrong distributions, objectives, references and statistics, with the check that must reject each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from bench.distributions import distributions
from bench.distributions.base import Family
from bench.distributions.bernoulli import BernoulliFamily
from bench.distributions.normal import NormalFamily
from bench.distributions.prefix_policy import PrefixPolicy
from bench.distributions.transformer_policy import TransformerPolicyFamily
from bench.numerics.tensors import Tensors
from bench.objectives import objectives
from bench.objectives.base import Target
from bench.problems.exact import Reference, reference
from bench.problems.problem import Problem
from bench.statistics.bias import zero_bias
from bench.statistics.block import Block
from bench.statistics.stream import Replicates
from bench.validation.checks.measuring import check_bias_test, check_variance

FAMILIES: list[tuple[type[Family], str]] = []
TARGETS: list[tuple[type[Target], str]] = []


def rejected_by(check: str) -> Callable[[type], Any]:
    """Files a family or an objective under the check that must reject it."""

    def add(cls: type) -> type:
        if issubclass(cls, Family):
            FAMILIES.append((cls, check))
        else:
            TARGETS.append((cls, check))
        return cls

    return add


# Distributions -------------------------------------------------------------------------------------------------------


class SameForAll(Bernoulli):
    """A sampler that draws once and hands the draw to every replicate, as vmap over torch's Bernoulli did."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        u = torch.rand(*sample_shape, *(1 for _ in self.batch_shape[:-1]), self.batch_shape[-1])
        return (u < self.probs).to(self.probs.dtype)


class SquaredProbability(Bernoulli):
    """A sampler with p² for p."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        p = self.probs.expand(*sample_shape, *self.batch_shape)
        return (torch.rand_like(p) < p.square()).to(p.dtype)


class Unnormalised(Bernoulli):
    """A density that sums to e^0.1."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + 0.1


class DetachedScale(Normal):
    """A path that forgets the scale."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.loc + self.scale.detach() * torch.randn(shape, dtype=self.loc.dtype)


class Narrow(Normal):
    """Draws with nine tenths of the scale."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc.detach() + 0.9 * (super().sample(sample_shape) - self.loc.detach())


class LikelyTokens(PrefixPolicy):
    """A sampler that never draws next tokens of probability below 0.1: each one's score has a single sign."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        rare = self.logits.softmax(-1) < 0.1
        return PrefixPolicy(self.logits.detach().masked_fill(rare, -torch.inf)).sample(sample_shape)


@rejected_by("draws_are_independent")
@dataclass(frozen=True)
class SharedDraws(BernoulliFamily):
    """Every replicate gets the same draws."""

    def build(self, parameters: Tensors) -> Distribution:
        return Independent(SameForAll(logits=parameters["logits"], validate_args=False), 1, validate_args=False)


@rejected_by("draws_follow_the_density")
@dataclass(frozen=True)
class WrongSampler(BernoulliFamily):
    """Draws and density disagree."""

    def build(self, parameters: Tensors) -> Distribution:
        return Independent(SquaredProbability(logits=parameters["logits"], validate_args=False), 1, validate_args=False)


@rejected_by("draws_follow_the_density")
@dataclass(frozen=True)
class WithoutRareTokens(TransformerPolicyFamily):
    """Rollouts truncated, log-probabilities not."""

    size: int = 3

    def build(self, parameters: Tensors) -> Distribution:
        return LikelyTokens(parameters["logits"], prompt_axes=1)


@rejected_by("draws_follow_the_density")
@dataclass(frozen=True)
class NarrowDraws(NormalFamily):
    """Draws and density disagree in the scale."""

    def build(self, parameters: Tensors) -> Distribution:
        return Independent(Narrow(**parameters, validate_args=False), 1, validate_args=False)


@rejected_by("weighted_support")
@dataclass(frozen=True)
class WrongNormalisation(BernoulliFamily):
    """The density does not sum to one."""

    def marginals(self, parameters: Tensors) -> Distribution:
        return Unnormalised(logits=parameters["logits"], validate_args=False)


@rejected_by("path")
@dataclass(frozen=True)
class WrongPath(NormalFamily):
    """Draws that are differentiable in the loc only."""

    def build(self, parameters: Tensors) -> Distribution:
        return Independent(DetachedScale(**parameters, validate_args=False), 1, validate_args=False)


@rejected_by("coordinates_agree")
@dataclass(frozen=True)
class WrongCoordinates(NormalFamily):
    """The unconstrained scale is taken for its square root's logarithm."""

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        right = super().encode(theta, coordinates)
        return right if coordinates == "natural" else right | {"scale": right["scale"].square()}


@rejected_by("default_point")
@dataclass(frozen=True)
class SymmetricPoint(BernoulliFamily):
    """θ = 0: half of all errors vanish there."""

    def theta(self, point: str, coordinates: str) -> Tensors:
        return {name: torch.zeros_like(value) for name, value in super().theta(point, coordinates).items()}


@rejected_by("leading_axes")
@dataclass(frozen=True)
class ForgetsTheEvent(BernoulliFamily):
    """The coordinates become a batch."""

    def build(self, parameters: Tensors) -> Distribution:
        return Bernoulli(logits=parameters["logits"], validate_args=False)

    def marginals(self, parameters: Tensors) -> Distribution:
        return self.build(parameters)


# Objectives ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Smooth(Target):
    """Separable and smooth; the mutants break it."""

    separable = True

    def terms(self, z: Tensor) -> Tensor:
        return (z - 0.4).square()


@rejected_by("function")
@dataclass(frozen=True)
class NoisyObjective(Smooth):
    """f with noise of its own."""

    separable = False

    def value(self, z: Tensor) -> Tensor:
        return z.sum(-1) + torch.rand_like(z).sum(-1)


@rejected_by("function")
@dataclass(frozen=True)
class ChangesItsArgument(Smooth):
    """f that writes into z."""

    separable = False

    def value(self, z: Tensor) -> Tensor:
        return z.sub_(0.4).square().sum(-1)


@rejected_by("function")
@dataclass(frozen=True)
class SumsOverDraws(Smooth):
    """f that sums over an axis too many."""

    separable = False

    def value(self, z: Tensor) -> Tensor:
        return z.square().sum((-1, -2))


@rejected_by("terms")
@dataclass(frozen=True)
class TermsWithoutCoupling(Smooth):
    """Said to be separable, though its coordinates are coupled."""

    def value(self, z: Tensor) -> Tensor:
        return self.terms(z).sum(-1) + z[..., 0] * z[..., 1]


@rejected_by("differentiability")
@dataclass(frozen=True)
class HiddenJump(Smooth):
    """A step that is said to be differentiable."""

    def terms(self, z: Tensor) -> Tensor:
        return (z > 0.3).to(z.dtype)


@rejected_by("rungs_agree")
@dataclass(frozen=True)
class WrongClosedForm(Smooth):
    """E (z − 0.4)² without the variance."""

    def expectation(self, family: Family, point: str, parameters: Tensors, level: int = 0) -> Tensor | None:
        return (parameters["loc"] - 0.4).square().sum(-1) + 0 * parameters["scale"].sum(-1)


# References ----------------------------------------------------------------------------------------------------------

PROBLEM = Problem(distributions.get("bernoulli", size=3), objectives.get("quadratic_bits"))


def exact() -> Reference:
    found = reference(PROBLEM)
    assert found
    return found


def scaled(factor: float) -> Reference:
    """The exact gradient times a factor: a sum for a mean, a wrong sign."""
    right = exact()
    return replace(right, gradient={name: factor * value for name, value in right.gradient.items()})


REFERENCES = {"wrong sign": lambda: scaled(-1.0), "sum for mean": lambda: scaled(3.0), "shrunk": lambda: scaled(0.8)}

# Statistics ----------------------------------------------------------------------------------------------------------


def measured(x: Tensor, exact: Tensor) -> Block:
    """What gradest keeps of these estimates."""
    kept = Replicates({"all": slice(0, x.shape[1])}, exact.numpy(), np.zeros(x.shape[1]))
    for chunk in x.split(64):
        kept.add(chunk)
    return kept.block("all")


def own_variance(x: Tensor) -> float:
    """gradest's."""
    return measured(x, x.mean(0)).trace


def own_test(x: Tensor, exact: Tensor) -> float:
    """gradest's: every coordinate, the projection on the exact gradient, and exact agreement in null directions."""
    block = measured(x, exact)
    return zero_bias(block.moments, block.exact, 1e-12, batches=block.batches).p


def across_coordinates(x: Tensor) -> float:
    """The variance over the coordinates of one gradient (defect 8)."""
    return float(x.var(1).mean())


def divided_by_the_count(x: Tensor) -> float:
    """The variance of the mean, for that of one estimate (defect 8, the wrong way to rescale)."""
    return float(x.var(0).sum()) / len(x)


def mean_over_coordinates(x: Tensor) -> float:
    """The mean over the coordinates, for their sum."""
    return float(x.var(0).mean())


def smallest_p(step: Tensor) -> float:
    z = step.mean(0) / (step.std(0) / len(step) ** 0.5)
    return min(1.0, float(torch.special.erfc(z.abs().max() / 2**0.5)) * step.shape[1])


def signs_cancel(x: Tensor, exact: Tensor) -> float:
    """The difference is averaged over the coordinates first, so that opposite signs cancel (defect 9)."""
    return smallest_p((x - exact).mean(1, keepdim=True))


def drops_null_directions(x: Tensor, exact: Tensor) -> float:
    """Hotelling's test in the range of a singular covariance, blind to what lies outside it (defect 11)."""
    step = x - exact
    values, vectors = torch.linalg.eigh(torch.cov(step.T))
    return smallest_p(step @ vectors[:, values > 1e-10 * values.max()])


def rejects_too_often(x: Tensor, exact: Tensor) -> float:
    """No correction for the number of coordinates, and the sample's spread for the mean's."""
    step = x - exact
    return float(torch.special.erfc((step.mean(0) / step.std(0) * len(step) ** 0.55).abs().max() / 2**0.5))


STATISTICS = {
    across_coordinates: check_variance,
    divided_by_the_count: check_variance,
    mean_over_coordinates: check_variance,
    signs_cancel: check_bias_test,
    drops_null_directions: check_bias_test,
    rejects_too_often: check_bias_test,
}
