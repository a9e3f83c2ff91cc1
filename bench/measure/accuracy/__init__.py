"""Measures bias and variance of one estimator on one problem."""
