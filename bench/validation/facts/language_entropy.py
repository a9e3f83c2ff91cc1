"""Language models: what clip-higher does to the entropy, the argument for it."""

from collections.abc import Iterator

from bench.validation.facts.all_rollouts import gradient_of, over_rollouts
from bench.validation.facts.fact import Check, Curve, FactResults, Picture, above, below, fact, near
from bench.validation.facts.language_groups import points_of
from bench.validation.facts.measured_points import GridPoint, points_table
from bench.validation.facts.off_policy_errors import AllAnswers, at_distance
from bench.validation.facts.rollout_checks import GradientVector, slope_along_update
from bench.validation.facts.sampler import Sampler
from estimators.policy import PolicyLoss

NO_CLIP, CLIP, HIGHER = "no clip", "clip 0.2", "clip-higher 0.28"
CLIPS = {
    NO_CLIP: PolicyLoss(ratio="token"),
    CLIP: PolicyLoss(ratio="token", limit="clip", low=0.8, high=1.2),
    HIGHER: PolicyLoss(ratio="token", limit="clip", low=0.8, high=1.28),
}
"""Token ratios: without a clip, with PPO's clip, with the upper bound of DAPO."""
ENTROPY_LAWS, ENTROPY_STAGES = ("short", "long"), ("early", "middle", "late")
ENTROPY_DISTANCES = (0.003, 0.01, 0.03, 0.1, 0.3)
DRAWN_CELLS = {("long", "middle", 0.03), ("short", "middle", 0.3)}
"""Law, stage and KL(μ‖π) of the cells that are measured by draws too."""
HIGHER_LESS_CLIP, CLIP_LESS_NONE = "clip-higher less clip", "clip less no clip"


@fact(
    "language",
    "limits",
    "claimed: clip-higher keeps the entropy from collapsing, Yu et al. 2025 (DAPO), arXiv:2503.14476, section 3.1",
)
def what_clip_higher_does_to_entropy(sampler: Sampler) -> FactResults:
    """On rollouts of 4 steps ago an upper bound of 1.28 instead of 1.2 changes the derivative of the entropy along the
    update in some cells upwards, in others downwards, and in most not at all: only ratios between the bounds count."""
    cells = {
        (law, stage, kl): entropy_slopes(sampler, law, stage, kl)
        for law in ENTROPY_LAWS
        for stage in ENTROPY_STAGES
        for kl in ENTROPY_DISTANCES
    }
    for at, cell in cells.items():
        for name, point in cell.items():
            if point.drawn:
                what = f"{at[0]}, {at[1]}, KL = {at[2]}, {name}: derivative of the entropy, measured"
                yield near(what, point.exact, point.measured, point.high - point.measured, 0.5, scale=1.0)
    changes = [less(cell[HIGHER], cell[CLIP], HIGHER_LESS_CLIP) for cell in cells.values()]
    yield from changes_of_both_signs([each.exact for each in changes])
    for law in ENTROPY_LAWS:
        for stage in ENTROPY_STAGES:
            yield entropy_picture(law, stage, [cells[law, stage, kl] for kl in ENTROPY_DISTANCES])
    clipping = [less(cell[CLIP], cell[NO_CLIP], CLIP_LESS_NONE) for cell in cells.values()]
    yield points_table([*changes, *clipping])


def changes_of_both_signs(changes: list[float]) -> Iterator[Check]:
    """Checks that clip-higher raises the derivative somewhere, lowers it elsewhere, and mostly leaves it."""
    yield above("largest change of the derivative by clip-higher", 0.1, max(changes))
    yield below("least change of the derivative by clip-higher", -0.1, min(changes))
    yield above("share of cells without a change", 0.5, sum(abs(each) < 1e-9 for each in changes) / len(changes))


def entropy_slopes(sampler: Sampler, law: str, stage: str, kl: float) -> dict[str, GridPoint]:
    """Returns, for each clip, the derivative of the entropy along the unit mean update, 4 SGD steps after the draws."""
    where = at_distance(kl, "learning_rate", stale=4, size=4, vocabulary=4, prompts=1, law=law, stage=stage)
    rise = gradient_of(where.problem, lambda log_law: -(log_law.exp() * log_law).sum(-1))
    found = {}
    for name, loss in CLIPS.items():
        mean = where.exact(loss).mean
        found[name] = GridPoint(name, f"{law}, {stage}", kl, float(mean @ rise / mean.norm()))
        if name != NO_CLIP and (law, stage, kl) in DRAWN_CELLS:
            found[name] = found[name].with_draws(*drawn_entropy_slope(sampler, where, loss, mean, rise))
    return found


def drawn_entropy_slope(
    sampler: Sampler, where: AllAnswers, loss: PolicyLoss, mean: GradientVector, rise: GradientVector
) -> tuple[float, float]:
    """Returns the derivative by draws, and 4 standard errors."""
    parts = {part: getattr(loss, part) for part in ("ratio", "limit", "low", "high")}
    return slope_along_update(sampler.estimates(where.problem, over_rollouts(**parts), 8, 2**15), mean, rise)


def less(a: GridPoint, b: GridPoint, quantity: str) -> GridPoint:
    """Returns a − b; the interval of two measurements is as long as both together."""
    found = GridPoint(quantity, a.series, a.x, a.exact - b.exact)
    if not (a.drawn and b.drawn):
        return found
    return found.with_draws(a.measured - b.measured, (a.high - a.low + b.high - b.low) / 2)


def entropy_picture(law: str, stage: str, cells: list[dict[str, GridPoint]]) -> Picture:
    """Returns the derivative of the entropy by distance, a curve for each clip."""
    curves = []
    for name in CLIPS:
        own = [cell[name] for cell in cells]
        curves.append(Curve(name, [each.x for each in own], [each.exact for each in own]))
        drawn = [(each.x, each.measured, each.high - each.measured) for each in own if each.drawn]
        curves += [points_of(f"{name}, measured", drawn)] if drawn else []
    title = f"Right answers {law}, {stage} in training"
    return Picture(title, "KL(μ‖π) of an answer, nats", "derivative of the entropy", curves, log="x")
