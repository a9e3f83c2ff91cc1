"""One function a figure, `(DataFrame) -> Figure`: tables in, pictures out, nothing measured.

    >>> from bench.plots import variance_by_samples  # figure = variance_by_samples(bench.load("results/quick"))

A figure is made apart from pyplot, so no window opens and no global style or backend changes. Notebooks show it.
`order` is the order of the estimators. Each keeps its colour and marker over all figures made with one `order`;
`hue`, where a figure takes it, is another column of `bench.tables.wide.wide_table` to colour by.
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
from bench.plots.relative import ranking, relative_variance
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
