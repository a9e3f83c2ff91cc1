"""Replays the random numbers of a step alone: a cost that no implementation can avoid."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Drawn(TorchDispatchMode):
    """Records every random operation of a step, so that `again` can run these operations alone.

    >>> with Drawn() as drawn:
    ...     _ = (torch.rand(3, 5) < 0.5).sum() + torch.zeros(2).normal_().sum()
    >>> drawn.numbers, len(drawn.operations)
    (17, 2)
    """

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0
        self.operations: list[Callable[[], object]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.numbers += sum(leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
            self.operations.append(lambda: func(*args, **kwargs))
        return result

    def again(self) -> list[object]:
        """Runs the recorded random operations again, in order."""
        return [operation() for operation in self.operations]
