"""`gradest recommend`: which estimator to use for a user's own model, and how many samples."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from bench.global_state import Kept
from bench.notebook import Shown
from bench.own_model import OwnModel, load_model
from bench.plugins import load_files
from bench.race import Arm, Found, Standing, cheapest, eliminate, race, reopen, rounds, still_open, tried
from bench.ratios import Ratio, ratio
from bench.witness import Witness, agreement, contradiction, exact_witness, witness_of
from estimators.core import Fitted
from estimators.errors import BadInput
from estimators.needs import Offer
from estimators.parameters import states
from estimators.registry import available, get

SAMPLES = (1, 2, 4, 16, 64)
BASELINE = "reinforce"
WITNESSES = ("rloo", BASELINE)
"""Estimators whose lack of bias rests on log q alone."""
FINAL = 0.3
"""The share of the time that goes to fresh draws of the winner, the runner-up and the baseline."""
MOST = 6
"""Names in one list of the sentence."""
DEAF = 0.5
"""Beyond this share of the gradient's length an agreement says nothing."""
FEW = 4096
"""Up to so many values of z the exact gradient is the witness."""


@dataclass(frozen=True)
class Recommendation(Shown):
    """`sentence` and `code` are the answer. `table`: a row per estimator at each number of samples, cheapest first.

    The first rows (`final`) come from fresh draws after the race. `left_out`: other estimators, and why.
    """

    sentence: str
    code: str
    estimator: str
    samples: int
    table: pd.DataFrame = field(repr=False)
    left_out: dict[str, str] = field(repr=False)

    def __rich__(self) -> object:
        from bench.rich_tables import recommendation

        return recommendation(self)


@dataclass(frozen=True)
class Field:
    """Who races, who stays out and why, and exact enumeration where it fits."""

    arms: list[Arm]
    left_out: dict[str, str]
    exact: Arm | None


def recommend(
    path: str | Path,
    *,
    seconds: float = 60.0,
    biased: bool = False,
    samples: Sequence[int] = SAMPLES,
    seed: int = 0,
    plugins: Iterable[str | Path] = (),
    clock: Callable[[], float] = time.monotonic,
    show: Callable[[Standing], None] = lambda standing: None,
) -> Recommendation:
    """The estimator with the least variance per second on the model in `path`, found within about `seconds` of `clock`.

    The file defines `parameters` (a tensor or a dict of tensors), `distribution(parameters)` (a torch distribution;
    its batch axes run over data) and `objective` (a function of z, or an `estimators.Objective`). Seconds are those of
    one training step: q, surrogate, backward. Biased estimators do not race unless `biased`; one whose mean turns out
    to differ from the score function's is put out in any case but that.
    """
    if not seconds > 0:
        raise BadInput(f"seconds must be above 0, found {seconds:g}")
    if not samples or min(samples) < 1:
        raise BadInput(f"samples must be whole numbers of at least 1, found {', '.join(map(str, samples)) or 'none'}")
    load_files(str(each) for each in plugins)
    model, start = load_model(path), clock()
    with Kept(), torch.random.fork_rng(devices=[]):
        entered = entrants(model, samples, seed, biased=biased)
        judge = Judge(entered, biased)
        race(entered.arms, start + (1 - FINAL) * seconds, keep=WITNESSES, check=judge, clock=clock, show=show)
        return _answer(model, entered, judge, start + seconds, clock)


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


def _answer(
    model: OwnModel, entered: Field, judge: Judge, deadline: float, clock: Callable[[], float]
) -> Recommendation:
    """Fresh draws of the winner, the runner-up and the baseline; a winner that proves biased makes place.

    Where the fresh draws turn the order round, they are believed.
    """
    while True:
        open_ = still_open(entered.arms)
        if not open_:
            states = "; ".join([*dict.fromkeys(f"{arm.name} {arm.state}" for arm in entered.arms)][:3])
            raise BadInput(f"no estimator could be measured on this model in the time given: {states}")
        (winner,) = cheapest(open_)
        others = [arm for arm in entered.arms if arm.found and arm.name != winner.name and arm.sound]
        finalists = [winner, *cheapest(others)]
        finalists += [each for each in cheapest([a for a in others if a.name == BASELINE]) if each not in finalists]
        for arm in finalists:
            tried(arm, partial(arm.prepare, "final"))
        for _ in rounds(finalists, deadline, clock):
            pass
        for arm in finalists:
            tried(arm, partial(arm.look, 0.95))
            tried(arm, partial(judge, arm))
        cleared = [arm for arm in finalists if arm.sound]
        if winner in cleared:
            first = cheapest(cleared)
            return _recommendation(model, entered, judge, first + [arm for arm in cleared if arm not in first])
        reopen(entered.arms)
        eliminate(entered.arms, WITNESSES)


def _recommendation(model: OwnModel, entered: Field, judge: Judge, finalists: list[Arm]) -> Recommendation:
    winner = finalists[0]
    base = next((arm for arm in finalists if arm.name == BASELINE), None)
    sentence = " ".join(filter(None, [
        _headline(finalists, base), _undecided(entered, finalists), _trust(winner, judge), _exact_too(entered.exact),
    ]))  # fmt: skip
    table = _table(entered.arms, finalists, base)
    return Recommendation(sentence, code(model, winner), winner.name, winner.samples, table, entered.left_out)


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


def less(arm: Arm, winner: Arm) -> Ratio:
    """cost ÷ the winner's cost."""
    return ratio(known(arm).cost, known(winner).cost)


def known(arm: Arm) -> Found:
    assert arm.found is not None
    return arm.found


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


def _table(arms: list[Arm], finalists: list[Arm], base: Arm | None) -> pd.DataFrame:
    """A row per arm, those that were measured by their cost, then the others."""
    rows = []
    for arm in arms:
        row = {"estimator": arm.name, "samples": arm.samples, "state": arm.state, "final": arm in finalists}
        if arm.found:
            for name in ("variance", "seconds", "cost"):
                value: Ratio = getattr(arm.found, name)
                row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
            against = (
                ratio(arm.found.cost, known(base).cost) if base else Ratio(float("nan"), float("nan"), float("nan"))
            )
            row |= {"relative": float(against.value), "relative_low": float(against.low),
                    "relative_high": float(against.high), "replicates": arm.found.replicates}  # fmt: skip
        rows.append(row | {"fit_seconds": arm.fit_seconds})
    frame = pd.DataFrame(rows)
    return frame.sort_values(["final", "cost"], ascending=[False, True], kind="stable", ignore_index=True)
