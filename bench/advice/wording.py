"""The sentences of a recommendation."""

from collections.abc import Mapping, Sequence
from math import isnan

import pandas as pd

from bench.advice.candidate import TRAINING, Candidate, score_of, times
from bench.advice.conclusion import BASELINE, Conclusion, waiting
from bench.advice.noise_parts import NoiseParts
from bench.advice.race import BEATEN, OPEN
from bench.advice.witness import DEAF, Judge
from bench.statistics.interval import Interval

MOST = 6
"""Names in one list of the sentence."""


def headline(winner: Candidate, others: Sequence[Candidate], unit: str, conclusion: Conclusion) -> str:
    """Says which estimator to use, and how much better it is than the others."""
    score = score_of(winner)
    said = [f"{_times(each, winner, unit)} {each.name}{_role(each, others)} (n = {each.samples})" for each in others]
    against = f": {'; '.join(said)}" if said else "; nothing else could be measured beside it"
    fit = (
        f" It is fitted first, at a cost of {amount(winner.fit_cost, unit)}, spread over {TRAINING} steps here."
        if winner.fit_cost
        else ""
    )
    step = f"{amount(score.step.value, unit)} a step"
    if conclusion.conclusive:
        return f"Use {winner.name} with n = {winner.samples}, {step}{against}.{fit}"
    enough = f"about {conclusion.seconds:g} s would do" if conclusion.seconds else "no time that is worth it would do"
    return (
        f"Inconclusive: {'; '.join(conclusion.reasons)}; {enough}. The best so far is {winner.name} with "
        f"n = {winner.samples}, {step}{against}.{fit}"
    )


def _role(candidate: Candidate, others: Sequence[Candidate]) -> str:
    return ", the runner-up" if candidate is others[0] and candidate.name != BASELINE else ""


def _times(candidate: Candidate, winner: Candidate, unit: str) -> str:
    """Says how much less variance per cost the winner has."""
    per = "second" if unit == "s" else "cost"
    found = times(candidate, winner)
    if not score_of(winner).variance.value:
        return "without variance, unlike" if score_of(candidate).variance.value else "without variance, like"
    ends = f"(95 % interval {found.low:.3g} to {found.high:.3g})"
    if found.low <= 1 <= found.high:
        return f"not told apart in variance per {per}, {found.value:.3g} times {ends}, from"
    return f"{found.value:.3g} times {ends} less variance per {per} than"


def undecided(candidates: Sequence[Candidate], winner: Candidate, finalists: Sequence[Candidate]) -> str:
    """Says which candidates are not ruled out, and which were not tried."""
    high = score_of(winner).product.high
    rivals = [each for each in candidates if each.state == OPEN and each.score and each is not winner]
    alive = [each for each in rivals if _may_be_better(each, winner, finalists, high)]
    names = sorted({each.name for each in alive if each.name != winner.name})
    own = sorted({each.samples for each in alive if each.name == winner.name})
    untried = sorted({each.name for each in candidates if waiting(each)})
    most = max(each.samples for each in candidates)
    parts = [
        f"within the time not ruled out: {_some(names)}" if names else "",
        f"n = {', '.join(map(str, own))} may do as well" if own else "",
        f"not tried at every n, for lack of time: {_some(untried)}" if untried else "",
        f"n = {most} is the most that was tried: --samples may name more" if winner.samples == most > 1 else "",
    ]
    said = "; ".join(filter(None, parts))
    return (said if said.startswith("n =") else f"{said[:1].upper()}{said[1:]}") + "." * bool(said)


def _may_be_better(each: Candidate, winner: Candidate, finalists: Sequence[Candidate], high: float) -> bool:
    """Whether a candidate that the race left open may be as good as the winner, as far as was measured."""
    if not score_of(winner).variance.value:
        return not score_of(each).variance.value and score_of(each).step.low <= score_of(winner).step.high
    if each in finalists:
        return bool(times(each, winner).low <= 1)
    return bool(score_of(each).low <= high)


