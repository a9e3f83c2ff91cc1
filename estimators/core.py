"""The contract of an estimator: its surrogate, its traits, and the objectives it is given.

A *surrogate* is a scalar per batch element whose gradient in q's parameters is the estimate of
∇θ E_{z~qθ}[f(z)]. One surrogate serves a training loop and the measurement alike.
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
    """f(z, q), deterministic: z is `[*sample, *batch, *event]`, the value `[*sample, *batch]`.

    z belongs to the estimator: an objective that changes it in place raises `BadInput`, and so does a value of another
    shape, such as one number for all draws. Two changes are found at an objective's first call on a CPU only, and not
    under `torch.func.vmap`: those through `z.data`, and those through the memory that `z.numpy()` shares.

    `differentiable`: in z, wherever q puts its mass. `relaxable`: defined and differentiable between
    the values of a discrete z. `twice_differentiable`: has a second derivative in z. `breaks`: the values
    of a coordinate of z at which f may jump or kink, if between them it is differentiable. `half_space`: (w, c)
    if f may also jump where w·z crosses c, w of z's event shape. `offers`, `offers_not`: needs that it meets, or does
    not, beside those that follow from the above: a plug-in's own, say.
    """

    differentiable: bool = True
    twice_differentiable: bool = True
    relaxable: bool = True
    breaks: tuple[float, ...] = ()
    half_space: tuple[Tensor, float] | None = None
    offers: frozenset[Need] = frozenset()
    offers_not: frozenset[Need] = frozenset()

    def __init_subclass__(cls, **settings: object) -> None:
        super().__init_subclass__(**settings)
        wrapped(cls, VALUES, leaving_z_alone)

    @abstractmethod
    def __call__(self, z: Tensor, q: Distribution) -> Tensor: ...

    def held(self, z: Tensor, q: Distribution) -> Tensor:
        """f with its own −log q held fixed: E[∇θ log q] = 0, so score functions drop that direct term."""
        return self(z, q)

    def hold(self, value: Tensor, z: Tensor, q: Distribution) -> Tensor:
        """`held(z, q)`, made from value = f(z, q) without another call of f."""
        return value

    def without_log_q(self, z: Tensor, q: Distribution) -> Tensor:
        """f without its own −log q, `[*sample, *batch]`: the part whose gradient along a path z = g(ε, θ) is noisy.

        Along a Gaussian's path, −log q(μ + Lε) = ½‖ε‖² + log det L + constant, whose gradient in θ is free of ε.
        """
        return self(z, q)


def asked(function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """function(z), with a sentence instead of torch's error where a distribution inside refuses a relaxed z."""
    try:
        return function(z)
    except ValueError as error:
        if "within the support" not in str(error):
            raise
        raise BadInput(UNSUPPORTED) from error


UNSUPPORTED = (
    "the objective asks a torch distribution for the log-density of a z outside its support. Relaxed draws lie between "
    "the values of a discrete z: take estimators.log_density(prior, z) for prior.log_prob(z), or say relaxable=False "
    "of the objective. A continuous z lies in q's support, which may be wider than a prior's: take a prior on all of it"
)


class Function(Objective):
    """An objective of z alone, from any function of z.

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
    """The evidence lower bound's integrand, log p(x, z) − log q(z); E_q of it is the bound.

    Relaxed draws of bits and one-hot variables are accepted whatever q's `validate_args` says: log q is then
    `log_density`. A `log_joint` that asks a prior for the log-density of relaxed draws takes `log_density(prior, z)`
    too: torch's own raises, or with `validate_args=False` jumps between one-hot values.
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


class ImportanceBound(Objective):
    """The importance-weighted bound L = log 1/K Σ_k w_k with w_k = p(x, z_k)/q(z_k); E_q L is at most log p(x).

    It takes K draws at once: z is `[n, K, *batch, *event]`, the value `[n, *batch]` (Burda, Grosse, Salakhutdinov
    2016). Only estimators that need it are made for it. With `alpha` it is Rényi's bound,
    L_α = 1/(1−α) log 1/K Σ_k w_k^{1−α} (Li, Turner 2016); α → 1 would be the evidence bound.

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
        """(1−α) log w of every draw, `[n, K, *batch]`."""
        return (1 - self.alpha) * (asked(self.log_joint, z) - log_density(q, z))

    def held_weight(self, z: Tensor, q: Distribution) -> Tensor:
        """log w of every draw with q held fixed: it varies with log p's own parameters alone, `[n, K, *batch]`."""
        return asked(self.log_joint, z) - log_density(q, z).detach()

    def __call__(self, z: Tensor, q: Distribution) -> Tensor:
        return (self.log_weight(z, q).logsumexp(1) - math.log(self.draws)) / (1 - self.alpha)


