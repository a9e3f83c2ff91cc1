"""The table of exact gradients: every family with every objective that fits, at its default settings and points.

`python -m bench.catalogue.exact_gradients > results/gradients.csv` writes the committed one.
"""

from collections.abc import Iterator

import pandas as pd

from bench.distributions import Family, distributions
from bench.objectives import objectives
from bench.problems.exact import reference
from bench.problems.problem import Problem
from bench.problems.theta import as_vector
from estimators.errors import BadInput

GRADIENT_COLUMNS = ["problem", "point", "method", "relative_error", "error", "norm"]


def reference_table(names: list[str] | None = None) -> pd.DataFrame:
    """One line per problem: how its exact gradient is got, the bound on its error (÷ the norm, and as it is), the norm.

    At an optimum the gradient is zero to within its error, which is then relative to nothing: an empty field.

    `names`: only these objectives. A problem that no rung of the ladder reaches says `none`, with empty numbers.

    >>> reference_table(["k_sparse"]).method.unique().tolist()
    ['closed form', 'enumeration']
    """
    return pd.DataFrame([_row(problem) for problem in committed_problems(names)], columns=GRADIENT_COLUMNS)


def committed_problems(names: list[str] | None = None) -> Iterator[Problem]:
    """Every family's problems in its default coordinates, at all points; points that are not committed left out."""
    for _, cls in distributions:
        for name in names or objectives.available():
            family = sized(cls(), name)
            target = objectives.get(name)
            for point in (*family.points, *target.points):
                problem = Problem(family, target, family.coordinates[0], point)
                if problem.misfit() is None and _has_point(problem):
                    yield problem


def sized(family: Family, objective: str) -> Family:
    """The family at its default size, or at the one that the objective's data or its exact gradient asks for."""
    size = OWN_SIZE.get((family.name, objective))
    return family if size is None else distributions.get(family.name, size=size)


OWN_SIZE = {
    ("normal", "linear_regression"): 10,
    ("multivariate_normal", "linear_regression"): 10,
    ("normal", "logistic_regression"): 31,
    ("multivariate_normal", "logistic_regression"): 31,
    ("black_scholes", "basket_call"): 2,
    ("bernoulli_encoder", "digits_vae_weights"): 10,
    ("categorical_encoder", "digits_vae_weights"): 5,
    ("normal", "importance_bound"): 1,
    ("multivariate_normal", "importance_bound"): 1,
}


def _has_point(problem: Problem) -> bool:
    try:
        problem.theta()
    except BadInput:
        return False
    return True


def _row(problem: Problem) -> dict[str, object]:
    exact = reference(problem)
    what: dict[str, object] = {
        "problem": f"{problem.objective.name} / {problem.family.name}({problem.family.size})",
        "point": problem.point,
    }
    if exact is None:
        return what | {"method": "none", "relative_error": None, "error": None, "norm": None}
    norm = float(as_vector(exact.gradient).norm())
    error = float(as_vector(exact.error).norm())
    relative = error / norm if norm > error else None  # at an optimum the gradient is zero, to within its error
    return what | {"method": exact.method, "relative_error": relative, "error": error, "norm": norm}


if __name__ == "__main__":
    print(reference_table().to_csv(index=False, float_format="%.2e"), end="")
