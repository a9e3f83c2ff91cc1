"""The committed table of what torch's distributions offer, as `gradest list offers` prints it."""

from typing import Any

from estimators.tools.torch_offers import OFFER_COLUMNS, Row, offers_table

OFFER_DTYPES = ("float32", "float64")


def listed() -> list[dict[str, Any]]:
    """The committed table for people: a row per class."""
    return [
        {"name": name, **{column: _cell(each, column) for column in OFFER_COLUMNS}}
        for name, each in offers_table().items()
    ]


def _cell(each: Row, column: str) -> str:
    reasons = {dtype: each[column][dtype] for dtype in OFFER_DTYPES}
    if column == "density" and each["moves"]:
        return f"no: the support moves with {', '.join(each['moves'])}"
    if len(set(reasons.values())) == 1 and reasons[OFFER_DTYPES[0]]:
        return f"no: {reasons[OFFER_DTYPES[0]]}"
    parts = [
        f"{dtype}: no, {reasons[dtype]}"
        if reasons[dtype]
        else _range(each["ranges"].get(column, {}).get(dtype, {}), dtype)
        for dtype in OFFER_DTYPES
    ]
    return "; ".join(["yes" if not all(reasons.values()) else "no", *filter(None, parts)])


def _range(own: dict[str, list[float | None]], dtype: str) -> str:
    bounds = [
        " ".join([knob, *([f"≥ {low:g}"] if low is not None else []), *([f"≤ {high:g}"] if high is not None else [])])
        for knob, (low, high) in own.items()
    ]
    return f"{dtype}: {', '.join(bounds)}" if bounds else ""
