"""Small problems with exact gradients for the checks: bits, categoricals, Gaussians, a Gamma; none is symmetric."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Distribution,
    Gamma,
    Independent,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    constraints,
)

from estimators.core import Estimator, Evidence, Function, ImportanceBound, Objective, SetObjective, Terms
from estimators.needs import Offer
from estimators.order_statistics import OrderStatistics
from estimators.tools.parameters import base, states, support
from estimators.tools.tensors import Tensors
from estimators.traits import Need

NODES = 48
"""Quadrature nodes per dimension."""


@dataclass(frozen=True, eq=False)
class Case:
    """A distribution at a parameter point, with an objective. `build` accepts parameters with any leading axes.

    `expectation`: E f as a differentiable function of the parameters. It is required unless q is discrete, a Gaussian
    in one or two dimensions, or a Gamma.
    """

    name: str
    build: Callable[..., Distribution]
    parameters: Tensors
    f: Objective
    expectation: Callable[[Tensors], Tensor] | None = None

    def at(self, *batch: int, dtype: torch.dtype = torch.float64, device: str = "cpu") -> Tensors:
        """Returns the parameters, expanded to a batch."""
        return {name: value.to(device, dtype).expand(*batch, *value.shape) for name, value in self.parameters.items()}

    def q(self, *batch: int, dtype: torch.dtype = torch.float64) -> Distribution:
        """Returns the distribution at the parameter point, with batch shape `batch`."""
        return self.build(**self.at(*batch, dtype=dtype))

    @property
    def dim(self) -> int:
        """Number of parameters P."""
        return sum(value.numel() for value in self.parameters.values())


class Taxed(Objective):
    """An objective that depends on q, with a direct gradient of nonzero mean, as in a bound of several draws."""

    def __init__(self, function: Callable[[Tensor], Tensor], tax: Callable[[Distribution], Tensor]) -> None:
        self.function, self.tax = function, tax

    def __call__(self, z: Tensor, q: Distribution) -> Tensor:
        return self.function(z) + self.tax(q)


@cache
def truth(case: Case) -> tuple[Tensor, Tensor]:
    """Returns E f and its exact gradient `[P]`. −log q inside f is held fixed, as its direct term has mean zero.

    >>> value, gradient = truth(CASES[0])
    >>> value.shape, gradient.shape
    (torch.Size([]), torch.Size([3]))
    """
    expectation = case.expectation or (enumerated(case) if states(case.q()) else integrated(case))
    gradient, value = torch.func.grad_and_value(expectation)(case.parameters)
    return value, as_vectors(gradient)


def as_vectors(gradient: Tensors, batch: int = 0) -> Tensor:
    """Returns a gradient by name as vectors, `[*batch, P]`."""
    return torch.cat([value.flatten(batch) for value in gradient.values()], -1)


def enumerated(case: Case) -> Callable[[Tensors], Tensor]:
    """Returns E f as a function of the parameters, by summing over every value of z or every set of a bound's draws."""

    def expectation(values: Tensors) -> Tensor:
        q = case.build(**values)
        z = support(q)
        if isinstance(case.f, SetObjective):
            sets = torch.cartesian_prod(*[torch.arange(len(z))] * case.f.draws)
            return (q.log_prob(z)[sets].sum(1).exp() * case.f(z[sets], q)).sum()
        return (q.log_prob(z).exp() * case.f.held(z, q)).sum()

    return expectation


