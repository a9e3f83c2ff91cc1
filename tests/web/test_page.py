"""The report in a real browser: it is quiet, sorts, filters, opens cells, changes theme, prints, and fits a phone."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.analysis.ranking import rankings
from bench.pages.report import report_page
from bench.plots.style import bound_text, log_ticks, plain_number
from tests.support.sweeps import HANG
from tests.support.tables import table
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
    for figure in found.page.locator("figure[data-view]").all():
        drawn = figure.locator(".panel, .strips, table.fields").count()
        folded = figure.evaluate("(node) => Boolean(node.closest('details'))")
        assert bool(drawn) != folded, figure.get_attribute("id")


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


def unfolded(found: Visit) -> Visit:
    """The page with everything open."""
    found.page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
    found.page.locator("#figure-outcome_matrix table").first.wait_for()
    return found


def test_an_address_opens_a_cell(visit: Open):
    fragment = unfolded(visit()).page.locator("#figure-outcome_matrix .failed a").first.get_attribute("href")
    opens(visit(fragment), "too many to enumerate")


def test_the_outcome_matrix_says_why_and_opens_the_cell(visit: Open):
    found = unfolded(visit())
    failed = found.page.locator("#figure-outcome_matrix td.failed a")
    assert failed.count() == 1 and failed.inner_text() == "F"
    assert "exact on vae / amortised: failed, BadInput" in (failed.get_attribute("title") or "")
    failed.click()
    opens(found, "too many to enumerate")


def test_what_was_not_measured_is_there_with_its_reason(visit: Open):
    found = visit()
    assert "BadInput: 4294967296 states are too many to enumerate" in found.page.locator("#outcomes").inner_text()
    found.page.get_by_text("Pairs that do not fit").click()
    unfit = found.page.locator("[data-table=unfit] tbody")
    unfit.get_by_text("gumbel_softmax needs discrete draws; normal is continuous").wait_for()
    assert "gumbel_softmax(temperature=0.5); gumbel_softmax(temperature=1)" in unfit.inner_text()


def field(found: Visit, figure: str, estimator: str, problem: str) -> str:
    """The text of a field of a matrix, by the tooltip of its link."""
    link = found.page.locator(f'#figure-{figure} a[title^="{estimator} on {problem}: "]')
    return link.inner_text() if link.count() else ""


def test_an_unclear_verdict_says_which_bound_was_reached(visit: Open):
    found = visit()
    assert field(found, "bias_matrix", "antithetic(reinforce)", "linear / normal") == "≤0.0021"
    assert field(found, "bias_matrix", "exact", "linear / normal") == "✓"
    assert field(found, "bias_matrix", "gumbel_softmax(temperature=0.5)", "vae / amortised") == "0.3"
    assert "unclear: ≤0.0021" in column(found, "verdict")


def test_every_figure_and_table_follows_the_filters(visit: Open):
    found = unfolded(visit())

    def texts(of: str) -> list[str]:
        return found.page.locator(of).all_inner_texts()

    assert len(texts("#figure-variance .panel h4")) == 4 and len(texts("#figure-bias_matrix thead th")) == 4
    found.page.get_by_label("Distribution").select_option("normal")
    assert texts("#figure-variance .panel h4") == ["linear / normal"]
    for matrix in ("bias_matrix", "outcome_matrix", "relative_variance"):
        assert [each.split() for each in texts(f"#figure-{matrix} thead th")] == [["linear", "normal"]]
    assert found.page.locator("#count").inner_text() == "12 of 48 cells"
    assert found.page.locator("[data-status=failed]").inner_text() == "0"
    assert "Every cell that fits was measured." in found.page.locator("#outcomes").inner_text()
    assert "gumbel" not in found.page.locator("#figure-ranking").inner_text()
    assert "gumbel" not in found.page.locator("#answers").inner_text()
    assert "No estimator is shown biased in 8 cells" in found.page.locator("#findings").inner_text()
    found.page.get_by_label("Samples", exact=True).select_option("10")
    assert found.page.locator("#count").inner_text() == "6 of 48 cells"
    assert found.page.locator("#figure-variance .panel circle").count() == 3
    (box,) = found.page.locator(".answer").all_inner_texts()
    assert "n = 10" in box and "n = 2" not in box and "smooth continuous" in box
    found.page.get_by_role("button", name="Reset").click()
    assert found.page.locator("#count").inner_text() == "48 of 48 cells" and len(texts("#figure-variance .panel")) == 4


def test_the_switch_changes_what_is_held_equal_everywhere(visit: Open):
    found = visit()
    assert field(found, "relative_variance", "gumbel_softmax(temperature=0.5)", "vae / amortised") == "0.04"
    found.page.get_by_label("Compare at").select_option("samples")
    assert field(found, "relative_variance", "gumbel_softmax(temperature=0.5)", "vae / amortised") == "0.02"
    assert found.page.locator("#ranking .way").inner_text() == "at equal samples"
    assert found.page.locator("#figure-variance .front").count() == 0
    found.page.get_by_label("Compare at").select_option("seconds")
    assert found.page.locator("#ranking .way").inner_text() == "at equal time"
    assert found.page.locator("#figure-variance .front").count() == 4
    (caption,) = found.page.locator("#figure-variance figcaption:visible").all_inner_texts()
    assert "time per estimate" in caption


def shown_number(text: str) -> float:
    """The number that the page writes, such as 3.4×10⁻⁴."""
    plain = text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    mantissa, _, power = plain.partition("×10") if "×" in plain else (plain, "", "0")
    return float(mantissa) * 10 ** int(power)


def ranked(found: Visit) -> dict[str, float]:
    rows = found.page.locator("#figure-ranking .strip:not(.scale)").all()
    return {
        row.locator(".name").inner_text(): shown_number(row.locator(".value").inner_text().split()[0]) for row in rows
    }


def test_the_ranking_has_a_panel_and_a_table_for_each_kind(visit: Open):
    found = unfolded(visit())
    assert [text.split(":")[0] for text in found.page.locator("#figure-ranking h4").all_inner_texts()] == [
        "bits", "smooth continuous", "other"
    ]  # fmt: skip
    table = found.page.locator("[data-table=ranking]")
    table.get_by_text("has no variance on any problem").first.wait_for()
    assert table.locator("h3").first.inner_text() == "bits: variance ÷ reinforce's"
    found.page.get_by_label("Kind").select_option("other")
    assert found.page.locator("#figure-ranking .strips").count() == 1 and table.locator("table").count() == 1
    assert found.page.locator(".answer:visible").count() == 1


def test_the_ranking_of_a_selection_compares_on_common_problems(visit: Open):
    """The synthetic ratios are the same on every problem, so a model of estimator + problem gives them back."""
    found = visit()
    found.page.get_by_label("Compare at").select_option("samples")
    found.page.get_by_label("Kind").select_option("bits")
    found.page.get_by_label("Samples", exact=True).select_option("2")
    ratios = ranked(found)
    assert ratios.pop("exact") == 0
    assert ratios == {
        "reinforce": 1, HOSTILE: 0.2, "gumbel_softmax(temperature=0.5)": 0.02, "gumbel_softmax(temperature=1)": 0.01,
        "antithetic(reinforce)": 0.9,
    }  # fmt: skip


def test_numbers_bounds_and_ticks_are_those_of_the_files(visit: Open):
    """The page writes numbers as `bench.plots.style` does: bounds rounded up, powers of ten, round ticks."""
    rng = np.random.default_rng(0)
    values = [0.0, 1.0, 999.4, 999.6, 9999.0, 0.001, *(10 ** rng.uniform(-8, 8, 200)).tolist()]
    page = visit().page
    assert page.evaluate("(all) => all.map((each) => number(each))", values) == [plain_number(v) for v in values]
    assert page.evaluate("(all) => all.map(bound)", values) == [bound_text(v) for v in values]
    ends = [(low, low * factor) for low, factor in zip(values[6:], 10 ** rng.uniform(0.01, 6, 200), strict=True)]
    found = page.evaluate("(all) => all.map(([low, high]) => ticks(low, high))", [list(map(float, e)) for e in ends])
    for (low, high), own in zip(ends, found, strict=True):
        expected = log_ticks(low, high)
        assert own == pytest.approx(expected, rel=0.06), (low, high)  # where no tick is round, Python rounds the ends


def test_one_estimator_is_highlighted_everywhere_at_once(visit: Open):
    found = visit()

    def opacity(of: str) -> list[str]:
        return found.page.locator(of).evaluate_all("(all) => all.map((each) => getComputedStyle(each).opacity)")

    found.page.get_by_label("Highlight").select_option("reinforce")
    assert set(opacity('#figure-variance g.mark[data-e="0"]')) == {"1"}
    assert set(opacity('#figure-variance g.mark:not([data-e="0"])')) == {"0.13"}
    assert set(opacity('#figure-bias_matrix tr[data-e="0"] .mark')) == {"1"}
    assert set(opacity('#figure-ranking .strip:not([data-e="0"]) .mark')) == {"0.13"}
    found.page.locator('#figure-ranking .strip[data-e="2"] .name').first.hover()
    assert set(opacity('#figure-variance g.mark[data-e="2"]')) == {"1"}
    assert set(opacity('#figure-variance g.mark[data-e="0"]')) == {"0.13"}


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
    ink = found.page.locator(".panel text").first.evaluate("(node) => getComputedStyle(node).fill")
    found.page.locator("#theme").click()
    assert paper() == colours["dark" if scheme == "light" else "light"]
    assert found.page.locator(".panel text").first.evaluate("(node) => getComputedStyle(node).fill") != ink


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_and_controls_have_names(visit: Open, scheme: str):
    found = visit(scheme=scheme)
    found.page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
    found.page.locator("#figure-throughput .panel").first.wait_for()
    assert found.page.evaluate(CONTRAST) == []
    assert found.page.evaluate(NAMELESS) == []


SCROLL = "svg, #cells .scroll, .fields, .scroll:has(> .fields)"
"""Matrices of estimators and problems and the table of all cells scroll."""
SCROLL_ON_A_PHONE = f"{SCROLL}, .strip.scale .track, pre, main .scroll:not(.answer *)"
"""On a phone also other tables and commands; numbers at the ends of a short axis stand over them."""
WIDER = """(but) => [...document.querySelectorAll("body *")].filter((node) => node.clientWidth > 0 && !node.closest(but)
    && getComputedStyle(node).display !== "inline" && node.scrollWidth > node.clientWidth + 1)
  .map((node) => [node.scrollWidth, node.clientWidth, node.outerHTML.slice(0, 200)])"""
"""Elements whose content is wider than they are."""


@pytest.fixture(scope="module")
def long_numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page whose ratios are powers of ten with wide intervals, of estimators with long names."""
    frame = table().replace({"estimator": {"rloo": "rloo_with_a_baseline_of_its_own", "exact": "reparameterisation"}})
    small = frame["estimator"].str.startswith("rloo") & frame["metric"].str.contains("variance").fillna(False)
    for name, factor in (("value", 2.345e-7), ("ci_low", 1.234e-7), ("ci_high", 5.678e-7)):
        frame.loc[small, name] *= factor * np.where(frame.loc[small, "objective"] == "vae", 100.0, 1.0)
    path = tmp_path_factory.mktemp("long") / "report.html"
    path.write_text(report_page(frame, [{"env": "a" * 12, "python": "3.12"}]), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [390, 800, 1000])
