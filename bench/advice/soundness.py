"""Finds faults of a user's model that would spoil every measurement, before the race.

An objective must give finite values, the same at each call unless it is noisy, each draw's whatever others are beside
it, and leave z as it is; a distribution must give independent draws and leave torch's seed alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import f as f_law
from torch import Tensor
from torch.distributions import Distribution

from bench.advice import stopwatch
from bench.advice.given_objective import NUMBERS_IN_Z, draws_that_fit
from bench.advice.own_model import OwnModel
from bench.measure.estimates.calls import same
from estimators.core import Objective, SetObjective
from estimators.errors import BadInput
from estimators.tools.parameters import states, support

DRAWS_OF_F = 1024
"""Draws at which f is looked at, where they are quick."""
SECONDS_OF_A_CHECK = 2.0
"""For the values of f, and again for the draws."""
FEW_VALUES = 4096
"""Up to so many values of z, f is looked at at each."""
CALLS_AT_ONE_Z = 4
SLOW_CALL = 0.2
"""Seconds of a call of f from which on it is called as rarely as can be."""
SHARE_OF_A_CALL = 0.1
"""Of the seconds asked, what a call of f takes at most where it is called again to see whether it has noise."""
CALLS_BEFORE = 4
"""Calls of f, about, before the race; one less where it is not called again."""
NOISE_UNCHECKED = ("whether it gives the same values again",)
VALUES_UNCHECKED = (
    "whether a draw has the same value without others beside it",
    "whether its values are finite at many draws",
)
"""Checks that a slow f does not leave time for."""
SAMPLE_CALLS, DRAWS_OF_A_CALL = 32, 8
"""Calls of `sample` that are compared, and draws in each, where they fit."""
NUMBERS_OF_A_DRAW = 2**16
"""Numbers of a draw that are compared."""
ODD_SEED = 716_151_923_771
"""A seed that no objective sets itself."""
FALSE_ALARM = 1e-9
"""The chance that independent draws are called dependent."""


@dataclass(frozen=True)
class CallOfF:
    """Seconds of a call of f at four draws, and the largest |f| among its values.

    `calls`: about how often f has been called. `unchecked`: the checks that a slow f leaves no time for.
    """

    seconds: float
    largest: float
    calls: int = CALLS_BEFORE
    unchecked: tuple[str, ...] = ()

    @property
    def note(self) -> tuple[str, ...]:
        """A sentence that names the checks that were not made; none where all were."""
        if not self.unchecked:
            return ()
        said = "; ".join(self.unchecked)
        return (f"A call of the objective takes {self.seconds:.2g} s, so it was not checked {said}.",)


def check_model(model: OwnModel, where: str, seconds_asked: float = float("inf")) -> CallOfF:
    """Raises BadInput with a sentence for the first fault found. Uses torch's generator.

    A slow f is called twice, which shows noise; a quick one at many values of z, together and one by one. An f one call
    of which takes more than `SHARE_OF_A_CALL` of the seconds asked is called once.
    """
    q = model.distribution(model.theta)
    _check_draws(q, where)
    z = q.sample(torch.Size([4])).detach()
    start = stopwatch.read()
    value = _with_the_seed_kept(lambda: _value(model.objective, q, z, where), where)
    seconds = stopwatch.read() - start
    found = CallOfF(seconds, float(value.double().abs().max()))
    slow = seconds > SLOW_CALL
    if isinstance(model.objective, SetObjective):
        return found
    once = slow and seconds > SHARE_OF_A_CALL * seconds_asked
    if slow:
        unchecked = (*NOISE_UNCHECKED, *VALUES_UNCHECKED) if once else VALUES_UNCHECKED
        found = replace(found, calls=CALLS_BEFORE - once, unchecked=unchecked)
    if once:
        return found
    f = model.objective_of_step()
    if model.noise == "step":
        _check_noise_of_step(f, q, z, where)
    if not f.noisy:
        value = value if slow else _value(f, q, z, where)  # the first call of a quick f may differ: it warms up
        _check_values(f, q, z, value, where, repeats=1 if slow else CALLS_AT_ONE_Z)
    if slow:
        return found
    for more in _more_values_of_z(q, seconds):
        value = _value(f, q, more, where)
        if not f.noisy:
            _check_values(f, q, more, value, where)
    return found


def _more_values_of_z(q: Distribution, seconds: float) -> Iterator[Tensor]:
    """As many draws as time allows; and every value of z where there are few. `seconds`: of a call at four draws."""
    each = max(q.batch_shape.numel() * q.event_shape.numel(), 1)
    fits = SECONDS_OF_A_CHECK / CALLS_AT_ONE_Z / max(seconds / 4, 1e-9)
    yield q.sample(torch.Size([draws_that_fit(q, int(max(2, min(DRAWS_OF_F, fits))))])).detach()
    count = number_of_values(q)
    if count is not None and count * each <= NUMBERS_IN_Z and count <= min(FEW_VALUES, fits):
        yield support(q).clone()


def number_of_values(q: Distribution) -> int | None:
    """How many values z takes; None where there is no end to them, or q does not say."""
    try:
        return states(q)
    except (NotImplementedError, AttributeError, TypeError):
        return None


def _value(f: Objective, q: Distribution, z: Tensor, where: str) -> Tensor:
    """f's values at z, which must be finite, and z unchanged."""
    given = z.clone()
    value = f(given, q).detach()
    if not same(given, z):
        raise BadInput(
            f"{where}: objective changes z in place, which the estimator goes on to use: make a new tensor, for "
            "example z.clamp(…) for z.clamp_(…)"
        )
    bad = ~value.isfinite()
    if bool(bad.any()):
        at = z[tuple(bad.nonzero()[0])]
        raise BadInput(
            f"{where}: objective is not finite at {int(bad.sum())} of {bad.numel()} values, such as {_written(at)}; "
            "E f and its gradient do not exist then"
        )
    return value


