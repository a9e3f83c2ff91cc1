"""Peak memory of a computation: from the accelerator's allocator, or on a CPU as the bytes of all live tensors."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Tracks every tensor that an operation creates; `peak` is the largest number of bytes alive at once.

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
    """The peak memory of one step in bytes, above the memory in use before, and the method in words."""
    if torch.device(device).type == "cpu":
        with LiveBytes() as live:
            step()
        return live.peak, "live tensors after each operation of an eager step"
    where = torch.device(device)
    torch.accelerator.synchronize(where)
    torch.accelerator.reset_peak_memory_stats(where)
    before = torch.accelerator.memory_allocated(where)
    step()
    torch.accelerator.synchronize(where)
    return torch.accelerator.max_memory_allocated(where) - before, "the accelerator's allocator"
