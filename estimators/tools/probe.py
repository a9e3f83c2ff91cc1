"""Probes a distribution that is in no table with a few thousand draws, before anything is measured.

A probe runs once per class, precision and structure, with a fixed seed; torch's generator is left as it was.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, TransformedDistribution, transforms

from estimators.tools.readable import inside
from estimators.tools.tensors import Tensors
from estimators.traits import Need

PROBE_DRAWS = 2**15
NUMBERS = 2**21
"""Upper limit on the numbers in the draws of a probe."""
ELEMENTS = 8
"""Upper limit on the batch elements that are probed."""
PROBE_LIMIT = 6.0
"""Largest accepted deviation, in standard errors."""
PROBED_NEEDS = (Need.DENSITY, Need.REPARAMETERISED, Need.MEAN, Need.MODE)

_seen: dict[Any, dict[Need, str]] = {}


def probed(inner: Distribution) -> dict[Need, str]:
    """Returns the needs that the probe does not find met, each with the reason and how to declare the need."""
    key = signature(inner)
    if key not in _seen:
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(0)
            _seen[key] = {need: f"{why}; {_how(inner, need)}" for need, why in _probe(inner).items()}
    return _seen[key]


def signature(inner: Distribution) -> tuple[Any, ...]:
    """Returns the key under which a probe's result is stored.

    It holds the classes, precisions and powers of ten of the parameters and the event shape, of all parts.
    """
    parts = [part for part in vars(inner).values() if isinstance(part, Distribution)]
    maps = [_map_signature(each) for each in getattr(inner, "transforms", ())]
    own = {name: each for name, each in vars(inner).items() if isinstance(each, Tensor)}
    kinds = tuple(
        sorted((name, str(each.dtype), each.requires_grad, powers_of_ten(each)) for name, each in own.items())
    )
    return (type(inner), kinds, inner.event_shape, *map(signature, parts), *maps)


def powers_of_ten(values: Tensor) -> tuple[int, ...]:
    """Returns the powers of ten of the smallest and the largest magnitude.

    A probe is stored for them, because torch may be right at ordinary parameters and wrong at extreme ones.

    >>> powers_of_ten(torch.tensor([0.02, -30.0, 0.0]))
    (-2, 1)
    """
    if values.is_meta or not values.numel() or not values.is_floating_point():
        return ()
    sizes = values.detach().double().abs()
    sizes = sizes[(sizes > 0) & sizes.isfinite()]
    return tuple(int(each.log10().floor()) for each in (sizes.amin(), sizes.amax())) if sizes.numel() else ()


def _map_signature(each: transforms.Transform) -> tuple[Any, ...]:
    inner = [_map_signature(part) for part in getattr(each, "parts", ())]
    moving = tuple(
        sorted((name, value.requires_grad) for name, value in vars(each).items() if isinstance(value, Tensor))
    )
    return (type(each), moving, *inner)


def _how(inner: Distribution, need: Need) -> str:
    return f"declare it with offers = {{Need.{need.name}}} if the class has it ({type(inner).__name__} was probed)"


def _probe(inner: Distribution) -> dict[Need, str]:
    try:
        knobs = sliced(knobs_of(inner), inner)
        count = max(512, min(PROBE_DRAWS, NUMBERS // max(1, sum(value.numel() for value in knobs.values()))))
        theta = {name: value.detach().expand(count, *value.shape).clone() for name, value in knobs.items()}
        for name in with_gradient(knobs) or knobs:  # if none requires a gradient, any of them may be learned
            theta[name].requires_grad_()
        q = remade(inner, theta)
        z = q.sample()
    except Exception as error:
        reason = f"{type(inner).__name__} cannot be made from its parameters ({type(error).__name__})"
        return dict.fromkeys(PROBED_NEEDS, reason)
    density = _tried(lambda: _no_density(inner, q, z, theta))
    found = {
        Need.DENSITY: density,
        Need.REPARAMETERISED: _tried(lambda: _no_map(inner, theta) if density else _no_path(q, theta)),
        Need.MEAN: _tried(lambda: _no_mean(q, z)),
        Need.MODE: density or _tried(lambda: _no_mode(q, z)),
    }
    return {need: reason for need, reason in found.items() if reason}


def _tried(check: Callable[[], str | None]) -> str | None:
    try:
        return check()
    except Exception as error:
        return f"it raises {type(error).__name__} when it is tried"


def knobs_of(inner: Distribution, prefix: str = "") -> Tensors:
    """Returns every floating-point parameter that moves the law, by name, including those of a base and transforms."""
    if isinstance(inner, Independent):
        return knobs_of(inner.base_dist, prefix)
    if type(inner) is TransformedDistribution:
        found = knobs_of(inner.base_dist, f"{prefix}base.")
        for i, each in enumerate(inner.transforms):
            found |= {f"{prefix}{i}.{name}": value for name, value in _map_knobs(each).items()}
        return found
    names = inner.arg_constraints.keys()
    names = names - {"probs"} if "logits" in names else names
    names = names - {"covariance_matrix", "precision_matrix"} if "scale_tril" in names else names
    values = {name: getattr(inner, name) for name in sorted(names) if not inner.arg_constraints[name].is_discrete}
    if not values:
        raise ValueError("arg_constraints names no parameter")
    return {f"{prefix}{name}": value for name, value in values.items() if isinstance(value, Tensor)}


def _map_knobs(each: transforms.Transform) -> Tensors:
    """Returns a transform's floating-point tensors by name; plain numbers are left out."""
    if isinstance(each, transforms.ComposeTransform):
        return {f"{i}.{name}": value for i, part in enumerate(each.parts) for name, value in _map_knobs(part).items()}
    return {
        name: value for name, value in vars(each).items() if isinstance(value, Tensor) and value.is_floating_point()
    }