class Terms(Objective):
    """f = Σ_t f_t(z), where term t sees only the variables i with `depends[t, i]`.

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
        """Every term at z, along a last axis."""
        return self.terms(z)

    def __call__(self, z: Tensor, q: Distribution | None = None) -> Tensor:
        return self.each(z, q).sum(-1)


class Estimator(ABC):
    """An estimator of ∇θ E_{z~qθ}[f(z)]. Subclasses are frozen dataclasses: the fields are its settings."""

    traits: Traits
    """A class attribute, or a (cached) property where the facts depend on the settings."""

    def __init_subclass__(cls, **settings: object) -> None:
        super().__init_subclass__(**settings)
        wrapped(cls, ("surrogate", "fit"), with_suitable_samples)

    @abstractmethod
    def surrogate(self, q: Distribution, f: Objective, n: int) -> Float[Tensor, "*batch"]:
        """A value per batch element, from n draws, whose gradient in q's parameters is the estimate.

        The gradient is that of the expectation as it stands: pass a loss to minimise it; negate a bound.
        Raises `BadInput` where n does not suit `traits.min_samples` and `traits.samples_step`; for every class alike.
        """


@dataclass(frozen=True, kw_only=True)
class Fitted(Estimator):
    """An estimator with a part that is learned first and frozen before it is measured.

    `steps`: how long the harness fits. `state`: what was learned, None before; `digest` stands for it in
    equality and hash, and is empty before.
    """

    steps: int = 100
    state: dict[str, Tensor] | None = field(default=None, compare=False, repr=False, metadata={"private": True})
    digest: str = field(default="", repr=False, metadata={"private": True})

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise BadInput(f"{type(self).__name__}: steps must be 0 or more, found {self.steps}")

    @abstractmethod
    def fit(self, q: Distribution, f: Objective, n: int, steps: int) -> "Fitted":
        """A tuned, frozen copy, after `steps` steps of n draws each; uses torch's generator. 0 steps change nothing."""

    def frozen(self: F, state: dict[str, Tensor]) -> F:
        """A copy that holds `state`, as constants."""
        constant = {name: value.detach() for name, value in state.items()}
        return replace(self, state=constant, digest=digest(constant))


def digest(state: dict[str, Tensor]) -> str:
    """A short fingerprint of tensors by name.

    >>> digest({"b": torch.tensor(1.0)}) == digest({"b": torch.tensor(2.0)})
    False
    """
    content = hashlib.sha256()
    for name, value in sorted(state.items()):
        content.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        content.update(value.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()[:16]


def with_slope(f: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """f(z) and ∂f/∂z, per draw, from one call of f; both still differentiable in what f was made from."""
    value, pullback, *_ = torch.func.vjp(f, z.detach())
    (slope,) = pullback(torch.ones_like(value))
    return value, slope


def gradient_at(f: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """f(z) and ∂f/∂z, per draw, both constants in whatever is being differentiated outside.

    >>> gradient_at(lambda z: z.square().sum(-1), torch.tensor([[1.0, 2.0]]))
    (tensor([5.]), tensor([[2., 4.]]))
    """
    value, slope = with_slope(f, z)
    return value.detach(), slope.detach()


def held_gradient_at(f: Objective, z: Tensor, q: Distribution) -> tuple[Tensor, Tensor]:
    """f.held(z, q), differentiable in q and in f's own parameters, and the constant ∂f/∂z, from one call of f.

    >>> q = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    >>> held_gradient_at(Function(lambda z: z.square().sum(-1)), torch.tensor([[1.0, 2.0]]), q)
    (tensor([5.]), tensor([[2., 4.]]))
    """
    value, slope = with_slope(lambda x: f(x, q), z)
    return f.hold(value, z.detach(), q), slope.detach()
