"""What was found about each argument: its claims, judged by the measured points, and sentences of counts."""

import math
from collections.abc import Callable, Iterator, Sequence

from bench.validation.facts.claims import ClaimVerdict, GridClaim, Word, judged, quoted, span_of, three_digits
from bench.validation.facts.language_entropy import CLIP_LESS_NONE, HIGHER_LESS_CLIP
from bench.validation.facts.language_kl import KL_TERMS
from bench.validation.facts.language_limits import MEASURED_DISTANCE, MEASURED_LENGTH, NUMBERS_OF_ROLLOUTS, SETTINGS
from bench.validation.facts.measured_points import GridPoint
from bench.validation.facts.off_policy_errors import OFF_POLICY
from bench.validation.facts.off_policy_winners import CELLS_WON, ERROR_KINDS, KNOBS, LARGEST_REGRET

TURN = 5.0
"""Degrees within which a mean gradient is said to point along another."""
EQUAL_WEIGHTS = 0.05
"""Relative difference within which weights are said to be equal."""
MORE = 0.1
"""Relative difference from which a weight is said to be more: the draws resolve no less."""
FORMULA_MARGIN = 0.2
"""Relative difference within which a measured weight is said to follow its formula: the draws resolve no less."""
NEAR_LEAST = 2.0
"""An error is said to be near the least up to this factor."""
ABOVE = (math.nextafter(0.0, 1.0), math.inf)
BELOW = (-math.inf, math.nextafter(0.0, -1.0))
UNCHANGED = 1e-9
"""Absolute change that counts as none."""

Finder = Callable[[Sequence[GridPoint]], Iterator[ClaimVerdict]]


def all_judged(*claims: GridClaim) -> Finder:
    """Returns the function that judges these claims."""

    def found(points: Sequence[GridPoint]) -> Iterator[ClaimVerdict]:
        yield from (judged(claim, points) for claim in claims)

    return found


KL_FINDINGS = all_judged(
    *(
        GridClaim(f"{name} points along ∇KL(π‖π_ref), within {TURN:g}°", "angle", name, (0, TURN), "KL", "°")
        for name in KL_TERMS
    ),
    GridClaim(
        f"k3 of the sequence in the reward has the KL gradient's length, within a factor of {NEAR_LEAST:g}",
        "length ÷ that of the KL gradient",
        "k3 of the sequence in the reward",
        (1 / NEAR_LEAST, NEAR_LEAST),
        "KL",
    ),
)

DEVIATION_FINDINGS = all_judged(
    GridClaim(
        f"The deviation gives easy and hard prompts more weight than even ones, by more than {MORE:.0%}",
        "tilt",
        "all prompts",
        (1 + MORE, math.inf),
        "K",
    ),
    *(
        GridClaim(
            f"In groups of {K} each prompt weighs c(p, K), within {FORMULA_MARGIN:.0%}",
            "weight ÷ c(p, K)",
            f"K = {K}",
            (1 - FORMULA_MARGIN, 1 + FORMULA_MARGIN),
            "p",
        )
        for K in (2, 3, 4, 8, 16)
    ),
)

LENGTH_FINDINGS = all_judged(
    *(
        GridClaim(f"Where right answers are {law}, 1/L makes answers {word}", "change by 1/L", law, bounds, "p")
        for law, word, bounds in (("short", "shorter", BELOW), ("long", "shorter", BELOW), ("long", "longer", ABOVE))
    )
)

DROPPING_FINDINGS = all_judged(
    *(
        GridClaim(
            f"{says} leaves the prompts' weights equal, within {EQUAL_WEIGHTS:.0%}",
            "tilt",
            series,
            (1 - EQUAL_WEIGHTS, 1 + EQUAL_WEIGHTS),
            "K",
        )
        for says, series in (
            ("Dropping groups over a fixed set of prompts", "dropped"),
            ("Drawing each prompt again until its group is kept", "drawn again"),
            ("Dropping groups where prompts are drawn for each batch", "prompts drawn for each batch"),
        )
    )
)


def off_policy_findings(points: Sequence[GridPoint]) -> Iterator[ClaimVerdict]:
    """Yields who wins how much of the maps, how bad the worst cell of a loss is, and what was measured by draws."""
    for kind in ERROR_KINDS:
        for knob in KNOBS:
            yield winners_in_words(points, kind, knob)
    for name in ("PPO-clip", "CISPO", "sequence ratio"):
        says = f"{name}, 4 steps stale: its error is at most {NEAR_LEAST:g} × the least, in every cell"
        series = f"{name}: error, 4 steps stale"
        yield judged(GridClaim(says, LARGEST_REGRET, series, (1, NEAR_LEAST), "rollouts"), points)
    yield from least_measured(points)


