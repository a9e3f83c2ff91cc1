"""The table of what torch's classes offer: made from measurements, compared with the committed one, and listed."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

from bench.catalogue.offers import OFFER_DTYPES
from estimators.tools.torch_offers import OFFER_COLUMNS, Row, offers_table

SEED = 17


def measure_classes(names: Iterable[str] = (), jobs: int = 1) -> dict[str, Row]:
    """A row per class of `torch.distributions`, or per named class, measured with the torch that is installed."""
    chosen = list(names) or classes()
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        return dict(zip(chosen, pool.map(row, chosen), strict=True))


def classes() -> list[str]:
    """Every concrete class that `torch.distributions` exports."""
    every = torch.distributions
    abstract = (every.Distribution, every.ExponentialFamily)
    found = [getattr(every, name) for name in every.__all__]
    return sorted(
        each.__name__
        for each in found
        if isinstance(each, type) and issubclass(each, every.Distribution) and each not in abstract
    )


def row(name: str) -> Row:
    """What one class offers: reasons by column and precision (empty where it is right), ranges, what moves."""
    from bench.validation.torch_offers.measure import measure_subject
    from bench.validation.torch_offers.subjects import SUBJECTS

    subject = {each.kind.__name__: each for each in SUBJECTS}.get(name)
    if subject is None:
        reason = "not measured: gradest has no exact law of it"
        return {"moves": [], **{column: dict.fromkeys(OFFER_DTYPES, reason) for column in OFFER_COLUMNS}, "ranges": {}}
    torch.set_num_threads(1)
    found = list(measure_subject(subject, [getattr(torch, dtype) for dtype in OFFER_DTYPES], SEED))
    moving = set(found[0].moves)
    made: Row = {"moves": sorted(moving), "ranges": {}}
    for column in OFFER_COLUMNS:
        made[column] = {}
        for dtype in OFFER_DTYPES:
            points = [(each.knob, each.value, wrong(each, column, moving)) for each in found if each.dtype == dtype]
            made[column][dtype] = points[0][2]
            own = {} if points[0][2] or column == "mode" else dict(ranges(subject.ordinary, points[1:]))
            if own:
                made["ranges"].setdefault(column, {})[dtype] = own
    return made


def wrong(found: Any, column: str, moving: set[str]) -> str:
    """Why a column is not offered at a point that was measured; empty where it is."""
    reason = getattr(found, column)
    if column in ("density", "path") and found.draws:
        return f"its draws do not follow its law: {found.draws}"
    if column == "density" and set(found.moves) - moving:
        return f"the support moves with {', '.join(found.moves)}"
    if column == "mean" and found.knob and reason == "not finite":
        return ""  # `offers` looks at the mean itself
    return reason or ""


def ranges(ordinary: dict[str, float], points: list[tuple[str, float, str]]) -> Iterator[tuple[str, list[Any]]]:
    """For every parameter that has an end: the last values that are right, outward from the ordinary one."""
    for knob in dict.fromkeys(knob for knob, _, _ in points):
        ends: list[float | None] = []
        for sign in (-1, 1):
            there = sorted(
                (sign * v, reason) for k, v, reason in points if k == knob and sign * (v - ordinary[knob]) > 0
            )
            good, end = ordinary[knob], None
            for value, reason in there:
                if reason:
                    end = good
                    break
                good = sign * value
            ends.append(end)
        if ends != [None, None]:
            yield knob, ends


def written(rows: dict[str, Row]) -> str:
    """The table as the text of `estimators/tools/torch_offers.json`: a line per class."""
    lines = ",\n".join(
        f" {json.dumps(name)}: {json.dumps(each, sort_keys=True)}" for name, each in sorted(rows.items())
    )
    return f'{{"torch": {json.dumps(torch.__version__.split("+")[0])}, "classes": {{\n{lines}\n}}}}\n'


def differences(found: dict[str, Row], committed: dict[str, Row] | None = None) -> list[str]:
    """What is offered otherwise than the committed table says, in a sentence each. Numbers inside reasons may vary."""
    said = offers_table() if committed is None else committed
    lines = [f"{name}: not in the committed table" for name in found.keys() - said.keys()]
    for name in sorted(found.keys() & said.keys()):
        was, now = said[name], found[name]
        if was["moves"] != now["moves"]:
            lines.append(f"{name}: the support moved with {was['moves']}, and moves with {now['moves']}")
        for column in OFFER_COLUMNS:
            for dtype in OFFER_DTYPES:
                lines += _of_cell(f"{name}, {column}, {dtype}", was, now, column, dtype)
    return lines


def _of_cell(where: str, was: Row, now: Row, column: str, dtype: str) -> list[str]:
    before, after = was[column][dtype], now[column][dtype]
    if bool(before) != bool(after):
        return [f"{where}: was {before or 'right'}; is {after or 'right'}"]
    old, new = (each["ranges"].get(column, {}).get(dtype, {}) for each in (was, now))
    return [f"{where}: was right in {old or 'all'}; is right in {new or 'all'}"] if old != new else []
