"""The report in a real browser: it is quiet, sorts, filters, opens cells, changes theme, prints, and fits a phone."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.sweeps import HANG
from tests.web.conftest import HOSTILE, Visit

Open = Callable[..., Visit]

CONTRAST = """() => {
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("main *, header *")].filter((node) => !node.closest("svg, script")
    && [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()));
  const ratios = texts.map((node) => {
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), node.textContent.trim().slice(0, 40)];
  });
  return ratios.filter(([ratio]) => ratio < 4.5);
}"""
"""Texts whose contrast with what is behind them is below 4.5 (WCAG AA)."""
NAMELESS = """() => [
    ...document.querySelectorAll("button, input, select, svg[role=img], [role=group], section, nav, dialog")
  ].filter((node) => !(node.getAttribute("aria-label") || node.getAttribute("aria-labelledby") || node.labels?.length
    || node.textContent.trim()))
  .map((node) => node.outerHTML.slice(0, 80))"""


def rows(visit: Visit) -> int:
    return visit.page.locator("#cells tbody tr").count()


def column(visit: Visit, name: str) -> list[str]:
    place = visit.page.locator("#cells thead th").evaluate_all(
        "(all, name) => all.findIndex((each) => each.dataset.column === name)", name
    )
    cells = visit.page.locator(f"#cells tbody td:nth-child({place + 1})")
    return cells.evaluate_all("(all) => all.map((each) => each.firstChild?.textContent ?? '')")


def test_all_cells_are_there(visit: Open):
    found = visit()
    assert rows(found) == 48
    assert found.page.locator("#count").inner_text() == "48 of 48 cells"
    assert found.page.locator("figure svg").count() >= 10


def test_a_column_sorts_both_ways_and_what_was_not_measured_is_last(visit: Open):
    found = visit()
    header = found.page.locator('#cells th[data-column="variance"]')
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    up = column(found, "variance")
    assert up[-6:] == ["—"] * 6
    numbers = [float(text) for text in up[:-6]]
    assert numbers == sorted(numbers)
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    down = column(found, "variance")
    assert down[-6:] == ["—"] * 6 and [float(text) for text in down[:-6]] == sorted(numbers, reverse=True)


def test_filters_and_search_narrow_the_table(visit: Open):
    found = visit()
    found.page.get_by_label("Status", exact=True).select_option("failed")
    assert rows(found) == 2 and set(column(found, "estimator")) == {"exact"}
    found.page.get_by_label("Status", exact=True).select_option("")
    found.page.get_by_label("Search").fill("antithetic VAE")
    assert found.page.locator("#count").inner_text() == "2 of 48 cells"
    found.page.get_by_label("Search").fill("no such thing")
    assert rows(found) == 0


def opens(found: Visit, text: str) -> None:
    """A dialog that says this appears; a browser follows a link to a cell when it has the time."""
    found.page.locator("dialog", has_text=text).wait_for(timeout=1e3 * HANG)


def test_a_click_opens_the_cell_with_its_reason_and_escape_closes_it(visit: Open):
    found = visit()
    found.page.get_by_label("Status", exact=True).select_option("not_applicable")
    found.page.locator("#cells tbody tr td").nth(1).click()
    opens(found, "normal is continuous")
    assert "#cell=" in found.page.url
    found.page.keyboard.press("Escape")
    found.page.locator("dialog").wait_for(state="hidden")
    assert "#cell=" not in found.page.url


def test_a_link_selects_a_cell_by_keyboard_and_from_outside(visit: Open):
    found = visit()
    found.page.locator("#outcomes summary").first.click()
    link = found.page.locator("#outcomes a.status-failed").first
    assert link.get_attribute("title") == "BadInput: 4294967296 states are too many to enumerate"
    fragment = link.get_attribute("href")
    link.press("Enter")
    opens(found, "too many to enumerate")
    opens(visit(fragment), "too many to enumerate")


def test_the_outcome_matrix_says_why_on_hover_and_opens_the_cell_on_click(visit: Open):
    found = visit()
    failed = found.page.locator("#figure-outcome_matrix a", has_text="too many to enumerate")
    assert failed.count() == 1
    assert "exact on vae / amortised: failed, BadInput" in (failed.locator("title").text_content() or "")
    failed.click()
    opens(found, "too many to enumerate")


def test_the_table_downloads_as_it_is_filtered(visit: Open, tmp_path: Path):
    found = visit()
    found.page.get_by_label("Verdict", exact=True).select_option("biased")
    with found.page.expect_download() as download:
        found.page.get_by_role("button", name="Download CSV").click()
    download.value.save_as(tmp_path / "cells.csv")
    with (tmp_path / "cells.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 12 and {line["verdict"] for line in lines} == {"biased"}
    assert float(lines[0]["variance_low"]) < float(lines[0]["variance"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_and_switches(visit: Open, scheme: str):
    found = visit(scheme=scheme)

    def paper() -> str:
        return found.page.evaluate("getComputedStyle(document.body).backgroundColor")

    colours = {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 28)"}
    assert paper() == colours[scheme]
    ink = found.page.locator("figure svg text").first.evaluate("(node) => getComputedStyle(node).fill")
    found.page.locator("#theme").click()
    assert paper() == colours["dark" if scheme == "light" else "light"]
    assert found.page.locator("figure svg text").first.evaluate("(node) => getComputedStyle(node).fill") != ink


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_and_controls_have_names(visit: Open, scheme: str):
    found = visit(scheme=scheme)
    found.page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
    assert found.page.evaluate(CONTRAST) == []
    assert found.page.evaluate(NAMELESS) == []


@pytest.mark.parametrize("width", [360, 768, 1600])
def test_the_page_fits_its_width(visit: Open, width: int):
    found = visit(width=width)
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_prints(visit: Open):
    found = visit()
    assert found.page.pdf()[:4] == b"%PDF"
    found.page.emulate_media(media="print")
    assert found.page.locator("#theme").is_hidden() and found.page.locator(".controls").is_hidden()
    assert found.page.locator("#cells table").is_hidden() and found.page.get_by_text("results.csv").last.is_visible()


def test_it_prints_on_white_though_the_screen_is_dark(visit: Open):
    found = visit(scheme="dark")
    found.page.locator("#theme").click()
    found.page.locator("#theme").click()
    assert found.page.evaluate("document.documentElement.dataset.theme") == "dark"
    found.page.emulate_media(media="print")
    assert found.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_a_hostile_name_stays_text(visit: Open):
    found = visit()
    assert HOSTILE in column(found, "estimator")
    assert HOSTILE in found.page.locator("#ranking").inner_text()
