"""The mean of an estimate, adjusted by what is known to have mean zero; the variance stays that of the estimates.

With a fitted model f̂ of the objective, in parts h, and the draws z_1 … z_K of q that an estimate ĝ is made from,

    A_h = 1/K Σ_k [h(z_k) ∇θ log q(z_k) − ∇θ E h(z)]

has mean zero, because the score function is unbiased, whatever the estimator does with its draws. So ĝ − Σ_h β_h A_h
has the mean of ĝ, bias included, and often a small part of its noise. K is fixed beforehand: where an estimator stops
drawing on a condition, Σ_k still has mean zero (Wald 1944), an average over the draws would not.

Where these few covariates gain too little, more of them (*detailed*) follow what an estimator does with its draws. It
may use half of them for the score and the other half for a baseline, or draw in two calls: each half has its A_h. It
may pair them: each distance l in their order has Σ_k (f̂(z_{k+l}) − E f̂) ∇θ log q(z_k). Where z has few values, how
often each came up, less its probability, explains any average over draws.

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

from bench.measure.accuracy.fitted_model import LARGEST_MODEL, FittedModel, fitted_model, law_moments
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

FEW_SAMPLES = 8
"""Up to this number of draws an estimate may have detailed covariates: there are 2 (K − 1) distances in their order."""

COMES_UP = 8
"""A value of z has a covariate if it is expected to come up so often in half of the pilot replicates."""


Parts = Callable[[Tensors], Tensor]
"""Parameters `[R, …]` → a value per part and replicate, `[H, R]`."""


class Covariates:
    """The covariates of a model: `Covariates(…)(z)` is `[R, C, P]`; `draws` is K.

    They are A_h for each part h and, where K draws of q are independent and K > 1, the product of each draw's score
    with the other draws' mean of f̂ − E f̂, as a baseline from the other draws makes it. `detailed`: A_h of each half of
    the draws, a product for each distance in their order, and the values of z if they are few.
    """

    def __init__(self, gradients: Gradients, model: FittedModel, draws: int, *, detailed: bool = False) -> None:
        self.gradients, self.model, self.draws, self.detailed = gradients, model, draws, detailed
        self.crossed = draws > 1 and Need.INDEPENDENT_DRAWS in gradients.offer.needs
        alone = gradients.expanded(1)
        self.means = self.part_means(alone).detach()
        self.known = torch.stack(list(self.of(lambda p: gradients.problem.reduce(self.part_means(p)), alone)), 1)
        self.chances = self.frequent(alone) if detailed and model.table else None

    def __call__(self, z: Float[Tensor, "K R ..."]) -> Float[Tensor, "R C P"]:
        problem, expanded = self.gradients.problem, self.gradients.expanded(z.shape[1])
        log_q, pull, *_ = torch.func.vjp(lambda parameters: problem.build(parameters).log_prob(z), expanded)
        total, share, *_ = torch.func.vjp(problem.reduce, log_q[0])
        each = share(torch.ones_like(total))[0] / self.draws
        factors = self.factors(z.reshape(*log_q.shape, -1))
        a = torch.stack([self.gradients.pulled(pull(factor * each)[0]) for factor in factors], 1)
        shares = self.groups(len(z)).sum(1).to(a) / self.draws
        a[:, : len(shares) * self.known.shape[1]] -= (shares[:, None, None] * self.known).flatten(0, 1)
        if self.chances is None:
            return a
        return torch.cat([a, self.came_up(z.flatten(2)).expand(*a.shape[:1], -1, a.shape[2])], 1)

    def groups(self, count: int) -> Bool[Tensor, "G K"]:
        """Which of `count` draws are taken together: all of them or, of detailed covariates, each half of K."""
        first = torch.arange(count) < self.draws / 2
        halves = self.detailed and self.draws > 1
        return torch.stack([first, ~first] if halves else [torch.ones_like(first)])

    def factors(self, z: Float[Tensor, "K R *data D"]) -> Float[Tensor, "C K R *data"]:
        """The factor of each draw's score, per covariate of scores."""
        parts = self.model.parts(z)
        own = [parts * group.to(parts).reshape(-1, *(1 for _ in parts.shape[2:])) for group in self.groups(len(z))]
        if not self.crossed:
            return torch.cat(own)
        off = (parts - self.means.unsqueeze(1)).sum(0)
        if not self.detailed:
            return torch.cat([*own, ((off.sum(0) - off) / (self.draws - 1)).unsqueeze(0)])
        return torch.cat([*own, torch.stack([following(off, lag) for lag in self.lags()])])

    def lags(self) -> list[int]:
        """The distances between two of K draws, in their order."""
        return [lag for lag in range(1 - self.draws, self.draws) if lag]

    def frequent(self, alone: Tensors) -> Float[Tensor, "S 1"]:
        """The probabilities of the values of z; 0 for those that are too rare for a covariate."""
        assert self.model.table is not None
        found = self.model.table.chances(self.gradients.problem.build(alone)).detach()
        return torch.where(found * self.draws * PILOT / 2 >= COMES_UP, found, 0)

    def came_up(self, z: Float[Tensor, "K R D"]) -> Float[Tensor, "R S 1"]:
        """How often each value of z came up, less how often it was expected, in units of K draws."""
        assert self.model.table is not None and self.chances is not None
        seen = self.model.table.shown(z).sum(1) - len(z) * self.chances
        return torch.where(self.chances > 0, seen / self.draws, 0).T.unsqueeze(-1)

    def part_means(self, parameters: Tensors) -> Float[Tensor, "H R *data"]:
        """E h of each part, at parameters with one leading axis."""
        moments = law_moments(self.gradients.problem, parameters)
        assert moments is not None
        return self.model.means(self.gradients.problem.build(parameters), *moments)

    def of(self, function: Parts, expanded: Tensors) -> Iterator[Float[Tensor, "R P"]]:
        """The gradient in θ of each part."""
        value, pull, *_ = torch.func.vjp(function, expanded)
        for part in range(len(value)):
            only = torch.zeros_like(value)
            only[part] = 1
            yield self.gradients.pulled(pull(only)[0])


