"""Checks of what an estimator claims of its mean, its value and its variance, against exact gradients."""

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

    At the smallest number of draws, where a baseline that holds the current draw shrinks most.
    """
    if not estimator.traits.unbiased:
        return
    n = draws(estimator, 1)
    for case in fitting_cases(estimator):
        ready = tuned(estimator, case, n, seed)
        exact = truth(case)[1]
        require_mean(lambda count, s: estimates(ready, case, n, count, s), exact, case.name, seed)  # noqa: B023


def check_unbiased_with_more_draws(estimator: Estimator, seed: int) -> None:
    """As before, with more draws than the least, on one problem: sums for means, pairs, weights that need n."""
    if not estimator.traits.unbiased:
        return
    n = draws(estimator, 5)
    for case in fitting_cases(estimator)[:1]:
        ready = tuned(estimator, case, n, seed)
        require_mean(lambda count, s: estimates(ready, case, n, count, s), truth(case)[1], case.name, seed)  # noqa: B023


def check_declared_bias(estimator: Estimator, seed: int) -> None:
    """Declared biased: some problem shows the bias, and on every problem the mean still points uphill."""
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
            f"{case.name}: the mean estimate points against the gradient: its projection is {scale:.3f} of it",
        )
    require(shown, "declared biased, but no problem shows a bias: declare it unbiased, or say where it is biased")


def check_value(estimator: Estimator, seed: int) -> None:
    """Where declared, the surrogate's value estimates E f."""
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
            f"{case.name}: the surrogate's value is {float(exact + found.mean[0]):.5g} in the mean, E f is "
            f"{float(exact):.5g} ({found.worst:.1f} standard errors)",
        )


def check_gradient_in_f(estimator: Estimator, seed: int) -> None:
    """In a parameter w of f itself the surrogate's gradient is the plain Monte Carlo one.

    f is made w·f, which is linear in w: the gradient in w is then the value divided by w, exactly.
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
                f"{case.name}: in a parameter of f the gradient is {float(slope):.5g}, plain Monte Carlo "
                f"at the same draws gives {float(total):.5g}",
            )


def check_replicates_are_independent(estimator: Estimator, seed: int) -> None:
    """Replicates share no noise: none coincide, neighbours do not correlate, and calls differ no more than they should.

    The last finds noise that all replicates of one call share: the spread of the calls' means against the
    spread within calls.
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
            ratio < bound, f"{case.name}: replicates share noise: their mean's variance is {ratio:.1f} times too large"
        )


def _uncorrelated(x: Tensor, where: str) -> None:
    x = x - x.mean(0)
    x = x / x.std(0).clamp_min(1e-12)
    for lag in (1, 2, len(x) // 2):
        product = x * x.roll(lag, 0)
        pairs = len(x) / 2 if lag == len(x) // 2 else len(x)
        z = float((product.mean(0).abs() / product.std(0).clamp_min(1e-12)).max()) * pairs**0.5
        require(z < CHECK_LIMIT + 1, f"{where}: replicates {lag} apart correlate ({z:.1f} standard errors)")


def check_variance_falls_with_draws(estimator: Estimator, seed: int) -> None:
    """Four times the draws leave a quarter of the variance, or less where draws are coupled.

    Not asked of a biased estimator whose least number of draws exceeds its step: its scale changes with n.
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
    """Where f is a number far from 0 plus something, an unbiased estimator has less variance than REINFORCE.

    A control variate of the wrong sign or size is unbiased all the same: only the variance shows it.
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
    """tr Cov x ÷ tr Cov y, and how far above 1 chance may take it."""
    ratio = float(x.var(0).sum() / y.var(0).sum().clamp_min(1e-300))
    return ratio, 1 + (CHECK_LIMIT + 1) * (relative_variance_error(x) ** 2 + relative_variance_error(y) ** 2) ** 0.5
