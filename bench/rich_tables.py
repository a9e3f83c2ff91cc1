"""What the verbs return, for a terminal: tables and lines."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

    from bench.compare import Comparison
    from bench.facts.runner import Verified
    from bench.recommend import Recommendation
    from bench.regressions import Regressions
    from bench.verbs import Outlook, Status

STYLES = {"better": "green", "worse": "red", "biased": "red", "unbiased": "green", "unclear": "yellow", "same": ""}
SHOWN = 40
EQUAL = {"samples": "equal samples", "evaluations": "equal evaluations", "seconds": "equal time"}


def number(value: object) -> str:
    """Three significant digits, and a dash for nothing.

    >>> number(0.012345), number(123456.0), number(None), number(float("inf"))
    ('0.0123', '1.23e+05', '—', '∞')
    """
    if missing(value):
        return "—"
    found = float(value)  # type: ignore[arg-type]
    return "∞" if found == float("inf") else f"{found:.3g}"


def missing(value: object) -> bool:
    """None, NaN or pandas' NA."""
    import pandas as pd  # takes long: not where there are no numbers, as in a list of what there is

    return value is None or bool(pd.isna(value))


def interval(row: dict) -> str:
    """`0.2 (0.18 to 0.22)`."""
    ends = "" if missing(row["ratio_low"]) else f" ({number(row['ratio_low'])} to {number(row['ratio_high'])})"
    return number(row["ratio"]) + ends


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(4000.0), duration(75.0), duration(3.2)
    ('1 h 6 min', '1 min 15 s', '3 s')
    """
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:.0f} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


def frame(rows: "pd.DataFrame", title: str) -> Table:
    """A DataFrame as it is, numbers at three digits."""
    return table(rows.columns, rows.itertuples(index=False, name=None), title)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]], title: str) -> Table:
    """Rows as they are, numbers at three digits."""
    shown = Table(title=escape(title))
    for column in columns:
        shown.add_column(column.replace("_", " "), no_wrap=column in ("name", "unbiased"))
    for row in rows:
        shown.add_row(*(number(cell) if isinstance(cell, float) else escape(str(cell)) for cell in row))
    return shown


def status(found: "Status", notes: Sequence[str] = ()) -> RenderableType:
    """How a run stands: these notes, counts, the time that is left, the slowest."""
    parts: list[RenderableType] = [Text(f"note: {note}", style="yellow") for note in notes]
    parts.append(Text(", ".join([*(f"{count} {name}" for name, count in found.counts.items()), f"{found.left} left"])))
    if found.left and found.seconds_left:
        parts.append(Text(f"{duration(found.seconds_left)} to go, as the run saw it at {found.said}"))
    return Group(*parts, *([frame(found.slowest, "slowest")] if len(found.slowest) else []))


def outlook(found: "Outlook", most: int = SHOWN) -> RenderableType:
    """The first cells of a plan, why others do not apply, how many are to run and how long that takes."""
    cells = found.cells
    columns = ["estimator", "estimator_params", "objective", "distribution", "point", "samples", "state"]
    shown = cells.filter(columns).head(most)
    title = f"{len(cells)} cells" + (f", the first {most}" if len(shown) < len(cells) else "")
    skipped = cells[cells["reason"] != ""].groupby("reason", sort=False).size() if len(cells) else {}
    counts = [f"{count} {state}" for state, count in cells["state"].value_counts().items()] if len(cells) else []
    counts += [f"{sum(cells['stale'])} stale"] if len(cells) and cells["stale"].any() else []
    guess = ", a guess: nothing of it has been measured yet" if found.guessed and found.seconds else ""
    return Group(
        frame(shown, title),
        *(Text(f"{count} not applicable: {reason}") for reason, count in skipped.items()),
        Text(", ".join(counts) or "no cells"),
        Text(f"expected time: {duration(found.seconds)}" + guess),
    )


def verified(found: "Verified") -> RenderableType:
    """Facts by group and verdict, and what is not reproduced, with its numbers."""
    counts = found.table.drop_duplicates("fact").groupby(["group", "verdict"], sort=False).size().unstack(fill_value=0)
    return Group(
        frame(counts.reset_index(), f"facts, in {found.folder}"), *(Text(line, style="red") for line in found.failed)
    )


def comparison(found: "Comparison") -> RenderableType:
    """The overall ranking, each problem's table, and the notes."""
    parts: list[RenderableType] = [_overall(found)] if len(found.overall) else []
    parts += [_problem(found, str(problem), group) for problem, group in found.pairs.groupby("problem", sort=False)]
    if not len(found.pairs):
        parts.append(Text(f"Nothing to compare: no other estimator was measured beside {found.baseline}."))
    return Group(*parts, *(Text(note, style="yellow") for note in found.notes))