def sliced(knobs: Tensors, inner: Distribution) -> Tensors:
    """Returns the parameters of a few elements of the batch, each `[few, *own]`."""
    batch = inner.batch_shape
    if batch.numel() <= ELEMENTS:
        return knobs
    few = torch.linspace(0, batch.numel() - 1, ELEMENTS).long()
    return {
        name: value.flatten(0, len(batch) - 1)[few.to(value.device)] if value.shape[: len(batch)] == batch else value
        for name, value in knobs.items()
    }


def remade(inner: Distribution, values: Tensors, prefix: str = "") -> Distribution:
    """Returns a distribution of the same structure with other parameters."""
    if isinstance(inner, Independent):
        return Independent(remade(inner.base_dist, values, prefix), inner.reinterpreted_batch_ndims, False)
    if type(inner) is TransformedDistribution:
        maps = [_remade_map(each, values, f"{prefix}{i}.") for i, each in enumerate(inner.transforms)]
        return TransformedDistribution(remade(inner.base_dist, values, f"{prefix}base."), maps, validate_args=False)
    own = {name: values[prefix + name] for name in inner.arg_constraints if prefix + name in values}
    fixed = {name: getattr(inner, name) for name, each in inner.arg_constraints.items() if each.is_discrete}
    other: Any = type(inner)
    try:
        return other(**own, **fixed, validate_args=False)
    except TypeError:
        return other(**own, **fixed)


def _remade_map(each: transforms.Transform, values: Tensors, prefix: str) -> transforms.Transform:
    if isinstance(each, transforms.ComposeTransform):
        parts = [_remade_map(part, values, f"{prefix}{i}.") for i, part in enumerate(each.parts)]
        return transforms.ComposeTransform(parts)
    own = {name: values[prefix + name] for name in vars(each) if prefix + name in values}
    if not own:
        return each
    made = object.__new__(type(each))
    made.__dict__.update(vars(each) | own)
    return made


def _no_density(inner: Distribution, q: Distribution, z: Tensor, theta: Tensors) -> str | None:
    log_q = q.log_prob(z)
    if not bool(log_q.isfinite().all()):
        return "its log-density is not finite at its own draws"
    for name in with_gradient(theta):
        if _moves(inner, q, z, theta, name):
            return f"its support moves with {name}"
    if not log_q.requires_grad:
        return "its log-density has no gradient"
    for name, score in _grads(log_q, theta).items():
        if not _zero(score):
            return f"its score in {name} does not have mean 0 over its own draws"
    return _no_mass(q, z, log_q.detach())


def _moves(inner: Distribution, q: Distribution, z: Tensor, theta: Tensors, name: str) -> bool:
    """Returns whether a slightly different parameter excludes some of the draws."""
    for factor in (0.95, 1.05):
        other = theta | {name: (theta[name] * factor + (factor - 1) * 0.02 * (theta[name] == 0)).detach()}
        there = remade(inner, other)
        with suppress(NotImplementedError):
            if bool((q.support.check(z) & ~there.support.check(z)).any()):  # pyright: ignore[reportOptionalMemberAccess]
                return True
        if bool((there.log_prob(z) == -torch.inf).any()):
            return True
    return False


def _no_mass(q: Distribution, z: Tensor, log_q: Tensor) -> str | None:
    """In one dimension: compares the density's integral over the middle of the draws with their share there."""
    if q.event_shape:
        return None
    with suppress(NotImplementedError):
        if q.support.is_discrete:  # pyright: ignore[reportOptionalMemberAccess]
            return _no_chances(z, log_q)
    draws, _ = z.reshape(len(z), -1).sort(0)
    count = len(draws)
    for low, high in ((0.02, 0.98), (0.2, 0.6)):
        left, right = draws[int(low * count)], draws[int(high * count)]
        share = torch.linspace(0, 1, count, dtype=z.dtype, device=z.device).reshape(-1, *(1 for _ in z.shape[1:]))
        x = left.reshape(z.shape[1:]) + (right - left).reshape(z.shape[1:]) * share
        mass = torch.trapezoid(q.log_prob(x).exp(), x, dim=0)
        off = float((mass - (high - low)).detach().abs().max())
        if off > PROBE_LIMIT * 0.5 / count**0.5 + 0.01:
            return (
                f"its density integrates to {high - low + off:.3g} over an interval with {high - low:.2g} of its draws"
            )
    return None


