"""The Jinja environment shared by all pages."""

from importlib import resources

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def page_environment() -> Environment:
    """Returns the environment: values are escaped, an undefined value is an error, and JSON keeps its order."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader("bench.pages", "templates"), PackageLoader("bench.validation", "facts")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"sort_keys": False}
    return made


def template_file(name: str) -> str:
    """Returns the text of a file in bench/pages/templates, such as "report.css"."""
    return (resources.files("bench.pages") / "templates" / name).read_text(encoding="utf-8")
