"""A user's own model from a file of ten lines: θ, a distribution and an objective, as a problem to measure on."""

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.distributions.base import Family
from bench.numerics.tensors import Tensors
from bench.objectives.base import Target
from bench.problems.problem import Problem
from estimators.core import Function, Objective
from estimators.errors import BadInput, nearest
from estimators.tools.parameters import alike, base, parameters, rebuild

NEEDED = ("parameters", "distribution", "objective")
DRAWS = 64


@dataclass(frozen=True, eq=False)
class OwnFamily(Family):
    """`distribution(θ)`; the batch axes of what it returns run over data, and the target is their mean."""

    name: ClassVar[str] = "own"
    used_by: ClassVar[str] = "the user"
    discrete: ClassVar[bool] = False
    reparameterised: ClassVar[bool] = False

    start: Any = None
    distribution: Any = None
    data_axes: int = 0  # pyright: ignore[reportIncompatibleVariableOverride]

    def theta(self, point: str, coordinates: str) -> Tensors:
        return self.start

    def encode(self, theta: Tensors, coordinates: str) -> Tensors:
        return parameters(self.distribution(theta))

    def build(self, parameters: Tensors) -> Distribution:
        return rebuild(self.distribution(self.start), parameters)


@dataclass(frozen=True, eq=False)
class OwnTarget(Target):
    """The user's objective."""

    name: ClassVar[str] = "own"
    used_by: ClassVar[str] = "the user"

    function: Any = None

    def build(self, family: Family, point: str, like: Tensor) -> Objective:
        return self.function


@dataclass(frozen=True)
class OwnModel:
    """What a user's file says: θ, θ → q, f; `wrapped` where the file gives f as a plain function of z."""

    theta: Tensors
    distribution: Callable[[Tensors], Distribution]
    objective: Objective
    wrapped: bool

    @property
    def problem(self) -> Problem:
        axes = len(self.distribution(self.theta).batch_shape)
        family = OwnFamily(start=self.theta, distribution=self.distribution, data_axes=axes)
        return Problem(family, OwnTarget(function=self.objective), "own", "own")


def load_model(path: str | Path) -> OwnModel:
    """The model of a file that defines `parameters` (a tensor, or a dict of tensors by name), `distribution`
    (a function of them that returns a torch distribution) and `objective` (a function of z, or an
    `estimators.Objective`); whatever does not fit together is said in a sentence."""
    path = Path(path)
    module = _imported(path)
    for name in NEEDED:
        if not hasattr(module, name):
            found = nearest(name, [each for each in vars(module) if not each.startswith("_")])
            raise BadInput(f"{path} must define {', '.join(NEEDED)}, and defines no {name!r}; {found}")
    theta, single = _theta(module.parameters, path)
    user: Any = module.distribution
    objective: Any = module.objective
    for what, of, given in (("distribution", "the parameters", user), ("objective", "z", objective)):
        if not isinstance(given, Callable):
            raise BadInput(f"{path}: {what} must be a function of {of}, found {type(given).__name__}")
    distribution = (lambda values: user(values["parameters"])) if single else user
    wrapped = not isinstance(objective, Objective)
    q = _built(distribution, theta, path)
    model = OwnModel(theta, distribution, Function(objective) if wrapped else objective, wrapped)
    _check_objective(model.objective, q, path)
    return _with_facts(model, objective, q) if wrapped else model


