"""Figures: one function per figure, from a table of results to a matplotlib Figure; nothing is measured.

    >>> from bench.plots import variance_by_samples  # figure = variance_by_samples(bench.load("results/quick"))

Figures are made without pyplot: no window opens, and no global style or backend changes. Notebooks display them.

Common arguments:

- `table`: a table of results, long or wide (`bench.tables.wide.wide_table`).
- `order`: names of estimators in the order to show them. Default: the table's order. An estimator keeps its colour and
  marker over all figures made with the same `order`.
- `hue`: the column of the wide table to colour by. Default: the estimator. Raises BadInput for an unknown column.

A table without suitable rows gives a figure that says so.
"""

from bench.plots.bias import scale_and_cosine
from bench.plots.limits import distance_from_limit
from bench.plots.matrices import bias_matrix, outcome_matrix
from bench.plots.panels import (
    throughput,
    throughput_by_batch,
    variance_by_evaluations,
    variance_by_samples,
    variance_by_time,
)
from bench.plots.ranking import ranking
from bench.plots.relative import relative_variance
from bench.plots.style import save
from bench.plots.training import fitting, trajectory

__all__ = [
    "bias_matrix",
    "distance_from_limit",
    "fitting",
    "outcome_matrix",
    "ranking",
    "relative_variance",
    "save",
    "scale_and_cosine",
    "throughput",
    "throughput_by_batch",
    "trajectory",
    "variance_by_evaluations",
    "variance_by_samples",
    "variance_by_time",
]
