"""The table *estimator × what it needs* of the README; `python -m bench.catalogue.readme_table` writes it anew."""

from pathlib import Path

from bench.catalogue.listing import listing
from estimators.errors import BadInput

START, END = "<!-- estimators:start -->", "<!-- estimators:end -->"
README_COLUMNS = ["family", "name", "unbiased", "samples", "asks", "paper"]


def readme_table() -> str:
    """A row per estimator, by family, from the traits at default settings."""
    frame = listing("estimators")
    own = frame[frame["from"].str.startswith("estimators.")]
    rows = own.assign(name="`" + own["name"] + "`")[README_COLUMNS].itertuples(index=False)
    head = [["family", "estimator", "unbiased", "samples", "needs", "paper"], ["---"] * len(README_COLUMNS)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [*head, *rows])


def inserted(page: str) -> str:
    """The page with the table between its markers.

    >>> inserted(f"a {START} old {END} b").startswith(f"a {START}")
    True
    """
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise BadInput(f"the page has no place for the table: write {START} and {END} into it")
    return f"{before}{START}\n{readme_table()}\n{END}{after}"


if __name__ == "__main__":
    readme = Path("README.md")
    readme.write_text(inserted(readme.read_text(encoding="utf-8")), encoding="utf-8")
