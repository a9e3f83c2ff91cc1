"""The time and memory of one estimator on one problem."""
