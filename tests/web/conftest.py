"""A real browser: Debian's Chromium, driven by playwright; nothing is downloaded."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from bench.pages.report import report_page as written
from bench.tables.folder import load
from bench.tables.wide import wide_table
from tests.support.tables import table

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert(1)</script>"


def chromium() -> str | None:
    """Where a Chromium is, on the PATH."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """One browser for all tests; skipped where there is none, with what to install."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'")
    path = chromium()
    if path is None:
        pytest.skip("there is no Chromium on the PATH: apt-get install chromium")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *QUIET])
        yield started
        started.close()


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page about a synthetic table in which one estimator's name is a script."""
    frame = table().replace({"estimator": {"rloo": HOSTILE}})
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(written(frame, [{"env": "a", "python": "3.12"}]), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    """The committed table of the quick sweep, and its page."""
    rows, page = wide_table(load(ROOT / "results" / "reference")), tmp_path_factory.mktemp("quick") / "report.html"
    page.write_text(written(rows, []), encoding="utf-8")
    return rows, page


@dataclass
class Visit:
    """An opened page, and what went wrong or out while it was open."""

    page: "Page"
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", self.refuse)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def refuse(self, dialog: "Dialog") -> None:
        self.errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@pytest.fixture
def visit(browser: "Browser", file: Path) -> Iterator[Callable[..., Visit]]:
    """Opens the page: `visit(fragment, width=…, scheme=…, page=…)`. Errors and requests to a network fail the test."""
    visits: list[Visit] = []

    def open_page(fragment: str = "", *, width: int = 1200, scheme: str = "light", page: Path = file) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        found = Visit(context.new_page())
        found.watch()
        found.page.goto(page.as_uri() + fragment)
        visits.append(found)
        return found

    yield open_page
    for each in visits:
        assert not each.errors
        assert all(url.startswith(("file:", "data:", "blob:")) for url in each.requests), each.requests
        each.page.context.close()
