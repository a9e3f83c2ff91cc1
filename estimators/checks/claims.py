"""Checks of an estimator's claims about its mean, value and variance, against exact gradients."""

import torch
from torch import Tensor

from estimators.checks.cases import Scaled, draws, fitting_cases, truth
from estimators.checks.contract import shifted
from estimators.checks.failure import require
from estimators.checks.statistics import (
    CHECK_LIMIT,
    difference,
    estimates,
    precise,
    relative_variance_error,
    require_mean,
    require_twice,
    tuned,
    values_and_estimates,
)
from estimators.core import Estimator, Function
from estimators.score_function import Reinforce

REPLICATES = 4096
CALLS, EACH = 32, 64
OFFSET = torch.tensor(5.0, dtype=torch.float64)


def check_unbiased(estimator: Estimator, seed: int) -> None:
    """Declared unbiased: the mean is the exact gradient on every problem that fits, fitted or not.

    Uses the smallest number of draws, where a baseline that contains the current draw shrinks the gradient most.
    """
    if not estimator.traits.unbiased:
        return
    n = draws(estimator, 1)
    for case in fitting_cases(estimator):
        ready = tuned(estimator, case, n, seed)
        exact = truth(case)[1]
        require_mean(lambda count, s: estimates(ready, case, n, count, s), exact, case.name, seed)  # noqa: B023


def check_unbiased_with_more_draws(estimator: Estimator, seed: int) -> None:
    """As `check_unbiased`, on one problem with more draws than the minimum.

    It finds sums in place of means, wrong pairs, and weights with a wrong n.
    """
    if not estimator.traits.unbiased:
        return
    n = draws(estimator, 5)
    for case in fitting_cases(estimator)[:1]:
        ready = tuned(estimator, case, n, seed)
        require_mean(lambda count, s: estimates(ready, case, n, count, s), truth(case)[1], case.name, seed)  # noqa: B023


def check_declared_bias(estimator: Estimator, seed: int) -> None:
    """Declared biased: some problem shows the bias, and on every problem the mean estimate still points uphill."""
    if estimator.traits.unbiased:
        return
    n, shown = draws(estimator, 1), False
    for case in fitting_cases(estimator):
        ready, exact = tuned(estimator, case, n, seed), truth(case)[1]
        found = precise(lambda count, s: estimates(ready, case, n, count, s), exact, seed)  # noqa: B023
        shown |= found.worst > CHECK_LIMIT
        along, error = float(found.mean[-1]) / found.length, float(found.error[-1]) / found.length
        scale = 1 + along
        require(
            scale > -CHECK_LIMIT * error,
            f"{case.name}: the mean estimate points against the gradient: its projection is {scale:.3f} of ‖gradient‖",
        )
    require(shown, "declared biased, but no problem shows a bias: declare it unbiased, or add a case with its bias")


def check_value(estimator: Estimator, seed: int) -> None:
    """Declared `valued`: the surrogate's value estimates E f."""
    if not estimator.traits.valued:
        return
    n = draws(estimator)
    for case in fitting_cases(estimator):
        ready = tuned(estimator, case, n, seed)

        def draw(count: int, s: int) -> Tensor:
            return values_and_estimates(ready, case, n, count, s)[0].unsqueeze(-1)  # noqa: B023

        exact = truth(case)[0].reshape(1)
        found = difference(draw, exact, REPLICATES, seed)
        if found.worst > CHECK_LIMIT:
            found = difference(draw, exact, 4 * REPLICATES, seed + 1)
        require(
            found.worst <= CHECK_LIMIT,
            f"{case.name}: the mean of the surrogate's value is {float(exact + found.mean[0]):.5g}, E f is "
            f"{float(exact):.5g} ({found.worst:.1f} standard errors)",
        )


def check_gradient_in_f(estimator: Estimator, seed: int) -> None:
    """In a parameter w of f itself, the surrogate's gradient is the plain Monte Carlo gradient.

    The objective is w·f, which is linear in w: its gradient in w is exactly the value divided by w.
    """
    if not estimator.traits.valued:
        return
    n = draws(estimator)
    for case in fitting_cases(estimator):
        ready = tuned(estimator, case, n, seed)

        def value(w: Tensor) -> Tensor:
            torch.manual_seed(seed)
            return ready.surrogate(case.q(16), Scaled(case.f, w), n).sum()  # noqa: B023

        if Scaled.fits(case.f):
            at = torch.tensor(1.0, dtype=torch.float64)
            slope, total = torch.func.grad_and_value(value)(at)
            apart = abs(float(slope - total)) / (1 + abs(float(total)))
            require(
                apart < 1e-8,
                f"{case.name}: the gradient in a parameter of f is {float(slope):.5g}, while plain Monte Carlo "
                f"with the same draws gives {float(total):.5g}",
            )


