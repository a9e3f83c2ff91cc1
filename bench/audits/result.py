"""The answer of an audit: claims in words, a table, the worst coordinates; as JSON, in a folder, on a page."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from markupsafe import Markup
from rich.console import Group, RenderableType
from rich.text import Text

from bench.display.notebook import InNotebooks
from bench.display.terminal import STYLES, number, rich_table, rounded_up
from bench.pages.jinja import page_environment, template_file
from bench.statistics.control import UNSEEN
from bench.tables.writing import replace_text
from estimators.errors import BadInput


@dataclass(frozen=True)
class Claim:
    """What an audit says of one thing.

    `about`: draw, against or difference. `word`: unbiased, biased, same, differs or unclear; empty where there is
    nothing to compare with. `reason`: why. `estimates`: how many it rests on. `stop_reason`: why drawing stopped.
    `waits`: whether it is unclear only because an event that has not come up may explain what was seen.
    """

    about: str
    word: str
    reason: str
    estimates: int
    stop_reason: str
    waits: bool = False

    @property
    def rarest(self) -> float:
        """3/R: a rarer event may not have come up among R estimates."""
        return UNSEEN / self.estimates

    @property
    def sentence(self) -> str:
        """The claim, what it rests on, and what may be done where a rare event could explain it."""
        said = f"{self.about}: {self.word or 'not compared'}: {self.reason}"
        rests = f"({self.estimates:,} estimates; an event rarer than {self.rarest:.1g} may not have come up)"
        return f"{said} {rests}." + (self._hint if self.waits else "")

    @property
    def _hint(self) -> str:
        """A sentence about the option `rarest`."""
        return (
            " If no event that rare carries a part of the gradient, say so with rarest = "
            f"{rounded_up(self.rarest):g}, and the claim is made."
        )


@dataclass(frozen=True)
class Audit(InNotebooks):
    """The answer of `bench.audit`.

    `claims`: the verdict on the draws, then those on `against` and on the difference of the two. `notes`: what else was
    noticed, in sentences. `table`: a row per stream and metric with its 95 % interval; the metrics are those of the
    suite, and dependence (variance of the means of chunks ÷ that of independent estimates; 1 is right), difference,
    relative_difference, difference_pvalue, variance_ratio. `coordinates`: the ten worst, `z` in standard errors.
    """

    claims: tuple[Claim, ...]
    notes: tuple[str, ...]
    table: pd.DataFrame = field(repr=False)
    coordinates: pd.DataFrame = field(repr=False)

    @property
    def verdict(self) -> str:
        """The word about the draws: unbiased, biased or unclear; empty without an exact gradient."""
        return self.claims[0].word

    @property
    def difference(self) -> str:
        """The word about the difference: same, differs or unclear; empty without `against`."""
        return next((claim.word for claim in self.claims if claim.about == "difference"), "")

    @property
    def failed(self) -> bool:
        """Whether something is biased or differs."""
        return any(claim.word in {"biased", "differs"} for claim in self.claims)

    @property
    def conclusive(self) -> bool:
        """Whether nothing is unclear."""
        return all(claim.word != "unclear" for claim in self.claims)

    @property
    def sentence(self) -> str:
        """All claims and notes."""
        return " ".join([*(claim.sentence for claim in self.claims), *self.notes])

    def to_json(self) -> str:
        """All of it as JSON; what is not a finite number is null."""
        rows, worst = (json.loads(each.to_json(orient="records") or "[]") for each in (self.table, self.coordinates))
        claims = [vars(claim) | {"rarest": claim.rarest} for claim in self.claims]
        words = {"verdict": self.verdict, "difference": self.difference, "claims": claims, "notes": self.notes}
        return json.dumps(words | {"table": rows, "coordinates": worst}, indent=1)

    def save(self, folder: str | Path) -> Path:
        """Writes audit.html, audit.json, audit.csv and coordinates.csv into a folder, which is made if it is missing.

        Raises:
            BadInput: The folder cannot be written.
        """
        folder = writable(folder)
        replace_text(folder / "audit.json", self.to_json() + "\n")
        replace_text(folder / "audit.html", audit_page(self))
        replace_text(folder / "audit.csv", self.table.to_csv(index=False))
        replace_text(folder / "coordinates.csv", self.coordinates.to_csv(index=False))
        return folder

    def __rich__(self) -> RenderableType:
        claims = [Text(claim.sentence, style=STYLES.get(claim.word, "")) for claim in self.claims]
        notes = [Text(note) for note in self.notes]
        rows = rich_table(AUDIT_COLUMNS, audit_lines(self), "Estimates, with 95 % intervals")
        worst = rich_table(self.coordinates.columns, self.coordinates.itertuples(index=False, name=None), WORST)
        return Group(rows, worst, *claims, *notes)


AUDIT_COLUMNS = ("stream", "metric", "value", "interval", "method")
"""The columns that are shown."""
WORST = "The worst coordinates"


def writable(folder: str | Path) -> Path:
    """Makes a folder if it is missing. Raises BadInput if that is not allowed, or it is a file."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot write to the folder {folder}: {error.strerror}") from None
    return folder


def audit_lines(audit: Audit) -> list[list[str]]:
    """The table as text, in the columns `AUDIT_COLUMNS`."""
    return [
        [row["stream"], row["metric"], number(row["value"]), _ends(row), row["method"]]
        for row in audit.table.to_dict("records")
    ]


def _ends(row: dict) -> str:
    """The ends of an interval as text; empty without an interval."""
    return "" if pd.isna(row["ci_low"]) else f"{number(row['ci_low'])} to {number(row['ci_high'])}"


def audit_page(audit: Audit) -> str:
    """The page: claims, table, coordinates."""
    made = page_environment()
    made.filters["number"] = number
    template = made.get_template("audit.html.j2")
    style = Markup(template_file("report.css"))
    return template.render(audit=audit, lines=audit_lines(audit), columns=AUDIT_COLUMNS, style=style)
