"""What `import bench` and `import estimators` give: names, versions, types."""

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import bench
import estimators
from tests.support import typed_api

ROOT = Path(__file__).parents[2]


def test_completion_shows_every_verb_and_no_more():
    assert dir(bench) == sorted(bench.__all__) and bench.HOMES.keys() <= set(bench.__all__)
    for name in bench.__all__:
        assert getattr(bench, name) is not None
    with pytest.raises(AttributeError, match="module 'bench' has no attribute 'rn'"):
        bench.rn()  # pyright: ignore[reportAttributeAccessIssue]


def test_versions_are_the_distributions():
    assert bench.__version__ == estimators.__version__ == metadata.version("gradest")


def test_every_verb_has_a_docstring_and_a_type_for_each_argument():
    for verb in bench.HOMES:
        function = getattr(bench, verb)
        assert function.__doc__ and "return" in function.__annotations__, verb
        assert function.__module__ == bench.HOMES[verb]


@pytest.mark.slow  # `make lint` checks the same file with all others
def test_a_type_checker_finds_misspelt_verbs_and_options():
    """Each slip in the file is marked as one that a type checker finds; a mark without one is an error there."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, typed_api.__file__]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_the_wheel_has_all_files_of_both_packages(tmp_path):
    """Marks for type checkers, suites, trained points and templates too."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = (path for package in ("bench", "estimators") for path in (ROOT / package).rglob("*") if path.is_file())
    ours = {str(path.relative_to(ROOT)) for path in files if path.parent.name != "__pycache__"}
    assert inside == ours and {"bench/py.typed", "estimators/py.typed"} <= ours
