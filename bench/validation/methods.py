"""Every test and interval of the suite: its formula, its source, what it assumes, and where it was validated.

`python -m bench.validation.methods_page` writes them, with the coverages measured in results/coverage, to
docs/methods.md and to the report. Symbols: ĝ an estimate, R their number, m their mean, Σ their covariance, g the exact
gradient, u = g/‖g‖, P the number of coordinates, z and t quantiles of the normal and of Student's distribution.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Method:
    """A test or an interval.

    `code`: the function or class that computes it. `use`: what it decides or measures. `assumes`: when it holds.
    `metrics`: the metrics of the table whose intervals it makes. `studied`: its rows in results/coverage/coverage.csv,
    by metric. `alarms`: the column of results/coverage/alarms.csv that counts its false alarms. `tests`: files of tests
    beside that.
    """

    name: str
    code: str
    use: str
    formula: str
    source: str
    assumes: str
    metrics: tuple[str, ...] = ()
    studied: tuple[str, ...] = ()
    alarms: Literal["", "first_at_1e-03", "upper"] = ""
    tests: tuple[str, ...] = ()


INTERVAL_METHODS = (
    Method(
        name="Length of a noisy mean",
        code="bench.statistics.norms.NoisyLength",
        use="The size of the bias, and other norms of a mean.",
        formula=(
            "Value √(max(‖m‖² − tr, 0)), with tr = tr Σ/R. Interval: the lengths b that the law ‖m‖² = (b + "
            "σT)² + W does not reject, T ~ Student, W ~ c · χ²_ν with mean tr − σ² and variance 2 (tr Σ²/R² −"
            " σ⁴), σ² the variance of m along itself; the mean m − g for a bias, divided by ‖g‖ for a "
            "relative bias, and widened by twice the error of g. tr Σ² is estimated from batch means."
        ),
        source=(
            "Satterthwaite 1946 (two moments of W); Srivastava 2005, eq. 2.2 (tr Σ²); the inversion is this "
            "suite's own."
        ),
        assumes=(
            "Independent estimates with a finite variance; batch means near normal. Exact for P = 1 or "
            "isotropic noise, else right to two moments."
        ),
        metrics=("bias", "relative_bias"),
        studied=("bias", "relative_bias"),
        tests=("tests/bench/statistics/test_statistics.py",),
    ),
    Method(
        name="Mean of skewed values",
        code="bench.statistics.means.mean_interval",
        use="The scale ⟨E ĝ, g⟩/‖g‖², and means over rollouts.",
        formula=(
            "The μ with |T(μ)| ≤ z for T = √R [S + γS²/3 + γ²S³/27 + γ/(6R)], S = (m − μ)/s, γ the skewness. "
            "A share that is 0 or 1 in all replicates has Wilson's interval."
        ),
        source="Hall 1992, J. R. Statist. Soc. B 54, 221–228.",
        assumes="Independent values with a finite third moment.",
        metrics=("scale", "clipped_share", "dead_groups", "effective_sample_size", "generated_tokens"),
        studied=("scale", "clipped_share"),
    ),
    Method(
        name="Cosine",
        code="bench.statistics.block.Block.cosine",
        use="The cosine of the angle between E ĝ and g.",
        formula=(
            "1/√(1 + τ²), τ = ‖m − ⟨m, u⟩u‖/⟨m, u⟩; the interval of τ is that of a noisy length whose "
            "influences come from the delta method. (−1, 1) where ⟨m, u⟩ is within four standard errors of 0."
        ),
        source="Delta method; noisy length as above.",
        assumes="⟨E ĝ, u⟩ told apart from 0; batch means near normal.",
        metrics=("cosine",),
        studied=("cosine",),
    ),
    Method(
        name="Angle",
        code="bench.statistics.direction.angle",
        use="The angle between E ĝ and g, in degrees.",
        formula=(
            "atan2(√max(‖c‖² − (tr Σ − uᵀΣu)/R, 0), ⟨m, u⟩), c = m − ⟨m, u⟩u. Interval: that of the tangent "
            "where ⟨m, u⟩ is more than five standard errors from 0, else all angles of a box of the intervals"
            " of ‖E c‖ and ⟨E ĝ, u⟩ (Bonferroni)."
        ),
        source="Delta method; Bonferroni; noisy length as above.",
        assumes="Independent estimates with a finite variance; batch means near normal.",
        metrics=("angle",),
        studied=("angle",),
        tests=("tests/bench/statistics/test_direction.py",),
    ),
    Method(
        name="Variance",
        code="bench.statistics.variances.trace_error",
        use="The trace of the covariance.",
        formula=(
            "tr Σ̂ · exp(± z e), e² = [(1 + h) Var(d)/R + 2 tr Σ²/(R(R − 1))]/(tr Σ̂)², d the squared "
            "distances to the mean, h the share of the largest term in Σ (d − d̄)²."
        ),
        source=(
            "Jackknife of the logarithm (Efron and Stein 1981, Ann. Statist. 9, 586–596); the factor 1 + h is"
            " this suite's own."
        ),
        assumes=(
            "A finite fourth moment, and about 200 κ replicates; otherwise the interval is marked approximate (below)."
        ),
        metrics=("variance",),
        studied=("variance",),
    ),
    Method(
        name="Largest variance",
        code="bench.statistics.variances.largest_interval",
        use="The largest variance of a coordinate.",
        formula=(
            "High end: the largest v exp(z e) of the coordinates; low end: the largest v exp(−z' e) of those "
            "that may be the largest, z' after Bonferroni over them; e² = (κ − 1 + 2/(R − 1))/R."
        ),
        source="Jackknife of the logarithm; Bonferroni.",
        assumes="A finite fourth moment of each coordinate. Conservative among near-ties.",
        metrics=("variance_max",),
        studied=("variance_max",),
    ),
    Method(
        name="Mean squared error",
        code="bench.statistics.block.Block.mse",
        use="E‖ĝ − g‖².",
        formula=(
            "Mean of ‖ĝ − g‖² times exp(± z e), e from the standard error of that mean (its largest term "
            "counted twice) and 2 tr Σ²/R²."
        ),
        source="Delta method on the logarithm.",
        assumes="A finite fourth moment; g without error.",
        metrics=("mse",),
        studied=("mse",),
    ),
    Method(
        name="Signal to noise",
        code="bench.statistics.block.Block.snr",
        use="‖E ĝ‖/√tr Σ.",
        formula=(
            "A noisy length (above) of m/√tr Σ̂; the influences of numerator and denominator are added before"
            " their variance is taken."
        ),
        source="Delta method; noisy length as above.",
        assumes="A finite fourth moment.",
        metrics=("snr",),
        studied=("snr",),
    ),
    Method(
        name="Share",
        code="bench.measure.accuracy.measurements.rate_interval",
        use="The share of estimates with a NaN or an infinity.",
        formula="(k + z²/2 ± z √(k(R − k)/R + z²/4))/(R + z²).",
        source="Wilson 1927, J. Am. Statist. Assoc. 22, 209–212.",
        assumes="Independent estimates.",
        metrics=("nonfinite_rate",),
        tests=("tests/bench/statistics/test_intervals.py",),
    ),
    Method(
        name="Parts of the variance",
        code="bench.statistics.shared_part.shared_part",
        use="What more draws, or more data, leave of the variance.",
        formula=(
            "tr Var E(ĝ | Y) = E⟨a − E ĝ, b − E ĝ⟩ for two estimates a, b with the same Y and otherwise "
            "independent: the mean of the products with Hall's interval, its largest product counted twice."
        ),
        source="Sobol 1993; Janon, Klein, Lagnoux, Nodet, Prieur 2014, eq. 3.",
        assumes="Independent pairs; a centre independent of the pairs.",
        metrics=("variance_of_data", "variance_of_draws"),
        studied=("variance_of_data", "variance_of_draws"),
    ),
    Method(
        name="Derivatives along the mean, weights of parts",
        code="bench.statistics.along_mean.slope_along_mean",
        use="What a unit step along E ĝ changes, and how much of E ĝ a part of θ carries.",
        formula=(
            "⟨h, m⟩/‖m‖ (length debiased), and the part's ⟨m, g⟩/‖g‖² ÷ the mean over parts; ± t times the "
            "standard error of the batches' first-order contributions, with one degree of freedom fewer than "
            "batches."
        ),
        source="Delta method; Student's t over batch means.",
        assumes="The denominator is more than three standard errors from 0; otherwise no number is given.",
        metrics=("length_slope", "entropy_slope", "prompt_weight"),
        studied=("length_slope", "prompt_weight"),
    ),
    Method(
        name="Time",
        code="bench.measure.timing.blocks.over_visits",
        use="Seconds per estimate.",
        formula=(
            "Value: the median over V visits of each visit's median block. Interval: exp(mean ± t s/√V) of "
            "the visits' log medians, V − 1 degrees of freedom. With a single visit, order statistics of the "
            "blocks: the binomial interval of a median."
        ),
        source="Student 1908; Thompson 1936, Ann. Math. Statist. 7, 122–128 (median).",
        assumes=(
            "Visits are independent and alike: the interval holds within the run. A repetition of a run "
            "differs by more (the rows real_idle and real_busy)."
        ),
        metrics=("seconds_per_estimate", "device_seconds_per_estimate", "random_seconds_per_estimate"),
        studied=("seconds_per_estimate",),
        tests=("tests/bench/measure/test_timing.py",),
    ),
    Method(
        name="Products and ratios",
        code="bench.statistics.interval.Interval",
        use=("Variance at equal evaluations, tokens or time; the ratio of two estimators; estimates per second."),
        formula=(
            "log low = log a − log b − √((log a − log a_low)² + (log b_high − log b)²), and likewise on the other side."
        ),
        source="Zou and Donner 2008, Statist. Med. 27, 1693–1702 (recovery of variance estimates).",
        assumes="Independent factors; a count is exact.",
        metrics=("variance_per_evaluation", "variance_per_token", "work_normalised_variance", "estimates_per_second"),
        studied=("variance_ratio", "work_normalised_variance", "estimates_per_second"),
        tests=("tests/bench/statistics/test_interval.py",),
    ),
    Method(
        name="Ratio over problems",
        code="bench.statistics.additive.additive",
        use="The ranking: two estimators over the problems of a kind.",
        formula=(
            "Least squares of log variance = estimator + problem, each problem weighted alike; in a complete "
            "table the mean of the log ratios. Noise of measuring: squared distances to the ends add, times "
            "squared weights. Choice of problems: ± t √((k − 1)/k Σ (d_g − d)²), d_g the difference without "
            "problem g; in a complete table Student's interval of the mean."
        ),
        source="Jackknife: Tukey 1958; Efron and Stein 1981.",
        assumes=(
            "Noise: independent cells; it holds for these problems. Choice: problems as draws from those like them, "
            "with log ratios that are not very skewed: of exponential ones (problems_skewed of coverage.csv) it holds "
            "the mean in 89 % with 5 problems, 90 % with 12, 95 % with 50."
        ),
        studied=("ratio",),
        tests=("tests/bench/statistics/test_over_problems.py", "tests/bench/analysis/test_ranking.py"),
    ),
)

TEST_METHODS = (
    Method(
        name="Zero bias",
        code="bench.statistics.bias.zero_bias",
        use="Is E ĝ = g?",
        formula=(
            "Hall's T in each coordinate (Bonferroni over P), and along u; the smaller p is doubled. Twice "
            "the error of g is subtracted from each deviation first. Coordinates without variance must agree "
            "up to rounding, also in directions across coordinates."
        ),
        source="Hall 1992; Bonferroni.",
        assumes=(
            "Independent estimates; the variance rests on at least 25 outcomes (R ≥ 25 κ), otherwise a "
            "coordinate is not tested."
        ),
        alarms="first_at_1e-03",
        tests=("tests/bench/statistics/test_statistics.py",),
    ),
    Method(
        name="Verdict unbiased",
        code="bench.statistics.verdict.limits",
        use="Is the bias shown to be below the resolution?",
        formula=(
            "The one-sided upper limit of ‖E ĝ − g‖ (a noisy length), at 1 − 5 %/looks and widened by the "
            "error of g, is at most resolution × ‖g‖."
        ),
        source="Equivalence as a one-sided test: Schuirmann 1987, J. Pharmacokinet. Biopharm. 15, 657–680.",
        assumes="Those of the noisy length; no event rarer than 3/R carries a bias.",
        tests=("tests/bench/statistics/test_statistics.py", "tests/bench/measure/test_verdicts_of_every_estimator.py"),
    ),
    Method(
        name="Verdict biased",
        code="bench.statistics.verdict.judge",
        use="Is a bias above the resolution shown?",
        formula=(
            "Zero bias is rejected at level/looks (1e-5), again at 1e-3 by the replicates of the last stage "
            "alone, and the lower limit of the bias exceeds resolution × ‖g‖; a control or a million "
            "replicates rule out an event that has not come up."
        ),
        source="Bonferroni over the planned looks; the two rejections are independent, so their levels multiply.",
        assumes="Those of the test of zero bias.",
        alarms="upper",
        tests=("tests/bench/statistics/test_unseen_events.py",),
    ),
    Method(
        name="Control for unseen events",
        code="bench.statistics.control.Control",
        use="May an event that has not come up explain the difference?",
        formula=(
            "An event of probability 3/R comes up in R replicates with 95 %. A score function with the same "
            "draws misses g along the judged error by more than four standard errors: then no verdict."
        ),
        source="Rule of three: Hanley and Lippman-Hand 1983, J. Am. Med. Assoc. 249, 1743–1745.",
        assumes="The control depends on the same draws; events in an estimator's own random numbers are not seen.",
        tests=("tests/bench/statistics/test_unseen_events.py",),
    ),
    Method(
        name="Rare outcomes",
        code="bench.measure.accuracy.rare_outcomes.rare_outcomes",
        use="Which coordinates cannot be tested yet?",
        formula="A coordinate is not tested where its rarest discrete outcome is expected fewer than 25 times.",
        source="This suite's own; the number is that of the test of zero bias.",
        assumes="The probabilities of the outcomes are q's.",
        tests=("tests/bench/measure/test_rare_outcomes.py",),
    ),
    Method(
        name="Independence of replicates",
        code="bench.statistics.dependence.dependent",
        use="Do the replicates of a call depend on each other?",
        formula=(
            "F = k · Var(means of k replicates)/Var(ĝ); (G − 1)F ~ χ²_{G−1}, two-sided, Bonferroni over "
            "coordinates, at 1e-7."
        ),
        source="One-way analysis of variance: Fisher 1925.",
        assumes="Means near normal: at least 16 κ replicates in each.",
        tests=("tests/bench/validation/test_coverage.py", "tests/bench/audits/test_audit.py"),
    ),
    Method(
        name="Repeated estimates",
        code="bench.statistics.repeats.repeated_rows",
        use="Does a seed come back?",
        formula=(
            "A run of w = log(R²/1e-12)/log(1/p) rows equals an earlier run; p the share of the most frequent row."
        ),
        source="Union bound; SplitMix64 as the hash (Steele, Lea, Flood 2014).",
        assumes="Rows are independent if they are right.",
        tests=("tests/bench/statistics/test_repeats.py",),
    ),
    Method(
        name="Infinite or unresolved variance",
        code="bench.statistics.tails.unstable",
        use="Does the variance have a number?",
        formula=(
            "None where Hill's index of the largest 0.5 % of ‖ĝ − m‖ is below 2.3, or 0.1 % of the estimates "
            "hold over 30 % of it."
        ),
        source="Hill 1975, Ann. Statist. 3, 1163–1174.",
        assumes="A tail that is a power law beyond the threshold.",
        tests=("tests/bench/statistics/test_statistics.py",),
    ),
    Method(
        name="Approximate intervals",
        code="bench.statistics.tails.approximate",
        use="Does the variance's interval hold at its level?",
        formula=(
            "Marked where one estimate holds over 15 % of Σ (d − d̄)², R < 200 κ, or the extreme-value index "
            "of d exceeds 0.48."
        ),
        source="Dekkers, Einmahl, de Haan 1989, Ann. Statist. 17, eq. 1.7.",
        assumes="A mark is a warning, not a test at a level; the column *flagged* of coverage.csv counts it.",
        studied=("variance",),
        tests=("tests/bench/statistics/test_statistics.py",),
    ),
    Method(
        name="Direction",
        code="bench.statistics.direction.judge_direction",
        use="Aligned, turned or reversed?",
        formula=(
            "Aligned: the upper limit of the angle is below arcsin(resolution). Turned: biased, E c = 0 "
            "rejected twice, lower limit above it. Reversed: also ⟨E ĝ, g⟩ ≥ 0 rejected twice."
        ),
        source="As the verdicts on the bias.",
        assumes="Those of the angle and of the test of zero bias.",
        tests=("tests/bench/statistics/test_direction.py",),
    ),
    Method(
        name="Better, worse, same",
        code="bench.statistics.ratios.verdicts",
        use="How does an estimator compare with the baseline?",
        formula=(
            "Same: two one-sided t tests show the log ratio within ± log(1 + margin). Better or worse: a two-"
            "sided t test of ratio 1. Holm over all tests at one quantity held equal."
        ),
        source="Schuirmann 1987; Holm 1979, Scand. J. Statist. 6, 65–70.",
        assumes="Those of the ratio's interval.",
        tests=("tests/bench/analysis/test_comparison.py",),
    ),
    Method(
        name="A second run got worse",
        code="bench.analysis.regressions.compare_runs",
        use="compare --fail-on: is a limit broken?",
        formula="One-sided t test of ratio > 1 + limit in every cell, Holm over cells and limits, at 5 %.",
        source="Holm 1979.",
        assumes="Independent runs.",
        tests=("tests/bench/analysis/test_comparison.py",),
    ),
    Method(
        name="Times of two runs",
        code="bench.analysis.repeated_times.over_repetitions",
        use="By how much does a repetition of a run differ?",
        formula=(
            "log rᵢ = common + N(0, τ²) + noise within the runs; common: the median over cells, τ from the "
            "median absolute deviation; degrees of freedom by Welch and Satterthwaite."
        ),
        source="Hampel 1974; Welch 1947.",
        assumes="Most cells did not change; at least eight timed cells.",
        studied=("time_ratio",),
        tests=("tests/bench/analysis/test_repeated_times.py",),
    ),
    Method(
        name="Difference of two means",
        code="bench.statistics.difference.judge_difference",
        use="audit: have two streams the same mean?",
        formula=(
            "The rows a − b + c are judged as a bias against c; the unit is an end of the interval of ‖E b‖, "
            "each of the two intervals at half of the error."
        ),
        source="As the verdicts on the bias.",
        assumes="Independent rows of two streams; ‖E b‖ told apart from 0.",
        tests=("tests/bench/statistics/test_difference.py",),
    ),
    Method(
        name="Race of estimators",
        code="bench.advice.race.Race",
        use="recommend: which estimator has the least variance × cost?",
        formula=(
            "Successive elimination: out when the interval lies above another's; intervals hold for all "
            "candidates and rounds together (Bonferroni, 5 %)."
        ),
        source="Even-Dar, Mannor, Mansour 2006, J. Mach. Learn. Res. 7, 1079–1105.",
        assumes="Those of the variance's and the time's intervals.",
        tests=("tests/bench/advice/test_race.py",),
    ),
    Method(
        name="Noise of a training loop",
        code="estimators.tools.noise_intervals.ratio_interval",
        use="estimators.monitor: signal to noise while training.",
        formula="All r with |S − rN| ≤ t · its standard error; near 0 the lower tail shrinks with r.",
        source="Fieller 1954; Feldman and Cousins 1998, Phys. Rev. D 57, 3873.",
        assumes="Steps of a window are alike; independent parts of a batch.",
        tests=("tests/estimators/test_monitor.py",),
    ),
)

METHODS = (*INTERVAL_METHODS, *TEST_METHODS)