def check_replicates_are_independent(estimator: Estimator, seed: int) -> None:
    """Replicates share no noise: none coincide, neighbours do not correlate, and calls differ as much as they should.

    The last test finds noise that all replicates of one call share: it compares the variance of the calls' means with
    the variance within calls.
    """
    if estimator.traits.exact:
        return
    n = draws(estimator)
    for case in fitting_cases(estimator)[:1]:
        ready = tuned(estimator, case, n, seed)
        _uncorrelated(estimates(ready, case, n, REPLICATES, seed), case.name)
        calls = torch.stack([estimates(ready, case, n, EACH, seed * 7919 + call) for call in range(CALLS)])
        ratio = float((EACH * calls.mean(1).var(0)).sum() / calls.var(1).mean(0).sum())
        bound = 1 + 1.5 * (CHECK_LIMIT + 1) * (2 / CALLS) ** 0.5
        require(
            ratio < bound,
            f"{case.name}: replicates share noise: the variance of their mean is {ratio:.1f} times too large",
        )


def _uncorrelated(x: Tensor, where: str) -> None:
    """Requires that replicates at lags 1, 2 and half the sample do not correlate."""
    x = x - x.mean(0)
    x = x / x.std(0).clamp_min(1e-12)
    for lag in (1, 2, len(x) // 2):
        product = x * x.roll(lag, 0)
        pairs = len(x) / 2 if lag == len(x) // 2 else len(x)
        z = float((product.mean(0).abs() / product.std(0).clamp_min(1e-12)).max()) * pairs**0.5
        require(z < CHECK_LIMIT + 1, f"{where}: replicates {lag} apart correlate ({z:.1f} standard errors)")


def check_variance_falls_with_draws(estimator: Estimator, seed: int) -> None:
    """With four times the draws, the variance falls to a quarter, or below if draws are coupled.

    Skipped for a biased estimator whose minimum number of draws exceeds its step: its scale changes with n.
    """
    traits = estimator.traits
    if traits.exact or (not traits.unbiased and traits.min_samples > traits.samples_step):
        return
    few = draws(estimator, 1)
    for case in fitting_cases(estimator)[:2]:
        ready = tuned(estimator, case, few, seed)

        def found(seed: int) -> str | None:
            x, y = (estimates(ready, case, n, REPLICATES, seed + n) for n in (few, 4 * few))  # noqa: B023
            ratio, slack = _variance_ratio(y, x)
            return f"{4 * few} draws have {ratio:.2f} of the variance of {few}, not 0.25" if 4 * ratio > slack else None

        require_twice(found, seed, case.name)


def check_no_noisier_than_reinforce(estimator: Estimator, seed: int) -> None:
    """On an f with a large constant, an unbiased estimator has less variance than REINFORCE.

    A control variate of the wrong sign or size keeps the estimator unbiased: only the variance shows the error.
    """
    traits = estimator.traits
    cases = [case for case in fitting_cases(estimator) if isinstance(case.f, Function)]
    if not traits.unbiased or traits.exact or not cases:
        return
    n, case = draws(estimator), shifted(cases[0], OFFSET)
    ready = tuned(estimator, case, n, seed)

    def found(seed: int) -> str | None:
        x = estimates(ready, case, n, REPLICATES, seed)
        ratio, slack = _variance_ratio(x, estimates(Reinforce(), case, n, REPLICATES, seed + 1))
        return f"{ratio:.2f} times the variance of REINFORCE at {n} draws" if ratio > slack else None

    require_twice(found, seed, case.name)


def _variance_ratio(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Returns tr Cov x ÷ tr Cov y, and the largest ratio that chance allows when both are equal."""
    ratio = float(x.var(0).sum() / y.var(0).sum().clamp_min(1e-300))
    return ratio, 1 + (CHECK_LIMIT + 1) * (relative_variance_error(x) ** 2 + relative_variance_error(y) ** 2) ** 0.5
