"""Small synthetic tables in the long form, for tests of what reads a table."""

from typing import Any

import numpy as np
import pandas as pd

from bench.provenance.identity import json_digest
from bench.tables.columns import COLUMNS
from bench.tables.metrics import METRICS

ESTIMATORS: dict[tuple[str, str], tuple[float, str, float]] = {
    ("reinforce", "{}"): (1.0, "unbiased", 1e-4),
    ("rloo", "{}"): (0.2, "unbiased", 1.2e-4),
    ("gumbel_softmax", '{"temperature":0.5}'): (0.02, "biased", 2e-4),
    ("gumbel_softmax", '{"temperature":1.0}'): (0.01, "biased", 2e-4),
    ("exact", "{}"): (0.0, "unbiased", 9e-4),
    ("antithetic", '{"inner":{"name":"reinforce"}}'): (0.9, "unclear", 1.1e-4),
}
"""Variance relative to REINFORCE, bias verdict and seconds per estimate."""

PROBLEMS = (
    ("bernoulli", '{"size":5}', "quadratic_bits", '{"t":0.45}', 5),
    ("bernoulli", '{"size":200}', "quadratic_bits", '{"t":0.45}', 200),
    ("normal", '{"size":3}', "linear", "{}", 6),
    ("amortised", "{}", "vae", "{}", 2080),
)
TIMED = "synthetic; within this run: 5 visits over 40 s"
NORMAL_ONLY_FAILS = "gumbel_softmax needs discrete draws; normal is continuous"


def table(samples: tuple[int, ...] = (2, 10), problems: int = 4, **columns: Any) -> pd.DataFrame:
    """A table with every metric and interval: variance ∝ 1/n, Gumbel-softmax not applicable on the normal problem,
    `exact` failed on the VAE. `columns` replaces columns (`run="other"`)."""
    rows = [
        row
        for problem in PROBLEMS[:problems]
        for estimator in ESTIMATORS
        for n in samples
        for row in cell(estimator, problem, n)
    ]
    return typed(pd.DataFrame(rows)).assign(**columns)


def varied() -> pd.DataFrame:
    """Three problems at two points of training and with two batches of replicates; RLOO is fitted, and a quarter of
    each time goes to random numbers."""
    base = table((2,), 3)
    places = (("start", 64, 1.0), ("trained", 64, 0.1), ("trained", 256, 0.1))
    parts = []
    for point, batch, factor in places:
        shrunk = base["metric"].eq("variance").fillna(False)
        values = {name: base[name].where(~shrunk, base[name] * factor) for name in ("value", "ci_low", "ci_high")}
        cell = base["cell"].astype(str) + point + str(batch)
        parts.append(base.assign(point=point, replicates=batch, cell=cell, **values))
    whole = pd.concat(parts)
    fitted = whole[(whole["estimator"] == "rloo") & (whole["metric"] == "mse")]
    fitted = fitted.assign(metric="fit_seconds", value=0.5, ci_low=None, ci_high=None)
    timed = whole[whole["metric"] == "seconds_per_estimate"]
    parts = {name: timed[name] / 4 for name in ("value", "ci_low", "ci_high")}
    return typed(pd.concat([whole, fitted, timed.assign(metric="random_seconds_per_estimate", **parts)]))


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The declared columns in their order, with the dtypes of the real table."""
    kinds = {"text": "string", "integer": "Int64", "number": "Float64", "truth": "boolean"}
    frame = frame.reindex(columns=list(COLUMNS))
    return frame.astype({name: kinds[column.kind] for name, column in COLUMNS.items()})


def cell(estimator: tuple[str, str], problem: tuple[Any, ...], n: int, **changes: Any) -> list[dict[str, Any]]:
    """The rows of one cell."""
    identity = _identity(estimator, problem, n) | changes
    if estimator[0] == "gumbel_softmax" and problem[0] == "normal":
        return [identity | {"status": "not_applicable", "reason": NORMAL_ONLY_FAILS}]
    if estimator[0] == "exact" and problem[0] == "amortised":
        return [identity | {"status": "failed", "reason": "BadInput: 4294967296 states are too many to enumerate"}]
    relative, verdict, seconds = ESTIMATORS.get(estimator, (0.5, "unclear", 1e-4))
    variance = relative * problem[4] * 2 / n
    bias = 0.3 if verdict == "biased" else 0.002
    values = {
        "bias": bias * 2, "relative_bias": bias, "bias_pvalue": 0.4, "scale": 1 - bias, "cosine": 1 - bias / 10,
        "variance": variance, "variance_max": variance / 3, "mse": variance + (bias * 2) ** 2,
        "snr": 2 / np.sqrt(variance) if variance else None, "tail_index": 5.0, "nonfinite_rate": 0.0,
        "reference_error": 1e-12, "evaluations": n, "gradient_evaluations": 0.0,
        "seconds_per_estimate": seconds * n, "estimates_per_second": 1 / (seconds * n), "peak_memory": 1e6,
        "first_call_seconds": 0.02, "variance_per_evaluation": variance * n,
        "work_normalised_variance": variance * seconds * n,
    }  # fmt: skip
    return [identity | _measured(metric, value, verdict) for metric, value in values.items() if value is not None]


def _measured(metric: str, value: float, verdict: str) -> dict[str, Any]:
    exact = metric in ("evaluations", "gradient_evaluations", "bias_pvalue", "reference_error")
    return {
        "metric": metric, "value": value, "ci_low": None if exact else value * 0.95,
        "ci_high": None if exact else value * 1.05, "n": 1000, "unit": METRICS[metric].unit,
        "method": TIMED if METRICS[metric].group == "throughput" else "synthetic",
        "status": "ok", "verdict": verdict if metric == "relative_bias" else "",
    }  # fmt: skip


def _identity(estimator: tuple[str, str], problem: tuple[Any, ...], n: int) -> dict[str, Any]:
    distribution, distribution_params, objective, objective_params, dim = problem
    return {
        "run": "synthetic", "cell": json_digest([*estimator, *problem, n]), "schema": 1,
        "created": "2026-01-01T00:00:00+00:00", "attempt": 1, "estimator": estimator[0],
        "estimator_params": estimator[1], "estimator_version": 1, "plugin": "", "source_digest": "0",
        "distribution": distribution, "distribution_params": distribution_params, "objective": objective,
        "objective_params": objective_params, "problem_version": "1.1", "coordinates": "unconstrained",
        "point": "default", "dim": dim, "block": "all", "samples": n, "replicates": 1000, "seed": 0,
        "device": "cpu", "dtype": "float64", "mode": "eager", "threads": 1, "env": "a", "forced": False,
        "reason": "", "verdict": "", "stop_reason": "precision", "wall_s": 0.5,
    }  # fmt: skip
