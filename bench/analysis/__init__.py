"""Comparison of estimators with each other, and of two runs."""
