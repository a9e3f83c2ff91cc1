"""How often an unbiased cell is called biased, by its two factors: the first rejection and its confirmation.

A sweep of 100,000 unbiased cells may call one biased with a chance of 1 % at most, which no simulation of whole sweeps
can show. Each factor can be measured: 100,000 cells of each noise, tested at the level 1e-3 with the first R estimates
and, by themselves, with the next 3 R. They are independent, so their rates multiply.

The first rejection is asked for at the level in use, 1e-5, where 100,000 cells show too little: its rate there follows
from those at 1e-2 and 1e-3 by a power law in the nominal level, rate = c αᵇ. That is an exponential tail in log α, the
model that Weissman (1978, J. Amer. Statist. Assoc. 73) extrapolates quantiles by. The upper ends are Clopper and
Pearson's; of the slope b the smallest that its two rates allow is taken, and never more than 1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from scipy.special import betaincinv
from scipy.stats import binom

from bench.measure.accuracy.stopping import AccuracySettings
from bench.provenance.seeds import chunk_seed
from bench.statistics.control import ALONE
from bench.statistics.means import hall, two_sided
from bench.statistics.tails import MAX_TOP_SHARE, MIN_OUTCOMES
from bench.statistics.verdict import CONFIRM
from bench.validation.coverage.noise import NOISES

LEVELS = (1e-2, 1e-3)
EARLY = 1024
"""Estimates of the first look; the stage that confirms has three times as many."""

CELLS, SWEEP, AT_ONCE = 100_000, 100_000, 2000
LOOKS = 6
"""Looks of a cell at the default settings, at most: the level in use is divided by them."""


@dataclass(frozen=True)
class Sums:
    """Of each of many cells: the mean, the central moments, and the share of m2 that the largest 0.1 % hold."""

    rows: int
    mean: Float[np.ndarray, " cells"]
    m2: Float[np.ndarray, " cells"]
    m3: Float[np.ndarray, " cells"]
    m4: Float[np.ndarray, " cells"]
    top: Float[np.ndarray, " cells"]


DrawSums = Callable[[int, int, np.random.Generator], Sums]
"""Cells and estimates in each → their sums; the estimates' mean is 0."""


@dataclass(frozen=True)
class EstimateFamily:
    """`event`: the probability of the rare event that the estimates rest on, if any; `alone`: on nothing else."""

    name: str
    draw: DrawSums
    event: float | None = None
    alone: bool = False


def rare(p: float, carried: float, sd: float) -> DrawSums:
    """−pX + sd ε + X·1[u < p] with pX = `carried`: an event that carries a part of the mean. sd 0: nothing else.

    Drawn by what the test needs: the number of events is binomial, the mean and the variance of the normal part have
    their exact laws, and its third and fourth moments are those of the normal law.
    """

    def draw(cells: int, rows: int, rng: np.random.Generator) -> Sums:
        normal = sd**2 * rng.chisquare(rows - 1, cells) / rows
        found = with_events(rng.binomial(rows, p, cells), rows, carried / p, carried, normal)
        return replace(found, mean=found.mean + sd * rng.standard_normal(cells) / rows**0.5)

    return draw


