"""A recommendation as a terminal and a notebook show it."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bench.advice.wording import state_in_words
from bench.display.terminal import number

SHOWN = 25
"""Estimators in the table."""


def recommendation_view(found: Any) -> RenderableType:
    """Shows a `Recommendation`: the measured estimators, cheapest first; those not tried or left out; the answer."""
    measured = found.table.dropna(subset="product").drop_duplicates("estimator")
    title = f"Each estimator at its best n; the first {int(found.table['final'].sum())} by fresh draws"
    table = Table(title=title if len(measured) else "No estimator was measured")
    for name in ("estimator", "n", "variance", f"step, {found.unit}", "variance × step, relative to reinforce", "race"):
        table.add_column(name, justify="left" if name in ("estimator", "race") else "right")
    for row in measured.head(SHOWN).to_dict("records"):
        state = "final" if row["final"] else escape(state_in_words(row["state"]))
        table.add_row(
            escape(row["estimator"]), str(row["samples"]),
            *(_ends(row, name) for name in ("variance", "step", "relative")), state,
        )  # fmt: skip
    parts = [] if found.variables is None else [variables_view(found.variables)]
    lines = [Text(note, style="dim") for note in _notes(found, max(len(measured) - SHOWN, 0))]
    answer = [Text(f"\n{found.sentence}\n", style="bold"), Text(found.code + "\n" if found.code else "")]
    return Group(table, *parts, *lines, *answer)


def variables_view(variables: Any) -> Table:
    """The part of the gradient that belongs to each of several random variables."""
    table = Table(title="The part of each variable in the gradient")
    for name in ("variable", "length", "variance", "variance of leave-one-out on all", "bias at most"):
        table.add_column(name, justify="left" if name == "variable" else "right")
    for row in variables.to_dict("records"):
        numbers = (number(row["gradient"]), _ends(row, "variance"), _ends(row, "leave_one_out"))
        table.add_row(escape(row["variable"]), *numbers, number(row["bias_at_most"]))
    return table


def _notes(found: Any, more: int) -> list[str]:
    """Returns lines about what the table does not show."""
    notes = [f"and {more} more estimators; .table of the result has them"] if more else []
    odd = found.table[found.table["product"].isna() & ~found.table["state"].isin(["open", "out"])]
    notes += [
        f"{estimator} (n = {', '.join(map(str, rows['samples']))}): {state}"
        for (estimator, state), rows in odd.groupby(["estimator", "state"], sort=False)
    ]
    faulty = {name: reason for name, reason in found.left_out.items() if reason.startswith("fails")}
    notes += [f"{name}: {reason}" for name, reason in faulty.items()]
    refused = [name for name, reason in found.left_out.items() if reason.startswith("biased")]
    notes += [f"left out because they are biased (--biased lets them race): {', '.join(refused)}"] if refused else []
    unfit = len(found.left_out) - len(refused) - len(faulty)
    notes += [f"{unfit} estimators do not fit this model; .left_out of the result says why"] if unfit else []
    return notes


def _ends(row: dict[str, Any], name: str) -> str:
    return f"{number(row[name])} ({number(row[f'{name}_low'])} to {number(row[f'{name}_high'])})"
