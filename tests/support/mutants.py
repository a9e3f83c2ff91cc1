"""Deliberately wrong estimators, each with the check that must reject it and, in its docstring, the defect.

Most were seen in published code (the catalogue's list of defects); the others are what slips into new code.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from estimators.baselines import GroupMean, MovingAverage, OptimalCoefficient, scores, spread
from estimators.core import Estimator, ImportanceBound, Objective, gradient_at
from estimators.coupled import AntitheticBits
from estimators.importance_bounds import BoundScore, Vimco, log_mean
from estimators.measure_valued import MeasureValued
from estimators.off_policy import OffPolicy, OffPolicyClipped
from estimators.pathwise import Reparameterisation
from estimators.rebar import Rebar, conditioned
from estimators.relaxed import hardened, is_bits, perturbed, softened
from estimators.score_function import LeaveOneOut, Reinforce, ScoreFunction, scored
from estimators.straight_through import StraightThrough
from estimators.tools.parameters import linear, loc_scale, logits, parameters, rebuild, valued
from estimators.traits import Need, Traits

SCORE = Traits(unbiased=True, needs=frozenset({Need.DENSITY}), paper="a mutant")
PAIRED = replace(SCORE, min_samples=2)
OF_BITS = Traits(unbiased=True, needs=frozenset({Need.BINARY}), min_samples=2, samples_step=2, paper="a mutant")
MUTANTS: list[tuple[type[Estimator], str]] = []


def rejected_by(check: str) -> Callable[[type], Any]:
    """Files the class under the check that must reject it."""

    def add(cls: type) -> type:
        MUTANTS.append((cls, check))
        return cls

    return add


class Score(ScoreFunction):
    """A score function with the traits of REINFORCE."""

    traits = SCORE


# The mean is wrong ---------------------------------------------------------------------------------------------------


@rejected_by("unbiased")
@dataclass(frozen=True)
class WrongSign(Score):
    """The estimate of the gradient of −f."""

    def coefficient(self, value: Tensor) -> Tensor:
        return -value


@rejected_by("unbiased_with_more_draws")
@dataclass(frozen=True)
class SumForMean(Estimator):
    """The sum over draws; right with one draw."""

    traits = replace(SCORE, valued=False)

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        return n * Reinforce().surrogate(q, f, n)


@rejected_by("unbiased_with_more_draws")
@dataclass(frozen=True)
class MeanTwice(Score):
    """Divided by n once more than it should be."""

    def coefficient(self, value: Tensor) -> Tensor:
        return value / len(value)


@rejected_by("unbiased")
@dataclass(frozen=True)
class OwnDrawInBaseline(GroupMean):
    """The group's mean as a baseline, declared unbiased: it shrinks by 1 − 1/K (catalogue, defect 1)."""

    traits = PAIRED


@rejected_by("unbiased")
@dataclass(frozen=True)
class OwnDrawInMovingAverage(MovingAverage):
    """The moving average takes the current draw in before it is subtracted: it shrinks (defect 1)."""

    def coefficient(self, value: Tensor) -> Tensor:
        before = value.new_tensor(0.0) if self.state is None else self.state["baseline"].to(value)
        return value - (self.decay * before + (1 - self.decay) * value) if self.decay < 1 else value


@rejected_by("unbiased")
@dataclass(frozen=True)
class InSampleCoefficient(OptimalCoefficient):
    """The best coefficient, of all draws with the current one among them."""

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        z = q.sample((n,))
        value, surrogate = f.held(z, q), 0
        for name, s in scores(q, z).items():
            f_k = spread(value.detach(), s)
            c = (f_k * s.square()).sum(0) / s.square().sum(0).clamp_min(1e-30)
            surrogate = surrogate + linear(((f_k - c) * s).mean(0), parameters(q)[name], q)
        return valued(value.mean(0), surrogate)  # type: ignore[arg-type]


@dataclass(frozen=True)
class RebarLike(Rebar):
    """REBAR, written out so that its parts can be broken."""

    def conditional(self, q: Distribution, b: Tensor) -> Tensor:
        return conditioned(q, b)

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        z = perturbed(q, n)
        b = hardened(z, q).detach()
        z_b = self.conditional(q, b)
        c, slope = gradient_at(lambda x: f(softened(x, q, self.temperature), q), torch.cat([z, z_b]))
        slope, slope_b = slope.chunk(2)
        path = ((slope * z) - (slope_b * z_b)).flatten(1 + len(q.batch_shape)).sum(-1)
        value, log_q = f.held(b, q), q.log_prob(b)
        return (value + (value.detach() - c[n:]) * (log_q - log_q.detach()) + path - path.detach()).mean(0)


