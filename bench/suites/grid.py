"""Expands a suite into cells: the product of its axes, with a reason for every pair that does not fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from bench.distributions import distributions
from bench.measure.accuracy.stopping import AccuracySettings
from bench.measure.execution.devices import check_device, default_dtype
from bench.measure.execution.modes import resolved_mode, unavailable
from bench.objectives import objectives
from bench.plugins.settings import build, checked, combinations, identifying, plain, public
from bench.problems.kinds import problem_kind
from bench.problems.problem import Problem
from bench.provenance.identity import canonical, class_digest, json_digest
from bench.suites.cell import MINIBATCH, Cell, estimator_of, problem_of, with_minibatch
from bench.suites.suite import GROUPS, SETTINGS_TYPES, Choice, Problems, Suite
from bench.system.optional import allocating_at_most
from bench.tables import where
from estimators.core import Estimator
from estimators.errors import BadInput, nearest
from estimators.needs import Offer, unmet_samples
from estimators.registry import Registry, estimators, is_spec, owner
from estimators.text import visible
from estimators.traits import NoSuchNeed

BUILT_IN = ("bench", "estimators")
PLANNING_BYTES = 2**32
"""Bytes that a problem may allocate while it is planned; workers have limits of their own."""


@dataclass(frozen=True)
class SuitePart:
    """One estimator, distribution or objective of a suite.

    `instance`: the built plug-in. `name`, `params`, `plugin`: as in `Cell`. `source`: digest of the source of its
    classes.
    """

    instance: Any
    name: str
    params: str
    plugin: str
    source: str


@dataclass(frozen=True)
class Pair:
    """A problem, and the columns that its cells share.

    `parts`: its distribution and its objective. `reason`: why they do not fit; empty if they fit. `offer`: what q and f
    offer to estimators. `limits`: the budgets of its cells.
    """

    columns: dict[str, Any]
    parts: tuple[SuitePart, ...]
    reason: str = ""
    offer: Offer | None = None
    limits: Sequence["Budget"] = ()


def suite_cells(suite: Suite, *, force: bool = False) -> list[Cell]:
    """Every cell of a suite, once, in the order of the file; cells with a `reason` are not applicable.

    Each pair of an estimator and a problem is checked once, so that large grids are planned quickly. `force`: pairs
    that do not fit are measured too, and their cells are marked as forced.

    Raises BadInput for an error in the suite, with its place.
    """
    for device in suite.device:
        check_device(device)
    chosen = list(suite_parts(estimators, suite.estimators, "estimators"))
    found = [cell for pair in pairs(suite) for part in chosen for cell in _of_pair(part, pair, suite, force)]
    return list({cell.id: cell for cell in _excluded(found, suite)}.values())


def pairs(suite: Suite) -> Iterator[Pair]:
    """Every problem of a suite: distributions × objectives × coordinates × points × minibatches of each block."""
    for index, block in enumerate(suite.problems):
        path = f"problems[{index}]"
        families = list(suite_parts(distributions, block.distribution, f"{path}.distribution"))
        targets = list(suite_parts(objectives, block.objective, f"{path}.objective"))
        _without_own_minibatch(targets, block, path)
        _known_names(families, targets, block, suite, path)
        limits = budgets(suite, block)
        for family, target in product(families, targets):
            for coordinates in block.coordinates or suite.coordinates or family.instance.coordinates[:1]:
                for point in block.point or suite.point or (*family.instance.points, *target.instance.points)[:1]:
                    for minibatch in block.minibatch or (None,):
                        yield replace(_pair(family, target, coordinates, point, minibatch), limits=limits)


def suite_parts(registry: Registry[Any], choices: list[Choice], path: str) -> Iterator[SuitePart]:
    """Each plug-in chosen, once per combination of its settings; `path` is its place in the suite, for errors."""
    for index, choice in enumerate(choices):
        place = f"{path}[{index}]"
        for settings in combinations(choice.settings, place):
            yield _part(registry, choice.name, settings, place)


def _part(registry: Registry[Any], name: str, settings: dict[str, Any], path: str) -> SuitePart:
    instance = build(registry, name, settings, path)
    classes = list(_classes(instance))
    outside = sorted({owner(cls) for cls in classes if cls.__module__.split(".")[0] not in BUILT_IN})
    return SuitePart(
        instance,
        name,
        canonical(identifying(instance)),
        " ".join(outside),
        _source(instance),
    )


def _source(instance: Any) -> str:
    return " ".join(class_digest(cls) for cls in _classes(instance))


def source_digest(cell: Cell) -> str:
    """The digest of the source of a cell's classes, as they are in this process."""
    problem = problem_of(cell)
    return json_digest([_source(each) for each in (estimator_of(cell), problem.family, problem.objective)])


def _classes(instance: Any) -> Iterator[type]:
    """The class of a plug-in, and the classes of the plug-ins inside it."""
    yield type(instance)
    for key, value in plain(instance).items():
        if is_spec(value):
            yield from _classes(getattr(instance, key))


