"""Values that are equal for all replicates are computed once: parameters are expanded along them without copies."""

from jaxtyping import Float
from torch import Tensor


def distinct(x: Float[Tensor, "*batch"]) -> Tensor:
    """Returns `x`, detached, at the first index of each expanded axis (stride 0) except the last.

    Results computed from it broadcast with `x`.

    >>> import torch
    >>> distinct(torch.zeros(3).expand(5, 2, 3)).shape
    torch.Size([1, 1, 3])
    """
    return x.detach()[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in x.stride()[:-1])]
