"""Which off-policy loss has the least mean squared error where: maps of winners, shares of cells, worst ratios."""

from typing import Literal

from bench.validation.facts.fact import Curve, Picture
from bench.validation.facts.measured_points import GridPoint
from bench.validation.facts.off_policy_errors import OFF_POLICY, ExactErrors

ErrorGrid = dict[tuple[float, int], dict[str, ExactErrors]]
"""Every loss's errors by distance and length."""
ErrorKind = Literal["error", "scaled error"]
ERROR_KINDS: dict[ErrorKind, str] = {"error": "", "scaled error": ", best scale"}
"""The mean squared error of the estimate, and that at the best constant in front of it; what titles say."""

KNOBS: dict[str, dict[str, int]] = {"logit noise": {}, "4 steps stale": {"stale": 4}}
"""How a behaviour differs from the policy, with the settings of the family."""
CELLS_WON, LARGEST_REGRET = "share of cells won", "largest error ÷ the least"


def at_size(errors: ExactErrors, n: int, kind: ErrorKind) -> float:
    """Returns a loss's error of this kind from n rollouts."""
    return errors.error(n) if kind == "error" else errors.scaled_error(n)


def winners(grid: ErrorGrid, n: int, kind: ErrorKind = "error") -> dict[tuple[float, int], str]:
    """Returns the loss with the least mean squared error of n rollouts, at each distance and length."""
    return {at: min(found, key=lambda name, found=found: at_size(found[name], n, kind)) for at, found in grid.items()}


def winner_map(title: str, won: dict[tuple[float, int], str]) -> Picture:
    """Returns the map of winners by distance and length."""
    curves = []
    for name in OFF_POLICY:
        cells = [at for at, winner in won.items() if winner == name]
        label = name.replace("no correction", "none").replace(" ratio", "")
        curves.append(Curve(label, [x for x, _ in cells], [float(y) for _, y in cells], style="tiles"))
    return Picture(title, "KL(μ‖π) of an answer, nats", "largest length T", curves, log="x")


def share(won: dict[tuple[float, int], str], name: str) -> float:
    """Returns the share of the cells that a loss wins."""
    return sum(winner == name for winner in won.values()) / len(won)


def shares_won(won: dict[tuple[float, int], str], where: str, n: int) -> list[GridPoint]:
    """Returns the share of the cells that each loss wins."""
    return [GridPoint(CELLS_WON, f"{name}: {where}", float(n), share(won, name)) for name in OFF_POLICY]


def largest_regrets(grid: ErrorGrid, where: str, n: int, kind: ErrorKind) -> list[GridPoint]:
    """Returns each loss's error ÷ the least of the cell, in its worst cell."""
    found = []
    for name in OFF_POLICY:
        ratios = [
            at_size(each[name], n, kind) / min(at_size(one, n, kind) for one in each.values()) for each in grid.values()
        ]
        found.append(GridPoint(LARGEST_REGRET, f"{name}: {where}", float(n), max(ratios)))
    return found
