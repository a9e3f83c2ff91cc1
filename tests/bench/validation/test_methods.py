"""The page of methods is whole, current, and says what the code does."""

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

from bench.pages.report import report_page
from bench.statistics import control, dependence, repeats, tails, verdict
from bench.tables.metrics import METRICS
from bench.validation.methods import METHODS, Method
from bench.validation.methods_page import DOCS, PART, measured_tables, methods_html, methods_markdown
from tests.support.extending import WITHOUT_INTERVAL
from tests.support.tables import table

ROOT = Path(__file__).parents[3]
each = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


def test_the_pages_are_current():
    tables = measured_tables()
    why = "run python -m bench.validation.methods_page"
    assert DOCS.read_text(encoding="utf-8") == methods_markdown(*tables), why
    assert PART.read_text(encoding="utf-8") == methods_html(*tables), why


def test_every_interval_of_the_table_has_one_method():
    named = [name for method in METHODS for name in method.metrics]
    assert sorted(named) == sorted(set(METRICS) - WITHOUT_INTERVAL)
    assert len({method.name for method in METHODS}) == len(METHODS)


def test_every_row_of_the_coverage_study_validates_a_method():
    studied = {metric.partition(",")[0] for metric in measured_tables()[0]["metric"]}
    assert studied == {name for method in METHODS for name in method.studied}


@each
def test_a_method_says_everything_and_names_code_and_tests_that_exist(method: Method):
    assert all((method.use, method.formula, method.source, method.assumes))
    assert resolve_name(method.code) is not None
    assert method.studied or method.tests or method.alarms, "nothing says where it was validated"
    module, _, name = method.code.rpartition(".")
    shown = (name, module.rpartition(".")[2], "depend on each other")  # the last: the sentence of `dependent`
    texts = [(ROOT / file).read_text(encoding="utf-8") for file in method.tests]
    assert not texts or any(word in text for word in shown for text in texts)


NUMBERS = {
    "Zero bias": f"{tails.MIN_OUTCOMES} outcomes",
    "Verdict biased": f"{verdict.CONFIRM:g}".replace("0.001", "1e-3"),
    "Control for unseen events": f"probability {control.UNSEEN:g}/R",
    "Variance": f"{tails.KURTOSES} κ",
    "Approximate intervals": f"exceeds {tails.MAX_INDEX:g}",
    "Infinite or unresolved variance": f"below {tails.MIN_HILL:g}",
    "Independence of replicates": f"{dependence.DEPENDENCE_LEVEL:.0e}".replace("e-07", "e-7"),
    "Repeated estimates": f"R²/{repeats.CHANCE:.0e}",
}
"""Constants of the code, as the page writes them."""


@pytest.mark.parametrize("name", NUMBERS)
def test_a_formula_has_the_numbers_of_the_code(name: str):
    method = next(method for method in METHODS if method.name == name)
    assert NUMBERS[name] in f"{method.formula} {method.assumes}"


def test_the_report_has_the_page():
    page = report_page(table((2,), problems=1), [])
    section = re.search(r'<section id="methods".*?</section>', page, re.DOTALL)
    assert section is not None and PART.read_text(encoding="utf-8").strip() in section[0]
