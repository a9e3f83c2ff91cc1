"""The Jinja environment shared by all pages."""

from importlib import resources

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from estimators.text import visible


def page_environment() -> Environment:
    """Returns the environment: values are escaped, an undefined value is an error, and JSON keeps its order."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader("bench.pages", "templates"), PackageLoader("bench.validation", "facts")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"sort_keys": False}
    return made


def _shown(value: object) -> object:
    """A text that is no markup, with the characters that do not print as escapes."""
    return visible(value, keep="\n\t") if isinstance(value, str) and not isinstance(value, Markup) else value


def template_file(name: str) -> str:
    """Returns the text of a file in bench/pages/templates, such as "report.css"."""
    return (resources.files("bench.pages") / "templates" / name).read_text(encoding="utf-8")
