"""Checks of the contract, with few evaluations each: types, settings, shapes, inputs, seeds and side effects."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from estimators.checks.cases import CASES, Case, as_vectors, draws, fitting_cases
from estimators.checks.failure import CheckFailed, require
from estimators.checks.statistics import estimates
from estimators.core import Estimator, Evidence, Function, Terms
from estimators.needs import unmet, unmet_samples
from estimators.order_statistics import OrderStatistics
from estimators.traits import Need, Traits


def check_frozen_and_hashable(estimator: Estimator, seed: int) -> None:
    """A frozen dataclass: equal settings give equal instances with equal hashes, and no field can be set."""
    kind: Any = type(estimator)
    require(is_dataclass(estimator), f"{kind.__name__} is not a dataclass")
    require(kind.__dataclass_params__.frozen, f"{kind.__name__} is not frozen")
    twin = kind(**{each.name: getattr(estimator, each.name) for each in fields(kind) if each.init})
    require(twin == estimator, f"{estimator!r} does not equal an instance with the same settings")
    require(hash(twin) == hash(estimator), f"{estimator!r} and an equal instance have different hashes")


def check_pickle(estimator: Estimator, seed: int) -> None:
    """The estimator survives pickling and then draws the same estimates."""
    twin = pickle.loads(pickle.dumps(estimator))
    require(twin == estimator, f"{estimator!r} is {twin!r} after pickling")
    for case in fitting_cases(estimator)[:1]:
        n = draws(estimator)
        same = torch.equal(estimates(estimator, case, n, 4, seed), estimates(twin, case, n, 4, seed))
        require(same, f"{case.name}: it draws other estimates after pickling")


def check_traits(estimator: Estimator, seed: int) -> None:
    """The traits have valid types and values, and at least one built-in problem fits the estimator."""
    traits = estimator.traits
    require(isinstance(traits, Traits), f"traits is a {type(traits).__name__}, not Traits")
    require(all(isinstance(need, Need) for need in traits.needs), f"needs holds {set(traits.needs)}")
    require(traits.min_samples >= 1 and traits.samples_step >= 1, "min_samples and samples_step must be at least 1")
    require(not traits.exact or traits.unbiased, "it is declared exact but not unbiased")
    require(bool(traits.paper), "traits.paper is empty: name the source")
    if not fitting_cases(estimator):
        reasons = {unmet(estimator, case.q(), case.f, draws(estimator)) for case in CASES}
        own = sorted(need.name for need in traits.needs if not (need.built_in or need.cases))
        told = f"; give Need({own[0]!r}, …) its cases=, problems that meet it" if own else ""
        said = " or ".join(sorted(map(str, reasons)))
        raise CheckFailed(f"no built-in problem fits, so nothing can be checked: it {said}{told}")


def check_needs_are_said(estimator: Estimator, seed: int) -> None:
    """A problem or a number of draws that does not suit is refused with a reason."""
    for case in CASES:
        if case not in fitting_cases(estimator):
            reason = unmet(estimator, case.q(), case.f, draws(estimator))
            require(bool(reason), f"{case.name}: refused without a reason")
    for n in range(1, 2 * estimator.traits.min_samples):
        if n < estimator.traits.min_samples or n % estimator.traits.samples_step:
            require(bool(unmet_samples(estimator.traits, n)), f"{n} draws are not refused")


def check_shape(estimator: Estimator, seed: int) -> None:
    """The surrogate has shape `[*batch]` for any batch, at the smallest number of draws and at others."""
    for case in fitting_cases(estimator):
        for batch in ((), (3,), (2, 3)):
            for n in {draws(estimator, 1), draws(estimator, 5)}:
                shape = estimator.surrogate(case.q(*batch), case.f, n).shape
                require(shape == batch, f"{case.name}: batch {batch} with {n} draws gives shape {tuple(shape)}")


def check_dtype(estimator: Estimator, seed: int) -> None:
    """float32 stays float32 and float64 stays float64."""
    for case in fitting_cases(estimator):
        for dtype in (torch.float32, torch.float64):
            leaves = {name: value.clone().requires_grad_() for name, value in case.at(2, dtype=dtype).items()}
            surrogate = estimator.surrogate(case.build(**leaves), case.f, draws(estimator))
            require(surrogate.dtype == dtype, f"{case.name}: {dtype} parameters give a {surrogate.dtype} surrogate")


def check_finite(estimator: Estimator, seed: int) -> None:
    """Estimates are finite in float32, at the smallest number of draws, also for bits that are nearly certain."""
    for case in fitting_cases(estimator):
        for stretch in (1.0, 100.0):
            values = case.at(500, dtype=torch.float32)
            if "logits" in values:
                values = values | {"logits": stretch * values["logits"]}
            torch.manual_seed(seed)
            found = gradients_at(estimator, case, values, draws(estimator, 1))
            wrong = int((~found.isfinite()).any(1).sum())
            at = {name: value[0].tolist() for name, value in values.items()}
            require(not wrong, f"{case.name}: {wrong} of 500 estimates are not finite at {at}")


def check_inputs_unchanged(estimator: Estimator, seed: int) -> None:
    """Parameters and torch's global settings are left unchanged."""
    for case in fitting_cases(estimator):
        values = {name: value.clone() for name, value in case.at(4).items()}
        before = {name: value.clone() for name, value in values.items()}
        settings = _global_settings()
        gradients_at(estimator, case, values, draws(estimator))
        for name, value in values.items():
            require(torch.equal(value, before[name]), f"{case.name}: {name} was changed in place")
        require(settings == _global_settings(), f"{case.name}: it changed torch's global settings")


