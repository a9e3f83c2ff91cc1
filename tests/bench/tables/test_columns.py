"""The declared columns, and the page that is generated from them."""

from pathlib import Path

from bench.tables.columns import COLUMNS, reference_page
from bench.tables.metrics import METRICS

ROOT = Path(__file__).parents[3]


def test_the_reference_page_is_up_to_date():
    written = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    assert written == reference_page(), "run: python -m bench.tables.columns > results/README.md"


def test_every_column_and_metric_is_declared_in_words():
    for declared in (*COLUMNS.values(), *METRICS.values()):
        assert declared.sentence.endswith((".", "…")), declared.name
        assert f"`{declared.name}`" in reference_page()
