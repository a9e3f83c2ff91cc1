"""A user's own model, brought into one form: θ, a distribution and an objective."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from bench.advice.given_objective import Spelling, given_objective, in_double
from bench.numerics.tensors import Tensors
from estimators.core import Objective
from estimators.errors import BadInput
from estimators.joint import Joint
from estimators.tools.noise_of_f import one_noise

SHORT = (torch.bfloat16, torch.float16)
"""Precisions in which nothing is measured: such parameters are taken in float32."""


@dataclass(frozen=True, eq=False)
class OwnModel:
    """θ by name (detached), θ → q, and f.

    `noise`: "call" where f draws its own noise at every call (a simulator), "step" where all calls of a training
    step are to see the same noise (a minibatch), or empty. `given`: the objects as the user gave them, under the names
    that the printed code uses. `spelling`: how that code makes an Objective of the user's function. `notes`: what was
    changed, in sentences.
    """

    theta: Tensors
    distribution: Callable[[Tensors], Distribution]
    objective: Objective
    given: dict[str, Any]
    spelling: Spelling
    notes: tuple[str, ...] = ()
    noise: str = ""

    def objective_of_step(self) -> Objective:
        """Returns f as a training step calls it: with the same noise at all its calls if `noise` is "step"."""
        return one_noise(self.objective) if self.noise == "step" else self.objective

    @property
    def dtype(self) -> torch.dtype:
        return next(iter(self.theta.values())).dtype

    @property
    def device(self) -> torch.device:
        return next(iter(self.theta.values())).device

    @property
    def dim(self) -> int:
        """The number of parameters, P."""
        return sum(value.numel() for value in self.theta.values())

    def leaves(self) -> Tensors:
        """θ as fresh tensors that want a gradient."""
        return {name: value.clone().requires_grad_() for name, value in self.theta.items()}

    def q(self) -> Distribution:
        """The distribution at θ, whose parameters have a gradient where θ moves them."""
        return self.distribution(self.leaves())

    def doubled(self) -> "OwnModel | None":
        """Returns the model in float64, or None if its distribution does not support it; f keeps its own precision."""
        theta = {name: value.double() for name, value in self.theta.items()}
        twin = replace(self, theta=theta, objective=in_double(self.objective, self.dtype))
        try:
            q = twin.q()
            z = q.sample(torch.Size([2]))
            value = twin.objective(z, q)
        except Exception:
            return None
        right = not z.is_floating_point() or z.dtype == torch.float64
        return twin if right and value.dtype == torch.float64 else None


def own_model(
    parameters: Any, distribution: Any, objective: Any, where: str = "the model", noisy: bool | str | None = None
) -> OwnModel:
    """The model made of what the user gives: see `bench.recommend`.

    Raises BadInput with a sentence that begins with `where` for what does not go together.
    """
    theta = _named(parameters, where)
    notes = []
    if any(value.dtype in SHORT for value in theta.values()):
        theta = {name: value.float() if value.dtype in SHORT else value for name, value in theta.items()}
        notes.append("The parameters were measured in float32: a half precision is too short to compare estimators in.")
    for what, of, given in (("distribution", "the parameters", distribution), ("objective", "z", objective)):
        if not callable(given):
            raise BadInput(f"{where}: {what} must be a function of {of}, found {type(given).__name__}")
    at = _by_name(parameters, distribution)
    q = _first_q(at, theta, where)
    f, spelling = given_objective(objective, q, next(iter(theta.values())).dtype, where)
    noise = kind_of_noise(noisy, f, where)
    if noise == "step":
        spelling = spelling.with_one_noise()
    if f.noisy != (noise == "call"):
        f = copy(f)
        f.noisy = noise == "call"
    given = {"parameters": parameters, "distribution": distribution, "objective": objective}
    return OwnModel(theta, at, f, given, spelling, tuple(notes), noise)


KINDS_OF_NOISE = ("call", "step")
"""When f draws fresh noise: at every call, or once in a training step."""


def kind_of_noise(noisy: bool | str | None, f: Objective, where: str) -> str:
    """One of `KINDS_OF_NOISE`, or empty for an f without noise. Default: what f says itself.

    Raises BadInput for anything else.

    >>> from estimators import Function
    >>> kind_of_noise(True, Function(torch.sum), "here"), kind_of_noise(None, Function(torch.sum), "here")
    ('call', '')
    """
    require_known_noise(noisy, where)
    if noisy is None:
        return "call" if f.noisy else ""
    if isinstance(noisy, bool):
        return "call" if noisy else ""
    return noisy


def require_known_noise(noisy: bool | str | None, where: str) -> None:
    """Raises BadInput unless `noisy` is one of `KINDS_OF_NOISE`, a truth value or None."""
    if noisy is not None and not isinstance(noisy, bool) and noisy not in KINDS_OF_NOISE:
        raise BadInput(
            f"{where}: noisy must be True or 'call' (every call of the objective draws its own noise) or 'step' (all "
            f"calls of a training step see the same noise, such as a minibatch), found {noisy!r}"
        )


def _named(value: Any, where: str) -> Tensors:
    """θ by name, detached."""
    given = dict(value.named_parameters()) if isinstance(value, nn.Module) else value
    given = {"parameters": given} if isinstance(given, Tensor) else given
    if not isinstance(given, Mapping) or not given or not all(isinstance(each, Tensor) for each in given.values()):
        raise BadInput(
            f"{where}: parameters must be a tensor, a dict of tensors by name or an nn.Module, found {_kind(given)}"
        )
    theta = {str(name): each.detach() for name, each in given.items()}
    for name, each in theta.items():
        if not each.is_floating_point():
            raise BadInput(f"{where}: parameter {name!r} must hold floating-point numbers, found {each.dtype}")
        if not bool(each.isfinite().all()):
            raise BadInput(f"{where}: parameter {name!r} holds a NaN or an infinity")
    if not sum(each.numel() for each in theta.values()):
        shapes = ", ".join(f"{name!r} {list(each.shape)}" for name, each in theta.items())
        raise BadInput(f"{where}: parameters hold no number at all ({shapes}); there is nothing to estimate")
    return theta


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a dict of " + (", ".join(sorted({type(each).__name__ for each in value.values()})) or "nothing")
    return type(value).__name__


def _by_name(parameters: Any, distribution: Callable[..., Distribution]) -> Callable[[Tensors], Distribution]:
    """`distribution` as a function of θ by name, whatever form the user gives θ in."""
    if isinstance(parameters, nn.Module):
        return lambda theta: _as_one(distribution(module_at(parameters, theta)))
    if isinstance(parameters, Tensor):
        return lambda theta: _as_one(distribution(theta["parameters"]))
    return lambda theta: _as_one(distribution(theta))


def _as_one(found: Any) -> Any:
    """What a user's distribution returns; a list or a dict of random variables as their joint distribution."""
    return Joint(found) if isinstance(found, Mapping | list | tuple) else found


