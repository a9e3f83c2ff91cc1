"""The exact gradient of a problem, by the best rung of a ladder, with its error and its method.

The rungs, best first:

- closed form: the objective's own `expectation`;
- separable: Σ_d E f_d(z_d), each by the family's one-dimensional weighted support, at any size;
- enumeration: Σ_z q(z) f(z) over up to 2²⁰ states;
- quadrature: ∫ q(z) f(z) dz over one or two coordinates;
- pathwise quadrature: ∫ f(g(ε, θ)) p(ε) dε, for smooth f where no density is known.

Each is computed twice: at `level` 0 (the coarser rule) from θ and points moved by some units in the last place, and at
`level` 1 (twice the nodes, and farther out) at θ. The second is the answer; four times their largest difference over a
block is its error: it shows truncation and roundoff alike. No rule ends at the same place at both levels, unless
float64 has no smaller mass. A sum over points takes f less a constant, which has the same gradient: the value of f
that is nearest to E f, so that a gradient that comes from a tail alone does not drown in the rounding of the bulk.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.distributions.line_rules import expected, nearest_to
from bench.numerics.tensors import Tensors
from bench.problems.finite import NotFinite, not_finite
from bench.problems.problem import Problem
from estimators.core import ImportanceBound
from estimators.tools.parameters import states, support

EPS, TINY = torch.finfo(torch.float64).eps, torch.finfo(torch.float64).tiny
MAX_SUMMED_STATES = 2**20
CHUNK_FLOATS = 2**21
"""Numbers in one temporary array: 16 MiB."""

Piece = Callable[[Tensors], tuple[Tensor, Tensor]]
"""Parameters → masses and values of f of one chunk of points, `[S, …]` with an entry per term and data point."""


@dataclass(frozen=True)
class Reference:
    """The gradient in θ by block, a bound (or standard error) of each coordinate's error, and how it was got."""

    gradient: Tensors
    error: Tensors
    method: str


def reference(problem: Problem) -> Reference | None:
    """The exact gradient of `problem`, or None where no rung of the ladder reaches it.

    >>> from bench.distributions import distributions
    >>> from bench.objectives import objectives
    >>> exact = reference(Problem(distributions.get("normal", size=2), objectives.get("linear")))
    >>> exact.method, [round(x, 12) for x in exact.gradient["loc"].tolist()]
    ('closed form', [1.0, 1.0])
    """
    for method, rung in RUNGS.items():
        found = climb(problem, rung, method)
        if found:
            return found
    return None


def climb(problem: Problem, rung: "Rung", method: str) -> Reference | None:
    """The gradient by one rung, or None where it does not reach. Raises `NotFinite` where the objective is not."""
    theta = problem.theta()
    nudged = {name: value * (1 + 32 * EPS) for name, value in theta.items()}
    try:
        coarse, fine = rung(problem, nudged, 0), rung(problem, theta, 1)
    except NotImplementedError:
        return None
    if not all(bool(value.isfinite().all()) for value in fine.values()):
        raise NotFinite(not_finite(problem) or f"the exact gradient by {method} is not finite")
    return Reference(fine, {name: _error(coarse[name], fine[name]) for name in theta}, method)


def _error(coarse: Tensor, fine: Tensor) -> Tensor:
    """Four times the largest difference over a block, plus some rounding of its largest coordinate.

    Where the difference is itself rounding (of the gradient, or a gradient of 0 that is nothing else) it counts eight
    times: it is one draw of a sum's rounding, which is often several times larger, and both levels leave out the same
    value of f, so that neither shows what that would round. A density is the exponential of a number near the
    gradient's logarithm, which rounds. And the smallest float64 is added: a gradient below it is 0 here.
    """
    largest, apart = fine.abs().max(), (fine - coarse).abs().max()
    rounding = EPS * (32 + largest.clamp_min(TINY).log().abs())
    rounds = (apart < ROUNDING_BELOW) & ((apart <= ROUNDING_BELOW * largest) | (apart > largest / 100))
    return (torch.where(rounds, 8, 4) * apart + rounding * largest + TINY).expand(fine.shape)


ROUNDING_BELOW = 1e-12
"""Differences below it are taken for rounding."""

Rung = Callable[[Problem, Tensors, int], Tensors]
"""(problem, θ, level) → ∇θ; raises NotImplementedError where it does not reach."""


def closed_form(problem: Problem, theta: Tensors, level: int) -> Tensors:
    """By the objective's own expectation."""

    def mean(parameters: Tensors) -> Tensor:
        value = problem.objective.expectation(problem.family, problem.point, parameters, level)
        if value is None:
            raise NotImplementedError
        return value

    return gradient(problem, theta, lambda: iter([mean]))


