"""Terminal output of the commands' results: tables and formatted numbers."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

from collections.abc import Iterable
from math import ceil, floor, isfinite, log10
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd


STYLES = {"better": "green", "worse": "red", "biased": "red", "unbiased": "green", "unclear": "yellow", "same": ""}
STYLES |= {"aligned": "green", "turned": "red", "reversed": "red"}
STYLES |= {"kept": "green", "shrunk": "yellow", "stretched": "yellow"}
MAX_ROWS = 40


def number(value: object) -> str:
    """Returns a number with three significant digits; a dash for a missing value.

    >>> number(0.012345), number(123456.0), number(None), number(float("inf"))
    ('0.0123', '1.23e+05', '—', '∞')
    """
    if missing(value):
        return "—"
    found = float(value)  # type: ignore[arg-type]
    return "∞" if found == float("inf") else f"{found:.3g}"


def rounded_up(value: float, *, unit: float = 0.0) -> float:
    """Returns a positive number rounded up to two digits, and to whole units.

    >>> rounded_up(3 / 8192), rounded_up(0.0003), rounded_up(3.2), rounded_up(3.2, unit=1.0), rounded_up(1234.0)
    (0.00037, 0.0003, 3.2, 4.0, 1300.0)
    """
    step = max(10.0 ** (floor(log10(value)) - 1), unit)
    return float(f"{ceil(value / step * (1 - 1e-12)) * step:.2g}")


def without_controls(text: str) -> str:
    """Returns a text on which no character controls the terminal; line breaks and tabs stay (`estimators.text`)."""
    if text.replace("\n", "").isprintable():
        return text
    from estimators.text import visible  # imports torch, which takes seconds

    return visible(text, keep="\n\t")


def missing(value: object) -> bool:
    """Returns whether a value is None, NaN or pandas' NA."""
    import pandas as pd  # a slow import, not needed by listings, which have no numbers

    return value is None or bool(pd.isna(value))


def interval(row: dict) -> str:
    """Returns a ratio with its interval, such as `0.2 (0.18 to 0.22)`."""
    ends = "" if missing(row["ratio_low"]) else f" ({number(row['ratio_low'])} to {number(row['ratio_high'])})"
    return number(row["ratio"]) + ends


def duration(seconds: float) -> str:
    """Returns a duration in seconds as hours, minutes and seconds.

    >>> duration(4000.0), duration(75.0), duration(3.2), duration(float("inf"))
    ('1 h 6 min', '1 min 15 s', '3 s', '∞')
    """
    if not isfinite(seconds):
        return number(seconds)
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:.0f} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


def frame(rows: "pd.DataFrame", title: str) -> Table:
    """Returns a DataFrame as a table, with three significant digits per number."""
    return rich_table(rows.columns, rows.itertuples(index=False, name=None), title)


def rich_table(columns: Iterable[str], rows: Iterable[Iterable[object]], title: str) -> Table:
    """Returns rows as a table, with three significant digits per number."""
    shown = Table(title=escape(without_controls(title)))
    for column in columns:
        shown.add_column(column.replace("_", " "), no_wrap=column in ("name", "unbiased"))
    for row in rows:
        shown.add_row(
            *(number(cell) if isinstance(cell, float) else escape(without_controls(str(cell))) for cell in row)
        )
    return shown
