"""Suites: TOML files that say what to measure, their grid of settings, and the cells of the grid."""
