"""Estimators compared with each other, runs compared with each other."""
