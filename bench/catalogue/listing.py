"""Lists every estimator, distribution, objective, metric and suite, with its properties and its module."""

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.catalogue.headlines import headlines_of
from bench.catalogue.offers import listed
from bench.distributions import distributions
from bench.objectives import objectives
from bench.plugins.files import load_files
from bench.plugins.settings import public
from bench.suites.builtin import suite_summary, suites
from bench.tables.metrics import METRICS
from estimators.errors import BadInput, nearest
from estimators.registry import Registry, estimators, owner
from estimators.traits import Need, Traits

if TYPE_CHECKING:
    import pandas as pd

REGISTRIES: dict[str, Registry[Any]] = {
    "estimators": estimators,
    "distributions": distributions,
    "objectives": objectives,
}
LISTED_KINDS = (*REGISTRIES, "metrics", "suites", "needs", "offers", "gradients")
SLOW = ("gradients",)
"""Kinds that `all` leaves out, because computing their rows is slow."""

BRIEF = {
    "estimators": ["family", "name", "unbiased", "samples", "asks", "paper"],
    "distributions": ["name", "support", "reparameterised", "settings", "used_by"],
    "objectives": ["name", "settings", "used_by"],
    "metrics": ["name", "unit", "direction", "sentence"],
    "suites": ["name", "what"],
    "needs": ["name", "sentence", "from"],
    "offers": ["name", "density", "path", "mean", "mode"],
    "gradients": ["problem", "point", "method", "relative_error", "error", "norm"],
}
"""The columns that fit a terminal; `gradest show NAME` prints the rest."""


def listing(kind: str = "all", *, plugin: str | Path | Iterable[str | Path] = ()) -> "pd.DataFrame":
    """Lists estimators, distributions, objectives, metrics or suites.

    Args:
        kind: estimators, distributions, objectives, metrics, suites, needs, offers (of torch's distributions),
            gradients (every problem's exact gradient: method, error, norm; takes a minute), or all, which leaves out
            the gradients.
        plugin: Python file that registers plug-ins; several are allowed.

    Returns:
        One row per entry: name, properties, first sentence of the docstring, module. For `all`: kind and name.

    Raises:
        BadInput: There is no such kind, or a plug-in file does not import.
    """
    import pandas as pd

    load_files(plugin)
    if kind == "all":
        every = ((each, row["name"]) for each in LISTED_KINDS if each not in SLOW for row in listing_rows(each))
        return pd.DataFrame(every, columns=["kind", "name"])
    return pd.DataFrame(listing_rows(kind))


def listing_rows(kind: str) -> list[dict[str, Any]]:
    """Returns the rows of `listing` without pandas, whose import is slow. Raises BadInput for an unknown kind."""
    if kind not in LISTED_KINDS:
        raise BadInput(f"there is no kind {kind!r}; {nearest(kind, LISTED_KINDS)}")
    found = {
        "estimators": lambda: [_estimator(name, cls) for name, cls in estimators],
        "distributions": lambda: [_distribution(name, cls) for name, cls in distributions],
        "objectives": lambda: [_objective(name, cls) for name, cls in objectives],
        "metrics": lambda: [vars(metric) for metric in METRICS.values()],
        "suites": lambda: [suite_summary(path) for path in suites().values()],
        "needs": lambda: [
            {"name": each.name, "sentence": each.sentence, "from": each.module} for each in Need.declared()
        ],
        "offers": listed,
        "gradients": _gradients,
    }
    every = found[kind]()
    return sorted(every, key=lambda row: (row["family"], row["name"])) if kind == "estimators" else every


def _gradients() -> list[dict[str, Any]]:
    from bench.catalogue.exact_gradients import reference_table

    return reference_table().to_dict("records")


def broken() -> Iterator[str]:
    """Yields a sentence for each plug-in of an installed package that cannot be used."""
    for kind, registry in REGISTRIES.items():
        for each in registry.broken():
            yield f"{kind.removesuffix('s')} {each.name} of {each.package}: {each.reason}"


