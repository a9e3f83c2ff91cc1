"""A suite, read from a TOML file; every error message names its place in the file."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from bench.measure.accuracy.stopping import AccuracySettings
from bench.measure.timing.blocks import ThroughputSettings
from bench.suites.builtin import suites
from bench.tables import where
from bench.tables.records import regular
from estimators.errors import BadInput, nearest

Group = Literal["accuracy", "throughput"]
RequestedMode = Literal["eager", "compile", "graph", "auto"]
GROUPS: tuple[Group, ...] = get_args(Group)


def _axis(value: Any) -> Any:
    """Returns an axis as a list; a single value is an axis of one value."""
    if value == []:
        raise ValueError("an axis needs at least one value")
    return value if isinstance(value, list) else [value]


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _parsed(text: str) -> str:
    where.parse(text)
    return text


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Choice(BaseModel):
    """A plug-in by name, with its settings; a setting that is a list is an axis."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """The settings, by name."""
        return self.__pydantic_extra__ or {}


Choices = Annotated[list[Annotated[Choice, BeforeValidator(_named)]], BeforeValidator(_axis)]
Names = Annotated[list[str], BeforeValidator(_axis)]


class Problems(_Model):
    """A block of problems: every distribution with every objective. Default coordinates and points: the suite's.

    `minibatch`: how many data an estimate sees. Default: all. `accuracy`: settings that replace the suite's for these
    problems. Default: none.
    """

    distribution: Choices
    objective: Choices
    coordinates: Names | None = None
    point: Names | None = None
    minibatch: Annotated[list[Annotated[int, Field(ge=1, lt=2**63)]], BeforeValidator(_axis)] | None = None
    accuracy: dict[str, Any] | None = None


class Exclude(_Model):
    """Cells that are excluded on purpose; `reason` stands in their rows."""

    where: Annotated[str, AfterValidator(_parsed)]
    reason: Annotated[str, Field(min_length=1)]


class Suite(_Model):
    """Everything that the numbers of a sweep depend on, and the time limit per cell in seconds."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    samples: Annotated[list[Annotated[int, Field(ge=1, lt=2**63)]], BeforeValidator(_axis)]
    metrics: Annotated[list[Group], BeforeValidator(_axis)] = list(GROUPS)
    device: Names = ["cpu"]
    dtype: Annotated[list[Literal["float32", "float64"]], BeforeValidator(_axis)] | None = None
    """Default: float64 on a CPU, float32 on an accelerator."""
    mode: Annotated[list[RequestedMode], BeforeValidator(_axis)] = ["eager"]
    """`auto` compiles where the planned work justifies it."""
    coordinates: Names | None = None
    point: Names | None = None
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 600.0
    accuracy: dict[str, Any] = {}
    throughput: dict[str, Any] = {}
    estimators: Choices
    problems: Annotated[list[Problems], Field(min_length=1)]
    exclude: list[Exclude] = []


SETTINGS_TYPES = {"accuracy": AccuracySettings, "throughput": ThroughputSettings}
"""The settings of each group of metrics; in a suite, each group is a table."""


def load_suite(suite: str | Path) -> Suite:
    """Reads a suite: a built-in suite by its name, or a TOML file. Raises BadInput with the place of an error."""
    path = Path(suite)
    if path.suffix != ".toml":
        path = builtin(str(suite))
    try:
        text = regular(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the suite {path}: {getattr(error, 'strerror', None) or error}") from None
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, and a number of thousands of digits
        raise BadInput(f"{path} is not TOML: {error}") from None
    return parse_suite(found, str(path))


def parse_suite(found: dict[str, Any], source: str) -> Suite:
    """Checks a table and returns it as a suite. Raises BadInput with `source` and the place of an error."""
    _without_long_texts(found, source, ())
    try:
        suite = Suite.model_validate(found)
    except ValidationError as error:
        first = min(
            error.errors(), key=lambda each: each["type"] != "extra_forbidden"
        )  # a misspelt key also explains a missing key
        raise BadInput(f"{source}: {_sentence(first)}") from None
    resolved = {group: _group(group, getattr(suite, group), f"{source}: {group}") for group in GROUPS}
    for index, block in enumerate(suite.problems):
        _group("accuracy", suite.accuracy | (block.accuracy or {}), f"{source}: problems[{index}].accuracy")
    return suite.model_copy(update=resolved)


LONGEST_TEXT = 10_000
"""Characters of a name or another text in a suite: they stand in every row of its table."""


def _without_long_texts(found: Any, source: str, location: tuple[int | str, ...]) -> None:
    """Raises BadInput for a key or a text that is too long."""
    if isinstance(found, str) and len(found) > LONGEST_TEXT:
        place = f"{source}: {_place(location)}" if location else source
        raise BadInput(f"{place}: {found[:60]!r} … has {len(found)} characters; at most {LONGEST_TEXT} are read")
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in inner:
        _without_long_texts(key, source, location)
        _without_long_texts(value, source, (*location, key))


def builtin(name: str) -> Path:
    """The file of a built-in suite. Raises BadInput if there is no such suite."""
    known = suites()
    if name not in known:
        raise BadInput(f"there is no suite {name!r}; {nearest(name, known)} A file's name ends in .toml")
    return known[name]


def _group(group: Group, found: dict[str, Any], path: str) -> dict[str, Any]:
    """The settings of a group of metrics with their defaults, after a check of every combination."""
    from bench.plugins.settings import checked, combinations, plain

    every = [checked(SETTINGS_TYPES[group], settings, path) for settings in combinations(found, path)]
    return plain(every[0]) | {key: value for key, value in found.items() if isinstance(value, list)}


def _sentence(error: ErrorDetails) -> str:
    """One sentence: the place of an error, what is wrong, and what would be right."""
    place = _place(error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{place}: unknown key; {nearest(str(error['loc'][-1]), _keys(error['loc']))}"
    if error["type"] == "missing":
        return f"{place}: this key is missing"
    message = error["msg"].removeprefix("Value error, ")
    shown = "" if error["type"] == "value_error" else f", not {str(error['input'])[:60]!r}"
    return f"{place}: {message[:1].lower()}{message[1:]}{shown}"


def _place(location: Iterable[int | str]) -> str:
    """`estimators[0].name` from ("estimators", 0, "name").

    >>> _place(("problems", 1, "distribution", 0, "name"))
    'problems[1].distribution[0].name'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _keys(location: tuple[int | str, ...]) -> Iterable[str]:
    """The valid keys at the place of an unknown key."""
    models = {"problems": Problems, "exclude": Exclude}
    return models.get(str(location[0]) if len(location) > 1 else "", Suite).model_fields
