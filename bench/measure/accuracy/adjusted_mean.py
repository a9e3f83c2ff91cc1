"""The mean of an estimate, adjusted by what is known to have mean zero; the variance stays that of the estimates.

With a fitted model f̂ of the objective, in parts h, and the draws z_1 … z_K of q that an estimate ĝ is made from,

    A_h = 1/K Σ_k [h(z_k) ∇θ log q(z_k) − ∇θ E h(z)]

has mean zero, because the score function is unbiased, whatever the estimator does with its draws. So ĝ − Σ_h β_h A_h
has the mean of ĝ, bias included, and often a small part of its noise. K is fixed beforehand: where an estimator stops
drawing on a condition, Σ_k still has mean zero (Wald 1944), an average over the draws would not.

β is one number per part and coordinate, by regression on pilot replicates that are not tested. The covariates' own mean
is tested with the draws that are used: where it is not zero, q's draws do not follow its density.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bench.measure.accuracy.fitted_model import LARGEST, FittedModel, fitted_model, law_moments
from bench.measure.accuracy.rare_outcomes import rare_outcomes
from bench.measure.accuracy.recorded_draws import estimates_and_draws
from bench.measure.estimates.gradients import Gradients
from bench.numerics.tensors import Tensors
from bench.statistics.means import hall, two_sided
from bench.statistics.moments import Moments
from bench.statistics.tails import MIN_OUTCOMES
from estimators.traits import Need

PILOT = 512
"""Replicates for the coefficients: half of them choose β, the others show what is gained."""

ABOVE_ROUNDING = 1e3
"""Covariates that vary by less than this multiple of the rounding error of an estimate are rounding themselves."""

PER_KURTOSIS = 4
"""Replicates in units of the kurtosis for coefficients of a single coordinate."""

RIDGE_OF_PARTS = 1e-8
"""Added to the correlation matrix of the parts, which may be dependent."""


Parts = Callable[[Tensors], Tensor]
"""Parameters `[R, …]` → a value per part and replicate, `[H, R]`."""


class Covariates:
    """The covariates of a model: `Covariates(…)(z)` is `[R, H, P]`; `draws` is K.

    They are A_h for each part h and, where K draws of q are independent and K > 1, the product of each draw's score
    with the other draws' mean of f̂ − E f̂, as a baseline from the other draws makes it.
    """

    def __init__(self, gradients: Gradients, model: FittedModel, draws: int) -> None:
        self.gradients, self.model, self.draws = gradients, model, draws
        self.crossed = draws > 1 and Need.INDEPENDENT_DRAWS in gradients.offer.needs
        alone = gradients.expanded(1)
        self.means = self.part_means(alone).detach()
        self.known = torch.stack(list(self.of(lambda p: gradients.problem.reduce(self.part_means(p)), alone)), 1)

    def __call__(self, z: Float[Tensor, "K R ..."]) -> Float[Tensor, "R H P"]:
        problem = self.gradients.problem

        def weighted(parameters: Tensors) -> Float[Tensor, "H R"]:
            q = problem.build(parameters)
            factors = self.factors(z.reshape(*z.shape[: 1 + len(q.batch_shape)], -1))
            return problem.reduce((factors * q.log_prob(z)).sum(1) / self.draws)

        a = torch.stack(list(self.of(weighted, self.gradients.expanded(z.shape[1]))), 1)
        a[:, : self.known.shape[1]] -= self.known * (len(z) / self.draws)
        return a

    def factors(self, z: Float[Tensor, "K R *data D"]) -> Float[Tensor, "H K R *data"]:
        """The factor of each draw's score, per covariate."""
        parts = self.model.parts(z)
        if not self.crossed:
            return parts
        off = (parts - self.means.unsqueeze(1)).sum(0)
        others = (off.sum(0) - off) / (self.draws - 1)
        return torch.cat([parts, others.unsqueeze(0)])

    def part_means(self, parameters: Tensors) -> Float[Tensor, "H R *data"]:
        """E h of each part, at parameters with one leading axis."""
        moments = law_moments(self.gradients.problem, parameters)
        assert moments is not None
        return self.model.means(*moments)

    def of(self, function: Parts, expanded: Tensors) -> Iterator[Float[Tensor, "R P"]]:
        """The gradient in θ of each part."""
        value, pull, *_ = torch.func.vjp(function, expanded)
        for part in range(len(value)):
            only = torch.zeros_like(value)
            only[part] = 1
            yield self.gradients.pulled(pull(only)[0])


