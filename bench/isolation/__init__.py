"""Runs functions in separate processes: the caller survives every crash and learns how each task ended."""