def module_at(module: nn.Module, theta: Tensors) -> nn.Module:
    """Returns a copy of the module whose parameters are replaced by the tensors of θ; the given module is unchanged.

    `torch.func.functional_call` would put its parameters back before a distribution that asks it later does so.
    """
    values = {id(value): theta[name] for name, value in module.named_parameters()}
    made: dict[int, nn.Module] = {}

    def twin(each: nn.Module) -> nn.Module:
        if id(each) not in made:
            own = made[id(each)] = copy(each)
            state = vars(own)
            state["_parameters"] = {name: values.get(id(value), value) for name, value in each._parameters.items()}
            state["_modules"] = {name: child and twin(child) for name, child in each._modules.items()}
            if "_flat_weights_names" in state:  # a recurrent network keeps a list of its parameters beside them
                state["_flat_weights"] = [state["_parameters"].get(name) for name in state["_flat_weights_names"]]
        return made[id(each)]

    return twin(module)


def _first_q(distribution: Callable[[Tensors], Distribution], theta: Tensors, where: str) -> Distribution:
    """q at θ, which must be a distribution that can be drawn from."""
    leaves = {name: value.clone().requires_grad_() for name, value in theta.items()}
    try:
        q = distribution(leaves)
        if isinstance(q, Joint):
            q.sample()
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error
    except Exception as error:
        raise BadInput(f"{where}: distribution(parameters) raises {type(error).__name__}: {error}") from error
    if not (callable(getattr(q, "sample", None)) and callable(getattr(q, "log_prob", None))):
        raise BadInput(
            f"{where}: distribution must return a torch distribution (or an object with sample and log_prob), found "
            f"{type(q).__name__}"
        )
    if not isinstance(q, Distribution):
        raise BadInput(
            f"{where}: {type(q).__name__} must be a subclass of torch.distributions.Distribution, so that its "
            f"batch_shape and event_shape are known: class {type(q).__name__}(Distribution), with "
            "super().__init__(batch_shape, event_shape, validate_args=False)"
        )
    if _apart(q, leaves):
        raise BadInput(
            f"{where}: what distribution returns does not depend on the parameters that it is given; it must be made "
            "of its argument, not of a tensor or a network outside"
        )
    return q


def _apart(q: Distribution, leaves: Tensors) -> bool:
    """Whether neither q's log-density nor its paths have a gradient in any of the leaves."""
    ways = (lambda: q.log_prob(q.sample(torch.Size([2])).detach()), lambda: q.rsample(torch.Size([2])))
    told = False
    for way in ways:
        try:
            found = torch.autograd.grad(way().sum(), list(leaves.values()), allow_unused=True)
        except NotImplementedError:
            continue  # neither a density nor a path that could show it
        except RuntimeError:  # torch says so where nothing wants a gradient
            found = ()
        told = True
        if any(each is not None for each in found):
            return False
    return told
