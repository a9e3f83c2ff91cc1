"""Which estimators enter the race on a user's model, and the witness that judges their bias."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from bench.advice.arm import Arm
from bench.advice.own_model import OwnModel
from bench.advice.witness import Witness, contradiction, exact_witness, witness_of
from estimators.core import Fitted
from estimators.errors import BadInput
from estimators.needs import Offer
from estimators.registry import available, get
from estimators.tools.parameters import states

BASELINE = "reinforce"


WITNESSES = ("rloo", BASELINE)
"""Estimators whose lack of bias rests on log q alone."""


FEW = 4096
"""Up to so many values of z the exact gradient is the witness."""


@dataclass(frozen=True)
class Field:
    """Who races, who stays out and why, and exact enumeration where it fits."""

    arms: list[Arm]
    left_out: dict[str, str]
    exact: Arm | None


def entrants(model: OwnModel, samples: Sequence[int], seed: int, *, biased: bool) -> Field:
    """Every registered estimator at every number of samples at which it fits."""
    problem, like = model.problem, next(iter(model.theta.values()))
    offer = Offer(model.distribution(model.theta), problem.function(like))
    arms: list[Arm] = []
    left_out: dict[str, str] = {}
    exact = None
    for name in available():
        try:
            estimator = get(name)
            reasons = {n: offer.unmet(estimator, n) for n in sorted(set(samples))}
        except Exception as error:  # a plug-in's own fault
            left_out[name] = f"fails: {type(error).__name__}: {error}"
            continue
        fits = [n for n, reason in reasons.items() if reason is None]
        if not fits:
            left_out[name] = str(reasons[max(reasons)])
        elif not estimator.traits.unbiased and not biased:
            left_out[name] = "biased: races only with --biased"
        elif estimator.traits.exact:
            exact = Arm(estimator, name, fits[0], problem, seed)
        else:
            arms += [Arm(estimator, name, n, problem, seed) for n in fits]
    if not arms:
        raise BadInput(f"no estimator fits this model: {'; '.join(f'{k} {v}' for k, v in list(left_out.items())[:3])}")
    arms.sort(key=lambda arm: (isinstance(arm.estimator, Fitted), arm.name != BASELINE, arm.samples))
    return Field(arms, left_out, exact)


class Judge:
    """Puts an arm out whose mean contradicts the witness, unless biased ones are welcome."""

    def __init__(self, entered: Field, biased: bool) -> None:
        self.arms, self.biased = entered.arms, biased
        self.exact = _exact(entered.exact)

    def witness(self, *, but: Arm | None = None) -> Witness | None:
        """The one with the smallest error, other than the arm that is judged."""
        if self.exact:
            return self.exact
        able = [arm for arm in self.arms if arm.name in WITNESSES and arm is not but and arm.found and alive(arm)]
        known = [witness_of(arm) for arm in able]
        return min(known, key=lambda each: float(each.error.sum()), default=None)

    def __call__(self, arm: Arm) -> None:
        """After its turn."""
        if arm.state != "open" or not arm.found or arm.name in WITNESSES or self.biased:
            return
        witness = self.witness(but=arm)
        reason = contradiction(arm, witness) if witness else None
        if reason:
            arm.state = reason
            arm.release()


def alive(arm: Arm) -> bool:
    """Whether it still has its draws."""
    return "kept" in vars(arm)


def _exact(arm: Arm | None) -> Witness | None:
    """The exact gradient where z takes few values; its step is timed as well."""
    if arm is None:
        return None
    if (states(arm.problem.build(arm.problem.encode(arm.problem.theta()))) or FEW + 1) > FEW:
        return None
    with suppress(Exception):  # no witness then; what is wrong with f has been said before
        arm.prepare("exact").time(6)
        return exact_witness(arm)
    return None
