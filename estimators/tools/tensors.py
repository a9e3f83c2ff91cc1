"""Named tensors."""

from torch import Tensor

Tensors = dict[str, Tensor]
"""Tensors by parameter name. θ is one such dictionary, a distribution's own parameters are another."""
