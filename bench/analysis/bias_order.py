"""Orders biased cells by the harm that a bias does: a wrong direction first, a wrong length last.

An optimiser that normalises its steps cancels the length of a gradient and follows its direction. So a mean that is
reversed comes first, then means that are turned, by their angle, then those whose direction is open, and last the
aligned ones, by how far their scale is from 1. The relative bias alone orders otherwise: a mean three times too long
and 7° off (relative bias 2) would come before one of the right length and 35° off (0.6).
"""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportReturnType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportIndexIssue=false
# pandas ships no types: a checker takes every selection for `Series | DataFrame`.

import numpy as np
import pandas as pd

from bench.display.terminal import missing, number

HARM = {"reversed": 0, "turned": 1, "unclear": 2, "": 2, "aligned": 3}
"""The place of a verdict on the direction; tables of schema 1 and 2 have none."""


def biased_by_harm(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the biased cells of a wide table, the most harmful first.

    A table without angles (schema 1 and 2) is ordered by its cosines.
    """
    biased = rows[rows["verdict"] == "biased"]
    cosine = np.rad2deg(np.arccos(biased["cosine"].astype(float).clip(-1, 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.abs(np.log(biased["scale"].astype(float).where(lambda scale: scale > 0, 0.0)))
    keys = pd.DataFrame(
        {
            "harm": biased["direction"].map(HARM).fillna(HARM["unclear"]),
            "angle": -biased["angle"].astype(float).fillna(cosine).where(biased["direction"] != "aligned", 0.0),
            "off": -off,
            "bias": -biased["relative_bias"].astype(float),
        }
    )
    return biased.loc[keys.sort_values([*keys], kind="stable").index]


def scale_words(row: dict) -> str:
    """Returns the verdict on a cell's scale with its number, such as `shrunk (0.88)`; a dash without a scale.

    >>> scale_words({"scale": 0.876, "scale_verdict": "shrunk"}), scale_words({"scale": None, "scale_verdict": ""})
    ('shrunk (0.876)', '—')
    """
    if missing(row["scale"]):
        return "—"
    return f"{row['scale_verdict']} ({number(row['scale'])})".strip()
