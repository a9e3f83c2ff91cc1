"""One function a figure, `(DataFrame) -> Figure`: tables in, pictures out, nothing measured.

    >>> from bench.plots import variance_by_samples  # figure = variance_by_samples(bench.load("results/quick"))

A figure is made apart from pyplot, so no window opens and no global style or backend changes. Notebooks show it.
`order` is the order of the estimators. Each keeps its colour and marker over all figures made with one `order`.
"""

from bench.plots.bias import scale_and_cosine
from bench.plots.matrices import bias_matrix, outcome_matrix
from bench.plots.panels import throughput, variance_by_evaluations, variance_by_samples, variance_by_time
from bench.plots.relative import ranking, relative_variance
from bench.plots.style import save

__all__ = [
    "bias_matrix",
    "outcome_matrix",
    "ranking",
    "relative_variance",
    "save",
    "scale_and_cosine",
    "throughput",
    "variance_by_evaluations",
    "variance_by_samples",
    "variance_by_time",
]