def _no_chances(z: Tensor, log_q: Tensor) -> str | None:
    """Compares every value's share of the draws with its probability."""
    for value in z.unique()[:50]:
        hit = z == value
        p = torch.where(hit, log_q.exp(), 0.0).sum(0) / hit.sum(0).clamp_min(1)
        error = (p.clamp(0, 1) * (1 - p.clamp(0, 1)) / len(z)).sqrt() + 1 / len(z)
        if bool((((hit.double().mean(0) - p).abs() > PROBE_LIMIT * error) & hit.any(0)).any()):
            return f"its probability of {float(value):g} is not that value's share of its draws"
    return None


def _no_path(q: Distribution, theta: Tensors) -> str | None:
    """Compares the path's gradient of a bounded function with the score's gradient."""
    if not q.has_rsample:
        return "it has no rsample"
    z = q.rsample()
    if not z.requires_grad:
        return "its rsample has no gradient"
    held = z.detach()
    for h in (_bounded(held, q), _bounded(held, q, even=True)):
        difference = h(z) - (h(held) - h(held).mean(0)) * q.log_prob(held)
        for name, each in _grads(difference, theta).items():
            if not _zero(each):
                return f"the gradient of its rsample in {name} is not that of its density"
    return None


def _no_map(inner: Distribution, theta: Tensors) -> str | None:
    """Without a density to compare with: tests that draws of one seed move with θ as their gradient says."""
    seed = int(torch.randint(2**31, ()))

    def drawn(values: Tensors) -> tuple[Tensor, Distribution]:
        torch.manual_seed(seed)
        q = remade(inner, values)
        return q.rsample(), q

    z, q = drawn(theta)
    if not q.has_rsample or not z.requires_grad:
        return "its rsample has no gradient"
    h = _bounded(z.detach(), q)
    slopes = _grads(h(z), theta)
    for name, value in with_gradient(theta).items():
        step = (1e-3 * (value.abs() + 0.1)).detach()
        ends = [h(drawn(theta | {name: value + sign * step})[0]).detach().reshape(len(value), -1) for sign in (1, -1)]
        moved = (ends[0] - ends[1]).sum(-1)
        said = (2 * step * slopes[name]).reshape(len(value), -1).sum(-1) if name in slopes else torch.zeros_like(moved)
        if float((moved - said).abs().mean()) > 0.02 * float(moved.abs().mean()) + 1e-6:
            return f"its draws do not move with {name} according to the gradient of its rsample"
    return None


def _bounded(held: Tensor, q: Distribution, even: bool = False) -> Callable[[Tensor], Tensor]:
    """Returns a bounded smooth function on the scale of the draws, summed over an event."""
    middle, width = held.median(0).values, held.sub(held.median(0).values).abs().median(0).values.clamp_min(1e-30)

    def h(x: Tensor) -> Tensor:
        u = (x - middle) / (1.5 * width)
        each = u.square() / (1 + u.square()) if even else (u + 0.3).tanh()
        return each.flatten(each.dim() - len(q.event_shape)).sum(-1) if q.event_shape else each

    return h


def _no_mean(q: Distribution, z: Tensor) -> str | None:
    mean = q.mean.detach()
    if not bool(mean.isfinite().all()):
        return "its mean is not finite"
    return None if _zero((z - mean).double()) else "its mean is not E z"


def _no_mode(q: Distribution, z: Tensor) -> str | None:
    mode = q.mode.detach()
    if not bool(mode.isfinite().all()):
        return "its mode is not finite"
    top, drawn = q.log_prob(mode), q.log_prob(z)
    if not bool(top.isfinite().all()) or bool((drawn.amax(0) > top.amax(0) + 1e-3).any()):
        return "its mode does not have the highest density"
    return None if inside(q, mode) else "its mode is on the edge of its support"


def with_gradient(theta: Tensors) -> Tensors:
    """Returns the parameters that require a gradient."""
    return {name: value for name, value in theta.items() if value.requires_grad}


def _grads(value: Tensor, theta: Tensors) -> Tensors:
    own = with_gradient(theta)
    found = torch.autograd.grad(value.sum(), list(own.values()), allow_unused=True, retain_graph=True)
    return {name: each for name, each in zip(own, found, strict=True) if each is not None}


def _zero(replicates: Tensor) -> bool:
    """Returns whether the mean over the first axis is 0 in every coordinate, within chance and rounding."""
    x = replicates.detach().reshape(len(replicates), -1).double()
    if not bool(x.isfinite().all()):
        return False
    slack = 1e-3 * x.abs().mean(0)
    return bool((x.mean(0).abs() <= PROBE_LIMIT * x.std(0) / len(x) ** 0.5 + slack).all())