def winners_in_words(points: Sequence[GridPoint], kind: str, knob: str) -> ClaimVerdict:
    """Returns how many cells each loss wins, by the number of rollouts, and whether one wins all of them."""
    parts, single = [], set()
    for n in NUMBERS_OF_ROLLOUTS:
        shares = {
            name: each.exact
            for name in OFF_POLICY
            for each in points
            if (each.quantity, each.series, each.x) == (CELLS_WON, f"{name}: {kind}, {knob}", n) and each.exact > 0
        }
        rising = sorted(shares, key=lambda name, shares=shares: -shares[name])
        single |= set(rising)
        parts.append(f"{n} rollouts: " + ", ".join(f"{name} {shares[name]:.0%}" for name in rising))
    what = "mean squared error" if kind == "error" else "mean squared error at the best constant scale"
    says = f"One loss has the least {what} everywhere ({knob})"
    if not single:
        return ClaimVerdict("is not settled", f"{says}: not measured")
    word: Word = "holds" if len(single) == 1 else "does not hold"
    return ClaimVerdict(word, f"{says}: {word}", f"cells won, exact: {'; '.join(parts)}")


def least_measured(points: Sequence[GridPoint]) -> Iterator[ClaimVerdict]:
    """Yields the order of the losses that were measured by draws in one cell."""
    own = sorted((each for each in points if each.quantity == "relative error"), key=lambda each: each.measured)
    if len(own) < 2:
        return
    first, second = own[:2]
    apart = first.high < second.low
    said = ", ".join(f"{each.series} {quoted(each, '')}" for each in own)
    word: Word = "holds" if apart else "is not settled"
    where = (
        f"{three_digits(first.x)} rollouts, KL = {three_digits(MEASURED_DISTANCE)}, T = {MEASURED_LENGTH}, logit noise"
    )
    yield ClaimVerdict(
        word, f"{first.series} has the least error of those that were drawn at {where}: {word}", f"measured: {said}"
    )


def limits_findings(points: Sequence[GridPoint]) -> Iterator[ClaimVerdict]:
    """Yields each limit's direction, the share of answers that GSPO clips, and what clip-higher does to entropy."""
    for name in SETTINGS:
        says = f"{name} points along the gradient, within {TURN:g}°"
        yield judged(GridClaim(says, "angle", name, (0, TURN), "KL", "°"), points)
    for name in SETTINGS:
        if name.startswith("GSPO"):
            says = f"{name} leaves at least half of the stale answers unclipped"
            yield judged(GridClaim(says, "share clipped", name, (0, 0.5), "KL"), points)
    yield from entropy_findings(points)


def entropy_findings(points: Sequence[GridPoint]) -> Iterator[ClaimVerdict]:
    """Yields in how many cells the entropy's derivative is raised, lowered or left, by clip-higher and by a clip."""
    for quantity, says in (
        (HIGHER_LESS_CLIP, "Clip-higher (0.28) raises the derivative of the entropy above that of a clip at 0.2"),
        (CLIP_LESS_NONE, "A clip at 0.2 lowers the derivative of the entropy below that without a clip"),
    ):
        own = [each for each in points if each.quantity == quantity]
        if own:
            yield signs_in_words(says, own, 1 if quantity == HIGHER_LESS_CLIP else -1)


def signs_in_words(says: str, own: Sequence[GridPoint], sign: int) -> ClaimVerdict:
    """Returns whether a change has this sign wherever there is one, with counts and the measurements."""
    ends = [(sign * low, sign * high) for low, high in (each.ends for each in own)]
    with_it = sum(min(pair) > UNCHANGED for pair in ends)
    against = sum(max(pair) < -UNCHANGED for pair in ends)
    same = sum(max(map(abs, pair)) <= UNCHANGED for pair in ends)
    word: Word = "does not hold" if not with_it else "holds in part" if against else "holds"
    where = (
        f"it does so in {with_it} of {len(own)} cells, does the opposite in {against}, and changes nothing in {same}"
    )
    values = span_of([min(each.exact for each in own), max(each.exact for each in own)])
    drawn = ", ".join(f"{quoted(each, '')} ({each.series}, KL = {three_digits(each.x)})" for each in own if each.drawn)
    measured = f"; measured: {drawn}" if drawn else ""
    return ClaimVerdict(word, f"{says}: {word}: {where}", f"changes, exact: {values}{measured}")
