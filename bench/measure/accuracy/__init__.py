"""Bias and variance of one estimator on one problem."""
