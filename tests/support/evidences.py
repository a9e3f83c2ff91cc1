"""Evidences of plain torch distributions, validation on, with their exact gradients; and the files of examples/."""

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributions as td
from torch.func import functional_call

import estimators
from bench.advice.given_objective import given_objective
from estimators import Estimator, Evidence, Fitted, Joint, Objective
from estimators.needs import Offer
from estimators.tools.parameters import states
from tests.support.cases import Case, double, integrated
from tests.support.exactness import Tensors, enumerated
from tests.support.own_models import EXAMPLES

WHOLE = ("discrete_vae", "token_policy", "variational_posterior")
"""Examples that every estimator trains in `make test`; on the others the rest trains in `make test-all`."""
Points = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Validated:
    """log p(x, z) with a q that torch validates; `points`: z and its measure where z is neither finite nor Gaussian."""

    build: Callable[..., td.Distribution]
    parameters: Tensors
    log_joint: Callable[[Tensor], Tensor]
    points: Callable[[], Points] | None = None

    @property
    def f(self) -> Evidence:
        return Evidence(self.log_joint)

    @property
    def case(self) -> Case:
        return self.build, self.parameters, self.f

    @cached_property
    def exact(self) -> Tensor:
        """∇θ E f, `[P]`: over all values of z, by a Gauss–Hermite grid, or over `points`."""
        if self.points is None:
            q = self.build(**self.parameters)
            return enumerated(*self.case) if states(q) else integrated(*self.case)
        z, measure = self.points()

        def expectation(values: Tensors) -> Tensor:
            q = self.build(**values)
            return (measure * q.log_prob(z).exp() * self.f.held(z, q)).sum()

        return torch.cat([value.flatten() for value in torch.func.grad(expectation)(self.parameters).values()])


def counts() -> Points:
    z = torch.arange(150, dtype=torch.float64)
    return z, torch.ones_like(z)


def trials() -> Points:
    z = torch.arange(7, dtype=torch.float64)
    return z, torch.ones_like(z)


def line() -> Points:
    """The real line from 0.3 to both sides, in equal steps of arsinh; a density may kink there."""
    t = torch.linspace(-12, 12, 8001, dtype=torch.float64)
    return 0.3 + t.sinh(), t.cosh() * (t[1] - t[0])


def positive() -> Points:
    t = torch.linspace(-20, 5, 4001, dtype=torch.float64)
    return t.exp(), t.exp() * (t[1] - t[0])


def unit() -> Points:
    t = torch.linspace(-25, 25, 4001, dtype=torch.float64)
    return t.sigmoid(), t.sigmoid() * (-t).sigmoid() * (t[1] - t[0])


def simplex() -> Points:
    """Three proportions, by breaking a stick twice."""
    t = torch.linspace(-20, 20, 301, dtype=torch.float64)
    first, second = torch.cartesian_prod(t, t).unbind(-1)
    x, y = first.sigmoid(), second.sigmoid()
    measure = x * (1 - x).square() * y * (1 - y) * (t[1] - t[0]).square()
    return torch.stack([x, (1 - x) * y, (1 - x) * (1 - y)], -1), measure


def of_vector(z: Tensor) -> Tensor:
    return (1.2 * z[..., 0] - z[..., 1] + 0.4 * z.sum(-1)).sin() * 2 - 0.4 * (z.sum(-1) - 1).square()


def of_rows(z: Tensor) -> Tensor:
    return of_vector((z * torch.arange(z.shape[-1], dtype=z.dtype)).sum(-1))


def of_scalar(z: Tensor) -> Tensor:
    return 2 * (0.7 * z).cos() - 0.2 * (z - 1).square()


def of_positive(z: Tensor) -> Tensor:
    return 0.8 * z.log1p() - 0.5 * z


def along(kind: Callable[..., td.Distribution]) -> Callable[..., td.Distribution]:
    """That kind with its last axis in the event."""
    return lambda **values: td.Independent(kind(**values), 1)


