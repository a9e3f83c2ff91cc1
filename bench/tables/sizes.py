"""The size of each row's problem: the setting `size` of its distribution, such as the number of bits."""

# pyright: reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import json
from functools import lru_cache

import pandas as pd


def problem_sizes(rows: pd.DataFrame) -> pd.Series:
    """Returns the setting `size` of each row's distribution as a number; NaN without such a setting.

    >>> problem_sizes(pd.DataFrame({"distribution_params": ['{"size":20}', "{}"]})).tolist()
    [20.0, nan]
    """
    texts = rows["distribution_params"].astype(object)
    known = {text: size_of(text) for text in texts.unique()}
    return texts.map(known).astype(float)


@lru_cache(maxsize=4096)
def size_of(params: object) -> int | None:
    """Returns the setting `size` of a distribution's settings, which are JSON; None without a whole number there."""
    found = json.loads(params) if isinstance(params, str) and params else {}
    size = found.get("size") if isinstance(found, dict) else None
    return size if isinstance(size, int) else None
