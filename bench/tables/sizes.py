"""The size of each row's problem: the setting `size` of its distribution, such as the number of bits."""

# pyright: reportArgumentType=false, reportReturnType=false, reportGeneralTypeIssues=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import json

import numpy as np
import pandas as pd


def problem_sizes(rows: pd.DataFrame) -> pd.Series:
    """Returns the setting `size` of each row's distribution as a number; NaN without such a setting.

    >>> problem_sizes(pd.DataFrame({"distribution_params": ['{"size":20}', "{}"]})).tolist()
    [20.0, nan]
    """
    texts = rows["distribution_params"].astype(object)
    known = {text: _size(text) for text in texts.unique()}
    return texts.map(known).astype(float)


def _size(text: object) -> float:
    found = json.loads(text) if isinstance(text, str) and text else {}
    size = found.get("size") if isinstance(found, dict) else None
    return float(size) if isinstance(size, int) else np.nan
