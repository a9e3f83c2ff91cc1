"""results/gradients.csv: every problem of the grid has an exact gradient, to 1e-8, and the file is today's."""

from pathlib import Path

import pandas as pd
import pytest

from bench.catalogue.exact_gradients import committed_problems, reference_table

TABLE = pd.read_csv(Path(__file__).parents[2] / "results" / "gradients.csv")


def test_every_problem_is_there():
    today = {
        (f"{each.objective.name} / {each.family.name}({each.family.size})", each.point) for each in committed_problems()
    }
    apart = set(zip(TABLE.problem, TABLE.point, strict=True)) ^ today
    assert not apart, f"results/gradients.csv and the problems of today part: run make gradients ({sorted(apart)[:5]})"


def test_every_gradient_is_known_to_1e_8():
    assert (TABLE.method != "none").all()
    optima = TABLE[TABLE.relative_error.isna()]  # the gradient is zero to within its error
    assert (TABLE.relative_error.dropna() <= 1e-8).all()
    assert (optima.point == "trained").all() and len(optima) == 4
    assert (optima.error <= 1e-9).all() and (optima.norm <= optima.error).all()


LONG = [pytest.param(name, marks=pytest.mark.slow) for name in ("digits_vae_weights", "tour")]


@pytest.mark.parametrize("name", ["k_sparse", "rosenbrock", *LONG])
def test_the_rows_are_todays(name):
    fresh = reference_table([name])
    kept = TABLE[TABLE.problem.str.startswith(f"{name} ")].reset_index(drop=True)
    assert (fresh.problem + fresh.point + fresh.method).tolist() == (kept.problem + kept.point + kept.method).tolist()
    assert fresh.norm.tolist() == pytest.approx(kept.norm.tolist(), rel=0.006)
