"""The number of replicates in a chunk, by a rule on tensor sizes and never by timing."""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.measure.estimates.gradients import Gradients

CACHE, COMPILED_CACHE = 300_000, 1_000_000
"""Largest number of elements of a tensor in a chunk, so that the working set stays near the cache. A compiled step
keeps most tensors in registers, and a larger chunk spreads the 70 µs of its call: 1.2 to 2.5 times as fast on most
problems."""

MEMORY = 16_000_000
"""Largest number of elements of all tensors of a chunk together: 128 MiB in float64 if none of them were freed."""

LARGEST_CHUNK = 8192


class Sizes(TorchDispatchMode):
    """Records the number of elements of every tensor that an operation creates: the largest and the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = self.sum = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and not func.is_view:
                self.largest, self.sum = max(self.largest, leaf.numel()), self.sum + leaf.numel()
        return result


def replicates_per_chunk(gradients: Gradients, mode: str = "eager") -> int:
    """The number of replicates in a chunk: a power of two, so that small changes inside torch do not change it.

    Draws two replicates and measures the size that each adds; the caller restores torch's generator.

    Args:
        gradients: Eager gradients, for every mode.
        mode: The mode in which the chunk will run.
    """
    with Sizes() as two:
        gradients(2)
    cache = COMPILED_CACHE if mode == "compile" else CACHE
    fits = min(2 * cache // max(two.largest, 1), 2 * MEMORY // max(two.sum, 1), LARGEST_CHUNK)
    return power_of_two(fits)


def quarter(chunk: int, budget: int) -> int:
    """The chunk size, reduced to a quarter of `budget` replicates so that a second look at the estimates is possible.

    >>> quarter(8192, budget=8192), quarter(256, budget=8192)
    (2048, 256)
    """
    return min(chunk, power_of_two(budget // 4))


def power_of_two(most: int) -> int:
    """The largest power of two up to `most`; at least 1."""
    return 1 << max(most.bit_length() - 1, 0)
