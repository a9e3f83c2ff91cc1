"""Measures one estimator on one problem."""
