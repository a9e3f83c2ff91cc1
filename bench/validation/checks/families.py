"""Checks of a distribution family: shapes, coordinates, independent replicates, draws that follow the density."""

import pickle
from collections.abc import Callable
from dataclasses import fields

import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor
from torch.distributions import Distribution

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.problems.theta import as_vector
from bench.statistics.tails import MIN_OUTCOMES
from estimators.checks.failure import require
from estimators.checks.statistics import CHECK_LIMIT
from estimators.tools.parameters import states, support
from estimators.tools.steps_checks import steps_refused

FAMILY_DRAWS = 20_000

MAX_CHECKED_STATES = 4096
"""Maximum number of outcomes of a draw for which a variance is summed over all outcomes."""


def check_frozen_and_pickles(family: Family, seed: int) -> None:
    """Checks that families with equal settings are equal and share a hash, and that the family survives pickling."""
    require(type(family).__dataclass_params__.frozen, f"{family!r} is not frozen")  # type: ignore[attr-defined]
    twin = type(family)(**{each.name: getattr(family, each.name) for each in fields(family) if each.init})
    require(twin == family and hash(twin) == hash(family), f"{family!r} differs from a family with the same settings")
    require(pickle.loads(pickle.dumps(family)) == family, f"{family!r} came back changed from pickling")


def check_default_point(family: Family, seed: int) -> None:
    """Checks that θ is float64, finite, and neither zero nor constant, because symmetric points hide errors."""
    for coordinates in family.coordinates:
        theta = family.theta(family.points[0], coordinates)
        values = as_vector(theta)
        require(values.dtype == torch.float64, f"θ is {values.dtype} in {coordinates} coordinates, not float64")
        require(bool(values.isfinite().all()), f"θ is not finite in {coordinates} coordinates: {theta}")
        require(bool(values.abs().max() > 0), f"θ is zero in {coordinates} coordinates")
        alike = values.numel() > 1 and bool((values == values[0]).all())
        require(not alike, f"θ is {float(values[0])} in every place: a symmetric point hides errors")


def check_coordinates_agree(family: Family, seed: int) -> None:
    """Checks that the default θ gives the same distribution in all coordinate systems of the family."""
    found = [default_parameters(family, coordinates) for coordinates in family.coordinates]
    z = seeded_draw(expanded(family, 50), seed)
    for other, coordinates in zip(found[1:], family.coordinates[1:], strict=True):
        if family.tractable_density:
            differences = [family.build(found[0]).log_prob(z) - family.build(other).log_prob(z)]
        else:
            differences = [value - other[name] for name, value in found[0].items()]
        apart = max(float(each.abs().max()) for each in differences)
        require(apart < 1e-8, f"q differs by {apart:.2g} between {family.coordinates[0]} and {coordinates} coordinates")


def check_leading_axes(family: Family, seed: int) -> None:
    """Checks that leading axes of the parameters become batch axes of draws and densities, in both dtypes."""
    own = family.build(default_parameters(family)).batch_shape
    require(len(own) == family.data_axes, f"one θ gives batch {tuple(own)}; it has {family.data_axes} data axes")
    for batch in ((3,), (2, 3)):
        for dtype in (torch.float32, torch.float64):
            q = expanded(family, *batch, dtype=dtype)
            z = q.sample((4,))
            require(q.batch_shape == (*batch, *own), f"leading axes {batch} give batch {tuple(q.batch_shape)}")
            require(z.shape == (4, *q.batch_shape, *q.event_shape), f"draws have shape {tuple(z.shape)}")
            require(z.dtype == dtype, f"{dtype} parameters give {z.dtype} draws")
            if family.tractable_density:
                shape = q.log_prob(z).shape
                require(shape == (4, *q.batch_shape), f"the log-density has shape {tuple(shape)}")


