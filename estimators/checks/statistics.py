"""Tests of the mean of thousands of estimates, with high power and few false alarms."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from estimators.checks.cases import Case, as_vectors
from estimators.checks.failure import CheckFailed
from estimators.core import Estimator, Fitted

Draw = Callable[[int, int], Tensor]
"""(replicates, seed) → independent estimates `[R, P]`."""

FIRST_REPLICATES = 4096
MAX_REPLICATES = 400_000
CHUNK_REPLICATES = 16_384

CHECK_LIMIT = 5.0
"""Limit in standard errors. A first sample beyond it is repeated with fresh draws before the check fails."""

RESOLUTION = 0.025
"""Target standard error of the mean, relative to ‖exact‖: a bias of a sixth cannot hide."""

FIT_STEPS = 10


def tuned(estimator: Estimator, case: Case, n: int, seed: int) -> Estimator:
    """Returns the estimator itself, or a copy after a few fitting steps if it can be fitted."""
    if not isinstance(estimator, Fitted) or estimator.state is not None:
        return estimator
    torch.manual_seed(seed)
    return estimator.fit(case.q(), case.f, n, FIT_STEPS)


def estimates(estimator: Estimator, case: Case, n: int, replicates: int, seed: int) -> Float[Tensor, "R P"]:
    """Returns independent estimates, all drawn at once."""
    return values_and_estimates(estimator, case, n, replicates, seed)[1]


def values_and_estimates(
    estimator: Estimator, case: Case, n: int, replicates: int, seed: int
) -> tuple[Float[Tensor, " R"], Float[Tensor, "R P"]]:
    """Returns the surrogate's values and the estimates of independent replicates."""
    torch.manual_seed(seed)

    def summed(values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        surrogate = estimator.surrogate(case.build(**values), case.f, n)
        return surrogate.sum(), surrogate.detach()

    gradient, value = torch.func.grad(summed, has_aux=True)(case.at(replicates))
    return value, as_vectors(gradient, 1)


@dataclass(frozen=True)
class Difference:
    """Mean estimate − exact, with standard errors: per coordinate, and last along the exact gradient (Q = P + 1)."""

    count: int
    mean: Float[Tensor, " Q"]
    error: Float[Tensor, " Q"]
    length: float
    """‖exact‖."""

    @property
    def worst(self) -> float:
        """The largest entry in standard errors; an entry without variance counts as 0 or, beyond rounding, infinite."""
        floor = 1e-9 * (1 + self.length)
        still = self.error < floor / 1e3
        constant = torch.where(self.mean.abs() > floor, torch.inf, 0.0).to(self.mean)
        return float(torch.where(still, constant, self.mean.abs() / self.error.clamp_min(1e-300)).max())

    @property
    def resolved(self) -> float:
        """The standard error of the whole mean, relative to ‖exact‖."""
        return float(self.error[:-1].norm()) / self.length


def difference(draw: Draw, exact: Float[Tensor, " P"], count: int, seed: int) -> Difference:
    """Returns the difference over `count` estimates or a few more, drawn in chunks."""
    direction = exact / exact.norm()
    total, square, drawn = exact.new_zeros(len(exact) + 1), exact.new_zeros(len(exact) + 1), 0
    while drawn < count:
        x = draw(min(CHUNK_REPLICATES, max(count - drawn, 256)), seed * 7919 + drawn) - exact
        x = torch.cat([x, (x @ direction).unsqueeze(-1)], 1)
        total, square, drawn = total + x.sum(0), square + x.square().sum(0), drawn + len(x)
    mean = total / drawn
    error = ((square / drawn - mean.square()).clamp_min(0) / drawn).sqrt()
    return Difference(drawn, mean, error, float(exact.norm()))


def precise(draw: Draw, exact: Float[Tensor, " P"], seed: int, resolution: float = RESOLUTION) -> Difference:
    """Returns the difference over as many estimates as reduce the standard error to `resolution` of ‖exact‖."""
    first = difference(draw, exact, FIRST_REPLICATES, seed)
    needed = int(first.count * (first.resolved / resolution) ** 2) + 1
    return first if needed <= first.count else difference(draw, exact, min(needed, MAX_REPLICATES), seed + 1)


def require_mean(draw: Draw, exact: Float[Tensor, " P"], where: str, seed: int) -> None:
    """Raises `CheckFailed`, with the numbers, if the mean of the estimates from `draw` is not `exact`.

    A deviation is tested again with fresh draws, and only a repeated one fails: a false alarm has probability 1e-10. An
    estimator so noisy that a bias could hide fails too.
    """
    found = precise(draw, exact, seed)
    if found.worst > CHECK_LIMIT:
        again = difference(draw, exact, found.count, seed + 2)
        if again.worst > CHECK_LIMIT:
            mean = [f"{value:.4g}" for value in (exact + again.mean[:-1]).tolist()]
            raise CheckFailed(
                f"{where}: the mean of {again.count} estimates is off by {again.worst:.1f} standard errors: "
                f"{', '.join(mean)}, and the exact gradient is {', '.join(f'{value:.4g}' for value in exact.tolist())}"
            )
    if found.resolved > 3 * RESOLUTION:
        raise CheckFailed(
            f"{where}: too noisy to test the mean: {found.count} estimates have a standard error of "
            f"{found.resolved:.2g} of the gradient"
        )


def require_twice(found: Callable[[int], str | None], seed: int, where: str) -> None:
    """Raises `CheckFailed` with the sentence that `found(seed)` returns, if fresh draws return a sentence as well.

    The error of a variance is itself uncertain for heavy tails: one sample in some thousands is off by chance.
    """
    if found(seed) and (again := found(seed + 1_000_003)):
        raise CheckFailed(f"{where}: {again}")


def relative_variance_error(sample: Float[Tensor, "R P"]) -> float:
    """Returns the standard error of the trace of the covariance, relative to the trace."""
    squared = (sample - sample.mean(0)).square().sum(1)
    return float(squared.std() / squared.mean() / len(sample) ** 0.5)