def _known_names(families: list[SuitePart], targets: list[SuitePart], block: Problems, suite: Suite, path: str) -> None:
    """Raises BadInput for coordinates or a point that nothing in the block has: a typing error, not a misfit."""
    own = {"coordinates": block.coordinates, "point": block.point}
    have = {
        "coordinates": {name for family in families for name in family.instance.coordinates},
        "point": {name for part in (*families, *targets) for name in part.instance.points},
    }
    for key, names in own.items():
        for name in names or ():
            if name not in have[key]:
                raise BadInput(f"{path}.{key}: there is no {key} {name!r}; {nearest(name, have[key])}")


def _without_own_minibatch(targets: list[SuitePart], block: Problems, path: str) -> None:
    """Raises BadInput if the block has a minibatch and an objective has a setting of that name."""
    for target in targets if block.minibatch else ():
        if MINIBATCH in public(type(target.instance)):
            raise BadInput(f"{path}.minibatch: {target.name} has a setting of that name; give it there")


def _pair(family: SuitePart, target: SuitePart, coordinates: str, point: str, minibatch: int | None) -> Pair:
    problem = Problem(family.instance, target.instance, coordinates, point, minibatch)
    columns = {
        "distribution": family.name,
        "distribution_params": family.params,
        "objective": target.name,
        "objective_params": with_minibatch(target.params, minibatch),
        "problem_version": visible(problem.version),
        "coordinates": visible(coordinates),
        "point": visible(point),
    }
    reason = problem.misfit()
    if reason:
        return Pair(columns, (family, target), reason)
    try:
        with allocating_at_most(PLANNING_BYTES):
            theta = problem.theta()
            offer = problem.offer(problem.encode(theta), problem.function(next(iter(theta.values()))))
            kind = problem_kind(problem.family, offer.q, offer.f)
    except NoSuchNeed:
        raise
    except BadInput as error:
        raise BadInput(f"{target.name}/{family.name}: {error}") from None
    except Exception:  # a broken plug-in, too many parameters: its cells fail in a worker, with the error as reason
        return Pair(columns, (family, target))
    described = {"dim": sum(value.numel() for value in theta.values()), "kind": kind}
    return Pair(columns | described, (family, target), "", offer)


def _of_pair(part: SuitePart, pair: Pair, suite: Suite, force: bool) -> Iterator[Cell]:
    """The cells of one estimator on one problem, over sample sizes, devices, modes, budgets and dtypes."""
    estimator: Estimator = part.instance
    traits = estimator.traits
    misfit = pair.offer.unmet(estimator, traits.min_samples * traits.samples_step) if pair.offer else ""
    shared = pair.columns | {
        "estimator": part.name,
        "estimator_params": part.params,
        "estimator_version": getattr(estimator, "version", 1),
        "plugin": " ".join(each.plugin for each in (part, *pair.parts) if each.plugin),
        "source_digest": json_digest([each.source for each in (part, *pair.parts)]),
        "seed": suite.seed,
    }
    for samples, device, asked, budget in product(suite.samples, suite.device, suite.mode, pair.limits):
        mode = resolved_mode(planned_numbers(pair, samples, budget.accuracy, suite)) if asked == "auto" else asked
        unfit = misfit or unmet_samples(traits, samples) or ""
        forced = bool(force and unfit and not pair.reason)
        reason = pair.reason or unavailable(mode, device) or ("" if forced or not unfit else f"{part.name} {unfit}")
        for dtype in suite.dtype or [default_dtype(device)]:
            own = {"samples": samples, "device": device, "dtype": dtype, "mode": mode, "forced": forced}
            yield Cell(**shared, **own, **budget.given, reason=reason)


@dataclass(frozen=True)
class Budget:
    """Limits of a cell: `accuracy` as parsed settings, `given` as the settings of both groups in a cell's text form."""

    accuracy: AccuracySettings
    given: dict[str, Any]


def budgets(suite: Suite, block: Problems) -> list[Budget]:
    """The settings of accuracy and throughput of a block's cells, one `Budget` per combination of their axes."""
    tables = {"accuracy": suite.accuracy | (block.accuracy or {}), "throughput": suite.throughput}
    each = [
        [checked(SETTINGS_TYPES[group], settings, group) for settings in combinations(tables[group], group)]
        for group in GROUPS
    ]
    texts = [[canonical(identifying(settings)) for settings in own] for own in each]
    return [
        Budget(accuracy, dict(zip(GROUPS, given, strict=True)))
        for (accuracy, _), given in zip(product(*each), product(*texts), strict=True)
    ]


def planned_numbers(pair: Pair, samples: int, budget: AccuracySettings, suite: Suite) -> float:
    """The largest replicates × draws × parameters of a cell, by which `auto` is resolved; 0 for timing alone."""
    if "accuracy" not in suite.metrics:
        return 0.0
    replicates = budget.within(float(samples)).max_replicates
    return float(replicates * samples * pair.columns.get("dim", 0))


def _excluded(found: list[Cell], suite: Suite) -> list[Cell]:
    """The cells, with the suite's reason on those that it excludes."""
    rules = [(where.parse(rule.where), rule.reason) for rule in suite.exclude]
    if not rules:
        return found
    return [_first_rule(cell, rules) for cell in found]


def _first_rule(cell: Cell, rules: list[tuple[where.Filter, str]]) -> Cell:
    facts = where.filter_facts(vars(cell))
    for excludes, reason in rules:
        if excludes(facts):
            return replace(cell, reason=f"excluded: {reason}")
    return cell