def check_draws_are_independent(family: Family, seed: int) -> None:
    """Checks that the replicates of a batch are independent, and that a seed repeats the draws."""
    q = expanded(family, FAMILY_DRAWS)
    first, again = (seeded_draw(q, seed) for _ in range(2))
    require(torch.equal(first, again), "one seed gave two sets of draws")
    x = first.reshape(FAMILY_DRAWS, -1)[:, :200]
    if not bool((x.std(0) > 0).any()):
        require(surely_the_same(family, q, first), "every replicate drew the same value")
        return
    x = torch.from_numpy(rankdata(x, axis=0)) if not family.discrete else x  # ranks: some draws have no variance
    x = (x - x.mean(0)) / x.std(0).clamp_min(1e-12)
    x = x[:, x.pow(4).mean(0) < 20]  # rare outcomes give no information
    if not x.shape[1]:
        return
    for lag in (1, FAMILY_DRAWS // 2):
        product = x * x.roll(lag, 0)
        z = float((product.mean(0).abs() / product.std(0).clamp_min(1e-12)).max()) * (FAMILY_DRAWS / 2) ** 0.5
        require(z < CHECK_LIMIT + 1, f"replicates {lag} apart correlate ({z:.1f} standard errors)")


def check_draws_follow_the_density(family: Family, seed: int) -> None:
    """Checks that the score of the draws has mean zero, as it has under the declared density."""
    if not family.tractable_density:
        return
    values = {name: value.expand(FAMILY_DRAWS, *value.shape) for name, value in default_parameters(family).items()}
    z = seeded_draw(family.build(values), seed)

    zero_mean(
        replicate_scores(family, values, z),
        "the score of the draws",
        lambda name: score_variance(family, values, z, name),
    )


def check_path(family: Family, seed: int) -> None:
    """Checks that the pathwise gradient and the score-function gradient of a bounded function agree."""
    q = family.build(default_parameters(family))
    if family.reparameterised and not family.discrete:
        require(q.has_rsample, "declared reparameterised, but it has no rsample")
    if not (family.reparameterised and family.tractable_density):
        return
    values = {name: value.expand(FAMILY_DRAWS, *value.shape) for name, value in default_parameters(family).items()}

    def bounded(z: Tensor) -> Tensor:
        return (1.3 * z).sin().flatten(len(q.batch_shape) + 1).sum(-1) if q.event_shape else (1.3 * z).sin()

    def apart(values: Tensors) -> Tensor:
        q = family.build(values)
        torch.manual_seed(seed)
        z = q.rsample()
        held = z.detach()
        return (bounded(z) - bounded(held) * q.log_prob(held)).sum()

    zero_mean(torch.func.grad(apart)(values), "the path's gradient minus the score's")


def check_weighted_support(family: Family, seed: int) -> None:
    """Checks that the density integrates to 1 over the weighted support, which must not depend on θ."""
    try:
        z, weight = family.line(default_parameters(family), (), 1)
    except NotImplementedError:
        return
    mass = family.mass(default_parameters(family), z, weight)
    off = float((mass.sum(0) - 1).abs().max())
    require(off < 1e-6, f"the density sums to 1 ± {off:.2g} over the weighted support")
    require(not z.requires_grad and not weight.requires_grad, "the weighted support carries a gradient")


def check_steps(family: Family, seed: int) -> None:
    """Checks that the steps that the distribution declares, if any, are those of its density."""
    for reason in steps_refused(expanded(family, 3)).values():
        require(False, reason)


def default_parameters(family: Family, coordinates: str | None = None) -> Tensors:
    """Returns the distribution's parameters at the default θ."""
    coordinates = coordinates or family.coordinates[0]
    return family.encode(family.theta(family.points[0], coordinates), coordinates)


def expanded(family: Family, *batch: int, dtype: torch.dtype = torch.float64) -> Distribution:
    """Returns the distribution at the default θ with batch shape `batch`, as in a measurement."""
    return family.build(
        {n: value.to(dtype).expand(*batch, *value.shape) for n, value in default_parameters(family).items()}
    )


def seeded_draw(q: Distribution, seed: int) -> Tensor:
    """Returns one sample of q, drawn after seeding torch."""
    torch.manual_seed(seed)
    return q.sample()


def zero_mean(replicates: Tensors, what: str, variance: Callable[[str], Tensor] | None = None) -> None:
    """Raises CheckFailed if a coordinate's mean over the first axis differs from zero by more than chance.

    A mean that depends on few outcomes has no valid t-statistic: if a rare outcome was never drawn, the values are
    constant, or a few hundred small ones of one sign (the visits of a prefix after which a rare token never came). For
    such a coordinate the variance under the density, `variance(name)`, is used; if it is not known, a mean of few
    outcomes is not checked.

    Args:
        replicates: Values by name, `[R, …]`.
        what: Name of the quantity in the message.
        variance: From a name to the variances under the density, `[P]`.
    """
    for name, value in replicates.items():
        x = value.flatten(1)
        spread, few = x.var(0), outcomes_behind(x) < MIN_OUTCOMES
        if variance:
            few = few | (outcomes_of_rarer_sign(x) < MIN_OUTCOMES)
        if few.any():
            said = variance(name) if variance else torch.full_like(spread, torch.inf)
            spread = torch.where(few, torch.maximum(spread, said), spread)
        z = float(deviations(x, spread).max())
        require(z < CHECK_LIMIT + 1, f"{what} has mean {z:.1f} standard errors from zero in {name}")


def outcomes_behind(x: Float[Tensor, "R P"]) -> Float[Tensor, " P"]:
    """Returns the effective number of replicates behind a column's variance: (Σ |x − m|)² ÷ Σ (x − m)², m the median.

    >>> rare = torch.zeros(1000, 1).index_fill(0, torch.arange(7), 1.0)
    >>> outcomes_behind(rare)
    tensor([7.])
    """
    apart = (x - x.median(0).values).abs()
    return effective_number(torch.where(apart > 1e-12 * x.abs().amax(0), apart, 0))


def outcomes_of_rarer_sign(x: Float[Tensor, "R P"]) -> Float[Tensor, " P"]:
    """Returns the effective number of replicates behind a column's positive or negative values, whichever is smaller.

    >>> never_drawn = torch.zeros(1000, 1).index_fill(0, torch.arange(400), -1.0)
    >>> outcomes_behind(never_drawn), outcomes_of_rarer_sign(never_drawn)
    (tensor([400.]), tensor([0.]))
    """
    return torch.minimum(effective_number(x.clamp_min(0)), effective_number(x.clamp_max(0)))


def effective_number(size: Float[Tensor, "R P"]) -> Float[Tensor, " P"]:
    """Returns (Σ x)² ÷ Σ x² of each column of values of one sign."""
    return size.sum(0).square() / size.square().sum(0).clamp_min(torch.finfo(size.dtype).tiny)


def deviations(x: Float[Tensor, "R P"], variance: Float[Tensor, " P"]) -> Float[Tensor, " P"]:
    """Returns each column's mean in standard errors, which Bernstein's inequality enlarges if single values are large.

    P(mean > t) < exp(−t² / 2(v + M t/3)), v the variance of the mean and M the largest value's share in it.
    """
    mean, error = x.mean(0).abs(), (variance / len(x)).sqrt().clamp_min(1e-12)
    largest = (x - x.mean(0)).abs().amax(0) / len(x)
    return mean / (error.square() + largest * mean / 3).sqrt()


def replicate_scores(family: Family, values: Tensors, z: Tensor) -> Tensors:
    """Returns ∇ log q(z) in every replicate's own parameters, `[R, …]`."""
    return torch.func.grad(lambda values: family.build(values).log_prob(z).sum())(values)


def score_variance(family: Family, values: Tensors, z: Tensor, name: str) -> Float[Tensor, " P"]:
    """Returns the variance of the score under the density.

    It is a sum over all outcomes if these are at most `MAX_CHECKED_STATES`. Else it is the mean of −∂² log q / ∂θ²,
    which in logits is the same for every draw, so that it includes outcomes that were never drawn.
    """
    one = {key: value[:1] for key, value in values.items()}
    q = family.build({key: value[0] for key, value in one.items()})
    count = states(q)
    if count is not None and count <= MAX_CHECKED_STATES:
        every = {key: value.expand(count, *value.shape[1:]) for key, value in one.items()}
        z = support(q)
        mass, x = family.build(every).log_prob(z).exp(), replicate_scores(family, every, z)[name]
        return (mass.reshape(*mass.shape, *(1 for _ in x.shape[mass.dim() :])) * x.square()).sum(0).flatten()
    width = values[name][0].numel()
    return torch.stack([curvature(family, values, z, name, at) for at in range(width)])


def curvature(family: Family, values: Tensors, z: Tensor, name: str, at: int) -> Tensor:
    """Returns the mean of −∂² log q / ∂θ² in one coordinate, at least 0."""
    tangent = {key: torch.zeros_like(value) for key, value in values.items()}
    tangent[name] = torch.zeros_like(values[name]).flatten(1).index_fill(1, torch.tensor([at]), 1).view_as(values[name])
    own = {key: value.clone() for key, value in values.items()}  # forward mode refuses expanded tensors
    _, second, *_ = torch.func.jvp(lambda values: replicate_scores(family, values, z), (own,), (tangent,))
    return -second[name].flatten(1)[:, at].mean().clamp_max(0)


def surely_the_same(family: Family, q: Distribution, drawn: Tensor) -> bool:
    """Returns True if so many equal draws are probable under the density, because all outcomes except one are rare."""
    if not (family.discrete and family.tractable_density):
        return False
    return float(-q.log_prob(drawn).sum()) < CHECK_LIMIT**2


FAMILY_CHECKS = (
    check_frozen_and_pickles,
    check_default_point,
    check_coordinates_agree,
    check_leading_axes,
    check_draws_are_independent,
    check_draws_follow_the_density,
    check_path,
    check_weighted_support,
    check_steps,
)
