"""The sentences and the code of a recommendation."""

from bench.advice.arm import Arm, known, less
from bench.advice.entrants import WITNESSES, Field, Judge
from bench.advice.own_model import OwnModel
from bench.advice.race import still_open
from bench.advice.witness import agreement
from estimators.core import Fitted

MOST = 6
"""Names in one list of the sentence."""


DEAF = 0.5
"""Beyond this share of the gradient's length an agreement says nothing."""


def _headline(finalists: list[Arm], base: Arm | None) -> str:
    winner, *others = finalists
    found = known(winner)
    said = [f"{_times(arm, winner)} {arm.name}{_role(arm, base, others)} (n = {arm.samples})" for arm in others]
    fit = f" It is fitted first, which took {winner.fit_seconds:.2g} s." if winner.fit_seconds else ""
    gate = f" But {found.gate}." if found.gate else ""
    against = f": {'; '.join(said)}" if said else "; nothing else could be measured beside it"
    return f"Use {winner.name} with n = {winner.samples}, {_duration(found.seconds.value)} a step{against}.{fit}{gate}"


def _role(arm: Arm, base: Arm | None, others: list[Arm]) -> str:
    return ", the runner-up" if arm is others[0] and arm is not base else ", the runner-up," if arm is others[0] else ""


def _times(arm: Arm, winner: Arm) -> str:
    """How much less variance per second the winner has."""
    found = less(arm, winner)
    if not known(winner).variance.value:
        return "without variance, unlike" if known(arm).variance.value else "without variance, like"
    ends = f"(95 % interval {found.low:.3g} to {found.high:.3g})"
    if found.low <= 1 <= found.high:
        return f"not told apart in variance per second, {found.value:.3g} times {ends}, from"
    return f"{found.value:.3g} times {ends} less variance per second than"


def _undecided(entered: Field, finalists: list[Arm]) -> str:
    """Who is still open, and who was not tried."""
    winner = finalists[0]
    names = sorted({arm.name for arm in still_open(entered.arms) if arm.name != winner.name})
    other_n = sorted({arm.samples for arm in still_open(entered.arms) if arm.name == winner.name and arm is not winner})
    untried = sorted({arm.name for arm in entered.arms if arm.state.startswith("not tried")})
    parts = [f"within the time not ruled out: {_some(names)}" if names else "",
             f"n = {', '.join(map(str, other_n))} would do as well, as far as the race could tell" if other_n else "",
             f"not tried at every n, for lack of time: {_some(untried)}" if untried else "",
             _largest(entered, winner)]  # fmt: skip
    said = "; ".join(filter(None, parts))
    return f"{said[0].upper()}{said[1:]}." if said else ""


def _some(names: list[str]) -> str:
    """The first of them, and how many more."""
    return ", ".join(names if len(names) <= MOST else [*names[:MOST], f"{len(names) - MOST} more"])


def _largest(entered: Field, winner: Arm) -> str:
    """Where the most samples that were tried won, more may do better."""
    most = max(arm.samples for arm in entered.arms)
    return f"n = {most} is the most that was tried: --samples may name more" if winner.samples == most else ""


def _trust(winner: Arm, judge: Judge) -> str:
    """How far the mean is vouched for."""
    witness = judge.witness(but=winner)
    if witness is None or winner.name in WITNESSES:
        return ""
    distance = agreement(winner, witness)
    if not distance <= DEAF:
        return f"{witness.name} is too noisy here to vouch for its mean within the time."
    if not winner.estimator.traits.unbiased:
        return f"It is biased: its mean may be off {witness.name}'s by {distance:.2g} of the gradient's length."
    return f"Its mean agrees with {witness.name}'s to within {distance:.2g} of the gradient's length."


def _exact_too(arm: Arm | None) -> str:
    if arm is None or not arm.seconds:
        return ""
    return f"Enumeration fits too: exact has no variance at all, at {_duration(arm.step_seconds().value)} a step."


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def code(model: OwnModel, winner: Arm) -> str:
    """Three lines that use it; `parameters`, `distribution` and `objective` are those of the user's file."""
    f = "Function(objective)" if model.wrapped else "objective"
    imported = "Function, get" if model.wrapped else "get"
    made = f'get("{winner.name}")'
    if isinstance(winner.estimator, Fitted):
        made += f".fit(distribution(parameters), {f}, n={winner.samples}, steps={winner.estimator.steps})"
    return "\n".join([
        f"from estimators import {imported}",
        f"estimator = {made}",
        f"estimator.surrogate(distribution(parameters), {f}, n={winner.samples}).mean().backward()",
    ])  # fmt: skip
