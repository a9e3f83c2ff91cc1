"""Imports between packages follow the way of the data, and no two modules import each other in a circle."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "system": "",
    "provenance": "system",
    "display": "",
    "isolation": "system",
    "plugins": "",
    "numerics": "",
    "statistics": "",
    "data": "numerics",
    "distributions": "plugins numerics data",
    "objectives": "distributions",
    "problems": "objectives",
    "tables": "provenance statistics",
    "measure.execution": "provenance numerics problems statistics tables",
    "measure.estimates": "measure.execution",
    "measure.accuracy": "measure.estimates",
    "measure.timing": "measure.estimates",
    "suites": "plugins measure.accuracy measure.timing",
    "sweeps": "display isolation suites",
    "analysis": "display statistics tables",
    "plots": "analysis",
    "pages": "measure.accuracy measure.timing plots",
    "advice": "isolation plugins pages",
    "audits": "isolation plugins pages",
    "catalogue": "sweeps",
    "validation": "catalogue pages isolation",
    "site": "validation",
    "cli": "advice audits site",
}
"""Each package of bench, from the bottom up: what it may import, besides itself and what these may import."""


def package_of(module: str) -> str:
    """`bench.measure.timing.lock` is in "measure.timing", `bench.tables.long` in "tables", `bench` in ""."""
    parts = module.split(".")[1:]
    return ".".join(parts[:2]) if parts[:1] == ["measure"] and len(parts) > 2 else parts[0] if parts else ""


@cache
def reachable(package: str) -> frozenset[str]:
    """The packages that `package` may import, directly or through others."""
    direct = MAY_IMPORT[package].split()
    return frozenset(direct).union(*(reachable(each) for each in direct))


@cache
def modules() -> dict[str, Path]:
    """Every module of bench and estimators, and its file."""
    files = [path for package in ("bench", "estimators") for path in (ROOT / package).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


@cache
def imports(module: str) -> frozenset[str]:
    """The modules of gradest that a module imports, also inside functions and for type checkers."""
    found = set()
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{each.name}" for each in node.names}
            found |= {each if each in modules() else node.module for each in names}
    return frozenset(found & modules().keys()) - {module}


def wrong_imports(module: str) -> Iterator[str]:
    """A sentence for each import that the rules do not allow."""
    for other in sorted(imports(module)):
        if module.startswith("estimators"):
            if other.startswith("bench"):
                yield f"{module} imports {other}: estimators/ may import nothing of bench/"
            continue
        own, theirs = package_of(module), package_of(other)
        if other.startswith("estimators") or own in ("", theirs) or (own, other) == ("cli", "bench"):
            continue  # a command calls the function that `bench` lists
        if theirs not in reachable(own):
            allowed = ", ".join(sorted(reachable(own))) or "no other package"
            yield f"{module} imports {other}: bench/{own.replace('.', '/')} may import {allowed} (see MAY_IMPORT)"


def test_imports_follow_the_layout():
    wrong = [sentence for module in modules() for sentence in wrong_imports(module)]
    assert not wrong, "\n".join(wrong)


def test_every_package_has_its_rule():
    known = {package_of(module) for module in modules() if module.startswith("bench")}
    unknown = known - MAY_IMPORT.keys() - {"", "measure"}
    assert not unknown, f"no rule says what bench/{' and bench/'.join(unknown)} may import: add it to MAY_IMPORT here"


def circle() -> list[str]:
    """The modules of one circle of imports, in order; empty where there is none. `bench/__init__` imports lazily."""
    state: dict[str, int] = {}
    path: list[str] = []

    def visit(module: str) -> list[str]:
        state[module] = 1
        path.append(module)
        for other in sorted(imports(module) - {"bench"}):
            if state.get(other) == 1:
                return [*path[path.index(other) :], other]
            if other not in state and (found := visit(other)):
                return found
        path.pop()
        state[module] = 2
        return []

    for module in modules().keys() - {"bench"}:
        if module not in state and (found := visit(module)):
            return found
    return []


def test_no_modules_import_each_other_in_a_circle():
    assert not circle(), f"these modules import each other in a circle: {' → '.join(circle())}"


@pytest.mark.parametrize(
    ("module", "other", "wrong"),
    [
        ("bench.statistics.means", "bench.tables.long", True),
        ("bench.tables.long", "bench.statistics.means", False),
        ("bench.measure.timing.lock", "bench.measure.accuracy.accuracy", True),
        ("estimators.core", "bench.tables.long", True),
        ("bench.tables.long", "bench", True),
        ("bench.cli.results", "bench", False),
    ],
)
def test_a_wrong_import_is_named_with_the_rule(module, other, wrong, monkeypatch):
    monkeypatch.setitem(globals(), "imports", lambda _: frozenset({other}))
    said = list(wrong_imports(module))
    assert len(said) == wrong and all(module in each and other in each and "may import" in each for each in said)