@pytest.mark.parametrize("opened", [False, True])
def test_nothing_is_wider_than_its_container(visit: Open, long_numbers: Path, width: int, opened: bool):
    found = visit(width=width, page=long_numbers)
    assert "×10⁻" in found.page.locator("#answers td small").first.inner_text()
    found = unfolded(found) if opened else found
    assert found.page.evaluate(WIDER, SCROLL_ON_A_PHONE if width < 640 else SCROLL) == []


LONG_NAMES = {
    "estimator": {"rloo": "r" * 200, "reinforce": "b" * 200},
    "distribution": {"bernoulli": "d" * 200},
    "objective": {"quadratic_bits": "o" * 200},
}


@pytest.fixture(scope="module")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page about a table whose names have 200 characters without a space, and its reasons 500."""
    frame = table().replace(LONG_NAMES).assign(point="p" * 200, run="n" * 200)
    frame["reason"] = frame["reason"].where(frame["status"] == "ok", "e" * 500)
    path = tmp_path_factory.mktemp("long") / "report.html"
    environment = {"env": "a", "python": "v" * 200, "g" * 200: "h" * 200}
    path.write_text(report_page(frame, [environment], source="results/" + "s" * 200), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [360, 1600])
def test_a_page_with_long_names_does_not_scroll_sideways(visit: Open, long_names: Path, width: int):
    """Fault C22."""
    found = visit(width=width, page=long_names)
    found.page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
    found.page.locator("#figure-throughput .panel").first.wait_for()
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [360, 768, 1600])
def test_the_page_fits_its_width(visit: Open, width: int):
    found = visit(width=width)
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_prints(visit: Open):
    found = visit()
    assert found.page.pdf()[:4] == b"%PDF"
    found.page.emulate_media(media="print")
    assert found.page.locator("#theme").is_hidden() and found.page.locator(".controls").first.is_hidden()
    assert found.page.locator("#cells table").is_hidden() and found.page.get_by_text("results.csv").last.is_visible()


def test_on_paper_all_is_unfolded_and_each_position_of_the_switch_is_there(visit: Open):
    found = visit()
    folded = found.page.locator("details:not([open])").count()
    found.page.emulate_media(media="print")
    found.page.locator("details:not([open])").first.wait_for(state="detached")
    assert found.page.locator("#figure-variance .panel").count() == 12
    assert found.page.locator("#figure-relative_variance table").count() == 3
    assert found.page.locator("#figure-throughput .panel").count() == 4
    found.page.emulate_media(media="screen")
    found.page.locator("details:not([open])").nth(folded - 1).wait_for(state="attached")
    assert found.page.locator("#figure-variance .panel").count() == 4


@pytest.mark.parametrize("width", [390, 1200])
def test_a_phone_has_the_ranking_in_one_column_with_whole_names(visit: Open, width: int):
    found = visit(width=width)
    names = found.page.locator("#figure-ranking .name").evaluate_all(
        "(all) => all.map((each) => [each.textContent, each.scrollWidth <= each.clientWidth + 1])"
    )
    assert ["gumbel_softmax(temperature=0.5)", True] in names and all(fits for _, fits in names)


def additive(rows: pd.DataFrame) -> dict[str, float]:
    """exp of the estimators' effects, relative to REINFORCE, in least squares of log variance = estimator + problem."""
    rows = pd.DataFrame(rows[rows["variance"] > 0])
    dummies = pd.concat([pd.get_dummies(rows[name]).astype(float) for name in ("estimator", "problem")], axis=1)
    effects = np.linalg.lstsq(dummies.to_numpy(), np.log(rows["variance"].to_numpy(float)), rcond=None)[0]
    of_name = dict(zip(dummies.columns, effects, strict=True))
    return {name: float(np.exp(of_name[name] - of_name["reinforce"])) for name in rows["estimator"].unique()}


