"""Every estimator names its source; one whose formula departs from it says so in its docstring, in one sentence."""

import inspect
import re

import pytest

import estimators
from estimators.registry import estimators as registry

OURS = [name for name, cls in registry if cls.__module__.startswith("estimators.")]  # not those of other tests

DEPARTURES = {
    "arms": "copulas",
    "carms": "coupling",
    "delta_method": "coefficient is 1",
    "double_cv": "regression",
    "downstream": "leave-one-out baseline",
    "finite_differences": "z is moved",
    "foust": "scaling of the noise",
    "gapped_straight_through": "bits",
    "group_mean": "clipped ratio",
    "grpo": "K − 1",
    "gumbel_sparsemax": "bits",
    "lax": "before the draws",
    "moving_average": "frozen",
    "muprop": "one layer",
    "nvil": "least variance",
    "off_policy": "a whole draw",
    "off_policy_clipped": "leave-one-out",
    "optimal_coefficient": "leaves draw k out",
    "quadratic_pathwise": "regression",
    "quasi_monte_carlo": "hash",
    "rebar": "coupled",
    "rebar_fitted": "before the draws",
    "relax": "before the draws",
    "rodeo": "expansion",
    "spsa": "z is perturbed",
    "straight_through": "sigmoid's derivative",
    "taylor_pathwise": "full Hessian",
    "vimco": "arithmetic",
    "structured_local_expectation": "not downstream",
    "subset_score": "weights of the sorted rewards",
}
"""What differs, in a word of the sentence."""


def said(name):
    """The sentences on what differs, their lines joined; None where there are none."""
    paragraph = re.search(
        r"Differs\s+from\s+the\s+paper:\s+(.*?)(\n\n|$)", inspect.getdoc(registry.lookup(name)) or "", re.S
    )
    return paragraph and " ".join(paragraph[1].split())


@pytest.mark.parametrize("name", OURS)
def test_every_docstring_names_its_source(name):
    text = inspect.getdoc(registry.lookup(name)) or ""
    assert re.search(r"^(Paper|Source): .*\d{4}", text, re.M | re.S), (
        f"the docstring of {registry.lookup(name).__name__} needs a line `Paper: …, year.`, or `Source: …, year.`"
    )
    assert estimators.get(name).traits.paper, f"say in the traits of {name} where it is from: paper=…"


@pytest.mark.parametrize("name", DEPARTURES)
def test_what_departs_from_its_paper_says_so(name):
    assert DEPARTURES[name] in (said(name) or "")


def test_nothing_else_departs():
    others = {name for name in OURS if said(name)} ^ {*DEPARTURES}
    assert not others, (
        f"{sorted(others)}: a docstring's `Differs from the paper: …` has a line in DEPARTURES, and no other"
    )


def test_a_clipped_objective_says_which_sign_it_clips_for():
    assert "maximised" in (inspect.getdoc(registry.lookup("off_policy_clipped")) or "")
