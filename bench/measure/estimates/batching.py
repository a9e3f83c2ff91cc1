"""The number of replicates in a chunk, by a rule on tensor sizes and never by timing."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.measure.estimates.gradients import Gradients

CACHE = 300_000
"""Largest number of elements of a tensor in a chunk on a CPU, so that the working set stays near the cache."""


@dataclass(frozen=True)
class ChunkLimits:
    """The largest number of elements of one tensor of a chunk, eager and compiled; of all of its tensors together; and
    of replicates."""

    eager: int
    compiled: int
    together: int
    replicates: int


ON_CPU = ChunkLimits(CACHE, 1_000_000, 16_000_000, 8192)
"""A compiled step keeps most tensors in registers, and a larger chunk spreads the 70 µs of its call: 1.2 to 2.5 times
as fast on most problems. All tensors together: 128 MiB in float64 if none of them were freed."""

ON_ACCELERATOR = ChunkLimits(2**24, 2**24, 2**29, 2**17)
"""A kernel on 2**24 numbers takes many times as long as its launch. All tensors together: 2 GiB in float32. Not yet
measured on a GPU; `make gpu-evidence` measures time against the size of a step."""


def chunk_limits(device: str) -> ChunkLimits:
    """The limits of chunks on a device of this type.

    >>> chunk_limits("cuda").eager > chunk_limits("cpu").eager
    True
    """
    return ON_CPU if device == "cpu" else ON_ACCELERATOR


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
    limits = chunk_limits(gradients.device.type)
    largest = limits.compiled if mode == "compile" else limits.eager
    fits = min(2 * largest // max(two.largest, 1), 2 * limits.together // max(two.sum, 1), limits.replicates)
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
