"""The estimator contract: surrogates, fitted estimators, and the objectives that estimators receive.

A *surrogate* is a scalar per batch element whose gradient in q's parameters is the estimate of ∇θ E_{z~qθ}[f(z)]. The
same surrogate serves a training loop and the measurement.
"""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from estimators.errors import BadInput
from estimators.tools.calls import VALUES, leaving_z_alone, with_suitable_samples, wrapped
from estimators.tools.parameters import log_density
from estimators.traits import Need, Traits

F = TypeVar("F", bound="Fitted")


class Objective(ABC):
    """f(z, q), deterministic unless `noisy`. z has shape `[*sample, *batch, *event]`, the value `[*sample, *batch]`.

    Raises `BadInput` if a call changes z in place, because the estimator still uses z, or if the value has another
    shape, such as one number for all draws. Changes through `z.data`, or through the memory that `z.numpy()` shares,
    are detected only at an objective's first call on a CPU, and not under `torch.func.vmap`.

    Attributes:
        differentiable: f is differentiable in z wherever q has mass.
        twice_differentiable: f has a second derivative in z.
        relaxable: f is defined and differentiable between the values of a discrete z.
        breaks: values of a coordinate of z at which f may jump or have a kink; f is differentiable between them.
        half_space: (w, c), with w of z's event shape, if f may also jump where w·z crosses c.
        noisy: f draws noise of its own at every call: its value is an unbiased estimate of f(z), and so is the value's
            gradient in z if f is differentiable. Estimators that are not linear in f's values are then refused.
        offers: needs that f meets in addition to those that follow from the other attributes, such as a plug-in's own.
        offers_not: needs that f does not meet.
    """

    differentiable: bool = True
    twice_differentiable: bool = True
    relaxable: bool = True
    breaks: tuple[float, ...] = ()
    half_space: tuple[Tensor, float] | None = None
    noisy: bool = False
    offers: frozenset[Need] = frozenset()
    offers_not: frozenset[Need] = frozenset()

    def __init_subclass__(cls, **settings: object) -> None:
        super().__init_subclass__(**settings)
        wrapped(cls, VALUES, leaving_z_alone)

    @abstractmethod
    def __call__(self, z: Tensor, q: Distribution) -> Tensor: ...

    def held(self, z: Tensor, q: Distribution) -> Tensor:
        """Returns f with its own −log q detached from θ. E[∇θ log q] = 0, so score functions drop that direct term."""
        return self(z, q)

    def hold(self, value: Tensor, z: Tensor, q: Distribution) -> Tensor:
        """Returns `held(z, q)`, computed from `value` = f(z, q) without another call of f."""
        return value

    def without_log_q(self, z: Tensor, q: Distribution) -> Tensor:
        """Returns f without its own −log q, `[*sample, *batch]`: the part whose gradient along z = g(ε, θ) is noisy.

        On a Gaussian's path, −log q(μ + Lε) = ½‖ε‖² + log det L + constant, whose gradient in θ does not depend on ε.
        """
        return self(z, q)


def asked(function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Returns function(z). Raises `BadInput` with advice if a torch distribution inside rejects a relaxed z."""
    try:
        return function(z)
    except ValueError as error:
        if "within the support" not in str(error):
            raise
        raise BadInput(UNSUPPORTED) from error


UNSUPPORTED = (
    "the objective evaluates the log-density of a torch distribution at a z outside its support. Relaxed draws lie "
    "between the values of a discrete z: use estimators.log_density(prior, z) in place of prior.log_prob(z), or build "
    "the objective with relaxable=False. A continuous z lies in q's support, which may be wider than the prior's: use "
    "a prior that covers it"
)


class Function(Objective):
    """An objective that depends on z alone, from any function of z.

    >>> Function(lambda z: z.square().sum(-1))(torch.tensor([[1.0, 2.0]]), None)
    tensor([5.])
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        *,
        differentiable: bool = True,
        twice_differentiable: bool | None = None,
        relaxable: bool | None = None,
        breaks: tuple[float, ...] = (),
        half_space: tuple[Tensor, float] | None = None,
    ) -> None:
        self.function = function
        self.breaks = breaks
        self.half_space = half_space
        self.differentiable = differentiable
        self.twice_differentiable = differentiable if twice_differentiable is None else twice_differentiable
        self.relaxable = differentiable if relaxable is None else relaxable

    def __call__(self, z: Tensor, q: Distribution | None = None) -> Tensor:
        return asked(self.function, z)


