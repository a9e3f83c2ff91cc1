"""Presets of policy losses beside the frameworks' own functions: value and gradient on the same tensors."""
