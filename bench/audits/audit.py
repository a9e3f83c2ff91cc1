"""`bench.audit`: judges gradients that come from anywhere."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from bench.audits.arrays import as_exact, load_npy
from bench.audits.origins import source_of
from bench.audits.result import Audit, Claim, writable
from bench.audits.rows import coordinate_table, difference_rows, stream_rows
from bench.audits.sources import DrawFunction, Source
from bench.audits.streams import FEWEST_ESTIMATES, AuditPlan, Stream, chunk_size, measured_difference, measured_stream
from bench.isolation.child import refuse_inside
from bench.statistics.control import ALONE, UNSEEN
from bench.tables.metrics import Measurement
from estimators.errors import BadInput, at_least, whole_number

RAREST = UNSEEN / ALONE
"""The rarest event that an audit may be asked to see."""


def audit(
    draw: DrawFunction | np.ndarray | Tensor | str | Path,
    *,
    exact: np.ndarray | Tensor | str | Path | None = None,
    against: DrawFunction | np.ndarray | Tensor | str | Path | None = None,
    resolution: float = 0.02,
    rarest: float = 3e-6,
    replicates: int = 1_000_000,
    seconds: float = 60.0,
    count: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
) -> Audit:
    """Judges gradients of any origin: are they biased, how noisy are they, how do two sources compare?

    The mean is compared with an exact gradient, or with the mean of a second source. The estimates must be independent,
    and of one law.

    Args:
        draw: The estimates. A `.npy` file with a row per estimate and a column per parameter; a `.py` file that defines
            draw(seed, count), which returns such an array, and may define exact; or a command with {seed}, {count} and
            {file} in it, which writes such a `.npy` file. In Python an array or a function, too.
        exact: The exact gradient, a number per parameter, as a `.npy` file. If it is known from noisy estimates only,
            give these as against.
        against: A second source of estimates, as for draw.
        resolution: The relative bias, or difference, below which means are called unbiased or the same.
        rarest: The rarest event that may carry a part of the gradient: biased and differs are said once 3 ÷ rarest
            estimates were seen.
        replicates: Largest number of estimates per source.
        seconds: How long to draw from each source, and for their difference; also the time limit of a file's or a
            command's call.
        count: Estimates per call of draw, a power of two; for an array, rows that are tested for dependence together.
            By the number of parameters or rows if not given.
        seed: Of all draws.
        out: Folder for a page, the table and the answer as JSON.

    Returns:
        The answer: claims in words, a table with intervals, the worst coordinates.

    Raises:
        BadInput: An argument, an array or a command is not what it should be, in a sentence.

    >>> import bench
    >>> noise = np.random.default_rng(0).normal(size=(4096, 3))
    >>> bench.audit(noise + 1.0, exact=np.ones(3), resolution=0.1).verdict
    'unbiased'
    """
    refuse_inside("bench.audit")
    whole_number(0, "seed", seed)
    if against is not None and is_same_source(draw, against):
        raise BadInput("draw and against are the same estimates, which differ in nothing; give a second source")
    plan = checked_plan(resolution, rarest, replicates, seconds, count)
    with ExitStack() as closing:
        sources = [source_of(draw, "draw", seed, seconds)]
        closing.callback(sources[0].close)
        target = exact_of(exact, sources[0])
        if against is not None:
            sources.append(source_of(against, "against", seed, seconds))
            closing.callback(sources[1].close)
        check_dims(sources)
        for source in sources:
            source.count = chunk_size(sources, count)
        if out is not None:
            writable(out)
        found = audited(sources, target, plan)
    if out is not None:
        found.save(out)
    return found


def is_same_source(draw: Any, against: Any) -> bool:
    """Returns whether two sources are one array, or one `.npy` file; a function or a command draws fresh estimates."""
    if isinstance(draw, str | Path) and isinstance(against, str | Path):
        first, second = Path(draw), Path(against)
        return first.suffix == ".npy" and (
            first == second or (first.exists() and second.exists() and first.samefile(second))
        )
    return draw is against and isinstance(draw, np.ndarray | Tensor)


def checked_plan(resolution: float, rarest: float, replicates: int, seconds: float, count: int | None) -> AuditPlan:
    """The settings of an audit; raises BadInput for one that is out of range."""
    if not 0 < resolution < 1:
        raise BadInput(f"resolution must be between 0 and 1, found {resolution:g}")
    if not RAREST * (1 - 1e-9) <= rarest < 1:
        raise BadInput(f"rarest must be at least {RAREST:g} and below 1, found {rarest:g}")
    if not (np.isfinite(seconds) and seconds > 0):
        raise BadInput(f"seconds must be above 0, found {seconds:g}")
    if count is not None and whole_number(1, "count", count) & (count - 1):
        raise BadInput(f"count must be a power of two, such as 1024, found {count}")
    return AuditPlan(resolution, rarest, at_least(FEWEST_ESTIMATES, "replicates", replicates), seconds)


def exact_of(given: Any, source: Source) -> Float[np.ndarray, " P"] | None:
    """The exact gradient: what is given, else what the source itself names, else None."""
    if isinstance(given, str | Path):
        return as_exact(load_npy(given), str(given), source.dim)
    if given is not None:
        return as_exact(given, "exact", source.dim)
    own = source.exact()
    return None if own is None else as_exact(own, f"exact of {source.name}", source.dim)


def check_dims(sources: list[Source]) -> None:
    """Raises BadInput if two sources have different numbers of parameters."""
    dims = {source.dim for source in sources}
    if len(dims) > 1:
        first, second = sources
        raise BadInput(
            f"{first.name} has {first.dim} parameters and {second.name} has {second.dim}; the same number is right"
        )


def audited(sources: list[Source], target: Float[np.ndarray, " P"] | None, plan: AuditPlan) -> Audit:
    """Measures each source, then the difference of two."""
    names: tuple[str, ...] = ("draw", "against")[: len(sources)]
    found = {name: measured_stream(each, target, plan) for name, each in zip(names, sources, strict=True)}
    finite = [source.rows is not None for source in sources]
    rows = {name: [*stream_rows(found[name], end)] for name, end in zip(found, finite, strict=True)}
    first, second = found["draw"], found.get("against")
    if second is not None:
        found["difference"] = measured_difference(sources[0], sources[1], second, plan)
        rows["difference"] = [*difference_rows(found["difference"], first, second, any(finite))]
    claims = tuple(claim_of(name, stream, plan) for name, stream in found.items())
    return Audit(claims, notes_of(sources, first, rows), audit_table(rows, claims), coordinate_table(first, second))


def claim_of(about: str, stream: Stream, plan: AuditPlan) -> Claim:
    """What is said of a stream."""
    verdict = stream.ended.verdict
    waits = verdict.word == "unclear" and verdict.needed == float(plan.alone)
    return Claim(about, verdict.word, verdict.reason, stream.kept.drawn, stream.ended.stop_reason, waits)


def notes_of(sources: list[Source], first: Stream, rows: dict[str, list[Measurement]]) -> tuple[str, ...]:
    """What else was noticed, in sentences."""
    pointing = [row for row in [*rows["draw"], *rows.get("difference", [])] if row.metric == "cosine"]
    notes = [
        f"The mean points away from {'the exact gradient' if row in rows['draw'] else 'that of against'} "
        f"(cosine {row.value:.2g}): is a sign swapped?"
        for row in pointing
        if row.ci_high is not None and row.ci_high < 0
    ]
    unused = {source.name: source.rows - first.kept.drawn for source in sources[:1] if source.rows is not None}
    notes += [f"The last {count} rows of {name} are not used." for name, count in unused.items() if count > 0]
    return tuple(notes)


VERDICT_ROWS = {"relative_bias", "relative_difference"}
"""The metrics whose rows hold the verdict, as in the table of a run."""


def audit_table(rows: dict[str, list[Measurement]], claims: Iterable[Claim]) -> pd.DataFrame:
    """All rows as a table, with the verdicts in theirs."""
    said = {claim.about: {"verdict": claim.word, "reason": claim.reason} for claim in claims}
    silent = {"verdict": "", "reason": ""}
    columns = ("metric", "value", "ci_low", "ci_high", "n", "method")
    return pd.DataFrame([
        {"stream": stream}
        | {column: getattr(row, column) for column in columns}
        | (said[stream] if row.metric in VERDICT_ROWS else silent)
        for stream, each in rows.items()
        for row in each
    ])  # fmt: skip
