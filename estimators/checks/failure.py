"""The exception that checks raise."""


class CheckFailed(AssertionError):
    """A failed check: the finding in one sentence with the numbers."""


def require(fact: bool, finding: str) -> None:
    """Raises `CheckFailed(finding)` unless `fact`."""
    if not fact:
        raise CheckFailed(finding)