def integrated(case: Case) -> Callable[[Tensors], Tensor]:
    """Returns E f as a function of the parameters, for two Gaussian dimensions: one draw in 2-D, or two draws in 1-D.

    A Gauss–Hermite grid at θ is weighted by the ratio of the densities. A `Jumping` objective uses its closed form
    instead. A Gamma uses the trapezoidal rule in log z, whose error falls exponentially.
    """
    x, w = gauss_hermite(NODES)
    grid, weight = torch.cartesian_prod(x, x), torch.cartesian_prod(w, w).prod(-1)
    here, pairs = case.q(), isinstance(case.f, SetObjective)
    if isinstance(base(here), Gamma):
        t = torch.linspace(-14.0, 4.0, 2000, dtype=torch.float64)
        z, weight = t.exp().unsqueeze(-1), t.exp() * here.log_prob(t.exp().unsqueeze(-1)).exp() * (t[1] - t[0])
    elif pairs:
        z = case.parameters["loc"] + case.parameters["scale"] * grid.unsqueeze(-1)
    else:
        inner = base(here)
        tril = inner.scale_tril if isinstance(inner, MultivariateNormal) else inner.stddev.diag()
        z = case.parameters["loc"] + grid @ tril.mT

    def expectation(values: Tensors) -> Tensor:
        q = case.build(**values)
        if isinstance(case.f, Jumping):
            return case.f.expectation(values)
        log_ratio = q.log_prob(z) - here.log_prob(z)
        value = case.f(z, q) if pairs else case.f.held(z, q)
        return (weight * (log_ratio.sum(1) if pairs else log_ratio).exp() * value).sum()

    return expectation


def gauss_hermite(nodes: int) -> tuple[Tensor, Tensor]:
    """Returns nodes and weights of the standard normal, by the eigenvectors of the Jacobi matrix (Golub, Welsch 1969).

    >>> x, w = gauss_hermite(5)
    >>> round(float((w * x**4).sum()), 9)
    3.0
    """
    off = torch.arange(1, nodes, dtype=torch.float64).sqrt()
    x, vectors = torch.linalg.eigh(off.diag(1) + off.diag(-1))
    return x, vectors[0].square()


class Jumping(Objective):
    """2·1[z₀ > 0.3] + z₁²: the objective jumps, so that its gradient in z is wrong."""

    differentiable = twice_differentiable = relaxable = False

    def __call__(self, z: Tensor, q: Distribution) -> Tensor:
        return 2 * (z[..., 0] > 0.3).to(z.dtype) + z[..., 1].square()

    def expectation(self, values: Tensors) -> Tensor:
        """Returns E f in closed form, by the error function."""
        loc, scale = values["loc"], values["scale"]
        above = torch.special.ndtr((loc[..., 0] - 0.3) / scale[..., 0])
        return (2 * above + loc[..., 1].square() + scale[..., 1].square()).sum()


class Scaled(Objective):
    """w·f, for an f that depends on z alone."""

    def __init__(self, f: Objective, w: Tensor) -> None:
        self.f, self.w = f, w
        self.differentiable, self.twice_differentiable, self.relaxable = (
            f.differentiable,
            f.twice_differentiable,
            f.relaxable,
        )

    def __call__(self, z: Tensor, q: Distribution) -> Tensor:
        return self.w * self.f(z, q)

    @staticmethod
    def fits(f: Objective) -> bool:
        """Returns whether f may be scaled: estimators recognise `Evidence` and `Terms` by class, which is lost here."""
        return isinstance(f, Function | Jumping)


def build_bits(logits: Tensor) -> Distribution:
    """Returns independent bits, event `[variables]`."""
    return Independent(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)


def build_one_hot(logits: Tensor) -> Distribution:
    """Returns several one-hot variables, event `[variables, categories]`."""
    return Independent(OneHotCategorical(logits=logits, validate_args=False), 1, validate_args=False)


def build_single(logits: Tensor) -> Distribution:
    """Returns a single one-hot variable, event `[categories]`."""
    return OneHotCategorical(logits=logits, validate_args=False)


def build_normal(loc: Tensor, scale: Tensor) -> Distribution:
    """Returns a diagonal Normal, event `[dimensions]`."""
    return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


class LearnedLocation(Normal):
    """A Normal that declares that only its location is learned."""

    learns = ("loc",)


def build_location(loc: Tensor) -> Distribution:
    """Returns a Normal with scale 0.5 whose location alone is learned."""
    return Independent(LearnedLocation(loc, torch.full_like(loc, 0.5), validate_args=False), 1, validate_args=False)


