"""What distributions offer: torch's own classes as measured, other classes as declared or probed.

`torch_offers.json` holds a row per class of `torch.distributions`, measured by `python -m
bench.validation.torch_offers`.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributions
from torch.distributions import Distribution, MixtureSameFamily, TransformedDistribution

from estimators.tools.parameters import base
from estimators.tools.probe import probed
from estimators.tools.readable import all_true, inside, number_of
from estimators.traits import Need

TABLE = Path(__file__).with_name("torch_offers.json")
OFFER_COLUMNS = {"density": Need.DENSITY, "path": Need.REPARAMETERISED, "mean": Need.MEAN, "mode": Need.MODE}
"""The columns of the table, with the need that each meets."""
MEASURED_NEEDS = frozenset(OFFER_COLUMNS.values())

HARMLESS = frozenset(
    (
        *("__module__", "__doc__", "__qualname__", "__annotations__", "__init__", "__repr__", "__firstlineno__"),
        *("__static_attributes__", "__parameters__", "__abstractmethods__", "_abc_impl", "__orig_bases__"),
        *("__annotate_func__", "__annotations_cache__", "learns", "offers", "offers_not", "offers_as"),
    )
)
"""Attributes that a subclass may define without changing the law of its parent class."""

Row = dict[str, Any]


@cache
def offers_table() -> dict[str, Row]:
    """Returns a row per class of torch: ranges, and per column the reason why it is not offered, or an empty string."""
    return json.loads(TABLE.read_text())["classes"]


def kind(inner: Distribution) -> type[Distribution] | None:
    """Returns torch's class whose code `inner` runs, itself or by inheritance, or None for a class with other code.

    A class may declare `offers_as = torch.distributions.Beta`: it has that class's law, computed in another way.
    """
    said = getattr(inner, "offers_as", None)
    if said is not None:
        return said
    for each in type(inner).__mro__:
        if each.__module__.startswith("torch.distributions."):
            return each if getattr(distributions, each.__name__, None) is each else None
        if vars(each).keys() - HARMLESS:
            return None
    return None


def refused(q: Distribution) -> dict[Need, str]:
    """Returns which of density, paths, mean and mode q does not offer, each with the reason in words."""
    inner = base(q)
    name, said, said_not = type(inner).__name__, getattr(inner, "offers", None), getattr(inner, "offers_not", ())
    if said and not any(need.built_in for need in Need.only(said, f"offers of {name}")):
        said = None  # only a plug-in's needs are declared, none of the measured ones
    left = MEASURED_NEEDS - frozenset(said or ()) - frozenset(said_not)
    found = dict.fromkeys(MEASURED_NEEDS & frozenset(said_not), f"{name} lists it in offers_not")
    if said is not None:
        return found | dict.fromkeys(left, f"{name} does not list it in offers")
    return found | ({need: reason for need, reason in _shown(inner).items() if need in left} if left else {})


def _shown(inner: Distribution) -> dict[Need, str]:
    """Returns what the table or a probe says is not offered."""
    cls = kind(inner)
    if cls is None or cls is TransformedDistribution or cls.__name__ not in offers_table():
        return probed(inner)
    row = offers_table()[cls.__name__]
    dtype = _dtype(inner)
    reasons = {
        need: f"torch's {cls.__name__}: {row[name][dtype]}" for name, need in OFFER_COLUMNS.items() if row[name][dtype]
    }
    for name, need in OFFER_COLUMNS.items():
        if need not in reasons:
            reason = _outside(inner, cls.__name__, row["ranges"].get(name, {}))
            reasons |= {need: reason} if reason else {}
    moving = sorted(learned(inner) & set(row["moves"]))
    if moving:
        reasons[Need.DENSITY] = f"the support of torch's {cls.__name__} moves with {' and '.join(moving)}"
    if isinstance(inner, MixtureSameFamily):
        reasons = _of_parts(inner) | reasons
    checks = {Need.MEAN: _no_mean, Need.MODE: _no_mode}
    late = {need: check(inner) for need, check in checks.items() if need not in reasons}
    return reasons | {need: reason for need, reason in late.items() if reason}


def _of_parts(inner: MixtureSameFamily) -> dict[Need, str]:
    """Returns what a mixture does not offer: it has a density and a mean if its components and its weights have."""
    parts = refused(inner.component_distribution)
    weights = {need: why for need, why in refused(inner.mixture_distribution).items() if need is Need.DENSITY}
    return {need: reason for need, reason in (parts | weights).items() if need in (Need.DENSITY, Need.MEAN)}


def learned(inner: Distribution) -> set[str]:
    """Returns the names of the parameters that move with θ: declared by q, else those with a gradient, else all."""
    said = getattr(inner, "learns", None)
    if said is not None:
        return set(said)
    names = set(inner.arg_constraints)
    with torch.enable_grad():
        values: dict[str, Any] = {name: getattr(inner, name, None) for name in names}
    grown = {name for name, value in values.items() if isinstance(value, Tensor) and value.requires_grad}
    return grown or names


def _outside(inner: Distribution, name: str, ranges: dict[str, dict[str, list[float | None]]]) -> str | None:
    """Returns a sentence on the first parameter outside the range in which torch was measured to be right, or None."""
    for knob, value in _values(inner, ranges):
        dtype = str(value.dtype).removeprefix("torch.")
        own = ranges.get(dtype, ranges.get("float32", {}))  # shorter precisions are no better than float32
        low, high = own.get(knob, (None, None))
        for bound, at in ((low, number_of(value.amin())), (high, number_of(value.amax()))):
            if bound is None or at is None:
                continue
            if at < bound if bound is low else at > bound:
                way = "from" if bound is low else "up to"
                return f"torch's {name} is not right at {knob} = {at:.3g} in {dtype}; measured right {way} {bound:g}"
    return None


RIGHT: list[float | None] = [0.3, 300.0]
GAMMA = {"float64": {}, "float32": {"concentration": RIGHT, "concentration0": RIGHT, "concentration1": RIGHT}}
"""Ranges in which the estimators that transform Gammas themselves are right.

