"""Five small models of several random variables, each with its exact gradient in float64."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal, OneHotCategorical

from estimators import Estimator, get
from estimators.joint import Joint, JointFunction
from estimators.nested import PerVariable
from estimators.tools.parameters import loc_scale, log_density, states, support
from tests.support.cases import double

Tensors = dict[str, Tensor]
NODES = 32


@dataclass(frozen=True, eq=False)
class Several:
    """θ by name, θ ↦ the variables, f, and the estimators that are compared with leave-one-out on all of them at once.

    `build` accepts parameters with any leading axes.
    """

    name: str
    theta: Tensors
    build: Callable[[Tensors], Joint]
    f: JointFunction
    best: PerVariable
    others: tuple[PerVariable, ...] = ()

    def at(self, *batch: int) -> Tensors:
        """θ as leaves, expanded to a batch."""
        return {name: value.expand(*batch, *value.shape).clone().requires_grad_() for name, value in self.theta.items()}


def exact_gradient(model: Several) -> Tensor:
    """The gradient of E f, `[P]`: sums over discrete variables, Gauss–Hermite quadrature over Normals."""
    theta = model.at()
    q = model.build(theta)
    found = torch.autograd.grad(expectation(q, model.f, ()), list(theta.values()))
    return torch.cat([each.flatten() for each in found])


def expectation(q: Joint, f: JointFunction, draws: tuple[Tensor, ...]) -> Tensor:
    """E[f | draws], `[*leading]`, differentiable in q's parameters."""
    if len(draws) == len(q.variables):
        value = q.ask(f.function, draws)
        return value - q.log_prob(q.flat(draws)) if f.evidence else value
    here = q.given(draws)
    if states(here):
        z = support(here)
        weight = log_density(here, z).exp()
    else:
        z, weight = normal_nodes(here)
    every = (*(draw.expand(len(z), *draw.shape) for draw in draws), z)
    return (weight * expectation(q, f, every)).sum(0)


def normal_nodes(q: Distribution) -> tuple[Tensor, Tensor]:
    """Nodes of a product rule that move with loc and scale, `[nodes, *batch, D]`, and their weights."""
    loc, scale = loc_scale(q)
    matrix = torch.diag(torch.arange(1.0, NODES, dtype=torch.float64).sqrt(), 1)  # Golub and Welsch 1969
    x, vectors = torch.linalg.eigh(matrix + matrix.mT)
    D = loc.shape[-1]
    place = torch.cartesian_prod(*[torch.arange(NODES)] * D).reshape(-1, D)
    shape = (len(place), *(1 for _ in q.batch_shape))
    weight = vectors[0].square()[place].prod(-1).reshape(shape)
    return loc + scale * x[place].reshape(*shape, D), weight


def estimates(model: Several, estimator: Estimator, n: int, replicates: int) -> Tensor:
    """So many estimates of the gradient, `[R, P]`."""
    theta = model.at(replicates)
    estimator.surrogate(model.build(theta), model.f, n).sum().backward()
    return torch.cat([value.grad.flatten(1) for value in theta.values() if value.grad is not None], 1)


def times(z: Tensor, matrix: Tensor) -> Tensor:
    """z times a matrix with its own leading axes, over the last axis."""
    return (matrix @ z.unsqueeze(-1)).squeeze(-1)


def bits(logits: Tensor) -> Independent:
    return Independent(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)


def normal(loc: Tensor, scale: Tensor | float) -> Independent:
    return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


def one_hot(logits: Tensor) -> OneHotCategorical:
    return OneHotCategorical(logits=logits, validate_args=False)


def bits_then_normal() -> Several:
    def f(b: Tensor, x: Tensor) -> Tensor:
        return (x.sum(-1) - 1.2 * b[..., 0] + b[..., 1] * b[..., 2]).square() + (x[..., 0] * b[..., 2]).sin()

    theta = {"logits": double(-1.0, 0.3, 0.8), "W": double(0.9, -0.4, 0.3, 0.2, 1.1, -0.6).reshape(2, 3)}
    return Several(
        "bits, then Normals", theta,
        lambda p: Joint([bits(p["logits"]), lambda b: normal(times(b, p["W"]), 0.8)]), JointFunction(f),
        each("disarm", "reparameterisation"),
        (each("rloo", "reparameterisation"), each("muprop", "measure_valued"), each("arm", "rloo")),
    )  # fmt: skip