class LinkedBits(Distribution):
    """Bits that are steps, P(b_t = 1 | b_{t−1}) = σ(logits_t + link_t b_{t−1}), event `[T]`."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {  # type: ignore[misc]
        "logits": constraints.real_vector,
        "link": constraints.real_vector,
    }
    support = constraints.independent(constraints.boolean, 1)  # type: ignore[assignment]
    has_enumerate_support = True
    offers = frozenset({Need.DENSITY})

    def __init__(self, logits: Tensor, link: Tensor, validate_args: bool | None = None) -> None:
        self.logits, self.link = logits, link
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    def given(self, z: Tensor) -> Tensor:
        """Returns the logits of all bits of z, each given the one before."""
        return self.logits + self.link * torch.nn.functional.pad(z[..., :-1], (1, 0))

    def log_prob_steps(self, value: Tensor) -> Tensor:
        """Returns the log-probability of each bit given the one before, `[*batch, T]`."""
        logits = self.given(value)
        return value * logits - torch.nn.functional.softplus(logits)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.log_prob_steps(value).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
        noise = torch.rand(*sample_shape, *self.logits.shape, dtype=self.logits.dtype, device=self.logits.device)
        z = torch.zeros_like(noise)
        for _ in range(noise.shape[-1]):  # bit t is settled after t + 1 rounds
            z = (noise < self.given(z).sigmoid()).to(noise.dtype)
        return z

    def enumerate_support(self, expand: bool = True) -> Tensor:
        both = torch.tensor([0.0, 1.0], dtype=self.logits.dtype, device=self.logits.device)
        table = torch.cartesian_prod(*[both] * self.event_shape[0])
        return table.reshape(len(table), *(1 for _ in self.batch_shape), -1).expand(-1, *self.logits.shape)


def build_linked(logits: Tensor, link: Tensor) -> Distribution:
    """Returns bits in a chain, event `[variables]`."""
    return LinkedBits(logits, link)


def build_gamma(concentration: Tensor, rate: Tensor) -> Distribution:
    """Returns independent Gammas, event `[dimensions]`."""
    return Independent(Gamma(concentration, rate, validate_args=False), 1, validate_args=False)


def build_full_normal(loc: Tensor, scale_tril: Tensor) -> Distribution:
    """Returns a multivariate Normal from the lower triangle of `scale_tril`: torch differentiates the upper one too."""
    return MultivariateNormal(loc, scale_tril=scale_tril.tril(), validate_args=False)


def of_bits(z: Tensor) -> Tensor:
    """A nonlinear function of three bits."""
    return 2 * z[..., 0] - 2.5 * z[..., 1] * (1 - 0.6 * z[..., 0]) + (z[..., 2] - 0.5 * z[..., 0]).exp()


def of_ranks(z: Tensor) -> Tensor:
    """A nonlinear function of the category indices of several one-hot variables."""
    rank = (z * torch.arange(z.shape[-1], dtype=z.dtype, device=z.device)).sum(-1)
    return (rank[..., 0] - 1.4 * rank[..., 1] + 0.3).square() + rank.sum(-1)


def of_rank(z: Tensor) -> Tensor:
    """A quadratic function of the category index of a one-hot variable."""
    return ((z * torch.arange(z.shape[-1], dtype=z.dtype, device=z.device)).sum(-1) - 0.8).square() + 0.5


def of_line(z: Tensor) -> Tensor:
    """A smooth function of two real numbers."""
    return (z.sum(-1) - 0.4).square() + (0.5 * z[..., 0] * z[..., 1]).sin() + z[..., 1] + 1.5


def of_positive(z: Tensor) -> Tensor:
    """A smooth function of a positive number."""
    return (1.0 - z[..., 0]).square() / (1 + 0.3 * z[..., 0]) + 0.5


def log_joint_of_line(z: Tensor) -> Tensor:
    """A log joint density of two real latent variables."""
    return -0.5 * z.square().sum(-1) + torch.nn.functional.logsigmoid(2 * z[..., 0] * z[..., 1] + z[..., 0])


def joint_of_bits(z: Tensor) -> Tensor:
    """A log joint density of bits."""
    return 1.5 * z[..., 0] - 2 * z[..., 1] * z[..., 0] + (z.sum(-1) - 0.7).square() - 1.0


def joint(z: Tensor) -> Tensor:
    """A log joint density of one real latent variable."""
    return -0.5 * (z[..., 0] + 0.4).square() + (2 * z[..., 0]).cos() - 1.0


def tax(q: Distribution) -> Tensor:
    """0.8 times the squared norm of q's mean."""
    return 0.8 * q.mean.square().sum(-1)


