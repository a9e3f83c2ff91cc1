"""While tests run, a tensor of another shape or dtype than its type says is refused: the hook has power."""

import os

import pytest
import torch

from bench.statistics.tails import MIN_OUTCOMES
from bench.validation.checks.families import outcomes_behind
from estimators.score_function import LeaveOneOut, scored
from tests.support.shapes import checked, with_shapes

pytestmark = pytest.mark.skipif(bool(os.environ.get("GRADEST_NO_SHAPES")), reason="this process runs without the hook")


def test_a_shape_that_differs_between_arguments_is_refused():
    with pytest.raises(TypeError, match="Type-check error whilst checking the parameters of estimators"):
        scored(torch.ones(4, 3), torch.ones(4, 2), torch.ones(4, 3))


def test_a_dtype_or_a_number_of_axes_that_is_not_said_is_refused():
    with pytest.raises(TypeError, match="Type-check error"):
        LeaveOneOut().coefficient(torch.ones(4, dtype=torch.int64))
    with pytest.raises(TypeError, match="Type-check error"):
        outcomes_behind(torch.ones(4))
    assert MIN_OUTCOMES > 0


def test_a_plain_type_is_checked_at_the_outer_level():
    from bench.suites.grid import suite_cells

    with pytest.raises(Exception, match="violates type hint"):
        suite_cells("no suite")  # type: ignore[arg-type]


def test_what_has_no_shape_costs_no_second_check():
    def inner(x: int) -> int:
        return x

    assert not with_shapes(inner) and checked(inner, typechecker=lambda _: None) is inner
    assert with_shapes(outcomes_behind)
