"""Named checks for any kind of subject: strict expected failures, and one pytest test per subject and check."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from estimators.checks.failure import CheckFailed
from estimators.errors import BadInput

SubjectCheck = Callable[[Any], None]
"""A check that is called with its subject and raises `CheckFailed` with the numbers."""

Seeded = Callable[[Any, int], None]
"""A check that is called with its subject and a seed."""

Expected = Mapping[str, str]
"""Names of checks that a subject must fail, each with the reason."""


def named(
    checks: Sequence[Seeded], seed: int, expected_failures: Expected | None
) -> Iterator[tuple[str, SubjectCheck]]:
    """Yields every check with its name. A check that is expected to fail fails if it passes.

    Raises `ValueError` if `expected_failures` names a check that does not exist.
    """
    expected = dict(expected_failures or {})
    for check in checks:
        name = check.__name__.removeprefix("check_")
        checked: SubjectCheck = partial(run_check, check, seed)
        yield name, partial(_must_fail, checked, name, expected.pop(name)) if name in expected else checked
    if expected:
        raise ValueError(f"no such check: {', '.join(expected)}")


def parametrized(
    argument: str,
    subjects: Sequence[Any],
    checks: Callable[..., Iterator[tuple[str, SubjectCheck]]],
    expected_failures: Callable[[Any], Expected] | None,
) -> Any:
    """Returns a pytest decorator that calls the test with `(argument, check)` for every subject and check."""
    import pytest

    pairs = [
        pytest.param(subject, check, id=f"{subject!r}-{name}")
        for subject in subjects
        for name, check in checks(subject, expected_failures=expected_failures(subject) if expected_failures else None)
    ]
    return pytest.mark.parametrize((argument, "check"), pairs)


def run_check(check: Seeded, seed: int, subject: Any) -> None:
    """Runs a check and restores torch's generator. Any other exception of the subject becomes a `CheckFailed`."""
    with torch.random.fork_rng(devices=[]):
        try:
            check(subject, seed)
        except CheckFailed:
            raise
        except Exception as error:
            said = str(error) if isinstance(error, BadInput) else f"it raises {type(error).__name__}: {error}"
            raise CheckFailed(said) from error


def _must_fail(check: SubjectCheck, name: str, reason: str, subject: Any) -> None:
    try:
        check(subject)
    except CheckFailed:
        return
    raise CheckFailed(f"{name} was expected to fail, because {reason}; it passes: remove it from expected_failures")
