"""How many replicates go into one chunk: by rule, from the sizes of the tensors, never by timing."""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.measure.estimates.gradients import Gradients

CACHE, COMPILED_CACHE = 300_000, 1_000_000
"""Elements of the largest tensor of a chunk: the working set stays near the cache. A compiled step keeps most tensors
in registers, and a larger chunk spreads the 70 µs that its call costs: 1.2 to 2.5 times as quick on most problems."""

MEMORY = 16_000_000
"""Elements that all tensors of a chunk hold together: 128 MiB in float64, were none of them freed."""

LARGEST_CHUNK = 8192


class Sizes(TorchDispatchMode):
    """Notes the elements of every tensor that an operation makes."""

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
    """A power of two, so that small changes in how torch works inside leave it as it is.

    `gradients` are eager ones, whatever the `mode` that the chunk is for. Two replicates are drawn and what each adds
    is measured; the caller keeps torch's generator.
    """
    with Sizes() as two:
        gradients(2)
    cache = COMPILED_CACHE if mode == "compile" else CACHE
    fits = min(2 * cache // max(two.largest, 1), 2 * MEMORY // max(two.sum, 1), LARGEST_CHUNK)
    return power_of_two(fits)


def quarter(chunk: int, budget: int) -> int:
    """The chunk, or what a quarter of `budget` replicates allows: a second look at the estimates can then follow.

    >>> quarter(8192, budget=8192), quarter(256, budget=8192)
    (2048, 256)
    """
    return min(chunk, power_of_two(budget // 4))


def power_of_two(most: int) -> int:
    """The largest power of two that is at most `most`, and at least 1."""
    return 1 << max(most.bit_length() - 1, 0)
