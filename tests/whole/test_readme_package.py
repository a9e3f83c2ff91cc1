"""The README's package, in 30 lines: built, installed into a fresh environment, tested there, and measured."""

import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Add an estimator")[2].partition("\n## ")[0]
FILES = {
    name: re.search(rf"```{kind}\n(.*?)```", SECTION, flags=re.S)
    for name, kind in {"half_baseline.py": "python", "pyproject.toml": "toml", "test_half_baseline.py": "py"}.items()
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The folder of the package's three files."""
    folder = tmp_path_factory.mktemp("package")
    for name, block in FILES.items():
        assert block, name
        (folder / name).write_text(block[1], encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def python(package, tmp_path_factory):
    """The interpreter of a fresh environment that has gradest, with what it depends on, and the package."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    where = {"base": str(home), "platbase": str(home)}
    site = Path(sysconfig.get_path("purelib", "venv", vars=where))
    (site / "gradest.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    python = Path(sysconfig.get_path("scripts", "venv", vars=where)) / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    subprocess.run([*install, "--no-deps", "--no-build-isolation", "--no-index", package], check=True)
    return python


def test_it_has_thirty_lines(package):
    assert sum(len((package / name).read_text(encoding="utf-8").splitlines()) for name in FILES) <= 30


def test_its_own_test_passes(package, python):
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", package / "test_half_baseline.py"]
    done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout


def test_its_estimator_is_a_name_like_any_other(python, tmp_path):
    command = [python, "-c", "from bench.cli.main import main; main()", "show", "half_baseline"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("half_baseline: an estimator (half_baseline.HalfBaseline)"), done.stderr