def with_events(
    events: Int[np.ndarray, " cells"], rows: int, size: float, carried: float, normal: Float[np.ndarray, " cells"]
) -> Sums:
    """The sums of cells with so many events of this size, beside normal estimates with the variance `normal`."""
    share = events / rows
    spread = share * (1 - share)
    m2 = normal + size**2 * spread
    m3 = size**3 * spread * (1 - 2 * share)
    m4 = 3 * normal**2 + 6 * normal * size**2 * spread + size**4 * spread * (1 - 3 * spread)
    largest = np.minimum(events, max(rows // 1000, 1)) / rows * (size * (1 - share)) ** 2
    return Sums(rows, size * share - carried, m2, m3, m4, np.minimum(largest / np.maximum(m2, 1e-300), 1.0))


def exact_alarm_rate(p: float, level: float) -> float:
    """The chance that a cell of events alone is called biased at some look, over all numbers of events: no model.

    Looks at R = 1024, 4096, …: the first rejection by R estimates, the confirmation by the next 3 R.
    """

    def rejecting(rows: int, at: float) -> float:
        events = np.arange(int(rows * p + 40 * (rows * p + 1) ** 0.5) + 40)
        sums = with_events(events, rows, 1.0, p, np.zeros(len(events)))
        return float(binom.pmf(events, rows, p)[p_values(sums) <= at].sum())

    sizes = [EARLY * 4**look for look in range(LOOKS)]
    return sum(rejecting(rows, level) * rejecting(3 * rows, CONFIRM) for rows in sizes)


def noise_sums(name: str) -> DrawSums:
    """Every estimate of one of the study's noises."""

    def draw(cells: int, rows: int, rng: np.random.Generator) -> Sums:
        torch.manual_seed(int(rng.integers(2**62)))
        x = NOISES[name].draw(cells * rows, 1).double().numpy().reshape(cells, rows)
        mean = x.mean(1)
        x = x - mean[:, None]
        square = x * x
        m2, m3, m4 = (
            square.mean(1),
            np.einsum("ij,ij->i", square, x) / rows,
            np.einsum("ij,ij->i", square, square) / rows,
        )
        most = max(rows // 1000, 1)
        top = np.partition(square, rows - most, axis=1)[:, -most:].sum(1) / (rows * m2)
        return Sums(rows, mean, m2, m3, m4, top)

    return draw


EVENTS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
FAMILIES = {
    family.name: family
    for family in (
        *(EstimateFamily(f"event of {p:.0e}", rare(p, p, 0.0), p, alone=True) for p in EVENTS),
        *(EstimateFamily(f"noise and event of {p:.0e}", rare(p, 0.1, 0.1), p) for p in EVENTS),
        *(
            EstimateFamily(name, noise_sums(name))
            for name in ("normal", "exponential", "score_quadratic", "lognormal", "student_3")
        ),
    )
}


def p_values(sums: Sums) -> Float[np.ndarray, " cells"]:
    """The verdict's p-value of a zero mean, 1 where a gate takes the test away.

    The gates: estimates that do not vary, fewer than 25 κ of them, and a variance that the largest 0.1 % hold.
    (Hill's index is left out: it takes more tests away.)
    """
    rows, m2 = sums.rows, np.maximum(sums.m2, 1e-300)
    with np.errstate(all="ignore"):  # cells without variance, which are not tested
        z = hall(sums.mean, (m2 * rows / (rows - 1)) ** 0.5, sums.m3 / m2**1.5, rows)
    untold = (sums.m2 < 1e-24) | (rows * m2**2 < MIN_OUTCOMES * sums.m4) | (sums.top > MAX_TOP_SHARE)
    return np.where(untold, 1.0, two_sided(z))


def rejections(family: EstimateFamily, cells: int) -> tuple[dict[float, int], int, int]:
    """Cells that the first look rejects, by level; that the confirming stage rejects at its level; and both at 1e-3."""
    first, confirmed, both = dict.fromkeys(LEVELS, 0), 0, 0
    for start in range(0, cells, AT_ONCE):
        rng = np.random.default_rng(chunk_seed(0, family.name, start))
        number = min(AT_ONCE, cells - start)
        one, two = (p_values(family.draw(number, rows, rng)) for rows in (EARLY, 3 * EARLY))
        again: Bool[np.ndarray, " cells"] = two <= CONFIRM
        for level in LEVELS:
            first[level] += int((one <= level).sum())
        confirmed += int(again.sum())
        both += int(((one <= LEVELS[-1]) & again).sum())
    return first, confirmed, both


def alarm_lines(names: list[str], cells: int = CELLS) -> Iterator[dict[str, object]]:
    """A line per noise: the rates of both rejections, their product, and what follows at the level in use."""
    level = AccuracySettings().level
    for name in names:
        family = FAMILIES[name]
        first, confirmed, both = rejections(family, cells)
        in_use, upper_in_use = scaled(first, cells, level / LOOKS)
        second, upper_second = confirmed / cells, upper(confirmed, cells)
        expected, most = LOOKS * in_use * second, LOOKS * upper_in_use * upper_second
        if family.alone and family.event:
            expected = most = exact_alarm_rate(family.event, level / LOOKS)
        yield {
            "noise": name,
            "cells": cells,
            **{f"first_at_{each:.0e}": first[each] / cells for each in LEVELS},
            "confirmed_at_1e-03": second,
            "both_at_1e-03": both / cells,
            "product_at_1e-03": first[LEVELS[-1]] / cells * second,
            "first_in_use": in_use,
            "false_biased_in_a_sweep": SWEEP * min(expected, 1.0),
            "upper": SWEEP * min(most, 1.0),
            "unseen_at_a_million": np.exp(-family.event * ALONE) if family.event else 0.0,
        }


def scaled(first: dict[float, int], cells: int, level: float) -> tuple[float, float]:
    """The first rejection's rate at `level` by the power law through those at 1e-2 and 1e-3, and its upper end."""
    high, low = LEVELS
    if not first[high]:
        return 0.0, upper(0, cells) * min(level / low, 1.0)
    rates = {each: max(first[each], 1) / cells for each in LEVELS}
    slope = slope_of(rates[high], rates[low])
    spread = 1.96 * (1 / max(first[low], 1) + 1 / first[high]) ** 0.5 / np.log(high / low)
    steps = np.log(level / low)
    value = rates[low] * np.exp(slope * steps) if first[low] else 0.0
    return float(value), float(upper(first[low], cells) * np.exp(max(slope - spread, 0.0) * steps))


def slope_of(high: float, low: float) -> float:
    """The power b of rate ∝ αᵇ between the two levels, at most 1.

    >>> round(slope_of(2e-2, 2e-3), 6)
    1.0
    """
    return float(min(max(np.log(high / low) / np.log(LEVELS[0] / LEVELS[1]), 0.0), 1.0))


def upper(hits: int, count: int) -> float:
    """Clopper and Pearson's one-sided 97.5 % limit of a proportion.

    >>> round(upper(0, 1000), 5)
    0.00368
    """
    return 1.0 if hits >= count else float(betaincinv(hits + 1, count - hits, 0.975))


def alarms_told(table: pd.DataFrame) -> str:
    """The lines as a section of the page: what is measured, what follows, and what no test sees."""
    names = {
        "noise": "estimates",
        "first_at_1e-03": "first rejection at 1e-3",
        "confirmed_at_1e-03": "confirmation at 1e-3",
        "both_at_1e-03": "both, counted",
        "product_at_1e-03": "both, product",
        "first_in_use": f"first rejection at {AccuracySettings().level / LOOKS:.1e}",
        "false_biased_in_a_sweep": "false *biased* in a sweep",
        "upper": "upper end",
    }
    rows = [list(names.values()), ["---"] * len(names)]
    for line in table.to_dict("records"):
        rows.append([str(line["noise"]), *(f"{float(line[key]):.2g}" for key in list(names)[1:])])
    shown = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    blind = table["noise"].str.startswith("noise and event")
    return f"{ALARMS}\n{shown}\n\n{claim(table.loc[~blind])}\n\n{BLIND.format(unseen=unseen(table.loc[blind]))}\n"


def claim(table: pd.DataFrame) -> str:
    """What the product supports."""
    worst = table.loc[table["upper"].idxmax()]
    value, end = (f"{float(worst[key]):.2g}" for key in ("false_biased_in_a_sweep", "upper"))
    held = "supports" if float(worst["upper"]) <= 0.01 else "does not support"
    return (
        f"The most is expected of {worst['noise']}: {value} false *biased* in {SWEEP:,} cells (upper end {end}). That "
        f"{held} the claim that such a sweep has one with a chance of at most 1 %."
    )


def unseen(table: pd.DataFrame) -> str:
    """The chance that no event has come up in a million estimates, by its probability."""
    return ", ".join(f"{line['unseen_at_a_million']:.1g} ({line['noise'][-5:]})" for line in table.to_dict("records"))


ALARMS = f"""## How often an unbiased cell is called biased

The numbers are in `alarms.csv`: {CELLS:,} cells of each distribution, one coordinate, first look at {EARLY:,} estimates
and a confirming stage of {3 * EARLY:,} more. The two rejections are independent, so their rates multiply. The first one
is asked for at the level in use (1e-5 divided by at most {LOOKS} looks); its rate there follows from those at 1e-2 and
1e-3 by a power law in the nominal level (Weissman's model of an exponential tail); of events alone the chance is summed
over all numbers of events and all looks, without a model. A sweep is {SWEEP:,} cells, each
looked at {LOOKS} times; its upper end takes the upper 97.5 % limit of each factor. That a bias must also be shown to be
above the resolution is left out; it makes false alarms rarer.
"""

BLIND = """Normal estimates beside an event that carries a tenth of the mean (*noise and event*) are rejected twice
wherever the event has not come up: **no test of the estimates can tell them from biased ones**, and neither factor is
small. What keeps them from being called biased is not the test: below a million estimates *biased* is said only where a
control shows the gradient that the estimates miss. Without a control a million are needed; the chance that the event
has not come up by then is {unseen}. A bias carried by rarer events than about 3/R is invisible."""