@dataclass
class Adjustment:
    """Draws adjusted estimates, and keeps the moments of their covariates.

    `weights`: β, `[H, P]`. `gain`: the ratio of the variances of plain and adjusted estimates.
    """

    covariates: Covariates
    weights: Float[Tensor, "H P"]
    gain: float
    floor: Float[Tensor, " P"]
    seen: Moments = field(init=False)

    def __post_init__(self) -> None:
        self.seen = Moments.none(self.weights.numel())

    def __call__(self, replicates: int) -> Float[Tensor, "R P"]:
        """The adjusted estimates; counts draws that an estimator takes beyond K, or fails to take, as they come."""
        x, z = estimates_and_draws(self.covariates.gradients, replicates)
        if z is None:
            return x
        a = self.covariates(z)
        self.seen = self.seen + Moments.of(a.flatten(1))
        return x - (self.weights * a).sum(1)

    def tempered(self, gain: float) -> "Adjustment":
        """The same with a smaller gain, `gain`, if that is enough: a part ε of what the covariates explain is left.

        The rest of an estimate whose model fits has heavy tails, and a test of its mean needs 25 κ replicates; left in
        it, a little of the plain noise makes it nearly as light as the estimate was. Its variance is ρ + ε² (1 − ρ),
        with ρ = 1/gain.
        """
        if gain >= self.gain:
            return self
        rest = 0.0 if self.gain == inf else 1 / self.gain
        left = ((1 / gain - rest) / (1 - rest)) ** 0.5
        return Adjustment(self.covariates, (1 - left) * self.weights, gain, self.floor)

    def alarm(self, level: float) -> str | None:
        """Returns a sentence if the covariates' own mean is not zero, so that q's draws do not follow its density.

        Coordinates that rest on too few outcomes are not tested.
        """
        spread, kinds = np.sqrt(self.seen.variance), len(self.weights)
        tested = spread > np.tile(self.floor.double().cpu().numpy(), kinds)
        tested &= self.seen.count >= MIN_OUTCOMES * self.seen.kurtosis
        rare = rare_outcomes(self.covariates.gradients, self.seen.count)
        if rare is not None:
            tested &= ~np.tile(rare, kinds)
        if not tested.any():
            return None
        z = hall(self.seen.mean[tested], spread[tested], self.seen.skewness[tested], self.seen.count)
        if float(np.min(two_sided(z))) * tested.sum() > level:
            return None
        return "the draws of q do not follow its density: scores of a known function do not average to zero"


def adjustment(
    gradients: Gradients, chunk: int, seed_of: Callable[[str], int], floor: Float[np.ndarray, " P"]
) -> Adjustment | None:
    """Fits a model and chooses the coefficients on pilot replicates.

    None where draws or moments are not known, and where model or pilot replicates are too large (`LARGEST`).

    Args:
        gradients: Eager gradients of the cell.
        chunk: Replicates drawn together.
        seed_of: The seed of a named stage.
        floor: The rounding error of an estimate, per coordinate.
    """
    torch.manual_seed(seed_of("pilot"))
    _, z = estimates_and_draws(gradients, 2)
    model = None if z is None else fitted_model(gradients.problem, z.dtype, z.device)
    if z is None or model is None:
        return None
    covariates = Covariates(gradients, model, len(z))
    if PILOT * covariates.known.numel() > LARGEST:
        return None
    x, a = pilot(covariates, chunk, seed_of)
    if not bool(x.isfinite().all() & a.isfinite().all()):
        return None
    low = torch.as_tensor(ABOVE_ROUNDING * floor).to(a)
    rare = rare_outcomes(gradients, len(x) // 2)
    few = torch.zeros_like(low, dtype=torch.bool) if rare is None else torch.as_tensor(rare, device=a.device)
    half = len(x) // 2
    trial = regression(x[:half], a[:half], low, few)
    plain, rest = (float(each[half:].var(0).sum()) for each in (x, x - (trial * a).sum(1)))
    gain = plain / rest if rest > 0 else inf
    return Adjustment(covariates, regression(x, a, low, few), gain, low)


def pilot(covariates: Covariates, chunk: int, seed_of: Callable[[str], int]) -> tuple[Tensor, Tensor]:
    """Estimates `[R, P]` and their covariates `[R, H, P]`, with separate seeds."""
    parts = []
    for index in range(-(-PILOT // chunk)):
        torch.manual_seed(seed_of(f"pilot {index}"))
        x, z = estimates_and_draws(covariates.gradients, chunk)
        assert z is not None
        parts.append((x, covariates(z)))
    estimates, values = zip(*parts, strict=True)
    return torch.cat(estimates), torch.cat(values)


def regression(
    x: Float[Tensor, "R P"], a: Float[Tensor, "R H P"], floor: Float[Tensor, " P"], rare: Bool[Tensor, " P"]
) -> Float[Tensor, "H P"]:
    """The coefficients of least squares of x on the covariates a, per coordinate.

    Covariates that vary by no more than `floor` are rounding and get 0. Coordinates that rest on few outcomes, `rare`
    or by their kurtosis, get the coefficients of all coordinates together.
    """
    off, apart = a - a.mean(0), x - x.mean(0)
    square = off.square()
    spread = square.mean(0).sqrt()
    heavy = square.square().mean(0) * PER_KURTOSIS > len(x) * spread**4
    scale = torch.where(spread > floor, 1 / spread, 0)
    gram = torch.einsum("rhp,rgp->phg", off, off) / len(x)
    right = torch.einsum("rhp,rp->ph", off, apart) / len(x)
    alone = solved(gram * scale.T.unsqueeze(-1) * scale.T.unsqueeze(-2), right * scale.T).T * scale
    size = gram.sum(0).diagonal().clamp_min(torch.finfo(x.dtype).tiny).rsqrt()
    pooled = solved(gram.sum(0) * size[:, None] * size, right.sum(0) * size) * size
    return torch.where(heavy.any(0) | rare, torch.where(scale > 0, pooled[:, None], 0), alone)


def solved(correlation: Float[Tensor, "*n H H"], right: Float[Tensor, "*n H"]) -> Float[Tensor, "*n H"]:
    """The coefficients of covariates with these correlations; 0 for those without variance."""
    dead = torch.diag_embed((correlation.diagonal(0, -2, -1) == 0).to(correlation))
    ridge = RIDGE_OF_PARTS * torch.eye(correlation.shape[-1]).to(correlation)
    return torch.linalg.solve(correlation + dead + ridge, right)
