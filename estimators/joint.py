"""Several random variables as one distribution: z₁ ~ q₁, z₂ ~ q₂(· | z₁), …, or variables that are independent."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints

from estimators.core import Evidence, Function, Objective
from estimators.errors import BadInput
from estimators.tools.parameters import log_density
from estimators.tools.torch_offers import refused
from estimators.traits import Need

Variable = Distribution | Callable[..., Distribution]
"""A distribution, or a function that returns it from the draws of the variables before it."""


class _Kind(NamedTuple):
    """The event shape and the type of a variable's draws."""

    event: torch.Size
    dtype: torch.dtype


class Joint(Distribution):
    """The joint distribution of several random variables; a draw holds their draws, flattened, one after the other.

    Its density is the product of theirs, so that every score function runs on it; `estimators.nested.PerVariable` takes
    an estimator for each variable.

    Args:
        variables: in the order of drawing, a list, or a dict by name. The first is a distribution. A later one is a
            distribution with the same batch shape, or a function of the draws before it that returns one: its arguments
            are z₁, z₂, …, or, in a dict, one dict of draws. Draws have shape `[*sample, *batch, *event]`, and what the
            function returns has the batch shape `[*sample, *batch]`.

    Raises:
        BadInput: the first variable is not a distribution. Later ones are checked when they are drawn.

    >>> from torch.distributions import Bernoulli, Normal
    >>> q = Joint([Bernoulli(torch.tensor(1.0)), lambda z: Normal(5 * z, 1e-6)])
    >>> q.sample((2,)).round()
    tensor([[1., 5.],
            [1., 5.]])
    """

    def __init__(self, variables: Sequence[Any] | Mapping[str, Any]) -> None:
        self.names = tuple(variables) if isinstance(variables, Mapping) else ()
        self.variables = tuple(variables.values()) if isinstance(variables, Mapping) else tuple(variables)
        first = self.variables[0] if self.variables else None
        if not isinstance(first, Distribution):
            raise BadInput(f"the first of several random variables must be a torch distribution, found {first!r}")
        self.first = first
        self._kinds: tuple[_Kind, ...] = ()
        super().__init__(first.batch_shape, validate_args=False)

    def __repr__(self) -> str:
        return f"Joint({', '.join(self.labels)})"

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the variables; z1, z2, … if they have none."""
        return self.names or tuple(f"z{place}" for place in range(1, len(self.variables) + 1))

    def given(self, draws: Sequence[Tensor]) -> Distribution:
        """Returns the next variable's distribution, of batch shape `[*sample, *batch]`, given the draws before it.

        Raises `BadInput` if it is not a distribution of that batch shape.
        """
        if not draws:
            return self.first
        variable, label = self.variables[len(draws)], self.labels[len(draws)]
        batch = draws[0].shape[: draws[0].dim() - len(self.first.event_shape)]
        if isinstance(variable, Distribution):
            require_few_axes(variable, self.batch_shape, label)
            q = for_each_draw(variable, batch, label)
        else:
            q = self.ask(variable, draws)
        if not isinstance(q, Distribution):
            raise BadInput(f"{label} must be a torch distribution given the draws before it, found {q!r}")
        if q.batch_shape != batch:
            raise BadInput(
                f"{label} must have batch shape {list(batch)} given draws with these leading axes, found "
                f"{list(q.batch_shape)} and event shape {list(q.event_shape)}; Independent(q, 1) makes the last batch "
                "axis an axis of z"
            )
        return q

    def ask(self, function: Callable[..., Any], draws: Sequence[Tensor]) -> Any:
        """Returns a function's value at draws: they are its arguments, or one dict if the variables have names."""
        return function(dict(zip(self.names, draws, strict=False))) if self.names else function(*draws)

    def draws(self, shape: Iterable[int] = (), *, differentiable: bool = False) -> tuple[Tensor, ...]:
        """Returns draws of each variable, `[*shape, *batch, *event]`."""
        found: list[Tensor] = []
        for place in range(len(self.variables)):
            q, axes = self.given(found), torch.Size(() if place else shape)
            found.append(q.rsample(axes) if differentiable else q.sample(axes).detach())
        return tuple(found)

    @property
    def offers(self) -> frozenset[Need]:
        """Density and differentiable draws, if every variable has them given a few draws of those before it."""
        with torch.no_grad():
            draws = self.draws((8,))
        missing = {need for place in range(len(draws)) for need in refused(self.given(draws[:place]))}
        return frozenset({Need.DENSITY, Need.REPARAMETERISED} - missing)

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Returns draws as constants, `[*sample, *batch, size]`."""
        with torch.no_grad():
            return self.flat(self.draws(sample_shape))

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Returns draws, differentiable in θ, if every variable has such."""
        return self.flat(self.draws(sample_shape, differentiable=True))

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether every variable has draws that are differentiable in θ."""
        with torch.no_grad():
            draws = self.draws()
        return all(self.given(draws[:place]).has_rsample for place in range(len(draws)))

    @property
    def support(self) -> constraints.Constraint:  # type: ignore[override]
        """All vectors of numbers: `log_prob` accepts relaxed draws, and each variable checks its own."""
        return constraints.real_vector

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns Σ_i log q_i(z_i | draws before it), `[*sample, *batch]`; see `log_density` for relaxed draws."""
        draws = self.split(value)
        each = [log_density(self.given(draws[:place]), draw) for place, draw in enumerate(draws)]
        return torch.stack(each).sum(0)

    def flat(self, draws: Sequence[Tensor]) -> Float[Tensor, "*batch size"]:
        """Returns draws of each variable, with the same leading axes, as draws of the joint distribution."""
        axes = len(draws[0].shape) - len(self.first.event_shape)
        self._kinds = self._kinds or tuple(_Kind(draw.shape[axes:], draw.dtype) for draw in draws)
        return torch.cat([draw.reshape((*draw.shape[:axes], -1)) for draw in draws], -1)

    def split(self, z: Float[Tensor, "*batch size"]) -> tuple[Tensor, ...]:
        """Returns the draws of each variable; undoes `flat`."""
        parts = z.split([kind.event.numel() for kind in self.kinds], -1)
        shaped = [part.reshape((*z.shape[:-1], *kind.event)) for part, kind in zip(parts, self.kinds, strict=True)]
        whole = [None if kind.dtype.is_floating_point else kind.dtype for kind in self.kinds]
        return tuple(part if dtype is None else part.to(dtype) for part, dtype in zip(shaped, whole, strict=True))

    @property
    def kinds(self) -> tuple[_Kind, ...]:
        """The event shape and the type of each variable, known from a draw."""
        if not self._kinds:
            self.sample()
        return self._kinds

    @property
    def event_shape(self) -> torch.Size:  # type: ignore[override]
        """The numbers of all variables together, along one axis."""
        return torch.Size([sum(kind.event.numel() for kind in self.kinds)])


