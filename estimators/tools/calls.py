"""Checks at every call of an estimator or an objective, for all classes in one place.

`estimators.core` wraps the methods of each class with these checks when the class is created. Plug-ins are covered, and
no class repeats the checks. A check takes one or two microseconds (tests/perf/test_calls.py) and adds nothing to a
compiled step.
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

VALUES = (*("__call__", "held", "hold", "each", "each_held", "log_weight", "held_weight", "without_log_q", "rewards"),)
"""Names of the methods by which estimators evaluate objectives."""


def wrapped(cls: type, names: tuple[str, ...], wrap: Callable[[str, Callable[..., Any]], Callable[..., Any]]) -> None:
    """Wraps those of the methods `names` that the class itself defines. Abstract methods are left unchanged."""
    for name in names:
        method = cls.__dict__.get(name)
        if callable(method) and not getattr(method, "__isabstractmethod__", False):
            setattr(cls, name, wrap(name, method))


def with_suitable_samples(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `surrogate` or `fit`, which now raises `BadInput` if n does not suit the estimator's traits.

    The check applies to the outermost call only: a method that a subclass calls by `super()` accepts any n. Infinite
    logits of torch's Bernoulli are replaced by finite ones here, for all estimators (see `settled`).
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
    """Returns n as an int (NumPy integers are accepted). Raises `BadInput` if n does not suit the estimator."""
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
    """Returns why n draws do not suit, in a sentence without its subject, or None if they do."""
    needs = {need.name for need in traits.needs}
    sets = "bounds" if "IMPORTANCE_BOUND" in needs else "sets" if needs & {"SETS", "ORDER_STATISTICS"} else ""
    counted = f" (n counts {sets}, each of several draws)" if sets else ""
    if n < traits.min_samples:
        samples = "sample" if traits.min_samples == 1 else "samples"
        return f"needs at least {traits.min_samples} {samples}, not {n}{counted}"
    if n % traits.samples_step:
        return f"takes its samples in groups of {traits.samples_step}; {n} is not a multiple{counted}"
    return None


def as_real(value: Any, dtype: torch.dtype) -> Any:
    """Returns whole numbers and booleans in a floating-point dtype, whatever else as it is.

    >>> as_real(torch.tensor([True, False]), torch.float64)
    tensor([1., 0.], dtype=torch.float64)
    """
    if not isinstance(value, Tensor) or value.is_floating_point() or value.is_complex():
        return value
    return value.to(dtype)


def real_like(value: Any, z: Tensor) -> Any:
    """Returns an objective's value as a floating-point tensor, in z's dtype if that is one."""
    return as_real(value, z.dtype if z.is_floating_point() else torch.get_default_dtype())


def leaving_z_alone(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Returns an objective's method, which now raises `BadInput` if a call changes z or returns a wrong shape.

    Whole numbers and booleans, such as 1 for a success, are returned as floating-point numbers.

    This function's name is part of class bodies that are hashed to find stale cells: renaming it makes every record
    stale.

    torch counts in-place changes of a tensor, including those through its views. It does not count changes through
    `z.data` or `z.numpy()`: the first call of an objective on a CPU therefore also compares some values of z, and later
    calls do not. Under `torch.func.vmap` neither kind is detected. `gradest run` compares all values.
    """

    place = int(name == "hold")

    @wraps(method)
    def checked(self: Any, *given: Any, **more: Any) -> Any:
        z = more["z"] if "z" in more else given[place]
        if not isinstance(z, Tensor):
            return method(self, *given, **more)
        if torch.compiler.is_compiling() or z.is_inference():
            return real_like(method(self, *given, **more), z)
        version, before = z._version, None if hasattr(self, "_asked") else values_at_first(self, z)
        try:
            value = real_like(method(self, *given, **more), z)
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
                require_terms_or_sets(self, name, z, q, value)
        return value

    return checked


COMPARED_NUMBERS = 1024
"""How many numbers of z are compared."""


def values_at_first(f: Any, z: Tensor) -> Tensor | None:
    """Returns a copy of some values of z at f's first call.

    Returns None for a z on another device than the CPU, where the comparison would wait for the device, and for an f
    that cannot store that it was called.
    """
    try:
        object.__setattr__(f, "_asked", True)
    except AttributeError:  # an objective with __slots__
        return None
    return z.detach().flatten()[:COMPARED_NUMBERS].clone() if z.is_cpu else None


def differs(z: Tensor, before: Tensor) -> bool:
    """Returns whether z's values have changed (NaN equals NaN); False inside `torch.func.vmap`, where they are unknown.

    >>> differs(torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.nan]))
    False
    """
    now = z.detach().flatten()[:COMPARED_NUMBERS]
    try:
        return not torch.equal(now, before) and not torch.equal(now.nan_to_num(), before.nan_to_num())
    except RuntimeError:
        return False


def require_terms_or_sets(f: Any, name: str, z: Tensor, q: Any, value: Any) -> None:
    """Raises `BadInput` unless `value` has the shape of terms, one more axis, or a value for each set of draws.

    The draws of a set lie along z's second axis.
    """
    expected = z.shape[: z.dim() - len(q.event_shape)]
    if isinstance(value, Tensor):
        if name in ("each", "each_held") and value.shape[:-1] == expected:
            require_a_row_for_each(f, q, value.shape[-1])
            return
        if hasattr(f, "draws") and value.shape == expected[:1] + expected[2:]:
            return
    raise misshapen(f, z, q, value)


def require_a_row_for_each(f: Any, q: Any, terms: int) -> None:
    """Raises `BadInput` unless f says for each of its terms on which variables of q it depends."""
    rows = len(f.dependence(q)) if hasattr(f, "dependence") else terms
    if rows != terms:
        raise BadInput(
            f"the objective ({called(f)}) gives {terms} terms and says of {rows} on which variables they depend: "
            "depends should have a row for each term"
        )


def misshapen(f: object, z: Tensor, q: Any, value: Any) -> BadInput:
    """Returns the error for an objective whose value does not have one number per draw."""
    event = q.event_shape
    expected = tuple(z.shape[: z.dim() - len(event)])
    found = f"a value of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    return BadInput(
        f"the objective ({called(f)}) gives {found} for z of shape {tuple(z.shape)}: a tensor of shape {expected} "
        f"would be right, a value for each draw, because a draw has shape {tuple(event)}"
    )


IN_PLACE = ("in-place operation", "written-to tensor refers to a single memory location")
"""Parts of torch's own errors about in-place changes: z or θ is a leaf, captured by a transform, or expanded."""


def called(f: object) -> str:
    """Returns an objective's name."""
    return getattr(f, "name", type(f).__name__)


def changed(f: object) -> BadInput:
    """Returns the error for an objective that changed z in place."""
    return BadInput(
        f"the objective ({called(f)}) changes in place what it was given, z or θ, which the estimator still uses: "
        "create a new tensor, for example z.clamp(…) instead of z.clamp_(…), or z = z + 1 instead of z += 1"
    )
