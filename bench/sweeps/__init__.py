"""Measures many cells and survives what they do."""