def following(off: Float[Tensor, "K ..."], lag: int) -> Float[Tensor, "K ..."]:
    """The entry `lag` places further in the order of the draws; 0 where there is none.

    >>> following(torch.tensor([1.0, 2.0, 3.0]), 1), following(torch.tensor([1.0, 2.0, 3.0]), -2)
    (tensor([2., 3., 0.]), tensor([0., 0., 1.]))
    """
    whole = torch.zeros_like(off)
    to, of = (slice(None, -lag), slice(lag, None)) if lag > 0 else (slice(-lag, None), slice(None, lag))
    whole[to] = off[of]
    return whole


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
    gradients: Gradients,
    chunk: int,
    seed_of: Callable[[str], int],
    floor: Float[np.ndarray, " P"],
    *,
    detailed: bool = False,
) -> Adjustment | None:
    """Fits a model and chooses the coefficients on pilot replicates.

    None where draws or moments are not known, and where model or pilot replicates are too large (`LARGEST_MODEL`).

    Args:
        gradients: Eager gradients of the cell.
        chunk: Replicates drawn together.
        seed_of: The seed of a named stage.
        floor: The rounding error of an estimate, per coordinate.
        detailed: Whether the model and its covariates are detailed; None for more than `FEW_SAMPLES` draws.
    """
    torch.manual_seed(seed_of("pilot"))
    _, z = estimates_and_draws(gradients, 2)
    if z is None or (detailed and len(z) > FEW_SAMPLES):
        return None
    model = fitted_model(gradients.problem, z.dtype, z.device, detailed=detailed)
    if model is None:
        return None
    covariates = Covariates(gradients, model, len(z), detailed=detailed)
    if PILOT * covariates.known.numel() > LARGEST_MODEL:
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
