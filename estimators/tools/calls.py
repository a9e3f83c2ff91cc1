"""What is checked at every call of an estimator or an objective, for all classes in one place.

`estimators.core` wraps the methods of each class with these when the class is made: plug-ins are covered, and no
class checks on its own. A check takes a microsecond or two (tests/perf/test_calls.py) and nothing in a compiled step.
"""

import operator
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from estimators.errors import BadInput
from estimators.tools.parameters import settled
from estimators.traits import Traits

VALUES = ("__call__", "held", "hold", "each", "log_weight", "held_weight", "without_log_q")
"""The methods by which estimators ask objectives for values."""


def wrapped(cls: type, names: tuple[str, ...], wrap: Callable[[str, Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replaces the methods `names` that the class itself defines; abstract ones stay as they are."""
    for name in names:
        method = cls.__dict__.get(name)
        if callable(method) and not getattr(method, "__isabstractmethod__", False):
            setattr(cls, name, wrap(name, method))


def with_suitable_samples(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """`surrogate` or `fit`, which raises `BadInput` where n does not suit the estimator's traits.

    A method that a subclass calls by `super()` takes whatever n the subclass gives it. Infinite logits of torch's
    Bernoulli are made finite here, for all estimators (`settled`).
    """

    @wraps(method)
    def checked(self: Any, q: Any, f: Any, n: Any, *rest: Any, **more: Any) -> Any:
        if getattr(type(self), name) is checked:
            traits = self.traits
            if type(n) is not int or n < traits.min_samples or n % traits.samples_step:
                n = whole(self, n)
            q = settled(q, ends=traits.ends)
        return method(self, q, f, n, *rest, **more)

    return checked


def whole(estimator: Any, n: Any) -> int:
    """n as an int (numpy's whole numbers are taken too); raises `BadInput` where it does not suit the estimator."""
    called = getattr(estimator, "name", type(estimator).__name__)
    try:
        number = operator.index(n)
    except TypeError:
        number = None
    if number is None or isinstance(n, bool | Tensor):
        raise BadInput(f"{called} takes a whole number of samples n, not {n!r}")
    reason = unsuited(estimator.traits, number)
    if reason:
        raise BadInput(f"{called} {reason}")
    return number


def unsuited(traits: Traits, n: int) -> str | None:
    """Why n draws do not suit, in a sentence without its subject; None when they do."""
    bounds = any(need.name == "IMPORTANCE_BOUND" for need in traits.needs)
    counted = " (n counts bounds, each of several draws)" if bounds else ""
    if n < traits.min_samples:
        samples = "sample" if traits.min_samples == 1 else "samples"
        return f"needs at least {traits.min_samples} {samples}, not {n}{counted}"
    if n % traits.samples_step:
        return f"takes its samples in groups of {traits.samples_step}; {n} is not a multiple{counted}"
    return None


def leaving_z_alone(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of an objective, which raises `BadInput` where the call changes z, or its value has a wrong shape.

    The name stands in bodies of classes whose source tells stale cells: another would make every record stale.

    torch counts the changes of a tensor in place, through its views too. Those through `z.data` or `z.numpy()` it does
    not count: an objective's first call on a CPU compares some values of z as well, and later calls do not. Under
    `torch.func.vmap` neither is seen. `gradest run` compares all values.
    """

    place = int(name == "hold")

    @wraps(method)
    def checked(self: Any, *given: Any, **more: Any) -> Any:
        z = more["z"] if "z" in more else given[place]
        if torch.compiler.is_compiling() or not isinstance(z, Tensor) or z.is_inference():
            return method(self, *given, **more)
        version, before = z._version, None if hasattr(self, "_asked") else values_at_first(self, z)
        try:
            value = method(self, *given, **more)
        except RuntimeError as error:
            if any(words in str(error) for words in IN_PLACE):
                raise changed(self) from error
            raise
        if z._version != version or (before is not None and differs(z, before)):
            raise changed(self)
        q = more["q"] if "q" in more else given[place + 1] if len(given) > place + 1 else None
        if q is not None:
            event = len(q.event_shape)
            if not isinstance(value, Tensor) or value.shape != (z.shape[:-event] if event else z.shape):
                require_other_shape(self, name, z, q, value)
        return value

    return checked


COMPARED_NUMBERS = 1024
"""So many numbers of z are compared."""


def values_at_first(f: Any, z: Tensor) -> Tensor | None:
    """Returns a copy of some values of z at f's first call; None where they are on a device, or there are none."""
    try:
        object.__setattr__(f, "_asked", True)
    except AttributeError:  # an objective with slots
        return None
    return z.detach().flatten()[:COMPARED_NUMBERS].clone() if z.is_cpu and type(z) is Tensor else None  # a fake tensor has no values


def differs(z: Tensor, before: Tensor) -> bool:
    """Whether the values of z are others than before; NaN is NaN. False inside `torch.func.vmap`, where none are known.

    >>> differs(torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.nan]))
    False
    """
    now = z.detach().flatten()[:COMPARED_NUMBERS]
    try:
        return not torch.equal(now, before) and not torch.equal(now.nan_to_num(), before.nan_to_num())
    except RuntimeError:
        return False


def require_other_shape(f: Any, name: str, z: Tensor, q: Any, value: Any) -> None:
    """Raises `BadInput` but for terms, which have one more axis, and bounds, which have a value for each set of draws.

    The draws of a set are along z's second axis.
    """
    expected = z.shape[: z.dim() - len(q.event_shape)]
    if isinstance(value, Tensor):
        if name == "each" and value.shape[:-1] == expected:
            return
        if hasattr(f, "log_weight") and value.shape == expected[:1] + expected[2:]:
            return
    raise misshapen(f, z, q, value)


def misshapen(f: object, z: Tensor, q: Any, value: Any) -> BadInput:
    """The error that an objective's value does not have one number for each draw."""
    event = q.event_shape
    expected = tuple(z.shape[: z.dim() - len(event)])
    found = f"a value of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    return BadInput(
        f"the objective ({called(f)}) gives {found} for z of shape {tuple(z.shape)}: a tensor of shape {expected} "
        f"would be right, a value for each draw, as a draw has shape {tuple(event)}"
    )


IN_PLACE = ("in-place operation", "written-to tensor refers to a single memory location")
"""torch's own words for it, where z or θ is a leaf, is captured by a transform, or is expanded."""


def called(f: object) -> str:
    """What an objective is called."""
    return getattr(f, "name", type(f).__name__)


def changed(f: object) -> BadInput:
    """The error that an objective changed z."""
    return BadInput(
        f"the objective ({called(f)}) changes in place what it was given, z or θ, which the estimator goes on to use: "
        "make a new tensor, for example z.clamp(…) for z.clamp_(…) or z = z + 1 for z += 1"
    )
