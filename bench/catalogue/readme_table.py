"""The README's table of estimators and their needs; `python -m bench.catalogue.readme_table` updates it."""

from pathlib import Path

from bench.catalogue.listing import listing
from estimators.errors import BadInput

START, END = "<!-- estimators:start -->", "<!-- estimators:end -->"
README_COLUMNS = ["family", "name", "unbiased", "samples", "asks", "paper"]


def readme_table() -> str:
    """Returns the Markdown table: a row per estimator, by family, from the traits at default settings."""
    frame = listing("estimators")
    own = frame[frame["from"].str.startswith("estimators.")]
    rows = own.assign(name="`" + own["name"] + "`")[README_COLUMNS].itertuples(index=False)
    head = [["family", "estimator", "unbiased", "samples", "needs", "paper"], ["---"] * len(README_COLUMNS)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [*head, *rows])


def inserted(page: str) -> str:
    """Returns the page with the table between its markers. Raises BadInput if a marker is missing.

    >>> inserted(f"a {START} old {END} b").startswith(f"a {START}")
    True
    """
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise BadInput(f"the page has no markers for the table: add the lines {START} and {END}")
    return f"{before}{START}\n{readme_table()}\n{END}{after}"


if __name__ == "__main__":
    readme = Path("README.md")
    readme.write_text(inserted(readme.read_text(encoding="utf-8")), encoding="utf-8")