def doubles(*values: float) -> Tensor:
    """Returns a float64 tensor."""
    return torch.tensor(values, dtype=torch.float64)


LOGITS = {"logits": doubles(-1.0, 0.3, 1.2)}
GAUSSIAN = {"loc": doubles(0.6, -0.8), "scale": doubles(0.7, 1.1)}
CHAIN = Terms(lambda z: (z[..., 1:] - 1.6 * z[..., :-1]).square(), torch.tensor([[1, 1, 0], [0, 1, 1]]))

CASES: tuple[Case, ...] = (
    Case("bits", build_bits, LOGITS, Function(of_bits)),
    Case("bits with q in f", build_bits, LOGITS, Taxed(of_bits, tax)),
    Case("evidence of bits", build_bits, LOGITS, Evidence(lambda z: -0.7 * of_bits(z))),
    Case("chain of bits", build_bits, LOGITS, CHAIN),
    Case(
        "one-hot", build_one_hot, {"logits": doubles(0.5, -0.7, 0.2, -0.4, 0.9, 0.1).reshape(2, 3)}, Function(of_ranks)
    ),
    Case("single one-hot", build_single, {"logits": doubles(0.5, -0.7, 0.2, -0.4)}, Function(of_rank)),
    Case("normal", build_normal, GAUSSIAN, Function(of_line)),
    Case("evidence of a normal", build_normal, GAUSSIAN, Evidence(log_joint_of_line)),
    Case(
        "full normal",
        build_full_normal,
        {"loc": doubles(0.6, -0.8), "scale_tril": torch.stack([doubles(0.7, 0.0), doubles(-0.4, 0.9)])},
        Function(of_line),
    ),
    Case("bound of bits", build_bits, {"logits": doubles(-0.8, 0.9)}, ImportanceBound(joint_of_bits, draws=3)),
    Case(
        "bound of a normal", build_normal, {"loc": doubles(0.6), "scale": doubles(0.7)}, ImportanceBound(joint, draws=2)
    ),
    Case(
        "maximum of bits", build_bits, {"logits": doubles(-0.8, 0.9)}, OrderStatistics.maximum(joint_of_bits, draws=3)
    ),
    Case(
        "tail of a normal",
        build_normal,
        {"loc": doubles(0.6), "scale": doubles(0.7)},
        OrderStatistics(joint, (0.8, 0.2), differentiable=True),
    ),
    Case("location of a normal", build_location, {"loc": doubles(0.6, -0.8)}, Function(of_line)),
    Case("gamma", build_gamma, {"concentration": doubles(1.7), "rate": doubles(0.9)}, Function(of_positive)),
    Case("step of a normal", build_normal, GAUSSIAN, Jumping()),
)


STEP_CASES: tuple[Case, ...] = (Case("linked bits", build_linked, {**LOGITS, "link": doubles(0.0, 1.7, -2.0)}, CHAIN),)
"""For estimators that use the steps of q."""


@cache
def offer_of(case: Case) -> Offer:
    """Returns the needs that a case meets."""
    return Offer(case.q(), case.f)


@cache
def own_cases(made: Callable[[], Iterable[Case]]) -> tuple[Case, ...]:
    """Returns the cases of a plug-in's need, created once."""
    return tuple(made())


def fitting_cases(estimator: Estimator) -> list[Case]:
    """Returns the cases, built in and from the estimator's own needs, that meet all its needs."""
    own = [own_cases(need.cases) for need in Need.declared() if need.cases and need in estimator.traits.needs]
    own += [STEP_CASES] if Need.STEPS in estimator.traits.needs else []
    n = draws(estimator)
    return [case for case in (*CASES, *chain(*own)) if offer_of(case).unmet(estimator, n) is None]


def draws(estimator: Estimator, at_least: int = 3) -> int:
    """Returns a number of draws that suits the estimator, at least `at_least`."""
    traits = estimator.traits
    step = traits.samples_step
    return -(-max(traits.min_samples, at_least) // step) * step
