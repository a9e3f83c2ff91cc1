"""Jinja as every page uses it."""

from importlib import resources

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def page_environment() -> Environment:
    """Everything from a table is escaped; a missing value in a template is an error, not an empty place."""
    return Environment(
        loader=ChoiceLoader([PackageLoader("bench.pages", "templates"), PackageLoader("bench.validation", "facts")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def template_file(name: str) -> str:
    """Returns the text of a file in bench/pages/templates, such as "report.css"."""
    return (resources.files("bench.pages") / "templates" / name).read_text(encoding="utf-8")