def describe(name: str, *, plugin: str | Path | Iterable[str | Path] = ()) -> str:
    """Describes an estimator, distribution, objective or metric: formula, conditions, paper, settings.

    Args:
        name: Name, as in `gradest list`.
        plugin: Python file that registers plug-ins; several are allowed.

    Raises:
        BadInput: There is no such name, or a plug-in file does not import.
    """
    load_files(plugin)
    for kind, registry in REGISTRIES.items():
        if name in registry.available():
            return _text(kind.removesuffix("s"), name, registry.lookup(name))
    if name in METRICS:
        metric = METRICS[name]
        return f"{name}: a metric [{metric.unit}]\n\n{metric.sentence}"
    known = [each for registry in REGISTRIES.values() for each in registry.available()]
    raise BadInput(f"there is nothing called {name!r}; {nearest(name, [*known, *METRICS])}")


def _text(kind: str, name: str, cls: type) -> str:
    from bench.catalogue.fits import fits_in_words, runs_with

    lines = [f"{name}: {'an' if kind[0] in 'aeo' else 'a'} {kind} ({owner(cls)})", "", inspect.getdoc(cls) or ""]
    settings = _settings(cls)
    if settings:
        lines += ["", f"Settings: {settings}"]
    lines += ["", *(f"{key}: {value}" for key, value in _facts(kind, name, cls).items() if value != "")]
    if kind != "estimator":
        return "\n".join(lines)
    measured = headlines_of(name)
    return "\n".join([*lines, *(measured and ["", *measured]), "", fits_in_words(runs_with(cls()))])


def _facts(kind: str, name: str, cls: Any) -> dict[str, Any]:
    row = {"estimator": _estimator, "distribution": _distribution, "objective": _objective}[kind](name, cls)
    return {key: value for key, value in row.items() if key not in ("name", "what", "settings", "from", "asks")}


def _estimator(name: str, cls: Any) -> dict[str, Any]:
    traits: Traits = cls().traits  # some traits, such as a wrapper's, depend on the settings: here the defaults
    step = f", multiples of {traits.samples_step}" if traits.samples_step > 1 else ""
    return _row(
        name,
        cls,
        family=cls.__module__.rsplit(".", 1)[-1].replace("_", " "),
        unbiased="yes" if traits.unbiased else "no",
        samples=f"≥ {traits.min_samples}{step}",
        asks=", ".join(sorted(need.name.lower().replace("_", " ") for need in traits.needs)),
        needs="; ".join(sorted(map(_in_words, traits.needs))),
        paper=traits.paper,
    )


def _in_words(need: Need) -> str:
    """Returns the need's sentence; for a plug-in's need also its name and module, for those who want to offer it."""
    return need.sentence if need.built_in else f"{need.sentence} ({need.name} of {need.module})"


def _distribution(name: str, cls: Any) -> dict[str, Any]:
    return _row(
        name,
        cls,
        support="discrete" if cls.discrete else "continuous",
        reparameterised="yes" if cls.reparameterised else "no",
        coordinates=", ".join(cls.coordinates),
        pathwise_tolerance=f"{cls.pathwise_tolerance:g}, relative" if cls.pathwise_tolerance else "",
        points=", ".join(cls.points),
        used_by=cls.used_by,
    )


def _objective(name: str, cls: Any) -> dict[str, Any]:
    return _row(
        name,
        cls,
        separable="yes" if cls.separable is True else "no" if cls.separable is False else "depends on its settings",
        points=", ".join(cls.points),
        used_by=cls.used_by,
    )


def _row(name: str, cls: type, **facts: str) -> dict[str, Any]:
    what = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
    return {"name": name, **facts, "settings": _settings(cls), "what": what, "from": cls.__module__}


def _settings(cls: type) -> str:
    """Returns the settings with their defaults, in the form used in a suite."""
    own = {field.name: field for field in fields(cls)}
    return ", ".join(f"{name} = {_default(own[name])}" for name in public(cls))


def _default(field: Any) -> str:
    if field.default is not MISSING:
        return repr(field.default)
    return repr(field.default_factory()) if field.default_factory is not MISSING else "…"
