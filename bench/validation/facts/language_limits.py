"""Language models: the least mean squared error off-policy, and limits at published settings and at defaults."""

from typing import Any

import torch

from bench.validation.facts.all_rollouts import over_rollouts, small_policy
from bench.validation.facts.fact import Curve, FactResults, Picture, above, below, exact, fact, near
from bench.validation.facts.language_groups import points_of
from bench.validation.facts.off_policy_errors import (
    CURRENT,
    OFF_POLICY,
    AllAnswers,
    ExactErrors,
    at_distance,
    published,
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


def exact_errors(where: AllAnswers) -> dict[str, ExactErrors]:
    """Returns the exact errors of every loss that is compared."""
    return {name: where.exact(loss, current=name in CURRENT) for name, loss in OFF_POLICY.items()}


def winners(grid: dict[tuple[float, int], dict[str, ExactErrors]], n: int) -> dict[tuple[float, int], str]:
    """Returns the loss with the least mean squared error of n rollouts, at each distance and length."""
    return {at: min(found, key=lambda name, found=found: found[name].error(n)) for at, found in grid.items()}


def winner_map(title: str, won: dict[tuple[float, int], str]) -> Picture:
    """Returns the map of winners by distance and length."""
    curves = []
    for name in OFF_POLICY:
        cells = [at for at, winner in won.items() if winner == name]
        label = name.replace("no correction", "none").replace(" ratio", "")
        curves.append(Curve(label, [x for x, _ in cells], [float(y) for _, y in cells], style="tiles"))
    return Picture(title, "KL(μ‖π) of an answer, nats", "largest length T", curves, log="x")


@fact(
    "language",
    "off-policy error",
    "disputed: TRL issue 4493; arXiv:1707.06347 (PPO), 2506.13585 (CISPO), 2507.18071 (GSPO), 2510.18855 (IcePop)",
)
def no_correction_has_the_least_error_everywhere(sampler: Sampler) -> FactResults:
    """Which off-policy loss has the least mean squared error depends on KL(μ‖π) and on the number of rollouts: with few
    rollouts losses with low variance win, with many the unbiased sequence ratio does."""
    pictures, won = [], {}
    for knob, more, label in (("logit_noise", {}, "logit noise"), ("learning_rate", {"stale": 4}, "4 steps stale")):
        grid = {
            (kl, T): exact_errors(at_distance(kl, knob, size=T, **ONE_PROMPT, **more))
            for T in LENGTHS
            for kl in DISTANCES
        }
        for n in NUMBERS_OF_ROLLOUTS:
            won[label, n] = winners(grid, n)
            if label == "logit noise" or n == 256:
                pictures.append(winner_map(f"{label}, {n} rollouts", won[label, n]))
        sizes = [found["sequence ratio"] for found in grid.values()]
        bias = max(float((each.mean - each.target).norm() / each.target.norm()) for each in sizes)
        yield exact(f"{label}: bias of the sequence ratio, largest", 0.0, bias, 1e-6, scale=1.0)
    names = {winner for each in won.values() for winner in each.values()}
    yield above("number of losses that win somewhere", 2.5, float(len(names)))
    for label in ("logit noise", "4 steps stale"):
        few, many = (share(won[label, n], "sequence ratio") for n in (16, 4096))
        yield above(f"{label}: share of cells won by the sequence ratio, 4096 rollouts less 16", 0.0, many - few)
    yield from measured_errors(sampler)
    yield from pictures


def share(won: dict[tuple[float, int], str], name: str) -> float:
    """Returns the share of the cells that a loss wins."""
    return sum(winner == name for winner in won.values()) / len(won)


def measured_errors(sampler: Sampler, n: int = 16) -> FactResults:
    """Measures the mean squared error of several losses with the suite's draws, against the exact one."""
    where = at_distance(0.3, size=4, **ONE_PROMPT)
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
    distances = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0)
    for kl in distances:
        where = at_distance(kl, "learning_rate", stale=4, size=4, **ONE_PROMPT)
        for name, (base, more) in SETTINGS.items():
            loss = published(base, **more)
            mean = where.exact(loss).mean
            lines[name].append(degrees_between(mean, where.target))
            if kl in (0.1, 0.3):
                parts = {part: getattr(loss, part) for part in ("ratio", "limit", "low", "high", "aggregate")}
                sample = sampler.estimates(where.problem, over_rollouts(**parts), 8, 2**15)
                angle, error = measured_angle(sample, where.target, mean)
                yield near(
                    f"{name}, KL = {kl}: angle in degrees, measured", lines[name][-1], angle, error, 0.5, scale=30.0
                )
                points[name].append((kl, angle, error))
    yield from fresh_tokens()
    clipped = [clipped_answers(name) for name in ("GSPO, 3e-4 and 4e-4 (its paper)", "GSPO, 0.2 (verl, TRL)")]
    yield above("GSPO's published bounds, KL = 0.01: share of answers outside them", 0.5, clipped[0])
    yield below("bounds of 0.2: share", 0.1, clipped[1])
    curves = []
    for name in SETTINGS:
        curves += [Curve(name.replace(",", ":"), list(distances), lines[name])]
        curves += [points_of(f"{name.replace(',', ':')}, measured", points[name])]
    yield Picture(
        "Angle to the exact gradient, 4 steps stale", "KL(μ‖π) of an answer, nats", "degrees", curves, log="x"
    )


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
