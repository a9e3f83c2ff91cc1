"""Named tensors, by the name that bench/ imports them from."""

from estimators.tools.tensors import Tensors

__all__ = ["Tensors"]