def require_few_axes(q: Distribution, batch: torch.Size, label: str) -> None:
    """Raises `BadInput` if q has more batch axes than the first variable: the first would be taken for draws."""
    if len(q.batch_shape) > len(batch):
        raise BadInput(
            f"{label} has batch shape {list(q.batch_shape)}; that of the first variable, {list(batch)}, would be right"
        )


def for_each_draw(q: Distribution, batch: torch.Size, label: str) -> Distribution:
    """Returns a distribution that does not depend on earlier draws, expanded to their leading axes.

    Raises `BadInput` if its class has no `expand`.
    """
    if q.batch_shape == batch:
        return q
    try:
        return q.expand(torch.Size([*batch[: len(batch) - len(q.batch_shape)], *q.batch_shape]))
    except NotImplementedError as error:
        raise BadInput(
            f"{label}: {type(q).__name__} has no method expand; a function of the draws before it that returns a "
            "distribution with their leading axes would be right"
        ) from error


class JointFunction(Objective):
    """f of several random variables: a function of their draws, or of one dict of draws if they have names.

    With `evidence`, the function is log p(x, z), and f is log p(x, z) − log q(z): its mean is the evidence lower bound.

    >>> from torch.distributions import Normal
    >>> q = Joint({"a": Normal(0.0, 1.0), "b": Normal(0.0, 1.0)})
    >>> JointFunction(lambda z: z["a"] + 10 * z["b"])(torch.tensor([2.0, 3.0]), q)
    tensor(32.)
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        *,
        evidence: bool = False,
        differentiable: bool = True,
        relaxable: bool | None = None,
    ) -> None:
        self.function = function
        self.evidence = evidence
        self.differentiable = self.twice_differentiable = differentiable
        self.relaxable = differentiable if relaxable is None else relaxable

    def of(self, q: Distribution) -> Objective:
        """Returns f as an objective of the flat draws of q. Raises `BadInput` if q is not a `Joint`."""
        kind = Evidence if self.evidence else Function
        return kind(lambda z: joint_of(q).ask(self.function, joint_of(q).split(z)))

    def __call__(self, z: Tensor, q: Distribution) -> Tensor:
        return self.of(q)(z, q)

    def held(self, z: Tensor, q: Distribution) -> Tensor:
        return self.of(q).held(z, q)

    def hold(self, value: Tensor, z: Tensor, q: Distribution) -> Tensor:
        return self.of(q).hold(value, z, q)

    def without_log_q(self, z: Tensor, q: Distribution) -> Tensor:
        return self.of(q).without_log_q(z, q)


def joint_of(q: Distribution) -> Joint:
    """Returns q. Raises `BadInput` if it is not a `Joint`."""
    if not isinstance(q, Joint):
        raise BadInput(f"expected several random variables, Joint([…]) or Joint({{…}}), found a {type(q).__name__}")
    return q