def _imported(path: Path) -> ModuleType:
    if not path.is_file():
        raise BadInput(f"there is no file {path}; it should define {', '.join(NEEDED)}")
    spec = importlib.util.spec_from_file_location(f"gradest_model_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise BadInput(f"{path} does not import: {type(error).__name__}: {error}") from error
    return module


def _theta(value: Any, path: Path) -> tuple[Tensors, bool]:
    """θ by name, detached, and whether the file gives a single tensor."""
    single = isinstance(value, Tensor)
    given = {"parameters": value} if single else value
    if not isinstance(given, Mapping) or not given or not all(isinstance(each, Tensor) for each in given.values()):
        raise BadInput(f"{path}: parameters must be a tensor or a dict of tensors by name, found {_kind(given)}")
    theta = {str(name): each.detach() for name, each in given.items()}
    for name, each in theta.items():
        if not each.is_floating_point():
            raise BadInput(f"{path}: parameter {name!r} must hold floating-point numbers, found {each.dtype}")
    return theta, single


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a dict of " + (", ".join(sorted({type(each).__name__ for each in value.values()})) or "nothing")
    return type(value).__name__


def _built(distribution: Callable[[Tensors], Distribution], theta: Tensors, path: Path) -> Distribution:
    """q at θ, shown to be one that can be taken apart and put together again."""
    try:
        q = distribution(theta)
    except Exception as error:
        raise BadInput(f"{path}: distribution(parameters) raises {type(error).__name__}: {error}") from error
    if not isinstance(q, Distribution):
        raise BadInput(f"{path}: distribution must return a torch distribution, found {type(q).__name__}")
    try:
        again = rebuild(q, {name: value.expand(3, *value.shape) for name, value in parameters(q).items()})
        fits = parameters(q) and tuple(again.batch_shape) == (3, *q.batch_shape) and again.event_shape == q.event_shape
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    except Exception:
        fits = False
    if not fits:
        raise BadInput(
            f"{path}: gradest cannot rebuild {type(q).__name__} at other parameters; return a distribution whose "
            "constructor takes the names in its arg_constraints, such as Bernoulli, OneHotCategorical, Normal or Gamma"
        )
    if not alike(q, rebuild(q, parameters(q))):
        raise BadInput(
            f"{path}: {type(base(q)).__name__} is another distribution when it is built again from its parameters "
            f"({', '.join(parameters(q))}): its draws or its log-density differ"
        )
    return q


def _check_objective(f: Objective, q: Distribution, path: Path) -> None:
    """f maps draws with any leading axes to a value each, and twice the same."""
    z = q.sample((2, 3))
    expected = (2, 3, *q.batch_shape)
    try:
        value, again = f(z, q), f(z, q)
    except Exception as error:
        raise BadInput(
            f"{path}: objective raises {type(error).__name__} on z of shape {list(z.shape)} (all axes but the last "
            f"{len(q.event_shape)} are draws and data, to be kept): {error}"
        ) from error
    if not isinstance(value, Tensor) or tuple(value.shape) != expected:
        found = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise BadInput(
            f"{path}: objective of z with shape {list(z.shape)} must return shape {list(expected)}, found {found}; "
            f"sum over the last {len(q.event_shape)} axes and keep the others"
        )
    if not value.isfinite().all():
        raise BadInput(f"{path}: objective is not finite at draws from distribution(parameters)")
    if not torch.equal(value, again):
        raise BadInput(f"{path}: objective gives two values for one z; it must be deterministic, randomness is q's")


def _with_facts(model: OwnModel, objective: Callable[[Tensor], Tensor], q: Distribution) -> OwnModel:
    """The same with what a plain function does not say of itself, found by trying: whether z carries a gradient, and
    whether values between discrete ones do."""
    z = q.sample((DRAWS,))
    between = z if q.has_rsample else torch.rand_like(z, dtype=next(iter(model.theta.values())).dtype)
    smooth = _has_gradient(objective, between)
    f = Function(objective, differentiable=smooth, relaxable=smooth)
    return OwnModel(model.theta, model.distribution, f, wrapped=True)


def _has_gradient(objective: Callable[[Tensor], Tensor], z: Tensor) -> bool:
    """Whether f has a gradient at these points that is finite, and not zero everywhere."""
    z = z.detach().requires_grad_()
    try:
        value = objective(z)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    except RuntimeError:  # torch says so where no gradient reaches z
        return False
    return bool(gradient.isfinite().all() and (gradient != 0).any())
