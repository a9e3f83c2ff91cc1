"""Turns a user's function of z, or of z and q, whose values may be of any type, into an `Objective`."""

import inspect
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, OneHotCategorical

from estimators.core import Function, Objective, SetObjective
from estimators.errors import BadInput
from estimators.joint import Joint, JointFunction
from estimators.tools.parameters import base

DRAWS_FOR_A_GRADIENT = 64
"""Draws at which a plain function is asked for its gradient, where they fit."""
FIRST_AXES = (2, 3)
"""Leading axes of the first z that f is given, where they fit."""
NUMBERS_IN_Z = 2**22
"""At most so many numbers in z in a check of f, if that is two draws or more."""


@dataclass(frozen=True)
class Spelling:
    """How the printed code writes f and q: expressions, the names to import, and the lines before them.

    `step`: the expression of f in a training step. Default: `expression`.
    """

    expression: str = "objective"
    imports: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    distribution: str = "distribution(parameters)"
    step: str = ""

    @property
    def in_a_step(self) -> str:
        return self.step or self.expression

    def with_one_noise(self) -> "Spelling":
        """Returns the same spelling, with the same noise at all calls of a training step."""
        return replace(self, step=f"one_noise({self.expression})", imports=(*self.imports, "one_noise"))


class OfDrawAndDistribution(Objective):
    """f(z, q) from a plain function of both."""

    def __init__(self, function: Callable[[Tensor, Distribution], Tensor], smooth: bool) -> None:
        self.function = function
        self.differentiable = self.twice_differentiable = self.relaxable = smooth

    def __call__(self, z: Tensor, q: Distribution) -> Tensor:
        return self.function(z, q)


OF_BOTH = ("class Mine(Objective):", "    def __call__(self, z, q):", "        return {}", "")


def given_objective(given: Any, q: Distribution, dtype: torch.dtype, where: str) -> tuple[Objective, Spelling]:
    """Returns the user's objective and its spelling in code. Raises BadInput if it fails at draws of q.

    Values that are no floating-point tensor (bits, whole numbers, numpy's arrays) are cast to θ's `dtype`. A plain
    function does not say whether it has a gradient in z: it is tried at draws, and between them where z is discrete.
    """
    if isinstance(given, SetObjective):
        raise BadInput(
            f"{where}: objective takes {given.draws} draws at once, and estimators of such objectives do not race; "
            "give an objective of one draw, or compare the estimators as examples/several_draws_at_once.py does"
        )
    if isinstance(q, Joint):
        return _of_several(given, q, dtype, where)
    both = not isinstance(given, Objective) and takes_q(given)
    z = q.sample(torch.Size(FIRST_AXES if draws_that_fit(q, 6) == 6 else (1, 2)))
    value = _asked(lambda: given(z, q) if both or isinstance(given, Objective) else given(z), z, q, where)
    cast = not isinstance(value, Tensor) or not value.is_floating_point() or value.dtype in (torch.half, torch.bfloat16)
    value = _checked(_as_tensor(value, dtype, where), z, q, where)
    if isinstance(given, Objective):
        if cast:
            raise BadInput(f"{where}: the objective's values must be floating-point numbers, found {value.dtype}")
        return given, Spelling()
    own: Any = given
    if cast:
        own = (lambda z, q: torch.as_tensor(given(z, q), dtype=dtype)) if both else _Cast(given, dtype)
    if both:
        smooth = has_gradient(lambda x: own(x, q), q)
        call = f"torch.as_tensor(objective(z, q), dtype={dtype})" if cast else "objective(z, q)"
        before = tuple(line.format(call) for line in OF_BOTH)
        return OfDrawAndDistribution(own, smooth), Spelling("Mine()", ("Objective",), before)
    smooth = has_gradient(own, q)
    call = f"lambda z: torch.as_tensor(objective(z), dtype={dtype})" if cast else "objective"
    return Function(own, differentiable=smooth, relaxable=smooth), Spelling(f"Function({call})", ("Function",))


def _of_several(given: Any, q: Joint, dtype: torch.dtype, where: str) -> tuple[Objective, Spelling]:
    """Returns the user's objective of several variables: a function of their draws, or of a dict of draws."""
    draws = q.draws((2, 3))
    z = q.flat(draws)
    ready = isinstance(given, Objective)
    value = _asked(lambda: given(z, q) if ready else q.ask(given, draws), z, q, where)
    cast = not isinstance(value, Tensor) or not value.is_floating_point()
    _checked(_as_tensor(value, dtype, where), z, q, where)
    if ready:
        return given, Spelling(imports=("Joint",), distribution=JOINT)
    own = _Cast(given, dtype) if cast else given
    smooth = has_gradient(lambda x: JointFunction(own)(x, q), q)
    call = f"lambda *z: torch.as_tensor(objective(*z), dtype={dtype})" if cast else "objective"
    spelling = Spelling(f"JointFunction({call})", ("Joint", "JointFunction"), distribution=JOINT)
    return JointFunction(own, differentiable=smooth), spelling


JOINT = "Joint(distribution(parameters))"


