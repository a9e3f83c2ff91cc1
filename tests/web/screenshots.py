"""Pictures of a page to look at.

`python -m tests.web.screenshots PAGE.html FOLDER`: light, dark, phone, print.
`python -m tests.web.screenshots PAGE.html --top FILE.png`: its top, for the README.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.web.conftest import QUIET, chromium

SHOTS = {"light": (1200, "light"), "dark": (1200, "dark"), "phone": (390, "light"), "phone-dark": (390, "dark")}


@contextmanager
def chrome() -> Iterator[Browser]:
    """A headless Chromium."""
    path = chromium()
    if path is None:
        raise SystemExit("there is no Chromium on the PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *QUIET])
        yield browser
        browser.close()


def shoot(page: Path, folder: Path) -> list[Path]:
    """The whole page in each look, and its print."""
    folder.mkdir(parents=True, exist_ok=True)
    with chrome() as browser:
        for name, (width, scheme) in SHOTS.items():
            opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
            opened.goto(page.resolve().as_uri())
            opened.screenshot(path=folder / f"{name}.png", full_page=True)
            if name == "light":
                opened.pdf(path=folder / "print.pdf", format="A4")
    return sorted(folder.iterdir())


def top(page: Path, file: Path, width: int = 1000, height: int = 1240) -> Path:
    """The first screen of the page: its summary and the ranking."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with chrome() as browser:
        opened = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        opened.goto(page.resolve().as_uri())
        opened.screenshot(path=file)
    return file


if __name__ == "__main__":
    match sys.argv[1:]:
        case [page, "--top", file]:
            print(top(Path(page), Path(file)))
        case [page, folder]:
            print(*shoot(Path(page), Path(folder)), sep="\n")
        case _:
            raise SystemExit(__doc__)