def test_the_ranking_of_a_selection_is_least_squares_on_an_incomplete_table(
    visit: Open, quick: tuple[pd.DataFrame, Path]
):
    rows, page = quick
    found = visit(page=page)
    found.page.get_by_label("Compare at").select_option("samples")
    found.page.get_by_label("Kind").select_option("smooth continuous")
    whole = ranked(found)
    table = rankings(rows).rows.query("kind == 'smooth continuous' and equal == 'samples' and apart == ''")
    assert whole == pytest.approx(whole | dict(zip(table["estimator"], table["ratio"], strict=True)), rel=6e-3)
    found.page.get_by_label("Samples", exact=True).select_option("4")
    apart = found.page.locator("#figure-ranking .strip.apart .name").all_inner_texts()
    ratios = {name: ratio for name, ratio in ranked(found).items() if name not in apart}
    own = rows[(rows["samples"] == 4) & (rows["kind"] == "smooth continuous") & ~rows["estimator"].isin(apart)]
    expected = additive(pd.DataFrame(own))
    assert ratios == pytest.approx(expected, rel=6e-3)  # three digits are shown


def test_the_committed_quick_table_makes_a_page_under_9000_pixels(visit: Open, quick: tuple[pd.DataFrame, Path]):
    found = visit(page=quick[1])
    assert found.page.locator("#figure-variance .panel").count() == 20
    assert found.page.evaluate("document.documentElement.scrollHeight") < 9000


