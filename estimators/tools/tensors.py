"""Named tensors."""

from torch import Tensor

Tensors = dict[str, Tensor]
"""Tensors by parameter name. θ is such a dictionary, and so are a distribution's own parameters."""
