"""The pages for people name what is there: modules, functions, commands, versions."""

import importlib.util
import re
import tomllib
import warnings
from typing import Any

import pytest

import bench
from estimators.deprecation import moved
from estimators.errors import BadInput
from tests.support.extending import ROOT
from tests.whole.test_layout import MAY_IMPORT

PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8") for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
}
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
PATH = re.compile(r"`((?:bench|estimators|tests|results|docs|examples|peers)/[\w./]*)`")


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_path_on_a_page_is_there(page):
    made = {"results/quick/results.parquet", "results/gpu/", *(f"bench/{package}/" for package in MAY_IMPORT)}
    paths = set(PATH.findall(PAGES[page])) - made
    assert len(paths) > 10
    assert not {path for path in paths if not (ROOT / path).exists()}


def test_every_function_of_the_walk_is_in_its_file():
    """`file` (`name`) and `name` (`file`)."""
    page = PAGES["ARCHITECTURE.md"]
    after = re.findall(r"`([\w/]+\.py)`\s+\((`\w+`(?:, `\w+`)*)\)", page)
    before = [(path, name) for name, path in re.findall(r"(`\w+`)\s+\(`([\w/]+\.py)`\)", page)]
    named = [(path, name) for path, names in after + before for name in re.findall(r"\w+", names)]
    assert len(named) >= 8
    assert not [
        each for each in named if not re.search(rf"^(def|class) {each[1]}\b", (ROOT / each[0]).read_text(), re.M)
    ]


def test_the_table_of_packages_is_that_of_the_rules():
    rows = re.findall(r"^\| (\w+) \| .* \| .* \|$", PAGES["ARCHITECTURE.md"], re.M)
    there = {path.parent.name for path in (ROOT / "bench").glob("*/__init__.py")}
    known = {package.partition(".")[0] for package in MAY_IMPORT}
    missing, gone = there - set(rows), set(rows) - {"package"} - known
    assert not missing, f"ARCHITECTURE.md: say in the table of packages what {sorted(missing)} are for"
    assert not gone, f"ARCHITECTURE.md: the table of packages has {sorted(gone)}, which are not there"


def test_the_changelog_tells_where_modules_went():
    rows = re.findall(r"^  \| (`.*`) \| (`.*`) \|$", PAGES["CHANGELOG.md"], re.M)
    assert len(rows) > 10
    for was, now in rows:
        old, new = re.findall(r"[\w.]+", was), re.findall(r"[\w.]+", now)
        assert len(old) == len(new)
        assert all(importlib.util.find_spec(name) for name in new), new


def test_versions_agree():
    assert re.search(rf'^version: "{re.escape(VERSION)}"$', (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    assert PAGES["CHANGELOG.md"].index("## [Unreleased]") < PAGES["CHANGELOG.md"].index(f"## [{VERSION}]")


def test_hooks_are_local_and_run_what_is_there():
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with distributed")
    found = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in found["repos"]] == ["local"]
    entries = [hook["entry"] for hook in found["repos"][0]["hooks"]]
    assert [entry.split()[0] for entry in entries] == [".venv/bin/ruff"] * 2 + [".venv/bin/pyright", ".venv/bin/python"]
    assert all((ROOT / word).exists() for entry in entries for word in entry.split() if word.startswith("tests/"))


def test_an_old_name_warns_with_the_new_one():
    from bench.distributions import line_rules

    said = (
        r"supports\.location_scale is now bench\.distributions\.line_rules\.location_scale; .* removed in gradest 0\.3"
    )
    with pytest.warns(FutureWarning, match=said):
        from bench.distributions.supports import location_scale
    assert location_scale is line_rules.location_scale


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("verb", ["run", "plan", "recommend"])
def test_an_old_keyword_warns_with_the_new_one(verb: str):
    said = rf"{verb}\(plugins=…\) is now plugin=…; the old name will be removed in gradest 0\.3"
    with pytest.warns(FutureWarning, match=said), pytest.raises(BadInput, match=r"nowhere\.py"):
        getattr(bench, verb)("quick", plugins="nowhere.py")


def test_the_warning_points_to_whoever_reads_the_name():
    """Loaded without the hook that checks shapes, whose own line would stand between."""
    module: dict[str, Any] = {"__name__": "plain"}
    exec((ROOT / "estimators" / "deprecation.py").read_text(encoding="utf-8"), module)
    with pytest.warns(FutureWarning) as said:
        module["moved"]("old", "bench.distributions.line_rules", until="9.9")("location_scale")
    assert said[0].filename == __file__


def test_a_name_that_nobody_had_is_an_attribute_error_without_a_warning():
    attribute = moved("old", "bench.distributions.line_rules", until="9.9")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("nothing", "__path__"):
            with pytest.raises(AttributeError):
                attribute(name)


def test_old_names_go_when_their_time_is_up():
    """A version of 0.3 or later has no module that says that it goes with 0.3."""
    here = tuple(map(int, VERSION.split(".")))
    for path in sorted((ROOT / "bench").rglob("*.py")) + sorted((ROOT / "estimators").rglob("*.py")):
        for until in re.findall(r'\b(?:moved|renamed)\(.*until="([\d.]+)"', path.read_text(encoding="utf-8")):
            assert here < tuple(map(int, until.split("."))), (
                f"remove {path.relative_to(ROOT)}: its time was up with {until}"
            )
