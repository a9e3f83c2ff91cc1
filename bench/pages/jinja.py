"""The Jinja environment shared by all pages."""

from importlib import resources

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def page_environment() -> Environment:
    """Returns the environment: values are escaped, and an undefined value in a template is an error."""
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
