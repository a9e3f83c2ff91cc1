"""Intervals, tests and gates for the mean and the covariance of independent estimates; numpy and scipy only."""
