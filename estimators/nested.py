"""An estimator for each of several random variables: an inner estimate is the value of the outer one's objective.

Let z₂ ~ q₂(· | z₁) and F(z₁) = E[f(z₁, z₂) | z₁]. A surrogate's value estimates F(z₁), and its gradient in z₁, which q₂
and f depend on, estimates ∂F/∂z₁, because z₁ is a parameter to it. An outer estimator that is linear in the values and
slopes of its objective is then unbiased: the noise of the inner estimate has mean 0 at every z₁ and is independent of
the outer draw (the tower rule, E E[· | z₁] = E). The gradient of the outer surrogate in q₂'s own parameters is that of
the inner surrogates, averaged over the outer draws. This does not apply to `estimators.needs.NONLINEAR`.

Source: Schulman, Heess, Weber, Abbeel 2015 (stochastic computation graphs), arXiv:1506.05254; an estimator for each
node: van Krieken, Tomczak, ten Teije 2021 (Storchastic), arXiv:2104.00428.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar

from jaxtyping import Float
from torch import Size, Tensor
from torch.distributions import Distribution

from estimators.core import Estimator, Evidence, Function, Objective, SetObjective, asked
from estimators.errors import BadInput, nearest
from estimators.joint import Joint, joint_of
from estimators.needs import needs_of
from estimators.traits import Need, Traits


@dataclass(frozen=True)
class Layer:
    """A random variable z_i and how it is estimated: `estimator` with n draws for each draw of those before it.

    `conditional`: returns q_i from the draws before it, `[*sample, *batch, *event]`, with batch shape
    `[*sample, *batch]`.
    """

    conditional: Callable[..., Distribution]
    estimator: Estimator
    n: int = 1


Kind = type[Function] | type[Evidence]
"""`Evidence` if −log q_i of each variable is added to f, otherwise `Function`."""


def averaged(
    f: Callable[..., Tensor],
    layers: Sequence[Layer],
    draws: tuple[Tensor, ...],
    kind: Kind,
    leading: Size | None = None,
) -> Tensor:
    """Returns the surrogate of E[f | draws] over the variables of `layers`, `[*sample, *batch]`.

    `f`: a function of all draws, which have the same leading axes when it is called. `leading`: those of `draws`, if
    they are known. Raises `BadInput` if the next variable's distribution does not have them as its batch shape.
    """
    layer, *below = layers
    q = layer.conditional(*draws)
    if leading is not None and q.batch_shape != leading:
        raise BadInput(
            f"a layer's conditional must return a distribution of batch shape {list(leading)}, the leading axes of the "
            f"draws before it, found {list(q.batch_shape)}; q.expand(…) gives them to one that does not depend on these"
        )
    return layer.estimator.surrogate(q, objective_given(f, below, draws, q, kind), layer.n)


def objective_given(
    f: Callable[..., Tensor], below: Sequence[Layer], draws: tuple[Tensor, ...], q: Distribution, kind: Kind
) -> Function | Evidence:
    """Returns E[f | draws, z] as an objective of the next variable z ~ q, averaged over the layers `below` it."""

    def value(z: Tensor) -> Tensor:
        leading = leading_axes(z, q)
        new = leading[: len(leading) - len(q.batch_shape)]
        every = (*(draw.expand(*new, *draw.shape) for draw in draws), z)
        return averaged(f, below, every, kind, leading) if below else f(*every)

    return kind(value)


def leading_axes(z: Tensor, q: Distribution) -> Size:
    """Returns the axes of draws of q without those of an event, `[*sample, *batch]`."""
    return z.shape[: z.dim() - len(q.event_shape)]


class Nested(Function):
    """E[f(z₁, z₂, …) | z₁] as an objective of z₁, estimated at every call by the estimators of the layers below.

    Args:
        f: a function of the draws of all variables, which have the same leading axes.
        layers: of z₂, z₃, ….
        differentiable: whether f and every `conditional` are differentiable in z₁.
        relaxable: whether they are defined and differentiable between the values of a discrete z₁. Default: as
            `differentiable`.

    >>> import torch
    >>> from torch.distributions import Bernoulli, Normal
    >>> from estimators import get
    >>> logit = torch.tensor(0.0, requires_grad=True)
    >>> inner = Layer(lambda z: Normal(4 * z, 1e-6), get("reparameterisation"))
    >>> f = Nested(lambda z, x: x, inner)
    >>> get("disarm").surrogate(Bernoulli(logits=logit), f, 2).backward()
    >>> logit.grad.round(decimals=3)  # 4 p(1 − p)
    tensor(1.)
    """

    def __init__(
        self, f: Callable[..., Tensor], *layers: Layer, differentiable: bool = True, relaxable: bool | None = None
    ) -> None:
        self.averaged = partial(averaged, f, layers, kind=Function)
        super().__init__(
            lambda z: self.averaged((z,)),
            differentiable=differentiable,
            twice_differentiable=False,  # the second derivative of a surrogate is not that of E f
            relaxable=relaxable,
        )
        self.noisy = not all(layer.estimator.traits.exact for layer in layers)

    def __call__(self, z: Tensor, q: Distribution | None = None) -> Tensor:
        leading = None if q is None else leading_axes(z, q)
        return asked(lambda x: self.averaged((x,), leading=leading), z)


class NestedEvidence(Evidence):
    """E[log p(x, z₁, z₂, …) − log q(z₂, … | z₁) | z₁] − log q₁(z₁): `Nested` for the evidence lower bound.

    Args:
        log_joint: log p(x, z₁, z₂, …), a function of the draws of all variables.
        layers: of z₂, z₃, ….
        differentiable: whether `log_joint` and every `conditional` are differentiable in z₁.
        relaxable: whether they are so between the values of a discrete z₁.
    """

    def __init__(
        self, log_joint: Callable[..., Tensor], *layers: Layer, differentiable: bool = True, relaxable: bool = True
    ) -> None:
        super().__init__(
            lambda z: averaged(log_joint, layers, (z,), Evidence), differentiable=differentiable, relaxable=relaxable
        )
        self.twice_differentiable = False
        self.noisy = not all(layer.estimator.traits.exact for layer in layers)


@dataclass(frozen=True)
class PerVariable(Estimator):
    """An estimator for each variable of a `Joint`, the first outermost; f takes draws of the joint, as `JointFunction`.

    n draws of the first variable, for each of them `inner[0]` of the second, and so on: n · inner[0] · … evaluations of
    f, or more where an estimator takes more evaluations than draws. Unbiased if all estimators are.

    Args:
        estimators: in the order of the variables, a list, or a dict by their names.
        inner: the numbers of draws of the second, third, … variable. Default: the least that their estimators accept.

    Raises:
        BadInput: an estimator would be biased by the noise of those after it, or the estimators are not those of the
            variables.

    Source: van Krieken, Tomczak, ten Teije 2021 (Storchastic), arXiv:2104.00428.

    >>> import torch
    >>> from torch.distributions import Bernoulli, Normal
    >>> from estimators import get
    >>> from estimators.joint import JointFunction
    >>> logit, loc = torch.tensor(0.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    >>> q = Joint({"switch": Bernoulli(logits=logit), "weight": Normal(loc, 1.0)})
    >>> estimator = PerVariable({"switch": get("disarm"), "weight": get("reparameterisation")})
    >>> f = JointFunction(lambda z: 4 * z["switch"] + 3 * z["weight"])
    >>> _ = torch.manual_seed(0)
    >>> estimator.surrogate(q, f, n=10_000).backward()
    >>> loc.grad, bool((logit.grad - 1).abs() < 0.05)
    (tensor(3.), True)
    """

    name: ClassVar[str] = "per_variable"

    estimators: tuple[Estimator, ...]
    inner: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    def __init__(self, estimators: Sequence[Estimator] | Mapping[str, Estimator], inner: Sequence[int] = ()) -> None:
        named = isinstance(estimators, Mapping)
        each = tuple(estimators.values()) if isinstance(estimators, Mapping) else tuple(estimators)
        object.__setattr__(self, "names", tuple(estimators) if named else ())
        object.__setattr__(self, "estimators", each)
        object.__setattr__(self, "inner", tuple(inner) or tuple(map(least_samples, each[1:])))
        self._require_sound()

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the variables; z1, z2, … if they have none."""
        return self.names or tuple(f"z{place}" for place in range(1, len(self.estimators) + 1))

    def _require_sound(self) -> None:
        """Raises `BadInput` for what is wrong whatever the variables are."""
        wrong = [each for each in self.estimators if not isinstance(each, Estimator)]
        if wrong or not self.estimators:
            raise BadInput(
                f"PerVariable takes an estimator for each variable, found {repr(*wrong[:1]) if wrong else 'none'}"
            )
        if len(self.inner) != len(self.estimators) - 1:
            raise BadInput(
                f"PerVariable: inner must have a number of draws for each variable after the first, "
                f"{len(self.estimators) - 1} in all, found {len(self.inner)}"
            )
        for place, each in enumerate(self.estimators):
            below = self.estimators[place + 1 :]
            noisy = not all(other.traits.exact for other in below)
            if noisy and not each.traits.exact and Need.DETERMINISTIC in needs_of(each):
                raise BadInput(
                    f"PerVariable: {each!r} is not linear in the values of f, so that the noise of the variables after "
                    "it would bias it; it may come last"
                )

    @cached_property
    def traits(self) -> Traits:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The numbers of samples are those of the first estimator; the claims hold if they hold for each."""
        first, every = self.estimators[0].traits, [each.traits for each in self.estimators]
        return Traits(
            unbiased=all(traits.unbiased for traits in every),
            min_samples=first.min_samples,
            samples_step=first.samples_step,
            exact=all(traits.exact for traits in every),
            valued=all(traits.valued for traits in every),
            paper="van Krieken et al. 2021",
        )

    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        joint = joint_of(q)
        self._require_fit(joint, f)
        return averaged(of_draws(f, joint), self.layers(joint, n), (), kind_of(f))

    def layers(self, q: Joint, n: int) -> list[Layer]:
        """Returns a layer for each variable of q, for n draws of the first one."""
        pairs = zip(self.estimators, (n, *self.inner), strict=True)
        return [Layer(lambda *draws: q.given(draws), estimator, count) for estimator, count in pairs]

    def _require_fit(self, q: Joint, f: Objective) -> None:
        """Raises `BadInput` if the estimators are not those of q's variables, or f takes several draws at once."""
        if isinstance(f, SetObjective):
            raise BadInput(
                "PerVariable does not accept an objective that takes several draws at once, such as an "
                "importance-weighted bound"
            )
        unknown = [name for name in self.names if name not in q.labels]
        if unknown:
            raise BadInput(f"PerVariable: there is no variable {unknown[0]!r}; {nearest(unknown[0], q.labels)}")
        if (self.names and self.names != q.labels) or len(self.estimators) != len(q.variables):
            found = ", ".join(self.names) or f"{len(self.estimators)} estimators"
            expected = ", ".join(q.labels)
            raise BadInput(
                f"PerVariable takes an estimator for each variable, in their order ({expected}); found {found}"
            )


def of_draws(f: Objective, q: Joint) -> Callable[..., Tensor]:
    """Returns f, without its −log q, as a function of the separate draws of q's variables."""
    return lambda *draws: f.without_log_q(q.flat(draws), q)


def kind_of(f: Objective) -> Kind:
    """Returns `Evidence` if f holds −log q."""
    return Evidence if isinstance(f, Evidence) or getattr(f, "evidence", False) else Function


def least_samples(estimator: Estimator) -> int:
    """Returns the least number of samples that an estimator accepts."""
    traits = estimator.traits
    return -(-traits.min_samples // traits.samples_step) * traits.samples_step
