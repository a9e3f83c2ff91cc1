"""A fitted model f̂ of an objective, whose mean under q is a closed form.

f̂(z) = c + aᵀ(z − m) + (z − m)ᵀ B (z − m), with m = E z at θ, is fitted by least squares to f at draws of q. Its parts
are kept apart, because estimators subtract different parts of f: a baseline takes away c, a Taylor expansion also aᵀz.
Under q at any θ, with mean μ and covariance Σ,

    E aᵀ(z − m) = aᵀ(μ − m),    E (z − m)ᵀ B (z − m) = tr(B Σ) + (μ − m)ᵀ B (μ − m).

With data axes there is one model per datum.

A *detailed* model has more parts: with data axes the mean of f at each datum, which a baseline for all data leaves; and
for a q with few values of z a table of f − f̂, so that f has no rest at all.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical

from bench.measure.accuracy.value_table import ValueTable, all_values
from bench.numerics.tensors import Tensors
from bench.objectives.smooth import mean_variance
from bench.problems.problem import Problem
from estimators.core import Objective, SetObjective
from estimators.tools.parameters import base, states, support
from estimators.traits import Need

MOST_WITH_PAIRS = 40
"""Up to this number of coordinates, B has entries off its diagonal."""

DRAWS_PER_FEATURE, FEWEST_DRAWS = 8, 1024
"""Draws to fit with, for each feature and at least."""

RIDGE = 1e-8
"""Added to the variance of each feature, because features of bits and one-hot rows are dependent."""

FEW_TERMS = 6
"""Up to this number of coordinates, each has its own linear part."""

HIGHEST_MOMENT = 4
"""The parts of f̂ have a variance if q has more moments than this."""

FEW_STATES = 4096
"""Up to this number of values of z, moments of dependent coordinates are sums over all values."""

LARGEST_MODEL = 2**26
"""Largest number of entries of an array that a second stage makes: 512 MiB in float64."""


@dataclass(frozen=True)
class FittedModel:
    """The parts of f̂: `levels`, `slope` a and `bend` B, about `centre` m, and perhaps a `table` of what it leaves of f.

    Levels are constant in z: the first is the root mean square of f. The terms of aᵀ(z − m) are a part each if they are
    few: a Taylor expansion may take away others than f̂ has.
    """

    levels: Float[Tensor, "L *data"]
    centre: Float[Tensor, "*data D"]
    slope: Float[Tensor, "*data D"]
    bend: Float[Tensor, "*data D D"]
    table: ValueTable | None = None

    def parts(self, z: Float[Tensor, "*leading D"]) -> Float[Tensor, "H *leading"]:
        """The values of the parts at draws z with flattened events; data axes come last before D."""
        off = z - self.centre
        return self.stacked(off, self.bent(off), self.table and self.table.at(z))

    def means(
        self, q: Distribution, mean: Float[Tensor, "*leading D"], covariance: Float[Tensor, "*leading D D"]
    ) -> Float[Tensor, "H *leading"]:
        """The means of the parts under q, which has these moments."""
        off = mean - self.centre
        bent = self.bent(off) + (self.bend * covariance).sum((-1, -2))
        return self.stacked(off, bent, self.table and self.table.mean(q))

    def stacked(
        self, off: Float[Tensor, "*leading D"], bent: Float[Tensor, "*leading"], rest: Float[Tensor, "*leading"] | None
    ) -> Float[Tensor, "H *leading"]:
        """The levels, the linear part or its terms, the bend, and what is left of f."""
        linear = off * self.slope
        terms = linear.unbind(-1) if linear.shape[-1] <= FEW_TERMS else [linear.sum(-1)]
        levels = [level.expand(bent.shape) for level in self.levels]
        return torch.stack([*levels, *terms, bent, *([] if rest is None else [rest])])

    def bent(self, off: Float[Tensor, "*leading D"]) -> Float[Tensor, "*leading"]:
        """offᵀ B off."""
        return (torch.einsum("...i,...ij->...j", off, self.bend) * off).sum(-1)


def law_moments(problem: Problem, parameters: Tensors) -> tuple[Tensor, Tensor] | None:
    """E z, `[*leading, D]`, and the covariance of z, `[*leading, D, D]`, both differentiable; None where unknown."""
    family, q = problem.family, problem.build(parameters)
    own = {name: each for name, each in parameters.items() if name not in problem.weights}
    if family.moments <= HIGHEST_MOMENT:
        return None
    if isinstance(base(q), OneHotCategorical):
        return of_one_hot(q.mean)
    covariance = family.covariance(own)
    if covariance is None and not family.factorised:
        return by_enumeration(q)
    found = mean_variance(family, own, 0)
    mean, variance = (q.mean, q.variance) if found is None else found
    return mean, torch.diag_embed(variance) if covariance is None else covariance


def of_one_hot(p: Float[Tensor, "*leading V C"]) -> tuple[Tensor, Tensor]:
    """The moments of independent one-hot rows with these probabilities, flattened: diag(p) − p pᵀ in each row."""
    within = torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)
    rows, columns = p.shape[-2:]
    apart = torch.eye(rows, dtype=p.dtype, device=p.device)[:, None, :, None]
    covariance = within.unsqueeze(-2) * apart  # [*leading, V, C, V, C]
    return p.flatten(-2), covariance.reshape(*p.shape[:-2], rows * columns, rows * columns)


def by_enumeration(q: Distribution) -> tuple[Tensor, Tensor] | None:
    """The moments of a q with few values of z, as sums over all of them; None for any other q."""
    count = states(q)
    if count is None or count > FEW_STATES:
        return None
    z = support(q)
    mass = q.log_prob(z).exp().unsqueeze(-1)
    z = z.reshape(*mass.shape[:-1], -1).to(mass.dtype)
    mean = (mass * z).sum(0)
    off = z - mean.detach()
    shifted = mean - mean.detach()
    second = torch.einsum("s...i,s...j->...ij", mass * off, off)
    return mean, second - shifted.unsqueeze(-1) * shifted.unsqueeze(-2)


@lru_cache(maxsize=8)
def fitted_model(
    problem: Problem, dtype: torch.dtype, device: torch.device, *, detailed: bool = False
) -> FittedModel | None:
    """Fits f̂ at θ, once per problem, with separate draws; None where q's moments or its density are unknown.

    A noisy f and minibatches have no model. `detailed`: with more parts.
    """
    theta = {name: each.to(device, dtype) for name, each in problem.theta().items()}
    like = next(iter(theta.values()))
    parameters = {name: each.detach() for name, each in problem.encoder(like)(theta).items()}
    f = problem.function(like)
    if f.noisy or problem.minibatch is not None or Need.DENSITY not in problem.offer(parameters, f).needs:
        return None
    with torch.no_grad():
        q, f = problem.build(parameters), problem.at(f, parameters)
        width = q.event_shape.numel()
        count = draws_to_fit(width)
        if count * max(feature_count(width), width) * q.batch_shape.numel() > LARGEST_MODEL:
            return None
        moments = law_moments(problem, parameters)
        if moments is None or moments[0].shape[-1] != width:
            return None
        torch.manual_seed(0)
        z = q.sample((count, f.draws) if isinstance(f, SetObjective) else (count,))
        value = f(z, q)
        if not bool(value.isfinite().all()):
            return None
        off = z.reshape(count, -1, *q.batch_shape, width) - moments[0]
        found = least_squares(off, value, moments)
        return with_details(found, q, f, value) if detailed else found


def with_details(model: FittedModel, q: Distribution, f: Objective, value: Float[Tensor, "N *data"]) -> FittedModel:
    """The model with more parts; `value`: of f at draws of q."""
    if q.batch_shape:
        return replace(model, levels=torch.cat([model.levels, value.mean(0, keepdim=True)]))
    z = None if isinstance(f, SetObjective) else all_values(q)
    if z is None:
        return model
    rest = f(z, q) - model.parts(z.flatten(1))[1:].sum(0)
    return replace(model, table=ValueTable(z, rest - rest.mean()))


def draws_to_fit(width: int) -> int:
    """The number of draws to fit a model of `width` coordinates with."""
    return max(DRAWS_PER_FEATURE * feature_count(width), FEWEST_DRAWS)


def feature_count(width: int) -> int:
    """The number of features of `width` coordinates."""
    return width + (width * (width + 1) // 2 if width <= MOST_WITH_PAIRS else width)


def least_squares(
    off: Float[Tensor, "N K *data D"], value: Float[Tensor, "N *data"], law: tuple[Tensor, Tensor]
) -> FittedModel:
    """Fits the slope and the bend at draws, K to a value, given relative to their mean; `law` is mean and covariance.

    Features are in units of the law's standard deviations, not of the draws': an outcome that did not come up among the
    draws makes features that hardly vary, and these must not get large coefficients.
    """
    width = off.shape[-1]
    sd = law[1].diagonal(0, -2, -1).clamp_min(0).sqrt()
    one, other = torch.triu_indices(width, width) if width <= MOST_WITH_PAIRS else torch.arange(width).expand(2, -1)
    scaled = torch.where(sd > 0, off / sd, 0)
    x = torch.cat([scaled, scaled[..., one] * scaled[..., other]], -1).sum(1)  # [N, *data, F]
    x = x - x.mean(0)
    gram = torch.einsum("n...f,n...g->...fg", x, x) / len(x)
    right = torch.einsum("n...f,n...->...f", x, value - value.mean(0)) / len(x)
    found = torch.linalg.solve(gram + RIDGE * torch.eye(gram.shape[-1]).to(gram), right)
    bend = off.new_zeros(*found.shape[:-1], width, width)
    bend[..., one, other] = found[..., width:]
    inverse = torch.where(sd > 0, 1 / sd, 0)
    slope, bend = found[..., :width] * inverse, bend * inverse.unsqueeze(-1) * inverse.unsqueeze(-2)
    level = value.square().mean().sqrt().expand(1, *value.shape[1:])
    return FittedModel(level, law[0], slope, bend)