def separable(problem: Problem, theta: Tensors, level: int) -> Tensors:
    """By each coordinate's own weighted support."""
    family, objective = problem.family, problem.objective
    if not objective.separable:
        raise NotImplementedError
    z, weight = family.line(problem.encode(theta), objective.breaks, level)
    z = nudged(problem, z, level)

    def pieces() -> Iterator[Piece]:
        for some in chunks(z):

            def piece(parameters: Tensors, some: slice = some) -> tuple[Tensor, Tensor]:
                return family.mass(parameters, z[some], weight[some]), objective.terms(z[some])

            yield piece

    return summed(problem, theta, pieces, axes=1)


def enumeration(problem: Problem, theta: Tensors, level: int) -> Tensors:
    """By every value of z."""
    q = problem.build(problem.encode(theta))
    count = states(q)
    if count is None or count > MAX_SUMMED_STATES or not problem.family.tractable_density:
        raise NotImplementedError
    return over_points(problem, theta, support(q), torch.tensor(1.0, dtype=torch.float64))


def quadrature(problem: Problem, theta: Tensors, level: int) -> Tensors:
    """By a weighted support of all coordinates at once."""
    z, weight = problem.family.joint(problem.encode(theta), problem.objective.breaks, level)
    return over_points(problem, theta, nudged(problem, z, level), weight)


def nudged(problem: Problem, z: Tensor, level: int) -> Tensor:
    """At level 0, points of a continuous law moved by some units in the last place: near 1 a Beta feels them."""
    return z if level or problem.family.discrete else z * (1 - 4 * EPS)


def pushed(problem: Problem, theta: Tensors, level: int) -> Tensors:
    """Through the points of a rule over the noise."""
    family, objective = problem.family, problem.objective
    if not objective.twice_differentiable or (family.size > family.pushed_size and not objective.separable):
        raise NotImplementedError
    f = problem.function(next(iter(theta.values())))

    def mean(parameters: Tensors) -> Tensor:
        z, weight = family.push(parameters, level)
        return torch.tensordot(weight, problem.at(f, parameters)(z, problem.build(parameters)), 1)

    return gradient(problem, theta, lambda: iter([mean]))


def over_points(problem: Problem, theta: Tensors, z: Tensor, weight: Tensor) -> Tensors:
    """∇θ Σ w q(z) f(z) over a weighted support; −log q inside f is held, as its direct term is zero."""
    f = problem.function(next(iter(theta.values())))
    if isinstance(f, ImportanceBound):
        raise NotImplementedError  # a function of several draws

    def pieces() -> Iterator[Piece]:
        for some in chunks(z):

            def piece(parameters: Tensors, some: slice = some) -> tuple[Tensor, Tensor]:
                q = problem.build(parameters)
                part = weight[some] if weight.dim() else weight
                mass = part.reshape(-1, *(1 for _ in q.batch_shape)) * q.log_prob(z[some]).exp()
                return mass, problem.at(f, parameters).held(z[some], q)

            yield piece

    return summed(problem, theta, pieces)


def summed(problem: Problem, theta: Tensors, pieces: Callable[[], Iterator[Piece]], axes: int = 0) -> Tensors:
    """∇θ of the data mean of Σ mass · (f − c), c the value of f nearest to Σ mass · f.

    `axes`: trailing axes of the pieces that are summed over (the terms of a separable f).
    """
    with torch.no_grad():
        parameters = problem.encode(theta)
        mean = torch.stack([expected(*piece(parameters)) for piece in pieces()]).sum(0)
        nearest = torch.stack([nearest_to(mean, piece(parameters)[1]) for piece in pieces()])
        shift = nearest_to(mean, nearest)

    def shifted() -> Iterator[Callable[[Tensors], Tensor]]:
        for piece in pieces():

            def value(parameters: Tensors, piece: Piece = piece) -> Tensor:
                mass, f = piece(parameters)
                part = expected(mass, f - shift)
                return part.sum(-1) if axes else part

            yield value

    return gradient(problem, theta, shifted)


def gradient(problem: Problem, theta: Tensors, pieces: Callable[[], Iterator[Callable[[Tensors], Tensor]]]) -> Tensors:
    """∇θ of the data mean of Σ pieces, one chunk's graph at a time."""
    parameters, pullback, *_ = torch.func.vjp(problem.encode, theta)
    parameters = {name: value.detach() for name, value in parameters.items()}
    total = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for piece in pieces():

        def value(values: Tensors, piece: Callable[[Tensors], Tensor] = piece) -> Tensor:
            return problem.reduce(piece(values)).sum()

        for name, part in torch.func.grad(value)(parameters).items():
            total[name] = total[name] + part
    return pullback(total)[0]


def chunks(z: Tensor) -> list[slice]:
    """Slices along the first axis, of at most `CHUNK_FLOATS` numbers."""
    rows = max(1, CHUNK_FLOATS // max(1, z[0].numel()))
    return [slice(start, start + rows) for start in range(0, len(z), rows)]


RUNGS: dict[str, Rung] = {
    "closed form": closed_form,
    "separable": separable,
    "enumeration": enumeration,
    "quadrature": quadrature,
    "pathwise quadrature": pushed,
}
