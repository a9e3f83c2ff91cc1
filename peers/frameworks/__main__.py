"""Presets of policy losses beside verl's, TRL's and OpenRLHF's own functions.

    python -m peers.frameworks ENVIRONMENTS [--out results/peers]

`ENVIRONMENTS` is the folder in which `make frameworks` makes their environment. Writes the table of agreement
(frameworks.csv), its page (frameworks.md), and the frameworks' answers (frameworks.npz).
"""

import argparse
from pathlib import Path

import pandas as pd

from peers.frameworks.agreement import compared, questions
from peers.frameworks.asking import asked, keep, python_of
from peers.frameworks.comparison import SIDES
from peers.frameworks.comparisons import COMPARISONS
from peers.frameworks.page import in_words, page, said
from peers.frameworks.problems import problems


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m peers.frameworks", description="presets beside the frameworks")
    parser.add_argument("environments")
    parser.add_argument("--out", default="results/peers")
    arguments = parser.parse_args()
    given = problems()
    answers = asked(python_of(Path(arguments.environments)), given, questions(COMPARISONS))
    rows = []
    for each in COMPARISONS:
        found = compared(each, given, answers)
        rows.append(
            {
                "preset": each.preset,
                "changes": said(each.changes),
                "function": SIDES[each.side],
                "settings": said(each.settings),
                "problems": in_words(each.on),
                "value": found.value,
                "gradient": found.gradient,
                "worst problem": found.where,
                "verdict": found.verdict,
                "why": each.why,
            }
        )
        if found.verdict != each.expected:
            print(f"{each.preset} {said(each.changes)}: {found.verdict}, expected {each.expected}: {found}")
    table, out = pd.DataFrame(rows), Path(arguments.out)
    table.to_csv(out / "frameworks.csv", index=False, float_format="%.1e")
    (out / "frameworks.md").write_text(page(table), encoding="utf-8")
    keep(out / "frameworks.npz", given, answers)
    print(table["verdict"].value_counts().to_string())


if __name__ == "__main__":
    main()