class Evidence(Objective):
    """The integrand of the evidence lower bound, log p(x, z) − log q(z); its mean under q is the bound.

    Accepts relaxed draws of bits and one-hot variables whatever q's `validate_args` is, because log q is computed by
    `log_density`. A `log_joint` that evaluates a prior at relaxed draws needs `log_density(prior, z)` too: torch's own
    `log_prob` raises or, with `validate_args=False`, jumps between one-hot values.
    """

    def __init__(
        self, log_joint: Callable[[Tensor], Tensor], *, differentiable: bool = True, relaxable: bool = True
    ) -> None:
        self.log_joint = log_joint
        self.differentiable = self.twice_differentiable = differentiable
        self.relaxable = relaxable

    def __call__(self, z: Tensor, q: Distribution) -> Tensor:
        return asked(self.log_joint, z) - log_density(q, z)

    def held(self, z: Tensor, q: Distribution) -> Tensor:
        return asked(self.log_joint, z) - log_density(q, z).detach()

    def hold(self, value: Tensor, z: Tensor, q: Distribution) -> Tensor:
        log_q = log_density(q, z)
        return value + (log_q - log_q.detach())

    def without_log_q(self, z: Tensor, q: Distribution) -> Tensor:
        return asked(self.log_joint, z)


class SetObjective(Objective):
    """An objective of K draws at once: z has shape `[n, K, *batch, *event]`, the value `[n, *batch]`.

    Its expectation is over K independent draws of q. Only estimators with `Need.SETS`, or a need of a special case
    such as `Need.IMPORTANCE_BOUND`, accept it; their n counts sets.

    Attributes:
        draws: K.
    """

    draws: int


class ImportanceBound(SetObjective):
    """The importance-weighted bound L = log 1/K Σ_k w_k with w_k = p(x, z_k)/q(z_k); E_q L is at most log p(x).

    Takes K draws at once: z has shape `[n, K, *batch, *event]`, the value `[n, *batch]` (Burda, Grosse, Salakhutdinov
    2016). With `alpha` it is Rényi's bound, L_α =
    1/(1−α) log 1/K Σ_k w_k^{1−α} (Li, Turner 2016); its limit for α → 1 is the evidence bound. Raises `BadInput` if
    `draws` < 2 or `alpha` = 1.

    >>> from torch.distributions import Normal
    >>> q = Normal(0.0, 1.0)
    >>> bound = ImportanceBound(q.log_prob, draws=3)
    >>> bound(q.sample((2, 3)), q)
    tensor([0., 0.])
    """

    def __init__(
        self,
        log_joint: Callable[[Tensor], Tensor],
        draws: int,
        *,
        alpha: float = 0.0,
        differentiable: bool = True,
        relaxable: bool = True,
    ) -> None:
        if draws < 2:
            raise BadInput(f"an importance-weighted bound takes at least 2 draws, found {draws}; Evidence is for 1")
        if alpha == 1:
            raise BadInput("an importance-weighted bound with alpha = 1 is the evidence bound; take Evidence")
        self.log_joint = log_joint
        self.draws = draws
        self.alpha = alpha
        self.differentiable = self.twice_differentiable = differentiable
        self.relaxable = relaxable

    def log_weight(self, z: Tensor, q: Distribution) -> Tensor:
        """Returns (1−α) log w of every draw, `[n, K, *batch]`."""
        return (1 - self.alpha) * (asked(self.log_joint, z) - log_density(q, z))

    def held_weight(self, z: Tensor, q: Distribution) -> Tensor:
        """Returns log w of every draw with q detached, `[n, K, *batch]`; only log p's own parameters keep gradients."""
        return asked(self.log_joint, z) - log_density(q, z).detach()

    def __call__(self, z: Tensor, q: Distribution) -> Tensor:
        return (self.log_weight(z, q).logsumexp(1) - math.log(self.draws)) / (1 - self.alpha)