def check_seed(estimator: Estimator, seed: int) -> None:
    """All randomness comes from torch's generator: a seed repeats the estimates, another seed changes them."""
    alike = []
    for case in fitting_cases(estimator):
        first, again, other = (estimates(estimator, case, draws(estimator), 64, s) for s in (seed, seed, seed + 1))
        require(torch.equal(first, again), f"{case.name}: one seed gave two sets of estimates")
        alike.append(torch.equal(first, other))
    require(estimator.traits.exact or not alike or not all(alike), "two seeds gave the same estimates")


def check_both_roads(estimator: Estimator, seed: int) -> None:
    """`.backward()`, as in a training loop, gives the same gradient as `torch.func.grad`."""
    for case in fitting_cases(estimator):
        leaves = {name: value.clone().requires_grad_() for name, value in case.at(20).items()}
        torch.manual_seed(seed)
        estimator.surrogate(case.build(**leaves), case.f, draws(estimator)).sum().backward()
        plain = as_vectors(
            {name: leaf.new_zeros(leaf.shape) if leaf.grad is None else leaf.grad for name, leaf in leaves.items()}, 1
        )
        apart = float((plain - estimates(estimator, case, draws(estimator), 20, seed)).abs().max())
        require(apart < 1e-9, f"{case.name}: backward() and torch.func.grad differ by {apart:.2g}")


def check_no_cross_talk(estimator: Estimator, seed: int) -> None:
    """The elements of a batch are independent: the value of f at one element does not change another's estimate."""
    for case in fitting_cases(estimator):
        n, away = draws(estimator), 1e3
        tilt = torch.zeros(6, dtype=torch.float64)
        torch.manual_seed(seed)
        alone = gradients_at(estimator, shifted(case, tilt), case.at(6), n)
        tilt[0] = away
        torch.manual_seed(seed)
        beside = gradients_at(estimator, shifted(case, tilt), case.at(6), n)
        apart = float((alone - beside)[1:].abs().max())
        require(apart < 1e-9, f"{case.name}: f of one element of the batch moved another's estimate by {apart:.2g}")


def check_meta_device(estimator: Estimator, seed: int) -> None:
    """The estimator runs on torch's `meta` device: no synchronisation with the host, no constant on another device."""
    with without_validation():
        for case in fitting_cases(estimator):
            values = case.at(7, device="meta")
            try:
                found = gradients_at(estimator, case, values, draws(estimator))
            except (RuntimeError, NotImplementedError) as error:
                if "_standard_gamma_grad" in str(error):
                    continue  # torch has no meta kernel for the path of a Gamma
                raise CheckFailed(f"{case.name}: on the meta device {type(error).__name__}: {error}") from error
            require(found.device.type == "meta", f"{case.name}: gradients are on {found.device}")


def gradients_at(estimator: Estimator, case: Case, values: dict[str, Tensor], n: int) -> Tensor:
    """Returns the estimates at these parameters, `[R, P]`."""
    found = torch.func.grad(lambda values: estimator.surrogate(case.build(**values), case.f, n).sum())(values)
    return as_vectors(found, 1)


def shifted(case: Case, tilt: Tensor) -> Case:
    """Returns the case with f + tilt, a number per element of the batch; other classes of f are left unchanged."""
    f = case.f
    if isinstance(f, Function):
        function = f.function
        f = Function(lambda z: function(z) + tilt)
    elif isinstance(f, Evidence):
        log_joint = f.log_joint
        f = Evidence(lambda z: log_joint(z) + tilt)
    elif isinstance(f, Terms):
        terms = f.terms
        f = Terms(lambda z: terms(z) + tilt.unsqueeze(-1), f.depends)
    elif isinstance(f, OrderStatistics):
        reward = f.reward
        f = OrderStatistics(lambda z: reward(z) + tilt, f.weights, differentiable=f.differentiable)
    return replace(case, f=f)


def _global_settings() -> tuple[object, ...]:
    return torch.get_default_dtype(), Distribution._validate_args, torch.is_grad_enabled(), torch.get_num_threads()


@contextmanager
def without_validation() -> Iterator[None]:
    """Turns validation off globally, because torch's one-hot categorical always validates the Categorical inside it."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)
