"""One idea, one name: a public name that stands at the top level of two modules is listed here with its reason."""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache

from tests.whole.test_layout import modules

MOST = 15
"""There are fewer shared names than this."""

DIGESTED = "used in bodies of classes whose source tells stale cells; rename when they change anyway"
MODEL = "one idea: each model's own function of that name, used in class bodies whose source is part of cells"
USERS = "users call both: the second takes distributions, objectives and problems too"
SHARED = {
    "MOST": DIGESTED,
    "NEEDS": f"what the estimators of one file need, {DIGESTED}",
    "SIZE": DIGESTED,
    "bound": MODEL,
    "estimator_checks": USERS,
    "load": f"bench.load is a verb; bench.data.trained.load is {DIGESTED}",
    "log_joint": MODEL,
    "main": "the entry point of what `python -m` runs",
    "parametrize_with_checks": USERS,
    "spread": DIGESTED,
    "trajectory": "bench.trajectory trains and measures a user's model; bench.plots.trajectory draws a table",
}
"""The names that are left in several modules, and why."""


def assigned(target: ast.expr) -> Iterator[str]:
    """The names that the left side of an assignment defines."""
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def defined(body: list[ast.stmt]) -> Iterator[str]:
    """Public functions, classes and constants that a module defines at its top level; imported ones are not its own."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [name for target in node.targets for name in assigned(target)]
        elif isinstance(node, ast.AnnAssign):
            names = [*assigned(node.target)] if node.value else []
        elif isinstance(node, ast.If | ast.Try | ast.With):
            names = [*defined(node.body), *defined(getattr(node, "orelse", []))]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


@cache
def names() -> dict[str, list[str]]:
    """Every module of bench and estimators but the commands of the command line, and what it defines."""
    files = {module: path for module, path in modules().items() if not module.startswith("bench.cli")}
    return {module: [*defined(ast.parse(path.read_text(encoding="utf-8")).body)] for module, path in files.items()}


def homes(own: dict[str, list[str]]) -> dict[str, list[str]]:
    """The modules that define a name, for names that several define."""
    found: dict[str, list[str]] = defaultdict(list)
    for module in sorted(own):
        for name in sorted(set(own[module])):
            found[name].append(module)
    return {name: where for name, where in found.items() if len(where) > 1}


def advice(own: dict[str, list[str]]) -> list[str]:
    """A sentence for each name that is shared without a reason."""
    return [
        f"{name} is defined in {' and in '.join(where)}: give each a name that says what it is, move the one "
        "definition below both and import it, or, if both must stay, say why in SHARED of tests/whole/test_names.py"
        for name, where in homes(own).items()
        if name not in SHARED
    ]


def test_a_public_name_stands_in_one_module():
    assert not advice(names()), "\n".join(advice(names()))


def test_few_names_are_shared_and_each_still_is():
    assert len(SHARED) < MOST, f"{len(SHARED)} names are shared, {MOST - 1} may be: rename one instead of adding one"
    alone = SHARED.keys() - homes(names()).keys()
    assert not alone, f"{', '.join(sorted(alone))} stands in one module by now: remove it from SHARED here"


def test_a_module_defines_a_name_once():
    twice = [
        f"{module} defines {name} twice, and the second replaces the first: rename one"
        for module, own in names().items()
        for name, times in Counter(own).items()
        if times > 1
    ]
    assert not twice, "\n".join(twice)


def test_a_shared_name_is_told_with_both_modules_and_what_to_do():
    said = advice({"bench.tables.long": ["rows"], "bench.plots.style": ["rows", "main"], "bench.x": ["main"]})
    assert len(said) == 1 and said[0].startswith("rows is defined in bench.plots.style and in bench.tables.long: give ")


def test_only_definitions_at_the_top_level_count():
    source = """
import a
from b import c
X, (_y, Z) = 1, (2, 3)
W: int = 1
V: int
U[X] = 2
def f():
    g = 1
class C:
    h = 1
if X:
    K = 1
"""
    assert [*defined(ast.parse(source).body)] == ["X", "Z", "W", "f", "C", "K"]