def _some(names: Sequence[str]) -> str:
    """Lists the first names, and the number of the others."""
    return ", ".join(names if len(names) <= MOST else [*names[:MOST], f"{len(names) - MOST} more"])


def trust(winner: Candidate, judge: Judge, by_differences: str | None) -> str:
    """Says how far the winner's mean is confirmed."""
    distance = judge.agreement(winner)
    close = distance is not None and distance <= DEAF
    witness = judge.witness
    if not winner.estimator.unbiased:
        said = f"It is biased: its mean may be off by {distance:.2g} of the gradient's length."
        return said if close else "It is biased."
    if witness is None or distance is None:
        return by_differences or "Nothing here can vouch for its mean: there is no score function to compare it with."
    if winner.estimator.code == witness.estimator.code:
        return "It enumerates every value of z: it is the gradient itself." * winner.estimator.exact
    if isnan(distance):
        return f"By {witness.name} the gradient is zero here, up to rounding."
    if not close:
        return f"{witness.name} is too noisy here to vouch for its mean within the time."
    return f"Its mean agrees with {witness.name}'s to within {distance:.2g} of the gradient's length."


def by_variable(variables: pd.DataFrame | None, winner: Candidate | None) -> str:
    """Says how much less each variable's part of the gradient varies under the winner."""
    if variables is None or winner is None:
        return ""
    rows = variables.to_dict("records")
    said = [f"{row['leave_one_out'] / row['variance']:.3g} times less for {row['variable']}" for row in rows
            if row["variance"] > 0]  # fmt: skip
    exact = [f"none for {row['variable']}" for row in rows if not row["variance"] > 0]
    return (
        f"The variance of each variable's part of the gradient, beside leave-one-out on all of them at n = "
        f"{max(winner.samples, 2)}: {', '.join(said + exact)}."
    )


def noise(shares: Mapping[str, Interval], parts: NoiseParts | None) -> str:
    """Says where a noisy model's variance comes from and what would reduce it; empty without noise.

    With the shares d of the draws and b of the data, twice the draws leave about b + (1 − b)/2 of the variance, and
    twice the data d + (1 − d)/2. Where each draw has its own noise, b is 0.
    """
    if not shares or parts is None:
        return ""
    draws, data = shares["draws"], shares.get("data")
    if data is not None:
        return _of_shared_noise(draws, data)
    said = f"Without the objective's own noise {_share(draws)} of its variance would be left."
    if parts.each_draw:
        return f"{said} More draws average that noise, too, so they do at least as well as averaging it at each draw."
    return f"{said} How much of it more draws leave is unknown: the noise does not come from torch's generator."


def _of_shared_noise(draws: Interval, data: Interval) -> str:
    """Returns the advice for a step whose draws all see the same data."""
    more_draws, more_data = (1 + data.value) / 2, (1 + draws.value) / 2
    better = "more draws help more" if more_draws < more_data else "more data, as in a larger minibatch, help more"
    if draws.low <= data.high and data.low <= draws.high:
        better = "the two are not told apart"
    return (
        f"With all the data {_share(draws)} of its variance would be left, and with any number of draws "
        f"{_share(data)}. Twice the draws would leave about {more_draws:.0%}, twice the data about {more_data:.0%}: "
        f"{better}."
    )


def _share(of: Interval) -> str:
    return f"{of.value:.0%} (95 % interval {of.low:.0%} to {of.high:.0%})"


def road(loop_reason: str | None) -> str:
    """Says which road the numbers come from."""
    if loop_reason is None:
        return "Estimates were drawn many at a time, from a distribution that was shown to be yours."
    return f"Estimates were drawn one training step at a time: {loop_reason}."


def amount(value: float, unit: str) -> str:
    """A cost with its unit.

    >>> amount(0.00234, "s"), amount(128.0, "calls of f")
    ('2.34 ms', '128 calls of f')
    """
    if unit != "s":
        return f"{value:.4g} {unit}"
    for name, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value / 1e-6:.3g} µs"


def state_in_words(state: str) -> str:
    """A candidate's state for the table."""
    return {OPEN: "not ruled out", BEATEN: "beaten"}.get(state, state)
