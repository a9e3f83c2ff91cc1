"""The page of the facts: a section per group, with its pictures, and every number."""

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
from bench.validation.facts.fact import FACT_GROUPS, Fact
from bench.validation.facts.record import NOT_RUN, FactRecord, check_in_words, fact_table, verdict_counts

SPELT_OUT = 3
"""So many numbers are spelt out."""


@dataclass(frozen=True)
class Entry:
    """A fact as the template takes it; `lost`: why its picture could not be drawn."""

    fact: Fact
    verdict: str
    record: FactRecord | None
    figure: Markup | None
    lost: str = ""

    @property
    def resolutions(self) -> list[float]:
        """The relative half-intervals of its numbers, the best known first."""
        checks = self.record.checks if self.record else []
        return sorted(check.resolution for check in checks if check.relation == "=")

    @property
    def spelt(self) -> str:
        """The numbers in words, where they are few."""
        checks = self.record.checks if self.record else []
        return "; ".join(check_in_words(check) for check in checks) if len(checks) <= SPELT_OUT else ""


def facts_page(facts: list[Fact], records: dict[str, FactRecord], folder: Path) -> Path:
    """Writes `verify.html` into the folder, and its figures as PNG and SVG beside it."""
    figures = folder / "verify-figures"
    figures.mkdir(exist_ok=True)
    sections = [
        (name, what, section(name, [each for each in facts if each.group == name], records, figures))
        for name, what in FACT_GROUPS.items()
        if any(each.group == name for each in facts)
    ]
    template = page_templates().get_template("facts.html.j2")
    text = template.render(sections=sections, counts=verdict_counts(facts, records), style=style())
    target = folder / "verify.html"
    target.write_text(text, encoding="utf-8")
    return target


def section(name: str, facts: list[Fact], records: dict[str, FactRecord], figures: Path) -> dict[str, Any]:
    """What the template shows of one group."""
    rows = fact_table(facts, records)
    picture = None
    if "=" in set(rows["relation"]):
        picture = figure_markup(
            agreement_figure(rows), f"agreement-{name}", f"How well the numbers of {name} agree.", figures
        )
    return {"picture": picture, "entries": [entry(each, records.get(each.name), figures) for each in facts]}


def entry(fact: Fact, record: FactRecord | None, figures: Path) -> Entry:
    """One fact with its picture, if it shows one. A picture that cannot be drawn costs itself, not the page."""
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
    """The figure for the page; it is also written as PNG and SVG."""
    svg = as_svg(figure)
    (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    save(figure, folder / f"{name}.png")
    return inline(svg, name, caption)


def page_templates() -> Environment:
    """With the page's own filters."""
    made = page_environment()
    made.filters["number"] = lambda value: plain_number(float(value)) if value else f"{value:g}"
    made.filters["full"] = lambda value: f"{value:.7g}"
    return made


def style() -> Markup:
    """The report's looks."""
    return Markup(template_file("report.css"))
