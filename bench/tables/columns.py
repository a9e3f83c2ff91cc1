"""Declares the columns of the table, and generates the reference page from them."""

from dataclasses import dataclass

from bench.tables.kinds import PROBLEM_KINDS
from bench.tables.metrics import METRICS

SCHEMA = 4
"""Version of the columns: increased when a column is added or changes its meaning. Cell ids do not depend on it.
Version 2 added `rarest_event`, version 3 `direction`, version 4 `kind`, `scale_verdict` and `batches`."""

OLDEST = 1
"""The oldest schema that can be read; columns added later are null in older tables and records."""


@dataclass(frozen=True)
class Column:
    """A column of the table.

    `kind`: text, integer, number or truth; all kinds but text may be null. `sentence`: its description. `since`: the
    schema that added the column.
    """

    name: str
    group: str
    kind: str
    sentence: str
    since: int = 1

    @property
    def unit(self) -> str:
        """The unit of its numbers; empty for texts and truth values."""
        return UNITS.get(self.name, "1" if self.kind in ("integer", "number") else "")


UNITS = {"wall_s": "s", **dict.fromkeys(("value", "ci_low", "ci_high"), "as in column unit")}
"""Units of columns whose numbers are no counts."""

SINCE = {"rarest_event": 2, "direction": 3, "kind": 4, "scale_verdict": 4, "batches": 4}
"""The schema that added a column, for columns that are not in schema 1."""

COLUMNS = {
    name: Column(name, group, kind, sentence, SINCE.get(name, 1))
    for group, name, kind, sentence in (
        ("identity", "run", "text", "The folder's name."),
        ("identity", "cell", "text", "Hash of everything that determines the number."),
        ("identity", "schema", "integer", "Version of the meaning of these columns."),
        ("identity", "created", "text", "When the cell's measurement ended, UTC, ISO 8601."),
        ("identity", "attempt", "integer", "How often the cell has been measured in this folder, this time included."),
        ("estimator", "estimator", "text", "Its registered name."),
        (
            "estimator",
            "estimator_params",
            "text",
            "Its settings as canonical JSON, with defaults, except the defaults of settings added later.",
        ),
        ("estimator", "estimator_version", "integer", "Increased by its author when its numbers change."),
        ("estimator", "plugin", "text", "Where classes from outside gradest are defined; empty without such classes."),
        ("estimator", "source_digest", "text", "Hash of the source of the classes that were measured."),
        ("problem", "distribution", "text", "Name of the distribution family."),
        ("problem", "distribution_params", "text", "Its settings as canonical JSON."),
        ("problem", "objective", "text", "Name of the objective."),
        ("problem", "objective_params", "text", "Its settings as canonical JSON."),
        ("problem", "problem_version", "text", "Changes when the exact gradient does."),
        ("problem", "coordinates", "text", "The parametrisation θ of the gradient: natural, unconstrained, …"),
        ("problem", "point", "text", "The named θ at which the gradient is taken."),
        ("problem", "dim", "integer", "Number of parameters, P."),
        (
            "problem",
            "kind",
            "text",
            f"Kind of the problem: {', '.join(PROBLEM_KINDS)}; empty where unknown. "
            "In tables of schema 1 to 3 it follows from the names of distribution and objective.",
        ),
        ("problem", "block", "text", "`all`, or the name of the parameter to which the row is restricted."),
        ("budget", "samples", "integer", "Draws per estimate, n."),
        ("budget", "replicates", "integer", "Number of independent estimates."),
        ("budget", "seed", "integer", "The suite's seed."),
        ("execution", "device", "text", "cpu, cuda, …"),
        ("execution", "dtype", "text", "dtype of the estimates; moments are always float64."),
        ("execution", "mode", "text", "eager, compile or graph."),
        ("execution", "threads", "integer", "Number of threads that torch used."),
        ("execution", "env", "text", "Key of machine and versions in `environments.jsonl`."),
        (
            "outcome",
            "status",
            "text",
            "ok, not_applicable, failed, timeout, crashed, out_of_memory or nonfinite; metric is null unless ok.",
        ),
        ("outcome", "forced", "truth", "Measured with --force although estimator and problem do not fit."),
        ("outcome", "reason", "text", "The reason of the status, or what would settle an unclear verdict."),
        ("outcome", "verdict", "text", "On `relative_bias`: unbiased, biased or unclear."),
        (
            "outcome",
            "rarest_event",
            "number",
            "With *biased* and *unbiased*: 3/R, the probability of the rarest event that the R estimates show with a "
            "chance of 95 %; null in tables of schema 1.",
        ),
        (
            "outcome",
            "direction",
            "text",
            "On `angle`: aligned, turned, reversed or unclear; null in tables of schema 1 and 2.",
        ),
        (
            "outcome",
            "scale_verdict",
            "text",
            "On `scale`: kept, shrunk, stretched or unclear; null in tables of schema 1 to 3.",
        ),
        ("outcome", "stop_reason", "text", "Why the measurement stopped."),
        ("outcome", "wall_s", "number", "Seconds to measure the cell, set-up included."),
        ("measurement", "metric", "text", "Name of the metric; see below."),
        ("measurement", "value", "number", "Its value; null where it does not exist, for example without a reference."),
        ("measurement", "ci_low", "number", "Lower end of the 95 % interval."),
        ("measurement", "ci_high", "number", "Upper end of the 95 % interval."),
        ("measurement", "n", "integer", "Number of observations behind the value."),
        ("measurement", "unit", "text", "Unit of the value."),
        ("measurement", "method", "text", "How value and interval were computed."),
        (
            "measurement",
            "batches",
            "text",
            "On `variance`: the variances of 64 batches of replicates, relative to their mean, as float32 in base64; "
            "two runs with the same seed are compared batch by batch. Null in tables of schema 1 to 3.",
        ),
    )
}

