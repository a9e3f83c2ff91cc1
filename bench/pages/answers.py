"""The boxes at the top of the report, one per kind of problem."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.analysis.comparison import EQUAL_WORDS
from bench.analysis.winners import LEAVE_ONE_OUT, BiasBound, Winner
from bench.plots.style import bound_text, plain_number
from bench.statistics.over_problems import OverProblems


@dataclass(frozen=True)
class LeadOver:
    """The winner's variance ÷ another estimator's.

    `other`: that estimator, in words. `ratios`: one per quantity held equal. `decided_at`: the quantity that decides.
    `others_problems`: the interval of the choice of problems of its ratio, in words; empty with a single problem.
    """

    other: str
    ratios: dict[str, OverProblems]
    decided_at: str
    others_problems: str


@dataclass(frozen=True)
class KindAnswer:
    """The winner at one number of samples, in words.

    `about`: the size of its problems, if it is about one, and the number of samples. `bias`: what is known of its bias.
    `ties`: who may be as good.
    """

    about: str
    estimator: str
    bias: str
    ties: str
    against: list[LeadOver]


@dataclass(frozen=True)
class AnswerBox:
    """A box of the report: the answer at the largest number of samples, that of each size, and those at others."""

    kind: str
    problems: str
    answer: KindAnswer
    sizes: dict[int | None, KindAnswer]
    others: list[KindAnswer]


def answers(found: Sequence[Winner], by_size: Sequence[Winner] = ()) -> list[AnswerBox]:
    """Returns a box per kind of problem, from the winners of a table, and those by size."""
    boxes = []
    for kind in dict.fromkeys(each.kind for each in found):
        own = sorted((each for each in found if each.kind == kind), key=lambda each: -each.samples)
        first, *others = [_answer(each) for each in own]
        sizes = {each.size: _answer(each) for each in by_size if each.kind == kind}
        if sizes:
            first = replace(first, about=f"all sizes, {first.about}")
        boxes.append(AnswerBox(kind, _problems(own[0].of_problems), first, sizes, others))
    return boxes


def _answer(winner: Winner) -> KindAnswer:
    against = []
    if winner.estimator != winner.reference:
        role = "leave-one-out" if winner.reference.startswith(LEAVE_ONE_OUT) else "the baseline"
        against.append(_against(f"{role}, {winner.reference}", winner.over_reference, winner))
    if winner.runner_up and (winner.runner_up != winner.reference or not against):
        against.append(_against(f"the next best, {winner.runner_up}", winner.over_runner_up, winner))
    shown = ", ".join(winner.ties[:3]) + (f" and {len(winner.ties) - 3} more" if len(winner.ties) > 3 else "")
    ties = f"not shown better than {shown} at {EQUAL_WORDS[winner.decided_at]}" if winner.ties else ""
    known = winner.estimator == winner.reference and winner.reference.startswith(LEAVE_ONE_OUT)
    itself = "leave-one-out itself; " if known else ""
    few = f"; ratios over {_problems(winner.problems)}" if winner.problems < winner.of_problems else ""
    about = f"n = {winner.samples}"
    if winner.size is not None:
        about = f"{winner.size} bits, {about}" if winner.kind == "bits" else f"size {winner.size}, {about}"
    return KindAnswer(about, winner.estimator, f"{itself}{bias_in_words(winner.bias)}{few}", ties, against)


def _against(other: str, ratios: dict[str, OverProblems], winner: Winner) -> LeadOver:
    decisive = ratios.get(winner.decided_at)
    ends = [] if decisive is None else [plain_number(each) for each in decisive.chosen[1:] if not math.isnan(each)]
    return LeadOver(other, ratios, winner.decided_at, "–".join(ends))


def bias_in_words(bias: BiasBound) -> str:
    """Returns what is known of a bias.

    >>> bias_in_words(BiasBound(0.0448, 5, float("nan"), 0))
    'bias at most 4.5 % on 5 problems'
    >>> bias_in_words(BiasBound(0.0441, 1, float("nan"), 0))
    'bias at most 4.5 % on 1 problem'
    >>> bias_in_words(BiasBound(0.02, 1, 0.31, 2))
    'bias at most 2 % on 1 problem; on 2 unclear, at most 31 %'
    """
    parts = []
    if bias.unbiased:
        parts.append(f"bias at most {_percent(bias.at_most)} on {_problems(bias.unbiased)}")
    if bias.unclear:
        parts.append(f"{'on' if parts else 'bias on'} {bias.unclear} unclear, at most {_percent(bias.unclear_at_most)}")
    return "; ".join(parts) or "bias not judged at this number of samples"


def _problems(count: int) -> str:
    return f"{count} problem{'' if count == 1 else 's'}"


def _percent(share: float) -> str:
    return "an unknown size" if math.isnan(share) else f"{bound_text(100 * share)} %"