@rejected_by("unbiased")
@dataclass(frozen=True)
class RebarWithDetachedLogits(RebarLike):
    """c(z̃) on detached logits: θ no longer acts through z̃ (defect 3)."""

    def conditional(self, q: Distribution, b: Tensor) -> Tensor:
        return conditioned(q, b).detach()


@rejected_by("unbiased")
@dataclass(frozen=True)
class RebarWithWrongConditional(RebarLike):
    """z̃ is conditioned on another value than b, so that argmax(z̃) differs from b (defect 4)."""

    def conditional(self, q: Distribution, b: Tensor) -> Tensor:
        return conditioned(q, 1 - b if is_bits(q) else b.roll(1, -1))


@rejected_by("unbiased")
@dataclass(frozen=True)
class BoundWithoutDirectTerm(Vimco):
    """VIMCO without ∇θ L (defect 6)."""

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        assert isinstance(f, ImportanceBound)
        z = q.sample((n, f.draws))
        log_w, log_q = f.log_weight(z, q).detach(), q.log_prob(z)
        signal = self.signal(log_w, q, f)
        return (log_mean(log_w) + (signal * (log_q - log_q.detach())).sum(1)).mean(0)


@rejected_by("unbiased")
@dataclass(frozen=True)
class DirectTermDropped(Estimator):
    """The gradient of a q inside f is dropped, though its mean is not zero."""

    traits = SCORE

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        z = q.sample((n,))
        value = f.held(z, q).detach()
        return scored(value, value, q.log_prob(z))


@rejected_by("unbiased")
@dataclass(frozen=True)
class ClippedRatio(OffPolicyClipped):
    """A density ratio that is clipped, declared unbiased (defect 7)."""

    traits = OffPolicy.traits  # pyright: ignore[reportAssignmentType]
    baseline: Literal["leave_one_out", "none"] = "none"


@dataclass(frozen=True)
class DisArmLike(AntitheticBits):
    """DisARM's pairs."""

    traits = OF_BITS


@rejected_by("unbiased")
@dataclass(frozen=True)
class EpsilonInDenominator(DisArmLike):
    """DisARM's 1/max(t, 1−t) with an ε added to what it divides by (defect 7)."""

    def factor(self, u: Tensor, b: Tensor, b_tilde: Tensor, phi: Tensor) -> Tensor:
        t = phi.detach().sigmoid()
        return (b - b_tilde) * t * (1 - t) / (torch.minimum(t, 1 - t) + 0.1) / 2


@rejected_by("finite")
@dataclass(frozen=True)
class DividesByZero(DisArmLike):
    """DisARM with t/(1−t)-like factors in the place of σ(|φ|): 0/0 where a bit is certain."""

    def factor(self, u: Tensor, b: Tensor, b_tilde: Tensor, phi: Tensor) -> Tensor:
        t = phi.detach().sigmoid()
        return (b - b_tilde) * t * (1 - t) / torch.minimum(t, 1 - t) / 2