ABSENT_IN_OLDER = {"direction": "", "kind": "", "scale_verdict": "", "batches": ""}
"""Keys that a record of an earlier schema lacks, with the value that stands for them."""

INTRODUCTION = """# Results

Generated by `python -m bench.tables.columns` from the columns and metrics declared in the code; do not edit.

`results/<run>/` holds the results of one sweep:

| file | content |
|---|---|
| `config.toml` | the suite with its defaults filled in; `gradest run results/<run>/config.toml` runs it again |
| `plan.json` | all cells of the sweep, so that missing cells are known |
| `progress.json`, `run.log` | the progress of the run, and a line per cell; no number depends on them |
| `environments.jsonl` | machine and versions, one line per key in column `env` |
| `ceilings.jsonl` | the machine's peak rates (random numbers, copies, matrix products), where cells were timed |
| `records-*.jsonl` | a line per finished cell and group of metrics, append-only; `sum`: CRC-32 of the rest |
| `results.parquet`, `results.csv` | the table below, written when a run ends |

```python
import bench

table = bench.load("results/reference")
```

In the Parquet file, each column has its description and unit, counts with nulls stay whole numbers in pandas, and
`created` is a time. Programs that guess the types of a CSV file take `1.1` for a number: texts that look like a number,
a truth value, nothing or a formula have an apostrophe in front there. `bench.load` reads both files as the same table.

Of a large table, `bench.load(run, columns=["cell", "estimator", "metric", "value"], where="samples >= 4")` reads only
these columns and rows, with texts as categories. A folder of Parquet files with these columns is read as one table.
Other programs can query such a folder where it lies, for example the median variance of each estimator:

```console
$ duckdb -c "SELECT estimator, median(value) FROM 'parts/*.parquet' WHERE metric = 'variance' GROUP BY estimator"
```

```python
import polars as pl

rows = pl.scan_parquet("parts/*.parquet").filter(pl.col("metric") == "variance", pl.col("block") == "all")
print(rows.group_by("estimator").agg(pl.col("value").median()).collect())
```

The table is long: one row per cell × metric (× block of parameters). g is the exact gradient, ĝ an estimate.

A verdict covers only events that its R estimates can show. No such test sees a bias carried by events rarer than about
3/R (column `rarest_event`): *unbiased* does not exclude it. *biased* is said only where an independent control on the
same objective (a score function with as many draws) shows the gradient that the estimates miss, or after a million
estimates.

A verdict on the direction has the same discipline: *turned* and *reversed* are said only of cells that are *biased*,
and *aligned* where the angle was shown to be below arcsin(`bias_resolution`). An optimiser cancels the scale of a
gradient, so a biased estimate that is aligned may train as well as an unbiased one. The verdict on the scale follows
the same rules: *kept* where it was shown to be within 1 ± `bias_resolution`, *shrunk* and *stretched* only of *biased*
cells.

Tables of schema 1 to 3 can be read too, with null in the columns added later. Tables of a later schema are refused.
"""


def reference_page() -> str:
    """The text of `results/README.md`: every column and every metric with its description."""
    columns = [f"| `{c.name}` | {c.group} | {c.kind} | {c.sentence} |" for c in COLUMNS.values()]
    metrics = [
        f"| `{m.name}` | {m.group}{', derived' if m.derived else ''} | {m.unit} | {m.direction} | {m.sentence} |"
        for m in METRICS.values()
    ]
    return "\n".join(
        [
            INTRODUCTION,
            "## Columns\n",
            "| column | group | type | meaning |\n|---|---|---|---|",
            *columns,
            "\n## Metrics\n",
            "`better`: the better direction; `one` means that 1 is right. Derived metrics are computed from measured "
            "metrics.\n",
            "| metric | group | unit | better | meaning |\n|---|---|---|---|---|",
            *metrics,
            "",
        ]
    )


if __name__ == "__main__":
    print(reference_page(), end="")
