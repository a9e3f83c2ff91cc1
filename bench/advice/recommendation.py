"""`gradest recommend`: which estimator to use for a user's own model, and how many samples."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.advice.arm import Arm, cheapest, known, rounds, tried
from bench.advice.entrants import BASELINE, WITNESSES, Field, Judge, entrants
from bench.advice.own_model import OwnModel, load_model
from bench.advice.race import Standing, eliminate, race, reopen, still_open
from bench.advice.wording import _exact_too, _headline, _trust, _undecided, code
from bench.display.notebook import InNotebooks
from bench.display.terminal import number
from bench.measure.execution.process_state import Kept
from bench.plugins.files import load_files
from bench.statistics.interval import Interval
from estimators.errors import BadInput

SAMPLES = (1, 2, 4, 16, 64)
FINAL = 0.3
"""The share of the time that goes to fresh draws of the winner, the runner-up and the baseline."""


@dataclass(frozen=True)
class Recommendation(InNotebooks):
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
        pass

        return recommendation_view(self)


def recommend(
    path: str | Path,
    *,
    seconds: float = 60.0,
    biased: bool = False,
    samples: Sequence[int] = SAMPLES,
    seed: int = 0,
    plugin: str | Path | Iterable[str | Path] = (),
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
    load_files(plugin)
    model, start = load_model(path), clock()
    with Kept(), torch.random.fork_rng(devices=[]):
        entered = entrants(model, samples, seed, biased=biased)
        judge = Judge(entered, biased)
        race(entered.arms, start + (1 - FINAL) * seconds, keep=WITNESSES, check=judge, clock=clock, show=show)
        return _answer(model, entered, judge, start + seconds, clock)


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


def _table(arms: list[Arm], finalists: list[Arm], base: Arm | None) -> pd.DataFrame:
    """A row per arm, those that were measured by their cost, then the others."""
    rows = []
    for arm in arms:
        row = {"estimator": arm.name, "samples": arm.samples, "state": arm.state, "final": arm in finalists}
        if arm.found:
            for name in ("variance", "seconds", "cost"):
                value: Interval = getattr(arm.found, name)
                row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
            against = arm.found.cost.over(known(base).cost) if base else Interval.exact(float("nan"))
            row |= {"relative": float(against.value), "relative_low": float(against.low),
                    "relative_high": float(against.high), "replicates": arm.found.replicates}  # fmt: skip
        rows.append(row | {"fit_seconds": arm.fit_seconds})
    frame = pd.DataFrame(rows)
    return frame.sort_values(["final", "cost"], ascending=[False, True], kind="stable", ignore_index=True)


def recommendation_view(found: "Recommendation") -> RenderableType:
    """The measured ones, cheapest first; who stayed out, by reason; the answer and its code."""
    table = Table(title="Each estimator at its best n; the finalists first, by fresh draws")
    for name in ("estimator", "n", "variance", "step", "variance × seconds, relative to reinforce", "race"):
        table.add_column(name, justify="left" if name in ("estimator", "race") else "right")
    measured = found.table.dropna(subset="cost").drop_duplicates("estimator")
    for row in measured.to_dict("records"):
        table.add_row(
            escape(row["estimator"]), str(row["samples"]), _ends(row, "variance"), _ends(row, "seconds", " s"),
            _ends(row, "relative"), "final" if row["final"] else escape(row["state"]),
        )  # fmt: skip
    odd = found.table[found.table["cost"].isna() & ~found.table["state"].str.startswith("not tried")]
    notes = [
        f"{estimator} (n = {', '.join(map(str, rows['samples']))}): {state}"
        for (estimator, state), rows in odd.groupby(["estimator", "state"], sort=False)
    ]
    faulty = {name: reason for name, reason in found.left_out.items() if reason.startswith("fails")}
    notes += [f"{name}: {reason}" for name, reason in faulty.items()]
    refused = [name for name, reason in found.left_out.items() if reason.startswith("biased")]
    notes += [f"refused, for they are biased (--biased lets them race): {', '.join(refused)}"] if refused else []
    unfit = len(found.left_out) - len(refused) - len(faulty)
    notes += [f"{unfit} estimators do not fit this model; .left_out of the result says why"] if unfit else []
    return Group(
        table, *(Text(note, style="dim") for note in notes),
        Text(f"\n{found.sentence}\n", style="bold"), Text(found.code + "\n"),
    )  # fmt: skip


def _ends(row: dict, name: str, unit: str = "") -> str:
    return f"{number(row[name])}{unit} ({number(row[f'{name}_low'])} to {number(row[f'{name}_high'])})"
