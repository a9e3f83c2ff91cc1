"""Pictures of a page to look at: `python -m tests.web.screenshots PAGE.html FOLDER` (light, dark, phone, print)."""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.web.conftest import QUIET, chromium

SHOTS = {"light": (1200, "light"), "dark": (1200, "dark"), "phone": (390, "light"), "phone-dark": (390, "dark")}


def shoot(page: Path, folder: Path) -> list[Path]:
    """The whole page in each look, and its print."""
    path = chromium()
    if path is None:
        raise SystemExit("there is no Chromium on the PATH: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *QUIET])
        for name, (width, scheme) in SHOTS.items():
            opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
            opened.goto(page.resolve().as_uri())
            opened.screenshot(path=folder / f"{name}.png", full_page=True)
            if name == "light":
                opened.pdf(path=folder / "print.pdf", format="A4")
        browser.close()
    return sorted(folder.iterdir())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    for shot in shoot(Path(sys.argv[1]), Path(sys.argv[2])):
        print(shot)
