"""The page of the facts: a section per group, with pictures and every number."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from matplotlib.figure import Figure

from bench.pages.jinja import page_environment, template_file
from bench.pages.svg import inline
from bench.plots.style import as_svg, plain_number, save
from bench.validation.facts.curves import agreement_figure, fact_figure
from bench.validation.facts.earlier import EarlierRows
from bench.validation.facts.fact import FACT_GROUPS, Fact
from bench.validation.facts.record import NOT_RUN, FactRecord, check_in_words, fact_table, verdict_counts

SPELT_OUT = 3
"""Maximum number of checks that are written in words."""


@dataclass(frozen=True)
class Entry:
    """A fact, as passed to the template.

    `lost`: why its picture could not be drawn. `earlier`: when its outcome was measured, if by an earlier verification.
    """

    fact: Fact
    verdict: str
    record: FactRecord | None
    figure: Markup | None
    lost: str = ""
    earlier: str = ""

    @property
    def resolutions(self) -> list[float]:
        """The relative half-intervals of the numbers, shortest first."""
        checks = self.record.checks if self.record else []
        return sorted(check.resolution for check in checks if check.relation == "=")

    @property
    def spelt(self) -> str:
        """The numbers in words, if there are few."""
        checks = self.record.checks if self.record else []
        return "; ".join(check_in_words(check) for check in checks) if len(checks) <= SPELT_OUT else ""


def facts_page(
    facts: list[Fact], records: dict[str, FactRecord], folder: Path, earlier: Mapping[str, EarlierRows] | None = None
) -> Path:
    """Writes `verify.html` into the folder, and its figures as PNG and SVG; returns the path of the page."""
    figures = folder / "verify-figures"
    figures.mkdir(exist_ok=True)
    sections = [
        (name, what, section(name, [each for each in facts if each.group == name], records, figures, earlier or {}))
        for name, what in FACT_GROUPS.items()
        if any(each.group == name for each in facts)
    ]
    template = page_templates().get_template("facts.html.j2")
    verdicts = {name: each.verdict for name, each in (*(earlier or {}).items(), *records.items())}
    text = template.render(sections=sections, counts=verdict_counts(facts, verdicts), style=style())
    target = folder / "verify.html"
    target.write_text(text, encoding="utf-8")
    return target


def section(
    name: str, facts: list[Fact], records: dict[str, FactRecord], figures: Path, earlier: Mapping[str, EarlierRows]
) -> dict[str, Any]:
    """Returns the template's data for one group."""
    rows = fact_table(facts, records)
    picture = None
    if "=" in set(rows["relation"]):
        picture = figure_markup(
            agreement_figure(rows), f"agreement-{name}", f"How well the numbers of {name} agree.", figures
        )
    entries = [entry(each, records.get(each.name), figures, earlier.get(each.name)) for each in facts]
    return {"picture": picture, "entries": entries}


def entry(fact: Fact, record: FactRecord | None, figures: Path, earlier: EarlierRows | None = None) -> Entry:
    """Returns a fact with its picture, if it has one. If the picture cannot be drawn, the page shows the error."""
    if record is None and earlier is not None:
        return Entry(fact, earlier.verdict, None, None, earlier=earlier.created)
    if record is None:
        return Entry(fact, NOT_RUN, None, None)
    figure, lost = None, ""
    if record.pictures:
        try:
            figure = figure_markup(fact_figure(record.pictures), fact.name, fact.statement, figures)
        except Exception as error:
            lost = f"{type(error).__name__}: {error}"
    return Entry(fact, record.verdict, record, figure, lost)


def figure_markup(figure: Figure, name: str, caption: str, folder: Path) -> Markup:
    """Returns the figure for the page, and writes it as PNG and SVG."""
    svg = as_svg(figure)
    (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    save(figure, folder / f"{name}.png")
    return inline(svg, name, caption)


def page_templates() -> Environment:
    """Returns the page environment with the filters of this page."""
    made = page_environment()
    made.filters["number"] = lambda value: plain_number(float(value)) if value else f"{value:g}"
    made.filters["full"] = lambda value: f"{value:.7g}"
    return made


def style() -> Markup:
    """Returns the style sheet of the report."""
    return Markup(template_file("report.css"))
