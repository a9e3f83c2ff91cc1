"""Language models: the least mean squared error off-policy, and limits at published settings and at defaults."""

from collections.abc import Iterator
from typing import Any

import torch

from bench.validation.facts.all_rollouts import over_rollouts, small_policy
from bench.validation.facts.fact import Check, Curve, FactResults, Picture, above, below, exact, fact, near
from bench.validation.facts.language_groups import points_of
from bench.validation.facts.measured_points import GridPoint, points_table
from bench.validation.facts.off_policy_errors import (
    CURRENT,
    OFF_POLICY,
    AllAnswers,
    ExactErrors,
    at_distance,
    published,
)
from bench.validation.facts.off_policy_winners import (
    ERROR_KINDS,
    KNOBS,
    largest_regrets,
    share,
    shares_won,
    winner_map,
    winners,
)
from bench.validation.facts.rollout_checks import degrees_between, measured_angle
from bench.validation.facts.sampler import SIGMAS, Sampler

LENGTHS, DISTANCES, NUMBERS_OF_ROLLOUTS = (3, 4, 6, 8), (0.001, 0.01, 0.1, 0.3, 1.0), (16, 256, 4096)
ONE_PROMPT = {"vocabulary": 3, "prompts": 1, "law": "long", "stage": "middle"}
"""Settings of the transformer policy whose errors are compared: 511 answers of up to 8 tokens."""
MEASURED = {
    "no correction": {},
    "token ratio": {"ratio": "token"},
    "prefix ratio": {"ratio": "prefix"},
    "sequence ratio": {"ratio": "sequence"},
    "CISPO": {"ratio": "token", "limit": "detached"},
    "PPO-clip": {"ratio": "token", "limit": "clip"},
}
"""Losses whose mean squared error is measured by draws too: those whose proximal policy is the behaviour."""
MEASURED_DISTANCE, MEASURED_LENGTH = 0.3, 4
"""KL(μ‖π) by logit noise, and T, of the cell in which it is measured."""


def exact_errors(where: AllAnswers) -> dict[str, ExactErrors]:
    """Returns the exact errors of every loss that is compared."""
    return {name: where.exact(loss, current=name in CURRENT) for name, loss in OFF_POLICY.items()}


@fact(
    "language",
    "off-policy error",
    "disputed: TRL issue 4493; arXiv:1707.06347 (PPO), 2506.13585 (CISPO), 2507.18071 (GSPO), 2510.18855 (IcePop)",
)
def no_correction_has_the_least_error_everywhere(sampler: Sampler) -> FactResults:
    """Which off-policy loss has the least mean squared error depends on KL(μ‖π) and on the number of rollouts: with few
    rollouts losses with low variance win, with many the unbiased sequence ratio does."""
    pictures, won, table = [], {}, []
    for label, more in KNOBS.items():
        knob = "learning_rate" if more else "logit_noise"
        grid = {
            (kl, T): exact_errors(at_distance(kl, knob, size=T, **ONE_PROMPT, **more))
            for T in LENGTHS
            for kl in DISTANCES
        }
        for n in NUMBERS_OF_ROLLOUTS:
            for kind, said in ERROR_KINDS.items():
                won[label, n, kind] = winners(grid, n, kind)
                pictures.append((kind, n, winner_map(f"{label}, {n} rollouts{said}", won[label, n, kind])))
                table += shares_won(won[label, n, kind], f"{kind}, {label}", n)
                table += largest_regrets(grid, f"{kind}, {label}", n, kind)
        sizes = [found["sequence ratio"] for found in grid.values()]
        bias = max(float((each.mean - each.target).norm() / each.target.norm()) for each in sizes)
        yield exact(f"{label}: bias of the sequence ratio, largest", 0.0, bias, 1e-6, scale=1.0)
    names = {winner for (*_, kind), each in won.items() if kind == "error" for winner in each.values()}
    yield above("number of losses that win somewhere", 2.5, float(len(names)))
    for label in KNOBS:
        few, many = (share(won[label, n, "error"], "sequence ratio") for n in (16, 4096))
        yield above(f"{label}: share of cells won by the sequence ratio, 4096 rollouts less 16", 0.0, many - few)
    for found in measured_errors(sampler):
        yield found
        table.append(
            GridPoint(
                "relative error",
                found.what.partition(",")[0],
                16.0,
                found.expected,
                found.measured,
                found.low,
                found.high,
            )
        )
    pictures.sort(key=lambda each: (each[0], each[1]))
    yield from (picture for _, _, picture in pictures)
    yield points_table(table)


def measured_errors(sampler: Sampler, n: int = 16) -> Iterator[Check]:
    """Measures the mean squared error of several losses with the suite's draws, against the exact one."""
    where = at_distance(MEASURED_DISTANCE, size=MEASURED_LENGTH, **ONE_PROMPT)
    size = where.target.square().sum()
    for name, parts in MEASURED.items():
        expected = where.exact(OFF_POLICY[name]).error(n)
        sample = sampler.estimates(where.problem, over_rollouts(**parts), n, 2**13)
        each = (sample - where.target).square().sum(-1) / size
        error = SIGMAS * float(each.std()) / len(each) ** 0.5
        yield near(
            f"{name}, {n} rollouts: relative mean squared error, measured", expected, float(each.mean()), error, 0.5
        )


SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "PPO-clip, 0.2": ("dr_grpo", {"aggregate": "token_sum"}),
    "clip-higher, 0.2 and 0.28 (DAPO)": ("dapo", {"aggregate": "token_sum"}),
    "CISPO, 1 ± 0.2 (verl)": ("verl:cispo", {"aggregate": "token_sum"}),
    "CISPO, at most 0.2 (TRL)": ("trl:cispo", {"aggregate": "token_sum"}),
    "GSPO, 3e-4 and 4e-4 (its paper)": ("gspo", {}),
    "GSPO, 0.2 (verl, TRL)": ("verl:gspo", {}),
}
"""Limits whose mean gradient is compared; token means are sums here, so that lengths change GSPO alone (its 1/L)."""


@fact(
    "language",
    "limits",
    "claimed: DAPO, arXiv:2503.14476, section 3.1; CISPO, 2506.13585; GSPO, 2507.18071; TRL 1.16.0, verl 0.9.1",
)
def limits_at_published_settings_and_at_defaults(sampler: Sampler) -> FactResults:
    """TRL's CISPO bounds the ratio by its epsilon_high itself: at 0.2 every fresh token weighs 0.2, and the direction
    stays; a clip of 0.2 turns the mean by more the staler the rollouts are, and GSPO's bounds of its paper clip nearly
    all stale answers, of which those of the frameworks clip few."""
    lines: dict[str, list[float]] = {name: [] for name in SETTINGS}
    points: dict[str, list[tuple[float, float, float]]] = {name: [] for name in SETTINGS}
    distances, table = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0), []
    for kl in distances:
        where = at_distance(kl, "learning_rate", stale=4, size=4, **ONE_PROMPT)
        for name, (base, more) in SETTINGS.items():
            loss = published(base, **more)
            mean = where.exact(loss).mean
            lines[name].append(degrees_between(mean, where.target))
            point = GridPoint("angle", name, kl, lines[name][-1])
            if kl in (0.1, 0.3):
                parts = {part: getattr(loss, part) for part in ("ratio", "limit", "low", "high", "aggregate")}
                sample = sampler.estimates(where.problem, over_rollouts(**parts), 8, 2**15)
                angle, error = measured_angle(sample, where.target, mean)
                yield near(
                    f"{name}, KL = {kl}: angle in degrees, measured", lines[name][-1], angle, error, 0.5, scale=30.0
                )
                points[name].append((kl, angle, error))
                point = point.with_draws(angle, error)
            table.append(point)
    yield from fresh_tokens()
    names = ("GSPO, 3e-4 and 4e-4 (its paper)", "GSPO, 0.2 (verl, TRL)")
    clipped = [clipped_answers(name) for name in names]
    yield above("GSPO's published bounds, KL = 0.01: share of answers outside them", 0.5, clipped[0])
    yield below("bounds of 0.2: share", 0.1, clipped[1])
    table += [GridPoint("share clipped", name, 0.01, part) for name, part in zip(names, clipped, strict=True)]
    curves = []
    for name in SETTINGS:
        curves += [Curve(name.replace(",", ":"), list(distances), lines[name])]
        curves += [points_of(f"{name.replace(',', ':')}, measured", points[name])]
    yield Picture(
        "Angle to the exact gradient, 4 steps stale", "KL(μ‖π) of an answer, nats", "degrees", curves, log="x"
    )
    yield points_table(table)


def fresh_tokens() -> FactResults:
    """Checks the weight of fresh tokens under CISPO's bounds."""
    where = AllAnswers(small_policy("transformer_policy", **ONE_PROMPT))
    for name, weight in (("CISPO, at most 0.2 (TRL)", 0.2), ("CISPO, 1 ± 0.2 (verl)", 1.0)):
        base, more = SETTINGS[name]
        mean = where.exact(published(base, **more)).mean
        yield exact(
            f"{name}: length of the mean on fresh rollouts",
            weight,
            float(mean @ where.target / where.target.square().sum()),
        )
        yield exact(f"{name}: its angle", 0.0, degrees_between(mean, where.target), 1e-4, scale=1.0)


def clipped_answers(name: str) -> float:
    """Returns the share of answers, by μ, whose ratio is outside the bounds, at a distance of 0.01 by stale steps."""
    where = at_distance(0.01, "learning_rate", stale=4, size=4, **ONE_PROMPT)
    loss = published(SETTINGS[name][0])
    ratio = loss.ratios(where.rollouts(current=False)).detach()
    outside = ((ratio < loss.low) | (ratio > loss.high)) & (where.mask > 0)
    return float(where.law @ outside.any(-1)[:, 0, 0].to(torch.float64))
