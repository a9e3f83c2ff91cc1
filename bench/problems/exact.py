"""The exact gradient of a problem, with its error, by the best method that applies.

The methods form a ladder; its rungs, best first:

- closed form: the objective's own `expectation`;
- separable: Σ_d E f_d(z_d), each by the family's one-dimensional weighted support, for any size;
- enumeration: Σ_z q(z) f(z) over up to 2²⁰ states;
- quadrature: ∫ q(z) f(z) dz over one or two coordinates;
- pathwise quadrature: ∫ f(g(ε, θ)) p(ε) dε, for smooth f where no density is known.

Each gradient is computed twice: at `level` 0 (the coarser rule), with θ and the points moved by some units in the last
place, and at `level` 1 (twice the nodes, reaching farther) at θ. The level-1 gradient is the result. Its error is four
times the largest difference of the two over a block, which shows both truncation and roundoff. No rule ends at the same
point at both levels, unless no smaller mass exists in float64. A sum over points uses f − c, which has the same
gradient. c is the value of f nearest to E f, so that a gradient from a tail alone is not lost in the rounding of the
bulk.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.distributions.line_rules import expected, nearest_to
from bench.numerics.constants import EPS, TINY
from bench.numerics.tensors import Tensors
from bench.problems.finite import NotFinite, not_finite
from bench.problems.problem import Problem
from estimators.core import ImportanceBound
from estimators.tools.parameters import states, support

MAX_SUMMED_STATES = 2**20
CHUNK_FLOATS = 2**21
"""Float64 numbers in one temporary array: 16 MiB."""

Piece = Callable[[Tensors], tuple[Tensor, Tensor]]
"""Parameters → masses and values of f for one chunk of points, both `[S, …]`, an entry per term and data point."""


@dataclass(frozen=True)
class Reference:
    """The exact gradient.

    `gradient`: by block of θ. `error`: a bound (or standard error) per coordinate. `method`: how it was computed.
    """

    gradient: Tensors
    error: Tensors
    method: str


def reference(problem: Problem) -> Reference | None:
    """Returns the exact gradient of `problem`, or None if no rung of the ladder applies.

    Raises NotFinite if the gradient is not finite, with a value of z at which the objective is not, if one is found.

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
    """Returns the gradient by one rung, or None if the rung does not apply. Raises NotFinite if it is not finite."""
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
    """Returns four times the largest difference over a block, plus rounding of its largest coordinate.

    A difference that is itself rounding error (of a gradient, or of one whose exact value is 0) counts eight times
    instead of four. It is one sample of a sum's rounding error, which is often several times larger, and both levels
    subtract the same value of f, so neither shows the rounding of that value. A density is the exponential of a number
    near the gradient's logarithm, and that number is rounded. The smallest float64 is added, because a gradient below
    it is computed as 0.
    """
    largest, apart = fine.abs().max(), (fine - coarse).abs().max()
    rounding = EPS * (32 + largest.clamp_min(TINY).log().abs())
    rounds = (apart < ROUNDING_BELOW) & ((apart <= ROUNDING_BELOW * largest) | (apart > largest / 100))
    return (torch.where(rounds, 8, 4) * apart + rounding * largest + TINY).expand(fine.shape)


ROUNDING_BELOW = 1e-12
"""Differences below this are taken for rounding error."""

Rung = Callable[[Problem, Tensors, int], Tensors]
"""(problem, θ, level) → ∇θ; raises NotImplementedError if the method does not apply."""


def closed_form(problem: Problem, theta: Tensors, level: int) -> Tensors:
    """Returns ∇θ of the objective's own `expectation`."""

    def mean(parameters: Tensors) -> Tensor:
        value = problem.objective.expectation(problem.family, problem.point, parameters, level)
        if value is None:
            raise NotImplementedError
        return value

    return gradient(problem, theta, lambda: iter([mean]))


def separable(problem: Problem, theta: Tensors, level: int) -> Tensors:
    """Returns ∇θ by a weighted support of each coordinate, for a separable objective."""
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
    """Returns ∇θ by summing over all values of z, at most `MAX_SUMMED_STATES`."""
    q = problem.build(problem.encode(theta))
    count = states(q)
    if count is None or count > MAX_SUMMED_STATES or not problem.family.tractable_density:
        raise NotImplementedError
    return over_points(problem, theta, support(q), torch.tensor(1.0, dtype=torch.float64))


def quadrature(problem: Problem, theta: Tensors, level: int) -> Tensors:
    """Returns ∇θ by a weighted support of all coordinates together."""
    z, weight = problem.family.joint(problem.encode(theta), problem.objective.breaks, level)
    return over_points(problem, theta, nudged(problem, z, level), weight)


def nudged(problem: Problem, z: Tensor, level: int) -> Tensor:
    """Returns z; at level 0, moves points of a continuous q by some units in the last place (a Beta near 1 reacts).

    A point that would cross a break of f stays: a node's whole weight would change sides.
    """
    if level or problem.family.discrete:
        return z
    moved = z * (1 - 4 * EPS)
    for at in problem.objective.breaks:
        moved = torch.where((z > at) == (moved > at), moved, z)
    return moved


def pushed(problem: Problem, theta: Tensors, level: int) -> Tensors:
    """Returns ∇θ through z = g(ε, θ), by a quadrature rule over the noise ε."""
    family, objective = problem.family, problem.objective
    if not objective.twice_differentiable or (family.size > family.pushed_size and not objective.separable):
        raise NotImplementedError
    f = problem.function(next(iter(theta.values())))

    def mean(parameters: Tensors) -> Tensor:
        z, weight = family.push(parameters, level)
        return torch.tensordot(weight, problem.at(f, parameters)(z, problem.build(parameters)), 1)

    return gradient(problem, theta, lambda: iter([mean]))


def over_points(problem: Problem, theta: Tensors, z: Tensor, weight: Tensor) -> Tensors:
    """Returns ∇θ Σ w q(z) f(z) over a weighted support; −log q inside f is held constant: its direct term is zero."""
    f = problem.function(next(iter(theta.values())))
    if isinstance(f, ImportanceBound):
        raise NotImplementedError  # it is a function of several draws

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
    """Returns ∇θ of the data mean of Σ mass · (f − c), where c is the value of f nearest to Σ mass · f.

    `axes`: number of trailing axes of the pieces to sum over (1 for the terms of a separable f).
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
    """Returns ∇θ of the data mean of Σ pieces, with one chunk's graph in memory at a time."""
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
    """Returns slices along the first axis, each of at most `CHUNK_FLOATS` numbers."""
    rows = max(1, CHUNK_FLOATS // max(1, z[0].numel()))
    return [slice(start, start + rows) for start in range(0, len(z), rows)]


RUNGS: dict[str, Rung] = {
    "closed form": closed_form,
    "separable": separable,
    "enumeration": enumeration,
    "quadrature": quadrature,
    "pathwise quadrature": pushed,
}
