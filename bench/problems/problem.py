"""A problem: a distribution family at a point θ, and an objective f; to estimate: the gradient of E f in θ."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor
from torch.distributions import Distribution

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target
from bench.objectives.minibatch import Minibatches, minibatches
from estimators.core import Function, Objective
from estimators.errors import BadInput
from estimators.needs import Offer


@dataclass(frozen=True)
class Problem:
    """The gradient ∇θ of the mean over data of E_{z~qθ}[f(z)], at θ = `theta()`.

    `minibatch`: each estimate sees that many data, a fresh subset per replicate; the gradient stays that of all data.
    Default: all data.
    """

    family: Family
    objective: Target
    coordinates: str = "unconstrained"
    point: str = "default"
    minibatch: int | None = None

    def theta(self) -> Tensors:
        """Returns θ, float64 on the CPU; each entry is a block of the gradient."""
        own = self.objective.theta(self.family, self.point)
        theta = self.family.theta(self.point, self.coordinates) if own is None else own
        return theta | self.objective.weights(self.family, self.point)

    @cached_property
    def weights(self) -> tuple[str, ...]:
        """Names of the blocks of θ that are f's own weights; `encode` leaves them unchanged."""
        return tuple(self.objective.weights(self.family, self.point))

    def encode(self, theta: Tensors) -> Tensors:
        """Returns q's parameters, and f's own weights, from θ."""
        return self.encoder(next(iter(theta.values())))(theta)

    def encoder(self, like: Tensor) -> Callable[[Tensors], Tensors]:
        """Returns `encode` with its constants on `like`'s device and dtype."""
        encode = self.family.encoder(like)
        return lambda theta: encode(theta, self.coordinates) | {name: theta[name] for name in self.weights}

    def build(self, parameters: Tensors) -> Distribution:
        """Returns q at these parameters; f's own weights among them are ignored."""
        return self.builder(next(iter(parameters.values())))(parameters)

    def builder(self, like: Tensor) -> Callable[[Tensors], Distribution]:
        """Returns `build` with its constants on `like`'s device and dtype."""
        build = self.family.builder(like)
        return lambda parameters: build({name: each for name, each in parameters.items() if name not in self.weights})

    def function(self, like: Tensor) -> Objective:
        """Returns f on all data, with its constants on `like`'s device and dtype."""
        f = self.objective.build(self.family, self.point, like)
        return seeing_all_but(self.family.hidden, f) if self.family.hidden else f

    def minibatches(self, like: Tensor) -> Minibatches | None:
        """Returns f on subsets of its data, with its constants on `like`'s device and dtype; None without `minibatch`.

        Raises BadInput if the minibatch does not fit the objective.
        """
        if self.minibatch is None:
            return None
        found = minibatches(self.objective, self.family, self.point, like)
        if found is None:
            raise BadInput(f"{self.objective.name} is no sum over data, so it has no minibatch")
        if not 1 <= self.minibatch <= found.data:
            raise BadInput(f"minibatch must be from 1 to {found.data}, the number of data, not {self.minibatch}")
        return replace(found, size=self.minibatch)

    def offer(self, parameters: Tensors, f: Objective) -> Offer:
        """Returns what q, f, the family and the objective offer to estimators (their `offers` and `offers_not`)."""
        return Offer(self.build(parameters), f, self.family, self.objective)

    def at(self, f: Objective, parameters: Tensors) -> Objective:
        """Returns f at its own weights among `parameters`, which may have leading axes."""
        own = {name: parameters[name] for name in self.weights}
        return f.at(own) if own else f  # type: ignore[attr-defined]

    def reduce(self, values: Tensor) -> Tensor:
        """Returns the mean over the trailing data axes: `[*leading, *data]` → `[*leading]`."""
        axes = self.family.data_axes
        return values.mean(tuple(range(-axes, 0))) if axes else values

    @property
    def dim(self) -> int:
        """Number of parameters, P."""
        return sum(value.numel() for value in self.theta().values())

    @property
    def version(self) -> str:
        """Version that changes whenever the exact gradient changes."""
        return f"{self.family.version}.{self.objective.version}"

    def misfit(self) -> str | None:
        """Returns a sentence that says why family, objective, coordinates and point do not fit together, or None."""
        reason = self.objective.fits(self.family)
        if reason:
            return f"{self.objective.name} {reason}; {self.family.name} does not fit"
        if self.coordinates not in self.family.coordinates:
            return (
                f"{self.family.name} has no {self.coordinates} coordinates; it has {', '.join(self.family.coordinates)}"
            )
        if self.point in self.objective.points and self.coordinates != self.family.coordinates[0]:
            return (
                f"{self.objective.name} has the point {self.point!r} in {self.family.coordinates[0]} coordinates only, "
                f"not {self.coordinates}"
            )
        points = (*self.family.points, *self.objective.points)
        if self.point not in points:
            return (
                f"{self.family.name} with {self.objective.name} has no point {self.point!r}; it has {', '.join(points)}"
            )
        try:
            if self.minibatch is not None:
                self.minibatches(next(iter(self.theta().values())))
        except BadInput as error:
            return str(error)
        return None


def seeing_all_but(hidden: int, f: Objective) -> Objective:
    """Returns f applied to all but the last `hidden` coordinates of a draw; f must be a function of z alone."""
    seeing = Function(
        lambda z: f(z[..., :-hidden], None),  # type: ignore[arg-type]
        differentiable=f.differentiable,
        twice_differentiable=f.twice_differentiable,
        relaxable=f.relaxable,
    )
    seeing.offers, seeing.offers_not, seeing.noisy = f.offers, f.offers_not, f.noisy
    return seeing
