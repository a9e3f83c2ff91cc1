"""What is alike for all replicates, computed once: parameters are expanded along the replicates without copies."""

from jaxtyping import Float
from torch import Tensor


def distinct(x: Float[Tensor, "*batch"]) -> Tensor:
    """`x`, constant, at the first index of each expanded axis (stride 0) but the last; what is made of it broadcasts.

    >>> import torch
    >>> distinct(torch.zeros(3).expand(5, 2, 3)).shape
    torch.Size([1, 1, 3])
    """
    return x.detach()[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in x.stride()[:-1])]