def normal_then_categorical() -> Several:
    def f(x: Tensor, c: Tensor) -> Tensor:
        place = (c * torch.arange(3.0, dtype=c.dtype)).sum(-1)
        return (x[..., 0] - place).square() + 0.5 * c[..., 1] * x[..., 0]

    theta = {"loc": double(0.4), "scale": double(0.9), "V": double(0.8, -0.5, 0.3).reshape(3, 1)}
    return Several(
        "a Normal, then a category", theta,
        lambda p: Joint([normal(p["loc"], p["scale"]), lambda x: one_hot(times(x, p["V"]))]), JointFunction(f),
        each("reparameterisation", "exact"),
        (each("reparameterisation", "rloo"), each("rloo", "rloo"), each("rloo", "sum_and_sample")),
    )  # fmt: skip


def two_groups() -> Several:
    def f(z: Tensors) -> Tensor:
        return (z["switch"].sum(-1) - z["weight"].sum(-1)).square() + z["switch"][..., 0] * z["weight"][..., 1]

    theta = {"logits": double(-0.5, 0.2, 1.0), "loc": double(0.3, -0.4), "scale": double(0.8, 1.2)}
    return Several(
        "two groups", theta,
        lambda p: Joint({"switch": bits(p["logits"]), "weight": normal(p["loc"], p["scale"])}), JointFunction(f),
        each("disarm", "reparameterisation"),
        (each("rloo", "reparameterisation"), each("rebar", "reparameterisation"), each("local_expectation", "rloo")),
    )  # fmt: skip


def three_layers() -> Several:
    def f(c: Tensor, x: Tensor, b: Tensor) -> Tensor:
        return (x[..., 0] - b[..., 0] + 0.7 * b[..., 1]).square() + c[..., 2] * x[..., 0] + b.prod(-1) * c[..., 0]

    theta = {"logits": double(0.4, -0.2, 0.1), "U": double(0.9, -0.6, 0.4).reshape(1, 3)}
    theta["V"] = double(1.1, -0.7).reshape(2, 1)

    def build(p: Tensors) -> Joint:
        second = lambda c: normal(times(c, p["U"]), 0.7)  # noqa: E731
        return Joint([one_hot(p["logits"]), second, lambda c, x: bits(times(x, p["V"]) + c[..., :2])])

    return Several(
        "three layers", theta, build, JointFunction(f), each("rloo", "reparameterisation", "exact"),
        (each("rloo", "reparameterisation", "disarm"), each("arsm", "rloo", "local_expectation")),
    )  # fmt: skip


def two_layer_evidence() -> Several:
    """A variational autoencoder of two layers on one datum."""
    weight = double(0.9, -1.1, 0.4, 0.7, -0.3, 1.2).reshape(3, 2)
    datum = double(1.0, 0.0, 1.0)

    def log_joint(b: Tensor, x: Tensor) -> Tensor:
        prior = -0.5 * b.sum(-1) + normal(2 * b - 1, 1.0).log_prob(x)
        return prior + bits(x @ weight.mT).log_prob(datum.expand(*x.shape[:-1], 3))

    theta = {"logits": double(1.3, -0.6), "W": double(-0.8, 1.4, 1.9, -0.7).reshape(2, 2), "scale": double(1.6, 0.4)}
    return Several(
        "two layers of an evidence", theta,
        lambda p: Joint([bits(p["logits"]), lambda b: normal(times(b, p["W"]), p["scale"].expand(b.shape))]),
        JointFunction(log_joint, evidence=True), each("rloo", "sticking_the_landing"),
        (each("disarm", "reparameterisation"), each("muprop", "reparameterisation"), each("rloo", "rloo")),
    )  # fmt: skip


def each(*names: str) -> PerVariable:
    """These estimators, one for each variable."""
    return PerVariable([get(name) for name in names])


MODELS = (bits_then_normal(), normal_then_categorical(), two_groups(), three_layers(), two_layer_evidence())