@pytest.mark.parametrize("width", [1000, 1200])
def test_the_first_screen_says_which_estimator_for_20_bits_at_4_samples(
    visit: Open, quick: tuple[pd.DataFrame, Path], width: int
):
    """Which unbiased one, how much better than leave-one-out, how sure, how biased at most: without a click."""
    answer = visit(page=quick[1], width=width).page.locator(".tolds > div", has_text="20 bits, n = 4")
    place = answer.bounding_box()
    assert place is not None and place["y"] + place["height"] < 900
    estimator, text = answer.locator(".pick").inner_text(), answer.inner_text()
    own = quick[0][(quick[0]["distribution_params"] == '{"size":20}') & (quick[0]["samples"] == 4)].set_index(
        "estimator"
    )
    assert f"bias at most {bound_text(100 * own.loc[estimator, 'relative_bias_high'])} % on 1 problem" in text
    assert plain_number(own.loc[estimator, "variance"] / own.loc["rloo", "variance"]) in text
    assert re.search(r"[\d⁰¹²³⁴⁵⁶⁷⁸⁹]–\d", answer.locator("td small").first.inner_text())


def test_it_prints_without_blank_half_pages(visit: Open, quick: tuple[pd.DataFrame, Path]):
    """The printed pages hold little more than the height of what is printed: A4 with margins of 15 mm, at 96 dpi, where
    a wider page is scaled down."""
    paper, ratio = round(180 / 25.4 * 96), 267 / 180
    found = visit(page=quick[1], width=paper)
    pages = len(re.findall(rb"/Type /Page\b", found.page.pdf(format="A4")))
    found.page.emulate_media(media="print")
    found.page.locator("details:not([open])").first.wait_for(state="detached")
    width = found.page.evaluate("document.documentElement.scrollWidth")
    found.page.set_viewport_size({"width": width, "height": 900})
    content = found.page.evaluate("document.documentElement.scrollHeight") / (width * ratio)
    assert width < 1.2 * paper and content < pages < 1.15 * content + 1, (pages, content, width)


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
