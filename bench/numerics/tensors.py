"""The type of named tensors, for imports within bench/."""

from estimators.tools.tensors import Tensors

__all__ = ["Tensors"]