They compare log-densities of log z, which cancel in float32: measured biases of E log z are 0.15 % at a concentration
of 1,000 and 5 % at 8,000; below 0.1 draws underflow.
"""


def gammas_refused(q: Distribution) -> dict[Need, str]:
    """Returns why the estimators that transform Gammas themselves are wrong at these parameters, if they are."""
    inner = base(q)
    if kind(inner) not in (distributions.Gamma, distributions.Beta, distributions.Dirichlet):
        return {}
    reason = _outside(inner, type(inner).__name__, GAMMA)
    return {Need.GAMMA: f"for an estimator that transforms Gammas itself, {reason}"} if reason else {}


def _dtype(inner: Distribution) -> str:
    """Returns the column of the table: float64, or float32 for float32 and any shorter precision."""
    wide = any(isinstance(each, Tensor) and each.dtype == torch.float64 for each in _tensors(inner))
    return "float64" if wide else "float32"


def _tensors(inner: Distribution) -> Iterator[Any]:
    for each in vars(inner).values():
        yield from _tensors(each) if isinstance(each, Distribution) else (each,)


def _values(inner: Distribution, ranges: dict[str, dict[str, list[float | None]]]) -> Iterator[tuple[str, Tensor]]:
    for knob in sorted({knob for of_dtype in ranges.values() for knob in of_dtype}):
        with torch.enable_grad():  # torch caches the logits that it derives from probs: they must keep their graph
            value: Any = getattr(inner, knob, None)
        if isinstance(value, Tensor) and value.numel():
            yield knob, value.detach().abs()  # ranges were measured for positive values: logits −2 count as 2


def _no_mean(inner: Distribution) -> str | None:
    mean = _property(inner, "mean")
    if mean is None:
        return f"{type(inner).__name__} has no mean in closed form"
    return None if all_true(mean.isfinite()) else f"{type(inner).__name__} has no finite mean at these parameters"


def _no_mode(inner: Distribution) -> str | None:
    if isinstance(inner, distributions.Bernoulli):
        return None  # `parameters.mode` is defined where torch's mode is NaN
    mode = _property(inner, "mode")
    if mode is None:
        return f"{type(inner).__name__} has no mode in closed form"
    if not all_true(mode.isfinite()):
        return f"{type(inner).__name__} has no mode at these parameters"
    return None if inside(inner, mode) else f"the mode of {type(inner).__name__} is on the edge of its support"


def _property(inner: Distribution, name: str) -> Tensor | None:
    with suppress(NotImplementedError, AttributeError), torch.enable_grad():
        value = getattr(inner, name)
        return value.detach() if isinstance(value, Tensor) else None
    return None
