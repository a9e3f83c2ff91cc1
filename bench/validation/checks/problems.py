"""Checks of an objective on a problem with a family: f, its declared properties, its exact gradient."""

import pickle

import torch
from torch import Tensor

from bench.measure.estimates.gradients import Gradients
from bench.problems.exact import RUNGS, Reference, climb, reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from bench.statistics.tails import MIN_OUTCOMES
from bench.validation.checks.families import CHECK_LIMIT, expanded, outcomes_behind
from estimators.checks.failure import require
from estimators.core import Objective, SetObjective
from estimators.registry import get

PROBLEM_REPLICATES = 100_000
POINTS = 400


def check_objective_pickles(problem: Problem, seed: int) -> None:
    """Checks that the problem survives pickling."""
    require(pickle.loads(pickle.dumps(problem)) == problem, f"{problem.objective!r} came back changed from pickling")


def together(f: Objective) -> tuple[int, ...]:
    """Returns the axis of the draws that f takes together, such as `(K,)`, or `()` if f takes single draws."""
    return (f.draws,) if isinstance(f, SetObjective) else ()


def check_function(problem: Problem, seed: int) -> None:
    """Checks that f is deterministic unless it is `noisy`, leaves z unchanged, keeps the dtype, and returns one value
    per draw and batch element."""
    for dtype in (torch.float32, torch.float64):
        q = expanded(problem.family, 3, dtype=dtype)
        torch.manual_seed(seed)
        f = problem.function(torch.zeros((), dtype=dtype))
        z = q.sample((5, *together(f)))
        before = z.clone()
        first, second = f(z, q), f(z, q)
        require(torch.equal(z, before), "f changed z in place")
        require(
            f.noisy or torch.equal(first, second),
            "f gave two values for one z; it must be deterministic, or declared `noisy`",
        )
        require(first.dtype == dtype, f"f gives {first.dtype} for {dtype}")
        require(first.shape == (5, *q.batch_shape), f"f gives shape {tuple(first.shape)} for draws {tuple(z.shape)}")


def check_terms(problem: Problem, seed: int) -> None:
    """Checks that a separable objective is the sum of its terms over the coordinates."""
    target = problem.objective
    if not target.separable:
        return
    q = expanded(problem.family, 3)
    torch.manual_seed(seed)
    z = q.sample((50,))
    seen = z[..., : -problem.family.hidden] if problem.family.hidden else z
    f = problem.function(torch.zeros((), dtype=torch.float64))
    apart = float((f(z, q) - target.terms(seen).sum(-1)).abs().max())
    require(apart < 1e-9, f"f differs from the sum of its terms by {apart:.2g}")


def check_differentiability(problem: Problem, seed: int) -> None:
    """Checks that the differences of a differentiable (or relaxable) f are the integrals of its gradient.

    The integrals are along the segments between draws. A jump is in the difference but not in the integral.
    """
    f = problem.function(torch.zeros((), dtype=torch.float64))
    declared = f.relaxable if problem.family.discrete else f.differentiable
    if not declared or f.noisy:  # two calls of a noisy f differ without a jump
        return
    q = expanded(problem.family, 40)
    torch.manual_seed(seed)
    start, end = q.sample((2, *together(f)))
    t = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    t = t.reshape(-1, *(1 for _ in start.shape))
    between = start + t * (end - start)
    total, pull, *_ = torch.func.vjp(lambda z: f(z, q), between)
    (slope,) = pull(torch.ones_like(total))
    event = tuple(range(slope.dim() - len(q.event_shape), slope.dim()))
    summed = (*range(1, 1 + len(together(f))), *event)
    integral = ((slope * (end - start)).sum(summed) if summed else slope * (end - start)).mean(0)
    rise = f(end.unsqueeze(0), q)[0] - f(start.unsqueeze(0), q)[0]
    size = float((total.max(0).values - total.min(0).values).max()) + 1e-12
    apart = float((rise - integral).abs().max()) / size
    require(apart < 0.02, f"f rises by {apart:.0%} of its range more than its gradient says: it jumps")


def check_rungs_agree(problem: Problem, seed: int) -> None:
    """Checks that all methods for the exact gradient of this problem agree within their errors."""
    found = [each for method, rung in RUNGS.items() if (each := climb(problem, rung, method))]
    for other in found[1:]:
        first = found[0]
        for name, value in first.gradient.items():
            slack = 10 * (first.error[name] + other.error[name]) + 1e-9 * (1 + value.abs())
            apart = (value - other.gradient[name]).abs()
            require(
                bool((apart <= slack).all()),
                f"{first.method} and {other.method} differ by {float(apart.max()):.2g} in {name}",
            )


def check_reference(problem: Problem, seed: int, exact: Reference | None = None) -> None:
    """Checks that the exact gradient agrees with score-function estimates, which need only draws and densities.

    Args:
        problem: The problem.
        seed: Seed of the draws.
        exact: The exact gradient. Default: computed by `reference`.
    """
    exact = exact or reference(problem)
    if exact is None or not problem.family.tractable_density:
        return
    gradient, slack = as_vector(exact.gradient), as_vector(exact.error)
    torch.manual_seed(seed)
    sets = bool(together(problem.function(gradient)))
    draw = Gradients(problem, get("set_reinforce" if sets else "rloo"), samples=8)
    chunk = max(64, min(PROBLEM_REPLICATES, 1_000_000 // problem.dim) // 8)
    x = torch.cat([draw(chunk) for _ in range(8)])
    worst = standard_errors(x, gradient, slack)
    if worst > CHECK_LIMIT + 1:
        worst = standard_errors(torch.cat([draw(chunk) for _ in range(16)]), gradient, slack)
    require(worst <= CHECK_LIMIT + 1, f"{exact.method}: {worst:.1f} standard errors from score-function estimates")


def standard_errors(x: Tensor, exact: Tensor, slack: Tensor) -> float:
    """Returns the largest difference of the mean from `exact` in standard errors, over coordinates and along `exact`.

    A mean that depends on few rare outcomes, or on none so far, has no standard error and is not compared.

    Args:
        x: Estimates, `[R, P]`.
        exact: The exact gradient, `[P]`.
        slack: Its error, `[P]`.
    """
    along = x @ (exact / exact.norm().clamp_min(1e-300))
    x = torch.cat([x, along.unsqueeze(1)], 1)
    apart = (x.mean(0) - torch.cat([exact, exact.norm().unsqueeze(0)])).abs()
    apart = (apart - torch.cat([slack, slack.norm().unsqueeze(0)])).clamp_min(0)
    error = (x.std(0) / len(x) ** 0.5).clamp_min(1e-12)
    return float(torch.where(outcomes_behind(x) >= MIN_OUTCOMES, apart / error, 0).max())


PROBLEM_CHECKS = (
    check_objective_pickles,
    check_function,
    check_terms,
    check_differentiability,
    check_rungs_agree,
    check_reference,
)
