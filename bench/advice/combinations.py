"""An estimator for each of several random variables: the race for one variable, and each variable's contribution.

This runs in the worker process. `bench.advice.by_variable` asks for one variable after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.advice import stopwatch
from bench.advice.entrants import Entrant, Entrants, find_entrants, first_samples_of
from bench.advice.given_objective import has_gradient
from bench.advice.own_model import OwnModel
from bench.advice.parcel import Parcel
from bench.advice.turns import Sketch, TurnResult, TurnSums
from estimators.core import Estimator
from estimators.errors import BadInput
from estimators.joint import Joint, joint_of
from estimators.needs import Offer
from estimators.nested import PerVariable, kind_of, least_samples, objective_given, of_draws
from estimators.registry import get

DRAWS_BEFORE = 8
"""Draws of the variables before one, at which it is asked what it offers."""
INNER_SAMPLES = (1, 2, 4)
"""Draws of an inner variable for each draw before it: the least of these that an estimator accepts. With as many
evaluations of f, more outer draws average the noise of all variables, more inner ones that of their own alone."""
ON_ALL = ("reinforce", "rloo")
"""Estimators on all variables at once, with which combinations are compared."""
BATCH = 64


@dataclass(frozen=True)
class Stage:
    """The race for one variable: its place, the combination so far (None at first), and its number of samples."""

    place: int
    so_far: Parcel | None = None
    samples: int | None = None


def starting_combination(model: OwnModel) -> PerVariable:
    """The pathwise estimator for every variable that has one, and leave-one-out for the others."""
    q = joint_of(model.q())
    found = [get("rloo")] * len(q.variables)
    for place in reversed(range(len(found))):
        offer = offer_of_variable(model, PerVariable(found), place)
        found[place] = get("reparameterisation" if offer.unmet(get("reparameterisation"), 1) is None else "rloo")
    return _named(q, found, [least_samples(each) for each in found[1:]])


def _named(q: Joint, estimators: Sequence[Estimator], inner: Sequence[int]) -> PerVariable:
    each = dict(zip(q.names, estimators, strict=True)) if q.names else list(estimators)
    return PerVariable(each, inner)


def offer_of_variable(model: OwnModel, so_far: PerVariable, place: int) -> Offer:
    """Returns the offer of one variable, at draws of those before it, with the others' estimators inside its objective.

    The noise of the inner estimates does not count here: `PerVariable` refuses what it would bias.
    """
    q, f = joint_of(model.q()), model.objective
    draws = tuple(draw.detach() for draw in q.draws((DRAWS_BEFORE,))[:place])
    here, below = q.given(draws), so_far.layers(q, 1)[place + 1 :]
    objective = objective_given(of_draws(f, q), below, draws, here, kind_of(f))
    objective.differentiable = objective.relaxable = has_gradient(lambda z: objective.without_log_q(z, here), here)
    objective.twice_differentiable = False
    return Offer(here, objective)


def find_combinations(
    model: OwnModel,
    offer: Offer,
    stage: Stage,
    names: Sequence[str | Estimator] | None,
    *,
    samples: Sequence[int],
    biased: bool,
) -> Entrants:
    """The estimators that race for one variable, the others as they are; and two on all variables at once.

    `offer`: of all variables together.
    """
    so_far = stage.so_far.open() if stage.so_far else starting_combination(model)
    assert isinstance(so_far, PerVariable)
    own = offer_of_variable(model, so_far, stage.place)
    counts = samples if stage.place == 0 else INNER_SAMPLES
    found = find_entrants(own, names, counts, biased)
    label = joint_of(model.q()).labels[stage.place]
    left_out, racing = {f"{name} for {label}": reason for name, reason in found.left_out.items()}, []
    outer = tuple(samples) if stage.samples is None else (stage.samples,)
    for entrant in found.racing:
        estimator = entrant.estimator.open()
        if estimator.traits.fitted:
            left_out[f"{entrant.name} for {label}"] = (
                "not tried: it is fitted first to one distribution, and here each draw of the other variables makes "
                "another"
            )
            continue
        try:
            racing += _combined(model, so_far, stage.place, entrant, outer)
        except BadInput as error:
            left_out[f"{entrant.name} for {label}"] = str(error)
    every = [*_on_all(offer, samples), *racing]
    if not racing:
        raise BadInput(f"no estimator fits {label}: {'; '.join(list(left_out.values())[:3])}")
    needs = {need.name for need in offer.needs}
    path = {"REPARAMETERISED", "DIFFERENTIABLE"} <= needs
    return Entrants(tuple(every), left_out, first_samples_of(racing), "DENSITY" in needs, path)


def _on_all(offer: Offer, samples: Sequence[int]) -> list[Entrant]:
    found = [(name, tuple(n for n in samples if offer.unmet(get(name), n) is None)) for name in ON_ALL]
    return [Entrant(Parcel.of(get(name)), fits) for name, fits in found if fits]


def _combined(
    model: OwnModel, so_far: PerVariable, place: int, entrant: Entrant, outer: Sequence[int]
) -> list[Entrant]:
    """The combination with this estimator for the variable in that place; one entrant, or none if n does not suit."""
    every, inner = list(so_far.estimators), list(so_far.inner)
    every[place] = entrant.estimator.open()
    if place:
        inner[place - 1] = entrant.samples[0]
    first = every[0].traits
    fits = tuple(n for n in outer if n >= first.min_samples and n % first.samples_step == 0)
    samples = fits if place else entrant.samples
    return [Entrant(Parcel.of(_named(joint_of(model.q()), every, inner)), samples)] if samples else []


class EachVariable:
    """One gradient estimate, told apart by variable: `[K, P]`, the part of θ's gradient that goes through each q_k."""

    def __init__(self, model: OwnModel, estimator: Estimator, samples: int) -> None:
        self.model, self.estimator, self.samples = model, estimator, samples

    def __call__(self) -> Float[Tensor, "K P"]:
        pattern = joint_of(self.model.distribution(self.model.theta))
        leaves = [self.model.leaves() for _ in pattern.variables]
        each = [joint_of(self.model.distribution(own)).variables[place] for place, own in enumerate(leaves)]
        q = Joint(dict(zip(pattern.names, each, strict=True)) if pattern.names else each)
        surrogate = self.estimator.surrogate(q, self.model.objective, self.samples).mean()
        flat = [value for own in leaves for value in own.values()]
        found = torch.autograd.grad(surrogate, flat, allow_unused=True, materialize_grads=True)
        return torch.cat([each.reshape(-1) for each in found]).reshape(len(leaves), -1)


def parts_of_variables(step: EachVariable, sketch: Sketch, seconds: float, scale: float) -> list[TurnResult]:
    """Mean and variance of each variable's part of the gradient, from as many estimates as the time allows."""
    deadline = stopwatch.read() + seconds
    sums: list[TurnSums] = []
    while not sums or stopwatch.read() < deadline:
        rows = torch.stack([step() for _ in range(BATCH)], 1)
        sums = sums or [TurnSums(sketch, scale) for _ in rows]
        for own, each in zip(sums, rows, strict=True):
            own.add(each)
    return [own.result([]) for own in sums]
