"""The README's table of estimators is that of the traits, and what runs with what."""

from pathlib import Path

import pytest

import estimators
from bench import describe
from bench.catalogue.fits import runs_with
from bench.catalogue.readme_table import inserted, readme_table
from estimators import BadInput
from estimators.registry import estimators as registry

README = Path(__file__).parents[3] / "README.md"


def test_the_readme_is_up_to_date():
    page = README.read_text(encoding="utf-8")
    assert page == inserted(page), "README.md's table: run python -m bench.catalogue.readme_table"


def test_every_estimator_has_a_row():
    ours = [name for name, cls in registry if cls.__module__.startswith("estimators.")]  # not those of other tests
    assert all(f"| `{name}` |" in readme_table() for name in ours)


def test_a_page_without_a_place_is_refused():
    with pytest.raises(BadInput, match="estimators:start"):
        inserted("nothing")


def test_what_runs_with_what():
    """As tests elsewhere measure it: coupled bits on bits alone, pathwise gradients where f is differentiable."""
    assert set(runs_with(estimators.get("disarm"))) >= {"bernoulli"}
    assert "normal" not in runs_with(estimators.get("disarm"))
    path = runs_with(estimators.get("reparameterisation"))
    assert "quadratic" in path["normal"] and "step" not in path["normal"] and "bernoulli" not in path
    assert "step" in runs_with(estimators.get("boundary_pathwise"))["normal"]


def test_show_says_it():
    assert "Runs with" in describe("disarm") and "quadratic_bits" in describe("disarm")


def test_one_variable_alone():
    assert "bandit" in runs_with(estimators.get("unordered_set"))["categorical of size 1"]
