"""Declares every metric once: its unit, its better direction and one sentence."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bench.statistics.interval import Interval  # imports scipy, which is slow: not needed to list metrics

Direction = Literal["lower", "higher", "one", "none"]


@dataclass(frozen=True)
class Metric:
    """A metric of the table.

    `direction`: the better direction; `one` means that 1 is right. `derived`: computed when the table is written, not
    measured.
    """

    name: str
    unit: str
    direction: Direction
    sentence: str
    group: Literal["accuracy", "cost", "throughput"]
    derived: bool = False


METRICS = {
    metric.name: metric
    for metric in (
        Metric("bias", "gradient", "lower", "‖E ĝ − g‖, debiased: ‖mean − g‖² − trace/R, floored at 0.", "accuracy"),
        Metric("relative_bias", "1", "lower", "The bias divided by ‖g‖; its row holds the verdict.", "accuracy"),
        Metric("bias_pvalue", "1", "none", "Smallest adjusted p-value of the tests of zero bias.", "accuracy"),
        Metric(
            "scale",
            "1",
            "one",
            "⟨E ĝ, g⟩ divided by ‖g‖²: 1 is right; separates wrong length from wrong direction.",
            "accuracy",
        ),
        Metric("cosine", "1", "one", "Cosine of the angle between E ĝ and g.", "accuracy"),
        Metric(
            "angle",
            "degrees",
            "lower",
            "Angle between E ĝ and g, debiased: 0 to 180; its row holds the verdict on the direction.",
            "accuracy",
        ),
        Metric(
            "prompt_weight",
            "1",
            "one",
            "Weight of a prompt's exact gradient in the least-squares fit of E ĝ by those of all prompts, relative to "
            "the mean over prompts; a row per prompt.",
            "accuracy",
        ),
        Metric(
            "length_slope",
            "tokens/θ",
            "none",
            "Derivative of the expected length of a sequence along E ĝ/‖E ĝ‖; only sequence policies.",
            "accuracy",
        ),
        Metric(
            "entropy_slope",
            "nats/θ",
            "none",
            "Derivative of the entropy of a sequence along E ĝ/‖E ĝ‖; only sequence policies.",
            "accuracy",
        ),
        Metric(
            "clipped_share",
            "1",
            "none",
            "Share of tokens at which the loss's limit is active, as that limit counts it.",
            "accuracy",
        ),
        Metric(
            "effective_sample_size",
            "rollouts",
            "higher",
            "(Σ w)²/Σ w² of a group, w = π/μ of a rollout; K where behaviour and policy agree.",
            "accuracy",
        ),
        Metric("dead_groups", "1", "lower", "Share of groups whose rewards are all equal.", "accuracy"),
        Metric(
            "variance", "gradient²", "lower", "Trace of the covariance of ĝ: the sum over the coordinates.", "accuracy"
        ),
        Metric("variance_max", "gradient²", "lower", "Largest variance of a coordinate of ĝ.", "accuracy"),
        Metric(
            "variance_of_draws",
            "gradient²",
            "lower",
            "tr Var E(ĝ | draws): the variance left with all data, or with f's noise averaged out; only for noisy f.",
            "accuracy",
        ),
        Metric(
            "variance_of_data",
            "gradient²",
            "lower",
            "tr Var E(ĝ | data): the variance that more draws leave; only with minibatches. The rest of the variance "
            "shrinks with either.",
            "accuracy",
        ),
        Metric("mse", "gradient²", "lower", "E ‖ĝ − g‖²: variance plus squared bias.", "accuracy"),
        Metric("snr", "1", "higher", "Signal-to-noise: ‖E ĝ‖ divided by the root of the variance.", "accuracy"),
        Metric(
            "tail_index",
            "1",
            "higher",
            "Hill's index of ‖ĝ − E ĝ‖: below 4 the interval of the variance does not exist, below 2 the variance.",
            "accuracy",
        ),
        Metric("nonfinite_rate", "1", "lower", "Share of estimates with a NaN or an infinity.", "accuracy"),
        Metric("reference_error", "1", "lower", "Error of the exact gradient, relative to ‖g‖.", "accuracy"),
        Metric("evaluations", "calls", "lower", "Counted calls of f per estimate.", "cost"),
        Metric("gradient_evaluations", "calls", "lower", "Counted calls of f's gradient per estimate.", "cost"),
        Metric(
            "generated_tokens",
            "tokens",
            "lower",
            "Tokens generated per estimate, those of dropped groups included; only losses over rollouts.",
            "cost",
        ),
        Metric("fit_seconds", "s", "lower", "Time of fitting, once before the measurement.", "cost"),
        Metric("fit_evaluations", "calls", "lower", "Calls of f spent on fitting.", "cost"),
        Metric(
            "seconds_per_estimate",
            "s",
            "lower",
            "Median wall time of one estimate, in a batch of replicates.",
            "throughput",
        ),
        Metric(
            "estimates_per_second", "1/s", "higher", "Estimates per second of wall time.", "throughput", derived=True
        ),
        Metric(
            "device_seconds_per_estimate",
            "s",
            "lower",
            "Median time of one estimate on the accelerator's own clock; no row on a CPU.",
            "throughput",
        ),
        Metric(
            "random_seconds_per_estimate",
            "s",
            "lower",
            "Wall time of one estimate's random numbers alone: a lower limit of its seconds.",
            "throughput",
        ),
        Metric(
            "peak_memory",
            "bytes",
            "lower",
            "Peak memory of one batch of replicates, above the memory in use before.",
            "throughput",
        ),
        Metric("first_call_seconds", "s", "lower", "Wall time of the first call, compilation included.", "throughput"),
        Metric(
            "compile_seconds", "s", "lower", "Part of the first call spent on compiling or capturing.", "throughput"
        ),
        Metric(
            "variance_per_evaluation",
            "gradient²·calls",
            "lower",
            "Variance × evaluations: the variance at equal evaluations.",
            "cost",
            derived=True,
        ),
        Metric(
            "variance_per_token",
            "gradient²·tokens",
            "lower",
            "Variance × generated tokens: the variance at equal tokens.",
            "cost",
            derived=True,
        ),
        Metric(
            "work_normalised_variance",
            "gradient²·s",
            "lower",
            "Variance × seconds per estimate: the variance at equal time.",
            "throughput",
            derived=True,
        ),
    )
}


@dataclass(frozen=True)
class Measurement:
    """One metric of one cell, for one block of parameters; its fields are columns of the table."""

    metric: str
    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None
    method: str = ""
    block: str = "all"

    @classmethod
    def of(
        cls, metric: str, interval: "Interval | None", n: int | None = None, method: str = "", block: str = "all"
    ) -> "Measurement":
        """A measurement from an interval; its value and ends are null if `interval` is None."""
        value, low, high = interval or (None, None, None)
        return cls(metric, value, low, high, n, method, block)


@dataclass(frozen=True)
class Outcome:
    """The result of measuring one cell: its measurements, and how the measurement ended."""

    measurements: tuple[Measurement, ...]
    replicates: int
    stop_reason: str
    verdict: str = ""
    reason: str = ""
    direction: str = ""
    scale_verdict: str = ""
    batches: str = ""
