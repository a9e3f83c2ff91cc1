"""What the verbs return shows itself in a notebook once, as HTML, with its text escaped."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench.analysis.comparison import compare
from bench.display.notebook import InNotebooks
from bench.sweeps.outlook import Outlook
from bench.sweeps.status import Status
from bench.validation.checks.conformance import Conformance
from tests.support.tables import table

CHECKS = pd.DataFrame({"check": ["[bold]x"], "outcome": ["failed"], "detail": ["<b>"]})
SLOWEST = pd.DataFrame({"wall_s": [1.5], "estimator": ["<script>"]})
CELLS = pd.DataFrame(
    {"estimator": ["rloo", "exact"], "samples": [2, 2], "state": ["to run", "not applicable"],
     "reason": ["", "too <b>many</b> states"], "stale": [False, False]}
)  # fmt: skip
OBJECTS: dict[str, tuple[Callable[[], InNotebooks], str]] = {
    "conformance": (lambda: Conformance("half", CHECKS), "[bold]x"),
    "status": (
        lambda: Status({"ok": 3}, 2, 75.0, "noon", SLOWEST, ["a torn line"]),
        "1 min 15 s left, as the run estimated at noon",
    ),
    "outlook": (
        lambda: Outlook(CELLS, 4.0, Path("r"), True),
        "expected time: 4 s, a guess: no similar cell has been measured",
    ),
    "comparison": (lambda: compare(table()), "relative to reinforce"),
    "regressions": (lambda: compare(table(), table()), "second run relative to the first"),
}
"""Made where they are shown, and not in every process that collects the tests."""


@pytest.mark.parametrize("name", OBJECTS)
def test_it_shows_itself_as_html(name: str):
    made, says = OBJECTS[name]
    text = made()._repr_html_()
    assert text.startswith("<pre") and says in " ".join(text.split())
    assert "<b>" not in text and "<script>" not in text


def test_in_jupyter_it_is_shown_once(monkeypatch: pytest.MonkeyPatch):
    """Rich displays what it prints where it finds itself in Jupyter, beside what `_repr_html_` returns."""
    displayed = []
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("rich.jupyter.display", lambda *all_: displayed.append(all_))
    assert OBJECTS["comparison"][0]()._repr_html_()
    assert not displayed