@rejected_by("unbiased")
@dataclass(frozen=True)
class ArmWithTwoUniforms(AntitheticBits):
    """ARM whose second bit has a uniform of its own: half of the gradient is lost."""

    traits = OF_BITS

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        phi = logits(q)
        t = phi.detach().sigmoid()
        u, other = torch.rand((2, n // 2, *t.shape), dtype=t.dtype, device=t.device)
        value = f.held(torch.cat([(1 - other < t).to(t.dtype), (u < t).to(t.dtype)]), q)
        first, second = value.detach().chunk(2)
        return valued(value.mean(0), linear((spread(first - second, u) * (u - 0.5)).mean(0), phi, q))

    def factor(self, u: Tensor, b: Tensor, b_tilde: Tensor, phi: Tensor) -> Tensor:
        raise NotImplementedError


@rejected_by("unbiased")
@dataclass(frozen=True)
class FactorMissing(MeasureValued):
    """The measure-valued loc without its 1/√(2π)."""

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        loc, scale = loc_scale(q)
        factor = math.sqrt(2 * math.pi)
        larger = factor * loc + (1 - factor) * loc.detach()  # loc, with its gradient multiplied
        return super().surrogate(rebuild(q, {"loc": larger, "scale": scale}), f, n)


@rejected_by("unbiased")
@dataclass(frozen=True)
class DetachedPath(Reparameterisation):
    """A path that loses the scale: z = μ + (σ ε held)."""

    traits = replace(Reparameterisation.traits, needs=Reparameterisation.traits.needs | {Need.FACTORISED})

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        z = q.rsample((n,))
        return f(q.mean + (z - q.mean).detach(), q).mean(0)


@rejected_by("unbiased")
@dataclass(frozen=True)
class BlindToJumps(Reparameterisation):
    """The path through a step function, which has no slope: the need of a differentiable f is not declared."""

    traits = replace(Reparameterisation.traits, needs=frozenset({Need.REPARAMETERISED}))


@rejected_by("unbiased")
@dataclass(frozen=True)
class RelaxedAndSaidUnbiased(StraightThrough):
    """A biased estimator that is declared unbiased."""

    traits = replace(StraightThrough.traits, unbiased=True)


@rejected_by("unbiased")
@dataclass(frozen=True)
class BaselineOfPairs(BoundScore):
    """REINFORCE on a bound, each draw credited with L alone and the direct term counted twice."""

    traits = Vimco.traits

    def signal(self, log_w: Tensor, q: Distribution, f: ImportanceBound) -> Tensor:
        return log_mean(log_w).unsqueeze(1) - 2 * log_w.softmax(1)


@rejected_by("declared_bias")
@dataclass(frozen=True)
class PointsDownhill(StraightThrough):
    """A biased estimator of the wrong sign."""

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        right = super().surrogate(q, f, n)
        return 2 * right.detach() - right


@rejected_by("declared_bias")
@dataclass(frozen=True)
class UnbiasedAndSaidBiased(LeaveOneOut):
    """An unbiased estimator that is declared biased."""

    traits = replace(LeaveOneOut.traits, unbiased=False)


# The mean is right, something else is wrong --------------------------------------------------------------------------


@rejected_by("no_noisier_than_reinforce")
@dataclass(frozen=True)
class BaselineAdded(Score):
    """The others' mean is added, not subtracted: unbiased, and noisier (defect 5)."""

    traits = LeaveOneOut.traits

    def coefficient(self, value: Tensor) -> Tensor:
        return value + (value.sum(0) - value) / (len(value) - 1)


@rejected_by("no_noisier_than_reinforce")
@dataclass(frozen=True)
class DebiasedTwice(MovingAverage):
    """A moving average divided by 1 − decay^steps twice: unbiased, and far from the mean of f (defects 2 and 5)."""

    decay: float = 0.98

    def fit(self, q: Distribution, f: Objective, n: int, steps: int) -> "MovingAverage":
        right = super().fit(q, f, n, steps)
        assert right.state is not None
        return self.frozen({"baseline": right.state["baseline"] / (1 - self.decay**steps)})


@rejected_by("variance_falls_with_draws")
@dataclass(frozen=True)
class OneDrawRepeated(Estimator):
    """The same draw n times: unbiased, and its variance never falls."""

    traits = SCORE

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        z = q.sample((1,)).expand(n, *q.batch_shape, *q.event_shape)
        value = f.held(z, q)
        return scored(value, value, q.log_prob(z))


@rejected_by("replicates_are_independent")
@dataclass(frozen=True)
class SharedNoise(Estimator):
    """Every replicate gets the same uniforms."""

    traits = OF_BITS

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        u = torch.rand((n, *(1 for _ in q.batch_shape), *q.event_shape), dtype=q.mean.dtype, device=q.mean.device)
        z = (u < q.mean).to(q.mean.dtype)
        value = f.held(z, q)
        return scored(value, value, q.log_prob(z))


@rejected_by("replicates_are_independent")
@dataclass(frozen=True)
class NeighboursShareNoise(Estimator):
    """Replicates use mirrored uniforms, two by two."""

    traits = OF_BITS

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        u = torch.rand_like(q.mean.expand(n, *q.mean.shape))
        if q.batch_shape:
            odd = torch.arange(q.batch_shape[-1], device=u.device) % 2 == 1
            shape = (*(1 for _ in q.batch_shape), q.batch_shape[-1], *(1 for _ in q.event_shape))
            u = torch.where(odd.reshape(shape), 1 - u.roll(1, len(q.batch_shape)), u)
        z = (u < q.mean).to(u.dtype)
        value = f.held(z, q)
        return scored(value, value, q.log_prob(z))


@rejected_by("no_cross_talk")
@dataclass(frozen=True)
class LeaveOneOutOfTheBatch(Score):
    """Leave-one-out over the batch axis (defect 10): the baseline is the other problems' mean."""

    def coefficient(self, value: Tensor) -> Tensor:
        batch = value.shape[-1] if value.dim() > 1 else 1
        return value if batch == 1 else value - (value.sum(-1, keepdim=True) - value) / (batch - 1)


@rejected_by("value")
@dataclass(frozen=True)
class ValueOfTheAdvantage(Score):
    """The surrogate's value is that of f minus its baseline."""

    traits = LeaveOneOut.traits

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        z = q.sample((n,))
        value = f.held(z, q)
        return scored(value - value.mean().detach(), LeaveOneOut().coefficient(value.detach()), q.log_prob(z))

    def coefficient(self, value: Tensor) -> Tensor:
        raise NotImplementedError


@rejected_by("gradient_in_f")
@dataclass(frozen=True)
class DetachedObjective(Estimator):
    """f's own parameters get no gradient."""

    traits = SCORE

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        z = q.sample((n,))
        value = f.held(z, q)
        direct = value - f.held(z, q).detach() if not hasattr(f, "w") else 0.0
        return scored(value.detach() + direct, value, q.log_prob(z))


# The contract is broken ----------------------------------------------------------------------------------------------


@rejected_by("frozen_and_hashable")
@dataclass
class NotFrozen(Score):
    """A dataclass that can be changed, and so has no hash."""

    def coefficient(self, value: Tensor) -> Tensor:
        return value


@rejected_by("pickle")
@dataclass(frozen=True)
class HoldsAFunction(Score):
    """A function made on the spot among the settings cannot travel to a worker."""

    transform: Callable[[Tensor], Tensor] = lambda value: value

    def coefficient(self, value: Tensor) -> Tensor:
        return value


@rejected_by("traits")
@dataclass(frozen=True)
class WithoutSource(Score):
    """Nobody can say where it comes from."""

    traits = replace(SCORE, paper="")

    def coefficient(self, value: Tensor) -> Tensor:
        return value


@rejected_by("finite")
@dataclass(frozen=True)
class OneDrawTooFew(LeaveOneOut):
    """Leave-one-out that says it can do with one draw."""

    traits = SCORE


@rejected_by("shape")
@dataclass(frozen=True)
class BatchAveraged(Estimator):
    """The mean over everything, the batch too."""

    traits = SCORE

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        return Reinforce().surrogate(q, f, n).mean()


@rejected_by("shape")
@dataclass(frozen=True)
class NeedsUndeclared(Reparameterisation):
    """Draws that must be differentiable, on distributions that have none."""

    traits = SCORE


@rejected_by("dtype")
@dataclass(frozen=True)
class DoublePrecisionConstant(Estimator):
    """A float64 constant promotes float32."""

    traits = SCORE

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        surrogate = Reinforce().surrogate(q, f, n)
        return surrogate * torch.ones(surrogate.shape, dtype=torch.float64, device=surrogate.device)


@rejected_by("inputs_unchanged")
@dataclass(frozen=True)
class ChangesGlobalState(Estimator):
    """Turns torch's validation off for everyone."""

    traits = SCORE

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        Distribution.set_default_validate_args(not Distribution._validate_args)
        return Reinforce().surrogate(q, f, n)


@rejected_by("seed")
@dataclass(frozen=True)
class NumpysGenerator(Estimator):
    """Draws that torch's seed does not repeat."""

    traits = OF_BITS

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        u = torch.as_tensor(np.random.default_rng().random((n, *q.mean.shape))).to(q.mean)
        z = (u < q.mean).to(q.mean.dtype)
        value = f.held(z, q)
        return scored(value, value, q.log_prob(z))


@rejected_by("seed")
@dataclass(frozen=True)
class SeedsItself(Estimator):
    """The same draws every time."""

    traits = SCORE

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        torch.manual_seed(0)
        return Reinforce().surrogate(q, f, n)


@rejected_by("both_roads")
@dataclass(frozen=True)
class OnlyForLeaves(Estimator):
    """Doubles what a training loop gets: it looks at `requires_grad`, which torch.func does not set alike."""

    traits = replace(SCORE, valued=False)

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        leaf = any(
            value.requires_grad and not torch._C._functorch.is_gradtrackingtensor(value)  # type: ignore[attr-defined]
            for value in parameters(q).values()
        )
        return Reinforce().surrogate(q, f, n) * (2.0 if leaf else 1.0)


@rejected_by("meta_device")
@dataclass(frozen=True)
class WaitsForTheHost(Estimator):
    """A baseline that goes through the host."""

    traits = SCORE

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        z = q.sample((n,))
        value = f.held(z, q)
        floor = math.floor(value.detach().isfinite().all().item())
        return scored(value, value + 0 * floor, q.log_prob(z))


@rejected_by("meta_device")
@dataclass(frozen=True)
class NoiseOnTheHost(Estimator):
    """Noise drawn on the CPU, whatever q's device."""

    traits = OF_BITS

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Tensor:
        z = (torch.rand(n, *q.mean.shape, dtype=q.mean.dtype) < q.mean).to(q.mean.dtype)
        value = f.held(z, q)
        return scored(value, value, q.log_prob(z))
