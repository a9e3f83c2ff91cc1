"""What is checked at every call of an estimator or an objective, for all classes in one place.

`estimators.core` wraps the methods of each class with these when the class is made: plug-ins are covered, and no
class checks on its own. A check takes a microsecond at most (tests/perf/test_calls.py) and nothing in a compiled
step.
"""

import operator
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from estimators.errors import BadInput
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

    A method that a subclass calls by `super()` takes whatever n the subclass gives it.
    """

    @wraps(method)
    def checked(self: Any, q: Any, f: Any, n: Any, *rest: Any, **more: Any) -> Any:
        if getattr(type(self), name) is checked:
            traits = self.traits
            if type(n) is not int or n < traits.min_samples or n % traits.samples_step:
                n = whole(self, n)
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
    """A method of an objective, which raises `BadInput` where the call changes z in place.

    torch counts the changes of a tensor, through its views too; those through `z.data` or `z.numpy()`, and under
    `torch.func.vmap`, it does not. `gradest run` compares the values as well.
    """

    @wraps(method)
    def watched(self: Any, *given: Any, **named: Any) -> Any:
        z = named.get("z") if "z" in named else given[1 if name == "hold" else 0]
        if torch.compiler.is_compiling() or not isinstance(z, Tensor) or z.is_inference():
            return method(self, *given, **named)
        before = z._version
        try:
            result = method(self, *given, **named)
        except RuntimeError as error:
            if any(words in str(error) for words in IN_PLACE):
                raise changed(self) from error
            raise
        if z._version != before:
            raise changed(self)
        return result

    return watched


IN_PLACE = ("in-place operation", "written-to tensor refers to a single memory location")
"""torch's own words for it, where z or θ is a leaf, is captured by a transform, or is expanded."""


def changed(f: object) -> BadInput:
    """The error that an objective changed z."""
    kind = getattr(f, "name", type(f).__name__)
    return BadInput(
        f"the objective ({kind}) changes in place what it was given, z or θ, which the estimator goes on to use: make "
        "a new tensor, for example z.clamp(…) for z.clamp_(…) or z = z + 1 for z += 1"
    )