LOGITS = {"logits": double(-1.0, 0.3, 1.2)}
VALIDATED: dict[str, Validated] = {
    "bits": Validated(along(td.Bernoulli), LOGITS, of_vector),
    "bits, each alone": Validated(td.Bernoulli, LOGITS, of_scalar),
    "bits by their probabilities": Validated(along(td.Bernoulli), {"probs": double(0.2, 0.6, 0.7)}, of_vector),
    "one-hot": Validated(
        td.OneHotCategorical, {"logits": double(0.4, -1.2, 2.0)}, lambda z: z @ double(1.0, -2.0, 0.5)
    ),
    "one-hot rows": Validated(
        along(td.OneHotCategorical), {"logits": double(0.5, -0.7, 0.2, -0.4, 0.9, 0.1).reshape(2, 3)}, of_rows
    ),
    "one-hot by its probabilities": Validated(
        td.OneHotCategorical, {"probs": double(0.5, 0.3, 0.2)}, lambda z: z @ double(1.0, -2.0, 0.5)
    ),
    "Normals": Validated(along(td.Normal), {"loc": double(0.6, -0.8), "scale": double(0.7, 1.1)}, of_vector),
    "full Normal": Validated(
        lambda loc, scale_tril: td.MultivariateNormal(loc, scale_tril=scale_tril.tril()),
        {"loc": double(0.6, -0.8), "scale_tril": torch.stack([double(0.7, 0.0), double(-0.4, 0.9)])},
        of_vector,
    ),
    "Normal": Validated(td.Normal, {"loc": double(0.3), "scale": double(0.8)}, of_scalar, line),
    "Laplace": Validated(td.Laplace, {"loc": double(0.3), "scale": double(0.8)}, of_scalar, line),
    "StudentT": Validated(
        lambda loc, scale: td.StudentT(5.0, loc, scale), {"loc": double(0.3), "scale": double(0.8)}, torch.cos, line
    ),
    "Gamma": Validated(td.Gamma, {"concentration": double(1.7), "rate": double(0.9)}, of_positive, positive),
    "Exponential": Validated(td.Exponential, {"rate": double(0.9)}, of_positive, positive),
    "Beta": Validated(td.Beta, {"concentration1": double(1.7), "concentration0": double(2.4)}, of_scalar, unit),
    "Dirichlet": Validated(td.Dirichlet, {"concentration": double(1.7, 2.4, 1.2)}, lambda z: 2 * of_vector(z), simplex),
    "Poisson": Validated(td.Poisson, {"rate": double(1.8)}, of_scalar, counts),
    "Geometric": Validated(td.Geometric, {"probs": double(0.4)}, of_scalar, counts),
    "Binomial": Validated(lambda probs: td.Binomial(6, probs=probs), {"probs": double(0.4)}, of_scalar, trials),
}


def draws(estimator: Estimator) -> int:
    """A number of draws that suits."""
    traits = estimator.traits
    return -(-max(traits.min_samples, 2) // traits.samples_step) * traits.samples_step


def fitted(estimator: Estimator, q: td.Distribution, f: Objective, steps: int) -> Estimator:
    return estimator.fit(q, f, draws(estimator), steps) if isinstance(estimator, Fitted) else estimator


@cache
def fitting(estimator: Estimator) -> list[str]:
    """The evidences that offer what an estimator needs."""
    return [name for name, offer in offered().items() if offer.unmet(estimator, draws(estimator)) is None]


@cache
def offered() -> dict[str, Offer]:
    """What each of the evidences offers."""
    return {name: Offer(each.build(**each.parameters), each.f) for name, each in VALIDATED.items()}


@cache
def pairs() -> list[tuple[str, str, bool]]:
    """Every estimator with every evidence that it fits; True for three of each that are spread over the list."""
    found = []
    for name in estimators.available():
        fit = fitting(estimators.get(name))
        chosen = {fit[i * (len(fit) - 1) // 2] for i in range(3)} if fit else set()
        found += [(name, case, case in chosen) for case in fit]
    return found


class Example:
    """A file of examples/: `distribution(parameters)` and an objective of z, or of z and q."""

    def __init__(self, name: str) -> None:
        module: dict[str, Any] = runpy.run_path(str(next(path for path in EXAMPLES if path.stem == name)))
        self.distribution: Callable[[Any], td.Distribution] = module["distribution"]
        self.given = module["parameters"]
        self.start: Tensors = named_values(self.given)
        self.f: Objective = given_objective(module["objective"], self.q(self.start), torch.float32, name)[0]
        self.f.noisy = module.get("noisy") is True

    def q(self, values: Tensors) -> td.Distribution:
        if isinstance(self.given, nn.Module):
            return self.distribution(lambda *inputs: functional_call(self.given, values, inputs))
        found = self.distribution(values if isinstance(self.given, dict) else values[""])
        return found if isinstance(found, td.Distribution) else Joint(found)


def named_values(given: Any) -> Tensors:
    """The parameters of an example by name: of a module, of a dict, or of one tensor, whose name is empty."""
    if isinstance(given, nn.Module):
        return dict(given.named_parameters())
    return dict(given) if isinstance(given, dict) else {"": given}


@cache
def example(name: str) -> Example:
    return Example(name)


def examples() -> list[tuple[str, str, bool]]:
    """Every file of examples/ with every estimator that fits; True for all of the files of `WHOLE`, and for three of
    each other file, spread over the list."""
    found = []
    for path in EXAMPLES:
        offer = Offer(example(path.stem).q(example(path.stem).start), example(path.stem).f)
        each = {name: estimators.get(name) for name in estimators.available()}
        fit = [name for name, estimator in each.items() if offer.unmet(estimator, draws(estimator)) is None]
        chosen = fit if path.stem in WHOLE else {fit[i * (len(fit) - 1) // 2] for i in range(3) if fit}
        found += [(path.stem, name, name in chosen) for name in fit]
    return found


def backwards(estimator: Estimator, case: Case, replicates: int, seed: int = 0) -> Tensor:
    """`[replicates, P]` independent estimates by a plain `.backward()`, with `draws(estimator)` draws each."""
    build, parameters, f = case
    leaves = {
        name: value.expand(replicates, *value.shape).clone().requires_grad_() for name, value in parameters.items()
    }
    torch.manual_seed(seed)
    estimator.surrogate(build(**leaves), f, draws(estimator)).sum().backward()
    return torch.cat([leaf.grad.flatten(1) for leaf in leaves.values() if leaf.grad is not None], 1)
