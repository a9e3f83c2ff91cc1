"""A few problems of each estimator for `make test`; `make test-all` takes them all."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spread(items: Sequence[T], count: int = 3) -> list[T]:
    """`count` of them, from the first to the last; all where there are no more.

    >>> spread("abcdefg"), spread("ab")
    (['a', 'd', 'g'], ['a', 'b'])
    """
    if len(items) <= count:
        return list(items)
    return [items[place * (len(items) - 1) // (count - 1)] for place in range(count)]