def _with_the_seed_kept(call: Callable[[], Tensor], where: str) -> Tensor:
    """The values of a call of f, which must leave torch's seed alone; the generator is as before afterwards."""
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(ODD_SEED)
        value = call()
        if torch.initial_seed() != ODD_SEED:
            raise BadInput(
                f"{where}: objective sets torch's seed, so that the draws after it would not be independent: give it a "
                "torch.Generator of its own"
            )
        return value
    finally:
        torch.set_rng_state(state)


def _check_noise_of_step(f: Objective, q: Distribution, z: Tensor, where: str) -> None:
    """The noise of a training step is the same at each of its calls, and for all draws of a call."""
    value = f(z.clone(), q).detach()
    if not torch.equal(value, f(z.clone(), q).detach()):
        raise BadInput(
            f"{where}: noisy = 'step' gives all calls of a training step one noise by seeding torch's generator, but "
            "the objective draws its noise elsewhere: draw it by torch, such as torch.randint(…), or say noisy = True"
        )
    if _apart_from(f(z[-1:].clone(), q).detach(), value[-1:], value):
        raise BadInput(
            f"{where}: noisy = 'step' is for noise that all draws of a call share, such as a minibatch, but the "
            "objective's noise depends on how many draws it is given: with noise for each draw say noisy = True"
        )


def _apart_from(alone: Tensor, beside: Tensor, every: Tensor) -> bool:
    """Whether draws have other values alone than beside others, by more than rounding of the largest of `every`."""
    tolerance = 1e-4 if every.dtype == torch.float32 else 1e-9
    return bool(((alone - beside).abs() > tolerance * max(float(every.abs().max()), 1e-300)).any())