class _Cast:
    """f's values as a tensor of θ's precision."""

    def __init__(self, function: Callable[[Tensor], Any], dtype: torch.dtype) -> None:
        self.function, self.dtype = function, dtype

    def __call__(self, *z: Any) -> Tensor:
        return torch.as_tensor(self.function(*z), dtype=self.dtype)


def takes_q(function: Callable[..., Any]) -> bool:
    """Whether a function has two parameters that must be given: z and q.

    >>> takes_q(lambda z, q: z), takes_q(lambda z, scale=2.0: z)
    (True, False)
    """
    try:
        given = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in by_place and each.default is inspect.Parameter.empty for each in given) == 2


def in_double(f: Objective, dtype: torch.dtype) -> Objective:
    """Returns f called at z in its own precision, with values in float64, for a model that is measured in float64.

    An objective that contains log q keeps log q in float64; its other parts receive z in its own precision.
    """
    if dtype == torch.float64:
        return f
    twin = copy(f)
    for name in ("function", "log_joint", "terms", "reward"):
        inner = vars(f).get(name)
        if callable(inner):
            setattr(twin, name, _InDouble(inner, dtype))
            return twin
    return twin


class _InDouble:
    """A function that is called with z in its own precision, and whose values come back in float64."""

    def __init__(self, function: Callable[..., Any], dtype: torch.dtype) -> None:
        self.function, self.dtype = function, dtype

    def __call__(self, *given: Any) -> Tensor:
        return torch.as_tensor(self.function(*map(self._own, given))).double()

    def _own(self, z: Any) -> Any:
        """Draws in f's own precision: a tensor of them, or a dict of several variables' draws."""
        if isinstance(z, dict):
            return {name: self._own(each) for name, each in z.items()}
        return z.to(self.dtype) if isinstance(z, Tensor) and z.is_floating_point() else z


def _asked(call: Callable[[], Any], z: Tensor, q: Distribution, where: str) -> Any:
    try:
        return call()
    except Exception as error:
        raise BadInput(
            f"{where}: objective raises {type(error).__name__} on {_shapes(z, q)}: {' '.join(str(error).split())[:300]}"
        ) from error


def _shapes(z: Tensor, q: Distribution) -> str:
    """Describes the shapes of the arguments of f, and which axes it must keep."""
    if isinstance(q, Joint):
        each = (f"{label} of shape {list(draw.shape)}" for label, draw in zip(q.labels, q.split(z), strict=True))
        return f"{', '.join(each)} (the first {z.dim() - 1} axes are draws and data, to be kept)"
    kept = f"all axes but the last {len(q.event_shape)} are draws and data, to be kept"
    return f"z of shape {list(z.shape)} ({kept})"


def _as_tensor(value: Any, dtype: torch.dtype, where: str) -> Tensor:
    try:
        return value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"{where}: objective must return a tensor of values, found {type(value).__name__}") from error


def _checked(value: Tensor, z: Tensor, q: Distribution, where: str) -> Tensor:
    """The values at z, one for each draw and datum."""
    expected = tuple(z.shape[: z.dim() - len(q.event_shape)])
    if isinstance(q, Joint) and tuple(value.shape) != expected:
        raise BadInput(
            f"{where}: objective must return shape {list(expected)} on {_shapes(z, q)}, found {list(value.shape)}"
        )
    if tuple(value.shape) != expected:
        raise BadInput(
            f"{where}: objective of z with shape {list(z.shape)} must return shape {list(expected)}, found "
            f"{list(value.shape)}; sum over the last {len(q.event_shape)} axes and keep the others"
        )
    return value


def draws_that_fit(q: Distribution, most: int) -> int:
    """From two to `most` draws, as many as hold up to `NUMBERS_IN_Z` numbers together."""
    each = max(q.batch_shape.numel() * q.event_shape.numel(), 1)
    return max(2, min(most, NUMBERS_IN_Z // each))


def has_gradient(function: Callable[[Tensor], Tensor], q: Distribution) -> bool:
    """Whether f has a gradient at draws (between them, where z is discrete) that is finite and not zero everywhere."""
    z = q.sample(torch.Size([draws_that_fit(q, DRAWS_FOR_A_GRADIENT)])).detach()
    if not z.is_floating_point():
        return False
    if _is_discrete(q):
        generator = torch.Generator(z.device).manual_seed(0)
        between = torch.rand(z.shape, generator=generator, dtype=z.dtype, device=z.device)
        z = between if isinstance(base(q), Bernoulli | OneHotCategorical) else z + between
    z.requires_grad_()
    try:
        (gradient,) = torch.autograd.grad(function(z).sum(), z)
    except Exception:  # torch says so where no gradient reaches z; numpy takes no z that wants one; an index is whole
        return False
    return bool(gradient.isfinite().all() and (gradient != 0).any())


def _is_discrete(q: Distribution) -> bool:
    try:
        return bool(q.support.is_discrete)  # pyright: ignore[reportOptionalMemberAccess]
    except (NotImplementedError, AttributeError):
        return False
