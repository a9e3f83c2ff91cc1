"""What a check raises."""


class CheckFailed(AssertionError):
    """A check's finding, in one sentence with the numbers."""


def require(fact: bool, finding: str) -> None:
    """Raise `CheckFailed(finding)` unless `fact`."""
    if not fact:
        raise CheckFailed(finding)
