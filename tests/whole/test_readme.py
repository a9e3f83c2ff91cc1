"""The README's Python runs as it stands there."""

import re
from pathlib import Path

import pytest

from bench.distributions import distributions
from bench.objectives import objectives
from estimators.registry import estimators
from tests.support.sweeps import gradest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    """What the README registers is forgotten afterwards."""
    for registry in (estimators, distributions, objectives):
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[0])
def test_block_runs(block, monkeypatch):
    monkeypatch.chdir(ROOT)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("name", ["HalfNormalFamily", "LogCosh"])
def test_a_distribution_and_an_objective_of_15_lines_conform(name, tmp_path):
    (block,) = (block for block in BLOCKS if f"class {name}" in block)
    assert len([line for line in block.splitlines() if line.strip()]) <= 15
    (tmp_path / f"{name}_readme.py").write_text(block)
    found = gradest("check", f"{name}_readme.py:{name}", folder=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