class Terms(Objective):
    """f = Σ_t f_t(z), where term t depends only on the variables i with `depends[t, i]` ≠ 0.

    The variables are the steps of q (`estimators.tools.steps`): its independent coordinates, or those that a chain or a
    graph draws in turn.

    Args:
        terms: z ↦ all terms, along a new last axis.
        depends: `[terms, variables]`, 1 where a term depends on a variable, else 0.
        differentiable: whether every term is differentiable in z.
        relaxable: whether every term is defined and differentiable between the values of a discrete z.

    >>> chain = Terms(lambda z: z[..., 1:] * z[..., :-1], torch.tensor([[1, 1, 0], [0, 1, 1]]))
    >>> chain(torch.tensor([1.0, 2.0, 3.0]), None)
    tensor(8.)
    """

    def __init__(
        self, terms: Callable[[Tensor], Tensor], depends: Tensor, *, differentiable: bool = True, relaxable: bool = True
    ) -> None:
        self.terms = terms
        self.depends = depends
        self.differentiable = self.twice_differentiable = differentiable
        self.relaxable = relaxable

    def each(self, z: Tensor, q: Distribution | None = None) -> Tensor:
        """Returns all terms at z, along a last axis."""
        return self.terms(z)

    def each_held(self, z: Tensor, q: Distribution) -> Tensor:
        """Returns all terms with their own −log q detached from θ, along a last axis (see `held`)."""
        return self.each(z, q)

    def dependence(self, q: Distribution) -> Tensor:
        """Returns on which of q's variables each term depends, `[terms, variables]`. Default: `depends`."""
        return self.depends

    def __call__(self, z: Tensor, q: Distribution | None = None) -> Tensor:
        return self.each(z, q).sum(-1)


class Estimator(ABC):
    """An estimator of ∇θ E_{z~qθ}[f(z)]. Subclasses are frozen dataclasses whose fields are their settings."""

    traits: Traits
    """A class attribute, or a (cached) property where the facts depend on the settings."""

    def __init_subclass__(cls, **settings: object) -> None:
        super().__init_subclass__(**settings)
        wrapped(cls, ("surrogate", "fit"), with_suitable_samples)

    @abstractmethod
    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        """Returns one value per batch element, from n draws, whose gradient in q's parameters is the estimate.

        The gradient is that of the expectation itself: pass a loss to minimise it, and negate a bound to maximise it.
        Raises `BadInput` if n does not satisfy `traits.min_samples` and `traits.samples_step`; this is checked for
        every class.
        """


@dataclass(frozen=True, kw_only=True)
class Fitted(Estimator):
    """An estimator with a part that is fitted first and then frozen before the measurement.

    `steps`: number of fitting steps in a sweep. `state`: the fitted tensors by name, None before fitting. `digest`: a
    hash of `state`, empty before fitting, which stands for it in equality and hash. Raises `BadInput` if `steps` < 0.
    """

    steps: int = 100
    state: dict[str, Tensor] | None = field(default=None, compare=False, repr=False, metadata={"private": True})
    digest: str = field(default="", repr=False, metadata={"private": True})

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise BadInput(f"{type(self).__name__}: steps must be 0 or more, found {self.steps}")

    @abstractmethod
    def fit(self, q: Distribution, f: Objective, n: int, steps: int) -> "Fitted":
        """Returns a fitted, frozen copy after `steps` steps of n draws each, with torch's generator.

        0 steps fit nothing.
        """

    def frozen(self: F, state: dict[str, Tensor]) -> F:
        """Returns a copy that holds `state`, as constants."""
        constant = {name: value.detach() for name, value in state.items()}
        return replace(self, state=constant, digest=digest(constant))


def digest(state: dict[str, Tensor]) -> str:
    """Returns a short hash of named tensors.

    >>> digest({"b": torch.tensor(1.0)}) == digest({"b": torch.tensor(2.0)})
    False
    """
    content = hashlib.sha256()
    for name, value in sorted(state.items()):
        content.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        content.update(value.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()[:16]


def with_slope(f: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Returns f(z) and ∂f/∂z, per draw, from one call of f; both stay differentiable in f's own parameters."""
    value, pullback, *_ = torch.func.vjp(f, z.detach())
    (slope,) = pullback(torch.ones_like(value))
    return value, slope


def gradient_at(f: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Returns f(z) and ∂f/∂z, per draw, both detached from any outer differentiation.

    >>> gradient_at(lambda z: z.square().sum(-1), torch.tensor([[1.0, 2.0]]))
    (tensor([5.]), tensor([[2., 4.]]))
    """
    value, slope = with_slope(f, z)
    return value.detach(), slope.detach()


def held_gradient_at(f: Objective, z: Tensor, q: Distribution) -> tuple[Tensor, Tensor]:
    """Returns f.held(z, q), differentiable in q and in f's own parameters, and the detached ∂f/∂z, from one call of f.

    >>> q = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    >>> held_gradient_at(Function(lambda z: z.square().sum(-1)), torch.tensor([[1.0, 2.0]]), q)
    (tensor([5.]), tensor([[2., 4.]]))
    """
    value, slope = with_slope(lambda x: f(x, q), z)
    return f.hold(value, z.detach(), q), slope.detach()