def _overall(found: "Comparison") -> Table:
    table = Table(
        title=f"{found.metric} relative to {escape(found.baseline)}, over problems",
        caption="Interquartile mean of log ratios, with its 95 % interval; lower variance is better. "
        "Estimators that fit other problems have other means: see the number of problems.",
    )
    ways = list(dict.fromkeys(found.overall["equal"]))
    for name in ("estimator", *(f"at {EQUAL[way]}" for way in ways), "problems", "biased on"):
        table.add_column(name, justify="left" if name == "estimator" else "right")
    for estimator, group in found.overall.groupby("estimator", sort=False):
        rows = {row["equal"]: row for row in group.to_dict("records")}
        ratios = [interval(rows[way]) if way in rows else "—" for way in ways]
        most = max(rows.values(), key=lambda row: row["problems"])
        table.add_row(escape(str(estimator)), *ratios, str(most["problems"]), str(most["biased_on"]))
    return table


def _problem(found: "Comparison", problem: str, group: "pd.DataFrame") -> Table:
    base = group["baseline"].iloc[0]
    ways = list(dict.fromkeys(group["equal"]))
    table = Table(title=f"{escape(problem)}: {found.metric} relative to {escape(base)}")
    for name in ("estimator", "n", *(f"at {EQUAL[way]}" for way in ways), "outcome", "bias"):
        table.add_column(name, justify="right" if name.startswith(("n", "at")) else "left")
    for (samples, estimator), rows in group.groupby(["samples", "estimator"], sort=False):
        by = {row["equal"]: row for row in rows.to_dict("records")}
        first = next(iter(by.values()))
        table.add_row(
            escape(str(estimator)),
            str(samples),
            *(interval(by[way]) if way in by else "—" for way in ways),
            Text(first["outcome"], style=STYLES.get(first["outcome"], "")),
            Text(first["verdict"], style=STYLES.get(first["verdict"], "")),
        )
    return table


def recommendation(found: "Recommendation") -> RenderableType:
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


def regressions(found: "Regressions") -> RenderableType:
    """What got worse first; then notes and failures."""
    table = Table(title="second run relative to the first", caption=_counts(found))
    for name in ("problem", "estimator", "n", "metric", "ratio", "limit", "adjusted p", ""):
        table.add_column(name)
    for row in found.rows.head(SHOWN).to_dict("records"):
        table.add_row(
            escape(row["problem"]),
            escape(row["estimator"]),
            str(row["samples"]),
            row["metric"],
            interval(row),
            f"{row['limit']:.0%}",
            number(row["p"]),
            Text("worse", style="red") if row["regressed"] else "",
        )
    notes = [Text(note, style="yellow") for note in found.notes]
    return Group(table, *notes, *(Text(failure, style="red") for failure in found.failures))


def _counts(found: "Regressions") -> str:
    worse, every = int(found.rows["regressed"].sum()), len(found.rows)
    return f"{worse} of {every} comparisons got worse beyond the limit" + (
        f"; the {SHOWN} with the smallest p are shown" if every > SHOWN else ""
    )
