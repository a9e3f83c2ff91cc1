"""The suites that come with gradest: TOML files in this folder."""

import tomllib
from pathlib import Path
from typing import Any


def suites() -> dict[str, Path]:
    """Returns the files of the built-in suites, by name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}


def suite_summary(path: Path) -> dict[str, Any]:
    """Returns the name of a suite, its numbers of estimators and blocks of problems, and its opening comment."""
    text = path.read_text(encoding="utf-8")
    found = tomllib.loads(text)
    comment = [line.removeprefix("#").strip() for line in text.split("\n\n")[0].splitlines() if line.startswith("#")]
    counts = {key: len(found.get(key, [])) for key in ("estimators", "problems")}
    return {"name": path.stem, **counts, "what": " ".join(comment)}
