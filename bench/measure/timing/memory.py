"""Peak memory of a computation: an accelerator's own count, or on a CPU the bytes of all live tensors."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Follows every tensor that an operation makes; `peak` is the most bytes that were alive at once.

    >>> with LiveBytes() as live:
    ...     _ = torch.zeros(1000).square().sum()
    >>> live.peak
    8000
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._alive: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and not func.is_view:
                storage = leaf.untyped_storage()
                self._alive[StorageWeakRef(storage)] = storage.nbytes()
        self._alive = {ref: size for ref, size in self._alive.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self._alive.values()))
        return result


def peak_memory(step: Callable[[], object], device: str) -> tuple[int, str]:
    """Bytes at the peak of one step, above what was held before, and how they were found."""
    if torch.device(device).type == "cpu":
        with LiveBytes() as live:
            step()
        return live.peak, "live tensors after each operation of an eager step"
    torch.accelerator.synchronize()
    torch.accelerator.reset_peak_memory_stats()
    before = torch.accelerator.memory_allocated()
    step()
    torch.accelerator.synchronize()
    return torch.accelerator.max_memory_allocated() - before, "the accelerator's allocator"