def _check_values(  # noqa: PLR0917
    f: Objective, q: Distribution, z: Tensor, value: Tensor, where: str, repeats: int = CALLS_AT_ONE_Z
) -> None:
    """f gives the same values again, and (where repeated) one by one as all together."""
    for _ in range(max(repeats - 1, 1)):
        torch.rand(1)  # another state of the generator, which a noisy objective draws from
        again = f(z.clone(), q).detach()
        if not torch.equal(value, again):
            apart = int((value != again).sum())
            raise BadInput(
                f"{where}: objective gives two values for one z (at {apart} of {value.numel()} draws), so it has noise "
                "of its own. If that is meant, say noisy = True (each call draws noise: a simulator) or noisy = 'step' "
                "(one noise for each training step: a minibatch); else fix it once outside"
            )
    if repeats < 2:
        return
    alone = torch.stack([f(z[i : i + 1].clone(), q).detach()[0] for i in range(min(len(z), 4))])
    if _apart_from(alone, value[: len(alone)], value):
        raise BadInput(
            f"{where}: objective gives a draw another value when other draws are beside it, as a network in training "
            "mode with batch normalisation or dropout does; it must treat the leading axes one by one"
        )


def _written(z: Tensor) -> str:
    """A draw in short."""
    numbers = z.reshape(-1).tolist()
    return "z = [" + ", ".join(f"{each:g}" for each in numbers[:8]) + (", …]" if len(numbers) > 8 else "]")


def _check_draws(q: Distribution, where: str) -> None:
    """Independent draws: those of one call vary as much as those of different calls do."""
    torch.manual_seed(0)
    start = stopwatch.read()
    each = draws_that_fit(q, DRAWS_OF_A_CALL)
    first = q.sample(torch.Size([each])).detach()
    seconds = stopwatch.read() - start
    if torch.initial_seed() != 0:
        raise BadInput(f"{where}: distribution sets torch's seed when it draws: its draws would not be independent")
    shape = (each, *q.batch_shape, *q.event_shape)
    if tuple(first.shape) != shape:
        raise BadInput(
            f"{where}: sample(torch.Size([{each}])) must return shape {list(shape)}, found {list(first.shape)}"
        )
    groups = int(max(4, min(SAMPLE_CALLS, SECONDS_OF_A_CHECK / max(seconds, 1e-9))))
    draws = [_some_numbers(first), *(_some_numbers(q.sample(first.shape[:1]).detach()) for _ in range(groups - 1))]
    x = torch.stack(draws).double()
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(x.shape[-1], 4, dtype=torch.float64, generator=generator).to(x.device)
    scale = x.reshape(groups * each, -1).std(0).clamp_min(1e-300)
    y = torch.nan_to_num((x - x.mean((0, 1))) / scale, nan=0.0, posinf=0.0, neginf=0.0) @ directions
    for direction in y.cpu().numpy().transpose(2, 0, 1):
        _check_groups(direction, where)


def _some_numbers(draws: Tensor) -> Tensor:
    """Each draw as at most `NUMBERS_OF_A_DRAW` of its numbers, evenly spaced."""
    flat = draws.reshape(len(draws), -1)
    return flat[:, :: -(-flat.shape[1] // NUMBERS_OF_A_DRAW) or 1].clone()


def _check_groups(y: np.ndarray, where: str) -> None:
    """An analysis of variance of y, groups × draws: the ratio follows an F law where all are independent."""
    groups, each = y.shape
    within = float(y.var(axis=1, ddof=1).mean())
    between = float(each * y.mean(axis=1).var(ddof=1))
    if within == 0 and between == 0:
        return
    if within == 0 or f_law.sf(between / within, groups - 1, groups * (each - 1)) < FALSE_ALARM:
        raise BadInput(
            f"{where}: the draws of one call of sample are not independent: they are more alike than draws of "
            "different calls; sample(shape) must draw each of them separately"
        )
    if f_law.cdf(between / within, groups - 1, groups * (each - 1)) < FALSE_ALARM:
        raise BadInput(
            f"{where}: the draws of one call of sample are not independent: their mean varies less than that of "
            "independent draws (mirrored or stratified draws?); estimators couple draws themselves"
        )
