"""Estimates by the thousand, and what may be said of their mean: a test with power and with few false alarms."""

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
"""Standard errors: a first look beyond it asks for a second, with fresh draws, before anything is said."""

RESOLUTION = 0.025
"""Standard error of the mean that is drawn for, relative to ‖exact‖: a bias of a sixth cannot hide."""

FIT_STEPS = 10


def tuned(estimator: Estimator, case: Case, n: int, seed: int) -> Estimator:
    """The estimator itself, or a copy tuned for a few steps where it has something to tune."""
    if not isinstance(estimator, Fitted) or estimator.state is not None:
        return estimator
    torch.manual_seed(seed)
    return estimator.fit(case.q(), case.f, n, FIT_STEPS)


def estimates(estimator: Estimator, case: Case, n: int, replicates: int, seed: int) -> Float[Tensor, "R P"]:
    """Independent estimates, all drawn at once."""
    return values_and_estimates(estimator, case, n, replicates, seed)[1]


def values_and_estimates(
    estimator: Estimator, case: Case, n: int, replicates: int, seed: int
) -> tuple[Float[Tensor, " R"], Float[Tensor, "R P"]]:
    """The surrogate's values and the estimates, of independent replicates."""
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
        """The largest, in standard errors; one without variance is 0 or, beyond rounding, infinite."""
        floor = 1e-9 * (1 + self.length)
        still = self.error < floor / 1e3
        constant = torch.where(self.mean.abs() > floor, torch.inf, 0.0).to(self.mean)
        return float(torch.where(still, constant, self.mean.abs() / self.error.clamp_min(1e-300)).max())

    @property
    def resolved(self) -> float:
        """The standard error of the whole mean, relative to ‖exact‖."""
        return float(self.error[:-1].norm()) / self.length


def difference(draw: Draw, exact: Float[Tensor, " P"], count: int, seed: int) -> Difference:
    """From `count` estimates or a few more, in chunks."""
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
    """From as many estimates as take the standard error to `resolution` of ‖exact‖."""
    first = difference(draw, exact, FIRST_REPLICATES, seed)
    needed = int(first.count * (first.resolved / resolution) ** 2) + 1
    return first if needed <= first.count else difference(draw, exact, min(needed, MAX_REPLICATES), seed + 1)


def require_mean(draw: Draw, exact: Float[Tensor, " P"], where: str, seed: int) -> None:
    """Raises `CheckFailed`, with the numbers, where the mean of what `draw` gives is not `exact`.

    What looks wrong is drawn again, and only what is wrong twice fails: a false alarm is a chance of 1e-10.
    Neither does it pass what is so noisy that a bias could hide.
    """
    found = precise(draw, exact, seed)
    if found.worst > CHECK_LIMIT:
        again = difference(draw, exact, found.count, seed + 2)
        if again.worst > CHECK_LIMIT:
            mean = [f"{value:.4g}" for value in (exact + again.mean[:-1]).tolist()]
            raise CheckFailed(
                f"{where}: the mean of {again.count} estimates is off by {again.worst:.1f} standard errors: "
                f"{', '.join(mean)} where the exact gradient is {', '.join(f'{value:.4g}' for value in exact.tolist())}"
            )
    if found.resolved > 3 * RESOLUTION:
        raise CheckFailed(
            f"{where}: so noisy that {found.count} estimates resolve {found.resolved:.2g} of the gradient only; "
            "nothing can be said of the mean"
        )


def require_twice(found: Callable[[int], str | None], seed: int, where: str) -> None:
    """Raises `CheckFailed` with what `found(seed)` says is wrong, if fresh draws say it too.

    The error of a variance is itself a guess where tails are heavy: one look in some thousands is off by chance.
    """
    if found(seed) and (again := found(seed + 1_000_003)):
        raise CheckFailed(f"{where}: {again}")


def relative_variance_error(sample: Float[Tensor, "R P"]) -> float:
    """The standard error of the trace of the covariance, relative to it."""
    squared = (sample - sample.mean(0)).square().sum(1)
    return float(squared.std() / squared.mean() / len(sample) ** 0.5)
